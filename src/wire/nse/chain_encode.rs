//! Writes option chains in both generations' shapes.

use super::{
    chain::{Chain, Leg},
    field::{Number, format_date, format_date_numeric, format_date_time},
};
use crate::market::{OptionType, Price, Told};
use serde::{Serialize, ser::SerializeMap};
use std::collections::BTreeSet;

/// Which generation's field names and date forms a body has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChainShape {
    /// `option-chain-v3`: meant for the legs of one expiry; `filtered.data` repeats `records.data`.
    V3,
    /// `option-chain-indices`, `option-chain-equities`; `filtered.data` repeats the nearest expiry's rows.
    Older,
}

/// Writes a body that decodes to `chain` again. A fraction of a second of the time is cut off.
///
/// Fields that [`Chain`] does not keep (quantities at the best prices, changes of price) are written as 0 or as what
/// follows from the others, so that the body has the website's field names and about its size.
pub fn encode_chain(chain: &Chain, shape: ChainShape) -> Vec<u8> {
    let rows = rows(&chain.legs);
    let rowless = chain.rowless_strikes.iter().copied();
    let strikes: BTreeSet<Price> = chain.legs.iter().map(|leg| leg.strike).chain(rowless).collect();
    let nearest = chain.legs.iter().map(|leg| leg.expiry).min();
    let view = |row| RowView { row, shape, underlying_value: chain.underlying_value };
    let filtered: Vec<Row<'_>> =
        rows.iter().filter(|row| Some(row.leg().expiry) == nearest).copied().collect();
    let body = Body {
        records: Records {
            data: rows.into_iter().map(view).collect(),
            timestamp: format_date_time(chain.timestamp),
            underlying_value: rupees(chain.underlying_value),
            expiries: chain.expiries.iter().map(|expiry| format_date(*expiry)).collect(),
            strikes: strikes.into_iter().map(|strike| StrikeView { strike, shape }).collect(),
        },
        filtered: Filtered {
            call: total(&filtered, |row| row.call),
            put: total(&filtered, |row| row.put),
            data: filtered.into_iter().map(view).collect(),
        },
    };
    serde_json::to_vec(&body).expect("string keys and finite numbers")
}

/// A call and a put of one expiry and strike, or one of them.
#[derive(Clone, Copy)]
struct Row<'a> {
    call: Option<&'a Leg>,
    put: Option<&'a Leg>,
}

impl<'a> Row<'a> {
    fn leg(&self) -> &'a Leg {
        self.call.or(self.put).expect("a row is made of a leg")
    }
}

/// A put joins the call just before it; every other leg opens a row. That keeps the order of the legs.
fn rows(legs: &[Leg]) -> Vec<Row<'_>> {
    let mut rows: Vec<Row<'_>> = Vec::with_capacity(legs.len() / 2 + 1);
    for leg in legs {
        match (leg.option_type, rows.last_mut()) {
            (OptionType::Call, _) => rows.push(Row { call: Some(leg), put: None }),
            (OptionType::Put, Some(row @ Row { put: None, .. }))
                if (row.leg().expiry, row.leg().strike) == (leg.expiry, leg.strike) =>
            {
                row.put = Some(leg);
            }
            (OptionType::Put, _) => rows.push(Row { call: None, put: Some(leg) }),
        }
    }
    rows
}

#[derive(Serialize)]
struct Body<'a> {
    records: Records<'a>,
    filtered: Filtered<'a>,
}

#[derive(Serialize)]
struct Records<'a> {
    #[serde(rename = "expiryDates")]
    expiries: Vec<String>,
    data: Vec<RowView<'a>>,
    timestamp: String,
    #[serde(rename = "underlyingValue")]
    underlying_value: Number,
    #[serde(rename = "strikePrices")]
    strikes: Vec<StrikeView>,
}

#[derive(Serialize)]
struct Filtered<'a> {
    data: Vec<RowView<'a>>,
    #[serde(rename = "CE")]
    call: Total,
    #[serde(rename = "PE")]
    put: Total,
}

#[derive(Serialize)]
struct Total {
    #[serde(rename = "totOI")]
    open_interest: Number,
    #[serde(rename = "totVol")]
    volume: Number,
}

