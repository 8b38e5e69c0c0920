//! The chains of the day: which number an underlying and expiry has, how quiet it may be, and which of them a mark of the log
//! means.

use crate::{
    engine::{ChainClass, TradingDay},
    market::{Contract, Exchange, InstrumentKind, TradingDate, is_index_underlying},
    wire::nse::ChainContext,
};
use std::{collections::BTreeMap, sync::Arc};

/// An underlying, and the expiry of its options; `None` for the underlying itself.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct ChainKey {
    exchange: Exchange,
    underlying: Arc<str>,
    expiry: Option<TradingDate>,
}

/// See the module's head.
#[derive(Debug, Default)]
pub(super) struct ChainTable {
    numbers: BTreeMap<ChainKey, u32>,
    names: Vec<String>,
    /// For people.
    titles: Vec<String>,
}

impl ChainTable {
    /// The number of a contract's chain, which begins at first sight.
    pub fn number(&mut self, contract: &Contract, day: &mut TradingDay) -> u32 {
        let expiry = contract.expiry().filter(|_| contract.is_option());
        let key =
            ChainKey { exchange: contract.exchange, underlying: Arc::clone(&contract.underlying), expiry };
        if let Some(number) = self.numbers.get(&key) {
            return *number;
        }
        let number = day.add_chain(ChainClass::Underlying);
        let name = match expiry {
            Some(expiry) => format!("{} {expiry}", key.underlying),
            None => key.underlying.to_string(),
        };
        self.titles.push(match contract.kind {
            InstrumentKind::Index => format!("the index {name}"),
            InstrumentKind::Equity => format!("the share {name}"),
            _ => format!("chain {name}"),
        });
        self.names.push(name);
        let (exchange, underlying) = (key.exchange, Arc::clone(&key.underlying));
        self.numbers.insert(key, number);
        self.classify(exchange, &underlying, day);
        self.link(number, expiry.is_some(), contract, day);
        number
    }

    /// Links a new chain of options with that of their underlying, whichever came first.
    fn link(&self, number: u32, is_of_options: bool, contract: &Contract, day: &mut TradingDay) {
        if !is_of_options {
            return self
                .of_underlying(contract)
                .into_iter()
                .for_each(|chain| day.set_underlying(chain, number));
        }
        let (exchange, underlying) = (contract.exchange, Arc::clone(&contract.underlying));
        if let Some(of) = self.numbers.get(&ChainKey { exchange, underlying, expiry: None }) {
            day.set_underlying(number, *of);
        }
    }

    /// By the order of an underlying's expiries.
    fn classify(&self, exchange: Exchange, underlying: &Arc<str>, day: &mut TradingDay) {
        let first = ChainKey { exchange, underlying: Arc::clone(underlying), expiry: Some(TradingDate::MIN) };
        let of_underlying = self
            .numbers
            .range(first..)
            .take_while(|(key, _)| key.exchange == exchange && key.underlying == *underlying);
        let today = day.hours().date;
        for (rank, (key, number)) in of_underlying.enumerate() {
            day.set_class(
                *number,
                match (is_index_underlying(underlying), rank) {
                    (false, _) if key.expiry == Some(today) => ChainClass::ExpiringShare,
                    (false, _) => ChainClass::Share,
                    (true, 0) => ChainClass::NearIndex,
                    (true, 1 | 2) => ChainClass::MiddleIndex,
                    (true, _) => ChainClass::FarIndex,
                },
            );
        }
    }

    /// Numbers are below this.
    pub fn count(&self) -> u32 {
        self.names.len() as u32
    }

    /// `NIFTY 2026-02-03`; an underlying's own name.
    pub fn name(&self, number: u32) -> &str {
        self.names.get(number as usize).map_or("", String::as_str)
    }

    /// `chain NIFTY 2026-02-03`, `the index NIFTY`.
    pub fn title(&self, number: u32) -> &str {
        self.titles.get(number as usize).map_or("", String::as_str)
    }

    pub fn has_options_of(&self, underlying: &str) -> bool {
        self.numbers.keys().any(|key| &*key.underlying == underlying && key.expiry.is_some())
    }

    pub fn has_expiry(&self, exchange: Exchange, underlying: &Arc<str>, expiry: TradingDate) -> bool {
        let (underlying, expiry) = (Arc::clone(underlying), Some(expiry));
        self.numbers.contains_key(&ChainKey { exchange, underlying, expiry })
    }

    /// The chains of an underlying's options.
    pub fn of_underlying(&self, contract: &Contract) -> Vec<u32> {
        let of_underlying = self.numbers.iter().filter(|(key, _)| {
            key.exchange == contract.exchange && key.underlying == contract.underlying && key.expiry.is_some()
        });
        of_underlying.map(|(_, number)| *number).collect()
    }

    /// The chains that a part has.
    pub fn of_part(&self, part: &ChainContext) -> Vec<u32> {
        let of_part = self.numbers.iter().filter(|(key, _)| {
            key.exchange == Exchange::Nse
                && key.expiry.is_some_and(|expiry| part.contains(&key.underlying, expiry))
        });
        of_part.map(|(_, number)| *number).collect()
    }
}
