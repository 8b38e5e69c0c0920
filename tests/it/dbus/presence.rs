//! The bus comes, goes and comes again; the daemon goes on.

use super::toy::{Client, FEED, MANAGER, Served, text};
use crate::{
    processes::{Daemon, Simulator},
    servers::{Bus, own_ids},
};
use bhavd::dbus;
use serde_json::Value as Json;
use std::collections::HashMap;
use zbus::{OwnedVariant, Variant};

#[tokio::test]
async fn the_name_is_back_when_the_bus_is() {
    let mut bus = Bus::absent();
    let served = Served::on(&bus);
    bus.start_again();
    drop(Client::on(&bus).await);
    for _ in 0..2 {
        bus.stop();
        bus.start_again();
        let client = Client::on(&bus).await;
        assert_eq!(text(&client.properties(dbus::PATH, MANAGER).await["Version"]), "0.1.0");
    }
    served.shown.change(|overview| overview.healthy = false);
    let mut client = Client::on(&bus).await;
    while *client.properties(dbus::PATH, MANAGER).await["Healthy"] == Variant::from(true) {
        client.change().await;
    }
}

#[tokio::test]
async fn a_second_daemon_waits_for_the_name() {
    let bus = Bus::start();
    let first = Served::on(&bus);
    let client = Client::on(&bus).await;
    let second = Served::on(&bus);
    second.shown.change(|overview| overview.live = "second".to_owned());
    let live = async || text(&client.properties(dbus::PATH, MANAGER).await["LiveState"]);
    assert_eq!(live().await, "memory");
    drop(first);
    let client = Client::on(&bus).await;
    assert_eq!(text(&client.properties(dbus::PATH, MANAGER).await["LiveState"]), "second");
}

fn dbus_actor(daemon: &Daemon) -> Json {
    let actors = daemon.ask(&["actors"]);
    let rows = actors["actors"].as_array().expect("a list").clone();
    rows.into_iter().find(|row| row["path"] == "dbus").unwrap_or_else(|| panic!("no dbus in {actors:#}"))
}

#[tokio::test]
async fn the_daemon_runs_without_a_bus_and_is_there_when_it_comes() {
    let directory = tempfile::tempdir().expect("a directory");
    let directory = directory.path();
    let simulator = Simulator::synthetic("NIFTY", "2026-01-30 09:20:00", &["--speed", "20"]);
    let mut bus = Bus::absent();
    let tables = format!("[dbus]\naddress = \"{}\"\n{WATCH}{}", bus.address(), simulator.nse_tables("v3"));
    let config = directory.join("bhavd.toml");
    Daemon::configure(&config, directory, &tables);
    let mut daemon = Daemon::start(&config, directory);
    daemon.wait_for("a feed", |daemon| daemon.ask(&["status"])["feeds_up"] == 1);
    let status = daemon.ask(&["status"]);
    assert_eq!(status["healthy"], true, "{status:#}\n{}", daemon.log());

    bus.start_again();
    let mut client = Client::on(&bus).await;
    assert_eq!(dbus_actor(&daemon)["restarts"], 0, "the absence of a bus is no failure");
    let shown = client.properties(dbus::PATH, MANAGER).await;
    assert_eq!(*shown["ProcessID"], Variant::from(status["pid"].as_u64().expect("a number") as u32));
    assert_eq!(*shown["Healthy"], Variant::from(true));
    assert_eq!(*shown["Simulated"], Variant::from(true));
    let feed = client.properties(&dbus::feed_path("nse"), FEED).await;
    assert_eq!(text(&feed["State"]), "up");

    drop(simulator);
    loop {
        let (path, _, values) = client.change().await;
        if path == dbus::feed_path("nse") && values.get("State").is_some_and(|state| text(state) != "up") {
            break;
        }
    }
    bus.stop();
    daemon.wait_for("news of the bus", |daemon| daemon.log().contains("went away"));
    bus.start_again();
    let client = Client::on(&bus).await;
    client.call(dbus::PATH, MANAGER, "Drain", &()).await.expect("whoever runs it may end it");
    daemon.wait_for("its last words", |daemon| daemon.log().contains("Drain"));
    let log = daemon.log();
    let lines: Vec<&str> = log.lines().filter(|line| line.contains("Drain")).collect();
    let (user, process) = (own_ids().0, std::process::id());
    let expected = format!("control write by user {user}, process {process}, by the bus: Drain {{}}: done");
    assert!(lines.len() == 1 && lines[0].contains(&expected), "one line for a write: {lines:?}");
    daemon.wait_for_end();
}

#[tokio::test]
async fn a_reload_sends_the_daemon_to_another_bus() {
    const FEEDS: &str = "[feeds.nse]\nenabled = true\nsite_url = \"http://127.0.0.1:9\"\n";
    let directory = tempfile::tempdir().expect("a directory");
    let directory = directory.path();
    let (first, second) = (Bus::start(), Bus::start());
    let config = directory.join("bhavd.toml");
    let configure = |bus: &str| Daemon::configure(&config, directory, &format!("{bus}{WATCH}{FEEDS}"));
    configure("[dbus]\nenabled = false\n");
    let mut daemon = Daemon::start(&config, directory);
    assert_eq!(dbus_actor(&daemon)["state"], "running", "it rests");

    configure(&format!("[dbus]\naddress = \"{}\"\n", first.address()));
    let report = daemon.ask(&["config", "reload"]);
    assert_eq!(report["outcome"], "applied", "{report}");
    let client = Client::on(&first).await;

    configure(&format!("[dbus]\naddress = \"{}\"\n", second.address()));
    let reply = client.call(dbus::PATH, MANAGER, "Reload", &()).await.expect("answered by the bus it leaves");
    let report: HashMap<String, OwnedVariant> = reply.body().deserialize().expect("a report");
    assert_eq!(text(&report["outcome"]), "applied");
    let client = Client::on(&second).await;
    assert_eq!(text(&client.properties(dbus::PATH, MANAGER).await["Version"]), env!("CARGO_PKG_VERSION"));

    configure("[dbus]\nenabled = false\n");
    daemon.ask(&["config", "reload"]);
    let names = zbus::fdo::DBusProxy::new(&client.connection).await.expect("the bus");
    while names.name_has_owner(dbus::NAME.try_into().expect("a name")).await.expect("the bus answers") {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    daemon.wait_for("rest", |daemon| dbus_actor(daemon)["state"] == "running");
    assert_eq!(dbus_actor(&daemon)["restarts"], 0);
    daemon.stop();
}

const WATCH: &str = "[[watch]]\nunderlying = \"NIFTY\"\n";
