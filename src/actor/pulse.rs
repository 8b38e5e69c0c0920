//! Signs of life of one incarnation, in atomics.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::time::Instant;

/// Written by the incarnation, read by anyone. Clones are the same pulse.
#[derive(Clone, Debug)]
pub struct Pulse {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    epoch: Instant,
    /// Microseconds after `epoch`.
    progress_us: AtomicU64,
    turn_us: AtomicU64,
    /// How many calls wait for somebody else: a full port is not a hang.
    waiting: AtomicU32,
}

impl Default for Pulse {
    fn default() -> Pulse {
        let inner = Inner {
            epoch: Instant::now(),
            progress_us: AtomicU64::new(0),
            turn_us: AtomicU64::new(0),
            waiting: AtomicU32::new(0),
        };
        Pulse { inner: Arc::new(inner) }
    }
}

impl Pulse {
    /// The child did a piece of its work.
    pub fn progress(&self) {
        self.inner.progress_us.store(self.elapsed_us(), Relaxed);
    }

    /// The child's thread turned; says nothing about its work.
    pub(super) fn turn(&self) {
        self.inner.turn_us.store(self.elapsed_us(), Relaxed);
    }

    /// Since the last progress.
    pub fn progress_age(&self) -> Duration {
        self.age(&self.inner.progress_us)
    }

    /// Since the child's thread last turned.
    pub fn turn_age(&self) -> Duration {
        self.age(&self.inner.turn_us)
    }

    /// Marks the child as waiting for somebody else until the guard is dropped.
    pub fn wait(&self) -> Waiting {
        self.inner.waiting.fetch_add(1, Relaxed);
        Waiting { pulse: self.clone() }
    }

    pub fn is_waiting(&self) -> bool {
        self.inner.waiting.load(Relaxed) > 0
    }

    fn elapsed_us(&self) -> u64 {
        u64::try_from(self.inner.epoch.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    fn age(&self, stamp: &AtomicU64) -> Duration {
        Duration::from_micros(self.elapsed_us().saturating_sub(stamp.load(Relaxed)))
    }
}

/// See [`Pulse::wait`]. Its end is progress.
#[derive(Debug)]
#[must_use = "waiting ends when this is dropped"]
pub struct Waiting {
    pulse: Pulse,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.pulse.progress();
        self.pulse.inner.waiting.fetch_sub(1, Relaxed);
    }
}
