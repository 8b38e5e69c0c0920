//! Resident memory of the daemon with 50,000 watched contracts.
//!
//! Plays a synthetic market of that many contracts to the daemon, in a process of its own with the unit's environment, at
//! 20,000 ticks a second, some ticks for each contract, and reads the process's resident memory all along. A bucket ends
//! within the play: a row for every contract. Ends with 1 above 150 MB.
//! `cargo bench --bench memory`.

mod process;
mod service_unit;
mod simulated;

use bhavd::sim::{Pace, SyntheticMarket};
use chrono::NaiveTime;
use process::{Running, megabytes};
use std::{
    fs,
    path::Path,
    process::{Command, ExitCode},
    thread,
    time::{Duration, Instant},
};

const RESIDENT_MAX_KB: u64 = 150 * 1_000_000 / 1_024;
/// Makes this program the daemon.
const RUN_DAEMON: &str = "--run-daemon";
/// 200 shares, 125 strikes, call and put.
const SHARES: usize = 200;
const STRIKES: u32 = 125;
const TICKS_A_SECOND: u32 = 20_000;
const SPAN_S: u32 = 60;
/// So that the bucket that ends at 09:18 is closed within the play.
const BEGINS_AT: NaiveTime = NaiveTime::from_hms_opt(9, 17, 30).expect("a time of day");
/// The market begins this long after its clock, so that the daemon has logged in and read the master.
const OPENS_AFTER: Duration = Duration::from_secs(20);

/// What `bhavd run` does.
fn run_daemon(file: &Path) -> ExitCode {
    let text = fs::read_to_string(file).expect("the configuration");
    let daemon = bhavd::node::Daemon::open(simulated::read_configuration(&text)).expect("opens");
    daemon.run().expect("a clean end");
    ExitCode::SUCCESS
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    if let [_, argument, file] = &arguments[..]
        && argument == RUN_DAEMON
    {
        return run_daemon(Path::new(file));
    }
    let market = SyntheticMarket {
        opens: BEGINS_AT,
        duration_s: SPAN_S,
        ticks_per_second: TICKS_A_SECOND,
        ..simulated::shares(SHARES, STRIKES)
    };
    let simulator = simulated::start(market, Pace::Clocked, 1, -(OPENS_AFTER.as_secs() as i64));
    let contracts = simulator.market().contracts().len();
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("bhavd.toml");
    fs::write(&file, simulated::configuration(&simulator, directory.path())).expect("is written");
    let own = std::env::current_exe().expect("this program");
    let run = Command::new(own).arg(RUN_DAEMON).arg(&file).envs(service_unit::environment()).spawn();
    let mut daemon = Running(run.expect("the daemon starts"));
    let mut highest_playing_kb = 0;
    let patience = Instant::now();
    while !simulator.progress().is_finished() {
        assert!(
            patience.elapsed() < OPENS_AFTER + Duration::from_secs(5 * u64::from(SPAN_S)),
            "the play ends"
        );
        if simulator.progress().played > 0 {
            highest_playing_kb = highest_playing_kb.max(daemon.figure("VmRSS"));
        }
        thread::park_timeout(Duration::from_millis(100));
    }
    assert!(simulator.playback().subscriptions() >= contracts, "the daemon watches every contract");
    let (resident_kb, peak_kb) = (daemon.figure("VmRSS"), daemon.figure("VmHWM"));
    println!(
        "{contracts} contracts watched, {} ticks played: {:.0} MB resident at the end, {:.0} MB at most while playing, {:.0} \
         MB at most since the start",
        simulator.progress().played,
        megabytes(resident_kb),
        megabytes(highest_playing_kb),
        megabytes(peak_kb)
    );
    drop(daemon);
    simulator.stop();
    if resident_kb <= RESIDENT_MAX_KB && highest_playing_kb <= RESIDENT_MAX_KB {
        return ExitCode::SUCCESS;
    }
    println!("above {:.0} MB", megabytes(RESIDENT_MAX_KB));
    ExitCode::FAILURE
}
