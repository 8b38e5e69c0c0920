//! What a contract's change of open interest since the session before is measured against.
//!
//! A source that names the session before's open interest beside today's does so with every body, and it does not change within
//! a day: one that names another is counted, and the first stays.
//!
//! Owns what was counted.

use super::TradingDay;
use crate::{
    engine::counted::Counted,
    market::{InstrumentId, OiBase, Provider, Quote, Timestamp},
};

/// An open interest of the session before, and another one that was named later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContradictedBase {
    pub instrument: InstrumentId,
    pub open_interest: i64,
    pub later: i64,
    /// Of the later one.
    pub event_time: Timestamp,
}

impl TradingDay {
    /// What changes of open interest since the previous session are measured against.
    #[inline]
    pub fn base(&self, slot: u32) -> Option<(i64, OiBase)> {
        self.contexts[slot as usize].base
    }

    /// Replaces the base by a better one.
    pub fn set_base(&mut self, slot: u32, open_interest: i64, base: OiBase) {
        let is_better = |known: Option<(i64, OiBase)>| known.is_none_or(|(_, known)| base < known);
        let slot = slot as usize;
        if is_better(self.contexts[slot].base) {
            self.contexts[slot].base = Some((open_interest, base));
        }
        if base != OiBase::Provider && is_better(self.bases_before[slot]) {
            self.bases_before[slot] = Some((open_interest, base));
        }
    }

    /// The base that a quote names. Before the open a source may show the day before's.
    #[inline(always)]
    pub(super) fn take_base(&mut self, index: usize, provider: Provider, quote: &Quote) {
        if let Some(previous) = quote.previous_open_interest
            && quote.event_time >= self.hours.open
        {
            self.take_named_base(index, provider, previous, quote.event_time);
        }
    }

    fn take_named_base(&mut self, index: usize, provider: Provider, previous: i64, event_time: Timestamp) {
        if let Some((open_interest, OiBase::Provider)) = self.contexts[index].base
            && open_interest != previous
        {
            let instrument = self.slots[index].instrument;
            let contradicted = ContradictedBase { instrument, open_interest, later: previous, event_time };
            self.contradicted_bases[provider.index()].add(contradicted);
        }
        self.set_base(index as u32, previous, OiBase::Provider);
    }

    /// The day's bases of a provider that differ from what was named before.
    pub fn contradicted_bases(&self, provider: Provider) -> Counted<ContradictedBase> {
        self.contradicted_bases[provider.index()]
    }
}
