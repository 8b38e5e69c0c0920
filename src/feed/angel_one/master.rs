//! The instrument master of the day: fetched, cut down, put into the log, turned into a plan.
//!
//! A contract that was listed and has not expired does not cease to exist. A master that cannot be had, or that lacks what the
//! last good one had, changes nothing: the last good one is put into the log again, and status says so.

use super::{feed::Shared, plan::Plan, rest::RestError};
use crate::{
    engine::watch::WatchList,
    feed::{
        NotAccepted, RecordSink,
        backoff::Backoff,
        last_good::{Copy, LastGood},
    },
    logging::Event,
    market::{Contract, Provider, ProviderToken, Timestamp, TradingDate},
    spool::Source,
    wire::angel_one::{WireError, cut_master, for_each_listing},
};
use chrono::{Days, NaiveTime};
use std::{
    collections::{BTreeMap, HashSet},
    convert::Infallible,
    sync::Arc,
    time::Duration,
};

/// After Angel One has published the day's file, before the pre-open.
const FETCHED_AT: NaiveTime = NaiveTime::from_hms_opt(8, 30, 0).expect("a time of day");

const TROUBLE: &str = "instrument master";
const SHORTFALL: &str = "contracts that the instrument master lacks";
/// A master that lacks more than this part of an expiry is short. Fewer cease to be listed now and then.
const LACKED_PART: usize = 4;
/// Failures in a row after which the last good one is handed over again. In the session, where nothing is recorded without
/// one, the first is enough.
const FAILURES_MAX: u32 = 3;

/// A cut master, and what is listed in it.
struct Master {
    cut: Vec<u8>,
    listed: Listed,
}

type Listed = Vec<(ProviderToken, Contract)>;

/// Never returns but with the sink's error. A failed fetch is tried again, and so is one whose file is not believed; until it
/// succeeds the last good one holds.
pub(super) async fn keep_current<S: RecordSink>(shared: &Shared<S>) -> Result<Infallible, NotAccepted> {
    let last_good = LastGood::new(shared.beside_log.as_deref(), "angel_one_master");
    shared.status.end_trouble(TROUBLE);
    let mut backoff = Backoff::new(Duration::from_secs(2), Duration::from_secs(120), shared.seed_of(4));
    loop {
        let (mut failures, mut is_repeated) = (0, false);
        let (master, last) = loop {
            let error = match fetch_believed(shared, &last_good).await {
                Ok(believed) => break believed,
                Err(error) => error,
            };
            shared.note_error(TROUBLE, &error);
            failures += 1;
            let now = shared.clock.now();
            let is_open =
                shared.calendar.session(now.date_ist()).is_some_and(|session| session.contains(now));
            if !is_repeated && (is_open || failures >= FAILURES_MAX) {
                is_repeated = repeat(shared, &last_good, &error).await?;
            }
            shared.health.backing_off();
            shared.clock.sleep(backoff.next_wait()).await;
        };
        backoff.reset();
        let now = shared.clock.now();
        match shortfall(&last, &master.listed, now.date_ist()) {
            // The fuller one stays the last good one, so that a restart says it too.
            Some(lacks) => shared.status.set_trouble(SHORTFALL, lacks),
            None => {
                keep(&last_good, now.date_ist(), &master).await;
                shared.status.end_trouble(SHORTFALL);
            }
        }
        hand_over(shared, master).await?;
        shared.status.end_trouble(TROUBLE);
        shared.clock.sleep_until(next_fetch(now)).await;
    }
}

/// Hands a master over and follows it.
async fn hand_over<S: RecordSink>(shared: &Shared<S>, master: Master) -> Result<(), NotAccepted> {
    let Master { cut, listed } = master;
    shared.accept_body(Source::ANGEL_ONE_MASTER, String::new(), cut).await?;
    let plan = Plan::new(&shared.settings, &shared.watch, &listed, shared.clock.now().date_ist());
    // Megabytes that would otherwise wait for the next morning.
    drop(listed);
    shared.health.planned(plan.sockets.iter().map(|tokens| tokens.len()).enumerate()).await?;
    shared.plan.send_replace(Some(Arc::new(plan)));
    Ok(())
}

/// Hands the last good master over again, so that it is in today's log. False where there is none.
async fn repeat<S: RecordSink>(
    shared: &Shared<S>,
    last_good: &LastGood,
    error: &RestError,
) -> Result<bool, NotAccepted> {
    let Some((date, master)) = read(shared, last_good).await else { return Ok(false) };
    shared.status.set_trouble(TROUBLE, format!("that of {date} stays in force: {error}"));
    log::warn!(event = Event::MasterOutdated, provider:% = Provider::AngelOne, master:% = date, error:%;
        "Angel One instrument master: that of {date} stays in force: {error}");
    hand_over(shared, master).await?;
    Ok(true)
}

