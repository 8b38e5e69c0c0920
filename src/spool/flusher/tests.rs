use super::*;
use crate::{
    market::Timestamp,
    spool::{Frames, NewRecord, Source},
};
use proptest::prelude::*;
use std::{collections::VecDeque, fs::File, io::Write, ops::Range, path::PathBuf};

/// A disk as the kernel shows it: a failed sync forgets what was to be written, and the next one succeeds without it.
#[derive(Default)]
struct Forgetful {
    /// Whether each of the next calls fails; none fails after them.
    failures: VecDeque<bool>,
    /// What a loss of power would leave.
    durable: Vec<u8>,
    /// The file's length when a sync last looked, and what was written again since.
    seen: u64,
    dirty: Vec<Range<u64>>,
}

impl Forgetful {
    fn fails(&mut self) -> io::Result<()> {
        if self.failures.pop_front() == Some(true) {
            return Err(io::Error::from_raw_os_error(rustix::io::Errno::IO.raw_os_error()));
        }
        Ok(())
    }
}

impl Disk for Forgetful {
    fn sync(&mut self, tail: &Tail) -> io::Result<()> {
        let length = tail.file.metadata()?.len();
        let written = std::mem::replace(&mut self.seen, length)..length;
        let dirty: Vec<_> = self.dirty.drain(..).chain([written]).collect();
        self.fails()?;
        self.durable.resize(length as usize, 0);
        for range in dirty {
            let part = &mut self.durable[range.start as usize..range.end as usize];
            tail.file.read_exact_at(part, range.start)?;
        }
        Ok(())
    }

    fn write_again(&mut self, tail: &Tail, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.fails()?;
        Kernel.write_again(tail, offset, bytes)?;
        self.dirty.push(offset..offset + bytes.len() as u64);
        Ok(())
    }
}

/// A segment in a directory of its own, and its flusher over that disk.
struct Bench {
    directory: tempfile::TempDir,
    tail: Arc<Tail>,
    length: u64,
    files: Files<Forgetful>,
    status: Arc<SyncStatus>,
}

impl Bench {
    fn new(failures: impl IntoIterator<Item = bool>) -> Bench {
        let directory = tempfile::tempdir().expect("a directory");
        let path: PathBuf = directory.path().join("09.spool");
        let open = OpenOptions::new().create(true).read(true).append(true).open(&path);
        let mut file = open.expect("a file");
        file.write_all(SEGMENT_HEADER).expect("written");
        let length = SEGMENT_HEADER.len() as u64;
        let tail = Arc::new(Tail::new(path, file, length));
        let status = Arc::new(SyncStatus::default());
        let disk = Forgetful { failures: failures.into_iter().collect(), ..Forgetful::default() };
        let unsynced = Unsynced::read(directory.path());
        let mut files = Files::new(disk, Arc::clone(&status), unsynced);
        files.add(Request { tail: Arc::clone(&tail), suspect_from: None });
        Bench { directory, tail, length, files, status }
    }

    /// A kill, and the flusher of the next life: disk and kernel go on.
    fn restart(&mut self) {
        let unsynced = self.marker();
        let suspect_from = unsynced.from(&self.tail.path);
        self.status = Arc::default();
        let disk = std::mem::take(&mut self.files.disk);
        self.files = Files::new(disk, Arc::clone(&self.status), unsynced);
        self.files.add(Request { tail: Arc::clone(&self.tail), suspect_from });
    }

    /// As the next life would find it.
    fn marker(&self) -> Unsynced {
        Unsynced::read(self.directory.path())
    }

    fn has_marker(&self) -> bool {
        self.directory.path().join("unsynced").exists()
    }

    fn record(length: usize) -> Vec<u8> {
        let record = NewRecord {
            source: Source::NSE_CHAIN,
            received_time: Timestamp::from_us(1),
            context: String::new(),
            frames: Frames::one(&vec![7; length]),
        };
        let mut bytes = Vec::new();
        codec::encode_head(1, &record, 0, &mut bytes);
        bytes.extend_from_slice(record.frames.bytes());
        bytes
    }

    fn write(&self, bytes: &[u8]) {
        (&self.tail.file).write_all(bytes).expect("written");
    }

    fn append(&mut self, length: usize) {
        let bytes = Self::record(length);
        self.tail.begin_write();
        self.write(&bytes);
        self.length += bytes.len() as u64;
        self.tail.end_write(self.length);
    }

