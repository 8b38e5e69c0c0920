//! Reads a day's records back, compressed or not, in order.
//!
//! Damage costs the records that it touches: behind it the next record is searched, by its checksum and its number, which
//! is larger than the last one's. A compressed segment that cannot be decompressed on, and a file that cannot be read on,
//! lose their rest.

use super::{
    Damage, Record, SpoolError,
    codec::{self, DecodeError, PREFIX_LEN, RECORD_LEN_MIN, SEGMENT_HEADER},
};
use crate::market::TradingDate;
use std::{
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
};

pub(super) const RAW_EXTENSION: &str = "spool";
pub(super) const COMPRESSED_EXTENSION: &str = "zst";
/// Of what is not a compressed segment yet.
pub(super) const PARTIAL_EXTENSION: &str = "partial";

/// The days that have segments, ascending.
///
/// # Errors
/// When the directory cannot be listed; one that does not exist has no days.
pub fn days(directory: &Path) -> Result<Vec<TradingDate>, SpoolError> {
    let names = list(directory)?;
    Ok(names.iter().filter_map(|path| path.file_name()?.to_str()?.parse().ok()).collect())
}

/// Whether anything is left of a day in its directory, if it has one.
///
/// # Errors
/// When the directory cannot be listed.
pub fn has_segments(directory: &Path, date: TradingDate) -> Result<bool, SpoolError> {
    Ok(!segments(directory, date)?.is_empty())
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

/// Segments of all days that are not compressed, in order.
pub(super) fn raw_segments(directory: &Path) -> Result<Vec<PathBuf>, SpoolError> {
    let mut raw = Vec::new();
    for date in days(directory)? {
        let segments = segments(directory, date)?.into_iter();
        raw.extend(segments.filter(|path| path.extension().is_some_and(|e| e == RAW_EXTENSION)));
    }
    Ok(raw)
}

pub(super) fn is_partial(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == PARTIAL_EXTENSION)
}

/// The day and hour that a segment's name says; `None` for what is named otherwise.
pub(super) fn hour_of_path(path: &Path) -> Option<(TradingDate, u32)> {
    let date = path.parent()?.file_name()?.to_str()?.parse().ok()?;
    Some((date, path.file_name()?.to_str()?.get(..2)?.parse().ok()?))
}

pub(super) fn list(directory: &Path) -> Result<Vec<PathBuf>, SpoolError> {
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

/// What a segment holds, in its order.
pub(super) enum Found {
    Record(Record),
    /// A sound record follows.
    Damage(Damage),
    /// No sound record follows. `is_torn`: it looks like the beginning of one record.
    Tail {
        damage: Damage,
        is_torn: bool,
    },
}

/// One segment's records, and what is none between them.
pub(super) struct SegmentReader<'a> {
    path: PathBuf,
    input: Box<dyn Read + Send + 'a>,
    /// Read and not worked on yet, from `at` on.
    buffer: Vec<u8>,
    at: usize,
    /// Of `at` in the uncompressed segment.
    offset: u64,
    /// Where the last sound record ends.
    sound_end: u64,
    last_seq: u64,
    /// Read up to where the file ended then: it may grow.
    is_at_end: bool,
    failure: Option<io::Error>,
    /// The header was looked at.
    is_begun: bool,
}

/// What is read at once.
const CHUNK_BYTES: u64 = 1 << 20;

impl SegmentReader<'static> {
    /// `last_seq`: of the record before the segment; 0 if that is not known.
    pub fn open(path: &Path, last_seq: u64) -> Result<SegmentReader<'static>, SpoolError> {
        let file = File::open(path).map_err(SpoolError::io("open", path))?;
        if path.extension().is_some_and(|extension| extension == COMPRESSED_EXTENSION) {
            let decoder = zstd::Decoder::new(file).map_err(SpoolError::io("decompress", path))?;
            Ok(SegmentReader::over(path, decoder, last_seq))
        } else {
            Ok(SegmentReader::over(path, file, last_seq))
        }
    }
}

