//! What the daemon tells the service manager, seen from a manager's socket; no systemd is needed.

use crate::{processes, servers};
use rustix::process::{Pid, Signal, kill_process};
use std::{
    fs,
    io::ErrorKind,
    os::unix::{
        fs::symlink,
        net::{UnixDatagram, UnixStream},
    },
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

const PATIENCE: Duration = Duration::from_secs(60);
/// Nobody listens there: the daemon is ready nevertheless, what is away is a broker's website.
const TABLES: &str = "[[watch]]\nunderlying = \"NIFTY\"\n[feeds.nse]\nenabled = true\nsite_url = \"http://127.0.0.1:9\"\n\
                      archive_url = \"http://127.0.0.1:9\"\n";

/// A manager's end of the protocol, with a daemon that reports to it.
struct Managed {
    socket: UnixDatagram,
    daemon: Child,
}

impl Drop for Managed {
    fn drop(&mut self) {
        let _ = self.daemon.kill();
        let _ = self.daemon.wait();
    }
}

impl Managed {
    fn start(config: &Path, directory: &Path, watchdog: Duration) -> Managed {
        let path = directory.join("notify.sock");
        let socket = UnixDatagram::bind(&path).expect("a free path");
        socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        let daemon = Command::new(env!("CARGO_BIN_EXE_bhavd"))
            .args(["run", "--config"])
            .arg(config)
            .env("NOTIFY_SOCKET", &path)
            .env("WATCHDOG_USEC", watchdog.as_micros().to_string())
            .stderr(Stdio::null())
            .spawn()
            .expect("bhavd starts");
        Managed { socket, daemon }
    }

    /// The next message, as its lines.
    fn next(&self) -> Vec<String> {
        let mut bytes = [0; 4096];
        let count = loop {
            match self.socket.recv(&mut bytes) {
                // By a signal to this process: a call with a time limit is not taken up again by itself.
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                received => break received.expect("a message in time"),
            }
        };
        String::from_utf8_lossy(&bytes[..count]).lines().map(str::to_owned).collect()
    }

    /// All messages up to the first that has a line like this.
    fn until(&self, is_wanted: impl Fn(&str) -> bool) -> Vec<Vec<String>> {
        let (mut seen, until) = (Vec::new(), Instant::now() + PATIENCE);
        while Instant::now() < until {
            let message = self.next();
            let is_last = message.iter().any(|line| is_wanted(line));
            seen.push(message);
            if is_last {
                return seen;
            }
        }
        panic!("not in time; seen: {seen:?}");
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.daemon), signal).expect("it runs");
    }
}

fn is_in(messages: &[Vec<String>], start: &str) -> bool {
    messages.iter().flatten().any(|line| line.starts_with(start))
}

