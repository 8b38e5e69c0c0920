//! The record in SQLite: one file, one thread that owns its connection.
//!
//! WAL with synchronous=NORMAL: after a power cut the last transactions may be missing, but whole ones and in
//! order, and the checkpoint among them says where the log must be read again. Readers open connections of their
//! own and never wait for the writer. A store in memory has one connection only, which its readers share.
//!
//! Invariant: this process opens a store's file through SQLite only. Closing any other descriptor of it drops the POSIX locks
//! of all connections of the process; another program that closes the file then takes itself for the last one, and deletes
//! the WAL file with what was committed to it.
//!
//! Left out: SQLite through diesel-async. It takes one hop to another thread a statement, and its batch inserts do
//! not compile (diesel-async issue 277).

mod connection;
mod unresolved;
mod upsert;

pub(super) use connection::SqliteThread;
#[cfg(test)]
pub use connection::is_locked_here;

use super::{
    Birth,
    address::Address,
    batch::{Batch, Supplements},
    coverage::{DaySpan, last_of_each_day},
    error::StoreError,
    fence::Fence,
    job_run::JobRuns,
    opening::NoteOpening,
    progress::Progress,
    table::WhereAbsent,
    tables,
};
use crate::market::CandleInterval;
use diesel::{
    QueryResult, QueryableByName, RunQueryDsl, SqliteConnection,
    connection::{Connection, SimpleConnection},
    query_builder::{AstPass, QueryFragment, QueryId},
    sql_query,
    sql_types::BigInt,
    sqlite::Sqlite,
};
use std::path::Path;
use unresolved::mark_unresolved;
use upsert::upsert_all;

/// The writer's side.
pub struct SqliteStore {
    address: Address,
    birth: Birth,
    /// `None` while it rests.
    thread: Option<SqliteThread>,
    pub(super) fence: Fence,
    pub(super) progress: Progress,
}

impl SqliteStore {
    pub(super) async fn open(
        address: Address,
        birth: Birth,
        note: NoteOpening<'_>,
    ) -> Result<SqliteStore, StoreError> {
        let thread = SqliteThread::start(address.clone(), connection::Access::Write(birth), note).await?;
        let (fence, progress) = (Fence::default(), Progress::default());
        Ok(SqliteStore { address, birth, thread: Some(thread), fence, progress })
    }

    pub(super) async fn append(&mut self, batch: &Batch) -> Result<(), StoreError> {
        // The thread outlives a dropped future, so it needs rows of its own; the copy is a fiftieth of the work.
        let (batch, fence, progress) = (batch.clone(), self.fence.clone(), self.progress.clone());
        self.check_log()?;
        self.thread().await?.run(move |connection| write(connection, &batch, &fence, &progress)).await
    }

    /// Runs statements in one transaction.
    pub(super) async fn execute(&mut self, statements: String) -> Result<(), StoreError> {
        let work = move |connection: &mut SqliteConnection| {
            connection.immediate_transaction(|connection| connection.batch_execute(&statements))
        };
        self.thread().await?.run(work).await
    }

    /// Closes the connection, and with it ends a thread whose pages are 8 MiB after a day: what is only emptied stays the
    /// allocator's. A store that ends with its connection stays.
    pub(super) fn rest(&mut self) {
        if !self.address.is_transient() {
            self.thread = None;
        }
    }

    async fn thread(&mut self) -> Result<&SqliteThread, StoreError> {
        let thread = match self.thread.take() {
            Some(thread) => thread,
            None => self.wake().await?,
        };
        Ok(self.thread.insert(thread))
    }

