//! One start of a child: its actor, its thread's task, and the news of its end.
//!
//! actix's own supervisor restarts nothing after a panic (measured on 0.13.5). Here the context is made by hand, its
//! future is spawned by us, and a second task on the same thread learns how it ended. The work's panics are caught
//! before they reach actix, which would run an actor's hooks on half-changed state while unwinding.

use super::{
    ExitReason, Lease, Placement, Pulse, StopSignal,
    arbiters::Arbiters,
    child::StartFunction,
    panic::{self, Named},
    status::ChildStatus,
};
use actix::{Actor, ActorContext, ActorFutureExt, AsyncContext, Context, WrapFuture};
use futures_util::{
    FutureExt,
    future::{AbortHandle, AbortRegistration, Abortable},
};
use std::{
    cell::RefCell, future::Future, panic::AssertUnwindSafe, pin::Pin, rc::Rc, sync::Arc, task, time::Duration,
};
use tokio::{
    sync::{oneshot, watch},
    time::Instant,
};

/// A child's place in the tree: what every incarnation of it is made from.
#[derive(Clone)]
pub(super) struct Seat {
    pub status: Arc<ChildStatus>,
    pub restart: super::Restart,
    pub grace: Duration,
    pub heartbeat: Duration,
    pub placement: Placement,
    pub start: StartFunction,
}

/// A running incarnation as its supervisor holds it. Dropped, it is aborted. Awaited, it gives its end.
pub(super) struct Incarnation {
    pub started: Instant,
    stop: watch::Sender<StopSignal>,
    abort: AbortHandle,
    exit: oneshot::Receiver<ExitReason>,
}

impl Incarnation {
    pub fn launch(seat: &Seat, arbiters: &Arbiters) -> Incarnation {
        let (stop, stop_watch) = watch::channel(StopSignal::Run);
        let (abort, registration) = AbortHandle::new_pair();
        let (exit_sender, exit) = oneshot::channel();
        let pulse = Pulse::default();
        let incarnation = seat.status.begin(pulse.clone());
        let fence = Arc::clone(&seat.status.incarnation);
        let lease = Lease::new(Arc::clone(&seat.status.path), incarnation, fence, stop_watch, pulse);
        let (start, heartbeat) = (Arc::clone(&seat.start), seat.heartbeat);
        let placed = arbiters.run(seat.placement, &seat.status.path, move || {
            spawn(start, lease, heartbeat, registration, exit_sender);
        });
        if let Err(error) = placed {
            // The sender went with the closure: the supervisor learns of an aborted incarnation and backs off.
            log::error!(child = seat.status.path, error:% = error; "child cannot be placed on a thread");
        }
        Incarnation { started: Instant::now(), stop, abort, exit }
    }

    pub fn ask_to_stop(&self, signal: StopSignal) {
        self.stop.send_replace(signal);
    }

    pub fn abort(&self) {
        self.abort.abort();
    }
}

impl Future for Incarnation {
    type Output = ExitReason;

    fn poll(mut self: Pin<&mut Self>, context: &mut task::Context<'_>) -> task::Poll<ExitReason> {
        // A dropped sender means that the thread ended with the child on it.
        self.exit.poll_unpin(context).map(|exit| exit.unwrap_or(ExitReason::Aborted))
    }
}

impl Drop for Incarnation {
    fn drop(&mut self) {
        self.abort.abort();
    }
}

/// Runs on the child's thread.
fn spawn(
    start: StartFunction,
    lease: Lease,
    heartbeat: Duration,
    registration: AbortRegistration,
    sender: oneshot::Sender<ExitReason>,
) {
    let outcome = Rc::new(RefCell::new(None));
    let actor = ChildActor { start, lease, heartbeat, outcome: Rc::clone(&outcome) };
    let context = Context::<ChildActor>::new();
    let task = actix_rt::spawn(Abortable::new(context.into_future(actor), registration));
    actix_rt::spawn(async move {
        let reason = match task.await {
            Ok(Ok(())) => outcome.borrow_mut().take().unwrap_or(ExitReason::Aborted),
            Ok(Err(_aborted)) => ExitReason::Aborted,
            // The work's own panics are caught; this is a panic in the drop of its state.
            Err(error) => match error.try_into_panic() {
                Ok(payload) => ExitReason::Panic(panic::caught(&*payload)),
                Err(_) => ExitReason::Aborted,
            },
        };
        // The supervisor may have given up waiting.
        let _ = sender.send(reason);
    });
}

/// The actix actor: its work is one future in its context.
struct ChildActor {
    start: StartFunction,
    lease: Lease,
    heartbeat: Duration,
    outcome: Rc<RefCell<Option<ExitReason>>>,
}

impl Actor for ChildActor {
    type Context = Context<ChildActor>;

    fn started(&mut self, context: &mut Self::Context) {
        self.lease.pulse().turn();
        self.lease.pulse().progress();
        if !self.heartbeat.is_zero() {
            context.run_interval(self.heartbeat, |actor, _| actor.lease.pulse().turn());
        }
        let (start, lease) = (Arc::clone(&self.start), self.lease.clone());
        let work = Named {
            child: lease.child().into(),
            incarnation: lease.incarnation(),
            work: Box::pin(async move { start(lease).await }),
        };
        // State the work shares with others must hold after a panic: ports and status do, by their own locks.
        let ended = AssertUnwindSafe(work).catch_unwind().into_actor(self).map(|result, actor, context| {
            let reason = match result {
                Ok(result) => ExitReason::of(result),
                Err(payload) => ExitReason::Panic(panic::caught(&*payload)),
            };
            *actor.outcome.borrow_mut() = Some(reason);
            context.stop();
        });
        context.spawn(ended);
    }
}
