//! A market made of a seed that is as quiet as real ones: most contracts do not trade for minutes, two of five never in a day.
//!
//! How often a contract changes follows from its chain and its place in it. Measured on recorded days of 2025 and 2026:
//! - a chain of options has a median number of changes a minute, by the expiry of an index or by the rank of a share. One
//!   chain in two hundred hardly trades at all, as under a ban;
//! - within a chain they fall to strikes near the money and to the side out of it; a part of the contracts, by their place,
//!   never trades in the day;
//! - the noon is quieter than the open and the close, and on the day of its expiry a share's last half hour is quietest;
//! - some ten minutes are several times quieter than others.
//!
//! An underlying has a value each second (a share each three), and none in the closing auction. Before the open each
//! contract is seen once, with the open interest of the day before.
//!
//! Invariant: the same parameters give the same events on every machine.

use super::{
    hours::PlayedHours,
    lots::LotOverrides,
    market::{ABSENT, RawEvent, SimMarket},
};
use crate::{
    calendar::Session,
    market::{Contract, Exchange, OptionType, Price, Timestamp, TradingDate},
};
use chrono::{Datelike, Days, NaiveTime};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha12Rng;

/// Parameters of a market with natural quiet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NaturalMarket {
    pub seed: u64,
    pub date: TradingDate,
    /// How many of NIFTY, BANKNIFTY and MIDCPNIFTY.
    pub indices: usize,
    /// Of each expiry, centred on the spot; CE and PE each.
    pub index_strikes: u32,
    /// Shares with options, spread over all ranks from the most traded to the least.
    pub shares: u32,
    /// Of their one expiry.
    pub share_strikes: u32,
}

/// An index: name, spot in rupees, distance between strikes, units in a lot, and the changes a minute of each expiry's chain.
struct IndexOptions {
    name: &'static str,
    spot: i64,
    step: i64,
    lot_size: i64,
    is_weekly: bool,
    changes: &'static [f64],
}

const INDICES: [IndexOptions; 3] = [
    IndexOptions {
        name: "NIFTY",
        spot: 25_300,
        step: 50,
        lot_size: 65,
        is_weekly: true,
        changes: &[160.0, 45.0, 14.0, 6.0],
    },
    IndexOptions {
        name: "BANKNIFTY",
        spot: 59_700,
        step: 100,
        lot_size: 30,
        is_weekly: false,
        changes: &[70.0, 8.0],
    },
    IndexOptions {
        name: "MIDCPNIFTY",
        spot: 13_400,
        step: 25,
        lot_size: 120,
        is_weekly: false,
        changes: &[20.0, 3.0],
    },
];

/// Shares with options, and how many of the most traded ones have so many changes a minute in their chain.
const RANKS: u32 = 206;
const SHARE_CHANGES: [(u32, f64); 7] =
    [(20, 8.5), (60, 5.9), (120, 4.5), (160, 3.3), (190, 2.3), (205, 1.4), (RANKS, 0.25)];
/// Seconds between two values of a share.
const SHARE_EVERY_S: i64 = 3;
/// For how long a chain is as busy as it is.
const SPELL_MINUTES: i64 = 10;
/// How much busy and quiet spells differ: the deviation of the rate's logarithm.
const SPELL_DEVIATION: f64 = 0.6;
/// How often open interest is published.
const OPEN_INTEREST_EVERY_MS: i64 = 60_000;
/// When contracts are seen first.
const FIRST_SIGHT_BEFORE_OPEN_S: i64 = 900;

/// Where a contract lies in its chain.
#[derive(Clone, Copy)]
enum Place {
    AtTheMoney,
    Near,
    OutOf,
    FarOutOf,
    In,
    FarIn,
}

impl Place {
    /// `strikes`: by how many the strike is above the spot.
    fn of(strikes: i64, option_type: OptionType) -> Place {
        let is_out = match option_type {
            OptionType::Call => strikes > 0,
            OptionType::Put => strikes < 0,
        };
        match (strikes.abs(), is_out) {
            (0..=2, _) => Place::AtTheMoney,
            (3..=10, _) => Place::Near,
            (11..=25, true) => Place::OutOf,
            (_, true) => Place::FarOutOf,
            (11..=25, false) => Place::In,
            (_, false) => Place::FarIn,
        }
    }

