use super::*;
use crate::config::{Config, ConfigError};
use proptest::prelude::*;
use serde::{
    Deserialize,
    de::{self, Visitor},
    forward_to_deserialize_any,
};

const SAMPLE: &str = include_str!("../../../config/bhavd.toml");

/// The least that can be run.
const SMALLEST: &str = "[[watch]]\nunderlying = \"NIFTY\"\n[feeds.nse]\nenabled = true\n";

fn problems(text: &str) -> Vec<String> {
    match Config::parse(text, "bhavd.toml", None) {
        Ok(_) => Vec::new(),
        Err(error) => error.to_string().lines().map(str::to_owned).collect(),
    }
}

fn keys_of(path: &str, entries: &[Entry], keys: &mut Vec<String>) {
    for (name, node) in entries {
        let path = join(path, name);
        match node {
            Node::Key(_) => keys.push(path),
            Node::Table(entries) | Node::Tables(entries) => keys_of(&path, entries, keys),
        }
    }
}

fn keys_written(path: &str, table: &DeTable<'_>, keys: &mut Vec<String>) {
    for (name, value) in table {
        let path = join(path, name.get_ref());
        match value.get_ref() {
            DeValue::Table(table) => keys_written(&path, table, keys),
            DeValue::Array(items) if items.iter().any(|item| item.get_ref().is_table()) => {
                for table in items.iter().filter_map(|item| item.get_ref().as_table()) {
                    keys_written(&path, table, keys);
                }
            }
            _ => keys.push(path),
        }
    }
}

/// Learns the names of a struct's fields: it stops the deserializing where it is asked for them.
struct FieldNames<'a>(&'a mut Vec<&'static str>);

impl<'de> serde::Deserializer<'de> for FieldNames<'_> {
    type Error = de::value::Error;

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        fields: &'static [&'static str],
        _visitor: V,
    ) -> Result<V::Value, Self::Error> {
        self.0.extend(fields);
        Err(de::Error::custom("only the names were asked for"))
    }

    fn deserialize_any<V: Visitor<'de>>(self, _visitor: V) -> Result<V::Value, Self::Error> {
        Err(de::Error::custom("not a struct"))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

fn fields_of<T: for<'de> Deserialize<'de>>() -> Vec<&'static str> {
    let mut names = Vec::new();
    assert!(T::deserialize(FieldNames(&mut names)).is_err());
    assert!(!names.is_empty(), "{} has no fields", std::any::type_name::<T>());
    names.sort_unstable();
    names
}

#[test]
fn the_table_of_keys_knows_every_field_of_the_structs() {
    use crate::{config, engine::watch, feed, live};
    let entries = |path: &str| {
        let mut entries = ROOT;
        for part in path.split('.').filter(|part| !part.is_empty()) {
            let (_, node) = entries.iter().find(|(name, _)| *name == part).expect("a known table");
            entries = match node {
                Node::Table(entries) | Node::Tables(entries) => entries,
                Node::Key(_) => panic!("{path} is a key"),
            };
        }
        let mut names: Vec<&str> = entries.iter().map(|(name, _)| *name).collect();
        names.sort_unstable();
        names
    };
    for (path, fields) in [
        ("", fields_of::<Document>()),
        ("store", fields_of::<config::StoreSettings>()),
        ("spool", fields_of::<config::SpoolSettings>()),
        ("control", fields_of::<config::ControlSettings>()),
        ("watch", fields_of::<watch::WatchedUnderlying>()),
        ("feeds", fields_of::<config::FeedSettings>()),
        ("feeds.angel_one", fields_of::<feed::angel_one::AngelOneSettings>()),
        ("feeds.nse", fields_of::<feed::nse::NseSettings>()),
        ("live", fields_of::<live::LiveSettings>()),
        ("credentials", fields_of::<config::CredentialSettings>()),
        ("calendar", fields_of::<config::CalendarSettings>()),
        ("buckets", fields_of::<config::BucketSettings>()),
        ("log", fields_of::<config::LogSettings>()),
        ("clock", fields_of::<super::super::settings::ClockTable>()),
    ] {
        assert_eq!(entries(path), fields, "[{path}]");
    }
}

