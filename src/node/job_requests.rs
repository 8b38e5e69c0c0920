//! What operators ask of the jobs.

use super::control_child::ControlChild;
use crate::{
    actor::Pulse,
    control::{
        ControlError, JobHistoryRequest, JobHistoryResponse, JobRequest, JobRow, JobRunRow, JobRunState,
        JobState, JobsResponse, ReplayRow, ReplayVerifyResponse, RunJobResponse, WallTime,
    },
    jobs::{self, JobName, JobView, VerifyError},
    market::TradingDate,
    store::{JobRun, JobRunFilter, Reader, RunState},
};
use std::{
    sync::Arc,
    thread,
    time::{Duration, Instant},
};
use tokio::sync::oneshot;

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

    pub(super) async fn show_job_history(
        &self,
        request: &JobHistoryRequest,
    ) -> Result<JobHistoryResponse, ControlError> {
        let job = request.job.as_deref().map(named).transpose()?;
        let filter = JobRunFilter { job: job.map(|job| job.name().to_owned()), since: None };
        let read =
            async { Reader::open(&self.config.store.url).await?.job_runs(&filter, request.limit()).await };
        let runs = read.await.map_err(|error| ControlError::Unavailable { reason: error.to_string() })?;
        Ok(JobHistoryResponse { runs: runs.into_iter().map(run_row).collect() })
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

    /// By hand, on the spot: what the job does after the session. On a thread of its own: a turn of it may take seconds, and
    /// whoever asks something else is answered meanwhile.
    pub(super) async fn verify(&self, date: TradingDate) -> Result<ReplayVerifyResponse, ControlError> {
        let began = Instant::now();
        let turn = Arc::clone(&self.verify_turn).lock_owned().await;
        let (config, settings) = (Arc::clone(&self.config), self.settings.clone());
        let unavailable = |reason: String| ControlError::Unavailable { reason };
        let (mut reply, answer) = oneshot::channel();
        let verify = move || {
            let _turn = turn;
            let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
                Ok(runtime) => runtime,
                Err(error) => {
                    let _ = reply.send(Err(error));
                    return;
                }
            };
            runtime.block_on(async {
                let pulse = Pulse::default();
                let (url, directory) = (&config.store.url, &config.spool.dir);
                let verified = tokio::select! {
                    verified = jobs::verify_day(url, directory, &settings, date, &pulse) => verified,
                    // Nobody waits for it any more.
                    () = reply.closed() => return,
                };
                let _ = reply.send(Ok(verified));
            });
        };
        let started = thread::Builder::new().name("verify".to_owned()).spawn(verify);
        started.map_err(|error| unavailable(format!("no thread to verify on: {error}")))?;
        let verified = answer
            .await
            .map_err(|_| unavailable("the verification broke off".to_owned()))?
            .map_err(|error| unavailable(format!("no runtime to verify on: {error}")))?;
        let verified = verified.map_err(|error| match error {
            VerifyError::NoLog { .. } => ControlError::NoData { reason: error.to_string() },
            VerifyError::Spool(_) | VerifyError::Store(_) => {
                ControlError::Unavailable { reason: error.to_string() }
            }
        })?;
        let rows = verified.tables.iter().map(|table| ReplayRow {
            what: table.table.clone(),
            stored: table.stored,
            replayed: table.replayed,
            different: table.different,
        });
        Ok(ReplayVerifyResponse {
            date,
            equal: verified.is_equal(),
            records: verified.records,
            rows: rows.collect(),
            differences: verified.differences,
            took_ms: u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
        })
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
