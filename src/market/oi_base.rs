//! What a change of open interest since the previous session is measured against.

use std::fmt;

/// Where the previous session's open interest comes from, best first. The number is stored in SQL and in the log: never
/// reuse one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum OiBase {
    /// The exchange's end-of-day file.
    Official = 1,
    /// The previous session's figure that a provider sends with today's, as NSE's option chain does.
    Provider = 2,
    /// bhavd's own close, read after the exchange's figures were final.
    OwnFinal = 3,
    /// bhavd's own close, read before they were.
    OwnProvisional = 4,
}

impl OiBase {
    pub const ALL: [OiBase; 4] =
        [OiBase::Official, OiBase::Provider, OiBase::OwnFinal, OiBase::OwnProvisional];

    pub const fn code(self) -> u8 {
        self as u8
    }

    pub fn from_code(code: u8) -> Option<OiBase> {
        Self::ALL.into_iter().find(|base| base.code() == code)
    }

    pub const fn name(self) -> &'static str {
        match self {
            OiBase::Official => "official",
            OiBase::Provider => "provider",
            OiBase::OwnFinal => "own_final",
            OiBase::OwnProvisional => "own_provisional",
        }
    }
}

impl fmt::Display for OiBase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
