//! The raw-first log: every frame and body that carries market data, in the order in which it is worked on.
//!
//! Owns the files under the spool directory: one segment an hour, `YYYY-MM-DD/HH.spool` by the receive time in IST,
//! compressed to `HH.spool.zst` some time after the next one has begun. A record is appended before anything decodes it,
//! and the pipeline takes records in the order of their numbers, so reading the log back gives the same inputs in the
//! same order. An hour's file that another life of the daemon left may stand beside it as `HH-before.spool`; the records of
//! both are read as they were received.
//! A torn tail is cut when the log is opened, and the cut is reported; damage elsewhere is reported and left
//! as it is.
//!
//! Left out: when a finished segment is compressed ([`pack`]) and which days are removed ([`remove_day`]), which are jobs
//! of their own, and knowing what any frame means.

mod absent_days;
mod ahead;
mod archive;
mod codec;
mod continuity;
mod damage;
mod day_lines;
mod dead_letters;
mod flusher;
mod log_size;
mod lost_parts;
mod reader;
mod record;
mod removal;
mod rules;
mod segment;
mod session_data;
mod sync_status;
mod tail;
mod unsynced;
mod writer;
mod written;

pub use absent_days::AbsentDays;
pub use ahead::SetAside;
pub use archive::{Packed, pack};
pub use continuity::{AsideRecords, Continuity, Hole};
pub use damage::Damage;
pub use dead_letters::{DeadLetter, DeadLetters};
pub use log_size::LogSize;
pub use lost_parts::{LostParts, Wholeness};
pub use reader::{SpoolReader, days, has_segments};
pub use record::{Frames, Mark, NewRecord, Record, Skip};
pub use removal::{Removed, remove_day, sweep};
pub use rules::{ChannelTimes, DayRules, RULES_SCHEMA, SessionTimes};
pub use session_data::{SessionData, session_data};
pub use sync_status::SyncStatus;
pub use writer::{Opened, Spool, TornTail};
pub use written::WrittenSegment;

pub use crate::wire::Source;

use std::{io, path::PathBuf};

/// What can go wrong with the log.
///
/// The intake handles [`SpoolError::Full`] by waiting for space and saying so, and [`SpoolError::TooLarge`] by going on
/// without the record and saying so; who reads goes on behind [`SpoolError::Damaged`] and says so; everything else stops
/// the daemon, because going on would lose data.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    #[error("no space left for the spool in {path}: free some space there, recording goes on by itself")]
    Full { path: PathBuf },
    #[error("cannot {action} {path}: {source}")]
    Io { action: &'static str, path: PathBuf, source: io::Error },
    #[error(
        "{path} is in use by another bhavd: stop that one, or give this one a spool directory of its own"
    )]
    InUse { path: PathBuf },
    #[error(
        "a record of {origin:?} is larger than the spool can hold and is not kept: {body_bytes} bytes, and {context_bytes} of \
         what was asked for; please report it"
    )]
    TooLarge { origin: Source, body_bytes: usize, context_bytes: usize },
    #[error(transparent)]
    Damaged(#[from] Damage),
}

impl SpoolError {
    fn io(action: &'static str, path: &std::path::Path) -> impl FnOnce(io::Error) -> SpoolError {
        move |source| {
            if source.kind() == io::ErrorKind::StorageFull {
                SpoolError::Full { path: path.to_owned() }
            } else {
                SpoolError::Io { action, path: path.to_owned(), source }
            }
        }
    }
}
