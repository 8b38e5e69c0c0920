//! The session before's open interest that bodies name.

use super::*;

/// Bodies of one contract with the open interest of the session before that each names.
fn played_bodies(bodies: &[(Timestamp, i64)]) -> Played {
    let mut played = Played::new(1);
    for (now, previous) in bodies.iter().copied() {
        played.advance(now);
        let mut arrival = played.day.chain_arrival(Provider::Nse, 0, now, BODY, now);
        let body = Quote { previous_open_interest: Some(previous), ..quote(now, 650) };
        played.day.observe(0, &mut arrival, &body, &mut played.rows);
        played.day.end_arrival(&arrival, &mut played.rows);
    }
    played
}

#[test]
fn a_base_from_before_the_open_is_of_another_day() {
    let played = played_bodies(&[(at(9, 10, 0), 400), (at(9, 16, 0), 600), (at(9, 19, 0), 600)]);
    let row = played.rows.buckets[0];
    assert_eq!((row.open_interest_change, row.oi_base), (Some(50), Some(OiBase::Provider)));
    assert_eq!(played.day.contradicted_bases(Provider::Nse), Counted::default());
}

#[test]
fn a_base_that_is_named_otherwise_later_is_counted_and_the_first_stays() {
    let played = played_bodies(&[(at(9, 16, 0), 600), (at(9, 17, 0), 585), (at(9, 19, 0), 585)]);
    let row = played.rows.buckets[0];
    assert_eq!((row.open_interest_change, row.oi_base), (Some(50), Some(OiBase::Provider)));
    let (instrument, event_time) = (InstrumentId(0), at(9, 19, 0));
    let last = ContradictedBase { instrument, open_interest: 600, later: 585, event_time };
    assert_eq!(played.day.contradicted_bases(Provider::Nse), Counted { count: 2, last: Some(last) });
    assert_eq!(played.day.contradicted_bases(Provider::AngelOne), Counted::default());
}
