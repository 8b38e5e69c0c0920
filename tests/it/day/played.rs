//! The demo plays the day; the record equals the recording, over both protocols and in both stores.

use super::{
    answer::{Answer, BUCKET_S, SESSION_CLOSE_S, SESSION_OPEN_S, cells, number, price, second_of_day},
    seed::test_seed,
};
use crate::{
    processes::{Daemon, Simulator, dump, store_url},
    servers, test_data,
};
use bhavd::{
    market::{Timestamp, TradingDate},
    spool::{Source, SpoolReader},
    store::DayDump,
    wire::nse,
};
use serde_json::Value as Json;
use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    process::Command,
};

fn date() -> TradingDate {
    TradingDate::from_ymd_opt(2026, 1, 30).expect("a date")
}

/// Plays the recording as a user would, and gives back the printed summary.
fn play(recording: &Path, provider: &str, directory: &Path, store: Option<&str>) -> Json {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bhavd"));
    command
        .args(["demo", "--speed", "600", "--exit-at-close", "--json", "--provider", provider])
        .arg("--recording")
        .arg(recording)
        .arg("--data-dir")
        .arg(directory);
    if let Some(url) = store {
        command.args(["--store", url]);
    }
    let output = command.output().expect("bhavd starts");
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {complaints}", output.status);
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}\n{complaints}", String::from_utf8_lossy(&output.stdout)))
}

fn assert_equal_to_recording(answer: &Answer, dump: &DayDump, provider: &str) {
    let provider_code = if provider == "angel_one" { "1" } else { "2" };
    let mut keys = BTreeSet::new();
    for row in cells(dump, "intraday_option_oi") {
        let [bucket, contract, oi, _, ltp, volume, _, _, _, state, from, event, ..] = row[..] else {
            panic!("a short row: {row:?}")
        };
        let bucket_second = second_of_day(bucket);
        assert!(keys.insert((bucket_second, contract)), "twice: {row:?}");
        let expected = answer.bucket(contract, bucket_second).expect("a value before the first bucket's end");
        let found = (number(oi), price(ltp), number(volume));
        assert_eq!(found, (expected.open_interest, expected.last_price_e4, expected.volume), "{row:?}");
        // Packets and bodies after a capture repeat its values with later stamps.
        let event_second = second_of_day(event);
        let captured = answer.contracts[contract].iter().rfind(|value| value.second <= event_second);
        let captured = captured.map(|value| (value.open_interest, value.last_price_e4, value.volume));
        assert!(captured == Some(found) && event_second < bucket_second + BUCKET_S, "{row:?}");
        let is_live = event_second >= bucket_second;
        assert_eq!((state, from), (if is_live { "1" } else { "2" }, provider_code), "{row:?}");
    }
    let buckets: BTreeSet<i64> = keys.iter().map(|(bucket, _)| *bucket).collect();
    let expected: BTreeSet<i64> = (SESSION_OPEN_S..SESSION_CLOSE_S).step_by(BUCKET_S as usize).collect();
    assert_eq!(buckets, expected);
    assert_eq!((answer.contracts.len(), keys.len()), (684, 85_500));

    let mut deltas: Vec<(String, i64, i64, i64)> = cells(dump, "oi_delta_log")
        .iter()
        .map(|row| (row[0].to_owned(), second_of_day(row[1]), number(row[3]), number(row[4])))
        .collect();
    deltas.sort();
    let mut expected = answer.deltas();
    expected.sort();
    assert_eq!(expected.len(), 23_251);
    assert!(deltas == expected, "{} deltas, first difference: {:?}", deltas.len(), {
        deltas.iter().zip(&expected).find(|(found, wanted)| found != wanted)
    });
    let mut sums: BTreeMap<&str, i64> = BTreeMap::new();
    for (contract, _, old, new) in &deltas {
        *sums.entry(contract).or_default() += new - old;
    }
    for (contract, values) in &answer.contracts {
        let of_session: Vec<i64> = values
            .iter()
            .filter(|value| value.second < SESSION_CLOSE_S)
            .map(|value| value.open_interest)
            .collect();
        let moved = of_session[of_session.len() - 1] - of_session[0];
        assert_eq!(sums.get(contract.as_str()).copied().unwrap_or(0), moved, "{contract}");
    }

    let closes = cells(dump, "daily_option_oi");
    assert_eq!(closes.len(), 684);
    for row in closes {
        let last = answer.last(row[1]);
        let found = (number(row[2]), price(row[3]), number(row[4]));
        assert_eq!(found, (last.open_interest, last.last_price_e4, last.volume), "{row:?}");
        // The row is written again only when a value changes.
        assert!(second_of_day(row[6]) <= last.second, "{row:?}");
    }
}

