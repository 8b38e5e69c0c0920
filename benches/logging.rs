//! What a log call costs the thread that makes it, where nothing is written and where something is.
//!
//! `cargo bench --bench logging 2>/dev/null`; what is written goes to standard error.

use bhavd::logging;
use std::{
    hint::black_box,
    time::{Duration, Instant},
};

const ROUNDS: usize = 51;
/// Fewer than the queue takes.
const CALLS: usize = 1_000;

/// Nanoseconds a call: the median of the rounds, and the slowest hundredth of single calls.
fn measure(name: &str, mut call: impl FnMut(usize)) {
    let mut rounds = Vec::with_capacity(ROUNDS);
    let mut singles = Vec::with_capacity(ROUNDS * CALLS);
    for _ in 0..ROUNDS {
        let begun = Instant::now();
        for number in 0..CALLS {
            call(number);
        }
        rounds.push(begun.elapsed() / CALLS as u32);
        log::logger().flush();
        for number in 0..CALLS {
            let begun = Instant::now();
            call(number);
            singles.push(begun.elapsed());
        }
        log::logger().flush();
    }
    rounds.sort_unstable();
    singles.sort_unstable();
    let ns = |span: Duration| span.as_nanos();
    println!(
        "{name:<44} {:>6} ns, p99 {:>6} ns",
        ns(rounds[ROUNDS / 2]),
        ns(singles[singles.len() * 99 / 100])
    );
}

/// A message and four facts, as a feed tells of an outage.
fn say(target: &str, number: usize) {
    log::debug!(target: target, event = logging::Event::FeedDown, provider = "angel_one", reason = "the socket is mute",
        number = number; "Angel One feed down: the socket is mute, try {number}");
}

fn main() {
    let _logging = logging::start(log::LevelFilter::Info);
    measure("below every level", |number| say("bhavd::feed", black_box(number)));
    logging::set_filter("bhavd::store=debug,bhavd::control=debug").expect("directives");
    measure("below its target's level, another's is lower", |number| say("bhavd::feed", black_box(number)));
    logging::set_filter("debug").expect("a level");
    measure("written", |number| say("bhavd::feed", black_box(number)));
    let counters = logging::counters();
    println!("{} records accepted, {} dropped", counters.accepted, counters.dropped);
}
