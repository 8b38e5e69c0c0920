//! Prices and levels that cannot be right, in words, for what [`super::evidence_watch`] says of the running day.

use super::evidence_watch::{clock, name_first};
use crate::engine::LevelDispute;

/// Of the first underlyings, with what either provider shows.
pub(super) fn describe_levels(disputes: &[(String, LevelDispute)]) -> Vec<String> {
    let name = |(title, dispute): &(String, LevelDispute)| {
        let LevelDispute { disbelieved, shown, since, .. } = dispute;
        let [first, second] = shown.map(|(provider, level)| {
            let level = level.map_or_else(|| "none".to_owned(), |level| level.to_string());
            format!("{provider} shows {level}")
        });
        let verdict = match disbelieved {
            Some(provider) => format!("{provider} is not believed, whose level stood still"),
            None => "nothing decides which is right, so its rows are missing and its candles to be resolved"
                .to_owned(),
        };
        let since = clock(*since);
        format!("the level of {title} is contradicted since {since}: {first}, {second}; {verdict}")
    };
    name_first(disputes, name, |more| format!("the levels of {more} more underlyings are contradicted"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::market::{Price, Provider, Timestamp};

    #[test]
    fn a_dispute_of_levels_is_named_with_both() {
        let level = |rupees: i64| Some(Price::from_e4(rupees * 10_000));
        let undecided = LevelDispute {
            slot: 7,
            disbelieved: None,
            shown: [(Provider::AngelOne, level(2_500_000)), (Provider::Nse, level(25_000))],
            since: Timestamp::from_us(1_769_744_700_000_000),
        };
        let decided = LevelDispute { disbelieved: Some(Provider::Nse), ..undecided };
        let found = [undecided, decided].map(|of| ("the index NIFTY".to_owned(), of));
        assert_eq!(
            describe_levels(&found),
            [
                "the level of the index NIFTY is contradicted since 09:15:00: angel_one shows 2500000.00, nse shows \
                 25000.00; nothing decides which is right, so its rows are missing and its candles to be resolved",
                "the level of the index NIFTY is contradicted since 09:15:00: angel_one shows 2500000.00, nse shows \
                 25000.00; nse is not believed, whose level stood still",
            ]
        );
    }
}