fn total<'a>(rows: &[Row<'a>], side: impl Fn(&Row<'a>) -> Option<&'a Leg>) -> Total {
    let sum = |field: fn(&Leg) -> Option<f64>| Number(rows.iter().filter_map(&side).filter_map(field).sum());
    Total { open_interest: sum(|leg| leg.open_interest_lots), volume: sum(|leg| leg.volume_lots) }
}

fn rupees(price: Option<Price>) -> Number {
    Number(price.unwrap_or_default().as_rupees())
}

/// The website writes 0 where there is no price; a field that it leaves out is null here.
fn price_number(price: Told<Price>) -> Option<Number> {
    match price {
        Told::NotTold => None,
        Told::Nothing => Some(Number(0.0)),
        Told::Value(price) => Some(Number(price.as_rupees())),
    }
}

/// v3 writes the list of strikes as texts.
struct StrikeView {
    strike: Price,
    shape: ChainShape,
}

impl Serialize for StrikeView {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.shape {
            ChainShape::Older => Number(self.strike.as_rupees()).serialize(serializer),
            ChainShape::V3 => {
                let text = self.strike.to_string();
                serializer.serialize_str(text.strip_suffix(".00").unwrap_or(&text))
            }
        }
    }
}

struct RowView<'a> {
    row: Row<'a>,
    shape: ChainShape,
    underlying_value: Option<Price>,
}

impl Serialize for RowView<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let leg = self.row.leg();
        let expiry_key = if self.shape == ChainShape::V3 { "expiryDates" } else { "expiryDate" };
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("strikePrice", &Number(leg.strike.as_rupees()))?;
        map.serialize_entry(expiry_key, &format_date(leg.expiry))?;
        for leg in [self.row.call, self.row.put].into_iter().flatten() {
            let view = LegView { leg, shape: self.shape, underlying_value: self.underlying_value };
            map.serialize_entry(leg.option_type.name(), &view)?;
        }
        map.end()
    }
}

struct LegView<'a> {
    leg: &'a Leg,
    shape: ChainShape,
    underlying_value: Option<Price>,
}

impl Serialize for LegView<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let LegView { leg, shape, .. } = *self;
        let zero = Number(0.0);
        let numeric_expiry = format_date_numeric(leg.expiry);
        let strike = leg.strike.as_rupees();
        let kind = if crate::market::is_index_underlying(&leg.underlying) { "OPTIDX" } else { "OPTSTK" };
        let identifier =
            format!("{kind}{}{numeric_expiry}{}{strike:.2}", leg.underlying, leg.option_type.name());
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("strikePrice", &Number(strike))?;
        match shape {
            ChainShape::V3 => map.serialize_entry("expiryDate", &numeric_expiry)?,
            ChainShape::Older => map.serialize_entry("expiryDate", &format_date(leg.expiry))?,
        }
        map.serialize_entry("underlying", &*leg.underlying)?;
        map.serialize_entry("identifier", &identifier)?;
        map.serialize_entry("openInterest", &leg.open_interest_lots.map(Number))?;
        map.serialize_entry("changeinOpenInterest", &leg.open_interest_change_lots.map(Number))?;
        map.serialize_entry("pchangeinOpenInterest", &Number(percent_of_previous(leg)))?;
        map.serialize_entry("totalTradedVolume", &leg.volume_lots.map(Number))?;
        let volatility = leg.implied_volatility_e4.map(Price::from_e4);
        map.serialize_entry("impliedVolatility", &price_number(volatility))?;
        map.serialize_entry("lastPrice", &price_number(leg.last_price))?;
        map.serialize_entry("change", &zero)?;
        map.serialize_entry("pChange", &zero)?;
        map.serialize_entry("totalBuyQuantity", &zero)?;
        map.serialize_entry("totalSellQuantity", &zero)?;
        let names = match shape {
            ChainShape::V3 => ["buyQuantity1", "buyPrice1", "sellQuantity1", "sellPrice1"],
            ChainShape::Older => ["bidQty", "bidprice", "askQty", "askPrice"],
        };
        map.serialize_entry(names[0], &zero)?;
        map.serialize_entry(names[1], &price_number(leg.bid))?;
        map.serialize_entry(names[2], &zero)?;
        map.serialize_entry(names[3], &price_number(leg.ask))?;
        map.serialize_entry("underlyingValue", &rupees(self.underlying_value))?;
        if shape == ChainShape::V3 {
            map.serialize_entry("optionType", &None::<&str>)?;
        }
        map.end()
    }
}

