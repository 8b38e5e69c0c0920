//! Records of the log in, rows for the store out: decoding, the catalog of instruments and the day's engine in one
//! deterministic machine.
//!
//! The live daemon and `replay verify` run the same [`Pipeline`] over the same records, which is why replay equals
//! live. Decoding stands behind the log's order, not in the feeds: two feeds may receive at the same time, but the
//! log has one order, and whatever depends on order happens after it.
//!
//! Left out: reading and writing the log, writing rows, timers. The owner feeds in [`crate::spool::Mark::Clock`]
//! records where time must pass without data.

mod catalog;
mod chains;
mod counters;
mod day_plan;
mod decoders;
mod explain;
mod forced;
mod gaps;
mod ingest;
mod listings;
mod loss;
mod lot_sizes;
mod machine;
mod marks;
mod plausibility;
mod prices;

pub use catalog::Catalog;
pub use counters::{PipelineCounters, ProviderCounters, Undecoded};
pub use day_plan::{OtherSession, PlannedContract};
pub use decoders::nse_chain_times;
pub use forced::BesideForced;
pub use listings::{DifferingExpiries, OneSidedChain, UnrecordedExpiry};
pub use lot_sizes::{ChangedLots, ContestedLots, UnevenLots};
pub use machine::{LiveSink, NoLive, Pipeline, PipelineSettings};

#[cfg(test)]
mod evidence_tests;
#[cfg(test)]
mod tests;
