//! The scheduled jobs over a played day, with the daemon killed in the middle of each: hours are compressed, missed days and
//! the day itself are verified, and old days are removed, but for those that may not go.

use crate::processes::{Daemon, Simulator, store_url};
use bhavd::{
    calendar::Calendar,
    market::{Provider, Timestamp, TradingDate},
    spool::{self, DayRules, Mark, NewRecord, RULES_SCHEMA, SessionTimes, Spool},
    store::{self, Batch, Birth, GapRow, Store},
};
use serde_json::Value as Json;
use std::{fs, path::Path};

/// Days that the log has before the played one, 2026-01-30. The 26th is a holiday.
const LOGGED: [u32; 8] = [19, 20, 21, 22, 23, 27, 28, 29];
/// Of these the store is made to hold something else than the log says.
const FAULTY: [u32; 1] = [23];
/// So the 26th is the oldest that stays for its age.
const KEEP_DAYS: u32 = 4;

fn date(day: u32) -> TradingDate {
    TradingDate::from_ymd_opt(2026, 1, day).expect("a date")
}

fn at(day: u32, minute: i64) -> Timestamp {
    Timestamp::on(date(day), chrono::NaiveTime::MIN).plus_seconds(minute * 60)
}

/// By which a day without contracts is judged.
fn rules(day: u32) -> DayRules {
    let session = Calendar::embedded().session(date(day)).expect("a session");
    let (open_us, close_us) = (session.open.as_us(), session.close.as_us());
    let session = Some(SessionTimes { open_us, close_us, expiring_index_close_us: None });
    DayRules { schema: RULES_SCHEMA, session, ..DayRules::default() }
}

/// A log in which each day a feed comes up late, which is a gap, and goes on over the hour.
fn write_log(directory: &Path) {
    let mut spool = Spool::open(directory).expect("a log").spool;
    for day in LOGGED {
        let marks = [
            (540, Mark::Rules { rules: rules(day) }),
            (540, Mark::started("0")),
            (560, Mark::feed_up(Provider::AngelOne)),
            (610, Mark::feed_down(Provider::AngelOne, "test")),
            (620, Mark::feed_up(Provider::AngelOne)),
        ];
        for (minute, mark) in marks {
            spool.append(&mut NewRecord::mark(at(day, minute), &mark)).expect("appended");
        }
    }
}

fn write_wrong_rows(url: &str) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let mut store = store::open(url, Birth::Simulated).await.expect("opens");
        for day in FAULTY {
            let reason = "nobody wrote this".to_owned();
            let gap =
                GapRow { from: at(day, 700), to: at(day, 710), provider: None, part: String::new(), reason };
            // Without a checkpoint: the store contains nothing of the log.
            let batch = Batch { gaps: vec![gap], ..Batch::new(date(day), 0) };
            store.append(&batch).await.expect("written");
        }
    });
}

/// But for those behind the played one: the clock of a slow machine comes to its night.
fn days_in(spool_directory: &Path) -> Vec<TradingDate> {
    let days = spool::days(spool_directory).expect("listed").into_iter();
    days.filter(|day| *day <= date(30)).collect()
}

/// Runs of a job as `session_date state`, the first first.
fn history(daemon: &Daemon, job: &str) -> Vec<String> {
    let answer = daemon.ask(&["jobs", "history", "--job", job, "--limit", "100"]);
    let runs = answer["runs"].as_array().expect("runs").iter().rev();
    let text = |run: &Json, field: &str| run[field].as_str().expect("a text").to_owned();
    runs.map(|run| format!("{} {}", text(run, "session_date"), text(run, "state"))).collect()
}

fn job(daemon: &Daemon, name: &str) -> Json {
    let answer = daemon.ask(&["jobs"]);
    let jobs = answer["jobs"].as_array().expect("jobs");
    jobs.iter().find(|job| job["job"] == name).expect("the job").clone()
}

/// The store says that it runs: it is held within.
fn wait_until_held(daemon: &mut Daemon, name: &str) {
    daemon.wait_for("a run that goes on", |daemon| {
        job(daemon, name)["state"] == "running"
            && history(daemon, name).last().is_some_and(|run| run.ends_with("running"))
    });
}

