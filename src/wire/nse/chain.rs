//! One moment of an option chain, of either generation of bodies: its legs, in the website's lots, and what it is about.
//!
//! [`super::decode_chain`] reads it, [`super::encode_chain`] writes it.

use super::{
    ChainContext,
    error::bounded,
    units::{UnitsError, units_from_lots},
    unread::Unread,
};
use crate::market::{Contract, Exchange, OptionType, Price, Quote, Timestamp, Told, TradingDate};
use std::sync::Arc;

/// In errors.
pub(super) const WHAT: &str = "option chain";

/// One body: a moment of the chain of one underlying.
#[derive(Clone, Debug, PartialEq)]
pub struct Chain {
    /// The exchange's own time, whole seconds. A body served on a holiday carries the last session's.
    pub timestamp: Timestamp,
    /// The index level or share price; `None` where the body says 0 or nothing, or its legs another one.
    pub underlying_value: Option<Price>,
    /// All listed expiries, also in a body that carries the legs of only one.
    pub expiries: Vec<TradingDate>,
    /// In the body's order, the call of a row before its put. Sides that the exchange does not list are left out.
    pub legs: Vec<Leg>,
    /// Strikes that the body lists without a contract of theirs.
    pub rowless_strikes: Vec<Price>,
    /// What could not be read, in the body's order; everything else of the body is as good as ever.
    pub malformed: Vec<Unread>,
}

/// One contract of a chain. Numbers of lots are as on the wire and may be fractional.
#[derive(Clone, Debug, PartialEq)]
pub struct Leg {
    pub underlying: Arc<str>,
    pub expiry: TradingDate,
    pub strike: Price,
    pub option_type: OptionType,
    /// Lots of the day's lot size.
    pub open_interest_lots: Option<f64>,
    /// Against yesterday's final open interest, in lots.
    pub open_interest_change_lots: Option<f64>,
    /// Traded today so far, in lots.
    pub volume_lots: Option<f64>,
    /// The wire's 0 means that there was no trade yet.
    pub last_price: Told<Price>,
    /// Best bid and ask; the wire's 0 means that there is none.
    pub bid: Told<Price>,
    pub ask: Told<Price>,
    /// Annual percent times 10,000; the wire's 0 means that there is none.
    pub implied_volatility_e4: Told<i64>,
}

impl Leg {
    pub fn contract(&self) -> Contract {
        Contract {
            underlying: Arc::clone(&self.underlying),
            ..Contract::option(Exchange::Nse, "", self.expiry, self.strike, self.option_type)
        }
    }

    /// Whether it shows that the contract was traded today, or held in the session before.
    pub fn has_been_traded(&self) -> bool {
        let lots = |field: Option<f64>| field.unwrap_or(0.0);
        lots(self.volume_lots) > 0.0 || lots(self.open_interest_lots) != lots(self.open_interest_change_lots)
    }

    /// The leg in bhavd's units.
    ///
    /// `lot_size` is the contract's on that day. Yesterday's final open interest is `(oi - change) * lot_size`, which
    /// stays constant through the day (measured). It is left out where it would be negative, and where a traded leg
    /// with open interest says that nothing changed: that is also how the website shows, until the final figures,
    /// contracts that nobody held yesterday (measured on 16 Oct 2025, three contracts opened that day).
    pub fn quote(&self, lot_size: u32, event_time: Timestamp) -> Result<Quote, UnitsError> {
        let units = |lots: Option<f64>| lots.map(|lots| units_from_lots(lots, lot_size)).transpose();
        let not_negative = |lots: Option<f64>| match lots.filter(|lots| *lots < 0.0) {
            Some(lots) => Err(UnitsError::Negative { lots }),
            None => units(lots),
        };
        let open_interest = not_negative(self.open_interest_lots)?;
        let change = units(self.open_interest_change_lots)?;
        let volume = not_negative(self.volume_lots)?;
        let is_ambiguous = change == Some(0) && open_interest != Some(0) && volume != Some(0);
        let previous = open_interest.zip(change).map(|(open_interest, change)| open_interest - change);
        Ok(Quote {
            event_time,
            last_price: self.last_price,
            open_interest,
            volume,
            bid: self.bid,
            ask: self.ask,
            implied_volatility_e4: self.implied_volatility_e4,
            previous_open_interest: previous.filter(|previous| *previous >= 0 && !is_ambiguous),
        })
    }
}

impl Chain {
    /// What the body is about instead of what was requested; `None` if it is an answer: most of its legs are of it.
    ///
    /// A body without legs names no underlying and passes.
    pub fn mismatch(&self, requested: &ChainContext) -> Option<String> {
        mismatch(self.legs.iter().map(|leg| (&*leg.underlying, leg.expiry, 1)), requested)
    }

    /// Takes the legs out that are about something else than was requested. Says what the first of them is, and how many they are.
    pub fn take_strangers(&mut self, requested: &ChainContext) -> Option<(String, usize)> {
        let is_stranger = |leg: &Leg| !requested.contains(&leg.underlying, leg.expiry);
        let first = self.legs.iter().find(|leg| is_stranger(leg))?;
        let first = instead_of(&first.underlying, first.expiry, requested);
        let count = self.legs.len();
        self.legs.retain(|leg| !is_stranger(leg));
        Some((first, count - self.legs.len()))
    }
}

/// `legs`: underlying, expiry, how many legs.
pub(super) fn mismatch<'a>(
    legs: impl Iterator<Item = (&'a str, TradingDate, usize)>,
    requested: &ChainContext,
) -> Option<String> {
    let (mut asked, mut strangers, mut first) = (0, 0, None);
    for (symbol, expiry, count) in legs {
        if requested.contains(symbol, expiry) {
            asked += count;
        } else {
            strangers += count;
            first = first.or(Some((symbol, expiry)));
        }
    }
    let (symbol, expiry) = first.filter(|_| strangers >= asked)?;
    Some(instead_of(symbol, expiry, requested))
}

fn instead_of(symbol: &str, expiry: TradingDate, requested: &ChainContext) -> String {
    let found = ChainContext { symbol: symbol.to_owned(), expiry: requested.expiry.map(|_| expiry) };
    bounded(&format!("{:?} instead of {}", found.name(), requested.name()))
}
