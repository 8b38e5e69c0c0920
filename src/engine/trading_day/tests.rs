use super::*;
use crate::market::{Candle, Price, Told};
use chrono::{NaiveDate, NaiveTime};
use proptest::prelude::*;

const GRACE_US: i64 = 5_000_000;
const ID: InstrumentId = InstrumentId(7);
const OTHER_ID: InstrumentId = InstrumentId(8);

fn at(hour: u32, minute: u32, second: u32) -> Timestamp {
    let date = NaiveDate::from_ymd_opt(2026, 1, 30).expect("a date");
    Timestamp::on(date, NaiveTime::from_hms_opt(hour, minute, second).expect("a time"))
}

fn hours() -> SessionHours {
    SessionHours { date: at(9, 0, 0).date_ist(), open: at(9, 15, 0), close: at(15, 30, 0) }
}

fn spec() -> SlotSpec {
    SlotSpec { instrument: ID, close: hours().close, is_option: true, chain: 0, previous_open_interest: None }
}

fn day() -> TradingDay {
    let mut router = Router::new(vec![Provider::AngelOne, Provider::Nse]);
    router.set_up(Provider::AngelOne, at(9, 0, 0));
    let mut day = TradingDay::new(hours(), GRACE_US, router);
    assert_eq!(day.add_slot(spec()), 0);
    day
}

fn quote(event_time: Timestamp, open_interest: i64) -> Quote {
    Quote {
        event_time,
        last_price: Told::Value(Price::from_e4(open_interest * 100)),
        open_interest: Some(open_interest),
        volume: Some(open_interest * 2),
        ..Quote::default()
    }
}

/// The last telling of every bucket.
fn final_rows(rows: &Rows) -> BTreeMap<Bucket, BucketRow> {
    let mut last: BTreeMap<Bucket, BucketRow> = BTreeMap::new();
    for row in &rows.buckets {
        let replaced = last.insert(row.bucket, *row);
        let expected = replaced.map_or(0, |old| (old.revision + 1).min(31));
        assert_eq!(row.revision, expected, "revisions count up by one: {row:?}");
    }
    last
}

fn observe(day: &mut TradingDay, event: Timestamp, open_interest: i64, received: Timestamp, rows: &mut Rows) {
    day.advance(received, rows);
    day.observe(0, Provider::AngelOne, &quote(event, open_interest), received, rows);
}

#[test]
fn a_session_has_a_row_for_every_bucket_and_none_after_its_close() {
    let (mut day, mut rows) = (day(), Rows::default());
    observe(&mut day, at(9, 16, 49), 650, at(9, 16, 50), &mut rows);
    observe(&mut day, at(15, 31, 5), 1_300, at(15, 31, 5), &mut rows);
    day.advance(at(16, 0, 0), &mut rows);
    let last = final_rows(&rows);
    assert_eq!(last.len(), 125);
    assert_eq!(last.keys().next().map(|bucket| bucket.start()), Some(at(9, 15, 0)));
    assert_eq!(last.keys().next_back().map(|bucket| bucket.start()), Some(at(15, 27, 0)));
    let states: Vec<BucketState> = last.values().map(|row| row.state).collect();
    assert_eq!(states[0], BucketState::Live);
    assert!(states[1..].iter().all(|state| *state == BucketState::Carried));
    assert!(last.values().all(|row| row.open_interest == Some(650)));
    assert!(
        rows.deltas.is_empty(),
        "the first value is a baseline, the one after the close counts for no delta"
    );
    let close = rows.closes.last().expect("a day's close");
    assert_eq!((close.open_interest, close.event_time), (Some(1_300), at(15, 31, 5)));
    let [(_, _, runs)] = &rows.coverage[..] else { panic!("one coverage, not {:?}", rows.coverage) };
    assert_eq!(runs.len(), 2);
}

