//! Whether the feed counts as watching. Pure.
//!
//! It is up after a full round of successful polls, and down after a number of failures in a row, be it of all requests
//! together or of one chain alone: a chain that is not answered any more must not be recorded as "nothing changed". The
//! log knows feeds, not chains, so one such chain takes the whole feed down, since its last answer, until it has answered
//! again. Another provider takes over meanwhile; without one, contracts of the other chains are missing only in buckets
//! of which nothing was received after their ends.
//!
//! A job that has not been answered on this day claims nothing. It does not hold the others' round up for ever: after as
//! many failures in a row it no longer counts. So a name that the website does not know makes no other chain missing.

use super::targets::Job;
use crate::market::Timestamp;
use std::collections::BTreeMap;

/// What the log must be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Change {
    Up,
    /// `since`: when the watching ended, where that is not now.
    Down {
        reason: String,
        since: Option<Timestamp>,
    },
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
    /// Within this round.
    succeeded: bool,
    failures: u32,
    /// Of the day.
    last_success: Option<Timestamp>,
}

impl Health {
    pub fn new(failures_max: u32) -> Health {
        Health { failures_max: failures_max.max(1), failures: 0, is_up: false, jobs: BTreeMap::new() }
    }

    pub fn is_up(&self) -> bool {
        self.is_up
    }

    /// Forgets what was answered on the day before.
    pub fn begin_day(&mut self) {
        self.jobs.clear();
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

    pub fn succeeded(&mut self, job: &Job, received_time: Timestamp) -> Option<Change> {
        if self.failures >= self.failures_max {
            // Nothing was answered: those failures were no job's own.
            self.jobs.values_mut().for_each(|state| state.failures = 0);
        }
        self.failures = 0;
        if let Some(state) = self.jobs.get_mut(job) {
            *state = JobState { succeeded: true, failures: 0, last_success: Some(received_time) };
        }
        let is_done = |state: &JobState| {
            state.succeeded || state.last_success.is_none() && state.failures >= self.failures_max
        };
        // A round without chains watches nothing.
        let has_chain = self.jobs.iter().any(|(job, state)| matches!(job, Job::Chain(_)) && state.succeeded);
        if self.is_up || !has_chain || !self.jobs.values().all(is_done) {
            return None;
        }
        self.is_up = true;
        Some(Change::Up)
    }

    /// A chain was answered with values of long ago. One alone may be of contracts that nobody trades; if all are, the
    /// website stands still.
    pub fn fell_behind(&mut self, reason: &str) -> Option<Change> {
        self.failures = self.failures.saturating_add(1);
        self.judge(0, reason)
    }

    pub fn failed(&mut self, job: &Job, reason: &str) -> Option<Change> {
        self.failures = self.failures.saturating_add(1);
        let mut own_failures = 0;
        if let Some(state) = self.jobs.get_mut(job) {
            state.failures = state.failures.saturating_add(1);
            if matches!(job, Job::Chain(_)) && state.last_success.is_some() {
                own_failures = state.failures;
            }
        }
        self.judge(own_failures, reason)
    }

    fn judge(&mut self, own_failures: u32, reason: &str) -> Option<Change> {
        let (failures, of_what) = if self.failures >= self.failures_max {
            (self.failures, "requests")
        } else if self.is_up && own_failures >= self.failures_max {
            (own_failures, "requests for one chain")
        } else {
            return None;
        };
        // Of all chains: another one may have been silent for longer, and this is the last time to say so.
        let since = self.last_success_of(|_| true);
        self.end_round(format!("{failures} {of_what} in a row failed, the last with: {reason}"), since)
    }

    /// Ends the watching in order. The next round asks every chain anew; expiries that are known stay known.
    pub fn down(&mut self, reason: impl Into<String>) -> Option<Change> {
        let since = self.last_success_of(|state| state.failures > 0);
        self.end_round(reason.into(), since)
    }

    /// When the chain was answered that was so least recently.
    fn last_success_of(&self, is_meant: impl Fn(&JobState) -> bool) -> Option<Timestamp> {
        let chains = self.jobs.iter().filter(|(job, state)| matches!(job, Job::Chain(_)) && is_meant(state));
        chains.filter_map(|(_, state)| state.last_success).min()
    }

    fn end_round(&mut self, reason: String, since: Option<Timestamp>) -> Option<Change> {
        let chains = self.jobs.iter_mut().filter(|(job, _)| matches!(job, Job::Chain(_)));
        chains.for_each(|(_, state)| (state.succeeded, state.failures) = (false, 0));
        std::mem::take(&mut self.is_up).then_some(Change::Down { reason, since })
    }
}

#[cfg(test)]
mod tests {
    use super::{super::targets::ChainKey, *};
    use std::sync::Arc;

    fn chain(symbol: &str) -> Job {
        Job::Chain(ChainKey { symbol: Arc::from(symbol), expiry: None })
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_us(second * 1_000_000)
    }

    /// Since when the feed is down, and why.
    fn down(change: Option<Change>) -> (i64, String) {
        match change {
            Some(Change::Down { reason, since: Some(since) }) => (since.as_us() / 1_000_000, reason),
            other => panic!("{other:?} does not say since when the feed is down"),
        }
    }

