mod jumps;
mod levels;
mod movement;
mod plausibility;
mod prices;

use super::*;
use crate::market::{BucketRow, Price, Told};
use chrono::{NaiveDate, NaiveTime};

mod after_close;
mod bases;
mod body_levels;
mod contradictions;
mod falls;
mod pace;
mod stamps;
mod stated;
mod volumes;

const GRACE_US: i64 = 5_000_000;
const SECOND_US: i64 = 1_000_000;
const STREAM: ChannelTraits = ChannelTraits {
    delivery: Delivery::Stream,
    lateness_us: 120 * SECOND_US,
    gap_max_us: 60 * SECOND_US,
    copy_age_us: 0,
};
const BODY: ChannelTraits = ChannelTraits {
    delivery: Delivery::Chain,
    lateness_us: 240 * SECOND_US,
    gap_max_us: 180 * SECOND_US,
    copy_age_us: 0,
};
const QUOTES: ChannelTraits = ChannelTraits {
    delivery: Delivery::Quote,
    lateness_us: 330 * SECOND_US,
    gap_max_us: 300 * SECOND_US,
    copy_age_us: 10 * SECOND_US,
};

use BucketState::{Backfilled, Carried, Live, Missing, Unlisted};

fn at(hour: u32, minute: u32, second: u32) -> Timestamp {
    let date = NaiveDate::from_ymd_opt(2026, 1, 30).expect("a date");
    Timestamp::on(date, NaiveTime::from_hms_opt(hour, minute, second).expect("a time"))
}

fn hours() -> SessionHours {
    SessionHours { date: at(9, 0, 0).date_ist(), open: at(9, 15, 0), close: at(15, 30, 0) }
}

fn open_plus(seconds: i64) -> Timestamp {
    hours().open.plus_seconds(seconds)
}

fn spec(number: u32) -> SlotSpec {
    SlotSpec {
        instrument: InstrumentId(number),
        close: hours().close,
        is_option: true,
        chain: 0,
        base: None,
        price_bound: None,
        absent_at: None,
    }
}

fn quote(event_time: Timestamp, open_interest: i64) -> Quote {
    Quote {
        event_time,
        last_price: Told::Value(Price::from_e4(open_interest * 100)),
        open_interest: Some(open_interest),
        volume: Some(open_interest * 2),
        ..Quote::default()
    }
}

/// A day of one chain, and what it stated.
struct Played {
    day: TradingDay,
    rows: Rows,
}

impl Played {
    fn new(contracts: u32) -> Played {
        let order = vec![Provider::AngelOne, Provider::Nse];
        let mut day = TradingDay::new(hours(), GRACE_US, 0, order);
        day.add_chain(ChainClass::NearIndex);
        (0..contracts).for_each(|number| {
            day.add_slot(spec(number), at(9, 0, 0));
        });
        Played { day, rows: Rows::default() }
    }

    fn advance(&mut self, now: Timestamp) {
        self.day.advance(now, &mut self.rows);
    }

    /// A packet of each contract and open interest.
    fn stream(&mut self, now: Timestamp, values: &[(u32, i64)]) {
        self.stream_late(now, now, values);
    }

    fn stream_late(&mut self, stamp: Timestamp, now: Timestamp, values: &[(u32, i64)]) {
        self.advance(now);
        let mut arrival = self.day.stream_arrival(Provider::AngelOne, 0, STREAM, now);
        for (slot, open_interest) in values {
            self.day.observe(*slot, &mut arrival, &quote(stamp, *open_interest), &mut self.rows);
        }
        self.day.end_arrival(&arrival, &mut self.rows);
    }

    fn body(&mut self, stamp: Timestamp, now: Timestamp, values: &[(u32, i64)]) {
        self.advance(now);
        let mut arrival = self.day.chain_arrival(Provider::Nse, 0, stamp, BODY, now);
        for (slot, open_interest) in values {
            self.day.observe(*slot, &mut arrival, &quote(stamp, *open_interest), &mut self.rows);
        }
        self.day.end_arrival(&arrival, &mut self.rows);
    }

    fn answer(&mut self, stamp: Timestamp, now: Timestamp, slot: u32, open_interest: i64) {
        self.advance(now);
        let mut arrival = self.day.quote_arrival(Provider::AngelOne, QUOTES, Some(now), now);
        self.day.observe(slot, &mut arrival, &quote(stamp, open_interest), &mut self.rows);
        self.day.end_arrival(&arrival, &mut self.rows);
    }

