//! One trading day of all watched instruments: observations in, rows out.
//!
//! Owns the day's state by dense slot: the latest observation, the last one of the bucket before, the state of every
//! closed bucket, and the candles. Invariants:
//! - Every watched option has one row for every bucket of its session from the one in which it became known on.
//! - A bucket's values are the last ones observed before its end. An observation that comes after the bucket closed
//!   changes the closed row, and every later closed row that carried the older values, with the next revision.
//! - A value counts as certain if somebody watched at the bucket's end or if it was received after that end; an
//!   uncertain bucket is missing until an observation proves it. A provider that is up may not watch single chains
//!   ([`TradingDay::set_chain_down`]): if its values count, nobody watches those.
//! - Where it comes out late that nobody watched ([`TradingDay::set_down`]), closed buckets are told again with the states
//!   they would have if it had been known in time. Values that another provider brought meanwhile were not taken, so it
//!   is no witness.
//! - Observations stamped at or after the close make no bucket, delta or candle; they change the day's closing values.
//! - The outcome depends on the sequence of calls alone.
//!
//! Left out: which contract a slot is, what was on the wire, and when anything is stored.

mod chains;
mod correction;
mod slot;

use self::{chains::Chains, slot::Slot};
use super::{
    candle::{CandleBook, SlotCandles, Trade, UnderlyingCandles},
    coverage::{self, BucketMark},
    intervals::Intervals,
    observation::Observation,
    router::{Router, Watchers},
    rows::Rows,
};
use crate::market::{
    Bar, Bucket, BucketRow, BucketState, Candle, DayClose, InstrumentId, OiDelta, Provider, Quote, Timestamp,
    TradingDate,
};
use std::collections::{BTreeMap, BTreeSet};

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

/// What the day must know of a watched instrument.
#[derive(Clone, Copy, Debug)]
pub struct SlotSpec {
    pub instrument: InstrumentId,
    /// The first instant after this instrument's trading; expiring contracts may stop before the session does.
    pub close: Timestamp,
    /// Options make buckets and deltas; underlyings make three-minute candles.
    pub is_option: bool,
    /// The same for all options of one underlying and expiry, which providers watch together; counted from 0.
    pub chain: u32,
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
    buckets: Intervals,
    bucket_count: usize,
    /// Buckets before this index are closed.
    closed_buckets: usize,
    is_day_closed: bool,
    router: Router,
    slots: Vec<Slot>,
    /// By slot: the last observation of an earlier bucket than the latest one's.
    previous: Vec<Observation>,
    previous_open_interest: Vec<Option<i64>>,
    /// The different closing times of the day.
    closes: Vec<Timestamp>,
    marks: Vec<BucketMark>,
    /// Read when buckets close, and when they are told again.
    chains: Chains,
    /// By closed bucket: on whom its claim to have been watched rests.
    watchers: Vec<Watchers>,
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
            buckets: Intervals::new(first_bucket.start(), Bucket::LENGTH_US),
            bucket_count: (span_us as u64).div_ceil(Bucket::LENGTH_US as u64) as usize,
            closed_buckets: 0,
            is_day_closed: false,
            router,
            slots: Vec::new(),
            previous: Vec::new(),
            previous_open_interest: Vec::new(),
            closes: Vec::new(),
            marks: Vec::new(),
            chains: Chains::default(),
            watchers: Vec::new(),
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

    /// A provider watches from `now` on.
    pub fn set_up(&mut self, provider: Provider, now: Timestamp) {
        self.router.set_up(provider, now);
    }

    /// An operator's choice from `now` on; see [`Router::force`].
    pub fn force(&mut self, provider: Option<Provider>, now: Timestamp) {
        self.router.force(provider, now);
    }

    /// It is known at `now` that a provider has not watched since `since`. Closed buckets whose states rest on its watching
    /// are told again.
    pub fn set_down(&mut self, provider: Provider, since: Timestamp, now: Timestamp, rows: &mut Rows) {
        self.router.set_down(provider, since, now);
        let mut changed = BTreeSet::new();
        for index in self.closed_after(since) {
            if self.watchers[index].contains(provider) {
                self.watchers[index] = Watchers::default();
                self.reopen(index, None, &mut changed, rows);
            }
        }
        if self.is_day_closed {
            changed.into_iter().for_each(|slot| self.tell_coverage(slot, rows));
        }
    }

    /// A provider watches a chain as long as it is up itself, but not before `since`.
    pub fn set_chain_up(&mut self, provider: Provider, chain: u32, since: Timestamp) {
        self.chains.set_up(provider, chain, since);
    }

    /// A provider does not watch a chain that has no rows yet.
    pub fn set_chain_left_out(&mut self, provider: Provider, chain: u32) {
        self.chains.set_down(provider, chain);
    }

