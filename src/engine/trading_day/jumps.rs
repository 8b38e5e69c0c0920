//! Open interest and levels that jump: to a value that cannot have come of what was traded since the one before.
//!
//! Example: a packet has the open interest of another contract, a source goes on in lots where it sent units, an index is at 250
//! for a second. Volume is right, so nothing else shows it before a bucket ends.
//!
//! A jump is withheld: nothing of its quote is taken, and the source's stream proves nothing of the contract. Where the source
//! goes on showing the new value for [`SETTLED_US`], the value before may have been the wrong one: the new one is taken, the day
//! remembers the jump until the source jumps back, and no change of open interest is made of it.
//!
//! Owns what is withheld, and the jumps that were taken.
//!
//! Invariants:
//! - Open interest changes by no more than is traded. It is published later than the volume, so what was traded counts from
//!   [`PUBLISHED_BUCKETS`] before the value before.
//! - While another provider shows what is nearer to the value before, the new one is not taken.
//! - Small changes are not looked at ([`Observation::is_near`]): the tick path does no more than find them.
//! - What is traded while a value is withheld explains it no better.
//! - The values before a withheld one are not taken to have held until the next ones.
//! - Open interest 0 of a contract that has some is never taken by waiting ([`super::untold`]).

use super::{
    TradingDay,
    open_interest::{SAMPLES_MIN, SETTLED_US, can_become},
    track::TrackView,
};
use crate::{
    engine::observation::Observation,
    market::{Price, Provider, Quote, Timestamp},
};
use std::collections::BTreeMap;

/// A level does not move by a larger part within [`LEVEL_US`]; after a longer time a market may have been halted at a tenth.
const LEVEL_PART: i64 = 20;
const LEVEL_US: i64 = 300_000_000;
const HALTED_LEVEL_PART: i64 = 10;
/// Below this a tick is too large a part.
const LEVEL_E4_MIN: i64 = 100_000;
/// Volume and open interest that both become so many times what they were, by the same factor, are in another unit.
const UNIT_MIN: i64 = 10;
/// Of less open interest, that may be chance.
const UNIT_OI_MIN: i64 = 1_000;
/// Buckets before a value in which what it came of may have been traded.
pub(super) const PUBLISHED_BUCKETS: usize = 2;
/// So many contracts of a chain may lose all of their open interest within [`ZEROS_US`].
const ZEROS_MAX: usize = 2;
const ZEROS_US: i64 = 600_000_000;

/// In place of a value that was not told.
const NO_VALUE: i64 = i64::MIN;

/// What is withheld of a provider's contract.
#[derive(Clone, Copy, Debug)]
struct Withheld {
    value: i64,
    volume: i64,
    /// Stamp of the first one.
    since: Timestamp,
    samples: u8,
}

/// A jump that was taken, because the source went on with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Jump {
    pub slot: u32,
    pub provider: Provider,
    /// Open interest, or a level in e4.
    pub before: i64,
    pub after: i64,
    /// When the source first showed it.
    pub at: Timestamp,
}

/// Contracts of a chain that lost all of their open interest.
#[derive(Clone, Debug)]
struct Zeros {
    since: Timestamp,
    /// At most [`ZEROS_MAX`].
    contracts: Vec<u32>,
}

/// See the module's head.
#[derive(Debug, Default)]
pub(super) struct Jumps {
    withheld: BTreeMap<(Provider, u32), Withheld>,
    taken: BTreeMap<(Provider, u32), Jump>,
    /// By provider and chain.
    zeros: BTreeMap<(Provider, u32), Zeros>,
}

impl Jumps {
    /// Whether a value, with its volume, is withheld of a provider's contract of which `latest` was taken last.
    pub fn is_withheld(
        &self,
        provider: Provider,
        slot: u32,
        latest: &Observation,
        (value, volume): (i64, i64),
    ) -> bool {
        let known = self.withheld.get(&(provider, slot));
        let known = known.filter(|known| latest.event_time() <= known.since);
        known.is_some_and(|known| match (known.value, value) {
            (0, 0) => true,
            (0 | NO_VALUE, _) | (_, 0) => false,
            _ => can_become(known.value, value, volume - known.volume),
        })
    }

    /// Something is withheld that has no value, or 0.
    pub fn withhold(&mut self, provider: Provider, slot: u32, latest: &Observation, value: Option<i64>) {
        let (since, volume) = (latest.event_time(), latest.volume().unwrap_or(0));
        let value = value.unwrap_or(NO_VALUE);
        self.withheld.insert((provider, slot), Withheld { value, volume, since, samples: 0 });
    }

    /// Whether anything was withheld since a provider's values of this stamp were taken: they may not have held.
    pub fn is_refused_since(&self, provider: Provider, slot: u32, stamp: Timestamp) -> bool {
        self.withheld.get(&(provider, slot)).is_some_and(|withheld| stamp <= withheld.since)
    }

    /// Notes a contract that is said to have lost all of its open interest; false where too many others of its chain have at once.
    pub fn note_zero(&mut self, provider: Provider, chain: u32, slot: u32, stamp: Timestamp) -> bool {
        let new = || Zeros { since: stamp, contracts: Vec::new() };
        let zeros = self.zeros.entry((provider, chain)).or_insert_with(new);
        if stamp.us_since(zeros.since) > ZEROS_US {
            *zeros = new();
        }
        if zeros.contracts.len() < ZEROS_MAX && !zeros.contracts.contains(&slot) {
            zeros.contracts.push(slot);
        }
        zeros.contracts.contains(&slot)
    }
}

