//! A day's log as jobs read it: record by record, without the dead letters, with lost parts noted, and with a turn for other
//! work in between.
//!
//! Invariant: what was left out live is left out here, records of another day are no part of the day, and a lost part, damaged or not there any more, tells the pipeline that
//! it no longer holds who is up.

use super::replay::{JudgedBy, VerifyError};
use crate::{
    actor::{Excused, Pulse},
    market::TradingDate,
    pipeline::Pipeline,
    spool::{
        self, AsideRecords, Continuity, DayRules, DeadLetters, Mark, NewRecord, Record, Source, SpoolError,
        SpoolReader,
    },
};
use std::{
    iter::Peekable,
    path::{Path, PathBuf},
    time::Duration,
};

/// Records worked off in one turn.
const TURN_RECORDS: u64 = 64;
/// What one record may take on a slow machine: a master's rows.
const TURN_EXCUSE: Duration = Duration::from_secs(60);

/// See the module's head.
pub(super) struct DayLog<'a> {
    directory: PathBuf,
    date: TradingDate,
    reader: Peekable<SpoolReader>,
    continuity: Continuity,
    dead_letters: DeadLetters,
    pulse: &'a Pulse,
    records: u64,
    /// Records of another day.
    foreign: u64,
    /// Lost parts, in words.
    losses: Vec<String>,
    is_head_lost: bool,
    is_of_other: bool,
}

