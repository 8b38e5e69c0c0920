//! Whether the feed counts as watching, and which of its chains it does not watch. Pure.
//!
//! It is up after a round in which each chain was answered, or was tried a number of times in a row in vain. Those tried
//! in vain are parts that are down from the start. A chain that is not answered any more, or only with values of long ago,
//! becomes such a part after as many failures in a row, since its last good answer: it must not be recorded as "nothing
//! changed". The others stay as they are.
//!
//! The feed as a whole is down after a number of failures in a row, of whatever requests but those for parts that are
//! down already. They must be of more than one symbol, unless there is but one: a symbol that the website does not know
//! is no outage. It is down too when no chain is left that is answered, or when most are not and they are many: so an
//! outage never becomes hundreds of parts.
//!
//! A chain's failures count only where another request was answered between them: those of an outage are no chain's own.

use super::targets::{ChainKey, Job};
use crate::market::Timestamp;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// As many chains may be unanswered however few there are.
const FEW_PARTS: usize = 8;

/// What the log must be told, in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Change {
    Up,
    /// Ends what was told of parts. `since`: when the watching ended, where that is not now.
    Down {
        reason: String,
        since: Option<Timestamp>,
    },
    /// `since`: the last good answer, where there was one.
    PartDown {
        part: ChainKey,
        reason: String,
        since: Option<Timestamp>,
    },
    PartUp {
        part: ChainKey,
    },
}

#[derive(Clone, Debug)]
pub(super) struct Health {
    failures_max: u32,
    row: Row,
    /// Good answers ever, of any job.
    answers: u64,
    is_up: bool,
    jobs: BTreeMap<Job, JobState>,
    /// Jobs that the log calls parts that are down; only while the feed is up.
    parts_down: BTreeSet<Job>,
}

/// Failures in a row, of any job that is not known to fail.
#[derive(Clone, Debug, Default)]
struct Row {
    failures: u32,
    /// Of the first failure.
    symbol: Option<Arc<str>>,
    is_of_many_symbols: bool,
}

#[derive(Clone, Debug, Default)]
struct JobState {
    /// Within this round.
    succeeded: bool,
    /// In a row, each with another job's good answer after the one before it.
    failures: u32,
    /// Good answers that had been at the last failure.
    answers: u64,
    /// The last answer was of long ago.
    is_behind: bool,
    last_reason: String,
    /// Of the day.
    last_success: Option<Timestamp>,
}

impl Job {
    fn symbol(&self) -> Option<&Arc<str>> {
        match self {
            Job::Lots => None,
            Job::Contracts(symbol) | Job::Chain(ChainKey { symbol, .. }) => Some(symbol),
        }
    }

    /// What is not watched while it is not answered: an underlying without expiries has no chains at all.
    fn part(&self) -> Option<ChainKey> {
        match self {
            Job::Lots => None,
            Job::Contracts(symbol) => Some(ChainKey { symbol: symbol.clone(), expiry: None }),
            Job::Chain(chain) => Some(chain.clone()),
        }
    }
}

impl Health {
    pub fn new(failures_max: u32) -> Health {
        Health {
            failures_max: failures_max.max(1),
            row: Row::default(),
            answers: 0,
            is_up: false,
            jobs: BTreeMap::new(),
            parts_down: BTreeSet::new(),
        }
    }

    pub fn is_up(&self) -> bool {
        self.is_up
    }

    /// Forgets what was answered on the day before.
    pub fn begin_day(&mut self) {
        self.jobs.clear();
    }

    /// Makes `jobs` the round; what is known of those that were in it already stays. A chain that is not polled any more
    /// is not watched.
    pub fn set_round(&mut self, jobs: impl IntoIterator<Item = Job>) -> Vec<Change> {
        let mut known = std::mem::take(&mut self.jobs);
        self.jobs =
            jobs.into_iter().map(|job| (job.clone(), known.remove(&job).unwrap_or_default())).collect();
        let mut changes = Vec::new();
        for (job, state) in known {
            if self.is_up && matches!(job, Job::Chain(_)) && !self.parts_down.contains(&job) {
                let reason = "it is no longer among the nearest expiries that the website lists".to_owned();
                changes.extend(self.tell_down(job, reason, state.last_success));
            }
        }
        changes
    }

