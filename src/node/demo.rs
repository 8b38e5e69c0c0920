//! `bhavd demo`: a simulated broker or exchange and the daemon together, in a directory of their own.

use super::{
    Daemon, DaemonError, DaemonStatus,
    unstated::{stated_within_us, unstated},
};
use crate::{
    actor::Tree,
    calendar::Calendar,
    clock::Clock,
    config::{BusSettings, Config, ControlSettings, CredentialSettings, SpoolSettings, StoreSettings},
    engine::watch::{WatchList, WatchedUnderlying},
    market::{BucketState, Provider, Timestamp, TradingDate},
    sim::{
        Credentials, LoadReport, MarketSource, RunningSimulator, Simulator, SimulatorError, SimulatorOptions,
    },
    store::{BucketStates, DaySummary, Reader, StoreError},
};
use serde::Serialize;
use std::{
    fs, io,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

/// What a demo can be told.
#[derive(Clone, Debug)]
pub struct DemoOptions {
    pub market: MarketSource,
    pub provider: Provider,
    /// Simulated seconds in a real one.
    pub speed: f64,
    /// Made if it is not there; must be empty.
    pub data_directory: PathBuf,
    /// `None` is SQLite in the directory.
    pub store_url: Option<String>,
    /// Ends by itself once the day has been played; else a signal ends it.
    pub exit_at_close: bool,
}

/// A demo that could not be played.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    #[error("{} is not empty; remove it or give another --data-dir", path.display())]
    NotEmpty { path: PathBuf },
    #[error("cannot {action} {}: {cause}", path.display())]
    Io { action: &'static str, path: PathBuf, cause: io::Error },
    #[error(transparent)]
    Simulator(#[from] SimulatorError),
    #[error(transparent)]
    Daemon(#[from] DaemonError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("cannot start a runtime: {0}")]
    Runtime(io::Error),
}

impl DemoError {
    /// As [`DaemonError::exit_code`].
    pub fn exit_code(&self) -> u8 {
        match self {
            DemoError::NotEmpty { .. } => 64,
            DemoError::Simulator(error) if error.is_usage() => 64,
            DemoError::Io { .. } | DemoError::Simulator(_) | DemoError::Runtime(_) => 69,
            DemoError::Daemon(error) => error.exit_code(),
            DemoError::Store(_) => 70,
        }
    }
}

/// How far a running demo is.
#[derive(Clone, Debug, PartialEq)]
pub struct DemoProgress {
    pub time: Timestamp,
    pub first_event: Timestamp,
    pub last_event: Timestamp,
    pub observations: u64,
    pub rows: u64,
    pub buckets_closed: u64,
    pub buckets_of_session: u64,
}

/// What was recorded, and how fast.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DemoSummary {
    pub schema_version: u32,
    pub date: TradingDate,
    pub provider: String,
    pub store: String,
    pub data_dir: PathBuf,
    pub contracts: i64,
    /// Those with rows.
    pub buckets: i64,
    pub buckets_of_session: i64,
    pub rows: i64,
    pub snapshots: i64,
    pub deltas: i64,
    pub candles: i64,
    pub coverage: DemoCoverage,
    /// Observations taken by the engines.
    pub ticks: u64,
    pub ticks_per_second: f64,
    pub elapsed_s: f64,
    pub speed: f64,
    /// Rows of the recording that were left out because they could not be read.
    pub skipped_recording_rows: u64,
    /// Frames, bodies or rows that the daemon could not decode.
    pub malformed: u64,
}

/// What the session was to have rows of, every bucket of every contract, by state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct DemoCoverage {
    pub live: i64,
    pub carried: i64,
    pub backfilled: i64,
    pub missing: i64,
    /// Without a row: the demo ended before it was stated.
    pub pending: i64,
}

impl DemoCoverage {
    pub fn known(&self) -> i64 {
        self.live + self.carried + self.backfilled
    }

    pub fn total(&self) -> i64 {
        self.known() + self.missing + self.pending
    }

    fn of(states: &[BucketStates], pending: i64) -> DemoCoverage {
        let mut coverage = DemoCoverage { pending, ..DemoCoverage::default() };
        for row in states {
            let count = match row.state {
                BucketState::Live => &mut coverage.live,
                BucketState::Carried => &mut coverage.carried,
                BucketState::Backfilled => &mut coverage.backfilled,
                BucketState::Missing => &mut coverage.missing,
                // Nothing was there to record.
                BucketState::Unlisted => continue,
            };
            *count += row.contracts;
        }
        coverage
    }
}

/// A Unix socket's path is at most 107 bytes long.
const SOCKET_PATH_MAX: usize = 100;
/// How long nothing may come in, in real time, before a day that is over counts as played.
const QUIET: Duration = Duration::from_millis(500);
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Simulated time after the last event in which polls still fetch it.
const AFTER_LAST_EVENT_S: i64 = 120;
/// How often the store is asked what it lacks of a day that was played; real time.
const ASK_EVERY: Duration = Duration::from_secs(1);
/// What a machine may take to work off and write what is due, beyond the time for which rows wait; real time.
const WORK_MAX: Duration = Duration::from_secs(60);

/// Plays a day. `loaded` is called first with what of the recording could not be read, `begun` once everything is checked and
/// open, and `show` ten times a second, on a thread of its own. A directory that was made for a demo that cannot begin is
/// removed again.
///
/// # Errors
/// [`DemoError`].
pub fn play(
    options: &DemoOptions,
    loaded: impl FnOnce(&LoadReport),
    begun: impl FnOnce(),
    show: impl FnMut(&DemoProgress) + Send,
) -> Result<DemoSummary, DemoError> {
    let began = Instant::now();
    check_directory(&options.data_directory)?;
    let simulator = Simulator::start(SimulatorOptions {
        speed: options.speed,
        ..SimulatorOptions::of_provider(options.market.clone(), options.provider)
    })?;
    loaded(simulator.load_report());
    let directory = FreshDirectory::make(&options.data_directory)?;
    let config = configure(options, &simulator)?;
    let store_url = config.store.url.clone();
    let daemon = Daemon::open(config)?;
    directory.keep();
    begun();
    let (tree, status, clock) = (daemon.tree(), daemon.status(), daemon.clock());
    let (first_event, last_event) = (simulator.market().first_time(), simulator.market().last_time());
    let date = first_event.date_ist();
    let ended = AtomicBool::new(false);
    let silence_min_us = simulator.simulation().response_us();
    let watcher = Watcher {
        tree,
        status: Arc::clone(&status),
        clock,
        first_event,
        last_event,
        store_url: store_url.clone(),
        patience: patience(options.speed, silence_min_us),
    };
    let exit = thread::scope(|scope| {
        scope.spawn(|| watcher.watch(options.exit_at_close, &ended, show));
        let exit = daemon.run();
        ended.store(true, Relaxed);
        exit
    });
    exit?;
    let elapsed = began.elapsed();
    let skipped_recording_rows = simulator.load_report().skipped;
    simulator.stop();
    let (summary, Stated { coverage, buckets_of_session }) = read(&store_url, async |reader| {
        Ok((reader.summary(date).await?, Stated::read(&reader, date).await?))
    })?;
    let ticks = status.pipeline.observations.load(Relaxed);
    let DaySummary { contracts, buckets, rows, snapshots, deltas, candles, .. } = summary;
    Ok(DemoSummary {
        schema_version: 1,
        date,
        provider: options.provider.to_string(),
        store: store_url,
        data_dir: options.data_directory.clone(),
        contracts,
        buckets,
        buckets_of_session,
        rows,
        snapshots,
        deltas,
        candles,
        coverage,
        ticks,
        ticks_per_second: ticks as f64 / elapsed.as_secs_f64(),
        elapsed_s: elapsed.as_secs_f64(),
        speed: options.speed,
        skipped_recording_rows,
        malformed: status.pipeline.malformed.load(Relaxed),
    })
}

/// Empty, or not there.
fn check_directory(directory: &Path) -> Result<(), DemoError> {
    let mut entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(cause) => return Err(DemoError::Io { action: "list", path: directory.to_owned(), cause }),
    };
    match entries.next() {
        Some(_) => Err(DemoError::NotEmpty { path: directory.to_owned() }),
        None => Ok(()),
    }
}

