//! One peer's conversation: calls in, replies out, one call at a time.

use super::{
    Access, Call, Command, ControlError, ControlServer, Door, FrameDecoder, FrameTooLarge, Peer, Reply,
    Request, Response, Service, Update, Verb, Versioned, encode_frame, parse_call,
    seat::{Seat, Seats, Turn},
};
use crate::logging::Event;
use std::{io, rc::Rc, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        UnixStream,
        unix::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::{mpsc, watch},
    time::{Instant, timeout},
};

const READ_BYTES: usize = 8 * 1024;

/// A call that comes this soon after the last answer is one of a stream of calls.
const PAUSE: Duration = Duration::from_millis(10);

/// Updates written together, at most.
const UPDATES_PER_WRITE: usize = 32;

/// Why a conversation is over.
#[derive(Debug, thiserror::Error)]
enum Ended {
    #[error("the peer closed it")]
    ByPeer,
    #[error("the peer made no call for too long")]
    Idle,
    #[error("the peer does not read what is written to it")]
    Unread,
    #[error("the peer sent what is no call: {0}")]
    Garbage(ControlError),
    #[error("all places are taken, and the peer came before others")]
    Displaced,
    #[error("the daemon stops")]
    Stopping,
    #[error("{0}")]
    Io(#[from] io::Error),
}

/// Runs until the peer goes, breaks a limit, loses its place, or the server stops.
pub(super) async fn converse<S: Service>(
    server: &ControlServer<S>,
    stream: UnixStream,
    peer: Peer,
    seat: Rc<Seat>,
    seats: &Seats,
    stopping: watch::Receiver<bool>,
) {
    let (reader, writer) = stream.into_split();
    let decoder = FrameDecoder::new(server.limits.call_bytes_max);
    let intake = Intake { reader, decoder };
    let mut conversation =
        Conversation { server, peer, seat: Rc::clone(&seat), seats, intake, writer, stopping };
    let ended = tokio::select! {
        biased;
        () = seat.lost() => Ended::Displaced,
        ended = conversation.run() => match ended {
            Err(ended) => ended,
        },
    };
    match ended {
        Ended::ByPeer | Ended::Stopping | Ended::Displaced | Ended::Io(_) => {
            log::debug!(peer_uid = peer.uid, peer_pid = peer.pid, ended:%; "control connection of user {} ended: {ended}", peer.uid);
        }
        Ended::Idle | Ended::Unread | Ended::Garbage(_) => {
            if let Some(count) = server.cut_off.add() {
                let others = match count {
                    1 => String::new(),
                    _ => format!("; and {} others since the last record of this kind", count - 1),
                };
                log::info!(event = Event::ControlCutOff, peer_uid = peer.uid, peer_pid = peer.pid, count, ended:%;
                    "control connection of user {} cut off: {ended}{others}", peer.uid);
            }
        }
    }
}

struct Intake {
    reader: OwnedReadHalf,
    decoder: FrameDecoder,
}

impl Intake {
    /// Safe to drop at any await: bytes read are in the decoder.
    async fn next_frame(&mut self) -> Result<Vec<u8>, Ended> {
        let mut bytes = [0; READ_BYTES];
        let mut is_long = false;
        loop {
            match self.decoder.next_frame() {
                Ok(Some(frame)) => return Ok(frame),
                Ok(None) => {}
                Err(FrameTooLarge { limit_bytes }) => {
                    let limit_bytes = limit_bytes as u64;
                    return Err(Ended::Garbage(ControlError::CallTooLarge { limit_bytes }));
                }
            }
            match self.reader.read(&mut bytes).await? {
                0 => return Err(Ended::ByPeer),
                count => self.decoder.push(&bytes[..count]),
            }
            if is_long {
                // A long frame is read a piece a turn.
                tokio::task::yield_now().await;
            }
            is_long = true;
        }
    }

    /// Returns when the peer closes its end. A call made meanwhile waits; more than a few bytes of calls are left in the
    /// socket.
    async fn closed(&mut self) -> Ended {
        let mut bytes = [0; READ_BYTES];
        while self.decoder.buffered() < READ_BYTES {
            match self.reader.read(&mut bytes).await {
                Ok(0) => return Ended::ByPeer,
                Ok(count) => self.decoder.push(&bytes[..count]),
                Err(cause) => return Ended::Io(cause),
            }
        }
        std::future::pending().await
    }
}

struct Conversation<'a, S> {
    server: &'a ControlServer<S>,
    peer: Peer,
    seat: Rc<Seat>,
    seats: &'a Seats,
    intake: Intake,
    writer: OwnedWriteHalf,
    stopping: watch::Receiver<bool>,
}

