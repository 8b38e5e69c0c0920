//! The last good copy of a file that a feed needs each morning, kept beside the log.
//!
//! Owns the files of its name in one directory; the newest by date is the one in force. A feed that cannot have today's file,
//! or does not believe it, hands this copy over again, so that what is made of a day depends on that day's log alone.

use crate::market::TradingDate;
use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
};

const DIRECTORY: &str = "last-good";

/// Where a file's copies are; without a directory none is kept.
#[derive(Clone, Debug)]
pub(super) struct LastGood {
    directory: Option<PathBuf>,
    name: &'static str,
}

/// A copy, and the day it was fetched on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Copy {
    pub date: TradingDate,
    pub body: Vec<u8>,
}

impl LastGood {
    pub fn new(beside_log: Option<&Path>, name: &'static str) -> LastGood {
        LastGood { directory: beside_log.map(|path| path.join(DIRECTORY)), name }
    }

    /// `None` where there is none that can be read.
    pub fn read(&self) -> Option<Copy> {
        let (date, path) = self.copies().ok()?.pop()?;
        match fs::read(&path) {
            Ok(body) => Some(Copy { date, body }),
            Err(error) => {
                log::warn!("{} cannot be read: {error}", path.display());
                None
            }
        }
    }

    /// On the disk when this returns; copies of other days are gone then.
    ///
    /// # Errors
    /// What the operating system reports; the copy before is still there.
    pub fn keep(&self, date: TradingDate, body: &[u8]) -> io::Result<()> {
        let Some(directory) = &self.directory else { return Ok(()) };
        fs::create_dir_all(directory)?;
        let path = directory.join(format!("{}.{date}", self.name));
        let beside = directory.join(format!("{}.new", self.name));
        let mut file = File::create(&beside)?;
        file.write_all(body)?;
        file.sync_all()?;
        fs::rename(&beside, &path)?;
        File::open(directory)?.sync_all()?;
        for (_, other) in self.copies()?.into_iter().filter(|(_, other)| *other != path) {
            fs::remove_file(other)?;
        }
        Ok(())
    }

    /// By date.
    fn copies(&self) -> io::Result<Vec<(TradingDate, PathBuf)>> {
        let Some(directory) = &self.directory else { return Ok(Vec::new()) };
        let mut copies = Vec::new();
        for entry in fs::read_dir(directory)? {
            let path = entry?.path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            let date = name.strip_prefix(self.name).and_then(|rest| rest.strip_prefix('.')?.parse().ok());
            copies.extend(date.map(|date| (date, path)));
        }
        copies.sort();
        Ok(copies)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_copy_is_read_again() {
        let home = tempfile::tempdir().expect("a directory");
        let (master, lots) =
            (LastGood::new(Some(home.path()), "master"), LastGood::new(Some(home.path()), "lots"));
        assert_eq!(master.read(), None);
        let date = |day| TradingDate::from_ymd_opt(2026, 1, day).expect("a date");
        master.keep(date(29), b"first").expect("kept");
        master.keep(date(30), b"second").expect("kept");
        lots.keep(date(31), b"other").expect("kept");
        assert_eq!(master.read(), Some(Copy { date: date(30), body: b"second".to_vec() }));
        let files = fs::read_dir(home.path().join(DIRECTORY)).expect("listed").count();
        assert_eq!(files, 2, "one a name");
        assert_eq!(LastGood::new(None, "master").read(), None);
        LastGood::new(None, "master").keep(date(30), b"x").expect("nowhere");
    }
}
