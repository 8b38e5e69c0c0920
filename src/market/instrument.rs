//! What is traded: exchanges, segments, contracts and what a provider calls them.

use super::{Price, Provider};
use chrono::NaiveDate;
use std::{fmt, str::FromStr, sync::Arc};

/// A contract's number in the store and everywhere inside. Assigned once, never reused, starts at 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InstrumentId(pub u32);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Exchange {
    Nse,
    Bse,
}

impl Exchange {
    pub const fn name(self) -> &'static str {
        match self {
            Exchange::Nse => "NSE",
            Exchange::Bse => "BSE",
        }
    }
}

impl FromStr for Exchange {
    type Err = ContractError;

    fn from_str(name: &str) -> Result<Exchange, ContractError> {
        match name {
            "NSE" => Ok(Exchange::Nse),
            "BSE" => Ok(Exchange::Bse),
            _ => Err(ContractError { what: "exchange", text: name.to_owned(), allowed: "NSE or BSE" }),
        }
    }
}

/// A provider's token is unique only within its segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Segment {
    NseCash = 1,
    NseFo = 2,
    BseCash = 3,
    BseFo = 4,
}

impl Segment {
    pub const ALL: [Segment; 4] = [Segment::NseCash, Segment::NseFo, Segment::BseCash, Segment::BseFo];

    pub const fn code(self) -> u8 {
        self as u8
    }

    #[inline]
    pub fn from_code(code: u8) -> Option<Segment> {
        Self::ALL.into_iter().find(|segment| segment.code() == code)
    }

    pub const fn exchange(self) -> Exchange {
        match self {
            Segment::NseCash | Segment::NseFo => Exchange::Nse,
            Segment::BseCash | Segment::BseFo => Exchange::Bse,
        }
    }
}

/// Call or put, as Indian exchanges write them: CE and PE.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum OptionType {
    Call,
    Put,
}

impl OptionType {
    pub const BOTH: [OptionType; 2] = [OptionType::Call, OptionType::Put];

    pub const fn name(self) -> &'static str {
        match self {
            OptionType::Call => "CE",
            OptionType::Put => "PE",
        }
    }
}

impl fmt::Display for OptionType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for OptionType {
    type Err = ContractError;

    fn from_str(name: &str) -> Result<OptionType, ContractError> {
        match name {
            "CE" => Ok(OptionType::Call),
            "PE" => Ok(OptionType::Put),
            _ => Err(ContractError { what: "option type", text: name.to_owned(), allowed: "CE or PE" }),
        }
    }
}

/// A text that names no contract.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a valid {what}; write {allowed}")]
pub struct ContractError {
    pub what: &'static str,
    pub text: String,
    pub allowed: &'static str,
}

/// What kind of instrument, with the terms that tell it from others of the same underlying.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum InstrumentKind {
    Index,
    Equity,
    Future { expiry: NaiveDate },
    Option { expiry: NaiveDate, strike: Price, option_type: OptionType },
}

/// The natural key of an instrument: what it is, whoever quotes it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Contract {
    pub exchange: Exchange,
    /// The exchange's symbol in upper case: `NIFTY`, `M&M`.
    pub underlying: Arc<str>,
    pub kind: InstrumentKind,
}

impl Contract {
    pub fn index(exchange: Exchange, underlying: &str) -> Contract {
        Contract { exchange, underlying: underlying.into(), kind: InstrumentKind::Index }
    }

    pub fn equity(exchange: Exchange, underlying: &str) -> Contract {
        Contract { exchange, underlying: underlying.into(), kind: InstrumentKind::Equity }
    }

    pub fn option(
        exchange: Exchange,
        underlying: &str,
        expiry: NaiveDate,
        strike: Price,
        option_type: OptionType,
    ) -> Contract {
        let kind = InstrumentKind::Option { expiry, strike, option_type };
        Contract { exchange, underlying: underlying.into(), kind }
    }

    /// Of an option.
    pub fn strike(&self) -> Option<Price> {
        match self.kind {
            InstrumentKind::Option { strike, .. } => Some(strike),
            _ => None,
        }
    }

