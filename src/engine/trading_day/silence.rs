//! Which scopes have fallen silent, and what is to be asked for.
//!
//! Silence proves nothing by itself, so no row rests on it: a row waits for proof. What silence decides is the choice of the
//! provider: a chain of which nothing has moved for longer than is natural for it ([`super::movement`]), or whose bodies carry no
//! newer stamps, is not covered any more by that provider, since its last data. A single contract is never judged by its
//! silence; it is asked for where the provider can be asked.

use super::{Chain, ChainClass, TradingDay, closing::UNKNOWN_LATENESS_US};
use crate::{
    engine::rows::Rows,
    market::{BucketState, Provider, Timestamp},
};

/// How often scopes are looked at.
const LOOK_US: i64 = 15_000_000;
pub(super) const MINUTE_US: i64 = 60_000_000;
/// Bodies of a chain without a newer stamp for so long: four in a row have not been seen in 1,748 polls.
const STAMP_AGE_US_MAX: i64 = 300_000_000;
/// How much longer than its provider is late a chain may be without a witness before it is named.
const UNWITNESSED_US: i64 = 120_000_000;
/// How much longer than their provider is late the stamps of bodies may stand still.
const STAMP_PAUSE_US: i64 = 60_000_000;
/// Bodies may repeat what they said for so long whatever the chain is: NSE serves a body twice now and then.
const REPEATED_US: i64 = 180_000_000;
/// The last part of a session.
pub(super) const ENDING_US: i64 = 1_800_000_000;
/// A contract that has been silent for so long is asked for.
const ASK_US: i64 = 60_000_000;

/// Why a provider does not cover a chain any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ScopeReason {
    /// No data for longer than is natural.
    Silent,
    /// The same values for longer than is natural, however they are stamped.
    StandsStill,
    /// Another provider shows what it missed.
    Contradicted,
    /// Its own answers to requests show what its stream missed.
    MissedByStream,
    /// Its answers to requests lack what its stream was to bring.
    Unanswered,
    /// Another provider shows another open interest, and that one is believed.
    OpenInterest,
}

/// A provider stops or begins to cover a chain, as the engine judges by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScopeChange {
    pub chain: u32,
    pub provider: Provider,
    pub at: Timestamp,
    /// Down since when and why; `None` where it covers the chain again.
    pub down: Option<(Timestamp, ScopeReason)>,
}

/// A chain that a provider's streams have brought nothing of most contracts of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnstreamedChain {
    pub chain: u32,
    pub provider: Provider,
    /// From whom it is recorded; that one's answers to requests record it, if it is the same.
    pub active: Option<Provider>,
}

/// A chain of which no provider shows some contracts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnwitnessedChain {
    pub chain: u32,
    /// It is an index or a share alone.
    pub is_underlying: bool,
    /// Its recorded provider, while that covers it.
    pub active: Option<Provider>,
    pub contracts: u32,
    /// Those of them that no provider proves so far.
    pub unwitnessed: u32,
    /// Up to when the last of these was proved; `None`: nothing of today was.
    pub since: Option<Timestamp>,
    /// A provider whose values of the chain do not move.
    pub still: Option<Provider>,
}

impl TradingDay {
    /// Looks at every chain now and then in session hours.
    pub(super) fn look_at_silence(&mut self, now: Timestamp, rows: &mut Rows) {
        if now < self.next_look {
            return;
        }
        self.next_look = now.plus_us(LOOK_US);
        self.settle_doubts(now, rows);
        if now < self.hours.open || now >= self.hours.close {
            return;
        }
        let minute = now.us_since(self.hours.open) / MINUTE_US;
        let is_new_minute = minute != now.plus_us(-LOOK_US).us_since(self.hours.open) / MINUTE_US;
        for chain in 0..self.chains.len() {
            self.look_at_chain(chain, now, is_new_minute, rows);
            self.tell_scopes_up(chain, now);
            self.arbitrate(chain, now, rows);
        }
        self.look_at_values(now, rows);
    }

    fn look_at_chain(&mut self, chain: usize, now: Timestamp, is_new_minute: bool, rows: &mut Rows) {
        let Some(provider) = self.chains[chain].active else { return };
        let cover = *self.chains[chain].cover(provider);
        if !cover.is_covering || cover.stands_still {
            return;
        }
        let is_near = self.chains[chain].class == ChainClass::NearIndex;
        let is_due = is_new_minute || is_near || now >= self.chains[chain].silent_from;
        if cover.epoch != 0 {
            self.look_at_bodies(chain, provider, now, is_new_minute, rows);
        } else if is_due && self.is_of_options(chain) {
            self.look_at_streamed(chain, provider, now, is_new_minute, rows);
        }
    }

