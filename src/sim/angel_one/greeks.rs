//! Option greeks of one expiry from played prices.

use super::super::{
    black76::{OptionTerms, forward_by_parity, years_left},
    market::SimMarket,
    state::{MarketState, SlotState},
};
use crate::{
    market::{InstrumentKind, OptionType, Price, Timestamp, TradingDate},
    wire::angel_one::GreekRow,
};
use std::collections::BTreeMap;

/// The rows of an underlying's expiry: options with a price that some volatility explains.
pub(super) fn rows(
    market: &SimMarket,
    state: &MarketState,
    underlying: &str,
    expiry: TradingDate,
    now: Timestamp,
) -> Vec<GreekRow> {
    let Some(slots) = market.underlyings().get(underlying) else {
        return Vec::new();
    };
    let mut options: BTreeMap<Price, [Option<&SlotState>; 2]> = BTreeMap::new();
    let mut spot = None;
    for slot in slots.iter().map(|slot| *slot as usize) {
        let known = Some(state.slot(slot)).filter(|state| state.is_known());
        match market.contracts()[slot].contract.kind {
            InstrumentKind::Option { expiry: own, strike, option_type } if own == expiry => {
                options.entry(strike).or_default()[option_type as usize] = known;
            }
            InstrumentKind::Index | InstrumentKind::Equity => spot = known.and_then(SlotState::last_price),
            _ => {}
        }
    }
    let prices = options.iter().filter_map(|(strike, [call, put])| {
        Some((*strike, call.as_ref()?.last_price()?, put.as_ref()?.last_price()?))
    });
    let Some(forward) = forward_by_parity(prices).or(spot.map(Price::as_rupees)) else {
        return Vec::new();
    };
    let years = years_left(expiry, now);
    let mut rows = Vec::new();
    for (strike, sides) in &options {
        for option_type in OptionType::BOTH {
            let Some((values, price)) = sides[option_type as usize].and_then(|s| Some((s, s.last_price()?)))
            else {
                continue;
            };
            let terms = OptionTerms { forward, strike: strike.as_rupees(), years, option_type };
            let Some(volatility) = terms.implied_volatility(price.as_rupees()) else {
                continue;
            };
            let greeks = terms.greeks(volatility);
            // Four decimals for greeks and two for volatility, as the broker writes them.
            let rounded = |value: f64, unit: i64| (value * 1e6 / unit as f64).round() as i64 * unit;
            rows.push(GreekRow {
                name: underlying.to_owned(),
                expiry,
                strike: *strike,
                option_type,
                delta_e6: rounded(greeks.delta, 100),
                gamma_e6: rounded(greeks.gamma, 100),
                theta_e6: rounded(greeks.theta, 100),
                vega_e6: rounded(greeks.vega, 100),
                implied_volatility_e6: rounded(volatility * 100.0, 10_000),
                trade_volume_e6: values.volume().unwrap_or(0).saturating_mul(1_000_000),
            });
        }
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        clock::{Clock, Simulation},
        sim::{Pace, Playback, SyntheticMarket},
    };
    use std::sync::Arc;

    #[tokio::test]
    async fn synthetic_options_have_the_volatility_they_were_made_with() {
        let parameters = SyntheticMarket { duration_s: 300, ..SyntheticMarket::default() };
        let market = Arc::new(parameters.generate());
        let now = market.last_time();
        let clock =
            Clock::simulated(Simulation { start: now, real_start: crate::clock::real_now(), speed: 1.0 });
        let playback = Playback::new(market.clone(), clock, Pace::Clocked, 1);
        playback.run().await;
        let expiry = market.contracts().iter().find_map(|listed| listed.contract.expiry()).expect("options");
        let rows = rows(&market, &playback.state(), "NIFTY", expiry, now);
        assert!(rows.len() > 50, "{}", rows.len());
        let at_the_money = Price::from_e4(253_000_000);
        let row = rows.iter().find(|row| row.strike == at_the_money).expect("the middle strike");
        let percent = row.implied_volatility_e6 as f64 / 1e6;
        // Made with 13 %; the expiry's hour differs a little between the two formulas.
        assert!((8.0..18.0).contains(&percent), "{percent}");
        assert!(rows.iter().all(|row| match row.option_type {
            OptionType::Call => (0..=1_000_000).contains(&row.delta_e6),
            OptionType::Put => (-1_000_000..=0).contains(&row.delta_e6),
        }));
    }
}
