//! What can be wrong with a body of NSE's website.

use crate::wire::text;
use thiserror::Error;

/// A body that is no answer. The feed counts it and polls again later; the pipeline skips the record and counts it.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum WireError {
    /// An HTML page instead of data: blocked, or the file is not published.
    #[error("{what}: an HTML page at byte {offset} instead of data")]
    Html { what: &'static str, offset: usize },
    /// Nothing, or `{}`: how the website answers blocked clients and wrong symbols.
    #[error("{what}: empty answer ({bytes} bytes) at byte 0")]
    Empty { what: &'static str, bytes: usize },
    #[error("{what}: {bytes} bytes, beyond the limit at byte {bytes_max}")]
    TooLarge { what: &'static str, bytes: usize, bytes_max: usize },
    /// Lines count from 1; columns are bytes of the line, from 1.
    #[error("{what}: line {line} column {column}: {reason}")]
    Json { what: &'static str, line: usize, column: usize, reason: String },
    /// Lines and cells count from 1.
    #[error("{what}: line {line} cell {cell}: {reason}")]
    Csv { what: &'static str, line: u64, cell: usize, reason: String },
}

/// Larger bodies are refused unread. The largest real ones are below 1 MB.
pub const BODY_MAX_BYTES: usize = 16 << 20;

/// Refuses what cannot be an answer before a parser sees it.
pub(super) fn check_body(what: &'static str, body: &[u8]) -> Result<(), WireError> {
    if body.len() > BODY_MAX_BYTES {
        return Err(WireError::TooLarge { what, bytes: body.len(), bytes_max: BODY_MAX_BYTES });
    }
    let without_mark = body.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(body);
    let trimmed = without_mark.trim_ascii();
    if trimmed.is_empty() || is_empty_object(trimmed) {
        return Err(WireError::Empty { what, bytes: body.len() });
    }
    if trimmed[0] == b'<' {
        let offset = body.iter().position(|byte| *byte == b'<').unwrap_or(0);
        return Err(WireError::Html { what, offset });
    }
    Ok(())
}

fn is_empty_object(trimmed: &[u8]) -> bool {
    let inside = trimmed.strip_prefix(b"{").and_then(|rest| rest.strip_suffix(b"}"));
    inside.is_some_and(|inside| inside.trim_ascii().is_empty())
}

/// A peer's text as an error may carry it: without control and invisible characters, at most 300 characters.
pub(super) fn bounded(text: &str) -> String {
    text::bounded(300, text)
}

/// How a body begins, as a message may carry it.
pub fn excerpt(body: &[u8]) -> String {
    text::excerpt(80, body)
}

pub(super) fn json_error(what: &'static str, error: &serde_json::Error) -> WireError {
    let text = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    let reason = bounded(text.strip_suffix(&place).unwrap_or(&text));
    WireError::Json { what, line: error.line(), column: error.column(), reason }
}

/// Parses a whole body, with the place of what is wrong.
pub(super) fn from_json<'a, T: serde::Deserialize<'a>>(
    what: &'static str,
    body: &'a [u8],
) -> Result<T, WireError> {
    check_body(what, body)?;
    serde_json::from_slice(body).map_err(|error| json_error(what, &error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_answer_is_refused_with_its_place() {
        let empty = |bytes| WireError::Empty { what: "x", bytes };
        assert_eq!(check_body("x", b""), Err(empty(0)));
        assert_eq!(check_body("x", b" { }\n"), Err(empty(5)));
        assert_eq!(check_body("x", b"\n <!DOCTYPE"), Err(WireError::Html { what: "x", offset: 2 }));
        let large = vec![b' '; BODY_MAX_BYTES + 1];
        assert!(matches!(check_body("x", &large), Err(WireError::TooLarge { .. })));
        assert_eq!(check_body("x", b"{\"a\":1}"), Ok(()));
    }

    #[test]
    fn a_json_error_names_line_and_column_once() {
        let error = from_json::<Vec<u8>>("numbers", b"[1,\n  x]").expect_err("x is no number");
        assert_eq!(error.to_string(), "numbers: line 2 column 3: expected value");
    }
}
