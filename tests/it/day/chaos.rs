//! The played day with a fault in some child every fifth of a second: panics, errors, hangs and blocked threads. At the end
//! the tables equal the recording but for what no feed saw, and the tree has an account of every fault; Redis holds what the
//! daemon does, the bus was told of every restart and gap, and the service manager of one life.

use super::{
    accounts::{Accounts, KINDS, children_in, count_faults, row_of},
    answer::{Answer, SESSION_CLOSE_S, cells},
    onlookers::{Listener, Manager, in_chain, in_redis},
    outages::{assert_equal_as_polled, assert_equal_but_for_outages},
    seed::test_seed,
};
use crate::{
    processes::{Daemon, Simulator, dump, store_url},
    servers::{Bus, Redis},
    test_data,
};
use bhavd::market::{Provider, Timestamp};
use serde_json::{Value as Json, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsStr,
};

const FAULTS: usize = 200;
/// Every child of the tree.
const CHILDREN: [&str; 13] = [
    "service_manager",
    "writer",
    "recorder",
    "publisher",
    "dbus",
    "control",
    "timekeeper",
    "jobs/archive",
    "jobs/day_plan",
    "jobs/retention",
    "jobs/verify",
    "feeds/angel_one",
    "feeds/nse",
];
const SPEED: i64 = 600;

/// The answer, of a control child that a slow machine may look hung on.
fn asked(daemon: &Daemon, arguments: &[&str]) -> Option<Json> {
    let output = daemon.try_ask(arguments);
    output.status.success().then(|| serde_json::from_slice(&output.stdout).expect("JSON"))
}

/// Whether Redis holds what the daemon shows, of every chain of the recording.
fn is_in_redis(daemon: &Daemon, redis: &Redis, chains: &BTreeSet<(&str, &str)>) -> bool {
    let mut shown = BTreeMap::new();
    for (underlying, expiry) in chains {
        let Some(chain) = asked(daemon, &["chain", underlying, "--expiry", expiry]) else { return false };
        assert_eq!(chain["live"], true, "{chain:#}");
        shown.extend(in_chain(&chain));
    }
    assert_eq!(shown.len(), 684, "every option is shown");
    in_redis(&redis.url()) == shown
}

