//! Who a value came from.

use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// The table of all providers: variant, the name of its module in every layer, its number. Expands to a call of `$then` with it,
/// from which each layer makes what it has one of for each provider. The name is also the one that users write and read; the
/// number is stored in SQL, on the wire of the live frame and in the log: never reuse one.
macro_rules! with_providers {
    ($then:ident) => {
        $then! { AngelOne angel_one 1, Nse nse 2 }
    };
}
pub(crate) use with_providers;

macro_rules! define_provider {
    ($($variant:ident $name:ident $code:literal),*) => {
        /// A source of market data.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        #[repr(u8)]
        pub enum Provider {
            $($variant = $code),*
        }

        impl Provider {
            pub const ALL: [Provider; [$($code),*].len()] = [$(Provider::$variant),*];

            pub const fn name(self) -> &'static str {
                match self {
                    $(Provider::$variant => stringify!($name)),*
                }
            }
        }
    };
}
with_providers!(define_provider);

impl Provider {
    #[inline]
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// Its place in a table of all providers, in the order of [`Provider::ALL`].
    #[inline]
    pub const fn index(self) -> usize {
        self as usize - 1
    }

    #[inline]
    pub fn from_code(code: u8) -> Option<Provider> {
        Self::ALL.into_iter().find(|provider| provider.code() == code)
    }
}

impl fmt::Display for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A name no provider has.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown provider {name:?}; known are {}", known())]
pub struct UnknownProvider {
    pub name: String,
}

fn known() -> String {
    Provider::ALL.map(Provider::name).join(" and ")
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
