//! What is told between one look at the daemon and the next. Pure.

use super::{Gap, Overview, feed, manager};
use crate::{control::ActorRow, market::TradingDate};
use std::collections::HashMap;
use zbus::Variant;

/// Properties of one object and their new values.
pub(super) type Changed = HashMap<&'static str, Variant<'static>>;

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum News {
    Gap(Gap),
    /// Another provider's values count than the last time that anybody's did.
    ProviderSwitched {
        from: String,
        to: String,
    },
    DayCompleted {
        date: TradingDate,
    },
    ActorRestarted {
        path: String,
        incarnation: u64,
        restarts: u64,
        reason: String,
    },
    /// A supervisor gave up and handed the failure to its own; `root` ends the daemon.
    Escalated {
        supervisor: String,
        reason: String,
    },
}

#[derive(Debug, Default, PartialEq)]
pub(super) struct Changes {
    pub manager: Changed,
    /// By provider.
    pub feeds: Vec<(String, Changed)>,
    pub feeds_added: Vec<String>,
    pub feeds_removed: Vec<String>,
    pub news: Vec<News>,
}

/// Follows the daemon from look to look.
#[derive(Clone, Debug)]
pub(super) struct Follower {
    last: Overview,
    /// Whose values counted last.
    last_active: Option<String>,
}

impl Follower {
    /// What `first` shows is known already and not told.
    pub fn new(first: Overview) -> Follower {
        Follower { last_active: first.choice.active.clone(), last: first }
    }

    pub fn last(&self) -> &Overview {
        &self.last
    }

    /// The next look. A day stays completed until another one is.
    pub fn step(&mut self, mut next: Overview) -> Changes {
        next.completed_day = next.completed_day.or(self.last.completed_day);
        let mut changes = Changes {
            manager: difference(&manager::told(&self.last), manager::told(&next)),
            ..Changes::default()
        };
        for feed in &next.feeds {
            match self.last.feeds.iter().find(|known| known.provider == feed.provider) {
                None => changes.feeds_added.push(feed.provider.clone()),
                Some(known) => {
                    let changed = difference(&feed::told(known), feed::told(feed));
                    if !changed.is_empty() {
                        changes.feeds.push((feed.provider.clone(), changed));
                    }
                }
            }
        }
        let is_gone = |known: &&str| next.feeds.iter().all(|feed| feed.provider != **known);
        let known = self.last.feeds.iter().map(|feed| feed.provider.as_str());
        changes.feeds_removed = known.filter(is_gone).map(str::to_owned).collect();
        changes.news = self.news(&next);
        self.last_active = next.choice.active.clone().or(self.last_active.take());
        self.last = next;
        changes
    }

    fn news(&self, next: &Overview) -> Vec<News> {
        let mut news = Vec::new();
        let told = self.last.gaps.last().map_or(0, |gap| gap.number);
        news.extend(next.gaps.iter().filter(|gap| gap.number > told).cloned().map(News::Gap));
        if let (Some(from), Some(to)) = (&self.last_active, &next.choice.active)
            && from != to
        {
            news.push(News::ProviderSwitched { from: from.clone(), to: to.clone() });
        }
        if let Some(date) = next.completed_day
            && self.last.completed_day != Some(date)
        {
            news.push(News::DayCompleted { date });
        }
        for actor in &next.actors {
            let known = self.last.actors.iter().find(|known| known.path == actor.path);
            news.extend(actor_news(known, actor, &next.actors));
        }
        news
    }
}

