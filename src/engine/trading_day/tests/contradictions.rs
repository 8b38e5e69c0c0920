//! What one provider shows against another: values that stand still, open interest in another unit, zeros that are none.

use super::{open_interest::are_far_apart, *};

/// Volume and open interest each by itself.
fn values(event_time: Timestamp, volume: i64, open_interest: i64) -> Quote {
    Quote { volume: Some(volume), ..quote(event_time, open_interest) }
}

impl Played {
    pub(super) fn packets(&mut self, now: Timestamp, quotes: &[(u32, i64, i64)]) {
        self.advance(now);
        let mut arrival = self.day.stream_arrival(Provider::AngelOne, 0, STREAM, now);
        for (slot, volume, open_interest) in quotes {
            self.day.observe(*slot, &mut arrival, &values(now, *volume, *open_interest), &mut self.rows);
        }
        self.day.end_arrival(&arrival, &mut self.rows);
    }

    pub(super) fn legs(&mut self, stamp: Timestamp, now: Timestamp, quotes: &[(u32, i64, i64)]) {
        self.advance(now);
        let mut arrival = self.day.chain_arrival(Provider::Nse, 0, stamp, BODY, now);
        for (slot, volume, open_interest) in quotes {
            self.day.observe(*slot, &mut arrival, &values(stamp, *volume, *open_interest), &mut self.rows);
        }
        self.day.end_arrival(&arrival, &mut self.rows);
    }
}

#[test]
fn an_answer_with_open_interest_0_is_held_to_what_is_known_too() {
    let mut played = Played::new(1);
    played.packets(at(9, 15, 10), &[(0, 2_000, 1_000)]);
    played.packets(at(9, 25, 0), &[(0, 2_100, 1_000)]);
    played.advance(at(9, 25, 30));
    let mut arrival =
        played.day.quote_arrival(Provider::AngelOne, QUOTES, Some(at(9, 25, 30)), at(9, 25, 31));
    played.day.observe(0, &mut arrival, &values(at(9, 25, 0), 2_100, 0), &mut played.rows);
    let blank = Quote { last_price: Told::Nothing, ..values(at(9, 25, 30), 0, 0) };
    played.day.observe(0, &mut arrival, &blank, &mut played.rows);
    played.day.end_arrival(&arrival, &mut played.rows);
    assert_eq!(played.day.latest(0).open_interest(), Some(1_000));
    assert_eq!(played.day.latest(0).volume(), Some(2_100));
    assert_eq!((played.day.untold(Provider::AngelOne).zeros, played.day.counters().blank), (1, 1));
    assert!(played.rows.deltas.is_empty(), "{:?}", played.rows.deltas);
}

#[test]
fn values_that_stand_still_under_moving_stamps_are_contradicted_at_once() {
    let mut played = Played::new(3);
    for second in 0..40 {
        let now = at(9, 15, 0).plus_seconds(second * 10);
        let minute = second / 6;
        // Frozen from 09:18 on, with packets as before.
        let shown = minute.min(3);
        played.packets(now, &[(0, 1_000 + shown * 65, 500 + shown), (1, 900, 700 + shown), (2, 10, 5)]);
        if second % 6 == 5 {
            let values = [(0, 1_000 + minute * 65, 500 + minute), (1, 900, 700 + shown), (2, 10, 5)];
            played.legs(now.plus_us(-50 * SECOND_US), now, &values);
        }
        if second == 29 {
            // The body of 09:19:00, with what was traded since 09:18.
            assert_eq!(played.day.counters().contradicted, 1);
        }
    }
    assert_eq!(played.day.counters().contradicted, 1, "once: it is recorded from the other since");
    let latest = played.day.latest(0);
    assert_eq!((latest.provider(), latest.volume()), (Some(Provider::Nse), Some(1_000 + 5 * 65)));
    let changes = played.rows.deltas.iter().filter(|delta| delta.instrument == InstrumentId(0));
    assert_eq!(changes.map(|delta| delta.new_open_interest).max(), Some(505));
    assert_eq!(played.day.latest(1).provider(), Some(Provider::AngelOne));
    // Where the trades belong that the stream did not show is not known.
    let stored = stored_candles(&played, 0);
    assert!(
        stored.iter().filter(|(length, start, ..)| *length == 5 && *start < 10).all(|of| of.3),
        "{stored:?}"
    );
    assert!(stored_candles(&played, 1).iter().filter(|of| of.0 == 5).all(|of| !of.3));
}

