//! One observation of an instrument, and the rows the engines make of observations.

use super::{Bucket, BucketState, InstrumentId, OiBase, Price, Provider, Timestamp, Told, TradingDate};

/// What a provider sent of one instrument at one moment, with everything already in bhavd's units.
///
/// `None` means that the quote does not carry the quantity; zero is a zero. Prices and volatility can also be told to be
/// absent, see [`Told`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Quote {
    /// The exchange's own time of the observation.
    pub event_time: Timestamp,
    /// Absent until the first trade of the day.
    pub last_price: Told<Price>,
    /// Units, never lots.
    pub open_interest: Option<i64>,
    /// Traded today so far, in units.
    pub volume: Option<i64>,
    pub bid: Told<Price>,
    pub ask: Told<Price>,
    /// Annual percent times 10,000: 12.34 % is 123,400.
    pub implied_volatility_e4: Told<i64>,
    /// The previous session's final open interest in units, where the provider sends it.
    pub previous_open_interest: Option<i64>,
}

/// A closed bucket of one option contract: the last values observed before the bucket's end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BucketRow {
    pub bucket: Bucket,
    pub instrument: InstrumentId,
    pub open_interest: Option<i64>,
    /// Against the open interest that `oi_base` names, in units.
    pub open_interest_change: Option<i64>,
    /// What the change is against; `None` without a change.
    pub oi_base: Option<OiBase>,
    pub last_price: Option<Price>,
    pub volume: Option<i64>,
    pub bid: Option<Price>,
    pub ask: Option<Price>,
    pub implied_volatility_e4: Option<i64>,
    pub state: BucketState,
    pub provider: Option<Provider>,
    /// The exchange's time of the values, and when they reached us.
    pub event_time: Option<Timestamp>,
    pub received_time: Option<Timestamp>,
    /// 0 as first closed; one more each time a late value changed the closed row.
    pub revision: u16,
}

impl BucketRow {
    /// Revisions are counted no further: of two statements with it the later one holds.
    pub const REVISION_MAX: u16 = 31;

    /// As first closed, of a contract of which nothing is known.
    pub const fn missing(bucket: Bucket, instrument: InstrumentId) -> BucketRow {
        BucketRow {
            bucket,
            instrument,
            open_interest: None,
            open_interest_change: None,
            oi_base: None,
            last_price: None,
            volume: None,
            bid: None,
            ask: None,
            implied_volatility_e4: None,
            state: BucketState::Missing,
            provider: None,
            event_time: None,
            received_time: None,
            revision: 0,
        }
    }
}

/// A closed bucket of an underlying: how its level came to be known. The prices are in its three-minute candle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnderlyingRow {
    pub bucket: Bucket,
    pub instrument: InstrumentId,
    pub state: BucketState,
    pub provider: Option<Provider>,
    /// The exchange's time of the last level within the bucket or carried into it; `None` where there is none.
    pub event_time: Option<Timestamp>,
    /// 0 as first closed; one more each time the closed row is restated.
    pub revision: u16,
}

/// One change of a contract's open interest between two consecutive observations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OiDelta {
    pub instrument: InstrumentId,
    pub event_time: Timestamp,
    /// Tells apart changes of one contract at one event time; 0 first.
    pub seq: u16,
    pub old_open_interest: i64,
    pub new_open_interest: i64,
    pub provider: Provider,
    pub received_time: Timestamp,
}

impl OiDelta {
    pub const fn delta(&self) -> i64 {
        self.new_open_interest - self.old_open_interest
    }
}

/// A contract's last values of a day as bhavd saw them, including what came after the session's close.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DayClose {
    pub date: TradingDate,
    pub instrument: InstrumentId,
    pub open_interest: Option<i64>,
    pub last_price: Option<Price>,
    pub volume: Option<i64>,
    pub provider: Provider,
    pub event_time: Timestamp,
    /// Of the contract's last bucket: these are the day's closing values only where it is not missing, or where
    /// `event_time` is not before the close.
    pub last_state: BucketState,
    /// Buckets of the day that are missing.
    pub missing_buckets: u16,
}
