//! Field types shared by NSE's JSON bodies: dates, date-times and numbers in the forms the website writes them.
//!
//! They parse inside serde, so that an error carries the line and column of the field.

use crate::market::{Price, Timestamp, TradingDate};
use chrono::{Datelike, NaiveDate, NaiveTime, Timelike};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::fmt;

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// The number of a month's English short name in any case, from 1.
pub(super) fn month_from_name(name: &[u8]) -> Option<u32> {
    let position = MONTHS.iter().position(|month| month.as_bytes().eq_ignore_ascii_case(name))?;
    u32::try_from(position + 1).ok()
}

/// The English short name of a date's month.
pub(super) fn month_name(month: u32) -> &'static str {
    MONTHS[(month.clamp(1, 12) - 1) as usize]
}

/// ASCII digits only.
pub(super) fn digits(text: &[u8]) -> Option<u32> {
    if text.is_empty() || text.len() > 9 || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(text.iter().fold(0, |sum, byte| sum * 10 + u32::from(byte - b'0')))
}

/// Reads `15-Sep-2026` and `15-09-2026`.
pub(super) fn parse_date(text: &[u8]) -> Option<NaiveDate> {
    let (day, rest) = (text.get(..2)?, text.get(2..)?.strip_prefix(b"-")?);
    let split = rest.iter().position(|byte| *byte == b'-')?;
    let (month, year) = (&rest[..split], &rest[split + 1..]);
    let month = if month.len() == 2 { digits(month)? } else { month_from_name(month)? };
    let year = if year.len() == 4 { digits(year)? } else { return None };
    NaiveDate::from_ymd_opt(i32::try_from(year).ok()?, month, digits(day)?)
}

/// Reads `19-Jun-2026 15:30:00`, IST.
fn parse_date_time(text: &[u8]) -> Option<Timestamp> {
    let split = text.iter().position(|byte| *byte == b' ')?;
    let date = parse_date(&text[..split])?;
    let time = &text[split + 1..];
    if time.len() != 8 || time[2] != b':' || time[5] != b':' {
        return None;
    }
    let time = NaiveTime::from_hms_opt(digits(&time[..2])?, digits(&time[3..5])?, digits(&time[6..])?)?;
    Some(Timestamp::on(date, time))
}

/// `15-Sep-2026`.
pub(super) fn format_date(date: TradingDate) -> String {
    format!("{:02}-{}-{:04}", date.day(), month_name(date.month()), date.year())
}

/// `15-09-2026`.
pub(super) fn format_date_numeric(date: TradingDate) -> String {
    format!("{:02}-{:02}-{:04}", date.day(), date.month(), date.year())
}

/// `19-Jun-2026 15:30:00`; a fraction of a second is cut off.
pub(super) fn format_date_time(instant: Timestamp) -> String {
    let local = instant.to_ist();
    let (hour, minute, second) = (local.hour(), local.minute(), local.second());
    format!("{} {hour:02}:{minute:02}:{second:02}", format_date(local.date()))
}

/// A date in either of the website's forms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct DateField(pub NaiveDate);

struct DateVisitor;

impl de::Visitor<'_> for DateVisitor {
    type Value = DateField;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a date like 15-Sep-2026 or 15-09-2026")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<DateField, E> {
        let date = parse_date(text.as_bytes());
        date.map(DateField).ok_or_else(|| E::invalid_value(de::Unexpected::Str(text), &self))
    }
}

impl<'de> Deserialize<'de> for DateField {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<DateField, D::Error> {
        deserializer.deserialize_str(DateVisitor)
    }
}

/// An instant as IST text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct InstantField(pub Timestamp);

struct InstantVisitor;

impl de::Visitor<'_> for InstantVisitor {
    type Value = InstantField;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a time like 19-Jun-2026 15:30:00")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<InstantField, E> {
        let instant = parse_date_time(text.as_bytes());
        instant.map(InstantField).ok_or_else(|| E::invalid_value(de::Unexpected::Str(text), &self))
    }
}

impl<'de> Deserialize<'de> for InstantField {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<InstantField, D::Error> {
        deserializer.deserialize_str(InstantVisitor)
    }
}

/// A number of rupees, as a number or as text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RupeesField(pub Price);

struct RupeesVisitor;

impl de::Visitor<'_> for RupeesVisitor {
    type Value = RupeesField;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number of rupees from 0 to 100 million")
    }

    fn visit_f64<E: de::Error>(self, rupees: f64) -> Result<RupeesField, E> {
        let price =
            Price::from_rupees(rupees).filter(|price| (Price::ZERO..=Price::LARGEST_QUOTED).contains(price));
        price.map(RupeesField).ok_or_else(|| E::invalid_value(de::Unexpected::Float(rupees), &self))
    }

    fn visit_i64<E: de::Error>(self, rupees: i64) -> Result<RupeesField, E> {
        self.visit_f64(rupees as f64)
    }

    fn visit_u64<E: de::Error>(self, rupees: u64) -> Result<RupeesField, E> {
        self.visit_f64(rupees as f64)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<RupeesField, E> {
        let price = text.trim().parse();
        price.map(RupeesField).map_err(|_| E::invalid_value(de::Unexpected::Str(text), &self))
    }
}

impl<'de> Deserialize<'de> for RupeesField {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<RupeesField, D::Error> {
        deserializer.deserialize_any(RupeesVisitor)
    }
}

/// A JSON number, written without a fraction where it has none, as the website does.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Number(pub f64);

impl Serialize for Number {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0.fract() == 0.0 && self.0.abs() < 9_007_199_254_740_992.0 {
            serializer.serialize_i64(self.0 as i64)
        } else {
            serializer.serialize_f64(self.0)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn refuses_what_is_no_date() {
        for text in
            ["", "1-Sep-2026", "31-Jun-2026", "15-Sep-26", "15/09/2026", "15-Sept-2026", "15-09-2026 ", "--"]
        {
            assert_eq!(parse_date(text.as_bytes()), None, "{text}");
        }
        for text in ["15-Sep-2026", "15-Sep-2026 15:30", "15-Sep-2026 24:00:00", "15-Sep-2026 1:00:000"] {
            assert_eq!(parse_date_time(text.as_bytes()), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn dates_and_times_come_back(day in 0_i32..3_000_000, second in 0_i64..86_400) {
            let date = NaiveDate::from_ymd_opt(1, 1, 1).expect("a date") + chrono::Days::new(u64::from(day.unsigned_abs()));
            prop_assert_eq!(parse_date(format_date(date).as_bytes()), Some(date));
            prop_assert_eq!(parse_date(format_date_numeric(date).as_bytes()), Some(date));
            let instant = Timestamp::on(date, NaiveTime::MIN).plus_seconds(second);
            prop_assert_eq!(parse_date_time(format_date_time(instant).as_bytes()), Some(instant));
        }
    }
}
