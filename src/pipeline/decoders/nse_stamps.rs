//! Bodies of a chain that repeat a stamp: whether they are copies, or other values under it.
//!
//! The site builds a chain anew every half minute and stamps what it built; between two of them it gives copies of one. A body
//! with the stamp of the one before and other values is of no known instant: its values may be of the next bucket already.
//!
//! Owns the traded values of each chain's body with the newest stamp.
//!
//! Left out: stamps at and after the close, under which the site goes on to change values.

use crate::{
    market::{OptionType, Price, Timestamp, Told, TradingDate},
    wire::nse::{Chain, Leg},
};
use std::{collections::BTreeMap, sync::Arc};

/// Stamps that are older than the newest by more than this are no copies that were late: the newest was wrong.
const OLDER_US_MAX: i64 = 300_000_000;

/// Open interest, volume and last price, as on the wire.
type Traded = (Option<f64>, Option<f64>, Told<Price>);

#[derive(Debug)]
struct Stamped {
    stamp: Timestamp,
    legs: BTreeMap<(Price, OptionType), Traded>,
}

/// See the module's head.
#[derive(Debug, Default)]
pub(super) struct Repeats {
    newest: BTreeMap<(Arc<str>, TradingDate), Stamped>,
}

impl Repeats {
    /// Whether a body shows other values than an earlier one of its stamp.
    pub fn contradict(&self, body: &Chain) -> bool {
        body.legs.iter().any(|leg| {
            let before = self.newest.get(&chain_of(leg)).filter(|before| before.stamp == body.timestamp);
            before
                .and_then(|before| before.legs.get(&(leg.strike, leg.option_type)))
                .is_some_and(|before| *before != traded(leg))
        })
    }

    pub fn take(&mut self, body: &Chain) {
        for leg in &body.legs {
            let chain = self
                .newest
                .entry(chain_of(leg))
                .or_insert_with(|| Stamped { stamp: body.timestamp, legs: BTreeMap::new() });
            let newer_us = body.timestamp.us_since(chain.stamp);
            if !(-OLDER_US_MAX..=0).contains(&newer_us) {
                *chain = Stamped { stamp: body.timestamp, legs: BTreeMap::new() };
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

fn traded(leg: &Leg) -> Traded {
    (leg.open_interest_lots, leg.volume_lots, leg.last_price)
}
