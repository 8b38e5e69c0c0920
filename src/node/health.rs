//! Whether the daemon is well, judged from what its children show: atomics and snapshots, never an answer of a child.
//!
//! Three questions, kept apart. [`problems`]: what should an operator do something about? [`stuck_child`]: does the
//! tree still turn and work? [`Freshness`]: does new data come in? Who asks decides what follows.

use super::status::DaemonStatus;
use crate::{
    actor::{ChildRow, ChildState, ExitReason, TreeSnapshot},
    calendar::{Calendar, CalendarWarning},
    config::FeedSettings,
    feed::{FeedState, FeedStatus, Unsteady},
    market::{Delivery, Provider, Timestamp},
    pipeline::BesideForced,
    wire::{SourceShape, SourceTraits, sources_of},
};
use std::{
    collections::BTreeSet,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};
use tokio::time::Instant;

/// Longer than any turn of a child takes, and than the supervisor takes to replace a child that hangs.
const PULSE_LIMIT: Duration = Duration::from_secs(30);

/// Whatever an operator should do something about; empty if the daemon is well.
pub fn problems(
    status: &DaemonStatus,
    tree: &TreeSnapshot,
    calendar: &Calendar,
    now: Timestamp,
) -> Vec<String> {
    let mut problems = reasons(status, tree, now);
    let urgent = calendar_warnings(calendar, now).filter(CalendarWarning::is_urgent);
    problems.extend(urgent.map(|warning| warning.to_string()));
    problems.extend(status.spool.sync.trouble());
    problems.extend(status.spool.damage());
    problems.extend(status.spool.holes());
    problems.extend(status.spool.not_kept());
    problems.extend(status.clock.problems());
    problems.extend(status.freshness.staleness());
    problems.extend(status.jobs.problems().into_iter().map(bound_losses));
    if let Some(refusal) = status.reload.refusal() {
        problems.push(format!("the configuration was refused, what runs stays as it is: {refusal}"));
    }
    problems.extend(unwatched_chains(status, now));
    problems.extend(lost_streams(status, now));
    problems.extend(unsteady_feeds(status, now));
    problems.extend(feed_troubles(status));
    if is_in_session(status, now) {
        problems.extend(status.pipeline.lacks().problems);
    }
    problems.extend(status.pipeline.lacks().problems_of_day);
    problems.extend(unheeded_order(status, now));
    let set_aside = status.pipeline.set_aside.load(Relaxed);
    if set_aside > 0 {
        problems.push(format!(
            "{set_aside} records broke the recorder twice and are left out, see dead-letters.jsonl in the spool directory"
        ));
    }
    let rows = |row: &&ChildRow| &*row.path == "writer" && row.set_aside > 0;
    problems.extend(tree.rows.iter().filter(rows).map(|row| {
        format!(
            "{} batches of rows broke the writer twice and are not in the store, see dead-batches.jsonl in the spool directory",
            row.set_aside
        )
    }));
    problems
}

/// What the job verify says of a day names each part of its log that is lost, and a flipped bit makes many of an hour: the first
/// few, how many more there are, and the advice at the end, which leads to all of them.
fn bound_losses(problem: String) -> String {
    const NAMED_MAX: usize = 2;
    const BETWEEN: &str = "; a part of the log is lost: ";
    let Some((at, _)) = problem.match_indices(BETWEEN).nth(NAMED_MAX - 1) else { return problem };
    let (named, others) = problem.split_at(at);
    let more = match others.matches(BETWEEN).count() {
        1 => "1 further part".to_owned(),
        count => format!("{count} further parts"),
    };
    let advice = others.rfind("; `bhavctl ").map_or("", |at| &others[at..]);
    format!("{named}; {more} too{advice}")
}