#[test]
fn every_key_says_what_a_change_of_it_takes() {
    use super::super::keys::{EFFECTS, effect_of};
    let mut keys = Vec::new();
    keys_of("", ROOT, &mut keys);
    let counted: Vec<&str> =
        keys.iter().map(|key| effect_of(key).unwrap_or_else(|| panic!("{key}")).0).collect();
    for (name, _) in EFFECTS {
        assert!(counted.contains(name), "no key is under {name}");
    }
    let is_shown_as = |key: &String| if key.starts_with("watch.") { "watch".to_owned() } else { key.clone() };
    let mut shown: Vec<String> = Config::default().values().into_iter().map(|value| value.key).collect();
    let mut known: Vec<String> = keys.iter().map(is_shown_as).collect();
    shown.sort();
    known.sort();
    known.dedup();
    assert_eq!(shown, known);
}

#[test]
fn the_sample_file_has_the_defaults_and_lacks_only_a_feed() {
    let refused = problems(SAMPLE);
    assert_eq!(refused.len(), 1, "{refused:?}");
    assert!(refused[0].contains("feeds: found no feed with enabled = true"), "{refused:?}");
    let document: Document = toml::from_str(SAMPLE).expect("a valid file");
    let (watch, config) = (document.watch.clone(), document.into_config());
    let defaults = Config { watch: config.watch.clone(), ..Config::default() };
    assert_eq!(config, defaults);
    let smallest: Document = toml::from_str(SMALLEST).expect("a valid file");
    assert_eq!(watch[0], smallest.watch[0], "the sample's first [[watch]] shows the default expiries");
    let enabled = SAMPLE.replacen("enabled = false", "enabled = true", 1);
    assert_eq!(problems(&enabled), Vec::<String>::new());
}

/// Keys without a default stand in the sample as `#key = value`, so that taking away the `#` gives a valid file.
#[test]
fn the_sample_file_shows_every_key() {
    let is_example = |line: &&str| {
        let line = line.strip_prefix('#').unwrap_or(line);
        line.starts_with('[') || line.contains(" = ") && !line.starts_with(' ')
    };
    let uncommented: String =
        SAMPLE.lines().filter(is_example).map(|line| format!("{}\n", line.trim_start_matches('#'))).collect();
    let root = DeTable::parse(&uncommented).expect("examples are valid");
    let (mut known, mut shown) = (Vec::new(), Vec::new());
    keys_of("", ROOT, &mut known);
    keys_written("", root.get_ref(), &mut shown);
    known.sort();
    shown.sort();
    shown.dedup();
    assert_eq!(shown, known);
    let enabled = uncommented.replacen("enabled = false", "enabled = true", 1);
    assert_eq!(problems(&enabled), Vec::<String>::new());
}

#[test]
fn the_smallest_file_is_enough() {
    let config = Config::parse(SMALLEST, "bhavd.toml", Some("/run/credentials/bhavd".into())).expect("valid");
    assert_eq!(config.watch.underlyings[0].expiries, 2);
    assert_eq!(config.credentials.dir, Some("/run/credentials/bhavd".into()));
    assert_eq!(config.clock, None);
    let text = format!("{SMALLEST}[credentials]\ndir = \"/etc/bhavd/credentials\"\n");
    let config = Config::parse(&text, "bhavd.toml", Some("/run/credentials/bhavd".into())).expect("valid");
    assert_eq!(config.credentials.dir, Some("/etc/bhavd/credentials".into()));
}

#[test]
fn a_clock_is_simulated_by_three_keys() {
    let clock =
        "[clock]\nstart = \"2026-01-30T09:15:00+05:30\"\nreal_start = \"2026-11-21T00:00:00Z\"\nspeed = 60\n";
    let config = Config::parse(&format!("{SMALLEST}{clock}"), "bhavd.toml", None).expect("valid");
    let simulation = config.clock.expect("a simulated clock");
    assert_eq!(simulation.start.to_string(), "2026-01-30 09:15:00 IST");
    assert_eq!(simulation.speed, 60.0);
}

