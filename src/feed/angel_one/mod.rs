//! The Angel One feed.

mod settings;

pub use settings::AngelOneSettings;
