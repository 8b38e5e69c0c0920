//! Where records go: journald, or standard error.

use super::{
    entry::Entry,
    stderr::{Reader, write_line},
};
use log::Record;
use std::{borrow::Cow, io};
use systemd_journal_logger::JournalLog;

/// Made and used on the writing thread; may block there.
pub(super) trait Sink {
    fn write(&mut self, entry: &Entry);
}

/// journald if standard error is connected to it, as in a service; otherwise standard error. Sends journald a greeting, and
/// so may block.
pub(super) fn choose(is_journal_stream: bool) -> Box<dyn Sink> {
    if is_journal_stream && let Ok(log) = JournalLog::new() {
        return Box::new(Journal { log });
    }
    Box::new(StandardError { reader: Reader::of_stderr(is_journal_stream) })
}

struct StandardError {
    reader: Reader,
}

impl Sink for StandardError {
    fn write(&mut self, entry: &Entry) {
        // There is nobody left to tell.
        let _ = write_line(&mut io::stderr().lock(), self.reader, entry);
    }
}

struct Journal {
    log: JournalLog,
}

impl Sink for Journal {
    fn write(&mut self, entry: &Entry) {
        let fields = journal_fields(entry);
        let sent = self.log.journal_send(
            &Record::builder()
                .level(entry.level)
                .target(&entry.target)
                .args(format_args!("{}", entry.message))
                .module_path_static(entry.module_path)
                .file_static(entry.file)
                .line(entry.line)
                .key_values(&fields.as_slice())
                .build(),
        );
        if sent.is_err() {
            // journald is restarting; the stream behind standard error survives that.
            StandardError { reader: Reader::Journal }.write(entry);
        }
    }
}

/// Names that journald, its readers or the record itself already give a meaning (systemd.journal-fields(7)).
const TAKEN: &[&str] = &[
    "CODE_FILE",
    "CODE_FUNC",
    "CODE_LINE",
    "CODE_MODULE",
    "DOCUMENTATION",
    "INVOCATION_ID",
    "MESSAGE",
    "MESSAGE_ID",
    "PRIORITY",
    "SYSLOG_FACILITY",
    "SYSLOG_IDENTIFIER",
    "SYSLOG_PID",
    "SYSLOG_RAW",
    "SYSLOG_TIMESTAMP",
    "TARGET",
    "TID",
    "UNIT",
    "USER_INVOCATION_ID",
    "USER_UNIT",
];

/// A fact's name in the journal. A name that is taken gets `EVENT_` in front.
fn journal_name(key: &str) -> Cow<'static, str> {
    match key {
        "child" | "actor" => "ACTOR".into(),
        "incarnation" => "INCARNATION".into(),
        "provider" => "PROVIDER".into(),
        "session" => "SESSION".into(),
        "symbol" => "SYMBOL".into(),
        other => {
            let name = other.to_ascii_uppercase();
            if TAKEN.contains(&name.as_str()) { format!("EVENT_{name}").into() } else { name.into() }
        }
    }
}

/// The entry's facts as the journal's fields. systemd-journal-logger escapes what is left to escape.
fn journal_fields(entry: &Entry) -> Vec<(Cow<'static, str>, &str)> {
    let event = entry.event();
    let mut fields: Vec<_> = entry
        .fields
        .iter()
        .map(|(key, value)| match event {
            Some(event) if key == "event" => ("EVENT".into(), event.name()),
            _ => (journal_name(key), value.as_str()),
        })
        .collect();
    fields.extend(event.map(|event| ("MESSAGE_ID".into(), event.message_id())));
    fields
}

#[cfg(test)]
mod tests {
    use super::{super::Event, *};
    use log::Level;

    #[test]
    fn facts_become_fields_and_events_get_their_identifier() {
        let mut entry = Entry::own(Level::Error, Event::ChildEnded, "hung".to_owned(), &[("incarnation", 3)]);
        let facts =
            [("child", "feeds/nse"), ("kind", "hung"), ("message", "m"), ("Unit", "u"), ("symbol", "NIFTY")];
        entry.fields.extend(facts.map(|(key, value)| (key.into(), value.to_owned())));
        let fields = journal_fields(&entry);
        let fields: Vec<(&str, &str)> = fields.iter().map(|(key, value)| (key.as_ref(), *value)).collect();
        assert_eq!(
            fields,
            [
                ("EVENT", "child_hung"),
                ("INCARNATION", "3"),
                ("ACTOR", "feeds/nse"),
                ("KIND", "hung"),
                ("EVENT_MESSAGE", "m"),
                ("EVENT_UNIT", "u"),
                ("SYMBOL", "NIFTY"),
                ("MESSAGE_ID", Event::ChildHung.message_id()),
            ]
        );
    }

    #[test]
    fn an_unknown_event_has_no_identifier() {
        let mut entry = Entry::own(Level::Info, Event::FeedUp, "x".to_owned(), &[]);
        entry.fields[0].1 = "something_else".to_owned();
        assert_eq!(journal_fields(&entry), [("EVENT".into(), "something_else")]);
    }
}
