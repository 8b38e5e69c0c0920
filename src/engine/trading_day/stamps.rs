//! Stamps that cannot be those of the values under them: a source's clock that stands still, or lags behind.
//!
//! A quote that is received later than its channel may be late is looked at here; the tick path does no more than find it.
//! - *Standing*: a contract's values go on to change under the stamp of an earlier quote. They are of no known instant, so
//!   nothing of them is taken, and the stream proves nothing of the contract until its stamp moves on.
//! - *Delayed*: stamps move on, and each is older than the channel may be late. The values are of their stamps, which their rows
//!   have waited for in vain: they are backfilled. It is counted, because a source that goes on so has no live row.
//!
//! Owns the stamps that stand still, one a provider and contract at most, and what was counted of each provider.
//!
//! Left out: answers to requests, which are stamped with the last trade, and what a source says outside the session.

use super::{Arrival, Delivery, TradingDay};
use crate::{
    engine::{channel::AHEAD_US_MAX, rows::Rows},
    market::{Provider, Quote, Timestamp},
};
use std::collections::BTreeMap;

/// What was under way while the process stood still is read within this time; equal stamps of it are of one second.
const DRAIN_US: i64 = 10_000_000;

/// Quotes of a provider under stamps that are not of their instant, counted over the day.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WrongStamps {
    /// Refused: other values under the stamp of earlier ones.
    pub standing: u64,
    /// Packets and bodies that came later than their channel may be late.
    pub delayed: u64,
}

/// A stamp under which more than one value of a contract came late.
#[derive(Clone, Copy, Debug)]
struct Repeated {
    stamp: Timestamp,
    /// Receipt of the first of them.
    since: Timestamp,
    stands_still: bool,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Stamps {
    repeated: BTreeMap<(Provider, u32), Repeated>,
    /// In the order of [`Provider::ALL`].
    counts: [WrongStamps; Provider::ALL.len()],
}

impl Arrival {
    /// Whether a stamp is not further from the receipt than the channel may be late, nor further ahead than clocks may differ.
    #[inline(always)]
    pub(super) fn is_timely(&self, stamp: Timestamp) -> bool {
        let late_us_max = self.traits.lateness_us;
        // One comparison for both ends of the range.
        let from_earliest_us = stamp.us_since(self.received).wrapping_add(late_us_max);
        from_earliest_us as u64 <= AHEAD_US_MAX.wrapping_add(late_us_max) as u64
    }
}

impl TradingDay {
    /// Quotes of a provider under stamps that are not of their instant.
    pub fn wrong_stamps(&self, provider: Provider) -> WrongStamps {
        self.stamps.counts[provider.index()]
    }

    /// A quote's stamp is not timely: whether it is refused.
    #[cold]
    pub(super) fn refuses_stamp(
        &mut self,
        index: usize,
        arrival: &Arrival,
        quote: &Quote,
        rows: &mut Rows,
    ) -> bool {
        if quote.event_time.us_since(arrival.received) > AHEAD_US_MAX {
            self.counters.from_the_future += 1;
            return true;
        }
        if arrival.traits.delivery == Delivery::Quote
            || !self.is_late(arrival, quote.event_time)
            || arrival.received < self.hours.open
            || quote.event_time >= self.close_of(&self.slots[index])
        {
            return false;
        }
        if self.stands_still(index, arrival, quote) {
            self.stamps.counts[arrival.provider.index()].standing += 1;
            self.mute_provider(index, arrival.provider, Timestamp::NEVER, rows);
            return true;
        }
        self.note_delayed_packet(index, arrival, quote);
        false
    }

    fn is_late(&self, arrival: &Arrival, stamp: Timestamp) -> bool {
        arrival.received.us_since(stamp) > arrival.traits.lateness_us.max(self.silence_min_us)
    }

    /// Whether a late quote's stamp is that of earlier values of the contract.
    fn stands_still(&mut self, index: usize, arrival: &Arrival, quote: &Quote) -> bool {
        let Arrival { provider, received, epoch, .. } = *arrival;
        let key = (provider, index as u32);
        let known = self.stamps.repeated.get(&key).filter(|known| known.stamp == quote.event_time).copied();
        if known.is_some_and(|known| known.stands_still) {
            return true;
        }
        let Some(track) = self.track(provider, index) else { return false };
        let (latest, spoken) = (*track.latest, track.spoken);
        let mut said = latest;
        said.take(provider, quote, received, quote.event_time >= self.hours.open);
        if latest.event_time() != quote.event_time || said.traded_values() == latest.traded_values() {
            return false;
        }
        // The copy that a subscription begins with may show the last of several values of one second.
        if known.is_none() && spoken != epoch {
            return false;
        }
        let before = Arrival { received: latest.received_time(), ..*arrival };
        let first = match known {
            Some(known) => known.since,
            None if self.is_late(&before, quote.event_time) => before.received,
            // It was timely when it first came.
            None => Timestamp::NEVER,
        };
        let stands_still = received.us_since(first) > DRAIN_US.max(self.silence_min_us);
        self.stamps.repeated.insert(key, Repeated { stamp: quote.event_time, since: first, stands_still });
        stands_still
    }

    /// Of a stream that goes on: the first packet of a subscription is a copy of the last state, whenever that was.
    fn note_delayed_packet(&mut self, index: usize, arrival: &Arrival, quote: &Quote) {
        let is_moving = arrival.traits.delivery == Delivery::Stream
            && quote.event_time >= self.hours.open
            && self.track(arrival.provider, index).is_some_and(|track| {
                track.spoken == arrival.epoch && track.latest.event_time() < quote.event_time
            });
        self.stamps.counts[arrival.provider.index()].delayed += u64::from(is_moving);
    }

    /// A body whose stamp is a newer one than that of the chain's body before, `last`.
    pub(super) fn note_delayed_body(&mut self, arrival: &Arrival, last: Timestamp) {
        let is_of_session = self.hours.open <= arrival.stamp && arrival.stamp < self.hours.close;
        let is_delayed = last < arrival.stamp && is_of_session && self.is_late(arrival, arrival.stamp);
        self.stamps.counts[arrival.provider.index()].delayed += u64::from(is_delayed);
    }
}
