//! What supervisors tell the log, in the manner of OTP's supervisor reports: one record an event, its facts as key-value
//! pairs, so that a journal can be asked for all ends of one child.
//!
//! `event` names the kind: `child_started`, `child_ended`, `child_aborted`, `child_panicked`, `thread_abandoned`,
//! `item_condemned`, `supervisor_gave_up`. `context` is where it happened: at the start, in work, at the shutdown.

use super::{ExitReason, SupervisorError, Verdict};
use std::time::Duration;

const TARGET: &str = "bhavd::supervisor";

/// OTP's progress report.
pub(super) fn started(supervisor: &str, child: &str, incarnation: u64) {
    let level = if incarnation > 1 { log::Level::Info } else { log::Level::Debug };
    log::log!(target: TARGET, level, event = "child_started", supervisor = supervisor, child = child,
        incarnation = incarnation; "{child} started, incarnation {incarnation}");
}

pub(super) fn ended(supervisor: &str, child: &str, incarnation: u64, reason: &ExitReason) {
    let level = match reason {
        ExitReason::Normal => log::Level::Debug,
        ExitReason::Hung(_) | ExitReason::Blocked(_) | ExitReason::Panic(_) => log::Level::Error,
        _ => log::Level::Warn,
    };
    log::log!(target: TARGET, level, event = "child_ended", supervisor = supervisor, child = child,
        incarnation = incarnation, kind = reason.kind(), reason:% = reason; "{child} {reason}");
}

pub(super) fn aborted(supervisor: &str, child: &str, incarnation: u64, grace: Duration) {
    log::warn!(target: TARGET, event = "child_aborted", supervisor = supervisor, child = child,
        incarnation = incarnation, context = "shutdown", grace_ms = grace.as_millis() as u64;
        "{child} did not stop within {grace:?}, aborting it");
}

pub(super) fn thread_abandoned(
    supervisor: &str,
    child: &str,
    incarnation: u64,
    reason: &ExitReason,
    zombies: u64,
) {
    let offender = match reason {
        ExitReason::Displaced(offender) => offender,
        _ => child,
    };
    log::error!(target: TARGET, event = "thread_abandoned", supervisor = supervisor, child = child,
        incarnation = incarnation, offender = offender, zombies = zombies;
        "{offender} keeps its thread; it is given up, its children get another");
}

pub(super) fn condemned(supervisor: &str, verdict: &Verdict) {
    let Verdict { number, child, incarnations: [first, second], reason } = verdict;
    log::error!(target: TARGET, event = "item_condemned", supervisor = supervisor, child = child,
        item = number, first_incarnation = first, incarnation = second, reason:% = reason;
        "item {number} ended incarnations {first} and {second} of {child} and is set aside; last, it {reason}");
}

pub(super) fn gave_up(supervisor: &str, error: &SupervisorError) {
    log::error!(target: TARGET, event = "supervisor_gave_up", supervisor = supervisor, reason:% = error;
        "{supervisor} {error}");
}
