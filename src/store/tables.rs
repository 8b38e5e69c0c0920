//! The tables: which columns a row of each has, and when it replaces a stored one.

use super::{
    batch::{Checkpoint, GapRow, InstrumentRow, ProviderSymbolRow},
    table::{Cell, Table},
};
use crate::market::{
    BucketRow, BucketState, Candle, Contract, CoverageRun, DayClose, InstrumentId, InstrumentKind, OiBase,
    OiDelta, Price, Provider, Timestamp, TradingDate, UnderlyingRow,
};

impl From<InstrumentId> for Cell<'_> {
    fn from(id: InstrumentId) -> Self {
        Cell::Big(i64::from(id.0))
    }
}

impl From<Price> for Cell<'_> {
    fn from(price: Price) -> Self {
        Cell::Big(price.as_e4())
    }
}

impl From<Timestamp> for Cell<'_> {
    fn from(instant: Timestamp) -> Self {
        Cell::Big(instant.as_us())
    }
}

impl From<Provider> for Cell<'_> {
    fn from(provider: Provider) -> Self {
        Cell::Small(i16::from(provider.code()))
    }
}

impl From<BucketState> for Cell<'_> {
    fn from(state: BucketState) -> Self {
        Cell::Small(i16::from(state.code()))
    }
}

impl From<OiBase> for Cell<'_> {
    fn from(base: OiBase) -> Self {
        Cell::Small(i16::from(base.code()))
    }
}

impl From<bool> for Cell<'_> {
    fn from(value: bool) -> Self {
        Cell::Small(i16::from(value))
    }
}

impl From<u16> for Cell<'_> {
    fn from(value: u16) -> Self {
        Cell::Int(i32::from(value))
    }
}

impl From<TradingDate> for Cell<'_> {
    fn from(date: TradingDate) -> Self {
        Cell::text(date_text(date))
    }
}

/// Dates in SQL: `YYYY-MM-DD`, whose order as text is their order in time.
pub(super) fn date_text(date: TradingDate) -> String {
    date.format("%Y-%m-%d").to_string()
}

pub(super) fn kind_text(contract: &Contract) -> &'static str {
    match contract.kind {
        InstrumentKind::Index => "index",
        InstrumentKind::Equity => "equity",
        InstrumentKind::Future { .. } => "future",
        InstrumentKind::Option { .. } => "option",
    }
}

/// When a row of a bucket replaces the stored one: with a higher revision, or with the same one unless it knows less. A log
/// that lost its head states again, at revision 0, that nothing is known of buckets whose rows were observed. The highest
/// revision is counted no further: the later statement replaces the earlier one.
macro_rules! replaces_unless_it_knows_less {
    ($table:literal) => {
        concat!(
            "excluded.revision > ",
            $table,
            ".revision OR (excluded.revision = ",
            $table,
            ".revision AND (excluded.revision = 31 OR excluded.state < 4 OR (",
            $table,
            ".state >= 4 AND (excluded.event_time >= ",
            $table,
            ".event_time OR ",
            $table,
            ".event_time IS NULL))))"
        )
    };
}

const _: () = assert!(BucketRow::REVISION_MAX == 31);

/// The states from 4 on claim nothing that was observed.
const _: () = assert!(
    BucketState::Live.code() < 4
        && BucketState::Carried.code() < 4
        && BucketState::Backfilled.code() < 4
        && BucketState::Missing.code() == 4
        && BucketState::Unlisted.code() == 5
);

pub(crate) struct Instruments;

