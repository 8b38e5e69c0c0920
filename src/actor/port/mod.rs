//! The bounded queue between children. It lies outside both, so that it survives the restart of either.
//!
//! - What happens when it is full is said once, at construction: [`Policy`].
//! - A consumer takes what has piled up ([`Consumer::drain`]): the batch grows with the load and no timer is needed.
//! - A batch stays in the port's hand until [`Batch::done`]. An incarnation that panics, is aborted or just drops the
//!   batch leaves it there, and the next drain hands it out again with a higher [`Batch::redelivery`]. So an item
//!   accepted from a producer is handled at least once; where the consumer says how far it came
//!   ([`Batch::handled`]), exactly once up to the item in work when it panicked. An item that kills one incarnation
//!   after another stands first in a batch whose redelivery count grows: the consumer decides when to skip it.
//! - Whoever holds a lease that was fenced can neither push nor take.
//!
//! Bound: `capacity` items wait, and up to one drain's `max` more are in hand.
//!
//! The lock is held to move items only. Items must be `Send + Sync`, because a batch in hand can be read by a hung
//! incarnation while the next one handles it.
//!
//! Left out: more than one consumer at a time, priorities, weights.

mod consumer;
mod gauge;
mod producer;
mod queue;
#[cfg(test)]
mod tests;

pub use consumer::{Batch, Consumer};
pub use gauge::{PortGauge, PortSnapshot};
pub use producer::{Permit, Producer, Refusal, Refused};

use super::Lease;
use queue::Queue;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
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

struct Shared<T> {
    policy: Policy<T>,
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
        let capacity = capacity.max(1);
        let shared = Shared {
            policy,
            queue: Mutex::new(Queue::new(capacity)),
            gauge: PortGauge::new(name, capacity),
            items: Notify::new(),
            room: Notify::new(),
        };
        Port { shared: Arc::new(shared) }
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
