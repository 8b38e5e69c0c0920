//! When a bucket closes, and what its rows claim.
//!
//! Buckets close contract by contract: as soon as the grace is over and the contract is proved up to the bucket's end, or
//! when its channel's lateness is over without proof.

use super::{ChainClass, TradingDay, candles::candle_view, prices, slot::Slot};
use crate::{
    engine::{coverage, coverage::BucketMark, observation::Observation, rows::Rows},
    market::{
        Bucket, BucketRow, BucketState, Candle, CandleInterval, DayClose, Provider, Timestamp, UnderlyingRow,
        UnresolvedCandle,
    },
};

/// How long rows wait of which no channel is known yet: as long as the latest source takes.
pub(super) const UNKNOWN_LATENESS_US: i64 = 240_000_000;
/// How long the last bucket of a session waits at least: contracts that a stream is silent about are asked for.
const FINAL_LATENESS_US: i64 = 330_000_000;
/// How often waiting rows of streams are looked at.
const CHECK_US: i64 = 1_000_000;
/// How often they are where only another provider may prove them soon.
const CHECK_OTHERS_US: i64 = 15_000_000;
/// Rows of buckets before a contract's first sight that one call gives out at most.
const OWED_ROWS_MAX: usize = 4_096;

impl TradingDay {
    /// Closes what can be closed at `now`, and looks which scopes have fallen silent.
    pub fn advance(&mut self, now: Timestamp, rows: &mut Rows) {
        if now < self.next_check {
            return;
        }
        self.look_at_silence(now, rows);
        let mut next = self.next_look;
        for chain in 0..self.chains.len() {
            if self.chains[chain].next_check <= now {
                self.check_chain(chain, now, rows);
            }
            next = next.min(self.chains[chain].next_check);
        }
        self.pay_owed_rows(OWED_ROWS_MAX, rows);
        if !self.owed.is_empty() {
            next = now;
        }
        if !self.is_day_closed && self.is_over(now) {
            self.close_day(rows);
        }
        self.next_check = next;
    }

    /// Gives out everything that is still due: the day is over.
    pub fn finish(&mut self, rows: &mut Rows) {
        let over = self.hours.close.plus_us(self.lateness_max_us());
        self.next_check = Timestamp::NEVER;
        self.chains.iter_mut().for_each(|chain| chain.next_check = Timestamp::NEVER);
        self.advance(over, rows);
        self.pay_owed_rows(usize::MAX, rows);
    }

    fn lateness_max_us(&self) -> i64 {
        let covers = self.chains.iter().flat_map(|chain| Provider::ALL.map(|p| chain.cover(p).lateness_us));
        covers.max().unwrap_or(0).max(FINAL_LATENESS_US).max(UNKNOWN_LATENESS_US) + self.grace_us
    }

    fn is_over(&self, now: Timestamp) -> bool {
        now >= self.hours.close.plus_us(self.grace_us)
            && self.chains.iter().all(|chain| chain.slots.is_empty() || chain.closed == self.bucket_count)
    }

    /// A chain that gets its first contract at `now` begins with the buckets that can still be proved.
    pub(super) fn begin_chain(&mut self, chain: usize, now: Timestamp) {
        if !self.chains[chain].slots.is_empty() {
            return;
        }
        let settled = now.plus_us(-UNKNOWN_LATENESS_US);
        let closed = (0..self.bucket_count).take_while(|index| self.end_of(*index) <= settled).count();
        let chain = &mut self.chains[chain];
        (chain.closed, chain.began) = (closed, closed);
        while self.candles.start_of(chain.candles_closed + 1) <= settled
            && self.candles.start_of(chain.candles_closed) < self.hours.close
        {
            chain.candles_closed += 1;
        }
        chain.next_check = Timestamp::NEVER;
        self.next_check = Timestamp::NEVER;
    }

