//! The Angel One feed: SmartStream sockets, quote polling for what they cannot carry, index candles.
//!
//! One future runs everything on the runtime of whoever awaits it: a session that is kept valid, the instrument master
//! of the day, up to three sockets, a sweep of quote requests and the indices' 3-minute candles. They share only
//! [`feed::Shared`]. Raw frames and bodies go to the sink before anything reads them; a sink that waits stops the
//! socket from being read.
//!
//! Left out: order calls, historical backfill, the order-update socket.

mod candles;
mod credentials;
mod feed;
mod health;
mod master;
mod plan;
mod quotes;
mod rest;
mod session;
mod settings;
mod socket;

pub use credentials::{Credentials, CredentialsError};
pub use feed::AngelOneFeed;
#[cfg(test)]
pub(crate) use plan::Plan;
pub use settings::AngelOneSettings;
