//! A stream that falls silent while its connection stands.

use super::*;

/// A stream of so many records a minute, of two contracts that move with each, from 09:15 to 10:00. Within `hole` nothing comes.
fn stream_with_hole(records_a_minute: i64, hole: (Timestamp, Timestamp)) -> Played {
    let mut played = Played::new(2);
    played.day.begin_stream(Provider::AngelOne, 0, at(9, 14, 0));
    for record in 0..45 * records_a_minute {
        let now = hours().open.plus_us(record * 60 * SECOND_US / records_a_minute);
        if now < hole.0 || hole.1 <= now {
            played.stream(now, &[(0, 1_000 + record), (1, 5_000 + record)]);
        }
    }
    played
}

#[test]
fn a_lively_stream_that_falls_silent_for_half_a_minute_proves_nothing_of_it() {
    let hole = (at(9, 38, 40), at(9, 39, 10));
    let played = stream_with_hole(120, hole);
    let states = played.states(0);
    // 09:39 is the end of the eighth bucket.
    assert_eq!(states[7], Missing, "{states:?}");
    assert!(states[..7].iter().chain(&states[8..]).all(|state| *state == Live), "{states:?}");
    let marked = |of: &Played| -> Vec<i64> {
        let stored = stored_candles(of, 0).into_iter().filter(|(length, _, _, mark)| *length == 5 && *mark);
        stored.map(|(_, start, ..)| start).collect()
    };
    assert_eq!(marked(&played), [20]);
    let broken = played.day.scope_changes.iter().filter(|change| change.down.is_some()).count();
    assert_eq!(broken, 1, "{:?}", played.day.scope_changes);
    // Within the pace of a stream that brings less, it says nothing; nor does what waits in the network for some seconds.
    for (records_a_minute, until) in [(20, at(9, 39, 10)), (600, at(9, 38, 52))] {
        let played = stream_with_hole(records_a_minute, (hole.0, until));
        assert!(played.states(0).iter().all(|state| *state == Live), "{records_a_minute}");
        assert_eq!(marked(&played), [0_i64; 0]);
    }
}

#[test]
fn a_lively_stream_that_is_silent_again_and_again_is_found_each_time() {
    let mut played = Played::new(1);
    played.day.begin_stream(Provider::AngelOne, 0, at(9, 14, 0));
    for record in 0..45 * 600 {
        let now = hours().open.plus_us(record * 100_000);
        let second = now.us_since(hours().open) / SECOND_US;
        if second < 600 || second % 60 < 20 {
            played.stream(now, &[(0, 1_000 + record)]);
        }
    }
    let states = played.states(0);
    // Bucket ends lie at the beginning of what comes again.
    assert!(states[..3].iter().all(|state| *state == Live), "{states:?}");
    assert!(states.len() > 12 && states[3..].iter().all(|state| *state == Missing), "{states:?}");
}
