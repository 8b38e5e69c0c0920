//! Reload on a running daemon of what its feeds are made of: enabled or not, their settings, their credentials.

use crate::processes::{Daemon, Simulator};
use serde_json::Value as Json;
use std::{
    fs,
    path::{Path, PathBuf},
};

const FEEDS: [&str; 2] = ["angel_one", "nse"];

/// A daemon that records from both providers.
struct Service {
    home: tempfile::TempDir,
    _simulator: Simulator,
    daemon: Daemon,
    tables: String,
}

impl Service {
    fn start() -> Service {
        let home = tempfile::tempdir().expect("a directory");
        let simulator =
            Simulator::start(["--synthetic", "--speed", "30", "--underlyings", "NIFTY", "--strikes", "4"]);
        let tables = format!("[[watch]]\nunderlying = \"NIFTY\"\n{}", simulator.all_tables(home.path()));
        let config = home.path().join("bhavd.toml");
        Daemon::configure(&config, home.path(), &tables);
        let daemon = Daemon::start(&config, home.path());
        let mut service = Service { home, _simulator: simulator, daemon, tables };
        FEEDS.iter().for_each(|feed| service.wait_for(feed, "up"));
        service
    }

    fn credentials(&self) -> PathBuf {
        self.home.path().join("credentials")
    }

    /// Reloads a file with this in place of that, once.
    fn reload_with(&self, this: &str, that: &str) -> Json {
        assert_eq!(self.tables.matches(this).count(), 1, "{this} in {}", self.tables);
        self.reload(&self.tables.replace(this, that))
    }

    fn reload(&self, tables: &str) -> Json {
        Daemon::configure(&self.home.path().join("bhavd.toml"), self.home.path(), tables);
        let output = self.daemon.try_ask(&["config", "reload"]);
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
    }

    fn feed(&self, name: &str) -> Json {
        self.daemon.ask(&["feed", "show", name])
    }

    fn wait_for(&mut self, feed: &str, state: &str) {
        let what = format!("{feed} {state}");
        self.daemon.wait_for(&what, |daemon| daemon.ask(&["feed", "show", feed])["feed"]["state"] == state);
    }

    fn ups(&self, feed: &str) -> usize {
        count_ups(&self.daemon, feed)
    }

    fn wait_for_ups(&mut self, feed: &str, count: usize) {
        let what = format!("time {count} that {feed} comes up");
        self.daemon.wait_for(&what, |daemon| count_ups(daemon, feed) >= count);
    }
}

/// How often the log tells that a feed came up.
fn count_ups(daemon: &Daemon, feed: &str) -> usize {
    let told = match feed {
        "nse" => "nse: watching",
        _ => "Angel One feed up",
    };
    daemon.log().matches(told).count()
}

/// The keys of an applied reload, all of which restarted a child.
fn applied(report: &Json) -> Vec<String> {
    assert_eq!(report["outcome"], "applied", "{report:#}");
    let changes = report["changes"].as_array().expect("changes").iter();
    let key = |change: &'_ Json| {
        assert_eq!(change["effect"], "restart_child", "{report:#}");
        assert_eq!(change["is_applied"], true, "{report:#}");
        change["key"].as_str().expect("a text").to_owned()
    };
    changes.map(key).collect()
}

fn enabled(feed: &str, is_enabled: bool) -> String {
    format!("[feeds.{feed}]\nenabled = {is_enabled}\n")
}

#[test]
fn a_reload_begins_and_ends_feeds_and_leaves_the_others_alone() {
    let mut service = Service::start();
    for (feed, other) in [("nse", "angel_one"), ("angel_one", "nse")] {
        let other_ups = service.ups(other);
        let report = service.reload_with(&enabled(feed, true), &enabled(feed, false));
        assert_eq!(applied(&report), [format!("feeds.{feed}.enabled")]);
        service.wait_for(feed, "disabled");
        assert_eq!(service.daemon.ask(&["status"])["feeds"], 1, "one is to run");
        assert_eq!(service.feed(other)["feed"]["state"], "up");

        let tables = service.tables.clone();
        let before = service.ups(feed);
        assert_eq!(applied(&service.reload(&tables)), [format!("feeds.{feed}.enabled")]);
        service.wait_for_ups(feed, before + 1);
        service.wait_for(feed, "up");
        assert_eq!(service.daemon.ask(&["status"])["feeds"], 2);
        assert_eq!(service.ups(other), other_ups, "{other} has nothing to do with it");
        assert_eq!(service.feed(other)["actor"]["restarts"], 0);
    }
    assert!(service.daemon.stop().success());
}

#[test]
fn a_changed_setting_begins_angel_one_anew() {
    let mut service = Service::start();
    let nse_ups = service.ups("nse");
    let head = enabled("angel_one", true);
    let report = service.reload_with(&head, &format!("{head}tokens_per_socket = 7\nstall_s = 44\n"));
    assert_eq!(applied(&report), ["feeds.angel_one.stall_s", "feeds.angel_one.tokens_per_socket"]);
    service.wait_for_ups("angel_one", 2);
    service.wait_for("angel_one", "up");
    let settings = service.feed("angel_one")["settings"].clone();
    let shown = |key: &str| {
        let rows = settings.as_array().expect("rows");
        rows.iter().find(|row| row["key"] == key).expect("a row")["value"].clone()
    };
    assert_eq!(shown("feeds.angel_one.tokens_per_socket"), "7");
    assert_eq!(shown("feeds.angel_one.stall_s"), "44");
    assert_eq!(service.ups("nse"), nse_ups, "nse has nothing to do with it");
    assert!(service.daemon.stop().success());
}

#[test]
fn angel_one_logs_in_with_what_another_directory_holds() {
    let mut service = Service::start();
    let nse_ups = service.ups("nse");
    let directory_line = |directory: &Path| format!("dir = \"{}\"\n", directory.display());
    let (here, there) = (service.credentials(), service.home.path().join("elsewhere"));
    let empty = service.reload_with(&directory_line(&here), &directory_line(&there));
    assert_eq!(empty["outcome"], "refused", "{empty:#}");
    assert!(empty["problems"][0].as_str().expect("a text").contains("elsewhere/angel_one."), "{empty:#}");
    assert_eq!((service.ups("angel_one"), service.ups("nse")), (1, nse_ups), "nothing began anew");

    fs::rename(&here, &there).expect("moved");
    let moved = service.reload_with(&directory_line(&here), &directory_line(&there));
    assert_eq!(applied(&moved), ["credentials.dir"]);
    service.wait_for_ups("angel_one", 2);
    service.wait_for("angel_one", "up");
    assert_eq!(service.ups("nse"), nse_ups, "nse has nothing to do with it");
    assert_eq!(service.daemon.ask(&["status"])["healthy"], true, "the refused file is forgotten");

    // Without them it cannot begin again, and says so.
    fs::rename(&there, &here).expect("moved");
    service.daemon.try_ask(&["feed", "reconnect", "angel_one"]);
    service.daemon.wait_for("a feed that is down", |daemon| {
        daemon.ask(&["feed", "show", "angel_one"])["feed"]["state"] != "up"
    });
    let back = service.tables.clone();
    assert_eq!(applied(&service.reload(&back)), ["credentials.dir"]);
    service.wait_for("angel_one", "up");
    assert!(service.daemon.stop().success());
}
