//! Decodes option chains: `option-chain-v3` (one expiry) and `option-chain-indices` / `option-chain-equities` (all).
//!
//! The shape is told from the field names, not from the request. Source: bodies recorded on 15, 16 and 22 Oct 2025
//! (older shape) and 19 Jun 2026 (v3).

use super::{
    WireError,
    chain::{Chain, Leg, WHAT},
    error::{bounded, from_json},
    field::{DateField, InstantField, RupeesField},
    identifier::Identifier,
    unread::{Names, Unread},
};
use crate::market::{OptionType, Price, Told};
use serde::{Deserialize, Deserializer, de};
use serde_json::value::RawValue;
use std::{borrow::Cow, collections::BTreeSet, fmt, sync::Arc};

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

/// Of the strikes that a body lists, those without a contract in it.
fn rowless(listed: Option<Vec<RupeesField>>, legs: &[Leg]) -> Vec<Price> {
    let shown: BTreeSet<Price> = legs.iter().map(|leg| leg.strike).collect();
    let listed = listed.unwrap_or_default().into_iter().map(|strike| strike.0);
    listed.filter(|strike| !shown.contains(strike)).collect()
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

/// The website writes 0 where there is no price, or none at all: a body is the whole state of a leg, so that nothing holds from
/// the one before.
fn told(field: Option<RupeesField>) -> Told<Price> {
    field.map_or(Told::Nothing, |rupees| Told::zero_is_nothing(rupees.0))
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