impl<'a> SegmentReader<'a> {
    /// Reads what `input` gives of the uncompressed segment named `path`.
    pub fn over(path: &Path, input: impl Read + Send + 'a, last_seq: u64) -> SegmentReader<'a> {
        SegmentReader {
            path: path.to_owned(),
            input: Box::new(input),
            buffer: Vec::new(),
            at: 0,
            offset: 0,
            sound_end: 0,
            last_seq,
            is_at_end: false,
            failure: None,
            is_begun: false,
        }
    }

    /// Where the last sound record ends, counted in the uncompressed segment; 0 if not even the header is there.
    pub fn sound_end(&self) -> u64 {
        self.sound_end
    }

    /// # Errors
    /// When the file cannot be read on, or not be decompressed. Everything before was given.
    pub fn next_found(&mut self) -> Result<Option<Found>, SpoolError> {
        if !self.is_begun {
            self.is_begun = true;
            let is_whole = self.fill(SEGMENT_HEADER.len())?;
            if is_whole && self.buffer.starts_with(SEGMENT_HEADER) {
                self.skip(SEGMENT_HEADER.len());
                self.sound_end = self.offset;
            } else if !is_whole && SEGMENT_HEADER.starts_with(&self.buffer) {
                // Its creation was interrupted.
                self.skip(self.buffer.len());
            } else {
                return self.search("it does not begin with the segment header", false).map(Some);
            }
        }
        if !self.fill(1)? {
            return Ok(None);
        }
        match self.decode()? {
            Ok((record, length)) => {
                self.skip(length);
                self.sound_end = self.offset;
                self.last_seq = record.seq;
                Ok(Some(Found::Record(record)))
            }
            Err(DecodeError::Incomplete) => self.search("a record is cut short", true).map(Some),
            Err(DecodeError::Damaged(reason)) => self.search(reason, false).map(Some),
        }
    }

    /// [`Self::next_found`], where what cannot be read on is damage up to the segment's end.
    pub fn next_readable(&mut self) -> Option<Found> {
        match self.next_found() {
            Ok(found) => found,
            Err(error) => {
                let (path, from) = (self.path.clone(), self.sound_end);
                let reason = describe_unreadable(&path, &error);
                self.skip(self.buffer.len() - self.at);
                Some(Found::Tail { damage: Damage { path, from, to: None, reason }, is_torn: false })
            }
        }
    }

    /// The record that begins here, and its length.
    fn decode(&mut self) -> Result<Result<(Record, usize), DecodeError>, SpoolError> {
        if !self.fill(PREFIX_LEN)? {
            return Ok(Err(DecodeError::Incomplete));
        }
        let prefix = self.buffer[self.at..].first_chunk().expect("that many were read");
        let (body_len, crc) = match codec::decode_prefix(*prefix) {
            Ok(parts) => parts,
            Err(error) => return Ok(Err(error)),
        };
        let length = PREFIX_LEN + body_len;
        if !self.fill(length)? {
            return Ok(Err(DecodeError::Incomplete));
        }
        let body = &self.buffer[self.at + PREFIX_LEN..self.at + length];
        Ok(codec::decode_body(body, crc).map(|record| (record, length)))
    }

    /// Goes on to the next sound record, behind what is none.
    fn search(&mut self, reason: &str, is_torn: bool) -> Result<Found, SpoolError> {
        let from = self.offset;
        let damage =
            |path: &Path, to| Damage { path: path.to_owned(), from, to: Some(to), reason: reason.to_owned() };
        while self.fill(1 + RECORD_LEN_MIN)? {
            self.skip(1);
            if codec::may_begin(&self.buffer[self.at..], self.last_seq) && self.decode()?.is_ok() {
                return Ok(Found::Damage(damage(&self.path, self.offset)));
            }
        }
        self.skip(self.buffer.len() - self.at);
        Ok(Found::Tail { damage: damage(&self.path, self.offset), is_torn })
    }

    fn skip(&mut self, length: usize) {
        self.at += length;
        self.offset += length as u64;
    }

    /// Has `length` bytes in the buffer; false if there are not so many.
    fn fill(&mut self, length: usize) -> Result<bool, SpoolError> {
        while self.buffer.len() - self.at < length {
            if let Some(error) = self.failure.take() {
                return Err(SpoolError::io("read", &self.path)(error));
            }
            if self.is_at_end {
                return Ok(false);
            }
            self.buffer.drain(..self.at);
            self.at = 0;
            match self.input.by_ref().take(CHUNK_BYTES).read_to_end(&mut self.buffer) {
                Ok(read) => self.is_at_end = (read as u64) < CHUNK_BYTES,
                // What came before it is worked on first.
                Err(error) => (self.is_at_end, self.failure) = (true, Some(error)),
            }
        }
        Ok(true)
    }
}

/// What is lost where a segment cannot be read on, and what to do: a library's own words say neither.
fn describe_unreadable(path: &Path, error: &SpoolError) -> String {
    let cause = match error {
        SpoolError::Io { source, .. } => source.to_string(),
        error => error.to_string(),
    };
    let step = match path.extension().is_some_and(|extension| extension == COMPRESSED_EXTENSION) {
        true => "decompressed",
        false => "read",
    };
    format!(
        "it cannot be {step} any further ({cause}), and its records from there on are lost; the store keeps the rows that it has \
         of them. With a sound copy of the file: stop bhavd, put the copy in its place, start bhavd again"
    )
}

/// All records of one day in order. Reading while the day is still being written gives what was complete.
///
/// Of an hour with several files the records come as they were received, for the lives of the daemon that wrote them may have
/// taken turns, and numbers may repeat then; a record that two files have is given once.
///
/// [`SpoolError::Damaged`] stands where records are lost; what is sound behind them follows.
pub struct SpoolReader {
    /// Those of an hour together.
    hours: std::vec::IntoIter<Vec<PathBuf>>,
    current: Vec<Reading>,
    last_seq: u64,
}

/// A segment, and what of it comes next.
struct Reading {
    segment: SegmentReader<'static>,
    next: Option<Found>,
    /// Of the day: it may be being written.
    is_last: bool,
}

impl SpoolReader {
    /// # Errors
    /// When the day's directory cannot be listed. A day without segments reads as empty.
    pub fn open(directory: &Path, date: TradingDate) -> Result<SpoolReader, SpoolError> {
        let segments = segments(directory, date)?;
        let hours = segments.chunk_by(|a, b| hour_of_path(a) == hour_of_path(b));
        let hours: Vec<_> = hours.map(<[PathBuf]>::to_vec).collect();
        Ok(SpoolReader { hours: hours.into_iter(), current: Vec::new(), last_seq: 0 })
    }