    /// How long a contract's row waits for proof: as its provider declares, or the latest of those that cover the chain while
    /// that one does not witness it.
    fn lateness_us(&self, slot: usize, end: Timestamp, now: Timestamp) -> i64 {
        let chain = &self.chains[self.contexts[slot].chain as usize];
        let provider = self.slots[slot].provider().or(chain.active);
        let of_others = || {
            let covers = Provider::ALL.into_iter().map(|provider| chain.cover(provider));
            covers.filter(|cover| cover.is_covering).map(|cover| cover.lateness_us).max().unwrap_or(0)
        };
        let declared = provider.map_or(0, |provider| chain.cover(provider).lateness_us);
        let declared = if self.is_witnessed(slot, now) { declared } else { declared.max(of_others()) };
        let lateness_us = if declared == 0 { UNKNOWN_LATENESS_US } else { declared };
        let lateness_us = lateness_us.max(self.grace_us);
        if end == self.close_of(&self.slots[slot]) { lateness_us.max(FINAL_LATENESS_US) } else { lateness_us }
    }

    /// Closes what a chain's evidence allows at `now`.
    pub(super) fn check_chain(&mut self, chain: usize, now: Timestamp, rows: &mut Rows) {
        let until = now.plus_us(-self.grace_us);
        let slots = std::mem::take(&mut self.chains[chain].slots);
        let mut next = Timestamp::from_us(i64::MAX);
        let mut closed = self.chains[chain].closed;
        for index in self.chains[chain].closed..self.bucket_count {
            // The contracts of a chain expire together, and perhaps before the session closes.
            let end = slots.first().map(|slot| self.end_of_slot(*slot as usize, index));
            let end = end.unwrap_or_else(|| self.end_of(index));
            if end > until {
                next = next.min(end.plus_us(self.grace_us));
                break;
            }
            let mut is_closed = true;
            for slot in slots.iter().map(|slot| *slot as usize) {
                if self.marks.of(slot)[index].state().is_some() {
                    continue;
                }
                match self.try_close(slot, index, now, rows) {
                    None => {}
                    Some(again) => {
                        is_closed = false;
                        next = next.min(again);
                    }
                }
            }
            if is_closed && closed == index {
                closed += 1;
            }
        }
        self.chains[chain].slots = slots;
        self.chains[chain].closed = closed;
        self.prove_again(chain, rows);
        next = next.min(self.close_candles(chain, now, rows));
        self.chains[chain].next_check = next;
        self.next_check = self.next_check.min(next);
    }

    /// Closes a contract's bucket; otherwise says when to look again.
    fn try_close(&mut self, slot: usize, index: usize, now: Timestamp, rows: &mut Rows) -> Option<Timestamp> {
        let (bucket, end) = (self.bucket(index), self.end_of_slot(slot, index));
        if bucket.start() >= self.close_of(&self.slots[slot]) {
            return None;
        }
        if now < end.plus_us(self.grace_us) {
            return Some(end.plus_us(self.grace_us));
        }
        let verdict = self.judge(slot, index);
        let deadline = end.plus_us(self.lateness_us(slot, end, now));
        // What the others know better may still be told better.
        let is_settled = match verdict.is_proved {
            true => verdict.is_own || !self.is_witnessed(slot, now),
            false => self.is_decided(slot, index),
        };
        let is_streaming =
            self.recorded_track(slot).is_some_and(|track| self.epochs.get(track.spoken).is_streaming());
        if now < deadline && !is_settled {
            return Some(match (is_streaming, self.others.is_empty()) {
                (true, _) => deadline.min(now.plus_us(CHECK_US)),
                (false, false) => deadline.min(now.plus_us(CHECK_OTHERS_US)),
                (false, true) => deadline,
            });
        }
        if !verdict.is_proved && verdict.value.is_some() {
            self.expect_proof(slot, index);
        }
        if verdict.is_proved && !verdict.is_own {
            self.marks.of_mut(slot)[index].set_hole();
        }
        let is_in_bucket = verdict.value.is_some_and(|value| value.event_time() >= bucket.start());
        let state = match (verdict.is_proved, is_in_bucket) {
            (true, true) => BucketState::Live,
            (true, false) => BucketState::Carried,
            (false, _) => BucketState::Missing,
        };
        self.state_bucket(slot, index, state, 0, verdict.value, rows);
        self.closed_until = self.closed_until.max(end);
        None
    }