impl TradingDay {
    /// The value that a quote's jump is from, and the one that it is to; `None` where it is no jump.
    pub(super) fn jump_of(&self, index: usize, track: TrackView<'_>, quote: &Quote) -> Option<(i64, i64)> {
        let latest = track.latest;
        // What is older than the value before tells nothing of what became of it; after the close the exchange corrects.
        if quote.event_time < latest.event_time() || quote.event_time >= self.close_of(&self.slots[index]) {
            return None;
        }
        if !self.slots[index].is_option() {
            let (before, after) = (latest.last_price()?.as_e4(), quote.last_price.value()?.as_e4());
            let (from, until) = (latest.event_time(), quote.event_time);
            let part = if until.us_since(from) <= LEVEL_US { LEVEL_PART } else { HALTED_LEVEL_PART };
            let is_near =
                from < self.hours.open || before < LEVEL_E4_MIN || is_near_level(before, after, part);
            return (!is_near).then_some((before, after));
        }
        let (before, after) = (latest.baseline()?, quote.open_interest?);
        let volume = quote.volume.or(latest.volume())?;
        let settled = self.buckets.index_of(latest.event_time()).checked_sub(PUBLISHED_BUCKETS);
        let at_end = settled.and_then(|bucket| self.at_end(track, index, bucket));
        let traded = volume - at_end.and_then(|(value, _)| value.volume()).unwrap_or(0);
        let is_scaled =
            latest.volume().is_some_and(|known| is_of_other_unit((before, known), (after, volume)));
        (is_scaled || !can_become(before, after, traded)).then_some((before, after))
    }

    /// A provider's quote jumps: whether it is to be taken, because the provider has gone on with it.
    pub(super) fn is_to_take_jump(
        &mut self,
        index: usize,
        provider: Provider,
        latest: Observation,
        quote: &Quote,
        (before, after): (i64, i64),
    ) -> bool {
        let is_option = self.slots[index].is_option();
        let (key, stamp) = ((provider, index as u32), quote.event_time);
        let volume = quote.volume.or(latest.volume()).unwrap_or(0);
        let is_same = |known: &&mut Withheld| {
            let is_near = match is_option {
                true => can_become(known.value, after, volume - known.volume),
                false => is_near_level(known.value, after, LEVEL_PART),
            };
            // Since the first one the source has shown nothing else.
            is_near && latest.event_time() <= known.since
        };
        let new = Withheld { value: after, volume, since: stamp, samples: 1 };
        let Some(known) = self.jumps.withheld.get_mut(&key).filter(is_same) else {
            self.jumps.withheld.insert(key, new);
            return false;
        };
        let since = known.since;
        let samples = known.samples.saturating_add(u8::from(stamp > since));
        *known = Withheld { since, samples, ..new };
        let is_settled =
            samples >= SAMPLES_MIN && stamp.us_since(since) >= SETTLED_US.max(self.silence_min_us);
        if !is_settled || self.is_refuted(index, provider, (before, after), since) {
            return false;
        }
        // What was withheld still shows that the values before did not hold.
        self.take_jump(Jump { slot: index as u32, provider, before, after, at: since }, volume);
        true
    }

    /// Whether another provider has shown since what is nearer to the value before.
    fn is_refuted(
        &self,
        index: usize,
        provider: Provider,
        (before, after): (i64, i64),
        since: Timestamp,
    ) -> bool {
        let is_option = self.slots[index].is_option();
        Provider::ALL.into_iter().filter(|other| *other != provider).any(|other| {
            let latest = self.track(other, index).map(|track| *track.latest);
            let latest = latest.filter(|latest| latest.event_time() >= since);
            let shown = latest.and_then(|latest| match is_option {
                true => latest.open_interest(),
                false => latest.last_price().map(Price::as_e4),
            });
            shown.is_some_and(|shown| shown.abs_diff(before) < shown.abs_diff(after))
        })
    }

    fn take_jump(&mut self, jump: Jump, volume: i64) {
        let (key, index) = ((jump.provider, jump.slot), jump.slot as usize);
        let is_back = self.jumps.taken.get(&key).is_some_and(|taken| match self.slots[index].is_option() {
            true => can_become(taken.before, jump.after, volume),
            false => is_near_level(taken.before, jump.after, HALTED_LEVEL_PART),
        });
        if is_back {
            self.jumps.taken.remove(&key);
        } else {
            self.jumps.taken.entry(key).or_insert(jump).after = jump.after;
        }
        // What follows is no change of the value before.
        if self.slots[index].is_of(jump.provider) {
            self.slots[index].latest.forget_baseline();
        } else {
            self.others.reach(jump.provider, index).latest.forget_baseline();
        }
    }

    /// The jumps that were taken, and not back.
    pub fn jumps(&self) -> impl Iterator<Item = &Jump> {
        self.jumps.taken.values()
    }
}

fn is_near_level(before_e4: i64, after_e4: i64, part: i64) -> bool {
    after_e4.saturating_sub(before_e4).saturating_abs() <= before_e4.saturating_abs() / part
}

/// Whether open interest and volume have become many times what they were, by about the same factor.
fn is_of_other_unit((open_interest, volume): (i64, i64), (new, new_volume): (i64, i64)) -> bool {
    let is_many = |before: i64, after: i64| before > 0 && after / UNIT_MIN >= before;
    let product = |a: i64, b: i64| i128::from(a) * i128::from(b);
    let (ours, theirs) = (product(new, volume), product(open_interest, new_volume));
    open_interest >= UNIT_OI_MIN
        && is_many(open_interest, new)
        && is_many(volume, new_volume)
        && (ours - theirs).abs() <= ours.max(theirs) / 4
}
