//! `marketData/v1/optionGreek`: greeks and implied volatility of one expiry. Every number is a string on the wire.

use super::{
    WireError,
    decimal::{self, as_e6},
    envelope,
    envelope::RefusalClass,
    expiry, json,
};
use crate::market::{OptionType, Price};
use chrono::NaiveDate;
use serde::{Deserialize, Serialize};

const WHAT: &str = "greeks answer";
const BODY_MAX_BYTES: usize = 8 << 20;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GreekRequest {
    /// The underlying.
    pub name: String,
    #[serde(rename = "expirydate", with = "expiry::as_text")]
    pub expiry: NaiveDate,
}

impl GreekRequest {
    pub fn encode(&self) -> Vec<u8> {
        json::encode(self)
    }

    pub fn decode(body: &[u8]) -> Result<GreekRequest, WireError> {
        json::decode("greeks request", body, BODY_MAX_BYTES)
    }
}

/// One option. The real numbers are millionths, the wire's own precision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GreekRow {
    /// The underlying.
    pub name: String,
    #[serde(with = "expiry::as_text")]
    pub expiry: NaiveDate,
    #[serde(rename = "strikePrice", with = "as_strike")]
    pub strike: Price,
    #[serde(with = "as_option_type")]
    pub option_type: OptionType,
    #[serde(rename = "delta", with = "as_e6")]
    pub delta_e6: i64,
    #[serde(rename = "gamma", with = "as_e6")]
    pub gamma_e6: i64,
    #[serde(rename = "theta", with = "as_e6")]
    pub theta_e6: i64,
    #[serde(rename = "vega", with = "as_e6")]
    pub vega_e6: i64,
    /// Annual percent.
    #[serde(rename = "impliedVolatility", with = "as_e6")]
    pub implied_volatility_e6: i64,
    /// Units, in millionths.
    #[serde(rename = "tradeVolume", with = "as_e6")]
    pub trade_volume_e6: i64,
}

impl GreekRow {
    /// In the unit of [`crate::market::Quote`]: annual percent times 10,000.
    pub const fn implied_volatility_e4(&self) -> i64 {
        self.implied_volatility_e6 / 100
    }
}

mod as_strike {
    use super::{Price, decimal};
    use serde::{Deserialize, Deserializer, Serializer, de::Error};
    use std::borrow::Cow;

    pub fn serialize<S: Serializer>(strike: &Price, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&decimal::write_e6(strike.as_e4().saturating_mul(100)))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Price, D::Error> {
        let text = Cow::<str>::deserialize(deserializer)?;
        let rupees_e6 = decimal::parse_e6(&text).filter(|rupees_e6| rupees_e6 % 100 == 0 && *rupees_e6 >= 0);
        rupees_e6
            .map(|rupees_e6| Price::from_e4(rupees_e6 / 100))
            .ok_or_else(|| D::Error::custom(format_args!("{text:?} is not a strike")))
    }
}

mod as_option_type {
    use super::OptionType;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};
    use std::borrow::Cow;

    pub fn serialize<S: Serializer>(option_type: &OptionType, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(option_type.name())
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<OptionType, D::Error> {
        Cow::<str>::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

/// The rows of an answer. No data (AB9019 or `null`) is no rows; other refusals are [`WireError::Refused`].
pub fn decode_greeks(body: &[u8]) -> Result<Vec<GreekRow>, WireError> {
    match envelope::decode::<Option<Vec<GreekRow>>>(WHAT, body, BODY_MAX_BYTES) {
        Ok(rows) => Ok(rows.unwrap_or_default()),
        Err(WireError::Refused(refusal)) if refusal.class() == RefusalClass::NoData => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

pub fn encode_greeks(rows: &[GreekRow]) -> Vec<u8> {
    envelope::encode(&rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{test_data, wire::angel_one::Refusal};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn answers_read_what_they_write(
            name in "[A-Z&]{1,12}",
            days in 0..20_000_u64,
            strike_e4 in 0..1_000_000_000_000_i64,
            is_call in any::<bool>(),
            values in proptest::array::uniform6(-1_000_000_000_000_i64..1_000_000_000_000),
        ) {
            let epoch = NaiveDate::from_ymd_opt(2000, 1, 1).expect("a date");
            let row = GreekRow {
                name: name.clone(),
                expiry: epoch + chrono::Days::new(days),
                strike: Price::from_e4(strike_e4),
                option_type: if is_call { OptionType::Call } else { OptionType::Put },
                delta_e6: values[0],
                gamma_e6: values[1],
                theta_e6: values[2],
                vega_e6: values[3],
                implied_volatility_e6: values[4],
                trade_volume_e6: values[5],
            };
            let request = GreekRequest { name, expiry: row.expiry };
            prop_assert_eq!(GreekRequest::decode(&request.encode()), Ok(request));
            prop_assert_eq!(decode_greeks(&encode_greeks(std::slice::from_ref(&row))), Ok(vec![row]));
        }
    }

    #[test]
    fn no_data_is_no_rows() {
        let empty = Refusal::service("AB9019", "No Data Available").encode();
        assert_eq!(decode_greeks(&empty), Ok(vec![]));
        let refused = Refusal::service("AG8001", "Invalid Token").encode();
        assert!(matches!(decode_greeks(&refused), Err(WireError::Refused(_))));
    }

    #[test]
    fn the_documented_example_decodes() {
        let Some(path) = test_data::find("rest/angel_docs_examples/optionGreek_docs_example.json") else {
            return;
        };
        let body = std::fs::read(&path).expect("a readable file");
        let rows = decode_greeks(&body).expect("the documentation's answer");
        assert_eq!(rows.len(), 2);
        assert_eq!(rows[0].strike, Price::from_e4(39_000_000));
        assert_eq!(rows[0].delta_e6, 492_400);
        assert_eq!(rows[0].implied_volatility_e4(), 163_300);
    }
}
