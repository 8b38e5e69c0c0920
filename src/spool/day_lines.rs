//! Small files beside the segments that say something of days: one JSON object a line.
//!
//! Invariant: a file is replaced as a whole, and is on the disk when [`replace`] returns.

use super::{Damage, SpoolError};
use serde::{Serialize, de::DeserializeOwned};
use std::{
    fs::{self, File},
    io::{self, Write},
    path::Path,
};

/// The lines of a file; none without one. `what`: what a line is to say, for the error of one that does not.
pub(super) fn read<L: DeserializeOwned>(
    directory: &Path,
    file: &str,
    what: &str,
) -> Result<Vec<L>, SpoolError> {
    let path = directory.join(file);
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(SpoolError::io("read", &path)(error)),
    };
    let (mut lines, mut from) = (Vec::new(), 0);
    for line in text.split_inclusive('\n') {
        let Ok(read) = serde_json::from_str(line) else {
            return Err(
                Damage { path, from, to: None, reason: format!("a line does not name {what}") }.into()
            );
        };
        lines.push(read);
        from += line.len() as u64;
    }
    Ok(lines)
}

pub(super) fn replace<L: Serialize>(
    directory: &Path,
    file: &str,
    lines: impl Iterator<Item = L>,
) -> Result<(), SpoolError> {
    let (path, new) = (directory.join(file), directory.join(format!("{file}.new")));
    let text: String =
        lines.map(|line| serde_json::to_string(&line).expect("dates and texts are JSON") + "\n").collect();
    let written = File::create(&new)
        .and_then(|mut file| file.write_all(text.as_bytes()).and_then(|()| file.sync_all()))
        .and_then(|()| fs::rename(&new, &path))
        .and_then(|()| File::open(directory)?.sync_all());
    written.map_err(SpoolError::io("write", &path))
}
