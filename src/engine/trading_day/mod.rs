//! One trading day of all recorded instruments: observations in, rows out.
//!
//! Owns the day's state by dense slot: the latest observation, what was known at the last bucket ends, the state of every
//! bucket, the candles, and the evidence: which provider proves which contract up to which instant.
//!
//! # What is claimed
//! A row is *live* or *carried* only where a provider witnessed its contract up to the bucket's end, see
//! [`crate::engine::channel`]. Until then it waits, as long as the channel's declared lateness; after that it is *missing*
//! until an observation proves it (*backfilled*). [`TradingDay::judge`] alone decides it, for every provider.
//!
//! Invariants:
//! - Every recorded option has one row for every bucket of its session, and every underlying a state.
//! - A bucket's values are the last ones observed before its end. An observation that arrives after the bucket closed
//!   restates the closed row, and every later closed row that carried the older values, with the next revision.
//! - One provider's values are recorded for a contract at a time. The provider is chosen by chain ([`chain`]), or by contract
//!   where the chain's provider does not show it or is proved to have missed a change of it. The others are kept aside
//!   ([`track`]): they confirm, contradict, and fill what the recorded one did not see.
//! - What is found out late about a provider restates what rested on it.
//! - Observations stamped at or after the close make no bucket, delta or candle; they change the day's closing values.
//! - The outcome depends on the sequence of calls alone.
//!
//! Left out: which contract a slot is, what was on the wire, and when anything is stored.

mod arrivals;
mod bases;
mod body_levels;
mod candles;
mod chain;
mod closing;
mod correction;
mod cross_check;
mod disputes;
mod epoch;
mod explain;
mod falls;
mod hours;
mod impossible_oi;
mod judge;
mod jumps;
mod levels;
mod marks;
mod movement;
mod open_interest;
mod plausibility;
mod prices;
mod silence;
mod slot;
mod stamps;
mod stated;
mod stopped;
mod switching;
mod track;
mod untold;
mod volumes;

pub use bases::ContradictedBase;
pub use chain::{ChainClass, Preference};
pub use explain::EndEvidence;
pub use impossible_oi::ImpossibleOi;
pub use jumps::{OiJump, OiJumpFault};
pub use levels::LevelDispute;
pub use open_interest::{OiContradiction, OiDispute};
pub use plausibility::{ChainField, StillField, StillLevel};
pub use prices::{ImpossiblePrice, PriceBound, PriceFault};
pub use silence::{ScopeChange, ScopeReason, UnstreamedChain, UnwitnessedChain};
pub use stamps::WrongStamps;
pub use stated::MissingChain;
pub use stopped::StoppedContracts;
pub use track::Proof as EndProof;
pub use untold::UntoldQuotes;
pub use volumes::{ContractVolumes, VolumeContradiction, VolumeLeap};

use self::{
    chain::Chain,
    cross_check::Doubt,
    disputes::Disputes,
    epoch::Epochs,
    falls::Falls,
    judge::Step,
    jumps::Jumps,
    levels::LevelDifference,
    marks::Marks,
    movement::Print,
    open_interest::OiDifference,
    plausibility::Plausibility,
    prices::Prices,
    slot::{Slot, SlotContext},
    stamps::Stamps,
    track::{Ends, Others, TrackView},
    untold::{Zeros, may_be_untold},
    volumes::Volumes,
};
use super::{
    candle::{CandleBook, ContradictedBar, Priced, Seen, Trade, UnderlyingCandles},
    channel::{Arrival, ChannelTraits},
    counted::Counted,
    coverage::BucketMark,
    intervals::Intervals,
    observation::Observation,
    rows::Rows,
};
use crate::{
    market::{
        Bucket, BucketState, Delivery, InstrumentId, OiBase, OiDelta, Provider, Quote, Timestamp, TradingDate,
    },
    prefetch::prefetch,
};
use std::collections::{BTreeMap, VecDeque};

/// So many contracts ahead a look has them fetched from memory.
const SLOTS_AHEAD: usize = 24;

/// Opening and closing of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionHours {
    pub date: TradingDate,
    pub open: Timestamp,
    /// The first instant after the session.
    pub close: Timestamp,
}

