//! Which contracts are watched: the desired state that subscriptions, polls and bucket rows follow.
//!
//! Invariant: the choice is a function of the settings, the listings and the date alone, so that feeds and the
//! pipeline come to the same set from the same master.

use crate::market::{Contract, Exchange, TradingDate};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// One `[[watch]]` table of the configuration.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WatchedUnderlying {
    /// The exchange's symbol in upper case, or `*` for every underlying that has options.
    pub underlying: String,
    /// How many of the nearest expiries, today's included; 0 means all.
    #[serde(default = "WatchedUnderlying::default_expiries")]
    pub expiries: usize,
}

impl WatchedUnderlying {
    const fn default_expiries() -> usize {
        2
    }

    pub fn every_underlying(expiries: usize) -> WatchedUnderlying {
        WatchedUnderlying { underlying: "*".to_owned(), expiries }
    }
}

/// All `[[watch]]` tables.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WatchList {
    pub underlyings: Vec<WatchedUnderlying>,
}

impl WatchList {
    /// The settings for an underlying: its own entry before the one for all.
    pub fn entry(&self, underlying: &str) -> Option<&WatchedUnderlying> {
        let named = self.underlyings.iter().find(|entry| entry.underlying == underlying);
        named.or_else(|| self.underlyings.iter().find(|entry| entry.underlying == "*"))
    }

    /// The expiries watched out of those listed on `date`, nearest first.
    pub fn select_expiries(
        &self,
        underlying: &str,
        listed: &BTreeSet<TradingDate>,
        date: TradingDate,
    ) -> BTreeSet<TradingDate> {
        let Some(entry) = self.entry(underlying) else {
            return BTreeSet::new();
        };
        let wanted = if entry.expiries == 0 { usize::MAX } else { entry.expiries };
        listed.range(date..).take(wanted).copied().collect()
    }

    /// What is watched on `date` out of one provider's master.
    pub fn select(&self, listed: &ListedExpiries, date: TradingDate) -> WatchedExpiries {
        let mut by_exchange = listed.by_exchange.clone();
        for expiries in by_exchange.values_mut() {
            for (underlying, expiries) in expiries.iter_mut() {
                *expiries = self.select_expiries(underlying, expiries, date);
            }
            expiries.retain(|_, expiries| !expiries.is_empty());
        }
        WatchedExpiries { by_exchange }
    }
}

type ByUnderlying = BTreeMap<Arc<str>, BTreeSet<TradingDate>>;

/// The expiries of each underlying's options in one provider's master, gathered listing by listing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListedExpiries {
    by_exchange: BTreeMap<Exchange, ByUnderlying>,
}

impl ListedExpiries {
    pub fn note(&mut self, contract: &Contract) {
        let Some(expiry) = contract.expiry().filter(|_| contract.is_option()) else { return };
        let underlyings = self.by_exchange.entry(contract.exchange).or_default();
        match underlyings.get_mut(&contract.underlying) {
            Some(expiries) => {
                expiries.insert(expiry);
            }
            None => {
                underlyings.insert(Arc::clone(&contract.underlying), BTreeSet::from([expiry]));
            }
        }
    }
}

/// The watched expiries of each watched underlying: see [`WatchList::select`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WatchedExpiries {
    by_exchange: BTreeMap<Exchange, ByUnderlying>,
}

impl WatchedExpiries {
    pub fn iter(&self) -> impl Iterator<Item = (Exchange, &Arc<str>, &BTreeSet<TradingDate>)> {
        self.by_exchange.iter().flat_map(|(exchange, underlyings)| {
            underlyings.iter().map(|(underlying, expiries)| (*exchange, underlying, expiries))
        })
    }

    /// Options of the watched expiries, and the index or share that they are written on.
    pub fn contains(&self, contract: &Contract) -> bool {
        let underlyings = self.by_exchange.get(&contract.exchange);
        let Some(expiries) = underlyings.and_then(|underlyings| underlyings.get(&contract.underlying)) else {
            return false;
        };
        contract.is_underlying()
            || contract.is_option() && contract.expiry().is_some_and(|expiry| expiries.contains(&expiry))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::market::{OptionType, Price};
    use chrono::NaiveDate;

    fn date(day: u32) -> TradingDate {
        NaiveDate::from_ymd_opt(2026, 2, day).expect("a date")
    }

    fn option(underlying: &str, day: u32) -> Contract {
        let strike = Price::from_e4(250_000_000);
        Contract::option(Exchange::Nse, underlying, date(day), strike, OptionType::Call)
    }

    fn watch(underlying: &str, expiries: usize) -> WatchList {
        WatchList { underlyings: vec![WatchedUnderlying { underlying: underlying.to_owned(), expiries }] }
    }

    #[test]
    fn takes_the_nearest_expiries_and_the_underlying() {
        let contracts = [
            Contract::index(Exchange::Nse, "NIFTY"),
            Contract::index(Exchange::Nse, "INDIA VIX"),
            option("NIFTY", 3),
            option("NIFTY", 10),
            option("NIFTY", 24),
            option("BANKNIFTY", 24),
        ];
        let mut listed = ListedExpiries::default();
        contracts.iter().for_each(|contract| listed.note(contract));
        let names = |watch: &WatchList, day| -> Vec<String> {
            let watched = watch.select(&listed, date(day));
            contracts.iter().filter(|contract| watched.contains(contract)).map(Contract::to_string).collect()
        };
        assert_eq!(names(&watch("NIFTY", 1), 3), ["NIFTY", "NIFTY 2026-02-03 25000 CE"]);
        assert_eq!(
            names(&watch("NIFTY", 2), 4),
            ["NIFTY", "NIFTY 2026-02-10 25000 CE", "NIFTY 2026-02-24 25000 CE"]
        );
        assert_eq!(names(&watch("*", 0), 3).len(), 5);
        assert!(names(&watch("FINNIFTY", 0), 3).is_empty());
    }
}
