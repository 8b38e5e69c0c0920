//! Days that the log does not have any more: which were removed on purpose, and since when a start has missed the others.
//!
//! Nothing in a log says that a day's directory was in it, so a file beside the segments does, with a line a day. A day that
//! the retention removed is never missed; any other is a loss from the day of the start that misses it first.
//!
//! Invariant: the file is no input of a replay.

use super::{SpoolError, day_lines};
use crate::market::TradingDate;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, path::Path};

const FILE: &str = "absent-days.jsonl";

/// Why a day is not in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Absence {
    Removed,
    /// A start on this day missed it first.
    MissedSince(TradingDate),
}

#[derive(Serialize, Deserialize)]
struct Line {
    date: TradingDate,
    absence: Absence,
}

/// See the module's head.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AbsentDays {
    days: BTreeMap<TradingDate, Absence>,
}

impl AbsentDays {
    /// Reads the file of a log's directory. Without one no day is known to be absent.
    ///
    /// # Errors
    /// When the file cannot be read, or holds something else.
    pub fn read(directory: &Path) -> Result<AbsentDays, SpoolError> {
        let lines: Vec<Line> = day_lines::read(directory, FILE, "a day and why the log lacks it")?;
        Ok(AbsentDays { days: lines.into_iter().map(|Line { date, absence }| (date, absence)).collect() })
    }

    /// The day is removed on purpose; on the disk when this returns.
    ///
    /// # Errors
    /// What the operating system reports.
    pub fn note_removed(directory: &Path, date: TradingDate) -> Result<(), SpoolError> {
        let mut absent = AbsentDays::read(directory)?;
        absent.days.insert(date, Absence::Removed);
        absent.write(directory)
    }

    /// Of days that the log lacks, those that are news to a start on `today`: not removed on purpose, and missed on no earlier
    /// day. They are noted, and what was missed and is not any more is forgotten.
    ///
    /// # Errors
    /// What the operating system reports.
    pub fn miss(
        directory: &Path,
        lacking: &[TradingDate],
        today: TradingDate,
    ) -> Result<Vec<TradingDate>, SpoolError> {
        let before = AbsentDays::read(directory)?;
        let mut absent = before.clone();
        absent.days.retain(|date, absence| *absence == Absence::Removed || lacking.contains(date));
        for date in lacking {
            absent.days.entry(*date).or_insert(Absence::MissedSince(today));
        }
        if absent != before {
            absent.write(directory)?;
        }
        let is_news = |date: &&TradingDate| absent.days.get(date) == Some(&Absence::MissedSince(today));
        Ok(lacking.iter().filter(is_news).copied().collect())
    }

    fn write(&self, directory: &Path) -> Result<(), SpoolError> {
        let lines = self.days.iter().map(|(date, absence)| Line { date: *date, absence: *absence });
        day_lines::replace(directory, FILE, lines)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn date(day: u32) -> TradingDate {
        TradingDate::from_ymd_opt(2026, 1, day).expect("a date")
    }

    #[test]
    fn a_day_is_missed_on_one_day_unless_it_was_removed() {
        let home = tempfile::tempdir().expect("a directory");
        let miss = |lacking: &[u32], today| {
            let lacking: Vec<TradingDate> = lacking.iter().copied().map(date).collect();
            AbsentDays::miss(home.path(), &lacking, date(today)).expect("noted")
        };
        assert_eq!(miss(&[], 28), []);
        assert_eq!(AbsentDays::read(home.path()).expect("readable"), AbsentDays::default());
        AbsentDays::note_removed(home.path(), date(20)).expect("noted");
        assert_eq!(miss(&[20, 27], 28), [date(27)]);
        assert_eq!(miss(&[20, 27], 28), [date(27)], "a further start on that day");
        assert_eq!(miss(&[20, 26, 27], 29), [date(26)]);
        assert_eq!(miss(&[20, 26], 30), [], "the 27th is back");
        assert_eq!(miss(&[20, 26, 27], 30), [date(27)], "and away again");
    }
}
