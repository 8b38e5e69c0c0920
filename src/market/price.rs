//! Money as an integer number of 1/10,000 rupee.

use std::{fmt, str::FromStr};

/// A price in 1/10,000 rupee: ₹25,278.90 is `Price::from_e4(252_789_000)`.
///
/// Four decimals hold every tick size of Indian equity and currency derivatives exactly.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Price(i64);

/// A text that is not a price. The caller skips or refuses the record it stood in.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PriceError {
    #[error("{text:?} is not a decimal number")]
    NotDecimal { text: String },
    #[error("{text:?} has more than four decimals")]
    TooFine { text: String },
    #[error("{text:?} is too large for a price")]
    TooLarge { text: String },
}

impl Price {
    pub const ZERO: Price = Price(0);
    const E4: i64 = 10_000;

    #[inline]
    pub const fn from_e4(price_e4: i64) -> Price {
        Price(price_e4)
    }

    #[inline]
    pub const fn as_e4(self) -> i64 {
        self.0
    }

    /// 100 million rupees: none is dearer, and the dearest Indian share costs under 200 thousand.
    pub const LARGEST_QUOTED: Price = Price(100_000_000 * Self::E4);

    /// From 1/100 rupee, the unit of Angel One's and Kite's sockets. `None` on overflow.
    #[inline]
    pub const fn from_paise(paise: i64) -> Option<Price> {
        match paise.checked_mul(100) {
            Some(price_e4) => Some(Price(price_e4)),
            None => None,
        }
    }

    /// In 1/100 rupee, rounded towards zero.
    pub const fn as_paise(self) -> i64 {
        self.0 / 100
    }

    /// The nearest price to a number of rupees as JSON carries it. `None` if it is not finite or too large.
    pub fn from_rupees(rupees: f64) -> Option<Price> {
        let price_e4 = (rupees * Self::E4 as f64).round();
        // 2^53: beyond it a double no longer tells neighbouring integers apart.
        (price_e4.is_finite() && price_e4.abs() <= 9_007_199_254_740_992.0).then_some(Price(price_e4 as i64))
    }

    /// In rupees, for display and for formulas that are real-valued by nature (Black-76).
    pub fn as_rupees(self) -> f64 {
        self.0 as f64 / Self::E4 as f64
    }
}

impl fmt::Display for Price {
    /// Rupees with two decimals, or four where the third or fourth is not zero.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let (rupees, rest) = (self.0.unsigned_abs() / 10_000, self.0.unsigned_abs() % 10_000);
        let text = if rest % 100 == 0 {
            format!("{sign}{rupees}.{:02}", rest / 100)
        } else {
            format!("{sign}{rupees}.{rest:04}")
        };
        f.pad(&text)
    }
}

impl FromStr for Price {
    type Err = PriceError;

    /// Parses `-12`, `12.5`, `12.5000`; digits beyond the fourth decimal must be zero.
    fn from_str(text: &str) -> Result<Price, PriceError> {
        let not_decimal = || PriceError::NotDecimal { text: text.to_owned() };
        let too_large = || PriceError::TooLarge { text: text.to_owned() };
        let (negative, digits) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let all_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        if (whole.is_empty() && fraction.is_empty()) || !all_digits(whole) || !all_digits(fraction) {
            return Err(not_decimal());
        }
        let (kept, beyond) = fraction.split_at(fraction.len().min(4));
        if beyond.bytes().any(|byte| byte != b'0') {
            return Err(PriceError::TooFine { text: text.to_owned() });
        }
        let whole: i64 = if whole.is_empty() { 0 } else { whole.parse().map_err(|_| too_large())? };
        let fraction_e4 = kept
            .bytes()
            .chain(std::iter::repeat(b'0'))
            .take(4)
            .fold(0, |sum, byte| sum * 10 + i64::from(byte - b'0'));
        let price_e4 =
            whole.checked_mul(Self::E4).and_then(|e4| e4.checked_add(fraction_e4)).ok_or_else(too_large)?;
        Ok(Price(if negative { -price_e4 } else { price_e4 }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn parses_what_recordings_and_brokers_write() {
        for (text, price_e4) in [
            ("25278.9", 252_789_000),
            ("0.0", 0),
            ("59753.2", 597_532_000),
            ("0.05", 500),
            ("-1.000000", -10_000),
            ("3000000.000000", 30_000_000_000),
            ("12", 120_000),
        ] {
            assert_eq!(text.parse(), Ok(Price::from_e4(price_e4)), "{text}");
        }
    }

    #[test]
    fn refuses_what_is_not_a_price() {
        for text in ["", ".", "-", "1e5", "1,000", "0x1", "1.00001", "99999999999999999999", "१२"] {
            assert!(text.parse::<Price>().is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn display_then_parse_is_the_identity(price_e4 in -1_000_000_000_000_i64..1_000_000_000_000) {
            let price = Price::from_e4(price_e4);
            prop_assert_eq!(price.to_string().parse(), Ok(price));
            prop_assert_eq!(Price::from_rupees(price.as_rupees()), Some(price));
        }
    }
}
