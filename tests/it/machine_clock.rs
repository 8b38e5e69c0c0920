//! The machine's clock is ahead for a while: the day goes on under the right date, and nothing received is lost.

use crate::processes::{Daemon, Simulator, dump, store_url};
use bhavd::{
    market::{Timestamp, TradingDate},
    spool::{self, SpoolReader},
};
use chrono::NaiveTime;

const TODAY: &str = "2026-01-30";
/// The next trading day.
const AHEAD: &str = "2026-02-02";

fn date(text: &str) -> TradingDate {
    text.parse().expect("a date")
}

fn at(hour: u32, minute: u32) -> Timestamp {
    Timestamp::on(date(TODAY), NaiveTime::from_hms_opt(hour, minute, 0).expect("a time"))
}

/// A synthetic market from 09:05 on, and the tables of a daemon that records it with the right clock.
fn market(directory: &std::path::Path) -> (Simulator, String) {
    let simulator =
        Simulator::start(["--synthetic", "--speed", "120", "--strikes", "2", "--underlyings", "NIFTY"]);
    let feeds = simulator.angel_one_tables(directory);
    (simulator, format!("[[watch]]\nunderlying = \"*\"\nexpiries = 0\n{feeds}"))
}

fn live_rows(directory: &std::path::Path, day: &str) -> usize {
    let rows = dump(&store_url(directory), date(day));
    // The state's code: live.
    let is_live = |line: &&String| line.split('|').nth(9) == Some("1");
    rows.get("intraday_option_oi").map_or(0, |lines| lines.iter().filter(is_live).count())
}

fn seqs(log: &std::path::Path, day: TradingDate) -> Vec<u64> {
    let records = SpoolReader::open(log, day).expect("opens");
    records.map(|record| record.expect("a sound record").seq).collect()
}

#[test]
fn a_clock_that_was_days_ahead_does_not_cost_the_day() {
    let home = tempfile::tempdir().expect("a directory");
    let directory = home.path();
    let (simulator, tables) = market(directory);
    let ahead = tables.replace(&format!("start = \"{TODAY}"), &format!("start = \"{AHEAD}"));
    assert_ne!(ahead, tables);
    let config = directory.join("bhavd.toml");
    let log = directory.join("spool");

    // A life with the right clock, one with the wrong one, and again one with the right clock.
    Daemon::configure(&config, directory, &tables);
    let mut daemon = Daemon::start(&config, directory);
    simulator.wait_until(at(9, 25));
    daemon.wait_for("rows of today", |_| live_rows(directory, TODAY) > 0);
    daemon.stop();
    let before = seqs(&log, date(TODAY));
    Daemon::configure(&config, directory, &ahead);
    let mut daemon = Daemon::start(&config, directory);
    daemon.wait_for("rows of a day to come", |_| {
        dump(&store_url(directory), date(AHEAD)).contains_key("intraday_option_oi")
    });
    daemon.stop();
    let received_ahead = seqs(&log, date(AHEAD));
    Daemon::configure(&config, directory, &tables);
    let mut daemon = Daemon::start(&config, directory);
    let begun = simulator.clock.now();
    let status = daemon.ask(&["status"]);
    assert!(status["notices"].to_string().contains("ahead, count for no day"), "{status:#}");
    assert_eq!(daemon.log().matches("event=clock_ahead").count(), 1, "{}", daemon.log());
    let rows_before = live_rows(directory, TODAY);
    simulator.wait_until(begun.plus_seconds(600));
    daemon.wait_for("further rows of today", |_| live_rows(directory, TODAY) > rows_before);
    // Of the day ahead nothing is claimed, in the store as in the log; what was received is beside it.
    let rows_ahead = dump(&store_url(directory), date(AHEAD));
    assert!(rows_ahead.is_empty(), "{:?}", rows_ahead.keys());
    assert_eq!(spool::days(&log).expect("days"), [date(TODAY)]);
    let aside = log.join(format!("clock-ahead-{}", received_ahead[0]));
    assert_eq!(seqs(&aside, date(AHEAD)), received_ahead);
    let today = seqs(&log, date(TODAY));
    assert!(today.starts_with(&before) && today[before.len()] > received_ahead[received_ahead.len() - 1]);
    assert!(daemon.ask(&["status"])["healthy"] == true, "{:#}", daemon.ask(&["status"]));
    daemon.stop();

    // The store is what the log gives, also after it was deleted. Nothing comes meanwhile, and the clock stands.
    let stands_at =
        simulator.clock.now().plus_seconds(60).to_ist().format("%Y-%m-%dT%H:%M:%S+05:30").to_string();
    drop(simulator);
    let (head, _) = tables.split_once("[clock]").expect("a simulated clock");
    let stands =
        format!("{head}[clock]\nstart = \"{stands_at}\"\nreal_start = \"{stands_at}\"\nspeed = 0.000001\n");
    Daemon::configure(&config, directory, &stands);
    let verify = |daemon: &mut Daemon| {
        daemon.wait_for("the replay to agree", |daemon| daemon.asks_well(&["replay", "verify", TODAY]));
        let verified = daemon.ask(&["replay", "verify", TODAY]);
        let named = format!("{} records from {}", received_ahead.len(), received_ahead[0]);
        assert!(verified["set_aside"].to_string().contains(&named), "{verified:#}");
        assert_eq!(verified["losses"], serde_json::json!([]), "{verified:#}");
        let notices = daemon.ask(&["status"])["notices"].to_string();
        assert!(notices.contains("count for no day: they are kept in clock-ahead-"), "{notices}");
    };
    let mut daemon = Daemon::start(&config, directory);
    verify(&mut daemon);
    daemon.stop();
    let recorded = dump(&store_url(directory), date(TODAY));
    std::fs::remove_file(directory.join("bhavd.sqlite")).expect("removed");
    let mut daemon = Daemon::start(&config, directory);
    verify(&mut daemon);
    daemon.stop();
    let rebuilt = dump(&store_url(directory), date(TODAY));
    assert!(recorded["oi_delta_log"].len() > 10, "{recorded:?}");
    // A gap that is open ends where the last life did.
    for (table, rows) in recorded.iter().filter(|(table, _)| **table != "gaps") {
        let lost: Vec<_> =
            rows.iter().filter(|line| rebuilt[table].binary_search(line).is_err()).take(5).collect();
        assert!(lost.is_empty() && rows.len() == rebuilt[table].len(), "{table}: {lost:#?}");
    }
}
