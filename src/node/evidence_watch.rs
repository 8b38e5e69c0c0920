//! What the evidence of the running day lacks, in words: chains that no provider shows or whose latest rows are missing, data of
//! a provider that again and again could not be used, volumes that a provider itself has contradicted, open interest and levels
//! that another one contradicts, and values that cannot be.
//!
//! Follows market time, since a day may be played faster than it was. Looked at with the records, a few times a minute.

use super::{
    changed_hours,
    day_news::DayNews,
    listing_lacks::{UnrecordedExpiries, describe_differing, describe_one_sided},
    value_counts::{CountedValues, describe_counted, describe_unread_values},
    value_lacks::{
        describe_begun, describe_changed_lots, describe_contract_volumes, describe_disputes,
        describe_impossible, describe_leaps, describe_level, describe_levels, describe_lots, describe_prices,
        describe_still, describe_stopped, describe_uneven, describe_volumes, describe_without_lots,
    },
};
use crate::{
    engine::{MissingChain, TradingDay, UnstreamedChain, UntoldQuotes, UnwitnessedChain, WrongStamps},
    market::{Contract, InstrumentId, Provider, Timestamp, TradingDate},
    pipeline::{BesideForced, Pipeline, ProviderCounters, Undecoded},
    spool::SessionTimes,
};
use std::{
    collections::{BTreeMap, VecDeque},
    fmt,
};

/// How often it looks.
const LOOK_US: i64 = 10_000_000;
/// Chains that are named.
const NAMED_MAX: usize = 3;
/// A chain that lacks more than this part of its contracts is a problem; what lacks fewer is told, since a side of a strike
/// may no longer be listed.
const LACKED_PART: u32 = 4;
/// Faults of one kind within this time are a problem past [`FAULTS_MAX`].
const FAULTS_US: i64 = 300_000_000;
const FAULTS_MAX: u64 = 2;

/// From the open on until what is watched must be known: as late as any source, and two minutes.
pub(super) const UNKNOWN_US: i64 = 280_000_000;

/// For so long a chain may be recorded from answers to requests alone, after a stream has begun or was found out.
const UNSTREAMED_US: i64 = 180_000_000;

/// For so long an open session may be without a provider that covers a chain, and without a list of what is watched.
pub(super) const SOURCELESS_US: i64 = 120_000_000;

/// The faults of a provider's data that persist, each with what it is called.
type Kind = (&'static str, fn(&ProviderCounters, &DayFaults) -> u64);

/// So many rows of a master that cannot be read are a part of a chain, or a whole one.
const UNREAD_MANY: u64 = 20;

/// What the day itself found wrong with a provider's values.
struct DayFaults {
    contradicted_volumes: u64,
    oi_jumps: u64,
    price_outliers: u64,
    contradicted_bars: u64,
    contradicted_bases: u64,
    untold: UntoldQuotes,
    stamps: WrongStamps,
    missed_changes: u64,
}

const NOT_DECODED: &str = "could not be decoded";

const KINDS: [Kind; 17] = [
    (NOT_DECODED, |counters, _| counters.malformed),
    ("were of another day", |counters, _| counters.stale),
    ("were about something else than was requested", |counters, _| counters.refused),
    ("had lower volumes than what it had sent before", |counters, _| counters.older_copies),
    ("were stamped in the future", |counters, _| counters.from_the_future),
    ("were stamped ahead of the source's others and were refused", |_, day| day.stamps.ahead),
    ("changed under the stamp of earlier ones and were refused", |_, day| day.stamps.standing),
    ("came later after their stamp than the source may be late", |_, day| day.stamps.delayed),
    ("had an earlier stamp than the one before and more volume", |_, day| day.stamps.disordered),
    ("were volumes that later ones contradicted", |_, day| day.contradicted_volumes),
    ("changed open interest as it cannot change", |_, day| day.oi_jumps),
    ("were prices far from those before and after them", |_, day| day.price_outliers),
    ("were candles that the prices seen contradict", |_, day| day.contradicted_bars),
    ("named another open interest of the session before", |_, day| day.contradicted_bases),
    ("had open interest 0 of a contract that has some", |_, day| day.untold.zeros),
    ("did not tell the open interest or the level", |_, day| day.untold.absent),
    ("were behind what another provider showed", |_, day| day.missed_changes),
];

/// Of each provider, in words.
type LastMalformed = [Undecoded; Provider::ALL.len()];

type Counts = [[u64; KINDS.len()]; Provider::ALL.len()];

/// What the evidence lacks, in words.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lacks {
    pub problems: Vec<String>,
    /// What an operator should know without having to do anything.
    pub notices: Vec<String>,
    /// The same of the day as a whole: it stays when the session is over.
    pub of_day: Vec<String>,
    /// What of it the log is told now.
    pub news: Vec<String>,
    /// Values that could not be when the session closed: a problem of the day until the next one begins.
    pub problems_of_day: Vec<String>,
    pub beside_forced: BesideForced,
}

