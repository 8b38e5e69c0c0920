//! A part of the log is gone: what was recorded stays in the store, and status and `replay verify` say what lacks.

use crate::processes::{Daemon, Simulator, dump, store_url};
use bhavd::{
    market::{Timestamp, TradingDate},
    spool,
    store::DayDump,
};
use chrono::NaiveTime;
use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

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

const CANDLES: &str = "price_history_intraday";
/// What of a day follows from its log, but for gaps, which name the loss, and closes, which a packet of after it may make later.
const TABLES: [&str; 6] =
    [BUCKETS, "intraday_underlying", "oi_delta_log", CANDLES, "price_history_daily", "coverage"];

/// A simulator and the configuration of a daemon that records it.
fn simulated(directory: &Path, start: &str) -> (Simulator, PathBuf) {
    let arguments = "--synthetic --speed 300 --underlyings NIFTY --strikes 2 --start";
    let day = start.split(' ').next().expect("a date");
    let simulator = Simulator::start(arguments.split_whitespace().chain([start, "--date", day]));
    let tables =
        format!("[[watch]]\nunderlying = \"*\"\nexpiries = 0\n{}", simulator.angel_one_tables(directory));
    let config = directory.join("bhavd.toml");
    Daemon::configure(&config, directory, &tables);
    (simulator, config)
}

/// A life of the daemon up to an instant, with rows.
fn live(simulator: &Simulator, config: &Path, directory: &Path, until: Timestamp) {
    let mut daemon = Daemon::start(config, directory);
    simulator.wait_until(until);
    daemon.wait_for("rows", |_| !observed(directory).is_empty());
    daemon.stop();
}

/// Rows of these tables that were there and are not any more, or not as they were.
fn lost(before: &DayDump, after: &DayDump, tables: &[&str]) -> Vec<String> {
    let of = |table: &&str| {
        let after: BTreeSet<&String> = after.get(*table).into_iter().flatten().collect();
        let rows = before.get(*table).into_iter().flatten().filter(|row| !after.contains(row));
        rows.map(|row| format!("{table}: {row}")).collect()
    };
    tables.iter().flat_map(|table| -> Vec<String> { of(table) }).collect()
}

/// The file of an hour, compressed or not.
fn segment(log: &Path, hour: &str) -> PathBuf {
    let day = log.join(TODAY);
    let of_hour = |path: &PathBuf| {
        path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(&format!("{hour}.spool")))
    };
    let paths = fs::read_dir(&day).expect("a day").map(|entry| entry.expect("an entry").path());
    paths.into_iter().find(of_hour).expect("the hour")
}

fn verifications(daemon: &Daemon) -> Vec<String> {
    let answer = daemon.ask(&["jobs", "history", "--job", "verify", "--limit", "100"]);
    let runs = answer["runs"].as_array().expect("runs").iter().rev();
    runs.map(|run| run["state"].as_str().expect("a state").to_owned()).collect()
}

