//! What supervision costs, and how soon a failed child serves again.
//!
//! Cost: the pipeline's engines over the same records, once in a plain loop and once as a supervised child that takes them
//! from a port under a lease, notes each record in hand, shows its pulse and hands its rows to another port, which a second
//! child empties. Both run on one thread of this process in turns, and the median of the rounds counts. It may be 10 %.
//!
//! Recovery: a toy child that fails again and again, from the failure to the moment its next incarnation handles an item:
//! 100 ms after a panic, heartbeat and 100 ms after a hang or a blocked thread. The worst of the rounds counts.
//!
//! Ends with 1 where a bound is missed. `cargo bench --bench supervision`.

mod median;
mod session;

use bhavd::{
    actor::{
        Backoff, ChildSpec, Lease, Placement, Policy, Port, Restart, Strategy, SupervisorSpec, Tree,
        TreeOptions, install_panic_hook,
    },
    market::{ProviderToken, Segment, Timestamp},
    pipeline::NoLive,
    spool::{Frames, Record, Source},
    store::Batch,
    wire::angel_one::{DayStatistics, Detail, Packet, SNAP_QUOTE_BYTES, Snapshot},
};
use median::median;
use session::{FIRST_TOKEN, date, master, open, pipeline, record};
use std::{
    future::pending,
    hint::black_box,
    process::ExitCode,
    sync::{Arc, Mutex, mpsc},
    time::{Duration, Instant},
};

const CONTRACTS: u32 = 20_000;
const TICKS: usize = 400_000;
const FRAMES_A_RECORD: usize = 256;
/// As the daemon's recorder takes them.
const DRAIN_MAX: usize = 256;
const ROUNDS: usize = 11;
const WARM_ROUNDS: usize = 2;
const COST_MAX: f64 = 0.10;

const FAILURES: usize = 20;
const HEARTBEAT: Duration = Duration::from_millis(200);
const RECOVERY_MAX: Duration = Duration::from_millis(100);

/// Two minutes from the open on: no bucket closes, every eighth tick of a contract changes its open interest.
fn stream() -> Vec<Record> {
    const SPAN_MS: i64 = 120_000;
    let open_ms = open().as_ms();
    let time_of = |tick: usize| open_ms + tick as i64 * SPAN_MS / TICKS as i64;
    let mut bytes = Vec::new();
    let mut records = Vec::new();
    for first in (0..TICKS).step_by(FRAMES_A_RECORD) {
        let count = FRAMES_A_RECORD.min(TICKS - first);
        let mut frames = Frames::with_capacity(count, count * SNAP_QUOTE_BYTES);
        for tick in first..first + count {
            // A stride that visits all contracts without being kind to the cache.
            let contract = (tick as u32).wrapping_mul(7_919) % CONTRACTS;
            let turn = (tick as u32 / CONTRACTS) as i64;
            let day = DayStatistics { volume: 10_000 + 65 * turn, ..DayStatistics::default() };
            let open_interest = 65_000 + 65 * ((turn + i64::from(contract)) / 8);
            let snapshot = Snapshot { open_interest, ..Snapshot::default() };
            bytes.clear();
            Packet {
                token: ProviderToken { segment: Segment::NseFo, token: FIRST_TOKEN + contract },
                sequence: tick as i64,
                exchange_time_ms: time_of(tick),
                last_price_paise: 10_000 + 5 * turn,
                detail: Detail::SnapQuote(day, snapshot),
            }
            .encode_into(&mut bytes);
            frames.push(&bytes);
        }
        let received = Timestamp::from_us(1_000 * time_of(first + count));
        records.push(record(Source::AngelOneStream, received, frames, 2 + records.len() as u64));
    }
    records
}

/// Changes of open interest seen, and the time from the first record to the last.
type Outcome = (usize, Duration);

fn in_a_loop(master: &Record, records: &[Record]) -> Outcome {
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

/// The same in a tree. The records wait in the port before the clock starts, as they lie in memory for the loop.
fn supervised(master: &Record, records: Vec<Record>) -> Outcome {
    let from = Port::new("records", records.len(), Policy::Wait);
    let to: Port<Batch> = Port::new("batches", 1_024, Policy::Wait);
    let mut records = records;
    from.producer(&Lease::detached("bench")).offer_all(&mut records).expect("room for all");
    from.close();
    let (span, deltas) = (Arc::new(Mutex::new(Duration::ZERO)), Arc::new(Mutex::new(0)));
    let (took, counted) = (Arc::clone(&span), Arc::clone(&deltas));
    let (batches_in, batches_out) = (to.clone(), to.clone());
    let (records_gauge, batches_gauge) = (from.gauge(), to.gauge());
    let made = Arc::new(Mutex::new(Some(pipeline(master))));
    let compute = ChildSpec::new("compute", move |lease| {
        let (from, to, took, made) = (from.clone(), batches_in.clone(), Arc::clone(&took), Arc::clone(&made));
        async move {
            let mut pipeline = made.lock().expect("not poisoned").take().ok_or("only one incarnation")?;
            let (mut consumer, producer) = (from.consumer(&lease), to.producer(&lease));
            let began = Instant::now();
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
                producer.push(batch).await?;
                taken.done();
            }
            *took.lock().expect("not poisoned") = began.elapsed();
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
        .child(compute.restart(Restart::Transient).placement(Placement::Compute).port(records_gauge));
    let options = TreeOptions { follow_signals: false, ..TreeOptions::default() };
    Tree::new().run(root, options).expect("no signals to listen for");
    (*deltas.lock().expect("not poisoned"), *span.lock().expect("not poisoned"))
}

/// Whether the cost is within its bound.
fn measure_cost() -> bool {
    let (master, records) = (master(CONTRACTS), stream());
    let (mut plain, mut ratios) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let copy = records.clone();
        let ((plain_deltas, plain_took), (deltas, took)) = if round % 2 == 0 {
            let plain = in_a_loop(&master, &records);
            (plain, supervised(&master, copy))
        } else {
            let supervised = supervised(&master, copy);
            (in_a_loop(&master, &records), supervised)
        };
        assert_eq!(plain_deltas, deltas, "both see the same changes");
        if round >= WARM_ROUNDS {
            plain.push(plain_took.as_nanos() as f64 / TICKS as f64);
            ratios.push(took.as_secs_f64() / plain_took.as_secs_f64() - 1.0);
        }
    }
    let (plain, cost) = (median(plain), median(ratios));
    println!(
        "cost: a plain loop takes {plain:.1} ns a tick, supervised {:+.1} % (median of {} rounds, bound {:.0} %)",
        100.0 * cost,
        ROUNDS - WARM_ROUNDS,
        100.0 * COST_MAX
    );
    cost <= COST_MAX
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
    ];
    if reached.contains(&false) {
        println!("a bound is missed");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}
