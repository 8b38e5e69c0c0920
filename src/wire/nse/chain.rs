//! Decodes option chains: `option-chain-v3` (one expiry) and `option-chain-indices` / `option-chain-equities` (all).
//!
//! The shape is told from the field names, not from the request. Source: bodies recorded on 15, 16 and 22 Oct 2025
//! (older shape) and 19 Jun 2026 (v3).

use super::{
    ChainContext, WireError,
    error::{bounded, from_json},
    field::{DateField, InstantField, RupeesField},
    identifier::Identifier,
    units::{UnitsError, units_from_lots},
    unread::{Names, Unread},
};
use crate::market::{Contract, Exchange, OptionType, Price, Quote, Timestamp, Told, TradingDate};
use serde::{
    Deserialize, Deserializer,
    de::{self, IgnoredAny},
};
use serde_json::value::RawValue;
use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
};

const WHAT: &str = "option chain";

/// One body: a moment of the chain of one underlying.
#[derive(Clone, Debug, PartialEq)]
pub struct Chain {
    /// The exchange's own time, whole seconds. A body served on a holiday carries the last session's.
    pub timestamp: Timestamp,
    /// The index level or share price; `None` where the body says 0 or nothing, or its legs another one.
    pub underlying_value: Option<Price>,
    /// All listed expiries, also in a body that carries the legs of only one.
    pub expiries: Vec<TradingDate>,
    /// In the body's order, the call of a row before its put. Sides that the exchange does not list are left out.
    pub legs: Vec<Leg>,
    /// Strikes that the body lists without a contract of theirs.
    pub rowless_strikes: Vec<Price>,
    /// What could not be read, in the body's order; everything else of the body is as good as ever.
    pub malformed: Vec<Unread>,
}

/// Of the strikes that a body lists, those without a contract in it.
fn rowless(listed: Option<Vec<RupeesField>>, legs: &[Leg]) -> Vec<Price> {
    let shown: BTreeSet<Price> = legs.iter().map(|leg| leg.strike).collect();
    let listed = listed.unwrap_or_default().into_iter().map(|strike| strike.0);
    listed.filter(|strike| !shown.contains(strike)).collect()
}

/// One contract of a chain. Numbers of lots are as on the wire and may be fractional.
#[derive(Clone, Debug, PartialEq)]
pub struct Leg {
    pub underlying: Arc<str>,
    pub expiry: TradingDate,
    pub strike: Price,
    pub option_type: OptionType,
    /// Lots of the day's lot size.
    pub open_interest_lots: Option<f64>,
    /// Against yesterday's final open interest, in lots.
    pub open_interest_change_lots: Option<f64>,
    /// Traded today so far, in lots.
    pub volume_lots: Option<f64>,
    /// The wire's 0 means that there was no trade yet.
    pub last_price: Told<Price>,
    /// Best bid and ask; the wire's 0 means that there is none.
    pub bid: Told<Price>,
    pub ask: Told<Price>,
    /// Annual percent times 10,000; the wire's 0 means that there is none.
    pub implied_volatility_e4: Told<i64>,
}

impl Leg {
    pub fn contract(&self) -> Contract {
        Contract {
            underlying: Arc::clone(&self.underlying),
            ..Contract::option(Exchange::Nse, "", self.expiry, self.strike, self.option_type)
        }
    }

    /// Whether it shows that the contract was traded today, or held in the session before.
    pub fn has_been_traded(&self) -> bool {
        let lots = |field: Option<f64>| field.unwrap_or(0.0);
        lots(self.volume_lots) > 0.0 || lots(self.open_interest_lots) != lots(self.open_interest_change_lots)
    }

