//! What the store contains when the pipeline begins over it.

use crate::{
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
}

impl StoreRecord {
    /// # Errors
    /// When the store cannot be read.
    pub async fn read(reader: &Reader) -> Result<StoreRecord, StoreError> {
        // First: what is committed meanwhile is read from the log once more.
        let checkpoint = reader.checkpoint().await?;
        let instruments = reader.instruments().await?;
        let symbols = reader.symbols().await?;
        let finals = match checkpoint {
            Some(checkpoint) => reader.final_open_interest(checkpoint.session_date).await?,
            None => Vec::new(),
        };
        Ok(StoreRecord { catalog: Catalog::new(instruments, symbols, finals), checkpoint })
    }
}