#[test]
fn ready_status_watchdog_reload_and_stopping_are_told() {
    let home = tempfile::tempdir().expect("a directory");
    let config = home.path().join("bhavd.toml");
    // A Sunday: in session hours the status begins with what the feed lacks.
    let now = bhavd::clock::real_now().to_utc().to_rfc3339();
    let clock =
        format!("[clock]\nstart = \"2026-02-08T12:00:00+05:30\"\nreal_start = \"{now}\"\nspeed = 1.0\n");
    processes::Daemon::configure(&config, home.path(), &format!("{TABLES}{clock}"));
    let valid = fs::read_to_string(&config).expect("it was written");
    let mut managed = Managed::start(&config, home.path(), Duration::from_secs(2));

    let starting = managed.until(|line| line == "READY=1");
    assert!(is_in(&starting, "STATUS=Starting: opening the store"), "{starting:?}");
    assert!(is_in(&starting, "EXTEND_TIMEOUT_USEC="), "{starting:?}");
    assert!(!is_in(&starting[..starting.len() - 1], "WATCHDOG=1"), "{starting:?}");
    UnixStream::connect(home.path().join("control.sock")).expect("a ready daemon's socket listens");
    let running = managed.until(|line| line == "WATCHDOG=1");
    // Before it stands what the feed lacks, in session hours.
    let is_status = |line: &String| line.starts_with("STATUS=") && line.contains("0/1 feeds up, 0 contracts");
    assert!(starting.iter().chain(&running).flatten().any(is_status), "{starting:?} {running:?}");
    managed.until(|line| line == "WATCHDOG=1");

    managed.signal(Signal::HUP);
    let reload = managed.until(|line| line == "RELOADING=1").pop().expect("the message");
    assert!(reload.iter().any(|line| line.starts_with("MONOTONIC_USEC=")), "{reload:?}");
    managed.until(|line| line == "READY=1");

    fs::write(&config, valid.replace("enabled = true", "enabled = maybe")).expect("written");
    managed.signal(Signal::HUP);
    managed.until(|line| line == "READY=1");
    let refusal = managed.until(|line| {
        line.starts_with("STATUS=Unhealthy: ") && line.contains("the configuration was refused")
    });
    assert!(is_in(&refusal, "STATUS="), "{refusal:?}");
    fs::write(&config, format!("{valid}[buckets]\ngrace_s = 6\n")).expect("written");
    managed.signal(Signal::HUP);
    managed.until(|line| {
        line.starts_with("STATUS=") && line.ends_with("the changed configuration needs a restart")
    });

    managed.signal(Signal::TERM);
    let stopping = managed.until(|line| line == "STOPPING=1");
    assert!(!is_in(&stopping, "READY=1"), "{stopping:?}");
    assert!(managed.daemon.wait().expect("it ends").success());
}

/// A database in which the first start's migration takes until it is released.
struct SlowStore {
    runtime: tokio::runtime::Runtime,
    url: String,
}

impl SlowStore {
    /// Makes the configuration's daemon use it.
    fn in_place_of_sqlite(config: &Path, directory: &Path) -> SlowStore {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        let url = runtime.block_on(servers::postgres_database());
        let text = fs::read_to_string(config).expect("it was written");
        fs::write(config, text.replace(&processes::store_url(directory), &url)).expect("written");
        let store = SlowStore { runtime, url };
        store.execute(servers::SLOW_MIGRATION);
        store
    }

    fn release(&self) {
        self.execute(servers::END_OF_SLOW_MIGRATION);
    }

    #[expect(clippy::disallowed_methods, reason = "the task of the connection; it ends with the client")]
    fn execute(&self, sql: &str) {
        self.runtime.block_on(async {
            let (client, connection) =
                tokio_postgres::connect(&self.url, tokio_postgres::NoTls).await.expect("connects");
            tokio::spawn(connection);
            client.batch_execute(sql).await.expect("valid SQL");
        });
    }
}

#[test]
fn more_time_is_asked_for_in_small_steps_while_a_migration_runs() {
    let home = tempfile::tempdir().expect("a directory");
    let config = home.path().join("bhavd.toml");
    processes::Daemon::configure(&config, home.path(), TABLES);
    let store = SlowStore::in_place_of_sqlite(&config, home.path());
    let mut managed = Managed::start(&config, home.path(), Duration::from_secs(60));
    managed.until(|line| line == "STATUS=Starting: opening the store");
    for _ in 0..3 {
        assert_eq!(managed.next(), ["EXTEND_TIMEOUT_USEC=30000000"], "nothing else is told meanwhile");
    }
    store.release();
    managed.until(|line| line == "READY=1");
    managed.signal(Signal::TERM);
    assert!(managed.daemon.wait().expect("it ends").success());
}

