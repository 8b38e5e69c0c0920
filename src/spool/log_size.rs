//! Files and bytes of the log; readable from anywhere without asking the disk.
//!
//! Counted once, when the log is opened, and adjusted by whatever changes a file after that. What is there is all that
//! stands in the days' directories: segments, and what is kept beside them; a compressed copy counts once it is in its
//! place. What somebody else removes counts until the log is opened again, and so may what two jobs change at one moment.

use super::{SpoolError, reader};
use std::{
    fs,
    path::Path,
    sync::atomic::{AtomicI64, Ordering::Relaxed},
};

#[derive(Debug, Default)]
pub struct LogSize {
    // Signed: adjusting in any order must not go round.
    files: AtomicI64,
    bytes: AtomicI64,
}

impl LogSize {
    pub fn files(&self) -> u64 {
        self.files.load(Relaxed).max(0).unsigned_abs()
    }

    pub fn bytes(&self) -> u64 {
        self.bytes.load(Relaxed).max(0).unsigned_abs()
    }

    /// Walks the log's directory. A file that cannot be inspected counts nothing.
    ///
    /// # Errors
    /// When a directory cannot be listed.
    pub(super) fn count(&self, directory: &Path) -> Result<(), SpoolError> {
        let (mut files, mut bytes) = (0, 0);
        for day in reader::days(directory)? {
            let mut files_of_day = reader::list(&directory.join(day.to_string()))?;
            files_of_day.retain(|path| !reader::is_partial(path));
            let found = measure(&files_of_day);
            (files, bytes) = (files + found.0, bytes + found.1);
        }
        self.files.store(files, Relaxed);
        self.bytes.store(bytes, Relaxed);
        Ok(())
    }

    /// A file has become longer.
    pub(super) fn add_bytes(&self, bytes: u64) {
        self.bytes.fetch_add(bytes.cast_signed(), Relaxed);
    }

    /// Counts what `work` makes of these files, whether it succeeds or not.
    pub(super) fn across<T>(&self, paths: &[impl AsRef<Path>], work: impl FnOnce() -> T) -> T {
        let before = measure(paths);
        let done = work();
        let after = measure(paths);
        self.files.fetch_add(after.0 - before.0, Relaxed);
        self.bytes.fetch_add(after.1 - before.1, Relaxed);
        done
    }
}

/// Files and bytes of those that are there.
fn measure(paths: &[impl AsRef<Path>]) -> (i64, i64) {
    let found = paths.iter().filter_map(|path| fs::symlink_metadata(path).ok());
    found.fold((0, 0), |(files, bytes), file| (files + 1, bytes + file.len().cast_signed()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        market::Timestamp,
        spool::{Frames, NewRecord, Source, Spool, pack},
    };

    /// So many hours after the day's first, with a body of `length` bytes.
    fn record(hour: i64, length: usize) -> NewRecord {
        let body: Vec<u8> = (0..length).map(|place| (place * place / 7) as u8).collect();
        NewRecord {
            source: Source::NSE_CHAIN,
            received_time: Timestamp::from_us(1_769_743_800_000_000).plus_seconds(3_600 * hour),
            context: String::new(),
            frames: Frames::one(&body),
        }
    }

    /// As the job does.
    fn archive(spool: &Spool) {
        for raw in spool.written().finished_segments().expect("listed") {
            if let Ok(Some(packed)) = pack(&raw, || true) {
                assert!(packed.put_in_place(&spool.size(), || true).expect("in place").is_some());
            }
        }
    }

    /// As somebody counts who does not trust the counters.
    fn walk(directory: &Path) -> (u64, u64) {
        let entries = |path: &Path| fs::read_dir(path).into_iter().flatten().flatten();
        entries(directory)
            .flat_map(|day| entries(&day.path()).collect::<Vec<_>>())
            .map(|file| file.metadata().expect("a size").len())
            .fold((0, 0), |(files, bytes), length| (files + 1, bytes + length))
    }

    fn counted(size: &LogSize) -> (u64, u64) {
        (size.files(), size.bytes())
    }

    #[test]
    fn the_counters_equal_a_walk_after_appends_rotation_and_reopening() {
        let directory = tempfile::tempdir().expect("a directory");
        let mut spool = Spool::open(directory.path()).expect("opens").spool;
        let size = spool.size();
        assert_eq!(counted(&size), (0, 0));
        for length in [10, 4_000, 300_000] {
            spool.append(&mut record(0, length)).expect("appended");
            assert_eq!(counted(&size), walk(directory.path()));
        }
        assert_eq!(size.files(), 1);
        let before = size.bytes();
        spool.append(&mut record(1, 50)).expect("appended in the next hour");
        spool.append(&mut record(30, 50)).expect("appended on the next day");
        archive(&spool);
        drop(spool);
        assert_eq!(counted(&size), walk(directory.path()));
        assert!(size.files() == 3 && size.bytes() < before, "two are compressed: {size:?}");
        let spool = Spool::open(directory.path()).expect("opens again").spool;
        assert_eq!(counted(&spool.size()), counted(&size));
    }

    #[test]
    fn what_an_interrupted_compression_left_and_what_is_cut_are_counted() {
        let directory = tempfile::tempdir().expect("a directory");
        let mut spool = Spool::open(directory.path()).expect("opens").spool;
        spool.append(&mut record(0, 20_000)).expect("appended");
        drop(spool);
        let day = directory.path().join(record(0, 0).received_time.date_ist().to_string());
        let raw = fs::read_dir(&day).expect("a day").next().expect("a segment").expect("an entry").path();
        fs::write(raw.with_added_extension("partial"), [1; 500]).expect("written");
        let mut bytes = fs::read(&raw).expect("readable");
        bytes.extend_from_slice(&[1; 300]);
        fs::write(&raw, bytes).expect("written");
        let mut spool = Spool::open(directory.path()).expect("opens again").spool;
        let size = spool.size();
        let (files, bytes) = walk(directory.path());
        assert_eq!(counted(&size), (files - 1, bytes - 500), "no partial copy");
        spool.append(&mut record(1, 20_000)).expect("appended in the next hour");
        archive(&spool);
        drop(spool);
        assert_eq!(counted(&size), walk(directory.path()));
        assert!(!raw.exists(), "compressed");
    }

    #[test]
    fn a_segment_that_stays_uncompressed_counts_as_it_is() {
        let directory = tempfile::tempdir().expect("a directory");
        let mut spool = Spool::open(directory.path()).expect("opens").spool;
        spool.append(&mut record(0, 100)).expect("appended");
        let size = spool.size();
        let day = directory.path().join(record(0, 0).received_time.date_ist().to_string());
        let path = fs::read_dir(&day).expect("a day").next().expect("a segment").expect("an entry").path();
        let mut bytes = fs::read(&path).expect("readable");
        bytes[60] ^= 1;
        fs::write(&path, bytes).expect("written");
        spool.append(&mut record(1, 100)).expect("appended in the next hour");
        archive(&spool);
        drop(spool);
        assert!(path.exists());
        assert_eq!(counted(&size), walk(directory.path()));
    }
}