fn a_day_of_faults(provider: Provider) {
    let Some(recording) = test_data::index_options() else { return };
    let seed = test_seed("schedule");
    let directory = tempfile::tempdir().expect("a directory");
    let directory = directory.path();
    let simulator = Simulator::start([
        OsStr::new("--speed"),
        OsStr::new("600"),
        OsStr::new("--recording"),
        recording.as_os_str(),
    ]);
    let (redis, bus) = (Redis::start(), Bus::start());
    let (listener, manager) = (Listener::on(&bus), Manager::in_directory(directory));
    let config = directory.join("bhavd.toml");
    let feed = match provider {
        Provider::AngelOne => simulator.angel_one_tables(directory),
        Provider::Nse => simulator.nse_tables("v3"),
    };
    let tables = format!(
        "[[watch]]\nunderlying = \"*\"\nexpiries = 0\n[supervision]\nhang_after_ms = 1000\nrestarts_max = 10000\n\
         feed_restarts_max = 10000\nbackoff_longest_ms = 100\nzombies_max = 32\n[live]\nredis_url = \"unix://{}\"\n\
         [dbus]\naddress = \"{}\"\n{feed}",
        redis.socket().display(),
        bus.address(),
    );
    Daemon::configure(&config, directory, &tables);
    let date = simulator.clock.now().date_ist();
    let midnight = Timestamp::on(date, chrono::NaiveTime::MIN);
    let second = simulator.clock.now().us_since(midnight) / 1_000_000;
    let real_ms_until = |until: i64| (until - second).max(0) * 1_000 / SPEED;
    let order = json!({
        "seed": seed,
        "faults": FAULTS,
        "from_ms": real_ms_until(9 * 3_600 + 16 * 60),
        // What comes late in the day is put right within it.
        "until_ms": real_ms_until(SESSION_CLOSE_S - 3_600),
        "block_ms": 300,
        "children": CHILDREN,
    });
    let environment = [
        ("BHAVD_CHAOS", order.to_string()),
        ("NOTIFY_SOCKET", manager.socket.display().to_string()),
        // Lives that end in order are told at this level.
        ("RUST_LOG", "info,bhavd::supervisor=debug".to_owned()),
    ];
    let environment = environment.each_ref().map(|(name, value)| (*name, value.as_str()));
    let mut daemon = Daemon::start_in(&config, directory, &environment);
    let children = children_in(&daemon.ask(&["actors"]));
    assert_eq!(children, CHILDREN.map(str::to_owned).into(), "faults befall every child of the tree");
    assert!(FAULTS > CHILDREN.len() * KINDS.len());

    simulator.wait_until(midnight.plus_seconds(SESSION_CLOSE_S + 600));
    let answer = Answer::read(&recording);
    let contracts = answer.contracts.keys().map(|name| name.strip_prefix("NSE:").expect("an exchange"));
    let chains: BTreeSet<(&str, &str)> = contracts
        .map(|name| {
            let words: Vec<&str> = name.split(' ').collect();
            (words[0], words[1])
        })
        .collect();
    // While the simulated day lasts: the next one begins with nothing.
    daemon.wait_for("the live state in Redis", |daemon| is_in_redis(daemon, &redis, &chains));
    daemon.wait_for("all faults", |daemon| count_faults(&daemon.log()) == FAULTS);
    daemon.wait_for("the day's rows", |daemon| {
        let Some(status) = asked(daemon, &["status"]) else { return false };
        status["store"]["pending_rows"] == 0
    });
    // The log, replayed, gives what is stored.
    let date_text = date.to_string();
    daemon.wait_for("a record that equals its replay", |daemon| {
        daemon.asks_well(&["replay", "verify", &date_text])
    });
    daemon.wait_for("word of every restart on the bus", |daemon| {
        let (Some(actors), heard) = (asked(daemon, &["actors"]), listener.heard()) else { return false };
        children.iter().all(|child| {
            row_of(&actors, child)["restarts"] == heard.restarts.get(child).copied().unwrap_or(0)
        })
    });
    daemon.wait_for("children that run", |daemon| {
        let Some(actors) = asked(daemon, &["actors"]) else { return false };
        children.iter().all(|child| row_of(&actors, child)["state"] == "running")
    });
    let actors = daemon.ask(&["actors"]);
    Accounts::read(&daemon.log()).assert_explain(&actors, &children);
    let record = dump(&store_url(directory), date);
    let circumstances = format!("{provider}, seed {seed}");
    let outages = match provider {
        Provider::AngelOne => assert_equal_but_for_outages(&answer, &record, &circumstances),
        Provider::Nse => assert_equal_as_polled(&answer, &record, &circumstances),
    };
    outages.assert_told(|contract, bucket| {
        let at = midnight.plus_seconds(bucket).to_ist().format("%H:%M:%S").to_string();
        let explained = daemon.try_ask(&["explain", contract, "--at", &at]);
        format!("{circumstances}: {}\n{}", String::from_utf8_lossy(&explained.stdout), daemon.log())
    });
    daemon.stop();
    assert!(outages.missing > 0, "nothing befell the feed, {circumstances}");
    let heard = listener.heard();
    for row in cells(&record, "gaps") {
        let gap =
            (row[0].parse().expect("an instant"), row[1].parse().expect("an instant"), row[4].to_owned());
        assert!(heard.gaps.contains(&gap), "nobody told of {row:?}, but of {:?}", heard.gaps);
    }
    assert!(!heard.gaps.is_empty());
    assert_eq!(heard.completed_days, BTreeSet::from([date_text]));
    let told = manager.told();
    let count = |line: &str| told.iter().filter(|told| *told == line).count();
    assert_eq!((count("READY=1"), count("STOPPING=1")), (1, 1), "{told:?}");
    assert!(told.iter().any(|line| line.starts_with("STATUS=") && line.contains("1/1 feeds up")), "{told:?}");
}

#[test]
fn two_hundred_faults_in_a_day_of_angel_one_change_nothing_that_was_seen() {
    a_day_of_faults(Provider::AngelOne);
}

#[test]
fn two_hundred_faults_in_a_day_of_nse_change_nothing_that_was_seen() {
    a_day_of_faults(Provider::Nse);
}
