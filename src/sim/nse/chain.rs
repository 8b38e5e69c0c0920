//! Option chains of the played market.
//!
//! Open interest and volume are in lots and may be fractional. A recording has no previous day, so the change of open
//! interest is against the contract's first recorded value. `records.timestamp` is the newest observation of anything
//! on the underlying. Contracts not observed yet are absent, as on the website the set of strikes grows.

use super::super::{
    market::SimMarket,
    state::{MarketState, SlotState},
};
use crate::{
    market::{InstrumentKind, Price, Timestamp, Told, TradingDate},
    wire::nse::{Chain, ChainShape, Leg, encode_chain, lots_from_units},
};
use axum::body::Bytes;
use rustc_hash::FxHashMap;
use std::collections::BTreeSet;

/// Encoded bodies, one for each chain, as of the newest event that touched its underlying.
#[derive(Debug, Default)]
pub(super) struct ChainCache {
    encoded: FxHashMap<(String, Option<TradingDate>), (i64, Bytes)>,
}

impl ChainCache {
    /// The chain of one expiry (v3's shape) or of all (the older one). `None` before the first observation.
    pub fn body(
        &mut self,
        market: &SimMarket,
        state: &MarketState,
        symbol: &str,
        expiry: Option<TradingDate>,
    ) -> Option<Bytes> {
        let slots = market.underlyings().get(symbol)?;
        let newest = slots.iter().map(|slot| state.slot(*slot as usize).sequence()).max()?;
        let key = (symbol.to_owned(), expiry);
        if let Some((version, body)) = self.encoded.get(&key)
            && *version == newest
        {
            return Some(body.clone());
        }
        let chain = chain_of(market, state, slots, expiry)?;
        let shape = if expiry.is_some() { ChainShape::V3 } else { ChainShape::Older };
        let body = Bytes::from(encode_chain(&chain, shape));
        self.encoded.insert(key, (newest, body.clone()));
        Some(body)
    }
}

fn chain_of(
    market: &SimMarket,
    state: &MarketState,
    slots: &[u32],
    wanted: Option<TradingDate>,
) -> Option<Chain> {
    let mut expiries = BTreeSet::new();
    let mut legs = Vec::new();
    let mut underlying_value = None;
    let mut newest: Option<Timestamp> = None;
    for slot in slots.iter().map(|slot| *slot as usize) {
        let listed = &market.contracts()[slot];
        let known = Some(state.slot(slot)).filter(|state| state.is_known());
        newest = newest.max(known.map(SlotState::event_time));
        match listed.contract.kind {
            InstrumentKind::Option { expiry, strike, option_type } => {
                expiries.insert(expiry);
                let Some(values) = known.filter(|_| wanted.is_none_or(|wanted| wanted == expiry)) else {
                    continue;
                };
                let first = market.reference(slot).first_open_interest;
                let lots = |units: Option<i64>| units.map(|units| lots_from_units(units, listed.lot_size));
                let last_price = values.last_price();
                let tick_e4 = listed.tick_size.as_e4();
                let beside = |away_e4: i64| {
                    let price = last_price.filter(|price| *price > Price::ZERO)?.as_e4() + away_e4;
                    (price > 0).then_some(Price::from_e4(price))
                };
                legs.push(Leg {
                    underlying: listed.contract.underlying.clone(),
                    expiry,
                    strike,
                    option_type,
                    open_interest_lots: lots(values.open_interest()),
                    open_interest_change_lots: lots(values.open_interest().map(|units| units - first)),
                    volume_lots: lots(values.volume()),
                    last_price: last_price.map_or(Told::NotTold, Told::zero_is_nothing),
                    bid: beside(-tick_e4).into(),
                    ask: beside(tick_e4).into(),
                    implied_volatility_e4: Told::Nothing,
                });
            }
            InstrumentKind::Index | InstrumentKind::Equity => {
                underlying_value = known.and_then(SlotState::last_price);
            }
            InstrumentKind::Future { .. } => {}
        }
    }
    let timestamp = newest?;
    let is_listed = wanted.is_none_or(|wanted| expiries.contains(&wanted));
    is_listed.then(|| Chain {
        timestamp,
        underlying_value,
        expiries: expiries.into_iter().collect(),
        legs,
        malformed: Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        clock::{Clock, Simulation, real_now},
        sim::{Pace, Playback, SyntheticMarket},
        wire::nse::{decode_chain, units_from_lots},
    };
    use std::sync::Arc;

    #[tokio::test]
    async fn a_chain_says_what_was_played() {
        let parameters = SyntheticMarket { duration_s: 30, expiries: 2, ..SyntheticMarket::default() };
        let market = Arc::new(parameters.generate());
        let simulation = Simulation { start: market.last_time(), real_start: real_now(), speed: 1.0 };
        let playback = Playback::new(market.clone(), Clock::simulated(simulation), Pace::Clocked, 1);
        let mut cache = ChainCache::default();
        assert_eq!(cache.body(&market, &playback.state(), "NIFTY", None), None, "nothing is played yet");
        playback.run().await;
        let state = playback.state().clone();
        let body = cache.body(&market, &state, "NIFTY", None).expect("a chain");
        let again = cache.body(&market, &state, "NIFTY", None).expect("a chain");
        assert_eq!(body.as_ptr(), again.as_ptr(), "the second answer is the first one's bytes");
        let chain = decode_chain(&body).expect("a chain");
        assert_eq!(chain.expiries.len(), 2);
        let mut compared = 0;
        for leg in &chain.legs {
            let slot = market.slot_of(&leg.contract()).expect("listed");
            let quote = leg.quote(market.contracts()[slot].lot_size, chain.timestamp).expect("units");
            let values = state.slot(slot);
            assert_eq!(quote.open_interest, values.open_interest());
            assert_eq!(quote.volume, values.volume());
            assert_eq!(quote.last_price.value(), values.last_price().filter(|price| *price > Price::ZERO));
            let change = leg.open_interest_change_lots.expect("a change");
            let change = units_from_lots(change, market.contracts()[slot].lot_size).expect("whole units");
            let first = market.reference(slot).first_open_interest;
            assert_eq!(quote.open_interest.map(|units| units - change), Some(first));
            compared += 1;
        }
        assert!(compared > 100, "{compared}");
        let nearest = cache.body(&market, &state, "NIFTY", Some(chain.expiries[0])).expect("a chain");
        let nearest = decode_chain(&nearest).expect("a chain");
        assert!(nearest.legs.iter().all(|leg| leg.expiry == chain.expiries[0]));
        assert_eq!(cache.body(&market, &state, "NIFTY", Some(parameters.date)), None);
        assert_eq!(cache.body(&market, &state, "SENSEX", None), None);
    }
}
