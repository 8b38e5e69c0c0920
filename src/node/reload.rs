//! Reading the configuration again: parse, check whole, compare, apply child by child, or put back what ran.
//!
//! Invariants: a file that is wrong, or asks for credentials that are not there, changes nothing. After a reload either
//! everything runs that needs no restart of the daemon, or nothing of it does. One reload at a time, whoever asks for it:
//! SIGHUP, the control socket, D-Bus. Each leaves one line in the log and its outcome in the status.
//!
//! A reload that is given up half way, because whoever asked went or the daemon stops, is undone as well.
//!
//! The calendar is read with the file, and one that differs from what runs waits for a restart like a key.
//!
//! What needs a restart of the daemon is compared with what runs at every reload, so that it is told again until the
//! restart has been.

use super::{
    day_rules::RunningRules,
    feed_orders::{FeedDesk, FeedOrders},
    feeds, log_filter,
    running_config::RunningConfig,
    status::DaemonStatus,
};
use crate::{
    calendar::Calendar,
    clock::Clock,
    config::{Config, ConfigError, Effect, KeyValue},
    control::{Authority, ConfigurationRow, KeyChange, KeyEffect, ReloadOutcome, ReloadResponse},
    logging::{Event, InForce},
};
use std::{fs, path::PathBuf, sync::Arc, time::Duration};
use tokio::sync::Mutex;

/// How long the disk may take to give the file.
const READ_WITHIN: Duration = Duration::from_secs(30);
/// How long a feed may take to begin anew. Longer than it may take to stop.
const BEGIN_WITHIN: Duration = Duration::from_secs(5);

/// Cheap to clone; clones are the same.
#[derive(Clone, Debug)]
pub struct Reloader {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    file: Option<PathBuf>,
    credentials_dir: Option<PathBuf>,
    running: RunningConfig,
    orders: FeedOrders,
    authority: Authority,
    rules: RunningRules,
    clock: Clock,
    status: Arc<DaemonStatus>,
    /// Held over a whole reload.
    turn: Mutex<()>,
}

impl Reloader {
    /// `file` is `None` for a daemon that has none to read again.
    pub fn new(
        file: Option<PathBuf>,
        credentials_dir: Option<PathBuf>,
        running: RunningConfig,
        orders: FeedOrders,
        rules: RunningRules,
        clock: Clock,
        status: Arc<DaemonStatus>,
    ) -> Reloader {
        let authority = Authority::new(running.get().control.admins.clone());
        let turn = Mutex::default();
        Reloader {
            inner: Arc::new(Inner {
                file,
                credentials_dir,
                running,
                orders,
                authority,
                rules,
                clock,
                status,
                turn,
            }),
        }
    }

    /// The file's path.
    pub fn file(&self) -> Option<String> {
        self.inner.file.as_ref().map(|file| file.display().to_string())
    }

    /// Who may write, as the configuration that runs says.
    pub fn authority(&self) -> Authority {
        self.inner.authority.clone()
    }

    /// What runs and counts from the next day on.
    pub fn later(&self) -> Vec<String> {
        let running = self.inner.running.get();
        self.inner.later(&running, &running)
    }

    /// What a reload would do.
    pub async fn compare(&self) -> ReloadResponse {
        let running = self.inner.running.get();
        match self.inner.read().await {
            Ok(next) => self.inner.report(ReloadOutcome::Compared, &running, &next, false, Vec::new()),
            Err(problems) => self.inner.refuse(&running, problems),
        }
    }

    /// Reads the file and applies it.
    pub async fn reload(&self) -> ReloadResponse {
        let _turn = self.inner.turn.lock().await;
        let report = self.inner.reload().await;
        self.inner.note(&report);
        report
    }
}

