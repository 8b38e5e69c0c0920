//! How long to wait before a failed child is started again.

use rand::{Rng, RngExt};
use std::{collections::VecDeque, time::Duration};

/// Doubling delays with a cap and jitter, forgotten after a healthy while.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Backoff {
    /// The delay after the first failure.
    pub base: Duration,
    pub cap: Duration,
    /// Share of the delay that chance may add or take away: 0.2 is a fifth either way. 0 to 1.
    pub jitter: f64,
    /// An incarnation that lived this long starts the count again.
    pub reset_after: Duration,
}

impl Default for Backoff {
    fn default() -> Backoff {
        Backoff {
            base: Duration::from_millis(50),
            cap: Duration::from_secs(30),
            jitter: 0.2,
            reset_after: Duration::from_secs(60),
        }
    }
}

impl Backoff {
    /// The delay after `failures` failures in a row; 1 is the first.
    pub fn delay(&self, failures: u32, rng: &mut impl Rng) -> Duration {
        // Beyond 2^32 times the base any cap is reached.
        let factor = 1_u64 << failures.saturating_sub(1).min(32);
        let plain_us = self.base.as_micros().saturating_mul(u128::from(factor)).min(self.cap.as_micros());
        let spread = 1.0 + self.jitter * (rng.random::<f64>() * 2.0 - 1.0);
        Duration::from_micros(u64::try_from(plain_us).unwrap_or(u64::MAX)).mul_f64(spread.max(0.0))
    }
}

/// Failures beyond so many make no delay longer: 2^32 times any base is beyond any cap.
const FAILURES_MAX: usize = 34;

/// One child's failures in a row, by incarnation.
#[derive(Clone, Debug, Default)]
pub(super) struct FailureRun {
    failures: VecDeque<u64>,
}

impl FailureRun {
    /// Notes the failure of an incarnation that lived for `lived`; returns the delay before the next.
    pub fn note(
        &mut self,
        backoff: &Backoff,
        incarnation: u64,
        lived: Duration,
        rng: &mut impl Rng,
    ) -> Duration {
        self.forget(backoff, lived);
        if self.failures.len() == FAILURES_MAX {
            self.failures.pop_front();
        }
        self.failures.push_back(incarnation);
        backoff.delay(self.failures.len() as u32, rng)
    }

    /// Notes the failure of an incarnation that lived for `lived` and that, with `earlier`, condemned an item: neither
    /// counts, and the next start comes as after a first failure.
    pub fn forgive(
        &mut self,
        backoff: &Backoff,
        earlier: u64,
        lived: Duration,
        rng: &mut impl Rng,
    ) -> Duration {
        self.forget(backoff, lived);
        self.failures.retain(|incarnation| *incarnation != earlier);
        backoff.delay(1, rng)
    }

    fn forget(&mut self, backoff: &Backoff, lived: Duration) {
        if lived >= backoff.reset_after {
            self.failures.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    #[test]
    fn doubles_up_to_the_cap_and_starts_again_after_a_healthy_while() {
        let backoff = Backoff { jitter: 0.0, ..Backoff::default() };
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let mut run = FailureRun::default();
        let delays: Vec<u128> =
            (1..=12).map(|number| run.note(&backoff, number, Duration::ZERO, &mut rng).as_millis()).collect();
        assert_eq!(delays, [50, 100, 200, 400, 800, 1600, 3200, 6400, 12800, 25600, 30000, 30000]);
        assert_eq!(run.note(&backoff, 13, backoff.reset_after, &mut rng).as_millis(), 50);
    }

    #[test]
    fn a_verdict_takes_its_deaths_out_of_the_run() {
        let backoff = Backoff { jitter: 0.0, ..Backoff::default() };
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let mut run = FailureRun::default();
        let (short, mut delay_ms) = (Duration::ZERO, Vec::new());
        for number in 1..=3 {
            delay_ms.push(run.note(&backoff, number, short, &mut rng).as_millis());
        }
        delay_ms.push(run.forgive(&backoff, 3, short, &mut rng).as_millis());
        delay_ms.push(run.note(&backoff, 5, short, &mut rng).as_millis());
        assert_eq!(delay_ms, [50, 100, 200, 50, 200]);
    }

    proptest! {
        #[test]
        fn jitter_stays_within_its_share(seed: u64, failures in 1_u32..80) {
            let backoff = Backoff::default();
            let plain = Backoff { jitter: 0.0, ..backoff }.delay(failures, &mut ChaCha8Rng::seed_from_u64(0));
            let delay = backoff.delay(failures, &mut ChaCha8Rng::seed_from_u64(seed));
            prop_assert!(delay >= plain.mul_f64(0.799) && delay <= plain.mul_f64(1.201), "{plain:?} {delay:?}");
            prop_assert_eq!(delay, backoff.delay(failures, &mut ChaCha8Rng::seed_from_u64(seed)));
        }
    }
}
