//! What is due when. Pure: the same runs, calendar and time give the same turn, in whichever life of the daemon.

use super::{JobName, JobState};
use crate::{
    actor::Backoff,
    calendar::{Calendar, Session},
    market::{Timestamp, TradingDate},
    store::{JobRun, RunState},
};
use chrono::Days;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use std::{collections::BTreeSet, time::Duration};

/// After the close the log goes on for an hour; then the day is verified.
const VERIFY_AFTER_CLOSE_S: i64 = 65 * 60;
const RETENTION_AFTER_CLOSE_S: i64 = 120 * 60;
/// A day's plan is made so long before its open: the exchange's figures of the day before are there by then.
const PLAN_BEFORE_OPEN_S: i64 = 180 * 60;
/// A day that was missed is verified for so long.
pub(super) const CATCH_UP_DAYS: u64 = 7;
/// Heavy work does not begin this shortly before a session.
const BEFORE_OPEN_S: i64 = 15 * 60;
/// Failures of one job for one day. Then it waits for an operator or for another day.
pub(super) const FAILURES_MAX: u32 = 5;
/// Between the beginnings of two tries.
const RETRY: Backoff = Backoff {
    base: Duration::from_secs(60),
    cap: Duration::from_secs(1_800),
    jitter: 0.2,
    reset_after: Duration::MAX,
};
/// How far back the last session is searched.
const SEARCH_DAYS: usize = 30;

/// What a job is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    Run {
        date: TradingDate,
    },
    /// It is due, but the store does not contain yet what was received: look again shortly.
    Settle,
    /// Nothing before this, unless something happens.
    Wait {
        until: Option<Timestamp>,
        state: JobState,
    },
}

/// What a turn follows from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Circumstances<'a> {
    pub calendar: &'a Calendar,
    pub now: Timestamp,
    /// The job's own, of the last days; none that runs.
    pub runs: &'a [JobRun],
    /// Days on which what came off well or was faulty is to be done once more.
    pub reopened: &'a BTreeSet<TradingDate>,
    /// The days that have a log, ascending.
    pub log_days: &'a [TradingDate],
    /// Hours of the log wait to be compressed.
    pub has_segments: bool,
    /// Days of the log to keep; 0 for all.
    pub keep_days: u32,
    /// Everything that was received is in the store.
    pub is_settled: bool,
}

/// Where a job stands with a day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    Open,
    Retry(Timestamp),
    GivenUp,
    Over,
}