fn actor_news(known: Option<&ActorRow>, actor: &ActorRow, all: &[ActorRow]) -> Vec<News> {
    const FAILED: &str = "failed";
    let mut news = Vec::new();
    let is_supervisor = || {
        let below =
            |other: &ActorRow| other.path.strip_prefix(&actor.path).is_some_and(|rest| rest.starts_with('/'));
        all.iter().any(below)
    };
    let has_restarted = actor.restarts > known.map_or(0, |known| known.restarts);
    if has_restarted {
        // A supervisor fails by giving up only.
        if is_supervisor() {
            news.push(News::Escalated { supervisor: actor.path.clone(), reason: actor.last_exit.clone() });
        }
        news.push(News::ActorRestarted {
            path: actor.path.clone(),
            incarnation: actor.incarnation,
            restarts: actor.restarts,
            reason: actor.last_exit.clone(),
        });
    }
    let has_failed = actor.state == FAILED && known.is_none_or(|known| known.state != FAILED);
    // Further down it is the restart of the supervisor that tells.
    if has_failed && !actor.path.contains('/') {
        let reason = format!("{}: {}", actor.path, actor.last_exit);
        news.push(News::Escalated { supervisor: "root".to_owned(), reason });
    }
    news
}

fn difference(before: &Changed, after: Changed) -> Changed {
    after.into_iter().filter(|(name, value)| before.get(name) != Some(value)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        control::{ActorsResponse, FeedRow, ProviderChoice},
        market::Timestamp,
    };

    fn feed(provider: &str, state: &str) -> FeedRow {
        FeedRow {
            provider: provider.to_owned(),
            state: state.to_owned(),
            subscribed: 10,
            frames: 0,
            requests: 0,
            errors: 0,
            reconnects: 0,
            last_frame: None,
            last_event: None,
            last_error: String::new(),
        }
    }

    fn actor(path: &str, state: &str, restarts: u64) -> ActorRow {
        let row = serde_json::json!({
            "path": path, "parent": "root", "state": state, "critical": true,
            "incarnation": restarts + 1, "restarts": restarts,
            "errors": 0, "panics": restarts, "hangs": 0, "blocked": 0, "displaced": 0,
            "waiting": false, "rejected": 0, "dropped": 0, "set_aside": 0,
            "last_exit": if restarts > 0 { "panicked: x" } else { "" },
        });
        let response = serde_json::json!({ "actors": [row], "zombies": 0, "zombies_total": 0 });
        let rows: ActorsResponse = serde_json::from_value(response).expect("a row");
        rows.actors.into_iter().next().expect("one row")
    }

    fn overview() -> Overview {
        Overview {
            version: "0.1.0",
            pid: 7,
            simulated: true,
            started: Timestamp::from_us(1),
            healthy: true,
            problems: Vec::new(),
            session: "open until 15:30".to_owned(),
            store_up: true,
            live: "memory".to_owned(),
            choice: ProviderChoice { active: Some("angel_one".to_owned()), forced: None },
            completed_day: None,
            feeds: vec![feed("angel_one", "up"), feed("nse", "up")],
            actors: vec![
                actor("writer", "running", 0),
                actor("feeds", "running", 0),
                actor("feeds/nse", "running", 0),
            ],
            gaps: Vec::new(),
        }
    }

    fn gap(number: u64) -> Gap {
        let (from, to) = (Timestamp::from_us(10), Timestamp::from_us(20));
        Gap { number, provider: "nse".to_owned(), from, to, reason: "closed".to_owned() }
    }

    #[test]
    fn nothing_new_tells_nothing_and_counters_are_no_news() {
        let mut follower = Follower::new(overview());
        assert_eq!(follower.step(overview()), Changes::default());
        let mut next = overview();
        next.feeds[0].frames = 99;
        next.feeds[0].reconnects = 2;
        next.actors[0].incarnation = 1;
        assert_eq!(follower.step(next), Changes::default());
    }

    #[test]
    fn only_what_changed_is_told() {
        let mut follower = Follower::new(overview());
        let mut next = overview();
        next.feeds[1] = FeedRow { last_error: "closed".to_owned(), ..feed("nse", "backing off") };
        next.healthy = false;
        next.problems = vec!["feed nse is backing off: closed".to_owned()];
        let changes = follower.step(next);
        let mut names: Vec<&str> = changes.manager.keys().copied().collect();
        names.sort_unstable();
        assert_eq!(names, ["FeedsUp", "Healthy", "Problems"]);
        let (provider, changed) = &changes.feeds[0];
        assert_eq!((provider.as_str(), changes.feeds.len()), ("nse", 1));
        assert_eq!(changed["State"], Variant::from("backing off"));
        assert_eq!(changed["LastError"], Variant::from("closed"));
        assert_eq!(changed.len(), 2);
    }

    #[test]
    fn feeds_come_and_go() {
        let mut follower = Follower::new(overview());
        let mut next = overview();
        next.feeds = vec![feed("angel_one", "up"), feed("dhan", "idle")];
        let changes = follower.step(next);
        assert_eq!(changes.feeds_added, ["dhan"]);
        assert_eq!(changes.feeds_removed, ["nse"]);
        assert!(changes.feeds.is_empty());
    }

    #[test]
    fn a_switch_counts_from_the_last_provider_that_was_up() {
        let mut follower = Follower::new(overview());
        let active = |provider: Option<&str>| {
            let choice = ProviderChoice { active: provider.map(str::to_owned), forced: None };
            Overview { choice, ..overview() }
        };
        assert!(follower.step(active(None)).news.is_empty());
        assert!(follower.step(active(Some("angel_one"))).news.is_empty(), "the same came back");
        assert!(follower.step(active(None)).news.is_empty());
        let switched = News::ProviderSwitched { from: "angel_one".to_owned(), to: "nse".to_owned() };
        assert_eq!(follower.step(active(Some("nse"))).news, [switched]);
    }

    #[test]
    fn an_order_is_a_change_of_a_property_and_a_switch_only_if_it_switches() {
        let mut follower = Follower::new(overview());
        let chosen = |active: &str| {
            let choice = ProviderChoice { active: Some(active.to_owned()), forced: Some("nse".to_owned()) };
            Overview { choice, ..overview() }
        };
        let changes = follower.step(chosen("angel_one"));
        assert_eq!(changes.manager, Changed::from([("ForcedProvider", Variant::from("nse"))]));
        assert!(changes.news.is_empty());
        let changes = follower.step(chosen("nse"));
        assert_eq!(changes.manager, Changed::from([("ActiveProvider", Variant::from("nse"))]));
        assert_eq!(changes.news.len(), 1);
    }

    #[test]
    fn gaps_and_days_are_told_once() {
        let mut follower = Follower::new(Overview { gaps: vec![gap(1)], ..overview() });
        let date = TradingDate::from_ymd_opt(2026, 1, 30).expect("a date");
        let next = Overview { gaps: vec![gap(1), gap(2), gap(3)], completed_day: Some(date), ..overview() };
        let news = follower.step(next.clone()).news;
        assert_eq!(news, [News::Gap(gap(2)), News::Gap(gap(3)), News::DayCompleted { date }]);
        assert!(follower.step(next).news.is_empty());
        let changes = follower.step(Overview { gaps: vec![gap(3)], ..overview() });
        assert_eq!(changes, Changes::default(), "the day stays completed overnight");
    }

    #[test]
    fn restarts_and_escalations_are_told() {
        let mut follower = Follower::new(overview());
        let restarted = |path: &str, restarts: u64| News::ActorRestarted {
            path: path.to_owned(),
            incarnation: restarts + 1,
            restarts,
            reason: "panicked: x".to_owned(),
        };
        let mut next = overview();
        next.actors[2] = actor("feeds/nse", "running", 2);
        assert_eq!(follower.step(next.clone()).news, [restarted("feeds/nse", 2)]);
        next.actors[1] = actor("feeds", "running", 1);
        let gave_up = |supervisor: &str, reason: &str| News::Escalated {
            supervisor: supervisor.to_owned(),
            reason: reason.to_owned(),
        };
        assert_eq!(
            follower.step(next.clone()).news,
            [gave_up("feeds", "panicked: x"), restarted("feeds", 1)]
        );
        next.actors[0] = actor("writer", "failed", 3);
        let news = follower.step(next.clone()).news;
        assert_eq!(news, [restarted("writer", 3), gave_up("root", "writer: panicked: x")]);
        assert!(follower.step(next).news.is_empty());
    }
}
