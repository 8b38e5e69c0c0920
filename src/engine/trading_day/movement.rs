//! What moves is alive: whether the values of a chain move on, whatever their stamps say.
//!
//! A source may send the same values again and again, each time with a new stamp: an hour of NIFTY in which nothing changes
//! is no quiet hour but a source that stands still. So liveness rests on movement: another open interest, cumulative volume,
//! last price, bid or ask of any contract. How long a chain may be without it is its cadence ([`super::chain::Cadence`]);
//! beyond that [`super::silence`] calls the provider down for the chain since the last movement.
//!
//! Owns what each contract's values were at the last look that it was part of. A look at a stream compares 32 contracts of a chain,
//! or all where those stand still or the chain is near, and is no part of the tick path.
//!
//! Invariants:
//! - What a provider said of a chain since its last movement is taken back: stamps that only repeat prove nothing.
//! - A chain that stands still takes nothing from that provider's streams and bodies but movement. Answers to requests are
//!   evidence of their own.

use super::{Arrival, ChainClass, Delivery, SLOTS_AHEAD, ScopeReason, TradingDay, track::Track};
use crate::{
    engine::rows::Rows,
    market::{Provider, Quote, Timestamp},
};

/// Contracts of a chain that is not near which are looked at, unless they stand still.
const SAMPLE: usize = 32;
const ANY: Timestamp = Timestamp::from_us(i64::MAX);

/// A contract's values at the last look.
#[derive(Clone, Copy, Debug)]
pub(super) struct Print {
    /// Of the values; 0 before the first look.
    values: u64,
    /// The stamp of the values at the last look that found them to be other ones.
    moved_at: Timestamp,
}

impl Print {
    const UNKNOWN: Print = Print { values: 0, moved_at: Timestamp::NEVER };
}

/// What the looks at a chain have found.
#[derive(Clone, Copy, Debug)]
pub(super) struct Movement {
    /// Whose values were looked at.
    of: Option<Provider>,
    /// When something had moved last, at the latest; the first look counts as one.
    until: Timestamp,
    /// The same at the earliest.
    after: Timestamp,
    looked_at: Timestamp,
    /// Contracts that have moved within the running minute.
    contracts: u32,
    /// Minutes without movement since the last one.
    still_minutes: u32,
}

impl Default for Movement {
    fn default() -> Movement {
        Movement {
            of: None,
            until: Timestamp::NEVER,
            after: Timestamp::NEVER,
            looked_at: Timestamp::NEVER,
            contracts: 0,
            still_minutes: 0,
        }
    }
}

/// One look at the contracts of a chain that a provider shows.
#[derive(Clone, Copy, Debug)]
struct Look {
    moved: u32,
    /// Receipt of what came last of those that have moved, and of all.
    newest_moved: Timestamp,
    newest: Timestamp,
    shown: usize,
}

impl TradingDay {
    pub(super) fn add_print(&mut self) {
        self.prints.push(Print::UNKNOWN);
    }

    /// Looks at what a provider's stream has brought of a chain. Gives the receipt of the newest packet; `None` where too few
    /// contracts are streamed to judge by.
    pub(super) fn look_at_stream(
        &mut self,
        chain: usize,
        provider: Provider,
        now: Timestamp,
    ) -> Option<Timestamp> {
        let look = self.compare(chain, provider, true);
        if look.newest < self.hours.open || look.shown * 2 <= self.chains[chain].slots.len() {
            return None;
        }
        let first = (now, self.shown_since(chain, provider, now));
        let movement = &mut self.chains[chain].movement;
        if movement.until == Timestamp::NEVER {
            (movement.until, movement.after) = first;
        } else if look.moved > 0 {
            (movement.until, movement.after) = (look.newest_moved, movement.looked_at);
        }
        movement.looked_at = now;
        movement.contracts = movement.contracts.max(look.moved);
        Some(look.newest)
    }

