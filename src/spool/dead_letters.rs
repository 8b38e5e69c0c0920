//! Records that broke the pipeline and are left out of it for good.
//!
//! One file beside the segments, one JSON object a line. The record itself stays in the log under its number; the file says
//! which numbers are left out and why. It is an input of every replay: what is left out live is left out there too.

use super::{Damage, Record, SpoolError};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    fs::{self, OpenOptions},
    io::{self, Write},
    path::Path,
};

const FILE: &str = "dead-letters.jsonl";

/// Why a record is left out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadLetter {
    pub seq: u64,
    /// The record's source, as the log names it.
    pub source: String,
    /// Microseconds of UTC.
    pub received_us: i64,
    pub bytes: u64,
    /// The child that it broke, and in which incarnations.
    pub child: String,
    pub incarnations: [u64; 2],
    pub reason: String,
}

impl DeadLetter {
    pub fn of(record: &Record, child: &str, incarnations: [u64; 2], reason: String) -> DeadLetter {
        DeadLetter {
            seq: record.seq,
            source: format!("{:?}", record.source),
            received_us: record.received_time.as_us(),
            bytes: record.frames.byte_len() as u64,
            child: child.to_owned(),
            incarnations,
            reason,
        }
    }
}

/// What is left out, by record number.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeadLetters {
    letters: BTreeMap<u64, DeadLetter>,
}

impl DeadLetters {
    /// Reads the file of a log's directory. Without one nothing is left out. A last line that was cut short says nothing:
    /// its record breaks the pipeline again and is noted again.
    ///
    /// # Errors
    /// When the file cannot be read, or holds something else before its last line.
    pub fn read(directory: &Path) -> Result<DeadLetters, SpoolError> {
        let path = directory.join(FILE);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(DeadLetters::default()),
            Err(error) => return Err(SpoolError::io("read", &path)(error)),
        };
        let mut letters = BTreeMap::new();
        let mut offset = 0;
        for line in text.split_inclusive('\n') {
            match serde_json::from_str::<DeadLetter>(line) {
                Ok(letter) => {
                    letters.insert(letter.seq, letter);
                }
                Err(_) if !line.ends_with('\n') => {}
                Err(_) => {
                    let reason = "a line is no dead letter".to_owned();
                    return Err(Damage { path, from: offset, to: None, reason }.into());
                }
            }
            offset += line.len() as u64;
        }
        Ok(DeadLetters { letters })
    }

    pub fn contains(&self, seq: u64) -> bool {
        // Asked for every record of a day; almost always there are none.
        !self.letters.is_empty() && self.letters.contains_key(&seq)
    }

    pub fn len(&self) -> usize {
        self.letters.len()
    }

    pub fn is_empty(&self) -> bool {
        self.letters.is_empty()
    }

    /// Leaves a record out from now on; it is on the disk when this returns.
    ///
    /// # Errors
    /// What the operating system reports; then the record counts as before.
    pub fn add(&mut self, directory: &Path, letter: DeadLetter) -> Result<(), SpoolError> {
        let path = directory.join(FILE);
        let mut line = serde_json::to_string(&letter).expect("texts and numbers are JSON");
        line.push('\n');
        let mut file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&path)
            .map_err(SpoolError::io("open", &path))?;
        let written = whole_lines(&path)
            .and_then(|length| file.set_len(length))
            .and_then(|()| file.write_all(line.as_bytes()))
            .and_then(|()| file.sync_data());
        written.map_err(SpoolError::io("write", &path))?;
        self.letters.insert(letter.seq, letter);
        Ok(())
    }
}

/// The length up to which lines are whole: a crash may have cut the last one short.
fn whole_lines(path: &Path) -> io::Result<u64> {
    let bytes = fs::read(path)?;
    Ok(bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last as u64 + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn letter(seq: u64) -> DeadLetter {
        DeadLetter {
            seq,
            source: "NseChain".to_owned(),
            received_us: 1_769_744_700_000_000,
            bytes: 65_000,
            child: "recorder".to_owned(),
            incarnations: [3, 4],
            reason: "panicked: index out of bounds".to_owned(),
        }
    }

    #[test]
    fn what_is_added_is_read_again() {
        let directory = tempfile::tempdir().expect("a directory");
        let mut letters = DeadLetters::read(directory.path()).expect("nothing yet");
        assert!(letters.is_empty() && !letters.contains(7));
        letters.add(directory.path(), letter(7)).expect("added");
        letters.add(directory.path(), letter(3)).expect("added");
        assert!(letters.contains(7) && letters.contains(3) && !letters.contains(4));
        assert_eq!(DeadLetters::read(directory.path()).expect("readable"), letters);
    }

    #[test]
    fn a_line_cut_short_is_no_letter_and_anything_else_is_refused() {
        let directory = tempfile::tempdir().expect("a directory");
        let mut letters = DeadLetters::default();
        letters.add(directory.path(), letter(7)).expect("added");
        let path = directory.path().join(FILE);
        let mut text = fs::read_to_string(&path).expect("readable");
        text.push_str("{\"seq\": 8, ");
        fs::write(&path, &text).expect("written");
        let mut letters = DeadLetters::read(directory.path()).expect("readable");
        assert_eq!(letters.len(), 1);
        letters.add(directory.path(), letter(9)).expect("added");
        assert_eq!(DeadLetters::read(directory.path()).expect("readable"), letters);
        fs::write(&path, format!("nothing\n{text}")).expect("written");
        let error = DeadLetters::read(directory.path()).expect_err("a line before the last is no letter");
        assert!(error.to_string().contains("dead-letters.jsonl"), "{error}");
    }
}
