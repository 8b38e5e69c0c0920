//! Plays a market: says how many events have happened, and lets every connection walk through all of them.
//!
//! Owns the number of events played. A connection has a [`Cursor`]: its own position and its own state, so that it
//! sees every event in order, however late it is, and nothing is queued for it. Clocked, the number follows the
//! simulated clock and never waits for a reader. As fast as possible, it runs at most one window ahead of the slowest
//! cursor.

use super::{
    candles,
    history::{self, PastValues},
    hours::PlayedHours,
    market::SimMarket,
    state::{MarketState, SlotState},
};
use crate::{
    clock::Clock,
    market::{Bar, Timestamp},
};
use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::sync::{Notify, watch};

/// What drives the play.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// The simulated clock.
    Clocked,
    /// The readers: as soon as tokens are subscribed on all sockets together, events flow as fast as they are taken.
    AsFastAsPossible { after_subscriptions: usize },
}

/// Plays the same events several times, each pass later than the one before.
///
/// A market shorter than an hour repeats right after itself and its volume keeps growing; a longer one repeats the next
/// day at the same time of day and starts its volume again.
#[derive(Clone, Copy, Debug)]
pub struct Repeat {
    length: u64,
    /// 0 is endless.
    passes: u64,
    shift_ms: i64,
    same_day: bool,
}

impl Repeat {
    pub fn new(market: &SimMarket, passes: u64) -> Repeat {
        const HOUR_MS: i64 = 3_600_000;
        const DAY_MS: i64 = 24 * HOUR_MS;
        let span_ms = market.last_time().as_ms() - market.first_time().as_ms();
        let same_day = span_ms < HOUR_MS;
        let shift_ms = match same_day {
            true => (span_ms / 1_000 + 1) * 1_000,
            false => (span_ms / DAY_MS + 1) * DAY_MS,
        };
        Repeat { length: market.events().len() as u64, passes, shift_ms, same_day }
    }

    /// Events in the whole play. `None` if it is endless.
    pub fn total(&self) -> Option<u64> {
        match (self.length, self.passes) {
            (0, _) => Some(0),
            (_, 0) => None,
            (length, passes) => Some(length.saturating_mul(passes)),
        }
    }

    #[inline]
    pub(super) fn split(&self, position: u64) -> (u64, usize) {
        if position < self.length {
            return (0, position as usize);
        }
        (position / self.length, (position % self.length) as usize)
    }

    #[inline]
    pub(super) fn shift_ms(&self, pass: u64) -> i64 {
        pass as i64 * self.shift_ms
    }

    pub(super) fn same_day(&self) -> bool {
        self.same_day
    }

    pub(super) fn time_of(&self, market: &SimMarket, position: u64) -> Timestamp {
        let (pass, within) = self.split(position);
        market.time(&market.events()[within]).plus_us(self.shift_ms(pass).saturating_mul(1_000))
    }

    /// How many events have happened at `now`.
    fn due(&self, market: &SimMarket, now: Timestamp) -> u64 {
        let since_ms = now.us_since(market.first_time()).div_euclid(1_000);
        if since_ms < 0 || self.length == 0 {
            return 0;
        }
        let pass = since_ms / self.shift_ms;
        if self.passes > 0 && pass as u64 >= self.passes {
            return self.length.saturating_mul(self.passes);
        }
        let offset_ms = since_ms - pass * self.shift_ms;
        let within = market.events().partition_point(|event| i64::from(event.offset_ms) <= offset_ms);
        pass as u64 * self.length + within as u64
    }
}

/// How far the play is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    pub played: u64,
    /// `None` if the play is endless.
    pub total: Option<u64>,
}

impl Progress {
    pub fn is_finished(&self) -> bool {
        self.total == Some(self.played)
    }
}