    /// The leg in bhavd's units.
    ///
    /// `lot_size` is the contract's on that day. Yesterday's final open interest is `(oi - change) * lot_size`, which
    /// stays constant through the day (measured). It is left out where it would be negative, and where a traded leg
    /// with open interest says that nothing changed: that is also how the website shows, until the final figures,
    /// contracts that nobody held yesterday (measured on 16 Oct 2025, three contracts opened that day).
    pub fn quote(&self, lot_size: u32, event_time: Timestamp) -> Result<Quote, UnitsError> {
        let units = |lots: Option<f64>| lots.map(|lots| units_from_lots(lots, lot_size)).transpose();
        let not_negative = |lots: Option<f64>| match lots.filter(|lots| *lots < 0.0) {
            Some(lots) => Err(UnitsError::Negative { lots }),
            None => units(lots),
        };
        let open_interest = not_negative(self.open_interest_lots)?;
        let change = units(self.open_interest_change_lots)?;
        let volume = not_negative(self.volume_lots)?;
        let is_ambiguous = change == Some(0) && open_interest != Some(0) && volume != Some(0);
        let previous = open_interest.zip(change).map(|(open_interest, change)| open_interest - change);
        Ok(Quote {
            event_time,
            last_price: self.last_price,
            open_interest,
            volume,
            bid: self.bid,
            ask: self.ask,
            implied_volatility_e4: self.implied_volatility_e4,
            previous_open_interest: previous.filter(|previous| *previous >= 0 && !is_ambiguous),
        })
    }
}

impl Chain {
    /// What the body is about instead of what was requested; `None` if it is an answer: most of its legs are of it.
    ///
    /// A body without legs names no underlying and passes.
    pub fn mismatch(&self, requested: &ChainContext) -> Option<String> {
        mismatch(self.legs.iter().map(|leg| (&*leg.underlying, leg.expiry, 1)), requested)
    }

    /// Takes the legs out that are about something else than was requested. Says what the first of them is, and how many they are.
    pub fn take_strangers(&mut self, requested: &ChainContext) -> Option<(String, usize)> {
        let is_stranger = |leg: &Leg| !requested.contains(&leg.underlying, leg.expiry);
        let first = self.legs.iter().find(|leg| is_stranger(leg))?;
        let first = instead_of(&first.underlying, first.expiry, requested);
        let count = self.legs.len();
        self.legs.retain(|leg| !is_stranger(leg));
        Some((first, count - self.legs.len()))
    }
}

/// `legs`: underlying, expiry, how many legs.
fn mismatch<'a>(
    legs: impl Iterator<Item = (&'a str, TradingDate, usize)>,
    requested: &ChainContext,
) -> Option<String> {
    let (mut asked, mut strangers, mut first) = (0, 0, None);
    for (symbol, expiry, count) in legs {
        if requested.contains(symbol, expiry) {
            asked += count;
        } else {
            strangers += count;
            first = first.or(Some((symbol, expiry)));
        }
    }
    let (symbol, expiry) = first.filter(|_| strangers >= asked)?;
    Some(instead_of(symbol, expiry, requested))
}

fn instead_of(symbol: &str, expiry: TradingDate, requested: &ChainContext) -> String {
    let found = ChainContext { symbol: symbol.to_owned(), expiry: requested.expiry.map(|_| expiry) };
    bounded(&format!("{:?} instead of {}", found.name(), requested.name()))
}

/// What a body is about, with no value of it decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeekedChain {
    pub timestamp: Timestamp,
    /// How many legs it has of each underlying and expiry; `None` where that cannot be told without decoding leg by leg.
    pub subjects: Option<BTreeMap<(String, TradingDate), usize>>,
    /// All that it lists of its underlying, without those that cannot be read; none where no leg tells the underlying.
    pub expiries: BTreeSet<TradingDate>,
}

impl PeekedChain {
    /// As [`Chain::mismatch`].
    pub fn mismatch(&self, requested: &ChainContext) -> Option<String> {
        let subjects = self.subjects.iter().flatten();
        mismatch(subjects.map(|((symbol, expiry), legs)| (symbol.as_str(), *expiry, *legs)), requested)
    }

    /// Whether it is a chain without a leg.
    pub fn is_empty(&self) -> bool {
        self.subjects.as_ref().is_some_and(BTreeMap::is_empty)
    }
}

