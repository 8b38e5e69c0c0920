//! Which provider's values are recorded for a contract, and what the others say meanwhile.
//!
//! A switch adopts what the new provider said already, by the exchange's time; where the old one's values are newer they
//! stay, and prove nothing more until the new one has spoken.

use super::{Arrival, Delivery, TradingDay, side::SideSlot};
use crate::{
    engine::{candle::Trade, observation::Observation, rows::Rows},
    market::{BucketState, Provider, Quote, Timestamp},
};

/// How long a contract stays with the provider that knew better.
const EXCEPTION_US: i64 = 60_000_000;
/// Polls without news of a contract for longer do not witness it any more.
const SNAPSHOT_AGE_US_MAX: i64 = 330_000_000;

impl TradingDay {
    /// A stream's subscription begins: what it said before does not count as said since.
    pub fn begin_stream(&mut self, provider: Provider, stream: u8) {
        self.epochs.begin_stream(provider, stream);
    }

    /// A stream has proved nothing since `since`, as is known at `now`.
    pub fn end_stream(
        &mut self,
        provider: Provider,
        stream: u8,
        since: Timestamp,
        now: Timestamp,
        rows: &mut Rows,
    ) {
        let ended = self.epochs.end_stream(provider, stream, since);
        self.end_epochs(provider, &ended.into_iter().collect::<Vec<_>>(), since, now, rows);
    }

    /// Up to when everything that a provider covers in the session was shown: its stream that is furthest behind, its oldest
    /// body. What has happened since is not known when it goes down.
    pub fn shown_until(&self, provider: Provider) -> Option<Timestamp> {
        let covers = self.chains.iter().map(|chain| chain.cover(provider));
        let bodies =
            covers.filter(|cover| cover.is_covering && cover.epoch != 0).map(|cover| cover.last_stamp);
        let shown = bodies.chain(self.epochs.streamed_until(provider)).min();
        shown.filter(|until| *until >= self.hours.open)
    }

    /// A provider as a whole has proved nothing since `since`, as is known at `now`.
    pub fn set_down(&mut self, provider: Provider, since: Timestamp, now: Timestamp, rows: &mut Rows) {
        let ended = self.epochs.end_streams(provider, since);
        for chain in 0..self.chains.len() {
            let cover = self.chains[chain].cover_mut(provider);
            (cover.is_covering, cover.epoch) = (false, 0);
        }
        self.end_epochs(provider, &ended, since, now, rows);
        for chain in 0..self.chains.len() {
            self.arbitrate(chain, now, rows);
        }
    }

    /// A provider does not answer for a chain any more, as is known at `now`.
    pub fn set_chain_down(&mut self, provider: Provider, chain: u32, now: Timestamp, rows: &mut Rows) {
        let cover = self.chains[chain as usize].cover_mut(provider);
        (cover.is_covering, cover.epoch) = (false, 0);
        self.arbitrate(chain as usize, now, rows);
    }

    /// An operator's override from `now` on; `None` leaves the choice to the order of preference.
    pub fn force(&mut self, provider: Option<Provider>, now: Timestamp, rows: &mut Rows) {
        self.preference.forced = provider;
        for chain in 0..self.chains.len() {
            self.arbitrate(chain, now, rows);
        }
    }

    /// The order of preference from `now` on.
    pub fn set_preference(&mut self, order: Vec<Provider>, now: Timestamp, rows: &mut Rows) {
        self.preference.order = order;
        for chain in 0..self.chains.len() {
            self.arbitrate(chain, now, rows);
        }
    }

    /// The provider whose values are recorded for most chains; `None` while none covers any.
    pub fn active_provider(&self) -> Option<Provider> {
        let count = |provider: &Provider| {
            let is_of =
                |chain: &&super::Chain| chain.active == Some(*provider) && chain.cover(*provider).is_covering;
            self.chains.iter().filter(is_of).count()
        };
        let counted = self.preference.order.iter().copied().map(|provider| (count(&provider), provider));
        let most = counted.rev().max_by_key(|(chains, _)| *chains);
        most.filter(|(chains, _)| *chains > 0).map(|(_, provider)| provider)
    }

