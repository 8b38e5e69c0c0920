//! What holds of a record whose feed was away for a while: what was not seen is marked, all else equals the recording.
//!
//! A poll sees what is there when it is answered. Where the machine is too slow to ask between two captures of the recording,
//! the first of them was seen by nobody: the record then says what the last poll before said.

use super::answer::{Answer, BUCKET_S, SESSION_CLOSE_S, cells, number, price, second_of_day};
use bhavd::store::DayDump;
use std::collections::{BTreeMap, BTreeSet};

/// How long after its end a bucket closes, by default.
const GRACE_S: i64 = 5;

/// What was not seen.
pub struct Outages {
    /// The gaps that the record tells, in seconds of the day.
    pub gaps: Vec<(i64, i64)>,
    /// Rows marked as missing.
    pub missing: usize,
    /// Those of them that lie in no gap that the record tells: contracts and buckets.
    untold: Vec<(String, i64)>,
}

impl Outages {
    /// A feed was away wherever a row is missing. `explain`: what is known of a contract's row of the bucket that begins at this
    /// second of the day.
    pub fn assert_told(&self, explain: impl Fn(&str, i64) -> String) {
        let Outages { gaps, untold, .. } = self;
        if let Some((contract, bucket)) = untold.first() {
            panic!(
                "missing, but nothing was away: {untold:?}; gaps {gaps:?}; {}",
                explain(contract, *bucket)
            );
        }
    }
}

/// Which captures of each chain the record knows of, in seconds of the day: a body is of one chain.
type Captures<'a> = BTreeMap<&'a str, BTreeSet<i64>>;

/// The underlying and the expiry of a contract.
fn chain_of(contract: &str) -> &str {
    let (end, _) = contract.match_indices(' ').nth(1).expect("a name, an expiry and a strike");
    &contract[..end]
}

fn captures_in(record: &DayDump) -> Captures<'_> {
    let mut captures = Captures::new();
    for row in cells(record, "intraday_option_oi") {
        // A row that is missing shows what was seen in its bucket, too.
        if !row[11].is_empty() {
            captures.entry(chain_of(row[1])).or_default().insert(second_of_day(row[11]));
        }
    }
    for row in cells(record, "oi_delta_log") {
        captures.entry(chain_of(row[0])).or_default().insert(second_of_day(row[1]));
    }
    captures
}

/// One row for each contract and bucket; each is marked missing within a told gap, or equals the recording; changes of open
/// interest add up to the recorded ones.
pub fn assert_equal_but_for_outages(answer: &Answer, record: &DayDump, circumstances: &str) -> Outages {
    assert_equal(answer, record, circumstances, None)
}

/// The same of a polled feed: a row may also say what the last capture that was seen before its end said.
pub fn assert_equal_as_polled(answer: &Answer, record: &DayDump, circumstances: &str) -> Outages {
    assert_equal(answer, record, circumstances, Some(&captures_in(record)))
}

