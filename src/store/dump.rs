//! A day as text, to compare stores byte by byte.

use super::{coverage::DaySpan, error::StoreError, query::Query, reader::Reader, tables::date_text};
use crate::market::{Timestamp, TradingDate};
use chrono::NaiveTime;
use diesel::{QueryableByName, sql_types::Text};
use std::collections::BTreeMap;

/// Lines of each table that has rows of the day, in byte order: values joined by `|`, NULL as nothing.
///
/// Instruments appear as `EXCHANGE:SYMBOL`, so that stores that number them differently still compare. Left out:
/// the checkpoint and the instruments' terms and dates, which tell when a store was written, not what it says of the
/// day. Rows of an instrument missing in the table `instruments` do not appear.
pub type DayDump = BTreeMap<String, Vec<String>>;

const CONTRACT: &str = "i.exchange || ':' || i.symbol";

/// Which of the day's rows a query gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rows {
    /// Those of the whole date.
    OfDate,
    /// Those of a span of time.
    OfTime,
}

/// Where the day's rows of a table come from, and which values make a line. Values keep their places: that of a new
/// column comes last. `$1` and `$2` are the span's instants; `$3` is the date, and needs the other two before it.
struct Lines {
    table: &'static str,
    rows: Rows,
    values: &'static [&'static str],
    from: &'static str,
}

const TABLES: &[Lines] = &[
    Lines {
        table: "instruments",
        rows: Rows::OfDate,
        values: &[CONTRACT, "i.underlying", "i.kind", "i.expiry", "i.strike_e4", "i.option_type"],
        from: "instruments i WHERE $1 < $2 AND i.first_seen <= $3 AND i.last_seen >= $3",
    },
    Lines {
        table: "provider_symbols",
        rows: Rows::OfDate,
        values: &[CONTRACT, "s.provider", "s.segment", "s.token", "s.symbol"],
        from: "provider_symbols s CROSS JOIN instruments i WHERE $1 < $2 AND i.id = s.instrument AND s.valid_from = $3",
    },
    Lines {
        table: "intraday_option_oi",
        rows: Rows::OfTime,
        values: &[
            "o.bucket",
            CONTRACT,
            "o.oi",
            "o.oi_change",
            "o.ltp_e4",
            "o.volume",
            "o.bid_e4",
            "o.ask_e4",
            "o.iv_e4",
            "o.state",
            "o.provider",
            "o.event_time",
            "o.received_time",
            "o.revision",
            "o.oi_base",
        ],
        from: "intraday_option_oi o CROSS JOIN instruments i \
               WHERE i.id = o.instrument AND o.bucket >= $1 AND o.bucket < $2 AND $3 <> ''",
    },
    Lines {
        table: "intraday_underlying",
        rows: Rows::OfTime,
        values: &["u.bucket", CONTRACT, "u.state", "u.provider", "u.event_time", "u.revision"],
        from: "intraday_underlying u CROSS JOIN instruments i \
               WHERE i.id = u.instrument AND u.bucket >= $1 AND u.bucket < $2 AND $3 <> ''",
    },
    Lines {
        table: "oi_delta_log",
        rows: Rows::OfTime,
        values: &[
            CONTRACT,
            "d.event_time",
            "d.seq",
            "d.old_oi",
            "d.new_oi",
            "d.delta",
            "d.provider",
            "d.received_time",
        ],
        from: "instruments i CROSS JOIN oi_delta_log d \
               WHERE d.instrument = i.id AND d.event_time >= $1 AND d.event_time < $2 AND $3 <> ''",
    },
    Lines {
        table: "price_history_intraday",
        rows: Rows::OfTime,
        values: &[
            CONTRACT,
            "c.interval_minutes",
            "c.start",
            "c.open_e4",
            "c.high_e4",
            "c.low_e4",
            "c.close_e4",
            "c.volume",
            "c.provider",
            "c.revision",
            "c.resolve_required",
        ],
        from: "instruments i CROSS JOIN price_history_intraday c WHERE c.instrument = i.id \
               AND c.interval_minutes IN (3, 5) AND c.start >= $1 AND c.start < $2 AND $3 <> ''",
    },
    Lines {
        table: "price_history_daily",
        rows: Rows::OfDate,
        values: &[
            CONTRACT,
            "c.date",
            "c.start",
            "c.open_e4",
            "c.high_e4",
            "c.low_e4",
            "c.close_e4",
            "c.volume",
            "c.provider",
            "c.revision",
            "c.resolve_required",
        ],
        from: "instruments i CROSS JOIN price_history_daily c WHERE $1 < $2 AND c.instrument = i.id AND c.date = $3",
    },
    Lines {
        table: "daily_option_oi",
        rows: Rows::OfDate,
        values: &[
            "d.trading_date",
            CONTRACT,
            "d.oi",
            "d.ltp_e4",
            "d.volume",
            "d.provider",
            "d.event_time",
            "d.official_oi",
            "d.official_price_e4",
            "d.difference",
            "d.reason",
            "d.finality",
            "d.last_state",
            "d.missing_buckets",
        ],
        from: "daily_option_oi d CROSS JOIN instruments i \
               WHERE $1 < $2 AND i.id = d.instrument AND d.trading_date = $3",
    },
    Lines {
        table: "coverage",
        rows: Rows::OfTime,
        values: &[CONTRACT, "c.from_bucket", "c.to_bucket", "c.state", "c.provider"],
        from: "instruments i CROSS JOIN coverage c \
               WHERE c.instrument = i.id AND c.from_bucket >= $1 AND c.from_bucket < $2 AND $3 <> ''",
    },
    Lines {
        table: "gaps",
        rows: Rows::OfTime,
        values: &["g.from_time", "g.to_time", "g.provider", "g.part", "g.reason"],
        from: "gaps g WHERE g.from_time >= $1 AND g.from_time < $2 AND $3 <> ''",
    },
];

