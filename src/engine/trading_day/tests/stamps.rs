//! Stamps that stand still or lag behind while values move on.

use super::*;

/// Ten seconds' steps from 09:15:00 until `minutes` later; contract 1 moves in each, contract 0 under the stamp that `stamp_of`
/// gives for the receipt.
fn play(minutes: i64, stamp_of: impl Fn(Timestamp) -> Timestamp) -> Played {
    let mut played = Played::new(2);
    for step in 0..minutes * 6 {
        let now = at(9, 15, 0).plus_seconds(step * 10);
        played.advance(now);
        let mut arrival = played.day.stream_arrival(Provider::AngelOne, 0, STREAM, now);
        let stamps = [stamp_of(now), now];
        for (slot, stamp) in stamps.into_iter().enumerate() {
            played.day.observe(slot as u32, &mut arrival, &quote(stamp, 1_000 + step), &mut played.rows);
        }
        played.day.end_arrival(&arrival, &mut played.rows);
    }
    played
}

fn wrong_stamps(played: &Played) -> (u64, u64) {
    let WrongStamps { standing, delayed, .. } = played.day.wrong_stamps(Provider::AngelOne);
    (standing, delayed)
}

#[test]
fn values_that_move_under_a_stamp_that_stands_still_are_refused() {
    let stuck = at(9, 22, 0);
    let played = play(40, |now| now.min(stuck));
    // From 09:24:10 on, and no more of them than came.
    assert_eq!(wrong_stamps(&played), ((40 - 9) * 6 - 1, 0));
    let latest = played.day.latest(0);
    assert_eq!((latest.event_time(), latest.open_interest()), (stuck, Some(1_000 + 54)));
    let stated = played.stated(0);
    let states: Vec<BucketState> = stated.iter().map(|(state, ..)| *state).collect();
    assert_eq!(states[..2], [Live, Live]);
    assert!(states.len() > 10 && states[2..].iter().all(|state| *state == Missing), "{stated:?}");
    assert!(stated.iter().all(|(_, _, revision)| *revision <= 1), "nothing is written over: {stated:?}");
    assert!(played.states(1).iter().all(|state| *state == Live));
}

#[test]
fn a_stamp_that_moves_on_again_proves_again() {
    let (from, until) = (at(9, 22, 0), at(9, 40, 0));
    let played = play(45, |now| if now < until { now.min(from) } else { now });
    let states = played.states(0);
    assert_eq!(states[2..8], [Missing; 6], "{states:?}");
    assert!(states.len() > 10 && states[9..].iter().all(|state| *state == Live), "{states:?}");
}

/// Too short to be late, and over a bucket's end: what came after the end is not what was known at it.
#[test]
fn a_stamp_that_stands_still_over_a_buckets_end_proves_nothing_of_it() {
    let (from, until) = (at(9, 23, 50), at(9, 25, 40));
    let played = play(20, |now| if now < until { now.min(from) } else { now });
    let states = played.states(0);
    assert_eq!((states[1], states[2]), (Live, Missing), "{states:?}");
    assert!(states.len() > 4 && states[3..].iter().all(|state| *state == Live), "{states:?}");
    assert!(wrong_stamps(&played).0 > 5, "{:?}", wrong_stamps(&played));
    assert!(played.states(1).iter().all(|state| *state == Live));
}

#[test]
fn an_answer_proves_what_the_stream_does_not_and_the_stamp_of_before_stays_refused() {
    let mut played = play(20, |now| now.min(at(9, 22, 0)));
    let (refused, _) = wrong_stamps(&played);
    played.answer(at(9, 35, 20), at(9, 35, 30), 0, 1_120);
    let stated = played.stated(0);
    played.stream_late(at(9, 22, 0), at(9, 35, 40), &[(0, 1_110)]);
    played.stream_late(at(9, 22, 0), at(9, 35, 41), &[(0, 1_120)]);
    assert_eq!(wrong_stamps(&played).0, refused + 2);
    assert_eq!(played.stated(0), stated, "an older stamp is not late either");
    assert_eq!(played.day.latest(0).open_interest(), Some(1_120));
}

#[test]
fn a_stamp_that_stood_still_before_it_was_first_seen_is_found_too() {
    // Before the open values are of another day.
    let played = play(20, |now| now.min(at(9, 10, 0)));
    assert_eq!(wrong_stamps(&played), (20 * 6 - 2, 0));
    assert!(played.states(0).iter().all(|state| *state == Missing), "{:?}", played.states(0));
}

#[test]
fn the_same_values_under_the_same_stamp_are_no_fault() {
    let mut played = Played::new(2);
    for step in 0..120 {
        let now = at(9, 15, 0).plus_seconds(step * 10);
        played.stream(now, &[(1, 100 + step)]);
        played.stream_late(at(9, 15, 0), now, &[(0, 500)]);
    }
    assert_eq!(wrong_stamps(&played), (0, 0));
    assert!(played.states(0)[1..].iter().all(|state| *state == Carried), "{:?}", played.states(0));
}

