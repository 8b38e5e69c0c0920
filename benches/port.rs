//! What an item costs on its way through a [`Port`], beside a tokio channel. Prints nanoseconds an item, the median of
//! the rounds, with the two interleaved so that a noisy machine hits both.
#![expect(clippy::disallowed_methods, reason = "the other side of a measurement, without a tree")]

use bhavd::actor::{Lease, Policy, Port};
use std::{
    hint::black_box,
    time::{Duration, Instant},
};

const ROUNDS: usize = 9;
const CAPACITY: usize = 65_536;

/// As large as a tick.
#[derive(Clone, Copy)]
struct Item([u64; 6]);

fn on_a_thread<Work: Future<Output = ()>>(work: Work) {
    tokio::runtime::Builder::new_current_thread().build().expect("a runtime").block_on(work);
}

/// Pushes in batches of `batch` on one thread, takes on another.
fn through_port(count: usize, batch: usize) -> Duration {
    let port = Port::new("items", CAPACITY, Policy::Wait);
    let to = port.clone();
    let start = Instant::now();
    let producing = std::thread::spawn(move || {
        on_a_thread(async {
            let producer = to.producer(&Lease::detached("producer"));
            let mut items = Vec::with_capacity(batch);
            for number in 0..count / batch {
                if batch == 1 {
                    producer.push(Item([number as u64; 6])).await.expect("open");
                } else {
                    items.extend((0..batch).map(|place| Item([place as u64; 6])));
                    producer.push_all(&mut items).await.expect("open");
                }
            }
            to.close();
        });
    });
    on_a_thread(async {
        let mut consumer = port.consumer(&Lease::detached("consumer"));
        let mut sum = 0_u64;
        while let Some(batch) = consumer.drain(CAPACITY).await {
            sum = batch.items().iter().fold(sum, |sum, item| sum.wrapping_add(item.0[3]));
            batch.done();
        }
        black_box(sum);
    });
    producing.join().expect("no panic");
    start.elapsed()
}

/// One item a message on a bounded tokio channel across threads.
fn through_channel(count: usize) -> Duration {
    let (sender, mut receiver) = tokio::sync::mpsc::channel(CAPACITY);
    let start = Instant::now();
    let producing = std::thread::spawn(move || {
        on_a_thread(async {
            for number in 0..count {
                sender.send(Item([number as u64; 6])).await.expect("open");
            }
        });
    });
    on_a_thread(async {
        let mut sum = 0_u64;
        while let Some(item) = receiver.recv().await {
            sum = sum.wrapping_add(item.0[3]);
        }
        black_box(sum);
    });
    producing.join().expect("no panic");
    start.elapsed()
}

/// Pushes and takes by turns on one thread.
fn on_one_thread(count: usize, batch: usize) -> Duration {
    let port = Port::new("items", CAPACITY, Policy::Wait);
    let start = Instant::now();
    on_a_thread(async {
        let lease = Lease::detached("both");
        let (producer, mut consumer) = (port.producer(&lease), port.consumer(&lease));
        let mut sum = 0_u64;
        for _ in 0..count / batch {
            for place in 0..batch {
                producer.push(Item([place as u64; 6])).await.expect("open");
            }
            let batch = consumer.drain(CAPACITY).await.expect("items");
            sum = batch.items().iter().fold(sum, |sum, item| sum.wrapping_add(item.0[3]));
            batch.done();
        }
        black_box(sum);
    });
    start.elapsed()
}

fn main() {
    // `cargo test --benches` passes no `--bench`: there a short run shows that it works.
    let count = if std::env::args().any(|argument| argument == "--bench") { 2_000_000 } else { 20_000 };
    type Way = (&'static str, fn(usize) -> Duration);
    let ways: [Way; 7] = [
        ("tokio channel, across threads, 1 a send", through_channel),
        ("port, across threads, 1 a push", |count| through_port(count, 1)),
        ("port, across threads, 10 a push", |count| through_port(count, 10)),
        ("port, across threads, 250 a push", |count| through_port(count, 250)),
        ("port, one thread, 1 a drain", |count| on_one_thread(count, 1)),
        ("port, one thread, 10 pushes a drain", |count| on_one_thread(count, 10)),
        ("port, one thread, 250 pushes a drain", |count| on_one_thread(count, 250)),
    ];
    let mut times: Vec<Vec<f64>> = vec![Vec::new(); ways.len()];
    for _ in 0..ROUNDS {
        for ((_, way), times) in ways.iter().zip(&mut times) {
            times.push(way(count).as_nanos() as f64 / count as f64);
        }
    }
    for ((name, _), times) in ways.iter().zip(&mut times) {
        times.sort_by(f64::total_cmp);
        println!(
            "{name:40} {:7.1} ns an item (min {:.1}, max {:.1})",
            times[ROUNDS / 2],
            times[0],
            times[ROUNDS - 1]
        );
    }
}
