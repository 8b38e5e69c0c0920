//! The rules by which a day is judged. They stand at the head of the day's log, so that no change of the configuration, the
//! calendar or the version alters a day that is over.

use crate::{
    calendar::Session,
    engine::watch::WatchedUnderlying,
    market::{Provider, Timestamp, TradingDate},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

/// Counts the versions of the engine's judgement: one more whenever the same log and rules give other rows.
pub const RULES_SCHEMA: u32 = 1;

/// See the module's head.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct DayRules {
    pub schema: u32,
    /// What is recorded.
    pub universe: Vec<WatchedUnderlying>,
    /// How long after its end a bucket stays open at least.
    pub grace_us: i64,
    /// Silences shorter than this say nothing: of a day that passed faster than machines respond.
    #[serde(default)]
    pub silence_min_us: i64,
    /// By channel, such as `nse_chain`.
    #[serde(default)]
    pub channels: BTreeMap<String, ChannelTimes>,
    /// Names of providers in their order.
    pub preference: Vec<String>,
    /// `None` on a day without a session.
    pub session: Option<SessionTimes>,
}

/// What is declared of a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct ChannelTimes {
    /// How long after its end a bucket's row waits for proof.
    pub lateness_us: i64,
    /// Two snapshots further apart prove nothing of the time between them.
    pub gap_max_us: i64,
}

/// A session as the calendar had it, µs UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct SessionTimes {
    pub open_us: i64,
    pub close_us: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expiring_index_close_us: Option<i64>,
}

impl DayRules {
    /// In their order; names that this version does not know are passed over.
    pub fn providers(&self) -> Vec<Provider> {
        self.preference.iter().filter_map(|name| name.parse().ok()).collect()
    }

    /// What `other` says otherwise, in words: a line for each kind of rule.
    pub fn differences(&self, other: &DayRules) -> Vec<String> {
        let channels = self.channels.keys().chain(other.channels.keys()).collect::<BTreeSet<_>>();
        let of_channels = channels.into_iter().map(|channel| {
            let told = |rules: &DayRules| describe_channel(rules.channels.get(channel));
            (format!("channel {channel}"), told(self), told(other))
        });
        let both = |what: &str, told: fn(&DayRules) -> String| (what.to_owned(), told(self), told(other));
        let rules = [
            both("version of the judgement", |rules| rules.schema.to_string()),
            both("watch list", DayRules::describe_universe),
            both("grace", |rules| seconds(rules.grace_us)),
            both("shortest silence", |rules| seconds(rules.silence_min_us)),
            both("preference", |rules| rules.preference.join(", ")),
            both("session", |rules| {
                rules.session.map_or_else(|| "none".to_owned(), |session| session.to_string())
            }),
        ];
        let differ = rules.into_iter().chain(of_channels).filter(|(_, ours, theirs)| ours != theirs);
        differ.map(|(what, ours, theirs)| format!("{what}: {ours}; today {theirs}")).collect()
    }

    fn describe_universe(&self) -> String {
        let told = self.universe.iter().map(|WatchedUnderlying { underlying, expiries }| match expiries {
            0 => format!("{underlying} (all expiries)"),
            1 => format!("{underlying} (1 expiry)"),
            expiries => format!("{underlying} ({expiries} expiries)"),
        });
        let told = told.collect::<Vec<_>>().join(", ");
        if told.is_empty() { "nothing".to_owned() } else { told }
    }

    /// Whether this version of the engine judges a day of these rules as the one that recorded it did.
    pub fn is_current(&self) -> bool {
        self.schema == RULES_SCHEMA
    }
}

fn describe_channel(times: Option<&ChannelTimes>) -> String {
    let Some(ChannelTimes { lateness_us, gap_max_us }) = times else { return "not declared".to_owned() };
    format!("lateness {}, longest gap {}", seconds(*lateness_us), seconds(*gap_max_us))
}

/// `5 s`, `250 ms`.
fn seconds(us: i64) -> String {
    match us % 1_000_000 {
        0 => format!("{} s", us / 1_000_000),
        _ => format!("{} ms", us / 1_000),
    }
}

