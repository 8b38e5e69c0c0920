//! Recorded bodies of NSE's option chain, served again at the time of day at which they were received.
//!
//! A directory is named `SYMBOL_YYYY-MM-DD` (anything may follow) and holds files `capHHMMSS_….json` or `.json.gz`, the
//! time of receipt in IST, or in UTC if `UTC` follows the digits. A body may be wrapped as `{"time": …, "data": body}`.

use crate::{
    market::{Price, Timestamp, TradingDate, ist},
    wire::nse::decode_chain,
};
use axum::body::Bytes;
use chrono::{NaiveDate, NaiveTime};
use flate2::read::MultiGzDecoder;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
};

/// Recorded bodies cannot be used. The program ends with the message.
#[derive(Debug, thiserror::Error)]
pub enum BodiesError {
    #[error("cannot read {}: {source}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("{} is not named SYMBOL_YYYY-MM-DD, which tells the day of its bodies", path.display())]
    DirectoryName { path: PathBuf },
    #[error("{} holds no file named capHHMMSS_….json or .json.gz", path.display())]
    Empty { path: PathBuf },
    #[error("{} is not an option chain: {reason}", path.display())]
    NotAChain { path: PathBuf, reason: String },
}

/// Which endpoint a body belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::sim) enum Generation {
    /// `option-chain-v3`.
    V3,
    /// `option-chain-indices` and `option-chain-equities`.
    Older,
}

#[derive(Debug)]
struct RecordedBody {
    received: Timestamp,
    generation: Generation,
    body: Bytes,
    /// Expiries of the legs, which in v3 is one.
    leg_expiries: Vec<TradingDate>,
    listed_expiries: Vec<TradingDate>,
    strikes: Vec<Price>,
}

/// Bodies by symbol, in the order of their receipt.
#[derive(Debug)]
pub(in crate::sim) struct RecordedBodies {
    by_symbol: BTreeMap<String, Vec<RecordedBody>>,
}

impl RecordedBodies {
    pub fn load(directories: &[PathBuf]) -> Result<RecordedBodies, BodiesError> {
        let mut by_symbol: BTreeMap<String, Vec<RecordedBody>> = BTreeMap::new();
        for directory in directories {
            let (symbol, date) = name_of(directory)?;
            let read_error = |source| BodiesError::Read { path: directory.clone(), source };
            let mut bodies = Vec::new();
            for entry in fs::read_dir(directory).map_err(read_error)? {
                let path = entry.map_err(read_error)?.path();
                if let Some(received) = receipt_of(&path, date) {
                    bodies.push(load_body(&path, received)?);
                }
            }
            if bodies.is_empty() {
                return Err(BodiesError::Empty { path: directory.clone() });
            }
            by_symbol.entry(symbol).or_default().append(&mut bodies);
        }
        for bodies in by_symbol.values_mut() {
            bodies.sort_by_key(|body| body.received);
        }
        Ok(RecordedBodies { by_symbol })
    }

    pub fn first_capture(&self) -> Timestamp {
        let first = self.by_symbol.values().filter_map(|bodies| bodies.first());
        first.map(|body| body.received).min().unwrap_or_default()
    }

    /// Whether bodies are all there is to say about a symbol.
    pub fn has(&self, symbol: &str) -> bool {
        self.by_symbol.contains_key(symbol)
    }

    /// The newest body received by `now`; in v3 the one of an expiry.
    pub fn at(
        &self,
        symbol: &str,
        generation: Generation,
        expiry: Option<TradingDate>,
        now: Timestamp,
    ) -> Option<Bytes> {
        let fits = |body: &&RecordedBody| {
            body.received <= now
                && body.generation == generation
                && expiry.is_none_or(|expiry| body.leg_expiries.contains(&expiry))
        };
        self.by_symbol.get(symbol)?.iter().rev().find(fits).map(|body| body.body.clone())
    }

    /// Expiries and strikes in the newest body received by `now`.
    pub fn contracts(&self, symbol: &str, now: Timestamp) -> Option<(&[TradingDate], &[Price])> {
        let newest = self.by_symbol.get(symbol)?.iter().rev().find(|body| body.received <= now)?;
        Some((&newest.listed_expiries, &newest.strikes))
    }

    /// Each symbol with the date of its first body and the expiries listed in its last.
    pub fn listed_expiries(&self) -> impl Iterator<Item = (&str, TradingDate, &[TradingDate])> {
        self.by_symbol.iter().filter_map(|(symbol, bodies)| {
            let (first, last) = (bodies.first()?, bodies.last()?);
            Some((symbol.as_str(), first.received.date_ist(), last.listed_expiries.as_slice()))
        })
    }
}

/// Symbol and date out of `nifty_2025-10-15` or `nifty_v3_2026-06-19`.
fn name_of(directory: &Path) -> Result<(String, TradingDate), BodiesError> {
    let wrong = || BodiesError::DirectoryName { path: directory.to_owned() };
    // Canonical, so that "." has a name as well.
    let canonical = directory
        .canonicalize()
        .map_err(|source| BodiesError::Read { path: directory.to_owned(), source })?;
    let name = canonical.file_name().and_then(|name| name.to_str()).ok_or_else(wrong)?;
    let mut parts = name.split('_');
    let symbol = parts.next().filter(|symbol| !symbol.is_empty()).ok_or_else(wrong)?;
    let date = parts.find_map(|part| NaiveDate::parse_from_str(part, "%Y-%m-%d").ok()).ok_or_else(wrong)?;
    Ok((symbol.to_uppercase(), date))
}

