//! The level of an underlying that two providers show, each in its own time.

use super::*;
use crate::market::CandleInterval;

const RUPEE: i64 = 10_000;

/// A day of an index alone. A stream shows it each ten seconds, and a website each minute by copies that are 100 s old.
struct Index {
    played: Played,
    second: i64,
}

impl Index {
    fn new() -> Index {
        let order = vec![Provider::AngelOne, Provider::Nse];
        let mut day = TradingDay::new(hours(), GRACE_US, 0, order);
        day.add_chain(ChainClass::Underlying);
        day.add_slot(SlotSpec { is_option: false, ..spec(0) }, at(9, 0, 0));
        Index { played: Played { day, rows: Rows::default() }, second: 0 }
    }

    /// A path that moves by 3 rupees a minute, to and fro.
    fn path(second: i64) -> i64 {
        let swing = (second / 60) % 40;
        25_000 * RUPEE + swing.min(40 - swing) * 3 * RUPEE
    }

    fn level(stamp: Timestamp, level: i64) -> Quote {
        Quote { event_time: stamp, last_price: Told::Value(Price::from_e4(level)), ..Quote::default() }
    }

    /// Up to a minute of the session, with what either shows of a second.
    fn run(&mut self, until_minute: i64, streamed: impl Fn(i64) -> i64, copied: impl Fn(i64) -> i64) {
        while self.second < until_minute * 60 {
            let now = hours().open.plus_seconds(self.second);
            self.played.advance(now);
            let Played { day, rows } = &mut self.played;
            let mut arrival = day.stream_arrival(Provider::AngelOne, 0, STREAM, now);
            day.observe(0, &mut arrival, &Self::level(now, streamed(self.second)), rows);
            day.end_arrival(&arrival, rows);
            let copy = self.second - 100;
            if self.second % 60 == 30 && copy >= 0 {
                let stamp = hours().open.plus_seconds(copy);
                let mut arrival = day.chain_arrival(Provider::Nse, 0, stamp, BODY, now);
                day.observe(0, &mut arrival, &Self::level(stamp, copied(copy)), rows);
                day.end_arrival(&arrival, rows);
            }
            self.second += 10;
        }
    }

    /// State of the last statement of each bucket.
    fn states(&self) -> Vec<(BucketState, Option<Provider>)> {
        let mut last = BTreeMap::new();
        for row in &self.played.rows.underlyings {
            last.insert(row.bucket, (row.state, row.provider));
        }
        last.into_values().collect()
    }

    /// Minutes at which candles of three minutes begin that are not marked.
    fn unmarked(&self) -> Vec<i64> {
        let stored = stored_candles(&self.played, 0).into_iter();
        stored.filter(|(length, _, _, mark)| *length == 3 && !mark).map(|(_, start, ..)| start).collect()
    }
}

#[test]
fn copies_of_a_level_that_moves_are_no_dispute() {
    // A fall of 3 % within a minute, and its recovery over ten.
    let crash = |second: i64| {
        let fallen = match second {
            ..1_200 => 0,
            1_200..1_260 => (second - 1_200) * 13 * RUPEE,
            _ => (780 - (second - 1_260)).max(0) * RUPEE,
        };
        Index::path(second) - fallen
    };
    for path in [Index::path as fn(i64) -> i64, crash] {
        let mut index = Index::new();
        index.run(60, path, path);
        assert_eq!(index.played.day.level_disputes(), []);
        assert!(index.states().iter().all(|(state, _)| *state == Live), "{:?}", index.states());
        assert_eq!(index.unmarked().len(), index.states().len());
    }
}

#[test]
fn a_level_that_another_provider_contradicts_is_claimed_of_neither() {
    for factor in [(100, 1), (1, 100), (102, 100)] {
        let wrong = |second: i64| match second {
            1_200..2_400 => Index::path(second) * factor.0 / factor.1,
            _ => Index::path(second),
        };
        let mut index = Index::new();
        index.run(30, wrong, Index::path);
        let [dispute] = index.played.day.level_disputes()[..] else { panic!("{factor:?}: one dispute") };
        assert_eq!((dispute.slot, dispute.disbelieved), (0, None), "{factor:?}");
        let [(first, ours), (second, theirs)] = dispute.shown;
        assert_eq!((first, second), (Provider::AngelOne, Provider::Nse));
        assert_eq!(ours.map(Price::as_e4), Some(wrong(1_790)));
        assert_eq!(theirs.map(Price::as_e4), Some(Index::path(1_670)));
        index.run(60, wrong, Index::path);
        assert_eq!(index.played.day.level_disputes(), [], "both show the same again");
        let states = index.states();
        // 09:35 lies in the seventh bucket, 09:55 in the fourteenth.
        assert!(states[..6].iter().chain(&states[14..]).all(|(state, _)| *state == Live), "{states:?}");
        assert!(states[6..13].iter().all(|(state, _)| *state == Missing), "{factor:?}: {states:?}");
        // 09:54 to 09:57 begins with wrong levels and ends with right ones.
        assert_eq!(index.unmarked(), [0, 3, 6, 9, 12, 15, 42, 45, 48, 51, 54], "{factor:?}");
    }
}

