use super::*;
use crate::test_data;
use proptest::prelude::*;

fn price() -> impl Strategy<Value = Price> {
    (0..10_000_000_i64).prop_map(|paise| Price::from_e4(paise * 100))
}

fn time() -> impl Strategy<Value = Timestamp> {
    (1_000_000_000_i64..4_000_000_000).prop_map(|seconds| Timestamp::from_us(seconds * 1_000_000))
}

fn level() -> impl Strategy<Value = DepthLevel> {
    (price(), 0..1_000_000_i64, 0..1_000_i64).prop_map(|(price, quantity, orders)| DepthLevel {
        price,
        quantity,
        orders,
    })
}

fn row() -> impl Strategy<Value = FullQuote> {
    let levels = || proptest::collection::vec(level(), 0..=5);
    let depth = (levels(), levels()).prop_map(|(buy, sell)| Depth { buy, sell });
    let segment = proptest::sample::select(Segment::ALL.to_vec());
    let prices = proptest::collection::vec(price(), 10);
    let units = proptest::collection::vec(0..1_000_000_000_i64, 5);
    let times = (time(), time());
    (segment, "[A-Z0-9&-]{1,20}", any::<u32>(), prices, units, times, depth, -99.0..99.0_f64).prop_map(
        |(exchange, trading_symbol, symbol_token, prices, units, times, depth, change)| FullQuote {
            exchange,
            trading_symbol,
            symbol_token,
            ltp: prices[0],
            open: prices[1],
            high: prices[2],
            low: prices[3],
            close: prices[4],
            last_trade_qty: units[0],
            exch_feed_time: times.0,
            exch_trade_time: times.1,
            net_change: change.round(),
            percent_change: change.trunc(),
            avg_price: prices[5],
            trade_volume: units[1],
            opn_interest: units[2],
            lower_circuit: prices[6],
            upper_circuit: prices[7],
            tot_buy_quan: units[3],
            tot_sell_quan: units[4],
            low_52_weeks: prices[8],
            high_52_weeks: prices[9],
            depth,
        },
    )
}

proptest! {
    #[test]
    fn answers_read_what_they_write(rows in proptest::collection::vec(row(), 0..5), message in ".*") {
        let unfetched = vec![Unfetched { message, ..Unfetched::default() }];
        let body = encode_full_quotes(&rows, &unfetched);
        prop_assert_eq!(decode_full_quotes(&body), Ok((rows.clone(), unfetched)));
        let decoded = decode_quotes(&body).expect("an answer");
        prop_assert_eq!(decoded.malformed, vec![]);
        let quoted = |row: &FullQuote| QuotedRow {
            token: row.token(),
            symbol: row.trading_symbol.clone(),
            quote: row.quote().expect("plausible"),
        };
        let expected: Vec<_> = rows.iter().map(quoted).collect();
        prop_assert_eq!(decoded.quotes, expected);
    }

    #[test]
    fn requests_read_what_they_write(
        tokens in proptest::collection::vec((0..4_usize, any::<u32>()), 0..120),
    ) {
        let token = |(segment, token): (usize, u32)| ProviderToken { segment: Segment::ALL[segment], token };
        let tokens: Vec<ProviderToken> = tokens.into_iter().map(token).collect();
        let mut asked = 0;
        for mut request in QuoteRequest::split(&tokens) {
            asked += request.tokens.len();
            let decoded = QuoteRequest::decode(&request.encode()).expect("a request");
            request.tokens.sort_by_key(|token| token.segment);
            prop_assert_eq!(decoded, request);
        }
        prop_assert_eq!(asked, tokens.len());
    }
}

