//! NSE's own bodies, served as they were recorded: the record says what they say, and an old body says nothing.

use super::answer::{BUCKET_S, SESSION_CLOSE_S, SESSION_OPEN_S, cells, number, price, second_of_day};
use crate::{
    processes::{Daemon, Simulator, dump, store_url},
    test_data,
};
use bhavd::{
    market::{Timestamp, TradingDate},
    store::DayDump,
};
use chrono::{NaiveDateTime, NaiveTime, Timelike};
use flate2::read::GzDecoder;
use serde_json::Value as Json;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File},
    io::Read,
    path::{Path, PathBuf},
};

/// NIFTY's lot of October 2025.
const LOT: f64 = 75.0;
const WATCH: &str = "[[watch]]\nunderlying = \"NIFTY\"\nexpiries = 0\n";
const STATE_BACKFILLED: &str = "3";
const STATE_MISSING: &str = "4";

/// One body, read without any code of bhavd's decoders.
struct Capture {
    name: String,
    /// Second of the day in `records.timestamp`.
    second: i64,
    /// Second of the day at which it was received, and so is served from.
    received: i64,
    /// By contract, as the store names contracts: open interest and volume in units, last price in 1/10,000 rupee.
    legs: BTreeMap<String, (i64, i64, i64)>,
    /// By contract: best bid and ask in 1/10,000 rupee, implied volatility in percent times 10,000; `None` for the wire's 0.
    books: BTreeMap<String, [Option<i64>; 3]>,
    /// Legs whose open interest is no whole number of lots.
    fractional: usize,
}

fn units(lots: &Json) -> (i64, bool) {
    let lots = lots.as_f64().expect("a number of lots");
    let units = lots * LOT;
    assert!((units - units.round()).abs() < 1e-6, "{lots} lots are no whole units");
    (units.round() as i64, lots.fract() != 0.0)
}

fn read_capture(path: &Path) -> Capture {
    let mut text = String::new();
    GzDecoder::new(File::open(path).expect("a readable file")).read_to_string(&mut text).expect("gzip");
    let body: Json = serde_json::from_str(&text).expect("JSON");
    let stamp = body["records"]["timestamp"].as_str().expect("a timestamp");
    let stamp = NaiveDateTime::parse_from_str(stamp, "%d-%b-%Y %H:%M:%S").expect("a time");
    let name = path.file_name().expect("a name").to_string_lossy().into_owned();
    let received = NaiveTime::parse_from_str(&name[3..9], "%H%M%S").expect("capHHMMSS");
    let (mut legs, mut books, mut fractional) = (BTreeMap::new(), BTreeMap::new(), 0);
    for row in body["records"]["data"].as_array().expect("rows") {
        for side in ["CE", "PE"] {
            let Some(leg) = row.get(side) else { continue };
            let expiry = leg["expiryDate"].as_str().expect("an expiry");
            let expiry = chrono::NaiveDate::parse_from_str(expiry, "%d-%b-%Y").expect("a date");
            let (open_interest, is_fractional) = units(&leg["openInterest"]);
            fractional += usize::from(is_fractional);
            let (volume, _) = units(&leg["totalTradedVolume"]);
            let price = (leg["lastPrice"].as_f64().expect("a price") * 10_000.0).round() as i64;
            let contract = format!("NSE:NIFTY {expiry} {} {side}", leg["strikePrice"]);
            let told = |field: &str| {
                let value = leg[field].as_f64().unwrap_or_else(|| panic!("{name}: {field}"));
                Some((value * 10_000.0).round() as i64).filter(|value| *value != 0)
            };
            books.insert(contract.clone(), ["bidprice", "askPrice", "impliedVolatility"].map(told));
            let twice = legs.insert(contract, (open_interest, volume, price));
            assert!(twice.is_none(), "{name}: a leg twice");
        }
    }
    let second = i64::from(stamp.num_seconds_from_midnight());
    let received = i64::from(received.num_seconds_from_midnight());
    Capture { name, second, received, legs, books, fractional }
}

fn read_captures(directory: &Path) -> Vec<Capture> {
    let entries = fs::read_dir(directory).expect("a readable directory");
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    paths.sort();
    paths.iter().map(|path| read_capture(path)).collect()
}