/// What the body is about, with the body checked to be a whole chain's JSON.
///
/// # Errors
/// When the body as a whole is no option chain.
pub fn peek_chain(body: &[u8]) -> Result<PeekedChain, WireError> {
    #[derive(Deserialize)]
    struct LegNames<'a> {
        #[serde(borrow, default)]
        underlying: Option<Cow<'a, str>>,
        #[serde(rename = "expiryDate", default)]
        expiry: Option<DateField>,
    }
    #[derive(Deserialize)]
    struct RowNames<'a> {
        #[serde(rename = "expiryDate", alias = "expiryDates", default)]
        expiry: Option<DateField>,
        #[serde(rename = "CE", borrow, default)]
        call: Option<LegNames<'a>>,
        #[serde(rename = "PE", borrow, default)]
        put: Option<LegNames<'a>>,
    }
    #[derive(Deserialize)]
    struct Records<'a> {
        timestamp: InstantField,
        #[serde(rename = "expiryDates", borrow, default)]
        expiries: Option<&'a RawValue>,
        #[serde(borrow)]
        data: Vec<RowNames<'a>>,
    }
    #[derive(Deserialize)]
    struct Body<'a> {
        #[serde(borrow)]
        records: Records<'a>,
    }
    let records = match from_json::<Body<'_>>(WHAT, body) {
        Ok(Body { records }) => records,
        // A leg that cannot be read is told where the rest is decoded.
        Err(WireError::Json { .. }) => {
            let unknown = |timestamp| PeekedChain { timestamp, subjects: None, expiries: BTreeSet::new() };
            return peek_timestamp(body).map(unknown);
        }
        Err(error) => return Err(error),
    };
    let mut subjects = BTreeMap::new();
    for row in records.data {
        for leg in [row.call, row.put].into_iter().flatten() {
            let (Some(underlying), Some(expiry)) = (leg.underlying, leg.expiry.or(row.expiry)) else {
                continue;
            };
            *subjects.entry((underlying, expiry.0)).or_insert(0) += 1;
        }
    }
    let expiries = records.expiries.filter(|_| !subjects.is_empty()).map(readable_dates).unwrap_or_default();
    let subjects =
        subjects.into_iter().map(|((underlying, expiry), legs)| ((underlying.into_owned(), expiry), legs));
    Ok(PeekedChain { timestamp: records.timestamp.0, subjects: Some(subjects.collect()), expiries })
}

/// Those of a list of dates that can be read; what cannot is told where the rest is decoded.
fn readable_dates(list: &RawValue) -> BTreeSet<TradingDate> {
    let dates = serde_json::from_str::<Vec<&RawValue>>(list.get()).unwrap_or_default();
    let read = |date: &RawValue| serde_json::from_str::<DateField>(date.get()).ok();
    dates.into_iter().filter_map(read).map(|date| date.0).collect()
}

/// Decodes a body of either generation. A leg that cannot be read costs that leg.
///
/// # Errors
/// When the body as a whole is no option chain: no JSON, no time, no rows.
pub fn decode_chain(body: &[u8]) -> Result<Chain, WireError> {
    match from_json::<BodyFields<Legs>>(WHAT, body) {
        Ok(BodyFields { records }) => {
            let Legs { legs, level } = records.data;
            let underlying_value = level.judge(records.underlying_value);
            if underlying_value.is_err() {
                return decode_leg_by_leg(body);
            }
            Ok(Chain {
                timestamp: records.timestamp.0,
                underlying_value: underlying_value.ok().flatten(),
                expiries: records.expiries.unwrap_or_default().into_iter().map(|date| date.0).collect(),
                rowless_strikes: rowless(records.strikes, &legs),
                legs,
                malformed: Vec::new(),
            })
        }
        Err(WireError::Json { .. }) => decode_leg_by_leg(body),
        Err(error) => Err(error),
    }
}

/// The chain's own time, with the body checked to be a whole chain's JSON but no leg decoded.
pub fn peek_timestamp(body: &[u8]) -> Result<Timestamp, WireError> {
    #[derive(Deserialize)]
    struct Peeked {
        records: PeekedRecords,
    }
    #[derive(Deserialize)]
    struct PeekedRecords {
        timestamp: InstantField,
        #[serde(rename = "data")]
        _data: IgnoredAny,
    }
    from_json::<Peeked>(WHAT, body).map(|peeked| peeked.records.timestamp.0)
}

#[derive(Deserialize)]
struct BodyFields<Data> {
    records: RecordsFields<Data>,
}

#[derive(Deserialize)]
struct RecordsFields<Data> {
    timestamp: InstantField,
    #[serde(rename = "underlyingValue", default)]
    underlying_value: Option<RupeesField>,
    #[serde(rename = "expiryDates", default)]
    expiries: Option<Vec<DateField>>,
    #[serde(rename = "strikePrices", default)]
    strikes: Option<Vec<RupeesField>>,
    data: Data,
}

/// The rows of `data`, turned into legs while they are read.
struct Legs {
    legs: Vec<Leg>,
    level: LegsLevel,
}

