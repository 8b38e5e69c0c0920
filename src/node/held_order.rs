//! The provider that an operator forced, kept for the daemon's next life in a file beside the log.
//!
//! The engines obey the log alone. This file tells a life that begins what to say at the beginning of its part of the log,
//! so that it need not read a whole day to find out. Without it, or with one that cannot be read, nobody is forced.

use crate::market::Provider;
use std::{
    fs::{self, File},
    io::{self, Write},
    path::Path,
};

const FILE: &str = "forced-provider";

pub fn read(directory: &Path) -> Option<Provider> {
    let path = directory.join(FILE);
    match fs::read_to_string(&path) {
        Ok(text) => match text.trim().parse() {
            Ok(provider) => Some(provider),
            Err(error) => {
                log::warn!("{} is left out: {error}", path.display());
                None
            }
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => {
            log::warn!("{} cannot be read, no provider is forced: {error}", path.display());
            None
        }
    }
}

/// On the disk when this returns.
///
/// # Errors
/// What the operating system reports; then the file is as it was, or, where only the directory could not be synced, changed
/// but perhaps not after a loss of power.
pub fn keep(directory: &Path, forced: Option<Provider>) -> io::Result<()> {
    let path = directory.join(FILE);
    match forced {
        Some(provider) => {
            let beside = path.with_extension("new");
            let mut file = File::create(&beside)?;
            writeln!(file, "{provider}")?;
            file.sync_all()?;
            fs::rename(&beside, &path)?;
        }
        None => match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        },
    }
    File::open(directory)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_read_and_what_is_not_understood_forces_nobody() {
        let directory = tempfile::tempdir().expect("a directory");
        let directory = directory.path();
        assert_eq!(read(directory), None);
        for forced in [Some(Provider::Nse), Some(Provider::AngelOne), None, None] {
            keep(directory, forced).expect("kept");
            assert_eq!(read(directory), forced);
        }
        fs::write(directory.join(FILE), "dhan\n").expect("written");
        assert_eq!(read(directory), None);
    }
}
