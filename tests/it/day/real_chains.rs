//! What real chains have, through the whole daemon: sides that are not listed, open interest in parts of a lot, two lot
//! sizes in one chain, quotes and volatilities that come and go. Each row says what the body on the wire said.

use super::answer::{cells, number, price};
use crate::processes::{Daemon, Simulator, dump, store_url};
use bhavd::{
    market::{Timestamp, TradingDate},
    spool::{Source, SpoolReader},
};
use chrono::NaiveDateTime;
use serde_json::Value as Json;
use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

/// NIFTY's, until February and from March on.
const LOTS: [f64; 2] = [65.0, 75.0];

/// What a body says of a contract; `None` where it has 0.
#[derive(Clone, Debug, PartialEq)]
struct OnWire {
    open_interest: i64,
    volume: i64,
    last_price: i64,
    /// Bid, ask, implied volatility.
    book: [Option<i64>; 3],
    is_fractional: bool,
}

/// By contract and stamp in µs; read without any code of bhavd's decoders.
fn read_bodies(spool: &Path, date: TradingDate) -> BTreeMap<(String, i64), OnWire> {
    let mut found = BTreeMap::new();
    for record in SpoolReader::open(spool, date).expect("a log") {
        let record = record.expect("a record");
        if record.source != Source::NSE_CHAIN {
            continue;
        }
        for frame in record.frames.iter() {
            let body: Json = serde_json::from_slice(frame).expect("JSON");
            let stamp = body["records"]["timestamp"].as_str().expect("a stamp");
            let stamp = NaiveDateTime::parse_from_str(stamp, "%d-%b-%Y %H:%M:%S").expect("an instant");
            let stamp_us = Timestamp::from_ist(stamp).as_us();
            for row in body["records"]["data"].as_array().expect("rows") {
                for side in ["CE", "PE"] {
                    // A side that is not listed has no name, or is not there.
                    if row[side]["underlying"].is_string() {
                        let (contract, leg) = read_leg(&row[side], side);
                        found.insert((contract, stamp_us), leg);
                    }
                }
            }
        }
    }
    found
}

fn read_leg(leg: &Json, side: &str) -> (String, OnWire) {
    let text = leg["expiryDate"].as_str().expect("an expiry");
    let expiry = ["%d-%m-%Y", "%d-%b-%Y"]
        .iter()
        .find_map(|format| TradingDate::parse_from_str(text, format).ok())
        .expect("a date");
    let lot = LOTS[usize::from(expiry.to_string().as_str() >= "2026-03")];
    let value = |field: &str| leg[field].as_f64().unwrap_or_else(|| panic!("{field} in {leg}"));
    let units = |field: &str| (value(field) * lot).round() as i64;
    let e4 = |field: &str| (value(field) * 10_000.0).round() as i64;
    let told = |fields: &[&str]| {
        let field = fields.iter().find(|field| !leg[**field].is_null()).expect("one of its names");
        Some(e4(field)).filter(|value| *value != 0)
    };
    let wire = OnWire {
        open_interest: units("openInterest"),
        volume: units("totalTradedVolume"),
        last_price: e4("lastPrice"),
        book: [
            told(&["buyPrice1", "bidprice"]),
            told(&["sellPrice1", "askPrice"]),
            told(&["impliedVolatility"]),
        ],
        is_fractional: value("openInterest").fract() != 0.0,
    };
    (format!("NSE:NIFTY {expiry} {} {side}", leg["strikePrice"]), wire)
}

#[test]
fn rows_say_what_chains_with_odd_lots_single_sides_and_withdrawn_quotes_said() {
    let home = tempfile::tempdir().expect("a directory");
    let home = home.path();
    let arguments = "--synthetic --underlyings NIFTY --strikes 20 --expiries 6 --ticks-per-second 20 --speed 120 \
                     --date 2026-01-30 --seed 9 --lot NIFTY@2026-03=75 --one-sided 20 --unlisted-side zeros \
                     --fractional-lots 10 --withdrawn-quotes 10 --implied-volatility 50 --start";
    let simulator = Simulator::start(arguments.split_whitespace().chain(["2026-01-30 09:10:00"]));
    let config = home.join("bhavd.toml");
    let watch = "[[watch]]\nunderlying = \"NIFTY\"\nexpiries = 0\n";
    Daemon::configure(&config, home, &format!("{watch}{}", simulator.nse_tables("v3")));
    let date = simulator.clock.now().date_ist();
    let daemon = Daemon::start(&config, home);
    simulator.wait_until(Timestamp::on(date, chrono::NaiveTime::MIN).plus_seconds(10 * 3_600));
    let status = daemon.ask(&["status"]);
    assert_eq!(
        (&status["healthy"], &status["problems"]),
        (&true.into(), &serde_json::json!([])),
        "{status:#}"
    );
    daemon.stop();

    let wire = read_bodies(&home.join("spool"), date);
    let listed: BTreeSet<&String> = wire.keys().map(|(contract, _)| contract).collect();
    let strikes: BTreeSet<&str> =
        listed.iter().filter_map(|contract| contract.rsplit_once(' ')).map(|(strike, _)| strike).collect();
    let single = strikes.len() * 2 - listed.len();
    assert!(single > 10, "{single} of {} strikes list one side", strikes.len());
    let record = dump(&store_url(home), date);
    let (mut checked, mut fractional, mut absent, mut lots) = (0, 0, [0; 3], BTreeSet::new());
    for row in cells(&record, "intraday_option_oi").into_iter().filter(|row| !row[11].is_empty()) {
        let said = &wire[&(row[1].to_owned(), number(row[11]))];
        let cell = |place: usize| (!row[place].is_empty()).then(|| number(row[place]));
        let found = OnWire {
            open_interest: number(row[2]),
            volume: number(row[5]),
            last_price: price(row[4]),
            book: [6, 7, 8].map(cell),
            is_fractional: said.is_fractional,
        };
        assert_eq!(found, *said, "{row:?}");
        checked += 1;
        fractional += usize::from(said.is_fractional);
        lots.insert(row[1] >= "NSE:NIFTY 2026-03");
        for (place, value) in said.book.iter().enumerate() {
            absent[place] += usize::from(value.is_none());
        }
    }
    assert!(
        checked > 1_500 && fractional * 20 > checked,
        "{fractional} of {checked} rows with parts of a lot"
    );
    assert!(absent.iter().all(|absent| absent * 50 > checked), "{absent:?} of {checked} not told");
    assert_eq!(lots.len(), 2, "contracts of both lot sizes");
    let recorded: BTreeSet<&str> =
        cells(&record, "intraday_option_oi").into_iter().map(|row| row[1]).collect();
    assert!(recorded.iter().all(|contract| listed.iter().any(|listed| listed == contract)));
}
