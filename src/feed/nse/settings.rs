//! What the NSE feed can be told.

/// Which of the website's two option-chain generations to ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChainGeneration {
    /// `option-chain-v3`, one expiry a call.
    V3,
    /// `option-chain-indices` and `option-chain-equities`, all expiries in one body.
    Older,
}

/// The `[feeds.nse]` table of the configuration.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NseSettings {
    pub enabled: bool,
    /// The website and its API, without a slash at its end.
    pub site_url: String,
    /// The file archive, without a slash at its end.
    pub archive_url: String,
    pub chain: ChainGeneration,
    /// How often each watched chain is asked.
    pub poll_interval_s: u32,
    pub requests_per_second: u32,
    /// Consecutive failed polls after which the feed counts as down.
    pub failures_max: u32,
}

impl Default for NseSettings {
    fn default() -> NseSettings {
        NseSettings {
            enabled: false,
            site_url: "https://www.nseindia.com".to_owned(),
            archive_url: "https://nsearchives.nseindia.com".to_owned(),
            chain: ChainGeneration::V3,
            poll_interval_s: 30,
            requests_per_second: 3,
            failures_max: 3,
        }
    }
}