fn assert_equal(
    answer: &Answer,
    record: &DayDump,
    circumstances: &str,
    captures: Option<&Captures<'_>>,
) -> Outages {
    // Whether no poll is known to have seen anything after the one instant and before the other.
    let is_unseen = |contract: &str, after: i64, before: i64| {
        let seen = captures.and_then(|captures| captures.get(chain_of(contract)));
        seen.is_some_and(|seen| seen.range(after + 1..before).next().is_none())
    };
    let mut behind = 0;
    let gaps: Vec<(i64, i64)> =
        cells(record, "gaps").iter().map(|row| (second_of_day(row[0]), second_of_day(row[1]))).collect();
    let mut missing: BTreeSet<(String, i64)> = BTreeSet::new();
    let mut keys = BTreeSet::new();
    for row in cells(record, "intraday_option_oi") {
        let (bucket, contract) = (second_of_day(row[0]), row[1]);
        assert!(keys.insert((bucket, contract.to_owned())), "twice: {row:?}");
        if row[9] == "4" {
            missing.insert((contract.to_owned(), bucket));
            continue;
        }
        let expected = answer.bucket(contract, bucket).expect("a value");
        let found = (number(row[2]), price(row[4]), number(row[5]));
        let wanted = (expected.open_interest, expected.last_price_e4, expected.volume);
        let event = second_of_day(row[11]);
        // Bodies after a capture repeat its values with later stamps.
        let captured = answer.contracts[contract].iter().rfind(|value| value.second <= event);
        let is_as_captured =
            captured.is_some_and(|value| found == (value.open_interest, value.last_price_e4, value.volume));
        if found != wanted && is_as_captured && is_unseen(contract, event, bucket + BUCKET_S) {
            behind += 1;
            continue;
        }
        assert_eq!(found, wanted, "{row:?}, {circumstances}, gaps {gaps:?}");
    }
    if behind > 0 {
        println!("{behind} contract-buckets were closed before the next poll was answered; {circumstances}");
    }
    assert_eq!(keys.len(), 85_500, "one row for each contract and bucket, {circumstances}");
    println!("{} of {} contract-buckets were not seen; {circumstances}", missing.len(), keys.len());
    let mut untold = missing.clone();
    // A feed that is up again has seen nothing before its first data: the bucket in which a gap ends may be missing too.
    untold.retain(|(_, bucket)| {
        let end = bucket + BUCKET_S;
        !gaps.iter().any(|(from, to)| *from <= end + GRACE_S && bucket < to)
    });
    let covered_missing: i64 = cells(record, "coverage")
        .iter()
        .filter(|row| row[3] == "4")
        .map(|row| (number(row[2]) - number(row[1])) / 180_000_000 + 1)
        .sum();
    assert_eq!(covered_missing, missing.len() as i64, "coverage marks what is missing");

    if !untold.is_empty() {
        // The changes cannot add up then; the caller says what is known of such a row.
        return Outages { gaps, missing: missing.len(), untold: untold.into_iter().collect() };
    }
    let mut sums: BTreeMap<&str, i64> = BTreeMap::new();
    let expected: BTreeSet<(String, i64, i64, i64)> = answer.deltas().into_iter().collect();
    let rows = cells(record, "oi_delta_log");
    for row in &rows {
        let (contract, second) = (row[0], second_of_day(row[1]));
        let delta = (contract.to_owned(), second, number(row[3]), number(row[4]));
        *sums.entry(contract).or_default() += delta.3 - delta.2;
        // A change that spans a time in which the daemon was down may hold several recorded ones.
        let spans_down = gaps.iter().any(|(from, to)| from - 60 <= second && second <= to + 60);
        let values = &answer.contracts[contract];
        let spans_captures =
            values.iter().any(|value| value.second == second && value.open_interest == delta.3)
                && values.iter().any(|value| {
                    value.open_interest == delta.2
                        && value.second < second
                        && is_unseen(contract, value.second, second)
                });
        // The body of the capture itself was not seen, the next one that repeats it was.
        let until_now: Vec<_> = values.iter().filter(|value| value.second <= second).collect();
        let is_repeated = matches!(&until_now[..], [.., before, captured]
            if (before.open_interest, captured.open_interest) == (delta.2, delta.3)
                && is_unseen(contract, captured.second - 1, second));
        assert!(
            expected.contains(&delta) || spans_down || spans_captures || is_repeated,
            "{row:?} is no recorded change, {circumstances}, gaps {gaps:?}"
        );
    }
    for (contract, values) in &answer.contracts {
        // The bodies after a capture repeat it until the next one.
        let is_seen = |at: usize| {
            let next = values.get(at + 1).map_or(SESSION_CLOSE_S, |next| next.second.min(SESSION_CLOSE_S));
            !is_unseen(contract, values[at].second - 1, next)
        };
        let of_session: Vec<_> = (0..values.len())
            .filter(|&at| values[at].second < SESSION_CLOSE_S && is_seen(at))
            .map(|at| values[at])
            .collect();
        let moved_to = |last: i64| last - of_session[0].open_interest;
        // What changed in an outage that lasted until about the close may have been seen before it or not.
        let is_lost =
            |second: i64| gaps.iter().any(|(from, to)| *from <= second && SESSION_CLOSE_S - 60 <= *to);
        let last_seen = of_session.iter().rfind(|value| !is_lost(value.second));
        let moved =
            [of_session.last(), last_seen].map(|last| last.map(|value| moved_to(value.open_interest)));
        let told: Vec<(i64, i64, i64)> = rows
            .iter()
            .filter(|row| row[0] == contract)
            .map(|row| (second_of_day(row[1]), number(row[3]), number(row[4])))
            .collect();
        let broken = told.windows(2).find(|pair| pair[0].2 != pair[1].1);
        let sum = sums.get(contract.as_str()).copied().unwrap_or(0);
        assert!(
            moved.contains(&Some(sum)),
            "{contract}: {sum}, not {moved:?}, {circumstances}, the changes do not follow each other at {broken:?}, the last \
             is {:?}, gaps {gaps:?}",
            told.last()
        );
    }
    Outages { gaps, missing: missing.len(), untold: untold.into_iter().collect() }
}