impl Inner {
    /// Off the caller's thread: a disk that is slow to give the file must not keep the watchdog's thread or the control
    /// socket's.
    #[expect(
        clippy::disallowed_methods,
        reason = "the caller waits for it, 30 s at most; a disk may hold it for longer"
    )]
    async fn read(&self) -> Result<File, Vec<String>> {
        let Some(file) = self.file.clone() else {
            return Err(vec!["the daemon was started without a configuration file".to_owned()]);
        };
        let path = file.display().to_string();
        let credentials_dir = self.credentials_dir.clone();
        let running = self.running.get();
        let reading = tokio::task::spawn_blocking(move || {
            let config = running.read_again(&file, credentials_dir)?;
            let calendar = read_calendar(&config);
            Ok(File { config, calendar })
        });
        let read = match tokio::time::timeout(READ_WITHIN, reading).await {
            Ok(Ok(read)) => read,
            Ok(Err(failure)) => return Err(vec![format!("{path} cannot be read: {failure}")]),
            Err(_) => {
                let within_s = READ_WITHIN.as_secs();
                return Err(vec![format!(
                    "{path} cannot be read within {within_s} s: see to its disk, then reload again"
                )]);
            }
        };
        read.map_err(|error: ConfigError| match &error {
            ConfigError::Unreadable { .. } => vec![error.to_string()],
            ConfigError::Wrong { .. } => error.to_string().lines().map(str::to_owned).collect(),
        })
    }

    async fn reload(&self) -> ReloadResponse {
        let running = self.running.get();
        let file = match self.read().await {
            Ok(file) => file,
            Err(problems) => return self.refuse(&running, problems),
        };
        if file.config == *running && self.calendar_change(&file).is_none() {
            return self.report(ReloadOutcome::Unchanged, &running, &file, false, Vec::new());
        }
        let next = Arc::new(running.reloaded(&file.config));
        if let Err(problem) = self.prepare(&running, &next) {
            return self.report(ReloadOutcome::Refused, &running, &file, false, vec![problem]);
        }
        let undo = Undo::armed(self, &running, &next);
        if let Err(problem) = self.apply(&running, &next).await {
            // What ran before did run.
            let undone = self.follow(undo.put_back()).await.err();
            undo.disarm();
            let problems = [Some(problem), undone].into_iter().flatten().collect();
            return self.report(ReloadOutcome::Restored, &running, &file, false, problems);
        }
        self.running.set(Arc::clone(&next));
        undo.disarm();
        self.report(ReloadOutcome::Applied, &running, &file, true, Vec::new())
    }

    /// Whatever can be found out before anything is touched.
    fn prepare(&self, running: &Config, next: &Config) -> Result<(), String> {
        for desk in self.affected(running, next) {
            let is_to_run = next.feeds.is_enabled(desk.provider);
            if is_to_run {
                feeds::check(desk.provider, next)
                    .map_err(|error| format!("feeds.{}: {error}", desk.provider))?;
            }
        }
        Ok(())
    }

    /// Feeds whose settings differ.
    fn affected<'a>(&'a self, one: &'a Config, other: &'a Config) -> impl Iterator<Item = &'a FeedDesk> {
        self.orders.desks().iter().filter(|desk| feeds::is_affected(desk.provider, one, other))
    }

    async fn apply(&self, from: &Config, to: &Arc<Config>) -> Result<(), String> {
        if from.log != to.log {
            log_filter::change_level(to.log.level);
        }
        self.follow(self.set(from, to)).await
    }

    /// Sets everything but the log's level, and gives the orders that the feeds are then to follow.
    fn set<'a>(&'a self, from: &'a Config, to: &'a Arc<Config>) -> Vec<(&'a FeedDesk, u64)> {
        self.authority.set_admins(to.control.admins.clone());
        self.status.jobs.set_keep_days(to.spool.keep_days);
        self.affected(from, to).map(|desk| (desk, desk.configure(Arc::clone(to)))).collect()
    }

    /// Waits until the feeds follow their orders.
    async fn follow(&self, orders: Vec<(&FeedDesk, u64)>) -> Result<(), String> {
        for (desk, number) in orders {
            let begun = desk.begun(number, BEGIN_WITHIN).await;
            begun.map_err(|failure| format!("feed {}: {failure}", desk.provider))?;
        }
        Ok(())
    }

    /// Nothing of the file counts.
    fn refuse(&self, running: &Config, problems: Vec<String>) -> ReloadResponse {
        let file = File { config: running.clone(), calendar: None };
        self.report(ReloadOutcome::Refused, running, &file, false, problems)
    }

    fn report(
        &self,
        outcome: ReloadOutcome,
        running: &Config,
        file: &File,
        is_applied: bool,
        problems: Vec<String>,
    ) -> ReloadResponse {
        let calendar = self.calendar_change(file);
        let of_calendar = calendar.is_some().then(|| "calendar: from the next restart on".to_owned());
        let file = &file.config;
        let changes = running.changes(file).into_iter().map(|(running, file)| KeyChange {
            is_applied: is_applied && running.effect != Effect::RestartDaemon,
            effect: key_effect(running.effect),
            running: running.shown(),
            file: file.shown(),
            key: running.key,
        });
        let changes = changes.chain(calendar);
        let notices = self.later(running, file).into_iter().chain(of_calendar).collect();
        let file = self.file.as_ref().map(|file| file.display().to_string()).unwrap_or_default();
        ReloadResponse { file, outcome, changes: changes.collect(), problems, notices }
    }

    /// The calendar that the file names is another one than what runs: it is read at the start.
    fn calendar_change(&self, file: &File) -> Option<KeyChange> {
        let calendar = file.calendar.as_ref()?;
        (calendar != self.rules.calendar()).then(|| KeyChange {
            key: "calendar".to_owned(),
            running: Some("as it was at the start".to_owned()),
            file: Some("changed since".to_owned()),
            effect: KeyEffect::RestartDaemon,
            is_applied: false,
        })
    }

    /// What `file` says that counts from the next day on. The running day is judged by its own rules.
    fn later(&self, running: &Config, file: &Config) -> Vec<String> {
        let waits = running.watch != file.watch || running.buckets != file.buckets;
        self.rules.later(self.clock.now().date_ist(), file, waits)
    }

    fn note(&self, report: &ReloadResponse) {
        let file = &report.file;
        let (applied, waiting): (Vec<_>, Vec<_>) =
            report.changes.iter().partition(|change| change.is_applied);
        let keys = |changes: &[&KeyChange]| {
            changes.iter().map(|change| change.key.as_str()).collect::<Vec<_>>().join(", ")
        };
        match report.outcome {
            ReloadOutcome::Unchanged => {
                log::info!(event = Event::ConfigReloaded; "{file} was read again and is unchanged")
            }
            ReloadOutcome::Applied if waiting.is_empty() => {
                log::info!(event = Event::ConfigReloaded, changed = keys(&applied); "{file} was read again and applied");
            }
            ReloadOutcome::Applied => {
                log::warn!(
                    event = Event::ConfigReloaded, changed = keys(&applied), waiting = keys(&waiting);
                    "{file} was read again; some of its changes need a restart of the daemon"
                );
            }
            ReloadOutcome::Refused | ReloadOutcome::Restored | ReloadOutcome::Compared => {
                let problems = report.problems.join("\n");
                log::error!(event = Event::ConfigRefused; "the configuration is refused, what runs stays as it is: {problems}");
                self.status.reload.note_refused(&problems);
                return;
            }
        }
        self.status.reload.note_read(waiting.iter().map(|change| change.key.clone()).collect());
    }
}

