//! The command line.

use super::Condition;
use crate::{
    control::{
        CandlesRequest, ChainRequest, ControlError, CoverageRequest, DeltasRequest, ExplainRequest,
        FailoverRequest, FeedRequest, JobHistoryRequest, JobRequest, LocalTime, OpenInterestRequest,
        ReplayRejudgeRequest, ReplayVerifyRequest, Request, SetLogFilterRequest, WatchRequest,
    },
    jobs::JobName,
    market::{CandleInterval, Contract, Provider, TradingDate},
};
use chrono::NaiveDate;
use clap::{Args, Parser, Subcommand, builder::PossibleValuesParser};
use std::path::PathBuf;

const EXIT_CODES: &str = "\
Exit codes: 0 done, 1 failed, 2 wrong usage, 3 no daemon answers, 4 denied, 5 timed out, 6 unhealthy,
7 another version's rules judged the day, 8 the log lacks a part of it (replay verify).
Dates are YYYY-MM-DD and times are IST; without a date it is the day that the daemon's clock shows,
for coverage that of the last session.";

const ACTOR_COLUMNS: &str = "\
Columns; counts are from the daemon's start on:
  state      waiting: for somebody else, such as the database or room in the next queue; backing off: it failed and
             is started again after a while; hung: it is being ended; in bold if it is neither running nor waiting
  restarts   how often it was started again
  pulse      since it last showed that it lives; supervisors, and who waits inside the daemon, show it by themselves
  queue      messages that wait, and how many may; - for an actor without a queue
  paused     how often the queue was nearly full, so that who brings messages had to wait until half of it was free
  rejected   messages that a full queue gave back to who brought them
  dropped    messages that the queue took and then gave up for later ones
  last exit  why it last restarted or stopped
With --tree as well:
  life       which life of the actor this is: 1 until its first restart
  ended by   how its earlier lives ended, where not in order; block: it kept its thread, displacement: another did
  worked     since it last did a piece of work; long without harm while nothing is to do
  p50, p99   time in the handler that half and 99 of 100 turns do not exceed
  highest    the most messages that ever waited
  oldest     age of the oldest message that waits or is being handled
  accepted   messages that the queue took
  set aside  messages left out because they ended two lives of the actor";

