//! A disk that refuses to sync the log: the daemon goes on, says so until the disk has taken everything, and loses nothing.

use crate::processes::Daemon;
use serde_json::Value as Json;
use std::{fs, path::Path, process::Command};

/// Stands before the C library's function: the log's files cannot be synced while the file named by REFUSE_WHILE is there.
const SHIM: &str = r#"
#define _GNU_SOURCE
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

int fdatasync(int fd) {
    char link[64], path[PATH_MAX + 1];
    const char *flag = getenv("REFUSE_WHILE");
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, PATH_MAX);
    if (length > 6 && flag && access(flag, F_OK) == 0 && memcmp(path + length - 6, ".spool", 6) == 0) {
        errno = EIO;
        return -1;
    }
    return syscall(SYS_fdatasync, fd);
}
"#;
/// Nothing but the daemon's own records comes: the feed rests.
const TABLES: &str = "[[watch]]\nunderlying = \"NIFTY\"\n[feeds.nse]\nenabled = true\nsite_url = \"http://127.0.0.1:9\"\n\
                      archive_url = \"http://127.0.0.1:9\"\n[clock]\nstart = \"2026-01-31T11:00:00+05:30\"\n\
                      real_start = \"2026-01-31T11:00:00+05:30\"\nspeed = 0.000001\n";

/// `None`, with the reason printed, where there is no C compiler.
fn build_shim(directory: &Path) -> Option<String> {
    let (source, library) = (directory.join("shim.c"), directory.join("shim.so"));
    fs::write(&source, SHIM).expect("written");
    let built = Command::new("cc").args(["-shared", "-fPIC", "-o"]).arg(&library).arg(&source).output();
    match built {
        Ok(output) => {
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            Some(library.display().to_string())
        }
        Err(error) => {
            crate::skip::tell!("a disk that refuses is made with cc, which cannot be started: {error}");
            None
        }
    }
}

#[test]
fn a_log_that_the_disk_refuses_is_shown_until_it_is_there() {
    let home = tempfile::tempdir().expect("a directory");
    let Some(shim) = build_shim(home.path()) else { return };
    let config = home.path().join("bhavd.toml");
    Daemon::configure(&config, home.path(), TABLES);
    let flag = home.path().join("refuse");
    fs::write(&flag, "").expect("written");
    let environment = [("LD_PRELOAD", shim.as_str()), ("REFUSE_WHILE", flag.to_str().expect("UTF-8"))];
    let mut daemon = Daemon::start_in(&config, home.path(), &environment);

    let unsynced = |status: &Json| status["spool"]["unsynced_bytes"].as_u64().expect("a number");
    daemon.wait_for("the refusal", |daemon| unsynced(&daemon.ask(&["status"])) > 0);
    let status = daemon.ask(&["status"]);
    let problem = status["problems"][0].as_str().expect("a problem");
    assert!(problem.contains("cannot sync") && problem.contains("Input/output error"), "{status}");
    assert_eq!(status["healthy"], false, "{status}");
    assert!(!daemon.asks_well(&["status", "--check"]));

    let marker = home.path().join("spool/unsynced");
    assert!(marker.exists());

    fs::remove_file(&flag).expect("removed");
    daemon.wait_for("health", |daemon| daemon.asks_well(&["status", "--check"]));
    assert!(!marker.exists());
    assert_eq!(unsynced(&daemon.ask(&["status"])), 0);
    let log = daemon.log();
    let place = |event: &str| log.find(event).unwrap_or_else(|| panic!("no {event}: {log}"));
    assert!(place("event=spool_unsynced") < place("event=spool_synced"), "{log}");
    daemon.stop();
}

#[test]
fn a_refusal_is_remembered_over_a_restart() {
    let home = tempfile::tempdir().expect("a directory");
    let Some(shim) = build_shim(home.path()) else { return };
    let config = home.path().join("bhavd.toml");
    Daemon::configure(&config, home.path(), TABLES);
    let flag = home.path().join("refuse");
    fs::write(&flag, "").expect("written");
    let environment = [("LD_PRELOAD", shim.as_str()), ("REFUSE_WHILE", flag.to_str().expect("UTF-8"))];
    let mut daemon = Daemon::start_in(&config, home.path(), &environment);
    let is_refused = |daemon: &Daemon| daemon.log().contains("event=spool_unsynced");
    daemon.wait_for("the refusal", is_refused);
    daemon.stop();
    let marker = home.path().join("spool/unsynced");
    assert!(marker.exists());

    // A disk that takes everything: only what the daemon remembers can tell it of the refusal.
    let mut daemon = Daemon::start(&config, home.path());
    daemon.wait_for("the sync", |daemon| daemon.log().contains("event=spool_synced"));
    assert!(daemon.log().contains("before this start the disk refused to sync"), "{}", daemon.log());
    assert!(!marker.exists());
    daemon.stop();
}