    /// A website's bodies: their stamps stand still, or they repeat what they said.
    fn look_at_bodies(
        &mut self,
        chain: usize,
        provider: Provider,
        now: Timestamp,
        is_new_minute: bool,
        rows: &mut Rows,
    ) {
        let cover = *self.chains[chain].cover(provider);
        let age_max_us = STAMP_AGE_US_MAX.max(cover.lateness_us + STAMP_PAUSE_US).max(self.silence_min_us);
        if cover.last_stamp >= self.hours.open && now.us_since(cover.last_stamp) > age_max_us {
            return self.set_scope_down(chain, provider, cover.last_stamp, ScopeReason::Silent, rows);
        }
        if is_new_minute {
            self.end_minute(chain);
        }
        let moved = self.moved_until(chain, provider);
        let still_us = moved.map(|moved| cover.last_stamp.us_since(moved));
        let still_max_us = self.still_max_us(chain, now).map(|us| us.max(REPEATED_US));
        if still_us.zip(still_max_us).is_some_and(|(still, longest)| still > longest) {
            self.set_still(chain, provider, now, rows);
        }
    }

    fn look_at_streamed(
        &mut self,
        chain: usize,
        provider: Provider,
        now: Timestamp,
        is_new_minute: bool,
        rows: &mut Rows,
    ) {
        let newest = self.look_at_stream(chain, provider, now);
        // Looked at again with the next minute.
        self.chains[chain].silent_from = Timestamp::from_us(i64::MAX);
        // Nothing is due before the first data of the session.
        let Some(newest) = newest else { return };
        if is_new_minute {
            self.end_minute(chain);
        }
        let Some(still_max_us) = self.still_max_us(chain, now) else { return };
        let Some(moved) = self.moved_until(chain, provider) else { return };
        if newest.us_since(moved) > still_max_us {
            return self.set_still(chain, provider, now, rows);
        }
        // Repeats within the cadence are natural; it is what came last that the silence is counted from.
        let last = newest.max(moved);
        let silent_from = last.plus_us(still_max_us);
        if now > silent_from {
            return self.set_scope_down(chain, provider, last, ScopeReason::Silent, rows);
        }
        self.chains[chain].silent_from = silent_from;
    }

    /// How long a chain may be without movement; `None` where that says nothing.
    fn still_max_us(&self, chain: usize, now: Timestamp) -> Option<i64> {
        let Chain { cadence, class, slots, .. } = &self.chains[chain];
        let is_ending = now >= self.hours.close.plus_us(-ENDING_US);
        let still_max_us = cadence.silence_max_us(*class, slots.len(), is_ending)?;
        Some(still_max_us.max(self.silence_min_us))
    }

    /// A provider proves nothing of a chain's contracts after `since`, until it speaks of them again.
    pub(super) fn set_scope_down(
        &mut self,
        chain: usize,
        provider: Provider,
        since: Timestamp,
        reason: ScopeReason,
        rows: &mut Rows,
    ) {
        let cover = self.chains[chain].cover_mut(provider);
        (cover.is_covering, cover.is_told_down, cover.epoch) = (false, true, 0);
        cover.failures = cover.failures.saturating_add(1);
        let at = self.next_look.plus_us(-LOOK_US).max(since);
        self.scope_changes.push(ScopeChange {
            chain: chain as u32,
            provider,
            at,
            down: Some((since, reason)),
        });
        for at in 0..self.chains[chain].slots.len() {
            let slot = self.chains[chain].slots[at] as usize;
            self.mute_provider(slot, provider, since, rows);
        }
        self.arbitrate(chain, at, rows);
    }

    /// Says which providers can be relied on again for a chain.
    pub(super) fn tell_scopes_up(&mut self, chain: usize, now: Timestamp) {
        for provider in Provider::ALL {
            let cover = self.chains[chain].cover_mut(provider);
            if cover.is_told_down && !cover.stands_still && cover.is_trusted(now) {
                cover.is_told_down = false;
                let change = ScopeChange { chain: chain as u32, provider, at: now, down: None };
                self.scope_changes.push(change);
            }
        }
    }

    /// Nearest chains of indices of whose contracts a provider's streams bring less than half, although they bring other data and
    /// the provider has shown most of them today.
    pub fn unstreamed_chains(&self) -> Vec<UnstreamedChain> {
        let near = self.chains.iter().enumerate().filter(|(_, chain)| chain.class == ChainClass::NearIndex);
        let unstreamed = |provider: Provider, number: usize, chain: &Chain| {
            self.epochs.streamed_until(provider)?;
            let tracks = || chain.slots.iter().filter_map(|slot| self.track(provider, *slot as usize));
            let shown = tracks().filter(|track| !track.latest.is_empty()).count();
            let streamed = tracks().filter(|track| self.epochs.get(track.spoken).is_streaming()).count();
            let active = chain.active;
            let is_unstreamed = streamed * 2 < chain.slots.len()
                && (active == Some(provider) || shown * 2 > chain.slots.len());
            is_unstreamed.then_some(UnstreamedChain { chain: number as u32, provider, active })
        };
        near.flat_map(|(number, chain)| Provider::ALL.map(|provider| unstreamed(provider, number, chain)))
            .flatten()
            .collect()
    }

