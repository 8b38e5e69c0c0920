//! What another provider shows of a contract, against the recorded one: it confirms what that one said last, or shows that it
//! has missed a trade.
//!
//! Decides which provider is believed from now on. What rows claim is left to [`super::judge`].

use super::{
    Arrival, Delivery, TradingDay, correction::STREAM_DELAY_US, open_interest::are_far_apart,
    silence::ScopeReason,
};
use crate::{
    engine::{observation::Observation, rows::Rows},
    market::{Provider, Quote, Timestamp},
};
use std::collections::BTreeMap;

/// Open interest is published in steps; another source may show one of the last three.
const OPEN_INTEREST_LAG_US: i64 = 180_000_000;
/// Stamps of two sources are of one clock, to whole seconds.
pub(super) const STAMP_SKEW_US: i64 = 2_000_000;
/// Contradictions that are longer ago say nothing of a chain as a whole.
const CONTRADICTED_US: i64 = 300_000_000;
/// Answers that are held against a stream: requests of the time in which it may clear them.
const ANSWERS_MAX: usize = 4;

/// A witness shows a trade that the active provider has not brought.
#[derive(Debug)]
pub(super) struct Doubt {
    by: Provider,
    stamp: Timestamp,
    volume: Option<i64>,
    /// The active provider's own answers to requests that show it, at most [`ANSWERS_MAX`].
    answers: Vec<(Arrival, Quote)>,
}

/// A difference that is followed as a dispute ([`super::open_interest`]), and shows no change that either has missed.
fn are_in_other_units(ours: &Observation, theirs: &Observation) -> bool {
    ours.open_interest().zip(theirs.open_interest()).is_some_and(|(ours, theirs)| are_far_apart(ours, theirs))
}

impl TradingDay {
    /// Compares what two providers say: volume orders their copies, since it only grows.
    pub(super) fn cross_check(&mut self, slot: usize, provider: Provider, now: Timestamp, rows: &mut Rows) {
        let Some(recorded) = self.slots[slot].provider() else { return };
        self.compare_open_interest(slot, (recorded, provider), now, rows);
        if self.slots[slot].provider() != Some(recorded) {
            // It was not believed.
            return;
        }
        let (Some(ours), Some(theirs)) = (self.track(recorded, slot), self.track(provider, slot)) else {
            return;
        };
        let (ours, theirs) = (*ours.latest, *theirs.latest);
        let (Some(our_volume), Some(their_volume)) = (ours.volume(), theirs.volume()) else { return };
        if their_volume == our_volume {
            if theirs.open_interest() == ours.open_interest() {
                // Answers are held against something else.
                if self.doubts.get(&(slot as u32)).is_some_and(|doubt| doubt.answers.is_empty()) {
                    self.doubts.remove(&(slot as u32));
                }
                self.prove(slot, recorded, theirs.event_time(), rows);
            } else if theirs.event_time().us_since(ours.event_time()) >= OPEN_INTEREST_LAG_US
                && !are_in_other_units(&ours, &theirs)
            {
                self.contradict(slot, provider, now, rows);
            }
        } else if their_volume > our_volume {
            // Less volume under a later stamp: the values stand still while their stamps move on.
            let is_stamped_later = ours.event_time().us_since(theirs.event_time()) > STAMP_SKEW_US;
            if is_stamped_later || now.us_since(theirs.event_time()) >= self.delay_us(slot) {
                self.contradict(slot, provider, now, rows);
            } else {
                let (stamp, volume) = (theirs.event_time(), Some(their_volume));
                self.doubts.entry(slot as u32).or_insert(Doubt {
                    by: provider,
                    stamp,
                    volume,
                    answers: Vec::new(),
                });
            }
        }
    }

    /// How long the active provider has to bring what another one shows.
    fn delay_us(&self, slot: usize) -> i64 {
        let spoken = self.recorded_track(slot).map_or(0, |track| track.spoken);
        if self.epochs.get(spoken).delivery == Delivery::Stream {
            return STREAM_DELAY_US.max(self.silence_min_us);
        }
        let chain = &self.chains[self.contexts[slot].chain as usize];
        let lateness_us = self.slots[slot].provider().map_or(0, |p| chain.cover(p).lateness_us);
        lateness_us.max(STREAM_DELAY_US).max(self.silence_min_us)
    }

    /// Holds an answer against the active provider's stream until that has had time to bring the same.
    pub(super) fn doubt_stream(&mut self, slot: usize, arrival: &Arrival, quote: &Quote) {
        let (by, stamp, volume) = (arrival.provider, arrival.received, quote.volume);
        let new = || Doubt { by, stamp, volume, answers: Vec::new() };
        let doubt = self.doubts.entry(slot as u32).or_insert_with(new);
        if doubt.by != by {
            *doubt = new();
        }
        if doubt.answers.len() < ANSWERS_MAX {
            doubt.answers.push((*arrival, *quote));
        }
    }

