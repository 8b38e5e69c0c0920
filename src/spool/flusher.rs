//! Forces the log onto the disk from a thread of its own, and lets go of what is there.
//!
//! A sync takes as long as the disk does; nothing that appends waits for it. Only the body of a large record may wait for
//! the disk, because it goes past the cache, and none does while syncs fail or take long ([`super::segment`]). Pages that
//! are on the disk leave the operating system's cache: nobody reads the log while it is written, and the cache gives
//! pages it has just got back to the next append, which costs half of what pages do that nobody has touched for long.
//!
//! A segment waits once at most, and there is one an hour. A further request for it is dropped: the waiting one has not
//! looked at the file yet, so it covers what was appended since.
//!
//! After a failed sync the kernel counts the pages it could not write as written (fsync(2) reports an error once; ext4 and
//! XFS keep the pages' content, Btrfs does not), so that a later sync which succeeds says nothing about them. What a failed
//! sync may have concerned is therefore read back, checked, and written again in its place; only a sync after that counts.
//! Until then nothing of it is let go of, and [`SyncStatus`] says so. Recording goes on: what is in the page cache and in the
//! store survives everything but a loss of power, and a feed that does not read would lose for certain.
//!
//! The daemon may end before: what is suspect stands in a file beside the log ([`super::unsynced`]), and the next life
//! begins with writing it again. It may do so while the archiver compresses the same segment: the compressed one is made
//! of checked records and synced, so that it settles the suspicion too.

use super::{
    Damage, SpoolError,
    codec::{self, PREFIX_LEN, SEGMENT_HEADER},
    reader::COMPRESSED_EXTENSION,
    sync_status::SyncStatus,
    tail::Tail,
    unsynced::Unsynced,
};
use rustix::fs::{Advice, fadvise};
use std::{
    fs::OpenOptions,
    io,
    num::NonZeroU64,
    os::unix::fs::FileExt,
    path::Path,
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel},
    },
    thread,
    time::{Duration, Instant},
};

/// Between two tries while the disk refuses something.
const RETRY_EVERY: Duration = Duration::from_secs(1);
/// Tries without a pause before the log is closed.
const LAST_TRIES: usize = 3;
/// What is written again between two syncs; more where one record is longer.
const REWRITE_BYTES: u64 = 4 << 20;

/// The thread and the way to it.
#[derive(Debug)]
pub(super) struct Flusher {
    waiting: Waiting,
    /// Wakes the thread.
    requests: Option<SyncSender<()>>,
    thread: Option<thread::JoinHandle<()>>,
    status: Arc<SyncStatus>,
}

/// A sync that was asked for.
#[derive(Clone, Debug)]
struct Request {
    tail: Arc<Tail>,
    /// What an earlier life did not get onto the disk: everything from there on that was appended before.
    suspect_from: Option<u64>,
}

/// Requests, one for each segment, in their order.
#[derive(Clone, Debug, Default)]
struct Waiting(Arc<Mutex<Vec<Request>>>);

impl Waiting {
    fn add(&self, requests: impl IntoIterator<Item = Request>) {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for request in requests {
            if !waiting.iter().any(|known| Arc::ptr_eq(&known.tail, &request.tail)) {
                waiting.push(request);
            }
        }
    }

