//! What the Angel One feed can be told. Secrets are not among it: they are read from the credentials directory.

/// The `[feeds.angel_one]` table of the configuration.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AngelOneSettings {
    pub enabled: bool,
    /// Root of the REST calls, without a slash at its end.
    pub rest_url: String,
    /// SmartStream V2, `wss://` or `ws://`.
    pub stream_url: String,
    pub master_url: String,
    /// Sockets the client code may open, and tokens each may carry.
    pub sockets_max: usize,
    pub tokens_per_socket: usize,
    /// How often contracts that no socket carries are asked by quote requests.
    pub quote_interval_s: u32,
    pub quote_requests_per_second: u32,
    /// How often the underlyings' 3-minute candles are fetched.
    pub candle_interval_s: u32,
    /// A socket without any frame for this long is given up.
    pub stall_s: u32,
}

impl Default for AngelOneSettings {
    fn default() -> AngelOneSettings {
        AngelOneSettings {
            enabled: false,
            rest_url: "https://apiconnect.angelone.in".to_owned(),
            stream_url: "wss://smartapisocket.angelone.in/smart-stream".to_owned(),
            master_url:
                "https://margincalculator.angelbroking.com/OpenAPI_File/files/OpenAPIScripMaster.json"
                    .to_owned(),
            sockets_max: 3,
            tokens_per_socket: 1_000,
            quote_interval_s: 20,
            quote_requests_per_second: 1,
            candle_interval_s: 180,
            stall_s: 30,
        }
    }
}
