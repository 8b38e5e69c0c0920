//! Who watches, until when each is known to have watched, and the spans of a session in which a provider did not.
//!
//! A day's gaps follow from the day's log alone, and from the first record after it, by which the session is over at the
//! latest. So nothing of a day before is kept: the log's head, which is its `FeedUp` and `Failover` marks before anything
//! else, says who was up when the day began. Whoever comes up later was not watching until then. A provider that is still
//! down at the close has a gap up to the close, if the day's log shows that it was at work at all: nothing tells one that
//! is switched off from one that could not even begin.

use crate::{
    engine::SessionHours,
    market::{Provider, Timestamp},
    store::GapRow,
};
use std::collections::BTreeMap;

/// A part of what a provider watches may be down while it is up; its spans are rows of their own, which end where the
/// provider goes down itself.
///
/// One entry a provider. Fed from the log alone.
#[derive(Clone, Debug, Default)]
pub struct GapTracker {
    watches: [Watch; Provider::ALL.len()],
    /// Of today's session, while it is not over.
    hours: Option<SessionHours>,
    /// Whether the day's log has told more than who was up before it.
    is_past_head: bool,
    /// Gaps of parts that ended with their providers, for whoever drains them.
    pub ended_parts: Vec<GapRow>,
}

#[derive(Clone, Debug, Default)]
struct Watch {
    up_since: Option<Timestamp>,
    watched_until: Timestamp,
    /// Down since when, and why.
    down: Option<(Timestamp, String)>,
    /// Whether today's log shows anything of it.
    is_at_work: bool,
    /// Those that were ever down while it has been up.
    parts: BTreeMap<String, Part>,
}

#[derive(Clone, Debug)]
enum Part {
    /// Since when, and why.
    Down(Timestamp, String),
    Up(Timestamp),
}

const EXTENDED_REASON: &str = "the session counted as closed";
const NOT_UP_REASON: &str = "the feed had not come up";

impl GapTracker {
    fn watch(&mut self, provider: Provider) -> &mut Watch {
        &mut self.watches[provider.index()]
    }

    /// Begins a day without knowledge of the one before. `hours`: of its session, where it has one.
    pub fn begin_day(&mut self, hours: Option<SessionHours>) {
        let not_up = hours.map(|hours| (hours.open, NOT_UP_REASON.to_owned()));
        let watch = Watch { down: not_up, ..Watch::default() };
        let watches = std::array::from_fn(|_| watch.clone());
        let ended_parts = std::mem::take(&mut self.ended_parts);
        *self = GapTracker { watches, hours, is_past_head: false, ended_parts };
    }

    /// Other hours of the running day. Where the session had closed by those before, none of its feeds was watched from there
    /// on: what they brought counted for nothing.
    pub fn change_hours(&mut self, hours: SessionHours, now: Timestamp) {
        let Some(before) = self.hours.replace(hours) else { return };
        if now < before.close {
            for (since, reason) in self.watches.iter_mut().filter_map(|watch| watch.down.as_mut()) {
                if *since == before.open && reason == NOT_UP_REASON {
                    *since = hours.open;
                }
            }
            return;
        }
        for provider in Provider::ALL {
            self.note_down(provider, before.close, now, EXTENDED_REASON);
            self.watch(provider).down.get_or_insert_with(|| (before.close, EXTENDED_REASON.to_owned()));
        }
    }

    /// The day's log tells of something else than who was up before it.
    pub fn end_head(&mut self) {
        self.is_past_head = true;
    }

    /// The provider is known to have watched until then.
    pub fn note_watched(&mut self, provider: Provider, until: Timestamp) {
        let watch = self.watch(provider);
        watch.watched_until = watch.watched_until.max(until);
        watch.is_at_work = true;
    }

