//! What the pipeline offers a decoder for one record: the day, the catalog, and counters for what is wrong.

use super::{
    catalog::Catalog, chains::ChainTable, counters::PipelineCounters, day_plan::PlannedContract,
    listings::Listings, lot_sizes::LotSizes, machine::LiveSink,
};
use crate::{
    calendar::Session,
    engine::{
        Arrival, ChannelTraits, PriceBound, Rows, SlotSpec, TradingDay,
        watch::{ListedExpiries, WatchList, WatchedExpiries},
    },
    market::{
        Bar, Contract, Exchange, InstrumentId, InstrumentKind, Listing, Price, Provider, Quote, Timestamp,
        TradingDate,
    },
    spool::DayRules,
    store::Batch,
};
use rustc_hash::FxHashMap;
use std::{collections::BTreeSet, fmt::Display, sync::Arc};

/// See the module's head.
pub(super) struct Ingest<'a, Live> {
    pub received: Timestamp,
    pub date: TradingDate,
    pub session: Option<&'a Session>,
    pub day: Option<&'a mut TradingDay>,
    pub rules: &'a DayRules,
    pub universe: &'a WatchList,
    pub catalog: &'a mut Catalog,
    pub chains: &'a mut ChainTable,
    pub listings: &'a mut Listings,
    /// Today's recorded contracts.
    pub slots: &'a mut FxHashMap<InstrumentId, u32>,
    /// Instrument and place in the live state by slot.
    pub enrolled: &'a mut Vec<(InstrumentId, u32)>,
    pub lot_sizes: &'a mut LotSizes,
    pub counters: &'a mut PipelineCounters,
    pub rows: &'a mut Rows,
    pub live: &'a mut Live,
    pub batch: &'a mut Batch,
}

