//! The raw-first log: every frame and body that carries market data, in the order in which it is worked on.
//!
//! Owns the files under the spool directory. A record is appended before anything decodes it, and the pipeline takes
//! records in the order of their numbers, so reading the log back gives the same inputs in the same order.

mod record;

pub use record::{Frames, Mark, NewRecord, Record, Source};
