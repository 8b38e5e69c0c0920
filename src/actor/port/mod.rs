//! The bounded queue between children. It lies outside both, so that it survives the restart of either.
//!
//! - What happens when it is full is said once, at construction: [`Policy`].
//! - A consumer takes what has piled up ([`Consumer::drain`]): the batch grows with the load and no timer is needed.
//! - A batch stays in the port's hand until [`Batch::done`]. An incarnation that panics, is aborted or just drops the
//!   batch leaves it there, and the next drain hands it out again with a higher [`Batch::redelivery`]. So an item
//!   accepted from a producer is handled at least once; where the consumer says how far it came
//!   ([`Batch::handled`]), exactly once up to the item in work when it panicked. Taken with [`Batch::next`], an item
//!   that kills two incarnations is set aside, see [`Port::set_aside_with`].
//! - A producer that can wait does so from four fifths of the bound on, until half of it is free again: a feed stops
//!   reading its socket before the last place is taken, and does not start for every single place.
//! - Whoever holds a lease that was fenced can neither push nor take, and the places it kept are free.
//!
//! Bound: `capacity` items wait, and up to one drain's `max` more are in hand. With a weight ([`Port::weighted`]) waiting
//! and in hand together weigh at most the bound and one item more.
//!
//! The lock is held to move items only. Items must be `Send + Sync`, because a batch in hand can be read by a hung
//! incarnation while the next one handles it.
//!
//! Left out: more than one consumer at a time, priorities.

mod bounds;
mod consumer;
mod gauge;
mod producer;
mod queue;
#[cfg(test)]
mod tests;

pub use consumer::{Batch, Consumer};
pub use gauge::{PortGauge, PortSnapshot};
pub use producer::{Claim, Permit, Producer, Refusal, Refused};

use super::{
    Lease,
    suspects::{Source, Verdict},
};
use bounds::Bounds;
use queue::Queue;
use std::sync::{
    Arc, Mutex, MutexGuard, OnceLock, PoisonError,
    atomic::{AtomicU64, Ordering},
};
use tokio::sync::Notify;

/// What a full port does with one more item.
pub enum Policy<T> {
    /// The producer waits for room.
    Wait,
    /// The item is given back.
    Reject,
    /// The oldest waiting item makes room.
    DropOldest,
    /// An item replaces the waiting item of the same key, in its place. When full of other keys, the oldest makes room:
    /// give it a capacity above the number of keys.
    Conflate(fn(&T) -> u64),
}

impl<T> Clone for Policy<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Policy<T> {}

/// Cheap to clone; clones are the same port.
pub struct Port<T> {
    shared: Arc<Shared<T>>,
}

/// Keeps an item that is set aside, with the reason.
type SetAside<T> = Box<dyn Fn(&T, &Verdict) + Send + Sync>;

struct Shared<T> {
    /// Whose numbers its items have.
    source: Source,
    policy: Policy<T>,
    set_aside: OnceLock<SetAside<T>>,
    queue: Mutex<Queue<T>>,
    gauge: PortGauge,
    /// Rung for the consumer, for producers in wait.
    items: Notify,
    room: Notify,
}

impl<T> Shared<T> {
    /// A panic under the lock is impossible but for allocation failure, so a poisoned queue is whole.
    fn queue(&self) -> MutexGuard<'_, Queue<T>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Clone for Port<T> {
    fn clone(&self) -> Self {
        Port { shared: Arc::clone(&self.shared) }
    }
}

impl<T: Send + Sync + 'static> Port<T> {
    /// `capacity` is at least 1.
    pub fn new(name: &str, capacity: usize, policy: Policy<T>) -> Port<T> {
        Port::build(name, Bounds { items: capacity.max(1), weight: usize::MAX, weigh: None }, policy)
    }

    /// With a bound on what the items waiting and in hand weigh together, mostly in bytes. One item is always taken,
    /// however heavy.
    pub fn weighted(
        name: &str,
        capacity: usize,
        weight: usize,
        weigh: fn(&T) -> usize,
        policy: Policy<T>,
    ) -> Port<T> {
        Port::build(
            name,
            Bounds { items: capacity.max(1), weight: weight.max(1), weigh: Some(weigh) },
            policy,
        )
    }

    fn build(name: &str, bounds: Bounds<T>, policy: Policy<T>) -> Port<T> {
        static PORTS: AtomicU64 = AtomicU64::new(Source::OWN.0 + 1);
        let weight_max = bounds.weigh.map(|_| bounds.weight);
        let shared = Shared {
            source: Source(PORTS.fetch_add(1, Ordering::Relaxed)),
            policy,
            set_aside: OnceLock::new(),
            gauge: PortGauge::new(name, bounds.items, weight_max),
            queue: Mutex::new(Queue::new(bounds)),
            items: Notify::new(),
            room: Notify::new(),
        };
        Port { shared: Arc::new(shared) }
    }

    /// Says what becomes of items that are set aside; without it they are only counted and logged. Once a port.
    pub fn set_aside_with(&self, keep: impl Fn(&T, &Verdict) + Send + Sync + 'static) {
        if self.shared.set_aside.set(Box::new(keep)).is_err() {
            log::error!("a port was told twice what becomes of items set aside; the first counts");
        }
    }

    /// The pushing side, for the holder of a lease.
    pub fn producer(&self, lease: &Lease) -> Producer<T> {
        Producer::new(Arc::clone(&self.shared), lease.clone())
    }

    /// The taking side. One consumer at a time.
    pub fn consumer(&self, lease: &Lease) -> Consumer<T> {
        Consumer::new(Arc::clone(&self.shared), lease.clone())
    }

    /// The port's counters, for [`super::ChildSpec::port`].
    pub fn gauge(&self) -> PortGauge {
        self.shared.gauge.clone()
    }

    /// Accepts nothing more, except from permits already given. The consumer gets what is left, then `None`.
    pub fn close(&self) {
        self.shared.queue().close();
        self.shared.items.notify_one();
        self.shared.room.notify_waiters();
    }
}
