//! The program itself: what it prints, and how it exits.

use super::daemon::{DAY_DENIED, DAY_WITHOUT_ANSWER, Daemon, FLOOD, RawPeer};
use crate::{control_samples as samples, golden};
use bhavd::{
    cli::{Style, render},
    control::{Limits, ReloadOutcome, Response},
};
use std::{
    io::{BufRead, BufReader, Read},
    path::Path,
    process::{Command, Output, Stdio},
};

fn command(socket: &Path, line: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bhavctl"));
    command.env_remove("BHAVD_SOCKET").env("NO_COLOR", "1").arg("--socket").arg(socket).args(line.split(' '));
    command
}

fn bhavctl(socket: &Path, line: &str) -> Output {
    command(socket, line).stdin(Stdio::null()).output().expect("bhavctl runs")
}

/// Exit code, and what a person reads, with the socket's path made the same everywhere.
fn failure(socket: &Path, line: &str) -> (Option<i32>, String) {
    let output = bhavctl(socket, line);
    let complaint = String::from_utf8(output.stderr).expect("UTF-8");
    (output.status.code(), complaint.replace(&socket.display().to_string(), "SOCKET"))
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("UTF-8")
}

#[test]
fn every_command_prints_its_table_and_its_json() {
    let daemon = Daemon::start();
    for (line, name) in [
        ("status", "status"),
        ("status --check", "status"),
        ("actors", "actors"),
        ("feeds", "feeds"),
        ("chain nifty", "chain"),
        ("chain NIFTY --expiry 2026-02-03 --at 11:42", "chain"),
        ("oi NIFTY 2026-02-03 25200 CE", "open_interest"),
        ("deltas --underlying NIFTY --limit 2", "deltas"),
        ("candles NIFTY --interval 5m", "candles"),
        ("coverage 2026-01-29", "coverage"),
        ("coverage", "coverage"),
        ("replay verify 2026-01-29", "replay_verify"),
        ("replay rejudge 2026-01-27", "replay_rejudge"),
        ("explain NIFTY 2026-02-03 25300 CE --at 10:42", "explain"),
        ("explain nifty 2026-02-03 25300 ce --at 2026-01-30T10:42:00+05:30", "explain"),
        ("feed show nse", "feed"),
        ("feed enable nse", "enable_feed"),
        ("feed disable nse", "disable_feed"),
        ("feed reconnect nse", "reconnect_feed"),
        ("config show", "configuration"),
        ("config check", "compare_configuration"),
        ("config diff", "compare_configuration"),
        ("config reload", "reload"),
        ("loglevel", "log_filter"),
        ("loglevel debug", "set_log_filter"),
        ("drain", "drain"),
    ] {
        let output = bhavctl(&daemon.socket(), line);
        assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), ""), "{line}");
        golden::check(&format!("render/{name}.txt"), text(&output.stdout));
        let output = bhavctl(&daemon.socket(), &format!("--json {line}"));
        assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), ""), "{line}");
        golden::check(&format!("json/{name}.json"), text(&output.stdout));
    }
}

#[test]
fn the_environment_names_the_socket_too() {
    let daemon = Daemon::start();
    let output = Command::new(env!("CARGO_BIN_EXE_bhavctl"))
        .env("BHAVD_SOCKET", daemon.socket())
        .arg("feeds")
        .output()
        .expect("bhavctl runs");
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    golden::check("render/feeds.txt", text(&output.stdout));
}

#[test]
fn watch_prints_one_line_an_update() {
    let daemon = Daemon::start();
    let output = bhavctl(&daemon.socket(), "watch");
    golden::check("render/watch.txt", text(&output.stdout));
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("the stream ended"), "{}", text(&output.stderr));
    let output = bhavctl(&daemon.socket(), "watch --json --underlying NIFTY");
    let objects = |text: &str| -> Vec<serde_json::Value> {
        text.lines().map(|line| serde_json::from_str(line).expect("an object a line")).collect()
    };
    let expected: String = samples::updates()
        .into_iter()
        .map(|update| serde_json::to_string(&bhavd::control::Versioned::new(update)).expect("JSON") + "\n")
        .collect();
    assert_eq!(objects(text(&output.stdout)), objects(&expected));
}

