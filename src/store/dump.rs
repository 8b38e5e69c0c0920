//! A day as text, to compare stores byte by byte.

use super::{coverage::DaySpan, error::StoreError, query::Query, reader::Reader, tables::date_text};
use crate::market::TradingDate;
use diesel::{QueryableByName, sql_types::Text};
use std::collections::BTreeMap;

/// Lines of each table that has rows of the day, in byte order: values joined by `|`, NULL as nothing.
///
/// Instruments appear as `EXCHANGE:SYMBOL`, so that stores that number them differently still compare. Left out:
/// the checkpoint and the instruments' terms and dates, which tell when a store was written, not what it says of the
/// day. Rows of an instrument missing in the table `instruments` do not appear.
pub type DayDump = BTreeMap<String, Vec<String>>;

const CONTRACT: &str = "i.exchange || ':' || i.symbol";

/// Where the day's rows of a table come from, and which values make a line. `$1` and `$2` are the day's instants;
/// `$3` is its date, and needs the other two before it.
struct Lines {
    table: &'static str,
    values: &'static [&'static str],
    from: &'static str,
}

const TABLES: &[Lines] = &[
    Lines {
        table: "instruments",
        values: &[CONTRACT, "i.underlying", "i.kind", "i.expiry", "i.strike_e4", "i.option_type"],
        from: "instruments i WHERE $1 < $2 AND i.first_seen <= $3 AND i.last_seen >= $3",
    },
    Lines {
        table: "provider_symbols",
        values: &[CONTRACT, "s.provider", "s.segment", "s.token", "s.symbol"],
        from: "provider_symbols s CROSS JOIN instruments i WHERE $1 < $2 AND i.id = s.instrument AND s.valid_from = $3",
    },
    Lines {
        table: "intraday_option_oi",
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
        ],
        from: "intraday_option_oi o CROSS JOIN instruments i \
               WHERE i.id = o.instrument AND o.bucket >= $1 AND o.bucket < $2 AND $3 <> ''",
    },
    Lines {
        table: "oi_delta_log",
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
        ],
        from: "daily_option_oi d CROSS JOIN instruments i \
               WHERE $1 < $2 AND i.id = d.instrument AND d.trading_date = $3",
    },
    Lines {
        table: "coverage",
        values: &[CONTRACT, "c.from_bucket", "c.to_bucket", "c.state", "c.provider"],
        from: "instruments i CROSS JOIN coverage c \
               WHERE c.instrument = i.id AND c.from_bucket >= $1 AND c.from_bucket < $2 AND $3 <> ''",
    },
    Lines {
        table: "gaps",
        values: &["g.from_time", "g.to_time", "g.provider", "g.part", "g.reason"],
        from: "gaps g WHERE g.from_time >= $1 AND g.from_time < $2 AND $3 <> ''",
    },
];

#[derive(QueryableByName)]
struct StoredLine {
    #[diesel(sql_type = Text)]
    line: String,
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
            let rows = self.dump_lines(lines, date).await?;
            if !rows.is_empty() {
                dump.insert(lines.table.to_owned(), rows);
            }
        }
        Ok(dump)
    }

    /// One of [`dumped_tables`] of a day, in byte order; of any other nothing.
    pub async fn dump_table(&self, table: &str, date: TradingDate) -> Result<Vec<String>, StoreError> {
        match TABLES.iter().find(|lines| lines.table == table) {
            Some(lines) => self.dump_lines(lines, date).await,
            None => Ok(Vec::new()),
        }
    }

    async fn dump_lines(&self, lines: &Lines, date: TradingDate) -> Result<Vec<String>, StoreError> {
        let day = DaySpan::of(date);
        let values: Vec<String> =
            lines.values.iter().map(|value| format!("COALESCE(CAST({value} AS TEXT), '')")).collect();
        let query = Query::new(format!("SELECT {} AS line FROM {}", values.join(" || '|' || "), lines.from))
            .big(day.from.as_us())
            .big(day.until.as_us())
            .text(date_text(date));
        let rows: Vec<StoredLine> = self.select(query).await?;
        let mut rows: Vec<String> = rows.into_iter().map(|row| row.line).collect();
        rows.sort_unstable();
        Ok(rows)
    }
}
