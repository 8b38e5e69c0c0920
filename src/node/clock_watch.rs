//! Watches the machine's clock while the daemon runs: a step that something contradicts, receive times that wait for the
//! clock, a clock that is not the exchange's.
//!
//! [`ClockStatus`] is what the daemon shows of it. [`ClockWatch`] looks once a second and says what follows; the timekeeper
//! does it. A clock that was ahead and is set back needs a log that goes back, which a running pipeline cannot follow: the
//! daemon ends in order then, and its next start puts aside what was received ahead (`node/beginning.rs`).

use crate::{
    calendar::Calendar,
    clock::{AGREED_US, Clock, StampWatch, Verdict},
    engine::AHEAD_US_MAX,
    logging::Event,
    market::{Provider, Timestamp, TradingDate},
    spool::NewRecord,
};
use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicBool, AtomicI64, Ordering::Relaxed},
};

/// How often a record is looked into for the exchange's time.
const SAMPLE_US: i64 = 1_000_000;

/// What the daemon shows of its clock.
#[derive(Debug, Default)]
pub struct ClockStatus {
    problems: Mutex<Vec<String>>,
    /// What was put aside, by this start or by an earlier one of the days that were read.
    set_aside: Mutex<Option<String>>,
    begins_anew: AtomicBool,
    /// When a provider's record was last looked into, and the exchange's time in it; 0 for none. By [`Provider::index`].
    sampled_us: [AtomicI64; Provider::ALL.len()],
    stamps_us: [AtomicI64; Provider::ALL.len()],
}

impl ClockStatus {
    /// Takes note of the exchange's time in a record that was received; of few of them.
    pub fn note_record(&self, record: &NewRecord) {
        let Some(provider) = record.source.provider() else { return };
        let (received_us, sampled) = (record.received_time.as_us(), &self.sampled_us[provider.index()]);
        if (received_us - sampled.load(Relaxed)).abs() < SAMPLE_US {
            return;
        }
        let last = record.frames.iter().last();
        if let Some(stamp) = last.and_then(|frame| record.source.exchange_stamp(frame)) {
            sampled.store(received_us, Relaxed);
            self.stamps_us[provider.index()].store(stamp.as_us(), Relaxed);
        }
    }

    /// The newest of what the providers said last.
    pub fn stamp(&self) -> Option<Timestamp> {
        let stamps = self.stamps_us.iter().map(|us| us.load(Relaxed)).filter(|us| *us != 0);
        stamps.max().map(Timestamp::from_us)
    }

    pub fn problems(&self) -> Vec<String> {
        self.problems.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Logs what is new.
    pub fn set_problems(&self, problems: Vec<String>) {
        let mut known = self.problems.lock().unwrap_or_else(PoisonError::into_inner);
        if known.is_empty() && !problems.is_empty() {
            log::error!(event = Event::ClockWrong; "{}", problems.join("; "));
        }
        *known = problems;
    }

    pub fn set_aside(&self) -> Option<String> {
        self.set_aside.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub fn note_set_aside(&self, text: String) {
        *self.set_aside.lock().unwrap_or_else(PoisonError::into_inner) = Some(text);
    }

    /// What an earlier start put aside, by the log of `date`; what this one put aside is known better.
    pub fn note_earlier_set_aside(&self, date: TradingDate, text: String) {
        let mut known = self.set_aside.lock().unwrap_or_else(PoisonError::into_inner);
        known.get_or_insert_with(|| format!("{date}: {text}"));
    }

    /// The daemon is to end and to be started again: its clock was set back.
    pub fn begin_anew(&self) {
        self.begins_anew.store(true, Relaxed);
    }

    pub fn begins_anew(&self) -> bool {
        self.begins_anew.load(Relaxed)
    }
}

/// What follows from a look.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Look {
    pub problems: Vec<String>,
    /// A step that the log is to name.
    pub step_us: Option<i64>,
    /// The clock was ahead and is set right.
    pub is_set_back: bool,
}

/// See the module's head.
#[derive(Debug, Default)]
pub struct ClockWatch {
    stamps: StampWatch,
    is_ending: bool,
}

impl ClockWatch {
    pub fn new(clock: &Clock) -> ClockWatch {
        let allowed_us = clock.simulation().map_or(0, |simulation| simulation.response_us());
        ClockWatch { stamps: StampWatch::new(allowed_us), is_ending: false }
    }

