//! What the daemon answers.

use super::{
    ConfigurationResponse, ExplainResponse, FeedResponse, JobHistoryResponse, JobsResponse, ReloadResponse,
    ReplayRejudgeResponse, RunJobResponse, Verb, WallTime,
};
use crate::market::{BucketState, TradingDate};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Raised by one when a field changes its meaning or goes away. Fields may be added without raising it.
pub const SCHEMA_VERSION: u32 = 1;

/// A message with its `schema_version` beside the fields.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Versioned<T> {
    pub schema_version: u32,
    #[serde(flatten)]
    pub body: T,
}

impl<T> Versioned<T> {
    pub const fn new(body: T) -> Versioned<T> {
        Versioned { schema_version: SCHEMA_VERSION, body }
    }
}

/// Where a row's values come from; as [`BucketState`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RowState {
    Live,
    Carried,
    Backfilled,
    Missing,
    Unlisted,
}

impl From<BucketState> for RowState {
    fn from(state: BucketState) -> RowState {
        match state {
            BucketState::Live => RowState::Live,
            BucketState::Carried => RowState::Carried,
            BucketState::Backfilled => RowState::Backfilled,
            BucketState::Missing => RowState::Missing,
            BucketState::Unlisted => RowState::Unlisted,
        }
    }
}

/// The whole daemon on one page.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusResponse {
    pub version: String,
    pub pid: u32,
    /// Whether the clock and the data are simulated.
    pub simulated: bool,
    /// What the daemon's clock shows.
    pub time: WallTime,
    pub started: WallTime,
    /// The market's session in a few words: `open until 15:40`, `closed, opens 2026-02-02 09:15`.
    pub session: String,
    /// Whether its store is open, its log is read and its socket answers; a broker need not be connected.
    pub ready: bool,
    pub healthy: bool,
    /// Why it is not healthy; empty if it is.
    pub problems: Vec<String>,
    /// What an operator should know without having to do anything today.
    #[serde(default)]
    pub notices: Vec<String>,
    pub underlyings: u64,
    pub contracts: u64,
    pub feeds_up: u64,
    pub feeds: u64,
    pub choice: ProviderChoice,
    /// Ticks taken since the start.
    pub ticks: u64,
    /// Option chains left out since the start because they were of another day.
    pub stale_bodies: u64,
    /// Event time up to which everything is taken in.
    pub watermark: Option<WallTime>,
    /// Start of the last bucket that was closed.
    pub last_bucket: Option<WallTime>,
    pub store: StoreStatus,
    pub spool: SpoolStatus,
    /// `memory`, `redis`, `redis away`.
    pub live: String,
    /// Resident memory.
    pub memory_bytes: u64,
}

/// Which provider counts, and who chose it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProviderChoice {
    /// The provider whose values count; `None` while no feed is up.
    pub active: Option<String>,
    /// The provider that an operator forced; `None` for the order of preference. While it is down another one is active.
    pub forced: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoreStatus {
    /// Where the rows go, without any secret: `sqlite:/var/lib/bhavd/bhavd.sqlite`.
    pub url: String,
    /// Whether the last write was accepted.
    pub up: bool,
    /// The log's record up to which every row is committed.
    pub committed_seq: u64,
    pub last_commit: Option<WallTime>,
    /// Rows that wait to be written.
    pub pending_rows: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpoolStatus {
    pub dir: String,
    /// The last record appended.
    pub last_seq: u64,
    /// Of all days. What somebody removed by hand counts until the daemon starts again.
    pub files: u64,
    pub bytes: u64,
    /// Bytes that a loss of power may take because the disk refused some of them; 0 while it takes all.
    pub unsynced_bytes: u64,
}

/// The actors, in the order of the tree: each parent before its children.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActorsResponse {
    pub actors: Vec<ActorRow>,
    /// Threads that were given up because an actor blocks them: those that have not come back, and all there ever were.
    pub zombies: u64,
    pub zombies_total: u64,
}