    /// Ends a doubt: the answers of a provider that its stream has not had time to bring, in the order of their receipt.
    pub(super) fn take_doubted(&mut self, slot: usize, provider: Provider) -> Vec<(Arrival, Quote)> {
        let key = slot as u32;
        if self.doubts.get(&key).is_none_or(|doubt| doubt.by != provider) {
            return Vec::new();
        }
        self.doubts.remove(&key).map(|doubt| doubt.answers).unwrap_or_default()
    }

    /// Looks at differences again that the active provider has had time to clear.
    pub(super) fn settle_doubts(&mut self, now: Timestamp, rows: &mut Rows) {
        let is_due =
            |(slot, doubt): &(&u32, &Doubt)| now.us_since(doubt.stamp) >= self.delay_us(**slot as usize);
        let due: Vec<u32> = self.doubts.iter().filter(is_due).map(|(slot, _)| *slot).collect();
        for slot in due {
            let Some(doubt) = self.doubts.remove(&slot) else { continue };
            let index = slot as usize;
            let Some(ours) = self.recorded_track(index).map(|track| *track.latest) else { continue };
            if ours.volume() < doubt.volume && doubt.answers.is_empty() {
                self.contradict(index, doubt.by, now, rows);
            }
            for (mut arrival, quote) in doubt.answers {
                if self.slots[index].is_of(doubt.by) {
                    self.observe_quote(index, &mut arrival, &quote, now, rows);
                } else {
                    self.observe_aside(index, &mut arrival, &quote, rows);
                }
            }
        }
    }

    /// The recorded provider has missed a change of a contract that another one shows: the other's values are recorded.
    fn contradict(&mut self, slot: usize, by: Provider, now: Timestamp, rows: &mut Rows) {
        let Some(recorded) = self.slots[slot].provider() else { return };
        let Some(track) = self.recorded_track(slot) else { return };
        let epoch = self.epochs.get(track.spoken);
        // What a stream that has ended did not bring says nothing of those that go on, nor against what it brought.
        let is_failure = epoch.is_open || epoch.delivery != Delivery::Stream;
        self.note_stood_still(slot, by, rows);
        self.counters.contradicted += 1;
        self.missed_changes[recorded.index()] += u64::from(is_failure);
        if is_failure {
            self.mute(slot, rows);
        }
        if !self.is_disbelieved(slot, by) {
            self.exceptions.insert(slot as u32, now);
            self.switch(slot, by, rows);
        }
        if is_failure {
            self.note_contradiction(slot, recorded, ScopeReason::Contradicted, now, rows);
        }
    }

    /// Values that stood still under later stamps than those of the trades that they lack: until when they were right is not known,
    /// nor where those trades belong. The candles since the bucket of the first of them say so.
    fn note_stood_still(&mut self, slot: usize, by: Provider, rows: &mut Rows) {
        let (Some(ours), Some(theirs)) = (self.recorded_track(slot), self.track(by, slot)) else { return };
        let (volume, until) = (ours.latest.volume(), ours.latest.event_time());
        if until <= theirs.latest.event_time() {
            return;
        }
        let mut first = self.buckets.index_of(theirs.latest.event_time());
        let is_more =
            |bucket| self.at_end(theirs, slot, bucket).is_some_and(|(value, _)| value.volume() > volume);
        while first > 0 && is_more(first - 1) {
            first -= 1;
        }
        // The other one's values are adopted with its first stamp after these.
        let last = (self.buckets.index_of(until) + 1).min(self.bucket_count - 1);
        for index in first..=last {
            self.marks.of_mut(slot)[index].set_hole();
            self.touch_candles(slot, self.bucket(index), rows);
        }
    }

    /// Past half of a chain's contracts, the provider is down for the chain, by the reason that most of them have.
    pub(super) fn note_contradiction(
        &mut self,
        slot: usize,
        provider: Provider,
        reason: ScopeReason,
        now: Timestamp,
        rows: &mut Rows,
    ) {
        self.contradicted.insert((provider, slot as u32), (now, reason));
        let chain = self.contexts[slot].chain as usize;
        let slots = &self.chains[chain].slots;
        let recent = slots.iter().filter_map(|slot| {
            let (at, reason) = self.contradicted.get(&(provider, *slot))?;
            (now.us_since(*at) <= CONTRADICTED_US).then_some(*reason)
        });
        let mut counts: BTreeMap<ScopeReason, usize> = BTreeMap::new();
        recent.for_each(|reason| *counts.entry(reason).or_default() += 1);
        let is_past_half = counts.values().sum::<usize>() * 2 > slots.len();
        let reason = counts.into_iter().max_by_key(|(_, count)| *count).map_or(reason, |(reason, _)| reason);
        if is_past_half && self.chains[chain].cover(provider).is_covering {
            // Up to when it is proved without the stream: the contract may be the other's by now.
            let since = self.track(provider, slot).map_or(self.hours.open, |track| track.stated_until());
            self.set_scope_down(chain, provider, since, reason, rows);
        }
    }
}
