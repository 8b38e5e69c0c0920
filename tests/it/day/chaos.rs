//! The played day with a fault in some child every fifth of a second: panics, errors, hangs and blocked threads. At the end
//! the tables equal the recording but for what no feed saw, and the tree has an account of every fault.

use super::{
    answer::{Answer, SESSION_CLOSE_S},
    outages::assert_equal_but_for_outages,
    seed::test_seed,
};
use crate::{
    processes::{Daemon, Simulator, dump, store_url},
    test_data,
};
use bhavd::market::Timestamp;
use std::{collections::BTreeMap, ffi::OsStr};

const FAULTS: u64 = 200;
const CHILDREN: [&str; 8] = [
    "writer",
    "recorder",
    "control",
    "timekeeper",
    "jobs/archive",
    "jobs/retention",
    "jobs/verify",
    "feeds/angel_one",
];
const SPEED: i64 = 600;

/// Faults that the daemon's log says were done: by child, then by kind.
fn faults_in(log: &str) -> BTreeMap<String, BTreeMap<String, u64>> {
    let mut faults: BTreeMap<String, BTreeMap<String, u64>> = BTreeMap::new();
    for line in log.lines() {
        let Some((_, told)) = line.split_once(" chaos: ") else { continue };
        // "panic in feeds/angel_one incarnation 3"
        let mut words = told.split(' ');
        if let (Some(kind), Some("in"), Some(child), Some("incarnation")) =
            (words.next(), words.next(), words.next(), words.next())
        {
            *faults.entry(child.to_owned()).or_default().entry(kind.to_owned()).or_default() += 1;
        }
    }
    faults
}

#[test]
fn two_hundred_faults_in_a_day_change_nothing_that_was_seen() {
    let Some(recording) = test_data::index_options() else { return };
    let seed = test_seed("schedule");
    let directory = tempfile::tempdir().expect("a directory");
    let directory = directory.path();
    let simulator = Simulator::start([
        OsStr::new("--speed"),
        OsStr::new("600"),
        OsStr::new("--recording"),
        recording.as_os_str(),
    ]);
    let config = directory.join("bhavd.toml");
    let tables = format!(
        "[[watch]]\nunderlying = \"*\"\nexpiries = 0\n[supervision]\nhang_after_ms = 500\nrestarts_max = 10000\n\
         feed_restarts_max = 10000\nbackoff_longest_ms = 100\nzombies_max = 16\n{}",
        simulator.angel_one_tables(directory)
    );
    Daemon::configure(&config, directory, &tables);
    let date = simulator.clock.now().date_ist();
    let midnight = Timestamp::on(date, chrono::NaiveTime::MIN);
    let second = simulator.clock.now().us_since(midnight) / 1_000_000;
    let real_ms_until = |until: i64| (until - second).max(0) * 1_000 / SPEED;
    let order = serde_json::json!({
        "seed": seed,
        "faults": FAULTS,
        "from_ms": real_ms_until(9 * 3_600 + 16 * 60),
        // What comes late in the day is put right within it.
        "until_ms": real_ms_until(SESSION_CLOSE_S - 1_800),
        // Longer than the writer's heartbeat, which is three times the others'.
        "block_ms": 2_000,
        "children": CHILDREN,
    });
    let mut daemon = Daemon::start_in(&config, directory, &[("BHAVD_CHAOS", &order.to_string())]);
    simulator.wait_until(midnight.plus_seconds(SESSION_CLOSE_S + 600));
    daemon.wait_for("all faults", |daemon| {
        faults_in(&daemon.log()).values().flat_map(BTreeMap::values).sum::<u64>() == FAULTS
    });
    // The children work off what is left; then the log, replayed, gives what is stored.
    let date_text = date.to_string();
    daemon.wait_for("a record that equals its replay", |daemon| {
        daemon.asks_well(&["replay", "verify", &date_text])
    });
    let actors = daemon.ask(&["actors"]);
    let faults = faults_in(&daemon.log());
    daemon.stop();

    for child in CHILDREN {
        let rows = actors["actors"].as_array().expect("rows");
        let row = rows.iter().find(|row| row["path"] == child).unwrap_or_else(|| panic!("no {child}"));
        let told = |field: &str| row[field].as_u64().expect("a count");
        let done = |kind: &str| faults.get(child).and_then(|kinds| kinds.get(kind)).copied().unwrap_or(0);
        println!(
            "{child}: {} errors, {} panics, {} hangs, {} blocks; {row}",
            done("error"),
            done("panic"),
            done("hang"),
            done("block")
        );
        assert!(done("error") + done("panic") + done("hang") + done("block") > 0, "nothing befell {child}");
        assert_eq!(told("panics"), done("panic"), "{row:#}");
        assert!(told("errors") >= done("error"), "{row:#}");
        // A machine that is slow may make others look hung; a hung child may lose its thread before it is found out.
        assert!(
            told("hangs") + told("blocked") + told("displaced") >= done("hang") + done("block"),
            "{row:#}"
        );
        assert_eq!(row["set_aside"], 0, "no item was to blame: {row:#}");
        assert_eq!(row["state"], "running", "{row:#}");
    }
    let answer = Answer::read(&recording);
    let record = dump(&store_url(directory), date);
    assert_equal_but_for_outages(&answer, &record, &format!("seed {seed}"));
}
