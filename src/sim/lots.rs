//! Lot sizes of index options by trading date, and those an operator names instead.
//!
//! Source: exchange circulars as collected in broker notices, checked against chains and bhavcopies of 2024 to 2026.
//! A lot belongs to a contract and a date, and two sizes coexist for months around each change. The table has one size
//! per underlying and trading date; an operator may name others by month of expiry.

use crate::{market::TradingDate, wire::nse::LotMonth};
use chrono::NaiveDate;
use std::collections::BTreeMap;

/// Lots that replace every other source, by underlying, and if need be by the month from which on contracts expire.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LotOverrides {
    /// `None` is before every month.
    by_underlying: BTreeMap<String, BTreeMap<Option<LotMonth>, u32>>,
}

impl LotOverrides {
    pub fn new() -> LotOverrides {
        LotOverrides::default()
    }

    /// Names the lot of an underlying's contracts that expire in `from` or later; `None` is all.
    pub fn set(&mut self, underlying: &str, from: Option<LotMonth>, units: u32) {
        self.by_underlying.entry(underlying.to_owned()).or_default().insert(from, units);
    }

    /// Names the lot of those contracts of an underlying that no other call has named one for.
    pub(super) fn set_if_unnamed(&mut self, underlying: &str, units: u32) {
        self.by_underlying.entry(underlying.to_owned()).or_default().entry(None).or_insert(units);
    }

    /// The lot that was named for an underlying's contracts of an expiry.
    pub fn get(&self, underlying: &str, expiry: TradingDate) -> Option<u32> {
        let by_month = self.by_underlying.get(underlying)?;
        by_month.range(..=Some(LotMonth::of(expiry))).next_back().map(|(_, units)| *units)
    }
}

struct LotRow {
    /// First trading date.
    from: (i32, u32, u32),
    lots: &'static [(&'static str, u32)],
}

const TABLE: &[LotRow] = &[
    LotRow {
        from: (2023, 12, 1),
        lots: &[
            ("NIFTY", 50),
            ("BANKNIFTY", 15),
            ("FINNIFTY", 40),
            ("MIDCPNIFTY", 75),
            ("SENSEX", 10),
            ("BANKEX", 15),
        ],
    },
    LotRow {
        from: (2024, 4, 26),
        lots: &[
            ("NIFTY", 25),
            ("BANKNIFTY", 15),
            ("FINNIFTY", 25),
            ("MIDCPNIFTY", 50),
            ("NIFTYNXT50", 10),
            ("SENSEX", 10),
            ("BANKEX", 15),
            ("SENSEX50", 25),
        ],
    },
    LotRow {
        from: (2024, 11, 20),
        lots: &[
            ("NIFTY", 75),
            ("BANKNIFTY", 30),
            ("FINNIFTY", 65),
            ("MIDCPNIFTY", 120),
            ("NIFTYNXT50", 25),
            ("SENSEX", 20),
            ("BANKEX", 30),
            ("SENSEX50", 60),
        ],
    },
    LotRow {
        from: (2025, 4, 25),
        lots: &[
            ("NIFTY", 75),
            ("BANKNIFTY", 35),
            ("FINNIFTY", 65),
            ("MIDCPNIFTY", 140),
            ("NIFTYNXT50", 25),
            ("SENSEX", 20),
            ("BANKEX", 30),
            ("SENSEX50", 75),
        ],
    },
    LotRow {
        from: (2025, 12, 31),
        lots: &[
            ("NIFTY", 65),
            ("BANKNIFTY", 30),
            ("FINNIFTY", 60),
            ("MIDCPNIFTY", 120),
            ("NIFTYNXT50", 25),
            ("SENSEX", 20),
            ("BANKEX", 30),
            ("SENSEX50", 75),
        ],
    },
];

/// Units in one lot of an index underlying's options on `date`. `None` for shares, unknown indices and earlier dates.
pub fn lot_size(underlying: &str, date: TradingDate) -> Option<u32> {
    let row = TABLE.iter().rev().find(|row| {
        let (year, month, day) = row.from;
        NaiveDate::from_ymd_opt(year, month, day).is_some_and(|from| from <= date)
    })?;
    row.lots.iter().find(|(name, _)| *name == underlying).map(|(_, lot)| *lot)
}

/// Greatest common divisor; of zero and a number it is the number.
pub(super) fn gcd(one: i64, other: i64) -> i64 {
    let (mut one, mut other) = (one.abs(), other.abs());
    while other != 0 {
        (one, other) = (other, one % other);
    }
    one
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lots_follow_the_date() {
        let date = |year, month, day| NaiveDate::from_ymd_opt(year, month, day).expect("a date");
        assert_eq!(lot_size("NIFTY", date(2026, 1, 30)), Some(65));
        assert_eq!(lot_size("BANKNIFTY", date(2026, 1, 30)), Some(30));
        assert_eq!(lot_size("MIDCPNIFTY", date(2026, 1, 30)), Some(120));
        assert_eq!(lot_size("NIFTY", date(2025, 10, 15)), Some(75));
        assert_eq!(lot_size("NIFTY", date(2024, 4, 26)), Some(25));
        assert_eq!(lot_size("NIFTY", date(2020, 1, 1)), None);
        assert_eq!(lot_size("RELIANCE", date(2026, 1, 30)), None);
    }

    #[test]
    fn an_operator_may_name_lots_by_month_of_expiry() {
        let date = |text: &str| text.parse::<TradingDate>().expect("a date");
        let march = LotMonth { year: 2026, month: 3 };
        let mut lots = LotOverrides::new();
        lots.set("NIFTY", Some(march), 65);
        assert_eq!(lots.get("NIFTY", date("2026-02-24")), None, "the table counts before");
        lots.set("NIFTY", None, 75);
        assert_eq!(lots.get("NIFTY", date("2026-02-24")), Some(75));
        assert_eq!(lots.get("NIFTY", date("2026-03-03")), Some(65));
        assert_eq!(lots.get("NIFTY", date("2027-01-28")), Some(65));
        assert_eq!(lots.get("BANKNIFTY", date("2027-01-28")), None);
    }

    #[test]
    fn gcd_of_lots() {
        assert_eq!(gcd(0, 65), 65);
        assert_eq!(gcd(130, 195), 65);
        assert_eq!(gcd(0, 0), 0);
    }
}
