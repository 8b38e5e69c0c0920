//! The live table in Redis: hashes for those who look, frames for those who listen. docs/live-frame.md describes both.
//!
//! One task follows the table's dirty bits, encodes what changed as one pipeline a batch, and keeps two pipelines in
//! flight on one connection, whose order Redis keeps. It only reads the table: a slow or absent Redis makes batches larger
//! and later, nothing else. A lost connection is a state, retried with growing delays; after it everything is
//! written again, because Redis may have come back empty.

use super::{Directory, DirtyCursor, FrameRecord, Listings, LiveFrame, LiveQuote, directory::DirectoryEntry};
use crate::{
    clock::Clock,
    logging::Event,
    market::{InstrumentKind, Price},
};
use futures_util::{StreamExt, stream::FuturesUnordered};
use redis::{AsyncConnectionConfig, IntoConnectionInfo, Pipeline, aio::MultiplexedConnection};
use std::{
    future::Future,
    pin::{Pin, pin},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

const CHANNEL: &str = "market_data";
const INSTRUMENTS: &str = "instruments";
/// Slots in one pipeline and frame. Larger ones gain little (measured) and delay the first.
const BATCH_SLOTS: usize = 1_000;
const IN_FLIGHT_MAX: usize = 2;
/// Between two looks at a table where nothing changed. Below it nobody notices, above it nothing is saved.
const IDLE_PAUSE: Duration = Duration::from_millis(10);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(5);
const RETRY_FIRST: Duration = Duration::from_millis(100);
const RETRY_LAST: Duration = Duration::from_secs(5);

/// Redis cannot be used as configured. The daemon refuses to start.
#[derive(Debug, thiserror::Error)]
pub enum RedisError {
    /// Without the address, which may have a password.
    #[error("redis_url is not usable: {error}; write redis://HOST:PORT or unix:///PATH")]
    Url { error: redis::RedisError },
}

/// Counters and gauges of the publisher, readable at any time.
#[derive(Debug, Default)]
pub struct RedisStatus {
    connected: AtomicBool,
    /// Quotes that Redis has acknowledged, and the frames they came in.
    pub written: AtomicU64,
    pub frames: AtomicU64,
    pub errors: AtomicU64,
    pub reconnects: AtomicU64,
    /// Quotes given to Redis, acknowledged or not.
    pub sent: AtomicU64,
    last_error: Mutex<String>,
}

impl RedisStatus {
    pub fn is_connected(&self) -> bool {
        self.connected.load(Relaxed)
    }

    pub fn last_error(&self) -> String {
        self.last_error.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Quotes of the table's `writes` that newer ones replaced before they were sent. Rewriting everything after a
    /// reconnect makes it smaller.
    pub fn conflated(&self, writes: u64) -> u64 {
        writes.saturating_sub(self.sent.load(Relaxed))
    }

    fn note_error(&self, error: &redis::RedisError) {
        self.errors.fetch_add(1, Relaxed);
        *self.last_error.lock().unwrap_or_else(PoisonError::into_inner) = error.to_string();
    }
}

pub struct RedisPublisher {
    client: redis::Client,
    cursor: DirtyCursor,
    directory: Directory,
    clock: Clock,
    status: Arc<RedisStatus>,
    keys: Keys,
}

impl RedisPublisher {
    /// `url` is `redis://…` or `unix:///…`. Nothing is connected before [`RedisPublisher::run`].
    pub fn new(
        url: &str,
        cursor: DirtyCursor,
        directory: Directory,
        clock: Clock,
        status: Arc<RedisStatus>,
    ) -> Result<RedisPublisher, RedisError> {
        let unusable = |error| RedisError::Url { error };
        let information = url.into_connection_info().map_err(unusable)?;
        let tcp = redis::io::tcp::TcpSettings::default().set_nodelay(true);
        let client = redis::Client::open(information.set_tcp_settings(tcp)).map_err(unusable)?;
        Ok(RedisPublisher { client, cursor, directory, clock, status, keys: Keys::default() })
    }

    /// Publishes until `stop` is ready, then sends what is still dirty if Redis is there.
    pub async fn run(mut self, stop: impl Future<Output = ()>) {
        let mut stop = pin!(stop);
        let mut retry = RETRY_FIRST;
        // Whether the log knows that Redis is away.
        let mut is_told = false;
        loop {
            let connecting = self.connect();
            let connected = tokio::select! {
                biased;
                () = &mut stop => return,
                connected = connecting => connected,
            };
            match connected {
                Ok(connection) => {
                    retry = RETRY_FIRST;
                    is_told = false;
                    self.status.connected.store(true, Relaxed);
                    log::info!(event = Event::RedisBack; "redis is connected; everything is sent anew");
                    self.status.reconnects.fetch_add(1, Relaxed);
                    let outcome = self.publish(connection, stop.as_mut()).await;
                    self.status.connected.store(false, Relaxed);
                    match outcome {
                        Ok(()) => return,
                        Err(error) => self.note_loss(&error, &mut is_told),
                    }
                }
                Err(error) => self.note_loss(&error, &mut is_told),
            }
            tokio::select! {
                biased;
                () = &mut stop => return,
                () = tokio::time::sleep(retry) => {}
            }
            retry = (retry * 2).min(RETRY_LAST);
        }
    }

    fn note_loss(&self, error: &redis::RedisError, is_told: &mut bool) {
        // The first of a row: the following ones only count.
        if !std::mem::replace(is_told, true) {
            log::warn!(event = Event::RedisAway, error:%; "redis is away ({error}); live state stays in memory and is sent when it is back");
        }
        self.status.note_error(error);
    }

    async fn connect(&self) -> redis::RedisResult<MultiplexedConnection> {
        let settings = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_TIMEOUT))
            .set_response_timeout(Some(RESPONSE_TIMEOUT));
        self.client.get_multiplexed_async_connection_with_config(&settings).await
    }

    /// One connection's life. Ok when stopped, even if the last of it was lost.
    async fn publish(
        &mut self,
        connection: MultiplexedConnection,
        mut stop: Pin<&mut impl Future<Output = ()>>,
    ) -> redis::RedisResult<()> {
        self.cursor.mark_all();
        self.keys = Keys::default();
        let mut in_flight = FuturesUnordered::new();
        let mut is_stopping = false;
        loop {
            let mut sent = 0;
            if in_flight.len() < IN_FLIGHT_MAX {
                let listings = self.directory.snapshot();
                let (pipeline, count) = self.next_pipeline(&listings);
                sent = count;
                if !pipeline.is_empty() {
                    self.status.sent.fetch_add(count as u64, Relaxed);
                    let mut connection = connection.clone();
                    in_flight.push(async move { pipeline.exec_async(&mut connection).await.map(|()| count) });
                }
            }
            if is_stopping && sent == 0 && in_flight.is_empty() {
                return Ok(());
            }
            let is_idle = sent == 0 && in_flight.len() < IN_FLIGHT_MAX && !is_stopping;
            if sent > 0 && in_flight.len() < IN_FLIGHT_MAX {
                continue;
            }
            tokio::select! {
                biased;
                Some(answer) = in_flight.next() => {
                    let count = match answer {
                        Ok(count) => count,
                        Err(error) if is_stopping => {
                            self.status.note_error(&error);
                            return Ok(());
                        }
                        Err(error) => return Err(error),
                    };
                    self.status.written.fetch_add(count as u64, Relaxed);
                    self.status.frames.fetch_add(u64::from(count > 0), Relaxed);
                }
                () = stop.as_mut(), if !is_stopping => is_stopping = true,
                () = tokio::time::sleep(IDLE_PAUSE), if is_idle => {}
            }
        }
    }

    /// What changed, as one pipeline, and how many quotes it has. Names of instruments come before their first frame.
    fn next_pipeline(&mut self, listings: &Listings) -> (Pipeline, usize) {
        let mut pipeline = redis::pipe();
        if self.keys.generation != listings.generation {
            self.renew_keys(listings, &mut pipeline);
        }
        let mut records = Vec::new();
        let (table, keys) = (Arc::clone(self.cursor.table()), &self.keys);
        self.cursor.drain(BATCH_SLOTS, |slot| {
            // A slot without a name has been written before it was listed; listing marks it again.
            let (Some(entry), Some(quote)) = (listings.entry(slot), table.read(slot)) else { return };
            records.push(FrameRecord { instrument: entry.instrument, quote });
            if let Some(names) = keys.names.get(slot as usize).and_then(Option::as_ref) {
                write_hash(&mut pipeline, &names.key, None, &quote);
                if let Some(alias) = &names.alias {
                    write_hash(&mut pipeline, alias, Some(&names.expiry), &quote);
                }
            }
        });
        let count = records.len();
        if count > 0 {
            let frame = LiveFrame { sent_time: self.clock.now(), records };
            pipeline.cmd("PUBLISH").arg(CHANNEL).arg(frame.encode()).ignore();
        }
        (pipeline, count)
    }

    fn renew_keys(&mut self, listings: &Listings, pipeline: &mut Pipeline) {
        let known = self.keys.names.len();
        for entries in listings.entries()[known..].chunks(BATCH_SLOTS) {
            let command = pipeline.cmd("HSET").arg(INSTRUMENTS);
            for entry in entries {
                command.arg(entry.instrument.0).arg(entry.contract.to_string());
            }
            command.ignore();
        }
        // An alias whose expiry has passed points nowhere until the next expiry's first quote.
        let names: Vec<Option<Names>> = listings.entries().iter().map(Names::of).collect();
        for (before, after) in self.keys.names.iter().zip(&names) {
            let alias = before.as_ref().and_then(|names| names.alias.as_ref());
            if let Some(alias) = alias
                && after.as_ref().is_none_or(|names| names.alias.is_none())
            {
                pipeline.cmd("DEL").arg(alias).ignore();
            }
        }
        self.keys = Keys { generation: listings.generation, names };
        self.cursor.mark_all();
    }
}

