//! The five-minute and daily candles of all slots.

use super::{
    Seen, Trade,
    forming::{Forming, Ohlc},
    outlier::{Course, Priced},
};
use crate::{
    engine::{counted::Counted, intervals::Intervals, rows::Rows},
    market::{Candle, CandleInterval, InstrumentId, Price, Provider, Timestamp, UnresolvedCandle},
};

const INTERVAL: CandleInterval = CandleInterval::FiveMinutes;
const INTERVAL_US: i64 = 300_000_000;
const NONE: u16 = u16::MAX;
const PENDING: u16 = u16::MAX;
/// The interval that forms lacks something or was corrected.
const TOUCHED: u8 = 1;
/// A smaller volume took back what was counted; a later one may contain it again.
const TAKEN_BACK: u8 = 2;
/// The interval that forms has an outlier that was counted.
const OUTLIER: u8 = 4;

/// What every observation of a slot touches; it lies beside the slot's observation.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct SlotCandles {
    ohlc: Ohlc,
    /// Latest cumulative volume; at the open it is 0.
    volume_seen: i64,
    /// Number of the interval that forms; `NONE` before the first price.
    interval: u16,
    /// How often it was emitted.
    told: u16,
    /// Which sent the last price.
    provider: Option<Provider>,
    /// Of [`TOUCHED`], [`TAKEN_BACK`] and [`OUTLIER`].
    flags: u8,
    /// Candles of intervals before this one lack something, also if they begin later; `PENDING`: until the day's end.
    touched_until: u16,
}

impl Default for SlotCandles {
    fn default() -> SlotCandles {
        SlotCandles {
            ohlc: Ohlc { open_e4: 0, high_e4: 0, low_e4: 0, close_e4: 0, volume: 0 },
            volume_seen: 0,
            interval: NONE,
            told: 0,
            provider: None,
            flags: 0,
            touched_until: 0,
        }
    }
}

impl SlotCandles {
    /// Which sent the last price.
    pub fn provider(&self) -> Option<Provider> {
        self.provider
    }

    #[inline]
    fn is_touched(&self) -> bool {
        self.flags & TOUCHED != 0
    }

    /// Units traded since the observation before; below zero where that one's volume was too large.
    #[inline]
    fn take_volume(&mut self, volume: Option<i64>) -> i64 {
        let Some(volume) = volume else { return 0 };
        let traded = volume - self.volume_seen;
        self.volume_seen = volume;
        traded
    }

    fn unresolved(&self, instrument: InstrumentId, book: &Intervals) -> Option<UnresolvedCandle> {
        let start = book.start_of(usize::from(self.interval));
        (self.told > 0).then_some(UnresolvedCandle { instrument, interval: INTERVAL, start })
    }
}

/// What is touched once an interval, or when something is not as usual.
#[derive(Clone, Copy, Debug)]
struct SettledCandles {
    priced: Priced,
    course: Course,
    /// The interval before the one that forms: a late price may still change it.
    previous: Option<Forming>,
    /// Volume without a place that was traded right before the previous interval's, and between that and the one that forms.
    gap_before_previous: i64,
    gap: i64,
    /// What a smaller volume took back last. A volume that contains it again shows that the smaller one was wrong.
    taken_back: i64,
    /// The interval from which all of it was taken; `NONE` where it was several.
    taken_from: u16,
    /// All intervals before the one that forms, and how often the whole day was emitted.
    day: Option<Forming>,
    day_told: u16,
    /// Volume was taken back, or a price came too late for its candle.
    is_day_touched: bool,
}

impl SettledCandles {
    fn new(priced: Priced) -> SettledCandles {
        SettledCandles {
            priced,
            course: Course::default(),
            previous: None,
            gap_before_previous: 0,
            gap: 0,
            taken_back: 0,
            taken_from: 0,
            day: None,
            day_told: 0,
            is_day_touched: false,
        }
    }
}

/// What a book must know of the day that a slot's candles are of.
pub trait CandleDay {
    /// Whether candles of this interval were emitted already.
    fn is_closed(&self, interval: usize) -> bool;

    /// Whether a part of the time between was not observed.
    fn has_hole(&self, from: Timestamp, until: Timestamp) -> bool;
}

