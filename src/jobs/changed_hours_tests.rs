//! Days whose session was changed within them: what is recorded of them, and that their logs give it again.

use super::{
    replay::{Verdict, verify_day},
    test_day::{Place, at, clock, date, head, packet},
};
use crate::{
    actor::Pulse,
    market::{BucketState, Timestamp},
    pipeline::PipelineSettings,
    spool::{Mark, NewRecord, SessionTimes},
    store::Reader,
};

fn session(open: Timestamp, close: Timestamp) -> Option<SessionTimes> {
    Some(SessionTimes { open_us: open.as_us(), close_us: close.as_us(), expiring_index_close_us: None })
}

/// A life of the daemon begins, by rules with this session, with both feeds, a stream and its contracts.
fn begin(now: Timestamp, session: Option<SessionTimes>) -> Vec<NewRecord> {
    let mut rules = PipelineSettings::of_tests().rules(date());
    rules.session = session;
    let rules = [NewRecord::mark(now, &Mark::Rules { rules })];
    let rest = head(false).into_iter().map(|record| NewRecord { received_time: now, ..record });
    rules.into_iter().chain(rest).collect()
}

/// A packet of each contract every half minute, its open interest in lots the minute of the day.
fn show(from: Timestamp, until: Timestamp) -> Vec<NewRecord> {
    let midnight = at(0, 0, 0);
    let steps = (0..).map(|step| from.plus_seconds(30 * step)).take_while(|now| *now < until);
    let records = steps.flat_map(|now| {
        let minute = now.us_since(midnight) / 60_000_000;
        [packet(now, 0, minute, minute), packet(now, 1, minute, minute), clock(now)]
    });
    records.collect()
}

fn quiet(from: Timestamp, minutes: i64) -> impl Iterator<Item = NewRecord> {
    (0..minutes).map(move |minute| clock(from.plus_seconds(60 * minute)))
}

/// Of the call's buckets: when each begins, its state and its open interest in lots.
type Row = (Timestamp, u8, Option<i64>);

struct Recorded {
    rows: Vec<Row>,
    gaps: Vec<String>,
    closes: Vec<String>,
}

const MISSING: u8 = BucketState::Missing.code();

impl Recorded {
    fn of(&self, start: Timestamp) -> Option<(u8, Option<i64>)> {
        let row = self.rows.iter().find(|(of, ..)| *of == start)?;
        Some((row.1, row.2))
    }

    fn states(&self, from: Timestamp, until: Timestamp) -> Vec<u8> {
        self.rows.iter().filter(|row| from <= row.0 && row.0 < until).map(|row| row.1).collect()
    }
}

/// What is stored of these records, once their log was found to give it again.
async fn recorded(records: Vec<NewRecord>) -> Recorded {
    let place = Place::new();
    place.play(records).await;
    let (pulse, settings) = (Pulse::default(), PipelineSettings::of_tests());
    let verified =
        verify_day(&place.url(), &place.spool(), &settings, date(), &pulse).await.expect("compared");
    assert_eq!(verified.verdict(), Verdict::Equal, "{verified:#?}");
    let mut dump = Reader::open(&place.url()).await.expect("opens").dump_day(date()).await.expect("a dump");
    let rows = dump.remove("intraday_option_oi").unwrap_or_default();
    let rows = rows.iter().map(|row| row.split('|').collect::<Vec<_>>());
    let of_call = rows.filter(|cells| cells[1].ends_with("CE"));
    let rows = of_call.map(|cells| {
        let start = Timestamp::from_us(cells[0].parse().expect("a start"));
        (start, cells[9].parse().expect("a state"), cells[2].parse::<i64>().ok().map(|oi| oi / 65))
    });
    Recorded {
        rows: rows.collect(),
        gaps: dump.remove("gaps").unwrap_or_default(),
        closes: dump.remove("daily_option_oi").unwrap_or_default(),
    }
}

#[tokio::test]
async fn a_session_that_a_day_is_given_is_recorded_from_there_on() {
    let given = session(at(18, 0, 0), at(19, 0, 0));
    let mut records = begin(at(8, 0, 0), None);
    records.extend(begin(at(17, 30, 0), given));
    records.extend(show(at(17, 59, 30), at(19, 1, 0)));
    records.extend(quiet(at(19, 1, 0), 15));
    let found = recorded(records).await;
    assert_eq!(found.rows.len(), 20, "an hour of buckets: {:?}", found.rows);
    assert!(found.rows.iter().all(|row| row.1 != MISSING), "{:?}", found.rows);
    assert_eq!(found.of(at(18, 30, 0)).map(|row| row.0), Some(BucketState::Live.code()));
    assert_eq!(found.closes.len(), 2, "{:?}", found.closes);
    let mut without = begin(at(8, 0, 0), None);
    without.extend(begin(at(17, 30, 0), None));
    without.extend(show(at(17, 59, 30), at(19, 1, 0)));
    assert_eq!(recorded(without).await.rows, [], "as long as no rules give it");
}

