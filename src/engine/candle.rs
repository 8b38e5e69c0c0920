//! Candles of last prices: five minutes and the day for every contract, three minutes for underlyings.
//!
//! A candle holds an interval's observed prices. Volume comes from differences of the cumulative volume; the first
//! cumulative value of a day is a baseline, and a value from another provider re-bases without a difference. Prices of
//! zero mean "never traded" and make no candle. A candle that was told already and then changes is told again with
//! the next revision.

use crate::market::{Bar, Candle, CandleInterval, InstrumentId, Price, Provider, Timestamp};
use std::collections::BTreeMap;

const EMPTY: i64 = i64::MIN;

/// One interval of one instrument while it may still change. 56 bytes, see [`SlotCandles`].
#[derive(Clone, Copy, Debug)]
struct Forming {
    start_us: i64,
    open_e4: i64,
    high_e4: i64,
    low_e4: i64,
    close_e4: i64,
    volume: i64,
    provider: u8,
    /// How often it was told; 0 while it is open.
    told: u16,
}

impl Forming {
    const NONE: Forming = Forming {
        start_us: EMPTY,
        open_e4: 0,
        high_e4: 0,
        low_e4: 0,
        close_e4: 0,
        volume: 0,
        provider: 0,
        told: 0,
    };

    fn begin(start: Timestamp, price: Price, volume: i64, provider: Provider) -> Forming {
        let price_e4 = price.as_e4();
        Forming {
            start_us: start.as_us(),
            open_e4: price_e4,
            high_e4: price_e4,
            low_e4: price_e4,
            close_e4: price_e4,
            volume,
            provider: provider.code(),
            told: 0,
        }
    }

    fn take(&mut self, price: Price, volume: i64, provider: Provider) {
        let price_e4 = price.as_e4();
        self.high_e4 = self.high_e4.max(price_e4);
        self.low_e4 = self.low_e4.min(price_e4);
        self.close_e4 = price_e4;
        self.volume += volume;
        self.provider = provider.code();
    }

    fn tell(&mut self, instrument: InstrumentId, interval: CandleInterval) -> Option<Candle> {
        let provider = Provider::from_code(self.provider)?;
        let revision = self.told;
        self.told = self.told.saturating_add(1);
        Some(Candle {
            instrument,
            interval,
            start: Timestamp::from_us(self.start_us),
            open: Price::from_e4(self.open_e4),
            high: Price::from_e4(self.high_e4),
            low: Price::from_e4(self.low_e4),
            close: Price::from_e4(self.close_e4),
            volume: self.volume,
            provider,
            revision,
        })
    }
}

/// What every observation of a slot touches: two cache lines side by side.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(128))]
struct SlotCandles {
    current: Forming,
    /// Highest cumulative volume so far.
    volume_seen: i64,
    day: Forming,
    /// Whose volume it was.
    volume_provider: u8,
}

const _: () = assert!(size_of::<SlotCandles>() == 128);

impl SlotCandles {
    const NONE: SlotCandles =
        SlotCandles { current: Forming::NONE, volume_seen: EMPTY, day: Forming::NONE, volume_provider: 0 };

    /// Units traded since the last observation; `None` where the cumulative volume went back.
    fn traded_since(&mut self, trade: &Trade) -> Option<i64> {
        let Some(volume) = trade.volume else { return Some(0) };
        if self.volume_seen == EMPTY || self.volume_provider != trade.provider.code() {
            (self.volume_seen, self.volume_provider) = (volume, trade.provider.code());
            return Some(0);
        }
        if volume < self.volume_seen {
            return None;
        }
        let traded = volume - self.volume_seen;
        self.volume_seen = volume;
        Some(traded)
    }
}

/// The five-minute and daily candles of all slots.
#[derive(Debug)]
pub struct CandleBook {
    slots: Vec<SlotCandles>,
    /// The interval before the current one: a price that comes late may still change its high or low.
    previous: Vec<Forming>,
    /// Start of the first five-minute interval that is not closed yet.
    open_from: Timestamp,
    pub volume_regressions: u64,
}