    /// State, open interest and revision of the last statement of each bucket.
    fn stated(&self, slot: u32) -> Vec<(BucketState, Option<i64>, u16)> {
        let mut last: BTreeMap<Bucket, BucketRow> = BTreeMap::new();
        for row in self.rows.buckets.iter().filter(|row| row.instrument == InstrumentId(slot)) {
            let replaced = last.insert(row.bucket, *row);
            let expected = replaced.map_or(0, |old| (old.revision + 1).min(31));
            assert_eq!(row.revision, expected, "revisions count up by one: {row:?}");
        }
        last.values().map(|row| (row.state, row.open_interest, row.revision)).collect()
    }

    fn states(&self, slot: u32) -> Vec<BucketState> {
        self.stated(slot).into_iter().map(|(state, _, _)| state).collect()
    }
}

#[test]
fn a_stream_that_brings_data_proves_the_contracts_it_is_silent_about() {
    let mut played = Played::new(2);
    played.stream(at(9, 14, 0), &[(0, 10), (1, 100)]);
    for minute in 15..22 {
        played.stream(at(9, minute, 30), &[(0, 10 + i64::from(minute))]);
    }
    played.advance(at(9, 21, 40));
    assert_eq!(played.states(0), [Live, Live]);
    assert_eq!(played.stated(1), [(Carried, Some(100), 0); 2]);
}

#[test]
fn a_stream_that_is_silent_proves_nothing() {
    let mut played = Played::new(2);
    played.stream(at(9, 15, 0), &[(0, 10), (1, 100)]);
    played.stream(at(9, 16, 0), &[(0, 20), (1, 200)]);
    played.advance(at(9, 18, 30));
    assert_eq!(played.states(0), [], "the row waits for its proof");
    played.advance(at(9, 20, 0));
    assert_eq!(played.stated(0), [(Missing, Some(20), 0)], "what was seen within the bucket is shown");
    // The stream comes back by itself: one contract has not traded meanwhile, the other has.
    played.stream(at(9, 20, 30), &[(0, 20), (1, 300)]);
    assert_eq!(played.stated(0), [(Backfilled, Some(20), 1)]);
    assert_eq!(played.stated(1), [(Missing, Some(200), 0)]);
}

#[test]
fn the_copies_that_a_subscription_brings_are_no_sign_of_data() {
    let mut played = Played::new(2);
    played.day.begin_stream(Provider::AngelOne, 0, at(9, 14, 50));
    played.stream_late(at(9, 14, 50), at(9, 14, 59), &[(0, 10), (1, 100)]);
    played.advance(at(9, 20, 0));
    assert_eq!(played.states(1), [Missing]);
}

#[test]
fn rows_of_a_late_source_wait_for_its_body() {
    let mut played = Played::new(1);
    played.body(at(9, 16, 44), at(9, 17, 50), &[(0, 10)]);
    played.advance(at(9, 18, 6));
    assert_eq!(played.states(0), []);
    played.body(at(9, 18, 14), at(9, 19, 40), &[(0, 20)]);
    assert_eq!(played.stated(0), [(Live, Some(10), 0)]);
}

#[test]
fn a_body_proves_the_contracts_that_it_contains() {
    let mut played = Played::new(2);
    for minute in 15..22 {
        let values = [(0, i64::from(minute)), (1, 100 + i64::from(minute))];
        // One contract is left out of the bodies after 09:17.
        let shown = if minute < 18 { &values[..] } else { &values[..1] };
        played.body(at(9, minute, 44), at(9, minute + 1, 30), shown);
    }
    played.advance(at(9, 26, 0));
    assert_eq!(played.states(0)[..2], [Live, Live]);
    assert_eq!(played.stated(1)[..2], [(Missing, Some(117), 0), (Missing, None, 0)]);
}

#[test]
fn bodies_too_far_apart_prove_what_was_not_traded() {
    let mut played = Played::new(2);
    played.body(at(9, 16, 0), at(9, 17, 0), &[(0, 10), (1, 100)]);
    played.advance(at(9, 23, 0));
    assert_eq!(played.states(0), [Missing]);
    played.body(at(9, 22, 0), at(9, 23, 0), &[(0, 10), (1, 200)]);
    assert_eq!(played.stated(0), [(Backfilled, Some(10), 1), (Carried, Some(10), 0)]);
    assert_eq!(played.states(1), [Missing, Missing], "the change lies somewhere between");
}

#[test]
fn a_stream_that_is_found_dead_late_takes_its_claims_back() {
    let mut played = Played::new(2);
    played.stream(at(9, 15, 0), &[(0, 10), (1, 100)]);
    for minute in 15..22 {
        played.stream(at(9, minute, 30), &[(0, 10 + i64::from(minute))]);
    }
    played.advance(at(9, 22, 0));
    assert_eq!(played.states(1), [Live, Carried]);
    let (provider, since) = (Provider::AngelOne, at(9, 20, 0));
    played.day.end_stream(provider, 0, since, at(9, 22, 0), &mut played.rows);
    assert_eq!(played.states(1), [Live, Missing]);
    assert_eq!(played.states(0), [Live, Live], "it has spoken after the bucket's end");
    played.day.end_stream(provider, 0, since, at(9, 22, 1), &mut played.rows);
    assert_eq!(played.stated(1)[1].2, 1, "once");
}