    /// It is known that a provider has not watched a chain since `since`, whether or not it is up itself. Closed buckets of
    /// the chain's contracts whose states rest on its watching are told again.
    pub fn set_chain_down(&mut self, provider: Provider, chain: u32, since: Timestamp, rows: &mut Rows) {
        self.chains.set_down(provider, chain);
        let mut changed = BTreeSet::new();
        for index in self.closed_after(since) {
            if self.watchers[index].contains(provider) {
                self.reopen(index, Some(chain), &mut changed, rows);
            }
        }
        if self.is_day_closed {
            changed.into_iter().for_each(|slot| self.tell_coverage(slot, rows));
        }
    }

    /// Closed buckets whose ends, with their grace, lie after `since`.
    fn closed_after(&self, since: Timestamp) -> std::ops::Range<usize> {
        let reaches = |index: &usize| self.end_of(*index).plus_us(self.grace_us) > since;
        let first = (0..self.closed_buckets).rev().take_while(reaches).last();
        first.unwrap_or(self.closed_buckets)..self.closed_buckets
    }

    /// The last observation stamped before `end`, if it is one of the two that are kept.
    fn observed_before(&self, slot: usize, end: Timestamp) -> Option<Observation> {
        let kept = [&self.slots[slot].latest, &self.previous[slot]];
        kept.into_iter()
            .find(|observation| !observation.is_empty() && observation.event_time() < end)
            .copied()
    }

    pub fn counters(&self) -> DayCounters {
        self.counters
    }

    pub fn volume_regressions(&self) -> u64 {
        self.candles.volume_regressions
    }

    pub fn slot_count(&self) -> usize {
        self.slots.len()
    }

    pub fn closed_buckets(&self) -> usize {
        self.closed_buckets
    }

    pub fn bucket_count(&self) -> usize {
        self.bucket_count
    }

