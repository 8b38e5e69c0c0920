//! A peer's text as a message may carry it: bounded, and without control and invisible characters, which would write over what
//! stands around it in a terminal or a log.

/// At most so many characters of a text; `…` stands for the rest.
pub(super) fn bounded(characters_max: usize, text: &str) -> String {
    let mut kept: String = text.chars().take(characters_max).flat_map(escaped).take(characters_max).collect();
    if text.chars().nth(characters_max).is_some() {
        kept.push('…');
    }
    kept
}

/// How a body begins, as [`bounded`].
pub(super) fn excerpt(characters_max: usize, body: &[u8]) -> String {
    // A character has four bytes at most; white space before the first one is left out.
    let bytes_max = 5 * characters_max;
    bounded(characters_max, String::from_utf8_lossy(&body[..body.len().min(bytes_max)]).trim())
}

/// Quotes and backslashes stay: the text is no literal.
fn escaped(character: char) -> impl Iterator<Item = char> {
    let is_plain = matches!(character, '"' | '\'' | '\\');
    let plain = is_plain.then_some(character).into_iter();
    plain.chain((!is_plain).then(|| character.escape_debug()).into_iter().flatten())
}
