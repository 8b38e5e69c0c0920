//! What one provider said of one contract: its latest values, how far these reach, and what it knew at the last bucket ends.
//!
//! The recorded provider's track lies in the day's tables by slot, because the tick path is bound by memory; those of the
//! others lie in [`Others`], one table a provider, made when it first brings something that is not recorded.

use crate::{
    engine::observation::Observation,
    market::{Provider, Quote, Timestamp},
};
use std::cmp::Ordering;

/// How a provider's last values before an instant are known to be those at the instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// It is not known what happened between them and the instant.
    None,
    /// The next snapshot came within the channel's cadence: to its precision they are.
    Bridged,
    /// Nothing happened between them and the instant.
    Full,
}

/// As many different values at bucket ends as evidence may be late for, and one more.
const RUNS_KEPT: usize = 4;

/// Buckets at whose ends the same was known.
#[derive(Clone, Copy, Debug)]
struct Run {
    first: u16,
    last: u16,
    proof: Proof,
}

/// What a provider knew at the last bucket ends before its latest values: the last [`RUNS_KEPT`] runs, oldest first. What another
/// provider shows later than that, such as a website's body of a quarter of an hour ago, is not held against a row any more.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ends {
    values: [Observation; RUNS_KEPT],
    runs: [Run; RUNS_KEPT],
    kept: u8,
    /// Buckets before this one are forgotten.
    forgotten: u16,
    /// How volume last changed from one end to the next, each way; that is kept when the values are forgotten.
    grew: Change,
    fell: Change,
}

/// The volumes and the stamps of two ends.
#[derive(Clone, Copy, Debug)]
struct Change {
    volume_before: i64,
    /// Of growth the stamp before it, of a fall the one after.
    stamp: Timestamp,
}

const NO_CHANGE: Change = Change { volume_before: i64::MIN, stamp: Timestamp::NEVER };

// In the day's tables, one a contract.
const _: () = assert!(size_of::<Ends>() == 320);

impl Default for Ends {
    fn default() -> Ends {
        let run = Run { first: 0, last: 0, proof: Proof::None };
        Ends {
            values: [Observation::default(); RUNS_KEPT],
            runs: [run; RUNS_KEPT],
            kept: 0,
            forgotten: 0,
            grew: NO_CHANGE,
            fell: NO_CHANGE,
        }
    }
}

impl Ends {
    /// A bucket's end has passed, later than those before.
    #[inline]
    pub fn pass(&mut self, bucket: usize, value: &Observation, proof: Proof) {
        self.push(value, Run { first: bucket as u16, last: bucket as u16, proof });
    }

    fn push(&mut self, value: &Observation, run: Run) {
        let kept = usize::from(self.kept);
        if let Some(newest) = self.runs[..kept].last_mut()
            && newest.proof == run.proof
            && newest.last + 1 == run.first
            && self.values[kept - 1] == *value
        {
            newest.last = run.last;
            return;
        }
        if let Some(newest) = self.values[..kept].last()
            && let (Some(volume_before), Some(volume)) = (newest.volume(), value.volume())
        {
            match volume.cmp(&volume_before) {
                Ordering::Greater => self.grew = Change { volume_before, stamp: newest.event_time() },
                Ordering::Less => self.fell = Change { volume_before, stamp: value.event_time() },
                Ordering::Equal => {}
            }
        }
        let at = if kept == RUNS_KEPT {
            self.forgotten = self.runs[0].last + 1;
            self.values.copy_within(1.., 0);
            self.runs.copy_within(1.., 0);
            kept - 1
        } else {
            self.kept += 1;
            kept
        };
        (self.values[at], self.runs[at]) = (*value, run);
    }

    /// What was known at the ends of this bucket and of those after it proves nothing; the latest values are those of before.
    pub fn take_back(&mut self, from: usize) {
        let is_kept = |run: &&Run| usize::from(run.first) < from;
        self.kept = self.runs[..usize::from(self.kept)].iter().take_while(is_kept).count() as u8;
        if let Some(newest) = self.runs[..usize::from(self.kept)].last_mut() {
            newest.last = newest.last.min((from - 1) as u16);
        }
        self.forgotten = self.forgotten.min(from as u16);
    }

