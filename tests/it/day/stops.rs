//! SIGTERM in the middle of a burst: whatever the log has accepted is in SQL when the daemon has ended.

use crate::processes::{Daemon, Simulator, dump, store_url};
use bhavd::{
    calendar::Calendar,
    engine::watch::{WatchList, WatchedUnderlying},
    market::{Provider, TradingDate},
    pipeline::{Catalog, NoLive, Pipeline, PipelineSettings},
    spool::SpoolReader,
    store::{self, Batch, Birth, DayDump, Store},
};
use std::{path::Path, sync::Arc};

/// Three underlyings, 80 strikes of one expiry, both sides.
const CONTRACTS: usize = 480;

/// What the log alone gives.
fn replay(spool: &Path, date: TradingDate) -> DayDump {
    let settings = PipelineSettings {
        watch: WatchList { underlyings: vec![WatchedUnderlying::every_underlying(0)] },
        grace_us: 5_000_000,
        silence_min_us: 0,
        channels: std::collections::BTreeMap::new(),
        preference: Provider::ALL.into(),
        calendar: Arc::new(Calendar::embedded()),
    };
    let mut pipeline = Pipeline::new(settings, Catalog::default());
    let mut batch = Batch::new(date, 0);
    for record in SpoolReader::open(spool, date).expect("opens") {
        pipeline.apply(&record.expect("a record"), &mut NoLive, &mut batch);
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let mut store = store::open("sqlite::memory:", Birth::Simulated).await.expect("opens");
        store.append(&batch).await.expect("written");
        let reader = store.reader().await.expect("a reader");
        reader.dump_day(date).await.expect("the day can be read")
    })
}

#[test]
fn what_was_accepted_before_sigterm_is_in_sql() {
    let directory = tempfile::tempdir().expect("a directory");
    let directory = directory.path();
    // More than an unoptimised daemon takes: its ports are full when it is told to end.
    let simulator = Simulator::start([
        "--synthetic",
        "--date",
        "2026-01-30",
        "--ticks-per-second",
        "800",
        "--speed",
        "120",
    ]);
    let config = directory.join("bhavd.toml");
    let tables =
        format!("[[watch]]\nunderlying = \"*\"\nexpiries = 0\n{}", simulator.angel_one_tables(directory));
    Daemon::configure(&config, directory, &tables);
    let date = simulator.clock.now().date_ist();
    let (spool, store) = (directory.join("spool"), store_url(directory));
    let mut simulator = Some(simulator);
    for life in 1..=3 {
        if life == 3 {
            // Nobody is there any more; what it missed is written as missing.
            simulator = None;
        }
        let mut daemon = Daemon::start(&config, directory);
        let count = || dump(&store, date).get("intraday_option_oi").map_or(0, Vec::len);
        let before = count();
        // A bucket of each contract at least, and in the middle of another.
        daemon.wait_for("rows of this life", |_| count() >= before + CONTRACTS);
        let actors = daemon.ask(&["actors"]);
        let rows = actors["actors"].as_array().expect("rows");
        let recorder = rows.iter().find(|row| row["path"] == "recorder").expect("the recorder");
        println!("life {life}: SIGTERM, {} records wait", recorder["queue"]);
        daemon.stop();
        let (stored, replayed) = (dump(&store, date), replay(&spool, date));
        for (table, lines) in &replayed {
            assert_eq!(stored.get(table).map(Vec::len), Some(lines.len()), "{table}, life {life}");
        }
        assert!(stored == replayed, "a row differs from its replay, life {life}");
    }
    drop(simulator);
}
