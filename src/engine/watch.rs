//! Which contracts are watched: the desired state that subscriptions, polls and bucket rows follow.
//!
//! Invariant: the choice is a function of the settings, the listings and the date alone, so that feeds and the
//! pipeline come to the same set from the same master.

use crate::market::{Contract, Exchange, Listing, TradingDate};
use std::collections::{BTreeMap, BTreeSet};

/// One `[[watch]]` table of the configuration.
#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize)]
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

    /// The watched listings of one provider's master on `date`, in the master's order: options of the watched
    /// expiries, and the index or share that they are written on.
    pub fn select<'a>(&self, listings: &'a [Listing], date: TradingDate) -> Vec<&'a Listing> {
        let mut listed: BTreeMap<(Exchange, &str), BTreeSet<TradingDate>> = BTreeMap::new();
        for Listing { contract, .. } in listings.iter().filter(|listing| listing.contract.is_option()) {
            let expiries = listed.entry((contract.exchange, &contract.underlying)).or_default();
            expiries.extend(contract.expiry());
        }
        let selected: BTreeMap<(Exchange, &str), BTreeSet<TradingDate>> = listed
            .iter()
            .map(|(key, expiries)| (*key, self.select_expiries(key.1, expiries, date)))
            .filter(|(_, expiries)| !expiries.is_empty())
            .collect();
        let is_watched = |contract: &Contract| {
            let Some(expiries) = selected.get(&(contract.exchange, &*contract.underlying)) else {
                return false;
            };
            contract.is_underlying()
                || contract.is_option() && contract.expiry().is_some_and(|expiry| expiries.contains(&expiry))
        };
        listings.iter().filter(|listing| is_watched(&listing.contract)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::market::{OptionType, Price, Provider};
    use chrono::NaiveDate;

    fn date(day: u32) -> TradingDate {
        NaiveDate::from_ymd_opt(2026, 2, day).expect("a date")
    }

    fn listing(contract: Contract) -> Listing {
        let symbol = contract.to_string().into();
        Listing {
            provider: Provider::Nse,
            token: None,
            symbol,
            contract,
            lot_size: 65,
            tick_size: Price::from_e4(500),
        }
    }

    fn option(underlying: &str, day: u32) -> Listing {
        let strike = Price::from_e4(250_000_000);
        listing(Contract::option(Exchange::Nse, underlying, date(day), strike, OptionType::Call))
    }

    fn watch(underlying: &str, expiries: usize) -> WatchList {
        WatchList { underlyings: vec![WatchedUnderlying { underlying: underlying.to_owned(), expiries }] }
    }

    #[test]
    fn takes_the_nearest_expiries_and_the_underlying() {
        let listings = [
            listing(Contract::index(Exchange::Nse, "NIFTY")),
            listing(Contract::index(Exchange::Nse, "INDIA VIX")),
            option("NIFTY", 3),
            option("NIFTY", 10),
            option("NIFTY", 24),
            option("BANKNIFTY", 24),
        ];
        let names = |watch: &WatchList, day| -> Vec<String> {
            watch.select(&listings, date(day)).iter().map(|listing| listing.contract.to_string()).collect()
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
