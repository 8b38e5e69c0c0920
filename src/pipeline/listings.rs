//! The watched expiries that each provider lists of an underlying, held against what is recorded and against each other.
//!
//! Examples: a website's list of expiries lacks the nearest one, so nothing asks for its chain, although every body that comes
//! lists it. An expiry is moved by a holiday, and one provider's master alone knows: both dates are recorded, as two chains.
//! A source leaves all puts of a chain out: what is not listed is not missed.
//!
//! Invariant: they follow from the day's log alone, and begin anew with each day.

use super::Pipeline;
use crate::{
    engine::watch::WatchList,
    market::{Exchange, InstrumentKind, OptionType, Provider, TradingDate},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// Of one underlying, in the order of [`Provider::ALL`]; empty where the provider has listed nothing.
type ByProvider = [BTreeSet<TradingDate>; Provider::ALL.len()];

/// See the module's head.
#[derive(Debug, Default)]
pub(super) struct Listings {
    by_underlying: BTreeMap<(Exchange, Arc<str>), ByProvider>,
}

/// A watched expiry that providers list and of which no contract is recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnrecordedExpiry {
    pub underlying: Arc<str>,
    pub expiry: TradingDate,
    pub listed_by: Vec<Provider>,
}

/// So many contracts of one side; a new chain may begin with fewer.
const ONE_SIDED_MIN: usize = 10;
/// Of a chain that expires in years, the website's bodies have the legs that are held: of recorded ones 13 puts and no call.
const ONE_SIDED_DAYS_MAX: i64 = 60;

/// A chain of which one side alone is listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OneSidedChain {
    pub name: String,
    pub option_type: OptionType,
    pub contracts: usize,
}

/// Two providers list other expiries of an underlying among the nearest ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DifferingExpiries {
    pub underlying: Arc<str>,
    /// With those that the other one does not list; one of them may have none.
    pub only: [(Provider, Vec<TradingDate>); 2],
}

impl Listings {
    /// What is watched of a provider's whole list replaces what it has listed before, but for an expiry of today: a list may
    /// drop it while it is traded.
    pub fn note(
        &mut self,
        provider: Provider,
        (exchange, underlying): (Exchange, &Arc<str>),
        watched: &BTreeSet<TradingDate>,
        today: TradingDate,
    ) {
        let by_provider = self.by_underlying.entry((exchange, Arc::clone(underlying))).or_default();
        let listed = &mut by_provider[provider.index()];
        if listed == watched {
            return;
        }
        let is_today_listed = listed.contains(&today);
        listed.clone_from(watched);
        listed.extend(is_today_listed.then_some(today));
    }

    /// What is still watched of it.
    fn watched<'a>(
        &'a self,
        universe: &'a WatchList,
        today: TradingDate,
    ) -> impl Iterator<Item = (Exchange, &'a Arc<str>, ByProvider)> {
        self.by_underlying.iter().map(move |((exchange, underlying), by_provider)| {
            let watched = |provider: Provider| {
                universe.select_expiries(underlying, &by_provider[provider.index()], today)
            };
            (*exchange, underlying, Provider::ALL.map(watched))
        })
    }
}

/// What two providers do not have in common of their nearest expiries, as many as either lists; `None` where they agree, or
/// one of them lists nothing.
fn difference(
    first: &BTreeSet<TradingDate>,
    second: &BTreeSet<TradingDate>,
) -> Option<[Vec<TradingDate>; 2]> {
    let count = first.len().min(second.len());
    if first.iter().take(count).eq(second.iter().take(count)) {
        return None;
    }
    let only = |of: &BTreeSet<TradingDate>, other: &BTreeSet<TradingDate>| {
        of.iter().take(count).filter(|expiry| !other.contains(expiry)).copied().collect()
    };
    Some([only(first, second), only(second, first)])
}

impl Pipeline {
    /// Watched expiries that providers list today and of which no contract is recorded, but for those that lack a lot size.
    pub fn unrecorded_expiries(&self) -> Vec<UnrecordedExpiry> {
        let mut found = Vec::new();
        if self.day.is_none() {
            return found;
        }
        for (exchange, underlying, by_provider) in self.listings.watched(&self.universe, self.date) {
            let expiries: BTreeSet<TradingDate> = by_provider.iter().flatten().copied().collect();
            for expiry in expiries {
                let lacks_lots = self.counters.without_lots.contains(&(underlying.to_string(), expiry));
                if lacks_lots || self.chains.has_expiry(exchange, underlying, expiry) {
                    continue;
                }
                let is_listed = |provider: &Provider| by_provider[provider.index()].contains(&expiry);
                let listed_by = Provider::ALL.into_iter().filter(is_listed).collect();
                found.push(UnrecordedExpiry { underlying: Arc::clone(underlying), expiry, listed_by });
            }
        }
        found
    }

