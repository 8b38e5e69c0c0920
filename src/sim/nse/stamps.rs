//! What NSE writes into `records.timestamp`.
//!
//! The site builds each chain anew every half minute, at seconds 14 and 44, and stamps it with that moment even if
//! nothing happened. A simulated market has the events of a recording, which stand at their own seconds: a chain is
//! stamped with the newest one as long as it is fresh, and with the rebuild after that. At the close rebuilding ends.

use crate::{calendar::Session, market::Timestamp};

/// From one rebuild to the next.
pub(super) const REBUILD_S: i64 = 30;
/// The first rebuild of a minute.
const FIRST_SECOND: i64 = 14;
/// How long the newest event is the stamp.
const FRESH_US: i64 = 120_000_000;

/// The number of the last rebuild at or before an instant.
pub(super) fn rebuild_number(at: Timestamp) -> i64 {
    (at.as_us().div_euclid(1_000_000) - FIRST_SECOND).div_euclid(REBUILD_S)
}

/// When a rebuild happens.
pub(super) fn rebuild_start(number: i64) -> Timestamp {
    Timestamp::from_us((number * REBUILD_S + FIRST_SECOND) * 1_000_000)
}

/// The stamp of a chain as of an instant, `newest` being the newest event by then on its underlying, and `session` that
/// of the event's day.
pub(super) fn stamp_of(newest: Timestamp, shown: Timestamp, session: &Session) -> Timestamp {
    if shown.us_since(newest) < FRESH_US {
        return newest;
    }
    let rebuilt = rebuild_start(rebuild_number(shown)).min(session.close);
    // Before the open nothing is rebuilt, and what happened after the close is not stamped earlier than it happened.
    if rebuilt < session.open { newest } else { rebuilt.max(newest) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{calendar::Calendar, market::TradingDate};
    use chrono::NaiveTime;
    use proptest::prelude::*;

    fn date() -> TradingDate {
        "2026-01-30".parse().expect("a date")
    }

    fn at(text: &str) -> Timestamp {
        Timestamp::on(date(), NaiveTime::parse_from_str(text, "%H:%M:%S").expect("a time"))
    }

    fn session() -> Session {
        Calendar::embedded().session(date()).expect("a trading day")
    }

    #[test]
    fn a_quiet_chain_is_stamped_with_its_rebuilds_until_the_close() {
        for (newest, shown, expected) in [
            ("10:00:00", "10:00:00", "10:00:00"),
            ("10:00:00", "10:01:59", "10:00:00"),
            ("10:00:00", "10:02:00", "10:01:44"),
            ("10:00:00", "10:02:13", "10:01:44"),
            ("10:00:00", "10:02:14", "10:02:14"),
            ("10:00:00", "10:02:44", "10:02:44"),
            ("15:20:00", "15:30:13", "15:29:44"),
            ("15:20:00", "15:30:14", "15:30:00"),
            ("15:20:00", "23:00:00", "15:30:00"),
            ("15:29:50", "15:31:00", "15:29:50"),
            ("15:45:00", "15:46:00", "15:45:00"),
            ("15:45:00", "18:00:00", "15:45:00"),
            ("09:05:00", "09:14:59", "09:05:00"),
            ("09:05:00", "09:15:14", "09:15:14"),
        ] {
            assert_eq!(stamp_of(at(newest), at(shown), &session()), at(expected), "{newest} at {shown}");
        }
        assert_eq!(rebuild_start(rebuild_number(at("10:00:44"))), at("10:00:44"));
        assert_eq!(rebuild_start(rebuild_number(at("10:00:43"))), at("10:00:14"));
    }

    proptest! {
        #[test]
        fn stamps_never_go_back(mut events in prop::collection::vec(0_i64..30_000, 1..20), step in 1_i64..200) {
            events.sort_unstable();
            let (start, session) = (at("08:30:00"), session());
            let (mut before, mut second) = (start, events[0]);
            while second < 32_000 {
                let shown = start.plus_seconds(second);
                let newest = events[..events.partition_point(|event| *event <= second)].last().expect("an event");
                let stamp = stamp_of(start.plus_seconds(*newest), shown, &session);
                prop_assert!(before <= stamp && stamp <= shown, "{} {} {}", before, stamp, shown);
                before = stamp;
                second += step;
            }
        }
    }
}
