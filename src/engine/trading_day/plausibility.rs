//! Values that cannot be, although their contracts are witnessed: evidence is held by contract, and a provider may show one
//! field of it wrongly while the others are right.
//!
//! Example: a provider sends lots where units are due, or goes on with the open interest of an hour ago while its volume and
//! prices move. With a second provider [`super::open_interest`] finds that; this finds it also where there is one alone.
//!
//! Six things are found, of what is recorded:
//! - open interest that is further from the session before than was traded ([`super::impossible_oi`]);
//! - open interest of a chain, of many contracts of it, or of a few that are traded for more than twice as much, that stands still
//!   while volume is added, and the other way round;
//! - volumes of a chain that become many times themselves at once;
//! - prices of a chain, or of many contracts of it, that stand still or are none while volume is added;
//! - the level of an underlying that stands still while its options are traded at new prices.
//!
//! Owns the fields of each contract at the last look, and what the looks have found. The nearest chains of indices are looked
//! at each minute of market time, with the looks for silence, the others each fifth minute in turns. A look costs a
//! comparison a contract; it is no part of the tick path.
//!
//! Invariants:
//! - Findings change no row: status names them.
//! - Looks count in which something came, besides the time: a source may show values each five minutes only. A look after
//!   several minutes counts for as many as its contracts speak for.
//! - What is not told is not judged; 0 and unknown are two things.

use super::{
    ChainClass, SLOTS_AHEAD, TradingDay,
    impossible_oi::{ImpossibleCount, ImpossibleOi, ImpossibleOis},
    open_interest::SETTLED_US,
    silence::{ENDING_US, MINUTE_US},
    stopped::{Stopped, StoppedContracts, Trading},
    volumes::{Growth, VolumeLeap},
};
use crate::{
    engine::{observation::Observation, rows::Rows},
    market::{Price, Provider, Timestamp},
    prefetch::prefetch,
};
use std::collections::BTreeMap;

/// Minutes between looks at a chain that is not near.
const TURN_MINUTES: u16 = 5;
/// A field that has stood still for so long; open interest is published in steps of a minute, formerly of three.
const STILL_US: i64 = 900_000_000;
/// The same of a level, which moves each second.
const LEVEL_STILL_US: i64 = 600_000_000;
/// So many minutes must have brought volume in so many contracts, or in half of a smaller chain.
const TRADED_MINUTES_MIN: u32 = 10;
const TRADED_CONTRACTS: usize = 20;
/// Fewer contracts say nothing of their chain.
const CONTRACTS_MIN: u32 = 5;
/// Open interest that stands still while so many times as much is traded is no coincidence of one contract. Of a recorded day's
/// 684 contracts, none was traded for 1.2 times as much meanwhile.
const OVERTRADED_TIMES: i64 = 2;
/// So many looks must have found other open interest of a contract long after its volume was another one: a position may be
/// published late once.
const CHANGED_LOOKS_MIN: u8 = 2;
/// Cheaper options are traded at one price for long.
const PRICE_MIN: Price = Price::from_e4(50_000);
/// So many minutes must have brought other prices of options while the level stood still.
const PRICED_MINUTES_MIN: u32 = 5;
/// Contracts of a chain of so many that speak for it.
fn traded_min(contracts: usize) -> u32 {
    (contracts / 2).clamp(CONTRACTS_MIN as usize, TRADED_CONTRACTS) as u32
}

/// In place of a value that was not told.
const UNTOLD: i64 = i64::MIN;

/// A contract's fields at the last look.
#[derive(Clone, Copy, Debug)]
struct Fields {
    open_interest: i64,
    volume: i64,
    /// Its lower bits, which tell a price from any other one within thousands of ticks.
    last_price: u16,
    /// Minute of the session in which the open interest was last found to be another one, and looks since then that found
    /// volume added.
    open_interest_minute: u16,
    traded_looks: u8,
    /// The same of volume, and looks that found other open interest long after it.
    changed_looks: u8,
    volume_minute: u16,
    /// Volume at `open_interest_minute`.
    open_interest_volume: i64,
    /// Minute of the session in which the price was last found to be another one, and looks since then that found volume added.
    price_minute: u16,
    unpriced_looks: u8,
}

const _: () = assert!(size_of::<Fields>() == 40, "one for each contract");