    /// States or restates a bucket. `observation`: what is known of its end; of a missing one only what lies within the bucket
    /// is shown.
    pub(super) fn state_bucket(
        &mut self,
        slot: usize,
        index: usize,
        state: BucketState,
        revision: u16,
        observation: Option<Observation>,
        rows: &mut Rows,
    ) {
        let bucket = self.bucket(index);
        let is_missing = state == BucketState::Missing;
        let is_shown = |o: &Observation| !is_missing || o.event_time() >= bucket.start();
        let shown = observation.filter(is_shown);
        let provider = shown.and_then(|observation| observation.provider());
        let mark = self.marks.of(slot)[index].restated(state, provider, revision);
        self.marks.of_mut(slot)[index] = mark;
        if self.slots[slot].is_option() {
            rows.buckets.push(self.bucket_row(slot, bucket, mark, shown.as_ref()));
        } else {
            rows.underlyings.push(UnderlyingRow {
                bucket,
                instrument: self.slots[slot].instrument,
                state,
                provider,
                event_time: shown.map(|observation| observation.event_time()),
                revision: mark.revision(),
            });
            let (view, instrument) = (candle_view!(self, slot), self.slots[slot].instrument);
            if let Some(candles) = self.underlyings.get_mut(&slot) {
                candles.close(instrument, bucket.start(), !is_missing, &view, rows);
            }
        }
        if mark.is_unseen() {
            self.touch_candles(slot, bucket, rows);
        }
    }

    /// Marks candles that were emitted before it was known that the bucket was not witnessed in time.
    pub(super) fn touch_candles(&self, slot: usize, bucket: Bucket, rows: &mut Rows) {
        let instrument = self.slots[slot].instrument;
        let closed = self.chains[self.contexts[slot].chain as usize].candles_closed;
        let first = self.candles.interval_of(bucket.start());
        let last = self.candles.interval_of(bucket.end().plus_us(-1));
        rows.unresolved.extend((first..=last).filter(|interval| *interval < closed).map(|interval| {
            let start = self.candles.start_of(interval);
            UnresolvedCandle { instrument, interval: CandleInterval::FiveMinutes, start }
        }));
        let start = bucket.start();
        // A mark of a candle that does not exist yet would count in one batch with it, and get lost in another.
        if self.underlyings.get(&slot).is_some_and(|candles| candles.is_told(start)) {
            let interval = CandleInterval::ThreeMinutes;
            rows.unresolved.push(UnresolvedCandle { instrument, interval, start });
        }
        if self.is_day_closed {
            let start = self.hours.open;
            rows.unresolved.push(UnresolvedCandle { instrument, interval: CandleInterval::Day, start });
        }
    }

    /// Candles of these instants may contain prices that are not believed.
    pub(super) fn mark_candles(&mut self, slot: usize, from: Timestamp, until: Timestamp, rows: &mut Rows) {
        let (first, last) = (self.buckets.index_of(from), self.buckets.index_of(until));
        for index in first..=last.min(self.bucket_count - 1) {
            self.marks.of_mut(slot)[index].set_hole();
            self.touch_candles(slot, self.bucket(index), rows);
        }
    }

    /// Rows of a contract from this bucket on may be proved by a stream's later data.
    pub(super) fn expect_proof(&mut self, slot: usize, bucket: usize) {
        let chain = &mut self.chains[self.contexts[slot].chain as usize];
        chain.unproved_from = Some(chain.unproved_from.map_or(bucket, |first| first.min(bucket)));
    }

