//! A control server on a private socket, with a service of known answers.
#![expect(
    clippy::disallowed_methods,
    reason = "a server without a tree, and those who listen to it; the test joins them"
)]

use crate::control_samples as samples;
use bhavd::control::*;
use std::{
    io::{Read, Write},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    sync::{Mutex, mpsc as events},
    thread::{self, JoinHandle},
    time::Duration,
};
use tokio::sync::{mpsc, oneshot};

/// Longer than anything here takes; reached only by what hangs.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// The day for which the service never answers.
pub const DAY_WITHOUT_ANSWER: u32 = 1;
/// The day that the service allows nobody to see.
pub const DAY_DENIED: u32 = 2;
/// The underlying whose updates never end.
pub const FLOOD: &str = "FLOOD";
/// The underlying without any update.
pub const QUIET: &str = "QUIET";

/// What the service saw.
#[derive(Debug, PartialEq)]
pub enum Event {
    Asked(Request, Peer),
    /// A stream's receiver was dropped.
    Unwatched,
}

struct FakeService {
    healthy: bool,
    events: events::Sender<Event>,
    quiet: Mutex<Vec<mpsc::Sender<Update>>>,
}

impl Service for FakeService {
    async fn handle(&self, request: Request, peer: Peer) -> Result<Response, ControlError> {
        let _ = self.events.send(Event::Asked(request.clone(), peer));
        match request {
            Request::Status if !self.healthy => Ok(Response::Status(samples::unhealthy())),
            Request::Chain(ChainRequest { underlying, .. }) if underlying != "NIFTY" => {
                let known = ["BANKNIFTY", "NIFTY"].map(str::to_owned).to_vec();
                Err(ControlError::UnknownUnderlying { underlying, known })
            }
            Request::Coverage(CoverageRequest { date })
                if date == Some(samples::date(DAY_WITHOUT_ANSWER)) =>
            {
                std::future::pending().await
            }
            Request::Coverage(CoverageRequest { date }) if date == Some(samples::date(DAY_DENIED)) => {
                Err(ControlError::PermissionDenied { verb: "Coverage".to_owned(), uid: peer.uid })
            }
            Request::ReplayVerify(ReplayVerifyRequest { date }) if date == samples::date(27) => {
                Ok(Response::ReplayVerify(samples::replay_of_other_rules()))
            }
            Request::ReplayVerify(ReplayVerifyRequest { date }) if date == samples::date(23) => {
                Ok(Response::ReplayVerify(samples::replay_of_a_lost_head()))
            }
            Request::ReplayVerify(ReplayVerifyRequest { date }) => {
                Ok(Response::ReplayVerify(samples::replay(date == samples::date(29))))
            }
            request => {
                let answers = samples::responses();
                let answer = answers.into_iter().find(|response| response.verb() == request.verb());
                answer.ok_or(ControlError::Unavailable { reason: "no sample".to_owned() })
            }
        }
    }

    fn watch(&self, request: WatchRequest, peer: Peer) -> Result<mpsc::Receiver<Update>, ControlError> {
        let _ = self.events.send(Event::Asked(Request::Watch(request.clone()), peer));
        let (sender, receiver) = mpsc::channel(64);
        match request.underlying.as_deref() {
            Some(FLOOD) => {
                let events = self.events.clone();
                thread::spawn(move || {
                    while sender.blocking_send(samples::updates().remove(0)).is_ok() {}
                    let _ = events.send(Event::Unwatched);
                });
            }
            Some(QUIET) => self.quiet.lock().expect("no panic").push(sender),
            _ => samples::updates().into_iter().for_each(|update| sender.try_send(update).expect("room")),
        }
        Ok(receiver)
    }
}

/// Runs until it is dropped.
pub struct Daemon {
    home: tempfile::TempDir,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
    events: events::Receiver<Event>,
}

impl Daemon {
    pub fn start() -> Daemon {
        Self::with(Limits::default(), true)
    }

