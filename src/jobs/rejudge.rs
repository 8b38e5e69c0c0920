//! A day's rows as today's rules judge them, against what the store holds: what would be otherwise.
//!
//! Replays the day's log with the rules that a day would get that begins now, in place of those in the log, into a store of
//! its own. Changes nothing: the record of a day is what was judged when it was recorded.

use super::replay::{JudgedBy, Replayed, TableComparison, VerifyError, WhichRules, compare_tables, replay};
use crate::{
    actor::Pulse,
    market::{Bucket, BucketState, Price, Provider, Timestamp, TradingDate},
    pipeline::PipelineSettings,
    store::{self, Reader, Store},
};
use std::{collections::BTreeMap, path::Path};

const BUCKETS: &str = "intraday_option_oi";
/// Columns of a row of buckets in a day's dump.
const BUCKET: usize = 0;
const CONTRACT: usize = 1;
const STATE: usize = 9;
const PROVIDER: usize = 10;
const EVENT_TIME: usize = 11;
/// What a row claims, in the words of an example.
const CLAIMS: [(usize, &str); 10] = [
    (2, "OI"),
    (4, "LTP"),
    (5, "volume"),
    (6, "bid"),
    (7, "ask"),
    (8, "IV"),
    (3, "change of OI"),
    (14, "base of that change"),
    (PROVIDER, "said by"),
    (EVENT_TIME, "stamp"),
];
/// Columns in 1/10,000.
const COLUMNS_E4: [usize; 4] = [4, 6, 7, 8];
/// Fields told in an example.
const FIELDS_MAX: usize = 2;
/// Receipt and revision say how a row came to be, and nothing of what it claims.
const COLUMNS_LEFT_OUT: [usize; 3] = [STATE, 12, 13];
/// Rows told in words, of each kind of change.
const EXAMPLES_MAX: usize = 3;

/// What becomes of rows of a state; `None`: there is no such row.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StateChange {
    pub from: Option<BucketState>,
    pub to: Option<BucketState>,
    pub rows: u64,
    /// Of these, rows with other values than before.
    pub other_values: u64,
    /// The first of them, in words.
    pub examples: Vec<String>,
}

/// What today's rules say otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejudged {
    pub records: u64,
    /// Whose rules the day's rows follow.
    pub judged_by: JudgedBy,
    /// What today's rules say otherwise than those in the day's log, in words.
    pub rules: Vec<String>,
    /// Rows of buckets that are as before.
    pub unchanged: u64,
    /// Rows of buckets with another state or other values, by states.
    pub changes: Vec<StateChange>,
    /// All other tables.
    pub tables: Vec<TableComparison>,
    /// Parts of the log that are lost, in words.
    pub damages: Vec<String>,
}

/// Judges a day anew, and compares with the store.
///
/// May be dropped at any time. `pulse` is told of the progress.
///
/// # Errors
/// [`VerifyError`].
pub async fn rejudge_day(
    url: &str,
    spool_directory: &Path,
    settings: &PipelineSettings,
    date: TradingDate,
    pulse: &Pulse,
) -> Result<Rejudged, VerifyError> {
    let replayed = replay(url, spool_directory, settings, (date, WhichRules::Todays), pulse).await?;
    let Replayed { records, judged_by, store, losses: damages, rules, .. } = replayed;
    let (ours, theirs) = (Reader::open(url).await?, store.reader().await?);
    let mut changes = Changes::default();
    for part in store::day_parts(date) {
        let stored = ours.dump_part(BUCKETS, date, part).await?;
        pulse.progress();
        changes.add(&stored, &theirs.dump_part(BUCKETS, date, part).await?);
        pulse.progress();
    }
    let others = store::dumped_tables().filter(|table| *table != BUCKETS);
    let tables = compare_tables((&ours, &theirs), date, others, &mut Vec::new(), pulse).await?;
    let Changes { unchanged, by_states } = changes;
    Ok(Rejudged {
        records,
        judged_by,
        rules,
        unchanged,
        changes: by_states.into_values().collect(),
        tables,
        damages,
    })
}

