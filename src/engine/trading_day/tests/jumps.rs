//! Open interest that changes by more than was traded in the day is counted and named; what a market does is not.

use super::*;

/// A contract that is traded each minute, as it is after so many minutes: volume and open interest.
fn lively(minute: i64) -> (i64, i64) {
    (7_000 + minute * 130, 1_600 + minute * 10)
}

impl Played {
    /// A packet each minute.
    fn minutes(&mut self, minutes: std::ops::Range<i64>, shown: impl Fn(i64) -> (i64, i64)) {
        for minute in minutes {
            let (volume, open_interest) = shown(minute);
            self.packets(at(9, 15, 20).plus_seconds(minute * 60), &[(0, volume, open_interest)]);
        }
    }
}

#[test]
fn one_wild_packet_is_counted_there_and_back() {
    let mut played = Played::new(1);
    // The last before 09:24, so a row has it.
    let wild = |minute| if minute == 8 { (lively(8).0, 1_616_000) } else { lively(minute) };
    played.minutes(0..9, wild);
    let jump = |fault| OiJump {
        instrument: InstrumentId(0),
        before: 1_670,
        after: 1_616_000,
        event_time: at(9, 23, 20),
        fault,
    };
    let counted = |count, fault| Counted { count, last: Some(jump(fault)) };
    assert_eq!(played.day.oi_jumps(Provider::AngelOne), counted(1, OiJumpFault::Volume(8_040)));
    played.minutes(9..30, wild);
    assert_eq!(played.day.oi_jumps(Provider::AngelOne), counted(2, OiJumpFault::Back(1_690)));
    assert_eq!(played.day.oi_jumps(Provider::Nse), Counted::default());
}

#[test]
fn values_from_which_a_busy_contract_comes_back_are_counted() {
    // What was traded explains each change by itself.
    let busy = |minute: i64| (minute * 1_000_000, 650_000 + minute * 650);
    let played = |shown: &dyn Fn(i64) -> i64| {
        let mut played = Played::new(1);
        played.minutes(1..60, |minute| (busy(minute).0, shown(minute)));
        played.day.oi_jumps(Provider::AngelOne)
    };
    let once = played(&|minute| busy(minute).1 * if minute == 40 { 10 } else { 1 });
    let (before, after) = (busy(39).1, busy(40).1 * 10);
    let (instrument, event_time) = (InstrumentId(0), at(9, 55, 20));
    let fault = OiJumpFault::Back(busy(41).1);
    let last = OiJump { instrument, before, after, event_time, fault };
    assert_eq!(once, Counted { count: 1, last: Some(last) });
    let doubled_in_turns = played(&|minute| busy(minute).1 * (1 + minute % 2));
    assert!(doubled_in_turns.count > 50, "{doubled_in_turns:?}");
    let of_yesterday_in_turns = played(&|minute| if minute % 2 == 0 { 500_000 } else { busy(minute).1 });
    assert!(of_yesterday_in_turns.count > 40, "{of_yesterday_in_turns:?}");
    let doubled_for_good = played(&|minute| busy(minute).1 * if minute < 40 { 1 } else { 2 });
    assert_eq!(doubled_for_good, Counted::default(), "a market may do that");
}

#[test]
fn a_last_value_that_is_taken_back_after_the_close_is_counted() {
    let mut played = Played::new(1);
    played.packets(at(15, 29, 30), &[(0, 10_000_000, 650_000)]);
    played.packets(at(15, 29, 59), &[(0, 10_000_000, 6_500_000)]);
    assert_eq!(played.day.oi_jumps(Provider::AngelOne), Counted::default(), "what was traded explains it");
    played.packets(at(15, 30, 20), &[(0, 10_000_100, 650_000)]);
    let jumps = played.day.oi_jumps(Provider::AngelOne);
    assert_eq!(
        jumps.last.map(|jump| (jump.after, jump.fault)),
        Some((6_500_000, OiJumpFault::Back(650_000)))
    );
}

#[test]
fn what_a_market_does_is_no_jump() {
    // A quiet contract is traded, and what came of it is published minutes later, without further volume.
    let late = |minute: i64| match minute {
        ..10 => (650, 65),
        10..13 => (715, 65),
        _ => (715, 130),
    };
    // Recorded: 6,000 were traded in the five minutes before the ones in which 4,590 were added.
    let recorded = |minute: i64| match minute {
        ..12 => (11_580, 4_290),
        12..17 => (17_580, 4_440),
        _ => (17_760, 9_030),
    };
    // Opened and closed within minutes.
    let busy = |minute: i64| (minute * 100_000, 65_000 + i64::from((30..35).contains(&minute)) * 50_000);
    // Recorded: a position of a quiet contract, there and back.
    let quiet = |minute: i64| (500_000 + minute * 120, 5_520 - minute / 2 % 2 * 120);
    // One position of few.
    let few = |minute: i64| (200, 900 + i64::from(minute > 20) * 300);
    let all: [&dyn Fn(i64) -> (i64, i64); 5] = [&late, &recorded, &busy, &quiet, &few];
    for natural in all {
        let mut played = Played::new(1);
        played.minutes(0..60, natural);
        assert_eq!(played.day.oi_jumps(Provider::AngelOne), Counted::default());
    }
}
