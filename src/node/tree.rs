//! The whole tree on one screen: who runs, where, in which order, and how each is restarted.
//!
//! Children start from top to bottom and stop from bottom to top: feeds first, so that nothing comes in any more, then
//! the jobs, whose runs are still noted, then the recorder, which works off its port, then the writer, which works off the
//! rows; last the child that tells the service manager of all this. The control side has a thread of its own, so that it
//! answers while others hang.

use super::{
    control_child::ControlChild, dbus_child::DBusChild, feed_orders::FeedOrders, feeds, feeds::FeedParts,
    live_state::LiveState, recorder::Recorder, service_manager::ServiceManager, timekeeper::Timekeeper,
    writer::Writer,
};
use crate::{
    actor::{Backoff, ChildSpec, Placement, Strategy, SupervisorSpec},
    clock::Clock,
    config::{Config, SupervisionSettings},
    dbus::LastTold,
    jobs::{JobChild, JobName, JobParts},
};
use std::time::Duration;

/// Everything children are made of.
pub struct Parts {
    pub service_manager: ServiceManager,
    pub writer: Writer,
    pub recorder: Recorder,
    pub live: LiveState,
    pub timekeeper: Timekeeper,
    pub control: ControlChild,
    pub jobs: JobParts,
    pub feeds: FeedParts,
    /// Each feed has a child, also one that rests.
    pub orders: FeedOrders,
}

/// `root` and all below it.
pub fn root(parts: Parts, clock: &Clock, config: &Config) -> SupervisorSpec {
    let Parts { service_manager, writer, recorder, live, timekeeper, control, jobs, feeds, orders } = parts;
    let (batches, records) = (writer.batches.gauge(), recorder.records.gauge());
    let limits = &config.supervision;
    let heartbeat = Duration::from_millis(limits.hang_after_ms.into());
    let mut root = SupervisorSpec::new("root", Strategy::OneForOne)
        .intensity(limits.restarts_max as usize, Duration::from_secs(limits.restart_window_s.into()))
        .backoff(backoff(limits))
        .child(
            ChildSpec::new("service_manager", move |lease| service_manager.clone().run(lease))
                .placement(Placement::Own)
                .heartbeat(heartbeat),
        )
        .child(
            ChildSpec::new("writer", move |lease| writer.clone().run(lease))
                .placement(Placement::Own)
                // One transaction is one piece of work, and the database may be busy.
                .heartbeat(heartbeat * 3)
                .grace(Duration::from_secs(20))
                .critical()
                .port(batches),
        )
        .child(
            ChildSpec::new("recorder", move |lease| recorder.clone().run(lease))
                .placement(Placement::Compute)
                .heartbeat(heartbeat)
                .grace(Duration::from_secs(10))
                .critical()
                .port(records),
        );
    if let Some(url) = config.live.redis_url.clone() {
        let clock = clock.clone();
        let publish = move |lease| live.clone().publish(url.clone(), clock.clone(), lease);
        root = root.child(ChildSpec::new("publisher", publish).heartbeat(heartbeat));
    }
    // There also while the configuration keeps it from the bus: a reload may send it there.
    let dbus = DBusChild { control: control.clone(), told: LastTold::default() };
    root.child(
        ChildSpec::new("dbus", move |lease| dbus.clone().run(lease))
            .placement(Placement::Own)
            .heartbeat(heartbeat),
    )
    .child(
        ChildSpec::new("control", move |lease| control.clone().run(lease))
            .placement(Placement::Own)
            .heartbeat(heartbeat),
    )
    .child(
        ChildSpec::new("timekeeper", move |lease| timekeeper.clone().run(lease))
            .heartbeat(heartbeat)
            .critical(),
    )
    .supervisor(jobs_supervisor(jobs, limits, heartbeat))
    .supervisor(feeds_supervisor(feeds, &orders, limits, heartbeat))
}

/// Each on a thread of its own: they block on the disk. No job is worth the daemon, so this never gives up.
fn jobs_supervisor(parts: JobParts, limits: &SupervisionSettings, heartbeat: Duration) -> SupervisorSpec {
    let mut jobs = SupervisorSpec::new("jobs", Strategy::OneForOne)
        .intensity(usize::MAX, Duration::from_secs(1))
        .backoff(backoff(limits));
    for job in JobName::ALL {
        let child = JobChild { job, parts: parts.clone() };
        let run = move |lease| child.clone().run(lease);
        jobs = jobs.child(ChildSpec::new(job.name(), run).placement(Placement::Own).heartbeat(heartbeat));
    }
    jobs
}

fn feeds_supervisor(
    parts: FeedParts,
    orders: &FeedOrders,
    limits: &SupervisionSettings,
    heartbeat: Duration,
) -> SupervisorSpec {
    let mut feeds = SupervisorSpec::new("feeds", Strategy::OneForOne)
        .intensity(
            limits.feed_restarts_max as usize,
            Duration::from_secs(limits.feed_restart_window_s.into()),
        )
        .backoff(backoff(limits));
    for desk in orders.desks() {
        let (parts, desk) = (parts.clone(), desk.clone());
        let name = desk.provider.name();
        let run = move |lease| feeds::run(parts.clone(), desk.clone(), lease);
        feeds = feeds.child(ChildSpec::new(name, run).heartbeat(heartbeat));
    }
    feeds
}

fn backoff(limits: &SupervisionSettings) -> Backoff {
    Backoff {
        base: Duration::from_millis(limits.backoff_first_ms.into()),
        cap: Duration::from_millis(limits.backoff_longest_ms.into()),
        ..Backoff::default()
    }
}