/// What an operator should know without having to do anything today.
pub fn notices(status: &DaemonStatus, calendar: &Calendar, now: Timestamp) -> Vec<String> {
    let of_calendar = calendar_warnings(calendar, now).filter(|warning| !warning.is_urgent());
    let of_calendar = of_calendar.map(|warning| warning.to_string());
    let lacks = status.pipeline.lacks();
    let of_session = if is_in_session(status, now) { lacks.notices } else { Vec::new() };
    let of_log = status.clock.set_aside().into_iter().chain(unknown_records(status));
    let of_file = status.reload.waiting();
    of_calendar.chain(of_file).chain(of_log).chain(of_session).chain(lacks.of_day).collect()
}

/// What is doubtful about today, and about the year after this one.
fn calendar_warnings(calendar: &Calendar, now: Timestamp) -> impl Iterator<Item = CalendarWarning> {
    calendar.warnings(now.date_ist()).into_iter().chain(calendar.next_year_warning(now.date_ist()))
}

/// The log has records that another version of bhavd wrote, which this one makes no rows of.
fn unknown_records(status: &DaemonStatus) -> Option<String> {
    let count = status.pipeline.unknown_sources.load(Relaxed);
    let source = status.pipeline.unknown_source()?;
    Some(format!(
        "{count} records of the log are of sources that another version of bhavd writes, {source} last: they are kept, \
         and make no rows here"
    ))
}

/// Chains that a feed which is up does not watch; the first few by name.
fn unwatched_chains(status: &DaemonStatus, now: Timestamp) -> Vec<String> {
    const NAMED_MAX: usize = 3;
    let mut problems = Vec::new();
    let is_up = |feed: &&Arc<FeedStatus>| is_in_session(status, now) && feed.state() == FeedState::Up;
    for feed in status.feeds.iter().filter(is_up) {
        let parts = feed.parts_down();
        let named = parts.iter().take(NAMED_MAX);
        problems.extend(
            named.map(|(part, why)| format!("feed {}: chain {part} is not answered: {why}", feed.provider)),
        );
        if parts.len() > NAMED_MAX {
            let more = parts.len() - NAMED_MAX;
            problems.push(format!("feed {}: {more} more chains are not answered", feed.provider));
        }
    }
    problems
}

/// What feeds that run make do with, at whatever hour: there may be time to mend it.
fn feed_troubles(status: &DaemonStatus) -> Vec<String> {
    let is_run = |feed: &&Arc<FeedStatus>| {
        !matches!(feed.state(), FeedState::Disabled | FeedState::SwitchedOff | FeedState::Stopped)
    };
    let of_feed = |feed: &Arc<FeedStatus>| {
        let provider = feed.provider;
        let troubles = feed.troubles().into_iter();
        troubles.map(move |(about, why)| format!("feed {provider}: {about}: {why}")).collect::<Vec<_>>()
    };
    status.feeds.iter().filter(is_run).flat_map(of_feed).collect()
}

/// Streams that a feed which is up has lost.
fn lost_streams(status: &DaemonStatus, now: Timestamp) -> Vec<String> {
    let is_up = |feed: &&Arc<FeedStatus>| is_in_session(status, now) && feed.state() == FeedState::Up;
    let of_feed = |feed: &Arc<FeedStatus>| {
        let provider = feed.provider;
        let lost = feed.streams_down().into_iter();
        lost.map(move |(stream, why)| format!("feed {provider}: stream {stream} is lost: {why}"))
            .collect::<Vec<_>>()
    };
    status.feeds.iter().filter(is_up).flat_map(of_feed).collect()
}

/// What feeds lose again and again, also while it is there at this moment: each return proves little.
fn unsteady_feeds(status: &DaemonStatus, now: Timestamp) -> Vec<String> {
    let is_run = |feed: &&Arc<FeedStatus>| {
        is_in_session(status, now)
            && !matches!(feed.state(), FeedState::Disabled | FeedState::SwitchedOff | FeedState::Stopped)
    };
    let of_feed = |feed: &Arc<FeedStatus>| {
        let provider = feed.provider;
        let told = move |Unsteady { part, since, why }| {
            let since = since.to_ist().format("%H:%M:%S");
            format!(
                "feed {provider}: {part} was lost or given up three times since {since}, the last time: {why}"
            )
        };
        feed.unsteady(now).into_iter().map(told).collect::<Vec<_>>()
    };
    status.feeds.iter().filter(is_run).flat_map(of_feed).collect()
}

