//! Where received bytes enter: into the log first, then into the pipeline's port, in one order.
//!
//! Invariants: a record is in the log before it is in the port; both have the same order, because both happen under
//! one lock; while the port is full or the disk is, the feed waits and so stops reading its socket.

use super::status::DaemonStatus;
use crate::{
    actor::{Lease, Port, Producer},
    clock::{self, Clock},
    feed::{NotAccepted, RecordSink},
    market::{Provider, Timestamp, TradingDate},
    spool::{Mark, NewRecord, Record, Spool, SpoolError},
};
use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// How often a full disk is tried again.
const FULL_DISK_RETRY: Duration = Duration::from_secs(1);

/// The log and the port behind it. Cheap to clone.
#[derive(Clone)]
pub struct Intake {
    log: Arc<Mutex<Log>>,
    port: Port<Record>,
    clock: Clock,
    status: Arc<DaemonStatus>,
}

struct Log {
    spool: Spool,
    /// Providers whose last mark says "up".
    up: BTreeSet<Provider>,
    /// Date of the last record: a day's log says at its beginning who is up, so that it can be replayed alone.
    date: Option<TradingDate>,
}

impl Intake {
    pub fn new(spool: Spool, port: Port<Record>, clock: Clock, status: Arc<DaemonStatus>) -> Intake {
        let log = Log { spool, up: BTreeSet::new(), date: None };
        Intake { log: Arc::new(Mutex::new(log)), port, clock, status }
    }

    /// The entrance for one incarnation of a feed.
    pub fn sink(&self, lease: &Lease) -> IntakeSink {
        IntakeSink { intake: self.clone(), producer: self.port.producer(lease) }
    }

    /// Forces the log onto the disk.
    ///
    /// # Errors
    /// As [`Spool::sync`].
    pub fn sync(&self) -> Result<(), SpoolError> {
        self.log().spool.sync()
    }

    /// A panic under the lock leaves at most an unfinished record, which the next append or start cuts.
    fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// See [`Intake::sink`].
#[derive(Clone)]
pub struct IntakeSink {
    intake: Intake,
    producer: Producer<Record>,
}

impl IntakeSink {
    async fn put(&self, mut record: NewRecord) -> Result<(), NotAccepted> {
        let refused = |reason: &dyn std::fmt::Display| NotAccepted { reason: reason.to_string() };
        self.begin_day(record.received_time).await?;
        loop {
            let permit = self.producer.reserve().await.map_err(|error| refused(&error))?;
            let appended = {
                let mut log = self.intake.log();
                match log.spool.append(&mut record) {
                    Ok(seq) => {
                        log.date = Some(record.received_time.date_ist());
                        permit.push(record.numbered(seq)).map_err(|error| refused(&error))?;
                        self.intake.status.spool.note_appended(seq);
                        return Ok(());
                    }
                    Err(error) => error,
                }
            };
            self.intake.status.spool.note_failure(&appended, clock::real_now());
            match appended {
                SpoolError::Full { .. } => tokio::time::sleep(FULL_DISK_RETRY).await,
                other => return Err(refused(&other)),
            }
        }
    }

    /// Repeats at the head of a new day who is up.
    async fn begin_day(&self, received: Timestamp) -> Result<(), NotAccepted> {
        let again: Vec<Provider> = {
            let mut log = self.intake.log();
            let date = received.date_ist();
            if log.date.is_none_or(|last| last >= date) {
                return Ok(());
            }
            log.date = Some(date);
            log.up.iter().copied().collect()
        };
        for provider in again {
            Box::pin(self.put(NewRecord::mark(received, &Mark::feed_up(provider)))).await?;
        }
        Ok(())
    }
}

impl RecordSink for IntakeSink {
    async fn accept(&self, record: NewRecord) -> Result<(), NotAccepted> {
        self.put(record).await
    }

    async fn mark(&self, mark: Mark) -> Result<(), NotAccepted> {
        {
            let mut log = self.intake.log();
            match &mark {
                Mark::FeedUp { provider } => log.up.extend(provider.parse::<Provider>()),
                Mark::FeedDown { provider, .. } => log.up.retain(|up| up.name() != provider),
                Mark::Started { .. } => log.up.clear(),
                Mark::Clock => {}
            }
        }
        self.put(NewRecord::mark(self.intake.clock.now(), &mark)).await
    }
}