/// A market being played.
pub struct Playback {
    market: Arc<SimMarket>,
    clock: Clock,
    pace: Pace,
    repeat: Repeat,
    hours: PlayedHours,
    played: watch::Sender<u64>,
    /// Follows `played` when somebody asks.
    shared: Mutex<MarketState>,
    /// Positions of the cursors alive.
    readers: Mutex<Vec<Weak<AtomicU64>>>,
    reader_moved: Notify,
    subscriptions: AtomicUsize,
}

impl Playback {
    /// How far a play without clock may run ahead of its slowest reader.
    const WINDOW_EVENTS: u64 = 1 << 16;

    pub fn new(market: Arc<SimMarket>, clock: Clock, pace: Pace, passes: u64) -> Arc<Playback> {
        let repeat = Repeat::new(&market, passes);
        // The last day of more passes lies beyond the calendar's years.
        const PASSES_MAX: u64 = 1_000_000;
        let last_day = match repeat.total() {
            Some(0) => Some(market.date()),
            total => total
                .filter(|_| passes <= PASSES_MAX)
                .map(|total| repeat.time_of(&market, total - 1).date_ist()),
        };
        Arc::new(Playback {
            shared: Mutex::new(MarketState::new(&market)),
            repeat,
            hours: PlayedHours::new(market.date(), last_day),
            played: watch::Sender::new(0),
            readers: Mutex::default(),
            reader_moved: Notify::new(),
            subscriptions: AtomicUsize::new(0),
            market,
            clock,
            pace,
        })
    }

    pub fn market(&self) -> &Arc<SimMarket> {
        &self.market
    }

    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Whether the clock drives the play, so that its instants mean something for the values.
    pub(super) fn is_clocked(&self) -> bool {
        self.pace == Pace::Clocked
    }

    pub(super) fn hours(&self) -> &PlayedHours {
        &self.hours
    }

    pub fn progress(&self) -> Progress {
        Progress { played: *self.played.borrow(), total: self.repeat.total() }
    }

    /// Drives the play to its end.
    pub async fn run(&self) {
        match self.pace {
            Pace::Clocked => self.run_clocked().await,
            Pace::AsFastAsPossible { after_subscriptions } => self.run_unclocked(after_subscriptions).await,
        }
    }

    async fn run_clocked(&self) {
        loop {
            let due = self.repeat.due(&self.market, self.clock.now());
            self.publish(due);
            if self.repeat.total() == Some(due) {
                return;
            }
            self.clock.sleep_until(self.repeat.time_of(&self.market, due)).await;
        }
    }

    /// Plays everything that is due at this instant of the clock and returns the instant. [`Playback::run`] may be late
    /// with it, and a packet that is stamped with the clock must not be followed by an earlier event. Without clock
    /// nothing is played.
    pub(super) fn follow_clock(&self) -> Timestamp {
        let now = self.clock.now();
        if self.is_clocked() {
            self.publish(self.repeat.due(&self.market, now));
        }
        now
    }

    /// How many events had happened at an instant; without clock, how many have.
    pub(super) fn position_at(&self, instant: Timestamp) -> u64 {
        match self.is_clocked() {
            true => self.repeat.due(&self.market, instant),
            false => *self.played.borrow(),
        }
    }

    /// Sequence and time of a contract's newest event among the first `position` ones.
    pub(super) fn newest_event(&self, slot: usize, position: u64) -> Option<(i64, Timestamp)> {
        history::newest_event(&self.market, &self.repeat, slot, position)
    }

    /// A contract's values after the first `position` events.
    pub(super) fn values_at(&self, slot: usize, position: u64) -> Option<PastValues> {
        history::values_at(&self.market, &self.repeat, slot, position)
    }

    async fn run_unclocked(&self, after_subscriptions: usize) {
        // A reader that goes away reports nothing, so look again now and then.
        const RECHECK: Duration = Duration::from_millis(20);
        let total = self.repeat.total().unwrap_or(u64::MAX);
        let mut played = 0;
        while played < total {
            let moved = self.reader_moved.notified();
            if self.subscriptions() >= after_subscriptions
                && let Some(slowest) = self.slowest_reader()
            {
                let ahead = slowest.saturating_add(Self::WINDOW_EVENTS).min(total);
                // Small steps would wake every reader for a handful of events.
                if ahead == total || ahead >= played + Self::WINDOW_EVENTS / 4 {
                    played = ahead;
                    self.publish(played);
                    continue;
                }
            }
            // Ending the wait early is harmless: the loop looks again.
            let _ = tokio::time::timeout(RECHECK, moved).await;
        }
    }

