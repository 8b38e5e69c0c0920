//! Open interest and levels that cannot have come of what was before are not taken at once; what a market does is.

use super::*;

/// A contract that is traded each minute, as it is after so many minutes: volume and open interest.
fn lively(minute: i64) -> (i64, i64) {
    (7_000 + minute * 130, 1_600 + minute * 10)
}

fn minute_at(minute: i64) -> Timestamp {
    at(9, 15, 20).plus_seconds(minute * 60)
}

impl Played {
    /// A packet of both contracts each minute, the first as `shown` says.
    fn minutes(&mut self, minutes: std::ops::Range<i64>, shown: impl Fn(i64) -> (i64, i64)) {
        for minute in minutes {
            let ((volume, open_interest), (other_volume, other)) = (shown(minute), lively(minute));
            self.packets(minute_at(minute), &[(0, volume, open_interest), (1, other_volume, other)]);
        }
    }

    fn largest(&self) -> Option<i64> {
        self.stated(0).iter().filter_map(|(_, open_interest, _)| *open_interest).max()
    }
}

#[test]
fn one_wild_packet_makes_no_row_and_no_change() {
    let mut played = Played::new(2);
    // The last before 09:24.
    let wild = |minute| if minute == 8 { (lively(8).0, 1_616_000) } else { lively(minute) };
    played.minutes(0..30, wild);
    let states = played.states(0);
    assert!(states[..2].iter().chain(&states[3..]).all(|state| *state == Live), "{states:?}");
    assert_eq!(states[2], Missing, "what was at 09:24 was not told: {states:?}");
    assert!(played.largest() < Some(2_000), "{:?}", played.stated(0));
    assert!(played.rows.deltas.iter().all(|delta| delta.new_open_interest < 2_000));
    assert_eq!((played.day.untold(Provider::AngelOne).jumps, played.day.jumps().count()), (1, 0));
}

#[test]
fn a_source_that_goes_on_with_a_jump_is_taken_after_minutes_and_named_until_it_jumps_back() {
    let mut played = Played::new(2);
    let in_lots = |minute| {
        let (volume, open_interest) = lively(minute);
        (volume, open_interest / 65)
    };
    played.minutes(0..30, lively);
    played.minutes(30..40, in_lots);
    let jump = *played.day.jumps().next().expect("it is named");
    assert_eq!((jump.slot, jump.provider, jump.before), (0, Provider::AngelOne, lively(29).1));
    assert_eq!((jump.after, jump.at), (lively(34).1 / 65, minute_at(30)));
    let stated = played.stated(0);
    // Packets of 09:45:20 to 09:48:20 are left out, the one of 09:49:20 is taken.
    assert_eq!((stated[10].0, stated[11].0), (Missing, Live), "{stated:?}");
    played.minutes(40..60, lively);
    assert_eq!(played.day.jumps().count(), 0, "it is back");
    let changes = played.rows.deltas.iter().filter(|delta| delta.instrument == InstrumentId(0));
    let largest = changes.map(|delta| (delta.new_open_interest - delta.old_open_interest).abs()).max();
    assert_eq!(largest, Some(10), "a jump is no change");
}

#[test]
fn another_unit_of_volume_and_open_interest_is_a_jump_and_is_not_taken_against_another_provider() {
    for has_other in [false, true] {
        let mut played = Played::new(2);
        for minute in 0..60 {
            let (volume, open_interest) = lively(minute);
            let unit = if minute < 30 { 1 } else { 65 };
            let scaled = [(0, volume * unit, open_interest * unit), (1, volume, open_interest)];
            played.packets(minute_at(minute), &scaled);
            if has_other && minute > 0 {
                let (volume, open_interest) = lively(minute - 1);
                let legs = [(0, volume, open_interest), (1, volume, open_interest)];
                played.legs(minute_at(minute - 1), minute_at(minute).plus_seconds(10), &legs);
            }
        }
        assert_eq!(played.day.jumps().count(), usize::from(!has_other));
        assert_eq!(played.largest() > Some(10_000), !has_other, "{:?}", played.stated(0));
        if has_other {
            let later = &played.states(0)[12..];
            assert!(later.iter().all(|state| *state != Missing), "the other one proves it: {later:?}");
        }
    }
}

