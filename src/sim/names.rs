//! How requests and options name tokens, chains and contracts: `NFO:40001`, `NIFTY 2026-02-03`,
//! `NIFTY 2026-02-03 25300 CE`.

use crate::{
    market::{Contract, ProviderToken, Segment, TradingDate},
    wire::angel_one::exchange_of,
};
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// A text that names nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not {what}; write {form}")]
pub struct NameError {
    text: String,
    what: &'static str,
    form: &'static str,
}

/// A token, `NFO:40001`, or all of a segment, `NFO`. Segments are named as in quote requests: NSE, NFO, BSE, BFO.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum TokenName {
    Segment(Segment),
    Token(ProviderToken),
}

impl fmt::Display for TokenName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TokenName::Segment(segment) => f.write_str(exchange_of(*segment)),
            TokenName::Token(ProviderToken { segment, token }) => {
                write!(f, "{}:{token}", exchange_of(*segment))
            }
        }
    }
}

impl FromStr for TokenName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<TokenName, NameError> {
        let wrong = || NameError {
            text: text.to_owned(),
            what: "a token or a segment",
            form: "NFO:40001, or NFO for all of it; segments are NSE, NFO, BSE and BFO",
        };
        let (segment, token) = match text.split_once(':') {
            Some((segment, token)) => (segment, Some(token)),
            None => (text, None),
        };
        let named = |known: &Segment| exchange_of(*known) == segment;
        let segment = Segment::ALL.into_iter().find(named).ok_or_else(wrong)?;
        match token {
            None => Ok(TokenName::Segment(segment)),
            Some(token) => {
                let token = token.parse().map_err(|_| wrong())?;
                Ok(TokenName::Token(ProviderToken { segment, token }))
            }
        }
    }
}

/// A chain of one expiry, `NIFTY 2026-02-03`, those of a symbol, `NIFTY`, or those of every symbol, `*`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ChainName {
    symbol: String,
    expiry: Option<TradingDate>,
}

impl ChainName {
    /// Whether a request is for this chain. A request for all expiries matches no chain of a single expiry.
    pub(super) fn matches(&self, symbol: &str, expiry: Option<TradingDate>) -> bool {
        (self.symbol == "*" || self.symbol == symbol) && (self.expiry.is_none() || self.expiry == expiry)
    }

    /// The symbol; for `*` the requested one.
    pub(super) fn symbol<'a>(&'a self, requested: &'a str) -> &'a str {
        if self.symbol == "*" { requested } else { &self.symbol }
    }

    pub(super) fn expiry(&self) -> Option<TradingDate> {
        self.expiry
    }
}

impl fmt::Display for ChainName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.symbol)?;
        self.expiry.map_or(Ok(()), |expiry| write!(f, " {expiry}"))
    }
}

impl FromStr for ChainName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<ChainName, NameError> {
        let wrong = || NameError {
            text: text.to_owned(),
            what: "a chain",
            form: "NIFTY, or NIFTY 2026-02-03; * is every symbol",
        };
        let words: Vec<&str> = text.split_whitespace().collect();
        let (symbol, expiry) = match words[..] {
            [symbol] => (symbol, None),
            [symbol, expiry] => (symbol, Some(expiry.parse().map_err(|_| wrong())?)),
            _ => return Err(wrong()),
        };
        Ok(ChainName { symbol: symbol.to_owned(), expiry })
    }
}

/// An option, `NIFTY 2026-02-03 25300 CE`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ContractName(pub Contract);

impl fmt::Display for ContractName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for ContractName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<ContractName, NameError> {
        let contract = text.parse().ok().filter(Contract::is_option);
        contract.map(ContractName).ok_or_else(|| NameError {
            text: text.to_owned(),
            what: "an option",
            form: "UNDERLYING YYYY-MM-DD STRIKE CE|PE, for example NIFTY 2026-02-03 25300 CE",
        })
    }
}

macro_rules! as_text {
    ($($name:ty),+) => { $(
        impl TryFrom<String> for $name {
            type Error = NameError;

            fn try_from(text: String) -> Result<$name, NameError> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> String {
                name.to_string()
            }
        }
    )+ };
}

as_text!(TokenName, ChainName, ContractName);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_what_they_write() {
        for text in ["NFO", "BSE", "NSE:99926000", "BFO:7"] {
            assert_eq!(text.parse::<TokenName>().expect(text).to_string(), text);
        }
        for text in ["*", "M&M", "NIFTY 2026-02-03", "* 2026-02-03"] {
            assert_eq!(text.parse::<ChainName>().expect(text).to_string(), text);
        }
        let contract = "NIFTY 2026-02-03 25300 CE";
        assert_eq!(contract.parse::<ContractName>().expect(contract).to_string(), contract);
        for wrong in ["", "MCX", "NFO:", "NFO:x", "40001"] {
            wrong.parse::<TokenName>().expect_err(wrong);
        }
        for wrong in ["", "NIFTY 2026", "NIFTY 2026-02-03 25300"] {
            wrong.parse::<ChainName>().expect_err(wrong);
        }
        let error = "NIFTY".parse::<ContractName>().expect_err("an index is no option");
        assert!(error.to_string().contains("NIFTY 2026-02-03 25300 CE"), "{error}");
    }

    #[test]
    fn a_chain_is_named_by_its_symbol_its_expiry_or_with_all_others() {
        let (near, next) = ("2026-02-03".parse().expect("a date"), "2026-02-10".parse().expect("a date"));
        let matches =
            |name: &str, symbol, expiry| name.parse::<ChainName>().expect(name).matches(symbol, expiry);
        assert!(matches("NIFTY", "NIFTY", Some(near)) && matches("NIFTY", "NIFTY", None));
        assert!(matches("*", "NIFTY", Some(near)) && matches("* 2026-02-03", "NIFTY", Some(near)));
        assert!(
            !matches("NIFTY 2026-02-03", "NIFTY", Some(next)) && !matches("NIFTY 2026-02-03", "NIFTY", None)
        );
        assert!(!matches("NIFTY", "BANKNIFTY", Some(near)));
    }
}
