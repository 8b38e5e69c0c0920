//! What the rows of a schedule say, held to what was true and what was shown.

use super::{
    BUCKET_S, BUCKETS, END_S, OPEN_S, at,
    market::{Fault, Kind, LOT, Value, of_chain},
    play::{Play, Shown},
};
use crate::market::{BucketRow, BucketState, Provider, Timestamp};
use std::collections::{BTreeMap, BTreeSet};

/// What a stream's row may lag behind the truth.
const STREAM_SLACK_S: i64 = 2;
/// A chain that is shown again after so long was not silent.
const CHAIN_SILENT_S: i64 = 60;
/// A near chain of so many contracts that has not moved at all for so long since the open stands still.
const STILL_S: i64 = 900;
const STILL_CONTRACTS_MIN: usize = 5;
/// How long after its end a row may wait for what proves it.
const LATENESS_S: i64 = 330;
/// For how long after a bucket's end the engine keeps what was known at it, at least: the ends of four buckets.
const MEMORY_S: i64 = 700;
/// For how long a difference is followed before it is a dispute, at most, and after it has ended.
const DISPUTE_S: i64 = 600;
/// What a row of the website may: bodies further apart prove nothing.
const SITE_SLACK_S: i64 = 180;

/// What a schedule came to, so that the test is known to test something.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tally {
    pub live: u64,
    pub carried: u64,
    pub backfilled: u64,
    pub missing: u64,
    pub contradicted: u64,
    pub switches: u64,
    pub whole_candles: u64,
    pub marked_candles: u64,
    /// Contracts of which some volume has no place.
    pub unplaced: u64,
    /// Rows in lots that nothing contradicted for long enough.
    pub in_lots: u64,
    pub disputed: u64,
}

