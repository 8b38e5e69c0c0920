//! Reads a recorded day from CSV.
//!
//! The file has the header `time_ist,underlying,kind,expiry,strike,option_type,last_price,open_interest,volume` and one
//! row an observation; a name ending in `.gz` is read as gzip. docs/recording-format.md describes every column.
//!
//! | column | value |
//! |---|---|
//! | time_ist | `YYYY-MM-DD HH:MM[:SS[.fff]]`, exchange time in IST |
//! | underlying | the exchange's symbol in upper case |
//! | kind | `OPT`, `INDEX` or `EQ` |
//! | expiry, strike, option_type | `YYYY-MM-DD`, rupees, `CE` or `PE`; empty unless the kind is `OPT` |
//! | last_price | rupees, at most four decimals; may be empty |
//! | open_interest, volume | units, whole numbers, volume cumulative over the day; may be empty |
//!
//! An index or share at 0.0 and a row without any value say nothing and make no event. A row that does not follow the
//! format is named by line, column and reason, skipped and counted; read strictly, it refuses the whole file.

use super::{
    irregularities::Irregularities,
    lots::LotOverrides,
    market::{ABSENT, RawEvent, SimMarket, SpanTooLong},
};
use crate::market::{Contract, Exchange, OptionType, Price, Timestamp};
use chrono::{NaiveDate, NaiveDateTime};
use csv::ByteRecord;
use flate2::read::MultiGzDecoder;
use rustc_hash::FxHashMap;
use std::{
    fs::File,
    io::{self, BufReader, Read},
    path::{Path, PathBuf},
};

const COLUMNS: [&str; 9] = [
    "time_ist",
    "underlying",
    "kind",
    "expiry",
    "strike",
    "option_type",
    "last_price",
    "open_interest",
    "volume",
];
const TIME: usize = 0;
const UNDERLYING: usize = 1;
const KIND: usize = 2;
const EXPIRY: usize = 3;
const STRIKE: usize = 4;
const OPTION_TYPE: usize = 5;
const LAST_PRICE: usize = 6;
const OPEN_INTEREST: usize = 7;
const VOLUME: usize = 8;

/// Skipped rows that are kept with their reason; the rest are only counted.
const REPORTED_ROWS_MAX: usize = 20;

/// A recording cannot be used. The program ends with the message.
#[derive(Debug, thiserror::Error)]
pub enum RecordingError {
    #[error("cannot read the recording {}: {source}; check the path and its permissions", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("the recording {} is cut short: {source}; copy it again", path.display())]
    CutShort { path: PathBuf, source: io::Error },
    #[error(
        "{}, line 1: the header is {found:?}; a recording starts with {:?}",
        path.display(),
        COLUMNS.join(",")
    )]
    Header { path: PathBuf, found: String },
    #[error("{}, {row}; correct the row, or read without --strict to skip it", path.display())]
    BadRow { path: PathBuf, row: SkippedRow },
    #[error("{} holds no usable row ({skipped} skipped); is it a recording?", path.display())]
    Empty { path: PathBuf, skipped: u64 },
    #[error("{}: {source}", path.display())]
    Span { path: PathBuf, source: SpanTooLong },
}

/// A row that does not follow the format.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SkippedRow {
    /// Counted from 1; the header is line 1.
    pub line: u64,
    pub column: &'static str,
    pub reason: String,
}

impl std::fmt::Display for SkippedRow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "line {}, column {}: {}", self.line, self.column, self.reason)
    }
}

/// How loading went.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LoadReport {
    /// Rows after the header.
    pub rows: u64,
    /// Rows that follow the format but carry no value.
    pub without_value: u64,
    /// Rows that do not follow the format.
    pub skipped: u64,
    /// The first of the skipped ones.
    pub skipped_rows: Vec<SkippedRow>,
}

/// Loads a recording. `strict` refuses a file with any bad row. Of the irregularities, unlisted sides are left out.
pub fn load_recording(
    path: &Path,
    strict: bool,
    lots: &LotOverrides,
    irregularities: &Irregularities,
) -> Result<(SimMarket, LoadReport), RecordingError> {
    let read_error = |source| RecordingError::Read { path: path.to_owned(), source };
    let file = File::open(path).map_err(read_error)?;
    let reader: Box<dyn Read> = match path.extension().is_some_and(|extension| extension == "gz") {
        true => Box::new(MultiGzDecoder::new(BufReader::with_capacity(1 << 18, file))),
        false => Box::new(file),
    };
    read_recording(reader, path, strict, lots, irregularities)
}

