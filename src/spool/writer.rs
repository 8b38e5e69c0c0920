//! Appends records, rotates by the hour, and leaves a readable log however it ends.

use super::{
    Damage, NewRecord, SpoolError, WrittenSegment,
    ahead::take_up_packed,
    archive::free_name_before,
    codec::{self, BODY_LEN_MAX, SEGMENT_HEADER},
    flusher::Flusher,
    log_size::LogSize,
    reader::{self, COMPRESSED_EXTENSION, Found, RAW_EXTENSION, SegmentReader},
    segment::Segment,
    sync_status::SyncStatus,
    tail::Tail,
    unsynced::Unsynced,
};
use crate::market::{Timestamp, TradingDate};
use chrono::Timelike;
use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    sync::Arc,
};
use tokio::sync::watch;

/// What may pile up between two syncs however fast records come.
const UNSYNCED_BYTES_MAX: u64 = 16 << 20;

/// The open log. One a directory: a lock file keeps a second one out.
#[derive(Debug)]
pub struct Spool {
    directory: PathBuf,
    segment: Option<Segment>,
    next_seq: u64,
    last_received: Timestamp,
    head: Vec<u8>,
    flusher: Flusher,
    size: Arc<LogSize>,
    /// Of the segment that is being written; it never goes back.
    written: watch::Sender<Option<PathBuf>>,
    _lock: File,
}

/// What may stand beside a segment: what was cut off it and is more than a record that was never completed.
const DAMAGED_EXTENSION: &str = "damaged";

/// Bytes behind the last sound record: mostly of one that was being written when the daemon died, never acknowledged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TornTail {
    pub path: PathBuf,
    pub offset: u64,
    pub bytes_cut: u64,
    /// Where they are kept if they may be more than that.
    pub kept: Option<PathBuf>,
}

/// What opening found.
#[derive(Debug)]
pub struct Opened {
    pub spool: Spool,
    pub torn_tail: Option<TornTail>,
    /// What is lost of the segments that were looked at; all other segments were not read.
    pub damages: Vec<Damage>,
}

impl Spool {
    /// Opens or creates the log and cuts a torn tail.
    ///
    /// # Errors
    /// When the directory is locked by another process, or cannot be read or written.
    pub fn open(directory: &Path) -> Result<Opened, SpoolError> {
        fs::create_dir_all(directory).map_err(SpoolError::io("create", directory))?;
        let lock = lock(directory)?;
        let unsynced = Unsynced::read(directory);
        let mut spool = Spool {
            directory: directory.to_owned(),
            segment: None,
            next_seq: 1,
            last_received: Timestamp::NEVER,
            head: Vec::new(),
            flusher: Flusher::start(directory, unsynced.clone())?,
            size: Arc::default(),
            written: watch::Sender::new(None),
            _lock: lock,
        };
        let (torn_tail, damages) = spool.take_up()?;
        spool.suspect(&unsynced)?;
        spool.size.count(directory)?;
        Ok(Opened { spool, torn_tail, damages })
    }

