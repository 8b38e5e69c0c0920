//! D-Bus as a child: shows what the control socket shows, read from the same atomics, and answers by the same service.
//!
//! A bus that is away or refuses the daemon is a state of the child, never a failure: its supervisor hears of bugs only.

use super::{answers::Answers, control_child::ControlChild, daemon_report::feed_row, health};
use crate::{
    actor::{ChildError, Lease},
    control::FeedRow,
    dbus::{BusAddress, BusServer, Counters, Daemon, Gap, LastTold, Overview, PolkitPatience},
    market::{Provider, TradingDate},
};
use std::sync::{Arc, atomic::Ordering::Relaxed};

/// What every incarnation begins from.
#[derive(Clone)]
pub struct DBusChild {
    /// Answers requests, whichever way they come.
    pub control: ControlChild,
    /// By any incarnation: the next one tells what has happened since, its own restart included.
    pub told: LastTold,
}

impl DBusChild {
    /// One incarnation: is on the bus by the settings that run, goes to another bus or rests when they change.
    ///
    /// A reload does not wait for it: it may have come by the very bus that is to be left, which ends with the reply.
    ///
    /// # Errors
    /// When the configured address names no bus; the configuration's check admits none such.
    pub async fn run(self, lease: Lease) -> Result<(), ChildError> {
        let mut configs = self.control.running.follow();
        let authority = self.control.reloader.authority();
        let daemon = Arc::new(Answers::new(self.control, &lease));
        loop {
            let settings = configs.borrow_and_update().dbus.clone();
            let changed = async {
                // Ends with the daemon only; then the lease says so as well.
                let _ = configs.wait_for(|config| config.dbus != settings).await;
            };
            let stop = async {
                tokio::select! {
                    _ = lease.stopping() => true,
                    () = changed => false,
                }
            };
            let is_over = if settings.enabled {
                let address: BusAddress = settings.address.parse()?;
                let server = BusServer::new(
                    Arc::clone(&daemon),
                    self.told.clone(),
                    authority.clone(),
                    address,
                    PolkitPatience::default(),
                );
                server.serve(stop, || lease.pulse().progress()).await
            } else {
                stop.await
            };
            if is_over {
                return Ok(());
            }
        }
    }
}

impl Daemon for Answers {
    fn overview(&self) -> Overview {
        let child = &self.child;
        let (status, now) = (&child.status, child.clock.now());
        let problems = health::problems(status, &child.tree.snapshot(), &child.settings.calendar, now);
        let gaps = status.gaps.latest().into_iter().map(|(number, gap)| Gap {
            number,
            provider: gap.provider.map_or_else(String::new, |provider| provider.to_string()),
            from: gap.from,
            to: gap.to,
            reason: gap.reason,
        });
        Overview {
            version: env!("CARGO_PKG_VERSION"),
            pid: std::process::id(),
            simulated: child.clock.simulation().is_some(),
            started: child.started,
            healthy: problems.is_empty(),
            problems,
            session: health::describe_session(&child.settings.calendar, now),
            store_up: status.store.trouble().is_none(),
            live: child.live.describe(),
            choice: child.choice(),
            completed_day: child.completed_day(),
            feeds: status.feeds.iter().map(|feed| feed_row(feed)).collect(),
            actors: child.show_actors().actors,
            gaps: gaps.collect(),
        }
    }

    fn counters(&self) -> Counters {
        let status = &self.child.status;
        Counters {
            ticks: status.pipeline.observations.load(Relaxed),
            watermark: status.feeds.iter().filter_map(|feed| feed.last_event()).max(),
            buckets_closed: status.pipeline.buckets_closed.load(Relaxed),
            last_seq: status.spool.seq(),
            committed_seq: status.store.seq(),
            last_commit: status.store.last_commit(),
            pending_rows: status.store.pending_rows(),
        }
    }

    fn feed(&self, provider: &str) -> Option<FeedRow> {
        let provider: Provider = provider.parse().ok()?;
        self.child.status.feeds.iter().find(|feed| feed.provider == provider).map(|feed| feed_row(feed))
    }
}

impl ControlChild {
    /// The session whose last bucket is closed and whose rows are written.
    fn completed_day(&self) -> Option<TradingDate> {
        let pipeline = &self.status.pipeline;
        let (open, _) = pipeline.session()?;
        let buckets = pipeline.buckets_of_session.load(Relaxed);
        let is_closed = buckets > 0 && pipeline.buckets_closed.load(Relaxed) == buckets;
        (is_closed && self.status.store.pending_rows() == 0).then(|| open.date_ist())
    }
}
