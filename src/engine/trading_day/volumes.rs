//! Volumes of a chain that are counted in different units: by two providers, or by one before and after an instant.
//!
//! Example: a source goes over from units to lots. Of two volumes of a contract the larger one counts as the later, so the rows
//! would be those of the wrong provider, and nothing else shows it.
//!
//! Copies of different age differ as well, most so of a contract that has just begun to be traded. So the sums over a chain are
//! compared, from a while after the open on, in looks that follow each other.
//!
//! With one provider alone, volumes of most contracts that become many times themselves at once are what can be seen of it.
//! [`super::plausibility`] counts them in its looks.
//!
//! Of one contract, the source that shows less under the later stamp contradicts the other: that is no age of a copy.
//!
//! Owns what the looks at two providers have found. Invariant: a finding changes no row: status names it.

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
const CONTRACT_LOOKS_MIN: u32 = 4;
/// Contracts that both show; fewer say nothing of their chain.
const CONTRACTS_MIN: u32 = 5;

/// A volume that becomes so many times itself from look to look: lot sizes are larger, and a market does not trade so much.
const LEAP_TIMES: i64 = 8;
/// In the first part of a session only so many contracts say that, and none before.
const EARLY_LEAPS_MIN: u32 = 20;
const EARLY_US: i64 = 5 * MINUTE_US;
/// After a longer pause, volume may be many times that of before it.
const LEAP_US: i64 = 10 * MINUTE_US;

/// Contracts whose volumes two looks have told.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Growth {
    /// That had been traded.
    traded: u32,
    leapt: u32,
    /// Sums of those that have leapt.
    before: i64,
    after: i64,
}

/// Volumes of most of a chain's contracts that became many times themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VolumeLeap {
    pub chain: u32,
    pub provider: Provider,
    pub contracts: u32,
    /// Sums of these contracts.
    pub before: i64,
    pub after: i64,
    /// The newest stamp of the look that found it.
    pub at: Timestamp,
}

impl Growth {
    pub fn count(&mut self, before: i64, after: i64) {
        if before <= 0 {
            return;
        }
        self.traded += 1;
        if after >= before.saturating_mul(LEAP_TIMES) {
            self.leapt += 1;
            (self.before, self.after) =
                (self.before.saturating_add(before), self.after.saturating_add(after));
        }
    }

    /// Whether it is the chain's, of contracts enough to speak for it.
    pub fn leap(
        &self,
        contracts_min: u32,
        (chain, provider): (u32, Provider),
        at: Timestamp,
    ) -> Option<VolumeLeap> {
        let Growth { traded, leapt, before, after } = *self;
        let is_of_chain = leapt >= contracts_min && leapt * 2 > traded;
        is_of_chain.then_some(VolumeLeap { chain, provider, contracts: leapt, before, after, at })
    }
}

/// What the looks at a chain have found, and how many in a row.
#[derive(Clone, Copy, Debug)]
struct Found {
    looks: u32,
    contradiction: VolumeContradiction,
}

/// See the module's head.
#[derive(Debug, Default)]
pub(super) struct Volumes {
    /// By chain.
    found: BTreeMap<u32, Found>,
    /// By slot: the looks in a row.
    contracts: BTreeMap<u32, (u32, ContractVolumes)>,
}

/// Volumes of a contract of which the smaller one is stamped later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContractVolumes {
    pub chain: u32,
    pub slot: u32,
    /// With their stamps, the larger one first.
    pub shown: [(Provider, i64, Timestamp); 2],
    pub since: Timestamp,
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
        others.clone().for_each(|other| self.look_at_contract_volumes(chain, [recorded, other], now));
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

    /// How many contracts must have leapt between two stamps, the newest of two looks; `None` where that says nothing.
    pub(super) fn leaps_min(&self, before: Timestamp, now: Timestamp) -> Option<u32> {
        let is_after = |us: i64| before >= self.hours.open.plus_us(us.max(self.silence_min_us));
        let is_near = now.us_since(before) <= LEAP_US.max(self.silence_min_us);
        let contracts_min = if is_after(BEGINNING_US) { CONTRACTS_MIN } else { EARLY_LEAPS_MIN };
        (is_near && is_after(EARLY_US)).then_some(contracts_min)
    }

    fn look_at_contract_volumes(&mut self, chain: usize, between: [Provider; 2], now: Timestamp) {
        let oldest = now.plus_us(-CURRENT_US.max(self.silence_min_us));
        for at in 0..self.chains[chain].slots.len() {
            let slot = self.chains[chain].slots[at];
            let shown = between.map(|provider| {
                let latest = self.track(provider, slot as usize)?.latest;
                let is_current = latest.event_time() >= oldest;
                latest.volume().filter(|_| is_current).map(|volume| (provider, volume, latest.event_time()))
            });
            let contradiction = match shown {
                [Some(ours), Some(theirs)] if ours.1 > theirs.1 => Some([ours, theirs]),
                [Some(ours), Some(theirs)] if ours.1 < theirs.1 => Some([theirs, ours]),
                _ => None,
            };
            let Some(shown) = contradiction.filter(|[larger, smaller]| larger.2 < smaller.2) else {
                self.volumes.contracts.remove(&slot);
                continue;
            };
            let new = ContractVolumes { chain: chain as u32, slot, shown, since: now };
            let (looks, found) = self.volumes.contracts.entry(slot).or_insert((0, new));
            (*looks, found.shown) = (looks.saturating_add(1), shown);
        }
    }

    /// Contracts of which two providers show volumes that contradict each other, of chains of which not all do.
    pub fn contract_volumes(&self) -> impl Iterator<Item = ContractVolumes> {
        let found = self.volumes.contracts.values().filter(|(looks, _)| *looks >= CONTRACT_LOOKS_MIN);
        let is_of_chain =
            |chain: u32| self.volumes.found.get(&chain).is_some_and(|found| found.looks >= LOOKS_MIN);
        found.map(|(_, found)| *found).filter(move |found| !is_of_chain(found.chain))
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