/// Ask bhavd, the recorder of the Indian options market.
#[derive(Debug, Parser)]
#[command(name = "bhavctl", version, after_help = EXIT_CODES, arg_required_else_help = true)]
pub struct Arguments {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Args)]
pub struct Global {
    /// The daemon's control socket
    #[arg(
        long,
        global = true,
        value_name = "PATH",
        env = "BHAVD_SOCKET",
        default_value = "/run/bhavd/control.sock"
    )]
    pub socket: PathBuf,
    /// Print the answer as one JSON object (watch: one a line)
    #[arg(long, global = true)]
    pub json: bool,
    /// Seconds to wait for an answer [default: 30, replay and explain: 600, drain: 60, wait: for ever]
    #[arg(long, global = true, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
    pub timeout: Option<u64>,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// The daemon on one page
    Status {
        /// Exit with 6 unless the daemon is healthy
        #[arg(long)]
        check: bool,
    },
    /// The actors, their queues and their restarts
    #[command(after_long_help = ACTOR_COLUMNS)]
    Actors {
        /// Draw the tree of supervisors, with everything that is known of each actor
        #[arg(long)]
        tree: bool,
    },
    /// The connections to providers
    Feeds,
    /// An option chain
    Chain {
        #[arg(value_parser = symbol)]
        underlying: String,
        /// The expiry, YYYY-MM-DD [default: the nearest]
        #[arg(long, value_name = "DATE", value_parser = date)]
        expiry: Option<TradingDate>,
        /// The chain as it stood then: HH:MM[:SS] or "YYYY-MM-DD HH:MM[:SS]", IST [default: live]
        #[arg(long, value_name = "TIME")]
        at: Option<LocalTime>,
        /// Only this many strikes on each side of the money
        #[arg(long, value_name = "N")]
        strikes: Option<usize>,
    },
    /// A contract's open interest through a day: bhavctl oi NIFTY 2026-02-03 25000 CE
    Oi {
        /// The contract, in one argument or several
        #[arg(required = true, num_args = 1.., value_name = "CONTRACT")]
        contract: Vec<String>,
        #[arg(long, value_parser = date)]
        date: Option<TradingDate>,
    },
    /// Why a bucket's row states what it does: bhavctl explain NIFTY 2026-02-03 25000 CE --at 10:42
    ///
    /// Replays the day's log and says which values the row has and in which state, which provider proved them, by what, until
    /// when and from which record of the log, what each other provider had said by then, and whether the store has the same
    /// row. A bucket is named by its begin, as in `bhavctl oi`. A whole day is replayed: it may take a minute.
    Explain {
        /// The option contract, in one argument or several
        #[arg(required = true, num_args = 1.., value_name = "CONTRACT")]
        contract: Vec<String>,
        /// The bucket that contains this time: HH:MM[:SS] or "YYYY-MM-DD HH:MM[:SS]", IST, or an RFC 3339 instant [default: the
        /// last one that is over]
        #[arg(long, value_name = "TIME")]
        at: Option<LocalTime>,
        #[arg(long, value_parser = date)]
        date: Option<TradingDate>,
    },
    /// Changes of open interest, newest first
    Deltas {
        #[arg(long, value_parser = symbol, conflicts_with = "contract")]
        underlying: Option<String>,
        #[arg(long, value_parser = contract)]
        contract: Option<String>,
        #[arg(long, value_parser = date)]
        date: Option<TradingDate>,
        /// Rows at most, 1 to 10000
        #[arg(
            long,
            default_value_t = DeltasRequest::LIMIT_DEFAULT,
            value_parser = clap::value_parser!(u32).range(1..=DeltasRequest::LIMIT_MAX as i64)
        )]
        limit: u32,
    },
    /// Candles of an index or share
    Candles {
        #[arg(value_parser = symbol)]
        symbol: String,
        /// 3m, 5m or day
        #[arg(long, default_value = "5m", value_parser = interval)]
        interval: CandleInterval,
        #[arg(long, value_parser = date)]
        date: Option<TradingDate>,
    },
    /// How complete a day is
    Coverage {
        /// The day, YYYY-MM-DD [default: that of the last session]
        #[arg(value_parser = date)]
        date: Option<TradingDate>,
    },
    /// What happens, as it happens
    Watch {
        #[arg(long, value_parser = symbol)]
        underlying: Option<String>,
    },
    /// The log of what was received
    #[command(subcommand)]
    Replay(ReplayCommand),
    /// One feed: what it does, and whether it may
    #[command(subcommand)]
    Feed(FeedCommand),
    /// Choose which provider's values count; holds until the next choice, over restarts as well
    ///
    /// Of a chain, the values of one provider count at a time: of the first in the order of preference (angel_one, nse)
    /// that shows it. A provider named here goes before all others while it shows the chain; where it does not, the
    /// others count in their order, and status says so. auto leaves the choice to the order again. status and feeds show
    /// which provider counts for most chains, explain which one counts for a contract.
    Failover {
        #[arg(value_name = "PROVIDER", value_parser = destinations())]
        to: String,
    },
    /// The scheduled jobs: what they do, what became of their runs, and having one run
    Jobs {
        #[command(subcommand)]
        command: Option<JobsCommand>,
    },
    /// The configuration: what runs, what the file says, and the way from one to the other
    #[command(subcommand)]
    Config(ConfigCommand),
    /// What the daemon logs; with a filter, logs more or less until it ends
    Loglevel {
        /// As in RUST_LOG: off, error, warn, info, debug or trace, or info,bhavd::feed=debug
        filter: Option<String>,
    },
    /// End the daemon in order: feeds first, then everything that was accepted is written
    ///
    /// Installed as a service its socket is kept by systemd, and whoever asks next, with bhavctl for instance, starts the
    /// daemon again. To end it until it is wanted, `systemctl stop bhavd.socket bhavd`.
    Drain {
        /// Do not wait for its end
        #[arg(long)]
        no_wait: bool,
    },
    /// Wait until something holds; exits with 5 if --timeout passes before
    Wait {
        /// ready, drained, feed=NAME or feed=any
        #[arg(long = "for", value_name = "CONDITION")]
        condition: Condition,
    },
    /// Gather what a report of a problem needs, without secrets
    Bugreport {
        /// Where to write it [default: standard output]
        #[arg(long, short, value_name = "FILE")]
        output: Option<PathBuf>,
    },
    /// Write man pages and shell completions
    #[command(hide = true)]
    Generate {
        #[arg(value_name = "DIR")]
        directory: PathBuf,
    },
}

