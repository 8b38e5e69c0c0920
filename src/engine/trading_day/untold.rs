//! Quotes that do not tell what a row is about: an option's open interest, an underlying's level.
//!
//! A source may send packets of a lower mode than subscribed, or write 0 where it does not have the value. Such a quote is no
//! evidence: nothing of it is taken, and until it tells the value again the source's stream proves nothing of the contract.

use super::{Arrival, TradingDay, track::TrackView};
use crate::{
    engine::rows::Rows,
    market::{OiBase, Provider, Quote, Timestamp},
};

/// Whether a quote tells what its contract's rows are about.
pub(super) enum Telling {
    Told,
    /// The source does not have the contract: volume and price are 0 too, and it had traded.
    Blank,
    /// It writes 0 and does not have the open interest.
    Zero,
    /// The packet or body carries no open interest, or no level.
    Untold,
}

/// Quotes of a provider that told nothing, counted over the day.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UntoldQuotes {
    pub zeros: u64,
    pub absent: u64,
}

impl TradingDay {
    /// What a quote without open interest, or with 0, says of it, against what the provider's track and the session before know.
    /// It cannot fall by more than was traded, counted from the end of the bucket before the last one, since it is published
    /// later than the volume.
    #[cold]
    pub(super) fn telling_of(&self, index: usize, track: TrackView<'_>, quote: &Quote) -> Telling {
        if !self.slots[index].is_option() {
            return if quote.last_price.value().is_some() { Telling::Told } else { Telling::Untold };
        }
        if quote.open_interest.is_none() {
            return Telling::Untold;
        }
        let is_without_trade = quote.volume == Some(0) && quote.last_price.value().is_none();
        if is_without_trade && track.latest.volume().is_some_and(|volume| volume > 0) {
            return Telling::Blank;
        }
        let base = self.bases_before[index].or(self.contexts[index].base).map(|(base, _)| base);
        let known = track.latest.open_interest().or(quote.previous_open_interest).or(base).unwrap_or(0);
        let Some(volume) = quote.volume.or(track.latest.volume()) else {
            return if known > 0 { Telling::Zero } else { Telling::Told };
        };
        let before = self.buckets.index_of(quote.event_time).checked_sub(2);
        let at_end = before.and_then(|bucket| self.at_end(track, index, bucket));
        let traded = volume - at_end.and_then(|(value, _)| value.volume()).unwrap_or(0);
        if known > traded { Telling::Zero } else { Telling::Told }
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
        match self.telling_of(index, self.own_track(index), quote) {
            Telling::Told => self.observe_told(index, arrival, quote, rows),
            telling => self.leave_untold(index, arrival.provider, &telling, rows),
        }
    }

    /// Takes nothing of a quote.
    pub(super) fn leave_untold(
        &mut self,
        index: usize,
        provider: Provider,
        telling: &Telling,
        rows: &mut Rows,
    ) {
        let untold = &mut self.untold[provider.index()];
        match telling {
            Telling::Told => return,
            Telling::Blank => return self.counters.blank += 1,
            Telling::Zero => untold.zeros += 1,
            Telling::Untold => untold.absent += 1,
        }
        self.mute_provider(index, provider, Timestamp::NEVER, rows);
    }

    /// The base that a quote names. Before the open a source may show the day before's.
    #[inline(always)]
    pub(super) fn take_base(&mut self, index: usize, quote: &Quote) {
        if let Some(previous) = quote.previous_open_interest
            && quote.event_time >= self.hours.open
        {
            self.set_base(index as u32, previous, OiBase::Provider);
        }
    }
}