#[test]
fn what_a_market_does_is_no_jump() {
    // A quiet contract is traded, and what came of it is published minutes later, without further volume.
    let late = |minute: i64| match minute {
        ..10 => (650, 65),
        10..13 => (715, 65),
        _ => (715, 130),
    };
    // Position after position is closed.
    let closed = |minute: i64| (10_000 + minute * 650, (6_500 - minute * 650).max(0));
    // Traded to and fro within a minute.
    let busy = |minute: i64| (minute * 100_000, 65_000 + minute % 2 * 50_000);
    // After an outage of the stream.
    let rare = |minute: i64| lively(minute / 20 * 20);
    let all: [&dyn Fn(i64) -> (i64, i64); 4] = [&late, &closed, &busy, &rare];
    for natural in all {
        let mut played = Played::new(2);
        played.minutes(0..60, natural);
        assert_eq!(played.day.untold(Provider::AngelOne), UntoldQuotes::default());
        let states = played.states(0);
        assert!(states.iter().all(|state| *state == Live), "{states:?}");
    }
}

#[test]
fn many_contracts_of_a_chain_do_not_lose_all_their_open_interest_at_once() {
    let mut played = Played::new(10);
    for minute in 0..40 {
        let now = minute_at(minute);
        // All of it could have been traded away.
        let value = |slot| (slot, 100_000 + minute * 50_000, if minute < 20 { 2_000 } else { 0 });
        let values: Vec<_> = (0..10).map(value).collect();
        played.packets(now, &values);
    }
    assert_eq!(played.day.untold(Provider::AngelOne).zeros, 8 * 20);
    let is_claimed = |slot: u32| played.states(slot)[8..].iter().any(|state| *state != Missing);
    assert_eq!((0..10).filter(|slot| is_claimed(*slot)).count(), 2);
}

#[test]
fn a_wild_level_is_in_no_candle() {
    let level = |minute: i64, second: i64| 26_000 * 10_000 + (minute * 7 + second % 5) * 1_000;
    let play = |wild: &dyn Fn(i64) -> Option<i64>| {
        let order = vec![Provider::AngelOne];
        let mut day = TradingDay::new(hours(), GRACE_US, 0, order);
        let chain = day.add_chain(ChainClass::Underlying);
        day.add_slot(SlotSpec { is_option: false, chain, ..spec(0) }, at(9, 0, 0));
        let mut played = Played { day, rows: Rows::default() };
        for second in 0..3_600 {
            let now = at(9, 15, 0).plus_seconds(second);
            played.advance(now);
            let mut arrival = played.day.stream_arrival(Provider::AngelOne, 0, STREAM, now);
            let price = wild(second).unwrap_or(level(second / 60, second));
            let last_price = Told::Value(Price::from_e4(price));
            let quote = Quote { event_time: now, last_price, ..Quote::default() };
            played.day.observe(0, &mut arrival, &quote, &mut played.rows);
            played.day.end_arrival(&arrival, &mut played.rows);
        }
        played
    };
    let lows = |played: &Played| {
        let lows = played.rows.candles.iter().map(|candle| candle.low);
        lows.min().expect("candles")
    };
    let other = |share: i64| 26_000 * 100 * share;
    // Single ones, and every second one of another index.
    for wild in [
        &(|second: i64| (second % 600 == 7).then_some(2_500_000_i64)) as &dyn Fn(i64) -> Option<i64>,
        &(|second: i64| (second > 300 && second % 2 == 1).then_some(other(93))),
    ] {
        let played = play(wild);
        assert!(lows(&played) >= Price::from_e4(level(0, 0)), "{}", lows(&played));
        assert!(played.day.untold(Provider::AngelOne).jumps > 0);
        assert_eq!(played.day.jumps().count(), 0);
    }
    // A market that falls does so step by step.
    let fall = |second: i64| (second > 300).then(|| 26_000 * (10_000 - (second - 300) / 3));
    let played = play(&fall);
    assert_eq!(played.day.untold(Provider::AngelOne).jumps, 0);
    assert!(lows(&played) < Price::from_e4(other(90)));
    // A source that goes on with another index is taken, and named.
    let played = play(&|second: i64| (second > 300).then_some(other(93)));
    assert_eq!(played.day.jumps().map(|jump| jump.at).collect::<Vec<_>>(), [at(9, 20, 1)]);
}