fn names_of(day: &Path) -> Vec<String> {
    let entries = fs::read_dir(day).expect("a day");
    let mut names: Vec<String> =
        entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// Of days before the played one.
fn raw_segments(spool_directory: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        LOGGED.iter().flat_map(|day| names_of(&spool_directory.join(date(*day).to_string()))).collect();
    names.retain(|name| !name.ends_with(".zst"));
    names
}

#[test]
fn jobs_are_done_over_a_day_whatever_is_killed() {
    let directory = tempfile::tempdir().expect("a directory");
    let directory = directory.path();
    let simulator =
        Simulator::start(["--synthetic", "--speed", "600", "--strikes", "3", "--underlyings", "NIFTY"]);
    let config = directory.join("bhavd.toml");
    let tables =
        format!("[[watch]]\nunderlying = \"*\"\nexpiries = 0\n{}", simulator.angel_one_tables(directory));
    Daemon::configure(&config, directory, &tables);
    assert_eq!(simulator.clock.now().date_ist(), date(30));
    let log = directory.join("spool");
    write_log(&log);
    write_wrong_rows(&store_url(directory));

    // Killed with an hour compressed beside itself and not yet in its place.
    let mut daemon = Daemon::start_in(&config, directory, &[("BHAVD_HOLD_JOB", "archive")]);
    wait_until_held(&mut daemon, "archive");
    daemon.wait_for("a part of it", |_| raw_segments(&log).iter().any(|name| name.ends_with(".partial")));
    drop(daemon);
    let mut daemon = Daemon::start_in(&config, directory, &[("BHAVD_HOLD_JOB", "verify")]);
    daemon.wait_for("the compression of old days", |daemon| {
        history(daemon, "archive").last().is_some_and(|run| run == "2026-01-30 done")
    });
    assert_eq!(history(&daemon, "archive")[0], "2026-01-30 failed", "the run that was killed");
    assert_eq!(raw_segments(&log), [""; 0]);
    let refused = daemon.try_ask(&["jobs", "run", "verify"]);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && said.contains("outside session hours only"), "{said}");
    assert_eq!(history(&daemon, "verify"), [""; 0]);

    // Hour by hour, and never the one that is written.
    simulator.wait_until(at(30, 13 * 60 + 5));
    daemon.wait_for("the compression of the morning", |_| {
        let names = names_of(&log.join("2026-01-30"));
        let raw: Vec<&String> = names.iter().filter(|name| !name.ends_with(".zst")).collect();
        // A machine that stood still may have left out an hour.
        raw.len() == 1
            && raw[0].ends_with(".spool")
            && names.last() == raw.first().copied()
            && names.len() > 2
    });
    daemon.wait_for("a run by hand", |daemon| daemon.asks_well(&["jobs", "run", "archive"]));

    // What was missed is due at the close; killed within it, and asked to end within it.
    wait_until_held(&mut daemon, "verify");
    drop(daemon);
    let mut daemon = Daemon::start_in(&config, directory, &[("BHAVD_HOLD_JOB", "verify")]);
    wait_until_held(&mut daemon, "verify");
    daemon.stop();
    let mut daemon = Daemon::start_in(&config, directory, &[("BHAVD_HOLD_JOB", "retention")]);
    assert_eq!(job(&daemon, "retention")["next_due"], Json::Null, "everything is kept");
    simulator.wait_until(at(30, 16 * 60 + 36));
    daemon.wait_for("the verification of the day", |daemon| {
        // The job is idle a moment before its run is written down as ended.
        let is_ended = |run: &String| run.starts_with("2026-01-30") && !run.ends_with(" running");
        history(daemon, "verify").last().is_some_and(is_ended) && job(daemon, "verify")["state"] == "idle"
    });
    let verified = history(&daemon, "verify");
    let (first, rest) = verified.split_at(2);
    // A run that failed is tried again after a pause: on a slow machine the next day's comes before it.
    let is_either = ["2026-01-23 interrupted", "2026-01-27 interrupted"].contains(&first[1].as_str());
    assert!(first[0] == "2026-01-23 failed" && is_either, "{first:?}");
    let mut expected = vec!["2026-01-23 faulty".to_owned()];
    expected.extend([27, 28, 29, 30].map(|day| format!("2026-01-{day} done")));
    let mut rest = rest.to_vec();
    rest.sort();
    assert_eq!(rest, expected, "{}", daemon.log());
    let status = daemon.ask(&["status"]);
    let problems = status["problems"].as_array().expect("problems");
    let is_told = |problem: &Json| {
        problem.as_str().is_some_and(|text| {
            text.contains("the log of 2026-01-23 does not give what the store holds: 1 rows of gaps differ")
        })
    };
    assert!(problems.iter().any(is_told), "{status:#}");
    assert!(daemon.verify("2026-01-30")["equal"] == true);
    let judged = daemon.ask(&["replay", "rejudge", "2026-01-27"]);
    assert_eq!(
        (&judged["judged_by"], &judged["changes"]),
        (&"log".into(), &serde_json::json!([])),
        "{judged:#}"
    );
    assert_eq!(judged["rows"][0]["different"], 0, "{judged:#}");

    // Days are kept until the configuration says otherwise.
    assert_eq!(days_in(&log).len(), LOGGED.len() + 1);
    let spool_table = format!("[spool]\nkeep_days = {KEEP_DAYS}\n");
    let text = fs::read_to_string(&config).expect("readable").replacen("[spool]\n", &spool_table, 1);
    fs::write(&config, text).expect("written");
    let reloaded = daemon.ask(&["config", "reload"]);
    assert_eq!(reloaded["outcome"], "applied", "{reloaded:#}");
    // Killed with one day removed.
    wait_until_held(&mut daemon, "retention");
    daemon.wait_for("the first removal", |_| days_in(&log).first() == Some(&date(20)));
    drop(daemon);
    // As a kill within a removal leaves it.
    fs::rename(log.join("2026-01-20"), log.join("2026-01-20.removed")).expect("renamed");
    let mut daemon = Daemon::start(&config, directory);
    daemon.wait_for("the removal of old days", |daemon| {
        history(daemon, "retention").last().is_some_and(|run| run == "2026-01-30 done")
    });
    assert_eq!(history(&daemon, "retention"), ["2026-01-30 failed", "2026-01-30 done"]);
    assert_eq!(days_in(&log), [23, 27, 28, 29, 30].map(date));
    assert!(!log.join("2026-01-20.removed").exists());
    assert!(daemon.log().contains("removed 2 days of the log"), "{}", daemon.log());
    let records = daemon.verify("2026-01-30");
    assert_eq!(records["equal"], true, "{records:#}");
    daemon.stop();

    // The store is what it was: a further life begins from it, not from the log's first day.
    let mut daemon = Daemon::start(&config, directory);
    daemon.wait_for("the same runs", |daemon| history(daemon, "retention").len() == 2);
    assert_eq!(daemon.verify("2026-01-30")["equal"], true);
    daemon.stop();
}
