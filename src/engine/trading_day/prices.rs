//! Last prices of options that cannot be, although their contracts are witnessed.
//!
//! Example: a provider sends paise where rupees are due, or the index' level in the place of an option's price. Its volume and
//! open interest are right, so nothing else shows it.
//!
//! No option is worth more than what it is on: a call more than its underlying, a put more than its strike. No contract that has
//! just been traded has a last price far outside of its own bid and ask. Where two providers know the same trades of a
//! contract, they know the same last price.
//!
//! Owns the volume of each contract at the last look, and what the looks have found. A chain is looked at after its fields
//! ([`super::plausibility`]), whose turns and memory these looks share; they are no part of the tick path.
//!
//! Invariants:
//! - Only contracts that were traded since the last look are held to their bid and ask: a quiet market moves away from its last
//!   price.
//! - Findings change no row. Candles that may contain such prices have `resolve_required`.
//! - One contract alone is a finding after [`LOOKS_MIN`] looks, since a look may fall between a price and its book.

use super::{TradingDay, open_interest::are_far_apart};
use crate::{
    engine::{observation::Observation, rows::Rows},
    market::{Price, Provider, Timestamp},
};
use std::collections::BTreeMap;

/// The level may be that of minutes ago: so large a part more than it is no error.
const TOLERANCE_PART: i64 = 20;
/// So many times its ask, or so small a part of its bid, is no price of a contract that was just traded.
const BOOK_FACTOR: i64 = 5;
/// Between prices of a few ticks, multiples say nothing.
const APART_E4_MIN: i64 = 20_000;
/// Contracts that make it their chain's, if they are more than this part of those judged.
const CONTRACTS_MIN: u32 = 3;
const CONTRACTS_PART: u32 = 4;
/// Looks in a row after which a contract alone is a finding.
const LOOKS_MIN: u32 = 3;

/// In place of a volume that no look has seen.
const UNSEEN: u32 = u32::MAX;

/// What no price of an option can be above.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PriceBound {
    /// A call's: the level of its underlying.
    Level,
    /// A put's: its strike.
    Strike(Price),
}

/// What speaks against a price.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PriceFault {
    AboveLevel(Price),
    AboveStrike(Price),
    OutsideBook {
        bid: Price,
        ask: Price,
    },
    /// Another provider shows it, with the same volume.
    Other(Provider, Price),
}

/// A price that cannot be.
#[derive(Clone, Copy, Debug)]
struct Found {
    provider: Provider,
    price: Price,
    fault: PriceFault,
    /// It was right at the look before.
    since: Timestamp,
    looks: u32,
    /// Up to when candles are marked.
    marked: Option<Timestamp>,
}

/// The last look at a chain.
#[derive(Clone, Copy, Debug)]
struct Look {
    at: Timestamp,
    judged: u32,
    impossible: u32,
}

impl Look {
    fn is_of_chain(&self) -> bool {
        self.impossible >= CONTRACTS_MIN && self.impossible * CONTRACTS_PART > self.judged
    }
}

/// See the module's head.
#[derive(Debug, Default)]
pub(super) struct Prices {
    /// By slot.
    bounds: Vec<Option<PriceBound>>,
    /// By slot: the lower half of the volume.
    volumes: Vec<u32>,
    /// By chain of options: that of its underlying.
    underlyings: BTreeMap<u32, u32>,
    /// By chain.
    looks: BTreeMap<u32, Look>,
    /// By slot.
    found: BTreeMap<u32, Found>,
}

impl Prices {
    pub fn add_slot(&mut self, bound: Option<PriceBound>) {
        self.bounds.push(bound);
        self.volumes.push(UNSEEN);
    }
}

/// Prices of a chain that cannot be, with the first of its contracts, or that of one contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImpossiblePrice {
    pub chain: u32,
    pub slot: u32,
    pub provider: Provider,
    pub price: Price,
    pub fault: PriceFault,
    pub since: Timestamp,
    /// Contracts of the chain, and how many of it were judged; `None`: this contract alone.
    pub of_chain: Option<(u32, u32)>,
}

impl TradingDay {
    /// Says which chain the underlying of a chain's options is.
    pub fn set_underlying(&mut self, chain: u32, underlying: u32) {
        self.prices.underlyings.insert(chain, underlying);
    }

    /// Looks at the prices of a chain of options.
    pub(super) fn look_at_chain_prices(&mut self, chain: usize, now: Timestamp, rows: &mut Rows) {
        let mut known = std::mem::take(&mut self.prices);
        self.compare_prices(&mut known, chain, now, rows);
        self.prices = known;
    }

