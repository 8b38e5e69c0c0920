//! Three-minute candles of one underlying.

use super::{
    Trade,
    forming::{Forming, Ohlc},
};
use crate::market::{Bar, Candle, CandleInterval, InstrumentId, Price, Provider, Timestamp};
use std::collections::BTreeMap;

/// Three-minute candles of one underlying, beside the option buckets.
///
/// A bucket in which a provider witnessed that nothing changed repeats the last close; one that was not witnessed has no
/// candle. A candle from the broker's history replaces the one made from observations.
#[derive(Debug, Default)]
pub struct UnderlyingCandles {
    candles: BTreeMap<Timestamp, UnderlyingCandle>,
}

#[derive(Clone, Copy, Debug)]
struct UnderlyingCandle {
    forming: Forming,
    origin: Origin,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
    /// No price within the interval.
    Repeated,
    Observed,
    /// The broker's own candle.
    History,
}

impl UnderlyingCandles {
    const INTERVAL: CandleInterval = CandleInterval::ThreeMinutes;

    /// Takes a price of any time of the day; one that is older than the latest of its interval widens it. `open_from` is the
    /// start of the first bucket that is not closed.
    pub fn observe(
        &mut self,
        instrument: InstrumentId,
        trade: &Trade,
        is_late: bool,
        open_from: Timestamp,
        told: &mut Vec<Candle>,
    ) {
        let Some(price) = trade.last_price.filter(|price| *price > Price::ZERO) else { return };
        let Trade { event_time, provider, .. } = *trade;
        let start = event_time.floor_to_minutes(Self::INTERVAL.minutes());
        let begun =
            UnderlyingCandle { forming: Forming::begin(start, price, 0, provider), origin: Origin::Observed };
        let candle = self.candles.entry(start).or_insert(begun);
        match candle.origin {
            Origin::Repeated => {
                *candle = UnderlyingCandle {
                    forming: Forming { told: candle.forming.told, ..begun.forming },
                    ..begun
                }
            }
            Origin::Observed if is_late => candle.forming.ohlc.widen(price),
            Origin::Observed => {
                candle.forming.ohlc.take(price, 0);
                candle.forming.provider = provider;
            }
            Origin::History => {}
        }
        if start >= open_from {
            return;
        }
        if candle.origin == Origin::Observed {
            told.push(candle.forming.tell(instrument, Self::INTERVAL, false));
        }
        let close = Price::from_e4(candle.forming.ohlc.close_e4);
        let mut next = start;
        loop {
            next = next.plus_seconds(Self::INTERVAL.minutes() * 60);
            if next >= open_from {
                break;
            }
            match self.candles.get(&next).map(|candle| candle.origin) {
                Some(Origin::Repeated) => told.push(self.repeat(instrument, next, close, provider)),
                None => {}
                Some(Origin::Observed | Origin::History) => break,
            }
        }
    }

    fn repeat(
        &mut self,
        instrument: InstrumentId,
        start: Timestamp,
        price: Price,
        provider: Provider,
    ) -> Candle {
        let told = self.candles.get(&start).map_or(0, |candle| candle.forming.told);
        let forming = Forming { told, ..Forming::begin(start, price, 0, provider) };
        let mut candle = UnderlyingCandle { forming, origin: Origin::Repeated };
        let row = candle.forming.tell(instrument, Self::INTERVAL, false);
        self.candles.insert(start, candle);
        row
    }

    /// Emits the candle of a bucket that closes, or is proved later. `is_witnessed`: whether it is known that nothing else
    /// happened in it than what was observed.
    pub fn close(
        &mut self,
        instrument: InstrumentId,
        start: Timestamp,
        is_witnessed: bool,
        told: &mut Vec<Candle>,
    ) {
        match self.candles.get_mut(&start) {
            Some(candle) if candle.forming.told == 0 => {
                told.push(candle.forming.tell(instrument, Self::INTERVAL, !is_witnessed));
            }
            None if is_witnessed => {
                // A later price may already be known when an earlier bucket closes.
                let before = self.candles.range(..start).next_back();
                let known = before.map(|(_, candle)| {
                    (Price::from_e4(candle.forming.ohlc.close_e4), candle.forming.provider)
                });
                if let Some((price, provider)) = known {
                    told.push(self.repeat(instrument, start, price, provider));
                }
            }
            Some(_) | None => {}
        }
    }

