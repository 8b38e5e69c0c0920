//! Volumes of two providers in different units are found, and copies of different age are not.

use super::*;

const CONTRACTS: u32 = 10;
const LOT: i64 = 65;

/// A day up to a minute in which either provider shows its multiple of the true volumes; the website's copy is three minutes old.
fn found_after(minutes: i64, units: [i64; 2], volume: impl Fn(i64, u32) -> i64) -> Option<(i64, i64)> {
    let mut played = Played::new(CONTRACTS);
    for minute in 0..minutes {
        let now = at(9, 15, 20).plus_seconds(minute * 60);
        let shown = |minute: i64, unit: i64| -> Vec<(u32, i64, i64)> {
            (0..CONTRACTS).map(|slot| (slot, volume(minute, slot) * unit, 1_000)).collect()
        };
        played.packets(now, &shown(minute, units[0]));
        if minute >= 3 {
            played.legs(now.plus_us(-180 * SECOND_US), now, &shown(minute - 3, units[1]));
        }
        played.advance(now.plus_us(30 * SECOND_US));
    }
    let found = played.day.volume_contradictions().next()?;
    assert_eq!(found.sums.map(|(provider, _)| provider), [Provider::AngelOne, Provider::Nse]);
    Some((found.sums[0].1, found.sums[1].1))
}

#[test]
fn volumes_in_another_unit_are_found_of_either_provider() {
    let even = |minute: i64, slot: u32| minute * 10 + i64::from(slot);
    assert_eq!(found_after(14, [LOT, 1], even), None, "not in the first part of the session");
    let (stream, website) = found_after(40, [LOT, 1], even).expect("the stream's are too large");
    assert!(stream > website * 60, "{stream}, {website}");
    let (stream, website) = found_after(40, [1, LOT], even).expect("the website's are");
    assert!(website > stream * 50, "{stream}, {website}");
    assert_eq!(found_after(40, [LOT, LOT], even), None);
}

#[test]
fn an_older_copy_of_a_contract_that_begins_to_be_traded_is_natural() {
    let even = |minute: i64, slot: u32| minute * 10 + i64::from(slot);
    for minutes in 10..60 {
        assert_eq!(found_after(minutes, [1, 1], even), None, "{minutes}");
        let block =
            |minute: i64, slot: u32| if minute >= 30 && slot == 3 { 100_000 } else { even(minute, slot) };
        assert_eq!(found_after(minutes, [1, 1], block), None, "{minutes}");
    }
}

#[test]
fn more_volume_under_the_earlier_stamp_is_found_of_one_contract() {
    let found = |minutes: i64, factor: i64| {
        let mut played = Played::new(CONTRACTS);
        for minute in 0..minutes {
            let now = at(9, 15, 20).plus_seconds(minute * 60);
            let shown = |minute: i64, factor: i64| -> Vec<(u32, i64, i64)> {
                let of = |slot: u32| if slot == 4 { 1_000 * minute * factor / 100 } else { 1_000 * minute };
                (0..CONTRACTS).map(|slot| (slot, of(slot), 10_000)).collect()
            };
            played.packets(now, &shown(minute, 100));
            if minute >= 3 {
                played.legs(now.plus_us(-180 * SECOND_US), now, &shown(minute - 3, factor));
            }
            played.advance(now.plus_us(30 * SECOND_US));
        }
        let found: Vec<_> =
            played.day.contract_volumes().map(|found| (found.slot, found.shown[0].0)).collect();
        found
    };
    for minutes in 5..60 {
        assert_eq!(found(minutes, 100), [], "a copy that is three minutes old: {minutes}");
    }
    assert_eq!(found(40, 130), [(4, Provider::Nse)]);
}