/// What an observation tells of trading.
#[derive(Clone, Copy, Debug)]
pub struct Trade {
    pub event_time: Timestamp,
    pub last_price: Option<Price>,
    /// Cumulative volume of the day.
    pub volume: Option<i64>,
    pub provider: Provider,
}

impl CandleBook {
    const INTERVAL: CandleInterval = CandleInterval::FiveMinutes;

    /// `open` is the session's open.
    pub fn new(open: Timestamp) -> CandleBook {
        CandleBook {
            slots: Vec::new(),
            previous: Vec::new(),
            open_from: open.floor_to_minutes(Self::INTERVAL.minutes()),
            volume_regressions: 0,
        }
    }

    pub fn add_slot(&mut self) {
        self.slots.push(SlotCandles::NONE);
        self.previous.push(Forming::NONE);
    }

    /// Reads a slot's candles into the cache.
    #[inline]
    pub fn fetch(&self, slot: usize) {
        let candles = &self.slots[slot];
        std::hint::black_box((candles.current.start_us, candles.day.start_us));
    }

    /// End of the earliest interval that is not closed.
    pub fn next_end(&self) -> Timestamp {
        self.open_from.plus_seconds(Self::INTERVAL.minutes() * 60)
    }

    /// Takes an observation that is not older than the slot's latest one.
    pub fn observe(&mut self, slot: usize, instrument: InstrumentId, trade: &Trade, told: &mut Vec<Candle>) {
        let candles = &mut self.slots[slot];
        let volume = candles.traded_since(trade).unwrap_or_else(|| {
            self.volume_regressions += 1;
            0
        });
        let SlotCandles { current, day, .. } = candles;
        let Some(price) = trade.last_price.filter(|price| *price > Price::ZERO) else { return };
        if day.start_us == EMPTY {
            *day = Forming::begin(trade.event_time, price, volume, trade.provider);
        } else {
            day.take(price, volume, trade.provider);
        }
        let start = trade.event_time.floor_to_minutes(Self::INTERVAL.minutes());
        if current.start_us == start.as_us() {
            current.take(price, volume, trade.provider);
        } else {
            self.previous[slot] = *current;
            *current = Forming::begin(start, price, volume, trade.provider);
        }
        if start < self.open_from {
            told.extend(current.tell(instrument, Self::INTERVAL));
        }
    }

    /// Takes a price that is older than the slot's latest one: it can widen its interval, nothing more.
    pub fn observe_late(
        &mut self,
        slot: usize,
        instrument: InstrumentId,
        trade: &Trade,
        told: &mut Vec<Candle>,
    ) {
        let Some(price) = trade.last_price.filter(|price| *price > Price::ZERO) else { return };
        let start_us = trade.event_time.floor_to_minutes(Self::INTERVAL.minutes()).as_us();
        let candle = match (&mut self.slots[slot].current, &mut self.previous[slot]) {
            (current, _) if current.start_us == start_us => current,
            (_, previous) if previous.start_us == start_us => previous,
            _ => return,
        };
        let before = (candle.high_e4, candle.low_e4);
        candle.high_e4 = candle.high_e4.max(price.as_e4());
        candle.low_e4 = candle.low_e4.min(price.as_e4());
        if before != (candle.high_e4, candle.low_e4) && candle.told > 0 {
            told.extend(candle.tell(instrument, Self::INTERVAL));
        }
    }

    /// Closes the earliest open interval and tells its candles.
    pub fn close_interval(
        &mut self,
        instruments: impl Iterator<Item = InstrumentId>,
        told: &mut Vec<Candle>,
    ) {
        let start_us = self.open_from.as_us();
        for (slot, instrument) in instruments.enumerate() {
            let candle = match (&mut self.slots[slot].current, &mut self.previous[slot]) {
                (current, _) if current.start_us == start_us => current,
                (_, previous) if previous.start_us == start_us => previous,
                _ => continue,
            };
            told.extend(candle.tell(instrument, Self::INTERVAL));
        }
        self.open_from = self.next_end();
    }

