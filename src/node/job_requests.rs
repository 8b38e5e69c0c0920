//! What operators ask of the jobs.

use super::{control_child::ControlChild, market_queries::RecordQueries};
use crate::{
    control::{
        ControlError, JobHistoryRequest, JobHistoryResponse, JobRequest, JobRow, JobRunRow, JobRunState,
        JobState, JobsResponse, JudgedBy, RejudgedRows, ReplayRejudgeResponse, ReplayRow,
        ReplayVerifyResponse, RowState, RunJobResponse, WallTime,
    },
    jobs::{self, JobName, JobView, Rejudged, TableComparison, VerifyError},
    market::TradingDate,
    store::{JobRun, JobRunFilter, RunState},
};
use std::time::{Duration, Instant};

/// How long a job's child may take to take an order.
const TAKEN_WITHIN: Duration = Duration::from_secs(5);

impl ControlChild {
    /// From memory alone.
    pub(super) fn show_jobs(&self) -> JobsResponse {
        JobsResponse { jobs: JobName::ALL.map(|job| self.show_job(job)).into() }
    }

    fn show_job(&self, job: JobName) -> JobRow {
        let JobView { state, next_due, last_run } = self.status.jobs.view(job);
        JobRow {
            job: job.name().to_owned(),
            purpose: job.purpose().to_owned(),
            state: match state {
                jobs::JobState::Idle => JobState::Idle,
                jobs::JobState::Running => JobState::Running,
                jobs::JobState::Retrying => JobState::WaitingForRetry,
                jobs::JobState::Failed => JobState::Failed,
            },
            next_due: next_due.map(WallTime),
            last_run: last_run.map(run_row),
        }
    }

    /// Answers once the job's child has taken the order, not when the job is done.
    pub(super) async fn run_job(&self, request: &JobRequest) -> Result<RunJobResponse, ControlError> {
        let job = named(&request.job)?;
        let unavailable = |reason: String| ControlError::Unavailable { reason };
        let answer = self.status.jobs.order(job).map_err(unavailable)?;
        match tokio::time::timeout(TAKEN_WITHIN, answer).await {
            Ok(Ok(taken)) => taken.map_err(unavailable)?,
            Ok(Err(_)) => return Err(unavailable(format!("another order to run {job} came in between"))),
            Err(_) => {
                let reason =
                    format!("{job} does not take orders; `bhavctl actors` shows what jobs/{job} does");
                return Err(unavailable(reason));
            }
        }
        Ok(RunJobResponse { job: self.show_job(job) })
    }
}

impl RecordQueries {
    pub(super) async fn show_job_history(
        &self,
        request: &JobHistoryRequest,
    ) -> Result<JobHistoryResponse, ControlError> {
        let job = request.job.as_deref().map(named).transpose()?;
        let filter = JobRunFilter { job: job.map(|job| job.name().to_owned()), since: None };
        let runs = self.reader().await?.job_runs(&filter, request.limit()).await;
        let runs = runs.map_err(|error| ControlError::Unavailable { reason: error.to_string() })?;
        Ok(JobHistoryResponse { runs: runs.into_iter().map(run_row).collect() })
    }
}

impl ControlChild {
    /// What the job does after the session, for a day and at a time of the caller's choice.
    pub(super) async fn verify(&self, date: TradingDate) -> Result<ReplayVerifyResponse, ControlError> {
        let began = Instant::now();
        let unavailable = |reason: String| ControlError::Unavailable { reason };
        let compared = self.status.jobs.compare(date).map_err(unavailable)?.await;
        let verified =
            compared.map_err(|_| unavailable("jobs/verify began anew meanwhile; ask again".to_owned()))?;
        let verified = verified.map_err(refusal)?;
        Ok(ReplayVerifyResponse {
            date,
            equal: verified.is_equal(),
            judged_by: rules_of(verified.judged_by),
            records: verified.records,
            rows: table_rows(verified.tables),
            losses: verified.losses,
            set_aside: verified.set_aside,
            differences: verified.likely_cause.into_iter().chain(verified.differences).collect(),
            took_ms: u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
        })
    }
}

impl ControlChild {
    /// What today's rules say of a day that is over.
    pub(super) async fn rejudge(&self, date: TradingDate) -> Result<ReplayRejudgeResponse, ControlError> {
        if date >= self.clock.now().date_ist() {
            let reason = format!("{date} is not over: its rows may still change; ask on the day after");
            return Err(ControlError::invalid("date", reason));
        }
        let unavailable = |reason: String| ControlError::Unavailable { reason };
        let judged = self.status.jobs.rejudge(date).map_err(unavailable)?.await;
        let judged =
            judged.map_err(|_| unavailable("jobs/verify began anew meanwhile; ask again".to_owned()))?;
        let Rejudged { records, judged_by, rules, unchanged, changes, tables, damages } =
            judged.map_err(refusal)?;
        let changes = changes.into_iter().map(|change| RejudgedRows {
            old_state: change.from.map(RowState::from),
            new_state: change.to.map(RowState::from),
            count: change.rows,
            other_values: change.other_values,
            examples: change.examples,
        });
        Ok(ReplayRejudgeResponse {
            date,
            records,
            judged_by: rules_of(judged_by),
            rules,
            unchanged,
            changes: changes.collect(),
            rows: table_rows(tables),
            damages,
        })
    }
}

fn refusal(error: VerifyError) -> ControlError {
    let reason = error.to_string();
    match error {
        VerifyError::NoLog { .. } | VerifyError::LogGone { .. } => ControlError::NoData { reason },
        VerifyError::StillRecorded { .. } | VerifyError::Spool(_) | VerifyError::Store(_) => {
            ControlError::Unavailable { reason }
        }
    }
}

fn table_rows(tables: Vec<TableComparison>) -> Vec<ReplayRow> {
    let row = |TableComparison { table, stored, replayed, different }| ReplayRow {
        what: table,
        stored,
        replayed,
        different,
    };
    tables.into_iter().map(row).collect()
}

pub(super) fn rules_of(judged_by: jobs::JudgedBy) -> JudgedBy {
    match judged_by {
        jobs::JudgedBy::Log => JudgedBy::Log,
        jobs::JudgedBy::OtherVersion => JudgedBy::OtherVersion,
        jobs::JudgedBy::NotKnown => JudgedBy::NotKnown,
    }
}

fn named(text: &str) -> Result<JobName, ControlError> {
    text.parse().map_err(|_| ControlError::UnknownJob {
        job: text.to_owned(),
        known: JobName::ALL.map(|job| job.name().to_owned()).into(),
    })
}

fn run_row(run: JobRun) -> JobRunRow {
    JobRunRow {
        job: run.job,
        session_date: run.session_date,
        attempt: run.attempt,
        state: match run.state {
            RunState::Running => JobRunState::Running,
            RunState::Done => JobRunState::Done,
            RunState::Faulty => JobRunState::Faulty,
            RunState::Failed => JobRunState::Failed,
            RunState::Interrupted => JobRunState::Interrupted,
        },
        started: WallTime(run.started),
        ended: run.ended.map(WallTime),
        error: run.error,
    }
}
