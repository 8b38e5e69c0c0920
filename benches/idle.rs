//! What the daemon costs while nothing happens: a Saturday, with the configuration the package installs.
//!
//! Runs `bhavd run` as systemd does, in a process of its own: with the unit's environment, told where to report and by when
//! to kick the watchdog, with a message bus of its own where dbus-daemon is installed. Its feed has nobody to talk to, and
//! outside trading days does not try to. A minute after it is ready and has settled, its CPU time and resident memory are
//! read from /proc. Ends with 1 above 0.2 % of a core or 30 MB.
//! `cargo bench --bench idle`.

mod service_unit;

use bhavd::clock::real_now;
use std::{
    fs,
    os::unix::net::UnixDatagram,
    path::Path,
    process::{Child, Command, ExitCode, Stdio},
    thread,
    time::{Duration, Instant},
};

/// Percent of a core.
const CPU_MAX: f64 = 0.2;
const RESIDENT_MAX_KB: u64 = 30 * 1_000_000 / 1_024;
/// The exchange is closed from here until Sunday, when the Budget is read.
const SATURDAY: &str = "2026-01-31T11:00:00+05:30";
/// From readiness to the first reading.
const SETTLE: Duration = Duration::from_secs(5);
const WATCH: Duration = Duration::from_secs(60);
const PATIENCE: Duration = Duration::from_secs(30);
/// As in the unit.
const WATCHDOG: Duration = Duration::from_secs(30);

/// A program that does not outlive the bench.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The package's configuration, with everything it would reach outside this bench led into `directory`.
fn configuration(directory: &Path) -> String {
    let installed = include_str!("../systemd/bhavd.toml");
    let feed = "[feeds.nse]\nenabled = true\n";
    assert!(installed.contains(feed), "the package enables the NSE feed");
    let nobody = format!("{feed}site_url = \"http://127.0.0.1:9\"\narchive_url = \"http://127.0.0.1:9\"\n");
    let place = directory.display();
    format!(
        "store.url = \"sqlite:{place}/bhavd.sqlite\"\n\
         spool.dir = \"{place}/spool\"\n\
         control.socket = \"{place}/control.sock\"\n\
         dbus.address = \"unix:path={place}/bus\"\n\
         {}\n[clock]\nstart = \"{SATURDAY}\"\nreal_start = \"{}\"\nspeed = 1.0\n",
        installed.replace(feed, &nobody),
        real_now().to_utc().to_rfc3339(),
    )
}

/// A bus at `DIRECTORY/bus`; `None` if there is no program for it.
fn start_bus(directory: &Path) -> Option<Running> {
    let path = directory.join("bus");
    let address = format!("--address=unix:path={}", path.display());
    let bus = Command::new("dbus-daemon")
        .args(["--session", "--nofork", "--nopidfile", &address])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let bus = Running(bus.ok()?);
    let patience = Instant::now();
    while !path.exists() {
        assert!(patience.elapsed() < PATIENCE, "the bus listens");
        thread::park_timeout(Duration::from_millis(10));
    }
    Some(bus)
}

/// CPU time of all its threads so far, in seconds.
fn cpu_s(process: &Child) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{}/stat", process.id())).expect("the process's state");
    // The name, in parentheses, may have spaces. User and system time are fields 14 and 15 of proc(5).
    let (_, after_name) = stat.rsplit_once(')').expect("a name");
    let ticks = after_name.split_whitespace().skip(11).take(2);
    let ticks: u64 = ticks.map(|field| field.parse::<u64>().expect("a number")).sum();
    ticks as f64 / rustix::param::clock_ticks_per_second() as f64
}

/// A figure of /proc/PID/status.
fn figure(process: &Child, name: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", process.id())).expect("the process's status");
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    let figure = line.and_then(|line| line.split_whitespace().next()).expect("the figure");
    figure.parse().expect("a number")
}

/// How often its threads went to sleep so far.
fn sleeps(process: &Child) -> u64 {
    let tasks = fs::read_dir(format!("/proc/{}/task", process.id())).expect("the process's threads");
    let status = |task: fs::DirEntry| fs::read_to_string(task.path().join("status")).unwrap_or_default();
    let of_task = |status: String| {
        let line = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
        line.map_or(0, |count| count.trim().parse::<u64>().expect("a number"))
    };
    tasks.map(|task| of_task(status(task.expect("a thread")))).sum()
}

fn wait(span: Duration) {
    let until = Instant::now() + span;
    while Instant::now() < until {
        thread::park_timeout(until.saturating_duration_since(Instant::now()));
    }
}

fn main() -> ExitCode {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("bhavd.toml");
    fs::write(&file, configuration(directory.path())).expect("is written");
    let bus = start_bus(directory.path());
    let manager = UnixDatagram::bind(directory.path().join("notify")).expect("a socket");
    let run = Command::new(env!("CARGO_BIN_EXE_bhavd"))
        .args(["run", "--config"])
        .arg(&file)
        .envs(service_unit::environment())
        .env("NOTIFY_SOCKET", directory.path().join("notify"))
        .env("WATCHDOG_USEC", WATCHDOG.as_micros().to_string())
        .stderr(Stdio::null())
        .spawn();
    let mut daemon = Running(run.expect("the daemon starts"));
    // Reads what is told until the daemon has ended.
    let (ready, is_ready) = std::sync::mpsc::channel();
    thread::spawn(move || {
        let mut message = [0; 4_096];
        while let Ok(length) = manager.recv(&mut message) {
            if String::from_utf8_lossy(&message[..length]).lines().any(|line| line == "READY=1") {
                let _ = ready.send(());
            }
        }
    });
    is_ready.recv_timeout(PATIENCE).expect("the daemon is ready");
    wait(SETTLE);
    let (began, cpu_before_s, sleeps_before) = (Instant::now(), cpu_s(&daemon.0), sleeps(&daemon.0));
    wait(WATCH);
    assert!(daemon.0.try_wait().expect("a child").is_none(), "the daemon ended");
    let watched_s = began.elapsed().as_secs_f64();
    let cpu_percent = 100.0 * (cpu_s(&daemon.0) - cpu_before_s) / watched_s;
    let wakes = (sleeps(&daemon.0) - sleeps_before) as f64 / watched_s;
    let (resident_kb, peak_kb) = (figure(&daemon.0, "VmRSS"), figure(&daemon.0, "VmHWM"));
    let mb = |kb: u64| kb as f64 * 1_024.0 / 1e6;
    println!(
        "idle for {watched_s:.0} s, {} a bus: {cpu_percent:.3} % of a core, {wakes:.0} wake-ups a second, {:.1} MB resident, \
         {:.1} MB at most since the start",
        if bus.is_some() { "with" } else { "without" },
        mb(resident_kb),
        mb(peak_kb)
    );
    if cpu_percent < CPU_MAX && resident_kb < RESIDENT_MAX_KB {
        return ExitCode::SUCCESS;
    }
    println!("above {CPU_MAX} % of a core or {:.0} MB", mb(RESIDENT_MAX_KB));
    ExitCode::FAILURE
}
