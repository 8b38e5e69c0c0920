//! What the daemon shows of itself: status, actors and feeds, from memory alone.

use super::{control_child::ControlChild, health};
use crate::{
    control::{
        ActorRow, ActorsResponse, FeedRow, FeedsResponse, SpoolStatus, StatusResponse, StoreStatus, WallTime,
    },
    feed::FeedStatus,
    market::Bucket,
    store,
};
use std::{sync::atomic::Ordering::Relaxed, time::Duration};

impl ControlChild {
    /// From memory alone: it is asked for most of all when the store is away.
    pub(super) fn show_status(&self) -> StatusResponse {
        let (status, now) = (&self.status, self.clock.now());
        let pipeline = &status.pipeline;
        let session = pipeline.session();
        let (feeds_up, feeds) = status.count_feeds();
        let watermark = status.feeds.iter().filter_map(|feed| feed.last_event()).max();
        let closed = pipeline.buckets_closed.load(Relaxed) as i64;
        let last_bucket = session
            .filter(|_| closed > 0)
            .map(|(open, _)| Bucket::containing(open).start().plus_us((closed - 1) * Bucket::LENGTH_US));
        let problems = health::problems(status, &self.tree.snapshot(), &self.settings.calendar, now);
        let mut notices = health::notices(status, &self.settings.calendar, now);
        notices.extend(self.reloader.later());
        StatusResponse {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            simulated: self.clock.simulation().is_some(),
            time: WallTime(now),
            started: WallTime(self.started),
            session: health::describe_session(&self.settings.calendar, now),
            ready: status.readiness.awaited().is_empty(),
            healthy: problems.is_empty(),
            problems,
            notices,
            underlyings: self.live.count_underlyings(now.date_ist()),
            contracts: pipeline.watched.load(Relaxed),
            feeds_up: feeds_up as u64,
            feeds: feeds as u64,
            choice: self.choice(),
            ticks: pipeline.observations.load(Relaxed),
            stale_bodies: pipeline.stale_bodies.load(Relaxed),
            watermark: watermark.map(WallTime),
            last_bucket: last_bucket.map(WallTime),
            store: StoreStatus {
                url: store::Address::parse(&self.config.store.url)
                    .map_or_else(|_| String::new(), |address| address.to_string()),
                up: status.store.trouble().is_none(),
                committed_seq: status.store.seq(),
                last_commit: status.store.last_commit().map(WallTime),
                pending_rows: status.store.pending_rows(),
            },
            spool: SpoolStatus {
                dir: self.config.spool.dir.display().to_string(),
                last_seq: status.spool.seq(),
                files: status.spool.size.files(),
                bytes: status.spool.size.bytes(),
                unsynced_bytes: status.spool.sync.unsynced_bytes(),
            },
            live: self.live.describe(),
            memory_bytes: resident_bytes(),
        }
    }

    pub(super) fn show_actors(&self) -> ActorsResponse {
        let snapshot = self.tree.snapshot();
        let actors = snapshot.rows.into_iter().map(|row| {
            let queue = row.ports.first();
            ActorRow {
                path: row.path.to_string(),
                parent: row.parent.as_deref().unwrap_or_default().to_owned(),
                state: row.state.name().to_owned(),
                critical: row.critical,
                incarnation: row.incarnation,
                restarts: row.restarts,
                errors: row.exits.errors,
                panics: row.exits.panics,
                hangs: row.exits.hangs,
                blocked: row.exits.blocked,
                displaced: row.exits.displaced,
                progress_age_ms: row.progress_age.map(millis),
                pulse_age_ms: row.sign_age.map(millis),
                waiting: row.is_waiting,
                handler_p50_us: row.handling.map(|handling| micros(handling.p50)),
                handler_p99_us: row.handling.map(|handling| micros(handling.p99)),
                queue: queue.map(|port| port.depth),
                queue_max: queue.map(|port| port.capacity as u64),
                queue_high_water: queue.map(|port| port.high_water),
                queue_oldest_ms: queue.and_then(|port| port.oldest_age).map(millis),
                queue_accepted: queue.map(|port| port.accepted),
                queue_pauses: queue.map(|port| port.pauses),
                rejected: queue.map_or(0, |port| port.rejected),
                dropped: queue.map_or(0, |port| port.dropped),
                set_aside: row.set_aside,
                last_exit: row.last_exit.map_or_else(String::new, |reason| reason.to_string()),
            }
        });
        ActorsResponse {
            actors: actors.collect(),
            zombies: snapshot.zombies,
            zombies_total: snapshot.zombies_total,
        }
    }

    pub(super) fn show_feeds(&self) -> FeedsResponse {
        let feeds = self.status.feeds.iter().map(|feed| feed_row(feed)).collect();
        FeedsResponse { feeds, choice: self.choice() }
    }
}

/// What a feed shows of itself.
pub(super) fn feed_row(feed: &FeedStatus) -> FeedRow {
    FeedRow {
        provider: feed.provider.to_string(),
        state: feed.state().name().to_owned(),
        subscribed: feed.subscribed.load(Relaxed),
        frames: feed.frames.load(Relaxed),
        requests: feed.requests.load(Relaxed),
        errors: feed.errors.load(Relaxed),
        reconnects: feed.reconnects.load(Relaxed),
        last_frame: feed.last_frame().map(WallTime),
        last_event: feed.last_event().map(WallTime),
        last_error: feed.last_error(),
    }
}

fn micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

/// From /proc/self/statm; 0 where there is none.
fn resident_bytes() -> u64 {
    let pages = std::fs::read_to_string("/proc/self/statm")
        .ok()
        .and_then(|text| text.split_whitespace().nth(1)?.parse::<u64>().ok())
        .unwrap_or(0);
    pages * rustix::param::page_size() as u64
}
