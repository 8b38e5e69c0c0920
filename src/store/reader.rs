//! Questions to the record, on a connection of their own.

use super::{
    Birth,
    address::Address,
    batch::{Checkpoint, InstrumentRow, ProviderSymbolRow},
    coverage::DaySpan,
    error::StoreError,
    migrate,
    postgres::PostgresReads,
    query::Query,
    report::{BucketStates, CoverageReport, DaySummary, StateCounts, UnderlyingCoverage},
    rows::{DeltaFilter, DeltaRow, FromStored, SnapshotRow, natural_key},
    sqlite::SqliteThread,
    tables::date_text,
};
use crate::market::{
    Bucket, BucketRow, BucketState, Candle, CandleInterval, Contract, InstrumentId, Timestamp, TradingDate,
};
use diesel::{
    QueryableByName,
    deserialize::FromSqlRow,
    pg::Pg,
    sql_types::{BigInt, Untyped},
    sqlite::Sqlite,
};
use std::collections::{BTreeMap, BTreeSet};

/// Answers from what is committed. After an error of class `Retry`, open another one.
pub struct Reader {
    store: String,
    connection: Connection,
}

enum Connection {
    Sqlite(SqliteThread),
    Postgres(Box<PostgresReads>),
}

/// What a row of `instruments` is read from.
pub(super) const INSTRUMENT_COLUMNS: &str = "id, exchange, underlying, kind, expiry, strike_e4, option_type, \
    lot_size, tick_size_e4, first_seen, last_seen";

/// Rows in this state hold nothing: totals leave them out.
const UNLISTED: u8 = BucketState::Unlisted.code();

const COVERED_BUCKETS: &str = "(c.to_bucket - c.from_bucket) / 180000000 + 1";

impl Reader {
    /// Opens an existing store without changing it. `url` as for [`super::open`], except a store in memory.
    pub async fn open(url: &str) -> Result<Reader, StoreError> {
        let address = Address::parse(url)?;
        Ok(match address {
            Address::Postgres { .. } => {
                let store = address.to_string();
                let reads = PostgresReads::connect(&address).await?;
                let reader = Reader { store, connection: Connection::Postgres(Box::new(reads)) };
                reader.birth().await?;
                reader
            }
            _ => Self::of_sqlite(SqliteThread::open_to_read(address).await?),
        })
    }

    pub(super) fn of_sqlite(thread: SqliteThread) -> Reader {
        Reader { store: thread.store().to_owned(), connection: Connection::Sqlite(thread) }
    }

    /// The rows of a query that need no meaning given to them.
    pub(super) async fn select<R>(&self, query: Query) -> Result<Vec<R>, StoreError>
    where
        R: FromSqlRow<Untyped, Sqlite> + FromSqlRow<Untyped, Pg> + Send + 'static,
    {
        match &self.connection {
            Connection::Sqlite(thread) => thread.select(query).await,
            Connection::Postgres(reads) => reads.select(query).await,
        }
    }

    pub(super) async fn rows<T: FromStored>(&self, query: Query) -> Result<Vec<T>, StoreError>
    where
        T::Stored: FromSqlRow<Untyped, Sqlite> + FromSqlRow<Untyped, Pg> + Send + 'static,
    {
        let stored: Vec<T::Stored> = self.select(query).await?;
        stored.into_iter().map(|row| T::from_stored(row, &self.store)).collect()
    }

    /// What the store was born as.
    pub async fn birth(&self) -> Result<Birth, StoreError> {
        migrate::read_birth(&self.store, self.select(migrate::birth_query()).await)
    }

    /// Up to where the log is contained.
    pub async fn checkpoint(&self) -> Result<Option<Checkpoint>, StoreError> {
        let query = Query::new(
            "SELECT session_date, spool_seq FROM checkpoints ORDER BY spool_seq DESC, session_date DESC LIMIT 1",
        );
        Ok(self.rows(query).await?.pop())
    }

    /// The dates of which the log was ever read into this store, whatever came of it, as far as anything did.
    pub async fn checkpoint_days(&self) -> Result<BTreeSet<TradingDate>, StoreError> {
        let query = Query::new("SELECT session_date, spool_seq FROM checkpoints");
        let checkpoints: Vec<Checkpoint> = self.rows(query).await?;
        Ok(checkpoints.into_iter().map(|checkpoint| checkpoint.session_date).collect())
    }

    /// Every instrument ever recorded, by id.
    pub async fn instruments(&self) -> Result<Vec<InstrumentRow>, StoreError> {
        self.rows(Query::new(format!("SELECT {INSTRUMENT_COLUMNS} FROM instruments ORDER BY id"))).await
    }

