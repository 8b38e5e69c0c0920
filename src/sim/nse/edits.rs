//! Changes to encoded chains that [`Chain`](crate::wire::nse::Chain) has no fields for: sides that are not listed, and
//! faults. Recorded bodies are changed in the same way.

use super::super::{market::SimMarket, names::ContractName};
use crate::{
    market::{Contract, Exchange, OptionType, Price, TradingDate},
    wire::nse::parse_expiry,
};
use serde_json::{Map, Value, json};
use std::{collections::BTreeSet, fmt, str::FromStr};

/// How v3 writes the side of a strike that the exchange does not list. The older shape leaves it out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UnlistedSide {
    #[default]
    Absent,
    /// `{}`.
    Empty,
    /// Zeros, with null for the names.
    Zeros,
}

/// A text that is no [`UnlistedSide`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a form of unlisted sides; write absent, empty or zeros")]
pub struct UnlistedSideError {
    text: String,
}

impl FromStr for UnlistedSide {
    type Err = UnlistedSideError;

    fn from_str(text: &str) -> Result<UnlistedSide, UnlistedSideError> {
        match text {
            "absent" => Ok(UnlistedSide::Absent),
            "empty" => Ok(UnlistedSide::Empty),
            "zeros" => Ok(UnlistedSide::Zeros),
            _ => Err(UnlistedSideError { text: text.to_owned() }),
        }
    }
}

impl fmt::Display for UnlistedSide {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            UnlistedSide::Absent => "absent",
            UnlistedSide::Empty => "empty",
            UnlistedSide::Zeros => "zeros",
        })
    }
}

/// The rows of `records` and `filtered`.
fn each_row(body: &mut Value, mut edit: impl FnMut(&mut Map<String, Value>)) {
    for part in ["records", "filtered"] {
        let rows = body.get_mut(part).and_then(|part| part.get_mut("data")).and_then(Value::as_array_mut);
        rows.into_iter().flatten().filter_map(Value::as_object_mut).for_each(&mut edit);
    }
}

/// A row's strike and expiry, in either generation's shape.
fn terms_of(row: &Map<String, Value>) -> Option<(Price, TradingDate)> {
    let expiry = row.get("expiryDates").or_else(|| row.get("expiryDate"))?.as_str()?;
    let strike = row.get("strikePrice")?.to_string().trim_matches('"').parse().ok()?;
    Some((strike, parse_expiry(expiry)?))
}

/// The option on one side of a row. Recorded bodies name no underlying where a row has no leg.
fn option_of(row: &Map<String, Value>, option_type: OptionType) -> Option<Contract> {
    let (strike, expiry) = terms_of(row)?;
    let underlying_of = |side: &OptionType| row.get(side.name())?.get("underlying")?.as_str();
    let underlying = OptionType::BOTH.iter().find_map(underlying_of)?;
    Some(Contract::option(Exchange::Nse, underlying, expiry, strike, option_type))
}

/// Writes the sides that a market does not list. A side that it lists but has not observed stays absent.
pub(super) fn write_unlisted_sides(body: Vec<u8>, side: UnlistedSide, market: &SimMarket) -> Vec<u8> {
    let form = match side {
        UnlistedSide::Absent => return body,
        UnlistedSide::Empty => json!({}),
        UnlistedSide::Zeros => json!({
            "strikePrice": 0, "expiryDate": null, "underlying": null, "identifier": null, "openInterest": 0,
            "changeinOpenInterest": 0, "pchangeinOpenInterest": 0, "totalTradedVolume": 0, "impliedVolatility": 0,
            "lastPrice": 0, "change": 0, "pChange": 0, "totalBuyQuantity": 0, "totalSellQuantity": 0,
            "buyQuantity1": 0, "buyPrice1": 0, "sellQuantity1": 0, "sellPrice1": 0, "underlyingValue": 0,
            "optionType": null,
        }),
    };
    edit(body, |body| {
        each_row(body, |row| {
            for option_type in OptionType::BOTH {
                let is_unlisted = !row.contains_key(option_type.name())
                    && option_of(row, option_type).is_some_and(|option| market.slot_of(&option).is_none());
                if is_unlisted {
                    row.insert(option_type.name().to_owned(), form.clone());
                }
            }
        });
    })
}

/// The chain without its rows.
pub(super) fn empty(body: Vec<u8>) -> Vec<u8> {
    edit(body, |body| {
        for part in ["records", "filtered"] {
            if let Some(data) = body.get_mut(part).and_then(|part| part.get_mut("data")) {
                *data = json!([]);
            }
        }
    })
}

/// The chain without some contracts, and with a text for the open interest of others.
pub(super) fn spoil(
    body: Vec<u8>,
    omit: &BTreeSet<ContractName>,
    bad_leg: &BTreeSet<ContractName>,
) -> Vec<u8> {
    edit(body, |body| {
        each_row(body, |row| {
            for option_type in OptionType::BOTH {
                let Some(option) = option_of(row, option_type).map(ContractName) else { continue };
                if omit.contains(&option) {
                    row.remove(option_type.name());
                }
                if let Some(leg) = row.get_mut(option_type.name()).filter(|_| bad_leg.contains(&option)) {
                    leg["openInterest"] = json!("-");
                }
            }
        });
        for part in ["records", "filtered"] {
            let rows = body.get_mut(part).and_then(|part| part.get_mut("data")).and_then(Value::as_array_mut);
            if let Some(rows) = rows {
                rows.retain(|row| OptionType::BOTH.iter().any(|side| row.get(side.name()).is_some()));
            }
        }
    })
}