    /// The contracts that a provider has been silent about, the longest first: for those it can be asked.
    pub fn silent_slots(&self, provider: Provider, now: Timestamp) -> Vec<u32> {
        let mut silent: Vec<(Timestamp, u32)> = Vec::new();
        for index in 0..self.slots.len() {
            let known = match self.track(provider, index) {
                Some(track) => track.latest.received_time().max(track.proved_until),
                None => Timestamp::NEVER,
            };
            if now.us_since(known) > ASK_US {
                silent.push((known, index as u32));
            }
        }
        silent.sort_unstable();
        silent.into_iter().map(|(_, slot)| slot).collect()
    }

    /// Chains of which contracts have had no witness for longer than their provider is late and two minutes more.
    pub fn unwitnessed_chains(&self, now: Timestamp) -> Vec<UnwitnessedChain> {
        if now < self.hours.open || now >= self.hours.close {
            return Vec::new();
        }
        (0..self.chains.len()).filter_map(|chain| self.unwitnessed_chain(chain, now)).collect()
    }

    /// Chains of which the close of contracts was not seen, once the day is closed; an index or a share is one too.
    pub fn unclosed_chains(&self) -> Vec<UnwitnessedChain> {
        let numbers = if self.is_day_closed { 0..self.chains.len() } else { 0..0 };
        numbers.filter_map(|chain| self.unclosed_chain(chain)).collect()
    }

    fn unclosed_chain(&self, number: usize) -> Option<UnwitnessedChain> {
        let chain = &self.chains[number];
        let (mut contracts, mut unwitnessed, mut since) = (0, 0, Timestamp::NEVER);
        for slot in chain.slots.iter().map(|slot| *slot as usize) {
            let last = self.marks.of(slot).iter().rev().find_map(|mark| mark.state());
            contracts += 1;
            if last.is_none_or(|state| state == BucketState::Missing) {
                unwitnessed += 1;
                since = since.max(self.proved_by_any(slot));
            }
        }
        let (active, chain) = (chain.active, number as u32);
        let since = Some(since).filter(|since| *since >= self.hours.open);
        let is_underlying = !self.is_of_options(number);
        let found =
            UnwitnessedChain { chain, is_underlying, active, contracts, unwitnessed, since, still: None };
        (unwitnessed > 0).then_some(found)
    }

    /// Contracts that have had no witness for so long, by slot. After the close those that had none then.
    pub fn unwitnessed_slots(&self, now: Timestamp) -> Vec<u32> {
        let mut unwitnessed = Vec::new();
        for number in 0..self.chains.len() {
            // What no provider covers is not waited for.
            let (active, lateness_us) = self.active_of(number);
            let is_lost = active.is_none() && self.chains[number].active.is_some();
            let lateness_us = if is_lost { 0 } else { lateness_us };
            for slot in &self.chains[number].slots {
                let until = now.min(self.close_of(&self.slots[*slot as usize]));
                let due = self.witness_due(lateness_us, until);
                if due >= self.hours.open && self.proved_by_any(*slot as usize) < due {
                    unwitnessed.push(*slot);
                }
            }
        }
        unwitnessed
    }

    /// The provider that covers a chain, and how late it is.
    fn active_of(&self, chain: usize) -> (Option<Provider>, i64) {
        let chain = &self.chains[chain];
        let active = chain.active.filter(|provider| chain.cover(*provider).is_covering);
        // Also where that one covers the chain no longer: nothing later is waited for.
        let declared = chain.active.map_or(0, |provider| chain.cover(provider).lateness_us);
        (active, if declared == 0 { UNKNOWN_LATENESS_US } else { declared })
    }

    /// Up to when a witness must reach for nothing to be said.
    fn witness_due(&self, lateness_us: i64, now: Timestamp) -> Timestamp {
        now.plus_us(-lateness_us - UNWITNESSED_US.max(self.silence_min_us))
    }

    /// Up to when some provider proves a contract.
    fn proved_by_any(&self, slot: usize) -> Timestamp {
        let tracks = Provider::ALL.into_iter().filter_map(|provider| self.track(provider, slot));
        tracks.map(|track| self.reach(track, slot)).max().unwrap_or(Timestamp::NEVER)
    }

    fn unwitnessed_chain(&self, number: usize, now: Timestamp) -> Option<UnwitnessedChain> {
        let (active, lateness_us) = self.active_of(number);
        let due = self.witness_due(lateness_us, now);
        if due < self.hours.open {
            return None;
        }
        let (mut contracts, mut unwitnessed, mut since) = (0, 0, Timestamp::NEVER);
        for slot in self.chains[number].slots.iter().map(|slot| *slot as usize) {
            if now >= self.close_of(&self.slots[slot]) {
                continue;
            }
            let proved = self.proved_by_any(slot);
            contracts += 1;
            if proved < due {
                unwitnessed += 1;
                since = since.max(proved);
            }
        }
        let since = Some(since).filter(|since| *since >= self.hours.open);
        let chain = &self.chains[number];
        let still = Provider::ALL.into_iter().find(|provider| chain.cover(*provider).stands_still);
        (unwitnessed > 0).then_some(UnwitnessedChain {
            chain: number as u32,
            is_underlying: !self.is_of_options(number),
            active,
            contracts,
            unwitnessed,
            since,
            still,
        })
    }
}
