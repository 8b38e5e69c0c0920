//! How the protocol writes instants, and how a person names a time of day.

use crate::market::{Timestamp, TradingDate, ist};
use chrono::{DateTime, NaiveDate, NaiveTime, SecondsFormat, Timelike};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::{fmt, str::FromStr};

/// An instant as the protocol writes it: `2026-01-30T11:42:00+05:30`, with a fraction only where there is one. Read with
/// any offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WallTime(pub Timestamp);

impl From<Timestamp> for WallTime {
    fn from(instant: Timestamp) -> WallTime {
        WallTime(instant)
    }
}

impl Serialize for WallTime {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let local = self.0.to_utc().with_timezone(&ist());
        serializer.serialize_str(&local.to_rfc3339_opts(SecondsFormat::AutoSi, false))
    }
}

impl<'de> Deserialize<'de> for WallTime {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<WallTime, D::Error> {
        let text = String::deserialize(deserializer)?;
        let instant = DateTime::parse_from_rfc3339(&text)
            .map_err(|_| de::Error::custom(format!("{text:?} is not an RFC 3339 instant")))?;
        Ok(WallTime(Timestamp::from(instant.to_utc())))
    }
}

/// A time of day in India, on a given date or on the daemon's own: `11:42`, `11:42:00`, `2026-01-30 11:42[:00]`, or an
/// instant of RFC 3339 with any offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LocalTime {
    /// `None` means the date that the daemon's clock shows.
    pub date: Option<TradingDate>,
    pub time: NaiveTime,
}

impl LocalTime {
    pub fn resolve(self, today: TradingDate) -> Timestamp {
        Timestamp::on(self.date.unwrap_or(today), self.time)
    }
}

/// A text that names no time of day.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{text:?} is not a time; write HH:MM, HH:MM:SS or \"YYYY-MM-DD HH:MM:SS\", in IST, or an RFC 3339 instant"
)]
pub struct LocalTimeError {
    pub text: String,
}

impl FromStr for LocalTime {
    type Err = LocalTimeError;

    fn from_str(text: &str) -> Result<LocalTime, LocalTimeError> {
        let wrong = || LocalTimeError { text: text.to_owned() };
        if let Ok(instant) = DateTime::parse_from_rfc3339(text.trim()) {
            let local = Timestamp::from(instant.to_utc()).to_ist();
            // A time of day is told in whole seconds.
            let time = local.time().with_nanosecond(0).unwrap_or(local.time());
            return Ok(LocalTime { date: Some(local.date()), time });
        }
        let (date, time) = match text.trim().split_once([' ', 'T']) {
            Some((date, time)) => {
                let date = NaiveDate::parse_from_str(date, "%Y-%m-%d").map_err(|_| wrong())?;
                (Some(date), time)
            }
            None => (None, text.trim()),
        };
        let time = NaiveTime::parse_from_str(time, "%H:%M:%S")
            .or_else(|_| NaiveTime::parse_from_str(time, "%H:%M"))
            .map_err(|_| wrong())?;
        Ok(LocalTime { date, time })
    }
}

impl fmt::Display for LocalTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(date) = self.date {
            write!(f, "{date} ")?;
        }
        write!(f, "{}", self.time.format("%H:%M:%S"))
    }
}

impl Serialize for LocalTime {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for LocalTime {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<LocalTime, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_the_forms_people_write() {
        let today = NaiveDate::from_ymd_opt(2026, 1, 30).expect("a date");
        for (text, shown) in [
            ("11:42", "2026-01-30 11:42:00 IST"),
            (" 11:42:07 ", "2026-01-30 11:42:07 IST"),
            ("2026-01-29 15:30", "2026-01-29 15:30:00 IST"),
            ("2026-01-29T15:30:01", "2026-01-29 15:30:01 IST"),
            ("2026-01-29T15:30:01+05:30", "2026-01-29 15:30:01 IST"),
            ("2026-01-29T19:00:00Z", "2026-01-30 00:30:00 IST"),
        ] {
            let local: LocalTime = text.parse().expect("a time");
            assert_eq!(local.resolve(today).to_string(), shown, "{text}");
            assert_eq!(local.to_string().parse(), Ok(local));
        }
        for text in ["", "noon", "25:00", "11", "2026-02-30 11:42", "11:42 IST", "30-01-2026 11:42"] {
            assert!(text.parse::<LocalTime>().is_err(), "{text}");
        }
    }

    #[test]
    fn instants_carry_indias_offset_and_are_read_with_any() {
        let instant = WallTime(Timestamp::from_us(1_769_744_700_000_000));
        assert_eq!(serde_json::to_string(&instant).expect("JSON"), "\"2026-01-30T09:15:00+05:30\"");
        for text in ["\"2026-01-30T03:45:00Z\"", "\"2026-01-30T09:15:00.000+05:30\""] {
            assert_eq!(serde_json::from_str::<WallTime>(text).expect("an instant"), instant);
        }
        assert!(serde_json::from_str::<WallTime>("\"2026-01-30 09:15\"").is_err());
    }

    proptest! {
        #[test]
        fn instants_survive_the_wire_to_the_microsecond(epoch_us in 0_i64..4_000_000_000_000_000) {
            let instant = WallTime(Timestamp::from_us(epoch_us));
            let text = serde_json::to_string(&instant).expect("JSON");
            prop_assert_eq!(serde_json::from_str::<WallTime>(&text).expect("an instant"), instant);
        }
    }
}