    /// Changes against those of the chain's other contracts that trade at all.
    fn weight(self, is_index: bool) -> f64 {
        match (self, is_index) {
            (Place::AtTheMoney, true) => 10.0,
            (Place::Near, true) => 6.0,
            (Place::OutOf, true) => 4.0,
            (Place::FarOutOf, true) => 0.8,
            (Place::In, true) => 0.15,
            (Place::FarIn, true) => 0.012,
            (Place::AtTheMoney, false) => 3.0,
            (Place::Near, false) => 1.2,
            (_, false) => 0.2,
        }
    }

    /// The part of the contracts that never trade in a day.
    fn dead(self, rank: Option<u32>) -> f64 {
        let by_rank = |parts: [f64; 4]| {
            let Some(rank) = rank else { return parts[0] };
            parts[[20, 60, 120].iter().filter(|until| rank >= **until).count()]
        };
        match (self, rank) {
            (Place::FarIn, None) => 0.6,
            (Place::FarOutOf, None) => 0.03,
            (_, None) => 0.0,
            (Place::AtTheMoney, Some(_)) => by_rank([0.01, 0.01, 0.01, 0.05]),
            (Place::Near, Some(_)) => by_rank([0.09, 0.16, 0.24, 0.39]),
            (_, Some(_)) => by_rank([0.52, 0.60, 0.63, 0.73]),
        }
    }
}

/// An option and how it trades.
struct Trading {
    contract: u32,
    chain: usize,
    /// A minute in the morning.
    changes: f64,
    lot_size: i64,
    price_e4: i64,
    lots_open: i64,
    lots_shown: i64,
    shown_until_ms: i64,
    lots_traded: i64,
    /// Its share's last half hour before expiry.
    is_expiring_share: bool,
}

/// Everything that is listed.
#[derive(Default)]
struct Listed {
    contracts: Vec<Contract>,
    underlyings: Vec<(u32, i64, bool)>,
    options: Vec<Trading>,
    chains: usize,
    lots: LotOverrides,
}

impl NaturalMarket {
    /// The last Tuesday of a month that is not before `date`, and of the months after it.
    fn monthly(date: TradingDate) -> impl Iterator<Item = TradingDate> {
        weekly(date).filter(|tuesday| (*tuesday + Days::new(7)).month() != tuesday.month())
    }

    /// When the exchange opens and closes on the date.
    pub fn session(&self) -> Session {
        PlayedHours::new(self.date, Some(self.date)).of(self.date)
    }

    fn list(&self, rng: &mut ChaCha12Rng) -> Listed {
        let mut listed = Listed::default();
        for index in INDICES.iter().take(self.indices) {
            let own = Contract::index(Exchange::Nse, index.name);
            listed.underlyings.push((listed.contracts.len() as u32, index.spot * 10_000, true));
            listed.contracts.push(own);
            listed.lots.set(index.name, None, index.lot_size as u32);
            let expiries: Vec<TradingDate> = match index.is_weekly {
                true => weekly(self.date).take(index.changes.len()).collect(),
                false => Self::monthly(self.date).take(index.changes.len()).collect(),
            };
            for (expiry, changes) in expiries.into_iter().zip(index.changes) {
                let chain = NewChain {
                    name: index.name,
                    expiry,
                    spot: index.spot,
                    step: index.step,
                    strikes: self.index_strikes,
                    lot_size: index.lot_size,
                    changes: *changes,
                    rank: None,
                };
                self.list_chain(&chain, &mut listed, rng);
            }
        }
        let expiry = Self::monthly(self.date).next().expect("Tuesdays do not end");
        for number in 0..self.shares {
            // From the first rank to the last one.
            let rank = number * (RANKS - 1) / self.shares.saturating_sub(1).max(1);
            let name = format!("SHARE{rank:03}");
            let (spot, step) = (200 + 50 * i64::from(rank % 60), 5);
            listed.underlyings.push((listed.contracts.len() as u32, spot * 10_000, false));
            listed.contracts.push(Contract::equity(Exchange::Nse, &name));
            let lot_size = 250 + 25 * i64::from(rank % 40);
            listed.lots.set(&name, None, lot_size as u32);
            let of_rank = SHARE_CHANGES.iter().find(|(until, _)| rank < *until);
            let changes = of_rank.map_or(0.0, |(_, changes)| *changes);
            let chain = NewChain {
                name: &name,
                expiry,
                spot,
                step,
                strikes: self.share_strikes,
                lot_size,
                changes,
                rank: Some(rank),
            };
            self.list_chain(&chain, &mut listed, rng);
        }
        listed
    }

