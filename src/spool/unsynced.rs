//! What the disk refused of the log and has not taken since, kept for the daemon's next life.
//!
//! One file beside the segments, one JSON object a line: a segment, and the offset from which on it is suspect. It is
//! there from a failed sync on, before anything is done about it, until everything it names was written again and synced
//! ([`super::flusher`]). Without it a new life would take pages for written of which the kernel has forgotten that they
//! are not.
//!
//! It names at least what is suspect, never less: an offset only goes back, and a segment stays in it until all of them
//! are done. A kill before its removal costs one more rewriting. Only a kill in the moment between a failed sync and the
//! file's renaming, or a disk that refuses the file too, leaves a failure untold. It is not synced, because it need not
//! survive a loss of power: what that takes, the next start finds as a torn tail or damage.

use super::SpoolError;
use crate::logging::Event;
use serde::{Deserialize, Serialize};
use std::{
    fs,
    io::ErrorKind,
    path::{Path, PathBuf},
};

const FILE: &str = "unsynced";

/// The file, and what it says or should say.
#[derive(Clone, Debug)]
pub struct Unsynced {
    directory: PathBuf,
    suspects: Vec<Suspect>,
    is_there: bool,
    /// The file says all of it.
    is_written: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Suspect {
    /// Within the log's directory.
    segment: PathBuf,
    /// Records before are on the disk.
    from: u64,
}

impl Unsynced {
    /// Reads what an earlier life left in a log's directory. What cannot be read is told and left out.
    pub fn read(directory: &Path) -> Unsynced {
        let path = directory.join(FILE);
        let _ = fs::remove_file(partial(&path));
        let (content, is_there) = match fs::read(&path) {
            Ok(content) => (content, true),
            Err(error) if error.kind() == ErrorKind::NotFound => (Vec::new(), false),
            Err(error) => {
                warn(&SpoolError::io("read", &path)(error));
                (Vec::new(), true)
            }
        };
        let mut suspects = Vec::new();
        for line in content.split_inclusive(|byte| *byte == b'\n') {
            match serde_json::from_slice(line) {
                Ok(suspect) => suspects.push(suspect),
                Err(error) => warn(&SpoolError::io("understand a line of", &path)(error.into())),
            }
        }
        Unsynced { directory: directory.to_owned(), suspects, is_there, is_written: true }
    }

    /// From where on a segment is suspect.
    pub fn from(&self, segment: &Path) -> Option<u64> {
        let named = self.suspects.iter().filter(|suspect| self.directory.join(&suspect.segment) == segment);
        named.map(|suspect| suspect.from).min()
    }

    /// A sync failed that may concern all of a segment from `from` on.
    pub fn note(&mut self, segment: &Path, from: u64) {
        let segment = segment.strip_prefix(&self.directory).unwrap_or(segment);
        match self.suspects.iter_mut().find(|suspect| suspect.segment == segment) {
            Some(suspect) if suspect.from <= from => {}
            Some(suspect) => (suspect.from, self.is_written) = (from, false),
            None => {
                self.suspects.push(Suspect { segment: segment.to_owned(), from });
                self.is_written = false;
            }
        }
        self.write();
    }

    /// Tries again what the disk refused of the file itself. A refusal is not told: the failure that it is about is.
    pub fn write(&mut self) {
        if self.is_written {
            return;
        }
        let path = self.directory.join(FILE);
        let partial = partial(&path);
        let mut text = String::new();
        for suspect in &self.suspects {
            // A path that is not UTF-8 has no JSON; segments are named by date and hour.
            let Ok(line) = serde_json::to_string(suspect) else { continue };
            text.push_str(&line);
            text.push('\n');
        }
        match fs::write(&partial, text).and_then(|()| fs::rename(&partial, &path)) {
            Ok(()) => (self.is_there, self.is_written) = (true, true),
            Err(_) => drop(fs::remove_file(&partial)),
        }
    }

    /// Everything is on the disk.
    pub fn clear(&mut self) {
        self.suspects.clear();
        self.is_written = true;
        if self.is_there {
            let removed = fs::remove_file(self.directory.join(FILE));
            self.is_there = removed.is_err_and(|error| error.kind() != ErrorKind::NotFound);
        }
    }
}

fn partial(path: &Path) -> PathBuf {
    path.with_added_extension("partial")
}

fn warn(error: &SpoolError) {
    log::warn!(event = Event::SpoolUnsynced, error:%;
        "{error}; what the disk refused before the last start is not known and is not written again");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        market::Timestamp,
        spool::{Frames, NewRecord, Source, Spool, pack},
    };
    use chrono::Timelike;
    use std::time::SystemTime;

    #[test]
    fn the_file_names_what_reaches_furthest_back() {
        let directory = tempfile::tempdir().expect("a directory");
        let (nine, ten) =
            (directory.path().join("2026-01-30/09.spool"), directory.path().join("2026-01-30/10.spool"));
        let read = || Unsynced::read(directory.path());
        let mut unsynced = read();
        unsynced.note(&nine, 500);
        assert_eq!((read().from(&nine), read().from(&ten)), (Some(500), None));
        unsynced.note(&ten, 8);
        unsynced.note(&nine, 700);
        unsynced.note(&nine, 300);
        assert_eq!((read().from(&nine), read().from(&ten)), (Some(300), Some(8)));
        let text = fs::read_to_string(directory.path().join(FILE)).expect("readable");
        assert!(text.starts_with("{\"segment\":\"2026-01-30/09.spool\",\"from\":300}\n"), "{text}");
        unsynced.clear();
        assert_eq!(fs::read_dir(directory.path()).expect("listed").count(), 0);
        assert_eq!(read().from(&nine), None);
    }
    fn record(hour: i64) -> NewRecord {
        NewRecord {
            source: Source::NSE_CHAIN,
            received_time: Timestamp::from_us(1_769_743_800_000_000).plus_seconds(3_600 * hour),
            context: String::new(),
            frames: Frames::one(&[7; 100]),
        }
    }

