//! What is claimed of a bucket: the one place that decides it, for every provider.
//!
//! Each provider's track says what it knew of a contract at the bucket's end and how that is proved. Volume only grows, so
//! the value with most of it is the true one: a proof of a value with less is refuted, unless its provider is seen to count
//! from another number. A bucket is claimed where the true value is proved; otherwise it is missing.
//!
//! Owns no state. [`TradingDay::judge_again`] holds closed rows to it after every change of a track.

use super::{
    Arrival, Delivery, TradingDay,
    track::{Proof, TrackView},
};
use crate::{
    engine::{candle::Seen, observation::Observation, rows::Rows},
    market::{BucketState, Provider, Quote, Timestamp},
};
use std::cmp::Ordering;

/// A stream that brought data so shortly before the close has brought the session's last: nothing is due after it.
const FINAL_SILENCE_US: i64 = 10_000_000;
/// Stamps of two sources may differ by so much in the order of their values.
const SKEW_US: i64 = 180_000_000;

/// What is known of a contract at a bucket's end.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Verdict {
    pub value: Option<Observation>,
    pub is_proved: bool,
    /// By the recorded provider alone.
    pub is_own: bool,
}

impl Verdict {
    /// Whether both state the same.
    fn is_same(&self, other: &Verdict) -> bool {
        self.is_proved == other.is_proved
            && match (&self.value, &other.value) {
                (Some(a), Some(b)) => {
                    a.event_time() == b.event_time() && a.provider() == b.provider() && a.same_values(b)
                }
                (None, None) => true,
                _ => false,
            }
    }
}

/// The volume of a provider's observation that is not taken yet.
type NextVolume = (Provider, Option<i64>);

/// What a provider knew of a contract at a bucket's end.
#[derive(Clone, Copy, Debug)]
struct Known {
    value: Observation,
    proof: Proof,
    /// The least volume that it said next, at or after the end.
    after: Option<i64>,
}

impl Known {
    /// What it said next contradicts it: volume only grows.
    fn is_refuted(&self) -> bool {
        self.after.is_some() && self.after < self.value.volume()
    }
}

/// Values that their own provider contradicted prove nothing against what another one proves.
fn leave_out_refuted(known: &mut [Option<Known>]) {
    if known.iter().flatten().any(|known| known.proof != Proof::None && !known.is_refuted()) {
        known.iter_mut().for_each(|known| *known = known.filter(|known| !known.is_refuted()));
    }
}

/// How a track goes on at a new observation.
#[derive(Clone, Copy, Debug)]
pub(super) struct Step {
    /// Of the same stream without a break: it would have brought what happened between.
    pub is_continued: bool,
    /// Two snapshots, and not further apart than the channel's cadence.
    pub is_bridged: bool,
    /// Up to when the values before were proved.
    pub witness_end: Timestamp,
}

impl Step {
    /// How the values before the observation are proved to hold at `end`, which lies between; `start` is that of the bucket.
    ///
    /// Less volume than before contradicts them: one of the two is none of the market's.
    pub fn proof(&self, before: &Observation, quote: &Quote, (start, end): (Timestamp, Timestamp)) -> Proof {
        if quote.volume.is_some() && quote.volume < before.volume() {
            Proof::None
        } else if self.is_continued || end <= self.witness_end || before.has_same_trades(quote) {
            Proof::Full
        } else if self.is_bridged && before.event_time() >= start {
            Proof::Bridged
        } else {
            Proof::None
        }
    }
}

/// Values from before the open have no volume.
fn volume_of(observation: &Observation) -> i64 {
    observation.volume().unwrap_or(0)
}

impl TradingDay {
    /// What the recorded provider has seen since its values before an observation, for the candles. At the open nothing has been
    /// traded: a stream that was subscribed before brings a contract's first value as soon as there is one.
    pub(super) fn seen(&self, slot: usize, arrival: &Arrival, step: Step, event_time: Timestamp) -> Seen {
        let open = self.hours.open;
        let held = self.held_until(step.witness_end, self.slots[slot].latest.event_time(), event_time);
        match arrival.traits.delivery {
            Delivery::Chain if step.is_bridged => {
                let is_one_candle = self.candles.interval_of(held) == self.candles.interval_of(event_time);
                // A level has no volume of which it is to be said.
                if is_one_candle || !self.slots[slot].is_option() { Seen::All } else { Seen::Bodies(held) }
            }
            Delivery::Chain | Delivery::Quote => Seen::Nothing(held),
            Delivery::Stream => {
                let gap_max_us = arrival.traits.gap_max_us.max(self.silence_min_us);
                let is_of_open = step.witness_end <= open && event_time.us_since(open) <= gap_max_us;
                let is_seen = step.is_continued || is_of_open && self.epochs.get(arrival.epoch).began <= open;
                if is_seen { Seen::All } else { Seen::Nothing(held) }
            }
        }
    }

