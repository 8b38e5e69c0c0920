//! What arrives late or otherwise than in the order of its channel, and what proves a contract without a new value.
//!
//! Answers to requests hold as of their request; observations older than the latest one change what was known at earlier
//! bucket ends; a stream that is found to have missed something proves nothing more. Every closed row that rests on what
//! changes is held to it again ([`super::judge`]).

use super::{
    Arrival, Delivery, Step, TradingDay,
    cross_check::STAMP_SKEW_US,
    silence::ScopeReason,
    track::{Proof, TrackView},
};
use crate::{
    engine::{
        candle::{Seen, Trade},
        observation::Observation,
        rows::Rows,
    },
    market::{BucketState, Provider, Quote, Timestamp},
};

/// Stamps of quotes are of whole seconds.
const QUOTE_STAMP_US: i64 = 999_999;
/// A stream has this long to bring what another source shows already.
pub(super) const STREAM_DELAY_US: i64 = 10_000_000;

/// What an answer says against what is known already.
pub(super) enum Answer {
    /// Nothing new: what is known held when the request was sent.
    Same,
    Outdated,
    /// `said`: with its own stamp, or from when on earlier requests do not contradict it. `counted_at`: the stamp that it counts
    /// with. `is_more`: something was traded. `dated`: its stamp and its volume, where what was said later contradicts that so
    /// much was traded by then.
    New {
        said: Quote,
        counted_at: Timestamp,
        is_more: bool,
        dated: Option<(Timestamp, i64)>,
    },
}

impl Answer {
    /// What a quote that was received then says.
    pub fn of(quote: &Quote, received: Timestamp, track: TrackView<'_>) -> Answer {
        let before = track.latest;
        if before.has_same_trades(quote) {
            return Answer::Same;
        }
        let is_newer = quote.event_time.plus_us(QUOTE_STAMP_US) >= before.event_time();
        let is_more = before.volume() < quote.volume;
        // Volume only grows: more of it is of a later trade, whatever the stamps say, but for what is of one moment.
        let is_of_another_moment = before.event_time().us_since(quote.event_time) > STREAM_DELAY_US
            || received.us_since(before.received_time()) > STREAM_DELAY_US;
        let is_refuting = is_more && before.volume().is_some() && is_of_another_moment;
        let is_next = is_newer && (is_more || before.volume() == quote.volume);
        if !is_refuting && !is_next {
            return Answer::Outdated;
        }
        let said = Quote { event_time: quote.event_time.max(track.proved_until), ..*quote };
        let counted_at = said.event_time.max(before.event_time());
        // A stamp that stands still dates nothing.
        let is_dated = is_more
            && quote.event_time != before.event_time()
            && (counted_at.us_since(quote.event_time) > STREAM_DELAY_US
                || track.proved_until.us_since(quote.event_time) > STAMP_SKEW_US);
        let dated = quote.volume.filter(|_| is_dated).map(|volume| (quote.event_time, volume));
        Answer::New { said, counted_at, is_more, dated }
    }
}

impl TradingDay {
    /// Whether a provider is known to have been away since its values were said.
    fn has_known_break(&self, slot: usize, provider: Provider, before: TrackView<'_>) -> bool {
        if before.latest.is_empty() {
            return false;
        }
        let down_at = self.chains[self.contexts[slot].chain as usize].cover(provider).down_at;
        let epoch = self.epochs.get(before.spoken);
        let is_epoch_over = before.spoken != 0 && !epoch.is_open && before.proved_until <= epoch.last_arrival;
        is_epoch_over || before.latest.received_time().max(before.proved_until) <= down_at
    }

    /// How a track goes on at an observation.
    pub(super) fn step(
        &self,
        slot: usize,
        arrival: &Arrival,
        before: TrackView<'_>,
        event_time: Timestamp,
    ) -> Step {
        let is_same = arrival.epoch != 0 && arrival.epoch == before.spoken;
        let is_stream = arrival.traits.delivery == Delivery::Stream;
        // What lies in an outage was not seen, however short it was.
        let is_broken = !is_same && self.has_known_break(slot, arrival.provider, before);
        // Where no break is known, two snapshots may be as far apart as a silence that says nothing.
        let declared_us = arrival.traits.gap_max_us;
        let gap_max_us = if is_same { declared_us.max(self.silence_min_us) } else { declared_us };
        let witness_end = self.reach(before, slot);
        Step {
            is_continued: is_stream && is_same,
            // Before the open nothing is traded.
            is_bridged: !is_stream
                && !is_broken
                && event_time.us_since(witness_end.max(self.hours.open)) <= gap_max_us
                && !self.is_unproved(slot, arrival.provider, event_time),
            witness_end,
        }
    }

