//! Whether the disk takes what was appended; readable from anywhere while the log is written.

use super::{Damage, SpoolError};
use crate::logging::Event;
use std::{
    path::Path,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

/// Longer than a sync takes while the disk keeps up.
const SLOW_LIMIT: Duration = Duration::from_secs(1);
/// Longer than a sync takes on any disk that is well.
const SYNC_LIMIT: Duration = Duration::from_secs(30);

/// What became of the log's syncs.
#[derive(Debug, Default)]
pub struct SyncStatus {
    is_failing: AtomicBool,
    unsynced_bytes: AtomicU64,
    failure: Mutex<String>,
    loss: Mutex<Option<String>>,
    /// When the sync began that is under way.
    began: Mutex<Option<Instant>>,
}

impl SyncStatus {
    /// Why a loss of power would take part of the log; `None` while the disk takes everything. A loss that has happened
    /// stays until the daemon ends.
    pub fn trouble(&self) -> Option<String> {
        let loss = self.loss.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let failure = || self.failure.lock().unwrap_or_else(PoisonError::into_inner).clone();
        loss.or_else(|| self.is_failing.load(Relaxed).then(failure)).or_else(|| self.delay())
    }

    /// Whether who waits for the disk may wait for long.
    pub(super) fn is_slow(&self) -> bool {
        let began = *self.began.lock().unwrap_or_else(PoisonError::into_inner);
        self.is_failing.load(Relaxed) || began.is_some_and(|began| began.elapsed() > SLOW_LIMIT)
    }

    /// A disk that neither takes nor refuses.
    fn delay(&self) -> Option<String> {
        let began = *self.began.lock().unwrap_or_else(PoisonError::into_inner);
        began.filter(|began| began.elapsed() > SYNC_LIMIT).map(|_| {
            format!(
                "a sync of the log has been going on for more than {} s; what was appended since would not survive a \
                 loss of power",
                SYNC_LIMIT.as_secs()
            )
        })
    }

    /// A sync begins, or none is under way any more.
    pub(super) fn note_sync(&self, began: Option<Instant>) {
        *self.began.lock().unwrap_or_else(PoisonError::into_inner) = began;
    }

    /// Bytes of the log of which it is not sure that they are on the disk, because it refused some of them; 0 while it
    /// takes all. What was appended since the last sync, of a second ago, is not counted while syncs succeed.
    pub fn unsynced_bytes(&self) -> u64 {
        self.unsynced_bytes.load(Relaxed)
    }

    /// Logs the first failure of a row of them.
    pub(super) fn note_failure(&self, error: &SpoolError, unsynced_bytes: u64) {
        self.fail(&error.to_string(), unsynced_bytes);
    }

    /// The disk refused a part of the log in an earlier life, which is written again soon.
    pub(super) fn note_suspicion(&self, path: &Path, from: u64, unsynced_bytes: u64) {
        let path = path.display();
        let cause = format!("before this start the disk refused to sync {path} from byte {from} on");
        self.fail(&cause, unsynced_bytes);
    }

    fn fail(&self, error: &str, unsynced_bytes: u64) {
        self.unsynced_bytes.store(unsynced_bytes, Relaxed);
        let text = format!(
            "{error}; until the disk takes it, what was appended lately would not survive a loss of power"
        );
        *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = text;
        if !self.is_failing.swap(true, Relaxed) {
            log::error!(event = Event::SpoolUnsynced, error;
                "{error}; {unsynced_bytes} bytes of the log may not survive a loss of power; they are written again");
        }
    }

    pub(super) fn note_success(&self) {
        self.unsynced_bytes.store(0, Relaxed);
        if self.is_failing.swap(false, Relaxed) {
            log::info!(event = Event::SpoolSynced; "the disk has taken the whole log, also what it had refused");
        }
    }

    /// Bytes that neither the disk nor the operating system has any more.
    pub(super) fn note_loss(&self, error: &Damage) {
        let text = format!("part of the log is lost, the disk refused it: {error}");
        log::error!(event = Event::SpoolLost, error:%; "{text}");
        self.loss.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sync_that_does_not_end_is_shown() {
        let status = SyncStatus::default();
        let now = Instant::now();
        status.note_sync(Some(now));
        assert_eq!(status.trouble(), None);
        status.note_sync(now.checked_sub(SYNC_LIMIT + Duration::from_secs(1)));
        assert!(status.trouble().is_some_and(|text| text.contains("more than 30 s")));
        status.note_sync(None);
        assert_eq!(status.trouble(), None);
    }
}
