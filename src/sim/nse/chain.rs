//! Option chains of the played market.
//!
//! Open interest and volume are in lots and may be fractional. A recording has no previous day, so the change of open
//! interest is against the contract's first recorded value. `records.timestamp` follows [`stamps`](super::stamps), and
//! the values are those as of it; with a delay both are of the past. Contracts not observed yet are absent, as on the
//! website the set of strikes grows.
//!
//! Invariant: the instant as of which a chain is shown never goes back.

use super::{
    super::{
        black76::{OptionTerms, forward_by_parity, years_left},
        draw::text_part,
        irregularities::Irregularities,
        playback::Playback,
    },
    delay::NseDelay,
    edits::{self, UnlistedSide},
    stamps::stamp_of,
};
use crate::{
    market::{InstrumentKind, OptionType, Price, ProviderToken, Timestamp, Told, TradingDate},
    wire::nse::{Chain, ChainShape, Leg, encode_chain, lots_from_units},
};
use axum::body::Bytes;
use chrono::{NaiveDateTime, Timelike};
use rustc_hash::FxHashMap;
use std::collections::BTreeSet;

/// The chains as the site has them, with the last body of each.
#[derive(Debug)]
pub(in crate::sim) struct Chains {
    irregularities: Irregularities,
    delay: NseDelay,
    unlisted_side: UnlistedSide,
    encoded: FxHashMap<(String, Option<TradingDate>), Encoded>,
}

/// A body, what it depends on, and where its stamp is.
#[derive(Debug)]
struct Encoded {
    shown: Timestamp,
    version: Version,
    stamp: String,
    stamp_offset: usize,
    body: Bytes,
}

/// Bodies of one version differ in nothing but their stamp.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Version {
    /// Sequence of the newest event on the underlying.
    newest: i64,
    /// Of the irregularities.
    window: i64,
}

impl Chains {
    pub fn new(irregularities: Irregularities, delay: NseDelay, unlisted_side: UnlistedSide) -> Chains {
        Chains { irregularities, delay, unlisted_side, encoded: FxHashMap::default() }
    }

    /// The chain of one expiry (v3's shape) or of all (the older one). `None` before the first observation, and for what
    /// is not listed. A stale chain is the body that was served last.
    pub fn body(
        &mut self,
        playback: &Playback,
        symbol: &str,
        expiry: Option<TradingDate>,
        is_stale: bool,
    ) -> Option<Bytes> {
        let market = playback.market();
        let slots = market.underlyings().get(symbol)?;
        let key = (symbol.to_owned(), expiry);
        let encoded = self.encoded.get(&key);
        if let Some(encoded) = encoded.filter(|_| is_stale) {
            return Some(encoded.body.clone());
        }
        let shown = self.shown_at(symbol, expiry, playback.clock().now());
        let shown = encoded.map_or(shown, |encoded| encoded.shown.max(shown));
        let position = playback.position_at(shown);
        let events = slots.iter().filter_map(|slot| playback.newest_event(*slot as usize, position));
        let (newest, newest_time) = events.max()?;
        let stamp = match playback.is_clocked() {
            true => stamp_of(newest_time, shown, &playback.hours().of(newest_time.date_ist())),
            false => newest_time,
        };
        let version = Version { newest, window: self.irregularities.window(stamp) };
        let stamp_text = format_stamp(stamp);
        let found = self.encoded.get_mut(&key).filter(|encoded| encoded.version == version);
        if let Some(encoded) = found {
            if encoded.stamp != stamp_text {
                let mut body = encoded.body.to_vec();
                body[encoded.stamp_offset..encoded.stamp_offset + stamp_text.len()]
                    .copy_from_slice(stamp_text.as_bytes());
                (encoded.body, encoded.stamp) = (body.into(), stamp_text);
            }
            encoded.shown = shown;
            return Some(encoded.body.clone());
        }
        let chain = self.chain_of(playback, slots, expiry, position, stamp, version.window)?;
        let shape = if expiry.is_some() { ChainShape::V3 } else { ChainShape::Older };
        let mut body = encode_chain(&chain, shape);
        if shape == ChainShape::V3 {
            body = edits::write_unlisted_sides(body, self.unlisted_side, market);
        }
        let stamp_offset = find(&body, &stamp_text)?;
        let body = Bytes::from(body);
        let encoded = Encoded { shown, version, stamp: stamp_text, stamp_offset, body: body.clone() };
        self.encoded.insert(key, encoded);
        Some(body)
    }

    fn shown_at(&self, symbol: &str, expiry: Option<TradingDate>, now: Timestamp) -> Timestamp {
        let chain = text_part(&format!("{symbol} {expiry:?}"));
        self.delay.shown_at(self.irregularities.seed, chain, now)
    }

