//! An operator chooses which provider counts: while both are up, over a restart, while the chosen one is away; and a replay
//! of the day gives the same record.

use crate::processes::{Daemon, Simulator, dump, store_url};
use serde_json::{Value as Json, json};
use std::{collections::BTreeSet, fs, process::Command};

fn choice(daemon: &Daemon) -> Json {
    daemon.ask(&["status"])["choice"].clone()
}

fn chosen(active: &str, forced: Option<&str>) -> Json {
    json!({ "active": active, "forced": forced })
}

fn wait_for_choice(daemon: &mut Daemon, wanted: &Json) {
    daemon.wait_for(&format!("{wanted}"), |daemon| choice(daemon) == *wanted);
}

#[test]
fn a_forced_provider_counts_while_it_is_up_and_the_replay_equals_the_record() {
    let home = tempfile::tempdir().expect("a directory");
    let home = home.path();
    // An hour of the session is left, a minute in a second.
    let simulator = Simulator::synthetic("NIFTY", "2026-01-30 14:30:00", &["--speed", "60"]);
    let config = home.join("bhavd.toml");
    let tables = format!("[[watch]]\nunderlying = \"NIFTY\"\n{}", simulator.all_tables(home));
    Daemon::configure(&config, home, &tables);
    let mut daemon = Daemon::start(&config, home);
    let refused = |line: &str| {
        let mut bhavctl = Command::new(env!("CARGO_BIN_EXE_bhavctl"));
        bhavctl.arg("--socket").arg(home.join("control.sock")).args(line.split(' '));
        let output = bhavctl.output().expect("bhavctl runs");
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    daemon.wait_for("both feeds", |daemon| daemon.ask(&["status"])["feeds_up"] == 2);
    wait_for_choice(&mut daemon, &chosen("angel_one", None));

    let answer = daemon.ask(&["failover", "nse"]);
    assert_eq!((&answer["choice"], &answer["is_applied"]), (&chosen("nse", Some("nse")), &json!(true)));
    assert_eq!(daemon.ask(&["feeds"])["choice"], chosen("nse", Some("nse")));
    assert_eq!(daemon.ask(&["failover", "nse"])["choice"], chosen("nse", Some("nse")), "again");
    for (part, count) in [
        ("an operator ordered which provider counts: nse", 1),
        ("the values of nse count, no longer those of angel_one", 1),
        ("by the socket: Failover {\"to\":\"nse\"}: done", 2),
    ] {
        daemon.wait_for(part, |daemon| daemon.log().matches(part).count() == count);
    }

    daemon.wait_for("values of NSE only", |daemon| {
        daemon.ask(&["chain", "NIFTY"])["providers"] == json!(["nse"])
    });
    for _ in 0..2 {
        let bucket = daemon.ask(&["status"])["last_bucket"].clone();
        daemon.wait_for("the next bucket", |daemon| daemon.ask(&["status"])["last_bucket"] != bucket);
    }

    // Away, it gives way; back, it counts again.
    daemon.ask(&["feed", "disable", "nse"]);
    wait_for_choice(&mut daemon, &chosen("angel_one", Some("nse")));
    let problems = daemon.ask(&["status"])["problems"].to_string();
    assert!(problems.contains("nse is forced, but down: angel_one counts"), "{problems}");
    let (code, complaint) = refused("failover nse");
    assert!(code == Some(1) && complaint.contains("nse is switched off"), "{code:?}: {complaint}");
    let (code, complaint) = refused("failover dhan");
    assert!(code == Some(2) && complaint.contains("angel_one, nse, auto"), "{code:?}: {complaint}");
    daemon.ask(&["feed", "enable", "nse"]);
    wait_for_choice(&mut daemon, &chosen("nse", Some("nse")));

    daemon.stop();
    let mut daemon = Daemon::start(&config, home);
    wait_for_choice(&mut daemon, &chosen("nse", Some("nse")));
    assert!(daemon.log().contains("nse is still forced"), "{}", daemon.log());
    daemon.wait_for("both feeds", |daemon| daemon.ask(&["status"])["feeds_up"] == 2);
    assert_eq!(daemon.ask(&["failover", "auto"])["choice"], chosen("angel_one", None));

    daemon.wait_for("the end of the day", |daemon| {
        let status = daemon.ask(&["status"]);
        let is_over = status["session"].as_str().is_some_and(|session| session.starts_with("closed"));
        is_over && status["store"]["pending_rows"] == 0 && status["last_bucket"].to_string().contains("15:27")
    });
    let verified = daemon.verify("2026-01-30");
    assert_eq!(verified["equal"], true, "{verified:#}");
    let coverage = daemon.ask(&["coverage"]);
    assert_eq!(coverage["date"], "2026-01-30", "of the last session");
    assert_eq!(coverage, daemon.ask(&["coverage", "2026-01-30"]));
    daemon.stop();
    let mut daemon = Daemon::start(&config, home);
    daemon.wait_for("an automatic choice", |daemon| choice(daemon)["forced"].is_null());
    daemon.stop();

    let date = simulator.clock.now().date_ist();
    let record = dump(&store_url(home), date);
    let providers: BTreeSet<&str> =
        record["intraday_option_oi"].iter().map(|row| row.split('|').nth(10).expect("a provider")).collect();
    assert!(providers.is_superset(&BTreeSet::from(["1", "2"])), "rows of both: {providers:?}");
    let kept: Vec<_> = fs::read_dir(home.join("spool")).expect("a log").flatten().collect();
    assert!(
        kept.iter().all(|entry| entry.file_name() != "forced-provider"),
        "no provider is forced any more"
    );
}

#[test]
fn chains_that_a_forced_provider_does_not_cover_are_named() {
    let home = tempfile::tempdir().expect("a directory");
    let home = home.path();
    let simulator = Simulator::synthetic(
        "NIFTY,BANKNIFTY",
        "2026-01-30 10:30:00",
        &["--unlimited-requests", "--speed", "60"],
    );
    let config = home.join("bhavd.toml");
    let watch = "[[watch]]\nunderlying = \"NIFTY\"\n[[watch]]\nunderlying = \"BANKNIFTY\"\n";
    Daemon::configure(&config, home, &format!("{watch}{}", simulator.all_tables(home)));
    let mut daemon = Daemon::start(&config, home);
    daemon.wait_for("both feeds", |daemon| daemon.ask(&["status"])["feeds_up"] == 2);
    daemon.ask(&["failover", "nse"]);
    daemon.wait_for("values of NSE", |daemon| daemon.ask(&["chain", "NIFTY"])["providers"] == json!(["nse"]));
    daemon.wait_for("a status without a word of it", |daemon| {
        !daemon.ask(&["status"])["problems"].to_string().contains("is forced")
    });
    simulator.set_nse_faults(r#"{"broken_chains":{"NIFTY":"not_found"}}"#);
    // The level came with the bodies of the chains.
    let named = ["nse is forced, but does not cover ", "the index NIFTY", "chain NIFTY 2026-"];
    daemon.wait_for("the chains by name", |daemon| {
        let problems = daemon.ask(&["status"])["problems"].to_string();
        assert!(!problems.contains("but down"), "{problems}");
        named.iter().all(|named| problems.contains(named))
            && problems.contains("recorded from angel_one")
            && !problems.contains("BANKNIFTY")
    });
    daemon.stop();
}
