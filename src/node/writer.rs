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
    convert::Infallible,
    future::pending,
    pin::pin,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

/// Batches merged into one transaction at most.
const DRAIN_MAX: usize = 256;
/// Rows in one transaction at most: more are written by the next.
const ROWS_MAX: usize = 100_000;
/// Without rows for this long there is no session, or nothing happens in it.
const QUIET_AFTER: Duration = Duration::from_secs(300);
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
        loop {
            let taken = tokio::select! {
                biased;
                taken = batches.drain(DRAIN_MAX) => taken,
                never = self.rest_when_quiet(&mut store) => match never {},
            };
            let Some(mut taken) = taken else { break };
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

    /// Gives back what the store keeps for writing fast. Never returns; may be dropped at any time.
    async fn rest_when_quiet(&self, store: &mut OpenStore) -> Infallible {
        self.clock.sleep(QUIET_AFTER).await;
        store.rest();
        pending().await
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
            let opened = async {
                let store = store::open_noting(&self.url, self.birth, &mut note).await?;
                self.check_continued(&store).await?;
                Ok(store)
            };
            match opened.await {
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
                Err(NotOpened::Replaced(replaced)) => {
                    self.status.store.note_failure(ErrorClass::Stop, &replaced);
                    return Err(replaced.into());
                }
                Err(NotOpened::Store(error)) => {
                    if !self.wait_out(error, &mut delays, lease).await? {
                        return Ok(None);
                    }
                }
            }
        }
    }

    /// Whether the store holds what this life of the daemon committed.
    async fn check_continued(&self, store: &OpenStore) -> Result<(), NotOpened> {
        let committed_seq = self.status.store.seq();
        if committed_seq == 0 {
            return Ok(());
        }
        let checkpoint = store.reader().await?.checkpoint().await?;
        match checkpoint {
            Some(checkpoint) if checkpoint.spool_seq >= committed_seq => Ok(()),
            _ => Err(Replaced { committed_seq }.into()),
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

/// Another store stands where the one was that this life of the daemon wrote to. The next batch would give it a checkpoint
/// that hides what it lacks, so the child fails until the daemon ends; the daemon's next start fills it from the log.
#[derive(Debug, thiserror::Error)]
#[error(
    "the store lacks what was committed up to record {committed_seq}: it was emptied, or an older copy was put in its place; \
     bhavd fills it from the log when it is started again"
)]
struct Replaced {
    committed_seq: u64,
}

#[derive(Debug, thiserror::Error)]
enum NotOpened {
    #[error(transparent)]
    Replaced(#[from] Replaced),
    #[error(transparent)]
    Store(#[from] StoreError),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        actor::Policy,
        clock::{Simulation, real_now},
        market::TradingDate,
        store::Reader,
    };
    use std::{fs, path::PathBuf};

    async fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
        let looks = async {
            while !is_so() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), looks)
            .await
            .unwrap_or_else(|_| panic!("no {what} in time"));
    }

    #[tokio::test]
    async fn a_quiet_writer_closes_its_store_and_writes_on() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("quiet.db");
        let beside = |end: &str| PathBuf::from(format!("{}{end}", path.display()));
        let (log, elsewhere) = (beside("-wal"), beside(".elsewhere"));
        let clock =
            Clock::simulated(Simulation { start: real_now(), real_start: real_now(), speed: 5_000.0 });
        let writer = Writer {
            url: format!("sqlite:{}", path.display()),
            birth: Birth::Simulated,
            clock,
            batches: Port::new("batches", 16, Policy::Wait),
            status: Arc::default(),
        };
        let (batches, status) = (writer.batches.clone(), Arc::clone(&writer.status));
        let lease = Lease::detached("writer");
        let producer = batches.producer(&lease);
        let date = TradingDate::from_ymd_opt(2026, 1, 30).expect("a date");
        let work = async {
            for seq in 1..=3 {
                producer.push(Batch::new(date, seq)).await.expect("a writer");
                wait_until("commit", || status.store.seq() == seq).await;
                // SQLite's last connection takes it away as it closes.
                wait_until("rest", || !log.exists()).await;
            }
            fs::rename(&path, &elsewhere).expect("moved");
            producer.push(Batch::new(date, 4)).await.expect("a writer");
            wait_until("trouble", || {
                status.store.trouble().is_some_and(|trouble| trouble.contains("is gone"))
            })
            .await;
            assert!(!path.exists(), "an empty store in its place");
            fs::rename(&elsewhere, &path).expect("moved");
            wait_until("commit after trouble", || status.store.seq() == 4).await;
            batches.close();
        };
        let url = writer.url.clone();
        let (ended, ()) = tokio::join!(writer.run(lease.clone()), work);
        ended.expect("it ends with its port");
        let stored = Reader::open(&url).await.expect("opens").checkpoint().await.expect("readable");
        assert_eq!(stored.map(|checkpoint| checkpoint.spool_seq), Some(4));
    }

    #[tokio::test]
    async fn a_store_that_lost_what_was_committed_is_not_written_on() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("bhavd.db");
        let status = Arc::new(DaemonStatus::default());
        let date = TradingDate::from_ymd_opt(2026, 1, 30).expect("a date");
        // One incarnation after the other, with a batch each.
        let live = async |seq: u64| {
            let writer = Writer {
                url: format!("sqlite:{}", path.display()),
                birth: Birth::Simulated,
                clock: Clock::system(),
                batches: Port::new("batches", 16, Policy::Wait),
                status: Arc::clone(&status),
            };
            let lease = Lease::detached("writer");
            let pushed = writer.batches.producer(&lease).push(Batch::new(date, seq)).await;
            pushed.expect("room");
            writer.batches.close();
            writer.run(lease).await
        };
        live(7).await.expect("written");
        live(8).await.expect("the same store");
        for end in ["", "-wal", "-shm"] {
            let _ = fs::remove_file(format!("{}{end}", path.display()));
        }
        let error = live(9).await.expect_err("another store").to_string();
        assert!(error.contains("lacks what was committed up to record 8"), "{error}");
        assert!(status.store.trouble().is_some_and(|trouble| trouble.contains("started again")));
        let stored = Reader::open(&format!("sqlite:{}", path.display())).await.expect("opens");
        assert_eq!(stored.checkpoint().await.expect("readable"), None);
    }
}
