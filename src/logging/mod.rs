//! What the daemon says of itself: records of the `log` crate on their way to journald or to standard error.
//!
//! A record is formatted on the caller's thread, put into a bounded queue and written by a thread of its own, so that a
//! journald that stands still holds nobody up. A queue that fills up drops the least important records first, counts them,
//! and says how many ([`Event::LogRecordsDropped`]).
//!
//! Facts go along as key-value pairs and become fields of the journal: `log::warn!(event = Event::FeedDown, provider:% =
//! provider; "…")` is found by `journalctl PROVIDER=nse`, and `journalctl -x` explains it by the catalog
//! (systemd/bhavd.catalog). `event` names the kind and gives the record its MESSAGE_ID; `child` and `actor` become ACTOR.
//! Every record carries SESSION while a trading day is recorded, and ACTOR and INCARNATION where they are known.
//!
//! Lowest of the layers, because everybody logs. Left out: which records are worth writing, which is the callers' business,
//! and the rotation of logs, which is journald's.

mod entry;
mod event;
mod filter;
mod logger;
mod origin;
mod queue;
mod sink;
mod stderr;

pub use event::Event;
pub use filter::FilterError;
pub use logger::{
    InForce, Logging, change_level, counters, filter, in_force, restore, set_filter, start, tell_always,
};
pub use origin::{Origin, set_origin, set_session};
pub use queue::LogCounters;
