//! What an operator does to a running daemon: feeds on and off, reload, log filter, bug report, drain.

use crate::processes::Daemon;
use serde_json::Value as Json;
use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Output},
};

/// Nobody listens there: the feed is never up, all else works.
const TABLES: &str = "[[watch]]\nunderlying = \"NIFTY\"\n[feeds.nse]\nenabled = true\nsite_url = \"http://127.0.0.1:9\"\n\
                      archive_url = \"http://127.0.0.1:9\"\n";

struct Service {
    home: tempfile::TempDir,
    daemon: Daemon,
}

impl Service {
    fn start(more: &str) -> Service {
        let home = tempfile::tempdir().expect("a directory");
        Daemon::configure(&config(home.path()), home.path(), &format!("{TABLES}{more}"));
        let daemon = Daemon::start(&config(home.path()), home.path());
        Service { home, daemon }
    }

    fn configure(&self, tables: &str) {
        Daemon::configure(&config(self.home.path()), self.home.path(), tables);
    }

    fn bhavctl(&self, line: &str) -> Output {
        self.bhavctl_with(line, |_| {})
    }

    fn bhavctl_with(&self, line: &str, prepare: impl FnOnce(&mut Command)) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bhavctl"));
        command.arg("--socket").arg(self.home.path().join("control.sock")).args(line.split(' '));
        prepare(&mut command);
        command.output().expect("bhavctl runs")
    }

    fn ask(&self, line: &str) -> Json {
        self.daemon.ask(&line.split(' ').collect::<Vec<_>>())
    }
}

