//! The child that tells the service manager how the daemon is: ready, status, watchdog, reload, stopping.
//!
//! It looks at the others' atomics once a second and never asks one of them. It starts first and stops last, so that it
//! sees the whole drain, and has a thread of its own, so that neither a manager that does not read nor a file that is
//! slow to come holds the supervisors up; whether those turn it sees from the root's pulse.
//!
//! What the manager was told outlives an incarnation: readiness is told once, and a reload that broke off is ended.
//!
//! The watchdog is kicked only while the root turns, each critical child turns and works, and, in session hours, data
//! comes in or the daemon has said why not. Without a manager only the reload on SIGHUP is left of all this.

use super::{
    hangups::Hangups,
    health::{self, Freshness},
    notifier::{EXTEND_BY, Notice, Notifier},
    reload::Reloader,
    running_config::RunningConfig,
    status::DaemonStatus,
};
use crate::{
    actor::{ChildError, ChildState, Lease, StopSignal, Tree, TreeSnapshot},
    calendar::Calendar,
    clock::Clock,
    logging::Event,
    market::Timestamp,
};
use std::{
    future::{Future, pending},
    pin::Pin,
    sync::{Arc, Mutex, PoisonError, atomic::Ordering::Relaxed},
    time::Duration,
};
use tokio::time::Instant;

/// Between two looks; shorter until the daemon is ready.
const LOOK_EVERY: Duration = Duration::from_secs(1);
const LOOK_EVERY_AT_START: Duration = Duration::from_millis(50);
/// How often more time is asked for.
const EXTEND_EVERY: Duration = Duration::from_secs(5);
/// A child that did a piece of its work within this time progresses.
const PROGRESS_WITHIN: Duration = Duration::from_secs(5);
/// Characters of a status line.
const LINE_MAX: usize = 400;

/// What every incarnation begins from.
#[derive(Clone)]
pub struct ServiceManager {
    pub notifier: Notifier,
    pub hangups: Option<Hangups>,
    pub reloader: Reloader,
    pub tree: Tree,
    pub status: Arc<DaemonStatus>,
    pub calendar: Arc<Calendar>,
    pub clock: Clock,
    pub running: RunningConfig,
    pub told: Told,
}

/// What the manager was told last, by whichever incarnation. Clones are the same.
#[derive(Clone, Debug, Default)]
pub struct Told {
    standing: Arc<Mutex<Standing>>,
}

/// Where the manager believes the daemon to be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Standing {
    phase: Phase,
    /// It was told of a reload, and not yet of its end.
    is_reloading: bool,
}

impl Told {
    fn get(&self) -> Standing {
        *self.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, standing: Standing) {
        *self.standing.lock().unwrap_or_else(PoisonError::into_inner) = standing;
    }
}

impl ServiceManager {
    /// One incarnation.
    ///
    /// # Errors
    /// None.
    pub async fn run(self, lease: Lease) -> Result<(), ChildError> {
        let mut teller = Teller::new(self.notifier.watchdog());
        let resumed = teller.resume(self.told.get());
        self.tell(&resumed, &teller);
        let mut freshness = Freshness::new(self.freshness_limit(), Instant::now());
        // Beside everything else: it takes as long as feeds take to begin anew, and once more where they do not.
        let mut reload = None;
        loop {
            let now = Instant::now();
            freshness.set_limit(self.freshness_limit());
            let view = self.look(&mut freshness, now);
            let notices = teller.step(view, now);
            self.tell(&notices, &teller);
            lease.pulse().progress();
            tokio::select! {
                signal = lease.stopping() => {
                    if signal == StopSignal::Drain {
                        let is_ordered = self.phase(&self.tree.snapshot()) == Phase::Stopping;
                        let notices = teller.stop(is_ordered);
                        self.tell(&notices, &teller);
                    }
                    return Ok(());
                }
                () = next_hangup(&self.hangups), if reload.is_none() => {
                    let notices = teller.begin_reload();
                    self.tell(&notices, &teller);
                    reload = Some(Box::pin(self.reload(&lease)));
                }
                () = under_way(&mut reload) => {
                    reload = None;
                    let notices = teller.end_reload();
                    self.tell(&notices, &teller);
                }
                () = tokio::time::sleep(teller.pause()) => {}
            }
        }
    }