fn read_recording(
    reader: impl Read,
    path: &Path,
    strict: bool,
    lots: &LotOverrides,
    irregularities: &Irregularities,
) -> Result<(SimMarket, LoadReport), RecordingError> {
    let read_error = |error: csv::Error| {
        let is_cut =
            matches!(error.kind(), csv::ErrorKind::Io(cause) if cause.kind() == io::ErrorKind::UnexpectedEof);
        let (path, source) = (path.to_owned(), io::Error::from(error));
        match is_cut {
            true => RecordingError::CutShort { path, source },
            false => RecordingError::Read { path, source },
        }
    };
    let mut csv = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .buffer_capacity(1 << 18)
        .from_reader(reader);
    let mut record = ByteRecord::new();
    csv.read_byte_record(&mut record).map_err(read_error)?;
    if !record.iter().eq(COLUMNS.iter().map(|name| name.as_bytes())) {
        let found: Vec<_> = record.iter().map(String::from_utf8_lossy).collect();
        return Err(RecordingError::Header { path: path.to_owned(), found: found.join(",") });
    }
    let mut rows = Rows::default();
    let mut report = LoadReport::default();
    while csv.read_byte_record(&mut record).map_err(read_error)? {
        report.rows += 1;
        let line = record.position().map_or(0, csv::Position::line);
        match rows.read(&record) {
            Ok(Some(event)) => rows.events.push(event),
            Ok(None) => report.without_value += 1,
            Err((column, reason)) => {
                let row = SkippedRow { line, column: COLUMNS[column], reason };
                if strict {
                    return Err(RecordingError::BadRow { path: path.to_owned(), row });
                }
                report.skipped += 1;
                if report.skipped_rows.len() < REPORTED_ROWS_MAX {
                    report.skipped_rows.push(row);
                }
            }
        }
    }
    if rows.events.is_empty() {
        return Err(RecordingError::Empty { path: path.to_owned(), skipped: report.skipped });
    }
    let (contracts, events) = irregularities.unlist(rows.contracts, rows.events);
    let market = SimMarket::build(contracts, events, lots)
        .map_err(|source| RecordingError::Span { path: path.to_owned(), source })?;
    Ok((market, report))
}

/// The column at fault and what is wrong with it.
type RowError = (usize, String);

#[derive(Default)]
struct Rows {
    contracts: Vec<Contract>,
    events: Vec<RawEvent>,
    by_contract: FxHashMap<Contract, u32>,
    /// Rows name the same contracts again and again in the same words, so the words are looked up first.
    by_words: FxHashMap<Vec<u8>, u32>,
    words: Vec<u8>,
    last_time: (Vec<u8>, i64),
}

impl Rows {
    fn read(&mut self, record: &ByteRecord) -> Result<Option<RawEvent>, RowError> {
        if record.len() != COLUMNS.len() {
            let column = record.len().min(COLUMNS.len() - 1);
            return Err((column, format!("{} columns instead of {}", record.len(), COLUMNS.len())));
        }
        let time_ms = self.time(&record[TIME])?;
        let contract = self.contract(record)?;
        let last_price_e4 = price(&record[LAST_PRICE])?;
        let open_interest = units(record, OPEN_INTEREST)?;
        let volume = units(record, VOLUME)?;
        let underlying_at_zero = last_price_e4 == 0 && self.contracts[contract as usize].is_underlying();
        if underlying_at_zero || [last_price_e4, open_interest, volume] == [ABSENT; 3] {
            return Ok(None);
        }
        Ok(Some(RawEvent { time_ms, contract, last_price_e4, open_interest, volume }))
    }

    fn time(&mut self, text: &[u8]) -> Result<i64, RowError> {
        if self.last_time.0 == text && !text.is_empty() {
            return Ok(self.last_time.1);
        }
        let words = utf8(text, TIME)?;
        let parsed = ["%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%d %H:%M"]
            .iter()
            .find_map(|format| NaiveDateTime::parse_from_str(words, format).ok());
        let Some(local) = parsed else {
            return Err((TIME, format!("{words:?} is not a time; write YYYY-MM-DD HH:MM:SS")));
        };
        let time_ms = Timestamp::from_ist(local).as_ms();
        self.last_time = (text.to_owned(), time_ms);
        Ok(time_ms)
    }

    fn contract(&mut self, record: &ByteRecord) -> Result<u32, RowError> {
        self.words.clear();
        for column in UNDERLYING..=OPTION_TYPE {
            self.words.extend_from_slice(&record[column]);
            self.words.push(b',');
        }
        if let Some(contract) = self.by_words.get(&self.words) {
            return Ok(*contract);
        }
        let contract = parse_contract(record)?;
        let position = *self.by_contract.entry(contract.clone()).or_insert_with(|| {
            self.contracts.push(contract);
            (self.contracts.len() - 1) as u32
        });
        self.by_words.insert(self.words.clone(), position);
        Ok(position)
    }
}

