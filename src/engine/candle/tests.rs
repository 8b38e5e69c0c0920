//! Of the book of five-minute and daily candles.

use super::{book::PriceOutlier, *};
use crate::{
    engine::rows::Rows,
    market::{Candle, CandleInterval, InstrumentId, UnresolvedCandle},
};
use std::collections::BTreeMap;

const ID: InstrumentId = InstrumentId(1);

fn at(minute: i64, second: i64) -> Timestamp {
    // 2026-01-30 09:15 IST
    Timestamp::from_us(1_769_744_700_000_000).plus_seconds(minute * 60 + second)
}

fn rupees(rupees: i64) -> Price {
    Price::from_e4(rupees * 10_000)
}

/// Nothing has been missed since the one before.
fn trade(event_time: Timestamp, price: i64, volume: i64) -> Trade {
    let (provider, seen) = (Provider::Nse, Seen::All);
    Trade { event_time, last_price: Some(rupees(price)), volume: Some(volume), provider, seen }
}

/// What was before is known to have held until then.
fn after(since: Timestamp, trade: Trade) -> Trade {
    Trade { seen: Seen::Nothing(since), ..trade }
}

/// A day of which the first so many intervals are closed, with one hole.
struct Closed(usize, Option<(Timestamp, Timestamp)>);

impl CandleDay for Closed {
    fn is_closed(&self, interval: usize) -> bool {
        interval < self.0
    }

    fn has_hole(&self, from: Timestamp, until: Timestamp) -> bool {
        self.1.is_some_and(|(start, end)| start < until && from < end)
    }
}

/// A book of one slot.
struct OneSlot {
    book: CandleBook,
    candles: SlotCandles,
    rows: Rows,
    day: Closed,
}

impl OneSlot {
    fn new() -> OneSlot {
        let mut book = CandleBook::new(at(0, 0));
        book.add_slot(Priced::Option);
        let (candles, rows) = (SlotCandles::default(), Rows::default());
        OneSlot { book, candles, rows, day: Closed(0, None) }
    }

    fn observe(&mut self, trade: &Trade) {
        self.book.observe(0, &mut self.candles, ID, trade, &self.day, &mut self.rows);
    }

    fn observe_late(&mut self, trade: &Trade) {
        self.book.observe_late(0, &mut self.candles, ID, trade, &self.day, &mut self.rows);
    }

    fn close_interval(&mut self) {
        self.book.close_interval(0, &mut self.candles, ID, self.day.0, &self.day, &mut self.rows);
        self.day.0 += 1;
    }

    fn tell_day(&mut self) -> Candle {
        self.book.tell_day(0, &self.candles, ID, at(0, 0), false).expect("a day's candle")
    }

    /// Start in minutes, volume and mark of every candle as a store has them.
    fn stored(&self) -> Vec<(i64, i64, bool)> {
        let mut last: BTreeMap<Timestamp, Candle> = BTreeMap::new();
        for candle in &self.rows.candles {
            let before = last.insert(candle.start, *candle);
            let was_marked = before.is_some_and(|before| before.resolve_required);
            last.get_mut(&candle.start).expect("it was added").resolve_required |= was_marked;
        }
        for UnresolvedCandle { instrument, interval, start } in &self.rows.unresolved {
            assert_eq!((*instrument, *interval), (ID, CandleInterval::FiveMinutes));
            last.get_mut(start).into_iter().for_each(|candle| candle.resolve_required = true);
        }
        let minute = |candle: &Candle| candle.start.us_since(at(0, 0)) / 60_000_000;
        last.values().map(|candle| (minute(candle), candle.volume, candle.resolve_required)).collect()
    }
}

#[test]
fn volume_is_the_difference_of_cumulative_volume_which_is_0_at_the_open() {
    let mut slot = OneSlot::new();
    for (second, price, volume) in [(10, 100, 1_000), (20, 105, 1_300), (40, 95, 1_450)] {
        slot.observe(&trade(at(0, second), price, volume));
    }
    assert!(slot.rows.is_empty(), "the interval is open");
    slot.close_interval();
    let [candle] = slot.rows.candles[..] else { panic!("one candle, not {:?}", slot.rows.candles) };
    assert_eq!(
        (candle.open, candle.high, candle.low, candle.close),
        (rupees(100), rupees(105), rupees(95), rupees(95))
    );
    assert_eq!((candle.volume, candle.revision, candle.start), (1_450, 0, at(0, 0)));
    assert!(!candle.resolve_required);
    let day = slot.tell_day();
    assert_eq!((day.volume, day.open, day.close), (1_450, rupees(100), rupees(95)));
    assert!(!day.resolve_required);
}

