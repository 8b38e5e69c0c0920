//! The beginning of a trading day for benches that drive the pipeline by hand: its contracts, and a pipeline that watches
//! all of them.

use bhavd::{
    calendar::Calendar,
    engine::watch::{WatchList, WatchedUnderlying},
    market::{
        Contract, Exchange, Listing, OptionType, Price, Provider, ProviderToken, Segment, Timestamp,
        TradingDate,
    },
    pipeline::{Catalog, NoLive, Pipeline, PipelineSettings},
    spool::{Frames, NewRecord, Record, Source},
    store::Batch,
    wire::angel_one::encode_master,
};
use std::sync::Arc;

/// Of the first contract; the others' follow.
pub const FIRST_TOKEN: u32 = 35_000;

pub fn date() -> TradingDate {
    TradingDate::from_ymd_opt(2026, 1, 30).expect("a date")
}

pub fn open() -> Timestamp {
    Calendar::embedded().session(date()).expect("a session").open
}

pub fn record(source: Source, received_time: Timestamp, frames: Frames, seq: u64) -> Record {
    NewRecord { source, received_time, context: String::new(), frames }.numbered(seq)
}

/// The log's first record: options of 200 shares.
pub fn master(contracts: u32) -> Record {
    let expiry = TradingDate::from_ymd_opt(2026, 2, 24).expect("a date");
    let listing = |number: u32| {
        let rupees = 50 * i64::from(number / 2 + 1);
        let strike = Price::from_e4(rupees * 10_000);
        let option_type = OptionType::BOTH[number as usize % 2];
        let underlying = format!("SHARE{:03}", number % 200);
        Listing {
            provider: Provider::AngelOne,
            token: Some(ProviderToken { segment: Segment::NseFo, token: FIRST_TOKEN + number }),
            symbol: format!("{underlying}24FEB26{rupees}{option_type}").into(),
            contract: Contract::option(Exchange::Nse, &underlying, expiry, strike, option_type),
            lot_size: 65,
            tick_size: Price::from_e4(500),
        }
    };
    let body = encode_master(&(0..contracts).map(listing).collect::<Vec<_>>());
    record(Source::ANGEL_ONE_MASTER, open().plus_seconds(-600), Frames::one(&body), 1)
}

/// With the contracts of `master` enrolled.
pub fn pipeline(master: &Record) -> Pipeline {
    let settings = PipelineSettings {
        watch: WatchList { underlyings: vec![WatchedUnderlying::every_underlying(0)] },
        grace_us: 5_000_000,
        silence_min_us: 0,
        channels: std::collections::BTreeMap::new(),
        preference: vec![Provider::AngelOne],
        calendar: Arc::new(Calendar::embedded()),
    };
    let mut pipeline = Pipeline::new(settings, Catalog::default());
    pipeline.apply(master, &mut NoLive, &mut Batch::new(date(), 0));
    pipeline
}
