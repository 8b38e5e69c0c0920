//! Open interest that two providers show differently: when that is more than the age of their copies, and which is believed.
//!
//! Example: a provider sends lots where units are due. Its volume and price are right, so nothing else shows it.
//!
//! All sources show the figures that the exchange publishes in steps, and may show one of the last three steps. So two that are
//! right show ranges of values that meet within [`SETTLED_US`]. Ranges that do not meet are a *dispute*. A provider is
//! disbelieved in it where its values alone cannot be: they are further from the session before, or from what both showed
//! before, than was traded; or they stood still while the other's moved. Where that cannot be decided, neither is believed.
//! Past half of a chain's contracts, a provider is disbelieved of the whole chain.
//!
//! Decides which differences become [`super::disputes`]. A dispute ends when both have shown the same again; where one of them
//! falls silent it goes on, since silence corrects nothing.

use super::{
    TradingDay,
    disputes::{Dispute, Sampling},
    judge::Verdict,
    silence::ScopeReason,
};
use crate::{
    engine::{observation::Observation, rows::Rows},
    market::{OiBase, Provider, Timestamp},
};
use std::collections::BTreeMap;

/// Three published steps of a minute, and one more.
pub(super) const SETTLED_US: i64 = 240_000_000;
pub(super) const SAMPLES_MIN: u8 = 3;
/// The same of figures that are near each other: both may have moved to and fro between the samples.
const NEAR_SETTLED_US: i64 = 480_000_000;
const NEAR_SAMPLES_MIN: u8 = 6;
/// Between samples further apart the figures may have met.
const SAMPLE_GAP_US: i64 = 200_000_000;
/// As often both must show the same for a dispute to end.
pub(super) const AGREEMENTS_MIN: u8 = 2;

/// The values that a provider showed while another one showed different ones.
#[derive(Clone, Copy, Debug)]
struct Shown {
    provider: Provider,
    lowest: i64,
    highest: i64,
    /// The volume of the first of them, and whether others followed.
    volume: Option<i64>,
    is_traded: bool,
}

impl Shown {
    fn new(provider: Provider, value: i64, volume: Option<i64>) -> Shown {
        Shown { provider, lowest: value, highest: value, volume, is_traded: false }
    }

    fn take(&mut self, later: &Shown) {
        (self.lowest, self.highest) = (self.lowest.min(later.lowest), self.highest.max(later.highest));
        self.is_traded |= self.volume != later.volume;
    }

    fn has_stood(&self) -> bool {
        self.lowest == self.highest
    }

    fn meets(&self, other: &Shown) -> bool {
        self.lowest <= other.highest && other.lowest <= self.highest
    }
}

/// A difference that is followed.
#[derive(Clone, Copy, Debug)]
pub(super) struct OiDifference {
    sampling: Sampling,
    agreements: u8,
    /// In the order of [`Provider::ALL`].
    shown: [Shown; 2],
    /// What both showed before: the open interest, and the volume that is in it.
    agreed: Option<(i64, i64)>,
}

impl OiDifference {
    fn is_far_apart(&self) -> bool {
        let [first, second] = &self.shown;
        are_far_apart(first.lowest, second.lowest) || are_far_apart(first.highest, second.highest)
    }
}

/// Open interest in dispute, of the contracts of a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OiDispute {
    pub chain: u32,
    pub contracts: u32,
    pub disbelieved: Option<Provider>,
    /// The first of them, and what is shown of it.
    pub slot: u32,
    pub shown: [(Provider, Option<i64>); 2],
    pub since: Timestamp,
}

/// A contract's open interest in dispute, for the explanation of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OiContradiction {
    pub with: Provider,
    /// What that one showed last.
    pub shown: Option<i64>,
    pub since: Timestamp,
    /// The other one is believed; else it is not known which of them is right.
    pub is_decided: bool,
}

