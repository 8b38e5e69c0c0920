//! Prices, levels and open interest that cannot be right, with the names of their underlyings, chains and contracts.

use super::Pipeline;
use crate::{
    engine::{ImpossiblePrice, Jump, LevelDispute, TradingDay},
    market::InstrumentId,
};

impl Pipeline {
    /// Levels that two providers show differently, with the underlying: `the index NIFTY`.
    pub fn level_disputes(&self) -> Vec<(String, LevelDispute)> {
        let Some(day) = &self.day else { return Vec::new() };
        let title = |found: &LevelDispute| self.chains.title(day.chain_of(found.slot)).to_owned();
        day.level_disputes().into_iter().map(|found| (title(&found), found)).collect()
    }

    /// Open interest and levels that jumped, and are shown since, with their contracts.
    pub fn jumps(&self) -> Vec<(InstrumentId, Jump)> {
        let named =
            |day: &TradingDay| day.jumps().map(|jump| (day.instrument_of(jump.slot), *jump)).collect();
        self.day.as_ref().map(named).unwrap_or_default()
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
