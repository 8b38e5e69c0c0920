//! Rows as questions return them.

use super::error::StoreError;
use crate::market::{
    Bucket, BucketRow, BucketState, Candle, CandleInterval, Contract, InstrumentId, InstrumentKind, OiBase,
    OiDelta, Price, Provider, ProviderToken, Segment, Timestamp, TradingDate,
};
use diesel::{
    QueryableByName,
    sql_types::{BigInt, Integer, Nullable, SmallInt, Text},
};

/// One side of a strike in a bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Side {
    pub open_interest: Option<i64>,
    pub open_interest_change: Option<i64>,
    /// What the change is against; `None` without a change, and in rows that do not say.
    pub oi_base: Option<OiBase>,
    pub last_price: Option<Price>,
    pub volume: Option<i64>,
    pub bid: Option<Price>,
    pub ask: Option<Price>,
    pub implied_volatility_e4: Option<i64>,
    pub state: BucketState,
}

/// The underlying's candle of a bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IndexPrices {
    pub open: Price,
    pub high: Price,
    pub low: Price,
    pub close: Price,
    /// `None` where it is not known; an index has none.
    pub volume: Option<i64>,
}

/// A row of the view `option_snapshots`: calls and puts of a strike side by side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotRow {
    pub bucket: Bucket,
    pub underlying: String,
    pub expiry: TradingDate,
    pub strike: Price,
    pub call: Option<Side>,
    pub put: Option<Side>,
    /// `None` where the underlying did not trade, or where its bucket is missing and no level was observed within it.
    pub index: Option<IndexPrices>,
    /// `None` where the store does not say.
    pub index_state: Option<BucketState>,
    pub provider: Option<Provider>,
}

/// A recorded change of open interest and the contract it belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeltaRow {
    /// As [`Contract`] displays itself.
    pub symbol: String,
    pub delta: OiDelta,
}

/// Which changes of open interest are asked for; everything given must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeltaFilter {
    pub underlying: Option<String>,
    pub contract: Option<Contract>,
    /// Event times from here on.
    pub from: Option<Timestamp>,
    /// Event times before this.
    pub until: Option<Timestamp>,
}

/// A stored value that this program has no meaning for: written by another program, or damage.
pub(super) fn strange(store: &str, what: &str, value: impl std::fmt::Display) -> StoreError {
    StoreError::Corrupt { store: store.to_owned(), reason: format!("{what} {value} is unknown") }
}

/// What SQL returned, turned into the market's words. `store` is for errors.
pub(super) trait FromStored: Sized {
    type Stored;
    fn from_stored(stored: Self::Stored, store: &str) -> Result<Self, StoreError>;
}

fn provider(code: i16, store: &str) -> Result<Provider, StoreError> {
    let known = u8::try_from(code).ok().and_then(Provider::from_code);
    known.ok_or_else(|| strange(store, "provider", code))
}

pub(super) fn bucket_state(code: i16, store: &str) -> Result<BucketState, StoreError> {
    let known = u8::try_from(code).ok().and_then(BucketState::from_code);
    known.ok_or_else(|| strange(store, "bucket state", code))
}

fn oi_base(code: i16, store: &str) -> Result<OiBase, StoreError> {
    let known = u8::try_from(code).ok().and_then(OiBase::from_code);
    known.ok_or_else(|| strange(store, "base of open interest", code))
}

fn instrument(id: i64, store: &str) -> Result<InstrumentId, StoreError> {
    u32::try_from(id).map(InstrumentId).map_err(|_| strange(store, "instrument", id))
}

fn small_count(value: i32, store: &str) -> Result<u16, StoreError> {
    u16::try_from(value).map_err(|_| strange(store, "number", value))
}

pub(super) fn date(text: &str, store: &str) -> Result<TradingDate, StoreError> {
    text.parse().map_err(|_| strange(store, "date", text))
}

fn bucket(start_us: i64) -> Bucket {
    Bucket::containing(Timestamp::from_us(start_us))
}

