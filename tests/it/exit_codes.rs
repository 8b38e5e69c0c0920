//! How the daemon ends, as systemd is told it: sysexits.h.

use crate::processes::{Daemon, Simulator};
use std::process::Command;

/// `bhavd`, from its beginning to its end.
fn bhavd(arguments: &[&str]) -> (Option<i32>, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_bhavd")).args(arguments).output().expect("bhavd starts");
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn wrong_usage_is_64_and_a_wrong_file_78() {
    let (code, said) = bhavd(&["run", "--nonsense"]);
    assert_eq!(code, Some(64), "{said}");
    let (code, said) = bhavd(&["run", "--config", "/nowhere/bhavd.toml"]);
    assert_eq!(code, Some(78), "{said}");
    assert!(said.contains("/nowhere/bhavd.toml"), "{said}");
}

#[test]
fn a_log_in_use_is_69() {
    let directory = tempfile::tempdir().expect("a directory");
    let (directory, config) = (directory.path(), directory.path().join("bhavd.toml"));
    let simulator = Simulator::start(["--synthetic", "--speed", "60"]);
    Daemon::configure(
        &config,
        directory,
        &format!("[[watch]]\nunderlying = \"NIFTY\"\n{}", simulator.all_tables(directory)),
    );
    let daemon = Daemon::start(&config, directory);
    let (code, said) = bhavd(&["run", "--config", config.to_str().expect("a path")]);
    assert_eq!(code, Some(69), "{said}");
    assert!(said.contains("is in use by another bhavd"), "{said}");
    assert!(daemon.asks_well(&["status"]), "the first one goes on");
    daemon.stop();
}

#[test]
fn a_child_that_fails_too_often_ends_the_daemon_with_70() {
    let directory = tempfile::tempdir().expect("a directory");
    let (directory, config) = (directory.path(), directory.path().join("bhavd.toml"));
    let simulator = Simulator::start(["--synthetic", "--speed", "60"]);
    let tables = format!(
        "[[watch]]\nunderlying = \"NIFTY\"\n[supervision]\nhang_after_ms = 500\nrestarts_max = 0\n{}",
        simulator.angel_one_tables(directory)
    );
    Daemon::configure(&config, directory, &tables);
    let chaos = serde_json::json!({
        "seed": 1, "faults": 1, "from_ms": 2_000, "until_ms": 2_001, "block_ms": 1_000, "children": ["timekeeper"],
    });
    let daemon = Daemon::start_in(&config, directory, &[("BHAVD_CHAOS", &chaos.to_string())]);
    let (status, log) = daemon.wait_for_any_end();
    assert_eq!(status.code(), Some(70), "{log}");
    assert!(log.contains(" chaos: ") && log.contains("timekeeper"), "{log}");
}
