//! A port's counters, readable without its lock.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::time::Instant;

/// Written under the port's lock only, read by anyone. Clones are the same gauge.
#[derive(Clone, Debug)]
pub struct PortGauge {
    pub(super) inner: Arc<Counters>,
}

#[derive(Debug)]
pub(super) struct Counters {
    name: Arc<str>,
    capacity: usize,
    weight_max: Option<usize>,
    epoch: Instant,
    pub depth: AtomicU64,
    pub in_hand: AtomicU64,
    pub high_water: AtomicU64,
    pub accepted: AtomicU64,
    pub dropped: AtomicU64,
    pub rejected: AtomicU64,
    pub conflated: AtomicU64,
    pub redelivered: AtomicU64,
    pub set_aside: AtomicU64,
    pub pauses: AtomicU64,
    pub weight: AtomicU64,
    /// Microseconds after the epoch, plus one; 0 means that nothing waits and nothing is in hand.
    pub oldest_us: AtomicU64,
}

impl Counters {
    pub fn now_us(&self) -> u64 {
        u64::try_from(self.epoch.elapsed().as_micros()).unwrap_or(u64::MAX - 1)
    }
}

/// Adds without a locked instruction: the port's lock makes its holder the only writer.
pub(super) fn add(counter: &AtomicU64, count: u64) {
    counter.store(counter.load(Relaxed).wrapping_add(count), Relaxed);
}

impl PortGauge {
    pub(super) fn new(name: &str, capacity: usize, weight_max: Option<usize>) -> PortGauge {
        let inner = Counters {
            name: name.into(),
            capacity,
            weight_max,
            epoch: Instant::now(),
            depth: AtomicU64::new(0),
            in_hand: AtomicU64::new(0),
            high_water: AtomicU64::new(0),
            accepted: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
            rejected: AtomicU64::new(0),
            conflated: AtomicU64::new(0),
            redelivered: AtomicU64::new(0),
            set_aside: AtomicU64::new(0),
            pauses: AtomicU64::new(0),
            weight: AtomicU64::new(0),
            oldest_us: AtomicU64::new(0),
        };
        PortGauge { inner: Arc::new(inner) }
    }

    pub fn snapshot(&self) -> PortSnapshot {
        let counters = &*self.inner;
        let oldest_us = counters.oldest_us.load(Relaxed);
        let oldest_age = oldest_us
            .checked_sub(1)
            .map(|stamp_us| Duration::from_micros(counters.now_us().saturating_sub(stamp_us)));
        PortSnapshot {
            name: Arc::clone(&counters.name),
            capacity: counters.capacity,
            depth: counters.depth.load(Relaxed),
            in_hand: counters.in_hand.load(Relaxed),
            high_water: counters.high_water.load(Relaxed),
            accepted: counters.accepted.load(Relaxed),
            dropped: counters.dropped.load(Relaxed),
            rejected: counters.rejected.load(Relaxed),
            conflated: counters.conflated.load(Relaxed),
            redelivered: counters.redelivered.load(Relaxed),
            set_aside: counters.set_aside.load(Relaxed),
            pauses: counters.pauses.load(Relaxed),
            weight: counters.weight.load(Relaxed),
            weight_max: counters.weight_max.map(|weight| weight as u64),
            oldest_age,
        }
    }
}

/// A port at one moment. The numbers are read one by one and may be a push apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortSnapshot {
    pub name: Arc<str>,
    pub capacity: usize,
    /// Items waiting.
    pub depth: u64,
    /// Items taken and not done.
    pub in_hand: u64,
    /// The most items that ever waited.
    pub high_water: u64,
    pub accepted: u64,
    /// Accepted and then dropped for newer ones, by [`super::Policy::DropOldest`] and [`super::Policy::Conflate`].
    pub dropped: u64,
    /// Given back because the port was full.
    pub rejected: u64,
    /// Accepted and then replaced by a newer item of the same key.
    pub conflated: u64,
    /// Batches handed out again.
    pub redelivered: u64,
    /// Items that killed two incarnations and are not handed out any more.
    pub set_aside: u64,
    /// How often it made its producers wait.
    pub pauses: u64,
    /// Of what waits and is in hand, and its bound where there is one.
    pub weight: u64,
    pub weight_max: Option<u64>,
    /// Of the oldest item waiting or in hand; up to 64 items' time too old.
    pub oldest_age: Option<Duration>,
}
