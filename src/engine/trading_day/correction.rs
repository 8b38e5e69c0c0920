//! Breaks in the evidence, and closed buckets that are restated: what arrives late changes them, or it comes out that
//! they were not witnessed.
//!
//! Each statement has the next revision. Left out: when a bucket closes, and its first statement.

use super::{Arrival, Delivery, Slot, TradingDay};
use crate::{
    engine::{candle::Trade, observation::Observation, rows::Rows},
    market::{BucketState, Provider, Quote, Timestamp},
};

/// Stamps of quotes are of whole seconds.
const QUOTE_STAMP_US: i64 = 999_999;
/// A stream has this long to bring what another source shows already.
pub(super) const STREAM_DELAY_US: i64 = 10_000_000;

impl TradingDay {
    /// Closed buckets of a slot whose ends lie after `from` and not after `until`, and open ones.
    fn buckets_ending(
        &self,
        slot: usize,
        from: Timestamp,
        until: Timestamp,
    ) -> impl Iterator<Item = usize> + use<> {
        let first = self.buckets.index_of(from).min(self.bucket_count);
        let last = self.buckets.index_of(until).min(self.bucket_count.saturating_sub(1));
        let ends: Vec<usize> = (first..=last)
            .filter(|index| {
                let end = self.end_of_slot(slot, *index);
                from < end && end <= until && self.bucket(*index).start() < self.close_of(&self.slots[slot])
            })
            .collect();
        ends.into_iter()
    }

    /// The active provider speaks of a contract for the first time in this epoch, or its next body lies in another bucket:
    /// what was between is proved where nothing was traded, or bridged within the channel's cadence, or was missed.
    #[cold]
    pub(super) fn meet_break(&mut self, index: usize, arrival: &Arrival, quote: &Quote, rows: &mut Rows) {
        let gap_max_us = self.gap_max_us(arrival, self.slots[index].spoken);
        self.bridge(index, quote, gap_max_us, arrival.traits.delivery, rows);
        if self.slots[index].spoken != arrival.epoch {
            self.slots[index].spoken = arrival.epoch;
            self.note_covering(self.chain_of[index] as usize, arrival, rows);
        }
    }

    /// How far apart two snapshots may be, of which the one before was of the epoch `before`: where no break is known, at
    /// least the silence that says nothing.
    pub(super) fn gap_max_us(&self, arrival: &Arrival, before: u16) -> i64 {
        let declared = arrival.traits.gap_max_us;
        if arrival.epoch != 0 && arrival.epoch == before {
            declared.max(self.silence_min_us)
        } else {
            declared
        }
    }

    /// Marks the buckets whose ends were missed before an observation, and proves those in which nothing was traded.
    fn bridge(&mut self, slot: usize, quote: &Quote, gap_max_us: i64, delivery: Delivery, rows: &mut Rows) {
        let before = self.slots[slot].latest;
        let (end, event_time) = (self.witness_end(slot), quote.event_time);
        if before.is_empty() || event_time <= end {
            return;
        }
        if before.has_same_trades(quote) {
            return self.prove_closed(slot, end, event_time, rows);
        }
        let is_bridged = delivery != Delivery::Stream && event_time.us_since(end) <= gap_max_us;
        for index in self.buckets_ending(slot, end, event_time) {
            // Within the cadence the last value of a bucket is its value.
            let has_value = before.event_time() >= self.bucket(index).start();
            if !(is_bridged && has_value) {
                self.marks.of_mut(slot)[index].set_hole();
            } else if self.marks.of(slot)[index].state() == Some(BucketState::Missing) {
                self.restate(slot, index, BucketState::Backfilled, Some(before), rows);
            }
        }
    }

    /// It is proved that the latest values held until then, otherwise than by their stamp.
    pub(super) fn prove(&mut self, slot: usize, until: Timestamp, rows: &mut Rows) {
        let end = self.witness_end(slot);
        if until > end {
            self.prove_closed(slot, end, until, rows);
        }
        self.proved_until[slot] = self.proved_until[slot].max(until);
        self.wake_rows(slot, until);
    }

    /// A contract is proved up to `until`: rows that wait for it are looked at with the next record.
    pub(super) fn wake_rows(&mut self, slot: usize, until: Timestamp) {
        let chain = self.chain_of[slot] as usize;
        let waiting = self.chains[chain].closed;
        if waiting < self.bucket_count && until >= self.end_of(waiting) {
            (self.chains[chain].next_check, self.next_check) = (Timestamp::NEVER, Timestamp::NEVER);
        }
    }

