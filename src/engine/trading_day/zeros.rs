//! Zeros that are none: a source writes 0 where it does not have the value.

use super::{Arrival, TradingDay, track::TrackView};
use crate::{
    engine::rows::Rows,
    market::{OiBase, Quote},
};

/// What an open interest of 0 says.
pub(super) enum Zero {
    /// There is none.
    Told,
    /// The source does not have the contract: volume and price are 0 too, and it had traded.
    Blank,
    /// The source does not have the open interest.
    Untold,
}

impl TradingDay {
    /// What a quote with an open interest of 0 says of it, against what the provider's track knows. It cannot fall by more than was
    /// traded, counted from the end of the bucket before the last one, since it is published later than the volume.
    #[cold]
    pub(super) fn zero_of(&self, index: usize, track: TrackView<'_>, quote: &Quote) -> Zero {
        let is_without_trade = quote.volume == Some(0) && quote.last_price.value().is_none();
        if is_without_trade && track.latest.volume().is_some_and(|volume| volume > 0) {
            return Zero::Blank;
        }
        let known = track.latest.open_interest().unwrap_or(0);
        let Some(volume) = quote.volume.or(track.latest.volume()) else {
            return if known > 0 { Zero::Untold } else { Zero::Told };
        };
        let before = self.buckets.index_of(quote.event_time).checked_sub(2);
        let at_end = before.and_then(|bucket| self.at_end(track, index, bucket));
        let traded = volume - at_end.and_then(|(value, _)| value.volume()).unwrap_or(0);
        if known > traded { Zero::Untold } else { Zero::Told }
    }

    /// A quote of the recorded provider with an open interest of 0, whichever way it came: a packet, a body, an answer.
    #[cold]
    pub(super) fn observe_zero(
        &mut self,
        index: usize,
        arrival: &mut Arrival,
        quote: &Quote,
        rows: &mut Rows,
    ) {
        match self.zero_of(index, self.own_track(index), quote) {
            Zero::Told => self.observe_told(index, arrival, quote, rows),
            Zero::Blank => self.counters.blank += 1,
            Zero::Untold => {
                self.untold_zeros[arrival.provider.index()] += 1;
                let told = Quote { open_interest: None, ..*quote };
                self.observe_told(index, arrival, &told, rows);
            }
        }
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