#[test]
fn another_witness_that_shows_a_missed_trade_is_believed() {
    let mut played = Played::new(3);
    played.body(at(9, 14, 44), at(9, 14, 59), &[(0, 10), (1, 100), (2, 50)]);
    played.stream(at(9, 15, 0), &[(0, 10), (1, 100), (2, 50)]);
    for minute in 15..25 {
        // The stream brings nothing of contract 1.
        played.stream(at(9, minute, 30), &[(0, 10 + i64::from(minute)), (2, 50)]);
        let traded = if minute >= 16 { 150 } else { 100 };
        played.body(at(9, minute, 0), at(9, minute, 40), &[(0, 9 + i64::from(minute)), (1, traded), (2, 50)]);
    }
    played.advance(at(9, 24, 45));
    assert_eq!(played.day.counters().contradicted, 1);
    assert_eq!(played.states(0), [Live, Live, Live]);
    let stated: Vec<_> = played.stated(1).iter().map(|(_, open_interest, _)| *open_interest).collect();
    assert_eq!(stated, [Some(150); 3]);
    let provider =
        |row: &&BucketRow| row.instrument == InstrumentId(1) && row.provider == Some(Provider::Nse);
    assert!(played.rows.buckets.iter().filter(provider).count() >= 3);
}

#[test]
fn a_provider_that_missed_half_a_chain_does_not_cover_it() {
    let mut played = Played::new(3);
    played.body(at(9, 14, 44), at(9, 14, 59), &[(0, 10), (1, 100), (2, 50)]);
    played.stream(at(9, 15, 0), &[(0, 10), (1, 100), (2, 50)]);
    for minute in 15..18 {
        played.stream(at(9, minute, 30), &[(0, 10)]);
        let change = i64::from(minute) - 15;
        let values = [(0, 10), (1, 100 + change), (2, 50 + change)];
        played.body(at(9, minute, 0), at(9, minute, 40), &values);
    }
    assert_eq!(played.day.active_provider(), Some(Provider::Nse));
    // It is tried again after a minute of data; what it lacks stays with the other one.
    played.stream(at(9, 18, 30), &[(0, 10)]);
    played.body(at(9, 18, 30), at(9, 19, 0), &[(0, 10), (1, 109), (2, 59)]);
    let changes = played.day.take_scope_changes();
    let [change, ..] = changes[..] else { panic!("one change at least") };
    assert_eq!((change.chain, change.provider), (0, Provider::AngelOne));
    assert_eq!(change.down.map(|(_, reason)| reason), Some(ScopeReason::Contradicted));
    assert_eq!(
        (played.day.latest(1).provider(), played.day.latest(1).open_interest()),
        (Some(Provider::Nse), Some(109))
    );
}

#[test]
fn an_answer_proves_that_nothing_was_traded() {
    let mut played = Played::new(1);
    played.stream(at(9, 15, 0), &[(0, 10)]);
    played.stream(at(9, 16, 0), &[(0, 20)]);
    played.advance(at(9, 20, 10));
    assert_eq!(played.states(0), [Missing]);
    played.answer(at(9, 16, 0), at(9, 20, 20), 0, 20);
    assert_eq!(played.stated(0), [(Backfilled, Some(20), 1)]);
}

#[test]
fn an_answer_that_shows_a_missed_trade_mutes_the_stream_for_its_contract() {
    let mut played = Played::new(2);
    played.stream(at(9, 15, 0), &[(0, 10), (1, 100)]);
    for minute in 15..22 {
        played.stream(at(9, minute, 30), &[(0, 10 + i64::from(minute))]);
        if minute == 19 {
            played.answer(at(9, 19, 35), at(9, 19, 36), 1, 130);
        }
    }
    // The stream had ten seconds to bring it, and proves nothing of the contract any more.
    played.answer(at(9, 19, 35), at(9, 21, 40), 1, 130);
    played.advance(at(9, 21, 45));
    assert_eq!(played.stated(1)[1], (Live, Some(130), 0));
    assert_eq!(played.day.counters().contradicted, 1);
}

