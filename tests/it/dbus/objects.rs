//! What is on the bus: interfaces, properties and their changes, signals, the object manager.

use super::toy::{Client, FEED, MANAGER, Served, feed, text};
use crate::{control_samples as samples, golden, servers::Bus};
use bhavd::{
    control::{ControlError, FailoverRequest, FeedRequest, Request},
    dbus::{self, Gap},
    market::Provider,
};
use std::collections::{BTreeSet, HashMap};
use zbus::{OwnedObjectPath, OwnedVariant, Variant};

#[tokio::test]
async fn the_interfaces_are_as_described() {
    let bus = Bus::start();
    let _served = Served::on(&bus);
    let client = Client::on(&bus).await;
    golden::check("dbus/manager.xml", &client.introspect(dbus::PATH).await);
    golden::check("dbus/feed.xml", &client.introspect(&dbus::feed_path("angel_one")).await);
}

#[tokio::test]
async fn everything_is_read_from_the_bus() {
    let bus = Bus::start();
    let served = Served::on(&bus);
    let client = Client::on(&bus).await;
    let daemon = client.properties(dbus::PATH, MANAGER).await;
    assert_eq!(text(&daemon["Version"]), "0.1.0");
    assert_eq!(*daemon["ProcessID"], Variant::from(4_711_u32));
    assert_eq!(*daemon["StartedUSec"], Variant::from(samples::at(8, 55, 0).0.as_us() as u64));
    assert_eq!(*daemon["LastCommitUSec"], Variant::from(0_u64));
    assert_eq!(*daemon["FeedsUp"], Variant::from(1_u32));
    assert_eq!(text(&daemon["ActiveProvider"]), "angel_one");
    let ticks = async || {
        u64::try_from(client.properties(dbus::PATH, MANAGER).await["Ticks"].clone()).expect("a count")
    };
    assert_ne!(ticks().await, ticks().await, "counters are read when they are asked for");
    let nse = client.properties(&dbus::feed_path("angel_one"), FEED).await;
    assert_eq!(text(&nse["State"]), "up");
    assert!(u64::try_from(nse["Frames"].clone()).expect("a count") > 0);

    let ask = async |member| {
        let reply = client.call(dbus::PATH, MANAGER, member, &()).await?;
        reply.body().deserialize::<HashMap<String, OwnedVariant>>()
    };
    let status = ask("Status").await.expect("a status");
    assert_eq!(*status["schema_version"], Variant::from(1_u64));
    assert_eq!(text(&status["session"]), "open until 15:30");
    assert_eq!(text(&status["watermark"]), "2026-01-30T11:44:08+05:30");
    let store = HashMap::<String, OwnedVariant>::try_from(status["store"].clone()).expect("a dictionary");
    assert_eq!(*store["committed_seq"], Variant::from(1_843_211_u64));
    let asked = served.shown.peer.lock().expect("no panic").expect("it was asked");
    assert_eq!((asked.uid, asked.pid), (crate::servers::own_ids().0, Some(std::process::id() as i32)));
    assert!(ask("Feeds").await.expect("feeds").contains_key("feeds"));
    let refused = ask("Actors").await.expect_err("the toy has none").to_string();
    assert!(refused.contains("not available at this moment: the toy has no actors"), "{refused}");
}