impl Fields {
    const UNKNOWN: Fields = Fields {
        open_interest: UNTOLD,
        volume: UNTOLD,
        last_price: 0,
        open_interest_minute: 0,
        traded_looks: 0,
        changed_looks: 0,
        volume_minute: 0,
        open_interest_volume: UNTOLD,
        price_minute: 0,
        unpriced_looks: 0,
    };

    /// The same with what is told now.
    fn with(self, latest: &Observation) -> Fields {
        Fields {
            open_interest: latest.open_interest().unwrap_or(UNTOLD),
            volume: latest.volume().unwrap_or(UNTOLD),
            last_price: latest.last_price().map_or(0, |price| price.as_e4() as u16),
            ..self
        }
    }

    /// Takes down a look: whether it found other open interest, or else volume added.
    fn note_traded(&mut self, is_other: bool, is_traded: bool, minute: u16) {
        if is_other {
            (self.open_interest_minute, self.traded_looks) = (minute, 0);
            self.open_interest_volume = self.volume;
        } else {
            self.traded_looks = self.traded_looks.saturating_add(u8::from(is_traded));
        }
    }

    /// Takes down a look: whether it found another price, or else volume added.
    fn note_price(&mut self, is_other: bool, is_traded: bool, minute: u16) {
        if is_other {
            (self.price_minute, self.unpriced_looks) = (minute, 0);
        } else {
            self.unpriced_looks = self.unpriced_looks.saturating_add(u8::from(is_traded));
        }
    }

    /// Takes down a look: whether it found another volume, or else open interest that is not of it.
    fn note_volume(&mut self, is_other: bool, is_changed: bool, minute: u16) {
        if is_other {
            (self.volume_minute, self.changed_looks) = (minute, 0);
        } else {
            self.changed_looks = self.changed_looks.saturating_add(u8::from(is_changed));
        }
    }

    /// Whether so much was traded since the open interest changed that it must have changed again.
    fn is_overtraded(&self) -> bool {
        let is_told = self.open_interest_volume != UNTOLD && self.volume != UNTOLD && self.open_interest > 0;
        let enough = self.open_interest.saturating_mul(OVERTRADED_TIMES);
        is_told && self.volume.saturating_sub(self.open_interest_volume) > enough
    }
}

/// Contracts one field of which stands still although another one moves.
#[derive(Clone, Copy, Debug)]
struct Stuck {
    contracts: u32,
    /// Minute of the session since which all of them do.
    minute: u16,
}

/// Those of a chain, by field.
#[derive(Clone, Copy, Debug)]
struct StuckContracts {
    open_interest: Stuck,
    /// Those of them that are traded for many times their open interest.
    overtraded: Stuck,
    volume: Stuck,
    price: Stuck,
    /// They show no price at all.
    priceless: Stuck,
}

impl StuckContracts {
    const NONE: StuckContracts = {
        let none = Stuck { contracts: 0, minute: 0 };
        StuckContracts { open_interest: none, overtraded: none, volume: none, price: none, priceless: none }
    };
}

impl Stuck {
    fn count(&mut self, minute: u16) {
        self.contracts += 1;
        self.minute = self.minute.max(minute);
    }
}

/// What the looks at a chain have found.
#[derive(Clone, Copy, Debug)]
struct ChainFields {
    /// Whose values were looked at.
    of: Option<Provider>,
    /// Minute of the session in which that was, and the newest stamp of them.
    looked: u16,
    newest: Timestamp,
    /// When open interest of any contract had changed last, at the latest.
    open_interest_since: Timestamp,
    /// Minutes since then in which volume was added in many contracts.
    traded_minutes: u32,
    /// The same of prices.
    prices_since: Timestamp,
    unpriced_minutes: u32,
    stuck: StuckContracts,
    stopped: Stopped,
    leap: Option<VolumeLeap>,
    /// A bit for each of the last minutes in which many prices became other ones; the lowest is the running one's.
    priced: u64,
    impossible: ImpossibleCount,
}

impl ChainFields {
    const UNKNOWN: ChainFields = ChainFields {
        of: None,
        looked: 0,
        newest: Timestamp::NEVER,
        open_interest_since: Timestamp::NEVER,
        traded_minutes: 0,
        prices_since: Timestamp::NEVER,
        unpriced_minutes: 0,
        stuck: StuckContracts::NONE,
        stopped: Stopped::NONE,
        leap: None,
        priced: 0,
        impossible: ImpossibleCount { judged: 0, impossible: 0 },
    };
}