    /// What rested on streams that have ended is restated; chains that most of their contracts were streamed by are not
    /// covered any more.
    fn end_epochs(
        &mut self,
        provider: Provider,
        ended: &[u16],
        since: Timestamp,
        now: Timestamp,
        rows: &mut Rows,
    ) {
        if ended.is_empty() {
            return;
        }
        for chain in 0..self.chains.len() {
            let mut streamed = 0;
            for at in 0..self.chains[chain].slots.len() {
                let slot = self.chains[chain].slots[at] as usize;
                let of_side = self.sides.get(provider, slot).map_or(0, |side| side.spoken);
                let is_active = self.slots[slot].provider() == Some(provider);
                let spoken = if is_active { self.slots[slot].spoken } else { of_side };
                if !ended.contains(&spoken) {
                    continue;
                }
                streamed += 1;
                if is_active {
                    self.retract(slot, since.max(self.proved_until[slot]), rows);
                }
            }
            if streamed * 2 > self.chains[chain].slots.len() {
                self.chains[chain].cover_mut(provider).is_covering = false;
                self.arbitrate(chain, now, rows);
            }
        }
    }

    /// A provider shows contracts of a chain.
    pub(super) fn note_covering(&mut self, chain: usize, arrival: &Arrival, rows: &mut Rows) {
        let cover = self.chains[chain].cover_mut(arrival.provider);
        cover.lateness_us = cover.lateness_us.max(arrival.traits.lateness_us);
        let is_by_request = arrival.traits.delivery == Delivery::Quote;
        let is_better = cover.is_by_request && !is_by_request;
        if !cover.is_covering || is_better {
            cover.is_by_request = is_by_request;
            (cover.is_covering, cover.since, cover.contradicted) = (true, arrival.received, 0);
            self.arbitrate(chain, arrival.received, rows);
        }
    }

    /// Chooses a chain's provider anew.
    pub(super) fn arbitrate(&mut self, chain: usize, now: Timestamp, rows: &mut Rows) {
        let chosen = self.chains[chain].choose(&self.preference, now);
        let before = self.chains[chain].active;
        if chosen == before {
            return;
        }
        self.chains[chain].active = chosen;
        let Some(chosen) = chosen else { return };
        if before.is_some() {
            self.counters.switches += 1;
        }
        for at in 0..self.chains[chain].slots.len() {
            let slot = self.chains[chain].slots[at];
            self.exceptions.remove(&slot);
            let is_other = self.slots[slot as usize].provider() != Some(chosen);
            let side = self.sides.get(chosen, slot as usize).filter(|side| self.is_current(side, now));
            if is_other
                && !self.is_held(slot as usize, chosen, now)
                && side.is_some_and(|side| !self.is_behind(slot as usize, chosen, side.latest.volume(), now))
            {
                self.switch(slot as usize, chosen, rows);
            }
        }
    }

    /// Whether a contract's value is of the provider that an operator ordered: what the others know better is not taken.
    pub(super) fn is_forced(&self, slot: usize, own: Option<&Observation>) -> bool {
        let forced = self.preference.forced;
        forced.is_some()
            && forced == self.slots[slot].provider()
            && own.is_some_and(|own| own.provider() == forced)
    }

    /// Whether a provider that is not the active one still witnesses a contract.
    fn is_current(&self, side: &SideSlot, now: Timestamp) -> bool {
        let epoch = self.epochs.get(side.spoken);
        match epoch.delivery {
            Delivery::Stream => epoch.is_open,
            _ => now.us_since(side.latest.received_time()) <= SNAPSHOT_AGE_US_MAX,
        }
    }

    /// Whether the active provider still witnesses a contract.
    pub(super) fn is_witnessed(&self, slot: usize, now: Timestamp) -> bool {
        let Some(provider) = self.slots[slot].provider() else { return false };
        let epoch = self.epochs.get(self.slots[slot].spoken);
        let is_streamed = epoch.is_streaming();
        let covers = self.chains[self.chain_of[slot] as usize].cover(provider).is_covering;
        let newest = self.slots[slot].latest.received_time().max(self.proved_until[slot]);
        is_streamed || covers && now.us_since(newest) <= SNAPSHOT_AGE_US_MAX
    }

    /// Whether a provider that was chosen lacks trades of a contract that its provider has shown, and still witnesses.
    fn is_behind(&self, slot: usize, chosen: Provider, volume: Option<i64>, now: Timestamp) -> bool {
        self.preference.forced != Some(chosen)
            && volume < self.slots[slot].latest.volume()
            && self.is_witnessed(slot, now)
    }

    /// Whether a contract's provider still witnesses it, and is preferred to the one that is chosen for the chain's others.
    fn is_held(&self, slot: usize, chosen: Provider, now: Timestamp) -> bool {
        let mut ranked = self.preference.ranked();
        let first = ranked.find(|ranked| Some(*ranked) == self.slots[slot].provider() || *ranked == chosen);
        first != Some(chosen) && self.is_witnessed(slot, now)
    }

