//! Which chains a provider watches while it is up: the options of one underlying and expiry together.
//!
//! Beside the slots, because the tick path does not need it. Left out: which underlying and expiry a chain is, and whether
//! the provider itself is up, which the router knows.

use crate::{
    engine::router::Watchers,
    market::{Provider, Timestamp},
};

/// Later than any instant that is asked for.
const NEVER: Timestamp = Timestamp::from_us(i64::MAX);
/// As long as the provider itself.
const ALWAYS: Timestamp = Timestamp::from_us(i64::MIN);

#[derive(Clone, Debug, Default)]
pub(super) struct Chains {
    /// By slot.
    chain_of: Vec<u32>,
    /// By chain and provider.
    watched_since: Vec<[Timestamp; Provider::ALL.len()]>,
}

impl Chains {
    pub fn add_slot(&mut self, chain: u32) {
        self.chain_of.push(chain);
        self.reach(chain);
    }

    fn reach(&mut self, chain: u32) -> &mut [Timestamp; Provider::ALL.len()] {
        let index = chain as usize;
        if self.watched_since.len() <= index {
            self.watched_since.resize(index + 1, [ALWAYS; Provider::ALL.len()]);
        }
        &mut self.watched_since[index]
    }

    /// The chain of a slot, as an index.
    pub fn of(&self, slot: usize) -> usize {
        self.chain_of[slot] as usize
    }

    pub fn set_up(&mut self, provider: Provider, chain: u32, since: Timestamp) {
        self.reach(chain)[usize::from(provider.code()) - 1] = since;
    }

    pub fn set_down(&mut self, provider: Provider, chain: u32) {
        self.set_up(provider, chain, NEVER);
    }

    /// By chain: whether those who watched since `instant` watched it too. All of them must, since a claim rests on all.
    pub fn watched_since(&self, watchers: Watchers, instant: Timestamp) -> Vec<bool> {
        let chains = 0..self.watched_since.len();
        chains.map(|chain| self.is_watched_since(chain, watchers, instant)).collect()
    }

    pub fn is_watched_since(&self, chain: usize, watchers: Watchers, instant: Timestamp) -> bool {
        let since = self.watched_since[chain];
        let mut watchers =
            Provider::ALL.into_iter().filter(|provider| watchers.contains(*provider)).peekable();
        watchers.peek().is_some()
            && watchers.all(|provider| since[usize::from(provider.code()) - 1] <= instant)
    }
}