#[test]
fn a_level_that_stands_still_beside_a_moving_one_is_disbelieved() {
    // It stands at a level of long ago.
    let standing = |second: i64| if second < 600 { Index::path(second) } else { 24_000 * RUPEE };
    let mut index = Index::new();
    let steep = |second: i64| Index::path(second) + (second / 60) * 5 * RUPEE;
    index.run(60, |second| if second < 600 { steep(second) } else { standing(second) }, steep);
    let [dispute] = index.played.day.level_disputes()[..] else { panic!("one dispute") };
    assert_eq!(dispute.disbelieved, Some(Provider::AngelOne));
    let states = index.states();
    let of_website = |of: &(BucketState, Option<Provider>)| of.0 != Missing && of.1 == Some(Provider::Nse);
    assert!(states[4..].iter().all(of_website), "the moving one is recorded: {states:?}");
    let unmarked = index.unmarked();
    assert!(unmarked.iter().all(|start| *start <= 9 || *start > 18), "{unmarked:?}");
    assert!(unmarked.iter().any(|start| *start > 30), "{unmarked:?}");
}

#[test]
fn a_few_wrong_levels_and_levels_of_before_the_open_are_no_dispute() {
    let mut index = Index::new();
    // As long as a copy is under way.
    let wrong = |second: i64| {
        if (1_200..1_380).contains(&second) { 2 * Index::path(second) } else { Index::path(second) }
    };
    index.run(60, wrong, Index::path);
    assert_eq!(index.played.day.level_disputes(), []);
    let mut index = Index::new();
    let before = hours().open.plus_seconds(-900);
    let Played { day, rows } = &mut index.played;
    for second in 0..600 {
        let now = before.plus_seconds(second);
        let mut arrival = day.stream_arrival(Provider::AngelOne, 0, STREAM, now);
        day.observe(0, &mut arrival, &Index::level(now, 24_000 * RUPEE), rows);
        day.end_arrival(&arrival, rows);
        if second % 60 == 0 {
            let mut arrival = day.chain_arrival(Provider::Nse, 0, now, BODY, now);
            day.observe(0, &mut arrival, &Index::level(now, 25_000 * RUPEE), rows);
            day.end_arrival(&arrival, rows);
        }
    }
    assert_eq!(day.level_disputes(), []);
    index.run(30, Index::path, Index::path);
    assert_eq!(index.played.day.level_disputes(), []);
}

#[test]
fn in_the_closing_auction_levels_differ_by_what_they_are_said_of() {
    let last_half_hour = 346;
    for (percent, is_found) in [(103, false), (10_000, true)] {
        let mut index = Index::new();
        index.run(last_half_hour, Index::path, Index::path);
        index.run(374, |second| Index::path(second) * percent / 100, Index::path);
        assert_eq!(index.played.day.level_disputes().len(), usize::from(is_found), "{percent} %");
    }
}

#[test]
fn a_level_from_which_the_market_came_back_marks_the_candles_of_every_length() {
    let wild = |from: i64, until: i64| {
        move |second: i64| if (from..until).contains(&second) { 27_500 * RUPEE } else { Index::path(second) }
    };
    // Over 09:45, within a candle of three minutes and over the end of one of five.
    let mut index = Index::new();
    index.run(60, wild(1_780, 1_820), Index::path);
    let marked = |index: &Index, length: i64| -> Vec<i64> {
        let stored = stored_candles(&index.played, 0).into_iter();
        stored.filter(|(of, _, _, mark)| *of == length && *mark).map(|(_, start, ..)| start).collect()
    };
    assert!(marked(&index, 3).contains(&27) && marked(&index, 3).contains(&30), "{:?}", marked(&index, 3));
    assert!(marked(&index, 5).contains(&25) && marked(&index, 5).contains(&30));
    assert!(index.unmarked().contains(&21) && index.unmarked().contains(&39));
    let found = index.played.day.price_outliers(Provider::AngelOne);
    assert_eq!((found.count, found.last.map(|of| of.price.as_e4())), (1, Some(27_500 * RUPEE)));
    // The last one of the day, which nothing confirms.
    let mut index = Index::new();
    index.run(375, wild(22_490, 22_500), Index::path);
    index.played.advance(at(15, 40, 0));
    assert_eq!(index.played.day.price_outliers(Provider::AngelOne).count, 1);
    assert!(marked(&index, 3).contains(&372) && marked(&index, 5).contains(&370));
    assert_eq!(marked(&index, CandleInterval::Day.minutes()), [0]);
}

#[test]
fn the_close_of_an_index_that_was_not_seen_is_told_after_it() {
    let mut index = Index::new();
    index.played.advance(at(15, 37, 0));
    let [found] = index.played.day.unclosed_chains()[..] else { panic!("one chain") };
    assert_eq!((found.is_underlying, found.unwitnessed, found.since), (true, 1, None));
    let mut index = Index::new();
    index.run(375, Index::path, Index::path);
    index.played.advance(at(15, 37, 0));
    assert_eq!(index.played.day.unclosed_chains(), []);
}
