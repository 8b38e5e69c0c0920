//! How close the pipeline comes to a hand-written loop: SnapQuote packets of 100,000 contracts, from bytes to state.
//!
//! Both read the same packets, streamed from memory in a Zipf-like order of contracts: decode, find the contract, volume
//! since the packet before, change of open interest, three-minute bucket, five-minute candle. The loop keeps 128 bytes a
//! contract and does nothing else; the pipeline is the daemon's own, without its log, its live state and its store.
//! Prints the median of interleaved rounds and ends with 1 where the pipeline takes over 1.5 times as long.
//! `cargo bench --bench pipeline`.

mod median;
mod session;

use bhavd::{
    market::{InstrumentId, OiDelta, Provider, ProviderToken, Segment, Timestamp},
    pipeline::NoLive,
    spool::{Frames, Record, Source},
    store::Batch,
    wire::angel_one::{DayStatistics, DepthEntry, Detail, Packet, SNAP_QUOTE_BYTES, Snapshot},
};
use median::median;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use session::{FIRST_TOKEN, date, master, open, pipeline, record};
use std::{hint::black_box, process::ExitCode, time::Instant};

const CONTRACTS: u32 = 100_000;
const TICKS: usize = 600_000;
const FRAMES_A_RECORD: usize = 512;
/// Records whose rows go into one batch, as the daemon takes them from its port.
const RECORDS_A_BATCH: usize = 64;
/// The first ones warm both up.
const ROUNDS: usize = 9;
const WARM_ROUNDS: usize = 2;
const RATIO_MAX: f64 = 1.5;

/// Contracts by rank, harmonic weights, and the ranks spread over all contracts.
struct ZipfOrder {
    cumulative: Vec<f64>,
    contract_of_rank: Vec<u32>,
}

impl ZipfOrder {
    fn new(rng: &mut ChaCha8Rng) -> ZipfOrder {
        let mut sum = 0.0;
        let weigh = |rank: u32| {
            sum += 1.0 / f64::from(rank + 1);
            sum
        };
        let cumulative = (0..CONTRACTS).map(weigh).collect();
        let mut contract_of_rank: Vec<u32> = (0..CONTRACTS).collect();
        for last in (1..contract_of_rank.len()).rev() {
            contract_of_rank.swap(last, rng.random_range(0..=last as u64) as usize);
        }
        ZipfOrder { cumulative, contract_of_rank }
    }

    fn choose(&self, rng: &mut ChaCha8Rng) -> u32 {
        let total = self.cumulative[self.cumulative.len() - 1];
        let at = rng.random::<f64>() * total;
        let rank = self.cumulative.partition_point(|weight| *weight < at);
        self.contract_of_rank[rank.min(self.contract_of_rank.len() - 1)]
    }
}

/// Three minutes and four seconds from the open on: every contract's bucket turns, none closes within its grace.
fn stream() -> Vec<Record> {
    const SPAN_MS: i64 = 184_000;
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let order = ZipfOrder::new(&mut rng);
    let mut known = vec![(0_i64, 65_000_i64, 10_000_i64); CONTRACTS as usize];
    let open_ms = open().as_ms();
    let mut records = Vec::new();
    let mut bytes = Vec::new();
    for first in (0..TICKS).step_by(FRAMES_A_RECORD) {
        let frames_here = FRAMES_A_RECORD.min(TICKS - first);
        let mut frames = Frames::with_capacity(frames_here, frames_here * SNAP_QUOTE_BYTES);
        let time_of = |tick: usize| open_ms + tick as i64 * SPAN_MS / TICKS as i64;
        for tick in first..first + frames_here {
            let contract = order.choose(&mut rng);
            let (volume, open_interest, paise) = &mut known[contract as usize];
            *volume += 65 * rng.random_range(0..4_i64);
            if rng.random_range(0..8_u32) == 0 {
                // Open interest grows by no more than what is traded: more of it is a fault that is noted.
                let opened = 65 * rng.random_range(1..20_i64);
                (*open_interest, *volume) = (*open_interest + opened, *volume + opened);
            }
            *paise += 5 * rng.random_range(-3..=3_i64);
            *paise = (*paise).max(5);
            let levels = |index: usize| match index {
                0..5 => DepthEntry::buy(*paise - 5 * index as i64, 65, 1),
                _ => DepthEntry::sell(*paise + 5 * (index as i64 - 4), 65, 1),
            };
            let day = DayStatistics { volume: *volume, ..DayStatistics::default() };
            let snapshot = Snapshot {
                open_interest: *open_interest,
                depth: std::array::from_fn(levels),
                ..Snapshot::default()
            };
            bytes.clear();
            Packet {
                token: ProviderToken { segment: Segment::NseFo, token: FIRST_TOKEN + contract },
                sequence: tick as i64,
                exchange_time_ms: time_of(tick),
                last_price_paise: *paise,
                detail: Detail::SnapQuote(day, snapshot),
            }
            .encode_into(&mut bytes);
            frames.push(&bytes);
        }
        let received_time = Timestamp::from_us(1_000 * time_of(first + frames_here));
        records.push(record(Source::ANGEL_ONE_STREAM, received_time, frames, 2 + records.len() as u64));
    }
    records
}

