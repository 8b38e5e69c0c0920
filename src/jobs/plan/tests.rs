use super::*;
use proptest::prelude::*;

fn date(day: u32) -> TradingDate {
    TradingDate::from_ymd_opt(2026, 1, day).expect("a date")
}

fn at(day: u32, hour: u32, minute: u32) -> Timestamp {
    Timestamp::on(date(day), chrono::NaiveTime::from_hms_opt(hour, minute, 0).expect("a time"))
}

fn run(session_date: TradingDate, attempt: u32, state: RunState, started: Timestamp) -> JobRun {
    let ended = Some(started.plus_seconds(1));
    JobRun { job: "verify".to_owned(), session_date, attempt, state, started, ended, error: None }
}

fn circumstances<'a>(
    calendar: &'a Calendar,
    now: Timestamp,
    runs: &'a [JobRun],
    log_days: &'a [TradingDate],
) -> Circumstances<'a> {
    const NONE: &BTreeSet<TradingDate> = &BTreeSet::new();
    let (has_segments, keep_days, is_settled) = (true, 30, true);
    Circumstances { calendar, now, runs, reopened: NONE, log_days, has_segments, keep_days, is_settled }
}

fn waits(state: JobState, until: Timestamp) -> Turn {
    Turn::Wait { until: Some(until), state }
}

/// 2026-01-29 and 30 are a Thursday and a Friday with sessions; the next is on Sunday, 2026-02-01, for the budget.
#[test]
fn a_day_is_verified_once_an_hour_and_five_minutes_after_its_close() {
    let (calendar, days) = (Calendar::embedded(), [date(30)]);
    let turn = |now, runs: &[JobRun]| circumstances(&calendar, now, runs, &days).turn(JobName::Verify);
    let due = at(30, 16, 35);
    assert_eq!(turn(at(30, 10, 0), &[]), waits(JobState::Idle, due));
    assert_eq!(turn(due.plus_us(-1), &[]), waits(JobState::Idle, due));
    assert_eq!(turn(due, &[]), Turn::Run { date: date(30) });
    assert_eq!(turn(at(31, 12, 0), &[]), Turn::Run { date: date(30) }, "a day that was missed");
    let next = calendar.next_session(date(30)).expect("a session").close.plus_seconds(65 * 60);
    for state in [RunState::Done, RunState::Faulty] {
        assert_eq!(turn(at(30, 16, 40), &[run(date(30), 1, state, due)]), waits(JobState::Idle, next));
    }
    let reopened = BTreeSet::from([date(30)]);
    for state in [RunState::Done, RunState::Faulty] {
        let runs = [run(date(30), 1, state, due)];
        let again = Circumstances { reopened: &reopened, ..circumstances(&calendar, due, &runs, &days) };
        assert_eq!(again.turn(JobName::Verify), Turn::Run { date: date(30) }, "its log is another one");
    }
    let cut = [run(date(30), 1, RunState::Interrupted, due)];
    assert_eq!(turn(at(30, 16, 36), &cut), Turn::Run { date: date(30) }, "it counts as no try");
    let unsettled = Circumstances { is_settled: false, ..circumstances(&calendar, due, &[], &days) };
    assert_eq!(unsettled.turn(JobName::Verify), Turn::Settle);
    assert!(unsettled.ordered(JobName::Verify).expect_err("not yet").contains("does not contain yet"));
}

#[test]
fn a_day_is_planned_once_before_its_open_or_as_soon_as_it_can_be() {
    let calendar = Calendar::embedded();
    let turn = |now, runs: &[JobRun]| circumstances(&calendar, now, runs, &[]).turn(JobName::DayPlan);
    let due = at(30, 6, 15);
    assert_eq!(turn(at(30, 0, 5), &[]), waits(JobState::Idle, due));
    assert_eq!(turn(due, &[]), Turn::Run { date: date(30) });
    assert_eq!(turn(at(30, 11, 0), &[]), Turn::Run { date: date(30) }, "the daemon was not running before");
    let unsettled = Circumstances { is_settled: false, ..circumstances(&calendar, due, &[], &[]) };
    assert_eq!(unsettled.turn(JobName::DayPlan), Turn::Settle, "the day before is not in the store yet");
    let next = calendar.next_session(date(30)).expect("a session").open.plus_seconds(-180 * 60);
    let done = [run(date(30), 1, RunState::Done, due)];
    assert_eq!(turn(at(30, 11, 0), &done), waits(JobState::Idle, next));
    assert_eq!(turn(at(30, 16, 0), &[]), waits(JobState::Idle, next), "the session is over");
    assert_eq!(turn(at(31, 12, 0), &[]), waits(JobState::Idle, next));
}