#[derive(QueryableByName)]
pub(super) struct StoredSnapshot {
    #[diesel(sql_type = BigInt)]
    bucket: i64,
    #[diesel(sql_type = Text)]
    underlying: String,
    #[diesel(sql_type = Text)]
    expiry: String,
    #[diesel(sql_type = BigInt)]
    strike_e4: i64,
    #[diesel(sql_type = Nullable<BigInt>)]
    ce_oi: Option<i64>,
    #[diesel(sql_type = Nullable<BigInt>)]
    ce_oi_change: Option<i64>,
    #[diesel(sql_type = Nullable<BigInt>)]
    ce_ltp_e4: Option<i64>,
    #[diesel(sql_type = Nullable<BigInt>)]
    ce_volume: Option<i64>,
    #[diesel(sql_type = Nullable<BigInt>)]
    pe_oi: Option<i64>,
    #[diesel(sql_type = Nullable<BigInt>)]
    pe_oi_change: Option<i64>,
    #[diesel(sql_type = Nullable<BigInt>)]
    pe_ltp_e4: Option<i64>,
    #[diesel(sql_type = Nullable<BigInt>)]
    pe_volume: Option<i64>,
    #[diesel(sql_type = Nullable<BigInt>)]
    index_open_e4: Option<i64>,
    #[diesel(sql_type = Nullable<BigInt>)]
    index_high_e4: Option<i64>,
    #[diesel(sql_type = Nullable<BigInt>)]
    index_low_e4: Option<i64>,
    #[diesel(sql_type = Nullable<BigInt>)]
    index_close_e4: Option<i64>,
    #[diesel(sql_type = Nullable<BigInt>)]
    index_volume: Option<i64>,
    #[diesel(sql_type = Nullable<SmallInt>)]
    ce_state: Option<i16>,
    #[diesel(sql_type = Nullable<SmallInt>)]
    pe_state: Option<i16>,
    #[diesel(sql_type = Nullable<SmallInt>)]
    provider: Option<i16>,
    #[diesel(sql_type = Nullable<SmallInt>)]
    index_state: Option<i16>,
    #[diesel(sql_type = Nullable<SmallInt>)]
    ce_oi_base: Option<i16>,
    #[diesel(sql_type = Nullable<SmallInt>)]
    pe_oi_base: Option<i16>,
    #[diesel(sql_type = Nullable<BigInt>)]
    ce_bid_e4: Option<i64>,
    #[diesel(sql_type = Nullable<BigInt>)]
    ce_ask_e4: Option<i64>,
    #[diesel(sql_type = Nullable<BigInt>)]
    ce_iv_e4: Option<i64>,
    #[diesel(sql_type = Nullable<BigInt>)]
    pe_bid_e4: Option<i64>,
    #[diesel(sql_type = Nullable<BigInt>)]
    pe_ask_e4: Option<i64>,
    #[diesel(sql_type = Nullable<BigInt>)]
    pe_iv_e4: Option<i64>,
}

/// The columns of one side of a snapshot; without a state there is no row of that side.
struct StoredSide {
    state: Option<i16>,
    oi: Option<i64>,
    oi_change: Option<i64>,
    oi_base: Option<i16>,
    ltp_e4: Option<i64>,
    volume: Option<i64>,
    bid_e4: Option<i64>,
    ask_e4: Option<i64>,
    iv_e4: Option<i64>,
}

impl StoredSide {
    fn side(self, store: &str) -> Result<Option<Side>, StoreError> {
        let Some(state) = self.state else { return Ok(None) };
        Ok(Some(Side {
            open_interest: self.oi,
            open_interest_change: self.oi_change,
            oi_base: self.oi_base.map(|code| oi_base(code, store)).transpose()?,
            last_price: self.ltp_e4.map(Price::from_e4),
            volume: self.volume,
            bid: self.bid_e4.map(Price::from_e4),
            ask: self.ask_e4.map(Price::from_e4),
            implied_volatility_e4: self.iv_e4,
            state: bucket_state(state, store)?,
        }))
    }
}

impl FromStored for SnapshotRow {
    type Stored = StoredSnapshot;

