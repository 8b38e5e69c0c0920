//! What can be wrong with a packet or a body.

use super::Refusal;

/// A packet or body that cannot be taken as what it should be.
///
/// The pipeline counts it and skips the packet, row or body. The feed acts on [`WireError::Refused`] by its class
/// (log in again, back off, drop) and counts the others as bad answers, to be asked for again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// Truncated or oversized: the first byte that lacks or is too many is at `expected`.
    #[error("{what} is {length} bytes long, expected {expected}")]
    Length { what: &'static str, length: usize, expected: usize },
    #[error("{what} is {length} bytes long, more than the {limit} allowed")]
    TooLong { what: &'static str, length: usize, limit: usize },
    /// A value at a byte of a packet, or of the text it was read from, that cannot be.
    #[error("{what}: byte {offset}: {field}: {reason}")]
    Field { what: &'static str, offset: usize, field: &'static str, reason: String },
    /// Well formed, but nothing bhavd records.
    #[error("{what}: byte {offset}: unsupported {field} {value}")]
    Unsupported { what: &'static str, offset: usize, field: &'static str, value: i64 },
    /// Not the JSON it should be. `path` names the key, `offset` the byte at which reading stopped.
    #[error("{what}: byte {offset}: {path}: {reason}")]
    Json { what: &'static str, offset: usize, path: String, reason: String },
    /// A page for people where data was asked for.
    #[error("{what}: an HTML page instead of data, it begins with \"{excerpt}\"")]
    Html { what: &'static str, excerpt: String },
    /// The service answered with an error of its own.
    #[error(transparent)]
    Refused(#[from] Refusal),
}