#[test]
fn the_documented_example_decodes() {
    let Some(path) = test_data::find("rest/angel_docs_examples/quote_FULL_docs_example.json") else { return };
    let body = std::fs::read(&path).expect("a readable file");
    let decoded = decode_quotes(&body).expect("the documentation's answer");
    assert_eq!(decoded.malformed, []);
    let [QuotedRow { token, symbol, quote }] = &decoded.quotes[..] else { panic!("one row") };
    assert_eq!(symbol, "SBIN-EQ");
    assert_eq!(*token, ProviderToken { segment: Segment::NseCash, token: 3_045 });
    assert_eq!(quote.event_time.to_string(), "2023-06-21 10:46:10 IST");
    assert_eq!(quote.last_price.value(), Some(Price::from_e4(5_682_000)));
    assert_eq!(quote.volume, Some(3_556_150));
    assert_eq!(quote.open_interest, None, "a cash instrument");
    assert_eq!(
        (quote.bid.value(), quote.ask.value()),
        (Some(Price::from_e4(5_682_000)), Some(Price::from_e4(5_682_500)))
    );
}

#[test]
fn a_bad_row_does_not_spoil_the_others() {
    let good = r#"{"exchange":"NFO","tradingSymbol":"X","symbolToken":"7","ltp":1.05,
        "exchFeedTime":"30-Jan-2026 09:15:00","tradeVolume":0,"opnInterest":65.0}"#;
    let negative = good.replace("65.0", "-65");
    let fractional = good.replace("65.0", "65.5");
    let undated = good.replace("30-Jan-2026 09:15:00", "yesterday");
    let body = format!(
        r#"{{"status":true,"data":{{"fetched":[{negative},{good},{fractional},{undated}],"unfetched":[]}}}}"#
    );
    let decoded = decode_quotes(body.as_bytes()).expect("an answer");
    assert_eq!(decoded.quotes.len(), 1);
    assert_eq!(decoded.quotes[0].quote.open_interest, Some(65));
    let reasons: Vec<String> = decoded.malformed.iter().map(ToString::to_string).collect();
    assert!(reasons[0].contains("opnInterest") && reasons[1].contains("opnInterest"), "{reasons:?}");
    assert!(reasons[2].contains("exchFeedTime"), "{reasons:?}");
}

#[test]
fn a_trade_of_another_day_tells_neither_price_nor_volume_of_an_option() {
    let quote_of = |exchange: &str, trade_time: &str| {
        let body = format!(
            r#"{{"status":true,"data":{{"fetched":[{{"exchange":"{exchange}","tradingSymbol":"X","symbolToken":"7","ltp":1.05,
                "exchFeedTime":"30-Jan-2026 09:15:00","exchTradeTime":"{trade_time}","tradeVolume":650,"opnInterest":65}}],
                "unfetched":[]}}}}"#
        );
        decode_quotes(body.as_bytes()).expect("an answer").quotes[0].quote
    };
    let told = |quote: Quote| (quote.last_price.value(), quote.volume, quote.open_interest);
    let (price, nothing) = (Some(Price::from_e4(10_500)), (None, None, Some(65)));
    assert_eq!(told(quote_of("NFO", "30-Jan-2026 09:14:59")), (price, Some(650), Some(65)));
    assert_eq!(told(quote_of("NFO", "29-Jan-2026 15:29:59")), nothing);
    assert_eq!(told(quote_of("NFO", "01-Jan-1970 05:30:00")), (price, Some(650), Some(65)), "not told");
    assert_eq!(told(quote_of("NSE", "29-Jan-2026 15:29:59")), (price, Some(650), None));
}

#[test]
fn requests_that_are_not_ours_are_refused() {
    let many = (0..51).map(|token| format!("\"{token}\"")).collect::<Vec<_>>().join(",");
    for body in [
        r#"{"mode":"LTP","exchangeTokens":{"NSE":["1"]}}"#.to_owned(),
        r#"{"mode":"FULL","exchangeTokens":{"MCX":["1"]}}"#.to_owned(),
        r#"{"mode":"FULL","exchangeTokens":{"NSE":[1]}}"#.to_owned(),
        r#"{"mode":"FULL","exchangeTokens":{"NSE":["one"]}}"#.to_owned(),
        format!(r#"{{"mode":"FULL","exchangeTokens":{{"NFO":[{many}]}}}}"#),
        "{".to_owned(),
    ] {
        assert!(QuoteRequest::decode(body.as_bytes()).is_err(), "{body}");
    }
}
