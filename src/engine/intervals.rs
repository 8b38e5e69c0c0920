//! Equal intervals of a day, and which of them an instant lies in.

use crate::market::Timestamp;

/// Intervals of one length from a first instant on. What lies before it counts as of the first interval.
///
/// Remembers the interval found last: consecutive ticks mostly share it, and a division costs as much as the rest of
/// a tick's arithmetic.
#[derive(Clone, Copy, Debug)]
pub struct Intervals {
    first_us: i64,
    length_us: i64,
    /// The interval found last: the instants it holds, and its number.
    holds_from_us: i64,
    end_us: i64,
    index: usize,
}

impl Intervals {
    pub fn new(first: Timestamp, length_us: i64) -> Intervals {
        let first_us = first.as_us();
        let end_us = first_us.saturating_add(length_us);
        Intervals { first_us, length_us, holds_from_us: i64::MIN, end_us, index: 0 }
    }

    /// The number of the interval an instant lies in.
    pub fn index_of(&self, instant: Timestamp) -> usize {
        (instant.as_us().saturating_sub(self.first_us).max(0) / self.length_us) as usize
    }

    /// The same, quicker where the call before asked for the same interval.
    #[inline]
    pub fn find(&mut self, instant: Timestamp) -> usize {
        let us = instant.as_us();
        if us < self.holds_from_us || us >= self.end_us {
            self.index = self.index_of(instant);
            let start_us = self.start_of(self.index).as_us();
            self.holds_from_us = if self.index == 0 { i64::MIN } else { start_us };
            self.end_us = start_us.saturating_add(self.length_us);
        }
        self.index
    }

    pub fn start_of(&self, index: usize) -> Timestamp {
        let offset_us = (index as i64).saturating_mul(self.length_us);
        Timestamp::from_us(self.first_us.saturating_add(offset_us))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn finding_is_dividing(instants in prop::collection::vec(-500_i64..2_000, 1..40)) {
            let mut intervals = Intervals::new(Timestamp::from_us(100), 180);
            for us in instants {
                let instant = Timestamp::from_us(us);
                let index = intervals.find(instant);
                prop_assert_eq!(index as i64, (us - 100).max(0) / 180);
                prop_assert_eq!(index, intervals.index_of(instant));
                prop_assert!(intervals.start_of(index + 1) > instant);
                prop_assert!(index == 0 || intervals.start_of(index) <= instant);
            }
        }
    }
}