    /// Up to when values held that were said at `said` and proved until `witness_end`; an observation of before shows that they did
    /// not hold until then.
    pub(super) fn held_until(
        &self,
        witness_end: Timestamp,
        said: Timestamp,
        event_time: Timestamp,
    ) -> Timestamp {
        let until = if witness_end < event_time { witness_end } else { said };
        until.max(self.hours.open)
    }

    /// What a track says of a bucket's end.
    pub(super) fn at_end(
        &self,
        track: TrackView<'_>,
        slot: usize,
        index: usize,
    ) -> Option<(Observation, Proof)> {
        if let Some((value, proof)) = track.ends.get(index) {
            return (!value.is_empty()).then_some((*value, proof));
        }
        let end = self.end_of_slot(slot, index);
        if track.latest.is_empty() || track.latest.event_time() >= end {
            return None;
        }
        let is_proved = self.reach(track, slot) >= end;
        Some((*track.latest, if is_proved { Proof::Full } else { Proof::None }))
    }

    /// Up to when a track proves its latest values of a contract: a stream that brought data until just before the close does
    /// up to it.
    pub(super) fn reach(&self, track: TrackView<'_>, slot: usize) -> Timestamp {
        let (close, epoch) = (self.close_of(&self.slots[slot]), self.epochs.get(track.spoken));
        let last_data = close.plus_us(-FINAL_SILENCE_US.max(self.silence_min_us));
        let streamed_until = self.streamed_until(track, slot);
        let is_last_data =
            epoch.delivery == Delivery::Stream && !epoch.is_lost && streamed_until >= last_data;
        let end = track.stated_until().max(streamed_until);
        if is_last_data { end.max(close) } else { end }
    }

    /// Whether the recorded provider alone cannot prove a bucket any more.
    pub(super) fn is_decided(&self, slot: usize, index: usize) -> bool {
        let track = self.recorded_track(slot);
        self.others.is_empty()
            && track.is_some_and(|track| track.ends.get(index).is_some_and(|(_, proof)| proof == Proof::None))
    }

    /// What is known of a contract at a bucket's end.
    pub(super) fn judge(&self, slot: usize, index: usize) -> Verdict {
        self.judge_before(slot, index, None)
    }

    /// The same before an observation of a provider is taken, of which the volume is `next`.
    fn judge_before(&self, slot: usize, index: usize, next: Option<NextVolume>) -> Verdict {
        let own = self.recorded_track(slot).and_then(|track| self.at_end(track, slot, index));
        let is_own_proved = own.is_some_and(|(_, proof)| proof != Proof::None);
        let is_ordered = self.is_forced(slot) && self.end_of_slot(slot, index) > self.forced_at;
        if self.others.is_empty() || is_own_proved && is_ordered {
            // An operator's order, from then on: what the others know better is not taken.
            let value = own.map(|(value, _)| value);
            return Verdict { value, is_proved: is_own_proved, is_own: true };
        }
        let recorded = self.slots[slot].provider();
        let others = self.preference.order.iter().filter(|provider| Some(**provider) != recorded);
        let mut known = [None; Provider::ALL.len() + 1];
        known[0] = recorded.and_then(|of| self.known_at(own, (of, next), slot, index));
        for (place, provider) in known[1..].iter_mut().zip(others) {
            let said = self.others.get(*provider, slot);
            let said = said.and_then(|track| self.at_end(track.view(), slot, index));
            *place = self.known_at(said, (*provider, next), slot, index);
        }
        self.leave_out_disbelieved(slot, index, &mut known);
        leave_out_refuted(&mut known);
        let own = known[0];
        let is_own_proved = own.is_some_and(|own| own.proof != Proof::None);
        let said = || known.iter().flatten();
        let Some(first) = said().next() else { return Verdict::default() };
        let last = said().fold(first.value, |last, known| {
            if self.is_later_trade(slot, &known.value, &last) { known.value } else { last }
        });
        let volume = volume_of(&last);
        let is_last = |value: &Observation| volume_of(value) == volume;
        let with = |wanted: Proof| said().find(|known| known.proof == wanted && is_last(&known.value));
        // Bodies around the end bridge what was traded between them, and no more.
        let bridges = |known: &Known| {
            known.proof == Proof::Bridged
                && (is_last(&known.value) || known.after.is_some_and(|after| after >= volume))
        };
        let (full, is_bridged) = (with(Proof::Full), said().any(bridges));
        let value = full.or_else(|| with(Proof::Bridged)).map_or(last, |known| known.value);
        let is_own = is_own_proved && own.is_some_and(|own| is_last(&own.value));
        Verdict { value: Some(value), is_proved: full.is_some() || is_bridged, is_own }
    }

