//! Rules of a day that the configuration changes within it: they count from the next day on, also after a restart.

use crate::processes::{Daemon, Simulator, dump, store_url};
use serde_json::Value as Json;
use std::fs;

const TWO: &str =
    "[[watch]]\nunderlying = \"BANKNIFTY\"\nexpiries = 0\n[[watch]]\nunderlying = \"NIFTY\"\nexpiries = 2\n";
const ONE: &str = "[[watch]]\nunderlying = \"BANKNIFTY\"\nexpiries = 1\n[buckets]\ngrace_s = 60\n";
const UNTIL: &str = "until the next day's first record";

fn notices(answer: &Json) -> Vec<String> {
    let notices = answer["notices"].as_array().expect("notices");
    notices.iter().map(|notice| notice.as_str().expect("a text").to_owned()).collect()
}

fn last_bucket(daemon: &Daemon) -> String {
    daemon.ask(&["status"])["last_bucket"].to_string()
}

#[test]
fn a_session_that_the_calendar_is_given_on_the_day_is_recorded_from_the_restart_on() {
    let home = tempfile::tempdir().expect("a directory");
    let home = home.path();
    // A Saturday.
    let simulator = Simulator::synthetic(
        "NIFTY",
        "2026-01-31 14:45:00",
        &["--expiries", "1", "--unlimited-requests", "--speed", "120"],
    );
    let (config, calendar) = (home.join("bhavd.toml"), home.join("nse.toml"));
    let known = include_str!("../../config/calendar/nse.toml");
    fs::write(&calendar, known).expect("written");
    let watch = "[[watch]]\nunderlying = \"NIFTY\"\nexpiries = 0\n";
    let tables = simulator.all_tables(home);
    Daemon::configure(&config, home, &format!("{watch}{tables}[calendar]\nfile = {calendar:?}\n"));
    let daemon = Daemon::start(&config, home);
    let special = "2026-01-31 = { name = \"Special session\", hours = \"usual\" }\n2026-11-08 =";
    fs::write(&calendar, known.replacen("2026-11-08 =", special, 1)).expect("written");
    let report = daemon.ask(&["config", "reload"]);
    assert_eq!(notices(&report), ["calendar: from the next restart on"], "{report:#}");
    let status = notices(&daemon.ask(&["status"])).join("\n");
    assert!(status.contains("of calendar waits for a restart of the daemon"), "{status}");

    daemon.stop();
    let mut daemon = Daemon::start(&config, home);
    daemon.wait_for("both feeds", |daemon| daemon.ask(&["status"])["feeds_up"] == 2);
    let restarted = simulator.clock.now();
    daemon.wait_for("the end of the session", |daemon| last_bucket(daemon).contains("15:27"));
    daemon.wait_for("all rows", |daemon| daemon.ask(&["status"])["store"]["pending_rows"] == 0);
    let verified = daemon.verify("2026-01-31");
    assert_eq!(verified["equal"], true, "{verified:#}");
    daemon.stop();

    let rows = dump(&store_url(home), simulator.clock.now().date_ist());
    let rows: Vec<_> =
        rows["intraday_option_oi"].iter().map(|row| row.split('|').collect::<Vec<_>>()).collect();
    let since =
        |from: i64| rows.iter().filter(move |cells| cells[0].parse::<i64>().is_ok_and(|at| at >= from));
    assert!(since(restarted.plus_seconds(600).as_us()).count() >= 50, "{} rows", rows.len());
    let missing = since(restarted.plus_seconds(600).as_us()).filter(|cells| cells[9] == "4").count();
    assert_eq!(missing, 0, "of {} rows", rows.len());
    assert!(rows.len() >= 1_250, "what was before is missing, and said: {} rows", rows.len());
}

#[test]
fn what_is_removed_from_the_watch_list_is_recorded_until_the_day_is_over() {
    let home = tempfile::tempdir().expect("a directory");
    let home = home.path();
    let simulator = Simulator::synthetic(
        "NIFTY,BANKNIFTY",
        "2026-01-30 14:30:00",
        &["--expiries", "2", "--unlimited-requests", "--speed", "120"],
    );
    let config = home.join("bhavd.toml");
    let tables = simulator.all_tables(home);
    Daemon::configure(&config, home, &format!("{TWO}{tables}"));
    let mut daemon = Daemon::start(&config, home);
    daemon.wait_for("both feeds", |daemon| daemon.ask(&["status"])["feeds_up"] == 2);
    daemon.wait_for("a bucket", |daemon| last_bucket(daemon).contains("14:36"));
    assert_eq!(notices(&daemon.ask(&["config", "show"])), [""; 0]);

    Daemon::configure(&config, home, &format!("{ONE}{tables}"));
    let said = |also: &str| {
        [
            format!("BANKNIFTY, in [[watch]] with 1 expiry now: recorded with all expiries {UNTIL}{also}"),
            format!("NIFTY, removed from [[watch]]: recorded {UNTIL}{also}"),
            format!("buckets.grace_s = 60: rows are judged with 5 {UNTIL}{also}"),
        ]
    };
    let report = daemon.ask(&["config", "reload"]);
    assert_eq!(notices(&report), said(", also after the restart"), "{report:#}");
    let status = notices(&daemon.ask(&["status"])).join("\n");
    assert!(status.contains("of buckets.grace_s, watch waits for a restart of the daemon"), "{status}");

    daemon.stop();
    let mut daemon = Daemon::start(&config, home);
    for question in [&["config", "show"][..], &["config", "diff"]] {
        assert_eq!(notices(&daemon.ask(question)), said(""), "{question:?}");
    }
    let status = notices(&daemon.ask(&["status"])).join("\n");
    assert!(status.contains(&said("")[1]) && !status.contains("waits for a restart"), "{status}");
    daemon.wait_for("both feeds", |daemon| daemon.ask(&["status"])["feeds_up"] == 2);
    let restarted = simulator.clock.now();
    daemon.wait_for("the end of the session", |daemon| last_bucket(daemon).contains("15:27"));
    daemon.wait_for("all rows", |daemon| daemon.ask(&["status"])["store"]["pending_rows"] == 0);
    let verified = daemon.verify("2026-01-30");
    assert_eq!(verified["equal"], true, "{verified:#}");
    daemon.stop();

    // Both are recorded as before.
    let from = restarted.plus_seconds(600).as_us();
    let rows = dump(&store_url(home), simulator.clock.now().date_ist());
    let rows = rows["intraday_option_oi"].iter().map(|row| row.split('|').collect::<Vec<_>>());
    let rows: Vec<_> =
        rows.filter(|cells| cells[0].parse::<i64>().is_ok_and(|start| start >= from)).collect();
    for underlying in ["NSE:NIFTY ", "NSE:BANKNIFTY "] {
        let of_it: Vec<_> = rows.iter().filter(|cells| cells[1].starts_with(underlying)).collect();
        assert!(of_it.len() > 100, "{} rows of {underlying}", of_it.len());
        let missing: Vec<_> = of_it.iter().filter(|cells| cells[9] == "4").collect();
        assert!(
            missing.is_empty(),
            "{} of {} are missing: {:?}",
            missing.len(),
            of_it.len(),
            missing.first()
        );
    }
}
