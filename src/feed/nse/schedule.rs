//! Which request is due when. Pure: time is passed in.
//!
//! Invariants: a job is due or in flight, never both; chains are spread evenly over the interval; when requests cannot
//! keep up, the one waiting longest goes first, so that no chain starves.

use super::targets::{ChainKey, Job};
use crate::market::Timestamp;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::collections::{BTreeMap, BTreeSet};

/// The part of a chain's slot that a poll may come late by, drawn anew each time.
const JITTER: f64 = 0.2;

#[derive(Debug)]
pub(super) struct Schedule {
    start: Timestamp,
    interval_us: i64,
    due: BTreeMap<Job, Timestamp>,
    /// Where in the interval each chain is polled.
    phases_us: BTreeMap<ChainKey, i64>,
    in_flight: BTreeSet<Job>,
    rng: ChaCha8Rng,
}

impl Schedule {
    pub fn new(start: Timestamp, interval_s: u32, seed: u64) -> Schedule {
        Schedule {
            start,
            interval_us: i64::from(interval_s.max(1)) * 1_000_000,
            due: BTreeMap::new(),
            phases_us: BTreeMap::new(),
            in_flight: BTreeSet::new(),
            rng: ChaCha8Rng::seed_from_u64(seed),
        }
    }

    /// Makes a job that is no chain due at `at`, unless it is in flight.
    pub fn add(&mut self, job: Job, at: Timestamp) {
        if !self.in_flight.contains(&job) {
            self.due.insert(job, at);
        }
    }

    /// Polls exactly `chains` from here on. A chain that was due before its new slot stays due.
    pub fn set_chains(&mut self, chains: &BTreeSet<ChainKey>, now: Timestamp) {
        if self.phases_us.len() == chains.len()
            && chains.iter().all(|chain| self.phases_us.contains_key(chain))
        {
            return;
        }
        let count = chains.len().max(1) as i64;
        let phase = |index: usize| self.interval_us / count * index as i64;
        self.phases_us =
            chains.iter().enumerate().map(|(index, chain)| (chain.clone(), phase(index))).collect();
        self.due.retain(|job, _| match job {
            Job::Chain(chain) => chains.contains(chain),
            Job::Lots | Job::Contracts(_) => true,
        });
        for chain in chains {
            let at = self.next_slot(chain, now);
            let job = Job::Chain(chain.clone());
            if !self.in_flight.contains(&job) {
                self.due.entry(job).and_modify(|due| *due = at.min(*due)).or_insert(at);
            }
        }
    }

    /// The first time after `now` in the chain's slot.
    fn next_slot(&mut self, chain: &ChainKey, now: Timestamp) -> Timestamp {
        let phase_us = self.phases_us.get(chain).copied().unwrap_or_default();
        let slot_us = self.interval_us / self.phases_us.len().max(1) as i64;
        let jitter_us = (slot_us as f64 * self.rng.random_range(0.0..JITTER)) as i64;
        let first = self.start.plus_us(phase_us);
        let passed = now.us_since(first).div_euclid(self.interval_us) + 1;
        first.plus_us(passed * self.interval_us + jitter_us)
    }

    /// When the next job is due that is not in flight.
    pub fn next_due(&self) -> Option<Timestamp> {
        self.due.values().min().copied()
    }

    /// The job that has been due longest at `now`; it is in flight then.
    pub fn take_due(&mut self, now: Timestamp) -> Option<Job> {
        let (job, at) = self.due.iter().min_by_key(|(job, at)| (**at, *job))?;
        if *at > now {
            return None;
        }
        let job = job.clone();
        self.due.remove(&job);
        self.in_flight.insert(job.clone());
        Some(job)
    }

    /// Ends a job's flight. A chain that is still wanted comes again in its slot; other jobs are over.
    pub fn finish(&mut self, job: &Job, now: Timestamp) {
        self.in_flight.remove(job);
        if let Job::Chain(chain) = job
            && self.phases_us.contains_key(chain)
        {
            let at = self.next_slot(chain, now);
            self.due.insert(job.clone(), at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::sync::Arc;

    fn chains(count: usize) -> BTreeSet<ChainKey> {
        (0..count).map(|index| ChainKey { symbol: Arc::from(format!("S{index:03}")), expiry: None }).collect()
    }

    #[test]
    fn chains_are_spread_over_the_interval() {
        let start = Timestamp::from_us(0);
        let mut schedule = Schedule::new(start, 30, 7);
        schedule.set_chains(&chains(3), start);
        let mut polls: Vec<(i64, Job)> = Vec::new();
        while polls.len() < 6 {
            let now = schedule.next_due().expect("a due chain");
            let job = schedule.take_due(now).expect("is due");
            assert_eq!(schedule.take_due(now), None, "one at a time");
            schedule.finish(&job, now.plus_seconds(1));
            polls.push((now.as_us() / 10_000_000, job));
        }
        // A slot is 10 s wide; the first slots at the very start are over.
        let slots: Vec<i64> = polls.iter().map(|(slot, _)| *slot).collect();
        assert_eq!(slots, [1, 2, 3, 4, 5, 6]);
        assert_eq!(polls[0].1, polls[3].1);
    }

    #[test]
    fn other_jobs_come_once_and_in_flight_jobs_not_again() {
        let start = Timestamp::from_us(0);
        let mut schedule = Schedule::new(start, 30, 7);
        schedule.add(Job::Lots, start);
        assert_eq!(schedule.take_due(start), Some(Job::Lots));
        schedule.add(Job::Lots, start);
        assert_eq!(schedule.take_due(start), None);
        schedule.finish(&Job::Lots, start);
        assert_eq!(schedule.next_due(), None);
        schedule.set_chains(&chains(2), start);
        let late = start.plus_seconds(60);
        let job = schedule.take_due(late).expect("is due");
        schedule.set_chains(&BTreeSet::new(), late);
        schedule.finish(&job, late);
        assert_eq!(schedule.next_due(), None, "an unwanted chain is not polled again");
    }

    proptest! {
        /// However slow requests are and however often the chains change, each is polled about as often as the others.
        #[test]
        fn no_chain_starves(count in 1_usize..40, took_ms in 1_i64..5_000, changes in any::<bool>()) {
            let mut now = Timestamp::from_us(0);
            let mut schedule = Schedule::new(now, 30, 7);
            schedule.set_chains(&chains(count), now);
            let mut polled: BTreeMap<Job, u32> = BTreeMap::new();
            for round in 0..count * 8 {
                now = now.max(schedule.next_due().expect("a due chain"));
                let job = schedule.take_due(now).expect("is due");
                now = now.plus_us(took_ms * 1_000);
                schedule.finish(&job, now);
                *polled.entry(job).or_default() += 1;
                if changes {
                    schedule.set_chains(&chains(count + round % 2), now);
                }
            }
            let least = chains(count).into_iter().map(|chain| polled.get(&Job::Chain(chain)).copied().unwrap_or(0)).min();
            prop_assert!(least >= Some(3), "{polled:?}");
        }
    }
}
