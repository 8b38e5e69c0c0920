//! NSE's feed as a child.

use super::{Errand, FeedParts, IntakeSink};
use crate::{actor::ChildError, config::Config, feed::nse::NseFeed};

pub async fn run(errand: Errand<'_>, parts: &FeedParts, sink: &IntakeSink) -> Result<(), ChildError> {
    let config = &errand.order.config;
    let (stop, follow) = errand.follow();
    let feed = NseFeed {
        settings: config.feeds.nse.clone(),
        watch: parts.watch.clone(),
        clock: parts.clock.clone(),
        calendar: parts.calendar.clone(),
        status: parts.status_of(errand.desk.provider),
        sink: sink.clone(),
        beside_log: Some(config.spool.dir.clone()),
        stop,
        seed: errand.seed(parts),
    };
    let (ended, ()) = tokio::join!(feed.run(), follow);
    Ok(ended?)
}

/// The website wants no login.
pub fn check(_: &Config) -> Result<(), ChildError> {
    Ok(())
}

pub fn is_affected(one: &Config, other: &Config) -> bool {
    one.feeds.nse != other.feeds.nse
}
