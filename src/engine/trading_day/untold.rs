//! Quotes that do not tell what a row is about: an option's open interest, an underlying's level.
//!
//! A source may send packets of a lower mode than subscribed, write 0 where it does not have the value, or a value that cannot be
//! ([`super::jumps`]). Such a quote is no evidence: nothing of it is taken, and until it tells the value again the source's stream
//! proves nothing of the contract.

use super::{
    Arrival, TradingDay,
    track::{Track, TrackView},
};
use crate::{
    engine::{observation::Observation, rows::Rows},
    market::{OiBase, Provider, Quote, Timestamp},
};

/// Whether a quote tells what its contract's rows are about.
enum Telling {
    Told,
    /// The source does not have the contract: volume and price are 0 too, and it had traded.
    Blank,
    /// It writes 0 and does not have the open interest.
    Zero,
    /// The packet or body carries no open interest, or no level.
    Untold,
    /// It tells a value that cannot have come of the one before.
    Jump {
        before: i64,
        after: i64,
    },
}

/// Quotes of a provider that told nothing, counted over the day.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UntoldQuotes {
    pub zeros: u64,
    pub absent: u64,
    pub jumps: u64,
}

impl TradingDay {
    /// What a quote says of what its rows are about, against what the provider's track and the session before know. Open interest
    /// cannot fall to 0 by more than was traded, counted from the end of the bucket before the last one, since it is published
    /// later than the volume.
    fn telling_of(&self, index: usize, track: TrackView<'_>, quote: &Quote) -> Telling {
        let is_option = self.slots[index].is_option();
        let is_absent = match is_option {
            true => quote.open_interest.is_none(),
            false => quote.last_price.value().is_none(),
        };
        if is_absent {
            return Telling::Untold;
        }
        if !is_option || quote.open_interest != Some(0) {
            let jump = self.jump_of(index, track, quote);
            return jump.map_or(Telling::Told, |(before, after)| Telling::Jump { before, after });
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

    /// Whether a quote that is not near what its provider said before is evidence, whichever way it came: a packet, a body, an
    /// answer. Of one that is none nothing is taken.
    #[cold]
    pub(super) fn is_told(
        &mut self,
        index: usize,
        arrival: &Arrival,
        quote: &Quote,
        rows: &mut Rows,
    ) -> bool {
        let provider = arrival.provider;
        let known = *self.others.get(provider, index).unwrap_or(&Track::default());
        let is_recorded = self.slots[index].is_open_to(provider);
        let track = if is_recorded { self.own_track(index) } else { known.view() };
        let latest = *track.latest;
        let telling = match self.telling_of(index, track, quote) {
            Telling::Told => self.withheld_telling(index, provider, &latest, quote),
            telling => telling,
        };
        let untold = &mut self.untold[provider.index()];
        match telling {
            Telling::Told => return true,
            Telling::Blank => {
                self.counters.blank += 1;
                return false;
            }
            Telling::Zero => {
                untold.zeros += 1;
                self.jumps.withhold(provider, index as u32, &latest, Some(0));
            }
            Telling::Untold => {
                untold.absent += 1;
                self.jumps.withhold(provider, index as u32, &latest, None);
            }
            Telling::Jump { before, after } => {
                if self.is_to_take_jump(index, provider, latest, quote, (before, after)) {
                    return true;
                }
                self.untold[provider.index()].jumps += 1;
            }
        }
        self.mute_provider(index, provider, Timestamp::NEVER, rows);
        false
    }

    /// The same of a value that could be by itself: it was withheld when it came, or too many contracts of the chain show 0.
    fn withheld_telling(
        &mut self,
        index: usize,
        provider: Provider,
        latest: &Observation,
        quote: &Quote,
    ) -> Telling {
        let (Some(before), Some(after)) = (latest.baseline(), quote.open_interest) else {
            return Telling::Told;
        };
        if quote.event_time < latest.event_time() {
            return Telling::Told;
        }
        let shown = (after, quote.volume.or(latest.volume()).unwrap_or(0));
        let is_withheld = self.jumps.is_withheld(provider, index as u32, latest, shown);
        match (after, before) {
            (0, 0) => Telling::Told,
            (0, _) if is_withheld => Telling::Zero,
            (0, _) => {
                let chain = self.contexts[index].chain;
                let is_natural = self.jumps.note_zero(provider, chain, index as u32, quote.event_time);
                if is_natural { Telling::Told } else { Telling::Zero }
            }
            _ if is_withheld => Telling::Jump { before, after },
            _ => Telling::Told,
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
