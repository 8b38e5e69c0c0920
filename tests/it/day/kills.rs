//! kill -9 at random moments of the played day: nothing stored is lost or doubled, what nobody saw is marked, the rest
//! equals the recording; and the day's log, replayed, gives the same tables.

use super::{
    answer::{Answer, SESSION_CLOSE_S, cells, number},
    outages::{Outages, assert_equal_but_for_outages},
    seed::test_seed,
};
use crate::{
    processes::{Daemon, Simulator, dump, store_url},
    test_data,
};
use bhavd::{
    market::{Timestamp, TradingDate},
    store::DayDump,
};
use rand::{RngExt, SeedableRng};
use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsStr,
    fs,
    path::Path,
};

const KILLS: usize = 10;
/// Every third time nobody starts the daemon again for this long.
const LONG_OUTAGE_S: i64 = 900;

/// Rows by key, with their revisions.
fn bucket_revisions(dump: &DayDump) -> BTreeMap<(String, String), i64> {
    cells(dump, "intraday_option_oi")
        .iter()
        .map(|row| ((row[0].to_owned(), row[1].to_owned()), number(row[13])))
        .collect()
}

fn assert_nothing_lost(before: &DayDump, after: &DayDump) {
    let (old, new) = (bucket_revisions(before), bucket_revisions(after));
    for (key, revision) in &old {
        let found = new.get(key).unwrap_or_else(|| panic!("{key:?} was stored and is gone"));
        assert!(found >= revision, "{key:?} went back from revision {revision} to {found}");
    }
    let deltas = |dump: &DayDump| -> BTreeSet<String> {
        dump.get("oi_delta_log").into_iter().flatten().cloned().collect()
    };
    assert!(deltas(before).is_subset(&deltas(after)), "a delta that was stored is gone or changed");
}

#[test]
fn ten_kills_lose_nothing_and_replay_gives_the_same_tables() {
    let Some(recording) = test_data::index_options() else { return };
    let seed = test_seed("moments");
    let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(seed);
    let directory = tempfile::tempdir().expect("a directory");
    let directory = directory.path();
    let simulator = Simulator::start([
        OsStr::new("--speed"),
        OsStr::new("600"),
        OsStr::new("--recording"),
        recording.as_os_str(),
    ]);
    let config = directory.join("bhavd.toml");
    let tables =
        format!("[[watch]]\nunderlying = \"*\"\nexpiries = 0\n{}", simulator.angel_one_tables(directory));
    Daemon::configure(&config, directory, &tables);
    let store = store_url(directory);
    let date = simulator.clock.now().date_ist();
    let midnight = Timestamp::on(date, chrono::NaiveTime::MIN);
    let second_of = |instant: Timestamp| instant.us_since(midnight) / 1_000_000;
    let mut moments: Vec<i64> =
        (0..KILLS).map(|_| rng.random_range(9 * 3_600 + 16 * 60..SESSION_CLOSE_S)).collect();
    moments.sort_unstable();

    let mut daemon = Daemon::start(&config, directory);
    let mut down: Vec<(i64, i64)> = Vec::new();
    for (number, second) in moments.into_iter().enumerate() {
        simulator.wait_until(midnight.plus_seconds(second));
        drop(daemon);
        let died = second_of(simulator.clock.now());
        let before = dump(&store, date);
        if number % 3 == 2 {
            simulator.wait_until(midnight.plus_seconds(died + LONG_OUTAGE_S));
        }
        daemon = Daemon::start(&config, directory);
        down.push((died, second_of(simulator.clock.now())));
        // The new daemon may be writing; whatever it does, nothing goes away.
        assert_nothing_lost(&before, &dump(&store, date));
    }
    simulator.wait_until(midnight.plus_seconds(15 * 3_600 + 59 * 60));
    let verified = daemon.verify(&date.to_string());
    assert_eq!(verified["equal"], true, "{verified:#}");
    let status = daemon.ask(&["status"]);
    assert_eq!(status["healthy"], true, "{status:#}");
    daemon.stop();

    let answer = Answer::read(&recording);
    let record = dump(&store, date);
    let outages = assert_equal_but_for_outages(&answer, &record, &format!("down {down:?}"));
    outages.assert_told(|_, _| format!("down {down:?}"));
    let Outages { gaps, missing, .. } = outages;
    // 15 minutes hold two recorded captures at least: what stood between them nobody can know afterwards.
    assert!(missing > 0, "long outages in the session leave buckets that no daemon saw, down {down:?}");
    for (died, _) in down.iter().filter(|(died, _)| *died < SESSION_CLOSE_S) {
        let is_told = gaps.iter().any(|(from, to)| from - 1 <= *died && died <= to);
        assert!(is_told, "the outage that began at {died} is not among the gaps {gaps:?}");
    }

    rebuild_from_the_log(&config, directory, date, &record);
}

/// The store is gone, the log is not: the next daemon writes the same record again.
fn rebuild_from_the_log(config: &Path, directory: &Path, date: TradingDate, record: &DayDump) {
    for suffix in ["", "-wal", "-shm"] {
        let path = directory.join(format!("bhavd.sqlite{suffix}"));
        if path.exists() {
            fs::remove_file(path).expect("removed");
        }
    }
    let mut daemon = Daemon::start(config, directory);
    daemon.wait_for("the same record again", |_| dump(&store_url(directory), date) == *record);
    daemon.stop();
}
