//! Times of evidence without a break: one for each subscription of a stream, and for the polls of a chain by one provider.
//!
//! A stream's epoch begins with its subscription and ends with the stream, or where the provider is known to have missed
//! something. Within it the stream proves every contract that has spoken, up to the stream's newest data. Numbers are given
//! in the order in which epochs begin; 0 is none.
//!
//! A stream that brings nothing for longer than its pace of the last minutes allows has missed something.

use super::silence::MINUTE_US;
use crate::market::{Delivery, Provider, Timestamp};
use std::collections::BTreeMap;

/// Minutes by which a stream's pace is known.
const PACE_MINUTES: usize = 5;
/// A stream that misses so many records at its pace, by the quietest of these minutes, was away: of records that came by chance, one
/// silence in 10^17 is as long.
const MISSED_RECORDS: i64 = 40;
/// A shorter silence says nothing, however lively the stream is: what waited in the network comes then.
const SILENCE_MIN_US: i64 = 15_000_000;

/// How many records a stream brings a minute.
#[derive(Clone, Copy, Debug)]
struct Pace {
    minute: i64,
    records: u32,
    /// Of the minutes before, each in its turn.
    minutes: [u32; PACE_MINUTES],
    /// How many of them there have been.
    known: usize,
}

impl Pace {
    const UNKNOWN: Pace = Pace { minute: i64::MIN, records: 0, minutes: [0; PACE_MINUTES], known: 0 };

    /// Takes down a record of the session.
    fn note(&mut self, open: Timestamp, received: Timestamp) {
        let minute = received.us_since(open).div_euclid(MINUTE_US);
        if minute > self.minute {
            // The first minute began before its first record.
            if self.minute != i64::MIN {
                self.minutes[self.known % PACE_MINUTES] = self.records;
                self.known += 1;
            }
            (self.minute, self.records) = (minute, 0);
        }
        self.records = self.records.saturating_add(1);
    }

    /// Without a record for longer than this, the stream was away; `declared_us` at most.
    fn silence_max_us(&self, declared_us: i64) -> i64 {
        if self.known < PACE_MINUTES {
            return declared_us;
        }
        let quietest = self.minutes.iter().copied().min().unwrap_or(0).max(1);
        let longest_us = MISSED_RECORDS * MINUTE_US / i64::from(quietest);
        longest_us.max(SILENCE_MIN_US).min(declared_us)
    }
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Epoch {
    pub delivery: Delivery,
    /// Of a stream: when it was subscribed, or first seen to bring data.
    pub began: Timestamp,
    /// Of a stream: its newest data.
    pub live_until: Timestamp,
    /// Of a stream: receipt of its last packets, the first ones of contracts included.
    pub last_arrival: Timestamp,
    pub is_open: bool,
    /// It ended by itself: it is not known what it missed after its newest data.
    pub is_lost: bool,
}

impl Epoch {
    /// Whether it is a stream's that may still bring data.
    pub fn is_streaming(&self) -> bool {
        self.is_open && self.delivery == Delivery::Stream
    }
}

#[derive(Clone, Debug)]
pub(super) struct Epochs {
    all: Vec<Epoch>,
    streams: BTreeMap<(Provider, u8), u16>,
    paces: BTreeMap<(Provider, u8), Pace>,
}

impl Default for Epochs {
    fn default() -> Epochs {
        let none = Epoch {
            delivery: Delivery::Chain,
            began: Timestamp::NEVER,
            live_until: Timestamp::NEVER,
            last_arrival: Timestamp::NEVER,
            is_open: false,
            is_lost: false,
        };
        Epochs { all: vec![none], streams: BTreeMap::new(), paces: BTreeMap::new() }
    }
}

impl Epochs {
    /// Number 0 is of no stream, and closed.
    pub fn get(&self, number: u16) -> &Epoch {
        &self.all[usize::from(number)]
    }

    /// Past 65,535 the last one goes on: a day with so many breaks proves too much only of what lies between two of them.
    pub fn begin(&mut self, delivery: Delivery, began: Timestamp) -> u16 {
        let epoch = Epoch {
            delivery,
            began,
            live_until: Timestamp::NEVER,
            last_arrival: Timestamp::NEVER,
            is_open: true,
            is_lost: false,
        };
        match u16::try_from(self.all.len()) {
            Ok(number) => {
                self.all.push(epoch);
                number
            }
            Err(_) => {
                self.all[usize::from(u16::MAX)] = epoch;
                u16::MAX
            }
        }
    }

