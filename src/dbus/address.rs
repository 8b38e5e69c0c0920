//! Which bus.

use std::{fmt, str::FromStr};
use zbus::connection::Builder;

/// A bus as the configuration names it: `system`, `session` or `unix:path=…`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum BusAddress {
    #[default]
    System,
    Session,
    /// In D-Bus's own notation.
    Unix(String),
}

/// A text that names no bus.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no bus; write \"system\", \"session\" or \"unix:path=…\"")]
pub struct UnknownBus {
    pub text: String,
}

impl BusAddress {
    /// The environment is asked where the system and the session bus are, as every D-Bus program does.
    pub(super) fn builder(&self) -> Builder<'static> {
        match self {
            BusAddress::System => Builder::system(),
            BusAddress::Session => Builder::session(),
            BusAddress::Unix(address) => Builder::address(address.as_str()),
        }
    }
}

impl FromStr for BusAddress {
    type Err = UnknownBus;

    fn from_str(text: &str) -> Result<BusAddress, UnknownBus> {
        match text {
            "system" => Ok(BusAddress::System),
            "session" => Ok(BusAddress::Session),
            _ if text.strip_prefix("unix:path=").is_some_and(|path| path.starts_with('/')) => {
                Ok(BusAddress::Unix(text.to_owned()))
            }
            _ => Err(UnknownBus { text: text.to_owned() }),
        }
    }
}

impl fmt::Display for BusAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BusAddress::System => f.write_str("the system bus"),
            BusAddress::Session => f.write_str("the session bus"),
            BusAddress::Unix(address) => write!(f, "the bus at {address}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_forms_name_a_bus() {
        assert_eq!("system".parse(), Ok(BusAddress::System));
        assert_eq!("session".parse(), Ok(BusAddress::Session));
        let own = "unix:path=/run/own/bus";
        assert_eq!(own.parse(), Ok(BusAddress::Unix(own.to_owned())));
        for text in ["", "System", "unix:path=", "unix:path=bus", "unix:abstract=x", "tcp:host=127.0.0.1"] {
            assert!(text.parse::<BusAddress>().is_err(), "{text}");
        }
    }
}
