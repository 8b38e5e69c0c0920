//! What the service manager is told before the tree runs: what is being opened, and that it gets on.
//!
//! Nobody knows how long reading a log or migrating a store will take. So more time is asked for in small steps, for as
//! long as there are signs of work; where there are none the manager's own limit ends the start.
//!
//! A database that is away, as after a boot in which it comes up later, is waited for, and the manager is told for what. Not
//! for ever: who asked for the start is to learn that it failed, and the manager tries again without end.
//!
//! Left out: recording meanwhile. The store says up to where it contains the log, and by which numbers it knows the
//! contracts; without both no record could be numbered or worked off, and at a busy time the queue before the recorder would
//! be full within seconds.

use super::notifier::{EXTEND_BY, Notice, Notifier};
use crate::{
    logging::Event,
    store::{ErrorClass, NoteOpening, OpeningSign, StoreError, ThreadWatch},
};
use std::{sync::mpsc, thread, time::Duration};
use tokio::time::Instant;

/// Between two looks at this thread.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Between two tries to open a store that is away.
const RETRY_EVERY: Duration = Duration::from_secs(1);
/// How long a store may be away. Less than the unit's `TimeoutStartSec=`.
const AWAY_MAX: Duration = Duration::from_secs(60);

pub struct OpeningSteps {
    notifier: Notifier,
}

impl OpeningSteps {
    pub fn new(notifier: Notifier) -> OpeningSteps {
        OpeningSteps { notifier }
    }

    /// `open` works on this thread, which is watched from another one.
    pub fn open_log<T>(&self, open: impl FnOnce() -> T) -> T {
        self.begin("opening the log");
        let Some(mut watch) = ThreadWatch::of_this_thread() else { return open() };
        let (end, ended) = mpsc::channel::<()>();
        thread::scope(|scope| {
            scope.spawn(move || {
                while ended.recv_timeout(LOOK_EVERY) == Err(mpsc::RecvTimeoutError::Timeout) {
                    self.note(watch.look());
                }
            });
            // Dropped also where `open` panics: the scope waits for its thread.
            let _end = end;
            open()
        })
    }

    /// `open` gives what it sees of the store to the argument. It is tried again while the store is away, or its disk full.
    ///
    /// # Errors
    /// What waiting does not mend, or has not mended.
    pub async fn open_store<T>(
        &self,
        mut open: impl AsyncFnMut(NoteOpening<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.begin("opening the store");
        let mut away_since = None;
        loop {
            let error = match open(&mut |sign| self.note(sign)).await {
                Ok(opened) => return Ok(opened),
                Err(error) => error,
            };
            let event = match error.class() {
                ErrorClass::Retry => Event::StoreAway,
                ErrorClass::DiskFull => Event::DiskFull,
                ErrorClass::Stop | ErrorClass::Configuration => return Err(error),
            };
            if away_since.is_none() {
                log::warn!(event, place = "store", error:%; "waiting for the store: {error}");
            }
            if away_since.get_or_insert_with(Instant::now).elapsed() >= AWAY_MAX {
                return Err(error);
            }
            self.begin(&format!("waiting for the store: {error}"));
            tokio::time::sleep(RETRY_EVERY).await;
        }
    }

    fn begin(&self, step: &str) {
        let line = Notice::Status(format!("Starting: {step}"));
        self.notifier.tell(&[line, Notice::ExtendTimeout(EXTEND_BY)]);
    }

    fn note(&self, sign: OpeningSign) {
        if sign == OpeningSign::AtWork {
            self.notifier.tell(&[Notice::ExtendTimeout(EXTEND_BY)]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn away() -> StoreError {
        StoreError::Lost { store: "postgres://desk".to_owned(), reason: "connection refused".to_owned() }
    }

    async fn open_after(mut failures: Vec<StoreError>) -> (Result<(), StoreError>, Duration) {
        failures.reverse();
        let (steps, began) = (OpeningSteps::new(Notifier::default()), Instant::now());
        let opened = steps.open_store(async |_| failures.pop().map_or(Ok(()), Err)).await;
        (opened, began.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn a_store_that_comes_up_late_is_waited_for() {
        assert_eq!(open_after(vec![]).await, (Ok(()), Duration::ZERO));
        let (opened, waited) = open_after(vec![away(); 40]).await;
        assert_eq!(opened, Ok(()));
        assert!((40..45).contains(&waited.as_secs()), "{waited:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_store_that_stays_away_fails_the_start_before_the_unit_does() {
        let (opened, waited) = open_after(vec![away(); 1_000]).await;
        assert_eq!(opened, Err(away()));
        assert!((60..85).contains(&waited.as_secs()), "{waited:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn what_waiting_does_not_mend_is_not_waited_for() {
        let refused =
            StoreError::Refused { store: "postgres://desk".to_owned(), reason: "no such role".to_owned() };
        let (opened, waited) = open_after(vec![away(), refused.clone(), away()]).await;
        assert_eq!(opened, Err(refused));
        assert!(waited < Duration::from_secs(5), "{waited:?}");
    }
}
