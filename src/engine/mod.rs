//! Pure state machines: input and `now` in, rows out. No I/O, no clock, no randomness, no order of a hash map.

mod candle;
mod coverage;
mod intervals;
mod observation;
mod router;
mod rows;
mod trading_day;
pub mod watch;

pub use observation::{COPY_AGE_US_MAX, Observation};
pub use router::Router;
pub use rows::Rows;
pub use trading_day::{DayCounters, SessionHours, SlotSpec, TradingDay};
