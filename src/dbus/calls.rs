//! The way of a call from an object on the bus to the server that answers.

use super::refusal::Refusal;
use crate::control::{ControlError, Peer, Request, Response};
use tokio::sync::{mpsc, oneshot};
use zbus::fdo;

/// Calls that wait or are being answered. A further one is refused: its caller asks again.
pub(super) const CALLS_MAX: usize = 32;

/// What a caller wants.
#[derive(Debug)]
pub(super) enum Ask {
    Request(Request),
    Drain,
}

/// One call on its way. The reply to [`Ask::Drain`] is `None`.
#[derive(Debug)]
pub(super) struct Call {
    pub ask: Ask,
    pub peer: Peer,
    pub reply: oneshot::Sender<Result<Option<Response>, ControlError>>,
}

/// The objects' end of the queue. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Calls(mpsc::Sender<Call>);

impl Calls {
    pub fn queue() -> (Calls, mpsc::Receiver<Call>) {
        let (sender, receiver) = mpsc::channel(CALLS_MAX);
        (Calls(sender), receiver)
    }

    /// Waits for the answer; the server sees to it that it comes in time.
    pub async fn ask(&self, ask: Ask, peer: Peer) -> Result<Option<Response>, Refusal> {
        let (reply, answer) = oneshot::channel();
        self.0.try_send(Call { ask, peer, reply }).map_err(|refused| match refused {
            mpsc::error::TrySendError::Full(_) => {
                fdo::Error::LimitsExceeded(format!("{CALLS_MAX} calls are being answered already; try again"))
            }
            mpsc::error::TrySendError::Closed(_) => gone(),
        })?;
        Ok(answer.await.map_err(|_| gone())??)
    }
}

fn gone() -> fdo::Error {
    fdo::Error::Failed("the daemon's D-Bus side is being restarted; try again".to_owned())
}
