//! Lets time pass in the log where no data does: a mark whenever a bucket or candle may close.

use super::intake::Intake;
use crate::{
    actor::{ChildError, Lease},
    calendar::Calendar,
    clock::Clock,
    feed::RecordSink,
    market::Timestamp,
    spool::Mark,
};
use std::{sync::Arc, time::Duration};

/// How much of the log a loss of power may cost, in real time.
const SYNC_INTERVAL: Duration = Duration::from_secs(1);

/// What every incarnation begins from.
#[derive(Clone)]
pub struct Timekeeper {
    pub intake: Intake,
    pub calendar: Arc<Calendar>,
    pub clock: Clock,
    /// How long after their ends buckets stay open.
    pub grace_us: i64,
}

impl Timekeeper {
    /// One incarnation.
    ///
    /// # Errors
    /// When the log takes nothing more.
    pub async fn run(self, lease: Lease) -> Result<(), ChildError> {
        let sink = self.intake.sink(&lease);
        let mut sync = tokio::time::interval(SYNC_INTERVAL);
        sync.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let next = self.next_mark(self.clock.now());
            tokio::select! {
                _ = lease.stopping() => return Ok(()),
                // The tick below looks at the clock anew.
                () = self.clock.sleep_until_looking(next, Duration::MAX) => {}
                _ = sync.tick() => self.intake.flush_soon(),
            }
            if self.clock.now() >= next {
                sink.mark(Mark::clock([])).await?;
                lease.pulse().progress();
            }
        }
    }

    /// The next whole minute plus grace within a session and the hour after it; outside, the next session's first.
    fn next_mark(&self, now: Timestamp) -> Timestamp {
        const AFTER_CLOSE_S: i64 = 3_600;
        let minute = now.plus_us(-self.grace_us).floor_to_minutes(1).plus_seconds(60).plus_us(self.grace_us);
        let today = self.calendar.session(now.date_ist());
        let next_day = self.calendar.next_session(now.date_ist());
        for session in today.into_iter().chain(next_day) {
            if now < session.open {
                return session.open;
            }
            if now < session.close.plus_seconds(AFTER_CLOSE_S) {
                return minute;
            }
        }
        // A calendar without a further session: look again in an hour.
        now.plus_seconds(3_600)
    }
}
