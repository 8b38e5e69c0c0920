//! Candles of last prices: five minutes and the day for every contract, three minutes for underlyings.
//!
//! A candle holds an interval's observed prices. Volume comes from differences of the cumulative volume; the first
//! cumulative value of a day is a baseline. What was traded during an outage has no place in any interval: only the day's
//! volume, which is the last cumulative value, contains it, and the candles that the outage touches say so. A cumulative
//! value that a later one contradicts is taken back from the candles that got it. Prices of zero mean "never traded" and
//! make no candle. A candle that changes after it was emitted is restated with the next revision. The day's candle is the
//! sum of its five-minute candles, so a tick need not touch it.

mod book;
mod forming;
mod underlying;

pub use book::{CandleBook, CandleDay, SlotCandles};
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
    /// Of the evidence: without a break within one epoch, what was traded between two observations is known to have been
    /// traded by the second one.
    pub epoch: u16,
}