#[test]
fn failures_are_tried_again_later_each_time_and_then_no_more() {
    let (calendar, days) = (Calendar::embedded(), [date(30)]);
    let mut now = at(30, 16, 35);
    let mut runs = Vec::new();
    let mut begun = Vec::new();
    loop {
        match circumstances(&calendar, now, &runs, &days).turn(JobName::Verify) {
            Turn::Run { date } => {
                begun.push(now);
                runs.push(run(date, runs.len() as u32 + 1, RunState::Failed, now));
            }
            Turn::Wait { until: Some(until), state: JobState::Retrying } => now = until,
            end => {
                let next = calendar.next_session(date(30)).expect("a session").close.plus_seconds(65 * 60);
                assert_eq!(end, waits(JobState::Failed, next));
                break;
            }
        }
    }
    assert_eq!(begun.len() as u32, FAILURES_MAX);
    let waited: Vec<i64> = begun.windows(2).map(|pair| pair[1].us_since(pair[0]) / 1_000_000).collect();
    for (waited, plain) in waited.iter().zip([60, 120, 240, 480]) {
        assert!((plain * 8 / 10..=plain * 12 / 10).contains(waited), "{waited} s, about {plain}");
    }
    assert_eq!(circumstances(&calendar, now, &runs, &days).ordered(JobName::Verify), Ok(date(30)));
}

#[test]
fn nothing_heavy_begins_in_session_hours() {
    let (calendar, days) = (Calendar::embedded(), [date(29)]);
    for (hour, minute, is_open) in [(8, 59, false), (9, 0, true), (15, 29, true), (15, 30, false)] {
        let found = circumstances(&calendar, at(30, hour, minute), &[], &days);
        for job in [JobName::Verify, JobName::Retention] {
            let expected = match is_open {
                true => waits(JobState::Idle, at(30, 15, 30)),
                false => Turn::Run { date: date(29) },
            };
            assert_eq!(found.turn(job), expected, "{job} at {hour}:{minute}");
            assert_eq!(found.ordered(job).is_err(), is_open);
        }
    }
    assert_eq!(must_end_by(&calendar, at(30, 8, 59)), Some(at(30, 9, 0)));
    let next = calendar.next_session(date(30)).expect("a session").open.plus_seconds(-15 * 60);
    assert_eq!(must_end_by(&calendar, at(30, 9, 0)), Some(next));
}

#[test]
fn retention_rests_while_everything_is_kept() {
    let calendar = Calendar::embedded();
    let keeping = Circumstances { keep_days: 0, ..circumstances(&calendar, at(30, 20, 0), &[], &[]) };
    assert_eq!(keeping.turn(JobName::Retention), Turn::Wait { until: None, state: JobState::Idle });
    assert!(keeping.ordered(JobName::Retention).expect_err("refused").contains("keep_days is 0"));
    let removing = Circumstances { keep_days: 1, ..keeping };
    assert_eq!(removing.turn(JobName::Retention), Turn::Run { date: date(30) });
}

