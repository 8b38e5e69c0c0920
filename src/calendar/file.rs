//! Reads the calendar file and says on which line it is wrong.

use super::{Calendar, Hours, SpecialHours, SpecialSession};
use crate::market::TradingDate;
use chrono::{Datelike, NaiveDate, NaiveTime};
use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
};
use toml::Spanned;

/// A calendar file that cannot be used. Whoever names the file shows it to the operator and refuses to start, or on
/// a reload keeps the calendar in use.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CalendarError {
    #[error("calendar line {line}: {reason}")]
    Syntax { line: usize, reason: String },
    #[error("calendar line {line}, {key}: {reason}")]
    Entry { line: usize, key: String, reason: String },
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    years: BTreeSet<i32>,
    hours: Vec<HoursEntry>,
    #[serde(default)]
    holidays: BTreeMap<Spanned<String>, String>,
    #[serde(default)]
    sessions: BTreeMap<Spanned<String>, SessionEntry>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct HoursEntry {
    from: Spanned<String>,
    hours: Spanned<String>,
    #[serde(default)]
    expiring_index_close: Option<Spanned<String>>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct SessionEntry {
    name: String,
    hours: Spanned<String>,
}

/// The file's text, to turn a span into a line.
struct Source<'a>(&'a str);

impl Source<'_> {
    /// Lines count from 1.
    fn line(&self, span: &Range<usize>) -> usize {
        let before = &self.0.as_bytes()[..span.start.min(self.0.len())];
        before.iter().filter(|byte| **byte == b'\n').count() + 1
    }

    fn wrong(&self, span: &Range<usize>, key: &str, reason: impl Into<String>) -> CalendarError {
        CalendarError::Entry { line: self.line(span), key: key.to_owned(), reason: reason.into() }
    }

    fn date(&self, text: &Spanned<String>, key: &str) -> Result<TradingDate, CalendarError> {
        let written = text.as_ref();
        let date = NaiveDate::parse_from_str(written, "%Y-%m-%d").ok();
        // Chrono also reads dates without leading zeros and with signs.
        date.filter(|date| date.to_string() == *written).ok_or_else(|| {
            self.wrong(&text.span(), key, format!("{written:?} is not a date; write YYYY-MM-DD"))
        })
    }

    fn time(&self, span: &Range<usize>, key: &str, written: &str) -> Result<NaiveTime, CalendarError> {
        let time = NaiveTime::parse_from_str(written, "%H:%M").ok();
        time.filter(|time| time.format("%H:%M").to_string() == written)
            .ok_or_else(|| self.wrong(span, key, format!("{written:?} is not a time of day; write HH:MM")))
    }

    fn hours(&self, text: &Spanned<String>, key: &str) -> Result<(NaiveTime, NaiveTime), CalendarError> {
        let (span, written) = (text.span(), text.as_ref());
        let Some((open, close)) = written.split_once('-') else {
            return Err(self.wrong(&span, key, format!("{written:?} are no hours; write \"09:15-15:30\"")));
        };
        let (open, close) = (self.time(&span, key, open)?, self.time(&span, key, close)?);
        if open >= close {
            return Err(self.wrong(&span, key, format!("{written:?} closes before it opens")));
        }
        Ok((open, close))
    }
}

pub(super) fn parse(text: &str) -> Result<Calendar, CalendarError> {
    let source = Source(text);
    let file: File = toml::from_str(text).map_err(|error| CalendarError::Syntax {
        line: error.span().map_or(1, |span| source.line(&span)),
        reason: error.message().to_owned(),
    })?;
    let hours = parse_hours(&source, &file.hours)?;
    let mut holidays = BTreeMap::new();
    for (key, name) in &file.holidays {
        let date = source.date(key, "holidays")?;
        check_year(&source, &file.years, date, &key.span(), "holidays")?;
        holidays.insert(date, name.clone());
    }
    let mut special = BTreeMap::new();
    for (key, entry) in &file.sessions {
        let date = source.date(key, "sessions")?;
        check_year(&source, &file.years, date, &key.span(), "sessions")?;
        if let Some(name) = holidays.get(&date) {
            let reason = format!("{date} is also a holiday ({name}); keep one of the two");
            return Err(source.wrong(&key.span(), "sessions", reason));
        }
        let hours = match entry.hours.as_ref().as_str() {
            "usual" => SpecialHours::Usual,
            "unpublished" => SpecialHours::Unpublished,
            _ => {
                let (open, close) = source.hours(&entry.hours, "sessions")?;
                SpecialHours::Own { open, close }
            }
        };
        special.insert(date, SpecialSession { name: entry.name.clone(), hours });
    }
    Ok(Calendar { known_years: file.years, hours, holidays, special })
}

