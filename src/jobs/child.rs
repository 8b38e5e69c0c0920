//! A job as a child: it looks what is due, does it, notes the run, and sleeps until the next time.

use super::{
    JobName, Outcome,
    board::{JobBoard, remembered_since},
    plan::{Circumstances, Turn, must_end_by},
};
use crate::{
    actor::{ChildError, Lease, Port, Producer},
    clock::Clock,
    logging::Event,
    market::{Timestamp, TradingDate},
    pipeline::PipelineSettings,
    spool::{self, NewRecord, SpoolError, WrittenSegment},
    store::{Batch, Checkpoint, JobRun, JobRunFilter, Reader, RunState},
};
use futures_util::future::LocalBoxFuture;
use std::{collections::BTreeSet, path::PathBuf, sync::Arc, time::Duration};

/// How long it sleeps at most. What it waits for wakes it, but a calendar or a clock may have been put right.
const LOOK_US: i64 = 3_600_000_000;
/// In real time: how soon a step of the machine's clock is noticed.
const CLOCK_LOOK: Duration = Duration::from_secs(60);
/// In real time, while the store is not as far as the log.
const SETTLE_LOOK: Duration = Duration::from_secs(2);
/// In real time, while the store does not say which runs there were.
const LOAD_RETRY: Duration = Duration::from_secs(5);
/// In real time. No run takes that long unless something is stuck.
const RUN_LIMIT: Duration = Duration::from_secs(2 * 3_600);
/// Runs of one job that the store is asked for.
const RUNS_MAX: u32 = 10_000;

/// What the jobs need to know of the daemon around them.
pub trait Surroundings: Send + Sync {
    /// Whether the store contains what the log gives up to this record.
    fn is_settled(&self, seq: u64) -> bool;

    /// The number of the log's last record.
    fn last_seq(&self) -> u64;

    /// What the store contains. From now on no rebuild of the pipeline begins before that checkpoint's day. `None` if the
    /// store contains nothing. The error is a text for people.
    fn recovery_point(&self) -> LocalBoxFuture<'_, Result<Option<Checkpoint>, String>>;

    /// Appends a record to the log, in its order. The error is a text for people.
    fn append<'a>(&'a self, record: NewRecord, lease: &'a Lease) -> LocalBoxFuture<'a, Result<(), String>>;
}

/// What every incarnation of every job begins from.
#[derive(Clone)]
pub struct JobParts {
    pub settings: PipelineSettings,
    pub store_url: String,
    pub spool_directory: PathBuf,
    pub written: WrittenSegment,
    pub clock: Clock,
    /// To the store's writer.
    pub batches: Port<Batch>,
    pub board: Arc<JobBoard>,
    pub daemon: Arc<dyn Surroundings>,
}

/// The child of one job. It wants a thread of its own: its work blocks on the disk and keeps a processor busy.
#[derive(Clone)]
pub struct JobChild {
    pub job: JobName,
    pub parts: JobParts,
}

impl JobChild {
    /// One incarnation.
    ///
    /// # Errors
    /// When the log cannot be listed, or the writer's port is gone.
    pub async fn run(self, lease: Lease) -> Result<(), ChildError> {
        let JobChild { job, parts } = self;
        let writer = parts.batches.producer(&lease);
        let mut shift =
            Shift { job, parts, lease: lease.clone(), writer, damaged: BTreeSet::new(), awaited_seq: None };
        let is_loaded = tokio::select! {
            biased;
            _ = lease.stopping() => false,
            () = shift.load() => true,
        };
        if !is_loaded {
            return Ok(());
        }
        shift.end_cut_runs().await?;
        while !lease.is_stopping() {
            if let Some(wanted) = shift.parts.board.take_comparison(job) {
                shift.compare(wanted).await;
                continue;
            }
            if let Some(inquiry) = shift.parts.board.take_inquiry(job) {
                shift.find_out(inquiry).await;
                continue;
            }
            match shift.next()? {
                Turn::Run { date } => shift.attempt(date).await?,
                Turn::Settle => shift.rest(None).await,
                Turn::Wait { until, state } => {
                    shift.parts.board.show(job, state, until);
                    let now = shift.now();
                    let look = now.plus_us(LOOK_US);
                    shift.rest(Some(until.map_or(look, |until| until.min(look)))).await;
                }
            }
        }
        Ok(())
    }
}

/// One incarnation at work.
pub(super) struct Shift {
    job: JobName,
    pub parts: JobParts,
    pub lease: Lease,
    writer: Producer<Batch>,
    /// Segments that cannot be compressed.
    pub damaged: BTreeSet<PathBuf>,
    /// The record up to which the store is to be, while that is waited for: the log goes on meanwhile.
    awaited_seq: Option<u64>,
}

impl Shift {
    pub fn now(&self) -> Timestamp {
        self.parts.clock.now()
    }

    /// The runs of the last days, once in a life of the daemon: from then on the board knows better.
    async fn load(&self) {
        let JobParts { board, store_url, .. } = &self.parts;
        let since = Some(remembered_since(self.now().date_ist()));
        let filter = JobRunFilter { job: Some(self.job.name().to_owned()), since };
        while board.runs(self.job).is_none() {
            let read = async { Reader::open(store_url).await?.job_runs(&filter, RUNS_MAX).await };
            match read.await {
                Ok(runs) => board.load(self.job, runs),
                Err(error) => {
                    log::debug!(job:% = self.job, error:%; "the store does not say how {} stands: {error}", self.job);
                    tokio::time::sleep(LOAD_RETRY).await;
                }
            }
        }
    }

