//! The daemon's configuration: parse and check.
//!
//! One TOML file, read whole before anything starts. [`Config::parse`] finds every problem at once and says of each where
//! it stands, what was found and what is allowed; a file with a syntax error has one problem. [`Config::read`] also looks
//! whether the paths can be what they are named for. Every key has its entry in
//! `keys.rs` (kind, bounds, what a change takes) and in `config/bhavd.toml` (meaning, unit, default); tests hold the three together.
//!
//! Secrets are not configuration: they are read from the credentials directory by the feed that needs them.

mod check;
mod error;
mod keys;
mod places;
mod settings;
mod values;

pub use error::{ConfigError, Problem};
pub use keys::Effect;
pub use settings::{
    BucketSettings, BusSettings, CalendarSettings, Config, ControlSettings, CredentialSettings, FeedSettings,
    LogSettings, SpoolSettings, StoreSettings, SupervisionSettings,
};
pub use values::KeyValue;
