//! Expiry dates as Angel One writes them: `30JUN2026`.

use chrono::NaiveDate;

const MONTHS: [&str; 12] =
    ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"];

/// Two digits of the day, three letters of the month in upper case, four digits of the year.
pub(super) fn parse(text: &str) -> Option<NaiveDate> {
    let (day, month, year) = (text.get(..2)?, text.get(2..5)?, text.get(5..)?);
    let digits = |part: &str, length: usize| {
        (part.len() == length && part.bytes().all(|byte| byte.is_ascii_digit()))
            .then(|| part.parse::<u32>().ok())
            .flatten()
    };
    let month = MONTHS.iter().position(|name| *name == month)? as u32 + 1;
    NaiveDate::from_ymd_opt(digits(year, 4)? as i32, month, digits(day, 2)?)
}

pub(super) fn write(date: NaiveDate) -> String {
    date.format("%d%b%Y").to_string().to_ascii_uppercase()
}

/// Reads and writes an expiry in JSON.
pub(super) mod as_text {
    use chrono::NaiveDate;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};
    use std::borrow::Cow;

    pub fn serialize<S: Serializer>(date: &NaiveDate, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&super::write(*date))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<NaiveDate, D::Error> {
        let text = Cow::<str>::deserialize(deserializer)?;
        super::parse(&text)
            .ok_or_else(|| D::Error::custom(format_args!("{text:?} is not a date like 30JUN2026")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_writes_and_nothing_else() {
        let date = NaiveDate::from_ymd_opt(2026, 6, 3).expect("a date");
        assert_eq!(write(date), "03JUN2026");
        assert_eq!(parse("03JUN2026"), Some(date));
        for text in ["", "3JUN2026", "03Jun2026", "31FEB2026", "03JUN26", "03JUN20266", "+3JUN2026", "ééééé"]
        {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
