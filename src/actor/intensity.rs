//! How many restarts a supervisor makes before it gives up.

use std::{collections::VecDeque, time::Duration};
use tokio::time::Instant;

/// At most `max` restarts within `window`; one more makes the supervisor fail.
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

/// The restarts of the last window.
#[derive(Debug, Default)]
pub(super) struct RestartWindow {
    restarts: VecDeque<Instant>,
}

impl RestartWindow {
    /// Notes a restart at `now`; false if it is one too many.
    pub fn admit(&mut self, intensity: Intensity, now: Instant) -> bool {
        while self.restarts.front().is_some_and(|first| now.duration_since(*first) >= intensity.window) {
            self.restarts.pop_front();
        }
        self.restarts.push_back(now);
        self.restarts.len() <= intensity.max
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_only_the_window() {
        let intensity = Intensity { max: 2, window: Duration::from_secs(10) };
        let start = Instant::now();
        let mut window = RestartWindow::default();
        let admitted: Vec<bool> = [0, 9, 10, 11, 30]
            .into_iter()
            .map(|seconds| window.admit(intensity, start + Duration::from_secs(seconds)))
            .collect();
        assert_eq!(admitted, [true, true, true, false, true]);
    }
}
