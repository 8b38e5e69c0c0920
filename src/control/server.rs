//! Serves the control socket: admits connections and lets each have its conversation.
//!
//! All conversations run inside the one future of [`ControlServer::serve`]; nothing is spawned, so that dropping it ends
//! everything. A conversation waits for its own peer only. Where all places are taken, a newcomer takes that of
//! another peer that nothing is worked on for; it is refused only while there is none.

use super::{
    Authority, ControlError, ControlListener, Peer, Service, connection, encode_frame,
    seat::{Seat, Seats},
};
use crate::logging::Event;
use futures_util::stream::{FuturesUnordered, StreamExt};
use std::{
    cell::Cell,
    future::{Future, poll_fn},
    pin::pin,
    rc::Rc,
    task::Poll,
    time::Duration,
};
use tokio::{
    net::UnixStream,
    sync::{Mutex, Semaphore, watch},
    time::Instant,
};

/// Newcomers that are let in before all conversations have a turn, and the kernel is asked what came in meanwhile.
const ACCEPTED_IN_A_ROW: usize = 8;

/// The bounds of the control socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections at once; the next one takes an idle one's place, or is told and closed.
    pub connections_max: usize,
    /// The longest call, in bytes.
    pub call_bytes_max: usize,
    /// A connection without a call for this long is closed.
    pub idle: Duration,
    /// A peer that does not take what is written for this long is cut off.
    pub write: Duration,
    /// How long the service may take for an answer, and for a long one ([`super::Verb::is_long`]).
    pub answer: Duration,
    pub long_answer: Duration,
    /// Long answers under way at once; a further one is refused.
    pub long_answers_max: usize,
    /// How long answers under way may still take when the server stops.
    pub drain: Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            connections_max: 128,
            call_bytes_max: 1 << 20,
            idle: Duration::from_secs(300),
            write: Duration::from_secs(5),
            answer: Duration::from_secs(30),
            long_answer: Duration::from_secs(600),
            long_answers_max: 1,
            drain: Duration::from_secs(2),
        }
    }
}

/// The control socket's server.
#[derive(Debug)]
pub struct ControlServer<S> {
    pub(super) service: S,
    pub(super) authority: Authority,
    pub(super) limits: Limits,
    pub(super) long_answers: Semaphore,
    /// Held over the encoding of a long list.
    pub(super) encoding_desk: Mutex<()>,
    pub(super) cut_off: Tally,
    /// Held by the conversation whose stream of calls has its turn.
    streams_of_calls: Semaphore,
}

impl<S: Service> ControlServer<S> {
    pub fn new(service: S, authority: Authority, limits: Limits) -> ControlServer<S> {
        let long_answers = Semaphore::new(limits.long_answers_max);
        ControlServer {
            service,
            authority,
            limits,
            long_answers,
            encoding_desk: Mutex::default(),
            cut_off: Tally::default(),
            streams_of_calls: Semaphore::new(1),
        }
    }

