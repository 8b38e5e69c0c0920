//! Decimal numbers in strings, as the instrument master and the option greeks carry them.

use crate::market::Price;

/// A number with up to six decimals, times a million: `0.492400` is 492,400. `None` if it is anything else.
pub(super) fn parse_e6(text: &str) -> Option<i64> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if whole.is_empty() || whole.len() > 12 || fraction.len() > 6 {
        return None;
    }
    let mut value_e6: i64 = 0;
    for byte in whole.bytes().chain(fraction.bytes()) {
        if !byte.is_ascii_digit() {
            return None;
        }
        value_e6 = value_e6 * 10 + i64::from(byte - b'0');
    }
    for _ in fraction.len()..6 {
        value_e6 *= 10;
    }
    Some(if negative { -value_e6 } else { value_e6 })
}

pub(super) fn write_e6(value_e6: i64) -> String {
    let sign = if value_e6 < 0 { "-" } else { "" };
    let (whole, fraction) = (value_e6.unsigned_abs() / 1_000_000, value_e6.unsigned_abs() % 1_000_000);
    format!("{sign}{whole}.{fraction:06}")
}

/// A price written in paise, as strikes and tick sizes of the master are: `3000000.000000` is 30,000 rupees.
pub(super) fn price_from_paise(text: &str) -> Option<Price> {
    let paise_e6 = parse_e6(text)?;
    // A paisa is 100 price units, so a ten-thousandth of 10^6.
    (paise_e6 % 10_000 == 0).then(|| Price::from_e4(paise_e6 / 10_000))
}

/// The reverse of [`price_from_paise`].
pub(super) fn write_paise(price: Price) -> String {
    write_e6(price.as_e4().saturating_mul(10_000))
}

/// Reads and writes a decimal string, times a million.
pub(super) mod as_e6 {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};
    use std::borrow::Cow;

    pub fn serialize<S: Serializer>(value_e6: &i64, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&super::write_e6(*value_e6))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
        let text = Cow::<str>::deserialize(deserializer)?;
        super::parse_e6(&text)
            .ok_or_else(|| D::Error::custom(format_args!("{text:?} is not a number with up to six decimals")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn refuses_what_is_not_decimal() {
        for text in ["", ".", "-", ".5", "1e5", "1.0000001", "1,0", "9999999999999", "+1", "१"] {
            assert_eq!(parse_e6(text), None, "{text}");
        }
        assert_eq!(price_from_paise("3000000.000000"), Some(Price::from_e4(300_000_000)));
        assert_eq!(price_from_paise("5.000000"), Some(Price::from_e4(500)));
        assert_eq!(price_from_paise("0.001000"), None);
    }

    proptest! {
        #[test]
        fn reads_what_it_writes(value_e6 in -1_000_000_000_000_000_000_i64..1_000_000_000_000_000_000) {
            prop_assert_eq!(parse_e6(&write_e6(value_e6)), Some(value_e6));
        }

        #[test]
        fn paise_survive(price_e4 in 0..1_000_000_000_000_i64) {
            let price = Price::from_e4(price_e4);
            prop_assert_eq!(price_from_paise(&write_paise(price)), Some(price));
        }
    }
}
