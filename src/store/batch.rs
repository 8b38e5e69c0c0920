//! What is written at once, and the rows that are the store's own.

use super::job_run::JobRun;
use crate::market::{
    Bucket, BucketRow, Candle, Contract, CoverageRun, DayClose, InstrumentId, OiDelta, Price, Provider,
    ProviderToken, Timestamp, TradingDate, UnderlyingRow, UnresolvedCandle,
};
use std::sync::Arc;

/// One transaction. Every row replaces the stored one of its key (see each table), so repeating a batch changes
/// nothing. Rows of one key within a batch count in their order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    pub session_date: TradingDate,
    /// The checkpoint: the outcome of the log up to this record is contained once the batch is committed. 0 in a batch that
    /// is none of the log's outcome: it leaves the checkpoint as it is.
    pub spool_seq: u64,
    pub instruments: Vec<InstrumentRow>,
    pub symbols: Vec<ProviderSymbolRow>,
    pub buckets: Vec<BucketRow>,
    pub deltas: Vec<OiDelta>,
    pub candles: Vec<Candle>,
    /// Candles to be marked as `resolve_required`, after those of this batch are written.
    pub unresolved: Vec<UnresolvedCandle>,
    pub underlyings: Vec<UnderlyingRow>,
    pub closes: Vec<DayClose>,
    pub coverage: Vec<CoverageDay>,
    pub gaps: Vec<GapRow>,
    pub supplements: Supplements,
    /// None of the log's outcome, whatever the checkpoint.
    pub job_runs: Vec<JobRun>,
}

impl Batch {
    /// A batch of no rows; written, it only moves the checkpoint.
    pub fn new(session_date: TradingDate, spool_seq: u64) -> Batch {
        Batch {
            session_date,
            spool_seq,
            instruments: Vec::new(),
            symbols: Vec::new(),
            buckets: Vec::new(),
            deltas: Vec::new(),
            candles: Vec::new(),
            unresolved: Vec::new(),
            underlyings: Vec::new(),
            closes: Vec::new(),
            coverage: Vec::new(),
            gaps: Vec::new(),
            supplements: Supplements::default(),
            job_runs: Vec::new(),
        }
    }

    /// A batch of one run, which moves no checkpoint.
    pub fn of_job_run(run: JobRun) -> Batch {
        let session_date = run.session_date;
        Batch { job_runs: vec![run], ..Batch::new(session_date, 0) }
    }

    /// `None` if the batch is none of the log's outcome.
    pub fn checkpoint(&self) -> Option<Checkpoint> {
        let Batch { spool_seq, session_date, .. } = *self;
        (spool_seq > 0).then_some(Checkpoint { spool_seq, session_date })
    }

    /// Whether there are no rows, whatever the checkpoint.
    pub fn is_empty(&self) -> bool {
        self.row_count() == 0
    }

    /// Rows of all kinds, a coverage day counting as its runs.
    pub fn row_count(&self) -> usize {
        self.outcome_row_count() + self.job_runs.len()
    }

    /// Rows that the log gives.
    pub fn outcome_row_count(&self) -> usize {
        self.instruments.len()
            + self.symbols.len()
            + self.buckets.len()
            + self.deltas.len()
            + self.candles.len()
            + self.unresolved.len()
            + self.underlyings.len()
            + self.closes.len()
            + self.coverage.iter().map(|day| day.runs.len().max(1)).sum::<usize>()
            + self.gaps.len()
            + self.supplements.row_count()
    }

    /// Rows of a bucket that a store takes one after the other when this batch is written: a supplement only where it has none.
    pub fn bucket_rows(
        &self,
        instrument: InstrumentId,
        bucket: Bucket,
        has_row: bool,
    ) -> impl Iterator<Item = &BucketRow> {
        let is_asked = move |row: &&BucketRow| row.instrument == instrument && row.bucket == bucket;
        let has_row = has_row || self.buckets.iter().any(|row| is_asked(&row));
        let supplements = self.supplements.buckets.iter().filter(is_asked).take(usize::from(!has_row));
        self.buckets.iter().filter(is_asked).chain(supplements)
    }

