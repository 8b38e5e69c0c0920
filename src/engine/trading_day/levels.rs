//! The level of an underlying that two providers show differently: when that is more than the age of their copies, and which is
//! believed.
//!
//! Example: a provider sends paise where rupees are due, or the level of another index. No volume and no open interest shows it.
//!
//! A copy may be minutes old, so two that are right show different levels of one path: the ranges of what they show meet within
//! [`SETTLED_US`]. Ranges that stay more than [`APART_PART`] apart for that long, and for several samples, are a dispute
//! ([`super::disputes`]). A provider is disbelieved in it whose level stood still while the other's moved. Where neither did,
//! nothing tells which is right: neither is believed, and the rows are missing. A dispute ends when both show the same again.
//!
//! Owns the differences of levels that are followed.
//!
//! Invariants:
//! - Only stamps of the session are compared: before the open a source shows the day before.
//! - While the shares are in their closing auction, sources differ by what they call the level; only one that is a multiple of
//!   the other is a difference then.

use super::{
    TradingDay,
    disputes::{Dispute, Sampling},
    open_interest::{AGREEMENTS_MIN, SAMPLES_MIN, SETTLED_US, are_far_apart},
    silence::ENDING_US,
};
use crate::{
    engine::rows::Rows,
    market::{Price, Provider, Timestamp},
};

/// Levels are apart from more than a hundredth on. Copies of a minute differ by less than a twentieth of that on a usual day.
const APART_PART: i64 = 100;
/// A level has moved when what was shown of it spans so large a part of it.
const MOVED_PART: i64 = 500;

/// The levels that a provider showed while another one showed different ones.
#[derive(Clone, Copy, Debug)]
struct Shown {
    provider: Provider,
    lowest_e4: i64,
    highest_e4: i64,
    /// Up to when both had shown something when it had moved.
    moved: Option<Timestamp>,
}

impl Shown {
    fn new(provider: Provider, level: Price) -> Shown {
        Shown { provider, lowest_e4: level.as_e4(), highest_e4: level.as_e4(), moved: None }
    }

    fn take(&mut self, level_e4: i64, reach: Timestamp) {
        (self.lowest_e4, self.highest_e4) = (self.lowest_e4.min(level_e4), self.highest_e4.max(level_e4));
        if self.highest_e4 - self.lowest_e4 >= self.lowest_e4 / MOVED_PART {
            self.moved = self.moved.or(Some(reach));
        }
    }

    fn is_apart(&self, other: &Shown, is_ending: bool) -> bool {
        let (lower, higher) = if self.lowest_e4 > other.highest_e4 { (other, self) } else { (self, other) };
        match is_ending {
            true => lower.highest_e4 < higher.lowest_e4 && are_far_apart(lower.highest_e4, higher.lowest_e4),
            false => higher.lowest_e4 - lower.highest_e4 > lower.highest_e4 / APART_PART,
        }
    }

    /// Whether it stood still although the other one moved, for longer than its copies are old.
    fn has_stood_beside(&self, other: &Shown, reach: Timestamp) -> bool {
        let is_settled = |moved: Timestamp| reach.us_since(moved) >= SETTLED_US;
        self.lowest_e4 == self.highest_e4 && other.moved.is_some_and(is_settled)
    }
}

/// A difference that is followed.
#[derive(Clone, Copy, Debug)]
pub(super) struct LevelDifference {
    sampling: Sampling,
    /// Samples in a row in which both showed the same, of a dispute.
    agreements: u8,
    /// In the order of [`Provider::ALL`].
    shown: [Shown; 2],
}

/// Levels of an underlying in dispute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LevelDispute {
    pub slot: u32,
    /// `None`: neither is believed.
    pub disbelieved: Option<Provider>,
    /// What is shown now.
    pub shown: [(Provider, Option<Price>); 2],
    pub since: Timestamp,
}

