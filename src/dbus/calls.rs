//! The way of a call from an object on the bus to the server that answers.

use super::{
    caller::{Gate, identify},
    dictionary::{Dictionary, dictionary},
    refusal::Refusal,
};
use crate::control::{Access, ControlError, Door, Peer, Request, Response};
use tokio::sync::{mpsc, oneshot};
use zbus::{Connection, fdo, message::Header};

/// Calls that wait or are being answered. A further one is refused: its caller asks again.
pub(super) const CALLS_MAX: usize = 32;

/// One call on its way.
#[derive(Debug)]
pub(super) struct Call {
    pub request: Request,
    pub peer: Peer,
    pub reply: oneshot::Sender<Result<Response, ControlError>>,
}

/// The objects' end of the queue, behind the gate. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Calls {
    gate: Gate,
    queue: mpsc::Sender<Call>,
}

impl Calls {
    pub fn queue(gate: Gate) -> (Calls, mpsc::Receiver<Call>) {
        let (queue, receiver) = mpsc::channel(CALLS_MAX);
        (Calls { gate, queue }, receiver)
    }

    /// Asks for the caller, if the caller may, and gives the answer. Whatever is to change something is logged once, with
    /// what came of it.
    pub async fn ask(
        &self,
        request: Request,
        connection: &Connection,
        header: &Header<'_>,
    ) -> Result<Dictionary, Refusal> {
        let caller = identify(connection, header).await?;
        let verb = request.verb();
        if verb.access() == Access::Read {
            return self.pass(request, caller.peer).await;
        }
        let parameters = request.parameters();
        let answer = match self.gate.admit_writer(connection, &caller, verb.name()).await {
            Ok(()) => self.pass(request, caller.peer).await,
            Err(refusal) => Err(refusal),
        };
        let outcome = answer.as_ref().map_or_else(Refusal::to_string, |_| "done".to_owned());
        Door::Bus.note_write(verb, &parameters, &caller.peer, &outcome);
        answer
    }

    /// Waits for the answer; the server sees to it that it comes in time.
    async fn pass(&self, request: Request, peer: Peer) -> Result<Dictionary, Refusal> {
        let (reply, answer) = oneshot::channel();
        self.queue.try_send(Call { request, peer, reply }).map_err(|refused| match refused {
            mpsc::error::TrySendError::Full(_) => {
                fdo::Error::LimitsExceeded(format!("{CALLS_MAX} calls are being answered already; try again"))
            }
            mpsc::error::TrySendError::Closed(_) => gone(),
        })?;
        let response = answer.await.map_err(|_| gone())??;
        Ok(dictionary(&response))
    }
}

fn gone() -> fdo::Error {
    fdo::Error::Failed("the daemon's D-Bus side is being restarted; try again".to_owned())
}
