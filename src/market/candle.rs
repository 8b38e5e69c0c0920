//! Open, high, low and close over an interval.

use super::{InstrumentId, Price, Provider, Timestamp};

/// The lengths of candle bhavd keeps. The number of minutes is stored in SQL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CandleInterval {
    /// Underlyings only, beside the open-interest buckets.
    ThreeMinutes,
    FiveMinutes,
    /// One a trading date; starts at the session's open.
    Day,
}

impl CandleInterval {
    pub const fn minutes(self) -> i64 {
        match self {
            CandleInterval::ThreeMinutes => 3,
            CandleInterval::FiveMinutes => 5,
            CandleInterval::Day => 1_440,
        }
    }

    pub const fn from_minutes(minutes: i64) -> Option<CandleInterval> {
        match minutes {
            3 => Some(CandleInterval::ThreeMinutes),
            5 => Some(CandleInterval::FiveMinutes),
            1_440 => Some(CandleInterval::Day),
            _ => None,
        }
    }
}

/// A candle of last prices. Volume is in units, from differences of the cumulative volume.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candle {
    pub instrument: InstrumentId,
    pub interval: CandleInterval,
    /// Start of the interval.
    pub start: Timestamp,
    pub open: Price,
    pub high: Price,
    pub low: Price,
    pub close: Price,
    pub volume: i64,
    pub provider: Provider,
    /// 0 as first closed; one more each time a later value changed it.
    pub revision: u16,
    /// An outage touched the interval, or its volume was corrected: prices and volume may lack something.
    pub resolve_required: bool,
}

/// A candle that was emitted before an outage was found out to have touched it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct UnresolvedCandle {
    pub instrument: InstrumentId,
    pub interval: CandleInterval,
    pub start: Timestamp,
}

/// A candle as a broker's history gives it, of an instrument and interval known from the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bar {
    /// Start of the interval.
    pub start: Timestamp,
    pub open: Price,
    pub high: Price,
    pub low: Price,
    pub close: Price,
    /// Units; 0 for indices.
    pub volume: i64,
}
