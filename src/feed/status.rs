//! What a feed shows of itself: atomics, readable while the feed hangs.

use crate::market::{Provider, ProviderToken, Timestamp};
use std::{
    collections::{BTreeMap, VecDeque},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicI64, AtomicU8, AtomicU64, Ordering::Relaxed},
    },
};

/// Where a feed stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum FeedState {
    Idle = 0,
    LoggingIn = 1,
    Connecting = 2,
    Up = 3,
    BackingOff = 4,
    Stopped = 5,
    /// The configuration does not enable it.
    Disabled = 6,
    /// An operator stopped it.
    SwitchedOff = 7,
}

impl FeedState {
    const ALL: [FeedState; 8] = [
        FeedState::Idle,
        FeedState::LoggingIn,
        FeedState::Connecting,
        FeedState::Up,
        FeedState::BackingOff,
        FeedState::Stopped,
        FeedState::Disabled,
        FeedState::SwitchedOff,
    ];

    pub const fn name(self) -> &'static str {
        match self {
            FeedState::Idle => "idle",
            FeedState::LoggingIn => "logging in",
            FeedState::Connecting => "connecting",
            FeedState::Up => "up",
            FeedState::BackingOff => "backing off",
            FeedState::Stopped => "stopped",
            FeedState::Disabled => "disabled",
            FeedState::SwitchedOff => "switched off",
        }
    }
}

/// A part of a feed that is lost so often within [`LOSSES_WITHIN_US`] is unsteady, also while it is up.
const LOSSES_MIN: usize = 3;
const LOSSES_WITHIN_US: i64 = 15 * 60 * 1_000_000;

/// When a part was last lost or given up, [`LOSSES_MIN`] times at most, and why the last time.
#[derive(Debug, Default)]
struct Losses {
    at: VecDeque<Timestamp>,
    why: String,
}

/// A part of a feed that is lost again and again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unsteady {
    pub part: String,
    pub since: Timestamp,
    /// The last time.
    pub why: String,
}

/// Counters and gauges of one feed. Written by the feed (and, for event time, by the pipeline), read by anyone.
#[derive(Debug)]
pub struct FeedStatus {
    pub provider: Provider,
    state: AtomicU8,
    last_frame_us: AtomicI64,
    last_event_us: AtomicI64,
    last_answer_us: AtomicI64,
    pub frames: AtomicU64,
    pub requests: AtomicU64,
    pub errors: AtomicU64,
    pub reconnects: AtomicU64,
    pub subscribed: AtomicU64,
    /// Answers that repeated the one before, and so were not handed over.
    pub unchanged: AtomicU64,
    /// Streams that were opened anew because they brought no data although the market was open.
    pub silences: AtomicU64,
    last_error: Mutex<String>,
    /// What the feed does not watch although it is up, and why.
    parts_down: Mutex<BTreeMap<String, String>>,
    /// What an operator should know of a feed that runs all the same, by what it is about.
    troubles: Mutex<BTreeMap<&'static str, String>>,
    /// Streams that should be open and are not, and why.
    streams_down: Mutex<BTreeMap<u8, String>>,
    /// Of its parts.
    losses: Mutex<BTreeMap<String, Losses>>,
    /// What its streams have been silent about, as the pipeline saw it last: to be requested.
    silent: Mutex<Vec<ProviderToken>>,
}

impl FeedStatus {
    pub fn new(provider: Provider) -> FeedStatus {
        FeedStatus {
            provider,
            state: AtomicU8::new(FeedState::Idle as u8),
            last_frame_us: AtomicI64::new(0),
            last_event_us: AtomicI64::new(0),
            last_answer_us: AtomicI64::new(0),
            frames: AtomicU64::new(0),
            requests: AtomicU64::new(0),
            errors: AtomicU64::new(0),
            reconnects: AtomicU64::new(0),
            subscribed: AtomicU64::new(0),
            unchanged: AtomicU64::new(0),
            silences: AtomicU64::new(0),
            last_error: Mutex::new(String::new()),
            parts_down: Mutex::default(),
            troubles: Mutex::default(),
            streams_down: Mutex::default(),
            losses: Mutex::default(),
            silent: Mutex::default(),
        }
    }

    pub fn state(&self) -> FeedState {
        FeedState::ALL[usize::from(self.state.load(Relaxed)).min(FeedState::ALL.len() - 1)]
    }

    pub fn set_state(&self, state: FeedState) {
        self.state.store(state as u8, Relaxed);
    }

    pub fn count_frames(&self, frames: u64, received_time: Timestamp) {
        self.frames.fetch_add(frames, Relaxed);
        self.last_frame_us.store(received_time.as_us(), Relaxed);
    }

    pub fn last_frame(&self) -> Option<Timestamp> {
        Some(self.last_frame_us.load(Relaxed)).filter(|us| *us != 0).map(Timestamp::from_us)
    }

    /// Notes that the provider answered, with data or without: a heartbeat, or a body that repeats the one before.
    pub fn note_answer(&self, received_time: Timestamp) {
        self.last_answer_us.store(received_time.as_us(), Relaxed);
    }