    fn from_stored(row: StoredSnapshot, store: &str) -> Result<SnapshotRow, StoreError> {
        let call = StoredSide {
            state: row.ce_state,
            oi: row.ce_oi,
            oi_change: row.ce_oi_change,
            oi_base: row.ce_oi_base,
            ltp_e4: row.ce_ltp_e4,
            volume: row.ce_volume,
            bid_e4: row.ce_bid_e4,
            ask_e4: row.ce_ask_e4,
            iv_e4: row.ce_iv_e4,
        };
        let put = StoredSide {
            state: row.pe_state,
            oi: row.pe_oi,
            oi_change: row.pe_oi_change,
            oi_base: row.pe_oi_base,
            ltp_e4: row.pe_ltp_e4,
            volume: row.pe_volume,
            bid_e4: row.pe_bid_e4,
            ask_e4: row.pe_ask_e4,
            iv_e4: row.pe_iv_e4,
        };
        let prices = (row.index_open_e4, row.index_high_e4, row.index_low_e4, row.index_close_e4);
        let index = match prices {
            (Some(open), Some(high), Some(low), Some(close)) => Some(IndexPrices {
                open: Price::from_e4(open),
                high: Price::from_e4(high),
                low: Price::from_e4(low),
                close: Price::from_e4(close),
                volume: row.index_volume,
            }),
            _ => None,
        };
        Ok(SnapshotRow {
            bucket: bucket(row.bucket),
            expiry: date(&row.expiry, store)?,
            underlying: row.underlying,
            strike: Price::from_e4(row.strike_e4),
            call: call.side(store)?,
            put: put.side(store)?,
            index,
            index_state: row.index_state.map(|code| bucket_state(code, store)).transpose()?,
            provider: row.provider.map(|code| provider(code, store)).transpose()?,
        })
    }
}

#[derive(QueryableByName)]
pub(super) struct StoredDelta {
    #[diesel(sql_type = Text)]
    symbol: String,
    #[diesel(sql_type = BigInt)]
    instrument: i64,
    #[diesel(sql_type = BigInt)]
    event_time: i64,
    #[diesel(sql_type = Integer)]
    seq: i32,
    #[diesel(sql_type = BigInt)]
    old_oi: i64,
    #[diesel(sql_type = BigInt)]
    new_oi: i64,
    #[diesel(sql_type = SmallInt)]
    provider: i16,
    #[diesel(sql_type = BigInt)]
    received_time: i64,
}

impl FromStored for DeltaRow {
    type Stored = StoredDelta;

    fn from_stored(row: StoredDelta, store: &str) -> Result<DeltaRow, StoreError> {
        let delta = OiDelta {
            instrument: instrument(row.instrument, store)?,
            event_time: Timestamp::from_us(row.event_time),
            seq: small_count(row.seq, store)?,
            old_open_interest: row.old_oi,
            new_open_interest: row.new_oi,
            provider: provider(row.provider, store)?,
            received_time: Timestamp::from_us(row.received_time),
        };
        Ok(DeltaRow { symbol: row.symbol, delta })
    }
}

#[derive(QueryableByName)]
pub(super) struct StoredCandle {
    #[diesel(sql_type = BigInt)]
    instrument: i64,
    #[diesel(sql_type = BigInt)]
    interval_minutes: i64,
    #[diesel(sql_type = BigInt)]
    start: i64,
    #[diesel(sql_type = BigInt)]
    open_e4: i64,
    #[diesel(sql_type = BigInt)]
    high_e4: i64,
    #[diesel(sql_type = BigInt)]
    low_e4: i64,
    #[diesel(sql_type = BigInt)]
    close_e4: i64,
    #[diesel(sql_type = BigInt)]
    volume: i64,
    #[diesel(sql_type = SmallInt)]
    provider: i16,
    #[diesel(sql_type = Integer)]
    revision: i32,
    #[diesel(sql_type = SmallInt)]
    resolve_required: i16,
}

impl FromStored for Candle {
    type Stored = StoredCandle;

    fn from_stored(row: StoredCandle, store: &str) -> Result<Candle, StoreError> {
        let interval = CandleInterval::from_minutes(row.interval_minutes);
        Ok(Candle {
            instrument: instrument(row.instrument, store)?,
            interval: interval.ok_or_else(|| strange(store, "candle length", row.interval_minutes))?,
            start: Timestamp::from_us(row.start),
            open: Price::from_e4(row.open_e4),
            high: Price::from_e4(row.high_e4),
            low: Price::from_e4(row.low_e4),
            close: Price::from_e4(row.close_e4),
            volume: row.volume,
            provider: provider(row.provider, store)?,
            revision: small_count(row.revision, store)?,
            resolve_required: row.resolve_required != 0,
        })
    }
}

