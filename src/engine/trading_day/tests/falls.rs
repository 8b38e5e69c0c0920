//! Volume that falls from one body to the next: what was before it, or what came after it, proves nothing.

use super::*;

/// What is traded by a second of the session, a lot each half minute.
fn volume(second: i64) -> i64 {
    10_000 + second / 30 * 65
}

/// Bodies each half minute, five seconds after their stamps; `shown` gives the volume of the one of a second.
fn play(until_s: i64, shown: impl Fn(i64) -> i64) -> Played {
    let mut played = Played::new(1);
    for second in (0..until_s).step_by(30) {
        let stamp = open_plus(second + 10);
        played.legs(stamp, stamp.plus_seconds(5), &[(0, shown(second), 50_000)]);
    }
    played.advance(open_plus(until_s + 60));
    played
}

/// The last statement of each bucket: whether it is claimed, and the volume.
fn last_stated(played: &Played) -> Vec<(bool, Option<i64>)> {
    let mut last = BTreeMap::new();
    for row in &played.rows.buckets {
        last.insert(row.bucket, (row.state <= Carried, row.volume));
    }
    last.into_values().collect()
}

#[test]
fn older_copies_under_moving_stamps_prove_no_row() {
    // From 09:30 to 09:36 each second body shows what was two minutes ago.
    let is_copy = |second: i64| (900..1_260).contains(&second) && second % 60 == 30;
    let played = play(1_800, |second| volume(if is_copy(second) { second - 120 } else { second }));
    for (bucket, (is_claimed, shown)) in last_stated(&played).into_iter().enumerate() {
        let last = (bucket as i64 + 1) * 180 - 30;
        assert_eq!(is_claimed, !is_copy(last), "bucket {bucket}: {shown:?}");
        assert!(!is_claimed || shown == Some(volume(last)), "bucket {bucket}: {shown:?}");
    }
}

#[test]
fn a_volume_that_is_taken_back_proves_nothing_of_a_bucket_any_more() {
    // Two bodies around the end of the sixth bucket show more, the one after them the right value again.
    let is_wild = |second: i64| (1_050..1_110).contains(&second);
    let played = play(1_800, |second| volume(second) * if is_wild(second) { 13 } else { 10 } / 10);
    let is_claimed: Vec<bool> = last_stated(&played).into_iter().map(|(is_claimed, _)| is_claimed).collect();
    let expected: Vec<bool> = (0..is_claimed.len()).map(|bucket| bucket != 5).collect();
    assert_eq!(is_claimed, expected);
}

#[test]
fn a_volume_that_is_taken_back_is_claimed_of_no_row_beside_a_stream() {
    let is_wild = |second: i64| (1_050..1_110).contains(&second);
    let mut played = Played::new(1);
    for second in (0..1_800).step_by(10) {
        let now = open_plus(second + 1);
        played.packets(now, &[(0, volume(second), 50_000)]);
        if second % 30 == 20 {
            let of = second - 20;
            let shown = volume(of) * if is_wild(of) { 13 } else { 10 } / 10;
            played.legs(open_plus(of + 10), now.plus_seconds(1), &[(0, shown, 50_000)]);
        }
    }
    played.advance(open_plus(1_860));
    for (bucket, (is_claimed, shown)) in last_stated(&played).into_iter().enumerate() {
        // The stream was doubted around the end of the sixth bucket.
        let right = Some(volume((bucket as i64 + 1) * 180 - 10));
        assert_eq!((is_claimed, shown.filter(|_| is_claimed)), (bucket != 5, right.filter(|_| bucket != 5)));
    }
}

#[test]
fn a_volume_that_grows_to_what_it_was_before_a_fall_is_right() {
    // A wild volume, and what is right reaches it a quarter of an hour later.
    let played = play(3_600, |second| if second == 1_050 { volume(second + 900) } else { volume(second) });
    let is_claimed: Vec<bool> = last_stated(&played).into_iter().map(|(is_claimed, _)| is_claimed).collect();
    let expected: Vec<bool> = (0..is_claimed.len()).map(|bucket| bucket != 5).collect();
    assert_eq!(is_claimed, expected);
}
