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
    sockets: BTreeMap<usize, Socket>,
    planned: bool,
    /// The earliest end of a stream's watching since the feed was last up.
    unwatched_since: Option<Timestamp>,
}

/// One that should be open.
#[derive(Clone, Copy, Debug, Default)]
struct Socket {
    wanted_tokens: usize,
    /// Whether it carries them.
    is_up: bool,
    /// When there was last nothing left to read.
    caught_up: Option<Timestamp>,
}

impl Parts {
    fn is_up(&self) -> bool {
        self.logged_in && self.planned && self.sockets.values().all(|socket| socket.is_up)
    }

    /// Since when nobody knows what was to come on some stream: a lost one, or one that is mute and not yet found out.
    fn take_unwatched_since(&mut self) -> Option<Timestamp> {
        let open = self.sockets.values().filter(|socket| socket.is_up);
        open.filter_map(|socket| socket.caught_up).chain(self.unwatched_since.take()).min()
    }
}

/// Kept by the feed's parts together. Marks alternate: up, down, up. Whatever takes the feed down, the mark reaches back
/// to where every stream was last known to be read to its end: what comes out of a stream later finds the feed down
/// already.
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
        self.tell(reason).await
    }

    /// `wanted` tokens on each socket; sockets that are left out are none of the plan.
    pub async fn planned(&self, wanted: impl Iterator<Item = (usize, usize)>) -> Result<(), NotAccepted> {
        {
            let mut parts = self.parts.borrow_mut();
            parts.planned = true;
            let before = std::mem::take(&mut parts.sockets);
            for (slot, tokens) in wanted.filter(|(_, tokens)| *tokens > 0) {
                let known = before.get(&slot).copied().unwrap_or_default();
                parts.sockets.insert(slot, Socket { wanted_tokens: tokens, ..known });
            }
        }
        self.tell("the plan changed").await
    }

    pub async fn socket_up(&self, slot: usize, reason: &str) -> Result<(), NotAccepted> {
        if let Some(socket) = self.parts.borrow_mut().sockets.get_mut(&slot) {
            (socket.is_up, socket.caught_up) = (true, None);
        }
        self.tell(reason).await
    }

    /// Nothing was left to read at `now`, and what was read is in the log.
    pub fn caught_up(&self, slot: usize, now: Timestamp) {
        if let Some(socket) = self.parts.borrow_mut().sockets.get_mut(&slot) {
            socket.caught_up = Some(now);
        }
    }

    /// A stream that `ended_in_order` was read to its end. Of any other nobody knows what else was to come.
    pub async fn socket_lost(
        &self,
        slot: usize,
        ended_in_order: bool,
        reason: &str,
    ) -> Result<(), NotAccepted> {
        {
            let mut parts = self.parts.borrow_mut();
            if let Some(socket) = parts.sockets.get_mut(&slot) {
                socket.is_up = false;
                let caught_up = socket.caught_up.take().filter(|_| !ended_in_order);
                parts.unwatched_since = parts.unwatched_since.into_iter().chain(caught_up).min();
            }
        }
        self.tell(reason).await
    }

    /// Shows that a part waits before it tries again, unless the feed is up all the same.
    pub fn backing_off(&self) {
        if self.status.state() != FeedState::Up {
            self.status.set_state(FeedState::BackingOff);
        }
    }

    async fn tell(&self, reason: &str) -> Result<(), NotAccepted> {
        {
            let parts = self.parts.borrow();
            let open = parts.sockets.values().filter(|socket| socket.is_up);
            let carried = open.map(|socket| socket.wanted_tokens as u64);
            self.status.subscribed.store(carried.sum(), Relaxed);
            let waiting = if parts.logged_in { FeedState::Connecting } else { FeedState::LoggingIn };
            self.status.set_state(if parts.is_up() { FeedState::Up } else { waiting });
        }
        let mut marked_up = self.marked_up.lock().await;
        // Read after the wait: another part may have changed things and be waiting behind.
        let is_up = self.parts.borrow().is_up();
        if is_up != *marked_up {
            let provider = Provider::AngelOne;
            // What is lost while the mark is on its way counts for the next one.
            let since = self.parts.borrow_mut().take_unwatched_since();
            let mark = match is_up {
                true => Mark::feed_up(provider),
                false => since.into_iter().fold(Mark::feed_down(provider, reason), Mark::since),
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
        let told = self.tell("stopped").await;
        self.status.set_state(FeedState::Stopped);
        told
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spool::NewRecord;
    use std::rc::Rc;

    #[derive(Clone, Default)]
    struct Told(Rc<RefCell<Vec<Mark>>>);

    impl RecordSink for Told {
        async fn accept(&self, _: NewRecord) -> Result<(), NotAccepted> {
            Ok(())
        }

        async fn mark(&self, mark: Mark) -> Result<(), NotAccepted> {
            self.0.borrow_mut().push(mark);
            Ok(())
        }
    }

    /// With two sockets open, which were read to their ends at the second 100.
    async fn up() -> (Health<Told>, Told) {
        let told = Told::default();
        let health = Health::new(Arc::new(FeedStatus::new(Provider::AngelOne)), told.clone());
        health.logged_in(true, "logged in").await.expect("accepted");
        health.planned([(0, 10), (1, 10)].into_iter()).await.expect("accepted");
        for slot in [0, 1] {
            health.socket_up(slot, "subscribed").await.expect("accepted");
            health.caught_up(slot, at(100));
        }
        told.0.borrow_mut().clear();
        (health, told)
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_us(second * 1_000_000)
    }

    fn down(reason: &str, since: Option<i64>) -> Mark {
        let mark = Mark::feed_down(Provider::AngelOne, reason);
        since.map(at).into_iter().fold(mark, Mark::since)
    }

    #[tokio::test]
    async fn a_mute_stream_counts_whatever_takes_the_feed_down_first() {
        let (health, told) = up().await;
        health.caught_up(1, at(120));
        health.logged_in(false, "login").await.expect("accepted");
        health.socket_lost(0, false, "stalled").await.expect("accepted");
        assert_eq!(told.0.take(), [down("login", Some(100))]);

        let (health, told) = up().await;
        health.caught_up(1, at(120));
        health.socket_lost(1, false, "broken").await.expect("accepted");
        assert_eq!(told.0.take(), [down("broken", Some(100))], "the other one is mute for longer");
    }

    #[tokio::test]
    async fn a_stream_that_ended_in_order_was_read_to_its_end() {
        let (health, told) = up().await;
        health.caught_up(1, at(120));
        health.socket_lost(0, true, "closed").await.expect("accepted");
        assert_eq!(told.0.take(), [down("closed", Some(120))]);
    }

    #[tokio::test]
    async fn what_was_lost_before_the_feed_came_up_does_not_count() {
        let (health, told) = up().await;
        for slot in [0, 1] {
            health.socket_lost(slot, false, "broken").await.expect("accepted");
        }
        for slot in [0, 1] {
            health.socket_up(slot, "subscribed").await.expect("accepted");
        }
        health.logged_in(false, "login").await.expect("accepted");
        let up = Mark::feed_up(Provider::AngelOne);
        assert_eq!(told.0.take(), [down("broken", Some(100)), up, down("login", None)]);
    }
}