    /// What providers call instruments, the latest name of each.
    pub async fn symbols(&self) -> Result<Vec<ProviderSymbolRow>, StoreError> {
        let query = Query::new(
            "SELECT provider, segment, token, symbol, instrument, valid_from FROM provider_symbols \
             ORDER BY valid_from, provider, segment, token, instrument",
        );
        self.rows(query).await
    }

    /// Underlyings with contracts that traded on or after `date`, and their expiries.
    pub async fn listed_expiries(
        &self,
        date: TradingDate,
    ) -> Result<BTreeMap<String, BTreeSet<TradingDate>>, StoreError> {
        let mut listed: BTreeMap<String, BTreeSet<TradingDate>> = BTreeMap::new();
        for row in self.instruments().await? {
            if let (true, true, Some(expiry)) =
                (row.contract.is_option(), row.last_seen >= date, row.contract.expiry())
            {
                listed.entry(row.contract.underlying.to_string()).or_default().insert(expiry);
            }
        }
        Ok(listed)
    }

    /// Stored bucket rows by underlying, bucket and state; right at any moment of the day.
    pub async fn bucket_states(&self, date: TradingDate) -> Result<Vec<BucketStates>, StoreError> {
        let query = Query::new(
            "SELECT i.underlying, o.bucket, o.state, count(*) AS contracts \
             FROM intraday_option_oi o CROSS JOIN instruments i \
             WHERE i.id = o.instrument AND o.bucket >= $1 AND o.bucket < $2 \
             GROUP BY i.underlying, o.bucket, o.state ORDER BY i.underlying, o.bucket, o.state",
        );
        let day = DaySpan::of(date);
        self.rows(query.big(day.from.as_us()).big(day.until.as_us())).await
    }

    /// The final open interest in units of every contract not expired before `before`, on the latest earlier date
    /// that has one: the exchange's where it is known, else our own close. By instrument.
    pub async fn final_open_interest(
        &self,
        before: TradingDate,
    ) -> Result<Vec<(InstrumentId, i64)>, StoreError> {
        let query = Query::new(
            "SELECT instrument, oi FROM ( \
                 SELECT i.id AS instrument, ( \
                     SELECT COALESCE(d.official_oi, d.oi) FROM daily_option_oi d \
                     WHERE d.instrument = i.id AND d.trading_date < $1 \
                         AND COALESCE(d.official_oi, d.oi) IS NOT NULL \
                     ORDER BY d.trading_date DESC LIMIT 1 \
                 ) AS oi \
                 FROM instruments i WHERE i.expiry >= $1 \
             ) latest WHERE oi IS NOT NULL ORDER BY instrument",
        );
        self.rows(query.text(date_text(before))).await
    }

    /// The chain of an underlying as of the last stored bucket that begins at or before `at`, on that day; one
    /// expiry or all of them. By expiry and strike; empty where the day has no such bucket.
    pub async fn chain_at(
        &self,
        underlying: &str,
        expiry: Option<TradingDate>,
        at: Timestamp,
    ) -> Result<Vec<SnapshotRow>, StoreError> {
        let expires = |number: u8| match expiry {
            Some(_) => format!(" AND expiry = ${number}"),
            None => String::new(),
        };
        let with_expiry = |query: Query| match expiry {
            Some(expiry) => query.text(date_text(expiry)),
            None => query,
        };
        let last = Query::new(format!(
            "SELECT o.bucket AS value FROM intraday_option_oi o CROSS JOIN instruments i \
             WHERE i.id = o.instrument AND o.bucket >= $1 AND o.bucket <= $2 AND i.underlying = $3 \
             AND i.kind = 'option'{} ORDER BY o.bucket DESC LIMIT 1",
            expires(4)
        ));
        let last = last.big(DaySpan::of(at.date_ist()).from.as_us()).big(at.as_us()).text(underlying);
        let last: Vec<StoredNumber> = self.select(with_expiry(last)).await?;
        let Some(bucket) = last.first() else { return Ok(Vec::new()) };
        let chain = Query::new(format!(
            "SELECT bucket, underlying, expiry, strike_e4, ce_oi, ce_oi_change, ce_ltp_e4, ce_volume, pe_oi, \
             pe_oi_change, pe_ltp_e4, pe_volume, index_open_e4, index_high_e4, index_low_e4, index_close_e4, \
             index_volume, ce_state, pe_state, provider, index_state, ce_oi_base, pe_oi_base, ce_bid_e4, ce_ask_e4, \
             ce_iv_e4, pe_bid_e4, pe_ask_e4, pe_iv_e4 FROM option_snapshots_e4 \
             WHERE bucket = $1 AND underlying = $2{} ORDER BY expiry, strike_e4",
            expires(3)
        ));
        self.rows(with_expiry(chain.big(bucket.value).text(underlying))).await
    }