    /// Those of a day's records that were received that day: files of another one may lie in its directory.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_own(
        directory: &Path,
        date: TradingDate,
    ) -> Result<impl Iterator<Item = Result<Record, SpoolError>>, SpoolError> {
        let is_own = move |read: &Result<Record, _>| {
            read.as_ref().is_ok_and(|record| record.is_of(date)) || read.is_err()
        };
        Ok(SpoolReader::open(directory, date)?.filter(is_own))
    }

    /// A raw segment may be compressed between listing it and opening it.
    fn open_either(path: &Path, last_seq: u64) -> Result<SegmentReader<'static>, SpoolError> {
        match SegmentReader::open(path, last_seq) {
            Err(SpoolError::Io { source, .. })
                if source.kind() == io::ErrorKind::NotFound
                    && path.extension().is_some_and(|extension| extension == RAW_EXTENSION) =>
            {
                SegmentReader::open(&path.with_added_extension(COMPRESSED_EXTENSION), last_seq)
            }
            opened => opened,
        }
    }

    /// Begins with the next hour's files; those that cannot be opened are told first.
    fn open_hour(&mut self, paths: &[PathBuf]) -> Result<(), SpoolError> {
        let is_last_hour = self.hours.len() == 0;
        let mut failure = None;
        for (at, path) in paths.iter().enumerate() {
            match Self::open_either(path, self.last_seq) {
                Ok(segment) => {
                    let is_last = is_last_hour && at + 1 == paths.len();
                    self.current.push(Reading { segment, next: None, is_last });
                }
                Err(error) => failure = failure.or(Some(error)),
            }
        }
        failure.map_or(Ok(()), Err)
    }
}