#[derive(Debug, Subcommand)]
pub enum FeedCommand {
    /// The feed's counters, its actor and its settings
    Show(FeedName),
    /// Let the feed run, also if the configuration does not; until the daemon is restarted
    Enable(FeedName),
    /// Stop the feed until it is enabled again or the daemon is restarted
    Disable(FeedName),
    /// Drop the feed's connections and sessions and begin anew
    Reconnect(FeedName),
}

#[derive(Debug, Args)]
pub struct FeedName {
    /// angel_one or nse
    #[arg(value_name = "NAME")]
    pub feed: String,
}

#[derive(Debug, Subcommand)]
pub enum JobsCommand {
    /// Each job, when it is due and how its last run ended; also without a command
    List,
    /// The last runs, the last first
    History {
        #[arg(long, value_name = "NAME", value_parser = jobs())]
        job: Option<String>,
        /// Rows at most, 1 to 10000
        #[arg(
            long,
            default_value_t = JobHistoryRequest::LIMIT_DEFAULT,
            value_parser = clap::value_parser!(u32).range(1..=JobHistoryRequest::LIMIT_MAX as i64)
        )]
        limit: u32,
    },
    /// Have a job run at once, whether or not it is due; does not wait for its end
    Run {
        #[arg(value_name = "NAME", value_parser = jobs())]
        job: String,
    },
}

#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Every key that runs, with its value and what a change of it takes
    Show,
    /// Say everything that is wrong with a file; exits with 1 if anything is
    Check {
        /// [default: the daemon's own file]
        file: Option<PathBuf>,
    },
    /// What the daemon's file says otherwise than what runs
    Diff,
    /// Read the daemon's file again and apply what can be applied; exits with 1 if it is refused
    Reload,
}

#[derive(Debug, Subcommand)]
pub enum ReplayCommand {
    /// Run a day's log again and compare with the store; exits with 1 if they differ
    ///
    /// The rules by which a day is judged stand at the head of its log. A day that was judged by the rules of another version,
    /// which its log does not have, cannot be held to them: if its rows differ that is said, with exit code 7, and is no fault.
    Verify {
        #[arg(value_parser = date)]
        date: TradingDate,
    },
    /// Print what today's rules would make of a day that is over; changes nothing, neither in the store nor in the log
    ///
    /// Replays the day's log by the rules of a day that would begin now, in place of those in the log, and compares with the
    /// store: how many rows of buckets have another state or other values, with examples, and how many rows of the other
    /// tables differ. The store keeps what was judged when the day was recorded: there is no way to apply the new judgement.
    Rejudge {
        #[arg(value_parser = date)]
        date: TradingDate,
    },
}

