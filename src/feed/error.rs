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

impl FeedError {
    /// A client that cannot be built, with all its causes; the usual one is a machine without CA certificates.
    pub(super) fn client(error: &dyn std::error::Error) -> FeedError {
        let mut reason = error.to_string();
        let mut cause = error.source();
        while let Some(inner) = cause {
            reason = format!("{reason}: {inner}");
            cause = inner.source();
        }
        reason += "; are the system's CA certificates installed (ca-certificates)?";
        FeedError::Setup { what: "the HTTP client", reason }
    }
}