/// An operator forces a provider that does not cover everything that is recorded.
fn unheeded_order(status: &DaemonStatus, now: Timestamp) -> Option<String> {
    let forced = status.pipeline.forced_provider().filter(|_| is_in_session(status, now))?;
    let is_down = !status.feeds.iter().any(|feed| feed.provider == forced && is_up(feed));
    // Without any, no provider counts, which is a problem of its own.
    let active = status.pipeline.active_provider()?;
    let what = if is_down && active != forced {
        format!("down: {active} counts")
    } else {
        beside_forced(&status.pipeline.lacks().beside_forced, forced)?
    };
    Some(format!("{forced} is forced, but {what}; `bhavctl failover auto` ends the order"))
}

/// Chains that are recorded from another provider than the forced one; the first few by name.
fn beside_forced(beside: &BesideForced, forced: Provider) -> Option<String> {
    const NAMED_MAX: usize = 3;
    // A look from before the order says nothing of it.
    let BesideForced { others, recorded, .. } =
        Some(beside).filter(|beside| beside.forced == Some(forced))?;
    let instead: BTreeSet<Provider> = others.iter().map(|(_, provider)| *provider).collect();
    let instead = instead.iter().map(|provider| provider.name()).collect::<Vec<_>>().join(" and ");
    let named: Vec<&str> = others.iter().take(NAMED_MAX).map(|(title, _)| title.as_str()).collect();
    let named = named.join(", ");
    match others.len() {
        0 => None,
        count if count == *recorded => Some(format!("covers none of what is recorded: {instead} counts")),
        count if count > NAMED_MAX => Some(format!(
            "does not cover {named} and {} more of {recorded}: they are recorded from {instead}",
            count - NAMED_MAX
        )),
        count => {
            Some(format!("does not cover {named} ({count} of {recorded}): recorded from {instead} instead"))
        }
    }
}

fn is_in_session(status: &DaemonStatus, now: Timestamp) -> bool {
    status.pipeline.session().is_some_and(|(open, close)| open <= now && now < close)
}

/// Whether something says why no new data comes: the log, the store or a critical child, or the feeds if none of them
/// claims to be up, or if one that does is answered. One feed's excuse is no other's.
pub fn is_silence_explained(status: &DaemonStatus, tree: &TreeSnapshot, staleness: Staleness) -> bool {
    staleness.is_answered
        || storage_troubles(status).next().is_some()
        || failed_children(tree).next().is_some()
        || !status.feeds.iter().any(is_up)
}

fn is_up(feed: &Arc<FeedStatus>) -> bool {
    feed.state() == FeedState::Up
}

/// When a provider whose feed is up last sent anything at all.
pub fn last_answer(status: &DaemonStatus) -> Option<Timestamp> {
    status.feeds.iter().filter(|feed| is_up(feed)).filter_map(|feed| feed.last_answer()).max()
}

fn storage_troubles(status: &DaemonStatus) -> impl Iterator<Item = String> {
    [status.spool.trouble(), status.store.trouble()].into_iter().flatten()
}

fn failed_children(tree: &TreeSnapshot) -> impl Iterator<Item = &ChildRow> {
    let failed = |state| matches!(state, ChildState::Failed | ChildState::BackingOff | ChildState::Hung);
    tree.rows.iter().filter(move |row| row.critical && failed(row.state))
}

