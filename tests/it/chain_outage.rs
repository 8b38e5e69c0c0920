//! NSE's website stops answering one chain: that chain's rows alone become missing, over a kill of the daemon as well; once
//! it answers again they are live, and a replay of the day gives the same record.

use crate::processes::{Daemon, Simulator, dump, store_url};
use bhavd::market::{BucketState, Timestamp, TradingDate};
use std::collections::BTreeMap;

const PART: &str = "feed nse: chain BANKNIFTY";

fn problems(daemon: &Daemon) -> String {
    daemon.ask(&["status"])["problems"].to_string()
}

fn wait_for_feed(daemon: &mut Daemon) {
    daemon.wait_for("the feed", |daemon| daemon.ask(&["status"])["feeds_up"] == 1);
}

#[test]
fn one_chain_that_is_not_answered_makes_only_its_own_rows_missing() {
    let home = tempfile::tempdir().expect("a directory");
    let home = home.path();
    let arguments =
        "--synthetic --underlyings NIFTY,BANKNIFTY --strikes 5 --speed 60 --date 2026-01-30 --start";
    let simulator = Simulator::start(arguments.split(' ').chain(["2026-01-30 14:00:00"]));
    let config = home.join("bhavd.toml");
    let watch = "[[watch]]\nunderlying = \"*\"\nexpiries = 1\n";
    Daemon::configure(&config, home, &format!("{watch}{}", simulator.nse_tables("v3")));
    let date = simulator.clock.now().date_ist();
    let midnight = Timestamp::on(date, chrono::NaiveTime::MIN);
    let at = |hour: i64, minute: i64| midnight.plus_seconds((hour * 60 + minute) * 60);

    let mut daemon = Daemon::start(&config, home);
    wait_for_feed(&mut daemon);
    simulator.wait_until(at(14, 14));
    assert_eq!(problems(&daemon), "[]");
    // Between each deed and the moment at which the daemon knows of it, rows may be the one or the other.
    let breaking = simulator.clock.now();
    simulator.set_nse_faults(r#"{"broken_chains":{"BANKNIFTY":"html"}}"#);
    daemon.wait_for("the chain is known to be unanswered", |daemon| problems(daemon).contains(PART));
    let broken = simulator.clock.now();
    simulator.wait_until(broken.plus_seconds(18 * 60));
    assert_eq!(daemon.ask(&["status"])["feeds_up"], 1, "the feed stays up: {}", daemon.log());
    let killing = simulator.clock.now();
    drop(daemon);
    let killed = simulator.clock.now();

    let mut daemon = Daemon::start(&config, home);
    wait_for_feed(&mut daemon);
    let back = simulator.clock.now();
    daemon.wait_for("the new daemon knows it too", |daemon| problems(daemon).contains(PART));
    simulator.wait_until(back.plus_seconds(420));
    simulator.set_nse_faults(r#"{"broken_chains":{"BANKNIFTY":"not_found"}}"#);
    simulator.wait_until(back.plus_seconds(480));
    let healing = simulator.clock.now();
    simulator.set_nse_faults(r#"{"broken_chains":{}}"#);
    daemon.wait_for("the chain is answered again", |daemon| !problems(daemon).contains(PART));
    let healed = simulator.clock.now();
    assert!(healed < at(15, 20), "{healed}: too late for a bucket behind it");
    daemon.wait_for("the end of the day", |daemon| {
        let status = daemon.ask(&["status"]);
        let is_over = status["session"].as_str().is_some_and(|session| session.starts_with("closed"));
        is_over && status["store"]["pending_rows"] == 0 && status["last_bucket"].to_string().contains("15:27")
    });
    let verified = daemon.verify(&date.to_string());
    assert_eq!(verified["equal"], true, "{verified:#}");
    assert_eq!(verified["judged_by"], "log", "{verified:#}");
    explain(&daemon, date, broken.plus_seconds(9 * 60));
    daemon.stop();

    let record = dump(&store_url(home), date);
    let mut states: BTreeMap<(Timestamp, bool), Vec<u8>> = BTreeMap::new();
    for row in &record["intraday_option_oi"] {
        let cells: Vec<&str> = row.split('|').collect();
        let bucket = Timestamp::from_us(cells[0].parse().expect("an instant"));
        let is_bank = cells[1].starts_with("NSE:BANKNIFTY");
        states.entry((bucket, is_bank)).or_default().push(cells[9].parse().expect("a state"));
    }
    let missing = BucketState::Missing.code();
    let known = |state: &u8| *state != missing;
    let (mut lost, mut kept) = (0, 0);
    for ((bucket, is_bank), states) in &states {
        let end = bucket.plus_seconds(180);
        let what = format!("{bucket}, of BANKNIFTY {is_bank}: {states:?}");
        // The claims of polls every 30 s reach back by as much.
        let within = |from: Timestamp, to: Timestamp| from < end && end <= to;
        if !is_bank {
            let may_miss = within(killing.plus_seconds(-60), back.plus_seconds(60)) || end < at(14, 10);
            assert!(may_miss || states.iter().all(known), "{what}");
            kept += usize::from(within(broken, healed) && states.iter().all(known));
        } else if within(broken, healing) {
            assert!(!states.iter().any(known), "{what}");
            lost += 1;
        } else if end > healed || within(at(14, 10), breaking.plus_seconds(-60)) {
            assert!(states.iter().all(known), "{what}");
        }
    }
    assert!(lost >= 6 && kept >= 5, "{lost} buckets of the one, {kept} of the other");
    let gaps: Vec<Vec<&str>> = record["gaps"].iter().map(|row| row.split('|').collect()).collect();
    let of_part: Vec<_> = gaps.iter().filter(|gap| gap[3].starts_with("BANKNIFTY 2026-")).collect();
    assert_eq!(of_part.len(), 2, "one before the kill and one behind it: {gaps:?}");
    assert!(of_part[0][4].contains("no answer"), "{gaps:?}");
    let (from, to): (i64, i64) =
        (of_part[0][0].parse().expect("an instant"), of_part[0][1].parse().expect("an instant"));
    assert!(
        from <= broken.as_us() && to <= killed.as_us(),
        "{gaps:?}, broken by {broken}, killed by {killed}"
    );
}

/// Why a contract of the chain that is not answered has no value, and why one of the other chain has.
fn explain(daemon: &Daemon, date: TradingDate, at: Timestamp) {
    let explain = |underlying: &str| {
        let chain = daemon.ask(&["chain", underlying]);
        let rows = chain["rows"].as_array().expect("strikes");
        let strike = rows[rows.len() / 2]["strike_e4"].as_i64().expect("a strike") / 10_000;
        let contract = format!("{underlying} {} {strike} CE", chain["expiry"].as_str().expect("a date"));
        let (date, time) = (date.to_string(), at.to_ist().format("%H:%M:%S").to_string());
        daemon.ask(&["explain", &contract, "--date", &date, "--at", &time])
    };
    let lost = explain("BANKNIFTY");
    let statements = lost["statements"].as_array().expect("statements");
    assert_eq!(statements.last().expect("a row")["row"]["state"], "missing", "{lost:#}");
    assert_eq!(lost["agreement"], "equal", "{lost:#}");
    let reasons: Vec<&str> = lost["gaps"]
        .as_array()
        .expect("gaps")
        .iter()
        .filter(|gap| gap["part"].as_str().is_some_and(|part| part.starts_with("BANKNIFTY ")))
        .filter_map(|gap| gap["reason"].as_str())
        .collect();
    assert!(reasons.iter().any(|reason| reason.contains("no answer")), "{lost:#}");
    let nse = &lost["providers"][0];
    assert_eq!((&nse["proves"], &nse["witness"]), (&false.into(), &serde_json::Value::Null), "{lost:#}");
    assert!(nse["said"]["record"]["seq"].as_u64().is_some_and(|seq| seq > 0), "{lost:#}");

    let kept = explain("NIFTY");
    let last = kept["statements"].as_array().and_then(|statements| statements.last()).expect("a row");
    assert!(matches!(last["row"]["state"].as_str(), Some("live" | "carried")), "{kept:#}");
    let nse = &kept["providers"][0];
    assert_eq!((&nse["provider"], &nse["proves"]), (&"nse".into(), &true.into()), "{kept:#}");
    assert!(matches!(nse["witness"]["by"].as_str(), Some("body" | "next_body")), "{kept:#}");
    assert_eq!((&kept["agreement"], &kept["judged_by"]), (&"equal".into(), &"log".into()), "{kept:#}");
}
