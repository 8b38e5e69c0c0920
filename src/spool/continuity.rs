//! Whether a day's log is whole, by the numbers of its records.
//!
//! Numbers go up by one. A day's log begins with its rules and has no hole, unless a part of it was removed: the directory
//! was moved away, or an hour's file deleted. Where numbers jump because the log ends before the store does, or because
//! records were set aside, the life of the daemon that went on says so ([`Skip`]).
//!
//! Invariant: what is found depends on the records alone, so the recorder and every replay find the same.

use super::{Mark, Record, Skip, Source, SpoolError, SpoolReader};
use crate::market::{Timestamp, TradingDate};
use chrono::NaiveTime;
use std::path::Path;

/// What to do with a file of the hour in which the daemon went on without it.
const BESIDE_NEWER: &str = "where a newer file of the same hour is there, keep both: 14.spool goes beside it as 14-before.spool, \
                            14.spool.zst as 14-before.spool.zst";

/// Records of a day that its log does not have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hole {
    /// Everything before its first record: an hour's file at least.
    Head { date: TradingDate, first_seq: u64, received: Timestamp },
    /// `is_at_start`: a life of the daemon begins behind them, which says which feeds are up.
    Records { date: TradingDate, from_seq: u64, to_seq: u64, is_at_start: bool },
    /// The store has rows of that day from records up to `store_seq`. `after_seq`: the last record of the log before them, if
    /// it is of the same day.
    BehindStore { date: TradingDate, after_seq: Option<u64>, store_seq: u64 },
    /// Another record behind `before` has a number that is not larger: files of two logs lie in the day's directory.
    Repeated { date: TradingDate, before: u64, seq: u64 },
    /// `seq` was received on another day: that day's files lie in the day's directory.
    OtherDay { date: TradingDate, received: TradingDate, seq: u64 },
}

impl Hole {
    /// The day whose records are lost.
    pub fn date(&self) -> TradingDate {
        match self {
            Hole::Head { date, .. }
            | Hole::Records { date, .. }
            | Hole::BehindStore { date, .. }
            | Hole::Repeated { date, .. }
            | Hole::OtherDay { date, .. } => *date,
        }
    }

    pub fn is_of_head(&self) -> bool {
        matches!(self, Hole::Head { .. } | Hole::OtherDay { .. } | Hole::BehindStore { after_seq: None, .. })
    }

    /// Whether the records are back: the files that were moved away were put in their place again.
    ///
    /// # Errors
    /// When the day's log cannot be read.
    pub fn is_filled(&self, directory: &Path) -> Result<bool, SpoolError> {
        let Hole::BehindStore { date, after_seq, store_seq } = self else { return Ok(false) };
        if after_seq.is_some_and(|after| after >= *store_seq) {
            return Ok(true);
        }
        let mut records = SpoolReader::open_own(directory, *date)?;
        Ok(records.any(|read| read.is_ok_and(|record| record.seq == *store_seq)))
    }

    /// What the log lacks.
    pub fn lost(&self) -> String {
        match self {
            Hole::Head { date, first_seq, received } => format!(
                "the log of {date} lacks its head: its first record is {first_seq}, received at {}",
                received.to_ist().format("%H:%M:%S")
            ),
            Hole::Records { date, from_seq, to_seq, .. } => {
                format!("the log of {date} lacks records {from_seq} to {to_seq}")
            }
            Hole::BehindStore { date, after_seq: None, store_seq } => format!(
                "the log of {date} lacks its head: records up to {store_seq}, whose rows had been written"
            ),
            Hole::BehindStore { date, after_seq: Some(after), store_seq } => format!(
                "the log of {date} lacks records {} to {store_seq}, whose rows had been written",
                after + 1
            ),
            Hole::Repeated { date, before, seq } => {
                format!("the log of {date} is more than one: behind record {before} stands record {seq}")
            }
            Hole::OtherDay { date, received, seq } => {
                format!(
                    "the log of {date} holds records of another day: record {seq} was received on {received}"
                )
            }
        }
    }