    pub fn succeeded(&mut self, job: &Job, received_time: Timestamp) -> Vec<Change> {
        self.row = Row::default();
        self.answers += 1;
        if let Some(state) = self.jobs.get_mut(job) {
            *state = JobState { succeeded: true, last_success: Some(received_time), ..JobState::default() };
        }
        if self.is_up {
            let is_part_up = self.parts_down.remove(job);
            return job
                .part()
                .filter(|_| is_part_up)
                .map(|part| Change::PartUp { part })
                .into_iter()
                .collect();
        }
        let is_done = |state: &JobState| state.succeeded || state.failures >= self.failures_max;
        // A round without chains watches nothing.
        let has_chain = self.jobs.iter().any(|(job, state)| matches!(job, Job::Chain(_)) && state.succeeded);
        let unanswered: Vec<(Job, JobState)> = self
            .jobs
            .iter()
            .filter(|(_, state)| !state.succeeded)
            .map(|(job, state)| (job.clone(), state.clone()))
            .collect();
        let too_many = self.is_too_many(unanswered.iter().filter(|(_, state)| !state.is_behind).count());
        if !has_chain || too_many || !self.jobs.values().all(is_done) {
            return Vec::new();
        }
        self.is_up = true;
        let tell_down = |(job, state): (Job, JobState)| self.tell_down(job, state.last_reason, None);
        unanswered.into_iter().filter_map(tell_down).chain([Change::Up]).collect()
    }

    /// A chain was answered with values of long ago. One alone may be of contracts that nobody trades, but nobody can tell
    /// it from one that stands still; if all are, the website does.
    pub fn fell_behind(&mut self, job: &Job, reason: &str) -> Vec<Change> {
        self.note_failure(job, reason, true)
    }

    pub fn failed(&mut self, job: &Job, reason: &str) -> Vec<Change> {
        self.note_failure(job, reason, false)
    }

    fn note_failure(&mut self, job: &Job, reason: &str, is_behind: bool) -> Vec<Change> {
        let (answers, failures_max) = (self.answers, self.failures_max);
        let mut is_failing = false;
        let mut last_success = None;
        if let Some(state) = self.jobs.get_mut(job) {
            if state.failures == 0 || state.answers != answers {
                state.failures = state.failures.saturating_add(1);
            }
            (state.answers, state.is_behind, state.last_reason) = (answers, is_behind, reason.to_owned());
            is_failing = state.failures >= failures_max;
            last_success = state.last_success;
        }
        if self.parts_down.contains(job) || !self.is_up && is_failing {
            return Vec::new();
        }
        self.row.failures = self.row.failures.saturating_add(1);
        match &self.row.symbol {
            Some(first) => self.row.is_of_many_symbols |= Some(first) != job.symbol(),
            None => self.row.symbol = job.symbol().cloned(),
        }
        if self.row.failures >= failures_max && (self.row.is_of_many_symbols || !self.has_many_symbols()) {
            let reason = format!("{} requests in a row failed, the last with: {reason}", self.row.failures);
            // Of all chains: another one may have been silent for longer, and this is the last time to say so.
            return self.end_round(reason, |_| true);
        }
        // Expiries that are known are worth as much as before.
        let is_part = matches!(job, Job::Chain(_)) || last_success.is_none();
        if !self.is_up || !is_failing || !is_part {
            return Vec::new();
        }
        let is_watched = |other: &Job| other != job && !self.parts_down.contains(other);
        let none_left = !self.jobs.keys().any(|other| matches!(other, Job::Chain(_)) && is_watched(other));
        let is_unanswered = |part: &&Job| self.jobs.get(part).is_some_and(|state| !state.is_behind);
        let unanswered = self.parts_down.iter().filter(is_unanswered).count() + usize::from(!is_behind);
        if none_left || self.is_too_many(unanswered) {
            let reason = format!("{} chains are not answered, the last: {reason}", self.parts_down.len() + 1);
            return self.end_round(reason, |_| true);
        }
        self.tell_down(job.clone(), reason.to_owned(), last_success).into_iter().collect()
    }

