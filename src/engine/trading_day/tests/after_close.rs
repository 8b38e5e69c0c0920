//! What comes after the close of what was before it.

use super::*;

#[test]
fn an_older_copy_of_the_closing_values_does_not_take_the_place_of_newer_ones() {
    let mut played = Played::new(1);
    for minute in 0..376 {
        let stamp = at(9, 15, 0).plus_seconds(minute * 60);
        played.body(stamp, stamp.plus_seconds(60), &[(0, 10_000)]);
    }
    let close = hours().close;
    let mut show = |minute: i64, open_interest: i64| {
        played.legs(close, close.plus_seconds(minute * 60), &[(0, 20_000, open_interest)]);
        played.day.latest(0).open_interest()
    };
    let shown = [10_000, 10_000, 10_500, 10_000, 10_500, 10_000, 10_600, 10_500];
    let kept: Vec<_> = (2..).zip(shown).map(|(minute, shown)| show(minute, shown)).collect();
    assert_eq!(kept, [10_000, 10_000, 10_500, 10_500, 10_500, 10_500, 10_600, 10_600].map(Some));
}

/// As a restart in the evening brings it: the stream is over, and the website's body of the close is the first that comes.
#[test]
fn a_provider_that_takes_over_after_the_close_marks_no_candle_of_trades_that_were_seen() {
    let mut played = Played::new(2);
    played.day.begin_stream(Provider::AngelOne, 0, at(9, 14, 0));
    for second in (0..375 * 60).step_by(10) {
        let now = open_plus(second);
        played.stream(now, &[(0, 1_000 + second), (1, 5_000 + second)]);
        if second % 60 == 50 {
            played.body(now, now.plus_seconds(1), &[(0, 1_000 + second), (1, 5_000 + second)]);
        }
    }
    played.advance(at(15, 40, 0));
    for provider in Provider::ALL {
        played.day.set_down(provider, at(15, 41, 0), at(15, 45, 0), &mut played.rows);
    }
    let before = stored_candles(&played, 0);
    let last = 375 * 60 - 10;
    played.body(hours().close, at(15, 46, 0), &[(0, 1_000 + last), (1, 5_000 + last)]);
    assert_eq!(played.day.latest(0).provider(), Some(Provider::Nse));
    assert_eq!(stored_candles(&played, 0), before);
    let last_mark = before.iter().rev().find(|(length, ..)| *length == 5).map(|(.., mark)| *mark);
    assert_eq!(last_mark, Some(false));
}
