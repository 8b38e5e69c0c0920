//! Decodes option chains: `option-chain-v3` (one expiry) and `option-chain-indices` / `option-chain-equities` (all).
//!
//! The shape is told from the field names, not from the request. Source: bodies recorded on 15, 16 and 22 Oct 2025
//! (older shape) and 19 Jun 2026 (v3).

use super::{
    WireError,
    error::from_json,
    field::{DateField, InstantField, RupeesField},
    units::{UnitsError, units_from_lots},
};
use crate::market::{Contract, Exchange, OptionType, Price, Quote, Timestamp, TradingDate};
use serde::{
    Deserialize, Deserializer,
    de::{self, IgnoredAny},
};
use std::{borrow::Cow, fmt, sync::Arc};

const WHAT: &str = "option chain";

/// One body: a moment of the chain of one underlying.
#[derive(Clone, Debug, PartialEq)]
pub struct Chain {
    /// The exchange's own time, whole seconds. A body served on a holiday carries the last session's.
    pub timestamp: Timestamp,
    /// The index level or share price; `None` where the body says 0 or nothing.
    pub underlying_value: Option<Price>,
    /// All listed expiries, also in a body that carries the legs of only one.
    pub expiries: Vec<TradingDate>,
    /// In the body's order, the call of a row before its put.
    pub legs: Vec<Leg>,
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
    /// 0 until the first trade.
    pub last_price: Option<Price>,
    /// Best bid and ask; the wire's 0 means none.
    pub bid: Option<Price>,
    pub ask: Option<Price>,
    /// Annual percent times 10,000; the wire's 0 means none.
    pub implied_volatility_e4: Option<i64>,
}

impl Leg {
    pub fn contract(&self) -> Contract {
        Contract {
            underlying: Arc::clone(&self.underlying),
            ..Contract::option(Exchange::Nse, "", self.expiry, self.strike, self.option_type)
        }
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

/// Decodes a body of either generation.
pub fn decode_chain(body: &[u8]) -> Result<Chain, WireError> {
    let BodyFields { records } = from_json(WHAT, body)?;
    Ok(Chain {
        timestamp: records.timestamp.0,
        underlying_value: price_or_none(records.underlying_value),
        expiries: records.expiries.unwrap_or_default().into_iter().map(|date| date.0).collect(),
        legs: records.data.0,
    })
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
struct BodyFields {
    records: RecordsFields,
}

#[derive(Deserialize)]
struct RecordsFields {
    timestamp: InstantField,
    #[serde(rename = "underlyingValue", default)]
    underlying_value: Option<RupeesField>,
    #[serde(rename = "expiryDates", default)]
    expiries: Option<Vec<DateField>>,
    data: Legs,
}

/// The rows of `data`, turned into legs while they are read, so that an error names its row's place.
struct Legs(Vec<Leg>);

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

#[derive(Deserialize)]
struct LegFields<'a> {
    #[serde(rename = "underlying", borrow)]
    underlying: Cow<'a, str>,
    #[serde(rename = "expiryDate", default)]
    expiry: Option<DateField>,
    #[serde(rename = "strikePrice")]
    strike: RupeesField,
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

fn price_or_none(field: Option<RupeesField>) -> Option<Price> {
    field.map(|rupees| rupees.0).filter(|price| *price != Price::ZERO)
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
        let mut legs: Vec<Leg> = Vec::new();
        while let Some(row) = rows.next_element::<RowFields<'de>>()? {
            let sides = [(OptionType::Call, row.call), (OptionType::Put, row.put)];
            for (option_type, fields) in sides {
                let Some(fields) = fields else { continue };
                let expiry = match (row.expiry, fields.expiry) {
                    (Some(row), Some(leg)) if row != leg => {
                        return Err(de::Error::custom(format_args!(
                            "a leg expiring {} in a row expiring {}",
                            leg.0, row.0
                        )));
                    }
                    (_, Some(expiry)) | (Some(expiry), None) => expiry.0,
                    (None, None) => return Err(de::Error::missing_field("expiryDate")),
                };
                let underlying = match legs.last() {
                    Some(last) if *last.underlying == *fields.underlying => Arc::clone(&last.underlying),
                    _ => Arc::from(&*fields.underlying),
                };
                legs.push(Leg {
                    underlying,
                    expiry,
                    strike: fields.strike.0,
                    option_type,
                    open_interest_lots: fields.open_interest,
                    open_interest_change_lots: fields.open_interest_change,
                    volume_lots: fields.volume,
                    last_price: fields.last_price.map(|price| price.0),
                    bid: price_or_none(fields.bid),
                    ask: price_or_none(fields.ask),
                    implied_volatility_e4: price_or_none(fields.implied_volatility).map(Price::as_e4),
                });
            }
        }
        Ok(Legs(legs))
    }
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
        let leg = &chain.legs[0];
        assert_eq!(leg.contract().to_string(), "NIFTY 2026-06-23 21800 CE");
        let quote = leg.quote(75, chain.timestamp).expect("whole units");
        let expected = Quote {
            event_time: chain.timestamp,
            last_price: Some(Price::ZERO),
            open_interest: Some(1_150),
            volume: Some(600),
            bid: Some(Price::from_e4(21_924_500)),
            ask: None,
            implied_volatility_e4: Some(333_200),
            previous_open_interest: Some(1_300),
        };
        assert_eq!(quote, expected);
        assert_eq!(peek_timestamp(V3.as_bytes()), Ok(chain.timestamp));
        assert!(matches!(leg.quote(65, chain.timestamp), Err(UnitsError::NotWhole { .. })));
    }

    #[test]
    fn errors_name_their_place() {
        let wrong = V3.replace("23-06-2026", "30-06-2026");
        let error = decode_chain(wrong.as_bytes()).expect_err("two expiries in one row").to_string();
        assert!(error.starts_with("option chain: line 4 column "), "{error}");
        assert!(error.contains("a leg expiring 2026-06-30 in a row expiring 2026-06-23"), "{error}");
        let error = decode_chain(V3.replace("15:30:00", "25:30:00").as_bytes()).expect_err("no such hour");
        assert!(error.to_string().contains("expected a time like 19-Jun-2026 15:30:00"), "{error}");
        let error = decode_chain(&V3.as_bytes()[..400]).expect_err("cut off").to_string();
        assert!(error.contains("EOF"), "{error}");
        assert!(decode_chain(br#"{"records":{"data":[]}}"#).is_err());
        assert!(peek_timestamp(&V3.as_bytes()[..V3.len() - 1]).is_err());
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