    fn chain_of(
        &self,
        playback: &Playback,
        slots: &[u32],
        wanted: Option<TradingDate>,
        position: u64,
        timestamp: Timestamp,
        window: i64,
    ) -> Option<Chain> {
        let market = playback.market();
        let mut expiries = BTreeSet::new();
        let mut legs: Vec<(ProviderToken, Leg)> = Vec::new();
        let mut underlying_value = None;
        for slot in slots.iter().map(|slot| *slot as usize) {
            let listed = &market.contracts()[slot];
            match listed.contract.kind {
                InstrumentKind::Option { expiry, strike, option_type } => {
                    expiries.insert(expiry);
                    if wanted.is_some_and(|wanted| wanted != expiry) {
                        continue;
                    }
                    let Some(values) = playback.values_at(slot, position) else {
                        continue;
                    };
                    let first = market.reference(slot).first_open_interest;
                    let lots =
                        |units: Option<i64>| units.map(|units| lots_from_units(units, listed.lot_size));
                    let tick_e4 = listed.tick_size.as_e4();
                    let beside = |away_e4: i64| {
                        let last = values.last_price.filter(|price| *price > Price::ZERO)?;
                        let price = last.as_e4() + away_e4;
                        (price > 0).then_some(Price::from_e4(price))
                    };
                    let withdrawn = self.irregularities.withdrawn(listed.token, window);
                    let leg = Leg {
                        underlying: listed.contract.underlying.clone(),
                        expiry,
                        strike,
                        option_type,
                        open_interest_lots: lots(values.open_interest),
                        open_interest_change_lots: lots(values.open_interest.map(|units| units - first)),
                        volume_lots: lots(values.volume),
                        last_price: values.last_price.map_or(Told::NotTold, Told::zero_is_nothing),
                        bid: beside(-tick_e4).filter(|_| !withdrawn.bid).into(),
                        ask: beside(tick_e4).filter(|_| !withdrawn.ask).into(),
                        implied_volatility_e4: Told::Nothing,
                    };
                    legs.push((listed.token, leg));
                }
                InstrumentKind::Index | InstrumentKind::Equity => {
                    underlying_value =
                        playback.values_at(slot, position).and_then(|values| values.last_price);
                }
                InstrumentKind::Future { .. } => {}
            }
        }
        let is_listed = wanted.is_none_or(|wanted| expiries.contains(&wanted));
        if !is_listed {
            return None;
        }
        if self.irregularities.implied_volatility_percent > 0 {
            self.write_volatilities(&mut legs, underlying_value, window);
        }
        Some(Chain {
            timestamp,
            underlying_value,
            expiries: expiries.into_iter().collect(),
            legs: legs.into_iter().map(|(_, leg)| leg).collect(),
            rowless_strikes: Vec::new(),
            malformed: Vec::new(),
        })
    }

    /// Implied volatilities of the legs that have one, as of the window's start: bodies of one version must be equal
    /// whenever they are encoded.
    fn write_volatilities(&self, legs: &mut [(ProviderToken, Leg)], spot: Option<Price>, window: i64) {
        let forward_of = |legs: &[(ProviderToken, Leg)]| {
            let prices = legs.windows(2).filter_map(|pair| {
                let [(_, call), (_, put)] = pair else { return None };
                let is_pair = call.option_type == OptionType::Call && put.option_type == OptionType::Put;
                let prices = (call.strike, call.last_price.value()?, put.last_price.value()?);
                (is_pair && call.strike == put.strike).then_some(prices)
            });
            forward_by_parity(prices).or(spot.map(Price::as_rupees))
        };
        for legs in legs.chunk_by_mut(|(_, one), (_, other)| one.expiry == other.expiry) {
            let Some(forward) = forward_of(legs) else { continue };
            for (token, leg) in legs {
                let years = years_left(leg.expiry, Irregularities::window_start(window));
                let (strike, option_type) = (leg.strike.as_rupees(), leg.option_type);
                let terms = OptionTerms { forward, strike, years, option_type };
                let price =
                    leg.last_price.value().filter(|_| self.irregularities.has_volatility(*token, window));
                if let Some(volatility) = price.and_then(|price| terms.implied_volatility(price.as_rupees()))
                {
                    // Percent with two decimals, as the website writes it.
                    let percent_e2 = (volatility * 10_000.0).round() as i64;
                    leg.implied_volatility_e4 = Told::zero_is_nothing(percent_e2 * 100);
                }
            }
        }
    }
}

/// As in the body.
fn format_stamp(stamp: Timestamp) -> String {
    let local: NaiveDateTime = stamp.to_ist();
    local.with_nanosecond(0).unwrap_or(local).format("%d-%b-%Y %H:%M:%S").to_string()
}

