//! What the log's marks say: who watches, what of it, and whose word counts.

use super::machine::{LiveSink, Pipeline};
use crate::{
    market::{Provider, Timestamp},
    spool::{Mark, Record},
    store::Batch,
    wire::nse,
};
use std::collections::{BTreeMap, BTreeSet};

const LOST_REASON: &str = "a part of the log is lost";

impl Pipeline {
    /// The log lacks what followed the record that was applied last: nobody counts as having watched from there on, until
    /// the log says again who is up.
    pub fn note_loss(&mut self) {
        let now = self.last_received;
        Provider::ALL.into_iter().for_each(|provider| self.lift_parts(provider));
        for (provider, since) in self.gaps.note_away(now, LOST_REASON) {
            self.set_down(provider, since, now);
        }
        self.is_uncertain = true;
    }

    pub(super) fn read_mark(&mut self, record: &Record) -> Option<Mark> {
        match serde_json::from_slice(record.frames.bytes()) {
            Ok(mark) => Some(mark),
            Err(error) => {
                self.counters.note_malformed(&error);
                None
            }
        }
    }

    pub(super) fn apply_mark(&mut self, mark: &Mark, now: Timestamp, batch: &mut Batch) {
        match mark {
            Mark::Started { .. } | Mark::FeedDown { .. } | Mark::PartDown { .. } => {}
            Mark::PartUp { provider, part } => {
                if let Some((provider, part)) = self.known_part(provider, part) {
                    self.set_part_up(provider, &part, now, batch);
                }
            }
            Mark::Clock { watched_until_us, parts_down } => {
                if self.is_uncertain {
                    self.learn_parts(parts_down, now);
                }
                for (provider, until_us) in watched_until_us {
                    if let Some(provider) = self.known_provider(provider) {
                        if self.is_uncertain {
                            self.set_up(provider, now, batch);
                        }
                        self.gaps.note_watched(provider, Timestamp::from_us(*until_us).min(now));
                    }
                }
                self.is_uncertain = false;
            }
            Mark::FeedUp { provider } => {
                if let Some(provider) = self.known_provider(provider) {
                    self.set_up(provider, now, batch);
                }
            }
            Mark::Failover { to: None } => self.force(None, now),
            Mark::Failover { to: Some(provider) } => {
                if let Some(provider) = self.known_provider(provider) {
                    self.force(Some(provider), now);
                }
            }
        }
    }

    /// Takes note of what a mark says of feeds that do not watch any more.
    pub(super) fn end_watching(
        &mut self,
        mark: Option<&Mark>,
        now: Timestamp,
        live: &mut impl LiveSink,
        batch: &mut Batch,
    ) {
        let ended = match mark {
            Some(Mark::Started { .. }) => {
                self.is_uncertain = false;
                Provider::ALL.into_iter().for_each(|provider| self.lift_parts(provider));
                self.gaps.note_away(now, "the daemon was not running")
            }
            Some(Mark::FeedDown { provider, reason, since_us }) => {
                let Some(provider) = self.known_provider(provider) else { return };
                let since = since_us.map_or(now, Timestamp::from_us);
                self.lift_parts(provider);
                let since = self.gaps.note_down(provider, since, now, reason);
                since.map(|since| (provider, since)).into_iter().collect()
            }
            Some(Mark::PartDown { provider, part, reason, since_us }) => {
                let Some((provider, part)) = self.known_part(provider, part) else { return };
                if now.date_ist() > self.date {
                    // The head of a day's log tells of the day that it begins.
                    self.pass_time(now, live, batch);
                }
                let since = since_us.map_or(now, Timestamp::from_us);
                if let Some(since) = self.gaps.part_down_since(provider, &part.name(), since, now) {
                    self.pass_time(since, live, batch);
                    self.set_part_down(provider, part, since, reason);
                }
                return;
            }
            Some(Mark::Clock { .. } | Mark::FeedUp { .. } | Mark::PartUp { .. } | Mark::Failover { .. })
            | None => return,
        };
        for (provider, since) in ended {
            self.pass_time(since, live, batch);
            self.set_down(provider, since, now);
        }
        if let Some(Mark::Started { .. }) = mark {
            self.force(None, now);
        }
    }

    fn set_down(&mut self, provider: Provider, since: Timestamp, now: Timestamp) {
        match &mut self.day {
            Some(day) => day.set_down(provider, since, now, &mut self.rows),
            None => self.resting_router.set_down(provider, since, now),
        }
    }

    fn set_up(&mut self, provider: Provider, now: Timestamp, batch: &mut Batch) {
        match &mut self.day {
            Some(day) => day.set_up(provider, now),
            None => self.resting_router.set_up(provider, now),
        }
        batch.gaps.extend(self.gaps.note_up(provider, now));
    }

