//! NSE's website JSON and archives.
//!
//! Owns the shapes of option chains (both generations), contract information, market status and the lot-size file,
//! in both directions: decoders for the feed and the pipeline, encoders for the simulator. Decoding what was encoded
//! gives the same values back. Decoders take any bytes, never panic, and name the place of what is wrong.
//!
//! Open interest and volume are in lots on this wire; [`Leg::quote`] turns them into units. Left out: HTTP, cookies,
//! and everything about when to ask.

mod chain;
mod chain_decode;
mod chain_encode;
mod chain_peek;
#[cfg(test)]
mod chain_tests;
mod context;
mod contracts;
mod error;
mod field;
mod identifier;
mod lots;
mod sources;
mod status;
mod units;
mod unread;

pub use chain::{Chain, Leg};
pub use chain_decode::decode_chain;
pub use chain_encode::{ChainShape, encode_chain};
pub use chain_peek::{PeekedChain, peek_chain, peek_timestamp};
pub use context::{ChainContext, ContextError};
pub use contracts::{ContractInfo, decode_contracts, encode_contracts};
pub use error::{BODY_MAX_BYTES, WireError, excerpt};
pub use lots::{LotMonth, LotRow, LotSection, LotTable, decode_lots, encode_lots};
pub use sources::{SOURCES, exchange_stamp};
pub use status::{MarketState, MarketStatus, decode_status, encode_status};
pub use units::{UnitsError, lots_from_units, units_from_lots};
pub use unread::Unread;

use crate::market::TradingDate;

/// An expiry as the website's queries want it: `15-Sep-2026`.
pub fn format_expiry(expiry: TradingDate) -> String {
    field::format_date(expiry)
}

/// An expiry out of a query: `15-Sep-2026` or `15-09-2026`.
pub fn parse_expiry(text: &str) -> Option<TradingDate> {
    field::parse_date(text.as_bytes())
}
