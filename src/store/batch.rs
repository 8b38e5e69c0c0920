//! What is written at once, and the rows that are the store's own.

use crate::market::{
    BucketRow, Candle, Contract, CoverageRun, DayClose, InstrumentId, OiDelta, Price, Provider,
    ProviderToken, Timestamp, TradingDate,
};
use std::sync::Arc;

/// One transaction. Every row replaces the stored one of its key (see each table), so repeating a batch changes
/// nothing. Rows of one key within a batch count in their order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    pub session_date: TradingDate,
    /// The checkpoint: the outcome of the log up to this record is contained once the batch is committed.
    pub spool_seq: u64,
    pub instruments: Vec<InstrumentRow>,
    pub symbols: Vec<ProviderSymbolRow>,
    pub buckets: Vec<BucketRow>,
    pub deltas: Vec<OiDelta>,
    pub candles: Vec<Candle>,
    pub closes: Vec<DayClose>,
    pub coverage: Vec<CoverageDay>,
    pub gaps: Vec<GapRow>,
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
            closes: Vec::new(),
            coverage: Vec::new(),
            gaps: Vec::new(),
        }
    }

    /// Whether there are no rows, whatever the checkpoint.
    pub fn is_empty(&self) -> bool {
        self.row_count() == 0
    }

    /// Rows of all kinds, a coverage day counting as its runs.
    pub fn row_count(&self) -> usize {
        self.instruments.len()
            + self.symbols.len()
            + self.buckets.len()
            + self.deltas.len()
            + self.candles.len()
            + self.closes.len()
            + self.coverage.iter().map(|day| day.runs.len().max(1)).sum::<usize>()
            + self.gaps.len()
    }

    /// Adds what a later batch of the same session holds and takes over its checkpoint.
    pub fn merge(&mut self, later: Batch) {
        self.session_date = later.session_date;
        self.spool_seq = self.spool_seq.max(later.spool_seq);
        self.instruments.extend(later.instruments);
        self.symbols.extend(later.symbols);
        self.buckets.extend(later.buckets);
        self.deltas.extend(later.deltas);
        self.candles.extend(later.candles);
        self.closes.extend(later.closes);
        self.coverage.extend(later.coverage);
        self.gaps.extend(later.gaps);
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
