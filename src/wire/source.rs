//! Which wire format a record of the log has. Each provider's sources are declared in its folder.
//!
//! Invariant: a number means one format for ever, because it is on disk. Numbers without a declaration were written by another
//! version: they are kept, returned and counted, and are none of this version's business.

use crate::market::{Delivery, Provider, Timestamp, with_providers};
use std::fmt;

/// The number of a wire format.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Source(u8);

/// What a source's records are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SourceShape {
    /// Values of the market.
    Values(Delivery),
    /// Which contracts there are, and their terms.
    Reference,
    /// Not of the market: bhavd says it.
    Own,
}

/// What a provider declares of one of its sources.
#[derive(Clone, Copy, Debug)]
pub struct SourceTraits {
    pub source: Source,
    pub name: &'static str,
    pub shape: SourceShape,
    /// One record may take seconds to work off.
    pub is_long: bool,
}

impl SourceTraits {
    pub(super) const fn new(source: Source, name: &'static str, shape: SourceShape) -> SourceTraits {
        SourceTraits { source, name, shape, is_long: false }
    }

    pub(super) const fn long(self) -> SourceTraits {
        SourceTraits { is_long: true, ..self }
    }
}

/// What bhavd itself says.
const OWN: &[SourceTraits] = &[
    SourceTraits::new(Source::MARK, "mark", SourceShape::Own),
    SourceTraits::new(Source::DAY_PLAN, "day_plan", SourceShape::Own),
];

macro_rules! sources_by_provider {
    ($($variant:ident $name:ident $code:literal),*) => {
        const BY_PROVIDER: [(Provider, &[SourceTraits]); Provider::ALL.len()] =
            [$((Provider::$variant, super::$name::SOURCES)),*];

        impl Source {
            /// When the exchange says that a frame's data were so, for those who judge the machine's clock by it; `None` for
            /// sources without such a time, and for frames that cannot be read.
            pub fn exchange_stamp(self, frame: &[u8]) -> Option<Timestamp> {
                match self.provider()? {
                    $(Provider::$variant => super::$name::exchange_stamp(self, frame)),*
                }
            }
        }
    };
}
with_providers!(sources_by_provider);

impl Source {
    /// Something bhavd itself says; one frame of JSON.
    pub const MARK: Source = Source(0x00);
    /// What the days before say of a day's contracts; one frame of JSON lines.
    pub const DAY_PLAN: Source = Source(0xF0);

    pub const fn code(self) -> u8 {
        self.0
    }

    pub const fn from_code(code: u8) -> Source {
        Source(code)
    }

    fn declared(self) -> Option<(Option<Provider>, &'static SourceTraits)> {
        let is_it = |traits: &&SourceTraits| traits.source == self;
        let own = OWN.iter().find(is_it).map(|traits| (None, traits));
        own.or_else(|| {
            BY_PROVIDER.iter().find_map(|(provider, sources)| {
                sources.iter().find(is_it).map(|traits| (Some(*provider), traits))
            })
        })
    }

    /// `None` for sources of another version.
    pub fn traits(self) -> Option<&'static SourceTraits> {
        self.declared().map(|(_, traits)| traits)
    }

    /// Whose data it is; `None` for what bhavd itself says, and for unknown sources.
    pub fn provider(self) -> Option<Provider> {
        self.declared()?.0
    }

    pub fn shape(self) -> Option<SourceShape> {
        self.traits().map(|traits| traits.shape)
    }

    /// One record may take seconds to work off.
    pub fn is_long(self) -> bool {
        self.traits().is_some_and(|traits| traits.is_long)
    }
}

/// A provider's sources.
pub fn sources_of(provider: Provider) -> &'static [SourceTraits] {
    BY_PROVIDER[provider.index()].1
}

impl fmt::Display for Source {
    /// `nse_chain`, or `source 0x27` of another version's.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.traits() {
            Some(traits) => f.pad(traits.name),
            None => write!(f, "source {:#04x}", self.0),
        }
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_number_and_name_is_of_one_source() {
        let (mut codes, mut names) = (BTreeSet::new(), BTreeSet::new());
        for traits in OWN.iter().chain(Provider::ALL.into_iter().flat_map(sources_of)) {
            assert!(codes.insert(traits.source.code()), "{} has another's number", traits.name);
            assert!(names.insert(traits.name), "{} is used twice", traits.name);
            assert_eq!(traits.source.to_string(), traits.name);
        }
        for provider in Provider::ALL {
            for traits in sources_of(provider) {
                assert_eq!(traits.source.provider(), Some(provider));
                assert!(traits.name.starts_with(provider.name()), "{}", traits.name);
            }
        }
        assert_eq!(Source::MARK.provider(), None);
        assert_eq!(Source::from_code(0x27).to_string(), "source 0x27");
        assert_eq!((Source::from_code(0x27).provider(), Source::from_code(0x27).shape()), (None, None));
    }
}
