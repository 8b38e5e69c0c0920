//! Removes days of the log that are older than the configuration wants them kept.
//!
//! A day stays, however old, if the store does not contain it whole, if a rebuild of the pipeline may begin with it, or if
//! it was found to differ from the store: then the log is the only witness. That the store is past a day does not say that it
//! has its rows: it may have been filled while that day's log was away.

use super::{JobName, Outcome, child::Shift, plan::last_session};
use crate::{
    logging::Event,
    market::TradingDate,
    pipeline::PipelineSettings,
    spool::{self, AbsentDays, LostParts, Removed, SessionData, SpoolError, SpoolReader, Wholeness},
    store::{Checkpoint, JobRunFilter, Reader, RunState, StoreError},
};
use chrono::Days;
use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    time::Duration,
};

/// What deleting a day's files may take on a slow disk.
const REMOVAL_EXCUSE: Duration = Duration::from_secs(120);
/// More verified days than a machine will live.
const VERIFIED_MAX: u32 = 100_000;

/// Why nothing, or nothing more, was removed. The job tries again later.
#[derive(Debug, thiserror::Error)]
enum RetentionError {
    #[error(transparent)]
    Spool(#[from] SpoolError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("nothing may be removed at this moment: {0}")]
    Unsafe(String),
}

/// What decides which days go.
#[derive(Clone, Debug)]
struct Bounds {
    today: TradingDate,
    keep_days: u32,
    /// The last before today. Not known: everything stays.
    last_session: Option<TradingDate>,
    checkpoint: Checkpoint,
    /// Days that were found to differ from the store.
    faulty: BTreeSet<TradingDate>,
}

impl Bounds {
    /// Whether the day may go as far as dates tell.
    fn lets_go(&self, date: TradingDate) -> bool {
        let oldest_kept = self.today.checked_sub_days(Days::new(self.keep_days.into()));
        self.keep_days > 0
            && oldest_kept.is_some_and(|oldest| date < oldest)
            && self.last_session.is_some_and(|last| date < last)
            && date < self.checkpoint.session_date
            && !self.faulty.contains(&date)
    }

    /// The days that go. `first_after` says which record of the log is the first after a day; the store must be as far as
    /// that, and where there is none the day is the log's last.
    fn removable(
        &self,
        days: &[TradingDate],
        mut first_after: impl FnMut(TradingDate) -> Result<Option<u64>, SpoolError>,
    ) -> Result<Vec<TradingDate>, SpoolError> {
        let mut removable: Vec<TradingDate> =
            days.iter().copied().filter(|date| self.lets_go(*date)).collect();
        while let Some(newest) = removable.last() {
            if first_after(*newest)?.is_some_and(|seq| seq <= self.checkpoint.spool_seq) {
                break;
            }
            removable.pop();
        }
        Ok(removable)
    }
}

/// Today, for what is old by now. A clock that is far ahead must not make the whole log old: a day counts as no more than some
/// days after the last one that was logged before it.
fn no_later_than_logged(today: TradingDate, days: &[TradingDate]) -> TradingDate {
    const UNLOGGED_DAYS_MAX: u64 = 14;
    let before = days.iter().copied().rfind(|date| *date < today);
    let latest = before.and_then(|date| date.checked_add_days(Days::new(UNLOGGED_DAYS_MAX)));
    latest.map_or(today, |latest| today.min(latest))
}

impl Shift {
    pub async fn remove_old_days(&self) -> Outcome {
        match self.remove().await {
            Ok(outcome) => outcome,
            Err(error) => Outcome::Failed(error.to_string()),
        }
    }

    async fn remove(&self) -> Result<Outcome, RetentionError> {
        let directory = &self.parts.spool_directory;
        {
            let _excused = self.lease.pulse().excuse(REMOVAL_EXCUSE);
            spool::sweep(directory)?;
        }
        // In this order: no rebuild begins before this checkpoint from now on.
        let checkpoint = self.parts.daemon.recovery_point().await.map_err(RetentionError::Unsafe)?;
        let Some(checkpoint) = checkpoint else {
            return Ok(Outcome::Done(Some("the store contains nothing, so every day is kept".to_owned())));
        };
        let days = spool::days(directory)?;
        let today = no_later_than_logged(self.now().date_ist(), &days);
        let yesterday = today.pred_opt().unwrap_or(today);
        let bounds = Bounds {
            today,
            keep_days: self.parts.board.keep_days(),
            last_session: last_session(&self.parts.settings.calendar, yesterday, |_| true)
                .map(|session| session.date),
            checkpoint,
            faulty: self.faulty_days().await?,
        };
        let removable = bounds.removable(&days, |date| first_seq_after(directory, &days, date))?;
        let recorded = Reader::open(&self.parts.store_url).await?.recorded_days().await?;
        let (removable, kept) = {
            let _excused = self.lease.pulse().excuse(REMOVAL_EXCUSE);
            without_witnesses(directory, removable, &recorded, &self.parts.settings)?
        };
        for reason in &kept {
            log::warn!("{reason}");
        }
        let (mut removed, mut freed, mut ended) = (0, Removed::default(), Ok(true));
        for date in removable {
            ended = self.remove_day(date, &mut freed);
            if !matches!(ended, Ok(true)) {
                break;
            }
            removed += 1;
            #[cfg(feature = "chaos")]
            super::chaos::block(JobName::Retention);
            tokio::task::yield_now().await;
        }
        if removed > 0 {
            log::info!(
                event = Event::LogRemoved, days = removed, bytes = freed.bytes;
                "removed {removed} days of the log, {} bytes, older than {} days", freed.bytes, bounds.keep_days
            );
        }
        if !ended? {
            return Ok(Outcome::Interrupted("it was asked to stop"));
        }
        let remark = (removed > 0).then(|| format!("removed {removed} days, {} bytes", freed.bytes));
        let remarks: Vec<String> = remark.into_iter().chain(kept).collect();
        Ok(Outcome::Done((!remarks.is_empty()).then(|| remarks.join("; "))))
    }

