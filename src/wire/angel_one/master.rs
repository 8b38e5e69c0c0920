//! OpenAPIScripMaster.json: every instrument Angel One knows, an array of objects of strings, over 30 MB.
//!
//! Strikes and tick sizes are in paise. There is no column for call or put: the symbol ends in CE or PE. Indices are
//! rows of type AMXIDX whose `name` is the underlying and whose `symbol` is the index's title.

use super::{WireError, decimal, exchange_of, expiry, json, segment_of};
use crate::market::{Contract, InstrumentKind, Listing, OptionType, Price, Provider, ProviderToken, Segment};
use rustc_hash::{FxHashMap, FxHashSet};
use serde::{Deserialize, Deserializer, Serialize, de};
use serde_json::value::RawValue;
use std::{borrow::Cow, fmt, ops::Range, sync::Arc};

const WHAT: &str = "instrument master";
const BODY_MAX_BYTES: usize = 512 << 20;
const TEST_NAME: &str = "NSETEST";

/// The listings of a master, and how many rows were none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Master {
    pub listings: Vec<Listing>,
    pub skipped: SkippedRows,
}

/// Rows that became no listing, by reason.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SkippedRows {
    /// Currency, commodity and other segments bhavd does not record.
    pub other_segment: usize,
    /// The exchange's own test instruments.
    pub test: usize,
    /// Cash rows that nothing is written on: other series than EQ, bonds, shares of BSE.
    pub other_series: usize,
    /// Instrument types that are neither index, share, future nor option.
    pub other_kind: usize,
    /// Rows that could not be read.
    pub malformed: usize,
    pub first_malformed: Option<WireError>,
}

impl SkippedRows {
    pub const fn total(&self) -> usize {
        self.other_segment + self.test + self.other_series + self.other_kind + self.malformed
    }
}

#[derive(Serialize, Deserialize)]
struct Row<'a> {
    #[serde(borrow)]
    token: Cow<'a, str>,
    #[serde(borrow)]
    symbol: Cow<'a, str>,
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(borrow, default)]
    expiry: Cow<'a, str>,
    #[serde(borrow, default)]
    strike: Cow<'a, str>,
    #[serde(borrow, default)]
    lotsize: Cow<'a, str>,
    #[serde(borrow, default)]
    instrumenttype: Cow<'a, str>,
    #[serde(borrow)]
    exch_seg: Cow<'a, str>,
    #[serde(borrow, default)]
    tick_size: Cow<'a, str>,
}

/// The columns that decide whether a row is kept.
#[derive(Deserialize)]
struct RowKey<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(borrow, default)]
    instrumenttype: Cow<'a, str>,
    #[serde(borrow)]
    exch_seg: Cow<'a, str>,
}

/// Why a row is no listing.
enum Skip {
    OtherSegment,
    Test,
    OtherSeries,
    OtherKind,
    Malformed(WireError),
}

/// Reads a master. A body that is no array of objects is an error; a bad row among good ones is counted.
pub fn decode_master(body: &[u8]) -> Result<Master, WireError> {
    let mut listings = Vec::new();
    let skipped = for_each_listing(body, |listing| listings.push(listing))?;
    Ok(Master { listings, skipped })
}

/// Reads a master row by row, without collecting its listings; says what was skipped.
///
/// # Errors
/// As [`decode_master`]; listings of rows before the fault were told by then.
pub fn for_each_listing(body: &[u8], mut each: impl FnMut(Listing)) -> Result<SkippedRows, WireError> {
    let mut skipped = SkippedRows::default();
    let mut names: FxHashMap<Box<str>, Arc<str>> = FxHashMap::default();
    for_each_row(body, |raw| {
        let row = serde_json::from_str::<Row>(raw.get());
        let listing = match &row {
            Ok(row) => listing(row, |name| match names.get(name) {
                Some(known) => known.clone(),
                None => names.entry(name.into()).or_insert_with(|| name.into()).clone(),
            }),
            Err(error) => Err(Skip::Malformed(malformed(body, raw, "row", error.to_string()))),
        };
        match listing {
            Ok(listing) => each(listing),
            Err(Skip::OtherSegment) => skipped.other_segment += 1,
            Err(Skip::Test) => skipped.test += 1,
            Err(Skip::OtherSeries) => skipped.other_series += 1,
            Err(Skip::OtherKind) => skipped.other_kind += 1,
            Err(Skip::Malformed(error)) => {
                skipped.malformed += 1;
                let error = match error {
                    WireError::Field { field, reason, .. } => malformed(body, raw, field, reason),
                    other => other,
                };
                skipped.first_malformed.get_or_insert(error);
            }
        }
    })?;
    Ok(skipped)
}

