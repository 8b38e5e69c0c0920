//! The level of an underlying that comes with the bodies of its options' chains: it is worth what they are.
//!
//! Example: a website's bodies of the one chain that is polled repeat what they said an hour ago under stamps of now. The level in
//! them is of an hour ago as well.
//!
//! Owns no state. Invariants:
//! - Where no chain of an underlying is covered by a provider's bodies any more, neither is its level.
//! - What bodies said of the level while their chain stood still is taken back with it; where other chains' bodies brought it
//!   meanwhile, its candles are marked.

use super::TradingDay;
use crate::{
    engine::rows::Rows,
    market::{Provider, Timestamp},
};

impl TradingDay {
    /// Whether the bodies that a provider sends of a contract's chain repeat what they said.
    pub fn repeats_bodies(&self, provider: Provider, slot: u32) -> bool {
        self.chains[self.contexts[slot as usize].chain as usize].cover(provider).stands_still
    }

    /// The underlying's chain that a provider's bodies of a chain of options bring the level of.
    fn level_of_bodies(&self, chain: usize, provider: Provider) -> Option<usize> {
        let level = self.underlying_of(chain)?;
        let cover = self.chains[level].cover(provider);
        (cover.is_covering && cover.epoch != 0).then_some(level)
    }

    /// Whether bodies of any of its chains of options bring a level.
    fn is_level_brought(&self, level: usize, provider: Provider) -> bool {
        let is_brought = |chain: usize| {
            let cover = self.chains[chain].cover(provider);
            self.underlying_of(chain) == Some(level) && cover.is_covering && !cover.stands_still
        };
        (0..self.chains.len()).any(is_brought)
    }

    /// A provider's bodies do not cover a chain of options any more.
    pub(super) fn follow_level_down(
        &mut self,
        chain: usize,
        provider: Provider,
        now: Timestamp,
        rows: &mut Rows,
    ) {
        let level = self.level_of_bodies(chain, provider);
        if let Some(level) = level.filter(|level| !self.is_level_brought(*level, provider)) {
            self.set_chain_down(provider, level as u32, now, rows);
        }
    }

    /// Bodies of a chain of options have repeated what they said since `since`, as is known at `now`.
    pub(super) fn take_back_level(
        &mut self,
        chain: usize,
        provider: Provider,
        (since, now): (Timestamp, Timestamp),
        rows: &mut Rows,
    ) {
        let Some(level) = self.level_of_bodies(chain, provider) else { return };
        let is_brought = self.is_level_brought(level, provider);
        let since = since.max(self.hours.open);
        for at in 0..self.chains[level].slots.len() {
            let slot = self.chains[level].slots[at] as usize;
            if !is_brought {
                self.take_back(slot, provider, (since, since), rows);
            }
            if self.slots[slot].is_of(provider) {
                self.mark_candles(slot, since, now, rows);
            }
        }
        self.follow_level_down(chain, provider, now, rows);
    }
}
