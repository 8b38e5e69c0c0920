//! A small session with known values.

use bhavd::{
    market::{
        Bucket, BucketRow, BucketState, Candle, CandleInterval, Contract, CoverageRun, DayClose, Exchange,
        InstrumentId, OiBase, OiDelta, OptionType, Price, Provider, ProviderToken, Segment, Timestamp,
        TradingDate, UnderlyingRow,
    },
    store::{Batch, CoverageDay, GapRow, InstrumentRow, ProviderSymbolRow},
};
use chrono::{NaiveDate, NaiveTime};

pub const INDEX: InstrumentId = InstrumentId(1);
pub const CALL: InstrumentId = InstrumentId(2);
pub const PUT: InstrumentId = InstrumentId(3);
/// A strike of which only the call is watched.
pub const LONELY_CALL: InstrumentId = InstrumentId(4);

pub fn date() -> TradingDate {
    day(30)
}

/// A day of January 2026.
pub fn day(day: u32) -> TradingDate {
    NaiveDate::from_ymd_opt(2026, 1, day).expect("a date")
}

pub fn expiry() -> TradingDate {
    NaiveDate::from_ymd_opt(2026, 2, 3).expect("a date")
}

pub fn at(hour: u32, minute: u32, second: u32) -> Timestamp {
    Timestamp::on(date(), NaiveTime::from_hms_opt(hour, minute, second).expect("a time"))
}

pub fn bucket(hour: u32, minute: u32) -> Bucket {
    Bucket::containing(at(hour, minute, 0))
}

pub fn option(strike_e4: i64, option_type: OptionType) -> Contract {
    Contract::option(Exchange::Nse, "NIFTY", expiry(), Price::from_e4(strike_e4), option_type)
}

pub fn instrument(id: InstrumentId, contract: Contract) -> InstrumentRow {
    let lot_size = if contract.is_option() { 65 } else { 1 };
    let (first_seen, last_seen) = (date(), date());
    InstrumentRow { id, contract, lot_size, tick_size: Price::from_e4(500), first_seen, last_seen }
}

pub fn bucket_row(bucket: Bucket, instrument: InstrumentId, open_interest: i64) -> BucketRow {
    BucketRow {
        bucket,
        instrument,
        open_interest: Some(open_interest),
        open_interest_change: Some(open_interest - 1_000),
        oi_base: Some(OiBase::Provider),
        last_price: Some(Price::from_e4(1_234_500)),
        volume: Some(65 * 40),
        bid: Some(Price::from_e4(1_234_000)),
        ask: Some(Price::from_e4(1_235_000)),
        implied_volatility_e4: Some(123_400),
        state: BucketState::Live,
        provider: Some(Provider::AngelOne),
        event_time: Some(bucket.start().plus_seconds(100)),
        received_time: Some(bucket.start().plus_us(100_250_000)),
        revision: 0,
    }
}

pub fn underlying_row(bucket: Bucket, state: BucketState, event_time: Option<Timestamp>) -> UnderlyingRow {
    let provider = event_time.map(|_| Provider::AngelOne);
    UnderlyingRow { bucket, instrument: INDEX, state, provider, event_time, revision: 0 }
}

pub fn candle(instrument: InstrumentId, interval: CandleInterval, start: Timestamp) -> Candle {
    Candle {
        instrument,
        interval,
        start,
        open: Price::from_e4(252_789_000),
        high: Price::from_e4(252_800_500),
        low: Price::from_e4(252_700_000),
        close: Price::from_e4(252_750_000),
        volume: 12_345,
        provider: Provider::AngelOne,
        revision: 0,
        resolve_required: false,
    }
}

pub fn run(
    instrument: InstrumentId,
    from_bucket: Bucket,
    to_bucket: Bucket,
    state: BucketState,
) -> CoverageRun {
    CoverageRun { instrument, from_bucket, to_bucket, state, provider: Some(Provider::AngelOne) }
}

