//! Whether the feed and each of its streams watch what they should, and telling the log when that changes.
//!
//! The feed is up while it is logged in, has a plan, and at least one stream carries what the plan gives it; a stream that is
//! lost while others go on is told by itself. Marks alternate, of the feed as of each stream: up, down, up. What is said of a
//! stream holds until its feed is down.

use crate::{
    feed::{FeedState, FeedStatus, NotAccepted, RecordSink},
    logging::Event,
    market::{Provider, Timestamp},
    spool::Mark,
};
use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, atomic::Ordering::Relaxed},
};
use tokio::sync::Mutex;

/// What has to hold for the feed to be up.
#[derive(Debug, Default)]
struct Parts {
    logged_in: bool,
    sockets: BTreeMap<usize, Socket>,
    planned: bool,
    /// The earliest end of the watching of those streams with which the feed went down.
    unwatched_since: Option<Timestamp>,
}

/// One that should be open.
#[derive(Clone, Debug, Default)]
struct Socket {
    wanted_tokens: usize,
    /// Whether it carries them.
    is_up: bool,
    /// When there was last nothing left to read.
    caught_up: Option<Timestamp>,
    /// Why it was lost, until it is up again.
    lost: Option<Loss>,
}

#[derive(Clone, Debug)]
struct Loss {
    reason: String,
    /// The last instant at which it is known to have watched, where that is not the present.
    since: Option<Timestamp>,
}

/// How a stream ended: what is known of what else was to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StreamEnd {
    /// It was read to its end.
    InOrder,
    /// It is not known what came after there was last nothing left to read.
    Broken,
    /// It was open and brought nothing since.
    Silent { since: Timestamp },
}

impl Parts {
    fn is_up(&self) -> bool {
        let has_stream = self.sockets.is_empty() || self.sockets.values().any(|socket| socket.is_up);
        self.logged_in && self.planned && has_stream
    }

    /// Since when nobody knows what was to come on some stream: a lost one, or one that is mute and not yet found out.
    fn take_unwatched_since(&mut self) -> Option<Timestamp> {
        let open = self.sockets.values().filter(|socket| socket.is_up);
        open.filter_map(|socket| socket.caught_up).chain(self.unwatched_since.take()).min()
    }

    fn is_open(&self, slot: usize) -> bool {
        self.sockets.get(&slot).is_some_and(|socket| socket.is_up)
    }

    fn streams_down(&self) -> BTreeMap<u8, String> {
        let lost =
            |(slot, socket): (&usize, &Socket)| Some((number(*slot), socket.lost.as_ref()?.reason.clone()));
        self.sockets.iter().filter_map(lost).collect()
    }
}

/// What the log was told last.
#[derive(Debug, Default)]
struct Told {
    is_up: bool,
    /// Streams of which something holds, and whether it is that they are up.
    streams: BTreeMap<usize, bool>,
}

/// Kept by the feed's parts together. Whatever takes the feed down, the mark reaches back to where every stream that was
/// open was last known to be read to its end: what comes out of a stream later finds the feed down already.
pub(super) struct Health<S> {
    parts: RefCell<Parts>,
    status: Arc<FeedStatus>,
    sink: S,
    /// Held over the marking, so that marks keep the order of what they tell.
    told: Mutex<Told>,
}

/// As in the context of a stream's records; there are a handful of them.
fn number(slot: usize) -> u8 {
    u8::try_from(slot).unwrap_or(u8::MAX)
}

const REPLANNED: &str = "the plan has nothing for it";

