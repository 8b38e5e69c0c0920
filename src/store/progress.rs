//! Signs that a transaction gets on.

use std::{fmt, sync::Arc};

/// Told of each piece of a transaction that the database has taken, from whatever thread the transaction is on. The default
/// tells nobody.
#[derive(Clone)]
pub struct Progress {
    note: Arc<dyn Fn() + Send + Sync>,
}

impl Progress {
    pub fn new(note: impl Fn() + Send + Sync + 'static) -> Progress {
        Progress { note: Arc::new(note) }
    }

    pub(super) fn note(&self) {
        (self.note)();
    }
}

impl Default for Progress {
    fn default() -> Progress {
        Progress::new(|| ())
    }
}

impl fmt::Debug for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Progress").finish_non_exhaustive()
    }
}
