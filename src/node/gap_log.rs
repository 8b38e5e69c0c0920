//! The gaps of this run, for whoever tells of them as they are found.

use crate::store::GapRow;
use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
};

/// The latest gaps; the record has all of them.
#[derive(Debug, Default)]
pub struct GapLog {
    latest: Mutex<VecDeque<(u64, GapRow)>>,
}

impl GapLog {
    const KEPT_MAX: usize = 64;

    /// Adds gaps that were found; one that is known already is left out.
    pub fn note(&self, gaps: &[GapRow]) {
        if gaps.is_empty() {
            return;
        }
        let mut latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        for gap in gaps {
            if latest.iter().any(|(_, known)| known == gap) {
                continue;
            }
            let number = latest.back().map_or(1, |(last, _)| last + 1);
            latest.push_back((number, gap.clone()));
            if latest.len() > Self::KEPT_MAX {
                latest.pop_front();
            }
        }
    }

    /// Oldest first, each with its number, counted from 1.
    pub fn latest(&self) -> Vec<(u64, GapRow)> {
        self.latest.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::market::{Provider, Timestamp};

    #[test]
    fn gaps_are_numbered_and_kept_once() {
        let log = GapLog::default();
        let gap = |from: i64| GapRow {
            from: Timestamp::from_us(from),
            to: Timestamp::from_us(from + 1),
            provider: Some(Provider::Nse),
            part: String::new(),
            reason: "closed".to_owned(),
        };
        log.note(&[gap(1), gap(2)]);
        log.note(&[gap(2), gap(3)]);
        let numbers = |log: &GapLog| log.latest().iter().map(|(number, _)| *number).collect::<Vec<_>>();
        assert_eq!(numbers(&log), [1, 2, 3]);
        for from in 10..200 {
            log.note(&[gap(from)]);
        }
        assert_eq!(numbers(&log).len(), GapLog::KEPT_MAX);
        assert_eq!(numbers(&log).last(), Some(&193));
    }
}
