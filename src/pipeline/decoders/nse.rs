//! NSE's option chains and lot sizes: contracts appear in the chains rather than in a master, and quantities are in lots.

use super::{Decode, nse_stamps::Repeats};
use crate::{
    engine::ChannelTraits,
    market::{Contract, Delivery, Exchange, Listing, Price, Provider, Quote, Timestamp, Told, TradingDate},
    pipeline::{LiveSink, ingest::Ingest},
    spool::{ChannelTimes, Record, Source},
    wire::nse,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

const PROVIDER: Provider = Provider::Nse;

/// What no rule of the day says otherwise: bodies are received up to 2 min 39 s after their stamps (measured), which are
/// half a minute apart, and are asked for each half minute.
const CHAIN: (&str, ChannelTraits) = (
    "nse_chain",
    ChannelTraits {
        delivery: Delivery::Chain,
        lateness_us: 240_000_000,
        gap_max_us: 180_000_000,
        copy_age_us: 0,
    },
);

/// How often a chain is polled where the configuration says nothing.
const POLL_INTERVAL_S: i64 = 30;

/// The channel's name and times where chains are polled each so many seconds: those that are asked for less often are proved
/// less often.
pub fn chain_times(poll_interval_s: u32) -> (String, ChannelTimes) {
    let (name, declared) = CHAIN;
    let more_us = (i64::from(poll_interval_s) - POLL_INTERVAL_S).max(0) * 1_000_000;
    let gap_max_us = declared.gap_max_us.max(4_000_000 * i64::from(poll_interval_s));
    (name.to_owned(), ChannelTimes { lateness_us: declared.lateness_us + 2 * more_us, gap_max_us })
}

/// All index and stock options since 15 April 2025 (NSE); the chain does not tell it.
const TICK_SIZE: Price = Price::from_e4(500);
/// So many contracts whose volumes went back show that a body is an older copy.
const OLDER_LEGS: usize = 3;
/// Copies older than this have not been seen.
const OLDER_US_MAX: i64 = 300_000_000;

#[derive(Debug, Default)]
pub(super) struct Decoder {
    lots: Option<nse::LotTable>,
    listed: BTreeMap<(Arc<str>, TradingDate), Listed>,
    /// When a chain's volumes first went back, while they do.
    older_since: BTreeMap<(Arc<str>, TradingDate), Timestamp>,
    repeats: Repeats,
}

impl Decode for Decoder {
    fn decode(&mut self, record: &Record, ingest: &mut Ingest<'_, impl LiveSink>) {
        match record.source {
            Source::NSE_CHAIN => {
                for body in record.frames.iter() {
                    self.decode_chain(body, &record.context, ingest);
                }
            }
            Source::NSE_LOTS => {
                for body in record.frames.iter() {
                    match nse::decode_lots(body) {
                        Ok(lots) => self.lots = Some(lots),
                        Err(error) => ingest.note_malformed(PROVIDER, &error),
                    }
                }
            }
            _ => {}
        }
    }
}

/// What the legs of an expiry in a body are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Legs {
    Current,
    /// Nothing of them is taken.
    OlderCopy,
    /// Their chain stands still.
    Repeated,
}

/// Bodies of a chain that followed each other without a break, in which every leg could be read.
#[derive(Debug)]
struct Listed {
    /// Stamps of the first and of the last of them.
    first: Timestamp,
    last: Timestamp,
    /// That the last one lists without a contract.
    rowless: Vec<Price>,
}

impl Listed {
    /// Whether another body with this stamp follows without a break.
    fn is_followed_by(&self, stamp: Timestamp) -> bool {
        stamp.us_since(self.last) <= CHAIN.1.gap_max_us
    }
}

