//! A question both databases understand.
//!
//! SQLite takes `$1` for the name of a parameter and numbers names as they first appear, so one text serves both as
//! long as the numbers first appear in order. Text columns of PostgreSQL collate as bytes, as SQLite's do.

use std::borrow::Cow;

pub(crate) struct Query {
    pub text: Cow<'static, str>,
    pub binds: Vec<Bind>,
}

pub(crate) enum Bind {
    Big(i64),
    Text(String),
}

impl Query {
    pub fn new(text: impl Into<Cow<'static, str>>) -> Query {
        Query { text: text.into(), binds: Vec::new() }
    }

    /// Binds the next number.
    pub fn big(mut self, value: i64) -> Query {
        self.binds.push(Bind::Big(value));
        self
    }

    /// Binds the next number.
    pub fn text(mut self, text: impl Into<String>) -> Query {
        self.binds.push(Bind::Text(text.into()));
        self
    }
}
