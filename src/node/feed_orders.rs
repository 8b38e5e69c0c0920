//! What each feed is to do: by which settings to run, or not to run at all. Operators and reloads give orders, the
//! feeds' children follow them.
//!
//! An order outlives incarnations: a feed that is restarted after a failure follows the last one. What an operator
//! switched stays so over reloads, until the daemon's next start.

use crate::{config::Config, feed::FeedState, market::Provider};
use std::{sync::Arc, time::Duration};
use tokio::sync::watch;

/// What an operator wants of a feed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Switch {
    #[default]
    AsConfigured,
    On,
    Off,
}

/// The order that a feed has.
#[derive(Clone, Debug)]
pub struct FeedOrder {
    pub config: Arc<Config>,
    pub switch: Switch,
    /// One more with each order.
    pub number: u64,
}

impl FeedOrder {
    /// `None` if the feed is to run, else the state that it is in.
    pub fn rest(&self, provider: Provider) -> Option<FeedState> {
        match self.switch {
            Switch::On => None,
            Switch::Off => Some(FeedState::SwitchedOff),
            Switch::AsConfigured => {
                let is_enabled = self.config.feeds.is_enabled(provider);
                (!is_enabled).then_some(FeedState::Disabled)
            }
        }
    }
}

/// What a feed made of an order.
#[derive(Clone, Debug, Default)]
struct Begun {
    number: u64,
    /// Why it could not be followed.
    failure: Option<String>,
}

/// Where one feed finds its orders, and says what it made of them. Cheap to clone.
#[derive(Clone, Debug)]
pub struct FeedDesk {
    pub provider: Provider,
    orders: watch::Sender<FeedOrder>,
    begun: watch::Sender<Begun>,
}

impl FeedDesk {
    fn new(provider: Provider, config: Arc<Config>) -> FeedDesk {
        let order = FeedOrder { config, switch: Switch::default(), number: 0 };
        FeedDesk { provider, orders: watch::Sender::new(order), begun: watch::Sender::default() }
    }

    pub fn order(&self) -> FeedOrder {
        self.orders.borrow().clone()
    }

    pub fn follow(&self) -> watch::Receiver<FeedOrder> {
        self.orders.subscribe()
    }

    /// The feed runs by this order, or rests by it.
    pub fn note_begun(&self, number: u64) {
        self.begun.send_replace(Begun { number, failure: None });
    }

    pub fn note_failure(&self, number: u64, failure: String) {
        self.begun.send_replace(Begun { number, failure: Some(failure) });
    }

    /// Gives another order; every order begins the feed anew. Returns its number.
    fn give(&self, change: impl FnOnce(&mut FeedOrder)) -> u64 {
        self.orders.send_modify(|order| {
            change(order);
            order.number += 1;
        });
        self.orders.borrow().number
    }

    pub fn switch(&self, switch: Switch) -> u64 {
        self.give(|order| order.switch = switch)
    }

    pub fn reconnect(&self) -> u64 {
        self.give(|_| {})
    }

    pub fn configure(&self, config: Arc<Config>) -> u64 {
        self.give(|order| order.config = config)
    }

    /// Waits until the order is followed.
    ///
    /// # Errors
    /// Why it is not.
    pub async fn begun(&self, number: u64, within: Duration) -> Result<(), String> {
        let mut begun = self.begun.subscribe();
        let reached = begun.wait_for(|begun| begun.number >= number);
        match tokio::time::timeout(within, reached).await {
            Ok(Ok(begun)) => match &begun.failure {
                None => Ok(()),
                Some(failure) => Err(failure.clone()),
            },
            _ => Err(format!("it did not begin anew within {} s", within.as_secs())),
        }
    }
}

/// All desks.
#[derive(Clone, Debug)]
pub struct FeedOrders {
    desks: Arc<[FeedDesk]>,
}

impl FeedOrders {
    pub fn new(config: &Arc<Config>) -> FeedOrders {
        let desks = Provider::ALL.map(|provider| FeedDesk::new(provider, Arc::clone(config)));
        FeedOrders { desks: desks.into() }
    }

    pub fn desks(&self) -> &[FeedDesk] {
        &self.desks
    }

    pub fn desk(&self, name: &str) -> Option<&FeedDesk> {
        self.desks.iter().find(|desk| desk.provider.name() == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_order_is_waited_for_until_it_is_followed_or_fails() {
        let orders = FeedOrders::new(&Arc::default());
        let desk = orders.desk("nse").expect("a feed").clone();
        assert_eq!(desk.order().rest(Provider::Nse), Some(FeedState::Disabled));
        let number = desk.switch(Switch::On);
        assert_eq!(desk.order().rest(Provider::Nse), None);
        let error = desk.begun(number, Duration::from_secs(1)).await.expect_err("nobody follows");
        assert_eq!(error, "it did not begin anew within 1 s");
        desk.note_begun(number);
        assert_eq!(desk.begun(number, Duration::ZERO).await, Ok(()));
        let next = desk.reconnect();
        assert_eq!(desk.order().switch, Switch::On, "what an operator switched stays");
        desk.note_failure(next, "no credentials".to_owned());
        assert_eq!(desk.begun(next, Duration::ZERO).await, Err("no credentials".to_owned()));
        desk.switch(Switch::Off);
        let config = Config { feeds: Default::default(), ..Config::default() };
        desk.configure(Arc::new(config));
        assert_eq!(desk.order().rest(Provider::Nse), Some(FeedState::SwitchedOff));
        assert!(orders.desk("dhan").is_none());
    }
}
