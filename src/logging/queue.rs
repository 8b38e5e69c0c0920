//! The bounded queue between those who log and the one thread that writes.
//!
//! Policy: never wait. Trace and debug records are dropped once the queue is half full, info records at three quarters,
//! warnings and errors only when it is full. What is dropped is counted by level, and the writing thread is told with the
//! next records it takes. Bounds: [`RECORDS_MAX`] records and [`BYTES_MAX`] bytes wait, [`TAKEN_MAX`] records are in hand.

use super::entry::Entry;
use log::Level;
use std::{
    collections::VecDeque,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// Some seconds of a daemon that has much to say.
pub(super) const RECORDS_MAX: usize = 4_096;
pub(super) const BYTES_MAX: usize = 4 << 20;
/// Few, so that what is in hand counts little beside what waits.
pub(super) const TAKEN_MAX: usize = 64;

/// What became of records so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogCounters {
    pub accepted: u64,
    pub dropped: u64,
    /// Records that wait to be written.
    pub waiting: u64,
}

/// Records dropped since this was last told, by level from error to trace.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Dropped([u64; 5]);

impl Dropped {
    fn note(&mut self, level: Level) {
        self.0[level as usize - 1] += 1;
    }

    pub fn of(&self, level: Level) -> u64 {
        self.0[level as usize - 1]
    }

    pub fn sum(&self) -> u64 {
        self.0.iter().sum()
    }
}

#[derive(Debug)]
pub(super) struct Queue {
    state: Mutex<State>,
    filled: Condvar,
    written: Condvar,
    records_max: usize,
    bytes_max: usize,
}

#[derive(Debug, Default)]
struct State {
    entries: VecDeque<Entry>,
    bytes: usize,
    untold: Dropped,
    accepted: u64,
    written: u64,
    dropped: u64,
    /// The writing thread sleeps: only then a signal is worth its system call.
    is_waiting: bool,
    is_closed: bool,
}

impl Queue {
    pub fn new(records_max: usize, bytes_max: usize) -> Queue {
        let state = State { entries: VecDeque::with_capacity(records_max), ..State::default() };
        Queue {
            state: Mutex::new(state),
            filled: Condvar::new(),
            written: Condvar::new(),
            records_max,
            bytes_max,
        }
    }

    /// What is done under the lock moves values and cannot panic half-way.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Never waits for the writing thread. False if the record was dropped.
    pub fn push(&self, entry: Entry) -> bool {
        // Quarters of the queue that are open to a level.
        let open = match entry.level {
            Level::Error | Level::Warn => 4,
            Level::Info => 3,
            Level::Debug | Level::Trace => 2,
        };
        let weight = entry.weight();
        let mut state = self.state();
        let is_room = state.entries.len() < self.records_max * open / 4
            && state.bytes + weight <= self.bytes_max * open / 4;
        if !is_room || state.is_closed {
            state.untold.note(entry.level);
            state.dropped += 1;
            return false;
        }
        state.bytes += weight;
        state.accepted += 1;
        state.entries.push_back(entry);
        if std::mem::take(&mut state.is_waiting) {
            drop(state);
            self.filled.notify_one();
        }
        true
    }