    fn list_chain(&self, chain: &NewChain<'_>, listed: &mut Listed, rng: &mut ChaCha12Rng) {
        let middle = chain.spot / chain.step;
        let lowest = (middle - i64::from(chain.strikes / 2)).max(1);
        let first = listed.options.len();
        for number in lowest..lowest + i64::from(chain.strikes) {
            for option_type in OptionType::BOTH {
                let place = Place::of(number - middle, option_type);
                let is_dead = rng.random::<f64>() < place.dead(chain.rank);
                let strike = Price::from_e4(number * chain.step * 10_000);
                let in_the_money = match option_type {
                    OptionType::Call => chain.spot - number * chain.step,
                    OptionType::Put => number * chain.step - chain.spot,
                };
                listed.options.push(Trading {
                    contract: listed.contracts.len() as u32,
                    chain: listed.chains,
                    changes: if is_dead { 0.0 } else { place.weight(chain.rank.is_none()) },
                    lot_size: chain.lot_size,
                    price_e4: (in_the_money.max(0) + chain.step) * 10_000,
                    lots_open: rng.random_range(0..20_000),
                    lots_shown: 0,
                    shown_until_ms: 0,
                    lots_traded: 0,
                    is_expiring_share: chain.rank.is_some() && chain.expiry == self.date,
                });
                let option = Contract::option(Exchange::Nse, chain.name, chain.expiry, strike, option_type);
                listed.contracts.push(option);
            }
        }
        let options = &mut listed.options[first..];
        let weights: f64 = options.iter().map(|option| option.changes).sum();
        options.iter_mut().for_each(|option| option.changes *= chain.changes / weights.max(0.001));
        listed.chains += 1;
    }

    /// Generates all events; 32 bytes each.
    pub fn generate(&self) -> SimMarket {
        let mut rng = ChaCha12Rng::seed_from_u64(self.seed);
        let Listed { contracts, underlyings, mut options, chains, lots } = self.list(&mut rng);
        let session = self.session();
        let minutes = session.close.us_since(session.open) / 60_000_000;
        let open_ms = session.open.as_ms();
        let mut events = Vec::new();
        let first_ms = open_ms - FIRST_SIGHT_BEFORE_OPEN_S * 1_000;
        for option in &mut options {
            option.lots_shown = option.lots_open;
            events.push(option.event(first_ms));
        }
        let spells = (minutes / SPELL_MINUTES + 1) as usize * chains;
        let spells: Vec<f64> =
            (0..spells).map(|_| libm::exp(SPELL_DEVIATION * super::synthetic::gaussian(&mut rng))).collect();
        for minute in 0..minutes {
            let at = session.open.plus_seconds(minute * 60);
            for option in &mut options {
                let spell = spells[(minute / SPELL_MINUTES) as usize * chains + option.chain];
                let rate = option.changes * time_of_day(at, option.is_expiring_share) * spell;
                let mut offsets: Vec<i64> =
                    (0..poisson(rate, &mut rng)).map(|_| rng.random_range(0..60_000)).collect();
                offsets.sort_unstable();
                for time_ms in offsets.into_iter().map(|offset| at.as_ms() + offset) {
                    events.extend(option.publish_before(time_ms));
                    option.trade(time_ms, &mut rng);
                    events.push(option.event(time_ms));
                }
                events.extend(option.publish_before((at.as_ms() + 60_000).min(session.close.as_ms())));
            }
        }
        for (contract, first_e4, is_index) in underlyings {
            let every_s = if is_index { 1 } else { SHARE_EVERY_S };
            let mut level_e4 = first_e4;
            events.push(level(first_ms, contract, level_e4));
            for second in (0..minutes * 60).step_by(every_s as usize) {
                if is_auction(session.open.plus_seconds(second)) {
                    continue;
                }
                let step_e4 = 500 * rng.random_range(-4..=4_i64);
                let off_e4 = level_e4 - first_e4;
                // The options are priced for the first level: it stays within a small part of that.
                let is_away = off_e4.abs() > first_e4 / 200 && off_e4.signum() == step_e4.signum();
                level_e4 += if is_away { -step_e4 } else { step_e4 };
                events.push(level(open_ms + second * 1_000, contract, level_e4));
            }
        }
        SimMarket::build(contracts, events, &lots).expect("a day is shorter than 49 days")
    }
}

