//! Last prices of options that cannot be, although their contracts are witnessed.
//!
//! Example: a provider sends paise where rupees are due, or the index' level in the place of an option's price. Its volume and
//! open interest are right, so nothing else shows it.
//!
//! No option is worth more than what it is on: a call more than its underlying, a put more than its strike. A call and a put of
//! one strike differ by what the level is above it ([`pairs`]). No contract that has just been traded has a last price far
//! outside of its own bid and ask, and no bid is above its ask. Where two providers know the same trades of a contract, they
//! know the same last price.
//!
//! Owns the volume of each contract at the last look, and what the looks have found. A chain is looked at after its fields
//! ([`super::plausibility`]), whose turns and memory these looks share; they are no part of the tick path.
//!
//! Invariants:
//! - Only contracts that were traded since the last look are held to their bid and ask and to their partner: a quiet market
//!   moves away from its last price. A price that was found once goes on as a finding while it is shown and nothing clears it.
//! - Findings change no row. Candles that may contain such prices have `resolve_required`; if a chain is found, those of all of
//!   its contracts that were traded since the look before the first of its findings.
//! - One contract alone is a finding after [`IMPOSSIBLE_LOOKS_MIN`] looks, since a look may fall between a price and its book.

mod pairs;

use self::pairs::{Allowed, Pairs, Parity, are_no_pair};
use super::{
    ChainClass, SLOTS_AHEAD, TradingDay,
    impossible_oi::{IMPOSSIBLE_LOOKS_MIN, is_of_chain},
    open_interest::are_far_apart,
};
use crate::{
    engine::{observation::Observation, rows::Rows},
    market::{InstrumentId, OptionType, Price, Provider, Timestamp},
    prefetch::prefetch,
};
use std::collections::BTreeMap;

/// The level may be that of minutes ago: so large a part more than it is no error.
const TOLERANCE_PART: i64 = 20;
/// So many times its ask, or so small a part of its bid, is no price of a contract that was just traded.
const BOOK_FACTOR: i64 = 5;
/// Between prices of a few ticks, multiples say nothing.
const APART_E4_MIN: i64 = 20_000;
/// For so long after its last trade the partner of a found contract says something of what is traded later.
const PARTNER_US: i64 = 900_000_000;

/// In place of a volume that no look has seen.
const UNSEEN: u32 = u32::MAX;

/// What bounds the price of an option: a call's the level of its underlying, a put's its strike, and both that of the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PriceBound {
    pub option_type: OptionType,
    pub strike: Price,
    /// Until the expiry.
    pub days: u16,
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
    /// Its bid is above its ask.
    CrossedBook {
        bid: Price,
        ask: Price,
    },
    /// The other option of its strike shows this price: at the level they cannot both be right.
    Partner {
        instrument: InstrumentId,
        price: Price,
        level: Price,
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
    /// Contracts whose last price is of this session.
    judged: u32,
    /// Those of them that say something now: they were traded since the look before, or were found.
    weighed: u32,
    impossible: u32,
    /// While the chain is a finding: it was right then.
    since: Option<Timestamp>,
}

impl Look {
    fn is_of_chain(&self) -> bool {
        is_of_chain(self.impossible, self.weighed)
    }
}

/// What the looks know of a contract's trades.
#[derive(Clone, Copy, Debug)]
struct Traded {
    /// The lower half of the volume.
    volume: u32,
    /// It is the first that a look saw, of trades of whenever.
    is_first: bool,
    /// When a look saw this volume first.
    at: Timestamp,
}

impl Traded {
    /// Whether a look at that instant found it to be traded.
    fn is_fresh(self, now: Timestamp) -> bool {
        self.at == now && !self.is_first
    }
}

/// A contract of a chain that is a finding, without one of its own.
#[derive(Clone, Copy, Debug)]
struct Swept {
    volume: u32,
    /// Up to when candles are marked.
    marked: Timestamp,
}

/// What a contract shows at a look that weighs it.
#[derive(Clone, Copy, Debug)]
struct Shown {
    slot: u32,
    provider: Provider,
    price: Price,
    is_changed: bool,
}

