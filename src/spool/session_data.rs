//! Whether a day's log has data of its session: what a store that has nothing of the day lacks.

use super::{Mark, SessionTimes, Source, SpoolError, SpoolReader};
use crate::market::{Timestamp, TradingDate};
use std::path::Path;

/// Whether anything in the day's log was stamped by the exchange within the session that its rules name; anything stamped that
/// day where the log has no rules. Copies of the session before, as a holiday brings them, are none. Reads up to the first.
///
/// # Errors
/// When the log cannot be read.
pub fn has_session_data(directory: &Path, date: TradingDate) -> Result<bool, SpoolError> {
    let (mut session, mut is_ruled) = (None::<SessionTimes>, false);
    let is_within = |stamp: Timestamp, session: Option<SessionTimes>, is_ruled: bool| match session {
        Some(session) => (session.open_us..session.close_us).contains(&stamp.as_us()),
        None => !is_ruled && stamp.date_ist() == date,
    };
    for read in SpoolReader::open(directory, date)? {
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
        let stamps = record.frames.iter().filter_map(|frame| record.source.exchange_stamp(frame));
        if stamps.into_iter().any(|stamp| is_within(stamp, session, is_ruled)) {
            return Ok(true);
        }
    }
    Ok(false)
}
