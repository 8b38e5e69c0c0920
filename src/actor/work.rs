//! One incarnation's work as a future that never panics, neither while it is polled nor while it is dropped.
//!
//! actix would run an actor's hooks on half-changed state while unwinding, and a second panic meanwhile would abort the
//! process. So panics end here.

use super::{
    ChildError, ExitReason,
    panic::{self, Polled},
    pulse::Pulse,
    thread_pulse::ThreadPulse,
};
use futures_util::future::LocalBoxFuture;
use std::{
    cell::RefCell,
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll},
};
use tokio::time::Instant;

/// How the work ended, shared with whoever reports it: the work may be dropped before it ends.
pub(super) type Outcome = Rc<RefCell<Option<ExitReason>>>;

/// Whose work it is.
#[derive(Clone, Debug)]
pub(super) struct Name {
    /// The child's number in its tree, from 1.
    pub number: u64,
    pub child: Arc<str>,
    pub incarnation: u64,
}

pub(super) struct Work {
    pub name: Name,
    pub pulse: Pulse,
    /// Whether each poll counts as a handler's time; a child with a port counts its batches.
    pub counts_polls: bool,
    pub outcome: Outcome,
    /// `None` once it has ended.
    pub inner: Option<LocalBoxFuture<'static, Result<(), ChildError>>>,
}

impl Work {
    /// Runs a part of the work under its name; the text of its panic is the error.
    fn run<R>(&mut self, part: impl FnOnce(&mut Self) -> R) -> Result<R, String> {
        let _polled = Polled::enter(Arc::clone(&self.name.child), self.name.incarnation);
        let _turn = Turn::begin(self.pulse.thread(), self.name.number);
        // State the work shares with others must hold after a panic: ports and status do, by their own locks.
        catch_unwind(AssertUnwindSafe(|| part(self))).map_err(|payload| panic::caught(&*payload))
    }

    /// Drops what is left of the work; what it panics with counts unless it had failed before.
    fn end(&mut self, reason: Option<ExitReason>) {
        let dropped = self.run(|work| drop(work.inner.take()));
        let reason = match (reason, dropped) {
            (Some(ExitReason::Normal) | None, Err(text)) => Some(ExitReason::Panic(text)),
            (reason, _) => reason,
        };
        if let Some(reason) = reason {
            self.outcome.borrow_mut().get_or_insert(reason);
        }
    }
}

impl Future for Work {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let began = self.counts_polls.then(Instant::now);
        let polled = self.run(|work| match &mut work.inner {
            Some(inner) => inner.as_mut().poll(context),
            None => Poll::Ready(Ok(())),
        });
        if let Some(began) = began {
            self.pulse.handling().count(began.elapsed());
        }
        let reason = match polled {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(result)) => ExitReason::of(result),
            Err(text) => ExitReason::Panic(text),
        };
        self.end(Some(reason));
        Poll::Ready(())
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        if self.inner.is_some() {
            self.end(None);
        }
    }
}

/// Says on the thread's pulse who is being polled.
struct Turn {
    thread: Arc<ThreadPulse>,
    before: u64,
}

impl Turn {
    fn begin(thread: &Arc<ThreadPulse>, number: u64) -> Turn {
        Turn { thread: Arc::clone(thread), before: thread.set_polled(number) }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.thread.set_polled(self.before);
    }
}
