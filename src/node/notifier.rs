//! What is told to the service manager, and the sending of it (the protocol of sd_notify(3)).
//!
//! Without a manager (`NOTIFY_SOCKET` is not set) nothing is sent and nothing else changes.

use sd_notify::NotifyState;
use std::time::Duration;

/// How much more time is asked for at once, while something progresses. What stops to do so has this long left.
pub(super) const EXTEND_BY: Duration = Duration::from_secs(30);

/// One thing to tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// Start-up or a reload is over.
    Ready,
    /// A reload begins; the manager gets the time with it.
    Reloading,
    Stopping,
    /// The line that `systemctl status` shows.
    Status(String),
    /// The daemon is alive and well.
    Watchdog,
    /// Starting or stopping takes this long at least, from now on.
    ExtendTimeout(Duration),
}

/// The way to the manager. Cheap to clone; may block for as long as the manager does not read.
#[derive(Clone, Debug, Default)]
pub struct Notifier {
    is_connected: bool,
    watchdog: Option<Duration>,
}

impl Notifier {
    /// As the environment says: `NOTIFY_SOCKET`, `WATCHDOG_USEC`, `WATCHDOG_PID`.
    pub fn from_environment() -> Notifier {
        let is_connected = std::env::var_os("NOTIFY_SOCKET").is_some();
        let watchdog = sd_notify::watchdog_enabled().filter(|limit| is_connected && !limit.is_zero());
        Notifier { is_connected, watchdog }
    }

    /// Without [`Notice::Watchdog`] for this long the manager ends the daemon. `None` if it does not watch.
    pub fn watchdog(&self) -> Option<Duration> {
        self.watchdog
    }

    /// Sends all of it, as one message where that is possible. A failure is logged: the manager's own timeouts follow,
    /// nothing else can.
    pub fn tell(&self, notices: &[Notice]) {
        if self.is_connected {
            messages(notices).for_each(send);
        }
    }
}

/// Of the states in one message a manager keeps one only, so that an end is told in a message of its own.
fn messages(notices: &[Notice]) -> impl Iterator<Item = &[Notice]> {
    notices.chunk_by(|_, next| *next != Notice::Stopping)
}

fn send(notices: &[Notice]) {
    let mut states = Vec::with_capacity(notices.len() + 1);
    for notice in notices {
        states.push(match notice {
            Notice::Ready => NotifyState::Ready,
            Notice::Reloading => NotifyState::Reloading,
            Notice::Stopping => NotifyState::Stopping,
            Notice::Status(line) => NotifyState::Status(line),
            Notice::Watchdog => NotifyState::Watchdog,
            Notice::ExtendTimeout(span) => {
                NotifyState::ExtendTimeoutUsec(u32::try_from(span.as_micros()).unwrap_or(u32::MAX))
            }
        });
        if *notice == Notice::Reloading {
            // The clock that counts is the kernel's own, which never fails.
            states.extend(NotifyState::monotonic_usec_now());
        }
    }
    if let Err(error) = sd_notify::notify(&states) {
        log::warn!("the service manager cannot be told {notices:?}: {error}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_begins_a_message() {
        use Notice::{Ready, Stopping, Watchdog};
        let all = [Ready, Stopping, Watchdog];
        assert_eq!(messages(&all).collect::<Vec<_>>(), [&[Ready][..], &[Stopping, Watchdog]]);
        assert_eq!(messages(&all[1..]).count(), 1);
        assert_eq!(messages(&[]).count(), 0);
    }
}
