//! The way of a call from an object on the bus to the server that answers.
//!
//! Everyone may read, so reads have a queue of their own: however many there are, what root wants changed finds room.

use super::{
    caller::{Gate, identify},
    dictionary::{Dictionary, dictionary},
    refusal::Refusal,
};
use crate::control::{Access, ControlError, Door, Peer, Request, Response};
use tokio::sync::{mpsc, oneshot};
use zbus::{Connection, fdo, message::Header};

/// Calls of a kind that wait, and as many that are being answered. A further one is refused: its caller asks again.
pub(super) const READS_MAX: usize = 32;
pub(super) const WRITES_MAX: usize = 8;

/// One call on its way.
#[derive(Debug)]
pub(super) struct Call {
    pub request: Request,
    pub peer: Peer,
    pub reply: oneshot::Sender<Result<Response, ControlError>>,
}

/// The objects' end of the queues, behind the gate. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Calls {
    gate: Gate,
    reads: mpsc::Sender<Call>,
    writes: mpsc::Sender<Call>,
}

/// The server's end.
#[derive(Debug)]
pub(super) struct Queues {
    pub reads: mpsc::Receiver<Call>,
    pub writes: mpsc::Receiver<Call>,
}

impl Queues {
    /// Takes nothing more; what waits can still be received.
    pub fn close(&mut self) {
        self.reads.close();
        self.writes.close();
    }
}

impl Calls {
    pub fn queue(gate: Gate) -> (Calls, Queues) {
        let (reads, reads_receiver) = mpsc::channel(READS_MAX);
        let (writes, writes_receiver) = mpsc::channel(WRITES_MAX);
        (Calls { gate, reads, writes }, Queues { reads: reads_receiver, writes: writes_receiver })
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
            return pass(&self.reads, request, caller.peer).await;
        }
        let parameters = request.parameters();
        let answer = match self.gate.admit_writer(connection, &caller, verb).await {
            Ok(()) => pass(&self.writes, request, caller.peer).await,
            Err(refusal) => Err(refusal),
        };
        let outcome = answer.as_ref().map_or_else(Refusal::to_string, |_| "done".to_owned());
        Door::Bus.note_write(verb, &parameters, &caller.peer, &outcome);
        answer
    }
}

/// Waits for the answer; the server sees to it that it comes in time.
async fn pass(queue: &mpsc::Sender<Call>, request: Request, peer: Peer) -> Result<Dictionary, Refusal> {
    let (reply, answer) = oneshot::channel();
    queue.try_send(Call { request, peer, reply }).map_err(|refused| match refused {
        mpsc::error::TrySendError::Full(_) => fdo::Error::LimitsExceeded(format!(
            "{} such calls are being answered already; try again",
            queue.max_capacity()
        )),
        mpsc::error::TrySendError::Closed(_) => gone(),
    })?;
    let response = answer.await.map_err(|_| gone())??;
    Ok(dictionary(&response))
}

fn gone() -> fdo::Error {
    fdo::Error::Failed("the daemon's D-Bus side is being restarted; try again".to_owned())
}