#[test]
fn only_the_strikes_near_the_money() {
    let daemon = Daemon::start();
    let output = bhavctl(&daemon.socket(), "chain NIFTY --strikes 1");
    golden::check("bhavctl/chain_near_the_money.txt", text(&output.stdout));
}

#[test]
fn failures_say_what_to_do_and_have_their_codes() {
    let daemon = Daemon::start();
    let socket = daemon.socket();
    for (name, code, line) in [
        ("unknown_underlying", 1, "chain NIFTI".to_owned()),
        ("replay_differs", 1, "replay verify 2026-01-28".to_owned()),
        ("replay_of_a_lost_head", 8, "replay verify 2026-01-23".to_owned()),
        ("replay_of_other_rules", 7, "replay verify 2026-01-27".to_owned()),
        ("wrong_contract", 2, "oi NIFTY 25000".to_owned()),
        ("denied", 4, format!("coverage {}", samples::date(DAY_DENIED))),
        ("timed_out", 5, format!("coverage {} --timeout 1", samples::date(DAY_WITHOUT_ANSWER))),
    ] {
        let (exit, complaint) = failure(&socket, &line);
        assert_eq!(exit, Some(code), "{line}: {complaint}");
        golden::check(&format!("bhavctl/{name}.txt"), &complaint.replace(&own_uid(), "user UID"));
    }
    let (exit, complaint) = failure(&socket, "coverage yesterday");
    assert_eq!(exit, Some(2));
    assert!(complaint.contains("YYYY-MM-DD"), "{complaint}");
}

fn own_uid() -> String {
    format!("user {}", rustix::process::getuid().as_raw())
}

#[test]
fn a_daemon_that_is_not_healthy_is_only_an_error_where_asked() {
    let daemon = Daemon::with(Limits::default(), false);
    let output = bhavctl(&daemon.socket(), "status");
    assert_eq!(output.status.code(), Some(0));
    golden::check("render/status_unhealthy.txt", text(&output.stdout));
    assert_eq!(bhavctl(&daemon.socket(), "status --check").status.code(), Some(6));
}

#[test]
fn without_a_daemon_it_says_how_to_get_one() {
    let mut daemon = Daemon::start();
    let socket = daemon.socket();
    daemon.stop();
    let (exit, complaint) = failure(&socket, "status");
    assert_eq!(exit, Some(3));
    golden::check("bhavctl/not_reachable.txt", &complaint);
    drop(std::os::unix::net::UnixListener::bind(&socket).expect("a free path"));
    let (exit, complaint) = failure(&socket, "watch");
    assert_eq!(exit, Some(3));
    assert!(complaint.contains("no daemon answers at SOCKET (Connection refused"), "{complaint}");
}

#[test]
fn a_full_daemon_is_named() {
    let daemon = Daemon::with(Limits { connections_max: 1, ..Limits::default() }, true);
    let _only = RawPeer::busy(&daemon);
    let (exit, complaint) = failure(&daemon.socket(), "status");
    assert_eq!(exit, Some(1));
    golden::check("bhavctl/too_many_connections.txt", &complaint);
}

#[test]
fn a_reader_that_goes_away_ends_it_quietly() {
    let daemon = Daemon::start();
    let mut child = command(&daemon.socket(), &format!("watch --underlying {FLOOD}"))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("bhavctl runs");
    let mut line = String::new();
    BufReader::new(child.stdout.take().expect("a pipe")).read_line(&mut line).expect("a line");
    assert!(line.contains("NIFTY 2026-02-03 25300 CE"), "{line}");
    let mut complaint = String::new();
    child.stderr.take().expect("a pipe").read_to_string(&mut complaint).expect("UTF-8");
    assert_eq!((child.wait().expect("it ends").code(), complaint.as_str()), (Some(0), ""));
}

