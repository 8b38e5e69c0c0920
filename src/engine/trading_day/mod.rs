//! One trading day of all watched instruments: observations in, rows out.
//!
//! Owns the day's state by dense slot: the latest observation, the last one of the bucket before, the state of every
//! closed bucket, and the candles. Invariants:
//! - Every watched option has one row for every bucket of its session from the one in which it became known on.
//! - A bucket's values are the last ones observed before its end. An observation that comes after the bucket closed
//!   changes the closed row, and every later closed row that carried the older values, with the next revision.
//! - A value counts as certain if somebody watched at the bucket's end or if it was received after that end; an
//!   uncertain bucket is missing until an observation proves it.
//! - Observations stamped at or after the close make no bucket, delta or candle; they change the day's closing values.
//! - The outcome depends on the sequence of calls alone.
//!
//! Left out: which contract a slot is, what was on the wire, and when anything is stored.

use super::{
    candle::{CandleBook, Trade, UnderlyingCandles},
    coverage::{self, BucketMark},
    observation::Observation,
    router::Router,
    rows::Rows,
};
use crate::market::{
    Bar, Bucket, BucketRow, BucketState, DayClose, InstrumentId, OiDelta, Provider, Quote, Timestamp,
    TradingDate,
};
use std::collections::BTreeMap;

/// The exchange's clock may be ahead of ours by this much; a stamp further in the future is refused, because it
/// would shut out every true one after it.
const AHEAD_US_MAX: i64 = 120_000_000;

/// Opening and closing of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionHours {
    pub date: TradingDate,
    pub open: Timestamp,
    /// The first instant after the session.
    pub close: Timestamp,
}

/// What the day must know of a watched instrument. Never across two cache lines.
#[derive(Clone, Copy, Debug)]
#[repr(align(32))]
pub struct SlotSpec {
    pub instrument: InstrumentId,
    /// The first instant after this instrument's trading; expiring contracts may stop before the session does.
    pub close: Timestamp,
    /// Options make buckets and deltas; underlyings make three-minute candles.
    pub is_option: bool,
    /// Yesterday's final open interest in units, where it is known.
    pub previous_open_interest: Option<i64>,
}

/// Observations that did not count as usual.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DayCounters {
    pub observations: u64,
    /// From a provider that is not the active one.
    pub inactive_provider: u64,
    /// Older than what was already known for their bucket.
    pub outdated: u64,
    /// Changed a bucket that was closed already.
    pub late: u64,
    /// Stamped too far in the future.
    pub from_the_future: u64,
    pub after_close: u64,
}

/// See the module's head.
#[derive(Debug)]
pub struct TradingDay {
    hours: SessionHours,
    grace_us: i64,
    first_bucket: Bucket,
    bucket_count: usize,
    /// Buckets before this index are closed.
    closed_buckets: usize,
    is_day_closed: bool,
    router: Router,
    specs: Vec<SlotSpec>,
    current: Vec<Observation>,
    previous: Vec<Observation>,
    marks: Vec<BucketMark>,
    candles: CandleBook,
    underlyings: BTreeMap<usize, UnderlyingCandles>,
    after_close: BTreeMap<usize, Observation>,
    counters: DayCounters,
}

impl TradingDay {
    /// `grace_us` is how long after its end a bucket stays open for what is still under way.
    pub fn new(hours: SessionHours, grace_us: i64, router: Router) -> TradingDay {
        let first_bucket = Bucket::containing(hours.open);
        let span_us = hours.close.us_since(first_bucket.start()).max(0);
        TradingDay {
            hours,
            grace_us,
            first_bucket,
            bucket_count: (span_us as u64).div_ceil(Bucket::LENGTH_US as u64) as usize,
            closed_buckets: 0,
            is_day_closed: false,
            router,
            specs: Vec::new(),
            current: Vec::new(),
            previous: Vec::new(),
            marks: Vec::new(),
            candles: CandleBook::new(hours.open),
            underlyings: BTreeMap::new(),
            after_close: BTreeMap::new(),
            counters: DayCounters::default(),
        }
    }

    pub fn hours(&self) -> SessionHours {
        self.hours
    }

    pub fn router(&self) -> &Router {
        &self.router
    }

    pub fn router_mut(&mut self) -> &mut Router {
        &mut self.router
    }

    pub fn counters(&self) -> DayCounters {
        self.counters
    }

    pub fn volume_regressions(&self) -> u64 {
        self.candles.volume_regressions
    }

    pub fn slot_count(&self) -> usize {
        self.specs.len()
    }

