//! One body of a chain, whole and damaged: what is decoded, what a peek tells, and what a leg becomes.

use super::*;
use crate::market::{Contract, Price, Quote, Timestamp, Told};
use std::collections::BTreeMap;

const V3: &str = r#"{"records":{"data":[{"expiryDates":"23-Jun-2026","strikePrice":21800,"CE":
    {"PChange":0,"pChange":0,"buyPrice1":2192.45,"changeinOpenInterest":-2,"expiryDate":"23-06-2026",
    "impliedVolatility":33.32,"lastPrice":0,"openInterest":15.333333333333334,"optionType":null,"sellPrice1":0,
    "strikePrice":21800,"totalTradedVolume":8,"underlying":"NIFTY"}}],
    "timestamp":"19-Jun-2026 15:30:00","underlyingValue":24013.1,"expiryDates":["23-Jun-2026"],
    "strikePrices":["1500"]},"filtered":{}}"#;

#[test]
fn a_leg_without_its_pair_becomes_a_quote_in_units() {
    let chain = decode_chain(V3.as_bytes()).expect("a chain");
    assert_eq!(chain.timestamp.to_string(), "2026-06-19 15:30:00 IST");
    assert_eq!(chain.underlying_value, Some(Price::from_e4(240_131_000)));
    assert_eq!(chain.legs.len(), 1);
    assert_eq!(chain.rowless_strikes, [Price::from_e4(15_000_000)]);
    let leg = &chain.legs[0];
    assert_eq!(leg.contract().to_string(), "NIFTY 2026-06-23 21800 CE");
    let quote = leg.quote(75, chain.timestamp).expect("whole units");
    let expected = Quote {
        event_time: chain.timestamp,
        last_price: Told::Nothing,
        open_interest: Some(1_150),
        volume: Some(600),
        bid: Told::Value(Price::from_e4(21_924_500)),
        ask: Told::Nothing,
        implied_volatility_e4: Told::Value(333_200),
        previous_open_interest: Some(1_300),
    };
    assert_eq!(quote, expected);
    assert_eq!(peek_timestamp(V3.as_bytes()), Ok(chain.timestamp));
    assert!(matches!(leg.quote(65, chain.timestamp), Err(UnitsError::NotWhole { .. })));
}

