//! Walks the parsed file beside the table of keys and collects every problem.

use super::{
    error::Problem,
    keys::{Entry, Kind, Node, ROOT},
    settings::{Document, parse_instant},
};
use std::collections::BTreeMap;
use toml::{
    Spanned,
    de::{DeString, DeTable, DeValue},
};

/// Characters of a value that an error shows.
const SHOWN_MAX: usize = 60;

/// Parses and checks a whole file.
///
/// # Errors
/// Every problem, by line; those of something absent at the end.
pub(super) fn check(text: &str) -> Result<Document, Vec<Problem>> {
    let root = DeTable::parse(text).map_err(|error| vec![syntax_problem(text, &error)])?;
    let mut checker = Checker { text, problems: Vec::new() };
    checker.table("", root.get_ref(), ROOT);
    checker.watch(root.get_ref());
    checker.feeds(root.get_ref());
    checker.clock(root.get_ref());
    let mut problems = checker.problems;
    problems.sort_by_key(|problem| (problem.line.is_none(), problem.line));
    if !problems.is_empty() {
        return Err(problems);
    }
    toml::from_str(text).map_err(|error| vec![syntax_problem(text, &error)])
}

fn syntax_problem(text: &str, error: &toml::de::Error) -> Problem {
    let line = error.span().map(|span| line_of(text, span.start));
    Problem { line, key: String::new(), text: error.message().trim().replace('\n', ", ") }
}

pub(super) fn line_of(text: &str, offset: usize) -> usize {
    1 + text.as_bytes().iter().take(offset).filter(|byte| **byte == b'\n').count()
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

fn names(entries: &[Entry]) -> String {
    entries.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
}

struct Checker<'a> {
    text: &'a str,
    problems: Vec<Problem>,
}