/// See the module's head.
#[derive(Debug)]
pub struct EvidenceWatch {
    next_look: Timestamp,
    /// What was counted at the looks of the last minutes, oldest first.
    counted: VecDeque<(Timestamp, Counts)>,
    /// Since when no provider covers a chain, while the session is open.
    sourceless_since: Option<Timestamp>,
    /// Since when a provider's streams have brought nothing of a chain, by its title.
    unstreamed_since: BTreeMap<(String, Provider), Timestamp>,
    /// Since when the open session has something that is watched and not listed.
    unlisted_since: Option<Timestamp>,
    /// Of the last session, what was watched and never listed, in words: until the next one begins.
    never_listed: Vec<String>,
    unrecorded: UnrecordedExpiries,
    news: DayNews,
    /// Whether there were problems at the last look.
    had_problems: bool,
}

impl EvidenceWatch {
    pub fn new() -> EvidenceWatch {
        EvidenceWatch {
            next_look: Timestamp::NEVER,
            counted: VecDeque::new(),
            sourceless_since: None,
            unstreamed_since: BTreeMap::new(),
            unlisted_since: None,
            never_listed: Vec::new(),
            unrecorded: UnrecordedExpiries::default(),
            news: DayNews::default(),
            had_problems: false,
        }
    }

    /// What there is to say now; `None` until the next look.
    pub fn look(&mut self, pipeline: &Pipeline) -> Option<Lacks> {
        let now = pipeline.last_received();
        if now < self.next_look {
            return None;
        }
        self.next_look = now.plus_us(LOOK_US);
        let (many, few): (Vec<_>, Vec<_>) = pipeline
            .unwitnessed_chains(now)
            .into_iter()
            .partition(|(_, found)| is_problem(found, |chain| pipeline.is_listed(chain)));
        let (mut problems, notices) = (describe(&many), describe(&few));
        problems.extend(describe_missing(&pipeline.missing_chains()));
        let contract_of = |of| pipeline.contract(of);
        problems.extend(pipeline.contested_lots().map(|found| describe_lots(&found, contract_of)));
        problems.extend(describe_without_lots(&pipeline.counters().without_lots));
        problems.extend(describe_disputes(&pipeline.oi_disputes(), contract_of));
        let levels = pipeline.level_disputes();
        problems.extend(describe_levels(&levels));
        let impossible = pipeline.impossible_open_interest();
        let mut values = describe_impossible(&impossible, contract_of);
        let prices = pipeline.impossible_prices();
        values.extend(describe_prices(&prices, contract_of));
        values.extend(describe_uneven(&pipeline.uneven_lots(), contract_of));
        values.extend(describe_volumes(&pipeline.volume_contradictions()));
        values.extend(describe_contract_volumes(&pipeline.contract_volumes(), contract_of));
        values.extend(describe_leaps(&pipeline.volume_leaps()));
        values.extend(describe_still(&pipeline.still_fields(now)));
        values.extend(pipeline.still_levels(now).iter().map(describe_level));
        // Those that stop one after the other may be natural.
        let (together, stopped): (Vec<_>, Vec<_>) =
            pipeline.stopped_contracts(now).into_iter().partition(|(_, found)| found.is_together);
        values.extend(describe_stopped(&together));
        let close = pipeline.day().map(|day| day.hours().close);
        let mut problems_of_day = of_past_session(&mut values, close, now);
        problems.extend(values);
        let counts = Provider::ALL.map(|provider| {
            let faults = DayFaults {
                contradicted_volumes: pipeline.contradicted_volumes(provider).count,
                oi_jumps: pipeline.oi_jumps(provider).count,
                price_outliers: pipeline.price_outliers(provider).count,
                contradicted_bars: pipeline.contradicted_bars(provider).count,
                contradicted_bases: pipeline.contradicted_bases(provider).count,
                untold: pipeline.untold(provider),
                stamps: pipeline.wrong_stamps(provider),
                missed_changes: pipeline.missed_changes(provider),
            };
            KINDS.map(|(_, count)| count(pipeline.counters().of(provider), &faults))
        });
        // Until a while after the open some sources show the day before.
        if pipeline.day().is_none_or(|day| now < day.hours().open.plus_us(FAULTS_US)) {
            self.counted.clear();
        }
        problems.extend(self.note(counts, &pipeline.counters().last_malformed, now));
        let hours = pipeline.day().map(TradingDay::hours).map(|hours| (hours.open, hours.close));
        problems.extend(self.note_unknown(hours, &pipeline.unknown_underlyings(), now));
        problems.extend(self.unrecorded.note(hours, &pipeline.unrecorded_expiries(), now));
        problems.extend(self.note_source(hours, pipeline.active_provider().is_some(), now));
        problems.extend(self.note_unstreamed(hours, pipeline.unstreamed_chains(), now));
        let counted = Provider::ALL.into_iter().flat_map(|provider| {
            let found = CountedValues {
                volumes: pipeline.contradicted_volumes(provider),
                jumps: pipeline.oi_jumps(provider),
                outliers: pipeline.price_outliers(provider),
                bars: pipeline.contradicted_bars(provider),
                bases: pipeline.contradicted_bases(provider),
            };
            describe_counted(provider, &found, contract_of)
        });
        let unclosed = describe_unclosed(&pipeline.unclosed_chains());
        let unread_values = describe_unread_values(pipeline.counters());
        let mut of_day: Vec<String> = counted.chain(unread_values).collect();
        let unread = Provider::ALL.map(|of| (of, pipeline.counters().of(of).unread_listings));
        let other_session = pipeline.other_session();
        let of_session = other_session.map(|other| changed_hours::describe(now.date_ist(), &other));
        let is_now = other_session.is_some_and(|other| changed_hours::is_problem(&other, now));
        // Also while the calendar has no session: then the problems of a session are not shown.
        problems_of_day.extend(of_session.clone().filter(|_| is_now));
        // Also before the open, while there is time to mend it.
        problems_of_day.extend(describe_differing(&pipeline.differing_expiries()));
        problems_of_day.extend(describe_one_sided(&pipeline.one_sided_chains()));
        problems_of_day.extend(describe_unread(&unread).filter(|_| are_many_unread(&unread)));
        let missed = pipeline.missed_session().map(|session| describe_missed(&session));
        let others = unrecorded(&pipeline.unrecorded_sessions())
            .into_iter()
            .chain(missed)
            .chain(unclosed)
            .chain(of_session)
            .chain(describe_stopped(&stopped))
            .chain(pipeline.changed_lots().map(|found| describe_changed_lots(&found, contract_of)))
            .chain(self.never_listed.clone())
            .chain(self.unrecorded.of_session.clone());
        let others: Vec<String> = others.chain(describe_unread(&unread)).collect();
        let mut news = self.news.take(&of_day, &others, now);
        let begun = describe_begun(&mut self.news, levels, prices, contract_of);
        // The first problems are logged together.
        if std::mem::replace(&mut self.had_problems, !problems.is_empty()) {
            news.extend(begun);
        }
        of_day.extend(others);
        let beside_forced = pipeline.beside_forced();
        Some(Lacks { problems, notices, of_day, news, problems_of_day, beside_forced })
    }