impl Decoder {
    fn decode_chain(&mut self, body: &[u8], context: &str, ingest: &mut Ingest<'_, impl LiveSink>) {
        let mut chain = match nse::decode_chain(body) {
            Ok(chain) => chain,
            Err(error) => return ingest.note_malformed(PROVIDER, &error),
        };
        note_unread(&chain, context, ingest);
        let mut is_whole = chain.malformed.is_empty();
        if let Ok(requested) = context.parse::<nse::ChainContext>() {
            if let Some(found) = chain.mismatch(&requested) {
                return ingest.note_refused(PROVIDER, &found);
            }
            if let Some((first, count)) = chain.take_strangers(&requested) {
                is_whole = false;
                (0..count)
                    .for_each(|_| ingest.note_refused(PROVIDER, &format_args!("{count} legs: {first}")));
            }
        }
        if chain.timestamp.date_ist() != ingest.received().date_ist() {
            return ingest.note_stale(PROVIDER);
        }
        let unread = || chain.malformed.iter().filter_map(|unread| unread.contract.as_ref());
        let read = chain.legs.first().map(|leg| Arc::clone(&leg.underlying));
        let Some(underlying) =
            read.or_else(|| unread().next().map(|contract| Arc::clone(&contract.underlying)))
        else {
            return;
        };
        let expiries = chain.legs.iter().map(|leg| leg.expiry).chain(unread().filter_map(Contract::expiry));
        let brought: BTreeSet<TradingDate> = expiries.collect();
        let listed = brought.clone();
        let listed = listed.union(&chain.expiries.iter().copied().collect()).copied().collect();
        let recorded = ingest.select_expiries(&underlying, &listed);
        if recorded.is_empty() {
            return;
        }
        // One expiry that a body brings is no list of all where its own list cannot be read, or names no other one.
        if listed.len() > 1 {
            ingest.note_listed(PROVIDER, Exchange::Nse, &underlying, &recorded);
        }
        ingest.note_event(PROVIDER, chain.timestamp);
        if ingest.is_of_session(chain.timestamp) {
            if self.repeats.contradict(&chain) {
                return ingest.note_standing_body(PROVIDER);
            }
            self.repeats.take(&chain);
        }
        let level_slot = self.slot_of_level(&chain, &underlying, ingest);
        let (mut is_older_copy, mut is_current) = (false, brought.is_disjoint(&recorded));
        for expiry in brought.into_iter().filter(|expiry| recorded.contains(expiry)) {
            let legs = self.decode_legs(&chain, &underlying, expiry, ingest);
            is_older_copy |= legs == Legs::OlderCopy;
            is_current |= legs == Legs::Current;
            if is_whole {
                let (key, last) = ((Arc::clone(&underlying), expiry), chain.timestamp);
                let before = self.listed.get(&key).filter(|before| before.is_followed_by(last));
                let first = before.map_or(last, |before| before.first);
                self.listed.insert(key, Listed { first, last, rowless: chain.rowless_strikes.clone() });
            }
        }
        // The level of an older copy is of its time, not of its stamp.
        let is_of_stamp = is_current && !is_older_copy;
        if let Some((slot, level)) = level_slot.zip(chain.underlying_value).filter(|_| is_of_stamp) {
            observe_level(slot, level, chain.timestamp, ingest);
        }
    }

    /// Of the index or share itself, which is a chain of its own.
    fn slot_of_level(
        &self,
        chain: &nse::Chain,
        underlying: &Arc<str>,
        ingest: &mut Ingest<'_, impl LiveSink>,
    ) -> Option<u32> {
        let section = self.lots.as_ref().and_then(|lots| lots.row(underlying)).map(|row| row.section);
        let contract = match section {
            Some(nse::LotSection::Shares) => Contract::equity(Exchange::Nse, underlying),
            Some(nse::LotSection::Indices) | None => Contract::index(Exchange::Nse, underlying),
        };
        // Without a level it is known all the same, and missing; but only the lots tell an index from a share.
        if chain.underlying_value.is_none() && self.lots.is_none() {
            return None;
        }
        slot_of(&contract, 1, None, ingest)
    }