    fn publish(&self, played: u64) {
        self.played.send_if_modified(|current| {
            let is_further = *current < played;
            *current = played.max(*current);
            is_further
        });
    }

    fn slowest_reader(&self) -> Option<u64> {
        let mut readers = self.readers.lock().unwrap_or_else(PoisonError::into_inner);
        readers.retain(|reader| reader.strong_count() > 0);
        readers.iter().filter_map(Weak::upgrade).map(|reader| reader.load(Ordering::Relaxed)).min()
    }

    /// The state at everything played so far.
    pub fn state(&self) -> MutexGuard<'_, MarketState> {
        let played = *self.played.borrow();
        let mut state = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        state.catch_up(&self.market, &self.repeat, played);
        state
    }

    /// Candles of one contract from what the running pass has played, over starts in `from..=to`.
    pub fn candles(&self, slot: usize, minutes: i64, from: Timestamp, to: Timestamp) -> Vec<Bar> {
        let played = *self.played.borrow();
        let Some(newest) = played.checked_sub(1) else {
            return Vec::new();
        };
        let (pass, within) = self.repeat.split(newest);
        candles::candles(&self.market, slot, minutes, within + 1, self.repeat.shift_ms(pass), from, to)
    }

    /// Tokens subscribed so far over all sockets, those ended since included.
    pub fn subscriptions(&self) -> usize {
        self.subscriptions.load(Ordering::Relaxed)
    }

    pub(super) fn count_subscriptions(&self, added: usize) {
        self.subscriptions.fetch_add(added, Ordering::Relaxed);
        self.reader_moved.notify_one();
    }

    pub fn cursor(self: &Arc<Self>) -> Cursor {
        let played = self.played.subscribe();
        let state = self.state();
        let reported = Arc::new(AtomicU64::new(state.position()));
        self.readers.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::downgrade(&reported));
        Cursor { state: state.clone(), playback: self.clone(), played, reported }
    }
}

/// One reader's way through the play.
pub struct Cursor {
    playback: Arc<Playback>,
    state: MarketState,
    played: watch::Receiver<u64>,
    reported: Arc<AtomicU64>,
}

impl Cursor {
    /// The state at this cursor's own position.
    pub fn state(&self) -> &MarketState {
        &self.state
    }

    /// Whether events have happened that this cursor has not seen.
    pub(super) fn is_behind(&self) -> bool {
        self.state.position() < *self.played.borrow()
    }

    /// Up to when this cursor has seen everything: `now`, or the time of its newest event while it is behind.
    pub(super) fn frontier(&self, now: Timestamp) -> Timestamp {
        match self.state.position().checked_sub(1) {
            Some(newest) if self.is_behind() => {
                self.playback.repeat.time_of(&self.playback.market, newest).min(now)
            }
            _ => now,
        }
    }

    /// Returns once there is an event that this cursor has not seen. Cancelling loses nothing.
    pub async fn has_more(&mut self) {
        let position = self.state.position();
        if self.played.wait_for(|played| *played > position).await.is_err() {
            // The play is gone with its simulator; so will this reader be.
            std::future::pending::<()>().await;
        }
    }

    /// Walks over at most `events_max` events that have happened, in order, and returns how many there were.
    #[inline]
    pub fn advance(&mut self, events_max: u64, mut on_event: impl FnMut(usize, &SlotState)) -> u64 {
        let played = *self.played.borrow();
        let end = played.min(self.state.position().saturating_add(events_max));
        let start = self.state.position();
        while self.state.position() < end {
            let slot = self.state.apply_next(&self.playback.market, &self.playback.repeat);
            on_event(slot, self.state.slot(slot));
        }
        end.saturating_sub(start)
    }

