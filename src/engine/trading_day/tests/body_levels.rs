//! The level of an underlying that comes with the bodies of its options.

use super::*;

const CONTRACTS: u32 = 60;
const LEVEL: u32 = CONTRACTS;

/// A chain of options, and that of their underlying.
fn day() -> Played {
    let order = vec![Provider::AngelOne, Provider::Nse];
    let mut day = TradingDay::new(hours(), GRACE_US, 0, order);
    day.add_chain(ChainClass::NearIndex);
    let level = day.add_chain(ChainClass::Underlying);
    day.set_underlying(0, level);
    for number in 0..CONTRACTS {
        day.add_slot(spec(number), at(9, 0, 0));
    }
    day.add_slot(SlotSpec { is_option: false, chain: level, ..spec(LEVEL) }, at(9, 0, 0));
    Played { day, rows: Rows::default() }
}

impl Played {
    /// A body as after so many changes; its level comes with it unless the options repeat what they said.
    fn body_with_level(&mut self, stamp: Timestamp, changes: i64) {
        let values: Vec<(u32, i64)> =
            (0..CONTRACTS).map(|slot| (slot, 1_000 + (changes + i64::from(slot % 3)) / 3)).collect();
        let now = stamp.plus_seconds(5);
        self.body(stamp, now, &values);
        if !self.day.repeats_bodies(Provider::Nse, 0) {
            let mut arrival = self.day.chain_arrival(Provider::Nse, 1, stamp, BODY, now);
            let last_price = Told::Value(Price::from_e4(250_000_000 + changes * 10_000));
            let quote = Quote { event_time: stamp, last_price, ..Quote::default() };
            self.day.observe(LEVEL, &mut arrival, &quote, &mut self.rows);
            self.day.end_arrival(&arrival, &mut self.rows);
        }
    }

    /// Minutes of the session in which the level's rows begin that are missing.
    fn missing_levels(&self) -> Vec<i64> {
        let mut states = BTreeMap::new();
        for row in &self.rows.underlyings {
            states.insert(row.bucket, row.state);
        }
        let missing = states.into_iter().filter(|(_, state)| *state == Missing);
        missing.map(|(bucket, _)| bucket.start().us_since(hours().open) / (60 * SECOND_US)).collect()
    }

    /// The same of three-minute candles of it that are to be resolved.
    fn unresolved_levels(&self) -> Vec<i64> {
        let is_of = |of: InstrumentId, interval| {
            of == InstrumentId(LEVEL) && interval == crate::market::CandleInterval::ThreeMinutes
        };
        let told = self.rows.candles.iter().filter(|told| is_of(told.instrument, told.interval));
        let mut marked: BTreeMap<Timestamp, bool> =
            told.map(|told| (told.start, told.resolve_required)).collect();
        let later = self.rows.unresolved.iter().filter(|later| is_of(later.instrument, later.interval));
        marked.extend(later.map(|later| (later.start, true)));
        let marked = marked.into_iter().filter(|(_, is_marked)| *is_marked);
        marked.map(|(start, _)| start.us_since(hours().open) / (60 * SECOND_US)).collect()
    }
}

#[test]
fn a_level_is_not_covered_while_its_only_chain_is_not_answered_for() {
    let mut played = day();
    for second in (0..1_800).step_by(15).map(|second| second + 5) {
        // Requests fail from 09:31:20 to 09:34:00.
        if second == 980 {
            played.day.set_chain_down(Provider::Nse, 0, open_plus(second), &mut played.rows);
        }
        if !(980..1_140).contains(&second) {
            played.body_with_level(open_plus(second), second);
        }
    }
    played.advance(open_plus(1_900));
    assert_eq!(played.missing_levels(), [15], "the bucket whose end was not seen");
    assert_eq!(played.unresolved_levels(), [15, 18], "what happened in the outage was not seen");
}

#[test]
fn a_level_is_taken_back_with_the_bodies_that_repeated_it() {
    let mut played = day();
    for second in (0..3_600).step_by(15).map(|second| second + 5) {
        // From 09:45:00 to 10:00:00 the same is shown.
        let of = if (1_800..2_700).contains(&second) { 1_790 } else { second };
        played.body_with_level(open_plus(second), of);
    }
    played.advance(open_plus(3_700));
    assert_eq!(played.missing_levels(), [27, 30, 33, 36, 39, 42]);
    assert_eq!(
        played.unresolved_levels(),
        [27, 30, 33, 45],
        "those that were told, and where it was seen in part"
    );
}
