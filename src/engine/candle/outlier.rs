//! A price of a candle from which the market came back at once: far from all that was traded before and after it.
//!
//! Example: one packet shows the index' level in the place of an option's price. No look at the latest values falls between it
//! and the next packet.
//!
//! Such a price may have been traded. Its candle keeps it and has `resolve_required`.

use super::forming::Ohlc;

/// So many times the others, or so small a part of them, is an option's outlier.
const OPTION_FACTOR: i64 = 5;
/// Options of a few rupees multiply with a single trade.
const OPTION_E4_MIN: i64 = 200_000;
/// A level's outlier is further from the others than this part.
const LEVEL_PART: i64 = 20;

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
}

/// The price that is an outlier, in e4. `before` and `after`: the prices next to the candle, where they are known. One that
/// nothing was traded before, or after, is none.
pub(super) fn find(priced: Priced, ohlc: &Ohlc, before: Option<i64>, after: Option<i64>) -> Option<i64> {
    let Ohlc { open_e4, high_e4, low_e4, close_e4, .. } = *ohlc;
    let is_found = |extreme_e4: i64, is_far: &dyn Fn(i64) -> bool| {
        let is_other = |price_e4: &i64| *price_e4 != extreme_e4;
        let is_apart = |near: [Option<i64>; 2]| {
            near.iter().any(Option::is_some) && near.into_iter().flatten().all(is_far)
        };
        let earlier = [before, Some(open_e4).filter(is_other)];
        let later = [Some(close_e4).filter(is_other), after];
        is_apart(earlier) && is_apart(later)
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
        find(priced, &candle(rupees), e4(before), e4(after)).map(|price_e4| price_e4 / 10_000)
    }

    #[test]
    fn a_price_far_from_those_before_and_after_is_found_wherever_it_lies() {
        let option = |rupees, before, after| found(Priced::Option, rupees, before, after);
        assert_eq!(option([100, 25_000, 90, 110], None, None), Some(25_000), "within");
        assert_eq!(option([100, 120, 1, 110], None, None), Some(1));
        assert_eq!(option([25_000, 25_000, 90, 110], Some(100), None), Some(25_000), "as the first");
        assert_eq!(option([100, 25_000, 90, 25_000], None, Some(110)), Some(25_000), "as the last");
        assert_eq!(option([900, 900, 900, 900], Some(100), Some(100)), Some(900), "as the only one");
        assert_eq!(found(Priced::Level, [25_000, 25_010, 250, 25_005], None, None), Some(250));
        assert_eq!(found(Priced::Level, [25_000, 26_300, 24_990, 25_005], None, None), Some(26_300));
    }

    #[test]
    fn a_market_that_moves_has_none() {
        let option = |rupees, before, after| found(Priced::Option, rupees, before, after);
        assert_eq!(option([100, 900, 100, 900], Some(100), Some(850)), None, "it stays there");
        assert_eq!(option([100, 900, 100, 900], Some(100), None), None, "it may stay there");
        assert_eq!(option([900, 900, 100, 110], None, Some(100)), None, "nothing was before it");
        assert_eq!(option([100, 450, 90, 110], Some(100), Some(110)), None);
        assert_eq!(option([2, 15, 1, 2], Some(2), Some(2)), None, "a few rupees");
        assert_eq!(found(Priced::Level, [25_000, 25_900, 24_200, 25_005], Some(25_000), None), None);
    }
}
