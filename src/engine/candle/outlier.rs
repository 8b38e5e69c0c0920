//! Prices from which the market came back: far from all that was traded before and after them.
//!
//! Example: one packet shows the index' level in the place of an option's price. No look at the latest values falls between it
//! and the next packet.
//!
//! Such a price may have been traded. Its candle keeps it and has `resolve_required`.
//!
//! Owns the course of an instrument's prices: the last price that was not astray. A candle whose last price is far from it is
//! astray until one comes back, or for [`ASTRAY_MAX`] candles: then the market has moved.

use super::forming::Ohlc;

/// So many times the others, or so small a part of them, is an option's outlier.
const OPTION_FACTOR: i64 = 5;
/// Options of a few rupees multiply with a single trade.
const OPTION_E4_MIN: i64 = 200_000;
/// A level's outlier is further from the others than this part.
const LEVEL_PART: i64 = 20;
/// So many candles after the first one that is astray a price has come to stay.
const ASTRAY_MAX: u16 = 2;

/// In place of an interval.
const NONE: u16 = u16::MAX;

/// Whose prices a candle is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Priced {
    Option,
    Level,
}

impl Priced {
    fn is_far_above(self, price_e4: i64, other_e4: i64) -> bool {
        let above_e4 = price_e4.saturating_sub(other_e4);
        match self {
            Priced::Option => above_e4 >= OPTION_E4_MIN && price_e4 > other_e4.saturating_mul(OPTION_FACTOR),
            Priced::Level => above_e4 > other_e4 / LEVEL_PART,
        }
    }

    fn are_far(self, a_e4: i64, b_e4: i64) -> bool {
        self.is_far_above(a_e4, b_e4) || self.is_far_above(b_e4, a_e4)
    }
}

/// See the module's head.
#[derive(Clone, Copy, Debug)]
pub(super) struct Course {
    /// The last price that was not astray; 0 before the first.
    last_e4: i64,
    /// The first interval that is astray.
    astray_from: u16,
}

impl Default for Course {
    fn default() -> Course {
        Course { last_e4: 0, astray_from: NONE }
    }
}

/// An outlier that ends with a candle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub price_e4: i64,
    /// The first interval that has it.
    pub from: u16,
}

impl Course {
    /// Takes a candle that is over, and finds an outlier in it and in those before. `next`: the first price after it; without it
    /// the candle may be given again.
    pub fn find(&mut self, priced: Priced, ohlc: &Ohlc, interval: u16, next: Option<i64>) -> Option<Found> {
        let known = Some(self.last_e4).filter(|price_e4| *price_e4 > 0);
        let extreme = find_extreme(priced, ohlc, known, next);
        if known.is_none() && next.is_some() {
            // The day's first price stands unless it is an outlier itself.
            let is_own = extreme == Some(ohlc.open_e4);
            self.last_e4 = if is_own { ohlc.close_e4 } else { ohlc.open_e4 };
        }
        if self.last_e4 == 0 {
            return extreme.map(|price_e4| Found { price_e4, from: interval });
        }
        let came_back = self.astray_from < interval && !self.is_astray(priced, ohlc.close_e4);
        let from = if came_back { self.astray_from } else { interval };
        let found = extreme.map(|price_e4| Found { price_e4, from });
        let found = found.or(came_back.then_some(Found { price_e4: ohlc.open_e4, from }));
        if !self.is_astray(priced, ohlc.close_e4) {
            (self.last_e4, self.astray_from) = (ohlc.close_e4, NONE);
        } else if next.is_some_and(|next_e4| !self.is_astray(priced, next_e4)) {
            self.astray_from = NONE;
        } else if self.astray_from == NONE {
            self.astray_from = interval;
        } else if interval.saturating_sub(self.astray_from) > ASTRAY_MAX {
            (self.last_e4, self.astray_from) = (ohlc.close_e4, NONE);
        }
        found
    }

    /// Whether a price is far from the last one that was not.
    pub fn is_astray(&self, priced: Priced, price_e4: i64) -> bool {
        self.last_e4 > 0 && priced.are_far(self.last_e4, price_e4)
    }
}