impl Command {
    /// What is asked of the daemon; `None` for what takes several questions, or none.
    ///
    /// # Errors
    /// A sentence on what is wrong with the arguments.
    pub fn request(&self) -> Result<Option<Request>, String> {
        let feed = |name: &FeedName| FeedRequest { feed: name.feed.clone() };
        Ok(Some(match self {
            Command::Status { .. } => Request::Status,
            Command::Actors { .. } => Request::Actors,
            Command::Feeds => Request::Feeds,
            Command::Chain { underlying, expiry, at, .. } => {
                Request::Chain(ChainRequest { underlying: underlying.clone(), expiry: *expiry, at: *at })
            }
            Command::Oi { contract: words, date } => Request::OpenInterest(OpenInterestRequest {
                contract: contract(&words.join(" "))?,
                date: *date,
            }),
            Command::Explain { contract: words, at, date } => Request::Explain(ExplainRequest {
                contract: contract(&words.join(" "))?,
                date: *date,
                at: *at,
            }),
            Command::Deltas { underlying, contract, date, limit } => Request::Deltas(DeltasRequest {
                contract: contract.clone(),
                underlying: underlying.clone(),
                date: *date,
                limit: Some(*limit),
            }),
            Command::Candles { symbol, interval, date } => Request::Candles(CandlesRequest {
                symbol: symbol.clone(),
                interval_minutes: Some(interval.minutes() as u32),
                date: *date,
            }),
            Command::Coverage { date } => Request::Coverage(CoverageRequest { date: *date }),
            Command::Watch { underlying } => Request::Watch(WatchRequest { underlying: underlying.clone() }),
            Command::Replay(ReplayCommand::Verify { date }) => {
                Request::ReplayVerify(ReplayVerifyRequest { date: *date })
            }
            Command::Replay(ReplayCommand::Rejudge { date }) => {
                Request::ReplayRejudge(ReplayRejudgeRequest { date: *date })
            }
            Command::Feed(FeedCommand::Show(name)) => Request::Feed(feed(name)),
            Command::Feed(FeedCommand::Enable(name)) => Request::EnableFeed(feed(name)),
            Command::Feed(FeedCommand::Disable(name)) => Request::DisableFeed(feed(name)),
            Command::Feed(FeedCommand::Reconnect(name)) => Request::ReconnectFeed(feed(name)),
            Command::Failover { to } => {
                Request::Failover(to.parse().map_err(|error: ControlError| error.to_string())?)
            }
            Command::Jobs { command: None | Some(JobsCommand::List) } => Request::Jobs,
            Command::Jobs { command: Some(JobsCommand::History { job, limit }) } => {
                Request::JobHistory(JobHistoryRequest { job: job.clone(), limit: Some(*limit) })
            }
            Command::Jobs { command: Some(JobsCommand::Run { job }) } => {
                Request::RunJob(JobRequest { job: job.clone() })
            }
            Command::Config(ConfigCommand::Show) => Request::Configuration,
            Command::Config(ConfigCommand::Check { file: None } | ConfigCommand::Diff) => {
                Request::CompareConfiguration
            }
            Command::Config(ConfigCommand::Reload) => Request::Reload,
            Command::Loglevel { filter: None } => Request::LogFilter,
            Command::Loglevel { filter: Some(filter) } => {
                Request::SetLogFilter(SetLogFilterRequest { filter: filter.clone() })
            }
            Command::Drain { .. } => Request::Drain,
            Command::Config(ConfigCommand::Check { file: Some(_) })
            | Command::Wait { .. }
            | Command::Bugreport { .. }
            | Command::Generate { .. } => return Ok(None),
        }))
    }
}

/// Who may be chosen.
fn destinations() -> PossibleValuesParser {
    PossibleValuesParser::new(
        Provider::ALL.iter().map(|provider| provider.name()).chain([FailoverRequest::AUTO]),
    )
}

fn jobs() -> PossibleValuesParser {
    PossibleValuesParser::new(JobName::ALL.map(JobName::name))
}

fn date(text: &str) -> Result<TradingDate, String> {
    NaiveDate::parse_from_str(text, "%Y-%m-%d").map_err(|_| "write the date as YYYY-MM-DD".to_owned())
}

/// Exchanges write symbols in upper case; people do not.
fn symbol(text: &str) -> Result<String, String> {
    let symbol = text.trim().to_ascii_uppercase();
    if symbol.is_empty() { Err("write a symbol such as NIFTY".to_owned()) } else { Ok(symbol) }
}

fn contract(text: &str) -> Result<String, String> {
    let contract: Contract = text.to_ascii_uppercase().parse().map_err(|error| format!("{error}"))?;
    Ok(contract.to_string())
}