#[test]
fn a_finished_day_outlives_the_loss_of_its_last_hour() {
    let home = tempfile::tempdir().expect("a directory");
    let directory = home.path();
    let (simulator, config) = simulated(directory, "2026-01-30 14:50:00");
    let (url, log) = (store_url(directory), directory.join("spool"));
    let mut daemon = Daemon::start(&config, directory);
    simulator.wait_until(at(15, 40));
    daemon.wait_for("the day's rows", |_| dump(&url, date()).contains_key("daily_option_oi"));
    simulator.wait_until(at(15, 50));
    daemon.stop();
    let before = dump(&url, date());
    for table in TABLES {
        assert!(before.contains_key(table), "{table}: {:?}", before.keys());
    }
    simulator.wait_until(at(16, 1));
    let (hour, aside) = (segment(&log, "15"), directory.join("aside"));
    fs::rename(&hour, &aside).expect("moved");

    let mut daemon = Daemon::start(&config, directory);
    daemon.wait_for("the problem", |daemon| problems(daemon).contains("whose rows had been written"));
    daemon.wait_for("the verification", |daemon| verifications(daemon).contains(&"faulty".to_owned()));
    let after = dump(&url, date());
    assert_eq!(lost(&before, &after, &TABLES), [""; 0]);
    assert!(problems(&daemon).contains("lacks records"), "{}", problems(&daemon));
    let (code, _) = daemon.verdict(TODAY);
    assert_eq!(code, 8);
    daemon.stop();

    // The hour is back: the day's rows are written again from the whole log, and verified.
    fs::rename(&aside, &hour).expect("moved back");
    let mut daemon = Daemon::start(&config, directory);
    daemon.wait_for("another verification", |daemon| {
        let runs = verifications(daemon);
        runs.len() > 1 && !runs.contains(&"running".to_owned())
    });
    assert_eq!(lost(&before, &dump(&url, date()), &TABLES), [""; 0]);
    let (code, verified) = daemon.verdict(TODAY);
    assert_eq!(verified["losses"], serde_json::json!([]), "{verified:#}");
    assert_eq!((code, &verified["equal"]), (0, &true.into()), "{verified:#}");
    daemon.stop();
    fs::rename(log.join(TODAY), directory.join("gone")).expect("moved");

    let mut daemon = Daemon::start(&config, directory);
    let (code, verified) = daemon.verdict(TODAY);
    assert_eq!(code, 8, "{verified:#}");
    assert_eq!(lost(&before, &dump(&url, date()), &TABLES), [""; 0]);
    daemon.stop();
}

#[test]
fn a_file_is_put_back_beside_that_of_the_lives_before_and_after_it() {
    let home = tempfile::tempdir().expect("a directory");
    let directory = home.path();
    let (simulator, config) = simulated(directory, "2026-01-30 15:02:00");
    let log = directory.join("spool");
    let record_until = |minute| live(&simulator, &config, directory, at(15, minute));
    record_until(11);
    let (first, second) = (directory.join("first"), directory.join("second"));
    // The disk of the log is not mounted for one life.
    fs::rename(&log, &first).expect("moved");
    record_until(18);
    fs::rename(&log, &second).expect("moved");
    fs::rename(&first, &log).expect("moved back");
    record_until(24);
    let claimed = |rows: Vec<String>| -> BTreeSet<String> {
        rows.iter().map(|row| row.split('|').take(2).collect::<Vec<_>>().join("|")).collect()
    };
    let before = claimed(observed(directory));

    let hour = segment(&second, "15");
    let name = hour.file_name().expect("a name").to_string_lossy().replace("15.", "15-before.");
    fs::copy(&hour, log.join(TODAY).join(name)).expect("put back");
    let mut daemon = Daemon::start(&config, directory);
    assert!(!problems(&daemon).contains("log"), "{}", problems(&daemon));
    simulator.wait_until(at(15, 45));
    let (code, verified) = daemon.verdict(TODAY);
    assert_eq!((code, &verified["equal"]), (0, &true.into()), "{verified:#}");
    assert_eq!(verified["losses"], serde_json::json!([]), "{verified:#}");
    let lost: Vec<_> = before.difference(&claimed(observed(directory))).cloned().collect();
    assert_eq!(lost, [""; 0], "all lives are in the log");
    daemon.stop();
}

#[test]
fn a_log_that_did_not_fill_the_store_beside_it_is_named() {
    let home = tempfile::tempdir().expect("a directory");
    let directory = home.path();
    let (simulator, config) = simulated(directory, "2026-01-30 15:02:00");
    let (log, other) = (directory.join("spool"), directory.join("other"));
    let record_until = |minute| live(&simulator, &config, directory, at(15, minute));
    record_until(14);
    fs::create_dir(&other).expect("a directory");
    let stores = || {
        let paths =
            fs::read_dir(directory).expect("a directory").map(|entry| entry.expect("an entry").path());
        paths.filter(|path| path.to_string_lossy().contains(".sqlite")).collect::<Vec<_>>()
    };
    for path in stores().into_iter().chain([log.clone()]) {
        fs::rename(&path, other.join(path.file_name().expect("a name"))).expect("moved");
    }
    record_until(19);
    fs::rename(&log, directory.join("own")).expect("moved");
    fs::rename(other.join("spool"), &log).expect("the other log");
    let mut daemon = Daemon::start(&config, directory);
    daemon.wait_for("the problem", |daemon| problems(daemon).contains("are not of this log"));
    daemon.stop();
}

