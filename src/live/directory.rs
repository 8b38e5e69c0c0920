//! Which instrument a live slot is.
//!
//! Append-only: a slot keeps its instrument for the life of the process. Readers take a snapshot and keep it as long as
//! they like; appending copies, so append in bulk.

use crate::market::{Contract, InstrumentId, TradingDate};
use rustc_hash::FxHashMap;
use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError, RwLock},
};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirectoryEntry {
    pub instrument: InstrumentId,
    pub contract: Contract,
    /// An option of its underlying's nearest expiry, as of the last [`Directory::set_date`].
    pub is_nearest_expiry: bool,
}

/// The directory at one moment.
#[derive(Clone, Debug, Default)]
pub struct Listings {
    /// Grows with every change; equal generations are equal listings.
    pub generation: u64,
    date: Option<TradingDate>,
    entries: Vec<DirectoryEntry>,
    by_instrument: FxHashMap<InstrumentId, u32>,
    /// Option slots of an underlying by expiry.
    chains: FxHashMap<Arc<str>, BTreeMap<TradingDate, Vec<u32>>>,
    /// The slots of the underlyings themselves.
    levels: FxHashMap<Arc<str>, u32>,
}

impl Listings {
    /// By slot.
    pub fn entries(&self) -> &[DirectoryEntry] {
        &self.entries
    }

    pub fn entry(&self, slot: u32) -> Option<&DirectoryEntry> {
        self.entries.get(slot as usize)
    }

    pub fn slot_of(&self, instrument: InstrumentId) -> Option<u32> {
        self.by_instrument.get(&instrument).copied()
    }

    pub fn contract_of(&self, instrument: InstrumentId) -> Option<&Contract> {
        self.slot_of(instrument).and_then(|slot| self.entry(slot)).map(|entry| &entry.contract)
    }

    /// The option slots of an underlying and expiry, in order of listing.
    pub fn chain(&self, underlying: &str, expiry: TradingDate) -> &[u32] {
        let chain = self.chains.get(underlying).and_then(|expiries| expiries.get(&expiry));
        chain.map_or(&[], Vec::as_slice)
    }

    /// The expiries with options of an underlying, nearest first.
    pub fn expiries(&self, underlying: &str) -> impl Iterator<Item = TradingDate> {
        self.chains.get(underlying).into_iter().flat_map(|expiries| expiries.keys().copied())
    }

    /// The slot of an underlying itself: an index or a share.
    pub fn underlying(&self, name: &str) -> Option<u32> {
        self.levels.get(name).copied()
    }

    /// The names of all underlyings that are listed, themselves or by their options. Some come twice.
    pub fn underlyings(&self) -> impl Iterator<Item = &str> {
        self.chains.keys().chain(self.levels.keys()).map(|name| &**name)
    }

    /// How many underlyings have options that expire on `date` or later.
    pub fn count_underlyings(&self, date: TradingDate) -> usize {
        self.chains.values().filter(|expiries| expiries.range(date..).next().is_some()).count()
    }

    fn append(&mut self, instrument: InstrumentId, contract: Contract) -> u32 {
        if let Some(slot) = self.slot_of(instrument) {
            return slot;
        }
        let slot = u32::try_from(self.entries.len()).expect("an instrument id is 32 bits, so is their count");
        if let (true, Some(expiry)) = (contract.is_option(), contract.expiry()) {
            let expiries = self.chains.entry(Arc::clone(&contract.underlying)).or_default();
            expiries.entry(expiry).or_default().push(slot);
        }
        if contract.is_underlying() {
            self.levels.entry(Arc::clone(&contract.underlying)).or_insert(slot);
        }
        self.by_instrument.insert(instrument, slot);
        self.entries.push(DirectoryEntry { instrument, contract, is_nearest_expiry: false });
        slot
    }

    fn flag_nearest(&mut self) {
        let Some(date) = self.date else { return };
        for entry in &mut self.entries {
            entry.is_nearest_expiry = false;
        }
        for expiries in self.chains.values() {
            let Some((_, slots)) = expiries.range(date..).next() else { continue };
            for slot in slots {
                self.entries[*slot as usize].is_nearest_expiry = true;
            }
        }
    }
}

/// Shared by the pipeline, which appends, and by readers. Cheap to clone; clones are the same directory.
#[derive(Clone, Debug, Default)]
pub struct Directory {
    listings: Arc<RwLock<Arc<Listings>>>,
}

impl Directory {
    pub fn new() -> Directory {
        Directory::default()
    }

    pub fn snapshot(&self) -> Arc<Listings> {
        Arc::clone(&self.listings.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Gives each instrument a slot, in order; those that have one keep it. Returns the slots.
    pub fn append(&self, instruments: impl IntoIterator<Item = (InstrumentId, Contract)>) -> Vec<u32> {
        self.change(|listings| {
            instruments
                .into_iter()
                .map(|(instrument, contract)| listings.append(instrument, contract))
                .collect()
        })
    }

    /// Sets the day from which expiries count: the nearest is the first on or after it.
    pub fn set_date(&self, date: TradingDate) {
        self.change(|listings| listings.date = Some(date));
    }

    fn change<Outcome>(&self, change: impl FnOnce(&mut Listings) -> Outcome) -> Outcome {
        let mut shared = self.listings.write().unwrap_or_else(PoisonError::into_inner);
        let listings = Arc::make_mut(&mut shared);
        let outcome = change(listings);
        listings.flag_nearest();
        listings.generation += 1;
        outcome
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contract(text: &str) -> Contract {
        text.parse().expect("a contract")
    }

    #[test]
    fn slots_stay_and_the_nearest_expiry_follows_the_date() {
        let directory = Directory::new();
        let first = contract("NIFTY 2026-02-03 25000 CE");
        let later = contract("NIFTY 2026-02-10 25000 CE");
        let before = directory.snapshot();
        let slots = directory.append([
            (InstrumentId(7), contract("NIFTY")),
            (InstrumentId(8), later.clone()),
            (InstrumentId(9), first.clone()),
        ]);
        assert_eq!(slots, [0, 1, 2]);
        assert_eq!(directory.append([(InstrumentId(9), first.clone())]), [2]);
        assert!(before.entries().is_empty());
        let nearest = |day: &str| {
            directory.set_date(day.parse().expect("a date"));
            let listings = directory.snapshot();
            listings.entries().iter().map(|entry| entry.is_nearest_expiry).collect::<Vec<bool>>()
        };
        assert_eq!(nearest("2026-02-03"), [false, false, true]);
        assert_eq!(nearest("2026-02-04"), [false, true, false]);
        assert_eq!(nearest("2026-02-11"), [false, false, false]);
        let listings = directory.snapshot();
        assert_eq!(listings.slot_of(InstrumentId(8)), Some(1));
        assert_eq!(listings.contract_of(InstrumentId(8)), Some(&later));
        assert_eq!(listings.chain("NIFTY", first.expiry().expect("an option")), [2]);
        assert_eq!(listings.expiries("NIFTY").count(), 2);
        assert_eq!((listings.underlying("NIFTY"), listings.underlying("BANKNIFTY")), (Some(0), None));
        assert!(listings.underlyings().all(|name| name == "NIFTY"));
        assert_eq!((listings.slot_of(InstrumentId(1)), listings.contract_of(InstrumentId(1))), (None, None));
    }
}
