//! `org.bhavd.Bhavd1.Manager`: the daemon.

use super::{
    Overview, board::Board, calls::Calls, changes::Changed, dictionary::Dictionary, refusal::Refusal,
};
use crate::{
    control::Request,
    market::{Timestamp, TradingDate},
};
use std::sync::Arc;
use zbus::{Connection, Variant, interface, message::Header, object_server::SignalEmitter};

#[derive(Debug)]
pub(super) struct Manager {
    pub board: Arc<Board>,
    pub calls: Calls,
}

/// The properties whose changes are told, as [`Manager`] gives them.
pub(super) fn told(overview: &Overview) -> Changed {
    Changed::from([
        ("Healthy", Variant::from(overview.healthy)),
        ("Problems", Variant::from(overview.problems.clone())),
        ("Session", Variant::from(overview.session.clone())),
        ("StoreUp", Variant::from(overview.store_up)),
        ("LiveState", Variant::from(overview.live.clone())),
        ("ActiveProvider", Variant::from(overview.choice.active.clone().unwrap_or_default())),
        ("ForcedProvider", Variant::from(overview.choice.forced.clone().unwrap_or_default())),
        ("CompletedDay", Variant::from(date_text(overview.completed_day))),
        ("FeedsUp", Variant::from(feeds_up(overview))),
    ])
}

fn feeds_up(overview: &Overview) -> u32 {
    let up = overview.feeds.iter().filter(|feed| feed.state == crate::feed::FeedState::Up.name()).count();
    u32::try_from(up).unwrap_or(u32::MAX)
}

fn date_text(date: Option<TradingDate>) -> String {
    date.map_or_else(String::new, |date| date.to_string())
}

/// Microseconds of UTC as systemd writes instants; 0 for none.
pub(super) fn instant_us(instant: Option<Timestamp>) -> u64 {
    instant.and_then(|instant| u64::try_from(instant.as_us()).ok()).unwrap_or(0)
}

/// The daemon that records the Indian options market.
#[interface(name = "org.bhavd.Bhavd1.Manager")]
impl Manager {
    /// The whole daemon on one page, as `bhavctl status` shows it.
    #[zbus(out_args("status"))]
    async fn status(
        &self,
        #[zbus(connection)] connection: &Connection,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<Dictionary, Refusal> {
        self.calls.ask(Request::Status, connection, &header).await
    }

    /// The supervision tree, as `bhavctl actors` shows it.
    #[zbus(out_args("actors"))]
    async fn actors(
        &self,
        #[zbus(connection)] connection: &Connection,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<Dictionary, Refusal> {
        self.calls.ask(Request::Actors, connection, &header).await
    }

    /// The connections to providers, as `bhavctl feeds` shows them.
    #[zbus(out_args("feeds"))]
    async fn feeds(
        &self,
        #[zbus(connection)] connection: &Connection,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<Dictionary, Refusal> {
        self.calls.ask(Request::Feeds, connection, &header).await
    }

    /// Reads the configuration file again and applies what can be applied, as `bhavctl config reload` does. A file that is
    /// refused is told in the report, not by an error. For root, the daemon's user and group, configured admins, and whoever
    /// polkit allows org.bhavd.Bhavd1.manage.
    #[zbus(out_args("report"))]
    async fn reload(
        &self,
        #[zbus(connection)] connection: &Connection,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<Dictionary, Refusal> {
        self.calls.ask(Request::Reload, connection, &header).await
    }

    /// Forces a provider, `angel_one` or `nse`: its values count whenever it is up; or `auto`, which leaves the choice to the
    /// order of preference. Holds until the next such order, over restarts as well. For the same callers as Reload.
    #[zbus(out_args("choice"))]
    async fn failover(
        &self,
        to: &str,
        #[zbus(connection)] connection: &Connection,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<Dictionary, Refusal> {
        self.calls.ask(Request::Failover(to.parse()?), connection, &header).await
    }

    /// Ends the daemon in order: feeds first, then whatever they brought is written. Returns when it has begun. For the same
    /// callers as Reload.
    async fn drain(
        &self,
        #[zbus(connection)] connection: &Connection,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<(), Refusal> {
        self.calls.ask(Request::Drain, connection, &header).await.map(|_| ())
    }

    #[zbus(property(emits_changed_signal = "const"))]
    fn version(&self) -> String {
        self.board.shown().version.to_owned()
    }

