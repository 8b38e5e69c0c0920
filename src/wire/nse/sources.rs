//! What the log has of NSE's website.

use super::chain_peek::peek_timestamp;
use crate::{
    market::{Delivery, Timestamp},
    wire::source::{Source, SourceShape, SourceTraits},
};

impl Source {
    /// Bodies of option-chain-v3 or option-chain-indices; context `symbol=NIFTY`.
    pub const NSE_CHAIN: Source = Source::from_code(0x10);
    /// fo_mktlots.csv.
    pub const NSE_LOTS: Source = Source::from_code(0x11);
}

pub const SOURCES: &[SourceTraits] = &[
    SourceTraits::new(Source::NSE_CHAIN, "nse_chain", SourceShape::Values(Delivery::Chain)),
    SourceTraits::new(Source::NSE_LOTS, "nse_lots", SourceShape::Reference),
];

/// See [`Source::exchange_stamp`].
pub fn exchange_stamp(source: Source, frame: &[u8]) -> Option<Timestamp> {
    match source {
        Source::NSE_CHAIN => peek_timestamp(frame).ok(),
        _ => None,
    }
}
