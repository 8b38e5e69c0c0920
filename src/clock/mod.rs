//! The one source of time: the machine's clock, or a simulated day played at a multiple of real time.
//!
//! Everything that sleeps, schedules or stamps takes a [`Clock`]; nothing else in bhavd reads the wall clock. A
//! simulated clock is fixed by three numbers (what it showed, at which real instant, how fast it runs), so that
//! separate processes given the same numbers agree on the time.
//!
//! Left out: timers with callbacks. Callers await [`Clock::sleep_until`].

mod thread_time;

pub use thread_time::ThreadTime;

use crate::market::Timestamp;
use std::{
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

/// A simulated clock's definition: at real time `real_start` it showed `start`, and since runs `speed` times as fast.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Simulation {
    pub start: Timestamp,
    pub real_start: Timestamp,
    /// Simulated seconds in a real one; greater than zero.
    pub speed: f64,
}

/// Cheap to clone; clones agree.
#[derive(Clone, Debug)]
pub struct Clock {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    /// Wall time and monotonic time read together once, so that a step of the machine's clock cannot turn a
    /// simulated day back.
    anchor_wall: Timestamp,
    anchor: Instant,
    simulation: Option<Simulation>,
}

impl Clock {
    pub fn system() -> Clock {
        Self::with(None)
    }

    pub fn simulated(simulation: Simulation) -> Clock {
        Self::with(Some(simulation))
    }

    fn with(simulation: Option<Simulation>) -> Clock {
        let inner = Inner { anchor_wall: real_now(), anchor: Instant::now(), simulation };
        Clock { inner: Arc::new(inner) }
    }

    pub fn simulation(&self) -> Option<Simulation> {
        self.inner.simulation
    }

    pub fn now(&self) -> Timestamp {
        let Some(simulation) = self.inner.simulation else {
            return real_now();
        };
        let real = self.inner.anchor_wall.plus_us(as_us(self.inner.anchor.elapsed()));
        let elapsed_us = real.us_since(simulation.real_start) as f64 * simulation.speed;
        simulation.start.plus_us(elapsed_us as i64)
    }

    /// How long really passes while `span` passes on this clock.
    pub fn real_span(&self, span: Duration) -> Duration {
        match self.inner.simulation {
            Some(simulation) => span.div_f64(simulation.speed),
            None => span,
        }
    }

    pub async fn sleep(&self, span: Duration) {
        tokio::time::sleep(self.real_span(span)).await;
    }

    /// Returns once this clock shows `instant` or later. A step of the machine's clock is noticed within a second.
    pub async fn sleep_until(&self, instant: Timestamp) {
        self.sleep_until_looking(instant, Duration::from_secs(1)).await;
    }

    /// The same for what is not urgent: a step is noticed within `look_every`. Each look wakes the processor up.
    pub async fn sleep_until_looking(&self, instant: Timestamp, look_every: Duration) {
        loop {
            let left_us = instant.us_since(self.now());
            if left_us <= 0 {
                return;
            }
            let left = self.real_span(Duration::from_micros(left_us.unsigned_abs()));
            tokio::time::sleep(left.min(look_every)).await;
        }
    }
}

/// The machine's wall clock, for stamps that are about this machine (a simulation's start), never about the market.
pub fn real_now() -> Timestamp {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_us(as_us(since_epoch))
}

fn as_us(span: Duration) -> i64 {
    i64::try_from(span.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_simulated_clock_runs_at_its_speed_from_its_start() {
        let start = Timestamp::from_us(1_769_744_700_000_000);
        let clock = Clock::simulated(Simulation { start, real_start: real_now(), speed: 600.0 });
        assert!(clock.now().us_since(start) >= 0);
        assert_eq!(clock.real_span(Duration::from_secs(600)), Duration::from_secs(1));
        clock.sleep_until(start).await;
    }

    #[test]
    fn clocks_with_one_definition_agree() {
        let simulation = Simulation {
            start: Timestamp::from_us(0),
            real_start: real_now().plus_us(-2_000_000),
            speed: 10.0,
        };
        let (one, other) = (Clock::simulated(simulation), Clock::simulated(simulation));
        let (first, second) = (one.now(), other.now());
        // A clock reads the machine's two clocks one after the other; a thread may lose its core in between.
        const SKEW_US_MAX: i64 = 5_000_000;
        assert!(first.as_us() >= 20_000_000 - SKEW_US_MAX, "{first}");
        assert!(second.us_since(first) >= -SKEW_US_MAX, "{first} {second}");
    }
}