/// A day of which the stream's open interest of some contracts is in lots from a minute on, and what it came to by then.
/// Every minute some units of each contract are traded, and the open interest grows by one.
struct Lots {
    played: Played,
    contracts: u32,
    minute: i64,
}

const LOT: i64 = 65;

impl Lots {
    fn new(contracts: u32, base: Option<OiBase>) -> Lots {
        let mut played = Played::new(contracts);
        if let Some(base) = base {
            (0..contracts).for_each(|slot| played.day.set_base(slot, 65_000, base));
        }
        Lots { played, contracts, minute: 0 }
    }

    fn true_value(slot: u32, minute: i64) -> (u32, i64, i64) {
        (slot, 1_000 + minute * 13, 65_000 + i64::from(slot) * 100 + minute)
    }

    /// A minute in which the stream shows the contracts of `in_lots` in lots.
    fn minute(&mut self, in_lots: std::ops::Range<u32>) {
        let now = at(9, 15, 20).plus_seconds(self.minute * 60);
        let value = |slot, minute| {
            let (_, volume, open_interest) = Self::true_value(slot, minute);
            let unit = if in_lots.contains(&slot) { LOT } else { 1 };
            (slot, volume, open_interest / unit)
        };
        let packets: Vec<_> = (0..self.contracts).map(|slot| value(slot, self.minute)).collect();
        self.played.packets(now, &packets);
        // The body is of a minute before, stamped so.
        if self.minute > 0 {
            let legs: Vec<_> =
                (0..self.contracts).map(|slot| Self::true_value(slot, self.minute - 1)).collect();
            self.played.legs(now.plus_us(-50 * SECOND_US), now.plus_us(10 * SECOND_US), &legs);
        }
        self.minute += 1;
    }

    fn minutes(&mut self, count: usize, in_lots: std::ops::Range<u32>) {
        (0..count).for_each(|_| self.minute(in_lots.clone()));
    }
}

#[test]
fn copies_of_different_age_are_no_dispute() {
    let mut day = Lots::new(4, None);
    day.minutes(40, 0..0);
    assert_eq!(
        day.played.day.counters(),
        DayCounters {
            observations: day.played.day.counters().observations,
            inactive_provider: day.played.day.counters().inactive_provider,
            ..DayCounters::default()
        }
    );
    assert_eq!(day.played.day.oi_disputes(), []);
    assert!(day.played.states(0).iter().all(|state| *state == Live));
}

#[test]
fn open_interest_in_another_unit_is_disbelieved_by_what_is_known_of_before() {
    let known: [(&str, Option<OiBase>, usize); 3] = [
        ("the exchange's file", Some(OiBase::Official), 0),
        ("the close of the day before", Some(OiBase::OwnFinal), 0),
        ("what both showed before", None, 12),
    ];
    for (name, base, agreeing) in known {
        let mut day = Lots::new(4, base);
        day.minutes(agreeing, 0..0);
        day.minutes(20, 0..1);
        let [dispute] = day.played.day.oi_disputes()[..] else { panic!("{name}: one dispute") };
        assert_eq!((dispute.disbelieved, dispute.contracts), (Some(Provider::AngelOne), 1), "{name}");
        let stated = day.played.stated(0);
        assert!(stated.len() > 5, "{name}");
        for (state, open_interest, _) in &stated {
            let is_true = open_interest.is_none_or(|value| value >= 65_000);
            assert!(*state == Missing || is_true, "{name}: {stated:?}");
        }
        let claimed = stated.iter().filter(|(state, ..)| *state != Missing).count();
        assert!(claimed + 1 >= stated.len(), "{name}: the other provider proves it: {stated:?}");
        let jumps: Vec<_> = day
            .played
            .rows
            .deltas
            .iter()
            .filter(|delta| delta.received_time > at(9, 15, 20).plus_seconds((agreeing as i64 + 1) * 60))
            .filter(|delta| are_far_apart(delta.old_open_interest, delta.new_open_interest))
            .collect();
        assert!(jumps.is_empty(), "{name}: {jumps:?}");
        assert_eq!(day.played.day.latest(1).provider(), Some(Provider::AngelOne), "{name}: the others stay");
        assert_eq!(day.played.day.take_scope_changes(), [], "{name}");
    }
}

