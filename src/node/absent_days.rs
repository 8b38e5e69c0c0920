//! Whole days that the log lost: the start finds them by the rows that the store has of them.
//!
//! A day is lost if the store has rows of it, the log has nothing of it, and no removal was meant: `spool.keep_days` would keep
//! it and the retention did not remove it. That the operator removed it by hand cannot be known. So it is a problem from the start that finds it
//! until a start on a later day, as every loss of the log is.

use super::mending::StoredDays;
use crate::{
    market::TradingDate,
    spool::{self, AbsentDays, Skip, SpoolError},
};
use chrono::Days;
use std::path::Path;

/// Days that are named one by one.
const NAMED_MAX: usize = 5;

/// What a start on `today` says of days that the log lost; `skip`: what this start says in the log of a loss.
///
/// # Errors
/// When the log, or what is known of its absent days, cannot be read or noted.
pub fn find(
    directory: &Path,
    stored: &StoredDays,
    today: TradingDate,
    keep_days: u32,
    skip: Option<Skip>,
) -> Result<Option<String>, SpoolError> {
    let oldest_kept = match keep_days {
        0 => None,
        _ => today.checked_sub_days(Days::new(keep_days.into())),
    };
    // The recorder tells what lacks behind the log's end.
    let told = match skip {
        Some(Skip::BehindStore { session, .. }) => Some(session),
        _ => None,
    };
    let is_kept = |date: &TradingDate| {
        *date < today && oldest_kept.is_none_or(|oldest| *date >= oldest) && Some(*date) != told
    };
    let mut lacking = Vec::new();
    for date in stored.recorded.iter().copied().filter(is_kept) {
        if !spool::has_segments(directory, date)? {
            lacking.push(date);
        }
    }
    let lost = AbsentDays::miss(directory, &lacking, today)?;
    Ok((!lost.is_empty()).then(|| describe(directory, &lost)))
}

/// The newest first.
fn describe(directory: &Path, lost: &[TradingDate]) -> String {
    let named: Vec<String> = lost.iter().rev().take(NAMED_MAX).map(TradingDate::to_string).collect();
    let more = match lost.len().saturating_sub(NAMED_MAX) {
        0 => String::new(),
        more => format!(" and {more} more days"),
    };
    format!(
        "the whole log of {}{more} is gone, of which the store has rows: they stay, but cannot be replayed or verified any more; \
         if the directories were moved away, stop bhavd, put them back into {} and start it again; if they were removed on \
         purpose, a start on a later day does not name them any more",
        named.join(", "),
        directory.display()
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn date(day: u32) -> TradingDate {
        TradingDate::from_ymd_opt(2026, 1, day).expect("a date")
    }

    #[test]
    fn a_lost_day_is_named_on_the_day_that_finds_it() {
        let home = tempfile::tempdir().expect("a directory");
        let directory = home.path();
        let log = |day: &str| {
            fs::create_dir(directory.join(day)).expect("created");
            fs::write(directory.join(day).join("09.spool"), "").expect("written");
        };
        log("2026-01-28");
        let stored = StoredDays { recorded: [26, 27, 28, 29].map(date).into(), ..StoredDays::default() };
        let find = |today, keep_days, skip| {
            find(directory, &stored, date(today), keep_days, skip).expect("found").unwrap_or_default()
        };
        assert_eq!(
            find(29, 1, None),
            "",
            "what is older is not kept anyway, and today's log is just being begun"
        );
        AbsentDays::note_removed(directory, date(26)).expect("noted");
        let behind = Some(Skip::BehindStore { store_seq: 7, session: date(29) });
        assert!(
            find(30, 0, behind).starts_with("the whole log of 2026-01-27 is gone"),
            "{}",
            find(30, 0, behind)
        );
        assert!(find(30, 2, None).starts_with("the whole log of 2026-01-29 is gone"));
        assert!(find(30, 0, None).starts_with("the whole log of 2026-01-29, 2026-01-27 is gone"));
        assert_eq!(find(31, 0, None), "", "a later day");
        log("2026-01-29");
        assert_eq!(find(31, 0, None), "");
        fs::remove_file(directory.join("2026-01-29/09.spool")).expect("removed");
        assert!(find(31, 0, None).contains("2026-01-29 is gone"), "lost once more");
    }
}