#[derive(Clone, Copy, Debug)]
struct Level {
    price: Price,
    since: Timestamp,
    /// It is not the day's first.
    has_moved: bool,
}

/// See the module's head.
#[derive(Debug, Default)]
pub(super) struct Plausibility {
    /// The minute of the session that was looked at last.
    minute: Option<u16>,
    /// By slot.
    fields: Vec<Fields>,
    trading: Vec<Trading>,
    chains: Vec<ChainFields>,
    impossible: ImpossibleOis,
    levels: BTreeMap<u32, Level>,
}

/// One look at the fields of a chain's contracts.
#[derive(Clone, Copy, Debug)]
struct Look {
    newest: Timestamp,
    traded: u32,
    priced: u32,
    /// See [`ChainFields`].
    stuck: StuckContracts,
    stopped: Stopped,
    growth: Growth,
    /// Stamps of the newest open interest, volume and price that are other ones.
    open_interest_at: Option<Timestamp>,
    volume_at: Option<Timestamp>,
    price_at: Option<Timestamp>,
    impossible: ImpossibleCount,
}

/// A field of a chain that stands still while another one moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StillField {
    pub chain: u32,
    pub provider: Provider,
    pub field: ChainField,
    /// At the latest: the change before lies between two looks.
    pub since: Timestamp,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChainField {
    OpenInterest,
    /// Of so many of the chain's contracts, each of which is traded.
    OpenInterestOf {
        contracts: u32,
    },
    Price,
    /// Of so many of the chain's contracts, each of which is traded.
    PriceOf {
        contracts: u32,
    },
    /// So many of them are traded and show no price.
    NoPrice {
        contracts: u32,
    },
    /// Of so many of the chain's contracts, the open interest of each of which has changed meanwhile.
    VolumeOf {
        contracts: u32,
    },
}

/// The level of an underlying that stands still.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StillLevel {
    pub slot: u32,
    pub provider: Provider,
    pub price: Price,
    pub since: Timestamp,
}

impl Plausibility {
    pub fn add_chain(&mut self) {
        self.chains.push(ChainFields::UNKNOWN);
    }

    pub fn add_slot(&mut self) {
        self.fields.push(Fields::UNKNOWN);
        self.trading.push(Trading::default());
    }
}

impl TradingDay {
    /// Looks at the fields and the prices of the chains whose turn it is, once a minute.
    pub(super) fn look_at_values(&mut self, now: Timestamp, rows: &mut Rows) {
        let minute = now.us_since(self.hours.open) / MINUTE_US;
        let minute = u16::try_from(minute).unwrap_or(u16::MAX);
        let mut known = std::mem::take(&mut self.plausibility);
        if known.minute != Some(minute) {
            let minutes = known.minute.map_or(64, |last| minute.saturating_sub(last));
            known.minute = Some(minute);
            for chain in 0..self.chains.len() {
                if !self.is_of_options(chain) {
                    continue;
                }
                let priced = &mut known.chains[chain].priced;
                *priced = priced.checked_shl(u32::from(minutes)).unwrap_or(0);
                let is_due = self.is_turn_of(chain, known.chains[chain].looked, minute);
                if let Some(provider) = self.chains[chain].active.filter(|_| is_due) {
                    self.look_at_chain_fields(&mut known, chain, provider, minute, now);
                    self.look_at_chain_prices(chain, now, rows);
                    self.look_at_chain_volumes(chain, provider, now);
                }
            }
            self.look_at_levels(&mut known);
        }
        self.plausibility = known;
    }

    /// Minutes between the looks at a chain.
    fn turn_minutes(&self, chain: usize) -> u16 {
        if self.chains[chain].class == ChainClass::NearIndex { 1 } else { TURN_MINUTES }
    }

    /// Whether a look is due at a chain that was last looked at in another minute.
    fn is_turn_of(&self, chain: usize, looked: u16, minute: u16) -> bool {
        let turn = |minute: u16| (usize::from(minute) + chain) / usize::from(self.turn_minutes(chain));
        turn(minute) != turn(looked)
    }

