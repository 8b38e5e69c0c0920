//! Lets time pass in the log where no data does: a mark whenever a bucket or candle may close. Looks at the machine's clock
//! each second, see [`ClockWatch`].

use super::{
    clock_watch::ClockWatch,
    daemon::DRAIN_WITHIN,
    day_rules::RunningRules,
    intake::{Intake, IntakeSink},
    status::DaemonStatus,
};
use crate::{
    actor::{ChildError, ChildState, Lease, StopSignal, Tree},
    calendar::Calendar,
    clock::Clock,
    feed::{NotAccepted, RecordSink},
    logging::Event,
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
    /// They say how long after their ends buckets stay open.
    pub rules: RunningRules,
    /// Drained where the clock was set back.
    pub tree: Tree,
    pub status: Arc<DaemonStatus>,
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
        let mut watch = ClockWatch::new(&self.clock);
        loop {
            let next = self.next_mark(self.clock.now());
            tokio::select! {
                signal = lease.stopping() => {
                    if signal == StopSignal::Drain && self.is_ending() {
                        sink.mark(Mark::Stopped).await?;
                    }
                    return Ok(());
                }
                // The tick below looks at the clock anew.
                () = self.clock.sleep_until_looking(next, Duration::MAX) => {}
                _ = sync.tick() => {
                    self.intake.flush_soon();
                    self.look_at_clock(&mut watch, &sink).await?;
                }
            }
            if self.clock.now() >= next {
                sink.mark(Mark::clock([])).await?;
                lease.pulse().progress();
            }
        }
    }

    /// Whether the whole daemon ends, and not this child alone.
    fn is_ending(&self) -> bool {
        self.tree.snapshot().rows.first().is_some_and(|root| root.state == ChildState::Stopping)
    }

    async fn look_at_clock(&self, watch: &mut ClockWatch, sink: &IntakeSink) -> Result<(), NotAccepted> {
        let status = &self.status.clock;
        let look = watch.look(&self.clock, &self.calendar, status.stamp(), self.intake.last_received());
        status.set_problems(look.problems);
        if let Some(by_us) = look.step_us {
            log::warn!(event = Event::ClockSet, by_us; "the machine's clock was set by {} s", by_us / 1_000_000);
            sink.mark(Mark::ClockSet { by_us }).await?;
        }
        if look.is_set_back {
            status.begin_anew();
            self.tree.drain(DRAIN_WITHIN);
        }
        Ok(())
    }

    /// The next whole minute plus grace within a session and the hour after it; outside, the next session's first.
    fn next_mark(&self, now: Timestamp) -> Timestamp {
        const AFTER_CLOSE_S: i64 = 3_600;
        let grace_us = self.rules.grace_us(now.date_ist());
        let minute = now.plus_us(-grace_us).floor_to_minutes(1).plus_seconds(60).plus_us(grace_us);
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
