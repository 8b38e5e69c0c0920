//! What today's rules say of a day, against what the store holds.

use super::{JudgedBy, ReplayRow, RowState};
use crate::market::TradingDate;
use serde::{Deserialize, Serialize};

/// A day that is over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReplayRejudgeRequest {
    pub date: TradingDate,
}

/// What would be otherwise. Nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplayRejudgeResponse {
    pub date: TradingDate,
    /// Records of the log that were replayed.
    pub records: u64,
    /// Whose rules the day's rows follow.
    pub judged_by: JudgedBy,
    /// What today's rules say otherwise than those in the day's log, in words.
    pub rules: Vec<String>,
    /// Rows of buckets that are as before.
    pub unchanged: u64,
    /// Rows of buckets with another state or other values, by states.
    pub changes: Vec<RejudgedRows>,
    /// The other tables.
    pub rows: Vec<ReplayRow>,
    /// Parts of the log that are lost, in words.
    pub damages: Vec<String>,
}

/// Rows of one state that have another one, or the same with other values.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RejudgedRows {
    /// `None`: the store has no such row.
    pub old_state: Option<RowState>,
    /// `None`: today's rules give no such row.
    pub new_state: Option<RowState>,
    pub count: u64,
    /// Of these, rows with other values than before.
    pub other_values: u64,
    /// The first rows in words, 3 at most.
    pub examples: Vec<String>,
}
