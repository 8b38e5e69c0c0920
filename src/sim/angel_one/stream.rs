//! SmartStream V2: handshake and sockets.
//!
//! Each socket has a reader and a writer. The reader hands text frames over a small queue and waits when it is full; the
//! writer walks its cursor through the play, encodes packets of subscribed contracts into one buffer and writes the
//! buffer at once. A slow client makes the writer wait on TCP and nothing else. By the clock, the writer also sends what
//! no event causes: a contract's state when it is subscribed, stamped with that moment, and the movements of its book.
//!
//! Invariant: the stamps of one token never go back on a socket. What is stamped with the clock is encoded only once
//! every event that is due by then has been.

use super::{
    AngelOneServer,
    books::Books,
    packet::{Moment, packet_at},
    sessions::TokenKind,
    subscriptions::{LimitExceeded, Subscriptions},
    websocket::{ClientMessage, FrameReader, Opcode, accept_key, write_frame, write_header},
};
use crate::{
    clock::Clock,
    market::Timestamp,
    sim::{Cursor, Faults, SlotState},
    wire::angel_one::{ClientText, ServerText, StreamMode, StreamRefusal, WireError},
};
use axum::{
    body::Body,
    extract::{Query, Request, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use hyper_util::rt::TokioIo;
use std::{
    collections::HashMap,
    io,
    sync::{Arc, atomic::Ordering},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::{mpsc, watch},
};

type Server = Arc<AngelOneServer>;

/// Messages of a client that its writer has not looked at yet.
const UNREAD_MESSAGES_MAX: usize = 64;
/// A write goes out when the buffer holds this much; about 680 packets, still in the processor's cache.
const WRITE_BYTES: usize = 256 << 10;
/// Events looked at between two looks at the buffer's size.
const EVENTS_PER_STEP: u64 = 256;

/// Answers a WebSocket handshake, or says why not.
pub(super) async fn handshake(
    State(server): State<Server>,
    Query(query): Query<HashMap<String, String>>,
    mut request: Request,
) -> Response {
    if server.faults.current().too_many_requests {
        return StatusCode::TOO_MANY_REQUESTS.into_response();
    }
    if let Err(message) = check_client(&server, request.headers(), &query) {
        return (StatusCode::UNAUTHORIZED, [("x-error-message", message)]).into_response();
    }
    let key = request.headers().get(header::SEC_WEBSOCKET_KEY).and_then(|value| value.to_str().ok());
    let Some(accept) = key.map(accept_key) else {
        return (StatusCode::BAD_REQUEST, "this is a WebSocket address").into_response();
    };
    let upgrade = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        let Ok(upgraded) = upgrade.await else {
            return;
        };
        // Every connection is a plain TCP stream behind TokioIo: http_server made it.
        if let Ok(parts) = upgraded.downcast::<TokioIo<TcpStream>>() {
            serve(server, parts.io.into_inner(), &parts.read_buf).await;
        }
    });
    Response::builder()
        .status(StatusCode::SWITCHING_PROTOCOLS)
        .header(header::CONNECTION, "Upgrade")
        .header(header::UPGRADE, "websocket")
        .header(header::SEC_WEBSOCKET_ACCEPT, accept)
        .body(Body::empty())
        .expect("base64 is a valid header value")
}

/// Headers, or the query form that browsers use. The JWT is checked where it is given; some official clients send only
/// client code and feed token.
fn check_client(
    server: &AngelOneServer,
    headers: &HeaderMap,
    query: &HashMap<String, String>,
) -> Result<(), &'static str> {
    let given = |name: &str, in_query: &str| {
        let header = headers.get(name).and_then(|value| value.to_str().ok());
        header.map(str::to_owned).or_else(|| query.get(in_query).cloned())
    };
    let credentials = &server.options.credentials;
    if let Some(authorization) = headers.get(header::AUTHORIZATION) {
        let token = authorization.to_str().unwrap_or_default();
        let token = token.strip_prefix("Bearer ").unwrap_or(token);
        server.check_token(token, TokenKind::Session).map_err(|_| "Invalid Auth Token")?;
    }
    if given("x-client-code", "clientCode").as_ref() != Some(&credentials.client_code) {
        return Err("Invalid Client Code");
    }
    if given("x-api-key", "apiKey").is_some_and(|key| key != credentials.api_key) {
        return Err("Invalid API Key");
    }
    let feed_token = given("x-feed-token", "feedToken").unwrap_or_default();
    server.check_token(&feed_token, TokenKind::Feed).map_err(|_| "Invalid Feed Token")
}

/// Counts a socket among the open ones for as long as it lives.
struct OpenSocket(Server);

impl Drop for OpenSocket {
    fn drop(&mut self) {
        self.0.open_sockets.fetch_sub(1, Ordering::Relaxed);
    }
}

