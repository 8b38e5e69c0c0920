//! What each fuzz target asserts. The integration tests run the same functions over random and damaged input.

pub mod angel_one;
pub mod calendar;
pub mod control;
pub mod nse;
pub mod websocket;