/// What keeps data from coming in or from being written.
fn reasons(status: &DaemonStatus, tree: &TreeSnapshot, now: Timestamp) -> Vec<String> {
    let mut reasons: Vec<String> = storage_troubles(status).collect();
    let in_session = is_in_session(status, now);
    for feed in &status.feeds {
        if matches!(feed.state(), FeedState::Up | FeedState::Disabled) {
            continue;
        }
        if !in_session {
            // What fails now will fail at the open.
            if let Some(exit) = failed_run(tree, feed.provider) {
                reasons.push(format!("feed {} fails outside the session: {exit}", feed.provider));
            } else if feed.state() == FeedState::BackingOff {
                reasons.push(format!(
                    "feed {} fails outside the session: {}",
                    feed.provider,
                    feed.last_error()
                ));
            }
            continue;
        }
        if feed.state() == FeedState::SwitchedOff {
            reasons.push(format!(
                "feed {0} is switched off; `bhavctl feed enable {0}` lets it run",
                feed.provider
            ));
        } else {
            // A feed that ended by itself has its reason in the tree.
            let reason = match (failed_run(tree, feed.provider), feed.last_error()) {
                (Some(exit), _) => format!(": {exit}"),
                (None, error) if error.is_empty() => String::new(),
                (None, error) => format!(": {error}"),
            };
            reasons.push(format!("feed {} is {}{reason}", feed.provider, feed.state().name()));
        }
    }
    reasons.extend(failed_children(tree).map(|row| format!("{} is {}", row.path, row.state.name())));
    reasons
}

/// Why a feed's child broke off, while it is to be started again or has failed for good.
fn failed_run(tree: &TreeSnapshot, provider: Provider) -> Option<&ExitReason> {
    let failed =
        |state| matches!(state, ChildState::Failed | ChildState::BackingOff | ChildState::Restarting);
    let row = tree.row(&format!("feeds/{provider}")).filter(|row| failed(row.state))?;
    row.last_exit.as_ref()
}

/// The root or a critical child that has stopped turning, or leaves its work undone. One that backs off is none: its
/// supervisor knows of it.
pub fn stuck_child(tree: &TreeSnapshot) -> Option<String> {
    let root = tree.rows.first().into_iter();
    root.chain(tree.rows.iter().filter(|row| row.critical)).find_map(stuck)
}

fn stuck(row: &ChildRow) -> Option<String> {
    match row.state {
        ChildState::Failed => return Some(format!("{} has failed for good", row.path)),
        ChildState::BackingOff | ChildState::Restarting | ChildState::Stopped | ChildState::Hung => {
            return None;
        }
        ChildState::Running | ChildState::Stopping => {}
    }
    let (turn, progress) = (row.turn_age?, row.progress_age?);
    // Long work that tells of its progress need not turn, such as reading the log.
    let still = turn.min(progress);
    if still > PULSE_LIMIT {
        return Some(format!("{} has not turned for {} s", row.path, still.as_secs()));
    }
    let is_overdue = row.ports.iter().any(|port| port.oldest_age.is_some_and(|age| age > PULSE_LIMIT));
    let is_idle = progress > PULSE_LIMIT && !row.is_waiting;
    (is_overdue && is_idle)
        .then(|| format!("{} has left what waits for it for {} s", row.path, progress.as_secs()))
}

/// No new data for too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Staleness {
    /// For how long event times have stood still.
    pub age: Duration,
    /// A provider that is up answers all the same: trading stands still, or the calendar lacks a holiday. No restart
    /// would help, and each costs a login.
    pub is_answered: bool,
}

/// Follows whether event times move on in session hours, and whether providers answer where they do not.
///
/// Ages are real time whatever the clock shows: what is judged is the daemon, not the market.
#[derive(Debug)]
pub struct Freshness {
    limit: Duration,
    data: Newest,
    answers: Newest,
}

/// The newest instant of a kind, and when it came.
#[derive(Debug)]
struct Newest {
    instant: Option<Timestamp>,
    moved: Instant,
}

impl Newest {
    fn note(&mut self, instant: Option<Timestamp>, now: Instant) {
        if instant > self.instant {
            (self.instant, self.moved) = (instant, now);
        }
    }
}

impl Freshness {
    pub fn new(limit: Duration, now: Instant) -> Freshness {
        let none = || Newest { instant: None, moved: now };
        Freshness { limit, data: none(), answers: none() }
    }

    /// After a reload.
    pub fn set_limit(&mut self, limit: Duration) {
        self.limit = limit;
    }

