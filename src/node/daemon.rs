//! Builds the daemon from its configuration and runs it to its end.

use super::{
    absent_days,
    beginning::{begin_log, catch_up, find_ahead, first_day, set_ahead_aside},
    clock_watch::ClockStatus,
    control_child::ControlChild,
    day_rules::{self, RunningRules},
    dead_batch,
    feed_orders::FeedOrders,
    feeds::FeedParts,
    handover::Handover,
    held_order,
    intake::Intake,
    job_surroundings::JobSurroundings,
    live_state::LiveState,
    mending::{Mending, StoredDays},
    opening_steps::OpeningSteps,
    reading_room::ReadingRoom,
    recorder::Recorder,
    recovery::Recovery,
    reload::Reloader,
    running_config::RunningConfig,
    service_manager::{ServiceManager, Told},
    status::{DaemonStatus, SpoolStatus, StoreStatus},
    store_record::StoreRecord,
    timekeeper::Timekeeper,
    tree::{self, Parts},
    writer::Writer,
};
use crate::{
    actor::{Policy, Port, Tree, TreeEnd, TreeError, TreeExit, TreeOptions, install_panic_hook},
    calendar::{Calendar, CalendarError},
    clock::Clock,
    config::{Config, SpoolSettings},
    control::{BindError, ControlSocket},
    feed::{FeedState, FeedStatus},
    jobs::JobParts,
    logging::Event,
    market::{Provider, Timestamp, TradingDate},
    pipeline::{PipelineSettings, nse_chain_times},
    spool::{self, ChannelTimes, Record, Skip, Spool, SpoolError},
    store::{self, Batch, Birth, Checkpoint, ErrorClass, NoteOpening, Store, StoreError},
};
use std::{
    collections::BTreeMap,
    io,
    path::PathBuf,
    sync::{Arc, atomic::AtomicU64},
    time::Duration,
};

/// Records between the log and the pipeline. A record is what one drain of a socket brought, up to 1 MB.
const RECORDS_MAX: usize = 1_024;
/// Turns of the pipeline whose rows wait to be written.
const BATCHES_MAX: usize = 1_024;
/// What the records between log and pipeline may weigh together.
const RECORD_BYTES_MAX: usize = 32 << 20;
/// Rows that wait to be written, of some 150 bytes each.
const BATCH_ROWS_MAX: usize = 300_000;
/// From the wish to stop to the abort of what is left.
pub(super) const DRAIN_WITHIN: Duration = Duration::from_secs(45);

