//! Bodies that were no answer to what was asked, kept beside the log to show what came instead.
//!
//! Owns one directory. Invariants: at most sixteen files, of 256 kB at most, the newest ones; files of other names are left
//! alone. They are no part of the log: nothing is read from here, and any of them may be removed at any time.

use crate::market::Timestamp;
use std::{
    fs, io,
    path::{Path, PathBuf},
};

const DIRECTORY: &str = "refused-bodies";
const EXTENSION: &str = "body";
const FILES_MAX: usize = 16;
const BYTES_MAX: usize = 256 << 10;
const NAME_MAX: usize = 80;

/// Puts a body into the folder below `beside_log`, and takes the oldest ones away.
///
/// # Errors
/// What the operating system reports.
pub(super) fn keep(
    beside_log: &Path,
    received_time: Timestamp,
    what: &str,
    body: &[u8],
) -> io::Result<PathBuf> {
    let directory = beside_log.join(DIRECTORY);
    fs::create_dir_all(&directory)?;
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' };
    let what: String = what.chars().map(plain).take(NAME_MAX).collect();
    // In the order of their times.
    let path = directory.join(format!("{:016}-{what}.{EXTENSION}", received_time.as_us()));
    fs::write(&path, &body[..body.len().min(BYTES_MAX)])?;
    let mut kept: Vec<PathBuf> = Vec::new();
    for entry in fs::read_dir(&directory)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == EXTENSION) {
            kept.push(path);
        }
    }
    kept.sort();
    let too_many = kept.len().saturating_sub(FILES_MAX);
    kept[..too_many].iter().try_for_each(fs::remove_file)?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_bodies_are_kept_cut_to_their_bound() {
        let home = tempfile::tempdir().expect("a directory");
        let long = vec![b'x'; BYTES_MAX + 1];
        for second in 1..=20 {
            let at = Timestamp::from_us(second * 1_000_000);
            keep(home.path(), at, "chain symbol=M&M/../x", &long).expect("kept");
        }
        let directory = home.path().join(DIRECTORY);
        fs::write(directory.join("notes.txt"), "mine").expect("written");
        keep(home.path(), Timestamp::from_us(21_000_000), "lots", b"short").expect("kept");
        let mut names: Vec<String> = fs::read_dir(&directory)
            .expect("listed")
            .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        assert_eq!(names.len(), FILES_MAX + 1, "{names:?}");
        assert_eq!(names[0], "0000000006000000-chain_symbol_M_M____x.body");
        assert_eq!(names[FILES_MAX - 1..], ["0000000021000000-lots.body", "notes.txt"]);
        assert_eq!(fs::metadata(directory.join(&names[0])).expect("there").len(), BYTES_MAX as u64);
    }
}
