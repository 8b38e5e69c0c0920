//! The child that writes rows: what has piled up becomes one transaction, with the log's position in it.
//!
//! Each incarnation opens the store anew; a transaction that was cut off by a failure is rolled back by the database, and
//! one that is still under way when its incarnation is given up is refused at its commit.
//!
//! A database that is slow is neither a hang nor the fault of the rows: a transaction takes as long as it gets on. One that
//! stands still is given up with an error, which blames no rows.

use super::status::DaemonStatus;
use crate::{
    actor::{ChildError, Lease, Port},
    clock::Clock,
    store::{self, Batch, Birth, ErrorClass, Fence, OpenStore, OpeningSign, Progress, Store, StoreError},
};
use backon::{BackoffBuilder, ExponentialBuilder};
use std::{
    pin::pin,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

/// Batches merged into one transaction at most.
const DRAIN_MAX: usize = 256;
/// Rows in one transaction at most: more are written by the next.
const ROWS_MAX: usize = 100_000;
/// How long the database may show no sign of work: it may wait for a lock that somebody holds, or for a disk.
const STILL_MAX: Duration = Duration::from_secs(90);

/// What every incarnation begins from.
#[derive(Clone)]
pub struct Writer {
    pub url: String,
    pub birth: Birth,
    pub clock: Clock,
    pub batches: Port<Batch>,
    pub status: Arc<DaemonStatus>,
}

impl Writer {
    /// One incarnation.
    ///
    /// # Errors
    /// When the store reports something that waiting does not mend.
    pub async fn run(self, lease: Lease) -> Result<(), ChildError> {
        let mut batches = self.batches.consumer(&lease);
        let Some(mut store) = self.open(&lease).await? else { return Ok(()) };
        self.status.readiness.store_open.store(true, Relaxed);
        while let Some(mut taken) = batches.drain(DRAIN_MAX).await {
            if taken.redelivery() > 0 {
                // One of these may have killed the incarnation before: it shows by itself.
                while let Some(batch) = taken.next() {
                    if !self.write(&mut store, batch, &lease).await? {
                        return Ok(());
                    }
                    lease.pulse().progress();
                }
            }
            while let [first, rest @ ..] = taken.items() {
                let (mut batch, mut count) = (first.clone(), 1);
                for more in rest {
                    if batch.row_count() + more.row_count() > ROWS_MAX {
                        break;
                    }
                    batch.merge(more.clone());
                    count += 1;
                }
                taken.take_together(count);
                if !self.write(&mut store, &batch, &lease).await? {
                    return Ok(());
                }
                taken.handled(count);
                lease.pulse().progress();
            }
            if !taken.done() {
                break;
            }
        }
        Ok(())
    }

    /// `None` if the incarnation was given up meanwhile.
    async fn open(&self, lease: &Lease) -> Result<Option<OpenStore>, ChildError> {
        let mut delays = retry_delays();
        loop {
            let pulse = lease.pulse();
            let mut excused = Some(pulse.excuse(STILL_MAX));
            let mut note = |sign| {
                if sign == OpeningSign::AtWork {
                    pulse.progress();
                    // The end of an excuse would end the next one.
                    drop(excused.take());
                    excused = Some(pulse.excuse(STILL_MAX));
                }
            };
            match store::open_noting(&self.url, self.birth, &mut note).await {
                Ok(mut store) => {
                    let (fence, signs) = (lease.clone(), lease.clone());
                    store.set_fence(Fence::new(move || fence.is_current()));
                    store.set_progress(Progress::new(move || {
                        if signs.is_current() {
                            signs.pulse().progress();
                        }
                    }));
                    return Ok(Some(store));
                }
                Err(error) => {
                    if !self.wait_out(error, &mut delays, lease).await? {
                        return Ok(None);
                    }
                }
            }
        }
    }

    /// Writes a batch for as long as it takes. False if the incarnation was given up meanwhile.
    async fn write(&self, store: &mut OpenStore, batch: &Batch, lease: &Lease) -> Result<bool, ChildError> {
        #[cfg(feature = "chaos")]
        super::chaos::taste_rows(batch);
        let mut delays = retry_delays();
        loop {
            match append(store, batch, lease).await? {
                Ok(()) => {
                    // Those that the recorder handed over.
                    let rows = batch.outcome_row_count();
                    self.status.store.note_written(batch.checkpoint(), rows, self.clock.now());
                    return Ok(true);
                }
                Err(error) => {
                    if !self.wait_out(error, &mut delays, lease).await? {
                        return Ok(false);
                    }
                }
            }
        }
    }

    /// Waits before another try, where one can help. False if the incarnation was given up meanwhile.
    async fn wait_out(
        &self,
        error: StoreError,
        delays: &mut impl Iterator<Item = Duration>,
        lease: &Lease,
    ) -> Result<bool, ChildError> {
        let class = error.class();
        self.status.store.note_failure(class, &error);
        match class {
            ErrorClass::Retry | ErrorClass::DiskFull => {
                let _waiting = lease.pulse().wait();
                tokio::time::sleep(delays.next().unwrap_or(RETRY_LONGEST)).await;
                Ok(lease.is_current())
            }
            ErrorClass::Stop | ErrorClass::Configuration => Err(error.into()),
        }
    }
}

/// The database took no piece of a transaction for too long. The next incarnation connects anew.
#[derive(Debug, thiserror::Error)]
#[error(
    "the store has taken nothing for {STILL_MAX:?}; does somebody hold a lock, or does its disk stand still?"
)]
struct StoodStill;

async fn append(
    store: &mut OpenStore,
    batch: &Batch,
    lease: &Lease,
) -> Result<Result<(), StoreError>, StoodStill> {
    let pulse = lease.pulse();
    let _waiting = pulse.wait();
    pulse.progress();
    let mut appended = pin!(store.append(batch));
    loop {
        let patience = STILL_MAX.saturating_sub(pulse.progress_age());
        tokio::select! {
            biased;
            outcome = &mut appended => return Ok(outcome),
            () = tokio::time::sleep(patience) => {
                if pulse.progress_age() >= STILL_MAX {
                    return Err(StoodStill);
                }
            }
        }
    }
}

const RETRY_LONGEST: Duration = Duration::from_secs(5);

fn retry_delays() -> impl Iterator<Item = Duration> {
    ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(50))
        .with_max_delay(RETRY_LONGEST)
        .without_max_times()
        .build()
}
