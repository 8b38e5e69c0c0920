//! Reads a day's records back, compressed or not, in order.

use super::{
    Record, SpoolError,
    codec::{self, DecodeError, PREFIX_LEN, SEGMENT_HEADER},
};
use crate::market::TradingDate;
use std::{
    fs::{self, File},
    io::{self, BufReader, Read},
    path::{Path, PathBuf},
};

pub(super) const RAW_EXTENSION: &str = "spool";
pub(super) const COMPRESSED_EXTENSION: &str = "zst";

/// The days that have segments, ascending.
///
/// # Errors
/// When the directory cannot be listed; one that does not exist has no days.
pub fn days(directory: &Path) -> Result<Vec<TradingDate>, SpoolError> {
    let names = list(directory)?;
    Ok(names.iter().filter_map(|path| path.file_name()?.to_str()?.parse().ok()).collect())
}

/// The segments of a day, ascending by hour. Where both forms of one hour exist, compression was interrupted
/// before the raw one was removed, and the raw one is complete.
pub(super) fn segments(directory: &Path, date: TradingDate) -> Result<Vec<PathBuf>, SpoolError> {
    let paths = list(&directory.join(date.to_string()))?;
    let raw = |path: &PathBuf| path.extension().is_some_and(|extension| extension == RAW_EXTENSION);
    let compressed = |path: &PathBuf| {
        path.extension().is_some_and(|extension| extension == COMPRESSED_EXTENSION)
            && path
                .file_stem()
                .is_some_and(|stem| Path::new(stem).extension().is_some_and(|e| e == RAW_EXTENSION))
            && !paths.contains(&path.with_extension(""))
    };
    Ok(paths.iter().filter(|path| raw(path) || compressed(path)).cloned().collect())
}

fn list(directory: &Path) -> Result<Vec<PathBuf>, SpoolError> {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(SpoolError::io("list", directory)(error)),
    };
    let mut paths = Vec::new();
    for entry in entries {
        paths.push(entry.map_err(SpoolError::io("list", directory))?.path());
    }
    paths.sort();
    Ok(paths)
}

/// One segment's records. Ends with [`DecodeError::Incomplete`] at a torn tail.
pub(super) struct SegmentReader {
    path: PathBuf,
    input: Box<dyn Read + Send>,
    offset: u64,
    body: Vec<u8>,
}

impl SegmentReader {
    pub fn open(path: &Path) -> Result<SegmentReader, SpoolError> {
        let file = File::open(path).map_err(SpoolError::io("open", path))?;
        let compressed = path.extension().is_some_and(|extension| extension == COMPRESSED_EXTENSION);
        let mut input: Box<dyn Read + Send> = if compressed {
            Box::new(BufReader::new(zstd::Decoder::new(file).map_err(SpoolError::io("decompress", path))?))
        } else {
            Box::new(BufReader::with_capacity(1 << 20, file))
        };
        let mut header = [0; SEGMENT_HEADER.len()];
        match read_up_to(&mut input, &mut header).map_err(SpoolError::io("read", path))? {
            // A segment whose creation was interrupted.
            0 => {}
            read if read < header.len() && header[..read] == SEGMENT_HEADER[..read] => {}
            _ if &header == SEGMENT_HEADER => {}
            _ => return Err(SpoolError::NotASegment { path: path.to_owned() }),
        }
        Ok(SegmentReader {
            path: path.to_owned(),
            input,
            offset: SEGMENT_HEADER.len() as u64,
            body: Vec::new(),
        })
    }

    /// Where the next record begins, counted in the uncompressed segment.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    pub fn next_record(&mut self) -> Result<Option<Result<Record, DecodeError>>, SpoolError> {
        let mut prefix = [0; PREFIX_LEN];
        match read_up_to(&mut self.input, &mut prefix).map_err(SpoolError::io("read", &self.path))? {
            0 => return Ok(None),
            PREFIX_LEN => {}
            _ => return Ok(Some(Err(DecodeError::Incomplete))),
        }
        let (body_len, crc) = match codec::decode_prefix(prefix) {
            Ok(parts) => parts,
            Err(error) => return Ok(Some(Err(error))),
        };
        self.body.resize(body_len, 0);
        let read = read_up_to(&mut self.input, &mut self.body).map_err(SpoolError::io("read", &self.path))?;
        if read < body_len {
            return Ok(Some(Err(DecodeError::Incomplete)));
        }
        let record = codec::decode_body(&self.body, crc);
        if record.is_ok() {
            self.offset += (PREFIX_LEN + body_len) as u64;
        }
        Ok(Some(record))
    }
}

fn read_up_to(input: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match input.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// All records of one day in order. Reading while the day is still being written gives what was complete.
pub struct SpoolReader {
    segments: std::vec::IntoIter<PathBuf>,
    current: Option<SegmentReader>,
}

impl SpoolReader {
    /// # Errors
    /// When the day's directory cannot be listed. A day without segments reads as empty.
    pub fn open(directory: &Path, date: TradingDate) -> Result<SpoolReader, SpoolError> {
        Ok(SpoolReader { segments: segments(directory, date)?.into_iter(), current: None })
    }

    /// A raw segment may be compressed between listing it and opening it.
    fn open_either(path: &Path) -> Result<SegmentReader, SpoolError> {
        match SegmentReader::open(path) {
            Err(SpoolError::Io { source, .. })
                if source.kind() == io::ErrorKind::NotFound
                    && path.extension().is_some_and(|extension| extension == RAW_EXTENSION) =>
            {
                SegmentReader::open(&path.with_added_extension(COMPRESSED_EXTENSION))
            }
            opened => opened,
        }
    }

    /// Where the reader stands, for error texts.
    fn damaged(segment: &SegmentReader, reason: &'static str) -> SpoolError {
        SpoolError::Damaged { path: segment.path.clone(), offset: segment.offset, reason }
    }
}

impl Iterator for SpoolReader {
    type Item = Result<Record, SpoolError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let Some(segment) = &mut self.current else {
                let path = self.segments.next()?;
                match Self::open_either(&path) {
                    Ok(segment) => self.current = Some(segment),
                    Err(error) => return Some(Err(error)),
                }
                continue;
            };
            match segment.next_record() {
                Ok(Some(Ok(record))) => return Some(Ok(record)),
                Ok(None) => self.current = None,
                // Only the segment being written may end within a record.
                Ok(Some(Err(DecodeError::Incomplete))) if self.segments.len() == 0 => self.current = None,
                Ok(Some(Err(DecodeError::Incomplete))) => {
                    let error = Self::damaged(segment, "a record is cut short");
                    self.current = None;
                    return Some(Err(error));
                }
                Ok(Some(Err(DecodeError::Damaged(reason)))) => {
                    let error = Self::damaged(segment, reason);
                    self.current = None;
                    return Some(Err(error));
                }
                Err(error) => {
                    self.current = None;
                    return Some(Err(error));
                }
            }
        }
    }
}