impl fmt::Display for SessionTimes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = |at: Timestamp| at.to_ist().format("%H:%M");
        write!(f, "{} to {}", time(self.open()), time(self.close()))?;
        match self.expiring_index_close_us {
            Some(us) => write!(f, ", expiring index options to {}", time(Timestamp::from_us(us))),
            None => Ok(()),
        }
    }
}

impl From<Session> for SessionTimes {
    fn from(session: Session) -> SessionTimes {
        SessionTimes {
            open_us: session.open.as_us(),
            close_us: session.close.as_us(),
            expiring_index_close_us: session.expiring_index_close.map(Timestamp::as_us),
        }
    }
}

impl SessionTimes {
    pub fn open(&self) -> Timestamp {
        Timestamp::from_us(self.open_us)
    }

    pub fn close(&self) -> Timestamp {
        Timestamp::from_us(self.close_us)
    }

    /// The date in India.
    pub fn date(&self) -> TradingDate {
        self.open().date_ist()
    }

    fn expiring_close_us(&self) -> i64 {
        self.expiring_index_close_us.unwrap_or(self.close_us)
    }

    /// The session that a running day has from `now` on, where its rules said `before` and are now to say `wanted`.
    ///
    /// A session that is given, a later close, and whatever changes before either open is taken. What may have rows is not
    /// taken away: no session is, a close does not become earlier, an open that is past stays.
    pub fn taken(
        before: Option<SessionTimes>,
        wanted: Option<SessionTimes>,
        now: Timestamp,
    ) -> Option<SessionTimes> {
        let (Some(before), Some(wanted)) = (before, wanted) else { return before.or(wanted) };
        let now_us = now.as_us();
        if now_us < before.open_us.min(wanted.open_us) {
            return Some(wanted);
        }
        let close_us = before.close_us.max(wanted.close_us);
        let expiring_us = before.expiring_close_us();
        // Contracts that are over while others go on are not begun again.
        let is_past = expiring_us < before.close_us && expiring_us <= now_us;
        let expiring_us = if is_past { expiring_us } else { expiring_us.max(wanted.expiring_close_us()) };
        let expiring_index_close_us = (expiring_us < close_us).then_some(expiring_us);
        Some(SessionTimes { open_us: before.open_us, close_us, expiring_index_close_us })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// In hours of a day.
    fn times(open: i64, close: i64, expiring: Option<i64>) -> SessionTimes {
        let us = |hour: i64| hour * 3_600_000_000;
        SessionTimes { open_us: us(open), close_us: us(close), expiring_index_close_us: expiring.map(us) }
    }

    #[test]
    fn what_is_more_is_taken_and_what_may_have_rows_stays() {
        let usual = times(9, 15, None);
        let cases = [
            (None, Some(usual), 20, Some(usual), "given, even after it"),
            (Some(usual), None, 8, Some(usual), "taken away"),
            (Some(usual), Some(times(9, 17, None)), 14, Some(times(9, 17, None)), "later close"),
            (Some(usual), Some(times(9, 17, None)), 16, Some(times(9, 17, None)), "after the close"),
            (Some(usual), Some(times(9, 13, None)), 10, Some(usual), "earlier close"),
            (Some(usual), Some(times(9, 13, None)), 8, Some(times(9, 13, None)), "before the open"),
            (Some(usual), Some(times(7, 15, None)), 6, Some(times(7, 15, None)), "earlier open"),
            (Some(usual), Some(times(7, 16, None)), 8, Some(times(9, 16, None)), "an open that is past"),
            (Some(usual), Some(times(11, 16, None)), 10, Some(times(9, 16, None)), "a later open"),
            (Some(usual), Some(times(9, 17, Some(15))), 14, Some(times(9, 17, Some(15))), "expiring stay"),
            (Some(times(9, 16, Some(15))), Some(times(9, 17, None)), 14, Some(times(9, 17, None)), "or not"),
            (
                Some(times(9, 16, Some(14))),
                Some(times(9, 17, None)),
                15,
                Some(times(9, 17, Some(14))),
                "over",
            ),
        ];
        for (before, wanted, hour, expected, what) in cases {
            let now = Timestamp::from_us(hour * 3_600_000_000);
            let taken = SessionTimes::taken(before, wanted, now);
            assert_eq!(taken, expected, "{what}");
            assert_eq!(SessionTimes::taken(taken, wanted, now), taken, "{what}: once");
        }
    }
}
