//! Whether the feed counts as watching. Pure.
//!
//! It is up after a full round of successful polls, and down after a number of failures in a row. A single job that
//! keeps failing while others succeed does not hold the others' round up for ever: after as many failures in a row it
//! no longer counts.

use super::targets::Job;
use std::collections::BTreeMap;

/// What the log must be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Change {
    Up,
    Down { reason: String },
}

#[derive(Debug)]
pub(super) struct Health {
    failures_max: u32,
    /// Failures in a row, of any job.
    failures: u32,
    is_up: bool,
    jobs: BTreeMap<Job, JobState>,
}

#[derive(Clone, Copy, Debug, Default)]
struct JobState {
    succeeded: bool,
    failures: u32,
}

impl Health {
    pub fn new(failures_max: u32) -> Health {
        Health { failures_max: failures_max.max(1), failures: 0, is_up: false, jobs: BTreeMap::new() }
    }

    pub fn is_up(&self) -> bool {
        self.is_up
    }

    /// Makes `jobs` the round; what is known of those that were in it already stays.
    pub fn set_round(&mut self, jobs: impl IntoIterator<Item = Job>) {
        let known = std::mem::take(&mut self.jobs);
        let state = |job: Job| {
            let state = known.get(&job).copied().unwrap_or_default();
            (job, state)
        };
        self.jobs = jobs.into_iter().map(state).collect();
    }

    pub fn succeeded(&mut self, job: &Job) -> Option<Change> {
        if self.failures >= self.failures_max {
            // Nothing was answered: those failures were no job's own.
            self.jobs.values_mut().for_each(|state| state.failures = 0);
        }
        self.failures = 0;
        if let Some(state) = self.jobs.get_mut(job) {
            *state = JobState { succeeded: true, failures: 0 };
        }
        let is_done = |state: &JobState| state.succeeded || state.failures >= self.failures_max;
        // A round without chains watches nothing.
        let has_chain = self.jobs.iter().any(|(job, state)| matches!(job, Job::Chain(_)) && state.succeeded);
        if self.is_up || !has_chain || !self.jobs.values().all(is_done) {
            return None;
        }
        self.is_up = true;
        Some(Change::Up)
    }

    pub fn failed(&mut self, job: &Job, reason: &str) -> Option<Change> {
        self.failures = self.failures.saturating_add(1);
        if let Some(state) = self.jobs.get_mut(job) {
            state.failures = state.failures.saturating_add(1);
        }
        if self.failures < self.failures_max {
            return None;
        }
        let reason = format!("{} requests in a row failed, the last with: {reason}", self.failures);
        self.down(reason)
    }

    /// Ends the watching. The next round asks every chain anew; expiries that are known stay known.
    pub fn down(&mut self, reason: impl Into<String>) -> Option<Change> {
        let chains = self.jobs.iter_mut().filter(|(job, _)| matches!(job, Job::Chain(_)));
        chains.for_each(|(_, state)| *state = JobState::default());
        std::mem::take(&mut self.is_up).then(|| Change::Down { reason: reason.into() })
    }
}

#[cfg(test)]
mod tests {
    use super::{super::targets::ChainKey, *};
    use std::sync::Arc;

    fn chain(symbol: &str) -> Job {
        Job::Chain(ChainKey { symbol: Arc::from(symbol), expiry: None })
    }

    #[test]
    fn is_up_after_a_full_round_and_down_after_failures_in_a_row() {
        let mut health = Health::new(2);
        health.set_round([Job::Contracts(Arc::from("A")), chain("A"), chain("B")]);
        assert_eq!(health.succeeded(&Job::Contracts(Arc::from("A"))), None);
        assert_eq!(health.succeeded(&chain("A")), None);
        assert_eq!(health.succeeded(&chain("B")), Some(Change::Up));
        assert_eq!(health.succeeded(&chain("A")), None);
        assert_eq!(health.failed(&chain("A"), "x"), None);
        assert_eq!(health.succeeded(&chain("B")), None);
        assert_eq!(health.failed(&chain("A"), "x"), None);
        let down = health.failed(&chain("B"), "HTML");
        assert!(matches!(&down, Some(Change::Down { reason }) if reason.contains("HTML")), "{down:?}");
        assert_eq!(health.failed(&chain("B"), "HTML"), None, "told once");
        assert_eq!(health.succeeded(&chain("A")), None, "a new round is needed");
        assert_eq!(health.succeeded(&chain("B")), Some(Change::Up));
    }

    #[test]
    fn failures_of_an_outage_are_no_chains_own() {
        let mut health = Health::new(2);
        health.set_round([chain("A"), chain("B")]);
        for _ in 0..5 {
            assert_eq!(health.failed(&chain("A"), "x"), None);
            assert_eq!(health.failed(&chain("B"), "x"), None);
        }
        assert_eq!(health.succeeded(&chain("A")), None, "B has yet to answer");
        assert_eq!(health.succeeded(&chain("B")), Some(Change::Up));
    }

    #[test]
    fn one_bad_chain_does_not_keep_the_others_down() {
        let mut health = Health::new(2);
        health.set_round([chain("BAD"), chain("GOOD")]);
        assert_eq!(health.succeeded(&chain("GOOD")), None);
        assert_eq!(health.failed(&chain("BAD"), "x"), None);
        assert_eq!(health.succeeded(&chain("GOOD")), None);
        assert_eq!(health.failed(&chain("BAD"), "x"), None);
        assert_eq!(health.succeeded(&chain("GOOD")), Some(Change::Up));
    }

    #[test]
    fn no_chain_no_watching() {
        let mut health = Health::new(2);
        let contracts = Job::Contracts(Arc::from("A"));
        health.set_round([contracts.clone()]);
        assert_eq!(health.succeeded(&contracts), None);
        health.set_round([contracts, chain("A")]);
        assert_eq!(health.succeeded(&chain("A")), Some(Change::Up));
        assert_eq!(health.down("over"), Some(Change::Down { reason: "over".to_owned() }));
        assert!(!health.is_up());
    }
}