pub(super) fn check(play: &Play, tally: &mut Tally) -> Result<(), String> {
    let rows = play.rows();
    let mut states: BTreeMap<(usize, BucketState), usize> = BTreeMap::new();
    for ((contract, bucket), row) in &rows {
        *states.entry((*contract, row.state)).or_default() += 1;
        if *bucket >= BUCKETS {
            continue;
        }
        match row.state {
            BucketState::Live => tally.live += 1,
            BucketState::Carried => tally.carried += 1,
            BucketState::Backfilled => tally.backfilled += 1,
            BucketState::Missing | BucketState::Unlisted => tally.missing += 1,
        }
        let (start, end) = (OPEN_S + bucket * BUCKET_S, OPEN_S + (bucket + 1) * BUCKET_S);
        let name = || format!("contract {contract} bucket {bucket} ({start}..{end}): {row:?}");
        if row.state == BucketState::Missing {
            check_missing(play, *contract, start, end).map_err(|why| {
                trace(play, *contract, start, end);
                format!("{why}: {}", name())
            })?;
            continue;
        }
        if row.state == BucketState::Unlisted {
            return Err(format!("every contract is listed from the beginning: {}", name()));
        }
        let (Some(volume), Some(event_time)) = (row.volume, row.event_time) else {
            // Values from before the open have no volume.
            continue;
        };
        let stamp = event_time.us_since(at(0)) / 1_000_000;
        if row.provider == Some(Provider::AngelOne) && is_of_lots(play, *contract, stamp, row) {
            if is_lots_shown(play, *contract, stamp, end) {
                trace(play, *contract, start, end);
                return Err(format!("another witness shows that it is in lots: {}", name()));
            }
            tally.in_lots += 1;
            continue;
        }
        let frozen = Some(Provider::AngelOne) == row.provider;
        let frozen = play.frozen_since(stamp, *contract).filter(|_| frozen);
        let truth = play.market.at(*contract, stamp);
        let is_said = |value: Value| (value.volume, Some(value.open_interest)) == (volume, row.open_interest);
        // Where one such fault outlasts another, the later values come under stamps of before.
        let is_of_frozen = |fault: &Fault| {
            let is_of = matches!(&fault.kind, Kind::Frozen(of) if of.contains(contract));
            is_of && is_said(play.market.at(*contract, fault.from))
        };
        let is_shown = frozen.is_some() && play.faults.iter().any(is_of_frozen);
        if !is_said(truth) && !is_shown {
            return Err(format!("it was never so: {truth:?} at {stamp}: {}", name()));
        }
        let slack = match row.provider {
            Some(Provider::Nse) => SITE_SLACK_S,
            _ => STREAM_SLACK_S,
        };
        let is_ordered = |provider: Provider| {
            play.is_in(start, end + LATENESS_S, |kind| *kind == Kind::Override(provider))
        };
        // An operator's order binds: what the others know better is not taken. The row may name the one that said it first.
        let by_bodies = Some(Provider::Nse).filter(|_| is_bridged(play, *contract, end, volume));
        let ordered = row.provider.into_iter().chain(by_bodies).find(|provider| is_ordered(*provider));
        let newer = play.shown[*contract].iter().find(|shown| {
            shown.stamp < end - slack
                && !((shown.stamp == stamp || is_bridged(play, *contract, end, volume))
                    && is_of_frozen_answer(play, *contract, shown))
                && shown.received < end + MEMORY_S
                && shown.volume > volume
                && ordered.is_none_or(|ordered| shown.provider == ordered)
        });
        if let Some(newer) = newer {
            trace(play, *contract, start, end);
            return Err(format!("a witness contradicts it: {newer:?}: {}", name()));
        }
    }
    for (contract, terms) in play.market.contracts.iter().enumerate() {
        let Some(instrument) = play.batch.instruments.iter().find(|row| row.contract == *terms) else {
            continue;
        };
        let of_contract = rows.keys().filter(|(of, _)| *of == contract).count();
        if of_contract != 125 {
            return Err(format!("contract {contract} has {of_contract} rows"));
        }
        let last = play.batch.coverage.iter().rfind(|day| day.instrument == instrument.id);
        let mut counted: BTreeMap<BucketState, usize> = BTreeMap::new();
        for run in last.map(|day| &day.runs[..]).unwrap_or_default() {
            let buckets = run.to_bucket.index_in_day() - run.from_bucket.index_in_day() + 1;
            *counted.entry(run.state).or_default() += buckets;
        }
        for state in BucketState::ALL {
            let of_rows = states.get(&(contract, state)).copied().unwrap_or(0);
            let of_coverage = counted.get(&state).copied().unwrap_or(0);
            if of_rows != of_coverage {
                return Err(format!(
                    "contract {contract}: {of_rows} rows {state}, coverage says {of_coverage}"
                ));
            }
        }
    }
    let counters = play.pipeline.day_counters();
    tally.contradicted += counters.contradicted;
    tally.switches += counters.switches;
    tally.disputed += counters.disputed;
    Ok(())
}

/// Whether bodies before and after a bucket's end prove this volume, as well as bodies do.
fn is_bridged(play: &Play, contract: usize, end: i64, volume: i64) -> bool {
    let bodies = play.shown[contract].iter().filter(|shown| shown.provider == Provider::Nse);
    let before = bodies.clone().filter(|shown| shown.stamp < end).max_by_key(|shown| shown.stamp);
    let after = bodies.filter(|shown| shown.stamp >= end).min_by_key(|shown| shown.stamp);
    let is_near = |(before, after): (&Shown, &Shown)| after.stamp - before.stamp <= SITE_SLACK_S;
    before.zip(after).is_some_and(|pair| pair.0.volume == volume && is_near(pair))
}

/// Whether an answer dates a trade to a time in which its provider went on to show less, or to the stamp under which it did: it
/// contradicts itself, and which of the two is right it does not show.
fn is_of_frozen_answer(play: &Play, contract: usize, shown: &Shown) -> bool {
    shown.provider == Provider::AngelOne
        && shown.received > shown.stamp
        && play.frozen_since(shown.stamp, contract).is_some()
}