pub fn close(date: TradingDate, instrument: InstrumentId, open_interest: Option<i64>) -> DayClose {
    DayClose {
        date,
        instrument,
        open_interest,
        last_price: Some(Price::from_e4(1_000_000)),
        volume: Some(650),
        provider: Provider::Nse,
        event_time: Timestamp::on(date, NaiveTime::from_hms_opt(15, 30, 0).expect("a time")),
        last_state: BucketState::Live,
        missing_buckets: 0,
    }
}

/// Two buckets of three contracts with everything a batch can hold.
pub fn batch() -> Batch {
    let mut batch = Batch::new(date(), 41);
    batch.instruments = vec![
        instrument(INDEX, Contract::index(Exchange::Nse, "NIFTY")),
        instrument(CALL, option(250_000_000, OptionType::Call)),
        instrument(PUT, option(250_000_000, OptionType::Put)),
        instrument(LONELY_CALL, option(250_500_000, OptionType::Call)),
    ];
    batch.symbols = vec![
        ProviderSymbolRow {
            provider: Provider::AngelOne,
            token: Some(ProviderToken { segment: Segment::NseFo, token: 40_001 }),
            symbol: "NIFTY03FEB2625000CE".into(),
            instrument: CALL,
            valid_from: date(),
        },
        ProviderSymbolRow {
            provider: Provider::Nse,
            token: None,
            symbol: "NIFTY".into(),
            instrument: CALL,
            valid_from: date(),
        },
    ];
    let (first, second) = (bucket(9, 15), bucket(9, 18));
    let carried = BucketRow {
        state: BucketState::Carried,
        provider: Some(Provider::Nse),
        last_price: Some(Price::from_e4(500)),
        ..bucket_row(first, PUT, 130_000)
    };
    batch.buckets = vec![
        bucket_row(first, CALL, 65_000),
        carried,
        bucket_row(first, LONELY_CALL, 6_500),
        bucket_row(second, CALL, 65_065),
        BucketRow::missing(second, PUT),
    ];
    batch.underlyings = vec![
        underlying_row(first, BucketState::Live, Some(at(9, 17, 59))),
        underlying_row(second, BucketState::Missing, None),
    ];
    batch.deltas = vec![
        OiDelta {
            instrument: CALL,
            event_time: at(9, 18, 30).plus_us(250_000),
            seq: 0,
            old_open_interest: 65_000,
            new_open_interest: 65_065,
            provider: Provider::AngelOne,
            received_time: at(9, 18, 31),
        },
        OiDelta {
            instrument: LONELY_CALL,
            event_time: at(9, 16, 0),
            seq: 0,
            old_open_interest: 13_000,
            new_open_interest: 6_500,
            provider: Provider::Nse,
            received_time: at(9, 16, 5),
        },
    ];
    batch.candles = vec![
        candle(INDEX, CandleInterval::ThreeMinutes, at(9, 15, 0)),
        candle(INDEX, CandleInterval::FiveMinutes, at(9, 15, 0)),
        candle(CALL, CandleInterval::FiveMinutes, at(9, 15, 0)),
        candle(INDEX, CandleInterval::Day, at(9, 15, 0)),
    ];
    batch.closes = vec![close(date(), CALL, Some(65_065)), close(date(), PUT, None)];
    batch.coverage = vec![
        CoverageDay {
            instrument: CALL,
            date: date(),
            runs: vec![run(CALL, first, second, BucketState::Live)],
        },
        CoverageDay {
            instrument: PUT,
            date: date(),
            runs: vec![
                run(PUT, first, first, BucketState::Carried),
                CoverageRun { provider: None, ..run(PUT, second, second, BucketState::Missing) },
            ],
        },
    ];
    batch.gaps = vec![GapRow {
        from: at(9, 18, 0),
        to: at(9, 19, 0),
        provider: None,
        part: String::new(),
        reason: "the daemon was down".to_owned(),
    }];
    batch
}