/// A configuration file with the calendar that it names.
struct File {
    config: Config,
    /// `None` where it cannot be read now: then nothing is known of it.
    calendar: Option<Calendar>,
}

fn read_calendar(config: &Config) -> Option<Calendar> {
    match &config.calendar.file {
        None => Some(Calendar::embedded()),
        Some(path) => Calendar::load(&fs::read_to_string(path).ok()?).ok(),
    }
}

/// Puts back what ran when a reload is dropped before its end: otherwise a part of it would run that nothing knows of.
struct Undo<'a> {
    inner: &'a Inner,
    running: &'a Arc<Config>,
    next: &'a Arc<Config>,
    /// The level and what was set at run time over it.
    log: Option<InForce>,
    is_armed: bool,
}

impl<'a> Undo<'a> {
    fn armed(inner: &'a Inner, running: &'a Arc<Config>, next: &'a Arc<Config>) -> Undo<'a> {
        Undo { inner, running, next, log: log_filter::in_force(), is_armed: true }
    }

    fn put_back(&self) -> Vec<(&'a FeedDesk, u64)> {
        if self.running.log != self.next.log {
            log_filter::restore(self.log.clone());
        }
        self.inner.set(self.next, self.running)
    }

    fn disarm(mut self) {
        self.is_armed = false;
    }
}

impl Drop for Undo<'_> {
    fn drop(&mut self) {
        if !self.is_armed {
            return;
        }
        self.put_back();
        let problem = "the reload was given up before its end; reload again".to_owned();
        log::error!(event = Event::ConfigRefused; "the configuration is refused, what runs stays as it is: {problem}");
        self.inner.status.reload.note_refused(&problem);
    }
}

/// Every key of a configuration for people.
pub fn rows(config: &Config) -> Vec<ConfigurationRow> {
    let row = |(value, default): (KeyValue, KeyValue)| ConfigurationRow {
        is_default: value.is_same(&default),
        value: value.shown(),
        effect: key_effect(value.effect),
        key: value.key,
    };
    config.values().into_iter().zip(Config::default().values()).map(row).collect()
}

