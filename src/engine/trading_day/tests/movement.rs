//! A source that repeats itself with new stamps is found out, and what moves seldom is not.

use super::*;

const CONTRACTS: u32 = 60;

/// Values of all contracts after so many changes of a third of them.
fn values(changes: i64) -> Vec<(u32, i64)> {
    (0..CONTRACTS).map(|slot| (slot, 100 + (changes + i64::from(slot % 3)) / 3)).collect()
}

/// Buckets of a slot that are stated, in the order of the session, as missing or not.
fn is_missing(played: &Played, slot: u32) -> Vec<bool> {
    played.states(slot).iter().map(|state| *state == Missing).collect()
}

fn downs(played: &mut Played) -> Vec<(Timestamp, ScopeReason)> {
    played.day.take_scope_changes().into_iter().filter_map(|change| change.down).collect()
}

/// Streams changes each five seconds from the open until `moves_until`, and repeats of them until `until`.
fn stream(played: &mut Played, moves_until: Timestamp, until: Timestamp) {
    let mut now = at(9, 15, 1);
    let mut changes = 0;
    while now < until {
        changes += i64::from(now < moves_until);
        played.stream(now, &values(changes));
        now = now.plus_seconds(5);
    }
}

#[test]
fn a_stream_that_repeats_itself_with_new_stamps_proves_nothing_since_its_last_change() {
    let mut played = Played::new(CONTRACTS);
    stream(&mut played, at(9, 35, 0), at(9, 37, 0));
    let [(since, reason)] = downs(&mut played)[..] else { panic!("it goes down once, within two minutes") };
    assert_eq!(reason, ScopeReason::StandsStill);
    assert!(at(9, 34, 30) <= since && since <= at(9, 35, 0), "{since}");
    let mut played = Played::new(CONTRACTS);
    stream(&mut played, at(9, 35, 0), at(10, 35, 0));
    // Six buckets to 09:33, and what ends later is missing.
    let missing = is_missing(&played, 0);
    let expected: Vec<bool> = (0..missing.len()).map(|bucket| bucket >= 6).collect();
    assert_eq!(missing, expected);
    let [named] = played.day.unwitnessed_chains(at(9, 40, 0))[..] else { panic!("one chain") };
    assert_eq!((named.unwitnessed, named.still), (CONTRACTS, Some(Provider::AngelOne)));
    assert!(named.since.is_some_and(|named| since <= named && named <= at(9, 35, 0)), "{named:?}");
    // What moves is alive again; nothing was traded of a contract that says the same after it.
    played.stream(at(10, 35, 0), &[(0, 200)]);
    played.stream(at(10, 35, 5), &values(80));
    played.stream(at(10, 36, 5), &values(81));
    played.advance(at(10, 40, 0));
    assert_eq!(played.states(0).last(), Some(&Live));
    assert!(
        is_missing(&played, 0)[6..25].iter().all(|missing| *missing),
        "it is not known when it was traded"
    );
}

#[test]
fn a_stream_that_stands_still_from_the_open_on_has_proved_nothing_of_the_day() {
    let mut played = Played::new(CONTRACTS);
    played.stream(at(9, 10, 0), &values(0));
    stream(&mut played, at(9, 15, 0), at(9, 40, 0));
    let [(since, ScopeReason::StandsStill)] = downs(&mut played)[..] else { panic!("it goes down once") };
    assert!(since < at(9, 15, 0), "{since}");
    assert_eq!(played.states(7), vec![Missing; played.states(7).len()]);
}

#[test]
fn bodies_that_repeat_themselves_with_new_stamps_prove_nothing_since_the_last_change() {
    let mut played = Played::new(CONTRACTS);
    let mut stamp = at(9, 15, 10);
    let mut changes = 0;
    while stamp < at(10, 30, 0) {
        changes += i64::from(stamp < at(9, 35, 0));
        played.body(stamp, stamp.plus_seconds(90), &values(changes));
        stamp = stamp.plus_seconds(30);
    }
    let [(since, reason)] = downs(&mut played)[..] else { panic!("it goes down once") };
    assert_eq!((since, reason), (at(9, 34, 40), ScopeReason::StandsStill));
    let missing = is_missing(&played, 0);
    let expected: Vec<bool> = (0..missing.len()).map(|bucket| bucket >= 6).collect();
    assert_eq!(missing, expected);
    // A contract that says the same again once others move was not traded meanwhile.
    let mut moved = values(changes);
    moved[0].1 += 5;
    for second in [0, 30] {
        played.body(at(10, 30, second), at(10, 31, second + 10), &moved);
    }
    played.advance(at(10, 31, 50));
    assert!(!is_missing(&played, 1).contains(&true), "{:?}", played.states(1));
    assert!(is_missing(&played, 0).contains(&true));
}