#[test]
fn a_first_value_has_a_place_only_if_the_contract_was_witnessed_from_the_open_on() {
    // Of the day's first interval all of it is, though its prices were not all seen.
    let mut slot = OneSlot::new();
    slot.observe(&after(at(0, 0), trade(at(2, 0), 100, 1_000)));
    slot.close_interval();
    assert_eq!(slot.stored(), [(0, 1_000, true)]);
    let mut slot = OneSlot::new();
    slot.observe(&after(at(0, 0), trade(at(12, 0), 100, 1_000)));
    slot.observe(&trade(at(13, 0), 100, 1_100));
    (0..3).for_each(|_| slot.close_interval());
    assert_eq!(slot.stored(), [(10, 100, true)]);
    let day = slot.tell_day();
    assert_eq!((day.volume, day.resolve_required), (1_100, true));
    // Nothing was traded before: nothing is lacked.
    let mut slot = OneSlot::new();
    slot.observe(&after(at(0, 0), trade(at(12, 0), 100, 0)));
    slot.observe(&trade(at(13, 0), 100, 100));
    (0..3).for_each(|_| slot.close_interval());
    assert_eq!(slot.stored(), [(10, 100, false)]);
}

#[test]
fn a_wild_cumulative_volume_is_taken_back_when_the_next_one_contradicts_it() {
    let mut slot = OneSlot::new();
    slot.observe(&trade(at(0, 10), 100, 1_000));
    slot.observe(&trade(at(4, 50), 100, 325_000_000));
    slot.close_interval();
    // The next packet lies in the next interval.
    slot.observe(&trade(at(5, 10), 100, 1_200));
    slot.observe(&trade(at(5, 20), 100, 1_300));
    slot.close_interval();
    slot.observe(&trade(at(10, 20), 100, 1_400));
    slot.close_interval();
    assert_eq!(slot.stored(), [(0, 1_200, true), (5, 100, true), (10, 100, false)]);
    assert_eq!((slot.tell_day().volume, slot.book.contradicted_volumes(Provider::Nse).count), (1_400, 1));
    let last =
        ContradictedVolume { instrument: ID, volume: 325_000_000, later: 1_200, event_time: at(5, 10) };
    assert_eq!(slot.book.contradicted_volumes(Provider::Nse).last, Some(last));
    // Within one interval.
    let mut slot = OneSlot::new();
    for volume in [1_000, 1_100, 400, 1_200] {
        slot.observe(&trade(at(1, volume / 100), 100, volume));
    }
    slot.close_interval();
    assert_eq!(slot.stored(), [(0, 1_200, true)], "the last value");
}

#[test]
fn a_wild_value_after_an_outage_is_taken_back_from_what_has_no_place() {
    let mut slot = OneSlot::new();
    slot.observe(&trade(at(1, 0), 100, 1_000));
    (0..2).for_each(|_| slot.close_interval());
    slot.observe(&after(at(4, 0), trade(at(11, 0), 100, 325_000_000)));
    slot.close_interval();
    slot.observe(&trade(at(15, 10), 100, 1_200));
    slot.close_interval();
    assert_eq!(slot.stored(), [(0, 1_000, true), (10, 0, true), (15, 0, true)]);
    slot.observe(&trade(at(16, 0), 100, 1_250));
    assert_eq!(slot.stored()[2], (15, 50, true));
    assert_eq!(slot.tell_day().volume, 1_250, "200 have no place");
}

