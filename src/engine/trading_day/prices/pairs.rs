//! A call and a put of one strike and expiry, held against each other.
//!
//! Their prices differ by what their underlying is worth more than the strike: C - P = S - K, but for what money costs until
//! the expiry and for dividends. So prices that are multiples of the right ones are found although no other rule does, also
//! where the book is a multiple as well.
//!
//! One pair may be far off: a last price is old, a share cannot be borrowed. Of many pairs of an index that are traded now, half
//! are not ([`Parity`]): a level that is another index'.
//!
//! Owns which contract is whose partner. A contract without one is not held to this.

use super::PriceBound;
use crate::market::{OptionType, Price};
use std::collections::BTreeMap;

/// So many hundredths of the level two prices may be off. A share that cannot be borrowed was recorded at ten.
const PART_E2: i64 = 15;
/// So many more for each year until the expiry: options of fourteen months were recorded at nine of them.
const YEAR_PART_E2: i64 = 10;
const YEAR_DAYS: i64 = 365;

/// The same of half of an index' pairs.
const MEDIAN_PART_E4: i64 = 400;
/// Fewer pairs say nothing together.
const PAIRS_MIN: usize = 5;
/// In place of a partner that is not known.
const NONE: u32 = u32::MAX;

/// See the module's head.
#[derive(Debug, Default)]
pub(super) struct Pairs {
    /// By slot.
    partners: Vec<u32>,
    /// Contracts without a partner so far, by chain, strike and type.
    alone: BTreeMap<(u32, Price, OptionType), u32>,
}

impl Pairs {
    /// Adds the next slot, and finds its partner among those of its chain.
    pub fn add_slot(&mut self, chain: u32, bound: Option<PriceBound>) {
        let slot = self.partners.len() as u32;
        self.partners.push(NONE);
        let Some(PriceBound { option_type, strike, .. }) = bound else { return };
        if let Some(partner) = self.alone.remove(&(chain, strike, other(option_type))) {
            self.partners[slot as usize] = partner;
            self.partners[partner as usize] = slot;
        } else {
            self.alone.insert((chain, strike, option_type), slot);
        }
    }

    pub fn partner(&self, slot: u32) -> Option<u32> {
        self.partners.get(slot as usize).copied().filter(|partner| *partner != NONE)
    }
}

fn other(option_type: OptionType) -> OptionType {
    match option_type {
        OptionType::Call => OptionType::Put,
        OptionType::Put => OptionType::Call,
    }
}

/// What a pair may be off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Allowed {
    /// As much as has been recorded of one pair.
    Usual,
    /// As much as half of the pairs of an index may be: more than half are.
    Median,
}

/// The pairs of a chain of an index that are traded now, together.
#[derive(Clone, Debug, Default)]
pub(super) struct Parity {
    /// By how many ten-thousandths of the level each is off.
    off_e4: Vec<i64>,
    days: u16,
}

impl Parity {
    /// Takes a contract and its partner.
    pub fn take(&mut self, bound: &PriceBound, price: Price, partner: Price, level: Price) {
        let (difference_e4, distance_e4) = difference_and_distance_e4(bound, price, partner, level);
        self.days = bound.days;
        self.off_e4.push((difference_e4 - distance_e4).abs().saturating_mul(10_000) / level.as_e4().max(1));
    }

    pub fn allowed(mut self) -> Allowed {
        let year_part_e4 = YEAR_PART_E2 * 100 * i64::from(self.days) / YEAR_DAYS;
        self.off_e4.sort_unstable();
        let median_e4 = self.off_e4.get(self.off_e4.len() / 2).copied().unwrap_or(0);
        let is_off = self.off_e4.len() >= PAIRS_MIN && median_e4 > MEDIAN_PART_E4 + year_part_e4;
        if is_off { Allowed::Median } else { Allowed::Usual }
    }
}

/// Call less put, and level less strike.
fn difference_and_distance_e4(bound: &PriceBound, price: Price, partner: Price, level: Price) -> (i64, i64) {
    let difference_e4 = match bound.option_type {
        OptionType::Call => price.as_e4() - partner.as_e4(),
        OptionType::Put => partner.as_e4() - price.as_e4(),
    };
    (difference_e4, level.as_e4() - bound.strike.as_e4())
}

