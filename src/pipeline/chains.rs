//! Which chains there are today, and which of them a provider does not watch although it is up.
//!
//! NSE's chains are watched one by one: from a chain's first body of the day on, while no part that is down contains it.
//! Whatever the website never brought, of another exchange for instance, it does not watch. Angel One watches what it is
//! up for.

use crate::{
    engine::TradingDay,
    market::{Contract, Exchange, Provider, Timestamp, TradingDate},
    wire::nse::ChainContext,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// See the module's head.
#[derive(Debug, Default)]
pub(super) struct ChainTable {
    /// Numbers by what they stand for. 0 is what belongs to no chain.
    numbers: BTreeMap<(Exchange, Arc<str>, TradingDate), u32>,
    /// NSE had a body of these today.
    brought: BTreeSet<u32>,
    down: BTreeSet<(Provider, ChainContext)>,
}

impl ChainTable {
    /// The number of a contract's chain, which the day learns of at first sight.
    pub fn chain_of(&mut self, contract: &Contract, day: &mut TradingDay) -> u32 {
        let Some(expiry) = contract.expiry().filter(|_| contract.is_option()) else { return 0 };
        self.number(contract.exchange, &contract.underlying, expiry, day)
    }

    fn number(
        &mut self,
        exchange: Exchange,
        underlying: &Arc<str>,
        expiry: TradingDate,
        day: &mut TradingDay,
    ) -> u32 {
        let next = self.numbers.len() as u32 + 1;
        let number = *self.numbers.entry((exchange, underlying.clone(), expiry)).or_insert(next);
        if number == next {
            day.set_chain_left_out(Provider::Nse, number);
            let of_angel_one = || self.down.iter().filter(|(provider, _)| *provider == Provider::AngelOne);
            if exchange == Exchange::Nse && of_angel_one().any(|(_, part)| part.contains(underlying, expiry))
            {
                day.set_chain_left_out(Provider::AngelOne, number);
            }
        }
        number
    }

    /// A body of NSE's has this chain. From the first one on it is watched: as long as the feed, where that is not up yet.
    pub fn note_brought(
        &mut self,
        underlying: &Arc<str>,
        expiry: TradingDate,
        now: Timestamp,
        day: &mut TradingDay,
    ) {
        let number = self.number(Exchange::Nse, underlying, expiry, day);
        if self.brought.insert(number) && !self.is_down(Provider::Nse, underlying, expiry) {
            let is_up = day.router().up_since(Provider::Nse).is_some();
            day.set_chain_up(Provider::Nse, number, if is_up { now } else { Timestamp::from_us(i64::MIN) });
        }
    }

    fn is_down(&self, provider: Provider, underlying: &str, expiry: TradingDate) -> bool {
        self.down.iter().any(|(of, part)| *of == provider && part.contains(underlying, expiry))
    }

    /// The chains that a part has.
    fn chains(&self, part: &ChainContext) -> Vec<(u32, &Arc<str>, TradingDate)> {
        let of_part = self.numbers.iter().filter(|((exchange, underlying, expiry), _)| {
            *exchange == Exchange::Nse && part.contains(underlying, *expiry)
        });
        of_part.map(|((_, underlying, expiry), number)| (*number, underlying, *expiry)).collect()
    }

    /// Gives the chains that are not watched now.
    pub fn set_down(&mut self, provider: Provider, part: ChainContext) -> Vec<u32> {
        let chains = self.chains(&part).into_iter().map(|(number, ..)| number).collect();
        self.down.insert((provider, part));
        chains
    }

    /// Gives the chains that are watched again.
    pub fn set_up(&mut self, provider: Provider, part: &ChainContext) -> Vec<u32> {
        if !self.down.remove(&(provider, part.clone())) {
            return Vec::new();
        }
        let chains = self.chains(part).into_iter();
        let is_watched = |(number, underlying, expiry): &(u32, &Arc<str>, TradingDate)| {
            !self.is_down(provider, underlying, *expiry)
                && (provider != Provider::Nse || self.brought.contains(number))
        };
        chains.filter(is_watched).map(|(number, ..)| number).collect()
    }

    /// Forgets which parts are down, and gives the chains that only those kept from being watched.
    pub fn lift(&mut self, provider: Provider) -> Vec<u32> {
        let parts: Vec<ChainContext> =
            self.down.iter().filter(|(of, _)| *of == provider).map(|(_, part)| part.clone()).collect();
        parts.iter().flat_map(|part| self.set_up(provider, part)).collect()
    }
}
