//! How a bucket came to its values.

use super::{Bucket, InstrumentId, Provider};
use std::fmt;

/// Where a bucket's values come from. The number is stored in SQL: never reuse one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum BucketState {
    /// Observed within the bucket, and a provider witnessed the contract up to the bucket's end.
    Live = 1,
    /// Nothing new within the bucket, and a provider witnessed the contract up to the bucket's end: the last values held.
    Carried = 2,
    /// Not witnessed in time; proved after an outage or by a later request.
    Backfilled = 3,
    /// Not witnessed, and nothing has proved it since. The row shows what was observed within the bucket, if anything.
    Missing = 4,
    /// The exchange had not listed the contract yet: there is nothing to record.
    Unlisted = 5,
}

impl BucketState {
    pub const ALL: [BucketState; 5] = [
        BucketState::Live,
        BucketState::Carried,
        BucketState::Backfilled,
        BucketState::Missing,
        BucketState::Unlisted,
    ];

    pub const fn code(self) -> u8 {
        self as u8
    }

    pub fn from_code(code: u8) -> Option<BucketState> {
        Self::ALL.into_iter().find(|state| state.code() == code)
    }

    pub const fn name(self) -> &'static str {
        match self {
            BucketState::Live => "live",
            BucketState::Carried => "carried",
            BucketState::Backfilled => "backfilled",
            BucketState::Missing => "missing",
            BucketState::Unlisted => "unlisted",
        }
    }
}

impl fmt::Display for BucketState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Consecutive buckets of one contract that share a state and a provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CoverageRun {
    pub instrument: InstrumentId,
    pub from_bucket: Bucket,
    /// The last bucket of the run, inclusive.
    pub to_bucket: Bucket,
    pub state: BucketState,
    pub provider: Option<Provider>,
}
