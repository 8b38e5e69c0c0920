//! A lost part of the log that is back: the start that finds it has the store take back the rows that were written meanwhile.
//!
//! While a part of a day's log is away, rows come of what is left of it: buckets are missing, deltas and candles lack. A
//! store that is filled while a whole day is away gets nothing of that day, and is past it once the day is back. Then the
//! store is to be what the whole log gives. So the rows of that day and of later ones are taken back, and the recorder reads
//! the log again from there. That is done only where the log is whole from that day on and reaches as far as the store: a
//! row that the log cannot give again stays.

use crate::{
    calendar::Calendar,
    market::TradingDate,
    spool::{LostParts, SessionData, SessionTimes, Spool, SpoolError, Wholeness, days, session_data},
    store::{Checkpoint, Reader, StoreError},
};
use std::{collections::BTreeSet, path::Path};

/// Of which days a store has anything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoredDays {
    /// With rows of buckets.
    pub recorded: BTreeSet<TradingDate>,
    /// Of which the log was read into it: also days whose rows were deleted since.
    pub reached: BTreeSet<TradingDate>,
}

impl StoredDays {
    /// # Errors
    /// When the store cannot be read.
    pub async fn read(reader: &Reader) -> Result<StoredDays, StoreError> {
        let (recorded, reached) = (reader.recorded_days().await?, reader.checkpoint_days().await?);
        Ok(StoredDays { recorded, reached })
    }

    /// Days of the log's sessions that the store is past, and that nothing was ever written of; and those of which there is
    /// nothing to write, since only the calendar has their sessions.
    fn passed_over(&self, directory: &Path, calendar: &Calendar) -> Result<PassedOver, SpoolError> {
        let mut found = PassedOver::default();
        for date in days(directory)? {
            let is_past = self.reached.last().is_some_and(|last| date < *last);
            let is_known = self.reached.contains(&date);
            let by_calendar = calendar.session(date).map(SessionTimes::from);
            if !is_past || self.recorded.contains(&date) || is_known && by_calendar.is_none() {
                continue;
            }
            match session_data(directory, date, by_calendar)? {
                SessionData::OfRules if !is_known => found.days.insert(date),
                SessionData::OfCalendar => found.unruled.insert(date),
                SessionData::OfRules | SessionData::Nothing => continue,
            };
        }
        Ok(found)
    }
}

#[derive(Debug, Default)]
struct PassedOver {
    days: BTreeSet<TradingDate>,
    unruled: BTreeSet<TradingDate>,
}

/// What a start finds of days whose log lacked a part while rows were written.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Mending {
    /// The first such day from which on the log is whole again, with the number of the last record before it.
    mended: Option<Checkpoint>,
    /// The log ends with this record.
    last_seq: u64,
    /// Days that are whole again but cannot be written again yet, or that the store has nothing of, with why.
    pub waiting: Vec<(TradingDate, String)>,
}

