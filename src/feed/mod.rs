//! Connections to providers: log in, subscribe, poll, reconnect; hand raw frames over before anyone decodes them.
//!
//! A feed owns its sockets and its retries. Lost connections, expired tokens and refused requests are states of a
//! feed, never errors of the daemon. It decodes only what it must to keep going (tokens to subscribe to, whether a
//! body is an answer at all); values are decoded downstream, in the order of the log.

pub mod angel_one;
mod backoff;
mod context;
mod error;
mod last_good;
mod limiter;
pub mod messages;
pub mod nse;
mod refused_bodies;
mod secret;
mod status;

pub use context::FeedContext;
pub use error::{FeedError, NotAccepted};
pub use secret::Secret;
pub use status::{FeedState, FeedStatus, Unsteady};

use crate::spool::{Mark, NewRecord};
use std::future::Future;

/// Where feeds hand over what they received. Implemented by the spool-and-pipeline intake, and by tests.
pub trait RecordSink: Clone + 'static {
    /// Returns when the record is in the log. Waits while the pipeline is full: the feed then stops reading its socket.
    fn accept(&self, record: NewRecord) -> impl Future<Output = Result<(), NotAccepted>>;

    /// Says that a feed's watching began or ended.
    fn mark(&self, mark: Mark) -> impl Future<Output = Result<(), NotAccepted>>;
}