    /// It has not watched since `since`, which is told at `now`. Gives the instant that counts; `None` if it was not up.
    pub fn note_down(
        &mut self,
        provider: Provider,
        since: Timestamp,
        now: Timestamp,
        reason: &str,
    ) -> Option<Timestamp> {
        let hours = self.hours;
        let watch = self.watch(provider);
        let parts = std::mem::take(&mut watch.parts);
        let since = since.min(now).max(watch.up_since.take()?);
        watch.down = Some((since, reason.to_owned()));
        let ended = hours.into_iter().flat_map(|hours| end_parts(provider, &parts, since, hours));
        let ended: Vec<GapRow> = ended.collect();
        self.ended_parts.extend(ended);
        Some(since)
    }

    /// Since when a part has not been watched, of which it is told at `now` that it was `since`; `None` if that is no news.
    pub fn part_down_since(
        &self,
        provider: Provider,
        part: &str,
        since: Timestamp,
        now: Timestamp,
    ) -> Option<Timestamp> {
        let watch = &self.watches[provider.index()];
        let since = since.min(now).max(watch.up_since.unwrap_or(now));
        match watch.parts.get(part) {
            Some(Part::Down(..)) => None,
            Some(Part::Up(up_since)) => Some(since.max(*up_since)),
            None => Some(since),
        }
    }

    /// `since`: see [`GapTracker::part_down_since`].
    pub fn note_part_down(&mut self, provider: Provider, part: String, since: Timestamp, reason: &str) {
        self.watch(provider).parts.insert(part, Part::Down(since, reason.to_owned()));
    }

    /// The gap that ends with the part up again, as far as it lies within the session.
    pub fn note_part_up(&mut self, provider: Provider, part: &str, now: Timestamp) -> Option<GapRow> {
        let hours = self.hours;
        let watch = self.watch(provider);
        let state = watch.parts.get_mut(part).filter(|state| matches!(state, Part::Down(..)))?;
        let was = std::mem::replace(state, Part::Up(now));
        match was {
            Part::Down(since, reason) if watch.up_since.is_some() => {
                gap(provider, (since, reason), now, hours?).map(|row| GapRow { part: part.to_owned(), ..row })
            }
            Part::Down(..) | Part::Up(_) => None,
        }
    }

    /// The daemon was away, or the log is lost: whoever was up was not watched since the last thing that is known of it.
    pub fn note_away(&mut self, now: Timestamp, reason: &str) -> Vec<(Provider, Timestamp)> {
        let mut down = Vec::new();
        for provider in Provider::ALL {
            let since = self.watch(provider).watched_until;
            let since = self.note_down(provider, since, now, reason);
            down.extend(since.map(|since| (provider, since)));
        }
        down
    }

    /// The gap that ends with `provider` up again, as far as it lies within the session.
    pub fn note_up(&mut self, provider: Provider, now: Timestamp) -> Option<GapRow> {
        let (hours, is_past_head) = (self.hours, self.is_past_head);
        let watch = self.watch(provider);
        watch.is_at_work = true;
        if watch.up_since.is_none() {
            watch.up_since = Some(now);
            for part in watch.parts.values_mut() {
                if let Part::Down(since, _) = part {
                    *since = now.max(*since);
                }
            }
            watch.watched_until = watch.watched_until.max(now);
        }
        let down = watch.down.take().filter(|_| is_past_head);
        gap(provider, down?, now, hours?)
    }

    /// The gaps that are open, as far as they go at `now`. Each grows under its key when it ends.
    pub fn open_until(&self, now: Timestamp) -> Vec<GapRow> {
        let (Some(hours), mut gaps) = (self.hours, Vec::new()) else { return Vec::new() };
        for provider in Provider::ALL {
            let watch = &self.watches[provider.index()];
            let down = watch.down.clone().filter(|_| watch.is_at_work);
            gaps.extend(down.and_then(|down| gap(provider, down, now, hours)));
            if watch.up_since.is_some() {
                gaps.extend(end_parts(provider, &watch.parts, now, hours));
            }
        }
        gaps
    }

