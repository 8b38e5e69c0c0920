//! Takes back what the store holds from a day on, where the log of that time was set aside, or is whole again after rows were
//! written without a part of it.
//!
//! The store is what the log gives. Records whose receive times were wrong leave the log; the rows that came of them leave
//! the store the same way, and what remains of the log is read again from that day on. The exchange's own figures in
//! `daily_option_oi`, which no record gives, stay. Runs of jobs stay: they are the daemon's own.

use super::{batch::Checkpoint, coverage::DaySpan};

/// Statements for one transaction, alike in both databases. Afterwards the store contains the log up to `checkpoint`, whose
/// day is the first that is taken back.
pub(super) fn statements(checkpoint: &Checkpoint) -> String {
    let Checkpoint { session_date: date, spool_seq } = checkpoint;
    let from_us = DaySpan::of(*date).from.as_us();
    let day_before = date.pred_opt().unwrap_or(*date);
    // The keys of these begin with the instrument: each one's rows are found by it.
    let by_instrument = "instrument IN (SELECT id FROM instruments)";
    [
        format!("DELETE FROM intraday_option_oi WHERE bucket >= {from_us}"),
        format!("DELETE FROM intraday_underlying WHERE bucket >= {from_us}"),
        format!("DELETE FROM oi_delta_log WHERE {by_instrument} AND event_time >= {from_us}"),
        format!(
            "DELETE FROM price_history_intraday WHERE {by_instrument} AND interval_minutes IN (3, 5) AND start >= {from_us}"
        ),
        format!("DELETE FROM price_history_daily WHERE {by_instrument} AND date >= '{date}'"),
        format!(
            "DELETE FROM daily_option_oi WHERE trading_date >= '{date}' AND official_oi IS NULL AND official_price_e4 IS NULL"
        ),
        format!("DELETE FROM coverage WHERE {by_instrument} AND from_bucket >= {from_us}"),
        format!("DELETE FROM gaps WHERE from_time >= {from_us}"),
        format!("DELETE FROM provider_symbols WHERE valid_from >= '{date}'"),
        format!("DELETE FROM instruments WHERE first_seen >= '{date}'"),
        format!("UPDATE instruments SET last_seen = '{day_before}' WHERE last_seen >= '{date}'"),
        format!("DELETE FROM checkpoints WHERE spool_seq > {spool_seq} OR session_date >= '{date}'"),
        format!("INSERT INTO checkpoints (session_date, spool_seq) VALUES ('{date}', {spool_seq})"),
    ]
    .join(";\n")
}
