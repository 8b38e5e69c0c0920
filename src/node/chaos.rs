//! Faults for tests, from the environment: compiled in only with the feature `chaos`.
//!
//! `BHAVD_CHAOS` orders faults of children at random moments, `BHAVD_POISON` records and rows that break whoever handles
//! them, each time.

use crate::{actor::chaos::Chaos, store::Batch};
use serde::Deserialize;
use std::{collections::BTreeMap, sync::OnceLock, time::Duration};

/// The value of `BHAVD_CHAOS`, as JSON. Times are real milliseconds from the daemon's start on.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Order {
    seed: u64,
    faults: usize,
    from_ms: u64,
    until_ms: u64,
    block_ms: u64,
    children: Vec<String>,
}

/// The value of `BHAVD_POISON`, as JSON.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Poison {
    /// By record number: how it breaks the recorder.
    records: BTreeMap<u64, Harm>,
    /// How long a blocked thread stays so, in real milliseconds.
    block_ms: u64,
    /// The first telling of the bucket that begins then, µs UTC, panics the writer.
    bucket_us: Option<i64>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Harm {
    Panic,
    Block,
}

static POISON: OnceLock<Poison> = OnceLock::new();

/// Harms the recorder that applies this record, if it is poison.
pub fn taste_record(seq: u64) {
    let Some(poison) = POISON.get() else { return };
    match poison.records.get(&seq) {
        Some(Harm::Panic) => panic!("record {seq} is poison"),
        Some(Harm::Block) => std::thread::park_timeout(Duration::from_millis(poison.block_ms)),
        None => {}
    }
}

/// Panics the writer of these rows, if they are poison.
pub fn taste_rows(batch: &Batch) {
    let Some(bucket_us) = POISON.get().and_then(|poison| poison.bucket_us) else { return };
    let is_poison =
        batch.buckets.iter().any(|row| row.revision == 0 && row.bucket.start().as_us() == bucket_us);
    assert!(!is_poison, "the rows of this bucket are poison");
}

/// Does what the environment orders; without orders nothing happens.
pub fn install() {
    install_poison();
    install_schedule();
}

fn install_poison() {
    let Ok(text) = std::env::var("BHAVD_POISON") else { return };
    match serde_json::from_str::<Poison>(&text) {
        Ok(poison) => {
            POISON.get_or_init(|| poison);
        }
        Err(error) => log::error!("BHAVD_POISON is no order of poison: {error}"),
    }
}

fn install_schedule() {
    let Ok(text) = std::env::var("BHAVD_CHAOS") else { return };
    match serde_json::from_str::<Order>(&text) {
        Ok(Order { seed, faults, from_ms, until_ms, block_ms, children }) => {
            let [from, until, block] = [from_ms, until_ms, block_ms].map(Duration::from_millis);
            Chaos { seed, faults, from, until, children, block }.install();
        }
        Err(error) => log::error!("BHAVD_CHAOS is no order of chaos: {error}"),
    }
}
