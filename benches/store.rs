//! How close the store comes to the bare database, in rows of `intraday_option_oi`.
//!
//! Prints, for SQLite against the fastest bare prepared loops of rusqlite and for PostgreSQL against a bare binary
//! COPY, the ratio of throughputs: median of interleaved rounds of 20,000 rows on tables with the same keys. Run it
//! on an idle machine: `cargo bench --bench store`. Then prints how long the marks of candles that an outage touched take.
#![expect(clippy::disallowed_methods, reason = "the bare client that the store is measured against")]

mod median;
#[path = "../tests/it/servers.rs"]
#[expect(dead_code, unused_imports, reason = "the tests start more kinds of servers than this bench")]
mod servers;

use bhavd::{
    market::{
        Bucket, BucketRow, BucketState, Candle, CandleInterval, InstrumentId, OiBase, Price, Provider,
        Timestamp, UnresolvedCandle,
    },
    store::{self, Batch, Birth, OpenStore, Store},
};
use median::median;
use rusqlite::OpenFlags;
use std::{path::Path, pin::pin, time::Instant};
use tokio_postgres::{NoTls, binary_copy::BinaryCopyInWriter, types::Type};

const ROWS: u32 = 20_000;
const ROUNDS: usize = 9;
const COLUMNS: &str = "bucket, instrument, oi, oi_change, oi_base, ltp_e4, volume, bid_e4, ask_e4, iv_e4, state, \
    provider, event_time, received_time, revision";
/// Contracts whose candles of one interval an outage touches.
const MARKED: u32 = 30_000;
const INTERVALS: i64 = 20;

fn batch(round: usize) -> Batch {
    let open = Timestamp::from_us(1_769_744_700_000_000);
    let bucket = Bucket::containing(open.plus_us(round as i64 * Bucket::LENGTH_US));
    let mut batch = Batch::new(open.date_ist(), round as u64);
    let row = |id: u32| {
        let value = i64::from(id);
        BucketRow {
            bucket,
            instrument: InstrumentId(id),
            open_interest: Some(65 * value),
            open_interest_change: Some(value - 10_000),
            oi_base: Some(OiBase::Provider),
            last_price: Some(Price::from_e4(500 * value)),
            volume: Some(650 * value),
            bid: Some(Price::from_e4(500 * value - 500)),
            ask: Some(Price::from_e4(500 * value + 500)),
            implied_volatility_e4: Some(123_400 + value),
            state: BucketState::Live,
            provider: Some(Provider::AngelOne),
            event_time: Some(bucket.start().plus_us(value * 7_919)),
            received_time: Some(bucket.start().plus_us(value * 7_919 + 250_000)),
            revision: 0,
        }
    };
    batch.buckets = (1..=ROWS).map(row).collect();
    batch
}

fn report(what: &str, ours: &[f64], bare: &[f64]) {
    let rate = |seconds: &[f64]| f64::from(ROWS) / median(seconds.to_vec()) / 1_000.0;
    let ratios = ours.iter().zip(bare).map(|(ours, bare)| bare / ours).collect();
    println!(
        "{what}: {:.0} k rows/s of {:.0} k bare = {:.0} % (median of {} rounds)",
        rate(ours),
        rate(bare),
        100.0 * median(ratios),
        ours.len()
    );
}

/// SQLite takes a lock at every call of a connection that was not opened for one thread only. diesel opens with locks.
#[derive(Clone, Copy, Debug)]
enum Locks {
    None,
    AsDiesel,
}

struct BareSqlite {
    connection: rusqlite::Connection,
    rows_a_statement: usize,
}

impl BareSqlite {
    fn open(path: &Path, rows_a_statement: usize, locks: Locks) -> BareSqlite {
        let mutex = match locks {
            Locks::None => OpenFlags::SQLITE_OPEN_NO_MUTEX,
            Locks::AsDiesel => OpenFlags::SQLITE_OPEN_FULL_MUTEX,
        };
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | mutex;
        let connection = rusqlite::Connection::open_with_flags(path, flags).expect("opens");
        for pragma in ["journal_mode = WAL", "synchronous = NORMAL", "cache_size = -32768"] {
            connection.execute_batch(&format!("PRAGMA {pragma}")).expect("is set");
        }
        BareSqlite { connection, rows_a_statement }
    }