/// Read from atomics: an actor that hangs is shown all the same.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActorRow {
    /// Names from the root's children down, with slashes: `feeds/angel_one`; the root has its own name.
    pub path: String,
    /// The supervisor's path; empty for the root.
    pub parent: String,
    /// `running`, `stopping`, `restarting`, `backing off`, `hung`, `stopped`, `failed`.
    pub state: String,
    pub critical: bool,
    /// Counts the lives of the actor: 1 is the first.
    pub incarnation: u64,
    pub restarts: u64,
    /// How its lives ended: by errors, by panics, without a sign of life, by blocking a thread, by losing the thread to
    /// another that blocked it.
    pub errors: u64,
    pub panics: u64,
    pub hangs: u64,
    pub blocked: u64,
    pub displaced: u64,
    /// How long ago its present life last did a piece of work, in ms; `None` before the first life.
    pub progress_age_ms: Option<u64>,
    /// How long ago it last showed that it lives, working or waiting, in ms. Past its heartbeat it counts as hung.
    pub pulse_age_ms: Option<u64>,
    /// Whether it waits for somebody else, such as a full queue.
    pub waiting: bool,
    /// Time in the handler that half and 99 of 100 turns do not exceed.
    pub handler_p50_us: Option<u64>,
    pub handler_p99_us: Option<u64>,
    /// Messages that wait, how many may, and the most that ever did; `None` for an actor without a queue.
    pub queue: Option<u64>,
    pub queue_max: Option<u64>,
    pub queue_high_water: Option<u64>,
    /// Age of the oldest message that waits or is being handled.
    pub queue_oldest_ms: Option<u64>,
    /// Messages that the queue took since the daemon's start.
    pub queue_accepted: Option<u64>,
    /// How often the queue was nearly full and made those who bring messages wait until half of it was free.
    pub queue_pauses: Option<u64>,
    /// Messages that a full queue gave back to who brought them; 0 for an actor without a queue.
    pub rejected: u64,
    /// Messages that the queue took and then gave up for later ones; 0 for an actor without a queue.
    pub dropped: u64,
    /// Messages left out because they ended two lives of the actor.
    pub set_aside: u64,
    /// Why it last restarted or stopped; empty if it never did.
    pub last_exit: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeedsResponse {
    pub feeds: Vec<FeedRow>,
    pub choice: ProviderChoice,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeedRow {
    pub provider: String,
    /// As [`crate::feed::FeedState::name`].
    pub state: String,
    pub subscribed: u64,
    pub frames: u64,
    pub requests: u64,
    pub errors: u64,
    pub reconnects: u64,
    pub last_frame: Option<WallTime>,
    /// The newest time of the exchange.
    pub last_event: Option<WallTime>,
    /// Empty if there was none.
    pub last_error: String,
}

/// An option chain at one moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChainResponse {
    pub underlying: String,
    pub expiry: TradingDate,
    /// Every watched expiry of the underlying, nearest first.
    pub expiries: Vec<TradingDate>,
    /// The moment the chain shows: the newest event time of a live chain, or the end of the bucket asked for.
    pub time: WallTime,
    /// Whether this is the live state; else it is a closed bucket.
    pub live: bool,
    /// Last level of the underlying.
    pub level_e4: Option<i64>,
    /// Providers whose values appear in the rows.
    pub providers: Vec<String>,
    /// By strike, lowest first.
    pub rows: Vec<ChainRow>,
}