/// Removed again with what is in it, unless it is kept or was there before.
struct FreshDirectory {
    made: Option<PathBuf>,
}

impl FreshDirectory {
    fn make(directory: &Path) -> Result<FreshDirectory, DemoError> {
        let is_there = directory.exists();
        fs::create_dir_all(directory).map_err(|cause| DemoError::Io {
            action: "create",
            path: directory.to_owned(),
            cause,
        })?;
        Ok(FreshDirectory { made: (!is_there).then(|| directory.to_owned()) })
    }

    fn keep(mut self) {
        self.made = None;
    }
}

impl Drop for FreshDirectory {
    fn drop(&mut self) {
        // The failure that is told is the one before.
        let _ = self.made.as_ref().map(fs::remove_dir_all);
    }
}

/// The daemon's configuration for a running simulator.
fn configure(options: &DemoOptions, simulator: &RunningSimulator) -> Result<Config, DemoError> {
    let directory = &options.data_directory;
    let credentials = directory.join("credentials");
    write_credentials(&credentials, &Credentials::default())?;
    let mut socket = directory.join("control.sock");
    if socket.as_os_str().len() > SOCKET_PATH_MAX {
        socket = std::env::temp_dir().join(format!("bhavd-demo-{}.sock", std::process::id()));
    }
    let sqlite = || format!("sqlite:{}", directory.join("bhavd.sqlite").display());
    let mut config = Config {
        store: StoreSettings { url: options.store_url.clone().unwrap_or_else(sqlite) },
        spool: SpoolSettings { dir: directory.join("spool"), ..SpoolSettings::default() },
        control: ControlSettings { socket, ..ControlSettings::default() },
        dbus: BusSettings { enabled: false, ..BusSettings::default() },
        watch: WatchList { underlyings: vec![WatchedUnderlying::every_underlying(0)] },
        credentials: CredentialSettings { dir: Some(credentials) },
        clock: Some(simulator.simulation()),
        ..Config::default()
    };
    let angel_one = &mut config.feeds.angel_one;
    let urls = simulator.angel_one_url().zip(simulator.angel_one_stream_url());
    if let Some(((rest_url, stream_url), master_url)) = urls.zip(simulator.angel_one_master_url()) {
        (angel_one.rest_url, angel_one.stream_url, angel_one.master_url) = (rest_url, stream_url, master_url);
        angel_one.enabled = true;
    }
    if let Some(url) = simulator.nse_url() {
        let nse = &mut config.feeds.nse;
        (nse.site_url, nse.archive_url, nse.enabled) = (url.clone(), url, true);
        nse.poll_interval_s = 20;
    }
    Ok(config)
}

