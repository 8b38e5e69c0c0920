//! A session of the calendar that the running day is not recorded by, in words. The calendar is read at the start, which takes
//! what it can into the day, see [`SessionTimes::taken`](crate::spool::SessionTimes::taken): what is told here is the rest.

use crate::{
    market::{Timestamp, TradingDate},
    pipeline::OtherSession,
    spool::SessionTimes,
};

/// What differs, and what becomes of it.
pub fn describe(date: TradingDate, other: &OtherSession) -> String {
    let told = |times: Option<SessionTimes>| match times {
        Some(times) => format!("a session from {times}"),
        None => "no session".to_owned(),
    };
    let OtherSession { recorded, calendar } = other;
    let rest = match (recorded, calendar) {
        (None, Some(_)) => "nothing of it is recorded; start bhavd again, which takes it into the day",
        (Some(_), None) => "what the log has of it stays, and what no feed brings is missing",
        (Some(recorded), Some(calendar)) if calendar.close_us < recorded.close_us => {
            "a close that becomes earlier within the session takes away no row, and what no feed brings is missing"
        }
        _ => {
            "hours that are past are not recorded anew, so the rows are those of the hours that were known in time"
        }
    };
    format!(
        "the calendar has {} on {date}, but the day is recorded by {}: {rest}",
        told(*calendar),
        told(*recorded)
    )
}

/// Whether there may be something to record by one of the two at `now`.
pub fn is_problem(other: &OtherSession, now: Timestamp) -> bool {
    [other.recorded, other.calendar].into_iter().flatten().any(|times| now < times.close())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        node::evidence_watch::EvidenceWatch,
        pipeline::{Catalog, NoLive, Pipeline, PipelineSettings},
        spool::{DayRules, Mark, NewRecord},
        store::Batch,
    };

    fn date() -> TradingDate {
        TradingDate::from_ymd_opt(2026, 1, 30).expect("a date")
    }

    fn at(hour: i64) -> Timestamp {
        Timestamp::on(date(), chrono::NaiveTime::MIN).plus_seconds(3_600 * hour)
    }

    /// What is said, as problems and of the day, of a day that the calendar opens from 9:15 to 15:30 and that is recorded by
    /// other hours.
    fn said(session: Option<SessionTimes>, now: Timestamp) -> (Vec<String>, Vec<String>) {
        let mut pipeline = Pipeline::new(PipelineSettings::of_tests(), Catalog::default());
        let mut batch = Batch::new(date(), 0);
        let rules = DayRules { session, ..PipelineSettings::of_tests().rules(date()) };
        let marks = [(at(8), Mark::Rules { rules }), (now, Mark::clock([]))];
        for (seq, (at, mark)) in (1..).zip(marks) {
            pipeline.apply(&NewRecord::mark(at, &mark).numbered(seq), &mut NoLive, &mut batch);
        }
        let lacks = EvidenceWatch::new().look(&pipeline).expect("the first look");
        let of_session =
            |texts: Vec<String>| texts.into_iter().filter(|text| text.contains("the calendar has"));
        (of_session(lacks.problems_of_day).collect(), of_session(lacks.of_day).collect())
    }

    #[test]
    fn an_open_session_without_a_recorded_day_is_a_problem_and_stays_told() {
        let text = "the calendar has a session from 09:15 to 15:30 on 2026-01-30, but the day is recorded by no session: nothing \
                    of it is recorded; start bhavd again, which takes it into the day";
        assert_eq!(said(None, at(10)), (vec![text.to_owned()], vec![text.to_owned()]));
        assert_eq!(said(None, at(16)), (Vec::new(), vec![text.to_owned()]), "it is over");
    }

    #[test]
    fn other_hours_than_the_calendars_are_told_and_the_same_are_not() {
        let usual = PipelineSettings::of_tests().session_times(date());
        assert_eq!(said(usual, at(10)), (Vec::new(), Vec::new()));
        let longer = usual.map(|times| SessionTimes { close_us: at(17).as_us(), ..times });
        let (problems, of_day) = said(longer, at(16));
        assert_eq!(problems, of_day);
        assert!(problems[0].contains("takes away no row"), "{problems:?}");
        let later = usual.map(|times| SessionTimes { open_us: at(11).as_us(), ..times });
        assert!(said(later, at(10)).0[0].contains("hours that are past"));
        let other = OtherSession { recorded: usual, calendar: None };
        assert!(describe(date(), &other).starts_with("the calendar has no session on 2026-01-30"));
    }
}
