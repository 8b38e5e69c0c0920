//! The assertions of NSE's fuzz targets over random bytes and over damaged valid input.

#[path = "../../fuzz/src/nse.rs"]
mod assertions;

use crate::damage::check;
use bhavd::{market::*, wire::nse::*};
use chrono::NaiveDate;
use std::sync::Arc;

fn expiry() -> NaiveDate {
    NaiveDate::from_ymd_opt(2026, 2, 3).expect("a date")
}

#[test]
fn chain() {
    let leg = |option_type, open_interest: f64| Leg {
        underlying: Arc::from("NIFTY"),
        expiry: expiry(),
        strike: Price::from_e4(250_000_000),
        option_type,
        open_interest_lots: Some(open_interest),
        open_interest_change_lots: Some(-2.0),
        volume_lots: Some(8.0),
        last_price: Told::Value(Price::from_e4(1_234_500)),
        bid: Told::Nothing,
        ask: Told::Value(Price::from_e4(1_235_000)),
        implied_volatility_e4: Told::Value(123_400),
    };
    let chain = Chain {
        timestamp: Timestamp::from_us(1_769_744_700_000_000),
        underlying_value: Some(Price::from_e4(252_976_000)),
        expiries: vec![expiry()],
        legs: vec![leg(OptionType::Call, 1_150.0 / 75.0), leg(OptionType::Put, 4.0)],
        rowless_strikes: Vec::new(),
        malformed: Vec::new(),
    };
    let seeds = [ChainShape::V3, ChainShape::Older].map(|shape| encode_chain(&chain, shape));
    check(assertions::chain, &seeds);
}

#[test]
fn contracts() {
    let info = ContractInfo { expiries: vec![expiry()], strikes: vec![Price::from_e4(250_005_000)] };
    check(assertions::contracts, &[encode_contracts(&info)]);
}

#[test]
fn status() {
    let state = MarketState {
        market: Some("Capital Market".to_owned()),
        status: "Open".to_owned(),
        trade_date: Some(expiry()),
        trade_time: chrono::NaiveTime::from_hms_opt(15, 30, 0),
        index: "NIFTY 50".to_owned(),
        last: Some(Price::from_e4(252_976_000)),
        message: "Market is Open".to_owned(),
    };
    let nameless = MarketState { market: None, last: None, ..state.clone() };
    check(assertions::status, &[encode_status(&MarketStatus { markets: vec![state, nameless] })]);
}

#[test]
fn lots() {
    let row = |section, name: &str, symbol: &str| LotRow {
        section,
        name: name.to_owned(),
        symbol: symbol.to_owned(),
        lots: vec![Some(65), None],
    };
    let table = LotTable {
        months: vec![LotMonth { year: 2026, month: 1 }, LotMonth { year: 2026, month: 2 }],
        rows: vec![
            row(LotSection::Indices, "NIFTY 50", "NIFTY"),
            row(LotSection::Shares, "MAHINDRA & MAHINDRA LTD", "M&M"),
        ],
    };
    check(assertions::lots, &[encode_lots(&table)]);
}

#[test]
fn context() {
    let context = ChainContext { symbol: "M&M".to_owned(), expiry: Some(expiry()) };
    check(assertions::context, &[context.to_string().into_bytes()]);
}