    fn tell(&self, notices: &[Notice], teller: &Teller) {
        self.notifier.tell(notices);
        self.told.set(teller.standing());
    }

    fn look(&self, freshness: &mut Freshness, now: Instant) -> View {
        let (status, snapshot, time) = (&*self.status, self.tree.snapshot(), self.clock.now());
        let session = self.calendar.session(time.date_ist());
        let in_session = session.is_some_and(|session| session.open <= time && time < session.close);
        let newest = status.feeds.iter().filter_map(|feed| feed.last_event()).max();
        let staleness = freshness.note(newest, health::last_answer(status), in_session, now);
        status.freshness.note(staleness.map(|staleness| {
            let since = match newest {
                Some(newest) => format!("no new data since {}", newest.to_ist().format("%H:%M:%S")),
                None => "no data since the session opened".to_owned(),
            };
            let cause = ", although the provider answers; nothing shows whether trading stands still, or today is a holiday that the calendar lacks";
            since + if staleness.is_answered { cause } else { "" }
        }));
        let phase = self.phase(&snapshot);
        let is_explained =
            staleness.is_none_or(|staleness| health::is_silence_explained(status, &snapshot, staleness));
        let unexplained = || {
            let is_silent = phase == Phase::Running && !is_explained;
            is_silent.then(|| "no new data in session hours, and no feed says why".to_owned())
        };
        let withheld = health::stuck_child(&snapshot).or_else(unexplained);
        let is_progressing = snapshot.rows.iter().any(|row| {
            let is_at_work = matches!(row.state, ChildState::Running | ChildState::Stopping);
            row.critical && is_at_work && row.progress_age.is_some_and(|age| age < PROGRESS_WITHIN)
        });
        let mut line = match phase {
            Phase::Starting => format!("Starting: waiting for {}", status.readiness.awaited().join(", ")),
            Phase::Running => self.running_line(&snapshot, newest, in_session, time),
            Phase::Stopping => {
                let records: u64 =
                    snapshot.rows.iter().flat_map(|row| &row.ports).map(|port| port.depth).sum();
                let rows = status.store.pending_rows();
                format!("Stopping: {records} in queues, {rows} rows still to be written")
            }
        };
        if let Some(reason) = &withheld {
            line = format!("Hung: {reason}; {line}");
        }
        View { phase, line: one_line(&line), is_progressing, withheld }
    }

    fn phase(&self, snapshot: &TreeSnapshot) -> Phase {
        if snapshot.rows.first().is_some_and(|root| root.state == ChildState::Stopping) {
            Phase::Stopping
        } else if self.status.readiness.awaited().is_empty() {
            Phase::Running
        } else {
            Phase::Starting
        }
    }

    /// Changes no more often than once a minute while all is well.
    fn running_line(
        &self,
        snapshot: &TreeSnapshot,
        newest: Option<Timestamp>,
        in_session: bool,
        time: Timestamp,
    ) -> String {
        let status = &*self.status;
        let problems = health::problems(status, snapshot, &self.calendar, time);
        let mut line = match problems.split_first() {
            None => String::new(),
            Some((first, [])) => format!("Unhealthy: {first}; "),
            Some((first, more)) => format!("Unhealthy: {first} (and {} more); ", more.len()),
        };
        let (feeds_up, feeds) = status.count_feeds();
        let data = match newest.filter(|_| in_session) {
            Some(newest) => format!("data up to {}, ", newest.to_ist().format("%H:%M")),
            None => String::new(),
        };
        line += &format!(
            "{feeds_up}/{feeds} feeds up, {} contracts, {data}{}",
            status.pipeline.watched.load(Relaxed),
            health::describe_session(&self.calendar, time)
        );
        if status.reload.needs_restart() {
            line += "; the changed configuration needs a restart";
        }
        line
    }

