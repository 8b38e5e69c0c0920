//! What can go wrong with the record, and who deals with it.

use super::Birth;

/// What the owner of the store does about an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorClass {
    /// Wait and write the same batch again, for as long as it takes.
    Retry,
    /// As `Retry`, and tell the operator: only they can make space.
    DiskFull,
    /// A defect in the data or the program: stop with an error, nothing is written in the meantime.
    Stop,
    /// The configuration must change first: exit 78, so that systemd does not restart in vain.
    Configuration,
}

/// Every failure of the store. `store` is its address without a password. See [`StoreError::class`] for who handles it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    #[error(
        "{url:?} is not the address of a store: {reason}; write sqlite:PATH or postgres://USER@HOST/DATABASE"
    )]
    Address { url: String, reason: String },
    #[error(
        "the store {store} was born {born} and is opened as {wanted}; real and simulated data never mix: \
         give the {wanted} run a store of its own"
    )]
    WrongKind { store: String, born: Birth, wanted: Birth },
    #[error(
        "{store} is a file, but no SQLite database: move it away or correct the address; where a store of bhavd was there, \
         restore a backup, or let bhavd fill a new one from its log"
    )]
    NoDatabase { store: String },
    #[error("{store} is no store of bhavd; start bhavd once with this address, or correct it")]
    NotAStore { store: String },
    #[error(
        "the store {store} was made by a later bhavd (its schema has {migration}, unknown here); install that version"
    )]
    Later { store: String, migration: String },
    #[error("the store {store} refused access: {reason}; check {}", what_to_check(store))]
    Refused { store: String, reason: String },
    #[error("the store {store} is busy: {reason}")]
    Busy { store: String, reason: String },
    #[error("the connection to the store {store} failed: {reason}")]
    Lost { store: String, reason: String },
    #[error(
        "no space left for the store {store}: {reason}; free space on its disk, writing goes on by itself"
    )]
    DiskFull { store: String, reason: String },
    #[error("the store {store} refused a row: {reason}")]
    Constraint { store: String, reason: String },
    #[error(
        "the store {store} is damaged: {reason}; stop bhavd, keep the files, restore a backup or replay the log"
    )]
    Corrupt { store: String, reason: String },
    #[error("the store {store} failed: {reason}")]
    Failed { store: String, reason: String },
    #[error("the writer of the store {store} was given up before its commit; another writes the same rows")]
    Fenced { store: String },
}

impl StoreError {
    pub fn class(&self) -> ErrorClass {
        match self {
            StoreError::Busy { .. } | StoreError::Lost { .. } => ErrorClass::Retry,
            StoreError::DiskFull { .. } => ErrorClass::DiskFull,
            StoreError::Constraint { .. }
            | StoreError::Corrupt { .. }
            | StoreError::Failed { .. }
            | StoreError::Fenced { .. } => ErrorClass::Stop,
            StoreError::Address { .. }
            | StoreError::WrongKind { .. }
            | StoreError::NoDatabase { .. }
            | StoreError::NotAStore { .. }
            | StoreError::Later { .. }
            | StoreError::Refused { .. } => ErrorClass::Configuration,
        }
    }
}

/// A file has neither a user nor a password of its own.
fn what_to_check(store: &str) -> &'static str {
    match store.starts_with("sqlite") {
        true => "that its directory is there, and the permissions of both",
        false => "user, password and database",
    }
}

/// Adds up an error and all its causes; the database's own words are in the last one.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let inner_text = inner.to_string();
        if !text.contains(&inner_text) {
            text.push_str(": ");
            text.push_str(&inner_text);
        }
        cause = inner.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_server_has_users() {
        let refused = |store: &str| {
            StoreError::Refused { store: store.to_owned(), reason: "unable to open".to_owned() }.to_string()
        };
        assert!(
            refused("sqlite:/no/such/x.sqlite")
                .ends_with("that its directory is there, and the permissions of both")
        );
        assert!(refused("postgres://bhavd@desk/record").ends_with("user, password and database"));
    }
}
