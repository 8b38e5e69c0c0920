//! The five-minute and daily candles of all slots.

use super::{
    Trade,
    forming::{Forming, Ohlc},
};
use crate::{
    engine::intervals::Intervals,
    market::{Candle, CandleInterval, InstrumentId, Price, Provider, Timestamp},
};

const INTERVAL: CandleInterval = CandleInterval::FiveMinutes;
const INTERVAL_US: i64 = 300_000_000;
const NONE: u16 = u16::MAX;

/// What every observation of a slot touches; it lies beside the slot's observation.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct SlotCandles {
    ohlc: Ohlc,
    /// Highest cumulative volume so far.
    volume_seen: i64,
    /// Number of the interval that forms; `NONE` before the first price.
    interval: u16,
    /// How often it was told.
    told: u16,
    /// Who told the last price.
    provider: Option<Provider>,
    /// Whose volume was seen.
    volume_provider: Option<Provider>,
}

impl Default for SlotCandles {
    fn default() -> SlotCandles {
        let ohlc = Ohlc { open_e4: 0, high_e4: 0, low_e4: 0, close_e4: 0, volume: 0 };
        SlotCandles { ohlc, volume_seen: 0, interval: NONE, told: 0, provider: None, volume_provider: None }
    }
}

impl SlotCandles {
    /// Units traded since the last observation; `None` where the cumulative volume went back.
    #[inline]
    fn traded_since(&mut self, trade: &Trade) -> Option<i64> {
        let Some(volume) = trade.volume else { return Some(0) };
        if self.volume_provider != Some(trade.provider) {
            (self.volume_seen, self.volume_provider) = (volume, Some(trade.provider));
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

/// What is touched once an interval, or when a price comes late.
#[derive(Clone, Copy, Debug, Default)]
struct SettledCandles {
    /// The interval before the one that forms: a late price may still change its high or low.
    previous: Option<Forming>,
    /// All intervals before the one that forms, and how often the whole day was told.
    day: Option<Forming>,
    day_told: u16,
}

/// See the module's head. The slots' own candles are passed in with each call.
#[derive(Debug)]
pub struct CandleBook {
    settled: Vec<SettledCandles>,
    intervals: Intervals,
    /// The first five-minute interval that is not closed yet.
    open_from: usize,
    pub volume_regressions: u64,
}

impl CandleBook {
    /// `open` is the session's open.
    pub fn new(open: Timestamp) -> CandleBook {
        CandleBook {
            settled: Vec::new(),
            intervals: Intervals::new(open.floor_to_minutes(INTERVAL.minutes()), INTERVAL_US),
            open_from: 0,
            volume_regressions: 0,
        }
    }

    pub fn add_slot(&mut self) {
        self.settled.push(SettledCandles::default());
    }

    /// End of the earliest interval that is not closed.
    pub fn next_end(&self) -> Timestamp {
        self.intervals.start_of(self.open_from + 1)
    }

    /// Takes an observation that is not older than the slot's latest one.
    #[inline]
    pub fn observe(
        &mut self,
        slot: usize,
        candles: &mut SlotCandles,
        instrument: InstrumentId,
        trade: &Trade,
        told: &mut Vec<Candle>,
    ) {
        let volume = candles.traded_since(trade).unwrap_or_else(|| {
            self.volume_regressions += 1;
            0
        });
        let Some(price) = trade.last_price.filter(|price| *price > Price::ZERO) else { return };
        let interval = self.intervals.find(trade.event_time);
        if usize::from(candles.interval) == interval {
            candles.ohlc.take(price, volume);
        } else {
            self.settle(slot, candles);
            candles.ohlc = Ohlc::begin(price, volume);
            (candles.interval, candles.told) = (interval as u16, 0);
        }
        candles.provider = Some(trade.provider);
        if interval < self.open_from {
            told.extend(self.tell(candles, instrument));
        }
    }

    fn forming(&self, candles: &SlotCandles) -> Option<Forming> {
        Some(Forming {
            start: self.intervals.start_of(usize::from(candles.interval)),
            ohlc: candles.ohlc,
            provider: candles.provider?,
            told: candles.told,
        })
    }

    /// Puts what forms behind: the next interval begins.
    #[inline(never)]
    fn settle(&mut self, slot: usize, candles: &SlotCandles) {
        let Some(forming) = self.forming(candles) else { return };
        let settled = &mut self.settled[slot];
        settled.previous = Some(forming);
        settled.day = Some(append(settled.day, forming));
    }

    #[cold]
    fn tell(&self, candles: &mut SlotCandles, instrument: InstrumentId) -> Option<Candle> {
        let mut forming = self.forming(candles)?;
        let told = forming.tell(instrument, INTERVAL);
        candles.told = forming.told;
        Some(told)
    }

    /// Takes a price that is older than the slot's latest one: it can widen its interval, nothing more.
    pub fn observe_late(
        &mut self,
        slot: usize,
        candles: &mut SlotCandles,
        instrument: InstrumentId,
        trade: &Trade,
        told: &mut Vec<Candle>,
    ) {
        let Some(price) = trade.last_price.filter(|price| *price > Price::ZERO) else { return };
        let interval = self.intervals.index_of(trade.event_time);
        if usize::from(candles.interval) == interval {
            let before = candles.ohlc;
            candles.ohlc.widen(price);
            if candles.ohlc != before && candles.told > 0 {
                told.extend(self.tell(candles, instrument));
            }
            return;
        }
        let start = self.intervals.start_of(interval);
        let SettledCandles { previous: Some(previous), day: Some(day), .. } = &mut self.settled[slot] else {
            return;
        };
        if previous.start != start {
            return;
        }
        let before = previous.ohlc;
        previous.ohlc.widen(price);
        day.ohlc.widen(price);
        if previous.ohlc != before && previous.told > 0 {
            told.push(previous.tell(instrument, INTERVAL));
        }
    }

    /// Closes the earliest open interval and tells its candles. `slots` are all slots, in order.
    pub fn close_interval<'a>(
        &mut self,
        slots: impl Iterator<Item = (InstrumentId, &'a mut SlotCandles)>,
        told: &mut Vec<Candle>,
    ) {
        let start = self.intervals.start_of(self.open_from);
        for (slot, (instrument, candles)) in slots.enumerate() {
            if usize::from(candles.interval) == self.open_from {
                told.extend(self.tell(candles, instrument));
            } else if let Some(previous) = &mut self.settled[slot].previous
                && previous.start == start
            {
                told.push(previous.tell(instrument, INTERVAL));
            }
        }
        self.open_from += 1;
    }

    /// The day's candle so far, with the last cumulative volume as its volume; starts at `open`.
    pub fn tell_day(
        &mut self,
        slot: usize,
        candles: &SlotCandles,
        instrument: InstrumentId,
        open: Timestamp,
    ) -> Option<Candle> {
        let mut day = append(self.settled[slot].day, self.forming(candles)?);
        day.start = open;
        day.ohlc.volume = candles.volume_seen.max(0);
        day.told = self.settled[slot].day_told;
        let told = day.tell(instrument, CandleInterval::Day);
        self.settled[slot].day_told = day.told;
        Some(told)
    }
}

fn append(day: Option<Forming>, next: Forming) -> Forming {
    let Some(mut day) = day else { return next };
    day.ohlc.append(&next.ohlc);
    day.provider = next.provider;
    day
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

    /// A book of one slot.
    struct OneSlot {
        book: CandleBook,
        candles: SlotCandles,
        told: Vec<Candle>,
    }

    impl OneSlot {
        fn new() -> OneSlot {
            let mut book = CandleBook::new(at(0, 0));
            book.add_slot();
            OneSlot { book, candles: SlotCandles::default(), told: Vec::new() }
        }

        fn observe(&mut self, trade: &Trade) {
            self.book.observe(0, &mut self.candles, ID, trade, &mut self.told);
        }

        fn observe_late(&mut self, trade: &Trade) {
            self.book.observe_late(0, &mut self.candles, ID, trade, &mut self.told);
        }

        fn close_interval(&mut self) {
            self.book.close_interval([(ID, &mut self.candles)].into_iter(), &mut self.told);
        }

        fn tell_day(&mut self) -> Candle {
            self.book.tell_day(0, &self.candles, ID, at(0, 0)).expect("a day's candle")
        }
    }

    #[test]
    fn volume_is_the_difference_of_cumulative_volume_after_a_baseline() {
        let mut slot = OneSlot::new();
        for (second, price, volume) in [(10, 100, 1_000), (20, 105, 1_300), (30, 95, 1_200), (40, 97, 1_450)]
        {
            slot.observe(&trade(at(0, second), price, volume));
        }
        assert!(slot.told.is_empty(), "the interval is open");
        slot.close_interval();
        let [candle] = slot.told[..] else { panic!("one candle, not {:?}", slot.told) };
        assert_eq!(
            (candle.open, candle.high, candle.low, candle.close),
            (rupees(100), rupees(105), rupees(95), rupees(97))
        );
        assert_eq!((candle.volume, candle.revision, candle.start), (450, 0, at(0, 0)));
        assert_eq!(slot.book.volume_regressions, 1);
        let day = slot.tell_day();
        assert_eq!((day.volume, day.open, day.close), (1_450, rupees(100), rupees(97)));
    }

    #[test]
    fn a_price_for_a_closed_interval_is_told_with_the_next_revision() {
        let mut slot = OneSlot::new();
        slot.observe(&trade(at(1, 0), 100, 10));
        slot.close_interval();
        slot.observe(&trade(at(4, 59), 120, 30));
        let [first, second] = slot.told[..] else { panic!("two tellings, not {:?}", slot.told) };
        assert_eq!((first.revision, first.close, first.volume), (0, rupees(100), 0));
        assert_eq!((second.revision, second.close, second.volume), (1, rupees(120), 20));
        slot.observe_late(&trade(at(2, 0), 80, 20));
        assert_eq!(
            (slot.told[2].revision, slot.told[2].low, slot.told[2].close),
            (2, rupees(80), rupees(120))
        );
    }

    #[test]
    fn the_day_is_the_sum_of_its_five_minutes() {
        let mut slot = OneSlot::new();
        slot.observe(&trade(at(1, 0), 100, 10));
        slot.observe(&trade(at(5, 0), 120, 30));
        slot.observe(&trade(at(6, 0), 110, 40));
        // Late for the first interval, which was left behind already.
        slot.observe_late(&trade(at(2, 0), 70, 20));
        let day = slot.tell_day();
        assert_eq!(
            (day.open, day.high, day.low, day.close),
            (rupees(100), rupees(120), rupees(70), rupees(110))
        );
        assert_eq!((day.volume, day.revision, day.start), (40, 0, at(0, 0)));
        slot.close_interval();
        slot.close_interval();
        let seen: Vec<_> = slot.told.iter().map(|told| (told.start, told.low, told.volume)).collect();
        assert_eq!(seen, [(at(0, 0), rupees(70), 0), (at(5, 0), rupees(110), 30)]);
        assert_eq!(slot.tell_day().revision, 1);
    }

    #[test]
    fn another_provider_re_bases_the_volume() {
        let mut slot = OneSlot::new();
        slot.observe(&trade(at(0, 1), 100, 500));
        let other = Trade { provider: Provider::AngelOne, ..trade(at(0, 2), 100, 900) };
        slot.observe(&other);
        slot.observe(&Trade { volume: Some(950), ..other });
        slot.close_interval();
        assert_eq!(slot.told[0].volume, 50);
    }
}
