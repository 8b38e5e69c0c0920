//! The exchange's trading days and sessions, from dated data.
//!
//! Owns the reading of the calendar file and every question about dates: whether a date has a session, when it opens
//! and closes, which comes next. Pure: the text is handed in, and the embedded one is part of the program.
//!
//! Invariants: a session opens before it closes, on one date; the same text gives the same answers. Left out: pre-open
//! auctions, settlement holidays, and the clearing of other segments.

mod file;
mod session;

pub use file::CalendarError;
pub use session::Session;

use crate::market::{Timestamp, TradingDate};
use chrono::{Datelike, NaiveTime, Weekday};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

/// The calendar that the program carries.
pub const EMBEDDED: &str = include_str!("../../config/calendar/nse.toml");

/// Of December: by then NSE has published the next year's holidays.
const NEXT_YEAR_DUE_DAY: u32 = 20;
/// How far [`Calendar::next_session`] and [`Calendar::last_session`] look.
const SEARCH_DAYS: usize = 400;

/// Trading days and hours of NSE's equity derivatives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Calendar {
    known_years: BTreeSet<i32>,
    /// Ordinary hours by the first date they hold for. Never empty; dates before the first entry use it too.
    hours: BTreeMap<TradingDate, Hours>,
    holidays: BTreeMap<TradingDate, String>,
    special: BTreeMap<TradingDate, SpecialSession>,
}

/// Opening and closing time of day, IST.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Hours {
    open: NaiveTime,
    close: NaiveTime,
    expiring_index_close: Option<NaiveTime>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct SpecialSession {
    name: String,
    hours: SpecialHours,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SpecialHours {
    Usual,
    Unpublished,
    Own { open: NaiveTime, close: NaiveTime },
}

/// Something an operator should know about a date. Shown as a sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CalendarWarning {
    YearUnknown {
        date: TradingDate,
    },
    /// The year after `date`'s is not known yet.
    NextYearUnknown {
        date: TradingDate,
    },
    HoursUnpublished {
        date: TradingDate,
        name: String,
    },
}

impl CalendarWarning {
    /// Whether something should have been done about it by now.
    pub fn is_urgent(&self) -> bool {
        match self {
            CalendarWarning::YearUnknown { .. } | CalendarWarning::HoursUnpublished { .. } => true,
            CalendarWarning::NextYearUnknown { date } => date.day() >= NEXT_YEAR_DUE_DAY,
        }
    }
}

impl fmt::Display for CalendarWarning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CalendarWarning::YearUnknown { date } => {
                let year = date.year();
                write!(
                    f,
                    "the calendar lists no holidays of {year}, so every weekday counts as a trading day; add the \
                     holidays of {year} and the year itself to the calendar file"
                )
            }
            CalendarWarning::NextYearUnknown { date } => {
                let year = date.year() + 1;
                write!(
                    f,
                    "the calendar lists no holidays of {year}, which begins in {} days; when NSE has published them, add \
                     the holidays of {year} and the year itself to the calendar file",
                    TradingDate::from_ymd_opt(year, 1, 1).map_or(0, |first| (first - *date).num_days()),
                )
            }
            CalendarWarning::HoursUnpublished { date, name } => write!(
                f,
                "{name} on {date} has no published hours, so the date counts as closed; when NSE publishes them, set \
                 `hours` of {date} under [sessions] in the calendar file, for example hours = \"18:00-19:00\""
            ),
        }
    }
}

impl Calendar {
    /// Reads a calendar file's text.
    pub fn load(text: &str) -> Result<Calendar, CalendarError> {
        file::parse(text)
    }

    /// The calendar that the program carries.
    pub fn embedded() -> Calendar {
        Calendar::load(EMBEDDED).expect("the embedded calendar is read by a test")
    }

    /// Whether the year's holidays are listed. In an unknown year weekdays are assumed to be trading days.
    pub fn is_known(&self, year: i32) -> bool {
        self.known_years.contains(&year)
    }

    /// The session of `date`; `None` on a day without one, or with one whose hours are not known.
    pub fn session(&self, date: TradingDate) -> Option<Session> {
        let usual = self.usual_hours(date);
        let hours = match self.special.get(&date).map(|special| special.hours) {
            Some(SpecialHours::Usual) => usual,
            Some(SpecialHours::Unpublished) => return None,
            Some(SpecialHours::Own { open, close }) => Hours { open, close, ..usual },
            None if matches!(date.weekday(), Weekday::Sat | Weekday::Sun) => return None,
            None if self.holidays.contains_key(&date) => return None,
            None => usual,
        };
        // A session with hours of its own may lie wholly before or after the expiring contracts' usual end.
        let expiring = hours.expiring_index_close.filter(|close| hours.open < *close && *close < hours.close);
        Some(Session {
            date,
            open: Timestamp::on(date, hours.open),
            close: Timestamp::on(date, hours.close),
            expiring_index_close: expiring.map(|close| Timestamp::on(date, close)),
        })
    }