#[test]
fn a_requested_contract_that_the_answer_leaves_out_is_not_witnessed_by_its_stream() {
    let mut played = Played::new(2);
    played.stream(at(9, 15, 0), &[(0, 10), (1, 100)]);
    for minute in 15..20 {
        played.stream(at(9, minute, 30), &[(0, 10 + i64::from(minute))]);
    }
    played.day.note_absent(1, Provider::AngelOne, at(9, 19, 40), &mut played.rows);
    played.stream(at(9, 21, 30), &[(0, 50)]);
    played.advance(at(9, 24, 0));
    assert_eq!(played.states(1)[1], Missing);
}

#[test]
fn a_chain_that_is_down_is_so_by_what_was_seen() {
    let mut played = Played::new(2);
    played.stream(at(9, 15, 0), &[(0, 10), (1, 100)]);
    played.day.note_absent(1, Provider::AngelOne, at(9, 16, 0), &mut played.rows);
    assert_eq!(played.day.take_scope_changes(), []);
    played.day.note_absent(0, Provider::AngelOne, at(9, 16, 10), &mut played.rows);
    let down = played.day.take_scope_changes().iter().find_map(|change| change.down);
    assert_eq!(down.map(|(_, reason)| reason), Some(ScopeReason::Unanswered), "no other provider was there");
}

#[test]
fn a_late_value_changes_its_closed_bucket_and_those_that_carried_the_old_one() {
    let mut played = Played::new(2);
    played.stream(at(9, 15, 0), &[(0, 100), (1, 1)]);
    for minute in 15..25 {
        played.stream(at(9, minute, 30), &[(1, i64::from(minute))]);
    }
    played.stream_late(at(9, 20, 0), at(9, 25, 0), &[(0, 200)]);
    played.stream(at(9, 27, 10), &[(1, 50)]);
    let expected = [(Live, Some(100), 0), (Live, Some(200), 1), (Carried, Some(200), 1)];
    assert_eq!(played.stated(0)[..3], expected);
    assert_eq!((played.rows.deltas.len() > 1, played.day.counters().late), (true, 1));
}

#[test]
fn a_value_older_than_the_latest_still_corrects_the_bucket_before() {
    let mut played = Played::new(1);
    played.stream(at(9, 16, 0), &[(0, 100)]);
    played.stream(at(9, 18, 30), &[(0, 300)]);
    played.stream_late(at(9, 17, 59), at(9, 18, 40), &[(0, 200)]);
    played.stream(at(9, 21, 10), &[(0, 300)]);
    played.advance(at(9, 21, 12));
    let open_interest: Vec<_> = played.stated(0).iter().map(|row| row.1).collect();
    assert_eq!(open_interest, [Some(200), Some(300)]);
    played.stream_late(at(9, 18, 10), at(9, 22, 0), &[(0, 250)]);
    assert_eq!(played.day.counters().outdated, 1, "older than what is known of its own bucket");
}

#[test]
fn a_session_has_a_row_for_every_bucket_and_its_last_data_proves_the_last() {
    let mut played = Played::new(2);
    played.stream(at(9, 14, 50), &[(0, 10), (1, 650)]);
    for minute in 0..375 {
        let now = at(9, 15, 30).plus_seconds(i64::from(minute) * 60);
        played.stream(now, &[(0, 10 + i64::from(minute))]);
    }
    played.stream(at(15, 29, 55), &[(0, 1_000)]);
    played.advance(at(15, 30, 10));
    assert_eq!(played.stated(1), vec![(Carried, Some(650), 0); 125]);
    assert_eq!(played.states(0), vec![Live; 125]);
    assert_eq!(played.rows.closes.len(), 2);
    assert_eq!(played.rows.closes[1].last_state, Carried);
    let buckets = played.rows.buckets.len();
    played.stream(at(15, 36, 5), &[(1, 700)]);
    played.stream(at(15, 41, 12), &[(1, 700)]);
    assert_eq!(played.rows.buckets.len(), buckets);
    let closes = played.rows.closes.iter().filter(|close| close.instrument == InstrumentId(1));
    let stated: Vec<_> = closes.map(|close| close.open_interest).collect();
    assert_eq!(stated, [Some(650), Some(700)], "again only when it changes");
    let stated = played.rows.closes.len();
    played.stream(at(15, 45, 0), &[(1, 690)]);
    assert_eq!(played.rows.closes.len(), stated, "less volume is of an older copy");
}

#[test]
fn a_day_that_ends_without_a_witness_says_so_at_its_close() {
    let mut played = Played::new(1);
    played.stream(at(15, 20, 0), &[(0, 650)]);
    played.stream(at(15, 21, 0), &[(0, 650)]);
    played.advance(at(15, 40, 0));
    let [close] = played.rows.closes[..] else { panic!("one close") };
    assert_eq!((close.last_state, close.open_interest), (Missing, Some(650)));
    assert_eq!(close.missing_buckets, 124, "{close:?}");
}

