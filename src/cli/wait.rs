//! `bhavctl wait` and `bhavctl drain`: asks again and again until something holds.

use super::run::Stop;
use crate::control::{Client, ClientError, FeedRow, Request, Response};
use std::{
    fmt,
    path::Path,
    str::FromStr,
    time::{Duration, Instant},
};

/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// How long one answer may take: a daemon that is busy is asked again.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// What is waited for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// The daemon has opened its store, read its log and answers.
    Ready,
    /// The feed is up; any if `None`.
    Feed(Option<String>),
    /// The daemon that runs has ended, or none answers.
    Drained,
}

impl FromStr for Condition {
    type Err = String;

    fn from_str(text: &str) -> Result<Condition, String> {
        match (text, text.strip_prefix("feed=")) {
            ("ready", _) => Ok(Condition::Ready),
            ("drained", _) => Ok(Condition::Drained),
            (_, Some("any")) => Ok(Condition::Feed(None)),
            (_, Some(name)) if !name.is_empty() => Ok(Condition::Feed(Some(name.to_owned()))),
            _ => Err("allowed are ready, drained, feed=NAME or feed=any".to_owned()),
        }
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Condition::Ready => f.write_str("ready"),
            Condition::Drained => f.write_str("drained"),
            Condition::Feed(name) => write!(f, "feed={}", name.as_deref().unwrap_or("any")),
        }
    }
}

/// Until when to wait; for ever if `None`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Deadline(Option<Instant>);

impl Deadline {
    pub(super) fn after(wait: Option<Duration>) -> Deadline {
        Deadline(wait.map(|wait| Instant::now() + wait))
    }

    /// Pauses between two looks. False once the time is over.
    fn pause(self) -> bool {
        let left = self.0.map_or(LOOK_EVERY, |by| by.saturating_duration_since(Instant::now()));
        std::thread::park_timeout(left.min(LOOK_EVERY));
        self.0.is_none_or(|by| Instant::now() < by)
    }

    fn answer_within(self) -> Duration {
        let left = self.0.map_or(ANSWER_WITHIN, |by| by.saturating_duration_since(Instant::now()));
        left.clamp(LOOK_EVERY, ANSWER_WITHIN)
    }
}

/// Waits until the condition holds. If the time is over before, what was last seen instead.
///
/// # Errors
/// What no waiting mends: the caller is not admitted, or there is no such feed.
pub(super) fn wait_for(socket: &Path, condition: &Condition, by: Deadline) -> Result<Option<String>, Stop> {
    if *condition == Condition::Drained {
        return match ask(socket, &Request::Status, by) {
            Ok(Response::Status(status)) => Ok(wait_for_end(status.pid, by)),
            Ok(_) | Err(ClientError::Unreachable { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        };
    }
    loop {
        let seen = match lacking(socket, condition, by) {
            Ok(None) => return Ok(None),
            Ok(Some(seen)) => seen,
            // It is about to start, or starts again.
            Err(Stop::Client(
                error @ (ClientError::Unreachable { .. }
                | ClientError::Closed { .. }
                | ClientError::TimedOut { .. }),
            )) => error.to_string(),
            Err(stop) => return Err(stop),
        };
        if !by.pause() {
            return Ok(Some(seen));
        }
    }
}

fn ask(socket: &Path, request: &Request, by: Deadline) -> Result<Response, ClientError> {
    Client::connect(socket, Some(by.answer_within()))?.ask(request)
}

/// What is seen instead of the condition; `None` where it holds.
fn lacking(socket: &Path, condition: &Condition, by: Deadline) -> Result<Option<String>, Stop> {
    match (
        condition,
        ask(socket, if *condition == Condition::Ready { &Request::Status } else { &Request::Feeds }, by)?,
    ) {
        (_, Response::Status(status)) => {
            Ok((!status.ready).then(|| "the daemon answers and is not ready yet".to_owned()))
        }
        (Condition::Feed(name), Response::Feeds(answer)) => {
            let wanted = |feed: &&FeedRow| name.as_ref().is_none_or(|name| *name == feed.provider);
            let feeds: Vec<&FeedRow> = answer.feeds.iter().filter(wanted).collect();
            match name {
                Some(name) if feeds.is_empty() => {
                    let known = answer.feeds.iter().map(|feed| feed.provider.clone()).collect();
                    let error = crate::control::ControlError::UnknownFeed { feed: name.clone(), known };
                    Err(ClientError::Refused(error).into())
                }
                _ if feeds.iter().any(|feed| feed.state == "up") => Ok(None),
                _ => {
                    let states = feeds.iter().map(|feed| format!("feed {} is {}", feed.provider, feed.state));
                    Ok(Some(states.collect::<Vec<_>>().join(", ")))
                }
            }
        }
        _ => Ok(Some("the daemon answers something else".to_owned())),
    }
}

/// Waits until a process of this machine has ended. If the time is over before, what was last seen.
pub(super) fn wait_for_end(pid: u32, by: Deadline) -> Option<String> {
    while is_running(pid) {
        if !by.pause() {
            return Some(format!("process {pid} has not ended"));
        }
    }
    None
}

fn is_running(pid: u32) -> bool {
    let Some(id) = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw) else { return false };
    // Of another user's process one learns that it is there by not being permitted to signal it.
    if rustix::process::test_kill_process(id) == Err(rustix::io::Errno::SRCH) {
        return false;
    }
    // One that has ended keeps its number until its parent takes note: proc(5), the state after the name in brackets.
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next());
    !matches!(state, Some('Z' | 'X'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_are_written_as_they_are_read() {
        for text in ["ready", "drained", "feed=any", "feed=nse"] {
            assert_eq!(text.parse::<Condition>().map(|condition| condition.to_string()), Ok(text.to_owned()));
        }
    }

    #[test]
    fn a_process_that_ended_is_not_waited_for() {
        let mut child = std::process::Command::new("true").spawn().expect("it starts");
        let pid = child.id();
        let by = Deadline::after(Some(Duration::from_secs(60)));
        assert_eq!(wait_for_end(pid, by), None, "nobody has taken note of its end");
        child.wait().expect("it ends");
        assert_eq!(wait_for_end(pid, by), None);
        let own = std::process::id();
        let seen = wait_for_end(own, Deadline::after(Some(Duration::from_millis(1))));
        assert_eq!(seen, Some(format!("process {own} has not ended")));
    }
}