/// What the day must know of a recorded instrument.
#[derive(Clone, Copy, Debug)]
pub struct SlotSpec {
    pub instrument: InstrumentId,
    /// The first instant after this instrument's trading; expiring contracts may stop before the session does.
    pub close: Timestamp,
    /// Options make buckets and deltas; underlyings make three-minute candles.
    pub is_option: bool,
    /// As [`TradingDay::add_chain`] numbered it.
    pub chain: u32,
    /// The previous session's open interest, where it is known.
    pub base: Option<(i64, OiBase)>,
    /// What no price of it can be above, where that is known.
    pub price_bound: Option<PriceBound>,
    /// The exchange listed it during the session, after this instant, from which on it is known to have been absent: what lies
    /// between is *unlisted*, not *missing*.
    pub absent_at: Option<Timestamp>,
}

/// Observations that did not count as usual.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DayCounters {
    pub observations: u64,
    /// From a provider that is not the contract's active one.
    pub inactive_provider: u64,
    /// Older than what was already known for their bucket.
    pub outdated: u64,
    /// Changed a bucket that was closed already.
    pub late: u64,
    /// Stamped too far in the future.
    pub from_the_future: u64,
    pub after_close: u64,
    /// Volume, open interest and price 0 of a contract that had traded: the source did not have it.
    pub blank: u64,
    /// Contracts of which another witness proved that the active provider had missed a change.
    pub contradicted: u64,
    /// Contracts of which two providers showed open interest that cannot be of one market.
    pub disputed: u64,
    /// Switches of the active provider, of whole chains.
    pub switches: u64,
}

/// See the module's head.
#[derive(Debug)]
pub struct TradingDay {
    hours: SessionHours,
    grace_us: i64,
    silence_min_us: i64,
    buckets: Intervals,
    bucket_count: usize,
    is_day_closed: bool,
    preference: Preference,
    /// Of the last override.
    forced_at: Timestamp,
    slots: Vec<Slot>,
    /// By slot: what the recorded provider knew at the last bucket ends.
    ends: Vec<Ends>,
    contexts: Vec<SlotContext>,
    chains: Vec<Chain>,
    epochs: Epochs,
    others: Others,
    /// The different closing times of the day.
    closes: Vec<Timestamp>,
    /// By slot: what the looks for movement compare with.
    prints: Vec<Print>,
    marks: Marks,
    /// End of the latest bucket that is closed for any contract.
    closed_until: Timestamp,
    /// The earliest instant at which [`TradingDay::advance`] has something to do.
    next_check: Timestamp,
    next_look: Timestamp,
    /// Contracts that the active provider of their chain missed, and since when.
    exceptions: BTreeMap<u32, Timestamp>,
    /// When providers were last proved to have missed a change, by contract.
    contradicted: BTreeMap<(Provider, u32), (Timestamp, ScopeReason)>,
    /// Differences from another witness that the active provider may still clear.
    doubts: BTreeMap<u32, Doubt>,
    /// Up to when a provider's answers of a contract contradict each other, by the last time they did.
    unproved: BTreeMap<(u32, Provider), Timestamp>,
    falls: Falls,
    disputes: Disputes,
    /// Open interest that two providers show differently, by contract.
    oi_differences: BTreeMap<u32, OiDifference>,
    /// The same of levels, by underlying.
    level_differences: BTreeMap<u32, LevelDifference>,
    plausibility: Plausibility,
    prices: Prices,
    volumes: Volumes,
    /// By slot: the base by another source than today's providers.
    bases_before: Vec<Option<(i64, OiBase)>>,
    /// Rows of buckets that ended before their contract was known: slot, the buckets.
    owed: VecDeque<(u32, std::ops::Range<usize>)>,
    scope_changes: Vec<ScopeChange>,
    candles: CandleBook,
    underlyings: BTreeMap<usize, UnderlyingCandles>,
    after_close: BTreeMap<usize, Observation>,
    /// By slot, what was replaced last by other values of its stamp.
    replaced_after_close: BTreeMap<usize, Observation>,
    counters: DayCounters,
    stamps: Stamps,
    /// In the order of [`Provider::ALL`].
    untold: [UntoldQuotes; Provider::ALL.len()],
    zeros: Zeros,
    /// The same.
    missed_changes: [u64; Provider::ALL.len()],
    jumps: Jumps,
    /// In the order of [`Provider::ALL`].
    contradicted_bars: [Counted<ContradictedBar>; Provider::ALL.len()],
    /// The same.
    contradicted_bases: [Counted<ContradictedBase>; Provider::ALL.len()],
}