/// Everything the loop knows of a contract: two cache lines.
#[derive(Clone, Copy)]
#[repr(align(64))]
struct BareState {
    event_us: i64,
    open_interest: i64,
    volume: i64,
    price_e4: i64,
    bid_e4: i64,
    ask_e4: i64,
    received_us: i64,
    bucket_us: i64,
    bucket_open_interest: i64,
    bucket_price_e4: i64,
    candle_us: i64,
    open_e4: i32,
    high_e4: i32,
    low_e4: i32,
    close_e4: i32,
    candle_volume: i64,
    id: u32,
    deltas_at_event: u32,
}

const _: () = assert!(size_of::<BareState>() == 128);

struct Bare {
    slots: Vec<u32>,
    states: Vec<BareState>,
}

fn i64_at(bytes: &[u8; SNAP_QUOTE_BYTES], offset: usize) -> i64 {
    i64::from_le_bytes(bytes[offset..offset + 8].try_into().expect("eight bytes"))
}

const BUCKET_US: i64 = 180_000_000;
const CANDLE_US: i64 = 300_000_000;
/// India is five and a half hours ahead of UTC; a whole day holds both intervals.
const OFFSET_US: i64 = 19_800_000_000;

impl Bare {
    fn new() -> Bare {
        let mut slots = vec![u32::MAX; (FIRST_TOKEN + CONTRACTS) as usize];
        for slot in 0..CONTRACTS {
            slots[(FIRST_TOKEN + slot) as usize] = slot;
        }
        let state = |slot: u32| BareState {
            event_us: i64::MIN,
            open_interest: -1,
            volume: -1,
            price_e4: 0,
            bid_e4: 0,
            ask_e4: 0,
            received_us: 0,
            bucket_us: 0,
            bucket_open_interest: 0,
            bucket_price_e4: 0,
            candle_us: 0,
            open_e4: 0,
            high_e4: 0,
            low_e4: 0,
            close_e4: 0,
            candle_volume: 0,
            id: slot + 1,
            deltas_at_event: 0,
        };
        Bare { slots, states: (0..CONTRACTS).map(state).collect() }
    }