    /// Tries missing rows again that a stream's later data may prove.
    fn prove_again(&mut self, chain: usize, rows: &mut Rows) {
        let Some(from) = self.chains[chain].unproved_from.take() else { return };
        let closed = self.chains[chain].closed;
        let slots = std::mem::take(&mut self.chains[chain].slots);
        let mut unproved = None;
        for index in from..closed {
            for slot in slots.iter().map(|slot| *slot as usize) {
                let is_missing = self.marks.of(slot)[index].state() == Some(BucketState::Missing);
                if is_missing && self.may_be_proved(slot, index) && !self.judge_again(slot, index, None, rows)
                {
                    unproved = unproved.or(Some(index));
                }
            }
        }
        self.chains[chain].slots = slots;
        self.chains[chain].unproved_from = unproved;
    }

    /// Whether a stream that goes on may prove the latest values of a contract at a bucket's end.
    fn may_be_proved(&self, slot: usize, index: usize) -> bool {
        let end = self.end_of_slot(slot, index);
        Provider::ALL.into_iter().filter_map(|provider| self.track(provider, slot)).any(|track| {
            track.latest.event_time() < end
                && track.ends.get(index).is_none()
                && self.epochs.get(track.spoken).is_streaming()
        })
    }

    /// Closes the five-minute intervals that are over for a chain; says when the next one is.
    fn close_candles(&mut self, chain: usize, now: Timestamp, rows: &mut Rows) -> Timestamp {
        loop {
            let interval = self.chains[chain].candles_closed;
            let (start, end) = (self.candles.start_of(interval), self.candles.start_of(interval + 1));
            if start >= self.hours.close {
                return Timestamp::from_us(i64::MAX);
            }
            let end = end.min(self.hours.close);
            let due = end.plus_us(self.grace_us);
            if now < due {
                return due;
            }
            let cover = self.chains[chain].active.map(|provider| *self.chains[chain].cover(provider));
            let is_late = cover.is_some_and(|cover| cover.epoch != 0 && cover.last_stamp < end);
            let deadline = end.plus_us(cover.map_or(0, |cover| cover.lateness_us).max(self.grace_us));
            if is_late && now < deadline {
                return deadline;
            }
            self.chains[chain].candles_closed += 1;
            for at in 0..self.chains[chain].slots.len() {
                let slot = self.chains[chain].slots[at] as usize;
                let Slot { instrument, candles, .. } = self.slots[slot];
                let level_of = candles.provider().filter(|_| !self.slots[slot].is_option());
                let outliers = level_of.map(|of| (of, self.candles.price_outliers(of).count));
                let view = candle_view!(self, slot);
                let candles = &mut self.slots[slot].candles;
                self.candles.close_interval(slot, candles, instrument, interval, &view, rows);
                if let Some((provider, before)) = outliers {
                    self.mark_outliers(slot, provider, before, rows);
                }
            }
        }
    }

    fn pay_owed_rows(&mut self, rows_max: usize, rows: &mut Rows) {
        let mut room = rows_max;
        while room > 0
            && let Some((slot, mut buckets)) = self.owed.pop_front()
        {
            let slot = slot as usize;
            for index in buckets.by_ref().take(room) {
                room -= 1;
                let mark = self.marks.of(slot)[index];
                let bucket = self.bucket(index);
                if mark.revision() > 0 || bucket.start() >= self.close_of(&self.slots[slot]) {
                    continue;
                }
                if self.slots[slot].is_option() {
                    rows.buckets.push(self.bucket_row(slot, bucket, mark, None));
                } else if let Some(state) = mark.state() {
                    let instrument = self.slots[slot].instrument;
                    let (provider, event_time) = (None, None);
                    rows.underlyings.push(UnderlyingRow {
                        bucket,
                        instrument,
                        state,
                        provider,
                        event_time,
                        revision: 0,
                    });
                }
            }
            if !buckets.is_empty() {
                self.owed.push_front((slot as u32, buckets));
            }
        }
    }

