//! What one provider said of one contract: its latest values, how far these reach, and what it knew at the last bucket ends.
//!
//! The recorded provider's track lies in the day's tables by slot, because the tick path is bound by memory; those of the
//! others lie in [`Others`], one table a provider, made when it first brings something that is not recorded.

use super::epoch::Epochs;
use crate::{
    engine::observation::Observation,
    market::{Provider, Quote, Timestamp},
};

/// How a provider's last values before an instant are known to be those at the instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Proof {
    /// It is not known what happened between them and the instant.
    None,
    /// The next snapshot came within the channel's cadence: to its precision they are.
    Bridged,
    /// Nothing happened between them and the instant.
    Full,
}

/// As many bucket ends as evidence may be late for, and one more.
const ENDS_KEPT: usize = 4;
const NEVER: u16 = u16::MAX;

/// What a provider knew at the last bucket ends before its latest values.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ends {
    values: [Observation; ENDS_KEPT],
    buckets: [u16; ENDS_KEPT],
    proofs: [Proof; ENDS_KEPT],
}

impl Default for Ends {
    fn default() -> Ends {
        Ends {
            values: [Observation::default(); ENDS_KEPT],
            buckets: [NEVER; ENDS_KEPT],
            proofs: [Proof::None; ENDS_KEPT],
        }
    }
}

impl Ends {
    /// A bucket's end has passed. The one [`ENDS_KEPT`] before is forgotten.
    #[inline]
    pub fn pass(&mut self, bucket: usize, value: &Observation, proof: Proof) {
        let at = bucket % ENDS_KEPT;
        (self.values[at], self.buckets[at], self.proofs[at]) = (*value, bucket as u16, proof);
    }

    pub fn get(&self, bucket: usize) -> Option<(&Observation, Proof)> {
        let at = bucket % ENDS_KEPT;
        (usize::from(self.buckets[at]) == bucket).then(|| (&self.values[at], self.proofs[at]))
    }

    /// Whether what was known at a bucket's end is not kept any more.
    pub fn is_forgotten(&self, bucket: usize) -> bool {
        let kept = self.buckets[bucket % ENDS_KEPT];
        kept != NEVER && usize::from(kept) > bucket
    }

    /// Takes values that lie before the latest ones, whose bucket is `latest_bucket`: they are what was known at the ends
    /// after them. `proof` says how they are proved there if they are of another trade than what was known; `None`: as what was
    /// known. False where that is not older.
    pub fn take_late(
        &mut self,
        (bucket, latest_bucket): (usize, usize),
        provider: Provider,
        quote: &Quote,
        received: Timestamp,
        latest_volume: Option<i64>,
        proof: impl Fn(usize) -> Option<Proof>,
    ) -> bool {
        let is_of_later_copy = quote.volume.zip(latest_volume).is_some_and(|(late, latest)| late > latest);
        if is_of_later_copy {
            return false;
        }
        let mut is_taken = false;
        for bucket in bucket..latest_bucket {
            if self.is_forgotten(bucket) {
                continue;
            }
            let at = bucket % ENDS_KEPT;
            if usize::from(self.buckets[at]) != bucket {
                self.pass(bucket, &Observation::default(), Proof::None);
            }
            let value = &mut self.values[at];
            // A later stamp with less volume than an earlier one is of an older copy.
            if value.event_time() <= quote.event_time
                && !(quote.volume.is_some() && quote.volume < value.volume())
            {
                if value.volume() != quote.volume
                    && let Some(proof) = proof(bucket)
                {
                    self.proofs[at] = proof;
                }
                value.take(provider, quote, received, true);
                is_taken = true;
            }
        }
        is_taken
    }
}

/// See the module's head.
#[derive(Clone, Copy, Debug)]
pub(super) struct Track {
    pub latest: Observation,
    /// As [`super::slot::Slot::spoken`].
    pub spoken: u16,
    /// Up to when the latest values are proved otherwise than by their stamp or the stream.
    pub proved_until: Timestamp,
    pub ends: Ends,
}

impl Default for Track {
    fn default() -> Track {
        Track {
            latest: Observation::default(),
            spoken: 0,
            proved_until: Timestamp::NEVER,
            ends: Ends::default(),
        }
    }
}

impl Track {
    pub fn view(&self) -> TrackView<'_> {
        let Track { latest, spoken, proved_until, ends } = self;
        TrackView { latest, spoken: *spoken, proved_until: *proved_until, ends }
    }
}

/// A track, wherever it is kept.
#[derive(Clone, Copy, Debug)]
pub(super) struct TrackView<'a> {
    pub latest: &'a Observation,
    pub spoken: u16,
    pub proved_until: Timestamp,
    pub ends: &'a Ends,
}

impl TrackView<'_> {
    /// Up to when the provider proves the latest values.
    pub fn witness_end(&self, epochs: &Epochs) -> Timestamp {
        self.latest.event_time().max(self.proved_until).max(epochs.get(self.spoken).live_until)
    }

    pub fn to_track(self) -> Track {
        let TrackView { latest, spoken, proved_until, ends } = self;
        Track { latest: *latest, spoken, proved_until, ends: *ends }
    }
}

/// Tracks of the providers that are not recorded, by provider and slot.
#[derive(Clone, Debug, Default)]
pub(super) struct Others {
    tables: [Vec<Track>; Provider::ALL.len()],
}

impl Others {
    pub fn is_empty(&self) -> bool {
        self.tables.iter().all(Vec::is_empty)
    }

    pub fn get(&self, provider: Provider, slot: usize) -> Option<&Track> {
        self.tables[provider.index()].get(slot).filter(|track| !track.latest.is_empty())
    }

    pub fn reach(&mut self, provider: Provider, slot: usize) -> &mut Track {
        let table = &mut self.tables[provider.index()];
        if table.len() <= slot {
            table.resize(slot + 1, Track::default());
        }
        &mut table[slot]
    }
}