fn write_credentials(directory: &Path, credentials: &Credentials) -> Result<(), DemoError> {
    let failed = |action, path: &Path| {
        let path = path.to_owned();
        move |cause| DemoError::Io { action, path, cause }
    };
    fs::DirBuilder::new().mode(0o700).create(directory).map_err(failed("create", directory))?;
    for (name, value) in [
        ("angel_one.client_code", &credentials.client_code),
        ("angel_one.api_key", &credentials.api_key),
        ("angel_one.mpin", &credentials.mpin),
        ("angel_one.totp_secret", &credentials.totp_secret),
    ] {
        let path = directory.join(name);
        let file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
        file.and_then(|mut file| io::Write::write_all(&mut file, value.as_bytes()))
            .map_err(failed("write", &path))?;
    }
    Ok(())
}

/// For how long rows of a day that was played may be awaited, in real time.
fn patience(speed: f64, silence_min_us: i64) -> Duration {
    let lateness = Duration::from_micros(stated_within_us(silence_min_us).unsigned_abs());
    lateness.div_f64(speed) + WORK_MAX
}

/// Looks at a running demo and ends it.
struct Watcher {
    tree: Tree,
    status: Arc<DaemonStatus>,
    clock: Clock,
    first_event: Timestamp,
    last_event: Timestamp,
    store_url: String,
    /// For how long rows are awaited once the day was played.
    patience: Duration,
}

