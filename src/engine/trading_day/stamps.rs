//! Stamps that cannot be those of the values under them: a source's clock that stands still, lags behind or runs ahead.
//!
//! A quote that is received later than its channel may be late, or before its stamp, or that repeats a stamp of a closed bucket,
//! is looked at here; the tick path does no more than find it.
//! - *Standing*: a contract's values go on to change under the stamp of an earlier quote. They are of no known instant, so
//!   nothing of them is taken, and the stream proves nothing of the contract until its stamp moves on.
//! - *Delayed*: stamps move on, and each is older than the channel may be late. The values are of their stamps, which their rows
//!   have waited for in vain: they are backfilled. It is counted, because a source that goes on so has no live row. A stream that
//!   goes on to bring what is new of a contract so late proves as much less of it: what it has not said yet is no proof.
//! - *Ahead*: a stamp lies after its receipt. Where the provider's other contracts are stamped in time, it is refused, and the
//!   stream proves nothing of the contract until its stamp is in time again. Where most of them are as far ahead, the local
//!   clock may be the one that is behind: they are taken, and the daemon's watch of its clock names it.
//! - *Disordered*: a packet has more volume than the one before it, and an earlier stamp. It is of a later trade.
//!
//! Owns the stamps that stand still, were refused as ahead or came late, one a provider and contract at most, and what was counted of
//! each provider.
//!
//! Left out: answers to requests, which are stamped with the last trade, and what a source says outside the session.

use super::{Arrival, Delivery, TradingDay, track::TrackView};
use crate::{
    engine::{
        channel::{AHEAD_DOUBTED_US, AHEAD_US_MAX},
        rows::Rows,
    },
    market::{Provider, Quote, Timestamp},
};
use std::collections::BTreeMap;

/// What was under way while the process stood still is read within this time; equal stamps of it are of one second.
const DRAIN_US: i64 = 10_000_000;
/// How often a provider's stamps are compared while some are ahead.
const LEAD_LOOK_US: i64 = 1_000_000;

/// Quotes of a provider under stamps that are not of their instant, counted over the day.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WrongStamps {
    /// Refused, packets and bodies: other values under the stamp of earlier ones.
    pub standing: u64,
    /// Packets and bodies that came later than their channel may be late.
    pub delayed: u64,
    /// Refused: further ahead of their receipt than the provider's others.
    pub ahead: u64,
    /// Packets under an earlier stamp than the one before, with more volume.
    pub disordered: u64,
}

/// A stamp under which more than one value of a contract came late.
#[derive(Clone, Copy, Debug)]
struct Repeated {
    stamp: Timestamp,
    /// Receipt of the first of them.
    since: Timestamp,
    stands_still: bool,
}

/// What is new of a contract comes by a stream later than its channel may be.
#[derive(Clone, Copy, Debug)]
struct Delay {
    /// Receipt of the first of it.
    since: Timestamp,
    /// Of the last.
    delay_us: i64,
    /// It is not what was under way while the process stood still.
    is_lasting: bool,
}

/// How far a contract's stamp was ahead of its receipt when it was refused.
#[derive(Clone, Copy, Debug)]
struct Refused {
    received: Timestamp,
    lead_us: i64,
}

