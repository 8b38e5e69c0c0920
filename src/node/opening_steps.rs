//! What the service manager is told before the tree runs: what is being opened, and that it gets on.
//!
//! Nobody knows how long reading a log or migrating a store will take. So more time is asked for in small steps, for as
//! long as there are signs of work; where there are none the manager's own limit ends the start.

use super::notifier::{EXTEND_BY, Notice, Notifier};
use crate::store::{NoteOpening, OpeningSign, ThreadWatch};
use std::{sync::mpsc, thread, time::Duration};

/// Between two looks at this thread.
const LOOK_EVERY: Duration = Duration::from_secs(1);

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

    /// `open` gives what it sees of the store to the argument.
    pub fn open_store<T>(&self, open: impl FnOnce(NoteOpening<'_>) -> T) -> T {
        self.begin("opening the store");
        open(&mut |sign| self.note(sign))
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