fn date(text: &str) -> TradingDate {
    text.parse().expect("a date")
}

fn simulate(bodies: &Path, speed: u32, start: &str) -> Simulator {
    let speed = speed.to_string();
    let bodies = bodies.to_str().expect("a path in UTF-8");
    Simulator::start(["--bodies", bodies, "--lot", "NIFTY=75", "--speed", &speed, "--start", start])
}

fn at(day: &str, hour: u32, minute: u32) -> Timestamp {
    Timestamp::on(date(day), NaiveTime::from_hms_opt(hour, minute, 0).expect("a time"))
}

fn start_daemon(simulator: &Simulator, directory: &Path) -> Daemon {
    let config = directory.join("bhavd.toml");
    Daemon::configure(&config, directory, &format!("{WATCH}{}", simulator.nse_tables("older")));
    Daemon::start(&config, directory)
}

fn assert_buckets(record: &DayDump, in_session: &[Capture], after_close: &Capture) {
    let mut buckets: BTreeMap<(i64, &str), Vec<&str>> = BTreeMap::new();
    for row in cells(record, "intraday_option_oi") {
        let twice = buckets.insert((second_of_day(row[0]), row[1]), row);
        assert!(twice.is_none(), "twice: {twice:?}");
    }
    let (mut checked, mut told, mut untold) = (0, [0; 3], [0; 3]);
    for capture in in_session {
        let bucket = capture.second / BUCKET_S * BUCKET_S;
        for (contract, wanted) in &capture.legs {
            let found = buckets.get(&(bucket, contract.as_str()));
            let row = found.unwrap_or_else(|| panic!("{}: no row of {contract} at {bucket}", capture.name));
            let found = (number(row[2]), number(row[5]), price(row[4]));
            assert_eq!(
                (found, second_of_day(row[11])),
                (*wanted, capture.second),
                "{}: {row:?}",
                capture.name
            );
            checked += 1;
            let book = [6, 7, 8].map(|cell: usize| (!row[cell].is_empty()).then(|| number(row[cell])));
            assert_eq!(book, capture.books[contract], "{}: bid, ask, volatility of {row:?}", capture.name);
            for (place, value) in book.iter().enumerate() {
                *(if value.is_some() { &mut told[place] } else { &mut untold[place] }) += 1;
            }
        }
    }
    let is_both = |(told, untold): (&i32, &i32)| *told > 100 && *untold > 100;
    assert!(told.iter().zip(&untold).all(is_both), "{told:?} told, {untold:?} not");
    assert!(checked > 11 * 1_200, "only {checked} rows were compared");
    // What came after the close is no bucket's value. It proves the last bucket of contracts that were not traded since.
    let last = in_session.last().expect("a capture");
    let (mut proved, mut unproved) = (0, 0);
    for (contract, values) in &last.legs {
        let row = &buckets[&(SESSION_CLOSE_S - BUCKET_S, contract.as_str())];
        if after_close.legs.get(contract) == Some(values) {
            assert_eq!((number(row[2]), row[9]), (values.0, STATE_BACKFILLED), "{row:?}");
            proved += 1;
        } else {
            assert_eq!((row[2], row[9]), ("", STATE_MISSING), "{row:?}");
            unproved += 1;
        }
    }
    assert!(proved > 100 && unproved > 100, "{proved} proved, {unproved} not");
    let times: BTreeSet<i64> = buckets.keys().map(|(bucket, _)| *bucket).collect();
    assert_eq!(times.last(), Some(&(SESSION_CLOSE_S - BUCKET_S)));
    assert!(times.first() >= Some(&SESSION_OPEN_S));
}

fn assert_deltas(record: &DayDump, in_session: &[Capture]) {
    let mut expected = BTreeSet::new();
    let mut known: BTreeMap<&str, i64> = BTreeMap::new();
    for capture in in_session {
        for (contract, (open_interest, ..)) in &capture.legs {
            if let Some(old) = known.insert(contract, *open_interest)
                && old != *open_interest
            {
                expected.insert((contract.as_str(), capture.second, old, *open_interest));
            }
        }
    }
    let rows = cells(record, "oi_delta_log");
    let found: BTreeSet<_> =
        rows.iter().map(|row| (row[0], second_of_day(row[1]), number(row[3]), number(row[4]))).collect();
    assert!(expected.len() > 1_000, "{} changes", expected.len());
    assert_eq!(found.len(), rows.len(), "a change is there twice");
    assert!(found == expected, "first difference: {:?}", found.symmetric_difference(&expected).next());
}