    /// What is watched and not listed: a problem of the session once all sources may have listed it, also to a daemon that began
    /// within the session, and told of the day after.
    fn note_unknown(
        &mut self,
        hours: Option<(Timestamp, Timestamp)>,
        unknown: &[&str],
        now: Timestamp,
    ) -> Vec<String> {
        let Some((open, close)) = hours.filter(|(open, _)| now >= *open) else {
            self.unlisted_since = None;
            return Vec::new();
        };
        self.unlisted_since = self.unlisted_since.or(Some(now)).filter(|_| !unknown.is_empty());
        let is_over = now >= close;
        self.never_listed = match is_over {
            true => unknown.iter().map(|name| never_listed(name, close.date_ist())).collect(),
            false => Vec::new(),
        };
        let is_lasting = self.unlisted_since.is_some_and(|since| now.us_since(since) >= SOURCELESS_US);
        let is_due = !is_over && now >= open.plus_us(UNKNOWN_US) && is_lasting;
        unknown.iter().filter(|_| is_due).map(|name| self::unknown(name)).collect()
    }

    /// An open session without a source, from when all sources may have been late on.
    fn note_source(
        &mut self,
        hours: Option<(Timestamp, Timestamp)>,
        is_covered: bool,
        now: Timestamp,
    ) -> Option<String> {
        let in_session = hours.filter(|(open, close)| *open <= now && now < *close);
        let Some((open, _)) = in_session.filter(|_| !is_covered) else {
            self.sourceless_since = None;
            return None;
        };
        let since = *self.sourceless_since.get_or_insert(now);
        let is_due = now >= open.plus_us(UNKNOWN_US) && now.us_since(since) > SOURCELESS_US;
        is_due.then(|| format!("no source: no provider covers any chain since {}", clock(since)))
    }

