//! One observation of an instrument, and the rows the engines make of observations.

use super::{Bucket, BucketState, InstrumentId, Price, Provider, Timestamp, TradingDate};

/// What a provider said of one instrument at one moment, with everything already in bhavd's units.
///
/// `None` means that the provider did not say; zero means that it said zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Quote {
    /// The exchange's own time of the observation.
    pub event_time: Timestamp,
    pub last_price: Option<Price>,
    /// Units, never lots.
    pub open_interest: Option<i64>,
    /// Traded today so far, in units.
    pub volume: Option<i64>,
    pub bid: Option<Price>,
    pub ask: Option<Price>,
    /// Annual percent times 10,000: 12.34 % is 123,400.
    pub implied_volatility_e4: Option<i64>,
    /// Yesterday's final open interest in units, where the provider tells it.
    pub previous_open_interest: Option<i64>,
}

/// A closed bucket of one option contract: the last values observed before the bucket's end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BucketRow {
    pub bucket: Bucket,
    pub instrument: InstrumentId,
    pub open_interest: Option<i64>,
    /// Against yesterday's final open interest, in units.
    pub open_interest_change: Option<i64>,
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
}