    fn tell_down(&mut self, job: Job, reason: String, since: Option<Timestamp>) -> Option<Change> {
        let part = job.part()?;
        self.parts_down.insert(job);
        Some(Change::PartDown { part, reason, since })
    }

    fn has_many_symbols(&self) -> bool {
        let mut symbols = self.jobs.keys().filter_map(Job::symbol);
        let first = symbols.next();
        symbols.any(|symbol| Some(symbol) != first)
    }

    fn is_too_many(&self, unanswered: usize) -> bool {
        unanswered > FEW_PARTS.max(self.jobs.len() / 2)
    }

    /// Ends the watching in order. The next round asks every chain anew; expiries that are known stay known.
    pub fn down(&mut self, reason: impl Into<String>) -> Vec<Change> {
        self.end_round(reason.into(), |state| state.failures > 0)
    }

    /// Down since the chain was answered that was so least recently, of those that are meant and that no part told of.
    fn end_round(&mut self, reason: String, is_meant: impl Fn(&JobState) -> bool) -> Vec<Change> {
        let parts_down = std::mem::take(&mut self.parts_down);
        let mut since: Option<Timestamp> = None;
        for (job, state) in &mut self.jobs {
            if !matches!(job, Job::Chain(_)) {
                continue;
            }
            if let Some(last) = state.last_success.filter(|_| is_meant(state) && !parts_down.contains(job)) {
                since = Some(since.map_or(last, |since| since.min(last)));
            }
            state.succeeded = false;
        }
        let was_up = std::mem::take(&mut self.is_up);
        was_up.then_some(Change::Down { reason, since }).into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chain(symbol: &str) -> Job {
        Job::Chain(ChainKey { symbol: Arc::from(symbol), expiry: None })
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_us(second * 1_000_000)
    }

    /// Since when the feed is down, and why.
    fn down(changes: Vec<Change>) -> (i64, String) {
        match &changes[..] {
            [Change::Down { reason, since: Some(since) }] => (since.as_us() / 1_000_000, reason.clone()),
            other => panic!("{other:?} does not say since when the feed is down"),
        }
    }

    #[test]
    fn is_up_after_a_full_round_and_down_after_failures_in_a_row() {
        let mut health = Health::new(3);
        health.set_round([Job::Contracts(Arc::from("A")), chain("A"), chain("B")]);
        assert_eq!(health.succeeded(&Job::Contracts(Arc::from("A")), at(1)), []);
        assert_eq!(health.succeeded(&chain("A"), at(2)), []);
        assert_eq!(health.succeeded(&chain("B"), at(3)), [Change::Up]);
        assert_eq!(health.succeeded(&chain("A"), at(4)), []);
        assert_eq!(health.failed(&chain("A"), "x"), []);
        assert_eq!(health.succeeded(&chain("B"), at(5)), []);
        assert_eq!(health.failed(&chain("A"), "x"), []);
        assert_eq!(health.failed(&chain("B"), "x"), []);
        let (since, reason) = down(health.failed(&chain("B"), "HTML"));
        assert!(since == 4 && reason.contains("HTML"), "{since}: {reason}");
        assert_eq!(health.failed(&chain("B"), "HTML"), [], "told once");
        assert_eq!(health.succeeded(&chain("A"), at(6)), [], "a new round is needed");
        assert_eq!(health.succeeded(&chain("B"), at(7)), [Change::Up]);
    }

    fn part(symbol: &str) -> ChainKey {
        ChainKey { symbol: Arc::from(symbol), expiry: None }
    }

    #[test]
    fn failures_of_an_outage_are_no_chains_own() {
        let mut health = Health::new(2);
        health.set_round([chain("A"), chain("B")]);
        for _ in 0..5 {
            assert_eq!(health.failed(&chain("A"), "x"), []);
            assert_eq!(health.failed(&chain("B"), "x"), []);
        }
        assert_eq!(health.succeeded(&chain("A"), at(1)), [], "B has yet to answer");
        assert_eq!(health.succeeded(&chain("B"), at(2)), [Change::Up]);
    }

    #[test]
    fn a_chain_that_was_never_answered_is_down_from_the_start() {
        let mut health = Health::new(2);
        health.set_round([chain("BAD"), chain("GOOD"), Job::Contracts(Arc::from("ODD"))]);
        for second in [1, 2] {
            assert_eq!(health.succeeded(&chain("GOOD"), at(second)), []);
            assert_eq!(health.failed(&chain("BAD"), "BAD: 404"), []);
            assert_eq!(health.failed(&Job::Contracts(Arc::from("ODD")), "ODD: 404"), []);
        }
        let bad =
            |symbol| Change::PartDown { part: part(symbol), reason: format!("{symbol}: 404"), since: None };
        // In the order of jobs: expiries come before chains.
        assert_eq!(health.succeeded(&chain("GOOD"), at(3)), [bad("ODD"), bad("BAD"), Change::Up]);
        for second in 4..9 {
            assert_eq!(health.failed(&chain("BAD"), "BAD: 404"), []);
            assert_eq!(health.failed(&Job::Contracts(Arc::from("ODD")), "ODD: 404"), []);
            assert_eq!(health.succeeded(&chain("GOOD"), at(second)), []);
        }
        assert_eq!(health.succeeded(&chain("BAD"), at(9)), [Change::PartUp { part: part("BAD") }]);
        assert!(health.is_up());
    }

    #[test]
    fn a_chain_that_falls_behind_is_a_part_and_all_are_the_feed() {
        let mut health = Health::new(2);
        health.set_round([chain("QUIET"), chain("GOOD"), chain("LAST")]);
        for (symbol, second) in [("QUIET", 1), ("GOOD", 2), ("LAST", 3)] {
            health.succeeded(&chain(symbol), at(second));
        }
        assert_eq!(health.fell_behind(&chain("QUIET"), "QUIET: old"), []);
        assert_eq!(health.succeeded(&chain("GOOD"), at(4)), []);
        let reason = "QUIET: old".to_owned();
        let quiet = Change::PartDown { part: part("QUIET"), reason, since: Some(at(1)) };
        assert_eq!(health.fell_behind(&chain("QUIET"), "QUIET: old"), [quiet]);
        assert_eq!(health.succeeded(&chain("LAST"), at(5)), []);
        assert_eq!(health.fell_behind(&chain("GOOD"), "GOOD: old"), []);
        let (since, reason) = down(health.fell_behind(&chain("LAST"), "LAST: old"));
        assert!(since == 4 && reason.contains("LAST: old"), "{since}: {reason}");
        assert_eq!(health.succeeded(&chain("LAST"), at(8)), [], "GOOD has yet to answer");
        let quiet = Change::PartDown { part: part("QUIET"), reason: "QUIET: old".to_owned(), since: None };
        assert_eq!(health.succeeded(&chain("GOOD"), at(9)), [quiet, Change::Up]);
    }

    #[test]
    fn a_chain_that_is_not_answered_any_more_is_down_until_it_is() {
        let mut health = Health::new(2);
        health.set_round([chain("BAD"), chain("GOOD")]);
        assert_eq!(health.succeeded(&chain("BAD"), at(1)), []);
        assert_eq!(health.succeeded(&chain("GOOD"), at(2)), [Change::Up]);
        assert_eq!(health.failed(&chain("BAD"), "BAD: 404"), []);
        assert_eq!(health.succeeded(&chain("GOOD"), at(3)), []);
        let reason = "BAD: 404".to_owned();
        let bad = Change::PartDown { part: part("BAD"), reason, since: Some(at(1)) };
        assert_eq!(health.failed(&chain("BAD"), "BAD: 404"), [bad]);
        for second in 4..9 {
            assert_eq!(health.succeeded(&chain("GOOD"), at(second)), []);
            assert_eq!(health.failed(&chain("BAD"), "BAD: 404"), []);
        }
        let mut failing = health.clone();
        assert_eq!(health.succeeded(&chain("BAD"), at(9)), [Change::PartUp { part: part("BAD") }]);
        // The last one that is answered takes the feed along, and the part's silence was told before.
        assert_eq!(failing.failed(&chain("GOOD"), "x"), []);
        assert_eq!(failing.succeeded(&Job::Lots, at(9)), []);
        assert_eq!(down(failing.failed(&chain("GOOD"), "x")).0, 8);
    }

    #[test]
    fn one_symbol_is_no_outage_however_many_chains_it_has() {
        let expiry = |day| crate::market::TradingDate::from_ymd_opt(2026, 2, day);
        let bad = |day| Job::Chain(ChainKey { symbol: Arc::from("BAD"), expiry: expiry(day) });
        let mut health = Health::new(3);
        health.set_round((1..=8).map(bad).chain([chain("GOOD"), chain("OTHER")]));
        for day in 1..=8 {
            assert_eq!(health.succeeded(&bad(day), at(i64::from(day))), []);
        }
        assert_eq!(health.succeeded(&chain("GOOD"), at(9)), []);
        assert_eq!(health.succeeded(&chain("OTHER"), at(9)), [Change::Up]);
        for round in 0..3 {
            for day in 1..=8 {
                assert_eq!(health.failed(&bad(day), "x").len(), usize::from(round == 2));
            }
            assert_eq!(health.succeeded(&chain("GOOD"), at(10 + round)), []);
            assert_eq!(health.succeeded(&chain("OTHER"), at(10 + round)), []);
        }
        assert!(health.is_up());
    }

    #[test]
    fn many_chains_that_are_not_answered_are_the_feeds_outage() {
        let symbols: Vec<Job> = (0..20).map(|number| chain(&format!("S{number:02}"))).collect();
        let mut health = Health::new(1);
        health.set_round(symbols.iter().cloned());
        for job in &symbols {
            health.succeeded(job, at(1));
        }
        // Few rows of failures, each on its own.
        health.failures_max = 2;
        let mut told = Vec::new();
        'rounds: for second in 2..6 {
            for job in &symbols[..19] {
                told.extend(health.failed(job, "x"));
                if !health.is_up() {
                    break 'rounds;
                }
                health.succeeded(&symbols[19], at(second));
            }
        }
        let parts = told.iter().filter(|change| matches!(change, Change::PartDown { .. })).count();
        assert_eq!(parts, 10, "half of them");
        assert!(matches!(told.last(), Some(Change::Down { since: Some(since), .. }) if *since == at(1)));
        for job in &symbols[..19] {
            assert_eq!(health.failed(job, "x"), []);
            assert_eq!(health.succeeded(&symbols[19], at(9)), [], "too many for parts");
        }
    }

