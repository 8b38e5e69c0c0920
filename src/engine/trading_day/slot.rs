//! What every observation of an instrument touches, in two neighbouring cache lines.

use crate::{
    engine::{candle::SlotCandles, observation::Observation},
    market::InstrumentId,
};

/// 128 bytes, because the tick path is bound by memory.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(128))]
pub(super) struct Slot {
    pub latest: Observation,
    pub candles: SlotCandles,
    pub instrument: InstrumentId,
    /// Which of the day's closing times is this instrument's.
    pub close: u16,
    /// Options make buckets and deltas; underlyings make three-minute candles.
    pub is_option: bool,
}

const _: () = assert!(size_of::<Slot>() == 128);

impl Slot {
    /// Reads it into the cache.
    #[inline]
    pub fn fetch(&self) {
        std::hint::black_box((self.latest.event_time(), self.is_option));
    }
}