#[test]
fn what_a_subscription_begins_with_may_be_of_the_same_second() {
    let mut played = Played::new(1);
    played.stream(at(9, 15, 10), &[(0, 100)]);
    played.day.begin_stream(Provider::AngelOne, 0, at(9, 20, 0));
    played.stream_late(at(9, 15, 10), at(9, 20, 1), &[(0, 110)]);
    assert_eq!(wrong_stamps(&played), (0, 0));
    assert_eq!(played.day.latest(0).open_interest(), Some(110));
    // What was held back comes at once.
    for (stamp, open_interest) in [(20, 120), (20, 121), (21, 130), (21, 131)] {
        played.stream_late(at(9, 15, stamp), at(9, 20, 2), &[(0, open_interest)]);
    }
    assert_eq!(played.day.latest(0).open_interest(), Some(131));
    assert_eq!(wrong_stamps(&played).0, 0);
}

#[test]
fn a_body_that_changes_under_its_stamp_is_refused() {
    let mut played = Played::new(1);
    for minute in 15..=60 {
        let now = at(9, 0, 0).plus_seconds(minute * 60);
        let stamp = now.plus_us(-60 * SECOND_US).max(at(9, 15, 0)).min(at(9, 22, 0));
        played.body(stamp, now, &[(0, 1_000 + minute)]);
    }
    assert_eq!(
        played.day.wrong_stamps(Provider::Nse),
        WrongStamps { standing: 60 - 26, ..WrongStamps::default() }
    );
    assert_eq!(played.day.latest(0).open_interest(), Some(1_026));
    let states = played.states(0);
    assert!(states[2..].iter().all(|state| *state == Missing), "{states:?}");
}

#[test]
fn after_the_close_its_stamp_is_the_last() {
    let mut played = Played::new(1);
    for second in 0..40 {
        played.body(at(15, 30, 0), at(15, 30, 10).plus_seconds(second * 30), &[(0, 1_000 + second)]);
    }
    assert_eq!(played.day.wrong_stamps(Provider::Nse), WrongStamps::default());
    assert_eq!(played.day.latest(0).open_interest(), Some(1_039));
}

#[test]
fn a_stream_that_is_late_all_the_time_is_counted_and_never_live() {
    for (late_s, is_late) in [(110, false), (130, true), (3_600, true)] {
        let mut played = Played::new(1);
        for step in 0..400 {
            let stamp = at(9, 15, 0).plus_seconds(step * 10);
            played.stream_late(stamp, stamp.plus_seconds(late_s), &[(0, 1_000 + step)]);
        }
        let states = played.states(0);
        assert!(states.len() > 10);
        if is_late {
            // The first packet may be of any time.
            assert_eq!(wrong_stamps(&played), (0, 399), "{late_s}");
            assert!(states.iter().all(|state| [Backfilled, Missing].contains(state)), "{late_s}: {states:?}");
        } else {
            assert_eq!(wrong_stamps(&played), (0, 0), "{late_s}");
            assert!(states.iter().all(|state| *state == Live), "{late_s}: {states:?}");
        }
    }
}

#[test]
fn bodies_that_are_late_all_the_time_are_counted_and_never_live() {
    let mut played = Played::new(1);
    for minute in 0..60 {
        let stamp = at(9, 15, 0).plus_seconds(minute * 60);
        // The site serves each twice.
        for later in [600, 630] {
            played.body(stamp, stamp.plus_seconds(later), &[(0, 1_000 + minute)]);
        }
    }
    assert_eq!(played.day.wrong_stamps(Provider::Nse), WrongStamps { delayed: 60, ..WrongStamps::default() });
    assert!(played.states(0).iter().all(|state| [Backfilled, Missing].contains(state)));
}

fn refused_ahead(played: &Played) -> u64 {
    played.day.wrong_stamps(Provider::AngelOne).ahead
}

#[test]
fn a_contract_that_is_stamped_ahead_of_the_others_is_refused_and_not_witnessed() {
    let (from, until) = (at(9, 22, 0), at(9, 40, 0));
    let ahead = |now: Timestamp| if now >= from && now < until { now.plus_seconds(100) } else { now };
    let played = play(45, ahead);
    assert_eq!((refused_ahead(&played), played.day.counters().from_the_future), (18 * 6, 18 * 6));
    let (states, sound) = (played.states(0), played.states(1));
    assert_eq!(states[..2], [Live; 2]);
    assert_eq!(states[2..8], [Missing; 6], "{states:?}");
    assert!(states.len() > 10 && states[9..].iter().all(|state| *state == Live), "{states:?}");
    assert!(sound.iter().all(|state| *state == Live), "{sound:?}");
    // 09:21 to 09:24 is of the packet before, not of one that came at 09:22:20.
    assert!(played.stated(0).iter().all(|(_, _, revision)| *revision == 0), "{:?}", played.stated(0));
}

#[test]
fn a_single_packet_from_ahead_does_not_shut_out_the_next() {
    let played = play(30, |now| if now == at(9, 22, 50) { now.plus_seconds(110) } else { now });
    assert_eq!(refused_ahead(&played), 1);
    assert!(played.states(0).iter().all(|state| *state == Live), "{:?}", played.states(0));
    assert_eq!(played.stated(0)[2].1, played.stated(1)[2].1, "as of 09:23:50");
}