impl Circumstances<'_> {
    pub fn turn(&self, job: JobName) -> Turn {
        match job {
            JobName::DayPlan => self.day_plan(),
            JobName::Archive => self.archive(),
            JobName::Retention => self.retention(),
            JobName::Verify => self.verify(),
        }
    }

    /// What an order by hand is for.
    ///
    /// # Errors
    /// Why it cannot be done at this moment, for people.
    pub fn ordered(&self, job: JobName) -> Result<TradingDate, String> {
        if job == JobName::Archive {
            return Ok(self.today());
        }
        if job == JobName::DayPlan {
            let session = self.calendar.session(self.today());
            let is_owed = session.is_some_and(|session| self.now < session.close);
            return match is_owed {
                true => Ok(self.today()),
                false => Err("there is no session today, or it is over".to_owned()),
            };
        }
        if let Some(close) = self.session_hours() {
            let close = close.to_ist().format("%H:%M");
            return Err(format!("{job} runs outside session hours only, which end at {close}"));
        }
        if !self.is_settled {
            return Err("the store does not contain yet all that was received".to_owned());
        }
        match job {
            JobName::DayPlan | JobName::Archive => Ok(self.today()),
            JobName::Retention if self.keep_days == 0 => {
                Err("spool.keep_days is 0: every day of the log is kept".to_owned())
            }
            JobName::Retention => Ok(self.last_due(RETENTION_AFTER_CLOSE_S).unwrap_or_else(|| self.today())),
            JobName::Verify => {
                let last = self.log_days.iter().rev().find(|date| self.is_finished(**date)).copied();
                last.ok_or_else(|| "the log has no finished session day".to_owned())
            }
        }
    }

    fn day_plan(&self) -> Turn {
        let begins = |session: Session| session.open.plus_seconds(-PLAN_BEFORE_OPEN_S);
        let today = self.calendar.session(self.today()).filter(|session| self.now < session.close);
        let next = self.calendar.next_session(self.today()).map(begins);
        let waits = |state, until| Turn::Wait { until, state };
        let Some(session) = today else { return waits(JobState::Idle, next) };
        if self.now < begins(session) {
            return waits(JobState::Idle, Some(begins(session)));
        }
        match self.standing(session.date, false) {
            Standing::Open if self.is_settled => Turn::Run { date: session.date },
            Standing::Open => Turn::Settle,
            Standing::Retry(at) => waits(JobState::Retrying, Some(at)),
            Standing::GivenUp => waits(JobState::Failed, next),
            Standing::Over => waits(JobState::Idle, next),
        }
    }

    fn archive(&self) -> Turn {
        let today = self.today();
        let waits = |state, until| Turn::Wait { until, state };
        if !self.has_segments {
            return waits(JobState::Idle, None);
        }
        match self.standing(today, true) {
            Standing::Open | Standing::Over => Turn::Run { date: today },
            Standing::Retry(at) => waits(JobState::Retrying, Some(at)),
            Standing::GivenUp => waits(JobState::Failed, midnight_after(today)),
        }
    }

    fn retention(&self) -> Turn {
        if self.keep_days == 0 {
            return Turn::Wait { until: None, state: JobState::Idle };
        }
        self.after_sessions(self.last_due(RETENTION_AFTER_CLOSE_S).into_iter(), RETENTION_AFTER_CLOSE_S)
    }

    fn verify(&self) -> Turn {
        let oldest = self.today().checked_sub_days(Days::new(CATCH_UP_DAYS));
        let missed =
            |date: &TradingDate| oldest.is_none_or(|oldest| *date >= oldest) && self.is_finished(*date);
        self.after_sessions(self.log_days.iter().copied().filter(missed), VERIFY_AFTER_CLOSE_S)
    }

    /// Of work for each of these days, all of them due; further ones become due so long after their close.
    fn after_sessions(&self, due: impl Iterator<Item = TradingDate>, after_close_s: i64) -> Turn {
        let (mut retry, mut state) = (None, JobState::Idle);
        for date in due {
            match self.standing(date, false) {
                Standing::Open => {
                    return match self.session_hours() {
                        Some(close) => Turn::Wait { until: Some(close), state: JobState::Idle },
                        None if self.is_settled => Turn::Run { date },
                        None => Turn::Settle,
                    };
                }
                Standing::Retry(at) => {
                    retry = Some(retry.map_or(at, |earlier: Timestamp| earlier.min(at)));
                    state = JobState::Retrying;
                }
                Standing::GivenUp if retry.is_none() => state = JobState::Failed,
                Standing::GivenUp => {}
                // A later day that came off well speaks for the job.
                Standing::Over if state == JobState::Failed => state = JobState::Idle,
                Standing::Over => {}
            }
        }
        let next = self.next_due(after_close_s);
        Turn::Wait { until: retry.into_iter().chain(next).min(), state }
    }

    /// `again`: what came off well is no reason not to do it once more.
    fn standing(&self, date: TradingDate, again: bool) -> Standing {
        let again = again || self.reopened.contains(&date);
        let mut runs: Vec<&JobRun> = self.runs.iter().filter(|run| run.session_date == date).collect();
        runs.sort_unstable_by_key(|run| run.attempt);
        let (mut failures, mut last_failure) = (0, None);
        for run in runs {
            match run.state {
                RunState::Done | RunState::Faulty if again => (failures, last_failure) = (0, None),
                RunState::Done | RunState::Faulty => return Standing::Over,
                RunState::Running | RunState::Failed => (failures, last_failure) = (failures + 1, Some(run)),
                RunState::Interrupted => {}
            }
        }
        match last_failure {
            _ if failures >= FAILURES_MAX => Standing::GivenUp,
            Some(run) => {
                let at = retry_at(run, failures);
                if at > self.now { Standing::Retry(at) } else { Standing::Open }
            }
            None => Standing::Open,
        }
    }

    fn today(&self) -> TradingDate {
        self.now.date_ist()
    }

    fn is_finished(&self, date: TradingDate) -> bool {
        let session = self.calendar.session(date);
        session.is_some_and(|session| session.close.plus_seconds(VERIFY_AFTER_CLOSE_S) <= self.now)
    }

    /// The last session whose work of so long after its close is due.
    fn last_due(&self, after_close_s: i64) -> Option<TradingDate> {
        let is_due = |session: &Session| session.close.plus_seconds(after_close_s) <= self.now;
        last_session(self.calendar, self.today(), is_due).map(|session| session.date)
    }

    fn next_due(&self, after_close_s: i64) -> Option<Timestamp> {
        let due = |session: Session| session.close.plus_seconds(after_close_s);
        let today = self.calendar.session(self.today()).map(due).filter(|due| *due > self.now);
        today.or_else(|| self.calendar.next_session(self.today()).map(due))
    }

    /// The close, within session hours and shortly before.
    fn session_hours(&self) -> Option<Timestamp> {
        let session = self.calendar.session(self.today())?;
        let begins = session.open.plus_seconds(-BEFORE_OPEN_S);
        (begins <= self.now && self.now < session.close).then_some(session.close)
    }
}

/// When heavy work must have ended: shortly before the next session.
pub(super) fn must_end_by(calendar: &Calendar, now: Timestamp) -> Option<Timestamp> {
    let begins = |session: Session| session.open.plus_seconds(-BEFORE_OPEN_S);
    let today = calendar.session(now.date_ist()).map(begins).filter(|begins| *begins > now);
    today.or_else(|| calendar.next_session(now.date_ist()).map(begins))
}

/// The last session on or before `date` for which `holds`.
pub(super) fn last_session(
    calendar: &Calendar,
    date: TradingDate,
    holds: impl Fn(&Session) -> bool,
) -> Option<Session> {
    let days = std::iter::successors(Some(date), chrono::NaiveDate::pred_opt).take(SEARCH_DAYS);
    days.filter_map(|date| calendar.session(date)).find(holds)
}

/// Seeded by the run, so that it stays the same however often it is asked.
fn retry_at(run: &JobRun, failures: u32) -> Timestamp {
    let mut rng = ChaCha8Rng::seed_from_u64(run.started.as_us() as u64);
    let delay = RETRY.delay(failures, &mut rng);
    run.started.plus_us(i64::try_from(delay.as_micros()).unwrap_or(i64::MAX))
}

fn midnight_after(date: TradingDate) -> Option<Timestamp> {
    Some(Timestamp::on(date.succ_opt()?, chrono::NaiveTime::MIN))
}

#[cfg(test)]
mod tests;