    /// Restates missing buckets of which it is proved that nothing happened.
    fn prove_closed(&mut self, slot: usize, from: Timestamp, until: Timestamp, rows: &mut Rows) {
        for index in self.buckets_ending(slot, from, until) {
            let mark = self.marks.of(slot)[index];
            if mark.state() == Some(BucketState::Missing) && !mark.has_hole() {
                let observation = self.observed_before(slot, self.end_of_slot(slot, index));
                if observation.is_some() {
                    self.restate(slot, index, BucketState::Backfilled, observation, rows);
                }
            }
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
        self.restate_day(slot, rows);
    }

    /// What is said of the whole day follows.
    fn restate_day(&mut self, slot: usize, rows: &mut Rows) {
        if self.is_day_closed && self.slots[slot].is_option() {
            self.tell_coverage(slot, rows);
            rows.closes.extend(self.day_close(slot));
            rows.candles.extend(self.tell_day(slot));
        }
    }

    /// It is found out that the active provider proved nothing of a contract after `since`. What other witnesses prove stays.
    pub(super) fn retract(&mut self, slot: usize, since: Timestamp, rows: &mut Rows) {
        let last = self.buckets.start_of(self.bucket_count);
        for index in self.buckets_ending(slot, since, last) {
            let mark = self.marks.of(slot)[index];
            let is_claimed = matches!(mark.state(), Some(BucketState::Live | BucketState::Carried));
            // With a hole it rests on another witness.
            if !is_claimed || mark.has_hole() {
                continue;
            }
            let end = self.end_of_slot(slot, index);
            if self.slots[slot].latest.event_time() >= end {
                // It spoke itself after the bucket's end.
                continue;
            }
            let own = self.observed_before(slot, end);
            match self.proved_by_other(slot, end, own.as_ref(), false) {
                Some(other) => self.restate(slot, index, BucketState::Backfilled, Some(other), rows),
                None => self.restate(slot, index, BucketState::Missing, own, rows),
            }
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
        let proved = arrival.proved;
        let before = self.slots[index].latest;
        self.note_covering(self.chain_of[index] as usize, arrival, rows);
        if quote.event_time >= self.close_of(&self.slots[index]) {
            return self.observe_after_close(index, arrival, quote, rows);
        }
        if before.has_same_trades(quote) {
            return self.prove(index, proved, rows);
        }
        let is_newer = quote.event_time.plus_us(QUOTE_STAMP_US) >= before.event_time();
        let is_more = before.volume() < quote.volume;
        if !is_newer || !(is_more || before.volume() == quote.volume) {
            self.counters.outdated += 1;
            return;
        }
        let event_time = quote.event_time.max(before.event_time());
        let quote = Quote { event_time, ..*quote };
        let epoch = self.epochs.get(self.slots[index].spoken);
        if is_more && epoch.is_streaming() {
            let delay_us = STREAM_DELAY_US.max(self.silence_min_us);
            let is_due = epoch.live_until.us_since(event_time) >= delay_us;
            if !is_due && now.us_since(arrival.received) < delay_us {
                return self.doubt_stream(index, arrival, &quote);
            }
            // The stream has missed what was traded: the contract is asked for again and again from now on.
            self.counters.contradicted += 1;
            self.mute(index, rows);
            self.note_contradiction(index, arrival.provider, rows);
        }
        self.bridge(index, &quote, arrival.traits.gap_max_us, Delivery::Quote, rows);
        let bucket = self.buckets.find(event_time);
        let is_next = before.event_time() < self.buckets.start_of(bucket) && !before.is_empty();
        let epoch = self.quote_epoch(index, arrival.provider);
        self.take(index, bucket, is_next, arrival.provider, epoch, arrival.received, &quote, rows);
        self.proved_until[index] = self.proved_until[index].max(proved);
        self.wake_rows(index, self.witness_end(index));
    }

    /// Quotes go on with the volume that the same provider's values had before.
    fn quote_epoch(&mut self, slot: usize, provider: Provider) -> u16 {
        let known = self.slots[slot].candles.volume_epoch();
        if self.epochs.get(known).provider == Some(provider) {
            known
        } else {
            self.epochs.begin(provider, Delivery::Quote)
        }
    }

    /// A contract's stream is proved to have missed something of it: until it speaks again, it proves nothing more.
    pub(super) fn mute(&mut self, slot: usize, rows: &mut Rows) {
        let since = self.slots[slot].latest.event_time().max(self.proved_until[slot]);
        let spoken = std::mem::take(&mut self.slots[slot].spoken);
        if self.epochs.get(spoken).delivery == Delivery::Stream {
            self.retract(slot, since, rows);
        }
    }

    /// A requested contract that the answer does not contain is not witnessed any more by its stream.
    pub fn note_absent(&mut self, slot: u32, provider: Provider, rows: &mut Rows) {
        let slot = slot as usize;
        if self.slots[slot].provider() == Some(provider) && self.slots[slot].spoken != 0 {
            self.mute(slot, rows);
            self.note_contradiction(slot, provider, rows);
        }
    }

    /// The latest observation belongs to a bucket that may be closed already.
    #[cold]
    pub(super) fn correct_since(
        &mut self,
        slot: usize,
        bucket: usize,
        before: &Observation,
        rows: &mut Rows,
    ) {
        let after = self.slots[slot].latest;
        let repeats = before.event_time() == after.event_time() && before.same_values(&after);
        self.correct(slot, bucket..self.bucket_count, &after, repeats, rows);
    }

    /// An observation older than the latest: it matters only to buckets before the latest one's.
    #[cold]
    pub(super) fn observe_late(&mut self, slot: usize, arrival: &Arrival, quote: &Quote, rows: &mut Rows) {
        let (event_time, provider, received) = (quote.event_time, arrival.provider, arrival.received);
        let latest = &self.slots[slot].latest;
        let latest_time = latest.event_time();
        let (index, current_index) = (self.buckets.index_of(event_time), self.buckets.index_of(latest_time));
        // A later stamp with less volume than an earlier one is of an older copy.
        let is_older_copy = quote.volume.is_some() && quote.volume < self.previous[slot].volume()
            || quote.volume.zip(latest.volume()).is_some_and(|(late, latest)| late > latest);
        let is_outdated = index == current_index
            || event_time < self.hours.open
            || event_time < self.previous[slot].event_time()
            || is_older_copy;
        let trade = Trade {
            event_time,
            last_price: quote.last_price.value(),
            volume: quote.volume,
            provider,
            epoch: arrival.epoch,
        };
        if event_time >= self.hours.open {
            self.take_late_price(slot, &trade, rows);
        }
        if is_outdated {
            self.counters.outdated += 1;
            return;
        }
        let before = self.previous[slot];
        self.previous[slot].take(provider, quote, received, true);
        let after = self.previous[slot];
        let repeats = before.event_time() == event_time && before.same_values(&after);
        self.correct(slot, index..current_index.min(self.bucket_count), &after, repeats, rows);
    }

    fn take_late_price(&mut self, slot: usize, trade: &Trade, rows: &mut Rows) {
        let view = super::candle_view!(self, slot);
        let Slot { candles, instrument, .. } = &mut self.slots[slot];
        self.candles.observe_late(slot, candles, *instrument, trade, &view, &mut rows.candles);
        if !self.slots[slot].is_option() {
            self.observe_underlying(slot, trade, true, rows);
        }
    }

    /// Restates closed rows after an observation that belongs before their ends.
    fn correct(
        &mut self,
        slot: usize,
        buckets: std::ops::Range<usize>,
        observation: &Observation,
        repeats: bool,
        rows: &mut Rows,
    ) {
        let close = self.close_of(&self.slots[slot]);
        let mut changed = false;
        for index in buckets {
            let bucket = self.bucket(index);
            let mark = self.marks.of(slot)[index];
            let Some(state) = mark.state() else { break };
            if bucket.start() >= close {
                break;
            }
            let is_in_bucket = observation.event_time() >= bucket.start();
            let is_proved = self.is_proved(slot, index);
            let state = match state {
                BucketState::Live | BucketState::Carried | BucketState::Backfilled if repeats => continue,
                BucketState::Live | BucketState::Carried if is_in_bucket => BucketState::Live,
                BucketState::Live | BucketState::Carried => BucketState::Carried,
                BucketState::Backfilled => BucketState::Backfilled,
                BucketState::Missing | BucketState::Unlisted if is_proved => BucketState::Backfilled,
                BucketState::Missing | BucketState::Unlisted if !is_in_bucket || repeats => continue,
                BucketState::Missing | BucketState::Unlisted => BucketState::Missing,
            };
            changed = true;
            self.state_bucket(slot, index, state, mark.revision() + 1, Some(*observation), rows);
        }
        if changed {
            self.counters.late += 1;
            self.restate_day(slot, rows);
        }
    }

    /// Something stamped at or after the close proves the contract up to it.
    pub(super) fn prove_close(&mut self, slot: usize, arrival: &Arrival, quote: &Quote, rows: &mut Rows) {
        let proved = match arrival.traits.delivery {
            Delivery::Quote => arrival.proved,
            Delivery::Stream | Delivery::Chain => quote.event_time,
        };
        if self.slots[slot].spoken == arrival.epoch && arrival.traits.delivery == Delivery::Stream {
            return;
        }
        let gap_max_us = self.gap_max_us(arrival, self.slots[slot].spoken);
        self.bridge(slot, quote, gap_max_us, arrival.traits.delivery, rows);
        if arrival.traits.delivery != Delivery::Quote && self.slots[slot].spoken != arrival.epoch {
            self.slots[slot].spoken = arrival.epoch;
            self.note_covering(self.chain_of[slot] as usize, arrival, rows);
        }
        self.prove(slot, proved, rows);
    }
}