#[derive(QueryableByName)]
struct StoredLine {
    #[diesel(sql_type = Text)]
    line: String,
}

/// A part of a day's lines: those of a span of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DayPart {
    span: DaySpan,
    /// It has the lines that belong to the date and to no time, too.
    is_first: bool,
}

/// The day in parts that together have each of its lines once. A large table's whole day takes a lot of memory as text.
pub fn day_parts(date: TradingDate) -> impl Iterator<Item = DayPart> {
    const HOURS: std::ops::Range<u32> = 9..16;
    const PARTS_AN_HOUR: u32 = 4;
    let DaySpan { from, until } = DaySpan::of(date);
    let begins = HOURS.flat_map(|hour| (0..PARTS_AN_HOUR).map(move |part| (hour, part * 60 / PARTS_AN_HOUR)));
    let at =
        move |(hour, minute)| NaiveTime::from_hms_opt(hour, minute, 0).map(|time| Timestamp::on(date, time));
    let after = at((HOURS.end, 0));
    let mut begins: Vec<Timestamp> =
        std::iter::once(from).chain(begins.filter_map(at)).chain(after).collect();
    begins.push(until);
    let spans: Vec<DaySpan> =
        begins.windows(2).map(|ends| DaySpan { from: ends[0], until: ends[1] }).collect();
    spans.into_iter().enumerate().map(|(number, span)| DayPart { span, is_first: number == 0 })
}

/// The tables of a [`DayDump`].
pub fn dumped_tables() -> impl Iterator<Item = &'static str> {
    TABLES.iter().map(|lines| lines.table)
}

impl Reader {
    /// Every table's rows of a day. Tables without rows of the day are missing.
    pub async fn dump_day(&self, date: TradingDate) -> Result<DayDump, StoreError> {
        let mut dump = DayDump::new();
        for lines in TABLES {
            let rows = self.dump_lines(lines, date, DaySpan::of(date)).await?;
            if !rows.is_empty() {
                dump.insert(lines.table.to_owned(), rows);
            }
        }
        Ok(dump)
    }

    /// A part of one of [`dumped_tables`], in byte order; of any other table nothing.
    pub async fn dump_part(
        &self,
        table: &str,
        date: TradingDate,
        part: DayPart,
    ) -> Result<Vec<String>, StoreError> {
        match TABLES.iter().find(|lines| lines.table == table) {
            Some(lines) if lines.rows == Rows::OfTime || part.is_first => {
                self.dump_lines(lines, date, part.span).await
            }
            _ => Ok(Vec::new()),
        }
    }

    async fn dump_lines(
        &self,
        lines: &Lines,
        date: TradingDate,
        span: DaySpan,
    ) -> Result<Vec<String>, StoreError> {
        let values: Vec<String> =
            lines.values.iter().map(|value| format!("COALESCE(CAST({value} AS TEXT), '')")).collect();
        let query = Query::new(format!("SELECT {} AS line FROM {}", values.join(" || '|' || "), lines.from))
            .big(span.from.as_us())
            .big(span.until.as_us())
            .text(date_text(date));
        let rows: Vec<StoredLine> = self.select(query).await?;
        let mut rows: Vec<String> = rows.into_iter().map(|row| row.line).collect();
        rows.sort_unstable();
        Ok(rows)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_of_a_day_are_the_day() {
        let date = TradingDate::from_ymd_opt(2026, 1, 30).expect("a date");
        let parts: Vec<DayPart> = day_parts(date).collect();
        let whole = DaySpan::of(date);
        assert_eq!(parts.iter().filter(|part| part.is_first).count(), 1);
        assert_eq!((parts[0].span.from, parts[parts.len() - 1].span.until), (whole.from, whole.until));
        for pair in parts.windows(2) {
            assert_eq!(pair[0].span.until, pair[1].span.from);
            assert!(pair[0].span.from < pair[0].span.until);
        }
    }

    #[test]
    fn what_belongs_to_a_date_is_asked_for_without_a_time() {
        for Lines { table, rows, from, .. } in TABLES {
            assert_eq!(*rows == Rows::OfDate, from.contains("$1 < $2"), "{table}");
        }
    }
}