/// See the module's head.
#[derive(Debug, Default)]
pub(super) struct Prices {
    /// By slot.
    bounds: Vec<Option<PriceBound>>,
    /// By slot.
    traded: Vec<Traded>,
    pairs: Pairs,
    /// By chain of options: that of its underlying.
    underlyings: BTreeMap<u32, u32>,
    /// By chain.
    looks: BTreeMap<u32, Look>,
    /// By slot.
    found: BTreeMap<u32, Found>,
    /// The same.
    swept: BTreeMap<u32, Swept>,
}

impl Prices {
    pub fn add_slot(&mut self, chain: u32, bound: Option<PriceBound>) {
        self.pairs.add_slot(chain, bound);
        self.bounds.push(bound);
        self.traded.push(Traded { volume: UNSEEN, is_first: false, at: Timestamp::NEVER });
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

    pub(super) fn underlying_of(&self, chain: usize) -> Option<usize> {
        self.prices.underlyings.get(&(chain as u32)).map(|level| *level as usize)
    }

    /// Looks at the prices of a chain of options.
    pub(super) fn look_at_chain_prices(&mut self, chain: usize, now: Timestamp, rows: &mut Rows) {
        let mut known = std::mem::take(&mut self.prices);
        self.compare_prices(&mut known, chain, now, rows);
        self.prices = known;
    }

    fn compare_prices(&mut self, known: &mut Prices, chain: usize, now: Timestamp, rows: &mut Rows) {
        let last = known.looks.get(&(chain as u32)).copied();
        let before = last.map_or(self.hours.open, |look| look.at);
        let level = self.level_of(known, chain as u32);
        let mut look = Look { at: now, judged: 0, weighed: 0, impossible: 0, since: None };
        let weighed = self.weighed_prices(known, chain, &mut look);
        look.weighed = weighed.len() as u32;
        let allowed = self.allowed_of_pairs(known, chain, &weighed, level, now);
        let (mut found, mut ended) = (Vec::new(), Vec::new());
        for shown in weighed {
            let Shown { slot, provider, price, .. } = shown;
            match self.fault_of(known, &shown, level, allowed, now) {
                Some(fault) => {
                    look.impossible += 1;
                    let new = Found { provider, price, fault, since: before, looks: 0, marked: None };
                    let kept = known.found.entry(slot).or_insert(new);
                    *kept = Found { provider, price, fault, looks: kept.looks + 1, ..*kept };
                    found.push(slot);
                }
                None if known.found.contains_key(&slot) => ended.push(slot),
                None => {}
            }
        }
        if look.is_of_chain() {
            // Those that were told alone before are no beginning of it.
            let recent = found.iter().filter_map(|slot| known.found.get(slot));
            let recent = recent.filter(|found| found.looks <= IMPOSSIBLE_LOOKS_MIN).map(|found| found.since);
            look.since = last.and_then(|last| last.since).or(recent.min()).or(Some(before));
        }
        known.looks.insert(chain as u32, look);
        for slot in found {
            let Some(kept) = known.found.get_mut(&slot) else { continue };
            if look.is_of_chain() || kept.looks >= IMPOSSIBLE_LOOKS_MIN {
                let from = kept.marked.replace(now).unwrap_or(kept.since);
                self.mark_candles(slot as usize, from, now, rows);
            }
        }
        for slot in ended {
            let marked = known.found.remove(&slot).and_then(|found| found.marked);
            // Until when the prices were wrong is not known.
            marked.into_iter().for_each(|from| self.mark_candles(slot as usize, from, now, rows));
        }
        let is_new = last.is_none_or(|last| last.since.is_none());
        let from = look.since.map(|since| if is_new { since } else { before });
        self.sweep_chain(known, chain, from, now, rows);
    }

    /// What the contracts of a chain show that have something to say at this look.
    fn weighed_prices(&self, known: &mut Prices, chain: usize, look: &mut Look) -> Vec<Shown> {
        let mut weighed = Vec::new();
        let slots = &self.chains[chain].slots;
        for (at, slot) in slots.iter().copied().enumerate() {
            if let Some(ahead) = slots.get(at + SLOTS_AHEAD) {
                self.fetch_latest(*ahead);
                prefetch(&known.traded[*ahead as usize]);
                prefetch(&known.bounds[*ahead as usize]);
            }
            let Some(track) = self.recorded_track(slot as usize) else { continue };
            let latest = track.latest;
            let (Some(provider), Some(price), Some(volume)) =
                (latest.provider(), latest.last_price(), latest.volume())
            else {
                continue;
            };
            if price <= Price::ZERO || latest.event_time() < self.hours.open {
                continue;
            }
            let traded = &mut known.traded[slot as usize];
            let is_changed = traded.volume != volume as u32;
            if is_changed {
                let is_first = traded.volume == UNSEEN;
                *traded = Traded { volume: volume as u32, is_first, at: look.at };
            }
            if volume == 0 {
                continue;
            }
            look.judged += 1;
            if is_changed || known.found.contains_key(&slot) {
                weighed.push(Shown { slot, provider, price, is_changed });
            }
        }
        weighed
    }

    /// What speaks against a price.
    fn fault_of(
        &self,
        known: &Prices,
        shown: &Shown,
        level: Option<Price>,
        allowed: Allowed,
        now: Timestamp,
    ) -> Option<PriceFault> {
        let Shown { slot, price, is_changed, .. } = *shown;
        let latest = self.recorded_track(slot as usize)?.latest;
        let is_near = |found: &&Found| !are_far_apart(found.price.as_e4(), price.as_e4());
        let found = known.found.get(&slot).filter(is_near);
        let is_held_to_book = !is_changed || !known.traded[slot as usize].is_first;
        let is_unclear = |fault: &PriceFault| match fault {
            PriceFault::AboveLevel(_) | PriceFault::Partner { .. } => level.is_none(),
            PriceFault::OutsideBook { .. } => book(latest).is_none(),
            PriceFault::CrossedBook { .. } => latest.bid().is_none() || latest.ask().is_none(),
            PriceFault::AboveStrike(_) | PriceFault::Other(..) => false,
        };
        above(price, known.bounds[slot as usize], level)
            .or_else(|| self.other_price(slot as usize, latest))
            .or_else(|| crossed_book(latest))
            .or_else(|| outside_book(latest).filter(|_| is_held_to_book))
            .or_else(|| self.against_partner(known, shown, level?, allowed, now))
            .or_else(|| found.map(|found| found.fault).filter(is_unclear))
    }

    /// The other option of a contract's strike, with its price.
    fn partner_of(&self, known: &Prices, slot: u32) -> Option<(u32, Price)> {
        let partner = known.pairs.partner(slot)?;
        let price = self.recorded_track(partner as usize)?.latest.last_price()?;
        (price > Price::ZERO).then_some((partner, price))
    }

    /// What the pairs of a chain may be off, by what those of an index show together that are traded now.
    fn allowed_of_pairs(
        &self,
        known: &Prices,
        chain: usize,
        weighed: &[Shown],
        level: Option<Price>,
        now: Timestamp,
    ) -> Allowed {
        let mut parity = Parity::default();
        let class = self.chains[chain].class;
        let is_of_index =
            matches!(class, ChainClass::NearIndex | ChainClass::MiddleIndex | ChainClass::FarIndex);
        let Some(level) = level.filter(|_| is_of_index) else { return Allowed::Usual };
        for Shown { slot, price, .. } in weighed {
            let is_fresh = |slot: u32| known.traded[slot as usize].is_fresh(now);
            let bound = known.bounds[*slot as usize].filter(|of| of.option_type == OptionType::Call);
            let Some((bound, (partner, theirs))) = bound.zip(self.partner_of(known, *slot)) else { continue };
            if is_fresh(*slot) && is_fresh(partner) {
                parity.take(&bound, *price, theirs, level);
            }
        }
        parity.allowed()
    }

    /// The other option of its strike, if both cannot be right. Last prices that are not of one time say nothing, but of what was
    /// found already.
    fn against_partner(
        &self,
        known: &Prices,
        shown: &Shown,
        level: Price,
        allowed: Allowed,
        now: Timestamp,
    ) -> Option<PriceFault> {
        let Shown { slot, price, is_changed, .. } = *shown;
        let (partner, theirs) = self.partner_of(known, slot)?;
        let [ours, other] = [slot, partner].map(|slot| known.traded[slot as usize]);
        let is_pair = |slot| {
            known.found.get(&slot).is_some_and(|found| matches!(found.fault, PriceFault::Partner { .. }))
        };
        let goes_on = is_pair(slot) && (!is_changed || now.us_since(other.at) <= PARTNER_US);
        if !(goes_on || ours.is_fresh(now) && other.is_fresh(now)) {
            return None;
        }
        let instrument = self.slots[partner as usize].instrument;
        let bound = known.bounds[slot as usize]?;
        are_no_pair(&bound, price, theirs, level, allowed).then_some(PriceFault::Partner {
            instrument,
            price: theirs,
            level,
        })
    }

    /// Marks the candles of a chain's contracts that no rule found alone, those traded `from` when the chain is a finding; after
    /// that, until each has been traded again.
    fn sweep_chain(
        &mut self,
        known: &mut Prices,
        chain: usize,
        from: Option<Timestamp>,
        now: Timestamp,
        rows: &mut Rows,
    ) {
        if from.is_none() && known.swept.is_empty() {
            return;
        }
        for at in 0..self.chains[chain].slots.len() {
            let slot = self.chains[chain].slots[at];
            let Traded { volume, at, .. } = known.traded[slot as usize];
            let swept = known.swept.remove(&slot);
            if volume == 0 || volume == UNSEEN || known.found.contains_key(&slot) {
                continue;
            }
            let from_new = from.filter(|from| at > *from);
            let Some(marked) = swept.map(|swept| swept.marked).or(from_new) else { continue };
            self.mark_candles(slot as usize, marked, now, rows);
            if from.is_some() || swept.is_some_and(|swept| swept.volume == volume) {
                known.swept.insert(slot, Swept { volume, marked: now });
            }
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
            let first = slots.find_map(|slot| told(*slot, Some((look.impossible, look.judged))))?;
            Some(ImpossiblePrice { since: look.since.unwrap_or(first.since), ..first })
        });
        let alone = found.iter().filter(|(slot, found)| {
            found.looks >= IMPOSSIBLE_LOOKS_MIN && !is_whole(self.contexts[**slot as usize].chain)
        });
        whole.chain(alone.filter_map(|(slot, _)| told(*slot, None))).collect()
    }
}

