//! Which provider's word counts, and since when anyone has been watching.
//!
//! One provider is active at a time: the first in the order of preference that is up. What the others say is logged
//! in the spool and otherwise ignored, so that two sources never alternate within one contract's history.
//!
//! An operator may force a provider: it goes before all others while it is up. While it is down the order of preference
//! holds among the rest, since recording nothing would be worse, and it counts again once it is up.

use crate::market::{Provider, Timestamp};

/// Those on whose watching a claim rests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Watchers(u8);

const _: () = assert!(Provider::ALL.len() <= 8);

impl Watchers {
    fn add(&mut self, provider: Provider) {
        self.0 |= 1 << Router::index(provider);
    }

    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub fn contains(self, provider: Provider) -> bool {
        self.0 & 1 << Router::index(provider) != 0
    }
}

/// Order of preference, an operator's choice, and who is up.
#[derive(Clone, Debug)]
pub struct Router {
    preference: Vec<Provider>,
    forced: Option<Provider>,
    up_since: [Option<Timestamp>; Provider::ALL.len()],
    /// Follows from the above; asked for with every tick.
    accepted: [bool; Provider::ALL.len()],
}

impl Router {
    pub fn new(preference: Vec<Provider>) -> Router {
        Router {
            preference,
            forced: None,
            up_since: [None; Provider::ALL.len()],
            accepted: [true; Provider::ALL.len()],
        }
    }

    fn index(provider: Provider) -> usize {
        usize::from(provider.code()) - 1
    }

    /// A second "up" without a "down" between changes nothing.
    pub fn set_up(&mut self, provider: Provider, since: Timestamp) {
        self.up_since[Self::index(provider)].get_or_insert(since);
        self.choose();
    }

    /// It is known at `now` that `provider` has not watched since `since`. Where its values were the ones that counted,
    /// nobody's did from then until now: the others count as watching from now on.
    pub fn set_down(&mut self, provider: Provider, since: Timestamp, now: Timestamp) {
        let counted = self.watching() == Some(provider);
        self.up_since[Self::index(provider)] = None;
        if counted && since < now {
            self.up_since.iter_mut().flatten().for_each(|up_since| *up_since = (*up_since).max(now));
        }
        self.choose();
    }

    /// Since when `provider` has been up.
    pub fn up_since(&self, provider: Provider) -> Option<Timestamp> {
        self.up_since[Self::index(provider)]
    }

    /// `None` leaves the choice to the order of preference. Values of the provider that counts from `now` on were ignored
    /// before, so what is claimed of the time before rests on the other.
    pub fn force(&mut self, provider: Option<Provider>, now: Timestamp) {
        let before = self.watching();
        self.forced = provider;
        self.choose();
        if let Some(counts) = self.watching().filter(|counts| Some(*counts) != before) {
            let up_since = &mut self.up_since[Self::index(counts)];
            *up_since = (*up_since).max(Some(now));
        }
    }

    /// Whom an operator forced, up or not.
    pub fn forced(&self) -> Option<Provider> {
        self.forced
    }

    fn choose(&mut self) {
        let nobody_up = self.up_since.iter().all(Option::is_none);
        let active = self.active();
        self.accepted = Provider::ALL.map(|provider| nobody_up || active == Some(provider));
    }

    /// The provider that counts; the one that goes before all others while nobody is up, so that first snapshots are taken.
    pub fn active(&self) -> Option<Provider> {
        let mut ranked = self.forced.iter().chain(&self.preference).copied();
        let first = ranked.clone().next();
        ranked.find(|provider| self.up_since[Self::index(*provider)].is_some()).or(first)
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
        !self.watchers_since(instant).is_empty()
    }

    /// Who has been watching without a break since `instant`: whose values count, if it has, and otherwise all who have,
    /// with the one that took over meanwhile.
    pub fn watchers_since(&self, instant: Timestamp) -> Watchers {
        let has_watched =
            |provider: &Provider| self.up_since(*provider).is_some_and(|since| since <= instant);
        let mut watchers = Watchers::default();
        if let Some(active) = self.watching().filter(has_watched) {
            watchers.add(active);
            return watchers;
        }
        Provider::ALL.into_iter().filter(has_watched).for_each(|provider| watchers.add(provider));
        if !watchers.is_empty() {
            self.watching().into_iter().for_each(|active| watchers.add(active));
        }
        watchers
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

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
        router.set_down(Provider::Nse, at(40), at(40));
        assert!(router.watched_since(at(20)) && !router.watched_since(at(19)));
        assert_eq!(router.watching(), Some(Provider::AngelOne));
        router.set_down(Provider::AngelOne, at(50), at(50));
        assert_eq!(router.watching(), None);
        assert!(!router.watched_since(at(100)));
    }