    /// Goes on behind the last record that is there.
    fn take_up(&mut self) -> Result<(Option<TornTail>, Vec<Damage>), SpoolError> {
        let (mut torn_tail, mut damages) = (None, Vec::new());
        let directory = self.directory.clone();
        let mut last_hour = None;
        'newest_first: for date in reader::days(&directory)?.into_iter().rev() {
            for path in reader::segments(&directory, date)?.iter().rev() {
                // A segment may hold no record yet: then an earlier one has the last number.
                if self.next_seq > 1 && reader::hour_of_path(path) != last_hour {
                    break 'newest_first;
                }
                last_hour = reader::hour_of_path(path);
                if self.segment.is_none() {
                    torn_tail = self.resume(path, &mut damages)?;
                } else {
                    self.learn_last(path, &mut damages)?;
                }
            }
        }
        self.tell_written();
        Ok((torn_tail, damages))
    }

    /// As [`Self::take_up`], after records were taken out; no number is given twice.
    pub(super) fn take_up_again(&mut self) -> Result<(), SpoolError> {
        let last_seq = self.next_seq - 1;
        self.segment = None;
        (self.next_seq, self.last_received) = (1, Timestamp::NEVER);
        self.take_up()?;
        self.skip_numbers_to(last_seq);
        self.size.count(&self.directory)
    }

    /// Takes up the last segment: learns the last number and cuts what was not completed. Where a sound record follows,
    /// nothing is cut: that is damage and no tear.
    fn resume(&mut self, path: &Path, damages: &mut Vec<Damage>) -> Result<Option<TornTail>, SpoolError> {
        if path.extension().is_some_and(|extension| extension != RAW_EXTENSION) {
            self.learn_last(path, damages)?;
            return Ok(None);
        }
        let mut segment = SegmentReader::open(path, 0)?;
        let (mut hour, mut tail) = (None, None);
        while let Some(found) = segment.next_found()? {
            match found {
                Found::Record(record) => {
                    self.next_seq = record.seq + 1;
                    self.last_received = record.received_time;
                    hour.get_or_insert(hour_of(record.received_time));
                }
                Found::Damage(damage) => damages.push(damage),
                // Damage there is a tear too: blocks of a file may reach the disk out of order.
                Found::Tail { is_torn, .. } => tail = Some(is_torn),
            }
        }
        let mut length = segment.sound_end();
        let file =
            OpenOptions::new().read(true).append(true).open(path).map_err(SpoolError::io("open", path))?;
        let found = file.metadata().map_err(SpoolError::io("inspect", path))?.len();
        let torn_tail = match tail {
            Some(is_torn) => {
                let bytes_cut = found.saturating_sub(length);
                let is_more = !is_torn || bytes_cut > BODY_LEN_MAX as u64;
                let kept = is_more.then(|| keep_beside(path, &file, length)).transpose()?;
                Some(TornTail { path: path.to_owned(), offset: length, bytes_cut, kept })
            }
            None => None,
        };
        if found > length {
            file.set_len(length).map_err(SpoolError::io("cut", path))?;
        }
        if length == 0 {
            (&file).write_all(SEGMENT_HEADER).map_err(SpoolError::io("write", path))?;
            length = SEGMENT_HEADER.len() as u64;
        }
        // Of an empty one its name says it: what comes must not go to an hour before, which may be compressed.
        let hour = hour.or_else(|| reader::hour_of_path(path)).unwrap_or((TradingDate::MIN, 0));
        let tail = Arc::new(Tail::new(path.to_owned(), file, length));
        self.segment = Some(Segment::new(tail, length, hour, self.flusher.status()));
        Ok(torn_tail)
    }

    /// Of a finished segment, which may be an earlier one of the same hour.
    fn learn_last(&mut self, path: &Path, damages: &mut Vec<Damage>) -> Result<(), SpoolError> {
        let mut segment = SegmentReader::open(path, 0)?;
        while let Some(found) = segment.next_readable() {
            match found {
                Found::Record(record) => {
                    self.next_seq = self.next_seq.max(record.seq + 1);
                    self.last_received = self.last_received.max(record.received_time);
                }
                Found::Damage(damage) | Found::Tail { damage, .. } => damages.push(damage),
            }
        }
        Ok(())
    }

    /// Has what an earlier life did not get onto the disk written again. A segment that is compressed is on the disk, and
    /// one that is gone has nothing to write.
    fn suspect(&self, unsynced: &Unsynced) -> Result<(), SpoolError> {
        let mut suspects = Vec::new();
        let current = self.segment.as_ref().map(|segment| &segment.tail.path);
        for path in reader::raw_segments(&self.directory)? {
            if Some(&path) == current {
                continue;
            }
            if let Some(from) = unsynced.from(&path) {
                let file = File::open(&path).map_err(SpoolError::io("open", &path))?;
                let length = file.metadata().map_err(SpoolError::io("inspect", &path))?.len();
                suspects.push((Arc::new(Tail::new(path.clone(), file, length)), from));
            }
        }
        if let Some(segment) = &self.segment {
            let from = unsynced.from(&segment.tail.path);
            suspects.extend(from.map(|from| (Arc::clone(&segment.tail), from)));
        }
        self.flusher.suspect(suspects);
        Ok(())
    }

    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The number the next record gets.
    pub fn next_seq(&self) -> u64 {
        self.next_seq
    }

    /// Receive time of the last record; [`Timestamp::NEVER`] in an empty log.
    pub fn last_received(&self) -> Timestamp {
        self.last_received
    }

    /// Goes on counting above `seq` where the log itself ends earlier: a store that has checkpointed records of a
    /// log that was deleted since must not take further ones for old.
    pub fn skip_numbers_to(&mut self, seq: u64) {
        self.next_seq = self.next_seq.max(seq + 1);
    }

    /// Appends one record. When this returns the operating system has it: a kill of this process loses nothing.
    ///
    /// Receive times never go back in the log: one that is earlier than the record before is raised to it.
    ///
    /// # Errors
    /// [`SpoolError::Full`] leaves the log as it was before the call; the same record may be tried again.
    /// [`SpoolError::TooLarge`] leaves it as it was too; the record will never be taken.
    pub fn append(&mut self, record: &mut NewRecord) -> Result<u64, SpoolError> {
        if !codec::is_writable(record) {
            return Err(SpoolError::TooLarge {
                origin: record.source,
                body_bytes: record.frames.byte_len(),
                context_bytes: record.context.len(),
            });
        }
        record.received_time = record.received_time.max(self.last_received);
        self.rotate_to(hour_of(record.received_time))?;
        let segment = self.segment.as_mut().expect("rotate_to opened one");
        let body = record.frames.bytes();
        let padding = segment.direct_padding(codec::head_len(record), body);
        codec::encode_head(self.next_seq, record, padding.unwrap_or(0), &mut self.head);
        let before = segment.length;
        let appended = segment.append(&self.head, body, padding.is_some());
        appended.map_err(SpoolError::io("append to", &segment.tail.path))?;
        self.size.add_bytes(segment.length - before);
        if segment.cached >= UNSYNCED_BYTES_MAX {
            self.flush_soon();
        }
        let seq = self.next_seq;
        self.next_seq += 1;
        self.last_received = record.received_time;
        Ok(seq)
    }

    /// Has what was appended forced onto the disk, against a loss of power, without waiting for it.
    pub fn flush_soon(&mut self) {
        if let Some(segment) = self.segment.as_mut().filter(|segment| segment.flushed != segment.length) {
            (segment.flushed, segment.cached) = (segment.length, 0);
            self.flusher.request(&segment.tail);
        }
    }

    /// Whether the disk takes what was appended.
    pub fn sync_status(&self) -> Arc<SyncStatus> {
        self.flusher.status()
    }

    /// How much of the disk the log takes.
    pub fn size(&self) -> Arc<LogSize> {
        Arc::clone(&self.size)
    }

    fn rotate_to(&mut self, hour: (TradingDate, u32)) -> Result<(), SpoolError> {
        // A later one: the hour before is being compressed, and a record of it was refused after the rotation.
        if self.segment.as_ref().is_some_and(|segment| segment.hour >= hour) {
            return Ok(());
        }
        if let Some(segment) = &mut self.segment {
            segment.trim().map_err(SpoolError::io("cut", &segment.tail.path))?;
        }
        let day = self.directory.join(hour.0.to_string());
        fs::create_dir_all(&day).map_err(SpoolError::io("create", &day))?;
        let path = day.join(format!("{:02}.{RAW_EXTENSION}", hour.1));
        let packed = path.with_added_extension(COMPRESSED_EXTENSION);
        let aside = [&path, &packed].map(|segment| free_name_before(segment));
        let (file, found) = self.size.across(&[&path, &packed, &aside[0], &aside[1]], || {
            set_foreign_aside(&path, &aside[0], hour.0)?;
            set_foreign_aside(&packed, &aside[1], hour.0)?;
            take_up_packed(&path, &packed)?;
            create(&path)
        })?;
        let length = found.max(SEGMENT_HEADER.len() as u64);
        self.flush_soon();
        let tail = Arc::new(Tail::new(path, file, length));
        self.segment = Some(Segment::new(tail, length, hour, self.flusher.status()));
        self.tell_written();
        Ok(())
    }

    /// Which segment is being written, from now on.
    pub fn written(&self) -> WrittenSegment {
        WrittenSegment::new(self.directory.clone(), self.written.subscribe(), self.size())
    }

    fn tell_written(&self) {
        self.written.send_replace(self.segment.as_ref().map(|segment| segment.tail.path.clone()));
    }
}

