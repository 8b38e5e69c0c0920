//! How the daemon ends, as systemd is told it: sysexits.h.

use crate::processes::{Daemon, Simulator};
use std::{fs, os::unix::fs::PermissionsExt, process::Command};

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
fn a_log_that_may_not_be_written_is_77() {
    const TABLES: &str = "[[watch]]\nunderlying = \"NIFTY\"\n[feeds.nse]\nenabled = true\nsite_url = \"http://127.0.0.1:9\"\n\
                          archive_url = \"http://127.0.0.1:9\"\n";
    let directory = tempfile::tempdir().expect("a directory");
    let (directory, config) = (directory.path(), directory.path().join("bhavd.toml"));
    Daemon::configure(&config, directory, TABLES);
    let spool = directory.join("spool");
    fs::create_dir(&spool).expect("a directory");
    fs::set_permissions(&spool, fs::Permissions::from_mode(0o500)).expect("permitted");
    // Root may write everywhere, unless it has given up its capabilities.
    let mut command = match rustix::process::geteuid().is_root() {
        true => {
            let mut command = Command::new("setpriv");
            command.args(["--bounding-set=-all", "--inh-caps=-all", env!("CARGO_BIN_EXE_bhavd")]);
            command
        }
        false => Command::new(env!("CARGO_BIN_EXE_bhavd")),
    };
    let output = command.args(["run", "--config"]).arg(&config).output().expect("bhavd starts");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(77), "{said}");
    assert!(said.contains(&spool.display().to_string()) && said.contains("denied"), "{said}");
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
