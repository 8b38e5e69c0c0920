//! How many restarts a supervisor makes before it gives up.
//!
//! Deaths that condemned an item ([`super::Verdict`]) are given back: both of them, since what caused them is set aside.
//! At most [`VERDICTS_FORGIVEN_MAX`] verdicts within a window are, so that a child that condemns whatever it is given
//! still makes its supervisor give up.

use std::{collections::VecDeque, time::Duration};
use tokio::time::Instant;

/// Verdicts within one window whose deaths do not count as restarts. Few enough that a child that hangs over each of its
/// items for ten seconds, twice, spends them within five minutes.
pub const VERDICTS_FORGIVEN_MAX: usize = 10;

/// At most `max` restarts within `window`; one more makes the supervisor fail. The two deaths that condemned an item do
/// not count, for up to [`VERDICTS_FORGIVEN_MAX`] items within the window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Intensity {
    pub max: usize,
    pub window: Duration,
}

impl Default for Intensity {
    fn default() -> Intensity {
        Intensity { max: 5, window: Duration::from_secs(60) }
    }
}

/// The end of one incarnation of a supervisor's child.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Death {
    /// The child's place in the spec.
    pub child: usize,
    pub incarnation: u64,
}

/// The restarts of the last window.
#[derive(Debug, Default)]
pub(super) struct RestartWindow {
    restarts: VecDeque<(Instant, Death)>,
    forgiven: VecDeque<Instant>,
}

impl RestartWindow {
    /// Notes the restart after a death at `now`; false if it is one too many.
    pub fn admit(&mut self, intensity: Intensity, now: Instant, death: Death) -> bool {
        self.forget(intensity, now);
        self.restarts.push_back((now, death));
        self.restarts.len() <= intensity.max
    }

    /// Notes a verdict at `now`: gives back its `earlier` death; the later one is not to be admitted. False if this is one
    /// verdict too many: then both deaths count.
    pub fn forgive(&mut self, intensity: Intensity, now: Instant, earlier: Death) -> bool {
        self.forget(intensity, now);
        if self.forgiven.len() >= VERDICTS_FORGIVEN_MAX {
            return false;
        }
        self.forgiven.push_back(now);
        self.restarts.retain(|(_, death)| *death != earlier);
        true
    }

    fn forget(&mut self, intensity: Intensity, now: Instant) {
        let is_past = |then: Instant| now.duration_since(then) >= intensity.window;
        while self.restarts.front().is_some_and(|(then, _)| is_past(*then)) {
            self.restarts.pop_front();
        }
        while self.forgiven.front().is_some_and(|then| is_past(*then)) {
            self.forgiven.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn death(incarnation: u64) -> Death {
        Death { child: 0, incarnation }
    }

    #[test]
    fn counts_only_the_window() {
        let intensity = Intensity { max: 2, window: Duration::from_secs(10) };
        let start = Instant::now();
        let mut window = RestartWindow::default();
        let admitted: Vec<bool> = [0, 9, 10, 11, 30]
            .into_iter()
            .map(|seconds| window.admit(intensity, start + Duration::from_secs(seconds), death(seconds)))
            .collect();
        assert_eq!(admitted, [true, true, true, false, true]);
    }

    #[test]
    fn a_verdict_gives_back_its_own_deaths_and_no_others() {
        let intensity = Intensity { max: 2, window: Duration::from_secs(10) };
        let now = Instant::now();
        let mut window = RestartWindow::default();
        assert!(window.admit(intensity, now, death(1)));
        assert!(window.admit(intensity, now, death(2)));
        let of_a_sibling = Death { child: 1, incarnation: 1 };
        assert!(window.forgive(intensity, now, of_a_sibling));
        assert!(window.forgive(intensity, now, death(1)));
        assert!(window.admit(intensity, now, death(4)));
        assert!(!window.admit(intensity, now, death(5)));
    }

    #[test]
    fn verdicts_have_a_window_of_their_own() {
        let intensity = Intensity { max: 2, window: Duration::from_secs(10) };
        let now = Instant::now();
        let mut window = RestartWindow::default();
        assert!((0..VERDICTS_FORGIVEN_MAX as u64).all(|number| window.forgive(
            intensity,
            now,
            death(number)
        )));
        assert!(!window.forgive(intensity, now, death(99)));
        assert!(window.forgive(intensity, now + intensity.window, death(100)));
    }
}
