//! A broker's own candles of one underlying, in place of those made of the prices seen.
//!
//! Example: of the minutes of an outage nothing was seen; the broker's candles, asked for after each bucket, fill them.
//!
//! A candle of the broker's contains what was seen, and may know a little more: between two packets of a second the level
//! moved. One that is far from what was seen is refused, and what it contradicts is marked.
//!
//! Owns [`HistoryFit`]: whether the broker's candles are those of their own intervals. A broker that stamps them by their ends
//! would fill each outage with the prices of three minutes before, which no bound on prices shows. So candles of intervals that
//! were seen whole are held against what was seen of them and of their neighbours.

use super::{
    CandleDay,
    forming::{Forming, Ohlc},
    underlying::{Origin, UnderlyingCandle, UnderlyingCandles},
};
use crate::{
    engine::rows::Rows,
    market::{Bar, InstrumentId, Price, Provider, Timestamp},
};

/// A broker's own candle that the prices seen contradict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContradictedBar {
    pub instrument: InstrumentId,
    pub start: Timestamp,
    pub low: Price,
    pub high: Price,
    /// What was seen within it, or last before it.
    pub seen_low: Price,
    pub seen_high: Price,
}

/// A broker's candle is further than this part from what was seen within it.
const APART_PART: i64 = 100;
/// A price of it is, where it was not seen whole.
const FAR_PART: i64 = 20;
/// The same where it was seen whole: packets come each second.
const FAR_OF_WHOLE_PART: i64 = 200;
/// The four prices of a candle are those of another interval, which differ from it by less than a fourth of what they differ
/// from their own, and that by more than this part.
const OTHER_TIMES: i64 = 4;
const OTHER_PART: i64 = 5_000;
/// So many candles that were those of their intervals outweigh as many that were not.
const FIT_MAX: i64 = 3;

/// Whether a broker's candles are those of their intervals, by the latest that show it; below 0 they are their neighbours'.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct HistoryFit(i64);

impl HistoryFit {
    fn take(&mut self, fit: i64) {
        self.0 = (self.0 + fit).clamp(-FIT_MAX, FIT_MAX);
    }

    fn is_of_others(self) -> bool {
        self.0 < 0
    }
}

impl Ohlc {
    fn of_bar(bar: &Bar) -> Ohlc {
        Ohlc {
            open_e4: bar.open.as_e4(),
            high_e4: bar.high.as_e4(),
            low_e4: bar.low.as_e4(),
            close_e4: bar.close.as_e4(),
            volume: bar.volume,
        }
    }

    /// By how much the four prices differ from another one's.
    fn apart_e4(&self, other: &Ohlc) -> i64 {
        let prices = |of: &Ohlc| [of.open_e4, of.high_e4, of.low_e4, of.close_e4];
        prices(self).into_iter().zip(prices(other)).map(|(ours, theirs)| ours.abs_diff(theirs) as i64).sum()
    }

    /// Whether it lies beside the prices that were seen within it.
    fn is_beside(&self, (low_e4, high_e4): (i64, i64)) -> bool {
        self.low_e4 > high_e4 + high_e4 / APART_PART || self.high_e4 < low_e4 - low_e4 / APART_PART
    }

    /// Whether it has a price further than a part from those that were seen within it, or last before it.
    fn is_far(&self, (low_e4, high_e4): (i64, i64), part: i64) -> bool {
        self.high_e4 > high_e4 + high_e4 / part || self.low_e4 < low_e4 - low_e4 / part
    }
}

impl UnderlyingCandles {
    /// Takes the broker's own candles of one answer, and says which of them what was seen contradicts.
    pub fn take_history(
        &mut self,
        instrument: InstrumentId,
        bars: &[&Bar],
        provider: Provider,
        day: &impl CandleDay,
        rows: &mut Rows,
    ) -> Vec<ContradictedBar> {
        let fit = bars.iter().map(|bar| self.fit(bar, day)).sum();
        self.history[provider.index()].take(fit);
        bars.iter().filter_map(|bar| self.take_bar(instrument, bar, provider, day, rows)).collect()
    }

    /// What was seen of an interval, where that is everything.
    fn whole(&self, start: Timestamp, day: &impl CandleDay) -> Option<&Ohlc> {
        let UnderlyingCandle { forming, origin, was_whole } = self.candles.get(&start)?;
        let is_whole = *origin == Origin::Observed
            && (*was_whole || !forming.is_touched)
            && !day.has_hole(start, start.plus_seconds(Self::INTERVAL.minutes() * 60));
        is_whole.then_some(&forming.ohlc)
    }

