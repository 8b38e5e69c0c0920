//! Which provider's values are recorded for a contract, and what the others say meanwhile.
//!
//! A switch adopts what the new provider said already, by the exchange's time; where the old one's values are newer they stay
//! the latest until the new one has said newer ones. Rows do not depend on it: they are judged by all that was said.

use super::{
    Arrival, Delivery, TradingDay,
    correction::Answer,
    track::{Ends, Track, TrackView},
    untold::{Telling, may_be_untold},
};
use crate::{
    engine::{
        candle::{Seen, Trade},
        observation::Observation,
        rows::Rows,
    },
    market::{Provider, Quote, Timestamp},
};

/// How long a contract stays with the provider that knew better.
const EXCEPTION_US: i64 = 60_000_000;
/// Polls without news of a contract for longer do not witness it any more.
const SNAPSHOT_AGE_US_MAX: i64 = 330_000_000;

impl TradingDay {
    /// A stream's subscription begins: what it said before does not count as said since.
    pub fn begin_stream(&mut self, provider: Provider, stream: u8, at: Timestamp) {
        self.epochs.begin_stream(provider, stream, at);
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
            (cover.is_covering, cover.epoch, cover.down_at) = (false, 0, now);
        }
        self.end_epochs(provider, &ended, since, now, rows);
        for chain in 0..self.chains.len() {
            self.arbitrate(chain, now, rows);
        }
    }

    /// A provider does not answer for a chain any more, as is known at `now`.
    pub fn set_chain_down(&mut self, provider: Provider, chain: u32, now: Timestamp, rows: &mut Rows) {
        let cover = self.chains[chain as usize].cover_mut(provider);
        (cover.is_covering, cover.epoch, cover.down_at) = (false, 0, now);
        self.arbitrate(chain as usize, now, rows);
        self.follow_level_down(chain as usize, provider, now, rows);
    }

    /// An operator's override from `now` on; `None` leaves the choice to the order of preference.
    pub fn force(&mut self, provider: Option<Provider>, now: Timestamp, rows: &mut Rows) {
        (self.preference.forced, self.forced_at) = (provider, now);
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
                let Some(track) = self.track(provider, slot) else { continue };
                if !ended.contains(&track.spoken) {
                    continue;
                }
                streamed += 1;
                let from = since.max(track.latest.event_time()).max(track.proved_until);
                self.judge_since(slot, from, rows);
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
        if cover.stands_still && !is_by_request {
            return;
        }
        let is_better = cover.is_by_request && !is_by_request;
        if !cover.is_covering || is_better {
            cover.is_by_request = is_by_request;
            (cover.is_covering, cover.since) = (true, arrival.received);
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
        if self.others.is_empty() && self.exceptions.is_empty() {
            // It has shown all that is known.
            return;
        }
        for at in 0..self.chains[chain].slots.len() {
            let slot = self.chains[chain].slots[at] as usize;
            self.exceptions.remove(&(slot as u32));
            let Some(track) = self.track(chosen, slot) else { continue };
            let volume = track.latest.volume();
            if self.slots[slot].provider() != Some(chosen)
                && self.is_current(track, now)
                && (self.preference.forced == Some(chosen) || !self.is_disbelieved(slot, chosen))
                && !self.is_held(slot, chosen, now)
                && !self.is_behind(slot, chosen, volume, now)
            {
                self.switch(slot, chosen, rows);
            }
        }
    }

    /// Whether a contract is recorded from the provider that an operator ordered.
    pub(super) fn is_forced(&self, slot: usize) -> bool {
        let forced = self.preference.forced;
        forced.is_some() && forced == self.slots[slot].provider()
    }

    /// Whether a provider that is not the recorded one still witnesses a contract.
    fn is_current(&self, track: TrackView<'_>, now: Timestamp) -> bool {
        let epoch = self.epochs.get(track.spoken);
        match epoch.delivery {
            Delivery::Stream => epoch.is_open,
            _ => now.us_since(track.latest.received_time()) <= SNAPSHOT_AGE_US_MAX,
        }
    }

    /// Whether the recorded provider still witnesses a contract.
    pub(super) fn is_witnessed(&self, slot: usize, now: Timestamp) -> bool {
        let Some(provider) = self.slots[slot].provider() else { return false };
        let Some(track) = self.track(provider, slot) else { return false };
        let covers = self.chains[self.contexts[slot].chain as usize].cover(provider).is_covering;
        let newest = track.latest.received_time().max(track.proved_until);
        self.epochs.get(track.spoken).is_streaming() || covers && now.us_since(newest) <= SNAPSHOT_AGE_US_MAX
    }

    /// Whether a provider that was chosen lacks trades of a contract that its provider has shown, and still witnesses.
    fn is_behind(&self, slot: usize, chosen: Provider, volume: Option<i64>, now: Timestamp) -> bool {
        self.preference.forced != Some(chosen)
            && self.recorded_track(slot).is_some_and(|track| volume < track.latest.volume())
            && self.is_witnessed(slot, now)
    }

    /// Whether a contract's provider still witnesses it, and is preferred to the one that is chosen for the chain's others.
    fn is_held(&self, slot: usize, chosen: Provider, now: Timestamp) -> bool {
        let mut ranked = self.preference.ranked();
        let first = ranked.find(|ranked| Some(*ranked) == self.slots[slot].provider() || *ranked == chosen);
        first != Some(chosen) && self.is_witnessed(slot, now)
    }

    /// A provider speaks of a contract that is not the recorded one, or lags behind the latest values.
    #[inline(never)]
    pub(super) fn observe_aside(
        &mut self,
        index: usize,
        arrival: &mut Arrival,
        quote: &Quote,
        rows: &mut Rows,
    ) {
        let (provider, now) = (arrival.provider, arrival.received);
        let is_quote = arrival.traits.delivery == Delivery::Quote;
        let known = *self.others.reach(provider, index);
        if known.spoken == arrival.epoch && arrival.epoch != 0 {
            let live_us = quote.event_time.as_us().min(arrival.received.as_us());
            arrival.live_us = arrival.live_us.max(live_us);
        } else {
            if self.is_repeated(index, arrival, quote) {
                return;
            }
            // Values that still lack what another provider shows clear nothing.
            if arrival.traits.delivery == Delivery::Stream
                && self.recorded_track(index).is_none_or(|track| quote.volume >= track.latest.volume())
            {
                self.contradicted.remove(&(provider, index as u32));
            }
            self.note_covering(self.contexts[index].chain as usize, arrival, rows);
            if self.slots[index].is_open_to(provider) {
                // It was chosen for the chain, and the contract with it.
                return self.observe_recorded(index, arrival, quote, rows);
            }
        }
        if may_be_untold(quote) {
            match self.telling_of(index, provider, known.view(), quote) {
                Telling::Told => {}
                telling => return self.leave_untold(index, provider, (telling, quote.event_time), rows),
            }
        }
        self.take_base(index, arrival.provider, quote);
        if quote.event_time >= self.close_of(&self.slots[index]) {
            return self.observe_aside_after_close(index, arrival, quote, rows);
        }
        let is_taken = if is_quote {
            self.take_answer_aside(index, arrival, quote, rows)
        } else {
            self.take_aside(index, arrival, quote, rows)
        };
        if self.slots[index].provider() == Some(provider) {
            // The other's newer values stand until this one has said newer ones.
            self.adopt_newer(index, provider, rows);
        } else if is_taken && self.is_to_take_over(index, provider, now) {
            self.switch(index, provider, rows);
        } else {
            self.counters.inactive_provider += 1;
            if self.slots[index].is_option() {
                self.cross_check(index, provider, now, rows);
            } else {
                self.compare_levels(index, provider, now, rows);
            }
        }
    }

    #[cold]
    fn observe_aside_after_close(&mut self, index: usize, arrival: &Arrival, quote: &Quote, rows: &mut Rows) {
        let (provider, now) = (arrival.provider, arrival.received);
        let track = *self.others.reach(provider, index);
        let is_continued = track.spoken == arrival.epoch && arrival.traits.delivery == Delivery::Stream;
        if !is_continued && !self.has_passed_close(index, track.view()) {
            let step = self.step(index, arrival, track.view(), quote.event_time);
            self.pass_ends_aside(index, provider, quote, step, rows);
            self.wake_rows(index, quote.event_time);
        }
        if arrival.traits.delivery != Delivery::Quote {
            self.others.reach(provider, index).spoken = arrival.epoch;
        }
        let is_recorded = self.slots[index].provider() == Some(provider);
        if is_recorded || self.is_to_take_over(index, provider, now) {
            self.switch(index, provider, rows);
            self.observe_after_close(index, arrival, quote, rows);
        }
    }

    /// Takes what a stream or a body says; false where it is older than what is known.
    fn take_aside(&mut self, index: usize, arrival: &Arrival, quote: &Quote, rows: &mut Rows) -> bool {
        let provider = arrival.provider;
        let known = *self.others.reach(provider, index);
        let (latest, in_session) = (known.latest, quote.event_time >= self.hours.open);
        if quote.event_time < latest.event_time() {
            return self.take_late(index, arrival, quote, rows);
        }
        if quote.event_time < self.closed_until && self.refuses_standing(index, arrival, quote, rows) {
            return false;
        }
        self.follow_fall(index, arrival, &latest, quote, rows);
        let stated = self.verdicts_since(index, quote.event_time);
        let known = *self.others.reach(provider, index);
        let step = self.step(index, arrival, known.view(), quote.event_time);
        self.pass_ends_aside(index, provider, quote, step, rows);
        let track = self.others.reach(provider, index);
        if arrival.traits.delivery != Delivery::Quote {
            track.spoken = arrival.epoch;
        }
        track.latest.take(provider, quote, arrival.received, in_session);
        self.judge_changed(index, &stated, rows);
        self.wake_rows(index, quote.event_time);
        true
    }

    /// Takes what an answer says: it holds as of its request.
    fn take_answer_aside(&mut self, index: usize, arrival: &Arrival, quote: &Quote, rows: &mut Rows) -> bool {
        let provider = arrival.provider;
        match Answer::of(quote, arrival.received, self.others.reach(provider, index).view()) {
            Answer::Outdated => return self.take_late(index, arrival, quote, rows),
            Answer::Same => self.take_earlier(index, arrival, quote, rows),
            Answer::New { said, counted_at, is_more, dated } => {
                self.unprove(index, (provider, counted_at), dated, rows);
                let counted = Quote { event_time: counted_at, ..said };
                let epoch = self.epochs.get(self.others.reach(provider, index).spoken);
                if is_more && (epoch.is_streaming() || counted.event_time < epoch.live_until) {
                    self.mute_provider(index, provider, Timestamp::NEVER, rows);
                }
                self.take_aside(index, arrival, &counted, rows);
                self.take_earlier(index, arrival, &said, rows);
            }
        }
        self.prove(index, provider, arrival.proved, rows);
        true
    }

    /// Whether a contract's values are to be recorded from this provider from now on.
    fn is_to_take_over(&mut self, slot: usize, provider: Provider, now: Timestamp) -> bool {
        if self.preference.forced != Some(provider) && self.is_disbelieved(slot, provider) {
            return false;
        }
        if self.slots[slot].active == 0 || !self.is_witnessed(slot, now) {
            return true;
        }
        let volume = self.others.get(provider, slot).and_then(|track| track.latest.volume());
        if self.chains[self.contexts[slot].chain as usize].active != Some(provider)
            || self.is_held(slot, provider, now)
            || self.is_behind(slot, provider, volume, now)
        {
            return false;
        }
        match self.exceptions.get(&(slot as u32)) {
            None => true,
            Some(since) => {
                let is_right = self.recorded_track(slot).is_none_or(|track| volume >= track.latest.volume());
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
        if let Some(from) = self.slots[slot].provider()
            && self.slots[slot].is_of(from)
        {
            let track = self.own_track(slot).to_track();
            *self.others.reach(from, slot) = track;
            (self.slots[slot].spoken, self.contexts[slot].proved_until) = (0, Timestamp::NEVER);
            self.ends[slot] = Ends::default();
        }
        self.slots[slot].active = to.code();
        self.adopt_newer(slot, to, rows);
    }

    /// The recorded provider's track becomes the contract's as soon as its values are not older than those that stand.
    fn adopt_newer(&mut self, slot: usize, provider: Provider, rows: &mut Rows) {
        let ours = self.slots[slot].latest;
        let theirs = self.others.get(provider, slot);
        if theirs.is_none_or(|track| track.latest.event_time() < ours.event_time()) {
            return;
        }
        // What the one before has said since it is aside, no candle contains.
        let standing = ours.provider().and_then(|provider| self.others.get(provider, slot));
        let standing = standing.filter(|track| track.latest.event_time() == ours.event_time());
        let held = standing.map_or(ours.event_time(), |track| self.reach(track.view(), slot));
        let track = std::mem::take(self.others.reach(provider, slot));
        let Track { latest, spoken, proved_until, ends } = track;
        self.slots[slot].latest = latest.adopted_after(&ours);
        self.slots[slot].spoken = spoken;
        self.contexts[slot].proved_until = proved_until;
        self.ends[slot] = ends;
        self.tell_adopted(slot, &ours, held, rows);
    }

    /// The delta and the candles of a value that is adopted; `held`: until when the values before are proved.
    fn tell_adopted(&mut self, slot: usize, before: &Observation, held: Timestamp, rows: &mut Rows) {
        let latest = self.slots[slot].latest;
        let event_time = latest.event_time();
        let Some(provider) = latest.provider() else { return };
        if event_time < self.hours.open {
            return;
        }
        let seq = if before.event_time() == event_time { before.deltas_at_event } else { 0 };
        // From a value that was not believed there is no change, nor to one of before the trades that were shown.
        let is_believed = latest.volume() >= before.volume()
            && before.provider().is_none_or(|of| !self.is_disbelieved(slot, of));
        self.tell_delta(slot, before.baseline().filter(|_| is_believed), seq, rows);
        if self.is_day_closed && latest.volume().is_some() && latest.volume() == before.volume() {
            // Nothing was traded that the day's candles lack, and none follows.
            return;
        }
        let seen = Seen::Nothing(self.held_until(held, before.event_time(), event_time));
        let (last_price, volume) = (latest.last_price(), latest.volume());
        let trade = Trade { event_time, last_price, volume, provider, seen };
        self.observe_trade(slot, &trade, rows);
    }
}
