//! The contracts that providers show together, and which provider shows them: the options of one underlying and expiry, or an
//! underlying alone.
//!
//! Which provider's values are recorded is chosen for each chain, among those that cover it: that showed contracts of it
//! since they were last down for it. An operator's override comes first, then the order of preference. A provider that was
//! found to be silent is not chosen again before it has brought data for a minute.

use super::movement::Movement;
use crate::market::{Provider, Timestamp};

/// How quiet a chain may naturally be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChainClass {
    /// The nearest expiry of an index: a minute without any change has not been measured.
    NearIndex,
    /// The second and third expiry.
    MiddleIndex,
    FarIndex,
    Share,
    /// A share's options on the day on which they expire: in the last half hour most of them are not traded any more.
    ExpiringShare,
    /// An index or a share; it may stand still in an auction.
    Underlying,
}

/// How long a provider that was found silent must bring data before it is preferred again; twice as long each further time.
const RETURN_AFTER_US: i64 = 60_000_000;
const RETURN_DOUBLED_MAX: u8 = 5;

/// One provider's part in a chain.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cover {
    /// It showed contracts of the chain since it was last down for it.
    pub is_covering: bool,
    /// By answers to requests alone, which come less often than polls of whole chains.
    pub is_by_request: bool,
    pub since: Timestamp,
    /// How often it was found to be silent or to have missed trades.
    pub failures: u8,
    /// Its open interest of the chain is contradicted and not believed.
    pub is_disbelieved: bool,
    /// It was said to be down and not yet to be back.
    pub is_told_down: bool,
    /// The longest of its channels that brought contracts of this chain.
    pub lateness_us: i64,
    /// Of polls without a break; 0 before the first and after one.
    pub epoch: u16,
    /// When it was last known to be down for the chain: what it says before proves nothing of what it says after.
    pub down_at: Timestamp,
    /// Of the newest body.
    pub last_stamp: Timestamp,
    /// Its values of the chain do not move, however they are stamped.
    pub stands_still: bool,
}

impl Default for Cover {
    fn default() -> Cover {
        Cover {
            is_covering: false,
            is_by_request: false,
            since: Timestamp::NEVER,
            failures: 0,
            is_disbelieved: false,
            is_told_down: false,
            lateness_us: 0,
            epoch: 0,
            down_at: Timestamp::NEVER,
            last_stamp: Timestamp::NEVER,
            stands_still: false,
        }
    }
}

impl Cover {
    /// Whether it covers the chain, and for long enough after it had failed.
    pub fn is_trusted(&self, now: Timestamp) -> bool {
        let doubled = self.failures.saturating_sub(1).min(RETURN_DOUBLED_MAX);
        let is_proved = self.failures == 0 || now.us_since(self.since) >= RETURN_AFTER_US << doubled;
        self.is_covering && is_proved && !self.is_disbelieved
    }
}

#[derive(Clone, Debug)]
pub(super) struct Chain {
    pub class: ChainClass,
    pub slots: Vec<u32>,
    /// Buckets before this index are closed for all of its contracts.
    pub closed: usize,
    /// Five-minute intervals before this index are closed.
    pub candles_closed: usize,
    pub next_check: Timestamp,
    /// Buckets before this index were over when its first contract was seen.
    pub began: usize,
    /// The first bucket in which a contract is missing that the running epoch may still prove.
    pub unproved_from: Option<usize>,
    pub active: Option<Provider>,
    covers: [Cover; Provider::ALL.len()],
    pub cadence: Cadence,
    pub movement: Movement,
    /// Before this the chain cannot have been silent for too long, as was seen at the last look.
    pub silent_from: Timestamp,
}

/// How many contracts of a chain move in a minute, learned, in sixteenths.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Cadence {
    pub minutes: u32,
    average_x16: i64,
}

impl Cadence {
    /// A further minute: what came in it counts a sixteenth, or as much as the minutes before in the first ones.
    pub fn note(&mut self, contracts: u32) {
        let weight = i64::from(self.minutes.min(15)) + 1;
        self.average_x16 += (i64::from(contracts) * 16 - self.average_x16) / weight;
        self.minutes = self.minutes.saturating_add(1);
    }

