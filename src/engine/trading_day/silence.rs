//! Which scopes have fallen silent, and what is to be asked for.
//!
//! Silence proves nothing by itself, so no row rests on it: a row waits for proof. What silence decides is the choice of the
//! provider: a chain that a stream has not spoken of for longer than is natural for it, or whose bodies carry no newer
//! stamps, is not covered any more by that provider, since its last data. A single contract is never judged by its
//! silence; it is asked for where the provider can be asked.

use super::{TradingDay, closing::UNKNOWN_LATENESS_US};
use crate::{
    engine::rows::Rows,
    market::{Provider, Timestamp},
};

/// How often scopes are looked at.
const LOOK_US: i64 = 15_000_000;
const MINUTE_US: i64 = 60_000_000;
/// Bodies of a chain without a newer stamp for so long: four in a row have not been seen in 1,748 polls.
const STAMP_AGE_US_MAX: i64 = 300_000_000;
/// How much longer than its provider is late a chain may be without a witness before it is named.
const UNWITNESSED_US: i64 = 120_000_000;
/// Contracts of a chain that are looked at for its cadence.
const SAMPLE: usize = 32;
/// A contract that has been silent for so long is asked for.
const ASK_US: i64 = 60_000_000;

/// Why a provider does not cover a chain any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ScopeReason {
    /// No data for longer than is natural.
    Silent,
    /// Another provider shows what it missed.
    Contradicted,
    /// Its own answers to requests show what its stream missed.
    MissedByStream,
    /// Its answers to requests lack what its stream was to bring.
    Unanswered,
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

/// A chain of which no provider shows some contracts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnwitnessedChain {
    pub chain: u32,
    /// Its recorded provider, while that covers it.
    pub active: Option<Provider>,
    pub contracts: u32,
    /// Those of them that no provider proves so far.
    pub unwitnessed: u32,
    /// Up to when the last of these was proved; `None`: nothing of today was.
    pub since: Option<Timestamp>,
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
    }

    fn look_at_chain(&mut self, chain: usize, now: Timestamp, is_new_minute: bool, rows: &mut Rows) {
        let Some(provider) = self.chains[chain].active else { return };
        let cover = *self.chains[chain].cover(provider);
        if !cover.is_covering {
            return;
        }
        if cover.epoch != 0 {
            let is_old = cover.last_stamp >= self.hours.open
                && now.us_since(cover.last_stamp) > STAMP_AGE_US_MAX.max(self.silence_min_us);
            if is_old {
                self.set_scope_down(chain, provider, cover.last_stamp, ScopeReason::Silent, rows);
            }
            return;
        }
        if !self.is_of_options(chain) || !is_new_minute && now < self.chains[chain].silent_from {
            return;
        }
        let (last, spoke, streamed) = self.look_at_streamed(chain, provider, now, SAMPLE);
        // Looked at again with the next minute.
        self.chains[chain].silent_from = Timestamp::from_us(i64::MAX);
        // Nothing is due before the first data of the session.
        if last < self.hours.open || streamed * 2 <= self.chains[chain].slots.len() {
            return;
        }
        let looked_at = &mut self.chains[chain];
        let silence_max_us = looked_at.cadence.silence_max_us(looked_at.class);
        // Whatever it brings from now on, it is not silent before this.
        let silent_from = silence_max_us.map(|max_us| last.plus_us(max_us.max(self.silence_min_us)));
        looked_at.silent_from = silent_from.unwrap_or(looked_at.silent_from);
        if is_new_minute && now <= looked_at.silent_from {
            looked_at.cadence.note(spoke);
        }
        if now <= looked_at.silent_from {
            return;
        }
        // The sample is silent; the chain is if all of it is.
        let (last, ..) = self.look_at_streamed(chain, provider, now, usize::MAX);
        let silent_from = silence_max_us.map(|max_us| last.plus_us(max_us.max(self.silence_min_us)));
        match silent_from.filter(|from| now <= *from) {
            Some(from) => self.chains[chain].silent_from = from,
            None => self.set_scope_down(chain, provider, last, ScopeReason::Silent, rows),
        }
    }

    /// Of every so-manieth contract of a chain that a provider streams, so that at most about `sample` are looked at: the
    /// receipt of the newest packet, how many of the chain spoke within the last minute, how many are streamed.
    fn look_at_streamed(
        &self,
        chain: usize,
        provider: Provider,
        now: Timestamp,
        sample: usize,
    ) -> (Timestamp, u32, usize) {
        let slots = &self.chains[chain].slots;
        let each = slots.len() / sample + 1;
        let (mut last, mut spoke, mut streamed) = (Timestamp::NEVER, 0, 0);
        for slot in slots.iter().step_by(each) {
            let slot = &self.slots[*slot as usize];
            if slot.provider() != Some(provider) || !self.epochs.get(slot.spoken).is_streaming() {
                continue;
            }
            streamed += each;
            let received = slot.latest.received_time();
            last = last.max(received);
            spoke += if received > now.plus_us(-MINUTE_US) { each as u32 } else { 0 };
        }
        (last, spoke, streamed)
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
            if cover.is_told_down && cover.is_trusted(now) {
                cover.is_told_down = false;
                let change = ScopeChange { chain: chain as u32, provider, at: now, down: None };
                self.scope_changes.push(change);
            }
        }
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

    /// Contracts that have had no witness for so long, by slot. After the close those that had none then.
    pub fn unwitnessed_slots(&self, now: Timestamp) -> Vec<u32> {
        let mut unwitnessed = Vec::new();
        for number in 0..self.chains.len() {
            let (_, lateness_us) = self.active_of(number);
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
        let declared = active.map_or(0, |provider| chain.cover(provider).lateness_us);
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
        (unwitnessed > 0).then_some(UnwitnessedChain {
            chain: number as u32,
            active,
            contracts,
            unwitnessed,
            since,
        })
    }
}
