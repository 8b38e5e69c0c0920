//! Whether a day's log has data of its session: what a store that has nothing of the day lacks.

use super::{Mark, SessionTimes, Source, SpoolError, SpoolReader};
use crate::market::{Timestamp, TradingDate};
use std::path::Path;

/// What a day's log has of a session. Copies of the session before, as a holiday brings them, are none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionData {
    Nothing,
    /// Stamped by the exchange within the session that the log's rules name; anything stamped that day where it has no rules.
    OfRules,
    /// Stamped within the session that the calendar has, of which the log's rules know nothing: no row is made of it.
    OfCalendar,
}

/// Reads up to the first data of the rules' session, or all of the log.
///
/// # Errors
/// When the log cannot be read.
pub fn session_data(
    directory: &Path,
    date: TradingDate,
    by_calendar: Option<SessionTimes>,
) -> Result<SessionData, SpoolError> {
    let (mut session, mut is_ruled, mut is_of_calendar) = (None::<SessionTimes>, false, false);
    let contains =
        |times: SessionTimes, stamp: Timestamp| (times.open_us..times.close_us).contains(&stamp.as_us());
    for read in SpoolReader::open_own(directory, date)? {
        let record = match read {
            Ok(record) => record,
            Err(SpoolError::Damaged(_)) => continue,
            Err(error) => return Err(error),
        };
        if record.source == Source::MARK {
            if let Ok(Mark::Rules { rules }) = serde_json::from_slice(record.frames.bytes()) {
                (session, is_ruled) = (rules.session, true);
            }
            continue;
        }
        if is_ruled && session.is_none() && (by_calendar.is_none() || is_of_calendar) {
            continue;
        }
        for stamp in record.frames.iter().filter_map(|frame| record.source.exchange_stamp(frame)) {
            let is_of_rules = match session {
                Some(session) => contains(session, stamp),
                None => !is_ruled && stamp.date_ist() == date,
            };
            if is_of_rules {
                return Ok(SessionData::OfRules);
            }
            is_of_calendar |= session.is_none() && by_calendar.is_some_and(|times| contains(times, stamp));
        }
    }
    // A session that was given later: what was before it is missing.
    let is_unknown = is_of_calendar && session.is_none();
    Ok(if is_unknown { SessionData::OfCalendar } else { SessionData::Nothing })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        market::{ProviderToken, Segment},
        spool::{DayRules, Frames, NewRecord, Spool},
        wire::angel_one,
    };

    fn date() -> TradingDate {
        TradingDate::from_ymd_opt(2026, 1, 30).expect("a date")
    }

    fn at(hour: i64) -> Timestamp {
        Timestamp::on(date(), chrono::NaiveTime::MIN).plus_seconds(3_600 * hour)
    }

    fn packet(now: Timestamp) -> NewRecord {
        let day = angel_one::DayStatistics::default();
        let mut bytes = Vec::new();
        angel_one::Packet {
            token: ProviderToken { segment: Segment::NseFo, token: 35_000 },
            sequence: 1,
            exchange_time_ms: now.as_ms(),
            last_price_paise: 10_000,
            detail: angel_one::Detail::SnapQuote(day, angel_one::Snapshot::default()),
        }
        .encode_into(&mut bytes);
        let (source, context) = (Source::ANGEL_ONE_STREAM, "stream=0".to_owned());
        NewRecord { source, received_time: now, context, frames: Frames::one(&bytes) }
    }

    #[test]
    fn data_of_a_session_that_only_the_calendar_has_are_seen() {
        let times = |from: i64, to: i64| {
            let (open_us, close_us) = (at(from).as_us(), at(to).as_us());
            Some(SessionTimes { open_us, close_us, expiring_index_close_us: None })
        };
        let found = |session: &[Option<SessionTimes>], hour: i64, by_calendar| {
            let home = tempfile::tempdir().expect("a directory");
            let mut spool = Spool::open(home.path()).expect("opens").spool;
            for session in session.iter().copied() {
                let rules = DayRules { session, ..DayRules::default() };
                spool.append(&mut NewRecord::mark(at(8), &Mark::Rules { rules })).expect("appended");
            }
            spool.append(&mut packet(at(hour))).expect("appended");
            session_data(home.path(), date(), by_calendar).expect("readable")
        };
        let evening = times(18, 19);
        assert_eq!(found(&[None], 18, evening), SessionData::OfCalendar);
        assert_eq!(found(&[None], 17, evening), SessionData::Nothing);
        assert_eq!(found(&[None], 18, None), SessionData::Nothing, "a day without a session");
        assert_eq!(found(&[None, evening], 18, evening), SessionData::OfRules, "it was taken");
        assert_eq!(found(&[times(9, 15)], 18, evening), SessionData::Nothing);
        assert_eq!(found(&[], 18, None), SessionData::OfRules, "a log without rules");
    }
}
