//! What the bus is shown of the daemon, and the daemon as the bus sees it.

use crate::{
    control::{ActorRow, FeedRow, ProviderChoice, Service},
    market::{Timestamp, TradingDate},
};

/// What changes slowly, at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Overview {
    pub version: &'static str,
    pub pid: u32,
    /// Whether the clock and the data are simulated.
    pub simulated: bool,
    pub started: Timestamp,
    pub healthy: bool,
    /// Why it is not healthy; empty if it is.
    pub problems: Vec<String>,
    /// The market's session in a few words, as in [`crate::control::StatusResponse`].
    pub session: String,
    pub store_up: bool,
    /// `memory`, `redis`, `redis away`.
    pub live: String,
    pub choice: ProviderChoice,
    /// The session that is recorded whole: every bucket is closed and written. `None` while it is not.
    pub completed_day: Option<TradingDate>,
    pub feeds: Vec<FeedRow>,
    pub actors: Vec<ActorRow>,
    /// The latest gaps, oldest first.
    pub gaps: Vec<Gap>,
}

/// A span of a session in which a provider was not watched; known once it is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gap {
    /// Counts the gaps of this process from 1.
    pub number: u64,
    pub provider: String,
    pub from: Timestamp,
    pub to: Timestamp,
    pub reason: String,
}

/// What changes too often to be told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Ticks taken since the start.
    pub ticks: u64,
    /// Event time up to which everything is taken in.
    pub watermark: Option<Timestamp>,
    pub buckets_closed: u64,
    /// The log's last record, and the record up to which every row is committed.
    pub last_seq: u64,
    pub committed_seq: u64,
    pub last_commit: Option<Timestamp>,
    /// Rows that wait to be written.
    pub pending_rows: u64,
}

/// What the daemon implements to be on the bus. Everything but [`Service::handle`] reads atomics and short locked texts and
/// never waits for another child: it is called for every property that somebody reads.
pub trait Daemon: Service + Send + Sync + 'static {
    fn overview(&self) -> Overview;

    fn counters(&self) -> Counters;

    /// `None` for a feed that is not there (any more).
    fn feed(&self, provider: &str) -> Option<FeedRow>;
}