/// The change in percent of yesterday's open interest; 0 where there was none.
fn percent_of_previous(leg: &Leg) -> f64 {
    let (Some(open_interest), Some(change)) = (leg.open_interest_lots, leg.open_interest_change_lots) else {
        return 0.0;
    };
    let percent = change / (open_interest - change) * 100.0;
    if percent.is_finite() { percent } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        market::Timestamp,
        wire::nse::{decode_chain, lots_from_units, peek_timestamp},
    };
    use chrono::NaiveDate;
    use proptest::prelude::*;
    use std::sync::Arc;

    fn price(max_e4: i64) -> impl Strategy<Value = Told<Price>> {
        prop_oneof![
            1 => Just(Told::Nothing),
            2 => (1..max_e4).prop_map(|price_e4| Told::Value(Price::from_e4(price_e4))),
        ]
    }

    /// Lots in eighths: exact in binary, so that they come back bit for bit.
    fn lots() -> impl Strategy<Value = f64> {
        (0_i64..8_000_000_000).prop_map(|eighths| eighths as f64 / 8.0)
    }

    fn leg(underlying: &'static str) -> impl Strategy<Value = Leg> {
        let terms = (0_u64..5, 0_i64..20, any::<bool>());
        let quantities = (lots(), proptest::option::of(lots()), lots());
        let prices = (price(1_000_000_000), price(1_000_000_000), price(1_000_000_000), price(100_000_000));
        (terms, quantities, prices).prop_map(
            move |((week, step, call), (open_interest, change, volume), (last, bid, ask, volatility))| Leg {
                underlying: Arc::from(underlying),
                expiry: NaiveDate::from_ymd_opt(2026, 1, 6).expect("a date") + chrono::Days::new(7 * week),
                strike: Price::from_e4(200_000_000 + step * 250_500),
                option_type: if call { OptionType::Call } else { OptionType::Put },
                open_interest_lots: Some(open_interest),
                open_interest_change_lots: change.map(|change| -change),
                volume_lots: Some(volume),
                last_price: last,
                bid,
                ask,
                implied_volatility_e4: volatility.map(Price::as_e4),
            },
        )
    }

    proptest! {
        #[test]
        fn decoding_what_was_encoded_is_the_identity(
            legs in proptest::collection::vec(leg("M&M"), 0..40),
            seconds in 0_i64..3_000_000_000,
            underlying_value in price(10_000_000_000).prop_map(Told::value),
            days in proptest::collection::vec(0_u64..20_000, 0..20),
        ) {
            let chain = Chain {
                timestamp: Timestamp::from_us(seconds * 1_000_000),
                underlying_value,
                expiries: days.into_iter().map(|day| NaiveDate::default() + chrono::Days::new(day)).collect(),
                legs,
                rowless_strikes: Vec::new(), malformed: Vec::new(),
            };
            for shape in [ChainShape::V3, ChainShape::Older] {
                let body = encode_chain(&chain, shape);
                prop_assert_eq!(peek_timestamp(&body), Ok(chain.timestamp));
                prop_assert_eq!(decode_chain(&body), Ok(chain.clone()));
            }
        }

        #[test]
        fn units_come_back_through_a_body(units in 0_i64..1_000_000_000_000, change in 1_i64..1_000_000_000,
                                          lot_size in 1_u32..20_000, mut leg in leg("NIFTY")) {
            leg.open_interest_lots = Some(lots_from_units(units, lot_size));
            leg.open_interest_change_lots = Some(lots_from_units(change, lot_size));
            leg.volume_lots = Some(lots_from_units(units / 2, lot_size));
            let timestamp = Timestamp::from_us(1_769_744_700_000_000);
            let chain = Chain { timestamp, underlying_value: None, expiries: Vec::new(), legs: vec![leg], rowless_strikes: Vec::new(), malformed: Vec::new() };
            let chain = decode_chain(&encode_chain(&chain, ChainShape::V3)).expect("a chain");
            let quote = chain.legs[0].quote(lot_size, timestamp).expect("whole units");
            prop_assert_eq!(quote.open_interest, Some(units));
            prop_assert_eq!(quote.volume, Some(units / 2));
            prop_assert_eq!(quote.previous_open_interest, Some(units - change).filter(|previous| *previous >= 0));
        }
    }
}