    /// A provider that is not the active one speaks of a contract.
    #[inline(never)]
    pub(super) fn observe_inactive(
        &mut self,
        index: usize,
        arrival: &mut Arrival,
        quote: &Quote,
        rows: &mut Rows,
    ) {
        let (provider, now) = (arrival.provider, arrival.received);
        let chain = self.chain_of[index] as usize;
        let is_quote = arrival.traits.delivery == Delivery::Quote;
        let known = self.sides.get(provider, index).copied().unwrap_or_default();
        let is_in_epoch = known.spoken == arrival.epoch && arrival.epoch != 0;
        if is_in_epoch {
            let live_us = quote.event_time.as_us().min(arrival.received.as_us());
            arrival.live_us = arrival.live_us.max(live_us);
        } else {
            self.note_covering(chain, arrival, rows);
        }
        if quote.volume == Some(0) && super::is_blank(quote, &known.latest) {
            self.counters.blank += 1;
            return;
        }
        if let Some(previous) = quote.previous_open_interest {
            self.set_base(index as u32, previous, crate::market::OiBase::Provider);
        }
        if quote.event_time >= self.close_of(&self.slots[index]) {
            if self.is_to_take_over(index, provider, quote, now) {
                self.switch(index, provider, rows);
                if self.slots[index].provider() == Some(provider) {
                    self.observe_after_close(index, arrival, quote, rows);
                }
            }
            return;
        }
        let end_before = known.witness_end(&self.epochs);
        if !self.take_aside(index, arrival, quote) {
            return;
        }
        if is_quote {
            let proved = arrival.proved;
            let side = self.sides.reach(provider, index);
            side.proved_until = side.proved_until.max(proved);
            let until = side.witness_end(&self.epochs);
            self.wake_rows(index, until);
        }
        if self.slots[index].is_option() {
            self.improve(index, provider, quote.event_time, rows);
            // The next bucket's first values prove the last ones of the one before.
            let before = known.latest.event_time();
            if !known.latest.is_empty() && self.buckets.find(before) < self.buckets.find(quote.event_time) {
                self.improve(index, provider, before, rows);
            }
        }
        if self.is_to_take_over(index, provider, quote, now) {
            self.switch(index, provider, rows);
            return;
        }
        self.counters.inactive_provider += 1;
        if self.slots[index].is_option() {
            self.cross_check(index, provider, now, rows);
        }
        self.fill_missing(index, provider, end_before, rows);
    }

    /// Keeps what an inactive provider said. False if it is older than what it had said.
    fn take_aside(&mut self, index: usize, arrival: &Arrival, quote: &Quote) -> bool {
        let in_session = quote.event_time >= self.hours.open;
        let known = *self.sides.reach(arrival.provider, index);
        let end = known.witness_end(&self.epochs);
        let gap_max_us = self.gap_max_us(arrival, known.spoken);
        let bucket = self.buckets.find(quote.event_time);
        let (start, traits) = (self.buckets.start_of(bucket), arrival.traits);
        let side = self.sides.reach(arrival.provider, index);
        let before = side.latest;
        if quote.event_time < before.event_time() {
            return false;
        }
        if !before.is_empty() && before.event_time() < start {
            side.previous = before;
            side.hole = None;
        }
        let is_broken = side.spoken != arrival.epoch || traits.delivery != Delivery::Stream;
        if is_broken && !before.is_empty() && end < quote.event_time && !before.has_same_trades(quote) {
            let gap_us = quote.event_time.us_since(end);
            let is_bridged = traits.delivery != Delivery::Stream && gap_us <= gap_max_us;
            // Within the cadence the last value of a bucket is its value; a bucket without one was missed.
            let next_start = self.buckets.start_of(self.buckets.index_of(before.event_time()) + 1);
            let missed_from = if is_bridged { next_start } else { end };
            if missed_from < quote.event_time {
                let from = side.hole.map_or(missed_from, |(from, _)| from.min(missed_from));
                side.hole = Some((from, quote.event_time));
            }
        }
        if traits.delivery != Delivery::Quote {
            side.spoken = arrival.epoch;
        }
        side.latest.take(arrival.provider, quote, arrival.received, in_session);
        true
    }

