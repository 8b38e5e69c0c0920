//! Signs of life of one thread, in atomics.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{
            AtomicBool, AtomicU64,
            Ordering::{Acquire, Relaxed, Release},
        },
    },
    time::Duration,
};
use tokio::time::Instant;

/// Written by whatever runs on the thread, read by supervisors. A thread that blocks stops writing it.
#[derive(Debug)]
pub(super) struct ThreadPulse {
    epoch: Instant,
    /// Microseconds after `epoch`.
    turn_us: AtomicU64,
    /// A long computation was declared; no turn is expected before.
    excused_until_us: AtomicU64,
    /// Number of the child whose work is being polled; 0 between polls.
    polled: AtomicU64,
    is_abandoned: AtomicBool,
    /// Who blocked it, once it is abandoned; `None` where nobody was being polled.
    offender: Mutex<Option<Offender>>,
}

/// The child that blocks a thread.
#[derive(Clone, Debug)]
pub(super) struct Offender {
    pub number: u64,
    pub path: Arc<str>,
}

impl Default for ThreadPulse {
    fn default() -> ThreadPulse {
        ThreadPulse {
            epoch: Instant::now(),
            turn_us: AtomicU64::new(0),
            excused_until_us: AtomicU64::new(0),
            polled: AtomicU64::new(0),
            is_abandoned: AtomicBool::new(false),
            offender: Mutex::new(None),
        }
    }
}

impl ThreadPulse {
    /// The thread turns, at this moment; asking for the time costs as much as all else of a sign of life.
    pub fn turn(&self, now: Instant) {
        self.turn_us.store(micros(now.saturating_duration_since(self.epoch)), Relaxed);
    }

    pub fn turn_age(&self) -> Duration {
        Duration::from_micros(self.elapsed_us().saturating_sub(self.turn_us.load(Relaxed)))
    }

    /// The answer ends it.
    pub fn excuse(&self, limit: Duration) -> u64 {
        let until_us = self.elapsed_us().saturating_add(micros(limit));
        self.excused_until_us.fetch_max(until_us, Relaxed);
        until_us
    }

    /// A longer excuse of a neighbour stays.
    pub fn end_excuse(&self, until_us: u64) {
        let _ = self.excused_until_us.compare_exchange(until_us, 0, Relaxed, Relaxed);
    }

    /// How long no turn is expected from now on.
    pub fn excused_for(&self) -> Duration {
        Duration::from_micros(self.excused_until_us.load(Relaxed).saturating_sub(self.elapsed_us()))
    }

    /// Says who is being polled; returns who was, to be set again afterwards.
    pub fn set_polled(&self, number: u64) -> u64 {
        // Only this thread writes it.
        let before = self.polled.load(Relaxed);
        self.polled.store(number, Release);
        before
    }

    pub fn polled(&self) -> u64 {
        self.polled.load(Acquire)
    }

    /// Gives the thread up for good, with the one who blocks it.
    pub fn abandon(&self, offender: Option<Offender>) {
        let mut noted = self.offender.lock().unwrap_or_else(PoisonError::into_inner);
        if !self.is_abandoned.swap(true, Release) {
            *noted = offender;
        }
    }

    pub fn is_abandoned(&self) -> bool {
        self.is_abandoned.load(Acquire)
    }

    pub fn offender(&self) -> Option<Offender> {
        self.offender.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn elapsed_us(&self) -> u64 {
        micros(self.epoch.elapsed())
    }
}

fn micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}