    /// What was known with less volume than this at the ends of a bucket and of those after it is proved no more.
    pub fn unprove(&mut self, bucket: usize, volume: i64) {
        self.unprove_each(bucket, |of| of < volume);
    }

    /// The same with more volume.
    pub fn unprove_more(&mut self, bucket: usize, volume: i64) {
        self.unprove_each(bucket, |of| of > volume);
    }

    fn unprove_each(&mut self, bucket: usize, is_meant: impl Fn(i64) -> bool) {
        let Ends { forgotten, grew, fell, kept, .. } = *self;
        let is_meant = |value: &Observation| value.volume().is_some_and(&is_meant);
        let kept = usize::from(kept);
        let is_proved = |at: usize| {
            let run = self.runs[at];
            bucket <= usize::from(run.last) && run.proof != Proof::None && is_meant(&self.values[at])
        };
        if !(0..kept).any(is_proved) {
            return;
        }
        let mut changed = Ends { forgotten, grew, fell, ..Ends::default() };
        for (value, run) in self.values[..kept].iter().zip(&self.runs[..kept]) {
            for end in usize::from(run.first)..=usize::from(run.last) {
                let proof = if end >= bucket && is_meant(value) { Proof::None } else { run.proof };
                changed.pass(end, value, proof);
            }
        }
        *self = changed;
    }

    pub fn get(&self, bucket: usize) -> Option<(&Observation, Proof)> {
        let kept = &self.runs[..usize::from(self.kept)];
        let is_of = |run: &Run| usize::from(run.first) <= bucket && bucket <= usize::from(run.last);
        let at = kept.iter().rposition(is_of)?;
        Some((&self.values[at], self.runs[at].proof))
    }

    /// Whether less volume was said than at an end before, or it went on growing to this after `since`: more than once, since one
    /// that stands still may go over to a newer copy.
    pub fn counts_otherwise(&self, less: &Observation, since: Timestamp) -> bool {
        let Some(volume) = less.volume() else { return false };
        let Change { volume_before, stamp } = self.fell;
        let has_fallen = volume < volume_before && stamp <= less.event_time();
        let kept = self.values[..usize::from(self.kept)].iter();
        let mut earlier = kept
            .filter(|value| value.event_time() < less.event_time())
            .map(|value| (value.volume().unwrap_or(0), value.event_time()));
        let grew = Some((self.grew.volume_before, self.grew.stamp));
        let grew =
            grew.filter(|(before, stamp)| *before != NO_CHANGE.volume_before && *stamp < less.event_time());
        let mut grown_from = earlier
            .clone()
            .chain(grew)
            .filter(|(before, stamp)| *before < volume && since < *stamp)
            .map(|(before, _)| before);
        let first = grown_from.next();
        let has_grown = first.is_some_and(|first| grown_from.any(|before| before != first));
        has_fallen || has_grown || earlier.any(|(before, _)| before > volume)
    }

    /// What was known at the first of the kept ends of this bucket and of those after it.
    pub fn first_since(&self, bucket: usize) -> Option<&Observation> {
        let kept = &self.runs[..usize::from(self.kept)];
        let at = kept.iter().position(|run| bucket <= usize::from(run.last))?;
        Some(&self.values[at])
    }

