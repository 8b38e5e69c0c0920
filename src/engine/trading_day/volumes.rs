//! Volumes of a chain that two providers count in different units.
//!
//! Example: a source goes over from units to lots. Of two volumes of a contract the larger one counts as the later, so the rows
//! would be those of the wrong provider, and nothing else shows it.
//!
//! Copies of different age differ as well, most so of a contract that has just begun to be traded. So the sums over a chain are
//! compared, from a while after the open on, in looks that follow each other.
//!
//! Owns what the looks have found. Invariant: a finding changes no row: status names it.

use super::{TradingDay, silence::MINUTE_US};
use crate::market::{Provider, Timestamp};
use std::collections::BTreeMap;

/// A sum that is so many times another one is of another unit.
const TIMES: i64 = 2;
/// In the first part of a session, a sum may double within the age of a copy.
const BEGINNING_US: i64 = 15 * MINUTE_US;
/// Older values are compared with nothing.
const CURRENT_US: i64 = 5 * MINUTE_US;
/// Looks in a row.
const LOOKS_MIN: u32 = 5;
/// Contracts that both show; fewer say nothing of their chain.
const CONTRACTS_MIN: u32 = 5;

/// What the looks at a chain have found, and how many in a row.
#[derive(Clone, Copy, Debug)]
struct Found {
    looks: u32,
    contradiction: VolumeContradiction,
}

/// See the module's head: by chain.
#[derive(Debug, Default)]
pub(super) struct Volumes {
    found: BTreeMap<u32, Found>,
}

/// Volumes of a chain's contracts that contradict each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VolumeContradiction {
    pub chain: u32,
    /// The recorded provider's and the other one's, in sum over the contracts that both show.
    pub sums: [(Provider, i64); 2],
    pub since: Timestamp,
}

impl TradingDay {
    /// Compares the volumes of the provider that a chain is recorded from with those of the others.
    pub(super) fn look_at_chain_volumes(&mut self, chain: usize, recorded: Provider, now: Timestamp) {
        let key = chain as u32;
        if self.others.is_empty() {
            return;
        }
        let others = Provider::ALL.into_iter().filter(|provider| *provider != recorded);
        let is_due = now >= self.hours.open.plus_us(BEGINNING_US.max(self.silence_min_us));
        let sums =
            others.filter(|_| is_due).find_map(|other| self.contradiction(chain, recorded, other, now));
        let Some(sums) = sums else {
            self.volumes.found.remove(&key);
            return;
        };
        let new = Found { looks: 0, contradiction: VolumeContradiction { chain: key, sums, since: now } };
        let found = self.volumes.found.entry(key).or_insert(new);
        (found.looks, found.contradiction.sums) = (found.looks.saturating_add(1), sums);
    }

    /// The sums of two providers, where one is in another unit.
    fn contradiction(
        &self,
        chain: usize,
        recorded: Provider,
        other: Provider,
        now: Timestamp,
    ) -> Option<[(Provider, i64); 2]> {
        let oldest = now.plus_us(-CURRENT_US.max(self.silence_min_us));
        let volume = |provider, slot: u32| {
            let latest = self.track(provider, slot as usize)?.latest;
            latest.volume().filter(|_| latest.event_time() >= oldest)
        };
        let (mut ours, mut theirs, mut contracts) = (0_i64, 0_i64, 0);
        for slot in &self.chains[chain].slots {
            if let (Some(our), Some(their)) = (volume(recorded, *slot), volume(other, *slot)) {
                (ours, theirs) = (ours.saturating_add(our), theirs.saturating_add(their));
                contracts += 1;
            }
        }
        let is_other = ours.max(theirs) > ours.min(theirs).saturating_mul(TIMES);
        (contracts >= CONTRACTS_MIN && is_other).then_some([(recorded, ours), (other, theirs)])
    }

    /// Chains of which two providers count volume in different units.
    pub fn volume_contradictions(&self) -> impl Iterator<Item = VolumeContradiction> {
        let found = self.volumes.found.values().filter(|found| found.looks >= LOOKS_MIN);
        found.map(|found| found.contradiction)
    }
}
