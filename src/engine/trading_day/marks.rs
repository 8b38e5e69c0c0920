//! What is claimed of every bucket, by slot and bucket.

use crate::engine::coverage::BucketMark;

#[derive(Clone, Debug)]
pub(super) struct Marks {
    bucket_count: usize,
    all: Vec<BucketMark>,
}

impl Marks {
    pub fn new(bucket_count: usize) -> Marks {
        Marks { bucket_count, all: Vec::new() }
    }

    pub fn add_slot(&mut self) {
        self.all.resize(self.all.len() + self.bucket_count, BucketMark::default());
    }

    /// The buckets of every slot are so many from now on: those at the end are new, or were never claimed.
    pub fn set_bucket_count(&mut self, bucket_count: usize) {
        if bucket_count == self.bucket_count {
            return;
        }
        let kept = self.bucket_count.min(bucket_count);
        let new = std::iter::repeat_n(BucketMark::default(), bucket_count - kept);
        let of_slots = self.all.chunks_exact(self.bucket_count.max(1));
        let all = of_slots.flat_map(|marks| marks[..kept].iter().copied().chain(new.clone()));
        (self.all, self.bucket_count) = (all.collect(), bucket_count);
    }

    /// Those of a slot's buckets, in their order.
    pub fn of(&self, slot: usize) -> &[BucketMark] {
        &self.all[slot * self.bucket_count..(slot + 1) * self.bucket_count]
    }

    pub fn of_mut(&mut self, slot: usize) -> &mut [BucketMark] {
        &mut self.all[slot * self.bucket_count..(slot + 1) * self.bucket_count]
    }
}