    /// With the volume that the provider said next.
    fn known_at(
        &self,
        said: Option<(Observation, Proof)>,
        (provider, next): (Provider, Option<NextVolume>),
        slot: usize,
        index: usize,
    ) -> Option<Known> {
        let (value, proof) = said?;
        let track = self.track(provider, slot)?;
        let end = self.end_of_slot(slot, index);
        let is_after = |said: &&Observation| said.event_time() >= end;
        let said = track.ends.get(index + 1).map(|(said, _)| said).filter(is_after);
        let said = said.or(Some(track.latest).filter(is_after)).map(Observation::volume);
        let next = next.filter(|(of, _)| *of == provider).map(|(_, volume)| volume);
        let (said, next) = (said.flatten(), next.flatten());
        Some(Known { value, proof, after: said.into_iter().chain(next).min() })
    }

    /// Volume only grows: whether `other` is of a later trade than `own`.
    fn is_later_trade(&self, slot: usize, other: &Observation, own: &Observation) -> bool {
        match volume_of(other).cmp(&volume_of(own)) {
            Ordering::Greater => !self.counts_otherwise(slot, own, other),
            Ordering::Less => self.counts_otherwise(slot, other, own),
            Ordering::Equal => false,
        }
    }

    /// Whether the provider of `less` counts from another number than that of `more`: it had said more than `less` before, or it
    /// went on counting to it where the stamps are too far behind those of `more` for an older copy. One that stands still shows
    /// old values, however they are stamped.
    fn counts_otherwise(&self, slot: usize, less: &Observation, more: &Observation) -> bool {
        let comparable = more.event_time().plus_us(SKEW_US);
        if less.event_time() <= comparable {
            return false;
        }
        let track = less.provider().and_then(|provider| self.track(provider, slot));
        track.is_some_and(|track| track.ends.counts_otherwise(less, comparable))
    }

    /// Of what providers knew at a bucket's end, values that are not believed prove nothing, and are shown only where there are no
    /// others.
    fn leave_out_disbelieved(&self, slot: usize, index: usize, known: &mut [Option<Known>]) {
        let disbelieved = self.disbelieved_at(slot, self.end_of_slot(slot, index));
        if disbelieved.is_none() {
            return;
        }
        let is_believed =
            |known: &Option<Known>| known.is_some_and(|known| !disbelieved.has(known.value.provider()));
        let has_others = known.iter().any(is_believed);
        for known in known {
            if !is_believed(known) {
                *known = known.filter(|_| !has_others).map(|known| Known { proof: Proof::None, ..known });
            }
        }
    }

    /// Whether a track that a closed row may rest on does not reach back to it any more.
    fn is_forgotten(&self, slot: usize, index: usize) -> bool {
        let recorded = self.recorded_track(slot).into_iter();
        let others = Provider::ALL.into_iter().filter_map(|provider| self.others.get(provider, slot));
        recorded.chain(others.map(|track| track.view())).any(|track| track.ends.is_forgotten(index))
    }

    /// Closed buckets of a slot whose ends lie after `since`.
    fn closed_since(&self, slot: usize, since: Timestamp) -> impl DoubleEndedIterator<Item = usize> + use<> {
        let first = self.buckets.index_of(since).min(self.bucket_count);
        let until = self.buckets.index_of(self.closed_until.plus_us(-1)).saturating_add(1);
        let is_closed = |index: &usize| {
            self.marks.of(slot)[*index].state().is_some() && since < self.end_of_slot(slot, *index)
        };
        let closed: Vec<usize> = (first..until.min(self.bucket_count)).filter(is_closed).collect();
        closed.into_iter()
    }

    /// What closed rows state before a track changes that says something after `since`.
    pub(super) fn verdicts_since(&self, slot: usize, since: Timestamp) -> Vec<(usize, Verdict)> {
        self.closed_since(slot, since).map(|index| (index, self.judge(slot, index))).collect()
    }

    /// Holds these rows to what is known now.
    pub(super) fn judge_changed(&mut self, slot: usize, before: &[(usize, Verdict)], rows: &mut Rows) {
        let mut is_changed = false;
        for (index, before) in before {
            is_changed |= self.judge_again(slot, *index, Some(before), rows);
        }
        self.counters.late += u64::from(is_changed);
    }