    /// Whether what was known at a bucket's end is not kept any more.
    pub fn is_forgotten(&self, bucket: usize) -> bool {
        bucket < usize::from(self.forgotten)
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
        let Ends { forgotten, grew, fell, .. } = *self;
        let mut changed = Ends { forgotten, grew, fell, ..Ends::default() };
        let mut is_taken = false;
        let first = match self.kept {
            0 => bucket,
            _ => bucket.min(usize::from(self.runs[0].first)),
        };
        for end in first..latest_bucket {
            let known = self.get(end).map(|(value, proof)| (*value, proof));
            if end < bucket || self.is_forgotten(end) {
                known.iter().for_each(|(value, proof)| changed.pass(end, value, *proof));
                continue;
            }
            let (mut value, mut how) = known.unwrap_or((Observation::default(), Proof::None));
            // A later stamp with less volume than an earlier one is of an older copy, whichever of them was said late.
            let is_older_copy = quote.volume.is_some() && quote.volume < value.volume();
            let refutes = value.volume().is_some() && value.volume() < quote.volume;
            if refutes || value.event_time() <= quote.event_time && !is_older_copy {
                if value.volume() != quote.volume {
                    how = proof(end).unwrap_or(how);
                }
                value.take(provider, quote, received, true);
                is_taken = true;
            }
            if !value.is_empty() {
                changed.pass(end, &value, how);
            }
        }
        if is_taken {
            *self = changed;
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
    /// Up to when the latest values are proved otherwise than by their stream.
    pub fn stated_until(&self) -> Timestamp {
        self.latest.event_time().max(self.proved_until)
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

    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut Track> {
        self.tables.iter_mut().flatten()
    }

    pub fn forget_baselines(&mut self) {
        self.iter_mut().for_each(|track| track.latest.forget_baseline());
    }

    pub fn reach(&mut self, provider: Provider, slot: usize) -> &mut Track {
        let table = &mut self.tables[provider.index()];
        if table.len() <= slot {
            table.resize(slot + 1, Track::default());
        }
        &mut table[slot]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::market::{Price, Told};
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    const BUCKET_S: i64 = 180;

    fn quote(second: i64, volume: i64) -> Quote {
        Quote {
            event_time: Timestamp::from_us(0).plus_seconds(second),
            last_price: Told::Value(Price::from_e4(volume)),
            volume: Some(volume),
            ..Quote::default()
        }
    }

    fn observation(second: i64, volume: i64) -> Observation {
        let mut observation = Observation::default();
        let quote = quote(second, volume);
        observation.take(Provider::Nse, &quote, quote.event_time, true);
        observation
    }

    proptest! {
        /// Seconds at which something is said, in order; each time a quarter of them late.
        #[test]
        fn ends_are_those_of_all_that_was_said(
            steps in prop::collection::vec((1_i64..700, prop::sample::select(vec![Proof::None, Proof::Bridged, Proof::Full])), 1..40),
            late_s in 0_i64..900,
        ) {
            let mut ends = Ends::default();
            let mut model: BTreeMap<usize, (Observation, Proof)> = BTreeMap::new();
            let mut second = 0;
            let mut latest = observation(0, 0);
            for (step, proof) in steps {
                let before = (second / BUCKET_S) as usize;
                second += step;
                let bucket = (second / BUCKET_S) as usize;
                for end in before..bucket {
                    ends.pass(end, &latest, proof);
                    model.insert(end, (latest, proof));
                }
                latest = observation(second, second);
            }
            // What was true at an earlier second, told late.
            let late = quote((second - late_s).max(0), (second - late_s).max(0));
            let (from, until) = ((late.event_time.as_us() / 1_000_000 / BUCKET_S) as usize, (second / BUCKET_S) as usize);
            ends.take_late((from, until), Provider::Nse, &late, late.event_time, latest.volume(), |_| Some(Proof::Full));
            for end in from..until {
                if let Some((value, proof)) = model.get_mut(&end)
                    && value.volume() < late.volume
                {
                    *value = observation(late.event_time.as_us() / 1_000_000, late.volume.expect("it has one"));
                    *proof = Proof::Full;
                }
            }
            for (end, (value, proof)) in &model {
                match ends.get(*end) {
                    Some((kept, how)) => {
                        prop_assert_eq!((kept.volume(), kept.event_time(), how), (value.volume(), value.event_time(), *proof), "{}", end);
                    }
                    None => prop_assert!(ends.is_forgotten(*end), "{} is neither kept nor forgotten", end),
                }
            }
            prop_assert!(!ends.is_forgotten((second / BUCKET_S) as usize));
        }
    }
}