struct NewChain<'a> {
    name: &'a str,
    expiry: TradingDate,
    spot: i64,
    step: i64,
    strikes: u32,
    lot_size: i64,
    /// A minute in the morning.
    changes: f64,
    /// Of a share.
    rank: Option<u32>,
}

impl Trading {
    /// One change in twenty is of open interest alone. A trade changes it by no more than was traded.
    fn trade(&mut self, now_ms: i64, rng: &mut ChaCha12Rng) {
        let is_publication_alone = rng.random_range(0..20) == 0;
        if is_publication_alone {
            self.lots_shown = self.lots_open + 1;
            self.lots_open = self.lots_shown;
            return;
        }
        let traded = rng.random_range(1..20_i64);
        let most = traded.min(8);
        self.lots_traded += traded;
        self.lots_open = (self.lots_open + rng.random_range(-most..=most)).max(0);
        self.price_e4 = (self.price_e4 + 500 * rng.random_range(-3..=3_i64)).max(500);
        if now_ms >= self.shown_until_ms {
            (self.lots_shown, self.shown_until_ms) = (self.lots_open, now_ms + OPEN_INTEREST_EVERY_MS);
        }
    }

    /// Open interest that changed within a minute of its last publication is published when the minute is over.
    fn publish_before(&mut self, time_ms: i64) -> Option<RawEvent> {
        let at_ms = self.shown_until_ms;
        let is_due = self.lots_shown != self.lots_open && at_ms < time_ms;
        is_due.then(|| {
            (self.lots_shown, self.shown_until_ms) = (self.lots_open, at_ms + OPEN_INTEREST_EVERY_MS);
            self.event(at_ms)
        })
    }

    fn event(&self, time_ms: i64) -> RawEvent {
        RawEvent {
            time_ms,
            contract: self.contract,
            last_price_e4: self.price_e4,
            open_interest: self.lots_shown * self.lot_size,
            volume: self.lots_traded * self.lot_size,
        }
    }
}

fn level(time_ms: i64, contract: u32, level_e4: i64) -> RawEvent {
    RawEvent { time_ms, contract, last_price_e4: level_e4, open_interest: ABSENT, volume: ABSENT }
}

/// Tuesdays from the date on.
fn weekly(date: TradingDate) -> impl Iterator<Item = TradingDate> {
    let weekday = u64::from(date.weekday().num_days_from_monday());
    let first = date + Days::new((8 - weekday) % 7);
    (0..).map(move |week| first + Days::new(7 * week))
}

/// Against the morning.
fn time_of_day(at: Timestamp, is_expiring_share: bool) -> f64 {
    let ist = at.to_ist().time();
    let clock = |hour, minute| NaiveTime::from_hms_opt(hour, minute, 0).expect("a time of day");
    if ist < clock(9, 30) {
        1.25
    } else if ist < clock(12, 0) {
        1.0
    } else if ist < clock(14, 0) {
        0.87
    } else if ist < clock(15, 0) {
        0.85
    } else if is_expiring_share {
        0.33
    } else {
        1.2
    }
}