/// A cumulative volume and the later, smaller one of the same provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContradictedVolume {
    pub instrument: InstrumentId,
    pub volume: i64,
    pub later: i64,
    /// Of the later one.
    pub event_time: Timestamp,
}

/// A price far from those before and after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PriceOutlier {
    pub instrument: InstrumentId,
    pub price: Price,
    /// Of the candles that have such prices: the first one's start, and the last one's end.
    pub start: Timestamp,
    pub end: Timestamp,
    /// Last price of them.
    pub close: Price,
}

/// See the module's head. The slots' own candles are passed in with each call.
#[derive(Debug)]
pub struct CandleBook {
    settled: Vec<SettledCandles>,
    intervals: Intervals,
    /// In the order of [`Provider::ALL`].
    contradicted: [Counted<ContradictedVolume>; Provider::ALL.len()],
    /// The same.
    outliers: [Counted<PriceOutlier>; Provider::ALL.len()],
}

fn intervals(open: Timestamp) -> Intervals {
    Intervals::new(open.floor_to_minutes(INTERVAL.minutes()), INTERVAL_US)
}

impl CandleBook {
    /// `open` is the session's open.
    pub fn new(open: Timestamp) -> CandleBook {
        CandleBook {
            settled: Vec::new(),
            intervals: intervals(open),
            contradicted: [Counted::default(); Provider::ALL.len()],
            outliers: [Counted::default(); Provider::ALL.len()],
        }
    }

    /// Another open, before both.
    pub fn set_open(&mut self, open: Timestamp) {
        self.intervals = intervals(open);
    }

    pub fn add_slot(&mut self, priced: Priced) {
        self.settled.push(SettledCandles::new(priced));
    }

    /// The day's cumulative volumes of a provider that its own later ones contradicted.
    pub fn contradicted_volumes(&self, provider: Provider) -> Counted<ContradictedVolume> {
        self.contradicted[provider.index()]
    }

    /// The day's prices of a provider that are outliers, one a candle.
    pub fn price_outliers(&self, provider: Provider) -> Counted<PriceOutlier> {
        self.outliers[provider.index()]
    }

    /// Start of an interval; that of the next one is its end.
    pub fn start_of(&self, interval: usize) -> Timestamp {
        self.intervals.start_of(interval)
    }

    /// The number of the interval an instant lies in.
    pub fn interval_of(&self, instant: Timestamp) -> usize {
        self.intervals.index_of(instant)
    }

    /// Takes an observation that is not older than the slot's latest one.
    #[inline]
    pub fn observe(
        &mut self,
        slot: usize,
        candles: &mut SlotCandles,
        instrument: InstrumentId,
        trade: &Trade,
        day: &impl CandleDay,
        rows: &mut Rows,
    ) {
        let interval = self.intervals.find(trade.event_time);
        let is_forming = usize::from(candles.interval) == interval;
        let Some(price) = trade.price_of_today() else {
            return self.observe_unpriced(slot, candles, instrument, trade, day, rows);
        };
        if !is_forming {
            self.begin(slot, candles, instrument, (interval, price), rows);
        }
        let mut traded = candles.take_volume(trade.volume);
        if traded < 0 || trade.seen != Seen::All || candles.flags & TAKEN_BACK != 0 {
            traded = self.place(slot, candles, instrument, trade, traded, day, rows);
        }
        candles.ohlc.take(price, traded);
        candles.provider = Some(trade.provider);
        if candles.told > 0 || !is_forming && day.is_closed(interval) {
            rows.candles.extend(self.tell(candles, instrument, day));
        }
    }

    /// Puts what forms behind: the next interval begins with its first price.
    #[inline(never)]
    fn begin(
        &mut self,
        slot: usize,
        candles: &mut SlotCandles,
        instrument: InstrumentId,
        (interval, price): (usize, Price),
        rows: &mut Rows,
    ) {
        self.look_for_outlier(slot, candles, instrument, Some(price), rows);
        if let Some(forming) = self.forming(candles) {
            let settled = &mut self.settled[slot];
            settled.previous = Some(forming);
            (settled.gap_before_previous, settled.gap) = (settled.gap, 0);
            settled.day = Some(append(settled.day, forming));
        }
        candles.ohlc = Ohlc::begin(price, 0);
        (candles.interval, candles.told) = (interval as u16, 0);
        candles.flags = candles.flags & !(TOUCHED | OUTLIER)
            | if candles.interval < candles.touched_until { TOUCHED } else { 0 };
    }

