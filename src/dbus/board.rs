//! What the objects on the bus show.

use super::{Counters, Daemon, Overview};
use crate::control::FeedRow;
use std::{
    fmt,
    sync::{Arc, PoisonError, RwLock},
};

/// The last look at the daemon, and its counters. Shared by all objects of one connection.
///
/// A property that has a change signal shows the look that was told, so that a reader and a listener never disagree.
pub(super) struct Board {
    shown: RwLock<Arc<Overview>>,
    source: Arc<dyn Source>,
}

/// [`Daemon`] without what makes it no trait object.
trait Source: Send + Sync {
    fn counters(&self) -> Counters;
    fn feed(&self, provider: &str) -> Option<FeedRow>;
}

impl<D: Daemon> Source for D {
    fn counters(&self) -> Counters {
        Daemon::counters(self)
    }

    fn feed(&self, provider: &str) -> Option<FeedRow> {
        Daemon::feed(self, provider)
    }
}

impl Board {
    pub fn new<D: Daemon>(daemon: Arc<D>, shown: Arc<Overview>) -> Board {
        Board { shown: RwLock::new(shown), source: daemon }
    }

    pub fn show(&self, overview: Arc<Overview>) {
        *self.shown.write().unwrap_or_else(PoisonError::into_inner) = overview;
    }

    pub fn shown(&self) -> Arc<Overview> {
        Arc::clone(&self.shown.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub fn counters(&self) -> Counters {
        self.source.counters()
    }

    pub fn feed(&self, provider: &str) -> Option<FeedRow> {
        self.source.feed(provider)
    }
}

impl fmt::Debug for Board {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Board").field("shown", &self.shown).finish_non_exhaustive()
    }
}
