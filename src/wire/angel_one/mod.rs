//! Angel One SmartAPI: SmartStream V2 packets and REST bodies, as client and as server.
//!
//! Owns the formats only. Both directions are here so that the simulated broker speaks what the feed reads; decoding
//! what was encoded gives the same value. Decoders never panic and never trust a length, a time or an amount.
//!
//! Left out: currency and commodity segments, order calls, market depth of 20 (mode 4, withdrawn by Angel One).
//! Source of the formats: Angel One SmartAPI documentation and the official Python client 1.5.5.

mod bounds;
mod candles;
mod decimal;
mod envelope;
mod error;
mod expiry;
mod greeks;
mod json;
mod login;
mod master;
mod quote;
mod segment;
mod sources;
mod stream;
mod subscription;

pub use candles::{CandleRequest, decode_candles, encode_candles};
pub use envelope::{Refusal, RefusalClass, RefusalShape, check_answer};
pub use error::WireError;
pub use greeks::{GreekRequest, GreekRow, decode_greeks, encode_greeks};
pub use login::{LoginRequest, RefreshRequest, SessionTokens, encode_jwt, jwt_expiry};
pub use master::{
    Master, SkippedRows, cut_master, decode_master, encode_master, for_each_listing, is_symbol_of_another,
};
pub use quote::{
    Depth, DepthLevel, FullQuote, QUOTE_TOKENS_MAX, QuoteBody, QuoteContext, QuoteRequest, QuotedRow,
    Unfetched, decode_full_quotes, decode_quotes, encode_full_quotes,
};
pub use segment::{exchange_of, segment_of};
pub use sources::{SOURCES, exchange_stamp};
pub use stream::{
    DayStatistics, DepthEntry, Detail, LTP_BYTES, Packet, PacketView, QUOTE_BYTES, SNAP_QUOTE_BYTES,
    Snapshot, StreamMode, decode_quote,
};
pub use subscription::{ClientText, ServerText, StreamRefusal, StreamRequest};

/// POST with [`LoginRequest`], answered by [`SessionTokens`].
pub const LOGIN_PATH: &str = "/rest/auth/angelbroking/user/v1/loginByPassword";
/// POST with [`RefreshRequest`], answered by [`SessionTokens`].
pub const REFRESH_PATH: &str = "/rest/auth/angelbroking/jwt/v1/generateTokens";
/// POST with [`QuoteRequest`]. Angel One also accepts it with a slash at the end.
pub const QUOTE_PATH: &str = "/rest/secure/angelbroking/market/v1/quote";
/// POST with [`CandleRequest`], answered by an array of [`crate::market::Bar`].
pub const CANDLES_PATH: &str = "/rest/secure/angelbroking/historical/v1/getCandleData";
/// POST with [`GreekRequest`], answered by an array of [`GreekRow`].
pub const GREEKS_PATH: &str = "/rest/secure/angelbroking/marketData/v1/optionGreek";
