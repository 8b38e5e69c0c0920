//! The assertions of the fuzz targets over random bytes and over damaged valid input.

#[path = "../../fuzz/src/angel_one.rs"]
mod assertions;

use crate::damage::check;
use bhavd::{market::*, wire::angel_one::*};

fn token(segment: Segment, token: u32) -> ProviderToken {
    ProviderToken { segment, token }
}

fn expiry() -> chrono::NaiveDate {
    chrono::NaiveDate::from_ymd_opt(2026, 2, 3).expect("a date")
}

#[test]
fn stream() {
    let mut snapshot = Snapshot { open_interest: 650, ..Snapshot::default() };
    snapshot.depth[0] = DepthEntry::buy(10_000, 65, 1);
    snapshot.depth[5] = DepthEntry::sell(10_010, 65, 1);
    let day = DayStatistics { volume: 1_300, ..DayStatistics::default() };
    let seeds = [Detail::Ltp, Detail::Quote(day), Detail::SnapQuote(day, snapshot)].map(|detail| {
        let packet = Packet {
            token: token(Segment::NseFo, 54_786),
            sequence: 1,
            exchange_time_ms: 1_769_744_700_000,
            last_price_paise: 10_005,
            detail,
        };
        let mut bytes = Vec::new();
        packet.encode_into(&mut bytes);
        bytes
    });
    check(assertions::stream, &seeds);
}

#[test]
fn subscription() {
    let request = StreamRequest {
        correlation_id: Some("abcde12345".to_owned()),
        subscribe: true,
        mode: StreamMode::SnapQuote,
        tokens: vec![token(Segment::NseCash, 99_926_000), token(Segment::NseFo, 54_786)],
    };
    let refusal = StreamRefusal {
        correlation_id: None,
        error_code: StreamRefusal::LIMIT_EXCEEDED.to_owned(),
        error_message: "Subscription limit exceeded".to_owned(),
    };
    let seeds = [
        ClientText::Ping.encode(),
        ServerText::Pong.encode(),
        ClientText::Request(request).encode(),
        ServerText::Refusal(refusal).encode(),
    ];
    check(assertions::subscription, &seeds.map(String::into_bytes));
}

#[test]
fn login() {
    let text = |text: &str| text.to_owned();
    let jwt = encode_jwt("A123", Timestamp::from_us(1_769_797_800_000_000), 7);
    let seeds = [
        LoginRequest { client_code: text("A123"), password: text("4321"), totp: text("123456") }.encode(),
        RefreshRequest { refresh_token: text("refresh") }.encode(),
        SessionTokens { jwt_token: jwt.clone(), refresh_token: text("r"), feed_token: text("f") }.encode(),
        Refusal::service("AB1050", "Invalid totp").encode(),
        Refusal::gateway("AG8001", "Invalid Token").encode(),
        jwt.into_bytes(),
    ];
    check(assertions::login, &seeds);
}

#[test]
fn quote() {
    let row = br#"{"status":true,"message":"SUCCESS","errorcode":"","data":{"fetched":[{"exchange":"NFO",
        "tradingSymbol":"NIFTY03FEB2625200CE","symbolToken":"54786","ltp":568.2,"open":567.4,"high":569.35,
        "low":566.1,"close":567.4,"lastTradeQty":1,"exchFeedTime":"30-Jan-2026 10:46:10",
        "exchTradeTime":"30-Jan-2026 10:46:09","netChange":0.8,"percentChange":0.14,"avgPrice":567.83,
        "tradeVolume":3556150,"opnInterest":65,"lowerCircuit":510.7,"upperCircuit":624.1,"totBuyQuan":839549,
        "totSellQuan":1284767,"52WeekLow":430.7,"52WeekHigh":629.55,"depth":{"buy":[{"price":568.2,
        "quantity":511,"orders":2}],"sell":[{"price":568.25,"quantity":3348,"orders":5}]}}],
        "unfetched":[{"exchange":"NFO","symbolToken":"1","message":"m","errorCode":"AB4046"}]}}"#;
    let tokens = vec![token(Segment::NseCash, 99_926_000), token(Segment::NseFo, 54_786)];
    check(assertions::quote, &[row.to_vec(), QuoteRequest { tokens }.encode()]);
}

#[test]
fn candles() {
    let start = Timestamp::from_us(1_769_744_700_000_000);
    let price = Price::from_e4(252_789_000);
    let bar = Bar { start, open: price, high: price, low: price, close: price, volume: 0 };
    let request = CandleRequest {
        token: token(Segment::NseCash, 99_926_000),
        interval: CandleInterval::ThreeMinutes,
        from: start,
        to: start.plus_seconds(180),
    };
    check(assertions::candles, &[encode_candles(&[bar, bar]), request.encode()]);
}

#[test]
fn greeks() {
    let row = GreekRow {
        name: "NIFTY".to_owned(),
        expiry: expiry(),
        strike: Price::from_e4(252_000_000),
        option_type: OptionType::Put,
        delta_e6: -492_400,
        gamma_e6: 2_800,
        theta_e6: -4_091_800,
        vega_e6: 2_296_700,
        implied_volatility_e6: 16_330_000,
        trade_volume_e6: 24_048_000_000,
    };
    let request = GreekRequest { name: "NIFTY".to_owned(), expiry: expiry() };
    check(assertions::greeks, &[encode_greeks(&[row]), request.encode()]);
}

#[test]
fn master() {
    let listing = |contract, segment, number, symbol: &str| Listing {
        provider: Provider::AngelOne,
        token: Some(token(segment, number)),
        symbol: symbol.into(),
        contract,
        lot_size: 65,
        tick_size: Price::from_e4(500),
    };
    let strike = Price::from_e4(252_000_000);
    let option = Contract::option(Exchange::Nse, "NIFTY", expiry(), strike, OptionType::Call);
    let listings = [
        listing(Contract::index(Exchange::Nse, "NIFTY"), Segment::NseCash, 99_926_000, "Nifty 50"),
        listing(Contract::equity(Exchange::Nse, "M&M"), Segment::NseCash, 2_031, "M&M-EQ"),
        listing(option, Segment::NseFo, 54_786, "NIFTY03FEB2625200CE"),
    ];
    check(assertions::master, &[encode_master(&listings), encode_master(&listings[2..])]);
}
