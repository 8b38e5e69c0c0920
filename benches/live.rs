//! The live table into Redis, against one pipelined HSET + PUBLISH a tick; and what a write and a read of the table cost.
//!
//! Needs `redis-server`; starts its own on a Unix socket in a temporary directory. Both ways run by turns against the
//! same server; the medians of the rounds and their ratio are printed. In the table's way the ticks are written as fast
//! as the table takes them, so most are conflated; the sent quotes are shown beside them. The paced row writes at a fixed
//! rate instead and shows the server's and this process's share of a core.
#![expect(clippy::disallowed_methods, reason = "the other side of a measurement, without a tree")]

mod median;

use bhavd::{
    clock::Clock,
    live::{Directory, LiveQuote, LiveTable, RedisPublisher, RedisStatus},
    market::{Contract, Exchange, InstrumentId, OptionType, Price, Provider, Timestamp},
};
use median::median;
use std::{
    hint::black_box,
    path::Path,
    process::{Child, Command, Stdio},
    sync::{Arc, atomic::Ordering::Relaxed},
    time::{Duration, Instant},
};

const ROUNDS: usize = 7;
const SLOTS: u32 = 10_000;

struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn quote(number: u32) -> LiveQuote {
    LiveQuote {
        event_time: Timestamp::from_us(1_769_744_700_000_000 + i64::from(number)),
        received_time: Timestamp::from_us(1_769_744_700_100_000),
        last_price: Some(Price::from_e4(1_234_500 + i64::from(number))),
        open_interest: Some(1_000_000 + i64::from(number)),
        previous_open_interest: Some(900_000),
        volume: Some(i64::from(number)),
        bid: Some(Price::from_e4(1_234_000)),
        ask: Some(Price::from_e4(1_235_000)),
        implied_volatility_e4: Some(123_400),
        provider: Provider::AngelOne,
    }
}

/// Slots in an order that is neither sequential nor random.
fn slot_of(number: u32) -> u32 {
    number.wrapping_mul(2_654_435_761) % SLOTS
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}

fn directory() -> Directory {
    let expiry = "2026-02-03".parse().expect("a date");
    let directory = Directory::new();
    directory.append((0..SLOTS).map(|slot| {
        let strike = Price::from_e4(i64::from(slot + 1) * 500_000);
        (InstrumentId(slot + 1), Contract::option(Exchange::Nse, "NIFTY", expiry, strike, OptionType::Call))
    }));
    directory
}

/// Ticks written from one thread and published from another until Redis has the last; seconds, and quotes sent.
fn through_table(url: &str, ticks: u32, pace: Option<u32>) -> (f64, u64) {
    let table = LiveTable::new(SLOTS);
    let mut writer = table.writer().expect("the first");
    let status = Arc::new(RedisStatus::default());
    let cursor = table.dirty_cursor().expect("the first");
    let publisher = RedisPublisher::new(url, cursor, directory(), Clock::system(), Arc::clone(&status))
        .expect("a valid address");
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let publishing = std::thread::spawn(move || {
        runtime().block_on(publisher.run(async {
            let _ = stopped.await;
        }));
    });
    runtime().block_on(async {
        while !status.is_connected() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let start = Instant::now();
        for number in 0..ticks {
            writer.write(slot_of(number), &quote(number)).expect("in the table");
            if let Some(pace) = pace
                && number % 1_000 == 999
            {
                let due = start + Duration::from_secs_f64(f64::from(number) / f64::from(pace));
                tokio::time::sleep_until(due.into()).await;
            }
        }
        // A stopping publisher sends what is left.
        stop.send(()).expect("it runs");
        publishing.join().expect("no panic");
        (start.elapsed().as_secs_f64(), status.written.load(Relaxed))
    })
}

/// Each tick one HSET and one PUBLISH, `batch` ticks a pipeline, awaited.
fn tick_by_tick(url: &str, ticks: u32, batch: u32) -> f64 {
    runtime().block_on(async {
        let client = redis::Client::open(url).expect("an address");
        let mut connection = client.get_multiplexed_async_connection().await.expect("connects");
        let keys: Vec<String> =
            (0..SLOTS).map(|slot| format!("OI:NIFTY:2026-02-03:{}:CE", (slot + 1) * 50)).collect();
        let start = Instant::now();
        for first in (0..ticks).step_by(batch as usize) {
            let mut pipeline = redis::pipe();
            for number in first..(first + batch).min(ticks) {
                let (key, quote) = (&keys[slot_of(number) as usize], quote(number));
                let price = quote.last_price.expect("set above").to_string();
                let (bid, ask) = (quote.bid.expect("set above"), quote.ask.expect("set above"));
                pipeline.cmd("HSET").arg(key);
                pipeline.arg("oi").arg(quote.open_interest).arg("volume").arg(quote.volume);
                pipeline.arg("ltp").arg(&price).arg("event_time").arg(quote.event_time.as_us());
                pipeline.arg("bid").arg(bid.to_string()).arg("ask").arg(ask.to_string());
                pipeline.arg("provider").arg(quote.provider.name()).ignore();
                pipeline.cmd("PUBLISH").arg("market_data").arg(&price).ignore();
            }
            pipeline.exec_async(&mut connection).await.expect("answers");
        }
        start.elapsed().as_secs_f64()
    })
}