/// A desk whose database server comes up after the daemon.
#[test]
fn a_database_that_comes_up_later_is_waited_for_and_named() {
    let home = tempfile::tempdir().expect("a directory");
    let config = home.path().join("bhavd.toml");
    processes::Daemon::configure(&config, home.path(), TABLES);
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let url = runtime.block_on(servers::postgres_database());
    // The server's directory, under a name that does not lead there yet.
    let (sockets, database) = url
        .strip_prefix("postgres://bhavd@")
        .and_then(|address| address.rsplit_once('/'))
        .expect("a server's address");
    let later = home.path().join("later");
    let late = format!("postgres://bhavd@{}/{database}", later.display().to_string().replace('/', "%2F"));
    let text = fs::read_to_string(&config).expect("it was written");
    fs::write(&config, text.replace(&processes::store_url(home.path()), &late)).expect("written");
    let mut managed = Managed::start(&config, home.path(), Duration::from_secs(60));
    for _ in 0..2 {
        let told = managed.until(|line| line.starts_with("STATUS=Starting: waiting for the store: "));
        let last = told.last().expect("a message");
        assert!(last.iter().any(|line| line.contains("%2Flater/")), "{last:?}");
        assert!(last.iter().any(|line| line == "EXTEND_TIMEOUT_USEC=30000000"), "{last:?}");
        assert!(!is_in(&told, "READY=1"), "{told:?}");
    }
    symlink(sockets.replace("%2F", "/"), &later).expect("linked");
    managed.until(|line| line == "READY=1");
    managed.signal(Signal::TERM);
    assert!(managed.daemon.wait().expect("it ends").success());
}

#[test]
fn a_hangup_before_the_daemon_listens_counts_once_it_does() {
    let home = tempfile::tempdir().expect("a directory");
    let config = home.path().join("bhavd.toml");
    processes::Daemon::configure(&config, home.path(), TABLES);
    let store = SlowStore::in_place_of_sqlite(&config, home.path());
    let mut managed = Managed::start(&config, home.path(), Duration::from_secs(60));
    managed.until(|line| line == "STATUS=Starting: opening the store");
    let read = fs::read_to_string(&config).expect("it was written");
    fs::write(&config, format!("{read}[buckets]\ngrace_s = 6\n")).expect("written");
    managed.signal(Signal::HUP);
    store.release();
    managed.until(|line| {
        line.starts_with("STATUS=") && line.ends_with("the changed configuration needs a restart")
    });
    managed.signal(Signal::TERM);
    assert!(managed.daemon.wait().expect("it ends").success());
}

#[test]
fn watchdog_and_status_go_on_while_a_reload_hangs() {
    let home = tempfile::tempdir().expect("a directory");
    let config = home.path().join("bhavd.toml");
    // Days of a few seconds: what the status says of the session keeps changing.
    let now = bhavd::clock::real_now().to_utc().to_rfc3339();
    let clock =
        format!("[clock]\nstart = \"2026-02-02T08:00:00+05:30\"\nreal_start = \"{now}\"\nspeed = 7200.0\n");
    processes::Daemon::configure(&config, home.path(), &format!("{TABLES}{clock}"));
    let valid = fs::read_to_string(&config).expect("it was written");
    let mut managed = Managed::start(&config, home.path(), Duration::from_secs(2));
    managed.until(|line| line == "READY=1");

    // Reading it waits for somebody who writes.
    fs::remove_file(&config).expect("it was there");
    let made = Command::new("mkfifo").arg(&config).status().expect("mkfifo runs");
    assert!(made.success());
    managed.signal(Signal::HUP);
    managed.until(|line| line == "RELOADING=1");
    let mut during = Vec::new();
    for _ in 0..3 {
        during.extend(managed.until(|line| line == "WATCHDOG=1"));
    }
    during.extend(managed.until(|line| line.starts_with("STATUS=")));
    assert!(
        !is_in(&during, "READY=1") && !is_in(&during, "STATUS=Unhealthy: the configuration"),
        "{during:?}"
    );

    fs::write(&config, valid).expect("somebody reads it");
    managed.until(|line| line == "READY=1");
    managed.signal(Signal::TERM);
    assert!(managed.daemon.wait().expect("it ends").success());
}