#[test]
fn a_peek_tells_what_a_body_is_about() {
    let peeked = peek_chain(V3.as_bytes()).expect("a chain");
    let expiry = TradingDate::from_ymd_opt(2026, 6, 23).expect("a date");
    assert_eq!(peeked.timestamp.to_string(), "2026-06-19 15:30:00 IST");
    assert_eq!(peeked.subjects, Some(BTreeMap::from([(("NIFTY".to_owned(), expiry), 1)])));
    let chain = decode_chain(V3.as_bytes()).expect("a chain");
    for (symbol, day) in [("NIFTY", 23), ("BANKNIFTY", 23), ("NIFTY", 30)] {
        let expiry = TradingDate::from_ymd_opt(2026, 6, day);
        let requested = ChainContext { symbol: symbol.to_owned(), expiry };
        assert_eq!(peeked.mismatch(&requested), chain.mismatch(&requested), "{requested}");
        assert_eq!(peeked.mismatch(&requested).is_none(), symbol == "NIFTY" && day == 23, "{requested}");
    }
    let rows = V3.find("[{").expect("rows")..V3.find("}}]").expect("rows") + 3;
    let empty = format!("{}[]{}", &V3[..rows.start], &V3[rows.end..]);
    assert!(peek_chain(empty.as_bytes()).expect("a chain").is_empty());
    let odd = V3.replace(r#""underlying":"NIFTY""#, r#""underlying":7"#);
    let peeked = peek_chain(odd.as_bytes()).expect("the rest may be read");
    assert!(peeked.subjects.is_none() && !peeked.is_empty());
    peek_chain(&V3.as_bytes()[..V3.len() - 1]).expect_err("cut short");
}

#[test]
fn a_peek_tells_the_expiries_that_a_body_lists() {
    let listed = |list: &str| {
        let body = V3.replace(r#""expiryDates":["23-Jun-2026"],"#, list);
        let peeked = peek_chain(body.as_bytes()).expect("a chain");
        assert!(peeked.subjects.is_some(), "{list}");
        peeked.expiries.iter().map(TradingDate::to_string).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(listed(r#""expiryDates":["30-Jun-2026","23-Jun-2026"],"#), "2026-06-23 2026-06-30");
    assert_eq!(
        listed(r#""expiryDates":["23-Jun-2026",null,7,"soon","30-06-2026"],"#),
        "2026-06-23 2026-06-30"
    );
    for unreadable in
        ["", r#""expiryDates":null,"#, r#""expiryDates":"23-Jun-2026","#, r#""expiryDates":{"a":[]},"#]
    {
        assert_eq!(listed(unreadable), "", "{unreadable}");
    }
    for nameless in
        [V3.replace(r#""underlying":"NIFTY""#, r#""underlying":7"#), V3.replace("\"CE\"", "\"XX\"")]
    {
        let peeked = peek_chain(nameless.as_bytes()).expect("a chain");
        assert!(peeked.expiries.is_empty(), "whose they are is not known");
    }
}

#[test]
fn errors_name_their_place() {
    let wrong = V3.replace("23-06-2026", "30-06-2026");
    let chain = decode_chain(wrong.as_bytes()).expect("a chain");
    let [Unread { error, contract: None, .. }] = &chain.malformed[..] else {
        panic!("one leg, not {:?}", chain.malformed)
    };
    let expected =
        "option chain: line 2 column 5: row 1 CE: a leg expiring 2026-06-30 in a row expiring 2026-06-23";
    assert_eq!((error.to_string().as_str(), chain.legs.len()), (expected, 0));
    let error = decode_chain(V3.replace("15:30:00", "25:30:00").as_bytes()).expect_err("no such hour");
    assert!(error.to_string().contains("expected a time like 19-Jun-2026 15:30:00"), "{error}");
    let error = decode_chain(&V3.as_bytes()[..400]).expect_err("cut off").to_string();
    assert!(error.contains("EOF"), "{error}");
    assert!(decode_chain(br#"{"records":{"data":[]}}"#).is_err());
    assert!(peek_timestamp(&V3.as_bytes()[..V3.len() - 1]).is_err());
}

/// A chain of five strikes, both sides; what `change` makes of the second row's call.
fn body_with(change: impl Fn(&str) -> String) -> String {
    let leg = |strike: u32, side: &str, lots: u32| {
        format!(
            r#"{{"strikePrice":{strike},"expiryDate":"23-06-2026","underlying":"NIFTY","identifier":"{side}","openInterest":{lots},"totalTradedVolume":9,"lastPrice":7}}"#
        )
    };
    let rows: Vec<String> = (0..5)
        .map(|row| {
            let strike = 25_000 + 50 * row;
            let call = leg(strike, "CE", 1_204);
            let call = if row == 1 { change(&call) } else { call };
            format!(r#"{{"expiryDates":"23-Jun-2026","CE":{call},"PE":{}}}"#, leg(strike, "PE", 8))
        })
        .collect();
    format!(r#"{{"records":{{"data":[{}],"timestamp":"19-Jun-2026 15:30:00"}}}}"#, rows.join(","))
}

#[test]
fn one_leg_that_cannot_be_read_costs_that_leg() {
    for (from, to, reason) in [
        ("1204", "\"1,204\"", "invalid type: string \"1,204\", expected f64"),
        ("1204", "\"-\"", "invalid type: string \"-\", expected f64"),
        ("1204", "\"1204\"", "invalid type: string \"1204\", expected f64"),
        (
            "\"lastPrice\":7",
            "\"lastPrice\":\"-\"",
            "invalid value: string \"-\", expected a number of rupees from 0 to 100 million",
        ),
        ("25050", "\"-\"", "invalid value: string \"-\", expected a number of rupees from 0 to 100 million"),
        (
            "25050",
            "-1",
            "invalid value: floating point `-1.0`, expected a number of rupees from 0 to 100 million",
        ),
        ("\"NIFTY\"", "null", "missing field `underlying`"),
        ("1204", "null", "missing field `openInterest`"),
        ("\"totalTradedVolume\":9", "\"volume\":9", "missing field `totalTradedVolume`"),
        ("\"lastPrice\":7", "\"lastPrice\":null", "missing field `lastPrice`"),
        (
            "\"identifier\":\"CE\"",
            "\"identifier\":\"OPTIDXNIFTY23-06-2026PE25050.00\"",
            "a leg with the identifier \"OPTIDXNIFTY23-06-2026PE25050.00\"",
        ),
        (
            "\"identifier\":\"CE\"",
            "\"identifier\":\"OPTIDXNIFTY30-06-2026CE25050.00\"",
            "a leg with the identifier \"OPTIDXNIFTY30-06-2026CE25050.00\"",
        ),
        (
            "\"identifier\":\"CE\"",
            "\"identifier\":\"OPTIDXFINNIFTY23-06-2026CE25050.00\"",
            "a leg with the identifier \"OPTIDXFINNIFTY23-06-2026CE25050.00\"",
        ),
        (
            "\"identifier\":\"CE\"",
            "\"identifier\":\"OPTIDXNIFTY23-06-2026CE25100.00\"",
            "a leg with the identifier \"OPTIDXNIFTY23-06-2026CE25100.00\"",
        ),
        ("\"NIFTY\"", "\"\u{202e}YTFIN\"", "\"\\u{202e}YTFIN\" is no symbol"),
    ] {
        let body = body_with(|call| call.replace(from, to));
        let chain = decode_chain(body.as_bytes()).expect("a chain");
        assert_eq!(chain.legs.len(), 9, "{to}");
        let [Unread { error: WireError::Json { reason: found, .. }, contract, is_leg: true }] =
            &chain.malformed[..]
        else {
            panic!("{to}: {:?}", chain.malformed)
        };
        let contract = contract.as_ref().map(Contract::to_string);
        assert_eq!(contract.as_deref(), Some("NIFTY 2026-06-23 25050 CE"), "{to}");
        assert_eq!(found, &format!("row 2 CE: {reason}"), "{to}");
    }
    let long = body_with(|call| call.replace("1204", &format!("\"{}\"", "\\u0007x".repeat(100_000))));
    let error = decode_chain(long.as_bytes()).expect("a chain").malformed.remove(0).error.to_string();
    assert!(error.len() < 1_200 && !error.contains('\u{7}'), "{} bytes", error.len());
}

#[test]
fn a_level_that_the_legs_contradict_is_none() {
    let level = |own: &str, legs: &str| {
        let body = body_with(str::to_owned).replace("\"lastPrice\"", &format!("{legs}\"lastPrice\""));
        let body = body.replace("\"timestamp\"", &format!("\"underlyingValue\":{own},\"timestamp\""));
        let chain = decode_chain(body.as_bytes()).expect("a chain");
        assert_eq!(chain.legs.len(), 10);
        let errors: Vec<String> = chain.malformed.iter().map(ToString::to_string).collect();
        (chain.underlying_value.map(Price::as_e4), errors.join(", "))
    };
    assert_eq!(level("27800", "\"underlyingValue\":27800,"), (Some(278_000_000), String::new()));
    assert_eq!(level("27800", "\"underlyingValue\":0,"), (Some(278_000_000), String::new()));
    assert_eq!(level("27800", ""), (Some(278_000_000), String::new()));
    let (contradicted, error) = level("27800", "\"underlyingValue\":26000,");
    assert_eq!(contradicted, None);
    assert!(error.contains("underlyingValue: 27800.00 where 10 of its legs have 26000.00"), "{error}");
}

#[test]
fn a_leg_whose_strike_is_nowhere_names_no_contract() {
    let body = body_with(|call| call.replace("25050", "\"-\""));
    let body = body.replace("25050", "\"?\"");
    let chain = decode_chain(body.as_bytes()).expect("a chain");
    assert_eq!((chain.legs.len(), chain.malformed.len()), (8, 2));
    assert!(chain.malformed.iter().all(|unread| unread.is_leg && unread.contract.is_none()));
    let text = chain.malformed[0].to_string();
    assert!(text.starts_with("a leg without a strike that can be read: option chain: line 1"), "{text}");
}

#[test]
fn a_side_that_is_not_listed_costs_nothing() {
    let zeros = r#"{"strikePrice":0,"expiryDate":null,"underlying":null,"identifier":null,"openInterest":0,
        "changeinOpenInterest":0,"totalTradedVolume":0,"lastPrice":0,"buyPrice1":0,"sellPrice1":0}"#;
    for side in [zeros, "{}", "null"] {
        let body = body_with(|_| side.to_owned());
        let chain = decode_chain(body.as_bytes()).expect("a chain");
        assert_eq!((chain.legs.len(), chain.malformed.len()), (9, 0), "{side}");
        // Beside a leg that cannot be read, too.
        let body = body.replacen("\"openInterest\":8", "\"openInterest\":\"-\"", 1);
        let chain = decode_chain(body.as_bytes()).expect("a chain");
        assert_eq!((chain.legs.len(), chain.malformed.len()), (8, 1), "{side}");
    }
}

#[test]
fn a_body_about_something_else_is_no_answer() {
    let chain = decode_chain(V3.as_bytes()).expect("a chain");
    let asked = |symbol: &str, expiry: Option<&str>| ChainContext {
        symbol: symbol.to_owned(),
        expiry: expiry.map(|date| date.parse().expect("a date")),
    };
    assert_eq!(chain.mismatch(&asked("NIFTY", Some("2026-06-23"))), None);
    assert_eq!(chain.mismatch(&asked("NIFTY", None)), None);
    let other = chain.mismatch(&asked("NIFTY", Some("2026-06-30"))).expect("another expiry");
    assert_eq!(other, "\"NIFTY 2026-06-23\" instead of NIFTY 2026-06-30");
    assert!(chain.mismatch(&asked("BANKNIFTY", None)).is_some());
}

#[test]
fn legs_about_something_else_cost_those_legs_while_most_are_of_what_was_asked() {
    let asked = ChainContext { symbol: "NIFTY".to_owned(), expiry: TradingDate::from_ymd_opt(2026, 6, 23) };
    for (from, to, found) in [
        ("NIFTY", "FINNIFTY", "\"FINNIFTY 2026-06-23\" instead of NIFTY 2026-06-23"),
        ("23-06-2026", "30-06-2026", "\"NIFTY 2026-06-30\" instead of NIFTY 2026-06-23"),
    ] {
        let body = body_with(|call| call.replace(from, to));
        // A leg that lies in a row of its own has the row's expiry alone.
        let body = body.replacen("\"expiryDates\":\"23-Jun-2026\",", "", 2);
        let mut chain = decode_chain(body.as_bytes()).expect("a chain");
        assert_eq!((chain.mismatch(&asked), chain.legs.len()), (None, 10));
        assert_eq!(peek_chain(body.as_bytes()).expect("a chain").mismatch(&asked), None);
        assert_eq!(chain.take_strangers(&asked), Some((found.to_owned(), 1)));
        assert_eq!((chain.take_strangers(&asked), chain.legs.len()), (None, 9));
    }
    let half = body_with(str::to_owned).replacen("\"NIFTY\"", "\"BANKNIFTY\"", 5);
    let chain = decode_chain(half.as_bytes()).expect("a chain");
    assert!(chain.mismatch(&asked).is_some(), "of which the body is, is not known");
    assert_eq!(peek_chain(half.as_bytes()).expect("a chain").mismatch(&asked), chain.mismatch(&asked));
}

#[test]
fn negative_quantities_are_refused_and_a_doubtful_yesterday_is_left_out() {
    let mut leg = decode_chain(V3.as_bytes()).expect("a chain").legs.remove(0);
    leg.open_interest_lots = Some(1.0);
    leg.open_interest_change_lots = Some(2.0);
    let at = Timestamp::from_us(0);
    assert_eq!(leg.quote(75, at).expect("units").previous_open_interest, None);
    leg.open_interest_change_lots = Some(0.0);
    assert_eq!(leg.quote(75, at).expect("units").previous_open_interest, None);
    leg.volume_lots = Some(0.0);
    assert_eq!(leg.quote(75, at).expect("units").previous_open_interest, Some(75));
    leg.open_interest_lots = Some(-1.0);
    assert_eq!(leg.quote(75, at), Err(UnitsError::Negative { lots: -1.0 }));
}

#[test]
fn a_field_that_a_body_lacks_holds_no_value_of_the_body_before() {
    let fields = [r#""buyPrice1":2192.45,"#, r#""impliedVolatility":33.32,"#];
    let emptied = [r#""buyPrice1":null,"#, r#""impliedVolatility":null,"#];
    for others in [["", ""], emptied] {
        let body = V3.replace(fields[0], others[0]).replace(fields[1], others[1]);
        let chain = decode_chain(body.as_bytes()).expect("a chain");
        let leg = &chain.legs[0];
        assert_eq!((leg.bid, leg.implied_volatility_e4), (Told::Nothing, Told::Nothing), "{others:?}");
    }
}