#[test]
fn segments_are_compressed_at_once_and_a_success_forgives_failures() {
    let calendar = Calendar::embedded();
    let now = at(30, 11, 0);
    let failed = |attempt, started| run(date(30), attempt, RunState::Failed, started);
    let turn = |runs: &[JobRun]| circumstances(&calendar, now, runs, &[]).turn(JobName::Archive);
    assert_eq!(turn(&[]), Turn::Run { date: date(30) });
    assert_eq!(turn(&[run(date(30), 1, RunState::Done, at(30, 10, 0))]), Turn::Run { date: date(30) });
    assert!(matches!(turn(&[failed(1, now)]), Turn::Wait { state: JobState::Retrying, .. }));
    let five: Vec<JobRun> = (1..=5).map(|attempt| failed(attempt, at(30, 10, 0))).collect();
    assert_eq!(turn(&five), waits(JobState::Failed, at(31, 0, 0)));
    let forgiven = [&five[..], &[run(date(30), 6, RunState::Done, at(30, 10, 30))]].concat();
    assert_eq!(turn(&forgiven), Turn::Run { date: date(30) });
    let nothing = Circumstances { has_segments: false, ..circumstances(&calendar, now, &five, &[]) };
    assert_eq!(nothing.turn(JobName::Archive), Turn::Wait { until: None, state: JobState::Idle });
}

fn outcome() -> impl Strategy<Value = RunState> {
    prop_oneof![
        Just(RunState::Done),
        Just(RunState::Faulty),
        Just(RunState::Failed),
        Just(RunState::Interrupted)
    ]
}

proptest! {
    /// Weeks of a daemon that is up at random times, with runs that end at random: whatever its lives, each logged session
    /// day that it is up for long enough after is verified, or has failed as often as it may; each run is for a day that was
    /// due, outside session hours, and never after the day was over.
    #[test]
    fn every_day_is_verified_once_whatever_happens(
        outcomes in prop::collection::vec(outcome(), 200),
        sleeps in prop::collection::vec(1_i64..40_000, 60),
    ) {
        let calendar = Calendar::embedded();
        let (begin, end) = (at(5, 0, 0), at(30, 0, 0));
        let mut outcomes = outcomes.into_iter().cycle();
        let mut runs: Vec<JobRun> = Vec::new();
        let mut now = begin;
        let mut sleeps = sleeps.into_iter().cycle();
        let mut looks = Vec::new();
        while now < end {
            let log_days: Vec<TradingDate> = (5..=30).map(date).filter(|date| *date <= now.date_ist()).collect();
            // The store is asked for the runs of the last days only.
            let known: Vec<JobRun> =
                runs.iter().filter(|run| now.us_since(run.started) < 9 * 86_400_000_000).cloned().collect();
            looks.push(now);
            match circumstances(&calendar, now, &known, &log_days).turn(JobName::Verify) {
                Turn::Run { date } => {
                    let session = calendar.session(date).expect("a session day");
                    prop_assert!(session.close.plus_seconds(VERIFY_AFTER_CLOSE_S) <= now);
                    let today = calendar.session(now.date_ist());
                    prop_assert!(!today.is_some_and(|today| today.contains(now)));
                    let before: Vec<&JobRun> = runs.iter().filter(|run| run.session_date == date).collect();
                    prop_assert!(before.iter().all(|run| matches!(run.state, RunState::Failed | RunState::Interrupted)));
                    let failures = before.iter().filter(|run| run.state == RunState::Failed).count() as u32;
                    prop_assert!(failures < FAILURES_MAX);
                    let state = outcomes.next().expect("without end");
                    runs.push(run(date, before.len() as u32 + 1, state, now));
                    now = now.plus_seconds(20);
                }
                Turn::Settle => prop_assert!(false, "it is settled"),
                Turn::Wait { until, .. } => {
                    let until = until.expect("there is a next day");
                    prop_assert!(until > now);
                    // Sometimes it is down over the time.
                    now = until.max(now.plus_seconds(sleeps.next().expect("without end")));
                }
            }
        }
        let last = *looks.last().expect("it looked");
        for day in 5..=22 {
            let Some(session) = calendar.session(date(day)) else { continue };
            let of_day = || runs.iter().filter(|run| run.session_date == date(day));
            let over = of_day().filter(|run| matches!(run.state, RunState::Done | RunState::Faulty)).count();
            let failures = of_day().filter(|run| run.state == RunState::Failed).count() as u32;
            prop_assert!(over <= 1);
            prop_assert!(over == 1 || failures == FAILURES_MAX, "{day}: {:?}, last look {last}", session.close);
        }
    }
}