impl ChainResponse {
    /// The strike nearest to the underlying's level, the lower of two equally near.
    pub fn at_the_money_e4(&self) -> Option<i64> {
        let level_e4 = self.level_e4?;
        self.rows.iter().map(|row| row.strike_e4).min_by_key(|strike_e4| strike_e4.abs_diff(level_e4))
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChainRow {
    pub strike_e4: i64,
    pub call: Option<ChainSide>,
    pub put: Option<ChainSide>,
}

/// A call or a put of a chain. `None` where nobody said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChainSide {
    pub open_interest: Option<i64>,
    /// Against yesterday's final.
    pub open_interest_change: Option<i64>,
    pub volume: Option<i64>,
    pub last_price_e4: Option<i64>,
    pub bid_e4: Option<i64>,
    pub ask_e4: Option<i64>,
    /// Annual percent times 10,000.
    pub implied_volatility_e4: Option<i64>,
    pub state: RowState,
    pub provider: Option<String>,
    pub event_time: Option<WallTime>,
}

impl ChainSide {
    /// Of a contract that is watched and of which nothing was seen.
    pub const UNSEEN: ChainSide = ChainSide {
        open_interest: None,
        open_interest_change: None,
        volume: None,
        last_price_e4: None,
        bid_e4: None,
        ask_e4: None,
        implied_volatility_e4: None,
        state: RowState::Missing,
        provider: None,
        event_time: None,
    };
}

/// One contract's buckets of a day, earliest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenInterestResponse {
    pub contract: String,
    pub date: TradingDate,
    pub rows: Vec<OpenInterestRow>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenInterestRow {
    /// Start of the bucket.
    pub bucket: WallTime,
    pub open_interest: Option<i64>,
    pub open_interest_change: Option<i64>,
    /// What the change is against, as [`crate::market::OiBase::name`]; `None` without a change, and in rows of stores
    /// that had no bases yet.
    #[serde(default)]
    pub oi_base: Option<String>,
    pub last_price_e4: Option<i64>,
    pub volume: Option<i64>,
    pub state: RowState,
    pub provider: Option<String>,
    pub revision: u32,
}

/// Changes of open interest, newest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeltasResponse {
    pub date: TradingDate,
    pub rows: Vec<DeltaRow>,
    /// Whether the limit left out earlier ones.
    pub truncated: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeltaRow {
    pub contract: String,
    pub event_time: WallTime,
    pub old_open_interest: i64,
    pub new_open_interest: i64,
    pub delta: i64,
    pub provider: String,
    pub received_time: WallTime,
}

/// Candles of a day, earliest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CandlesResponse {
    pub symbol: String,
    pub interval_minutes: u32,
    pub date: TradingDate,
    pub rows: Vec<CandleRow>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CandleRow {
    pub start: WallTime,
    pub open_e4: i64,
    pub high_e4: i64,
    pub low_e4: i64,
    pub close_e4: i64,
    /// `None` where it is not known, as it is of an index.
    pub volume: Option<i64>,
    pub provider: String,
    pub revision: u32,
    /// An outage touched the interval, or its volume was corrected: the candle may lack something.
    #[serde(default)]
    pub resolve_required: bool,
}

/// How many (contract, bucket) pairs of a day stand in which state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CoverageResponse {
    pub date: TradingDate,
    /// Buckets of the session; those that have ended on a day that is not over.
    pub buckets: u64,
    pub rows: Vec<CoverageRow>,
    /// Watched, but no provider listed an option of it: how much of it is missing is not known.
    #[serde(default)]
    pub never_listed: Vec<String>,
    /// Stretches in which nothing was watched and nothing has been learned since, longest first, 20 at most.
    pub gaps: Vec<CoverageGap>,
}

/// Counts of one underlying's (contract, bucket) pairs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CoverageRow {
    pub underlying: String,
    pub contracts: u64,
    pub live: u64,
    pub carried: u64,
    pub backfilled: u64,
    pub missing: u64,
    /// Over, and without a row yet, since its source may still prove it: neither covered nor missing, and no part of what is
    /// known.
    #[serde(default)]
    pub pending: u64,
    /// Before the exchange listed the contract: neither covered nor missing.
    #[serde(default)]
    pub unlisted: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CoverageGap {
    pub underlying: String,
    /// Contracts of the underlying that miss exactly this stretch.
    pub contracts: u64,
    /// Start of the first bucket and end of the last.
    pub from: WallTime,
    pub to: WallTime,
}

/// Whether a day's log gives again what the store holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplayVerifyResponse {
    pub date: TradingDate,
    pub equal: bool,
    /// Whose rules the day's rows follow.
    #[serde(default)]
    pub judged_by: JudgedBy,
    /// Records of the log that were replayed.
    pub records: u64,
    pub rows: Vec<ReplayRow>,
    /// Parts of the log that are lost, in words: where rows differ, the log does not say which side is right.
    #[serde(default)]
    pub losses: Vec<String>,
    /// What a clock that was ahead received among the day's records, which counts for no day; in words.
    #[serde(default)]
    pub set_aside: Vec<String>,
    /// What they likely come of, where that is known; then the first differences in words, 20 at most.
    pub differences: Vec<String>,
    pub took_ms: u64,
}

/// Whose rules the rows of a day follow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JudgedBy {
    /// Those in the day's log, as this version reads them.
    Log,
    /// Those of another version, which are not in the log: what the replay gives otherwise is no fault.
    OtherVersion,
    /// The log's head is lost, or an earlier daemon does not say.
    #[default]
    NotKnown,
}

impl ReplayVerifyResponse {
    /// Whether rows differ and the log lacks a part of the day, so that nothing can be held to it.
    pub fn is_incomplete(&self) -> bool {
        !self.equal && !self.losses.is_empty()
    }