    #[test]
    fn is_up_after_a_full_round_and_down_after_failures_in_a_row() {
        let mut health = Health::new(3);
        health.set_round([Job::Contracts(Arc::from("A")), chain("A"), chain("B")]);
        assert_eq!(health.succeeded(&Job::Contracts(Arc::from("A")), at(1)), None);
        assert_eq!(health.succeeded(&chain("A"), at(2)), None);
        assert_eq!(health.succeeded(&chain("B"), at(3)), Some(Change::Up));
        assert_eq!(health.succeeded(&chain("A"), at(4)), None);
        assert_eq!(health.failed(&chain("A"), "x"), None);
        assert_eq!(health.succeeded(&chain("B"), at(5)), None);
        assert_eq!(health.failed(&chain("A"), "x"), None);
        assert_eq!(health.failed(&chain("B"), "x"), None);
        let (since, reason) = down(health.failed(&chain("B"), "HTML"));
        assert!(since == 4 && reason.contains("HTML"), "{since}: {reason}");
        assert_eq!(health.failed(&chain("B"), "HTML"), None, "told once");
        assert_eq!(health.succeeded(&chain("A"), at(6)), None, "a new round is needed");
        assert_eq!(health.succeeded(&chain("B"), at(7)), Some(Change::Up));
    }

    #[test]
    fn failures_of_an_outage_are_no_chains_own() {
        let mut health = Health::new(2);
        health.set_round([chain("A"), chain("B")]);
        for _ in 0..5 {
            assert_eq!(health.failed(&chain("A"), "x"), None);
            assert_eq!(health.failed(&chain("B"), "x"), None);
        }
        assert_eq!(health.succeeded(&chain("A"), at(1)), None, "B has yet to answer");
        assert_eq!(health.succeeded(&chain("B"), at(2)), Some(Change::Up));
    }

    #[test]
    fn a_chain_that_was_never_answered_does_not_keep_the_others_down() {
        let mut health = Health::new(2);
        health.set_round([chain("BAD"), chain("GOOD")]);
        assert_eq!(health.succeeded(&chain("GOOD"), at(1)), None);
        assert_eq!(health.failed(&chain("BAD"), "x"), None);
        assert_eq!(health.succeeded(&chain("GOOD"), at(2)), None);
        assert_eq!(health.failed(&chain("BAD"), "x"), None);
        assert_eq!(health.succeeded(&chain("GOOD"), at(3)), Some(Change::Up));
        for second in 4..9 {
            assert_eq!(health.failed(&chain("BAD"), "x"), None);
            assert_eq!(health.succeeded(&chain("GOOD"), at(second)), None);
        }
        assert!(health.is_up());
    }

    #[test]
    fn a_chain_that_falls_behind_takes_the_feed_down_with_all_others_only() {
        let mut health = Health::new(2);
        health.set_round([chain("QUIET"), chain("GOOD")]);
        assert_eq!(health.succeeded(&chain("QUIET"), at(1)), None);
        assert_eq!(health.succeeded(&chain("GOOD"), at(2)), Some(Change::Up));
        for second in 3..9 {
            assert_eq!(health.fell_behind("QUIET: old"), None);
            assert_eq!(health.succeeded(&chain("GOOD"), at(second)), None);
        }
        assert_eq!(health.fell_behind("QUIET: old"), None);
        let (since, reason) = down(health.fell_behind("GOOD: old"));
        assert!(since == 1 && reason.contains("GOOD: old"), "{since}: {reason}");
    }

    #[test]
    fn a_chain_that_is_not_answered_any_more_takes_the_feed_down_until_it_is() {
        let mut health = Health::new(2);
        health.set_round([chain("BAD"), chain("GOOD")]);
        assert_eq!(health.succeeded(&chain("BAD"), at(1)), None);
        assert_eq!(health.succeeded(&chain("GOOD"), at(2)), Some(Change::Up));
        assert_eq!(health.failed(&chain("BAD"), "BAD: 404"), None);
        assert_eq!(health.succeeded(&chain("GOOD"), at(3)), None);
        let (since, reason) = down(health.failed(&chain("BAD"), "BAD: 404"));
        assert!(since == 1 && reason.contains("BAD: 404"), "{since}: {reason}");
        for second in 4..9 {
            assert_eq!(health.succeeded(&chain("GOOD"), at(second)), None);
            assert_eq!(health.failed(&chain("BAD"), "BAD: 404"), None);
        }
        assert_eq!(health.succeeded(&chain("BAD"), at(9)), Some(Change::Up), "all have answered");
        // The next day asks anew.
        health.down("over");
        health.begin_day();
        health.set_round([chain("BAD"), chain("GOOD")]);
        for second in 10..12 {
            assert_eq!(health.failed(&chain("BAD"), "BAD: 404"), None);
            let change = health.succeeded(&chain("GOOD"), at(second));
            assert_eq!(change, (second == 11).then_some(Change::Up));
        }
    }

    #[test]
    fn an_end_in_order_reaches_back_for_failing_chains_only() {
        let mut health = Health::new(3);
        health.set_round([chain("A"), chain("B")]);
        assert_eq!(health.succeeded(&chain("A"), at(1)), None);
        assert_eq!(health.succeeded(&chain("B"), at(2)), Some(Change::Up));
        let mut failing = Health { jobs: health.jobs.clone(), ..health };
        assert_eq!(health.down("over"), Some(Change::Down { reason: "over".to_owned(), since: None }));
        assert_eq!(failing.failed(&chain("B"), "x"), None);
        assert_eq!(down(failing.down("over")), (2, "over".to_owned()));
    }

    #[test]
    fn no_chain_no_watching() {
        let mut health = Health::new(2);
        let contracts = Job::Contracts(Arc::from("A"));
        health.set_round([contracts.clone()]);
        assert_eq!(health.succeeded(&contracts, at(1)), None);
        health.set_round([contracts, chain("A")]);
        assert_eq!(health.succeeded(&chain("A"), at(2)), Some(Change::Up));
        assert!(health.down("over").is_some());
        assert!(!health.is_up());
    }
}
