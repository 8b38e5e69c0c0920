//! The last values of an instrument, in one cache line.

use crate::market::{Price, Provider, Quote, Timestamp, Told};

/// Stands for "not said" in the packed fields.
const NONE: i64 = i64::MIN;
const NONE_IV: i32 = i32::MIN;

/// What is known of one instrument after its latest observation: the latest value of each field.
///
/// 64 bytes in one line, because the tick path is bound by memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(align(64))]
pub struct Observation {
    event_us: i64,
    received_us: i64,
    open_interest: i64,
    last_price_e4: i64,
    volume: i64,
    bid_e4: i64,
    ask_e4: i64,
    implied_volatility_e4: i32,
    provider: Option<Provider>,
    /// Whether open interest was observed within the session: the first value is a baseline, not a change.
    has_baseline: bool,
    /// Changes of open interest already told at this event time.
    pub(super) deltas_at_event: u16,
}

const _: () = assert!(size_of::<Observation>() == 64);

impl Default for Observation {
    fn default() -> Observation {
        Observation {
            event_us: NONE,
            received_us: NONE,
            open_interest: NONE,
            last_price_e4: NONE,
            volume: NONE,
            bid_e4: NONE,
            ask_e4: NONE,
            implied_volatility_e4: NONE_IV,
            provider: None,
            has_baseline: false,
            deltas_at_event: 0,
        }
    }
}

#[inline]
fn packed(value: i64) -> Option<i64> {
    (value != NONE).then_some(value)
}

/// What a source leaves out stays.
#[inline]
fn take_price(kept: &mut i64, told: Told<Price>) {
    match told {
        Told::NotTold => {}
        Told::Nothing => *kept = NONE,
        Told::Value(price) => *kept = price.as_e4(),
    }
}

impl Observation {
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.event_us == NONE
    }

    /// Earlier than any real one while empty.
    #[inline]
    pub fn event_time(&self) -> Timestamp {
        Timestamp::from_us(self.event_us)
    }

    #[inline]
    pub fn received_time(&self) -> Timestamp {
        Timestamp::from_us(self.received_us)
    }

    #[inline]
    pub fn provider(&self) -> Option<Provider> {
        self.provider
    }

    #[inline]
    pub fn open_interest(&self) -> Option<i64> {
        packed(self.open_interest)
    }

    #[inline]
    pub fn last_price(&self) -> Option<Price> {
        packed(self.last_price_e4).map(Price::from_e4)
    }

    #[inline]
    pub fn volume(&self) -> Option<i64> {
        packed(self.volume)
    }

    pub fn bid(&self) -> Option<Price> {
        packed(self.bid_e4).map(Price::from_e4)
    }

    pub fn ask(&self) -> Option<Price> {
        packed(self.ask_e4).map(Price::from_e4)
    }

    pub fn implied_volatility_e4(&self) -> Option<i64> {
        (self.implied_volatility_e4 != NONE_IV).then_some(i64::from(self.implied_volatility_e4))
    }

    /// The open interest that a further value is a change of.
    #[inline]
    pub(super) fn baseline(&self) -> Option<i64> {
        if self.has_baseline { packed(self.open_interest) } else { None }
    }

    /// What the next value is a change of is not known.
    pub(super) fn forget_baseline(&mut self) {
        self.has_baseline = false;
    }

    /// Takes over what `quote` says; what it does not say stays. Values from before the session are no baseline,
    /// and their volume is another day's.
    #[inline]
    pub(super) fn take(&mut self, provider: Provider, quote: &Quote, received: Timestamp, in_session: bool) {
        if quote.event_time.as_us() != self.event_us {
            self.deltas_at_event = 0;
        }
        self.event_us = quote.event_time.as_us();
        self.received_us = received.as_us();
        self.provider = Some(provider);
        if let Some(open_interest) = quote.open_interest {
            self.open_interest = open_interest;
            self.has_baseline |= in_session;
        }
        take_price(&mut self.last_price_e4, quote.last_price);
        if let (Some(volume), true) = (quote.volume, in_session) {
            self.volume = volume;
        }
        take_price(&mut self.bid_e4, quote.bid);
        take_price(&mut self.ask_e4, quote.ask);
        match quote.implied_volatility_e4 {
            Told::NotTold => {}
            Told::Nothing => self.implied_volatility_e4 = NONE_IV,
            Told::Value(iv) => self.implied_volatility_e4 = i32::try_from(iv).unwrap_or(NONE_IV),
        }
    }

    /// What shows movement, in a number: open interest, volume, last price, bid and ask. Never 0.
    pub(super) fn traded_values(&self) -> u64 {
        const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;
        let values = [self.open_interest, self.volume, self.last_price_e4, self.bid_e4, self.ask_e4];
        let mix = |mixed: u64, value: &i64| (mixed ^ *value as u64).wrapping_mul(FACTOR).rotate_left(29);
        values.iter().fold(FACTOR, mix).max(1)
    }

    /// The stamp of these values proves nothing after `since`.
    pub(super) fn take_back_stamp(&mut self, since: Timestamp) {
        if !self.is_empty() {
            self.event_us = self.event_us.min(since.as_us());
        }
    }

    /// Whether a quote says that nothing was traded since, nor the open interest changed. Where it says nothing of volume, it
    /// does not; nor where the price is another: bodies with a new price and the old volume have been recorded.
    pub(super) fn has_same_trades(&self, quote: &Quote) -> bool {
        quote.volume.is_some()
            && quote.volume == self.volume()
            && (quote.open_interest.is_none() || quote.open_interest == self.open_interest())
            && (quote.last_price.value().is_none() || quote.last_price.value() == self.last_price())
    }

    /// The same as the latest values of a contract whose provider said `before` last: the baseline is the contract's.
    pub(super) fn adopted_after(mut self, before: &Observation) -> Observation {
        self.has_baseline |= before.has_baseline;
        self
    }

    /// Whether both say the same of the market, whenever it was said.
    pub(super) fn same_values(&self, other: &Observation) -> bool {
        self.open_interest == other.open_interest
            && self.last_price_e4 == other.last_price_e4
            && self.volume == other.volume
            && self.bid_e4 == other.bid_e4
            && self.ask_e4 == other.ask_e4
            && self.implied_volatility_e4 == other.implied_volatility_e4
    }
}