fn utf8(text: &[u8], column: usize) -> Result<&str, RowError> {
    std::str::from_utf8(text).map_err(|_| (column, "is not UTF-8 text".to_owned()))
}

fn parse_contract(record: &ByteRecord) -> Result<Contract, RowError> {
    let underlying = utf8(&record[UNDERLYING], UNDERLYING)?;
    if underlying.is_empty() || underlying.len() > 25 || underlying.contains(char::is_whitespace) {
        let reason = format!("{underlying:?} is not a symbol; write it without spaces, at most 25 letters");
        return Err((UNDERLYING, reason));
    }
    let kind = utf8(&record[KIND], KIND)?;
    if kind == "INDEX" || kind == "EQ" {
        if let Some(column) = (EXPIRY..=OPTION_TYPE).find(|column| !record[*column].is_empty()) {
            return Err((column, format!("must be empty for kind {kind}")));
        }
        return Ok(match kind {
            "INDEX" => Contract::index(Exchange::Nse, underlying),
            _ => Contract::equity(Exchange::Nse, underlying),
        });
    }
    if kind != "OPT" {
        return Err((KIND, format!("{kind:?} is not a kind; write OPT, INDEX or EQ")));
    }
    let expiry = utf8(&record[EXPIRY], EXPIRY)?;
    let expiry = NaiveDate::parse_from_str(expiry, "%Y-%m-%d")
        .map_err(|_| (EXPIRY, format!("{expiry:?} is not a date; write YYYY-MM-DD")))?;
    let strike: Price =
        utf8(&record[STRIKE], STRIKE)?.parse().map_err(|error| (STRIKE, format!("{error}")))?;
    if strike <= Price::ZERO {
        return Err((STRIKE, format!("{strike} is not above zero")));
    }
    let option_type: OptionType = utf8(&record[OPTION_TYPE], OPTION_TYPE)?
        .parse()
        .map_err(|error| (OPTION_TYPE, format!("{error}")))?;
    Ok(Contract::option(Exchange::Nse, underlying, expiry, strike, option_type))
}

fn price(text: &[u8]) -> Result<i64, RowError> {
    if text.is_empty() {
        return Ok(ABSENT);
    }
    let price: Price = utf8(text, LAST_PRICE)?.parse().map_err(|error| (LAST_PRICE, format!("{error}")))?;
    match price < Price::ZERO {
        true => Err((LAST_PRICE, format!("{price} is below zero"))),
        false => Ok(price.as_e4()),
    }
}

