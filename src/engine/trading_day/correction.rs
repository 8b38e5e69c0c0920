//! Closed buckets that are told again: what comes late changes them, or it comes out that nobody watched.
//!
//! Each telling has the next revision. Left out: when a bucket closes, and the rows of its first telling.

use super::{Slot, TradingDay};
use crate::{
    engine::{candle::Trade, coverage::BucketMark, observation::Observation, rows::Rows},
    market::{BucketState, Provider, Quote, Timestamp},
};
use std::collections::BTreeSet;

impl TradingDay {
    /// Tells a closed bucket again of which it was wrongly believed that somebody watched at its end; of all contracts, or
    /// of one chain's.
    pub(super) fn reopen(
        &mut self,
        index: usize,
        chain: Option<u32>,
        changed: &mut BTreeSet<usize>,
        rows: &mut Rows,
    ) {
        let bucket = self.bucket(index);
        for slot in 0..self.slots.len() {
            if chain.is_some_and(|chain| self.chains.of(slot) != chain as usize) {
                continue;
            }
            let at = slot * self.bucket_count + index;
            let mark = self.marks[at];
            if !matches!(mark.state(), Some(BucketState::Live | BucketState::Carried)) {
                continue;
            }
            // None are left where later buckets were observed since: then this contract was watched after all.
            let Some(observation) = self.observed_before(slot, bucket.end()) else { continue };
            if observation.proves(bucket.end()) {
                continue;
            }
            let shown = Some(observation).filter(|observation| observation.event_time() >= bucket.start());
            let provider = shown.and_then(|observation| observation.provider());
            let mark = BucketMark::new(BucketState::Missing, provider, mark.revision() + 1);
            self.marks[at] = mark;
            rows.buckets.push(self.bucket_row(slot, bucket, mark, shown.as_ref()));
            changed.insert(slot);
        }
    }

    /// The latest observation belongs to a bucket that is closed already.
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
        self.correct(slot, bucket..self.closed_buckets, &after, repeats, rows);
    }

    /// An observation older than the latest: it matters only to buckets before the latest one's.
    #[cold]
    pub(super) fn observe_late(
        &mut self,
        slot: usize,
        provider: Provider,
        quote: &Quote,
        received: Timestamp,
        rows: &mut Rows,
    ) {
        let event_time = quote.event_time;
        let latest_time = self.slots[slot].latest.event_time();
        let (index, current_index) = (self.buckets.index_of(event_time), self.buckets.index_of(latest_time));
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
        let trade =
            Trade { event_time, last_price: quote.last_price.value(), volume: quote.volume, provider };
        let Slot { candles, instrument, is_option, .. } = &mut self.slots[slot];
        self.candles.observe_late(slot, candles, *instrument, &trade, &mut rows.candles);
        if *is_option && index < self.closed_buckets {
            let repeats = before.event_time() == event_time && before.same_values(&after);
            self.correct(slot, index..current_index.min(self.closed_buckets), &after, repeats, rows);
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
        let close = self.close_of(&self.slots[slot]);
        let mut changed = false;
        for index in buckets {
            let bucket = self.bucket(index);
            if bucket.start() >= close {
                break;
            }
            let at = slot * self.bucket_count + index;
            let mark = self.marks[at];
            let is_in_bucket = observation.event_time() >= bucket.start();
            let observed = if is_in_bucket { BucketState::Live } else { BucketState::Carried };
            let is_watched = |day: &TradingDay| {
                let watchers = day.router.watchers_since(bucket.end());
                day.chains.is_watched_since(day.chains.of(slot), watchers, bucket.end())
            };
            let is_proven = observation.proves(observation.received_time());
            let (state, revision) = match mark.state() {
                Some(BucketState::Live | BucketState::Carried) if repeats => continue,
                Some(BucketState::Live | BucketState::Carried) => (observed, mark.revision() + 1),
                Some(BucketState::Backfilled) if repeats => continue,
                // Watched, but no value of it was known yet.
                Some(BucketState::Missing) if is_watched(self) => (observed, mark.revision() + 1),
                // An old copy says nothing of the time since.
                Some(BucketState::Missing) if !is_proven => {
                    if !is_in_bucket || repeats {
                        continue;
                    }
                    (BucketState::Missing, mark.revision() + 1)
                }
                Some(BucketState::Missing | BucketState::Backfilled) => {
                    (BucketState::Backfilled, mark.revision() + 1)
                }
                Some(BucketState::Unlisted) => continue,
                None if is_watched(self) => (observed, 0),
                None if !is_proven => (BucketState::Missing, 0),
                None => (BucketState::Backfilled, 0),
            };
            changed = true;
            let shown = Some(observation).filter(|_| state != BucketState::Missing || is_in_bucket);
            let mark = BucketMark::new(state, shown.and_then(Observation::provider), revision);
            self.marks[at] = mark;
            rows.buckets.push(self.bucket_row(slot, bucket, mark, shown));
        }
        if changed {
            self.counters.late += 1;
            if self.is_day_closed {
                self.tell_coverage(slot, rows);
                rows.closes.extend(self.day_close(slot));
                rows.candles.extend(self.tell_day(slot));
            }
        }
    }
}