    /// Looks at what a body has changed of its chain.
    pub(super) fn look_at_body(&mut self, arrival: &Arrival) {
        let Arrival { provider, stamp, .. } = *arrival;
        let chain = arrival.chain as usize;
        if self.chains[chain].active != Some(provider)
            || !self.is_of_options(chain)
            || stamp < self.hours.open
        {
            return;
        }
        let look = self.compare(chain, provider, false);
        let since = self.shown_since(chain, provider, stamp);
        let movement = &mut self.chains[chain].movement;
        if movement.until == Timestamp::NEVER {
            (movement.until, movement.after) = (stamp, since);
        } else if look.moved > 0 {
            (movement.until, movement.after) = (movement.until.max(stamp), movement.until.max(stamp));
        }
        movement.contracts = movement.contracts.max(look.moved);
    }

    /// Since when a provider shows a chain; before the open if it has since then, as nothing of today has moved yet.
    fn shown_since(&self, chain: usize, provider: Provider, first: Timestamp) -> Timestamp {
        let before_open = self.hours.open.plus_us(-1);
        let since = self.chains[chain].cover(provider).since;
        if since <= self.hours.open { before_open } else { first.min(since).max(before_open) }
    }

    /// Compares what a provider says of a chain's contracts with the look before.
    fn compare(&mut self, chain: usize, provider: Provider, is_streamed: bool) -> Look {
        if self.chains[chain].movement.of != Some(provider) {
            self.chains[chain].movement = Movement { of: Some(provider), ..Movement::default() };
            let Self { chains, prints, .. } = self;
            chains[chain].slots.iter().for_each(|slot| prints[*slot as usize] = Print::UNKNOWN);
        }
        let is_near = self.chains[chain].class == ChainClass::NearIndex;
        if is_near || !is_streamed {
            return self.compare_each(chain, provider, is_streamed, 1, ANY);
        }
        let each = self.chains[chain].slots.len() / SAMPLE + 1;
        let look = self.compare_each(chain, provider, is_streamed, each, ANY);
        // The sample stands still; the chain does if all of it does.
        let Movement { looked_at, until, .. } = self.chains[chain].movement;
        let is_sample = each > 1 && look.moved == 0 && until != Timestamp::NEVER;
        if is_sample {
            return self.compare_each(chain, provider, is_streamed, 1, looked_at);
        }
        // The most of a minute's samples is more than the chain's most: a quiet chain would seem to be a lively one.
        Look { moved: if each > 1 { look.moved.div_ceil(2) } else { look.moved }, ..look }
    }

    /// The same of every so-manieth contract, counted as so many. What moved did so by `moved_by`: one that was in no sample may
    /// have moved before the last look.
    fn compare_each(
        &mut self,
        chain: usize,
        provider: Provider,
        is_streamed: bool,
        each: usize,
        moved_by: Timestamp,
    ) -> Look {
        let never = Timestamp::NEVER;
        let mut look = Look { moved: 0, newest_moved: never, newest: never, shown: 0 };
        for at in (0..self.chains[chain].slots.len()).step_by(each) {
            let slot = self.chains[chain].slots[at] as usize;
            if let Some(ahead) = self.chains[chain].slots.get(at + each * SLOTS_AHEAD) {
                self.fetch_latest(*ahead);
            }
            let Some(track) = self.track(provider, slot).filter(|track| !track.latest.is_empty()) else {
                continue;
            };
            if is_streamed && !self.epochs.get(track.spoken).is_streaming() {
                continue;
            }
            let (values, received) = (track.latest.traded_values(), track.latest.received_time());
            let event_time = track.latest.event_time();
            look.shown += each;
            look.newest = look.newest.max(received);
            let print = &mut self.prints[slot];
            if print.values == 0 {
                print.values = values;
            } else if print.values != values {
                let moved_at = event_time.min(moved_by);
                *print = Print { values, moved_at };
                look.moved += each as u32;
                look.newest_moved = look.newest_moved.max(received);
            }
        }
        look
    }

    /// Up to when a provider's looks have found a chain to move; `None` before the first of them, since what another provider
    /// showed says nothing of this one.
    pub(super) fn moved_until(&self, chain: usize, provider: Provider) -> Option<Timestamp> {
        let Movement { of, until, .. } = self.chains[chain].movement;
        (of == Some(provider) && until != Timestamp::NEVER).then_some(until)
    }

