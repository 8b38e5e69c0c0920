//! The compute child: takes records from the port, runs the pipeline over them, hands rows to the writer.
//!
//! Its state is never trusted after a failure: every incarnation rebuilds the pipeline from the log, from the first
//! day that the store does not contain whole, and leaves out rows that were handed over before.

use super::{live_state::LiveState, status::DaemonStatus};
use crate::{
    actor::{ChildError, Lease, Port},
    market::TradingDate,
    pipeline::{Catalog, Pipeline, PipelineSettings},
    spool::{self, Record, SpoolError, SpoolReader},
    store::{Batch, Checkpoint},
};
use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

/// Records taken from the port at once.
const DRAIN_MAX: usize = 256;

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
    /// When the log cannot be read or the writer's port is gone.
    pub async fn run(self, lease: Lease) -> Result<(), ChildError> {
        let writer = self.batches.producer(&lease);
        let mut live = self.live.sink()?;
        let mut pipeline = Pipeline::new(self.settings.clone(), self.catalog.clone());
        let mut applied = 0;
        let from = self.checkpoint.map(|checkpoint| checkpoint.session_date);
        for date in days_from(&self.spool_directory, from)? {
            for record in SpoolReader::open(&self.spool_directory, date)? {
                let record = record?;
                let mut batch = empty_batch(date);
                pipeline.apply(&record, &mut live, &mut batch);
                applied = record.seq;
                if record.seq > self.handed_over.load(Ordering::Acquire) && !batch.is_empty() {
                    self.status.store.note_handed_over(batch.row_count());
                    self.status.gaps.note(&batch.gaps);
                    writer.push(batch).await.map_err(|refused| refused.reason)?;
                    self.handed_over.store(record.seq, Ordering::Release);
                }
                lease.pulse().progress();
            }
        }
        if applied > 0 {
            log::info!("rebuilt from the log up to record {applied}");
        }
        self.show(&pipeline);
        self.status.readiness.pipeline_up.store(true, Ordering::Relaxed);
        let mut records = self.records.consumer(&lease);
        while let Some(taken) = records.drain(DRAIN_MAX).await {
            // The log was read to its end, so the port may hold what was applied already.
            let mut batch = empty_batch(TradingDate::MIN);
            for record in taken.items() {
                if record.seq > applied {
                    pipeline.apply(record, &mut live, &mut batch);
                    applied = record.seq;
                }
            }
            if !batch.is_empty() {
                let seq = batch.spool_seq;
                self.status.store.note_handed_over(batch.row_count());
                self.status.gaps.note(&batch.gaps);
                self.live.tell_watchers(&batch);
                writer.push(batch).await.map_err(|refused| refused.reason)?;
                self.handed_over.store(seq, Ordering::Release);
            }
            if !taken.done() {
                break;
            }
            self.show(&pipeline);
        }
        Ok(())
    }

    fn show(&self, pipeline: &Pipeline) {
        use Ordering::Relaxed;
        let status = &self.status.pipeline;
        let counters = pipeline.counters();
        status.records.store(counters.records, Relaxed);
        status.observations.store(counters.observations, Relaxed);
        status.malformed.store(counters.malformed, Relaxed);
        status.unwatched.store(counters.unwatched, Relaxed);
        status.stale_bodies.store(counters.stale_bodies, Relaxed);
        status.unknown_lots.store(counters.unknown_lots, Relaxed);
        status.seq.store(pipeline.last_seq(), Relaxed);
        status.set_last_error(&counters.last_error);
        status.set_active_provider(pipeline.watching());
        for feed in &self.status.feeds {
            if let Some(event_time) = counters.last_event_of(feed.provider) {
                feed.note_event(event_time);
            }
        }
        let Some(day) = pipeline.day() else {
            status.set_session(None);
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