impl Drop for Spool {
    fn drop(&mut self) {
        self.flusher.finish(self.segment.as_ref().map(|segment| &segment.tail));
    }
}

/// Renames a segment with records of another day, which lies in the place of one of `date`: nothing is written into it.
fn set_foreign_aside(segment: &Path, aside: &Path, date: TradingDate) -> Result<(), SpoolError> {
    if !segment.exists() {
        return Ok(());
    }
    let is_foreign = match SegmentReader::open(segment, 0)?.next_readable() {
        Some(Found::Record(record)) => !record.is_of(date),
        _ => false,
    };
    if is_foreign {
        fs::rename(segment, aside).map_err(SpoolError::io("rename to", aside))?;
    }
    Ok(())
}

/// Opens a segment for appending, with its header; also gives its length before.
fn create(path: &Path) -> Result<(File, u64), SpoolError> {
    let opened = OpenOptions::new().create(true).read(true).append(true).open(path);
    let file = opened.map_err(SpoolError::io("create", path))?;
    let found = file.metadata().map_err(SpoolError::io("inspect", path))?.len();
    if found == 0 {
        (&file).write_all(SEGMENT_HEADER).map_err(|error| {
            let _ = fs::remove_file(path);
            SpoolError::io("create", path)(error)
        })?;
    }
    Ok((file, found))
}