    /// Takes the broker's own candle.
    pub fn take_history(
        &mut self,
        instrument: InstrumentId,
        bar: &Bar,
        provider: Provider,
        told: &mut Vec<Candle>,
    ) {
        let before = self.candles.get(&bar.start);
        let ohlc = Ohlc {
            open_e4: bar.open.as_e4(),
            high_e4: bar.high.as_e4(),
            low_e4: bar.low.as_e4(),
            close_e4: bar.close.as_e4(),
            volume: bar.volume,
        };
        let told_before = before.map_or(0, |candle| candle.forming.told);
        let forming = Forming { start: bar.start, ohlc, provider, told: told_before, is_touched: false };
        let same =
            before.is_some_and(|candle| candle.origin == Origin::History && candle.forming.ohlc == ohlc);
        if same {
            return;
        }
        let mut candle = UnderlyingCandle { forming, origin: Origin::History };
        told.push(candle.forming.tell(instrument, Self::INTERVAL, false));
        self.candles.insert(bar.start, candle);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: InstrumentId = InstrumentId(1);

    fn at(minute: i64, second: i64) -> Timestamp {
        // 2026-01-30 09:15 IST
        Timestamp::from_us(1_769_744_700_000_000).plus_seconds(minute * 60 + second)
    }

    fn rupees(rupees: i64) -> Price {
        Price::from_e4(rupees * 10_000)
    }

    /// A price of NSE's, while buckets are open from `open_from` on.
    fn observe(
        candles: &mut UnderlyingCandles,
        instant: Timestamp,
        price: i64,
        is_late: bool,
        open_from: Timestamp,
        told: &mut Vec<Candle>,
    ) {
        let (last_price, provider) = (Some(rupees(price)), Provider::Nse);
        let trade = Trade { event_time: instant, last_price, volume: None, provider, epoch: 0 };
        candles.observe(ID, &trade, is_late, open_from, told);
    }

    #[test]
    fn a_bucket_repeats_the_last_close_only_where_it_was_witnessed() {
        let (mut candles, mut told) = (UnderlyingCandles::default(), Vec::new());
        observe(&mut candles, at(1, 0), 100, false, at(0, 0), &mut told);
        candles.close(ID, at(0, 0), true, &mut told);
        candles.close(ID, at(3, 0), true, &mut told);
        candles.close(ID, at(6, 0), false, &mut told);
        let seen: Vec<_> = told.iter().map(|candle| (candle.start, candle.close)).collect();
        assert_eq!(seen, [(at(0, 0), rupees(100)), (at(3, 0), rupees(100))]);
        told.clear();
        // 09:17 arrives when three buckets are closed: its own changes, and so does the one that repeated it.
        observe(&mut candles, at(2, 0), 90, false, at(9, 0), &mut told);
        let seen: Vec<_> = told.iter().map(|candle| (candle.start, candle.close, candle.revision)).collect();
        assert_eq!(seen, [(at(0, 0), rupees(90), 1), (at(3, 0), rupees(90), 1)]);
        told.clear();
        candles.close(ID, at(6, 0), true, &mut told);
        assert_eq!(told.iter().map(|candle| candle.close).collect::<Vec<_>>(), [rupees(90)], "proved later");
    }

    #[test]
    fn a_late_price_widens_its_candle_and_does_not_close_it() {
        let (mut candles, mut told) = (UnderlyingCandles::default(), Vec::new());
        observe(&mut candles, at(2, 0), 100, false, at(0, 0), &mut told);
        observe(&mut candles, at(1, 0), 120, true, at(0, 0), &mut told);
        candles.close(ID, at(0, 0), true, &mut told);
        observe(&mut candles, at(1, 30), 80, true, at(3, 0), &mut told);
        let seen: Vec<_> = told.iter().map(|candle| (candle.high, candle.low, candle.close)).collect();
        assert_eq!(seen, [(rupees(120), rupees(100), rupees(100)), (rupees(120), rupees(80), rupees(100))]);
    }

    #[test]
    fn the_brokers_own_candle_replaces_the_observed_one_once() {
        let (mut candles, mut told) = (UnderlyingCandles::default(), Vec::new());
        observe(&mut candles, at(1, 0), 100, false, at(0, 0), &mut told);
        candles.close(ID, at(0, 0), true, &mut told);
        let bar = Bar {
            start: at(0, 0),
            open: rupees(99),
            high: rupees(110),
            low: rupees(98),
            close: rupees(101),
            volume: 7,
        };
        candles.take_history(ID, &bar, Provider::AngelOne, &mut told);
        candles.take_history(ID, &bar, Provider::AngelOne, &mut told);
        assert_eq!(told.len(), 2, "the same bar is not told twice");
        assert_eq!((told[1].revision, told[1].high), (1, rupees(110)));
        observe(&mut candles, at(2, 0), 120, false, at(3, 0), &mut told);
        assert_eq!(told.len(), 2, "history stands");
    }
}