impl Table for Instruments {
    type Row = InstrumentRow;
    type Key = InstrumentId;
    const NAME: &'static str = "instruments";
    const COLUMNS: &'static [&'static str] = &[
        "id",
        "exchange",
        "symbol",
        "underlying",
        "kind",
        "expiry",
        "strike_e4",
        "option_type",
        "lot_size",
        "tick_size_e4",
        "first_seen",
        "last_seen",
    ];
    const KEY: &'static [&'static str] = &["id"];
    // The identity columns are replaced too: a differing one would be a defect, and dumps would show it.
    const UPDATE: Option<&'static str> = Some(
        "exchange = excluded.exchange, symbol = excluded.symbol, underlying = excluded.underlying, \
         kind = excluded.kind, expiry = excluded.expiry, strike_e4 = excluded.strike_e4, \
         option_type = excluded.option_type, \
         lot_size = CASE WHEN excluded.last_seen >= instruments.last_seen \
             THEN excluded.lot_size ELSE instruments.lot_size END, \
         tick_size_e4 = CASE WHEN excluded.last_seen >= instruments.last_seen \
             THEN excluded.tick_size_e4 ELSE instruments.tick_size_e4 END, \
         first_seen = CASE WHEN excluded.first_seen < instruments.first_seen \
             THEN excluded.first_seen ELSE instruments.first_seen END, \
         last_seen = CASE WHEN excluded.last_seen > instruments.last_seen \
             THEN excluded.last_seen ELSE instruments.last_seen END",
    );
    const MOSTLY_NEW: bool = false;

    fn key(row: &InstrumentRow) -> InstrumentId {
        row.id
    }

    fn cells<'a>(row: &'a InstrumentRow, mut put: impl FnMut(Cell<'a>)) {
        let option = match row.contract.kind {
            InstrumentKind::Option { strike, option_type, .. } => Some((strike, option_type)),
            _ => None,
        };
        put(row.id.into());
        put(Cell::text(row.contract.exchange.name()));
        put(Cell::text(row.contract.to_string()));
        put(Cell::text(&*row.contract.underlying));
        put(Cell::text(kind_text(&row.contract)));
        put(row.contract.expiry().into());
        put(option.map(|(strike, _)| strike).into());
        put(option.map(|(_, option_type)| Cell::text(option_type.name())).unwrap_or(Cell::Null));
        put(i64::from(row.lot_size).into());
        put(row.tick_size.into());
        put(row.first_seen.into());
        put(row.last_seen.into());
    }
}

pub(crate) struct ProviderSymbols;

impl Table for ProviderSymbols {
    type Row = ProviderSymbolRow;
    type Key = (Provider, u8, u32, InstrumentId, TradingDate);
    const NAME: &'static str = "provider_symbols";
    const COLUMNS: &'static [&'static str] =
        &["provider", "segment", "token", "instrument", "valid_from", "symbol"];
    const KEY: &'static [&'static str] = &["provider", "segment", "token", "instrument", "valid_from"];
    const MOSTLY_NEW: bool = false;

    fn key(row: &ProviderSymbolRow) -> Self::Key {
        let (segment, token) = segment_and_token(row);
        (row.provider, segment, token, row.instrument, row.valid_from)
    }

    fn cells<'a>(row: &'a ProviderSymbolRow, mut put: impl FnMut(Cell<'a>)) {
        let (segment, token) = segment_and_token(row);
        put(row.provider.into());
        put(Cell::Small(i16::from(segment)));
        put(i64::from(token).into());
        put(row.instrument.into());
        put(row.valid_from.into());
        put(Cell::text(&*row.symbol));
    }
}

fn segment_and_token(row: &ProviderSymbolRow) -> (u8, u32) {
    row.token.map_or((0, 0), |token| (token.segment.code(), token.token))
}

pub(crate) struct IntradayOptionOi;