    fn append(&mut self, batch: &Batch) {
        let columns = COLUMNS.split(", ").count();
        let values = format!("({})", vec!["?"; columns].join(", "));
        let set: Vec<String> =
            COLUMNS.split(", ").skip(2).map(|column| format!("{column} = excluded.{column}")).collect();
        let sql = format!(
            "INSERT INTO intraday_option_oi ({COLUMNS}) VALUES {} ON CONFLICT (bucket, instrument) DO UPDATE SET {} \
             WHERE excluded.revision >= intraday_option_oi.revision",
            vec![values; self.rows_a_statement].join(", "),
            set.join(", ")
        );
        self.connection.execute_batch("BEGIN IMMEDIATE").expect("begins");
        {
            let mut statement = self.connection.prepare(&sql).expect("valid SQL");
            for rows in batch.buckets.chunks_exact(self.rows_a_statement) {
                for (row, first) in rows.iter().zip((1..).step_by(columns)) {
                    let cells: [Option<i64>; 15] = [
                        Some(row.bucket.start().as_us()),
                        Some(i64::from(row.instrument.0)),
                        row.open_interest,
                        row.open_interest_change,
                        row.oi_base.map(|base| i64::from(base.code())),
                        row.last_price.map(Price::as_e4),
                        row.volume,
                        row.bid.map(Price::as_e4),
                        row.ask.map(Price::as_e4),
                        row.implied_volatility_e4,
                        Some(i64::from(row.state.code())),
                        row.provider.map(|provider| i64::from(provider.code())),
                        row.event_time.map(Timestamp::as_us),
                        row.received_time.map(Timestamp::as_us),
                        Some(i64::from(row.revision)),
                    ];
                    for (cell, position) in cells.iter().zip(first..) {
                        statement.raw_bind_parameter(position, cell).expect("binds");
                    }
                }
                statement.raw_execute().expect("is written");
            }
        }
        self.connection.execute_batch("COMMIT").expect("commits");
    }
}

async fn sqlite(rows_a_statement: usize, locks: Locks) {
    let directory = tempfile::tempdir().expect("a directory");
    let paths = ["ours.db", "bare.db"].map(|name| directory.path().join(name));
    let mut ours = open(&paths[0].display().to_string()).await;
    drop(open(&paths[1].display().to_string()).await);
    let mut bare = BareSqlite::open(&paths[1], rows_a_statement, locks);
    for what in ["new rows", "stored rows again"] {
        let (mut ours_s, mut bare_s) = (Vec::new(), Vec::new());
        for round in 0..ROUNDS {
            let batch = batch(round);
            let time_ours = async |store: &mut OpenStore| {
                let started = Instant::now();
                store.append(&batch).await.expect("is written");
                started.elapsed().as_secs_f64()
            };
            let time_bare = |bare: &mut BareSqlite| {
                let started = Instant::now();
                bare.append(&batch);
                started.elapsed().as_secs_f64()
            };
            // Takes turns in going first.
            if round % 2 == 0 {
                ours_s.push(time_ours(&mut ours).await);
                bare_s.push(time_bare(&mut bare));
            } else {
                bare_s.push(time_bare(&mut bare));
                ours_s.push(time_ours(&mut ours).await);
            }
        }
        // The first two rounds warm both.
        let name =
            format!("SQLite, {what}, bare loop of {rows_a_statement} rows a statement, locks {locks:?}");
        report(&name, &ours_s[2..], &bare_s[2..]);
    }
}

async fn open(url: &str) -> OpenStore {
    store::open(url, Birth::Simulated).await.expect("opens")
}

