//! What one socket has subscribed to.

use crate::{
    market::ProviderToken,
    sim::SimMarket,
    wire::angel_one::{StreamMode, StreamRequest},
};
use rustc_hash::FxHashSet;

/// The request would exceed the socket's limit; nothing of it was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LimitExceeded;

/// Subscribed modes by slot. The limit counts pairs of token and mode; tokens the market does not know count as well
/// and never tick, as on the real socket.
#[derive(Debug)]
pub(super) struct Subscriptions {
    /// One bit a mode.
    modes: Vec<u8>,
    unknown: FxHashSet<(ProviderToken, u8)>,
    /// Pairs of token and mode.
    count: usize,
    limit: usize,
}

const fn bit(mode: StreamMode) -> u8 {
    1 << mode.code()
}

impl Subscriptions {
    pub fn new(slots: usize, limit: usize) -> Subscriptions {
        Subscriptions { modes: vec![0; slots], unknown: FxHashSet::default(), count: 0, limit }
    }

    /// Applies a request and returns the slots that are subscribed by it for the first time in its mode.
    pub fn apply(
        &mut self,
        market: &SimMarket,
        request: &StreamRequest,
    ) -> Result<Vec<usize>, LimitExceeded> {
        if !request.subscribe {
            for token in &request.tokens {
                self.remove(market, *token, request.mode);
            }
            return Ok(Vec::new());
        }
        let missing = |token: &&ProviderToken| match market.slot_of_token(**token) {
            Some(slot) => self.modes[slot] & bit(request.mode) == 0,
            None => !self.unknown.contains(&(**token, request.mode.code())),
        };
        let added: FxHashSet<ProviderToken> = request.tokens.iter().filter(missing).copied().collect();
        if self.count + added.len() > self.limit {
            return Err(LimitExceeded);
        }
        self.count += added.len();
        let mut first_time = Vec::new();
        for token in &request.tokens {
            match market.slot_of_token(*token) {
                Some(slot) if self.modes[slot] & bit(request.mode) == 0 => {
                    self.modes[slot] |= bit(request.mode);
                    first_time.push(slot);
                }
                Some(_) => {}
                None => {
                    self.unknown.insert((*token, request.mode.code()));
                }
            }
        }
        Ok(first_time)
    }

    fn remove(&mut self, market: &SimMarket, token: ProviderToken, mode: StreamMode) {
        let was_there = match market.slot_of_token(token) {
            Some(slot) => {
                let was_there = self.modes[slot] & bit(mode) != 0;
                self.modes[slot] &= !bit(mode);
                was_there
            }
            None => self.unknown.remove(&(token, mode.code())),
        };
        self.count -= usize::from(was_there);
    }

    /// Whether a slot is subscribed in any mode.
    pub fn has(&self, slot: usize) -> bool {
        self.modes[slot] != 0
    }

    #[inline]
    pub fn modes(&self, slot: usize) -> impl Iterator<Item = StreamMode> {
        let modes = self.modes[slot];
        // Most slots have no subscription at all, most others one.
        let all = if modes == 0 { &[] } else { StreamMode::ALL.as_slice() };
        all.iter().copied().filter(move |mode| modes & bit(*mode) != 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{market::Segment, sim::SyntheticMarket};

    fn request(subscribe: bool, mode: StreamMode, tokens: &[ProviderToken]) -> StreamRequest {
        StreamRequest { correlation_id: None, subscribe, mode, tokens: tokens.to_vec() }
    }

    #[test]
    fn pairs_count_and_the_limit_refuses_whole_requests() {
        let parameters = SyntheticMarket { duration_s: 1, strikes: 4, ..SyntheticMarket::default() };
        let market = parameters.generate();
        let token = |slot: usize| market.contracts()[slot].token;
        let unknown = ProviderToken { segment: Segment::NseFo, token: 7 };
        let mut subscriptions = Subscriptions::new(market.contracts().len(), 4);
        let snap = StreamMode::SnapQuote;
        let added =
            subscriptions.apply(&market, &request(true, snap, &[token(1), token(1), token(2), unknown]));
        assert_eq!(added, Ok(vec![1, 2]), "a token named twice counts once");
        assert_eq!(subscriptions.count, 3);
        let refused = subscriptions.apply(&market, &request(true, snap, &[token(3), token(4)]));
        assert_eq!((refused, subscriptions.count), (Err(LimitExceeded), 3));
        let again = subscriptions.apply(&market, &request(true, snap, &[token(1), token(2), unknown]));
        assert_eq!((again, subscriptions.count), (Ok(vec![]), 3), "duplicates are ignored");
        let other_mode = subscriptions.apply(&market, &request(true, StreamMode::Ltp, &[token(1)]));
        assert_eq!(other_mode, Ok(vec![1]));
        assert_eq!(subscriptions.modes(1).collect::<Vec<_>>(), [StreamMode::Ltp, snap]);
        let end = request(false, snap, &[token(1), unknown, token(9)]);
        assert_eq!(subscriptions.apply(&market, &end), Ok(vec![]));
        assert_eq!(subscriptions.count, 2);
        assert_eq!(subscriptions.modes(1).collect::<Vec<_>>(), [StreamMode::Ltp]);
        assert_eq!(subscriptions.modes(9).count(), 0);
    }
}
