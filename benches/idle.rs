//! What the daemon costs while nothing happens, with the configuration the package installs: on a Saturday, and in the
//! evening of a day it recorded.
//!
//! Runs `bhavd run` as systemd does, in a process of its own: with the unit's environment, told where to report and by when
//! to kick the watchdog, with a message bus of its own where dbus-daemon is installed. CPU time and resident memory are read
//! from /proc over a minute. Ends with 1 above 0.2 % of a core or 30 MB.
//!
//! On the Saturday the feed has nobody to talk to, and outside trading days does not try. For the evening a recorded day is
//! played over NSE's website at a multiple of real time, until the feed has rested for a quarter of an hour and the day is
//! compared with its log: what that process holds then is what a day leaves behind. Timers run faster there, so the
//! processor time is that of a second process, which begins over the same log and store right before the feed rests and
//! keeps real time.
//!
//! `cargo bench --bench idle [-- [saturday | evening] [--day RECORDING] [--speed N] [--watch all]]`; without a recording
//! (BHAVD_TEST_DATA) there is no evening.
#![expect(clippy::disallowed_methods, reason = "the service manager is no part of any tree")]

mod process;
mod service_unit;

use bhavd::{
    clock::{Clock, Simulation, real_now},
    market::Timestamp,
    sim::{MarketSource, Simulator, SimulatorOptions},
};
use chrono::NaiveTime;
use clap::{Parser, ValueEnum};
use process::{Running, megabytes};
use serde_json::Value;
use std::{
    fs,
    os::unix::net::UnixDatagram,
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
    thread,
    time::{Duration, Instant},
};

/// Percent of a core.
const CPU_MAX: f64 = 0.2;
const RESIDENT_MAX_KB: u64 = 30 * 1_000_000 / 1_024;
/// The exchange is closed from here until Sunday, when the Budget is read.
const SATURDAY: &str = "2026-01-31T11:00:00+05:30";
const NOBODY: &str = "http://127.0.0.1:9";
/// The feed rests from 16:30 on, an hour after the close.
const FEED_RESTS: NaiveTime = NaiveTime::from_hms_opt(16, 30, 0).expect("a time of day");
const EVENING: NaiveTime = NaiveTime::from_hms_opt(16, 45, 0).expect("a time of day");
/// From readiness to the first reading.
const SETTLE: Duration = Duration::from_secs(5);
const WATCH: Duration = Duration::from_secs(60);
const PATIENCE: Duration = Duration::from_secs(120);
/// As in the unit.
const WATCHDOG: Duration = Duration::from_secs(30);

#[derive(Parser)]
struct Arguments {
    /// Both, if it is left out.
    scene: Option<Scene>,
    /// The recorded day, as docs/recording-format.md says.
    #[arg(long)]
    day: Option<PathBuf>,
    /// At which it is played.
    #[arg(long, default_value_t = 600.0)]
    speed: f64,
    #[arg(long, value_enum, default_value_t = Watched::Package)]
    watch: Watched,
    /// Given by cargo.
    #[arg(long, hide = true)]
    bench: bool,
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum Scene {
    Saturday,
    Evening,
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum Watched {
    /// As installed: NIFTY and BANKNIFTY, two expiries.
    Package,
    /// Every underlying, every expiry.
    All,
}

/// A message bus at `DIRECTORY/bus`; `None` if there is no program for it.
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
        wait(Duration::from_millis(10));
    }
    Some(bus)
}

/// Where a daemon lives: its files, its bus, its service manager.
struct Home {
    directory: tempfile::TempDir,
    bus: Option<Running>,
}

