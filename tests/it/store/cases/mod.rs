//! The cases. Each gets a place without a store.

mod batches;
mod candles;
mod days;
mod versions;
mod views;

pub use self::{batches::*, candles::*, days::*, versions::*, views::*};

use super::{place::Place, sample::*};
use bhavd::{
    market::{
        Bucket, BucketRow, BucketState, Candle, CandleInterval, Contract, DayClose, Exchange, InstrumentId,
        OiBase, OptionType, Price, Provider, TradingDate, UnderlyingRow, UnresolvedCandle,
    },
    store::{
        self, Batch, Birth, Checkpoint, CoverageDay, DeltaFilter, ErrorClass, Fence, GapRow, InstrumentRow,
        JobRun, JobRunFilter, Reader, RunState, StateCounts, Store, StoreError, Supplements,
    },
};
use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

fn checkpoint(spool_seq: u64) -> Option<Checkpoint> {
    Some(Checkpoint { spool_seq, session_date: date() })
}

fn texts(values: &[&str]) -> Vec<Option<String>> {
    values.iter().map(|value| (*value != "NULL").then(|| (*value).to_owned())).collect()
}

fn job_run(job: &str, session_date: TradingDate, attempt: u32, state: RunState) -> JobRun {
    let started = at(16, 35, 0).plus_seconds(attempt.into());
    let ended = (state != RunState::Running).then(|| started.plus_seconds(9));
    let error = (state == RunState::Failed).then(|| "no space".to_owned());
    JobRun { job: job.to_owned(), session_date, attempt, state, started, ended, error }
}