#[test]
fn a_count_that_begins_anew_marks_all_candles_of_before() {
    let mut slot = OneSlot::new();
    for minute in 0..20 {
        slot.observe(&trade(at(minute, 0), 100, 1_000 * (minute + 1)));
    }
    (0..4).for_each(|_| slot.close_interval());
    assert!(slot.stored().iter().all(|(_, _, is_marked)| !is_marked));
    slot.observe(&trade(at(21, 0), 100, 10));
    slot.close_interval();
    assert!(slot.stored().iter().all(|(_, _, is_marked)| *is_marked), "{:?}", slot.stored());
    let day = slot.tell_day();
    assert_eq!((day.volume, day.resolve_required), (10, true));
}

#[test]
fn another_providers_smaller_value_may_be_older_and_counts_as_no_contradiction() {
    let mut slot = OneSlot::new();
    slot.observe(&trade(at(0, 1), 100, 500));
    let other = Trade { provider: Provider::AngelOne, ..trade(at(0, 2), 100, 450) };
    slot.observe(&after(at(0, 1), other));
    slot.observe(&Trade { volume: Some(650), ..other });
    slot.close_interval();
    assert_eq!(slot.stored(), [(0, 650, true)]);
    assert_eq!(Provider::ALL.map(|provider| slot.book.contradicted_volumes(provider).count), [0, 0]);
}

#[test]
fn what_an_outage_traded_has_no_place() {
    let mut slot = OneSlot::new();
    slot.observe(&trade(at(1, 0), 100, 1_000));
    slot.observe(&trade(at(2, 0), 100, 1_100));
    (0..12).for_each(|_| slot.close_interval());
    // Back an hour later, with a new subscription.
    slot.observe(&after(at(3, 0), trade(at(61, 0), 90, 5_000)));
    slot.observe(&trade(at(62, 0), 90, 5_050));
    slot.close_interval();
    assert_eq!(slot.stored(), [(0, 1_100, true), (60, 50, true)], "some of it may be the first one's");
    let day = slot.tell_day();
    assert_eq!((day.volume, day.resolve_required), (5_050, true), "the day has the whole");
    // The values before are known to have held until the second interval.
    let mut slot = OneSlot::new();
    slot.observe(&trade(at(1, 0), 100, 1_000));
    slot.close_interval();
    slot.observe(&after(at(6, 0), trade(at(8, 0), 100, 1_300)));
    slot.observe(&trade(at(11, 0), 100, 1_300));
    (0..2).for_each(|_| slot.close_interval());
    assert_eq!(slot.stored(), [(0, 1_000, false), (5, 300, true), (10, 0, false)]);
    // A break within one interval loses the place of nothing, but prices.
    let mut slot = OneSlot::new();
    slot.observe(&trade(at(1, 0), 100, 1_000));
    slot.observe(&after(at(1, 0), trade(at(2, 0), 100, 1_300)));
    slot.close_interval();
    assert_eq!(slot.stored(), [(0, 1_300, true)]);
    // Nothing was traded during the break: nothing is lacked.
    let mut slot = OneSlot::new();
    slot.observe(&trade(at(1, 0), 100, 1_000));
    slot.observe(&after(at(1, 0), trade(at(7, 0), 100, 1_000)));
    (0..2).for_each(|_| slot.close_interval());
    assert_eq!(slot.stored(), [(0, 1_000, false), (5, 0, false)]);
}

#[test]
fn an_index_has_no_volume_that_could_show_that_nothing_was_missed() {
    let level = |minute, price| Trade { volume: None, ..trade(at(minute, 0), price, 0) };
    let mut slot = OneSlot::new();
    slot.observe(&level(1, 100));
    slot.close_interval();
    slot.observe(&after(at(3, 0), level(12, 100)));
    slot.observe(&level(16, 101));
    (0..3).for_each(|_| slot.close_interval());
    assert_eq!(slot.stored(), [(0, 0, true), (10, 0, true), (15, 0, false)]);
}

#[test]
fn volume_without_a_price_has_a_place_only_in_a_candle_that_is_there() {
    let unpriced = |minute, volume| Trade { last_price: None, ..trade(at(minute, 0), 1, volume) };
    let mut slot = OneSlot::new();
    slot.observe(&trade(at(1, 0), 100, 100));
    slot.observe(&unpriced(2, 150));
    slot.observe(&unpriced(6, 250));
    slot.observe(&trade(at(7, 0), 100, 300));
    (0..2).for_each(|_| slot.close_interval());
    assert_eq!(slot.stored(), [(0, 150, false), (5, 50, true)]);
    assert_eq!(slot.tell_day().volume, 300);
}