#[derive(QueryableByName)]
pub(super) struct StoredBucket {
    #[diesel(sql_type = BigInt)]
    bucket: i64,
    #[diesel(sql_type = BigInt)]
    instrument: i64,
    #[diesel(sql_type = Nullable<BigInt>)]
    oi: Option<i64>,
    #[diesel(sql_type = Nullable<BigInt>)]
    oi_change: Option<i64>,
    #[diesel(sql_type = Nullable<SmallInt>)]
    oi_base: Option<i16>,
    #[diesel(sql_type = Nullable<BigInt>)]
    ltp_e4: Option<i64>,
    #[diesel(sql_type = Nullable<BigInt>)]
    volume: Option<i64>,
    #[diesel(sql_type = Nullable<BigInt>)]
    bid_e4: Option<i64>,
    #[diesel(sql_type = Nullable<BigInt>)]
    ask_e4: Option<i64>,
    #[diesel(sql_type = Nullable<BigInt>)]
    iv_e4: Option<i64>,
    #[diesel(sql_type = SmallInt)]
    state: i16,
    #[diesel(sql_type = Nullable<SmallInt>)]
    provider: Option<i16>,
    #[diesel(sql_type = Nullable<BigInt>)]
    event_time: Option<i64>,
    #[diesel(sql_type = Nullable<BigInt>)]
    received_time: Option<i64>,
    #[diesel(sql_type = Integer)]
    revision: i32,
}

impl FromStored for BucketRow {
    type Stored = StoredBucket;

    fn from_stored(row: StoredBucket, store: &str) -> Result<BucketRow, StoreError> {
        Ok(BucketRow {
            bucket: bucket(row.bucket),
            instrument: instrument(row.instrument, store)?,
            open_interest: row.oi,
            open_interest_change: row.oi_change,
            oi_base: row.oi_base.map(|code| oi_base(code, store)).transpose()?,
            last_price: row.ltp_e4.map(Price::from_e4),
            volume: row.volume,
            bid: row.bid_e4.map(Price::from_e4),
            ask: row.ask_e4.map(Price::from_e4),
            implied_volatility_e4: row.iv_e4,
            state: bucket_state(row.state, store)?,
            provider: row.provider.map(|code| provider(code, store)).transpose()?,
            event_time: row.event_time.map(Timestamp::from_us),
            received_time: row.received_time.map(Timestamp::from_us),
            revision: small_count(row.revision, store)?,
        })
    }
}

#[derive(QueryableByName)]
pub(super) struct StoredInstrument {
    #[diesel(sql_type = BigInt)]
    id: i64,
    #[diesel(sql_type = Text)]
    exchange: String,
    #[diesel(sql_type = Text)]
    underlying: String,
    #[diesel(sql_type = Text)]
    kind: String,
    #[diesel(sql_type = Nullable<Text>)]
    expiry: Option<String>,
    #[diesel(sql_type = Nullable<BigInt>)]
    strike_e4: Option<i64>,
    #[diesel(sql_type = Nullable<Text>)]
    option_type: Option<String>,
    #[diesel(sql_type = BigInt)]
    lot_size: i64,
    #[diesel(sql_type = BigInt)]
    tick_size_e4: i64,
    #[diesel(sql_type = Text)]
    first_seen: String,
    #[diesel(sql_type = Text)]
    last_seen: String,
}

impl FromStored for super::InstrumentRow {
    type Stored = StoredInstrument;

    fn from_stored(row: StoredInstrument, store: &str) -> Result<super::InstrumentRow, StoreError> {
        let expiry = row.expiry.as_deref().map(|text| date(text, store)).transpose()?;
        let option_type = row.option_type.as_deref().and_then(|name| name.parse().ok());
        let kind = match (row.kind.as_str(), expiry, row.strike_e4, option_type) {
            ("index", None, None, None) => InstrumentKind::Index,
            ("equity", None, None, None) => InstrumentKind::Equity,
            ("future", Some(expiry), None, None) => InstrumentKind::Future { expiry },
            ("option", Some(expiry), Some(strike_e4), Some(option_type)) => {
                InstrumentKind::Option { expiry, strike: Price::from_e4(strike_e4), option_type }
            }
            _ => return Err(strange(store, "contract of instrument", row.id)),
        };
        let exchange = row.exchange.parse().map_err(|_| strange(store, "exchange", &row.exchange))?;
        Ok(super::InstrumentRow {
            id: instrument(row.id, store)?,
            contract: Contract { exchange, underlying: row.underlying.into(), kind },
            lot_size: u32::try_from(row.lot_size).map_err(|_| strange(store, "lot size", row.lot_size))?,
            tick_size: Price::from_e4(row.tick_size_e4),
            first_seen: date(&row.first_seen, store)?,
            last_seen: date(&row.last_seen, store)?,
        })
    }
}

