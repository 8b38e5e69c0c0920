//! Reading a body of NSE's older option chain: all expiries of NIFTY, about 700 KB and 1,342 legs, as recorded.

use bhavd::{
    market::{OptionType, Price, Timestamp, Told},
    wire::nse::{Chain, ChainShape, Leg, decode_chain, encode_chain, peek_timestamp},
};
use chrono::{Days, NaiveDate};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use std::{hint::black_box, sync::Arc};

const LEGS: i64 = 1_342;

/// Made values in the real proportions: every 24th leg has a fraction of a lot, half have traded.
fn body() -> Vec<u8> {
    let first = NaiveDate::from_ymd_opt(2025, 10, 20).expect("a date");
    let expiries: Vec<NaiveDate> = (0..18).map(|week| first + Days::new(7 * week)).collect();
    let underlying: Arc<str> = Arc::from("NIFTY");
    let leg = |index: i64| {
        let traded = index % 2 == 0;
        Leg {
            underlying: underlying.clone(),
            expiry: expiries[(index / 2 % 18) as usize],
            strike: Price::from_e4(200_000_000 + index / 36 * 500_000),
            option_type: OptionType::BOTH[(index % 2) as usize],
            open_interest_lots: Some(if index % 24 == 0 { 1_150.0 / 75.0 } else { (index * 37) as f64 }),
            open_interest_change_lots: Some((index % 200 - 100) as f64),
            volume_lots: Some(if traded { (index * 91) as f64 } else { 0.0 }),
            last_price: Told::zero_is_nothing(Price::from_e4(if traded { index * 12_500 } else { 0 })),
            bid: Told::Value(Price::from_e4(index * 12_000 + 500)),
            ask: Told::Value(Price::from_e4(index * 13_000 + 500)),
            implied_volatility_e4: traded.then_some(123_400 + index).into(),
        }
    };
    let chain = Chain {
        timestamp: Timestamp::from_us(1_760_507_718_000_000),
        underlying_value: Some(Price::from_e4(252_977_000)),
        legs: (0..LEGS).map(leg).collect(),
        expiries: expiries.clone(),
        rowless_strikes: Vec::new(),
        malformed: Vec::new(),
    };
    encode_chain(&chain, ChainShape::Older)
}

fn nse_chain(criterion: &mut Criterion) {
    let body = body();
    let chain = decode_chain(&body).expect("a chain");
    println!("{} bytes, {} legs", body.len(), chain.legs.len());
    let mut group = criterion.benchmark_group("nse_chain");
    group.throughput(Throughput::Bytes(body.len() as u64));
    group.bench_function("decode", |bencher| bencher.iter(|| decode_chain(black_box(&body))));
    group.bench_function("peek_timestamp", |bencher| bencher.iter(|| peek_timestamp(black_box(&body))));
    group.bench_function("encode", |bencher| {
        bencher.iter(|| encode_chain(black_box(&chain), ChainShape::Older))
    });
    group.bench_function("quotes", |bencher| {
        bencher.iter(|| {
            for leg in &chain.legs {
                let _ = black_box(leg.quote(black_box(75), chain.timestamp));
            }
        });
    });
    group.finish();
}

criterion_group!(benches, nse_chain);
criterion_main!(benches);