#[test]
fn a_contract_found_late_gets_the_rows_that_it_had_not() {
    let mut played = Played::new(1);
    played.advance(at(10, 0, 0));
    let new = SlotSpec { absent_at: Some(at(9, 30, 30)), ..spec(1) };
    assert_eq!(played.day.add_slot(new, at(10, 0, 0)), 1);
    played.advance(at(10, 0, 1));
    assert_eq!(played.states(1).len(), played.states(0).len());
    let states = played.states(1);
    let (before, after) = states.split_at(5);
    assert!(before.iter().all(|state| *state == Missing), "up to 09:30 nothing was seen of it");
    assert!(!after.is_empty() && after.iter().all(|state| *state == Unlisted));
    let late = SlotSpec { instrument: InstrumentId(2), ..spec(2) };
    played.day.add_slot(late, at(10, 0, 1));
    played.advance(at(10, 0, 2));
    assert!(played.states(2).iter().all(|state| *state == Missing));
}

#[test]
fn stamps_from_the_future_do_not_count() {
    let mut played = Played::new(1);
    played.stream_late(at(11, 0, 0), at(9, 16, 0), &[(0, 100)]);
    assert!(played.day.latest(0).is_empty());
    assert_eq!(played.day.counters().from_the_future, 1);
}

#[test]
fn values_from_before_the_session_carry_but_are_no_baseline() {
    let mut played = Played::new(2);
    let yesterday = at(9, 0, 0).plus_seconds(-64_000);
    played.stream_late(yesterday, at(9, 10, 0), &[(0, 100), (1, 1)]);
    for minute in 15..19 {
        played.stream(at(9, minute, 0), &[(1, i64::from(minute))]);
    }
    played.stream(at(9, 19, 0), &[(0, 130)]);
    played.stream(at(9, 21, 10), &[(0, 130)]);
    played.advance(at(9, 21, 12));
    assert_eq!(played.stated(0), [(Carried, Some(100), 0), (Live, Some(130), 0)]);
    assert_eq!(
        played.rows.buckets.iter().find(|row| row.instrument == InstrumentId(0)).map(|row| row.volume),
        Some(None)
    );
    assert!(played.rows.deltas.iter().all(|delta| delta.instrument != InstrumentId(0)));
}

#[test]
fn an_expiring_contract_stops_before_the_session_does() {
    let close = at(15, 45, 0);
    let day = TradingDay::new(SessionHours { close, ..hours() }, GRACE_US, 0, vec![Provider::AngelOne]);
    let mut played = Played { day, rows: Rows::default() };
    played.day.add_chain(ChainClass::NearIndex);
    played.day.add_slot(spec(0), at(9, 0, 0));
    played.day.add_slot(SlotSpec { close, ..spec(1) }, at(9, 0, 0));
    played.stream(at(9, 16, 0), &[(0, 65), (1, 65)]);
    played.advance(at(16, 0, 0));
    assert_eq!((played.states(0).len(), played.states(1).len()), (125, 130));
}

#[test]
fn changes_are_measured_against_the_best_base_and_name_it() {
    let mut played = Played::new(1);
    played.day.set_base(0, 400, OiBase::OwnProvisional);
    played.day.set_base(0, 500, OiBase::Official);
    played.day.set_base(0, 450, OiBase::Provider);
    played.body(at(9, 16, 44), at(9, 17, 50), &[(0, 650)]);
    played.body(at(9, 18, 14), at(9, 19, 40), &[(0, 650)]);
    let row = played.rows.buckets[0];
    assert_eq!((row.open_interest_change, row.oi_base), (Some(150), Some(OiBase::Official)));
}

#[test]
fn a_source_that_stands_still_before_the_close_is_told_after_it() {
    let mut played = Played::new(2);
    for minute in 0..370 {
        let stamp = at(9, 16, 0).plus_seconds(minute * 60);
        played.body(stamp, stamp.plus_seconds(60), &[(0, minute + 1), (1, 5)]);
    }
    // Its time is 15:25 from then on.
    played.body(at(15, 25, 0), at(15, 31, 0), &[(0, 370), (1, 5)]);
    assert_eq!(played.day.unclosed_chains(), []);
    played.advance(at(15, 37, 0));
    let [found] = played.day.unclosed_chains()[..] else { panic!("one chain") };
    assert_eq!((found.contracts, found.unwitnessed, found.since), (2, 2, Some(at(15, 25, 0))));
    played.body(at(15, 30, 0), at(15, 40, 0), &[(0, 371), (1, 5)]);
    let [found] = played.day.unclosed_chains()[..] else { panic!("one chain") };
    assert_eq!(found.unwitnessed, 1, "nothing of the other one was traded since");
}

