//! Whether a writer may still commit.

use std::{fmt, sync::Arc};

/// Asked right before each commit: a writer that was given up meanwhile writes nothing any more, whatever thread its
/// transaction is on. The default always holds.
#[derive(Clone)]
pub struct Fence {
    holds: Arc<dyn Fn() -> bool + Send + Sync>,
}

impl Fence {
    pub fn new(holds: impl Fn() -> bool + Send + Sync + 'static) -> Fence {
        Fence { holds: Arc::new(holds) }
    }

    pub(super) fn holds(&self) -> bool {
        (self.holds)()
    }
}

impl Default for Fence {
    fn default() -> Fence {
        Fence::new(|| true)
    }
}

impl fmt::Debug for Fence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fence").field("holds", &self.holds()).finish()
    }
}