    #[zbus(property(emits_changed_signal = "const"), name = "ProcessID")]
    fn process_id(&self) -> u32 {
        self.board.shown().pid
    }

    /// Whether the clock and the data are simulated.
    #[zbus(property(emits_changed_signal = "const"))]
    fn simulated(&self) -> bool {
        self.board.shown().simulated
    }

    #[zbus(property(emits_changed_signal = "const"), name = "StartedUSec")]
    fn started(&self) -> u64 {
        instant_us(Some(self.board.shown().started))
    }

    #[zbus(property)]
    fn healthy(&self) -> bool {
        self.board.shown().healthy
    }

    /// Why it is not healthy; empty if it is.
    #[zbus(property)]
    fn problems(&self) -> Vec<String> {
        self.board.shown().problems.clone()
    }

    /// The market's session in a few words.
    #[zbus(property)]
    fn session(&self) -> String {
        self.board.shown().session.clone()
    }

    /// Whether the last write to SQL was accepted.
    #[zbus(property)]
    fn store_up(&self) -> bool {
        self.board.shown().store_up
    }

    /// `memory`, `redis`, `redis away`.
    #[zbus(property)]
    fn live_state(&self) -> String {
        self.board.shown().live.clone()
    }

    /// The provider whose values count; empty while no feed is up.
    #[zbus(property)]
    fn active_provider(&self) -> String {
        self.board.shown().choice.active.clone().unwrap_or_default()
    }

    /// The provider that an operator forced; empty if nobody is forced. Another one is active while it is down.
    #[zbus(property)]
    fn forced_provider(&self) -> String {
        self.board.shown().choice.forced.clone().unwrap_or_default()
    }

    /// The last session that was recorded whole; empty before the first since the start.
    #[zbus(property)]
    fn completed_day(&self) -> String {
        date_text(self.board.shown().completed_day)
    }

    #[zbus(property)]
    fn feeds_up(&self) -> u32 {
        feeds_up(&self.board.shown())
    }

    /// Ticks taken since the start.
    #[zbus(property(emits_changed_signal = "false"))]
    fn ticks(&self) -> u64 {
        self.board.counters().ticks
    }

    /// Event time up to which everything is taken in.
    #[zbus(property(emits_changed_signal = "false"), name = "WatermarkUSec")]
    fn watermark(&self) -> u64 {
        instant_us(self.board.counters().watermark)
    }

    /// Buckets of the session that are closed.
    #[zbus(property(emits_changed_signal = "false"))]
    fn buckets_closed(&self) -> u64 {
        self.board.counters().buckets_closed
    }

    /// The last record of the log.
    #[zbus(property(emits_changed_signal = "false"))]
    fn last_record(&self) -> u64 {
        self.board.counters().last_seq
    }

    /// The log's record up to which every row is committed.
    #[zbus(property(emits_changed_signal = "false"))]
    fn committed_record(&self) -> u64 {
        self.board.counters().committed_seq
    }

    #[zbus(property(emits_changed_signal = "false"), name = "LastCommitUSec")]
    fn last_commit(&self) -> u64 {
        instant_us(self.board.counters().last_commit)
    }

    /// Rows that wait to be written.
    #[zbus(property(emits_changed_signal = "false"))]
    fn pending_rows(&self) -> u64 {
        self.board.counters().pending_rows
    }

    /// A provider was not watched for a span of the session, which is over.
    #[zbus(signal)]
    pub async fn gap(
        emitter: &SignalEmitter<'_>,
        provider: &str,
        from_usec: u64,
        to_usec: u64,
        reason: &str,
    ) -> zbus::Result<()>;

    /// Another provider's values count.
    #[zbus(signal)]
    pub async fn provider_switched(emitter: &SignalEmitter<'_>, from: &str, to: &str) -> zbus::Result<()>;

    /// A session is recorded whole: its last bucket is closed and written.
    #[zbus(signal)]
    pub async fn day_completed(emitter: &SignalEmitter<'_>, date: &str) -> zbus::Result<()>;

    /// An actor failed and was started again.
    #[zbus(signal)]
    pub async fn actor_restarted(
        emitter: &SignalEmitter<'_>,
        path: &str,
        incarnation: u64,
        restarts: u64,
        reason: &str,
    ) -> zbus::Result<()>;

    /// A supervisor gave up on its actors. With `root` the daemon ends.
    #[zbus(signal)]
    pub async fn escalated(emitter: &SignalEmitter<'_>, supervisor: &str, reason: &str) -> zbus::Result<()>;
}
