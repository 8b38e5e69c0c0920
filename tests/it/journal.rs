//! What the daemon writes of itself: into a journald that the test plays, and without one onto standard error.
//!
//! journald's socket has a fixed place, so the daemon is started in a mount namespace of its own, where that place is the
//! test's. Skipped, saying so, where such namespaces are not allowed.

use bhavd::logging::Event;
use std::{
    collections::BTreeMap,
    fs,
    os::unix::net::UnixDatagram,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};
use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_secs(60);

/// $1 holds the socket, $2 takes standard error; the rest is the program.
const ENTER: &str = "mount -t tmpfs none /run && mkdir -p /run/systemd/journal && mount --bind \"$1\" /run/systemd/journal \
                     && exec 2>>\"$2\" && shift 2 && JOURNAL_STREAM=$(stat -L -c %d:%i /proc/self/fd/2) exec \"$@\"";

fn enter(sockets: &Path, stderr: &Path, program: &[&str]) -> Command {
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "--mount", "sh", "-c", ENTER, "sh"]);
    command.arg(sockets).arg(stderr).args(program).env_remove("RUST_LOG");
    command
}

/// The directory of a daemon that listens to nobody: its broker's port is closed.
struct Home {
    directory: TempDir,
    journal: UnixDatagram,
}

type Fields = BTreeMap<String, String>;

impl Home {
    /// `None`, saying why, where the daemon cannot be given a journald of the test's.
    fn new() -> Option<Home> {
        let directory = tempfile::tempdir().expect("a directory");
        let sockets = directory.path().join("journal");
        fs::create_dir(&sockets).expect("a directory");
        let journal = UnixDatagram::bind(sockets.join("socket")).expect("a socket");
        journal.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        let home = Home { directory, journal };
        let tried = enter(&sockets, &home.path("stderr"), &["true"]).output();
        if !tried.as_ref().is_ok_and(|output| output.status.success()) {
            crate::skip::tell!("no mount namespace of an own user: {tried:?}");
            return None;
        }
        Some(home)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn configure(&self, more: &str) -> PathBuf {
        let credentials = self.path("credentials");
        fs::create_dir_all(&credentials).expect("a directory");
        for (name, value) in [
            ("client_code", "A1"),
            ("api_key", "key"),
            ("mpin", "1234"),
            ("totp_secret", "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"),
        ] {
            fs::write(credentials.join(format!("angel_one.{name}")), value).expect("written");
        }
        let closed = {
            let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
            listener.local_addr().expect("an address")
        };
        let text = format!(
            "[store]\nurl = \"sqlite:{home}/bhavd.sqlite\"\n[spool]\ndir = \"{home}/spool\"\n[control]\n\
             socket = \"{home}/control.sock\"\n[credentials]\ndir = \"{home}/credentials\"\n[[watch]]\n\
             underlying = \"NIFTY\"\n[feeds.angel_one]\nenabled = true\nrest_url = \"http://{closed}\"\n\
             stream_url = \"ws://{closed}\"\nmaster_url = \"http://{closed}/master\"\n{more}",
            home = self.directory.path().display()
        );
        let path = self.path("bhavd.toml");
        fs::write(&path, text).expect("written");
        path
    }

    fn start(&self, config: &Path) -> Running {
        let config = config.to_str().expect("UTF-8");
        let program = [env!("CARGO_BIN_EXE_bhavd"), "run", "--config", config];
        let child = enter(&self.path("journal"), &self.path("stderr"), &program).spawn().expect("it starts");
        Running(child)
    }

    /// The next record of an event.
    fn hear(&self, event: Event) -> Fields {
        loop {
            let fields = self.hear_any();
            if fields.get("EVENT").map(String::as_str) == Some(event.name()) {
                assert_eq!(fields["MESSAGE_ID"], event.message_id());
                return fields;
            }
        }
    }

    fn hear_any(&self) -> Fields {
        let mut datagram = vec![0; 256 * 1024];
        loop {
            let length =
                self.journal.recv(&mut datagram).unwrap_or_else(|error| panic!("{error}: {}", self.stderr()));
            // The first one is empty: a greeting.
            if length > 0 {
                return parse(&datagram[..length]);
            }
        }
    }

    fn stderr(&self) -> String {
        fs::read_to_string(self.path("stderr")).expect("readable")
    }
}

/// A datagram of journald's native protocol (systemd.io/JOURNAL_NATIVE_PROTOCOL): `NAME=value` lines, or a name, the value's
/// length in eight bytes, and the value.
fn parse(mut datagram: &[u8]) -> Fields {
    let mut fields = Fields::new();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("UTF-8");
    while !datagram.is_empty() {
        let end = datagram.iter().position(|byte| *byte == b'\n').expect("a line");
        let (line, rest) = (&datagram[..end], &datagram[end + 1..]);
        let (name, value) = match line.iter().position(|byte| *byte == b'=') {
            Some(equals) => {
                datagram = rest;
                (text(&line[..equals]), text(&line[equals + 1..]))
            }
            None => {
                let (length, rest) = rest.split_at(8);
                let length = u64::from_le_bytes(length.try_into().expect("eight bytes")) as usize;
                datagram = &rest[length + 1..];
                (text(line), text(&rest[..length]))
            }
        };
        let before = fields.insert(name.clone(), value);
        assert!(before.is_none(), "{name} stands there twice");
    }
    fields
}

/// A daemon that does not outlive its test.
struct Running(Child);

impl Running {
    fn terminate(&self) {
        let pid = rustix::process::Pid::from_child(&self.0);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("it runs");
    }

