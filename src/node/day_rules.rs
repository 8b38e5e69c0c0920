//! The rules of the day in which a life of the daemon begins, where that day has rules already.
//!
//! The contracts of a day are those of its log: one that is brought no more is missing. So a start within a day goes on with
//! the day's watch list and the file's together, and with the day's grace, and the day's log says so; the next day begins by
//! the file alone. A session that the calendar gives to the day, or a longer one, counts from the start on; what may have rows
//! is not taken away, see [`SessionTimes::taken`].
//!
//! The engines follow the log alone. The last rules of a day are kept in a file beside the log, so that a start need not read a
//! whole day; where it is of another day, the head of the day's log has them.

use crate::{
    calendar::Calendar,
    config::Config,
    engine::watch::{WatchList, WatchedUnderlying},
    market::{Timestamp, TradingDate},
    pipeline::PipelineSettings,
    spool::{DayRules, Mark, SessionTimes, SpoolError, SpoolReader},
    wire::Source,
};
use chrono::{Days, NaiveTime};
use serde::{Deserialize, Serialize};
use std::{
    fs::{self, File},
    io::{self, Write},
    path::Path,
    sync::Arc,
};

const FILE: &str = "day-rules";
/// The rules are the first record of a day's log, unless that record is damaged.
const HEAD_RECORDS: usize = 16;

/// As it is kept.
#[derive(Serialize, Deserialize)]
struct Kept {
    date: TradingDate,
    rules: DayRules,
}

/// The last rules of a day that has begun; `None` where its log has none.
///
/// # Errors
/// When the log cannot be read.
pub fn read(directory: &Path, date: TradingDate) -> Result<Option<DayRules>, SpoolError> {
    match read_kept(directory) {
        Ok(Some(kept)) if kept.date == date => return Ok(Some(kept.rules)),
        Ok(_) => {}
        Err(error) => {
            log::warn!("{}: {error}; the head of the day's log counts", directory.join(FILE).display())
        }
    }
    let head = SpoolReader::open_own(directory, date)?.take(HEAD_RECORDS).filter_map(Result::ok);
    let mut rules =
        head.filter(|record| record.source == Source::MARK).filter_map(
            |record| match serde_json::from_slice(record.frames.bytes()) {
                Ok(Mark::Rules { rules }) => Some(rules),
                _ => None,
            },
        );
    Ok(rules.next())
}