    pub fn closed_buckets(&self) -> usize {
        self.closed_buckets
    }

    pub fn bucket_count(&self) -> usize {
        self.bucket_count
    }

    /// Begins to watch an instrument; slots are numbered from 0 in the order of these calls.
    pub fn add_slot(&mut self, spec: SlotSpec) -> u32 {
        let slot = self.specs.len();
        self.specs.push(spec);
        self.current.push(Observation::default());
        self.previous.push(Observation::default());
        self.marks.resize(self.marks.len() + self.bucket_count, BucketMark::default());
        self.candles.add_slot();
        if !spec.is_option {
            self.underlyings.insert(slot, UnderlyingCandles::default());
        }
        slot as u32
    }

    /// The latest values of a slot, those after the close included.
    pub fn latest(&self, slot: u32) -> &Observation {
        let slot = slot as usize;
        match self.after_close.get(&slot) {
            Some(observation) => observation,
            None => &self.current[slot],
        }
    }

    pub fn previous_open_interest(&self, slot: u32) -> Option<i64> {
        self.specs[slot as usize].previous_open_interest
    }

    /// The earliest instant at which [`TradingDay::advance`] has something to close.
    pub fn next_deadline(&self) -> Option<Timestamp> {
        if self.is_day_closed {
            return None;
        }
        let bucket_end = if self.closed_buckets < self.bucket_count {
            self.bucket(self.closed_buckets).end().min(self.hours.close)
        } else {
            self.hours.close
        };
        Some(bucket_end.min(self.candles.next_end()).min(self.hours.close).plus_us(self.grace_us))
    }

    fn bucket(&self, index: usize) -> Bucket {
        Bucket::containing(self.first_bucket.start().plus_us(index as i64 * Bucket::LENGTH_US))
    }

    /// Index of the bucket an instant of this session lies in; 0 before the session.
    fn bucket_index(&self, instant: Timestamp) -> usize {
        (instant.us_since(self.first_bucket.start()).max(0) / Bucket::LENGTH_US) as usize
    }

    /// Start of the first bucket that is not closed.
    fn open_from(&self) -> Timestamp {
        self.bucket(self.closed_buckets).start()
    }

    /// Reads what [`TradingDay::observe`] is going to need of a slot, so that it is in the cache by then.
    #[inline]
    pub fn fetch(&self, slot: u32) {
        let slot = slot as usize;
        std::hint::black_box(self.specs[slot].is_option);
        self.current[slot].fetch();
        self.candles.fetch(slot);
    }

    /// Takes what a provider said of a slot.
    pub fn observe(
        &mut self,
        slot: u32,
        provider: Provider,
        quote: &Quote,
        received: Timestamp,
        rows: &mut Rows,
    ) {
        self.counters.observations += 1;
        if !self.router.accepts(provider) {
            self.counters.inactive_provider += 1;
            return;
        }
        let event_time = quote.event_time;
        if event_time.us_since(received) > AHEAD_US_MAX {
            self.counters.from_the_future += 1;
            return;
        }
        let slot = slot as usize;
        let spec = &mut self.specs[slot];
        if quote.previous_open_interest.is_some() {
            spec.previous_open_interest = quote.previous_open_interest;
        }
        let spec = *spec;
        if event_time >= spec.close {
            self.observe_after_close(slot, provider, quote, received, rows);
            return;
        }
        let current = &mut self.current[slot];
        if event_time < current.event_time() {
            self.observe_late(slot, provider, quote, received, rows);
            return;
        }
        let before = *current;
        let in_session = event_time >= self.hours.open;
        let index = (event_time.us_since(self.first_bucket.start()).max(0) / Bucket::LENGTH_US) as usize;
        current.take(provider, quote, received, in_session);
        if let (Some(old), Some(new), true) = (before.baseline(), quote.open_interest, spec.is_option)
            && in_session
            && old != new
        {
            let seq = current.deltas_at_event;
            current.deltas_at_event = seq.saturating_add(1);
            rows.deltas.push(OiDelta {
                instrument: spec.instrument,
                event_time,
                seq,
                old_open_interest: old,
                new_open_interest: new,
                provider,
                received_time: received,
            });
        }
        let bucket_start = self.first_bucket.start().plus_us(index as i64 * Bucket::LENGTH_US);
        if before.event_time() < bucket_start && !before.is_empty() {
            self.previous[slot] = before;
        }
        if in_session {
            let trade = Trade { event_time, last_price: quote.last_price, volume: quote.volume, provider };
            self.candles.observe(slot, spec.instrument, &trade, &mut rows.candles);
            if !spec.is_option {
                self.observe_underlying(slot, &trade, rows);
            }
        }
        if index < self.closed_buckets && spec.is_option {
            let after = self.current[slot];
            let repeats = before.event_time() == event_time && before.same_values(&after);
            self.correct(slot, index..self.closed_buckets, &after, repeats, rows);
        }
    }