async fn bare_copy(client: &tokio_postgres::Client, batch: &Batch) -> f64 {
    let mut types = vec![Type::INT8; 15];
    (types[4], types[10], types[11], types[14]) = (Type::INT2, Type::INT2, Type::INT2, Type::INT4);
    let started = Instant::now();
    let text = format!("COPY intraday_option_oi ({COLUMNS}) FROM STDIN (FORMAT binary)");
    let mut writer = pin!(BinaryCopyInWriter::new(client.copy_in(&text).await.expect("starts"), &types));
    for row in &batch.buckets {
        writer
            .as_mut()
            .write(&[
                &row.bucket.start().as_us(),
                &i64::from(row.instrument.0),
                &row.open_interest,
                &row.open_interest_change,
                &row.oi_base.map(|base| i16::from(base.code())),
                &row.last_price.map(Price::as_e4),
                &row.volume,
                &row.bid.map(Price::as_e4),
                &row.ask.map(Price::as_e4),
                &row.implied_volatility_e4,
                &i16::from(row.state.code()),
                &row.provider.map(|provider| i16::from(provider.code())),
                &row.event_time.map(Timestamp::as_us),
                &row.received_time.map(Timestamp::as_us),
                &i32::from(row.revision),
            ])
            .await
            .expect("is taken");
    }
    writer.finish().await.expect("is written");
    started.elapsed().as_secs_f64()
}

async fn postgres() {
    let (ours_url, bare_url) = (servers::postgres_database().await, servers::postgres_database().await);
    let mut ours = open(&ours_url).await;
    drop(open(&bare_url).await);
    let (client, connection) = tokio_postgres::connect(&bare_url, NoTls).await.expect("connects");
    tokio::spawn(connection);
    let (mut new_s, mut bare_s, mut merged_s) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let batch = batch(round);
        if round % 2 == 0 {
            bare_s.push(bare_copy(&client, &batch).await);
        }
        let started = Instant::now();
        ours.append(&batch).await.expect("is written");
        new_s.push(started.elapsed().as_secs_f64());
        if round % 2 == 1 {
            bare_s.push(bare_copy(&client, &batch).await);
        }
    }
    for round in 0..ROUNDS {
        let started = Instant::now();
        ours.append(&batch(round)).await.expect("is written");
        merged_s.push(started.elapsed().as_secs_f64());
    }
    report("PostgreSQL, new rows, bare COPY", &new_s[2..], &bare_s[2..]);
    report("PostgreSQL, stored rows again, bare COPY of new rows", &merged_s[2..], &bare_s[2..]);
}

/// Marks one interval's candles of every contract, and again, in a store that has others of each.
async fn marks(what: &str, url: &str) {
    let mut store = open(url).await;
    let open = Timestamp::from_us(1_769_744_700_000_000);
    let interval = CandleInterval::FiveMinutes;
    let start = |index: i64| open.plus_seconds(index * 300);
    for index in 0..INTERVALS {
        let mut batch = Batch::new(open.date_ist(), 0);
        let candle = |id: u32| Candle {
            instrument: InstrumentId(id),
            interval,
            start: start(index),
            open: Price::from_e4(500),
            high: Price::from_e4(500),
            low: Price::from_e4(500),
            close: Price::from_e4(500),
            volume: 650,
            provider: Provider::AngelOne,
            revision: 0,
            resolve_required: false,
        };
        batch.candles = (1..=MARKED).map(candle).collect();
        store.append(&batch).await.expect("is written");
    }
    let (mut marked_s, mut again_s) = (Vec::new(), Vec::new());
    for index in 0..INTERVALS {
        let mut batch = Batch::new(open.date_ist(), 0);
        let mark = |id| UnresolvedCandle { instrument: InstrumentId(id), interval, start: start(index) };
        batch.unresolved = (1..=MARKED).map(mark).collect();
        for seconds in [&mut marked_s, &mut again_s] {
            let started = Instant::now();
            store.append(&batch).await.expect("is written");
            seconds.push(started.elapsed().as_secs_f64());
        }
    }
    println!(
        "{what}: {MARKED} of {} candles marked in {:.0} ms, again in {:.0} ms (median of {INTERVALS} rounds)",
        i64::from(MARKED) * INTERVALS,
        1_000.0 * median(marked_s),
        1_000.0 * median(again_s)
    );
}

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        for locks in [Locks::AsDiesel, Locks::None] {
            for rows_a_statement in [1, 64] {
                sqlite(rows_a_statement, locks).await;
            }
        }
        postgres().await;
        let directory = tempfile::tempdir().expect("a directory");
        marks("SQLite", &directory.path().join("marks.db").display().to_string()).await;
        marks("PostgreSQL", &servers::postgres_database().await).await;
    });
}
