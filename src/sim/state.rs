//! The values of every contract as of a position in the play.
//!
//! Invariant: a state is a function of the market and the position alone, whoever computes it and in what steps.

use super::market::{ABSENT, SimMarket};
use super::playback::Repeat;
use crate::market::{Price, Timestamp};

/// Latest values of one contract, and the day's open, high and low so far. One cache line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlotState {
    pub(super) time_ms: i64,
    pub(super) last_price_e4: i64,
    pub(super) open_interest: i64,
    pub(super) volume: i64,
    pub(super) open_e4: i64,
    pub(super) high_e4: i64,
    pub(super) low_e4: i64,
    /// Position of the event in the play plus one; 0 before the first.
    pub(super) sequence: i64,
}

impl SlotState {
    const EMPTY: SlotState = SlotState {
        time_ms: 0,
        last_price_e4: ABSENT,
        open_interest: ABSENT,
        volume: ABSENT,
        open_e4: 0,
        high_e4: 0,
        low_e4: 0,
        sequence: 0,
    };

    /// Whether the contract has been observed at all.
    pub fn is_known(&self) -> bool {
        self.sequence > 0
    }

    /// Position of the newest event in the play, counted from 1.
    pub fn sequence(&self) -> i64 {
        self.sequence
    }

    pub fn event_time(&self) -> Timestamp {
        Timestamp::from_us(self.time_ms * 1_000)
    }

    pub fn last_price(&self) -> Option<Price> {
        (self.last_price_e4 != ABSENT).then_some(Price::from_e4(self.last_price_e4))
    }

    /// Units.
    pub fn open_interest(&self) -> Option<i64> {
        (self.open_interest != ABSENT).then_some(self.open_interest)
    }

    /// Units traded since the session's start.
    pub fn volume(&self) -> Option<i64> {
        (self.volume != ABSENT).then_some(self.volume)
    }

    /// First, highest and lowest price above zero so far; zeros before.
    pub fn open_high_low(&self) -> [Price; 3] {
        [self.open_e4, self.high_e4, self.low_e4].map(Price::from_e4)
    }
}

/// The state of all slots at a position.
#[derive(Clone, Debug)]
pub struct MarketState {
    position: u64,
    slots: Box<[SlotState]>,
}

impl MarketState {
    pub(super) fn new(market: &SimMarket) -> MarketState {
        MarketState { position: 0, slots: vec![SlotState::EMPTY; market.contracts().len()].into() }
    }

    /// How many events have been applied.
    pub fn position(&self) -> u64 {
        self.position
    }

    pub fn slot(&self, slot: usize) -> &SlotState {
        &self.slots[slot]
    }

    /// Applies the next event and returns its slot. The market must have one.
    #[inline]
    pub(super) fn apply_next(&mut self, market: &SimMarket, repeat: &Repeat) -> usize {
        let (pass, within) = repeat.split(self.position);
        let event = &market.events()[within];
        let slot = event.slot();
        let state = &mut self.slots[slot];
        self.position += 1;
        state.sequence = self.position as i64;
        state.time_ms = market.first_time().as_ms() + i64::from(event.offset_ms) + repeat.shift_ms(pass);
        if event.last_price_e4 != ABSENT {
            let price = event.last_price_e4;
            state.last_price_e4 = price;
            if price > 0 {
                if state.open_e4 == 0 {
                    (state.open_e4, state.high_e4, state.low_e4) = (price, price, price);
                }
                state.high_e4 = state.high_e4.max(price);
                state.low_e4 = state.low_e4.min(price);
            }
        }
        if event.open_interest != ABSENT {
            state.open_interest = event.open_interest;
        }
        if event.volume != ABSENT {
            state.volume = event.volume;
            if pass > 0 && repeat.same_day() {
                state.volume += pass as i64 * market.reference(slot).volume_per_pass;
            }
        }
        slot
    }

    /// Applies events up to `played`. Passes that later ones repeat whole are not walked through.
    pub(super) fn catch_up(&mut self, market: &SimMarket, repeat: &Repeat, played: u64) {
        let length = market.events().len() as u64;
        if length > 0 && played > self.position.max(length) + length {
            while self.position < length {
                self.apply_next(market, repeat);
            }
            // Every slot has its newest event within the last whole pass; open, high and low stand after the first.
            self.position = played - length;
        }
        while self.position < played {
            self.apply_next(market, repeat);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::market::{Contract, Exchange};
    use crate::sim::{LotOverrides, market::RawEvent};
    use proptest::prelude::*;

    fn market(events: usize) -> SimMarket {
        let contracts = (0..3)
            .map(|strike| {
                let text = format!("NIFTY 2026-02-03 {} CE", 25_000 + 100 * strike);
                text.parse().expect("a contract")
            })
            .chain([Contract::index(Exchange::Nse, "NIFTY")])
            .collect();
        let raw = (0..events).map(|number| RawEvent {
            time_ms: 1_769_744_700_000 + number as i64 * 250,
            contract: (number % 4) as u32,
            last_price_e4: 1_000 * (number as i64 * 7 % 13),
            open_interest: 65 * number as i64,
            volume: 65 * number as i64,
        });
        SimMarket::build(contracts, raw.collect(), &LotOverrides::new()).expect("a market")
    }

    #[test]
    fn a_pass_repeats_later_with_growing_volume() {
        let market = market(40);
        let repeat = Repeat::new(&market, 3);
        let mut state = MarketState::new(&market);
        let mut before = state.clone();
        for _ in 0..120 {
            let slot = state.apply_next(&market, &repeat);
            let (old, new) = (before.slot(slot), state.slot(slot));
            assert!(new.time_ms > old.time_ms);
            assert!(new.volume >= old.volume, "volume never falls: {old:?} {new:?}");
            before = state.clone();
        }
    }

    proptest! {
        #[test]
        fn state_depends_on_the_position_alone(length in 4_usize..60, played in 0_u64..400, step in 0_u64..400) {
            let market = market(length);
            let repeat = Repeat::new(&market, 0);
            let mut walked = MarketState::new(&market);
            while walked.position() < played {
                walked.apply_next(&market, &repeat);
            }
            let mut jumped = MarketState::new(&market);
            jumped.catch_up(&market, &repeat, step.min(played));
            jumped.catch_up(&market, &repeat, played);
            prop_assert_eq!(jumped.position(), walked.position());
            for slot in 0..market.contracts().len() {
                prop_assert_eq!(jumped.slot(slot), walked.slot(slot));
            }
        }
    }
}
