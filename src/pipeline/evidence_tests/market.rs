//! What is true of a small market, and what goes wrong while it is shown.

use super::{END_S, OPEN_S};
use crate::market::{Contract, Exchange, OptionType, Price, Provider, TradingDate};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use std::collections::BTreeSet;

pub(super) const LOT: i64 = 65;

/// What is true of a contract from a second on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Value {
    pub second: i64,
    pub volume: i64,
    pub open_interest: i64,
}

impl Value {
    /// Of the last trade; 0 before the first.
    pub(super) fn price(&self) -> Price {
        let paise = if self.volume == 0 { 0 } else { 10_000 + self.volume / LOT % 500 };
        Price::from_e4(paise * 100)
    }
}

/// Of the index at a second.
pub(super) fn level(second: i64) -> Price {
    Price::from_e4(252_000_000 + second)
}

/// A time in which something is not as it should be.
#[derive(Clone, Debug)]
pub(super) struct Fault {
    pub from: i64,
    pub until: i64,
    pub kind: Kind,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Kind {
    /// The stream sends nothing of these contracts.
    MuteContracts(BTreeSet<usize>),
    /// The stream sends nothing at all, and stays open.
    MuteStream(u8),
    /// The stream is lost, which is noticed so many seconds later, and subscribed again at the end.
    LostStream(u8, i64),
    /// The subscription is refused: it was never there.
    Refused(u8),
    SiteDown,
    /// The stamp and the values stand still.
    SiteStale,
    /// One chain is not answered.
    ChainDown(usize),
    Omitted(usize),
    BadLeg(usize),
    /// Another chain's body is served.
    Echo(usize),
    /// A body without rows.
    Empty(usize),
    QuotesDown,
    /// The stream's provider shows the open interest of these contracts in lots.
    Lots(BTreeSet<usize>),
    /// The values of the stream's provider stand still for these contracts, under stamps that move on.
    Frozen(BTreeSet<usize>),
    /// The daemon is away.
    Restart,
    Override(Provider),
}

pub(super) struct Market {
    pub contracts: Vec<Contract>,
    pub history: Vec<Vec<Value>>,
}

impl Market {
    pub(super) fn at(&self, contract: usize, second: i64) -> Value {
        let history = &self.history[contract];
        history[history.partition_point(|value| value.second <= second).max(1) - 1]
    }
}

pub(super) fn expiry(chain: usize) -> TradingDate {
    TradingDate::from_ymd_opt(2026, 2, if chain == 0 { 3 } else { 10 }).expect("a date")
}

/// Contracts of a chain, by number.
pub(super) fn of_chain(chain: usize, per_chain: usize) -> std::ops::Range<usize> {
    chain * per_chain..(chain + 1) * per_chain
}

/// Two chains, of an even number of contracts each.
pub(super) fn draw_market(rng: &mut ChaCha8Rng, per_chain: usize) -> Market {
    let mut contracts = Vec::new();
    let mut history = Vec::new();
    for chain in 0..2 {
        for number in 0..per_chain {
            let strike = Price::from_e4(250_000_000 + (number as i64 / 2) * 500_000);
            contracts.push(Contract::option(
                Exchange::Nse,
                "NIFTY",
                expiry(chain),
                strike,
                OptionType::BOTH[number % 2],
            ));
            // From dead to a trade a second.
            let activity: f64 =
                *[0.0, 0.002, 0.01, 0.05, 0.3, 0.8].get(rng.random_range(0..6_usize)).expect("one of them");
            let mut value =
                Value { second: 0, volume: 0, open_interest: LOT * rng.random_range(0..2_000_i64) };
            let mut values = vec![value];
            for second in OPEN_S..END_S + 60 {
                if rng.random_bool(activity) {
                    value.second = second;
                    let traded = rng.random_range(1..50_i64);
                    value.volume += LOT * traded;
                    if rng.random_bool(0.6) {
                        // By no more than was traded.
                        let change = rng.random_range(-traded.min(20)..=traded.min(40));
                        value.open_interest = (value.open_interest + LOT * change).max(0);
                    }
                    values.push(value);
                }
            }
            history.push(values);
        }
    }
    Market { contracts, history }
}

pub(super) fn draw_faults(rng: &mut ChaCha8Rng, contracts: usize) -> Vec<Fault> {
    let count = rng.random_range(0..5_usize);
    let mut faults: Vec<Fault> = (0..count)
        .map(|_| {
            let from = rng.random_range(OPEN_S - 120..END_S - 60);
            let until = from + rng.random_range(5..1_200_i64);
            let some = |rng: &mut ChaCha8Rng| -> BTreeSet<usize> {
                (0..contracts).filter(|_| rng.random_bool(0.4)).collect()
            };
            let kind = match rng.random_range(0..17_u32) {
                0 | 1 => Kind::MuteContracts(some(rng)),
                2 => Kind::MuteStream(rng.random_range(0..2_u8)),
                3 => Kind::LostStream(rng.random_range(0..2_u8), rng.random_range(0..40_i64)),
                4 => Kind::Refused(rng.random_range(0..2_u8)),
                5 => Kind::SiteDown,
                6 => Kind::SiteStale,
                7 => Kind::ChainDown(rng.random_range(0..2_usize)),
                8 => Kind::Omitted(rng.random_range(0..contracts)),
                9 => Kind::BadLeg(rng.random_range(0..contracts)),
                10 => Kind::Echo(rng.random_range(0..2_usize)),
                11 => Kind::Empty(rng.random_range(0..2_usize)),
                12 => Kind::Restart,
                13 | 14 => Kind::Lots(some(rng)),
                15 => Kind::Frozen(some(rng)),
                _ => match rng.random_range(0..3_u32) {
                    0 => Kind::QuotesDown,
                    1 => Kind::Override(Provider::Nse),
                    _ => Kind::Override(Provider::AngelOne),
                },
            };
            Fault { from, until, kind }
        })
        .collect();
    faults.sort_by_key(|fault| fault.from);
    faults
}