#[test]
fn a_part_that_is_put_back_gives_the_rows_of_the_time_without_it() {
    let home = tempfile::tempdir().expect("a directory");
    let directory = home.path();
    let (simulator, config) = simulated(directory, "2026-01-30 15:02:00");
    let (url, log) = (store_url(directory), directory.join("spool"));
    live(&simulator, &config, directory, at(15, 13));
    let (hour, aside) = (segment(&log, "15"), directory.join("aside"));
    fs::rename(&hour, &aside).expect("moved");

    let mut daemon = Daemon::start(&config, directory);
    daemon.wait_for("the problem", |daemon| problems(daemon).contains("whose rows had been written"));
    let beside = "14.spool goes beside it as 14-before.spool";
    assert!(problems(&daemon).contains(beside), "{}", problems(&daemon));
    simulator.wait_until(at(15, 23));
    daemon.stop();

    // The hour's file is there again already.
    assert!(hour.exists());
    fs::rename(&aside, hour.with_file_name("15-before.spool")).expect("put back");
    let mut daemon = Daemon::start(&config, directory);
    assert!(!problems(&daemon).contains("lacks"), "{}", problems(&daemon));
    simulator.wait_until(at(15, 45));
    let (code, verified) = daemon.verdict(TODAY);
    assert_eq!((code, &verified["equal"]), (0, &true.into()), "{verified:#}");
    assert_eq!(verified["losses"], serde_json::json!([]), "{verified:#}");
    daemon.stop();
    let mended = dump(&url, date());

    // Once: another start takes nothing back.
    let daemon = Daemon::start(&config, directory);
    assert_eq!(lost(&mended, &dump(&url, date()), &TABLES), [""; 0]);
    daemon.stop();
}

#[test]
fn candles_and_deltas_outlive_the_loss_of_some_minutes() {
    let home = tempfile::tempdir().expect("a directory");
    let directory = home.path();
    let (simulator, config) = simulated(directory, "2026-01-30 10:02:00");
    let (url, log) = (store_url(directory), directory.join("spool"));
    let mut daemon = Daemon::start(&config, directory);
    simulator.wait_until(at(10, 26));
    daemon.wait_for("candles", |_| dump(&url, date()).get(CANDLES).is_some_and(|rows| rows.len() > 20));
    // Killed.
    drop(daemon);
    let before = dump(&url, date());
    let hour = segment(&log, "10");
    let length = fs::metadata(&hour).expect("a file").len();
    fs::OpenOptions::new()
        .write(true)
        .open(&hour)
        .and_then(|file| file.set_len(length / 4 * 3))
        .expect("cut");

    let mut daemon = Daemon::start(&config, directory);
    let begun = simulator.clock.now();
    daemon.wait_for("the problem", |daemon| problems(daemon).contains("whose rows had been written"));
    simulator.wait_until(begun.plus_seconds(900));
    daemon.wait_for("further candles", |_| dump(&url, date())[CANDLES].len() > before[CANDLES].len());
    daemon.stop();
    let tables = ["oi_delta_log", CANDLES, "intraday_underlying"];
    assert_eq!(lost(&before, &dump(&url, date()), &tables), [""; 0]);
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
    let (code, verified) = daemon.verdict(TODAY);
    assert_eq!((code, &verified["equal"]), (8, &false.into()), "{verified:#}");
    assert!(
        verified["losses"][0].as_str().is_some_and(|text| text.contains("lacks its head")),
        "{verified:#}"
    );
    daemon.stop();
    assert_eq!(spool::days(&log).expect("days"), [date()]);
}