    /// What is lost, and what to do about it.
    pub fn describe(&self, directory: &Path) -> String {
        let day = directory.join(self.date().to_string());
        if let Hole::Repeated { .. } = self {
            return format!(
                "{}; files of two logs lie in {}, or files bear each other's names, so what is recorded of the day is of neither: stop \
                 bhavd, move the files away that do not belong to the log, or give those the names of their hours that do, and start it \
                 again",
                self.lost(),
                day.display()
            );
        }
        if let Hole::OtherDay { date, received, .. } = self {
            return format!(
                "{}; no row of {date} is made of them; if files of {received} were put into {}, stop bhavd, put the files of \
                 {date} back there, and those of {received} into their own directory, and start it again",
                self.lost(),
                day.display()
            );
        }
        format!(
            "{}; rows of it that the store has stay, but that part cannot be replayed: if its files were moved away, stop bhavd, put \
             them back into {} and start it again, which writes the rows of that time again; {BESIDE_NEWER}",
            self.lost(),
            day.display()
        )
    }
}

/// Records between two of a day's that a clock which was ahead received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AsideRecords {
    pub first_seq: u64,
    pub records: u64,
}

impl AsideRecords {
    pub fn describe(&self) -> String {
        format!(
            "{} records from {} on, received by a clock that was ahead, count for no day: they are kept in clock-ahead-{} \
             beside the log",
            self.records, self.first_seq, self.first_seq
        )
    }
}

/// Follows a day's records.
#[derive(Debug)]
pub struct Continuity {
    date: TradingDate,
    last_seq: Option<u64>,
    is_damaged: bool,
    is_repeated: bool,
    has_other_day: bool,
    aside: Vec<AsideRecords>,
}

impl Continuity {
    pub fn new(date: TradingDate) -> Continuity {
        Continuity {
            date,
            last_seq: None,
            is_damaged: false,
            is_repeated: false,
            has_other_day: false,
            aside: Vec::new(),
        }
    }

    /// Whether a record is of another day, which is told once, and follows none of this one's.
    pub fn is_foreign(&self, record: &Record) -> bool {
        !record.is_of(self.date)
    }

    /// The log is damaged here, which is told already: what numbers lack next is a part of it.
    pub fn note_damage(&mut self) {
        self.is_damaged = true;
    }

    /// What lacks before this record. `next`: the record behind it, if there is one that can be read: where a life of the
    /// daemon begins, the rules come first, and only the mark behind them says why numbers jump.
    pub fn note(&mut self, record: &Record, next: Option<&Record>) -> Option<Hole> {
        if self.is_foreign(record) {
            let received = record.received_time.date_ist();
            let hole = Hole::OtherDay { date: self.date, received, seq: record.seq };
            return (!std::mem::replace(&mut self.has_other_day, true)).then_some(hole);
        }
        let before = self.last_seq.replace(record.seq);
        let is_damaged = std::mem::take(&mut self.is_damaged);
        if let Some(before) = before.filter(|before| record.seq <= *before) {
            // A life that went on while the file before was away numbered from the store's last on.
            let is_told = matches!(
                next.and_then(mark_of),
                Some(Mark::Started { skip: Some(Skip::BehindStore { store_seq, .. }), .. }) if store_seq < before
            );
            let hole = Hole::Repeated { date: self.date, before, seq: record.seq };
            return (!is_told && !std::mem::replace(&mut self.is_repeated, true)).then_some(hole);
        }
        if is_damaged || before.is_some_and(|before| record.seq == before + 1) {
            return None;
        }
        let mark = mark_of(record);
        if matches!(mark, Some(Mark::Rules { .. })) {
            return self.note_beginning(before, record.seq, next.and_then(mark_of).as_ref());
        }
        let date = self.date;
        match before {
            Some(before) => Some(Hole::Records {
                date,
                from_seq: before + 1,
                to_seq: record.seq - 1,
                is_at_start: matches!(mark, Some(Mark::Started { .. })),
            }),
            None if self.is_head(record, mark.as_ref()) => None,
            None => Some(Hole::Head { date, first_seq: record.seq, received: record.received_time }),
        }
    }

    /// Records that were set aside among those that were noted.
    pub fn aside(&self) -> &[AsideRecords] {
        &self.aside
    }