fn units(record: &ByteRecord, column: usize) -> Result<i64, RowError> {
    let text = utf8(&record[column], column)?;
    if text.is_empty() {
        return Ok(ABSENT);
    }
    match text.parse::<i64>() {
        Ok(units) if units >= 0 => Ok(units),
        Ok(units) => Err((column, format!("{units} is below zero"))),
        Err(_) => Err((column, format!("{text:?} is not a whole number of units"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NONE: Irregularities = Irregularities {
        seed: 0,
        one_sided_percent: 0,
        fractional_percent: 0,
        withdrawn_percent: 0,
        implied_volatility_percent: 0,
    };

    const HEADER: &str =
        "time_ist,underlying,kind,expiry,strike,option_type,last_price,open_interest,volume\n";

    fn read(rows: &str, strict: bool) -> Result<(SimMarket, LoadReport), RecordingError> {
        let text = format!("{HEADER}{rows}");
        read_recording(text.as_bytes(), Path::new("day.csv"), strict, &LotOverrides::new(), &NONE)
    }

    #[test]
    fn reads_options_indices_and_shares() {
        let rows = "\
2026-01-30 09:16:49,NIFTY,INDEX,,,,25278.9,,\n\
2026-01-30 09:16:49,MIDCPNIFTY,INDEX,,,,0.0,,\n\
2026-01-30 09:16:49,NIFTY,OPT,2026-02-03,25300,CE,135.5,130,65\n\
2026-01-30 09:50,SBIN,EQ,,,,1148.0,,\n\
2026-01-30 09:50,NIFTY,OPT,2026-02-03,25300.0,CE,0.0,195,65\n";
        let (market, report) = read(rows, true).expect("a recording");
        assert_eq!(report, LoadReport { rows: 5, without_value: 1, ..LoadReport::default() });
        assert_eq!(market.events().len(), 4);
        assert_eq!(market.first_time().to_string(), "2026-01-30 09:16:49 IST");
        assert_eq!(market.last_time().to_string(), "2026-01-30 09:50:00 IST");
        let option = "NIFTY 2026-02-03 25300 CE".parse().expect("a contract");
        let slot = market.slot_of(&option).expect("listed");
        let values: Vec<_> = market
            .events_of(slot)
            .iter()
            .map(|position| &market.events()[*position as usize])
            .map(|event| (event.last_price(), event.open_interest(), event.volume()))
            .collect();
        let price = |text: &str| Some(text.parse().expect("a price"));
        assert_eq!(values, [(price("135.5"), Some(130), Some(65)), (price("0"), Some(195), Some(65))]);
        let share = market.slot_of(&Contract::equity(Exchange::Nse, "SBIN")).expect("listed");
        let event = &market.events()[market.events_of(share)[0] as usize];
        assert_eq!((event.open_interest(), event.volume()), (None, None));
    }

    #[test]
    fn bad_rows_are_named_skipped_and_counted() {
        let good = "2026-01-30 09:16:49,NIFTY,OPT,2026-02-03,25300,CE,135.5,130,65\n";
        for (row, column, part) in [
            ("30-01-2026 09:16,NIFTY,INDEX,,,,1,,", "time_ist", "not a time"),
            ("2026-01-30 09:16,,INDEX,,,,1,,", "underlying", "not a symbol"),
            ("2026-01-30 09:16,NIFTY,FUT,,,,1,,", "kind", "OPT, INDEX or EQ"),
            ("2026-01-30 09:16,NIFTY,OPT,,25300,CE,1,,", "expiry", "not a date"),
            ("2026-01-30 09:16,NIFTY,INDEX,,25300,,1,,", "strike", "must be empty"),
            ("2026-01-30 09:16,NIFTY,OPT,2026-02-03,0,CE,1,,", "strike", "not above zero"),
            ("2026-01-30 09:16,NIFTY,OPT,2026-02-03,25300,XX,1,,", "option_type", "CE or PE"),
            ("2026-01-30 09:16,NIFTY,OPT,2026-02-03,25300,CE,1.00001,,", "last_price", "four decimals"),
            ("2026-01-30 09:16,NIFTY,OPT,2026-02-03,25300,CE,-1,,", "last_price", "below zero"),
            ("2026-01-30 09:16,NIFTY,OPT,2026-02-03,25300,CE,1,1.5,", "open_interest", "whole number"),
            ("2026-01-30 09:16,NIFTY,OPT,2026-02-03,25300,CE,1,1,-65", "volume", "below zero"),
            ("2026-01-30 09:16,NIFTY,OPT,2026-02-03,25300,CE,1,1", "volume", "8 columns"),
        ] {
            let rows = format!("{good}{row}\n{good}");
            let (market, report) = read(&rows, false).expect("the rest is good");
            assert_eq!((market.events().len(), report.rows, report.skipped), (2, 3, 1), "{row}");
            let skipped = &report.skipped_rows[0];
            assert_eq!((skipped.line, skipped.column), (3, column), "{row}");
            assert!(skipped.reason.contains(part), "{row}: {}", skipped.reason);
            let error = read(&rows, true).expect_err("strict refuses").to_string();
            assert!(error.contains(&format!("line 3, column {column}")) && error.contains(part), "{error}");
        }
    }

    #[test]
    fn refuses_other_files() {
        let other = "a,b\n1,2\n".as_bytes();
        let error = read_recording(other, Path::new("other.csv"), false, &LotOverrides::new(), &NONE);
        assert!(matches!(error, Err(RecordingError::Header { .. })), "{error:?}");
        assert!(matches!(read("", false), Err(RecordingError::Empty { .. })));
        let missing = load_recording(Path::new("/nonexistent/day.csv"), false, &LotOverrides::new(), &NONE);
        assert!(matches!(missing, Err(RecordingError::Read { .. })), "{missing:?}");
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused_without_a_panic(text in "[0-9A-Z:., \n\"-]{0,200}") {
            let _ = read(&text, false);
            let _ = read(&text, true);
        }

        #[test]
        fn values_survive(price_e4 in 0_i64..10_000_000_000, oi in 0_i64..1_000_000_000, volume in 0_i64..1_000_000_000) {
            let row = format!("2026-01-30 09:16:49,X,OPT,2026-02-03,100,PE,{},{oi},{volume}\n", Price::from_e4(price_e4));
            let (market, _) = read(&row, true).expect("a good row");
            let event = &market.events()[0];
            prop_assert_eq!(event.last_price(), Some(Price::from_e4(price_e4)));
            prop_assert_eq!((event.open_interest(), event.volume()), (Some(oi), Some(volume)));
        }
    }
}
