//! What every observation of an instrument touches, in two neighbouring cache lines.

use crate::{
    engine::{candle::SlotCandles, observation::Observation},
    market::{InstrumentId, OiBase, Provider, Timestamp},
    prefetch::prefetch,
};

/// 128 bytes, because the tick path is bound by memory.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(128))]
pub(super) struct Slot {
    /// Of the recorded provider, or of the one before while the recorded one has not said anything newer.
    pub latest: Observation,
    pub candles: SlotCandles,
    pub instrument: InstrumentId,
    /// The epoch of evidence in which the active provider last spoke of this instrument; 0 where none goes on.
    pub spoken: u16,
    /// Code of the provider whose values are recorded; 0 before the first.
    pub active: u8,
    /// The lower bits: which of the day's closing times; the highest: whether it is an option.
    terms: u8,
}

const _: () = assert!(size_of::<Slot>() == 128);

const IS_OPTION: u8 = 1 << 7;

impl Slot {
    /// `close`: which of the day's closing times is this instrument's, of fewer than 128.
    pub fn new(instrument: InstrumentId, close: u8, is_option: bool) -> Slot {
        let terms = close & !IS_OPTION | if is_option { IS_OPTION } else { 0 };
        let (latest, candles) = (Observation::default(), SlotCandles::default());
        Slot { latest, candles, instrument, spoken: 0, active: 0, terms }
    }

    #[inline]
    pub fn close(&self) -> usize {
        usize::from(self.terms & !IS_OPTION)
    }

    /// As in [`Slot::new`].
    pub fn set_close(&mut self, close: u8) {
        self.terms = self.terms & IS_OPTION | close & !IS_OPTION;
    }

    /// Options make buckets and deltas; underlyings make three-minute candles.
    #[inline]
    pub fn is_option(&self) -> bool {
        self.terms & IS_OPTION != 0
    }

    #[inline]
    pub fn provider(&self) -> Option<Provider> {
        Provider::from_code(self.active)
    }

    /// Whether the latest values are of this provider, which is the recorded one.
    #[inline]
    pub fn is_of(&self, provider: Provider) -> bool {
        self.active == provider.code() && self.latest.provider() == Some(provider)
    }

    /// Whether a provider's next values are the contract's: it is the recorded one, and no other's newer values stand.
    #[inline]
    pub fn is_open_to(&self, provider: Provider) -> bool {
        self.active == provider.code() && self.latest.provider().is_none_or(|of| of == provider)
    }

    /// Has both lines fetched.
    #[inline]
    pub fn fetch(&self) {
        prefetch(&self.latest);
        prefetch(&self.candles);
    }
}

/// What some observations of an instrument touch; half a cache line.
#[derive(Clone, Copy, Debug)]
#[repr(align(32))]
pub(super) struct SlotContext {
    /// What changes of open interest since the previous session are measured against.
    pub base: Option<(i64, OiBase)>,
    /// Up to when the latest values are proved otherwise than by their stamp or their stream.
    pub proved_until: Timestamp,
    pub chain: u32,
}

const _: () = assert!(size_of::<SlotContext>() == 32);