    /// For how long nothing new may come in session hours.
    fn freshness_limit(&self) -> Duration {
        health::freshness_limit(&self.running.get().feeds, &self.status)
    }

    async fn reload(&self, lease: &Lease) {
        // The file may be slow to come.
        let _waiting = lease.pulse().wait();
        self.reloader.reload().await;
    }
}

async fn under_way(reload: &mut Option<Pin<Box<impl Future<Output = ()>>>>) {
    match reload {
        Some(reload) => reload.await,
        None => pending().await,
    }
}

async fn next_hangup(hangups: &Option<Hangups>) {
    match hangups {
        Some(hangups) => hangups.next().await,
        None => pending().await,
    }
}

/// Newlines would end the message.
fn one_line(text: &str) -> String {
    let flat = text.replace('\n', "; ");
    match flat.char_indices().nth(LINE_MAX) {
        Some((cut, _)) => format!("{}…", &flat[..cut]),
        None => flat,
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Phase {
    #[default]
    Starting,
    Running,
    Stopping,
}

/// The daemon at one moment.
#[derive(Clone, Debug)]
struct View {
    phase: Phase,
    line: String,
    /// Some critical child did a piece of work lately.
    is_progressing: bool,
    /// Why the watchdog must not be kicked.
    withheld: Option<String>,
}

/// Decides what is told: a pure machine over what was told before.
#[derive(Debug)]
struct Teller {
    watchdog: Option<Duration>,
    phase: Phase,
    line: String,
    next_kick: Option<Instant>,
    next_extension: Option<Instant>,
    is_withheld: bool,
    /// The manager was told of a reload, and not yet of its end.
    is_reloading: bool,
}

impl Teller {
    fn new(watchdog: Option<Duration>) -> Teller {
        Teller {
            watchdog,
            phase: Phase::Starting,
            line: String::new(),
            next_kick: None,
            next_extension: None,
            is_withheld: false,
            is_reloading: false,
        }
    }

    /// Goes on where another incarnation stood. A reload that broke off with it is over.
    fn resume(&mut self, standing: Standing) -> Vec<Notice> {
        (self.phase, self.is_reloading) = (standing.phase, standing.is_reloading);
        self.end_reload()
    }

    fn standing(&self) -> Standing {
        Standing { phase: self.phase, is_reloading: self.is_reloading }
    }

    fn step(&mut self, view: View, now: Instant) -> Vec<Notice> {
        let mut notices = Vec::new();
        if view.phase != self.phase {
            match view.phase {
                Phase::Running => {
                    log::info!(event = Event::Ready; "bhavd is ready");
                    notices.push(Notice::Ready);
                }
                Phase::Stopping => {
                    log::info!(event = Event::Stopping; "bhavd stops: feeds first, then what they brought is written");
                    notices.extend(self.farewell());
                }
                Phase::Starting => {}
            }
            self.phase = view.phase;
        }
        let is_due = |next: Option<Instant>| next.is_none_or(|next| now >= next);
        if self.phase != Phase::Running && view.is_progressing && is_due(self.next_extension) {
            notices.push(Notice::ExtendTimeout(EXTEND_BY));
            self.next_extension = Some(now + EXTEND_EVERY);
        }
        if let Some(reason) = view.withheld.as_ref().filter(|_| !self.is_withheld) {
            log::error!(event = Event::WatchdogWithheld, reason; "{reason}; the watchdog is not kicked until this is over");
        }
        self.is_withheld = view.withheld.is_some();
        if let Some(limit) = self.watchdog
            && self.phase != Phase::Starting
            && !self.is_withheld
            && is_due(self.next_kick)
        {
            notices.push(Notice::Watchdog);
            self.next_kick = Some(now + limit / 3);
        }
        if view.line != self.line {
            notices.push(Notice::Status(view.line.clone()));
            self.line = view.line;
        }
        notices
    }

    fn begin_reload(&mut self) -> Vec<Notice> {
        self.is_reloading = self.phase == Phase::Running;
        if self.is_reloading {
            vec![Notice::Reloading, Notice::Status("Reloading".to_owned())]
        } else {
            Vec::new()
        }
    }

    fn end_reload(&mut self) -> Vec<Notice> {
        // The next look says how things stand in place of "Reloading".
        self.line.clear();
        if std::mem::take(&mut self.is_reloading) { vec![Notice::Ready] } else { Vec::new() }
    }

    /// The last words: an end that somebody ordered, or a failure.
    fn stop(&mut self, is_ordered: bool) -> Vec<Notice> {
        // Whoever waits for the start of a daemon that failed must not hear that it is ready.
        let notices = match self.phase {
            Phase::Starting if !is_ordered => vec![Notice::Stopping],
            _ => self.farewell(),
        };
        self.phase = Phase::Stopping;
        notices
    }

    /// A manager that was never told of readiness takes an end in order for a failure, and starts the daemon again. One
    /// that waits for the end of a reload is told of that first.
    fn farewell(&mut self) -> Vec<Notice> {
        let is_reloading = std::mem::take(&mut self.is_reloading);
        match self.phase {
            Phase::Starting => vec![Notice::Ready, Notice::Stopping],
            Phase::Running if is_reloading => vec![Notice::Ready, Notice::Stopping],
            Phase::Running => vec![Notice::Stopping],
            Phase::Stopping => Vec::new(),
        }
    }

    /// Until the next look. Four looks fit into the watchdog's time, so that each kick comes in time.
    fn pause(&self) -> Duration {
        match (self.phase, self.watchdog) {
            (Phase::Starting, _) => LOOK_EVERY_AT_START,
            (_, Some(limit)) => LOOK_EVERY.min(limit / 4),
            (_, None) => LOOK_EVERY,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::feed::FeedState;
    use crate::{
        node::{day_rules::RunningRules, feed_orders::FeedOrders},
        pipeline::PipelineSettings,
    };

    fn view(phase: Phase, line: &str) -> View {
        View { phase, line: line.to_owned(), is_progressing: false, withheld: None }
    }

    #[test]
    fn ready_once_status_on_change_stopping_once() {
        let (mut teller, now) = (Teller::new(None), Instant::now());
        let status = |line: &str| Notice::Status(line.to_owned());
        assert_eq!(teller.step(view(Phase::Starting, "a"), now), [status("a")]);
        assert_eq!(teller.step(view(Phase::Starting, "a"), now), []);
        assert_eq!(teller.step(view(Phase::Running, "b"), now), [Notice::Ready, status("b")]);
        assert_eq!(teller.step(view(Phase::Running, "b"), now), []);
        assert_eq!(teller.step(view(Phase::Stopping, "c"), now), [Notice::Stopping, status("c")]);
        assert_eq!(teller.stop(true), []);
    }

    #[test]
    fn the_next_incarnation_goes_on_where_the_last_one_stood() {
        let (mut first, now) = (Teller::new(None), Instant::now());
        first.step(view(Phase::Running, "a"), now);
        let mut second = Teller::new(None);
        assert_eq!(second.resume(first.standing()), []);
        assert_eq!(second.step(view(Phase::Running, "a"), now), [Notice::Status("a".to_owned())]);
        second.begin_reload();
        let mut third = Teller::new(None);
        assert_eq!(
            third.resume(second.standing()),
            [Notice::Ready],
            "the manager waits for the reload's end"
        );
        assert_eq!(third.standing(), Standing { phase: Phase::Running, is_reloading: false });
        assert_eq!(Teller::new(None).resume(Standing::default()), []);
    }

    #[test]
    fn a_start_that_is_broken_off_is_told_as_ready_first() {
        let now = Instant::now();
        let mut asked = Teller::new(None);
        asked.step(view(Phase::Starting, "a"), now);
        let told = [Notice::Ready, Notice::Stopping, Notice::Status("b".to_owned())];
        assert_eq!(asked.step(view(Phase::Stopping, "b"), now), told);
        assert_eq!(asked.stop(true), []);
        let mut hasty = Teller::new(None);
        assert_eq!(hasty.stop(true), [Notice::Ready, Notice::Stopping]);
        let mut failed = Teller::new(None);
        assert_eq!(failed.stop(false), [Notice::Stopping], "it never was ready");
    }

    #[test]
    fn more_time_is_asked_for_only_while_something_progresses() {
        let (mut teller, start) = (Teller::new(None), Instant::now());
        let mut asked = |phase, is_progressing, after_s: u64| {
            let view = View { is_progressing, ..view(phase, "") };
            let notices = teller.step(view, start + Duration::from_secs(after_s));
            notices.contains(&Notice::ExtendTimeout(EXTEND_BY))
        };
        assert!(asked(Phase::Starting, true, 0));
        assert!(!asked(Phase::Starting, true, 4), "too soon");
        assert!(!asked(Phase::Starting, false, 6));
        assert!(asked(Phase::Starting, true, 7));
        assert!(!asked(Phase::Running, true, 20), "nothing to extend");
        assert!(asked(Phase::Stopping, true, 30));
        assert!(!asked(Phase::Stopping, false, 40));
    }

    #[test]
    fn the_watchdog_is_kicked_at_a_third_and_never_while_withheld() {
        let start = Instant::now();
        let mut teller = Teller::new(Some(Duration::from_secs(30)));
        let mut kicked = |phase, withheld: Option<&str>, after_s: u64| {
            let view = View { withheld: withheld.map(str::to_owned), ..view(phase, "") };
            teller.step(view, start + Duration::from_secs(after_s)).contains(&Notice::Watchdog)
        };
        assert!(!kicked(Phase::Starting, None, 0));
        assert!(kicked(Phase::Running, None, 1));
        assert!(!kicked(Phase::Running, None, 10));
        assert!(kicked(Phase::Running, None, 11));
        assert!(!kicked(Phase::Running, Some("writer has not turned"), 22));
        assert!(!kicked(Phase::Running, Some("writer has not turned"), 40));
        assert!(kicked(Phase::Running, None, 41), "at once when it is over");
        assert!(kicked(Phase::Stopping, None, 60));
    }

    #[test]
    fn a_reload_is_ended_before_the_end_of_the_daemon_is_told() {
        let now = Instant::now();
        let mut teller = Teller::new(None);
        assert_eq!(teller.begin_reload(), [], "not ready yet");
        assert_eq!(teller.end_reload(), []);
        teller.step(view(Phase::Running, "a"), now);
        let begun = [Notice::Reloading, Notice::Status("Reloading".to_owned())];
        assert_eq!(teller.begin_reload(), begun);
        assert_eq!(teller.step(view(Phase::Running, "a"), now), [], "goes on meanwhile");
        assert_eq!(teller.end_reload(), [Notice::Ready]);
        assert_eq!(teller.step(view(Phase::Running, "a"), now), [Notice::Status("a".to_owned())]);
        teller.begin_reload();
        assert_eq!(teller.stop(true), [Notice::Ready, Notice::Stopping]);
        assert_eq!(teller.end_reload(), []);
    }

    /// A ready daemon in session hours, whose one feed says that it is up.
    fn manager() -> ServiceManager {
        let open = Timestamp::from(chrono::DateTime::from_timestamp(1_769_744_700, 0).expect("a time"));
        let feed = Arc::new(crate::feed::FeedStatus::new(crate::market::Provider::Nse));
        feed.set_state(FeedState::Up);
        let status = DaemonStatus { feeds: vec![feed], ..DaemonStatus::default() };
        status.readiness.store_open.store(true, Relaxed);
        status.readiness.pipeline_up.store(true, Relaxed);
        status.readiness.control_listens.store(true, Relaxed);
        status.pipeline.set_session(Some((open, open.plus_seconds(22_500))));
        let (status, running) = (Arc::new(status), RunningConfig::new(Arc::default()));
        let simulation =
            crate::clock::Simulation { start: open, real_start: crate::clock::real_now(), speed: 1.0 };
        ServiceManager {
            notifier: Notifier::default(),
            hangups: None,
            reloader: Reloader::new(
                None,
                None,
                running.clone(),
                FeedOrders::new(&running.get()),
                RunningRules::new(PipelineSettings::of_tests(), open.date_ist(), None, open),
                Clock::simulated(simulation),
                Arc::clone(&status),
            ),
            tree: Tree::new(),
            status,
            calendar: Arc::new(Calendar::embedded()),
            clock: Clock::simulated(simulation),
            running,
            told: Told::default(),
        }
    }

    #[test]
    fn stale_data_withholds_the_watchdog_unless_somebody_says_why() {
        let (manager, start) = (manager(), Instant::now());
        let mut freshness = Freshness::new(manager.freshness_limit(), start);
        let view = manager.look(&mut freshness, start);
        assert_eq!((view.phase, view.withheld), (Phase::Running, None));
        assert_eq!(view.line, "1/1 feeds up, 0 contracts, open until 15:30");
        let later = start + Duration::from_secs(121);
        let view = manager.look(&mut freshness, later);
        assert_eq!(view.withheld.as_deref(), Some("no new data in session hours, and no feed says why"));
        assert!(view.line.contains("Unhealthy: no data since the session opened"), "{}", view.line);
        manager.status.feeds[0].note_answer(manager.clock.now());
        let view = manager.look(&mut freshness, later);
        assert_eq!(view.withheld, None, "a restart makes nobody trade");
        let said = "no data since the session opened, although the provider answers; nothing shows whether trading stands still";
        assert!(view.line.contains(said), "{}", view.line);
        let later = later + Duration::from_secs(121);
        assert!(manager.look(&mut freshness, later).withheld.is_some(), "it does not answer any more");
        manager.status.feeds[0].set_state(FeedState::BackingOff);
        manager.status.feeds[0].note_error("503 Service Unavailable");
        let view = manager.look(&mut freshness, later);
        assert_eq!(view.withheld, None);
        let said = "Unhealthy: feed nse is backing off: 503 Service Unavailable (and 1 more); 0/1 feeds up";
        assert!(view.line.starts_with(said), "{}", view.line);
    }

    #[test]
    fn one_feeds_excuse_is_no_others() {
        let mut manager = manager();
        let resting = Arc::new(crate::feed::FeedStatus::new(crate::market::Provider::AngelOne));
        resting.set_state(FeedState::BackingOff);
        let mut status = DaemonStatus { feeds: manager.status.feeds.clone(), ..DaemonStatus::default() };
        status.feeds.push(resting);
        for part in
            [&status.readiness.store_open, &status.readiness.pipeline_up, &status.readiness.control_listens]
        {
            part.store(true, Relaxed);
        }
        manager.status = Arc::new(status);
        let start = Instant::now();
        let mut freshness = Freshness::new(manager.freshness_limit(), start);
        manager.look(&mut freshness, start);
        let later = start + Duration::from_secs(121);
        assert!(
            manager.look(&mut freshness, later).withheld.is_some(),
            "nse claims to be up and brings nothing"
        );
        let away = "the disk is full".to_owned();
        manager.status.store.note_failure(crate::store::ErrorClass::DiskFull, &away);
        assert_eq!(manager.look(&mut freshness, later).withheld, None);
    }

    #[test]
    fn not_ready_while_anything_is_awaited() {
        let manager = manager();
        manager.status.readiness.pipeline_up.store(false, Relaxed);
        let now = Instant::now();
        let view = manager.look(&mut Freshness::new(manager.freshness_limit(), now), now);
        assert_eq!(view.phase, Phase::Starting);
        assert_eq!(view.line, "Starting: waiting for the end of the log");
    }

    #[test]
    fn a_status_is_one_line_of_bounded_length() {
        assert_eq!(one_line("a\nb"), "a; b");
        assert_eq!(one_line(&"₹".repeat(1_000)).chars().count(), LINE_MAX + 1);
    }
}
