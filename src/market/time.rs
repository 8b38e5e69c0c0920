//! Instants, trading dates and the 3-minute buckets they fall into.
//!
//! India has one zone without daylight saving, so IST is a fixed offset of 5 h 30 min.

use chrono::{DateTime, FixedOffset, NaiveDate, NaiveDateTime, NaiveTime, Utc};
use std::fmt;

/// Length of an open-interest bucket in minutes.
pub const BUCKET_MINUTES: i64 = 3;

const MICROS_PER_SECOND: i64 = 1_000_000;
const IST_OFFSET_SECONDS: i64 = 19_800;
const MICROS_PER_DAY: i64 = 86_400 * MICROS_PER_SECOND;

/// A trading date in the exchange's zone.
pub type TradingDate = NaiveDate;

/// Indian Standard Time.
pub fn ist() -> FixedOffset {
    FixedOffset::east_opt(IST_OFFSET_SECONDS as i32).expect("5 h 30 min is a valid offset")
}

/// An instant, in microseconds of UTC since 1970.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// Before every other: never, as the time of something that has not been.
    pub const NEVER: Timestamp = Timestamp(i64::MIN);

    #[inline]
    pub const fn from_us(epoch_us: i64) -> Timestamp {
        Timestamp(epoch_us)
    }

    #[inline]
    pub const fn as_us(self) -> i64 {
        self.0
    }

    /// From milliseconds since 1970. `None` on overflow.
    pub const fn from_ms(epoch_ms: i64) -> Option<Timestamp> {
        match epoch_ms.checked_mul(1_000) {
            Some(epoch_us) => Some(Timestamp(epoch_us)),
            None => None,
        }
    }

    pub const fn as_ms(self) -> i64 {
        self.0.div_euclid(1_000)
    }

    /// From seconds since 1970. `None` on overflow.
    pub const fn from_seconds(epoch_seconds: i64) -> Option<Timestamp> {
        match epoch_seconds.checked_mul(MICROS_PER_SECOND) {
            Some(epoch_us) => Some(Timestamp(epoch_us)),
            None => None,
        }
    }

    /// The instant at which clocks in India show `local`.
    pub fn from_ist(local: NaiveDateTime) -> Timestamp {
        Timestamp(local.and_utc().timestamp_micros() - IST_OFFSET_SECONDS * MICROS_PER_SECOND)
    }

    /// The instant of a time of day in India.
    pub fn on(date: TradingDate, time: NaiveTime) -> Timestamp {
        Self::from_ist(date.and_time(time))
    }

    /// What clocks in India show. Instants outside chrono's years fold to its ends.
    pub fn to_ist(self) -> NaiveDateTime {
        let local_us = self.0.saturating_add(IST_OFFSET_SECONDS * MICROS_PER_SECOND);
        let fallback = if local_us < 0 { NaiveDateTime::MIN } else { NaiveDateTime::MAX };
        DateTime::<Utc>::from_timestamp_micros(local_us).map_or(fallback, |utc| utc.naive_utc())
    }

    pub fn to_utc(self) -> DateTime<Utc> {
        let fallback = if self.0 < 0 { DateTime::<Utc>::MIN_UTC } else { DateTime::<Utc>::MAX_UTC };
        DateTime::<Utc>::from_timestamp_micros(self.0).unwrap_or(fallback)
    }

    /// The date in India at this instant.
    pub fn date_ist(self) -> TradingDate {
        self.to_ist().date()
    }

    #[inline]
    pub const fn plus_us(self, us: i64) -> Timestamp {
        Timestamp(self.0.saturating_add(us))
    }

    pub const fn plus_seconds(self, seconds: i64) -> Timestamp {
        self.plus_us(seconds.saturating_mul(MICROS_PER_SECOND))
    }

    /// Microseconds from `earlier` to here; negative if `earlier` is later.
    #[inline]
    pub const fn us_since(self, earlier: Timestamp) -> i64 {
        self.0.saturating_sub(earlier.0)
    }

    /// The start of the interval of `minutes` (a divisor of a day) this falls into, counted from midnight IST.
    pub const fn floor_to_minutes(self, minutes: i64) -> Timestamp {
        let offset_us = IST_OFFSET_SECONDS * MICROS_PER_SECOND;
        let local_us = self.0.saturating_add(offset_us);
        let into_day_us = local_us.rem_euclid(MICROS_PER_DAY);
        Timestamp(self.0.saturating_sub(into_day_us % (minutes * 60 * MICROS_PER_SECOND)))
    }
}

impl From<DateTime<Utc>> for Timestamp {
    fn from(utc: DateTime<Utc>) -> Timestamp {
        Timestamp(utc.timestamp_micros())
    }
}

impl fmt::Display for Timestamp {
    /// `2026-01-30 09:15:00 IST`, with a fraction only where there is one.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} IST", self.to_ist().format("%Y-%m-%d %H:%M:%S%.f"))
    }
}

/// A 3-minute bucket, named by its start. 09:15 and 15:30 IST fall on edges.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bucket(Timestamp);

impl Bucket {
    pub const LENGTH_US: i64 = BUCKET_MINUTES * 60 * MICROS_PER_SECOND;

    pub const fn containing(instant: Timestamp) -> Bucket {
        Bucket(instant.floor_to_minutes(BUCKET_MINUTES))
    }

    pub const fn start(self) -> Timestamp {
        self.0
    }

    /// The first instant after the bucket.
    pub const fn end(self) -> Timestamp {
        self.0.plus_us(Self::LENGTH_US)
    }

    pub const fn next(self) -> Bucket {
        Bucket(self.end())
    }

    /// Position within its day, counted from midnight IST: 0 to 479.
    pub fn index_in_day(self) -> usize {
        let local_us = self.0.as_us().saturating_add(IST_OFFSET_SECONDS * MICROS_PER_SECOND);
        (local_us.rem_euclid(MICROS_PER_DAY) / Self::LENGTH_US) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(hour: u32, minute: u32, second: u32) -> Timestamp {
        let date = NaiveDate::from_ymd_opt(2026, 1, 30).expect("a date");
        Timestamp::on(date, NaiveTime::from_hms_opt(hour, minute, second).expect("a time"))
    }

    #[test]
    fn session_edges_are_bucket_edges() {
        for (hour, minute) in [(9, 15), (15, 30), (15, 45)] {
            assert_eq!(Bucket::containing(at(hour, minute, 0)).start(), at(hour, minute, 0));
        }
        assert_eq!(Bucket::containing(at(9, 17, 59)).start(), at(9, 15, 0));
        assert_eq!(Bucket::containing(at(0, 1, 0)).index_in_day(), 0);
        assert_eq!(Bucket::containing(at(23, 59, 59)).index_in_day(), 479);
    }

    #[test]
    fn ist_is_five_and_a_half_hours_ahead() {
        assert_eq!(at(9, 15, 0).to_utc().to_rfc3339(), "2026-01-30T03:45:00+00:00");
        assert_eq!(at(9, 15, 0).to_string(), "2026-01-30 09:15:00 IST");
        assert_eq!(at(0, 0, 1).date_ist(), NaiveDate::from_ymd_opt(2026, 1, 30).expect("a date"));
    }

    proptest! {
        #[test]
        fn every_instant_lies_in_its_bucket(epoch_us in -1_000_000_000_000_000_i64..4_000_000_000_000_000) {
            let instant = Timestamp::from_us(epoch_us);
            let bucket = Bucket::containing(instant);
            prop_assert!(bucket.start() <= instant && instant < bucket.end());
            prop_assert_eq!(Bucket::containing(bucket.start()), bucket);
        }
    }
}
