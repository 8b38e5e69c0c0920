//! What two providers show differently of a contract, for longer than their copies are old: which of them is not believed,
//! and since when.
//!
//! Open interest is held against each other in [`super::open_interest`], the levels of underlyings in [`super::levels`]. Both
//! write down here what they find: a *dispute*.
//!
//! Owns the disputes of the day. [`super::judge`] claims no value of a provider for the time in which it is disbelieved: such a
//! row is the other's, or missing. An operator's override stands above it.

use super::{TradingDay, judge::Verdict};
use crate::{
    engine::rows::Rows,
    market::{Provider, Timestamp},
};
use std::collections::BTreeMap;

/// Both have shown something anew since the sample before, so much later.
const SAMPLE_US: i64 = 15_000_000;

/// A time in which what two providers show of a contract contradicts each other.
#[derive(Clone, Copy, Debug)]
pub(super) struct Dispute {
    pub(super) since: Timestamp,
    pub(super) until: Option<Timestamp>,
    pub(super) between: [Provider; 2],
    /// `None`: neither is believed.
    pub(super) disbelieved: Option<Provider>,
}

impl Dispute {
    pub(super) fn concerns(&self, provider: Provider) -> bool {
        match self.disbelieved {
            Some(disbelieved) => disbelieved == provider,
            None => self.between.contains(&provider),
        }
    }

    pub(super) fn holds_at(&self, end: Timestamp) -> bool {
        self.since < end && self.until.is_none_or(|until| end <= until)
    }
}

/// How long and how often a difference has been seen.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sampling {
    /// The older stamp of the first values.
    pub(super) since: Timestamp,
    /// The newer one.
    from: Timestamp,
    samples: u8,
    /// Up to when both had shown something at the last sample.
    sampled: Timestamp,
}

impl Sampling {
    /// Both show something up to `reach`, stamped so.
    pub(super) fn begin(stamps: (Timestamp, Timestamp), reach: Timestamp) -> Sampling {
        let (since, from) = (stamps.0.min(stamps.1), stamps.0.max(stamps.1));
        Sampling { since, from, samples: 1, sampled: reach }
    }

    /// Time since the last sample.
    pub(super) fn gap_us(&self, reach: Timestamp) -> i64 {
        reach.us_since(self.sampled)
    }

    /// Takes a sample if both have shown something anew since the one before.
    pub(super) fn take(&mut self, reach: Timestamp) -> bool {
        let is_sample = self.gap_us(reach) >= SAMPLE_US;
        if is_sample {
            (self.samples, self.sampled) = (self.samples.saturating_add(1), reach);
        }
        is_sample
    }

    pub(super) fn is_settled(&self, reach: Timestamp, settled_us: i64, samples_min: u8) -> bool {
        self.samples >= samples_min && reach.us_since(self.from) >= settled_us
    }
}

/// See the module's head.
#[derive(Debug, Default)]
pub(super) struct Disputes {
    /// By contract; the last one may go on.
    pub(super) of_contracts: BTreeMap<u32, Vec<Dispute>>,
    /// By chain; those that go on may be of several providers.
    pub(super) of_chains: BTreeMap<u32, Vec<Dispute>>,
}

/// Providers that are not believed of something.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Disbelieved(u32);

const _: () = assert!(Provider::ALL.len() <= 32, "a bit each");

impl Disbelieved {
    pub fn is_none(self) -> bool {
        self.0 == 0
    }

    pub fn has(self, provider: Option<Provider>) -> bool {
        provider.is_some_and(|provider| self.0 & 1 << provider.index() != 0)
    }

    fn add(&mut self, dispute: &Dispute) {
        for provider in dispute.between.into_iter().filter(|provider| dispute.concerns(*provider)) {
            self.0 |= 1 << provider.index();
        }
    }
}

impl Disputes {
    pub(super) fn of(&self, slot: u32, chain: u32) -> impl Iterator<Item = &Dispute> {
        let of_contract = self.of_contracts.get(&slot).into_iter().flatten();
        of_contract.chain(self.of_chains.get(&chain).into_iter().flatten())
    }

    /// The dispute of a contract that goes on.
    pub(super) fn running(&self, slot: u32) -> Option<&Dispute> {
        self.of_contracts.get(&slot)?.last().filter(|dispute| dispute.until.is_none())
    }

    pub(super) fn running_mut(&mut self, slot: u32) -> Option<&mut Dispute> {
        self.of_contracts.get_mut(&slot)?.last_mut().filter(|dispute| dispute.until.is_none())
    }

    pub(super) fn running_of_chain(&mut self, chain: u32, provider: Provider) -> Option<&mut Dispute> {
        let mut running = self.of_chains.get_mut(&chain)?.iter_mut().filter(|of| of.until.is_none());
        running.find(|of| of.disbelieved == Some(provider))
    }
}

impl TradingDay {
    /// A contract's recorded provider and its rows, which stated this before, follow what is believed of it.
    pub(super) fn follow_dispute(
        &mut self,
        slot: usize,
        stated: &[(usize, Verdict)],
        now: Timestamp,
        rows: &mut Rows,
    ) {
        let recorded = self.slots[slot].provider();
        let other = self.disputes.running(slot as u32).and_then(|dispute| {
            let disbelieved = dispute.disbelieved.filter(|of| Some(*of) == recorded)?;
            dispute.between.into_iter().find(|provider| *provider != disbelieved)
        });
        if let Some(other) = other.filter(|_| !self.is_forced(slot)) {
            self.exceptions.insert(slot as u32, now);
            self.switch(slot, other, rows);
        }
        self.judge_changed(slot, stated, rows);
    }

    /// Which providers are not believed of a contract at a bucket's end.
    pub(super) fn disbelieved_at(&self, slot: usize, end: Timestamp) -> Disbelieved {
        let mut disbelieved = Disbelieved::default();
        if !self.disputes.of_contracts.is_empty() {
            let of = self.disputes.of(slot as u32, self.contexts[slot].chain);
            of.filter(|dispute| dispute.holds_at(end)).for_each(|dispute| disbelieved.add(dispute));
        }
        disbelieved
    }

    /// Whether what a provider says of a contract now is not believed.
    pub(super) fn is_disbelieved(&self, slot: usize, provider: Provider) -> bool {
        !self.disputes.of_contracts.is_empty()
            && self
                .disputes
                .of(slot as u32, self.contexts[slot].chain)
                .any(|dispute| dispute.until.is_none() && dispute.concerns(provider))
    }
}
