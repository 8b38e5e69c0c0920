//! What supervision costs, and how soon a failed child serves again.
//!
//! Cost: the pipeline's engines over the same records, once in a plain loop and once as supervised children: one keeps a
//! place in a port, makes it sure and pushes each record into it, as the intake does; another takes them under its lease,
//! notes each in hand, shows its pulse and hands its rows to a second port, which a third child empties. The first two
//! share one thread, so that all of their work counts. Loop and tree run in this process in turns, and the median of the
//! rounds counts. With as many frames a record as a busy feed makes, it may be 10 %; other sizes are shown.
//!
//! Recovery: a toy child that fails again and again, from the failure to the moment its next incarnation handles an item:
//! 100 ms after a panic, heartbeat and 100 ms after a hang or a blocked thread. Then the recorder of a whole daemon over the
//! log of a morning, to the moment it runs again, within the same bounds, and to the moment it has caught up, which
//! depends on the log. The worst of the rounds counts.
//!
//! Ends with 1 where a bound is missed. `cargo bench --bench supervision`.

mod median;
mod morning;
mod session;

use bhavd::{
    actor::{
        Backoff, ChildSpec, Lease, Placement, Policy, Port, Restart, Strategy, SupervisorSpec, Tree,
        TreeOptions, install_panic_hook,
    },
    market::Timestamp,
    pipeline::NoLive,
    spool::{Frames, Record, Source},
    store::Batch,
    wire::angel_one::SNAP_QUOTE_BYTES,
};
use median::median;
use morning::push_tick;
use session::{date, master, open, pipeline, record};
use std::{
    future::pending,
    hint::black_box,
    process::ExitCode,
    sync::{Arc, Mutex, OnceLock, mpsc},
    time::{Duration, Instant},
};

const CONTRACTS: u32 = 20_000;
const TICKS: usize = 400_000;
/// What is judged: see docs/performance.md for what feeds make.
const FRAMES_A_RECORD: usize = 256;
const OTHER_FRAMES_A_RECORD: [usize; 4] = [1, 8, 64, 1_000];
/// As the daemon's recorder takes them.
const DRAIN_MAX: usize = 256;
/// As the daemon's port between log and pipeline.
const RECORDS_MAX: usize = 1_024;
const RECORD_BYTES_MAX: usize = 32 << 20;
const ROUNDS: usize = 9;
const OTHER_ROUNDS: usize = 5;
const WARM_ROUNDS: usize = 2;
const COST_MAX: f64 = 0.10;

const FAILURES: usize = 20;
const HEARTBEAT: Duration = Duration::from_millis(200);
const RECOVERY_MAX: Duration = Duration::from_millis(100);

/// Two minutes from the open on: no bucket closes.
fn stream(frames_a_record: usize) -> Vec<Arc<Record>> {
    const SPAN_MS: i64 = 120_000;
    let open_ms = open().as_ms();
    let time_of = |tick: usize| open_ms + tick as i64 * SPAN_MS / TICKS as i64;
    let mut bytes = Vec::new();
    let mut records = Vec::new();
    for first in (0..TICKS).step_by(frames_a_record) {
        let count = frames_a_record.min(TICKS - first);
        let mut frames = Frames::with_capacity(count, count * SNAP_QUOTE_BYTES);
        for tick in first..first + count {
            push_tick(&mut frames, &mut bytes, CONTRACTS, tick, time_of(tick));
        }
        let received = Timestamp::from_us(1_000 * time_of(first + count));
        records.push(Arc::new(record(Source::ANGEL_ONE_STREAM, received, frames, 2 + records.len() as u64)));
    }
    records
}

/// Changes of open interest seen, and the time from the first record to the last.
type Outcome = (usize, Duration);

fn in_a_loop(master: &Record, records: &[Arc<Record>]) -> Outcome {
    let mut pipeline = pipeline(master);
    let mut deltas = 0;
    let began = Instant::now();
    for records in records.chunks(DRAIN_MAX) {
        let mut batch = Batch::new(date(), 0);
        for record in records {
            pipeline.apply(record, &mut NoLive, &mut batch);
        }
        deltas += black_box(batch).deltas.len();
    }
    (deltas, began.elapsed())
}

