use super::*;
use crate::market::Exchange;
use crate::test_data;
use chrono::NaiveDate;
use proptest::prelude::*;

fn token(segment: Segment, token: u32) -> Option<ProviderToken> {
    Some(ProviderToken { segment, token })
}

fn listing_of(contract: Contract, segment: Segment, number: u32, symbol: &str) -> Listing {
    let is_derivative = contract.expiry().is_some();
    Listing {
        provider: Provider::AngelOne,
        token: token(segment, number),
        symbol: symbol.into(),
        contract,
        lot_size: if is_derivative { 65 } else { 1 },
        tick_size: Price::from_e4(500),
    }
}

fn sample() -> Vec<Listing> {
    let expiry = NaiveDate::from_ymd_opt(2026, 5, 19).expect("a date");
    let strike = Price::from_e4(252_000_000);
    let option = |name, option_type| Contract::option(Exchange::Nse, name, expiry, strike, option_type);
    vec![
        listing_of(Contract::index(Exchange::Nse, "NIFTY"), Segment::NseCash, 99_926_000, "Nifty 50"),
        listing_of(Contract::equity(Exchange::Nse, "SBIN"), Segment::NseCash, 3_045, "SBIN-EQ"),
        listing_of(Contract::equity(Exchange::Nse, "ABB"), Segment::NseCash, 13, "ABB-EQ"),
        listing_of(option("NIFTY", OptionType::Call), Segment::NseFo, 41, "NIFTY19MAY2625200CE"),
        listing_of(option("NIFTY", OptionType::Put), Segment::NseFo, 42, "NIFTY19MAY2625200PE"),
        listing_of(option("SBIN", OptionType::Put), Segment::NseFo, 43, "SBIN19MAY2625200PE"),
    ]
}

#[test]
fn a_master_reads_what_it_writes() {
    let listings = sample();
    let master = decode_master(&encode_master(&listings)).expect("a master");
    assert_eq!(master, Master { listings, skipped: SkippedRows::default() });
}