async fn serve(server: Server, mut stream: TcpStream, leftover: &[u8]) {
    let open_before = server.open_sockets.fetch_add(1, Ordering::Relaxed);
    let open = OpenSocket(server.clone());
    if open_before >= server.options.sockets_max {
        let mut frame = Vec::new();
        write_frame(&mut frame, Opcode::Close, &close_payload(1_008));
        // The client is turned away either way.
        let _ = stream.write_all(&frame).await;
        return;
    }
    let (read_half, write_half) = stream.into_split();
    let (messages, unread) = mpsc::channel(UNREAD_MESSAGES_MAX);
    let mut frames = FrameReader::default();
    frames.buffer().extend_from_slice(leftover);
    let slots = server.playback.market().contracts().len();
    let now = server.playback.clock().now();
    let writer = Writer {
        subscriptions: Subscriptions::new(slots, server.options.tokens_per_socket),
        cursor: server.playback.cursor(),
        books: server.books.map(|schedule| Books::new(schedule, slots, now)),
        drops: server.faults.drops(),
        out: Vec::with_capacity(WRITE_BYTES + (64 << 10)),
        server,
        stream: write_half,
    };
    // Whichever half ends first ends the other: dropping both closes the connection.
    tokio::select! {
        () = read(read_half, frames, messages) => {}
        ended = writer.run(unread) => {
            if let Err(error) = ended {
                log::debug!("a simulated socket ended: {error}");
            }
        }
    }
    drop(open);
}

fn close_payload(code: u16) -> [u8; 2] {
    code.to_be_bytes()
}

/// What the reader tells the writer.
enum FromClient {
    Message(ClientMessage),
    Broken { close_code: u16 },
}

/// Ends when the client has gone; after a broken frame it waits for the writer to say goodbye.
async fn read(mut stream: OwnedReadHalf, mut frames: FrameReader, messages: mpsc::Sender<FromClient>) {
    loop {
        loop {
            let message = match frames.next_message() {
                Ok(None) => break,
                Ok(Some(message)) => FromClient::Message(message),
                Err(error) => FromClient::Broken { close_code: error.close_code },
            };
            let is_broken = matches!(message, FromClient::Broken { .. });
            if messages.send(message).await.is_err() {
                return;
            }
            if is_broken {
                messages.closed().await;
                return;
            }
        }
        match stream.read_buf(frames.buffer()).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
    }
}

struct Writer {
    server: Server,
    stream: OwnedWriteHalf,
    subscriptions: Subscriptions,
    cursor: Cursor,
    /// `None` if books do not move.
    books: Option<Books>,
    drops: watch::Receiver<u64>,
    out: Vec<u8>,
}

impl Writer {
    async fn run(mut self, mut unread: mpsc::Receiver<FromClient>) -> io::Result<()> {
        loop {
            let mut is_last = false;
            let next_movement = self.next_movement();
            tokio::select! {
                biased;
                // An error means that the simulator is gone.
                _ = self.drops.changed() => return Ok(()),
                message = unread.recv() => match message {
                    Some(message) => is_last = self.answer(message),
                    None => return Ok(()),
                },
                () = self.cursor.has_more() => self.push_events(),
                () = wait_until(self.server.playback.clock(), next_movement) => {}
            }
            self.move_books();
            if !self.out.is_empty() {
                tokio::select! {
                    biased;
                    _ = self.drops.changed() => return Ok(()),
                    written = self.stream.write_all(&self.out) => written?,
                }
                self.out.clear();
            }
            self.cursor.report();
            if is_last {
                return self.stream.shutdown().await;
            }
        }
    }

    /// Encodes until the buffer is full or everything played so far is in it.
    fn push_events(&mut self) {
        let Writer { server, subscriptions, cursor, out, .. } = self;
        let faults = server.faults.current();
        let market = server.playback.market();
        // Events of contracts nobody subscribed to are cheap, but there may be a day of them.
        const STEPS_MAX: u64 = 4_096;
        for _ in 0..STEPS_MAX {
            let walked = cursor.advance(EVENTS_PER_STEP, |slot, state| {
                for mode in subscriptions.modes(slot) {
                    if !faults.mutes(market.contracts()[slot].token) {
                        write_packet(out, market, slot, state, mode, server.at_change(slot, state), &faults);
                    }
                }
            });
            if walked < EVENTS_PER_STEP || out.len() >= WRITE_BYTES {
                break;
            }
        }
    }

    /// When a book of this socket moves next. `None` if none will.
    fn next_movement(&self) -> Option<Timestamp> {
        let playback = &self.server.playback;
        self.books.as_ref()?.next(playback.hours(), playback.clock().now())
    }