fn key_effect(effect: Effect) -> KeyEffect {
    match effect {
        Effect::Live => KeyEffect::Live,
        Effect::RestartChild => KeyEffect::RestartChild,
        Effect::RestartDaemon => KeyEffect::RestartDaemon,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::PipelineSettings;

    const VALID: &str = "[[watch]]\nunderlying = \"NIFTY\"\n[feeds.nse]\nenabled = true\n";

    struct Reloading {
        _directory: tempfile::TempDir,
        file: PathBuf,
        orders: FeedOrders,
        reloader: Reloader,
    }

    impl Reloading {
        fn start() -> Reloading {
            let directory = tempfile::tempdir().expect("a directory");
            let file = directory.path().join("bhavd.toml");
            fs::write(&file, VALID).expect("written");
            let config = Arc::new(Config::read(&file, None).expect("a valid file"));
            let orders = FeedOrders::new(&config);
            let running = RunningConfig::new(config);
            let clock = Clock::system();
            let mut settings = PipelineSettings::of_tests();
            settings.watch = running.get().watch.clone();
            let rules = RunningRules::new(settings, clock.now().date_ist(), None, clock.now());
            let file_read = Some(file.clone());
            let reloader =
                Reloader::new(file_read, None, running, orders.clone(), rules, clock, Arc::default());
            Reloading { _directory: directory, file, orders, reloader }
        }

        /// Reloads with the text added; the feeds' children answer each order by `answer`.
        async fn reload(&self, text: &str, answer: impl Fn(&FeedDesk, u64)) -> ReloadResponse {
            fs::write(&self.file, format!("{VALID}{text}")).expect("written");
            let desk = self.orders.desk("nse").expect("a feed").clone();
            let mut orders = desk.follow();
            let follow = async {
                while orders.changed().await.is_ok() {
                    let number = orders.borrow_and_update().number;
                    answer(&desk, number);
                }
            };
            tokio::select! {
                report = self.reloader.reload() => report,
                () = follow => panic!("the orders ended"),
            }
        }

        fn poll_interval_s(&self) -> u32 {
            self.orders.desk("nse").expect("a feed").order().config.feeds.nse.poll_interval_s
        }
    }

    fn keys(report: &ReloadResponse) -> Vec<(&str, bool)> {
        report.changes.iter().map(|change| (change.key.as_str(), change.is_applied)).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn a_change_is_applied_where_it_can_be_and_told_where_it_waits() {
        let reloading = Reloading::start();
        let report = reloading.reload("", |_, _| panic!("nothing changed")).await;
        assert_eq!((report.outcome, keys(&report)), (ReloadOutcome::Unchanged, vec![]));

        let text = "poll_interval_s = 60\n[buckets]\ngrace_s = 9\n[control]\nadmins = [7]\n";
        let report = reloading.reload(text, |desk, number| desk.note_begun(number)).await;
        assert_eq!(report.outcome, ReloadOutcome::Applied);
        let expected =
            [("buckets.grace_s", false), ("control.admins", true), ("feeds.nse.poll_interval_s", true)];
        assert_eq!(keys(&report), expected);
        assert_eq!(reloading.poll_interval_s(), 60);
        let admin = crate::control::Peer { uid: 7, gid: 7, pid: None };
        assert!(reloading.reloader.authority().may(crate::control::Access::Write, &admin));

        // What waits is told again; nothing else is done twice.
        let report = reloading.reload(text, |_, _| panic!("the feeds have it")).await;
        assert_eq!(
            (report.outcome, keys(&report)),
            (ReloadOutcome::Applied, vec![("buckets.grace_s", false)])
        );
        assert!(reloading.reloader.inner.status.reload.needs_restart());
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_removed_from_the_watch_list_is_said_to_go_on_for_the_day() {
        let reloading = Reloading::start();
        let report = reloading.reload("[[watch]]\nunderlying = \"BANKNIFTY\"\n", |_, _| {}).await;
        assert_eq!((report.outcome, report.notices.len()), (ReloadOutcome::Applied, 0), "one more");
        let text = VALID.replace("\"NIFTY\"", "\"FINNIFTY\"");
        fs::write(&reloading.file, text).expect("written");
        let report = reloading.reloader.reload().await;
        assert_eq!((report.outcome, keys(&report)), (ReloadOutcome::Applied, vec![("watch", false)]));
        let text = "NIFTY, removed from [[watch]]: recorded until the next day's first record, also after the restart";
        assert_eq!(report.notices, [text]);
        assert_eq!(report.problems, [""; 0]);
        let status = &reloading.reloader.inner.status.reload;
        assert!(status.refusal().is_none());
        let waiting = status.waiting().expect("it is told until the restart");
        assert!(waiting.contains("watch") && waiting.contains("restart of the daemon"), "{waiting}");
        assert_eq!(reloading.reloader.compare().await.notices, [text], "until the day is over");
    }

    #[tokio::test(start_paused = true)]
    async fn a_wrong_file_changes_nothing() {
        let reloading = Reloading::start();
        for (text, problem) in [
            ("poll_interval_s = 60\n[buckets]\ngrace_s = 61\n", "buckets.grace_s"),
            ("poll_interval_s = 60\n[feeds.angel_one]\nenabled = true\n", "no credentials"),
        ] {
            let report = reloading.reload(text, |_, _| panic!("refused as a whole")).await;
            assert_eq!(report.outcome, ReloadOutcome::Refused);
            assert!(report.problems[0].contains(problem), "{report:?}");
            assert_eq!(reloading.poll_interval_s(), 30);
            let refusal = reloading.reloader.inner.status.reload.refusal();
            assert!(refusal.is_some_and(|refusal| refusal.contains(problem)));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_ran_before_runs_again_if_a_feed_cannot_begin() {
        let reloading = Reloading::start();
        let text = "poll_interval_s = 60\n[control]\nadmins = [7]\n";
        let report = reloading
            .reload(text, |desk, number| match desk.order().config.feeds.nse.poll_interval_s {
                60 => desk.note_failure(number, "no socket".to_owned()),
                _ => desk.note_begun(number),
            })
            .await;
        assert_eq!(report.outcome, ReloadOutcome::Restored);
        assert_eq!(report.problems, ["feed nse: no socket"]);
        assert_eq!(reloading.poll_interval_s(), 30);
        let admin = crate::control::Peer { uid: 7, gid: 7, pid: None };
        assert!(!reloading.reloader.authority().may(crate::control::Access::Write, &admin));
        let report = reloading.reload(text, |_, _| {}).await;
        assert_eq!(report.outcome, ReloadOutcome::Restored, "a feed that hangs is not waited for");
        assert!(report.problems[0].contains("did not begin anew within 5 s"), "{report:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_calendar_that_was_changed_waits_for_a_restart_and_is_said_to() {
        let reloading = Reloading::start();
        let calendar = reloading.file.with_file_name("nse.toml");
        let text = include_str!("../../config/calendar/nse.toml");
        fs::write(&calendar, text).expect("written");
        let named = format!("[calendar]\nfile = {calendar:?}\n");
        let waits = "calendar: from the next restart on";
        let report = reloading.reload(&named, |_, _| {}).await;
        assert_eq!((keys(&report), report.notices.len()), (vec![("calendar.file", false)], 0), "{report:?}");
        let other = text.replace("2026-11-08 = { name", "2026-11-07 = { name");
        assert_ne!(other, text);
        fs::write(&calendar, &other).expect("written");
        for outcome in [ReloadOutcome::Applied, ReloadOutcome::Applied] {
            let report = reloading.reload(&named, |_, _| {}).await;
            assert_eq!(report.outcome, outcome, "as long as it waits");
            assert_eq!(keys(&report), [("calendar.file", false), ("calendar", false)]);
            assert_eq!(report.notices, [waits]);
        }
        assert_eq!(reloading.reloader.compare().await.notices, [waits]);
        fs::write(&calendar, text).expect("written");
        assert_eq!(reloading.reload(&named, |_, _| {}).await.notices, [""; 0], "put back");
    }

    #[tokio::test(start_paused = true)]
    async fn a_reload_that_is_given_up_half_way_is_undone() {
        let reloading = Reloading::start();
        let text = "poll_interval_s = 60\n[control]\nadmins = [7]\n";
        fs::write(&reloading.file, format!("{VALID}{text}")).expect("written");
        let mut orders = reloading.orders.desk("nse").expect("a feed").follow();
        tokio::select! {
            biased;
            report = reloading.reloader.reload() => panic!("nobody followed the order: {report:?}"),
            changed = orders.changed() => changed.expect("the desk is there"),
        }
        assert_eq!(reloading.poll_interval_s(), 30);
        let admin = crate::control::Peer { uid: 7, gid: 7, pid: None };
        assert!(!reloading.reloader.authority().may(crate::control::Access::Write, &admin));
        let refusal = reloading.reloader.inner.status.reload.refusal();
        assert!(refusal.is_some_and(|refusal| refusal.contains("given up")));
        let report = reloading.reload(text, |desk, number| desk.note_begun(number)).await;
        assert_eq!(report.outcome, ReloadOutcome::Applied);
        assert_eq!(reloading.poll_interval_s(), 60);
    }
}
