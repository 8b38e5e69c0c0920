//! SQL: the record.
//!
//! A [`Store`] takes batches, each one transaction that carries the checkpoint of the log; a [`Reader`] has a
//! connection of its own and answers questions. SQLite and PostgreSQL keep the same tables, columns and views
//! (`migrations/`), so that a day dumped from one equals the day dumped from the other.
//!
//! Representation, alike in both: instants are BIGINT microseconds of UTC, dates are `YYYY-MM-DD` text, prices are
//! BIGINT 1/10,000 rupee, open interest and volumes are BIGINT units. The views turn them into IST text and rupees.
//!
//! Invariants: writes are upserts by key, so a repeated batch changes nothing; a row of a lower revision never
//! replaces one of a higher, and no row clears a candle's mark; a batch is stored whole with its checkpoint or not at
//! all; a store born for real data never opens for a simulation, nor the other way round.
//!
//! Left out: deleting old rows ([`OpenStore::forget_from`] takes back new ones), and with it partitions and hypertables, which serve that; TLS to PostgreSQL; pools
//! (there is one writer, and readers open what they need).

mod address;
mod batch;
mod contracts;
mod coverage;
mod dump;
mod error;
mod fence;
mod forget;
mod job_run;
mod migrate;
mod opening;
mod postgres;
mod progress;
mod query;
mod reader;
mod report;
mod rows;
mod sqlite;
mod table;
mod tables;

pub use address::Address;
pub use batch::{Batch, Checkpoint, CoverageDay, GapRow, InstrumentRow, ProviderSymbolRow, Supplements};
pub use dump::{DayDump, DayPart, day_parts, dumped_tables};
pub use error::{ErrorClass, StoreError};
pub use fence::Fence;
pub use job_run::{JobRun, JobRunFilter, RunState};
pub use opening::{NoteOpening, OpeningSign, ThreadWatch};
pub use postgres::PostgresStore;
pub use progress::Progress;
pub use reader::Reader;
pub use report::{BucketStates, CoverageReport, DaySummary, StateCounts, UnderlyingCoverage};
pub use rows::{DeltaFilter, DeltaRow, IndexPrices, Side, SnapshotRow};
pub use sqlite::SqliteStore;
#[cfg(test)]
pub use sqlite::is_locked_here;

use crate::market::{InstrumentId, TradingDate};
use std::{fmt, future::Future};

/// What kind of data a store holds, for as long as it exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Birth {
    Real,
    Simulated,
}

impl Birth {
    pub const fn name(self) -> &'static str {
        match self {
            Birth::Real => "real",
            Birth::Simulated => "simulated",
        }
    }

    pub fn from_name(name: &str) -> Option<Birth> {
        [Birth::Real, Birth::Simulated].into_iter().find(|birth| birth.name() == name)
    }
}

impl fmt::Display for Birth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// The writer's side of the record. One task owns it.
pub trait Store {
    /// Writes a batch in one transaction. After an error of class [`ErrorClass::Retry`] or [`ErrorClass::DiskFull`]
    /// nothing of it is stored, or (where the connection broke at the commit) all of it: write it again either way.
    fn append(&mut self, batch: &Batch) -> impl Future<Output = Result<(), StoreError>>;

    /// A connection for questions; it sees what was committed.
    fn reader(&self) -> impl Future<Output = Result<Reader, StoreError>>;

    /// Up to where the log is contained. `None` in a store nothing was written to.
    fn checkpoint(&self) -> impl Future<Output = Result<Option<Checkpoint>, StoreError>> {
        async { self.reader().await?.checkpoint().await }
    }

    /// Every instrument ever recorded, by id.
    fn instruments(&self) -> impl Future<Output = Result<Vec<InstrumentRow>, StoreError>> {
        async { self.reader().await?.instruments().await }
    }

    /// See [`Reader::final_open_interest`].
    fn final_open_interest(
        &self,
        before: TradingDate,
    ) -> impl Future<Output = Result<Vec<(InstrumentId, i64)>, StoreError>> {
        async move { self.reader().await?.final_open_interest(before).await }
    }
}

/// A store of either kind.
pub enum OpenStore {
    Sqlite(SqliteStore),
    Postgres(PostgresStore),
}

/// Opens a store for writing: brings its schema up to date, then claims it as `birth` or refuses it.
///
/// `url` is `sqlite:PATH`, `sqlite::memory:`, a plain path, or `postgres://…`; see [`Address`].
pub async fn open(url: &str, birth: Birth) -> Result<OpenStore, StoreError> {
    open_noting(url, birth, &mut |_| {}).await
}

/// As [`open`], and tells once a second whether the database works at it.
pub async fn open_noting(url: &str, birth: Birth, note: NoteOpening<'_>) -> Result<OpenStore, StoreError> {
    let address = Address::parse(url)?;
    Ok(match address {
        Address::Postgres { .. } => OpenStore::Postgres(PostgresStore::open(address, birth, note).await?),
        _ => OpenStore::Sqlite(SqliteStore::open(address, birth, note).await?),
    })
}

/// A store that nobody else sees and that is gone when it is dropped. What does not fit into a small cache goes into a file
/// without a name in the system's directory for temporary files.
pub async fn open_scratch(birth: Birth) -> Result<OpenStore, StoreError> {
    Ok(OpenStore::Sqlite(SqliteStore::open(Address::SqliteScratch, birth, &mut |_| {}).await?))
}

impl OpenStore {
    /// What is asked before every commit from now on.
    pub fn set_fence(&mut self, fence: Fence) {
        match self {
            OpenStore::Sqlite(store) => store.fence = fence,
            OpenStore::Postgres(store) => store.fence = fence,
        }
    }

    /// Gives back memory that is kept to write fast. The next batch may be written at any time, and takes a little longer.
    pub fn rest(&mut self) {
        match self {
            OpenStore::Sqlite(store) => store.rest(),
            // Its cache is the server's.
            OpenStore::Postgres(_) => {}
        }
    }

    /// Takes back every row of the checkpoint's day and of later ones, in one transaction: the store contains the log up to
    /// `checkpoint` afterwards. For records that were set aside because the machine's clock
    /// was ahead, and for days of which a lost part of the log is back.
    pub async fn forget_from(&mut self, checkpoint: Checkpoint) -> Result<(), StoreError> {
        let statements = forget::statements(&checkpoint);
        match self {
            OpenStore::Sqlite(store) => store.execute(statements).await,
            OpenStore::Postgres(store) => store.execute(&statements).await,
        }
    }

    /// Who is told of each piece of a transaction from now on.
    pub fn set_progress(&mut self, progress: Progress) {
        match self {
            OpenStore::Sqlite(store) => store.progress = progress,
            OpenStore::Postgres(store) => store.progress = progress,
        }
    }
}

impl Store for OpenStore {
    async fn append(&mut self, batch: &Batch) -> Result<(), StoreError> {
        match self {
            OpenStore::Sqlite(store) => store.append(batch).await,
            OpenStore::Postgres(store) => store.append(batch).await,
        }
    }

    async fn reader(&self) -> Result<Reader, StoreError> {
        match self {
            OpenStore::Sqlite(store) => Ok(Reader::of_sqlite(store.reads().await?)),
            OpenStore::Postgres(store) => Reader::open(store.url()).await,
        }
    }
}