impl TradingDay {
    /// `grace_us` is how long after its end a bucket stays open at least, for what is still under way.
    /// Silences shorter than `silence_min_us` say nothing: where a day passes faster than machines respond, it is the time
    /// that a response may take.
    pub fn new(
        hours: SessionHours,
        grace_us: i64,
        silence_min_us: i64,
        preference: Vec<Provider>,
    ) -> TradingDay {
        let first_bucket = Bucket::containing(hours.open);
        let bucket_count = hours::bucket_count(hours);
        TradingDay {
            hours,
            grace_us,
            silence_min_us,
            buckets: Intervals::new(first_bucket.start(), Bucket::LENGTH_US),
            bucket_count,
            is_day_closed: false,
            preference: Preference { forced: None, order: preference },
            forced_at: Timestamp::NEVER,
            slots: Vec::new(),
            ends: Vec::new(),
            contexts: Vec::new(),
            chains: Vec::new(),
            epochs: Epochs::default(),
            others: Others::default(),
            closes: Vec::new(),
            prints: Vec::new(),
            marks: Marks::new(bucket_count),
            closed_until: Timestamp::NEVER,
            next_check: Timestamp::NEVER,
            next_look: Timestamp::NEVER,
            exceptions: BTreeMap::new(),
            contradicted: BTreeMap::new(),
            doubts: BTreeMap::new(),
            unproved: BTreeMap::new(),
            falls: Falls::default(),
            disputes: Disputes::default(),
            oi_differences: BTreeMap::new(),
            level_differences: BTreeMap::new(),
            plausibility: Plausibility::default(),
            prices: Prices::default(),
            volumes: Volumes::default(),
            bases_before: Vec::new(),
            owed: VecDeque::new(),
            scope_changes: Vec::new(),
            candles: CandleBook::new(hours.open),
            underlyings: BTreeMap::new(),
            after_close: BTreeMap::new(),
            replaced_after_close: BTreeMap::new(),
            counters: DayCounters::default(),
            stamps: Stamps::default(),
            untold: [UntoldQuotes::default(); Provider::ALL.len()],
            zeros: Zeros::default(),
            missed_changes: [0; Provider::ALL.len()],
            jumps: Jumps::default(),
            contradicted_bars: [Counted::default(); Provider::ALL.len()],
            contradicted_bases: [Counted::default(); Provider::ALL.len()],
        }
    }

    pub fn hours(&self) -> SessionHours {
        self.hours
    }

    /// The last instant at which [`TradingDay::still_level`] says something.
    pub fn last_look_at_levels(&self) -> Timestamp {
        self.hours.close.plus_us(-silence::ENDING_US - 1)
    }

    pub fn counters(&self) -> DayCounters {
        self.counters
    }

    /// Quotes of a provider that did not tell what they should have: they are left out.
    pub fn untold(&self, provider: Provider) -> UntoldQuotes {
        self.untold[provider.index()]
    }

    pub fn slot_count(&self) -> usize {
        self.slots.len()
    }

    pub fn bucket_count(&self) -> usize {
        self.bucket_count
    }

    /// Buckets that are closed for every contract.
    pub fn closed_buckets(&self) -> usize {
        self.chains
            .iter()
            .filter(|chain| !chain.slots.is_empty())
            .map(|chain| chain.closed)
            .min()
            .unwrap_or(0)
    }

    /// What became of scopes since the last call, in their order.
    pub fn take_scope_changes(&mut self) -> Vec<ScopeChange> {
        std::mem::take(&mut self.scope_changes)
    }

    /// Corrects a chain's class: a nearer expiry became known.
    pub fn set_class(&mut self, chain: u32, class: ChainClass) {
        self.chains[chain as usize].class = class;
    }

    pub fn instrument_of(&self, slot: u32) -> InstrumentId {
        self.slots[slot as usize].instrument
    }

    pub fn chain_of(&self, slot: u32) -> u32 {
        self.contexts[slot as usize].chain
    }

    pub fn slots_of(&self, chain: u32) -> &[u32] {
        &self.chains[chain as usize].slots
    }

    /// The last cumulative volume that a provider said of a slot.
    pub fn volume_of(&self, slot: u32, provider: Provider) -> Option<i64> {
        let index = slot as usize;
        let after_close = self.after_close.get(&index).filter(|after| after.provider() == Some(provider));
        match after_close {
            Some(after) => after.volume(),
            None => self.track(provider, index)?.latest.volume(),
        }
    }

