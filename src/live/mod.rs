//! The latest state and its fan-out.
//!
//! The pipeline writes each instrument's latest quote into a [`LiveTable`]; anyone reads it without stopping the
//! writer. The [`RedisPublisher`] follows the table's dirty bits, so it sends the latest values however far it is
//! behind, and its absence or slowness costs the pipeline nothing.
//!
//! Left out: history (the store has it), and subscribers inside the process other than the one dirty cursor.

mod directory;
mod frame;
mod redis;
mod settings;
mod table;

pub use directory::{Directory, DirectoryEntry, Listings};
pub use frame::{FRAME_RECORDS_MAX, FrameError, FrameRecord, LiveFrame};
pub use redis::{RedisError, RedisPublisher, RedisStatus};
pub use settings::LiveSettings;
pub use table::{DirtyCursor, LiveError, LiveQuote, LiveTable, LiveWriter};
