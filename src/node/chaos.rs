//! Faults for tests, from the environment: compiled in only with the feature `chaos`.

use crate::actor::chaos::Chaos;
use serde::Deserialize;
use std::time::Duration;

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

/// Makes the schedule that `BHAVD_CHAOS` orders; without it nothing happens.
pub fn install() {
    let Ok(text) = std::env::var("BHAVD_CHAOS") else { return };
    match serde_json::from_str::<Order>(&text) {
        Ok(Order { seed, faults, from_ms, until_ms, block_ms, children }) => {
            let [from, until, block] = [from_ms, until_ms, block_ms].map(Duration::from_millis);
            Chaos { seed, faults, from, until, children, block }.install();
        }
        Err(error) => log::error!("BHAVD_CHAOS is no order of chaos: {error}"),
    }
}
