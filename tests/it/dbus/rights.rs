//! Who may do what: root, the daemon's group, strangers, strangers whom polkit knows.

use super::toy::{Client, FEED, MANAGER, Served, connect};
use crate::servers::{Bus, own_ids};
use bhavd::{
    control::Access,
    dbus::{self, PolkitPatience},
};
use futures_util::stream::{FuturesUnordered, StreamExt};
use std::{
    collections::HashMap,
    process::Command,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};
use zbus::{Connection, OwnedVariant, object_server::Interface};

const NOBODY: u32 = 65_534;

/// A user of another process on the bus.
struct Stranger {
    groups: Option<u32>,
}

impl Stranger {
    /// Calls a method of the manager, or of Angel One's feed, by dbus-send; the output, or what it complained of.
    fn call(&self, address: &str, method: &str) -> Result<String, String> {
        let mut command = Command::new("setpriv");
        command.args([format!("--reuid={NOBODY}"), format!("--regid={NOBODY}")]);
        match self.groups {
            None => command.arg("--clear-groups"),
            Some(group) => command.arg(format!("--groups={group}")),
        };
        command.arg("dbus-send").arg(format!("--bus={address}")).arg("--print-reply");
        let path =
            if method.starts_with(FEED) { dbus::feed_path("angel_one") } else { dbus::PATH.to_owned() };
        command.arg(format!("--dest={}", dbus::NAME)).arg(path).args(method.split(' '));
        let output =
            command.output().expect("setpriv and dbus-send are installed: apt-get install dbus util-linux");
        let (said, complained) =
            (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        if output.status.success() { Ok(said.into_owned()) } else { Err(complained.into_owned()) }
    }
}

/// Only root may take other users' places.
fn is_root() -> bool {
    let is_root = own_ids().0 == 0;
    if !is_root {
        crate::skip::tell!("only root can call as other users");
    }
    is_root
}

/// A daemon that is on a bus of its own, and root or the daemon's own user there.
struct Scene {
    served: Served,
    client: Client,
    bus: Bus,
}

impl Scene {
    async fn set() -> Scene {
        Scene::with_patience(PolkitPatience::default()).await
    }

    async fn with_patience(polkit: PolkitPatience) -> Scene {
        let bus = Bus::start();
        let served = Served::with_patience(&bus, polkit);
        let client = Client::on(&bus).await;
        Scene { served, client, bus }
    }

    /// Drains the daemon as the client.
    async fn drain(&self) {
        self.client.call(dbus::PATH, MANAGER, "Drain", &()).await.expect("it is allowed");
    }

    /// A call of nobody's, who is in no group of the daemon's. On a thread of its own: this one may play polkit
    /// meanwhile.
    #[expect(clippy::disallowed_methods, reason = "the test waits for its end")]
    fn nobody_calls(&self, method: &'static str) -> impl Future<Output = Result<String, String>> + use<> {
        let address = self.bus.address();
        let call = tokio::task::spawn_blocking(move || Stranger { groups: None }.call(&address, method));
        async { call.await.expect("no panic") }
    }

