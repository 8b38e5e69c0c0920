//! The feed from NSE's website: polls option chains around session hours.
//!
//! One future runs everything on the runtime of whoever awaits it. A day goes: the lot-size file to the sink, then the
//! expiries of each watched underlying, then every watched chain once an interval, spread evenly, a few requests in
//! flight. Bodies go to the sink as they came; nothing here reads more of them than the time stamp. A body that is no
//! answer (HTML, `{}`, a cut one) is an error of the feed and goes nowhere; one that repeats the last is only counted.
//!
//! Left out: the archives of closed days, and everything of the website that is not about option chains.

mod feed;
mod health;
mod schedule;
mod settings;
mod site;
mod targets;
mod window;

pub use feed::NseFeed;
pub use settings::{ChainGeneration, NseSettings};