/// Prints what was shown of a contract around a bucket and what was stated, of a single schedule.
fn trace(play: &Play, contract: usize, start: i64, end: i64) {
    if std::env::var_os("BHAVD_SCHEDULE").is_none() {
        return;
    }
    for shown in
        play.shown[contract].iter().filter(|shown| start - 60 < shown.stamp && shown.stamp < end + 300)
    {
        println!("{shown:?}");
    }
    let second = |time: Timestamp| time.us_since(at(0)) / 1_000_000;
    let is_of = |instrument| {
        let known = play.batch.instruments.iter().find(|row| row.id == instrument);
        known.is_some_and(|row| row.contract == play.market.contracts[contract])
    };
    for row in play.batch.buckets.iter() {
        let BucketRow { state, revision, volume, provider, .. } = row;
        let (bucket, event) = (second(row.bucket.start()), row.event_time.map(second));
        if (start - 400..end + 400).contains(&bucket) && is_of(row.instrument) {
            println!("{bucket} {state} revision {revision} {provider:?} {event:?} {volume:?}");
        }
    }
}

/// Whether the daemon or the site is known to have been away between the receipts of two bodies, by their stamps: what happened
/// meanwhile was not seen.
fn has_known_break(play: &Play, contract: usize, before: i64, after: i64) -> bool {
    let received = |stamp: i64| {
        let shown =
            play.shown[contract].iter().find(|shown| shown.provider == Provider::Nse && shown.stamp == stamp);
        shown.map_or(stamp, |shown| shown.received)
    };
    let (from, until) = (received(before), received(after));
    play.faults.iter().any(|fault| {
        matches!(&fault.kind, Kind::Restart | Kind::SiteDown | Kind::ChainDown(_))
            && fault.from < until
            && from < fault.until
    })
}

/// Whether a row states the stream's open interest in lots.
fn is_of_lots(play: &Play, contract: usize, stamp: i64, row: &BucketRow) -> bool {
    // An answer to a request shows the last trade, with its stamp, also one of a frozen time that is over.
    let is_in_lots = |kind: &Kind| matches!(kind, Kind::Lots(of) if of.contains(&contract));
    let is_shown = |second: i64| {
        let truth = play.market.at(contract, second).open_interest;
        truth > 0 && row.open_interest == Some(truth / LOT)
    };
    play.is_in(stamp - 10, END_S, is_in_lots)
        && (is_shown(stamp) || play.frozen_since(stamp, contract).is_some_and(is_shown))
}

/// Whether both providers showed a contract, the one in lots, for long enough after a row's stamp and undisturbed by anything else.
fn is_lots_shown(play: &Play, contract: usize, stamp: i64, end: i64) -> bool {
    let window = stamp.min(end) - 180..end + DISPUTE_S;
    let is_alone = play.faults.iter().all(|fault| match &fault.kind {
        Kind::Lots(of) if of.contains(&contract) => fault.from + 180 < end && window.end < fault.until,
        _ => fault.until < window.start - 600 || window.end < fault.from,
    });
    let history = &play.market.history[contract];
    let values = history.iter().filter(|value| value.second < window.end);
    let lowest = values.clone().map(|value| value.open_interest).min().unwrap_or(0);
    let highest = values.map(|value| value.open_interest).max().unwrap_or(0);
    let is_apart = highest / LOT < lowest;
    play.has_stream && play.has_site && is_alone && is_apart && window.end < END_S
}

/// Whether the open interest of a contract may be in dispute around a bucket. One that nothing decides leaves rows missing, until
/// some minutes after both providers have shown the same again.
/// Past half of a chain's contracts it is the chain's, of however many faults they are.
pub(super) fn is_disputed(play: &Play, contract: usize, start: i64, end: i64) -> bool {
    let chain = of_chain(contract / play.per_chain, play.per_chain);
    let disputed = play.faults.iter().filter_map(|fault| {
        let Kind::Lots(of) = &fault.kind else { return None };
        let runs =
            fault.from <= end + DISPUTE_S && start <= agreed_after(play, contract, fault.until) + DISPUTE_S;
        runs.then_some(of.range(chain.clone()))
    });
    let disputed: BTreeSet<usize> = disputed.flatten().copied().collect();
    disputed.contains(&contract) || disputed.len() * 2 > play.per_chain
}