#[test]
fn a_day_that_was_away_while_the_store_was_filled_is_written_once_it_is_back() {
    const BEFORE: &str = "2026-01-29";
    let yesterday: TradingDate = BEFORE.parse().expect("a date");
    let at_yesterday = |hour: u32, minute: u32| at(hour, minute).plus_seconds(-86_400);
    let home = tempfile::tempdir().expect("a directory");
    let directory = home.path();
    let (url, log, away) = (store_url(directory), directory.join("spool"), directory.join("away"));
    let (simulator, config) = simulated(directory, "2026-01-29 15:02:00");
    let mut daemon = Daemon::start(&config, directory);
    simulator.wait_until(at_yesterday(15, 45));
    daemon.wait_for("the day's rows", |_| dump(&url, yesterday).contains_key("daily_option_oi"));
    daemon.stop();
    drop(simulator);
    let (simulator, config) = simulated(directory, "2026-01-30 09:16:00");
    let mut daemon = Daemon::start(&config, directory);
    daemon.wait_for("rows of the next day", |_| !observed(directory).is_empty());
    assert!(!problems(&daemon).contains("log of"), "{}", problems(&daemon));
    daemon.stop();
    let before = dump(&url, yesterday);

    // Its whole log is gone, and the store has its rows.
    fs::rename(log.join(BEFORE), &away).expect("moved away");
    let daemon = Daemon::start(&config, directory);
    assert!(problems(&daemon).contains("the whole log of 2026-01-29 is gone"), "{}", problems(&daemon));
    let refused = daemon.try_ask(&["replay", "rejudge", BEFORE]);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(said.contains("but the store has rows of that day"), "{said}");
    daemon.stop();

    // A store that is filled meanwhile has nothing of it.
    for file in fs::read_dir(directory).expect("listed").map(|entry| entry.expect("an entry").path()) {
        if file.file_name().is_some_and(|name| name.to_string_lossy().contains(".sqlite")) {
            fs::remove_file(file).expect("deleted");
        }
    }
    let mut daemon = Daemon::start(&config, directory);
    daemon.wait_for("rows of the next day", |_| !observed(directory).is_empty());
    assert!(!problems(&daemon).contains("is gone"), "{}", problems(&daemon));
    fs::rename(&away, log.join(BEFORE)).expect("put back");
    let refused = daemon.try_ask(&["coverage", BEFORE]);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(
        said.contains("the log has data of the session of 2026-01-29, but the store has no row"),
        "{said}"
    );
    assert!(!dump(&url, yesterday).contains_key(BUCKETS));
    daemon.stop();

    let mut daemon = Daemon::start(&config, directory);
    daemon.wait_for("the rows of both days", |_| {
        let is_whole = lost(&before, &dump(&url, yesterday), &TABLES).is_empty();
        is_whole && !observed(directory).is_empty()
    });
    assert!(!problems(&daemon).contains("2026-01-29"), "{}", problems(&daemon));
    let verified = daemon.ask(&["replay", "verify", BEFORE]);
    assert_eq!(verified["equal"], true, "{verified:#}");
    drop(simulator);
    daemon.stop();
}

#[test]
fn a_start_leaves_out_another_days_records_as_replays_do() {
    let homes = [(); 2].map(|()| tempfile::tempdir().expect("a directory"));
    let [before, directory] = homes.each_ref().map(|home| home.path());
    let (simulator, config) = simulated(before, "2026-01-29 15:02:00");
    let daemon = Daemon::start(&config, before);
    simulator.wait_until(at(15, 12).plus_seconds(-86_400));
    daemon.stop();

    let (simulator, config) = simulated(directory, "2026-01-30 15:02:00");
    let log = directory.join("spool");
    fs::create_dir_all(log.join(TODAY)).expect("a directory");
    fs::copy(before.join("spool/2026-01-29/15.spool"), log.join(TODAY).join("08.spool")).expect("copied");
    live(&simulator, &config, directory, at(15, 14));
    let mut daemon = Daemon::start(&config, directory);
    let told = "the log of 2026-01-30 holds records of another day";
    assert!(problems(&daemon).contains(told), "{}", problems(&daemon));
    simulator.wait_until(at(15, 45));
    let (_, verified) = daemon.verdict(TODAY);
    assert_eq!(verified["equal"], true, "{verified:#}");
    assert!(observed(directory).len() > 30, "{:#?}", observed(directory));
    daemon.stop();
    assert!(!dump(&store_url(directory), date().pred_opt().expect("a date")).contains_key(BUCKETS));
}