#[test]
fn a_capture_after_the_day_closed_changes_the_closing_values_only() {
    let (mut day, mut rows) = (day(), Rows::default());
    observe(&mut day, at(15, 26, 7), 650, at(15, 26, 7), &mut rows);
    day.advance(at(15, 31, 0), &mut rows);
    let buckets = rows.buckets.len();
    observe(&mut day, at(15, 36, 5), 700, at(15, 36, 6), &mut rows);
    observe(&mut day, at(15, 41, 12), 700, at(15, 41, 13), &mut rows);
    assert_eq!(rows.buckets.len(), buckets);
    let told: Vec<Option<i64>> = rows.closes.iter().map(|close| close.open_interest).collect();
    assert_eq!(told, [Some(650), Some(700)], "told again only when it changes");
}

#[test]
fn a_late_value_changes_its_closed_bucket_and_those_that_carried_the_old_one() {
    let (mut day, mut rows) = (day(), Rows::default());
    observe(&mut day, at(9, 16, 0), 100, at(9, 16, 0), &mut rows);
    // Stamped 09:20, known at 09:25: the buckets 09:18 and 09:21 are closed by then.
    observe(&mut day, at(9, 20, 0), 200, at(9, 25, 0), &mut rows);
    day.advance(at(9, 27, 10), &mut rows);
    let last = final_rows(&rows);
    let seen: Vec<_> = last.values().map(|row| (row.open_interest, row.state, row.revision)).collect();
    assert_eq!(
        seen,
        [
            (Some(100), BucketState::Live, 0),
            (Some(200), BucketState::Live, 1),
            (Some(200), BucketState::Carried, 1),
            (Some(200), BucketState::Carried, 0),
        ]
    );
    assert_eq!(rows.deltas.len(), 1);
    assert_eq!(day.counters().late, 1);
}

#[test]
fn a_value_older_than_the_latest_still_corrects_the_bucket_before() {
    let (mut day, mut rows) = (day(), Rows::default());
    observe(&mut day, at(9, 16, 0), 100, at(9, 16, 0), &mut rows);
    observe(&mut day, at(9, 18, 30), 300, at(9, 18, 30), &mut rows);
    observe(&mut day, at(9, 17, 59), 200, at(9, 18, 40), &mut rows);
    day.advance(at(9, 21, 10), &mut rows);
    let last = final_rows(&rows);
    let seen: Vec<_> = last.values().map(|row| row.open_interest).collect();
    assert_eq!(seen, [Some(200), Some(300)]);
    observe(&mut day, at(9, 18, 10), 250, at(9, 22, 0), &mut rows);
    assert_eq!(day.counters().outdated, 1, "older than what is known of its own bucket");
}

#[test]
fn what_nobody_watched_is_missing_until_an_observation_proves_it() {
    let (mut day, mut rows) = (day(), Rows::default());
    observe(&mut day, at(9, 16, 0), 100, at(9, 16, 0), &mut rows);
    // The daemon dies at 09:17 and comes back at 09:25.
    day.set_down(Provider::AngelOne, at(9, 17, 0), at(9, 17, 0), &mut rows);
    day.advance(at(9, 25, 0), &mut rows);
    let states: Vec<_> = final_rows(&rows).values().map(|row| (row.state, row.open_interest)).collect();
    assert_eq!(
        states,
        [(BucketState::Missing, Some(100)), (BucketState::Missing, None), (BucketState::Missing, None)],
        "values seen within the bucket are kept, uncertain as they are"
    );
    day.advance(at(9, 26, 0), &mut rows);
    // The snapshot on subscribe shows what changed at 09:19.
    observe(&mut day, at(9, 19, 0), 150, at(9, 26, 1), &mut rows);
    day.set_up(Provider::AngelOne, at(9, 26, 1));
    day.advance(at(9, 27, 10), &mut rows);
    let seen: Vec<_> = final_rows(&rows).values().map(|row| (row.state, row.open_interest)).collect();
    assert_eq!(
        seen,
        [
            (BucketState::Missing, Some(100)),
            (BucketState::Backfilled, Some(150)),
            (BucketState::Backfilled, Some(150)),
            (BucketState::Carried, Some(150)),
        ]
    );
}