    /// Looks at the clock, which follows a step that is right. `held` is the log's last receive time.
    pub fn look(
        &mut self,
        clock: &Clock,
        calendar: &Calendar,
        stamp: Option<Timestamp>,
        held: Timestamp,
    ) -> Look {
        let mut look = Look::default();
        if let Some(readings) = clock.readings(stamp) {
            match readings.judge() {
                // Many small ones add up.
                Verdict::Agreed => clock.follow(),
                Verdict::Followed { by_us } => {
                    clock.follow();
                    self.stamps.forget_agreement();
                    look.step_us = Some(by_us);
                }
                Verdict::SetBack { by_us } => {
                    look.is_set_back = !std::mem::replace(&mut self.is_ending, true);
                    look.step_us = look.is_set_back.then_some(by_us);
                }
                Verdict::Contradicted { by_us } => {
                    let is_zone =
                        readings.stamp.is_some_and(|stamp| is_zone(readings.steady.us_since(stamp)));
                    look.problems.push(describe_contradicted(by_us, readings.wall, readings.steady, is_zone));
                }
            }
        }
        let now = clock.now();
        let ahead_us = held.us_since(now);
        if ahead_us > AGREED_US {
            look.problems.push(format!(
                "receive times stay at {held}, {} ahead of the machine's clock, until the clock is there: it was ahead \
                 before, or is behind now; set it right (timedatectl)",
                describe_span(ahead_us)
            ));
        }
        if stamp.is_some_and(|stamp| is_after_close(calendar, stamp)) {
            self.stamps.end();
        } else if let Some(off_us) = self.stamps.note(stamp, now) {
            look.problems.push(describe_off(off_us, self.stamps.has_agreed()));
        }
        look
    }
}

/// What is stamped after the close of its own day is no sign of a market at work.
fn is_after_close(calendar: &Calendar, stamp: Timestamp) -> bool {
    calendar.session(stamp.date_ist()).is_some_and(|session| stamp >= session.close)
}

/// India's offset from UTC.
const IST_US: i64 = 19_800_000_000;

/// Whether times that are so far apart are one in UTC and the other in IST: off to the minute, but for what a source is late.
fn is_zone(off_us: i64) -> bool {
    const LATE_US_MAX: i64 = 120_000_000;
    (off_us.abs() - IST_US).abs() <= LATE_US_MAX
}

/// `is_zone`: the stamps are not those of the count either.
fn describe_contradicted(by_us: i64, wall: Timestamp, steady: Timestamp, is_zone: bool) -> String {
    let advice = match is_zone {
        true => {
            "but the stamps are 5 h 30 min from that count as well: the source's time zone is likely wrong, and the clock may be \
             right; compare it (timedatectl)"
        }
        false => "set the clock right (timedatectl)",
    };
    format!(
        "the machine's clock was set {}, to {wall}, which the exchange's stamps contradict: time goes on from {steady} by \
         the monotonic clock; {advice}, recording goes on meanwhile",
        describe_step(by_us),
    )
}

/// A clock that is off the exchange's stamps. One that has agreed with them and was not set since is right: stamps that are
/// half of eleven hours away from it are UTC that was taken for IST, or the other way round. Of one that never agreed with them
/// the source is the likelier to confuse the two, unless the machine's own time is wrong.
fn describe_off(off_us: i64, has_agreed: bool) -> String {
    /// Stamps come late.
    const LATE_US_MAX: i64 = 300_000_000;
    let is_ist = (off_us.abs() - IST_US).abs() <= LATE_US_MAX;
    if has_agreed && is_ist {
        let side = if off_us > 0 { "behind" } else { "ahead of" };
        return format!(
            "the source's stamps have jumped to 5 h 30 min {side} the machine's clock, with which they agreed before: the source \
             confuses UTC and IST, and what it stamps so counts for the wrong time or not at all"
        );
    }
    if is_zone(off_us) {
        let side = if off_us > 0 { "behind" } else { "ahead of" };
        return format!(
            "the source's stamps are 5 h 30 min {side} the machine's clock, which is the offset of IST from UTC: the source's time \
             zone is likely wrong, it stamps UTC for IST or the other way round, and what it stamps so counts for the wrong time or \
             not at all; only if `timedatectl` shows a wrong time, as with a hardware clock in local time, is it this machine's"
        );
    }
    // Values under such stamps are taken, so that a clock that is behind does not cost the day.
    if (-AHEAD_US_MAX..0).contains(&off_us) {
        return format!(
            "stamps are {} s ahead of this clock: it is behind, or the source stamps what has not happened yet, and values count \
             for the time of their stamps; set the clock right (timedatectl) if it is wrong",
            -off_us / 1_000_000
        );
    }
    let side = if off_us > 0 { "ahead of" } else { "behind" };
    format!(
        "the machine's clock is {} {side} the exchange's stamps, which move on: what is received counts for the wrong time; \
         set the clock right (timedatectl), bhavd then begins anew under the right day by itself",
        describe_span(off_us.abs())
    )
}

fn describe_step(by_us: i64) -> String {
    format!("{} {}", if by_us > 0 { "forward" } else { "back" }, describe_span(by_us.abs()))
}

/// `2 s`, `15 min`, `23 h 59 min`.
pub fn describe_span(us: i64) -> String {
    let seconds = us / 1_000_000;
    match (seconds / 3_600, seconds / 60 % 60) {
        (0, 0) => format!("{seconds} s"),
        (0, minutes) => format!("{minutes} min"),
        (hours, minutes) => format!("{hours} h {minutes} min"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    const HOUR_US: i64 = 3_600_000_000;

    fn settable() -> (Arc<AtomicI64>, Clock) {
        let step_us = Arc::new(AtomicI64::new(0));
        (Arc::clone(&step_us), Clock::settable(step_us))
    }

    /// A clock that shows a morning on which there is a session, whenever the test runs.
    fn in_session() -> Clock {
        let date = "2026-01-30".parse().expect("a date");
        let session = Calendar::embedded().session(date).expect("a session");
        let step_us = session.open.plus_seconds(3_600).us_since(Clock::system().now());
        Clock::settable(Arc::new(AtomicI64::new(step_us)))
    }

    #[test]
    fn a_contradicted_step_is_a_problem_while_it_lasts() {
        let (step_us, clock) = settable();
        let mut watch = ClockWatch::default();
        let begun = clock.now();
        let stamp = Some(begun);
        assert_eq!(watch.look(&clock, &Calendar::embedded(), stamp, Timestamp::NEVER), Look::default());
        step_us.store(24 * HOUR_US, Relaxed);
        let look = watch.look(&clock, &Calendar::embedded(), stamp, Timestamp::NEVER);
        assert_eq!((look.step_us, look.is_set_back), (None, false));
        let [problem] = &look.problems[..] else { panic!("{look:?}") };
        assert!(problem.starts_with("the machine's clock was set forward 2"), "{problem}");
        assert!(clock.now().us_since(begun) < HOUR_US, "time goes on as it did");
        step_us.store(0, Relaxed);
        assert_eq!(watch.look(&clock, &Calendar::embedded(), stamp, Timestamp::NEVER), Look::default());
    }

    #[test]
    fn a_step_that_nothing_contradicts_is_followed_and_named() {
        let (step_us, clock) = settable();
        step_us.store(HOUR_US, Relaxed);
        let look = ClockWatch::default().look(&clock, &Calendar::embedded(), None, Timestamp::NEVER);
        assert_eq!((look.problems, look.is_set_back), (Vec::new(), false));
        assert!((look.step_us.expect("a step") - HOUR_US).abs() < HOUR_US / 60);
        assert_eq!(
            ClockWatch::default().look(&clock, &Calendar::embedded(), None, Timestamp::NEVER),
            Look::default()
        );
    }

    #[test]
    fn stamps_that_jump_by_the_offset_of_ist_are_the_sources() {
        let off_us = 19_800_000_000;
        let says = |off_us, has_agreed, what| describe_off(off_us, has_agreed).starts_with(what);
        assert!(says(off_us + 90_000_000, true, "the source's stamps have jumped to 5 h 30 min behind"));
        assert!(says(90_000_000 - off_us, true, "the source's stamps have jumped to 5 h 30 min ahead of"));
        assert!(says(
            off_us + 110_000_000,
            false,
            "the source's stamps are 5 h 30 min behind the machine's clock"
        ));
        assert!(says(-off_us, false, "the source's stamps are 5 h 30 min ahead of the machine's clock"));
        for off_us in [off_us, -off_us] {
            let text = describe_off(off_us, false);
            assert!(
                text.contains("time zone is likely wrong") && !text.contains("set the clock right"),
                "{text}"
            );
            assert!(text.contains("a hardware clock in local time"), "{text}");
        }
        assert!(says(off_us + 130_000_000, false, "the machine's clock is 5 h 32 min ahead of"));
        assert!(says(HOUR_US, true, "the machine's clock is 1 h 0 min ahead of"));
    }

    #[test]
    fn a_contradiction_by_stamps_of_another_zone_does_not_blame_the_clock_alone() {
        let stamped = |ahead_us: i64| {
            let (step_us, clock) = settable();
            let stamp = Some(clock.now().plus_us(ahead_us));
            step_us.store(-HOUR_US, Relaxed);
            let look = ClockWatch::default().look(&clock, &Calendar::embedded(), stamp, Timestamp::NEVER);
            look.problems.first().cloned().unwrap_or_default()
        };
        let text = stamped(IST_US);
        assert!(
            text.contains("the source's time zone is likely wrong") && !text.contains("set the clock right")
        );
        assert!(
            stamped(0).contains("; set the clock right (timedatectl), recording goes on"),
            "{}",
            stamped(0)
        );
    }

    #[test]
    fn stamps_that_stay_ahead_are_a_problem() {
        let (clock, calendar) = (in_session(), Calendar::embedded());
        let problems = |ahead_s: i64| {
            let mut watch = ClockWatch::new(&clock);
            let stamp = |since_s: i64| clock.now().plus_seconds(ahead_s + since_s);
            watch.stamps.note(Some(stamp(-60)), clock.now().plus_seconds(-60));
            watch.look(&clock, &calendar, Some(stamp(0)), Timestamp::NEVER).problems
        };
        assert_eq!(problems(5), [""; 0]);
        let [problem] = &problems(100)[..] else { panic!("it is told") };
        assert!(problem.contains(" s ahead of this clock: it is behind"), "{problem}");
    }

    #[test]
    fn a_clock_that_was_ahead_and_is_set_back_ends_the_daemon_once() {
        let (step_us, clock) = settable();
        let mut watch = ClockWatch::default();
        step_us.store(-HOUR_US, Relaxed);
        let look = watch.look(&clock, &Calendar::embedded(), None, Timestamp::NEVER);
        assert!(look.is_set_back && look.step_us.expect("a step") < -HOUR_US / 2, "{look:?}");
        let again = watch.look(&clock, &Calendar::embedded(), None, Timestamp::NEVER);
        assert_eq!((again.is_set_back, again.step_us), (false, None));
    }

    #[test]
    fn stamps_of_a_closed_market_say_nothing_of_the_clock() {
        let calendar = Calendar::embedded();
        let session = calendar.session("2026-01-30".parse().expect("a date")).expect("a session");
        assert!(!is_after_close(&calendar, session.close.plus_us(-1)));
        assert!(is_after_close(&calendar, session.close));
        let clock = Clock::system();
        let problems = |first: Timestamp| {
            let mut watch = ClockWatch::default();
            let begun = (first, clock.now().plus_seconds(-60));
            watch.stamps.note(Some(begun.0), begun.1);
            watch.look(&clock, &calendar, Some(first.plus_seconds(60)), Timestamp::NEVER).problems.len()
        };
        assert_eq!(problems(session.close.plus_seconds(-600)), 1);
        assert_eq!(problems(session.close.plus_seconds(-30)), 0);
    }

    #[test]
    fn receive_times_that_wait_are_a_problem() {
        let clock = Clock::system();
        let held = clock.now().plus_seconds(600);
        let look = ClockWatch::default().look(&clock, &Calendar::embedded(), None, held);
        let [problem] = &look.problems[..] else { panic!("{look:?}") };
        assert!(problem.contains("until the clock is there"), "{problem}");
        assert_eq!(
            ClockWatch::default().look(&clock, &Calendar::embedded(), None, clock.now()).problems,
            [""; 0]
        );
    }
}
