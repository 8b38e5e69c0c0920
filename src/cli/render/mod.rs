//! Answers as texts for people. Pure: the same response and style give the same text.

mod activity;
mod actors;
mod chain;
mod configuration;
mod daemon;
mod explain;
mod jobs;
mod number;
mod rejudge;
mod series;
mod table;

pub(super) use number::percent;

use crate::control::{ActorsResponse, Response, Update};

/// How the text may look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Style {
    /// Whether escape sequences for colour and weight are allowed.
    pub colour: bool,
}

impl Style {
    fn paint(self, code: &str, text: &str) -> String {
        if self.colour { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }

    fn bold(self, text: &str) -> String {
        self.paint("1", text)
    }

    fn good(self, text: &str) -> String {
        self.paint("32", text)
    }

    fn bad(self, text: &str) -> String {
        self.paint("31", text)
    }
}

/// The whole answer, ended by a line feed.
pub fn render(response: &Response, style: Style) -> String {
    match response {
        Response::Status(status) => daemon::status(status, style),
        Response::Actors(actors) => actors::table(actors, style),
        Response::Feeds(feeds) => daemon::feeds(feeds, style),
        Response::Chain(chain) => chain::chain(chain, style),
        Response::OpenInterest(series) => series::open_interest(series, style),
        Response::Deltas(deltas) => activity::deltas(deltas, style),
        Response::Candles(candles) => series::candles(candles, style),
        Response::Coverage(coverage) => daemon::coverage(coverage, style),
        Response::ReplayVerify(verified) => daemon::replay(verified, style),
        Response::ReplayRejudge(answer) => rejudge::rejudged(answer, style),
        Response::Explain(answer) => explain::explanation(answer, style),
        Response::Feed(answer)
        | Response::EnableFeed(answer)
        | Response::DisableFeed(answer)
        | Response::ReconnectFeed(answer) => configuration::feed(answer, style),
        Response::Failover(answer) => daemon::failover(answer),
        Response::Configuration(answer) => configuration::running(answer, style),
        Response::CompareConfiguration(answer) | Response::Reload(answer) => {
            configuration::reload(answer, style)
        }
        Response::LogFilter(answer) | Response::SetLogFilter(answer) => configuration::log_filter(answer),
        Response::Drain(answer) => format!("process {} ends\n", answer.pid),
        Response::Jobs(answer) => jobs::list(answer, style),
        Response::JobHistory(answer) => jobs::history(answer, style),
        Response::RunJob(answer) => jobs::ordered(&answer.job),
    }
}

/// The actors as a tree, with everything that is known of them.
pub fn render_actor_tree(actors: &ActorsResponse, style: Style) -> String {
    actors::tree(actors, style)
}

/// One line, without its line feed.
pub fn render_update(update: &Update, style: Style) -> String {
    activity::update(update, style)
}
