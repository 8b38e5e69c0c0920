//! What of a chain's body cannot be read, and which contract that is about.
//!
//! A leg with one odd number still names its contract: by its own strike, its row's, or that of the row's other side. Such a
//! contract is listed, whatever its numbers are.

use super::{
    WireError,
    field::{DateField, RupeesField},
};
use crate::market::{Contract, Exchange, OptionType, Price, TradingDate};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::fmt;

/// A part of a body that cannot be read.
#[derive(Clone, Debug, PartialEq)]
pub struct Unread {
    /// With its place and a bounded excerpt.
    pub error: WireError,
    /// The contract of a leg; `None` where not even that can be read, or where it is no leg.
    pub contract: Option<Contract>,
    pub is_leg: bool,
}

impl fmt::Display for Unread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.contract {
            Some(contract) => write!(f, "{contract}: {}", self.error),
            None if self.is_leg => write!(f, "a leg without a strike that can be read: {}", self.error),
            None => self.error.fmt(f),
        }
    }
}

/// The names in a leg, or in its row, as far as they can be read.
#[derive(Clone, Debug, Default)]
pub(super) struct Names {
    underlying: Option<String>,
    expiry: Option<TradingDate>,
    strike: Option<Price>,
}

#[derive(Deserialize)]
struct RawNames<'a> {
    #[serde(borrow, default)]
    underlying: Option<&'a RawValue>,
    #[serde(rename = "expiryDate", alias = "expiryDates", borrow, default)]
    expiry: Option<&'a RawValue>,
    #[serde(rename = "strikePrice", borrow, default)]
    strike: Option<&'a RawValue>,
}

impl Names {
    /// `is_symbol` and `is_strike` say what can be one.
    pub fn read(
        raw: &RawValue,
        is_symbol: impl Fn(&str) -> bool,
        is_strike: impl Fn(Price) -> bool,
    ) -> Names {
        let Ok(names) = serde_json::from_str::<RawNames<'_>>(raw.get()) else { return Names::default() };
        let underlying = names.underlying.and_then(|raw| serde_json::from_str::<String>(raw.get()).ok());
        let expiry = names.expiry.and_then(|raw| serde_json::from_str::<DateField>(raw.get()).ok());
        let strike = names.strike.and_then(|raw| serde_json::from_str::<RupeesField>(raw.get()).ok());
        Names {
            underlying: underlying.filter(|text| is_symbol(text)),
            expiry: expiry.map(|date| date.0),
            strike: strike.map(|rupees| rupees.0).filter(|strike| is_strike(*strike)),
        }
    }

    /// What is not said here is taken from `other`.
    pub fn or(self, other: &Names) -> Names {
        Names {
            underlying: self.underlying.or_else(|| other.underlying.clone()),
            expiry: self.expiry.or(other.expiry),
            strike: self.strike.or(other.strike),
        }
    }

    /// `None` while a part of the name is lacking, or where two of them disagree on the expiry.
    pub fn contract(&self, option_type: OptionType, row: &Names) -> Option<Contract> {
        let is_contradicted = row.expiry.is_some_and(|expiry| Some(expiry) != self.expiry);
        let (underlying, expiry, strike) = (self.underlying.as_deref()?, self.expiry?, self.strike?);
        (!is_contradicted).then(|| Contract::option(Exchange::Nse, underlying, expiry, strike, option_type))
    }
}
