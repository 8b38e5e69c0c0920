//! When the website is polled: around sessions, and never on other days.

use crate::{
    calendar::{Calendar, Session},
    market::Timestamp,
};

const BEFORE_OPEN_SECONDS: i64 = 10 * 60;
/// The open interest is provisional after the close. What changes it later than this is in the exchange's end-of-day
/// file, which nothing here fetches.
const AFTER_CLOSE_SECONDS: i64 = 60 * 60;
/// How old a chain's own time may be within the session.
const STALE_SECONDS: i64 = 600;
/// So long after the open every chain is of the session, and so long after the close of its end: as late as bodies are.
const TURNED_SECONDS: i64 = 240;
/// How long before the close a chain's final time may lie.
const FINAL_SECONDS: i64 = 180;

/// The hours of polling that belong to one session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Window {
    pub session: Session,
    pub from: Timestamp,
    /// The first instant without polling.
    pub until: Timestamp,
}

impl Window {
    /// The window `now` lies in, or the next one; `None` if the calendar has no session for more than a year.
    pub fn at(calendar: &Calendar, now: Timestamp) -> Option<Window> {
        let date = now.date_ist();
        let of = |session: Session| Window {
            session,
            from: session.open.plus_seconds(-BEFORE_OPEN_SECONDS),
            until: session.close.plus_seconds(AFTER_CLOSE_SECONDS),
        };
        let today = calendar.session(date).map(of).filter(|window| now < window.until);
        today.or_else(|| calendar.next_session(date).map(of))
    }

    /// Whether a chain that says `timestamp` is old news at `now`: of before the open, or standing still within the session or
    /// before its end. Before the open no chain moves.
    pub fn is_stale(&self, timestamp: Timestamp, now: Timestamp) -> bool {
        let Session { open, close, .. } = self.session;
        if now < open.plus_seconds(TURNED_SECONDS) {
            return false;
        }
        if now < close {
            return timestamp < open || timestamp < now.plus_seconds(-STALE_SECONDS);
        }
        now >= close.plus_seconds(TURNED_SECONDS) && timestamp < close.plus_seconds(-FINAL_SECONDS)
    }

    /// Up to when a chain that says `timestamp` was shown by a body of `received`: one of before the open shows nothing of today.
    pub fn shown_until(&self, timestamp: Timestamp, received: Timestamp) -> Timestamp {
        if timestamp < self.session.open { received.min(self.session.open) } else { received }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::{NaiveDate, NaiveTime};
    use proptest::prelude::*;

    fn at(day: u32, hour: u32, minute: u32) -> Timestamp {
        let date = NaiveDate::from_ymd_opt(2026, 1, day).expect("a date");
        Timestamp::on(date, NaiveTime::from_hms_opt(hour, minute, 0).expect("a time"))
    }

    #[test]
    fn polls_around_sessions_only() {
        let calendar = Calendar::embedded();
        let window = |now| Window::at(&calendar, now).expect("a session");
        // Friday 30 January; the Sunday after it has the Budget's session.
        assert_eq!(window(at(30, 9, 0)).from, at(30, 9, 5));
        assert_eq!(window(at(30, 16, 29)).until, at(30, 16, 30));
        assert_eq!(window(at(30, 16, 30)).session.date.to_string(), "2026-02-01");
        // Republic Day is a holiday.
        assert_eq!(window(at(26, 12, 0)).from, at(27, 9, 5));
    }

    #[test]
    fn chains_are_stale_when_they_lag_behind_the_session() {
        let window = Window::at(&Calendar::embedded(), at(30, 9, 0)).expect("a session");
        assert!(!window.is_stale(at(29, 15, 30), at(30, 9, 18)));
        assert!(window.is_stale(at(29, 15, 30), at(30, 9, 19)), "no body is later than that");
        assert!(!window.is_stale(at(30, 9, 15), at(30, 9, 19)));
        assert!(!window.is_stale(at(30, 11, 50), at(30, 12, 0)));
        assert!(window.is_stale(at(30, 11, 49), at(30, 12, 0)));
        assert!(!window.is_stale(at(30, 15, 10), at(30, 15, 33)), "the final one may be under way");
        assert!(window.is_stale(at(30, 15, 10), at(30, 15, 34)));
        assert!(!window.is_stale(at(30, 15, 30), at(30, 16, 20)));
    }

    #[test]
    fn a_body_of_yesterday_shows_nothing_of_today() {
        let window = Window::at(&Calendar::embedded(), at(30, 9, 0)).expect("a session");
        assert_eq!(window.shown_until(at(29, 15, 30), at(30, 9, 18)), at(30, 9, 15));
        assert_eq!(window.shown_until(at(29, 15, 30), at(30, 9, 10)), at(30, 9, 10));
        assert_eq!(window.shown_until(at(30, 9, 16), at(30, 9, 18)), at(30, 9, 18));
    }

    proptest! {
        #[test]
        fn a_window_is_never_over(minutes in 0_i64..1_000_000) {
            let now = at(1, 0, 0).plus_seconds(minutes * 60);
            let window = Window::at(&Calendar::embedded(), now).expect("a session");
            prop_assert!(now < window.until);
            prop_assert!(window.from < window.session.open && window.session.close < window.until);
        }
    }
}