/// How far most of a provider's contracts are stamped ahead of their receipt; negative where stamps come late, as they should.
#[derive(Clone, Copy, Debug)]
struct Lead {
    looked_at: Timestamp,
    usual_us: Option<i64>,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Stamps {
    repeated: BTreeMap<(Provider, u32), Repeated>,
    refused: BTreeMap<(Provider, u32), Refused>,
    delays: BTreeMap<(Provider, u32), Delay>,
    /// By [`Provider::index`], as the next.
    leads: [Option<Lead>; Provider::ALL.len()],
    /// In the order of [`Provider::ALL`].
    counts: [WrongStamps; Provider::ALL.len()],
}

impl Arrival {
    /// Whether a stamp is not further from the receipt than the channel may be late, nor further ahead than clocks differ.
    #[inline(always)]
    pub(super) fn is_timely(&self, stamp: Timestamp) -> bool {
        let late_us_max = self.traits.lateness_us;
        // One comparison for both ends of the range.
        let from_earliest_us = stamp.us_since(self.received).wrapping_add(late_us_max);
        from_earliest_us as u64 <= AHEAD_DOUBTED_US.wrapping_add(late_us_max) as u64
    }
}

impl Stamps {
    #[inline(always)]
    pub fn has_delays(&self) -> bool {
        !self.delays.is_empty()
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
        arrival: &mut Arrival,
        quote: &Quote,
        rows: &mut Rows,
    ) -> bool {
        let lead_us = quote.event_time.us_since(arrival.received);
        if lead_us > AHEAD_US_MAX || self.is_alone_ahead(arrival, lead_us) {
            self.refuse_ahead(index, arrival, lead_us, rows);
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
            self.refuse_still(index, arrival, rows);
            return true;
        }
        self.note_delayed_packet(index, arrival, quote, rows);
        false
    }

    /// A packet repeats the stamp of the contract's latest values, whose bucket is closed: whether it is refused, since the values
    /// change while the stamp stands still, although it is not yet later than its channel may be.
    #[cold]
    pub(super) fn refuses_standing(
        &mut self,
        index: usize,
        arrival: &Arrival,
        quote: &Quote,
        rows: &mut Rows,
    ) -> bool {
        let is_of_stream = arrival.traits.delivery == Delivery::Stream;
        let is_still = is_of_stream && self.stands_still(index, arrival, quote);
        if is_still {
            self.refuse_still(index, arrival, rows);
        }
        is_still
    }

    fn refuse_still(&mut self, index: usize, arrival: &Arrival, rows: &mut Rows) {
        self.stamps.counts[arrival.provider.index()].standing += 1;
        self.mute_provider(index, arrival.provider, Timestamp::NEVER, rows);
    }

    /// Whether a stamp is ahead, and most of the provider's contracts are not as far.
    fn is_alone_ahead(&mut self, arrival: &Arrival, lead_us: i64) -> bool {
        if lead_us <= AHEAD_DOUBTED_US.max(self.silence_min_us) {
            return false;
        }
        let (now, place) = (arrival.received, arrival.provider.index());
        let known = self.stamps.leads[place];
        let known = known.filter(|known| (0..LEAD_LOOK_US).contains(&now.us_since(known.looked_at)));
        let usual_us = match known {
            Some(known) => known.usual_us,
            None => self.usual_lead_us(arrival),
        };
        if known.is_none() {
            self.stamps.leads[place] = Some(Lead { looked_at: now, usual_us });
        }
        usual_us.is_some_and(|usual_us| usual_us * 2 < lead_us)
    }

    /// How far the provider's contracts were stamped ahead when they last spoke, those that spoke of late: the middle one.
    fn usual_lead_us(&self, arrival: &Arrival) -> Option<i64> {
        let mut leads: Vec<(Timestamp, i64)> =
            (0..self.slots.len()).filter_map(|slot| self.last_lead(slot, arrival)).collect();
        let newest = leads.iter().map(|(received, _)| *received).max()?;
        let window_us = arrival.traits.gap_max_us.max(self.silence_min_us);
        leads.retain(|(received, _)| newest.us_since(*received) <= window_us);
        leads.sort_unstable_by_key(|(_, lead_us)| *lead_us);
        leads.get((leads.len() - 1) / 2).map(|(_, lead_us)| *lead_us)
    }

    /// When a provider last spoke of a contract, and how far ahead its stamp was. One that is older than the channel may be late is
    /// of a copy, and says nothing.
    fn last_lead(&self, slot: usize, arrival: &Arrival) -> Option<(Timestamp, i64)> {
        let provider = arrival.provider;
        let refused = self.stamps.refused.get(&(provider, slot as u32));
        let refused = refused.map(|refused| (refused.received, refused.lead_us));
        let taken = self.track(provider, slot).map(|track| track.latest).filter(|latest| {
            latest.provider() == Some(provider)
                && latest.received_time().us_since(latest.event_time()) <= arrival.traits.lateness_us
        });
        let taken = taken
            .map(|latest| (latest.received_time(), latest.event_time().us_since(latest.received_time())));
        refused.max(taken)
    }

