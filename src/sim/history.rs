//! A contract's values as of any position of the play, found in the market's own list of events.
//!
//! A [`MarketState`](super::MarketState) only goes forward, and all contracts of it together. The website lags behind
//! the market, each chain by a delay of its own; looking the values up needs neither states nor copies of them.

use super::{
    market::{ABSENT, SimEvent, SimMarket},
    playback::Repeat,
};
use crate::market::{Price, Timestamp};

/// What was known of a contract at a position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PastValues {
    /// Position of the newest event in the play, counted from 1.
    pub sequence: i64,
    /// Time of the newest event.
    pub time: Timestamp,
    pub last_price: Option<Price>,
    /// Units.
    pub open_interest: Option<i64>,
    /// Units traded since the session's start.
    pub volume: Option<i64>,
}

/// Where a contract's newest event before a position stands: in which pass, and how many of its events came by then
/// in it.
fn newest(market: &SimMarket, repeat: &Repeat, slot: usize, position: u64) -> Option<(u64, usize)> {
    let of_slot = market.events_of(slot);
    if of_slot.is_empty() {
        return None;
    }
    let (pass, within) = repeat.split(position);
    match of_slot.partition_point(|event| (*event as usize) < within) {
        0 => Some((pass.checked_sub(1)?, of_slot.len())),
        count => Some((pass, count)),
    }
}

/// Sequence and time of a contract's newest event among the first `position` ones.
pub(super) fn newest_event(
    market: &SimMarket,
    repeat: &Repeat,
    slot: usize,
    position: u64,
) -> Option<(i64, Timestamp)> {
    let (pass, count) = newest(market, repeat, slot, position)?;
    let within = u64::from(market.events_of(slot)[count - 1]);
    let position = pass * market.events().len() as u64 + within;
    Some((position as i64 + 1, repeat.time_of(market, position)))
}

/// A contract's values after the first `position` events. `None` before its first one.
pub(super) fn values_at(
    market: &SimMarket,
    repeat: &Repeat,
    slot: usize,
    position: u64,
) -> Option<PastValues> {
    let (pass, count) = newest(market, repeat, slot, position)?;
    let (sequence, time) = newest_event(market, repeat, slot, position)?;
    let of_slot = market.events_of(slot);
    // A value that the newest event does not carry stands in an earlier one, if need be of the pass before.
    let latest = |field: fn(&SimEvent) -> i64| {
        let carried = |event: &u32| Some(field(&market.events()[*event as usize])).filter(|v| *v != ABSENT);
        let here = of_slot[..count].iter().rev().find_map(carried).map(|value| (value, pass));
        let before = || Some((of_slot.iter().rev().find_map(carried)?, pass.checked_sub(1)?));
        here.or_else(before)
    };
    let volume = latest(|event| event.volume).map(|(volume, pass)| match repeat.same_day() {
        true => volume + pass as i64 * market.reference(slot).volume_per_pass,
        false => volume,
    });
    Some(PastValues {
        sequence,
        time,
        last_price: latest(|event| event.last_price_e4).map(|(price, _)| Price::from_e4(price)),
        open_interest: latest(|event| event.open_interest).map(|(units, _)| units),
        volume,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        market::{Contract, Exchange},
        sim::{LotOverrides, MarketState, market::RawEvent},
    };
    use proptest::prelude::*;

    const CONTRACTS: u32 = 4;

    proptest! {
        #[test]
        fn past_values_are_those_of_a_state_that_was_there(
            rows in prop::collection::vec((0..CONTRACTS - 1, any::<[bool; 3]>()), 1..50),
            endless in any::<bool>(),
            apart_s in prop_oneof![Just(1_i64), Just(600)],
        ) {
            let contracts = (0..CONTRACTS - 1)
                .map(|strike| format!("NIFTY 2026-02-03 {} CE", 25_000 + 100 * strike).parse().expect("a contract"))
                // One without events.
                .chain([Contract::index(Exchange::Nse, "NIFTY")])
                .collect();
            let raw = rows.iter().enumerate().map(|(number, (contract, [price, oi, volume]))| {
                let number = number as i64 + 1;
                let given = |is_there: bool, value: i64| if is_there { value } else { ABSENT };
                RawEvent {
                    time_ms: 1_769_744_700_000 + number * apart_s * 1_000,
                    contract: *contract,
                    last_price_e4: given(*price, 500 * number),
                    open_interest: given(*oi, 65 * number),
                    volume: given(*volume, 130 * number),
                }
            });
            let market = SimMarket::build(contracts, raw.collect(), &LotOverrides::new()).expect("a market");
            let repeat = Repeat::new(&market, if endless { 0 } else { 3 });
            let mut state = MarketState::new(&market);
            for position in 0..=3 * market.events().len() as u64 {
                state.catch_up(&market, &repeat, position);
                for slot in 0..market.contracts().len() {
                    let expected = Some(state.slot(slot)).filter(|state| state.is_known()).map(|state| PastValues {
                        sequence: state.sequence(),
                        time: state.event_time(),
                        last_price: state.last_price(),
                        open_interest: state.open_interest(),
                        volume: state.volume(),
                    });
                    prop_assert_eq!(values_at(&market, &repeat, slot, position), expected);
                    let newest = newest_event(&market, &repeat, slot, position);
                    prop_assert_eq!(newest, expected.map(|values| (values.sequence, values.time)));
                }
            }
        }
    }
}