    /// Chains of which calls or puts alone are listed.
    pub fn one_sided_chains(&self) -> Vec<OneSidedChain> {
        let Some(day) = &self.day else { return Vec::new() };
        let side = |slot: &u32| match self.contract(day.instrument_of(*slot))?.kind {
            InstrumentKind::Option { option_type, expiry, .. } => {
                let days = (expiry - self.date).num_days();
                (days <= ONE_SIDED_DAYS_MAX).then_some(option_type)
            }
            _ => None,
        };
        let one_sided = (0..self.chains.count()).filter_map(|chain| {
            let slots = day.slots_of(chain);
            let option_type = slots.first().and_then(side)?;
            let is_one =
                slots.len() >= ONE_SIDED_MIN && slots.iter().all(|slot| side(slot) == Some(option_type));
            let name = || self.chains.name(chain).to_owned();
            is_one.then(|| OneSidedChain { name: name(), option_type, contracts: slots.len() })
        });
        one_sided.collect()
    }

    /// Underlyings of which two providers list other expiries today.
    pub fn differing_expiries(&self) -> Vec<DifferingExpiries> {
        let mut found = Vec::new();
        let Some(day) = &self.day else { return found };
        // From the close on a list may lack what expires today.
        let is_over = self.last_received >= day.hours().close;
        for (_, underlying, mut by_provider) in self.listings.watched(&self.universe, self.date) {
            if is_over {
                by_provider.iter_mut().for_each(|listed| {
                    listed.remove(&self.date);
                });
            }
            for (place, first) in Provider::ALL.into_iter().enumerate() {
                for second in Provider::ALL.into_iter().skip(place + 1) {
                    let lists = [first, second].map(|provider| &by_provider[provider.index()]);
                    let Some([ours, theirs]) = difference(lists[0], lists[1]) else { continue };
                    let only = [(first, ours), (second, theirs)];
                    found.push(DifferingExpiries { underlying: Arc::clone(underlying), only });
                }
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Provider::{AngelOne, Nse};

    fn days(days: &[u32]) -> BTreeSet<TradingDate> {
        days.iter().map(|day| TradingDate::from_ymd_opt(2026, 2, *day).expect("a date")).collect()
    }

    #[test]
    fn as_many_of_the_nearest_are_compared_as_both_list() {
        let compared = |first: &[u32], second: &[u32]| {
            difference(&days(first), &days(second)).map(|only| only.map(BTreeSet::from_iter))
        };
        assert_eq!(compared(&[3, 10], &[3, 10]), None);
        assert_eq!(compared(&[3, 10, 17], &[3]), None, "fewer far ones");
        assert_eq!(compared(&[3, 10], &[]), None, "nothing is listed yet");
        assert_eq!(compared(&[2, 10], &[3, 10]), Some([days(&[2]), days(&[3])]));
        assert_eq!(compared(&[3, 10], &[10]), Some([days(&[3]), days(&[])]));
        assert_eq!(compared(&[3, 10], &[10, 17]), Some([days(&[3]), days(&[17])]));
        assert_eq!(compared(&[3, 17, 24], &[3, 10, 17, 24]), Some([days(&[]), days(&[10])]));
    }

    #[test]
    fn the_last_list_counts_but_an_expiry_of_today_stays() {
        let underlying: Arc<str> = Arc::from("NIFTY");
        let today = *days(&[3]).first().expect("a date");
        let watch = |expiries| WatchList {
            underlyings: vec![crate::engine::watch::WatchedUnderlying::every_underlying(expiries)],
        };
        let mut listings = Listings::default();
        let mut noted = |provider, listed: &[u32], expiries| {
            listings.note(provider, (Exchange::Nse, &underlying), &days(listed), today);
            let (_, _, by_provider) = listings.watched(&watch(expiries), today).next().expect("it is listed");
            by_provider
        };
        assert_eq!(noted(AngelOne, &[3, 10], 2), [days(&[3, 10]), days(&[])]);
        assert_eq!(noted(Nse, &[3, 17], 2), [days(&[3, 10]), days(&[3, 17])]);
        assert_eq!(noted(Nse, &[3, 10], 2), [days(&[3, 10]), days(&[3, 10])], "it is corrected");
        assert_eq!(noted(Nse, &[10, 17], 2), [days(&[3, 10]), days(&[3, 10])], "it expires today");
        assert_eq!(noted(Nse, &[10, 17], 1), [days(&[3]), days(&[3])], "fewer are watched");
    }
}