/// The price of a candle that is an outlier. One that nothing was traded after is none; the day's first price is one if the
/// market has left it at once.
fn find_extreme(priced: Priced, ohlc: &Ohlc, before: Option<i64>, after: Option<i64>) -> Option<i64> {
    let Ohlc { open_e4, high_e4, low_e4, close_e4, .. } = *ohlc;
    let is_found = |extreme_e4: i64, is_far: &dyn Fn(i64) -> bool| {
        let is_other = |price_e4: &i64| *price_e4 != extreme_e4;
        let earlier = [before, Some(open_e4).filter(is_other)];
        // What came back within the candle has done so, whatever the next one opens with: that may be an outlier again.
        let later = Some(close_e4).filter(is_other).or(after);
        let is_first = before.is_none() && after.is_some() && open_e4 == extreme_e4 && close_e4 != extreme_e4;
        let has_earlier = is_first || earlier.iter().any(Option::is_some);
        has_earlier && later.is_some_and(is_far) && earlier.into_iter().flatten().all(is_far)
    };
    if is_found(high_e4, &|other_e4| priced.is_far_above(high_e4, other_e4)) {
        return Some(high_e4);
    }
    is_found(low_e4, &|other_e4| priced.is_far_above(other_e4, low_e4)).then_some(low_e4)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candle(rupees: [i64; 4]) -> Ohlc {
        let [open_e4, high_e4, low_e4, close_e4] = rupees.map(|rupees| rupees * 10_000);
        Ohlc { open_e4, high_e4, low_e4, close_e4, volume: 0 }
    }

    fn found(priced: Priced, rupees: [i64; 4], before: Option<i64>, after: Option<i64>) -> Option<i64> {
        let e4 = |rupees: Option<i64>| rupees.map(|rupees| rupees * 10_000);
        find_extreme(priced, &candle(rupees), e4(before), e4(after)).map(|price_e4| price_e4 / 10_000)
    }

    #[test]
    fn a_price_far_from_those_before_and_after_is_found_wherever_it_lies() {
        let option = |rupees, before, after| found(Priced::Option, rupees, before, after);
        assert_eq!(option([100, 25_000, 90, 110], None, None), Some(25_000), "within");
        assert_eq!(option([100, 120, 1, 110], None, None), Some(1));
        assert_eq!(option([25_000, 25_000, 90, 110], Some(100), None), Some(25_000), "as the first");
        assert_eq!(
            option([25_000, 25_000, 90, 110], None, Some(110)),
            Some(25_000),
            "as the first of the day"
        );
        assert_eq!(option([100, 25_000, 90, 25_000], None, Some(110)), Some(25_000), "as the last");
        assert_eq!(
            option([100, 25_000, 90, 110], None, Some(25_000)),
            Some(25_000),
            "and the next opens with it"
        );
        assert_eq!(option([900, 900, 900, 900], Some(100), Some(100)), Some(900), "as the only one");
        assert_eq!(found(Priced::Level, [25_000, 25_010, 250, 25_005], None, None), Some(250));
        assert_eq!(found(Priced::Level, [25_000, 26_300, 24_990, 25_005], None, None), Some(26_300));
    }

    #[test]
    fn a_market_that_moves_has_none() {
        let option = |rupees, before, after| found(Priced::Option, rupees, before, after);
        assert_eq!(option([100, 900, 100, 900], Some(100), Some(850)), None, "it stays there");
        assert_eq!(option([100, 900, 100, 900], Some(100), None), None, "it may stay there");
        assert_eq!(option([900, 900, 100, 110], None, None), None, "nothing was before, nor after it");
        assert_eq!(option([100, 450, 90, 110], Some(100), Some(110)), None);
        assert_eq!(option([2, 15, 1, 2], Some(2), Some(2)), None, "a few rupees");
        assert_eq!(found(Priced::Level, [25_000, 25_900, 24_200, 25_005], Some(25_000), None), None);
    }

    /// What is found with each candle, its price in rupees: each is followed by the next one's open.
    fn course(priced: Priced, candles: &[[i64; 4]]) -> Vec<Option<(i64, u16)>> {
        let mut course = Course::default();
        let next = candles.iter().skip(1).map(|[open, ..]| Some(open * 10_000)).chain([None]);
        let all = (0..).zip(candles).zip(next);
        all.map(|((interval, rupees), next)| {
            let found = course.find(priced, &candle(*rupees), interval, next)?;
            Some((found.price_e4 / 10_000, found.from))
        })
        .collect()
    }

    #[test]
    fn an_outlier_over_the_end_of_a_candle_is_one_of_both() {
        let usual = [26_000, 26_005, 25_995, 26_001];
        let [into, out] = [[26_000, 27_500, 25_990, 27_500], [27_500, 27_500, 25_990, 26_002]];
        assert_eq!(course(Priced::Level, &[usual, into, out, usual]), [None, None, Some((27_500, 1)), None]);
        let [into, out] = [[117, 2_500, 110, 2_500], [2_500, 2_500, 110, 118]];
        let option = [117, 120, 110, 116];
        assert_eq!(course(Priced::Option, &[option, into, out]), [None, None, Some((2_500, 1))]);
        // A whole candle of it.
        let all = course(Priced::Option, &[option, into, [2_500; 4], out, option]);
        assert_eq!(all, [None, None, None, Some((2_500, 1)), None]);
    }

    #[test]
    fn a_price_that_stays_is_the_new_one() {
        let moved = [900, 950, 890, 910];
        let all =
            course(Priced::Option, &[[100; 4], [100, 900, 100, 900], moved, moved, moved, moved, [100; 4]]);
        assert!(all.iter().all(Option::is_none), "{all:?}");
        let mut course = Course::default();
        for interval in 0..3 {
            course.find(Priced::Level, &candle([26_000; 4]), interval, Some(260_000_000));
        }
        assert!(course.is_astray(Priced::Level, 275_000_000), "the last price of a day");
        assert!(!course.is_astray(Priced::Level, 265_000_000));
    }
}
