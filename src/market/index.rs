//! Which underlyings are indices.

/// The indices that options are written on, on NSE and on BSE. Everything else with options is a share.
pub const INDEX_UNDERLYINGS: [&str; 8] =
    ["NIFTY", "BANKNIFTY", "FINNIFTY", "MIDCPNIFTY", "NIFTYNXT50", "SENSEX", "BANKEX", "SENSEX50"];

/// Whether options on `underlying` (the exchange's symbol in upper case) are index options.
pub fn is_index_underlying(underlying: &str) -> bool {
    INDEX_UNDERLYINGS.contains(&underlying)
}