fn table_alone(count: u32) -> (f64, f64) {
    let table = LiveTable::new(SLOTS);
    let mut writer = table.writer().expect("the first");
    let quote = quote(7);
    let start = Instant::now();
    for number in 0..count {
        writer.write(slot_of(number), black_box(&quote)).expect("in the table");
    }
    let write_ns = start.elapsed().as_nanos() as f64 / f64::from(count);
    let start = Instant::now();
    for number in 0..count {
        black_box(table.read(slot_of(number)));
    }
    (write_ns, start.elapsed().as_nanos() as f64 / f64::from(count))
}

/// CPU seconds of a process so far.
fn cpu_seconds(process: &str) -> f64 {
    let text = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    let after_name = text.rsplit(')').next().unwrap_or_default();
    // After the name: the state, ten more, then user and system time in hundredths of a second.
    let mut times = after_name.split_whitespace().skip(11).map_while(|field| field.parse::<u32>().ok());
    f64::from(times.next().unwrap_or(0) + times.next().unwrap_or(0)) / 100.0
}

fn start_redis(directory: &Path) -> Option<Server> {
    let socket = directory.join("redis.sock");
    let server = Command::new("redis-server")
        .args(["--port", "0", "--save", "", "--appendonly", "no", "--unixsocket"])
        .arg(&socket)
        .arg("--dir")
        .arg(directory)
        .stdout(Stdio::null())
        .spawn()
        .ok()?;
    let mut server = Server(server);
    while std::os::unix::net::UnixStream::connect(&socket).is_err() {
        if server.0.try_wait().ok()?.is_some() {
            return None;
        }
        std::thread::yield_now();
    }
    Some(server)
}

fn main() {
    // `cargo test --benches` passes no `--bench`: there a short run shows that it works.
    let is_full = std::env::args().any(|argument| argument == "--bench");
    let ticks = if is_full { 1_000_000 } else { 10_000 };
    let (writes, reads): (Vec<f64>, Vec<f64>) = (0..ROUNDS).map(|_| table_alone(ticks)).unzip();
    println!("table write {:.1} ns, read {:.1} ns", median(writes), median(reads));

    let directory = tempfile::tempdir().expect("a temporary directory");
    let Some(server) = start_redis(directory.path()) else {
        println!("redis-server is not installed; the rest is skipped");
        return;
    };
    let url = format!("unix://{}", directory.path().join("redis.sock").display());
    let (mut table, mut sent, mut ones, mut hundreds) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let (seconds, quotes) = through_table(&url, ticks, None);
        table.push(f64::from(ticks) / seconds);
        sent.push(quotes as f64 / seconds);
        let few = ticks / 50;
        ones.push(f64::from(few) / tick_by_tick(&url, few, 1));
        let some = ticks / 5;
        hundreds.push(f64::from(some) / tick_by_tick(&url, some, 100));
    }
    let (table, sent, ones, hundreds) = (median(table), median(sent), median(ones), median(hundreds));
    println!("through the table        {table:9.0} ticks/s ({sent:.0} quotes/s sent to Redis)");
    println!("a pipeline a tick        {ones:9.0} ticks/s, the table {:.1} times as many", table / ones);
    println!(
        "100 ticks a pipeline     {hundreds:9.0} ticks/s, the table {:.1} times as many",
        table / hundreds
    );

    let pace = 100_000;
    let server_process = server.0.id().to_string();
    let before = (cpu_seconds("self"), cpu_seconds(&server_process));
    let (seconds, quotes) = through_table(&url, if is_full { pace * 5 } else { 10_000 }, Some(pace));
    let after = (cpu_seconds("self"), cpu_seconds(&server_process));
    println!(
        "paced at {pace} ticks/s: {:.0} quotes/s sent, {:.0} % of a core here, {:.0} % in Redis",
        quotes as f64 / seconds,
        (after.0 - before.0) / seconds * 100.0,
        (after.1 - before.1) / seconds * 100.0
    );
}
