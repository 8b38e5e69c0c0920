//! NSE's feed as a child.

use super::{Errand, FeedParts, IntakeSink, check_simulated};
use crate::{actor::ChildError, config::Config, feed::nse::NseFeed};

pub async fn run(errand: Errand<'_>, parts: &FeedParts, sink: &IntakeSink) -> Result<(), ChildError> {
    let (context, follow) = errand.begin(parts, sink);
    let feed = NseFeed { settings: errand.order.config.feeds.nse.clone(), context };
    let (ended, ()) = tokio::join!(feed.run(), follow);
    Ok(ended?)
}

/// The website wants no login.
pub fn check(config: &Config) -> Result<(), ChildError> {
    let nse = &config.feeds.nse;
    check_simulated(config, &[&nse.site_url, &nse.archive_url])
}

pub fn is_affected(one: &Config, other: &Config) -> bool {
    one.feeds.nse != other.feeds.nse
}
