//! What a leg's identifier names: `OPTIDXNIFTY23-06-2026CE25000.00`.
//!
//! In every recorded body it names the contract that the leg's own fields say. One that names another shows that the values
//! are of an unknown contract.

use super::field::parse_date;
use crate::market::{OptionType, Price, TradingDate};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Identifier<'a> {
    pub underlying: &'a str,
    pub expiry: TradingDate,
    pub option_type: OptionType,
    pub strike: Price,
}

impl Identifier<'_> {
    /// `None` for a text of another form, which names nothing.
    pub fn parse(text: &str) -> Option<Identifier<'_>> {
        let rest = ["OPTIDX", "OPTSTK"].into_iter().find_map(|kind| text.strip_prefix(kind))?;
        let named = rest.trim_end_matches(|byte: char| byte.is_ascii_digit() || byte == '.');
        let strike = rest.get(named.len()..)?.parse().ok()?;
        let (named, option_type) = OptionType::BOTH
            .into_iter()
            .find_map(|option_type| Some((named.strip_suffix(option_type.name())?, option_type)))?;
        // `23-06-2026` and `23-Jun-2026`.
        [10, 11].into_iter().find_map(|length| {
            let (underlying, date) = named.split_at_checked(named.len().checked_sub(length)?)?;
            let expiry = parse_date(date.as_bytes())?;
            Some(Identifier { underlying, expiry, option_type, strike })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_a_contract_with_either_form_of_dates() {
        let expiry = chrono::NaiveDate::from_ymd_opt(2026, 6, 23).expect("a date");
        for (text, underlying, option_type, rupees) in [
            ("OPTIDXNIFTY23-06-2026CE25000.00", "NIFTY", OptionType::Call, 25_000.0),
            ("OPTSTKBAJAJ-AUTO23-Jun-2026PE9050.50", "BAJAJ-AUTO", OptionType::Put, 9_050.5),
            ("OPTSTKM&M23-06-2026PE30", "M&M", OptionType::Put, 30.0),
        ] {
            let strike = Price::from_rupees(rupees).expect("a price");
            let named = Identifier { underlying, expiry, option_type, strike };
            assert_eq!(Identifier::parse(text), Some(named), "{text}");
        }
        for text in [
            "",
            "CE",
            "OPTIDXNIFTY23-06-2026CE",
            "OPTIDX1-06-2026CE5",
            "OPTIDXNIFTY31-06-2026CE5",
            "OPTIDXCE5",
        ] {
            assert_eq!(Identifier::parse(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_names_nothing(text in "(OPTIDX|OPTSTK)?\\PC{0,20}(CE|PE)?[0-9.]{0,6}") {
            let _ = Identifier::parse(&text);
        }
    }
}
