//! What the daemon implements to be controlled.

use super::{ControlError, Peer, Request, Response, Update, WatchRequest};
use std::future::Future;
use tokio::sync::mpsc;

/// The daemon as the control server sees it. Called on one thread; several calls may be under way at once, one a peer.
pub trait Service {
    /// Answers any request but [`Request::Watch`]. Authority is checked before. The future is dropped when it takes
    /// longer than the server allows ([`super::Limits`]) or the server stops, so it must hold nothing that breaks then.
    fn handle(&self, request: Request, peer: Peer) -> impl Future<Output = Result<Response, ControlError>>;

    /// Opens a stream of updates. The queue is bounded and filled with `try_send`, so that a slow watcher delays nobody:
    /// while it is full the service leaves updates out and says how many by [`Update::Lost`], or closes it. A closed
    /// queue ends the stream; a dropped receiver means that the watcher is gone.
    ///
    /// # Errors
    /// [`ControlError::UnknownUnderlying`], [`ControlError::Unavailable`].
    fn watch(&self, request: WatchRequest, peer: Peer) -> Result<mpsc::Receiver<Update>, ControlError>;
}
