//! How long one caller waits for an answer of the control socket while others misbehave. Prints the 99th percentile of
//! each kind of trouble, and exits with 1 if one is above 10 ms.
//!
//! One thread serves, one asks (each time over a connection of its own, as bhavctl does), one makes trouble.

use bhavd::control::*;
use std::{
    collections::VecDeque,
    io::Write,
    os::unix::net::UnixStream,
    path::Path,
    process::ExitCode,
    sync::{
        atomic::{AtomicBool, Ordering::Relaxed},
        mpsc as threads,
    },
    thread,
    time::{Duration, Instant},
};
use tokio::sync::{mpsc, oneshot};

const LIMIT: Duration = Duration::from_millis(10);
const CALLS: usize = 2_000;
const BETWEEN_CALLS: Duration = Duration::from_millis(1);
/// Connections that one troublemaker keeps open at once; files of a process are few.
const KEPT_MAX: usize = 400;

/// A feed's row, at once; a stream that never ends.
struct Fixed;

impl Service for Fixed {
    async fn handle(&self, _: Request, _: Peer) -> Result<Response, ControlError> {
        Ok(Response::Feeds(FeedsResponse { feeds: Vec::new() }))
    }

    fn watch(&self, _: WatchRequest, _: Peer) -> Result<mpsc::Receiver<Update>, ControlError> {
        let (sender, receiver) = mpsc::channel(4_096);
        while sender.try_send(Update::Lost { count: 1 }).is_ok() {}
        Ok(receiver)
    }
}

/// What a troublemaker sends on each of its connections; it never reads.
struct Trouble {
    name: &'static str,
    connections: usize,
    bytes: Vec<u8>,
}

fn troubles() -> Vec<Trouble> {
    let watch = encode_frame(&Call::of(&Request::Watch(WatchRequest::default())));
    let status = encode_frame(&Call::of(&Request::Feeds));
    let trouble = |name, connections, bytes| Trouble { name, connections, bytes };
    vec![
        trouble("nobody else", 0, Vec::new()),
        trouble("garbage", 10_000, b"GET / HTTP/1.1\r\n\r\n\0".to_vec()),
        trouble("half a frame", 10_000, b"{\"method\":\"org.bha".to_vec()),
        trouble("10,000 connections", 10_000, Vec::new()),
        trouble("a megabyte without an end", 200, vec![b' '; 1 << 20]),
        trouble("calls without reading", 2_000, status.repeat(2_000)),
        trouble("streams without reading", 2_000, watch),
    ]
}

fn serve(path: &Path, ready: &threads::Sender<()>, stopped: oneshot::Receiver<()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let listener = ControlListener::bind(path).expect("a free path");
        ready.send(()).expect("the bench waits");
        let server = ControlServer::new(Fixed, Authority::new(Vec::new()), Limits::default());
        server.serve(&listener, async { drop(stopped.await) }).await;
    });
}

fn make(trouble: &Trouble, path: &Path, is_over: &AtomicBool) {
    let mut kept = VecDeque::new();
    for _ in 0..trouble.connections {
        if is_over.load(Relaxed) {
            return;
        }
        let Ok(mut peer) = UnixStream::connect(path) else { continue };
        peer.set_nonblocking(true).expect("a socket");
        // What does not fit is not sent: the daemon does not read on.
        let _ = peer.write(&trouble.bytes);
        kept.push_back(peer);
        if kept.len() > KEPT_MAX {
            kept.pop_front();
        }
    }
    while !is_over.load(Relaxed) {
        thread::park_timeout(BETWEEN_CALLS);
    }
}

/// The spans of all calls that were answered, ascending, and how often a call had to be repeated.
fn ask(path: &Path) -> (Vec<Duration>, usize) {
    let mut repeated = 0;
    let mut spans: Vec<Duration> = (0..CALLS)
        .map(|_| {
            thread::park_timeout(BETWEEN_CALLS);
            let begun = Instant::now();
            loop {
                let answer = Client::connect(path, Some(Duration::from_secs(5)))
                    .and_then(|mut peer| peer.ask(&Request::Feeds));
                match answer {
                    Ok(_) => return begun.elapsed(),
                    // It lost its place before its call was read, and asks again as bhavctl does.
                    Err(_) => repeated += 1,
                }
            }
        })
        .collect();
    spans.sort();
    (spans, repeated)
}

fn main() -> ExitCode {
    let home = tempfile::tempdir().expect("a directory");
    let path = home.path().join("control.sock");
    let (stop, stopped) = oneshot::channel();
    let (ready, is_ready) = threads::channel();
    let mut is_good = true;
    thread::scope(|scope| {
        scope.spawn(|| serve(&path, &ready, stopped));
        is_ready.recv().expect("the server comes up");
        for trouble in troubles() {
            let is_over = AtomicBool::new(false);
            let (spans, repeated) = thread::scope(|scope| {
                scope.spawn(|| make(&trouble, &path, &is_over));
                let asked = ask(&path);
                is_over.store(true, Relaxed);
                asked
            });
            let p99 = spans[spans.len() * 99 / 100];
            is_good &= p99 <= LIMIT;
            println!(
                "{:26} p50 {:>8.3} ms  p99 {:>8.3} ms  max {:>8.3} ms  {repeated} repeated",
                trouble.name,
                spans[spans.len() / 2].as_secs_f64() * 1e3,
                p99.as_secs_f64() * 1e3,
                spans[spans.len() - 1].as_secs_f64() * 1e3,
            );
        }
        drop(stop);
    });
    if is_good {
        ExitCode::SUCCESS
    } else {
        eprintln!("a caller waited longer than {LIMIT:?} (p99)");
        ExitCode::FAILURE
    }
}
