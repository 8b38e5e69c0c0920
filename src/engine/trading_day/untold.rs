//! Quotes that do not tell what a row is about: an option's open interest, the volume that it had already, an underlying's level.
//!
//! A source may send packets of a lower mode than subscribed, or write 0 where it does not have the value. Such a quote is no
//! evidence: nothing of it is taken, and until it tells the value again the source's stream proves nothing of the contract.
//!
//! An open interest of more than a few positions that falls to 0 is believed when the source has shown nothing else for
//! [`SETTLED_US`], of no more than [`ZEROS_MAX`] contracts of a chain at once (in four recorded days none of 300,000 changes was
//! one).
//!
//! Owns the zeros that are waited with.

use super::{Arrival, ChainClass, TradingDay, open_interest::SETTLED_US, track::TrackView};
use crate::{
    engine::rows::Rows,
    market::{Provider, Quote, Timestamp},
};
use std::collections::BTreeMap;

/// A few positions may all be closed at once: so many units of an index, and of a share, whose lots may be of 70,000.
const INDEX_POSITIONS: i64 = 5_000;
const SHARE_POSITIONS: i64 = 250_000;
/// So many contracts of a chain may lose all of their open interest at once.
const ZEROS_MAX: usize = 2;

/// Stamps of the first quotes with 0 of contracts that had open interest, by provider, chain and slot.
#[derive(Clone, Debug, Default)]
pub(super) struct Zeros {
    since: BTreeMap<(Provider, u32, u32), Timestamp>,
}

/// Whether a quote tells what its contract's rows are about.
pub(super) enum Telling {
    Told,
    /// The source does not have the contract: volume and price are 0 too, and it had traded.
    Blank,
    /// It writes 0 and does not have the open interest.
    Zero,
    /// The packet or body carries no open interest, or no level, or no volume of a contract that was traded today.
    Untold,
}

/// Whether a quote lacks something that [`TradingDay::telling_of`] looks at.
#[inline]
pub(super) fn may_be_untold(quote: &Quote) -> bool {
    quote.volume.is_none() || quote.open_interest.is_none_or(|open_interest| open_interest == 0)
}

/// Quotes of a provider that told nothing, counted over the day.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UntoldQuotes {
    pub zeros: u64,
    pub absent: u64,
}

impl TradingDay {
    /// What a quote without open interest or volume, or with 0, says of it, against what the provider's track and the session before know.
    /// It cannot fall by more than was traded, counted from the end of the bucket before the last one, since it is published
    /// later than the volume.
    #[cold]
    pub(super) fn telling_of(
        &self,
        index: usize,
        provider: Provider,
        track: TrackView<'_>,
        quote: &Quote,
    ) -> Telling {
        if !self.slots[index].is_option() {
            return if quote.last_price.value().is_some() { Telling::Told } else { Telling::Untold };
        }
        let has_traded = track.latest.volume().is_some_and(|volume| volume > 0);
        if quote.open_interest.is_none() || quote.volume.is_none() && has_traded {
            return Telling::Untold;
        }
        let is_without_trade = quote.volume == Some(0) && quote.last_price.value().is_none();
        if is_without_trade && has_traded {
            return Telling::Blank;
        }
        let base = self.bases_before[index].or(self.contexts[index].base).map(|(base, _)| base);
        let known = track.latest.open_interest().or(quote.previous_open_interest).or(base).unwrap_or(0);
        if known <= 0 {
            return Telling::Told;
        }
        let Some(volume) = quote.volume.or(track.latest.volume()) else { return Telling::Zero };
        let before = self.buckets.index_of(quote.event_time).checked_sub(2);
        let at_end = before.and_then(|bucket| self.at_end(track, index, bucket));
        let traded = volume - at_end.and_then(|(value, _)| value.volume()).unwrap_or(0);
        let positions = match self.chains[self.contexts[index].chain as usize].class {
            ChainClass::Share | ChainClass::ExpiringShare => SHARE_POSITIONS,
            _ => INDEX_POSITIONS,
        };
        let is_believed = known <= traded
            && (known <= positions || self.is_settled_zero(index, provider, quote.event_time));
        if is_believed { Telling::Told } else { Telling::Zero }
    }

    /// Since when a provider shows 0 of a contract, and nothing else.
    fn zero_since(&self, index: usize, provider: Provider) -> Option<Timestamp> {
        let key = (provider, self.contexts[index].chain, index as u32);
        let since = *self.zeros.since.get(&key)?;
        let latest = self.track(provider, index).map(|track| track.latest.event_time());
        latest.is_none_or(|latest| latest <= since).then_some(since)
    }

    fn is_settled_zero(&self, index: usize, provider: Provider, stamp: Timestamp) -> bool {
        let Some(since) = self.zero_since(index, provider) else { return false };
        let chain = self.contexts[index].chain;
        let of_chain = self.zeros.since.range((provider, chain, 0)..=(provider, chain, u32::MAX));
        let others = of_chain.filter(|((.., slot), _)| self.zero_since(*slot as usize, provider).is_some());
        stamp.us_since(since) >= SETTLED_US.max(self.silence_min_us)
            && others.take(ZEROS_MAX + 1).count() <= ZEROS_MAX
    }

    /// A quote of the recorded provider without open interest, or with 0, whichever way it came: a packet, a body, an answer.
    #[cold]
    pub(super) fn observe_untold(
        &mut self,
        index: usize,
        arrival: &mut Arrival,
        quote: &Quote,
        rows: &mut Rows,
    ) {
        match self.telling_of(index, arrival.provider, self.own_track(index), quote) {
            Telling::Told => self.observe_told(index, arrival, quote, rows),
            telling => self.leave_untold(index, arrival.provider, (telling, quote.event_time), rows),
        }
    }

    /// A packet of a contract could not be read: what it brought is not known.
    pub fn note_unread(&mut self, slot: u32, provider: Provider, rows: &mut Rows) {
        self.mute_provider(slot as usize, provider, Timestamp::NEVER, rows);
    }

    /// Takes nothing of a quote.
    pub(super) fn leave_untold(
        &mut self,
        index: usize,
        provider: Provider,
        (telling, stamp): (Telling, Timestamp),
        rows: &mut Rows,
    ) {
        let untold = &mut self.untold[provider.index()];
        match telling {
            Telling::Told => return,
            Telling::Blank => return self.counters.blank += 1,
            Telling::Zero => {
                untold.zeros += 1;
                if self.zero_since(index, provider).is_none() {
                    let key = (provider, self.contexts[index].chain, index as u32);
                    self.zeros.since.insert(key, stamp);
                }
            }
            Telling::Untold => untold.absent += 1,
        }
        self.mute_provider(index, provider, Timestamp::NEVER, rows);
    }
}