/// Copies a segment's bytes from `from` on to a file beside it, behind what is there.
fn keep_beside(path: &Path, segment: &File, from: u64) -> Result<PathBuf, SpoolError> {
    let beside = path.with_added_extension(DAMAGED_EXTENSION);
    let mut kept = OpenOptions::new()
        .create(true)
        .append(true)
        .open(&beside)
        .map_err(SpoolError::io("open", &beside))?;
    let mut rest = segment;
    rest.seek(SeekFrom::Start(from)).map_err(SpoolError::io("read", path))?;
    io::copy(&mut rest, &mut kept).and_then(|_| kept.sync_all()).map_err(SpoolError::io("write", &beside))?;
    Ok(beside)
}

fn lock(directory: &Path) -> Result<File, SpoolError> {
    let path = directory.join("lock");
    let file = File::create(&path).map_err(SpoolError::io("create", &path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(SpoolError::InUse { path: directory.to_owned() }),
        Err(TryLockError::Error(error)) => Err(SpoolError::io("lock", &path)(error)),
    }
}

fn hour_of(instant: Timestamp) -> (TradingDate, u32) {
    let local = instant.to_ist();
    (local.date(), local.hour())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spool::{Frames, Source, SpoolReader, archive};
    use chrono::NaiveDate;
    use proptest::prelude::*;

    fn at(second: i64) -> Timestamp {
        let nine =
            NaiveDate::from_ymd_opt(2026, 1, 30).and_then(|date| date.and_hms_opt(9, 0, 0)).expect("a time");
        Timestamp::from_ist(nine).plus_seconds(second)
    }

    fn record(second: i64, text: &str) -> NewRecord {
        NewRecord {
            source: Source::NSE_CHAIN,
            received_time: at(second),
            context: "symbol=NIFTY".to_owned(),
            frames: Frames::one(text.as_bytes()),
        }
    }

    fn texts(directory: &Path) -> Vec<(u64, String)> {
        let date = at(0).date_ist();
        SpoolReader::open(directory, date)
            .expect("a readable day")
            .map(|record| record.expect("a sound record"))
            .map(|record| (record.seq, String::from_utf8_lossy(record.frames.bytes()).into_owned()))
            .collect()
    }

    fn pack(spool: &Spool, raw: &Path) {
        let packed = archive::pack(raw, || true).expect("packed").expect("not stopped");
        assert!(packed.put_in_place(&spool.size(), || true).expect("in place").is_some());
    }

    #[test]
    fn hours_rotate_and_read_back_in_order_once_compressed_too() {
        let directory = tempfile::tempdir().expect("a directory");
        let mut spool = Spool::open(directory.path()).expect("opens").spool;
        for (second, text) in [(0, "a"), (10, "b"), (3_600, "c"), (7_200, "d")] {
            spool.append(&mut record(second, text)).expect("appended");
        }
        let day = directory.path().join("2026-01-30");
        let written = spool.written();
        assert_eq!(written.get(), Some(day.join("11.spool")));
        let waiting = written.finished_segments().expect("a listing");
        assert_eq!(waiting, [day.join("09.spool"), day.join("10.spool")]);
        waiting.iter().for_each(|raw| pack(&spool, raw));
        assert_eq!(written.finished_segments().expect("a listing"), [""; 0].map(PathBuf::from));
        drop(spool);
        let mut names: Vec<String> = fs::read_dir(&day)
            .expect("a day")
            .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        assert_eq!(names, ["09.spool.zst", "10.spool.zst", "11.spool"]);
        let expected: Vec<(u64, String)> =
            [(1, "a"), (2, "b"), (3, "c"), (4, "d")].map(|(seq, text)| (seq, text.to_owned())).to_vec();
        assert_eq!(texts(directory.path()), expected);
    }

    #[test]
    fn a_segment_that_is_compressed_meanwhile_is_still_read() {
        let directory = tempfile::tempdir().expect("a directory");
        let mut spool = Spool::open(directory.path()).expect("opens").spool;
        spool.append(&mut record(0, "a")).expect("appended");
        let reader = SpoolReader::open(directory.path(), at(0).date_ist()).expect("a readable day");
        pack(&spool, &directory.path().join("2026-01-30/09.spool"));
        assert_eq!(reader.map(|record| record.expect("a sound record").seq).collect::<Vec<_>>(), [1]);
    }

    #[test]
    fn a_segment_of_another_day_in_the_place_of_todays_is_kept_beside_it() {
        for is_packed in [false, true] {
            let directory = tempfile::tempdir().expect("a directory");
            let log = directory.path();
            let mut spool = Spool::open(log).expect("opens").spool;
            spool.append(&mut record(0, "of yesterday")).expect("appended");
            let (raw, today) = (log.join("2026-01-30/09.spool"), log.join("2026-01-31"));
            if is_packed {
                pack(&spool, &raw);
            }
            drop(spool);
            fs::rename(log.join("2026-01-30"), &today).expect("put into the wrong place");
            let name = |infix: &str| format!("09{infix}.spool{}", if is_packed { ".zst" } else { "" });
            let before = fs::read(today.join(name(""))).expect("a file");
            let mut spool = Spool::open(log).expect("opens").spool;
            spool.append(&mut record(86_400, "of today")).expect("appended");
            assert!(fs::read(today.join(name("-before"))).expect("it is kept") == before);
            let own = SegmentReader::open(&today.join("09.spool"), 0).expect("a segment").next_readable();
            assert!(matches!(own, Some(Found::Record(record)) if record.seq == 2));
            let (bytes, kept) = (spool.size().bytes(), fs::metadata(today.join(name("-before"))));
            let written = fs::metadata(today.join("09.spool")).expect("a file").len();
            assert_eq!(bytes, kept.expect("a file").len() + written, "of the log's size");
        }
    }

    #[test]
    fn an_hour_that_ended_is_not_opened_again() {
        let directory = tempfile::tempdir().expect("a directory");
        let mut spool = Spool::open(directory.path()).expect("opens").spool;
        spool.append(&mut record(0, "a")).expect("appended");
        // As a record of the next hour does that is refused behind it.
        spool.rotate_to(hour_of(at(3_600))).expect("rotated");
        spool.append(&mut record(10, "b")).expect("appended");
        let segment = spool.segment.as_ref().expect("a segment");
        assert!(segment.tail.path.ends_with("10.spool"), "{}", segment.tail.path.display());
        drop(spool);
        assert_eq!(texts(directory.path()), [(1, "a".to_owned()), (2, "b".to_owned())]);
    }

    #[test]
    fn an_empty_segment_is_not_left_for_an_hour_before() {
        let directory = tempfile::tempdir().expect("a directory");
        let mut spool = Spool::open(directory.path()).expect("opens").spool;
        spool.append(&mut record(0, "a")).expect("appended");
        drop(spool);
        let day = directory.path().join("2026-01-30");
        // As a kill leaves it between a segment's creation and its first record.
        fs::write(day.join("10.spool"), SEGMENT_HEADER).expect("written");
        let mut spool = Spool::open(directory.path()).expect("opens").spool;
        assert_eq!(spool.written().finished_segments().expect("a listing"), [day.join("09.spool")]);
        pack(&spool, &day.join("09.spool"));
        // The machine's clock was turned back.
        spool.append(&mut record(10, "b")).expect("appended");
        assert_eq!(spool.written().get(), Some(day.join("10.spool")));
        drop(spool);
        assert_eq!(texts(directory.path()), [(1, "a".to_owned()), (2, "b".to_owned())]);
    }

    #[test]
    fn a_second_daemon_is_kept_out() {
        let directory = tempfile::tempdir().expect("a directory");
        let first = Spool::open(directory.path()).expect("opens");
        let error = Spool::open(directory.path()).expect_err("the first still holds it");
        assert!(matches!(error, SpoolError::InUse { .. }), "{error}");
        drop(first);
        Spool::open(directory.path()).expect("free again");
    }

    #[test]
    fn receive_times_never_go_back() {
        let directory = tempfile::tempdir().expect("a directory");
        let mut spool = Spool::open(directory.path()).expect("opens").spool;
        spool.append(&mut record(3_600, "late")).expect("appended");
        let mut early = record(10, "early");
        spool.append(&mut early).expect("appended");
        assert_eq!(early.received_time, at(3_600));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]
        #[test]
        fn a_kill_at_any_byte_loses_only_what_was_not_complete(cut in 0_u64..400, more in "[a-z]{0,20}") {
            let directory = tempfile::tempdir().expect("a directory");
            let mut spool = Spool::open(directory.path()).expect("opens").spool;
            for number in 0..5 {
                spool.append(&mut record(number, &format!("text {number}"))).expect("appended");
            }
            drop(spool);
            let before = texts(directory.path());
            let path = directory.path().join("2026-01-30/09.spool");
            let length = fs::metadata(&path).expect("a segment").len();
            let cut = cut.min(length);
            OpenOptions::new().write(true).open(&path).and_then(|file| file.set_len(cut)).expect("cut");
            let mut spool = Spool::open(directory.path()).expect("opens again").spool;
            let kept = texts(directory.path());
            prop_assert_eq!(&kept[..], &before[..kept.len()]);
            spool.append(&mut record(9, &more)).expect("appended");
            let after = texts(directory.path());
            prop_assert_eq!(after.len(), kept.len() + 1);
            prop_assert_eq!(&after[kept.len()].1, &more);
            prop_assert_eq!(after[kept.len()].0, kept.len() as u64 + 1);
        }
    }
}