impl Table for IntradayOptionOi {
    type Row = BucketRow;
    type Key = (i64, InstrumentId);
    const NAME: &'static str = "intraday_option_oi";
    const COLUMNS: &'static [&'static str] = &[
        "bucket",
        "instrument",
        "oi",
        "oi_change",
        "oi_base",
        "ltp_e4",
        "volume",
        "bid_e4",
        "ask_e4",
        "iv_e4",
        "state",
        "provider",
        "event_time",
        "received_time",
        "revision",
    ];
    const KEY: &'static [&'static str] = &["bucket", "instrument"];
    const REPLACES_WHEN: Option<&'static str> = Some(replaces_unless_it_knows_less!("intraday_option_oi"));
    const MOSTLY_NEW: bool = true;

    fn key(row: &BucketRow) -> Self::Key {
        (row.bucket.start().as_us(), row.instrument)
    }

    fn cells<'a>(row: &'a BucketRow, mut put: impl FnMut(Cell<'a>)) {
        put(row.bucket.start().into());
        put(row.instrument.into());
        put(row.open_interest.into());
        put(row.open_interest_change.into());
        put(row.oi_base.into());
        put(row.last_price.into());
        put(row.volume.into());
        put(row.bid.into());
        put(row.ask.into());
        put(row.implied_volatility_e4.into());
        put(row.state.into());
        put(row.provider.into());
        put(row.event_time.into());
        put(row.received_time.into());
        put(row.revision.into());
    }
}

/// How an underlying's level of each bucket came to be known; its prices are a candle.
pub(crate) struct IntradayUnderlying;

impl Table for IntradayUnderlying {
    type Row = UnderlyingRow;
    type Key = (i64, InstrumentId);
    const NAME: &'static str = "intraday_underlying";
    const COLUMNS: &'static [&'static str] =
        &["bucket", "instrument", "state", "provider", "event_time", "revision"];
    const KEY: &'static [&'static str] = &["bucket", "instrument"];
    const REPLACES_WHEN: Option<&'static str> = Some(replaces_unless_it_knows_less!("intraday_underlying"));
    const MOSTLY_NEW: bool = true;

    fn key(row: &UnderlyingRow) -> Self::Key {
        (row.bucket.start().as_us(), row.instrument)
    }

    fn cells<'a>(row: &'a UnderlyingRow, mut put: impl FnMut(Cell<'a>)) {
        put(row.bucket.start().into());
        put(row.instrument.into());
        put(row.state.into());
        put(row.provider.into());
        put(row.event_time.into());
        put(row.revision.into());
    }
}

pub(crate) struct OiDeltaLog;

impl Table for OiDeltaLog {
    type Row = OiDelta;
    type Key = (InstrumentId, Timestamp, u16);
    const NAME: &'static str = "oi_delta_log";
    const COLUMNS: &'static [&'static str] =
        &["instrument", "event_time", "seq", "old_oi", "new_oi", "delta", "provider", "received_time"];
    const KEY: &'static [&'static str] = &["instrument", "event_time", "seq"];
    const MOSTLY_NEW: bool = true;

    fn key(row: &OiDelta) -> Self::Key {
        (row.instrument, row.event_time, row.seq)
    }

    fn cells<'a>(row: &'a OiDelta, mut put: impl FnMut(Cell<'a>)) {
        put(row.instrument.into());
        put(row.event_time.into());
        put(row.seq.into());
        put(row.old_open_interest.into());
        put(row.new_open_interest.into());
        put(row.delta().into());
        put(row.provider.into());
        put(row.received_time.into());
    }
}

/// The mark of a candle that may lack something.
const RESOLVE_REQUIRED: &str = "resolve_required";

/// Candles shorter than a day.
pub(crate) struct PriceHistoryIntraday;

