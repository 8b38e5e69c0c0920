//! One start of a child: its actor, its thread's task, and the news of its end.
//!
//! actix's own supervisor restarts nothing after a panic (measured on 0.13.5). Here the context is made by hand, its
//! future is spawned by us, and a second task on the same thread learns how it ended. The work's panics are caught
//! before they reach actix, see [`super::work`].

use super::{
    ExitReason, Lease, Placement, Pulse, StopSignal,
    arbiters::{Arbiters, Place},
    child::StartFunction,
    status::ChildStatus,
    work::{Name, Outcome, Work},
};
use actix::{Actor, ActorContext, ActorFutureExt, AsyncContext, Context, WrapFuture};
use futures_util::{
    FutureExt,
    future::{AbortHandle, AbortRegistration, Abortable},
};
use std::{future::Future, pin::Pin, sync::Arc, task, time::Duration};
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
    /// Whether a missed heartbeat is a hang.
    pub is_judged: bool,
    pub placement: Placement,
    pub start: StartFunction,
}

/// A running incarnation as its supervisor holds it. Dropped, it is aborted. Awaited, it gives its end.
pub(super) struct Incarnation {
    pub started: Instant,
    pub number: u64,
    pub pulse: Pulse,
    /// `None` if there was no thread to be had.
    pub place: Option<Place>,
    stop: watch::Sender<StopSignal>,
    abort: AbortHandle,
    exit: oneshot::Receiver<ExitReason>,
}

impl Incarnation {
    pub fn launch(seat: &Seat, arbiters: &Arbiters) -> Incarnation {
        let (stop, stop_watch) = watch::channel(StopSignal::Run);
        let (abort, registration) = AbortHandle::new_pair();
        let (exit_sender, exit) = oneshot::channel();
        let status = &seat.status;
        let (place, unplaced) = match arbiters.place(seat.placement, &status.path) {
            Ok(place) => (Some(place), None),
            Err(error) => (None, Some(error)),
        };
        let thread = place.as_ref().map_or_else(Arc::default, |place| Arc::clone(&place.pulse));
        let pulse = Pulse::new(seat.heartbeat, thread, Arc::clone(&status.handling));
        let number = status.begin(pulse.clone());
        let (fence, suspects) = (Arc::clone(&status.current), Arc::clone(&status.suspects));
        let lease = Lease::new(Arc::clone(&status.path), number, fence, stop_watch, pulse.clone(), suspects);
        let actor = ChildActor {
            start: Arc::clone(&seat.start),
            lease,
            name: Name { number: status.number, child: Arc::clone(&status.path), incarnation: number },
            counts_polls: !status.has_ports(),
        };
        let placed = match (&place, unplaced) {
            (Some(place), _) => place.run(move || actor.spawn(registration, exit_sender)),
            (None, error) => {
                let error = error.map_or_else(String::new, |error| error.to_string());
                // The receiver is ours and is there.
                let _ = exit_sender.send(ExitReason::Error(format!("no thread for it: {error}")));
                Ok(())
            }
        };
        if let Err(error) = placed {
            // The sender went with the closure: the supervisor learns of an aborted incarnation and backs off.
            log::error!(child = status.path, error:% = error; "{} cannot be placed on a thread", status.path);
        }
        Incarnation { started: Instant::now(), number, pulse, place, stop, abort, exit }
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

/// The actix actor: its work is one future in its context.
struct ChildActor {
    start: StartFunction,
    lease: Lease,
    name: Name,
    counts_polls: bool,
}

impl ChildActor {
    /// Runs on the child's thread.
    fn spawn(self, registration: AbortRegistration, sender: oneshot::Sender<ExitReason>) {
        let outcome = Outcome::default();
        let (start, lease) = (Arc::clone(&self.start), self.lease.clone());
        // The start function runs within the first poll, so that its panic is one of the work.
        let begun = async move { start(lease).await };
        #[cfg(feature = "chaos")]
        let begun = super::chaos::trouble(begun, self.lease.clone());
        let work = Work {
            name: self.name.clone(),
            pulse: self.lease.pulse().clone(),
            counts_polls: self.counts_polls,
            outcome: Outcome::clone(&outcome),
            inner: Some(begun.boxed_local()),
        };
        let mut context = Context::<ChildActor>::new();
        context.spawn(work.into_actor(&self).map(|(), _, context| context.stop()));
        let task = actix_rt::spawn(Abortable::new(context.into_future(self), registration));
        actix_rt::spawn(async move {
            // Dropped by its end in any case: the work has noted its outcome.
            let ended = task.await;
            let noted = outcome.borrow_mut().take();
            let reason = match (noted, ended) {
                (Some(reason), _) => reason,
                (None, Ok(_)) => ExitReason::Aborted,
                (None, Err(error)) => ExitReason::Error(format!("its task broke: {error}")),
            };
            // The supervisor may have given up waiting.
            let _ = sender.send(reason);
        });
    }
}

impl Actor for ChildActor {
    type Context = Context<ChildActor>;

    fn started(&mut self, context: &mut Self::Context) {
        let pulse = self.lease.pulse();
        pulse.sign();
        if let Some(distance) = pulse.sign_distance() {
            context.run_interval(distance, |actor, _| actor.lease.pulse().turn());
        }
    }
}
