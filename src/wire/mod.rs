//! Bytes to market data and back, one folder a provider; the framing that brokers share. Sans-IO.

pub mod angel_one;
pub mod nse;
mod source;
mod text;
pub mod websocket;

pub use source::{Source, SourceShape, SourceTraits, sources_of};