    /// A log with a finished segment, which stays raw since its first record is damaged, and a current one.
    fn two_raw_segments(directory: &Path) -> (PathBuf, PathBuf) {
        let path = |hour: i64| {
            let local = record(hour).received_time.to_ist();
            directory.join(local.date().to_string()).join(format!("{:02}.spool", local.hour()))
        };
        let mut spool = Spool::open(directory).expect("opens").spool;
        for _ in 0..3 {
            spool.append(&mut record(0)).expect("appended");
        }
        drop(spool);
        let mut bytes = fs::read(path(0)).expect("readable");
        bytes[60] ^= 1;
        fs::write(path(0), bytes).expect("written");
        let mut spool = Spool::open(directory).expect("opens").spool;
        spool.append(&mut record(1)).expect("appended");
        drop(spool);
        (path(0), path(1))
    }

    /// Whether each was written to while the log was opened and closed.
    fn rewritten(directory: &Path, segments: [&Path; 2]) -> [bool; 2] {
        let long_ago = SystemTime::UNIX_EPOCH;
        for path in segments {
            let file = fs::OpenOptions::new().write(true).open(path).expect("a segment");
            file.set_modified(long_ago).expect("set");
        }
        let contents = segments.map(|path| fs::read(path).expect("readable"));
        let spool = Spool::open(directory).expect("opens").spool;
        let status = spool.sync_status();
        drop(spool);
        assert_eq!((status.trouble(), status.unsynced_bytes()), (None, 0));
        assert!(segments.map(|path| fs::read(path).expect("readable")) == contents);
        segments.map(|path| path.metadata().expect("a segment").modified().expect("a time") != long_ago)
    }

    #[test]
    fn a_new_life_writes_again_what_the_last_one_did_not_get_onto_the_disk() {
        let directory = tempfile::tempdir().expect("a directory");
        let (finished, current) = two_raw_segments(directory.path());
        let marker = directory.path().join(FILE);
        let second_record = (fs::metadata(&finished).expect("a segment").len() - 8) / 3 + 8;
        let opened = || rewritten(directory.path(), [&finished, &current]);
        assert_eq!(opened(), [false, false], "nothing is suspect");
        for (is_suspect, path, from) in
            [([true, false], &finished, second_record), ([false, true], &current, 8)]
        {
            Unsynced::read(directory.path()).note(path, from);
            assert!(marker.exists());
            assert_eq!(opened(), is_suspect);
            assert!(!marker.exists());
        }
        Unsynced::read(directory.path()).note(&current, u64::MAX);
        assert_eq!(opened(), [false, false], "the log was cut before it");
        assert!(!marker.exists());
    }

    #[test]
    fn what_is_compressed_or_gone_and_what_is_no_marker_is_dropped() {
        let directory = tempfile::tempdir().expect("a directory");
        let (finished, current) = two_raw_segments(directory.path());
        let compressed = finished.with_file_name("01.spool");
        fs::write(compressed.with_added_extension("zst"), "").expect("written");
        let mut unsynced = Unsynced::read(directory.path());
        unsynced.note(&compressed, 8);
        unsynced.note(&finished.with_file_name("02.spool"), 8);
        let marker = directory.path().join(FILE);
        let named = fs::read(&marker).expect("readable");
        for content in [&named[..], b"", b"\0\0\0\0", b"[]\n", b"{\"segment\":\"2026", b"\xff\n\n"] {
            fs::write(&marker, content).expect("written");
            fs::write(marker.with_added_extension("partial"), content).expect("written");
            assert_eq!(rewritten(directory.path(), [&finished, &current]), [false, false]);
            assert!(!marker.exists() && !marker.with_added_extension("partial").exists());
        }
        let [nonsense, line] = ["nonsense\n".to_owned(), line_of(&current)];
        fs::write(&marker, nonsense + &line).expect("written");
        assert_eq!(rewritten(directory.path(), [&finished, &current]), [false, true], "one line is sound");
    }

    fn line_of(segment: &Path) -> String {
        let day = segment.parent().and_then(Path::file_name).expect("a day");
        let segment = Path::new(day).join(segment.file_name().expect("a name"));
        serde_json::to_string(&Suspect { segment, from: 8 }).expect("JSON")
    }

    #[test]
    fn a_suspect_segment_that_is_compressed_meanwhile_is_on_the_disk() {
        let directory = tempfile::tempdir().expect("a directory");
        let (damaged, current) = two_raw_segments(directory.path());
        // Sound and not the last one: the job that compresses and the flusher both take it.
        let finished = damaged.with_file_name("01.spool");
        fs::copy(&current, &finished).expect("copied");
        Unsynced::read(directory.path()).note(&finished, 8);
        let spool = Spool::open(directory.path()).expect("opens").spool;
        assert!(spool.written().finished_segments().expect("listed").contains(&finished));
        let packed = pack(&finished, || true).expect("packed").expect("not stopped");
        assert!(packed.put_in_place(&spool.size(), || true).expect("in place").is_some());
        let status = spool.sync_status();
        drop(spool);
        assert_eq!((status.trouble(), status.unsynced_bytes()), (None, 0));
        assert!(!finished.exists() && finished.with_added_extension("zst").exists());
        assert!(!directory.path().join(FILE).exists());
    }
}