    /// The day's candle so far, with the last cumulative volume as its volume; starts at `open`.
    pub fn tell_day(&mut self, slot: usize, instrument: InstrumentId, open: Timestamp) -> Option<Candle> {
        let candle = self.slots[slot].day.tell(instrument, CandleInterval::Day)?;
        let volume = self.slots[slot].volume_seen.max(0);
        Some(Candle { start: open, volume, ..candle })
    }
}

/// Three-minute candles of one underlying, beside the option buckets.
///
/// Intervals without a price repeat the last close, so that every bucket has its underlying. A candle from the
/// broker's history replaces the one made from observations.
#[derive(Debug, Default)]
pub struct UnderlyingCandles {
    candles: BTreeMap<Timestamp, UnderlyingCandle>,
    last_price: Option<(Price, Provider)>,
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

    /// Takes a price not older than the latest. `open_from` is the start of the first bucket that is not closed.
    pub fn observe(
        &mut self,
        instrument: InstrumentId,
        event_time: Timestamp,
        price: Price,
        provider: Provider,
        open_from: Timestamp,
        told: &mut Vec<Candle>,
    ) {
        if price <= Price::ZERO {
            return;
        }
        self.last_price = Some((price, provider));
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
            Origin::Observed => candle.forming.take(price, 0, provider),
            Origin::History => {}
        }
        if start >= open_from {
            return;
        }
        if candle.origin == Origin::Observed {
            told.extend(candle.forming.tell(instrument, Self::INTERVAL));
        }
        let mut next = start;
        loop {
            next = next.plus_seconds(Self::INTERVAL.minutes() * 60);
            if next >= open_from {
                break;
            }
            match self.candles.get(&next).map(|candle| candle.origin) {
                None | Some(Origin::Repeated) => told.extend(self.repeat(instrument, next, price, provider)),
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
    ) -> Option<Candle> {
        let told = self.candles.get(&start).map_or(0, |candle| candle.forming.told);
        let forming = Forming { told, ..Forming::begin(start, price, 0, provider) };
        let mut candle = UnderlyingCandle { forming, origin: Origin::Repeated };
        let row = candle.forming.tell(instrument, Self::INTERVAL);
        self.candles.insert(start, candle);
        row
    }

    /// Tells the candle of a bucket that closes.
    pub fn close(&mut self, instrument: InstrumentId, start: Timestamp, told: &mut Vec<Candle>) {
        match self.candles.get_mut(&start) {
            Some(candle) if candle.forming.told == 0 => {
                told.extend(candle.forming.tell(instrument, Self::INTERVAL))
            }
            Some(_) => {}
            None => {
                // A later price may already be known when an earlier bucket closes.
                let before = self.candles.range(..start).next_back();
                let known = before.and_then(|(_, candle)| {
                    let provider = Provider::from_code(candle.forming.provider)?;
                    Some((Price::from_e4(candle.forming.close_e4), provider))
                });
                if let Some((price, provider)) = known {
                    told.extend(self.repeat(instrument, start, price, provider));
                }
            }
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
        let forming = Forming {
            start_us: bar.start.as_us(),
            open_e4: bar.open.as_e4(),
            high_e4: bar.high.as_e4(),
            low_e4: bar.low.as_e4(),
            close_e4: bar.close.as_e4(),
            volume: bar.volume,
            provider: provider.code(),
            told: before.map_or(0, |candle| candle.forming.told),
        };
        let same = before.is_some_and(|candle| {
            let old = &candle.forming;
            candle.origin == Origin::History
                && (old.open_e4, old.high_e4, old.low_e4, old.close_e4, old.volume)
                    == (forming.open_e4, forming.high_e4, forming.low_e4, forming.close_e4, forming.volume)
        });
        if same {
            return;
        }
        let mut candle = UnderlyingCandle { forming, origin: Origin::History };
        told.extend(candle.forming.tell(instrument, Self::INTERVAL));
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

    fn trade(event_time: Timestamp, price: i64, volume: i64) -> Trade {
        let provider = Provider::Nse;
        Trade { event_time, last_price: Some(rupees(price)), volume: Some(volume), provider }
    }

    fn book() -> CandleBook {
        let mut book = CandleBook::new(at(0, 0));
        book.add_slot();
        book
    }

    #[test]
    fn volume_is_the_difference_of_cumulative_volume_after_a_baseline() {
        let (mut book, mut told) = (book(), Vec::new());
        for (second, price, volume) in [(10, 100, 1_000), (20, 105, 1_300), (30, 95, 1_200), (40, 97, 1_450)]
        {
            book.observe(0, ID, &trade(at(0, second), price, volume), &mut told);
        }
        assert!(told.is_empty(), "the interval is open");
        book.close_interval([ID].into_iter(), &mut told);
        let [candle] = told[..] else { panic!("one candle, not {told:?}") };
        assert_eq!(
            (candle.open, candle.high, candle.low, candle.close),
            (rupees(100), rupees(105), rupees(95), rupees(97))
        );
        assert_eq!((candle.volume, candle.revision, candle.start), (450, 0, at(0, 0)));
        assert_eq!(book.volume_regressions, 1);
        let day = book.tell_day(0, ID, at(0, 0)).expect("a day's candle");
        assert_eq!((day.volume, day.open, day.close), (1_450, rupees(100), rupees(97)));
    }

    #[test]
    fn a_price_for_a_closed_interval_is_told_with_the_next_revision() {
        let (mut book, mut told) = (book(), Vec::new());
        book.observe(0, ID, &trade(at(1, 0), 100, 10), &mut told);
        book.close_interval([ID].into_iter(), &mut told);
        book.observe(0, ID, &trade(at(4, 59), 120, 30), &mut told);
        let [first, second] = told[..] else { panic!("two tellings, not {told:?}") };
        assert_eq!((first.revision, first.close, first.volume), (0, rupees(100), 0));
        assert_eq!((second.revision, second.close, second.volume), (1, rupees(120), 20));
        book.observe_late(0, ID, &trade(at(2, 0), 80, 20), &mut told);
        assert_eq!((told[2].revision, told[2].low, told[2].close), (2, rupees(80), rupees(120)));
    }

    #[test]
    fn another_provider_re_bases_the_volume() {
        let (mut book, mut told) = (book(), Vec::new());
        book.observe(0, ID, &trade(at(0, 1), 100, 500), &mut told);
        let other = Trade { provider: Provider::AngelOne, ..trade(at(0, 2), 100, 900) };
        book.observe(0, ID, &other, &mut told);
        book.observe(0, ID, &Trade { volume: Some(950), ..other }, &mut told);
        book.close_interval([ID].into_iter(), &mut told);
        assert_eq!(told[0].volume, 50);
    }

    #[test]
    fn every_closed_bucket_has_its_underlying() {
        let (mut candles, mut told) = (UnderlyingCandles::default(), Vec::new());
        candles.observe(ID, at(1, 0), rupees(100), Provider::Nse, at(0, 0), &mut told);
        candles.close(ID, at(0, 0), &mut told);
        candles.close(ID, at(3, 0), &mut told);
        assert_eq!(told.iter().map(|candle| candle.close).collect::<Vec<_>>(), [rupees(100), rupees(100)]);
        told.clear();
        // 09:17 arrives when two buckets are closed: its own changes, and so does the one that repeated it.
        candles.observe(ID, at(2, 0), rupees(90), Provider::Nse, at(6, 0), &mut told);
        let seen: Vec<_> = told.iter().map(|candle| (candle.start, candle.close, candle.revision)).collect();
        assert_eq!(seen, [(at(0, 0), rupees(90), 1), (at(3, 0), rupees(90), 1)]);
    }

    #[test]
    fn the_brokers_own_candle_replaces_the_observed_one_once() {
        let (mut candles, mut told) = (UnderlyingCandles::default(), Vec::new());
        candles.observe(ID, at(1, 0), rupees(100), Provider::AngelOne, at(0, 0), &mut told);
        candles.close(ID, at(0, 0), &mut told);
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
        candles.observe(ID, at(2, 0), rupees(120), Provider::AngelOne, at(3, 0), &mut told);
        assert_eq!(told.len(), 2, "history stands");
    }
}