/// The level that the legs of a body name: in every real body all that name one name the body's own.
#[derive(Clone, Copy, Debug, Default)]
struct LegsLevel {
    /// Of the first leg that names one.
    named: Option<Price>,
    same: usize,
    other: usize,
}

impl LegsLevel {
    fn take(&mut self, level: Option<RupeesField>) {
        let Some(level) = level.and_then(|rupees| not_zero(rupees.0)) else { return };
        if *self.named.get_or_insert(level) == level {
            self.same += 1;
        } else {
            self.other += 1;
        }
    }

    /// The level of a body.
    ///
    /// # Errors
    /// When its legs agree on another one.
    fn judge(&self, level: Option<RupeesField>) -> Result<Option<Price>, String> {
        let level = level.and_then(|rupees| not_zero(rupees.0));
        match (level, self.named) {
            (Some(level), Some(named)) if level != named && self.same > self.other => {
                Err(format!("{level} where {} of its legs have {named}", self.same))
            }
            _ => Ok(level),
        }
    }
}

#[derive(Deserialize)]
struct RowFields<'a> {
    /// `expiryDates` in v3, a single date despite the plural.
    #[serde(rename = "expiryDate", alias = "expiryDates", default)]
    expiry: Option<DateField>,
    #[serde(rename = "CE", borrow, default)]
    call: Option<LegFields<'a>>,
    #[serde(rename = "PE", borrow, default)]
    put: Option<LegFields<'a>>,
}

/// A side that the exchange does not list is absent, `{}`, or an object of zeros whose names are null.
#[derive(Deserialize)]
struct LegFields<'a> {
    #[serde(rename = "underlying", borrow, default)]
    underlying: Option<Cow<'a, str>>,
    #[serde(rename = "underlyingValue", default)]
    underlying_value: Option<RupeesField>,
    #[serde(rename = "expiryDate", default)]
    expiry: Option<DateField>,
    #[serde(rename = "strikePrice", default)]
    strike: Option<RupeesField>,
    /// `OPTIDXNIFTY23-06-2026CE25000.00`.
    #[serde(borrow, default)]
    identifier: Option<Cow<'a, str>>,
    #[serde(rename = "openInterest", default)]
    open_interest: Option<f64>,
    #[serde(rename = "changeinOpenInterest", default)]
    open_interest_change: Option<f64>,
    #[serde(rename = "totalTradedVolume", default)]
    volume: Option<f64>,
    #[serde(rename = "lastPrice", default)]
    last_price: Option<RupeesField>,
    #[serde(rename = "bidprice", alias = "buyPrice1", default)]
    bid: Option<RupeesField>,
    #[serde(rename = "askPrice", alias = "sellPrice1", default)]
    ask: Option<RupeesField>,
    /// Percent; the price's scale of 1/10,000 is the one wanted.
    #[serde(rename = "impliedVolatility", default)]
    implied_volatility: Option<RupeesField>,
}

fn not_zero(price: Price) -> Option<Price> {
    Some(price).filter(|price| *price != Price::ZERO)
}

/// The website writes 0 where there is no price.
fn told(field: Option<RupeesField>) -> Told<Price> {
    field.map_or(Told::NotTold, |rupees| Told::zero_is_nothing(rupees.0))
}