    fn wait(&mut self) -> ExitStatus {
        let until = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.0.try_wait().expect("it can be asked") {
                return status;
            }
            assert!(Instant::now() < until, "it does not end");
            thread::park_timeout(Duration::from_millis(20));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn records_arrive_with_their_fields() {
    let Some(home) = Home::new() else { return };
    let mut daemon = home.start(&home.configure(""));
    let started = home.hear(Event::Started);
    let version = env!("CARGO_PKG_VERSION");
    let expected = [
        ("MESSAGE", format!("bhavd {version} starts")),
        ("PRIORITY", "5".to_owned()),
        ("SYSLOG_IDENTIFIER", "bhavd".to_owned()),
        ("TARGET", "bhavd::node::daemon".to_owned()),
        ("CODE_FILE", "src/node/daemon.rs".to_owned()),
        ("VERSION", version.to_owned()),
    ];
    for (name, value) in expected {
        assert_eq!(started.get(name), Some(&value), "{name} in {started:?}");
    }
    let failing = home.hear(Event::FeedFailing);
    assert_eq!(
        (failing["PRIORITY"].as_str(), failing["PROVIDER"].as_str()),
        ("4", "angel_one"),
        "{failing:?}"
    );
    assert!(failing["MESSAGE"].contains(&failing["ERROR"]), "{failing:?}");
    daemon.terminate();
    let stopped = home.hear(Event::Stopped);
    assert_eq!(stopped["END"], "drained");
    assert!(daemon.wait().success());
    assert_eq!(home.stderr(), "", "nothing is said twice");
}

#[test]
fn a_refused_configuration_is_in_the_journal_although_the_program_ends_at_once() {
    let Some(home) = Home::new() else { return };
    let mut daemon = home.start(&home.configure("pace = 1\n[buckets]\ngrace_s = 61\n"));
    let refused = home.hear(Event::ConfigRefused);
    assert_eq!(refused["PRIORITY"], "3");
    for problem in ["feeds.angel_one.pace: unknown key", "buckets.grace_s: found 61"] {
        assert!(refused["MESSAGE"].contains(problem), "{refused:?}");
    }
    assert_eq!(daemon.wait().code(), Some(78));
}

#[test]
fn a_journald_that_stands_still_holds_up_neither_work_nor_the_end() {
    let Some(home) = Home::new() else { return };
    let filler = UnixDatagram::unbound().expect("a socket");
    filler.set_nonblocking(true).expect("a mode");
    let mut sent = 0;
    while filler.send_to(&[0; 1024], home.path("journal/socket")).is_ok() {
        sent += 1;
        assert!(sent < 1_000_000, "the socket never fills up");
    }
    // From here on whoever writes to journald waits for ever.
    let mut daemon = home.start(&home.configure(""));
    let until = Instant::now() + PATIENCE;
    let answers = || {
        let mut bhavctl = Command::new(env!("CARGO_BIN_EXE_bhavctl"));
        bhavctl.arg("--socket").arg(home.path("control.sock")).arg("feeds");
        bhavctl.output().expect("bhavctl starts").status.success()
    };
    while !answers() {
        assert!(Instant::now() < until, "the daemon does not answer: {}", home.stderr());
        thread::park_timeout(Duration::from_millis(20));
    }
    daemon.terminate();
    assert!(daemon.wait().success(), "{}", home.stderr());
}

#[test]
fn with_the_journals_stream_but_no_journald_lines_say_their_level() {
    let Some(home) = Home::new() else { return };
    fs::remove_file(home.path("journal/socket")).expect("removed");
    let mut daemon = home.start(&home.configure("[log]\nlevel = \"info\"\n"));
    let until = Instant::now() + PATIENCE;
    while !home.stderr().contains("event=feed_failing") {
        assert!(Instant::now() < until, "{}", home.stderr());
        thread::park_timeout(Duration::from_millis(20));
    }
    daemon.terminate();
    assert!(daemon.wait().success());
    let version = env!("CARGO_PKG_VERSION");
    let text = home.stderr();
    let first = text.lines().next().expect("a line");
    let expected = format!("<5>bhavd::node::daemon: bhavd {version} starts event=started version={version}");
    assert_eq!(first, expected);
    assert!(text.lines().any(|line| line.starts_with("<4>bhavd::feed::angel_one::")), "{text}");
    assert!(text.lines().all(|line| line.starts_with('<')), "{text}");
}

#[test]
fn without_a_journal_lines_have_level_and_time() {
    let directory = tempfile::tempdir().expect("a directory");
    let config = directory.path().join("bhavd.toml");
    // A log that is in use ends the daemon at once.
    let spool = directory.path().join("spool");
    let _held = bhavd::spool::Spool::open(&spool).expect("a log");
    let text = format!(
        "[spool]\ndir = \"{}\"\n[[watch]]\nunderlying = \"NIFTY\"\n[feeds.nse]\nenabled = true\n",
        spool.display()
    );
    fs::write(&config, text).expect("written");
    let output = Command::new(env!("CARGO_BIN_EXE_bhavd"))
        .args(["run", "--config"])
        .arg(config)
        .env_remove("RUST_LOG")
        .env_remove("JOURNAL_STREAM")
        .output()
        .expect("it starts");
    let text = String::from_utf8(output.stderr).expect("UTF-8");
    let line = text.lines().find(|line| line.contains("event=started")).expect("a line");
    let (priority, rest) = line.split_at(3);
    let (time, rest) = rest.split_once(' ').expect("a time");
    assert_eq!(priority, "<5>");
    chrono::DateTime::parse_from_rfc3339(time).unwrap_or_else(|error| panic!("{error}: {line}"));
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(rest, format!("bhavd::node::daemon: bhavd {version} starts event=started version={version}"));
}

#[test]
fn journalctl_takes_the_catalog() {
    if Command::new("journalctl").arg("--version").stdout(Stdio::null()).status().is_err() {
        crate::skip::tell!("journalctl is not installed");
        return;
    }
    let root = tempfile::tempdir().expect("a directory");
    let catalogs = root.path().join("usr/lib/systemd/catalog");
    fs::create_dir_all(&catalogs).expect("a directory");
    fs::create_dir_all(root.path().join("var/lib/systemd/catalog")).expect("a directory");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("systemd/bhavd.catalog");
    fs::copy(source, catalogs.join("bhavd.catalog")).expect("copied");
    let journalctl = |argument: &str| {
        let root = format!("--root={}", root.path().display());
        let output = Command::new("journalctl").args([&root, argument]).output().expect("it starts");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success() && said.is_empty(), "{argument}: {said}");
        String::from_utf8(output.stdout).expect("UTF-8")
    };
    journalctl("--update-catalog");
    let listed = journalctl("--list-catalog");
    for event in Event::ALL {
        let is_listed = listed.lines().any(|line| line.starts_with(event.message_id()));
        assert!(is_listed, "{} is not in:\n{listed}", event.name());
    }
}