impl Home {
    fn new() -> Home {
        let directory = tempfile::tempdir().expect("a directory");
        let bus = start_bus(directory.path());
        Home { directory, bus }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// The package's configuration, with everything it would reach outside this bench led into the directory.
    fn configure(&self, site: &str, clock: Simulation, watched: Watched) {
        let mut installed = include_str!("../systemd/bhavd.toml").to_owned();
        let feed = "[feeds.nse]\nenabled = true\n";
        assert!(installed.contains(feed), "the package enables the NSE feed");
        let reached = format!("{feed}site_url = \"{site}\"\narchive_url = \"{site}\"\n");
        installed = installed.replace(feed, &reached);
        if watched == Watched::All {
            let (_, others) = installed.split_once(feed).expect("the feed");
            installed = format!("[[watch]]\nunderlying = \"*\"\nexpiries = 0\n{feed}{others}");
        }
        let place = self.directory.path().display();
        let text = format!(
            "store.url = \"sqlite:{place}/bhavd.sqlite\"\n\
             spool.dir = \"{place}/spool\"\n\
             control.socket = \"{place}/control.sock\"\n\
             dbus.address = \"unix:path={place}/bus\"\n\
             {installed}\n[clock]\nstart = \"{}\"\nreal_start = \"{}\"\nspeed = {:.1}\n",
            clock.start.to_utc().to_rfc3339(),
            clock.real_start.to_utc().to_rfc3339(),
            clock.speed,
        );
        fs::write(self.path("bhavd.toml"), text).expect("is written");
    }

    /// A daemon that is ready.
    fn start(&self) -> Running {
        let socket = self.path("notify");
        let _ = fs::remove_file(&socket);
        let manager = UnixDatagram::bind(&socket).expect("a socket");
        let run = Command::new(env!("CARGO_BIN_EXE_bhavd"))
            .args(["run", "--config"])
            .arg(self.path("bhavd.toml"))
            .envs(service_unit::environment())
            .env("NOTIFY_SOCKET", &socket)
            .env("WATCHDOG_USEC", WATCHDOG.as_micros().to_string())
            .stderr(Stdio::null())
            .spawn();
        let daemon = Running(run.expect("the daemon starts"));
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
        daemon
    }

    /// Whether the job has compared the day with its log.
    fn is_verified(&self) -> bool {
        let asked = Command::new(env!("CARGO_BIN_EXE_bhavctl"))
            .arg("--socket")
            .arg(self.path("control.sock"))
            .args(["--json", "jobs", "history", "--job", "verify"])
            .output();
        let answer: Value = serde_json::from_slice(&asked.expect("bhavctl runs").stdout).expect("an answer");
        answer["runs"][0]["state"] == "done"
    }

    /// Watches a daemon that has nothing to do; whether it stays within the bounds.
    fn watch(&self, name: &str, daemon: &mut Running) -> bool {
        let (began, cpu_before_s, sleeps_before) = (Instant::now(), daemon.cpu_s(), daemon.sleeps());
        wait(WATCH);
        let watched_s = began.elapsed().as_secs_f64();
        let cpu_percent = 100.0 * (daemon.cpu_s() - cpu_before_s) / watched_s;
        let wakes = (daemon.sleeps() - sleeps_before) as f64 / watched_s;
        println!(
            "{name}, {watched_s:.0} s {} a bus: {cpu_percent:.3} % of a core, {wakes:.0} wake-ups a second",
            if self.bus.is_some() { "with" } else { "without" },
        );
        let is_modest = is_small(name, daemon);
        if cpu_percent >= CPU_MAX {
            println!("{name}: above {CPU_MAX} % of a core");
        }
        is_modest && cpu_percent < CPU_MAX
    }
}

fn is_small(name: &str, daemon: &mut Running) -> bool {
    let resident_kb = daemon.figure("VmRSS");
    println!(
        "{name}: {:.1} MB resident, of which {:.1} MB of program and files, {:.1} MB at most since the start",
        megabytes(resident_kb),
        megabytes(daemon.figure("RssFile")),
        megabytes(daemon.figure("VmHWM"))
    );
    if resident_kb >= RESIDENT_MAX_KB {
        println!("{name}: above {:.0} MB", megabytes(RESIDENT_MAX_KB));
    }
    resident_kb < RESIDENT_MAX_KB
}

fn wait(span: Duration) {
    let until = Instant::now() + span;
    while Instant::now() < until {
        thread::park_timeout(until.saturating_duration_since(Instant::now()));
    }
}

fn real_time_from(start: Timestamp) -> Simulation {
    Simulation { start, real_start: real_now(), speed: 1.0 }
}

fn saturday() -> bool {
    let home = Home::new();
    let start = chrono::DateTime::parse_from_rfc3339(SATURDAY).expect("an instant");
    home.configure(NOBODY, real_time_from(Timestamp::from(start.to_utc())), Watched::Package);
    let mut daemon = home.start();
    wait(SETTLE);
    home.watch("Saturday", &mut daemon)
}

fn evening(arguments: &Arguments, recording: PathBuf) -> bool {
    let home = Home::new();
    let simulator = Simulator::start(SimulatorOptions {
        speed: arguments.speed,
        angel_one: None,
        ..SimulatorOptions::new(MarketSource::Recording { path: recording, strict: false })
    })
    .expect("a simulator");
    let site = simulator.nse_url().expect("NSE's website");
    let date = simulator.market().first_time().date_ist();
    home.configure(&site, simulator.simulation(), arguments.watch);
    let mut daemon = home.start();
    let clock = Clock::simulated(simulator.simulation());
    while clock.now() < Timestamp::on(date, EVENING) {
        wait(Duration::from_millis(100));
    }
    let patience = Instant::now();
    while !home.is_verified() {
        assert!(patience.elapsed() < PATIENCE, "the day is compared with its log");
        wait(Duration::from_millis(100));
    }
    // Until its quiet is noticed.
    wait(SETTLE);
    let is_small_after_the_day = is_small("evening, after the day", &mut daemon);
    drop(daemon);
    drop(simulator);

    let before_s = 10;
    let start = Timestamp::on(date, FEED_RESTS).plus_seconds(-before_s);
    home.configure(NOBODY, real_time_from(start), arguments.watch);
    let mut daemon = home.start();
    wait(Duration::from_secs(before_s.unsigned_abs()) + SETTLE);
    home.watch("evening", &mut daemon) && is_small_after_the_day
}

/// Under `$BHAVD_TEST_DATA` (default `../shared/data` beside the project).
fn recorded_day() -> Option<PathBuf> {
    let default = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data");
    let data = std::env::var_os("BHAVD_TEST_DATA").map_or(default, PathBuf::from);
    let path = data.join("recordings/nse_index_options_2026-01-30.csv.gz");
    let is_there = path.is_file();
    if !is_there {
        println!("no evening: there is no {}; give a recording with --day", path.display());
    }
    is_there.then_some(path)
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let is_wanted = |scene| arguments.scene.is_none_or(|wanted| wanted == scene);
    let mut is_modest = true;
    if is_wanted(Scene::Saturday) {
        is_modest &= saturday();
    }
    if is_wanted(Scene::Evening)
        && let Some(recording) = arguments.day.clone().or_else(recorded_day)
    {
        is_modest &= evening(&arguments, recording);
    }
    if is_modest { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
