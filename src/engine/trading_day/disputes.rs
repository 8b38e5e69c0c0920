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
    fn of(&self, slot: u32, chain: u32) -> impl Iterator<Item = &Dispute> {
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

/// A contract's open interest in dispute, for the explanation of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OiContradiction {
    pub with: Provider,
    /// What that one showed last.
    pub shown: Option<i64>,
    pub since: Timestamp,
    /// The other one is believed; else it is not known which of them is right.
    pub is_decided: bool,
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

    /// What contradicts a provider's open interest of a contract at an instant.
    pub(super) fn contradiction_at(
        &self,
        slot: usize,
        provider: Provider,
        end: Timestamp,
    ) -> Option<OiContradiction> {
        let mut disputes = self.disputes.of(slot as u32, self.contexts[slot].chain);
        let dispute = disputes.find(|dispute| dispute.holds_at(end) && dispute.concerns(provider))?;
        let with = dispute.between.into_iter().find(|other| *other != provider)?;
        Some(OiContradiction {
            with,
            shown: self.open_interest_of(slot as u32, with),
            since: dispute.since,
            is_decided: dispute.disbelieved.is_some(),
        })
    }
}
