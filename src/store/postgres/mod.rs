//! The record in PostgreSQL: one connection that writes, others that read.
//!
//! Rows of the large tables mostly have new keys: they are copied straight into the table, sorted by key, under a
//! savepoint. Only when a key exists already, and for tables whose rows mostly exist, are they copied into a
//! temporary table and merged. The tables are plain ones: partitions would help whoever drops old rows, and nothing
//! does.

mod connection;
mod copy;
mod unresolved;

pub(super) use connection::PostgresReads;

use super::{
    Birth,
    address::Address,
    batch::{Batch, Checkpoint, Supplements},
    coverage::{DaySpan, last_of_each_day},
    error::StoreError,
    fence::Fence,
    job_run::JobRuns,
    migrate,
    opening::{NoteOpening, OpeningSign, watched},
    progress::Progress,
    table::WhereAbsent,
    tables,
};
use crate::market::{CandleInterval, TradingDate};
use connection::{Link, classify};
use copy::write_all;
use futures_util::FutureExt;
use std::collections::{BTreeMap, BTreeSet};
use tokio::sync::oneshot;
use tokio_postgres::{Error, Transaction};
use unresolved::mark_unresolved;

/// The writer's side. After the connection was lost the next batch opens another one.
pub struct PostgresStore {
    address: Address,
    birth: Birth,
    link: Option<Link>,
    pub(super) fence: Fence,
    pub(super) progress: Progress,
}

impl PostgresStore {
    pub(super) async fn open(
        address: Address,
        birth: Birth,
        note: NoteOpening<'_>,
    ) -> Result<PostgresStore, StoreError> {
        let mut store = PostgresStore {
            address,
            birth,
            link: None,
            fence: Fence::default(),
            progress: Progress::default(),
        };
        // Says what is wrong with the address or the server before the migrations would, in their words.
        let link = Link::connect(&store.address).await?;
        store.migrate(&link, note).await?;
        store.claim(&link).await?;
        store.link = Some(link);
        Ok(store)
    }

    pub(super) fn url(&self) -> &str {
        match &self.address {
            Address::Postgres { url } => url,
            // Only an address of PostgreSQL is given to this store.
            _ => "",
        }
    }

    /// diesel-async's harness blocks the thread it runs on, which an actix arbiter forbids. `link` looks at it meanwhile.
    #[expect(
        clippy::disallowed_methods,
        reason = "the caller waits for its outcome and watches it meanwhile"
    )]
    async fn migrate(&self, link: &Link, note: NoteOpening<'_>) -> Result<(), StoreError> {
        let (url, store) = (self.url().to_owned(), self.address.to_string());
        let lost = |reason: String| StoreError::Lost { store: store.clone(), reason };
        let (done, outcome) = oneshot::channel();
        let (begun, backend) = oneshot::channel();
        let name = store.clone();
        let work = move || {
            // Whoever opens may have gone.
            let begun = |pid| {
                let _ = begun.send(pid);
            };
            let _ = done.send(migrate::postgres(&url, &name, begun));
        };
        std::thread::Builder::new()
            .name("migrations".to_owned())
            .spawn(work)
            .map_err(|error| lost(error.to_string()))?;
        let backend = backend.shared();
        let look = async || match backend.clone().await {
            Ok(pid) => look_at_backend(link, pid).await,
            // The outcome says why.
            Err(_) => OpeningSign::Still,
        };
        let outcome = watched(outcome, look, note).await;
        outcome.map_err(|_| lost("the thread of the migrations ended".to_owned()))?
    }

    async fn claim(&self, link: &Link) -> Result<(), StoreError> {
        let store = self.address.to_string();
        let client = &link.client;
        let failed = |error| classify(&store, error);
        client.batch_execute(&migrate::claim(self.birth)).await.map_err(failed)?;
        let text = migrate::birth_query().text;
        let born: Vec<String> =
            client.query(&*text, &[]).await.map_err(failed)?.iter().map(|row| row.get(0)).collect();
        migrate::check_birth(&store, born.first().map(String::as_str), self.birth)?;
        client.batch_execute(&migrate::names()).await.map_err(failed)
    }

    /// Runs statements in one transaction.
    pub(super) async fn execute(&mut self, statements: &str) -> Result<(), StoreError> {
        let store = self.address.to_string();
        let link = self.linked().await?;
        let done = async {
            let transaction = link.client.transaction().await?;
            transaction.batch_execute(statements).await?;
            transaction.commit().await
        };
        done.await.map_err(|error| classify(&store, error))
    }

    pub(super) async fn append(&mut self, batch: &Batch) -> Result<(), StoreError> {
        let (fence, progress) = (self.fence.clone(), self.progress.clone());
        let link = self.linked().await?;
        let written = write(link, batch, &fence, &progress).await;
        let store = || self.address.to_string();
        match written {
            Ok(true) => Ok(()),
            Ok(false) => Err(StoreError::Fenced { store: store() }),
            Err(error) => Err(classify(&store(), error)),
        }
    }

    /// The connection; another one where it was lost.
    async fn linked(&mut self) -> Result<&mut Link, StoreError> {
        let link = match self.link.take() {
            Some(link) if !link.client.is_closed() => link,
            _ => {
                let link = Link::connect(&self.address).await?;
                self.claim(&link).await?;
                link
            }
        };
        Ok(self.link.insert(link))
    }
}

