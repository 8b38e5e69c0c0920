//! The compute child: takes records from the port, runs the pipeline over them, hands rows to the writer.
//!
//! Its state is never trusted after a failure: every incarnation rebuilds the pipeline from the log, from the first
//! day that the store does not contain whole, and leaves out rows that were handed over before.
//!
//! A record that panicked or hung two incarnations, while it was applied live or while the log was read again, is left out:
//! a dead letter beside the log says so, and every replay leaves it out too ([`crate::spool::DeadLetters`]).

use super::{
    live_state::{LiveState, RecorderEnd},
    status::DaemonStatus,
};
use crate::{
    actor::{ChildError, Lease, Port, Producer, Refusal, Verdict},
    engine::TradingDay,
    logging::{self, Event},
    market::TradingDate,
    pipeline::{Catalog, Pipeline, PipelineSettings},
    spool::{self, DeadLetter, DeadLetters, Record, Source, SpoolError, SpoolReader},
    store::{Batch, Checkpoint},
};
use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

/// Records taken from the port at once.
const DRAIN_MAX: usize = 256;
/// What decoding a master may take on a slow machine.
const MASTER_EXCUSE: Duration = Duration::from_secs(60);

/// What every incarnation begins from.
#[derive(Clone)]
pub struct Recorder {
    pub settings: PipelineSettings,
    /// What the store held when the daemon started.
    pub catalog: Catalog,
    pub checkpoint: Option<Checkpoint>,
    pub spool_directory: PathBuf,
    pub records: Port<Record>,
    pub batches: Port<Batch>,
    pub live: LiveState,
    pub status: Arc<DaemonStatus>,
    /// Rows of records up to this one were handed to the writer.
    pub handed_over: Arc<AtomicU64>,
}

impl Recorder {
    /// One incarnation.
    ///
    /// # Errors
    /// When the log cannot be read, a record cannot be set aside, or the writer's port is gone.
    pub async fn run(self, lease: Lease) -> Result<(), ChildError> {
        let writer = self.batches.producer(&lease);
        let mut live = self.live.sink(&lease);
        let dead_letters = DeadLetters::read(&self.spool_directory)?;
        let mut work = Work { recorder: &self, lease: &lease, dead_letters };
        let mut pipeline = Pipeline::new(self.settings.clone(), self.catalog.clone());
        let mut applied = 0;
        let from = self.checkpoint.map(|checkpoint| checkpoint.session_date);
        for date in days_from(&self.spool_directory, from)? {
            for read in SpoolReader::open(&self.spool_directory, date)? {
                let record = match read {
                    Ok(record) => record,
                    Err(SpoolError::Damaged(damage)) => {
                        self.status.spool.note_damage(&damage);
                        pipeline.note_loss(&mut live);
                        continue;
                    }
                    Err(error) => return Err(error.into()),
                };
                let mut batch = empty_batch(date);
                work.apply(&mut pipeline, &record, &mut live, &mut batch)?;
                applied = record.seq;
                if record.seq > self.handed_over.load(Ordering::Acquire) && !batch.is_empty() {
                    work.hand_over(&writer, batch).await?;
                }
            }
        }
        if applied > 0 {
            log::info!(event = Event::SpoolReplayed, seq = applied; "rebuilt from the log up to record {applied}");
        }
        self.show(&pipeline);
        self.status.readiness.pipeline_up.store(true, Ordering::Relaxed);
        let mut records = self.records.consumer(&lease);
        while let Some(taken) = records.drain(DRAIN_MAX).await {
            // The log was read to its end, so the port may hold what was applied already.
            let mut batch = empty_batch(TradingDate::MIN);
            for record in taken.items() {
                if record.seq > applied {
                    work.apply(&mut pipeline, record, &mut live, &mut batch)?;
                    applied = record.seq;
                }
            }
            if !batch.is_empty() {
                if lease.is_current() {
                    self.live.tell_watchers(&batch);
                }
                work.hand_over(&writer, batch).await?;
            }
            if !taken.done() {
                break;
            }
            self.show(&pipeline);
        }
        Ok(())
    }

    fn show(&self, pipeline: &Pipeline) {
        self.show_work(pipeline);
        self.show_session(pipeline.day());
        self.status.pipeline.seq.store(pipeline.last_seq(), Ordering::Release);
    }

