//! How bhavctl ends.

use crate::control::{ClientError, ControlError};
use std::process::ExitCode;

/// The exit codes. Fixed: scripts rely on them. 2 is also clap's code for wrong usage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    Done = 0,
    Failed = 1,
    Usage = 2,
    /// No daemon answers.
    NotReachable = 3,
    Denied = 4,
    TimedOut = 5,
    /// The daemon answers and says that something is wrong (`status --check`).
    Unhealthy = 6,
    /// Another version's rules judged the day, and this version's give other rows (`replay verify`).
    OtherRules = 7,
    /// The log lacks a part of the day, so that its rows cannot be held to it (`replay verify`).
    LogIncomplete = 8,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit as u8)
    }
}

impl Exit {
    pub fn of(error: &ClientError) -> Exit {
        match error {
            ClientError::Unreachable { .. } => Exit::NotReachable,
            ClientError::NotAdmitted { .. } => Exit::Denied,
            ClientError::TimedOut { .. } => Exit::TimedOut,
            ClientError::Closed { .. } | ClientError::Broken { .. } | ClientError::NotUnderstood { .. } => {
                Exit::Failed
            }
            ClientError::Refused(error) => match error {
                ControlError::PermissionDenied { .. } => Exit::Denied,
                ControlError::TimedOut { .. } => Exit::TimedOut,
                _ => Exit::Failed,
            },
        }
    }
}

/// What a person reads: the error and what to do about it.
pub(super) fn explain(error: &ClientError) -> String {
    match error {
        ClientError::Unreachable { .. } => format!(
            "{error}. Start the bhavd whose [control] socket that is (`systemctl start bhavd` where it is the system's service), \
             try it out with `bhavd demo`, or name its socket with --socket."
        ),
        ClientError::NotAdmitted { .. } => {
            format!(
                "{error}. Join the socket's group (`usermod -aG bhavd USER`, then log in again) or ask as root."
            )
        }
        ClientError::TimedOut { .. } => format!(
            "{error}. Wait longer with --timeout, or see what `systemctl status bhavd` and `journalctl -u bhavd` say."
        ),
        ClientError::NotUnderstood { .. } => {
            format!("{error}. bhavctl and bhavd may be of different versions; compare `bhavctl --version`.")
        }
        ClientError::Closed { .. } => format!("{error}. It may be restarting; its log says more."),
        ClientError::Broken { .. } => format!("{error}."),
        ClientError::Refused(error) => format!("{error}."),
    }
}