impl TradingDay {
    /// Holds the open interest of a provider that speaks against the recorded one's.
    pub(super) fn compare_open_interest(
        &mut self,
        slot: usize,
        (recorded, provider): (Provider, Provider),
        now: Timestamp,
        rows: &mut Rows,
    ) {
        let (Some(ours), Some(theirs)) = (self.track(recorded, slot), self.track(provider, slot)) else {
            return;
        };
        let stamps = (ours.latest.event_time(), theirs.latest.event_time());
        let (Some(our_value), Some(their_value)) =
            (ours.latest.open_interest(), theirs.latest.open_interest())
        else {
            return;
        };
        // Before the open, a source may show a figure that was not final yet.
        let is_of_before = stamps.0.min(stamps.1) < self.hours.open;
        if is_of_before && (our_value.min(their_value) == 0 || !are_far_apart(our_value, their_value)) {
            return;
        }
        let key = slot as u32;
        // Less volume that is said to hold no shorter: it lacks trades, and shows the open interest of before them.
        // Before the open nothing was traded.
        let volume_of =
            |said: &Observation| said.volume().or_else(|| (said.event_time() < self.hours.open).then_some(0));
        let volumes = (volume_of(ours.latest), volume_of(theirs.latest));
        let reaches = (self.reach(ours, slot), self.reach(theirs, slot));
        let lacks_trades = volumes.0 < volumes.1 && stamps.1 <= reaches.0.max(stamps.0)
            || volumes.1 < volumes.0 && stamps.0 <= reaches.1.max(stamps.1);
        // Those trades can explain no larger difference.
        let lacking = volumes.0.zip(volumes.1).map_or(0, |(ours, theirs)| theirs.abs_diff(ours) as i64);
        if lacks_trades && can_become(our_value.max(their_value), our_value.min(their_value), lacking) {
            self.oi_differences.remove(&key);
            return;
        }
        let known = self.oi_differences.get(&key).copied();
        // A dispute that runs ends by what both show alike, however often one lacked trades meanwhile.
        let is_disputed = self.disputes.running(key).is_some();
        if our_value == their_value && known.is_none() && !is_disputed {
            return;
        }
        let reach = reaches.0.min(reaches.1);
        let mut shown =
            [Shown::new(recorded, our_value, volumes.0), Shown::new(provider, their_value, volumes.1)];
        shown.sort_by_key(|shown| shown.provider.index());
        let sampling = Sampling::begin(stamps, reach);
        let begin = |agreed| OiDifference { sampling, agreements: 0, shown, agreed };
        let agreed = || self.agreed_before(slot, [recorded, provider], stamps.0.min(stamps.1));
        let Some(mut difference) = known else {
            let difference = begin(agreed());
            self.oi_differences.insert(key, difference);
            return;
        };
        let is_of_both = |(known, now): (&Shown, &Shown)| known.provider == now.provider;
        if !difference.shown.iter().zip(&shown).all(is_of_both) {
            return;
        }
        if are_far_apart(our_value, their_value) && !difference.is_far_apart() {
            // Another difference begins: what was near before would seem to meet it.
            self.oi_differences.insert(key, begin(agreed().or(difference.agreed)));
            return;
        }
        for (known, now) in difference.shown.iter_mut().zip(&shown) {
            known.take(now);
        }
        if difference.shown[0].meets(&difference.shown[1]) {
            let agreements = difference.agreements + 1;
            if our_value == their_value && !is_disputed {
                self.oi_differences.remove(&key);
                return;
            }
            let agreed = if is_disputed { difference.agreed } else { agreed() };
            self.oi_differences.insert(key, OiDifference { agreements, ..begin(agreed) });
            if is_disputed && agreements >= AGREEMENTS_MIN {
                self.end_dispute(slot, stamps.0.min(stamps.1), rows);
            }
            return;
        }
        if difference.sampling.gap_us(reach) > SAMPLE_GAP_US.max(self.silence_min_us) {
            self.oi_differences.insert(key, begin(difference.agreed));
            return;
        }
        difference.sampling.take(reach);
        let (settled_us, samples_min) = match are_far_apart(our_value, their_value) {
            true => (SETTLED_US, SAMPLES_MIN),
            false => (NEAR_SETTLED_US, NEAR_SAMPLES_MIN),
        };
        let settled_us = settled_us.max(self.silence_min_us);
        let is_settled = difference.sampling.is_settled(reach, settled_us, samples_min);
        let kept = if is_settled { begin(difference.agreed) } else { difference };
        self.oi_differences.insert(key, kept);
        if is_settled {
            self.settle_dispute(slot, &difference, now, rows);
        }
    }

    /// What two providers showed alike at the last bucket end before an instant, and the volume of one bucket earlier: open
    /// interest is published later than volume.
    fn agreed_before(&self, slot: usize, between: [Provider; 2], before: Timestamp) -> Option<(i64, i64)> {
        let bucket = self.buckets.index_of(before).checked_sub(1)?;
        let at_end = |provider: Provider, bucket: usize| {
            self.track(provider, slot)
                .and_then(|track| self.at_end(track, slot, bucket))
                .map(|(value, _)| value)
        };
        let values = between.map(|provider| at_end(provider, bucket).and_then(|value| value.open_interest()));
        let [Some(first), Some(second)] = values else { return None };
        let volume_of = |provider| at_end(provider, bucket.checked_sub(1)?)?.volume();
        let volume = between.into_iter().map(|provider| volume_of(provider).unwrap_or(0)).min();
        (first == second).then_some((first, volume.unwrap_or(0)))
    }