    /// Whether other rules than those of the replay judged the day, so that its rows differ.
    pub fn is_of_other_rules(&self) -> bool {
        !self.equal && !self.is_incomplete() && self.judged_by == JudgedBy::OtherVersion
    }
}

/// One kind of row in the comparison.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplayRow {
    /// `buckets`, `deltas`, `candles`, `coverage`.
    pub what: String,
    pub stored: u64,
    pub replayed: u64,
    /// Rows that only one side has, or that are not equal.
    pub different: u64,
}

/// An order of which provider is to count.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailoverResponse {
    pub choice: ProviderChoice,
    /// Whether the pipeline has come to the order, so that the choice follows from it. Else it is in the log and will.
    pub is_applied: bool,
}

/// What is logged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogFilterResponse {
    pub filter: String,
    /// What the configuration says.
    pub configured: String,
}

/// The daemon has begun to end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DrainResponse {
    /// The process to wait for.
    pub pid: u32,
    /// After which whatever is left is cut off.
    pub within_s: u64,
}

/// Everything that is answered at once; [`super::Verb::Watch`] answers by [`super::Update`]s instead.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Response {
    Status(StatusResponse),
    Actors(ActorsResponse),
    Feeds(FeedsResponse),
    Chain(ChainResponse),
    OpenInterest(OpenInterestResponse),
    Deltas(DeltasResponse),
    Candles(CandlesResponse),
    Coverage(CoverageResponse),
    ReplayVerify(ReplayVerifyResponse),
    Explain(ExplainResponse),
    ReplayRejudge(ReplayRejudgeResponse),
    Feed(FeedResponse),
    EnableFeed(FeedResponse),
    DisableFeed(FeedResponse),
    ReconnectFeed(FeedResponse),
    Failover(FailoverResponse),
    Configuration(ConfigurationResponse),
    CompareConfiguration(ReloadResponse),
    Reload(ReloadResponse),
    LogFilter(LogFilterResponse),
    SetLogFilter(LogFilterResponse),
    Drain(DrainResponse),
    Jobs(JobsResponse),
    JobHistory(JobHistoryResponse),
    RunJob(RunJobResponse),
}

impl Response {
    /// Whether its frame takes a moment to make: it may have thousands of rows.
    pub fn is_bulky(&self) -> bool {
        const ROWS: usize = 500;
        let rows = match self {
            Response::Deltas(deltas) => deltas.rows.len(),
            Response::JobHistory(history) => history.runs.len(),
            Response::Chain(chain) => chain.rows.len(),
            Response::Coverage(coverage) => coverage.rows.len(),
            _ => 0,
        };
        rows > ROWS
    }

    /// The verb this answers.
    pub const fn verb(&self) -> Verb {
        match self {
            Response::Status(_) => Verb::Status,
            Response::Actors(_) => Verb::Actors,
            Response::Feeds(_) => Verb::Feeds,
            Response::Chain(_) => Verb::Chain,
            Response::OpenInterest(_) => Verb::OpenInterest,
            Response::Deltas(_) => Verb::Deltas,
            Response::Candles(_) => Verb::Candles,
            Response::Coverage(_) => Verb::Coverage,
            Response::ReplayVerify(_) => Verb::ReplayVerify,
            Response::Explain(_) => Verb::Explain,
            Response::ReplayRejudge(_) => Verb::ReplayRejudge,
            Response::Feed(_) => Verb::Feed,
            Response::EnableFeed(_) => Verb::EnableFeed,
            Response::DisableFeed(_) => Verb::DisableFeed,
            Response::ReconnectFeed(_) => Verb::ReconnectFeed,
            Response::Failover(_) => Verb::Failover,
            Response::Configuration(_) => Verb::Configuration,
            Response::CompareConfiguration(_) => Verb::CompareConfiguration,
            Response::Reload(_) => Verb::Reload,
            Response::LogFilter(_) => Verb::LogFilter,
            Response::SetLogFilter(_) => Verb::SetLogFilter,
            Response::Drain(_) => Verb::Drain,
            Response::Jobs(_) => Verb::Jobs,
            Response::JobHistory(_) => Verb::JobHistory,
            Response::RunJob(_) => Verb::RunJob,
        }
    }

