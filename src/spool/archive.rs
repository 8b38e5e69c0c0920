//! Compresses segments that are no longer written.

use super::{
    SpoolError,
    log_size::LogSize,
    reader::{COMPRESSED_EXTENSION, Found, SegmentReader},
};
use std::{
    fs::{self, File},
    io::{self, Read, Write},
    path::Path,
};

/// Level 3 packs NSE bodies to a twentieth and SnapQuote frames to a quarter at several hundred MB/s.
const LEVEL: i32 = 3;

/// Compresses a segment beside itself and removes the raw file once the compressed one is on disk. Killed anywhere, it
/// leaves the raw file complete or the compressed one. `size` is told what that changes.
///
/// Every record is checked on its way: a compressed segment is the proof that the log is on the disk.
///
/// # Errors
/// [`SpoolError::Damaged`] if not all of it is records, and what the operating system reports; the raw file stays then.
pub fn compress(raw: &Path, size: &LogSize) -> Result<(), SpoolError> {
    let compressed = raw.with_added_extension(COMPRESSED_EXTENSION);
    let partial = raw.with_added_extension("partial");
    size.across(&[raw, &compressed, &partial], || compress_into(raw, &compressed, &partial))
}

fn compress_into(raw: &Path, compressed: &Path, partial: &Path) -> Result<(), SpoolError> {
    let input = File::open(raw).map_err(SpoolError::io("open", raw))?;
    let output = File::create(partial).map_err(SpoolError::io("create", partial))?;
    let into = || SpoolError::io("compress into", partial);
    let pack = || -> Result<(), SpoolError> {
        let mut encoder = zstd::Encoder::new(output, LEVEL).map_err(into())?;
        encoder.include_checksum(true).map_err(into())?;
        let mut records = SegmentReader::over(raw, Tee { input, output: &mut encoder }, 0);
        while let Some(found) = records.next_found()? {
            if let Found::Damage(damage) | Found::Tail { damage, .. } = found {
                return Err(damage.into());
            }
        }
        drop(records);
        encoder.finish().and_then(|file| file.sync_all()).map_err(into())
    };
    if let Err(error) = pack() {
        // A failed attempt must not keep the space it took.
        let _ = fs::remove_file(partial);
        return Err(error);
    }
    fs::rename(partial, compressed).map_err(SpoolError::io("rename to", compressed))?;
    fs::remove_file(raw).map_err(SpoolError::io("remove", raw))
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

    #[test]
    fn a_damaged_segment_stays_as_it_is() {
        let directory = tempfile::tempdir().expect("a directory");
        let mut spool = Spool::open(directory.path()).expect("opens").spool;
        let mut record = NewRecord {
            source: Source::NseChain,
            received_time: Timestamp::from_us(1_769_743_800_000_000),
            context: String::new(),
            frames: Frames::one(b"text"),
        };
        spool.append(&mut record).expect("appended");
        drop(spool);
        let day = directory.path().join(record.received_time.date_ist().to_string());
        let raw = fs::read_dir(&day).expect("a day").next().expect("a segment").expect("an entry").path();
        let sound = fs::read(&raw).expect("readable");
        let mut damaged = sound.clone();
        *damaged.last_mut().expect("bytes") ^= 1;
        fs::write(&raw, &damaged).expect("written");
        let error = compress(&raw, &LogSize::default()).expect_err("no record");
        assert!(matches!(error, SpoolError::Damaged(_)), "{error}");
        assert!(fs::read(&raw).expect("it stays") == damaged);
        assert_eq!(fs::read_dir(&day).expect("a day").count(), 1, "nothing else does");
        fs::write(&raw, &sound).expect("written");
        compress(&raw, &LogSize::default()).expect("compressed");
        let packed = File::open(raw.with_added_extension(COMPRESSED_EXTENSION)).expect("a file");
        assert!(zstd::decode_all(packed).expect("unpacked") == sound);
    }
}