impl TradingDay {
    /// Holds the level of a provider that is not recorded against the recorded one's.
    pub(super) fn compare_levels(
        &mut self,
        slot: usize,
        provider: Provider,
        now: Timestamp,
        rows: &mut Rows,
    ) {
        let Some(recorded) = self.slots[slot].provider() else { return };
        let (Some(ours), Some(theirs)) = (self.track(recorded, slot), self.track(provider, slot)) else {
            return;
        };
        let stamps = (ours.latest.event_time(), theirs.latest.event_time());
        let (Some(our_level), Some(their_level)) = (ours.latest.last_price(), theirs.latest.last_price())
        else {
            return;
        };
        let is_of_session = stamps.0.min(stamps.1) >= self.hours.open;
        if !is_of_session || our_level.min(their_level) <= Price::ZERO {
            return;
        }
        let reach = self.reach(ours, slot).min(self.reach(theirs, slot));
        let is_ending = stamps.0.max(stamps.1) >= self.hours.close.plus_us(-ENDING_US);
        let mut shown = [Shown::new(recorded, our_level), Shown::new(provider, their_level)];
        shown.sort_by_key(|shown| shown.provider.index());
        let (key, is_apart) = (slot as u32, shown[0].is_apart(&shown[1], is_ending));
        let Some(known) = self.level_differences.get_mut(&key) else {
            if is_apart {
                let sampling = Sampling::begin(stamps, reach);
                let difference = LevelDifference { sampling, agreements: 0, shown };
                self.level_differences.insert(key, difference);
            }
            return;
        };
        for (known, now) in known.shown.iter_mut().zip(&shown) {
            if known.provider != now.provider {
                return;
            }
            known.take(now.lowest_e4, reach);
        }
        let is_sample = known.sampling.take(reach);
        if is_sample {
            known.agreements = if is_apart { 0 } else { known.agreements.saturating_add(1) };
        }
        let known = *known;
        if self.disputes.running(key).is_some() {
            if known.agreements >= AGREEMENTS_MIN && !is_apart {
                self.end_level_dispute(slot, stamps.0.min(stamps.1), rows);
            } else if is_sample && is_apart {
                self.settle_levels(slot, &known, reach, now, rows);
            }
        } else if !known.shown[0].is_apart(&known.shown[1], is_ending) {
            self.level_differences.remove(&key);
        } else if known.sampling.is_settled(reach, SETTLED_US.max(self.silence_min_us), SAMPLES_MIN) {
            self.settle_levels(slot, &known, reach, now, rows);
        }
    }

    /// A difference has lasted for longer than copies are old, or shows by now which of the two is wrong.
    fn settle_levels(
        &mut self,
        slot: usize,
        difference: &LevelDifference,
        reach: Timestamp,
        now: Timestamp,
        rows: &mut Rows,
    ) {
        let key = slot as u32;
        let [first, second] = &difference.shown;
        let disbelieved = if first.has_stood_beside(second, reach) {
            Some(first.provider)
        } else if second.has_stood_beside(first, reach) {
            Some(second.provider)
        } else {
            None
        };
        let running = self.disputes.running(key).copied();
        if running.is_some_and(|running| running.disbelieved.is_some() || disbelieved.is_none()) {
            return;
        }
        let since = running.map_or(difference.sampling.since, |running| running.since);
        let stated = self.verdicts_since(slot, since);
        // What was shown until now is in candles, whichever provider is believed from now on.
        self.mark_candles(slot, since, now, rows);
        if let Some(running) = self.disputes.running_mut(key) {
            running.disbelieved = disbelieved;
        } else {
            let between = difference.shown.each_ref().map(|shown| shown.provider);
            let dispute = Dispute { since, until: None, between, disbelieved };
            self.disputes.of_contracts.entry(key).or_default().push(dispute);
        }
        self.follow_dispute(slot, &stated, now, rows);
    }

    /// Both have shown the same again.
    fn end_level_dispute(&mut self, slot: usize, at: Timestamp, rows: &mut Rows) {
        self.level_differences.remove(&(slot as u32));
        let stated = self.verdicts_since(slot, at);
        let Some(dispute) = self.disputes.running_mut(slot as u32) else { return };
        dispute.until = Some(at);
        if dispute.disbelieved.is_none() {
            // Candles of the buckets before are marked, since those are missing.
            self.mark_candles(slot, at, at, rows);
        }
        self.judge_changed(slot, &stated, rows);
    }

    /// The disputes of levels that go on.
    pub fn level_disputes(&self) -> Vec<LevelDispute> {
        let found = self.level_differences.keys().filter_map(|slot| {
            let running = self.disputes.running(*slot)?;
            let level = |provider| self.track(provider, *slot as usize)?.latest.last_price();
            let shown = running.between.map(|provider| (provider, level(provider)));
            Some(LevelDispute { slot: *slot, disbelieved: running.disbelieved, shown, since: running.since })
        });
        found.collect()
    }
}