/// `store`: the address of an empty one, or none for the demo's own.
fn play_and_compare(provider: &str, store: impl Fn() -> Option<String>) {
    let Some(recording) = test_data::index_options() else { return };
    let answer = Answer::read(&recording);
    until_nothing_is_missed(|| {
        let parent = tempfile::tempdir().expect("a directory");
        let directory = parent.path().join("demo");
        let store = store();
        let summary = play(&recording, provider, &directory, store.as_deref());
        println!("{summary:#}");
        let missed = match provider {
            "nse" => missed_captures(&answer, &directory.join("spool")),
            _ => Vec::new(),
        };
        if !missed.is_empty() {
            return missed;
        }
        for (field, expected) in [
            ("contracts", 684),
            ("buckets", 125),
            ("rows", 85_500),
            ("snapshots", 42_750),
            ("deltas", 23_251),
        ] {
            assert_eq!(summary[field], expected, "{field}");
        }
        assert_eq!(
            [&summary["malformed"], &summary["coverage"]["missing"], &summary["coverage"]["pending"]],
            [&Json::from(0); 3]
        );
        let url = store.unwrap_or_else(|| store_url(&directory));
        assert_equal_to_recording(&answer, &dump(&url, date()), provider);
        missed
    });
}

/// Plays a day that is polled again, up to three times in all, where the machine missed captures of it.
fn until_nothing_is_missed(mut play: impl FnMut() -> Vec<(String, i64)>) {
    for attempt in 1..=3 {
        let missed = play();
        if missed.is_empty() {
            return;
        }
        println!("attempt {attempt}: the machine or the delays left no body in time of {missed:?}");
    }
    panic!("no attempt had a body of every capture");
}

#[test]
fn the_day_through_angel_one_equals_the_recording() {
    play_and_compare("angel_one", || None);
}

#[test]
fn the_day_through_nse_equals_the_recording() {
    play_and_compare("nse", || None);
}

/// Seconds of the day of the bodies in a log, by underlying and expiry as contracts name them.
fn body_seconds(spool: &Path) -> BTreeMap<String, BTreeSet<i64>> {
    let mut seconds: BTreeMap<String, BTreeSet<i64>> = BTreeMap::new();
    for record in SpoolReader::open(spool, date()).expect("a log") {
        let record = record.expect("a record");
        for frame in record.frames.iter().filter(|_| record.source == Source::NSE_CHAIN) {
            let chain = nse::decode_chain(frame).expect("a chain");
            let Some(leg) = chain.legs.first() else { continue };
            let second = second_of_day(&chain.timestamp.as_us().to_string());
            seconds.entry(format!("NSE:{} {}", leg.underlying, leg.expiry)).or_default().insert(second);
        }
    }
    seconds
}

/// The captures of which no body came before the end of their bucket, or the next one: a machine with other work is too slow for
/// the speed then.
fn missed_captures(answer: &Answer, spool: &Path) -> Vec<(String, i64)> {
    let mut captures: BTreeMap<String, BTreeSet<i64>> = BTreeMap::new();
    for (contract, values) in &answer.contracts {
        let chain: Vec<&str> = contract.split(' ').take(2).collect();
        let of_session = values.iter().map(|value| value.second).filter(|second| *second < SESSION_CLOSE_S);
        captures.entry(chain.join(" ")).or_default().extend(of_session);
    }
    let bodies = body_seconds(spool);
    let mut missed = Vec::new();
    for (chain, captures) in captures {
        for capture in &captures {
            let bucket_end =
                (capture - SESSION_OPEN_S).div_euclid(BUCKET_S) * BUCKET_S + SESSION_OPEN_S + BUCKET_S;
            let next = captures.range(capture + 1..).next().copied().unwrap_or(SESSION_CLOSE_S);
            let seen =
                bodies.get(&chain).and_then(|seconds| seconds.range(capture..&bucket_end.min(next)).next());
            if seen.is_none() {
                missed.push((chain.clone(), *capture));
            }
        }
    }
    missed
}