    /// It is proved that a provider's latest values held until then, otherwise than by their stamp.
    pub(super) fn prove(&mut self, slot: usize, provider: Provider, until: Timestamp, rows: &mut Rows) {
        let Some(track) = self.track(provider, slot) else { return };
        let before = track.stated_until().max(self.streamed_until(track, slot));
        let proved = track.proved_until.max(until);
        *self.proved_until_mut(slot, provider) = proved;
        if until > before {
            self.judge_since(slot, before, rows);
        }
        self.wake_rows(slot, until);
    }

    /// A contract is proved up to `until`: rows that wait for it are looked at with the next record.
    pub(super) fn wake_rows(&mut self, slot: usize, until: Timestamp) {
        let chain = self.contexts[slot].chain as usize;
        let waiting = self.chains[chain].closed;
        if waiting < self.bucket_count && until >= self.end_of(waiting) {
            (self.chains[chain].next_check, self.next_check) = (Timestamp::NEVER, Timestamp::NEVER);
        }
    }

    /// States a closed bucket anew, with the next revision.
    pub(super) fn restate(
        &mut self,
        slot: usize,
        index: usize,
        state: BucketState,
        observation: Option<Observation>,
        rows: &mut Rows,
    ) {
        let revision = self.marks.of(slot)[index].revision() + 1;
        self.state_bucket(slot, index, state, revision, observation, rows);
        if self.is_day_closed && self.slots[slot].is_option() {
            // What is said of the whole day follows.
            self.tell_coverage(slot, rows);
            rows.closes.extend(self.day_close(slot));
            rows.candles.extend(self.tell_day(slot));
        }
    }

    /// Answers to requests: the values hold as of the request, whatever their stamps.
    #[cold]
    pub(super) fn observe_quote(
        &mut self,
        index: usize,
        arrival: &mut Arrival,
        quote: &Quote,
        now: Timestamp,
        rows: &mut Rows,
    ) {
        if !self.is_still_open_to(index, arrival, rows) {
            return self.observe_aside(index, arrival, quote, rows);
        }
        if quote.event_time >= self.close_of(&self.slots[index]) {
            return self.observe_after_close(index, arrival, quote, rows);
        }
        self.weigh_answer(index, arrival, quote, (now, false), rows);
    }

    /// `is_settled`: the stream has had its time to bring the same.
    fn weigh_answer(
        &mut self,
        index: usize,
        arrival: &mut Arrival,
        quote: &Quote,
        (now, is_settled): (Timestamp, bool),
        rows: &mut Rows,
    ) {
        let (said, quote, is_more) = match Answer::of(quote, arrival.received, self.own_track(index)) {
            Answer::Same => {
                self.take_earlier(index, arrival, quote, rows);
                return self.prove(index, arrival.provider, arrival.proved, rows);
            }
            Answer::Outdated => {
                self.take_late(index, arrival, quote, rows);
                return self.counters.outdated += 1;
            }
            Answer::New { said, counted_at, is_more, dated } => {
                self.unprove(index, (arrival.provider, counted_at), dated, rows);
                (said, Quote { event_time: counted_at, ..said }, is_more)
            }
        };
        let mut is_contradicted = false;
        let epoch = self.epochs.get(self.slots[index].spoken);
        if is_more && epoch.is_streaming() {
            let delay_us = STREAM_DELAY_US.max(self.silence_min_us);
            let is_due = is_settled || epoch.live_until.us_since(quote.event_time) >= delay_us;
            if !is_due && now.us_since(arrival.received) < delay_us {
                return self.doubt_stream(index, arrival, &said);
            }
            if !is_settled {
                // What earlier answers show lies between the values before and these.
                for (mut arrival, said) in self.take_doubted(index, arrival.provider) {
                    self.weigh_settled(index, &mut arrival, &said, now, rows);
                }
                return self.weigh_settled(index, arrival, &said, now, rows);
            }
            // The stream has missed what was traded: the contract is asked for again and again from now on.
            self.counters.contradicted += 1;
            self.mute(index, rows);
            is_contradicted = true;
        } else if is_more && quote.event_time < epoch.live_until {
            self.mute(index, rows);
        }
        let step = self.step(index, arrival, self.own_track(index), quote.event_time);
        self.pass_ends(index, &quote, step, rows);
        let seen = self.seen(index, arrival, step, quote.event_time);
        self.take(index, arrival.provider, seen, arrival.received, &quote, rows);
        self.take_earlier(index, arrival, &said, rows);
        self.prove(index, arrival.provider, arrival.proved, rows);
        self.wake_rows(index, quote.event_time);
        if is_contradicted {
            // Last: another provider may be recorded from here on.
            self.note_contradiction(index, arrival.provider, ScopeReason::MissedByStream, now, rows);
        }
    }

