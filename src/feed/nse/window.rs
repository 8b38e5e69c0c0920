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

    /// Whether a chain that says `timestamp` is old news at `now`. Outside the session no chain moves.
    pub fn is_stale(&self, timestamp: Timestamp, now: Timestamp) -> bool {
        let first = self.session.open.plus_seconds(STALE_SECONDS);
        first <= now && now < self.session.close && timestamp < now.plus_seconds(-STALE_SECONDS)
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
    fn chains_are_stale_only_within_the_session() {
        let window = Window::at(&Calendar::embedded(), at(30, 9, 0)).expect("a session");
        assert!(!window.is_stale(at(29, 15, 30), at(30, 9, 24)));
        assert!(window.is_stale(at(29, 15, 30), at(30, 9, 25)));
        assert!(!window.is_stale(at(30, 11, 50), at(30, 12, 0)));
        assert!(window.is_stale(at(30, 11, 49), at(30, 12, 0)));
        assert!(!window.is_stale(at(30, 15, 10), at(30, 15, 30)));
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
