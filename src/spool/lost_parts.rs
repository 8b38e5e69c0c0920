//! Days whose log lacked a part while the store went on being written.
//!
//! Rows of such a day were made of less than its log may give once the part is back. Nothing in a log that is whole again
//! says that it was not, so a file beside the segments does, with a line a day. It is written before the first row that
//! comes of the incomplete log, and a day leaves it once the store has taken its rows back.
//!
//! Invariant: the file is no input of a replay.

use super::{Continuity, SpoolError, SpoolReader, day_lines, reader};
use crate::market::TradingDate;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, path::Path};

const FILE: &str = "lost-parts.jsonl";

#[derive(Serialize, Deserialize)]
struct Line {
    date: TradingDate,
    lost: String,
}

/// What lacked, in words, by the day of the lost records.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LostParts {
    days: BTreeMap<TradingDate, String>,
}

/// How the log stands from a day on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wholeness {
    /// No number lacks, from this one on.
    Whole { first_seq: u64 },
    /// Of the day itself something lacks.
    Incomplete,
    /// The day is whole, but this later one is not.
    LaterIncomplete { date: TradingDate },
}

impl LostParts {
    /// Reads the file of a log's directory. Without one nothing lacked.
    ///
    /// # Errors
    /// When the file cannot be read, or holds something else.
    pub fn read(directory: &Path) -> Result<LostParts, SpoolError> {
        let lines: Vec<Line> = day_lines::read(directory, FILE, "a day and what it lacked")?;
        let days = lines.into_iter().map(|Line { date, lost }| (date, lost)).collect();
        Ok(LostParts { days })
    }

    /// What lacked of a day's log while rows were written from it.
    pub fn of(&self, date: TradingDate) -> Option<&str> {
        self.days.get(&date).map(String::as_str)
    }

    /// Ascending.
    pub fn dates(&self) -> impl Iterator<Item = TradingDate> {
        self.days.keys().copied()
    }

    /// Notes that a day's log lacks a part; on the disk when this returns. What was noted first of a day stays.
    ///
    /// # Errors
    /// What the operating system reports.
    pub fn note(directory: &Path, date: TradingDate, lost: &str) -> Result<(), SpoolError> {
        let mut parts = LostParts::read(directory)?;
        if parts.days.contains_key(&date) {
            return Ok(());
        }
        parts.days.insert(date, lost.to_owned());
        parts.write(directory)
    }

    /// The store has taken back what it had of this day and of later ones.
    ///
    /// # Errors
    /// What the operating system reports; the days are still named then.
    pub fn forget_from(directory: &Path, date: TradingDate) -> Result<(), SpoolError> {
        let mut parts = LostParts::read(directory)?;
        match parts.days.split_off(&date).is_empty() {
            true => Ok(()),
            false => parts.write(directory),
        }
    }

    fn write(&self, directory: &Path) -> Result<(), SpoolError> {
        let line = |(date, lost): (&TradingDate, &String)| Line { date: *date, lost: lost.clone() };
        day_lines::replace(directory, FILE, self.days.iter().map(line))
    }
}

