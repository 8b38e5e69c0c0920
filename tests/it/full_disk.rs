//! A disk that is full in the middle of a session: the daemon says so, waits, goes on by itself, and what it then says
//! of the day is true.

use crate::processes::{Daemon, Simulator, dump, store_url};
use bhavd::market::{Timestamp, TradingDate};
use chrono::NaiveTime;
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    fs::{self, OpenOptions},
    io::{ErrorKind, Write as _},
    path::{Path, PathBuf},
    process::Command,
};

const DATE: &str = "2026-01-30";
const OPEN_S: i64 = 9 * 3_600 + 15 * 60;
const BUCKET_S: i64 = 180;
const MINUTES: i64 = 75;
const STRIKES: i64 = 10;
const STATE_MISSING: &str = "4";

/// A small file system of its own, gone with the test.
struct SmallDisk {
    path: PathBuf,
}

impl SmallDisk {
    /// `None`, with the reason printed, where this user may not mount.
    fn mount(path: PathBuf) -> Option<SmallDisk> {
        fs::create_dir(&path).expect("a directory");
        let output = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=16m,mode=700", "bhavd-test"])
            .arg(&path)
            .output();
        match output {
            Ok(output) if output.status.success() => Some(SmallDisk { path }),
            Ok(output) => {
                let reason = String::from_utf8_lossy(&output.stderr).trim().to_owned();
                crate::skip::tell!(
                    "a full disk needs a file system of its own, and mounting one failed: {reason}"
                );
                None
            }
            Err(error) => {
                crate::skip::tell!(
                    "a full disk needs a file system of its own, and mount cannot be started: {error}"
                );
                None
            }
        }
    }

    fn filler(&self) -> PathBuf {
        self.path.join("filler")
    }

    /// Takes what is left, to the last page.
    fn fill(&self) {
        let mut file =
            OpenOptions::new().create(true).append(true).open(self.filler()).expect("the filler opens");
        for size in [1 << 20, 1 << 12] {
            let block = vec![7; size];
            loop {
                match file.write_all(&block) {
                    Ok(()) => {}
                    Err(error) if error.kind() == ErrorKind::StorageFull => break,
                    Err(error) => panic!("{error}"),
                }
            }
        }
    }

    /// Gives a page back.
    fn give_page(&self) {
        let file = OpenOptions::new().write(true).open(self.filler()).expect("the filler opens");
        let length = file.metadata().expect("it has a length").len();
        file.set_len((length - 1) / 4_096 * 4_096).expect("it can be cut");
    }

    fn make_space(&self) {
        fs::remove_file(self.filler()).expect("the filler goes");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazy, because a failing test may still have files open in it.
        let _ = Command::new("umount").arg("--lazy").arg(&self.path).status();
    }
}

/// What the recording says of a contract at a minute of the session: open interest, 1/10,000 rupee, volume.
fn value(contract: i64, minute: i64) -> (i64, i64, i64) {
    (
        65 * (1_000 + 10 * contract + minute),
        10_000 * (100 + contract) + 500 * minute,
        65 * (10 + contract + minute),
    )
}

fn contracts() -> impl Iterator<Item = (i64, String)> {
    (0..STRIKES * 2).map(|number| {
        let side = if number % 2 == 0 { "CE" } else { "PE" };
        (number, format!("{} {side}", 25_000 + number / 2 * 100))
    })
}

/// Every contract once a minute.
fn write_recording(path: &Path) {
    let mut text =
        "time_ist,underlying,kind,expiry,strike,option_type,last_price,open_interest,volume\n".to_owned();
    for minute in 0..MINUTES {
        let time = format!("{DATE} {:02}:{:02}:00", 9 + (15 + minute) / 60, (15 + minute) % 60);
        writeln!(text, "{time},NIFTY,INDEX,,,,{},,", 25_300 + minute).expect("a string takes it");
        for (number, name) in contracts() {
            let (open_interest, price_e4, volume) = value(number, minute);
            let price = format!("{}.{:02}", price_e4 / 10_000, price_e4 % 10_000 / 100);
            let name = name.replace(' ', ",");
            writeln!(text, "{time},NIFTY,OPT,2026-02-03,{name},{price},{open_interest},{volume}")
                .expect("a string takes it");
        }
    }
    fs::write(path, text).expect("written");
}