#[test]
fn a_feed_that_is_ahead_as_a_whole_is_taken() {
    for ahead_s in [12, 100] {
        let mut played = Played::new(20);
        for step in 0..40 * 6 {
            let now = at(9, 15, 0).plus_seconds(step * 10);
            let stamp = if step >= 60 { now.plus_seconds(ahead_s) } else { now };
            let values: Vec<(u32, i64)> = (0..20).map(|slot| (slot, 1_000 + step)).collect();
            played.stream_late(stamp, now, &values);
        }
        // Those of the first packet, as nothing else was known then.
        assert_eq!(refused_ahead(&played), 20, "{ahead_s}");
        for slot in 0..20 {
            let states = played.states(slot);
            assert!(states.len() > 10 && states.iter().all(|state| *state == Live), "{ahead_s}: {states:?}");
        }
    }
}

#[test]
fn clocks_that_differ_by_seconds_refuse_nothing() {
    let played = play(30, |now| now.plus_seconds(9));
    assert_eq!((refused_ahead(&played), played.day.counters().from_the_future), (0, 0));
}

#[test]
fn a_body_from_ahead_is_refused_once_and_proves_nothing() {
    let mut played = Played::new(1);
    for step in 0..60 {
        let now = at(9, 15, 0).plus_seconds(step * 30);
        let stamp = if step == 11 { now.plus_seconds(100) } else { now.plus_seconds(-10) };
        played.body(stamp, now, &[(0, 1_000 + step)]);
    }
    assert_eq!(played.day.wrong_stamps(Provider::Nse), WrongStamps { ahead: 1, ..WrongStamps::default() });
    let stated = played.stated(0);
    assert!(stated.iter().all(|(state, ..)| *state == Live), "{stated:?}");
    // 09:18 to 09:21 ends before 09:20:30 came with a stamp of 09:22:10.
    assert_eq!(stated[1].1, Some(1_012));
}

/// One packet in each bucket is stamped some seconds ahead, over the bucket's end; the others are in time.
#[test]
fn a_packet_with_more_volume_under_an_earlier_stamp_is_of_a_later_trade() {
    for (at_second, ahead) in [(175, 6), (173, 5), (100, 6)] {
        let mut played = Played::new(2);
        for second in 0..1_900 {
            let now = at(9, 15, 0).plus_seconds(second);
            let is_ahead = second % 180 == at_second;
            let stamp = if is_ahead { now.plus_seconds(ahead) } else { now };
            played.stream_late(stamp, now, &[(0, 1_000 + second)]);
            played.stream(now, &[(1, 5)]);
        }
        let stated = played.stated(0);
        let said: Vec<_> = stated.iter().map(|(state, open_interest, _)| (*state, *open_interest)).collect();
        for (bucket, said) in said.iter().enumerate().take(9) {
            let last = 1_000 + bucket as i64 * 180 + 179;
            assert_eq!(*said, (Live, Some(last)), "bucket {bucket}: {stated:?}");
        }
        let count = played.day.wrong_stamps(Provider::AngelOne).disordered;
        let ahead_at = (0..1_900).filter(|second| second % 180 == at_second).count() as i64;
        assert_eq!(count as i64, ahead_at * (ahead - 1), "the packets within that time");
        let whole: Vec<i64> = played
            .rows
            .candles
            .iter()
            .filter(|candle| candle.instrument == InstrumentId(0) && !candle.resolve_required)
            .map(|candle| candle.start.us_since(hours().open) / 300_000_000)
            .collect();
        // Every fifth bucket ends with a candle: what was traded then may be of either.
        let is_crossed = at_second + ahead >= 180;
        let expected: &[i64] = if is_crossed { &[0, 1, 4] } else { &[0, 1, 2, 3, 4, 5] };
        assert_eq!(whole, expected, "{at_second}");
    }
}

/// The same stream goes on to show other contracts in time, which is no proof that nothing was new of the one that comes late.
#[test]
fn what_comes_late_by_a_stream_proves_no_more_than_its_stamps() {
    for delay_minutes in [12, 60] {
        let played = play(60, |now| now.plus_seconds(-60 * delay_minutes));
        assert!(wrong_stamps(&played).1 > 300, "{:?}", wrong_stamps(&played));
        // What is stated at 10:14:50 of the last buckets that end in time.
        let proved =
            at(10, 14, 50).plus_seconds(-60 * delay_minutes).us_since(hours().open) / Bucket::LENGTH_US;
        let states = played.states(0);
        let of_stamps = states.iter().take(proved.max(0) as usize);
        assert!(of_stamps.clone().all(|state| *state == Backfilled), "{states:?}");
        assert!(states[of_stamps.len()..].iter().all(|state| *state == Missing), "{states:?}");
        assert!(played.states(1).iter().all(|state| *state == Live));
    }
    // In time again, it proves as before.
    let until = at(9, 40, 0);
    let played = play(60, |now| if now < until { now.plus_seconds(-720) } else { now });
    let states = played.states(0);
    assert!(states.len() > 15 && states[9..].iter().all(|state| *state == Live), "{states:?}");
}
