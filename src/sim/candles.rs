//! Candles from the played values: what a broker's historical API would say of the day so far.
//!
//! An interval without any value has no candle. Volume is the rise of the cumulative volume within the interval; the
//! first value of the day is a baseline, not a trade. It is 0 for indices and shares.

use super::market::{ABSENT, SimMarket};
use crate::market::{Bar, Price, Timestamp};

/// Candles of `minutes` (a divisor of a day, or a whole one) that start in `from..=to`, out of the first `played` events.
///
/// `shift_ms` is added to the events' times. A day's candle is stamped with midnight IST, as brokers do.
pub fn candles(
    market: &SimMarket,
    slot: usize,
    minutes: i64,
    played: usize,
    shift_ms: i64,
    from: Timestamp,
    to: Timestamp,
) -> Vec<Bar> {
    let mut candles: Vec<Bar> = Vec::new();
    let mut cumulative = ABSENT;
    for position in market.events_of(slot).iter().map(|position| *position as usize) {
        if position >= played {
            break;
        }
        let event = &market.events()[position];
        let traded = match (cumulative, event.volume) {
            (_, ABSENT) => 0,
            (ABSENT, _) => 0,
            (before, volume) => (volume - before).max(0),
        };
        if event.volume != ABSENT {
            cumulative = event.volume;
        }
        let Some(price) = event.last_price().filter(|price| *price > Price::ZERO) else {
            continue;
        };
        let start = market.time(event).plus_us(shift_ms.saturating_mul(1_000)).floor_to_minutes(minutes);
        match candles.last_mut() {
            Some(candle) if candle.start == start => {
                candle.high = candle.high.max(price);
                candle.low = candle.low.min(price);
                candle.close = price;
                candle.volume += traded;
            }
            _ => candles.push(Bar {
                start,
                open: price,
                high: price,
                low: price,
                close: price,
                volume: traded,
            }),
        }
    }
    candles.retain(|candle| from <= candle.start && candle.start <= to);
    candles
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::{LotOverrides, market::RawEvent};

    #[test]
    fn candles_hold_what_was_played_in_their_interval() {
        let start_ms = 1_769_744_700_000; // 2026-01-30 09:15:00 IST
        let event = |second: i64, rupees: i64, volume: i64| RawEvent {
            time_ms: start_ms + second * 1_000,
            contract: 0,
            last_price_e4: rupees * 10_000,
            open_interest: ABSENT,
            volume,
        };
        let contract = "NIFTY 2026-02-03 25300 CE".parse().expect("a contract");
        let events = vec![
            event(0, 100, 650),
            event(60, 130, 1_300),
            event(179, 90, 1_300),
            event(181, 95, 1_950),
            event(600, 97, 1_950),
        ];
        let market = SimMarket::build(vec![contract], events, &LotOverrides::new()).expect("a market");
        let start = market.first_time();
        let rows = |minutes, played, from: Timestamp| -> Vec<(i64, [i64; 4], i64)> {
            candles(&market, 0, minutes, played, 0, from, start.plus_seconds(86_400))
                .iter()
                .map(|c| {
                    let prices = [c.open, c.high, c.low, c.close].map(|price| price.as_e4() / 10_000);
                    (c.start.us_since(start) / 1_000_000, prices, c.volume)
                })
                .collect()
        };
        let first = (0, [100, 130, 90, 90], 650);
        assert_eq!(rows(3, 5, start), [first, (180, [95; 4], 650), (540, [97; 4], 0)]);
        assert_eq!(rows(3, 4, start), [first, (180, [95; 4], 650)], "the last event is not played yet");
        assert_eq!(rows(3, 2, start), [(0, [100, 130, 100, 130], 650)]);
        assert_eq!(rows(3, 5, start.plus_seconds(180)).len(), 2);
        let day = rows(1_440, 5, start.plus_seconds(-86_400));
        assert_eq!(day, [(-9 * 3_600 - 900, [100, 130, 90, 97], 1_300)]);
    }
}
