//! How much a port holds.

/// Items, and what they weigh together.
pub(super) struct Bounds<T> {
    pub items: usize,
    /// Of all items waiting and in hand. The item that reaches it is still taken.
    pub weight: usize,
    /// `None`: items weigh nothing.
    pub weigh: Option<fn(&T) -> usize>,
}

impl<T> Bounds<T> {
    pub fn weight_of(&self, item: &T) -> usize {
        self.weigh.map_or(0, |weigh| weigh(item))
    }

    /// Four fifths of either bound: who can wait should.
    pub fn is_high(&self, items: usize, weight: usize) -> bool {
        items >= share(self.items, 4, 5) || weight >= share(self.weight, 4, 5)
    }

    /// At most half of both bounds.
    pub fn is_low(&self, items: usize, weight: usize) -> bool {
        items <= self.items / 2 && weight <= self.weight / 2
    }
}

/// Rounded up: a bound of one is reached with one.
fn share(bound: usize, of: usize, by: usize) -> usize {
    (bound / by * of) + (bound % by * of).div_ceil(by)
}