#[tokio::test]
async fn what_was_before_a_session_was_given_is_missing() {
    let mut records = begin(at(8, 0, 0), None);
    records.extend(begin(at(18, 30, 0), session(at(18, 0, 0), at(19, 0, 0))));
    records.extend(show(at(18, 30, 10), at(19, 1, 0)));
    records.extend(quiet(at(19, 1, 0), 15));
    let found = recorded(records).await;
    assert_eq!(found.rows.len(), 20, "{:?}", found.rows);
    assert_eq!(found.states(at(18, 0, 0), at(18, 30, 0)), [MISSING; 10]);
    assert!(!found.states(at(18, 30, 0), at(19, 0, 0)).contains(&MISSING), "{:?}", found.rows);
    assert!(!found.gaps.is_empty(), "nothing was watched from the open on");
}

#[tokio::test]
async fn a_later_close_that_is_known_before_the_close_goes_on_without_a_hole() {
    let mut records = begin(at(9, 5, 0), session(at(9, 15, 0), at(15, 30, 0)));
    records.extend(show(at(14, 59, 0), at(15, 20, 0)));
    records.extend(begin(at(15, 20, 0), session(at(9, 15, 0), at(17, 0, 0))));
    records.extend(show(at(15, 20, 5), at(17, 1, 0)));
    records.extend(quiet(at(17, 1, 0), 15));
    let found = recorded(records).await;
    assert_eq!(found.rows.len(), 155, "9:15 to 17:00");
    assert!(!found.states(at(15, 21, 0), at(17, 0, 0)).contains(&MISSING), "{:?}", found.rows);
    assert_eq!(found.of(at(16, 57, 0)).and_then(|row| row.1), Some(16 * 60 + 59));
    let last = (17 * 60 * 65).to_string();
    assert!(found.closes.iter().all(|close| close.contains(&last)), "{:?}", found.closes);
}

#[tokio::test]
async fn what_was_between_a_close_that_was_none_and_the_later_one_is_missing() {
    // A close within a bucket, and feeds that go on after it, as they do for the closing values.
    let mut records = begin(at(9, 5, 0), session(at(9, 15, 0), at(15, 40, 0)));
    records.extend(show(at(15, 0, 0), at(15, 48, 0)));
    records.extend(quiet(at(15, 48, 0), 12));
    records.extend(begin(at(16, 0, 0), session(at(9, 15, 0), at(17, 0, 0))));
    records.extend(show(at(16, 0, 5), at(17, 1, 0)));
    records.extend(quiet(at(17, 1, 0), 15));
    let found = recorded(records).await;
    assert_eq!(found.rows.len(), 155, "9:15 to 17:00");
    assert_eq!(found.states(at(15, 39, 0), at(16, 0, 0)), [MISSING; 7], "{:?}", found.rows);
    assert!(!found.states(at(15, 3, 0), at(15, 39, 0)).contains(&MISSING), "what was seen stays");
    assert!(!found.states(at(16, 3, 0), at(17, 0, 0)).contains(&MISSING), "{:?}", found.rows);
    let (from, until) = (at(15, 40, 0).as_us().to_string(), at(16, 0, 0).as_us().to_string());
    let is_told = |gap: &&String| gap.contains(&from) && gap.contains(&until);
    assert!(found.gaps.iter().any(|gap| is_told(&gap)), "{:?}", found.gaps);
}

#[tokio::test]
async fn a_session_that_is_taken_away_or_cut_short_keeps_its_rows() {
    for (less, open_is_past) in [(None, true), (session(at(9, 15, 0), at(15, 0, 0)), true), (None, false)] {
        let restart = if open_is_past { at(14, 0, 0) } else { at(9, 0, 0) };
        let mut records = begin(at(8, 0, 0), session(at(9, 15, 0), at(15, 30, 0)));
        records.extend(show(at(13, 30, 0), at(13, 59, 0)).into_iter().filter(|_| open_is_past));
        records.extend(begin(restart, less));
        records.extend(show(at(14, 0, 5), at(15, 31, 0)));
        records.extend(quiet(at(15, 31, 0), 15));
        let found = recorded(records).await;
        assert_eq!(found.rows.len(), 125, "{less:?}");
        assert!(!found.states(at(14, 3, 0), at(15, 30, 0)).contains(&MISSING), "{less:?}: {:?}", found.rows);
    }
}

#[tokio::test]
async fn hours_that_change_before_both_opens_are_the_days() {
    for (before, after) in [
        (session(at(18, 0, 0), at(19, 0, 0)), session(at(13, 45, 0), at(14, 45, 0))),
        (session(at(9, 15, 0), at(15, 30, 0)), session(at(13, 45, 0), at(14, 45, 0))),
    ] {
        let mut records = begin(at(8, 0, 0), before);
        records.extend(begin(at(9, 0, 0), after));
        records.extend(show(at(13, 44, 30), at(14, 46, 0)));
        records.extend(quiet(at(14, 46, 0), 15));
        let found = recorded(records).await;
        assert_eq!(found.rows.len(), 20, "{before:?}: {:?}", found.rows);
        assert!(found.rows.iter().all(|row| row.1 != MISSING), "{before:?}: {:?}", found.rows);
        assert_eq!(found.of(at(14, 0, 0)).and_then(|row| row.1), Some(14 * 60 + 2));
    }
}