#[test]
fn a_dispute_that_cannot_be_decided_leaves_its_rows_missing_until_both_agree() {
    let mut day = Lots::new(4, None);
    day.minutes(20, 0..1);
    let [dispute] = day.played.day.oi_disputes()[..] else { panic!("one dispute") };
    assert_eq!((dispute.disbelieved, dispute.contracts, dispute.slot), (None, 1, 0));
    assert_eq!(dispute.shown, [(Provider::AngelOne, Some(1_000)), (Provider::Nse, Some(65_018))]);
    assert_eq!(day.played.day.counters().disputed, 1);
    day.minutes(20, 0..0);
    assert_eq!(day.played.day.oi_disputes(), []);
    let states = day.played.states(0);
    assert!(states[..6].iter().all(|state| *state == Missing), "{states:?}");
    assert!(states[8..].iter().all(|state| *state == Live), "{states:?}");
    assert!(day.played.states(1).iter().all(|state| *state == Live));
}

#[test]
fn past_half_of_a_chain_the_provider_is_disbelieved_of_it() {
    let mut day = Lots::new(5, None);
    for slot in 0..3 {
        day.played.day.set_base(slot, 65_000, OiBase::OwnFinal);
    }
    // Of the last one in lots no base is known.
    day.minutes(20, 0..4);
    let found = day.played.day.oi_disputes();
    let [dispute] = found[..] else { panic!("one dispute: {found:?}") };
    assert_eq!((dispute.disbelieved, dispute.contracts), (Some(Provider::AngelOne), 4));
    let changes = day.played.day.take_scope_changes();
    let down = changes.iter().find_map(|change| change.down);
    assert_eq!(down.map(|(_, reason)| reason), Some(ScopeReason::OpenInterest), "{changes:?}");
    assert!(changes.iter().all(|change| change.down.is_some()), "it does not come back: {changes:?}");
    assert_eq!(day.played.day.active_provider(), Some(Provider::Nse));
    for slot in 0..5 {
        let latest = day.played.day.latest(slot);
        assert_eq!(latest.provider(), Some(Provider::Nse));
        assert!(latest.open_interest() > Some(65_000));
    }
    day.minutes(30, 0..0);
    assert_eq!(day.played.day.oi_disputes(), []);
    assert_eq!(day.played.day.active_provider(), Some(Provider::AngelOne), "it is believed again");
}

#[test]
fn open_interest_that_stands_still_beside_a_moving_one_is_disbelieved() {
    let mut played = Played::new(2);
    for minute in 0..25 {
        let now = at(9, 15, 20).plus_seconds(minute * 60);
        let value = |minute: i64| (0, 100_000 * (minute + 1), 65_000 + minute);
        let (_, volume, open_interest) = value(minute);
        played.packets(now, &[(0, volume, open_interest.min(65_003)), (1, 10, 5)]);
        if minute > 0 {
            played.legs(
                now.plus_us(-50 * SECOND_US),
                now.plus_us(10 * SECOND_US),
                &[value(minute - 1), (1, 10, 5)],
            );
        }
    }
    let [dispute] = played.day.oi_disputes()[..] else { panic!("one dispute") };
    assert_eq!(dispute.disbelieved, Some(Provider::AngelOne));
    assert_eq!(played.day.latest(0).provider(), Some(Provider::Nse));
    assert_eq!(played.day.latest(1).provider(), Some(Provider::AngelOne));
}

/// The stream stands still from 09:20 on with stamps that move, and another provider shows what is traded until it falls silent at
/// 09:30. Then the stream shows what `later` gives for a minute.
fn outlived(later: impl Fn(i64) -> i64) -> Played {
    let mut played = Played::new(2);
    for minute in 0..60 {
        let now = at(9, 15, 20).plus_seconds(minute * 60);
        let shown = if minute < 15 { minute.min(5) * 100 } else { later(minute) };
        played.packets(now, &[(0, 10_000 + shown, 500), (1, 900 + minute, 700)]);
        if (1..15).contains(&minute) {
            played.legs(now.plus_us(-50 * SECOND_US), now, &[(0, 10_000 + (minute - 1) * 100, 500)]);
        }
    }
    played
}

#[test]
fn values_that_stand_still_are_not_right_because_the_other_provider_falls_silent() {
    let played = outlived(|_| 500);
    let stated = played.stated(0);
    assert!(stated.len() > 15, "{stated:?}");
    assert!(stated[5..].iter().all(|(state, ..)| *state == Missing), "{stated:?}");
    assert!(played.states(1).iter().all(|state| *state == Live));
}

