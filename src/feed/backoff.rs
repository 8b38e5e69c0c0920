//! How long to wait before trying again.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::time::Duration;

/// Doubles from `first` to `longest`; each wait is drawn between half of that and the whole, so that sockets lost
/// together do not come back together.
#[derive(Debug)]
pub(super) struct Backoff {
    first: Duration,
    longest: Duration,
    failures: u32,
    rng: ChaCha8Rng,
}

impl Backoff {
    pub fn new(first: Duration, longest: Duration, seed: u64) -> Backoff {
        Backoff { first, longest, failures: 0, rng: ChaCha8Rng::seed_from_u64(seed) }
    }

    pub fn reset(&mut self) {
        self.failures = 0;
    }

    /// Counts a failure and says how long to wait after it.
    pub fn next_wait(&mut self) -> Duration {
        let whole = self.first.saturating_mul(1 << self.failures.min(20)).min(self.longest);
        self.failures = self.failures.saturating_add(1);
        whole.mul_f64(self.rng.random_range(0.5..=1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest_and_start_over() {
        let mut backoff = Backoff::new(Duration::from_millis(500), Duration::from_secs(30), 7);
        for whole_ms in [500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000] {
            let wait = backoff.next_wait();
            let whole = Duration::from_millis(whole_ms);
            assert!(whole / 2 <= wait && wait <= whole, "{wait:?} of {whole:?}");
        }
        backoff.reset();
        assert!(backoff.next_wait() <= Duration::from_millis(500));
    }
}