#[test]
fn a_late_volume_shows_how_much_was_traded_before() {
    let mut slot = OneSlot::new();
    slot.observe(&trade(at(1, 0), 100, 100));
    slot.close_interval();
    slot.observe(&trade(at(5, 1), 120, 500));
    slot.observe_late(&trade(at(4, 59), 110, 300));
    slot.close_interval();
    assert_eq!(slot.stored(), [(0, 300, false), (5, 200, false)]);
    assert_eq!(slot.rows.candles[1].high, rupees(110));
    // An interval of which nothing else was said.
    slot.observe(&trade(at(16, 0), 120, 700));
    (0..2).for_each(|_| slot.close_interval());
    slot.observe_late(&trade(at(14, 0), 90, 600));
    slot.close_interval();
    assert_eq!(slot.stored(), [(0, 300, false), (5, 200, false), (10, 100, true), (15, 100, false)]);
    let day = slot.tell_day();
    assert_eq!((day.low, day.volume), (rupees(90), 700));
    // One that is not kept any more.
    slot.observe_late(&trade(at(6, 0), 80, 500));
    assert_eq!(slot.stored()[1], (5, 200, true));
    assert_eq!(slot.tell_day().low, rupees(80));
}

#[test]
fn a_price_for_a_closed_interval_is_restated_with_the_next_revision() {
    let mut slot = OneSlot::new();
    slot.observe(&trade(at(1, 0), 100, 10));
    slot.close_interval();
    slot.observe(&trade(at(4, 59), 120, 30));
    let [first, second] = slot.rows.candles[..] else { panic!("two candles, not {:?}", slot.rows.candles) };
    assert_eq!((first.revision, first.close, first.volume), (0, rupees(100), 10));
    assert_eq!((second.revision, second.close, second.volume), (1, rupees(120), 30));
    slot.observe_late(&trade(at(2, 0), 80, 20));
    assert_eq!(
        (slot.rows.candles[2].revision, slot.rows.candles[2].low, slot.rows.candles[2].close),
        (2, rupees(80), rupees(120))
    );
}

#[test]
fn a_first_price_of_a_closed_interval_makes_its_candle() {
    let mut slot = OneSlot::new();
    slot.close_interval();
    assert!(slot.rows.candles.is_empty());
    slot.observe(&trade(at(4, 0), 100, 10));
    assert_eq!(slot.rows.candles.len(), 1);
}

#[test]
fn a_candle_with_a_hole_says_so() {
    let mut slot = OneSlot::new();
    slot.day.1 = Some((at(3, 0), at(6, 0)));
    slot.observe(&trade(at(1, 0), 100, 10));
    slot.observe(&trade(at(7, 0), 100, 20));
    (0..2).for_each(|_| slot.close_interval());
    slot.observe(&trade(at(11, 0), 100, 20));
    slot.close_interval();
    assert_eq!(slot.stored(), [(0, 10, true), (5, 10, true), (10, 0, false)]);
}

#[test]
fn the_day_is_the_sum_of_its_five_minutes() {
    let mut slot = OneSlot::new();
    slot.observe(&trade(at(1, 0), 100, 10));
    slot.observe(&trade(at(5, 0), 120, 30));
    slot.observe(&trade(at(6, 0), 110, 40));
    // Late for the first interval, which was left behind already.
    slot.observe_late(&trade(at(2, 0), 70, 20));
    let day = slot.tell_day();
    assert_eq!((day.open, day.high, day.low, day.close), (rupees(100), rupees(120), rupees(70), rupees(110)));
    assert_eq!((day.volume, day.revision, day.start), (40, 0, at(0, 0)));
    slot.close_interval();
    slot.close_interval();
    let seen: Vec<_> = slot.rows.candles.iter().map(|told| (told.start, told.low, told.volume)).collect();
    assert_eq!(seen, [(at(0, 0), rupees(70), 20), (at(5, 0), rupees(110), 20)]);
    assert_eq!(slot.tell_day().revision, 1);
}

