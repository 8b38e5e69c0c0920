//! State handed from one incarnation to the next, when the first ended in order.

use std::sync::{Arc, Mutex, PoisonError};

/// A cell beside the child. An incarnation takes what is kept at its start and keeps it again where it ends in order
/// (stop, error). One that panicked has kept nothing: its state is not trusted and the next one rebuilds.
#[derive(Debug)]
pub struct Keep<S> {
    cell: Arc<Mutex<Option<S>>>,
}

impl<S> Clone for Keep<S> {
    fn clone(&self) -> Self {
        Keep { cell: Arc::clone(&self.cell) }
    }
}

impl<S> Default for Keep<S> {
    fn default() -> Self {
        Keep { cell: Arc::default() }
    }
}

impl<S> Keep<S> {
    /// What the last incarnation left. The cell is empty afterwards, so that a panic leaves nothing.
    pub fn take(&self) -> Option<S> {
        self.cell.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    pub fn put(&self, state: S) {
        *self.cell.lock().unwrap_or_else(PoisonError::into_inner) = Some(state);
    }
}