/// The real website's bodies are stamped 49 s to 2 min 39 s before they are received: a row waits for its proof, and is
/// stated once.
#[test]
fn the_day_through_a_website_as_late_as_the_real_one_equals_the_recording() {
    let Some(recording) = test_data::index_options() else { return };
    let mut seed = test_seed("delays");
    let answer = Answer::read(&recording);
    until_nothing_is_missed(|| {
        let directory = tempfile::tempdir().expect("a directory");
        let missed = play_late(&recording, directory.path(), &seed.to_string(), &answer);
        // The delays of a seed may pass over a capture on any machine.
        seed = seed.wrapping_add(1);
        missed
    });
}

/// Gives the captures that the machine missed; if there are none, the record equals the recording.
fn play_late(recording: &Path, directory: &Path, seed: &str, answer: &Answer) -> Vec<(String, i64)> {
    let recording_path = recording.to_str().expect("a path in UTF-8");
    // Slower, and the minutes between two captures would be those of a market that stands still.
    let arguments =
        ["--recording", recording_path, "--speed", "300", "--nse-delay", "49-159", "--seed", seed];
    let simulator = Simulator::start(arguments);
    let config = directory.join("bhavd.toml");
    let watch = "[[watch]]\nunderlying = \"*\"\nexpiries = 0\n";
    Daemon::configure(&config, directory, &format!("{watch}{}", simulator.nse_tables("v3")));
    let mut daemon = Daemon::start(&config, directory);
    let midnight = Timestamp::on(date(), chrono::NaiveTime::MIN);
    let mut problems: BTreeMap<String, i64> = BTreeMap::new();
    // Before, the website has no body of today; at this speed an answer takes half a minute.
    for second in (SESSION_OPEN_S + 480..SESSION_CLOSE_S + 900).step_by(120) {
        simulator.wait_until(midnight.plus_seconds(second));
        let status = daemon.ask(&["status"]);
        for told in ["problems", "notices"] {
            for problem in status[told].as_array().expect("texts") {
                problems.entry(problem.as_str().expect("a text").to_owned()).or_insert(second);
            }
        }
    }
    let status = daemon.ask(&["status"]);
    let is_equal = daemon.verify(&date().to_string())["equal"] == true;
    daemon.stop();
    let missed = missed_captures(answer, &directory.join("spool"));
    if !missed.is_empty() {
        return missed;
    }
    // The recording has no level of it, which is told in the session and after it.
    for told in [
        "the index MIDCPNIFTY: nothing shows it since the open; no provider covers it",
        "the close of the index MIDCPNIFTY was not seen: nothing shows it since the open; the last values of the day are no \
         closing values",
    ] {
        problems.remove(told).expect("told");
    }
    assert_eq!(problems, BTreeMap::new(), "healthy all day, seed {seed}");
    assert_eq!(status["healthy"], true);
    assert!(is_equal, "the log gives what the store holds");
    let dump = dump(&store_url(directory), date());
    assert_equal_to_recording(answer, &dump, "nse");
    let restated = cells(&dump, "intraday_option_oi").iter().filter(|row| row[13] != "0").count();
    assert_eq!(restated, 0, "rows are stated once they are proved");
    missed
}

fn postgres_database() -> String {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(servers::postgres_database())
}

#[test]
fn the_day_through_angel_one_into_postgres_equals_the_recording() {
    play_and_compare("angel_one", || Some(postgres_database()));
}

#[test]
fn the_day_through_nse_into_postgres_equals_the_recording() {
    play_and_compare("nse", || Some(postgres_database()));
}