    /// Which of two providers cannot be right; `None` where that cannot be decided.
    fn impossible_of(&self, slot: usize, difference: &OiDifference) -> Option<Provider> {
        let latest = |shown: &Shown| {
            self.track(shown.provider, slot).map_or_else(Observation::default, |track| *track.latest)
        };
        let values = difference.shown.each_ref().map(latest);
        let volume = values.iter().filter_map(Observation::volume).max().unwrap_or(0);
        let own = self.bases_before[slot];
        // Where the bases themselves contradict each other, only the exchange's own file decides.
        let is_contradicted =
            own.zip(self.contexts[slot].base).is_some_and(|((value, kind), (named, by))| {
                kind != OiBase::Official && by == OiBase::Provider && are_far_apart(value, named)
            });
        let base = own.filter(|_| !is_contradicted).map(|(value, _)| (value, 0));
        let is_possible = |value: &Observation| {
            let value = value.open_interest().unwrap_or(0);
            let mut references = base.into_iter().chain(difference.agreed);
            references.all(|(known, of)| can_become(known, value, volume - of))
        };
        match values.each_ref().map(is_possible) {
            [false, true] => return Some(difference.shown[0].provider),
            [true, false] => return Some(difference.shown[1].provider),
            [false, false] => return None,
            [true, true] => {}
        }
        // One that still lacks trades which the other showed at the first sample shows a copy.
        let is_copy = |shown: &Shown, other: &Shown| {
            shown.has_stood() && !shown.is_traded && shown.volume.is_some() && shown.volume < other.volume
        };
        let [first, second] = &difference.shown;
        match (is_copy(first, second), is_copy(second, first)) {
            (true, false) => return Some(first.provider),
            (false, true) => return Some(second.provider),
            _ => {}
        }
        // Those are figures of different units, of which the coarser one stands still for longer.
        if are_far_apart(difference.shown[0].highest, difference.shown[1].highest) {
            return None;
        }
        match difference.shown.each_ref().map(Shown::has_stood) {
            [true, false] => Some(difference.shown[0].provider),
            [false, true] => Some(difference.shown[1].provider),
            _ => None,
        }
    }

    /// A difference has lasted for longer than copies are old.
    fn settle_dispute(&mut self, slot: usize, difference: &OiDifference, now: Timestamp, rows: &mut Rows) {
        let key = slot as u32;
        let chain = self.contexts[slot].chain;
        let between = difference.shown.each_ref().map(|shown| shown.provider);
        let of_chain = between.into_iter().find(|of| self.disputes.running_of_chain(chain, *of).is_some());
        let disbelieved = of_chain.or_else(|| self.impossible_of(slot, difference));
        let running = self.disputes.running(key).copied();
        if running.is_some_and(|running| running.disbelieved.is_some() || disbelieved.is_none()) {
            return;
        }
        let since = running.map_or(difference.sampling.since, |running| running.since);
        let stated = self.verdicts_since(slot, since);
        if let Some(running) = self.disputes.running_mut(key) {
            running.disbelieved = disbelieved;
        } else {
            let dispute = Dispute { since, until: None, between, disbelieved };
            self.disputes.of_contracts.entry(key).or_default().push(dispute);
            self.counters.disputed += 1;
        }
        self.follow_dispute(slot, &stated, now, rows);
        disbelieved.into_iter().for_each(|provider| self.follow_chain(chain, provider, now, rows));
    }

    /// Past half of a chain's contracts, or not any more.
    fn follow_chain(&mut self, chain: u32, provider: Provider, now: Timestamp, rows: &mut Rows) {
        let slots = &self.chains[chain as usize].slots;
        let is_of = |dispute: &&Dispute| dispute.disbelieved == Some(provider);
        let running: Vec<Dispute> =
            slots.iter().filter_map(|slot| self.disputes.running(*slot).filter(is_of)).copied().collect();
        let is_past_half = running.len() * 2 > slots.len();
        match (self.disputes.running_of_chain(chain, provider), is_past_half) {
            (None, true) => self.begin_chain_dispute(chain, provider, &running, now, rows),
            (Some(known), false) => {
                known.until = Some(now);
                self.chains[chain as usize].cover_mut(provider).is_disbelieved = false;
            }
            _ => {}
        }
    }

