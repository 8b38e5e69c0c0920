//! Records and rows that break whoever handles them, through the real daemon: they are set aside, and all else goes on.

use crate::{
    processes::{Daemon, Simulator},
    test_data,
};
use bhavd::{
    market::{Timestamp, TradingDate},
    spool::{DeadLetters, SpoolReader},
};
use serde_json::{Value as Json, json};
use std::{collections::BTreeMap, ffi::OsStr, fs, path::Path};

/// A simulator that plays the recording, and a daemon's configuration over it.
fn begin(recording: &Path, directory: &Path, restarts_max: u32) -> Simulator {
    let simulator = Simulator::start([
        OsStr::new("--speed"),
        OsStr::new("600"),
        OsStr::new("--recording"),
        recording.as_os_str(),
    ]);
    let tables = format!(
        "[[watch]]\nunderlying = \"*\"\nexpiries = 0\n[supervision]\nhang_after_ms = 500\n\
         restarts_max = {restarts_max}\nbackoff_longest_ms = 100\nzombies_max = 16\n{}",
        simulator.angel_one_tables(directory)
    );
    Daemon::configure(&directory.join("bhavd.toml"), directory, &tables);
    simulator
}

fn start(directory: &Path, poison: &Json) -> Daemon {
    Daemon::start_in(&directory.join("bhavd.toml"), directory, &[("BHAVD_POISON", &poison.to_string())])
}

fn row_of(daemon: &Daemon, child: &str) -> Json {
    let actors = daemon.ask(&["actors"]);
    let rows = actors["actors"].as_array().expect("rows");
    rows.iter().find(|row| row["path"] == child).unwrap_or_else(|| panic!("no {child}")).clone()
}

fn assert_left_out(spool: &Path, date: TradingDate, seqs: &[u64]) {
    let letters = DeadLetters::read(spool).expect("readable");
    assert_eq!(letters.len(), seqs.len());
    let in_log: Vec<u64> = SpoolReader::open(spool, date)
        .expect("opens")
        .map(|record| record.expect("a record").seq)
        .filter(|seq| letters.contains(*seq))
        .collect();
    assert_eq!(in_log, seqs, "they stay in the log");
}

#[test]
fn records_that_break_the_recorder_are_left_out_here_and_in_every_replay() {
    let Some(recording) = test_data::index_options() else { return };
    let directory = tempfile::tempdir().expect("a directory");
    let directory = directory.path();
    let simulator = begin(&recording, directory, 20);
    let date = simulator.clock.now().date_ist();
    let poison = json!({ "records": { "120": "panic", "150": "block" }, "block_ms": 2_000 });
    let mut daemon = start(directory, &poison);
    daemon.wait_for("two records set aside", |daemon| row_of(daemon, "recorder")["set_aside"] == 2);
    let row = row_of(&daemon, "recorder");
    assert_eq!(row["panics"], 2, "{row:#}");
    assert_eq!(row["blocked"], 2, "{row:#}");
    let is_equal = |daemon: &Daemon| daemon.asks_well(&["replay", "verify", &date.to_string()]);
    daemon.wait_for("a record that equals its replay", is_equal);
    assert_eq!(row_of(&daemon, "recorder")["state"], "running");
    let text = daemon.log();
    for seq in [120, 150] {
        assert!(text.contains(&format!("record {seq} is left out")), "{text}");
    }
    daemon.stop();
    let spool = directory.join("spool");
    assert_left_out(&spool, date, &[120, 150]);

    // The next life reads the same log, and is not broken by it any more.
    let mut daemon = start(directory, &poison);
    daemon.wait_for("a record that equals its replay", is_equal);
    let row = row_of(&daemon, "recorder");
    assert_eq!((&row["panics"], &row["blocked"], &row["set_aside"]), (&json!(0), &json!(0), &json!(0)));
    daemon.stop();
    assert_left_out(&spool, date, &[120, 150]);
}

