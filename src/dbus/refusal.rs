//! What a caller is told whose call is not done.

use crate::control::ControlError;
use zbus::{
    DBusError, fdo,
    message::{Header, Message},
    names::ErrorName,
};

/// A refusal. The caller shows its text to a person.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refusal {
    /// Under a name of its own: of the standard's AccessDenied busctl does not show the text, which says what to do.
    #[error("{0}")]
    PermissionDenied(String),
    #[error(transparent)]
    Standard(#[from] fdo::Error),
}

impl Refusal {
    const PERMISSION_DENIED: ErrorName<'static> =
        ErrorName::from_static_str_unchecked("org.bhavd.Bhavd1.Error.PermissionDenied");
}

impl From<zbus::Error> for Refusal {
    fn from(error: zbus::Error) -> Refusal {
        Refusal::Standard(error.into())
    }
}

/// The text is the one of the control socket.
impl From<ControlError> for Refusal {
    fn from(error: ControlError) -> Refusal {
        let text = error.to_string();
        Refusal::Standard(match error {
            ControlError::PermissionDenied { .. } => return Refusal::PermissionDenied(text),
            ControlError::Invalid { .. } => fdo::Error::InvalidArgs(text),
            ControlError::TimedOut { .. } => fdo::Error::TimedOut(text),
            ControlError::TooManyConnections { .. } | ControlError::CallTooLarge { .. } => {
                fdo::Error::LimitsExceeded(text)
            }
            _ => fdo::Error::Failed(text),
        })
    }
}

impl DBusError for Refusal {
    fn create_reply(&self, call: &Header<'_>) -> zbus::Result<Message> {
        match self {
            Refusal::PermissionDenied(text) => {
                Message::error(call, Self::PERMISSION_DENIED).build(&text.as_str())
            }
            Refusal::Standard(error) => error.create_reply(call),
        }
    }

    fn name(&self) -> ErrorName<'_> {
        match self {
            Refusal::PermissionDenied(_) => Self::PERMISSION_DENIED,
            Refusal::Standard(error) => error.name(),
        }
    }

    fn description(&self) -> Option<&str> {
        match self {
            Refusal::PermissionDenied(text) => Some(text),
            Refusal::Standard(error) => error.description(),
        }
    }
}