impl Iterator for SpoolReader {
    type Item = Result<Record, SpoolError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if self.current.is_empty() {
                let paths = self.hours.next()?;
                if let Err(error) = self.open_hour(&paths) {
                    return Some(Err(error));
                }
            }
            for reading in &mut self.current {
                if reading.next.is_none() {
                    reading.next = reading.segment.next_readable();
                }
            }
            self.current.retain(|reading| reading.next.is_some());
            let place = |at: &usize| match &self.current[*at].next {
                Some(Found::Record(record)) => Some((record.received_time, record.seq)),
                // Told at once.
                _ => None,
            };
            let Some(first) = (0..self.current.len()).min_by_key(place) else { continue };
            let is_last = self.current[first].is_last;
            match self.current[first].next.take() {
                Some(Found::Record(record)) => {
                    self.last_seq = record.seq;
                    for reading in &mut self.current {
                        if matches!(&reading.next, Some(Found::Record(other)) if *other == record) {
                            reading.next = None;
                        }
                    }
                    return Some(Ok(record));
                }
                // The segment being written may end within a record.
                Some(Found::Tail { is_torn: true, .. }) if is_last => {}
                Some(Found::Damage(damage) | Found::Tail { damage, .. }) => {
                    return Some(Err(damage.into()));
                }
                None => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        market::Timestamp,
        spool::{Mark, NewRecord, Spool},
    };
    use chrono::NaiveTime;

    /// A life of the daemon that goes on behind record `after`, with so many records of nine o'clock.
    fn live(directory: &Path, date: TradingDate, after: u64, records: i64) {
        let mut spool = Spool::open(directory).expect("opens").spool;
        spool.skip_numbers_to(after);
        for second in 0..records {
            let at = Timestamp::on(date, NaiveTime::MIN).plus_seconds(9 * 3_600 + after as i64 + second);
            spool.append(&mut NewRecord::mark(at, &Mark::clock([]))).expect("appended");
        }
    }

    #[test]
    fn files_of_an_hour_whose_lives_took_turns_are_read_as_they_were_received() {
        let home = tempfile::tempdir().expect("a directory");
        let (log, other) = (home.path().join("log"), home.path().join("other"));
        let date = TradingDate::from_ymd_opt(2026, 1, 30).expect("a date");
        // The log was away for one life.
        live(&log, date, 0, 3);
        live(&other, date, 3, 2);
        live(&log, date, 5, 2);
        let file = |directory: &Path, name: &str| directory.join(date.to_string()).join(name);
        let read = |directory: &Path| -> Vec<u64> {
            let records = SpoolReader::open(directory, date).expect("opens");
            records.map(|record| record.expect("sound").seq).collect()
        };
        let beside = file(&log, "09-before.spool");
        fs::copy(file(&other, "09.spool"), &beside).expect("copied");
        assert_eq!(read(&log), [1, 2, 3, 4, 5, 6, 7]);
        // The other way round, the file that goes on has the smaller numbers.
        fs::copy(file(&log, "09.spool"), file(&other, "09-before.spool")).expect("copied");
        assert_eq!(read(&other), [1, 2, 3, 4, 5, 6, 7]);
        assert_eq!(Spool::open(&other).expect("opens").spool.next_seq(), 8, "no number is given twice");
        fs::copy(file(&log, "09.spool"), &beside).expect("copied");
        assert_eq!(read(&log), [1, 2, 3, 6, 7], "a copy gives nothing twice");
        let whole = fs::read(file(&other, "09.spool")).expect("readable");
        fs::write(&beside, &whole[..whole.len() - 1]).expect("written");
        let cut: Vec<_> = SpoolReader::open(&log, date).expect("opens").collect();
        assert_eq!(
            cut.iter().filter(|read| read.is_err()).count(),
            1,
            "the file beside is not being written"
        );
        assert_eq!(cut.len(), 7, "record 5 is lost");
    }
}
