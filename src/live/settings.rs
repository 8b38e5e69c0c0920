//! What the live state can be told.

/// The `[live]` table of the configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LiveSettings {
    /// `redis://…` or `unix:///…`; without it the live state is in memory only.
    pub redis_url: Option<String>,
}
