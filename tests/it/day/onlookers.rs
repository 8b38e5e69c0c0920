//! Those who listen to the daemon over a day: somebody on its bus, a service manager, and readers of its Redis.
#![expect(clippy::disallowed_methods, reason = "the test ends its own threads and waits for them")]

use crate::{dbus::toy::connect, servers::Bus};
use bhavd::dbus;
use futures_util::StreamExt;
use serde_json::Value as Json;
use std::{
    collections::{BTreeMap, BTreeSet},
    io::ErrorKind,
    num::NonZero,
    os::unix::net::UnixDatagram,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread::{self, JoinHandle},
    time::Duration,
};
use tokio::sync::oneshot;
use zbus::{MatchRule, MessageStream, message};

/// What signals told.
#[derive(Clone, Debug, Default)]
pub struct Heard {
    /// By child: how many restarts it had.
    pub restarts: BTreeMap<String, u64>,
    /// From, to and why, as the table has them.
    pub gaps: BTreeSet<(i64, i64, String)>,
    pub completed_days: BTreeSet<String>,
}

impl Heard {
    fn note(&mut self, message: &message::Message) {
        let (header, body) = (message.header(), message.body());
        match header.member().map(|member| member.as_str()) {
            Some("ActorRestarted") => {
                let (path, _, restarts, _): (String, u64, u64, String) =
                    body.deserialize().expect("a restart");
                let before = self.restarts.insert(path.clone(), restarts);
                assert!(before.is_none_or(|before| before < restarts), "{path}: {before:?}, {restarts}");
            }
            Some("Gap") => {
                let (_, from, to, reason): (String, u64, u64, String) = body.deserialize().expect("a gap");
                self.gaps.insert((from as i64, to as i64, reason));
            }
            Some("DayCompleted") => {
                self.completed_days.insert(body.deserialize().expect("a date"));
            }
            _ => {}
        }
    }
}

/// Somebody on the bus, from before the daemon comes until the end of the test.
pub struct Listener {
    heard: Arc<Mutex<Heard>>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Listener {
    pub fn on(bus: &Bus) -> Listener {
        let (heard, address) = (Arc::<Mutex<Heard>>::default(), bus.address());
        let (stop, mut stopped) = oneshot::channel::<()>();
        let (ready, is_ready) = std::sync::mpsc::channel();
        let noted = Arc::clone(&heard);
        let listen = async move {
            let connection = connect(&address).await;
            // Not by the sender: the name has another owner after every restart of the child.
            let rule = MatchRule::builder()
                .msg_type(message::Type::Signal)
                .interface(format!("{}.Manager", dbus::NAME))
                .build()
                .expect("a rule");
            let stream = MessageStream::for_match_rule(rule, &connection, NonZero::new(1_024)).await;
            let mut signals = stream.expect("a match");
            ready.send(()).expect("somebody waits");
            loop {
                tokio::select! {
                    _ = &mut stopped => return,
                    message = signals.next() => {
                        let message = message.expect("the bus lives").expect("a message");
                        noted.lock().expect("no panic").note(&message);
                    }
                }
            }
        };
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime").block_on(listen);
        });
        is_ready.recv().expect("it listens");
        Listener { heard, stop: Some(stop), thread: Some(thread) }
    }

    pub fn heard(&self) -> Heard {
        self.heard.lock().expect("it understood every signal").clone()
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            assert!(ended.is_ok() || thread::panicking(), "the listener panicked");
        }
    }
}

/// The manager's end of its protocol.
pub struct Manager {
    pub socket: PathBuf,
    is_over: Arc<AtomicBool>,
    thread: JoinHandle<Vec<String>>,
}

impl Manager {
    pub fn in_directory(directory: &Path) -> Manager {
        let path = directory.join("notify.sock");
        let socket = UnixDatagram::bind(&path).expect("a free path");
        socket.set_read_timeout(Some(Duration::from_millis(50))).expect("a timeout");
        let is_over = Arc::<AtomicBool>::default();
        let no_more = Arc::clone(&is_over);
        let listen = move || {
            let (mut lines, mut bytes) = (Vec::new(), [0; 4_096]);
            loop {
                // Looked at first: what was sent before is there to be received.
                let is_last = no_more.load(Relaxed);
                match socket.recv(&mut bytes) {
                    Ok(count) => {
                        lines.extend(String::from_utf8_lossy(&bytes[..count]).lines().map(str::to_owned));
                    }
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {
                        if is_last {
                            return lines;
                        }
                    }
                    Err(error) => panic!("{error}"),
                }
            }
        };
        Manager { socket: path, is_over, thread: thread::spawn(listen) }
    }

    /// Every line that was told.
    pub fn told(self) -> Vec<String> {
        self.is_over.store(true, Relaxed);
        self.thread.join().expect("no panic")
    }
}

/// Open interest, volume and event time of each option, as Redis holds them, by its key.
pub fn in_redis(url: &str) -> BTreeMap<String, [Option<i64>; 3]> {
    let client = redis::Client::open(url).expect("an address");
    let mut connection = client.get_connection().expect("connects");
    let keys: Vec<String> = redis::cmd("KEYS").arg("OI:*:*:*:*").query(&mut connection).expect("keys");
    let mut found = BTreeMap::new();
    for key in keys {
        let hash: BTreeMap<String, String> =
            redis::cmd("HGETALL").arg(&key).query(&mut connection).expect("a hash");
        let number = |field: &str| hash.get(field).map(|text| text.parse().expect("a number"));
        found.insert(key, ["oi", "volume", "event_time"].map(number));
    }
    found
}

/// The same as the daemon shows it.
pub fn in_chain(chain: &Json) -> BTreeMap<String, [Option<i64>; 3]> {
    let text = |value: &Json| value.as_str().expect("a text").to_owned();
    let mut found = BTreeMap::new();
    for row in chain["rows"].as_array().expect("rows") {
        for (side, kind) in [("call", "CE"), ("put", "PE")] {
            let side = &row[side];
            if side.is_null() {
                continue;
            }
            let strike = row["strike_e4"].as_i64().expect("a strike") / 10_000;
            let key = format!("OI:{}:{}:{strike}:{kind}", text(&chain["underlying"]), text(&chain["expiry"]));
            let time = chrono::DateTime::parse_from_rfc3339(&text(&side["event_time"])).expect("an instant");
            let values =
                [side["open_interest"].as_i64(), side["volume"].as_i64(), Some(time.timestamp_micros())];
            found.insert(key, values);
        }
    }
    found
}
