//! How the daemon ends, as systemd is told it: sysexits.h.

use crate::processes::{Daemon, Simulator};
use std::{
    fs,
    os::unix::{fs::PermissionsExt, process::CommandExt},
    path::{Path, PathBuf},
    process::Command,
};

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

/// A configuration with a control socket of its own, and a feed that reaches nobody.
fn configure(directory: &Path, socket: &Path) -> PathBuf {
    let config = directory.join("bhavd.toml");
    let (place, socket) = (directory.display(), socket.display());
    let toml = format!(
        "[store]\nurl = \"sqlite:{place}/bhavd.sqlite\"\n[spool]\ndir = \"{place}/spool\"\n[control]\nsocket = \"{socket}\"\n\
         [dbus]\nenabled = false\n[[watch]]\nunderlying = \"NIFTY\"\n[feeds.nse]\nenabled = true\n\
         site_url = \"http://127.0.0.1:9\"\narchive_url = \"http://127.0.0.1:9\"\n"
    );
    fs::write(&config, toml).expect("written");
    config
}

#[test]
fn a_control_socket_that_cannot_be_had_is_told_by_its_cause() {
    let home = tempfile::tempdir().expect("a directory");
    let directory = home.path();
    let taken = directory.join("precious");
    fs::write(&taken, "precious").expect("written");
    let other = directory.join("other.sock");
    let _other = std::os::unix::net::UnixListener::bind(&other).expect("a free path");
    for (socket, code, part) in [
        (taken.clone(), 78, "is not a stream socket; remove it or set another [control] socket"),
        (taken.join("control.sock"), 78, "making its directory"),
        (PathBuf::from("/proc/bhavd-test/control.sock"), 78, "making its directory"),
        (directory.join("x".repeat(200)), 78, "at most 107 bytes"),
        (other.clone(), 69, "another daemon answers at"),
    ] {
        let config = configure(directory, &socket);
        let (exit, said) = bhavd(&["run", "--config", config.to_str().expect("a path")]);
        assert_eq!(exit, Some(code), "{}: {said}", socket.display());
        assert!(said.contains(part) && said.contains("[control] socket"), "{}: {said}", socket.display());
    }
    assert_eq!(fs::read_to_string(&taken).expect("a file"), "precious");
    assert!(other.exists(), "somebody else's socket stays");
}

#[test]
fn what_no_start_can_use_is_found_by_the_check_and_is_78() {
    let home = tempfile::tempdir().expect("a directory");
    let directory = home.path();
    let notes = directory.join("notes.txt");
    fs::write(&notes, "no database at all").expect("written");
    let place = directory.display().to_string();
    let config = configure(directory, &directory.join("control.sock"));
    let text = fs::read_to_string(&config).expect("a file");
    for (from, to, part) in [
        (format!("sqlite:{place}/bhavd.sqlite"), format!("sqlite:{}", notes.display()), "no SQLite database"),
        (format!("{place}/spool"), "/proc/bhavd-test/spool".to_owned(), "no directory can be made"),
    ] {
        fs::write(&config, text.replace(&from, &to)).expect("written");
        let path = config.to_str().expect("a path");
        for arguments in [&["check-config", path][..], &["run", "--config", path]] {
            let (exit, said) = bhavd(arguments);
            assert_eq!(exit, Some(78), "{arguments:?}: {said}");
            assert!(said.contains(part) && said.contains(&to), "{arguments:?}: {said}");
        }
    }
    assert_eq!(fs::read_to_string(&notes).expect("a file"), "no database at all");
}

#[test]
fn a_directory_that_is_not_the_daemons_to_write_to_is_77() {
    const NOBODY: u32 = 65_534;
    if !rustix::process::geteuid().is_root() {
        println!("skipped: only root can start the daemon as somebody else");
        return;
    }
    let home = tempfile::tempdir().expect("a directory");
    let own = home.path().join("own");
    fs::create_dir(&own).expect("a directory");
    std::os::unix::fs::chown(&own, Some(NOBODY), Some(NOBODY)).expect("root may");
    fs::set_permissions(home.path(), fs::Permissions::from_mode(0o755)).expect("root may");
    let config = configure(&own, &home.path().join("control.sock"));
    // Where the program stands, only root may go.
    let program = home.path().join("bhavd");
    fs::copy(env!("CARGO_BIN_EXE_bhavd"), &program).expect("copied");
    let output =
        Command::new(&program).args(["run", "--config"]).arg(&config).uid(NOBODY).gid(NOBODY).output();
    let output = output.expect("bhavd starts");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(77), "{said}");
    assert!(said.contains("binding it: Permission denied"), "{said}");
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
