//! Signs of life of one incarnation, in atomics.
//!
//! A child shows a sign within every heartbeat, or it counts as hung: each piece of work it does, and each wait inside
//! the kit (for items, for room, for the stop signal) shows signs by itself. Whoever waits for somebody else outside
//! the kit says so with [`Pulse::wait`], and whoever computes for long with [`Pulse::excuse`].

use super::{
    histogram::Histogram,
    suspects::{InHand, Source},
    thread_pulse::ThreadPulse,
};
use std::{
    future::pending,
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::time::Instant;

/// Signs are shown this often within a heartbeat.
const SIGNS_A_HEARTBEAT: u32 = 4;
const SIGN_DISTANCE_LEAST: Duration = Duration::from_millis(1);

/// Written by the incarnation, read by anyone. Clones are the same pulse.
#[derive(Clone, Debug)]
pub struct Pulse {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    epoch: Instant,
    heartbeat: Duration,
    /// Microseconds after `epoch`: the last piece of work, and the last sign of any kind.
    progress_us: AtomicU64,
    sign_us: AtomicU64,
    excused_until_us: AtomicU64,
    /// How many calls wait for somebody else.
    waiting: AtomicU32,
    /// What is being handled: where it is from, the number of the first, how many (0: nothing).
    hand_source: AtomicU64,
    hand_first: AtomicU64,
    hand_count: AtomicU64,
    thread: Arc<ThreadPulse>,
    handling: Arc<Histogram>,
}

impl Default for Pulse {
    /// Outside any tree: nobody expects signs.
    fn default() -> Pulse {
        Pulse::new(Duration::ZERO, Arc::default(), Arc::default())
    }
}

impl Pulse {
    pub(super) fn new(heartbeat: Duration, thread: Arc<ThreadPulse>, handling: Arc<Histogram>) -> Pulse {
        let inner = Inner {
            epoch: Instant::now(),
            heartbeat,
            progress_us: AtomicU64::new(0),
            sign_us: AtomicU64::new(0),
            excused_until_us: AtomicU64::new(0),
            waiting: AtomicU32::new(0),
            hand_source: AtomicU64::new(0),
            hand_first: AtomicU64::new(0),
            hand_count: AtomicU64::new(0),
            thread,
            handling,
        };
        Pulse { inner: Arc::new(inner) }
    }

    /// The child did a piece of its work.
    pub fn progress(&self) {
        let now = Instant::now();
        let now_us = self.us_at(now);
        self.inner.progress_us.store(now_us, Relaxed);
        self.inner.sign_us.store(now_us, Relaxed);
        self.inner.thread.turn(now);
    }

    /// The child's task is alive, whatever it waits for.
    pub(super) fn sign(&self) {
        let now = Instant::now();
        self.inner.sign_us.store(self.us_at(now), Relaxed);
        self.inner.thread.turn(now);
    }

    /// The child's thread turned; says nothing about its work.
    pub(super) fn turn(&self) {
        self.inner.thread.turn(Instant::now());
    }

    /// Since the last piece of work.
    pub fn progress_age(&self) -> Duration {
        self.age(&self.inner.progress_us)
    }

    /// Since the last sign of any kind.
    pub fn sign_age(&self) -> Duration {
        self.age(&self.inner.sign_us)
    }

    /// Since the child's thread last turned.
    pub fn turn_age(&self) -> Duration {
        self.inner.thread.turn_age()
    }

    /// Marks the child as waiting for somebody else until the guard is dropped. For waits that have a bound of their own.
    pub fn wait(&self) -> Waiting {
        self.inner.waiting.fetch_add(1, Relaxed);
        Waiting { pulse: self.clone() }
    }

    pub fn is_waiting(&self) -> bool {
        self.inner.waiting.load(Relaxed) > 0
    }

    /// Declares a computation that may take up to `limit` without a sign and may keep its thread: before that it is no
    /// hang, until the guard is dropped.
    pub fn excuse(&self, limit: Duration) -> Excused {
        let until_us = self.elapsed_us().saturating_add(micros(limit));
        self.inner.excused_until_us.store(until_us, Relaxed);
        Excused { pulse: self.clone(), thread_until_us: self.inner.thread.excuse(limit) }
    }

    /// For how long no sign is expected from now on.
    pub(super) fn excused_for(&self) -> Duration {
        Duration::from_micros(self.inner.excused_until_us.load(Relaxed).saturating_sub(self.elapsed_us()))
    }

    pub(super) fn heartbeat(&self) -> Duration {
        self.inner.heartbeat
    }

    pub(super) fn thread(&self) -> &Arc<ThreadPulse> {
        &self.inner.thread
    }

    pub(super) fn handling(&self) -> &Histogram {
        &self.inner.handling
    }

    /// How far apart signs are; `None` where none are expected.
    pub(super) fn sign_distance(&self) -> Option<Duration> {
        let heartbeat = self.inner.heartbeat;
        (!heartbeat.is_zero()).then(|| (heartbeat / SIGNS_A_HEARTBEAT).max(SIGN_DISTANCE_LEAST))
    }

    /// Returns when the next sign is due, which the caller then shows.
    pub(super) async fn sign_due(&self) {
        match self.sign_distance() {
            Some(distance) => tokio::time::sleep(distance).await,
            None => pending().await,
        }
    }

    /// Shows signs for as long as it is polled; never returns.
    pub(super) async fn keep_signing(&self) {
        loop {
            self.sign();
            self.sign_due().await;
        }
    }

    pub(super) fn take_in_hand(&self, source: Source, first: u64, count: u64) {
        self.inner.hand_source.store(source.0, Relaxed);
        self.inner.hand_first.store(first, Relaxed);
        self.inner.hand_count.store(count, Relaxed);
    }

    pub(super) fn lay_down(&self) {
        self.inner.hand_count.store(0, Relaxed);
    }

    /// What the child handles, or died of. Read when it is over: three words are no snapshot.
    pub(super) fn in_hand(&self) -> Option<InHand> {
        let count = self.inner.hand_count.load(Relaxed);
        let source = Source(self.inner.hand_source.load(Relaxed));
        (count > 0).then(|| InHand { source, first: self.inner.hand_first.load(Relaxed), count })
    }

    fn elapsed_us(&self) -> u64 {
        self.us_at(Instant::now())
    }

    fn us_at(&self, now: Instant) -> u64 {
        micros(now.saturating_duration_since(self.inner.epoch))
    }

    fn age(&self, stamp: &AtomicU64) -> Duration {
        Duration::from_micros(self.elapsed_us().saturating_sub(stamp.load(Relaxed)))
    }
}

fn micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}

/// See [`Pulse::wait`]. Its end is a sign.
#[derive(Debug)]
#[must_use = "waiting ends when this is dropped"]
pub struct Waiting {
    pulse: Pulse,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.pulse.sign();
        self.pulse.inner.waiting.fetch_sub(1, Relaxed);
    }
}

/// See [`Pulse::excuse`]. Its end is a sign.
#[derive(Debug)]
#[must_use = "the excuse ends when this is dropped"]
pub struct Excused {
    pulse: Pulse,
    thread_until_us: u64,
}

impl Drop for Excused {
    fn drop(&mut self) {
        self.pulse.sign();
        self.pulse.inner.excused_until_us.store(0, Relaxed);
        self.pulse.inner.thread.end_excuse(self.thread_until_us);
    }
}