/// Seven records kill two recorders each while the budget is the usual three restarts in five minutes.
#[test]
fn a_burst_of_poison_does_not_end_the_daemon() {
    let Some(recording) = test_data::index_options() else { return };
    let directory = tempfile::tempdir().expect("a directory");
    let directory = directory.path();
    let simulator = begin(&recording, directory, 3);
    let date = simulator.clock.now().date_ist();
    let poisonous = [120, 121, 122, 123, 130, 140, 150];
    let records: BTreeMap<String, &str> = poisonous.map(|seq: u64| (seq.to_string(), "panic")).into();
    let mut daemon = start(directory, &json!({ "records": records }));
    daemon.wait_for("seven records set aside", |daemon| row_of(daemon, "recorder")["set_aside"] == 7);
    daemon.wait_for("a record that equals its replay", |daemon| {
        daemon.asks_well(&["replay", "verify", &date.to_string()])
    });
    let row = row_of(&daemon, "recorder");
    assert_eq!((&row["panics"], &row["state"]), (&json!(14), &json!("running")), "{row:#}");
    daemon.stop();
    assert_left_out(&directory.join("spool"), date, &poisonous);
}

#[test]
fn rows_that_break_the_writer_are_left_out_and_verify_says_so() {
    let Some(recording) = test_data::index_options() else { return };
    let directory = tempfile::tempdir().expect("a directory");
    let directory = directory.path();
    let simulator = begin(&recording, directory, 20);
    let date = simulator.clock.now().date_ist();
    let midnight = Timestamp::on(date, chrono::NaiveTime::MIN);
    let bucket_us = midnight.plus_seconds(9 * 3_600 + 30 * 60).as_us();
    let mut daemon = start(directory, &json!({ "bucket_us": bucket_us }));
    let file = directory.join("spool/dead-batches.jsonl");
    daemon
        .wait_for("a batch set aside", |daemon| file.exists() && row_of(daemon, "writer")["set_aside"] == 1);
    let row = row_of(&daemon, "writer");
    assert_eq!((&row["panics"], &row["set_aside"]), (&json!(2), &json!(1)), "{row:#}");
    // What follows is written.
    let later = midnight.plus_seconds(10 * 3_600);
    simulator.wait_until(later);
    let lines = fs::read_to_string(&file).expect("readable");
    let dead: Vec<Json> = lines.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let [dead] = &dead[..] else { panic!("one batch, not {lines}") };
    assert_eq!((&dead["child"], &dead["session_date"]), (&json!("writer"), &json!(date.to_string())));
    let dead_rows = dead["rows"].as_u64().expect("a count");

    let mut told = Json::Null;
    daemon.wait_for("a verdict on all that was written", |daemon| {
        let output = daemon.try_ask(&["replay", "verify", &date.to_string()]);
        assert!(!output.status.success(), "rows are missing, and nobody says so");
        // Not while rows are on their way.
        let Ok(verdict) = serde_json::from_slice(&output.stdout) else { return false };
        told = verdict;
        let rows = told["rows"].as_array().expect("tables");
        let missing: u64 = rows.iter().map(|row| row["different"].as_u64().expect("a count")).sum();
        missing <= dead_rows
    });
    assert_eq!(told["equal"], false, "{told:#}");
    let of_buckets =
        told["rows"].as_array().expect("tables").iter().find(|row| row["what"] == "intraday_option_oi");
    let of_buckets = of_buckets.expect("the table of buckets");
    assert_eq!(of_buckets["different"], 684, "{told:#}");
    let differences = told["differences"].as_array().expect("texts");
    let names_bucket = |text: &Json| {
        text.as_str().is_some_and(|text| {
            text.starts_with("intraday_option_oi: replayed only") && text.contains(&bucket_us.to_string())
        })
    };
    assert!(differences.iter().any(names_bucket), "{told:#}");
    daemon.stop();
}
