//! How many SmartStream packets the whole feed hands over in a second, against a client that only counts.
//!
//! Both read with fastwebsockets on a current-thread runtime what a thread writes over loopback: batches of 512
//! encoded SnapQuote packets. The feed logs in, reads a master and subscribes first; its sink counts records' frames.
//! Prints medians of interleaved rounds. Run with `cargo bench --bench angel_one_feed`.
#![expect(clippy::disallowed_methods, reason = "the other end of the connection is no part of any tree")]

use axum::{Router, routing};
use bhavd::{
    clock::Clock,
    engine::watch::{WatchList, WatchedUnderlying},
    feed::{
        FeedContext, FeedStatus, NotAccepted, RecordSink, Secret,
        angel_one::{AngelOneFeed, AngelOneSettings, Credentials},
    },
    market::*,
    spool::{Mark, NewRecord, Source},
    wire::angel_one::*,
};
use fastwebsockets::{Role, WebSocket};
use futures_util::StreamExt;
use std::{cell::Cell, io::Write, rc::Rc, sync::Arc, thread, time::Instant};
use tokio::{
    io::BufStream,
    net::{TcpListener, TcpStream},
    sync::watch,
};

const BATCH_FRAMES: usize = 512;
const FRAMES: usize = BATCH_FRAMES * 4_000;
const ROUNDS: usize = 7;

fn batch() -> Vec<u8> {
    let mut packet = Vec::new();
    Packet {
        token: ProviderToken { segment: Segment::NseFo, token: 1 },
        sequence: 1,
        exchange_time_ms: 1_769_744_700_000,
        last_price_paise: 10_000,
        detail: Detail::SnapQuote(DayStatistics::default(), Snapshot::default()),
    }
    .encode_into(&mut packet);
    let mut frame = vec![0x82, 126];
    frame.extend_from_slice(&(packet.len() as u16).to_be_bytes());
    frame.extend_from_slice(&packet);
    frame.repeat(BATCH_FRAMES)
}

/// Writes all frames from a thread of its own and leaves the socket open.
fn write_frames(socket: TcpStream) {
    let mut socket = socket.into_std().expect("a socket");
    socket.set_nonblocking(false).expect("a blocking socket");
    thread::spawn(move || {
        let batch = batch();
        for _ in 0..FRAMES / BATCH_FRAMES {
            if socket.write_all(&batch).is_err() {
                return;
            }
        }
        thread::park();
    });
}

async fn count_only() -> f64 {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let (client, server) = tokio::join!(TcpStream::connect(address), listener.accept());
    write_frames(server.expect("the client").0);
    let stream = BufStream::with_capacity(256 << 10, 1 << 10, client.expect("the listener"));
    let mut socket = WebSocket::after_handshake(stream, Role::Client);
    let started = Instant::now();
    for _ in 0..FRAMES {
        assert_eq!(socket.read_frame().await.expect("a frame").payload.len(), SNAP_QUOTE_BYTES);
    }
    started.elapsed().as_secs_f64()
}

#[derive(Clone)]
struct Counter {
    frames: Rc<Cell<usize>>,
    records: Rc<Cell<usize>>,
    began: Rc<Cell<Option<Instant>>>,
    done: watch::Sender<bool>,
}

impl RecordSink for Counter {
    async fn accept(&self, record: NewRecord) -> Result<(), NotAccepted> {
        if record.source == Source::ANGEL_ONE_STREAM {
            if self.began.get().is_none() {
                self.began.set(Some(Instant::now()));
            }
            self.records.set(self.records.get() + 1);
            self.frames.set(self.frames.get() + record.frames.len());
            if self.frames.get() == FRAMES {
                self.done.send_replace(true);
            }
        }
        Ok(())
    }

    async fn mark(&self, _: Mark) -> Result<(), NotAccepted> {
        Ok(())
    }
}

fn master() -> Vec<u8> {
    let expiry = chrono::NaiveDate::from_ymd_opt(2099, 12, 31).expect("a date");
    let contract = Contract::option(Exchange::Nse, "NIFTY", expiry, Price::from_e4(10_000), OptionType::Call);
    encode_master(&[Listing {
        provider: Provider::AngelOne,
        token: Some(ProviderToken { segment: Segment::NseFo, token: 1 }),
        symbol: "NIFTYCE".into(),
        contract,
        lot_size: 65,
        tick_size: Price::from_e4(500),
    }])
}

async fn whole_feed() -> (f64, usize) {
    let rest = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let stream = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let root = format!("http://{}", rest.local_addr().expect("an address"));
    let stream_url = format!("ws://{}/", stream.local_addr().expect("an address"));
    let log_in = || async {
        let expires = Clock::system().now().plus_seconds(36_000);
        let token = || "token".to_owned();
        SessionTokens { jwt_token: encode_jwt("A", expires, 1), refresh_token: token(), feed_token: token() }
            .encode()
    };
    let router = Router::new()
        .route(LOGIN_PATH, routing::post(log_in))
        .route("/master.json", routing::get(|| async { master() }));
    tokio::spawn(async move { axum::serve(rest, router).await });
    tokio::spawn(async move {
        let (socket, _) = stream.accept().await.expect("the feed");
        let mut socket = tokio_tungstenite::accept_async(socket).await.expect("a handshake");
        socket.next().await.expect("a subscription").expect("a frame");
        write_frames(socket.into_inner());
    });
    let (stop, stopped) = watch::channel(false);
    let sink = Counter { frames: Rc::default(), records: Rc::default(), began: Rc::default(), done: stop };
    let secret = || Secret::new("GEZDGNBVGY3TQOJQ");
    let feed = AngelOneFeed {
        settings: AngelOneSettings {
            master_url: format!("{root}/master.json"),
            rest_url: root,
            stream_url,
            ..AngelOneSettings::default()
        },
        credentials: Credentials::new("A", secret(), secret(), &secret()).expect("credentials"),
        context: FeedContext {
            watch: WatchList { underlyings: vec![WatchedUnderlying::every_underlying(1)] },
            calendar: Arc::new(bhavd::calendar::Calendar::embedded()),
            clock: Clock::system(),
            status: Arc::new(FeedStatus::new(Provider::AngelOne)),
            sink: sink.clone(),
            beside_log: None,
            stop: stopped,
            seed: 1,
        },
    };
    feed.run().await.expect("the sink takes everything");
    (sink.began.get().expect("frames came").elapsed().as_secs_f64(), sink.records.get())
}

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let (mut counting, mut feeding) = (Vec::new(), Vec::new());
    let mut records = 0;
    for _ in 0..ROUNDS {
        counting.push(runtime.block_on(count_only()));
        let (seconds, of_round) = runtime.block_on(whole_feed());
        feeding.push(seconds);
        records = of_round;
    }
    let median = |seconds: &mut Vec<f64>| {
        seconds.sort_by(f64::total_cmp);
        FRAMES as f64 / seconds[ROUNDS / 2] / 1e6
    };
    let (counting, feeding) = (median(&mut counting), median(&mut feeding));
    println!("counting only: {counting:.2} M frames/s");
    println!("whole feed: {feeding:.2} M frames/s, {:.0} %", 100.0 * feeding / counting);
    println!("frames in a record: {}", FRAMES / records);
}
