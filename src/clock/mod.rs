//! The one source of time: the machine's clock, or a simulated day played at a multiple of real time.
//!
//! The machine's clock may be set while the daemon runs. A step shows here only once it was judged ([`Readings`]) and
//! [`Clock::follow`] was called; until then time goes on by the monotonic clock.
//!
//! Everything that sleeps, schedules or stamps takes a [`Clock`]; nothing else in bhavd reads the wall clock. A
//! simulated clock is fixed by three numbers (what it showed, at which real instant, how fast it runs), so that
//! separate processes given the same numbers agree on the time.
//!
//! Left out: timers with callbacks. Callers await [`Clock::sleep_until`].

mod discipline;
mod thread_time;

pub use discipline::{AGREED_US, Readings, StampWatch, Verdict, WAITED_US_MAX, refutes};
pub use thread_time::ThreadTime;

use crate::market::Timestamp;
use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering::Relaxed},
    },
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

impl Simulation {
    /// How much of simulated time passes while machines respond: two real seconds. None at the speed of real time.
    pub fn response_us(&self) -> i64 {
        const RESPONSE_US: f64 = 2e6;
        if self.speed > 1.0 { (self.speed * RESPONSE_US) as i64 } else { 0 }
    }
}

/// Cheap to clone; clones agree.
#[derive(Clone, Debug)]
pub struct Clock {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    /// Wall time and monotonic time read together once, so that a step of the machine's clock cannot turn a day back.
    anchor_wall: Timestamp,
    anchor: Instant,
    /// Steps of the machine's clock that were followed.
    followed_us: AtomicI64,
    machine: Machine,
    simulation: Option<Simulation>,
}

/// The clock that can be set.
#[derive(Clone, Debug)]
enum Machine {
    Real,
    #[cfg(test)]
    Set(Arc<AtomicI64>),
}

impl Machine {
    fn now(&self) -> Timestamp {
        match self {
            Machine::Real => real_now(),
            #[cfg(test)]
            Machine::Set(step_us) => real_now().plus_us(step_us.load(Relaxed)),
        }
    }
}

impl Clock {
    pub fn system() -> Clock {
        Self::with(Machine::Real, None)
    }

    pub fn simulated(simulation: Simulation) -> Clock {
        Self::with(Machine::Real, Some(simulation))
    }

    /// A machine's clock that shows so much more than the real one.
    #[cfg(test)]
    pub fn settable(step_us: Arc<AtomicI64>) -> Clock {
        Self::with(Machine::Set(step_us), None)
    }

    fn with(machine: Machine, simulation: Option<Simulation>) -> Clock {
        let (anchor_wall, anchor) = (machine.now(), Instant::now());
        let followed_us = AtomicI64::new(0);
        Clock { inner: Arc::new(Inner { anchor_wall, anchor, followed_us, machine, simulation }) }
    }

    pub fn simulation(&self) -> Option<Simulation> {
        self.inner.simulation
    }

    pub fn now(&self) -> Timestamp {
        let Some(simulation) = self.inner.simulation else {
            let (wall, steady) = (self.inner.machine.now(), self.steady());
            return if wall.us_since(steady).abs() <= AGREED_US { wall } else { steady };
        };
        let real = self.inner.anchor_wall.plus_us(as_us(self.inner.anchor.elapsed()));
        let elapsed_us = real.us_since(simulation.real_start) as f64 * simulation.speed;
        simulation.start.plus_us(elapsed_us as i64)
    }

    fn steady(&self) -> Timestamp {
        let passed_us = as_us(self.inner.anchor.elapsed());
        self.inner.anchor_wall.plus_us(passed_us + self.inner.followed_us.load(Relaxed))
    }

    /// What the machine's clock shows, and what it would show if it had not been set since the last [`Clock::follow`].
    /// `None` in a simulated day, which no clock of the machine moves.
    pub fn readings(&self, stamp: Option<Timestamp>) -> Option<Readings> {
        let (wall, steady) = (self.inner.machine.now(), self.steady());
        self.inner.simulation.is_none().then_some(Readings { wall, steady, stamp })
    }

    /// Shows what the machine's clock shows from now on.
    pub fn follow(&self) {
        let by_us = self.inner.machine.now().us_since(self.steady());
        self.inner.followed_us.fetch_add(by_us, Relaxed);
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
    fn a_step_shows_once_it_is_followed() {
        let step_us = Arc::new(AtomicI64::new(0));
        let clock = Clock::settable(Arc::clone(&step_us));
        const HOUR_US: i64 = 3_600_000_000;
        for by_us in [HOUR_US, -HOUR_US, 0] {
            let before = clock.now();
            step_us.store(by_us, Relaxed);
            assert!(clock.now().us_since(before).abs() < HOUR_US / 2, "{by_us}");
            clock.follow();
            let off_us = clock.now().us_since(real_now()) - by_us;
            assert!(off_us.abs() < HOUR_US / 2, "{by_us}: {off_us}");
        }
        assert_eq!(Clock::simulated(simulation_of_now()).readings(None), None);
    }

    fn simulation_of_now() -> Simulation {
        Simulation { start: real_now(), real_start: real_now(), speed: 1.0 }
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
