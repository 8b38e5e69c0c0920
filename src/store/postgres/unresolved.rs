//! Marks stored candles that an outage touched: one statement a table, whatever the number.

use crate::{
    market::{CandleInterval, UnresolvedCandle},
    store::{progress::Progress, tables::date_text},
};
use tokio_postgres::{Error, Transaction};

const INTRADAY: &str = "UPDATE price_history_intraday c SET resolve_required = 1 \
    FROM unnest($1::BIGINT[], $2::INTEGER[], $3::BIGINT[]) AS u (instrument, interval_minutes, start) \
    WHERE c.instrument = u.instrument AND c.interval_minutes = u.interval_minutes AND c.start = u.start \
    AND c.resolve_required = 0";

const DAILY: &str = "UPDATE price_history_daily c SET resolve_required = 1 \
    FROM unnest($1::BIGINT[], $2::TEXT[]) AS u (instrument, date) \
    WHERE c.instrument = u.instrument AND c.date = u.date AND c.resolve_required = 0";

/// Candles that are not stored are left out.
pub(super) async fn mark_unresolved(
    transaction: &Transaction<'_>,
    candles: &[UnresolvedCandle],
    progress: &Progress,
) -> Result<(), Error> {
    let (days, intraday): (Vec<&UnresolvedCandle>, Vec<&UnresolvedCandle>) =
        candles.iter().partition(|candle| candle.interval == CandleInterval::Day);
    let instruments = |candles: &[&UnresolvedCandle]| -> Vec<i64> {
        candles.iter().map(|candle| i64::from(candle.instrument.0)).collect()
    };
    if !intraday.is_empty() {
        let minutes: Vec<i32> = intraday.iter().map(|candle| candle.interval.minutes() as i32).collect();
        let starts: Vec<i64> = intraday.iter().map(|candle| candle.start.as_us()).collect();
        transaction.execute(INTRADAY, &[&instruments(&intraday), &minutes, &starts]).await?;
        progress.note();
    }
    if !days.is_empty() {
        let dates: Vec<String> = days.iter().map(|candle| date_text(candle.start.date_ist())).collect();
        transaction.execute(DAILY, &[&instruments(&days), &dates]).await?;
        progress.note();
    }
    Ok(())
}