impl Checker<'_> {
    fn line(&self, value: &Spanned<DeValue<'_>>) -> usize {
        line_of(self.text, value.span().start)
    }

    /// The value as it is written, cut where it is long, what may be secret in an address left out.
    fn found(&self, value: &Spanned<DeValue<'_>>) -> String {
        let what = match value.get_ref() {
            DeValue::Table(_) => return "a table".to_owned(),
            _ => self.text.get(value.span()).unwrap_or_default(),
        };
        let what = without_secrets(what);
        let first_line = what.lines().next().unwrap_or_default();
        match first_line.char_indices().nth(SHOWN_MAX) {
            Some((cut, _)) => format!("{}…", &first_line[..cut]),
            None if first_line.len() < what.len() => format!("{first_line}…"),
            None => first_line.to_owned(),
        }
    }

    fn complain(&mut self, path: &str, value: &Spanned<DeValue<'_>>, allowed: &str) {
        let text = format!("found {}, allowed is {allowed}", self.found(value));
        self.problems.push(Problem::at(self.line(value), path, text));
    }

    fn table(&mut self, path: &str, table: &DeTable<'_>, entries: &[Entry]) {
        for (key, value) in table {
            self.entry(path, key, value, entries);
        }
    }

    fn entry(
        &mut self,
        path: &str,
        key: &Spanned<DeString<'_>>,
        value: &Spanned<DeValue<'_>>,
        entries: &[Entry],
    ) {
        let name: &str = key.get_ref();
        let path = join(path, name);
        let Some((_, node)) = entries.iter().find(|(known, _)| *known == name) else {
            let text = format!("unknown key, allowed are {}", names(entries));
            self.problems.push(Problem::at(line_of(self.text, key.span().start), path, text));
            return;
        };
        match (node, value.get_ref()) {
            (Node::Table(entries), DeValue::Table(table)) => self.table(&path, table, entries),
            (Node::Table(_), _) => self.complain(&path, value, &format!("a table [{path}]")),
            (Node::Tables(entries), DeValue::Array(tables)) => {
                for (index, table) in tables.iter().enumerate() {
                    let path = format!("{path}[{}]", index + 1);
                    match table.get_ref() {
                        DeValue::Table(table) => self.table(&path, table, entries),
                        _ => self.complain(&path, table, "a table"),
                    }
                }
            }
            (Node::Tables(_), _) => self.complain(&path, value, &format!("tables [[{path}]]")),
            (Node::Key(kind), found) => {
                if !kind.admits(found) {
                    self.complain(&path, value, &kind.allowed());
                }
            }
        }
    }

    fn watch(&mut self, root: &DeTable<'_>) {
        let Some(tables) = root.get("watch").and_then(|watch| watch.get_ref().as_array()) else {
            if !root.contains_key("watch") {
                let text =
                    "found no [[watch]] table, allowed is one or more: bhavd records only what is watched";
                self.problems.push(Problem::absent("watch", text));
            }
            return;
        };
        if tables.is_empty() {
            self.problems.push(Problem::absent("watch", "found an empty list, allowed is one table or more"));
        }
        let mut first_lines: BTreeMap<&str, usize> = BTreeMap::new();
        for (index, table) in tables.iter().enumerate() {
            let path = format!("watch[{}].underlying", index + 1);
            let Some(keys) = table.get_ref().as_table() else { continue };
            let Some(value) = keys.get("underlying") else {
                let text = "missing, allowed is an exchange's symbol such as \"NIFTY\", or \"*\" for all";
                self.problems.push(Problem::at(self.line(table), path, text));
                continue;
            };
            let Some(underlying) = value.get_ref().as_str() else { continue };
            let line = self.line(value);
            if let Some(first_line) = first_lines.get(underlying) {
                let text = format!("found {underlying:?} a second time, the first is on line {first_line}");
                self.problems.push(Problem::at(line, path, text));
            } else {
                first_lines.insert(underlying, line);
            }
        }
    }

    fn feeds(&mut self, root: &DeTable<'_>) {
        let Some((_, Node::Table(feeds))) = ROOT.iter().find(|(name, _)| *name == "feeds") else { return };
        let table = root.get("feeds").map(Spanned::get_ref);
        let enabled = |(name, _): &Entry| {
            let enabled =
                table.and_then(|table| table.get(*name)).and_then(|feed| feed.get_ref().get("enabled"));
            // A value of a wrong type has its own problem.
            enabled.is_some_and(|value| value.get_ref().as_bool() != Some(false))
        };
        if !feeds.iter().any(enabled) {
            let text =
                format!("found no feed with enabled = true, allowed is one or more of {}", names(feeds));
            self.problems.push(Problem::absent("feeds", text));
        }
    }

    fn clock(&mut self, root: &DeTable<'_>) {
        let Some(clock) = root.get("clock") else { return };
        let Some(table) = clock.get_ref().as_table() else { return };
        let Some((_, Node::Table(keys))) = ROOT.iter().find(|(name, _)| *name == "clock") else { return };
        for (name, _) in keys.iter().filter(|(name, _)| !table.contains_key(*name)) {
            let text = format!("missing, a simulated clock needs {}", names(keys));
            self.problems.push(Problem::at(self.line(clock), format!("clock.{name}"), text));
        }
    }
}

impl Kind {
    fn admits(self, value: &DeValue<'_>) -> bool {
        match self {
            Kind::Flag => value.is_bool(),
            Kind::Whole { min, max } => whole(value).is_some_and(|number| (min..=max).contains(&number)),
            Kind::Real { above, max } => {
                let number = match value.as_float() {
                    Some(float) => float.as_str().replace('_', "").parse::<f64>().ok(),
                    None => whole(value).map(|number| number as f64),
                };
                number.is_some_and(|number| number > above && number <= max)
            }
            Kind::Path => value.as_str().is_some_and(|path| !path.is_empty() && !is_of_home(path)),
            Kind::Prefixed(prefixes) => value.as_str().is_some_and(|text| {
                let rest = prefixes.iter().find_map(|prefix| text.strip_prefix(prefix));
                rest.is_some_and(|rest| {
                    !rest.is_empty() && !is_of_home(rest) && !text.contains(char::is_whitespace)
                })
            }),
            Kind::Url { secure, plain } => value.as_str().is_some_and(|url| is_url(url, secure, plain)),
            Kind::OneOf(names) => value.as_str().is_some_and(|name| names.contains(&name)),
            Kind::Instant => value.as_str().is_some_and(|text| parse_instant(text).is_some()),
            Kind::Underlying => value.as_str().is_some_and(|symbol| {
                let good = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || matches!(c, '&' | '-');
                symbol == "*" || !symbol.is_empty() && symbol.chars().all(good)
            }),
            Kind::Bus => value.as_str().is_some_and(is_bus),
            Kind::UserIds => value.as_array().is_some_and(|ids| {
                ids.iter().all(|id| whole(id.get_ref()).is_some_and(|id| u32::try_from(id).is_ok()))
            }),
        }
    }

