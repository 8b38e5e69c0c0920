//! What real markets have and a plain simulation lacks: strikes with one side, odd lots, withdrawn quotes, implied
//! volatilities. Off by default.
//!
//! Invariant: everything is a function of the seed, the contract and the time, so that both providers and every
//! connection agree, and a second play is the same.

use super::{
    draw::{draw, is_among, text_part},
    market::{ABSENT, RawEvent},
};
use crate::market::{Contract, InstrumentKind, ProviderToken, Timestamp};

/// Shares are percent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Irregularities {
    /// Of everything here, and of NSE's delays.
    pub seed: u64,
    /// Strikes that list one side only: the other one is in no master, recording or chain.
    pub one_sided_percent: u32,
    /// Synthetic options whose open interest is no whole number of lots.
    pub fractional_percent: u32,
    /// Options whose bid or ask is withdrawn at any one time.
    pub withdrawn_percent: u32,
    /// Options with a price for which NSE writes an implied volatility; for all others it writes 0.
    pub implied_volatility_percent: u32,
}

/// Sides of a contract's book without a quote.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Withdrawn {
    pub bid: bool,
    pub ask: bool,
}

// What a number is drawn for.
const ONE_SIDED: u64 = 1;
const FRACTIONAL: u64 = 2;
const WITHDRAWN: u64 = 3;
const VOLATILITY: u64 = 4;

/// How long a quote stays withdrawn, or a volatility unknown.
const WINDOW_S: i64 = 120;
/// Windows begin where NSE rebuilds its chains.
const WINDOW_STARTS_S: i64 = 14;

impl Irregularities {
    /// The window that an instant lies in: quotes and volatilities come and go at the borders of windows. Always 0 if
    /// both are off, so that bodies need not be encoded anew.
    pub(super) fn window(&self, at: Timestamp) -> i64 {
        match self.withdrawn_percent + self.implied_volatility_percent {
            0 => 0,
            _ => (at.as_us().div_euclid(1_000_000) - WINDOW_STARTS_S).div_euclid(WINDOW_S),
        }
    }

    /// The first instant of a window.
    pub(super) fn window_start(window: i64) -> Timestamp {
        Timestamp::from_us((window * WINDOW_S + WINDOW_STARTS_S) * 1_000_000)
    }

    fn is_unlisted(&self, contract: &Contract) -> bool {
        let InstrumentKind::Option { expiry, strike, option_type } = contract.kind else {
            return false;
        };
        let strike = [
            ONE_SIDED,
            text_part(&contract.underlying),
            text_part(&expiry.to_string()),
            strike.as_e4().unsigned_abs(),
        ];
        let drawn = draw(self.seed, &strike);
        is_among(self.one_sided_percent, drawn) && drawn & 1 == option_type as u64
    }

    /// Removes the unlisted sides from contracts and events.
    pub(super) fn unlist(
        &self,
        contracts: Vec<Contract>,
        events: Vec<RawEvent>,
    ) -> (Vec<Contract>, Vec<RawEvent>) {
        if self.one_sided_percent == 0 {
            return (contracts, events);
        }
        let mut listed = Vec::with_capacity(contracts.len());
        let new_positions: Vec<Option<u32>> = contracts
            .into_iter()
            .map(|contract| {
                let position = listed.len() as u32;
                (!self.is_unlisted(&contract)).then(|| listed.push(contract)).map(|()| position)
            })
            .collect();
        let moved = |event: RawEvent| {
            new_positions[event.contract as usize].map(|contract| RawEvent { contract, ..event })
        };
        (listed, events.into_iter().filter_map(moved).collect())
    }

    /// Adds a part of a lot to the open interest of some options.
    pub(super) fn add_fractions(
        &self,
        contracts: &[Contract],
        lot_of: impl Fn(&Contract) -> u32,
        events: &mut [RawEvent],
    ) {
        if self.fractional_percent == 0 {
            return;
        }
        let fraction = |contract: &Contract| {
            let drawn = draw(self.seed, &[FRACTIONAL, text_part(&contract.to_string())]);
            let lot_size = lot_of(contract);
            let has_one = contract.is_option() && lot_size > 1 && is_among(self.fractional_percent, drawn);
            if has_one { 1 + (drawn % u64::from(lot_size - 1)) as i64 } else { 0 }
        };
        let fractions: Vec<i64> = contracts.iter().map(fraction).collect();
        for event in events.iter_mut().filter(|event| event.open_interest != ABSENT) {
            event.open_interest += fractions[event.contract as usize];
        }
    }

    /// The sides of an option's book that are withdrawn in a window.
    #[inline]
    pub(super) fn withdrawn(&self, token: ProviderToken, window: i64) -> Withdrawn {
        if self.withdrawn_percent == 0 {
            return Withdrawn::default();
        }
        let drawn = draw(self.seed, &[WITHDRAWN, u64::from(token.token), window as u64]);
        if !is_among(self.withdrawn_percent, drawn) {
            return Withdrawn::default();
        }
        // Both sides seldom go together.
        match drawn % 8 {
            0 => Withdrawn { bid: true, ask: true },
            1..=3 => Withdrawn { bid: true, ask: false },
            _ => Withdrawn { bid: false, ask: true },
        }
    }