    fn look_at_chain_fields(
        &self,
        known: &mut Plausibility,
        chain: usize,
        provider: Provider,
        minute: u16,
        now: Timestamp,
    ) {
        let slots = &self.chains[chain].slots;
        let is_first = known.chains[chain].of != Some(provider);
        if is_first {
            let of = Some(provider);
            known.chains[chain] = ChainFields {
                of,
                looked: minute,
                open_interest_since: now,
                prices_since: now,
                ..ChainFields::UNKNOWN
            };
            for slot in slots {
                known.impossible.forget(*slot);
                known.fields[*slot as usize].note_volume(true, false, minute);
            }
        }
        let look = self.compare_fields(known, chain, provider, minute);
        let found = &mut known.chains[chain];
        let newest = std::mem::replace(&mut found.newest, look.newest);
        found.impossible = look.impossible;
        (found.stuck, found.stopped) = (look.stuck, look.stopped);
        if is_first {
            return;
        }
        let minutes = (minute - found.looked).min(self.turn_minutes(chain));
        found.looked = minute;
        if look.priced >= CONTRACTS_MIN {
            found.priced |= (1 << minutes) - 1;
        }
        let traded_minutes = (look.traded / traded_min(slots.len())).min(u32::from(minutes));
        if let Some(at) = look.open_interest_at {
            (found.open_interest_since, found.traded_minutes) = (at.max(self.hours.open), 0);
        } else {
            found.traded_minutes += traded_minutes;
        }
        if let Some(at) = look.price_at {
            (found.prices_since, found.unpriced_minutes) = (at.max(self.hours.open), 0);
        } else {
            found.unpriced_minutes += traded_minutes;
        }
        if let Some(at) = look.volume_at {
            let leap = self
                .leaps_min(newest, at)
                .and_then(|contracts_min| look.growth.leap(contracts_min, (chain as u32, provider), at));
            found.leap = leap.or(found.leap);
        }
    }

    fn compare_fields(
        &self,
        known: &mut Plausibility,
        chain: usize,
        provider: Provider,
        minute: u16,
    ) -> Look {
        let mut look = Look {
            newest: Timestamp::NEVER,
            traded: 0,
            priced: 0,
            stuck: StuckContracts::NONE,
            stopped: Stopped::default(),
            growth: Growth::default(),
            open_interest_at: None,
            volume_at: None,
            price_at: None,
            impossible: ImpossibleCount::default(),
        };
        let turn = self.turn_minutes(chain);
        let still_us = self.still_us(STILL_US);
        let is_still = |since: u16| i64::from(minute.saturating_sub(since)) * MINUTE_US >= still_us;
        let slots = &self.chains[chain].slots;
        for (at, slot) in slots.iter().copied().enumerate() {
            if let Some(ahead) = slots.get(at + SLOTS_AHEAD) {
                self.fetch_latest(*ahead);
                prefetch(&known.fields[*ahead as usize]);
                prefetch(&known.trading[*ahead as usize]);
                prefetch(&self.bases_before[*ahead as usize]);
                prefetch(&self.contexts[*ahead as usize]);
            }
            let Some(track) = self.track(provider, slot as usize).filter(|track| !track.latest.is_empty())
            else {
                continue;
            };
            let stamp = track.latest.event_time();
            look.newest = look.newest.max(stamp);
            let fields = &mut known.fields[slot as usize];
            let before = std::mem::replace(fields, fields.with(track.latest));
            let is_other = before.open_interest != fields.open_interest;
            let has_both = fields.open_interest != UNTOLD && fields.volume != UNTOLD;
            if before.last_price != fields.last_price {
                look.priced += 1;
                look.price_at = look.price_at.max(Some(stamp));
            }
            let is_traded = has_both && before.volume != UNTOLD && before.volume < fields.volume;
            if before.volume != fields.volume {
                look.volume_at = look.volume_at.max(Some(stamp));
                look.traded += u32::from(is_traded);
            }
            if has_both && before.volume != UNTOLD {
                look.growth.count(before.volume, fields.volume);
            }
            fields.note_traded(is_other, is_traded, minute);
            fields.note_price(before.last_price != fields.last_price, is_traded, minute);
            let is_unpriced = u32::from(fields.unpriced_looks) >= TRADED_MINUTES_MIN;
            if is_unpriced && is_still(fields.price_minute) {
                match track.latest.last_price() {
                    None => look.stuck.priceless.count(fields.price_minute),
                    Some(price) if price >= PRICE_MIN => look.stuck.price.count(fields.price_minute),
                    Some(_) => {}
                }
            }
            let trading = &mut known.trading[slot as usize];
            trading.note(is_traded, minute, turn);
            look.stopped.count(*trading, is_still);
            let is_traded_since = u32::from(fields.traded_looks) >= TRADED_MINUTES_MIN;
            if is_traded_since && is_still(fields.open_interest_minute) {
                look.stuck.open_interest.count(fields.open_interest_minute);
                if fields.is_overtraded() {
                    look.stuck.overtraded.count(fields.open_interest_minute);
                }
            }
            if is_other {
                look.open_interest_at = look.open_interest_at.max(Some(stamp));
            }
            // Open interest is published later than the volume it came of.
            let is_later =
                stamp >= self.start_of_minute(fields.volume_minute.saturating_add(1)).plus_us(SETTLED_US);
            let is_changed = is_other && has_both && before.open_interest != UNTOLD && is_later;
            fields.note_volume(before.volume != fields.volume, is_changed, minute);
            if fields.changed_looks >= CHANGED_LOOKS_MIN && is_still(fields.volume_minute) {
                look.stuck.volume.count(fields.volume_minute);
            }
            if has_both && stamp >= self.hours.open {
                let shown = (fields.open_interest, fields.volume, stamp);
                look.impossible.count(self.judge_open_interest(&mut known.impossible, slot, shown));
            }
        }
        let is_recorded = |slot: &&u32| self.slots[**slot as usize].is_of(provider);
        let trading = slots.iter().filter(is_recorded).map(|slot| known.trading[*slot as usize]);
        look.stopped.count_together(trading, (minute, turn), is_still);
        look
    }