impl Table for PriceHistoryIntraday {
    type Row = Candle;
    type Key = (InstrumentId, i64, Timestamp);
    const NAME: &'static str = "price_history_intraday";
    const COLUMNS: &'static [&'static str] = &[
        "instrument",
        "interval_minutes",
        "start",
        "open_e4",
        "high_e4",
        "low_e4",
        "close_e4",
        "volume",
        "provider",
        "revision",
        RESOLVE_REQUIRED,
    ];
    const KEY: &'static [&'static str] = &["instrument", "interval_minutes", "start"];
    const REPLACES_WHEN: Option<&'static str> = Some("excluded.revision >= price_history_intraday.revision");
    const MARK: Option<&'static str> = Some(RESOLVE_REQUIRED);
    const MOSTLY_NEW: bool = true;

    fn key(row: &Candle) -> Self::Key {
        (row.instrument, row.interval.minutes(), row.start)
    }

    fn cells<'a>(row: &'a Candle, mut put: impl FnMut(Cell<'a>)) {
        put(row.instrument.into());
        put(Cell::Int(row.interval.minutes() as i32));
        put_prices(row, put);
    }
}

/// Candles of a day, known by the date their session began on.
pub(crate) struct PriceHistoryDaily;

impl Table for PriceHistoryDaily {
    type Row = Candle;
    type Key = (InstrumentId, TradingDate);
    const NAME: &'static str = "price_history_daily";
    const COLUMNS: &'static [&'static str] = &[
        "instrument",
        "date",
        "start",
        "open_e4",
        "high_e4",
        "low_e4",
        "close_e4",
        "volume",
        "provider",
        "revision",
        RESOLVE_REQUIRED,
    ];
    const KEY: &'static [&'static str] = &["instrument", "date"];
    const REPLACES_WHEN: Option<&'static str> = Some("excluded.revision >= price_history_daily.revision");
    const MARK: Option<&'static str> = Some(RESOLVE_REQUIRED);
    const MOSTLY_NEW: bool = false;

    fn key(row: &Candle) -> Self::Key {
        (row.instrument, row.start.date_ist())
    }

    fn cells<'a>(row: &'a Candle, mut put: impl FnMut(Cell<'a>)) {
        put(row.instrument.into());
        put(row.start.date_ist().into());
        put_prices(row, put);
    }
}

fn put_prices<'a>(row: &'a Candle, mut put: impl FnMut(Cell<'a>)) {
    put(row.start.into());
    put(row.open.into());
    put(row.high.into());
    put(row.low.into());
    put(row.close.into());
    put(row.volume.into());
    put(row.provider.into());
    put(row.revision.into());
    put(row.resolve_required.into());
}

pub(crate) struct DailyOptionOi;

impl Table for DailyOptionOi {
    type Row = DayClose;
    type Key = (TradingDate, InstrumentId);
    const NAME: &'static str = "daily_option_oi";
    const COLUMNS: &'static [&'static str] = &[
        "trading_date",
        "instrument",
        "oi",
        "ltp_e4",
        "volume",
        "provider",
        "event_time",
        "last_state",
        "missing_buckets",
    ];
    const KEY: &'static [&'static str] = &["trading_date", "instrument"];
    // The official columns are for whoever imports the exchange's file; only the difference follows a later close.
    const UPDATE: Option<&'static str> = Some(
        "oi = excluded.oi, ltp_e4 = excluded.ltp_e4, volume = excluded.volume, provider = excluded.provider, \
         event_time = excluded.event_time, last_state = excluded.last_state, \
         missing_buckets = excluded.missing_buckets, difference = daily_option_oi.official_oi - excluded.oi",
    );
    const REPLACES_WHEN: Option<&'static str> =
        Some("daily_option_oi.event_time IS NULL OR excluded.event_time >= daily_option_oi.event_time");
    const MOSTLY_NEW: bool = false;

    fn key(row: &DayClose) -> Self::Key {
        (row.date, row.instrument)
    }

    fn cells<'a>(row: &'a DayClose, mut put: impl FnMut(Cell<'a>)) {
        put(row.date.into());
        put(row.instrument.into());
        put(row.open_interest.into());
        put(row.last_price.into());
        put(row.volume.into());
        put(row.provider.into());
        put(row.event_time.into());
        put(row.last_state.into());
        put(row.missing_buckets.into());
    }
}

/// Closes by a log that lost a part of their day: see [`super::batch::Supplements`].
pub(crate) struct SupplementedOptionOi;

