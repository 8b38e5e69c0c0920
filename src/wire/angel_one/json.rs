//! JSON with errors that say where.

use super::WireError;
use serde::{Deserialize, Deserializer, de};
use std::fmt;

/// Reads `body` as one JSON value and nothing after it.
pub(super) fn decode<'a, T: Deserialize<'a>>(
    what: &'static str,
    body: &'a [u8],
    limit: usize,
) -> Result<T, WireError> {
    if body.len() > limit {
        return Err(WireError::TooLong { what, length: body.len(), limit });
    }
    serde_json::from_slice(body).map_err(|error| locate::<T>(what, body, error))
}

/// Reads a second time, keeping track of the keys, which costs too much for bodies that are fine.
fn locate<'a, T: Deserialize<'a>>(what: &'static str, body: &'a [u8], error: serde_json::Error) -> WireError {
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    let (path, error) = match serde_path_to_error::deserialize::<_, T>(&mut deserializer) {
        Ok(_) => (".".to_owned(), error),
        Err(tracked) => (tracked.path().to_string(), tracked.into_inner()),
    };
    WireError::Json { what, offset: offset_of(body, &error), path, reason: error.to_string() }
}

/// An error of a reader that keeps no track of the keys.
pub(super) fn located(what: &'static str, body: &[u8], error: &serde_json::Error) -> WireError {
    if body.trim_ascii_start().starts_with(b"<") {
        return WireError::Html { what, excerpt: excerpt(body) };
    }
    let path = ".".to_owned();
    WireError::Json { what, offset: offset_of(body, error), path, reason: error.to_string() }
}

/// How a body begins, bounded, and escaped as a message needs it.
fn excerpt(body: &[u8]) -> String {
    const BYTES_MAX: usize = 60;
    let body = body.trim_ascii();
    let cut = &body[..body.len().min(BYTES_MAX)];
    let beginning = cut.escape_ascii().to_string().replace("\\\"", "\"").replace("\\'", "'");
    if cut.len() < body.len() { beginning + "…" } else { beginning }
}

/// The byte at which reading stopped; serde_json counts lines and columns.
fn offset_of(body: &[u8], error: &serde_json::Error) -> usize {
    let line_start = match error.line() {
        0 | 1 => 0,
        line => {
            let breaks = body.iter().enumerate().filter(|(_, byte)| **byte == b'\n');
            breaks.map(|(offset, _)| offset + 1).nth(line - 2).unwrap_or(body.len())
        }
    };
    (line_start + error.column().saturating_sub(1)).min(body.len())
}

/// What a value that was read but cannot be is called.
pub(super) fn implausible(what: &'static str, path: &str, value: impl fmt::Display) -> WireError {
    WireError::Json { what, offset: 0, path: path.to_owned(), reason: format!("{value} is implausible") }
}

/// Writes a value of this module's own types.
pub(super) fn encode(value: &impl serde::Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("bodies are structs and arrays with string keys")
}

/// An integer that JSON may carry as `5`, `5.0` or, where Angel One does so, nothing.
pub(super) fn whole<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
    deserializer.deserialize_any(Whole)
}

struct Whole;

impl de::Visitor<'_> for Whole {
    type Value = i64;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a whole number")
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<i64, E> {
        Ok(value)
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<i64, E> {
        i64::try_from(value).map_err(|_| E::invalid_value(de::Unexpected::Unsigned(value), &self))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<i64, E> {
        if value.fract() == 0.0 && value.abs() <= 9_007_199_254_740_992.0 {
            Ok(value as i64)
        } else {
            Err(E::invalid_value(de::Unexpected::Float(value), &self))
        }
    }

    fn visit_unit<E: de::Error>(self) -> Result<i64, E> {
        Ok(0)
    }
}

/// Reads and writes a price as a number of rupees.
pub(super) mod as_rupees {
    use crate::market::Price;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub fn serialize<S: Serializer>(price: &Price, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(price.as_rupees())
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Price, D::Error> {
        let rupees = f64::deserialize(deserializer)?;
        Price::from_rupees(rupees).ok_or_else(|| D::Error::custom(format_args!("{rupees} is no price")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    struct Row {
        #[serde(deserialize_with = "whole")]
        units: i64,
    }

    #[test]
    fn errors_name_the_key_and_the_byte() {
        let body = b"[{\"units\": 5.0},\n {\"units\": 5.5}]";
        let error = decode::<Vec<Row>>("rows", body, 100).expect_err("5.5 is not whole");
        let WireError::Json { path, offset, reason, .. } = &error else { panic!("{error}") };
        assert_eq!(path, "[1].units");
        assert_eq!(&body[offset - 2..=*offset], b"5.5", "{offset}");
        assert!(reason.contains("a whole number"), "{reason}");
        assert!(matches!(decode::<Vec<Row>>("rows", body, 10), Err(WireError::TooLong { .. })));
        let error = decode::<Vec<Row>>("rows", b"[] x", 100).expect_err("text after the value");
        assert!(matches!(&error, WireError::Json { offset: 3, .. }), "{error}");
    }

    #[test]
    fn whole_numbers_come_in_three_shapes() {
        let rows: Vec<Row> =
            decode("rows", br#"[{"units":7},{"units":7.0},{"units":null}]"#, 100).expect("three rows");
        assert_eq!(rows.iter().map(|row| row.units).collect::<Vec<_>>(), [7, 7, 0]);
    }
}