    #[inline]
    fn apply(&mut self, packet: &[u8; SNAP_QUOTE_BYTES], received: Timestamp, deltas: &mut Vec<OiDelta>) {
        let mut token = 0_usize;
        for byte in packet[2..27].iter().take_while(|byte| **byte != 0) {
            token = token * 10 + usize::from(byte.wrapping_sub(b'0'));
        }
        let Some(slot) = self.slots.get(token).filter(|slot| **slot != u32::MAX) else { return };
        let state = &mut self.states[*slot as usize];
        let event_us = i64_at(packet, 35) * 1_000;
        if event_us < state.event_us {
            return;
        }
        let (price_e4, volume) = (i64_at(packet, 43) * 100, i64_at(packet, 67));
        let open_interest = i64_at(packet, 131);
        let traded = if state.volume < 0 { 0 } else { (volume - state.volume).max(0) };
        if state.open_interest >= 0 && open_interest != state.open_interest {
            state.deltas_at_event = if event_us == state.event_us { state.deltas_at_event + 1 } else { 0 };
            deltas.push(OiDelta {
                instrument: InstrumentId(state.id),
                event_time: Timestamp::from_us(event_us),
                seq: state.deltas_at_event as u16,
                old_open_interest: state.open_interest,
                new_open_interest: open_interest,
                provider: Provider::AngelOne,
                received_time: received,
            });
        }
        let bucket_us = (event_us + OFFSET_US) / BUCKET_US;
        if bucket_us != state.bucket_us {
            state.bucket_us = bucket_us;
            state.bucket_open_interest = state.open_interest;
            state.bucket_price_e4 = state.price_e4;
        }
        let candle_us = (event_us + OFFSET_US) / CANDLE_US;
        let price = price_e4 as i32;
        if candle_us != state.candle_us {
            (state.open_e4, state.high_e4, state.low_e4) = (price, price, price);
            (state.candle_us, state.candle_volume) = (candle_us, 0);
        }
        state.high_e4 = state.high_e4.max(price);
        state.low_e4 = state.low_e4.min(price);
        state.close_e4 = price;
        state.candle_volume += traded;
        state.open_interest = open_interest;
        state.volume = volume;
        state.price_e4 = price_e4;
        state.bid_e4 = i64_at(packet, 157) * 100;
        state.ask_e4 = i64_at(packet, 257) * 100;
        state.event_us = event_us;
        state.received_us = received.as_us();
    }
}

/// Nanoseconds a tick, and how many changes of open interest there were.
type Outcome = (f64, usize);

fn time_bare(records: &[Record]) -> Outcome {
    let mut bare = Bare::new();
    let mut deltas = Vec::new();
    let mut delta_count = 0;
    let started = Instant::now();
    for records in records.chunks(RECORDS_A_BATCH) {
        deltas.clear();
        for record in records {
            for packet in record.frames.bytes().as_chunks::<SNAP_QUOTE_BYTES>().0 {
                bare.apply(packet, record.received_time, &mut deltas);
            }
        }
        delta_count += deltas.len();
        black_box(&deltas);
    }
    let elapsed = started.elapsed();
    black_box(&bare.states);
    (elapsed.as_nanos() as f64 / TICKS as f64, delta_count)
}

fn time_pipeline(master: &Record, records: &[Record]) -> Outcome {
    let mut pipeline = pipeline(master);
    let mut delta_count = 0;
    let started = Instant::now();
    for records in records.chunks(RECORDS_A_BATCH) {
        let mut batch = Batch::new(date(), 0);
        for record in records {
            pipeline.apply(record, &mut NoLive, &mut batch);
        }
        delta_count += batch.deltas.len();
        black_box(&batch);
    }
    let elapsed = started.elapsed();
    let counters = pipeline.counters();
    assert_eq!(counters.observations, TICKS as u64, "every packet is one of a watched contract");
    assert_eq!((counters.malformed, pipeline.day_counters().outdated), (0, 0));
    (elapsed.as_nanos() as f64 / TICKS as f64, delta_count)
}

fn main() -> ExitCode {
    let (master, records) = (master(CONTRACTS), stream());
    let (mut ours, mut bare, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        // They take turns in going first.
        let ((ours_ns, our_deltas), (bare_ns, bare_deltas)) = if round % 2 == 0 {
            let ours = time_pipeline(&master, &records);
            (ours, time_bare(&records))
        } else {
            let bare = time_bare(&records);
            (time_pipeline(&master, &records), bare)
        };
        assert_eq!(our_deltas, bare_deltas, "both see the same changes of open interest");
        if round >= WARM_ROUNDS {
            ours.push(ours_ns);
            bare.push(bare_ns);
            ratios.push(ours_ns / bare_ns);
        }
    }
    let (ours, bare, ratio) = (median(ours), median(bare), median(ratios));
    println!(
        "pipeline: {ours:.0} ns a tick, {:.2} M ticks/s; hand-written loop: {bare:.0} ns, {:.2} M ticks/s; {ratio:.2} times as \
         long (median of {} rounds, {TICKS} ticks of {CONTRACTS} contracts)",
        1e3 / ours,
        1e3 / bare,
        ROUNDS - WARM_ROUNDS
    );
    if ratio <= RATIO_MAX {
        return ExitCode::SUCCESS;
    }
    println!("above {RATIO_MAX} times");
    ExitCode::FAILURE
}
