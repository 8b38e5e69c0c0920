//! A daemon of known answers on a private bus, and somebody who listens there.
#![expect(clippy::disallowed_methods, reason = "a bus server without a tree; the test joins it")]

use crate::{control_samples as samples, servers::Bus};
use bhavd::{
    control::*,
    dbus::{self, BusServer, Counters, Daemon, LastTold, Overview, PolkitPatience},
};
use futures_util::StreamExt;
use std::{
    collections::HashMap,
    num::NonZero,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    thread::{self, JoinHandle},
    time::Duration,
};
use tokio::sync::{mpsc, oneshot};
use zbus::{Connection, MatchRule, MessageStream, OwnedVariant, message};

/// Longer than anything here takes; reached only by what hangs.
pub const PATIENCE: Duration = Duration::from_secs(60);

pub const MANAGER: &str = "org.bhavd.Bhavd1.Manager";
pub const FEED: &str = "org.bhavd.Bhavd1.Feed";

/// What the daemon shows, changed by the test.
pub struct Shown {
    overview: Mutex<Overview>,
    pub ticks: AtomicU64,
    /// Every request that came through.
    pub asked: Mutex<Vec<Request>>,
    /// Given in place of every answer, if there is one.
    pub refusal: Mutex<Option<ControlError>>,
    /// Readers of the status get no answer.
    pub is_mute: AtomicBool,
    /// Who asked last.
    pub peer: Mutex<Option<Peer>>,
}

impl Shown {
    pub fn change(&self, change: impl FnOnce(&mut Overview)) {
        change(&mut self.overview.lock().expect("no panic"));
    }

    pub fn drains(&self) -> usize {
        let asked = self.asked.lock().expect("no panic");
        asked.iter().filter(|request| **request == Request::Drain).count()
    }
}

#[derive(Clone)]
struct Toy(Arc<Shown>);

impl Service for Toy {
    async fn handle(&self, request: Request, peer: Peer) -> Result<Response, ControlError> {
        *self.0.peer.lock().expect("no panic") = Some(peer);
        self.0.asked.lock().expect("no panic").push(request.clone());
        if let Some(refusal) = self.0.refusal.lock().expect("no panic").clone() {
            return Err(refusal);
        }
        if request == Request::Status && self.0.is_mute.load(Relaxed) {
            std::future::pending().await
        }
        match request {
            Request::Actors => Err(ControlError::Unavailable { reason: "the toy has no actors".to_owned() }),
            request => {
                let mut answers = samples::responses().into_iter();
                Ok(answers.find(|response| response.verb() == request.verb()).expect("a sample"))
            }
        }
    }

    fn watch(&self, _: WatchRequest, _: Peer) -> Result<mpsc::Receiver<Update>, ControlError> {
        Err(ControlError::Unavailable { reason: "nobody watches by D-Bus".to_owned() })
    }
}

impl Daemon for Toy {
    fn overview(&self) -> Overview {
        self.0.overview.lock().expect("no panic").clone()
    }

    fn counters(&self) -> Counters {
        Counters {
            ticks: self.0.ticks.fetch_add(1, Relaxed),
            watermark: Some(samples::at(11, 44, 8).0),
            buckets_closed: 48,
            last_seq: 1_843_298,
            committed_seq: 1_843_211,
            last_commit: None,
            pending_rows: 12,
        }
    }

    fn feed(&self, provider: &str) -> Option<FeedRow> {
        let overview = self.overview();
        overview.feeds.into_iter().find(|feed| feed.provider == provider)
    }
}

pub fn feed(provider: &str, state: &str) -> FeedRow {
    let mut feed = samples::feeds().feeds.into_iter().next().expect("a sample");
    (feed.provider, feed.state, feed.last_error) = (provider.to_owned(), state.to_owned(), String::new());
    feed
}

fn overview() -> Overview {
    Overview {
        version: "0.1.0",
        pid: 4_711,
        simulated: false,
        started: samples::at(8, 55, 0).0,
        healthy: true,
        problems: Vec::new(),
        session: "open until 15:30".to_owned(),
        store_up: true,
        live: "memory".to_owned(),
        choice: ProviderChoice { active: Some("angel_one".to_owned()), forced: None },
        completed_day: None,
        feeds: vec![feed("angel_one", "up")],
        actors: samples::actors().actors,
        gaps: Vec::new(),
    }
}