fn at(second: i64) -> Timestamp {
    let date: TradingDate = DATE.parse().expect("a date");
    Timestamp::on(date, NaiveTime::MIN).plus_seconds(second)
}

fn second(instant: Timestamp) -> i64 {
    instant.us_since(at(0)) / 1_000_000
}

fn problems(daemon: &Daemon) -> String {
    let status = daemon.ask(&["status"]);
    let problems = status["problems"].to_string();
    assert_eq!(status["healthy"].as_bool(), Some(problems == "[]"), "{status:#}");
    problems
}

/// The rows that were stored, by second of the bucket and contract.
fn rows(store: &str) -> BTreeMap<(i64, String), Vec<String>> {
    let record = dump(store, DATE.parse().expect("a date"));
    let mut rows = BTreeMap::new();
    for line in record.get("intraday_option_oi").into_iter().flatten() {
        let cells: Vec<String> = line.split('|').map(str::to_owned).collect();
        let bucket = second(Timestamp::from_us(cells[0].parse().expect("an instant")));
        assert!(rows.insert((bucket, cells[1].clone()), cells).is_none(), "twice: {line}");
    }
    rows
}

fn fill_the_disk_and_make_space(name: &str, tables: impl Fn(&Simulator, &Path) -> String) {
    let directory = tempfile::tempdir().expect("a directory");
    let Some(disk) = SmallDisk::mount(directory.path().join("data")) else { return };
    let recording = directory.path().join("recording.csv");
    write_recording(&recording);
    let recording = recording.to_str().expect("a path in UTF-8");
    let start = format!("{DATE} 09:12:00");
    let simulator = Simulator::start(["--recording", recording, "--speed", "120", "--start", &start]);
    let config = directory.path().join("bhavd.toml");
    let watch = "[[watch]]\nunderlying = \"NIFTY\"\nexpiries = 0\n";
    Daemon::configure(&config, &disk.path, &format!("{watch}{}", tables(&simulator, directory.path())));
    let mut daemon = Daemon::start(&config, &disk.path);
    let store = store_url(&disk.path);

    simulator.wait_until(at(OPEN_S + 8 * 60));
    daemon.wait_for("closed buckets", |_| rows(&store).len() >= 40);
    assert_eq!(problems(&daemon), "[]");
    // While somebody reads an old state, SQLite's log cannot begin again at its start, and so needs space.
    let reader = rusqlite::Connection::open(disk.path.join("bhavd.sqlite")).expect("opens");
    let held: i64 = reader
        .execute_batch("BEGIN")
        .and_then(|()| reader.query_row("SELECT count(*) FROM intraday_option_oi", [], |row| row.get(0)))
        .expect("reads");
    assert!(held >= 40);
    let full_from = second(simulator.clock.now());
    disk.fill();
    let (spool_says, store_says) = ("no space left for the spool in ", "no space left for the store sqlite:");
    daemon.wait_for("complaint about the log and the store", |daemon| {
        let problems = problems(daemon);
        // The log full first: the store is asked for nothing more. A page for either leads to the other.
        if problems.contains(spool_says) && !problems.contains(store_says) {
            disk.give_page();
        }
        problems.contains(spool_says) && problems.contains(store_says)
    });
    let before = rows(&store);
    simulator.wait_until(at(second(simulator.clock.now()) + 2 * BUCKET_S + 60));
    assert!(problems(&daemon).contains(spool_says), "it is still full");
    // What was seen before says nothing of now.
    daemon.wait_for("a chain of which nothing is claimed", |daemon| {
        let chain = daemon.ask(&["chain", "NIFTY", "--expiry", "2026-02-03"]);
        let sides =
            chain["rows"].as_array().expect("strikes").iter().flat_map(|row| [&row["call"], &row["put"]]);
        let states: Vec<_> = sides.map(|side| side["state"].clone()).collect();
        assert_eq!(states.len(), contracts().count(), "{chain:#}");
        chain["live"] == true && chain["level_e4"].is_null() && states.iter().all(|state| state == "missing")
    });
    let actors = daemon.ask(&["actors"]);
    for actor in actors["actors"].as_array().expect("actors") {
        assert_eq!(actor["restarts"], 0, "nothing dies of a full disk: {actor:#}");
    }
    drop(reader);
    disk.make_space();
    daemon.wait_for("recovery", |daemon| problems(daemon) == "[]");
    let full_until = second(simulator.clock.now());
    println!("{name}: full from {full_from} until {full_until}");
    let end = OPEN_S + MINUTES * 60;
    assert!(full_until + 4 * BUCKET_S < end, "too slow: the recording is over, nothing would be proved");
    simulator.wait_until(at(end + 30));
    // Rows wait for their proof as long as their source may be late.
    let last_bucket = end - BUCKET_S;
    daemon.wait_for("rows of every bucket", |_| {
        rows(&store).keys().filter(|(bucket, _)| *bucket == last_bucket).count() >= contracts().count()
    });
    daemon.wait_for("written rows", |daemon| daemon.ask(&["status"])["store"]["pending_rows"] == 0);
    let verified = daemon.verify(DATE);
    assert_eq!(verified["equal"], true, "{verified:#}");
    daemon.stop();

    let after = rows(&store);
    for (key, row) in &before {
        let found = after.get(key).unwrap_or_else(|| panic!("{key:?} was stored and is gone"));
        assert!(found[13] >= row[13], "{key:?} went back: {found:?}");
    }
    let (mut missing, mut equal) = (0, 0);
    for bucket in (OPEN_S..end).step_by(BUCKET_S as usize) {
        for (number, contract) in contracts() {
            let key = (bucket, format!("NSE:NIFTY 2026-02-03 {contract}"));
            let row =
                after.get(&key).unwrap_or_else(|| panic!("no row of {key:?}, the session began at {OPEN_S}"));
            let is_near = bucket < full_until + BUCKET_S && full_from < bucket + BUCKET_S;
            if row[9] == STATE_MISSING {
                assert!(is_near, "missing, though there was space from {full_until} on: {row:?}");
                missing += 1;
                continue;
            }
            let minute_of = |second: i64| (second - OPEN_S) / 60;
            let event: i64 = row[11].parse().expect("an instant");
            let seen_minute = minute_of(second(Timestamp::from_us(event)));
            let last_minute = minute_of(bucket + BUCKET_S) - 1;
            let found: Vec<i64> =
                [2, 4, 5].iter().map(|column| row[*column].parse().expect("a number")).collect();
            let wanted = value(number, seen_minute);
            assert_eq!((found[0], found[1], found[2]), wanted, "{row:?}");
            // In the buckets in which the disk became full or free only a part was seen.
            let is_edge = is_near && seen_minute >= minute_of(bucket);
            assert!(
                seen_minute == last_minute || is_edge,
                "full {full_from} to {full_until}: the bucket says minute {seen_minute} for {last_minute}: {row:?}"
            );
            equal += 1;
        }
    }
    println!("{name}: {equal} contract-buckets equal the recording, {missing} are marked as missing");
    assert!(equal >= 20 * 8, "{equal}");
    let later: BTreeSet<i64> = after.keys().map(|(bucket, _)| *bucket).collect();
    assert!(later.iter().all(|bucket| (OPEN_S..end).contains(bucket)), "{later:?}");
}

#[test]
fn a_full_disk_with_polled_chains_makes_nothing_up() {
    fill_the_disk_and_make_space("nse", |simulator, _| simulator.nse_tables("v3"));
}

#[test]
fn a_full_disk_with_streamed_ticks_makes_nothing_up() {
    fill_the_disk_and_make_space("angel_one", |simulator, directory| simulator.angel_one_tables(directory));
}