impl LegFields<'_> {
    fn is_unlisted(&self) -> bool {
        let quantities = [self.open_interest, self.open_interest_change, self.volume];
        let prices = [self.last_price, self.bid, self.ask, self.implied_volatility];
        self.underlying.is_none()
            && quantities.into_iter().all(|lots| lots.unwrap_or(0.0) == 0.0)
            && prices.into_iter().flatten().all(|price| price.0 == Price::ZERO)
    }

    /// `None` for a side that is not listed. `before` is an earlier leg, which mostly has the same underlying.
    ///
    /// # Errors
    /// What the leg lacks, or what contradicts its row.
    fn leg(
        self,
        row_expiry: Option<DateField>,
        option_type: OptionType,
        before: Option<&Leg>,
    ) -> Result<Option<Leg>, String> {
        if self.is_unlisted() {
            return Ok(None);
        }
        let lacks = |field: &str| format!("missing field `{field}`");
        let expiry = match (row_expiry, self.expiry) {
            (Some(row), Some(leg)) if row != leg => {
                return Err(format!("a leg expiring {} in a row expiring {}", leg.0, row.0));
            }
            (_, Some(expiry)) | (Some(expiry), None) => expiry.0,
            (None, None) => return Err(lacks("expiryDate")),
        };
        let underlying = self.underlying.ok_or_else(|| lacks("underlying"))?;
        let underlying = match before {
            Some(before) if *before.underlying == *underlying => Arc::clone(&before.underlying),
            _ if !is_symbol(&underlying) => return Err(format!("{underlying:?} is no symbol")),
            _ => Arc::from(&*underlying),
        };
        let strike = self.strike.ok_or_else(|| lacks("strikePrice"))?.0;
        if !is_strike(strike) {
            return Err(format!("a strike of {strike}"));
        }
        let own = Identifier { underlying: &underlying, expiry, option_type, strike };
        if let Some(identifier) = self.identifier.as_deref()
            && Identifier::parse(identifier).is_some_and(|named| named != own)
        {
            return Err(format!("a leg with the identifier \"{}\"", bounded(identifier)));
        }
        // All are there in every leg of every real body: without them it is not known what it says.
        let open_interest_lots = Some(self.open_interest.ok_or_else(|| lacks("openInterest"))?);
        let volume_lots = Some(self.volume.ok_or_else(|| lacks("totalTradedVolume"))?);
        if self.last_price.is_none() {
            return Err(lacks("lastPrice"));
        }
        Ok(Some(Leg {
            underlying,
            expiry,
            strike,
            option_type,
            open_interest_lots,
            open_interest_change_lots: self.open_interest_change,
            volume_lots,
            last_price: told(self.last_price),
            bid: told(self.bid),
            ask: told(self.ask),
            implied_volatility_e4: told(self.implied_volatility).map(Price::as_e4),
        }))
    }
}

/// No strike of NSE's has ever been a tenth of it.
const STRIKE_MAX: Price = Price::from_e4(100_000_000_000);
fn is_strike(strike: Price) -> bool {
    Price::ZERO < strike && strike <= STRIKE_MAX
}

/// NSE's longest symbols have ten characters.
const SYMBOL_BYTES_MAX: usize = 40;

/// Whether a text can be a symbol of the exchange: `NIFTY`, `M&M`, `BAJAJ-AUTO`.
fn is_symbol(text: &str) -> bool {
    !text.is_empty() && text.len() <= SYMBOL_BYTES_MAX && text.bytes().all(|byte| byte.is_ascii_graphic())
}

impl<'de> Deserialize<'de> for Legs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Legs, D::Error> {
        deserializer.deserialize_seq(LegsVisitor)
    }
}

struct LegsVisitor;

impl<'de> de::Visitor<'de> for LegsVisitor {
    type Value = Legs;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of rows")
    }

    fn visit_seq<A: de::SeqAccess<'de>>(self, mut rows: A) -> Result<Legs, A::Error> {
        let (mut legs, mut level): (Vec<Leg>, _) = (Vec::new(), LegsLevel::default());
        while let Some(row) = rows.next_element::<RowFields<'de>>()? {
            let sides = [(OptionType::Call, row.call), (OptionType::Put, row.put)];
            for (option_type, fields) in sides {
                let Some(fields) = fields else { continue };
                level.take(fields.underlying_value);
                let leg = fields.leg(row.expiry, option_type, legs.last());
                legs.extend(leg.map_err(de::Error::custom)?);
            }
        }
        Ok(Legs { legs, level })
    }
}

