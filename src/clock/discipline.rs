//! Judges a step of the machine's clock: whether the time that it shows now, or the one that a steady count gives, is right.
//!
//! The steady count begins with what the clock showed and grows with the monotonic clock, which is never set. Where the two
//! disagree, the exchange's newest stamp decides if it can; else the machine's clock does, since synchronisation over the
//! network sets it right, and nothing sets it wrong, as a rule. Pure; the caller reads the clocks.

use crate::market::Timestamp;

/// What counts as agreement: smaller steps are followed as they come.
pub const AGREED_US: i64 = 2_000_000;
/// A clock that goes back by no more than this is followed; what is written down in order waits for it meanwhile.
pub const WAITED_US_MAX: i64 = 60_000_000;
/// How far ahead of the right time a true stamp may be, and how far behind it the newest one of a market at work.
const STAMP_AHEAD_US_MAX: i64 = 120_000_000;
const STAMP_BEHIND_US_MAX: i64 = 180_000_000;

/// What is known at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Readings {
    /// The machine's clock.
    pub wall: Timestamp,
    /// By the steady count.
    pub steady: Timestamp,
    /// The newest stamp that the exchange has given, if any.
    pub stamp: Option<Timestamp>,
}

/// What follows from it. Steps are in microseconds, negative for one back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Agreed,
    /// The machine's clock is right.
    Followed {
        by_us: i64,
    },
    /// The machine's clock is right, and it was so far ahead before that what was recorded meanwhile is in the way.
    SetBack {
        by_us: i64,
    },
    /// The exchange's stamps contradict the machine's clock.
    Contradicted {
        by_us: i64,
    },
}

impl Readings {
    pub fn judge(&self) -> Verdict {
        let by_us = self.wall.us_since(self.steady);
        if by_us.abs() <= AGREED_US {
            return Verdict::Agreed;
        }
        let is_contradicted = self.stamp.is_some_and(|stamp| match by_us > 0 {
            true => fits(stamp, self.steady) && !fits(stamp, self.wall),
            // However old it is: nothing is stamped before it happens.
            false => stamp.us_since(self.wall) > STAMP_AHEAD_US_MAX,
        });
        match by_us {
            _ if is_contradicted => Verdict::Contradicted { by_us },
            by_us if by_us < -WAITED_US_MAX => Verdict::SetBack { by_us },
            by_us => Verdict::Followed { by_us },
        }
    }
}

/// Whether it may be `time` when a market at work gives this as its newest stamp.
fn fits(stamp: Timestamp, time: Timestamp) -> bool {
    (-STAMP_AHEAD_US_MAX..=STAMP_BEHIND_US_MAX).contains(&time.us_since(stamp))
}

/// Whether a stamp lies so far ahead of `time` that it cannot be that time.
pub fn refutes(stamp: Timestamp, time: Timestamp) -> bool {
    stamp.us_since(time) > STAMP_AHEAD_US_MAX
}

/// Finds stamps that move on as a market's do, and are far from the time that the clock shows.
#[derive(Clone, Copy, Debug, Default)]
pub struct StampWatch {
    /// The newest stamp, and the clock, as a span began in which the stamps are followed.
    begun: Option<(Timestamp, Timestamp)>,
    /// The last stamp, and whether each since the span began was off when it was first seen.
    last: Option<Timestamp>,
    are_all_off: bool,
    /// How far ahead stamps may be beyond what clocks that are set right differ by: of a simulated clock.
    allowed_us: i64,
    found_us: Option<i64>,
    /// They were once those of the time that the clock shows.
    has_agreed: bool,
}

impl StampWatch {
    /// How long stamps are followed before they say something; those that come with polls move in steps.
    const SPAN_US_MIN: i64 = 30_000_000;
    const SPAN_US_MAX: i64 = 180_000_000;
    /// More than any source is late.
    const BEHIND_US_MIN: i64 = 600_000_000;
    /// Nothing is stamped before it happens, and clocks that are set over the network differ by less than a second.
    const AHEAD_US_MIN: i64 = 10_000_000;