fn read_kept(directory: &Path) -> io::Result<Option<Kept>> {
    match fs::read(directory.join(FILE)) {
        Ok(text) => Ok(Some(serde_json::from_slice(&text)?)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Keeps the rules that the log has just said.
///
/// # Errors
/// What the operating system reports; then the file is as it was.
pub fn keep(directory: &Path, date: TradingDate, rules: &DayRules) -> io::Result<()> {
    let (path, beside) = (directory.join(FILE), directory.join(format!("{FILE}.new")));
    let mut file = File::create(&beside)?;
    serde_json::to_writer(&mut file, &Kept { date, rules: rules.clone() })?;
    file.flush()?;
    file.sync_all()?;
    fs::rename(&beside, &path)?;
    File::open(directory)?.sync_all()
}

/// By which rules each day is recorded in this life. Cheap to clone.
#[derive(Clone, Debug)]
pub struct RunningRules {
    settings: Arc<PipelineSettings>,
    /// The day in which this life began.
    first: TradingDate,
    first_rules: Arc<DayRules>,
}

impl RunningRules {
    /// `before`: what held in the day until `now`.
    pub fn new(
        settings: PipelineSettings,
        first: TradingDate,
        before: Option<DayRules>,
        now: Timestamp,
    ) -> RunningRules {
        let mut rules = settings.rules(first);
        if let Some(before) = before {
            let day = WatchList { underlyings: before.universe };
            rules.universe = union(&settings.watch, &day).underlyings;
            rules.grace_us = before.grace_us;
            rules.session = SessionTimes::taken(before.session, rules.session, now);
            if rules.session != before.session {
                let told =
                    |times: Option<SessionTimes>| times.map_or("none".into(), |times| times.to_string());
                let (was, is) = (told(before.session), told(rules.session));
                log::warn!(
                    "the calendar changed the session of {first} within the day: it was {was}, and is {is} from here on"
                );
            }
        }
        RunningRules { settings: Arc::new(settings), first, first_rules: Arc::new(rules) }
    }

    /// As it was read at the start.
    pub fn calendar(&self) -> &Calendar {
        &self.settings.calendar
    }

    pub fn of(&self, date: TradingDate) -> DayRules {
        if date == self.first { DayRules::clone(&self.first_rules) } else { self.settings.rules(date) }
    }

    pub fn watch_list(&self, date: TradingDate) -> WatchList {
        if date != self.first {
            return self.settings.watch.clone();
        }
        WatchList { underlyings: self.first_rules.universe.clone() }
    }

    pub fn grace_us(&self, date: TradingDate) -> i64 {
        if date == self.first { self.first_rules.grace_us } else { self.settings.grace_us }
    }

    /// The end of a day of which more is recorded than the file says; `None` where the list stays.
    pub fn end_of_list(&self, now: Timestamp) -> Option<Timestamp> {
        let is_longer = self.first_rules.universe != self.settings.watch.underlyings;
        let next_day = self.first.checked_add_days(Days::new(1))?;
        (is_longer && now.date_ist() == self.first).then(|| Timestamp::on(next_day, NaiveTime::MIN))
    }

    /// What a configuration says of the rules of a day and what does not count before the next one, in words. `waits` for a
    /// restart besides: what runs differs from it.
    pub fn later(&self, date: TradingDate, config: &Config, waits: bool) -> Vec<String> {
        let also = if waits { ", also after the restart" } else { "" };
        let until = format!("until the next day's first record{also}");
        let watch = self.watch_list(date).underlyings;
        let of_watch = watch.into_iter().filter_map(|WatchedUnderlying { underlying, expiries }| {
            let name = if underlying == "*" { "every other underlying (*)" } else { &*underlying };
            match config.watch.entry(&underlying).map(|entry| entry.expiries) {
                None => Some(format!("{name}, removed from [[watch]]: recorded {until}")),
                Some(fewer) if larger(fewer, expiries) != fewer => Some(format!(
                    "{name}, in [[watch]] with {} now: recorded with {} {until}",
                    describe(fewer),
                    describe(expiries),
                )),
                Some(_) => None,
            }
        });
        let (grace_us, wanted_s) = (self.grace_us(date), i64::from(config.buckets.grace_s));
        let of_grace = (grace_us != wanted_s * 1_000_000).then(|| {
            format!("buckets.grace_s = {wanted_s}: rows are judged with {} {until}", grace_us / 1_000_000)
        });
        of_watch.chain(of_grace).collect()
    }
}

/// Whatever is in one of two lists, with the larger number of expiries.
fn union(file: &WatchList, day: &WatchList) -> WatchList {
    let is_new = |entry: &&WatchedUnderlying| {
        !file.underlyings.iter().any(|known| known.underlying == entry.underlying)
    };
    let all = file.underlyings.iter().chain(day.underlyings.iter().filter(is_new));
    let underlyings = all.map(|entry| {
        let of = |list: &WatchList| list.entry(&entry.underlying).map(|entry| entry.expiries);
        let expiries = [of(file), of(day)].into_iter().flatten().reduce(larger);
        WatchedUnderlying {
            underlying: entry.underlying.clone(),
            expiries: expiries.unwrap_or(entry.expiries),
        }
    });
    WatchList { underlyings: underlyings.collect() }
}

/// Of numbers of expiries, of which 0 means all.
fn larger(one: usize, other: usize) -> usize {
    if one == 0 || other == 0 { 0 } else { one.max(other) }
}

fn describe(expiries: usize) -> String {
    match expiries {
        0 => "all expiries".to_owned(),
        1 => "1 expiry".to_owned(),
        expiries => format!("{expiries} expiries"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spool::{NewRecord, Spool};

    fn date(day: u32) -> TradingDate {
        TradingDate::from_ymd_opt(2026, 1, day).expect("a date")
    }

    fn list(entries: &[(&str, usize)]) -> WatchList {
        let entry = |(underlying, expiries): &(&str, usize)| WatchedUnderlying {
            underlying: (*underlying).to_owned(),
            expiries: *expiries,
        };
        WatchList { underlyings: entries.iter().map(entry).collect() }
    }

    fn settings(entries: &[(&str, usize)], grace_us: i64) -> PipelineSettings {
        PipelineSettings { watch: list(entries), grace_us, ..PipelineSettings::of_tests() }
    }

    #[test]
    fn a_union_has_what_is_in_either_list_with_the_larger_number_of_expiries() {
        for (file, day, both) in [
            (&[("A", 1)][..], &[("B", 2)][..], &[("A", 1), ("B", 2)][..]),
            (&[("A", 1)], &[("A", 2)], &[("A", 2)]),
            (&[("A", 0)], &[("A", 2)], &[("A", 0)]),
            (&[("A", 1)], &[("A", 0)], &[("A", 0)]),
            (&[("*", 1)], &[("A", 2)], &[("*", 1), ("A", 2)]),
            (&[("A", 1)], &[("*", 2)], &[("A", 2), ("*", 2)]),
        ] {
            assert_eq!(union(&list(file), &list(day)), list(both));
        }
    }

    #[test]
    fn a_start_within_a_day_goes_on_with_its_list_and_grace_until_the_day_is_over() {
        let before = settings(&[("NIFTY", 2), ("BANKNIFTY", 1)], 5_000_000).rules(date(30));
        let rules = RunningRules::new(
            settings(&[("BANKNIFTY", 1), ("FINNIFTY", 1)], 60_000_000),
            date(30),
            Some(before),
            Timestamp::NEVER,
        );
        let all = list(&[("BANKNIFTY", 1), ("FINNIFTY", 1), ("NIFTY", 2)]);
        assert_eq!(rules.watch_list(date(30)), all);
        assert_eq!((rules.of(date(30)).universe, rules.of(date(30)).grace_us), (all.underlyings, 5_000_000));
        let next = list(&[("BANKNIFTY", 1), ("FINNIFTY", 1)]);
        assert_eq!(rules.watch_list(date(31)), next);
        assert_eq!((rules.of(date(31)).universe, rules.grace_us(date(31))), (next.underlyings, 60_000_000));
        let midnight = Timestamp::on(date(31), NaiveTime::MIN);
        assert_eq!(rules.end_of_list(midnight.plus_us(-1)), Some(midnight));
        assert_eq!(rules.end_of_list(midnight), None);
        let same = RunningRules::new(
            settings(&[("NIFTY", 2)], 5_000_000),
            date(30),
            Some(settings(&[("NIFTY", 1)], 1).rules(date(30))),
            Timestamp::NEVER,
        );
        assert_eq!(
            same.end_of_list(midnight.plus_us(-1)),
            None,
            "nothing more is recorded than the file says"
        );
    }

    #[test]
    fn a_session_that_the_calendar_gives_to_a_day_that_has_begun_counts_from_the_start_on() {
        let usual = settings(&[], 1).rules(date(30)).session.expect("a session");
        let shorter = SessionTimes { close_us: usual.close_us - 3_600_000_000, ..usual };
        let longer = SessionTimes { close_us: usual.close_us + 3_600_000_000, ..usual };
        for (before, expected) in [(None, usual), (Some(shorter), usual), (Some(longer), longer)] {
            let before = DayRules { session: before, ..settings(&[], 1).rules(date(30)) };
            let noon = Timestamp::from_us(usual.open_us + 1);
            let rules = RunningRules::new(settings(&[], 1), date(30), Some(before), noon);
            assert_eq!(rules.of(date(30)).session, Some(expected));
        }
    }

    #[test]
    fn what_counts_from_the_next_day_on_is_said_for_as_long_as_it_does_not() {
        let before = settings(&[("NIFTY", 2), ("SENSEX", 0), ("*", 1)], 5_000_000).rules(date(30));
        let config = Config { watch: list(&[("NIFTY", 1)]), ..Config::default() };
        let rules =
            RunningRules::new(settings(&[("NIFTY", 1)], 5_000_000), date(30), Some(before), Timestamp::NEVER);
        let texts = [
            "NIFTY, in [[watch]] with 1 expiry now: recorded with 2 expiries until the next day's first record",
            "SENSEX, removed from [[watch]]: recorded until the next day's first record",
            "every other underlying (*), removed from [[watch]]: recorded until the next day's first record",
        ];
        assert_eq!(rules.later(date(30), &config, false), texts);
        assert_eq!(rules.later(date(31), &config, false), [""; 0]);
        let mut config = Config { watch: list(&[("NIFTY", 0), ("SENSEX", 0), ("*", 1)]), ..config };
        config.buckets.grace_s = 60;
        let grace = "buckets.grace_s = 60: rows are judged with 5 until the next day's first record, also after the restart";
        assert_eq!(rules.later(date(30), &config, true), [grace]);
    }

    #[test]
    fn the_last_rules_of_a_day_are_read_from_the_file_or_else_from_the_head_of_its_log() {
        let directory = tempfile::tempdir().expect("a directory");
        let directory = directory.path();
        assert_eq!(read(directory, date(30)).expect("no log"), None);
        let (head, last) =
            (settings(&[("A", 1)], 5).rules(date(30)), settings(&[("B", 1)], 6).rules(date(30)));
        let now = Timestamp::on(date(30), NaiveTime::MIN);
        let mut spool = Spool::open(directory).expect("a log").spool;
        for mark in
            [Mark::Rules { rules: head.clone() }, Mark::clock([]), Mark::Rules { rules: last.clone() }]
        {
            spool.append(&mut NewRecord::mark(now, &mark)).expect("appended");
        }
        assert_eq!(read(directory, date(30)).expect("the log"), Some(head.clone()));
        keep(directory, date(29), &last).expect("kept");
        assert_eq!(read(directory, date(30)).expect("of another day"), Some(head.clone()));
        keep(directory, date(30), &last).expect("kept");
        assert_eq!(read(directory, date(30)).expect("the file"), Some(last));
        fs::write(directory.join(FILE), "nonsense").expect("written");
        assert_eq!(read(directory, date(30)).expect("the log"), Some(head));
    }
}