    /// Whether a contract's values are to be recorded from this provider from now on.
    fn is_to_take_over(&mut self, slot: usize, provider: Provider, quote: &Quote, now: Timestamp) -> bool {
        if self.slots[slot].active == 0 || !self.is_witnessed(slot, now) {
            return true;
        }
        if self.chains[self.chain_of[slot] as usize].active != Some(provider)
            || self.is_held(slot, provider, now)
            || self.is_behind(slot, provider, quote.volume, now)
        {
            return false;
        }
        match self.exceptions.get(&(slot as u32)) {
            None => true,
            Some(since) => {
                let is_right = quote.volume >= self.slots[slot].latest.volume();
                let is_over = is_right && now.us_since(*since) >= EXCEPTION_US;
                if is_over {
                    self.exceptions.remove(&(slot as u32));
                }
                is_over
            }
        }
    }

    /// Records a contract from another provider from now on.
    pub(super) fn switch(&mut self, slot: usize, to: Provider, rows: &mut Rows) {
        let Some(side) = self.sides.get(to, slot).copied() else { return };
        let proved_until = self.witness_end(slot);
        if let Some(from) = self.slots[slot].provider() {
            let ours = SideSlot {
                latest: self.slots[slot].latest,
                previous: self.previous[slot],
                spoken: self.slots[slot].spoken,
                proved_until: self.proved_until[slot],
                hole: None,
            };
            *self.sides.reach(from, slot) = ours;
        }
        self.slots[slot].active = to.code();
        let ours = self.slots[slot].latest;
        if ours.is_empty() || side.latest.event_time() >= ours.event_time() {
            self.adopt(slot, &side, proved_until, rows);
        } else {
            // The old values are newer, and hold as far as they were proved.
            let is_same =
                ours.volume() == side.latest.volume() && ours.open_interest() == side.latest.open_interest();
            self.slots[slot].spoken = if is_same { side.spoken } else { 0 };
            self.proved_until[slot] = proved_until;
        }
    }

    /// Takes over what the new provider said last. What lies between the end of the old one's evidence and that is proved by
    /// the new one, or was missed.
    fn adopt(&mut self, slot: usize, side: &SideSlot, proved_until: Timestamp, rows: &mut Rows) {
        let (ours, theirs) = (self.slots[slot].latest, side.latest);
        let event_time = theirs.event_time();
        let bucket = self.buckets.find(event_time);
        let start = self.buckets.start_of(bucket);
        let is_same = !ours.is_empty()
            && ours.volume() == theirs.volume()
            && ours.open_interest() == theirs.open_interest();
        let earlier = [side.previous, ours, self.previous[slot]];
        let previous = earlier
            .into_iter()
            .filter(|kept| !kept.is_empty() && kept.event_time() < start)
            .max_by_key(Observation::event_time);
        let first = self.buckets.index_of(proved_until).min(self.bucket_count);
        let mut proved = Vec::new();
        for index in first..=bucket.min(self.bucket_count - 1) {
            let end = self.end_of_slot(slot, index);
            if end <= proved_until || end > event_time || is_same {
                continue;
            }
            match side.proved_before(end, &self.epochs) {
                Some(observation) => proved.push((index, observation)),
                None if ours.is_empty() => {}
                None => self.marks.of_mut(slot)[index].set_hole(),
            }
        }
        self.previous[slot] = previous.unwrap_or_default();
        self.slots[slot].latest = theirs.adopted_after(&ours);
        self.slots[slot].spoken = side.spoken;
        self.proved_until[slot] = side.proved_until.max(proved_until);
        self.tell_adopted(slot, &ours, rows);
        for (index, observation) in proved {
            if self.marks.of(slot)[index].state() == Some(BucketState::Missing) {
                self.restate(slot, index, BucketState::Backfilled, Some(observation), rows);
            }
        }
        if is_same {
            let end = event_time;
            self.proved_until[slot] = proved_until;
            self.prove(slot, end, rows);
            self.proved_until[slot] = self.proved_until[slot].max(side.proved_until);
        }
        if !ours.is_empty() && event_time < self.closed_until {
            self.correct_since(slot, bucket, &ours, rows);
        }
    }

    /// The delta and the candles of a value that is adopted.
    fn tell_adopted(&mut self, slot: usize, before: &Observation, rows: &mut Rows) {
        let latest = self.slots[slot].latest;
        let event_time = latest.event_time();
        let Some(provider) = latest.provider() else { return };
        if event_time < self.hours.open {
            return;
        }
        let seq = if before.event_time() == event_time { before.deltas_at_event } else { 0 };
        self.tell_delta(slot, before.baseline(), seq, rows);
        let epoch = match self.slots[slot].spoken {
            0 => self.epochs.begin(provider, Delivery::Quote),
            spoken => spoken,
        };
        let trade =
            Trade { event_time, last_price: latest.last_price(), volume: latest.volume(), provider, epoch };
        self.observe_trade(slot, &trade, before.event_time(), rows);
    }
}