    /// `allowed_us`: how far a simulated clock and the source's may be apart.
    pub fn new(allowed_us: i64) -> StampWatch {
        StampWatch { allowed_us, ..StampWatch::default() }
    }

    /// By how much the clock is ahead of a market at work, or (negative) behind it; `None` if it is neither, for all that is
    /// known. `now` is the clock.
    pub fn note(&mut self, stamp: Option<Timestamp>, now: Timestamp) -> Option<i64> {
        let Some(stamp) = stamp else { return self.found_us };
        // One packet that is ahead of the others is no clock's.
        if self.last.replace(stamp) != Some(stamp) {
            self.are_all_off &= self.is_off(stamp, now);
        }
        if self.begun.is_none() {
            self.begin(stamp, now);
        }
        let (stamp_before, before) = self.begun.unwrap_or((stamp, now));
        let (moved_us, passed_us) = (stamp.us_since(stamp_before), now.us_since(before));
        // One that catches up with a market moves faster than the clock.
        let is_at_work = moved_us * 2 >= passed_us && moved_us <= passed_us * 2;
        if (passed_us >= Self::SPAN_US_MIN && is_at_work) || !(0..Self::SPAN_US_MAX).contains(&passed_us) {
            // A market that closes within the span leaves a stamp that is only off at its end.
            let is_off = self.are_all_off && self.is_off(stamp_before, before) && self.is_off(stamp, now);
            self.begin(stamp, now);
            self.found_us = (is_at_work && is_off).then(|| now.us_since(stamp));
            self.has_agreed |= is_at_work && !self.is_off(stamp, now);
        }
        self.found_us
    }

    fn begin(&mut self, stamp: Timestamp, now: Timestamp) {
        (self.begun, self.are_all_off) = (Some((stamp, now)), self.is_off(stamp, now));
    }

    /// The market has closed: what it stamps now says nothing of the clock.
    pub fn end(&mut self) {
        (self.begun, self.found_us) = (None, None);
    }

    fn is_off(&self, stamp: Timestamp, clock: Timestamp) -> bool {
        clock.us_since(stamp) >= Self::BEHIND_US_MIN
            || stamp.us_since(clock) > Self::AHEAD_US_MIN.max(self.allowed_us)
    }

    /// Whether stamps of a market at work have agreed with the clock since it was last set.
    pub fn has_agreed(&self) -> bool {
        self.has_agreed
    }

    /// The clock was set: whether stamps agree with it is open.
    pub fn forget_agreement(&mut self) {
        self.has_agreed = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = 86_400;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_us(1_769_747_400_000_000).plus_seconds(second)
    }

    fn judge(wall: i64, steady: i64, stamp: Option<i64>) -> Verdict {
        Readings { wall: at(wall), steady: at(steady), stamp: stamp.map(at) }.judge()
    }

    fn us(seconds: i64) -> i64 {
        seconds * 1_000_000
    }

    #[test]
    fn small_steps_are_followed() {
        assert_eq!(judge(2, 0, None), Verdict::Agreed);
        assert_eq!(judge(-2, 0, None), Verdict::Agreed);
        assert_eq!(judge(-60, 0, Some(0)), Verdict::Followed { by_us: us(-60) });
    }

    #[test]
    fn without_a_stamp_the_machines_clock_is_right() {
        assert_eq!(judge(DAY, 0, None), Verdict::Followed { by_us: us(DAY) });
        assert_eq!(judge(-DAY, 0, None), Verdict::SetBack { by_us: us(-DAY) });
    }

    #[test]
    fn the_exchange_contradicts_a_wrong_step() {
        assert_eq!(judge(DAY, 0, Some(-2)), Verdict::Contradicted { by_us: us(DAY) });
        assert_eq!(judge(-3_600, 0, Some(-2)), Verdict::Contradicted { by_us: us(-3_600) });
        // Of a market that has closed for hours.
        assert_eq!(judge(DAY, 0, Some(-7_200)), Verdict::Followed { by_us: us(DAY) });
        assert_eq!(judge(-DAY, 0, Some(-7_200)), Verdict::Contradicted { by_us: us(-DAY) });
    }

