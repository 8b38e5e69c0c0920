//! Open interest that is further from the session before than was traded since.
//!
//! Example: lots where units are due, from a provider that is alone. It is a finding of many contracts of a chain, or of a few for
//! [`IMPOSSIBLE_LOOKS_MIN`] looks.
//!
//! Owns the contracts that were found, as they were then; [`super::plausibility`] looks at them each minute.
//!
//! Invariants:
//! - A finding changes no row.
//! - Open interest that could not be stays a finding, whatever is traded afterwards, until it is corrected.

use super::{TradingDay, open_interest::can_become};
use crate::market::{Provider, Timestamp};
use std::collections::BTreeMap;

/// Values that cannot be are their chain's from so many contracts on, if these are more than this part of those judged.
const IMPOSSIBLE_MIN: u32 = 3;
const IMPOSSIBLE_PART: u32 = 4;
/// Those of fewer are named after so many looks in a row.
pub(super) const IMPOSSIBLE_LOOKS_MIN: u32 = 3;

/// Whether values that cannot be are in so many of a chain's contracts that they are the chain's.
pub(super) fn is_of_chain(impossible: u32, judged: u32) -> bool {
    impossible >= IMPOSSIBLE_MIN && impossible * IMPOSSIBLE_PART > judged
}

/// Contracts of a chain at one look.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ImpossibleCount {
    /// Whose open interest can be judged.
    pub judged: u32,
    /// Those of them whose open interest cannot be.
    pub impossible: u32,
}

impl ImpossibleCount {
    pub fn count(&mut self, is_possible: Option<bool>) {
        self.judged += u32::from(is_possible.is_some());
        self.impossible += u32::from(is_possible == Some(false));
    }
}

/// Open interest that could not be, as it was when that was found.
#[derive(Clone, Copy, Debug)]
struct Impossible {
    open_interest: i64,
    volume: i64,
    at: Timestamp,
    looks: u32,
}

/// See the module's head: by slot.
#[derive(Debug, Default)]
pub(super) struct ImpossibleOis(BTreeMap<u32, Impossible>);

impl ImpossibleOis {
    pub fn forget(&mut self, slot: u32) {
        self.0.remove(&slot);
    }
}

/// Open interest of a chain's contracts that cannot be, with the first of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImpossibleOi {
    pub chain: u32,
    pub provider: Provider,
    pub contracts: u32,
    /// Of so many that have a base and show something.
    pub judged: u32,
    pub slot: u32,
    pub open_interest: i64,
    pub base: i64,
    pub volume: i64,
    pub at: Timestamp,
}

impl TradingDay {
    /// The open interest of the session before: one of before today, else the one that today's provider names, which its own open
    /// interest and volume may contradict.
    fn known_base(&self, slot: u32) -> Option<i64> {
        let slot = slot as usize;
        self.bases_before[slot].or(self.contexts[slot].base).map(|(open_interest, _)| open_interest)
    }

    /// Whether a contract's open interest can be; `None` where nothing is known of the session before, or there is none in
    /// either session, which is true in any unit. `shown`: open interest, volume and their stamp.
    pub(super) fn judge_open_interest(
        &self,
        known: &mut ImpossibleOis,
        slot: u32,
        (open_interest, volume, stamp): (i64, i64, Timestamp),
    ) -> Option<bool> {
        let base = self.known_base(slot)?;
        let is_possible = can_become(base, open_interest, volume);
        let is_found = known.0.get_mut(&slot).is_some_and(|found| {
            found.looks = found.looks.saturating_add(1);
            let is_replaced = can_become(base, found.open_interest, found.volume);
            let distance = |open_interest: i64| open_interest.saturating_sub(base).unsigned_abs();
            let is_corrected = is_possible && distance(open_interest) < distance(found.open_interest) / 2;
            !is_replaced && !is_corrected
        });
        if is_found {
            return Some(false);
        }
        if is_possible {
            known.forget(slot);
        } else {
            known.0.insert(slot, Impossible { open_interest, volume, at: stamp, looks: 1 });
        }
        (base != 0 || open_interest != 0).then_some(is_possible)
    }

    /// What of a chain's open interest cannot be, by the provider that it is recorded from.
    pub(super) fn impossible_of_chain(
        &self,
        known: &ImpossibleOis,
        chain: usize,
        provider: Provider,
        ImpossibleCount { judged, impossible }: ImpossibleCount,
    ) -> Option<ImpossibleOi> {
        if impossible == 0 {
            return None;
        }
        let is_of_chain = is_of_chain(impossible, judged);
        let looks_min = if is_of_chain { 0 } else { IMPOSSIBLE_LOOKS_MIN };
        let slots = self.chains[chain].slots.iter();
        let mut named = slots.filter_map(|slot| {
            let impossible = known.0.get(slot)?;
            (impossible.looks >= looks_min).then_some((*slot, *impossible))
        });
        let (slot, Impossible { open_interest, volume, at, .. }) = named.next()?;
        let contracts = if is_of_chain { impossible } else { 1 + named.count() as u32 };
        let base = self.known_base(slot)?;
        let chain = chain as u32;
        Some(ImpossibleOi { chain, provider, contracts, judged, slot, open_interest, base, volume, at })
    }
}