    /// When the provider last sent anything at all.
    pub fn last_answer(&self) -> Option<Timestamp> {
        let answer = Some(self.last_answer_us.load(Relaxed)).filter(|us| *us != 0).map(Timestamp::from_us);
        answer.max(self.last_frame())
    }

    /// Notes the newest exchange time seen; earlier ones change nothing.
    pub fn note_event(&self, event_time: Timestamp) {
        self.last_event_us.fetch_max(event_time.as_us(), Relaxed);
    }

    pub fn last_event(&self) -> Option<Timestamp> {
        Some(self.last_event_us.load(Relaxed)).filter(|us| *us != 0).map(Timestamp::from_us)
    }

    /// Counts an error. True if it is another one than the last: only then it is worth a line in the log.
    pub fn note_error(&self, error: impl ToString) -> bool {
        self.errors.fetch_add(1, Relaxed);
        let error = error.to_string();
        let mut last = self.last_error.lock().unwrap_or_else(PoisonError::into_inner);
        let is_news = *last != error;
        *last = error;
        is_news
    }

    pub fn set_part_down(&self, part: String, reason: String) {
        self.locked_parts().insert(part, reason);
    }

    pub fn set_part_up(&self, part: &str) {
        self.locked_parts().remove(part);
    }

    pub fn clear_parts(&self) {
        self.locked_parts().clear();
    }

    /// In the order of their names.
    pub fn parts_down(&self) -> Vec<(String, String)> {
        self.locked_parts().iter().map(|(part, reason)| (part.clone(), reason.clone())).collect()
    }

    fn locked_parts(&self) -> MutexGuard<'_, BTreeMap<String, String>> {
        self.parts_down.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn set_trouble(&self, about: &'static str, trouble: String) {
        self.locked_troubles().insert(about, trouble);
    }

    pub fn end_trouble(&self, about: &'static str) {
        self.locked_troubles().remove(about);
    }

    pub fn troubles(&self) -> BTreeMap<&'static str, String> {
        self.locked_troubles().clone()
    }

    fn locked_troubles(&self) -> MutexGuard<'_, BTreeMap<&'static str, String>> {
        self.troubles.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn set_streams_down(&self, streams: BTreeMap<u8, String>) {
        *self.streams_down.lock().unwrap_or_else(PoisonError::into_inner) = streams;
    }

    /// In the order of their numbers.
    pub fn streams_down(&self) -> BTreeMap<u8, String> {
        self.streams_down.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A connection that was open is lost, or given up because it brought nothing.
    pub fn note_lost(&self, part: &str, why: impl ToString, at: Timestamp) {
        let mut losses = self.losses.lock().unwrap_or_else(PoisonError::into_inner);
        let of_part = losses.entry(part.to_owned()).or_default();
        of_part.why = why.to_string();
        of_part.at.push_back(at);
        if of_part.at.len() > LOSSES_MIN {
            of_part.at.pop_front();
        }
    }

    /// The parts that were lost again and again lately.
    pub fn unsteady(&self, now: Timestamp) -> Vec<Unsteady> {
        let losses = self.losses.lock().unwrap_or_else(PoisonError::into_inner);
        let first = |(part, Losses { at, why }): (&String, &Losses)| {
            let since = *at.front().filter(|_| at.len() >= LOSSES_MIN)?;
            let is_lately = now.us_since(since) <= LOSSES_WITHIN_US;
            is_lately.then(|| Unsteady { part: part.clone(), since, why: why.clone() })
        };
        losses.iter().filter_map(first).collect()
    }

    pub fn set_silent(&self, tokens: Vec<ProviderToken>) {
        *self.silent.lock().unwrap_or_else(PoisonError::into_inner) = tokens;
    }

    pub fn silent(&self) -> Vec<ProviderToken> {
        self.silent.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub fn last_error(&self) -> String {
        self.last_error.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_lost_three_times_within_a_quarter_of_an_hour_is_unsteady() {
        let at = |minute: i64| Timestamp::from_us(1_769_744_700_000_000).plus_seconds(minute * 60);
        let status = FeedStatus::new(Provider::AngelOne);
        for (minute, part) in [(0, "stream 0"), (0, "stream 1"), (0, "stream 2"), (10, "stream 1")] {
            status.note_lost(part, "reset", at(minute));
        }
        let unsteady = |minute| {
            let of_part = |Unsteady { part, since, why }| {
                format!("{part} {} {why}", since.us_since(at(0)) / 60_000_000)
            };
            status.unsteady(at(minute)).into_iter().map(of_part).collect::<Vec<_>>()
        };
        assert_eq!(unsteady(10), [""; 0], "one loss of all streams is one");
        status.note_lost("stream 1", "closed", at(14));
        assert_eq!(unsteady(15), ["stream 1 0 closed"]);
        assert_eq!(unsteady(16), [""; 0], "the first is long ago");
        status.note_lost("stream 1", "reset", at(20));
        assert_eq!(unsteady(25), ["stream 1 10 reset"]);
    }
}