#[test]
fn what_is_not_recorded_is_counted() {
    let body = br#"[
      {"token":"1","symbol":"USDINR26JUNFUT","name":"USDINR","expiry":"26JUN2026","strike":"-1.000000",
       "lotsize":"1","instrumenttype":"FUTCUR","exch_seg":"CDS","tick_size":"0.250000"},
      {"token":"2","symbol":"111NSETEST27NOV36FUT","name":"111NSETEST","expiry":"27NOV2036",
       "strike":"-1.000000","lotsize":"50","instrumenttype":"FUTSTK","exch_seg":"NFO","tick_size":"5.000000"},
      {"token":"3","symbol":"SBIN-BL","name":"SBIN","expiry":"","strike":"-1.000000","lotsize":"1",
       "instrumenttype":"","exch_seg":"NSE","tick_size":"5.000000"},
      {"token":"4","symbol":"X","name":"X","expiry":"","strike":"0.000000","lotsize":"1",
       "instrumenttype":"UNDIDX","exch_seg":"NFO","tick_size":"5.000000"},
      {"token":"5","symbol":"NIFTY19MAY2625200CE","name":"NIFTY","expiry":"19MAY","strike":"2520000.000000",
       "lotsize":"65","instrumenttype":"OPTIDX","exch_seg":"NFO","tick_size":"5.000000"},
      7,
      {"token":"99926009","symbol":"Nifty Bank","name":"BANKNIFTY","expiry":"","strike":"0.000000",
       "lotsize":"","instrumenttype":"AMXIDX","exch_seg":"NSE","tick_size":"0.000000","freeze_qty":null},
      {"token":"6","symbol":"NIFTY19MAY2625200CE","name":"NIFTY","expiry":"19MAY2026",
       "strike":"2520000.000000","lotsize":"65","instrumenttype":"OPTIDX","exch_seg":"NFO",
       "tick_size":"5.000000","freeze_qty":"1800"}
    ]"#;
    let master = decode_master(body).expect("a master");
    let contracts: Vec<String> = master.listings.iter().map(|listing| listing.contract.to_string()).collect();
    assert_eq!(contracts, ["BANKNIFTY", "NIFTY 2026-05-19 25200 CE"]);
    assert_eq!(master.listings[0].lot_size, 1);
    assert_eq!(master.listings[1].tick_size, Price::from_e4(500));
    let skipped = master.skipped;
    let counts = (skipped.other_segment, skipped.test, skipped.other_series, skipped.other_kind);
    assert_eq!((counts, skipped.malformed, skipped.total()), ((1, 1, 1, 1), 2, 6));
    let Some(WireError::Field { field: "expiry", offset, .. }) = skipped.first_malformed else {
        panic!("{:?}", skipped.first_malformed);
    };
    assert!(body[offset..].starts_with(br#"{"token":"5""#));
}

#[test]
fn a_cut_master_says_the_same_of_what_is_watched() {
    let body = encode_master(&sample());
    let cut = |wanted: &str| {
        let cut = cut_master(body.clone(), |name| wanted == "*" || name == wanted).expect("a master");
        decode_master(&cut).expect("a cut master").listings
    };
    let of = |names: &[&str]| {
        let is_named = |listing: &Listing| names.contains(&&*listing.contract.underlying);
        sample().into_iter().filter(is_named).collect::<Vec<_>>()
    };
    assert_eq!(cut("NIFTY"), of(&["NIFTY"]));
    // ABB has no options, so nothing is written on it.
    assert_eq!(cut("*"), of(&["NIFTY", "SBIN"]));
    assert_eq!(cut("ABB"), []);
    assert_eq!(cut_master(body.clone(), |_| false), Ok(b"[]".to_vec()));
    assert_eq!(cut_master(b"[]".to_vec(), |_| true), Ok(b"[]".to_vec()));
    let once = cut_master(body.clone(), |_| true).expect("a master");
    assert_eq!(cut_master(once.clone(), |_| true), Ok(once.clone()));
    // Nothing but the space between rows is lost.
    let text = String::from_utf8(once.clone()).expect("text").replace("},{", "} ,\n {");
    assert_eq!(cut_master(format!(" [ {} ] ", &text[1..text.len() - 1]).into_bytes(), |_| true), Ok(once));
}

#[test]
fn what_is_no_master_is_an_error() {
    for body in ["", "{}", "[{}", "[] []", "null"] {
        assert!(matches!(decode_master(body.as_bytes()), Err(WireError::Json { .. })), "{body}");
        assert!(cut_master(body.into(), |_| true).is_err(), "{body}");
    }
}

#[test]
fn a_page_instead_of_a_master_is_called_one() {
    let page = format!("\n<!DOCTYPE html>\n<p class=\"x\">Down\u{7} {}", "for maintenance ".repeat(20));
    let error = decode_master(page.as_bytes()).expect_err("no master").to_string();
    let begins = "instrument master: an HTML page instead of data, it begins with \"<!DOCTYPE html>\\n<p class=\"x\">Down\\x07";
    assert!(error.starts_with(begins) && error.len() < 160 && error.ends_with("…\""), "{error}");
}

#[test]
fn a_real_part_of_the_master_decodes() {
    let Some(path) = test_data::find("masters/angel_OpenAPIScripMaster_FUTSTK_subset_2026-04.json") else {
        return;
    };
    let body = std::fs::read(&path).expect("a readable file");
    let master = decode_master(&body).expect("a real master");
    let rows: Vec<serde_json::Value> = serde_json::from_slice(&body).expect("JSON");
    assert_eq!(master.skipped.malformed, 0, "{:?}", master.skipped.first_malformed);
    assert!(master.skipped.test > 0 && master.skipped.total() == master.skipped.test);
    assert_eq!(master.listings.len() + master.skipped.total(), rows.len());
    let abb = master.listings.iter().find(|listing| &*listing.symbol == "ABB30JUN26FUT").expect("ABB");
    assert_eq!(abb.contract.to_string(), "ABB 2026-06-30 FUT");
    assert_eq!((abb.lot_size, abb.tick_size), (125, Price::from_e4(5_000)));
}

proptest! {
    #[test]
    fn strikes_and_lots_survive(strike_e4 in 0..1_000_000_000_000_i64, lot_size in 1..u32::MAX, number in any::<u32>()) {
        let expiry = NaiveDate::from_ymd_opt(2026, 5, 19).expect("a date");
        let contract =
            Contract::option(Exchange::Bse, "SENSEX", expiry, Price::from_e4(strike_e4), OptionType::Call);
        let listing = Listing { lot_size, ..listing_of(contract, Segment::BseFo, number, "SENSEX-CE") };
        let master = decode_master(&encode_master(std::slice::from_ref(&listing))).expect("a master");
        prop_assert_eq!(master.listings, vec![listing]);
    }
}

#[test]
fn a_row_whose_symbol_says_another_expiry_or_strike_is_not_believed() {
    let row = |symbol: &str, expiry: &str, strike: &str| {
        let body = format!(
            r#"[{{"token":"41","symbol":"{symbol}","name":"NIFTY","expiry":"{expiry}","strike":"{strike}","lotsize":"65","instrumenttype":"OPTIDX","exch_seg":"NFO","tick_size":"5.000000"}}]"#
        );
        let master = decode_master(body.as_bytes()).expect("a master");
        (master.listings.len(), master.skipped.malformed)
    };
    let (expiry, strike) = ("19MAY2026", "2520000.000000");
    assert_eq!(row("NIFTY19MAY2625200CE", expiry, strike), (1, 0));
    assert_eq!(row("NIFTY19MAY2625200.00CE", expiry, strike), (1, 0));
    assert_eq!(row("NIFTY19MAY2625200CE", "19MAY2016", strike), (0, 1), "ten years off");
    assert_eq!(row("NIFTY19MAY2625200CE", "26MAY2026", strike), (0, 1));
    assert_eq!(row("NIFTY19MAY2625200CE", expiry, "25200.000000"), (0, 1), "in rupees");
    for of_another_form in ["NIFTY2651925200CE", "N5CE", "NIFTYCE", "NIFTY19MAY26CE"] {
        assert_eq!(row(of_another_form, expiry, strike), (1, 0), "{of_another_form}");
    }
}

#[test]
fn a_symbol_may_name_another_contract() {
    let (strike, expiry) =
        (Price::from_e4(252_000_000), NaiveDate::from_ymd_opt(2026, 5, 19).expect("a date"));
    let contract = Contract::option(Exchange::Nse, "NIFTY", expiry, strike, OptionType::Call);
    for another in ["NIFTY19MAY2625250CE", "NIFTY26MAY2625200CE", "NIFTY19MAY2625200PE"] {
        assert!(is_symbol_of_another(another, &contract), "{another}");
    }
    for same_or_untold in ["NIFTY19MAY2625200CE", "NIFTY2651925200CE", "X", ""] {
        assert!(!is_symbol_of_another(same_or_untold, &contract), "{same_or_untold}");
    }
    assert!(!is_symbol_of_another("NIFTY19MAY2625250CE", &Contract::index(Exchange::Nse, "NIFTY")));
}
