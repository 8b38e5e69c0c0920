//! Chains whose latest rows were stated as missing.
//!
//! A proof that is young says nothing of the ends of buckets: a stream that brings its copies and falls silent, again and
//! again, renews it and proves no row. So what was stated is looked at too, and it is over when rows are proved again.

use super::TradingDay;
use crate::market::{Bucket, BucketState};

/// Buckets that are looked at: one alone may be a slow answer's.
const LOOKED_AT: usize = 2;

/// A chain of which most rows of each of the latest buckets are missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MissingChain {
    pub chain: u32,
    /// In the order of time.
    pub buckets: [Bucket; LOOKED_AT],
    /// Rows of these buckets.
    pub rows: u32,
    pub missing: u32,
}

impl TradingDay {
    /// Chains of which at least half of the rows of each of the last two buckets that were stated whole are missing, so far.
    pub fn missing_chains(&self) -> Vec<MissingChain> {
        (0..self.chains.len()).filter_map(|chain| self.missing_chain(chain)).collect()
    }

    fn missing_chain(&self, number: usize) -> Option<MissingChain> {
        let chain = &self.chains[number];
        // An underlying that no provider has shown at all lacks more than rows.
        if !self.is_of_options(number) && chain.active.is_none() {
            return None;
        }
        let from = chain.closed.checked_sub(LOOKED_AT).filter(|from| *from >= chain.began)?;
        let mut found = MissingChain {
            chain: number as u32,
            buckets: std::array::from_fn(|at| self.bucket(from + at)),
            rows: 0,
            missing: 0,
        };
        for index in from..chain.closed {
            let states = chain.slots.iter().filter_map(|slot| self.marks.of(*slot as usize)[index].state());
            let (mut rows, mut missing) = (0, 0);
            for state in states {
                rows += 1;
                missing += u32::from(state == BucketState::Missing);
            }
            if missing == 0 || missing * 2 < rows {
                return None;
            }
            (found.rows, found.missing) = (found.rows + rows, found.missing + missing);
        }
        Some(found)
    }
}
