//! Three-minute candles of one underlying.

use super::{CandleDay, Trade, forming::Forming, history::HistoryFit};
use crate::{
    engine::rows::Rows,
    market::{Candle, CandleInterval, InstrumentId, Price, Provider, Timestamp},
};
use std::collections::BTreeMap;

/// Three-minute candles of one underlying, beside the option buckets.
///
/// A bucket in which a provider witnessed that nothing changed repeats the last close; one that was not witnessed has no
/// candle. A candle that lies in a span that was not seen, or only in part, has `resolve_required`. [`super::history`] replaces
/// it by the broker's own.
#[derive(Debug, Default)]
pub struct UnderlyingCandles {
    pub(super) candles: BTreeMap<Timestamp, UnderlyingCandle>,
    /// By provider: see [`super::history`].
    pub(super) history: [HistoryFit; Provider::ALL.len()],
}

#[derive(Clone, Copy, Debug)]
pub(super) struct UnderlyingCandle {
    pub forming: Forming,
    pub origin: Origin,
    /// It was seen whole, and is to be resolved because the broker's own contradicts it.
    pub was_whole: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// No price within the interval.
    Repeated,
    Observed,
    /// The broker's own candle.
    History,
}

impl UnderlyingCandle {
    pub fn begin(forming: Forming, origin: Origin) -> UnderlyingCandle {
        UnderlyingCandle { forming, origin, was_whole: false }
    }

    fn tell(&mut self, instrument: InstrumentId, day: &impl CandleDay) -> Candle {
        let start = self.forming.start;
        let has_hole = day.has_hole(start, start.plus_seconds(UnderlyingCandles::INTERVAL.minutes() * 60));
        self.forming.tell(instrument, UnderlyingCandles::INTERVAL, has_hole)
    }
}

impl UnderlyingCandles {
    pub(super) const INTERVAL: CandleInterval = CandleInterval::ThreeMinutes;

