//! Which notices of the running day the log is told, and when.
//!
//! A notice is logged once, and so is a finding that goes on: its text contains what is shown at the moment, so it is known by
//! what it is of and since when. What is counted of a provider, such as contradicted volumes, changes with each of them, hundreds of
//! times an hour where a source is bad: of these the log is told the sums, after a minute of market time, two, four, up to 32 as
//! long as they grow, and a minute after a further one of them began.

use crate::market::Timestamp;
use std::collections::BTreeSet;

const COUNTED_US: i64 = 60_000_000;
const COUNTED_US_MAX: i64 = 32 * COUNTED_US;

/// What a finding is of, and since when.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Finding {
    Level(u32, Timestamp),
    /// Prices of a chain.
    Prices(u32, Timestamp),
    /// The price of a contract alone.
    Price(u32, Timestamp),
}

/// See the module's head.
#[derive(Debug, Default)]
pub struct DayNews {
    told: Vec<String>,
    counted: Vec<String>,
    counted_at: Option<Timestamp>,
    /// For so long the sums wait now.
    wait_us: i64,
    findings: BTreeSet<Finding>,
}

impl DayNews {
    /// Those of the findings that go on now that did not at the last call.
    pub fn begun(&mut self, findings: BTreeSet<Finding>) -> BTreeSet<Finding> {
        let begun = findings.difference(&self.findings).copied().collect();
        self.findings = findings;
        begun
    }

    /// What of these notices is to be logged now: `counted` name how often something was found.
    pub fn take(&mut self, counted: &[String], others: &[String], now: Timestamp) -> Vec<String> {
        let new = |texts: &[String], told: &[String]| -> Vec<String> {
            texts.iter().filter(|text| !told.contains(text)).cloned().collect()
        };
        let mut news = Vec::new();
        let wait_us =
            if counted.len() > self.counted.len() { self.wait_us.min(COUNTED_US) } else { self.wait_us };
        if self.counted_at.is_none_or(|at| now.us_since(at) >= wait_us) {
            news = new(counted, &self.counted);
            self.wait_us = COUNTED_US;
            if !news.is_empty() {
                self.counted_at = Some(now);
                self.wait_us = (2 * wait_us).clamp(COUNTED_US, COUNTED_US_MAX);
            }
            self.counted = counted.to_vec();
        }
        news.extend(new(others, &self.told));
        self.told = others.to_vec();
        news
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_counted_is_told_after_ever_longer_times_and_other_notices_at_once() {
        let at = |second: i64| Timestamp::from_us(1_769_744_700_000_000).plus_seconds(second);
        let mut news = DayNews::default();
        let mut take = |second: i64, counted: &[&str], others: &[&str]| {
            let [counted, others] =
                [counted, others].map(|texts| texts.iter().map(ToString::to_string).collect::<Vec<_>>());
            news.take(&counted, &others, at(second)).join(", ")
        };
        assert_eq!(take(0, &["once"], &[]), "once");
        assert_eq!(take(10, &["2 times"], &["unclosed"]), "unclosed");
        assert_eq!(take(50, &["7 times"], &["unclosed"]), "");
        assert_eq!(take(60, &["8 times"], &["unclosed"]), "8 times");
        assert_eq!(take(120, &["9 times"], &["unclosed"]), "", "two minutes from now on");
        assert_eq!(take(180, &["9 times"], &["unclosed"]), "9 times");
        assert_eq!(
            take(240, &["10 times", "prices once"], &["unclosed"]),
            "10 times, prices once",
            "a further one"
        );
        assert_eq!(take(900, &["10 times", "prices once"], &["unclosed"]), "", "nothing came since");
        assert_eq!(take(901, &["11 times", "prices once"], &["unclosed"]), "11 times");
        let mut told = 0;
        for minute in 20..500 {
            told += usize::from(!take(60 * minute, &[&minute.to_string()], &["unclosed"]).is_empty());
        }
        assert_eq!(told, 18, "of 480 minutes in which something came");
    }

    #[test]
    fn a_finding_is_news_when_it_begins() {
        let at = |second: i64| Timestamp::from_us(1_769_744_700_000_000).plus_seconds(second);
        let mut news = DayNews::default();
        let mut begun = |findings: &[Finding]| {
            let begun = news.begun(findings.iter().copied().collect());
            begun.into_iter().collect::<Vec<_>>()
        };
        let (first, second) = (Finding::Level(3, at(0)), Finding::Prices(3, at(0)));
        assert_eq!(begun(&[first]), [first]);
        assert_eq!(begun(&[first, second]), [second]);
        assert_eq!(begun(&[second]), []);
        let again = Finding::Level(3, at(60));
        assert_eq!(begun(&[again, second]), [again]);
    }
}