    fn usual_hours(&self, date: TradingDate) -> Hours {
        let in_force = self.hours.range(..=date).next_back().or_else(|| self.hours.iter().next());
        *in_force.expect("a calendar is not read without hours").1
    }

    /// The first session on a date after `date`; `None` if there is none for more than a year.
    pub fn next_session(&self, date: TradingDate) -> Option<Session> {
        date.iter_days().skip(1).take(SEARCH_DAYS).find_map(|date| self.session(date))
    }

    /// The last session that has begun by `now`; `None` if there was none for more than a year.
    pub fn last_session(&self, now: Timestamp) -> Option<Session> {
        let days = std::iter::successors(Some(now.date_ist()), TradingDate::pred_opt);
        let mut sessions = days.take(SEARCH_DAYS).filter_map(|date| self.session(date));
        sessions.find(|session| session.open <= now)
    }

    /// The holiday's or the special session's name.
    pub fn name(&self, date: TradingDate) -> Option<&str> {
        let special = self.special.get(&date).map(|special| &special.name);
        special.or_else(|| self.holidays.get(&date)).map(String::as_str)
    }

    /// What is doubtful about `date`'s session, or about its absence.
    pub fn warnings(&self, date: TradingDate) -> Vec<CalendarWarning> {
        let mut warnings = Vec::new();
        if !self.is_known(date.year()) {
            warnings.push(CalendarWarning::YearUnknown { date });
        }
        if let Some(SpecialSession { name, hours: SpecialHours::Unpublished }) = self.special.get(&date) {
            warnings.push(CalendarWarning::HoursUnpublished { date, name: name.clone() });
        }
        warnings
    }