    /// Begins a chain; numbered from 0 in the order of these calls.
    pub fn add_chain(&mut self, class: ChainClass) -> u32 {
        self.chains.push(Chain::new(class));
        self.plausibility.add_chain();
        self.chains.len() as u32 - 1
    }

    /// Begins to record an instrument at `now`; slots are numbered from 0 in the order of these calls.
    pub fn add_slot(&mut self, spec: SlotSpec, now: Timestamp) -> u32 {
        let slot = self.slots.len();
        let close = self.number_of_close(spec.close);
        self.slots.push(Slot::new(spec.instrument, close, spec.is_option));
        self.ends.push(Ends::default());
        let SlotSpec { base, chain, .. } = spec;
        self.bases_before.push(base.filter(|(_, kind)| *kind != OiBase::Provider));
        self.contexts.push(SlotContext { base, proved_until: Timestamp::NEVER, chain });
        self.marks.add_slot();
        self.prices.add_slot(chain, spec.price_bound);
        self.plausibility.add_slot();
        self.add_print();
        self.candles.add_slot(if spec.is_option { Priced::Option } else { Priced::Level });
        if !spec.is_option {
            self.underlyings.insert(slot, UnderlyingCandles::default());
        }
        self.begin_chain(spec.chain as usize, now);
        let chain = &mut self.chains[spec.chain as usize];
        chain.slots.push(slot as u32);
        let closed = chain.closed;
        // Of what is before the first look that lacked it, nothing is known.
        let listed_after = spec.absent_at.map_or(closed, |absent| self.buckets.index_of(absent).min(closed));
        let marks = self.marks.of_mut(slot);
        marks[..listed_after].fill(BucketMark::new(BucketState::Missing, None, 0));
        marks[listed_after..closed].fill(BucketMark::new(BucketState::Unlisted, None, 0));
        if closed > 0 {
            self.owed.push_back((slot as u32, 0..closed));
            self.next_check = Timestamp::NEVER;
        }
        slot as u32
    }

    pub fn instrument(&self, slot: u32) -> InstrumentId {
        self.slots[slot as usize].instrument
    }

    /// The latest values of a slot, those after the close included.
    #[inline]
    pub fn latest(&self, slot: u32) -> &Observation {
        let slot = slot as usize;
        match self.after_close.get(&slot) {
            Some(observation) => observation,
            None => &self.slots[slot].latest,
        }
    }

