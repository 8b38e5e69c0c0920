//! The latest state and its fan-out.

mod settings;

pub use settings::LiveSettings;
