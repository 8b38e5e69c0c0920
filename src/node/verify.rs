//! `replay verify`: works a day's log off again, into a store of its own, and compares the two records of the day.

use crate::{
    control::{ControlError, ReplayRow, ReplayVerifyResponse},
    market::TradingDate,
    pipeline::{Catalog, NoLive, Pipeline, PipelineSettings},
    spool::{self, DeadLetters, Mark, NewRecord, Record, Source, SpoolError, SpoolReader},
    store::{self, Batch, Birth, DayDump, Reader, Store, StoreError},
};
use std::{collections::BTreeSet, path::Path, time::Instant};

/// Differences told in words.
const DIFFERENCES_MAX: usize = 20;
/// Rows gathered before they are written.
const ROWS_MAX: usize = 50_000;
/// Records worked off in one turn.
const TURN_RECORDS: u64 = 64;

/// What can end a verification without a verdict.
#[derive(Debug, thiserror::Error)]
enum VerifyError {
    #[error(transparent)]
    Spool(#[from] SpoolError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Replays the day's log over what the store knew before and compares every table of the day, line by line.
///
/// # Errors
/// [`ControlError::NoData`] if the day has no log, [`ControlError::Unavailable`] if log or store cannot be read.
pub async fn verify_day(
    url: &str,
    spool_directory: &Path,
    settings: &PipelineSettings,
    date: TradingDate,
) -> Result<ReplayVerifyResponse, ControlError> {
    let began = Instant::now();
    let unavailable = |error: VerifyError| ControlError::Unavailable { reason: error.to_string() };
    let replayed = replay(url, spool_directory, settings, date).await.map_err(unavailable)?;
    let Replayed { records, day: replayed, mut damages } = replayed;
    if records == 0 {
        let reason = format!("the log in {} has nothing of {date}", spool_directory.display());
        return Err(ControlError::NoData { reason });
    }
    let stored = stored_day(url, date).await.map_err(unavailable)?;
    let (rows, differences) = compare(&stored, &replayed);
    // They explain the others.
    damages.extend(differences);
    damages.truncate(DIFFERENCES_MAX);
    Ok(ReplayVerifyResponse {
        date,
        equal: rows.iter().all(|row| row.different == 0),
        records,
        rows,
        differences: damages,
        took_ms: u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
    })
}

async fn stored_day(url: &str, date: TradingDate) -> Result<DayDump, VerifyError> {
    Ok(Reader::open(url).await?.dump_day(date).await?)
}

/// What the log gives.
struct Replayed {
    records: u64,
    day: DayDump,
    /// Parts of the log that are lost, in words.
    damages: Vec<String>,
}

async fn replay(
    url: &str,
    spool_directory: &Path,
    settings: &PipelineSettings,
    date: TradingDate,
) -> Result<Replayed, VerifyError> {
    let reader = Reader::open(url).await?;
    let mut symbols = reader.symbols().await?;
    symbols.retain(|row| row.valid_from < date);
    let catalog = Catalog::new(reader.instruments().await?, symbols, reader.final_open_interest(date).await?);
    drop(reader);
    let mut pipeline = Pipeline::new(settings.clone(), catalog);
    let mut store = store::open("sqlite::memory:", Birth::Simulated).await?;
    let mut batch = Batch::new(date, 0);
    let (mut records, mut damages) = (0, Vec::new());
    // What was left out live is left out here.
    let dead_letters = DeadLetters::read(spool_directory)?;
    for read in SpoolReader::open(spool_directory, date)? {
        let record = match read {
            Ok(record) => record,
            Err(SpoolError::Damaged(damage)) => {
                damages.push(format!("a part of the log is lost: {damage}"));
                pipeline.note_loss();
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        records += 1;
        if dead_letters.contains(record.seq) {
            continue;
        }
        pipeline.apply(&record, &mut NoLive, &mut batch);
        if batch.row_count() >= ROWS_MAX {
            store.append(&batch).await?;
            batch = Batch::new(date, batch.spool_seq);
        }
        if records % TURN_RECORDS == 0 {
            // A day is a lot of work for a thread that serves others too.
            tokio::task::yield_now().await;
        }
    }
    if let Some(record) = first_record_after(spool_directory, date, &dead_letters)? {
        pipeline.apply(&record, &mut NoLive, &mut batch);
    }
    store.append(&batch).await?;
    let replayed = store.reader().await?.dump_day(date).await?;
    Ok(Replayed { records, day: replayed, damages })
}

/// The record by which the day was over, if it is not the log's last. It says that time has passed, and whether the daemon
/// was running; what else it brings belongs to its own day.
fn first_record_after(
    spool_directory: &Path,
    date: TradingDate,
    dead_letters: &DeadLetters,
) -> Result<Option<Record>, SpoolError> {
    for date in spool::days(spool_directory)?.into_iter().filter(|later| *later > date) {
        for record in SpoolReader::open(spool_directory, date)? {
            let record = record?;
            if dead_letters.contains(record.seq) {
                continue;
            }
            if record.source == Source::Mark {
                return Ok(Some(record));
            }
            return Ok(Some(NewRecord::mark(record.received_time, &Mark::clock([])).numbered(record.seq)));
        }
    }
    Ok(None)
}

/// Counts by table, and the first differences.
fn compare(stored: &DayDump, replayed: &DayDump) -> (Vec<ReplayRow>, Vec<String>) {
    let tables: BTreeSet<&String> = stored.keys().chain(replayed.keys()).collect();
    let (mut rows, mut differences) = (Vec::new(), Vec::new());
    let none = Vec::new();
    for table in tables {
        let ours: BTreeSet<&String> = stored.get(table).unwrap_or(&none).iter().collect();
        let theirs: BTreeSet<&String> = replayed.get(table).unwrap_or(&none).iter().collect();
        let only_stored = ours.difference(&theirs).map(|line| format!("{table}: stored only: {line}"));
        let only_replayed = theirs.difference(&ours).map(|line| format!("{table}: replayed only: {line}"));
        let different: Vec<String> = only_stored.chain(only_replayed).collect();
        rows.push(ReplayRow {
            what: table.clone(),
            stored: ours.len() as u64,
            replayed: theirs.len() as u64,
            different: different.len() as u64,
        });
        let room = DIFFERENCES_MAX - differences.len();
        differences.extend(different.into_iter().take(room));
    }
    (rows, differences)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_difference_is_counted_and_the_first_are_told() {
        let dump = |lines: &[&str]| {
            DayDump::from([("t".to_owned(), lines.iter().map(|l| (*l).to_owned()).collect())])
        };
        let (rows, differences) = compare(&dump(&["a", "b"]), &dump(&["b", "c"]));
        assert_eq!((rows[0].stored, rows[0].replayed, rows[0].different), (2, 2, 2));
        assert_eq!(differences, ["t: stored only: a", "t: replayed only: c"]);
        let (rows, differences) = compare(&dump(&["a"]), &dump(&["a"]));
        assert_eq!((rows[0].different, differences.len()), (0, 0));
    }
}
