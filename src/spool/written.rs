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

#[cfg(test)]
mod tests {
    use crate::{
        market::Timestamp,
        spool::{Frames, NewRecord, Source, Spool},
    };
    use futures_util::FutureExt;

    fn append(spool: &mut Spool, hour: i64) {
        let received_time = Timestamp::from_us(1_769_743_800_000_000).plus_seconds(3_600 * hour);
        let frames = Frames::one(b"text");
        let mut record =
            NewRecord { source: Source::NSE_CHAIN, received_time, context: String::new(), frames };
        spool.append(&mut record).expect("appended");
    }

    #[test]
    fn each_change_is_told_once() {
        let directory = tempfile::tempdir().expect("a directory");
        let mut spool = Spool::open(directory.path()).expect("opens").spool;
        let mut written = spool.written();
        for hour in 0..2 {
            assert_eq!(written.changed().now_or_never(), None);
            append(&mut spool, hour);
            append(&mut spool, hour);
            assert_eq!(written.changed().now_or_never(), Some(()));
            assert!(written.get().is_some());
        }
        drop(spool);
        assert_eq!(written.changed().now_or_never(), None, "closed");
    }
}