    /// The newest changes of open interest that fit the filter, newest first, at most `limit`.
    pub async fn deltas(&self, filter: &DeltaFilter, limit: u32) -> Result<Vec<DeltaRow>, StoreError> {
        let (from_us, until_us) = filter.bounds_us();
        let mut text = "SELECT i.symbol, d.instrument, d.event_time, d.seq, d.old_oi, d.new_oi, d.provider, \
             d.received_time FROM instruments i CROSS JOIN oi_delta_log d \
             WHERE d.instrument = i.id AND d.event_time >= $1 AND d.event_time < $2"
            .to_owned();
        let mut conditions = Vec::new();
        if let Some(underlying) = &filter.underlying {
            conditions.push(("i.underlying", underlying.clone()));
        }
        if let Some(contract) = &filter.contract {
            let (exchange, symbol) = natural_key(contract);
            conditions.extend([("i.exchange", exchange.to_owned()), ("i.symbol", symbol)]);
        }
        for (number, (column, _)) in (3..).zip(&conditions) {
            text.push_str(&format!(" AND {column} = ${number}"));
        }
        text.push_str(&format!(" ORDER BY d.event_time DESC, d.instrument, d.seq DESC LIMIT {limit}"));
        let query = Query::new(text).big(from_us).big(until_us);
        self.rows(conditions.into_iter().fold(query, |query, (_, value)| query.text(value))).await
    }

    /// The candles of one length of an instrument's day, by start. `symbol` as [`Contract`] displays itself.
    pub async fn candles(
        &self,
        symbol: &str,
        interval: CandleInterval,
        date: TradingDate,
    ) -> Result<Vec<Candle>, StoreError> {
        const PRICES: &str = "c.start, c.open_e4, c.high_e4, c.low_e4, c.close_e4, c.volume, c.provider, \
            c.revision, c.resolve_required";
        if interval == CandleInterval::Day {
            let query = Query::new(format!(
                "SELECT c.instrument, CAST(1440 AS BIGINT) AS interval_minutes, {PRICES} \
                 FROM instruments i CROSS JOIN price_history_daily c \
                 WHERE i.symbol = $1 AND c.instrument = i.id AND c.date = $2 ORDER BY c.start, c.instrument"
            ));
            return self.rows(query.text(symbol).text(date_text(date))).await;
        }
        let day = DaySpan::of(date);
        let query = Query::new(format!(
            "SELECT c.instrument, CAST(c.interval_minutes AS BIGINT) AS interval_minutes, {PRICES} \
             FROM instruments i CROSS JOIN price_history_intraday c \
             WHERE i.symbol = $1 AND c.instrument = i.id AND c.interval_minutes = $2 \
             AND c.start >= $3 AND c.start < $4 ORDER BY c.start, c.instrument"
        ));
        let query = query.text(symbol).big(interval.minutes());
        self.rows(query.big(day.from.as_us()).big(day.until.as_us())).await
    }

    /// A contract's buckets of a day, by time.
    pub async fn oi_history(
        &self,
        contract: &Contract,
        date: TradingDate,
    ) -> Result<Vec<BucketRow>, StoreError> {
        // The key begins with the bucket: 480 look-ups, where a range would pass every other contract's rows.
        let query = Query::new(format!(
            "WITH RECURSIVE day(bucket) AS ( \
                 SELECT CAST($1 AS BIGINT) \
                 UNION ALL SELECT bucket + {length} FROM day WHERE bucket + {length} < $2 \
             ) \
             SELECT o.bucket, o.instrument, o.oi, o.oi_change, o.oi_base, o.ltp_e4, o.volume, o.bid_e4, o.ask_e4, \
             o.iv_e4, o.state, o.provider, o.event_time, o.received_time, o.revision \
             FROM instruments i CROSS JOIN day b CROSS JOIN intraday_option_oi o \
             WHERE i.exchange = $3 AND i.symbol = $4 AND o.bucket = b.bucket AND o.instrument = i.id \
             ORDER BY o.bucket",
            length = Bucket::LENGTH_US
        ));
        let day = DaySpan::of(date);
        let (exchange, symbol) = natural_key(contract);
        self.rows(query.big(day.from.as_us()).big(day.until.as_us()).text(exchange).text(symbol)).await
    }