    /// Encodes the movements that are due. They wait for the events before them.
    fn move_books(&mut self) {
        let clock = self.server.playback.clock();
        if self.next_movement().is_none_or(|next| clock.now() < next) {
            return;
        }
        let now = self.server.playback.follow_clock();
        self.push_events();
        if self.cursor.is_behind() {
            return;
        }
        let Writer { server, subscriptions, cursor, books: Some(books), out, .. } = self else {
            return;
        };
        let (market, faults) = (server.playback.market(), server.faults.current());
        let on_move = |slot: usize, stamp: Timestamp| {
            let state = cursor.state().slot(slot);
            // A movement at the close that comes late stands behind what has happened since.
            if !state.is_known() || stamp < state.event_time() || faults.mutes(market.contracts()[slot].token)
            {
                return;
            }
            for mode in subscriptions.modes(slot) {
                write_packet(out, market, slot, state, mode, server.shown_at(slot, state, stamp), &faults);
            }
        };
        books.advance(market, server.playback.hours(), now, |slot| subscriptions.has(slot), on_move);
    }

    /// Encodes a contract's state as of this moment, for a client that has just subscribed to it.
    fn push_state(&mut self, slot: usize, mode: StreamMode, now: Timestamp) {
        let Writer { server, cursor, books, out, .. } = self;
        let market = server.playback.market();
        if let Some(books) = books {
            books.show(market, slot, now);
        }
        let (state, faults) = (cursor.state().slot(slot), server.faults.current());
        if !state.is_known() || faults.mutes(market.contracts()[slot].token) {
            return;
        }
        let moment = match server.playback.is_clocked() {
            true => server.shown_at(slot, state, cursor.frontier(now).max(state.event_time())),
            false => server.at_change(slot, state),
        };
        write_packet(out, market, slot, state, mode, moment, &faults);
    }

    /// Handles one message; `true` if the connection ends with it.
    fn answer(&mut self, message: FromClient) -> bool {
        let is_mute = self.server.faults.current().mute;
        match message {
            FromClient::Broken { close_code } => {
                write_frame(&mut self.out, Opcode::Close, &close_payload(close_code));
                return true;
            }
            FromClient::Message(ClientMessage::Close) => {
                write_frame(&mut self.out, Opcode::Close, &close_payload(1_000));
                return true;
            }
            FromClient::Message(ClientMessage::Ping(payload)) if !is_mute => {
                write_frame(&mut self.out, Opcode::Pong, &payload);
            }
            FromClient::Message(ClientMessage::Ping(_) | ClientMessage::Pong) => {}
            FromClient::Message(ClientMessage::Data(text)) => self.answer_text(&text, is_mute),
        }
        false
    }

    fn answer_text(&mut self, text: &[u8], is_mute: bool) {
        let refusal = |code: &str, correlation_id, message: &str| {
            ServerText::Refusal(StreamRefusal {
                correlation_id,
                error_code: code.to_owned(),
                error_message: message.to_owned(),
            })
        };
        let reply = match ClientText::decode(text) {
            Ok(ClientText::Ping) => Some(ServerText::Pong),
            Ok(ClientText::Request(request)) => {
                let market = self.server.playback.market().clone();
                let is_refused =
                    request.subscribe && self.server.faults.current().refuses(request.tokens.iter());
                let now = self.server.playback.follow_clock();
                if self.server.playback.is_clocked() {
                    self.push_events();
                }
                let applied = match is_refused {
                    true => Err(LimitExceeded),
                    false => self.subscriptions.apply(&market, &request),
                };
                match applied {
                    Ok(first_time) => {
                        self.server.playback.count_subscriptions(first_time.len());
                        for slot in first_time {
                            self.push_state(slot, request.mode, now);
                        }
                        None
                    }
                    Err(LimitExceeded) => {
                        let id = request.correlation_id;
                        let message = "Invalid Request. Subscription Limit Exceeded";
                        Some(refusal(StreamRefusal::LIMIT_EXCEEDED, id, message))
                    }
                }
            }
            // The real server takes exchange types it does not know and never sends anything for them.
            Err(WireError::Unsupported { field: "exchange type", .. }) => None,
            Err(_) => Some(refusal(StreamRefusal::INVALID_PAYLOAD, None, "Invalid Request Payload.")),
        };
        if let Some(reply) = reply.filter(|_| !is_mute) {
            write_frame(&mut self.out, Opcode::Text, reply.encode().as_bytes());
        }
    }
}

#[inline]
fn write_packet(
    out: &mut Vec<u8>,
    market: &crate::sim::SimMarket,
    slot: usize,
    state: &SlotState,
    mode: StreamMode,
    moment: Moment,
    faults: &Faults,
) {
    let moment = match faults.garbles(market.contracts()[slot].token) {
        true => Moment { stamp_ms: i64::MAX, ..moment },
        false => moment,
    };
    write_header(out, Opcode::Binary, mode.packet_bytes());
    packet_at(market, slot, state, mode, moment).encode_into(out);
}

/// Returns once the clock shows an instant; never for none.
async fn wait_until(clock: &Clock, instant: Option<Timestamp>) {
    match instant {
        Some(instant) => clock.sleep_until(instant).await,
        None => std::future::pending().await,
    }
}