    /// Begins to watch an instrument; slots are numbered from 0 in the order of these calls.
    pub fn add_slot(&mut self, spec: SlotSpec) -> u32 {
        let slot = self.slots.len();
        let close = self.closes.iter().position(|close| *close == spec.close).unwrap_or_else(|| {
            self.closes.push(spec.close);
            self.closes.len() - 1
        });
        self.slots.push(Slot {
            latest: Observation::default(),
            candles: SlotCandles::default(),
            instrument: spec.instrument,
            close: u16::try_from(close).expect("a calendar knows a handful of closing times"),
            is_option: spec.is_option,
        });
        self.chains.add_slot(spec.chain);
        self.previous.push(Observation::default());
        self.previous_open_interest.push(spec.previous_open_interest);
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
            None => &self.slots[slot].latest,
        }
    }

    pub fn previous_open_interest(&self, slot: u32) -> Option<i64> {
        self.previous_open_interest[slot as usize]
    }

    /// The earliest instant at which [`TradingDay::advance`] has something to close.
    pub fn next_deadline(&self) -> Option<Timestamp> {
        if self.is_day_closed {
            return None;
        }
        let bucket_end = if self.closed_buckets < self.bucket_count {
            self.end_of(self.closed_buckets)
        } else {
            self.hours.close
        };
        Some(bucket_end.min(self.candles.next_end()).min(self.hours.close).plus_us(self.grace_us))
    }

    fn bucket(&self, index: usize) -> Bucket {
        Bucket::containing(self.buckets.start_of(index))
    }

    /// A session's last bucket may be short.
    fn end_of(&self, index: usize) -> Timestamp {
        self.bucket(index).end().min(self.hours.close)
    }

    fn close_of(&self, slot: &Slot) -> Timestamp {
        self.closes[usize::from(slot.close)]
    }

    /// Start of the first bucket that is not closed.
    fn open_from(&self) -> Timestamp {
        self.bucket(self.closed_buckets).start()
    }

    /// Reads what [`TradingDay::observe`] is going to need of a slot, so that it is in the cache by then.
    #[inline]
    pub fn fetch(&self, slot: u32) {
        self.slots[slot as usize].fetch();
    }

    /// Takes what a provider said of a slot.
    #[inline]
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
        let index = slot as usize;
        if quote.previous_open_interest.is_some() {
            self.previous_open_interest[index] = quote.previous_open_interest;
        }
        let slot = &mut self.slots[index];
        if event_time >= self.closes[usize::from(slot.close)] {
            return self.observe_after_close(index, provider, quote, received, rows);
        }
        if event_time < slot.latest.event_time() {
            return self.observe_late(index, provider, quote, received, rows);
        }
        let bucket = self.buckets.find(event_time);
        if slot.latest.event_time() < self.buckets.start_of(bucket) && !slot.latest.is_empty() {
            self.previous[index] = slot.latest;
        }
        let is_behind = bucket < self.closed_buckets && slot.is_option;
        let before = is_behind.then_some(slot.latest);
        let in_session = event_time >= self.hours.open;
        let baseline = slot.latest.baseline();
        slot.latest.take(provider, quote, received, in_session);
        if let (Some(old), Some(new), true) = (baseline, quote.open_interest, slot.is_option)
            && in_session
            && old != new
        {
            let seq = slot.latest.deltas_at_event;
            slot.latest.deltas_at_event = seq.saturating_add(1);
            rows.deltas.push(OiDelta {
                instrument: slot.instrument,
                event_time,
                seq,
                old_open_interest: old,
                new_open_interest: new,
                provider,
                received_time: received,
            });
        }
        if in_session {
            let trade =
                Trade { event_time, last_price: quote.last_price.value(), volume: quote.volume, provider };
            self.candles.observe(index, &mut slot.candles, slot.instrument, &trade, &mut rows.candles);
            if !slot.is_option {
                self.observe_underlying(index, &trade, rows);
            }
        }
        if let Some(before) = before {
            self.correct_since(index, bucket, &before, rows);
        }
    }

    #[inline(never)]
    fn observe_underlying(&mut self, slot: usize, trade: &Trade, rows: &mut Rows) {
        let open_from = self.open_from();
        let instrument = self.slots[slot].instrument;
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

    #[cold]
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
        if self.is_day_closed && self.slots[slot].is_option && !before.same_values(&after) {
            rows.closes.extend(self.day_close(slot));
        }
    }

    fn tell_day(&mut self, slot: usize) -> Option<Candle> {
        let Slot { candles, instrument, .. } = &self.slots[slot];
        self.candles.tell_day(slot, candles, *instrument, self.hours.open)
    }

    fn bucket_row(
        &self,
        slot: usize,
        bucket: Bucket,
        mark: BucketMark,
        observation: Option<&Observation>,
    ) -> BucketRow {
        let previous = self.previous_open_interest[slot];
        let open_interest = observation.and_then(Observation::open_interest);
        let change = open_interest.zip(previous).map(|(today, before)| today - before);
        BucketRow {
            bucket,
            instrument: self.slots[slot].instrument,
            open_interest,
            open_interest_change: change,
            oi_base: None,
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
            if self.closed_buckets < self.bucket_count && self.end_of(self.closed_buckets) <= until {
                self.close_bucket(rows);
            } else if self.candles.next_end() <= until && self.candles.next_end() <= self.hours.close {
                self.close_candles(rows);
            } else {
                self.close_day(rows);
            }
        }
    }

    fn close_candles(&mut self, rows: &mut Rows) {
        let slots = self.slots.iter_mut().map(|slot| (slot.instrument, &mut slot.candles));
        self.candles.close_interval(slots, &mut rows.candles);
    }

    fn close_bucket(&mut self, rows: &mut Rows) {
        let index = self.closed_buckets;
        let bucket = self.bucket(index);
        let watchers = self.router.watchers_since(self.end_of(index));
        let watched_chains = self.chains.watched_since(watchers, self.end_of(index));
        for slot in 0..self.slots.len() {
            if !self.slots[slot].is_option || bucket.start() >= self.close_of(&self.slots[slot]) {
                continue;
            }
            let observation = self.observed_before(slot, bucket.end());
            let is_in_bucket =
                observation.is_some_and(|observation| observation.event_time() >= bucket.start());
            let is_certain = observation.is_some_and(|observation| {
                watched_chains[self.chains.of(slot)] || observation.proves(bucket.end())
            });
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
            candles.close(self.slots[*slot].instrument, bucket.start(), &mut rows.candles);
        }
        self.watchers.push(watchers);
        self.closed_buckets += 1;
    }

    fn close_day(&mut self, rows: &mut Rows) {
        // The last interval of a session may be short.
        if self.candles.next_end().us_since(self.hours.close) < 300_000_000 {
            self.close_candles(rows);
        }
        for slot in 0..self.slots.len() {
            rows.candles.extend(self.tell_day(slot));
            if self.slots[slot].is_option {
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
            instrument: self.slots[slot].instrument,
            open_interest: observation.open_interest(),
            last_price: observation.last_price(),
            volume: observation.volume(),
            provider: observation.provider()?,
            event_time: observation.event_time(),
            last_state: BucketState::Missing,
            missing_buckets: 0,
        })
    }

    fn tell_coverage(&self, slot: usize, rows: &mut Rows) {
        let instrument = self.slots[slot].instrument;
        let marks = &self.marks[slot * self.bucket_count..(slot + 1) * self.bucket_count];
        let runs = coverage::runs(instrument, self.bucket(0), marks);
        rows.coverage.push((instrument, self.hours.date, runs));
    }

    /// Takes a broker's own three-minute candle of an underlying.
    pub fn take_history(&mut self, slot: u32, provider: Provider, bar: &Bar, rows: &mut Rows) {
        let slot = slot as usize;
        let is_of_session = bar.start >= self.buckets.start_of(0) && bar.start < self.hours.close;
        // An interval that is still open has no final candle yet.
        let is_closed = bar.start < self.open_from();
        if let Some(candles) = self.underlyings.get_mut(&slot)
            && is_of_session
            && is_closed
        {
            candles.take_history(self.slots[slot].instrument, bar, provider, &mut rows.candles);
        }
    }
}

#[cfg(test)]
mod tests;