/// The same in a tree; the time runs from before the first record is pushed. Records are shared with the bench, so that
/// neither side gives memory back within the time.
fn supervised(master: &Record, records: Vec<Arc<Record>>) -> Outcome {
    let weigh = |record: &Arc<Record>| record.frames.held_bytes();
    let from = Port::weighted("records", RECORDS_MAX, RECORD_BYTES_MAX, weigh, Policy::Wait);
    let to: Port<Batch> = Port::new("batches", 1_024, Policy::Wait);
    let (records_gauge, batches_gauge) = (from.gauge(), to.gauge());
    let began = Arc::new(OnceLock::new());
    let span = Arc::new(Mutex::new(Duration::ZERO));
    let deltas = Arc::new(Mutex::new(0));
    let (pushed, begins, left) = (from.clone(), Arc::clone(&began), Arc::new(Mutex::new(Some(records))));
    let feed = ChildSpec::new("feed", move |lease| {
        let (to, begins, left) = (pushed.clone(), Arc::clone(&begins), Arc::clone(&left));
        async move {
            let producer = to.producer(&lease);
            let records = left.lock().expect("not poisoned").take().ok_or("only one incarnation")?;
            begins.get_or_init(Instant::now);
            for record in records {
                producer.reserve().await?.claim()?.push(record);
            }
            to.close();
            Ok(())
        }
    });
    let made = Arc::new(Mutex::new(Some(pipeline(master))));
    let (batches_in, batches_out) = (to.clone(), to);
    let (took, counted) = (Arc::clone(&span), Arc::clone(&deltas));
    let compute = ChildSpec::new("compute", move |lease| {
        let (from, to, took, made) = (from.clone(), batches_in.clone(), Arc::clone(&took), Arc::clone(&made));
        let began = Arc::clone(&began);
        async move {
            let mut pipeline = made.lock().expect("not poisoned").take().ok_or("only one incarnation")?;
            let (mut consumer, producer) = (from.consumer(&lease), to.producer(&lease));
            while let Some(taken) = consumer.drain(DRAIN_MAX).await {
                let mut batch = Batch::new(date(), 0);
                for record in taken.items() {
                    lease.pulse().progress();
                    if lease.verdict(record.seq).is_some() {
                        continue;
                    }
                    lease.take_in_hand(record.seq);
                    pipeline.apply(record, &mut NoLive, &mut batch);
                    lease.lay_down();
                }
                producer.push(batch).await.map_err(|refused| refused.reason)?;
                taken.done();
            }
            *took.lock().expect("not poisoned") = began.get().ok_or("nothing was pushed")?.elapsed();
            to.close();
            Ok(())
        }
    });
    let count = ChildSpec::new("count", move |lease| {
        let (from, counted) = (batches_out.clone(), Arc::clone(&counted));
        async move {
            let mut consumer = from.consumer(&lease);
            while let Some(taken) = consumer.drain(DRAIN_MAX).await {
                let deltas: usize = taken.items().iter().map(|batch| black_box(batch).deltas.len()).sum();
                *counted.lock().expect("not poisoned") += deltas;
                taken.done();
            }
            Ok(())
        }
    });
    let root = SupervisorSpec::new("root", Strategy::OneForOne)
        .child(count.restart(Restart::Transient).port(batches_gauge))
        .child(compute.restart(Restart::Transient).placement(Placement::Compute).port(records_gauge))
        .child(feed.restart(Restart::Transient).placement(Placement::Compute));
    let options = TreeOptions { follow_signals: false, ..TreeOptions::default() };
    Tree::new().run(root, options).expect("no signals to listen for");
    (*deltas.lock().expect("not poisoned"), *span.lock().expect("not poisoned"))
}

/// Prints the cost with so many frames a record, and gives it as a share of the plain loop's time.
fn cost(master: &Record, frames_a_record: usize, rounds: usize) -> f64 {
    let records = stream(frames_a_record);
    let (mut plain, mut ratios) = (Vec::new(), Vec::new());
    for round in 0..WARM_ROUNDS + rounds {
        let copy = records.clone();
        let ((plain_deltas, plain_took), (deltas, took)) = if round % 2 == 0 {
            let plain = in_a_loop(master, &records);
            (plain, supervised(master, copy))
        } else {
            let supervised = supervised(master, copy);
            (in_a_loop(master, &records), supervised)
        };
        assert_eq!(plain_deltas, deltas, "both see the same changes");
        if round >= WARM_ROUNDS {
            plain.push(plain_took.as_nanos() as f64 / TICKS as f64);
            ratios.push(took.as_secs_f64() / plain_took.as_secs_f64() - 1.0);
        }
    }
    let (plain, cost) = (median(plain), median(ratios));
    println!(
        "cost, {frames_a_record:3} frames a record: a plain loop takes {plain:5.1} ns a tick, supervised {:+6.1} %, \
         {:4.0} ns a record (median of {rounds} rounds)",
        100.0 * cost,
        cost * plain * frames_a_record as f64,
    );
    cost
}