#[test]
fn chains_without_a_witness_are_named_two_minutes_after_their_source_is_late() {
    let mut played = Played::new(3);
    assert_eq!(played.day.unwitnessed_chains(at(9, 20, 0)), [], "none can have been proved yet");
    let [nothing] = played.day.unwitnessed_chains(at(9, 21, 0))[..] else { panic!("one chain") };
    assert_eq!((nothing.active, nothing.unwitnessed, nothing.since), (None, 3, None));
    played.stream(at(9, 21, 0), &[(0, 10), (1, 100), (2, 50)]);
    played.stream(at(9, 21, 30), &[(0, 20), (1, 100)]);
    assert_eq!(played.day.unwitnessed_chains(at(9, 25, 0)), []);
    let [silent] = played.day.unwitnessed_chains(at(9, 25, 31))[..] else { panic!("one chain") };
    assert_eq!((silent.active, silent.contracts, silent.unwitnessed), (Some(Provider::AngelOne), 3, 3));
    assert_eq!(silent.since, Some(at(9, 21, 30)));
    // Two of three by requests.
    played.answer(at(9, 21, 30), at(9, 25, 32), 0, 20);
    played.answer(at(9, 21, 30), at(9, 25, 32), 1, 100);
    assert_eq!(played.day.unwitnessed_chains(at(9, 25, 33)), [], "answers are later than a stream");
    let found = played.day.unwitnessed_chains(at(9, 29, 10));
    let [one] = found[..] else { panic!("one chain: {found:?}") };
    assert_eq!((one.contracts, one.unwitnessed), (3, 1));
    assert_eq!(played.day.unwitnessed_slots(at(9, 29, 10)), [2]);
    played.answer(at(9, 21, 0), at(9, 29, 11), 2, 50);
    assert_eq!(played.day.unwitnessed_chains(at(9, 29, 12)), []);
    assert_eq!(played.day.unwitnessed_chains(at(15, 30, 0)), [], "the session is over");
    assert_eq!(
        played.day.unwitnessed_slots(at(18, 0, 0)),
        [0, 1, 2],
        "and nothing was proved up to its close"
    );
}

/// Start in minutes after the open, length and mark of the candles as a store has them.
fn stored_candles(played: &Played, slot: u32) -> Vec<(i64, i64, i64, bool)> {
    let mut stored = BTreeMap::new();
    let of = |instrument: InstrumentId| instrument == InstrumentId(slot);
    for candle in played.rows.candles.iter().filter(|candle| of(candle.instrument)) {
        let minute = candle.start.us_since(hours().open) / (60 * SECOND_US);
        let key = (candle.interval, minute);
        let was_marked = stored.get(&key).is_some_and(|(_, is_marked)| *is_marked);
        stored.insert(key, (candle.volume, candle.resolve_required || was_marked));
    }
    for candle in played.rows.unresolved.iter().filter(|candle| of(candle.instrument)) {
        let minute = candle.start.us_since(hours().open) / (60 * SECOND_US);
        stored.entry((candle.interval, minute)).and_modify(|(_, is_marked)| *is_marked = true);
    }
    stored
        .into_iter()
        .map(|((length, start), (units, mark))| (length.minutes(), start, units, mark))
        .collect()
}

#[test]
fn a_switch_back_adopts_a_sum_without_a_place() {
    let mut played = Played::new(1);
    played.day.begin_stream(Provider::AngelOne, 0, at(9, 14, 0));
    played.stream(at(9, 15, 5), &[(0, 10)]);
    played.stream(at(9, 16, 0), &[(0, 20)]);
    played.day.force(Some(Provider::Nse), at(9, 16, 10), &mut played.rows);
    played.body(at(9, 16, 20), at(9, 17, 0), &[(0, 20)]);
    // Aside: in the second candle and in the third.
    played.stream(at(9, 21, 0), &[(0, 100)]);
    played.stream(at(9, 26, 0), &[(0, 150)]);
    played.day.force(None, at(9, 26, 30), &mut played.rows);
    played.stream(at(9, 27, 0), &[(0, 160)]);
    played.stream(at(9, 31, 0), &[(0, 160)]);
    played.advance(at(9, 36, 0));
    let stored = stored_candles(&played, 0);
    // Nothing shows the end of the last one's second bucket.
    let expected = [(5, 0, 40, true), (5, 5, 0, true), (5, 10, 20, true), (5, 15, 0, true)];
    assert_eq!(stored, expected, "260 have no place");
}