#[test]
fn waiting_ends_when_it_holds_or_its_time_is_over() {
    let daemon = Daemon::start();
    let socket = daemon.socket();
    for (line, code) in [
        ("wait --for ready", 0),
        ("wait --for feed=any", 0),
        ("wait --for feed=angel_one", 0),
        ("wait --for feed=nse --timeout 1", 5),
        ("wait --for feed=dhan", 1),
    ] {
        assert_eq!(bhavctl(&socket, line).status.code(), Some(code), "{line}");
    }
    let output = bhavctl(&socket, "wait --for feed=nse --timeout 1");
    let said = text(&output.stderr);
    assert!(said.starts_with("bhavctl: waited 1 s for feed=nse, in vain. Last seen: feed nse is "), "{said}");
    let output = bhavctl(&socket, "--json wait --for feed=angel_one");
    golden::check("json/wait.json", text(&output.stdout));
    drop(daemon);
    assert_eq!(bhavctl(&socket, "wait --for drained").status.code(), Some(0), "nobody answers");
    let output = bhavctl(&socket, "wait --for ready --timeout 1");
    assert_eq!(output.status.code(), Some(5));
    let said = text(&output.stderr);
    assert!(said.starts_with("bhavctl: waited 1 s for ready, in vain. Last seen: "), "{said}");
    assert!(said.contains(&socket.display().to_string()), "{said}");
}

#[test]
fn a_file_is_checked_without_a_daemon() {
    let home = tempfile::tempdir().expect("a directory");
    let file = home.path().join("bhavd.toml");
    std::fs::write(&file, "[[watch]]\nunderlying = \"NIFTY\"\n[feeds.nse]\nenabled = true\n")
        .expect("written");
    let check = |json: &str| {
        let output = bhavctl(home.path(), &format!("{json}config check {}", file.display()));
        let said = text(&output.stdout).replace(&file.display().to_string(), "FILE");
        (output.status.code(), said)
    };
    assert_eq!(check(""), (Some(0), "FILE is valid\n".to_owned()));
    std::fs::write(&file, "[feeds.nse]\nenabled = 1\n").expect("written");
    let (code, said) = check("");
    assert_eq!(code, Some(1));
    assert!(said.contains("FILE:2: feeds.nse.enabled: found 1, allowed is true or false"), "{said}");
    golden::check("json/config_check.json", &check("--json ").1);
}

#[test]
fn colours_need_a_terminal() {
    let daemon = Daemon::start();
    let mut command = command(&daemon.socket(), "status");
    let output = command.env_remove("NO_COLOR").output().expect("bhavctl runs");
    assert!(!output.stdout.contains(&0x1b), "standard output is a pipe");
    // util-linux' script(1) is a terminal for its child.
    let on_terminal = |no_color: &str| {
        let line = format!(
            "{no_color} {} --socket {} actors",
            env!("CARGO_BIN_EXE_bhavctl"),
            daemon.socket().display()
        );
        let mut script = Command::new("script");
        script.args(["-q", "-e", "-c", &line, "/dev/null"]).env_remove("NO_COLOR").env("TERM", "xterm");
        let output = script.stdin(std::process::Stdio::null()).output().expect("script runs");
        assert!(output.status.success(), "{}", text(&output.stdout));
        output.stdout.contains(&0x1b)
    };
    assert!(on_terminal("env"), "a terminal shows colours");
    assert!(!on_terminal("env NO_COLOR=1"));
}

#[test]
fn a_refused_reload_says_why() {
    for (outcome, name) in [(ReloadOutcome::Refused, "refused"), (ReloadOutcome::Restored, "restored")] {
        let response = Response::Reload(samples::reload(outcome));
        golden::check(&format!("render/reload_{name}.txt"), &render(&response, Style::default()));
    }
}