#[test]
fn a_return_to_values_of_before_is_no_change_of_open_interest() {
    let mut played = Played::new(2);
    for minute in 0..30 {
        let now = at(9, 15, 20).plus_seconds(minute * 60);
        let stood = minute.min(5);
        played.packets(now, &[(0, 10_000 + stood * 100, 500 + stood), (1, 900 + minute, 700)]);
        if (1..9).contains(&minute) {
            let shown = minute - 1;
            played.legs(now.plus_us(-50 * SECOND_US), now, &[(0, 10_000 + shown * 100, 500 + shown)]);
        }
    }
    let changes = played.rows.deltas.iter().filter(|delta| delta.instrument == InstrumentId(0));
    let changes: Vec<_> = changes.map(|delta| (delta.old_open_interest, delta.new_open_interest)).collect();
    assert!(changes.iter().all(|(old, new)| old < new), "{changes:?}");
    assert_eq!(changes.last().map(|(_, new)| *new), Some(507));
}

#[test]
fn a_provider_that_goes_on_counting_from_a_lower_number_counts_otherwise() {
    let played = outlived(|minute| 500 + (minute - 15) * 10);
    let states = played.states(0);
    assert_eq!(states[5], Missing, "its count is of a few minutes: {states:?}");
    assert!(states.len() > 15 && states[9..].iter().all(|state| *state == Live), "{states:?}");
}

#[test]
fn a_provider_whose_volume_fell_counts_anew() {
    let mut played = Played::new(2);
    for minute in 0..30 {
        let now = at(9, 15, 20).plus_seconds(minute * 60);
        let volume = if minute < 8 { 10_000 + minute * 100 } else { 50 };
        played.packets(now, &[(0, volume, 500), (1, 900 + minute, 700)]);
        if (1..8).contains(&minute) {
            played.legs(now.plus_us(-50 * SECOND_US), now, &[(0, 10_000 + (minute - 1) * 100, 500)]);
        }
    }
    let stated = played.stated(0);
    assert!(stated[4..7].iter().all(|(state, ..)| *state == Live), "{stated:?}");
}

#[test]
fn an_answer_with_more_volume_under_an_older_stamp_refutes_what_stood_still() {
    // The stream repeats one contract's values; the answer has a trade of the first bucket.
    for (until_minute, is_kept) in [(8, true), (26, false)] {
        let mut played = Played::new(2);
        for minute in 0..until_minute {
            let now = at(9, 15, 20).plus_seconds(minute * 60);
            played.packets(now, &[(0, 1_000 + minute, 500), (1, 900, 700)]);
        }
        let asked = at(9, 15, 30).plus_seconds((until_minute - 1) * 60);
        played.advance(asked);
        let mut arrival = played.day.quote_arrival(Provider::AngelOne, QUOTES, Some(asked), asked);
        played.day.observe(1, &mut arrival, &values(at(9, 16, 0), 1_300, 760), &mut played.rows);
        played.day.end_arrival(&arrival, &mut played.rows);
        played.packets(asked.plus_seconds(40), &[(0, 5_000, 500), (1, 900, 700)]);
        played.advance(asked.plus_seconds(60));
        assert_eq!(played.day.counters().contradicted, 1);
        let stated = played.stated(1);
        assert!(stated.len() >= 2, "{stated:?}");
        let shown: Vec<_> = stated.iter().filter_map(|(_, open_interest, _)| *open_interest).collect();
        // Buckets of more than four ends ago are not restated.
        assert_eq!(shown[0], if is_kept { 760 } else { 700 }, "{stated:?}");
        assert_eq!(shown.last(), Some(&760), "{stated:?}");
    }
}

#[test]
fn an_answer_of_the_same_seconds_refutes_a_stream_that_has_been_silent_since() {
    let answered = |received: Timestamp| {
        let mut played = Played::new(1);
        played.packets(at(9, 15, 20), &[(0, 900, 700)]);
        played.packets(at(9, 17, 55), &[(0, 900, 700)]);
        played.advance(received);
        let mut arrival = played.day.quote_arrival(Provider::AngelOne, QUOTES, Some(received), received);
        played.day.observe(0, &mut arrival, &values(at(9, 17, 50), 1_300, 760), &mut played.rows);
        played.day.end_arrival(&arrival, &mut played.rows);
        // Until then the stream might have brought it.
        played.advance(received.plus_seconds(15));
        played.day.latest(0).volume()
    };
    assert_eq!(answered(at(9, 18, 0)), Some(900), "a copy of the same moment");
    assert_eq!(answered(at(9, 20, 3)), Some(1_300));
}