#[test]
fn answers_prove_a_chain_that_stands_still() {
    let mut played = Played::new(CONTRACTS);
    stream(&mut played, at(9, 35, 0), at(9, 45, 0));
    let known = values(1_000)[3].1;
    let said = played.day.latest(3).open_interest().expect("it has one");
    assert!(is_missing(&played, 3)[7]);
    played.answer(at(9, 34, 50), at(9, 45, 30), 3, said);
    assert!(!is_missing(&played, 3)[7], "nothing was traded");
    // The stream repeats what an answer has shown to be old.
    played.answer(at(9, 46, 0), at(9, 46, 10), 3, known);
    played.stream(at(9, 46, 20), &[(3, said)]);
    assert_eq!(played.day.latest(3).open_interest(), Some(known));
    assert_eq!(played.day.unwitnessed_chains(at(9, 47, 0))[0].still, Some(Provider::AngelOne));
}

#[test]
fn a_single_body_that_repeats_and_minutes_of_quiet_are_no_standstill() {
    let mut played = Played::new(CONTRACTS);
    let mut changes = 0;
    for minute in 0..60 {
        changes += i64::from(minute % 20 != 7);
        let stamp = at(9, 16 + minute / 60, 0).plus_seconds(i64::from(minute) * 60);
        played.body(stamp, stamp.plus_seconds(60), &values(changes));
    }
    assert_eq!(downs(&mut played), []);
    // Few contracts that move each some minutes: their silence says nothing.
    let mut played = Played::new(4);
    for second in 0..3_600 {
        let changes = second / 400;
        played.stream(at(9, 15, 1).plus_seconds(second), &[(0, 100 + changes), (1, 5), (2, 6), (3, 7)]);
    }
    assert_eq!(downs(&mut played), []);
}

#[test]
fn a_stream_that_falls_silent_after_some_repeats_was_alive_until_then() {
    let mut played = Played::new(CONTRACTS);
    stream(&mut played, at(9, 35, 30), at(9, 36, 20));
    for second in [30, 90, 150, 210] {
        played.advance(at(9, 36, 0).plus_seconds(second));
    }
    assert_eq!(downs(&mut played), [(at(9, 36, 16), ScopeReason::Silent)]);
    assert_eq!(is_missing(&played, 0), [false; 7], "repeats within the cadence are natural");
}

#[test]
fn a_large_chain_that_is_looked_at_by_samples_stands_still_as_a_whole() {
    const MANY: u32 = 200;
    let order = vec![Provider::AngelOne, Provider::Nse];
    let mut day = TradingDay::new(hours(), GRACE_US, 0, order);
    day.add_chain(ChainClass::Share);
    (0..MANY).for_each(|number| {
        day.add_slot(spec(number), at(9, 0, 0));
    });
    let mut played = Played { day, rows: Rows::default() };
    let values = |changes: i64| -> Vec<(u32, i64)> {
        (0..MANY).map(|slot| (slot, 100 + (changes + i64::from(slot % 7)) / 7)).collect()
    };
    let mut changes = 0;
    for second in (1..3_600).step_by(20) {
        let now = at(9, 15, 0).plus_seconds(second);
        changes += i64::from(now < at(9, 35, 0));
        played.stream(now, &values(changes));
    }
    let [(since, reason)] = downs(&mut played)[..] else { panic!("it goes down once") };
    assert_eq!(reason, ScopeReason::StandsStill);
    assert!(at(9, 34, 0) <= since && since <= at(9, 36, 15), "{since}");
    let missing = is_missing(&played, 3);
    assert!(!missing[..6].contains(&true) && !missing[7..].contains(&false), "{missing:?}");
}

#[test]
fn one_contract_outside_the_samples_that_moves_keeps_a_chain_alive() {
    let order = vec![Provider::AngelOne, Provider::Nse];
    let mut day = TradingDay::new(hours(), GRACE_US, 0, order);
    day.add_chain(ChainClass::Share);
    (0..200).for_each(|number| {
        day.add_slot(spec(number), at(9, 0, 0));
    });
    let mut played = Played { day, rows: Rows::default() };
    for second in (1..3_600).step_by(20) {
        let moving = |slot: u32| if second < 1_200 || slot % 7 == 3 { second } else { 1_200 };
        let values: Vec<(u32, i64)> = (0..200).map(|slot| (slot, 100 + moving(slot))).collect();
        played.stream(at(9, 15, 0).plus_seconds(second), &values);
    }
    assert_eq!(downs(&mut played), []);
}
