//! Records as lines on standard error.
//!
//! On a terminal: time, level, target, message, facts. Elsewhere with sd-daemon's `<N>` in front of each line, by which
//! journald and whoever follows its convention know the level.

use super::entry::Entry;
use log::Level;
use std::{
    fmt::Write as _,
    io::{IsTerminal, Write},
};

/// Who reads the lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reader {
    Terminal,
    /// A file or a pipe.
    Program,
    /// journald, which stamps the time itself.
    Journal,
}

impl Reader {
    pub fn of_stderr(is_journal_stream: bool) -> Reader {
        match (is_journal_stream, std::io::stderr().is_terminal()) {
            (true, _) => Reader::Journal,
            (false, true) => Reader::Terminal,
            (false, false) => Reader::Program,
        }
    }
}

/// The syslog priority of a level, the same as in the journal.
const fn priority(level: Level) -> u8 {
    match level {
        Level::Error => 3,
        Level::Warn => 4,
        Level::Info => 5,
        Level::Debug => 6,
        Level::Trace => 7,
    }
}

/// One write a record, so that lines of other writers do not get between.
pub(super) fn write_line(out: &mut impl Write, reader: Reader, entry: &Entry) -> std::io::Result<()> {
    let mut text = String::with_capacity(256);
    // Writing to a text never fails.
    let _ = match reader {
        Reader::Terminal => write!(text, "{} {:<5} ", time_of(entry), entry.level),
        Reader::Program => write!(text, "<{}>{} ", priority(entry.level), time_of(entry)),
        Reader::Journal => write!(text, "<{}>", priority(entry.level)),
    };
    let _ = write!(text, "{}: ", entry.target);
    for (number, line) in entry.message.lines().enumerate() {
        if number > 0 {
            text.push('\n');
            if reader != Reader::Terminal {
                let _ = write!(text, "<{}>", priority(entry.level));
            }
            text.push_str("  ");
        }
        text.push_str(line);
    }
    for (key, value) in &entry.fields {
        let value = match entry.event() {
            Some(event) if key == "event" => event.name(),
            _ => value.as_str(),
        };
        let is_plain =
            !value.is_empty() && !value.contains(|c: char| c.is_whitespace() || c.is_control() || c == '"');
        let _ = if is_plain { write!(text, " {key}={value}") } else { write!(text, " {key}={value:?}") };
    }
    text.push('\n');
    out.write_all(text.as_bytes())
}

/// RFC 3339 with milliseconds, as clocks in India show it.
fn time_of(entry: &Entry) -> impl std::fmt::Display {
    entry.time.to_ist().format("%Y-%m-%dT%H:%M:%S%.3f+05:30")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::market::Timestamp;

    fn line(reader: Reader, entry: &Entry) -> String {
        let mut out = Vec::new();
        write_line(&mut out, reader, entry).expect("written");
        String::from_utf8(out).expect("UTF-8")
    }

    fn entry(level: Level, message: &str, fields: &[(&'static str, &str)]) -> Entry {
        Entry {
            level,
            target: "bhavd::feed::nse".into(),
            message: message.to_owned(),
            module_path: None,
            file: None,
            line: None,
            time: Timestamp::from_us(1_769_744_700_250_000),
            fields: fields.iter().map(|(key, value)| ((*key).into(), (*value).to_owned())).collect(),
        }
    }

    #[test]
    fn lines_look_as_their_reader_expects() {
        let down = [("event", "feed_down"), ("provider", "nse"), ("reason", "HTML for \"JSON\"")];
        let entry = entry(Level::Warn, "feed nse is down", &down);
        assert_eq!(
            line(Reader::Terminal, &entry),
            "2026-01-30T09:15:00.250+05:30 WARN  bhavd::feed::nse: feed nse is down event=feed_down provider=nse \
             reason=\"HTML for \\\"JSON\\\"\"\n"
        );
        assert_eq!(
            line(Reader::Program, &entry),
            "<4>2026-01-30T09:15:00.250+05:30 bhavd::feed::nse: feed nse is down event=feed_down provider=nse \
             reason=\"HTML for \\\"JSON\\\"\"\n"
        );
        assert_eq!(
            line(Reader::Journal, &entry),
            "<4>bhavd::feed::nse: feed nse is down event=feed_down provider=nse reason=\"HTML for \\\"JSON\\\"\"\n"
        );
    }

    #[test]
    fn every_line_of_a_message_says_its_level() {
        let entry = entry(Level::Error, "wrong:\nline 3\n\nline 9", &[("path", "")]);
        assert_eq!(
            line(Reader::Journal, &entry),
            "<3>bhavd::feed::nse: wrong:\n<3>  line 3\n<3>  \n<3>  line 9 path=\"\"\n"
        );
    }

    #[test]
    fn levels_are_syslogs() {
        let first: Vec<String> = Level::iter()
            .map(|level| line(Reader::Journal, &entry(level, "x", &[])).chars().take(3).collect())
            .collect();
        assert_eq!(first, ["<3>", "<4>", "<5>", "<6>", "<7>"]);
    }
}