impl Watcher {
    fn watch(&self, exit_at_close: bool, ended: &AtomicBool, mut show: impl FnMut(&DemoProgress)) {
        let date = self.last_event.date_ist();
        let close = Calendar::embedded().session(date).map(|session| session.close);
        let over = self.last_event.max(close.unwrap_or(self.last_event)).plus_seconds(AFTER_LAST_EVENT_S);
        let pipeline = &self.status.pipeline;
        let (mut observations, mut quiet_since) = (0, Instant::now());
        // Since when the day was played, and when the store was asked last what it lacks.
        let (mut played, mut asked): (Option<Instant>, Option<Instant>) = (None, None);
        while !ended.load(Relaxed) {
            let seen = pipeline.observations.load(Relaxed);
            if seen != observations {
                (observations, quiet_since) = (seen, Instant::now());
            }
            show(&DemoProgress {
                time: self.clock.now(),
                first_event: self.first_event,
                last_event: self.last_event,
                observations,
                rows: self.status.store.rows(),
                buckets_closed: pipeline.buckets_closed.load(Relaxed),
                buckets_of_session: pipeline.buckets_of_session.load(Relaxed),
            });
            let has_caught_up = pipeline.seq.load(Relaxed) >= self.status.spool.seq();
            let is_quiet = has_caught_up && quiet_since.elapsed() >= QUIET;
            if exit_at_close && self.clock.now() >= over && is_quiet {
                let since = *played.get_or_insert_with(Instant::now);
                let is_due = asked.is_none_or(|asked| asked.elapsed() >= ASK_EVERY);
                if since.elapsed() >= self.patience || (is_due && self.is_stated(date)) {
                    self.tree.drain(Duration::from_secs(60));
                }
                asked = if is_due { Some(Instant::now()) } else { asked };
            }
            thread::park_timeout(LOOK_EVERY);
        }
    }

    /// Whether every row of the day is stated and in the store.
    fn is_stated(&self, date: TradingDate) -> bool {
        let pipeline = &self.status.pipeline;
        let is_of_day = self.clock.now().date_ist() == date;
        let (closed, all) =
            (pipeline.buckets_closed.load(Relaxed), pipeline.buckets_of_session.load(Relaxed));
        // Levels wait as well, of which the store is not asked.
        if (is_of_day && closed < all) || self.status.store.pending_rows() > 0 {
            return false;
        }
        let stated = read(&self.store_url, async |reader| Stated::read(&reader, date).await);
        // A store that does not answer now is asked again.
        stated.is_ok_and(|stated| stated.coverage.pending == 0)
    }
}

/// How far a day's rows are stated.
struct Stated {
    coverage: DemoCoverage,
    buckets_of_session: i64,
}

impl Stated {
    /// From the store, by every bucket of the session and every contract that was recorded: a demo that was ended before the close
    /// has no coverage of the day yet.
    async fn read(reader: &Reader, date: TradingDate) -> Result<Stated, StoreError> {
        let states = reader.bucket_states(date).await?;
        let Some(session) = Calendar::embedded().session(date) else {
            return Ok(Stated { coverage: DemoCoverage::of(&states, 0), buckets_of_session: 0 });
        };
        let contracts = reader.contracts_of(date).await?;
        let until = Timestamp::from_us(i64::MAX);
        let lacking = unstated(&session, until, &contracts, &states);
        let pending = lacking.iter().map(|found| found.contracts).sum();
        let buckets_of_session = session.buckets().count() as i64;
        Ok(Stated { coverage: DemoCoverage::of(&states, pending), buckets_of_session })
    }
}

fn read<T>(url: &str, ask: impl AsyncFnOnce(Reader) -> Result<T, StoreError>) -> Result<T, DemoError> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(DemoError::Runtime)?;
    Ok(runtime.block_on(async { ask(Reader::open(url).await?).await })?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_awaited_for_as_long_as_they_may_be_late_at_any_speed() {
        let patience = |speed: f64| patience(speed, (speed * 2e6) as i64).as_secs();
        assert_eq!([patience(1_200.0), patience(60.0)], [62, 72]);
        assert_eq!(super::patience(1.0, 0).as_secs(), 660, "at the speed of real time");
    }

    #[test]
    fn what_has_no_row_is_a_part_of_the_whole() {
        let row = |state, contracts| BucketStates {
            underlying: "NIFTY".to_owned(),
            bucket: crate::market::Bucket::containing(Timestamp::from_us(1_769_744_700_000_000)),
            state,
            contracts,
        };
        let states = [(BucketState::Live, 5), (BucketState::Missing, 1), (BucketState::Unlisted, 9)]
            .map(|(s, n)| row(s, n));
        let coverage = DemoCoverage::of(&states, 4);
        assert_eq!((coverage.known(), coverage.total()), (5, 10));
    }
}