    fn look_at_levels(&self, known: &mut Plausibility) {
        for slot in self.underlyings.keys().copied() {
            let latest = &self.slots[slot].latest;
            let slot = slot as u32;
            let Some(price) = latest.last_price() else {
                known.levels.remove(&slot);
                continue;
            };
            let before = known.levels.get(&slot);
            if before.is_none_or(|level| level.price != price) {
                let (since, has_moved) = (latest.event_time().max(self.hours.open), before.is_some());
                known.levels.insert(slot, Level { price, since, has_moved });
            }
        }
    }

    /// Chains with open interest that cannot be, after what was traded since the session before.
    pub fn impossible_open_interest(&self) -> Vec<ImpossibleOi> {
        let chains = self.plausibility.chains.iter().enumerate();
        let found = chains.filter_map(|(chain, found)| {
            self.impossible_of_chain(&self.plausibility.impossible, chain, found.of?, found.impossible)
        });
        found.collect()
    }

    /// Chains of which one field stands still while another one moves.
    pub fn still_fields(&self, now: Timestamp) -> Vec<StillField> {
        let chains = self.plausibility.chains.iter().enumerate();
        let is_open = |chain: usize| {
            let mut slots = self.chains[chain].slots.iter();
            slots.any(|slot| now < self.close_of(&self.slots[*slot as usize]))
        };
        let still = chains.filter(|(chain, _)| is_open(*chain)).flat_map(|(chain, found)| {
            let of_chain = self.still_fields_of(chain, found, now).into_iter().flatten();
            of_chain.filter_map(move |(field, since)| {
                Some(StillField { chain: chain as u32, provider: found.of?, field, since })
            })
        });
        still.collect()
    }