impl<S: Service> Conversation<'_, S> {
    async fn run(&mut self) -> Result<std::convert::Infallible, Ended> {
        let mut answered: Option<Instant> = None;
        loop {
            let frame = tokio::select! {
                biased;
                _ = self.stopping.wait_for(|stopping| *stopping) => return Err(Ended::Stopping),
                read = timeout(self.server.limits.idle, self.intake.next_frame()) => read.map_err(|_| Ended::Idle)?,
            };
            let call = match frame.and_then(|frame| parse_call(&frame).map_err(Ended::Garbage)) {
                Ok(call) => call,
                Err(Ended::Garbage(error)) => {
                    self.write(&encode_frame(&error)).await?;
                    return Err(Ended::Garbage(error));
                }
                Err(ended) => return Err(ended),
            };
            if answered.is_some_and(|at| at.elapsed() < PAUSE) {
                self.server.take_turn().await;
            }
            self.answer(&call).await?;
            answered = Some(Instant::now());
            // One call a turn, so that a peer that sends many at once delays others by one.
            tokio::task::yield_now().await;
        }
    }

    async fn answer(&mut self, call: &Call) -> Result<(), Ended> {
        let frame = match Command::decode(call) {
            Ok(Command::Introspection(parameters)) => {
                encode_frame(&Reply { parameters: Some(parameters), ..Reply::default() })
            }
            Ok(Command::Control(request)) => match self.server.authority.check(request.verb(), &self.peer) {
                Ok(()) => match request {
                    _ if !self.has_room() => {
                        let reason =
                            format!("user {} has too many calls under way; try again", self.peer.uid);
                        encode_frame(&ControlError::Unavailable { reason })
                    }
                    Request::Watch(_) if call.oneway || !call.more => {
                        encode_frame(&ControlError::ExpectedMore { method: call.method.clone() })
                    }
                    Request::Watch(request) => match self.server.service.watch(request, self.peer) {
                        Ok(updates) => return self.stream(updates).await,
                        Err(error) => encode_frame(&error),
                    },
                    request => self.ask(request).await,
                },
                Err(error) => {
                    let (verb, outcome) = (request.verb(), error.to_string());
                    Door::Socket.note_write(verb, &request.parameters(), &self.peer, &outcome);
                    encode_frame(&error)
                }
            },
            Err(error) => encode_frame(&error),
        };
        if call.oneway { Ok(()) } else { self.write(&frame).await }
    }

    /// Whoever may write always has.
    fn has_room(&self) -> bool {
        self.server.authority.may(Access::Write, &self.peer)
            || self.seats.has_room(&self.seat, self.server.limits.connections_max)
    }

    /// The service's answer as a frame.
    async fn ask(&self, request: Request) -> Vec<u8> {
        let verb: Verb = request.verb();
        let limits = &self.server.limits;
        let allowed = if verb.is_long() { limits.long_answer } else { limits.answer };
        let place = verb.is_long().then(|| self.server.long_answers.try_acquire());
        if let Some(Err(_)) = place {
            let reason = format!("{} such answers are under way already", limits.long_answers_max);
            return encode_frame(&ControlError::Unavailable { reason });
        }
        let parameters = (verb.access() == Access::Write).then(|| request.parameters());
        self.seat.set_turn(Turn::Ours);
        let answered = timeout(allowed, self.server.service.handle(request, self.peer)).await;
        self.seat.set_turn(Turn::Theirs);
        let answer = match answered {
            Ok(answer) => answer,
            Err(_) => Err(ControlError::TimedOut { after_s: allowed.as_secs() }),
        };
        if let Some(parameters) = parameters {
            let outcome = answer.as_ref().map_or_else(ControlError::to_string, |_| "done".to_owned());
            Door::Socket.note_write(verb, &parameters, &self.peer, &outcome);
        }
        match answer {
            Ok(response) if response.is_bulky() => {
                self.seat.set_turn(Turn::Ours);
                let encoded = self.encode_bulky(response).await;
                self.seat.set_turn(Turn::Theirs);
                encoded
            }
            Ok(response) => encode_response(&response),
            Err(error) => encode_frame(&error),
        }
    }

    /// Beside this thread, where everybody else would wait for it, and one at a time, which leaves them a processor.
    #[expect(clippy::disallowed_methods, reason = "the caller waits for it, and pure computing ends")]
    async fn encode_bulky(&self, response: Response) -> Vec<u8> {
        let _desk = self.server.encoding_desk.lock().await;
        let encoded = tokio::task::spawn_blocking(move || encode_response(&response)).await;
        encoded.unwrap_or_else(|failure| {
            let reason = format!("the answer could not be written down: {failure}");
            encode_frame(&ControlError::Unavailable { reason })
        })
    }

    async fn stream(&mut self, mut updates: mpsc::Receiver<Update>) -> Result<(), Ended> {
        let mut batch = Vec::with_capacity(UPDATES_PER_WRITE);
        loop {
            self.seat.set_turn(Turn::Ours);
            let count = tokio::select! {
                biased;
                _ = self.stopping.wait_for(|stopping| *stopping) => 0,
                ended = self.intake.closed() => return Err(ended),
                count = updates.recv_many(&mut batch, UPDATES_PER_WRITE) => count,
            };
            self.seat.set_turn(Turn::Theirs);
            if count == 0 {
                let reason = "the stream ended: the daemon stops, or the watcher read too slowly".to_owned();
                return self.write(&encode_frame(&ControlError::Unavailable { reason })).await;
            }
            let frames: Vec<u8> = batch
                .drain(..)
                .flat_map(|update| {
                    encode_frame(&Continued { parameters: Versioned::new(update), continues: true })
                })
                .collect();
            self.write(&frames).await?;
            tokio::task::yield_now().await;
        }
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<(), Ended> {
        match timeout(self.server.limits.write, self.writer.write_all(bytes)).await {
            Ok(written) => Ok(written?),
            Err(_) => Err(Ended::Unread),
        }
    }
}

fn encode_response(response: &Response) -> Vec<u8> {
    encode_frame(&Parameters { parameters: Versioned::new(response) })
}

/// As [`Reply`], without a detour over [`serde_json::Value`].
#[derive(serde::Serialize)]
struct Parameters<T> {
    parameters: T,
}

#[derive(serde::Serialize)]
struct Continued<T> {
    parameters: T,
    continues: bool,
}
