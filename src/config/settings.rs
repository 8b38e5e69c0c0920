//! The configuration as types.

use super::{ConfigError, check, keys, places};
use crate::{
    clock::Simulation,
    engine::watch::{WatchList, WatchedUnderlying},
    feed::{angel_one::AngelOneSettings, nse::NseSettings},
    live::LiveSettings,
    market::{Provider, Timestamp, with_providers},
};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::{fs, path::Path, path::PathBuf};

/// Everything the daemon can be told.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Config {
    pub store: StoreSettings,
    pub spool: SpoolSettings,
    pub control: ControlSettings,
    pub dbus: BusSettings,
    pub watch: WatchList,
    pub feeds: FeedSettings,
    pub live: LiveSettings,
    pub credentials: CredentialSettings,
    pub calendar: CalendarSettings,
    pub buckets: BucketSettings,
    pub log: LogSettings,
    pub supervision: SupervisionSettings,
    /// `[clock]`: the clock is simulated, and stores are opened as simulated.
    pub clock: Option<Simulation>,
}

impl Config {
    /// Reads and checks a file, and whether its paths can be what they are named for. `credentials_dir` is what `$CREDENTIALS_DIRECTORY` says, used where the file says nothing.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn read(path: &Path, credentials_dir: Option<PathBuf>) -> Result<Config, ConfigError> {
        Self::read_beside(path, credentials_dir, None)
    }

    /// As [`Config::read`], in a process in which this configuration runs: its store is open, and is not looked into.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn read_again(&self, path: &Path, credentials_dir: Option<PathBuf>) -> Result<Config, ConfigError> {
        Self::read_beside(path, credentials_dir, Some(self))
    }

    fn read_beside(
        path: &Path,
        credentials_dir: Option<PathBuf>,
        running: Option<&Config>,
    ) -> Result<Config, ConfigError> {
        let text = fs::read_to_string(path)
            .map_err(|cause| ConfigError::Unreadable { path: path.to_owned(), cause })?;
        let file = path.display().to_string();
        let config = Self::parse(&text, &file, credentials_dir)?;
        let problems = places::check(&text, &config, running);
        if problems.is_empty() { Ok(config) } else { Err(ConfigError::Wrong { file, problems }) }
    }

    /// Parses and checks a text. `file` is its name in errors.
    ///
    /// # Errors
    /// [`ConfigError::Wrong`].
    pub fn parse(text: &str, file: &str, credentials_dir: Option<PathBuf>) -> Result<Config, ConfigError> {
        let wrong = |problems| ConfigError::Wrong { file: file.to_owned(), problems };
        let document = check::check(text).map_err(wrong)?;
        let mut config = document.into_config();
        config.credentials.dir = config.credentials.dir.or(credentials_dir);
        Ok(config)
    }

    /// What a running daemon can make of `next` without a restart: all else stays.
    pub fn reloaded(&self, next: &Config) -> Config {
        Config {
            feeds: next.feeds.clone(),
            credentials: next.credentials.clone(),
            log: next.log.clone(),
            dbus: next.dbus.clone(),
            spool: SpoolSettings { keep_days: next.spool.keep_days, ..self.spool.clone() },
            control: ControlSettings { admins: next.control.admins.clone(), ..self.control.clone() },
            ..self.clone()
        }
    }
}

/// `[store]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StoreSettings {
    /// `sqlite:PATH` or `postgres://…`.
    pub url: String,
}

impl StoreSettings {
    /// Whether the file could say this address.
    ///
    /// # Errors
    /// What is allowed.
    pub fn check(url: &str) -> Result<(), String> {
        check::check_text(keys::STORE_URL, url)
    }
}

impl Default for StoreSettings {
    fn default() -> StoreSettings {
        StoreSettings { url: "sqlite:/var/lib/bhavd/bhavd.sqlite".to_owned() }
    }
}

/// `[spool]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SpoolSettings {
    pub dir: PathBuf,
    /// Days of the log to keep; 0 for all.
    pub keep_days: u32,
}

impl Default for SpoolSettings {
    fn default() -> SpoolSettings {
        SpoolSettings { dir: "/var/lib/bhavd/spool".into(), keep_days: 0 }
    }
}

/// `[control]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ControlSettings {
    pub socket: PathBuf,
    /// User ids that may change things besides root and the daemon's own user.
    pub admins: Vec<u32>,
}

impl Default for ControlSettings {
    fn default() -> ControlSettings {
        ControlSettings { socket: "/run/bhavd/control.sock".into(), admins: Vec::new() }
    }
}

/// `[dbus]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BusSettings {
    pub enabled: bool,
    /// `system`, `session` or `unix:path=…`.
    pub address: String,
}