/// Whether the process on the server works for us: one that waits for a lock may wait for ever, and one that is idle waits
/// for us. The statement says what `pg_stat_activity` shows of it (PostgreSQL's manual, 28.2.3).
async fn look_at_backend(link: &Link, pid: i32) -> OpeningSign {
    let text = "SELECT 1 FROM pg_stat_activity WHERE pid = $1 AND state = 'active' \
                AND wait_event_type IS DISTINCT FROM 'Lock'";
    match link.client.query_opt(text, &[&pid]).await {
        Ok(Some(_)) => OpeningSign::AtWork,
        Ok(None) | Err(_) => OpeningSign::Still,
    }
}

/// One transaction. Dropped before its end it is rolled back by the client. False if the fence forbade the commit.
async fn write(link: &mut Link, batch: &Batch, fence: &Fence, progress: &Progress) -> Result<bool, Error> {
    let (days, intraday): (Vec<_>, Vec<_>) =
        batch.candles.iter().partition(|candle| candle.interval == CandleInterval::Day);
    let mut transaction = link.client.transaction().await?;
    let at = &mut transaction;
    write_all::<tables::Instruments>(at, batch.instruments.iter(), progress).await?;
    write_all::<tables::ProviderSymbols>(at, batch.symbols.iter(), progress).await?;
    write_all::<tables::IntradayOptionOi>(at, batch.buckets.iter(), progress).await?;
    write_all::<tables::IntradayUnderlying>(at, batch.underlyings.iter(), progress).await?;
    write_all::<tables::OiDeltaLog>(at, batch.deltas.iter(), progress).await?;
    write_all::<tables::PriceHistoryIntraday>(at, intraday.into_iter(), progress).await?;
    write_all::<tables::PriceHistoryDaily>(at, days.into_iter(), progress).await?;
    mark_unresolved(at, &batch.unresolved, progress).await?;
    write_all::<tables::DailyOptionOi>(at, batch.closes.iter(), progress).await?;
    let coverage = last_of_each_day(&batch.coverage);
    clear_coverage(at, coverage.keys().copied()).await?;
    progress.note();
    write_all::<tables::Coverage>(at, coverage.into_values().flatten(), progress).await?;
    write_supplements(at, &batch.supplements, progress).await?;
    write_all::<tables::Gaps>(at, batch.gaps.iter(), progress).await?;
    write_all::<JobRuns>(at, batch.job_runs.iter(), progress).await?;
    if let Some(checkpoint) = batch.checkpoint() {
        write_checkpoint(at, &checkpoint).await?;
    }
    if !fence.holds() {
        transaction.rollback().await?;
        return Ok(false);
    }
    transaction.commit().await?;
    Ok(true)
}

