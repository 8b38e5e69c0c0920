//! From the simulator's socket into SQLite: the whole daemon, against clients that only count frames.
//!
//! The simulator pushes a synthetic market as fast as its reader takes it, over a loopback WebSocket, from a thread of
//! its own. Read by the daemon (feed, log, pipeline, live table, writer) the time runs until every row is committed;
//! read by a counting client, until the last frame has come. There are two of these: the bare one is tokio-tungstenite as
//! it comes, the tuned one is fastwebsockets, the fastest library known here, behind a large read buffer. No bucket ends
//! within the play: rows are changes of open interest. Prints medians of interleaved rounds, once with contracts whose
//! open interest changes every ten seconds and once with a row for almost every tick, and ends with 1 if in the first the
//! daemon is below 60 % of the bare client.
//! `cargo bench --bench end_to_end`.

mod login;
mod median;
mod simulated;

use bhavd::{
    node::Daemon,
    sim::{Pace, RunningSimulator, SyntheticMarket},
    wire::angel_one::{ClientText, SNAP_QUOTE_BYTES, SessionTokens, StreamMode, StreamRequest},
};
use fastwebsockets::{Frame, OpCode, Payload, Role as FastRole, WebSocket};
use futures_util::{SinkExt, StreamExt};
use login::login;
use median::median;
use std::{
    io::{Read, Write},
    net::TcpStream,
    process::ExitCode,
    sync::atomic::Ordering::Relaxed,
    thread,
    time::{Duration, Instant},
};
use tokio::io::BufStream;
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{Message, protocol::Role},
};

const ROUNDS: usize = 8;
const WARM_ROUNDS: usize = 1;
const RATIO_MIN: f64 = 0.6;
const PASSES: u64 = 2;
/// Of the tuned client.
const READ_BUFFER_BYTES: usize = 256 << 10;
const PATIENCE: Duration = Duration::from_secs(120);

/// 16,200 contracts, 3 million ticks within 20 seconds of the market's time.
fn start(open_interest_interval_s: u32) -> RunningSimulator {
    let market = SyntheticMarket {
        ticks_per_second: 150_000,
        duration_s: 10,
        open_interest_interval_s,
        ..simulated::shares(200, 40)
    };
    let contracts = market.underlyings.len() * (1 + 2 * market.strikes as usize);
    simulated::start(market, Pace::AsFastAsPossible { after_subscriptions: contracts }, PASSES, 0)
}

fn total(simulator: &RunningSimulator) -> u64 {
    simulator.progress().total.expect("a play that ends")
}

/// Seconds from the first played event until `is_done`, looked at every millisecond.
fn time_until(simulator: &RunningSimulator, is_done: impl Fn() -> bool) -> f64 {
    let patience = Instant::now();
    let wait = |is_over: &dyn Fn() -> bool| {
        while !is_over() {
            assert!(patience.elapsed() < PATIENCE, "the play got stuck at {:?}", simulator.progress());
            thread::park_timeout(Duration::from_millis(1));
        }
    };
    wait(&|| simulator.progress().played > 0);
    let started = Instant::now();
    wait(&is_done);
    started.elapsed().as_secs_f64()
}

/// Seconds, and rows written.
fn time_daemon(interval_s: u32) -> (f64, u64) {
    let simulator = start(interval_s);
    let directory = tempfile::tempdir().expect("a directory");
    let text = simulated::configuration(&simulator, directory.path());
    let daemon = Daemon::open(simulated::read_configuration(&text)).expect("opens");
    let (tree, status, total) = (daemon.tree(), daemon.status(), total(&simulator));
    let seconds = thread::scope(|scope| {
        let run = scope.spawn(|| daemon.run());
        let seconds = time_until(&simulator, || {
            let observed = status.pipeline.observations.load(Relaxed);
            assert!(observed <= total, "every tick is observed once");
            observed == total && status.store.pending_rows() == 0
        });
        tree.drain(Duration::from_secs(30));
        run.join().expect("no panic").expect("a clean end");
        seconds
    });
    assert_eq!(status.pipeline.malformed.load(Relaxed), 0);
    simulator.stop();
    (seconds, status.store.rows())
}