#[test]
fn an_open_interest_that_falls_to_0_is_believed_after_minutes() {
    let mut played = Played::new(1);
    for minute in 0..45 {
        let open_interest = if minute < 20 { 20_000 } else { 0 };
        played.packets(
            at(9, 15, 20).plus_seconds(minute * 60),
            &[(0, 100_000 + minute * 5_000, open_interest)],
        );
    }
    let states = played.states(0);
    // Packets of 09:35:20 to 09:38:20 are left out.
    assert_eq!((&states[5..9], states[9]), (&[Live, Missing, Missing, Live][..], Live), "{states:?}");
    let [delta] = played.rows.deltas[..] else { panic!("one change: {:?}", played.rows.deltas) };
    assert_eq!(
        (delta.event_time, delta.old_open_interest, delta.new_open_interest),
        (at(9, 39, 20), 20_000, 0)
    );
    assert_eq!(played.day.untold(Provider::AngelOne).zeros, 4);
}

#[test]
fn many_contracts_of_a_chain_do_not_lose_all_their_open_interest_at_once() {
    let mut played = Played::new(10);
    for minute in 0..45 {
        // All of it could have been traded away.
        let value = |slot| (slot, 100_000 + minute * 50_000, if minute < 20 { 20_000 } else { 0 });
        let values: Vec<_> = (0..10).map(value).collect();
        played.packets(at(9, 15, 20).plus_seconds(minute * 60), &values);
    }
    for slot in 0..10 {
        let states = played.states(slot);
        assert!(states[7..].iter().all(|state| *state == Missing), "{states:?}");
    }
    assert!(played.rows.deltas.is_empty(), "{:?}", played.rows.deltas);
    // One goes on, and the others stay 0.
    for minute in 45..60 {
        let value = |slot| (slot, 100_000 + minute * 50_000, if slot == 3 { 20_000 } else { 0 });
        let values: Vec<_> = (0..10).map(value).collect();
        played.packets(at(9, 15, 20).plus_seconds(minute * 60), &values);
    }
    assert_eq!(played.states(3)[17..], [Live, Live], "{:?}", played.states(3));
    assert_eq!(played.states(4)[17..], [Missing, Missing]);
}

#[test]
fn what_an_earlier_answer_shows_is_not_bridged_by_a_later_one() {
    let mut played = Played::new(2);
    for second in [20, 60, 100, 140, 170, 180, 190, 200] {
        let shown = [(0, 900 + second, 700), (1, 900, 700)];
        played.packets(at(9, 15, 0).plus_seconds(second), &shown[..if second <= 100 { 2 } else { 1 }]);
        for (stamp, received, volume, open_interest) in [(171, 173, 1_300, 760), (182, 193, 1_900, 820)] {
            if second != received / 10 * 10 {
                continue;
            }
            let [stamp, received] = [stamp, received].map(|second| at(9, 15, 0).plus_seconds(second));
            played.advance(received);
            let mut arrival = played.day.quote_arrival(Provider::AngelOne, QUOTES, Some(received), received);
            let said = values(stamp, volume, open_interest);
            played.day.observe(1, &mut arrival, &said, &mut played.rows);
            played.day.end_arrival(&arrival, &mut played.rows);
        }
    }
    played.advance(at(9, 23, 0));
    let first = played.stated(1)[0];
    assert_eq!((first.0, first.1), (Live, Some(760)), "of the answer within the bucket");
}

#[test]
fn an_answer_under_an_old_stamp_counts_from_when_the_one_before_was_requested() {
    let mut played = Played::new(1);
    for minute in 0..30 {
        let now = at(9, 15, 40).plus_seconds(minute * 60);
        played.advance(now);
        let mut arrival = played.day.quote_arrival(Provider::AngelOne, QUOTES, Some(now), now);
        // From 09:20 on the stamp stands still.
        let stamp = now.plus_seconds(-2).min(at(9, 20, 0));
        let said = values(stamp, 1_000 + 100 * minute, 500 + minute);
        played.day.observe(0, &mut arrival, &said, &mut played.rows);
        played.day.end_arrival(&arrival, &mut played.rows);
    }
    for (bucket, (_, open_interest, _)) in played.stated(0).into_iter().enumerate() {
        // The answer of 20 seconds before the end, or that of 40 after it, which may have been so since the request before.
        let before = 500 + bucket as i64 * 3 + 2;
        let known = open_interest.expect("something is known");
        assert!((before..=before + 1).contains(&known), "bucket {bucket} has {known}, not {before}");
    }
}