    /// From the parameters of a reply to `verb`. Fields that are not known are ignored.
    ///
    /// # Errors
    /// The reply is none to `verb`.
    pub fn decode(verb: Verb, parameters: Value) -> Result<Response, serde_json::Error> {
        use serde_json::from_value;
        match verb {
            Verb::Status => from_value(parameters).map(Response::Status),
            Verb::Actors => from_value(parameters).map(Response::Actors),
            Verb::Feeds => from_value(parameters).map(Response::Feeds),
            Verb::Chain => from_value(parameters).map(Response::Chain),
            Verb::OpenInterest => from_value(parameters).map(Response::OpenInterest),
            Verb::Deltas => from_value(parameters).map(Response::Deltas),
            Verb::Candles => from_value(parameters).map(Response::Candles),
            Verb::Coverage => from_value(parameters).map(Response::Coverage),
            Verb::ReplayVerify => from_value(parameters).map(Response::ReplayVerify),
            Verb::Explain => from_value(parameters).map(Response::Explain),
            Verb::ReplayRejudge => from_value(parameters).map(Response::ReplayRejudge),
            Verb::Feed => from_value(parameters).map(Response::Feed),
            Verb::EnableFeed => from_value(parameters).map(Response::EnableFeed),
            Verb::DisableFeed => from_value(parameters).map(Response::DisableFeed),
            Verb::ReconnectFeed => from_value(parameters).map(Response::ReconnectFeed),
            Verb::Failover => from_value(parameters).map(Response::Failover),
            Verb::Configuration => from_value(parameters).map(Response::Configuration),
            Verb::CompareConfiguration => from_value(parameters).map(Response::CompareConfiguration),
            Verb::Reload => from_value(parameters).map(Response::Reload),
            Verb::LogFilter => from_value(parameters).map(Response::LogFilter),
            Verb::SetLogFilter => from_value(parameters).map(Response::SetLogFilter),
            Verb::Drain => from_value(parameters).map(Response::Drain),
            Verb::Jobs => from_value(parameters).map(Response::Jobs),
            Verb::JobHistory => from_value(parameters).map(Response::JobHistory),
            Verb::RunJob => from_value(parameters).map(Response::RunJob),
            Verb::Watch => Err(serde::de::Error::custom("Watch answers by a stream")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::market::Timestamp;

    fn chain(level_e4: Option<i64>) -> ChainResponse {
        let row = |strike_e4| ChainRow { strike_e4, call: None, put: None };
        let expiry = TradingDate::from_ymd_opt(2026, 2, 3).expect("a date");
        ChainResponse {
            underlying: "NIFTY".to_owned(),
            expiry,
            expiries: vec![expiry],
            time: WallTime(Timestamp::from_us(0)),
            live: true,
            level_e4,
            providers: Vec::new(),
            rows: [100, 200, 300].map(row).to_vec(),
        }
    }

    #[test]
    fn the_nearest_strike_is_at_the_money() {
        let nearest = |level_e4| chain(level_e4).at_the_money_e4();
        assert_eq!(nearest(None), None);
        assert_eq!(
            [0, 149, 150, 151, 9_999].map(|level| nearest(Some(level)).expect("a strike")),
            [100, 100, 100, 200, 300]
        );
    }

    #[test]
    fn what_an_earlier_daemon_leaves_out_is_nothing() {
        let row = r#"{"underlying":"NIFTY","contracts":1,"live":1,"carried":0,"backfilled":0,"missing":0}"#;
        let row: CoverageRow = serde_json::from_str(row).expect("a row");
        assert_eq!((row.live, row.unlisted), (1, 0));
        let row = r#"{"start":"2026-01-30T09:15:00+05:30","open_e4":1,"high_e4":1,"low_e4":1,"close_e4":1,
            "volume":0,"provider":"nse","revision":0}"#;
        let row: CandleRow = serde_json::from_str(row).expect("a row");
        assert!(!row.resolve_required);
        let row = r#"{"bucket":"2026-01-30T09:15:00+05:30","open_interest":1,"open_interest_change":1,
            "last_price_e4":null,"volume":null,"state":"live","provider":null,"revision":0}"#;
        let row: OpenInterestRow = serde_json::from_str(row).expect("a row");
        assert_eq!(row.oi_base, None);
    }

    #[test]
    fn the_version_stands_beside_the_fields() {
        let response = Response::Chain(chain(None));
        let json = serde_json::to_value(Versioned::new(&response)).expect("JSON");
        assert_eq!(json["schema_version"], 1);
        assert_eq!(json["underlying"], "NIFTY");
        assert_eq!(Response::decode(Verb::Chain, json).expect("a chain"), response);
    }
}