    /// Gives the bus a polkit, which leaves when this is closed.
    async fn with_polkit(&self, polkit: impl Interface) -> Connection {
        let connection = connect(&self.bus.address()).await;
        let path = "/org/freedesktop/PolicyKit1/Authority";
        connection.object_server().at(path, polkit).await.expect("a free path");
        connection.request_name("org.freedesktop.PolicyKit1").await.expect("a free name");
        connection
    }
}

const DRAIN: &str = "org.bhavd.Bhavd1.Manager.Drain";

#[tokio::test]
async fn readers_do_not_keep_writers_out() {
    const MORE_THAN_FIT: usize = 100;
    let scene = Scene::set().await;
    scene.served.shown.is_mute.store(true, Relaxed);
    let mut readers: FuturesUnordered<_> =
        (0..MORE_THAN_FIT).map(|_| scene.client.call(dbus::PATH, MANAGER, "Status", &())).collect();
    // Once one is refused all places of readers are taken.
    let refused = readers.next().await.expect("an answer").expect_err("no place").to_string();
    assert!(refused.contains("are being answered already"), "{refused}");
    scene.drain().await;
    assert_eq!(scene.served.shown.drains(), 1);
}

#[tokio::test]
async fn root_or_the_daemons_own_user_writes() {
    let scene = Scene::set().await;
    scene.drain().await;
    assert_eq!(scene.served.shown.drains(), 1);
}

#[tokio::test]
async fn a_member_of_the_daemons_group_writes() {
    if !is_root() {
        return;
    }
    let scene = Scene::set().await;
    Stranger { groups: Some(own_ids().1) }.call(&scene.bus.address(), DRAIN).expect("it is allowed");
    assert_eq!(scene.served.shown.drains(), 1);
}

#[tokio::test]
async fn a_stranger_reads_everything_and_is_told_how_to_write() {
    if !is_root() {
        return;
    }
    let Scene { served, client: _client, bus } = Scene::set().await;
    let stranger = Stranger { groups: None };
    for read in [
        "org.bhavd.Bhavd1.Manager.Status",
        "org.bhavd.Bhavd1.Manager.Feeds",
        "org.freedesktop.DBus.ObjectManager.GetManagedObjects",
        "org.freedesktop.DBus.Introspectable.Introspect",
        "org.freedesktop.DBus.Peer.Ping",
        "org.freedesktop.DBus.Properties.GetAll string:org.bhavd.Bhavd1.Manager",
    ] {
        stranger.call(&bus.address(), read).unwrap_or_else(|complaint| panic!("{read}: {complaint}"));
    }
    let complaint = stranger.call(&bus.address(), DRAIN).expect_err("it is refused");
    assert!(
        complaint
            .starts_with("Error org.bhavd.Bhavd1.Error.PermissionDenied: user 65534 may not end the daemon:"),
        "{complaint}"
    );
    for way in ["as root", "usermod -aG bhavd", "polkit allow org.bhavd.Bhavd1.manage"] {
        assert!(complaint.contains(way), "{complaint}");
    }
    for write in [
        "org.bhavd.Bhavd1.Manager.Reload",
        "org.bhavd.Bhavd1.Manager.Failover string:nse",
        "org.bhavd.Bhavd1.Feed.Enable",
        "org.bhavd.Bhavd1.Feed.Disable",
        "org.bhavd.Bhavd1.Feed.Reconnect",
    ] {
        let complaint = stranger.call(&bus.address(), write).expect_err("it is refused");
        assert!(complaint.contains("Error.PermissionDenied: user 65534 may not"), "{write}: {complaint}");
    }
    let asked = served.shown.asked.lock().expect("no panic").clone();
    assert!(asked.iter().all(|request| request.verb().access() == Access::Read), "{asked:?}");
}

#[tokio::test]
async fn admins_of_a_reload_may_write_at_once() {
    if !is_root() {
        return;
    }
    let Scene { served, client: _client, bus } = Scene::set().await;
    let stranger = Stranger { groups: None };
    stranger.call(&bus.address(), DRAIN).expect_err("a stranger");
    served.authority.set_admins(vec![NOBODY]);
    stranger.call(&bus.address(), DRAIN).expect("an admin");
    served.authority.set_admins(Vec::new());
    stranger.call(&bus.address(), DRAIN).expect_err("a stranger again");
    assert_eq!(served.shown.drains(), 1);
}

/// What polkit is told of a caller, and by which action it is to judge.
type Asked = Arc<Mutex<Vec<(String, String)>>>;

/// A polkit that answers as it is told.
struct Polkit {
    authorised: bool,
    /// Whether a person would have to be asked.
    challenge: bool,
    asked: Asked,
}

#[zbus::interface(name = "org.freedesktop.PolicyKit1.Authority")]
impl Polkit {
    fn check_authorization(
        &self,
        subject: (String, HashMap<String, OwnedVariant>),
        action: String,
        _details: HashMap<String, String>,
        _flags: u32,
        _cancellation: String,
    ) -> (bool, bool, HashMap<String, String>) {
        let (kind, details) = subject;
        assert!(details.contains_key("name"));
        self.asked.lock().expect("no panic").push((kind, action));
        (self.authorised, self.challenge, HashMap::new())
    }
}

/// A polkit that never answers.
struct MutePolkit {
    asked: Arc<AtomicUsize>,
}

#[zbus::interface(name = "org.freedesktop.PolicyKit1.Authority")]
impl MutePolkit {
    async fn check_authorization(
        &self,
        _subject: (String, HashMap<String, OwnedVariant>),
        _action: String,
        _details: HashMap<String, String>,
        _flags: u32,
        _cancellation: String,
    ) -> (bool, bool, HashMap<String, String>) {
        self.asked.fetch_add(1, Relaxed);
        std::future::pending().await
    }
}

#[tokio::test]
async fn polkit_is_asked_about_strangers() {
    if !is_root() {
        return;
    }
    let scene = Scene::set().await;
    let asked = Asked::default();
    let answer = async |authorised, challenge| {
        let polkit = Polkit { authorised, challenge, asked: Arc::clone(&asked) };
        let polkit = scene.with_polkit(polkit).await;
        let outcome = scene.nobody_calls(DRAIN).await;
        polkit.close().await.expect("it closes");
        outcome
    };
    answer(true, false).await.expect("polkit allows it");
    assert_eq!(scene.served.shown.drains(), 1);
    let complaint = answer(false, false).await.expect_err("polkit refuses it");
    assert!(complaint.contains("PermissionDenied"), "{complaint}");
    let complaint = answer(false, true).await.expect_err("nobody was asked for a password");
    assert!(complaint.contains("InteractiveAuthorizationRequired"), "{complaint}");
    assert!(complaint.contains("with a password"), "{complaint}");
    assert_eq!(scene.served.shown.drains(), 1);
    let asked = asked.lock().expect("no panic").clone();
    assert_eq!(asked, vec![("system-bus-name".to_owned(), dbus::MANAGE_ACTION.to_owned()); 3]);
    // Root is not asked for.
    scene.drain().await;
}

#[tokio::test]
async fn a_polkit_that_never_answers_holds_neither_a_caller_nor_a_place() {
    /// One more than there are places.
    const CALLERS: usize = 9;
    if !is_root() {
        return;
    }
    let soon = Duration::from_millis(50);
    let scene = Scene::with_patience(PolkitPatience { judging: soon, asking: soon }).await;
    let asked = Arc::new(AtomicUsize::new(0));
    let _polkit = scene.with_polkit(MutePolkit { asked: Arc::clone(&asked) }).await;
    for _ in 0..CALLERS {
        let complaint = scene.nobody_calls(DRAIN).await.expect_err("nobody allowed it");
        assert!(complaint.contains("PermissionDenied"), "{complaint}");
    }
    assert_eq!((asked.load(Relaxed), scene.served.shown.drains()), (CALLERS, 0));
}

#[tokio::test]
async fn callers_beyond_those_polkit_is_asked_about_are_refused_and_root_is_not() {
    const PLACES: usize = 8;
    if !is_root() {
        return;
    }
    let long = Duration::from_secs(3_600);
    let scene = Scene::with_patience(PolkitPatience { judging: long, asking: long }).await;
    let asked = Arc::new(AtomicUsize::new(0));
    let polkit = scene.with_polkit(MutePolkit { asked: Arc::clone(&asked) }).await;
    let held: Vec<_> = (0..PLACES).map(|_| scene.nobody_calls(DRAIN)).collect();
    while asked.load(Relaxed) < PLACES {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let complaint = scene.nobody_calls(DRAIN).await.expect_err("no place");
    assert!(complaint.contains("polkit is being asked about 8 others"), "{complaint}");
    scene.drain().await;
    assert_eq!(scene.served.shown.drains(), 1);
    // Its end is an answer: the places are free again.
    polkit.close().await.expect("it closes");
    for call in held {
        let complaint = call.await.expect_err("nobody allowed it");
        assert!(complaint.contains("PermissionDenied"), "{complaint}");
    }
    let complaint = scene.nobody_calls(DRAIN).await.expect_err("a stranger");
    assert!(complaint.contains("PermissionDenied"), "{complaint}");
}