    /// A minute is over: the chain learns from it. Quiet ones count once something has moved after them: until then they
    /// may be those of a source that stands still.
    pub(super) fn end_minute(&mut self, chain: usize) {
        let chain = &mut self.chains[chain];
        let contracts = std::mem::take(&mut chain.movement.contracts);
        if contracts == 0 {
            chain.movement.still_minutes += 1;
            return;
        }
        for _ in 0..std::mem::take(&mut chain.movement.still_minutes) {
            chain.cadence.note(0);
        }
        chain.cadence.note(contracts);
    }

    /// What a provider said of a chain since its last movement is taken back.
    pub(super) fn take_back_repeats(&mut self, chain: usize, provider: Provider, rows: &mut Rows) {
        let after = self.chains[chain].movement.after;
        for at in 0..self.chains[chain].slots.len() {
            let slot = self.chains[chain].slots[at] as usize;
            let Some(track) = self.track(provider, slot) else { continue };
            // One that has moved between the last two looks did so at its stamp at the latest.
            let since = after.max(self.prints[slot].moved_at.min(track.latest.event_time()));
            self.take_back(slot, provider, (since, after), rows);
        }
        self.chains[chain].movement = Movement::default();
    }

    /// What a provider said of a contract since `since` is taken back; it was live no longer than until `live_until_max`.
    pub(super) fn take_back(
        &mut self,
        slot: usize,
        provider: Provider,
        (since, live_until_max): (Timestamp, Timestamp),
        rows: &mut Rows,
    ) {
        let Some(track) = self.track(provider, slot) else { return };
        let live_until = self.streamed_until(track, slot);
        let mut repeated = track.to_track();
        repeated.spoken = 0;
        repeated.proved_until = repeated.proved_until.max(live_until.min(live_until_max));
        repeated.latest.take_back_stamp(since);
        repeated.ends.take_back(self.buckets.index_of(since));
        let Track { latest, spoken, proved_until, ends } = repeated;
        if self.slots[slot].is_of(provider) {
            (self.slots[slot].latest, self.slots[slot].spoken) = (latest, spoken);
            self.contexts[slot].proved_until = proved_until;
            self.ends[slot] = ends;
        } else {
            *self.others.reach(provider, slot) = Track { latest, spoken, proved_until, ends };
        }
        self.judge_since(slot, since, rows);
    }

    /// Whether a provider repeats what it says of a contract while it stands still for the contract's chain. What it says
    /// otherwise is movement, and the chain takes from it again.
    #[cold]
    pub(super) fn is_repeated(&mut self, slot: usize, arrival: &Arrival, quote: &Quote) -> bool {
        let Arrival { provider, received, .. } = *arrival;
        let chain = self.contexts[slot].chain as usize;
        if !self.chains[chain].cover(provider).stands_still || arrival.traits.delivery == Delivery::Quote {
            return false;
        }
        let Some(track) = self.track(provider, slot) else { return true };
        let known = *track.latest;
        let mut said = known;
        said.take(provider, quote, received, quote.event_time >= self.hours.open);
        // An answer to a request may have shown more meanwhile.
        let is_less = said.volume() < known.volume();
        let values = said.traded_values();
        let is_same = is_less || values == known.traded_values() || values == self.prints[slot].values;
        if !is_same {
            self.chains[chain].cover_mut(provider).stands_still = false;
        }
        is_same
    }

    /// A chain stands still at a provider: see the module's head.
    pub(super) fn set_still(&mut self, chain: usize, provider: Provider, now: Timestamp, rows: &mut Rows) {
        let since = self.chains[chain].movement.after;
        let cover = self.chains[chain].cover_mut(provider);
        (cover.stands_still, cover.down_at) = (true, now);
        self.take_back_repeats(chain, provider, rows);
        self.take_back_level(chain, provider, (since, now), rows);
        self.set_scope_down(chain, provider, since, ScopeReason::StandsStill, rows);
    }
}