#[derive(QueryableByName)]
pub(super) struct StoredOpenInterest {
    #[diesel(sql_type = BigInt)]
    instrument: i64,
    #[diesel(sql_type = BigInt)]
    oi: i64,
}

impl FromStored for (InstrumentId, i64) {
    type Stored = StoredOpenInterest;

    fn from_stored(row: StoredOpenInterest, store: &str) -> Result<(InstrumentId, i64), StoreError> {
        Ok((instrument(row.instrument, store)?, row.oi))
    }
}

#[derive(QueryableByName)]
pub(super) struct StoredBase {
    #[diesel(sql_type = BigInt)]
    instrument: i64,
    #[diesel(sql_type = BigInt)]
    oi: i64,
    #[diesel(sql_type = SmallInt)]
    oi_base: i16,
}

impl FromStored for (InstrumentId, i64, OiBase) {
    type Stored = StoredBase;

    fn from_stored(row: StoredBase, store: &str) -> Result<(InstrumentId, i64, OiBase), StoreError> {
        Ok((instrument(row.instrument, store)?, row.oi, oi_base(row.oi_base, store)?))
    }
}

#[derive(QueryableByName)]
pub(super) struct StoredCheckpoint {
    #[diesel(sql_type = Text)]
    session_date: String,
    #[diesel(sql_type = BigInt)]
    spool_seq: i64,
}

impl FromStored for super::Checkpoint {
    type Stored = StoredCheckpoint;

    fn from_stored(row: StoredCheckpoint, store: &str) -> Result<super::Checkpoint, StoreError> {
        let spool_seq = u64::try_from(row.spool_seq).map_err(|_| strange(store, "record", row.spool_seq))?;
        Ok(super::Checkpoint { spool_seq, session_date: date(&row.session_date, store)? })
    }
}

impl DeltaFilter {
    /// Bounds of event times, the second exclusive.
    pub(super) fn bounds_us(&self) -> (i64, i64) {
        let from = self.from.map_or(i64::MIN, Timestamp::as_us);
        (from, self.until.map_or(i64::MAX, Timestamp::as_us))
    }
}

/// The key of an instrument in SQL.
pub(super) fn natural_key(contract: &Contract) -> (&'static str, String) {
    (contract.exchange.name(), contract.to_string())
}

#[derive(QueryableByName)]
pub(super) struct StoredSymbol {
    #[diesel(sql_type = SmallInt)]
    provider: i16,
    #[diesel(sql_type = SmallInt)]
    segment: i16,
    #[diesel(sql_type = BigInt)]
    token: i64,
    #[diesel(sql_type = Text)]
    symbol: String,
    #[diesel(sql_type = BigInt)]
    instrument: i64,
    #[diesel(sql_type = Text)]
    valid_from: String,
}

impl FromStored for super::ProviderSymbolRow {
    type Stored = StoredSymbol;

    fn from_stored(row: StoredSymbol, store: &str) -> Result<super::ProviderSymbolRow, StoreError> {
        let token = match row.segment {
            0 => None,
            code => {
                let segment = u8::try_from(code).ok().and_then(Segment::from_code);
                let segment = segment.ok_or_else(|| strange(store, "segment", code))?;
                let token = u32::try_from(row.token).map_err(|_| strange(store, "token", row.token))?;
                Some(ProviderToken { segment, token })
            }
        };
        Ok(super::ProviderSymbolRow {
            provider: provider(row.provider, store)?,
            token,
            symbol: row.symbol.into(),
            instrument: instrument(row.instrument, store)?,
            valid_from: row.valid_from.parse().map_err(|_| strange(store, "date", &row.valid_from))?,
        })
    }
}