    /// After so long without movement a chain that moves like this is mute, in one of a thousand days by mistake: 80 expected
    /// contracts. `None` while too little is known, or where silence says nothing. `is_ending`: it is the last half hour.
    pub fn silence_max_us(&self, class: ChainClass, contracts: usize, is_ending: bool) -> Option<i64> {
        const MINUTES_KNOWN: u32 = 3;
        /// Before anything is learned, of so many contracts of an index' nearest expiry.
        const UNLEARNED_US: i64 = 300_000_000;
        const UNLEARNED_CONTRACTS: usize = 50;
        /// Where nothing of the day has moved, of so many contracts: books move with their underlying, whatever is traded.
        const UNMOVED_CONTRACTS: usize = 20;
        const UNMOVED_CONTRACTS_NEAR: usize = 5;
        const SECOND_US: i64 = 1_000_000;
        let floor_us = match class {
            ChainClass::NearIndex => 60 * SECOND_US,
            ChainClass::MiddleIndex => 240 * SECOND_US,
            ChainClass::FarIndex => 600 * SECOND_US,
            ChainClass::Share | ChainClass::ExpiringShare => 180 * SECOND_US,
            ChainClass::Underlying => return None,
        };
        if self.minutes < MINUTES_KNOWN {
            let is_large = class == ChainClass::NearIndex && contracts >= UNLEARNED_CONTRACTS;
            if is_large || self.minutes > 0 {
                return is_large.then_some(UNLEARNED_US);
            }
            let (contracts_min, unmoved_us) = match class {
                ChainClass::NearIndex => (UNMOVED_CONTRACTS_NEAR, 900 * SECOND_US),
                ChainClass::MiddleIndex => (UNMOVED_CONTRACTS, 1_800 * SECOND_US),
                _ => (UNMOVED_CONTRACTS, 3_600 * SECOND_US),
            };
            return (contracts >= contracts_min).then_some(unmoved_us);
        }
        let is_ebbing = class == ChainClass::ExpiringShare && is_ending;
        let average_x16 = if is_ebbing { self.average_x16 / 3 } else { self.average_x16 };
        if average_x16 < 2 * 16 {
            return None;
        }
        Some((80 * 60 * SECOND_US * 16 / average_x16).max(floor_us))
    }
}

impl Chain {
    pub fn new(class: ChainClass) -> Chain {
        Chain {
            class,
            slots: Vec::new(),
            closed: 0,
            candles_closed: 0,
            next_check: Timestamp::NEVER,
            began: 0,
            unproved_from: None,
            active: None,
            covers: [Cover::default(); Provider::ALL.len()],
            cadence: Cadence::default(),
            movement: Movement::default(),
            silent_from: Timestamp::NEVER,
        }
    }

    pub fn cover(&self, provider: Provider) -> &Cover {
        &self.covers[provider.index()]
    }

    pub fn cover_mut(&mut self, provider: Provider) -> &mut Cover {
        &mut self.covers[provider.index()]
    }

    /// Whose values to record at `now`; the one before while none covers the chain.
    pub fn choose(&self, preference: &Preference, now: Timestamp) -> Option<Provider> {
        let is_covering = |provider: &Provider| self.cover(*provider).is_covering;
        let is_ready =
            |provider: &Provider| self.active == Some(*provider) || self.cover(*provider).is_trusted(now);
        let is_by_request = |provider: &Provider| self.cover(*provider).is_by_request;
        let covering = || preference.ranked().filter(is_covering);
        let best = covering().filter(is_ready).find(|provider| !is_by_request(provider));
        best.or_else(|| covering().find(|provider| !is_by_request(provider)))
            .or_else(|| covering().next())
            .or(self.active)
    }
}

/// An operator's override, then the order of the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Preference {
    pub forced: Option<Provider>,
    pub order: Vec<Provider>,
}

