//! Watched expiries that providers list otherwise than they are recorded, in words, for what [`super::evidence_watch`] says of
//! the running day.

use super::evidence_watch::{SOURCELESS_US, UNKNOWN_US, name_first};
use crate::{
    market::{OptionType, Provider, Timestamp, TradingDate},
    pipeline::{DifferingExpiries, OneSidedChain, UnrecordedExpiry},
};
use std::{collections::BTreeMap, sync::Arc};

/// Expiries that are listed and watched and of which nothing is recorded.
#[derive(Debug, Default)]
pub(super) struct UnrecordedExpiries {
    /// Since when the open session lacks each.
    since: BTreeMap<(Arc<str>, TradingDate), Timestamp>,
    /// Those of the last session, in words: until the next one begins.
    pub of_session: Vec<String>,
}

impl UnrecordedExpiries {
    /// A problem of the session once all sources may have shown it, also to a daemon that began within the session or where a list
    /// has it only since then, and told of the day after.
    pub fn note(
        &mut self,
        hours: Option<(Timestamp, Timestamp)>,
        found: &[UnrecordedExpiry],
        now: Timestamp,
    ) -> Vec<String> {
        let Some((open, close)) = hours.filter(|(open, _)| now >= *open) else {
            self.since.clear();
            return Vec::new();
        };
        if now >= close {
            let date = close.date_ist();
            self.of_session = name_first(
                found,
                |found| never_recorded(found, date),
                |more| format!("nothing of {more} more watched expiries was recorded on {date}"),
            );
            return Vec::new();
        }
        self.of_session.clear();
        let key = |found: &UnrecordedExpiry| (Arc::clone(&found.underlying), found.expiry);
        self.since.retain(|known, _| found.iter().any(|found| key(found) == *known));
        let is_due = now >= open.plus_us(UNKNOWN_US);
        let mut lasting = Vec::new();
        for found in found {
            let since = *self.since.entry(key(found)).or_insert(now);
            if is_due && now.us_since(since) >= SOURCELESS_US {
                lasting.push(found);
            }
        }
        name_first(
            &lasting,
            |found| unrecorded(found),
            |more| format!("nothing of {more} more watched expiries is recorded"),
        )
    }
}

/// Of the first chains.
pub(super) fn describe_one_sided(chains: &[OneSidedChain]) -> Vec<String> {
    let name = |OneSidedChain { name, option_type, contracts }: &OneSidedChain| {
        let (side, other) = match option_type {
            OptionType::Call => ("calls", "put"),
            OptionType::Put => ("puts", "call"),
        };
        format!(
            "chain {name} has {contracts} {side} and no {other}: no provider lists one, so none is recorded and none is missing; \
             check the instrument master and the website's answer"
        )
    };
    name_first(chains, name, |more| format!("{more} more chains have one side alone"))
}

fn names(providers: &[Provider]) -> String {
    let names: Vec<&str> = providers.iter().map(|provider| provider.name()).collect();
    names.join(" and ")
}

fn unrecorded(UnrecordedExpiry { underlying, expiry, listed_by }: &UnrecordedExpiry) -> String {
    // At least one lists it.
    let first = listed_by.first().map_or("", |provider| provider.name());
    let listed_by = names(listed_by);
    format!(
        "{underlying} {expiry} is listed by {listed_by} and watched, but nothing of it is recorded: no provider has brought a \
         contract of it today; `bhavctl feeds` has what is not answered, `bhavctl feed reconnect {first}` asks anew"
    )
}

fn never_recorded(found: &UnrecordedExpiry, date: TradingDate) -> String {
    let UnrecordedExpiry { underlying, expiry, listed_by } = found;
    let listed_by = names(listed_by);
    format!(
        "nothing of {underlying} {expiry} was recorded on {date}: it was listed by {listed_by} and watched, but no provider \
         brought a contract of it"
    )
}

