//! The names of segments: numbers on the socket, `NSE`, `NFO`, `BSE`, `BFO` in REST bodies.

use crate::market::{ProviderToken, Segment};

/// The segment of an `exch_seg` or `exchange` value. `None` for currency, commodity and unknown ones.
pub fn segment_of(exchange: &str) -> Option<Segment> {
    match exchange {
        "NSE" => Some(Segment::NseCash),
        "NFO" => Some(Segment::NseFo),
        "BSE" => Some(Segment::BseCash),
        "BFO" => Some(Segment::BseFo),
        _ => None,
    }
}

/// What REST bodies call a segment.
pub const fn exchange_of(segment: Segment) -> &'static str {
    match segment {
        Segment::NseCash => "NSE",
        Segment::NseFo => "NFO",
        Segment::BseCash => "BSE",
        Segment::BseFo => "BFO",
    }
}

/// The token in a string of one to ten digits.
pub(super) fn token_of(digits: &str) -> Option<u32> {
    let all_digits = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    all_digits.then(|| digits.parse().ok()).flatten()
}

/// Reads and writes a segment as REST bodies do.
pub(super) mod as_exchange {
    use super::{Segment, exchange_of, segment_of};
    use serde::{Deserialize, Deserializer, Serializer, de::Error};
    use std::borrow::Cow;

    pub fn serialize<S: Serializer>(segment: &Segment, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(exchange_of(*segment))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Segment, D::Error> {
        let name = Cow::<str>::deserialize(deserializer)?;
        segment_of(&name).ok_or_else(|| D::Error::custom(format_args!("unsupported exchange {name:?}")))
    }
}

/// Reads and writes a token as a string of digits.
pub(super) mod as_digits {
    use super::token_of;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};
    use std::borrow::Cow;

    pub fn serialize<S: Serializer>(token: &u32, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(token)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
        let digits = Cow::<str>::deserialize(deserializer)?;
        token_of(&digits).ok_or_else(|| D::Error::custom(format_args!("{digits:?} is not a token")))
    }
}

/// The consecutive runs of one segment.
pub(super) fn runs(tokens: &[ProviderToken]) -> impl Iterator<Item = &[ProviderToken]> {
    tokens.chunk_by(|one, next| one.segment == next.segment)
}