#[tokio::test]
async fn what_is_asked_of_the_bus_is_asked_of_the_daemon() {
    let bus = Bus::start();
    let served = Served::on(&bus);
    let client = Client::on(&bus).await;
    let feed = dbus::feed_path("angel_one");
    let ask = async |path: &str, interface, member| {
        let reply = client.call(path, interface, member, &()).await?;
        reply.body().deserialize::<HashMap<String, OwnedVariant>>()
    };
    let report = ask(dbus::PATH, MANAGER, "Reload").await.expect("a report");
    assert_eq!(text(&report["outcome"]), "applied");
    for member in ["Enable", "Disable", "Reconnect"] {
        let answer = ask(&feed, FEED, member).await.expect("a feed");
        assert!(answer.contains_key("feed") && answer.contains_key("settings"), "{answer:?}");
    }
    let named = || FeedRequest { feed: "angel_one".to_owned() };
    for to in ["nse", "auto"] {
        client.call(dbus::PATH, MANAGER, "Failover", &to).await.expect("a choice");
    }
    let Err(zbus::Error::MethodError(name, ..)) = client.call(dbus::PATH, MANAGER, "Failover", &"dhan").await
    else {
        panic!("there is no such provider");
    };
    assert_eq!(name.as_str(), "org.bhavd.Bhavd1.Error.UnknownFeed");
    let expected = [
        Request::Reload,
        Request::EnableFeed(named()),
        Request::DisableFeed(named()),
        Request::ReconnectFeed(named()),
        Request::Failover(FailoverRequest { to: Some(Provider::Nse) }),
        Request::Failover(FailoverRequest { to: None }),
    ];
    assert_eq!(served.shown.asked.lock().expect("no panic").as_slice(), expected);

    let known = vec!["nse".to_owned()];
    let refusal = ControlError::UnknownFeed { feed: "angel_one".to_owned(), known };
    *served.shown.refusal.lock().expect("no panic") = Some(refusal);
    let Err(zbus::Error::MethodError(name, Some(complaint), _)) = ask(&feed, FEED, "Enable").await else {
        panic!("it is refused");
    };
    assert_eq!(name.as_str(), "org.bhavd.Bhavd1.Error.UnknownFeed");
    assert_eq!(complaint, "there is no feed angel_one; there are nse");
}

#[tokio::test]
async fn a_feed_that_goes_down_and_up_is_told() {
    let bus = Bus::start();
    let served = Served::on(&bus);
    let mut client = Client::on(&bus).await;
    served.shown.change(|overview| {
        overview.feeds[0] = feed("angel_one", "backing off");
        overview.feeds[0].last_error = "connection closed".to_owned();
        overview.choice.active = None;
    });
    let (path, interface, values) = client.change().await;
    assert_eq!((path.as_str(), interface.as_str()), (dbus::PATH, MANAGER));
    assert_eq!(*values["FeedsUp"], Variant::from(0_u32));
    assert_eq!(text(&values["ActiveProvider"]), "");
    assert_eq!(values.len(), 2, "only what changed: {values:?}");
    let (path, interface, values) = client.change().await;
    assert_eq!((path, interface.as_str()), (dbus::feed_path("angel_one"), FEED));
    assert_eq!(text(&values["State"]), "backing off");
    assert_eq!(text(&values["LastError"]), "connection closed");
    assert_eq!(values.len(), 2, "only what changed: {values:?}");
    let read = client.properties(&dbus::feed_path("angel_one"), FEED).await;
    assert_eq!(text(&read["State"]), "backing off", "who reads and who listens agree");
    served.shown.change(|overview| {
        overview.feeds[0] = feed("angel_one", "up");
        overview.choice.active = Some("angel_one".to_owned());
    });
    let (_, _, values) = client.change().await;
    assert_eq!(*values["FeedsUp"], Variant::from(1_u32));
    let (_, _, values) = client.change().await;
    assert_eq!(text(&values["State"]), "up");
}

/// Names of an interface's properties that promise to tell of every change: those without an annotation.
fn promised(description: &str, interface: &str) -> BTreeSet<String> {
    let (_, after) =
        description.split_once(&format!("<interface name=\"{interface}\">")).expect("it is there");
    let (inside, _) = after.split_once("</interface>").expect("it ends");
    let properties = inside.lines().filter_map(|line| line.trim().strip_prefix("<property name=\""));
    let promising = properties.filter(|rest| rest.ends_with("/>"));
    promising.map(|rest| rest.split('"').next().expect("a name").to_owned()).collect()
}

#[tokio::test]
async fn every_property_that_promises_so_tells_of_its_changes() {
    let bus = Bus::start();
    let served = Served::on(&bus);
    let mut client = Client::on(&bus).await;
    let daemon = promised(&client.introspect(dbus::PATH).await, MANAGER);
    let angel_one = promised(&client.introspect(&dbus::feed_path("angel_one")).await, FEED);
    served.shown.change(|overview| {
        overview.healthy = false;
        overview.problems = vec!["all of it".to_owned()];
        overview.session = "closed".to_owned();
        overview.store_up = false;
        overview.live = "redis".to_owned();
        overview.choice.active = None;
        overview.choice.forced = Some("nse".to_owned());
        overview.completed_day = Some(samples::date(30));
        overview.feeds[0].state = "idle".to_owned();
        overview.feeds[0].last_error = "another".to_owned();
        overview.feeds[0].subscribed += 1;
    });
    for expected in [daemon, angel_one] {
        let (_, _, values) = client.change().await;
        assert_eq!(values.into_keys().collect::<BTreeSet<_>>(), expected);
    }
}

