//! One SmartStream socket: opened, subscribed, drained into batches, opened again when lost.
//!
//! The server says nothing to a subscription but a refusal, and a socket that answers pings may carry nothing. So a stream is
//! up once its subscription is sent, until something shows otherwise: the refusal, or more silence in an open market than
//! what it carries can have. From then on it is up again only with its first packet.

use super::{feed::Shared, health::StreamEnd, rest::RestError};
use crate::{
    feed::{
        NotAccepted, RecordSink,
        backoff::Backoff,
        messages::{Event, MessageError, Messages},
    },
    market::{ProviderToken, Timestamp},
    spool::{NewRecord, Source},
    wire::angel_one::{ClientText, RefusalClass, ServerText, StreamMode, StreamRefusal, StreamRequest},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use fastwebsockets::{Frame, Payload, Role, WebSocketError, WebSocketWrite, after_handshake_split};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use sha1::{Digest, Sha1};
use std::{
    cell::Cell,
    collections::BTreeSet,
    convert::Infallible,
    future::{Future, poll_fn},
    io,
    pin::pin,
    sync::atomic::Ordering::Relaxed,
    task::Poll,
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, WriteHalf},
    sync::Mutex,
};

/// What one read of the socket may bring, and one record may hold: some 2,700 packets.
const READ_BUFFER_BYTES: usize = 1 << 20;
/// The largest text message is far below.
const MESSAGE_MAX_BYTES: usize = 64 << 10;
const PING_EVERY: Duration = Duration::from_secs(10);
/// However fast a simulation runs, a peer is not called dead sooner than this; real time.
const STALL_AT_LEAST: Duration = Duration::from_secs(2);
const SEND_TIMEOUT: Duration = Duration::from_secs(7);
/// How long after a subscription packets may be its copies of the last state, which say nothing of what is to come.
const COPIES_US: i64 = 10_000_000;
/// A market that stands still altogether makes all streams silent: each silence in a row doubles the patience, so often.
const PATIENCE_DOUBLED_MAX: u32 = 3;
/// While the log takes nothing, a stream is not read; how often that is looked at, real time.
const READING_LOOK: Duration = Duration::from_millis(200);
const NO_SESSION_SLEEP: Duration = Duration::from_secs(24 * 60 * 60);