    fn show_work(&self, pipeline: &Pipeline) {
        use Ordering::Relaxed;
        let status = &self.status.pipeline;
        let counters = pipeline.counters();
        status.records.store(counters.records, Relaxed);
        status.observations.store(counters.observations, Relaxed);
        status.malformed.store(counters.malformed, Relaxed);
        status.unwatched.store(counters.unwatched, Relaxed);
        status.stale_bodies.store(counters.stale_bodies, Relaxed);
        status.unknown_lots.store(counters.unknown_lots, Relaxed);
        status.set_last_error(&counters.last_error);
        status.set_forced_provider(pipeline.forced());
        status.set_active_provider(pipeline.watching());
        for feed in &self.status.feeds {
            if let Some(event_time) = counters.last_event_of(feed.provider) {
                feed.note_event(event_time);
            }
        }
    }

    fn show_session(&self, day: Option<&TradingDay>) {
        use Ordering::Relaxed;
        let status = &self.status.pipeline;
        let Some(day) = day else {
            status.set_session(None);
            logging::set_session(None);
            return;
        };
        let day_counters = day.counters();
        status.late.store(day_counters.late, Relaxed);
        status.outdated.store(day_counters.outdated, Relaxed);
        status.watched.store(day.slot_count() as u64, Relaxed);
        status.buckets_closed.store(day.closed_buckets() as u64, Relaxed);
        status.buckets_of_session.store(day.bucket_count() as u64, Relaxed);
        let hours = day.hours();
        status.set_session(Some((hours.open, hours.close)));
        logging::set_session(Some(hours.open.date_ist()));
    }
}

/// One incarnation at work.
struct Work<'a> {
    recorder: &'a Recorder,
    lease: &'a Lease,
    dead_letters: DeadLetters,
}

impl Work<'_> {
    /// Applies a record unless it is to be left out; one that broke two incarnations is left out from now on.
    fn apply(
        &mut self,
        pipeline: &mut Pipeline,
        record: &Record,
        live: &mut RecorderEnd,
        batch: &mut Batch,
    ) -> Result<(), SpoolError> {
        let lease = self.lease;
        lease.pulse().progress();
        if self.dead_letters.contains(record.seq) {
            return Ok(());
        }
        if let Some(verdict) = lease.verdict(record.seq) {
            let Verdict { incarnations, reason, .. } = verdict;
            let letter = DeadLetter::of(record, lease.child(), incarnations, reason.to_string());
            self.dead_letters.add(&self.recorder.spool_directory, letter)?;
            lease.note_set_aside();
            self.recorder.status.pipeline.set_aside.fetch_add(1, Ordering::Relaxed);
            log::error!(
                event = Event::RecordSetAside, seq = record.seq, reason:%;
                "record {} is left out: it {reason}; it stays in the log",
                record.seq
            );
            return Ok(());
        }
        // Some hundred thousand rows of JSON in one turn.
        let is_long = record.source == Source::AngelOneMaster;
        let _excused = is_long.then(|| lease.pulse().excuse(MASTER_EXCUSE));
        lease.take_in_hand(record.seq);
        #[cfg(feature = "chaos")]
        super::chaos::taste_record(record.seq);
        pipeline.apply(record, live, batch);
        lease.lay_down();
        Ok(())
    }

    async fn hand_over(&self, writer: &Producer<Batch>, batch: Batch) -> Result<(), Refusal> {
        let (seq, rows) = (batch.spool_seq, batch.row_count());
        self.recorder.status.gaps.note(&batch.gaps);
        writer.push(batch).await.map_err(|refused| refused.reason)?;
        self.recorder.status.store.note_handed_over(rows);
        // An incarnation that was given up meanwhile did hand these over, but perhaps no later ones.
        self.recorder.handed_over.fetch_max(seq, Ordering::AcqRel);
        Ok(())
    }
}

/// The log's days from `from` on; all of them if the store contains nothing.
pub fn days_from(directory: &Path, from: Option<TradingDate>) -> Result<Vec<TradingDate>, SpoolError> {
    let mut days = spool::days(directory)?;
    days.retain(|date| from.is_none_or(|from| *date >= from));
    Ok(days)
}

fn empty_batch(date: TradingDate) -> Batch {
    Batch::new(date, 0)
}