    fn allowed(self) -> String {
        match self {
            Kind::Flag => "true or false".to_owned(),
            Kind::Whole { min, max } => format!("{min} to {max}"),
            Kind::Real { above, max } => format!("a number greater than {above}, at most {max}"),
            Kind::Path => "a path in quotes, without ~: only a shell knows what that stands for".to_owned(),
            Kind::Prefixed(prefixes) => {
                let forms: Vec<String> = prefixes.iter().map(|prefix| format!("\"{prefix}…\"")).collect();
                forms.join(" or ")
            }
            Kind::Url { secure, plain } => {
                format!("\"{secure}…\", or \"{plain}…\" to this machine, without a slash at its end")
            }
            Kind::OneOf(names) => {
                let quoted: Vec<String> = names.iter().map(|name| format!("{name:?}")).collect();
                format!("one of {}", quoted.join(", "))
            }
            Kind::Instant => "an RFC 3339 time in quotes such as \"2026-01-30T09:15:00+05:30\"".to_owned(),
            Kind::Underlying => {
                "an exchange's symbol in upper case such as \"NIFTY\", or \"*\" for all".to_owned()
            }
            Kind::Bus => "\"system\", \"session\" or \"unix:path=/…\"".to_owned(),
            Kind::UserIds => "a list of user ids such as [1000]".to_owned(),
        }
    }
}

/// Whether a text is a value of this kind.
///
/// # Errors
/// What is allowed.
pub(super) fn check_text(kind: Kind, text: &str) -> Result<(), String> {
    if kind.admits(&DeValue::String(text.into())) { Ok(()) } else { Err(kind.allowed()) }
}

/// An address without what may be secret: `scheme://user:password@host?options` as `scheme://…@host?…`. Quotes around it
/// stay.
pub(super) fn without_secrets(value: &str) -> String {
    let Some((scheme, rest)) = value.split_once(':') else { return value.to_owned() };
    let user = rest.rfind('@');
    let options = rest.find('?');
    if user.is_none() && options.is_none() {
        return value.to_owned();
    }
    let slashes = if rest.starts_with("//") { "//" } else { "" };
    let quote = if rest.ends_with('"') { "\"" } else { "" };
    match (user, options) {
        // Either may be part of the other: nothing says where a host begins or ends.
        (Some(at), Some(mark)) if mark < at => format!("{scheme}:{slashes}…{quote}"),
        _ => {
            let place = &rest[user.unwrap_or(0)..options.unwrap_or(rest.len())];
            let before = if user.is_some() { format!("{slashes}…") } else { String::new() };
            let after = if options.is_some() { format!("?…{quote}") } else { String::new() };
            format!("{scheme}:{before}{place}{after}")
        }
    }
}

/// A shell's name of a home directory; here it would be a directory called so.
fn is_of_home(path: &str) -> bool {
    path.starts_with('~')
}

fn is_bus(address: &str) -> bool {
    let is_path = |address: &str| address.strip_prefix("unix:path=/").is_some_and(|path| !path.is_empty());
    matches!(address, "system" | "session") || is_path(address) && !address.contains(char::is_whitespace)
}

fn whole(value: &DeValue<'_>) -> Option<i64> {
    let integer = value.as_integer()?;
    i64::from_str_radix(&integer.as_str().replace('_', ""), integer.radix()).ok()
}

fn is_url(url: &str, secure: &str, plain: &str) -> bool {
    let well_formed = !url.ends_with('/') && !url.contains(char::is_whitespace);
    let host = |rest: &str| rest.split(['/', '?', '#']).next().unwrap_or_default().to_owned();
    match (url.strip_prefix(secure), url.strip_prefix(plain)) {
        (Some(rest), _) => well_formed && !host(rest).is_empty(),
        (None, Some(rest)) => well_formed && is_loopback(&host(rest)),
        (None, None) => false,
    }
}

/// Whether `host[:port]` is this machine. A host that hides behind a user name is not.
fn is_loopback(authority: &str) -> bool {
    let is_port = |port: &str| port.parse::<u16>().is_ok();
    let host = match authority.rsplit_once(':') {
        Some((host, port)) if is_port(port) => host,
        _ => authority,
    };
    host == "localhost"
        || host == "[::1]"
        || host.parse::<std::net::Ipv4Addr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests;