    fn take(&self) -> Vec<Request> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Flusher {
    /// `unsynced`: what an earlier life left; [`Self::suspect`] is told of it before anything else is asked for.
    ///
    /// # Errors
    /// When the operating system gives no thread.
    #[expect(
        clippy::disallowed_methods,
        reason = "it outlives every child: the log is synced while the tree drains, too"
    )]
    pub fn start(directory: &Path, unsynced: Unsynced) -> Result<Flusher, SpoolError> {
        let (requests, queue) = sync_channel(1);
        let status = Arc::new(SyncStatus::default());
        let files = Files::new(Kernel, Arc::clone(&status), unsynced);
        let waiting = Waiting::default();
        let tails = waiting.clone();
        let thread =
            thread::Builder::new().name("spool-flush".to_owned()).spawn(move || serve(&queue, &tails, files));
        let thread = thread.map_err(SpoolError::io("start a thread for", directory))?;
        Ok(Flusher { waiting, requests: Some(requests), thread: Some(thread), status })
    }

    /// Asks for what was appended to be on the disk soon. Failures are in the status.
    pub fn request(&self, tail: &Arc<Tail>) {
        if let Some(requests) = &self.requests {
            self.waiting.add([Request { tail: Arc::clone(tail), suspect_from: None }]);
            // Full: the thread has not looked yet. Ended: it has panicked, which the panic's record tells.
            let _ = requests.try_send(());
        }
    }

    /// Hands over all segments of which an earlier life left something that the disk refused, oldest first, each with the
    /// offset from which on it is to be written again. The status shows it until that is done.
    pub fn suspect(&self, suspects: Vec<(Arc<Tail>, u64)>) {
        if let Some((tail, from)) = suspects.first() {
            let left = |(tail, from): &(Arc<Tail>, u64)| tail.appended().complete.saturating_sub(*from);
            self.status.note_suspicion(&tail.path, *from, suspects.iter().map(left).sum());
        }
        let requests = suspects.into_iter().map(|(tail, from)| Request { tail, suspect_from: Some(from) });
        // At once: were one of them missing at a flush, the file that names it would be removed.
        self.waiting.add(requests);
        if let Some(requests) = &self.requests {
            let _ = requests.try_send(());
        }
    }

    pub fn status(&self) -> Arc<SyncStatus> {
        Arc::clone(&self.status)
    }

    /// Syncs what was asked for and `tail`, and ends the thread.
    pub fn finish(&mut self, tail: Option<&Arc<Tail>>) {
        if let (Some(requests), Some(tail)) = (self.requests.take(), tail) {
            self.waiting.add([Request { tail: Arc::clone(tail), suspect_from: None }]);
            let _ = requests.send(());
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for Flusher {
    fn drop(&mut self) {
        self.finish(None);
    }
}

fn serve(queue: &Receiver<()>, waiting: &Waiting, mut files: Files<Kernel>) {
    let mut is_synced = true;
    loop {
        // Nothing to try again: sleep until there is a request.
        let next = if is_synced {
            queue.recv().map_err(|_| RecvTimeoutError::Disconnected)
        } else {
            queue.recv_timeout(RETRY_EVERY)
        };
        match next {
            Ok(()) | Err(RecvTimeoutError::Timeout) => {
                waiting.take().into_iter().for_each(|request| files.add(request))
            }
            Err(RecvTimeoutError::Disconnected) => break,
        }
        is_synced = files.flush();
    }
    for _ in 0..LAST_TRIES {
        if is_synced {
            return;
        }
        is_synced = files.flush();
    }
}

/// What a disk does; in its place tests put one that refuses.
trait Disk {
    fn sync(&mut self, tail: &Tail) -> io::Result<()>;

    fn write_again(&mut self, tail: &Tail, offset: u64, bytes: &[u8]) -> io::Result<()>;
}

struct Kernel;

impl Disk for Kernel {
    fn sync(&mut self, tail: &Tail) -> io::Result<()> {
        tail.file.sync_data()
    }

    fn write_again(&mut self, tail: &Tail, offset: u64, bytes: &[u8]) -> io::Result<()> {
        // The segment's own descriptor appends, whatever offset it is given.
        OpenOptions::new().write(true).open(&tail.path)?.write_all_at(bytes, offset)
    }
}

/// The segments that are not sure to be on the disk, oldest first. The last is the one being written.
struct Files<D> {
    disk: D,
    files: Vec<Segment>,
    status: Arc<SyncStatus>,
    unsynced: Unsynced,
}

impl<D: Disk> Files<D> {
    fn new(disk: D, status: Arc<SyncStatus>, unsynced: Unsynced) -> Files<D> {
        Files { disk, files: Vec::new(), status, unsynced }
    }

    fn add(&mut self, Request { tail, suspect_from }: Request) {
        if self.files.iter().any(|file| Arc::ptr_eq(&file.tail, &tail)) {
            return;
        }
        let complete = tail.appended().complete;
        // The log may be shorter than it was: what is gone was cut and told when it was opened.
        let from = suspect_from.map(|from| from.min(complete));
        let suspicion = from.map(|from| Suspicion { until: Some(complete), rewritten: from, is_torn: false });
        self.files.push(Segment { tail, safe: from.unwrap_or(0), released: 0, suspicion });
    }

    /// Whether everything is on the disk.
    fn flush(&mut self) -> bool {
        let (mut failure, mut is_synced) = (None, true);
        for file in &mut self.files {
            match file.flush(&mut self.disk, &self.status, &mut self.unsynced) {
                Ok(is_done) => is_synced &= is_done,
                Err(error) => {
                    is_synced = false;
                    failure.get_or_insert(error);
                }
            }
        }
        if self.files.iter().any(|file| file.suspicion.is_some()) {
            self.unsynced.write();
        } else {
            self.unsynced.clear();
        }
        if let Some(error) = failure {
            let unsynced =
                self.files.iter().map(|file| file.tail.appended().complete.saturating_sub(file.safe));
            self.status.note_failure(&error, unsynced.sum());
        } else if is_synced {
            self.status.note_success();
        }
        let current = self.files.last().map(|file| Arc::clone(&file.tail));
        self.files.retain(|file| {
            file.suspicion.is_some()
                || current.as_ref().is_some_and(|current| Arc::ptr_eq(current, &file.tail))
        });
        is_synced
    }
}

struct Segment {
    tail: Arc<Tail>,
    /// Up to which it is on the disk; records are complete there.
    safe: u64,
    /// Up to which the page cache was told to let go.
    released: u64,
    suspicion: Option<Suspicion>,
}

/// After a failed sync.
#[derive(Clone, Copy)]
struct Suspicion {
    /// Up to which the failure may have reached; not known while something is being written.
    until: Option<u64>,
    /// Up to which it was written again and waits for a sync.
    rewritten: u64,
    /// Something before was no record any more, so that nothing after it can be checked.
    is_torn: bool,
}

impl Segment {
    /// Whether everything that was complete is on the disk. False while the reach of a failure is not known yet.
    fn flush(
        &mut self,
        disk: &mut impl Disk,
        status: &SyncStatus,
        unsynced: &mut Unsynced,
    ) -> Result<bool, SpoolError> {
        loop {
            let appended = self.tail.appended();
            status.note_sync(Some(Instant::now()));
            let synced = disk.sync(&self.tail);
            status.note_sync(None);
            if let Err(error) = synced {
                unsynced.note(&self.tail.path, self.safe);
                let is_torn = self.suspicion.is_some_and(|suspicion| suspicion.is_torn);
                let suspicion = Suspicion { until: None, rewritten: self.safe, is_torn };
                let suspicion = self.suspicion.insert(suspicion);
                // At once: written pages may leave the cache, dirty ones stay.
                let goal = self.tail.appended().complete;
                if let Ok(end) = rewrite(&self.tail, self.safe, goal, suspicion, disk, status) {
                    suspicion.rewritten = end;
                }
                return Err(SpoolError::io("sync", &self.tail.path)(error));
            }
            let Some(suspicion) = &mut self.suspicion else {
                self.safe = appended.complete;
                self.release();
                return Ok(true);
            };
            self.safe = suspicion.rewritten;
            if !appended.is_writing {
                suspicion.until.get_or_insert(appended.complete);
            }
            if suspicion.until.is_some_and(|until| until <= self.safe) {
                self.suspicion = None;
                continue;
            }
            let goal = suspicion.until.unwrap_or(appended.complete);
            if goal <= self.safe {
                return Ok(false);
            }
            match rewrite(&self.tail, self.safe, goal, suspicion, disk, status) {
                Ok(end) => suspicion.rewritten = end,
                Err(error) if error.kind() == io::ErrorKind::NotFound && self.is_archived() => {
                    self.suspicion = None;
                    return Ok(true);
                }
                Err(error) => return Err(SpoolError::io("write again", &self.tail.path)(error)),
            }
        }
    }

    /// The compressed segment is on the disk before the raw one goes, and holds nothing but sound records.
    fn is_archived(&self) -> bool {
        self.tail.path.with_added_extension(COMPRESSED_EXTENSION).exists()
    }

    fn release(&mut self) {
        if let Some(synced) = NonZeroU64::new(self.safe.saturating_sub(self.released)) {
            // Advice: a file system that does not take it keeps its pages.
            let _ = fadvise(&self.tail.file, self.released, Some(synced), Advice::DontNeed);
            self.released = self.safe;
        }
    }
}

/// Writes whole records from `from` on in their place again, so that the next sync concerns them; gives where they end.
/// What is no record any more is told and written as it is: around it something may be left.
fn rewrite(
    tail: &Tail,
    from: u64,
    to: u64,
    suspicion: &mut Suspicion,
    disk: &mut impl Disk,
    status: &SyncStatus,
) -> io::Result<u64> {
    let mut wanted = REWRITE_BYTES;
    loop {
        let mut bytes = vec![0; wanted.min(to - from) as usize];
        tail.file.read_exact_at(&mut bytes, from)?;
        let header = if from == 0 { SEGMENT_HEADER.len().min(bytes.len()) } else { 0 };
        let end = if suspicion.is_torn { Ok(bytes.len()) } else { whole_records(&bytes, header) };
        let end = match end {
            // One record is longer than what was read.
            Ok(end) if end == header && (bytes.len() as u64) < to - from => {
                wanted *= 2;
                continue;
            }
            Ok(end) if (bytes.len() as u64) < to - from => Ok(end),
            Ok(end) if end < bytes.len() => Err((end, "a record is cut short")),
            end => end,
        };
        let end = match end {
            Ok(end) => end,
            Err((sound, reason)) => {
                suspicion.is_torn = true;
                let (path, from) = (tail.path.clone(), from + sound as u64);
                status.note_loss(&Damage { path, from, to: None, reason: reason.to_owned() });
                bytes.len()
            }
        };
        disk.write_again(tail, from, &bytes[..end])?;
        return Ok(from + end as u64);
    }
}

/// Where the last whole record ends; of what is no record, where it begins and why.
fn whole_records(bytes: &[u8], start: usize) -> Result<usize, (usize, &'static str)> {
    let mut end = start;
    while let Some(prefix) = bytes[end..].first_chunk::<PREFIX_LEN>() {
        let damaged = |error: codec::DecodeError| match error {
            codec::DecodeError::Damaged(reason) => (end, reason),
            codec::DecodeError::Incomplete => (end, "a record is cut short"),
        };
        let (body_len, crc) = codec::decode_prefix(*prefix).map_err(damaged)?;
        let Some(body) = bytes[end + PREFIX_LEN..].get(..body_len) else { break };
        if crc32c::crc32c(body) != crc {
            return Err((end, "a record's checksum does not fit its content"));
        }
        end += PREFIX_LEN + body_len;
    }
    Ok(end)
}

#[cfg(test)]
mod tests;