/// Whether a price is above what its option is on.
fn above(price: Price, bound: Option<PriceBound>, level: Option<Price>) -> Option<PriceFault> {
    let PriceBound { option_type, strike, .. } = bound?;
    let (limit, fault) = match option_type {
        OptionType::Call => (level?, PriceFault::AboveLevel(level?)),
        OptionType::Put => (strike, PriceFault::AboveStrike(strike)),
    };
    let limit_e4 = limit.as_e4();
    (price.as_e4() > limit_e4 + limit_e4 / TOLERANCE_PART).then_some(fault)
}

/// The bid and the ask that were told with a price.
fn book(latest: &Observation) -> Option<(Price, Price)> {
    let (bid, ask) = (latest.bid()?, latest.ask()?);
    (bid > Price::ZERO && ask >= bid).then_some((bid, ask))
}

/// A bid above the ask: none of 38,000 recorded books of a session.
fn crossed_book(latest: &Observation) -> Option<PriceFault> {
    let (bid, ask) = (latest.bid()?, latest.ask()?);
    (bid > ask && ask > Price::ZERO).then_some(PriceFault::CrossedBook { bid, ask })
}

/// Whether a price is far outside of its bid and ask.
pub(super) fn outside_book(latest: &Observation) -> Option<PriceFault> {
    let (price, (bid, ask)) = (latest.last_price()?, book(latest)?);
    let (price_e4, bid_e4, ask_e4) = (price.as_e4(), bid.as_e4(), ask.as_e4());
    let is_far =
        price_e4 > ask_e4.saturating_mul(BOOK_FACTOR) || price_e4.saturating_mul(BOOK_FACTOR) < bid_e4;
    let distance_e4 = (price_e4 - ask_e4).max(bid_e4 - price_e4);
    (is_far && distance_e4 >= APART_E4_MIN).then_some(PriceFault::OutsideBook { bid, ask })
}

fn are_prices_apart(a_e4: i64, b_e4: i64) -> bool {
    are_far_apart(a_e4, b_e4) && (a_e4 - b_e4).abs() >= APART_E4_MIN
}