    /// Takes the legs of an expiry.
    fn decode_legs(
        &mut self,
        chain: &nse::Chain,
        underlying: &Arc<str>,
        expiry: TradingDate,
        ingest: &mut Ingest<'_, impl LiveSink>,
    ) -> Legs {
        let lot_size = self.lots.as_ref().and_then(|lots| lots.lot_size(underlying, expiry));
        let legs = chain.legs.iter().filter(|leg| leg.expiry == expiry);
        let Some(lot_size) = lot_size else {
            ingest.note_unknown_lots(legs.count(), underlying, expiry);
            return Legs::Current;
        };
        let key = (Arc::clone(underlying), expiry);
        // A contract that the complete bodies before lack was listed since, unless the last one lists its strike without a row or
        // the contract was traded or held before; after a break it may have been at any time.
        let before = self.listed.get(&key).filter(|before| before.is_followed_by(chain.timestamp));
        let absent_at = |contract: &Contract| {
            let before = before?;
            let is_listed = contract.strike().is_some_and(|strike| before.rowless.contains(&strike));
            (!is_listed).then_some(before.first)
        };
        // A contract is listed also where its numbers cannot be read: it is recorded, and missing.
        let is_unread =
            |contract: &&Contract| contract.expiry() == Some(expiry) && contract.underlying == *underlying;
        for contract in chain.malformed.iter().filter_map(|unread| unread.contract.as_ref()).filter(is_unread)
        {
            slot_of(contract, lot_size, absent_at(contract), ingest);
        }
        let mut quotes = Vec::new();
        for leg in legs {
            let contract = leg.contract();
            let absent_at = absent_at(&contract).filter(|_| !leg.has_been_traded());
            let slot = slot_of(&contract, lot_size, absent_at, ingest);
            // Where another provider states another lot size, it is not known of which lots the numbers are.
            let slot = slot.filter(|slot| ingest.is_lot_size_sure(*slot, PROVIDER, lot_size));
            match leg.quote(lot_size, chain.timestamp) {
                Ok(quote) => quotes.extend(slot.map(|slot| (slot, quote))),
                Err(error) => ingest.note_malformed(PROVIDER, &format_args!("{contract}: {error}")),
            }
        }
        drop_twins(&mut quotes, ingest);
        let Some((first, _)) = quotes.first() else { return Legs::Current };
        let volumes =
            |(slot, quote): &(u32, Quote)| Some((quote.volume?, ingest.volume_of(*slot, PROVIDER)?));
        let (mut lower, mut higher) = (0, 0);
        for (now, before) in quotes.iter().filter_map(volumes) {
            lower += usize::from(now < before);
            higher += usize::from(now > before);
        }
        if lower >= OLDER_LEGS && lower > higher {
            let since = *self.older_since.entry(key).or_insert(ingest.received());
            // No copy is older: what was said before is contradicted.
            if ingest.received().us_since(since) < OLDER_US_MAX {
                ingest.note_older_copy(PROVIDER);
                return Legs::OlderCopy;
            }
        } else {
            self.older_since.remove(&key);
        }
        let Some(mut arrival) = ingest.chain_arrival(PROVIDER, *first, chain.timestamp, CHAIN) else {
            return Legs::Current;
        };
        for (slot, quote) in &quotes {
            ingest.observe(*slot, quote, &mut arrival);
        }
        ingest.end_arrival(&arrival);
        if ingest.repeats_bodies(PROVIDER, *first) { Legs::Repeated } else { Legs::Current }
    }
}

fn observe_level(slot: u32, level: Price, stamp: Timestamp, ingest: &mut Ingest<'_, impl LiveSink>) {
    let quote = Quote { event_time: stamp, last_price: Told::Value(level), ..Quote::default() };
    if let Some(mut arrival) = ingest.chain_arrival(PROVIDER, slot, stamp, CHAIN) {
        ingest.observe(slot, &quote, &mut arrival);
        ingest.end_arrival(&arrival);
    }
}

/// A contract that a body has twice is not known by it.
fn drop_twins(quotes: &mut Vec<(u32, Quote)>, ingest: &mut Ingest<'_, impl LiveSink>) {
    let mut seen = BTreeMap::new();
    quotes.iter().for_each(|(slot, _)| *seen.entry(*slot).or_insert(0) += 1);
    seen.retain(|_, count| *count > 1);
    if !seen.is_empty() {
        ingest.note_malformed(PROVIDER, &format_args!("{} contracts stand twice in one body", seen.len()));
        quotes.retain(|(slot, _)| !seen.contains_key(slot));
    }
}

/// Counts what of a body cannot be read, and names the chain, the first legs and how many there are.
fn note_unread(chain: &nse::Chain, context: &str, ingest: &mut Ingest<'_, impl LiveSink>) {
    let Some((first, rest)) = chain.malformed.split_first() else { return };
    let name =
        context.parse::<nse::ChainContext>().map_or_else(|_| String::new(), |asked| asked.name() + " ");
    let legs = chain.malformed.iter().filter(|unread| unread.is_leg).count();
    let nameless = chain.malformed.iter().filter(|unread| unread.is_leg && unread.contract.is_none()).count();
    match nameless {
        0 => ingest.note_malformed(PROVIDER, &format_args!("chain {name}lost {legs} legs: {first}")),
        _ => ingest.note_malformed(
            PROVIDER,
            &format_args!("chain {name}lost {legs} legs, {nameless} of them without a name: {first}"),
        ),
    }
    rest.iter().for_each(|unread| ingest.note_malformed(PROVIDER, unread));
}

/// The slot of a contract that NSE shows, enrolled at first sight.
fn slot_of(
    contract: &Contract,
    lot_size: u32,
    absent_at: Option<Timestamp>,
    ingest: &mut Ingest<'_, impl LiveSink>,
) -> Option<u32> {
    if let Some(slot) = ingest.named_slot(contract) {
        return Some(slot);
    }
    let listing = Listing {
        provider: PROVIDER,
        token: None,
        symbol: contract.to_string().into(),
        contract: contract.clone(),
        lot_size,
        tick_size: TICK_SIZE,
    };
    ingest.enroll(&listing, absent_at)
}
