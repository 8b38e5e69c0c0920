//! One day under two versions of bhavd, with a stop, a kill and another watch list in between, and a store that is deleted:
//! the log keeps what another version wrote, a replay agrees with the store, and a rebuild gives the same rows.

use crate::processes::{Daemon, Simulator, dump, store_url};
use bhavd::{
    market::{Timestamp, TradingDate},
    spool::{Frames, NewRecord, Source, Spool, SpoolReader},
};
use serde_json::Value as Json;
use std::{collections::BTreeSet, fs, path::Path};

/// Of a provider that this version has no name for.
const STRANGE: u8 = 0x27;
const STRANGE_RECORDS: usize = 3;

fn strange(number: usize, received_time: Timestamp) -> NewRecord {
    let mut frames = Frames::one(format!("packet {number} of a later version").as_bytes());
    frames.push(&[0, 255, number as u8]);
    let context = format!("stream={number}");
    NewRecord { source: Source::from_code(STRANGE), received_time, context, frames }
}

/// As a version with a further provider would: its records among those of the same log.
fn record_as_a_later_version(directory: &Path, now: Timestamp) {
    let mut spool = Spool::open(directory).expect("the log of a daemon that has ended").spool;
    for number in 0..STRANGE_RECORDS {
        spool.append(&mut strange(number, now)).expect("appended");
    }
}

fn kept(directory: &Path, date: TradingDate) -> Vec<NewRecord> {
    let records = SpoolReader::open(directory, date).expect("a log").map(|record| record.expect("a record"));
    records
        .filter(|record| record.source.code() == STRANGE)
        .map(|record| NewRecord {
            source: record.source,
            received_time: Timestamp::default(),
            context: record.context,
            frames: record.frames,
        })
        .collect()
}

fn notices(daemon: &Daemon) -> String {
    daemon.ask(&["status"])["notices"].to_string()
}

#[test]
fn a_day_of_two_versions_two_watch_lists_and_three_lives_is_one_day() {
    let home = tempfile::tempdir().expect("a directory");
    let home = home.path();
    let arguments = "--synthetic --speed 300 --underlyings NIFTY,BANKNIFTY --strikes 5 --ticks-per-second 5 \
                     --date 2026-01-30 --start";
    let simulator = Simulator::start(arguments.split_whitespace().chain(["2026-01-30 09:05:00"]));
    let (config, spool) = (home.join("bhavd.toml"), home.join("spool"));
    let configure = |watched: &[&str]| {
        let watch = |name: &&str| format!("[[watch]]\nunderlying = \"{name}\"\nexpiries = 0\n");
        let watch: String = watched.iter().map(watch).collect();
        Daemon::configure(&config, home, &format!("{watch}{}", simulator.all_tables(home)));
    };
    let date = simulator.clock.now().date_ist();
    let midnight = Timestamp::on(date, chrono::NaiveTime::MIN);
    let at = |hour: i64, minute: i64| midnight.plus_seconds((hour * 60 + minute) * 60);

    configure(&["NIFTY"]);
    let daemon = Daemon::start(&config, home);
    simulator.wait_until(at(10, 30));
    assert_eq!(notices(&daemon), "[]");
    daemon.stop();
    record_as_a_later_version(&spool, simulator.clock.now());

    configure(&["NIFTY", "BANKNIFTY"]);
    let daemon = Daemon::start(&config, home);
    simulator.wait_until(at(13, 0));
    let told = notices(&daemon);
    assert!(told.contains("3 records") && told.contains("source 0x27"), "{told}");
    // Killed.
    drop(daemon);
    let daemon = Daemon::start(&config, home);
    // The website is polled for an hour after the close.
    simulator.wait_until(at(16, 45));
    let verify = |daemon: &Daemon| daemon.ask(&["replay", "verify", &date.to_string()]);
    let verified = verify(&daemon);
    assert_eq!((&verified["equal"], &verified["judged_by"]), (&Json::from(true), &Json::from("log")));
    daemon.stop();

    let wanted: Vec<NewRecord> =
        (0..STRANGE_RECORDS).map(|number| strange(number, Timestamp::default())).collect();
    assert!(kept(&spool, date) == wanted, "they are in the log as they were written");
    let record = dump(&store_url(home), date);
    let rows = &record["intraday_option_oi"];
    for underlying in ["|NSE:NIFTY ", "|NSE:BANKNIFTY "] {
        assert!(rows.iter().any(|row| row.contains(underlying)), "no row of {underlying}");
    }

    for suffix in ["", "-wal", "-shm"] {
        // The last connection that closes removes the others.
        match fs::remove_file(home.join(format!("bhavd.sqlite{suffix}"))) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => panic!("{error}"),
            _ => {}
        }
    }
    let mut daemon = Daemon::start(&config, home);
    daemon.wait_for("the rows of the whole log", |_| {
        let again = dump(&store_url(home), date);
        again.get("intraday_option_oi").is_some_and(|again| again.len() == rows.len())
            && again.get("coverage").map(Vec::len) == record.get("coverage").map(Vec::len)
    });
    let rebuilt = dump(&store_url(home), date);
    for (table, lines) in &record {
        let (lines, again): (BTreeSet<&String>, BTreeSet<&String>) =
            (lines.iter().collect(), rebuilt[table].iter().collect());
        assert_eq!(again.symmetric_difference(&lines).next(), None, "{table}: a row of one of them alone");
    }
    assert_eq!(rebuilt, record);
    assert_eq!(verify(&daemon)["equal"], true);
    let told = notices(&daemon);
    assert!(told.contains("3 records") && told.contains("source 0x27"), "{told}");
    daemon.stop();
    assert!(kept(&spool, date) == wanted);
}
