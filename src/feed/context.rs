//! What every feed is given, whichever provider it connects to.

use super::FeedStatus;
use crate::{calendar::Calendar, clock::Clock, engine::watch::WatchList};
use std::{path::PathBuf, sync::Arc};
use tokio::sync::watch;

/// A feed's surroundings: what it is to bring, where to, and what it goes by.
pub struct FeedContext<S> {
    pub watch: WatchList,
    pub calendar: Arc<Calendar>,
    pub clock: Clock,
    pub status: Arc<FeedStatus>,
    pub sink: S,
    /// The log's directory, where the feed keeps files of its own beside the days; none are kept without.
    pub beside_log: Option<PathBuf>,
    /// Ends the feed when it becomes true or its sender is gone.
    pub stop: watch::Receiver<bool>,
    /// Of the jitter and of the handshakes' keys.
    pub seed: u64,
}