    /// Adds what a later batch of the same session holds and takes over its checkpoint, if it has one.
    pub fn merge(&mut self, later: Batch) {
        if later.spool_seq > 0 || self.spool_seq == 0 {
            self.session_date = later.session_date;
        }
        self.spool_seq = self.spool_seq.max(later.spool_seq);
        self.instruments.extend(later.instruments);
        self.symbols.extend(later.symbols);
        self.buckets.extend(later.buckets);
        self.deltas.extend(later.deltas);
        self.candles.extend(later.candles);
        self.unresolved.extend(later.unresolved);
        self.underlyings.extend(later.underlyings);
        self.closes.extend(later.closes);
        self.coverage.extend(later.coverage);
        self.gaps.extend(later.gaps);
        self.supplements.merge(later.supplements);
        self.job_runs.extend(later.job_runs);
    }
}

/// Rows that follow from a log which lost a part of their time. They are written, after all others of the batch, only where the
/// store has none: the rows that it has may be made of the lost part.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Supplements {
    pub buckets: Vec<BucketRow>,
    pub underlyings: Vec<UnderlyingRow>,
    pub deltas: Vec<OiDelta>,
    pub candles: Vec<Candle>,
    /// Of a stored one they change the values where theirs are of a later time, and never which buckets are missing.
    pub closes: Vec<DayClose>,
    /// Only for an instrument's day without any run.
    pub coverage: Vec<CoverageDay>,
}

impl Supplements {
    fn row_count(&self) -> usize {
        self.buckets.len()
            + self.underlyings.len()
            + self.deltas.len()
            + self.candles.len()
            + self.closes.len()
            + self.coverage.iter().map(|day| day.runs.len().max(1)).sum::<usize>()
    }

    fn merge(&mut self, later: Supplements) {
        self.buckets.extend(later.buckets);
        self.underlyings.extend(later.underlyings);
        self.deltas.extend(later.deltas);
        self.candles.extend(later.candles);
        self.closes.extend(later.closes);
        self.coverage.extend(later.coverage);
    }
}

/// An instrument as the record knows it. Its identity never changes; the terms are those of the last day it was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InstrumentRow {
    pub id: InstrumentId,
    pub contract: Contract,
    /// Units in one lot.
    pub lot_size: u32,
    pub tick_size: Price,
    pub first_seen: TradingDate,
    pub last_seen: TradingDate,
}

/// What a provider calls an instrument from a date on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProviderSymbolRow {
    pub provider: Provider,
    /// `None` where the provider addresses contracts by their terms.
    pub token: Option<ProviderToken>,
    pub symbol: Arc<str>,
    pub instrument: InstrumentId,
    pub valid_from: TradingDate,
}

/// All runs of one instrument's day; they replace what was stored of that day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CoverageDay {
    pub instrument: InstrumentId,
    pub date: TradingDate,
    pub runs: Vec<CoverageRun>,
}

/// A span in which nobody watched. Known by its beginning, its provider and its part; a longer end replaces a shorter one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GapRow {
    pub from: Timestamp,
    pub to: Timestamp,
    /// `None` where it concerns all of them: the daemon was down.
    pub provider: Option<Provider>,
    /// The option chain that the provider did not watch, `NIFTY 2026-02-03`; empty where it watched nothing.
    pub part: String,
    pub reason: String,
}

/// How far into the log the record reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    pub spool_seq: u64,
    pub session_date: TradingDate,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::RunState;

    #[test]
    fn a_jobs_run_moves_no_checkpoint_whatever_it_is_merged_with() {
        let date = |day| TradingDate::from_ymd_opt(2026, 1, day).expect("a date");
        let run = JobRun {
            job: "verify".to_owned(),
            session_date: date(2),
            attempt: 1,
            state: RunState::Running,
            started: Timestamp::from_us(0),
            ended: None,
            error: None,
        };
        let run = Batch::of_job_run(run);
        assert_eq!((run.checkpoint(), run.row_count(), run.outcome_row_count()), (None, 1, 0));
        let outcome = Batch::new(date(30), 7);
        for (first, second) in [(&run, &outcome), (&outcome, &run)] {
            let mut merged = first.clone();
            merged.merge(second.clone());
            let checkpoint = Checkpoint { session_date: date(30), spool_seq: 7 };
            assert_eq!((merged.checkpoint(), merged.job_runs.len()), (Some(checkpoint), 1));
        }
    }
}
