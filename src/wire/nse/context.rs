//! What a recorded chain body was asked for: `symbol=NIFTY&expiry=2026-02-03`, the expiry absent for the older shape.

use crate::market::TradingDate;
use chrono::NaiveDate;
use std::{fmt, str::FromStr};

/// The context text of a chain record. `&`, `=`, `%` and what is not printable ASCII are percent-encoded.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChainContext {
    pub symbol: String,
    pub expiry: Option<TradingDate>,
}

/// A text that is no context of a chain. Whoever reads the record counts it and goes on: the body names its
/// underlying and expiries itself.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} at byte {offset} is not symbol=NAME or symbol=NAME&expiry=YYYY-MM-DD")]
pub struct ContextError {
    pub text: String,
    pub offset: usize,
}

impl ChainContext {
    /// For people: `NIFTY 2026-02-03`, or `NIFTY` where all expiries are meant.
    pub fn name(&self) -> String {
        match self.expiry {
            Some(expiry) => format!("{} {expiry}", self.symbol),
            None => self.symbol.clone(),
        }
    }

    /// Whether a chain is this one or among these.
    pub fn contains(&self, symbol: &str, expiry: TradingDate) -> bool {
        self.symbol == symbol && self.expiry.is_none_or(|of_part| of_part == expiry)
    }
}

impl fmt::Display for ChainContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("symbol=")?;
        for byte in self.symbol.bytes() {
            if byte.is_ascii_graphic() && !matches!(byte, b'&' | b'=' | b'%') {
                write!(f, "{}", char::from(byte))?;
            } else {
                write!(f, "%{byte:02X}")?;
            }
        }
        match self.expiry {
            Some(expiry) => write!(f, "&expiry={}", expiry.format("%Y-%m-%d")),
            None => Ok(()),
        }
    }
}

impl FromStr for ChainContext {
    type Err = ContextError;

    fn from_str(text: &str) -> Result<ChainContext, ContextError> {
        let wrong = |offset| ContextError { text: text.to_owned(), offset };
        let rest = text.strip_prefix("symbol=").ok_or_else(|| wrong(0))?;
        let (symbol, expiry) = match rest.split_once("&expiry=") {
            Some((symbol, expiry)) => {
                let date = NaiveDate::parse_from_str(expiry, "%Y-%m-%d");
                (symbol, Some(date.map_err(|_| wrong(text.len() - expiry.len()))?))
            }
            None => (rest, None),
        };
        let symbol = percent_decode(symbol).ok_or_else(|| wrong("symbol=".len()))?;
        Ok(ChainContext { symbol, expiry })
    }
}

fn percent_decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        match first {
            b'%' => {
                let digits = std::str::from_utf8(after.get(..2)?).ok()?;
                if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
                    return None;
                }
                bytes.push(u8::from_str_radix(digits, 16).ok()?);
                rest = &after[2..];
            }
            b'&' | b'=' => return None,
            plain => {
                bytes.push(*plain);
                rest = after;
            }
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn is_the_text_the_log_documents() {
        let expiry = NaiveDate::from_ymd_opt(2026, 2, 3);
        let context = ChainContext { symbol: "NIFTY".to_owned(), expiry };
        assert_eq!(context.to_string(), "symbol=NIFTY&expiry=2026-02-03");
        assert_eq!(context.name(), "NIFTY 2026-02-03");
        let context = ChainContext { symbol: "M&M".to_owned(), expiry: None };
        assert_eq!(context.to_string(), "symbol=M%26M");
        assert!(context.contains("M&M", expiry.expect("a date")) && context.name() == "M&M");
        for text in ["", "NIFTY", "symbol=A&b=c", "symbol=A%2", "symbol=%+1", "symbol=A&expiry=2026-02-30"] {
            assert!(text.parse::<ChainContext>().is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn reads_what_it_writes(symbol in any::<String>(), day in proptest::option::of(0_u64..40_000)) {
            let expiry = day.map(|day| NaiveDate::default() + chrono::Days::new(day));
            let context = ChainContext { symbol, expiry };
            prop_assert_eq!(context.to_string().parse(), Ok(context));
        }

        #[test]
        fn any_text_is_read_or_refused(text in any::<String>()) {
            if let Ok(context) = text.parse::<ChainContext>() {
                prop_assert_eq!(context.to_string().parse(), Ok(context));
            }
        }
    }
}