/// When a file's body was received. `None` for other files.
fn receipt_of(path: &Path, date: TradingDate) -> Option<Timestamp> {
    let name = path.file_name()?.to_str()?;
    let stem = name.strip_suffix(".json.gz").or_else(|| name.strip_suffix(".json"))?;
    let rest = stem.strip_prefix("cap")?;
    let time = NaiveTime::parse_from_str(rest.get(..6)?, "%H%M%S").ok()?;
    let instant = Timestamp::on(date, time);
    let is_utc = rest[6..].starts_with("UTC");
    Some(if is_utc { instant.plus_seconds(i64::from(ist().local_minus_utc())) } else { instant })
}

fn load_body(path: &Path, received: Timestamp) -> Result<RecordedBody, BodiesError> {
    let read_error = |source| BodiesError::Read { path: path.to_owned(), source };
    let mut file = File::open(path).map_err(read_error)?;
    let mut bytes = Vec::new();
    let is_gzip = path.extension().is_some_and(|extension| extension == "gz");
    let read = match is_gzip {
        true => MultiGzDecoder::new(file).read_to_end(&mut bytes),
        false => file.read_to_end(&mut bytes),
    };
    read.map_err(read_error)?;
    let body = unwrap(bytes);
    let chain = decode_chain(&body)
        .map_err(|error| BodiesError::NotAChain { path: path.to_owned(), reason: error.to_string() })?;
    let mut leg_expiries: Vec<TradingDate> = chain.legs.iter().map(|leg| leg.expiry).collect();
    leg_expiries.sort_unstable();
    leg_expiries.dedup();
    let mut strikes: Vec<Price> = chain.legs.iter().map(|leg| leg.strike).collect();
    strikes.sort_unstable();
    strikes.dedup();
    // Only v3 calls the best prices by this name.
    const V3_FIELD: &[u8] = b"\"buyPrice1\"";
    let is_v3 = body.windows(V3_FIELD.len()).any(|window| window == V3_FIELD);
    Ok(RecordedBody {
        received,
        generation: if is_v3 { Generation::V3 } else { Generation::Older },
        listed_expiries: if chain.expiries.is_empty() { leg_expiries.clone() } else { chain.expiries },
        leg_expiries,
        strikes,
        body,
    })
}

/// The `data` of a wrapped body, character for character; any other body as it is.
fn unwrap(bytes: Vec<u8>) -> Bytes {
    #[derive(Deserialize)]
    struct Wrapped<'a> {
        #[serde(rename = "time")]
        _time: String,
        #[serde(borrow)]
        data: &'a RawValue,
    }
    let inner = serde_json::from_slice::<Wrapped>(&bytes).ok().map(|wrapped| wrapped.data.get().to_owned());
    inner.map_or_else(|| bytes.into(), Bytes::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &str = concat!(
        r#"{"records":{"timestamp":"15-Oct-2025 09:24:14","underlyingValue":25232.6,"expiryDates":["20-Oct-2025"],"#,
        r#""data":[{"strikePrice":25000,"expiryDate":"20-Oct-2025","PE":{"strikePrice":25000,"#,
        r#""expiryDate":"20-Oct-2025","underlying":"NIFTY","openInterest":7.5,"lastPrice":1}}]}}"#
    );

    #[test]
    fn bodies_are_served_from_their_receipt_on() {
        let root = tempfile::tempdir().expect("a directory");
        let directory = root.path().join("nifty_2025-10-15");
        fs::create_dir(&directory).expect("a directory");
        let later = BODY.replace("7.5", "8");
        fs::write(directory.join("cap092648_ts20251015T092414.json"), BODY).expect("a file");
        let wrapped = format!(r#"{{"time": "2025-10-15 04:00:00", "data": {later} }}"#);
        fs::write(directory.join("cap040000UTC_a.json"), wrapped).expect("a file");
        fs::write(directory.join("notes.txt"), "other").expect("a file");
        let bodies = RecordedBodies::load(&[directory]).expect("bodies");
        let at = |hour, minute, second| {
            let date = NaiveDate::from_ymd_opt(2025, 10, 15).expect("a date");
            Timestamp::on(date, NaiveTime::from_hms_opt(hour, minute, second).expect("a time"))
        };
        assert_eq!(bodies.first_capture(), at(9, 26, 48));
        let text = |now| {
            let body = bodies.at("NIFTY", Generation::Older, None, now);
            body.map(|body| String::from_utf8(body.to_vec()).expect("text"))
        };
        assert_eq!(text(at(9, 26, 47)), None);
        assert_eq!(text(at(9, 26, 48)).as_deref(), Some(BODY));
        assert_eq!(text(at(9, 30, 0)), Some(later), "4:00 UTC is 9:30 in India");
        assert_eq!(bodies.at("NIFTY", Generation::V3, None, at(10, 0, 0)), None);
        assert_eq!(bodies.contracts("NIFTY", at(10, 0, 0)).expect("listed").0.len(), 1);
    }

    #[test]
    fn says_what_is_wrong_with_a_directory() {
        let root = tempfile::tempdir().expect("a directory");
        let empty = root.path().join("nifty_2025-10-15");
        fs::create_dir(&empty).expect("a directory");
        let load = |path: &Path| RecordedBodies::load(&[path.to_owned()]).expect_err("refused");
        assert!(matches!(load(&empty), BodiesError::Empty { .. }));
        assert!(matches!(load(root.path()), BodiesError::DirectoryName { .. }));
        fs::write(empty.join("cap092648_x.json"), "{}").expect("a file");
        assert!(matches!(load(&empty), BodiesError::NotAChain { .. }));
    }
}