    /// Waits for records and moves them to `taken`, which is empty. `None` once the queue is closed and empty.
    pub fn take(&self, taken: &mut Vec<Entry>) -> Option<Dropped> {
        let mut state = self.state();
        while state.entries.is_empty() {
            if state.is_closed {
                return None;
            }
            state.is_waiting = true;
            state = self.filled.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        let count = state.entries.len().min(TAKEN_MAX);
        taken.extend(state.entries.drain(..count));
        state.bytes -= taken.iter().map(Entry::weight).sum::<usize>();
        Some(std::mem::take(&mut state.untold))
    }

    /// The writing thread is done with `count` records that it took.
    pub fn note_written(&self, count: usize) {
        self.state().written += count as u64;
        self.written.notify_all();
    }

    /// Waits until what was accepted before is written. False if it took too long.
    pub fn flush(&self, within: Duration) -> bool {
        let state = self.state();
        let goal = state.accepted;
        let waited = self.written.wait_timeout_while(state, within, |state| state.written < goal);
        !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }

    /// Takes nothing more; the writing thread ends after what is there.
    pub fn close(&self) {
        self.state().is_closed = true;
        self.filled.notify_one();
    }

    pub fn counters(&self) -> LogCounters {
        let state = self.state();
        let waiting = state.accepted - state.written;
        LogCounters { accepted: state.accepted, dropped: state.dropped, waiting }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::Event, *};
    use proptest::prelude::*;

    fn entry(level: Level, text: &str) -> Entry {
        Entry::own(level, Event::Started, text.to_owned(), &[])
    }

    #[test]
    fn the_least_important_is_dropped_first_and_told() {
        let queue = Queue::new(8, BYTES_MAX);
        let push = |level| queue.push(entry(level, "x"));
        let fill = |level| (0..10).filter(|_| push(level)).count();
        assert_eq!(fill(Level::Debug), 4);
        assert_eq!(fill(Level::Trace), 0);
        assert_eq!(fill(Level::Info), 2);
        assert_eq!(fill(Level::Warn), 2);
        assert_eq!(fill(Level::Error), 0);
        assert_eq!(queue.counters(), LogCounters { accepted: 8, dropped: 42, waiting: 8 });
        let mut taken = Vec::new();
        let dropped = queue.take(&mut taken).expect("open");
        let by_level: Vec<u64> = Level::iter().map(|level| dropped.of(level)).collect();
        assert_eq!(by_level, [10, 8, 8, 6, 10]);
        assert_eq!(taken.len(), 8);
        assert!(push(Level::Info), "there is room again");
        assert_eq!(queue.take(&mut Vec::new()), Some(Dropped::default()), "told once");
    }

    #[test]
    fn bytes_bound_the_queue_too() {
        let one = entry(Level::Error, &"x".repeat(1_000)).weight();
        let queue = Queue::new(1_000, 3 * one);
        let accepted = (0..5).filter(|_| queue.push(entry(Level::Error, &"x".repeat(1_000)))).count();
        assert_eq!(accepted, 3);
        queue.take(&mut Vec::new()).expect("open");
        assert!(queue.push(entry(Level::Error, &"x".repeat(1_000))), "what was taken weighs nothing");
    }

    #[test]
    fn a_closed_queue_gives_what_it_has_and_ends() {
        let queue = Queue::new(8, BYTES_MAX);
        assert!(queue.push(entry(Level::Info, "x")));
        queue.close();
        assert!(!queue.push(entry(Level::Error, "late")));
        let mut taken = Vec::new();
        assert!(queue.take(&mut taken).is_some());
        assert!(queue.take(&mut Vec::new()).is_none());
        assert!(!queue.flush(Duration::ZERO), "not written yet");
        queue.note_written(taken.len());
        assert!(queue.flush(Duration::ZERO));
    }

    proptest! {
        /// Whatever comes in whatever order: what is accepted comes out once, in order, and the rest is counted.
        #[test]
        fn accepted_comes_out_in_order_and_the_rest_is_counted(
            steps in proptest::collection::vec(proptest::option::weighted(0.9, 1..=5_usize), 0..300),
        ) {
            let queue = Queue::new(16, BYTES_MAX);
            let (mut accepted, mut out, mut pushed, mut dropped) = (Vec::new(), Vec::new(), 0, 0);
            for step in steps {
                match step {
                    Some(level) => {
                        let level = Level::iter().nth(level - 1).expect("a level");
                        let name = pushed.to_string();
                        pushed += 1;
                        if queue.push(entry(level, &name)) {
                            accepted.push(name);
                        }
                    }
                    None if queue.counters().waiting > 0 => {
                        let mut taken = Vec::new();
                        dropped += queue.take(&mut taken).expect("open").sum();
                        queue.note_written(taken.len());
                        out.extend(taken.into_iter().map(|entry| entry.message));
                    }
                    None => {}
                }
                prop_assert!(queue.counters().waiting <= 16);
            }
            queue.close();
            let mut taken = Vec::new();
            while let Some(untold) = queue.take(&mut taken) {
                dropped += untold.sum();
                out.extend(taken.drain(..).map(|entry| entry.message));
            }
            dropped += queue.state().untold.sum();
            prop_assert_eq!(dropped + accepted.len() as u64, pushed);
            prop_assert_eq!(out, accepted);
        }
    }
}