    pub fn expiry(&self) -> Option<NaiveDate> {
        match self.kind {
            InstrumentKind::Future { expiry } | InstrumentKind::Option { expiry, .. } => Some(expiry),
            InstrumentKind::Index | InstrumentKind::Equity => None,
        }
    }

    pub fn is_option(&self) -> bool {
        matches!(self.kind, InstrumentKind::Option { .. })
    }

    /// Whether this is what options are written on: an index or a share.
    pub fn is_underlying(&self) -> bool {
        matches!(self.kind, InstrumentKind::Index | InstrumentKind::Equity)
    }
}

impl fmt::Display for Contract {
    /// `NIFTY 2026-02-03 25000 CE`, `NIFTY 2026-02-24 FUT`, `NIFTY`: also the form [`Contract::from_str`] reads.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.underlying)?;
        match self.kind {
            InstrumentKind::Index => Ok(()),
            InstrumentKind::Equity => f.write_str(" EQ"),
            InstrumentKind::Future { expiry } => write!(f, " {expiry} FUT"),
            InstrumentKind::Option { expiry, strike, option_type } => {
                let strike = strike.to_string();
                write!(f, " {expiry} {} {option_type}", strike.strip_suffix(".00").unwrap_or(&strike))
            }
        }
    }
}

impl FromStr for Contract {
    type Err = ContractError;

    /// Reads what `Display` writes, on NSE.
    fn from_str(text: &str) -> Result<Contract, ContractError> {
        const ALLOWED: &str = "UNDERLYING YYYY-MM-DD STRIKE CE|PE, for example \"NIFTY 2026-02-03 25000 CE\"";
        let wrong = || ContractError { what: "contract", text: text.to_owned(), allowed: ALLOWED };
        let words: Vec<&str> = text.split_whitespace().collect();
        let date = |word: &str| NaiveDate::parse_from_str(word, "%Y-%m-%d").map_err(|_| wrong());
        match words[..] {
            [underlying] => Ok(Contract::index(Exchange::Nse, underlying)),
            [underlying, "EQ"] => Ok(Contract::equity(Exchange::Nse, underlying)),
            [underlying, expiry, "FUT"] => Ok(Contract {
                exchange: Exchange::Nse,
                underlying: underlying.into(),
                kind: InstrumentKind::Future { expiry: date(expiry)? },
            }),
            [underlying, expiry, strike, option_type] => {
                let strike = strike.parse().map_err(|_| wrong())?;
                Ok(Contract::option(Exchange::Nse, underlying, date(expiry)?, strike, option_type.parse()?))
            }
            _ => Err(wrong()),
        }
    }
}

/// What a provider calls a contract: its number within a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProviderToken {
    pub segment: Segment,
    pub token: u32,
}

/// One line of a provider's instrument master: a contract, its terms on that day, and the provider's name for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listing {
    pub provider: Provider,
    /// `None` where the provider addresses contracts by their terms (NSE's option chain).
    pub token: Option<ProviderToken>,
    /// The provider's own symbol, as it must be sent back to it.
    pub symbol: Arc<str>,
    pub contract: Contract,
    /// Units in one lot; 1 for indices and shares. A property of the contract and the date, not of the underlying.
    pub lot_size: u32,
    pub tick_size: Price,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contracts_read_what_they_write() {
        let expiry = NaiveDate::from_ymd_opt(2026, 2, 24).expect("a date");
        for contract in [
            Contract::index(Exchange::Nse, "NIFTY"),
            Contract::equity(Exchange::Nse, "M&M"),
            Contract { kind: InstrumentKind::Future { expiry }, ..Contract::index(Exchange::Nse, "NIFTY") },
            Contract::option(Exchange::Nse, "360ONE", expiry, Price::from_e4(11_625_000), OptionType::Put),
        ] {
            assert_eq!(contract.to_string().parse(), Ok(contract));
        }
        let error = "NIFTY 25000".parse::<Contract>().expect_err("two words are no contract");
        assert!(error.to_string().contains("NIFTY 2026-02-03 25000 CE"), "{error}");
    }
}