/// Where a stamp stands in a body.
fn find(body: &[u8], stamp: &str) -> Option<usize> {
    std::str::from_utf8(body).ok()?.find(&format!("\"{stamp}\"")).map(|quote| quote + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        clock::{Clock, Simulation, real_now},
        sim::{LotOverrides, Pace, SimMarket, SyntheticMarket, market::RawEvent},
        wire::nse::{decode_chain, units_from_lots},
    };
    use chrono::NaiveTime;
    use std::sync::Arc;

    /// A play whose clock stands almost still.
    fn playing(market: &Arc<SimMarket>, now: Timestamp) -> Arc<Playback> {
        let simulation = Simulation { start: now, real_start: real_now(), speed: 1e-6 };
        Playback::new(market.clone(), Clock::simulated(simulation), Pace::Clocked, 1)
    }

    fn chains(irregularities: Irregularities, delay: &str) -> Chains {
        Chains::new(irregularities, delay.parse().expect("a delay"), UnlistedSide::default())
    }

    fn plain() -> Chains {
        chains(Irregularities::default(), "0")
    }

    #[test]
    fn a_chain_says_what_was_played() {
        let parameters = SyntheticMarket { duration_s: 30, expiries: 2, ..SyntheticMarket::default() };
        let market = Arc::new(parameters.generate());
        let mut cache = plain();
        let early = playing(&market, market.first_time().plus_seconds(-1));
        assert_eq!(cache.body(&early, "NIFTY", None, false), None, "nothing is played yet");
        let playback = playing(&market, market.last_time());
        playback.follow_clock();
        let state = playback.state().clone();
        assert_eq!(state.position(), market.events().len() as u64);
        let body = cache.body(&playback, "NIFTY", None, false).expect("a chain");
        let again = cache.body(&playback, "NIFTY", None, false).expect("a chain");
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
            assert_eq!(quote.implied_volatility_e4, Told::Nothing);
            compared += 1;
        }
        assert!(compared > 100, "{compared}");
        let nearest = cache.body(&playback, "NIFTY", Some(chain.expiries[0]), false).expect("a chain");
        let nearest = decode_chain(&nearest).expect("a chain");
        assert!(nearest.legs.iter().all(|leg| leg.expiry == chain.expiries[0]));
        assert_eq!(cache.body(&playback, "NIFTY", Some(parameters.date), false), None);
        assert_eq!(cache.body(&playback, "SENSEX", None, false), None);
    }

    const CONTRACT: &str = "NIFTY 2026-02-03 25300 CE";

    fn at(text: &str) -> Timestamp {
        let date = "2026-01-30".parse().expect("a date");
        Timestamp::on(date, NaiveTime::parse_from_str(text, "%H:%M:%S").expect("a time"))
    }

    /// Captures of one option five minutes apart, the last behind the close.
    fn captures() -> Arc<SimMarket> {
        let event = |(number, time): (usize, &&str)| RawEvent {
            time_ms: at(time).as_ms(),
            contract: 0,
            last_price_e4: 1_000_000 + 500 * number as i64,
            open_interest: 65 * (number as i64 + 1),
            volume: 65 * number as i64,
        };
        let times = ["10:00:05", "10:05:05", "15:26:05", "15:50:00"];
        let raw = times.iter().enumerate().map(event).collect();
        let contract = CONTRACT.parse().expect("a contract");
        Arc::new(SimMarket::build(vec![contract], raw, &LotOverrides::new()).expect("a market"))
    }

    /// Stamp and lots of open interest as the site shows them at a time.
    fn seen(cache: &mut Chains, market: &Arc<SimMarket>, now: &str) -> Option<(Timestamp, f64)> {
        let body = cache.body(&playing(market, at(now)), "NIFTY", None, false)?;
        let chain = decode_chain(&body).expect("a chain");
        Some((chain.timestamp, chain.legs[0].open_interest_lots.expect("open interest")))
    }

    #[test]
    fn stamps_move_on_between_captures_and_stay_at_the_close() {
        let (market, mut cache) = (captures(), plain());
        assert_eq!(seen(&mut cache, &market, "10:00:04"), None);
        for (now, stamp, lots) in [
            ("10:00:05", "10:00:05", 1.0),
            ("10:02:04", "10:00:05", 1.0),
            ("10:02:06", "10:01:44", 1.0),
            ("10:02:14", "10:02:14", 1.0),
            ("10:05:04", "10:04:44", 1.0),
            ("10:05:05", "10:05:05", 2.0),
            ("10:10:00", "10:09:44", 2.0),
            ("15:30:20", "15:30:00", 3.0),
            ("15:49:59", "15:30:00", 3.0),
            ("15:50:00", "15:50:00", 4.0),
            ("18:00:00", "15:50:00", 4.0),
        ] {
            assert_eq!(seen(&mut cache, &market, now), Some((at(stamp), lots)), "at {now}");
        }
    }

    #[test]
    fn a_new_stamp_alone_changes_nothing_else_of_the_body() {
        let (market, mut cache) = (captures(), plain());
        let body = |cache: &mut Chains, now: &str| {
            let body = cache.body(&playing(&market, at(now)), "NIFTY", None, false).expect("a chain");
            String::from_utf8(body.to_vec()).expect("text")
        };
        let before = body(&mut cache, "10:03:00");
        let after = body(&mut cache, "10:04:00");
        assert!(before.contains("30-Jan-2026 10:02:44"), "{before}");
        assert_eq!(before.replace("10:02:44", "10:03:44"), after);
        assert_eq!(after, body(&mut plain(), "10:04:00"), "as if it were encoded anew");
    }

    #[test]
    fn a_delayed_site_shows_the_past_and_gets_the_last_values_later() {
        let (market, mut cache) = (captures(), chains(Irregularities::default(), "90"));
        assert_eq!(seen(&mut cache, &market, "10:01:34"), None);
        for (now, stamp, lots) in [
            ("10:01:35", "10:00:05", 1.0),
            ("10:06:34", "10:04:44", 1.0),
            ("10:06:35", "10:05:05", 2.0),
            ("15:30:40", "15:28:44", 3.0),
            ("15:31:50", "15:30:00", 3.0),
            ("15:51:29", "15:30:00", 3.0),
            ("15:51:30", "15:50:00", 4.0),
        ] {
            assert_eq!(seen(&mut cache, &market, now), Some((at(stamp), lots)), "at {now}");
        }
    }

    #[test]
    fn a_drawn_delay_never_takes_a_chain_back() {
        let parameters = SyntheticMarket { duration_s: 900, strikes: 4, ..SyntheticMarket::default() };
        let market = Arc::new(parameters.generate());
        let mut cache = chains(Irregularities { seed: 5, ..Irregularities::default() }, "49-159");
        let (mut before, mut ages) = (Timestamp::from_us(0), BTreeSet::new());
        for second in (200..900).step_by(7) {
            let now = market.first_time().plus_seconds(second);
            let body = cache.body(&playing(&market, now), "NIFTY", None, false).expect("a chain");
            let stamp = decode_chain(&body).expect("a chain").timestamp;
            assert!(before <= stamp, "{before}, then {stamp}");
            before = stamp;
            ages.insert(now.us_since(stamp) / 1_000_000);
        }
        let (least, most) = (ages.first().expect("ages"), ages.last().expect("ages"));
        assert!(*least >= 49 && *most <= 161 && most - least > 40, "{ages:?}");
    }

    #[test]
    fn a_stale_chain_stays_as_it_was_served_last() {
        let (market, mut cache) = (captures(), plain());
        let mut body = |now: &str, is_stale| {
            cache.body(&playing(&market, at(now)), "NIFTY", None, is_stale).expect("a chain")
        };
        let fresh = body("10:00:05", true);
        assert_eq!(fresh, body("10:30:00", true));
        assert_ne!(fresh, body("10:30:00", false));
    }

    #[test]
    fn quotes_and_volatilities_come_and_go_on_the_wire() {
        let parameters = SyntheticMarket { duration_s: 600, ..SyntheticMarket::default() };
        let market = Arc::new(parameters.generate());
        let some = Irregularities {
            seed: 3,
            withdrawn_percent: 10,
            implied_volatility_percent: 60,
            ..Irregularities::default()
        };
        let mut cache = chains(some, "0");
        let mut counts = [0; 4];
        for minutes in [4, 6, 8] {
            let playback = playing(&market, market.first_time().plus_seconds(60 * minutes));
            let body = cache.body(&playback, "NIFTY", None, false).expect("a chain");
            let chain = decode_chain(&body).expect("a chain");
            for leg in &chain.legs {
                let slot = market.slot_of(&leg.contract()).expect("listed");
                let withdrawn = some.withdrawn(market.contracts()[slot].token, some.window(chain.timestamp));
                assert!(!withdrawn.bid || leg.bid == Told::Nothing, "{leg:?}");
                assert_eq!(leg.ask == Told::Nothing, withdrawn.ask, "{leg:?}");
                counts[0] += usize::from(withdrawn.bid);
                counts[1] += usize::from(withdrawn.ask);
                match leg.implied_volatility_e4 {
                    Told::Value(percent_e4) => {
                        counts[2] += 1;
                        assert!(
                            (10_000..1_000_000).contains(&percent_e4) && percent_e4 % 100 == 0,
                            "{leg:?}"
                        );
                    }
                    other => {
                        counts[3] += 1;
                        assert_eq!(other, Told::Nothing);
                    }
                }
            }
        }
        assert!(counts[0] > 10 && counts[1] > 10 && counts[2] > 100 && counts[3] > 100, "{counts:?}");
    }
}