/// The rows of underlyings that have options and that `is_watched` wants, character for character, in the same buffer.
///
/// What [`decode_master`] makes of the result for those underlyings is what it makes of the whole body.
pub fn cut_master(mut body: Vec<u8>, is_watched: impl Fn(&str) -> bool) -> Result<Vec<u8>, WireError> {
    let mut rows: Vec<(Range<usize>, Arc<str>)> = Vec::new();
    let mut watched: FxHashMap<String, Option<Arc<str>>> = FxHashMap::default();
    let mut with_options: FxHashSet<Arc<str>> = FxHashSet::default();
    for_each_row(&body, |raw| {
        let Ok(key) = serde_json::from_str::<RowKey>(raw.get()) else { return };
        let underlying = upper_case(&key.name).into_owned();
        if segment_of(&key.exch_seg).is_none() || underlying.contains(TEST_NAME) {
            return;
        }
        let name = watched
            .entry(underlying)
            .or_insert_with_key(|underlying| is_watched(underlying).then(|| Arc::from(underlying.as_str())));
        let Some(name) = name else { return };
        if key.instrumenttype.starts_with("OPT") {
            with_options.insert(name.clone());
        }
        let start = offset_in(&body, raw);
        rows.push((start..start + raw.get().len(), name.clone()));
    })?;
    // A bracket stands before the first row and a comma before each other one, so a row never moves towards the end.
    let mut end = 0;
    for (row, _) in rows.into_iter().filter(|(_, name)| with_options.contains(name)) {
        body[end] = if end == 0 { b'[' } else { b',' };
        body.copy_within(row.clone(), end + 1);
        end += 1 + row.len();
    }
    body.truncate(end);
    if body.is_empty() {
        body.push(b'[');
    }
    body.push(b']');
    body.shrink_to_fit();
    Ok(body)
}

/// Calls `each` with every element of the array without collecting them.
fn for_each_row<'a>(body: &'a [u8], each: impl FnMut(&'a RawValue)) -> Result<(), WireError> {
    if body.len() > BODY_MAX_BYTES {
        return Err(WireError::TooLong { what: WHAT, length: body.len(), limit: BODY_MAX_BYTES });
    }
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    let read = deserializer.deserialize_seq(RowVisitor(each)).and_then(|()| deserializer.end());
    read.map_err(|error| json::located(WHAT, body, &error))
}

struct RowVisitor<F>(F);

impl<'de, F: FnMut(&'de RawValue)> de::Visitor<'de> for RowVisitor<F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("an array of instruments")
    }

    fn visit_seq<A: de::SeqAccess<'de>>(mut self, mut rows: A) -> Result<(), A::Error> {
        while let Some(row) = rows.next_element::<&'de RawValue>()? {
            (self.0)(row);
        }
        Ok(())
    }
}

fn malformed(body: &[u8], raw: &RawValue, field: &'static str, reason: String) -> WireError {
    WireError::Field { what: WHAT, offset: offset_in(body, raw), field, reason }
}

/// Where a row that was borrowed from `body` begins in it.
fn offset_in(body: &[u8], raw: &RawValue) -> usize {
    (raw.get().as_ptr() as usize).saturating_sub(body.as_ptr() as usize).min(body.len())
}

fn listing(row: &Row, mut intern: impl FnMut(&str) -> Arc<str>) -> Result<Listing, Skip> {
    let segment = segment_of(&row.exch_seg).ok_or(Skip::OtherSegment)?;
    let name = upper_case(&row.name);
    if name.contains(TEST_NAME) {
        return Err(Skip::Test);
    }
    let kind = match (segment, &*row.instrumenttype) {
        (Segment::NseCash | Segment::BseCash, "AMXIDX") => InstrumentKind::Index,
        (Segment::NseCash, "") if row.symbol.ends_with("-EQ") => InstrumentKind::Equity,
        (Segment::NseCash | Segment::BseCash, "") => return Err(Skip::OtherSeries),
        (Segment::NseFo | Segment::BseFo, "FUTIDX" | "FUTSTK") => {
            InstrumentKind::Future { expiry: expiry_of(row)? }
        }
        (Segment::NseFo | Segment::BseFo, "OPTIDX" | "OPTSTK") => InstrumentKind::Option {
            expiry: expiry_of(row)?,
            strike: paise("strike", &row.strike)?,
            option_type: option_type_of(row)?,
        },
        _ => return Err(Skip::OtherKind),
    };
    if let (Segment::NseFo, InstrumentKind::Option { expiry, strike, .. }) = (segment, kind)
        && contradicts(&row.symbol, &name, expiry, strike)
    {
        return Err(wrong("symbol", &row.symbol));
    }
    let token = super::segment::token_of(&row.token).ok_or_else(|| wrong("token", &row.token))?;
    let is_derivative = matches!(kind, InstrumentKind::Future { .. } | InstrumentKind::Option { .. });
    let lot_size = match row.lotsize.parse::<u32>() {
        Ok(units) if units > 0 => units,
        // Indices come with a lot of 0 or none.
        _ if !is_derivative => 1,
        _ => return Err(wrong("lotsize", &row.lotsize)),
    };
    let tick_size = if row.tick_size.is_empty() { Price::ZERO } else { paise("tick_size", &row.tick_size)? };
    if row.name.is_empty() {
        return Err(wrong("name", &row.name));
    }
    let underlying = intern(&name);
    Ok(Listing {
        provider: Provider::AngelOne,
        token: Some(ProviderToken { segment, token }),
        symbol: Arc::from(&*row.symbol),
        contract: Contract { exchange: segment.exchange(), underlying, kind },
        lot_size,
        tick_size,
    })
}