    /// Whether nothing new has come for too long. `newest` is the newest event time, `answer` when a provider that is up
    /// last sent anything.
    pub fn note(
        &mut self,
        newest: Option<Timestamp>,
        answer: Option<Timestamp>,
        in_session: bool,
        now: Instant,
    ) -> Option<Staleness> {
        if !in_session {
            self.data = Newest { instant: newest, moved: now };
        }
        self.data.note(newest, now);
        self.answers.note(answer, now);
        let age = now.saturating_duration_since(self.data.moved);
        let is_answered =
            self.answers.instant.is_some() && now.saturating_duration_since(self.answers.moved) <= self.limit;
        (age > self.limit).then_some(Staleness { age, is_answered })
    }
}

/// For how long the feeds may bring nothing new. A stream that is up has ticks every second; a polled site changes with its
/// polls.
pub fn freshness_limit(feeds: &FeedSettings, status: &DaemonStatus) -> Duration {
    const STREAM: Duration = Duration::from_secs(120);
    const MISSED_POLLS: u32 = 4;
    let polled = Duration::from_secs(u64::from(feeds.nse.poll_interval_s * MISSED_POLLS));
    let is_stream = |traits: &SourceTraits| traits.shape == SourceShape::Values(Delivery::Stream);
    let is_streaming = |feed: &Arc<FeedStatus>| {
        feed.state() == FeedState::Up && sources_of(feed.provider).iter().any(is_stream)
    };
    if status.feeds.iter().any(is_streaming) { STREAM } else { STREAM.max(polled) }
}