    /// The rules, `seq`, stand first of all or behind a jump; `mark` is behind them.
    fn note_beginning(&mut self, after_seq: Option<u64>, seq: u64, mark: Option<&Mark>) -> Option<Hole> {
        match mark {
            Some(Mark::Started { skip: Some(Skip::BehindStore { store_seq, session }), .. }) => {
                let after_seq = after_seq.filter(|_| *session == self.date);
                Some(Hole::BehindStore { date: *session, after_seq, store_seq: *store_seq })
            }
            Some(Mark::Started { skip: Some(Skip::SetAside { first_seq, records }), .. }) => {
                self.aside.push(AsideRecords { first_seq: *first_seq, records: *records });
                None
            }
            _ => after_seq.map(|after| Hole::Records {
                date: self.date,
                from_seq: after + 1,
                to_seq: seq - 1,
                is_at_start: matches!(mark, Some(Mark::Started { .. })),
            }),
        }
    }

    /// Whether a day's log may begin with this record. Those of versions before the rules begin with what was up, or with any
    /// record where nothing was, right at midnight.
    fn is_head(&self, record: &Record, mark: Option<&Mark>) -> bool {
        const HOUR_US: i64 = 3_600_000_000;
        record.seq == 1
            || record.received_time.us_since(Timestamp::on(self.date, NaiveTime::MIN)) < HOUR_US
            || matches!(
                mark,
                Some(
                    Mark::Started { .. }
                        | Mark::Failover { .. }
                        | Mark::FeedUp { .. }
                        | Mark::PartDown { .. }
                )
            )
    }
}