    #[test]
    fn what_is_not_polled_any_more_is_not_watched() {
        let mut health = Health::new(2);
        health.set_round([chain("A"), chain("B")]);
        health.succeeded(&chain("A"), at(1));
        health.succeeded(&chain("B"), at(2));
        let gone = health.set_round([chain("B")]);
        assert!(
            matches!(&gone[..], [Change::PartDown { since: Some(since), .. }] if *since == at(1)),
            "{gone:?}"
        );
        assert_eq!(health.set_round([chain("A"), chain("B")]), []);
        assert_eq!(health.succeeded(&chain("A"), at(3)), [Change::PartUp { part: part("A") }]);
    }

    #[test]
    fn an_end_in_order_reaches_back_for_failing_chains_only() {
        let mut health = Health::new(3);
        health.set_round([chain("A"), chain("B")]);
        assert_eq!(health.succeeded(&chain("A"), at(1)), []);
        assert_eq!(health.succeeded(&chain("B"), at(2)), [Change::Up]);
        let mut failing = health.clone();
        assert_eq!(health.down("over"), [Change::Down { reason: "over".to_owned(), since: None }]);
        assert_eq!(failing.failed(&chain("B"), "x"), []);
        assert_eq!(down(failing.down("over")), (2, "over".to_owned()));
    }

    #[test]
    fn no_chain_no_watching() {
        let mut health = Health::new(2);
        let contracts = Job::Contracts(Arc::from("A"));
        health.set_round([contracts.clone()]);
        assert_eq!(health.succeeded(&contracts, at(1)), []);
        health.set_round([contracts, chain("A")]);
        assert_eq!(health.succeeded(&chain("A"), at(2)), [Change::Up]);
        assert_eq!(health.down("over").len(), 1);
        assert!(!health.is_up());
    }
}
