//! Which stored runs of coverage a batch replaces.

use super::batch::CoverageDay;
use crate::market::{CoverageRun, InstrumentId, Timestamp, TradingDate};
use chrono::{Days, NaiveTime};
use std::collections::BTreeMap;

/// A day in India as instants: its first, and the first of the day after.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct DaySpan {
    pub from: Timestamp,
    pub until: Timestamp,
}

impl DaySpan {
    pub fn of(date: TradingDate) -> DaySpan {
        let after = date.checked_add_days(Days::new(1)).unwrap_or(date);
        DaySpan { from: Timestamp::on(date, NaiveTime::MIN), until: Timestamp::on(after, NaiveTime::MIN) }
    }
}

/// The last of a batch's words on each instrument's day, in the order of the key.
pub(super) fn last_of_each_day(
    days: &[CoverageDay],
) -> BTreeMap<(InstrumentId, TradingDate), &Vec<CoverageRun>> {
    days.iter().map(|day| ((day.instrument, day.date), &day.runs)).collect()
}
