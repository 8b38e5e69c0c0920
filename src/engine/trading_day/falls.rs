//! Volume that falls from one of a provider's bodies to the next, although volume only grows: either the bodies before the fall
//! are none of the market's, or those after it are.
//!
//! Example: a website's cache sends every second body with the values of two minutes ago, under stamps of now. A look at two
//! bodies does not tell that from a wild volume that is right again.
//!
//! What follows decides it: where volume soon is what it was before the fall, or more, the bodies in the fall were old copies;
//! where it stays less, those before it were wrong. Neither of them proves a row.
//!
//! Owns the falls of the day that are not decided. A stream's packets are of one course, and are held to it elsewhere.

use super::{Arrival, Delivery, TradingDay};
use crate::{
    engine::{observation::Observation, rows::Rows},
    market::{Provider, Quote, Timestamp},
};
use std::collections::BTreeMap;

/// A fall that is over within this was one to older copies; later, the volume may have grown to what it was.
const FALL_US_MAX: i64 = 300_000_000;

#[derive(Clone, Copy, Debug)]
struct Fall {
    /// The volume before it.
    before: i64,
    since: Timestamp,
    is_lasting: bool,
}

/// See the module's head.
#[derive(Debug, Default)]
pub(super) struct Falls(BTreeMap<(u32, Provider), Fall>);

impl TradingDay {
    /// Holds the volume of a body to those before it, of which `latest` has the last; the body is not taken yet.
    #[inline]
    pub(super) fn follow_fall(
        &mut self,
        slot: usize,
        arrival: &Arrival,
        latest: &Observation,
        quote: &Quote,
        rows: &mut Rows,
    ) {
        let is_less = quote.volume.is_some() && quote.volume < latest.volume();
        if arrival.traits.delivery == Delivery::Chain && (is_less || !self.falls.0.is_empty()) {
            self.weigh_fall(slot, arrival.provider, latest, quote, rows);
        }
    }

    #[cold]
    fn weigh_fall(
        &mut self,
        slot: usize,
        provider: Provider,
        latest: &Observation,
        quote: &Quote,
        rows: &mut Rows,
    ) {
        let (Some(before), Some(volume)) = (latest.volume(), quote.volume) else { return };
        let key = (slot as u32, provider);
        let known = self.falls.0.get(&key).copied();
        let Some(fall) = known.filter(|fall| quote.event_time.us_since(fall.since) <= FALL_US_MAX) else {
            if volume < before {
                let fall = Fall { before, since: quote.event_time, is_lasting: false };
                self.falls.0.insert(key, fall);
                self.judge_next(slot, self.before_fall(&fall), (provider, Some(volume)), rows);
            } else {
                self.falls.0.remove(&key);
            }
            return;
        };
        if volume >= fall.before {
            self.falls.0.remove(&key);
            let dated = Some((fall.since, fall.before));
            self.unprove(slot, (provider, quote.event_time), dated, rows);
        } else if !fall.is_lasting {
            self.falls.0.insert(key, Fall { is_lasting: true, ..fall });
            // What was said shortly before it with more volume is proved no more.
            let since = self.before_fall(&fall);
            let stated = self.verdicts_since(slot, since);
            let bucket = self.buckets.index_of(since);
            self.ends_mut(slot, provider).unprove_more(bucket, volume);
            self.judge_changed(slot, &stated, rows);
        }
    }

    /// From when on it contradicts what was said.
    fn before_fall(&self, fall: &Fall) -> Timestamp {
        fall.since.plus_us(-FALL_US_MAX).max(self.hours.open)
    }
}