fn interval(text: &str) -> Result<CandleInterval, String> {
    match text {
        "3m" => Ok(CandleInterval::ThreeMinutes),
        "5m" => Ok(CandleInterval::FiveMinutes),
        "day" => Ok(CandleInterval::Day),
        _ => Err("allowed are 3m, 5m and day".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::{CommandFactory, error::ErrorKind};
    use serde_json::json;

    fn request(line: &str) -> Result<Request, String> {
        let arguments = Arguments::try_parse_from(line.split(' ')).map_err(|error| error.to_string())?;
        arguments.command.request().map(|request| request.expect("one question"))
    }

    #[test]
    fn the_tree_is_sound() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn drain_says_what_starts_the_daemon_again() {
        let mut tree = Arguments::command();
        let drain = tree.find_subcommand_mut("drain").expect("a command");
        let help = drain.render_long_help().to_string();
        let words: Vec<&str> = help.split_whitespace().collect();
        assert!(words.join(" ").contains("`systemctl stop bhavd.socket bhavd`"), "{help}");
    }

    #[test]
    fn lines_become_requests() {
        for (line, verb, parameters) in [
            ("bhavctl status --check", "Status", json!({})),
            (
                "bhavctl --json chain nifty --expiry 2026-02-03 --at 11:42",
                "Chain",
                json!({"underlying": "NIFTY", "expiry": "2026-02-03", "at": "11:42:00"}),
            ),
            (
                "bhavctl oi nifty 2026-02-03 25000 ce",
                "OpenInterest",
                json!({"contract": "NIFTY 2026-02-03 25000 CE", "date": null}),
            ),
            (
                "bhavctl explain nifty 2026-02-03 25000 ce --at 10:42 --date 2026-01-30",
                "Explain",
                json!({"contract": "NIFTY 2026-02-03 25000 CE", "date": "2026-01-30", "at": "10:42:00"}),
            ),
            (
                "bhavctl deltas --underlying NIFTY",
                "Deltas",
                json!({"contract": null, "underlying": "NIFTY", "date": null, "limit": 50}),
            ),
            (
                "bhavctl candles M&M --interval 3m --date 2026-01-30",
                "Candles",
                json!({"symbol": "M&M", "interval_minutes": 3, "date": "2026-01-30"}),
            ),
            ("bhavctl coverage 2026-01-30 --json", "Coverage", json!({"date": "2026-01-30"})),
            ("bhavctl coverage", "Coverage", json!({"date": null})),
            ("bhavctl feed disable nse", "DisableFeed", json!({"feed": "nse"})),
            ("bhavctl failover nse", "Failover", json!({"to": "nse"})),
            ("bhavctl failover auto", "Failover", json!({"to": null})),
            ("bhavctl jobs", "Jobs", json!({})),
            ("bhavctl jobs list", "Jobs", json!({})),
            ("bhavctl jobs history --job verify", "JobHistory", json!({"job": "verify", "limit": 20})),
            ("bhavctl jobs run archive", "RunJob", json!({"job": "archive"})),
            ("bhavctl config check", "CompareConfiguration", json!({})),
            ("bhavctl loglevel", "LogFilter", json!({})),
            ("bhavctl loglevel debug", "SetLogFilter", json!({"filter": "debug"})),
            ("bhavctl watch", "Watch", json!({"underlying": null})),
            ("bhavctl replay verify 2026-01-30", "ReplayVerify", json!({"date": "2026-01-30"})),
            ("bhavctl replay rejudge 2026-01-30", "ReplayRejudge", json!({"date": "2026-01-30"})),
        ] {
            let request = request(line).expect(line);
            assert_eq!((request.verb().name(), request.parameters()), (verb, parameters), "{line}");
        }
    }

    #[test]
    fn wrong_lines_are_explained() {
        for (line, part) in [
            ("bhavctl coverage yesterday", "YYYY-MM-DD"),
            ("bhavctl chain NIFTY --at noon", "HH:MM"),
            ("bhavctl explain NIFTY 25000", "UNDERLYING YYYY-MM-DD STRIKE CE|PE"),
            ("bhavctl explain NIFTY 2026-02-03 25000 CE --at noon", "RFC 3339"),
            ("bhavctl oi NIFTY 25000", "UNDERLYING YYYY-MM-DD STRIKE CE|PE"),
            ("bhavctl deltas --limit 0", "1..=10000"),
            ("bhavctl failover dhan", "[possible values: angel_one, nse, auto]"),
            ("bhavctl failover", "<PROVIDER>"),
            ("bhavctl jobs run", "<NAME>"),
            ("bhavctl jobs run eod", "[possible values: day_plan, archive, retention, verify]"),
            ("bhavctl wait --for rain", "ready, drained, feed=NAME or feed=any"),
            ("bhavctl wait --for feed=", "ready, drained, feed=NAME or feed=any"),
            ("bhavctl candles NIFTY --interval 7m", "3m, 5m and day"),
            ("bhavctl deltas --underlying A --contract B", "cannot be used with"),
        ] {
            let error = request(line).expect_err(line);
            assert!(error.contains(part), "{line}: {error}");
        }
        let error = Arguments::try_parse_from(["bhavctl"]).expect_err("nothing asked");
        assert_eq!(error.kind(), ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand);
    }
}