#[test]
fn an_outage_that_is_told_late_reopens_what_was_called_carried() {
    let (mut day, mut rows) = (day(), Rows::default());
    observe(&mut day, at(9, 16, 0), 100, at(9, 16, 0), &mut rows);
    observe(&mut day, at(9, 20, 30), 150, at(9, 20, 30), &mut rows);
    // The feed hangs at 09:21:02, within the grace of the bucket that ended at 09:21, and is found out at 09:25.
    day.advance(at(9, 25, 0), &mut rows);
    let told = |rows: &Rows| -> Vec<_> {
        final_rows(rows).values().map(|row| (row.state, row.open_interest, row.revision)).collect()
    };
    let believed = [
        (BucketState::Live, Some(100), 0),
        (BucketState::Live, Some(150), 0),
        (BucketState::Carried, Some(150), 0),
    ];
    assert_eq!(told(&rows), believed);
    day.set_down(Provider::AngelOne, at(9, 21, 2), at(9, 25, 0), &mut rows);
    let known = [
        (BucketState::Live, Some(100), 0),
        (BucketState::Missing, Some(150), 1),
        (BucketState::Missing, None, 1),
    ];
    assert_eq!(told(&rows), known);
    day.set_down(Provider::AngelOne, at(9, 21, 2), at(9, 25, 1), &mut rows);
    assert_eq!(told(&rows), known, "told once");
    // The snapshot of the next incarnation.
    observe(&mut day, at(9, 22, 0), 170, at(9, 25, 2), &mut rows);
    assert_eq!(told(&rows)[2], (BucketState::Backfilled, Some(170), 2));
}

#[test]
fn what_another_provider_saw_meanwhile_was_not_taken_and_proves_nothing() {
    let (mut day, mut rows) = (day(), Rows::default());
    day.set_up(Provider::Nse, at(9, 0, 0));
    observe(&mut day, at(9, 16, 0), 100, at(9, 16, 0), &mut rows);
    day.observe(0, Provider::Nse, &quote(at(9, 19, 0), 200), at(9, 19, 0), &mut rows);
    day.advance(at(9, 24, 6), &mut rows);
    day.set_down(Provider::AngelOne, at(9, 18, 30), at(9, 24, 6), &mut rows);
    day.advance(at(9, 27, 6), &mut rows);
    let seen: Vec<_> = final_rows(&rows).values().map(|row| (row.state, row.revision)).collect();
    use BucketState::{Carried, Live, Missing};
    assert_eq!(seen, [(Live, 0), (Missing, 1), (Missing, 1), (Carried, 0)]);
    // The one that is not active may go without a trace.
    day.set_up(Provider::AngelOne, at(9, 27, 7));
    let told = rows.buckets.len();
    day.advance(at(9, 33, 6), &mut rows);
    day.set_down(Provider::Nse, at(9, 28, 0), at(9, 33, 6), &mut rows);
    assert_eq!(rows.buckets.len(), told + 2);
}

#[test]
fn a_chain_matters_only_while_its_provider_counts() {
    let (mut day, mut rows) = (day(), Rows::default());
    day.set_up(Provider::Nse, at(9, 0, 0));
    observe(&mut day, at(9, 16, 0), 100, at(9, 16, 0), &mut rows);
    day.set_chain_down(Provider::Nse, 0, at(9, 17, 0), &mut rows);
    day.advance(at(9, 24, 6), &mut rows);
    day.set_down(Provider::AngelOne, at(9, 24, 6), at(9, 24, 6), &mut rows);
    day.advance(at(9, 30, 6), &mut rows);
    day.set_chain_up(Provider::Nse, 0, at(9, 31, 0));
    day.advance(at(9, 33, 6), &mut rows);
    use BucketState::{Carried, Live, Missing};
    let seen: Vec<_> = final_rows(&rows).values().map(|row| (row.state, row.revision)).collect();
    let expected = [(Live, 0), (Carried, 0), (Carried, 0), (Missing, 0), (Missing, 0), (Carried, 0)];
    assert_eq!(seen, expected);
}

