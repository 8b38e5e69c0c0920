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

    /// Those of a slot's buckets, in their order.
    pub fn of(&self, slot: usize) -> &[BucketMark] {
        &self.all[slot * self.bucket_count..(slot + 1) * self.bucket_count]
    }

    pub fn of_mut(&mut self, slot: usize) -> &mut [BucketMark] {
        &mut self.all[slot * self.bucket_count..(slot + 1) * self.bucket_count]
    }
}
