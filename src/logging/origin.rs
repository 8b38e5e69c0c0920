//! Facts that every record carries without its call saying so: who speaks, and of which session.

use crate::market::TradingDate;
use chrono::Datelike;
use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicI32, Ordering::Relaxed},
};

/// The child at work on a thread.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    pub actor: Arc<str>,
    pub incarnation: u64,
}

static ORIGIN: OnceLock<fn() -> Option<Origin>> = OnceLock::new();
/// Days since year 1, 0 for none.
static SESSION_DAY: AtomicI32 = AtomicI32::new(0);

/// Makes `who` say who is at work on the calling thread. Asked for accepted records that name nobody. The first call counts.
pub fn set_origin(who: fn() -> Option<Origin>) {
    // A second call comes from a second tree in one process, which asks the same.
    let _ = ORIGIN.set(who);
}

/// Names the trading day that is recorded, for all records from here on.
pub fn set_session(session: Option<TradingDate>) {
    let day = session.map_or(0, |date| date.num_days_from_ce());
    // Loaded first: this is called after every batch of ticks, and a line that is only read stays in every cache.
    if SESSION_DAY.load(Relaxed) != day {
        SESSION_DAY.store(day, Relaxed);
    }
}

pub(super) fn origin() -> Option<Origin> {
    ORIGIN.get().and_then(|who| who())
}

pub(super) fn session() -> Option<TradingDate> {
    match SESSION_DAY.load(Relaxed) {
        0 => None,
        day => TradingDate::from_num_days_from_ce_opt(day),
    }
}