#[expect(clippy::disallowed_methods, reason = "the feed waits for it, and it ends with the write")]
async fn keep(last_good: &LastGood, date: TradingDate, master: &Master) {
    let (last_good, cut) = (last_good.clone(), master.cut.clone());
    let kept = tokio::task::spawn_blocking(move || last_good.keep(date, &cut)).await;
    if let Ok(Err(error)) = kept {
        log::warn!("the instrument master could not be kept for another morning: {error}");
    }
}

/// The last good master, and its day.
#[expect(clippy::disallowed_methods, reason = "the feed waits for it, and reading ends")]
async fn read<S: RecordSink>(shared: &Shared<S>, last_good: &LastGood) -> Option<(TradingDate, Master)> {
    let (last_good, watch) = (last_good.clone(), shared.watch.clone());
    let read = tokio::task::spawn_blocking(move || {
        let Copy { date, body } = last_good.read()?;
        let mut listed = Vec::new();
        let read = for_each_listing(&body, |listing| {
            let token = listing.token.filter(|_| watch.entry(&listing.contract.underlying).is_some());
            listed.extend(token.map(|token| (token, listing.contract)));
        });
        match read {
            Ok(_) => Some((date, Master { cut: body, listed })),
            Err(error) => {
                log::warn!("the instrument master kept of {date} cannot be read: {error}");
                None
            }
        }
    });
    read.await.ok().flatten()
}

/// A fresh master, and what the last good one lists.
async fn fetch_believed<S: RecordSink>(
    shared: &Shared<S>,
    last_good: &LastGood,
) -> Result<(Master, Listed), RestError> {
    let (cut, listed) = fetch(shared).await?;
    let last = read(shared, last_good).await.map(|(_, master)| master.listed).unwrap_or_default();
    let date = shared.clock.now().date_ist();
    match doubt(&shared.watch, &last, &listed, date) {
        Some(doubt) => Err(RestError::NotBelieved { what: "the instrument master", doubt }),
        None => Ok((Master { cut, listed }, last)),
    }
}

/// Why a master is not believed: it lists nothing that is watched, or lacks most contracts of an expiry that has yet to come.
/// Contracts are told by their tokens, which stay where a date of expiry is moved.
fn doubt(
    watch: &WatchList,
    last: &[(ProviderToken, Contract)],
    fresh: &[(ProviderToken, Contract)],
    date: TradingDate,
) -> Option<String> {
    if !fresh.iter().any(|(_, contract)| watch.entry(&contract.underlying).is_some()) {
        return Some("nothing that is watched is listed in it".to_owned());
    }
    let mut lost = left_of(last, fresh, date).into_iter().filter(|(_, (left, before))| left * 2 < *before);
    lost.next().map(|(of, left)| describe_left(of, left))
}

/// What a master that is believed lacks all the same: contracts that the last good one has, and that count as missing today.
fn shortfall(
    last: &[(ProviderToken, Contract)],
    fresh: &[(ProviderToken, Contract)],
    date: TradingDate,
) -> Option<String> {
    const NAMED_MAX: usize = 3;
    let is_short = |(left, before): (usize, usize)| (before - left) * LACKED_PART > before;
    let short: Vec<_> = left_of(last, fresh, date).into_iter().filter(|(_, left)| is_short(*left)).collect();
    let named = short.iter().take(NAMED_MAX).map(|(of, left)| describe_left(*of, *left));
    let mut text = named.collect::<Vec<_>>().join("; ");
    if short.len() > NAMED_MAX {
        text += &format!("; {} more expiries lack contracts too", short.len() - NAMED_MAX);
    }
    (!short.is_empty()).then(|| {
        text + "; the others stay in the plan of the day and are missing unless another provider shows them"
    })
}

/// By underlying and expiry that has yet to come: how many of the last good master's contracts are listed still, and how many
/// there were.
fn left_of<'a>(
    last: &'a [(ProviderToken, Contract)],
    fresh: &[(ProviderToken, Contract)],
    date: TradingDate,
) -> BTreeMap<(&'a str, TradingDate), (usize, usize)> {
    let tokens: HashSet<ProviderToken> = fresh.iter().map(|(token, _)| *token).collect();
    let mut left: BTreeMap<(&str, TradingDate), (usize, usize)> = BTreeMap::new();
    for (token, contract) in last {
        let Some(expiry) = contract.expiry().filter(|expiry| *expiry >= date) else { continue };
        let (left, before) = left.entry((&contract.underlying, expiry)).or_default();
        *before += 1;
        *left += usize::from(tokens.contains(token));
    }
    left
}

