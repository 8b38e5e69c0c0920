//! The log of a morning, and the recorder of a whole daemon that fails over it.

use crate::{
    FRAMES_A_RECORD, RECOVERY_MAX,
    session::{FIRST_TOKEN, master, open},
};
use bhavd::{
    actor::{
        ChildState, Tree,
        chaos::{Fault, install_faults},
    },
    clock,
    config::Config,
    market::{Provider, ProviderToken, Segment, Timestamp},
    node::{Daemon, DaemonStatus},
    spool::{Frames, Mark, NewRecord, Source, Spool},
    wire::angel_one::{DayStatistics, Detail, Packet, SNAP_QUOTE_BYTES, Snapshot},
};
use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

/// As many ticks of as many contracts as half of a recorded day of all stock options over Angel One.
const CONTRACTS: u32 = 16_400;
const TICKS: usize = 1_000_000;
/// From the open until noon.
const SPAN_S: i64 = 9_900;
const FAULTS_OF_A_KIND: usize = 3;
/// Longer than the toy's: the jobs beside the recorder have the same, and pack whole hours of the log.
const HEARTBEAT: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_secs(100);

/// Appends a tick of one of so many contracts; `bytes` is room to encode it in. Every eighth tick of a contract changes its
/// open interest.
pub fn push_tick(frames: &mut Frames, bytes: &mut Vec<u8>, contracts: u32, tick: usize, time_ms: i64) {
    // A stride that visits all contracts without being kind to the cache.
    let contract = (tick as u32).wrapping_mul(7_919) % contracts;
    let turn = (tick as u32 / contracts) as i64;
    let day = DayStatistics { volume: 10_000 + 65 * turn, ..DayStatistics::default() };
    let open_interest = 65_000 + 65 * ((turn + i64::from(contract)) / 8);
    let snapshot = Snapshot { open_interest, ..Snapshot::default() };
    bytes.clear();
    Packet {
        token: ProviderToken { segment: Segment::NseFo, token: FIRST_TOKEN + contract },
        sequence: tick as i64,
        exchange_time_ms: time_ms,
        last_price_paise: 10_000 + 5 * turn,
        detail: Detail::SnapQuote(day, snapshot),
    }
    .encode_into(bytes);
    frames.push(bytes);
}

/// Writes the log; gives the number of records.
fn write_log(directory: &Path) -> u64 {
    let mut spool = Spool::open(directory).expect("a log").spool;
    let mut append = |mut record: NewRecord| spool.append(&mut record).expect("room on the disk");
    let master = master(CONTRACTS);
    append(NewRecord {
        source: master.source,
        received_time: master.received_time,
        context: String::new(),
        frames: master.frames,
    });
    append(NewRecord::mark(open(), &Mark::feed_up(Provider::AngelOne)));
    let mut bytes = Vec::new();
    let mut last = 0;
    for first in (0..TICKS).step_by(FRAMES_A_RECORD) {
        let count = FRAMES_A_RECORD.min(TICKS - first);
        let time_ms = open().as_ms() + first as i64 * SPAN_S * 1_000 / TICKS as i64;
        let mut frames = Frames::with_capacity(count, count * SNAP_QUOTE_BYTES);
        for tick in first..first + count {
            push_tick(&mut frames, &mut bytes, CONTRACTS, tick, time_ms);
        }
        let received_time = Timestamp::from_us(1_000 * time_ms);
        last = append(NewRecord {
            source: Source::ANGEL_ONE_STREAM,
            received_time,
            context: String::new(),
            frames,
        });
    }
    last
}

/// At noon, without feeds: what is measured is the recorder and its log.
fn open_daemon(directory: &Path) -> Daemon {
    let place = directory.display();
    let text = format!(
        "store.url = \"sqlite:{place}/bhavd.sqlite\"\n\
         spool.dir = \"{place}/spool\"\n\
         control.socket = \"{place}/control.sock\"\n\
         watch = [{{ underlying = \"*\", expiries = 0 }}]\n\
         [feeds.nse]\n\
         enabled = true\n\
         [supervision]\n\
         hang_after_ms = {}\n\
         restarts_max = 1000\n\
         zombies_max = 64\n\
         backoff_first_ms = 50\n\
         backoff_longest_ms = 50\n\
         [clock]\n\
         start = \"{}\"\n\
         real_start = \"{}\"\n\
         speed = 1.0\n",
        HEARTBEAT.as_millis(),
        open().plus_seconds(SPAN_S).to_utc().to_rfc3339(),
        clock::real_now().to_utc().to_rfc3339(),
    );
    let mut config = Config::parse(&text, "the bench's configuration", None).expect("a configuration");
    config.feeds.nse.enabled = false;
    Daemon::open(config).expect("opens")
}

