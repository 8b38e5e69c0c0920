//! Days as quiet as real ones, seen through both providers without a fault: nothing is called mute, no chain is switched, and
//! every bucket is proved. A fault on such a day is found.
//!
//! A small day runs with the other tests. `BHAVD_QUIET_DAYS=5 cargo test --release --lib quiet_days` plays so many days of
//! 16,000 contracts from `BHAVD_SEED` on.

mod play;

use self::play::{Fault, FaultKind, Play};
use crate::{sim::NaturalMarket, wire::nse::ChainContext};
use rand::RngExt;

/// Five days with the shares' closing auction, and the monthly expiry among them.
const DAYS: [&str; 5] = ["2026-10-26", "2026-10-27", "2026-10-28", "2026-10-29", "2026-10-30"];

/// Of 16,000 contracts, or so few that a day takes seconds.
fn market(seed: u64, day: usize, is_whole: bool) -> NaturalMarket {
    let date = DAYS[day % DAYS.len()].parse().expect("a date");
    let (indices, index_strikes, shares, share_strikes) =
        if is_whole { (3, 80, 206, 36) } else { (1, 54, 3, 24) };
    NaturalMarket { seed, date, indices, index_strikes, shares, share_strikes }
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok())
}

fn drawn_seed() -> u64 {
    let seed = number("BHAVD_SEED").unwrap_or_else(|| rand::rng().random_range(0..1_u64 << 40));
    println!("BHAVD_SEED={seed}");
    seed
}

#[test]
fn natural_quiet_is_neither_mute_nor_switched_and_everything_is_proved() {
    let (seed, days) = (drawn_seed(), number("BHAVD_QUIET_DAYS"));
    let mut play = Play::new(seed);
    for day in 0..days.unwrap_or(1) {
        let parameters = market(seed + day, day as usize, days.is_some());
        let seen = play.day(&parameters, None);
        println!("{}: {seen:?}", parameters.date);
        assert_eq!(seen.faults, [""; 0], "seed {seed}");
        assert!(seen.quiet * 20 > seen.contracts, "quiet contracts are carried all day");
    }
}

/// What is found on such a day with a fault of the nearest chain.
fn faults(seed: u64, kind: FaultKind) -> Vec<String> {
    let parameters = market(seed, 0, false);
    let chain = ChainContext { symbol: "NIFTY".to_owned(), expiry: "2026-10-27".parse().ok() };
    let from = parameters.session().open.plus_seconds(1_800);
    Play::new(seed).day(&parameters, Some(Fault { chain, from, kind })).faults
}

#[test]
fn a_chain_that_falls_mute_on_such_a_day_is_found_out() {
    // By the last, the broker's answers to requests record the chain on, and status names it.
    for seed in [drawn_seed(), 982_285_063_869] {
        let faults = faults(seed, FaultKind::Mute);
        let is_of = |kind: &str| faults.iter().any(|fault| fault.starts_with(kind));
        let is_named = |fault: &String| {
            fault.starts_with("an alarm") && fault.contains("streams have brought nothing of most contracts")
        };
        let is_found = is_of("a gap") || faults.iter().any(is_named);
        assert!(is_of("a switch") && is_found, "{faults:?}");
    }
}

#[test]
fn a_field_that_stands_still_at_both_providers_is_named() {
    // In the second, far strikes bring their first volume while the others stand.
    for seed in [drawn_seed(), 443_492_385_187] {
        for (kind, texts) in [
            (
                FaultKind::OpenInterestStands,
                ["open interest of ", "chain NIFTY 2026-10-27 has not changed since "],
            ),
            (FaultKind::VolumeStands, ["volume of ", "chain NIFTY 2026-10-27 has not changed since "]),
            (FaultKind::LevelStands, ["the level of ", "NIFTY stands at "]),
        ] {
            let faults = faults(seed, kind);
            let is_named = |fault: &String| {
                fault.starts_with("an alarm") && texts.iter().all(|text| fault.contains(text))
            };
            assert!(faults.iter().any(is_named), "{kind:?}: {faults:?}");
            assert!(!faults.iter().any(|fault| fault.starts_with("a switch")), "{kind:?}: {faults:?}");
        }
    }
}