/// The keys of every slot, made once a generation of the directory.
#[derive(Default)]
struct Keys {
    generation: u64,
    names: Vec<Option<Names>>,
}

struct Names {
    key: String,
    alias: Option<String>,
    expiry: String,
}

impl Names {
    fn of(entry: &DirectoryEntry) -> Option<Names> {
        let InstrumentKind::Option { expiry, strike, option_type } = entry.contract.kind else { return None };
        let strike = strike.to_string();
        let strike = strike.strip_suffix(".00").unwrap_or(&strike);
        let underlying = &entry.contract.underlying;
        let alias = entry.is_nearest_expiry.then(|| format!("OI:{underlying}:{strike}:{option_type}"));
        let key = format!("OI:{underlying}:{expiry}:{strike}:{option_type}");
        Some(Names { key, alias, expiry: expiry.to_string() })
    }
}

fn write_hash(pipeline: &mut Pipeline, key: &str, expiry: Option<&str>, quote: &LiveQuote) {
    let command = pipeline.cmd("HSET").arg(key);
    for (field, value) in [
        ("oi", quote.open_interest),
        ("oi_change", quote.open_interest_change()),
        ("volume", quote.volume),
        ("event_time", Some(quote.event_time.as_us())),
        ("received_time", Some(quote.received_time.as_us())),
    ] {
        if let Some(value) = value {
            command.arg(field).arg(value);
        }
    }
    for (field, value) in [
        ("ltp", quote.last_price),
        ("bid", quote.bid),
        ("ask", quote.ask),
        ("iv", quote.implied_volatility_e4.map(Price::from_e4)),
    ] {
        if let Some(value) = value {
            command.arg(field).arg(value.to_string());
        }
    }
    command.arg("provider").arg(quote.provider.name());
    if let Some(expiry) = expiry {
        command.arg("expiry").arg(expiry);
    }
    command.ignore();
}
