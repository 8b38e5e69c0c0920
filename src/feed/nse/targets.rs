//! What is polled: underlyings from the watch list, chains from their expiries.

use super::settings::ChainGeneration;
use crate::{
    engine::watch::WatchList,
    market::TradingDate,
    wire::nse::{ChainContext, LotSection, LotTable, format_expiry},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// One chain to poll. All expiries together where `expiry` is `None`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct ChainKey {
    pub symbol: Arc<str>,
    pub expiry: Option<TradingDate>,
}

/// One thing to ask the website for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Job {
    Lots,
    Contracts(Arc<str>),
    Chain(ChainKey),
}

impl Job {
    /// For messages: `lot sizes`, `expiries of NIFTY`, `chain symbol=NIFTY&expiry=2026-02-03`.
    pub fn name(&self) -> String {
        match self {
            Job::Lots => "lot sizes".to_owned(),
            Job::Contracts(symbol) => format!("expiries of {symbol}"),
            Job::Chain(chain) => format!("chain {}", chain.context()),
        }
    }
}

impl ChainKey {
    /// The context of the chain's records, and its name in marks.
    pub fn context(&self) -> String {
        self.of_log().to_string()
    }

    /// For people: `NIFTY 2026-02-03`.
    pub fn name(&self) -> String {
        self.of_log().name()
    }

    pub fn of_log(&self) -> ChainContext {
        ChainContext { symbol: self.symbol.to_string(), expiry: self.expiry }
    }
}

/// Everything polled on one day.
#[derive(Debug, Default)]
pub(super) struct Targets {
    sections: BTreeMap<Arc<str>, LotSection>,
    listed: BTreeMap<Arc<str>, ListedExpiries>,
    chains: BTreeSet<ChainKey>,
    /// Watched by name, but not in the exchange's file.
    pub unlisted: Vec<String>,
}

/// The expiries of an underlying, by what lists them.
///
/// The website's list of expiries may lack one that the option chains list: "Expiry API missing weekly options dates".
#[derive(Debug, Default)]
struct ListedExpiries {
    /// The last list of expiries.
    by_list: BTreeSet<TradingDate>,
    /// The bodies of its chains since the last list of expiries came, and between that one and the one before. So copies of
    /// different age change nothing, and an expiry that no body lists any more goes.
    by_bodies: BTreeSet<TradingDate>,
    by_bodies_before: BTreeSet<TradingDate>,
}

impl ListedExpiries {
    fn all(&self) -> BTreeSet<TradingDate> {
        self.by_list.iter().chain(&self.by_bodies).chain(&self.by_bodies_before).copied().collect()
    }
}

impl Targets {
    /// The watched underlyings that the lot-size file lists.
    pub fn new(watch: &WatchList, lots: &LotTable, generation: ChainGeneration) -> Targets {
        let watched = lots.rows.iter().filter(|row| watch.entry(&row.symbol).is_some());
        let sections: BTreeMap<Arc<str>, LotSection> =
            watched.map(|row| (Arc::from(row.symbol.as_str()), row.section)).collect();
        let chains = match generation {
            ChainGeneration::V3 => BTreeSet::new(),
            ChainGeneration::Older => {
                sections.keys().map(|symbol| ChainKey { symbol: symbol.clone(), expiry: None }).collect()
            }
        };
        let names = watch.underlyings.iter().map(|entry| entry.underlying.as_str());
        let unlisted = names.filter(|name| *name != "*" && !sections.contains_key(*name));
        Targets { unlisted: unlisted.map(str::to_owned).collect(), sections, listed: BTreeMap::new(), chains }
    }

    pub fn underlyings(&self) -> impl Iterator<Item = &Arc<str>> {
        self.sections.keys()
    }

    pub fn chains(&self) -> &BTreeSet<ChainKey> {
        &self.chains
    }

    /// Takes the website's list of an underlying's expiries over.
    ///
    /// A chain that expires on `date` stays: the website may drop it from the list while its last open interest is
    /// still to come.
    pub fn set_expiries(
        &mut self,
        watch: &WatchList,
        symbol: &Arc<str>,
        listed: BTreeSet<TradingDate>,
        date: TradingDate,
    ) {
        let of_symbol = self.listed.entry(symbol.clone()).or_default();
        of_symbol.by_list = listed;
        of_symbol.by_bodies_before = std::mem::take(&mut of_symbol.by_bodies);
        self.select_chains(watch, symbol, date);
    }

