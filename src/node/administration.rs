//! What operators ask of the daemon itself: feeds on and off, the configuration, the log's filter, the end.

use super::{
    control_child::ControlChild,
    daemon::DRAIN_WITHIN,
    daemon_report::feed_row,
    feed_orders::{FeedDesk, Switch},
    feeds, log_filter, reload,
};
use crate::{
    control::{
        ConfigurationResponse, ControlError, DrainResponse, FeedRequest, FeedResponse, LogFilterResponse,
        SetLogFilterRequest,
    },
    feed::FeedState,
};
use std::time::Duration;

/// How long an answer waits for a feed to follow an order; it shows what the feed is in by then.
const FOLLOWED_WITHIN: Duration = Duration::from_secs(5);
const LOOK_EVERY: Duration = Duration::from_millis(20);

impl ControlChild {
    /// Waits until a feed shows that it follows an order, so that the answer does not show what was before. One that fails
    /// shows its failure.
    async fn follow(&self, desk: &FeedDesk, number: u64) {
        let status = self.status.feeds.iter().find(|feed| feed.provider == desk.provider);
        let is_at_rest = |state| matches!(state, FeedState::Disabled | FeedState::SwitchedOff);
        let followed = async {
            if desk.begun(number, FOLLOWED_WITHIN).await.is_err() {
                return;
            }
            let is_to_rest = desk.order().rest(desk.provider).is_some();
            while status.is_some_and(|status| is_at_rest(status.state()) != is_to_rest) {
                tokio::time::sleep(LOOK_EVERY).await;
            }
        };
        let _ = tokio::time::timeout(FOLLOWED_WITHIN, followed).await;
    }

    fn desk(&self, request: &FeedRequest) -> Result<&FeedDesk, ControlError> {
        self.orders.desk(&request.feed).ok_or_else(|| ControlError::UnknownFeed {
            feed: request.feed.clone(),
            known: self.orders.desks().iter().map(|desk| desk.provider.to_string()).collect(),
        })
    }

    pub(super) fn show_feed(&self, request: &FeedRequest) -> Result<FeedResponse, ControlError> {
        let desk = self.desk(request)?;
        let status = self.status.feeds.iter().find(|feed| feed.provider == desk.provider);
        let status = status.ok_or_else(|| ControlError::NoData {
            reason: format!("the feed {} shows nothing of itself", desk.provider),
        })?;
        let (path, table) = (format!("feeds/{}", desk.provider), format!("feeds.{}.", desk.provider));
        let mut settings = reload::rows(&desk.order().config);
        settings.retain(|row| row.key.starts_with(&table));
        Ok(FeedResponse {
            feed: feed_row(status),
            actor: self.show_actors().actors.into_iter().find(|actor| actor.path == path),
            settings,
        })
    }

    /// Lets a feed run, whether or not the configuration enables it. A feed that runs goes on.
    pub(super) async fn enable_feed(&self, request: &FeedRequest) -> Result<FeedResponse, ControlError> {
        let desk = self.desk(request)?;
        let order = desk.order();
        if order.rest(desk.provider).is_some() {
            feeds::check(desk.provider, &order.config)
                .map_err(|error| ControlError::Unavailable { reason: error.to_string() })?;
            let is_configured = order.config.feeds.is_enabled(desk.provider);
            let number = desk.switch(if is_configured { Switch::AsConfigured } else { Switch::On });
            self.follow(desk, number).await;
        }
        self.show_feed(request)
    }

    pub(super) async fn disable_feed(&self, request: &FeedRequest) -> Result<FeedResponse, ControlError> {
        let desk = self.desk(request)?;
        if desk.order().rest(desk.provider).is_none() {
            let number = desk.switch(Switch::Off);
            self.follow(desk, number).await;
        }
        self.show_feed(request)
    }

    pub(super) fn reconnect_feed(&self, request: &FeedRequest) -> Result<FeedResponse, ControlError> {
        let desk = self.desk(request)?;
        if let Some(state) = desk.order().rest(desk.provider) {
            let reason = format!(
                "feed {0} is {1}; `bhavctl feed enable {0}` lets it run",
                desk.provider,
                state.name()
            );
            return Err(ControlError::Unavailable { reason });
        }
        desk.reconnect();
        self.show_feed(request)
    }

    pub(super) fn show_configuration(&self) -> ConfigurationResponse {
        ConfigurationResponse {
            file: self.reloader.file(),
            rows: reload::rows(&self.running.get()),
            notices: self.reloader.later(),
        }
    }

    pub(super) fn show_log_filter(&self) -> LogFilterResponse {
        LogFilterResponse {
            filter: log_filter::current(),
            configured: log_filter::name(self.running.get().log.level),
        }
    }

    pub(super) fn set_log_filter(
        &self,
        request: &SetLogFilterRequest,
    ) -> Result<LogFilterResponse, ControlError> {
        log_filter::set(&request.filter).map_err(|reason| ControlError::invalid("filter", reason))?;
        Ok(self.show_log_filter())
    }

    pub(super) fn drain(&self) -> DrainResponse {
        self.tree.drain(DRAIN_WITHIN);
        DrainResponse { pid: std::process::id(), within_s: DRAIN_WITHIN.as_secs() }
    }
}
