//! Lots to units and back.
//!
//! NSE's option chain tells open interest and volume in contracts: stored units divided by the lot size of the day.
//! After a change of the lot size the quotient need not be whole (1,150 units / 75 = 15.333..., measured on
//! 13 Oct 2025), but times the lot size it is.

use thiserror::Error;

/// A number of lots that is no number of units: the lot size is the wrong one, or the field is. The caller skips the
/// leg and counts it.
#[derive(Clone, Copy, Debug, PartialEq, Error)]
pub enum UnitsError {
    #[error("{lots} lots of {lot_size} are {units} units, not a whole number; is the lot size right?")]
    NotWhole { lots: f64, lot_size: u32, units: f64 },
    #[error("{lots} lots of {lot_size} are more units than can be")]
    TooLarge { lots: f64, lot_size: u32 },
    #[error("{lots} lots is negative")]
    Negative { lots: f64 },
}

/// How far the product may lie from an integer.
const TOLERANCE_UNITS: f64 = 0.01;

/// `lots * lot_size`, rounded; an error if that is further than 0.01 from an integer.
pub fn units_from_lots(lots: f64, lot_size: u32) -> Result<i64, UnitsError> {
    let units = lots * f64::from(lot_size);
    let rounded = units.round();
    // 2^53: beyond it a double no longer tells neighbouring integers apart.
    if !units.is_finite() || rounded.abs() > 9_007_199_254_740_992.0 {
        return Err(UnitsError::TooLarge { lots, lot_size });
    }
    if (units - rounded).abs() > TOLERANCE_UNITS {
        return Err(UnitsError::NotWhole { lots, lot_size, units });
    }
    Ok(rounded as i64)
}

/// What the chain shows for `units`. A lot size of 0 counts as 1.
pub fn lots_from_units(units: i64, lot_size: u32) -> f64 {
    units as f64 / f64::from(lot_size.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn fractional_lots_are_whole_units() {
        assert_eq!(units_from_lots(15.333333333333334, 75), Ok(1_150));
        assert_eq!(units_from_lots(4.333333333333333, 75), Ok(325));
        assert_eq!(units_from_lots(-5_798.0, 65), Ok(-376_870));
        assert!(matches!(units_from_lots(15.34, 75), Err(UnitsError::NotWhole { .. })));
        assert!(matches!(units_from_lots(1e300, 75), Err(UnitsError::TooLarge { .. })));
        assert!(matches!(units_from_lots(f64::NAN, 75), Err(UnitsError::TooLarge { .. })));
    }

    proptest! {
        #[test]
        fn units_come_back_whatever_the_lot_size(units in -1_000_000_000_000_i64..1_000_000_000_000, lot_size in 1_u32..30_000) {
            prop_assert_eq!(units_from_lots(lots_from_units(units, lot_size), lot_size), Ok(units));
        }
    }
}