#[test]
fn what_was_traded_between_two_bodies_around_a_candles_end_is_the_later_candles_and_both_are_marked() {
    let mut played = Played::new(2);
    // Two minutes apart: 09:16, 09:18, 09:20, 09:22 and so on. The second contract is not traded after 09:18.
    let stamps = (0..8).map(|body| at(9, 16 + 2 * body, 10));
    for (stamp, traded) in stamps.zip([10, 20, 30, 40, 40, 50, 60, 60]) {
        played.body(stamp, stamp.plus_seconds(90), &[(0, traded), (1, traded.min(20))]);
    }
    played.advance(at(9, 31, 50));
    // From 09:18:10 to 09:20:10 and from 09:24:10 to 09:26:10; nothing around 09:30.
    let expected = [(5, 0, 40, true), (5, 5, 40, true), (5, 10, 40, true)];
    assert_eq!(stored_candles(&played, 0)[..3], expected, "20 each may be the earlier candle's");
    let quiet = stored_candles(&played, 1);
    assert_eq!(quiet[0], (5, 0, 40, false), "nothing was traded at its end");
    assert!(quiet.iter().all(|candle| !candle.3), "{quiet:?}");
}

#[test]
fn an_index_of_which_the_volume_is_0_is_marked_after_an_outage() {
    let mut played = Played::new(0);
    played.day.add_slot(SlotSpec { is_option: false, ..spec(0) }, at(9, 0, 0));
    let mut level = |now: Timestamp, price: i64| {
        played.day.advance(now, &mut played.rows);
        let mut arrival = played.day.stream_arrival(Provider::AngelOne, 0, STREAM, now);
        let last_price = Told::Value(Price::from_e4(price));
        let quote = Quote { event_time: now, last_price, volume: Some(0), ..Quote::default() };
        played.day.observe(0, &mut arrival, &quote, &mut played.rows);
        played.day.end_arrival(&arrival, &mut played.rows);
    };
    level(at(9, 14, 50), 100);
    for second in (0..200).step_by(20) {
        level(at(9, 15, 0).plus_seconds(second), 100);
    }
    // Two minutes of silence, within a candle of five minutes and two of three.
    for second in (310..1_000).step_by(20) {
        level(at(9, 15, 0).plus_seconds(second), 100);
    }
    let stored = stored_candles(&played, 0);
    let marked: Vec<_> = stored.iter().filter(|candle| candle.3).map(|candle| (candle.0, candle.1)).collect();
    assert_eq!(marked, [(3, 3), (5, 0), (5, 5)]);
    assert!(stored.len() > 5, "{stored:?}");
}

#[test]
fn what_lies_in_a_known_outage_is_not_bridged_however_short_it_was() {
    let bodies = |has_break: bool| {
        let mut played = Played::new(1);
        played.body(at(9, 15, 30), at(9, 16, 0), &[(0, 10)]);
        played.body(at(9, 17, 30), at(9, 17, 40), &[(0, 20)]);
        if has_break {
            played.day.set_down(Provider::Nse, at(9, 17, 45), at(9, 17, 50), &mut played.rows);
        }
        played.body(at(9, 18, 30), at(9, 18, 40), &[(0, 500)]);
        played.body(at(9, 21, 30), at(9, 21, 40), &[(0, 500)]);
        (played.states(0)[0], stored_candles(&played, 0))
    };
    assert_eq!(bodies(false).0, Live, "the next body came in time");
    let (state, candles) = bodies(true);
    assert_eq!(state, Missing);
    assert!(candles[0].3, "{candles:?}");
}

#[test]
fn an_open_interest_of_0_that_was_not_traded_away_is_not_told() {
    let mut played = Played::new(1);
    played.stream(at(9, 15, 10), &[(0, 1_000)]);
    for minute in 16..=40 {
        let now = at(9, minute, 0);
        played.advance(now);
        let mut arrival = played.day.stream_arrival(Provider::AngelOne, 0, STREAM, now);
        let volume = Some(2_000 + i64::from(minute));
        let open_interest = Some(if (27..32).contains(&minute) { 0 } else { 1_000 });
        let packet = Quote { volume, open_interest, ..quote(now, 1_000) };
        played.day.observe(0, &mut arrival, &packet, &mut played.rows);
        played.day.end_arrival(&arrival, &mut played.rows);
    }
    let stated = played.stated(0);
    assert!(
        stated.iter().all(|(_, open_interest, _)| [Some(1_000), None].contains(open_interest)),
        "{stated:?}"
    );
    // The packets of 09:27 to 09:31 prove nothing: what was at 09:27 and 09:30 is not known.
    let states: Vec<BucketState> = stated.iter().map(|(state, ..)| *state).collect();
    assert_eq!(states[3..7], [Missing, Missing, Live, Live], "{states:?}");
    assert!(played.rows.deltas.is_empty(), "{:?}", played.rows.deltas);
    assert_eq!(played.day.untold(Provider::AngelOne).zeros, 5);
}