/// The daemon cannot start. The program ends with the message and the exit code.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    #[error("the calendar file {path} cannot be read: {source}")]
    CalendarUnreadable { path: PathBuf, source: io::Error },
    #[error("the calendar file is wrong: {0}")]
    Calendar(#[from] CalendarError),
    #[error(transparent)]
    Spool(#[from] SpoolError),
    #[error("the log's directory {path} cannot be made: {source}; make it, or set another [spool] dir")]
    SpoolDirectory { path: PathBuf, source: io::Error },
    #[error(transparent)]
    ControlSocket(#[from] BindError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("cannot start a runtime: {0}")]
    Runtime(io::Error),
    #[error(transparent)]
    Tree(#[from] TreeError),
    #[error(
        "the machine's clock was ahead and was set back: bhavd has to be started again, to go on under the right day"
    )]
    ClockSetBack,
    #[error("gave up after repeated failures: {reason}")]
    Escalated { reason: String },
}

impl DaemonError {
    /// sysexits.h, as systemd units know them.
    pub fn exit_code(&self) -> u8 {
        const UNAVAILABLE: u8 = 69;
        const INTERNAL: u8 = 70;
        const TEMPORARY: u8 = 75;
        const DENIED: u8 = 77;
        const CONFIGURATION: u8 = 78;
        match self {
            DaemonError::ClockSetBack => TEMPORARY,
            DaemonError::CalendarUnreadable { .. } | DaemonError::Calendar(_) => CONFIGURATION,
            DaemonError::Spool(SpoolError::InUse { .. } | SpoolError::Full { .. }) => UNAVAILABLE,
            DaemonError::Spool(SpoolError::Io { source, .. })
                if source.kind() == io::ErrorKind::PermissionDenied =>
            {
                DENIED
            }
            DaemonError::SpoolDirectory { source, .. } => match source.kind() {
                io::ErrorKind::PermissionDenied => DENIED,
                kind if is_of_path(kind) => CONFIGURATION,
                _ => INTERNAL,
            },
            DaemonError::ControlSocket(error) => match error {
                BindError::InUse { .. } => UNAVAILABLE,
                BindError::NotASocket { .. } | BindError::HandedOver { .. } => CONFIGURATION,
                BindError::Io { cause, .. } => match cause.kind() {
                    io::ErrorKind::PermissionDenied => DENIED,
                    kind if is_of_path(kind) => CONFIGURATION,
                    // Another daemon was a moment faster.
                    io::ErrorKind::AddrInUse => UNAVAILABLE,
                    io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => UNAVAILABLE,
                    _ => INTERNAL,
                },
            },
            DaemonError::Store(error) => match error.class() {
                ErrorClass::Configuration => CONFIGURATION,
                ErrorClass::Retry | ErrorClass::DiskFull => UNAVAILABLE,
                ErrorClass::Stop => INTERNAL,
            },
            DaemonError::Spool(_)
            | DaemonError::Runtime(_)
            | DaemonError::Tree(_)
            | DaemonError::Escalated { .. } => INTERNAL,
        }
    }
}

/// The path as it is written cannot be had.
fn is_of_path(kind: io::ErrorKind) -> bool {
    matches!(
        kind,
        io::ErrorKind::NotFound
            | io::ErrorKind::NotADirectory
            | io::ErrorKind::AlreadyExists
            | io::ErrorKind::InvalidInput
            | io::ErrorKind::InvalidFilename
            | io::ErrorKind::ReadOnlyFilesystem
    )
}

/// Built, not yet running.
pub struct Daemon {
    config: Config,
    clock: Clock,
    tree: Tree,
    status: Arc<DaemonStatus>,
    parts: Parts,
}

impl Daemon {
    /// As [`Daemon::open_from`], started by hand or by another program.
    ///
    /// # Errors
    /// [`DaemonError`]; nothing is left open.
    pub fn open(config: Config) -> Result<Daemon, DaemonError> {
        Daemon::open_from(config, Handover::default())
    }

    /// Opens log and store and finds out where they stand.
    ///
    /// # Errors
    /// [`DaemonError`]; nothing is left open.
    pub fn open_from(config: Config, handover: Handover) -> Result<Daemon, DaemonError> {
        let version = env!("CARGO_PKG_VERSION");
        log::info!(event = Event::Started, version; "bhavd {version} starts");
        let notifier = handover.notifier;
        let steps = OpeningSteps::new(notifier.clone());
        let clock = match config.clock {
            Some(simulation) => Clock::simulated(simulation),
            None => Clock::system(),
        };
        let birth = if config.clock.is_some() { Birth::Simulated } else { Birth::Real };
        let calendar = Arc::new(load_calendar(config.calendar.file.as_ref())?);
        for warning in calendar.warnings(clock.now().date_ist()) {
            log::warn!(event = Event::CalendarUnsure; "{warning}");
        }
        let directory = &config.spool.dir;
        let opened = steps.open_log(|| Spool::open(directory)).map_err(|error| match error {
            SpoolError::Io { path, source, .. } if path == *directory && !path.is_dir() => {
                DaemonError::SpoolDirectory { path, source }
            }
            other => DaemonError::Spool(other),
        })?;
        if let Some(torn) = &opened.torn_tail {
            log::warn!(
                event = Event::SpoolTorn, path:% = torn.path.display(), bytes = torn.bytes_cut;
                "{}: cut {} bytes of a record that was never completed, at byte {}{}",
                torn.path.display(),
                torn.bytes_cut,
                torn.offset,
                torn.kept.as_ref().map(|path| format!("; they are kept in {}", path.display())).unwrap_or_default()
            );
        }
        // Callers wait in it from here on. What is wrong with it is told before the store is opened, which may take long.
        let socket = Arc::new(match handover.control_socket {
            Some(socket) => ControlSocket::adopt(socket)?,
            None => ControlSocket::bind(&config.control.socket)?,
        });
        let mut spool = opened.spool;
        let now = clock.now();
        let ahead = find_ahead(&spool, now)?;
        let find_mending = |stored: Option<Checkpoint>, days: &StoredDays| match ahead {
            Some(_) => Mending::default(),
            None => find_mending(&spool, &steps, stored, days, &calendar),
        };
        let take_back = |stored: Checkpoint, mending: &Mending| {
            let is_stored = |ahead: &Checkpoint| stored.session_date >= ahead.session_date;
            ahead.filter(is_stored).or_else(|| mending.takes_back(stored))
        };
        let loaded = load_record(&config.store.url, birth, &steps, find_mending, take_back)?;
        let Loaded { stored, mending, days: stored_days } = loaded;
        let mended_from = mending.settle(&config.spool.dir, stored.checkpoint);
        let clock_status = ClockStatus::default();
        let set_aside = match ahead {
            // After the store has taken it back: killed in between, the next start finds the log ahead again.
            Some(_) => set_ahead_aside(&mut spool, now, &clock_status)?,
            None => None,
        };
        let skip = set_aside.or_else(|| catch_up(&mut spool, stored.checkpoint));
        let stored_seq = stored.checkpoint.map_or(0, |checkpoint| checkpoint.spool_seq);
        let grace_us = i64::from(config.buckets.grace_s) * 1_000_000;
        let settings = PipelineSettings {
            watch: config.watch.clone(),
            grace_us,
            silence_min_us: silence_min_us(&config),
            channels: channel_times(&config),
            // All of them, so that what a log means does not depend on which feeds are enabled.
            preference: Provider::ALL.into(),
            calendar: Arc::clone(&calendar),
        };
        let forced = held_order::read(&config.spool.dir);
        let lost_days = find_lost_days(&config, &stored_days, now, skip);
        let first = first_day(&spool, now);
        let rules = RunningRules::new(
            settings.clone(),
            first,
            day_rules::read(&config.spool.dir, first)?,
            now.max(spool.last_received()),
        );
        let (spool, beginning) = begin_log(spool, skip, now, &rules, forced)?;

        let feeds = Provider::ALL.map(|provider| feed_status(provider, &config)).into();
        let log = SpoolStatus::new(&spool);
        opened.damages.iter().for_each(|damage| {
            log.note_damage(damage);
        });
        let status = Arc::new(DaemonStatus {
            feeds,
            spool: log,
            store: StoreStatus::new(stored.checkpoint),
            clock: clock_status,
            ..DaemonStatus::default()
        });
        status.jobs.set_keep_days(config.spool.keep_days);
        let is_mended = |date: &TradingDate| mended_from.is_some_and(|from| *date >= from);
        let mended = spool::days(&config.spool.dir)?.into_iter().filter(is_mended);
        mended.for_each(|date| status.jobs.reopen(date));
        mending.waiting.into_iter().for_each(|(date, text)| status.note_poorer_rows(date, text));
        lost_days.into_iter().for_each(|text| status.note_lost_days(text));
        let records = Port::weighted("records", RECORDS_MAX, RECORD_BYTES_MAX, record_bytes, Policy::Wait);
        let batches = Port::weighted("batches", BATCHES_MAX, BATCH_ROWS_MAX, Batch::row_count, Policy::Wait);
        let dead_batches = config.spool.dir.clone();
        batches.set_aside_with(move |batch, verdict| dead_batch::keep(&dead_batches, batch, verdict));
        let written = spool.written();
        let recovery = Recovery::new(config.store.url.clone(), stored);
        let intake =
            Intake::new(spool, beginning, rules.clone(), records.clone(), clock.clone(), Arc::clone(&status));
        let tree = Tree::new();
        let live = LiveState::new(config.live.redis_url.is_some());
        let shared_config = Arc::new(config.clone());
        let orders = FeedOrders::new(&shared_config);
        let running = RunningConfig::new(Arc::clone(&shared_config));
        let reloader = Reloader::new(
            handover.config_file,
            handover.credentials_dir,
            running.clone(),
            orders.clone(),
            rules.clone(),
            clock.clone(),
            Arc::clone(&status),
        );
        let parts = Parts {
            service_manager: ServiceManager {
                notifier,
                hangups: handover.hangups,
                reloader: reloader.clone(),
                tree: tree.clone(),
                status: Arc::clone(&status),
                calendar: Arc::clone(&calendar),
                clock: clock.clone(),
                running: running.clone(),
                told: Told::default(),
            },
            writer: Writer {
                url: config.store.url.clone(),
                birth,
                clock: clock.clone(),
                batches: batches.clone(),
                status: Arc::clone(&status),
            },
            recorder: Recorder {
                settings: settings.clone(),
                handed_over: Arc::new(AtomicU64::new(stored_seq)),
                recovery: recovery.clone(),
                spool_directory: config.spool.dir.clone(),
                records,
                batches: batches.clone(),
                live: live.clone(),
                status: Arc::clone(&status),
                told: Arc::new(AtomicU64::new(stored_seq)),
            },
            live: live.clone(),
            timekeeper: Timekeeper {
                intake: intake.clone(),
                calendar: Arc::clone(&calendar),
                clock: clock.clone(),
                rules: rules.clone(),
                tree: tree.clone(),
                status: Arc::clone(&status),
            },
            jobs: JobParts {
                settings: settings.clone(),
                store_url: config.store.url.clone(),
                spool_directory: config.spool.dir.clone(),
                written,
                clock: clock.clone(),
                board: Arc::clone(&status.jobs),
                daemon: Arc::new(JobSurroundings {
                    recovery,
                    status: Arc::clone(&status),
                    batches: batches.gauge(),
                    intake: intake.clone(),
                }),
                batches,
            },
            control: ControlChild {
                config: shared_config,
                running,
                reloader,
                orders: orders.clone(),
                intake: intake.clone(),
                socket,
                clock: clock.clone(),
                tree: tree.clone(),
                status: Arc::clone(&status),
                settings,
                live,
                started: clock.now(),
                reading_room: ReadingRoom::default(),
                failover_turn: Arc::default(),
            },
            feeds: FeedParts {
                rules,
                clock: clock.clone(),
                calendar,
                intake,
                status: Arc::clone(&status),
                seed: clock.now().as_us() as u64,
            },
            orders,
        };
        Ok(Daemon { config, clock, tree, status, parts })
    }

    /// To stop the daemon and to look at its children from outside.
    pub fn tree(&self) -> Tree {
        self.tree.clone()
    }

    pub fn status(&self) -> Arc<DaemonStatus> {
        Arc::clone(&self.status)
    }

    pub fn clock(&self) -> Clock {
        self.clock.clone()
    }

    /// Runs until a signal or [`Tree::drain`] ends it, on this thread and those of the children.
    ///
    /// # Errors
    /// [`DaemonError::Escalated`] when children failed too often.
    pub fn run(self) -> Result<TreeExit, DaemonError> {
        install_panic_hook();
        #[cfg(feature = "chaos")]
        super::chaos::install();
        let root = tree::root(self.parts, &self.clock, &self.config);
        let options = TreeOptions {
            seed: self.clock.now().as_us() as u64,
            drain_within: DRAIN_WITHIN,
            follow_signals: true,
            zombies_max: self.config.supervision.zombies_max as usize,
        };
        let exit = self.tree.run(root, options)?;
        match exit.end {
            _ if self.status.clock.begins_anew() => Err(DaemonError::ClockSetBack),
            TreeEnd::Escalated(reason) => Err(DaemonError::Escalated { reason }),
            _ => {
                let end = match exit.end {
                    TreeEnd::Drained => "drained",
                    TreeEnd::Finished => "finished",
                    TreeEnd::DrainTimedOut => "not drained in time",
                    TreeEnd::Aborted | TreeEnd::Escalated(_) => "aborted",
                };
                log::info!(event = Event::Stopped, end; "bhavd ends: {end}");
                Ok(exit)
            }
        }
    }
}

/// A simulated day passes faster than machines respond: so long a silence says nothing.
fn silence_min_us(config: &Config) -> i64 {
    config.clock.map_or(0, |simulation| simulation.response_us())
}

/// What the configuration changes of what the providers declare.
fn channel_times(config: &Config) -> BTreeMap<String, ChannelTimes> {
    BTreeMap::from([nse_chain_times(config.feeds.nse.poll_interval_s)])
}

fn record_bytes(record: &Record) -> usize {
    record.frames.held_bytes()
}

fn load_calendar(file: Option<&PathBuf>) -> Result<Calendar, DaemonError> {
    match file {
        None => Ok(Calendar::embedded()),
        Some(path) => {
            let text = std::fs::read_to_string(path)
                .map_err(|source| DaemonError::CalendarUnreadable { path: path.clone(), source })?;
            Ok(Calendar::load(&text)?)
        }
    }
}

fn feed_status(provider: Provider, config: &Config) -> Arc<FeedStatus> {
    let status = FeedStatus::new(provider);
    if !config.feeds.is_enabled(provider) {
        status.set_state(FeedState::Disabled);
    }
    Arc::new(status)
}

/// What cannot be read of it is told and mends nothing: recording does not wait for that.
fn find_mending(
    spool: &Spool,
    steps: &OpeningSteps,
    stored: Option<Checkpoint>,
    days: &StoredDays,
    calendar: &Calendar,
) -> Mending {
    steps.open_log(|| Mending::find(spool, stored, days, calendar)).unwrap_or_else(|error| {
        log::error!(event = Event::SpoolIncomplete, error:%; "whether lost parts of the log are back is not known: {error}");
        Mending::default()
    })
}

/// What cannot be read or noted of it is told and names nothing, for the same reason.
fn find_lost_days(
    config: &Config,
    stored: &StoredDays,
    now: Timestamp,
    skip: Option<Skip>,
) -> Option<String> {
    let SpoolSettings { dir, keep_days, .. } = &config.spool;
    absent_days::find(dir, stored, now.date_ist(), *keep_days, skip).unwrap_or_else(|error| {
        log::error!(event = Event::SpoolIncomplete, error:%; "whether the log lost whole days is not known: {error}");
        None
    })
}

/// What the store says as the daemon begins.
struct Loaded {
    stored: StoreRecord,
    mending: Mending,
    /// Before anything was taken back.
    days: StoredDays,
}

/// What the store contains already, once it has taken back what it is to, by where it stands. It is closed again: the writer
/// opens it on its own thread.
fn load_record(
    url: &str,
    birth: Birth,
    steps: &OpeningSteps,
    find_mending: impl Fn(Option<Checkpoint>, &StoredDays) -> Mending,
    take_back: impl Fn(Checkpoint, &Mending) -> Option<Checkpoint>,
) -> Result<Loaded, DaemonError> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(DaemonError::Runtime)?;
    let load = async |note: NoteOpening<'_>| {
        let mut store = store::open_noting(url, birth, note).await?;
        let checkpoint = store.checkpoint().await?;
        let days = StoredDays::read(&store.reader().await?).await?;
        let mending = find_mending(checkpoint, &days);
        if let Some(from) = checkpoint.and_then(|checkpoint| take_back(checkpoint, &mending)) {
            store.forget_from(from).await?;
        }
        let stored = StoreRecord::read(&store.reader().await?).await?;
        Ok(Loaded { stored, mending, days })
    };
    Ok(runtime.block_on(steps.open_store(load))?)
}