fn parse_hours(
    source: &Source<'_>,
    entries: &[HoursEntry],
) -> Result<BTreeMap<TradingDate, Hours>, CalendarError> {
    let mut hours = BTreeMap::new();
    for entry in entries {
        let from = source.date(&entry.from, "hours")?;
        let (open, close) = source.hours(&entry.hours, "hours")?;
        let expiring_index_close = match &entry.expiring_index_close {
            Some(text) => {
                let time = source.time(&text.span(), "expiring_index_close", text.as_ref())?;
                if time <= open || time >= close {
                    let reason = format!("{} is not within {}", text.as_ref(), entry.hours.as_ref());
                    return Err(source.wrong(&text.span(), "expiring_index_close", reason));
                }
                Some(time)
            }
            None => None,
        };
        if hours.insert(from, Hours { open, close, expiring_index_close }).is_some() {
            return Err(source.wrong(&entry.from.span(), "hours", format!("{from} has hours already")));
        }
    }
    if hours.is_empty() {
        return Err(source.wrong(&(0..0), "hours", "there is no entry; add [[hours]] with from and hours"));
    }
    Ok(hours)
}

/// A date of a year that is not listed as known would be half a year's holidays: more likely a typing error.
fn check_year(
    source: &Source<'_>,
    years: &BTreeSet<i32>,
    date: TradingDate,
    span: &Range<usize>,
    key: &str,
) -> Result<(), CalendarError> {
    if years.contains(&date.year()) {
        return Ok(());
    }
    Err(source.wrong(span, key, format!("{date} is of a year that `years` does not list")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TEXT: &str = "years = [2026]\n[[hours]]\nfrom = \"2026-01-01\"\nhours = \"09:15-15:30\"\n\
        expiring_index_close = \"15:00\"\n[holidays]\n2026-01-26 = \"Republic Day\"\n[sessions]\n\
        2026-02-01 = { name = \"Budget\", hours = \"usual\" }\n";

    #[test]
    fn errors_name_line_and_key() {
        assert!(parse(TEXT).is_ok(), "{:?}", parse(TEXT));
        for (from, to, expected) in [
            ("2026-01-26 =", "2026-01-32 =", "calendar line 7, holidays: \"2026-01-32\" is not a date"),
            ("2026-01-26 =", "2026-1-26 =", "calendar line 7, holidays: \"2026-1-26\" is not a date"),
            ("2026-01-26 =", "2027-01-26 =", "calendar line 7, holidays: 2027-01-26 is of a year"),
            ("\"usual\"", "\"early\"", "calendar line 9, sessions: \"early\" are no hours"),
            ("\"usual\"", "\"15:00-14:00\"", "calendar line 9, sessions: \"15:00-14:00\" closes"),
            ("2026-02-01 =", "2026-01-26 =", "calendar line 9, sessions: 2026-01-26 is also a holiday"),
            ("09:15-15:30", "9:15-15:30", "calendar line 4, hours: \"9:15\" is not a time of day"),
            ("\"15:00\"", "\"15:30\"", "calendar line 5, expiring_index_close: 15:30 is not within"),
            ("name =", "nam =", "calendar line 9: unknown field"),
            ("years = [2026]", "years = 2026", "calendar line 1: invalid type"),
            ("[sessions]", "[holidays]", "calendar line 8: duplicate key"),
        ] {
            let error = parse(&TEXT.replacen(from, to, 1)).expect_err(expected).to_string();
            assert!(error.starts_with(expected), "{error} is not {expected}");
        }
        let error = parse("years = []\nhours = []\n").expect_err("no hours").to_string();
        assert!(error.contains("there is no entry; add [[hours]]"), "{error}");
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(at in 0..TEXT.len(), inserted in "[0-9\"\\[\\]=\\n -]{0,4}", cut in 0_usize..5) {
            let mut text = TEXT.to_owned();
            text.replace_range(at..(at + cut).min(TEXT.len()), &inserted);
            if let Ok(calendar) = parse(&text) {
                let date = NaiveDate::from_ymd_opt(2026, 1, 27).expect("a date");
                let session = calendar.next_session(date).expect("a weekday");
                prop_assert!(session.open < session.close);
            }
        }
    }
}
