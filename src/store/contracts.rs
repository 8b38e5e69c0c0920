//! The option contracts of a date: which it has, which it should have, and their bases for the next session's changes.
//!
//! Invariant: a figure of open interest that may not be the session's last is no base.

use super::{
    InstrumentRow,
    coverage::DaySpan,
    error::StoreError,
    query::Query,
    reader::{INSTRUMENT_COLUMNS, Reader, StoredNumber},
    tables::date_text,
};
use crate::market::{BucketState, InstrumentId, OiBase, Timestamp, TradingDate};
use std::collections::BTreeSet;

impl Reader {
    /// The open interest in units at the end of the session of `date`, of every contract that expires later, and where
    /// the figure comes from; by instrument. Contracts without a usable figure are left out.
    ///
    /// Usable is the exchange's figure, else bhavd's own where the contract's last bucket is not missing, or where the
    /// figure is of `close` or later. `close` is the session's.
    pub async fn day_bases(
        &self,
        date: TradingDate,
        close: Timestamp,
    ) -> Result<Vec<(InstrumentId, i64, OiBase)>, StoreError> {
        let query = Query::new(format!(
            "SELECT d.instrument, COALESCE(d.official_oi, d.oi) AS oi, \
             CAST(CASE WHEN d.official_oi IS NOT NULL THEN {official} WHEN d.finality = 'final' THEN {own_final} \
             ELSE {own_provisional} END AS SMALLINT) AS oi_base \
             FROM daily_option_oi d CROSS JOIN instruments i \
             WHERE d.trading_date = $1 AND i.id = d.instrument AND i.kind = 'option' AND i.expiry > $1 \
             AND (d.official_oi IS NOT NULL \
                 OR d.oi IS NOT NULL AND (d.last_state <> {missing} OR d.event_time >= $2)) \
             ORDER BY d.instrument",
            official = OiBase::Official.code(),
            own_final = OiBase::OwnFinal.code(),
            own_provisional = OiBase::OwnProvisional.code(),
            missing = BucketState::Missing.code(),
        ));
        self.rows(query.text(date_text(date)).big(close.as_us())).await
    }

    /// Option contracts that have bucket rows or coverage on `date` and expire after it, by id.
    pub async fn recorded_contracts(&self, date: TradingDate) -> Result<Vec<InstrumentRow>, StoreError> {
        // The list of a day's rows is a pass over them; it is made only if a contract has no coverage.
        let query = Query::new(format!(
            "SELECT {INSTRUMENT_COLUMNS} FROM instruments i WHERE i.kind = 'option' AND i.expiry > $1 \
             AND (EXISTS (SELECT 1 FROM coverage c WHERE c.instrument = i.id \
                     AND c.from_bucket >= $2 AND c.from_bucket < $3) \
                 OR i.id IN (SELECT o.instrument FROM intraday_option_oi o \
                     WHERE o.bucket >= $2 AND o.bucket < $3)) \
             ORDER BY i.id"
        ));
        let day = DaySpan::of(date);
        self.rows(query.text(date_text(date)).big(day.from.as_us()).big(day.until.as_us())).await
    }

    /// Option contracts that were recorded on `date`, by id: what has rows or coverage of it, and what was last seen on it.
    pub async fn contracts_of(&self, date: TradingDate) -> Result<Vec<InstrumentRow>, StoreError> {
        // The list of a day's rows is a pass over them; it is made only if a contract of later days has no coverage.
        let query = Query::new(format!(
            "SELECT {INSTRUMENT_COLUMNS} FROM instruments i WHERE i.kind = 'option' \
             AND i.first_seen <= $1 AND i.expiry >= $1 AND i.last_seen >= $1 \
             AND (i.last_seen = $1 \
                 OR EXISTS (SELECT 1 FROM coverage c WHERE c.instrument = i.id \
                     AND c.from_bucket >= $2 AND c.from_bucket < $3) \
                 OR i.id IN (SELECT o.instrument FROM intraday_option_oi o \
                     WHERE o.bucket >= $2 AND o.bucket < $3)) \
             ORDER BY i.id"
        ));
        let day = DaySpan::of(date);
        self.rows(query.text(date_text(date)).big(day.from.as_us()).big(day.until.as_us())).await
    }

    /// Option contracts that `date` should have rows of, by id: first seen by then, not expired before, and last seen
    /// on `seen_since` or later. What providers had stopped listing before that is not expected.
    pub async fn contracts_expected(
        &self,
        date: TradingDate,
        seen_since: TradingDate,
    ) -> Result<Vec<InstrumentRow>, StoreError> {
        let query = Query::new(format!(
            "SELECT {INSTRUMENT_COLUMNS} FROM instruments i WHERE i.kind = 'option' \
             AND i.first_seen <= $1 AND i.expiry >= $1 AND i.last_seen >= $2 ORDER BY i.id"
        ));
        self.rows(query.text(date_text(date)).text(date_text(seen_since))).await
    }

    /// The last date before `date` that has bucket rows.
    pub async fn last_recorded(&self, date: TradingDate) -> Result<Option<TradingDate>, StoreError> {
        let query = Query::new(
            "SELECT bucket AS value FROM intraday_option_oi WHERE bucket < $1 ORDER BY bucket DESC LIMIT 1",
        );
        let last: Vec<StoredNumber> = self.select(query.big(DaySpan::of(date).from.as_us())).await?;
        Ok(last.first().map(|bucket| Timestamp::from_us(bucket.value).date_ist()))
    }

    /// When the newest value that a day's last rows rest on was received; `None` where they rest on none.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn last_received(&self, date: TradingDate) -> Result<Option<Timestamp>, StoreError> {
        let query = Query::new(
            "SELECT received_time AS value FROM intraday_option_oi \
             WHERE bucket >= $1 AND bucket < $2 AND received_time IS NOT NULL \
             ORDER BY bucket DESC, received_time DESC LIMIT 1",
        );
        let day = DaySpan::of(date);
        let last: Vec<StoredNumber> = self.select(query.big(day.from.as_us()).big(day.until.as_us())).await?;
        Ok(last.first().map(|received| Timestamp::from_us(received.value)))
    }

    /// The dates that have bucket rows.
    pub async fn recorded_days(&self) -> Result<BTreeSet<TradingDate>, StoreError> {
        // One look-up a day: the last bucket before the day of the one found before. Days begin at 18:30 UTC.
        let query = Query::new(
            "WITH RECURSIVE days(bucket) AS ( \
                 SELECT max(bucket) FROM intraday_option_oi \
                 UNION ALL SELECT (SELECT max(o.bucket) FROM intraday_option_oi o \
                     WHERE o.bucket < (days.bucket + 19800000000) / 86400000000 * 86400000000 - 19800000000) \
                 FROM days WHERE days.bucket IS NOT NULL \
             ) SELECT bucket AS value FROM days WHERE bucket IS NOT NULL",
        );
        let last_buckets: Vec<StoredNumber> = self.select(query).await?;
        Ok(last_buckets.iter().map(|bucket| Timestamp::from_us(bucket.value).date_ist()).collect())
    }
}
