//! Answers about the configuration, and about a feed with its part of it.

use super::{ActorRow, FeedRow};
use serde::{Deserialize, Serialize};

/// What a change of a key takes to have its effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyEffect {
    /// A reload applies it at once.
    Live,
    /// A reload restarts the part of the daemon that it belongs to.
    RestartChild,
    /// It waits for the daemon's next start.
    RestartDaemon,
}

/// A key as it runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigurationRow {
    /// With its tables: `feeds.nse.poll_interval_s`.
    pub key: String,
    /// As the file writes it; user names and passwords of addresses are left out. `None` if it is not set.
    pub value: Option<String>,
    /// Whether this is the default.
    pub is_default: bool,
    pub effect: KeyEffect,
}

/// What runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigurationResponse {
    /// The file it came from; `None` for a daemon that was started without one.
    pub file: Option<String>,
    pub rows: Vec<ConfigurationRow>,
    /// What of it counts from the next day on: the running day is judged by its own rules.
    #[serde(default)]
    pub notices: Vec<String>,
}

/// One feed with the keys of its table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeedResponse {
    pub feed: FeedRow,
    /// The actor that runs it; `None` before the daemon has started it.
    pub actor: Option<ActorRow>,
    pub settings: Vec<ConfigurationRow>,
}

/// What came, or would come, of reading the file again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReloadOutcome {
    /// The file says what runs already.
    Unchanged,
    /// Every change has its effect, or waits for the next start where it says so.
    Applied,
    /// The file is wrong, or asks for what cannot be had; nothing was changed.
    Refused,
    /// A change could not be applied; what ran before runs again.
    Restored,
    /// Only compared.
    Compared,
}

/// One key that the file gives another value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyChange {
    pub key: String,
    pub running: Option<String>,
    pub file: Option<String>,
    pub effect: KeyEffect,
    /// Whether it runs.
    pub is_applied: bool,
}

/// A reload, or what one would be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReloadResponse {
    pub file: String,
    pub outcome: ReloadOutcome,
    pub changes: Vec<KeyChange>,
    /// Why it was refused or taken back, one line each.
    pub problems: Vec<String>,
    /// What of the file counts from the next day on: the running day is judged by its own rules.
    #[serde(default)]
    pub notices: Vec<String>,
}