    /// Holds the rows of buckets that end after `since` to what a provider says next, with this volume.
    pub(super) fn judge_next(&mut self, slot: usize, since: Timestamp, next: NextVolume, rows: &mut Rows) {
        for (index, before) in self.verdicts_since(slot, since) {
            self.judge_again_before(slot, index, (Some(&before), Some(next)), rows);
        }
    }

    /// The same of all rows of buckets that end after `since`, where the proofs have changed and no value.
    pub(super) fn judge_since(&mut self, slot: usize, since: Timestamp, rows: &mut Rows) {
        for index in self.closed_since(slot, since) {
            self.judge_again(slot, index, None, rows);
        }
    }

    /// Restates a closed row where it is not what is known now; `before`: what was known when it was last looked at, where the
    /// values may have changed. Says whether it did.
    pub(super) fn judge_again(
        &mut self,
        slot: usize,
        index: usize,
        before: Option<&Verdict>,
        rows: &mut Rows,
    ) -> bool {
        self.judge_again_before(slot, index, (before, None), rows)
    }

    /// The same before what a provider says next is taken; `next` as in [`TradingDay::judge_before`].
    fn judge_again_before(
        &mut self,
        slot: usize,
        index: usize,
        (before, next): (Option<&Verdict>, Option<NextVolume>),
        rows: &mut Rows,
    ) -> bool {
        let Some(state) = self.marks.of(slot)[index].state() else { return false };
        let now = self.judge_before(slot, index, next);
        let was_claimed = !matches!(state, BucketState::Missing | BucketState::Unlisted);
        let is_changed = before.is_some_and(|before| !before.is_same(&now));
        // A new proof refutes nothing that is forgotten: nothing was traded since the values that it proves.
        let is_filled = !was_claimed && now.is_proved;
        if was_claimed == now.is_proved && !is_changed || !is_filled && self.is_forgotten(slot, index) {
            return false;
        }
        let is_in_bucket = |value: Option<Observation>| {
            value.is_some_and(|value| value.event_time() >= self.bucket(index).start())
        };
        let state = match (was_claimed, now.is_proved) {
            (_, false) => BucketState::Missing,
            (false, true) => BucketState::Backfilled,
            (true, true) if state == BucketState::Backfilled || !now.is_own => BucketState::Backfilled,
            (true, true) if is_in_bucket(now.value) => BucketState::Live,
            (true, true) => BucketState::Carried,
        };
        let was_shown = before.is_some_and(|before| is_in_bucket(before.value));
        if !was_claimed && !now.is_proved && !is_in_bucket(now.value) && !was_shown {
            return false;
        }
        self.restate(slot, index, state, now.value, rows);
        true
    }

    /// The bucket ends between the latest values of the recorded provider and a new observation of it have passed.
    #[inline(never)]
    pub(super) fn pass_ends(&mut self, slot: usize, quote: &Quote, step: Step, rows: &mut Rows) {
        let latest = self.slots[slot].latest;
        for index in self.ends_between(slot, &latest, quote.event_time) {
            let span = (self.bucket(index).start(), self.end_of_slot(slot, index));
            let proof = step.proof(&latest, quote, span);
            self.ends[slot].pass(index, &latest, proof);
            if proof == Proof::None {
                self.marks.of_mut(slot)[index].set_hole();
            }
            let next = self.slots[slot].provider().map(|provider| (provider, quote.volume));
            self.judge_again_before(slot, index, (None, next), rows);
        }
    }

    /// The same of a provider that is not the recorded one.
    pub(super) fn pass_ends_aside(
        &mut self,
        slot: usize,
        provider: Provider,
        quote: &Quote,
        step: Step,
        rows: &mut Rows,
    ) {
        let latest = self.others.reach(provider, slot).latest;
        for index in self.ends_between(slot, &latest, quote.event_time) {
            let span = (self.bucket(index).start(), self.end_of_slot(slot, index));
            let proof = step.proof(&latest, quote, span);
            self.others.reach(provider, slot).ends.pass(index, &latest, proof);
            let next = Some((provider, quote.volume));
            self.judge_again_before(slot, index, (None, next), rows);
        }
    }

    /// Buckets of a contract that end after its latest values, and not after `until`.
    fn ends_between(&self, slot: usize, latest: &Observation, until: Timestamp) -> std::ops::Range<usize> {
        if latest.is_empty() {
            return 0..0;
        }
        let first = self.buckets.index_of(latest.event_time());
        let close = self.close_of(&self.slots[slot]);
        let mut last = self.buckets.index_of(until).min(self.bucket_count);
        if until >= close {
            let last_start = self.buckets.index_of(close.plus_us(-1));
            last = (last_start + 1).min(self.bucket_count);
        }
        first..last
    }
}
