//! Prices and levels that cannot be right, with the names of their underlyings, chains and contracts.

use super::Pipeline;
use crate::engine::LevelDispute;

impl Pipeline {
    /// Levels that two providers show differently, with the underlying: `the index NIFTY`.
    pub fn level_disputes(&self) -> Vec<(String, LevelDispute)> {
        let Some(day) = &self.day else { return Vec::new() };
        let title = |found: &LevelDispute| self.chains.title(day.chain_of(found.slot)).to_owned();
        day.level_disputes().into_iter().map(|found| (title(&found), found)).collect()
    }
}
