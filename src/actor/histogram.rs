//! How long something takes, counted without locks.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

/// Buckets for each doubling: a quantile is at most a quarter too high.
const STEPS: usize = 4;
const STEP_BITS: u32 = STEPS.trailing_zeros();
/// From 0 to 2^32 microseconds, over an hour; what is longer counts as that.
const BUCKETS: usize = STEPS * 32;

/// Written and read by anyone.
#[derive(Debug)]
pub(super) struct Histogram {
    counts: [AtomicU64; BUCKETS],
}

impl Default for Histogram {
    fn default() -> Histogram {
        Histogram { counts: [const { AtomicU64::new(0) }; BUCKETS] }
    }
}

impl Histogram {
    pub fn count(&self, span: Duration) {
        let us = u64::try_from(span.as_micros()).unwrap_or(u64::MAX);
        self.counts[bucket_of(us)].fetch_add(1, Relaxed);
    }

    /// The spans that half and 99 of 100 do not exceed; `None` before the first.
    pub fn quantiles(&self) -> Option<Quantiles> {
        let counts: [u64; BUCKETS] = std::array::from_fn(|bucket| self.counts[bucket].load(Relaxed));
        let total: u64 = counts.iter().sum();
        let at = |share: f64| {
            let rank = ((total as f64 * share).ceil() as u64).max(1);
            let mut seen = 0;
            let bucket = counts.iter().position(|count| {
                seen += count;
                seen >= rank
            });
            Duration::from_micros(end_of(bucket.unwrap_or(BUCKETS - 1)))
        };
        (total > 0).then(|| Quantiles { count: total, p50: at(0.5), p99: at(0.99) })
    }
}

/// What [`Histogram`] gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quantiles {
    pub count: u64,
    pub p50: Duration,
    pub p99: Duration,
}

/// The first buckets hold one microsecond each, then every doubling is cut into `STEPS`.
fn bucket_of(us: u64) -> usize {
    if us < STEPS as u64 {
        return us as usize;
    }
    let doubling = us.ilog2() - STEP_BITS;
    let step = (us >> doubling) as usize & (STEPS - 1);
    ((doubling as usize + 1) * STEPS + step).min(BUCKETS - 1)
}

/// The highest microsecond of a bucket.
fn end_of(bucket: usize) -> u64 {
    let (row, step) = (bucket / STEPS, (bucket % STEPS) as u64);
    match row.checked_sub(1) {
        None => step,
        Some(doubling) => ((STEPS as u64 + step + 1) << doubling) - 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn quantiles_are_those_of_what_was_counted() {
        let histogram = Histogram::default();
        assert_eq!(histogram.quantiles(), None);
        for us in 1..=1_000 {
            histogram.count(Duration::from_micros(us));
        }
        let Quantiles { count, p50, p99 } = histogram.quantiles().expect("a thousand were counted");
        assert_eq!(count, 1_000);
        assert!((500..=625).contains(&p50.as_micros()), "{p50:?}");
        assert!((990..=1_240).contains(&p99.as_micros()), "{p99:?}");
    }

    proptest! {
        #[test]
        fn a_bucket_ends_at_most_a_quarter_above_what_it_holds(us in 0_u64..1 << 32) {
            let end = end_of(bucket_of(us));
            prop_assert!(end >= us && end <= us + us / 4, "{us} {end}");
        }
    }
}
