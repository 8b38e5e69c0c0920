//! What the jobs see of the daemon.

use super::{intake::Intake, recovery::Recovery, status::DaemonStatus};
use crate::{
    actor::{Lease, PortGauge},
    feed::RecordSink,
    jobs::Surroundings,
    spool::NewRecord,
    store::Checkpoint,
};
use futures_util::future::LocalBoxFuture;
use std::sync::{
    Arc,
    atomic::Ordering::{Acquire, Relaxed},
};

pub struct JobSurroundings {
    pub recovery: Recovery,
    pub status: Arc<DaemonStatus>,
    /// Of the port before the writer.
    pub batches: PortGauge,
    pub intake: Intake,
}

impl Surroundings for JobSurroundings {
    fn is_settled(&self, seq: u64) -> bool {
        let DaemonStatus { pipeline, store, readiness, .. } = &*self.status;
        let batches = self.batches.snapshot();
        readiness.pipeline_up.load(Relaxed)
            && !self.recovery.is_rebuilding()
            && pipeline.seq.load(Acquire) >= seq
            && batches.depth + batches.in_hand == 0
            && store.trouble().is_none()
    }

    fn last_seq(&self) -> u64 {
        self.status.spool.seq()
    }

    fn recovery_point(&self) -> LocalBoxFuture<'_, Result<Option<Checkpoint>, String>> {
        Box::pin(self.recovery.advance())
    }

    fn append<'a>(&'a self, record: NewRecord, lease: &'a Lease) -> LocalBoxFuture<'a, Result<(), String>> {
        Box::pin(async move {
            let sink = self.intake.sink(lease);
            sink.accept(record).await.map_err(|refused| refused.reason)
        })
    }
}