impl Wholeness {
    /// Reads the log from a day on, up to the first part that lacks.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn of_log(directory: &Path, from: TradingDate) -> Result<Wholeness, SpoolError> {
        let lacks_at = |date| match date == from {
            true => Wholeness::Incomplete,
            false => Wholeness::LaterIncomplete { date },
        };
        let (mut first_seq, mut last_seq) = (None, 0);
        for date in reader::days(directory)?.into_iter().filter(|date| *date >= from) {
            if first_seq.is_none() && date != from {
                return Ok(Wholeness::Incomplete);
            }
            let mut continuity = Continuity::new(date);
            let mut records = SpoolReader::open(directory, date)?.peekable();
            while let Some(read) = records.next() {
                let record = match read {
                    Ok(record) => record,
                    Err(SpoolError::Damaged(_)) => return Ok(lacks_at(date)),
                    Err(error) => return Err(error),
                };
                let set_aside = continuity.aside().len();
                let next = records.peek().and_then(|read| read.as_ref().ok());
                let hole = continuity.note(&record, next);
                if let Some(hole) = hole
                    && !hole.is_filled(directory)?
                {
                    return Ok(lacks_at(date));
                }
                // Between two days only the numbers show it.
                let is_told = continuity.aside().len() > set_aside;
                if first_seq.is_some() && record.seq > last_seq + 1 && !is_told {
                    return Ok(lacks_at(date));
                }
                first_seq.get_or_insert(record.seq);
                last_seq = last_seq.max(record.seq);
            }
        }
        Ok(first_seq.map_or(Wholeness::Incomplete, |first_seq| Wholeness::Whole { first_seq }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        market::Timestamp,
        spool::{DayRules, Mark, NewRecord, Spool},
    };
    use chrono::NaiveTime;
    use std::fs;

    fn date(day: u32) -> TradingDate {
        TradingDate::from_ymd_opt(2026, 1, day).expect("a date")
    }

    #[test]
    fn what_is_noted_is_read_again_until_it_is_forgotten() {
        let home = tempfile::tempdir().expect("a directory");
        let directory = home.path();
        let read = || LostParts::read(directory).expect("readable");
        assert_eq!(read(), LostParts::default());
        for (day, lost) in [(30, "records 3 to 6"), (29, "its head"), (30, "records 9 to 10")] {
            LostParts::note(directory, date(day), lost).expect("noted");
        }
        assert_eq!(read().dates().collect::<Vec<_>>(), [date(29), date(30)]);
        assert_eq!((read().of(date(30)), read().of(date(28))), (Some("records 3 to 6"), None));
        LostParts::forget_from(directory, date(30)).expect("forgotten");
        assert_eq!(read().dates().collect::<Vec<_>>(), [date(29)]);
        fs::write(directory.join(FILE), "nothing\n").expect("written");
        assert!(matches!(LostParts::read(directory), Err(SpoolError::Damaged(_))));
    }

    /// Two days of a log: hours 9 and 10 of each.
    fn log(directory: &Path) {
        let mut spool = Spool::open(directory).expect("opens").spool;
        for day in [29, 30] {
            let at = |hour: i64| Timestamp::on(date(day), NaiveTime::MIN).plus_seconds(3_600 * hour);
            let rules = Mark::Rules { rules: DayRules::default() };
            let clock = || Mark::clock([]);
            for (hour, mark) in [(9, rules), (9, clock()), (10, clock()), (10, clock())] {
                spool.append(&mut NewRecord::mark(at(hour), &mark)).expect("appended");
            }
        }
    }

    #[test]
    fn a_log_is_whole_from_a_day_on_or_names_the_day_that_is_not() {
        let home = tempfile::tempdir().expect("a directory");
        let directory = home.path().join("spool");
        log(&directory);
        let of = |day| Wholeness::of_log(&directory, date(day)).expect("readable");
        assert_eq!((of(29), of(30)), (Wholeness::Whole { first_seq: 1 }, Wholeness::Whole { first_seq: 5 }));
        assert_eq!(of(28), Wholeness::Incomplete, "a day that is not there");
        let aside = home.path().join("aside");
        let without = |name: &str| {
            let path = directory.join(name);
            fs::rename(&path, &aside).expect("moved away");
            let found = (of(29), of(30));
            fs::rename(&aside, &path).expect("put back");
            found
        };
        let later = Wholeness::LaterIncomplete { date: date(30) };
        let last_is_whole = Wholeness::Whole { first_seq: 5 };
        assert_eq!(without("2026-01-29/09.spool"), (Wholeness::Incomplete, last_is_whole));
        // What lacks at a day's end shows in the first number of the next one.
        assert_eq!(without("2026-01-29/10.spool"), (later, last_is_whole));
        assert_eq!(without("2026-01-30/09.spool"), (later, Wholeness::Incomplete));
        assert_eq!(of(29), Wholeness::Whole { first_seq: 1 });
    }
}
