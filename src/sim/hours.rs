//! Trading hours of the days that a market is played on.
//!
//! Hours are those of the embedded calendar. A played day that the calendar counts as closed (a synthetic Saturday,
//! bodies recorded on a holiday) has the usual hours, 09:15 to 15:30.

use crate::{
    calendar::{Calendar, Session},
    market::{Timestamp, TradingDate},
};
use chrono::NaiveTime;

#[derive(Debug)]
pub(super) struct PlayedHours {
    calendar: Calendar,
    first: TradingDate,
    /// `None` if the play is endless.
    last: Option<TradingDate>,
}

impl PlayedHours {
    pub fn new(first: TradingDate, last: Option<TradingDate>) -> PlayedHours {
        PlayedHours { calendar: Calendar::embedded(), first, last }
    }

    /// The hours of a date, played or not.
    pub fn of(&self, date: TradingDate) -> Session {
        let usual = || {
            let at = |hour, minute| {
                Timestamp::on(date, NaiveTime::from_hms_opt(hour, minute, 0).expect("a time of day"))
            };
            Session { date, open: at(9, 15), close: at(15, 30), expiring_index_close: None }
        };
        self.calendar.session(date).unwrap_or_else(usual)
    }

    /// The hours of a date, if something is played on it.
    pub fn played_on(&self, date: TradingDate) -> Option<Session> {
        let is_played = self.first <= date && self.last.is_none_or(|last| date <= last);
        is_played.then(|| self.of(date))
    }

    /// The first played session after a date.
    pub fn next_after(&self, date: TradingDate) -> Option<Session> {
        self.played_on(date.succ_opt()?.max(self.first))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hours_are_the_calendars_and_else_the_usual_ones() {
        let date = |text: &str| text.parse::<TradingDate>().expect("a date");
        let hours = PlayedHours::new(date("2026-01-30"), Some(date("2026-01-31")));
        let text = |session: Session| (session.open.to_string(), session.close.to_string());
        let (open, close) = text(hours.of(date("2026-11-26")));
        assert_eq!((open.as_str(), close.as_str()), ("2026-11-26 09:15:00 IST", "2026-11-26 15:40:00 IST"));
        let saturday = hours.played_on(date("2026-01-31")).expect("it is played");
        assert_eq!(saturday.close.to_string(), "2026-01-31 15:30:00 IST");
        assert_eq!(hours.played_on(date("2026-02-01")), None);
        assert_eq!(hours.next_after(date("2026-01-20")).map(|next| next.date), Some(date("2026-01-30")));
        assert_eq!(hours.next_after(date("2026-01-30")).map(|next| next.date), Some(date("2026-01-31")));
        assert_eq!(hours.next_after(date("2026-01-31")), None);
    }
}