impl Table for SupplementedOptionOi {
    type Row = DayClose;
    type Key = (TradingDate, InstrumentId);
    const NAME: &'static str = DailyOptionOi::NAME;
    const COLUMNS: &'static [&'static str] = DailyOptionOi::COLUMNS;
    const KEY: &'static [&'static str] = DailyOptionOi::KEY;
    const UPDATE: Option<&'static str> = Some(
        "oi = excluded.oi, ltp_e4 = excluded.ltp_e4, volume = excluded.volume, provider = excluded.provider, \
         event_time = excluded.event_time, difference = daily_option_oi.official_oi - excluded.oi",
    );
    const REPLACES_WHEN: Option<&'static str> = Some("excluded.event_time > daily_option_oi.event_time");
    const MOSTLY_NEW: bool = false;

    fn key(row: &DayClose) -> Self::Key {
        DailyOptionOi::key(row)
    }

    fn cells<'a>(row: &'a DayClose, put: impl FnMut(Cell<'a>)) {
        DailyOptionOi::cells(row, put);
    }
}

pub(crate) struct Coverage;

impl Table for Coverage {
    type Row = CoverageRun;
    type Key = (InstrumentId, i64);
    const NAME: &'static str = "coverage";
    const COLUMNS: &'static [&'static str] = &["instrument", "from_bucket", "to_bucket", "state", "provider"];
    const KEY: &'static [&'static str] = &["instrument", "from_bucket"];
    const MOSTLY_NEW: bool = true;

    fn key(row: &CoverageRun) -> Self::Key {
        (row.instrument, row.from_bucket.start().as_us())
    }

    fn cells<'a>(row: &'a CoverageRun, mut put: impl FnMut(Cell<'a>)) {
        put(row.instrument.into());
        put(row.from_bucket.start().into());
        put(row.to_bucket.start().into());
        put(row.state.into());
        put(row.provider.into());
    }
}

pub(crate) struct Gaps;

impl Table for Gaps {
    type Row = GapRow;
    type Key = (Timestamp, u8, String);
    const NAME: &'static str = "gaps";
    const COLUMNS: &'static [&'static str] = &["from_time", "provider", "part", "to_time", "reason"];
    const KEY: &'static [&'static str] = &["from_time", "provider", "part"];
    const REPLACES_WHEN: Option<&'static str> = Some("excluded.to_time >= gaps.to_time");
    const MOSTLY_NEW: bool = false;

    fn key(row: &GapRow) -> Self::Key {
        (row.from, row.provider.map_or(0, Provider::code), row.part.clone())
    }

    fn cells<'a>(row: &'a GapRow, mut put: impl FnMut(Cell<'a>)) {
        put(row.from.into());
        put(Cell::Small(row.provider.map_or(0, |provider| i16::from(provider.code()))));
        put(Cell::text(&*row.part));
        put(row.to.into());
        put(Cell::text(&*row.reason));
    }
}

pub(crate) struct Checkpoints;

impl Table for Checkpoints {
    type Row = Checkpoint;
    type Key = TradingDate;
    const NAME: &'static str = "checkpoints";
    const COLUMNS: &'static [&'static str] = &["session_date", "spool_seq"];
    const KEY: &'static [&'static str] = &["session_date"];
    // A repeated batch must not turn the checkpoint back.
    const REPLACES_WHEN: Option<&'static str> = Some("excluded.spool_seq >= checkpoints.spool_seq");
    const MOSTLY_NEW: bool = false;

    fn key(row: &Checkpoint) -> TradingDate {
        row.session_date
    }

    fn cells<'a>(row: &'a Checkpoint, mut put: impl FnMut(Cell<'a>)) {
        put(row.session_date.into());
        // The log would need 292 years at a thousand million records a second to get there.
        put(i64::try_from(row.spool_seq).unwrap_or(i64::MAX).into());
    }
}