#[test]
fn an_old_copy_proves_nothing_of_the_time_since() {
    let mut router = Router::new(vec![Provider::Nse]);
    router.set_up(Provider::Nse, at(9, 0, 0));
    let (mut day, mut rows) = (TradingDay::new(hours(), GRACE_US, router), Rows::default());
    day.add_slot(spec());
    day.observe(0, Provider::Nse, &quote(at(9, 16, 0), 100), at(9, 16, 0), &mut rows);
    day.set_chain_down(Provider::Nse, 0, at(9, 17, 0), &mut rows);
    let copy = |day: &mut TradingDay, event, received, rows: &mut Rows| {
        day.advance(received, rows);
        day.observe(0, Provider::Nse, &quote(event, 150), received, rows);
    };
    // Within the grace of the bucket that ends at 09:30, and fifteen minutes old.
    copy(&mut day, at(9, 19, 0), at(9, 30, 1), &mut rows);
    day.advance(at(9, 30, 6), &mut rows);
    let told = |rows: &Rows| -> Vec<_> {
        final_rows(rows).values().map(|row| (row.state, row.open_interest)).collect()
    };
    use BucketState::{Backfilled, Missing};
    let mut expected = vec![(Missing, Some(100)), (Missing, Some(150))];
    expected.resize(5, (Missing, None));
    assert_eq!(told(&rows), expected);
    // A fresh one says that nothing changed since its stamp.
    copy(&mut day, at(9, 28, 0), at(9, 31, 0), &mut rows);
    assert_eq!(told(&rows)[4], (Backfilled, Some(150)));
}

#[test]
fn an_outage_told_after_the_day_closed_changes_its_coverage() {
    let (mut day, mut rows) = (day(), Rows::default());
    observe(&mut day, at(9, 16, 0), 100, at(9, 16, 0), &mut rows);
    day.advance(at(15, 31, 0), &mut rows);
    day.set_down(Provider::AngelOne, at(15, 26, 0), at(15, 31, 0), &mut rows);
    let [_, (_, _, runs)] = &rows.coverage[..] else { panic!("two tellings, not {:?}", rows.coverage) };
    let states: Vec<_> = runs.iter().map(|run| (run.from_bucket.start(), run.state)).collect();
    assert_eq!(
        states,
        [
            (at(9, 15, 0), BucketState::Live),
            (at(9, 18, 0), BucketState::Carried),
            (at(15, 24, 0), BucketState::Missing)
        ]
    );
    assert_eq!(rows.closes.len(), 1, "closing values have no state");
}

#[test]
fn the_same_observation_again_proves_that_nothing_changed_meanwhile() {
    let (mut day, mut rows) = (day(), Rows::default());
    observe(&mut day, at(9, 16, 0), 100, at(9, 16, 0), &mut rows);
    day.set_down(Provider::AngelOne, at(9, 17, 0), at(9, 17, 0), &mut rows);
    observe(&mut day, at(9, 16, 0), 100, at(9, 22, 0), &mut rows);
    let seen: Vec<_> = final_rows(&rows).values().map(|row| (row.state, row.open_interest)).collect();
    assert_eq!(seen, [(BucketState::Backfilled, Some(100)), (BucketState::Backfilled, Some(100))]);
    let told = rows.buckets.len();
    observe(&mut day, at(9, 16, 0), 100, at(9, 22, 1), &mut rows);
    assert_eq!(rows.buckets.len(), told, "a third time says nothing");
}

#[test]
fn a_contract_found_after_its_first_bucket_closed_gets_that_bucket() {
    let mut router = Router::new(vec![Provider::Nse]);
    router.set_up(Provider::Nse, at(9, 0, 0));
    let (mut day, mut rows) = (TradingDay::new(hours(), GRACE_US, router), Rows::default());
    day.advance(at(9, 18, 30), &mut rows);
    day.add_slot(spec());
    day.observe(0, Provider::Nse, &quote(at(9, 16, 49), 650), at(9, 18, 30), &mut rows);
    let last = final_rows(&rows);
    assert_eq!(last.len(), 1);
    assert_eq!(last.values().next().map(|row| (row.state, row.revision)), Some((BucketState::Live, 0)));
}