#[test]
fn a_volume_that_dips_once_gives_no_candle_the_day_s() {
    let mut slot = OneSlot::new();
    slot.observe(&trade(at(1, 0), 100, 1_000));
    slot.observe(&trade(at(4, 0), 101, 3_000));
    slot.observe(&trade(at(4, 50), 101, 0));
    slot.close_interval();
    slot.observe(&trade(at(5, 10), 102, 3_200));
    slot.observe(&trade(at(6, 0), 102, 3_500));
    slot.close_interval();
    slot.observe(&trade(at(10, 10), 102, 3_600));
    slot.close_interval();
    // 3,000 have no place any more.
    assert_eq!(slot.stored(), [(0, 0, true), (5, 500, true), (10, 100, false)]);
    assert_eq!(slot.tell_day().volume, 3_600);
}

#[test]
fn a_price_from_which_the_market_came_back_marks_its_candle_and_is_counted_once() {
    let mut slot = OneSlot::new();
    slot.observe(&trade(at(1, 0), 100, 100));
    slot.observe(&trade(at(1, 1), 25_000, 100));
    slot.observe(&trade(at(1, 2), 101, 110));
    slot.close_interval();
    // As the last of its candle it is found with the next price.
    slot.observe(&trade(at(6, 0), 102, 120));
    slot.observe(&trade(at(9, 59), 25_000, 120));
    slot.close_interval();
    assert_eq!(slot.stored(), [(0, 110, true), (5, 10, false)]);
    slot.observe(&trade(at(10, 0), 103, 130));
    slot.close_interval();
    assert_eq!(slot.stored(), [(0, 110, true), (5, 10, true), (10, 10, false)]);
    let found = slot.book.price_outliers(Provider::Nse);
    let (price, close) = (rupees(25_000), rupees(25_000));
    let last = PriceOutlier { instrument: ID, price, start: at(5, 0), end: at(10, 0), close };
    assert_eq!((found.count, found.last), (2, Some(last)));
    assert!(slot.tell_day().resolve_required, "its high is one of them");
}

#[test]
fn an_outlier_over_the_end_of_a_candle_marks_both() {
    let mut slot = OneSlot::new();
    for (minute, second, price) in
        [(1, 0, 100), (5, 0, 100), (9, 58, 25_000), (10, 2, 25_000), (10, 10, 101), (15, 0, 102)]
    {
        if minute % 5 == 0 && second < 5 {
            slot.close_interval();
        }
        slot.observe(&trade(at(minute, second), price, 100));
    }
    slot.close_interval();
    let marks: Vec<_> = slot.stored().into_iter().map(|(minute, _, mark)| (minute, mark)).collect();
    assert_eq!(marks, [(0, false), (5, true), (10, true), (15, false)]);
    let found = slot.book.price_outliers(Provider::Nse);
    assert_eq!((found.count, found.last.map(|of| (of.start, of.end))), (1, Some((at(5, 0), at(15, 0)))));
}

#[test]
fn a_candle_that_two_providers_made_is_marked_where_something_was_traded() {
    for (traded, is_marked) in [(0, false), (500, true)] {
        let mut slot = OneSlot::new();
        slot.observe(&trade(at(0, 10), 100, 10));
        slot.close_interval();
        slot.observe(&trade(at(6, 0), 101, 10 + traded));
        let by_other = Trade { provider: Provider::AngelOne, ..trade(at(7, 0), 101, 10 + traded) };
        slot.observe(&after(at(7, 0), by_other));
        slot.close_interval();
        assert_eq!(slot.stored(), [(0, 10, false), (5, traded, is_marked)]);
    }
}

#[test]
fn a_last_price_of_a_day_before_makes_no_candle() {
    let mut slot = OneSlot::new();
    slot.observe(&trade(at(0, 10), 154, 0));
    slot.close_interval();
    slot.observe(&trade(at(6, 0), 154, 0));
    slot.observe(&trade(at(7, 0), 10, 120));
    slot.close_interval();
    assert_eq!(slot.stored(), [(5, 120, false)]);
    let told: Vec<_> = slot.rows.candles.iter().map(|candle| (candle.open, candle.high)).collect();
    assert_eq!(told, [(Price::from_e4(100_000), Price::from_e4(100_000))]);
}