    fn compare_prices(&mut self, known: &mut Prices, chain: usize, now: Timestamp, rows: &mut Rows) {
        let before = known.looks.get(&(chain as u32)).map_or(self.hours.open, |look| look.at);
        let level = self.level_of(known, chain as u32);
        let mut look = Look { at: now, judged: 0, impossible: 0 };
        let (mut found, mut ended) = (Vec::new(), Vec::new());
        for slot in self.chains[chain].slots.iter().copied() {
            let Some(track) = self.recorded_track(slot as usize) else { continue };
            let latest = *track.latest;
            let (Some(provider), Some(price), Some(volume)) =
                (latest.provider(), latest.last_price(), latest.volume())
            else {
                continue;
            };
            if volume == 0 || price <= Price::ZERO || latest.event_time() < self.hours.open {
                continue;
            }
            let seen = std::mem::replace(&mut known.volumes[slot as usize], volume as u32);
            let is_known = known.found.contains_key(&slot);
            if seen == volume as u32 && !is_known {
                continue;
            }
            look.judged += 1;
            let is_traded = seen != UNSEEN && seen != volume as u32;
            let bound = known.bounds[slot as usize];
            let fault = above(price, bound, level)
                .or_else(|| self.other_price(slot as usize, &latest))
                .or_else(|| outside_book(&latest).filter(|_| is_traded));
            match fault {
                Some(fault) => {
                    look.impossible += 1;
                    let new = Found { provider, price, fault, since: before, looks: 0, marked: None };
                    let kept = known.found.entry(slot).or_insert(new);
                    *kept = Found { provider, price, fault, looks: kept.looks + 1, ..*kept };
                    found.push(slot);
                }
                None if is_known => ended.push(slot),
                None => {}
            }
        }
        known.looks.insert(chain as u32, look);
        for slot in found {
            let Some(kept) = known.found.get_mut(&slot) else { continue };
            if look.is_of_chain() || kept.looks >= LOOKS_MIN {
                let from = kept.marked.replace(now).unwrap_or(kept.since);
                self.mark_candles(slot as usize, from, now, rows);
            }
        }
        for slot in ended {
            let marked = known.found.remove(&slot).and_then(|found| found.marked);
            // Until when the prices were wrong is not known.
            marked.into_iter().for_each(|from| self.mark_candles(slot as usize, from, now, rows));
        }
    }

    /// The level of a chain's underlying, where there is one that is not contradicted.
    fn level_of(&self, known: &Prices, chain: u32) -> Option<Price> {
        let underlying = *known.underlyings.get(&chain)?;
        let slot = *self.chains[underlying as usize].slots.first()?;
        let latest = self.latest(slot);
        let is_of_session = latest.event_time() >= self.hours.open;
        let level = latest.last_price().filter(|level| *level > Price::ZERO);
        level.filter(|_| is_of_session && self.disputes.running(slot).is_none())
    }

    /// Another provider that knows the same trades, with another price.
    fn other_price(&self, slot: usize, latest: &Observation) -> Option<PriceFault> {
        let price_e4 = latest.last_price()?.as_e4();
        let others = Provider::ALL.into_iter().filter(|provider| Some(*provider) != latest.provider());
        let mut prices = others.filter_map(|provider| {
            let theirs = self.others.get(provider, slot)?.latest;
            let is_same = theirs.volume() == latest.volume() && theirs.event_time() >= self.hours.open;
            let price = theirs.last_price().filter(|price| is_same && *price > Price::ZERO)?;
            Some((provider, price))
        });
        let is_other = |(_, price): &(Provider, Price)| are_prices_apart(price.as_e4(), price_e4);
        prices.find(is_other).map(|(provider, price)| PriceFault::Other(provider, price))
    }

    /// Prices that cannot be: of chains first, then of contracts alone.
    pub fn impossible_prices(&self) -> Vec<ImpossiblePrice> {
        let Prices { looks, found, .. } = &self.prices;
        let told = |slot: u32, of_chain: Option<(u32, u32)>| {
            let Found { provider, price, fault, since, .. } = *found.get(&slot)?;
            let chain = self.contexts[slot as usize].chain;
            Some(ImpossiblePrice { chain, slot, provider, price, fault, since, of_chain })
        };
        let is_whole = |chain: u32| looks.get(&chain).is_some_and(Look::is_of_chain);
        let whole = looks.iter().filter(|(_, look)| look.is_of_chain()).filter_map(|(chain, look)| {
            let mut slots = self.chains[*chain as usize].slots.iter();
            slots.find_map(|slot| told(*slot, Some((look.impossible, look.judged))))
        });
        let alone = found.iter().filter(|(slot, found)| {
            found.looks >= LOOKS_MIN && !is_whole(self.contexts[**slot as usize].chain)
        });
        whole.chain(alone.filter_map(|(slot, _)| told(*slot, None))).collect()
    }
}

/// Whether a price is above what its option is on.
fn above(price: Price, bound: Option<PriceBound>, level: Option<Price>) -> Option<PriceFault> {
    let (limit, fault) = match bound? {
        PriceBound::Level => (level?, PriceFault::AboveLevel(level?)),
        PriceBound::Strike(strike) => (strike, PriceFault::AboveStrike(strike)),
    };
    let limit_e4 = limit.as_e4();
    (price.as_e4() > limit_e4 + limit_e4 / TOLERANCE_PART).then_some(fault)
}

/// Whether a price is far outside of the bid and the ask that were told with it.
fn outside_book(latest: &Observation) -> Option<PriceFault> {
    let (price, bid, ask) = (latest.last_price()?, latest.bid()?, latest.ask()?);
    let (price_e4, bid_e4, ask_e4) = (price.as_e4(), bid.as_e4(), ask.as_e4());
    if bid_e4 <= 0 || ask_e4 < bid_e4 {
        return None;
    }
    let is_far =
        price_e4 > ask_e4.saturating_mul(BOOK_FACTOR) || price_e4.saturating_mul(BOOK_FACTOR) < bid_e4;
    let distance_e4 = (price_e4 - ask_e4).max(bid_e4 - price_e4);
    (is_far && distance_e4 >= APART_E4_MIN).then_some(PriceFault::OutsideBook { bid, ask })
}

fn are_prices_apart(a_e4: i64, b_e4: i64) -> bool {
    are_far_apart(a_e4, b_e4) && (a_e4 - b_e4).abs() >= APART_E4_MIN
}
