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
    /// Latest cumulative volume.
    volume_seen: i64,
    /// Number of the interval that forms; `NONE` before the first price.
    interval: u16,
    /// How often it was emitted.
    told: u16,
    /// In which the volume was seen; 0 before the first.
    volume_epoch: u16,
    /// Which sent the last price.
    provider: Option<Provider>,
    /// The volume of the interval that forms lacks something or was corrected.
    is_touched: bool,
}

impl Default for SlotCandles {
    fn default() -> SlotCandles {
        SlotCandles {
            ohlc: Ohlc { open_e4: 0, high_e4: 0, low_e4: 0, close_e4: 0, volume: 0 },
            volume_seen: 0,
            interval: NONE,
            told: 0,
            volume_epoch: 0,
            provider: None,
            is_touched: false,
        }
    }
}

/// Units traded since the observation before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Traded {
    /// By this observation.
    Placed(i64),
    /// At some time since, not known when.
    Unplaced,
    /// The cumulative volume before was too large by so much.
    TakenBack(i64),
}

impl SlotCandles {
    /// In which the latest volume was seen; 0 before the first.
    pub fn volume_epoch(&self) -> u16 {
        self.volume_epoch
    }

    /// `is_within`: whether the observation before lies in the same interval.
    #[inline]
    fn traded_since(&mut self, trade: &Trade, is_within: bool) -> Traded {
        let Some(volume) = trade.volume else { return Traded::Placed(0) };
        let (epoch, seen) = (self.volume_epoch, self.volume_seen);
        (self.volume_epoch, self.volume_seen) = (trade.epoch, volume);
        if epoch == trade.epoch && volume >= seen {
            return Traded::Placed(volume - seen);
        }
        match epoch {
            // A baseline.
            0 => Traded::Placed(0),
            _ if epoch == trade.epoch => Traded::TakenBack(seen - volume),
            _ if volume == seen => Traded::Placed(0),
            _ if is_within && volume > seen && self.provider == Some(trade.provider) => {
                Traded::Placed(volume - seen)
            }
            _ => Traded::Unplaced,
        }
    }
}

/// What is touched once an interval, or when a price comes late.
#[derive(Clone, Copy, Debug, Default)]
struct SettledCandles {
    /// The interval before the one that forms: a late price may still change its high or low.
    previous: Option<Forming>,
    /// All intervals before the one that forms, and how often the whole day was emitted.
    day: Option<Forming>,
    day_told: u16,
}

/// What a book must know of the day that a slot's candles are of.
pub trait CandleDay {
    /// Whether candles of this interval were emitted already.
    fn is_closed(&self, interval: usize) -> bool;

    /// Whether a part of the time between was not observed.
    fn has_hole(&self, from: Timestamp, until: Timestamp) -> bool;
}

/// See the module's head. The slots' own candles are passed in with each call.
#[derive(Debug)]
pub struct CandleBook {
    settled: Vec<SettledCandles>,
    intervals: Intervals,
    pub volume_regressions: u64,
}

impl CandleBook {
    /// `open` is the session's open.
    pub fn new(open: Timestamp) -> CandleBook {
        CandleBook {
            settled: Vec::new(),
            intervals: Intervals::new(open.floor_to_minutes(INTERVAL.minutes()), INTERVAL_US),
            volume_regressions: 0,
        }
    }

    pub fn add_slot(&mut self) {
        self.settled.push(SettledCandles::default());
    }

    /// Start of an interval; that of the next one is its end.
    pub fn start_of(&self, interval: usize) -> Timestamp {
        self.intervals.start_of(interval)
    }

    /// The number of the interval an instant lies in.
    pub fn interval_of(&self, instant: Timestamp) -> usize {
        self.intervals.index_of(instant)
    }