    /// Chains of which a stream has brought nothing for a while in an open session, although its provider's answers show them.
    fn note_unstreamed(
        &mut self,
        hours: Option<(Timestamp, Timestamp)>,
        unstreamed: Vec<(String, UnstreamedChain)>,
        now: Timestamp,
    ) -> Vec<String> {
        let in_session = hours.is_some_and(|(open, close)| open <= now && now < close);
        let unstreamed = if in_session { unstreamed } else { Vec::new() };
        let is_of = |(title, of): &(String, Provider)| {
            unstreamed.iter().any(|(known, found)| known == title && found.provider == *of)
        };
        self.unstreamed_since.retain(|key, _| is_of(key));
        let mut lasting = Vec::new();
        for (title, found) in unstreamed {
            let since = *self.unstreamed_since.entry((title.clone(), found.provider)).or_insert(now);
            if now.us_since(since) >= UNSTREAMED_US {
                lasting.push((title, found, since));
            }
        }
        describe_unstreamed(&lasting)
    }

    /// Kinds of faults that have come up again and again lately.
    fn note(&mut self, counts: Counts, last_malformed: &LastMalformed, now: Timestamp) -> Vec<String> {
        while self.counted.front().is_some_and(|(at, _)| now.us_since(*at) > FAULTS_US) {
            self.counted.pop_front();
        }
        self.counted.push_back((now, counts));
        let (_, before) = self.counted.front().expect("one was added");
        let mut lacks = Vec::new();
        for (provider, (counts, before)) in Provider::ALL.into_iter().zip(counts.iter().zip(before)) {
            for ((name, _), (count, before)) in KINDS.into_iter().zip(counts.iter().zip(before)) {
                let lately = count.saturating_sub(*before);
                if lately > FAULTS_MAX {
                    let last = &last_malformed[provider.index()];
                    let last = match name == NOT_DECODED && !last.is_empty() {
                        true => format!("; the last: {last}"),
                        false => String::new(),
                    };
                    lacks.push(format!(
                        "{lately} of {provider}'s values {name} in the last five minutes{last}"
                    ));
                }
            }
        }
        lacks
    }
}

/// What lacks a few contracts is told without being a problem; so is an underlying whose level no provider's list promises and
/// none has shown: there is nothing to mend.
fn is_problem(found: &UnwitnessedChain, is_listed: impl Fn(u32) -> bool) -> bool {
    let was_never_shown = found.is_underlying && found.since.is_none();
    found.unwitnessed * LACKED_PART > found.contracts && (!was_never_shown || is_listed(found.chain))
}

/// `10:15:03`.
pub(super) fn clock(at: Timestamp) -> impl fmt::Display {
    at.to_ist().format("%H:%M:%S")
}

fn since_when(since: Option<Timestamp>) -> String {
    since.map_or_else(|| "since the open".to_owned(), |since| format!("since {}", clock(since)))
}

/// The contract, or what is known of one that the catalog does not have.
pub(super) fn name_of<'a>(
    instrument: InstrumentId,
    contract: impl Fn(InstrumentId) -> Option<&'a Contract>,
) -> String {
    contract(instrument).map_or_else(|| format!("instrument {}", instrument.0), ToString::to_string)
}