fn edit(body: Vec<u8>, change: impl FnOnce(&mut Value)) -> Vec<u8> {
    let Ok(mut value) = serde_json::from_slice(&body) else {
        return body;
    };
    change(&mut value);
    serde_json::to_vec(&value).unwrap_or(body)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        market::{InstrumentKind, Timestamp, Told},
        sim::{Irregularities, LotOverrides, SyntheticMarket},
        wire::nse::{Chain, ChainShape, Leg, decode_chain, encode_chain},
    };

    fn one_sided() -> SimMarket {
        let some = Irregularities { seed: 3, one_sided_percent: 30, ..Irregularities::default() };
        let parameters = SyntheticMarket {
            duration_s: 1,
            strikes: 20,
            underlyings: SyntheticMarket::name_underlyings(&["NIFTY"], SyntheticMarket::default().date),
            ..SyntheticMarket::default()
        };
        parameters.generate_with(&LotOverrides::new(), &some)
    }

    fn chain_of(market: &SimMarket) -> Chain {
        let leg = |contract: &Contract| match contract.kind {
            InstrumentKind::Option { expiry, strike, option_type } => Some(Leg {
                underlying: contract.underlying.clone(),
                expiry,
                strike,
                option_type,
                open_interest_lots: Some(46.0 / 3.0),
                open_interest_change_lots: Some(1.0),
                volume_lots: Some(2.0),
                last_price: Told::Value(Price::from_e4(1_500)),
                bid: Told::Nothing,
                ask: Told::Nothing,
                implied_volatility_e4: Told::Nothing,
            }),
            _ => None,
        };
        Chain {
            timestamp: Timestamp::from_us(1_769_744_700_000_000),
            underlying_value: None,
            expiries: vec!["2026-02-03".parse().expect("a date")],
            legs: market.contracts().iter().filter_map(|listed| leg(&listed.contract)).collect(),
            rowless_strikes: Vec::new(),
            malformed: Vec::new(),
        }
    }

    #[test]
    fn unlisted_sides_are_written_in_each_form_and_read_as_nothing() {
        let market = one_sided();
        let chain = chain_of(&market);
        let body = encode_chain(&chain, ChainShape::V3);
        let written = |side| write_unlisted_sides(body.clone(), side, &market);
        assert_eq!(written(UnlistedSide::Absent), body);
        for (side, part) in
            [(UnlistedSide::Empty, r#""CE":{}"#), (UnlistedSide::Zeros, r#""identifier":null"#)]
        {
            let body = written(side);
            assert!(String::from_utf8_lossy(&body).contains(part), "{side}");
            assert_eq!(decode_chain(&body), Ok(chain.clone()), "{side}");
            let value: Value = serde_json::from_slice(&body).expect("JSON");
            let rows = value["records"]["data"].as_array().expect("rows");
            assert_eq!(rows.len(), 20);
            assert!(rows.iter().all(|row| row["CE"].is_object() && row["PE"].is_object()), "{side}");
        }
        for side in [UnlistedSide::Absent, UnlistedSide::Empty, UnlistedSide::Zeros] {
            assert_eq!(side.to_string().parse(), Ok(side));
        }
        "none".parse::<UnlistedSide>().expect_err("no form");
    }

    #[test]
    fn faults_leave_out_and_spoil_what_they_name() {
        let parameters = SyntheticMarket {
            underlyings: SyntheticMarket::name_underlyings(&["NIFTY"], SyntheticMarket::default().date),
            duration_s: 1,
            strikes: 4,
            ..SyntheticMarket::default()
        };
        let chain = chain_of(&parameters.generate());
        let names = |positions: &[usize]| -> BTreeSet<ContractName> {
            positions.iter().map(|position| ContractName(chain.legs[*position].contract())).collect()
        };
        for shape in [ChainShape::V3, ChainShape::Older] {
            // A row, a side, and a leg.
            let body = spoil(encode_chain(&chain, shape), &names(&[0, 1, 3]), &names(&[4]));
            let read = decode_chain(&body).expect("a chain");
            let kept: Vec<Leg> =
                [2, 5, 6, 7].into_iter().map(|position: usize| chain.legs[position].clone()).collect();
            assert_eq!(read.legs, kept);
            assert_eq!(read.malformed.len(), 1, "{:?}", read.malformed);
            let value: Value = serde_json::from_slice(&body).expect("JSON");
            assert_eq!(value["records"]["data"].as_array().map(Vec::len), Some(3));
            assert_eq!(value["filtered"]["data"], value["records"]["data"]);
            let read = decode_chain(&empty(body)).expect("a chain");
            assert_eq!((read.legs.len(), read.timestamp), (0, chain.timestamp));
            assert_eq!(read.expiries, chain.expiries);
        }
        assert_eq!(spoil(b"no JSON".to_vec(), &names(&[0]), &names(&[])), b"no JSON");
    }
}
