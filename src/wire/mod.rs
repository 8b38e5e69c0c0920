//! Bytes to market data and back, one folder a provider; the framing that brokers share. Sans-IO.

pub mod angel_one;
pub mod nse;
pub mod websocket;
