//! Recorded values that cannot be, with the names of their chains and contracts.
//!
//! Invariant: what stands at the close stays found until the day's end. No look is made after the close, so what the looks had
//! found by then is what the log's records give, also after a restart.

use super::Pipeline;
use crate::{
    engine::{
        ContractVolumes, ImpossibleOi, StillField, StillLevel, StoppedContracts, TradingDay,
        VolumeContradiction, VolumeLeap,
    },
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

    /// Chains of which one field stands still while another one moves, with their names; after the close those of which it did
    /// so until then.
    pub fn still_fields(&self, now: Timestamp) -> Vec<(String, StillField)> {
        let last_in_session = |day: &TradingDay| day.hours().close.plus_us(-1);
        let found = self.day.as_ref().map(|day| day.still_fields(now.min(last_in_session(day))));
        let found = found.unwrap_or_default();
        found.into_iter().map(|found| (self.chains.name(found.chain).to_owned(), found)).collect()
    }

    /// Chains of which two providers count volume in different units, with their names.
    pub fn volume_contradictions(&self) -> Vec<(String, VolumeContradiction)> {
        let found = self.day.iter().flat_map(|day| day.volume_contradictions());
        found.map(|found| (self.chains.name(found.chain).to_owned(), found)).collect()
    }

    /// Contracts of which two providers show volumes that contradict each other, with the names of their chains.
    pub fn contract_volumes(&self) -> Vec<(String, InstrumentId, ContractVolumes)> {
        let Some(day) = &self.day else { return Vec::new() };
        let found = day.contract_volumes();
        found
            .map(|found| (self.chains.name(found.chain).to_owned(), day.instrument_of(found.slot), found))
            .collect()
    }

    /// Chains whose volumes became many times themselves at once, with their names.
    pub fn volume_leaps(&self) -> Vec<(String, VolumeLeap)> {
        let found = self.day.iter().flat_map(|day| day.volume_leaps());
        found.map(|found| (self.chains.name(found.chain).to_owned(), found)).collect()
    }

    /// Contracts that have stopped while the others of their chains go on, with the chains' names.
    pub fn stopped_contracts(&self, now: Timestamp) -> Vec<(String, StoppedContracts)> {
        let found = self.day.iter().flat_map(|day| day.stopped_contracts(now));
        found.map(|found| (self.chains.name(found.chain).to_owned(), found)).collect()
    }

    /// Indices whose level stands still while their options are traded, with their names; after the close those of which it did
    /// so before the shares' closing auction.
    pub fn still_levels(&self, now: Timestamp) -> Vec<(String, StillLevel)> {
        let Some(day) = &self.day else { return Vec::new() };
        let at = if now < day.hours().close { now } else { day.last_look_at_levels() };
        let still = day.level_slots().filter_map(|slot| {
            let contract = self.contract(day.instrument_of(slot))?;
            let is_index =
                contract.kind == InstrumentKind::Index && is_index_underlying(&contract.underlying);
            let chains = is_index.then(|| self.chains.of_underlying(contract))?;
            Some((contract.underlying.to_string(), day.still_level(slot, chains, at)?))
        });
        still.collect()
    }
}