impl<Live: LiveSink> Ingest<'_, Live> {
    /// When the record arrived.
    pub fn received(&self) -> Timestamp {
        self.received
    }

    /// What is recorded of all that a provider lists.
    pub fn select(&mut self, provider: Provider, listed: &ListedExpiries) -> WatchedExpiries {
        let watched = self.universe.select(listed, self.date);
        for (exchange, underlying, expiries) in watched.iter() {
            self.note_listed(provider, exchange, underlying, expiries);
        }
        watched
    }

    /// The recorded ones of all expiries that a provider lists of an underlying.
    pub fn note_listed(
        &mut self,
        provider: Provider,
        exchange: Exchange,
        underlying: &Arc<str>,
        recorded: &BTreeSet<TradingDate>,
    ) {
        self.listings.note(provider, (exchange, underlying), recorded, self.date);
    }

    /// The recorded ones of an underlying's expiries.
    pub fn select_expiries(&self, underlying: &str, listed: &BTreeSet<TradingDate>) -> BTreeSet<TradingDate> {
        self.universe.select_expiries(underlying, listed, self.date)
    }

    pub fn contract(&self, slot: u32) -> Option<&Contract> {
        self.catalog.contract(self.enrolled.get(slot as usize)?.0)
    }

    /// The slot of a contract that is recorded today.
    pub fn named_slot(&self, contract: &Contract) -> Option<u32> {
        self.slots.get(&self.catalog.instrument(contract)?).copied()
    }

    /// Records a listing's contract today; `absent_at`: since when it is known not to have been listed. `None` on days without a
    /// session.
    pub fn enroll(&mut self, listing: &Listing, absent_at: Option<Timestamp>) -> Option<u32> {
        let contract = &listing.contract;
        let slot = match self.named_slot(contract) {
            Some(slot) => slot,
            None => self.enroll_contract(contract, listing.lot_size, listing.tick_size, absent_at)?,
        };
        if contract.is_option() {
            self.lot_sizes.note(slot, listing.provider, listing.lot_size);
        }
        self.catalog.name(listing, self.enrolled[slot as usize].0, self.date, self.batch);
        Some(slot)
    }

    /// Whether no other provider contradicts the lot size that a provider states of a contract.
    pub fn is_lot_size_sure(&mut self, slot: u32, provider: Provider, lot_size: u32) -> bool {
        self.lot_sizes.note(slot, provider, lot_size);
        !self.lot_sizes.is_contested(slot)
    }

    fn enroll_contract(
        &mut self,
        contract: &Contract,
        lot_size: u32,
        tick_size: Price,
        absent_at: Option<Timestamp>,
    ) -> Option<u32> {
        let (day, session) = (self.day.as_deref_mut()?, self.session?);
        let instrument = self.catalog.enroll(contract, lot_size, tick_size, self.date, self.batch);
        let chain = self.chains.number(contract, day);
        let spec = SlotSpec {
            instrument,
            close: session.close_for(contract),
            is_option: contract.is_option(),
            chain,
            base: None,
            price_bound: price_bound(contract, self.date),
            absent_at,
        };
        let slot = day.add_slot(spec, self.received);
        self.slots.insert(instrument, slot);
        self.enrolled.push((instrument, self.live.enroll(contract, instrument)));
        Some(slot)
    }

    /// Records a contract that the days before know, if the universe still has it.
    pub fn enroll_planned(&mut self, planned: &PlannedContract) -> Option<u32> {
        let contract = &planned.contract;
        let is_expired = contract.expiry().is_some_and(|expiry| expiry < self.date);
        if is_expired || self.universe.entry(&contract.underlying).is_none() {
            return None;
        }
        let slot = match self.named_slot(contract) {
            Some(slot) => slot,
            None => self.enroll_contract(contract, planned.lot_size, planned.tick_size, None)?,
        };
        if contract.is_option() {
            self.lot_sizes.note_before(slot, planned.lot_size);
        }
        Some(slot)
    }

    /// A channel's traits, with the times that the rules of the day say.
    fn traits_of(&self, (name, declared): (&str, ChannelTraits)) -> ChannelTraits {
        let times = self.rules.channels.get(name);
        let (lateness_us, gap_max_us) = times.map_or((declared.lateness_us, declared.gap_max_us), |times| {
            (times.lateness_us, times.gap_max_us)
        });
        let silence_min_us = self.rules.silence_min_us;
        ChannelTraits { lateness_us: lateness_us.max(silence_min_us), gap_max_us, ..declared }
    }

    /// `None` on days without a session, as with the other arrivals.
    pub fn stream_arrival(
        &mut self,
        provider: Provider,
        stream: u8,
        channel: (&str, ChannelTraits),
    ) -> Option<Arrival> {
        let traits = self.traits_of(channel);
        Some(self.day.as_deref_mut()?.stream_arrival(provider, stream, traits, self.received))
    }

    /// Of answers to a request that was `sent`, where that is known.
    pub fn quote_arrival(
        &mut self,
        provider: Provider,
        channel: (&str, ChannelTraits),
        sent: Option<Timestamp>,
    ) -> Option<Arrival> {
        let traits = self.traits_of(channel);
        Some(self.day.as_deref_mut()?.quote_arrival(provider, traits, sent, self.received))
    }

    /// Of the chain that a slot belongs to.
    pub fn chain_arrival(
        &mut self,
        provider: Provider,
        slot: u32,
        stamp: Timestamp,
        channel: (&str, ChannelTraits),
    ) -> Option<Arrival> {
        let traits = self.traits_of(channel);
        let day = self.day.as_deref_mut()?;
        Some(day.chain_arrival(provider, day.chain_of(slot), stamp, traits, self.received))
    }

    pub fn end_arrival(&mut self, arrival: &Arrival) {
        if let Some(day) = self.day.as_deref_mut() {
            day.end_arrival(arrival, self.rows);
        }
    }

    pub fn volume_of(&self, slot: u32, provider: Provider) -> Option<i64> {
        self.day.as_deref()?.volume_of(slot, provider)
    }

    /// Whether the bodies that a provider sends of a contract's chain repeat what they said.
    pub fn repeats_bodies(&self, provider: Provider, slot: u32) -> bool {
        self.day.as_deref().is_some_and(|day| day.repeats_bodies(provider, slot))
    }

    #[inline(always)]
    pub fn observe(&mut self, slot: u32, quote: &Quote, arrival: &mut Arrival) {
        let Some(day) = self.day.as_deref_mut() else { return };
        self.counters.observations += 1;
        day.observe(slot, arrival, quote, self.rows);
        let base = day.base(slot).map(|(open_interest, _)| open_interest);
        self.live.write(self.enrolled[slot as usize].1, day.latest(slot), base);
    }

    /// Has the state of a slot that is soon observed fetched from memory.
    #[inline]
    pub fn fetch(&self, slot: u32) {
        if let Some(day) = self.day.as_deref() {
            day.fetch(slot);
            self.live.fetch(self.enrolled[slot as usize].1);
        }
    }

    pub fn note_absent(&mut self, slot: u32, provider: Provider) {
        self.counters.of_mut(provider).absent += 1;
        if let Some(day) = self.day.as_deref_mut() {
            day.note_absent(slot, provider, self.received, self.rows);
        }
    }

    /// A packet of a contract could not be read.
    #[cold]
    pub fn note_unread(&mut self, slot: u32, provider: Provider) {
        if let Some(day) = self.day.as_deref_mut() {
            day.note_unread(slot, provider, self.rows);
        }
    }

    pub fn take_history(&mut self, slot: u32, provider: Provider, bars: &[Bar]) {
        if let Some(day) = self.day.as_deref_mut() {
            day.take_history(slot, provider, bars, self.rows);
        }
    }

    #[inline]
    pub fn note_event(&mut self, provider: Provider, event_time: Timestamp) {
        self.counters.note_event(provider, event_time, self.received);
    }

    #[inline]
    pub fn note_unrecorded(&mut self) {
        self.counters.unwatched += 1;
    }

    pub fn note_malformed(&mut self, provider: Provider, error: &dyn Display) {
        self.counters.of_mut(provider).malformed += 1;
        self.counters.malformed_today[provider.index()] += 1;
        self.counters.note_malformed(error);
        let text = self.counters.last_error.as_deref().unwrap_or_default();
        self.counters.last_malformed[provider.index()].note(self.received, text);
    }

    /// Rows of a provider's latest instrument master that could not be read.
    pub fn set_unread_listings(&mut self, provider: Provider, rows: u64) {
        self.counters.of_mut(provider).unread_listings = rows;
    }

    /// A body of another day.
    pub fn note_stale(&mut self, provider: Provider) {
        self.counters.of_mut(provider).stale += 1;
        self.counters.stale_bodies += 1;
    }

    /// A body or a row about something else than was requested.
    pub fn note_refused(&mut self, provider: Provider, what: &dyn Display) {
        self.counters.of_mut(provider).refused += 1;
        self.counters.last_error = Some(format!("{provider}: {what}"));
    }

    /// A body whose volumes are lower than those of the body before.
    pub fn note_older_copy(&mut self, provider: Provider) {
        self.counters.of_mut(provider).older_copies += 1;
    }

    /// Whether what arrives now is of the running session and its stamp lies before the close.
    pub fn is_of_session(&self, stamp: Timestamp) -> bool {
        self.session.is_some_and(|session| self.received >= session.open && stamp < session.close)
    }

    /// A body that shows other values under the stamp of the one before, of which nothing is taken.
    pub fn note_standing_body(&mut self, provider: Provider) {
        if let Some(day) = self.day.as_deref_mut() {
            day.note_standing_body(provider);
        }
    }

    pub fn note_unknown_lots(&mut self, legs: usize, underlying: &str, expiry: TradingDate) {
        self.counters.unknown_lots += legs as u64;
        let what = format!("no lot size is known for {underlying} {expiry}: is fo_mktlots.csv out of reach?");
        self.counters.without_lots.insert((underlying.to_owned(), expiry));
        self.counters.last_error = Some(what);
    }
}

/// What bounds an option's price on a day.
fn price_bound(contract: &Contract, date: TradingDate) -> Option<PriceBound> {
    let InstrumentKind::Option { expiry, strike, option_type } = contract.kind else { return None };
    let days = u16::try_from((expiry - date).num_days()).unwrap_or(0);
    Some(PriceBound { option_type, strike, days })
}
