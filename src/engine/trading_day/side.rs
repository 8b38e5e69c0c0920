//! What providers said that are not the active ones of a contract: their latest values, and how far these reach.
//!
//! Kept for the cross-check with the active provider, for the buckets that it did not witness, and for a switch. One table
//! a provider, made when it first brings something that is not recorded.

use super::epoch::Epochs;
use crate::{
    engine::observation::Observation,
    market::{Provider, Timestamp},
};

/// One provider's word on one instrument.
#[derive(Clone, Copy, Debug)]
pub(super) struct SideSlot {
    pub latest: Observation,
    /// The last one of an earlier bucket than the latest one's.
    pub previous: Observation,
    /// As [`super::slot::Slot::spoken`].
    pub spoken: u16,
    /// Up to when the latest values were proved otherwise than by their stamp or the stream.
    pub proved_until: Timestamp,
    /// What was missed between previous and latest, if anything.
    pub hole: Option<(Timestamp, Timestamp)>,
}

impl Default for SideSlot {
    fn default() -> SideSlot {
        SideSlot {
            latest: Observation::default(),
            previous: Observation::default(),
            spoken: 0,
            proved_until: Timestamp::NEVER,
            hole: None,
        }
    }
}

impl SideSlot {
    /// Up to when the provider proves the latest values.
    pub fn witness_end(&self, epochs: &Epochs) -> Timestamp {
        self.latest.event_time().max(self.proved_until).max(epochs.get(self.spoken).live_until)
    }

    /// The last values before `end`, proved up to it or not.
    pub fn observed_before(&self, end: Timestamp) -> Option<Observation> {
        let mut kept = [self.latest, self.previous].into_iter();
        kept.find(|observation| !observation.is_empty() && observation.event_time() < end)
    }

    /// The values at `end` where the provider proves them.
    pub fn proved_before(&self, end: Timestamp, epochs: &Epochs) -> Option<Observation> {
        if self.latest.is_empty() {
            return None;
        }
        if self.latest.event_time() < end {
            return (self.witness_end(epochs) >= end).then_some(self.latest);
        }
        let is_missed = self.hole.is_some_and(|(from, until)| from < end && end <= until);
        let before = !self.previous.is_empty() && self.previous.event_time() < end;
        (before && !is_missed).then_some(self.previous)
    }
}

/// By provider and slot.
#[derive(Clone, Debug, Default)]
pub(super) struct Sides {
    tables: [Vec<SideSlot>; Provider::ALL.len()],
}

impl Sides {
    pub fn is_empty(&self) -> bool {
        self.tables.iter().all(Vec::is_empty)
    }

    pub fn get(&self, provider: Provider, slot: usize) -> Option<&SideSlot> {
        self.tables[provider.index()].get(slot).filter(|side| !side.latest.is_empty())
    }

    pub fn reach(&mut self, provider: Provider, slot: usize) -> &mut SideSlot {
        let table = &mut self.tables[provider.index()];
        if table.len() <= slot {
            table.resize(slot + 1, SideSlot::default());
        }
        &mut table[slot]
    }
}
