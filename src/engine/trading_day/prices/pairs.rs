//! A call and a put of one strike and expiry, held against each other.
//!
//! Their prices differ by what their underlying is worth more than the strike: C - P = S - K, but for what money costs until
//! the expiry and for dividends. So prices that are multiples of the right ones are found although no other rule does, also
//! where the book is a multiple as well.
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

/// In place of a partner that is not known.
const NONE: u32 = u32::MAX;

/// See the module's head.
#[derive(Debug, Default)]
pub(super) struct Pairs {
    /// By slot.
    partners: Vec<u32>,
    /// Contracts without a partner so far, by chain, strike and type.
    alone: BTreeMap<(u32, Price, OptionType), u32>,
    /// By chain: how many of its slots were looked at for partners.
    linked: BTreeMap<u32, usize>,
}

impl Pairs {
    /// Finds the partners of those of a chain's slots that have been added since the last call.
    pub fn link(&mut self, chain: u32, slots: &[u32], bounds: &[Option<PriceBound>]) {
        let linked = self.linked.entry(chain).or_insert(0);
        let new = slots.get(*linked..).unwrap_or(&[]);
        *linked = slots.len();
        self.partners.resize(bounds.len(), NONE);
        for slot in new.iter().copied() {
            let Some(PriceBound { option_type, strike, .. }) = bounds[slot as usize] else { continue };
            if let Some(partner) = self.alone.remove(&(chain, strike, other(option_type))) {
                self.partners[slot as usize] = partner;
                self.partners[partner as usize] = slot;
            } else {
                self.alone.insert((chain, strike, option_type), slot);
            }
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

/// Whether a contract's price and its partner's cannot both be right at a level.
pub(super) fn are_no_pair(bound: &PriceBound, price: Price, partner: Price, level: Price) -> bool {
    let difference_e4 = match bound.option_type {
        OptionType::Call => price.as_e4() - partner.as_e4(),
        OptionType::Put => partner.as_e4() - price.as_e4(),
    };
    let off_e4 = (difference_e4 - (level.as_e4() - bound.strike.as_e4())).abs();
    let part_e2 = PART_E2 * YEAR_DAYS + YEAR_PART_E2 * i64::from(bound.days);
    let limit_e4 = level.as_e4().saturating_mul(part_e2) / (100 * YEAR_DAYS);
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
        let mut bounds = vec![
            Some(bound(OptionType::Call, 100)),
            Some(bound(OptionType::Call, 110)),
            None,
            Some(bound(OptionType::Put, 100)),
        ];
        let mut pairs = Pairs::default();
        pairs.link(0, &[0, 1, 2, 3], &bounds);
        let partners = |pairs: &Pairs| (0..6).map(|slot| pairs.partner(slot)).collect::<Vec<_>>();
        assert_eq!(partners(&pairs), [Some(3), None, None, Some(0), None, None]);
        bounds.extend([Some(bound(OptionType::Put, 110)), Some(bound(OptionType::Put, 110))]);
        pairs.link(1, &[4], &bounds);
        assert_eq!(pairs.partner(1), None, "that one is of another chain");
        pairs.link(0, &[0, 1, 2, 3, 5], &bounds);
        assert_eq!(partners(&pairs), [Some(3), Some(5), None, Some(0), None, Some(1)]);
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
            assert!(!are_no_pair(&of(OptionType::Call), call, put, level));
            assert!(!are_no_pair(&of(OptionType::Put), put, call, level));
            let many = |price: Price| Price::from_e4(price.as_e4() * 100);
            assert!(are_no_pair(&of(OptionType::Call), many(call), many(put), level));
            assert!(are_no_pair(&of(OptionType::Put), many(put), many(call), level));
        }
        let call = bound(OptionType::Call, 25_050);
        assert!(!are_no_pair(&call, rupees(100), rupees(150), rupees(25_000)));
        assert!(are_no_pair(&call, rupees(10_000), rupees(15_000), rupees(25_000)), "both in paise");
        assert!(are_no_pair(&call, rupees(10_000), rupees(150), rupees(25_000)), "one of them");
    }
}
