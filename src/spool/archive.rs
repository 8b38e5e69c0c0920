//! Compresses segments that are no longer written.

use super::{
    SpoolError,
    log_size::LogSize,
    reader::{self, COMPRESSED_EXTENSION, Found, PARTIAL_EXTENSION, SegmentReader},
};
use std::{
    ffi::OsStr,
    fs::{self, File},
    io::{self, BufRead, BufReader, Read, Write},
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
    /// A compressed segment that is there already loses no record: it stays where it has all of the raw one's, as of a copy that
    /// was put back, and is kept beside as `HH-before.spool.zst` where it has others.
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
        let (raw, kept) = (self.raw.clone(), free_name_before(&compressed));
        size.across(&[&raw, &compressed, &kept], || {
            let known = if compressed.exists() { compare(&compressed, &raw)? } else { Known::Less };
            if known == Known::Other {
                fs::rename(&compressed, &kept).map_err(SpoolError::io("rename to", &kept))?;
            }
            if known != Known::All {
                fs::rename(&self.partial, &compressed).map_err(SpoolError::io("rename to", &compressed))?;
                self.is_in_place = true;
            }
            fs::remove_file(&self.raw).map_err(SpoolError::io("remove", &self.raw))?;
            Ok(Some(bytes))
        })
    }
}

/// What a compressed segment has of a raw one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Known {
    /// Its beginning at most.
    Less,
    All,
    /// Records that the raw one has not.
    Other,
}

/// One that cannot be read has others.
fn compare(compressed: &Path, raw: &Path) -> Result<Known, SpoolError> {
    let mut ours = BufReader::new(File::open(raw).map_err(SpoolError::io("open", raw))?);
    let packed = File::open(compressed).map_err(SpoolError::io("open", compressed))?;
    let Ok(decoder) = zstd::Decoder::new(packed) else { return Ok(Known::Other) };
    let mut theirs = BufReader::new(decoder);
    loop {
        let read = ours.fill_buf().map_err(SpoolError::io("read", raw))?;
        let Ok(known) = theirs.fill_buf() else { return Ok(Known::Other) };
        let both = read.len().min(known.len());
        if read[..both] != known[..both] {
            return Ok(Known::Other);
        }
        match (read.is_empty(), known.is_empty()) {
            (true, _) => return Ok(Known::All),
            (false, true) => return Ok(Known::Less),
            (false, false) => {}
        }
        ours.consume(both);
        theirs.consume(both);
    }
}

/// Where another file of a segment's name is kept: `14-before.spool.zst`.
pub(super) fn free_name_before(segment: &Path) -> PathBuf {
    let name = segment.file_name().unwrap_or_default().to_string_lossy();
    let (hour, extension) = name.split_once('.').unwrap_or((&name, ""));
    let names = (1..).map(|count| match count {
        1 => format!("{hour}-before.{extension}"),
        _ => format!("{hour}-before-{count}.{extension}"),
    });
    let mut free = names.map(|name| segment.with_file_name(name)).filter(|path| !path.exists());
    free.next().unwrap_or_default()
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
    fn a_compressed_segment_that_is_there_already_loses_no_record() {
        let directory = tempfile::tempdir().expect("a directory");
        let raw = segment(directory.path());
        let sound = fs::read(&raw).expect("readable");
        let compressed = raw.with_added_extension(COMPRESSED_EXTENSION);
        let longer = [sound.as_slice(), b"further records"].concat();
        let other = [&sound[..8], b"of another log".as_slice()].concat();
        let kept = free_name_before(&compressed);
        for (there, stays, is_kept) in [
            (sound.as_slice(), &sound, false),
            (&sound[..8], &sound, false),
            (longer.as_slice(), &longer, false),
            (other.as_slice(), &sound, true),
        ] {
            fs::write(&raw, &sound).expect("written");
            fs::write(&compressed, zstd::encode_all(there, LEVEL).expect("packed")).expect("written");
            let packed = pack(&raw, || true).expect("packed").expect("not stopped");
            assert!(packed.put_in_place(&LogSize::default(), || true).expect("in place").is_some());
            let unpacked =
                |path: &Path| zstd::decode_all(File::open(path).expect("a file")).expect("unpacked");
            assert!(unpacked(&compressed) == *stays);
            assert!(!raw.exists());
            assert_eq!(kept.exists(), is_kept);
            assert!(!is_kept || unpacked(&kept) == there);
        }
        // One that cannot be read is kept too, under a name of its own.
        fs::write(&raw, &sound).expect("written");
        fs::write(&compressed, b"no segment").expect("written");
        let packed = pack(&raw, || true).expect("packed").expect("not stopped");
        assert!(packed.put_in_place(&LogSize::default(), || true).expect("in place").is_some());
        let second = kept
            .with_file_name(kept.file_name().expect("named").to_string_lossy().replace("before", "before-2"));
        assert!(fs::read(second).expect("it stays") == b"no segment");
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