fn config(home: &Path) -> PathBuf {
    home.join("bhavd.toml")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn feeds_are_switched_and_every_write_is_logged() {
    let service = Service::start("");
    let state = |service: &Service| service.ask("feed show nse")["feed"]["state"].clone();
    assert_ne!(state(&service), "switched off");
    let rows = service.ask("feeds");
    assert_eq!(rows["feeds"][0]["state"], "disabled", "the configuration does not enable Angel One: {rows}");
    assert_eq!(service.ask("status")["feeds"], 1, "one is to run");

    assert_eq!(service.ask("feed disable nse")["feed"]["state"], "switched off", "as it is by then");
    let refused = service.bhavctl("feed reconnect nse");
    assert_eq!(refused.status.code(), Some(1));
    assert!(text(&refused.stderr).contains("bhavctl feed enable nse"), "{}", text(&refused.stderr));
    assert_ne!(service.ask("feed enable nse")["feed"]["state"], "switched off", "as it is by then");
    let restarts = service.ask("feed show nse")["actor"]["restarts"].clone();
    service.ask("feed reconnect nse");
    assert_eq!(service.ask("feed show nse")["actor"]["restarts"], restarts, "no restart of the child");
    let not_to_count = service.bhavctl("failover angel_one");
    let said = text(&not_to_count.stderr);
    assert!(said.contains("nor can it be enabled") && said.contains("no credentials"), "{said}");
    let lacking = service.bhavctl("feed enable angel_one");
    assert_eq!(lacking.status.code(), Some(1));
    assert!(text(&lacking.stderr).contains("no credentials"), "{}", text(&lacking.stderr));
    let unknown = service.bhavctl("feed disable dhan");
    assert_eq!(unknown.status.code(), Some(1));
    assert!(text(&unknown.stderr).contains("there are angel_one, nse"), "{}", text(&unknown.stderr));

    let own = rustix::process::getuid().as_raw();
    let log = service.daemon.log();
    for method in ["DisableFeed", "EnableFeed", "ReconnectFeed"] {
        let line = log.lines().find(|line| line.contains("control write") && line.contains(method));
        let line = line.unwrap_or_else(|| panic!("{method} is not in {log}"));
        assert!(line.contains(&format!("by user {own}, process ")), "{line}");
    }
}

#[test]
fn a_reload_applies_what_it_can_and_says_what_waits() {
    let mut service = Service::start("");
    assert_eq!(service.ask("config diff")["changes"], serde_json::json!([]));
    let reconfigured = TABLES.replace("enabled = true", "enabled = true\npoll_interval_s = 60");
    service.configure(&format!("{reconfigured}[log]\nlevel = \"debug\"\n[buckets]\ngrace_s = 9\n"));
    let diff = service.ask("config diff");
    assert_eq!(diff["outcome"], "compared");
    let report = service.ask("config reload");
    let changes: Vec<(&str, &str, bool)> = report["changes"]
        .as_array()
        .expect("changes")
        .iter()
        .map(|change| {
            let text = |field: &str| change[field].as_str().expect("a text");
            (text("key"), text("effect"), change["is_applied"].as_bool().expect("a flag"))
        })
        .collect();
    let expected = [
        ("buckets.grace_s", "restart_daemon", false),
        ("feeds.nse.poll_interval_s", "restart_child", true),
        ("log.level", "live", true),
    ];
    assert_eq!((report["outcome"].as_str(), changes.as_slice()), (Some("applied"), expected.as_slice()));
    assert_eq!(service.ask("loglevel")["filter"], "debug");
    let settings = service.ask("feed show nse")["settings"].clone();
    let interval =
        settings.as_array().expect("rows").iter().find(|row| row["key"] == "feeds.nse.poll_interval_s");
    assert_eq!(interval.expect("a row")["value"], "60");
    let rows = service.ask("config show");
    let grace = rows["rows"].as_array().expect("rows").iter().find(|row| row["key"] == "buckets.grace_s");
    assert_eq!(grace.expect("a row")["value"], "5", "what waits does not run");

    service.configure(&TABLES.replace("enabled = true", "enabled = maybe"));
    let refused = service.bhavctl("config reload");
    assert_eq!(refused.status.code(), Some(1));
    assert!(
        text(&refused.stdout).contains("is refused; what runs stays as it is"),
        "{}",
        text(&refused.stdout)
    );
    assert_eq!(service.ask("status")["healthy"], false);
    assert_eq!(service.bhavctl("config check").status.code(), Some(1));

    // Back to what ran at the start, by a signal.
    service.configure(TABLES);
    let pid = service.ask("status")["pid"].as_i64().and_then(|pid| i32::try_from(pid).ok());
    let pid = pid.and_then(rustix::process::Pid::from_raw).expect("a process");
    rustix::process::kill_process(pid, rustix::process::Signal::HUP).expect("it runs");
    service.daemon.wait_for("the reload", |daemon| daemon.ask(&["loglevel"])["filter"] == "info");
    service.daemon.wait_for("a clean status", |daemon| {
        daemon.ask(&["config", "diff"])["changes"] == serde_json::json!([])
    });
}

#[test]
fn a_feed_that_lacks_credentials_is_not_begun_and_nothing_is_changed() {
    let service = Service::start("");
    let more = "[log]\nlevel = \"trace\"\n[feeds.angel_one]\nenabled = true\n";
    service.configure(&format!("{TABLES}{more}"));
    let refused = service.bhavctl("config reload");
    assert_eq!(refused.status.code(), Some(1));
    assert!(text(&refused.stdout).contains("feeds.angel_one: no credentials"), "{}", text(&refused.stdout));
    assert_eq!(service.ask("loglevel")["filter"], "info");
}

#[test]
fn a_bug_report_has_everything_but_secrets() {
    const SECRET: &str = "hunter2-hunter2";
    let mut service =
        Service::start(&format!("[live]\nredis_url = \"redis://operator:{SECRET}@127.0.0.1:9\"\n"));
    service.daemon.wait_for("the publisher", |daemon| daemon.ask(&["status"])["live"] == "redis away");
    // A journal that somebody else was careless with.
    let journal = service.home.path().join("journalctl");
    fs::write(
        &journal,
        format!("#!/bin/sh\necho 'login mpin={SECRET} jwtToken: {SECRET}'\necho 'the last line'\n"),
    )
    .expect("written");
    fs::set_permissions(&journal, fs::Permissions::from_mode(0o755)).expect("permitted");
    let path = format!("{}:{}", service.home.path().display(), std::env::var("PATH").unwrap_or_default());
    for line in ["bugreport", "--json bugreport"] {
        let output = service.bhavctl_with(line, |command| {
            command.env("PATH", &path);
        });
        let report = text(&output.stdout);
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        assert!(!report.contains(SECRET), "{report}");
        for part in ["the last line", "feeds.nse.poll_interval_s", "MiB free", "timekeeper", "[redacted]"] {
            assert!(report.contains(part), "no {part} in {report}");
        }
    }
    let file = service.home.path().join("report.txt");
    let output = service.bhavctl(&format!("bugreport --output {}", file.display()));
    assert_eq!((output.status.code(), text(&output.stdout)), (Some(0), String::new()));
    let mode = fs::metadata(&file).expect("a file").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn without_a_daemon_a_bug_report_says_so() {
    let home = tempfile::tempdir().expect("a directory");
    let output = Command::new(env!("CARGO_BIN_EXE_bhavctl"))
        .arg("--socket")
        .arg(home.path().join("control.sock"))
        .arg("bugreport")
        .output()
        .expect("bhavctl runs");
    assert_eq!(output.status.code(), Some(0));
    assert!(text(&output.stdout).contains("no daemon answers at"), "{}", text(&output.stdout));
}

#[test]
fn a_drained_daemon_has_ended_in_order() {
    let service = Service::start("");
    assert_eq!(service.bhavctl("wait --for ready").status.code(), Some(0));
    let output = service.bhavctl("drain");
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert_eq!(service.bhavctl("wait --for drained").status.code(), Some(0));
    assert_eq!(service.bhavctl("status").status.code(), Some(3));
    assert!(service.daemon.wait_for_end().success());
}