/// Shakes hands a byte at a time, so that nothing behind the headers is read.
fn connect(simulator: &RunningSimulator, tokens: &SessionTokens) -> TcpStream {
    let mut stream =
        TcpStream::connect(simulator.addresses().angel_one.expect("Angel One")).expect("a connection");
    let head = format!(
        "GET {}?clientCode=SIM001&feedToken={} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        bhavd::sim::angel_one::STREAM_PATH,
        tokens.feed_token
    );
    stream.write_all(head.as_bytes()).expect("written");
    let mut headers = Vec::new();
    while !headers.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).expect("headers");
        headers.extend(byte);
    }
    stream.set_nonblocking(true).expect("a socket");
    stream
}

/// Who only counts.
#[derive(Clone, Copy)]
enum Client {
    /// tokio-tungstenite as it comes.
    Bare,
    /// fastwebsockets with a large read buffer.
    Tuned,
}

async fn count(client: Client, stream: TcpStream, request: String, total: u64) {
    let stream = tokio::net::TcpStream::from_std(stream).expect("a socket");
    match client {
        Client::Bare => {
            let mut socket = WebSocketStream::from_raw_socket(stream, Role::Client, None).await;
            socket.send(Message::text(request)).await.expect("subscribed");
            for _ in 0..total {
                let Some(Ok(Message::Binary(frame))) = socket.next().await else { panic!("a binary frame") };
                assert_eq!(frame.len(), SNAP_QUOTE_BYTES);
            }
        }
        Client::Tuned => {
            let stream = BufStream::with_capacity(READ_BUFFER_BYTES, 1 << 10, stream);
            let mut socket = WebSocket::after_handshake(stream, FastRole::Client);
            socket.write_frame(Frame::text(Payload::Borrowed(request.as_bytes()))).await.expect("subscribed");
            socket.flush().await.expect("subscribed");
            for _ in 0..total {
                let frame = socket.read_frame().await.expect("a frame");
                assert_eq!((frame.opcode, frame.payload.len()), (OpCode::Binary, SNAP_QUOTE_BYTES));
            }
        }
    }
}

fn time_counting(client: Client, interval_s: u32) -> f64 {
    let simulator = start(interval_s);
    let stream = connect(&simulator, &login(&simulator));
    let request = ClientText::Request(StreamRequest {
        correlation_id: None,
        subscribe: true,
        mode: StreamMode::SnapQuote,
        tokens: simulator.market().contracts().iter().map(|listed| listed.token).collect(),
    });
    let total = total(&simulator);
    let seconds = thread::scope(|scope| {
        let client = scope.spawn(|| {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(count(client, stream, request.encode(), total));
        });
        time_until(&simulator, || client.is_finished())
    });
    simulator.stop();
    seconds
}

/// The daemon's share of the bare client's rate.
fn compare(what: &str, interval_s: u32) -> f64 {
    let (mut daemon, mut bare, mut tuned) = (Vec::new(), Vec::new(), Vec::new());
    let mut rows_written = 0;
    for round in 0..ROUNDS {
        let (mut daemon_s, mut bare_s, mut tuned_s) = (0.0, 0.0, 0.0);
        // They take turns in going first.
        for turn in 0..3 {
            match (round + turn) % 3 {
                0 => (daemon_s, rows_written) = time_daemon(interval_s),
                1 => bare_s = time_counting(Client::Bare, interval_s),
                _ => tuned_s = time_counting(Client::Tuned, interval_s),
            }
        }
        if round >= WARM_ROUNDS {
            daemon.push(daemon_s);
            bare.push(bare_s);
            tuned.push(tuned_s);
        }
    }
    let simulator = start(interval_s);
    let ticks = total(&simulator);
    simulator.stop();
    let share = |counting: &[f64]| {
        median(counting.iter().zip(&daemon).map(|(counting_s, daemon_s)| counting_s / daemon_s).collect())
    };
    let (of_bare, of_tuned) = (share(&bare), share(&tuned));
    let rate = |seconds: &[f64]| ticks as f64 / median(seconds.to_vec()) / 1e6;
    println!(
        "{what}: whole daemon {:.2} M ticks/s; bare client {:.2} M, {:.0} %; tuned client {:.2} M, {:.0} % (median of {} rounds \
         of {ticks} ticks, {rows_written} rows written)",
        rate(&daemon),
        rate(&bare),
        100.0 * of_bare,
        rate(&tuned),
        100.0 * of_tuned,
        ROUNDS - WARM_ROUNDS
    );
    of_bare
}

fn main() -> ExitCode {
    let share = compare("open interest told every ten seconds", 10);
    compare("open interest changing with almost every tick", 0);
    if share >= RATIO_MIN {
        return ExitCode::SUCCESS;
    }
    println!("below {:.0} %", 100.0 * RATIO_MIN);
    ExitCode::FAILURE
}
