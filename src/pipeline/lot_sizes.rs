//! The lot sizes that providers state of the day's contracts, held against each other and against those of the session before.
//!
//! Example: an exchange's file states one lot size for all contracts of a month while one of them has kept its former one. All
//! that is told of it in lots would be wrong by the same part, and nothing else shows it.
//!
//! Invariants: where two providers state different sizes of a contract, what is told of it in lots is not taken. A size that
//! has changed since the session before is told: the exchange changes it seldom. Open interest of a chain that is no multiple of
//! its lot size is told: positions of a former size make a part of a chain so, of recorded ones up to 43 %, a wrong unit nearly
//! all.

use super::Pipeline;
use crate::market::{InstrumentId, Provider};

/// So many contracts of a chain, and more than this part of those that are held, make it uneven.
const UNEVEN_MIN: u32 = 10;
const UNEVEN_PART: (u32, u32) = (3, 4);
/// Most numbers are multiples of smaller ones.
const LOT_MIN: i64 = 5;

/// By slot; begun anew with each day.
#[derive(Debug, Default)]
pub(super) struct LotSizes {
    stated: Vec<Stated>,
}

/// Of one contract; 0 where it was not stated.
#[derive(Clone, Copy, Debug, Default)]
struct Stated {
    /// In the order of [`Provider::ALL`].
    by: [u32; Provider::ALL.len()],
    /// In the session before.
    before: u32,
}

impl Stated {
    fn sizes(&self) -> impl Iterator<Item = u32> {
        self.by.into_iter().filter(|lot_size| *lot_size != 0)
    }

    fn is_contested(&self) -> bool {
        let mut sizes = self.sizes();
        sizes.next().is_some_and(|first| sizes.any(|other| other != first))
    }

    fn is_changed(&self) -> bool {
        self.before != 0 && self.sizes().any(|lot_size| lot_size != self.before)
    }
}

/// Contracts of which two providers state different lot sizes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContestedLots {
    pub contracts: usize,
    /// The first of them, and what is stated of it.
    pub instrument: InstrumentId,
    pub sizes: Vec<(Provider, u32)>,
}

/// Contracts whose lot size is another one than in the session before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangedLots {
    /// The first of them, and its sizes before and now.
    pub instrument: InstrumentId,
    pub sizes: [u32; 2],
}

/// A chain whose open interest is in no whole lots.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnevenLots {
    pub contracts: u32,
    /// Of so many that are held.
    pub judged: u32,
    /// The first of them.
    pub instrument: InstrumentId,
    pub open_interest: i64,
    pub lot_size: i64,
}

impl LotSizes {
    /// The size of a contract, where one is stated.
    fn size_of(&self, slot: u32) -> Option<i64> {
        self.stated.get(slot as usize)?.sizes().next().map(i64::from)
    }

    /// The lot size that a contract had in the session before.
    pub fn note_before(&mut self, slot: u32, lot_size: u32) {
        self.of_mut(slot).before = lot_size;
    }

    /// What a provider states replaces what it has stated before.
    pub fn note(&mut self, slot: u32, provider: Provider, lot_size: u32) {
        self.of_mut(slot).by[provider.index()] = lot_size;
    }

    pub fn is_contested(&self, slot: u32) -> bool {
        self.stated.get(slot as usize).is_some_and(Stated::is_contested)
    }

    fn of_mut(&mut self, slot: u32) -> &mut Stated {
        let place = slot as usize;
        if self.stated.len() <= place {
            self.stated.resize(place + 1, Stated::default());
        }
        &mut self.stated[place]
    }

    /// The slots of which that is so, with what is stated.
    fn slots(&self, is_so: impl Fn(&Stated) -> bool) -> impl Iterator<Item = (u32, Stated)> {
        (0..).zip(self.stated.iter().copied()).filter(move |(_, stated)| is_so(stated))
    }
}

impl Pipeline {
    /// Today's contracts of which two providers state different lot sizes.
    pub fn contested_lots(&self) -> Option<ContestedLots> {
        let mut contested = self.lot_sizes.slots(Stated::is_contested);
        let (first, stated) = contested.next()?;
        let sizes = Provider::ALL.into_iter().zip(stated.by).filter(|(_, lot_size)| *lot_size != 0);
        Some(ContestedLots {
            contracts: 1 + contested.count(),
            instrument: self.day.as_ref()?.instrument_of(first),
            sizes: sizes.collect(),
        })
    }

    /// Today's contracts whose lot size is another one than in the session before.
    pub fn changed_lots(&self) -> Option<ChangedLots> {
        let (first, stated) = self.lot_sizes.slots(Stated::is_changed).next()?;
        let now = stated.sizes().find(|lot_size| *lot_size != stated.before)?;
        let instrument = self.day.as_ref()?.instrument_of(first);
        Some(ChangedLots { instrument, sizes: [stated.before, now] })
    }

    /// Chains whose open interest is in no whole lots, with their names.
    pub fn uneven_lots(&self) -> Vec<(String, UnevenLots)> {
        let Some(day) = &self.day else { return Vec::new() };
        let uneven_of = |chain: u32| {
            let (mut judged, mut contracts, mut first) = (0, 0, None);
            for slot in day.slots_of(chain).iter().copied() {
                let open_interest = day.latest(slot).open_interest().filter(|units| *units > 0);
                let lot_size = self.lot_sizes.size_of(slot).filter(|size| *size >= LOT_MIN);
                let Some((open_interest, lot_size)) = open_interest.zip(lot_size) else { continue };
                judged += 1;
                if open_interest % lot_size != 0 {
                    contracts += 1;
                    first = first.or(Some((day.instrument_of(slot), open_interest, lot_size)));
                }
            }
            let (instrument, open_interest, lot_size) = first?;
            let is_uneven = contracts >= UNEVEN_MIN && contracts * UNEVEN_PART.1 > judged * UNEVEN_PART.0;
            is_uneven.then_some(UnevenLots { contracts, judged, instrument, open_interest, lot_size })
        };
        let found = (0..self.chains.count()).filter_map(|chain| Some((chain, uneven_of(chain)?)));
        found.map(|(chain, found)| (self.chains.name(chain).to_owned(), found)).collect()
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

    #[test]
    fn a_size_of_the_session_before_that_is_stated_no_more_has_changed() {
        let mut sizes = LotSizes::default();
        let changed =
            |sizes: &LotSizes| sizes.slots(Stated::is_changed).map(|(slot, _)| slot).collect::<Vec<_>>();
        sizes.note_before(3, 75);
        assert!(changed(&sizes).is_empty(), "nothing is stated yet");
        sizes.note(3, Nse, 75);
        sizes.note(4, Nse, 65);
        assert!(changed(&sizes).is_empty(), "it is the same, or was not known");
        sizes.note(3, Nse, 65);
        assert_eq!(changed(&sizes), [3]);
        assert!(!sizes.is_contested(3), "a provider of today contradicts no other one");
        sizes.note(3, Nse, 75);
        assert!(changed(&sizes).is_empty());
    }
}
