//! Serves the control socket: admits connections and lets each have its conversation.
//!
//! All conversations run inside the one future of [`ControlServer::serve`]; nothing is spawned, so that dropping it ends
//! everything. A conversation waits for its own peer only.

use super::{Authority, ControlError, ControlListener, Service, connection, encode_frame};
use crate::logging::Event;
use futures_util::stream::{FuturesUnordered, StreamExt};
use std::{future::Future, pin::pin, time::Duration};
use tokio::{net::UnixStream, sync::watch, time::Instant};

/// The bounds of the control socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections at once; the next one is told and closed.
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
    /// How long answers under way may still take when the server stops.
    pub drain: Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            connections_max: 32,
            call_bytes_max: 1 << 20,
            idle: Duration::from_secs(300),
            write: Duration::from_secs(5),
            answer: Duration::from_secs(30),
            long_answer: Duration::from_secs(600),
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
}

impl<S: Service> ControlServer<S> {
    pub fn new(service: S, authority: Authority, limits: Limits) -> ControlServer<S> {
        ControlServer { service, authority, limits }
    }

    /// Serves until `stop` is ready; then no connection is accepted, streams end, and answers under way get
    /// [`Limits::drain`] to be finished.
    ///
    /// Timeouts are real time whatever the daemon's clock shows: they are about peers, not about the market.
    pub async fn serve(&self, listener: &ControlListener, stop: impl Future<Output = ()>) {
        const PAUSE_AFTER_ERROR: Duration = Duration::from_millis(100);
        let mut stop = pin!(stop);
        let mut conversations = FuturesUnordered::new();
        let (stopping, stop_seen) = watch::channel(false);
        let mut accept_after = Instant::now();
        loop {
            let accept = async {
                tokio::time::sleep_until(accept_after).await;
                listener.accept().await
            };
            tokio::select! {
                () = &mut stop => break,
                Some(()) = conversations.next() => {}
                accepted = accept => match accepted {
                    Ok(stream) if conversations.len() < self.limits.connections_max => {
                        conversations.push(connection::converse(self, stream, stop_seen.clone()));
                    }
                    Ok(stream) => self.refuse(&stream),
                    Err(cause) => {
                        // Most likely out of file descriptors: others must be closed first.
                        log::warn!(event = Event::ControlRefused, cause:%; "control connection not accepted: {cause}");
                        accept_after = Instant::now() + PAUSE_AFTER_ERROR;
                    }
                },
            }
        }
        stopping.send_replace(true);
        let drained = async { while conversations.next().await.is_some() {} };
        if tokio::time::timeout(self.limits.drain, drained).await.is_err() {
            log::info!("control connections cut off: still busy when the daemon stopped");
        }
    }

    fn refuse(&self, stream: &UnixStream) {
        let limit = self.limits.connections_max;
        let frame = encode_frame(&ControlError::TooManyConnections { limit: limit as u64 });
        // The frame fits an empty socket buffer; a peer that is already gone need not be told.
        let _ = stream.try_write(&frame);
        log::warn!(event = Event::ControlRefused, limit; "control connection refused: {limit} are open");
    }
}