    /// Ends the gaps of all who are down with the session, if it is over at `now`. To be called with every record, after
    /// what it says of the time before.
    pub fn close_session(&mut self, now: Timestamp) -> Vec<GapRow> {
        let Some(hours) = self.hours.filter(|hours| hours.close <= now) else { return Vec::new() };
        let mut gaps = Vec::new();
        for provider in Provider::ALL {
            let watch = self.watch(provider);
            let down = watch.down.take().filter(|_| watch.is_at_work);
            gaps.extend(down.and_then(|down| gap(provider, down, hours.close, hours)));
            let parts = std::mem::take(&mut watch.parts);
            if watch.up_since.is_some() {
                gaps.extend(end_parts(provider, &parts, hours.close, hours));
            }
        }
        gaps
    }
}

/// The gaps of parts that end at `until`.
fn end_parts(
    provider: Provider,
    parts: &BTreeMap<String, Part>,
    until: Timestamp,
    hours: SessionHours,
) -> impl Iterator<Item = GapRow> {
    parts.iter().filter_map(move |(part, state)| match state {
        Part::Down(since, reason) => gap(provider, (*since, reason.clone()), until, hours)
            .map(|row| GapRow { part: part.clone(), ..row }),
        Part::Up(_) => None,
    })
}

fn gap(
    provider: Provider,
    (since, reason): (Timestamp, String),
    until: Timestamp,
    hours: SessionHours,
) -> Option<GapRow> {
    let (from, to) = (since.max(hours.open), until.min(hours.close));
    (from < to).then_some(GapRow { from, to, provider: Some(provider), part: String::new(), reason })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::market::TradingDate;

    const P: Provider = Provider::AngelOne;

    fn at(us: i64) -> Timestamp {
        Timestamp::from_us(us)
    }

    /// Of a session from 5 to 1,000.
    fn tracker() -> GapTracker {
        let mut gaps = GapTracker::default();
        gaps.begin_day(Some(SessionHours { date: TradingDate::MIN, open: at(5), close: at(1_000) }));
        gaps
    }

    fn span(gap: &GapRow) -> (i64, i64) {
        (gap.from.as_us(), gap.to.as_us())
    }

    #[test]
    fn a_gap_that_is_open_reaches_to_now_and_grows() {
        let mut gaps = tracker();
        assert_eq!(gaps.open_until(at(20)), [], "nothing shows that it is at work");
        gaps.note_up(P, at(10));
        gaps.note_part_down(P, "A".to_owned(), at(15), "y");
        let spans = |gaps: &[GapRow]| {
            gaps.iter().map(|gap| (gap.part.clone(), span(gap), gap.reason.clone())).collect::<Vec<_>>()
        };
        assert_eq!(spans(&gaps.open_until(at(20))), [("A".to_owned(), (15, 20), "y".to_owned())]);
        gaps.note_down(P, at(30), at(40), "x");
        gaps.end_head();
        assert_eq!(spans(&gaps.open_until(at(60))), [(String::new(), (30, 60), "x".to_owned())]);
        // After a restart it goes on, under its key.
        gaps.note_away(at(90), "the daemon was not running");
        let gap = gaps.note_up(P, at(100)).expect("a gap");
        assert_eq!((span(&gap), &*gap.reason), ((30, 100), "x"));
    }

    #[test]
    fn a_gap_begins_where_the_watching_ended() {
        let mut gaps = tracker();
        assert_eq!(gaps.note_down(P, at(1), at(1), "x"), None, "it was not up");
        assert_eq!(gaps.note_up(P, at(10)), None);
        assert_eq!(gaps.note_down(P, at(30), at(40), "x"), Some(at(30)));
        gaps.end_head();
        let gap = gaps.note_up(P, at(50)).expect("a gap");
        assert_eq!(span(&gap), (30, 50));
        assert_eq!(gaps.note_down(P, at(20), at(60), "x"), Some(at(50)), "not before it came up");
        gaps.note_up(P, at(70));
        assert_eq!(gaps.note_down(P, at(99), at(80), "x"), Some(at(80)), "not in the future");
    }

    #[test]
    fn a_restart_ends_the_watching_where_the_log_last_tells_of_it() {
        let mut gaps = tracker();
        gaps.note_up(P, at(10));
        gaps.end_head();
        assert_eq!(gaps.clone().note_away(at(90), "x"), [(P, at(10))]);
        gaps.note_watched(P, at(40));
        gaps.note_watched(P, at(30));
        assert_eq!(gaps.note_away(at(90), "x"), [(P, at(40))]);
        assert_eq!(gaps.note_away(at(95), "x"), []);
        assert_eq!(gaps.note_up(P, at(99)).map(|gap| gap.from), Some(at(40)));
    }

    #[test]
    fn whoever_is_down_at_the_close_has_a_gap_up_to_it() {
        let mut gaps = tracker();
        gaps.note_up(P, at(1));
        gaps.end_head();
        gaps.note_down(P, at(400), at(410), "x");
        assert_eq!(gaps.close_session(at(999)), []);
        let told = gaps.close_session(at(1_000));
        assert_eq!(
            told.iter().map(span).collect::<Vec<_>>(),
            [(400, 1_000)],
            "the other one is switched off"
        );
        assert_eq!(gaps.close_session(at(1_001)), [], "told once");
        assert_eq!(gaps.note_up(P, at(1_100)), None);
        // A hang that is found out after the close.
        gaps.note_down(P, at(1_100), at(1_200), "x");
        assert_eq!(gaps.close_session(at(1_200)), []);
    }

    #[test]
    fn whoever_comes_up_after_the_opening_was_not_watching_before() {
        let mut gaps = tracker();
        assert_eq!(gaps.note_up(P, at(300)), None, "the log's head says that it was up");
        gaps.end_head();
        let gap = gaps.note_up(Provider::Nse, at(300)).expect("a gap");
        assert_eq!(span(&gap), (5, 300));
        let mut gaps = tracker();
        gaps.end_head();
        gaps.note_watched(P, at(20));
        let told = gaps.close_session(at(2_000));
        assert_eq!(told.iter().map(span).collect::<Vec<_>>(), [(5, 1_000)], "it worked, but never came up");
    }

    #[test]
    fn a_parts_gap_ends_with_it_with_its_provider_or_with_the_session() {
        let mut gaps = tracker();
        let part = || "NIFTY".to_owned();
        gaps.note_part_down(P, part(), at(1), "never answered");
        gaps.note_part_down(P, "SBIN".to_owned(), at(1), "the same");
        gaps.note_up(P, at(10));
        gaps.end_head();
        assert_eq!(gaps.part_down_since(P, "NIFTY", at(5), at(20)), None, "told before");
        let row = gaps.note_part_up(P, "NIFTY", at(20)).expect("a gap");
        assert_eq!(
            (span(&row), row.part.as_str(), row.reason.as_str()),
            ((10, 20), "NIFTY", "never answered")
        );
        assert_eq!(gaps.note_part_up(P, "NIFTY", at(21)), None);
        assert_eq!(gaps.part_down_since(P, "NIFTY", at(5), at(30)), Some(at(20)), "not before it was up");
        gaps.note_part_down(P, part(), at(25), "404");
        gaps.note_down(P, at(40), at(50), "x");
        let ended: Vec<_> = gaps.ended_parts.drain(..).map(|row| (span(&row), row.part)).collect();
        assert_eq!(ended, [((25, 40), part()), ((10, 40), "SBIN".to_owned())]);
        gaps.note_up(P, at(60));
        gaps.note_part_down(P, part(), at(70), "404");
        let told = gaps.close_session(at(1_000));
        let told: Vec<_> = told.iter().map(|row| (span(row), row.part.as_str())).collect();
        assert_eq!(told, [((70, 1_000), "NIFTY")]);
    }
}