/// Of the first underlyings, with what either provider lists.
pub(super) fn describe_differing(found: &[DifferingExpiries]) -> Vec<String> {
    let dates = |expiries: &[TradingDate]| {
        let dates: Vec<String> = expiries.iter().map(TradingDate::to_string).collect();
        dates.join(", ")
    };
    let name = |DifferingExpiries { underlying, only }: &DifferingExpiries| {
        let [(first, ours), (second, theirs)] = only;
        let difference = match (ours.is_empty(), theirs.is_empty()) {
            (false, false) => format!(
                "{first} lists {}, {second} lists {}; they are recorded as chains of their own, and where one list alone has \
                 moved an expiry, sums over both count its contracts twice; compare with the exchange's circulars, leave the \
                 wrong chain out of sums, and disable its feed until its list is right",
                dates(ours),
                dates(theirs)
            ),
            (is_second, _) => {
                let (of, expiries, other) =
                    if is_second { (second, theirs, first) } else { (first, ours, second) };
                format!(
                    "{of} lists {}, which {other} lacks among the nearest, so that {other} takes no place of {of}'s there; \
                     compare with the exchange's circulars",
                    dates(expiries)
                )
            }
        };
        format!("the watched expiries of {underlying} differ: {difference}")
    };
    name_first(found, name, |more| format!("the watched expiries of {more} more underlyings differ"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use Provider::{AngelOne, Nse};

    fn date(day: u32) -> TradingDate {
        TradingDate::from_ymd_opt(2026, 2, day).expect("a date")
    }

    #[test]
    fn an_expiry_that_is_listed_and_not_recorded_is_named_after_a_while() {
        let open = Timestamp::from_us(1_769_744_700_000_000);
        let (close, next_day) = (open.plus_seconds(22_500), open.plus_seconds(86_400));
        let found = |day| UnrecordedExpiry {
            underlying: Arc::from("NIFTY"),
            expiry: date(day),
            listed_by: vec![Nse],
        };
        let mut lacks = UnrecordedExpiries::default();
        let mut look = |hours, found: &[UnrecordedExpiry], now| {
            let problems = lacks.note(hours, found, now);
            (problems, lacks.of_session.clone())
        };
        let (hours, none) = (Some((open, close)), Vec::<String>::new());
        let nothing = (none.clone(), none.clone());
        assert_eq!(look(hours, &[found(3)], open.plus_us(-1)), nothing);
        assert_eq!(look(hours, &[found(3)], open), nothing, "sources may be late");
        let due = open.plus_us(UNKNOWN_US);
        let (problems, _) = look(hours, &[found(3), found(10)], due);
        assert_eq!(problems.len(), 1, "the other one is listed only now");
        let text =
            "NIFTY 2026-02-03 is listed by nse and watched, but nothing of it is recorded: no provider";
        assert!(problems[0].starts_with(text), "{}", problems[0]);
        assert_eq!(look(hours, &[found(10)], due.plus_us(SOURCELESS_US)).0.len(), 1);
        assert_eq!(look(hours, &[], due.plus_us(SOURCELESS_US)), nothing);
        assert_eq!(look(hours, &[found(10)], close.plus_seconds(-10)), nothing, "anew");
        let (problems, told) = look(hours, &[found(10)], close);
        assert_eq!(problems, none);
        let text =
            "nothing of NIFTY 2026-02-10 was recorded on 2026-01-30: it was listed by nse and watched, but";
        assert!(told[0].starts_with(text), "{}", told[0]);
        assert_eq!(look(None, &[], next_day.plus_us(-1)), (none.clone(), told), "a day without a session");
        let next = Some((next_day, next_day.plus_seconds(22_500)));
        assert_eq!(look(next, &[], next_day), nothing);
        let many = [3, 10, 17, 24].map(found);
        assert_eq!(look(next, &many, next_day), nothing);
        let (problems, _) = look(next, &many, next_day.plus_us(UNKNOWN_US));
        assert_eq!(problems[3], "nothing of 1 more watched expiries is recorded");
    }

    #[test]
    fn expiries_that_differ_are_named_with_both_lists() {
        let differing = |ours: &[u32], theirs: &[u32]| DifferingExpiries {
            underlying: Arc::from("NIFTY"),
            only: [(AngelOne, ours), (Nse, theirs)]
                .map(|(provider, days)| (provider, days.iter().map(|day| date(*day)).collect())),
        };
        let texts =
            describe_differing(&[differing(&[2], &[3]), differing(&[3], &[]), differing(&[], &[3, 10])]);
        let starts = [
            "the watched expiries of NIFTY differ: angel_one lists 2026-02-02, nse lists 2026-02-03; they are recorded as",
            "the watched expiries of NIFTY differ: angel_one lists 2026-02-03, which nse lacks among the nearest, so",
            "the watched expiries of NIFTY differ: nse lists 2026-02-03, 2026-02-10, which angel_one lacks among the",
        ];
        for (text, start) in texts.iter().zip(starts) {
            assert!(text.starts_with(start), "{text}");
        }
        let many = vec![differing(&[2], &[3]); 5];
        assert_eq!(describe_differing(&many)[3], "the watched expiries of 2 more underlyings differ");
        assert!(describe_differing(&[]).is_empty());
    }
}