/// Whether shares and indices stand still while the shares' closing auction is held.
fn is_auction(at: Timestamp) -> bool {
    let ist = at.to_ist();
    let day = |year, month, day| TradingDate::from_ymd_opt(year, month, day).expect("a date");
    let clock = |hour, minute| NaiveTime::from_hms_opt(hour, minute, 0).expect("a time of day");
    let (from, to) = if ist.date() >= day(2026, 12, 7) {
        (clock(15, 30), clock(15, 45))
    } else if ist.date() >= day(2026, 8, 3) {
        (clock(15, 16), clock(15, 30))
    } else {
        return false;
    };
    from <= ist.time() && ist.time() < to
}

/// How many of events with this rate happen.
fn poisson(rate: f64, rng: &mut ChaCha12Rng) -> u32 {
    if rate <= 0.0 {
        return 0;
    }
    let (limit, mut product, mut count) = (libm::exp(-rate), rng.random::<f64>(), 0);
    while product > limit {
        product *= rng.random::<f64>();
        count += 1;
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn market(date: &str) -> NaturalMarket {
        NaturalMarket {
            seed: 7,
            date: date.parse().expect("a date"),
            indices: 1,
            index_strikes: 80,
            shares: 12,
            share_strikes: 36,
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_day() {
        let (one, other) = (market("2026-10-26").generate(), market("2026-10-26").generate());
        assert!(one.events() == other.events() && one.contracts() == other.contracts());
        let later = NaturalMarket { seed: 8, ..market("2026-10-26") }.generate();
        assert!(one.events() != later.events());
    }

    #[test]
    fn contracts_are_as_quiet_as_measured() {
        let parameters = market("2026-10-26");
        let (market, session) = (parameters.generate(), parameters.session());
        // By chain: contracts, those that never trade, changes in session.
        let mut chains: BTreeMap<String, (usize, usize, usize)> = BTreeMap::new();
        for (slot, listed) in market.contracts().iter().enumerate() {
            let Some(expiry) = listed.contract.expiry() else { continue };
            let changes = market.events_of(slot).len() - 1;
            let chain = chains.entry(format!("{} {expiry}", listed.contract.underlying)).or_default();
            *chain = (chain.0 + 1, chain.1 + usize::from(changes == 0), chain.2 + changes);
        }
        let minutes = (session.close.us_since(session.open) / 60_000_000) as usize;
        let changes = |chain: &str| chains[chain].2 / minutes;
        assert!((150..300).contains(&changes("NIFTY 2026-10-27")), "{chains:?}");
        assert!((35..90).contains(&changes("NIFTY 2026-11-03")) && changes("NIFTY 2026-11-17") < 12);
        assert!((7..15).contains(&changes("SHARE000 2026-10-27")) && changes("SHARE205 2026-10-27") == 0);
        let (contracts, dead): (usize, usize) = chains
            .iter()
            .filter(|(name, _)| name.starts_with("SHARE"))
            .fold((0, 0), |(contracts, dead), (_, chain)| (contracts + chain.0, dead + chain.1));
        assert!((30..=60).contains(&(dead * 100 / contracts)), "{dead} of {contracts} never trade");
    }

    #[test]
    fn an_index_stands_still_in_the_closing_auction() {
        let levels_from = |date: &str, from: &str, to: &str| {
            let parameters = market(date);
            let market = parameters.generate();
            let at = |text: &str| {
                let time = NaiveTime::parse_from_str(text, "%H:%M").expect("a time");
                Timestamp::on(parameters.date, time)
            };
            let slot = market.slot_of(&Contract::index(Exchange::Nse, "NIFTY")).expect("the index");
            let within = |position: &&u32| {
                let time = market.time(&market.events()[**position as usize]);
                at(from) <= time && time < at(to)
            };
            market.events_of(slot).iter().filter(within).count()
        };
        assert_eq!(levels_from("2026-10-26", "15:16", "15:30"), 0);
        assert_eq!(levels_from("2026-10-26", "15:30", "15:40"), 600);
        assert_eq!(levels_from("2026-01-30", "15:16", "15:30"), 840);
        assert_eq!(levels_from("2026-12-08", "15:30", "15:45"), 0);
    }
}
