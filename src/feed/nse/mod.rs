//! The feed from NSE's website.

mod settings;

pub use settings::NseSettings;