    /// An answer that the stream has had its time to bring. One before it may have shown that the provider is not to be recorded.
    fn weigh_settled(
        &mut self,
        index: usize,
        arrival: &mut Arrival,
        quote: &Quote,
        now: Timestamp,
        rows: &mut Rows,
    ) {
        if self.slots[index].is_of(arrival.provider) {
            self.weigh_answer(index, arrival, quote, (now, true), rows);
        } else {
            self.observe_aside(index, arrival, quote, rows);
        }
    }

    /// An answer dates a trade, with its volume, to before what was said without it: nothing tells which of them is right, so
    /// nothing of less volume is proved from then on up to when it counts.
    pub(super) fn unprove(
        &mut self,
        slot: usize,
        (provider, until): (Provider, Timestamp),
        dated: Option<(Timestamp, i64)>,
        rows: &mut Rows,
    ) {
        let Some((since, volume)) = dated else { return };
        let stated = self.verdicts_since(slot, since);
        self.unproved.insert((slot as u32, provider), until);
        let bucket = self.buckets.index_of(since);
        let proved_until = self.proved_until_mut(slot, provider);
        *proved_until = since.min(*proved_until);
        self.ends_mut(slot, provider).unprove(bucket, volume);
        self.judge_changed(slot, &stated, rows);
    }

    /// Whether what a provider says of a contract next is no snapshot after another one, but of a time in which it contradicted
    /// itself.
    fn is_unproved(&self, slot: usize, provider: Provider, event_time: Timestamp) -> bool {
        !self.unproved.is_empty()
            && self.unproved.get(&(slot as u32, provider)).is_some_and(|until| event_time <= *until)
    }

    /// The recorded provider's stream is proved to have missed something of a contract: until it speaks again, it proves
    /// nothing more.
    pub(super) fn mute(&mut self, slot: usize, rows: &mut Rows) {
        let Some(provider) = self.slots[slot].provider() else { return };
        self.mute_provider(slot, provider, Timestamp::NEVER, rows);
    }

    /// A provider's stream proves nothing of a contract's latest values after `since`.
    pub(super) fn mute_provider(
        &mut self,
        slot: usize,
        provider: Provider,
        since: Timestamp,
        rows: &mut Rows,
    ) {
        let Some(track) = self.track(provider, slot) else { return };
        let epoch = *self.epochs.get(track.spoken);
        if epoch.delivery != Delivery::Stream {
            return;
        }
        let proved = track.proved_until.max(self.streamed_until(track, slot).min(since));
        let from = track.latest.event_time().max(proved);
        // What an operator's order kept out may be known better then.
        let stated = self.is_forced(slot).then(|| self.verdicts_since(slot, from));
        if self.slots[slot].is_of(provider) {
            (self.slots[slot].spoken, self.contexts[slot].proved_until) = (0, proved);
        } else {
            let track = self.others.reach(provider, slot);
            (track.spoken, track.proved_until) = (0, proved);
        }
        match stated {
            Some(stated) => self.judge_changed(slot, &stated, rows),
            None => self.judge_since(slot, from, rows),
        }
    }

    /// A requested contract that the answer does not contain is not witnessed any more by its stream.
    pub fn note_absent(&mut self, slot: u32, provider: Provider, now: Timestamp, rows: &mut Rows) {
        let slot = slot as usize;
        if self.slots[slot].is_of(provider) && self.slots[slot].spoken != 0 {
            self.mute(slot, rows);
            self.note_contradiction(slot, provider, ScopeReason::Unanswered, now, rows);
        }
    }