    /// What is committed to a WAL file that was deleted is in no file: other connections do not see it, and a kill loses it.
    /// The connection stays as it is, since another one beside it would write into another WAL file by the same index.
    fn check_log(&self) -> Result<(), StoreError> {
        let (Some(_), Address::SqliteFile { path }) = (&self.thread, &self.address) else { return Ok(()) };
        let Ok(file) = Path::new(path).canonicalize() else { return Ok(()) };
        let mut log = file.into_os_string();
        log.push("-wal");
        match std::fs::symlink_metadata(&log) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Err(StoreError::Lost {
                store: self.address.to_string(),
                reason: format!(
                    "{} was deleted while bhavd has it open; restart bhavd, which writes what is missing from its log",
                    log.display()
                ),
            }),
            _ => Ok(()),
        }
    }

    /// Another file in the place of the one that was left would have this one's checkpoint with the next batch, and nothing
    /// of what came before it.
    async fn wake(&self) -> Result<SqliteThread, StoreError> {
        if let Address::SqliteFile { path } = &self.address
            && !Path::new(path).is_file()
        {
            let reason = "its file is gone; put it back, or restart bhavd, which fills another from the log";
            return Err(StoreError::Lost { store: self.address.to_string(), reason: reason.to_owned() });
        }
        let access = connection::Access::Write(self.birth);
        let woken = SqliteThread::start(self.address.clone(), access, &mut |_| {}).await;
        woken.map_err(|error| match error {
            // It was not refused before: a full disk, which has no room for the files beside it, says the same.
            StoreError::Refused { store, reason } => StoreError::Lost { store, reason },
            other => other,
        })
    }

    /// A connection for reading.
    pub(super) async fn reads(&self) -> Result<SqliteThread, StoreError> {
        match &self.thread {
            Some(thread) if self.address.is_transient() => Ok(thread.clone()),
            _ => SqliteThread::open_to_read(self.address.clone()).await,
        }
    }
}

/// One transaction, whole or not at all.
fn write(
    connection: &mut SqliteConnection,
    batch: &Batch,
    fence: &Fence,
    progress: &Progress,
) -> QueryResult<()> {
    connection.batch_execute("BEGIN IMMEDIATE")?;
    // The lock is held from the beginning on: who writes after the fence waits until this commit or its refusal is over.
    let written = write_rows(connection, batch, progress).and_then(|()| match fence.holds() {
        true => connection.batch_execute("COMMIT"),
        false => Err(diesel::result::Error::RollbackTransaction),
    });
    if written.is_err() {
        // SQLite has already rolled back after some errors (a full disk) and then refuses to do it again. Where it
        // has not and cannot, the next BEGIN says so.
        let _ = connection.batch_execute("ROLLBACK");
    }
    written
}

fn write_rows(connection: &mut SqliteConnection, batch: &Batch, progress: &Progress) -> QueryResult<()> {
    let (days, intraday): (Vec<_>, Vec<_>) =
        batch.candles.iter().partition(|candle| candle.interval == CandleInterval::Day);
    upsert_all::<tables::Instruments>(connection, batch.instruments.iter(), progress)?;
    upsert_all::<tables::ProviderSymbols>(connection, batch.symbols.iter(), progress)?;
    upsert_all::<tables::IntradayOptionOi>(connection, batch.buckets.iter(), progress)?;
    upsert_all::<tables::IntradayUnderlying>(connection, batch.underlyings.iter(), progress)?;
    upsert_all::<tables::OiDeltaLog>(connection, batch.deltas.iter(), progress)?;
    upsert_all::<tables::PriceHistoryIntraday>(connection, intraday.into_iter(), progress)?;
    upsert_all::<tables::PriceHistoryDaily>(connection, days.into_iter(), progress)?;
    mark_unresolved(connection, &batch.unresolved, progress)?;
    upsert_all::<tables::DailyOptionOi>(connection, batch.closes.iter(), progress)?;
    let coverage = last_of_each_day(&batch.coverage);
    for (instrument, date) in coverage.keys() {
        let span = DaySpan::of(*date);
        let (instrument, from, until) = (i64::from(instrument.0), span.from.as_us(), span.until.as_us());
        connection.execute_returning_count(&ClearCoverage { instrument, from, until })?;
        progress.note();
    }
    upsert_all::<tables::Coverage>(connection, coverage.into_values().flatten(), progress)?;
    write_supplements(connection, &batch.supplements, progress)?;
    upsert_all::<tables::Gaps>(connection, batch.gaps.iter(), progress)?;
    upsert_all::<JobRuns>(connection, batch.job_runs.iter(), progress)?;
    upsert_all::<tables::Checkpoints>(connection, batch.checkpoint().iter(), progress)
}