    fn observe_underlying(&mut self, slot: usize, trade: &Trade, rows: &mut Rows) {
        let open_from = self.open_from();
        let instrument = self.specs[slot].instrument;
        if let (Some(candles), Some(price)) = (self.underlyings.get_mut(&slot), trade.last_price) {
            candles.observe(
                instrument,
                trade.event_time,
                price,
                trade.provider,
                open_from,
                &mut rows.candles,
            );
        }
    }

    /// An observation older than the latest: it matters only to buckets before the latest one's.
    fn observe_late(
        &mut self,
        slot: usize,
        provider: Provider,
        quote: &Quote,
        received: Timestamp,
        rows: &mut Rows,
    ) {
        let spec = self.specs[slot];
        let event_time = quote.event_time;
        let (index, current_index) =
            (self.bucket_index(event_time), self.bucket_index(self.current[slot].event_time()));
        let is_outdated = index == current_index
            || event_time < self.hours.open
            || event_time < self.previous[slot].event_time();
        if is_outdated {
            self.counters.outdated += 1;
            return;
        }
        let before = self.previous[slot];
        self.previous[slot].take(provider, quote, received, true);
        let after = self.previous[slot];
        let trade = Trade { event_time, last_price: quote.last_price, volume: quote.volume, provider };
        self.candles.observe_late(slot, spec.instrument, &trade, &mut rows.candles);
        if spec.is_option && index < self.closed_buckets {
            let repeats = before.event_time() == event_time && before.same_values(&after);
            self.correct(slot, index..current_index.min(self.closed_buckets), &after, repeats, rows);
        }
    }

    fn observe_after_close(
        &mut self,
        slot: usize,
        provider: Provider,
        quote: &Quote,
        received: Timestamp,
        rows: &mut Rows,
    ) {
        self.counters.after_close += 1;
        let before = *self.latest(slot as u32);
        if quote.event_time < before.event_time() {
            self.counters.outdated += 1;
            return;
        }
        let mut after = before;
        after.take(provider, quote, received, true);
        self.after_close.insert(slot, after);
        if self.is_day_closed && self.specs[slot].is_option && !before.same_values(&after) {
            rows.closes.extend(self.day_close(slot));
        }
    }

