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
    /// What the standard has no name for, or, for a missing permission, one of which busctl does not show the text.
    #[error("{text}")]
    Own { name: ErrorName<'static>, text: String },
    #[error(transparent)]
    Standard(#[from] fdo::Error),
}

impl Refusal {
    fn own(name: &'static str, text: String) -> Refusal {
        Refusal::Own { name: ErrorName::from_static_str_unchecked(name), text }
    }

    pub fn permission_denied(text: String) -> Refusal {
        Refusal::own("org.bhavd.Bhavd1.Error.PermissionDenied", text)
    }
}

impl From<zbus::Error> for Refusal {
    fn from(error: zbus::Error) -> Refusal {
        Refusal::Standard(error.into())
    }
}

/// The text is the one of the control socket, and so is the last part of each name that the standard does not have.
impl From<ControlError> for Refusal {
    fn from(error: ControlError) -> Refusal {
        let text = error.to_string();
        let standard = match error {
            ControlError::PermissionDenied { .. } => return Refusal::permission_denied(text),
            ControlError::UnknownFeed { .. } => {
                return Refusal::own("org.bhavd.Bhavd1.Error.UnknownFeed", text);
            }
            ControlError::UnknownJob { .. } => {
                return Refusal::own("org.bhavd.Bhavd1.Error.UnknownJob", text);
            }
            ControlError::UnknownUnderlying { .. } => {
                return Refusal::own("org.bhavd.Bhavd1.Error.UnknownUnderlying", text);
            }
            ControlError::UnknownExpiry { .. } => {
                return Refusal::own("org.bhavd.Bhavd1.Error.UnknownExpiry", text);
            }
            ControlError::UnknownContract { .. } => {
                return Refusal::own("org.bhavd.Bhavd1.Error.UnknownContract", text);
            }
            ControlError::NoData { .. } => return Refusal::own("org.bhavd.Bhavd1.Error.NoData", text),
            ControlError::Unavailable { .. } => {
                return Refusal::own("org.bhavd.Bhavd1.Error.Unavailable", text);
            }
            ControlError::Invalid { .. } => fdo::Error::InvalidArgs(text),
            ControlError::TimedOut { .. } => fdo::Error::TimedOut(text),
            ControlError::TooManyConnections { .. } | ControlError::CallTooLarge { .. } => {
                fdo::Error::LimitsExceeded(text)
            }
            ControlError::ExpectedMore { .. } => fdo::Error::NotSupported(text),
            ControlError::InterfaceNotFound { .. } => fdo::Error::UnknownInterface(text),
            ControlError::MethodNotFound { .. } => fdo::Error::UnknownMethod(text),
        };
        Refusal::Standard(standard)
    }
}

impl DBusError for Refusal {
    fn create_reply(&self, call: &Header<'_>) -> zbus::Result<Message> {
        match self {
            Refusal::Own { name, text } => Message::error(call, name).build(&text.as_str()),
            Refusal::Standard(error) => error.create_reply(call),
        }
    }

    fn name(&self) -> ErrorName<'_> {
        match self {
            Refusal::Own { name, .. } => name.clone(),
            Refusal::Standard(error) => error.name(),
        }
    }

    fn description(&self) -> Option<&str> {
        match self {
            Refusal::Own { text, .. } => Some(text),
            Refusal::Standard(error) => error.description(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_refusal_of_the_daemon_has_a_name_and_its_text() {
        let reason = || "the feed is switched off".to_owned();
        for (error, name) in [
            (
                ControlError::UnknownFeed { feed: "dhan".to_owned(), known: vec!["nse".to_owned()] },
                "org.bhavd.Bhavd1.Error.UnknownFeed",
            ),
            (ControlError::Unavailable { reason: reason() }, "org.bhavd.Bhavd1.Error.Unavailable"),
            (ControlError::NoData { reason: reason() }, "org.bhavd.Bhavd1.Error.NoData"),
            (
                ControlError::PermissionDenied { verb: "Drain".to_owned(), uid: 7 },
                "org.bhavd.Bhavd1.Error.PermissionDenied",
            ),
            (ControlError::invalid("to", "what?"), "org.freedesktop.DBus.Error.InvalidArgs"),
            (ControlError::TimedOut { after_s: 20 }, "org.freedesktop.DBus.Error.TimedOut"),
        ] {
            let text = error.to_string();
            let refusal = Refusal::from(error);
            assert_eq!((refusal.name().as_str(), refusal.description()), (name, Some(text.as_str())));
        }
    }
}