    /// In December, if the year after `date`'s is not known: NSE publishes a year's holidays in the middle of the December
    /// before. [`CalendarWarning::is_urgent`] from the 20th on.
    pub fn next_year_warning(&self, date: TradingDate) -> Option<CalendarWarning> {
        let is_due = date.month() == 12 && self.is_known(date.year()) && !self.is_known(date.year() + 1);
        is_due.then_some(CalendarWarning::NextYearUnknown { date })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::market::{Bucket, Contract, Exchange, OptionType, Price};
    use chrono::{Days, NaiveDate};
    use proptest::prelude::*;

    fn date(year: i32, month: u32, day: u32) -> TradingDate {
        NaiveDate::from_ymd_opt(year, month, day).expect("a date")
    }

    fn hours(date: TradingDate) -> Option<String> {
        let session = Calendar::embedded().session(date)?;
        let time = |instant: Timestamp| instant.to_ist().format("%H:%M").to_string();
        let expiring = session.expiring_index_close.map(time);
        Some(format!("{}-{} {}", time(session.open), time(session.close), expiring.unwrap_or_default()))
    }

    #[test]
    fn hours_follow_their_dates() {
        for (day, expected) in [
            (date(2026, 1, 30), Some("09:15-15:30 ")),
            (date(2026, 7, 31), Some("09:15-15:30 ")),
            (date(2026, 8, 3), Some("09:15-15:40 ")),
            (date(2026, 12, 4), Some("09:15-15:40 ")),
            (date(2026, 12, 7), Some("09:15-15:45 15:30")),
            (date(2026, 12, 5), None),
            (date(2026, 12, 25), None),
            (date(2026, 2, 1), Some("09:15-15:30 ")),
            (date(2025, 10, 21), Some("13:45-14:45 ")),
            (date(2024, 11, 1), Some("18:00-19:00 ")),
            (date(2024, 3, 2), None),
            (date(2026, 11, 8), None),
            (date(2019, 1, 1), Some("09:15-15:30 ")),
        ] {
            assert_eq!(hours(day).as_deref(), expected, "{day}");
        }
    }

    #[test]
    fn a_year_has_as_many_sessions_as_it_had() {
        let calendar = Calendar::embedded();
        let sessions = |year| {
            let days = date(year, 1, 1).iter_days().take_while(|date| date.year() == year);
            days.filter(|date| calendar.session(*date).is_some()).count()
        };
        // 261 weekdays less 13 holidays, and the Saturday of the Budget.
        assert_eq!(sessions(2025), 249);
        // 261 weekdays less 16 holidays, and the Sunday of the Budget.
        assert_eq!(sessions(2026), 246);
    }

    #[test]
    fn sessions_follow_each_other() {
        let calendar = Calendar::embedded();
        let next = |day| calendar.next_session(day).expect("a session").date;
        assert_eq!(next(date(2026, 1, 30)), date(2026, 2, 1));
        assert_eq!(next(date(2026, 4, 2)), date(2026, 4, 6));
        assert_eq!(next(date(2026, 11, 6)), date(2026, 11, 9));
        assert_eq!(calendar.next_session(NaiveDate::MAX), None);
    }

    #[test]
    fn the_last_session_is_the_one_that_has_begun() {
        let calendar = Calendar::embedded();
        let last = |day, hour, minute| {
            let now = Timestamp::on(day, NaiveTime::from_hms_opt(hour, minute, 0).expect("a time"));
            calendar.last_session(now).map(|session| session.date)
        };
        let friday = date(2026, 1, 30);
        assert_eq!(last(friday, 9, 14), Some(date(2026, 1, 29)), "not open yet");
        assert_eq!(last(friday, 9, 15), Some(friday));
        assert_eq!(last(date(2026, 1, 31), 12, 0), Some(friday), "a Saturday");
        assert_eq!(last(date(2026, 1, 27), 9, 0), Some(date(2026, 1, 23)), "after a holiday");
    }

    #[test]
    fn doubts_are_told() {
        let calendar = Calendar::embedded();
        assert!(calendar.warnings(date(2026, 1, 30)).is_empty());
        let warning = &calendar.warnings(date(2026, 11, 8))[0];
        let expected = "Muhurat trading on 2026-11-08 has no published hours, so the date counts as closed";
        assert!(warning.to_string().starts_with(expected) && warning.is_urgent(), "{warning}");
        assert!(!calendar.is_known(2027));
        assert!(calendar.session(date(2027, 1, 26)).is_some());
        let warning = &calendar.warnings(date(2027, 1, 26))[0];
        assert!(warning.to_string().starts_with("the calendar lists no holidays of 2027"), "{warning}");
        assert_eq!(calendar.name(date(2026, 1, 26)), Some("Republic Day"));
    }

    #[test]
    fn a_year_that_is_lacking_is_told_in_the_december_before() {
        let calendar = Calendar::embedded();
        assert_eq!(calendar.next_year_warning(date(2026, 11, 30)), None);
        let early = calendar.next_year_warning(date(2026, 12, 1)).expect("a warning");
        assert!(
            early.to_string().starts_with("the calendar lists no holidays of 2027, which begins in 31 days")
        );
        let late = calendar.next_year_warning(date(2026, 12, 20)).expect("a warning");
        assert_eq!((early.is_urgent(), late.is_urgent()), (false, true));
        assert_eq!(calendar.next_year_warning(date(2025, 12, 20)), None, "it has 2026");
    }

    #[test]
    fn expiring_index_contracts_stop_earlier() {
        let calendar = Calendar::embedded();
        let expiry = date(2026, 12, 8);
        let session = calendar.session(expiry).expect("a session");
        let option = |underlying, expiry| {
            let strike = Price::from_e4(250_000_000);
            Contract::option(Exchange::Nse, underlying, expiry, strike, OptionType::Call)
        };
        let at =
            |hour, minute| Timestamp::on(expiry, NaiveTime::from_hms_opt(hour, minute, 0).expect("a time"));
        assert_eq!(session.close_for(&option("NIFTY", expiry)), at(15, 30));
        assert_eq!(session.close_for(&option("NIFTY", date(2026, 12, 15))), at(15, 45));
        assert_eq!(session.close_for(&option("RELIANCE", expiry)), at(15, 45));
        assert_eq!(session.close_for(&Contract::index(Exchange::Nse, "NIFTY")), at(15, 45));
        // 09:15 to 15:45 is 130 buckets; to 15:40 the 129th is short.
        assert_eq!(session.buckets().count(), 130);
        let short = calendar.session(date(2026, 11, 20)).expect("a session");
        assert_eq!(short.buckets().count(), 129);
        assert!(short.buckets().last().is_some_and(|last| last.end() > short.close));
    }

    fn any_date() -> impl Strategy<Value = TradingDate> {
        (0_u64..5_000).prop_map(|days| date(2020, 1, 1) + Days::new(days))
    }

    proptest! {
        #[test]
        fn sessions_hold_together(day in any_date()) {
            let calendar = Calendar::embedded();
            if let Some(session) = calendar.session(day) {
                prop_assert_eq!(session.date, day);
                prop_assert!(session.open < session.close);
                prop_assert!(session.contains(session.open) && !session.contains(session.close));
                prop_assert!(session.contains(session.close.plus_us(-1)));
                let buckets: Vec<Bucket> = session.buckets().collect();
                prop_assert_eq!(buckets[0].start(), session.open);
                prop_assert!(buckets.windows(2).all(|pair| pair[0].next() == pair[1]));
                let last = buckets[buckets.len() - 1];
                prop_assert!(last.start() < session.close && session.close <= last.end());
            }
        }

        #[test]
        fn no_session_is_skipped(day in any_date()) {
            let calendar = Calendar::embedded();
            let next = calendar.next_session(day).expect("a session within the year");
            prop_assert!(next.date > day);
            let skipped = day.iter_days().skip(1).take_while(|between| *between < next.date);
            for between in skipped {
                prop_assert_eq!(calendar.session(between), None);
            }
            prop_assert_eq!(calendar.session(next.date), Some(next));
        }
    }
}
