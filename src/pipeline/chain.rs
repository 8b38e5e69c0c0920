//! NSE's option chain: contracts appear in it rather than in a master, and open interest is in lots.

use super::machine::{LiveSink, Pipeline};
use crate::{
    market::{Contract, Exchange, Listing, Price, Provider, Quote, Timestamp, Told, TradingDate},
    store::Batch,
    wire::nse,
};
use std::{collections::BTreeSet, sync::Arc};

impl Pipeline {
    pub(super) fn apply_chain(
        &mut self,
        body: &[u8],
        received: Timestamp,
        live: &mut impl LiveSink,
        batch: &mut Batch,
    ) {
        let chain = match nse::decode_chain(body) {
            Ok(chain) => chain,
            Err(error) => return self.counters.note_malformed(&error),
        };
        if chain.timestamp.date_ist() != received.date_ist() {
            self.counters.stale_bodies += 1;
            return;
        }
        self.counters.note_event(Provider::Nse, chain.timestamp);
        let Some(underlying) = chain.legs.first().map(|leg| Arc::clone(&leg.underlying)) else { return };
        let listed: BTreeSet<TradingDate> = chain.legs.iter().map(|leg| leg.expiry).collect();
        let listed = listed.union(&chain.expiries.iter().copied().collect()).copied().collect();
        let watched = self.settings.watch.select_expiries(&underlying, &listed, received.date_ist());
        if watched.is_empty() {
            return;
        }
        if let Some(level) = chain.underlying_value {
            let section = self.lots.as_ref().and_then(|lots| lots.row(&underlying)).map(|row| row.section);
            let contract = match section {
                Some(nse::LotSection::Shares) => Contract::equity(Exchange::Nse, &underlying),
                Some(nse::LotSection::Indices) | None => Contract::index(Exchange::Nse, &underlying),
            };
            let quote =
                Quote { event_time: chain.timestamp, last_price: Told::Value(level), ..Quote::default() };
            if let Some(slot) = self.slot_of(&contract, 1, live, batch) {
                self.observe(slot, Provider::Nse, &quote, received, live);
            }
        }
        let brought: BTreeSet<TradingDate> =
            chain.legs.iter().map(|leg| leg.expiry).filter(|expiry| watched.contains(expiry)).collect();
        if let Some(day) = &mut self.day {
            brought.iter().for_each(|expiry| self.chains.note_brought(&underlying, *expiry, received, day));
        }
        for leg in chain.legs.iter().filter(|leg| watched.contains(&leg.expiry)) {
            let Some(lot_size) = self.lots.as_ref().and_then(|lots| lots.lot_size(&underlying, leg.expiry))
            else {
                self.counters.unknown_lots += 1;
                self.counters.last_error = Some(format!(
                    "no lot size is known for {underlying} {}: is fo_mktlots.csv out of reach?",
                    leg.expiry
                ));
                continue;
            };
            match leg.quote(lot_size, chain.timestamp) {
                Ok(quote) => {
                    if let Some(slot) = self.slot_of(&leg.contract(), lot_size, live, batch) {
                        self.observe(slot, Provider::Nse, &quote, received, live);
                    }
                }
                Err(error) => self.counters.note_malformed(&format_args!("{}: {error}", leg.contract())),
            }
        }
    }

    /// The slot of a contract that NSE shows, enrolled at first sight.
    fn slot_of(
        &mut self,
        contract: &Contract,
        lot_size: u32,
        live: &mut impl LiveSink,
        batch: &mut Batch,
    ) -> Option<u32> {
        if let Some(slot) = self.watched_slot(contract) {
            return Some(slot);
        }
        let listing = Listing {
            provider: Provider::Nse,
            token: None,
            symbol: contract.to_string().into(),
            contract: contract.clone(),
            lot_size,
            tick_size: TICK_SIZE,
        };
        self.enroll(&listing, live, batch)
    }
}

/// All index and stock options since 15 April 2025 (NSE); the chain does not tell it.
const TICK_SIZE: Price = Price::from_e4(500);
