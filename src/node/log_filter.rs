//! What is logged, changed while the daemon runs.

use crate::logging::{self, FilterError, InForce};
use log::LevelFilter;

/// The directives in force; those of a process that writes no log are empty.
pub fn current() -> String {
    logging::filter().unwrap_or_default()
}

pub fn name(level: LevelFilter) -> String {
    level.as_str().to_ascii_lowercase()
}

/// Logs more or less from now on. A process that writes no log has nothing to change.
///
/// # Errors
/// Says what would be a filter.
pub fn set(filter: &str) -> Result<(), String> {
    match logging::set_filter(filter) {
        Ok(()) | Err(FilterError::NotStarted) => Ok(()),
        Err(error) => Err(error.to_string()),
    }
}

/// Another configured level, in place of what was set at run time.
pub fn change_level(level: LevelFilter) {
    logging::change_level(level);
}

/// What [`restore`] puts back; `None` for a process that writes no log.
pub fn in_force() -> Option<InForce> {
    logging::in_force()
}

pub fn restore(in_force: Option<InForce>) {
    in_force.into_iter().for_each(logging::restore);
}