impl Default for BusSettings {
    fn default() -> BusSettings {
        BusSettings { enabled: true, address: "system".to_owned() }
    }
}

/// `[feeds]`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FeedSettings {
    pub angel_one: AngelOneSettings,
    pub nse: NseSettings,
}

impl FeedSettings {
    pub fn is_enabled(&self, provider: Provider) -> bool {
        macro_rules! is_enabled {
            ($($variant:ident $name:ident $code:literal),*) => {
                match provider {
                    $(Provider::$variant => self.$name.enabled),*
                }
            };
        }
        with_providers!(is_enabled)
    }
}

/// `[credentials]`
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CredentialSettings {
    /// `None` if neither the file nor systemd says.
    pub dir: Option<PathBuf>,
}

/// `[calendar]`
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CalendarSettings {
    /// Takes the place of the calendar built in.
    pub file: Option<PathBuf>,
}

/// `[buckets]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BucketSettings {
    /// How long after its end a bucket waits for late ticks.
    pub grace_s: u32,
}

impl Default for BucketSettings {
    fn default() -> BucketSettings {
        BucketSettings { grace_s: 5 }
    }
}

/// `[supervision]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SupervisionSettings {
    /// Without a sign of life for this long a child is restarted.
    pub hang_after_ms: u32,
    /// Restarts within the window, of any of the main children together; one more ends the daemon with 70.
    pub restarts_max: u32,
    pub restart_window_s: u32,
    /// The same for feeds; one more restarts all of them, which counts as one restart above.
    pub feed_restarts_max: u32,
    pub feed_restart_window_s: u32,
    /// Wait before the first restart; it doubles with each further failure up to the longest.
    pub backoff_first_ms: u32,
    pub backoff_longest_ms: u32,
    /// Threads that may be given up and not come back; one more ends the daemon with 70.
    pub zombies_max: u32,
}

impl Default for SupervisionSettings {
    fn default() -> SupervisionSettings {
        SupervisionSettings {
            hang_after_ms: 10_000,
            restarts_max: 3,
            restart_window_s: 300,
            feed_restarts_max: 10,
            feed_restart_window_s: 60,
            backoff_first_ms: 50,
            backoff_longest_ms: 30_000,
            zombies_max: 4,
        }
    }
}

/// `[log]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LogSettings {
    #[serde(deserialize_with = "level", serialize_with = "level_name")]
    pub level: log::LevelFilter,
}

impl Default for LogSettings {
    fn default() -> LogSettings {
        LogSettings { level: log::LevelFilter::Info }
    }
}

fn level<'de, D: Deserializer<'de>>(deserializer: D) -> Result<log::LevelFilter, D::Error> {
    String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
}

fn level_name<S: Serializer>(level: &log::LevelFilter, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&level.as_str().to_ascii_lowercase())
}

/// The file as it is written; [`Config`] once every key is checked.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Document {
    pub(super) store: StoreSettings,
    pub(super) spool: SpoolSettings,
    pub(super) control: ControlSettings,
    pub(super) dbus: BusSettings,
    pub(super) watch: Vec<WatchedUnderlying>,
    pub(super) feeds: FeedSettings,
    pub(super) live: LiveSettings,
    pub(super) credentials: CredentialSettings,
    pub(super) calendar: CalendarSettings,
    pub(super) buckets: BucketSettings,
    pub(super) log: LogSettings,
    pub(super) supervision: SupervisionSettings,
    pub(super) clock: Option<ClockTable>,
}

/// `[clock]`; the texts are checked to be RFC 3339 before this is read.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ClockTable {
    pub(super) start: String,
    pub(super) real_start: String,
    pub(super) speed: f64,
}

impl Document {
    pub(super) fn into_config(self) -> Config {
        Config {
            store: self.store,
            spool: self.spool,
            control: self.control,
            dbus: self.dbus,
            watch: WatchList { underlyings: self.watch },
            feeds: self.feeds,
            live: self.live,
            credentials: self.credentials,
            calendar: self.calendar,
            buckets: self.buckets,
            log: self.log,
            supervision: self.supervision,
            clock: self.clock.and_then(ClockTable::into_simulation),
        }
    }
}

impl ClockTable {
    fn into_simulation(self) -> Option<Simulation> {
        Some(Simulation {
            start: parse_instant(&self.start)?,
            real_start: parse_instant(&self.real_start)?,
            speed: self.speed,
        })
    }
}

/// RFC 3339 with any offset.
pub(super) fn parse_instant(text: &str) -> Option<Timestamp> {
    chrono::DateTime::parse_from_rfc3339(text).ok().map(|instant| Timestamp::from(instant.to_utc()))
}
