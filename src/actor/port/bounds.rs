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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bounds(items: usize, weight: usize) -> Bounds<usize> {
        Bounds { items, weight, weigh: Some(|item| *item) }
    }

    #[test]
    fn either_bound_is_high_and_both_must_be_low() {
        let bounds = bounds(10, 1_000);
        for (items, weight, is_high) in [(7, 799, false), (8, 0, true), (0, 800, true), (20, 2_000, true)] {
            assert_eq!(bounds.is_high(items, weight), is_high, "{items} of {weight}");
        }
        for (items, weight, is_low) in [(5, 500, true), (6, 0, false), (0, 501, false), (0, 0, true)] {
            assert_eq!(bounds.is_low(items, weight), is_low, "{items} of {weight}");
        }
        let weightless: Bounds<usize> = Bounds { items: 10, weight: usize::MAX, weigh: None };
        assert_eq!(weightless.weight_of(&7), 0);
        assert!(!weightless.is_high(7, 0) && weightless.is_low(5, 0));
    }

    proptest! {
        #[test]
        fn high_is_four_fifths_and_never_low(bound in 1_usize..10_000, items in 0_usize..12_000) {
            let bounds = bounds(bound, usize::MAX);
            prop_assert_eq!(bounds.is_high(items, 0), items * 5 >= bound * 4);
            prop_assert_eq!(bounds.is_low(items, 0), items * 2 <= bound);
            prop_assert!(!(bounds.is_high(items, 0) && bounds.is_low(items, 0)));
        }
    }
}
