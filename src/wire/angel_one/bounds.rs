//! Which times, prices and quantities can be: what lies outside is a broken packet, not a value.

use crate::market::{Price, Timestamp};

/// 2000-01-01 and 2100-01-01 UTC, in seconds.
const SECONDS_MIN: i64 = 946_684_800;
const SECONDS_MAX: i64 = 4_102_444_800;
const PRICE_MAX_PAISE: i64 = Price::LARGEST_QUOTED.as_paise();
/// A thousand times the largest open interest or daily volume seen.
const QUANTITY_MAX: i64 = 10_000_000_000_000;

pub(super) const fn time_from_ms(epoch_ms: i64) -> Option<Timestamp> {
    if epoch_ms < SECONDS_MIN * 1_000 || epoch_ms > SECONDS_MAX * 1_000 {
        return None;
    }
    Timestamp::from_ms(epoch_ms)
}

pub(super) fn time(instant: Timestamp) -> Option<Timestamp> {
    time_from_ms(instant.as_ms()).map(|_| instant)
}

pub(super) const fn price_from_paise(paise: i64) -> Option<Price> {
    if paise < 0 || paise > PRICE_MAX_PAISE {
        return None;
    }
    Price::from_paise(paise)
}

pub(super) const fn price(price: Price) -> Option<Price> {
    if price.as_e4() < 0 || price.as_e4() > PRICE_MAX_PAISE * 100 {
        return None;
    }
    Some(price)
}

pub(super) const fn quantity(units: i64) -> Option<i64> {
    if units < 0 || units > QUANTITY_MAX {
        return None;
    }
    Some(units)
}