#[derive(Debug, Default)]
struct Changes {
    unchanged: u64,
    by_states: BTreeMap<(Option<u8>, Option<u8>), StateChange>,
}

impl Changes {
    /// Lines of the same part of the day.
    fn add(&mut self, stored: &[String], judged: &[String]) {
        let mut pairs: BTreeMap<(&str, &str), [Option<Vec<&str>>; 2]> = BTreeMap::new();
        for (side, lines) in [stored, judged].into_iter().enumerate() {
            for line in lines {
                let cells: Vec<&str> = line.split('|').collect();
                let key = (cells[BUCKET], cells[CONTRACT]);
                pairs.entry(key).or_default()[side] = Some(cells);
            }
        }
        for ((bucket, contract), [before, after]) in pairs {
            self.add_row((bucket, contract), before.as_deref(), after.as_deref());
        }
    }

    fn add_row(&mut self, (bucket, contract): (&str, &str), before: Option<&[&str]>, after: Option<&[&str]>) {
        let state = |cells: Option<&[&str]>| cells.and_then(|cells| cells[STATE].parse::<u8>().ok());
        let values = |cells: &[&str]| -> Vec<String> {
            let numbered = cells.iter().enumerate();
            numbered
                .filter(|(column, _)| !COLUMNS_LEFT_OUT.contains(column))
                .map(|(_, cell)| (*cell).to_owned())
                .collect()
        };
        let is_other_value = before.map(values) != after.map(values);
        let states = (state(before), state(after));
        if states.0 == states.1 && !is_other_value {
            self.unchanged += 1;
            return;
        }
        let named = |code: Option<u8>| code.and_then(BucketState::from_code);
        let change = self.by_states.entry(states).or_insert_with(|| StateChange {
            from: named(states.0),
            to: named(states.1),
            ..StateChange::default()
        });
        change.rows += 1;
        change.other_values += u64::from(is_other_value);
        if change.examples.len() < EXAMPLES_MAX {
            let time = bucket.parse().map_or_else(
                |_| bucket.to_owned(),
                |us| Bucket::containing(Timestamp::from_us(us)).start().to_ist().format("%H:%M").to_string(),
            );
            let contract = contract.split_once(':').map_or(contract, |(_, contract)| contract);
            change.examples.push(format!("{contract} at {time}: {}", describe_change(before, after)));
        }
    }
}

