//! Up to when a feed is known to have watched, also where it cannot say so any more.
//!
//! A feed that panics, hangs or loses its thread tells nobody. What it took from its sockets is known all the same: each
//! time its task has been polled to the end, everything readable at the poll's beginning was read, and was accepted by the
//! log or is on its way there. So it has watched until the last such beginning, or until the one before whatever is still on
//! its way. A quiet market is no different: the task is polled at least once a [`TICK`].
//!
//! Owns one incarnation's claim. Invariants: the claim never says more than is known, and never goes back but for what was
//! lost on its way. Left out: whether the broker sent everything, which the feed itself judges.

use crate::{actor::Lease, clock::Clock, market::Timestamp};
use std::{
    future::{Future, poll_fn},
    pin::pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
    time::Duration,
};
use tokio::time::MissedTickBehavior;

/// How old the claim of a feed with nothing to do may be, on the feed's clock.
const TICK: Duration = Duration::from_secs(1);
/// However fast a simulation runs; real time.
const TICK_LEAST: Duration = Duration::from_millis(20);

/// Cheap to clone; clones are the same vigil.
#[derive(Clone, Debug)]
pub struct Vigil {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    clock: Clock,
    lease: Lease,
    /// Beginning of the last poll that came to its end.
    polled_us: AtomicI64,
    is_over: AtomicBool,
    under_way: Mutex<UnderWay>,
}

/// What was read, but is not in the log.
#[derive(Debug, Default)]
struct UnderWay {
    /// For each record that waits for the log: everything older was read and is not in it.
    records_us: Vec<i64>,
    /// The same for the oldest record that was given up.
    lost_us: Option<i64>,
}

impl Vigil {
    /// Nothing is known of the time before.
    pub fn begin(clock: Clock, lease: Lease) -> Vigil {
        let polled_us = AtomicI64::new(clock.now().as_us());
        let inner =
            Inner { clock, lease, polled_us, is_over: AtomicBool::new(false), under_way: Mutex::default() };
        Vigil { inner: Arc::new(inner) }
    }

    /// Runs the feed's work under this vigil, which is over when the work is, however it ends.
    pub async fn keep<Work: Future>(&self, work: Work) -> Work::Output {
        let _end = End(self);
        let mut work = pin!(work);
        let mut tick = tokio::time::interval(self.inner.clock.real_span(TICK).max(TICK_LEAST));
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        poll_fn(|context| {
            let begun = self.inner.clock.now();
            // Only to be polled again.
            while tick.poll_tick(context).is_ready() {}
            let polled = work.as_mut().poll(context);
            if polled.is_pending() {
                // A machine's clock that steps back takes nothing back.
                self.inner.polled_us.fetch_max(begun.as_us(), Ordering::AcqRel);
            }
            polled
        })
        .await
    }

    /// Whether nobody keeps this vigil any more: the work has ended, or its incarnation was given up.
    pub fn is_over(&self) -> bool {
        self.inner.is_over.load(Ordering::Acquire) || !self.inner.lease.is_current()
    }

    /// Everything that had reached the feed by then is in the log.
    pub fn watched_until(&self) -> Timestamp {
        let polled_us = self.inner.polled_us.load(Ordering::Acquire);
        let under_way = self.under_way();
        let oldest_us = under_way.records_us.iter().copied().chain(under_way.lost_us).min();
        Timestamp::from_us(oldest_us.map_or(polled_us, |us| us.min(polled_us)))
    }

    /// The feed hands over a record that it has read since its last poll.
    pub fn hand_over(&self) -> HandedOver {
        let since_us = self.inner.polled_us.load(Ordering::Acquire);
        self.under_way().records_us.push(since_us);
        HandedOver { vigil: self.clone(), since_us, is_accepted: false }
    }

    /// The watching begins anew: what was lost before it does not matter any more.
    pub fn forgive_loss(&self) {
        self.under_way().lost_us = None;
    }

    fn under_way(&self) -> MutexGuard<'_, UnderWay> {
        self.inner.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct End<'a>(&'a Vigil);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.inner.is_over.store(true, Ordering::Release);
    }
}

/// A record on its way into the log. Dropped before it was accepted, it is lost.
#[derive(Debug)]
#[must_use = "a record that is not accepted is lost"]
pub struct HandedOver {
    vigil: Vigil,
    since_us: i64,
    is_accepted: bool,
}

impl HandedOver {
    pub fn accepted(mut self) {
        self.is_accepted = true;
    }
}

impl Drop for HandedOver {
    fn drop(&mut self) {
        let mut under_way = self.vigil.under_way();
        let at = under_way.records_us.iter().position(|us| *us == self.since_us);
        at.map(|at| under_way.records_us.swap_remove(at));
        if !self.is_accepted {
            let lost_us = under_way.lost_us.map_or(self.since_us, |lost_us| lost_us.min(self.since_us));
            under_way.lost_us = Some(lost_us);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::pending;

    fn vigil() -> Vigil {
        Vigil::begin(Clock::system(), Lease::detached("feeds/nse"))
    }

    /// Lets the work be polled at least once more.
    async fn poll_again() {
        tokio::time::sleep(TICK * 2).await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_feed_that_waits_watches() {
        let vigil = vigil();
        let before = Clock::system().now();
        let kept = vigil.keep(pending::<()>());
        tokio::select! {
            () = kept => unreachable!("it is pending"),
            () = poll_again() => {}
        }
        assert!(vigil.watched_until() >= before);
        assert!(vigil.is_over(), "the work was dropped");
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_not_in_the_log_was_not_watched() {
        let vigil = vigil();
        let before = vigil.watched_until();
        let (first, second) = (vigil.hand_over(), vigil.hand_over());
        tokio::select! {
            () = vigil.keep(pending()) => unreachable!("it is pending"),
            () = poll_again() => {}
        }
        assert_eq!(vigil.watched_until(), before, "two records are on their way");
        first.accepted();
        assert_eq!(vigil.watched_until(), before, "one record is on its way");
        drop(second);
        assert_eq!(vigil.watched_until(), before, "one record is lost");
        vigil.forgive_loss();
        assert!(vigil.watched_until() >= before);
        vigil.hand_over().accepted();
        let polled = vigil.inner.polled_us.load(Ordering::Acquire);
        assert_eq!(vigil.watched_until().as_us(), polled);
    }

    #[tokio::test]
    async fn the_poll_that_breaks_the_work_does_not_count() {
        let vigil = vigil();
        vigil.inner.polled_us.store(7, Ordering::Release);
        vigil.keep(async {}).await;
        assert_eq!(vigil.watched_until().as_us(), 7);
        assert!(vigil.is_over());
    }
}
