//! The segment that is being written.
//!
//! A record goes through the operating system's cache, with one exception: the body of a large one, which only comes while
//! a feed has fallen behind, goes straight from the feed's buffer to the disk. There the cache is the larger part of
//! what a tick costs (docs/performance.md, "Whole path"). The head of such a record is padded so that its body begins at
//! a block's boundary. A file system or disk that does not take such writes gets all records through the cache, whatever
//! it says: there a disk that fails costs no record, and [`super::flusher`] sees to it. A write past the cache waits for the
//! disk while the log is locked, so none begins while syncs fail or take long.
//!
//! Invariant: complete records follow each other without a gap. What an append leaves that failed or panicked is cut at
//! once, or, where the disk refuses that too, before the next one.

use super::{sync_status::SyncStatus, tail::Tail};
use crate::market::TradingDate;
use rustix::fs::OFlags;
use std::{
    fs::{File, OpenOptions},
    io::{self, IoSlice, Write},
    os::unix::fs::{FileExt, OpenOptionsExt},
    sync::Arc,
};

/// Memory, file offset and length of a write past the cache are multiples of this: at least the block size of any disk.
pub(super) const BLOCK_BYTES: usize = 4 << 10;
/// Below this, a write past the cache costs as much as one through it.
const DIRECT_BYTES_MIN: usize = 256 << 10;

#[derive(Debug)]
pub(super) struct Segment {
    /// Appends through the cache.
    pub tail: Arc<Tail>,
    /// The same file past the cache; `None` where that is not possible.
    direct: Option<File>,
    sync: Arc<SyncStatus>,
    /// The file may go on behind `length`.
    is_ragged: bool,
    /// Length up to which records are complete.
    pub length: u64,
    /// Up to which a sync was asked for.
    pub flushed: u64,
    /// Bytes in the cache since then.
    pub cached: u64,
    pub hour: (TradingDate, u32),
}

impl Segment {
    /// `length` is that of the tail's file.
    pub fn new(tail: Arc<Tail>, length: u64, hour: (TradingDate, u32), sync: Arc<SyncStatus>) -> Segment {
        let direct =
            OpenOptions::new().write(true).custom_flags(OFlags::DIRECT.bits().cast_signed()).open(&tail.path);
        Segment {
            tail,
            direct: direct.ok(),
            sync,
            is_ragged: false,
            length,
            flushed: length,
            cached: 0,
            hour,
        }
    }

    /// Bytes to be added to a head of `head_len` bytes for `body` to go past the cache; `None` if it is to go through it.
    pub fn direct_padding(&self, head_len: usize, body: &[u8]) -> Option<usize> {
        let goes_direct = self.direct.is_some()
            && body.len() >= DIRECT_BYTES_MIN
            && body.as_ptr().align_offset(BLOCK_BYTES) == 0
            && !self.sync.is_slow();
        let end = self.length + head_len as u64;
        goes_direct.then(|| (end.next_multiple_of(BLOCK_BYTES as u64) - end) as usize)
    }

    /// Appends a record: past the cache if [`Self::direct_padding`] said so, its head padded as it said.
    ///
    /// # Errors
    /// What the operating system reports; the record is not in the file then.
    pub fn append(&mut self, head: &[u8], body: &[u8], is_direct: bool) -> io::Result<()> {
        self.trim()?;
        // Until it is complete: a panic must not leave it to the next record.
        self.is_ragged = true;
        self.tail.begin_write();
        let (cached, written) = match is_direct {
            true => self.append_direct(head, body),
            false => (head.len() + body.len(), write_all(&self.tail.file, head, body)),
        };
        match written {
            Ok(()) => {
                self.length += (head.len() + body.len()) as u64;
                self.cached += cached as u64;
                self.is_ragged = false;
            }
            // The next append tries again and reports it.
            Err(_) => drop(self.trim()),
        }
        self.tail.end_write(self.length);
        written
    }

    /// Cuts what is no complete record.
    ///
    /// # Errors
    /// What the operating system reports; nothing may be appended then.
    pub fn trim(&mut self) -> io::Result<()> {
        if self.is_ragged {
            self.tail.file.set_len(self.length)?;
            self.is_ragged = false;
        }
        Ok(())
    }

