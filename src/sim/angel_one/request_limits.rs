//! How many requests a client may send each second of simulated time.

use crate::market::Timestamp;
use crate::wire::angel_one::{CANDLES_PATH, GREEKS_PATH, LOGIN_PATH, QUOTE_PATH, REFRESH_PATH};
use rustc_hash::FxHashMap;
use std::collections::VecDeque;

/// Requests a second. Angel One's table says 10 for quotes, a notice and its users say 1: the strict one is served.
const PER_SECOND: &[(&str, usize)] =
    &[(LOGIN_PATH, 1), (REFRESH_PATH, 1), (QUOTE_PATH, 1), (CANDLES_PATH, 3), (GREEKS_PATH, 1)];

/// A rolling window of one second for each path.
#[derive(Debug, Default)]
pub(super) struct RequestLimits {
    accepted: FxHashMap<&'static str, VecDeque<Timestamp>>,
}

impl RequestLimits {
    /// Whether a request is within the limit; if so it counts. Paths without a limit always are.
    pub fn accept(&mut self, path: &str, now: Timestamp) -> bool {
        let Some((path, per_second)) = PER_SECOND.iter().find(|(limited, _)| *limited == path) else {
            return true;
        };
        let accepted = self.accepted.entry(path).or_default();
        while accepted.front().is_some_and(|earlier| now.us_since(*earlier) >= 1_000_000) {
            accepted.pop_front();
        }
        let is_within = accepted.len() < *per_second;
        if is_within {
            accepted.push_back(now);
        }
        is_within
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_must_pass() {
        let mut limits = RequestLimits::default();
        let at = |ms: i64| Timestamp::from_us(ms * 1_000);
        assert!(limits.accept(QUOTE_PATH, at(0)));
        assert!(!limits.accept(QUOTE_PATH, at(999)));
        assert!(limits.accept(GREEKS_PATH, at(999)), "paths are counted apart");
        assert!(limits.accept(QUOTE_PATH, at(1_000)));
        assert!((0..3).all(|_| limits.accept(CANDLES_PATH, at(5))));
        assert!(!limits.accept(CANDLES_PATH, at(6)));
        assert!((0..100).all(|_| limits.accept("/unlimited", at(6))));
    }
}