    /// A provider is disbelieved of a whole chain, by the disputes of its contracts.
    fn begin_chain_dispute(
        &mut self,
        chain: u32,
        provider: Provider,
        running: &[Dispute],
        now: Timestamp,
        rows: &mut Rows,
    ) {
        let since = running.iter().map(|dispute| dispute.since).min().unwrap_or(now);
        let Some(between) = running.first().map(|dispute| dispute.between) else { return };
        let slots = self.chains[chain as usize].slots.clone();
        let stated: Vec<Vec<(usize, Verdict)>> = slots
            .iter()
            .map(|slot| {
                let of_slot = self.disputes.running(*slot).map_or(since, |dispute| dispute.since.min(since));
                self.verdicts_since(*slot as usize, of_slot)
            })
            .collect();
        let dispute = Dispute { since, until: None, between, disbelieved: Some(provider) };
        self.disputes.of_chains.entry(chain).or_default().push(dispute);
        self.chains[chain as usize].cover_mut(provider).is_disbelieved = true;
        self.set_scope_down(chain as usize, provider, since, ScopeReason::OpenInterest, rows);
        for (slot, stated) in slots.into_iter().zip(stated) {
            let undecided = self.disputes.running_mut(slot);
            if let Some(dispute) = undecided.filter(|of| of.disbelieved.is_none() && of.concerns(provider)) {
                dispute.disbelieved = Some(provider);
            }
            self.follow_dispute(slot as usize, &stated, now, rows);
        }
    }

    /// Both have shown the same again.
    fn end_dispute(&mut self, slot: usize, at: Timestamp, rows: &mut Rows) {
        self.oi_differences.remove(&(slot as u32));
        let stated = self.verdicts_since(slot, at);
        let Some(dispute) = self.disputes.running_mut(slot as u32) else { return };
        dispute.until = Some(at);
        let disbelieved = dispute.disbelieved;
        self.judge_changed(slot, &stated, rows);
        if let Some(provider) = disbelieved {
            self.follow_chain(self.contexts[slot].chain, provider, at, rows);
        }
    }

    /// How often a provider has missed what another one showed.
    pub fn missed_changes(&self, provider: Provider) -> u64 {
        self.missed_changes[provider.index()]
    }

    /// The disputes that go on, by chain and by which provider is not believed.
    pub fn oi_disputes(&self) -> Vec<OiDispute> {
        let mut found: BTreeMap<(u32, Option<Provider>), OiDispute> = BTreeMap::new();
        let of_options = self.disputes.of_contracts.keys().copied();
        for slot in of_options.filter(|slot| self.slots[*slot as usize].is_option()) {
            let Some(running) = self.disputes.running(slot) else { continue };
            let (chain, disbelieved) = (self.contexts[slot as usize].chain, running.disbelieved);
            let shown = running.between.map(|provider| (provider, self.open_interest_of(slot, provider)));
            let first = OiDispute { chain, contracts: 0, disbelieved, slot, shown, since: running.since };
            let dispute = found.entry((chain, disbelieved)).or_insert(first);
            (dispute.contracts, dispute.since) = (dispute.contracts + 1, dispute.since.min(running.since));
        }
        found.into_values().collect()
    }

    /// What contradicts a provider's open interest of a contract at an instant.
    pub(super) fn contradiction_at(
        &self,
        slot: usize,
        provider: Provider,
        end: Timestamp,
    ) -> Option<OiContradiction> {
        let mut disputes = self.disputes.of(slot as u32, self.contexts[slot].chain);
        let dispute = disputes.find(|dispute| dispute.holds_at(end) && dispute.concerns(provider))?;
        let with = dispute.between.into_iter().find(|other| *other != provider)?;
        Some(OiContradiction {
            with,
            shown: self.open_interest_of(slot as u32, with),
            since: dispute.since,
            is_decided: dispute.disbelieved.is_some(),
        })
    }

    pub(super) fn open_interest_of(&self, slot: u32, provider: Provider) -> Option<i64> {
        self.track(provider, slot as usize)?.latest.open_interest()
    }
}

/// Whether an open interest can have become another one while so much was traded; copies and the session's end leave a
/// quarter of it open.
pub(super) fn can_become(known: i64, open_interest: i64, traded: i64) -> bool {
    open_interest.saturating_sub(known).saturating_abs() <= traded.max(0).saturating_add(known / 4)
}

/// Whether one of two values is more than double the other: too much for the age of a copy.
pub(super) fn are_far_apart(a: i64, b: i64) -> bool {
    a.max(b) > 2 * a.min(b)
}