    /// 1 if a candle is that of its interval, -1 if it is that of the one before or after, 0 where that cannot be told.
    fn fit(&self, bar: &Bar, day: &impl CandleDay) -> i64 {
        let Some(own) = self.whole(bar.start, day) else { return 0 };
        let ohlc = Ohlc::of_bar(bar);
        let length_s = Self::INTERVAL.minutes() * 60;
        let neighbours =
            [-length_s, length_s].map(|seconds| self.candles.get(&bar.start.plus_seconds(seconds)));
        let seen = neighbours.into_iter().flatten().filter(|candle| candle.origin != Origin::Repeated);
        let Some(other_e4) = seen.map(|candle| ohlc.apart_e4(&candle.forming.ohlc)).min() else { return 0 };
        let own_e4 = ohlc.apart_e4(own);
        if own_e4 * OTHER_TIMES < other_e4 {
            1
        } else if other_e4 * OTHER_TIMES < own_e4 && own_e4 > own.close_e4 / OTHER_PART {
            -1
        } else {
            0
        }
    }

    fn take_bar(
        &mut self,
        instrument: InstrumentId,
        bar: &Bar,
        provider: Provider,
        day: &impl CandleDay,
        rows: &mut Rows,
    ) -> Option<ContradictedBar> {
        let before = self.candles.get(&bar.start).copied();
        let mut ohlc = Ohlc::of_bar(bar);
        let observed = before.filter(|candle| candle.origin == Origin::Observed);
        let last =
            || self.candles.range(..bar.start).next_back().map(|(_, candle)| candle.forming.ohlc.close_e4);
        let seen = match observed {
            Some(candle) => Some((candle.forming.ohlc.low_e4, candle.forming.ohlc.high_e4)),
            None => last().map(|close_e4| (close_e4, close_e4)),
        };
        let is_whole = self.whole(bar.start, day).is_some();
        let far_part = if is_whole { FAR_OF_WHOLE_PART } else { FAR_PART };
        if let Some(seen) = seen
            && (ohlc.is_far(seen, far_part)
                || observed.is_some() && ohlc.is_beside(seen)
                || self.history[provider.index()].is_of_others())
        {
            if let Some(kept) = self.candles.get_mut(&bar.start) {
                kept.was_whole = is_whole;
                rows.unresolved.extend(kept.forming.touch(instrument, Self::INTERVAL));
            }
            let [low, high, seen_low, seen_high] =
                [ohlc.low_e4, ohlc.high_e4, seen.0, seen.1].map(Price::from_e4);
            return Some(ContradictedBar { instrument, start: bar.start, low, high, seen_low, seen_high });
        }
        // What was seen and is not to be resolved was so, whatever the broker's candle leaves out.
        if let Some(observed) = observed.filter(|candle| !candle.forming.is_touched) {
            ohlc.contain(&observed.forming.ohlc);
        }
        let known = before.filter(|candle| candle.origin == Origin::History);
        if let Some(known) = known {
            // An earlier one has taken what was seen.
            ohlc.contain(&known.forming.ohlc);
            if known.forming.ohlc == ohlc {
                return None;
            }
        }
        let told = before.map_or(0, |candle| candle.forming.told);
        let forming = Forming { start: bar.start, ohlc, provider, told, is_touched: false };
        let mut candle = UnderlyingCandle::begin(forming, Origin::History);
        rows.candles.push(candle.forming.tell(instrument, Self::INTERVAL, false));
        self.candles.insert(bar.start, candle);
        None
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{Seen, Trade},
        *,
    };
    use crate::market::Candle;

    /// A day of which nothing was missed.
    struct Day;

    impl CandleDay for Day {
        fn is_closed(&self, _: usize) -> bool {
            true
        }