    #[test]
    fn the_exchange_confirms_a_step_to_the_right_time() {
        assert_eq!(judge(0, DAY, Some(-2)), Verdict::SetBack { by_us: us(-DAY) });
        assert_eq!(judge(DAY, 0, Some(DAY - 2)), Verdict::Followed { by_us: us(DAY) });
    }

    #[test]
    fn stamps_at_work_show_a_clock_that_is_ahead() {
        let mut watch = StampWatch::default();
        let mut found = None;
        for second in 0..40 {
            found = watch.note(Some(at(second)), at(DAY + second));
            assert_eq!(found.is_some(), second >= 30, "{second}");
        }
        assert_eq!(found, Some(us(DAY)));
        assert!(!watch.has_agreed());
        let set_right = (40..80).map(|second| watch.note(Some(at(second)), at(second)));
        assert_eq!(set_right.last(), Some(None));
        assert!(watch.has_agreed());
        let mut watch = StampWatch::default();
        let behind = (0..40).map(|second| watch.note(Some(at(second)), at(second - 600)));
        assert_eq!(behind.last(), Some(Some(us(-600))));
        // Of a site that is polled.
        let mut watch = StampWatch::default();
        let polled = (0..200).map(|second| watch.note(Some(at(second / 60 * 60)), at(DAY + second)));
        assert!(polled.last().flatten().is_some());
    }

    #[test]
    fn stamps_that_stay_ahead_by_seconds_are_found_within_two_minutes() {
        for (ahead_s, allowed_s, is_found) in
            [(5, 0, false), (12, 0, true), (100, 0, true), (100, 240, false), (110, 60, true)]
        {
            let mut watch = StampWatch::new(us(allowed_s));
            let sound = (0..600).map(|second| watch.note(Some(at(second - 1)), at(second)));
            assert_eq!(sound.last(), Some(None));
            let ahead = (600..720).map(|second| watch.note(Some(at(second + ahead_s)), at(second)));
            assert_eq!(ahead.last(), Some(is_found.then_some(us(-ahead_s))), "{ahead_s} {allowed_s}");
            let sound = (720..900).map(|second| watch.note(Some(at(second - 1)), at(second)));
            assert_eq!(sound.last(), Some(None), "{ahead_s} {allowed_s}");
        }
        // Some packets that are ahead of the others.
        let mut watch = StampWatch::default();
        let found = (0..600).filter_map(|second| {
            let ahead_s = if second % 40 < 3 { 100 } else { 0 };
            watch.note(Some(at(second + ahead_s)), at(second))
        });
        assert_eq!(found.count(), 0);
    }

    #[test]
    fn a_span_in_which_the_market_closed_shows_nothing() {
        let minutes = |minutes: i64| at(60 * minutes);
        let mut watch = StampWatch::default();
        assert_eq!(watch.note(Some(minutes(0)), minutes(0)), None);
        assert_eq!(watch.note(Some(minutes(61)), minutes(112)), None, "the close was in the 61st minute");
        assert_eq!(watch.note(Some(minutes(61)), minutes(224)), None);
        let mut watch = StampWatch::default();
        let ahead = (0..40).map(|second| watch.note(Some(at(second)), at(DAY + second)));
        assert_eq!(ahead.last(), Some(Some(us(DAY))));
        watch.end();
        assert_eq!(watch.note(Some(at(41)), at(DAY + 41)), None);
    }

    #[test]
    fn stamps_that_stand_still_or_catch_up_show_nothing() {
        let mut watch = StampWatch::default();
        assert!((0..100).all(|second| watch.note(Some(at(0)), at(DAY + second)).is_none()));
        let mut watch = StampWatch::default();
        assert!((0..100).all(|second| watch.note(Some(at(60 * second)), at(DAY + second)).is_none()));
        let mut watch = StampWatch::default();
        assert!((0..100).all(|second| watch.note(Some(at(second)), at(second + 160)).is_none()));
    }
}
