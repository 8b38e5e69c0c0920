//! What the log has of Angel One.

use super::stream::Packet;
use crate::{
    market::{Delivery, Timestamp},
    wire::source::{Source, SourceShape, SourceTraits},
};

impl Source {
    /// SmartStream V2 binary packets, one a frame; context `stream=0`.
    pub const ANGEL_ONE_STREAM: Source = Source::from_code(0x01);
    /// Bodies of market/v1/quote, mode FULL; context `sent_us=1769744700000000&tokens=2:35001,2:35002`.
    pub const ANGEL_ONE_QUOTE: Source = Source::from_code(0x02);
    /// Bodies of historical/v1/getCandleData; context `segment=1&token=99926000&interval=THREE_MINUTE`.
    pub const ANGEL_ONE_CANDLES: Source = Source::from_code(0x03);
    /// OpenAPIScripMaster.json, cut down to the watched underlyings' rows, unchanged otherwise.
    pub const ANGEL_ONE_MASTER: Source = Source::from_code(0x04);
    /// Bodies of marketData/v1/optionGreek; context `name=NIFTY&expiry=2026-02-03`.
    pub const ANGEL_ONE_GREEKS: Source = Source::from_code(0x05);
}

pub const SOURCES: &[SourceTraits] = &[
    SourceTraits::new(Source::ANGEL_ONE_STREAM, "angel_one_stream", SourceShape::Values(Delivery::Stream)),
    SourceTraits::new(Source::ANGEL_ONE_QUOTE, "angel_one_quote", SourceShape::Values(Delivery::Quote)),
    SourceTraits::new(Source::ANGEL_ONE_CANDLES, "angel_one_candles", SourceShape::Values(Delivery::Quote)),
    SourceTraits::new(Source::ANGEL_ONE_MASTER, "angel_one_master", SourceShape::Reference).long(),
    SourceTraits::new(Source::ANGEL_ONE_GREEKS, "angel_one_greeks", SourceShape::Values(Delivery::Quote)),
];

/// See [`Source::exchange_stamp`].
pub fn exchange_stamp(source: Source, frame: &[u8]) -> Option<Timestamp> {
    match source {
        Source::ANGEL_ONE_STREAM => Timestamp::from_ms(Packet::decode(frame).ok()?.exchange_time_ms),
        _ => None,
    }
}
