//! A record that outlives its call: formatted, bounded in size, with the facts it names.

use super::{Event, origin};
use crate::{clock, market::Timestamp};
use log::{
    Level, Record,
    kv::{Error, Key, Value, VisitSource},
};
use std::{
    borrow::Cow,
    fmt::{self, Write},
};

/// A body of the wrong kind may get into a message; a chain is a megabyte.
const MESSAGE_BYTES_MAX: usize = 16 * 1024;
const VALUE_BYTES_MAX: usize = 4 * 1024;
const CUT: &str = " … (cut)";

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub level: Level,
    pub target: Cow<'static, str>,
    pub message: String,
    pub module_path: Option<&'static str>,
    pub file: Option<&'static str>,
    pub line: Option<u32>,
    /// Real time, whatever the daemon's clock shows.
    pub time: Timestamp,
    /// In the order in which the call names them.
    pub fields: Vec<(Cow<'static, str>, String)>,
}

impl Entry {
    pub fn of(record: &Record) -> Entry {
        let mut fields = Fields(Vec::with_capacity(record.key_values().count() + 3));
        // The visitor never refuses.
        let _ = record.key_values().visit(&mut fields);
        let mut fields = fields.0;
        let has = |fields: &[(Cow<'static, str>, String)], name| fields.iter().any(|(key, _)| key == name);
        if !has(&fields, "child")
            && !has(&fields, "actor")
            && let Some(origin) = origin::origin()
        {
            fields.push(("actor".into(), origin.actor.to_string()));
            fields.push(("incarnation".into(), origin.incarnation.to_string()));
        }
        if !has(&fields, "session")
            && let Some(session) = origin::session()
        {
            fields.push(("session".into(), session.to_string()));
        }
        let target = match record.module_path_static() {
            Some(path) if path == record.target() => Cow::Borrowed(path),
            _ => Cow::Owned(record.target().to_owned()),
        };
        Entry {
            level: record.level(),
            target,
            message: text_of(record.args(), MESSAGE_BYTES_MAX),
            module_path: record.module_path_static(),
            file: record.file_static(),
            line: record.line(),
            time: clock::real_now(),
            fields,
        }
    }

    /// A record of logging's own.
    pub fn own(level: Level, event: Event, message: String, fields: &[(&'static str, u64)]) -> Entry {
        let named = ("event".into(), event.name().to_owned());
        let facts = fields.iter().map(|(key, number)| ((*key).into(), number.to_string()));
        Entry {
            level,
            target: module_path!().into(),
            message,
            module_path: Some(module_path!()),
            file: None,
            line: None,
            time: clock::real_now(),
            fields: [named].into_iter().chain(facts).collect(),
        }
    }

    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The kind of event this tells of, if it is a known one.
    pub fn event(&self) -> Option<Event> {
        let incarnation = self.field("incarnation").and_then(|number| number.parse().ok());
        Event::of(self.field("event")?, self.field("kind"), incarnation)
    }

    /// How much memory it holds, nearly.
    pub fn weight(&self) -> usize {
        let fields =
            self.fields.iter().map(|(key, value)| key.len() + value.len() + size_of::<(String, String)>());
        size_of::<Entry>() + self.message.len() + fields.sum::<usize>()
    }
}

struct Fields(Vec<(Cow<'static, str>, String)>);

impl<'kvs> VisitSource<'kvs> for Fields {
    fn visit_pair(&mut self, key: Key<'kvs>, value: Value<'kvs>) -> Result<(), Error> {
        let value = match value.to_borrowed_str() {
            Some(text) if text.len() <= VALUE_BYTES_MAX => text.to_owned(),
            _ => text_of(value, VALUE_BYTES_MAX),
        };
        self.0.push((key.as_str().to_owned().into(), value));
        Ok(())
    }
}

/// What is shown, up to a number of bytes.
fn text_of(shown: impl fmt::Display, bytes_max: usize) -> String {
    struct Bounded {
        text: String,
        bytes_max: usize,
    }
    impl Write for Bounded {
        fn write_str(&mut self, more: &str) -> fmt::Result {
            let left = self.bytes_max - self.text.len();
            if more.len() <= left {
                self.text.push_str(more);
                return Ok(());
            }
            self.text.push_str(&more[..more.floor_char_boundary(left)]);
            Err(fmt::Error)
        }
    }
    let mut bounded = Bounded { text: String::with_capacity(128), bytes_max };
    if write!(bounded, "{shown}").is_err() {
        bounded.text.push_str(CUT);
    }
    bounded.text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_at_a_whole_character() {
        assert_eq!(text_of("short", 5), "short");
        assert_eq!(text_of("नमस्ते", 7), format!("नम{CUT}"));
        assert_eq!(text_of(format_args!("{}{}", "four", "more"), 6), format!("fourmo{CUT}"));
    }

    #[test]
    fn facts_keep_their_order_and_events_are_recognised() {
        let facts: [(&str, Value); 3] = [
            ("event", Value::from("child_ended")),
            ("child", Value::from("feeds/nse")),
            ("kind", Value::from("hung")),
        ];
        let record = Record::builder()
            .level(Level::Error)
            .target("bhavd::supervisor")
            .args(format_args!("hung"))
            .key_values(&facts)
            .build();
        let entry = Entry::of(&record);
        let keys: Vec<&str> = entry.fields.iter().map(|(key, _)| key.as_ref()).take(3).collect();
        assert_eq!(keys, ["event", "child", "kind"]);
        assert_eq!(entry.event(), Some(Event::ChildHung));
        assert_eq!((entry.message.as_str(), entry.level), ("hung", Level::Error));
        assert!(entry.weight() > entry.message.len());
    }
}
