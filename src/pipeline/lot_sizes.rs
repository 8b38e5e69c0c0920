//! The lot sizes that providers state of the day's contracts, held against each other.
//!
//! Example: an exchange's file states one lot size for all contracts of a month while one of them has kept its former one. All
//! that is told of it in lots would be wrong by the same part, and nothing else shows it.
//!
//! Invariant: where two providers state different sizes of a contract, what is told of it in lots is not taken.

use super::Pipeline;
use crate::market::{InstrumentId, Provider};
use std::collections::BTreeSet;

/// By slot; begun anew with each day.
#[derive(Debug, Default)]
pub(super) struct LotSizes {
    /// In the order of [`Provider::ALL`]; 0 where it was not stated.
    stated: Vec<Stated>,
    contested: BTreeSet<u32>,
}

type Stated = [u32; Provider::ALL.len()];

/// The lot sizes of some contracts, of which two providers state different ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContestedLots {
    pub contracts: usize,
    /// The first of them, and what is stated of it.
    pub instrument: InstrumentId,
    pub sizes: Vec<(Provider, u32)>,
}

impl LotSizes {
    /// What a provider states replaces what it has stated before.
    pub fn note(&mut self, slot: u32, provider: Provider, lot_size: u32) {
        let place = slot as usize;
        if self.stated.len() <= place {
            self.stated.resize(place + 1, Stated::default());
        }
        let stated = &mut self.stated[place];
        if std::mem::replace(&mut stated[provider.index()], lot_size) == lot_size {
            return;
        }
        let is_other = |other: &u32| *other != 0 && *other != lot_size;
        if lot_size != 0 && stated.iter().any(is_other) {
            self.contested.insert(slot);
        } else {
            self.contested.remove(&slot);
        }
    }

    pub fn is_contested(&self, slot: u32) -> bool {
        self.contested.contains(&slot)
    }
}

impl Pipeline {
    /// Today's contracts of which two providers state different lot sizes.
    pub fn contested_lots(&self) -> Option<ContestedLots> {
        let LotSizes { stated, contested } = &self.lot_sizes;
        let first = *contested.first()?;
        let sizes = Provider::ALL.into_iter().zip(stated[first as usize]);
        Some(ContestedLots {
            contracts: contested.len(),
            instrument: self.day.as_ref()?.instrument_of(first),
            sizes: sizes.filter(|(_, lot_size)| *lot_size != 0).collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Provider::{AngelOne, Nse};

    #[test]
    fn two_sizes_of_one_contract_are_contested_until_they_agree() {
        let mut sizes = LotSizes::default();
        sizes.note(3, AngelOne, 65);
        assert!(!sizes.is_contested(3), "one provider alone");
        sizes.note(3, Nse, 65);
        sizes.note(4, Nse, 75);
        assert!(!sizes.is_contested(3) && !sizes.is_contested(4));
        sizes.note(3, Nse, 75);
        assert!(sizes.is_contested(3));
        sizes.note(3, Nse, 75);
        assert!(sizes.is_contested(3), "stated again");
        sizes.note(3, AngelOne, 75);
        assert!(!sizes.is_contested(3), "it is corrected");
    }
}