    /// Marks what forms, and what was before it, if a price is an outlier. `next`: the first price after it, where that is known.
    fn look_for_outlier(
        &mut self,
        slot: usize,
        candles: &mut SlotCandles,
        instrument: InstrumentId,
        next: Option<Price>,
        rows: &mut Rows,
    ) {
        let settled = &mut self.settled[slot];
        let Some(provider) = candles.provider.filter(|_| candles.flags & OUTLIER == 0) else { return };
        let (interval, next) = (candles.interval, next.map(Price::as_e4));
        let Some(found) = settled.course.find(settled.priced, &candles.ohlc, interval, next) else { return };
        let start = self.intervals.start_of(usize::from(found.from));
        settled.is_day_touched = true;
        if found.from < interval
            && let Some(previous) = &mut settled.previous
        {
            // Of those before the previous one no more than the rows is left.
            let before = self.intervals.index_of(previous.start);
            rows.unresolved.extend((usize::from(found.from)..before).map(|interval| UnresolvedCandle {
                instrument,
                interval: INTERVAL,
                start: self.intervals.start_of(interval),
            }));
            if previous.start >= start {
                rows.unresolved.extend(previous.touch(instrument, INTERVAL));
            }
        }
        if !candles.is_touched() {
            rows.unresolved.extend(candles.unresolved(instrument, &self.intervals));
        }
        candles.flags |= TOUCHED | OUTLIER;
        self.outliers[provider.index()].add(PriceOutlier {
            instrument,
            price: Price::from_e4(found.price_e4),
            start,
            end: self.intervals.start_of(usize::from(interval) + 1),
            close: Price::from_e4(candles.ohlc.close_e4),
        });
    }

    /// Whether the last price of a day is far from those before it, so that nothing shows it to be right.
    pub fn is_astray(&self, slot: usize, candles: &SlotCandles) -> bool {
        let SettledCandles { course, priced, .. } = &self.settled[slot];
        candles.flags & OUTLIER == 0 && course.is_astray(*priced, candles.ohlc.close_e4)
    }

    /// Counts the last price of a day as an outlier: it is far from those before it, and was not confirmed.
    pub fn note_astray(&mut self, candles: &SlotCandles, instrument: InstrumentId) {
        let Some(provider) = candles.provider else { return };
        let (interval, price) = (usize::from(candles.interval), Price::from_e4(candles.ohlc.close_e4));
        let (start, end) = (self.intervals.start_of(interval), self.intervals.start_of(interval + 1));
        self.outliers[provider.index()].add(PriceOutlier { instrument, price, start, end, close: price });
    }

    /// Volume without a price makes no candle.
    #[cold]
    fn observe_unpriced(
        &mut self,
        slot: usize,
        candles: &mut SlotCandles,
        instrument: InstrumentId,
        trade: &Trade,
        day: &impl CandleDay,
        rows: &mut Rows,
    ) {
        let traded = candles.take_volume(trade.volume);
        let placed = self.place(slot, candles, instrument, trade, traded, day, rows);
        let interval = self.intervals.index_of(trade.event_time);
        if placed > 0 && usize::from(candles.interval) == interval {
            candles.ohlc.volume += placed;
        } else if placed > 0 {
            self.settled[slot].gap += placed;
            self.touch(slot, candles, instrument, (interval, interval), rows);
        }
        if candles.told > 0 && traded != 0 {
            rows.candles.extend(self.tell(candles, instrument, day));
        }
    }