    /// A packet of the stream under an earlier stamp, with more volume than the latest: it is of a later trade, and the stamp of
    /// one of the two is wrong. At the ends between them it was known if its own is right, so they are held to it; the candles
    /// between them are marked.
    #[cold]
    pub(super) fn observe_disordered(
        &mut self,
        slot: usize,
        arrival: &mut Arrival,
        quote: &Quote,
        rows: &mut Rows,
    ) {
        self.note_disordered(arrival.provider);
        let latest = self.slots[slot].latest.event_time();
        self.take_late(slot, arrival, quote, rows);
        self.observe_active(slot, arrival, &Quote { event_time: latest, ..*quote }, rows);
        let from = quote.event_time.max(self.hours.open);
        if self.candles.interval_of(from) != self.candles.interval_of(latest) {
            self.mark_candles(slot, from, latest, rows);
        }
    }

    /// An observation older than the latest: it matters only to the ends of buckets before the latest one's.
    #[cold]
    pub(super) fn observe_late(&mut self, slot: usize, arrival: &Arrival, quote: &Quote, rows: &mut Rows) {
        let (event_time, provider) = (quote.event_time, arrival.provider);
        if event_time < self.hours.open {
            self.counters.outdated += 1;
            return;
        }
        let trade = Trade {
            event_time,
            last_price: quote.last_price.value(),
            volume: quote.volume,
            provider,
            seen: Seen::All,
        };
        self.take_late_price(slot, &trade, rows);
        if !self.take_late(slot, arrival, quote, rows) {
            self.counters.outdated += 1;
        }
    }

    /// What a provider said late changes what it knew at earlier bucket ends; false if it does not.
    pub(super) fn take_late(
        &mut self,
        slot: usize,
        arrival: &Arrival,
        quote: &Quote,
        rows: &mut Rows,
    ) -> bool {
        let (provider, event_time) = (arrival.provider, quote.event_time);
        let Some(track) = self.track(provider, slot) else { return false };
        let (latest, mut ends) = (*track.latest, *track.ends);
        if event_time < self.hours.open || event_time >= latest.event_time() {
            return false;
        }
        let buckets = (self.buckets.index_of(event_time), self.buckets.index_of(latest.event_time()));
        // A stream brings late what it had not missed; an answer shows what the stream has.
        let proof = |bucket: usize| match arrival.traits.delivery {
            Delivery::Stream | Delivery::Chain => None,
            Delivery::Quote if self.end_of_slot(slot, bucket) <= arrival.proved => Some(Proof::Full),
            Delivery::Quote => Some(Proof::None),
        };
        // A stream's packets are of one course: more volume is no later copy's.
        let is_of_stream = arrival.traits.delivery == Delivery::Stream;
        let latest_volume = latest.volume().filter(|_| !is_of_stream);
        if !ends.take_late(buckets, provider, quote, arrival.received, latest_volume, proof) {
            return false;
        }
        let stated = self.verdicts_since(slot, event_time);
        *self.ends_mut(slot, provider) = ends;
        self.judge_changed(slot, &stated, rows);
        true
    }

    /// An answer with the latest trade dates it: at the ends of buckets before the stream brought it, it was known no less.
    pub(super) fn take_earlier(&mut self, slot: usize, arrival: &Arrival, quote: &Quote, rows: &mut Rows) {
        let Some(track) = self.track(arrival.provider, slot) else { return };
        let bucket = self.buckets.index_of(quote.event_time);
        if track.ends.first_since(bucket).is_some_and(|value| value.volume() < quote.volume) {
            self.take_late(slot, arrival, quote, rows);
        }
    }

    /// Whether a track has said something after the close already.
    pub(super) fn has_passed_close(&self, slot: usize, track: TrackView<'_>) -> bool {
        let last = self.buckets.index_of(self.close_of(&self.slots[slot]).plus_us(-1));
        track.ends.get(last).is_some()
    }

    /// Something that the recorded provider stamped at or after the close proves the contract up to it.
    pub(super) fn prove_close(&mut self, slot: usize, arrival: &Arrival, quote: &Quote, rows: &mut Rows) {
        let proved = match arrival.traits.delivery {
            Delivery::Quote => arrival.proved,
            Delivery::Stream | Delivery::Chain => quote.event_time,
        };
        let is_continued =
            self.slots[slot].spoken == arrival.epoch && arrival.traits.delivery == Delivery::Stream;
        if is_continued
            || self.has_passed_close(slot, self.own_track(slot))
            || self.is_repeated(slot, arrival, quote)
        {
            return;
        }
        let step = self.step(slot, arrival, self.own_track(slot), quote.event_time);
        self.pass_ends(slot, quote, step, rows);
        if arrival.traits.delivery != Delivery::Quote {
            self.slots[slot].spoken = arrival.epoch;
        }
        self.wake_rows(slot, proved);
    }
}