#[test]
fn stamps_from_the_future_and_inactive_providers_do_not_count() {
    let (mut day, mut rows) = (day(), Rows::default());
    observe(&mut day, at(11, 0, 0), 100, at(9, 16, 0), &mut rows);
    day.observe(0, Provider::Nse, &quote(at(9, 16, 0), 5), at(9, 16, 1), &mut rows);
    assert!(day.latest(0).is_empty());
    assert_eq!((day.counters().from_the_future, day.counters().inactive_provider), (1, 1));
}

#[test]
fn values_from_before_the_session_carry_but_are_no_baseline() {
    let (mut day, mut rows) = (day(), Rows::default());
    let yesterday = at(9, 0, 0).plus_seconds(-64_000);
    observe(&mut day, yesterday, 100, at(9, 10, 0), &mut rows);
    observe(&mut day, at(9, 19, 0), 130, at(9, 19, 0), &mut rows);
    day.advance(at(9, 21, 10), &mut rows);
    let seen: Vec<_> =
        final_rows(&rows).values().map(|row| (row.state, row.open_interest, row.volume)).collect();
    assert_eq!(seen, [(BucketState::Carried, Some(100), None), (BucketState::Live, Some(130), Some(260))]);
    assert!(rows.deltas.is_empty());
}

#[test]
fn an_expiring_contract_stops_before_the_session_does() {
    let close = at(15, 45, 0);
    let (mut day, mut rows) = (
        TradingDay::new(SessionHours { close, ..hours() }, GRACE_US, day().router().clone()),
        Rows::default(),
    );
    day.add_slot(spec());
    day.add_slot(SlotSpec { instrument: InstrumentId(8), close, ..spec() });
    for slot in [0, 1] {
        day.observe(slot, Provider::AngelOne, &quote(at(9, 16, 0), 65), at(9, 16, 0), &mut rows);
    }
    day.advance(at(15, 46, 0), &mut rows);
    let count = |id| rows.buckets.iter().filter(|row| row.instrument == id).count();
    assert_eq!((count(ID), count(InstrumentId(8))), (125, 130));
}

fn candles_of(rows: &Rows, minutes: i64) -> BTreeMap<Timestamp, Candle> {
    let told = rows.candles.iter().filter(|candle| candle.interval.minutes() == minutes);
    told.map(|candle| (candle.start, *candle)).collect()
}

/// Gaps between observations, how late each arrives, and its open interest.
fn histories() -> impl Strategy<Value = Vec<(i64, i64, i64)>> {
    let delay = prop_oneof![4 => 0_i64..3, 2 => 3_i64..400, 1 => 400_i64..2_000];
    prop::collection::vec((0_i64..700, delay, 0_i64..6), 1..60)
}

/// Where watching ends, how much later that is told, and how much later it begins again; in seconds. It ends later than it
/// began: of two marks of one instant it could not be said which came first.
fn outages() -> impl Strategy<Value = Vec<(i64, i64, i64)>> {
    prop::collection::vec((1_i64..5_000, 0_i64..1_500, 0_i64..300), 1..8)
}

/// What befalls a day, in the order of its coming where it comes at the same instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Input {
    Pulse,
    Observed { event: Timestamp, open_interest: i64 },
    Down { since: Timestamp },
    Up,
}

/// What outages are of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outage {
    Feed,
    /// Slot 0's.
    Chain,
    None,
}