async fn write_supplements(
    at: &mut Transaction<'_>,
    rows: &Supplements,
    progress: &Progress,
) -> Result<(), Error> {
    let (days, intraday): (Vec<_>, Vec<_>) =
        rows.candles.iter().partition(|candle| candle.interval == CandleInterval::Day);
    write_all::<WhereAbsent<tables::IntradayOptionOi>>(at, rows.buckets.iter(), progress).await?;
    write_all::<WhereAbsent<tables::IntradayUnderlying>>(at, rows.underlyings.iter(), progress).await?;
    write_all::<WhereAbsent<tables::OiDeltaLog>>(at, rows.deltas.iter(), progress).await?;
    write_all::<WhereAbsent<tables::PriceHistoryIntraday>>(at, intraday.into_iter(), progress).await?;
    write_all::<WhereAbsent<tables::PriceHistoryDaily>>(at, days.into_iter(), progress).await?;
    write_all::<tables::SupplementedOptionOi>(at, rows.closes.iter(), progress).await?;
    let mut coverage = last_of_each_day(&rows.coverage);
    let dates: BTreeSet<TradingDate> = coverage.keys().map(|(_, date)| *date).collect();
    for date in dates {
        let span = DaySpan::of(date);
        let instruments: Vec<i64> = coverage
            .keys()
            .filter(|key| key.1 == date)
            .map(|(instrument, _)| i64::from(instrument.0))
            .collect();
        let text = "SELECT DISTINCT instrument FROM coverage \
                    WHERE instrument = ANY($1) AND from_bucket >= $2 AND from_bucket < $3";
        let stored = at.query(text, &[&instruments, &span.from.as_us(), &span.until.as_us()]).await?;
        let stored: BTreeSet<i64> = stored.iter().map(|row| row.get(0)).collect();
        coverage.retain(|(instrument, of), _| *of != date || !stored.contains(&i64::from(instrument.0)));
        progress.note();
    }
    write_all::<tables::Coverage>(at, coverage.into_values().flatten(), progress).await
}

/// Deletes the runs that begin within the given instruments' days, one statement a date.
async fn clear_coverage(
    transaction: &Transaction<'_>,
    days: impl Iterator<Item = (crate::market::InstrumentId, TradingDate)>,
) -> Result<(), Error> {
    let mut by_date: BTreeMap<TradingDate, Vec<i64>> = BTreeMap::new();
    for (instrument, date) in days {
        by_date.entry(date).or_default().push(i64::from(instrument.0));
    }
    for (date, instruments) in by_date {
        let span = DaySpan::of(date);
        let text =
            "DELETE FROM coverage WHERE instrument = ANY($1) AND from_bucket >= $2 AND from_bucket < $3";
        transaction.execute(text, &[&instruments, &span.from.as_us(), &span.until.as_us()]).await?;
    }
    Ok(())
}

/// One row in every batch: a plain statement is cheaper than a copy.
async fn write_checkpoint(transaction: &Transaction<'_>, checkpoint: &Checkpoint) -> Result<(), Error> {
    use super::table::{Cell, Table};
    let mut values = Vec::new();
    tables::Checkpoints::cells(checkpoint, |cell| {
        values.push(match cell {
            Cell::Text(text) => format!("'{text}'"),
            Cell::Big(value) => value.to_string(),
            Cell::Small(_) | Cell::Int(_) | Cell::Null => String::from("NULL"),
        });
    });
    let text = format!(
        "INSERT INTO {} ({}) VALUES ({}){}",
        tables::Checkpoints::NAME,
        tables::Checkpoints::COLUMNS.join(", "),
        values.join(", "),
        tables::Checkpoints::on_conflict()
    );
    transaction.batch_execute(&text).await
}