    /// What is claimed to be on the disk is there.
    fn flush(&mut self) -> bool {
        let is_synced = self.files.flush();
        let file = &self.files.files[0];
        let (safe, content) = (file.safe as usize, std::fs::read(&self.tail.path).expect("readable"));
        assert!(self.files.disk.durable[..safe] == content[..safe], "{safe} bytes are claimed");
        // What is not is told to the next life.
        let from = self.marker().from(&self.tail.path);
        match file.suspicion {
            Some(_) => assert!(from.is_some_and(|from| from <= file.safe), "{from:?}, {safe} are safe"),
            None => assert!(!self.has_marker()),
        }
        if is_synced {
            assert_eq!(file.safe, self.length);
            assert_eq!((self.status.trouble(), self.status.unsynced_bytes()), (None, 0));
        }
        is_synced
    }
}

#[test]
fn a_failed_sync_is_shown_until_what_it_concerned_is_on_the_disk() {
    let mut bench = Bench::new([false, true, true]);
    bench.append(100);
    assert!(bench.flush());
    let safe = bench.length;
    bench.append(100);
    // The sync fails, and so does writing it again.
    assert!(!bench.flush());
    let trouble = bench.status.trouble().expect("it is shown");
    assert!(trouble.contains("cannot sync") && trouble.contains("Input/output error"), "{trouble}");
    assert_eq!(bench.status.unsynced_bytes(), bench.length - safe);
    // A sync that succeeds says nothing about it; only writing it again does.
    assert!(bench.flush());
    let content = std::fs::read(&bench.tail.path).expect("readable");
    assert!(bench.files.disk.durable == content);
}

#[test]
fn a_new_life_writes_again_what_the_last_one_was_refused() {
    let mut bench = Bench::new([false, true, true]);
    bench.append(100);
    assert!(bench.flush());
    let safe = bench.length;
    bench.append(100);
    assert!(!bench.flush());
    bench.restart();
    bench.append(100);
    assert_eq!((bench.files.files[0].safe, bench.marker().from(&bench.tail.path)), (safe, Some(safe)));
    assert!(bench.flush());
    assert!(bench.files.disk.durable == std::fs::read(&bench.tail.path).expect("readable"));
    assert!(!bench.has_marker());
}

#[test]
fn a_disk_that_refuses_the_marker_too_gets_it_later() {
    let mut bench = Bench::new([true, true, true]);
    bench.append(100);
    let in_the_way = bench.directory.path().join("unsynced.partial");
    std::fs::create_dir(&in_the_way).expect("created");
    assert!(!bench.files.flush());
    assert!(!bench.has_marker() && bench.status.trouble().is_some());
    std::fs::remove_dir(&in_the_way).expect("removed");
    assert!(!bench.flush());
    assert!(bench.has_marker());
    assert!(bench.flush());
}

#[test]
fn what_an_earlier_life_was_refused_is_shown_until_it_is_done() {
    let (requests, _queue) = sync_channel(1);
    let mut flusher = Flusher {
        waiting: Waiting::default(),
        requests: Some(requests),
        thread: None,
        status: Arc::default(),
    };
    let benches = [Bench::new([]), Bench::new([])];
    flusher.suspect(Vec::new());
    assert_eq!(flusher.status().trouble(), None);
    for bench in &benches {
        bench.write(&[1; 92]);
        bench.tail.end_write(100);
    }
    flusher.suspect(
        [(&benches[0], 30), (&benches[1], 90)].map(|(bench, from)| (Arc::clone(&bench.tail), from)).into(),
    );
    let trouble = flusher.status().trouble().expect("it is shown");
    assert!(trouble.contains("before this start") && trouble.contains("from byte 30 on"), "{trouble}");
    assert_eq!(flusher.status().unsynced_bytes(), 70 + 10);
    assert_eq!(flusher.waiting.take().len(), 2);
    flusher.requests = None;
}

#[test]
fn a_record_under_way_is_concerned_too() {
    let mut bench = Bench::new([true]);
    bench.append(50);
    let bytes = Bench::record(80);
    bench.tail.begin_write();
    bench.write(&bytes[..40]);
    assert!(!bench.flush());
    assert!(!bench.flush(), "nobody knows yet how far the failure reaches");
    assert!(bench.status.trouble().is_some());
    bench.write(&bytes[40..]);
    bench.length += bytes.len() as u64;
    bench.tail.end_write(bench.length);
    assert!(bench.flush());
}

