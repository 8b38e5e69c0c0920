//! From a provider's token to a slot, for every packet.

use crate::{
    market::{ProviderToken, Segment},
    prefetch::prefetch,
};
use rustc_hash::FxHashMap;
use std::collections::{BTreeMap, BTreeSet};

const EMPTY: u32 = u32::MAX;
/// Exchange tokens of shares and derivatives lie below; index tokens (99,926,000 …) above.
const DIRECT_TOKENS_MAX: u32 = 1 << 20;

/// An array by token where tokens are dense, a hash map for the few others.
#[derive(Debug, Default)]
pub struct TokenTable {
    direct: [Vec<u32>; Segment::ALL.len()],
    sparse: FxHashMap<ProviderToken, u32>,
}

impl TokenTable {
    pub fn insert(&mut self, token: ProviderToken, slot: u32) {
        if token.token < DIRECT_TOKENS_MAX {
            let slots = &mut self.direct[usize::from(token.segment.code()) - 1];
            let at = token.token as usize;
            if slots.len() <= at {
                slots.resize(at + 1, EMPTY);
            }
            slots[at] = slot;
        } else {
            self.sparse.insert(token, slot);
        }
    }

    /// What a token says is of no slot from now on.
    pub fn remove(&mut self, token: ProviderToken) {
        if token.token < DIRECT_TOKENS_MAX {
            let slots = &mut self.direct[usize::from(token.segment.code()) - 1];
            if let Some(slot) = slots.get_mut(token.token as usize) {
                *slot = EMPTY;
            }
        } else {
            self.sparse.remove(&token);
        }
    }

    #[inline]
    pub fn get(&self, token: ProviderToken) -> Option<u32> {
        if token.token < DIRECT_TOKENS_MAX {
            let slots = &self.direct[usize::from(token.segment.code()) - 1];
            slots.get(token.token as usize).copied().filter(|slot| *slot != EMPTY)
        } else {
            self.sparse.get(&token).copied()
        }
    }

    /// Has what [`TokenTable::get`] is going to need fetched from memory.
    #[inline]
    pub fn fetch(&self, token: ProviderToken) {
        let slots = &self.direct[usize::from(token.segment.code()) - 1];
        slots.get(token.token as usize).into_iter().for_each(prefetch);
    }

    /// The tokens of the first `max` of these slots that have one, in ascending order; one of a slot that has several.
    pub fn tokens_of(&self, slots: &[u32], max: usize) -> Vec<ProviderToken> {
        let wanted: BTreeSet<u32> = slots.iter().copied().collect();
        let direct = Segment::ALL.into_iter().zip(&self.direct).flat_map(|(segment, slots)| {
            slots.iter().zip(0..).map(move |(slot, token)| (ProviderToken { segment, token }, *slot))
        });
        let sparse = self.sparse.iter().map(|(token, slot)| (*token, *slot));
        let found: BTreeMap<u32, ProviderToken> = direct
            .chain(sparse)
            .filter(|(_, slot)| wanted.contains(slot))
            .map(|(token, slot)| (slot, token))
            .collect();
        let mut tokens: Vec<ProviderToken> =
            slots.iter().filter_map(|slot| found.get(slot)).copied().take(max).collect();
        tokens.sort_unstable();
        tokens
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn finds_what_was_inserted_and_nothing_else(
            tokens in prop::collection::vec((0_usize..4, prop_oneof![0_u32..2_000, 99_926_000_u32..99_926_050]), 0..60),
            asked in (0_usize..4, 0_u32..2_000),
        ) {
            let (mut table, mut model) = (TokenTable::default(), BTreeMap::new());
            let key = |(segment, token): (usize, u32)| ProviderToken { segment: Segment::ALL[segment], token };
            for (slot, token) in tokens.into_iter().enumerate() {
                table.insert(key(token), slot as u32);
                model.insert(key(token), slot as u32);
            }
            for (token, slot) in &model {
                prop_assert_eq!(table.get(*token), Some(*slot));
            }
            if let Some((token, _)) = model.pop_first() {
                table.remove(token);
                prop_assert_eq!(table.get(token), None);
                for (token, slot) in &model {
                    prop_assert_eq!(table.get(*token), Some(*slot), "the others stay");
                }
            }
            prop_assert_eq!(table.get(key(asked)), model.get(&key(asked)).copied());
            for slot in model.values() {
                // The first slot has no token; the one after it is not left out for that.
                let tokens = table.tokens_of(&[u32::MAX - 1, *slot], 1);
                prop_assert_eq!(tokens.len(), 1);
                prop_assert_eq!(table.get(tokens[0]), Some(*slot));
            }
        }
    }
}