fn wait(what: &str, is_there: impl Fn() -> bool) {
    let began = Instant::now();
    while !is_there() {
        assert!(began.elapsed() < PATIENCE, "no {what}");
        thread::park_timeout(Duration::from_micros(200));
    }
}

/// A daemon over the log, from outside.
struct Shown {
    tree: Tree,
    status: Arc<DaemonStatus>,
}

impl Shown {
    /// Since the log was read to its end, or was said not to be.
    fn is_up(&self) -> &AtomicBool {
        &self.status.readiness.pipeline_up
    }

    /// The number of the recorder's life, if it runs.
    fn running_life(&self) -> Option<u64> {
        let snapshot = self.tree.snapshot();
        let row = snapshot.row("recorder")?;
        (row.state == ChildState::Running).then_some(row.incarnation)
    }
}

/// Ends the daemon however its watcher ends: the scope waits for it.
struct Ending<'a>(&'a Shown);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.tree.drain(Duration::from_secs(30));
    }
}

/// Runs a daemon over the log for as long as `watch` looks at it.
fn with_daemon<R>(directory: &Path, watch: impl FnOnce(&Shown) -> R) -> R {
    let daemon = open_daemon(directory);
    let shown = Shown { tree: daemon.tree(), status: daemon.status() };
    thread::scope(|scope| {
        let run = scope.spawn(|| daemon.run());
        let ending = Ending(&shown);
        let watched = watch(&shown);
        drop(ending);
        run.join().expect("no panic").expect("a clean end");
        watched
    })
}

/// From a fault to the moment the recorder runs again, and to the moment it has read the log and takes from its port.
struct Recovery {
    running: Duration,
    caught_up: Duration,
}

/// Whether the recorder runs again within the bounds.
pub fn measure() -> bool {
    let directory = tempfile::tempdir().expect("a directory");
    let directory = directory.path();
    let last = write_log(&directory.join("spool"));
    // The store comes up to the log first, as it would be by noon.
    let rebuild = with_daemon(directory, |shown| {
        let began = Instant::now();
        wait("end of the log", || shown.is_up().load(Relaxed));
        let took = began.elapsed();
        wait("rows in the store", || {
            shown.status.store.seq() >= last && shown.status.store.pending_rows() == 0
        });
        took
    });
    let distance = (2 * rebuild).max(Duration::from_secs(2)) + 2 * HEARTBEAT;
    let kinds = [("a panic", Fault::Panic, RECOVERY_MAX), ("a hang", Fault::Hang, HEARTBEAT + RECOVERY_MAX)];
    let times = || (2..).map(|number| distance * number);
    let faults = kinds.iter().flat_map(|(_, fault, _)| [*fault; FAULTS_OF_A_KIND]);
    let begin = Instant::now();
    install_faults("recorder", times().zip(faults));
    with_daemon(directory, |shown| {
        wait("end of the log", || shown.is_up().load(Relaxed));
        let mut times = times();
        let mut reached = true;
        for (name, _, bound) in kinds {
            let recoveries: Vec<Recovery> =
                times.by_ref().take(FAULTS_OF_A_KIND).map(|after| recover(shown, begin + after)).collect();
            let (running, worst) = middle_and_worst(recoveries.iter().map(|recovery| recovery.running));
            let (caught_up, last_up) = middle_and_worst(recoveries.iter().map(|recovery| recovery.caught_up));
            println!(
                "recovery of the recorder from {name}: running again after {running:.1?}, worst of {FAULTS_OF_A_KIND} \
                 {worst:.1?} (bound {bound:?}); caught up with a log of {last} records, {TICKS} ticks of {CONTRACTS} \
                 contracts, after {caught_up:.1?}, worst {last_up:.1?}"
            );
            reached &= worst <= bound;
        }
        reached
    })
}

/// Watches the fault that happens at `due`.
fn recover(shown: &Shown, due: Instant) -> Recovery {
    let early = due - Duration::from_millis(20);
    assert!(Instant::now() < early, "the fault before takes longer than the distance of two");
    while let Some(left) = early.checked_duration_since(Instant::now()) {
        thread::park_timeout(left);
    }
    let before = shown.running_life().unwrap_or_else(|| panic!("no recorder: {:#?}", shown.tree.snapshot()));
    shown.is_up().store(false, Relaxed);
    wait("life after the fault", || shown.running_life().is_some_and(|life| life > before));
    let running = due.elapsed();
    wait("end of the log", || shown.is_up().load(Relaxed));
    Recovery { running, caught_up: due.elapsed() }
}

fn middle_and_worst(times: impl Iterator<Item = Duration>) -> (Duration, Duration) {
    let mut times: Vec<Duration> = times.collect();
    times.sort();
    (times[times.len() / 2], times[times.len() - 1])
}
