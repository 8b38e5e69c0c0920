//! Candles of last prices: five minutes and the day for every contract, three minutes for underlyings.
//!
//! A candle holds an interval's observed prices. Volume comes from differences of the cumulative volume, which is 0 at the
//! open. What was traded between two observations is the later one's interval's, as long as everything between was seen, or
//! the values before are known to have held until that interval began. Otherwise it is a sum without a place: it is in no
//! five-minute candle, only in the day's, whose volume is the last cumulative value, and the candles that it may have been
//! traded in have `resolve_required`. So the day's volume less that of its five-minute candles is what has no place.
//! What was traded between two bodies of a website on both sides of a candle's end counts in the later candle, and both are
//! marked: it is one of the two's, and most of it may be the earlier one's.
//!
//! Invariants:
//! - A candle that a span touched which was not seen has `resolve_required`; nothing is lacked where nothing was traded.
//! - A cumulative value that a later one contradicts is taken back from what was counted last, candle or not, counted by
//!   provider, and the candles that it touched are marked. Where another provider's value is smaller, it may be older.
//! - A candle that two providers made, in which something was traded, has `resolve_required`: each saw what the other did not.
//! - A candle with a price from which the market came back at once ([`outlier`]) has `resolve_required`.
//! - A price of zero, or without volume on the day, means "not traded today" and makes no candle.
//! - A candle that changes after it was emitted is restated with the next revision.
//! - The day's candle is the sum of its five-minute candles, so a tick need not touch it.

mod book;
mod forming;
mod history;
mod outlier;
mod underlying;

pub use book::{CandleBook, CandleDay, ContradictedVolume, PriceOutlier, SlotCandles};
pub use history::ContradictedBar;
pub use outlier::Priced;
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
    pub seen: Seen,
}

impl Trade {
    /// A contract that was not traded today shows the last price of a day before, or none.
    #[inline]
    fn price_of_today(&self) -> Option<Price> {
        self.last_price.filter(|price| *price > Price::ZERO && self.volume != Some(0))
    }
}

/// What was seen of the time between two observations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// Everything that happened.
    All,
    /// That it lies between two bodies within the channel's cadence; up to the instant the values before held.
    Bodies(Timestamp),
    /// Nothing since the instant up to which the values before are known to have held.
    Nothing(Timestamp),
}

impl Seen {
    /// Since when not everything was seen.
    pub fn broken_since(self) -> Option<Timestamp> {
        match self {
            Seen::All => None,
            Seen::Bodies(since) | Seen::Nothing(since) => Some(since),
        }
    }
}

#[cfg(test)]
mod tests;
