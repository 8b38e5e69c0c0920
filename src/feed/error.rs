//! Why a feed ends by itself.

/// The log is closed or cannot take more; the feed stops reading and ends.
#[derive(Debug, thiserror::Error)]
#[error("the record was not accepted: {reason}")]
pub struct NotAccepted {
    pub reason: String,
}

/// Why a feed ended by itself. Everything else is a state of the feed, not an end.
#[derive(Debug, thiserror::Error)]
pub enum FeedError {
    /// The log is closed; a restart of the feed alone does not help.
    #[error(transparent)]
    NotAccepted(#[from] NotAccepted),
    /// Something the owner has to mend before a restart helps.
    #[error("{what} cannot be used: {reason}")]
    Setup { what: &'static str, reason: String },
}
