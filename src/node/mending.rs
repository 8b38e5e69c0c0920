//! A lost part of the log that is back: the start that finds it has the store take back the rows that were written meanwhile.
//!
//! While a part of a day's log is away, rows come of what is left of it: buckets are missing, deltas and candles lack. Once
//! the part is back the store is to be what the whole log gives. So the rows of that day and of later ones are taken back,
//! and the recorder reads the log again from there. That is done only where the log is whole from that day on and reaches as
//! far as the store: a row that the log cannot give again stays.

use crate::{
    market::TradingDate,
    spool::{LostParts, Spool, SpoolError, Wholeness},
    store::Checkpoint,
};
use std::path::Path;

/// What a start finds of days whose log lacked a part while rows were written.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Mending {
    /// The first such day from which on the log is whole again, with the number of the last record before it.
    mended: Option<Checkpoint>,
    /// The log ends with this record.
    last_seq: u64,
    /// Days that are whole again but cannot be written again yet, with why.
    pub waiting: Vec<(TradingDate, String)>,
}

impl Mending {
    /// # Errors
    /// When the log, or what is known of its lost parts, cannot be read.
    pub fn find(spool: &Spool) -> Result<Mending, SpoolError> {
        let directory = spool.directory();
        let mut found = Mending { last_seq: spool.next_seq() - 1, ..Mending::default() };
        for date in LostParts::read(directory)?.dates() {
            match Wholeness::of_log(directory, date)? {
                Wholeness::Whole { first_seq } => {
                    found.mended = Some(Checkpoint { session_date: date, spool_seq: first_seq - 1 });
                    break;
                }
                Wholeness::Incomplete => {}
                Wholeness::LaterIncomplete { date: later } => found.waiting.push((
                    date,
                    format!(
                        "rows of {date} were written while a part of its log was away, and may know less than the log that is \
                         whole again; the start that finds the log of {later} whole too writes them again, and until then \
                         `bhavctl replay verify {date}` names what differs"
                    ),
                )),
            }
        }
        Ok(found)
    }

    /// From where on a store that reaches as far as `stored` takes its rows back; `None` if it does not.
    pub fn takes_back(&self, stored: Checkpoint) -> Option<Checkpoint> {
        self.mended
            .filter(|mended| stored.session_date >= mended.session_date && stored.spool_seq <= self.last_seq)
    }

    /// The store reaches as far as `stored` by now: days that it contains nothing of any more need no mending. The first of
    /// them, if there is any. Where that cannot be noted, the next start takes the rows back again.
    pub fn settle(&self, directory: &Path, stored: Option<Checkpoint>) -> Option<TradingDate> {
        let is_taken_back =
            |mended: &Checkpoint| stored.is_none_or(|stored| stored.spool_seq <= mended.spool_seq);
        let from = self.mended.filter(is_taken_back)?.session_date;
        log::warn!(
            date:% = from;
            "a part of the log of {from} that was away is back: the rows from that day on are written again from the log"
        );
        if let Err(error) = LostParts::forget_from(directory, from) {
            log::error!(error:%; "the next start writes the rows from {from} on again once more: {error}");
        }
        Some(from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        market::Timestamp,
        spool::{DayRules, Mark, NewRecord},
    };
    use chrono::NaiveTime;
    use std::fs;

    fn date(day: u32) -> TradingDate {
        TradingDate::from_ymd_opt(2026, 1, day).expect("a date")
    }

    /// Three records on each of two days.
    fn spool(directory: &Path) -> Spool {
        let mut spool = Spool::open(directory).expect("opens").spool;
        for day in [29, 30] {
            let at = |hour: i64| Timestamp::on(date(day), NaiveTime::MIN).plus_seconds(3_600 * hour);
            let rules = Mark::Rules { rules: DayRules::default() };
            for (hour, mark) in [(9, rules), (9, Mark::clock([])), (10, Mark::clock([]))] {
                spool.append(&mut NewRecord::mark(at(hour), &mark)).expect("appended");
            }
        }
        spool
    }

    fn at(day: u32, spool_seq: u64) -> Checkpoint {
        Checkpoint { session_date: date(day), spool_seq }
    }

    #[test]
    fn rows_are_taken_back_once_from_the_first_day_that_is_whole_again() {
        let home = tempfile::tempdir().expect("a directory");
        let directory = home.path();
        let spool = spool(directory);
        let find = || Mending::find(&spool).expect("readable");
        assert_eq!(find().takes_back(at(30, 6)), None, "nothing was lost");
        for day in [28, 29, 30] {
            LostParts::note(directory, date(day), "a part").expect("noted");
        }
        assert_eq!(find().takes_back(at(30, 6)), Some(at(29, 0)), "of the 28th there is no log");
        assert_eq!(find().takes_back(at(30, 7)), None, "the store reaches further than the log");
        assert_eq!(find().takes_back(at(28, 6)), None, "the store has nothing of it");
        assert_eq!(find().settle(directory, Some(at(30, 6))), None, "not taken back yet");
        assert_eq!(find().settle(directory, Some(at(29, 0))), Some(date(29)));
        assert_eq!(find().takes_back(at(30, 6)), None, "once");
        assert_eq!(LostParts::read(directory).expect("readable").dates().collect::<Vec<_>>(), [date(28)]);
    }

    #[test]
    fn a_day_waits_while_a_later_one_is_not_whole() {
        let home = tempfile::tempdir().expect("a directory");
        let directory = home.path();
        let spool = spool(directory);
        LostParts::note(directory, date(29), "a part").expect("noted");
        fs::remove_file(directory.join("2026-01-30/09.spool")).expect("deleted");
        let found = Mending::find(&spool).expect("readable");
        assert_eq!(found.takes_back(at(30, 6)), None);
        let [(waiting, text)] = &found.waiting[..] else { panic!("{found:?}") };
        assert!(*waiting == date(29) && text.contains("finds the log of 2026-01-30 whole too"), "{text}");
    }
}
