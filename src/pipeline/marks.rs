//! What the log's marks say: the rules, which streams and feeds are up, and the operator's override.

use super::machine::{LiveSink, Pipeline};
use crate::{
    engine::ScopeReason,
    market::{Provider, Timestamp},
    spool::{Mark, Record},
    store::Batch,
    wire::nse,
};
use std::collections::{BTreeMap, BTreeSet};

const LOST_REASON: &str = "a part of the log is lost";

/// How a stream is named where it is a part of what its provider watches.
fn stream_part(stream: u8) -> String {
    format!("stream {stream}")
}

impl Pipeline {
    /// The log lacks what followed the record that was applied last: no provider proves anything from there on, until the
    /// log says again which are up. The next open interest of a contract is no change, and rows of before the next record
    /// replace none, see [`super::loss`].
    pub fn note_loss(&mut self) {
        let now = self.last_received;
        for (provider, since) in self.gaps.note_away(now, LOST_REASON) {
            self.set_down(provider, since, now);
        }
        // Also those that were not up by a mark, but sent data.
        Provider::ALL.into_iter().for_each(|provider| self.set_down(provider, now, now));
        if let Some(day) = &mut self.day {
            day.forget_baselines();
        }
        self.loss.begin();
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
            Mark::Started { .. }
            | Mark::FeedDown { .. }
            | Mark::PartDown { .. }
            | Mark::StreamDown { .. }
            | Mark::ClockSet { .. } => {}
            Mark::Rules { rules } => self.change_rules(rules, now),
            Mark::Stopped => batch.gaps.extend(self.gaps.open_until(now)),
            Mark::StreamUp { provider, stream } => {
                if let Some(provider) = self.known_provider(provider) {
                    batch.gaps.extend(self.gaps.note_part_up(provider, &stream_part(*stream), now));
                    if let Some(day) = &mut self.day {
                        day.begin_stream(provider, *stream, now);
                    }
                }
            }
            Mark::PartUp { provider, part } => {
                if let Some((provider, part)) = self.known_part(provider, part) {
                    batch.gaps.extend(self.gaps.note_part_up(provider, &part.name(), now));
                }
            }
            Mark::Clock { watched_until_us, parts_down } => {
                if self.is_uncertain {
                    self.learn_parts(parts_down, now);
                }
                for (provider, until_us) in watched_until_us {
                    if let Some(provider) = self.known_provider(provider) {
                        if self.is_uncertain {
                            batch.gaps.extend(self.gaps.note_up(provider, now));
                        }
                        self.gaps.note_watched(provider, Timestamp::from_us(*until_us).min(now));
                    }
                }
                self.is_uncertain = false;
            }
            Mark::FeedUp { provider } => {
                if let Some(provider) = self.known_provider(provider) {
                    batch.gaps.extend(self.gaps.note_up(provider, now));
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

    /// Takes note of what a mark says of feeds and streams that have ended.
    pub(super) fn end_watching(
        &mut self,
        mark: Option<&Mark>,
        now: Timestamp,
        live: &mut impl LiveSink,
        batch: &mut Batch,
    ) {
        match mark {
            Some(Mark::Started { .. }) => {
                self.is_uncertain = false;
                for (_, since) in self.gaps.note_away(now, "the daemon was not running") {
                    self.pass_time(since, None, live, batch);
                }
                // Also those that were not up by a mark, but sent data; each stream proves what it brought.
                let last = self.last_received.min(now);
                Provider::ALL.into_iter().for_each(|provider| self.set_down(provider, last, now));
                self.force(None, now);
            }
            Some(Mark::FeedDown { provider, reason, since_us }) => {
                let Some(provider) = self.known_provider(provider) else { return };
                let told = since_us.map_or(now, Timestamp::from_us);
                // A feed that had read everything may have been sent more: its data lag behind the market.
                let shown = self.day.as_ref().and_then(|day| day.shown_until(provider));
                let since = shown.map_or(told, |shown| shown.min(told));
                if let Some(since) = self.gaps.note_down(provider, since, now, reason) {
                    self.pass_time(since, None, live, batch);
                    // A stream that was further than the others proves what it brought.
                    self.set_down(provider, told, now);
                }
            }
            Some(Mark::StreamDown { provider, stream, reason, since_us }) => {
                let Some(provider) = self.known_provider(provider) else { return };
                let since = since_us.map_or(now, Timestamp::from_us).min(now);
                self.pass_time(since, None, live, batch);
                let part = stream_part(*stream);
                if let Some(since) = self.gaps.part_down_since(provider, &part, since, now) {
                    self.gaps.note_part_down(provider, part, since, reason);
                }
                if let Some(day) = &mut self.day {
                    day.end_stream(provider, *stream, since, now, &mut self.rows);
                }
            }
            Some(Mark::PartDown { provider, part, reason, since_us }) => {
                let Some((provider, part)) = self.known_part(provider, part) else { return };
                if now.date_ist() > self.date {
                    // The head of a day's log tells of the day that it begins.
                    self.pass_time(now, None, live, batch);
                }
                let since = since_us.map_or(now, Timestamp::from_us);
                if let Some(since) = self.gaps.part_down_since(provider, &part.name(), since, now) {
                    self.pass_time(since, None, live, batch);
                    self.set_part_down(provider, &part, since, now, reason);
                }
            }
            Some(
                Mark::Clock { .. }
                | Mark::ClockSet { .. }
                | Mark::Stopped
                | Mark::FeedUp { .. }
                | Mark::PartUp { .. }
                | Mark::Failover { .. }
                | Mark::Rules { .. }
                | Mark::StreamUp { .. },
            )
            | None => {}
        }
    }

    fn set_down(&mut self, provider: Provider, since: Timestamp, now: Timestamp) {
        if let Some(day) = &mut self.day {
            day.set_down(provider, since, now, &mut self.rows);
        }
    }

    fn force(&mut self, provider: Option<Provider>, now: Timestamp) {
        self.forced = provider;
        if let Some(day) = &mut self.day {
            day.force(provider, now, &mut self.rows);
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

    fn set_part_down(
        &mut self,
        provider: Provider,
        part: &nse::ChainContext,
        since: Timestamp,
        now: Timestamp,
        reason: &str,
    ) {
        self.gaps.note_part_down(provider, part.name(), since, reason);
        let chains = self.chains.of_part(part);
        if let Some(day) = &mut self.day {
            chains.into_iter().for_each(|chain| day.set_chain_down(provider, chain, now, &mut self.rows));
        }
    }

    /// Marks that told of parts may be lost. Those that are down are so since their provider is up, for all that is known.
    fn learn_parts(&mut self, parts_down: &BTreeMap<String, BTreeSet<String>>, now: Timestamp) {
        for (provider, parts) in parts_down {
            for part in parts {
                let Some((provider, part)) = self.known_part(provider, part) else { continue };
                if let Some(since) = self.gaps.part_down_since(provider, &part.name(), Timestamp::NEVER, now)
                {
                    self.set_part_down(provider, &part, since, now, LOST_REASON);
                }
            }
        }
    }

    /// What the engine found out about scopes makes gaps like any other.
    pub(super) fn follow_scopes(&mut self, batch: &mut Batch) {
        let Some(day) = &mut self.day else { return };
        for change in day.take_scope_changes() {
            let (provider, name) = (change.provider, self.chains.name(change.chain).to_owned());
            match change.down {
                Some((since, reason)) => {
                    let since = self.gaps.part_down_since(provider, &name, since, change.at);
                    let reason = match reason {
                        ScopeReason::Silent => "no data, though the market is open",
                        ScopeReason::StandsStill => {
                            "its values do not move although data come: a trading halt, or a source that stands still"
                        }
                        ScopeReason::Contradicted => "another provider showed what it had missed",
                        ScopeReason::MissedByStream => "its answers showed what its stream had missed",
                        ScopeReason::Unanswered => "its answers lacked what its stream was to bring",
                        ScopeReason::OpenInterest => "another provider's open interest contradicts its own",
                    };
                    if let Some(since) = since {
                        self.gaps.note_part_down(provider, name, since, reason);
                    }
                }
                None => batch.gaps.extend(self.gaps.note_part_up(provider, &name, change.at)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        pipeline::{Catalog, NoLive, PipelineSettings},
        spool::NewRecord,
    };

    /// 10:00 IST on a Friday.
    fn at(second: i64) -> Timestamp {
        Timestamp::from_us(1_769_747_400_000_000).plus_seconds(second)
    }

    #[test]
    fn a_lost_stream_is_a_gap_until_it_is_up_or_its_feed_is_down() {
        let mut pipeline = Pipeline::new(PipelineSettings::of_tests(), Catalog::default());
        let mut batch = Batch::new(at(0).date_ist(), 0);
        let mut seq = 0;
        let mut apply = |second, mark: Mark| {
            seq += 1;
            pipeline.apply(&NewRecord::mark(at(second), &mark).numbered(seq), &mut NoLive, &mut batch);
            batch.gaps.drain(..).map(|gap| (gap.part, gap.from, gap.to, gap.reason)).collect::<Vec<_>>()
        };
        let provider = Provider::AngelOne;
        let gap = |from, to, reason: &str| [("stream 1".to_owned(), at(from), at(to), reason.to_owned())];
        apply(0, Mark::stream_up(provider, 1));
        apply(0, Mark::feed_up(provider));
        assert_eq!(apply(60, Mark::stream_down(provider, 1, "E1002").since(at(50))), []);
        assert_eq!(apply(90, Mark::stream_up(provider, 1)), gap(50, 90, "E1002"));
        assert_eq!(apply(100, Mark::stream_down(provider, 1, "broken")), []);
        assert_eq!(apply(130, Mark::feed_down(provider, "x").since(at(120))), gap(100, 120, "broken"));
    }

    #[test]
    fn after_a_loss_no_feed_is_up_until_the_log_says_so() {
        let mut pipeline = Pipeline::new(PipelineSettings::of_tests(), Catalog::default());
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
        let gaps =
            apply(&mut pipeline, 60, Mark::clock([(Provider::AngelOne, at(59)), (Provider::Nse, at(60))]));
        let lost = || "a part of the log is lost".to_owned();
        assert_eq!(gaps, [(at(8), at(60), lost()), (at(9), at(60), lost())]);
        apply(&mut pipeline, 70, Mark::feed_down(Provider::AngelOne, "x"));
        apply(&mut pipeline, 70, Mark::feed_down(Provider::Nse, "x"));
        apply(&mut pipeline, 71, Mark::clock([(Provider::Nse, at(70))]));
        let gaps = apply(&mut pipeline, 80, Mark::feed_up(Provider::Nse));
        let down = (at(70), at(80), "x".to_owned());
        assert_eq!(gaps, [down], "only the first mark of time after a loss says which feeds are up");
    }
}
