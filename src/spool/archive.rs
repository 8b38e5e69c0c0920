//! Compresses segments that are no longer written.

use super::{
    SpoolError,
    log_size::LogSize,
    reader::{self, COMPRESSED_EXTENSION, Found, PARTIAL_EXTENSION, SegmentReader},
};
use std::{
    ffi::OsStr,
    fs::{self, File},
    io::{self, Read, Write},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

/// Level 3 packs NSE bodies to a twentieth and SnapQuote frames to a quarter at several hundred MB/s.
const LEVEL: i32 = 3;

/// Tells attempts apart that may run side by side: one that was given up may not have noticed.
static ATTEMPTS: AtomicU64 = AtomicU64::new(0);

/// A segment compressed beside itself, not yet in its place. Dropped, it leaves the segment as it was.
#[derive(Debug)]
pub struct Packed {
    raw: PathBuf,
    partial: PathBuf,
    file: File,
    is_in_place: bool,
}

/// Compresses a segment that is no longer written. `goes_on` is asked for every record: it takes the news that there is
/// progress, and says whether to go on.
///
/// Every record is checked on its way: a compressed segment is the proof that the log is on the disk.
///
/// Returns `None` if it was not to go on.
///
/// # Errors
/// [`SpoolError::Damaged`] if not all of it is records, and what the operating system reports.
pub fn pack(raw: &Path, mut goes_on: impl FnMut() -> bool) -> Result<Option<Packed>, SpoolError> {
    let input = File::open(raw).map_err(SpoolError::io("open", raw))?;
    remove_partials(raw)?;
    let attempt = ATTEMPTS.fetch_add(1, Relaxed);
    let partial = raw.with_added_extension(format!("{attempt}.{PARTIAL_EXTENSION}"));
    let file = File::create(&partial).map_err(SpoolError::io("create", &partial))?;
    let packed = Packed { raw: raw.to_owned(), partial, file, is_in_place: false };
    let into = || SpoolError::io("compress into", &packed.partial);
    let mut encoder = zstd::Encoder::new(&packed.file, LEVEL).map_err(into())?;
    encoder.include_checksum(true).map_err(into())?;
    let mut records = SegmentReader::over(raw, Tee { input, output: &mut encoder }, 0);
    while let Some(found) = records.next_found()? {
        if let Found::Damage(damage) | Found::Tail { damage, .. } = found {
            return Err(damage.into());
        }
        if !goes_on() {
            return Ok(None);
        }
    }
    drop(records);
    encoder.finish().map_err(into())?;
    Ok(Some(packed))
}

/// Of attempts that were killed.
fn remove_partials(raw: &Path) -> Result<(), SpoolError> {
    let (Some(day), Some(name)) = (raw.parent(), raw.file_name()) else { return Ok(()) };
    for path in reader::list(day)? {
        let begins = |found: &OsStr| found.as_encoded_bytes().starts_with(name.as_encoded_bytes());
        if reader::is_partial(&path) && path.file_name().is_some_and(begins) {
            fs::remove_file(&path).map_err(SpoolError::io("remove", &path))?;
        }
    }
    Ok(())
}

impl Packed {
    /// Puts it in the raw segment's place once it is on the disk; returns its bytes. Killed anywhere, this leaves the raw
    /// segment complete or the compressed one. `None`, and nothing is changed, if `counts` says no when it is asked, right
    /// before. `size` is told what that changes.
    ///
    /// # Errors
    /// What the operating system reports; the raw segment stays then.
    pub fn put_in_place(
        mut self,
        size: &LogSize,
        counts: impl FnOnce() -> bool,
    ) -> Result<Option<u64>, SpoolError> {
        self.file.sync_all().map_err(SpoolError::io("sync", &self.partial))?;
        let bytes = self.file.metadata().map_err(SpoolError::io("inspect", &self.partial))?.len();
        if !counts() {
            return Ok(None);
        }
        let compressed = self.raw.with_added_extension(COMPRESSED_EXTENSION);
        let raw = self.raw.clone();
        size.across(&[&raw, &compressed], || {
            fs::rename(&self.partial, &compressed).map_err(SpoolError::io("rename to", &compressed))?;
            self.is_in_place = true;
            fs::remove_file(&self.raw).map_err(SpoolError::io("remove", &self.raw))?;
            Ok(Some(bytes))
        })
    }
}

impl Drop for Packed {
    fn drop(&mut self) {
        if !self.is_in_place {
            // A failed attempt must not keep the space it took.
            let _ = fs::remove_file(&self.partial);
        }
    }
}

/// Gives what it reads, and writes it too.
struct Tee<R, W> {
    input: R,
    output: W,
}

impl<R: Read, W: Write> Read for Tee<R, W> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.input.read(buffer)?;
        self.output.write_all(&buffer[..read])?;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        market::Timestamp,
        spool::{Frames, NewRecord, Source, Spool},
    };

    /// A log with one record, and its segment.
    fn segment(directory: &Path) -> PathBuf {
        let mut spool = Spool::open(directory).expect("opens").spool;
        let mut record = NewRecord {
            source: Source::NSE_CHAIN,
            received_time: Timestamp::from_us(1_769_743_800_000_000),
            context: String::new(),
            frames: Frames::one(b"text"),
        };
        spool.append(&mut record).expect("appended");
        spool.written().get().expect("a segment")
    }

    fn file_count(raw: &Path) -> usize {
        reader::list(raw.parent().expect("a day")).expect("listed").len()
    }

    #[test]
    fn a_damaged_segment_stays_as_it_is() {
        let directory = tempfile::tempdir().expect("a directory");
        let raw = segment(directory.path());
        let sound = fs::read(&raw).expect("readable");
        let mut damaged = sound.clone();
        *damaged.last_mut().expect("bytes") ^= 1;
        fs::write(&raw, &damaged).expect("written");
        let error = pack(&raw, || true).expect_err("no record");
        assert!(matches!(error, SpoolError::Damaged(_)), "{error}");
        assert!(fs::read(&raw).expect("it stays") == damaged);
        assert_eq!(file_count(&raw), 1, "nothing else does");
        fs::write(&raw, &sound).expect("written");
        let packed = pack(&raw, || true).expect("packed").expect("not stopped");
        assert!(packed.put_in_place(&LogSize::default(), || true).expect("in place").is_some());
        assert_eq!(file_count(&raw), 1);
        let packed = File::open(raw.with_added_extension(COMPRESSED_EXTENSION)).expect("a file");
        assert!(zstd::decode_all(packed).expect("unpacked") == sound);
    }

    #[test]
    fn who_is_stopped_or_given_up_changes_nothing() {
        let directory = tempfile::tempdir().expect("a directory");
        let raw = segment(directory.path());
        let sound = fs::read(&raw).expect("readable");
        assert!(pack(&raw, || false).expect("readable").is_none());
        let given_up = pack(&raw, || true).expect("packed").expect("not stopped");
        // Who follows takes away what was left.
        let next = pack(&raw, || true).expect("packed").expect("not stopped");
        assert_eq!(file_count(&raw), 2);
        assert_eq!(given_up.put_in_place(&LogSize::default(), || false).expect("refused"), None);
        assert!(fs::read(&raw).expect("it stays") == sound);
        assert!(next.put_in_place(&LogSize::default(), || true).expect("in place").is_some());
        assert!(!raw.exists());
        let day = raw.parent().expect("a day").file_name().and_then(|name| name.to_str()).expect("a name");
        let records = crate::spool::SpoolReader::open(directory.path(), day.parse().expect("a date"));
        assert_eq!(
            records.expect("readable").map(|record| record.expect("sound").seq).collect::<Vec<_>>(),
            [1]
        );
    }
}