    #[test]
    fn a_forced_provider_goes_first_while_it_is_up() {
        let at = Timestamp::from_us;
        let mut router = Router::new(vec![Provider::AngelOne, Provider::Nse]);
        router.force(Some(Provider::Nse), at(5));
        assert_eq!((router.active(), router.watching()), (Some(Provider::Nse), None));
        assert!(router.accepts(Provider::AngelOne), "nobody is up");
        router.set_up(Provider::AngelOne, at(10));
        assert_eq!(router.watching(), Some(Provider::AngelOne), "the forced one is down");
        router.set_up(Provider::Nse, at(20));
        assert_eq!(router.watching(), Some(Provider::Nse));
        assert!(router.accepts(Provider::Nse) && !router.accepts(Provider::AngelOne));
        router.set_down(Provider::Nse, at(25), at(25));
        assert_eq!((router.watching(), router.forced()), (Some(Provider::AngelOne), Some(Provider::Nse)));
        router.set_up(Provider::Nse, at(30));
        assert_eq!(router.watching(), Some(Provider::Nse), "it counts again");
        router.force(None, at(40));
        assert_eq!((router.watching(), router.forced()), (Some(Provider::AngelOne), None));
        router.set_down(Provider::Nse, at(35), at(50));
        assert!(router.watched_since(at(40)), "the one that counts since");
        assert!(!router.watched_since(at(39)), "the one that counted before was away, and nobody knew");
    }

    #[derive(Clone, Copy, Debug)]
    enum Step {
        Up(Provider),
        Down(Provider),
        Force(Option<Provider>),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let provider = || prop::sample::select(Provider::ALL.to_vec());
        let step = prop_oneof![
            4 => provider().prop_map(Step::Up),
            3 => provider().prop_map(Step::Down),
            3 => prop::option::of(provider()).prop_map(Step::Force),
        ];
        prop::collection::vec(step, 0..40)
    }

    proptest! {
        /// One provider counts whenever anyone is up: the forced one, or else the most preferred. Forcing never lets anyone
        /// have watched longer.
        #[test]
        fn who_counts_follows_from_who_is_up_and_who_is_forced(
            steps in steps(),
            preference in Just(Provider::ALL.to_vec()).prop_shuffle(),
        ) {
            let (mut router, mut unforced) = (Router::new(preference.clone()), Router::new(preference.clone()));
            let (mut up, mut forced) = (Vec::new(), None);
            for (step, at_us) in steps.into_iter().zip(0..) {
                match step {
                    Step::Up(provider) => {
                        up.push(provider);
                        router.set_up(provider, Timestamp::from_us(at_us));
                        unforced.set_up(provider, Timestamp::from_us(at_us));
                    }
                    Step::Down(provider) => {
                        up.retain(|up| *up != provider);
                        let now = Timestamp::from_us(at_us);
                        router.set_down(provider, now, now);
                        unforced.set_down(provider, now, now);
                    }
                    Step::Force(provider) => {
                        forced = provider;
                        router.force(provider, Timestamp::from_us(at_us));
                    }
                }
                let is_up = |provider: &Provider| up.contains(provider);
                let counts = forced.filter(is_up).or(preference.iter().copied().find(|one| is_up(one)));
                prop_assert_eq!((router.watching(), router.forced()), (counts, forced));
                for provider in Provider::ALL {
                    prop_assert_eq!(router.accepts(provider), up.is_empty() || counts == Some(provider));
                }
                for since in 0..=at_us {
                    let since = Timestamp::from_us(since);
                    prop_assert!(!router.watched_since(since) || unforced.watched_since(since));
                }
            }
        }
    }

    #[test]
    fn whoever_takes_over_late_has_not_watched_before() {
        let at = Timestamp::from_us;
        let both_up = || {
            let mut router = Router::new(vec![Provider::AngelOne, Provider::Nse]);
            router.set_up(Provider::Nse, at(10));
            router.set_up(Provider::AngelOne, at(20));
            router
        };
        let mut router = both_up();
        assert!(!router.watchers_since(at(20)).contains(Provider::Nse), "its values do not count");
        let overlap = router.watchers_since(at(15));
        assert!(overlap.contains(Provider::Nse) && overlap.contains(Provider::AngelOne), "{overlap:?}");
        router.set_down(Provider::AngelOne, at(30), at(40));
        assert!(router.watched_since(at(40)) && !router.watched_since(at(39)));
        let mut router = both_up();
        router.set_down(Provider::AngelOne, at(40), at(40));
        assert!(router.watched_since(at(10)), "told in time");
        let mut router = both_up();
        router.set_down(Provider::Nse, at(30), at(40));
        assert!(router.watched_since(at(20)), "the one that counts has watched all the time");
    }
}