/// The first fields that differ; of rows that differ in none the open interest.
fn describe_change(before: Option<&[&str]>, after: Option<&[&str]>) -> String {
    let told = |cells: Option<&[&str]>, column: usize| {
        let cell = cells.and_then(|cells| cells.get(column)).filter(|cell| !cell.is_empty());
        cell.map_or_else(|| "-".to_owned(), |cell| describe_cell(column, cell))
    };
    let both = |(column, name): (usize, &'static str)| (name, told(after, column), told(before, column));
    let differing: Vec<String> = CLAIMS
        .into_iter()
        .map(both)
        .filter(|(_, after, before)| after != before)
        .map(|(name, after, before)| format!("{name} {after}, was {before}"))
        .take(FIELDS_MAX)
        .collect();
    match differing.is_empty() {
        true => format!("OI {}, as before", told(after, CLAIMS[0].0)),
        false => differing.join("; "),
    }
}

/// As the store has it, where it cannot be read.
fn describe_cell(column: usize, cell: &str) -> String {
    match cell.parse::<i64>() {
        Ok(us) if column == EVENT_TIME => Timestamp::from_us(us).to_ist().format("%H:%M:%S%.3f").to_string(),
        Ok(code) if column == PROVIDER => {
            let provider = u8::try_from(code).ok().and_then(Provider::from_code);
            provider.map_or_else(|| cell.to_owned(), |provider| provider.to_string())
        }
        Ok(e4) if COLUMNS_E4.contains(&column) => Price::from_e4(e4).to_string(),
        _ => cell.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jobs::test_day::{Place, at, date, day};

    async fn rejudged(place: &Place, settings: &PipelineSettings) -> Rejudged {
        let pulse = Pulse::default();
        rejudge_day(&place.url(), &place.spool(), settings, date(), &pulse).await.expect("judged")
    }

    #[tokio::test]
    async fn the_same_rules_change_nothing() {
        let place = Place::new();
        place.play(day(true)).await;
        let rejudged = rejudged(&place, &PipelineSettings::of_tests()).await;
        assert_eq!((rejudged.judged_by, rejudged.changes.len()), (JudgedBy::Log, 0), "{rejudged:?}");
        assert_eq!(rejudged.rules, [""; 0]);
        assert!(rejudged.unchanged > 0 && rejudged.tables.iter().all(|table| table.different == 0));
    }

    #[tokio::test]
    async fn a_row_that_an_earlier_version_claimed_without_proof_is_told_of() {
        let mut place = Place::new();
        place.spoil = |batch| {
            let mut rows = batch.buckets.iter_mut();
            let row = rows.rfind(|row| row.bucket.start() == at(9, 24, 0)).expect("a row");
            row.state = BucketState::Carried;
            row.open_interest = Some(650);
        };
        place.play(day(false)).await;
        let rejudged = rejudged(&place, &PipelineSettings::of_tests()).await;
        assert_eq!(rejudged.judged_by, JudgedBy::OtherVersion);
        let [change] = &rejudged.changes[..] else { panic!("{rejudged:?}") };
        assert_eq!((change.from, change.to), (Some(BucketState::Carried), Some(BucketState::Missing)));
        assert_eq!((change.rows, change.other_values, change.examples.len()), (1, 1, 1));
        assert!(change.examples[0].ends_with("at 09:24: OI -, was 650"), "{change:?}");
    }

    #[test]
    fn an_example_names_what_differs() {
        let stored = "0|NSE:NIFTY|300|-5|1000000|650||||1|1|1769744645000000|7|0|305";
        let told = |columns: &[(usize, &str)]| {
            let before: Vec<&str> = stored.split('|').collect();
            let mut after = before.clone();
            columns.iter().for_each(|(column, cell)| after[*column] = cell);
            describe_change(Some(&before), Some(&after))
        };
        assert_eq!(told(&[(5, "715")]), "volume 715, was 650");
        assert_eq!(told(&[(4, "1000500"), (6, "999500")]), "LTP 100.05, was 100.00; bid 99.95, was -");
        assert_eq!(told(&[(11, "1769744646000000")]), "stamp 09:14:06.000, was 09:14:05.000");
        assert_eq!(told(&[(10, "2")]), "said by nse, was angel_one");
        assert_eq!(told(&[(9, "4"), (12, "8"), (13, "1")]), "OI 300, as before");
        assert_eq!(told(&[(2, "250"), (3, "-55")]), "OI 250, was 300; change of OI -55, was -5");
    }

    #[tokio::test]
    async fn todays_rules_stand_in_for_those_of_the_log() {
        let place = Place::new();
        place.play(day(true)).await;
        let mut nothing_watched = PipelineSettings::of_tests();
        nothing_watched.watch.underlyings.clear();
        nothing_watched.grace_us += 250_000;
        let rejudged = rejudged(&place, &nothing_watched).await;
        assert_eq!((rejudged.judged_by, rejudged.unchanged), (JudgedBy::Log, 0), "the log's rules judged it");
        assert!(rejudged.changes.iter().all(|change| change.to.is_none()), "{rejudged:?}");
        let told = ["watch list: * (all expiries); today nothing", "grace: 5 s; today 5250 ms"];
        assert_eq!(rejudged.rules, told, "and they are named");
    }
}
