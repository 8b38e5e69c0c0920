//! Candles of last prices: five minutes and the day for every contract, three minutes for underlyings.
//!
//! A candle holds an interval's observed prices. Volume comes from differences of the cumulative volume; the first
//! cumulative value of a day is a baseline, and a value from another provider re-bases without a difference. Prices of
//! zero mean "never traded" and make no candle. A candle that was told already and then changes is told again with
//! the next revision. The day's candle is the sum of its five-minute candles, so a tick need not touch it.

mod book;
mod forming;
mod underlying;

pub use book::{CandleBook, SlotCandles};
pub use underlying::UnderlyingCandles;

use crate::market::{Price, Provider, Timestamp};

/// What an observation tells of trading.
#[derive(Clone, Copy, Debug)]
pub struct Trade {
    pub event_time: Timestamp,
    pub last_price: Option<Price>,
    /// Cumulative volume of the day.
    pub volume: Option<i64>,
    pub provider: Provider,
}