impl Preference {
    pub fn ranked(&self) -> impl Iterator<Item = Provider> + '_ {
        self.forced.into_iter().chain(self.order.iter().copied())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_us(second * 1_000_000)
    }

    #[test]
    fn the_first_preferred_provider_that_covers_a_chain_is_recorded() {
        let mut preference = Preference { forced: None, order: vec![Provider::AngelOne, Provider::Nse] };
        let mut chain = Chain::new(ChainClass::NearIndex);
        assert_eq!(chain.choose(&preference, at(0)), None);
        chain.cover_mut(Provider::Nse).is_covering = true;
        assert_eq!(chain.choose(&preference, at(1)), Some(Provider::Nse));
        chain.active = Some(Provider::Nse);
        *chain.cover_mut(Provider::AngelOne) = Cover { is_covering: true, since: at(2), ..Cover::default() };
        assert_eq!(chain.choose(&preference, at(2)), Some(Provider::AngelOne));
        preference.forced = Some(Provider::Nse);
        assert_eq!(chain.choose(&preference, at(3)), Some(Provider::Nse));
        chain.cover_mut(Provider::Nse).is_covering = false;
        assert_eq!(chain.choose(&preference, at(4)), Some(Provider::AngelOne), "the override is down");
        chain.cover_mut(Provider::AngelOne).is_covering = false;
        assert_eq!(chain.choose(&preference, at(5)), Some(Provider::Nse), "none covers it: as before");
    }

    #[test]
    fn a_provider_that_was_silent_comes_back_after_a_minute_of_data() {
        let preference = Preference { forced: None, order: vec![Provider::AngelOne, Provider::Nse] };
        let mut chain = Chain::new(ChainClass::NearIndex);
        chain.active = Some(Provider::Nse);
        chain.cover_mut(Provider::Nse).is_covering = true;
        let back = Cover { is_covering: true, since: at(100), failures: 1, ..Cover::default() };
        *chain.cover_mut(Provider::AngelOne) = back;
        assert_eq!(chain.choose(&preference, at(159)), Some(Provider::Nse));
        assert_eq!(chain.choose(&preference, at(160)), Some(Provider::AngelOne));
        chain.cover_mut(Provider::AngelOne).failures = 3;
        assert_eq!(chain.choose(&preference, at(339)), Some(Provider::Nse), "it has failed three times");
        assert_eq!(chain.choose(&preference, at(340)), Some(Provider::AngelOne));
        chain.cover_mut(Provider::Nse).is_covering = false;
        assert_eq!(chain.choose(&preference, at(101)), Some(Provider::AngelOne), "better than none");
    }

    #[test]
    fn silence_is_judged_by_what_is_usual() {
        let after = |contracts: u32, class| {
            let mut cadence = Cadence::default();
            (0..20).for_each(|_| cadence.note(contracts));
            cadence.silence_max_us(class, 80, false).map(|us| us / 1_000_000)
        };
        assert_eq!(after(190, ChainClass::NearIndex), Some(60));
        assert_eq!(after(6, ChainClass::NearIndex), Some(800));
        assert_eq!(after(8, ChainClass::Share), Some(600));
        assert_eq!(after(1, ChainClass::Share), None);
        assert_eq!(after(60, ChainClass::Underlying), None);
        let unlearned = |class, contracts| Cadence::default().silence_max_us(class, contracts, false);
        assert_eq!(unlearned(ChainClass::NearIndex, 50), Some(300_000_000), "so many are never still");
        assert_eq!(unlearned(ChainClass::NearIndex, 49), Some(900_000_000), "nothing of the day has moved");
        assert_eq!(unlearned(ChainClass::MiddleIndex, 20), Some(1_800_000_000));
        assert_eq!(unlearned(ChainClass::Share, 20), Some(3_600_000_000));
        assert_eq!(unlearned(ChainClass::MiddleIndex, 19), None, "so few may be still");
        let mut moved_once = Cadence::default();
        moved_once.note(1);
        assert_eq!(moved_once.silence_max_us(ChainClass::MiddleIndex, 20, false), None);
        let mut cadence = Cadence::default();
        (0..20).for_each(|_| cadence.note(12));
        let ending = |class, is_ending| cadence.silence_max_us(class, 80, is_ending).map(|us| us / 1_000_000);
        assert_eq!(ending(ChainClass::ExpiringShare, false), Some(400));
        assert_eq!(ending(ChainClass::ExpiringShare, true), Some(1_200), "a third is traded still");
        assert_eq!(ending(ChainClass::Share, true), Some(400));
    }
}
