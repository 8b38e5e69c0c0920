//! NSE's website and archive as a server: cookies, option chains of both generations, market status, lot sizes.
//!
//! Chains come from the played market, or byte for byte from recorded bodies. The website's habits are kept: without
//! cookies of the option-chain page every API call is 403, and what it has no answer for is `{}` with status 200.
//!
//! Left out: holiday lists, quotes of single contracts, bhavcopies, compression.

mod bodies;
mod chain;
mod site;

pub use bodies::BodiesError;
pub(super) use bodies::RecordedBodies;

use super::{
    faults::FaultSwitch,
    lots::{self, LotOverrides},
    playback::Playback,
};
use crate::{
    market::{Timestamp, TradingDate, is_index_underlying},
    wire::nse::{LotMonth, LotRow, LotSection, LotTable, encode_lots},
};
use axum::body::Bytes;
use chain::ChainCache;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
};

pub(super) struct NseServer {
    playback: Arc<Playback>,
    faults: Arc<FaultSwitch>,
    bodies: Option<RecordedBodies>,
    chains: Mutex<ChainCache>,
    /// fo_mktlots.csv.
    lot_file: Bytes,
}

impl NseServer {
    pub fn new(
        playback: Arc<Playback>,
        faults: Arc<FaultSwitch>,
        bodies: Option<RecordedBodies>,
        lots: &LotOverrides,
    ) -> Arc<NseServer> {
        let lot_file = encode_lots(&lot_table(&playback, bodies.as_ref(), lots)).into();
        Arc::new(NseServer { playback, faults, bodies, chains: Mutex::default(), lot_file })
    }

    fn now(&self) -> Timestamp {
        self.playback.clock().now()
    }
}

/// The lots of every underlying in the market or the bodies, for each month in which something expires.
fn lot_table(playback: &Playback, bodies: Option<&RecordedBodies>, overrides: &LotOverrides) -> LotTable {
    let mut lot_of: BTreeMap<String, (LotSection, u32)> = BTreeMap::new();
    let mut expiries: BTreeSet<(String, TradingDate)> = BTreeSet::new();
    let section = |on_index| if on_index { LotSection::Indices } else { LotSection::Shares };
    for listed in playback.market().contracts() {
        let Some(expiry) = listed.contract.expiry() else {
            continue;
        };
        let underlying = listed.contract.underlying.to_string();
        lot_of.insert(underlying.clone(), (section(listed.on_index), listed.lot_size));
        expiries.insert((underlying, expiry));
    }
    for (symbol, date, dates) in bodies.into_iter().flat_map(RecordedBodies::listed_expiries) {
        let named = overrides.get(symbol).copied().or_else(|| lots::lot_size(symbol, date));
        if let Some(lot_size) = named {
            lot_of.insert(symbol.to_owned(), (section(is_index_underlying(symbol)), lot_size));
            expiries.extend(dates.iter().map(|expiry| (symbol.to_owned(), *expiry)));
        }
    }
    let months: BTreeSet<(i32, u32)> = expiries
        .iter()
        .map(|(_, expiry)| LotMonth::of(*expiry))
        .map(|month| (month.year, month.month))
        .collect();
    let months: Vec<LotMonth> = months.into_iter().map(|(year, month)| LotMonth { year, month }).collect();
    let mut rows: Vec<LotRow> = lot_of
        .into_iter()
        .map(|(symbol, (section, lot_size))| {
            let has_month = |month: &LotMonth| {
                expiries.iter().any(|(named, expiry)| *named == symbol && LotMonth::of(*expiry) == *month)
            };
            let lots = months.iter().map(|month| has_month(month).then_some(lot_size)).collect();
            LotRow { section, name: symbol.clone(), symbol, lots }
        })
        .collect();
    rows.sort_by_key(|row| row.section == LotSection::Shares);
    LotTable { months, rows }
}
