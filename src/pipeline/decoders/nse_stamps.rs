//! Bodies of a chain that repeat a stamp: whether they are copies, or other values under it.
//!
//! The site builds a chain anew every half minute and stamps what it built; between two of them it gives copies of one. A body
//! with the stamp of an earlier one and other values is of no known instant: its values may be of the next bucket already.
//!
//! Owns the traded values of each chain's body with the newest stamp, and a number for those of the stamps before.
//!
//! Left out: stamps at and after the close, under which the site goes on to change values.

use crate::{
    market::{OptionType, Price, Timestamp, Told, TradingDate},
    wire::nse::{Chain, Leg},
};
use rustc_hash::FxHasher;
use std::{
    collections::{BTreeMap, VecDeque},
    hash::{Hash, Hasher},
    sync::Arc,
};

/// Stamps that are older than the newest by more than this are no copies that were late: the newest was wrong.
const OLDER_US_MAX: i64 = 300_000_000;

/// So many stamps before the newest; a body is no older.
const EARLIER_MAX: usize = 10;

/// Open interest, volume and last price, as on the wire.
type Traded = (Option<f64>, Option<f64>, Told<Price>);

#[derive(Debug)]
struct Stamped {
    stamp: Timestamp,
    legs: BTreeMap<(Price, OptionType), Traded>,
    /// Stamps before, and a number for the values of all legs that were read under each.
    earlier: VecDeque<(Timestamp, u64)>,
}

impl Stamped {
    fn new(stamp: Timestamp) -> Stamped {
        Stamped { stamp, legs: BTreeMap::new(), earlier: VecDeque::new() }
    }

    /// A newer stamp follows.
    fn follow(&mut self, stamp: Timestamp) {
        let number = number_of(self.legs.iter().map(|(key, traded)| (*key, *traded)));
        self.earlier.truncate(EARLIER_MAX - 1);
        self.earlier.push_front((self.stamp, number));
        (self.stamp, self.legs) = (stamp, BTreeMap::new());
    }
}

/// See the module's head.
#[derive(Debug, Default)]
pub(super) struct Repeats {
    newest: BTreeMap<(Arc<str>, TradingDate), Stamped>,
}

impl Repeats {
    /// Whether a body shows other values than an earlier one of its stamp.
    pub fn contradict(&self, body: &Chain) -> bool {
        if self.contradicts_earlier(body) {
            return true;
        }
        body.legs.iter().any(|leg| {
            let before = self.newest.get(&chain_of(leg)).filter(|before| before.stamp == body.timestamp);
            before
                .and_then(|before| before.legs.get(&(leg.strike, leg.option_type)))
                .is_some_and(|before| *before != traded(leg))
        })
    }

    /// The same of a stamp before the newest.
    fn contradicts_earlier(&self, body: &Chain) -> bool {
        let mut chains: Vec<_> = body.legs.iter().map(chain_of).collect();
        chains.dedup();
        chains.into_iter().any(|chain| {
            let known = self.newest.get(&chain).and_then(|known| {
                known.earlier.iter().find(|(stamp, _)| *stamp == body.timestamp && *stamp < known.stamp)
            });
            known.is_some_and(|(_, number)| {
                let legs = body.legs.iter().filter(|leg| chain_of(leg) == chain);
                let legs: BTreeMap<_, _> =
                    legs.map(|leg| ((leg.strike, leg.option_type), traded(leg))).collect();
                number_of(legs.into_iter()) != *number
            })
        })
    }

    pub fn take(&mut self, body: &Chain) {
        for leg in &body.legs {
            let chain = self.newest.entry(chain_of(leg)).or_insert_with(|| Stamped::new(body.timestamp));
            let newer_us = body.timestamp.us_since(chain.stamp);
            if newer_us > 0 {
                chain.follow(body.timestamp);
            } else if newer_us < -OLDER_US_MAX {
                *chain = Stamped::new(body.timestamp);
            }
            if chain.stamp == body.timestamp {
                chain.legs.insert((leg.strike, leg.option_type), traded(leg));
            }
        }
    }
}

fn chain_of(leg: &Leg) -> (Arc<str>, TradingDate) {
    (Arc::clone(&leg.underlying), leg.expiry)
}

fn number_of(legs: impl Iterator<Item = ((Price, OptionType), Traded)>) -> u64 {
    let mut hasher = FxHasher::default();
    for ((strike, option_type), (open_interest, volume, price)) in legs {
        let lots = [open_interest, volume].map(|lots| lots.map(f64::to_bits));
        (strike, option_type, lots, price.value()).hash(&mut hasher);
    }
    hasher.finish()
}

fn traded(leg: &Leg) -> Traded {
    (leg.open_interest_lots, leg.volume_lots, leg.last_price)
}
