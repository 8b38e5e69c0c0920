//! Bytes to market data and back, one folder a provider. Sans-IO.

pub mod angel_one;
pub mod nse;