/// When both providers have shown the same of a contract again, twice: with the eighth body after `second`, since a late copy of a
/// figure that moves may miss the stream's in three of four, unless the stream shows nothing then, or nothing new.
fn agreed_after(play: &Play, contract: usize, second: i64) -> i64 {
    let mut shown_since = play.bodies[contract].iter().filter(|stamp| **stamp > second);
    let agreed = shown_since.nth(7).map_or(END_S, |stamp| *stamp);
    let silent = play.faults.iter().filter(|fault| {
        matches!(
            &fault.kind,
            Kind::MuteContracts(_)
                | Kind::MuteStream(_)
                | Kind::LostStream(..)
                | Kind::Frozen(_)
                | Kind::Refused(_)
                | Kind::Restart
        ) && fault.from <= agreed
            && second < fault.until
    });
    let ended = silent.map(|fault| fault.until).max();
    ended.map_or(agreed, |ended| agreed_after(play, contract, ended))
}

/// Whether a chain had not moved for so long from the open on that it seemed to stand still: what it showed of a bucket until it
/// moved proves nothing.
fn stood_still_from_open(play: &Play, contract: usize, end: i64) -> bool {
    let chain = of_chain(contract / play.per_chain, play.per_chain);
    let moved = play.market.history[chain].iter().flatten().map(|value| value.second);
    let moved = moved.filter(|second| *second > OPEN_S).min().unwrap_or(END_S);
    play.per_chain >= STILL_CONTRACTS_MIN
        && moved >= OPEN_S + STILL_S - SITE_SLACK_S
        && end <= moved + SITE_SLACK_S
}

/// Whether the stream goes on showing contracts of a chain: one that it shows nothing of any more is down since its last data.
fn is_chain_streamed_on(play: &Play, contract: usize, end: i64) -> bool {
    let chain = of_chain(contract / play.per_chain, play.per_chain);
    let shown = play.shown[chain].iter().flatten().filter(|shown| shown.provider == Provider::AngelOne);
    let stamps = || shown.clone().map(|shown| shown.stamp);
    let (before, after) = (stamps().filter(|at| *at < end).max(), stamps().filter(|at| *at >= end).min());
    before.zip(after).is_some_and(|(before, after)| after - before <= CHAIN_SILENT_S)
}

/// Whether a witness that worked proved a contract at a bucket's end.
fn check_missing(play: &Play, contract: usize, start: i64, end: i64) -> Result<(), String> {
    if is_disputed(play, contract, start, end) || stood_still_from_open(play, contract, end) {
        return Ok(());
    }
    // A contract that is muted may be proved by nothing else; its neighbours' scope may be down with it.
    // A loss that is over before it is noticed is none to the daemon, but by what the stream has missed.
    let is_unnoticed =
        |fault: &Fault| matches!(fault.kind, Kind::LostStream(_, after) if fault.from + after >= fault.until);
    let is_muted = play.faults.iter().any(|fault| {
        let is_mute = matches!(&fault.kind, Kind::MuteContracts(_) | Kind::MuteStream(_) | Kind::Frozen(_));
        (is_mute || is_unnoticed(fault)) && fault.from < end + 240 && end - 600 < fault.until
    });
    // Of its last second nothing is known.
    let streamed = play.streamed[contract].iter().find(|(from, until)| *from < end && end < *until);
    if let (Some((from, until)), false) = (streamed, is_muted)
        && is_chain_streamed_on(play, contract, end)
    {
        return Err(format!("its stream proved it from {from} to {until}"));
    }
    let bodies = &play.bodies[contract];
    let before = bodies.iter().rfind(|stamp| **stamp < end);
    let after = bodies.iter().find(|stamp| **stamp >= end);
    if let (Some(before), Some(after)) = (before, after)
        && *before >= start
        && after - before <= SITE_SLACK_S
        && !has_known_break(play, contract, *before, *after)
    {
        return Err(format!("bodies of {before} and {after} proved it"));
    }
    Ok(())
}