fn mark_of(record: &Record) -> Option<Mark> {
    let is_mark = record.source == Source::MARK;
    is_mark.then(|| serde_json::from_slice(record.frames.bytes()).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        market::Provider,
        spool::{DayRules, NewRecord, Spool},
    };

    fn date() -> TradingDate {
        TradingDate::from_ymd_opt(2026, 1, 30).expect("a date")
    }

    fn at(hour: i64) -> Timestamp {
        Timestamp::on(date(), NaiveTime::MIN).plus_seconds(3_600 * hour)
    }

    fn rules() -> Mark {
        Mark::Rules { rules: DayRules::default() }
    }

    fn started(skip: Option<Skip>) -> Mark {
        Mark::Started { version: String::new(), skip }
    }

    /// What is found in a log of these records, by their numbers.
    fn holes(records: &[(u64, Mark)]) -> (Vec<Hole>, Vec<AsideRecords>) {
        let mut continuity = Continuity::new(date());
        let numbered: Vec<Record> =
            records.iter().map(|(seq, mark)| NewRecord::mark(at(10), mark).numbered(*seq)).collect();
        let of = |(index, record)| continuity.note(record, numbered.get(index + 1));
        let holes = numbered.iter().enumerate().filter_map(of).collect();
        (holes, continuity.aside().to_vec())
    }

    #[test]
    fn a_whole_day_has_no_hole_wherever_it_begins() {
        let clock = || Mark::clock([]);
        let (none, nothing) = (Vec::new(), Vec::new());
        let head = [(70, rules()), (71, started(None)), (72, clock()), (73, rules()), (74, started(None))];
        assert_eq!(holes(&head), (none.clone(), nothing.clone()));
        assert_eq!(holes(&[(70, rules()), (71, clock())]), (none.clone(), nothing.clone()), "at midnight");
        assert_eq!(holes(&[(1, clock()), (2, clock())]), (none.clone(), nothing.clone()), "the first of all");
        let older = [(70, Mark::feed_up(Provider::Nse)), (71, clock())];
        assert_eq!(holes(&older), (none, nothing), "of a version without rules");
        let mut continuity = Continuity::new(date());
        let night = NewRecord::mark(at(0).plus_seconds(1), &clock()).numbered(70);
        assert_eq!(continuity.note(&night, None), None, "a version without rules, and no feed");
    }

    #[test]
    fn what_lacks_is_found_by_the_numbers() {
        let clock = || Mark::clock([]);
        let head = Hole::Head { date: date(), first_seq: 70, received: at(10) };
        assert_eq!(holes(&[(70, clock()), (71, clock())]).0, [head]);
        let hole = |is_at_start| Hole::Records { date: date(), from_seq: 3, to_seq: 6, is_at_start };
        let begun = || vec![(1, rules()), (2, started(None))];
        let with = |more: &[(u64, Mark)]| holes(&[&begun()[..], more].concat()).0;
        assert_eq!(with(&[(7, clock()), (8, clock())]), [hole(false)]);
        assert_eq!(with(&[(7, rules()), (8, started(None)), (9, clock())]), [hole(true)]);
    }

    #[test]
    fn a_life_that_went_on_says_why_it_did() {
        let of = |session| Some(Skip::BehindStore { store_seq: 6, session });
        let begun = [(1, rules()), (2, started(None)), (7, rules())];
        let with = |skip| holes(&[&begun[..], &[(8, started(skip))]].concat());
        let behind = |after_seq| Hole::BehindStore { date: date(), after_seq, store_seq: 6 };
        assert_eq!(with(of(date())), (vec![behind(Some(2))], Vec::new()));
        assert_eq!(holes(&[(7, rules()), (8, started(of(date())))]).0, [behind(None)]);
        let before = date().pred_opt().expect("a date");
        let of_before = Hole::BehindStore { date: before, after_seq: None, store_seq: 6 };
        assert_eq!(with(of(before)).0, [of_before]);
        let aside = AsideRecords { first_seq: 3, records: 4 };
        assert_eq!(with(Some(Skip::SetAside { first_seq: 3, records: 4 })), (Vec::new(), vec![aside]));
    }

    #[test]
    fn damage_is_told_once() {
        let mut continuity = Continuity::new(date());
        continuity.note_damage();
        let clock = |seq| NewRecord::mark(at(10), &Mark::clock([])).numbered(seq);
        assert_eq!((continuity.note(&clock(5), None), continuity.note(&clock(6), None)), (None, None));
        continuity.note_damage();
        assert_eq!(continuity.note(&clock(9), None), None);
        assert!(continuity.note(&clock(11), None).is_some());
    }

    #[test]
    fn records_that_are_put_back_fill_the_hole() {
        let directory = tempfile::tempdir().expect("a directory");
        let behind = |after_seq, store_seq| Hole::BehindStore { date: date(), after_seq, store_seq };
        let is_filled = |hole: Hole| hole.is_filled(directory.path()).expect("readable");
        assert!(!is_filled(behind(None, 2)));
        let mut spool = Spool::open(directory.path()).expect("opens").spool;
        for _ in 0..2 {
            spool.append(&mut NewRecord::mark(at(10), &Mark::clock([]))).expect("appended");
        }
        assert!(
            is_filled(behind(None, 2)) && !is_filled(behind(Some(2), 3)) && is_filled(behind(Some(4), 3))
        );
    }

    #[test]
    fn another_days_records_are_told_once_and_are_no_part_of_the_day() {
        let mut continuity = Continuity::new(date());
        let on = |days: i64, seq, mark: Mark| NewRecord::mark(at(24 * days + 10), &mark).numbered(seq);
        let begun = [on(1, 70, rules()), on(1, 71, started(None)), on(1, 72, Mark::clock([]))];
        let told: Vec<Hole> = begun.iter().filter_map(|record| continuity.note(record, None)).collect();
        let received = date().succ_opt().expect("a date");
        assert_eq!(told, [Hole::OtherDay { date: date(), received, seq: 70 }]);
        let text = told[0].describe(Path::new("/log"));
        assert!(text.contains("record 70 was received on 2026-01-31"), "{text}");
        assert!(text.contains("put the files of 2026-01-30 back there"), "{text}");
        // A life that went on behind them: they do not stand in for what the store was written from.
        let skip = Some(Skip::BehindStore { store_seq: 60, session: date() });
        let (rules, life) = (on(0, 73, rules()), on(0, 74, started(skip)));
        let behind = Hole::BehindStore { date: date(), after_seq: None, store_seq: 60 };
        assert_eq!(continuity.note(&rules, Some(&life)), Some(behind));
    }

    #[test]
    fn records_of_another_log_are_told_once() {
        let clock = || Mark::clock([]);
        let begun = [(1, rules()), (2, started(None)), (3, clock())];
        let behind = started(Some(Skip::BehindStore { store_seq: 1, session: date() }));
        let told = [&begun[..], &[(2, rules()), (3, behind), (4, clock())]].concat();
        assert_eq!(holes(&told).0, [], "the store was behind the log");
        let (found, _) = holes(&[&begun[..], &begun[..]].concat());
        assert_eq!(found, [Hole::Repeated { date: date(), before: 3, seq: 1 }]);
        let told = found[0].describe(Path::new("/log"));
        assert!(
            told.starts_with("the log of 2026-01-30 is more than one: behind record 3 stands record 1"),
            "{told}"
        );
    }
}