#[test]
fn plain_connections_stay_on_this_machine() {
    let allowed =
        |url: &str| problems(&format!("{SMALLEST}[feeds.angel_one]\nrest_url = \"{url}\"\n")).is_empty();
    for url in ["https://example.org", "http://127.0.0.1:8080", "http://localhost:1/api", "http://[::1]:80"] {
        assert!(allowed(url), "{url}");
    }
    for url in [
        "http://example.org",
        "http://127.0.0.1.example.org",
        "http://localhost:1@example.org",
        "http://127.0.0.1:80@example.org",
        "https://example.org/",
        "https://",
        "ftp://example.org",
        "https://exam ple.org",
        "",
    ] {
        assert!(!allowed(url), "{url}");
    }
}

#[test]
fn a_missing_file_is_named() {
    let error = Config::read(std::path::Path::new("/nonexistent/bhavd.toml"), None).expect_err("no file");
    assert!(matches!(error, ConfigError::Unreadable { .. }));
    assert!(error.to_string().contains("/nonexistent/bhavd.toml: cannot be read"), "{error}");
}

proptest! {
    #[test]
    fn bounds_hold_for_every_number(seconds in -10_i64..1_000) {
        let text = format!("{SMALLEST}poll_interval_s = {seconds}\n");
        let expected = if (5..=600).contains(&seconds) {
            Vec::new()
        } else {
            vec![format!("bhavd.toml:5: feeds.nse.poll_interval_s: found {seconds}, allowed is 5 to 600")]
        };
        prop_assert_eq!(problems(&text), expected);
    }

    #[test]
    fn no_text_panics(text in "[a-z\\[\\]=\"'.# \n0-9{},_:*-]{0,120}") {
        let _ = problems(&text);
    }
}

#[test]
fn addresses_are_shown_without_what_may_be_secret() {
    for (written, shown) in [
        ("\"postgres://u:hunter2@db/x\"", "\"postgres://…@db/x\""),
        ("\"postgres://db/x?user=u&password=hunter2\"", "\"postgres://db/x?…\""),
        ("\"postgres://u:hunter2@db/x?host=/run\"", "\"postgres://…@db/x?…\""),
        ("\"postgres://db/x?password=hunter2@4\"", "\"postgres://…\""),
        ("\"postgres://u:hunter?2@db/x\"", "\"postgres://…\""),
        ("unix:///run/redis.sock?pass=hunter2", "unix:///run/redis.sock?…"),
        ("redis:u:hunter2@db", "redis:…@db"),
        ("\"sqlite:/var/lib/bhavd/bhavd.sqlite\"", "\"sqlite:/var/lib/bhavd/bhavd.sqlite\""),
        ("\"NIFTY\"", "\"NIFTY\""),
    ] {
        assert_eq!(without_secrets(written), shown);
    }
    let wrong = format!("{SMALLEST}[store]\nurl = \"mysql://db/x?password=hunter2\"\n");
    let found = problems(&wrong);
    assert!(found[0].contains("mysql://db/x?…") && !found[0].contains("hunter2"), "{found:?}");
}

#[test]
fn a_shells_name_of_the_home_directory_is_no_path() {
    for (table, key, value) in [
        ("spool", "dir", "~/spool"),
        ("calendar", "file", "~/nse.toml"),
        ("store", "url", "sqlite:~/bhavd.sqlite"),
    ] {
        let found = problems(&format!("{SMALLEST}[{table}]\n{key} = \"{value}\"\n"));
        assert_eq!(found.len(), 1, "{found:?}");
        let begins = format!("bhavd.toml:6: {table}.{key}: found \"{value}\", allowed is ");
        assert!(found[0].starts_with(&begins), "{found:?}");
    }
}