    /// Blocks. False if it was not to go on.
    fn remove_day(&self, date: TradingDate, freed: &mut Removed) -> Result<bool, SpoolError> {
        if !self.lease.is_current() || self.lease.is_stopping() {
            return Ok(false);
        }
        let _excused = self.lease.pulse().excuse(REMOVAL_EXCUSE);
        // A disk that is full must not keep the log from making room.
        if let Err(error) = AbsentDays::note_removed(&self.parts.spool_directory, date) {
            log::warn!(date:%, error:%; "a start may name the log of {date} as lost, which is removed on purpose: {error}");
        }
        let Removed { files, bytes } =
            spool::remove_day(&self.parts.spool_directory, date, self.parts.written.log_size())?;
        freed.files += files;
        freed.bytes += bytes;
        self.lease.pulse().progress();
        Ok(true)
    }

    /// By the last word on each.
    async fn faulty_days(&self) -> Result<BTreeSet<TradingDate>, StoreError> {
        let filter = JobRunFilter { job: Some(JobName::Verify.name().to_owned()), since: None };
        let runs = Reader::open(&self.parts.store_url).await?.job_runs(&filter, VERIFIED_MAX).await?;
        let words = runs.into_iter().filter(|run| matches!(run.state, RunState::Done | RunState::Faulty));
        // The last run comes first, and is to be the last to count.
        let last: BTreeMap<TradingDate, RunState> =
            words.map(|run| (run.session_date, run.state)).collect::<Vec<_>>().into_iter().rev().collect();
        Ok(last.into_iter().filter(|(_, state)| *state == RunState::Faulty).map(|(date, _)| date).collect())
    }
}

/// Of these days, those whose rows the store has; and of each other one why it stays.
fn without_witnesses(
    directory: &Path,
    removable: Vec<TradingDate>,
    recorded: &BTreeSet<TradingDate>,
    settings: &PipelineSettings,
) -> Result<(Vec<TradingDate>, Vec<String>), SpoolError> {
    let lost = LostParts::read(directory)?;
    let (mut without, mut kept) = (Vec::new(), Vec::new());
    for date in removable {
        let data = match recorded.contains(&date) {
            true => SessionData::Nothing,
            false => spool::session_data(directory, date, settings.session_times(date))?,
        };
        if data == SessionData::OfCalendar {
            kept.push(format!(
                "the log of {date} stays, however old: it has data of the session that the calendar has on that day, but its rules \
                 say that there was none, so the store has no row of it"
            ));
        } else if data == SessionData::OfRules {
            kept.push(format!(
                "the log of {date} stays, however old: it has data of a session of which the store has no row; if `bhavctl \
                 status` names the day, it says how its rows are written"
            ));
        } else if lost.of(date).is_some() && Wholeness::of_log(directory, date)? != Wholeness::Incomplete {
            kept.push(format!(
                "the log of {date} stays, however old: the store's rows were written while a part of it was away, which is back; \
                 the start that finds the log whole from {date} on writes them again"
            ));
        } else {
            without.push(date);
        }
    }
    Ok((without, kept))
}

/// The number of the first record after a day. What cannot be read is passed over: a later number is the safer one.
fn first_seq_after(
    directory: &Path,
    days: &[TradingDate],
    date: TradingDate,
) -> Result<Option<u64>, SpoolError> {
    for later in days.iter().filter(|later| **later > date) {
        if let Some(record) = SpoolReader::open_own(directory, *later)?.find_map(Result::ok) {
            return Ok(Some(record.seq));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn date(day: u32) -> TradingDate {
        TradingDate::from_ymd_opt(2026, 1, 1)
            .and_then(|first| first.checked_add_days(Days::new(day.into())))
            .expect("a date")
    }

    #[test]
    fn a_clock_far_ahead_makes_no_day_old() {
        let day = |text: &str| text.parse::<TradingDate>().expect("a date");
        let days = ["2026-01-28", "2026-01-29", "2027-01-29"].map(day);
        assert_eq!(no_later_than_logged(day("2027-01-29"), &days), day("2026-02-12"));
        assert_eq!(no_later_than_logged(day("2026-01-30"), &days), day("2026-01-30"));
        assert_eq!(no_later_than_logged(day("2026-01-30"), &[]), day("2026-01-30"));
    }

    fn bounds(keep_days: u32) -> Bounds {
        Bounds {
            today: date(20),
            keep_days,
            last_session: Some(date(17)),
            checkpoint: Checkpoint { session_date: date(20), spool_seq: 2_000 },
            faulty: BTreeSet::new(),
        }
    }

    /// Day `n` begins with record `100 n`.
    fn first_after(days: &[TradingDate]) -> impl FnMut(TradingDate) -> Result<Option<u64>, SpoolError> {
        move |asked| {
            let later = days.iter().find(|day| **day > asked);
            Ok(later.map(|day| day.signed_duration_since(date(0)).num_days() as u64 * 100))
        }
    }

    #[test]
    fn what_is_older_goes_and_what_is_needed_stays() {
        let days: Vec<TradingDate> = (10..=20).map(date).collect();
        let removable = |bounds: Bounds| bounds.removable(&days, first_after(&days)).expect("readable");
        assert_eq!(removable(bounds(8)), [date(10), date(11)]);
        assert_eq!(removable(bounds(0)), [], "everything is kept");
        assert_eq!(
            removable(bounds(1)).last(),
            Some(&date(16)),
            "the last session's day and the days after it stay"
        );
        let behind =
            Bounds { checkpoint: Checkpoint { session_date: date(12), spool_seq: 1_250 }, ..bounds(1) };
        assert_eq!(removable(behind), [date(10), date(11)], "the store is at the third day");
        let number =
            Bounds { checkpoint: Checkpoint { session_date: date(20), spool_seq: 1_150 }, ..bounds(1) };
        assert_eq!(removable(number), [date(10)], "the store has not come to the third day's first record");
        let faulty = Bounds { faulty: [date(10), date(12)].into(), ..bounds(7) };
        assert_eq!(removable(faulty), [date(11)]);
        let unknown = Bounds { last_session: None, ..bounds(1) };
        assert_eq!(removable(unknown), []);
    }

    #[test]
    fn a_day_whose_rows_the_store_lacks_stays_and_is_named() {
        use crate::jobs::test_day::{at, clock, date, head, packet};
        let home = tempfile::tempdir().expect("a directory");
        let mut spool = spool::Spool::open(home.path()).expect("opens").spool;
        let idle = date().pred_opt().expect("a date");
        let of_day = [head(true), vec![packet(at(9, 30, 0), 0, 1, 1)]].concat();
        for mut record in [vec![clock(at(-14, 0, 0))], of_day].concat() {
            spool.append(&mut record).expect("appended");
        }
        let of = |recorded: &[TradingDate]| {
            let recorded = recorded.iter().copied().collect();
            without_witnesses(home.path(), vec![idle, date()], &recorded, &PipelineSettings::of_tests())
                .expect("readable")
        };
        let (removable, kept) = of(&[]);
        assert_eq!(removable, [idle], "it has no data");
        assert!(kept.len() == 1 && kept[0].starts_with("the log of 2026-01-30 stays"), "{kept:?}");
        assert_eq!(of(&[date()]), (vec![idle, date()], Vec::new()));
        LostParts::note(home.path(), date(), "records 3 to 6").expect("noted");
        let (removable, kept) = of(&[date()]);
        assert_eq!(removable, [idle]);
        assert!(kept[0].contains("a part of it was away, which is back"), "{kept:?}");
    }

    proptest! {
        #[test]
        fn nothing_goes_that_may_be_needed(
            days in prop::collection::btree_set(0_u32..40, 0..20),
            today in 20_u32..40,
            keep_days in 0_u32..30,
            since_session in 1_u32..5,
            checkpoint_day in 0_u32..40,
            spool_seq in 0_u64..4_500,
            faulty in prop::collection::btree_set(0_u32..40, 0..4),
        ) {
            let days: Vec<TradingDate> = days.into_iter().map(date).collect();
            let faulty: BTreeSet<TradingDate> = faulty.into_iter().map(date).collect();
            let bounds = Bounds {
                today: date(today),
                keep_days,
                last_session: Some(date(today - since_session)),
                checkpoint: Checkpoint { session_date: date(checkpoint_day), spool_seq },
                faulty: faulty.clone(),
            };
            let removable = bounds.removable(&days, first_after(&days)).expect("readable");
            prop_assert!(keep_days > 0 || removable.is_empty());
            for gone in removable {
                prop_assert!(gone.checked_add_days(Days::new(keep_days.into())).is_some_and(|until| until < date(today)));
                prop_assert!(gone < date(today - since_session) && gone < date(checkpoint_day));
                prop_assert!(!faulty.contains(&gone));
                let after = first_after(&days)(gone).expect("readable");
                prop_assert!(after.is_some_and(|seq| seq <= spool_seq), "{gone} is not stored whole");
            }
        }
    }
}
