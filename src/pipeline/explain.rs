//! What a replay that explains a row must know of the pipeline between two records. Reads alone.

use super::machine::Pipeline;
use crate::{
    market::{Contract, InstrumentId},
    store::GapRow,
};

impl Pipeline {
    /// A contract's number, and its place in today's engine; `None` while today's log has not named it.
    pub fn slot_of(&self, contract: &Contract) -> Option<(InstrumentId, u32)> {
        let instrument = self.catalog.instrument(contract)?;
        self.slots.get(&instrument).map(|slot| (instrument, *slot))
    }

    /// Today's gaps that have not ended, as if they did with the session.
    pub fn open_gaps(&self) -> Vec<GapRow> {
        let Some(day) = &self.day else { return Vec::new() };
        self.gaps.clone().close_session(day.hours().close)
    }
}