impl<'a> DayLog<'a> {
    pub fn open(directory: &Path, date: TradingDate, pulse: &'a Pulse) -> Result<DayLog<'a>, SpoolError> {
        Ok(DayLog {
            directory: directory.to_owned(),
            date,
            reader: SpoolReader::open(directory, date)?.peekable(),
            continuity: Continuity::new(date),
            dead_letters: DeadLetters::read(directory)?,
            pulse,
            records: 0,
            foreign: 0,
            losses: Vec::new(),
            is_head_lost: false,
            is_of_other: false,
        })
    }

    /// The next record that `pipeline` is to apply, and the excuse for the time that it takes. `None` at the end.
    ///
    /// A day is a lot of work: other work on this thread has its turn in between.
    pub async fn next(
        &mut self,
        pipeline: &mut Pipeline,
    ) -> Result<Option<(Record, Option<Excused>)>, SpoolError> {
        loop {
            self.pulse.progress();
            let record = match self.reader.next() {
                None => return Ok(None),
                Some(Ok(record)) => record,
                Some(Err(SpoolError::Damaged(damage))) => {
                    self.losses.push(format!("a part of the log is lost: {damage}"));
                    pipeline.note_loss();
                    self.continuity.note_damage();
                    self.is_head_lost |= self.records == 0;
                    continue;
                }
                Some(Err(error)) => return Err(error),
            };
            self.note_hole(&record, pipeline)?;
            let is_foreign = self.continuity.is_foreign(&record);
            *if is_foreign { &mut self.foreign } else { &mut self.records } += 1;
            if (self.records + self.foreign).is_multiple_of(TURN_RECORDS) {
                tokio::task::yield_now().await;
            }
            if is_foreign {
                continue;
            }
            if self.dead_letters.contains(record.seq) {
                continue;
            }
            // A daemon of another version may have gone on with the day.
            self.is_of_other |= rules_of(&record).is_some_and(|rules| !rules.is_current());
            let is_long = record.source.is_long();
            let excuse = is_long.then(|| self.pulse.excuse(TURN_EXCUSE));
            return Ok(Some((record, excuse)));
        }
    }

    fn note_hole(&mut self, record: &Record, pipeline: &mut Pipeline) -> Result<(), SpoolError> {
        let next = self.reader.peek().and_then(|read| read.as_ref().ok());
        let Some(hole) = self.continuity.note(record, next) else { return Ok(()) };
        if hole.is_filled(&self.directory)? {
            return Ok(());
        }
        pipeline.note_loss();
        if hole.date() == self.date {
            self.is_head_lost |= hole.is_of_head();
            self.losses.push(hole.describe(&self.directory));
        }
        Ok(())
    }

    /// How many records of the day there were.
    ///
    /// # Errors
    /// When there was none.
    pub fn records(&self) -> Result<u64, VerifyError> {
        match self.records {
            // What lies there is told as a loss.
            0 if self.foreign > 0 => Ok(0),
            0 => Err(VerifyError::NoLog { directory: self.directory.display().to_string(), date: self.date }),
            records => Ok(records),
        }
    }

    /// Whose rules the day's rows follow, once `pipeline` has applied all of its records and no other.
    pub fn judged_by(&self, pipeline: &Pipeline) -> JudgedBy {
        match self.is_of_other {
            true => JudgedBy::OtherVersion,
            false => JudgedBy::of(pipeline, self.date, self.is_head_lost),
        }
    }

    /// Parts of the log that are lost, in words.
    pub fn losses(&mut self) -> Vec<String> {
        std::mem::take(&mut self.losses)
    }

    /// What a clock that was ahead received among the day's records, in words.
    pub fn set_aside(&self) -> Vec<String> {
        self.continuity.aside().iter().map(AsideRecords::describe).collect()
    }

    /// The record by which the day was over, if it is not the log's last. It says that time has passed, and whether the daemon
    /// was running; what else it brings belongs to its own day.
    pub fn record_after(&self) -> Result<Option<Record>, SpoolError> {
        let later = |date: &TradingDate| *date > self.date;
        for date in spool::days(&self.directory)?.into_iter().filter(later) {
            for record in SpoolReader::open_own(&self.directory, date)? {
                let record = record?;
                if self.dead_letters.contains(record.seq) {
                    continue;
                }
                if record.source == Source::MARK {
                    return Ok(Some(record));
                }
                let clock = NewRecord::mark(record.received_time, &Mark::clock([]));
                return Ok(Some(clock.numbered(record.seq)));
            }
        }
        Ok(None)
    }
}

/// The rules that a record says, if it does.
pub(super) fn rules_of(record: &Record) -> Option<DayRules> {
    if record.source != Source::MARK {
        return None;
    }
    match serde_json::from_slice(record.frames.bytes()) {
        Ok(Mark::Rules { rules }) => Some(rules),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        jobs::test_day::{Place, date, day},
        pipeline::{Catalog, PipelineSettings},
    };

    #[tokio::test]
    async fn records_come_in_order_without_the_dead_letters() {
        let place = Place::new();
        place.play(day(true)).await;
        let seq = 3;
        let letter = r#"{"seq":3,"source":"mark","received_us":0,"bytes":1,"child":"recorder","incarnations":[1,2],"reason":"test"}"#;
        let pulse = Pulse::default();
        let read = async || {
            let mut pipeline = Pipeline::new(PipelineSettings::of_tests(), Catalog::default());
            let mut log = DayLog::open(&place.spool(), date(), &pulse).expect("a log");
            let mut seqs = Vec::new();
            while let Some((record, _)) = log.next(&mut pipeline).await.expect("readable") {
                seqs.push(record.seq);
            }
            (seqs, log.records().expect("records"))
        };
        let (all, records) = read().await;
        assert!(all.is_sorted() && all.len() as u64 == records && all.contains(&seq));
        std::fs::write(place.spool().join("dead-letters.jsonl"), format!("{letter}\n")).expect("written");
        let (left, counted) = read().await;
        assert_eq!((left.len() + 1, counted), (all.len(), records));
        assert!(!left.contains(&seq));
    }

    #[tokio::test]
    async fn a_day_without_a_log_is_an_error_and_no_day_of_nothing() {
        let place = Place::new();
        place.play(day(true)).await;
        let pulse = Pulse::default();
        let other = date().succ_opt().expect("a date");
        let mut pipeline = Pipeline::new(PipelineSettings::of_tests(), Catalog::default());
        let mut log = DayLog::open(&place.spool(), other, &pulse).expect("it opens");
        assert!(log.next(&mut pipeline).await.expect("readable").is_none());
        assert!(matches!(log.records(), Err(VerifyError::NoLog { .. })));
    }
}