fn describe_left((underlying, expiry): (&str, TradingDate), (left, before): (usize, usize)) -> String {
    format!("of {before} contracts on {underlying} that expire on {expiry} it lists {left}")
}

/// The next half past eight in India.
fn next_fetch(now: Timestamp) -> Timestamp {
    let today = Timestamp::on(now.date_ist(), FETCHED_AT);
    match today > now {
        true => today,
        false => Timestamp::on(now.date_ist() + Days::new(1), FETCHED_AT),
    }
}

/// The cut master, and what is listed in it.
#[expect(clippy::disallowed_methods, reason = "the feed waits for it, and pure computing ends")]
async fn fetch<S: RecordSink>(
    shared: &Shared<S>,
) -> Result<(Vec<u8>, Vec<(ProviderToken, Contract)>), RestError> {
    let body = shared.rest.master(&shared.settings.master_url).await?;
    let watch = shared.watch.clone();
    // Over 30 MB of JSON take a good part of a second, in which nothing else should wait.
    let cut = tokio::task::spawn_blocking(move || {
        let cut = cut_master(body, |underlying| watch.entry(underlying).is_some())?;
        let mut listed = Vec::new();
        let skipped = for_each_listing(&cut, |listing| {
            listed.extend(listing.token.map(|token| (token, listing.contract)));
        })?;
        Ok::<_, WireError>((cut, listed, skipped))
    });
    let (cut, listed, skipped) = cut.await.map_err(|error| RestError::Unreachable {
        what: "reading the instrument master",
        reason: error.to_string(),
    })??;
    if let Some(error) = &skipped.first_malformed {
        let count = skipped.malformed;
        shared.note_error("instrument master", &format_args!("{count} rows skipped, the first: {error}"));
    }
    Ok((cut, listed))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        engine::watch::WatchedUnderlying,
        market::{Exchange, OptionType, Price, Segment},
    };
    use chrono::NaiveDate;

    #[test]
    fn a_master_that_lacks_most_of_an_expiry_is_not_believed() {
        let day = |day| TradingDate::from_ymd_opt(2026, 2, day).expect("a date");
        let listing = |number: u32, expiry| {
            let strike = Price::from_e4(i64::from(number) * 10_000);
            let contract = Contract::option(Exchange::Nse, "NIFTY", expiry, strike, OptionType::Call);
            (ProviderToken { segment: Segment::NseFo, token: number }, contract)
        };
        let watched = WatchedUnderlying { underlying: "NIFTY".to_owned(), expiries: 1 };
        let watch = WatchList { underlyings: vec![watched] };
        let near: Vec<_> = (1..=4).map(|number| listing(number, day(3))).collect();
        let far: Vec<_> = (11..=30).map(|number| listing(number, day(10))).collect();
        let last = [near.clone(), far.clone()].concat();
        let says = |fresh: &[(ProviderToken, Contract)], date| doubt(&watch, &last, fresh, date);
        assert_eq!(says(&last, day(2)), None);
        assert_eq!(says(&last[2..], day(2)), None, "a half may go");
        let lacks = |fresh: &[(ProviderToken, Contract)]| shortfall(&last, fresh, day(2));
        let told = lacks(&last[2..]).expect("more than a quarter");
        assert!(told.starts_with("of 4 contracts on NIFTY that expire on 2026-02-03 it lists 2; "), "{told}");
        assert_eq!(lacks(&last[1..]), None, "a quarter");
        assert_eq!(lacks(&last), None);
        let reason = says(&last[3..], day(2)).expect("three of four are gone");
        assert_eq!(reason, "of 4 contracts on NIFTY that expire on 2026-02-03 it lists 1");
        assert_eq!(says(&far, day(4)), None, "what has expired may go");
        assert!(says(&[], day(4)).is_some_and(|reason| reason.contains("nothing that is watched")));
        assert!(doubt(&watch, &[], &[], day(4)).is_some(), "also where there was none before");
        let moved: Vec<_> = (1..=4).map(|number| listing(number, day(2))).collect();
        assert_eq!(says(&[moved, far].concat(), day(2)), None, "an expiry that is moved keeps its tokens");
    }

    #[test]
    fn the_master_is_fetched_each_morning() {
        let date = NaiveDate::from_ymd_opt(2026, 1, 30).expect("a date");
        let at =
            |hour, minute| Timestamp::on(date, NaiveTime::from_hms_opt(hour, minute, 0).expect("a time"));
        assert_eq!(next_fetch(at(7, 0)), at(8, 30));
        assert_eq!(next_fetch(at(8, 30)).to_string(), "2026-01-31 08:30:00 IST");
        assert_eq!(next_fetch(at(23, 59)).to_string(), "2026-01-31 08:30:00 IST");
    }
}