/// The same with every row and leg read on its own: several times slower, and only what cannot be read is lost.
fn decode_leg_by_leg(body: &[u8]) -> Result<Chain, WireError> {
    #[derive(Deserialize)]
    struct RawRecords<'a> {
        timestamp: InstantField,
        #[serde(rename = "underlyingValue", borrow, default)]
        underlying_value: Option<&'a RawValue>,
        #[serde(rename = "expiryDates", borrow, default)]
        expiries: Option<&'a RawValue>,
        #[serde(rename = "strikePrices", borrow, default)]
        strikes: Option<&'a RawValue>,
        #[serde(borrow)]
        data: Vec<&'a RawValue>,
    }
    #[derive(Deserialize)]
    struct RawBody<'a> {
        #[serde(borrow)]
        records: RawRecords<'a>,
    }
    #[derive(Deserialize)]
    struct RawRow<'a> {
        #[serde(rename = "expiryDate", alias = "expiryDates", default)]
        expiry: Option<DateField>,
        #[serde(rename = "CE", borrow, default)]
        call: Option<&'a RawValue>,
        #[serde(rename = "PE", borrow, default)]
        put: Option<&'a RawValue>,
    }
    let RawBody { records } = from_json(WHAT, body)?;
    let mut malformed = Vec::new();
    let error = |raw: &RawValue, name: &str, reason: &dyn fmt::Display| {
        located(body, raw, &format!("{name}: {reason}"))
    };
    let mut note = |raw: &RawValue, name: &str, reason: &dyn fmt::Display| {
        malformed.push(Unread { error: error(raw, name, reason), contract: None, is_leg: false });
    };
    let expiries = records.expiries.and_then(|raw| {
        let read = serde_json::from_str::<Option<Vec<DateField>>>(raw.get());
        read.inspect_err(|error| note(raw, "expiryDates", error)).ok().flatten()
    });
    let strikes = records.strikes.and_then(|raw| {
        let read = serde_json::from_str::<Option<Vec<RupeesField>>>(raw.get());
        read.inspect_err(|error| note(raw, "strikePrices", error)).ok().flatten()
    });
    let (mut legs, mut level): (Vec<Leg>, _) = (Vec::new(), LegsLevel::default());
    let names = |raw: &RawValue| Names::read(raw, is_symbol, is_strike);
    for (number, raw) in records.data.into_iter().enumerate() {
        let row = match serde_json::from_str::<RawRow<'_>>(raw.get()) {
            Ok(row) => row,
            Err(error) => {
                let error = located(body, raw, &format!("row {}: {error}", number + 1));
                malformed.push(Unread { error, contract: None, is_leg: true });
                continue;
            }
        };
        let row_names = raw;
        for (option_type, raw, other) in
            [(OptionType::Call, row.call, row.put), (OptionType::Put, row.put, row.call)]
        {
            let Some(raw) = raw else { continue };
            let leg = serde_json::from_str::<Option<LegFields<'_>>>(raw.get())
                .map_err(|error| error.to_string())
                .inspect(|fields| level.take(fields.as_ref().and_then(|of| of.underlying_value)))
                .and_then(|fields| fields.map_or(Ok(None), |f| f.leg(row.expiry, option_type, legs.last())));
            match leg {
                Ok(leg) => legs.extend(leg),
                Err(reason) => {
                    let row_names = names(row_names);
                    let named = names(raw).or(&row_names).or(&other.map(names).unwrap_or_default());
                    malformed.push(Unread {
                        error: error(raw, &format!("row {} {option_type}", number + 1), &reason),
                        contract: named.contract(option_type, &row_names),
                        is_leg: true,
                    });
                }
            }
        }
    }
    let underlying_value = records.underlying_value.and_then(|raw| {
        let read = serde_json::from_str::<Option<RupeesField>>(raw.get()).map_err(|error| error.to_string());
        let judged = read.and_then(|named| level.judge(named)).inspect_err(|reason| {
            let error = error(raw, "underlyingValue", reason);
            malformed.push(Unread { error, contract: None, is_leg: false });
        });
        judged.ok().flatten()
    });
    Ok(Chain {
        timestamp: records.timestamp.0,
        underlying_value,
        expiries: expiries.unwrap_or_default().into_iter().map(|date| date.0).collect(),
        rowless_strikes: rowless(strikes, &legs),
        legs,
        malformed,
    })
}

/// An error at the place of a value that was borrowed from `body`.
fn located(body: &[u8], raw: &RawValue, reason: &str) -> WireError {
    let offset = (raw.get().as_ptr() as usize).saturating_sub(body.as_ptr() as usize).min(body.len());
    let before = &body[..offset];
    let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
    let column = 1 + before.iter().rev().take_while(|byte| **byte != b'\n').count();
    // The place that serde adds is one within the value.
    let reason = reason.rsplit_once(" at line ").map_or(reason, |(reason, _)| reason);
    WireError::Json { what: WHAT, line, column, reason: bounded(reason) }
}

#[cfg(test)]
mod tests {
    use super::*;

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
            "option chain: line 2 column 9: row 1 CE: a leg expiring 2026-06-30 in a row expiring 2026-06-23";
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
            (
                "25050",
                "\"-\"",
                "invalid value: string \"-\", expected a number of rupees from 0 to 100 million",
            ),
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
        let asked =
            ChainContext { symbol: "NIFTY".to_owned(), expiry: TradingDate::from_ymd_opt(2026, 6, 23) };
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
}