    fn force(&mut self, provider: Option<Provider>, now: Timestamp) {
        match &mut self.day {
            Some(day) => day.force(provider, now),
            None => self.resting_router.force(provider, now),
        }
    }

    fn known_provider(&mut self, name: &str) -> Option<Provider> {
        name.parse().inspect_err(|error| self.counters.note_malformed(error)).ok()
    }

    fn known_part(&mut self, provider: &str, part: &str) -> Option<(Provider, nse::ChainContext)> {
        let provider = self.known_provider(provider)?;
        let part = part.parse().inspect_err(|error| self.counters.note_malformed(error)).ok()?;
        Some((provider, part))
    }

    fn set_part_down(&mut self, provider: Provider, part: nse::ChainContext, since: Timestamp, reason: &str) {
        self.gaps.note_part_down(provider, part.name(), since, reason);
        let chains = self.chains.set_down(provider, part);
        if let Some(day) = &mut self.day {
            chains.into_iter().for_each(|chain| day.set_chain_down(provider, chain, since, &mut self.rows));
        }
    }

    fn set_part_up(
        &mut self,
        provider: Provider,
        part: &nse::ChainContext,
        now: Timestamp,
        batch: &mut Batch,
    ) {
        let chains = self.chains.set_up(provider, part);
        if let Some(day) = &mut self.day {
            chains.into_iter().for_each(|chain| day.set_chain_up(provider, chain, now));
        }
        batch.gaps.extend(self.gaps.note_part_up(provider, &part.name(), now));
    }

    /// The provider is down as a whole: nothing is said of its parts any more.
    fn lift_parts(&mut self, provider: Provider) {
        let chains = self.chains.lift(provider);
        if let Some(day) = &mut self.day {
            let always = Timestamp::from_us(i64::MIN);
            chains.into_iter().for_each(|chain| day.set_chain_up(provider, chain, always));
        }
    }

    /// Marks that told of parts may be lost. Those that are down are so since their provider is up, for all that is known.
    fn learn_parts(&mut self, parts_down: &BTreeMap<String, BTreeSet<String>>, now: Timestamp) {
        for (provider, parts) in parts_down {
            for part in parts {
                let Some((provider, part)) = self.known_part(provider, part) else { continue };
                let earliest = Timestamp::from_us(i64::MIN);
                if let Some(since) = self.gaps.part_down_since(provider, &part.name(), earliest, now) {
                    self.set_part_down(provider, part, since, LOST_REASON);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        calendar::Calendar,
        engine::watch::WatchList,
        pipeline::{Catalog, NoLive, PipelineSettings},
        spool::NewRecord,
    };
    use std::sync::Arc;

    #[test]
    fn after_a_loss_nobody_watches_until_the_log_says_who_does() {
        let settings = PipelineSettings {
            watch: WatchList::default(),
            grace_us: 0,
            preference: Provider::ALL.into(),
            calendar: Arc::new(Calendar::embedded()),
        };
        let mut pipeline = Pipeline::new(settings, Catalog::default());
        // 10:00 IST on a Friday.
        let at = |second| Timestamp::from_us(1_769_747_400_000_000).plus_seconds(second);
        let mut batch = Batch::new(at(0).date_ist(), 0);
        let mut seq = 0;
        let mut apply = |pipeline: &mut Pipeline, second, mark: Mark| {
            seq += 1;
            pipeline.apply(&NewRecord::mark(at(second), &mark).numbered(seq), &mut NoLive, &mut batch);
            batch.gaps.drain(..).map(|gap| (gap.from, gap.to, gap.reason)).collect::<Vec<_>>()
        };
        assert_eq!(apply(&mut pipeline, 0, Mark::feed_up(Provider::Nse)), []);
        assert_eq!(apply(&mut pipeline, 0, Mark::feed_up(Provider::AngelOne)), []);
        let watched = [(Provider::Nse, at(9)), (Provider::AngelOne, at(8))];
        assert_eq!(apply(&mut pipeline, 10, Mark::clock(watched)), []);
        pipeline.note_loss();
        assert_eq!(pipeline.watching(), None);
        let gaps =
            apply(&mut pipeline, 60, Mark::clock([(Provider::AngelOne, at(59)), (Provider::Nse, at(60))]));
        let lost = || "a part of the log is lost".to_owned();
        assert_eq!(gaps, [(at(8), at(60), lost()), (at(9), at(60), lost())]);
        assert!(pipeline.watching().is_some());
        apply(&mut pipeline, 70, Mark::feed_down(Provider::AngelOne, "x"));
        apply(&mut pipeline, 70, Mark::feed_down(Provider::Nse, "x"));
        apply(&mut pipeline, 71, Mark::clock([(Provider::Nse, at(70))]));
        assert_eq!(pipeline.watching(), None, "only the first mark of time after a loss says who is up");
    }
}
