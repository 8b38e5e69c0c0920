//! Marks stored candles that an outage touched.
//!
//! One prepared statement a candle, in the order of the key: a mark changes one byte of a row that is there already.

use crate::{
    market::{CandleInterval, UnresolvedCandle},
    store::{progress::Progress, tables::date_text},
};
use diesel::{
    QueryResult, SqliteConnection,
    connection::Connection,
    query_builder::{AstPass, QueryFragment, QueryId},
    sql_types::{BigInt, Text},
    sqlite::Sqlite,
};

/// Marks between two signs of progress.
const TURN: usize = 1_000;

/// Candles that are not stored are left out. The caller holds the transaction.
pub(super) fn mark_unresolved(
    connection: &mut SqliteConnection,
    candles: &[UnresolvedCandle],
    progress: &Progress,
) -> QueryResult<()> {
    let mut sorted: Vec<&UnresolvedCandle> = candles.iter().collect();
    sorted.sort_unstable();
    for turn in sorted.chunks(TURN) {
        for candle in turn {
            let instrument = i64::from(candle.instrument.0);
            match candle.interval {
                CandleInterval::Day => connection.execute_returning_count(&MarkDaily {
                    instrument,
                    date: date_text(candle.start.date_ist()),
                })?,
                interval => connection.execute_returning_count(&MarkIntraday {
                    instrument,
                    interval_minutes: interval.minutes(),
                    start: candle.start.as_us(),
                })?,
            };
        }
        progress.note();
    }
    Ok(())
}

#[derive(QueryId)]
struct MarkIntraday {
    instrument: i64,
    interval_minutes: i64,
    start: i64,
}

impl QueryFragment<Sqlite> for MarkIntraday {
    fn walk_ast<'b>(&'b self, mut pass: AstPass<'_, 'b, Sqlite>) -> QueryResult<()> {
        pass.push_sql("UPDATE price_history_intraday SET resolve_required = 1 WHERE instrument = ");
        pass.push_bind_param::<BigInt, i64>(&self.instrument)?;
        pass.push_sql(" AND interval_minutes = ");
        pass.push_bind_param::<BigInt, i64>(&self.interval_minutes)?;
        pass.push_sql(" AND start = ");
        pass.push_bind_param::<BigInt, i64>(&self.start)?;
        pass.push_sql(" AND resolve_required = 0");
        Ok(())
    }
}

#[derive(QueryId)]
struct MarkDaily {
    instrument: i64,
    date: String,
}

impl QueryFragment<Sqlite> for MarkDaily {
    fn walk_ast<'b>(&'b self, mut pass: AstPass<'_, 'b, Sqlite>) -> QueryResult<()> {
        pass.push_sql("UPDATE price_history_daily SET resolve_required = 1 WHERE instrument = ");
        pass.push_bind_param::<BigInt, i64>(&self.instrument)?;
        pass.push_sql(" AND date = ");
        pass.push_bind_param::<Text, String>(&self.date)?;
        pass.push_sql(" AND resolve_required = 0");
        Ok(())
    }
}