    /// How complete a day is, by state and by underlying. Contracts that are not listed are counted in that state only.
    pub async fn coverage(&self, date: TradingDate) -> Result<CoverageReport, StoreError> {
        let contracts = Query::new(format!(
            "SELECT i.underlying AS name, count(DISTINCT c.instrument) AS count \
             FROM instruments i CROSS JOIN coverage c \
             WHERE c.instrument = i.id AND c.from_bucket >= $1 AND c.from_bucket < $2 AND c.state <> {UNLISTED} \
             GROUP BY i.underlying"
        ));
        let present = Query::new(format!(
            "SELECT i.underlying AS name, count(*) AS count \
             FROM intraday_option_oi o CROSS JOIN instruments i \
             WHERE i.id = o.instrument AND o.bucket >= $1 AND o.bucket < $2 AND o.state <> {UNLISTED} \
             GROUP BY i.underlying"
        ));
        let mut report = CoverageReport::default();
        let mut underlyings: BTreeMap<String, UnderlyingCoverage> = BTreeMap::new();
        let entry = |underlyings: &mut BTreeMap<String, UnderlyingCoverage>,
                     name: String,
                     change: &dyn Fn(&mut UnderlyingCoverage)| {
            change(underlyings.entry(name.clone()).or_insert_with(|| UnderlyingCoverage::of(name)));
        };
        for (name, state, buckets) in self.covered(date).await? {
            report.states.add(state, buckets);
            entry(&mut underlyings, name, &|row| {
                row.states.add(state, buckets);
                row.expected = row.states.total();
            });
        }
        for (name, count) in self.of_day(contracts, date).await? {
            entry(&mut underlyings, name, &|row| row.contracts = count);
        }
        for (name, count) in self.of_day(present, date).await? {
            entry(&mut underlyings, name, &|row| row.present = count);
        }
        report.underlyings = underlyings.into_values().collect();
        Ok(report)
    }

    /// What a day holds, without the rows of contracts that are not listed.
    pub async fn summary(&self, date: TradingDate) -> Result<DaySummary, StoreError> {
        let counts = Query::new(format!(
            "SELECT 'rows' AS name, count(*) AS count FROM intraday_option_oi \
                 WHERE bucket >= $1 AND bucket < $2 AND state <> {UNLISTED} \
             UNION ALL SELECT 'contracts', count(DISTINCT instrument) FROM intraday_option_oi \
                 WHERE bucket >= $1 AND bucket < $2 AND state <> {UNLISTED} \
             UNION ALL SELECT 'buckets', count(DISTINCT bucket) FROM intraday_option_oi \
                 WHERE bucket >= $1 AND bucket < $2 AND state <> {UNLISTED} \
             UNION ALL SELECT 'snapshots', count(*) FROM ( \
                 SELECT DISTINCT o.bucket, i.exchange, i.underlying, i.expiry, i.strike_e4 \
                 FROM intraday_option_oi o CROSS JOIN instruments i \
                 WHERE i.id = o.instrument AND i.kind = 'option' AND o.bucket >= $1 AND o.bucket < $2 \
                 AND o.state <> {UNLISTED}) s \
             UNION ALL SELECT 'deltas', count(*) FROM instruments i CROSS JOIN oi_delta_log d \
                 WHERE d.instrument = i.id AND d.event_time >= $1 AND d.event_time < $2 \
             UNION ALL SELECT 'candles', count(*) FROM instruments i CROSS JOIN price_history_intraday c \
                 WHERE c.instrument = i.id AND c.interval_minutes IN (3, 5) AND c.start >= $1 AND c.start < $2 \
             UNION ALL SELECT 'days', count(*) FROM instruments i CROSS JOIN price_history_daily c \
                 WHERE c.instrument = i.id AND c.start >= $1 AND c.start < $2"
        ));
        let counts: BTreeMap<String, i64> = self.of_day(counts, date).await?.into_iter().collect();
        let count = |name: &str| counts.get(name).copied().unwrap_or_default();
        let mut coverage = StateCounts::default();
        for (_, state, buckets) in self.covered(date).await? {
            coverage.add(state, buckets);
        }
        Ok(DaySummary {
            contracts: count("contracts"),
            buckets: count("buckets"),
            rows: count("rows"),
            snapshots: count("snapshots"),
            deltas: count("deltas"),
            candles: count("candles") + count("days"),
            coverage,
        })
    }

    /// Contract-buckets by underlying and state.
    async fn covered(&self, date: TradingDate) -> Result<Vec<(String, BucketState, i64)>, StoreError> {
        let query = Query::new(format!(
            "SELECT i.underlying, c.state, CAST(sum({COVERED_BUCKETS}) AS BIGINT) AS buckets \
             FROM instruments i CROSS JOIN coverage c \
             WHERE c.instrument = i.id AND c.from_bucket >= $1 AND c.from_bucket < $2 \
             GROUP BY i.underlying, c.state"
        ));
        let day = DaySpan::of(date);
        self.rows(query.big(day.from.as_us()).big(day.until.as_us())).await
    }

    async fn of_day(&self, query: Query, date: TradingDate) -> Result<Vec<(String, i64)>, StoreError> {
        let day = DaySpan::of(date);
        self.rows(query.big(day.from.as_us()).big(day.until.as_us())).await
    }
}

#[derive(QueryableByName)]
pub(super) struct StoredNumber {
    #[diesel(sql_type = BigInt)]
    pub value: i64,
}
