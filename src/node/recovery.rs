//! What a rebuild of the pipeline begins from where the store does not say itself, and therefore from where on the log is
//! needed.
//!
//! The retention of the log moves this forward before it removes a day. It may not while the pipeline is being rebuilt:
//! that reads the log from where it began to look on.

use super::store_record::StoreRecord;
use crate::{
    actor::Lease,
    store::{Checkpoint, Reader},
};
use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// How long the store is asked what it contains.
const STORE_PATIENCE: Duration = Duration::from_secs(5);

/// Clones are the same.
#[derive(Clone)]
pub struct Recovery {
    url: String,
    inner: Arc<Mutex<Inner>>,
}

struct Inner {
    /// What the store contained when it was last asked.
    stored: StoreRecord,
    /// The recorder's incarnation that rebuilds; 0 before the first.
    rebuilding: Option<u64>,
}

impl Recovery {
    /// `stored` is what the store contains at the daemon's start.
    pub fn new(url: String, stored: StoreRecord) -> Recovery {
        Recovery { url, inner: Arc::new(Mutex::new(Inner { stored, rebuilding: Some(0) })) }
    }

    /// What was last known of the store.
    pub fn stored(&self) -> StoreRecord {
        self.inner().stored.clone()
    }

    /// Before the recorder's incarnation looks from where on it reads the log.
    pub fn begin(&self, lease: &Lease) {
        self.inner().rebuilding = Some(lease.incarnation());
    }

    /// The log was read to its end.
    pub fn end(&self, lease: &Lease) {
        let mut inner = self.inner();
        if inner.rebuilding == Some(lease.incarnation()) {
            inner.rebuilding = None;
        }
    }

    pub fn is_rebuilding(&self) -> bool {
        self.inner().rebuilding.is_some()
    }

    /// # Errors
    /// What the store says, or that it says nothing; for people.
    pub async fn read_store(&self) -> Result<StoreRecord, String> {
        let read = async { StoreRecord::read(&Reader::open(&self.url).await?).await };
        match tokio::time::timeout(STORE_PATIENCE, read).await {
            Ok(Ok(stored)) => Ok(stored),
            Ok(Err(error)) => Err(error.to_string()),
            Err(late) => Err(late.to_string()),
        }
    }

    /// Asks the store what it contains and remembers it: no rebuild begins earlier from now on.
    ///
    /// # Errors
    /// As [`Recovery::read_store`], and while the pipeline is being rebuilt.
    pub async fn advance(&self) -> Result<Option<Checkpoint>, String> {
        let stored = self.read_store().await?;
        let mut inner = self.inner();
        if inner.rebuilding.is_some() {
            return Err("the log is being read".to_owned());
        }
        let checkpoint = stored.checkpoint;
        inner.stored = stored;
        Ok(checkpoint)
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        market::TradingDate,
        store::{self, Batch, Birth, Store},
    };

    #[tokio::test]
    async fn it_moves_with_the_store_but_not_under_a_rebuild() {
        let directory = tempfile::tempdir().expect("a directory");
        let url = format!("sqlite:{}", directory.path().join("bhavd.db").display());
        let recovery = Recovery::new(url.clone(), StoreRecord::default());
        assert!(recovery.advance().await.is_err(), "there is no store");
        let date = TradingDate::from_ymd_opt(2026, 1, 30).expect("a date");
        let mut store = store::open(&url, Birth::Simulated).await.expect("opens");
        store.append(&Batch::new(date, 7)).await.expect("written");
        assert_eq!(recovery.advance().await, Err("the log is being read".to_owned()), "not even begun");
        assert_eq!(recovery.stored().checkpoint, None);
        let lease = Lease::detached("recorder");
        recovery.begin(&lease);
        assert!(recovery.is_rebuilding());
        recovery.end(&lease);
        let checkpoint = Some(Checkpoint { session_date: date, spool_seq: 7 });
        assert_eq!(recovery.advance().await, Ok(checkpoint));
        assert_eq!(recovery.stored().checkpoint, checkpoint);
    }
}
