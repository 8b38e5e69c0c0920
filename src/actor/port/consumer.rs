//! The side that takes.

use super::{Shared, gauge::add, queue::Hand};
use crate::actor::{Lease, StopSignal};
use std::sync::{Arc, atomic::Ordering::Relaxed};
use tokio::{sync::watch, time::Instant};

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
    /// port is closed and empty, the lease is stopping, or it was fenced. Waiting here is no hang.
    ///
    /// The batch stays the port's until [`Batch::done`]. Dropping this future loses nothing.
    pub async fn drain(&mut self, max: usize) -> Option<Batch<'_, T>> {
        self.lease.lay_down();
        loop {
            let signal = *self.stop.borrow_and_update();
            if signal == StopSignal::Restart {
                return None;
            }
            {
                let mut queue = self.shared.queue();
                // Under the lock: what a fenced incarnation takes would be taken by two.
                if !self.lease.is_current() {
                    return None;
                }
                if let Some((hand, redelivery)) = queue.take(max, &self.shared.gauge.inner) {
                    let wake = queue.wake_producers();
                    drop(queue);
                    if wake {
                        self.shared.room.notify_waiters();
                    }
                    self.lease.pulse().sign();
                    return Some(Batch {
                        consumer: self,
                        hand,
                        redelivery,
                        is_taken: false,
                        began: Instant::now(),
                    });
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
                () = self.lease.pulse().sign_due() => self.lease.pulse().sign(),
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
    /// [`Batch::next`] gave an item that is not handled yet.
    is_taken: bool,
    began: Instant,
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

    /// The next item; the one before it counts as handled. It is noted before it is given: an item that killed two
    /// incarnations is not given again but set aside.
    #[expect(clippy::should_implement_trait, reason = "it lends from the batch, which an iterator cannot")]
    pub fn next(&mut self) -> Option<&T> {
        if std::mem::take(&mut self.is_taken) {
            self.handled(1);
        }
        let lease = &self.consumer.lease;
        loop {
            let index = self.hand.handled.load(Relaxed);
            if index >= self.hand.items.len() || !lease.is_current() {
                lease.lay_down();
                return None;
            }
            let number = self.number_of(index);
            let Some(verdict) = lease.verdict_from(self.consumer.shared.source, number) else {
                lease.pulse().take_in_hand(self.consumer.shared.source, number, 1);
                lease.pulse().sign();
                self.is_taken = true;
                return self.hand.items.get(index);
            };
            if let Some(set_aside) = self.consumer.shared.set_aside.get() {
                set_aside(&self.hand.items[index], &verdict);
            }
            lease.note_set_aside();
            self.note_handled(1, true);
        }
    }

    /// Notes that the first `count` of [`Batch::items`] are handled together from now on. If they kill the incarnation,
    /// the next one should take them one by one.
    pub fn take_together(&self, count: usize) {
        let first = self.number_of(self.hand.handled.load(Relaxed));
        self.consumer.lease.pulse().take_in_hand(self.consumer.shared.source, first, count as u64);
    }

    /// From 1 on, so that no item has the number 0.
    fn number_of(&self, index: usize) -> u64 {
        self.hand.first + index as u64 + 1
    }

    /// Says that the first `count` of [`Batch::items`] are handled; they will not be handed out again.
    pub fn handled(&self, count: usize) {
        self.note_handled(count, false);
    }

    fn note_handled(&self, count: usize, is_set_aside: bool) {
        // Under the lock: the next incarnation takes under it, after the fence.
        let _queue = self.consumer.shared.queue();
        if self.consumer.lease.is_current() {
            self.hand.handled.fetch_add(count, Relaxed);
            if is_set_aside {
                add(&self.consumer.shared.gauge.inner.set_aside, count as u64);
            }
        }
    }

    /// All items are handled. Returns false, and leaves them to the next incarnation, if this one was fenced.
    pub fn done(self) -> bool {
        let Batch { consumer, hand, began, .. } = self;
        let shared = &*consumer.shared;
        let mut hand = Some(hand);
        let wake = {
            let mut queue = shared.queue();
            // Under the lock: the next incarnation takes under it, after the fence.
            if !consumer.lease.is_current() {
                return false;
            }
            queue.finish(&shared.gauge.inner);
            if !std::mem::needs_drop::<T>() {
                empty(&mut hand).into_iter().for_each(|spare| queue.keep_spare(spare));
            }
            queue.wake_producers()
        };
        if wake {
            shared.room.notify_waiters();
        }
        consumer.lease.lay_down();
        consumer.lease.pulse().handling().count(began.elapsed());
        consumer.lease.pulse().progress();
        // Items are dropped outside the lock.
        if let Some(spare) = empty(&mut hand) {
            shared.queue().keep_spare(spare);
        }
        true
    }
}

/// The emptied hand, if nobody else looks at it.
fn empty<T>(hand: &mut Option<Arc<Hand<T>>>) -> Option<Arc<Hand<T>>> {
    let alone = Arc::get_mut(hand.as_mut()?)?;
    alone.items.clear();
    hand.take()
}
