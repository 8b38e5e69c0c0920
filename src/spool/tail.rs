//! The segment that is being written, as both the appending side and the flusher hold it.

use std::{
    fs::File,
    path::PathBuf,
    sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
};

/// An open segment and how far it goes. Only the appending side writes beyond what is complete.
#[derive(Debug)]
pub(super) struct Tail {
    pub path: PathBuf,
    /// Appends and reads.
    pub file: File,
    complete: AtomicU64,
    is_writing: AtomicBool,
}

/// A tail at one moment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Appended {
    /// Length up to which records are complete.
    pub complete: u64,
    /// Whether bytes beyond are being written.
    pub is_writing: bool,
}

impl Tail {
    pub fn new(path: PathBuf, file: File, complete: u64) -> Tail {
        Tail { path, file, complete: AtomicU64::new(complete), is_writing: AtomicBool::new(false) }
    }

    pub fn begin_write(&self) {
        self.is_writing.store(true, SeqCst);
    }

    /// What was begun is over; records are complete up to `complete`.
    pub fn end_write(&self, complete: u64) {
        self.complete.store(complete, SeqCst);
        self.is_writing.store(false, SeqCst);
    }

    /// Where nothing is being written, everything ever begun lies below `complete`.
    pub fn appended(&self) -> Appended {
        // In this order: a write that ends in between counts as one that goes on.
        let is_writing = self.is_writing.load(SeqCst);
        Appended { complete: self.complete.load(SeqCst), is_writing }
    }
}
