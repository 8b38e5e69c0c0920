//! The side that takes.

use super::{Shared, queue::Hand};
use crate::actor::{Lease, StopSignal};
use std::sync::{Arc, atomic::Ordering::Relaxed};
use tokio::sync::watch;

/// Takes for one lease; follows its stop signal: asked to restart it gives nothing more, asked to drain it gives what is
/// left and then `None`. A consumer's loop therefore needs no other look at the signal.
pub struct Consumer<T> {
    shared: Arc<Shared<T>>,
    lease: Lease,
    stop: watch::Receiver<StopSignal>,
}

impl<T: Send + Sync + 'static> Consumer<T> {
    pub(super) fn new(shared: Arc<Shared<T>>, lease: Lease) -> Consumer<T> {
        let stop = lease.watch_stop();
        Consumer { shared, lease, stop }
    }

    /// Waits for at least one item and takes what has piled up, up to `max`. `None` when the consumer should end: the
    /// port is closed and empty, the lease is stopping, or it was fenced.
    ///
    /// The batch stays the port's until [`Batch::done`]. Dropping this future loses nothing.
    pub async fn drain(&mut self, max: usize) -> Option<Batch<'_, T>> {
        loop {
            let signal = *self.stop.borrow_and_update();
            if signal == StopSignal::Restart || !self.lease.is_current() {
                return None;
            }
            {
                let mut queue = self.shared.queue();
                if let Some((hand, redelivery)) = queue.take(max, &self.shared.gauge.inner) {
                    let wake = std::mem::take(&mut queue.producers_wait);
                    drop(queue);
                    if wake {
                        self.shared.room.notify_waiters();
                    }
                    return Some(Batch { consumer: self, hand, redelivery });
                }
                if queue.is_idle() && (queue.is_closed() || signal == StopSignal::Drain) {
                    return None;
                }
                queue.consumer_waits = true;
            }
            tokio::select! {
                () = self.shared.items.notified() => {}
                changed = self.stop.changed() => if changed.is_err() {
                    // The supervisor is gone and the abort is on its way.
                    return None;
                },
            }
        }
    }
}

/// Items in hand. Dropped without [`Batch::done`], those not said to be handled are handed out again.
#[must_use = "a batch that is not done is handed out again"]
pub struct Batch<'a, T: Send + Sync + 'static> {
    consumer: &'a mut Consumer<T>,
    hand: Arc<Hand<T>>,
    redelivery: u32,
}

impl<T: Send + Sync + 'static> Batch<'_, T> {
    /// The items that are not yet said to be handled, oldest first.
    pub fn items(&self) -> &[T] {
        let (items, _) = self.hand.items.as_slices();
        &items[self.hand.handled.load(Relaxed).min(items.len())..]
    }

    /// How often these items were handed out before. Above 0 the first of them may be what killed the last incarnation.
    pub fn redelivery(&self) -> u32 {
        self.redelivery
    }

    /// Says that the first `count` of [`Batch::items`] are handled; they will not be handed out again.
    pub fn handled(&self, count: usize) {
        if self.consumer.lease.is_current() {
            self.hand.handled.fetch_add(count, Relaxed);
        }
    }

    /// All items are handled. Returns false, and leaves them to the next incarnation, if this one was fenced.
    pub fn done(self) -> bool {
        let Batch { consumer, mut hand, .. } = self;
        let shared = &*consumer.shared;
        {
            let mut queue = shared.queue();
            // Under the lock: the next incarnation takes under it, after the fence.
            if !consumer.lease.is_current() {
                return false;
            }
            queue.finish(&shared.gauge.inner);
            if !std::mem::needs_drop::<T>()
                && let Some(alone) = Arc::get_mut(&mut hand)
            {
                alone.items.clear();
                queue.keep_spare(hand);
                drop(queue);
                consumer.lease.pulse().progress();
                return true;
            }
        }
        consumer.lease.pulse().progress();
        // Items are dropped outside the lock.
        if let Some(alone) = Arc::get_mut(&mut hand) {
            alone.items.clear();
            shared.queue().keep_spare(hand);
        }
        true
    }
}
