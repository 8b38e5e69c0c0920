//! Who watches, until when each is known to have watched, and the spans of a session in which a provider did not.

use crate::{
    engine::SessionHours,
    market::{Provider, Timestamp},
    store::GapRow,
};

/// One entry a provider. Fed from the log alone.
#[derive(Clone, Debug, Default)]
pub struct GapTracker {
    watches: [Watch; Provider::ALL.len()],
}

#[derive(Clone, Debug, Default)]
struct Watch {
    up_since: Option<Timestamp>,
    watched_until: Timestamp,
    /// Down since when, and why.
    down: Option<(Timestamp, String)>,
}

impl GapTracker {
    fn watch(&mut self, provider: Provider) -> &mut Watch {
        &mut self.watches[usize::from(provider.code()) - 1]
    }

    /// The provider is known to have watched until then.
    pub fn note_watched(&mut self, provider: Provider, until: Timestamp) {
        let watch = self.watch(provider);
        watch.watched_until = watch.watched_until.max(until);
    }

    /// It has not watched since `since`, which is told at `now`. Gives the instant that counts; `None` if it was not up.
    pub fn note_down(
        &mut self,
        provider: Provider,
        since: Timestamp,
        now: Timestamp,
        reason: &str,
    ) -> Option<Timestamp> {
        let watch = self.watch(provider);
        let since = since.min(now).max(watch.up_since.take()?);
        watch.down = Some((since, reason.to_owned()));
        Some(since)
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
    pub fn note_up(
        &mut self,
        provider: Provider,
        now: Timestamp,
        hours: Option<SessionHours>,
    ) -> Option<GapRow> {
        let watch = self.watch(provider);
        if watch.up_since.is_none() {
            watch.up_since = Some(now);
            watch.watched_until = watch.watched_until.max(now);
        }
        let (since, reason) = watch.down.take()?;
        let hours = hours?;
        let (from, to) = (since.max(hours.open), now.min(hours.close));
        (from < to).then_some(GapRow { from, to, provider: Some(provider), reason })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::market::TradingDate;

    const P: Provider = Provider::AngelOne;

    fn at(us: i64) -> Timestamp {
        Timestamp::from_us(us)
    }

    fn hours() -> Option<SessionHours> {
        Some(SessionHours { date: TradingDate::MIN, open: at(0), close: at(1_000) })
    }

    #[test]
    fn a_gap_begins_where_the_watching_ended() {
        let mut gaps = GapTracker::default();
        assert_eq!(gaps.note_down(P, at(1), at(1), "x"), None, "it was not up");
        assert_eq!(gaps.note_up(P, at(10), hours()), None);
        assert_eq!(gaps.note_down(P, at(30), at(40), "x"), Some(at(30)));
        let gap = gaps.note_up(P, at(50), hours()).expect("a gap");
        assert_eq!((gap.from, gap.to), (at(30), at(50)));
        assert_eq!(gaps.note_down(P, at(20), at(60), "x"), Some(at(50)), "not before it came up");
        gaps.note_up(P, at(70), hours());
        assert_eq!(gaps.note_down(P, at(99), at(80), "x"), Some(at(80)), "not in the future");
    }

    #[test]
    fn a_restart_ends_the_watching_where_the_log_last_tells_of_it() {
        let mut gaps = GapTracker::default();
        gaps.note_up(P, at(10), hours());
        assert_eq!(gaps.clone().note_away(at(90), "x"), [(P, at(10))]);
        gaps.note_watched(P, at(40));
        gaps.note_watched(P, at(30));
        assert_eq!(gaps.note_away(at(90), "x"), [(P, at(40))]);
        assert_eq!(gaps.note_away(at(95), "x"), []);
        assert_eq!(gaps.note_up(P, at(99), hours()).map(|gap| gap.from), Some(at(40)));
    }
}
