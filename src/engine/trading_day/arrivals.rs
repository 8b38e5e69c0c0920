//! What each record shows of its channel, before and after its observations: that a stream goes on, when a chain's body was
//! made, up to when an answer proves what it says.

use super::{Arrival, ChannelTraits, Delivery, ScopeChange, ScopeReason, TradingDay};
use crate::{
    engine::rows::Rows,
    market::{Bucket, Provider, Timestamp},
};

impl TradingDay {
    /// A packet of a stream arrives. What it shows of the stream itself counts with [`TradingDay::end_arrival`].
    pub fn stream_arrival(
        &mut self,
        provider: Provider,
        stream: u8,
        traits: ChannelTraits,
        received: Timestamp,
    ) -> Arrival {
        let session = (self.hours.open, self.hours.close);
        let silence_us = (traits.gap_max_us, self.silence_min_us);
        let (epoch, before) = self.epochs.on_stream(provider, stream, session, silence_us, received);
        if let Some((before, since)) = before {
            self.tell_stream_break(provider, before, since, received);
        }
        Arrival { epoch, ..Arrival::new(provider, traits, received) }
    }

    /// The body of a chain arrives, with its stamp.
    pub fn chain_arrival(
        &mut self,
        provider: Provider,
        chain: u32,
        stamp: Timestamp,
        traits: ChannelTraits,
        received: Timestamp,
    ) -> Arrival {
        let cover = *self.chains[chain as usize].cover(provider);
        let since = cover.last_stamp.max(self.hours.open);
        let is_first = cover.last_stamp == Timestamp::NEVER;
        let is_further_than = |us| !is_first && stamp.us_since(cover.last_stamp) > us;
        let is_broken = is_further_than(traits.gap_max_us.max(self.silence_min_us));
        // A whole bucket without a body is missing, also where no break is assumed.
        let next_start = self.buckets.start_of(self.buckets.index_of(since) + 1);
        let is_bucket_missed =
            is_further_than(traits.gap_max_us) && stamp.us_since(next_start) >= Bucket::LENGTH_US;
        if (is_broken || is_bucket_missed) && cover.epoch != 0 && stamp > self.hours.open {
            self.tell_break(chain, provider, since, received);
        }
        let epoch = match cover.epoch {
            epoch if epoch != 0 && !is_broken => epoch,
            _ => self.epochs.begin(Delivery::Chain, received),
        };
        self.chains[chain as usize].cover_mut(provider).epoch = epoch;
        Arrival { epoch, chain, stamp, ..Arrival::new(provider, traits, received) }
    }

    /// Answers to a quote request arrive; one of which it is not known when it was `sent` proves nothing but its stamps.
    pub fn quote_arrival(
        &mut self,
        provider: Provider,
        traits: ChannelTraits,
        sent: Option<Timestamp>,
        received: Timestamp,
    ) -> Arrival {
        let proved = sent.map_or(Timestamp::NEVER, |sent| sent.min(received).plus_us(-traits.copy_age_us));
        Arrival { proved, ..Arrival::new(provider, traits, received) }
    }

    /// The record is worked off.
    pub fn end_arrival(&mut self, arrival: &Arrival, rows: &mut Rows) {
        match arrival.traits.delivery {
            Delivery::Stream => self.epochs.extend(arrival.epoch, arrival.live_us),
            Delivery::Chain => {
                let cover = self.chains[arrival.chain as usize].cover_mut(arrival.provider);
                let last = cover.last_stamp;
                cover.last_stamp = cover.last_stamp.max(arrival.stamp);
                self.note_delayed_body(arrival, last);
                self.look_at_body(arrival);
                self.check_chain(arrival.chain as usize, arrival.received, rows);
            }
            Delivery::Quote => {}
        }
    }

    /// A stream brought nothing for longer than it may.
    #[cold]
    fn tell_stream_break(&mut self, provider: Provider, epoch: u16, since: Timestamp, at: Timestamp) {
        for chain in 0..self.chains.len() {
            let is_streamed =
                |slot: &u32| self.track(provider, *slot as usize).is_some_and(|track| track.spoken == epoch);
            if self.chains[chain].slots.iter().any(is_streamed) {
                self.tell_break(chain as u32, provider, since, at);
            }
        }
    }

    /// A provider shows a chain again that it did not since: what that leaves unproved has a reason that can be asked for.
    fn tell_break(&mut self, chain: u32, provider: Provider, since: Timestamp, at: Timestamp) {
        for down in [Some((since, ScopeReason::Silent)), None] {
            self.scope_changes.push(ScopeChange { chain, provider, at, down });
        }
    }
}