    pub fn with(limits: Limits, healthy: bool) -> Daemon {
        let home = tempfile::tempdir().expect("a temporary directory");
        let path = home.path().join("control.sock");
        let (stop, stopped) = oneshot::channel::<()>();
        let (seen, events) = events::channel();
        let (ready, is_ready) = events::channel();
        let thread = thread::spawn(move || {
            let service = FakeService { healthy, events: seen, quiet: Mutex::default() };
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                let socket = ControlSocket::bind(&path).expect("a free path");
                let listener = socket.listen().expect("it listens");
                ready.send(()).expect("the test waits");
                let server = ControlServer::new(service, Authority::new(Vec::new()), limits);
                server.serve(&listener, async { drop(stopped.await) }).await;
            });
        });
        is_ready.recv_timeout(PATIENCE).expect("the server comes up");
        Daemon { home, stop: Some(stop), thread: Some(thread), events }
    }

    pub fn socket(&self) -> PathBuf {
        self.home.path().join("control.sock")
    }

    pub fn client(&self) -> Client {
        Client::connect(&self.socket(), Some(PATIENCE)).expect("the daemon answers")
    }

    pub fn peer(&self) -> RawPeer {
        RawPeer::connect(&self.socket())
    }

    pub fn next_event(&self) -> Event {
        self.events.recv_timeout(PATIENCE).expect("something happens")
    }

    /// Stops it and returns when it has ended.
    pub fn stop(&mut self) {
        self.begin_stop();
        if let Some(thread) = self.thread.take() {
            thread.join().expect("the server does not panic");
        }
    }

    pub fn begin_stop(&mut self) {
        drop(self.stop.take());
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.begin_stop();
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            assert!(thread::panicking() || ended.is_ok(), "the server panicked");
        }
    }
}

/// A peer that writes and reads bytes as it likes.
pub struct RawPeer {
    pub stream: UnixStream,
    received: Vec<u8>,
}

impl RawPeer {
    pub fn connect(socket: &Path) -> RawPeer {
        RawPeer::of(UnixStream::connect(socket).expect("the daemon answers"))
    }

    pub fn of(stream: UnixStream) -> RawPeer {
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
        stream.set_write_timeout(Some(PATIENCE)).expect("a socket");
        RawPeer { stream, received: Vec::new() }
    }

    /// A peer that is being answered, for ever.
    pub fn busy(daemon: &Daemon) -> RawPeer {
        let mut peer = daemon.peer();
        let date = Some(samples::date(DAY_WITHOUT_ANSWER));
        peer.send(encode_frame(&Call::of(&Request::Coverage(CoverageRequest { date }))));
        assert!(matches!(daemon.next_event(), Event::Asked(Request::Coverage(_), _)));
        peer
    }

    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).expect("the daemon reads");
    }

    /// The next frame as JSON; `None` once the daemon has closed.
    pub fn receive(&mut self) -> Option<serde_json::Value> {
        loop {
            if let Some(end) = self.received.iter().position(|byte| *byte == 0) {
                let frame: Vec<u8> = self.received.drain(..=end).collect();
                return Some(serde_json::from_slice(&frame[..end]).expect("JSON"));
            }
            let mut bytes = [0; 4_096];
            match self.stream.read(&mut bytes) {
                Ok(0) => return None,
                Ok(count) => self.received.extend_from_slice(&bytes[..count]),
                // The daemon closed with bytes of ours unread.
                Err(cause) if cause.kind() == std::io::ErrorKind::ConnectionReset => return None,
                Err(cause) => panic!("no frame: {cause}"),
            }
        }
    }

    pub fn ask(&mut self, text: &str) -> serde_json::Value {
        self.send(format!("{text}\0"));
        self.receive().expect("an answer")
    }

    /// Whether the daemon answers here.
    pub fn is_served(&mut self) -> bool {
        self.ask(r#"{"method":"org.varlink.service.GetInfo"}"#)["parameters"]["product"] == "bhavd"
    }
}
