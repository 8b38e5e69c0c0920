//! How often something was found, and the last of it.

/// How often something was found, and the last of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counted<T> {
    pub count: u64,
    pub last: Option<T>,
}

impl<T> Default for Counted<T> {
    fn default() -> Counted<T> {
        Counted { count: 0, last: None }
    }
}

impl<T> Counted<T> {
    pub(super) fn add(&mut self, found: T) {
        self.count += 1;
        self.last = Some(found);
    }
}
