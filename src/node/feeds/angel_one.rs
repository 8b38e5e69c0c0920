//! Angel One's feed as a child.

use super::{Errand, FeedParts, IntakeSink, check_simulated};
use crate::{
    actor::ChildError,
    config::Config,
    feed::angel_one::{AngelOneFeed, Credentials},
};

pub async fn run(errand: Errand<'_>, parts: &FeedParts, sink: &IntakeSink) -> Result<(), ChildError> {
    let config = &errand.order.config;
    let (settings, credentials) = (config.feeds.angel_one.clone(), read_credentials(config)?);
    let (context, follow) = errand.begin(parts, sink);
    let feed = AngelOneFeed { settings, credentials, context };
    let (ended, ()) = tokio::join!(feed.run(), follow);
    Ok(ended?)
}

pub fn check(config: &Config) -> Result<(), ChildError> {
    let angel_one = &config.feeds.angel_one;
    check_simulated(config, &[&angel_one.rest_url, &angel_one.stream_url, &angel_one.master_url])?;
    read_credentials(config).map(drop)
}

pub fn is_affected(one: &Config, other: &Config) -> bool {
    one.feeds.angel_one != other.feeds.angel_one || one.credentials != other.credentials
}

/// What the feed logs in with.
fn read_credentials(config: &Config) -> Result<Credentials, ChildError> {
    let directory = config.credentials.dir.as_deref().ok_or(
        "no credentials: set [credentials] dir, or LoadCredential= in the unit, to a directory with angel_one.client_code, \
         angel_one.api_key, angel_one.mpin and angel_one.totp_secret",
    )?;
    Ok(Credentials::read(directory)?)
}
