//! The log of the morning is gone: what was recorded stays in the store, and status and `replay verify` say what lacks.

use crate::processes::{Daemon, Simulator, dump, store_url};
use bhavd::{
    market::{Timestamp, TradingDate},
    spool,
};
use chrono::NaiveTime;
use std::{fs, path::Path};

const TODAY: &str = "2026-01-30";
const BUCKETS: &str = "intraday_option_oi";
/// Columns of a row in a dump.
const STATE: usize = 9;

fn date() -> TradingDate {
    TODAY.parse().expect("a date")
}

fn at(hour: u32, minute: u32) -> Timestamp {
    Timestamp::on(date(), NaiveTime::from_hms_opt(hour, minute, 0).expect("a time"))
}

/// Rows of buckets that claim something: live, carried or backfilled.
fn observed(directory: &Path) -> Vec<String> {
    let rows = dump(&store_url(directory), date()).remove(BUCKETS).unwrap_or_default();
    let is_observed = |line: &String| matches!(line.split('|').nth(STATE), Some("1" | "2" | "3"));
    rows.into_iter().filter(is_observed).collect()
}

fn problems(daemon: &Daemon) -> String {
    daemon.ask(&["status"])["problems"].to_string()
}

/// Waits for the verdict on a day that is being recorded, and gives it.
fn verdict(daemon: &mut Daemon) -> (i32, serde_json::Value) {
    let mut found = None;
    daemon.wait_for("a verdict", |daemon| {
        let output = daemon.try_ask(&["replay", "verify", TODAY]);
        let code = output.status.code().expect("a code");
        if code == 1 {
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(said.contains("is still being recorded"), "{said}");
            return false;
        }
        found = serde_json::from_slice(&output.stdout).ok().map(|verdict| (code, verdict));
        found.is_some()
    });
    found.expect("a verdict")
}

#[test]
fn rows_outlive_the_log_of_the_morning() {
    let home = tempfile::tempdir().expect("a directory");
    let directory = home.path();
    let arguments = "--synthetic --speed 300 --underlyings NIFTY --strikes 2 --start";
    let simulator = Simulator::start(arguments.split_whitespace().chain(["2026-01-30 09:10:00"]));
    let tables =
        format!("[[watch]]\nunderlying = \"*\"\nexpiries = 0\n{}", simulator.angel_one_tables(directory));
    let (config, log) = (directory.join("bhavd.toml"), directory.join("spool"));
    Daemon::configure(&config, directory, &tables);
    let mut daemon = Daemon::start(&config, directory);
    simulator.wait_until(at(9, 25));
    daemon.wait_for("rows", |_| !observed(directory).is_empty());
    assert_eq!(problems(&daemon), "[]");
    daemon.stop();
    let before = observed(directory);
    fs::rename(&log, directory.join("moved-away")).expect("moved");

    // A restart, and another one that reads the same log.
    for life in 0..2 {
        let mut daemon = Daemon::start(&config, directory);
        let begun = simulator.clock.now();
        daemon.wait_for("the problem", |daemon| {
            problems(daemon).contains("the log of 2026-01-30 lacks its head")
        });
        assert!(problems(&daemon).contains("put them back into"), "{}", problems(&daemon));
        daemon.wait_for("further rows", |_| {
            let later = |line: &String| {
                line.split('|').next().is_some_and(|us| us > begun.as_us().to_string().as_str())
            };
            observed(directory).iter().any(later)
        });
        let after = observed(directory);
        let lost: Vec<_> = before.iter().filter(|row| !after.contains(row)).collect();
        assert!(lost.is_empty(), "life {life}: {lost:#?}");
        simulator.wait_until(at(15, 31).min(begun.plus_seconds(300)));
        daemon.stop();
    }
    simulator.wait_until(at(15, 45));
    let mut daemon = Daemon::start(&config, directory);
    let (code, verified) = verdict(&mut daemon);
    assert_eq!((code, &verified["equal"]), (8, &false.into()), "{verified:#}");
    assert!(
        verified["losses"][0].as_str().is_some_and(|text| text.contains("lacks its head")),
        "{verified:#}"
    );
    daemon.stop();
    assert_eq!(spool::days(&log).expect("days"), [date()]);
}
