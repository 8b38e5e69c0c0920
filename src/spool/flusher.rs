//! Forces the log onto the disk from a thread of its own, and lets go of what is there.
//!
//! A sync takes as long as the disk does; nothing that appends waits for it. Pages that are on the disk leave the
//! operating system's cache: nobody reads the log while it is written, and the cache gives pages it has just got back
//! to the next append, which costs half of what pages do that nobody has touched for long.
//!
//! One request waits at most. A further one is dropped: the waiting one has not looked at the file yet, so it covers
//! what was appended since.

use super::SpoolError;
use crate::logging::Event;
use rustix::fs::{Advice, fadvise};
use std::{
    fs::File,
    num::NonZeroU64,
    path::{Path, PathBuf},
    sync::{
        Arc,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread,
};

/// The thread and the way to it.
#[derive(Debug)]
pub(super) struct Flusher {
    requests: Option<SyncSender<Request>>,
    thread: Option<thread::JoinHandle<()>>,
}

#[derive(Debug)]
struct Request {
    path: PathBuf,
    file: Arc<File>,
    /// Up to which it holds complete records.
    length: u64,
}

impl Flusher {
    /// # Errors
    /// When the operating system gives no thread.
    pub fn start(directory: &Path) -> Result<Flusher, SpoolError> {
        let (requests, queue) = sync_channel(1);
        let thread = thread::Builder::new().name("spool-flush".to_owned()).spawn(move || serve(&queue));
        let thread = thread.map_err(SpoolError::io("start a thread for", directory))?;
        Ok(Flusher { requests: Some(requests), thread: Some(thread) })
    }

    /// Asks for a file's first `length` bytes to be on the disk soon. Failures are logged.
    pub fn request(&self, path: &Path, file: &Arc<File>, length: u64) {
        if let Some(requests) = &self.requests {
            // Full: see the module's head. Ended: it has panicked, and the spool still syncs when it is closed.
            let _ = requests.try_send(Request { path: path.to_owned(), file: Arc::clone(file), length });
        }
    }
}

impl Drop for Flusher {
    fn drop(&mut self) {
        self.requests = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn serve(queue: &Receiver<Request>) {
    let mut previous: Option<(Arc<File>, u64)> = None;
    while let Ok(Request { path, file, length }) = queue.recv() {
        let from = match &previous {
            Some((same, released)) if Arc::ptr_eq(same, &file) => *released,
            _ => 0,
        };
        if let Err(error) = file.sync_data() {
            let error = SpoolError::io("sync", &path)(error);
            log::warn!(event = Event::SpoolUnsynced, error:%;
                "the last second of the log may not survive a loss of power: {error}");
            continue;
        }
        if let Some(synced) = NonZeroU64::new(length.saturating_sub(from)) {
            // Advice: a file system that does not take it keeps its pages.
            let _ = fadvise(&file, from, Some(synced), Advice::DontNeed);
        }
        previous = Some((file, length));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn dropping_it_waits_for_what_was_asked() {
        let directory = tempfile::tempdir().expect("a directory");
        let flusher = Flusher::start(directory.path()).expect("starts");
        let path = directory.path().join("file");
        let file = Arc::new(File::create(&path).expect("a file"));
        for length in [0, 5, 10] {
            (&*file).write_all(b"12345").expect("written");
            flusher.request(&path, &file, length);
        }
        drop(flusher);
        assert_eq!(Arc::strong_count(&file), 1, "the thread has let go of it");
        assert_eq!(std::fs::read(&path).expect("readable"), b"123451234512345");
    }
}