    fn refuse_ahead(&mut self, index: usize, arrival: &mut Arrival, lead_us: i64, rows: &mut Rows) {
        let Arrival { provider, received, .. } = *arrival;
        self.counters.from_the_future += 1;
        self.stamps.refused.insert((provider, index as u32), Refused { received, lead_us });
        if lead_us <= AHEAD_US_MAX {
            self.stamps.counts[provider.index()].ahead += 1;
        }
        // Of a body: it proves nothing, and the next one is not of an earlier time.
        arrival.stamp = Timestamp::NEVER;
        if arrival.traits.delivery == Delivery::Stream {
            self.mute_provider(index, provider, received, rows);
        }
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
            // It was timely when it first came, and is not any more.
            None if self.is_late(arrival, quote.event_time) && !self.is_late(&before, quote.event_time) => {
                Timestamp::NEVER
            }
            None => before.received,
        };
        let stands_still = received.us_since(first) > DRAIN_US.max(self.silence_min_us);
        self.stamps.repeated.insert(key, Repeated { stamp: quote.event_time, since: first, stands_still });
        stands_still
    }

    /// Of a stream that goes on: the first packet of a subscription is a copy of the last state, whenever that was.
    fn note_delayed_packet(&mut self, index: usize, arrival: &Arrival, quote: &Quote, rows: &mut Rows) {
        let Some(track) = self.track(arrival.provider, index) else { return };
        let said = track.latest.event_time();
        let is_moving = arrival.traits.delivery == Delivery::Stream
            && track.spoken == arrival.epoch
            && said < quote.event_time;
        if !is_moving {
            return;
        }
        let is_new = !track.latest.has_same_trades(quote);
        self.stamps.counts[arrival.provider.index()].delayed += 1;
        if !is_new {
            return;
        }
        let received = arrival.received;
        let key = (arrival.provider, index as u32);
        let since = self.stamps.delays.get(&key).map_or(received, |known| known.since);
        let is_lasting = received.us_since(since) > DRAIN_US.max(self.silence_min_us);
        let delay_us = received.us_since(quote.event_time);
        self.stamps.delays.insert(key, Delay { since, delay_us, is_lasting });
        if is_lasting {
            self.judge_since(index, said, rows);
            // The stream proves them later, as far as it is behind.
            self.expect_proof(index, self.buckets.index_of(said));
        }
    }

    /// A timely stamp after late ones.
    #[cold]
    pub(super) fn end_delay(&mut self, index: usize, provider: Provider) {
        self.stamps.delays.remove(&(provider, index as u32));
    }

    /// Up to when a stream that goes on proves the latest values of a track.
    pub(super) fn streamed_until(&self, track: TrackView<'_>, slot: usize) -> Timestamp {
        let key = track.latest.provider().map(|provider| (provider, slot as u32));
        let delay = key.and_then(|key| self.stamps.delays.get(&key)).filter(|delay| delay.is_lasting);
        self.epochs.get(track.spoken).live_until.plus_us(-delay.map_or(0, |delay| delay.delay_us))
    }

    pub(super) fn note_disordered(&mut self, provider: Provider) {
        self.stamps.counts[provider.index()].disordered += 1;
    }

    /// A body of other values than those of an earlier one of its stamp, of which nothing was taken.
    pub fn note_standing_body(&mut self, provider: Provider) {
        self.stamps.counts[provider.index()].standing += 1;
    }

    /// A body whose stamp is a newer one than that of the chain's body before, `last`.
    pub(super) fn note_delayed_body(&mut self, arrival: &Arrival, last: Timestamp) {
        let is_of_session = self.hours.open <= arrival.stamp && arrival.stamp < self.hours.close;
        let is_delayed = last < arrival.stamp && is_of_session && self.is_late(arrival, arrival.stamp);
        self.stamps.counts[arrival.provider.index()].delayed += u64::from(is_delayed);
    }
}
