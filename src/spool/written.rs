//! Which segment is being written, for those who must leave it alone.

use super::{LogSize, SpoolError, reader};
use std::{path::PathBuf, sync::Arc};
use tokio::sync::watch;

/// Follows an open [`super::Spool`]. Clones follow the same.
#[derive(Clone, Debug)]
pub struct WrittenSegment {
    directory: PathBuf,
    written: watch::Receiver<Option<PathBuf>>,
    size: Arc<LogSize>,
}

impl WrittenSegment {
    pub(super) fn new(
        directory: PathBuf,
        written: watch::Receiver<Option<PathBuf>>,
        size: Arc<LogSize>,
    ) -> WrittenSegment {
        WrittenSegment { directory, written, size }
    }

    /// Of the log: who changes its finished segments tells it.
    pub fn log_size(&self) -> &LogSize {
        &self.size
    }

    /// `None` before the first record of an empty log.
    pub fn get(&self) -> Option<PathBuf> {
        self.written.borrow().clone()
    }

    /// Returns once another segment is written than when this was last asked; never after the log was closed.
    pub async fn changed(&mut self) {
        if self.written.changed().await.is_err() {
            std::future::pending().await
        }
    }

    /// Raw segments that are not written any more, oldest first.
    ///
    /// What is written never goes back to an earlier hour. So a segment before the one that was written when this was
    /// asked is finished, even if a later one is begun meanwhile.
    ///
    /// # Errors
    /// When a directory cannot be listed.
    pub fn finished_segments(&self) -> Result<Vec<PathBuf>, SpoolError> {
        let Some(written) = self.get() else { return Ok(Vec::new()) };
        let mut finished = reader::raw_segments(&self.directory)?;
        finished.retain(|path| *path < written);
        Ok(finished)
    }
}
