//! The feeds as children: each beginning is a fresh feed over the same log and status.
//!
//! What a provider's feed is made of, needs and depends on is its own file's.

mod angel_one;
mod nse;

use super::{
    day_rules::RunningRules,
    feed_orders::{FeedDesk, FeedOrder},
    intake::{Intake, IntakeSink},
    status::DaemonStatus,
};
use crate::{
    actor::{ChildError, Lease},
    calendar::Calendar,
    clock::Clock,
    config::Config,
    feed::{FeedContext, FeedStatus},
    market::{Provider, Timestamp, with_providers},
};
use std::{error::Error, future::pending, io, iter, sync::Arc};
use tokio::sync::watch;

/// What feeds are made of.
#[derive(Clone)]
pub struct FeedParts {
    pub rules: RunningRules,
    pub clock: Clock,
    pub calendar: Arc<Calendar>,
    pub intake: Intake,
    pub status: Arc<DaemonStatus>,
    /// Of all jitter.
    pub seed: u64,
}

impl FeedParts {
    /// For ever where there is no such instant.
    fn sleep_until(&self, instant: Option<Timestamp>) -> impl Future<Output = ()> + use<> {
        let clock = self.clock.clone();
        async move {
            match instant {
                Some(instant) => clock.sleep_until(instant).await,
                None => pending().await,
            }
        }
    }

    fn status_of(&self, provider: Provider) -> Arc<FeedStatus> {
        let found = self.status.feeds.iter().find(|status| status.provider == provider);
        found.cloned().unwrap_or_else(|| Arc::new(FeedStatus::new(provider)))
    }
}

/// A recording by a simulated clock, as the demo's, must not ask the real service: real and simulated data never mix.
fn check_simulated(config: &Config, addresses: &[&str]) -> Result<(), ChildError> {
    // What is not encrypted is on this machine, which the configuration's check holds.
    let is_real = |address: &&&str| address.starts_with("https://") || address.starts_with("wss://");
    match addresses.iter().find(is_real) {
        Some(address) if config.clock.is_some() => Err(format!(
            "the clock is simulated, and {address} is a real service: only a simulator's addresses may be asked"
        )
        .into()),
        _ => Ok(()),
    }
}

/// One incarnation of a feed's child: runs the feed by the order it has, begins anew with each further order, and rests
/// while it is not to run.
///
/// # Errors
/// The feed ended by itself, or could not begin.
pub async fn run(parts: FeedParts, desk: FeedDesk, lease: Lease) -> Result<(), ChildError> {
    // One that panicked or hung has told the log nothing of its end.
    let (sink, vigil) = parts.intake.admit(desk.provider, &lease).await?;
    vigil.keep(follow_orders(parts, desk, &lease, sink)).await
}

async fn follow_orders(
    parts: FeedParts,
    desk: FeedDesk,
    lease: &Lease,
    sink: IntakeSink,
) -> Result<(), ChildError> {
    let mut orders = desk.follow();
    loop {
        let order = orders.borrow_and_update().clone();
        let end = parts.rules.end_of_list(parts.clock.now());
        if let Some(state) = order.rest(desk.provider) {
            parts.status_of(desk.provider).set_state(state);
            desk.note_begun(order.number);
        } else {
            let errand = Errand { desk: &desk, order: &order, orders: orders.clone(), end, lease };
            if let Err(error) = errand.run(&parts, &sink).await {
                desk.note_failure(order.number, error.to_string());
                return Err(error);
            }
        }
        tokio::select! {
            _ = lease.stopping() => return Ok(()),
            changed = orders.changed() => changed?,
            () = parts.sleep_until(end) => {}
        }
    }
}

/// One order, being followed.
struct Errand<'a> {
    desk: &'a FeedDesk,
    order: &'a FeedOrder,
    orders: watch::Receiver<FeedOrder>,
    /// When less is to be covered: a life before began the day with a longer watch list.
    end: Option<Timestamp>,
    lease: &'a Lease,
}

impl Errand<'_> {
    /// What the feed is given, and what is to be awaited beside it for the order to be noted and followed.
    fn begin(
        &self,
        parts: &FeedParts,
        sink: &IntakeSink,
    ) -> (FeedContext<IntakeSink>, impl Future<Output = ()> + use<>) {
        let (stop, follow) = self.follow(parts.sleep_until(self.end));
        let context = FeedContext {
            watch: parts.rules.watch_list(parts.clock.now().date_ist()),
            calendar: parts.calendar.clone(),
            clock: parts.clock.clone(),
            status: parts.status_of(self.desk.provider),
            sink: sink.clone(),
            beside_log: Some(self.order.config.spool.dir.clone()),
            stop,
            seed: self.seed(parts),
        };
        (context, follow)
    }

    /// Different for every beginning, so that a feed does not repeat its waits.
    fn seed(&self, parts: &FeedParts) -> u64 {
        parts.seed.wrapping_add(self.lease.incarnation()).wrapping_add(self.order.number)
    }

    /// A signal in the feeds' form that follows the lease, the next order and the end of what is covered, for as long as the
    /// feed holds it. Says that the order is followed once the feed runs.
    fn follow<End: Future<Output = ()>>(
        &self,
        end: End,
    ) -> (watch::Receiver<bool>, impl Future<Output = ()> + use<End>) {
        let (sender, receiver) = watch::channel(false);
        let (lease, mut orders) = (self.lease.clone(), self.orders.clone());
        let (desk, number) = (self.desk.clone(), self.order.number);
        let follow = async move {
            if sender.is_closed() {
                // It ended before it began.
                return;
            }
            desk.note_begun(number);
            tokio::select! {
                _ = lease.stopping() => {}
                _ = orders.changed() => {}
                () = end => {}
                // The feed has ended by itself; its error must not wait for a stop.
                () = sender.closed() => return,
            }
            sender.send_replace(true);
            // Held until the feed has ended: a dropped sender says "stop" as well.
            sender.closed().await;
        };
        (receiver, follow)
    }
}