        fn has_hole(&self, _: Timestamp, _: Timestamp) -> bool {
            false
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

    fn bar(minute: i64, [open, high, low, close]: [i64; 4]) -> Bar {
        Bar {
            start: at(minute, 0),
            open: rupees(open),
            high: rupees(high),
            low: rupees(low),
            close: rupees(close),
            volume: 0,
        }
    }

    #[derive(Default)]
    struct Stated {
        candles: UnderlyingCandles,
        rows: Rows,
    }

    impl Stated {
        /// What was seen of the interval that begins at a minute, which closes.
        fn see(&mut self, minute: i64, prices: [i64; 3], seen: Seen) {
            for (second, price) in [1, 60, 120].into_iter().zip(prices) {
                let (event_time, last_price) = (at(minute, second), Some(rupees(price)));
                let trade =
                    Trade { event_time, last_price, volume: None, provider: Provider::AngelOne, seen };
                self.candles.observe(ID, &trade, false, at(minute, 0), &Day, &mut self.rows);
            }
            self.candles.close(ID, at(minute, 0), true, &Day, &mut self.rows);
            self.rows = Rows::default();
        }

        /// What the broker's own candles change: those that are refused, candles that are told, candles to be resolved.
        fn take(&mut self, bars: &[Bar]) -> (Vec<ContradictedBar>, Vec<Candle>, usize) {
            self.rows = Rows::default();
            let bars: Vec<&Bar> = bars.iter().collect();
            let refused = self.candles.take_history(ID, &bars, Provider::AngelOne, &Day, &mut self.rows);
            let Rows { candles, unresolved, .. } = std::mem::take(&mut self.rows);
            (refused, candles, unresolved.len())
        }
    }

    #[test]
    fn the_brokers_own_candle_replaces_the_observed_one_once() {
        let mut stated = Stated::default();
        stated.see(0, [26_000; 3], Seen::All);
        let own = bar(0, [25_999, 26_030, 25_990, 26_001]);
        let (refused, told, _) = stated.take(&[own]);
        assert_eq!((refused.len(), told[0].revision, told[0].high), (0, 1, rupees(26_030)));
        assert_eq!(stated.take(&[own]), (Vec::new(), Vec::new(), 0), "the same is not told twice");
        stated.see(0, [26_100; 3], Seen::All);
        assert_eq!(stated.take(&[own]).1, [], "history stands");
    }

    #[test]
    fn a_brokers_candle_that_the_prices_seen_contradict_is_refused() {
        let mut stated = Stated::default();
        stated.see(0, [26_000, 26_008, 26_004], Seen::All);
        let mut take = |bar: Bar| {
            let (refused, told, unresolved) = stated.take(&[bar]);
            let told = told.last().map(|candle| (candle.low, candle.high));
            (refused.first().map(|refused| (refused.low, refused.seen_high)), told, unresolved)
        };
        // Of another index, in paise, with one wild price; of an interval that was seen whole, also a nearer one, however often.
        let refused = |low: i64| Some((rupees(low), rupees(26_008)));
        assert_eq!(take(bar(0, [27_800, 27_808, 27_799, 27_803])), (refused(27_799), None, 1));
        assert_eq!(take(bar(0, [2_600_000; 4])), (refused(2_600_000), None, 0));
        for high in [28_000, 26_500, 26_500] {
            assert_eq!(take(bar(0, [26_000, high, 26_000, 26_004])), (refused(26_000), None, 0));
        }
        // In a time in which nothing was seen.
        assert_eq!(take(bar(3, [27_800; 4])).0, Some((rupees(27_800), rupees(26_004))));
        assert_eq!(take(bar(3, [26_010; 4])), (None, Some((rupees(26_010), rupees(26_010))), 0));
        // Of what was seen in part, more may have happened.
        let mut stated = Stated::default();
        stated.see(0, [26_000, 26_008, 26_004], Seen::Nothing(at(0, 0)));
        assert_eq!(stated.take(&[bar(0, [26_000, 26_500, 26_000, 26_004])]).1[0].high, rupees(26_500));
    }

    #[test]
    fn a_brokers_candle_contains_what_was_seen() {
        let mut stated = Stated::default();
        stated.see(0, [26_000, 26_008, 26_004], Seen::All);
        let flat = bar(0, [26_000; 4]);
        let wider = Bar { high: rupees(26_010), ..flat };
        for (bar, high) in [(flat, Some(26_008)), (wider, Some(26_010)), (flat, None)] {
            let (refused, told, _) = stated.take(&[bar]);
            let told = told.last().map(|candle| (candle.low, candle.high));
            assert_eq!((refused.len(), told), (0, high.map(|high| (rupees(26_000), rupees(high)))));
        }
    }

    #[test]
    fn candles_that_are_stamped_by_another_instant_than_their_start_fill_nothing() {
        let prices = |minute: i64| [0, 5, 2].map(|above| 26_000 + minute * 4 + above);
        let own = |minute: i64, shift: i64| {
            let [open, high, close] = prices(minute - shift);
            bar(minute, [open, high, open, close])
        };
        for shift in [3, -3] {
            let mut stated = Stated::default();
            for minute in [0, 3, 6] {
                stated.see(minute, prices(minute), Seen::All);
            }
            // Of 09:24 nothing was seen.
            let (refused, told, _) = stated.take(&[own(3, shift), own(6, shift), own(9, shift)]);
            assert_eq!((refused.len(), told.len()), (3, 0), "shift {shift}");
            let (refused, told, _) = stated.take(&[own(9, shift)]);
            assert_eq!((refused.len(), told.len()), (1, 0), "shift {shift}, asked again");
            // The broker stamps them rightly again.
            let (refused, told, _) = stated.take(&[own(3, 0), own(6, 0), own(9, 0)]);
            assert_eq!((refused.len(), told.len()), (0, 3), "shift {shift}, mended");
        }
        // Once they are known, one that is nearer to its neighbour is none.
        let mut stated = Stated::default();
        for minute in [0, 3, 6, 9] {
            stated.see(minute, prices(minute), Seen::All);
        }
        let (refused, ..) = stated.take(&[own(0, 0), own(3, 0), own(6, 0)]);
        assert_eq!(refused, []);
        let (refused, told, _) = stated.take(&[own(9, 3)]);
        assert_eq!((refused.len(), told.len()), (0, 1));
    }
}
