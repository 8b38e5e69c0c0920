//! Reading the configuration again: the whole file is checked first, and a wrong one changes nothing.
//!
//! Left out: applying a change to running children. A valid file that differs is reported as such, and takes effect
//! with the next start.

use crate::config::{Config, ConfigError};
use std::{path::PathBuf, sync::Arc};

/// What is needed to read the file again. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Reloader {
    pub file: PathBuf,
    pub credentials_dir: Option<PathBuf>,
    /// What runs.
    pub current: Arc<Config>,
}

/// What a reload came to.
#[derive(Debug)]
pub enum Reloaded {
    /// The file says what runs already.
    Unchanged,
    /// The file is valid and differs; what runs stays until the next start.
    NeedsRestart,
    /// The file is wrong; what runs stays.
    Refused(ConfigError),
}

impl Reloader {
    /// Blocks on the disk.
    pub fn reload(&self) -> Reloaded {
        match Config::read(&self.file, self.credentials_dir.clone()) {
            Ok(config) if config == *self.current => Reloaded::Unchanged,
            Ok(_) => Reloaded::NeedsRestart,
            Err(error) => Reloaded::Refused(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_unchanged_or_needs_a_restart_or_is_refused_whole() {
        let directory = tempfile::tempdir().expect("a directory");
        let file = directory.path().join("bhavd.toml");
        let text = "[[watch]]\nunderlying = \"NIFTY\"\n[feeds.nse]\nenabled = true\n";
        std::fs::write(&file, text).expect("written");
        let current = Arc::new(Config::read(&file, None).expect("a valid file"));
        let reloader = Reloader { file: file.clone(), credentials_dir: None, current };
        assert!(matches!(reloader.reload(), Reloaded::Unchanged));
        std::fs::write(&file, format!("{text}[buckets]\ngrace_s = 9\n")).expect("written");
        assert!(matches!(reloader.reload(), Reloaded::NeedsRestart));
        std::fs::write(&file, format!("{text}[buckets]\ngrace_s = 61\n")).expect("written");
        let Reloaded::Refused(error) = reloader.reload() else { panic!("61 s are too many") };
        assert!(error.to_string().contains("buckets.grace_s"), "{error}");
    }
}
