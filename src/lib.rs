//! bhavd records the Indian options market.
//!
//! The library holds everything; the three programs in `src/bin` only parse arguments, build and run.
//! ARCHITECTURE.md is the map: what lives where, which module may use which, and what must always hold.
// Only `prefetch` is excepted, which tests/tidy.rs holds.
#![deny(unsafe_code)]

pub mod actor;
pub mod calendar;
pub mod cli;
pub mod clock;
pub mod config;
pub mod control;
pub mod dbus;
pub mod engine;
pub mod feed;
pub mod jobs;
pub mod live;
pub mod logging;
pub mod market;
pub mod node;
pub mod pipeline;
mod prefetch;
pub mod sim;
pub mod spool;
pub mod store;
#[cfg(test)]
mod test_data;
pub mod wire;
