//! The daemon's actors, thin shells over engines and I/O; [`tree`] shows all of them on one screen.

mod absent_days;
mod administration;
mod answers;
mod beginning;
mod changed_hours;
#[cfg(feature = "chaos")]
mod chaos;
mod clock_watch;
mod control_child;
mod daemon;
mod daemon_report;
mod day_news;
mod day_rules;
mod dbus_child;
mod dead_batch;
pub mod demo;
mod evidence_watch;
mod explanation;
mod failover;
mod feed_orders;
mod feeds;
mod gap_log;
mod handover;
mod hangups;
mod health;
mod held_order;
mod intake;
mod job_requests;
mod job_surroundings;
mod live_state;
mod log_filter;
mod market_queries;
mod mending;
mod notifier;
mod opening_steps;
#[cfg(test)]
mod quiet_days_tests;
mod reading_room;
mod recorder;
mod recovery;
mod reload;
mod running_config;
mod service_manager;
mod status;
mod store_record;
mod timekeeper;
mod tree;
mod value_counts;
mod value_lacks;
mod vigil;
mod writer;

pub use daemon::{Daemon, DaemonError};
pub use feeds::lacking as lacking_feeds;
pub use handover::{Handover, credentials_dir};
pub use hangups::Hangups;
pub use status::DaemonStatus;