    /// Takes over what a body of a chain lists of its underlying's expiries. Those that are asked for from now on because of it.
    pub fn note_listed(
        &mut self,
        watch: &WatchList,
        chain: &ChainKey,
        listed: &BTreeSet<TradingDate>,
        date: TradingDate,
    ) -> Vec<TradingDate> {
        let ChainKey { symbol, expiry } = chain;
        // Where all expiries come together there is none to choose.
        if expiry.is_none() || !self.sections.contains_key(symbol) {
            return Vec::new();
        }
        let of_symbol = self.listed.entry(symbol.clone()).or_default();
        if listed.is_subset(&of_symbol.by_bodies) {
            return Vec::new();
        }
        of_symbol.by_bodies.extend(listed);
        let before = self.chains.clone();
        self.select_chains(watch, symbol, date);
        self.chains.difference(&before).filter_map(|chain| chain.expiry).collect()
    }

    fn select_chains(&mut self, watch: &WatchList, symbol: &Arc<str>, date: TradingDate) {
        self.chains.retain(|chain| chain.symbol != *symbol || chain.expiry == Some(date));
        let listed = self.listed.get(symbol).map(ListedExpiries::all).unwrap_or_default();
        let selected = watch.select_expiries(symbol, &listed, date);
        let key = |expiry| ChainKey { symbol: symbol.clone(), expiry: Some(expiry) };
        self.chains.extend(selected.into_iter().map(key));
    }

