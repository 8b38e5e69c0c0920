//! Threads on which answers are worked out that read the store.
//!
//! The thread that serves a door only waits for them: the rows of a whole day do not delay what others ask.
//!
//! Invariants: a few read at once, some more wait for a place in the order they came, further ones are refused; so all of
//! them never fill a door's places. A reader whose caller is gone stops at its next await. A reader's panic is its
//! caller's, so that the supervisor learns of it.

use crate::control::ControlError;
use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::Arc,
    thread,
};
use tokio::sync::{Semaphore, oneshot};

/// Readers at once, where there are processors for them. More would take the processor from the recording, and from whoever
/// serves the doors.
const PLACES_MAX: usize = 2;
/// Readers and those who wait to be.
const ADMITTED_MAX: usize = 64;

/// Cheap to clone; clones share the places.
#[derive(Clone, Debug)]
pub struct ReadingRoom {
    admitted: Arc<Semaphore>,
    places: Arc<Semaphore>,
}

impl Default for ReadingRoom {
    fn default() -> ReadingRoom {
        let semaphore = |permits| Arc::new(Semaphore::new(permits));
        ReadingRoom { admitted: semaphore(ADMITTED_MAX), places: semaphore(places()) }
    }
}

/// Half of the processors at most.
fn places() -> usize {
    let processors = thread::available_parallelism().map_or(1, usize::from);
    (processors / 2).clamp(1, PLACES_MAX)
}

impl ReadingRoom {
    /// Runs `read` on a thread of its own, within a runtime of its own.
    ///
    /// # Errors
    /// Those of `read`; [`ControlError::Unavailable`] where too many wait, or the operating system gives no thread.
    #[expect(clippy::disallowed_methods, reason = "its caller waits for it, and it ends with its answer")]
    pub async fn read<Answer, Reading>(
        &self,
        read: impl FnOnce() -> Reading + Send + 'static,
    ) -> Result<Answer, ControlError>
    where
        Answer: Send + 'static,
        Reading: Future<Output = Result<Answer, ControlError>>,
    {
        let _admitted = self.admitted.try_acquire().map_err(|_| {
            unavailable(&format!("{ADMITTED_MAX} questions to the record are being worked on; try again"))
        })?;
        let place = Arc::clone(&self.places).acquire_owned().await.expect("the places are never closed");
        let (mut caller, answered) = oneshot::channel();
        let work = move || {
            let read = async {
                tokio::select! {
                    biased;
                    () = caller.closed() => Err(unavailable("nobody waits for it")),
                    answer = read() => answer,
                }
            };
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let answer = catch_unwind(AssertUnwindSafe(|| runtime.map_err(no_thread)?.block_on(read)));
            // The place is free before the caller asks the next question.
            drop(place);
            let _ = caller.send(answer);
        };
        thread::Builder::new().name("reader".to_owned()).spawn(work).map_err(no_thread)?;
        match answered.await {
            Ok(Ok(answer)) => answer,
            Ok(Err(panic)) => resume_unwind(panic),
            Err(_) => Err(unavailable("its thread ended")),
        }
    }
}

fn no_thread(cause: io::Error) -> ControlError {
    unavailable(&format!("no thread to read the record on: {cause}"))
}

fn unavailable(reason: &str) -> ControlError {
    ControlError::Unavailable { reason: reason.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::{FutureExt, future::join_all};
    use std::{
        future::pending,
        sync::atomic::{AtomicUsize, Ordering::Relaxed},
        time::Duration,
    };
    use tokio::sync::Notify;

    const PATIENCE: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn readers_block_threads_of_their_own_a_few_at_once() {
        let room = ReadingRoom::default();
        let (reading, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let asker = thread::current().id();
        let answers = (0..3 * places()).map(|number| {
            let (reading, most) = (Arc::clone(&reading), Arc::clone(&most));
            room.read(move || async move {
                most.fetch_max(reading.fetch_add(1, Relaxed) + 1, Relaxed);
                assert_ne!(thread::current().id(), asker);
                // Blocks the thread, as decoding rows does.
                thread::park_timeout(Duration::from_millis(5));
                reading.fetch_sub(1, Relaxed);
                Ok(number)
            })
        });
        let answers: Vec<usize> =
            join_all(answers).await.into_iter().map(|answer| answer.expect("one")).collect();
        assert_eq!(answers, (0..3 * places()).collect::<Vec<_>>());
        assert!((1..=places()).contains(&most.load(Relaxed)), "{most:?}");
    }

    #[tokio::test]
    async fn a_reader_whose_caller_is_gone_gives_its_place_back() {
        let room = ReadingRoom::default();
        let begun = Arc::new(Notify::new());
        for _ in 0..2 * places() {
            let told = Arc::clone(&begun);
            let endless = room.read(move || async move {
                told.notify_one();
                pending::<Result<(), ControlError>>().await
            });
            tokio::select! {
                _ = endless => unreachable!("it never ends"),
                () = begun.notified() => {}
            }
        }
        let answer = tokio::time::timeout(PATIENCE, room.read(|| async { Ok(7) })).await;
        assert_eq!(answer.expect("there is a place"), Ok(7));
    }

    #[tokio::test]
    async fn whom_too_many_wait_before_is_refused() {
        let room = ReadingRoom::default();
        let mut waiting: Vec<_> =
            (0..ADMITTED_MAX).map(|_| Box::pin(room.read(pending::<Result<(), ControlError>>))).collect();
        for reader in &mut waiting {
            assert!(reader.now_or_never().is_none());
        }
        let refused = room.read(|| async { Ok(7) }).await.expect_err("too many wait").to_string();
        assert!(refused.contains("64 questions to the record are being worked on; try again"), "{refused}");
        drop(waiting);
        assert_eq!(room.read(|| async { Ok(7) }).await, Ok(7));
    }

    #[tokio::test]
    async fn a_readers_panic_is_its_callers() {
        let room = ReadingRoom::default();
        let read = room.read::<(), _>(|| async { panic!("broken") });
        let panic = AssertUnwindSafe(read).catch_unwind().await.expect_err("it panics");
        assert_eq!(panic.downcast_ref::<&str>(), Some(&"broken"));
        assert_eq!(room.read(|| async { Ok(7) }).await, Ok(7));
    }
}