    /// Tells the play how far this reader is; a play without clock waits for it.
    pub fn report(&self) {
        self.reported.store(self.state.position(), Ordering::Relaxed);
        self.playback.reader_moved.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        clock::{Simulation, real_now},
        sim::SyntheticMarket,
    };

    fn market(seconds: u32) -> Arc<SimMarket> {
        let synthetic =
            SyntheticMarket { duration_s: seconds, ticks_per_second: 50, ..SyntheticMarket::default() };
        Arc::new(synthetic.generate())
    }

    fn simulation(market: &SimMarket, speed: f64) -> Clock {
        let start = market.first_time().plus_seconds(-60);
        Clock::simulated(Simulation { start, real_start: real_now(), speed })
    }

    async fn walk(mut cursor: Cursor, chunk: u64, total: u64) -> Vec<i64> {
        let mut seen = Vec::new();
        while (seen.len() as u64) < total {
            cursor.has_more().await;
            cursor.advance(chunk, |_, state| seen.push(state.sequence()));
            cursor.report();
            tokio::task::yield_now().await;
        }
        seen
    }

    #[tokio::test]
    async fn every_reader_sees_every_event_in_order_at_high_speed() {
        let market = market(120);
        let total = market.events().len() as u64;
        let playback = Playback::new(market.clone(), simulation(&market, 2_000.0), Pace::Clocked, 1);
        let readers = [1_000_000, 7, 64].map(|chunk| tokio::spawn(walk(playback.cursor(), chunk, total)));
        playback.run().await;
        for reader in readers {
            let seen = reader.await.expect("a reader");
            assert_eq!(seen, (1..=total as i64).collect::<Vec<_>>());
        }
        assert!(playback.progress().is_finished());
    }

    #[tokio::test]
    async fn without_clock_the_play_stays_within_a_window_of_its_slowest_reader() {
        let market = market(30);
        let passes = 2 * Playback::WINDOW_EVENTS / market.events().len() as u64 + 10;
        let clock = simulation(&market, 1.0);
        let pace = Pace::AsFastAsPossible { after_subscriptions: 2 };
        let playback = Playback::new(market.clone(), clock, pace, passes);
        let driver = tokio::spawn({
            let playback = playback.clone();
            async move { playback.run().await }
        });
        let mut idle = playback.cursor();
        playback.count_subscriptions(1);
        tokio::task::yield_now().await;
        assert_eq!(playback.progress().played, 0, "the second subscription is missing");
        playback.count_subscriptions(1);
        idle.has_more().await;
        assert_eq!(playback.progress().played, Playback::WINDOW_EVENTS);
        idle.advance(Playback::WINDOW_EVENTS / 2, |_, _| ());
        idle.report();
        let half_further = Playback::WINDOW_EVENTS * 3 / 2;
        while playback.progress().played < half_further {
            tokio::task::yield_now().await;
        }
        assert_eq!(playback.progress().played, half_further, "half a window further and no more");
        let total = playback.progress().total.expect("it ends");
        let rest = total - idle.state().position();
        let seen = walk(idle, 10_000, rest).await;
        assert_eq!(seen.last(), Some(&(total as i64)));
        driver.await.expect("the driver");
    }

    #[test]
    fn due_events_follow_the_clock_over_passes() {
        let market = market(10);
        let length = market.events().len() as u64;
        let repeat = Repeat::new(&market, 3);
        let mut before = 0;
        for position in 0..3 * length {
            let time = repeat.time_of(&market, position);
            let due = repeat.due(&market, time);
            assert!(due > position, "an event is due at its own time");
            assert!(repeat.due(&market, time.plus_us(-1_000)) <= position);
            assert!(due >= before);
            before = due;
        }
        assert_eq!(repeat.due(&market, Timestamp::from_us(i64::MAX / 2)), 3 * length);
        assert_eq!(repeat.due(&market, Timestamp::from_us(0)), 0);
    }
}
