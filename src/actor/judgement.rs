//! Whether a running child is well, from its pulse alone.

use super::{Pulse, thread_pulse::Offender};
use std::time::Duration;

/// How soon to look again at a child that waits for somebody else, as a part of its heartbeat.
const WAITING_LOOKS: u32 = 4;
/// How soon to look again at a child without a heartbeat, for the sake of its thread.
const UNJUDGED_LOOK: Duration = Duration::from_secs(4);

/// What a look at a running child says.
#[derive(Clone, Debug)]
pub(super) enum Judgement {
    /// To be looked at again after so much time.
    Fine { look_after: Duration },
    /// Its thread turns, but the child shows no sign.
    Hung { silent: Duration },
    /// Its thread does not turn. `polled` is the number of the child that keeps it, 0 where nobody does.
    Stuck { silent: Duration, polled: u64 },
    /// Its thread was given up before.
    Abandoned { silent: Duration, offender: Option<Offender> },
}

/// A thread that cannot be replaced is not looked at: nothing could be done about it here.
pub(super) fn judge(pulse: &Pulse, is_judged: bool, is_replaceable: bool) -> Judgement {
    let (thread, heartbeat) = (pulse.thread(), pulse.heartbeat());
    let silent = thread.turn_age();
    if thread.is_abandoned() {
        return Judgement::Abandoned { silent, offender: thread.offender() };
    }
    if !is_judged {
        return Judgement::Fine { look_after: UNJUDGED_LOOK };
    }
    // Never later than that: an excuse ends with its computation, which may be long before its limit.
    let mut look_after = heartbeat;
    if is_replaceable {
        let left = heartbeat.saturating_sub(silent).max(thread.excused_for());
        if left.is_zero() {
            return Judgement::Stuck { silent, polled: thread.polled() };
        }
        look_after = look_after.min(left);
    }
    if pulse.is_waiting() {
        return Judgement::Fine { look_after: look_after.min(heartbeat / WAITING_LOOKS) };
    }
    let thread_silent = silent;
    let silent = pulse.sign_age();
    let left = heartbeat.saturating_sub(silent).max(pulse.excused_for());
    if left.is_zero() {
        // A thread that seems to stand still is told apart first: aborting would not end the child.
        if is_replaceable && thread_silent > heartbeat / 2 {
            return Judgement::Fine { look_after };
        }
        return Judgement::Hung { silent };
    }
    Judgement::Fine { look_after: look_after.min(left) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn an_excuse_puts_no_look_off_beyond_a_heartbeat() {
        let heartbeat = Duration::from_secs(10);
        let pulse = Pulse::new(heartbeat, Arc::default(), Arc::default());
        for is_replaceable in [false, true] {
            let _excused = pulse.excuse(heartbeat * 100);
            let Judgement::Fine { look_after } = judge(&pulse, true, is_replaceable) else {
                panic!("it is excused");
            };
            assert!(look_after <= heartbeat, "{look_after:?}");
        }
    }
}