/// Without a copy where the name is in upper case already, as nearly all are.
fn upper_case<'a>(name: &'a str) -> Cow<'a, str> {
    match name.bytes().any(|byte| byte.is_ascii_lowercase()) {
        true => name.to_ascii_uppercase().into(),
        false => name.into(),
    }
}

fn wrong(field: &'static str, text: &str) -> Skip {
    let reason = format!("{:?} cannot be read", text.chars().take(40).collect::<String>());
    Skip::Malformed(WireError::Field { what: WHAT, offset: 0, field, reason })
}

/// NSE's symbols repeat what the columns say: `NIFTY19MAY2625200CE`. One that says something else is of a row that is not to be
/// believed; one of another form says nothing.
fn contradicts(symbol: &str, name: &str, expiry: chrono::NaiveDate, strike: Price) -> bool {
    let Some(rest) = symbol.strip_prefix(name) else { return false };
    let (Some(day_and_month), Some(year)) = (rest.get(..5), rest.get(5..7)) else { return false };
    let Some(of_symbol) = expiry::parse(&format!("{day_and_month}20{year}")) else { return false };
    let of_strike = rest[7..].get(..rest.len().saturating_sub(9)).and_then(decimal::parse_e6);
    of_symbol != expiry || of_strike.is_some_and(|of_strike_e6| of_strike_e6 != strike.as_e4() * 100)
}

/// Whether an option's symbol says that it is another contract's: another expiry, strike or side of the underlying.
pub fn is_symbol_of_another(symbol: &str, contract: &Contract) -> bool {
    let InstrumentKind::Option { expiry, strike, option_type } = contract.kind else { return false };
    let name = &*contract.underlying;
    let is_other_side = |of: &OptionType| *of != option_type && symbol.ends_with(of.name());
    symbol.starts_with(name)
        && (contradicts(symbol, name, expiry, strike) || OptionType::BOTH.iter().any(is_other_side))
}

fn expiry_of(row: &Row) -> Result<chrono::NaiveDate, Skip> {
    expiry::parse(&row.expiry).ok_or_else(|| wrong("expiry", &row.expiry))
}

fn option_type_of(row: &Row) -> Result<OptionType, Skip> {
    let option_type =
        OptionType::BOTH.into_iter().find(|option_type| row.symbol.ends_with(option_type.name()));
    option_type.ok_or_else(|| wrong("symbol", &row.symbol))
}

fn paise(field: &'static str, text: &str) -> Result<Price, Skip> {
    decimal::price_from_paise(text).and_then(super::bounds::price).ok_or_else(|| wrong(field, text))
}

/// A master of `listings`, as the simulated broker serves it. Listings without a token are left out. Options and
/// futures count as written on an index if the listings have an index of that name.
pub fn encode_master(listings: &[Listing]) -> Vec<u8> {
    let is_index = |listing: &&Listing| listing.contract.kind == InstrumentKind::Index;
    let indices: FxHashSet<&str> =
        listings.iter().filter(is_index).map(|listing| &*listing.contract.underlying).collect();
    let row = |listing| row_of(listing, &indices);
    json::encode(&listings.iter().filter_map(row).collect::<Vec<_>>())
}

fn row_of<'a>(listing: &'a Listing, indices: &FxHashSet<&str>) -> Option<Row<'a>> {
    // The master's own value for what has no strike.
    const NO_STRIKE: Price = Price::from_e4(-100);
    let Listing { contract, symbol, lot_size, tick_size, .. } = listing;
    let token = listing.token?;
    let on_index = indices.contains(&*contract.underlying);
    let (instrumenttype, strike) = match contract.kind {
        InstrumentKind::Index => ("AMXIDX", Price::ZERO),
        InstrumentKind::Equity => ("", NO_STRIKE),
        InstrumentKind::Future { .. } => (if on_index { "FUTIDX" } else { "FUTSTK" }, NO_STRIKE),
        InstrumentKind::Option { strike, .. } => (if on_index { "OPTIDX" } else { "OPTSTK" }, strike),
    };
    Some(Row {
        token: token.token.to_string().into(),
        symbol: (&**symbol).into(),
        name: (&*contract.underlying).into(),
        expiry: contract.expiry().map(expiry::write).unwrap_or_default().into(),
        strike: decimal::write_paise(strike).into(),
        lotsize: lot_size.to_string().into(),
        instrumenttype: instrumenttype.into(),
        exch_seg: exchange_of(token.segment).into(),
        tick_size: decimal::write_paise(*tick_size).into(),
    })
}

#[cfg(test)]
mod tests;