/// The first of what was found, and in one text that there are more.
pub(super) fn name_first<T>(
    found: &[T],
    name: impl Fn(&T) -> String,
    more: impl FnOnce(usize) -> String,
) -> Vec<String> {
    let mut texts: Vec<String> = found.iter().take(NAMED_MAX).map(name).collect();
    if found.len() > NAMED_MAX {
        texts.push(more(found.len() - NAMED_MAX));
    }
    texts
}

fn unknown(underlying: &str) -> String {
    format!(
        "nothing is known of {underlying}: no provider has listed an option of it today, so none is recorded; check its symbol \
         in [[watch]], and that an enabled feed has it"
    )
}

fn never_listed(underlying: &str, date: TradingDate) -> String {
    format!(
        "nothing of {underlying} was recorded on {date}: it was watched, but no provider listed an option of it; check its symbol \
         in [[watch]], and that an enabled feed has it"
    )
}

/// What was not recorded of the days before, which today's changes are measured against.
fn unrecorded(sessions: &[TradingDate]) -> Option<String> {
    let last = sessions.last()?;
    let more = if sessions.len() > 1 {
        format!(", nor were {} before it", sessions.len() - 1)
    } else {
        String::new()
    };
    Some(format!(
        "the session of {last} was not recorded{more}: today's changes of open interest have no base of it of our own"
    ))
}

/// A session that is over and was missed whole.
fn describe_missed(session: &SessionTimes) -> String {
    let clock = |at: Timestamp| at.to_ist().format("%H:%M").to_string();
    format!(
        "nothing of the session of {} was recorded: the log has no values that were received from {} to {}, so its rows are \
         missing, but for what sources still tell of it",
        session.date(),
        clock(session.open()),
        clock(session.close()),
    )
}

/// What a source did not show of the close: its last values are none.
fn describe_unclosed(chains: &[(String, UnwitnessedChain)]) -> Option<String> {
    // Options first: an underlying's own close says less.
    let (name, first) = chains.iter().min_by_key(|(_, chain)| chain.is_underlying)?;
    let (lacked, since) = (describe_lacked(first), since_when(first.since));
    let more = match chains.len() {
        1 => String::new(),
        count => format!(", nor all of {} more chains", count - 1),
    };
    Some(format!(
        "the close of {name} was not seen: nothing shows {lacked} {since}{more}; the last values of the day are no closing values"
    ))
}

/// What was found until the close, once the session is over: taken out of `found`.
fn of_past_session(found: &mut Vec<String>, close: Option<Timestamp>, now: Timestamp) -> Vec<String> {
    let Some(close) = close.filter(|close| now >= *close) else { return Vec::new() };
    let close = close.to_ist().format("%H:%M of %Y-%m-%d");
    found.drain(..).map(|text| format!("until the close at {close}: {text}")).collect()
}

/// What nothing shows of a chain.
fn describe_lacked(chain: &UnwitnessedChain) -> String {
    match chain.is_underlying {
        true => "it".to_owned(),
        false => format!("{} of its {} contracts", chain.unwitnessed, chain.contracts),
    }
}

fn describe(chains: &[(String, UnwitnessedChain)]) -> Vec<String> {
    let name = |(title, found): &(String, UnwitnessedChain)| {
        let UnwitnessedChain { active, since, still, .. } = found;
        let (lacked, since) = (describe_lacked(found), since_when(*since));
        let active = match active {
            Some(active) => format!("it is recorded from {active}"),
            None => "no provider covers it".to_owned(),
        };
        let still = still
            .map_or_else(String::new, |still| {
                format!(
                    "; {still}'s values have not moved since although data come: a trading halt, or a source that stands \
                     still"
                )
            });
        format!("{title}: nothing shows {lacked} {since}; {active}{still}")
    };
    name_first(chains, name, |more| format!("{more} more chains have no witness"))
}

fn describe_unstreamed(chains: &[(String, UnstreamedChain, Timestamp)]) -> Vec<String> {
    let name = |(title, found, since): &(String, UnstreamedChain, Timestamp)| {
        let (UnstreamedChain { provider, active, .. }, since) = (found, clock(*since));
        let recorded = match active {
            Some(active) if active != provider => format!("the chain is recorded from {active}"),
            _ => "its answers to requests record them, minutes apart, so their candles are to be resolved"
                .to_owned(),
        };
        format!(
            "{title}: {provider}'s streams have brought nothing of most contracts since {since}; {recorded}; check its \
             subscription, or `bhavctl feed reconnect {provider}`"
        )
    };
    name_first(chains, name, |more| format!("streams have brought nothing of {more} more chains"))
}

