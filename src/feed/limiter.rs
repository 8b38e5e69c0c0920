//! Keeps requests of one kind apart, in the clock's time.

use crate::clock::Clock;
use governor::{
    Quota, RateLimiter,
    clock::Clock as GovernorClock,
    middleware::NoOpMiddleware,
    state::{InMemoryState, NotKeyed},
};
use std::{cell::Cell, time::Duration};

/// One request an interval, without bursts.
pub(super) struct Limiter {
    limiter: RateLimiter<NotKeyed, InMemoryState, ForwardClock, NoOpMiddleware<Duration>>,
    forward: ForwardClock,
    clock: Clock,
}

/// The clock without its steps back, which would make the limiter wait until the time is reached again.
#[derive(Clone)]
struct ForwardClock {
    clock: Clock,
    /// What was shown last, and the time passed so far; microseconds.
    last_us: std::rc::Rc<Cell<(i64, u64)>>,
}

impl GovernorClock for ForwardClock {
    type Instant = Duration;

    fn now(&self) -> Duration {
        let (last_us, passed_us) = self.last_us.get();
        let now_us = self.clock.now().as_us();
        let passed_us = passed_us + now_us.saturating_sub(last_us).max(0).unsigned_abs();
        self.last_us.set((now_us, passed_us));
        Duration::from_micros(passed_us)
    }
}

impl Limiter {
    /// `per_second` requests a second, at least one.
    pub fn new(clock: &Clock, per_second: u32) -> Limiter {
        let interval = Duration::from_secs(1) / per_second.max(1);
        let quota = Quota::with_period(interval).expect("the interval is not zero");
        let start_us = clock.now().as_us();
        let forward = ForwardClock { clock: clock.clone(), last_us: Cell::new((start_us, 0)).into() };
        let limiter = RateLimiter::direct_with_clock(quota, forward.clone());
        Limiter { limiter, forward, clock: clock.clone() }
    }

    /// Returns when the next request may be sent, and counts it as sent.
    pub async fn wait(&self) {
        while let Err(refused) = self.limiter.check() {
            self.clock.sleep(refused.wait_time_from(self.forward.now())).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        clock::{Simulation, real_now},
        market::Timestamp,
    };

    #[tokio::test]
    async fn requests_are_kept_apart_in_simulated_time() {
        let start = Timestamp::from_us(1_769_744_700_000_000);
        let clock = Clock::simulated(Simulation { start, real_start: real_now(), speed: 100.0 });
        let limiter = Limiter::new(&clock, 2);
        let started = clock.now();
        for _ in 0..5 {
            limiter.wait().await;
        }
        assert!(clock.now().us_since(started) >= 2_000_000, "five requests need four half seconds");
    }
}
