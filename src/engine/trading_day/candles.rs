//! What the day hands to its candles: prices and volumes of options, levels of underlyings, and a broker's own candles.
//!
//! Owns no state: the candles are those of [`crate::engine::candle`], which ask the day through [`CandleView`].

use super::{
    TradingDay,
    chain::Chain,
    marks::Marks,
    slot::{Slot, SlotContext},
};
use crate::{
    engine::{
        candle::{CandleDay, ContradictedBar, ContradictedVolume, PriceOutlier, Trade},
        counted::Counted,
        intervals::Intervals,
        rows::Rows,
    },
    market::{Bar, Bucket, Provider, Timestamp},
};

/// What the candles must know of the day, read where they ask.
pub(super) struct CandleView<'a> {
    pub chains: &'a [Chain],
    pub contexts: &'a [SlotContext],
    pub marks: &'a Marks,
    pub buckets: &'a Intervals,
    pub slot: usize,
}

impl CandleDay for CandleView<'_> {
    #[inline]
    fn is_closed(&self, interval: usize) -> bool {
        interval < self.chains[self.contexts[self.slot].chain as usize].candles_closed
    }

    fn has_hole(&self, from: Timestamp, until: Timestamp) -> bool {
        let first = self.buckets.index_of(from);
        let last = self.buckets.index_of(until.plus_us(-1));
        self.marks.of(self.slot).iter().take(last + 1).skip(first).any(|mark| mark.is_unseen())
    }
}

/// The view of a day whose candle book is in use meanwhile.
macro_rules! candle_view {
    ($day:expr, $slot:expr) => {
        $crate::engine::trading_day::candles::CandleView {
            chains: &$day.chains,
            contexts: &$day.contexts,
            marks: &$day.marks,
            buckets: &$day.buckets,
            slot: $slot,
        }
    };
}
pub(super) use candle_view;

impl TradingDay {
    /// The latest price and volume, for the candles.
    #[inline(always)]
    pub(super) fn observe_trade(&mut self, index: usize, trade: &Trade, rows: &mut Rows) {
        if !self.slots[index].is_option() {
            return self.observe_level(index, trade, rows);
        }
        let view = candle_view!(self, index);
        let Slot { candles, instrument, .. } = &mut self.slots[index];
        self.candles.observe(index, candles, *instrument, trade, &view, rows);
    }

    /// The volume of an index is always 0, which does not show that nothing has happened.
    #[inline(never)]
    fn observe_level(&mut self, index: usize, trade: &Trade, rows: &mut Rows) {
        let trade = Trade { volume: trade.volume.filter(|volume| *volume > 0), ..*trade };
        let view = candle_view!(self, index);
        let Slot { candles, instrument, .. } = &mut self.slots[index];
        let before = self.candles.price_outliers(trade.provider).count;
        self.candles.observe(index, candles, *instrument, &trade, &view, rows);
        self.mark_outliers(index, trade.provider, before, rows);
        self.observe_underlying(index, &trade, false, rows);
    }

    /// Candles of an underlying of every length have what was found in its five-minute ones since there were so many.
    pub(super) fn mark_outliers(&mut self, slot: usize, provider: Provider, before: u64, rows: &mut Rows) {
        let Counted { count, last } = self.candles.price_outliers(provider);
        if let Some(found) = last.filter(|_| count > before) {
            self.mark_candles(slot, found.start, found.end.plus_us(-1), rows);
        }
    }

    #[inline(never)]
    fn observe_underlying(&mut self, slot: usize, trade: &Trade, is_late: bool, rows: &mut Rows) {
        let closed = self.chains[self.contexts[slot].chain as usize].closed;
        let open_from = self.bucket(closed).start();
        let instrument = self.slots[slot].instrument;
        let view = candle_view!(self, slot);
        if let Some(candles) = self.underlyings.get_mut(&slot) {
            candles.observe(instrument, trade, is_late, open_from, &view, rows);
        }
    }

    /// The same of a price that came after its time.
    pub(super) fn take_late_price(&mut self, slot: usize, trade: &Trade, rows: &mut Rows) {
        let view = candle_view!(self, slot);
        let Slot { candles, instrument, .. } = &mut self.slots[slot];
        self.candles.observe_late(slot, candles, *instrument, trade, &view, rows);
        if !self.slots[slot].is_option() {
            self.observe_underlying(slot, trade, true, rows);
        }
    }

    /// Takes a broker's own three-minute candles of an underlying, those of one answer.
    pub fn take_history(&mut self, slot: u32, provider: Provider, bars: &[Bar], rows: &mut Rows) {
        let slot = slot as usize;
        // An interval that is still open has no final candle yet.
        let closed = self.chains[self.contexts[slot].chain as usize].closed;
        let open_from = self.bucket(closed).start().min(self.hours.close);
        let is_other_forced = self.preference.forced.is_some_and(|forced| forced != provider);
        let is_taken = |bar: &&Bar| {
            let is_of_session = bar.start >= self.buckets.start_of(0) && bar.start < open_from;
            let end = Bucket::containing(bar.start).end();
            is_of_session && !is_other_forced && !self.disbelieved_at(slot, end).has(Some(provider))
        };
        let bars: Vec<&Bar> = bars.iter().filter(is_taken).collect();
        let view = candle_view!(self, slot);
        if let Some(candles) = self.underlyings.get_mut(&slot) {
            let refused = candles.take_history(self.slots[slot].instrument, &bars, provider, &view, rows);
            refused.into_iter().for_each(|refused| self.contradicted_bars[provider.index()].add(refused));
        }
    }

    /// Cumulative volumes of a provider that its own later ones contradicted.
    pub fn contradicted_volumes(&self, provider: Provider) -> Counted<ContradictedVolume> {
        self.candles.contradicted_volumes(provider)
    }

    /// Prices of a provider that are far from those before and after them.
    pub fn price_outliers(&self, provider: Provider) -> Counted<PriceOutlier> {
        self.candles.price_outliers(provider)
    }

    /// Candles of a provider that the prices seen contradict.
    pub fn contradicted_bars(&self, provider: Provider) -> Counted<ContradictedBar> {
        self.contradicted_bars[provider.index()]
    }
}
