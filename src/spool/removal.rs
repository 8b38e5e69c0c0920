//! Removes whole days of the log.
//!
//! A day's directory is renamed before anything in it is deleted, and the new name is no day's: killed anywhere, a removal
//! leaves the day whole or gone. What it leaves under the new name [`sweep`] takes away.

use super::{LogSize, SpoolError, reader};
use crate::market::TradingDate;
use std::{
    fs::{self, File},
    path::Path,
};

const REMOVED_EXTENSION: &str = "removed";

/// What a removal freed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Removed {
    pub files: u64,
    pub bytes: u64,
}

/// Removes a day of the log. Nobody may need it any more: a reader that is in it finds its rest missing. `size` is told.
///
/// # Errors
/// What the operating system reports. Where the renaming was done, the rest is for [`sweep`].
pub fn remove_day(directory: &Path, date: TradingDate, size: &LogSize) -> Result<Removed, SpoolError> {
    let day = directory.join(date.to_string());
    let renamed = day.with_added_extension(REMOVED_EXTENSION);
    let rename = || fs::rename(&day, &renamed).map_err(SpoolError::io("rename", &day));
    size.across(&reader::list(&day)?, rename)?;
    // A loss of power must not bring the name back to a directory that is half empty.
    let synced = File::open(directory).and_then(|directory| directory.sync_all());
    synced.map_err(SpoolError::io("sync", directory))?;
    delete(&renamed)
}

/// Takes away what removals that were interrupted have left.
///
/// # Errors
/// What the operating system reports.
pub fn sweep(directory: &Path) -> Result<Removed, SpoolError> {
    let mut removed = Removed::default();
    for path in reader::list(directory)?.into_iter().filter(|path| is_removed_day(path)) {
        let Removed { files, bytes } = delete(&path)?;
        removed.files += files;
        removed.bytes += bytes;
    }
    Ok(removed)
}

fn is_removed_day(path: &Path) -> bool {
    let is_day =
        |stem: &std::ffi::OsStr| stem.to_str().is_some_and(|stem| stem.parse::<TradingDate>().is_ok());
    path.extension().is_some_and(|extension| extension == REMOVED_EXTENSION)
        && path.file_stem().is_some_and(is_day)
}

fn delete(day: &Path) -> Result<Removed, SpoolError> {
    let mut removed = Removed::default();
    for path in reader::list(day)? {
        removed.bytes += fs::metadata(&path).map_or(0, |file| file.len());
        fs::remove_file(&path).map_err(SpoolError::io("remove", &path))?;
        removed.files += 1;
    }
    fs::remove_dir(day).map_err(SpoolError::io("remove", day))?;
    Ok(removed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        market::Timestamp,
        spool::{Frames, NewRecord, Source, Spool, SpoolReader, days},
    };

    fn date(day: u32) -> TradingDate {
        TradingDate::from_ymd_opt(2026, 1, day).expect("a date")
    }

    /// Three records a day on each of these days, in two hours.
    fn log(directory: &Path, of_days: std::ops::RangeInclusive<u32>) -> Spool {
        let mut spool = Spool::open(directory).expect("opens").spool;
        for day in of_days {
            for second in [0, 10, 3_600] {
                let morning =
                    Timestamp::on(date(day), chrono::NaiveTime::MIN).plus_seconds(9 * 3_600 + second);
                let frames = Frames::one(b"text");
                let mut record = NewRecord {
                    source: Source::NSE_CHAIN,
                    received_time: morning,
                    context: String::new(),
                    frames,
                };
                spool.append(&mut record).expect("appended");
            }
        }
        spool
    }

    fn numbers(directory: &Path, day: u32) -> Vec<u64> {
        let records = SpoolReader::open(directory, date(day)).expect("readable");
        records.map(|record| record.expect("a sound record").seq).collect()
    }

    #[test]
    fn a_day_goes_whole_and_others_stay() {
        let directory = tempfile::tempdir().expect("a directory");
        let spool = log(directory.path(), 28..=30);
        let size = spool.size();
        let before = (size.files(), size.bytes());
        let removed = remove_day(directory.path(), date(29), &size).expect("removed");
        assert_eq!((size.files() + removed.files, size.bytes() + removed.bytes), before);
        assert_eq!(removed.files, 2);
        assert!(removed.bytes > 100, "{removed:?}");
        assert_eq!(days(directory.path()).expect("listed"), [date(28), date(30)]);
        assert_eq!(numbers(directory.path(), 29), [0; 0]);
        assert_eq!(numbers(directory.path(), 28), [1, 2, 3]);
        assert_eq!(numbers(directory.path(), 30), [7, 8, 9]);
        let error = remove_day(directory.path(), date(29), &size).expect_err("it is gone");
        assert!(matches!(error, SpoolError::Io { .. }), "{error}");
        drop(spool);
        assert_eq!(Spool::open(directory.path()).expect("opens").spool.next_seq(), 10);
    }

    #[test]
    fn a_removal_killed_anywhere_leaves_no_damage_and_is_ended_later() {
        for deleted in 0..=2 {
            let directory = tempfile::tempdir().expect("a directory");
            let spool = log(directory.path(), 28..=29);
            let renamed = directory.path().join("2026-01-28.removed");
            fs::rename(directory.path().join("2026-01-28"), &renamed).expect("renamed");
            for path in reader::list(&renamed).expect("listed").iter().take(deleted) {
                fs::remove_file(path).expect("deleted");
            }
            drop(spool);
            let opened = Spool::open(directory.path()).expect("opens");
            assert_eq!((opened.damages, opened.torn_tail), (Vec::new(), None));
            assert_eq!(days(directory.path()).expect("listed"), [date(29)]);
            assert_eq!(numbers(directory.path(), 29), [4, 5, 6]);
            let removed = sweep(directory.path()).expect("swept");
            assert_eq!(removed.files, 2 - deleted as u64);
            assert!(!renamed.exists());
            assert_eq!(sweep(directory.path()).expect("nothing is left"), Removed::default());
        }
    }
}
