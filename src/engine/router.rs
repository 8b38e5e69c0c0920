//! Which provider's word counts, and since when anyone has been watching.
//!
//! One provider is active at a time: the first in the order of preference that is up. What the others say is logged
//! in the spool and otherwise ignored, so that two sources never alternate within one contract's history.

use crate::market::{Provider, Timestamp};

/// Order of preference and who is up.
#[derive(Clone, Debug)]
pub struct Router {
    preference: Vec<Provider>,
    up_since: [Option<Timestamp>; Provider::ALL.len()],
    /// Follows from the two above; asked for with every tick.
    accepted: [bool; Provider::ALL.len()],
}

impl Router {
    pub fn new(preference: Vec<Provider>) -> Router {
        Router { preference, up_since: [None; Provider::ALL.len()], accepted: [true; Provider::ALL.len()] }
    }

    fn index(provider: Provider) -> usize {
        usize::from(provider.code()) - 1
    }

    /// A second "up" without a "down" between changes nothing.
    pub fn set_up(&mut self, provider: Provider, since: Timestamp) {
        self.up_since[Self::index(provider)].get_or_insert(since);
        self.choose();
    }

    pub fn set_down(&mut self, provider: Provider) {
        self.up_since[Self::index(provider)] = None;
        self.choose();
    }

    pub fn set_all_down(&mut self) {
        self.up_since = [None; Provider::ALL.len()];
        self.choose();
    }

    fn choose(&mut self) {
        let nobody_up = self.up_since.iter().all(Option::is_none);
        let active = self.active();
        self.accepted = Provider::ALL.map(|provider| nobody_up || active == Some(provider));
    }

    /// The provider that counts; the most preferred one while nobody is up, so that first snapshots are taken.
    pub fn active(&self) -> Option<Provider> {
        let up = self.preference.iter().find(|provider| self.up_since[Self::index(**provider)].is_some());
        up.or(self.preference.first()).copied()
    }

    /// As [`Router::active`]; `None` while nobody is up.
    pub fn watching(&self) -> Option<Provider> {
        self.active().filter(|provider| self.up_since[Self::index(*provider)].is_some())
    }

    /// Whether values of `provider` are taken now. While nobody is up, anyone's are.
    pub fn accepts(&self, provider: Provider) -> bool {
        self.accepted[Self::index(provider)]
    }

    /// Whether somebody has been watching without a break since `instant`.
    pub fn watched_since(&self, instant: Timestamp) -> bool {
        self.up_since.iter().flatten().any(|since| *since <= instant)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_preferred_provider_that_is_up_counts() {
        let at = Timestamp::from_us;
        let mut router = Router::new(vec![Provider::AngelOne, Provider::Nse]);
        assert!(router.accepts(Provider::Nse) && router.accepts(Provider::AngelOne));
        assert_eq!(router.watching(), None);
        router.set_up(Provider::Nse, at(10));
        assert_eq!(router.watching(), Some(Provider::Nse));
        assert!(router.accepts(Provider::Nse) && !router.accepts(Provider::AngelOne));
        router.set_up(Provider::AngelOne, at(20));
        assert!(!router.accepts(Provider::Nse) && router.accepts(Provider::AngelOne));
        assert!(router.watched_since(at(10)) && !router.watched_since(at(9)));
        router.set_up(Provider::Nse, at(30));
        assert!(router.watched_since(at(10)), "still up since 10");
        router.set_down(Provider::Nse);
        assert!(router.watched_since(at(20)) && !router.watched_since(at(19)));
        assert_eq!(router.watching(), Some(Provider::AngelOne));
        router.set_all_down();
        assert_eq!(router.watching(), None);
        assert!(!router.watched_since(at(100)));
    }
}
