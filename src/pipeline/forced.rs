//! What the operator's override does not reach: chains that the forced provider does not cover, and what they are recorded
//! from instead.

use super::machine::Pipeline;
use crate::{
    engine::TradingDay,
    market::{Bucket, Provider},
};

/// Chains beside an override.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BesideForced {
    /// The forced provider that this is about; `None` without an override.
    pub forced: Option<Provider>,
    /// Chains that are recorded from anything.
    pub recorded: usize,
    /// Those of them that are recorded from another provider, with their titles.
    pub others: Vec<(String, Provider)>,
}

impl Pipeline {
    /// Looks at each contract, so it is asked now and then, and costs nothing without an override.
    pub fn beside_forced(&self) -> BesideForced {
        let (Some(forced), Some(day)) = (self.forced, &self.day) else { return BesideForced::default() };
        let hours = day.hours();
        let at = self.last_received.max(hours.open).min(hours.close.plus_us(-1));
        let mut beside = BesideForced { forced: Some(forced), ..BesideForced::default() };
        for chain in 0..self.chains.count() {
            let Some(provider) = recorded_from(day, chain, Bucket::containing(at)) else { continue };
            beside.recorded += 1;
            if provider != forced {
                beside.others.push((self.chains.title(chain).to_owned(), provider));
            }
        }
        beside
    }
}

/// The provider that most contracts of a chain are recorded from.
fn recorded_from(day: &TradingDay, chain: u32, bucket: Bucket) -> Option<Provider> {
    let slots = day.slots_of(chain);
    let mut counts = [0; Provider::ALL.len()];
    for slot in slots {
        let is_recorded = |provider: &Provider| {
            day.end_evidence(*slot, bucket, *provider).is_some_and(|evidence| evidence.is_recorded)
        };
        if let Some(provider) = Provider::ALL.into_iter().find(is_recorded) {
            counts[provider.index()] += 1;
            if counts[provider.index()] * 2 > slots.len() {
                return Some(provider);
            }
        }
    }
    let most = Provider::ALL.into_iter().rev().max_by_key(|provider| counts[provider.index()])?;
    (counts[most.index()] > 0).then_some(most)
}