/// The rows of a day of two contracts of two chains, alike but for their numbers. It closes at its end.
fn play(mut inputs: Vec<(Timestamp, Input)>, outage: Outage) -> Rows {
    inputs.sort_unstable();
    let (mut day, mut rows) = (day(), Rows::default());
    day.add_slot(SlotSpec { instrument: OTHER_ID, chain: 1, ..spec() });
    for (now, input) in inputs {
        match input {
            Input::Pulse => day.advance(now, &mut rows),
            Input::Observed { event, open_interest } => {
                observe(&mut day, event, open_interest, now, &mut rows);
                day.observe(1, Provider::AngelOne, &quote(event, open_interest), now, &mut rows);
            }
            Input::Down { since } => {
                day.advance(since, &mut rows);
                match outage {
                    Outage::Feed => day.set_down(Provider::AngelOne, since, now, &mut rows),
                    Outage::Chain => day.set_chain_down(Provider::AngelOne, 0, since, &mut rows),
                    Outage::None => {}
                }
                day.advance(now, &mut rows);
            }
            Input::Up => {
                day.advance(now, &mut rows);
                match outage {
                    Outage::Feed => day.set_up(Provider::AngelOne, now),
                    Outage::Chain => day.set_chain_up(Provider::AngelOne, 0, now),
                    Outage::None => {}
                }
            }
        }
    }
    day.advance(at(23, 0, 0), &mut rows);
    rows
}

