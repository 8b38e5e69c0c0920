//! What users do wrong: the programs name it, say what to do, end with the code that scripts rely on, and go on where
//! they can.

use crate::processes::{Daemon, Simulator, dump, store_url};
use serde_json::Value as Json;
use std::{
    ffi::OsStr,
    fs,
    io::Write as _,
    os::unix::net::UnixListener,
    path::{Path, PathBuf},
    process::{Command, Output},
};

const CONFIGURATION: i32 = 78;
const USAGE: i32 = 64;
const UNAVAILABLE: i32 = 69;

/// The quarter of an hour around a close. The lines 4 to 7 are bad; the last two are stamped without seconds.
const RECORDING: &str = "\
time_ist,underlying,kind,expiry,strike,option_type,last_price,open_interest,volume
2026-01-30 15:20:00,NIFTY,INDEX,,,,25278.9,,
2026-01-30 15:20:05,NIFTY,OPT,2026-02-03,25300,CE,135.5,65000,130000
2026-01-30 25:61:00,NIFTY,OPT,2026-02-03,25300,CE,135.5,65000,130000
2026-01-30 15:21:00,NIFTY,OPT,2026-02-03,25300,XX,135.5,65000,130000
2026-01-30 15:22:00,NIFTY,OPT,2026-02-03,25300,CE,135.5,12.5,130000
2026-01-30 15:23:00,NIFTY,OPT,2026-02-03
2026-01-30 15:24,NIFTY,OPT,2026-02-03,25300,CE,136,65325,131300
2026-01-30 15:49,NIFTY,OPT,2026-02-03,25300,CE,136.05,78000,131950
";

fn run<S: AsRef<OsStr>>(program: &str, arguments: impl IntoIterator<Item = S>) -> Output {
    Command::new(program).args(arguments).output().expect("the program starts")
}

fn bhavd<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> Output {
    run(env!("CARGO_BIN_EXE_bhavd"), arguments)
}