macro_rules! define_feeds {
    ($($variant:ident $name:ident $code:literal),*) => {
        impl Errand<'_> {
            async fn run(self, parts: &FeedParts, sink: &IntakeSink) -> Result<(), ChildError> {
                match self.desk.provider {
                    $(Provider::$variant => $name::run(self, parts, sink).await),*
                }
            }
        }

        /// Whether a provider's feed has what it needs to begin.
        ///
        /// # Errors
        /// Says what is missing, and where.
        pub fn check(provider: Provider, config: &Config) -> Result<(), ChildError> {
            match provider {
                $(Provider::$variant => $name::check(config)),*
            }
        }

        /// Whether two configurations say different things of a provider's feed.
        pub fn is_affected(provider: Provider, one: &Config, other: &Config) -> bool {
            match provider {
                $(Provider::$variant => $name::is_affected(one, other)),*
            }
        }
    };
}
with_providers!(define_feeds);

/// What the enabled feeds of a configuration lack to begin, and whether that is certain: the service manager may give what the
/// file does not name, and may read what the caller may not.
pub fn lacking(config: &Config) -> Vec<(String, bool)> {
    let enabled = Provider::ALL.into_iter().filter(|provider| config.feeds.is_enabled(*provider));
    let lacks = enabled.filter_map(|provider| {
        let error = check(provider, config).err()?;
        let first: &(dyn Error + 'static) = &*error;
        let mut causes = iter::successors(Some(first), |cause: &&(dyn Error + 'static)| (*cause).source());
        let is_hidden = causes.any(|cause| {
            let failure = cause.downcast_ref::<io::Error>();
            failure.is_some_and(|failure| failure.kind() == io::ErrorKind::PermissionDenied)
        });
        let is_certain = config.credentials.dir.is_some() && !is_hidden;
        Some((format!("feeds.{provider}: {error}"), is_certain))
    });
    lacks.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{clock::Simulation, node::feed_orders::FeedOrders};

    #[test]
    fn a_simulated_clock_asks_no_real_service() {
        let mut config = Config::default();
        assert!(check(Provider::Nse, &config).is_ok());
        config.clock = Some(Simulation { start: Timestamp::NEVER, real_start: Timestamp::NEVER, speed: 1.0 });
        let refused = check(Provider::Nse, &config).expect_err("the real website").to_string();
        assert!(refused.contains(&config.feeds.nse.site_url) && refused.contains("simulated"), "{refused}");
        let here = "http://127.0.0.1:9".to_owned();
        (config.feeds.nse.site_url, config.feeds.nse.archive_url) = (here.clone(), here);
        assert!(check(Provider::Nse, &config).is_ok());
        let refused = check(Provider::AngelOne, &config).expect_err("the real service").to_string();
        assert!(refused.contains("simulated"), "{refused}");
    }

    #[test]
    fn an_enabled_feeds_credentials_are_missed_where_they_are_named() {
        let mut config = Config::default();
        assert_eq!(lacking(&config), [], "it is not enabled");
        config.feeds.angel_one.enabled = true;
        let [(text, is_certain)] = &lacking(&config)[..] else { panic!("one") };
        assert!(text.starts_with("feeds.angel_one: no credentials") && !is_certain, "the unit may give them");
        let directory = tempfile::tempdir().expect("a directory");
        config.credentials.dir = Some(directory.path().join("absent"));
        let [(text, is_certain)] = &lacking(&config)[..] else { panic!("one") };
        assert!(text.contains("absent/angel_one.client_code") && *is_certain, "{text}");
    }

    #[tokio::test]
    async fn a_feed_that_ends_by_itself_is_not_waited_for() {
        let orders = FeedOrders::new(&Arc::default());
        let desk = orders.desk("nse").expect("a feed");
        let (order, lease) = (desk.order(), Lease::detached("feeds/nse"));
        let errand = Errand { desk, order: &order, orders: desk.follow(), end: None, lease: &lease };
        let (stop, follow) = errand.follow(pending());
        let feed = async move { drop(stop) };
        tokio::join!(feed, follow);
    }

    #[tokio::test]
    async fn the_end_of_a_longer_watch_list_stops_a_feed() {
        let orders = FeedOrders::new(&Arc::default());
        let desk = orders.desk("nse").expect("a feed");
        let (order, lease) = (desk.order(), Lease::detached("feeds/nse"));
        let errand =
            Errand { desk, order: &order, orders: desk.follow(), end: Some(Timestamp::NEVER), lease: &lease };
        let (mut stop, follow) = errand.follow(std::future::ready(()));
        let feed = async move { stop.wait_for(|stop| *stop).await.map(|stop| *stop) };
        assert_eq!(tokio::join!(feed, follow).0.ok(), Some(true));
    }

    #[tokio::test]
    async fn the_next_order_stops_a_feed() {
        let orders = FeedOrders::new(&Arc::default());
        let desk = orders.desk("nse").expect("a feed");
        let (order, lease) = (desk.order(), Lease::detached("feeds/nse"));
        let errand = Errand { desk, order: &order, orders: desk.follow(), end: None, lease: &lease };
        let (mut stop, follow) = errand.follow(pending());
        let feed = async move {
            desk.reconnect();
            stop.wait_for(|stop| *stop).await.map(|stop| *stop)
        };
        assert_eq!(tokio::join!(feed, follow).0.ok(), Some(true));
        assert_eq!(desk.begun(order.number, std::time::Duration::ZERO).await, Ok(()));
    }
}
