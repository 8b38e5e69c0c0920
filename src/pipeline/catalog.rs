//! Every contract ever seen, with its number; what providers call it; and yesterday's final open interest.

use crate::{
    market::{Contract, InstrumentId, Listing, Price, Provider, ProviderToken, TradingDate},
    store::{Batch, InstrumentRow, ProviderSymbolRow},
};
use rustc_hash::FxHashMap;
use std::sync::Arc;

/// Owned by the pipeline; begun from the store. Numbers are given in the order in which contracts are first seen, so
/// the same log over the same beginning gives the same numbers.
#[derive(Clone, Debug, Default)]
pub struct Catalog {
    instruments: FxHashMap<Contract, Known>,
    symbols: FxHashMap<SymbolKey, (InstrumentId, Arc<str>)>,
    final_open_interest: FxHashMap<InstrumentId, i64>,
    last_id: u32,
}

#[derive(Clone, Copy, Debug)]
struct Known {
    id: InstrumentId,
    first_seen: TradingDate,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum SymbolKey {
    Token(Provider, ProviderToken),
    Symbol(Provider, Arc<str>),
}

impl SymbolKey {
    fn of(provider: Provider, token: Option<ProviderToken>, symbol: &Arc<str>) -> SymbolKey {
        match token {
            Some(token) => SymbolKey::Token(provider, token),
            None => SymbolKey::Symbol(provider, Arc::clone(symbol)),
        }
    }
}

impl Catalog {
    /// From what the store holds: all instruments, their latest symbols, the last final open interest of each.
    pub fn new(
        instruments: Vec<InstrumentRow>,
        symbols: Vec<ProviderSymbolRow>,
        final_open_interest: Vec<(InstrumentId, i64)>,
    ) -> Catalog {
        let last_id = instruments.iter().map(|row| row.id.0).max().unwrap_or(0);
        let known = |row: InstrumentRow| (row.contract, Known { id: row.id, first_seen: row.first_seen });
        let named = |row: ProviderSymbolRow| {
            (SymbolKey::of(row.provider, row.token, &row.symbol), (row.instrument, row.symbol))
        };
        Catalog {
            instruments: instruments.into_iter().map(known).collect(),
            symbols: symbols.into_iter().map(named).collect(),
            final_open_interest: final_open_interest.into_iter().collect(),
            last_id,
        }
    }

    /// The number of a contract that is watched today, with the rows that say so.
    pub fn enroll(
        &mut self,
        contract: &Contract,
        lot_size: u32,
        tick_size: Price,
        date: TradingDate,
        batch: &mut Batch,
    ) -> InstrumentId {
        let known = *self.instruments.entry(contract.clone()).or_insert_with(|| {
            self.last_id += 1;
            Known { id: InstrumentId(self.last_id), first_seen: date }
        });
        batch.instruments.push(InstrumentRow {
            id: known.id,
            contract: contract.clone(),
            lot_size,
            tick_size,
            first_seen: known.first_seen.min(date),
            last_seen: date,
        });
        known.id
    }

    /// The number of a contract that was ever seen.
    /// Looks through all of them.
    pub fn contract(&self, instrument: InstrumentId) -> Option<&Contract> {
        let mut known = self.instruments.iter();
        known.find(|(_, known)| known.id == instrument).map(|(contract, _)| contract)
    }

    pub fn instrument(&self, contract: &Contract) -> Option<InstrumentId> {
        self.instruments.get(contract).map(|known| known.id)
    }

    /// Notes what a provider calls an instrument; a row only where that is news.
    pub fn name(
        &mut self,
        listing: &Listing,
        instrument: InstrumentId,
        date: TradingDate,
        batch: &mut Batch,
    ) {
        let Listing { provider, token, symbol, .. } = listing;
        let named = (instrument, Arc::clone(symbol));
        let before = self.symbols.insert(SymbolKey::of(*provider, *token, symbol), named.clone());
        if before.as_ref() != Some(&named) {
            batch.symbols.push(ProviderSymbolRow {
                provider: *provider,
                token: *token,
                symbol: named.1,
                instrument,
                valid_from: date,
            });
        }
    }

    /// Final open interest of the day before, in units.
    pub fn final_open_interest(&self, instrument: InstrumentId) -> Option<i64> {
        self.final_open_interest.get(&instrument).copied()
    }

    /// Takes over a closed day's values as the next day's "yesterday".
    pub fn note_final(&mut self, instrument: InstrumentId, open_interest: i64) {
        self.final_open_interest.insert(instrument, open_interest);
    }
}
