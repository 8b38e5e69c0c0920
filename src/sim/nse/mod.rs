//! NSE's website and archive as a server: cookies, option chains of both generations, market status, lot sizes.
//!
//! Chains come from the played market, or byte for byte from recorded bodies. The website's habits are kept: without
//! cookies of the option-chain page every API call is 403, and what it has no answer for is `{}` with status 200.
//! Chains are rebuilt twice a minute and may be shown with a delay, each with its own.
//!
//! Left out: holiday lists, quotes of single contracts, bhavcopies, compression.

mod bodies;
mod chain;
mod delay;
mod edits;
mod site;
mod stamps;

pub use bodies::BodiesError;
pub(super) use bodies::RecordedBodies;
pub(super) use chain::Chains;
pub use delay::{DelayError, NseDelay};
pub use edits::{UnlistedSide, UnlistedSideError};

use super::{
    faults::FaultSwitch,
    lots::{self, LotOverrides},
    market::SimMarket,
    playback::Playback,
};
use crate::{
    market::{Timestamp, TradingDate, is_index_underlying},
    wire::nse::{LotMonth, LotRow, LotSection, LotTable, encode_lots},
};
use axum::body::Bytes;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
};

pub(super) struct NseServer {
    playback: Arc<Playback>,
    faults: Arc<FaultSwitch>,
    bodies: Option<RecordedBodies>,
    chains: Mutex<Chains>,
    /// fo_mktlots.csv.
    lot_file: Bytes,
}

impl NseServer {
    pub fn new(
        playback: Arc<Playback>,
        faults: Arc<FaultSwitch>,
        bodies: Option<RecordedBodies>,
        chains: Chains,
        lot_file: Bytes,
    ) -> Arc<NseServer> {
        Arc::new(NseServer { playback, faults, bodies, chains: Mutex::new(chains), lot_file })
    }

    fn now(&self) -> Timestamp {
        self.playback.clock().now()
    }
}

/// fo_mktlots.csv for everything in the market or the bodies.
pub(super) fn lot_file(
    market: &SimMarket,
    bodies: Option<&RecordedBodies>,
    overrides: &LotOverrides,
) -> Bytes {
    encode_lots(&lot_table(market, bodies, overrides)).into()
}

/// The lots of every underlying for each month in which something on it expires.
fn lot_table(market: &SimMarket, bodies: Option<&RecordedBodies>, overrides: &LotOverrides) -> LotTable {
    let mut sections: BTreeMap<String, LotSection> = BTreeMap::new();
    let mut lots_by_month: BTreeMap<(String, LotMonth), u32> = BTreeMap::new();
    let section = |on_index| if on_index { LotSection::Indices } else { LotSection::Shares };
    for listed in market.contracts() {
        let Some(expiry) = listed.contract.expiry() else {
            continue;
        };
        let underlying = listed.contract.underlying.to_string();
        sections.insert(underlying.clone(), section(listed.on_index));
        lots_by_month.insert((underlying, LotMonth::of(expiry)), listed.lot_size);
    }
    for (symbol, date, dates) in bodies.into_iter().flat_map(RecordedBodies::listed_expiries) {
        for expiry in dates {
            let lot =
                |expiry: TradingDate| overrides.get(symbol, expiry).or_else(|| lots::lot_size(symbol, date));
            if let Some(lot_size) = lot(*expiry) {
                sections.insert(symbol.to_owned(), section(is_index_underlying(symbol)));
                lots_by_month.insert((symbol.to_owned(), LotMonth::of(*expiry)), lot_size);
            }
        }
    }
    let months: BTreeSet<LotMonth> = lots_by_month.keys().map(|(_, month)| *month).collect();
    let months: Vec<LotMonth> = months.into_iter().collect();
    let mut rows: Vec<LotRow> = sections
        .into_iter()
        .map(|(symbol, section)| {
            let lot = |month: &LotMonth| lots_by_month.get(&(symbol.clone(), *month)).copied();
            let lots = months.iter().map(lot).collect();
            LotRow { section, name: symbol.clone(), symbol, lots }
        })
        .collect();
    rows.sort_by_key(|row| row.section == LotSection::Shares);
    LotTable { months, rows }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        sim::{Irregularities, SyntheticMarket},
        wire::nse::decode_lots,
    };

    #[test]
    fn the_lot_file_follows_the_contracts_month_by_month() {
        let mut lots = LotOverrides::new();
        lots.set("NIFTY", Some(LotMonth { year: 2026, month: 3 }), 75);
        let parameters =
            SyntheticMarket { duration_s: 1, strikes: 2, expiries: 6, ..SyntheticMarket::default() };
        let market = parameters.generate_with(&lots, &Irregularities::default());
        let table = decode_lots(&lot_file(&market, None, &lots)).expect("a table");
        let mut seen = BTreeSet::new();
        for listed in market.contracts() {
            let Some(expiry) = listed.contract.expiry() else { continue };
            let underlying = &*listed.contract.underlying;
            assert_eq!(table.lot_size(underlying, expiry), Some(listed.lot_size), "{}", listed.contract);
            seen.insert((underlying.to_owned(), listed.lot_size));
        }
        assert!(
            seen.contains(&("NIFTY".to_owned(), 65)) && seen.contains(&("NIFTY".to_owned(), 75)),
            "{seen:?}"
        );
        assert_eq!(seen.len(), 4, "{seen:?}");
    }
}