/// Ends with the test.
pub struct Served {
    pub shown: Arc<Shown>,
    /// The daemon's, as a reload changes it.
    pub authority: Authority,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Served {
    pub fn on(bus: &Bus) -> Served {
        Served::with_patience(bus, PolkitPatience::default())
    }

    pub fn with_patience(bus: &Bus, polkit: PolkitPatience) -> Served {
        let shown = Arc::new(Shown {
            overview: Mutex::new(overview()),
            ticks: AtomicU64::new(1),
            asked: Mutex::default(),
            refusal: Mutex::default(),
            is_mute: AtomicBool::new(false),
            peer: Mutex::new(None),
        });
        let (stop, stopped) = oneshot::channel::<()>();
        let authority = Authority::new(Vec::new());
        let judges = authority.clone();
        let (toy, address) = (Toy(Arc::clone(&shown)), bus.address().parse().expect("an address"));
        let thread = thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                let server = BusServer::new(Arc::new(toy), LastTold::default(), judges, address, polkit);
                server
                    .serve(
                        async {
                            let _ = stopped.await;
                        },
                        || (),
                    )
                    .await;
            });
        });
        Served { shown, authority, stop: Some(stop), thread: Some(thread) }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            assert!(ended.is_ok() || thread::panicking(), "the server panicked");
        }
    }
}

/// Somebody on the bus, who sees the name there.
pub struct Client {
    pub connection: Connection,
    signals: MessageStream,
}

impl Client {
    pub async fn on(bus: &Bus) -> Client {
        let connection = connect(&bus.address()).await;
        let rule =
            MatchRule::builder().msg_type(message::Type::Signal).sender(dbus::NAME).build().expect("a rule");
        let signals =
            MessageStream::for_match_rule(rule, &connection, NonZero::new(256)).await.expect("a match");
        let client = Client { connection, signals };
        client.wait_for_name().await;
        client
    }

    async fn wait_for_name(&self) {
        let bus = zbus::fdo::DBusProxy::new(&self.connection).await.expect("the bus");
        let name = || dbus::NAME.try_into().expect("a name");
        let there = async {
            while !bus.name_has_owner(name()).await.expect("the bus answers") {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(PATIENCE, there).await.expect("the name comes");
    }

    pub async fn call<B>(
        &self,
        path: &str,
        interface: &str,
        member: &str,
        body: &B,
    ) -> zbus::Result<message::Message>
    where
        B: serde::Serialize + zbus::DynamicType,
    {
        let call = self.connection.call_method(Some(dbus::NAME), path, Some(interface), member, body);
        tokio::time::timeout(PATIENCE, call).await.expect("an answer")
    }

    pub async fn properties(&self, path: &str, interface: &str) -> HashMap<String, OwnedVariant> {
        let reply = self.call(path, "org.freedesktop.DBus.Properties", "GetAll", &interface).await;
        reply.expect("properties").body().deserialize().expect("a dictionary")
    }

    pub async fn introspect(&self, path: &str) -> String {
        let reply = self.call(path, "org.freedesktop.DBus.Introspectable", "Introspect", &()).await;
        reply.expect("a description").body().deserialize().expect("a text")
    }

    /// The next signal of this name; others before it are passed over.
    pub async fn signal(&mut self, member: &str) -> message::Message {
        let found = async {
            loop {
                let message = self.signals.next().await.expect("the bus lives").expect("a message");
                if message.header().member().is_some_and(|found| found.as_str() == member) {
                    return message;
                }
            }
        };
        tokio::time::timeout(PATIENCE, found).await.unwrap_or_else(|_| panic!("no signal {member}"))
    }

    /// The next change of properties: object, interface, values.
    pub async fn change(&mut self) -> (String, String, HashMap<String, OwnedVariant>) {
        let message = self.signal("PropertiesChanged").await;
        let path = message.header().path().expect("a path").to_string();
        let (interface, values, invalidated): (String, HashMap<String, OwnedVariant>, Vec<String>) =
            message.body().deserialize().expect("a change");
        assert!(invalidated.is_empty());
        (path, interface, values)
    }
}

pub async fn connect(address: &str) -> Connection {
    let builder = zbus::connection::Builder::address(address);
    builder.build().await.expect("the bus takes connections")
}

pub fn text(value: &OwnedVariant) -> String {
    String::try_from(value.clone()).expect("a text")
}
