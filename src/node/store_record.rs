//! What the store contains when the pipeline begins over it.

use crate::{
    market::Timestamp,
    pipeline::Catalog,
    store::{Checkpoint, Reader, StoreError},
};

/// The catalog belongs to the beginning of the checkpoint's day, which is where the log is read from. It may know contracts
/// of later on: their numbers are the ones that reading the log gives them.
#[derive(Clone, Debug, Default)]
pub struct StoreRecord {
    pub catalog: Catalog,
    /// `None` if the store contains nothing.
    pub checkpoint: Option<Checkpoint>,
    /// Of its day: when the newest value was received that the last rows rest on. The log that filled the store has a record
    /// of that time.
    pub last_received: Option<Timestamp>,
}

impl StoreRecord {
    /// # Errors
    /// When the store cannot be read.
    pub async fn read(reader: &Reader) -> Result<StoreRecord, StoreError> {
        // First: what is committed meanwhile is read from the log once more.
        let checkpoint = reader.checkpoint().await?;
        let instruments = reader.instruments().await?;
        let symbols = reader.symbols().await?;
        let (finals, last_received) = match checkpoint {
            Some(Checkpoint { session_date, .. }) => {
                (reader.final_open_interest(session_date).await?, reader.last_received(session_date).await?)
            }
            None => (Vec::new(), None),
        };
        Ok(StoreRecord { catalog: Catalog::new(instruments, symbols, finals), checkpoint, last_received })
    }
}
