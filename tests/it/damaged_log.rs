//! A log that is damaged on the disk: the daemon starts, says so, and goes on with what is sound.

use crate::processes::Daemon;
use bhavd::spool::{self, SpoolError, SpoolReader};
use std::fs;

/// Nothing but the daemon's own records comes: the feed rests.
const TABLES: &str = "[[watch]]\nunderlying = \"NIFTY\"\n[feeds.nse]\nenabled = true\nsite_url = \"http://127.0.0.1:9\"\n\
                      archive_url = \"http://127.0.0.1:9\"\n[clock]\nstart = \"2026-01-31T11:00:00+05:30\"\n\
                      real_start = \"2026-01-31T11:00:00+05:30\"\nspeed = 0.000001\n";

#[test]
fn a_damaged_record_stops_nothing_and_is_told() {
    let home = tempfile::tempdir().expect("a directory");
    let config = home.path().join("bhavd.toml");
    Daemon::configure(&config, home.path(), TABLES);
    // Two lives: at least two records.
    for _ in 0..2 {
        let mut daemon = Daemon::start(&config, home.path());
        daemon.wait_for("health", |daemon| daemon.asks_well(&["status", "--check"]));
        daemon.stop();
    }
    let log = home.path().join("spool");
    let date = *spool::days(&log).expect("days").first().expect("a day");
    let read = || SpoolReader::open(&log, date).expect("opens").collect::<Vec<_>>();
    let before = read().len();
    assert!(before >= 2);
    let hour = fs::read_dir(log.join(date.to_string())).expect("a day").next().expect("a segment");
    let path = hour.expect("an entry").path();
    let mut bytes = fs::read(&path).expect("readable");
    // In the body of the first record.
    bytes[20] ^= 0xff;
    fs::write(&path, bytes).expect("written");

    let mut daemon = Daemon::start(&config, home.path());
    daemon.wait_for("the damage to be told", |daemon| {
        daemon.ask(&["status"])["problems"].to_string().contains("a part of the log is lost")
    });
    let actors = daemon.ask(&["actors"]);
    let rows = actors["actors"].as_array().expect("rows");
    let recorder = rows.iter().find(|row| row["path"] == "recorder").expect("the recorder");
    assert_eq!((&recorder["state"], &recorder["restarts"]), (&"running".into(), &0.into()), "{recorder:#}");
    assert_eq!(daemon.log().matches("event=spool_damaged").count(), 1, "{}", daemon.log());
    daemon.stop();
    let after = read();
    assert!(matches!(after[0], Err(SpoolError::Damaged(_))));
    assert!(after[1..].iter().all(Result::is_ok));
    assert!(after.len() > before, "the third life has appended");
}
