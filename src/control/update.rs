//! What a watcher is told, as it happens.

use super::WallTime;
use serde::{Deserialize, Serialize};

/// One item of a watch stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Update {
    /// A contract's open interest changed.
    Delta {
        contract: String,
        event_time: WallTime,
        old_open_interest: i64,
        new_open_interest: i64,
        delta: i64,
        last_price_e4: Option<i64>,
        provider: String,
    },
    /// A bucket of an underlying's contracts was closed.
    Bucket {
        underlying: String,
        /// Start of the bucket.
        bucket: WallTime,
        level_e4: Option<i64>,
        call_open_interest: i64,
        put_open_interest: i64,
        live: u64,
        carried: u64,
        missing: u64,
    },
    /// A feed's state changed.
    Feed { time: WallTime, provider: String, state: String, reason: String },
    /// Updates that were left out here because the watcher reads too slowly.
    Lost { count: u64 },
}
