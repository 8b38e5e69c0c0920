//! NSE's decoders on bodies recorded from the website.

use crate::test_data::{find, unzip};
use bhavd::{market::*, wire::nse::*};
use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
};

/// File names and bodies in the order of their names, which is the order of their capture.
fn bodies(directory: &Path) -> Vec<(String, Vec<u8>)> {
    let entries = fs::read_dir(directory).expect("a readable directory");
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    paths.sort();
    assert!(!paths.is_empty(), "{} is empty", directory.display());
    let name = |path: &Path| path.file_name().expect("a name").to_string_lossy().into_owned();
    paths.iter().map(|path| (name(path), unzip(path))).collect()
}

#[test]
fn older_bodies_decode_and_survive_encoding() {
    let Some(root) = find("nse_option_chain") else { return };
    for day in ["nifty_2025-10-15", "nifty_2025-10-16", "nifty_2025-10-22_holiday"] {
        for (name, body) in bodies(&root.join(day)) {
            let chain = decode_chain(&body).unwrap_or_else(|error| panic!("{name}: {error}"));
            // cap101348_ts20251015T101146.json.gz
            let stamp =
                name.split("_ts").nth(1).and_then(|rest| rest.get(..15)).expect("a stamp in the name");
            assert_eq!(chain.timestamp.to_ist().format("%Y%m%dT%H%M%S").to_string(), stamp);
            assert_eq!(peek_timestamp(&body), Ok(chain.timestamp), "{name}");
            assert!(chain.legs.len() > 1_200, "{name}: {} legs", chain.legs.len());
            assert!(chain.expiries.len() >= 17 && chain.underlying_value.is_some(), "{name}");
            for leg in &chain.legs {
                leg.quote(75, chain.timestamp).unwrap_or_else(|error| panic!("{name} {leg:?}: {error}"));
            }
            let quotes = |chain: &Chain| -> Vec<(Contract, Quote)> {
                let quote = |leg: &Leg| leg.quote(75, chain.timestamp).expect("whole units");
                chain.legs.iter().map(|leg| (leg.contract(), quote(leg))).collect()
            };
            let again = decode_chain(&encode_chain(&chain, ChainShape::Older)).expect("a chain");
            assert!(quotes(&again) == quotes(&chain), "{name} changed by encoding");
        }
    }
}

#[test]
fn v3_bodies_decode() {
    let Some(root) = find("nse_option_chain") else { return };
    #[derive(serde::Deserialize)]
    struct Wrapped<'a> {
        #[serde(borrow)]
        data: &'a serde_json::value::RawValue,
    }
    for (name, wrapped) in bodies(&root.join("nifty_v3_2026-06-19")) {
        let wrapped: Wrapped<'_> = serde_json::from_slice(&wrapped).expect("a wrapped body");
        let chain = decode_chain(wrapped.data.get().as_bytes()).expect("a v3 chain");
        assert_eq!(chain.timestamp.to_string(), "2026-06-19 15:30:00 IST", "{name}");
        assert_eq!((chain.legs.len(), chain.expiries.len()), (206, 18), "{name}");
        assert!(chain.legs.iter().all(|leg| leg.contract().to_string().starts_with("NIFTY 2026-06-23 ")));
        // The printed total of the calls' open interest, in lots.
        if name.contains("141204UTC") {
            let calls = chain.legs.iter().filter(|leg| leg.option_type == OptionType::Call);
            assert_eq!(calls.filter_map(|leg| leg.open_interest_lots).sum::<f64>(), 2_383_380.0);
        }
        for leg in &chain.legs {
            leg.quote(65, chain.timestamp).unwrap_or_else(|error| panic!("{name} {leg:?}: {error}"));
        }
    }
}

/// Every body of 16 Oct says what 15 Oct ended at; the answer sheet was computed from them apart from bhavd.
#[test]
fn yesterdays_open_interest_is_in_every_body_of_the_day() {
    let Some(root) = find("nse_option_chain") else { return };
    let sheet = unzip(&root.join("nifty_final_oi_2025-10-15.csv.gz"));
    let mut answers: HashMap<Contract, i64> = HashMap::new();
    for row in csv::Reader::from_reader(&*sheet).into_records() {
        let row = row.expect("a row");
        let expiry = parse_expiry(&row[1]).expect("an expiry");
        let (strike, option_type) = (row[2].parse().expect("a strike"), row[3].parse().expect("CE or PE"));
        let contract = Contract::option(Exchange::Nse, "NIFTY", expiry, strike, option_type);
        answers.insert(contract, row[5].parse::<f64>().expect("units").round() as i64);
    }
    assert!(answers.len() > 1_000, "{} answers", answers.len());
    let mut checked = 0;
    for (name, body) in bodies(&root.join("nifty_2025-10-16")) {
        let chain = decode_chain(&body).expect("a chain");
        if chain.timestamp.date_ist().to_string() != "2025-10-16" {
            continue;
        }
        for leg in &chain.legs {
            let quote = leg.quote(75, chain.timestamp).expect("whole units");
            if let (Some(answer), Some(previous)) =
                (answers.get(&leg.contract()), quote.previous_open_interest)
            {
                assert_eq!(previous, *answer, "{name} {}", leg.contract());
                checked += 1;
            }
        }
    }
    assert!(checked > 10_000, "only {checked} legs were checked");
}
