//! What the pipeline met, for status and for tests.

use crate::{
    engine::AHEAD_US_MAX,
    market::{Provider, Timestamp, TradingDate},
    spool::Source,
};
use std::{collections::BTreeSet, fmt};

/// Sums since the start of the process, over all days.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PipelineCounters {
    pub records: u64,
    pub frames: u64,
    /// Observations handed to the day's engine.
    pub observations: u64,
    /// Frames, bodies or rows that could not be decoded.
    pub malformed: u64,
    /// Packets of contracts that are not recorded.
    pub unwatched: u64,
    /// Bodies that carry another day's data: holidays, pre-open.
    pub stale_bodies: u64,
    /// Option-chain legs left out because no lot size is known for their contract.
    pub unknown_lots: u64,
    /// Records of sources that another version of bhavd writes: they are kept, and make no rows here.
    pub unknown_sources: u64,
    pub last_unknown_source: Option<Source>,
    pub last_error: Option<String>,
    /// The last record of which something could not be decoded; in the order of [`Provider::ALL`].
    pub last_malformed: [Undecoded; Provider::ALL.len()],
    /// Of the running day; in the same order.
    pub malformed_today: [u64; Provider::ALL.len()],
    /// Chains of the running day whose contracts have no known lot size.
    pub without_lots: BTreeSet<(String, TradingDate)>,
    /// In the order of [`Provider::ALL`].
    pub by_provider: [ProviderCounters; Provider::ALL.len()],
}

/// What could not be decoded of one record: the first few in words, and how many more.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Undecoded {
    received: Option<Timestamp>,
    texts: Vec<String>,
    more: usize,
}

impl Undecoded {
    const TEXTS_MAX: usize = 3;

    pub fn is_empty(&self) -> bool {
        self.texts.is_empty()
    }

    #[cfg(test)]
    pub fn of<'a>(texts: impl IntoIterator<Item = &'a str>) -> Undecoded {
        let mut undecoded = Undecoded::default();
        texts.into_iter().for_each(|text| undecoded.note(Timestamp::NEVER, text));
        undecoded
    }

    pub(super) fn note(&mut self, received: Timestamp, text: &str) {
        if self.received != Some(received) {
            *self = Undecoded { received: Some(received), ..Undecoded::default() };
        }
        if self.texts.len() < Self::TEXTS_MAX {
            self.texts.push(text.to_owned());
        } else {
            self.more += 1;
        }
    }
}

impl fmt::Display for Undecoded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.texts.join("; "))?;
        match self.more {
            0 => Ok(()),
            more => write!(f, "; and {more} more"),
        }
    }
}

/// What was wrong with one provider's data, and its newest exchange time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProviderCounters {
    pub malformed: u64,
    /// Bodies of another day.
    pub stale: u64,
    /// Bodies or rows about something else than was requested.
    pub refused: u64,
    /// Requested contracts that an answer did not contain.
    pub absent: u64,
    /// Bodies whose volumes are lower than those of the body before, whatever their stamps say.
    pub older_copies: u64,
    /// Stamps too far ahead.
    pub from_the_future: u64,
    /// Rows of the latest instrument master that could not be read.
    pub unread_listings: u64,
    pub last_event: Option<Timestamp>,
}

impl PipelineCounters {
    pub(super) fn begin_day(&mut self) {
        self.malformed_today = Default::default();
        self.without_lots.clear();
    }

    #[cold]
    pub fn note_malformed(&mut self, error: &dyn std::fmt::Display) {
        self.malformed += 1;
        self.last_error = Some(error.to_string());
    }

    #[cold]
    pub fn note_unknown_source(&mut self, source: Source) {
        self.unknown_sources += 1;
        self.last_unknown_source = Some(source);
        self.last_error = Some(format!("records of {source} are kept; this version makes no rows of them"));
    }

    pub fn of(&self, provider: Provider) -> &ProviderCounters {
        &self.by_provider[provider.index()]
    }

    pub fn of_mut(&mut self, provider: Provider) -> &mut ProviderCounters {
        &mut self.by_provider[provider.index()]
    }

    #[inline]
    pub fn note_event(&mut self, provider: Provider, event_time: Timestamp, received: Timestamp) {
        let counters = self.of_mut(provider);
        if event_time.us_since(received) > AHEAD_US_MAX {
            counters.from_the_future += 1;
        } else {
            counters.last_event = counters.last_event.max(Some(event_time));
        }
    }
}