#[test]
fn one_body_with_too_large_a_volume_is_refuted_by_the_next() {
    for wild_volume in [1_400, 100_000] {
        let mut played = Played::new(2);
        for tick in 0..90 {
            let now = at(9, 15, 0).plus_seconds(tick * 10);
            let volume = |second: i64| 100 + second;
            played.packets(now, &[(0, volume(tick * 10), 5_000), (1, 10 + tick, 700)]);
            if tick % 3 == 0 && tick >= 9 {
                let stamp = tick * 10 - 90;
                // The last body of the third bucket.
                let is_wild = stamp == 8 * 60 + 30;
                let shown = if is_wild { wild_volume } else { volume(stamp) };
                let open_interest = if is_wild { 15_000 } else { 5_000 };
                let body = [(0, shown, open_interest), (1, 10 + stamp / 10, 700)];
                played.legs(at(9, 15, 0).plus_seconds(stamp), now, &body);
            }
        }
        played.advance(at(9, 33, 0));
        let stated = played.stated(0);
        let is_right = |row: &(BucketState, Option<i64>, u16)| row.1 == Some(5_000) || row.0 == Missing;
        assert!(stated.iter().all(is_right), "{wild_volume}: {stated:?}");
        assert_eq!([0, 1, 3].map(|at| stated[at].0), [Live; 3], "{wild_volume}: {stated:?}");
    }
}

#[test]
fn a_body_that_the_next_one_contradicts_proves_nothing() {
    let mut played = Played::new(1);
    for (second, volume) in [(10, 100), (60, 110), (150, 900), (200, 120), (300, 130), (400, 140)] {
        let stamp = at(9, 15, 0).plus_seconds(second);
        played.legs(stamp, stamp.plus_seconds(60), &[(0, volume, 700)]);
    }
    played.advance(at(9, 30, 0));
    assert_eq!(played.states(0)[..2], [Missing, Live], "{:?}", played.stated(0));
}

#[test]
fn bodies_bridge_no_more_than_they_show() {
    let mut played = Played::new(2);
    // The stream ends ten seconds before the second bucket does, with another contract's values.
    for second in (0..350).step_by(10) {
        played.packets(at(9, 15, 0).plus_seconds(second), &[(0, 9_000 + second, 40_000), (1, second, 700)]);
    }
    let down = at(9, 20, 50);
    played.day.set_down(Provider::AngelOne, down, down, &mut played.rows);
    for second in (0..600).step_by(30) {
        let stamp = at(9, 15, 0).plus_seconds(second);
        played.legs(stamp, stamp.plus_seconds(360), &[(0, 5_000 + second, 120_000), (1, second, 700)]);
    }
    played.advance(at(9, 40, 0));
    let stated = played.stated(0);
    assert!(stated[1].0 == Missing || stated[1].1 == Some(120_000), "{stated:?}");
}

#[test]
fn open_interest_of_another_contract_is_in_dispute_however_little_either_is_traded() {
    let mut played = Played::new(5);
    for tick in 0..120 {
        let now = at(9, 15, 0).plus_seconds(tick * 10);
        // A contract that is traded once in four minutes, under the token of another one.
        let quiet: Vec<_> = if tick % 24 == 0 { vec![(0, 5_600 + tick, 425_000)] } else { Vec::new() };
        let others: Vec<_> = (1..5).map(|slot| (slot, 100 + tick, 5_000)).collect();
        played.packets(now, &[quiet, others].concat());
        if tick % 3 == 0 && tick >= 9 {
            let stamp = tick - 9;
            let others: Vec<_> = (1..5).map(|slot| (slot, 100 + stamp, 5_000)).collect();
            played.legs(
                now.plus_us(-90 * SECOND_US),
                now,
                &[vec![(0, 5_000 + stamp, 1_243_000)], others].concat(),
            );
        }
    }
    let stated = played.stated(0);
    assert!(stated.iter().all(|(state, ..)| *state == Missing), "{stated:?}");
    assert_eq!(played.day.oi_disputes().len(), 1);
    assert!(played.states(1).iter().all(|state| *state == Live));
}
