//! Counts over a day.

use super::{
    error::StoreError,
    rows::{FromStored, bucket_state},
};
use crate::market::{Bucket, BucketState, Timestamp};
use diesel::{
    QueryableByName,
    sql_types::{BigInt, SmallInt, Text},
};

/// How many contract-buckets are in each state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StateCounts {
    pub live: i64,
    pub carried: i64,
    pub backfilled: i64,
    pub missing: i64,
    /// Before the exchange listed the contract: not counted in the total.
    pub unlisted: i64,
}

impl StateCounts {
    pub fn total(&self) -> i64 {
        self.live + self.carried + self.backfilled + self.missing
    }

    pub fn of(&self, state: BucketState) -> i64 {
        match state {
            BucketState::Live => self.live,
            BucketState::Carried => self.carried,
            BucketState::Backfilled => self.backfilled,
            BucketState::Missing => self.missing,
            BucketState::Unlisted => self.unlisted,
        }
    }

    pub(super) fn add(&mut self, state: BucketState, count: i64) {
        let field = match state {
            BucketState::Live => &mut self.live,
            BucketState::Carried => &mut self.carried,
            BucketState::Backfilled => &mut self.backfilled,
            BucketState::Missing => &mut self.missing,
            BucketState::Unlisted => &mut self.unlisted,
        };
        *field += count;
    }
}

/// What a day holds of one underlying's contracts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnderlyingCoverage {
    pub underlying: String,
    /// Contracts that have coverage on the day and are listed for a part of it.
    pub contracts: i64,
    /// Contract-buckets that coverage speaks of and that are listed: each should have a row.
    pub expected: i64,
    /// Bucket rows stored, without those that are not listed.
    pub present: i64,
    pub states: StateCounts,
}

impl UnderlyingCoverage {
    pub(super) fn of(underlying: String) -> UnderlyingCoverage {
        UnderlyingCoverage {
            underlying,
            contracts: 0,
            expected: 0,
            present: 0,
            states: StateCounts::default(),
        }
    }
}

/// How many contracts of an underlying are in one state in one bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BucketStates {
    pub underlying: String,
    pub bucket: Bucket,
    pub state: BucketState,
    pub contracts: i64,
}

/// How complete a day is. Counts are of contract-buckets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CoverageReport {
    pub states: StateCounts,
    /// By name of the underlying.
    pub underlyings: Vec<UnderlyingCoverage>,
}

/// What a day holds. Rows of contracts that are not listed yet hold nothing, and are counted in `coverage` alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DaySummary {
    /// Option contracts with bucket rows.
    pub contracts: i64,
    /// Different buckets with rows.
    pub buckets: i64,
    /// Bucket rows.
    pub rows: i64,
    /// Rows of `option_snapshots` of which a side is listed.
    pub snapshots: i64,
    pub deltas: i64,
    /// Candles of every length.
    pub candles: i64,
    /// Contract-buckets by what coverage says of them.
    pub coverage: StateCounts,
}

#[derive(QueryableByName)]
pub(super) struct StoredStates {
    #[diesel(sql_type = Text)]
    pub underlying: String,
    #[diesel(sql_type = SmallInt)]
    pub state: i16,
    #[diesel(sql_type = BigInt)]
    pub buckets: i64,
}

impl FromStored for (String, BucketState, i64) {
    type Stored = StoredStates;

    fn from_stored(row: StoredStates, store: &str) -> Result<Self, StoreError> {
        Ok((row.underlying, bucket_state(row.state, store)?, row.buckets))
    }
}

#[derive(QueryableByName)]
pub(super) struct StoredCount {
    #[diesel(sql_type = Text)]
    pub name: String,
    #[diesel(sql_type = BigInt)]
    pub count: i64,
}

impl FromStored for (String, i64) {
    type Stored = StoredCount;

    fn from_stored(row: StoredCount, _store: &str) -> Result<Self, StoreError> {
        Ok((row.name, row.count))
    }
}

#[derive(QueryableByName)]
pub(super) struct StoredBucketStates {
    #[diesel(sql_type = Text)]
    pub underlying: String,
    #[diesel(sql_type = BigInt)]
    pub bucket: i64,
    #[diesel(sql_type = SmallInt)]
    pub state: i16,
    #[diesel(sql_type = BigInt)]
    pub contracts: i64,
}

impl FromStored for BucketStates {
    type Stored = StoredBucketStates;

    fn from_stored(row: StoredBucketStates, store: &str) -> Result<Self, StoreError> {
        Ok(BucketStates {
            underlying: row.underlying,
            bucket: Bucket::containing(Timestamp::from_us(row.bucket)),
            state: bucket_state(row.state, store)?,
            contracts: row.contracts,
        })
    }
}