/// Why a socket is not read any more.
#[derive(Debug, thiserror::Error)]
enum Lost {
    #[error(transparent)]
    NotAccepted(#[from] NotAccepted),
    #[error(transparent)]
    Handshake(#[from] RestError),
    #[error("the server closed the stream")]
    Closed,
    #[error("nothing came for {0:?}")]
    Stalled(Duration),
    #[error("the stream broke: {0}")]
    Broken(#[from] io::Error),
    #[error("the server broke the WebSocket protocol: {0}")]
    Protocol(#[from] MessageError),
    #[error("a frame could not be sent: {0}")]
    Send(#[from] WebSocketError),
    #[error("a frame could not be sent in time")]
    SendTimeout,
    #[error(transparent)]
    Refused(#[from] StreamRefusal),
    #[error("no data for {for_s} s, though the market is open")]
    NoData { for_s: i64, since: Timestamp },
    #[error("the plan wants other tokens")]
    Replanned,
}

/// What has come on one connection, and whether it counts as up.
struct Connection {
    subscribed: Timestamp,
    is_up: Cell<bool>,
    last_data: Cell<Option<Timestamp>>,
    /// Whether packets came that were no answer to the subscription.
    has_flowed: Cell<bool>,
    /// While the log waits, silence is the daemon's own.
    is_handing_over: Cell<bool>,
    /// Silences in a row before this connection.
    silences: u32,
}

impl Connection {
    fn note_data(&self, now: Timestamp) {
        self.last_data.set(Some(now));
        if now.us_since(self.subscribed) > COPIES_US {
            self.has_flowed.set(true);
        }
    }

    /// How long it may be silent: longer after silences in a row, which a stream whose data flow has ended.
    fn patience(&self, natural: Duration) -> Duration {
        let silences = if self.has_flowed.get() { 0 } else { self.silences };
        natural * (1 << silences.min(PATIENCE_DOUBLED_MAX))
    }
}

/// Keeps a socket open whenever the plan has tokens for it. Never returns but with the sink's error.
pub(super) async fn keep_open<S: RecordSink>(
    shared: &Shared<S>,
    slot: usize,
) -> Result<Infallible, NotAccepted> {
    let mut plans = shared.plan.subscribe();
    let part = 16 + slot as u64;
    let mut backoff = Backoff::new(Duration::from_millis(500), Duration::from_secs(30), shared.seed_of(part));
    // Whether being open was no sign of carrying anything.
    let (mut is_doubtful, mut silences) = (false, 0_u32);
    let mut keys = ChaCha8Rng::seed_from_u64(shared.seed_of(part).rotate_left(32));
    loop {
        let has_tokens = |plan: &Option<std::sync::Arc<super::plan::Plan>>| {
            plan.as_ref().is_some_and(|plan| !plan.socket(slot).is_empty())
        };
        plans.wait_for(has_tokens).await.expect("the sender lives in Shared");
        let (generation, tokens) = shared.session().await;
        let key = STANDARD.encode(keys.random::<[u8; 16]>());
        let opened = shared.rest.open_stream(&shared.settings.stream_url, &tokens, &key).await;
        let connection = Connection {
            subscribed: shared.clock.now(),
            is_up: Cell::new(false),
            last_data: Cell::new(None),
            has_flowed: Cell::new(false),
            is_handing_over: Cell::new(false),
            silences,
        };
        let was_opened = opened.is_ok();
        let lost = match opened {
            Ok((_, headers)) if !is_accepted(&headers, &key) => Lost::Handshake(RestError::Unreachable {
                what: "the stream's handshake",
                reason: "the server's Sec-WebSocket-Accept does not answer the key".to_owned(),
            }),
            Ok((stream, _)) => {
                let Err(lost) = run(shared, slot, stream, &connection, is_doubtful).await;
                lost
            }
            Err(error) => Lost::Handshake(error),
        };
        if let Lost::NotAccepted(error) = lost {
            return Err(error);
        }
        // Only a stream that brought something proves that connecting works again; after a silence or a refusal, only one
        // that brought more than copies.
        let has_recovered = match is_doubtful || matches!(lost, Lost::Refused(_) | Lost::NoData { .. }) {
            true => connection.has_flowed.get(),
            false => connection.last_data.get().is_some(),
        };
        if has_recovered {
            backoff.reset();
            (is_doubtful, silences) = (false, 0);
        }
        let end = match lost {
            Lost::Closed | Lost::Refused(_) | Lost::Replanned => StreamEnd::InOrder,
            Lost::NoData { since, .. } => StreamEnd::Silent { since },
            _ => StreamEnd::Broken,
        };
        match lost {
            Lost::Refused(_) => is_doubtful = true,
            Lost::NoData { .. } => {
                (is_doubtful, silences) = (true, silences.saturating_add(1));
                shared.status.silences.fetch_add(1, Relaxed);
            }
            _ => {}
        }
        shared.health.socket_lost(slot, end, &format!("stream {slot}: {lost}")).await?;
        if matches!(lost, Lost::Replanned) {
            continue;
        }
        if was_opened {
            shared.status.note_lost(&format!("stream {slot}"), &lost, shared.clock.now());
        }
        shared.note_error(&format!("stream {slot}"), &lost);
        match &lost {
            // The session's matter: it waits by itself if a fresh one is refused too.
            Lost::Handshake(error) if error.class() == RefusalClass::Session => {
                shared.lose_session(generation);
            }
            _ => {
                shared.health.backing_off();
                shared.clock.sleep(backoff.next_wait()).await;
            }
        }
        shared.status.reconnects.fetch_add(1, Relaxed);
    }
}

/// RFC 6455, 4.2.2: the digest of the key and a fixed text.
fn is_accepted(headers: &reqwest::header::HeaderMap, key: &str) -> bool {
    const FIXED: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    let expected = STANDARD.encode(Sha1::digest(format!("{key}{FIXED}")));
    headers.get("sec-websocket-accept").is_some_and(|accept| accept.as_bytes() == expected.as_bytes())
}

type Writer<T> = Mutex<WebSocketWrite<WriteHalf<T>>>;

async fn run<S: RecordSink, T: AsyncRead + AsyncWrite + Unpin>(
    shared: &Shared<S>,
    slot: usize,
    stream: T,
    connection: &Connection,
    is_doubtful: bool,
) -> Result<Infallible, Lost> {
    let (read, write) = tokio::io::split(stream);
    // The library masks and writes; reading takes it more than twice the time (see `Messages`).
    let (_, write) = after_handshake_split(tokio::io::empty(), write, Role::Client);
    let write = Mutex::new(write);
    let mut subscriptions = Subscriptions { shared, slot, write: &write, carried: BTreeSet::new() };
    subscriptions.reconcile().await?;
    if !is_doubtful {
        connection.is_up.set(true);
        shared.health.socket_up(slot, &format!("stream {slot} subscribed")).await?;
    }
    // Whichever ends first, ends the socket; first of all what can be read counts.
    tokio::select! {
        biased;
        ended = drain(shared, slot, read, &write, connection) => ended,
        ended = subscriptions.follow() => ended,
        ended = ping(shared, &write) => ended,
        ended = watch_silence(shared, slot, connection) => ended,
    }
}

async fn send<T: AsyncWrite>(write: &Writer<T>, frame: Frame<'_>) -> Result<(), Lost>
where
    WriteHalf<T>: AsyncWrite + Unpin,
{
    let sent = async {
        let mut write = write.lock().await;
        write
            .write_frame(Frame::new(frame.fin, frame.opcode, None, Payload::Owned(frame.payload.to_vec())))
            .await?;
        write.flush().await
    };
    match tokio::time::timeout(SEND_TIMEOUT, sent).await {
        Ok(sent) => Ok(sent?),
        Err(_) => Err(Lost::SendTimeout),
    }
}

async fn send_text<T: AsyncWrite>(write: &Writer<T>, text: &ClientText) -> Result<(), Lost>
where
    WriteHalf<T>: AsyncWrite + Unpin,
{
    let text = text.encode();
    send(write, Frame::text(Payload::Borrowed(text.as_bytes()))).await
}

async fn ping<S: RecordSink, T: AsyncWrite>(shared: &Shared<S>, write: &Writer<T>) -> Result<Infallible, Lost>
where
    WriteHalf<T>: AsyncWrite + Unpin,
{
    loop {
        shared.clock.sleep(PING_EVERY).await;
        send_text(write, &ClientText::Ping).await?;
    }
}

/// Ends a stream that brings nothing for longer than is natural for what it carries while the market is open.
async fn watch_silence<S: RecordSink>(
    shared: &Shared<S>,
    slot: usize,
    connection: &Connection,
) -> Result<Infallible, Lost> {
    loop {
        let now = shared.clock.now();
        let today = shared.calendar.session(now.date_ist()).filter(|session| now < session.close);
        let Some(session) = today.or_else(|| shared.calendar.next_session(now.date_ist())) else {
            shared.clock.sleep(NO_SESSION_SLEEP).await;
            continue;
        };
        if now < session.open {
            shared.clock.sleep_until(session.open).await;
            continue;
        }
        if connection.is_handing_over.get() {
            tokio::time::sleep(READING_LOOK).await;
            continue;
        }
        let since = connection.last_data.get().unwrap_or(connection.subscribed);
        let silent_us = now.us_since(since.max(session.open));
        let silent = Duration::from_micros(u64::try_from(silent_us).unwrap_or(0));
        let plan = shared.plan.borrow().clone();
        let natural = plan.map(|plan| plan.silence_max(slot)).unwrap_or_default();
        let left = shared
            .clock
            .real_span(connection.patience(natural))
            .max(STALL_AT_LEAST)
            .saturating_sub(shared.clock.real_span(silent));
        if left.is_zero() {
            return Err(Lost::NoData { for_s: silent_us / 1_000_000, since });
        }
        tokio::time::sleep(left).await;
    }
}

/// What a socket carries, brought in line with what the plan wants.
struct Subscriptions<'a, S, T> {
    shared: &'a Shared<S>,
    slot: usize,
    write: &'a Writer<T>,
    carried: BTreeSet<ProviderToken>,
}

impl<S: RecordSink, T: AsyncWrite> Subscriptions<'_, S, T>
where
    WriteHalf<T>: AsyncWrite + Unpin,
{
    async fn follow(&mut self) -> Result<Infallible, Lost> {
        let mut plans = self.shared.plan.subscribe();
        // The plan may have changed since the first subscription was sent.
        loop {
            plans.mark_unchanged();
            self.reconcile().await?;
            plans.changed().await.expect("the sender lives in Shared");
        }
    }

    /// Tokens are added to the running stream. One that is to carry fewer ends instead: what it goes on to bring would prove
    /// contracts that it carries no longer.
    async fn reconcile(&mut self) -> Result<(), Lost> {
        let plan = self.shared.plan.borrow().clone();
        let wanted = plan.map(|plan| plan.socket(self.slot)).unwrap_or_default();
        if !self.carried.is_subset(&wanted) {
            return Err(Lost::Replanned);
        }
        let tokens: Vec<ProviderToken> = wanted.difference(&self.carried).copied().collect();
        if tokens.is_empty() {
            return Ok(());
        }
        let request = StreamRequest {
            correlation_id: Some(format!("bhavd{:05}", self.slot)),
            subscribe: true,
            mode: StreamMode::SnapQuote,
            tokens,
        };
        send_text(self.write, &ClientText::Request(request)).await?;
        self.carried = wanted;
        Ok(())
    }
}

/// Takes everything that is readable into one batch, hands it over, and waits only with nothing in hand.
async fn drain<S: RecordSink, R: AsyncRead + Unpin, T: AsyncWrite>(
    shared: &Shared<S>,
    slot: usize,
    mut read: R,
    write: &Writer<T>,
    connection: &Connection,
) -> Result<Infallible, Lost>
where
    WriteHalf<T>: AsyncWrite + Unpin,
{
    let stall = Duration::from_secs(u64::from(shared.settings.stall_s.max(1)));
    let stall_real = shared.clock.real_span(stall).max(STALL_AT_LEAST);
    let mut messages = Messages::new(READ_BUFFER_BYTES, MESSAGE_MAX_BYTES);
    loop {
        let received = match read_ready(&mut read, &mut messages).await {
            Some(received) => received,
            None => {
                hand_over(shared, slot, &mut messages, connection).await?;
                shared.health.caught_up(slot, shared.clock.now());
                let received = read.read_buf(messages.room());
                match tokio::time::timeout(stall_real, received).await {
                    Ok(received) => received,
                    Err(_) => return Err(Lost::Stalled(stall)),
                }
            }
        };
        let outcome = match received {
            Ok(0) => Err(Lost::Closed),
            Ok(_) => answer_events(shared, slot, &mut messages, write).await,
            Err(error) => Err(error.into()),
        };
        if outcome.is_err() || messages.is_full() {
            // What came before a break is as good as any other.
            hand_over(shared, slot, &mut messages, connection).await?;
        }
        outcome?;
    }
}

/// What can be read at once; `None` if that is nothing. Nothing is lost by giving such a read up.
async fn read_ready<R: AsyncRead + Unpin>(
    read: &mut R,
    messages: &mut Messages,
) -> Option<io::Result<usize>> {
    let mut received = pin!(read.read_buf(messages.room()));
    poll_fn(|cx| match received.as_mut().poll(cx) {
        Poll::Ready(received) => Poll::Ready(Some(received)),
        Poll::Pending => Poll::Ready(None),
    })
    .await
}

/// Gathers what was received, and sees to whatever else came with it.
async fn answer_events<S: RecordSink, T: AsyncWrite>(
    shared: &Shared<S>,
    slot: usize,
    messages: &mut Messages,
    write: &Writer<T>,
) -> Result<(), Lost>
where
    WriteHalf<T>: AsyncWrite + Unpin,
{
    while let Some(event) = messages.next_event()? {
        shared.status.note_answer(shared.clock.now());
        match event {
            Event::Text(text) => match ServerText::decode(text.as_bytes()) {
                Ok(ServerText::Pong) => {}
                Ok(ServerText::Refusal(refusal)) => return Err(refusal.into()),
                Err(error) => shared.note_error(&format!("stream {slot}"), &error),
            },
            Event::Ping(payload) => send(write, Frame::pong(Payload::Owned(payload))).await?,
            Event::Pong => {}
            Event::Close(payload) => {
                // It is gone either way.
                let _ = send(write, Frame::close_raw(Payload::Owned(payload))).await;
                return Err(Lost::Closed);
            }
        }
    }
    Ok(())
}

/// One record with one time of receipt. While the log waits, the socket is not read.
async fn hand_over<S: RecordSink>(
    shared: &Shared<S>,
    slot: usize,
    messages: &mut Messages,
    connection: &Connection,
) -> Result<(), NotAccepted> {
    if messages.gathered() == 0 {
        return Ok(());
    }
    let frames = messages.take();
    let received_time = shared.clock.now();
    shared.status.count_frames(frames.len() as u64, received_time);
    connection.is_handing_over.set(true);
    if !connection.is_up.replace(true) {
        // Before the packets that show it.
        shared.health.socket_up(slot, &format!("stream {slot} brings data")).await?;
    }
    let context = format!("stream={slot}");
    shared
        .sink
        .accept(NewRecord { source: Source::ANGEL_ONE_STREAM, received_time, context, frames })
        .await?;
    connection.note_data(shared.clock.now());
    connection.is_handing_over.set(false);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patience_is_natural_again_once_data_have_flowed() {
        let subscribed = Timestamp::from_us(1_769_744_700_000_000);
        let connection = Connection {
            subscribed,
            is_up: Cell::new(false),
            last_data: Cell::new(None),
            has_flowed: Cell::new(false),
            is_handing_over: Cell::new(false),
            silences: 5,
        };
        let natural = Duration::from_secs(600);
        assert_eq!(connection.patience(natural), natural * 8, "at most");
        connection.note_data(subscribed.plus_seconds(1));
        assert_eq!(connection.patience(natural), natural * 8, "copies of what was before");
        connection.note_data(subscribed.plus_seconds(11));
        assert_eq!(connection.patience(natural), natural);
    }
}