    fn bucket_row(
        &self,
        slot: usize,
        bucket: Bucket,
        mark: BucketMark,
        observation: Option<&Observation>,
    ) -> BucketRow {
        let open_interest = observation.and_then(Observation::open_interest);
        let base = self.contexts[slot].base.filter(|_| open_interest.is_some());
        BucketRow {
            bucket,
            instrument: self.slots[slot].instrument,
            open_interest,
            open_interest_change: open_interest.zip(base).map(|(today, (before, _))| today - before),
            oi_base: base.map(|(_, base)| base),
            last_price: observation.and_then(Observation::last_price),
            volume: observation.and_then(Observation::volume),
            bid: observation.and_then(Observation::bid),
            ask: observation.and_then(Observation::ask),
            implied_volatility_e4: observation.and_then(Observation::implied_volatility_e4),
            state: mark.state().expect("rows are made of closed buckets"),
            provider: mark.provider(),
            event_time: observation.map(Observation::event_time),
            received_time: observation.map(Observation::received_time),
            revision: mark.revision(),
        }
    }

    fn close_day(&mut self, rows: &mut Rows) {
        self.is_day_closed = true;
        for slot in 0..self.slots.len() {
            self.look_at_last_price(slot, rows);
            rows.candles.extend(self.tell_day(slot));
            if self.slots[slot].is_option() {
                rows.closes.extend(self.day_close(slot));
                self.tell_coverage(slot, rows);
            }
        }
    }

    /// A last price that is far from those before it, and from the contract's own bid and ask: nothing confirms it any more.
    fn look_at_last_price(&mut self, slot: usize, rows: &mut Rows) {
        let Slot { candles, instrument, latest, .. } = self.slots[slot];
        let is_confirmed = self.slots[slot].is_option() && prices::outside_book(&latest).is_none();
        if is_confirmed || !self.candles.is_astray(slot, &candles) {
            return;
        }
        self.candles.note_astray(&candles, instrument);
        let last = self.close_of(&self.slots[slot]).plus_us(-1);
        self.mark_candles(slot, latest.event_time().min(last), last, rows);
    }

    /// Buckets of the day that are missing, and the state of the last one.
    fn day_states(&self, slot: usize) -> (u16, BucketState) {
        let marks = self.marks.of(slot);
        let missing = marks.iter().filter(|mark| mark.state() == Some(BucketState::Missing)).count();
        let last = marks.iter().rev().find_map(|mark| mark.state());
        (missing as u16, last.unwrap_or(BucketState::Missing))
    }

    pub(super) fn tell_day(&mut self, slot: usize) -> Option<Candle> {
        let has_hole = self.marks.of(slot).iter().any(|mark| mark.is_unseen());
        let Slot { candles, instrument, .. } = &self.slots[slot];
        self.candles.tell_day(slot, candles, *instrument, self.hours.open, has_hole)
    }

    pub(super) fn day_close(&self, slot: usize) -> Option<DayClose> {
        let observation = self.latest(slot as u32);
        let (missing_buckets, last_state) = self.day_states(slot);
        Some(DayClose {
            date: self.hours.date,
            instrument: self.slots[slot].instrument,
            open_interest: observation.open_interest(),
            last_price: observation.last_price(),
            volume: observation.volume(),
            provider: observation.provider()?,
            event_time: observation.event_time(),
            last_state,
            missing_buckets,
        })
    }

    pub(super) fn tell_coverage(&self, slot: usize, rows: &mut Rows) {
        let instrument = self.slots[slot].instrument;
        let marks = self.marks.of(slot);
        let runs = coverage::runs(instrument, self.bucket(0), marks);
        rows.coverage.push((instrument, self.hours.date, runs));
    }

    /// Whether a chain's class has silence that says something.
    pub(super) fn is_of_options(&self, chain: usize) -> bool {
        self.chains[chain].class != ChainClass::Underlying
    }
}
