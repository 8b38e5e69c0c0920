//! Whether the feed watches everything it should, and telling the log when that changes.

use crate::{
    feed::{FeedState, FeedStatus, NotAccepted, RecordSink},
    logging::Event,
    market::{Provider, Timestamp},
    spool::Mark,
};
use std::{
    cell::RefCell,
    collections::BTreeMap,
    sync::{Arc, atomic::Ordering::Relaxed},
};
use tokio::sync::Mutex;

/// What has to hold for the feed to be up.
#[derive(Debug, Default)]
struct Parts {
    logged_in: bool,
    /// Tokens wanted on each socket that should be open, and whether it carries them.
    sockets: BTreeMap<usize, (usize, bool)>,
    planned: bool,
}

/// Kept by the feed's parts together. Marks alternate: up, down, up.
pub(super) struct Health<S> {
    parts: RefCell<Parts>,
    status: Arc<FeedStatus>,
    sink: S,
    /// Whether the last mark said up. Held over the marking, so that marks keep the order of what they tell.
    marked_up: Mutex<bool>,
}

impl<S: RecordSink> Health<S> {
    pub fn new(status: Arc<FeedStatus>, sink: S) -> Health<S> {
        Health { parts: RefCell::default(), status, sink, marked_up: Mutex::new(false) }
    }

    pub async fn logged_in(&self, logged_in: bool, reason: &str) -> Result<(), NotAccepted> {
        self.parts.borrow_mut().logged_in = logged_in;
        self.tell(None, reason).await
    }

    /// `wanted` tokens on each socket; sockets that are left out are none of the plan.
    pub async fn planned(&self, wanted: impl Iterator<Item = (usize, usize)>) -> Result<(), NotAccepted> {
        {
            let mut parts = self.parts.borrow_mut();
            parts.planned = true;
            let before = std::mem::take(&mut parts.sockets);
            for (slot, tokens) in wanted.filter(|(_, tokens)| *tokens > 0) {
                let is_up = before.get(&slot).is_some_and(|(_, is_up)| *is_up);
                parts.sockets.insert(slot, (tokens, is_up));
            }
        }
        self.tell(None, "the plan changed").await
    }

    pub async fn socket_up(&self, slot: usize, reason: &str) -> Result<(), NotAccepted> {
        self.set_socket(slot, true);
        self.tell(None, reason).await
    }

    /// `watched_until`: the last instant at which nothing was left to read, where that is not now.
    pub async fn socket_lost(
        &self,
        slot: usize,
        watched_until: Option<Timestamp>,
        reason: &str,
    ) -> Result<(), NotAccepted> {
        self.set_socket(slot, false);
        self.tell(watched_until, reason).await
    }

    fn set_socket(&self, slot: usize, is_up: bool) {
        if let Some(socket) = self.parts.borrow_mut().sockets.get_mut(&slot) {
            socket.1 = is_up;
        }
    }

    /// Shows that a part waits before it tries again, unless the feed is up all the same.
    pub fn backing_off(&self) {
        if self.status.state() != FeedState::Up {
            self.status.set_state(FeedState::BackingOff);
        }
    }

    fn is_up(&self) -> bool {
        let parts = self.parts.borrow();
        parts.logged_in && parts.planned && parts.sockets.values().all(|(_, is_up)| *is_up)
    }

    /// `since`: when the watching ended, where that is not now.
    async fn tell(&self, since: Option<Timestamp>, reason: &str) -> Result<(), NotAccepted> {
        {
            let parts = self.parts.borrow();
            let carried =
                parts.sockets.values().filter(|(_, is_up)| *is_up).map(|(tokens, _)| *tokens as u64);
            self.status.subscribed.store(carried.sum(), Relaxed);
            let waiting = if parts.logged_in { FeedState::Connecting } else { FeedState::LoggingIn };
            self.status.set_state(if self.is_up() { FeedState::Up } else { waiting });
        }
        let mut marked_up = self.marked_up.lock().await;
        // Read after the wait: another part may have changed things and be waiting behind.
        let is_up = self.is_up();
        if is_up != *marked_up {
            let provider = Provider::AngelOne;
            let mark = match is_up {
                true => Mark::feed_up(provider),
                false => {
                    let mark = Mark::feed_down(provider, reason);
                    since.into_iter().fold(mark, Mark::since)
                }
            };
            self.sink.mark(mark).await?;
            *marked_up = is_up;
            if is_up {
                log::info!(event = Event::FeedUp, provider:%, reason; "Angel One feed up: {reason}");
            } else {
                log::warn!(event = Event::FeedDown, provider:%, reason; "Angel One feed down: {reason}");
            }
        }
        Ok(())
    }

    /// The last word of a feed that was told to stop.
    pub async fn stopped(&self) -> Result<(), NotAccepted> {
        self.parts.borrow_mut().logged_in = false;
        let told = self.tell(None, "stopped").await;
        self.status.set_state(FeedState::Stopped);
        told
    }
}