impl Mending {
    /// # Errors
    /// When the log, or what is known of its lost parts, cannot be read.
    pub fn find(
        spool: &Spool,
        stored: Option<Checkpoint>,
        days: &StoredDays,
        calendar: &Calendar,
    ) -> Result<Mending, SpoolError> {
        let directory = spool.directory();
        let mut found = Mending { last_seq: spool.next_seq() - 1, ..Mending::default() };
        let PassedOver { days: passed_over, unruled } = days.passed_over(directory, calendar)?;
        found.waiting.extend(unruled.into_iter().map(|date| (date, describe_unruled(date))));
        let lost: BTreeSet<TradingDate> = LostParts::read(directory)?.dates().collect();
        for date in lost.union(&passed_over).copied() {
            let is_passed_over = passed_over.contains(&date);
            let whole = Wholeness::of_log(directory, date)?;
            match whole {
                Wholeness::Whole { first_seq }
                    if stored.is_none_or(|stored| stored.spool_seq <= found.last_seq) =>
                {
                    found.mended = Some(Checkpoint { session_date: date, spool_seq: first_seq - 1 });
                    break;
                }
                _ if is_passed_over => found.waiting.push((date, describe_passed_over(date, whole))),
                Wholeness::Whole { .. } | Wholeness::Incomplete => {}
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
            "the log of {from}, or a part of it, was away and is back: the rows from that day on are written again from the log"
        );
        if let Err(error) = LostParts::forget_from(directory, from) {
            log::error!(error:%; "the next start writes the rows from {from} on again once more: {error}");
        }
        Some(from)
    }
}

/// A day whose log says that it had no session, although it has data of the calendar's.
fn describe_unruled(date: TradingDate) -> String {
    format!(
        "the log has data of the session that the calendar has on {date}, but the day was recorded without one: the store has no \
         row of it; the log is kept"
    )
}

/// A day that the store has nothing of, why the log of it is not written by itself, and what is to be done.
fn describe_passed_over(date: TradingDate, whole: Wholeness) -> String {
    let next = match whole {
        Wholeness::Whole { .. } => {
            "but the log ends before the store does: put back what was moved away of it".to_owned()
        }
        Wholeness::Incomplete => {
            format!("and a part of the log of {date} is lost: put it back if it was moved away")
        }
        Wholeness::LaterIncomplete { date: later } => {
            format!("and a part of the log of {later} is lost: put it back if it was moved away")
        }
    };
    format!(
        "the log has data of the session of {date}, but the store has no row of it, because it was filled while that log was \
         away; {next}, and start bhavd again, which writes the rows; they are also written where bhavd starts over an empty \
         store, which is filled from all days that the log has"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        market::Timestamp,
        spool::{DayRules, Mark, NewRecord, SessionTimes},
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
        let find =
            || Mending::find(&spool, None, &StoredDays::default(), &Calendar::embedded()).expect("readable");
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
        let found =
            Mending::find(&spool, None, &StoredDays::default(), &Calendar::embedded()).expect("readable");
        assert_eq!(found.takes_back(at(30, 6)), None);
        let [(waiting, text)] = &found.waiting[..] else { panic!("{found:?}") };
        assert!(*waiting == date(29) && text.contains("finds the log of 2026-01-30 whole too"), "{text}");
    }

    /// A session from 9 to 16 on each of these days, with a stamp within it, or with none.
    fn sessions(directory: &Path, stamped: &[(u32, bool)]) -> Spool {
        let mut spool = Spool::open(directory).expect("opens").spool;
        for (day, is_stamped) in stamped.iter().copied() {
            let at = |hour: i64| Timestamp::on(date(day), NaiveTime::MIN).plus_seconds(3_600 * hour);
            let session = SessionTimes {
                open_us: at(9).as_us(),
                close_us: at(16).as_us(),
                expiring_index_close_us: None,
            };
            let rules = DayRules { session: Some(session), ..DayRules::default() };
            spool.append(&mut NewRecord::mark(at(8), &Mark::Rules { rules })).expect("appended");
            let mut packet = crate::jobs::test_day::packet(at(if is_stamped { 10 } else { 8 }), 0, 1, 1);
            packet.received_time = at(10);
            spool.append(&mut packet).expect("appended");
        }
        spool
    }

    fn stored(recorded: &[u32], reached: &[u32]) -> StoredDays {
        let days = |days: &[u32]| days.iter().copied().map(date).collect();
        StoredDays { recorded: days(recorded), reached: days(reached) }
    }

    #[test]
    fn a_session_that_the_store_never_had_is_written_from_the_log() {
        let home = tempfile::tempdir().expect("a directory");
        let spool = sessions(home.path(), &[(27, true), (28, false), (29, true), (30, true)]);
        let find = |days| {
            let found =
                Mending::find(&spool, Some(at(30, 8)), &days, &Calendar::embedded()).expect("readable");
            assert_eq!(found.waiting, []);
            found.takes_back(at(30, 8))
        };
        assert_eq!(find(stored(&[27, 29, 30], &[30])), None, "it has rows of each session");
        assert_eq!(find(stored(&[27, 30], &[27, 29, 30])), None, "rows were deleted from the store");
        assert_eq!(find(stored(&[30], &[30])), Some(at(27, 0)));
        assert_eq!(find(stored(&[27, 30], &[27, 30])), Some(at(29, 4)), "the 28th has no data of a session");
        assert_eq!(find(stored(&[], &[27])), None, "the recorder reads on from the 27th");
    }

    #[test]
    fn a_session_that_cannot_be_written_is_named() {
        let home = tempfile::tempdir().expect("a directory");
        let directory = home.path();
        let spool = sessions(directory, &[(28, true), (29, true), (30, true)]);
        let find = |seq| {
            Mending::find(&spool, Some(at(30, seq)), &stored(&[30], &[30]), &Calendar::embedded())
                .expect("readable")
        };
        let [(_, first), (second, _)] = &find(7).waiting[..] else { panic!("{:?}", find(7)) };
        assert!(*second == date(29) && first.contains("the log ends before the store does"), "{first}");
        fs::remove_dir_all(directory.join("2026-01-29")).expect("deleted");
        let found = find(6);
        assert_eq!(found.takes_back(at(30, 6)), None);
        let [(waiting, text)] = &found.waiting[..] else { panic!("{found:?}") };
        assert!(*waiting == date(28) && text.contains("the store has no row of it"), "{text}");
        assert!(text.contains("a part of the log of 2026-01-30 is lost"), "{text}");
    }

    #[test]
    fn a_day_whose_log_knows_of_no_session_but_has_data_of_the_calendars_is_named() {
        let home = tempfile::tempdir().expect("a directory");
        let mut spool = Spool::open(home.path()).expect("opens").spool;
        for day in [29, 30] {
            let at = |hour: i64| Timestamp::on(date(day), NaiveTime::MIN).plus_seconds(3_600 * hour);
            let rules = DayRules { session: None, ..DayRules::default() };
            spool.append(&mut NewRecord::mark(at(8), &Mark::Rules { rules })).expect("appended");
            let mut packet = crate::jobs::test_day::packet(at(10), 0, 1, 1);
            spool.append(&mut packet).expect("appended");
        }
        let find = |days| {
            Mending::find(&spool, Some(at(30, 4)), &days, &Calendar::embedded()).expect("readable").waiting
        };
        let [(day, text)] = &find(stored(&[], &[29, 30]))[..] else { panic!("the 29th alone") };
        assert!(*day == date(29) && text.contains("the day was recorded without one"), "{text}");
        assert_eq!(find(stored(&[29], &[29, 30])), [], "it has rows");
    }
}
