//! The side that pushes.

use super::{
    Policy, Shared,
    queue::{Offer, Queue},
};
use crate::actor::Lease;
use std::{fmt, pin::pin, sync::Arc};

/// Why a port took nothing. The producer ends (closed, fenced) or drops and counts (full).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("the port is full")]
    Full,
    #[error("the port is closed")]
    Closed,
    #[error("this incarnation was given up, another has taken its place")]
    Fenced,
}

/// An item given back.
pub struct Refused<T> {
    pub item: T,
    pub reason: Refusal,
}

impl<T> fmt::Debug for Refused<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Refused").field("reason", &self.reason).finish_non_exhaustive()
    }
}

impl<T> fmt::Display for Refused<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.reason.fmt(f)
    }
}

impl<T> std::error::Error for Refused<T> {}

/// Pushes for one lease. Cheap to clone.
pub struct Producer<T> {
    shared: Arc<Shared<T>>,
    lease: Lease,
}

impl<T> Clone for Producer<T> {
    fn clone(&self) -> Self {
        Producer { shared: Arc::clone(&self.shared), lease: self.lease.clone() }
    }
}

impl<T: Send + Sync + 'static> Producer<T> {
    pub(super) fn new(shared: Arc<Shared<T>>, lease: Lease) -> Producer<T> {
        Producer { shared, lease }
    }

    /// Pushes without waiting, by the port's policy; a full `Wait` port gives the item back.
    pub fn offer(&self, item: T) -> Result<(), Refused<T>> {
        let mut queue = self.shared.queue();
        // Under the lock: what the next incarnation pushes comes after it, so nothing of ours can come later.
        if !self.lease.is_current() {
            return Err(Refused { item, reason: Refusal::Fenced });
        }
        let offer = queue.offer(item, self.shared.policy, &self.shared.gauge.inner);
        let wake = std::mem::take(&mut queue.consumer_waits);
        drop(queue);
        if wake {
            self.shared.items.notify_one();
        }
        match offer {
            Offer::Accepted => Ok(()),
            Offer::Full(item) => Err(Refused { item, reason: Refusal::Full }),
            Offer::Closed(item) => Err(Refused { item, reason: Refusal::Closed }),
        }
    }

    /// Pushes; on a `Wait` port waits for room first. Nothing is pushed if the future is dropped before its end.
    pub async fn push(&self, item: T) -> Result<(), Refused<T>> {
        let waits = matches!(self.shared.policy, Policy::Wait);
        match self.offer(item) {
            Err(Refused { item, reason: Refusal::Full }) if waits => match self.reserve().await {
                Ok(permit) => permit.push(item),
                Err(reason) => Err(Refused { item, reason }),
            },
            outcome => outcome,
        }
    }

    /// Pushes all of `items` in order, as many under one lock as there is room for; on a `Wait` port waits for room in
    /// between. What was not accepted stays in `items`, also when the future is dropped.
    pub async fn push_all(&self, items: &mut Vec<T>) -> Result<(), Refusal> {
        loop {
            match self.offer_all(items) {
                Err(Refusal::Full) if matches!(self.shared.policy, Policy::Wait) => {
                    let permit = self.reserve().await?;
                    if let Err(Refused { item, reason }) = permit.push(items.remove(0)) {
                        items.insert(0, item);
                        return Err(reason);
                    }
                }
                outcome => return outcome,
            }
        }
    }

    /// Offers items in order until one is refused; it and the rest stay in `items`.
    pub fn offer_all(&self, items: &mut Vec<T>) -> Result<(), Refusal> {
        let mut queue = self.shared.queue();
        if !self.lease.is_current() {
            return Err(Refusal::Fenced);
        }
        let mut refused = None;
        if matches!(self.shared.policy, Policy::Wait) && !queue.is_closed() {
            queue.append_some(items, &self.shared.gauge.inner);
        }
        let mut rest = items.drain(..);
        for item in rest.by_ref() {
            match queue.offer(item, self.shared.policy, &self.shared.gauge.inner) {
                Offer::Accepted => {}
                Offer::Full(item) => {
                    refused = Some((item, Refusal::Full));
                    break;
                }
                Offer::Closed(item) => {
                    refused = Some((item, Refusal::Closed));
                    break;
                }
            }
        }
        let wake = std::mem::take(&mut queue.consumer_waits);
        drop(queue);
        if wake {
            self.shared.items.notify_one();
        }
        let Some((item, reason)) = refused else { return Ok(()) };
        let left: Vec<T> = std::iter::once(item).chain(rest).collect();
        *items = left;
        Err(reason)
    }

    /// Waits for room, whatever the policy, and keeps it. With the permit an item is pushed without waiting, for
    /// instance under the producer's own lock. Waiting here is not a hang: the pulse says so.
    pub async fn reserve(&self) -> Result<Permit<T>, Refusal> {
        let mut waiting = None;
        loop {
            let mut room = pin!(self.shared.room.notified());
            // Listens before looking, so that room made in between is heard of.
            room.as_mut().enable();
            {
                let mut queue = self.shared.queue();
                if !self.lease.is_current() {
                    return Err(Refusal::Fenced);
                }
                if queue.is_closed() {
                    return Err(Refusal::Closed);
                }
                if queue.has_room() {
                    let number = queue.reserve(&self.lease);
                    return Ok(Permit { producer: self.clone(), number, is_used: false });
                }
                queue.producers_wait = true;
            }
            if waiting.is_none() {
                waiting = Some(self.lease.pulse().wait());
            }
            // Looks again now and then: places of incarnations that were given up become free without a word.
            tokio::select! {
                () = room => {}
                () = self.lease.pulse().sign_due() => self.lease.pulse().sign(),
            }
        }
    }
}

