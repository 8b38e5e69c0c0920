//! What the pipeline met, for status and for tests.

use crate::{
    market::{Provider, Timestamp},
    spool::Source,
};

/// Sums since the start of the process, over all days.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PipelineCounters {
    pub records: u64,
    pub frames: u64,
    /// Observations handed to the day's engine.
    pub observations: u64,
    /// Frames, bodies or rows that could not be decoded.
    pub malformed: u64,
    /// Packets of contracts that are not watched.
    pub unwatched: u64,
    /// Bodies that carry another day's data: holidays, pre-open.
    pub stale_bodies: u64,
    /// Option-chain legs left out because no lot size is known for their contract.
    pub unknown_lots: u64,
    /// Records of sources that another version of bhavd writes: they are kept, and make no rows here.
    pub unknown_sources: u64,
    pub last_error: Option<String>,
    /// Newest exchange time by provider, in the order of [`Provider::ALL`].
    pub last_event: [Option<Timestamp>; Provider::ALL.len()],
}

impl PipelineCounters {
    #[cold]
    pub fn note_malformed(&mut self, error: &dyn std::fmt::Display) {
        self.malformed += 1;
        self.last_error = Some(error.to_string());
    }

    #[cold]
    pub fn note_unknown_source(&mut self, source: Source) {
        self.unknown_sources += 1;
        self.last_error = Some(format!("records of {source} are kept; this version makes no rows of them"));
    }

    pub fn last_event_of(&self, provider: Provider) -> Option<Timestamp> {
        self.last_event[usize::from(provider.code()) - 1]
    }

    #[inline]
    pub fn note_event(&mut self, provider: Provider, event_time: Timestamp) {
        let last = &mut self.last_event[usize::from(provider.code()) - 1];
        *last = (*last).max(Some(event_time));
    }
}