    /// Tells closed rows again after an observation that belongs before their ends.
    fn correct(
        &mut self,
        slot: usize,
        buckets: std::ops::Range<usize>,
        observation: &Observation,
        repeats: bool,
        rows: &mut Rows,
    ) {
        let spec = self.specs[slot];
        let mut changed = false;
        for index in buckets {
            let bucket = self.bucket(index);
            if bucket.start() >= spec.close {
                break;
            }
            let at = slot * self.bucket_count + index;
            let mark = self.marks[at];
            let is_in_bucket = observation.event_time() >= bucket.start();
            let observed = if is_in_bucket { BucketState::Live } else { BucketState::Carried };
            let (state, revision) = match mark.state() {
                Some(BucketState::Live | BucketState::Carried) if repeats => continue,
                Some(BucketState::Live | BucketState::Carried) => (observed, mark.revision() + 1),
                Some(BucketState::Backfilled) if repeats => continue,
                // Watched, but no value of it was known yet.
                Some(BucketState::Missing) if self.router.watched_since(bucket.end()) => {
                    (observed, mark.revision() + 1)
                }
                Some(BucketState::Missing | BucketState::Backfilled) => {
                    (BucketState::Backfilled, mark.revision() + 1)
                }
                None if self.router.watched_since(bucket.end()) => (observed, 0),
                None => (BucketState::Backfilled, 0),
            };
            changed = true;
            let mark = BucketMark::new(state, observation.provider(), revision);
            self.marks[at] = mark;
            rows.buckets.push(self.bucket_row(slot, bucket, mark, Some(observation)));
        }
        if changed {
            self.counters.late += 1;
            if self.is_day_closed {
                self.tell_coverage(slot, rows);
                rows.closes.extend(self.day_close(slot));
                rows.candles.extend(self.candles.tell_day(slot, spec.instrument, self.hours.open));
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
        let spec = &self.specs[slot];
        let open_interest = observation.and_then(Observation::open_interest);
        let change = open_interest.zip(spec.previous_open_interest).map(|(today, before)| today - before);
        BucketRow {
            bucket,
            instrument: spec.instrument,
            open_interest,
            open_interest_change: change,
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

    /// Closes what ends, with its grace, at or before `now`.
    pub fn advance(&mut self, now: Timestamp, rows: &mut Rows) {
        while self.next_deadline().is_some_and(|deadline| deadline <= now) {
            let until = now.plus_us(-self.grace_us);
            if self.closed_buckets < self.bucket_count
                && self.bucket(self.closed_buckets).end().min(self.hours.close) <= until
            {
                self.close_bucket(rows);
            } else if self.candles.next_end() <= until && self.candles.next_end() <= self.hours.close {
                self.candles.close_interval(self.specs.iter().map(|spec| spec.instrument), &mut rows.candles);
            } else {
                self.close_day(rows);
            }
        }
    }

    fn close_bucket(&mut self, rows: &mut Rows) {
        let index = self.closed_buckets;
        let bucket = self.bucket(index);
        let is_watched = self.router.watched_since(bucket.end().min(self.hours.close));
        for slot in 0..self.specs.len() {
            let spec = self.specs[slot];
            if !spec.is_option || bucket.start() >= spec.close {
                continue;
            }
            let observation = [&self.current[slot], &self.previous[slot]]
                .into_iter()
                .find(|observation| !observation.is_empty() && observation.event_time() < bucket.end())
                .copied();
            let is_in_bucket =
                observation.is_some_and(|observation| observation.event_time() >= bucket.start());
            let is_certain = observation
                .is_some_and(|observation| is_watched || observation.received_time() >= bucket.end());
            let state = match (is_certain, is_in_bucket) {
                (true, true) => BucketState::Live,
                (true, false) => BucketState::Carried,
                (false, _) => BucketState::Missing,
            };
            // What was seen within a bucket is worth keeping even where its end was not watched.
            let shown = observation.filter(|_| is_certain || is_in_bucket);
            let mark = BucketMark::new(state, shown.and_then(|observation| observation.provider()), 0);
            self.marks[slot * self.bucket_count + index] = mark;
            rows.buckets.push(self.bucket_row(slot, bucket, mark, shown.as_ref()));
        }
        for (slot, candles) in &mut self.underlyings {
            candles.close(self.specs[*slot].instrument, bucket.start(), &mut rows.candles);
        }
        self.closed_buckets += 1;
    }

    fn close_day(&mut self, rows: &mut Rows) {
        // The last interval of a session may be short.
        if self.candles.next_end().us_since(self.hours.close) < 300_000_000 {
            self.candles.close_interval(self.specs.iter().map(|spec| spec.instrument), &mut rows.candles);
        }
        for slot in 0..self.specs.len() {
            rows.candles.extend(self.candles.tell_day(slot, self.specs[slot].instrument, self.hours.open));
            if self.specs[slot].is_option {
                rows.closes.extend(self.day_close(slot));
                self.tell_coverage(slot, rows);
            }
        }
        self.is_day_closed = true;
    }

    fn day_close(&self, slot: usize) -> Option<DayClose> {
        let observation = self.latest(slot as u32);
        Some(DayClose {
            date: self.hours.date,
            instrument: self.specs[slot].instrument,
            open_interest: observation.open_interest(),
            last_price: observation.last_price(),
            volume: observation.volume(),
            provider: observation.provider()?,
            event_time: observation.event_time(),
        })
    }

    fn tell_coverage(&self, slot: usize, rows: &mut Rows) {
        let instrument = self.specs[slot].instrument;
        let marks = &self.marks[slot * self.bucket_count..(slot + 1) * self.bucket_count];
        let runs = coverage::runs(instrument, self.first_bucket, marks);
        rows.coverage.push((instrument, self.hours.date, runs));
    }

    /// Takes a broker's own three-minute candle of an underlying.
    pub fn take_history(&mut self, slot: u32, provider: Provider, bar: &Bar, rows: &mut Rows) {
        let slot = slot as usize;
        let is_of_session = bar.start >= self.first_bucket.start() && bar.start < self.hours.close;
        // An interval that is still open has no final candle yet.
        let is_closed = bar.start < self.open_from();
        if let Some(candles) = self.underlyings.get_mut(&slot)
            && is_of_session
            && is_closed
        {
            candles.take_history(self.specs[slot].instrument, bar, provider, &mut rows.candles);
        }
    }
}

#[cfg(test)]
mod tests;
