//! The rules by which a day is judged. They stand at the head of the day's log, so that no change of the configuration, the
//! calendar or the version alters a day that is over.

use crate::{
    engine::watch::WatchedUnderlying,
    market::{Provider, Timestamp, TradingDate},
};
use std::collections::BTreeMap;

/// Counts the versions of the engine's judgement: one more whenever the same log and rules give other rows.
pub const RULES_SCHEMA: u32 = 1;

/// See the module's head.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct DayRules {
    pub schema: u32,
    /// What is recorded.
    pub universe: Vec<WatchedUnderlying>,
    /// How long after its end a bucket stays open at least.
    pub grace_us: i64,
    /// Silences shorter than this say nothing: of a day that passed faster than machines respond.
    #[serde(default)]
    pub silence_min_us: i64,
    /// By channel, such as `nse_chain`.
    #[serde(default)]
    pub channels: BTreeMap<String, ChannelTimes>,
    /// Names of providers in their order.
    pub preference: Vec<String>,
    /// `None` on a day without a session.
    pub session: Option<SessionTimes>,
}

/// What is declared of a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct ChannelTimes {
    /// How long after its end a bucket's row waits for proof.
    pub lateness_us: i64,
    /// Two snapshots further apart prove nothing of the time between them.
    pub gap_max_us: i64,
}

/// A session as the calendar had it, µs UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct SessionTimes {
    pub open_us: i64,
    pub close_us: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expiring_index_close_us: Option<i64>,
}

impl DayRules {
    /// In their order; names that this version does not know are passed over.
    pub fn providers(&self) -> Vec<Provider> {
        self.preference.iter().filter_map(|name| name.parse().ok()).collect()
    }

    /// Whether this version of the engine judges a day of these rules as the one that recorded it did.
    pub fn is_current(&self) -> bool {
        self.schema == RULES_SCHEMA
    }
}

impl SessionTimes {
    pub fn open(&self) -> Timestamp {
        Timestamp::from_us(self.open_us)
    }

    pub fn close(&self) -> Timestamp {
        Timestamp::from_us(self.close_us)
    }

    /// The date in India.
    pub fn date(&self) -> TradingDate {
        self.open().date_ist()
    }
}
