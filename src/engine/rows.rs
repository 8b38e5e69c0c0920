//! What the engines give out: rows for the store, in the order in which they came to be.

use crate::market::{
    BucketRow, Candle, CoverageRun, DayClose, InstrumentId, OiDelta, TradingDate, UnderlyingRow,
    UnresolvedCandle,
};

/// Rows of one turn. All are upserts by their keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rows {
    pub buckets: Vec<BucketRow>,
    pub deltas: Vec<OiDelta>,
    pub candles: Vec<Candle>,
    /// Candles of earlier turns that an outage touched, as is known now.
    pub unresolved: Vec<UnresolvedCandle>,
    pub underlyings: Vec<UnderlyingRow>,
    pub closes: Vec<DayClose>,
    /// Each replaces that instrument's coverage of that date.
    pub coverage: Vec<(InstrumentId, TradingDate, Vec<CoverageRun>)>,
}

impl Rows {
    pub fn is_empty(&self) -> bool {
        self.buckets.is_empty()
            && self.deltas.is_empty()
            && self.candles.is_empty()
            && self.unresolved.is_empty()
            && self.underlyings.is_empty()
            && self.closes.is_empty()
            && self.coverage.is_empty()
    }
}