#[test]
fn records_longer_than_a_step_are_written_again_whole() {
    let mut bench = Bench::new([true]);
    for length in [10, REWRITE_BYTES as usize * 2 + 3, 20, REWRITE_BYTES as usize - 100, 30] {
        bench.append(length);
    }
    assert!(!bench.flush());
    assert!(bench.flush());
}

#[test]
fn what_memory_has_lost_is_told_and_the_rest_is_saved() {
    let mut bench = Bench::new([true, true]);
    bench.append(100);
    bench.append(100);
    bench.append(100);
    assert!(!bench.flush());
    // The page left the cache, and the disk has something else there.
    let zeros = OpenOptions::new().write(true).open(&bench.tail.path).expect("a file");
    zeros.write_all_at(&[0; 150], 150).expect("written");
    while !bench.files.flush() {}
    let trouble = bench.status.trouble().expect("a loss stays");
    let is_told = trouble.contains("part of the log is lost") && trouble.contains("is damaged from byte ");
    assert!(is_told, "{trouble}");
    assert!(bench.files.disk.durable == std::fs::read(&bench.tail.path).expect("readable"));
}

#[test]
fn a_segment_that_was_compressed_meanwhile_needs_nothing() {
    let mut bench = Bench::new([true, true]);
    bench.append(100);
    assert!(!bench.flush());
    File::create(bench.tail.path.with_added_extension(COMPRESSED_EXTENSION)).expect("a file");
    std::fs::remove_file(&bench.tail.path).expect("removed");
    assert!(bench.files.flush());
    assert_eq!(bench.status.trouble(), None);
}

#[test]
fn a_request_is_kept_while_another_segments_waits() {
    let (requests, queue) = sync_channel(1);
    let mut flusher = Flusher {
        waiting: Waiting::default(),
        requests: Some(requests),
        thread: None,
        status: Arc::default(),
    };
    let benches = [Bench::new([]), Bench::new([])];
    for bench in benches.iter().chain(&benches) {
        flusher.request(&bench.tail);
    }
    flusher.requests = None;
    assert_eq!(queue.iter().count(), 1);
    let waiting = flusher.waiting.take();
    let is_same = |(waiting, bench): (&Request, &Bench)| Arc::ptr_eq(&waiting.tail, &bench.tail);
    assert!(waiting.len() == 2 && waiting.iter().zip(&benches).all(is_same));
}

#[test]
fn ending_it_waits_for_what_was_asked() {
    let directory = tempfile::tempdir().expect("a directory");
    let unsynced = Unsynced::read(directory.path());
    let mut flusher = Flusher::start(directory.path(), unsynced).expect("starts");
    let bench = Bench::new([]);
    for _ in 0..3 {
        flusher.request(&bench.tail);
    }
    let before = Arc::strong_count(&bench.tail);
    flusher.finish(Some(&bench.tail));
    assert!(Arc::strong_count(&bench.tail) <= before, "the thread has let go of it");
    assert_eq!(Arc::strong_count(&bench.tail), 2, "the bench's own");
    assert_eq!(flusher.status().trouble(), None);
}

#[derive(Clone, Debug)]
enum Step {
    Append(usize),
    /// A record of which the flusher sees half.
    AppendAround(usize),
    Flush,
    Restart,
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    /// Whatever fails when: what is claimed is there, and once nothing fails everything is.
    #[test]
    fn nothing_is_claimed_that_a_loss_of_power_would_take(
        failures in prop::collection::vec(any::<bool>(), 0..20),
        steps in prop::collection::vec(
            prop_oneof![
                (0..2_000_usize).prop_map(Step::Append),
                (0..2_000_usize).prop_map(Step::AppendAround),
                Just(Step::Flush),
                Just(Step::Restart),
            ],
            0..30,
        ),
    ) {
        let mut bench = Bench::new(failures);
        for step in steps {
            match step {
                Step::Append(length) => bench.append(length),
                Step::AppendAround(length) => {
                    let bytes = Bench::record(length);
                    bench.tail.begin_write();
                    bench.write(&bytes[..bytes.len() / 2]);
                    bench.flush();
                    bench.write(&bytes[bytes.len() / 2..]);
                    bench.length += bytes.len() as u64;
                    bench.tail.end_write(bench.length);
                }
                Step::Flush => drop(bench.flush()),
                Step::Restart => bench.restart(),
            }
        }
        let mut tries = 0;
        while !bench.flush() {
            tries += 1;
            prop_assert!(tries < 50, "it ends once nothing fails");
        }
        prop_assert!(bench.files.disk.durable == std::fs::read(&bench.tail.path).expect("readable"));
    }
}
