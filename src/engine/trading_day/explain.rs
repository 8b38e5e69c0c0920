//! What each provider knew of a contract at a bucket's end, and how that is proved: for questions why a row states what it
//! does.
//!
//! Reads what [`super::judge`] decides by, and changes nothing. The last bucket ends of a contract are kept and no more, so
//! it is asked between records, while the day goes on.

use super::{TradingDay, open_interest::OiContradiction, track::Proof};
use crate::{
    engine::observation::Observation,
    market::{Bucket, Provider, Timestamp},
};

/// One provider's knowledge of a contract at a bucket's end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EndEvidence {
    pub provider: Provider,
    /// Its values are recorded for the contract.
    pub is_recorded: bool,
    /// What it said last before the end.
    pub value: Option<Observation>,
    pub proof: Proof,
    /// Up to when its latest values, which may lie behind the end, are proved to hold.
    pub reach: Timestamp,
    /// What it said next, at or after the end: the stamp of its latest values.
    pub next: Option<Timestamp>,
    /// Its open interest is not believed, or it is not known whether it is to be.
    pub contradiction: Option<OiContradiction>,
}

impl TradingDay {
    /// The place of a bucket in the session.
    fn index_of_bucket(&self, bucket: Bucket) -> Option<usize> {
        let first = self.bucket(0).start();
        let index = self.buckets.index_of(bucket.start());
        (bucket.start() >= first && index < self.bucket_count).then_some(index)
    }

    /// Where the contract's trading ends within a bucket of the session, that instant; else the bucket's end.
    pub fn end_of_bucket(&self, slot: u32, bucket: Bucket) -> Option<Timestamp> {
        self.index_of_bucket(bucket).map(|index| self.end_of_slot(slot as usize, index))
    }

    /// What a provider knows of a contract at a bucket's end. `None` where it has said nothing of the contract, or where what
    /// it knew is not kept any more.
    pub fn end_evidence(&self, slot: u32, bucket: Bucket, provider: Provider) -> Option<EndEvidence> {
        let (slot, index) = (slot as usize, self.index_of_bucket(bucket)?);
        let track = self.track(provider, slot)?;
        if track.latest.is_empty() || track.ends.is_forgotten(index) {
            return None;
        }
        let end = self.end_of_slot(slot, index);
        let latest = track.latest.event_time();
        let reach = self.reach(track, slot);
        let known = self.at_end(track, slot, index);
        Some(EndEvidence {
            provider,
            is_recorded: self.slots[slot].provider() == Some(provider),
            value: known.map(|(value, _)| value),
            proof: known.map_or(Proof::None, |(_, proof)| proof),
            reach,
            next: (latest >= end).then_some(latest),
            contradiction: self.contradiction_at(slot, provider, end),
        })
    }
}
