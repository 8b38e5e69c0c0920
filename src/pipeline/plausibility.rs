//! Recorded values that cannot be, with the names of their chains and contracts.

use super::Pipeline;
use crate::{
    engine::{ImpossibleOi, StillField, StillLevel},
    market::{InstrumentId, InstrumentKind, Timestamp, is_index_underlying},
};

impl Pipeline {
    /// Open interest of chains that cannot be after what was traded today, with one contract of each.
    pub fn impossible_open_interest(&self) -> Vec<(String, InstrumentId, ImpossibleOi)> {
        let Some(day) = &self.day else { return Vec::new() };
        let found = day.impossible_open_interest().into_iter();
        found
            .map(|found| (self.chains.name(found.chain).to_owned(), day.instrument_of(found.slot), found))
            .collect()
    }

    /// Chains of which one field stands still while another one moves, with their names.
    pub fn still_fields(&self, now: Timestamp) -> Vec<(String, StillField)> {
        let found = self.day.as_ref().map(|day| day.still_fields(now)).unwrap_or_default();
        found.into_iter().map(|found| (self.chains.name(found.chain).to_owned(), found)).collect()
    }

    /// Indices whose level stands still while their options are traded, with their names.
    pub fn still_levels(&self, now: Timestamp) -> Vec<(String, StillLevel)> {
        let Some(day) = &self.day else { return Vec::new() };
        let still = day.level_slots().filter_map(|slot| {
            let contract = self.contract(day.instrument_of(slot))?;
            let is_index =
                contract.kind == InstrumentKind::Index && is_index_underlying(&contract.underlying);
            let chains = is_index.then(|| self.chains.of_underlying(contract))?;
            Some((contract.underlying.to_string(), day.still_level(slot, chains, now)?))
        });
        still.collect()
    }
}