/// Whether rows that were left out are a problem of the day, and no oddity of a few.
fn are_many_unread(counters: &[(Provider, u64)]) -> bool {
    counters.iter().any(|(_, rows)| *rows >= UNREAD_MANY)
}

/// Rows of a provider's latest instrument master that were left out.
fn describe_unread(counters: &[(Provider, u64)]) -> Option<String> {
    let unread: Vec<String> = counters
        .iter()
        .filter(|(_, rows)| *rows > 0)
        .map(|(provider, rows)| format!("{rows} rows of {provider}'s instrument master could not be read"))
        .collect();
    let named = unread.join(", ");
    (!named.is_empty()).then(|| {
        format!(
            "{named}: contracts of them are not recorded from there; `bhavctl feeds` has the first of them"
        )
    })
}

/// Rows that were stated and mostly miss what they are for.
fn describe_missing(chains: &[(String, MissingChain)]) -> Vec<String> {
    let name = |(title, found): &(String, MissingChain)| {
        let MissingChain { buckets, rows, missing, .. } = found;
        let [first, last] = buckets.map(|bucket| bucket.start().to_ist().format("%H:%M").to_string());
        format!("{title}: {missing} of {rows} rows of {first} and {last} are missing")
    };
    name_first(chains, name, |more| format!("most of the latest rows of {more} more chains are missing"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::market::Bucket;

    #[test]
    fn a_fault_is_a_problem_when_it_comes_again_and_again() {
        let at = |second: i64| Timestamp::from_us(1_769_744_700_000_000).plus_seconds(second);
        let counts = |malformed: u64| {
            let mut counts = Counts::default();
            counts[Provider::Nse.index()][0] = malformed;
            counts
        };
        let mut watch = EvidenceWatch::new();
        let mut last = LastMalformed::default();
        last[Provider::Nse.index()] = Undecoded::of(["chain NIFTY 2026-02-03 lost 1 legs"]);
        assert!(watch.note(counts(7), &last, at(0)).is_empty(), "of before");
        assert!(watch.note(counts(9), &last, at(60)).is_empty());
        let lacks = watch.note(counts(10), &last, at(120));
        let text = "3 of nse's values could not be decoded in the last five minutes; the last: chain NIFTY 2026-02-03 lost 1 legs";
        assert_eq!(lacks, [text]);
        assert!(watch.note(counts(10), &last, at(430)).is_empty(), "not again since");
    }

    #[test]
    fn stamps_that_are_not_those_of_their_values_are_a_problem() {
        let counted = |standing, delayed| {
            let day = DayFaults {
                contradicted_volumes: 0,
                oi_jumps: 0,
                price_outliers: 0,
                contradicted_bars: 0,
                contradicted_bases: 0,
                untold: UntoldQuotes::default(),
                stamps: WrongStamps { standing, delayed, ..WrongStamps::default() },
                missed_changes: 0,
            };
            let mut counts = Counts::default();
            counts[Provider::AngelOne.index()] =
                KINDS.map(|(_, count)| count(&ProviderCounters::default(), &day));
            counts
        };
        let at = |second: i64| Timestamp::from_us(1_769_744_700_000_000).plus_seconds(second);
        let (mut watch, last) = (EvidenceWatch::new(), LastMalformed::default());
        assert!(watch.note(counted(0, 0), &last, at(0)).is_empty());
        let texts = [
            "12 of angel_one's values changed under the stamp of earlier ones and were refused in the last five minutes",
            "40 of angel_one's values came later after their stamp than the source may be late in the last five minutes",
        ];
        assert_eq!(watch.note(counted(12, 40), &last, at(10)), texts);
    }

    #[test]
    fn the_first_chains_are_named() {
        let found = UnwitnessedChain {
            chain: 0,
            is_underlying: false,
            active: Some(Provider::Nse),
            contracts: 82,
            unwitnessed: 80,
            since: Some(Timestamp::from_us(1_769_744_700_000_000)),
            still: None,
        };
        let chains: Vec<_> = (0..5).map(|number| (format!("chain NIFTY {number}"), found)).collect();
        let lacks = describe(&chains);
        assert_eq!(
            lacks[0],
            "chain NIFTY 0: nothing shows 80 of its 82 contracts since 09:15:00; it is recorded from nse"
        );
        assert_eq!(lacks[3], "2 more chains have no witness");
        assert_eq!(describe_unclosed(&[]), None);
        let unclosed = describe_unclosed(&chains).expect("one is told");
        let text = "the close of chain NIFTY 0 was not seen: nothing shows 80 of its 82 contracts since 09:15:00, nor all of 4 \
                    more chains";
        assert!(unclosed.starts_with(text), "{unclosed}");
    }

    #[test]
    fn an_underlying_is_no_chain_and_a_level_that_none_promises_a_notice() {
        let found = UnwitnessedChain {
            chain: 4,
            is_underlying: true,
            active: None,
            contracts: 1,
            unwitnessed: 1,
            since: None,
            still: None,
        };
        let lacks = describe(&[("the index MIDCPNIFTY".to_owned(), found)]);
        assert_eq!(lacks, ["the index MIDCPNIFTY: nothing shows it since the open; no provider covers it"]);
        assert!(!is_problem(&found, |_| false), "no list promises it");
        assert!(is_problem(&found, |chain| chain == 4));
        let named = |chain| (format!("chain {chain}"), UnwitnessedChain { chain, ..found });
        let (options, index) = (UnwitnessedChain { is_underlying: false, ..found }, named(4));
        let unclosed = describe_unclosed(std::slice::from_ref(&index)).expect("it is told");
        assert!(unclosed.starts_with("the close of chain 4 was not seen: nothing shows it since the open;"));
        let unclosed =
            describe_unclosed(&[index, ("chain NIFTY".to_owned(), options)]).expect("both are told");
        let first = "the close of chain NIFTY was not seen: nothing shows 1 of its 1 contracts since the open, nor all of 1 more";
        assert!(unclosed.starts_with(first), "{unclosed}");
        let shown = UnwitnessedChain { since: Some(Timestamp::from_us(1_769_744_700_000_000)), ..found };
        assert!(is_problem(&shown, |_| false), "it was shown and is not any more");
        assert!(is_problem(&UnwitnessedChain { is_underlying: false, ..found }, |_| false));
    }

    #[test]
    fn a_session_that_was_missed_whole_is_named_by_its_hours() {
        let open = Timestamp::from_us(1_769_744_700_000_000);
        let session = SessionTimes {
            open_us: open.as_us(),
            close_us: open.plus_seconds(22_500).as_us(),
            expiring_index_close_us: None,
        };
        let text = "nothing of the session of 2026-01-30 was recorded: the log has no values that were received from 09:15 to 15:30,";
        let said = describe_missed(&session);
        assert!(said.starts_with(text), "{said}");
    }

    #[test]
    fn the_latest_rows_that_are_missing_are_named() {
        let first = Bucket::containing(Timestamp::from_us(1_769_744_700_000_000));
        let found = MissingChain { chain: 0, buckets: [first, first.next()], rows: 24, missing: 23 };
        let chains: Vec<_> = (0..5).map(|number| (format!("chain NIFTY {number}"), found)).collect();
        let lacks = describe_missing(&chains);
        assert_eq!(lacks[0], "chain NIFTY 0: 23 of 24 rows of 09:15 and 09:18 are missing");
        assert_eq!(lacks[3], "most of the latest rows of 2 more chains are missing");
    }

    #[test]
    fn what_could_not_be_at_the_close_stays_a_problem_of_that_day() {
        let close = Timestamp::from_us(1_769_744_700_000_000).plus_seconds(22_500);
        let found = || vec!["volume of chain NIFTY W has not changed".to_owned()];
        let mut values = found();
        assert_eq!(of_past_session(&mut values, Some(close), close.plus_us(-1)), [""; 0]);
        assert_eq!(values, found());
        let said = of_past_session(&mut values, Some(close), close);
        assert_eq!(said, ["until the close at 15:30 of 2026-01-30: volume of chain NIFTY W has not changed"]);
        assert_eq!(values, [""; 0]);
    }

    #[test]
    fn a_chain_that_only_answers_show_is_named_while_that_lasts() {
        let open = Timestamp::from_us(1_769_744_700_000_000);
        let hours = Some((open, open.plus_seconds(22_500)));
        let mut watch = EvidenceWatch::new();
        let mut look = |second: i64, is_streamed: bool| {
            let active = Some(if second < 200 { Provider::AngelOne } else { Provider::Nse });
            let found = UnstreamedChain { chain: 0, provider: Provider::AngelOne, active };
            let chains = if is_streamed { vec![] } else { vec![("chain NIFTY W".to_owned(), found)] };
            watch.note_unstreamed(hours, chains, open.plus_seconds(second)).join(", ")
        };
        assert_eq!(look(-600, false), "", "the session is not open");
        assert_eq!(look(0, false), "");
        assert_eq!(look(170, false), "");
        let named = look(180, false);
        let start = "chain NIFTY W: angel_one's streams have brought nothing of most contracts since 09:15:00; its answers";
        assert!(named.starts_with(start), "{named}");
        assert_eq!(look(190, true), "");
        assert_eq!(look(200, false), "", "anew");
        let aside = look(380, false);
        assert!(aside.contains("since 09:18:20; the chain is recorded from nse; check its"), "{aside}");
        assert_eq!(describe_unread(&[(Provider::AngelOne, 0), (Provider::Nse, 0)]), None);
        let unread = describe_unread(&[(Provider::AngelOne, 10), (Provider::Nse, 0)]).expect("told");
        assert!(!are_many_unread(&[(Provider::AngelOne, 10), (Provider::Nse, 0)]));
        assert!(
            are_many_unread(&[(Provider::AngelOne, 40), (Provider::Nse, 0)]),
            "an expiry of a small chain"
        );
        assert!(
            unread.starts_with("10 rows of angel_one's instrument master could not be read: "),
            "{unread}"
        );
    }

    #[test]
    fn what_was_never_listed_is_told_until_the_next_session() {
        let open = Timestamp::from_us(1_769_744_700_000_000);
        let (close, next_day) = (open.plus_seconds(22_500), open.plus_seconds(86_400));
        let mut watch = EvidenceWatch::new();
        let mut look = |hours, unknown: &[&str], now: Timestamp| {
            let problems = watch.note_unknown(hours, unknown, now);
            (problems.len(), watch.never_listed.clone())
        };
        let (hours, none) = (Some((open, close)), Vec::<String>::new());
        assert_eq!(look(hours, &["MIDCPNIFTY"], open.plus_us(-1)), (0, none.clone()));
        assert_eq!(look(hours, &["MIDCPNIFTY"], open), (0, none.clone()), "sources may be late");
        assert_eq!(look(hours, &["MIDCPNIFTY"], open.plus_us(UNKNOWN_US)), (1, none.clone()));
        let (problems, told) = look(hours, &["MIDCPNIFTY"], close);
        assert_eq!((problems, told.len()), (0, 1));
        assert!(told[0].starts_with("nothing of MIDCPNIFTY was recorded on 2026-01-30: "), "{}", told[0]);
        assert_eq!(look(None, &[], next_day.plus_us(-1)), (0, told.clone()), "a day without a session");
        let next = Some((next_day, next_day.plus_seconds(22_500)));
        assert_eq!(look(next, &["MIDCPNIFTY"], next_day.plus_us(-1)), (0, told));
        assert_eq!(look(next, &[], next_day), (0, none.clone()));
        // To a daemon that begins within the session no source may have answered yet.
        let late = next_day.plus_seconds(3_600);
        assert_eq!(look(next, &["NIFTY"], late), (0, none.clone()));
        assert_eq!(look(next, &["NIFTY"], late.plus_us(SOURCELESS_US)), (1, none));
    }

    #[test]
    fn an_open_session_without_a_source_is_named_after_two_minutes() {
        let open = Timestamp::from_us(1_769_744_700_000_000);
        let at = |second: i64| open.plus_seconds(second);
        let mut watch = EvidenceWatch::new();
        let mut look = |second, is_covered| {
            watch.note_source(Some((open, at(22_500))), is_covered, at(second)).is_some()
        };
        assert!(!look(-600, false), "the session is not open");
        assert!(!look(0, false));
        assert!(!look(270, false), "sources may be late");
        assert!(look(280, false));
        assert!(!look(300, true));
        assert!(!look(310, false));
        assert!(!look(430, false));
        assert!(look(440, false));
        assert!(!look(22_500, false), "it is over");
        assert_eq!(watch.note_source(None, false, at(30_000)), None, "a day without a session");
    }
}