/// A place kept in a port. Dropped unused, it is given back.
#[must_use = "a permit that is not used keeps a place in the port"]
pub struct Permit<T: Send + Sync + 'static> {
    producer: Producer<T>,
    number: u64,
    is_used: bool,
}

impl<T: Send + Sync + 'static> Permit<T> {
    /// Puts the item into the kept place, even if the port was closed since. Refused only when fenced.
    pub fn push(self, item: T) -> Result<(), Refused<T>> {
        match self.claim() {
            Ok(claim) => {
                claim.push(item);
                Ok(())
            }
            Err(reason) => Err(Refused { item, reason }),
        }
    }

    /// Makes the place sure: what is pushed into it is accepted even if the incarnation is fenced from now on. For
    /// whoever must do something irrevocable first, such as writing a log.
    ///
    /// # Errors
    /// [`Refusal::Fenced`].
    pub fn claim(mut self) -> Result<Claim<T>, Refusal> {
        self.is_used = true;
        if !self.producer.shared.queue().claim(self.number) {
            return Err(Refusal::Fenced);
        }
        Ok(Claim { producer: self.producer.clone(), is_used: false })
    }
}

impl<T: Send + Sync + 'static> Drop for Permit<T> {
    fn drop(&mut self) {
        if !self.is_used {
            self.producer.shared.give_back(|queue| queue.release(self.number));
        }
    }
}

/// See [`Permit::claim`].
#[must_use = "a claim that is not used keeps a place in the port"]
pub struct Claim<T: Send + Sync + 'static> {
    producer: Producer<T>,
    is_used: bool,
}

impl<T: Send + Sync + 'static> Claim<T> {
    pub fn push(mut self, item: T) {
        self.is_used = true;
        let shared = &self.producer.shared;
        let mut queue = shared.queue();
        queue.redeem(item, &shared.gauge.inner);
        let wake = std::mem::take(&mut queue.consumer_waits);
        drop(queue);
        if wake {
            shared.items.notify_one();
        }
    }
}

impl<T: Send + Sync + 'static> Drop for Claim<T> {
    fn drop(&mut self) {
        if !self.is_used {
            self.producer.shared.give_back(Queue::disclaim);
        }
    }
}

impl<T: Send + Sync + 'static> Shared<T> {
    fn give_back(&self, give: impl FnOnce(&mut Queue<T>)) {
        let mut queue = self.queue();
        give(&mut queue);
        // The consumer of a closed port may wait for this place only.
        let wake_consumer = std::mem::take(&mut queue.consumer_waits);
        let wake_producers = queue.wake_producers();
        drop(queue);
        if wake_consumer {
            self.items.notify_one();
        }
        if wake_producers {
            self.room.notify_waiters();
        }
    }
}
