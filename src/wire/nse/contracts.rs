//! `option-chain-contract-info`: which expiries and strikes an underlying has.

use super::{
    WireError,
    error::from_json,
    field::{DateField, RupeesField, format_date},
};
use crate::market::{Price, TradingDate};
use serde::{Deserialize, Serialize};

/// The answer for one underlying, in the body's order (nearest expiry and lowest strike first, as observed).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ContractInfo {
    pub expiries: Vec<TradingDate>,
    pub strikes: Vec<Price>,
}

/// Decodes a body. A body without expiries is an error: the website answers so for symbols it does not know.
pub fn decode_contracts(body: &[u8]) -> Result<ContractInfo, WireError> {
    const WHAT: &str = "option chain contract info";
    #[derive(Deserialize)]
    struct Body {
        #[serde(rename = "expiryDates")]
        expiries: Vec<DateField>,
        /// Texts on the wire.
        #[serde(rename = "strikePrice", default)]
        strikes: Vec<RupeesField>,
    }
    let Body { expiries, strikes } = from_json(WHAT, body)?;
    if expiries.is_empty() {
        return Err(WireError::Empty { what: WHAT, bytes: body.len() });
    }
    Ok(ContractInfo {
        expiries: expiries.into_iter().map(|date| date.0).collect(),
        strikes: strikes.into_iter().map(|strike| strike.0).collect(),
    })
}

/// Writes a body that decodes to `info` again, unless `info` has no expiry.
pub fn encode_contracts(info: &ContractInfo) -> Vec<u8> {
    #[derive(Serialize)]
    struct Body {
        #[serde(rename = "expiryDates")]
        expiries: Vec<String>,
        #[serde(rename = "strikePrice")]
        strikes: Vec<String>,
    }
    let strike_text = |strike: &Price| {
        let text = strike.to_string();
        text.strip_suffix(".00").map_or_else(|| text.clone(), str::to_owned)
    };
    let body = Body {
        expiries: info.expiries.iter().map(|expiry| format_date(*expiry)).collect(),
        strikes: info.strikes.iter().map(strike_text).collect(),
    };
    serde_json::to_vec(&body).expect("texts only")
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::NaiveDate;
    use proptest::prelude::*;

    #[test]
    fn reads_strikes_as_texts_and_refuses_an_answer_without_expiries() {
        let body = br#"{"expiryDates":["15-Sep-2026","24-Jun-2031"],"strikePrice":["22650","22650.50"]}"#;
        let info = decode_contracts(body).expect("an answer");
        assert_eq!(info.expiries[1], NaiveDate::from_ymd_opt(2031, 6, 24).expect("a date"));
        assert_eq!(info.strikes, [Price::from_e4(226_500_000), Price::from_e4(226_505_000)]);
        assert!(matches!(decode_contracts(br#"{"expiryDates":[]}"#), Err(WireError::Empty { .. })));
        let error = decode_contracts(br#"{"expiryDates":["soon"]}"#).expect_err("soon is no date");
        assert!(error.to_string().contains("line 1 column 22"), "{error}");
    }

    proptest! {
        #[test]
        fn decoding_what_was_encoded_is_the_identity(
            days in proptest::collection::vec(0_u64..30_000, 1..20),
            strikes_e4 in proptest::collection::vec(0_i64..10_000_000_000, 0..50),
        ) {
            let info = ContractInfo {
                expiries: days.iter().map(|day| NaiveDate::default() + chrono::Days::new(*day)).collect(),
                strikes: strikes_e4.into_iter().map(Price::from_e4).collect(),
            };
            prop_assert_eq!(decode_contracts(&encode_contracts(&info)), Ok(info));
        }
    }
}