/// Whether the cost is within its bound.
fn measure_cost() -> bool {
    let master = master(CONTRACTS);
    for frames_a_record in OTHER_FRAMES_A_RECORD {
        cost(&master, frames_a_record, OTHER_ROUNDS);
    }
    let judged = cost(&master, FRAMES_A_RECORD, ROUNDS);
    println!("cost: bound {:.0} %, judged with {FRAMES_A_RECORD} frames a record", 100.0 * COST_MAX);
    judged <= COST_MAX
}

#[derive(Clone, Copy)]
enum Failure {
    Panic,
    Hang,
    Block,
}

/// Times from a failure to the next item handled.
fn recoveries(failure: Failure) -> Vec<Duration> {
    let port: Port<usize> = Port::new("items", 2 * FAILURES, Policy::Wait);
    port.producer(&Lease::detached("bench")).offer_all(&mut (0..2 * FAILURES).collect()).expect("room");
    port.close();
    let times = Arc::new(Mutex::new((None::<Instant>, Vec::new())));
    let (from, noted) = (port.clone(), Arc::clone(&times));
    let (release, blocked) = mpsc::channel::<()>();
    let blocked = Arc::new(Mutex::new(Some(blocked)));
    let toy = ChildSpec::new("toy", move |lease| {
        let (port, noted, blocked) = (from.clone(), Arc::clone(&noted), Arc::clone(&blocked));
        async move {
            let mut consumer = port.consumer(&lease);
            // Every incarnation handles one item and fails over the one after it, which the next one handles.
            let mut handled = 0;
            while let Some(mut batch) = consumer.drain(1).await {
                while batch.next().is_some() {
                    {
                        let mut noted = noted.lock().expect("not poisoned");
                        if let Some(failed) = noted.0.take() {
                            noted.1.push(failed.elapsed());
                        }
                        handled += 1;
                        if handled < 2 || noted.1.len() == FAILURES {
                            continue;
                        }
                        noted.0 = Some(Instant::now());
                    }
                    match failure {
                        Failure::Panic => panic!("planned"),
                        Failure::Hang => pending().await,
                        Failure::Block => {
                            // One zombie at a time waits for its release, the others for longer than it takes.
                            let receiver = blocked.lock().expect("not poisoned").take();
                            match receiver {
                                Some(receiver) => drop(receiver.recv()),
                                None => std::thread::park_timeout(4 * HEARTBEAT),
                            }
                            pending().await
                        }
                    }
                }
                batch.done();
            }
            Ok(())
        }
    });
    // Every failure is a first one: what is measured is not the growth of the backoff.
    let backoff = Backoff { reset_after: Duration::ZERO, ..Backoff::default() };
    let root = SupervisorSpec::new("root", Strategy::OneForOne)
        .intensity(10 * FAILURES, Duration::from_secs(600))
        .backoff(backoff)
        .child(
            toy.restart(Restart::Transient).placement(Placement::Own).heartbeat(HEARTBEAT).port(port.gauge()),
        );
    let options = TreeOptions { follow_signals: false, zombies_max: 2 * FAILURES, ..TreeOptions::default() };
    let tree = Tree::new();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            tree.run(root, options).expect("no signals to listen for");
        });
        while times.lock().expect("not poisoned").1.len() < FAILURES {
            std::thread::park_timeout(Duration::from_millis(20));
        }
        drop(release);
    });
    times.lock().expect("not poisoned").1.clone()
}

/// Whether the recovery is within its bound.
fn measure_recovery(name: &str, failure: Failure, bound: Duration) -> bool {
    let mut times = recoveries(failure);
    times.sort();
    let (middle, worst) = (times[times.len() / 2], times[times.len() - 1]);
    println!(
        "recovery from {name}: median {middle:.1?}, worst of {} {worst:.1?} (bound {bound:?}, heartbeat {HEARTBEAT:?})",
        times.len()
    );
    worst <= bound
}

fn main() -> ExitCode {
    install_panic_hook();
    let reached = [
        measure_cost(),
        measure_recovery("a panic", Failure::Panic, RECOVERY_MAX),
        measure_recovery("a hang", Failure::Hang, HEARTBEAT + RECOVERY_MAX),
        measure_recovery("a blocked thread", Failure::Block, HEARTBEAT + RECOVERY_MAX),
        morning::measure(),
    ];
    if reached.contains(&false) {
        println!("a bound is missed");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}