proptest! {
    #[test]
    fn an_outage_told_late_gives_the_rows_of_one_told_in_time(
        history in histories(),
        pulses in prop::collection::vec(0_i64..23_000, 0..60),
        outages in outages(),
    ) {
        let mut inputs: Vec<(Timestamp, Input)> =
            pulses.iter().map(|second| (at(9, 15, 0).plus_seconds(*second), Input::Pulse)).collect();
        let (mut in_time, mut late, mut unwatched) = (Vec::new(), Vec::new(), Vec::new());
        let mut up = at(9, 15, 0);
        for (watched, unnoticed, down) in outages {
            let since = up.plus_seconds(watched);
            let told = since.plus_seconds(unnoticed);
            up = told.plus_seconds(down);
            in_time.extend([(since, Input::Down { since }), (up, Input::Up)]);
            late.extend([(told, Input::Down { since }), (up, Input::Up)]);
            unwatched.push((since, told));
        }
        let (mut event, mut received) = (at(9, 15, 0), at(9, 15, 0));
        for (gap, delay, level) in history {
            event = event.plus_seconds(gap);
            received = received.max(event.plus_seconds(delay));
            // A feed that hangs brings nothing.
            if event < hours().close
                && !unwatched.iter().any(|(since, told)| *since < received && received <= *told)
            {
                inputs.push((received, Input::Observed { event, open_interest: 650 + 65 * level }));
            }
        }
        let rows_of = |id: InstrumentId, outage, marks: &[(Timestamp, Input)]| {
            let mut rows = play(inputs.iter().chain(marks).copied().collect(), outage);
            rows.buckets.retain(|row| row.instrument == id);
            rows.coverage.retain(|(instrument, ..)| *instrument == id);
            rows.deltas.retain(|delta| delta.instrument == id);
            rows.candles.retain(|candle| candle.instrument == id);
            rows.closes.retain(|close| close.instrument == id);
            // The last telling counts; what is the same of both contracts is compared without their numbers.
            let buckets: Vec<BucketRow> = final_rows(&rows)
                .into_values()
                .map(|row| BucketRow { revision: 0, instrument: ID, ..row })
                .collect();
            let runs = rows.coverage.pop().map(|(_, _, runs)| {
                runs.into_iter().map(|run| (run.from_bucket, run.to_bucket, run.state, run.provider)).collect::<Vec<_>>()
            });
            let closes = rows.closes.pop().map(|close| DayClose { instrument: ID, ..close });
            (buckets, runs, rows.deltas.len(), rows.candles.len(), closes)
        };
        let expected = rows_of(ID, Outage::Feed, &in_time);
        prop_assert_eq!(expected.0.len(), 125);
        prop_assert_eq!(&rows_of(ID, Outage::Feed, &late), &expected);
        // A chain's outage is the feed's for that chain's contracts, and none for the others.
        prop_assert_eq!(&rows_of(ID, Outage::Chain, &in_time), &expected);
        prop_assert_eq!(&rows_of(ID, Outage::Chain, &late), &expected);
        let unharmed = rows_of(ID, Outage::None, &late);
        prop_assert_eq!(&rows_of(OTHER_ID, Outage::Chain, &late), &unharmed);
        prop_assert_eq!(&rows_of(OTHER_ID, Outage::Chain, &in_time), &rows_of(ID, Outage::None, &in_time));
    }

    #[test]
    fn late_or_not_the_rows_end_up_the_same(history in histories(), pulses in prop::collection::vec(0_i64..23_000, 0..40)) {
        // Observations in event order, each received after the one before it.
        let (mut event, mut received, mut observations) = (at(9, 15, 0), at(9, 15, 0), Vec::new());
        for (gap, delay, level) in history {
            event = event.plus_seconds(gap);
            received = received.max(event.plus_seconds(delay));
            if event < hours().close {
                observations.push((event, received, 650 + 65 * level));
            }
        }
        let mut inputs: Vec<(Timestamp, Option<(Timestamp, i64)>)> =
            observations.iter().map(|(event, received, oi)| (*received, Some((*event, *oi)))).collect();
        inputs.extend(pulses.iter().map(|second| (at(9, 15, 0).plus_seconds(*second), None)));
        inputs.sort_by_key(|(now, _)| *now);
        let (mut day, mut rows) = (day(), Rows::default());
        for (now, observation) in inputs {
            match observation {
                Some((event, oi)) => observe(&mut day, event, oi, now, &mut rows),
                None => day.advance(now, &mut rows),
            }
        }
        day.advance(at(23, 0, 0), &mut rows);

        let last = final_rows(&rows);
        prop_assert_eq!(last.len(), 125);
        for (bucket, row) in &last {
            let expected = observations.iter().rfind(|(event, ..)| *event < bucket.end());
            prop_assert_eq!(row.open_interest, expected.map(|(.., oi)| *oi), "bucket {}", bucket.start());
            prop_assert_eq!(row.event_time, expected.map(|(event, ..)| *event));
            let state = match expected {
                None => BucketState::Missing,
                Some((event, ..)) if *event >= bucket.start() => BucketState::Live,
                Some(_) => BucketState::Carried,
            };
            prop_assert_eq!(row.state, state);
        }
        let changes: Vec<(Timestamp, i64, i64)> = observations
            .windows(2)
            .filter(|pair| pair[0].2 != pair[1].2)
            .map(|pair| (pair[1].0, pair[0].2, pair[1].2))
            .collect();
        let told: Vec<(Timestamp, i64, i64)> = rows
            .deltas
            .iter()
            .map(|delta| (delta.event_time, delta.old_open_interest, delta.new_open_interest))
            .collect();
        prop_assert_eq!(told, changes);
        let keys: std::collections::BTreeSet<_> =
            rows.deltas.iter().map(|delta| (delta.event_time, delta.seq)).collect();
        prop_assert_eq!(keys.len(), rows.deltas.len());
        for (start, candle) in candles_of(&rows, 5) {
            let within: Vec<i64> = observations
                .iter()
                .filter(|(event, ..)| event.floor_to_minutes(5) == start)
                .map(|(.., oi)| oi * 100)
                .collect();
            prop_assert_eq!(candle.open.as_e4(), within[0]);
            prop_assert_eq!(Some(&candle.high.as_e4()), within.iter().max());
            prop_assert_eq!(Some(&candle.low.as_e4()), within.iter().min());
            prop_assert_eq!(Some(&candle.close.as_e4()), within.last());
        }
        let covered: usize = rows.coverage.last().map_or(0, |(_, _, runs)| {
            runs.iter().map(|run| run.to_bucket.index_in_day() - run.from_bucket.index_in_day() + 1).sum()
        });
        prop_assert_eq!(covered, 125);
    }
}
