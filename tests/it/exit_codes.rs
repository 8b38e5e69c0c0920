//! How the daemon ends, as systemd is told it: sysexits.h.

use crate::processes::{Daemon, Simulator, store_url};
use bhavd::{
    spool::{self, SpoolReader},
    store::Reader,
};
use std::{path::Path, process::Command};

/// `bhavd`, from its beginning to its end.
fn bhavd(arguments: &[&str]) -> (Option<i32>, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_bhavd")).args(arguments).output().expect("bhavd starts");
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

/// The last record of the log, and the last one whose outcome is stored.
fn ends(directory: &Path) -> (u64, u64) {
    let spool = directory.join("spool");
    let last_day = spool::days(&spool).expect("a log").pop().expect("a day");
    let records = SpoolReader::open(&spool, last_day).expect("a log");
    let last = records.last().expect("records").expect("a sound log").seq;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let stored = runtime.block_on(async {
        let reader = Reader::open(&store_url(directory)).await.expect("the store opens");
        reader.checkpoint().await.expect("it can be read").expect("something is stored")
    });
    (last, stored.spool_seq)
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
fn a_child_that_fails_too_often_ends_the_daemon_with_70_and_all_that_was_taken_is_written() {
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
    let (last, stored) = ends(directory);
    assert!(last > 0, "a log of {last} records");
    assert_eq!(stored, last, "what was accepted is written: {log}");
}