fn write_supplements(
    connection: &mut SqliteConnection,
    rows: &Supplements,
    progress: &Progress,
) -> QueryResult<()> {
    let (days, intraday): (Vec<_>, Vec<_>) =
        rows.candles.iter().partition(|candle| candle.interval == CandleInterval::Day);
    upsert_all::<WhereAbsent<tables::IntradayOptionOi>>(connection, rows.buckets.iter(), progress)?;
    upsert_all::<WhereAbsent<tables::IntradayUnderlying>>(connection, rows.underlyings.iter(), progress)?;
    upsert_all::<WhereAbsent<tables::OiDeltaLog>>(connection, rows.deltas.iter(), progress)?;
    upsert_all::<WhereAbsent<tables::PriceHistoryIntraday>>(connection, intraday.into_iter(), progress)?;
    upsert_all::<WhereAbsent<tables::PriceHistoryDaily>>(connection, days.into_iter(), progress)?;
    upsert_all::<tables::SupplementedOptionOi>(connection, rows.closes.iter(), progress)?;
    let mut coverage = last_of_each_day(&rows.coverage);
    for (instrument, date) in coverage.keys().copied().collect::<Vec<_>>() {
        let span = DaySpan::of(date);
        let stored: i64 = sql_query(
            "SELECT COUNT(*) AS runs FROM coverage WHERE instrument = ? AND from_bucket >= ? AND from_bucket < ?",
        )
        .bind::<BigInt, _>(i64::from(instrument.0))
        .bind::<BigInt, _>(span.from.as_us())
        .bind::<BigInt, _>(span.until.as_us())
        .get_result::<StoredRuns>(connection)?
        .runs;
        if stored > 0 {
            coverage.remove(&(instrument, date));
        }
        progress.note();
    }
    upsert_all::<tables::Coverage>(connection, coverage.into_values().flatten(), progress)
}

/// How many runs of coverage the store has of an instrument's day.
#[derive(QueryableByName)]
struct StoredRuns {
    #[diesel(sql_type = BigInt)]
    runs: i64,
}

/// Deletes an instrument's runs that begin within a day.
#[derive(QueryId)]
struct ClearCoverage {
    instrument: i64,
    from: i64,
    until: i64,
}