    /// Path and query parameters of a job, under the site's root; the lot-size file is under the archive's.
    pub fn request(&self, job: &Job) -> (&'static str, Vec<(&'static str, String)>) {
        match job {
            Job::Lots => ("/content/fo/fo_mktlots.csv", Vec::new()),
            Job::Contracts(symbol) => {
                ("/api/option-chain-contract-info", vec![("symbol", symbol.to_string())])
            }
            Job::Chain(ChainKey { symbol, expiry: None }) => {
                let path = match self.section(symbol) {
                    LotSection::Indices => "/api/option-chain-indices",
                    LotSection::Shares => "/api/option-chain-equities",
                };
                (path, vec![("symbol", symbol.to_string())])
            }
            Job::Chain(ChainKey { symbol, expiry: Some(expiry) }) => {
                let kind = match self.section(symbol) {
                    LotSection::Indices => "Indices",
                    LotSection::Shares => "Equity",
                };
                let parameters = vec![
                    ("type", kind.to_owned()),
                    ("symbol", symbol.to_string()),
                    ("expiry", format_expiry(*expiry)),
                ];
                ("/api/option-chain-v3", parameters)
            }
        }
    }

    fn section(&self, symbol: &str) -> LotSection {
        self.sections.get(symbol).copied().unwrap_or(LotSection::Shares)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        engine::watch::WatchedUnderlying,
        wire::nse::{LotMonth, LotRow},
    };
    use chrono::NaiveDate;

    fn lots() -> LotTable {
        let row = |section, symbol: &str| LotRow {
            section,
            name: String::new(),
            symbol: symbol.to_owned(),
            lots: vec![Some(65)],
        };
        LotTable {
            months: vec![LotMonth { year: 2026, month: 2 }],
            rows: vec![row(LotSection::Indices, "NIFTY"), row(LotSection::Shares, "M&M")],
        }
    }

    fn date(day: u32) -> TradingDate {
        NaiveDate::from_ymd_opt(2026, 2, day).expect("a date")
    }

    #[test]
    fn watched_names_are_taken_from_the_exchanges_file() {
        let entry = |name: &str| WatchedUnderlying { underlying: name.to_owned(), expiries: 1 };
        let watch = WatchList { underlyings: vec![entry("SENSEX"), entry("NIFTY")] };
        let targets = Targets::new(&watch, &lots(), ChainGeneration::Older);
        assert_eq!(targets.unlisted, ["SENSEX"]);
        let chain = targets.chains().first().expect("a chain").clone();
        assert_eq!(targets.request(&Job::Chain(chain)).0, "/api/option-chain-indices");
        let everything = WatchList { underlyings: vec![WatchedUnderlying::every_underlying(1)] };
        let targets = Targets::new(&everything, &lots(), ChainGeneration::V3);
        assert_eq!(targets.underlyings().map(|symbol| &**symbol).collect::<Vec<_>>(), ["M&M", "NIFTY"]);
        assert!(targets.chains().is_empty());
    }

    #[test]
    fn an_expiring_chain_stays_for_its_day() {
        let watch = WatchList { underlyings: vec![WatchedUnderlying::every_underlying(1)] };
        let mut targets = Targets::new(&watch, &lots(), ChainGeneration::V3);
        let symbol: Arc<str> = Arc::from("M&M");
        let mut expiries = |listed: &[u32], day| -> Vec<String> {
            let listed = listed.iter().map(|day| date(*day)).collect();
            targets.set_expiries(&watch, &symbol, listed, date(day));
            targets.chains().iter().map(ChainKey::context).collect()
        };
        assert_eq!(expiries(&[3, 10], 3), ["symbol=M%26M&expiry=2026-02-03"]);
        let both = ["symbol=M%26M&expiry=2026-02-03", "symbol=M%26M&expiry=2026-02-10"];
        assert_eq!(expiries(&[10, 17], 3), both);
        assert_eq!(expiries(&[10, 17], 4), ["symbol=M%26M&expiry=2026-02-10"]);
    }

    #[test]
    fn an_expiry_that_bodies_alone_list_is_asked_for() {
        let nifty = |expiries| WatchedUnderlying { underlying: "NIFTY".to_owned(), expiries };
        let watch = WatchList { underlyings: vec![nifty(1)] };
        let mut targets = Targets::new(&watch, &lots(), ChainGeneration::V3);
        let symbol: Arc<str> = Arc::from("NIFTY");
        let key = |day| ChainKey { symbol: symbol.clone(), expiry: Some(date(day)) };
        let days = |days: &[u32]| -> BTreeSet<TradingDate> { days.iter().map(|day| date(*day)).collect() };
        let asked = |targets: &Targets| -> BTreeSet<TradingDate> {
            targets.chains().iter().filter_map(|chain| chain.expiry).collect()
        };
        // The list of expiries lacks the weekly one of the 10th.
        targets.set_expiries(&watch, &symbol, days(&[24]), date(4));
        assert_eq!(asked(&targets), days(&[24]));
        assert_eq!(targets.note_listed(&watch, &key(24), &days(&[3, 10, 17, 24]), date(4)), [date(10)]);
        assert_eq!(asked(&targets), days(&[10]), "the nearest alone, and none that has expired");
        // A copy of before, and a body of what the list alone has.
        assert!(targets.note_listed(&watch, &key(10), &days(&[24]), date(4)).is_empty());
        assert!(targets.note_listed(&watch, &key(10), &days(&[3, 10, 17, 24]), date(4)).is_empty());
        assert_eq!(asked(&targets), days(&[10]));
        // It stays while the bodies list it, and goes when none does any more.
        targets.set_expiries(&watch, &symbol, days(&[24]), date(4));
        assert_eq!(asked(&targets), days(&[10]));
        assert!(targets.note_listed(&watch, &key(10), &days(&[24]), date(4)).is_empty());
        targets.set_expiries(&watch, &symbol, days(&[24]), date(4));
        assert_eq!(asked(&targets), days(&[24]));
        // An expiry that the list alone has is asked for as ever.
        assert_eq!(targets.note_listed(&watch, &key(24), &days(&[17, 24]), date(4)), [date(17)]);
        targets.set_expiries(&watch, &symbol, days(&[10, 24]), date(4));
        assert_eq!(asked(&targets), days(&[10]));
    }

    #[test]
    fn bodies_choose_no_chain_of_what_is_not_watched() {
        let watch = WatchList {
            underlyings: vec![WatchedUnderlying { underlying: "NIFTY".to_owned(), expiries: 1 }],
        };
        let key = |symbol: &str, expiry| ChainKey { symbol: Arc::from(symbol), expiry };
        let listed = BTreeSet::from([date(3)]);
        let mut older = Targets::new(&watch, &lots(), ChainGeneration::Older);
        assert!(older.note_listed(&watch, &key("NIFTY", None), &listed, date(3)).is_empty());
        assert_eq!(older.chains().len(), 1, "all expiries together");
        let mut targets = Targets::new(&watch, &lots(), ChainGeneration::V3);
        assert!(targets.note_listed(&watch, &key("M&M", Some(date(3))), &listed, date(3)).is_empty());
        assert!(targets.chains().is_empty());
    }

    #[test]
    fn requests_are_the_websites() {
        let watch = WatchList { underlyings: vec![WatchedUnderlying::every_underlying(1)] };
        let targets = Targets::new(&watch, &lots(), ChainGeneration::V3);
        let chain = |symbol| Job::Chain(ChainKey { symbol: Arc::from(symbol), expiry: Some(date(3)) });
        let (path, parameters) = targets.request(&chain("NIFTY"));
        let expected = [("type", "Indices"), ("symbol", "NIFTY"), ("expiry", "03-Feb-2026")];
        assert_eq!(path, "/api/option-chain-v3");
        assert_eq!(parameters, expected.map(|(name, value)| (name, value.to_owned())));
        assert_eq!(targets.request(&chain("M&M")).1[0].1, "Equity");
    }
}
