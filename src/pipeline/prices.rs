//! Prices and levels that cannot be right, with the names of their underlyings, chains and contracts.

use super::Pipeline;
use crate::{
    engine::{ImpossiblePrice, LevelDispute},
    market::InstrumentId,
};

impl Pipeline {
    /// Levels that two providers show differently, with the underlying: `the index NIFTY`.
    pub fn level_disputes(&self) -> Vec<(String, LevelDispute)> {
        let Some(day) = &self.day else { return Vec::new() };
        let title = |found: &LevelDispute| self.chains.title(day.chain_of(found.slot)).to_owned();
        day.level_disputes().into_iter().map(|found| (title(&found), found)).collect()
    }

    /// Prices of options that cannot be, with the name of the chain and the contract.
    pub fn impossible_prices(&self) -> Vec<(String, InstrumentId, ImpossiblePrice)> {
        let Some(day) = &self.day else { return Vec::new() };
        let named = |found: ImpossiblePrice| {
            (self.chains.name(found.chain).to_owned(), day.instrument_of(found.slot), found)
        };
        day.impossible_prices().into_iter().map(named).collect()
    }
}
