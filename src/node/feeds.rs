//! The feeds as children: each incarnation is a fresh feed over the same log and status.

use super::{
    intake::{Intake, IntakeSink},
    status::DaemonStatus,
};
use crate::{
    actor::{ChildError, Lease},
    calendar::Calendar,
    clock::Clock,
    engine::watch::WatchList,
    feed::{
        FeedStatus, NotAccepted, RecordSink,
        angel_one::{AngelOneFeed, AngelOneSettings, Credentials},
        nse::{NseFeed, NseSettings},
    },
    market::Provider,
    spool::Mark,
};
use std::{path::PathBuf, sync::Arc};
use tokio::sync::watch;

/// What feeds are made of.
#[derive(Clone)]
pub struct FeedParts {
    pub watch: WatchList,
    pub clock: Clock,
    pub calendar: Arc<Calendar>,
    pub intake: Intake,
    pub status: Arc<DaemonStatus>,
    pub credentials_directory: Option<PathBuf>,
    /// Of all jitter.
    pub seed: u64,
}

impl FeedParts {
    fn status_of(&self, provider: Provider) -> Arc<FeedStatus> {
        let found = self.status.feeds.iter().find(|status| status.provider == provider);
        found.cloned().unwrap_or_else(|| Arc::new(FeedStatus::new(provider)))
    }

    /// Different for every incarnation, so that a restarted feed does not repeat its waits.
    fn seed_of(&self, lease: &Lease) -> u64 {
        self.seed.wrapping_add(lease.incarnation())
    }
}

/// An incarnation that panicked or hung has told the log nothing of its end: nobody watched since, at the latest from now
/// on until this one is up.
async fn note_loss(sink: &IntakeSink, provider: Provider, lease: &Lease) -> Result<(), NotAccepted> {
    if lease.incarnation() > 1 {
        sink.mark(Mark::feed_down(provider, "the feed was started again")).await?;
    }
    Ok(())
}

/// A signal in the feeds' form that follows the lease, for as long as the feed holds it.
fn follow(lease: &Lease) -> (watch::Receiver<bool>, impl Future<Output = ()> + use<>) {
    let (sender, receiver) = watch::channel(false);
    let lease = lease.clone();
    let follow = async move {
        tokio::select! {
            _ = lease.stopping() => {}
            // The feed has ended by itself; its error must not wait for a stop.
            () = sender.closed() => return,
        }
        sender.send_replace(true);
        // Held until the feed has ended: a dropped sender says "stop" as well.
        sender.closed().await;
    };
    (receiver, follow)
}

pub async fn run_angel_one(
    parts: FeedParts,
    settings: AngelOneSettings,
    lease: Lease,
) -> Result<(), ChildError> {
    let directory = parts.credentials_directory.as_deref().ok_or(
        "no credentials: set [credentials] dir, or LoadCredential= in the unit, to a directory with angel_one.client_code, \
         angel_one.api_key, angel_one.mpin and angel_one.totp_secret",
    )?;
    let (stop, follow) = follow(&lease);
    let sink = parts.intake.sink(&lease);
    note_loss(&sink, Provider::AngelOne, &lease).await?;
    let feed = AngelOneFeed {
        settings,
        credentials: Credentials::read(directory)?,
        watch: parts.watch.clone(),
        clock: parts.clock.clone(),
        status: parts.status_of(Provider::AngelOne),
        sink,
        stop,
        seed: parts.seed_of(&lease),
    };
    let (ended, ()) = tokio::join!(feed.run(), follow);
    Ok(ended?)
}

pub async fn run_nse(parts: FeedParts, settings: NseSettings, lease: Lease) -> Result<(), ChildError> {
    let (stop, follow) = follow(&lease);
    let sink = parts.intake.sink(&lease);
    note_loss(&sink, Provider::Nse, &lease).await?;
    let feed = NseFeed {
        settings,
        watch: parts.watch.clone(),
        clock: parts.clock.clone(),
        calendar: parts.calendar.clone(),
        status: parts.status_of(Provider::Nse),
        sink,
        stop,
        seed: parts.seed_of(&lease),
    };
    let (ended, ()) = tokio::join!(feed.run(), follow);
    Ok(ended?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_feed_that_ends_by_itself_is_not_waited_for() {
        let (stop, follow) = follow(&Lease::detached("feeds/nse"));
        let feed = async move { drop(stop) };
        tokio::join!(feed, follow);
    }
}
