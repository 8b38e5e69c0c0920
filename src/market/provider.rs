//! Who a value came from.

use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// A source of market data. The number is stored in SQL, on the wire of the live frame and in the spool: never reuse one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum Provider {
    AngelOne = 1,
    Nse = 2,
}

impl Provider {
    pub const ALL: [Provider; 2] = [Provider::AngelOne, Provider::Nse];

    pub const fn code(self) -> u8 {
        self as u8
    }

    /// Its place in a table of all providers, in the order of [`Provider::ALL`].
    pub const fn index(self) -> usize {
        self as usize - 1
    }

    pub fn from_code(code: u8) -> Option<Provider> {
        Self::ALL.into_iter().find(|provider| provider.code() == code)
    }

    pub const fn name(self) -> &'static str {
        match self {
            Provider::AngelOne => "angel_one",
            Provider::Nse => "nse",
        }
    }
}

impl fmt::Display for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A name no provider has.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown provider {name:?}; known are angel_one and nse")]
pub struct UnknownProvider {
    pub name: String,
}

impl FromStr for Provider {
    type Err = UnknownProvider;

    fn from_str(name: &str) -> Result<Provider, UnknownProvider> {
        Self::ALL
            .into_iter()
            .find(|provider| provider.name() == name)
            .ok_or_else(|| UnknownProvider { name: name.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_provider_has_one_name_everywhere() {
        for provider in Provider::ALL {
            assert_eq!(provider.name().parse(), Ok(provider));
            assert_eq!(Provider::ALL[provider.index()], provider);
            assert_eq!(serde_json::to_value(provider).expect("a text"), provider.name());
        }
    }
}