impl<S: RecordSink> Health<S> {
    pub fn new(status: Arc<FeedStatus>, sink: S) -> Health<S> {
        // Of an incarnation that broke off.
        status.set_streams_down(BTreeMap::new());
        Health { parts: RefCell::default(), status, sink, told: Mutex::default() }
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
                let known = before.get(&slot).cloned().unwrap_or_default();
                parts.sockets.insert(slot, Socket { wanted_tokens: tokens, ..known });
            }
        }
        self.tell("the plan changed").await
    }

    pub async fn socket_up(&self, slot: usize, reason: &str) -> Result<(), NotAccepted> {
        if let Some(socket) = self.parts.borrow_mut().sockets.get_mut(&slot) {
            (socket.is_up, socket.caught_up, socket.lost) = (true, None, None);
        }
        self.tell(reason).await
    }

    /// Nothing was left to read at `now`, and what was read is in the log.
    pub fn caught_up(&self, slot: usize, now: Timestamp) {
        if let Some(socket) = self.parts.borrow_mut().sockets.get_mut(&slot) {
            socket.caught_up = Some(now);
        }
    }

    pub async fn socket_lost(&self, slot: usize, end: StreamEnd, reason: &str) -> Result<(), NotAccepted> {
        {
            let mut parts = self.parts.borrow_mut();
            let mut since = None;
            if let Some(socket) = parts.sockets.get_mut(&slot) {
                let caught_up = socket.caught_up.take();
                since = match end {
                    StreamEnd::InOrder => None,
                    StreamEnd::Broken => caught_up,
                    StreamEnd::Silent { since } => Some(since),
                };
                let was_up = std::mem::take(&mut socket.is_up);
                // One that did not come up again has been lost since before.
                let since = if was_up { since } else { socket.lost.take().and_then(|lost| lost.since) };
                socket.lost = Some(Loss { reason: reason.to_owned(), since });
            }
            // With others open this stream's own mark says since when.
            if !parts.sockets.values().any(|socket| socket.is_up) {
                parts.unwatched_since = parts.unwatched_since.into_iter().chain(since).min();
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
            self.status.set_streams_down(parts.streams_down());
            let waiting = if parts.logged_in { FeedState::Connecting } else { FeedState::LoggingIn };
            self.status.set_state(if parts.is_up() { FeedState::Up } else { waiting });
        }
        let mut told = self.told.lock().await;
        self.tell_streams(&mut told).await?;
        // Read after the wait: another part may have changed things and be waiting behind.
        let is_up = self.parts.borrow().is_up();
        if is_up != told.is_up {
            let provider = Provider::AngelOne;
            // What is lost while the mark is on its way counts for the next one.
            let since = self.parts.borrow_mut().take_unwatched_since();
            let mark = match is_up {
                true => Mark::feed_up(provider),
                false => since.into_iter().fold(Mark::feed_down(provider, reason), Mark::since),
            };
            self.sink.mark(mark).await?;
            told.is_up = is_up;
            if is_up {
                log::info!(event = Event::FeedUp, provider:%, reason; "Angel One feed up: {reason}");
            } else {
                // The mark ends what was said of streams that are down.
                told.streams.retain(|_, is_up| *is_up);
                log::warn!(event = Event::FeedDown, provider:%, reason; "Angel One feed down: {reason}");
            }
        }
        Ok(())
    }

    async fn tell_streams(&self, told: &mut Told) -> Result<(), NotAccepted> {
        let provider = Provider::AngelOne;
        for (slot, loss) in self.stream_changes(told) {
            let stream = number(slot);
            match &loss {
                None => {
                    self.sink.mark(Mark::stream_up(provider, stream)).await?;
                    // The first time goes without saying.
                    if told.streams.get(&slot) == Some(&false) {
                        log::info!(event = Event::StreamUp, provider:%, stream; "Angel One stream {stream} is back");
                    }
                }
                Some(Loss { reason, since }) => {
                    let mark = Mark::stream_down(provider, stream, reason);
                    self.sink.mark(since.iter().copied().fold(mark, Mark::since)).await?;
                    log::warn!(event = Event::StreamDown, provider:%, stream, reason;
                        "Angel One stream {stream} is lost: {reason}");
                }
            }
            told.streams.insert(slot, loss.is_none());
        }
        Ok(())
    }

    /// What the log does not say yet: streams that are up, or lost and why. One that never was up is told of only beside
    /// others that are.
    fn stream_changes(&self, told: &Told) -> Vec<(usize, Option<Loss>)> {
        let parts = self.parts.borrow();
        let slots: BTreeSet<usize> = parts.sockets.keys().chain(told.streams.keys()).copied().collect();
        let change = |slot: usize| {
            let lost = parts.sockets.get(&slot).and_then(|socket| socket.lost.clone());
            match (told.streams.get(&slot), parts.is_open(slot)) {
                (Some(true), true) | (Some(false), false) => None,
                (_, true) => Some((slot, None)),
                (Some(true), false) => {
                    let unplanned = Loss { reason: REPLANNED.to_owned(), since: None };
                    Some((slot, Some(lost.unwrap_or(unplanned))))
                }
                (None, false) => Some((slot, Some(lost.filter(|_| parts.is_up())?))),
            }
        };
        slots.into_iter().filter_map(change).collect()
    }

    /// The last word of a feed that was told to stop.
    pub async fn stopped(&self) -> Result<(), NotAccepted> {
        self.parts.borrow_mut().logged_in = false;
        let told = self.tell("stopped").await;
        self.status.set_streams_down(BTreeMap::new());
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

    fn stream_down(stream: u8, reason: &str, since: Option<i64>) -> Mark {
        let mark = Mark::stream_down(Provider::AngelOne, stream, reason);
        since.map(at).into_iter().fold(mark, Mark::since)
    }

    fn stream_up(stream: u8) -> Mark {
        Mark::stream_up(Provider::AngelOne, stream)
    }

    #[tokio::test]
    async fn a_mute_stream_counts_whatever_takes_the_feed_down_first() {
        let (health, told) = up().await;
        health.caught_up(1, at(120));
        health.logged_in(false, "login").await.expect("accepted");
        health.socket_lost(0, StreamEnd::Broken, "stalled").await.expect("accepted");
        assert_eq!(told.0.take(), [down("login", Some(100)), stream_down(0, "stalled", Some(100))]);
    }

    #[tokio::test]
    async fn a_lost_stream_leaves_the_others_up() {
        let (health, told) = up().await;
        health.caught_up(1, at(120));
        health.socket_lost(1, StreamEnd::Broken, "broken").await.expect("accepted");
        health.socket_lost(1, StreamEnd::InOrder, "refused").await.expect("accepted");
        assert_eq!(told.0.take(), [stream_down(1, "broken", Some(120))], "told once");
        assert_eq!(health.status.state(), FeedState::Up);
        assert_eq!(health.status.subscribed.load(Relaxed), 10);
        assert_eq!(
            health.status.streams_down(),
            BTreeMap::from([(1, "refused".to_owned())]),
            "the last reason"
        );

        health.caught_up(0, at(130));
        health.socket_lost(0, StreamEnd::Silent { since: at(110) }, "no data").await.expect("accepted");
        let both = [stream_down(0, "no data", Some(110)), down("no data", Some(110))];
        assert_eq!(told.0.take(), both, "the feed is down with its last stream");
        assert_ne!(health.status.state(), FeedState::Up);

        health.socket_up(1, "subscribed").await.expect("accepted");
        let lost_still = stream_down(0, "no data", Some(110));
        let up_again = [lost_still, stream_up(1), Mark::feed_up(Provider::AngelOne)];
        assert_eq!(told.0.take(), up_again, "a feed's end had ended what was said of its streams");
        health.socket_up(0, "subscribed").await.expect("accepted");
        assert_eq!(told.0.take(), [stream_up(0)]);
        assert_eq!(health.status.streams_down(), BTreeMap::new());
    }

    #[tokio::test]
    async fn a_stream_that_ended_in_order_was_read_to_its_end() {
        let (health, told) = up().await;
        health.caught_up(1, at(120));
        health.socket_lost(0, StreamEnd::InOrder, "closed").await.expect("accepted");
        health.socket_lost(1, StreamEnd::Broken, "broken").await.expect("accepted");
        let marks =
            [stream_down(0, "closed", None), stream_down(1, "broken", Some(120)), down("broken", Some(120))];
        assert_eq!(told.0.take(), marks);
    }

    #[tokio::test]
    async fn a_stream_that_is_none_of_the_plan_any_more_is_told_of() {
        let (health, told) = up().await;
        health.planned([(0, 10)].into_iter()).await.expect("accepted");
        assert_eq!(told.0.take(), [stream_down(1, REPLANNED, None)]);
        assert_eq!(health.status.streams_down(), BTreeMap::new(), "it should not be open");
    }

    #[tokio::test]
    async fn what_was_lost_before_the_feed_came_up_does_not_count() {
        let (health, told) = up().await;
        for slot in [0, 1] {
            health.socket_lost(slot, StreamEnd::Broken, "broken").await.expect("accepted");
        }
        for slot in [0, 1] {
            health.socket_up(slot, "subscribed").await.expect("accepted");
        }
        health.logged_in(false, "login").await.expect("accepted");
        let of_feed = |mark: &Mark| matches!(mark, Mark::FeedUp { .. } | Mark::FeedDown { .. });
        let marks: Vec<Mark> = told.0.take().into_iter().filter(of_feed).collect();
        let up = Mark::feed_up(Provider::AngelOne);
        assert_eq!(marks, [down("broken", Some(100)), up, down("login", None)]);
    }
}