    /// Also returns how much went through the cache.
    fn append_direct(&mut self, head: &[u8], body: &[u8]) -> (usize, io::Result<()>) {
        let mut file = &self.tail.file;
        let Some(direct) = &self.direct else {
            return (head.len() + body.len(), write_all(file, head, body));
        };
        let (blocks, rest) = body.split_at(body.len() / BLOCK_BYTES * BLOCK_BYTES);
        let begin = self.length + head.len() as u64;
        if let Err(error) = file.write_all(head) {
            return (0, Err(error));
        }
        match direct.write_all_at(blocks, begin) {
            Ok(()) => (head.len() + rest.len(), file.write_all(rest)),
            Err(error) if error.kind() == io::ErrorKind::StorageFull => (0, Err(error)),
            // Larger blocks than expected, a file system that knows the flag only, or a disk that fails: the cache takes
            // what the disk does not.
            Err(_) => {
                self.direct = None;
                (head.len() + body.len(), file.set_len(begin).and_then(|()| file.write_all(body)))
            }
        }
    }
}

/// Writes both parts with as few system calls as the operating system allows.
fn write_all(mut file: &File, head: &[u8], tail: &[u8]) -> io::Result<()> {
    let (mut head, mut tail) = (head, tail);
    while !head.is_empty() || !tail.is_empty() {
        match file.write_vectored(&[IoSlice::new(head), IoSlice::new(tail)]) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => {
                let of_head = written.min(head.len());
                head = &head[of_head..];
                tail = &tail[written - of_head..];
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        market::Timestamp,
        spool::{Frames, NewRecord, Source, Spool, SpoolError, SpoolReader},
    };
    use proptest::prelude::*;
    use std::{
        fs,
        path::Path,
        time::{Duration, Instant},
    };

    fn aligned(byte: u8, len: usize) -> Frames {
        let mut bytes = Frames::aligned_buffer(len);
        let start = bytes.len();
        bytes.resize(start + len, byte);
        Frames::from_parts(bytes, start, vec![7, len as u32]).expect("two frames")
    }

    fn record(frames: Frames) -> NewRecord {
        let received_time = Timestamp::from_us(1_769_743_800_000_000);
        NewRecord { source: Source::ANGEL_ONE_STREAM, received_time, context: String::new(), frames }
    }

    fn segment(directory: &Path) -> Segment {
        let path = directory.join("segment");
        let file = OpenOptions::new().create(true).read(true).append(true).open(&path).expect("a file");
        Segment::new(Arc::new(Tail::new(path, file, 0)), 0, (TradingDate::MIN, 0), Arc::default())
    }

    #[test]
    fn only_the_edges_of_a_large_body_go_through_the_cache() {
        let directory = tempfile::tempdir().expect("a directory");
        let mut segment = segment(directory.path());
        if segment.direct.is_none() {
            eprintln!("skipped: {} takes no writes past the cache", directory.path().display());
            return;
        }
        let body = aligned(9, DIRECT_BYTES_MIN + 5);
        assert_eq!(segment.direct_padding(100, body.bytes()), Some(BLOCK_BYTES - 100));
        segment.append(&[1; BLOCK_BYTES], body.bytes(), true).expect("appended");
        assert_eq!(segment.cached, BLOCK_BYTES as u64 + 5);
        assert_eq!(segment.length, (BLOCK_BYTES + DIRECT_BYTES_MIN + 5) as u64);
        let written = fs::read(&segment.tail.path).expect("readable");
        assert!(written == [&[1; BLOCK_BYTES][..], body.bytes()].concat());
        assert_eq!(segment.direct_padding(100, &body.bytes()[1..]), None, "memory that is not aligned");
        assert_eq!(segment.direct_padding(100, &body.bytes()[..BLOCK_BYTES]), None, "a small body");
    }

    #[test]
    fn a_file_system_that_refuses_gets_everything_through_the_cache() {
        let directory = tempfile::tempdir().expect("a directory");
        let mut segment = segment(directory.path());
        let body = aligned(9, DIRECT_BYTES_MIN + 5);
        // A head without the padding it asked for makes the system refuse as a file system of larger blocks would.
        for head in [&[1; 100][..], &[2; 30]] {
            segment.append(head, body.bytes(), true).expect("appended");
        }
        let written = fs::read(&segment.tail.path).expect("readable");
        assert!(written == [&[1; 100], body.bytes(), &[2; 30], body.bytes()].concat());
        assert_eq!((segment.cached, segment.length), (written.len() as u64, written.len() as u64));
        assert_eq!(segment.direct_padding(100, body.bytes()), None, "it is not tried again");
    }

    #[test]
    fn a_body_that_the_disk_refuses_goes_through_the_cache() {
        let directory = tempfile::tempdir().expect("a directory");
        let mut segment = segment(directory.path());
        // A handle that is for reading only refuses as a disk does that fails.
        segment.direct = Some(File::open(&segment.tail.path).expect("a file"));
        let body = aligned(9, DIRECT_BYTES_MIN + 5);
        segment.append(&[1; BLOCK_BYTES], body.bytes(), true).expect("appended");
        let written = fs::read(&segment.tail.path).expect("readable");
        assert!(written == [&[1; BLOCK_BYTES], body.bytes()].concat());
        assert!(segment.direct.is_none());
    }

    #[test]
    fn nothing_goes_past_the_cache_while_the_disk_is_not_well() {
        let directory = tempfile::tempdir().expect("a directory");
        let mut segment = segment(directory.path());
        segment.direct = Some(File::open(&segment.tail.path).expect("a file"));
        let body = aligned(9, DIRECT_BYTES_MIN);
        let goes_direct = |segment: &Segment| segment.direct_padding(100, body.bytes()).is_some();
        assert!(goes_direct(&segment));
        segment.sync.note_sync(Instant::now().checked_sub(Duration::from_secs(2)));
        assert!(!goes_direct(&segment), "a sync takes long");
        segment.sync.note_sync(None);
        assert!(goes_direct(&segment));
        let error = SpoolError::io("sync", directory.path())(io::ErrorKind::Other.into());
        segment.sync.note_failure(&error, 1);
        assert!(!goes_direct(&segment), "a sync failed");
        segment.sync.note_success();
        assert!(goes_direct(&segment));
    }

    #[test]
    fn a_failed_append_leaves_the_file_as_it_was() {
        let directory = tempfile::tempdir().expect("a directory");
        let mut segment = segment(directory.path());
        segment.append(b"head", b"body", false).expect("appended");
        let full = OpenOptions::new().write(true).open("/dev/full").expect("a device without space");
        segment.direct = Some(full);
        let body = aligned(9, DIRECT_BYTES_MIN);
        let head = vec![1; BLOCK_BYTES - 8];
        let error = segment.append(&head, body.bytes(), true).expect_err("no space");
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        assert_eq!(fs::read(&segment.tail.path).expect("readable"), b"headbody");
        segment.append(&head, body.bytes(), false).expect("appended");
    }

    #[test]
    fn what_a_failed_append_left_is_cut_before_the_next() {
        let directory = tempfile::tempdir().expect("a directory");
        let mut segment = segment(directory.path());
        segment.append(b"head", b"body", false).expect("appended");
        let path = segment.tail.path.clone();
        let through = |file| Arc::new(Tail::new(path.clone(), file, 8));
        let good = std::mem::replace(&mut segment.tail, through(File::open(&path).expect("a file")));
        segment.append(b"more", b"body", false).expect_err("neither to be written nor to be cut");
        (&good.file).write_all(b"mo").expect("written");
        segment.append(b"more", b"body", false).expect_err("it still cannot be cut");
        segment.tail = good;
        segment.append(b"next", b"body", false).expect("appended");
        assert_eq!(fs::read(&path).expect("readable"), b"headbodynextbody");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn large_and_small_records_read_back_whatever_was_cut(
            kinds in prop::collection::vec((0_usize..3, any::<u8>(), 7_usize..9_000), 1..8),
            cut in 0_u64..3_000_000,
        ) {
            let directory = tempfile::tempdir().expect("a directory");
            let mut spool = Spool::open(directory.path()).expect("opens").spool;
            let records: Vec<NewRecord> = kinds
                .into_iter()
                .map(|(kind, byte, extra)| match kind {
                    0 => record(Frames::one(&vec![byte; extra])),
                    1 => record(Frames::one(&vec![byte; DIRECT_BYTES_MIN + extra])),
                    _ => record(aligned(byte, DIRECT_BYTES_MIN + extra)),
                })
                .collect();
            for record in &records {
                spool.append(&mut record.clone()).expect("appended");
            }
            drop(spool);
            let date = records[0].received_time.date_ist();
            let read = || -> Vec<Frames> {
                SpoolReader::open(directory.path(), date)
                    .expect("a readable day")
                    .map(|record| record.expect("a sound record").frames)
                    .collect()
            };
            let expected: Vec<Frames> = records.iter().map(|record| record.frames.clone()).collect();
            prop_assert!(read() == expected);
            let path = fs::read_dir(directory.path().join(date.to_string())).expect("a day").next();
            let path = path.expect("a segment").expect("an entry").path();
            let file = OpenOptions::new().write(true).open(&path).expect("a segment");
            file.set_len(cut.min(file.metadata().expect("a size").len())).expect("cut");
            let mut spool = Spool::open(directory.path()).expect("opens again").spool;
            let kept = read().len();
            prop_assert!(read() == expected[..kept]);
            spool.append(&mut record(aligned(3, DIRECT_BYTES_MIN + 1))).expect("appended");
            drop(spool);
            prop_assert!(read().last() == Some(&aligned(3, DIRECT_BYTES_MIN + 1)));
        }
    }
}