    /// How much of what was traded since the observation before belongs to the interval of this one, where not everything in
    /// between was seen, or the observation before is contradicted.
    #[cold]
    #[inline(never)]
    #[expect(clippy::too_many_arguments, reason = "a slot's parts lie in different places")]
    fn place(
        &mut self,
        slot: usize,
        candles: &mut SlotCandles,
        instrument: InstrumentId,
        trade: &Trade,
        mut traded: i64,
        day: &impl CandleDay,
        rows: &mut Rows,
    ) -> i64 {
        let interval = self.intervals.index_of(trade.event_time);
        let is_of_two = candles.provider.is_some_and(|provider| provider != trade.provider);
        if is_of_two && usize::from(candles.interval) == interval && candles.ohlc.volume > 0 {
            self.touch(slot, candles, instrument, (interval, interval), rows);
        }
        let is_unsaid = trade.volume.is_none();
        let broken_since = trade.seen.broken_since().filter(|_| traded != 0 || is_unsaid);
        if let Some(since) = broken_since {
            let first = self.intervals.index_of(since);
            self.touch(slot, candles, instrument, (first, interval), rows);
            if is_unsaid && candles.volume_seen > 0 {
                // A later volume will contain what was traded meanwhile.
                candles.touched_until = PENDING;
            }
        }
        if traded < 0 {
            if candles.provider == Some(trade.provider) {
                let (later, event_time) = (candles.volume_seen, trade.event_time);
                let volume = later - traded;
                let contradicted = ContradictedVolume { instrument, volume, later, event_time };
                self.contradicted[trade.provider.index()].add(contradicted);
            }
            self.take_back(slot, candles, instrument, -traded, day, rows);
            return 0;
        }
        let settled = &mut self.settled[slot];
        let is_returned = candles.flags & TAKEN_BACK != 0 && traded >= settled.taken_back;
        if is_returned {
            candles.flags &= !TAKEN_BACK;
        }
        if is_returned && usize::from(settled.taken_from) != interval {
            // It was traded before, and from where it was taken is not known any more.
            settled.gap += settled.taken_back;
            traded -= settled.taken_back;
            self.touch(slot, candles, instrument, (interval, interval), rows);
        }
        let settled = &mut self.settled[slot];
        if matches!(trade.seen, Seen::Nothing(since) if since < self.intervals.start_of(interval)) {
            settled.gap += traded;
            return 0;
        }
        traded
    }

    /// Candles of these intervals lack something, those that do not exist yet included.
    fn touch(
        &mut self,
        slot: usize,
        candles: &mut SlotCandles,
        instrument: InstrumentId,
        (first, last): (usize, usize),
        rows: &mut Rows,
    ) {
        candles.touched_until = candles.touched_until.max(last as u16 + 1);
        let start = self.intervals.start_of(first);
        // What is settled lies in memory that is rarely touched, and before what forms.
        if candles.interval != NONE
            && first < usize::from(candles.interval)
            && let Some(previous) = &mut self.settled[slot].previous
            && previous.start >= start
        {
            rows.unresolved.extend(previous.touch(instrument, INTERVAL));
        }
        let is_forming = candles.interval != NONE && usize::from(candles.interval) >= first;
        if is_forming && !candles.is_touched() {
            candles.flags |= TOUCHED;
            rows.unresolved.extend(candles.unresolved(instrument, &self.intervals));
        }
    }

    /// The cumulative volume before was too large by so many units: those that were counted last are taken back.
    fn take_back(
        &mut self,
        slot: usize,
        candles: &mut SlotCandles,
        instrument: InstrumentId,
        units: i64,
        day: &impl CandleDay,
        rows: &mut Rows,
    ) {
        let mut left = units;
        let mut take = |from: &mut i64| {
            let taken = left.min(*from);
            *from -= taken;
            left -= taken;
            taken
        };
        candles.flags |= TOUCHED | TAKEN_BACK;
        let here = take(&mut candles.ohlc.volume);
        let settled = &mut self.settled[slot];
        settled.is_day_touched = true;
        settled.taken_back = units;
        settled.taken_from = if here == units { candles.interval } else { NONE };
        take(&mut settled.gap);
        if let Some(previous) = &mut settled.previous {
            if take(&mut previous.ohlc.volume) > 0 {
                previous.is_touched = true;
                if previous.told > 0 {
                    rows.candles.push(tell_settled(previous, instrument, day));
                }
            }
            take(&mut settled.gap_before_previous);
            if left > 0 {
                // The count has begun anew: all of the day before contradicts it.
                let before = self.intervals.index_of(previous.start);
                let starts = (0..before).filter(|interval| day.is_closed(*interval));
                rows.unresolved.extend(starts.map(|interval| UnresolvedCandle {
                    instrument,
                    interval: INTERVAL,
                    start: self.intervals.start_of(interval),
                }));
            }
        }
    }