    /// Takes an observation that is not older than the slot's latest one, which is of `before`.
    #[inline]
    #[expect(
        clippy::too_many_arguments,
        reason = "a slot's parts lie in different places, and a struct of them is built for every tick"
    )]
    pub fn observe(
        &mut self,
        slot: usize,
        candles: &mut SlotCandles,
        instrument: InstrumentId,
        trade: &Trade,
        before: Timestamp,
        day: &impl CandleDay,
        told: &mut Vec<Candle>,
    ) {
        let interval = self.intervals.find(trade.event_time);
        let is_forming = usize::from(candles.interval) == interval;
        let is_within = is_forming && before >= self.intervals.start_of(interval);
        let (traded, is_touched) = match candles.traded_since(trade, is_within) {
            Traded::Placed(units) => (units, false),
            other => {
                self.correct_volume(slot, candles, instrument, other, day, told);
                if !is_forming && candles.told > 0 && matches!(other, Traded::TakenBack(_)) {
                    told.extend(self.tell(candles, instrument, day));
                }
                (0, other == Traded::Unplaced)
            }
        };
        let Some(price) = trade.last_price.filter(|price| *price > Price::ZERO) else { return };
        if is_forming {
            candles.ohlc.take(price, traded);
        } else {
            self.settle(slot, candles);
            candles.ohlc = Ohlc::begin(price, traded);
            (candles.interval, candles.told, candles.is_touched) = (interval as u16, 0, is_touched);
        }
        candles.provider = Some(trade.provider);
        if candles.told > 0 || !is_forming && day.is_closed(interval) {
            told.extend(self.tell(candles, instrument, day));
        }
    }

    #[cold]
    fn correct_volume(
        &mut self,
        slot: usize,
        candles: &mut SlotCandles,
        instrument: InstrumentId,
        traded: Traded,
        day: &impl CandleDay,
        told: &mut Vec<Candle>,
    ) {
        candles.is_touched = true;
        let Traded::TakenBack(units) = traded else { return };
        self.volume_regressions += 1;
        let here = units.min(candles.ohlc.volume.max(0));
        let SettledCandles { previous, day: whole, .. } = &mut self.settled[slot];
        let mut from_previous = 0;
        if let (Some(previous), true) = (previous, units > here) {
            from_previous = (units - here).min(previous.ohlc.volume);
            previous.ohlc.volume -= from_previous;
            previous.is_touched = true;
            if previous.told > 0 {
                told.push(tell_settled(previous, instrument, day));
            }
        }
        if let Some(whole) = whole {
            whole.ohlc.volume -= from_previous;
        }
        // A value that is too small for once makes up for it with the next one; until then the sum is below zero.
        candles.ohlc.volume -= units - from_previous;
    }

    fn forming(&self, candles: &SlotCandles) -> Option<Forming> {
        Some(Forming {
            start: self.intervals.start_of(usize::from(candles.interval)),
            ohlc: candles.ohlc,
            provider: candles.provider?,
            told: candles.told,
            is_touched: candles.is_touched,
        })
    }

    /// Puts what forms behind: the next interval begins.
    #[inline(never)]
    fn settle(&mut self, slot: usize, candles: &SlotCandles) {
        let Some(mut forming) = self.forming(candles) else { return };
        forming.ohlc.volume = forming.ohlc.volume.max(0);
        let settled = &mut self.settled[slot];
        settled.previous = Some(forming);
        settled.day = Some(append(settled.day, forming));
    }

    #[cold]
    fn tell(
        &self,
        candles: &mut SlotCandles,
        instrument: InstrumentId,
        day: &impl CandleDay,
    ) -> Option<Candle> {
        let mut forming = self.forming(candles)?;
        let told = tell_settled(&mut forming, instrument, day);
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
        whole_day: &impl CandleDay,
        told: &mut Vec<Candle>,
    ) {
        let Some(price) = trade.last_price.filter(|price| *price > Price::ZERO) else { return };
        let interval = self.intervals.index_of(trade.event_time);
        if usize::from(candles.interval) == interval {
            let before = candles.ohlc;
            candles.ohlc.widen(price);
            if candles.ohlc != before && candles.told > 0 {
                told.extend(self.tell(candles, instrument, whole_day));
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
            told.push(tell_settled(previous, instrument, whole_day));
        }
    }

    /// Emits a slot's candle of an interval that closes.
    pub fn close_interval(
        &mut self,
        slot: usize,
        candles: &mut SlotCandles,
        instrument: InstrumentId,
        interval: usize,
        day: &impl CandleDay,
        told: &mut Vec<Candle>,
    ) {
        if usize::from(candles.interval) == interval {
            told.extend(self.tell(candles, instrument, day));
        } else if let Some(previous) = &mut self.settled[slot].previous
            && previous.start == self.intervals.start_of(interval)
        {
            told.push(tell_settled(previous, instrument, day));
        }
    }

    /// The day's candle so far, with the last cumulative volume as its volume; starts at `open`.
    pub fn tell_day(
        &mut self,
        slot: usize,
        candles: &SlotCandles,
        instrument: InstrumentId,
        open: Timestamp,
        has_hole: bool,
    ) -> Option<Candle> {
        let mut day = append(self.settled[slot].day, self.forming(candles)?);
        day.start = open;
        day.ohlc.volume = candles.volume_seen.max(0);
        day.told = self.settled[slot].day_told;
        let told = day.tell(instrument, CandleInterval::Day, has_hole);
        self.settled[slot].day_told = day.told;
        Some(told)
    }
}

