//! Which rows replace none of the store after a part of a day's log is lost.
//!
//! The store may have been written from the lost part. Of the time up to the first record behind the loss, the rows that are
//! made of what is left of the log know less, so they become [`Supplements`]: written only where the store has none.
//! Example: the last hour of a log was deleted after its day. A start finds the session over and closes every row of it; the
//! store keeps the candles, closes and coverage that it was given when the day was recorded.
//!
//! Invariants:
//! - What is decided follows from the log's records alone, so a replay decides the same.
//! - Rows whose time ends after the loss are as usual: no lost record can have stated them. Rows of a whole day are, where the
//!   session closed after the loss.
//! - A candle that began before the end of a loss is marked: it may lack something.

use crate::{
    calendar::Session,
    engine::Rows,
    market::{CandleInterval, Timestamp, TradingDate},
    store::{Batch, CoverageDay, Supplements},
};

/// See the module's head.
#[derive(Clone, Copy, Debug)]
pub(super) struct Loss {
    /// The next record is the first one behind a loss.
    is_open: bool,
    /// Receipt of the first record behind the last loss.
    until: Timestamp,
    /// The last day whose session was over by then.
    last_day: TradingDate,
}

impl Default for Loss {
    fn default() -> Loss {
        Loss { is_open: false, until: Timestamp::NEVER, last_day: TradingDate::MIN }
    }
}

impl Loss {
    pub fn begin(&mut self) {
        self.is_open = true;
    }

    /// A record was applied, of a day with this session.
    pub fn end(&mut self, received: Timestamp, session: Option<&Session>) {
        if !std::mem::take(&mut self.is_open) {
            return;
        }
        self.until = received;
        let date = received.date_ist();
        let is_over = session.is_none_or(|session| session.close <= received);
        self.last_day = if is_over { date } else { date.pred_opt().unwrap_or(date) };
    }

    /// Moves the rows that replace none to the batch's supplements.
    pub fn take_supplements(&self, rows: &mut Rows, batch: &mut Batch) {
        if self.until == Timestamp::NEVER {
            return;
        }
        let Supplements { buckets, underlyings, deltas, candles, closes, coverage } = &mut batch.supplements;
        buckets.extend(rows.buckets.extract_if(.., |row| row.bucket.end() <= self.until));
        underlyings.extend(rows.underlyings.extract_if(.., |row| row.bucket.end() <= self.until));
        deltas.extend(rows.deltas.extract_if(.., |row| row.event_time < self.until));
        rows.candles.iter_mut().for_each(|candle| candle.resolve_required |= candle.start < self.until);
        candles.extend(rows.candles.extract_if(.., |candle| self.contains(candle.interval, candle.start)));
        // The supplements are marked, and those of before stay as they are.
        rows.unresolved.retain(|candle| !self.contains(candle.interval, candle.start));
        closes.extend(rows.closes.extract_if(.., |close| close.date <= self.last_day));
        let days = rows.coverage.extract_if(.., |(_, date, _)| *date <= self.last_day);
        coverage.extend(days.map(|(instrument, date, runs)| CoverageDay { instrument, date, runs }));
    }

    fn contains(&self, interval: CandleInterval, start: Timestamp) -> bool {
        match interval {
            CandleInterval::Day => start.date_ist() <= self.last_day,
            CandleInterval::ThreeMinutes | CandleInterval::FiveMinutes => {
                start.plus_seconds(interval.minutes() * 60) <= self.until
            }
        }
    }
}