    /// The running epoch of a stream; one that was never announced begins with its first data.
    fn of_stream(&mut self, provider: Provider, stream: u8, received: Timestamp) -> u16 {
        match self.streams.get(&(provider, stream)) {
            Some(number) if self.get(*number).is_open => *number,
            _ => self.begin_stream(provider, stream, received),
        }
    }

    /// A stream brings data. After more of the session without any than its pace allows, `gap_max_us` at most and `silence_min_us` at
    /// least, a new epoch begins: nothing shows what it missed. Then the epoch before and its last data are given too. After the close
    /// the pace of the session says nothing.
    pub fn on_stream(
        &mut self,
        provider: Provider,
        stream: u8,
        (open, close): (Timestamp, Timestamp),
        (gap_max_us, silence_min_us): (i64, i64),
        received: Timestamp,
    ) -> (u16, Option<(u16, Timestamp)>) {
        let mut number = self.of_stream(provider, stream, received);
        let last = self.get(number).last_arrival;
        let pace = self.paces.entry((provider, stream)).or_insert(Pace::UNKNOWN);
        let of_pace_us = if received < close { pace.silence_max_us(gap_max_us) } else { gap_max_us };
        let silence_max_us = of_pace_us.max(silence_min_us);
        if received >= open {
            pace.note(open, received);
        }
        let is_broken = last != Timestamp::NEVER && received.us_since(last.max(open)) > silence_max_us;
        let before = is_broken.then_some((number, last.max(open)));
        if is_broken {
            number = self.go_on(provider, stream, received);
        }
        let epoch = &mut self.all[usize::from(number)];
        epoch.last_arrival = epoch.last_arrival.max(received);
        (number, before)
    }

    pub fn begin_stream(&mut self, provider: Provider, stream: u8, at: Timestamp) -> u16 {
        if let Some(before) = self.streams.get(&(provider, stream)) {
            self.all[usize::from(*before)].is_lost = true;
        }
        self.go_on(provider, stream, at)
    }

    /// The same subscription, of which nothing is known before now.
    fn go_on(&mut self, provider: Provider, stream: u8, at: Timestamp) -> u16 {
        let number = self.begin(Delivery::Stream, at);
        if let Some(before) = self.streams.insert((provider, stream), number) {
            self.all[usize::from(before)].is_open = false;
        }
        number
    }

    /// The stream proves nothing after `since`. Gives the epoch that ends.
    pub fn end_stream(&mut self, provider: Provider, stream: u8, since: Timestamp) -> Option<u16> {
        let number = self.streams.remove(&(provider, stream))?;
        self.end(number, since);
        Some(number)
    }

    /// The same of all of a provider's streams.
    pub fn end_streams(&mut self, provider: Provider, since: Timestamp) -> Vec<u16> {
        let of_provider: Vec<u8> =
            self.streams.keys().filter(|(of, _)| *of == provider).map(|(_, stream)| *stream).collect();
        of_provider.into_iter().filter_map(|stream| self.end_stream(provider, stream, since)).collect()
    }

    /// The newest data of a provider's stream that is furthest behind.
    pub fn streamed_until(&self, provider: Provider) -> Option<Timestamp> {
        let of_provider = self.streams.iter().filter(|((of, _), _)| *of == provider);
        let ends = of_provider.map(|(_, number)| self.get(*number)).filter(|epoch| epoch.is_open);
        ends.map(|epoch| epoch.live_until).filter(|until| *until != Timestamp::NEVER).min()
    }

    fn end(&mut self, number: u16, since: Timestamp) {
        let epoch = &mut self.all[usize::from(number)];
        (epoch.is_open, epoch.is_lost) = (false, true);
        epoch.live_until = epoch.live_until.min(since);
    }

    pub fn extend(&mut self, number: u16, live_us: i64) {
        let epoch = &mut self.all[usize::from(number)];
        epoch.live_until = epoch.live_until.max(Timestamp::from_us(live_us));
    }
}