    /// Serves until `stop` is ready; then no connection is accepted, streams end, and answers under way get
    /// [`Limits::drain`] to be finished.
    ///
    /// Timeouts are real time whatever the daemon's clock shows: they are about peers, not about the market.
    pub async fn serve(&self, listener: &ControlListener, stop: impl Future<Output = ()>) {
        const PAUSE_AFTER_ERROR: Duration = Duration::from_millis(100);
        let mut stop = pin!(stop);
        let (seats, refused) = (Seats::default(), Tally::default());
        let mut conversations = FuturesUnordered::new();
        let (stopping, stop_seen) = watch::channel(false);
        let mut accept_after = Instant::now();
        let mut accepted_in_a_row = 0;
        loop {
            // A crowd waits in connect(2), where it takes nobody's time.
            let room_from = seats.room_from(self.limits.connections_max).unwrap_or(accept_after);
            let accept = async {
                tokio::time::sleep_until(accept_after.max(room_from)).await;
                listener.accept().await
            };
            tokio::select! {
                biased;
                () = &mut stop => break,
                // First, so that a newcomer waits for no conversation; and for few of its kind, see below.
                accepted = accept => match accepted {
                    Ok(stream) => match self.admit(&stream, &seats) {
                        Some((peer, seat)) => {
                            let conversation =
                                connection::converse(self, stream, peer, Rc::clone(&seat), &seats, stop_seen.clone());
                            let seats = &seats;
                            conversations.push(async move {
                                conversation.await;
                                seats.leave(&seat);
                            });
                        }
                        None => self.refuse(&stream, &refused),
                    },
                    Err(cause) => {
                        // Most likely out of file descriptors: others must be closed first.
                        log::warn!(event = Event::ControlRefused, cause:%; "control connection not accepted: {cause}");
                        accept_after = Instant::now() + PAUSE_AFTER_ERROR;
                    }
                },
                Some(()) = conversations.next() => {}
            }
            accepted_in_a_row += 1;
            if accepted_in_a_row >= ACCEPTED_IN_A_ROW {
                accepted_in_a_row = 0;
                take_turns(&mut conversations).await;
                // Without it a crowd that always has something ready keeps tokio from asking the kernel about the others.
                tokio::task::yield_now().await;
            }
        }
        stopping.send_replace(true);
        let drained = async { while conversations.next().await.is_some() {} };
        if tokio::time::timeout(self.limits.drain, drained).await.is_err() {
            log::info!("control connections cut off: still busy when the daemon stopped");
        }
    }

    /// Waits for one's turn among those who send call after call: one of them in a round, however many they are. A first
    /// call, or one after a pause, needs no turn.
    pub(super) async fn take_turn(&self) {
        let turn = self.streams_of_calls.acquire().await.expect("it is never closed");
        // The next one's turn begins when everybody else has been looked at.
        tokio::task::yield_now().await;
        drop(turn);
    }

    /// `None` where every place is taken by a peer that keeps it.
    fn admit(&self, stream: &UnixStream, seats: &Seats) -> Option<(Peer, Rc<Seat>)> {
        match Peer::of(stream) {
            Ok(peer) => {
                let seat = seats.take(&peer, self.limits.connections_max, Instant::now())?;
                Some((peer, seat))
            }
            Err(cause) => {
                log::warn!(event = Event::ControlRefused, cause:%; "control peer without credentials refused: {cause}");
                None
            }
        }
    }

    fn refuse(&self, stream: &UnixStream, refused: &Tally) {
        let limit = self.limits.connections_max;
        let frame = encode_frame(&ControlError::TooManyConnections { limit: limit as u64 });
        // The frame fits an empty socket buffer; a peer that is already gone need not be told.
        let _ = stream.try_write(&frame);
        if let Some(count) = refused.add() {
            log::warn!(event = Event::ControlRefused, limit, count; "{count} control connections refused: {limit} are open and busy");
        }
    }
}

/// Gives each conversation that can go on its turn, without waiting for any.
async fn take_turns(conversations: &mut FuturesUnordered<impl Future<Output = ()>>) {
    // Whatever they used up of the task's budget before: each gives way by itself after one piece of work.
    tokio::task::unconstrained(poll_fn(|context| {
        while let Poll::Ready(Some(())) = conversations.poll_next_unpin(context) {}
        Poll::Ready(())
    }))
    .await;
}

/// Counts what a hostile peer can make happen often, so that the log tells of it once a second at most.
#[derive(Debug, Default)]
pub(super) struct Tally {
    count: Cell<u64>,
    told: Cell<Option<Instant>>,
}

impl Tally {
    /// The count since it was last told, where it is time to tell again.
    pub(super) fn add(&self) -> Option<u64> {
        const TELL_EVERY: Duration = Duration::from_secs(1);
        self.count.set(self.count.get() + 1);
        let now = Instant::now();
        if self.told.get().is_some_and(|told| now.duration_since(told) < TELL_EVERY) {
            return None;
        }
        self.told.set(Some(now));
        Some(self.count.replace(0))
    }
}
