//! The daemon's actors, thin shells over engines and I/O; [`tree`] shows all of them on one screen.

mod control_child;
mod daemon;
pub mod demo;
mod feeds;
mod intake;
mod live_state;
mod recorder;
mod status;
mod timekeeper;
mod tree;
mod verify;
mod writer;

pub use daemon::{Daemon, DaemonError};
pub use status::DaemonStatus;