/// Whether a contract's price and its partner's cannot both be right at a level.
pub(super) fn are_no_pair(
    bound: &PriceBound,
    price: Price,
    partner: Price,
    level: Price,
    allowed: Allowed,
) -> bool {
    let (difference_e4, distance_e4) = difference_and_distance_e4(bound, price, partner, level);
    let off_e4 = (difference_e4 - distance_e4).abs();
    let days = i64::from(bound.days);
    let limit_e4 = match allowed {
        Allowed::Usual => {
            level.as_e4().saturating_mul(PART_E2 * YEAR_DAYS + YEAR_PART_E2 * days) / (100 * YEAR_DAYS)
        }
        Allowed::Median => {
            let part_e4 = MEDIAN_PART_E4 + YEAR_PART_E2 * 100 * days / YEAR_DAYS;
            level.as_e4().saturating_mul(part_e4) / 10_000
        }
    };
    off_e4 > limit_e4.max(super::APART_E4_MIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn rupees(rupees: i64) -> Price {
        Price::from_e4(rupees * 10_000)
    }

    const fn bound(option_type: OptionType, strike: i64) -> PriceBound {
        PriceBound { option_type, strike: rupees(strike), days: 5 }
    }

    #[test]
    fn contracts_of_a_strike_are_partners_whenever_they_are_added() {
        let mut pairs = Pairs::default();
        let mut add = |chain, bound| {
            pairs.add_slot(chain, bound);
            (0..6).map(|slot| pairs.partner(slot)).collect::<Vec<_>>()
        };
        add(0, Some(bound(OptionType::Call, 100)));
        add(0, Some(bound(OptionType::Call, 110)));
        add(0, None);
        let partners = add(0, Some(bound(OptionType::Put, 100)));
        assert_eq!(partners, [Some(3), None, None, Some(0), None, None]);
        let of_another_chain = add(1, Some(bound(OptionType::Put, 110)));
        assert_eq!(of_another_chain, partners);
        let partners = add(0, Some(bound(OptionType::Put, 110)));
        assert_eq!(partners, [Some(3), Some(5), None, Some(0), None, Some(1)]);
    }

    #[test]
    fn prices_are_a_pair_up_to_what_was_recorded() {
        // Both prices, the level, the strike and the days until the expiry, as the exchange showed them.
        let recorded = [
            (185_000, 277_000, 3_440_000, 3_200_000, 25),
            (4_480_000, 28_000_000, 253_298_500, 300_000_000, 440),
            (34_000, 46_987_000, 589_145_000, 644_000_000, 5),
        ];
        for (call, put, level, strike, days) in recorded {
            let [call, put, level, strike] = [call, put, level, strike].map(Price::from_e4);
            let of = |option_type| PriceBound { option_type, strike, days };
            assert!(!are_no_pair(&of(OptionType::Call), call, put, level, Allowed::Usual));
            assert!(!are_no_pair(&of(OptionType::Put), put, call, level, Allowed::Usual));
            let many = |price: Price| Price::from_e4(price.as_e4() * 100);
            assert!(are_no_pair(&of(OptionType::Call), many(call), many(put), level, Allowed::Usual));
            assert!(are_no_pair(&of(OptionType::Put), many(put), many(call), level, Allowed::Usual));
        }
        let call = bound(OptionType::Call, 25_050);
        assert!(!are_no_pair(&call, rupees(100), rupees(150), rupees(25_000), Allowed::Usual));
        assert!(
            are_no_pair(&call, rupees(10_000), rupees(15_000), rupees(25_000), Allowed::Usual),
            "both in paise"
        );
        assert!(
            are_no_pair(&call, rupees(10_000), rupees(150), rupees(25_000), Allowed::Usual),
            "one of them"
        );
    }

    /// Pairs of strikes up to a thousand from 25000, with the level and the prices as they are shown.
    fn allowed_of(level: i64, unit_e2: i64) -> Allowed {
        let mut parity = Parity::default();
        for strike in (24_000..=26_000).step_by(100) {
            let time_value_e4 = 1_000_000 - (strike - 25_000_i64).abs() * 500;
            let of = |intrinsic: i64| (intrinsic.max(0) * 10_000 + time_value_e4) * unit_e2 / 100;
            let (call, put) = (of(25_000 - strike), of(strike - 25_000));
            let bound = bound(OptionType::Call, strike);
            parity.take(&bound, Price::from_e4(call), Price::from_e4(put), rupees(level));
        }
        parity.allowed()
    }

    #[test]
    fn many_pairs_of_an_index_show_another_level() {
        assert_eq!(allowed_of(25_000, 100), Allowed::Usual);
        assert_eq!(allowed_of(25_120, 100), Allowed::Usual, "what money costs");
        for level in [23_500, 26_500, 27_800, 250] {
            assert_eq!(allowed_of(level, 100), Allowed::Median, "{level}");
        }
        assert_eq!(allowed_of(25_000, 1_000), Allowed::Median);
    }
}