    /// The recorded provider's track of a contract; `None` before it has said anything of it.
    fn recorded_track(&self, slot: usize) -> Option<TrackView<'_>> {
        self.track(self.slots[slot].provider()?, slot)
    }

    /// The track in the day's own tables.
    #[inline]
    fn own_track(&self, slot: usize) -> TrackView<'_> {
        let Slot { latest, spoken, .. } = &self.slots[slot];
        TrackView {
            latest,
            spoken: *spoken,
            proved_until: self.contexts[slot].proved_until,
            ends: &self.ends[slot],
        }
    }

    /// It is not known what was said since the last observations: the next open interest of a contract is no change of the
    /// one before.
    pub fn forget_baselines(&mut self) {
        self.slots.iter_mut().for_each(|slot| slot.latest.forget_baseline());
        self.others.forget_baselines();
    }

    /// A provider's track of a contract; `None` before it has said anything of it.
    #[inline]
    fn track(&self, provider: Provider, slot: usize) -> Option<TrackView<'_>> {
        if self.slots[slot].is_of(provider) {
            return Some(self.own_track(slot));
        }
        self.others.get(provider, slot).map(|track| track.view())
    }

    /// Of a provider's track of a contract, which begins here where there is none.
    fn proved_until_mut(&mut self, slot: usize, provider: Provider) -> &mut Timestamp {
        match self.slots[slot].is_of(provider) {
            true => &mut self.contexts[slot].proved_until,
            false => &mut self.others.reach(provider, slot).proved_until,
        }
    }

    /// The same.
    fn ends_mut(&mut self, slot: usize, provider: Provider) -> &mut Ends {
        match self.slots[slot].is_of(provider) {
            true => &mut self.ends[slot],
            false => &mut self.others.reach(provider, slot).ends,
        }
    }

    fn bucket(&self, index: usize) -> Bucket {
        Bucket::containing(self.buckets.start_of(index))
    }

    /// A session's last bucket may be short.
    fn end_of(&self, index: usize) -> Timestamp {
        self.bucket(index).end().min(self.hours.close)
    }

    /// The same of a contract, which may expire before the session's close.
    fn end_of_slot(&self, slot: usize, index: usize) -> Timestamp {
        self.bucket(index).end().min(self.close_of(&self.slots[slot]))
    }

    #[inline]
    fn close_of(&self, slot: &Slot) -> Timestamp {
        self.closes[slot.close()]
    }

    /// Has what [`TradingDay::observe`] is going to need of a slot fetched from memory.
    #[inline]
    pub fn fetch(&self, slot: u32) {
        let slot = slot as usize;
        self.slots[slot].fetch();
        prefetch(&self.contexts[slot]);
    }

    /// The same of what a look at a chain's contracts is going to need.
    #[inline]
    fn fetch_latest(&self, slot: u32) {
        self.slots[slot as usize].fetch();
    }

    /// Takes what a provider said of a slot.
    #[inline]
    pub fn observe(&mut self, slot: u32, arrival: &mut Arrival, quote: &Quote, rows: &mut Rows) {
        self.counters.observations += 1;
        let index = slot as usize;
        if !arrival.is_timely(quote.event_time) {
            if self.refuses_stamp(index, arrival, quote, rows) {
                return;
            }
        } else if self.stamps.has_delays() {
            self.end_delay(index, arrival.provider);
        }
        if self.slots[index].active == 0 {
            // None has spoken of it before: as long as no other does, it is this one's.
            self.slots[index].active = arrival.provider.code();
            self.note_covering(self.contexts[index].chain as usize, arrival, rows);
        }
        if self.slots[index].is_open_to(arrival.provider) {
            self.observe_recorded(index, arrival, quote, rows);
        } else {
            self.observe_aside(index, arrival, quote, rows);
        }
    }

    /// The recorded provider speaks.
    #[inline(always)]
    fn observe_recorded(&mut self, index: usize, arrival: &mut Arrival, quote: &Quote, rows: &mut Rows) {
        if may_be_untold(quote) {
            return self.observe_untold(index, arrival, quote, rows);
        }
        self.observe_told(index, arrival, quote, rows);
    }

    /// The same of a quote that tells what the contract's rows are about.
    #[inline(always)]
    fn observe_told(&mut self, index: usize, arrival: &mut Arrival, quote: &Quote, rows: &mut Rows) {
        if arrival.traits.delivery == Delivery::Quote {
            self.observe_quote(index, arrival, quote, arrival.received, rows);
        } else {
            self.observe_active(index, arrival, quote, rows);
        }
    }

    #[inline(always)]
    fn observe_active(&mut self, index: usize, arrival: &mut Arrival, quote: &Quote, rows: &mut Rows) {
        let event_time = quote.event_time;
        let slot = &self.slots[index];
        let is_in_epoch = slot.spoken == arrival.epoch;
        if is_in_epoch {
            // The first packet of a subscription is a copy of the last state: no sign that the stream brings data.
            let live_us = event_time.as_us().min(arrival.received.as_us());
            arrival.live_us = arrival.live_us.max(live_us);
        }
        self.take_base(index, arrival.provider, quote);
        let slot = &self.slots[index];
        if event_time >= self.closes[slot.close()] {
            return self.observe_after_close(index, arrival, quote, rows);
        }
        if event_time <= slot.latest.event_time() {
            if event_time < slot.latest.event_time() {
                let is_later_trade = is_in_epoch && slot.latest.volume() < quote.volume;
                return match arrival.traits.delivery {
                    Delivery::Stream if is_later_trade => {
                        self.observe_disordered(index, arrival, quote, rows);
                    }
                    _ => self.observe_late(index, arrival, quote, rows),
                };
            }
            if event_time < self.closed_until && self.refuses_standing(index, arrival, quote, rows) {
                return;
            }
        }
        if !is_in_epoch {
            if self.is_repeated(index, arrival, quote) {
                return;
            }
            if !self.is_still_open_to(index, arrival, rows) {
                return self.observe_aside(index, arrival, quote, rows);
            }
        }
        let is_continued = is_in_epoch && arrival.traits.delivery == Delivery::Stream;
        let bucket = self.buckets.find(event_time);
        let latest = &self.slots[index].latest;
        let passes_ends = latest.event_time() < self.buckets.start_of(bucket) && !latest.is_empty();
        let mut seen = Seen::All;
        if passes_ends || !is_continued {
            if !is_continued {
                let latest = *latest;
                self.follow_fall(index, arrival, &latest, quote, rows);
            }
            let step = self.step(index, arrival, self.own_track(index), event_time);
            if !is_continued {
                seen = self.seen(index, arrival, step, event_time);
            }
            if passes_ends {
                self.pass_ends(index, quote, step, rows);
            }
        }
        self.slots[index].spoken = arrival.epoch;
        self.take(index, arrival.provider, seen, arrival.received, quote, rows);
    }

    /// The recorded provider speaks of a contract for the first time in an epoch: whether it is recorded still, now that it covers
    /// the chain.
    #[cold]
    fn is_still_open_to(&mut self, index: usize, arrival: &Arrival, rows: &mut Rows) -> bool {
        if arrival.traits.delivery == Delivery::Stream {
            self.contradicted.remove(&(arrival.provider, index as u32));
        }
        self.note_covering(self.contexts[index].chain as usize, arrival, rows);
        self.slots[index].is_open_to(arrival.provider)
    }

    /// Takes an observation that is not older than the latest one and lies before the close.
    #[inline(always)]
    fn take(
        &mut self,
        index: usize,
        provider: Provider,
        seen: Seen,
        received: Timestamp,
        quote: &Quote,
        rows: &mut Rows,
    ) {
        let event_time = quote.event_time;
        let stated = (event_time < self.closed_until).then(|| self.verdicts_since(index, event_time));
        let slot = &mut self.slots[index];
        let in_session = event_time >= self.hours.open;
        let baseline = slot.latest.baseline();
        slot.latest.take(provider, quote, received, in_session);
        if in_session {
            let seq = slot.latest.deltas_at_event;
            self.tell_delta(index, baseline, seq, rows);
            let (last_price, volume) = (quote.last_price.value(), quote.volume);
            let trade = Trade { event_time, last_price, volume, provider, seen };
            self.observe_trade(index, &trade, rows);
        }
        if let Some(stated) = stated {
            self.judge_changed(index, &stated, rows);
        }
    }

    /// The change of the latest open interest against the one before; `seq` counts those of the same instant.
    #[inline(always)]
    fn tell_delta(&mut self, index: usize, before: Option<i64>, seq: u16, rows: &mut Rows) {
        let slot = &mut self.slots[index];
        let latest = slot.latest;
        let (Some(old), Some(new), Some(provider)) = (before, latest.open_interest(), latest.provider())
        else {
            return;
        };
        if old == new || !slot.is_option() {
            return;
        }
        slot.latest.deltas_at_event = seq.saturating_add(1);
        if jumps::is_large(old, new, latest.volume()) {
            self.note_large_change(index, (old, new), provider);
        }
        let slot = &self.slots[index];
        rows.deltas.push(OiDelta {
            instrument: slot.instrument,
            event_time: latest.event_time(),
            seq,
            old_open_interest: old,
            new_open_interest: new,
            provider,
            received_time: latest.received_time(),
        });
    }

    #[cold]
    fn observe_after_close(&mut self, slot: usize, arrival: &Arrival, quote: &Quote, rows: &mut Rows) {
        self.counters.after_close += 1;
        self.prove_close(slot, arrival, quote, rows);
        let before = *self.latest(slot as u32);
        let mut after = before;
        after.take(arrival.provider, quote, arrival.received, true);
        // Less volume is of an older copy, whatever its stamp; so is what other values of the same stamp have taken the place of.
        let is_less = quote.volume.is_some() && quote.volume < before.volume();
        let replaced = self.replaced_after_close.get(&slot).filter(|of| of.event_time() == quote.event_time);
        let is_replaced = replaced.is_some_and(|replaced| replaced.same_values(&after));
        if quote.event_time < before.event_time() || is_less || is_replaced {
            self.counters.outdated += 1;
            return;
        }
        if quote.event_time == before.event_time() && !before.same_values(&after) {
            self.replaced_after_close.insert(slot, before);
        }
        // The last values of the session may be taken back after it.
        if let (Some(old), Some(new)) = (before.open_interest(), after.open_interest())
            && self.slots[slot].is_option()
            && jumps::is_large(old, new, after.volume())
        {
            self.note_large_change(slot, (old, new), arrival.provider);
        }
        self.after_close.insert(slot, after);
        if self.is_day_closed && self.slots[slot].is_option() && !before.same_values(&after) {
            rows.closes.extend(self.day_close(slot));
        }
    }
}

#[cfg(test)]
mod tests;