impl QueryFragment<Sqlite> for ClearCoverage {
    fn walk_ast<'b>(&'b self, mut pass: AstPass<'_, 'b, Sqlite>) -> QueryResult<()> {
        pass.push_sql("DELETE FROM coverage WHERE instrument = ");
        pass.push_bind_param::<BigInt, i64>(&self.instrument)?;
        pass.push_sql(" AND from_bucket >= ");
        pass.push_bind_param::<BigInt, i64>(&self.from)?;
        pass.push_sql(" AND from_bucket < ");
        pass.push_bind_param::<BigInt, i64>(&self.until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        market::{Bucket, BucketRow, BucketState, InstrumentId, Timestamp},
        store::ErrorClass,
    };
    use chrono::NaiveDate;

    fn batch(rows: u32) -> Batch {
        let mut batch = Batch::new(NaiveDate::from_ymd_opt(2026, 1, 30).expect("a date"), u64::from(rows));
        let bucket = Bucket::containing(Timestamp::from_us(1_769_744_700_000_000));
        batch.buckets = (1..=rows)
            .map(|id| BucketRow {
                open_interest: Some(65_000),
                state: BucketState::Live,
                event_time: Some(bucket.start()),
                received_time: Some(bucket.start()),
                ..BucketRow::missing(bucket, InstrumentId(id))
            })
            .collect();
        batch
    }

    async fn open(address: Address) -> Result<SqliteStore, StoreError> {
        SqliteStore::open(address, Birth::Real, &mut |_| {}).await
    }

    async fn limit_pages(store: &mut SqliteStore, pages: u32) {
        let limit = move |connection: &mut SqliteConnection| {
            connection.batch_execute(&format!("PRAGMA max_page_count = {pages}"))
        };
        store.thread().await.expect("open").run(limit).await.expect("the limit is accepted");
    }

    #[tokio::test]
    async fn a_full_disk_writes_nothing_and_goes_on_after_space_is_made() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("full.db").display().to_string();
        let mut store = open(Address::SqliteFile { path }).await.expect("opens");
        store.append(&batch(10)).await.expect("ten rows fit");
        limit_pages(&mut store, 60).await;
        let big = batch(20_000);
        for _ in 0..2 {
            let error = store.append(&big).await.expect_err("20,000 rows do not fit");
            assert_eq!(error.class(), ErrorClass::DiskFull, "{error}");
            assert!(error.to_string().contains("no space left for the store sqlite:"), "{error}");
            let reader = crate::store::Reader::of_sqlite(store.reads().await.expect("reads"));
            let day = reader.summary(big.session_date).await.expect("a summary");
            assert_eq!(day.rows, 10, "half a batch was written");
            let checkpoint = reader.checkpoint().await.expect("readable").expect("written");
            assert_eq!(checkpoint.spool_seq, 10);
        }
        store.append(&batch(10)).await.expect("what fits is still written");
        limit_pages(&mut store, 1_000_000).await;
        store.append(&big).await.expect("space was made");
        let reader = crate::store::Reader::of_sqlite(store.reads().await.expect("reads"));
        assert_eq!(reader.summary(big.session_date).await.expect("a summary").rows, 20_000);
    }

    #[tokio::test]
    async fn a_writer_that_was_given_up_commits_nothing() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("fenced.db").display().to_string();
        let mut store = open(Address::SqliteFile { path }).await.expect("opens");
        store.append(&batch(3)).await.expect("written");
        store.fence = Fence::new(|| false);
        let error = store.append(&batch(10)).await.expect_err("refused");
        assert!(matches!(error, StoreError::Fenced { .. }), "{error}");
        store.fence = Fence::default();
        let reader = crate::store::Reader::of_sqlite(store.reads().await.expect("reads"));
        assert_eq!(reader.checkpoint().await.expect("readable").expect("written").spool_seq, 3);
        store.append(&batch(10)).await.expect("the transaction was rolled back");
    }

    #[tokio::test]
    async fn a_locked_store_is_busy() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("busy.db").display().to_string();
        let address = Address::SqliteFile { path };
        let mut store = open(address.clone()).await.expect("opens");
        let mut other = open(address).await.expect("opens");
        let lock = |connection: &mut SqliteConnection| connection.batch_execute("BEGIN IMMEDIATE");
        other.thread().await.expect("open").run(lock).await.expect("locks");
        let impatient =
            |connection: &mut SqliteConnection| connection.batch_execute("PRAGMA busy_timeout = 1");
        store.thread().await.expect("open").run(impatient).await.expect("is set");
        let error = store.append(&batch(1)).await.expect_err("the other one holds the lock");
        assert_eq!(error.class(), ErrorClass::Retry, "{error}");
        other
            .thread()
            .await
            .expect("open")
            .run(|connection| connection.batch_execute("ROLLBACK"))
            .await
            .expect("unlocks");
        store.append(&batch(1)).await.expect("the lock is gone");
    }

    const READ_BY_ANOTHER: &str = "BHAVD_TEST_READ_BY_ANOTHER";

    /// What another program does: opens a file, reads, closes.
    #[test]
    fn reads_a_file_as_another_process() {
        let Ok(path) = std::env::var(READ_BY_ANOTHER) else { return };
        let mut other = SqliteConnection::establish(&path).expect("opens");
        other.batch_execute("SELECT * FROM intraday_option_oi").expect("reads");
    }

    #[tokio::test]
    async fn another_program_that_reads_and_closes_leaves_the_log_of_an_open_store() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("shared.db");
        let log = directory.path().join("shared.db-wal");
        let address = Address::SqliteFile { path: path.display().to_string() };
        let mut store = open(address.clone()).await.expect("opens");
        store.append(&batch(1)).await.expect("one row");
        let reader = crate::store::Reader::of_sqlite(store.reads().await.expect("reads"));
        for rows in 2..4 {
            let other = std::process::Command::new(std::env::current_exe().expect("the tests' binary"))
                .args(["--exact", "store::sqlite::tests::reads_a_file_as_another_process"])
                .env(READ_BY_ANOTHER, &path)
                .output()
                .expect("runs");
            let output = String::from_utf8_lossy(&other.stdout);
            assert!(other.status.success() && output.contains("1 passed"), "{output}");
            assert!(log.exists(), "the other program took itself for the last one");
            // Not every SQLite that finds no lock deletes the log: the other program's may look at more.
            assert!(is_locked_here(&path), "the locks are lost");
            store.append(&batch(rows)).await.expect("written");
            let date = batch(1).session_date;
            let fresh = SqliteThread::open_to_read(address.clone()).await.expect("opens");
            for reader in [&reader, &crate::store::Reader::of_sqlite(fresh)] {
                assert_eq!(reader.summary(date).await.expect("a summary").rows, i64::from(rows));
            }
        }
    }

    #[tokio::test]
    async fn a_log_that_is_deleted_under_an_open_store_is_named() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("cut.db");
        let mut store = open(Address::SqliteFile { path: path.display().to_string() }).await.expect("opens");
        store.append(&batch(1)).await.expect("one row");
        std::fs::remove_file(directory.path().join("cut.db-wal")).expect("deleted");
        let error = store.append(&batch(2)).await.expect_err("the row would be in no file");
        assert_eq!(error.class(), ErrorClass::Retry, "{error}");
        let text = error.to_string();
        assert!(text.contains("cut.db-wal was deleted") && text.contains("restart bhavd"), "{text}");
    }

    #[tokio::test]
    async fn a_file_that_is_no_database_is_named() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("notes.txt");
        std::fs::write(&path, "not a database, but long enough to be read as one ".repeat(40))
            .expect("writes");
        let address = Address::SqliteFile { path: path.display().to_string() };
        let error = open(address).await.err().expect("refused");
        assert_eq!(error.class(), ErrorClass::Configuration, "{error}");
        assert!(error.to_string().contains("notes.txt"), "{error}");
    }

    #[tokio::test]
    async fn a_store_that_rested_goes_on_where_it_was() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("rested.db").display().to_string();
        for address in [Address::SqliteFile { path }, Address::SqliteMemory, Address::SqliteScratch] {
            let mut store = open(address).await.expect("opens");
            store.append(&batch(1)).await.expect("one row");
            for rows in 2..4 {
                store.rest();
                store.rest();
                let reader = crate::store::Reader::of_sqlite(store.reads().await.expect("reads"));
                let date = batch(1).session_date;
                assert_eq!(reader.summary(date).await.expect("a summary").rows, i64::from(rows) - 1);
                store.append(&batch(rows)).await.expect("further rows");
            }
        }
    }

    #[tokio::test]
    async fn a_rested_store_that_cannot_be_opened_is_tried_again() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("rested.db");
        let log = directory.path().join("rested.db-wal");
        let mut store = open(Address::SqliteFile { path: path.display().to_string() }).await.expect("opens");
        store.append(&batch(1)).await.expect("one row");
        store.rest();
        // The connection is closed on its thread.
        while log.exists() {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        std::fs::create_dir(&log).expect("in SQLite's way");
        for _ in 0..2 {
            let error = store.append(&batch(2)).await.expect_err("its log cannot be made");
            assert_eq!(error.class(), ErrorClass::Retry, "{error}");
        }
        std::fs::remove_dir(&log).expect("out of the way");
        store.append(&batch(2)).await.expect("goes on");
    }
}
