//! `org.bhavd.Bhavd1.Feed`: the connection to one provider.

use super::{
    board::Board, calls::Calls, changes::Changed, dictionary::Dictionary, manager::instant_us,
    refusal::Refusal,
};
use crate::control::{FeedRequest, FeedRow, Request};
use std::sync::Arc;
use zbus::{Connection, Variant, interface, message::Header};

#[derive(Debug)]
pub(super) struct Feed {
    pub provider: String,
    pub board: Arc<Board>,
    pub calls: Calls,
}

/// The properties whose changes are told, as [`Feed`] gives them.
pub(super) fn told(row: &FeedRow) -> Changed {
    Changed::from([
        ("State", Variant::from(row.state.clone())),
        ("LastError", Variant::from(row.last_error.clone())),
        ("Subscribed", Variant::from(row.subscribed)),
    ])
}

impl Feed {
    /// As it was last told; nothing of a feed that is about to be taken from the bus.
    fn shown<T: Default>(&self, pick: impl Fn(&FeedRow) -> T) -> T {
        let shown = self.board.shown();
        shown.feeds.iter().find(|row| row.provider == self.provider).map(pick).unwrap_or_default()
    }

    fn counted(&self, pick: impl Fn(&FeedRow) -> u64) -> u64 {
        self.board.feed(&self.provider).map_or(0, |row| pick(&row))
    }

    fn request(&self) -> FeedRequest {
        FeedRequest { feed: self.provider.clone() }
    }
}

/// A connection to a provider.
#[interface(name = "org.bhavd.Bhavd1.Feed")]
impl Feed {
    /// Lets the feed run, also if the configuration does not; until the daemon is restarted. Returns the feed as `bhavctl feed
    /// show` does. For the same callers as the manager's Reload.
    #[zbus(out_args("feed"))]
    async fn enable(
        &self,
        #[zbus(connection)] connection: &Connection,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<Dictionary, Refusal> {
        self.calls.ask(Request::EnableFeed(self.request()), connection, &header).await
    }

    /// Stops the feed until it is enabled again or the daemon is restarted.
    #[zbus(out_args("feed"))]
    async fn disable(
        &self,
        #[zbus(connection)] connection: &Connection,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<Dictionary, Refusal> {
        self.calls.ask(Request::DisableFeed(self.request()), connection, &header).await
    }

    /// Drops the feed's connections and sessions and begins anew.
    #[zbus(out_args("feed"))]
    async fn reconnect(
        &self,
        #[zbus(connection)] connection: &Connection,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<Dictionary, Refusal> {
        self.calls.ask(Request::ReconnectFeed(self.request()), connection, &header).await
    }

    #[zbus(property(emits_changed_signal = "const"))]
    fn provider(&self) -> String {
        self.provider.clone()
    }

    /// `idle`, `logging in`, `connecting`, `up`, `backing off`, `stopped`.
    #[zbus(property)]
    fn state(&self) -> String {
        self.shown(|row| row.state.clone())
    }

    /// Empty if there was none.
    #[zbus(property)]
    fn last_error(&self) -> String {
        self.shown(|row| row.last_error.clone())
    }

    /// Contracts asked for.
    #[zbus(property)]
    fn subscribed(&self) -> u64 {
        self.shown(|row| row.subscribed)
    }

    #[zbus(property(emits_changed_signal = "false"))]
    fn frames(&self) -> u64 {
        self.counted(|row| row.frames)
    }

    #[zbus(property(emits_changed_signal = "false"))]
    fn requests(&self) -> u64 {
        self.counted(|row| row.requests)
    }

    #[zbus(property(emits_changed_signal = "false"))]
    fn errors(&self) -> u64 {
        self.counted(|row| row.errors)
    }

    #[zbus(property(emits_changed_signal = "false"))]
    fn reconnects(&self) -> u64 {
        self.counted(|row| row.reconnects)
    }

    #[zbus(property(emits_changed_signal = "false"), name = "LastFrameUSec")]
    fn last_frame(&self) -> u64 {
        self.counted(|row| instant_us(row.last_frame.map(|time| time.0)))
    }

    /// The newest time of the exchange.
    #[zbus(property(emits_changed_signal = "false"), name = "LastEventUSec")]
    fn last_event(&self) -> u64 {
        self.counted(|row| instant_us(row.last_event.map(|time| time.0)))
    }
}