#[test]
fn an_open_interest_of_0_is_held_to_the_session_before() {
    let mut played = Played::new(2);
    played.day.set_base(0, 1_000, OiBase::Provider);
    for minute in 16..=22 {
        let now = at(9, minute, 0);
        played.advance(now);
        let mut arrival = played.day.stream_arrival(Provider::AngelOne, 0, STREAM, now);
        for slot in [0, 1] {
            let packet = Quote { volume: Some(500), open_interest: Some(0), ..quote(now, 1_000) };
            played.day.observe(slot, &mut arrival, &packet, &mut played.rows);
        }
        played.day.end_arrival(&arrival, &mut played.rows);
    }
    played.advance(at(9, 24, 0));
    assert_eq!(played.stated(0)[0], (Missing, None, 0), "of 1,000 no more than 500 were traded away");
    assert_eq!(played.stated(1)[0], (Live, Some(0), 0));
}

/// A packet of each contract a minute, of which the second one's lack something from 09:25 on: they prove nothing.
fn play_untold(lacking: impl Fn(Quote) -> Quote) -> Played {
    let mut played = Played::new(2);
    for minute in 15..=40 {
        let now = at(9, minute, 10);
        played.advance(now);
        let mut arrival = played.day.stream_arrival(Provider::AngelOne, 0, STREAM, now);
        let full = quote(now, 1_000 + i64::from(minute));
        played.day.observe(0, &mut arrival, &full, &mut played.rows);
        let second = if minute < 25 { full } else { lacking(full) };
        played.day.observe(1, &mut arrival, &second, &mut played.rows);
        played.day.end_arrival(&arrival, &mut played.rows);
    }
    let states = played.states(1);
    assert_eq!(states[..3], [Live; 3]);
    assert!(states.len() > 5 && states[3..].iter().all(|state| *state == Missing), "{states:?}");
    assert!(played.states(0).iter().all(|state| *state == Live));
    assert_eq!(played.day.untold(Provider::AngelOne).absent, 16);
    played
}

#[test]
fn a_packet_without_the_volume_that_was_told_before_is_no_evidence() {
    // The last trade is said to be of another day.
    play_untold(|full| Quote { volume: None, last_price: Told::Nothing, ..full });
}

#[test]
fn packets_without_open_interest_prove_nothing_of_an_option() {
    let mut played = play_untold(|full| Quote { open_interest: None, ..full });
    // Another provider that tells it is recorded.
    played.body(at(9, 40, 30), at(9, 41, 0), &[(1, 1_100)]);
    assert_eq!(played.day.latest(1).open_interest(), Some(1_100));
}

#[test]
fn a_packet_without_a_level_is_no_sign_of_an_underlying() {
    let order = vec![Provider::AngelOne, Provider::Nse];
    let mut day = TradingDay::new(hours(), GRACE_US, 0, order);
    day.add_chain(ChainClass::Underlying);
    day.add_slot(SlotSpec { is_option: false, ..spec(0) }, at(9, 0, 0));
    let mut played = Played { day, rows: Rows::default() };
    for minute in 15..=30 {
        let now = at(9, minute, 10);
        played.advance(now);
        let mut arrival = played.day.stream_arrival(Provider::AngelOne, 0, STREAM, now);
        let last_price = if minute < 20 { Told::Value(Price::from_e4(1_000)) } else { Told::Nothing };
        let level = Quote { event_time: now, last_price, ..Quote::default() };
        played.day.observe(0, &mut arrival, &level, &mut played.rows);
        played.day.end_arrival(&arrival, &mut played.rows);
    }
    let states: Vec<BucketState> = played.rows.underlyings.iter().map(|row| row.state).collect();
    assert_eq!(states[0], Live);
    assert!(states.len() > 2 && states[2..].iter().all(|state| *state == Missing), "{states:?}");
}

#[test]
fn an_answer_dates_a_trade_that_the_stream_brought_later() {
    let mut played = Played::new(2);
    for second in [10, 40, 70, 100, 130, 160, 190, 220] {
        played.stream(at(9, 15, 0).plus_seconds(second), &[(0, 10 + second)]);
        if second == 10 {
            played.stream(at(9, 15, 11), &[(1, 100)]);
        }
    }
    assert_eq!(played.stated(1), [(Live, Some(100), 0)]);
    played.stream(at(9, 18, 50), &[(1, 200)]);
    played.answer(at(9, 17, 50), at(9, 19, 10), 1, 200);
    assert_eq!(played.stated(1), [(Live, Some(200), 1)], "it was traded within the first bucket");
    played.answer(at(9, 17, 55), at(9, 19, 20), 1, 200);
    assert_eq!(played.stated(1), [(Live, Some(200), 1)], "nothing more is known");
}
