//! A candle while it may still change.

use crate::market::{Candle, CandleInterval, InstrumentId, Price, Provider, Timestamp, UnresolvedCandle};

/// Open, high, low and close of some prices, and the volume traded with them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ohlc {
    pub open_e4: i64,
    pub high_e4: i64,
    pub low_e4: i64,
    pub close_e4: i64,
    pub volume: i64,
}

impl Ohlc {
    #[inline]
    pub fn begin(price: Price, volume: i64) -> Ohlc {
        let price_e4 = price.as_e4();
        Ohlc { open_e4: price_e4, high_e4: price_e4, low_e4: price_e4, close_e4: price_e4, volume }
    }

    #[inline]
    pub fn take(&mut self, price: Price, volume: i64) {
        self.widen(price);
        self.close_e4 = price.as_e4();
        self.volume += volume;
    }

    /// Takes a price that was not the last one.
    #[inline]
    pub fn widen(&mut self, price: Price) {
        self.high_e4 = self.high_e4.max(price.as_e4());
        self.low_e4 = self.low_e4.min(price.as_e4());
    }

    /// Widens to the prices of another one.
    pub fn contain(&mut self, other: &Ohlc) {
        self.high_e4 = self.high_e4.max(other.high_e4);
        self.low_e4 = self.low_e4.min(other.low_e4);
    }

    /// Takes all of an interval that follows.
    pub fn append(&mut self, next: &Ohlc) {
        self.contain(next);
        self.close_e4 = next.close_e4;
        self.volume += next.volume;
    }
}

/// One interval of one instrument.
#[derive(Clone, Copy, Debug)]
pub(super) struct Forming {
    pub start: Timestamp,
    pub ohlc: Ohlc,
    pub provider: Provider,
    /// How often it was emitted; 0 while it is open.
    pub told: u16,
    /// It lacks something or was corrected.
    pub is_touched: bool,
}

impl Forming {
    pub fn begin(start: Timestamp, price: Price, volume: i64, provider: Provider) -> Forming {
        Forming { start, ohlc: Ohlc::begin(price, volume), provider, told: 0, is_touched: false }
    }

    /// It lacks something, as is known now; a candle that was emitted already is to be marked.
    pub fn touch(&mut self, instrument: InstrumentId, interval: CandleInterval) -> Option<UnresolvedCandle> {
        let is_new = !std::mem::replace(&mut self.is_touched, true);
        (is_new && self.told > 0).then_some(UnresolvedCandle { instrument, interval, start: self.start })
    }

    /// `has_hole`: whether the interval has a time that was not observed.
    pub fn tell(&mut self, instrument: InstrumentId, interval: CandleInterval, has_hole: bool) -> Candle {
        let revision = self.told;
        self.told = self.told.saturating_add(1);
        Candle {
            instrument,
            interval,
            start: self.start,
            open: Price::from_e4(self.ohlc.open_e4),
            high: Price::from_e4(self.ohlc.high_e4),
            low: Price::from_e4(self.ohlc.low_e4),
            close: Price::from_e4(self.ohlc.close_e4),
            volume: self.ohlc.volume.max(0),
            provider: self.provider,
            revision,
            resolve_required: has_hole || self.is_touched,
        }
    }
}
