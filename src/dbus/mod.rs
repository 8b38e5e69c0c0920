//! D-Bus: `org.bhavd.Bhavd1` on the system bus, a session bus, or a bus of one's own.
//!
//! A second codec for the control requests: a method asks the same [`crate::control::Request`] and gives the same
//! [`crate::control::Response`], as a dictionary. Beside that the bus has what a socket has not: properties with change
//! signals for what changes slowly, and signals for what happens.
//!
//! - `/org/bhavd/Bhavd1`: `org.bhavd.Bhavd1.Manager` and `org.freedesktop.DBus.ObjectManager`.
//! - `/org/bhavd/Bhavd1/feed/NAME`: `org.bhavd.Bhavd1.Feed`, one object a feed.
//!
//! The daemon implements [`Daemon`]; [`BusServer`] does the rest: it connects, takes the name, looks at the daemon once a
//! second, tells what changed ([`changes`]), answers, and begins anew when the bus went away.
//!
//! Invariants: the bus is optional. Its absence is a state and never an error of the daemon. Objects on the bus hold no
//! state of the daemon: properties show the last look or read counters, methods pass a bounded queue to the server, so
//! that neither a caller nor the bus ever holds anything up. Everyone reads; who may write is decided here, whatever the
//! bus's policy says ([`caller`]).
//!
//! Forms on the bus: instants are microseconds of UTC, 0 for none, in names that end in `USec`; dates are `YYYY-MM-DD`,
//! empty for none; responses are `a{sv}` with the names and forms of the control socket.
//!
//! Left out: market data. Who needs a chain or a candle asks the control socket, the store or Redis.

mod address;
mod board;
mod caller;
mod calls;
mod changes;
mod dictionary;
mod feed;
mod manager;
mod overview;
mod polkit;
mod refusal;
mod server;

pub use address::{BusAddress, UnknownBus};
pub use overview::{Counters, Daemon, Gap, Overview};
pub use polkit::PolkitPatience;
pub use server::{BusServer, LastTold};

/// The name on the bus. The version is part of it: an incompatible change makes another name.
pub const NAME: &str = "org.bhavd.Bhavd1";
/// The object of the daemon itself.
pub const PATH: &str = "/org/bhavd/Bhavd1";
/// What polkit is asked for.
pub const MANAGE_ACTION: &str = "org.bhavd.Bhavd1.manage";

/// The object of a feed. Names of providers are letters, digits and underscores, as paths want them.
pub fn feed_path(provider: &str) -> String {
    format!("{PATH}/feed/{provider}")
}
