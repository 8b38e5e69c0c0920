//! Lot sizes of index options by trading date, and those an operator names instead.
//!
//! Source: exchange circulars as collected in broker notices, checked against chains and bhavcopies of 2024 to 2026.
//! A lot belongs to a contract and a date, and two sizes coexist for months around each change; the simulation uses
//! one size per underlying and trading date, which is what NSE's option chain divides by.

use crate::market::TradingDate;
use chrono::NaiveDate;
use std::collections::BTreeMap;

/// Lots that replace every other source, by underlying.
pub type LotOverrides = BTreeMap<String, u32>;

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
    fn gcd_of_lots() {
        assert_eq!(gcd(0, 65), 65);
        assert_eq!(gcd(130, 195), 65);
        assert_eq!(gcd(0, 0), 0);
    }
}
