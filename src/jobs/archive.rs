//! Compresses hours of the log that are no longer written.

use super::{Outcome, child::Shift};
use crate::{
    logging::Event,
    spool::{self, SpoolError},
};
use std::{
    path::{Path, PathBuf},
    time::Duration,
};

/// What a slow disk may take to have a compressed hour on it.
const SYNC_EXCUSE: Duration = Duration::from_secs(120);

impl Shift {
    /// Segments that wait, but for those that turned out to be damaged.
    pub fn segments(&self) -> Result<Vec<PathBuf>, SpoolError> {
        let mut segments = self.parts.written.finished_segments()?;
        segments.retain(|path| !self.damaged.contains(path));
        Ok(segments)
    }

    pub async fn archive(&mut self) -> Outcome {
        let segments = match self.segments() {
            Ok(segments) => segments,
            Err(error) => return Outcome::Failed(error.to_string()),
        };
        let (mut failure, mut remark) = (None, None);
        for raw in segments {
            match self.compress(&raw) {
                Ok(true) => {}
                Ok(false) => return Outcome::Interrupted("it was asked to stop"),
                // Its day was removed meanwhile.
                Err(_) if !raw.exists() => {}
                Err(error) => {
                    log::warn!(event = Event::SegmentUncompressed, error:%; "segment stays uncompressed: {error}");
                    let text = error.to_string();
                    if matches!(error, SpoolError::Damaged(_)) {
                        // It reads as well as it did; trying again does not mend it.
                        remark.get_or_insert(text);
                        self.damaged.insert(raw);
                    } else {
                        failure.get_or_insert(text);
                    }
                }
            }
            tokio::task::yield_now().await;
        }
        match failure {
            Some(failure) => Outcome::Failed(failure),
            None => Outcome::Done(remark.map(|damage| format!("a segment stays uncompressed: {damage}"))),
        }
    }

    /// Blocks. False if it was not to go on.
    fn compress(&self, raw: &Path) -> Result<bool, SpoolError> {
        let lease = &self.lease;
        let packed = spool::pack(raw, || {
            lease.pulse().progress();
            lease.is_current() && !lease.is_stopping()
        })?;
        let Some(packed) = packed else { return Ok(false) };
        #[cfg(feature = "chaos")]
        super::chaos::block(super::JobName::Archive);
        let _excused = lease.pulse().excuse(SYNC_EXCUSE);
        Ok(packed.put_in_place(self.parts.written.log_size(), || lease.is_current())?.is_some())
    }
}