#[tokio::test]
async fn what_happens_is_told() {
    let bus = Bus::start();
    let served = Served::on(&bus);
    let mut client = Client::on(&bus).await;
    let (from, to) = (samples::at(11, 0, 0).0, samples::at(11, 6, 0).0);
    served.shown.change(|overview| {
        overview.gaps =
            vec![Gap { number: 1, provider: "nse".to_owned(), from, to, reason: "mute".to_owned() }];
    });
    let gap: (String, u64, u64, String) = client.signal("Gap").await.body().deserialize().expect("a gap");
    assert_eq!(gap, ("nse".to_owned(), from.as_us() as u64, to.as_us() as u64, "mute".to_owned()));

    let mut restarted = String::new();
    served.shown.change(|overview| {
        let actor = overview.actors.iter_mut().find(|actor| actor.path.contains('/')).expect("a child");
        (actor.restarts, actor.incarnation) = (actor.restarts + 1, actor.incarnation + 1);
        actor.last_exit = "panicked: index out of bounds".to_owned();
        restarted.clone_from(&actor.path);
    });
    let (path, _, _, reason): (String, u64, u64, String) =
        client.signal("ActorRestarted").await.body().deserialize().expect("a restart");
    assert_eq!((path, reason.as_str()), (restarted, "panicked: index out of bounds"));

    served.shown.change(|overview| {
        overview.choice.active = Some("nse".to_owned());
        overview.completed_day = Some(samples::date(30));
        let actor = overview.actors.iter_mut().find(|actor| !actor.path.contains('/')).expect("a child");
        (actor.state, actor.last_exit) = ("failed".to_owned(), "failed: disk on fire".to_owned());
    });
    let (from, to): (String, String) =
        client.signal("ProviderSwitched").await.body().deserialize().expect("a switch");
    assert_eq!((from.as_str(), to.as_str()), ("angel_one", "nse"));
    let date: String = client.signal("DayCompleted").await.body().deserialize().expect("a date");
    assert_eq!(date, "2026-01-30");
    let (supervisor, reason): (String, String) =
        client.signal("Escalated").await.body().deserialize().expect("an escalation");
    assert_eq!(supervisor, "root");
    assert!(reason.ends_with(": failed: disk on fire"), "{reason}");
}

#[tokio::test]
async fn the_object_manager_knows_the_feeds() {
    type Interfaces = HashMap<String, HashMap<String, OwnedVariant>>;
    let bus = Bus::start();
    let served = Served::on(&bus);
    let mut client = Client::on(&bus).await;
    let reply = client
        .call(dbus::PATH, "org.freedesktop.DBus.ObjectManager", "GetManagedObjects", &())
        .await
        .expect("objects");
    let objects: HashMap<OwnedObjectPath, Interfaces> = reply.body().deserialize().expect("objects");
    let (path, interfaces) =
        objects.iter().find(|(_, interfaces)| interfaces.contains_key(FEED)).expect("a feed");
    assert_eq!(path.as_str(), dbus::feed_path("angel_one"));
    assert_eq!(text(&interfaces[FEED]["Provider"]), "angel_one");
    assert_eq!(objects.values().filter(|interfaces| interfaces.contains_key(FEED)).count(), 1);

    served.shown.change(|overview| overview.feeds = vec![feed("nse", "connecting")]);
    let (path, gone): (OwnedObjectPath, Vec<String>) =
        client.signal("InterfacesRemoved").await.body().deserialize().expect("interfaces");
    assert_eq!((path.as_str(), gone), (dbus::feed_path("angel_one").as_str(), vec![FEED.to_owned()]));
    let (path, interfaces): (OwnedObjectPath, Interfaces) =
        client.signal("InterfacesAdded").await.body().deserialize().expect("interfaces");
    assert_eq!(path.as_str(), dbus::feed_path("nse"));
    assert_eq!(text(&interfaces[FEED]["State"]), "connecting");
    assert_eq!(served.shown.drains(), 0, "nobody asked for it");
}