    /// Whether NSE gives an option's implied volatility in a window.
    pub(super) fn has_volatility(&self, token: ProviderToken, window: i64) -> bool {
        let drawn = draw(self.seed, &[VOLATILITY, u64::from(token.token), window as u64]);
        is_among(self.implied_volatility_percent, drawn)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        market::{OptionType, Segment},
        sim::{LotOverrides, SyntheticMarket},
    };
    use std::collections::BTreeMap;

    fn small() -> SyntheticMarket {
        SyntheticMarket { duration_s: 60, expiries: 2, ..SyntheticMarket::default() }
    }

    #[test]
    fn some_strikes_list_one_side_and_the_rest_of_the_market_is_as_ever() {
        let some = Irregularities { seed: 3, one_sided_percent: 20, ..Irregularities::default() };
        let plain = small().generate();
        let market = small().generate_with(&LotOverrides::new(), &some);
        let mut sides: BTreeMap<String, Vec<OptionType>> = BTreeMap::new();
        for listed in plain.contracts() {
            let here = market.slot_of(&listed.contract);
            let InstrumentKind::Option { expiry, strike, option_type } = listed.contract.kind else {
                assert!(here.is_some(), "{} is listed", listed.contract);
                continue;
            };
            let row = sides.entry(format!("{} {expiry} {strike}", listed.contract.underlying)).or_default();
            row.extend(here.map(|_| option_type));
        }
        let one_sided: Vec<_> = sides.values().filter(|sides| sides.len() == 1).collect();
        assert!(sides.values().all(|sides| !sides.is_empty()));
        assert!((60..=140).contains(&one_sided.len()), "{} of {}", one_sided.len(), sides.len());
        let calls = one_sided.iter().filter(|sides| sides[0] == OptionType::Call).count();
        assert!(calls > 10 && one_sided.len() - calls > 10, "{calls} calls of {}", one_sided.len());
        let kept: Vec<_> = plain
            .events()
            .iter()
            .map(|event| (&plain.contracts()[event.slot()].contract, plain.time(event), event.last_price()))
            .filter(|(contract, ..)| market.slot_of(contract).is_some())
            .collect();
        let found: Vec<_> = market
            .events()
            .iter()
            .map(|event| (&market.contracts()[event.slot()].contract, market.time(event), event.last_price()))
            .collect();
        assert_eq!(found, kept);
    }

    #[test]
    fn some_open_interest_is_no_whole_number_of_lots() {
        let some = Irregularities { seed: 3, fractional_percent: 10, ..Irregularities::default() };
        let plain = small().generate();
        let market = small().generate_with(&LotOverrides::new(), &some);
        assert_eq!(market.events().len(), plain.events().len());
        let mut fractions: BTreeMap<usize, i64> = BTreeMap::new();
        for (event, before) in market.events().iter().zip(plain.events()) {
            let (Some(units), Some(plain)) = (event.open_interest(), before.open_interest()) else {
                continue;
            };
            let fraction = units - plain;
            let lot_size = i64::from(market.contracts()[event.slot()].lot_size);
            assert!((0..lot_size).contains(&fraction));
            assert_eq!(*fractions.entry(event.slot()).or_insert(fraction), fraction, "always the same");
        }
        let count = fractions.values().filter(|fraction| **fraction > 0).count();
        assert!((count * 100 / fractions.len()).abs_diff(10) < 5, "{count} of {}", fractions.len());
    }

    #[test]
    fn quotes_go_and_come_back() {
        let some = Irregularities { seed: 3, withdrawn_percent: 10, ..Irregularities::default() };
        let (mut bids, mut asks, mut returns) = (0, 0, 0);
        for token in 0..100 {
            let token = ProviderToken { segment: Segment::NseFo, token };
            let mut before = Withdrawn::default();
            for window in 0..100 {
                let now = some.withdrawn(token, window);
                bids += usize::from(now.bid);
                asks += usize::from(now.ask);
                returns += usize::from(before != Withdrawn::default() && now == Withdrawn::default());
                before = now;
            }
        }
        assert!((400..600).contains(&bids) && (500..750).contains(&asks), "{bids} bids, {asks} asks");
        assert!(returns > 800, "{returns}");
        let at = Timestamp::from_us(1_769_744_714_000_000);
        let window = some.window(at);
        let start = Irregularities::window_start(window);
        assert!(start <= at && some.window(start) == window && some.window(start.plus_us(-1)) == window - 1);
        assert_eq!(start.as_us() / 1_000_000 % 60, 14);
        assert_eq!(Irregularities::default().window(at), 0);
    }
}