    fn forming(&self, candles: &SlotCandles) -> Option<Forming> {
        Some(Forming {
            start: self.intervals.start_of(usize::from(candles.interval)),
            ohlc: candles.ohlc,
            provider: candles.provider?,
            told: candles.told,
            is_touched: candles.is_touched(),
        })
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

    /// Takes an observation that is older than the slot's latest one: its price can widen its interval, its volume shows how
    /// much of the next one's was traded before.
    pub fn observe_late(
        &mut self,
        slot: usize,
        candles: &mut SlotCandles,
        instrument: InstrumentId,
        trade: &Trade,
        day: &impl CandleDay,
        rows: &mut Rows,
    ) {
        let Some(price) = trade.price_of_today() else { return };
        let interval = self.intervals.index_of(trade.event_time);
        if candles.provider.is_none() || usize::from(candles.interval) < interval {
            return;
        }
        if usize::from(candles.interval) == interval {
            let before = candles.ohlc;
            candles.ohlc.widen(price);
            if candles.ohlc != before && candles.told > 0 {
                rows.candles.extend(self.tell(candles, instrument, day));
            }
            return;
        }
        let start = self.intervals.start_of(interval);
        let settled = &mut self.settled[slot];
        if let Some(whole) = &mut settled.day {
            whole.ohlc.widen(price);
        }
        if settled.previous.is_some_and(|previous| previous.start > start) {
            // Its candle is not kept any more.
            settled.is_day_touched = true;
            if day.is_closed(interval) {
                rows.unresolved.push(UnresolvedCandle { instrument, interval: INTERVAL, start });
            }
            let gap = settled.gap_before_previous;
            let kept = settled.previous.map_or(0, |previous| previous.ohlc.volume) + settled.gap + gap;
            if trade.volume.is_some_and(|volume| volume > candles.volume_seen - candles.ohlc.volume - kept) {
                let last = usize::from(candles.interval);
                self.touch(slot, candles, instrument, (interval, last), rows);
            }
            return;
        }
        let is_new = settled.previous.is_none_or(|previous| previous.start < start);
        if is_new {
            // Its first price of all is late.
            let begun = Forming { is_touched: true, ..Forming::begin(start, price, 0, trade.provider) };
            (settled.previous, settled.gap_before_previous) = (Some(begun), 0);
            settled.day = Some(settled.day.map_or(begun, |whole| Forming { is_touched: true, ..whole }));
        }
        let Some(previous) = &mut settled.previous else { return };
        let before = previous.ohlc;
        previous.ohlc.widen(price);
        let known = candles.volume_seen - candles.ohlc.volume - settled.gap;
        let more = trade.volume.map_or(0, |volume| volume.min(candles.volume_seen) - known).max(0);
        let from_gap = more.min(settled.gap);
        previous.ohlc.volume += more;
        settled.gap -= from_gap;
        candles.ohlc.volume -= more - from_gap;
        if previous.told > 0 && previous.ohlc != before || is_new && day.is_closed(interval) {
            rows.candles.push(tell_settled(previous, instrument, day));
        }
        if more > from_gap && candles.told > 0 {
            rows.candles.extend(self.tell(candles, instrument, day));
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
        rows: &mut Rows,
    ) {
        if usize::from(candles.interval) == interval {
            self.look_for_outlier(slot, candles, instrument, None, rows);
            rows.candles.extend(self.tell(candles, instrument, day));
        } else if let Some(previous) = &mut self.settled[slot].previous
            && previous.start == self.intervals.start_of(interval)
        {
            rows.candles.push(tell_settled(previous, instrument, day));
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
        let forming = self.forming(candles)?;
        let settled = &mut self.settled[slot];
        let mut day = append(settled.day, forming);
        day.start = open;
        day.ohlc.volume = candles.volume_seen.max(0);
        day.told = settled.day_told;
        let told = day.tell(
            instrument,
            CandleInterval::Day,
            has_hole || settled.is_day_touched || candles.touched_until > 0,
        );
        settled.day_told = day.told;
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