    fn still_fields_of(
        &self,
        chain: usize,
        found: &ChainFields,
        now: Timestamp,
    ) -> [Option<(ChainField, Timestamp)>; 3] {
        let is_still = |since: Timestamp| now.us_since(since) >= self.still_us(STILL_US);
        let ChainFields { open_interest_since, prices_since, stuck, .. } = *found;
        let part_min = traded_min(self.chains[chain].slots.len());
        let is_traded = found.traded_minutes >= TRADED_MINUTES_MIN && is_still(open_interest_since);
        let of_chain = is_traded.then_some((ChainField::OpenInterest, open_interest_since));
        let is_part = stuck.open_interest.contracts >= part_min;
        let Stuck { contracts, minute } = if is_part { stuck.open_interest } else { stuck.overtraded };
        let stuck_field = (ChainField::OpenInterestOf { contracts }, self.start_of_minute(minute));
        let of_part_interest = (contracts > 0).then_some(stuck_field);
        let is_unpriced = found.unpriced_minutes >= TRADED_MINUTES_MIN && is_still(prices_since);
        let of_chain_price = is_unpriced.then_some((ChainField::Price, prices_since));
        let of_part = |of: Stuck, field: fn(u32) -> ChainField| {
            (of.contracts >= part_min).then(|| (field(of.contracts), self.start_of_minute(of.minute)))
        };
        let priceless = of_part(stuck.priceless, |contracts| ChainField::NoPrice { contracts });
        let of_part_price = of_part(stuck.price, |contracts| ChainField::PriceOf { contracts });
        let price = priceless.or(of_chain_price).or(of_part_price);
        let Stuck { contracts, minute } = stuck.volume;
        let volume_field = (ChainField::VolumeOf { contracts }, self.start_of_minute(minute));
        let volume = (contracts >= CONTRACTS_MIN).then_some(volume_field);
        [of_chain.or(of_part_interest), price, volume]
    }

    fn start_of_minute(&self, minute: u16) -> Timestamp {
        self.hours.open.plus_us(i64::from(minute) * MINUTE_US)
    }

    /// For how long a field stands still that moves in real time within so long.
    fn still_us(&self, real_us: i64) -> i64 {
        real_us.max(self.silence_min_us)
    }

    /// Chains whose volumes became many times themselves at once, by the provider that they are recorded from.
    pub fn volume_leaps(&self) -> impl Iterator<Item = VolumeLeap> {
        self.plausibility.chains.iter().filter_map(|found| found.leap)
    }

    /// Contracts that have stopped, by chain, in the session.
    pub fn stopped_contracts(&self, now: Timestamp) -> impl Iterator<Item = StoppedContracts> {
        let chains = self.plausibility.chains.iter().enumerate().filter(move |_| now < self.hours.close);
        chains.filter_map(|(chain, found)| {
            let (contracts, minute, is_together) = found.stopped.found()?;
            let since = self.start_of_minute(minute);
            Some(StoppedContracts { chain: chain as u32, provider: found.of?, contracts, since, is_together })
        })
    }

    /// The underlyings whose levels are recorded.
    pub fn level_slots(&self) -> impl Iterator<Item = u32> {
        self.underlyings.keys().map(|slot| *slot as u32)
    }

    /// Whether an underlying's level stands still while the options of these chains are traded at new prices; one that has not
    /// moved at all also while one of them stands still. In the last part of the session it may: the shares are in their closing
    /// auction then.
    pub fn still_level(
        &self,
        slot: u32,
        chains: impl IntoIterator<Item = u32>,
        now: Timestamp,
    ) -> Option<StillLevel> {
        let Level { price, since, has_moved } = *self.plausibility.levels.get(&slot)?;
        let still_us = now.us_since(since);
        if now >= self.hours.close.plus_us(-ENDING_US) || still_us < self.still_us(LEVEL_STILL_US) {
            return None;
        }
        let chains: Vec<u32> = chains.into_iter().collect();
        let is_still = |chain: &u32| {
            let chain = &self.chains[*chain as usize];
            Provider::ALL.into_iter().any(|provider| chain.cover(provider).stands_still)
        };
        let of_chain = |chain: u32| self.plausibility.chains.get(chain as usize).map_or(0, |of| of.priced);
        let is_beside_still = !has_moved && chains.iter().any(is_still);
        let priced = chains.into_iter().map(of_chain).fold(0, |all, of| all | of);
        let minute_of_level = since.us_since(self.hours.open) / MINUTE_US;
        let looked = i64::from(self.plausibility.minute?) - minute_of_level;
        let within = u32::try_from(looked).ok()?;
        let lately = 1_u64.checked_shl(within).map_or(priced, |beyond| priced & (beyond - 1));
        let provider = self.slots[slot as usize].provider()?;
        let is_priced = lately.count_ones() >= PRICED_MINUTES_MIN;
        (is_priced || is_beside_still).then_some(StillLevel { slot, provider, price, since })
    }
}
