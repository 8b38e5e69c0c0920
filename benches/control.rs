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
        Mutex,
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

/// Answers at once, with little; a few streams that never end, as the daemon's own.
#[derive(Default)]
struct Fixed {
    watchers: Mutex<Vec<mpsc::Sender<Update>>>,
}

const WATCHERS_MAX: usize = 16;
const UPDATES_MAX: usize = 4_096;

impl Service for Fixed {
    async fn handle(&self, _: Request, _: Peer) -> Result<Response, ControlError> {
        Ok(Response::Feeds(FeedsResponse { feeds: Vec::new(), choice: ProviderChoice::default() }))
    }

    fn watch(&self, _: WatchRequest, _: Peer) -> Result<mpsc::Receiver<Update>, ControlError> {
        let mut watchers = self.watchers.lock().expect("no panic");
        watchers.retain(|watcher| !watcher.is_closed());
        if watchers.len() >= WATCHERS_MAX {
            return Err(ControlError::Unavailable { reason: "others are watching already".to_owned() });
        }
        let (sender, receiver) = mpsc::channel(UPDATES_MAX);
        while sender.try_send(Update::Lost { count: 1 }).is_ok() {}
        watchers.push(sender);
        Ok(receiver)
    }
}

/// What the troublemaker sends on each of its connections; it never reads. It makes one after the other, without a pause
/// and without an end.
struct Trouble {
    name: &'static str,
    bytes: Vec<u8>,
}

fn troubles() -> Vec<Trouble> {
    let watch = encode_frame(&Call::of(&Request::Watch(WatchRequest::default())));
    let status = encode_frame(&Call::of(&Request::Feeds));
    let trouble = |name, bytes| Trouble { name, bytes };
    vec![
        trouble("garbage", b"GET / HTTP/1.1\r\n\r\n\0".to_vec()),
        trouble("half a frame", b"{\"method\":\"org.bha".to_vec()),
        trouble("nothing", Vec::new()),
        trouble("a frame without an end", vec![b' '; 1 << 20]),
        trouble("calls without reading", status.repeat(2_000)),
        trouble("streams without reading", watch),
    ]
}

fn serve(path: &Path, ready: &threads::Sender<()>, stopped: oneshot::Receiver<()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let listener = ControlListener::bind(path).expect("a free path");
        ready.send(()).expect("the bench waits");
        let server = ControlServer::new(Fixed::default(), Authority::new(Vec::new()), Limits::default());
        server.serve(&listener, async { drop(stopped.await) }).await;
    });
}

/// Gives the number of connections made.
fn make(trouble: &Trouble, path: &Path, is_over: &AtomicBool) -> usize {
    let (mut kept, mut made) = (VecDeque::new(), 0);
    while !is_over.load(Relaxed) {
        let Ok(mut peer) = UnixStream::connect(path) else { continue };
        peer.set_nonblocking(true).expect("a socket");
        // What does not fit is not sent: the daemon does not read on.
        let _ = peer.write(&trouble.bytes);
        made += 1;
        kept.push_back(peer);
        if kept.len() > KEPT_MAX {
            kept.pop_front();
        }
    }
    made
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

/// Whether the 99th percentile is within the limit.
fn tell(name: &str, (spans, repeated): (Vec<Duration>, usize), made: usize) -> bool {
    let at = |part: usize| spans[(spans.len() - 1) * part / 100];
    let ms = |span: Duration| span.as_secs_f64() * 1e3;
    println!(
        "{name:24} p50 {:>7.3} ms  p99 {:>7.3} ms  max {:>7.3} ms  {repeated} repeated, {made} hostile connections",
        ms(at(50)),
        ms(at(99)),
        ms(at(100)),
    );
    at(99) <= LIMIT
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
        is_good &= tell("nobody else", ask(&path), 0);
        for trouble in troubles() {
            let is_over = AtomicBool::new(false);
            let (asked, made) = thread::scope(|scope| {
                let maker = scope.spawn(|| make(&trouble, &path, &is_over));
                let asked = ask(&path);
                is_over.store(true, Relaxed);
                (asked, maker.join().expect("no panic"))
            });
            is_good &= tell(trouble.name, asked, made);
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
