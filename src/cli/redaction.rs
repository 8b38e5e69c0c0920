//! Takes secrets out of texts that go to other people: a second line of defence, behind whoever writes no secret at all.
//!
//! What is taken out: users and passwords of addresses, what follows `Bearer` or `Basic`, JSON web tokens, and the values of
//! fields with a telling name, whether they are written `name=value`, `name: value` or `"name":"value"`.

/// Parts of names whose values are secret.
const NAMES: [&str; 15] = [
    "token",
    "secret",
    "password",
    "passwd",
    "mpin",
    "totp",
    "api_key",
    "apikey",
    "api-key",
    "authorization",
    "cookie",
    "privatekey",
    "client_code",
    "clientcode",
    "client-code",
];
/// Ends of such names. In the middle they mean other things.
const ENDINGS: [&str; 2] = ["pass", "pwd"];
/// What stands in the place of a secret.
pub(super) const REDACTED: &str = "[redacted]";

/// The text without secrets, line by line.
pub(super) fn redact(text: &str) -> String {
    text.split_inclusive('\n').map(redact_line).collect()
}

/// Whether values of this name are secret. `lower` is in lower case.
pub(super) fn is_secret(lower: &str) -> bool {
    NAMES.iter().any(|name| lower.contains(name)) || ENDINGS.iter().any(|ending| lower.ends_with(ending))
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.')
}

fn redact_line(line: &str) -> String {
    let mut clean = String::with_capacity(line.len());
    let mut rest = line;
    while !rest.is_empty() {
        let end = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        if word.is_empty() {
            if let Some(address) = rest.strip_prefix("://") {
                let authority = address
                    .find(|c: char| c.is_whitespace() || matches!(c, '/' | '"'))
                    .unwrap_or(address.len());
                clean.push_str("://");
                rest = match address[..authority].rfind('@') {
                    Some(at) => {
                        clean.push_str(REDACTED);
                        &address[at..]
                    }
                    None => address,
                };
                continue;
            }
            let next = rest.chars().next().map_or(0, char::len_utf8);
            clean.push_str(&rest[..next]);
            rest = &rest[next..];
            continue;
        }
        if word.starts_with("eyJ") && word.len() > 20 {
            clean.push_str(REDACTED);
            rest = after;
            continue;
        }
        clean.push_str(word);
        rest = after;
        let lower = word.to_ascii_lowercase();
        let is_scheme = lower == "bearer" || lower == "basic";
        if is_scheme || is_secret(&lower) {
            let value = after.trim_start_matches(['"', '\'', '\\', ' ', '=', ':']);
            let between = &after[..after.len() - value.len()];
            let is_assigned = between.contains(['=', ':']) || is_scheme && between.contains(' ');
            if is_assigned {
                clean.push_str(between);
                // A header's value is the rest of its line; a quoted value ends with its quote.
                let end = if lower.ends_with("authorization") || lower.ends_with("cookie") {
                    value.find(['"', '\n', '\r'])
                } else if let Some(quote) = between.chars().last().filter(|last| matches!(last, '"' | '\'')) {
                    value.find(if between.contains('\\') { '\\' } else { quote })
                } else {
                    value.find(|c: char| {
                        c.is_whitespace() || matches!(c, '"' | '\'' | '\\' | ',' | ';' | '&' | '}' | ')')
                    })
                };
                let end = end.unwrap_or(value.len());
                if end > 0 {
                    clean.push_str(REDACTED);
                }
                rest = &value[end..];
            }
        }
    }
    clean
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn secrets_are_taken_out_and_the_rest_stays() {
        for (text, clean) in [
            ("postgres://bhavd:hunter2@db/bhavd up", "postgres://[redacted]@db/bhavd up"),
            (
                "unix:///run/redis.sock and https://nse.example/api",
                "unix:///run/redis.sock and https://nse.example/api",
            ),
            ("login mpin=hunter2, code 7", "login mpin=[redacted], code 7"),
            (r#"{"jwtToken":"hunter2","state":true}"#, r#"{"jwtToken":"[redacted]","state":true}"#),
            (r#"{\"feedToken\": \"hunter2\"}"#, r#"{\"feedToken\": \"[redacted]\"}"#),
            ("Authorization: Bearer hunter2 hunter3\nnext", "Authorization: [redacted]\nnext"),
            ("sent bearer hunter2 to it", "sent bearer [redacted] to it"),
            ("Cookie: nsit=hunter2; nseappid=hunter3", "Cookie: [redacted]"),
            ("got eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl back", "got [redacted] back"),
            ("password=\"hunter2 and hunter3\" up", "password=\"[redacted]\" up"),
            (r#"{"clientcode":"A12"}"#, r#"{"clientcode":"[redacted]"}"#),
            ("x-client-code: A12", "x-client-code: [redacted]"),
            ("X-PrivateKey: hunter2", "X-PrivateKey: [redacted]"),
            ("unix:///run/redis.sock?db=1&pass=hunter2 up", "unix:///run/redis.sock?db=1&pass=[redacted] up"),
            ("postgres://db/x?user=u&password=hunter2", "postgres://db/x?user=u&password=[redacted]"),
            ("passed: 12 of 12", "passed: 12 of 12"),
            ("12 tokens subscribed, a cookie came", "12 tokens subscribed, a cookie came"),
            ("feeds.nse.poll_interval_s = 30", "feeds.nse.poll_interval_s = 30"),
        ] {
            assert_eq!(redact(text), clean, "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_named_secret_never_stays(
            before in "[a-z ,{\"]{0,12}", name in prop::sample::select(NAMES.to_vec()), between in "[=:]|: |\": \"",
            secret in "[A-Z0-9]{8,20}", after in "[ ,}\"]?"
        ) {
            let clean = redact(&format!("{before}{name}{between}{secret}{after}"));
            prop_assert!(!clean.contains(&secret), "{}", clean);
        }

        #[test]
        fn no_text_panics_and_lines_stay(text in "\\PC{0,80}(\n\\PC{0,80})?") {
            prop_assert_eq!(redact(&text).lines().count(), text.lines().count());
        }
    }
}