fn complaints(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn write(directory: &Path, name: &str, text: &str) -> PathBuf {
    let path = directory.join(name);
    fs::write(&path, text).expect("written");
    path
}

#[test]
fn every_mistake_of_a_configuration_is_named_with_its_line() {
    let directory = tempfile::tempdir().expect("a directory");
    let text = "[store]\nurl = \"mysql://localhost/bhavd\"\n\n[[watch]]\nunderlying = \"NIFTY\"\nexpiry = 1\n\n\
                [feeds.nse]\nenabled = true\npoll_interval_s = 0\n";
    let path = write(directory.path(), "wrong.toml", text);
    let name = path.display();
    let expected = [
        format!("{name}:2: store.url: found \"mysql://localhost/bhavd\", allowed is \"sqlite:…\""),
        format!("{name}:6: watch[1].expiry: unknown key, allowed are underlying, expiries"),
        format!("{name}:10: feeds.nse.poll_interval_s: found 0, allowed is 5 to 600"),
    ];
    let file = path.as_os_str();
    for arguments in [vec![OsStr::new("check-config"), file], vec!["run".as_ref(), "--config".as_ref(), file]]
    {
        let output = bhavd(&arguments);
        let said = complaints(&output);
        assert_eq!(output.status.code(), Some(CONFIGURATION), "{arguments:?}: {said}");
        for line in &expected {
            assert!(said.contains(line), "{arguments:?}: no {line:?} in:\n{said}");
        }
    }
    let absent = directory.path().join("absent.toml");
    let output = bhavd([OsStr::new("check-config"), absent.as_os_str()]);
    assert_eq!(output.status.code(), Some(CONFIGURATION));
    assert!(complaints(&output).contains("absent.toml: cannot be read"), "{}", complaints(&output));
}

#[test]
fn credentials_that_are_named_and_not_there_are_a_mistake() {
    let directory = tempfile::tempdir().expect("a directory");
    let absent = directory.path().join("credentials");
    let text = |credentials: &str| {
        format!("[[watch]]\nunderlying = \"NIFTY\"\n\n[feeds.angel_one]\nenabled = true\n{credentials}")
    };
    let named = format!("[credentials]\ndir = \"{}\"\n", absent.display());
    let path = write(directory.path(), "named.toml", &text(&named));
    let output = bhavd([OsStr::new("check-config"), path.as_os_str()]);
    let said = complaints(&output);
    assert_eq!(output.status.code(), Some(CONFIGURATION), "{said}");
    assert!(said.contains("feeds.angel_one: the credential angel_one.client_code cannot be read"), "{said}");
    assert!(said.contains(absent.to_str().expect("UTF-8")), "{said}");
    // The service manager may give what the file does not name.
    let path = write(directory.path(), "unnamed.toml", &text(""));
    let output = bhavd([OsStr::new("check-config"), path.as_os_str()]);
    assert!(output.status.success(), "{}", complaints(&output));
    assert!(complaints(&output).contains("feeds.angel_one: no credentials"), "{}", complaints(&output));
}

fn demo(recording: &Path, directory: &Path, more: &[&str]) -> Output {
    let mut arguments: Vec<&OsStr> = ["demo", "--speed", "600", "--exit-at-close", "--json", "--recording"]
        .map(OsStr::new)
        .into_iter()
        .chain([recording.as_os_str(), "--data-dir".as_ref(), directory.as_os_str()])
        .collect();
    arguments.extend(more.iter().map(OsStr::new));
    bhavd(arguments)
}

#[test]
fn bad_rows_of_a_recording_are_named_skipped_and_counted() {
    let parent = tempfile::tempdir().expect("a directory");
    let recording = write(parent.path(), "recording.csv", RECORDING);
    let directory = parent.path().join("demo");
    let output = demo(&recording, &directory, &[]);
    let said = complaints(&output);
    assert!(output.status.success(), "{}: {said}", output.status);
    for expected in [
        "skipped line 4, column time_ist: \"2026-01-30 25:61:00\" is not a time; write YYYY-MM-DD HH:MM:SS",
        "skipped line 5, column option_type: ",
        "skipped line 6, column open_interest: \"12.5\" is not a whole number of units",
        "skipped line 7, column strike: 4 columns instead of 9",
        "skipped 4 of 8 rows",
    ] {
        assert!(said.contains(expected), "no {expected:?} in:\n{said}");
    }
    let summary: Json = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(summary["skipped_recording_rows"], 4, "{summary:#}");
    assert_eq!((&summary["contracts"], &summary["deltas"]), (&1.into(), &1.into()), "{summary:#}");

    let record = dump(&store_url(&directory), "2026-01-30".parse().expect("a date"));
    let cells = |table: &str| -> Vec<Vec<String>> {
        let lines = record.get(table).into_iter().flatten();
        lines.map(|line| line.split('|').map(str::to_owned).collect()).collect()
    };
    let delta = &cells("oi_delta_log")[0];
    assert_eq!(delta[3..6], ["65000", "65325", "325"], "the row of 15:24 without seconds");
    let close = &cells("daily_option_oi")[0];
    assert_eq!(close[2..5], ["78000", "1360500", "131950"], "the row of 15:49 without seconds");
    let last = cells("intraday_option_oi").pop().expect("rows");
    assert_eq!((last[2].as_str(), last[4].as_str()), ("65325", "1360000"), "what comes later is no bucket's");
}

#[test]
fn a_strict_demo_refuses_a_recording_with_a_bad_row() {
    let parent = tempfile::tempdir().expect("a directory");
    let recording = write(parent.path(), "recording.csv", RECORDING);
    let output = demo(&recording, &parent.path().join("demo"), &["--strict"]);
    let said = complaints(&output);
    assert_eq!(output.status.code(), Some(USAGE), "{said}");
    let expected = format!("{}, line 4, column time_ist: ", recording.display());
    assert!(said.contains(&expected), "no {expected:?} in:\n{said}");
    assert!(output.stdout.is_empty());
}

#[test]
fn a_demo_keeps_out_of_a_directory_that_is_not_empty() {
    let parent = tempfile::tempdir().expect("a directory");
    let recording = write(parent.path(), "recording.csv", RECORDING);
    let output = demo(&recording, parent.path(), &[]);
    let expected =
        format!("bhavd: {} is not empty; remove it or give another --data-dir\n", parent.path().display());
    assert_eq!((output.status.code(), complaints(&output)), (Some(USAGE), expected));
    assert_eq!(fs::read_dir(parent.path()).expect("a directory").count(), 1, "nothing was put there");
}

#[test]
fn a_demo_that_cannot_begin_says_why_and_leaves_nothing() {
    let parent = tempfile::tempdir().expect("a directory");
    let (directory, notes) = (parent.path().join("demo"), parent.path().join("notes.txt"));
    fs::write(&notes, "no database").expect("written");
    let recording = write(parent.path(), "recording.csv", RECORDING);
    let mut zipped = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    zipped.write_all(RECORDING.repeat(20).as_bytes()).expect("zipped");
    let zipped = zipped.finish().expect("zipped");
    let cut = parent.path().join("cut.csv.gz");
    fs::write(&cut, &zipped[..zipped.len() / 2]).expect("written");
    let before = fs::read_dir(parent.path()).expect("a directory").count();
    let store = format!("sqlite:{}", notes.display());
    for (recording, more, part) in [
        (&recording, &["--store", "foo:bar"][..], "allowed is \"sqlite:…\" or \"postgres://…\""),
        (&recording, &["--store", &store], "is a file, but no SQLite database"),
        (&cut, &[], "is cut short: "),
    ] {
        let arguments = ["demo", "--exit-at-close", "--recording"].map(OsStr::new).into_iter();
        let place = [recording.as_os_str(), "--data-dir".as_ref(), directory.as_os_str()];
        let output = bhavd(arguments.chain(place).chain(more.iter().map(OsStr::new)));
        let said = complaints(&output);
        assert!(!output.status.success() && said.contains(part), "{more:?}: {said}");
        assert!(!said.contains("Recording a simulated day"), "{said}");
        assert_eq!(fs::read_dir(parent.path()).expect("a directory").count(), before, "{more:?}");
    }
}

#[test]
fn a_second_daemon_keeps_out_of_the_firsts_directory() {
    let directory = tempfile::tempdir().expect("a directory");
    let recording = write(directory.path(), "recording.csv", RECORDING);
    let simulator = Simulator::start([OsStr::new("--recording"), recording.as_os_str()]);
    let config = directory.path().join("bhavd.toml");
    let tables = format!("[[watch]]\nunderlying = \"NIFTY\"\n{}", simulator.nse_tables("older"));
    Daemon::configure(&config, directory.path(), &tables);
    let daemon = Daemon::start(&config, directory.path());
    let output = bhavd([OsStr::new("run"), "--config".as_ref(), config.as_os_str()]);
    let said = complaints(&output);
    assert_eq!(output.status.code(), Some(UNAVAILABLE), "{said}");
    let spool = directory.path().join("spool");
    let expected = format!(
        "bhavd: {} is in use by another bhavd: stop that one, or give this one a spool directory of its own",
        spool.display()
    );
    assert!(said.contains(&expected), "no {expected:?} in:\n{said}");
    assert_eq!(daemon.ask(&["status"])["simulated"], true, "the first goes on");
    daemon.stop();
}

#[test]
fn bhavctl_says_that_nobody_answers() {
    const NOT_REACHABLE: i32 = 3;
    let directory = tempfile::tempdir().expect("a directory");
    let dead = directory.path().join("dead.sock");
    drop(UnixListener::bind(&dead).expect("a socket"));
    for socket in [dead, directory.path().join("absent.sock")] {
        let arguments = [OsStr::new("--socket"), socket.as_os_str(), "status".as_ref()];
        let output = run(env!("CARGO_BIN_EXE_bhavctl"), arguments);
        let said = complaints(&output);
        assert_eq!(output.status.code(), Some(NOT_REACHABLE), "{said}");
        assert!(said.starts_with(&format!("bhavctl: no daemon answers at {} (", socket.display())), "{said}");
        assert!(said.contains("`systemctl start bhavd` where it is the system's service"), "{said}");
    }
}
