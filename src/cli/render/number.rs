//! Numbers and times as India writes them.

use crate::{control::WallTime, market::Price};

/// Shown where there is no value.
pub(super) const NOTHING: &str = "-";

/// Digits in groups of three, then of two: 1,23,45,678.
pub(super) fn grouped(number: i64) -> String {
    let digits = number.unsigned_abs().to_string();
    let (head, tail) = digits.split_at(digits.len().saturating_sub(3));
    let mut text = String::new();
    if number < 0 {
        text.push('-');
    }
    for (index, digit) in head.chars().enumerate() {
        if index > 0 && (head.len() - index) % 2 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    if !head.is_empty() {
        text.push(',');
    }
    text.push_str(tail);
    text
}

pub(super) fn grouped_count(number: u64) -> String {
    grouped(i64::try_from(number).unwrap_or(i64::MAX))
}

/// A number with what it counts, in the singular or with an s: 1 contract, 1,234 contracts.
pub(super) fn count_of(number: u64, what: &str) -> String {
    format!("{} {what}{}", grouped_count(number), if number == 1 { "" } else { "s" })
}

/// With its sign, and `0` for none.
pub(super) fn signed(number: i64) -> String {
    if number > 0 { format!("+{}", grouped(number)) } else { grouped(number) }
}

pub(super) fn or_nothing(number: Option<i64>, form: fn(i64) -> String) -> String {
    number.map_or_else(|| NOTHING.to_owned(), form)
}

/// Rupees with two decimals, or four where they are needed, the rupees grouped: 25,278.90.
pub(super) fn price(price_e4: i64) -> String {
    let text = Price::from_e4(price_e4).to_string();
    let (sign, unsigned) = match text.strip_prefix('-') {
        Some(unsigned) => ("-", unsigned),
        None => ("", text.as_str()),
    };
    let (rupees, decimals) = unsigned.split_once('.').unwrap_or((unsigned, "00"));
    format!("{sign}{}.{decimals}", rupees.parse().map_or_else(|_| rupees.to_owned(), grouped))
}

/// A strike: whole rupees without decimals, not grouped, as it is written in a contract.
pub(super) fn strike(strike_e4: i64) -> String {
    let text = Price::from_e4(strike_e4).to_string();
    text.strip_suffix(".00").unwrap_or(&text).to_owned()
}

/// `11:42:07`, with milliseconds where there are any.
pub(super) fn time_of_day(instant: WallTime) -> String {
    let local = instant.0.to_ist();
    let whole = instant.0.as_us() % 1_000_000 == 0;
    local.format(if whole { "%H:%M:%S" } else { "%H:%M:%S%.3f" }).to_string()
}

pub(super) fn hour_and_minute(instant: WallTime) -> String {
    instant.0.to_ist().format("%H:%M").to_string()
}

/// `2026-01-30 11:42:07 IST`.
pub(super) fn date_and_time(instant: WallTime) -> String {
    instant.0.to_ist().format("%Y-%m-%d %H:%M:%S IST").to_string()
}

/// A part of a whole in percent, rounded down so that 100.00 % means all.
pub(in crate::cli) fn percent(part: u64, whole: u64) -> String {
    if whole == 0 {
        return NOTHING.to_owned();
    }
    let hundredths = u128::from(part) * 10_000 / u128::from(whole);
    format!("{}.{:02} %", hundredths / 100, hundredths % 100)
}

/// `812 B`, `1.5 KiB`, `8.7 MiB`.
pub(super) fn bytes(count: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let (mut value, mut unit) = (count as f64, 0);
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    if unit == 0 { format!("{count} B") } else { format!("{value:.1} {}", UNITS[unit]) }
}

/// `850 ms`, `12 s`, `3 min 20 s`, `2 h 5 min`, `3 d 4 h`.
pub(super) fn span_ms(ms: u64) -> String {
    let seconds = ms / 1_000;
    match seconds {
        0 => format!("{ms} ms"),
        1..60 => format!("{seconds} s"),
        60..3_600 => format!("{} min {} s", seconds / 60, seconds % 60),
        3_600..86_400 => format!("{} h {} min", seconds / 3_600, seconds / 60 % 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds / 3_600 % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn writes_lakhs_and_crores() {
        for (number, text) in [
            (0, "0"),
            (999, "999"),
            (1_000, "1,000"),
            (99_999, "99,999"),
            (100_000, "1,00,000"),
            (12_345_678, "1,23,45,678"),
            (-1_234_567, "-12,34,567"),
            (i64::MIN, "-92,23,37,20,36,85,47,75,808"),
        ] {
            assert_eq!(grouped(number), text);
        }
        assert_eq!([signed(5), signed(0), signed(-1_000)], ["+5", "0", "-1,000"]);
        assert_eq!([price(252_789_000), price(-500), price(1_234_567)], ["25,278.90", "-0.05", "123.4567"]);
        assert_eq!([strike(250_000_000), strike(11_625_000)], ["25000", "1162.50"]);
    }

    #[test]
    fn writes_parts_sizes_and_spans() {
        assert_eq!(
            [
                percent(1, 3),
                percent(99_996, 100_000),
                percent(9_999_999, 10_000_000),
                percent(3, 3),
                percent(0, 0)
            ],
            ["33.33 %", "99.99 %", "99.99 %", "100.00 %", "-"]
        );
        assert_eq!([bytes(812), bytes(1_536), bytes(9_122_611)], ["812 B", "1.5 KiB", "8.7 MiB"]);
        let spans = [850, 12_000, 200_000, 7_500_000, 273_600_000].map(span_ms);
        assert_eq!(spans, ["850 ms", "12 s", "3 min 20 s", "2 h 5 min", "3 d 4 h"]);
    }

    proptest! {
        #[test]
        fn grouping_only_adds_commas(number in any::<i64>()) {
            prop_assert_eq!(grouped(number).replace(',', ""), number.to_string());
        }
    }
}