    /// Takes a price of any time of the day; one that is older than the latest of its interval widens it. `open_from` is the
    /// start of the first bucket that is not closed.
    pub fn observe(
        &mut self,
        instrument: InstrumentId,
        trade: &Trade,
        is_late: bool,
        open_from: Timestamp,
        day: &impl CandleDay,
        rows: &mut Rows,
    ) {
        let Some(price) = trade.last_price.filter(|price| *price > Price::ZERO) else { return };
        let Trade { event_time, provider, .. } = *trade;
        let start = event_time.floor_to_minutes(Self::INTERVAL.minutes());
        let broken_since = trade.seen.broken_since();
        if let Some(since) = broken_since {
            self.touch(instrument, since, start, rows);
        }
        let forming =
            Forming { is_touched: broken_since.is_some(), ..Forming::begin(start, price, 0, provider) };
        let begun = UnderlyingCandle::begin(forming, Origin::Observed);
        let candle = self.candles.entry(start).or_insert(begun);
        match candle.origin {
            Origin::Repeated => {
                let Forming { told, is_touched, .. } = candle.forming;
                let is_touched = is_touched || broken_since.is_some();
                candle.forming = Forming { told, is_touched, ..begun.forming };
                candle.origin = Origin::Observed;
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
            rows.candles.push(candle.tell(instrument, day));
        }
        let close = Price::from_e4(candle.forming.ohlc.close_e4);
        let mut next = start;
        loop {
            next = next.plus_seconds(Self::INTERVAL.minutes() * 60);
            if next >= open_from {
                break;
            }
            match self.candles.get(&next).map(|candle| candle.origin) {
                Some(Origin::Repeated) => {
                    rows.candles.push(self.repeat(instrument, next, close, provider, day));
                }
                None => {}
                Some(Origin::Observed | Origin::History) => break,
            }
        }
    }

    /// Whether the candle of the interval that begins at `start` was emitted.
    pub fn is_told(&self, start: Timestamp) -> bool {
        self.candles.get(&start).is_some_and(|candle| candle.forming.told > 0)
    }

    /// What happened from `from` until the interval of `last` was not seen.
    fn touch(&mut self, instrument: InstrumentId, from: Timestamp, last: Timestamp, rows: &mut Rows) {
        let first = from.floor_to_minutes(Self::INTERVAL.minutes()).min(last);
        for (_, candle) in self.candles.range_mut(first..=last) {
            if candle.origin != Origin::History {
                rows.unresolved.extend(candle.forming.touch(instrument, Self::INTERVAL));
            }
        }
    }

    fn repeat(
        &mut self,
        instrument: InstrumentId,
        start: Timestamp,
        price: Price,
        provider: Provider,
        day: &impl CandleDay,
    ) -> Candle {
        let before = self.candles.get(&start).map(|candle| candle.forming);
        let (told, is_touched) = before.map_or((0, false), |before| (before.told, before.is_touched));
        let forming = Forming { told, is_touched, ..Forming::begin(start, price, 0, provider) };
        let mut candle = UnderlyingCandle::begin(forming, Origin::Repeated);
        let row = candle.tell(instrument, day);
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
        day: &impl CandleDay,
        rows: &mut Rows,
    ) {
        match self.candles.get_mut(&start) {
            Some(candle) if candle.forming.told == 0 => rows.candles.push(candle.tell(instrument, day)),
            None if is_witnessed => {
                // A later price may already be known when an earlier bucket closes.
                let before = self.candles.range(..start).next_back();
                let known = before.map(|(_, candle)| {
                    (Price::from_e4(candle.forming.ohlc.close_e4), candle.forming.provider)
                });
                if let Some((price, provider)) = known {
                    let repeated = self.repeat(instrument, start, price, provider, day);
                    rows.candles.push(repeated);
                }
            }
            Some(_) | None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::Seen, *};

    /// A day with one hole.
    struct Day(Option<(Timestamp, Timestamp)>);

    impl CandleDay for Day {
        fn is_closed(&self, _: usize) -> bool {
            true
        }

        fn has_hole(&self, from: Timestamp, until: Timestamp) -> bool {
            self.0.is_some_and(|(start, end)| start < until && from < end)
        }
    }

    const ID: InstrumentId = InstrumentId(1);

    fn at(minute: i64, second: i64) -> Timestamp {
        // 2026-01-30 09:15 IST
        Timestamp::from_us(1_769_744_700_000_000).plus_seconds(minute * 60 + second)
    }

    fn rupees(rupees: i64) -> Price {
        Price::from_e4(rupees * 10_000)
    }

    fn level(instant: Timestamp, price: i64) -> Trade {
        let (provider, seen) = (Provider::Nse, Seen::All);
        Trade { event_time: instant, last_price: Some(rupees(price)), volume: None, provider, seen }
    }

    /// Candles of one underlying, and what they stated.
    struct Stated {
        candles: UnderlyingCandles,
        day: Day,
        open_from: Timestamp,
        rows: Rows,
    }

    impl Stated {
        fn new() -> Stated {
            let (candles, rows) = (UnderlyingCandles::default(), Rows::default());
            Stated { candles, day: Day(None), open_from: at(0, 0), rows }
        }

        fn observe(&mut self, trade: &Trade) {
            self.candles.observe(ID, trade, false, self.open_from, &self.day, &mut self.rows);
        }

        fn observe_late(&mut self, trade: &Trade) {
            self.candles.observe(ID, trade, true, self.open_from, &self.day, &mut self.rows);
        }

        fn close(&mut self, start: Timestamp, is_witnessed: bool) {
            self.candles.close(ID, start, is_witnessed, &self.day, &mut self.rows);
            self.open_from = self.open_from.max(start.plus_seconds(180));
        }

        fn take_told(&mut self) -> Vec<Candle> {
            std::mem::take(&mut self.rows.candles)
        }
    }

    #[test]
    fn a_bucket_repeats_the_last_close_only_where_it_was_witnessed() {
        let mut stated = Stated::new();
        stated.observe(&level(at(1, 0), 100));
        for (minute, is_witnessed) in [(0, true), (3, true), (6, false)] {
            stated.close(at(minute, 0), is_witnessed);
        }
        let seen: Vec<_> = stated.take_told().iter().map(|candle| (candle.start, candle.close)).collect();
        assert_eq!(seen, [(at(0, 0), rupees(100)), (at(3, 0), rupees(100))]);
        // 09:17 arrives when three buckets are closed: its own changes, and so does the one that repeated it.
        stated.observe(&level(at(2, 0), 90));
        let told = stated.take_told();
        let seen: Vec<_> = told.iter().map(|candle| (candle.start, candle.close, candle.revision)).collect();
        assert_eq!(seen, [(at(0, 0), rupees(90), 1), (at(3, 0), rupees(90), 1)]);
        stated.close(at(6, 0), true);
        let closes: Vec<_> = stated.take_told().iter().map(|candle| candle.close).collect();
        assert_eq!(closes, [rupees(90)], "proved later");
    }

    #[test]
    fn a_span_that_was_not_seen_marks_the_candles_it_touches() {
        let mut stated = Stated::new();
        stated.observe(&level(at(1, 0), 100));
        stated.close(at(0, 0), true);
        stated.observe(&level(at(4, 0), 101));
        stated.close(at(3, 0), true);
        stated.close(at(6, 0), true);
        assert!(stated.take_told().iter().all(|candle| !candle.resolve_required));
        // It is found out that nothing was seen from 09:20 to 09:25.
        stated.observe(&Trade { seen: Seen::Nothing(at(5, 0)), ..level(at(10, 0), 105) });
        let marked: Vec<_> = stated.rows.unresolved.iter().map(|candle| candle.start).collect();
        assert_eq!(marked, [at(3, 0), at(6, 0)]);
        stated.close(at(9, 0), true);
        assert!(stated.take_told()[0].resolve_required, "its beginning was not seen");
        stated.observe(&level(at(12, 0), 105));
        stated.close(at(12, 0), true);
        assert!(!stated.take_told()[0].resolve_required);
        // A bucket of which the end was not seen.
        stated.observe(&level(at(15, 0), 105));
        stated.day.0 = Some((at(17, 0), at(18, 0)));
        stated.close(at(15, 0), false);
        assert!(stated.take_told()[0].resolve_required);
        stated.observe_late(&level(at(16, 0), 99));
        assert!(stated.take_told()[0].resolve_required, "still");
    }

    #[test]
    fn a_late_price_widens_its_candle_and_does_not_close_it() {
        let mut stated = Stated::new();
        stated.observe(&level(at(2, 0), 100));
        stated.observe_late(&level(at(1, 0), 120));
        stated.close(at(0, 0), true);
        stated.observe_late(&level(at(1, 30), 80));
        let told = stated.take_told();
        let seen: Vec<_> = told.iter().map(|candle| (candle.high, candle.low, candle.close)).collect();
        assert_eq!(seen, [(rupees(120), rupees(100), rupees(100)), (rupees(120), rupees(80), rupees(100))]);
    }
}