#[test]
fn the_bodies_of_a_day_give_the_recorded_open_interest() {
    let Some(bodies) = test_data::find("nse_option_chain/nifty_2025-10-15") else { return };
    let captures = read_captures(&bodies);
    let (in_session, after): (Vec<Capture>, Vec<Capture>) =
        captures.into_iter().partition(|capture| capture.second < SESSION_CLOSE_S);
    assert_eq!((in_session.len(), after.len()), (11, 8));
    assert!(in_session.iter().any(|capture| capture.fractional > 0), "no body has a fraction of a lot");

    let simulator = simulate(&bodies, 600, "2025-10-15 09:00:00");
    let directory = tempfile::tempdir().expect("a directory");
    let daemon = start_daemon(&simulator, directory.path());
    // The website is polled for an hour after the close.
    simulator.wait_until(at("2025-10-15", 16, 31));
    let status = daemon.ask(&["status"]);
    assert_eq!(status["healthy"], true, "{status:#}");
    daemon.stop();

    let record = dump(&store_url(directory.path()), date("2025-10-15"));
    assert_buckets(&record, &in_session, &after[0]);
    assert_deltas(&record, &in_session);
    let polled_until = SESSION_CLOSE_S + 3_600;
    let last = after.iter().rfind(|capture| capture.received < polled_until).expect("a body after the close");
    let closes = cells(&record, "daily_option_oi");
    assert_eq!(closes.len(), last.legs.len());
    for row in closes {
        let found = (number(row[2]), number(row[4]), price(row[3]));
        assert_eq!(found, last.legs[row[1]], "{row:?}");
    }
}

/// A holiday is not polled; the body that the website shows on it is polled on the next trading day and is too old.
#[test]
fn the_stale_body_of_a_holiday_gives_no_row() {
    let Some(bodies) = test_data::find("nse_option_chain/nifty_2025-10-22_holiday") else { return };
    let directory = tempfile::tempdir().expect("a directory");
    let simulator = simulate(&bodies, 3_600, "2025-10-22 09:00:00");
    let daemon = start_daemon(&simulator, directory.path());
    simulator.wait_until(at("2025-10-22", 16, 31));
    let feeds = daemon.ask(&["feed", "show", "nse"]);
    assert_eq!((&feeds["feed"]["requests"], &feeds["feed"]["state"]), (&0.into(), &"idle".into()));
    daemon.stop();
    assert_eq!(dump(&store_url(directory.path()), date("2025-10-22")), DayDump::new());

    let directory = tempfile::tempdir().expect("a directory");
    let simulator = simulate(&bodies, 600, "2025-10-23 09:00:00");
    let daemon = start_daemon(&simulator, directory.path());
    simulator.wait_until(at("2025-10-23", 10, 0));
    let (feeds, status) = (daemon.ask(&["feed", "show", "nse"]), daemon.ask(&["status"]));
    simulator.wait_until(at("2025-10-23", 10, 10));
    daemon.stop();
    let feed = &feeds["feed"];
    assert!(feed["frames"].as_u64() >= Some(1), "the body never arrived: {feeds:#}");
    assert!(feed["errors"].as_u64() > Some(10), "every poll is a stale one: {feeds:#}");
    let problems = status["problems"].to_string();
    assert!(problems.contains("2025-10-21 14:45:15"), "{problems}");
    assert_eq!(status["stale_bodies"], 1, "{status:#}");
    assert_eq!(status["healthy"], false, "{status:#}");
    let stored = dump(&store_url(directory.path()), date("2025-10-23"));
    assert_eq!(stored.keys().collect::<Vec<_>>(), ["gaps"], "{stored:?}");
    let [gap] = &stored["gaps"][..] else { panic!("one gap, open until the stop: {stored:?}") };
    assert!(gap.contains("the chain is of 2025-10-21 14:45:15"), "{gap}");
    assert_eq!(dump(&store_url(directory.path()), date("2025-10-21")), DayDump::new());
}