/// Where the trading day stands, for people.
pub fn describe_session(calendar: &Calendar, now: Timestamp) -> String {
    let clock = |instant: Timestamp| instant.to_ist().format("%H:%M").to_string();
    if let Some(session) = calendar.session(now.date_ist()) {
        if now < session.open {
            return format!("opens {}", clock(session.open));
        }
        if now < session.close {
            return format!("open until {}", clock(session.close));
        }
    }
    match calendar.next_session(now.date_ist()) {
        Some(next) => format!("closed, opens {} {}", next.date, clock(next.open)),
        None => "closed".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        actor::{Exits, Policy, Port},
        node::evidence_watch::Lacks,
    };
    use proptest::prelude::*;

    #[test]
    fn a_day_of_many_losses_names_the_first_few() {
        let of = |losses: usize| {
            let each = (0..losses).map(|at| {
                format!(
                    "a part of the log is lost: /s/10.spool is damaged from byte {at} to its end: no; bytes"
                )
            });
            let joined = each.collect::<Vec<_>>().join("; ");
            bound_losses(format!("{joined}; `bhavctl replay verify 2026-01-30` shows it"))
        };
        assert_eq!(of(2).matches("is lost").count(), 2);
        assert!(!of(2).contains("further"), "{}", of(2));
        let all = of(10);
        assert!(
            all.len() < 300 && all.contains("from byte 1 to its end: no; bytes; 8 further parts too;"),
            "{all}"
        );
        assert!(all.ends_with("; `bhavctl replay verify 2026-01-30` shows it"), "{all}");
        assert!(of(3).contains("; 1 further part too;"));
        let other = "the job archive failed too often: no room".to_owned();
        assert_eq!(bound_losses(other.clone()), other);
    }

    fn row(path: &str, state: ChildState, turn_s: u64, progress_s: u64) -> ChildRow {
        ChildRow {
            path: path.into(),
            parent: None,
            critical: true,
            state,
            incarnation: 1,
            restarts: 0,
            last_exit: None,
            ports: Vec::new(),
            progress_age: Some(Duration::from_secs(progress_s)),
            sign_age: Some(Duration::from_secs(progress_s)),
            turn_age: Some(Duration::from_secs(turn_s)),
            is_waiting: false,
            exits: Exits::default(),
            handling: None,
            set_aside: 0,
        }
    }

    fn tree(child: ChildRow) -> TreeSnapshot {
        let root = ChildRow { critical: false, ..row("root", ChildState::Running, 1, 1) };
        TreeSnapshot { rows: vec![root, child], ..TreeSnapshot::default() }
    }

    #[test]
    fn a_child_is_stuck_when_it_neither_turns_nor_progresses() {
        use ChildState::{BackingOff, Failed, Running, Stopped};
        let judge = |state, turn_s, progress_s| stuck_child(&tree(row("writer", state, turn_s, progress_s)));
        assert_eq!(judge(Running, 1, 3_600), None, "idle");
        assert_eq!(judge(Running, 3_600, 1), None, "long work that progresses");
        assert_eq!(judge(Running, 31, 40).as_deref(), Some("writer has not turned for 31 s"));
        assert_eq!(judge(BackingOff, 3_600, 3_600), None, "its supervisor knows");
        assert_eq!(judge(Stopped, 3_600, 3_600), None);
        assert_eq!(judge(Failed, 1, 1).as_deref(), Some("writer has failed for good"));
        let uncritical = ChildRow { critical: false, ..row("publisher", Running, 3_600, 3_600) };
        assert_eq!(stuck_child(&tree(uncritical)), None);
        let mut snapshot = tree(row("writer", Running, 1, 1));
        snapshot.rows[0].turn_age = Some(Duration::from_secs(60));
        snapshot.rows[0].progress_age = Some(Duration::from_secs(60));
        assert_eq!(stuck_child(&snapshot).as_deref(), Some("root has not turned for 60 s"));
    }

    /// The status of a day whose session is from the first to the second of these.
    fn status(feed: FeedStatus, session: Option<(Timestamp, Timestamp)>) -> DaemonStatus {
        let status = DaemonStatus { feeds: vec![Arc::new(feed)], ..DaemonStatus::default() };
        status.pipeline.set_session(session);
        status
    }

    #[test]
    fn a_feed_whose_child_fails_is_a_problem_at_any_hour() {
        let now = Timestamp::from_us(1_769_744_700_000_000);
        let exit = ExitReason::Error("the credential angel_one.mpin is empty".into());
        let mut child = row("feeds/angel_one", ChildState::BackingOff, 1, 1);
        (child.critical, child.last_exit) = (false, Some(exit));
        let problems = |state, child: &ChildRow, session| {
            let feed = FeedStatus::new(Provider::AngelOne);
            feed.set_state(state);
            reasons(&status(feed, session), &tree(child.clone()), now)
        };
        let open = Some((now, now.plus_seconds(60)));
        let [told] = &problems(FeedState::Idle, &child, None)[..] else { panic!("one problem") };
        assert!(told.starts_with("feed angel_one fails outside the session: "), "{told}");
        assert!(told.contains("angel_one.mpin is empty"), "{told}");
        assert!(problems(FeedState::Idle, &child, open)[0].contains("angel_one.mpin is empty"));
        assert!(problems(FeedState::Disabled, &child, None).is_empty());
        child.state = ChildState::Failed;
        assert_eq!(problems(FeedState::Idle, &child, None).len(), 1);
        child.state = ChildState::Running;
        assert!(problems(FeedState::Idle, &child, None).is_empty(), "an idle feed waits for the session");
    }

    #[test]
    fn a_feed_that_loses_its_streams_again_and_again_is_a_problem_while_it_is_up() {
        let open = Timestamp::from_us(1_769_744_700_000_000);
        let feed = FeedStatus::new(Provider::AngelOne);
        feed.set_state(FeedState::Up);
        for minute in [1, 6, 11] {
            let why = "no data for 300 s, though the market is open";
            feed.note_lost("stream 0", why, open.plus_seconds(minute * 60));
        }
        feed.note_error("a quote was refused");
        let status = status(feed, Some((open, open.plus_seconds(22_500))));
        let told = |minute: i64| unsteady_feeds(&status, open.plus_seconds(minute * 60));
        let text = "feed angel_one: stream 0 was lost or given up three times since 09:16:00, the last time: no data for \
                    300 s, though the market is open";
        assert_eq!(told(12), [text]);
        assert!(told(17).is_empty(), "it has been steady since");
        assert!(told(-1).is_empty(), "not in session");
    }

    #[test]
    fn a_forced_provider_is_said_to_be_down_only_where_it_is() {
        let open = Timestamp::from_us(1_769_744_700_000_000);
        let (forced, other) = (Provider::Nse, Provider::AngelOne);
        let told = |state, active, recorded, chains: &[&str]| {
            let feed = FeedStatus::new(forced);
            feed.set_state(state);
            let status = status(feed, Some((open, open.plus_seconds(22_500))));
            status.pipeline.set_forced_provider(Some(forced));
            status.pipeline.set_active_provider(Some(active));
            let others = chains.iter().map(|title| ((*title).to_owned(), other)).collect();
            let beside_forced = BesideForced { forced: Some(forced), recorded, others };
            status.pipeline.set_lacks(Lacks { beside_forced, ..Lacks::default() });
            unheeded_order(&status, open)
        };
        let end = "; `bhavctl failover auto` ends the order";
        for (said, text) in [
            (told(FeedState::BackingOff, other, 4, &[]), "down: angel_one counts"),
            (
                told(FeedState::Up, other, 4, &["chain A", "chain B"]),
                "does not cover chain A, chain B (2 of 4): recorded from angel_one instead",
            ),
            (
                told(FeedState::Up, forced, 9, &["A", "B", "C", "D"]),
                "does not cover A, B, C and 1 more of 9: they are recorded from angel_one",
            ),
            (
                told(FeedState::Up, other, 2, &["chain A", "chain B"]),
                "covers none of what is recorded: angel_one counts",
            ),
        ] {
            assert_eq!(said, Some(format!("nse is forced, but {text}{end}")));
        }
        assert_eq!(told(FeedState::Up, forced, 4, &[]), None);
        assert_eq!(told(FeedState::Up, other, 4, &[]), None, "not looked yet");
    }

    #[test]
    fn work_left_undone_is_told_from_waiting() {
        let port = Port::<u8>::new("records", 4, Policy::Wait);
        let mut overdue = port.gauge().snapshot();
        overdue.oldest_age = Some(Duration::from_secs(90));
        let mut child = row("recorder", ChildState::Running, 1, 80);
        child.ports.push(overdue);
        let text = "recorder has left what waits for it for 80 s";
        assert_eq!(stuck_child(&tree(child.clone())).as_deref(), Some(text));
        child.is_waiting = true;
        assert_eq!(stuck_child(&tree(child)), None, "the next port is full, or the database away");
    }

    proptest! {
        /// Data is stale exactly when the newest event time stood still for longer than the limit within the session, and
        /// answered exactly when an answer came within the limit.
        #[test]
        fn staleness_is_the_time_since_the_last_move(
            looks in prop::collection::vec((1u64..100, any::<bool>(), 0i64..3, 0i64..2), 1..50)
        ) {
            let start = Instant::now();
            let limit = Duration::from_secs(120);
            let mut freshness = Freshness::new(limit, start);
            let (mut now, mut moved, mut newest, mut known) = (start, start, 0i64, 0i64);
            let (mut answer, mut answered) = (0i64, None);
            for (step_s, in_session, event_step, answer_step) in looks {
                now += Duration::from_secs(step_s);
                newest += event_step;
                if !in_session || newest > known {
                    (moved, known) = (now, newest);
                }
                if answer_step > 0 {
                    (answer, answered) = (answer + answer_step, Some(now));
                }
                let event = (newest > 0).then(|| Timestamp::from_us(newest));
                let last_answer = answered.map(|_| Timestamp::from_us(answer));
                let stale = freshness.note(event, last_answer, in_session, now);
                let is_answered = answered.is_some_and(|answered| now - answered <= limit);
                let age = Some(now - moved).filter(|age| *age > limit);
                prop_assert_eq!(stale, age.map(|age| Staleness { age, is_answered }));
            }
        }
    }
}