fn tell_settled(forming: &mut Forming, instrument: InstrumentId, day: &impl CandleDay) -> Candle {
    let end = forming.start.plus_us(INTERVAL_US);
    let has_hole = day.has_hole(forming.start, end);
    forming.tell(instrument, INTERVAL, has_hole)
}

fn append(day: Option<Forming>, next: Forming) -> Forming {
    let Some(mut day) = day else { return next };
    day.ohlc.append(&next.ohlc);
    day.provider = next.provider;
    day.is_touched |= next.is_touched;
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
        Trade { event_time, last_price: Some(rupees(price)), volume: Some(volume), provider, epoch: 1 }
    }

    /// A day of which the first so many intervals are closed, with one hole.
    struct Closed(usize, Option<(Timestamp, Timestamp)>);

    impl CandleDay for Closed {
        fn is_closed(&self, interval: usize) -> bool {
            interval < self.0
        }

        fn has_hole(&self, from: Timestamp, until: Timestamp) -> bool {
            self.1.is_some_and(|(start, end)| start < until && from < end)
        }
    }

    /// A book of one slot.
    struct OneSlot {
        book: CandleBook,
        candles: SlotCandles,
        told: Vec<Candle>,
        day: Closed,
        last: Timestamp,
    }

    impl OneSlot {
        fn new() -> OneSlot {
            let mut book = CandleBook::new(at(0, 0));
            book.add_slot();
            let (candles, told) = (SlotCandles::default(), Vec::new());
            OneSlot { book, candles, told, day: Closed(0, None), last: Timestamp::NEVER }
        }

        fn observe(&mut self, trade: &Trade) {
            self.book.observe(0, &mut self.candles, ID, trade, self.last, &self.day, &mut self.told);
            self.last = trade.event_time;
        }

        fn observe_late(&mut self, trade: &Trade) {
            self.book.observe_late(0, &mut self.candles, ID, trade, &self.day, &mut self.told);
        }

        fn close_interval(&mut self) {
            self.book.close_interval(0, &mut self.candles, ID, self.day.0, &self.day, &mut self.told);
            self.day.0 += 1;
        }

        fn tell_day(&mut self) -> Candle {
            self.book.tell_day(0, &self.candles, ID, at(0, 0), false).expect("a day's candle")
        }

        /// Start in minutes, volume and mark of the last emission of every candle.
        fn last_told(&self) -> Vec<(i64, i64, bool)> {
            let mut last = std::collections::BTreeMap::new();
            for candle in &self.told {
                let minute = candle.start.us_since(at(0, 0)) / 60_000_000;
                last.insert(minute, (minute, candle.volume, candle.resolve_required));
            }
            last.into_values().collect()
        }
    }

    #[test]
    fn volume_is_the_difference_of_cumulative_volume_after_a_baseline() {
        let mut slot = OneSlot::new();
        for (second, price, volume) in [(10, 100, 1_000), (20, 105, 1_300), (40, 95, 1_450)] {
            slot.observe(&trade(at(0, second), price, volume));
        }
        assert!(slot.told.is_empty(), "the interval is open");
        slot.close_interval();
        let [candle] = slot.told[..] else { panic!("one candle, not {:?}", slot.told) };
        assert_eq!(
            (candle.open, candle.high, candle.low, candle.close),
            (rupees(100), rupees(105), rupees(95), rupees(95))
        );
        assert_eq!((candle.volume, candle.revision, candle.start), (450, 0, at(0, 0)));
        assert!(!candle.resolve_required);
        let day = slot.tell_day();
        assert_eq!((day.volume, day.open, day.close), (1_450, rupees(100), rupees(95)));
    }

    #[test]
    fn a_wild_cumulative_volume_is_taken_back_when_the_next_one_contradicts_it() {
        let mut slot = OneSlot::new();
        slot.observe(&trade(at(0, 10), 100, 1_000));
        slot.observe(&trade(at(4, 50), 100, 325_000_000));
        slot.close_interval();
        // The next packet lies in the next interval.
        slot.observe(&trade(at(5, 10), 100, 1_200));
        slot.observe(&trade(at(5, 20), 100, 1_300));
        slot.close_interval();
        assert_eq!(slot.last_told(), [(0, 200, true), (5, 100, false)]);
        assert_eq!((slot.tell_day().volume, slot.book.volume_regressions), (1_300, 1));
        // Within one interval.
        let mut slot = OneSlot::new();
        for volume in [1_000, 1_100, 400, 1_200] {
            slot.observe(&trade(at(1, volume / 100), 100, volume));
        }
        slot.close_interval();
        assert_eq!(slot.last_told(), [(0, 200, true)], "the last value less the first");
    }

    #[test]
    fn what_an_outage_traded_has_no_place() {
        let mut slot = OneSlot::new();
        slot.observe(&trade(at(1, 0), 100, 1_000));
        slot.observe(&trade(at(2, 0), 100, 1_100));
        // Back an hour later, with a new subscription.
        let after = |minute, volume| Trade { epoch: 2, ..trade(at(minute, 0), 90, volume) };
        for _ in 0..12 {
            slot.close_interval();
        }
        slot.observe(&after(61, 5_000));
        slot.observe(&after(62, 5_050));
        slot.close_interval();
        assert_eq!(slot.last_told(), [(0, 100, false), (60, 50, true)]);
        assert_eq!(slot.tell_day().volume, 5_050, "the day has the whole");
        // A break within one interval loses the place of nothing.
        let mut slot = OneSlot::new();
        slot.observe(&trade(at(1, 0), 100, 1_000));
        slot.observe(&after(2, 1_300));
        slot.close_interval();
        assert_eq!(slot.last_told(), [(0, 300, false)]);
    }

    #[test]
    fn a_price_for_a_closed_interval_is_restated_with_the_next_revision() {
        let mut slot = OneSlot::new();
        slot.observe(&trade(at(1, 0), 100, 10));
        slot.close_interval();
        slot.observe(&trade(at(4, 59), 120, 30));
        let [first, second] = slot.told[..] else { panic!("two candles, not {:?}", slot.told) };
        assert_eq!((first.revision, first.close, first.volume), (0, rupees(100), 0));
        assert_eq!((second.revision, second.close, second.volume), (1, rupees(120), 20));
        slot.observe_late(&trade(at(2, 0), 80, 20));
        assert_eq!(
            (slot.told[2].revision, slot.told[2].low, slot.told[2].close),
            (2, rupees(80), rupees(120))
        );
    }

    #[test]
    fn a_first_price_of_a_closed_interval_makes_its_candle() {
        let mut slot = OneSlot::new();
        slot.close_interval();
        assert!(slot.told.is_empty());
        slot.observe(&trade(at(4, 0), 100, 10));
        assert_eq!(slot.told.len(), 1);
    }

    #[test]
    fn a_candle_with_a_hole_says_so() {
        let mut slot = OneSlot::new();
        slot.day.1 = Some((at(3, 0), at(6, 0)));
        slot.observe(&trade(at(1, 0), 100, 10));
        slot.observe(&trade(at(7, 0), 100, 20));
        (0..2).for_each(|_| slot.close_interval());
        slot.observe(&trade(at(11, 0), 100, 20));
        slot.close_interval();
        assert_eq!(slot.last_told(), [(0, 0, true), (5, 10, true), (10, 0, false)]);
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
        let other = Trade { provider: Provider::AngelOne, epoch: 2, ..trade(at(0, 2), 100, 900) };
        slot.observe(&other);
        slot.observe(&Trade { volume: Some(950), ..other });
        slot.close_interval();
        assert_eq!((slot.told[0].volume, slot.told[0].resolve_required), (50, true));
    }
}