    /// A run that nobody ended was cut off: by a kill of the daemon, or with the incarnation before.
    async fn end_cut_runs(&self) -> Result<(), ChildError> {
        let whose = if self.lease.incarnation() == 1 { "the daemon" } else { "the job's child" };
        let runs = self.parts.board.runs(self.job).unwrap_or_default();
        for run in runs.into_iter().filter(|run| run.state == RunState::Running) {
            let error = Some(format!("{whose} ended within it"));
            let ended = Some(self.now().max(run.started));
            self.note(JobRun { state: RunState::Failed, ended, error, ..run }).await?;
        }
        Ok(())
    }

    fn next(&mut self) -> Result<Turn, SpoolError> {
        let awaited_seq = self.awaited_seq.unwrap_or_else(|| self.parts.daemon.last_seq());
        let turn = self.next_once(self.parts.daemon.is_settled(awaited_seq))?;
        self.awaited_seq = (turn == Turn::Settle).then_some(awaited_seq);
        Ok(turn)
    }

    /// An order goes before whatever is due.
    fn next_once(&self, is_settled: bool) -> Result<Turn, SpoolError> {
        let JobParts { settings, board, spool_directory, .. } = &self.parts;
        let runs = board.runs(self.job).unwrap_or_default();
        let reopened = board.reopened(self.job);
        let log_days = match self.job {
            // Of a day whose whole log is gone it says so.
            JobName::Verify => {
                let days: BTreeSet<TradingDate> = spool::days(spool_directory)?.into_iter().collect();
                days.union(&reopened).copied().collect()
            }
            JobName::DayPlan | JobName::Archive | JobName::Retention => Vec::new(),
        };
        let circumstances = Circumstances {
            calendar: &settings.calendar,
            now: self.now(),
            runs: &runs,
            reopened: &reopened,
            log_days: &log_days,
            has_segments: self.job == JobName::Archive && !self.segments()?.is_empty(),
            keep_days: board.keep_days(),
            is_settled,
        };
        if let Some(order) = board.take_order(self.job) {
            let date = circumstances.ordered(self.job);
            // Who asked may have gone; then nobody wants it any more.
            let answered = order.send(date.as_ref().map(|_| ()).map_err(String::clone));
            if let (Ok(()), Ok(date)) = (answered, date) {
                return Ok(Turn::Run { date });
            }
        }
        Ok(circumstances.turn(self.job))
    }

    /// Sleeps until then, or for a short while; until something happens at most.
    async fn rest(&mut self, until: Option<Timestamp>) {
        let JobParts { board, clock, written, .. } = &mut self.parts;
        let is_archive = self.job == JobName::Archive;
        let time = async {
            match until {
                Some(until) => clock.sleep_until_looking(until, CLOCK_LOOK).await,
                None => tokio::time::sleep(SETTLE_LOOK).await,
            }
        };
        tokio::select! {
            _ = self.lease.stopping() => {}
            () = board.woken(self.job) => {}
            () = written.changed(), if is_archive => {}
            () = time => {}
        }
    }

    async fn attempt(&mut self, date: TradingDate) -> Result<(), ChildError> {
        let runs = self.parts.board.runs(self.job).unwrap_or_default();
        let of_day = runs.iter().filter(|run| run.session_date == date);
        let attempt = 1 + of_day.map(|run| run.attempt).max().unwrap_or(0);
        let job = self.job.name();
        let run = JobRun {
            job: job.to_owned(),
            session_date: date,
            attempt,
            state: RunState::Running,
            started: self.now(),
            ended: None,
            error: None,
        };
        self.note(run.clone()).await?;
        let outcome = self.work(date).await;
        let (state, error) = match outcome {
            Outcome::Done(remark) => (RunState::Done, remark),
            Outcome::Faulty(fault) => (RunState::Faulty, Some(fault)),
            Outcome::Failed(error) => {
                log::warn!(
                    event = Event::JobFailed, job, error;
                    "the job {job} failed for {date}, in run {attempt} of it: {error}"
                );
                (RunState::Failed, Some(error))
            }
            Outcome::Interrupted(reason) => (RunState::Interrupted, Some(reason.to_owned())),
        };
        self.lease.pulse().progress();
        self.note(JobRun { state, ended: Some(self.now().max(run.started)), error, ..run }).await
    }

    async fn work(&mut self, date: TradingDate) -> Outcome {
        let lease = self.lease.clone();
        let (clock, end) = (self.parts.clock.clone(), must_end_by(&self.parts.settings.calendar, self.now()));
        // The hour that ended is compressed in session hours too, and a plan is owed until the close.
        let end = end.filter(|_| !matches!(self.job, JobName::Archive | JobName::DayPlan));
        let session_nears = async {
            match end {
                Some(end) => clock.sleep_until_looking(end, CLOCK_LOOK).await,
                None => std::future::pending().await,
            }
        };
        let job = self.job;
        let work = async {
            match job {
                JobName::DayPlan => self.plan_day(date).await,
                JobName::Archive => self.archive().await,
                JobName::Retention => self.remove_old_days().await,
                JobName::Verify => self.verify(date).await,
            }
        };
        tokio::select! {
            biased;
            _ = lease.stopping() => Outcome::Interrupted("the daemon stopped, or the job's child was to begin anew"),
            () = session_nears => Outcome::Interrupted("a session was about to open"),
            outcome = tokio::time::timeout(RUN_LIMIT, work) => {
                outcome.unwrap_or_else(|_| Outcome::Failed(format!("it took longer than {RUN_LIMIT:?}")))
            }
        }
    }

    /// On the board, and on its way to the store.
    async fn note(&self, run: JobRun) -> Result<(), ChildError> {
        // The push asks again, but the board is no port.
        if self.lease.is_current() {
            self.parts.board.note(self.job, run.clone());
        }
        self.writer.push(Batch::of_job_run(run)).await.map_err(|refused| refused.reason)?;
        Ok(())
    }
}
