//! A market to play: contracts with the tokens a broker gives them, and events in the order of their time.
//!
//! Invariants: contracts are sorted, and a slot is a contract's position in that order; tokens depend on the set of
//! contracts alone; events are sorted by time, events of one time keep the order they were given in.

use super::lots::{self, LotOverrides, gcd};
use crate::market::{
    Contract, Exchange, InstrumentKind, OptionType, Price, ProviderToken, Segment, Timestamp, TradingDate,
};
use rustc_hash::FxHashMap;
use std::{collections::BTreeMap, sync::Arc};

/// A contract as the simulated broker lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SimContract {
    pub contract: Contract,
    pub token: ProviderToken,
    /// Angel One's symbol: `NIFTY03FEB2625300CE`, `Nifty 50`, `SBIN-EQ`.
    pub symbol: Arc<str>,
    /// Units in one lot; 1 for indices and shares.
    pub lot_size: u32,
    pub tick_size: Price,
    /// Whether the contract is an index or written on one.
    pub on_index: bool,
}

/// Stands for a value the recording does not give. Far below any price or quantity.
pub(super) const ABSENT: i64 = i64::MIN;

/// One observation of one contract. 32 bytes, so that a day of every stock option stays below 60 MB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SimEvent {
    /// Milliseconds after the market's first event.
    pub(super) offset_ms: u32,
    pub(super) slot: u32,
    pub(super) last_price_e4: i64,
    pub(super) open_interest: i64,
    pub(super) volume: i64,
}

impl SimEvent {
    pub fn slot(&self) -> usize {
        self.slot as usize
    }

    pub fn last_price(&self) -> Option<Price> {
        (self.last_price_e4 != ABSENT).then_some(Price::from_e4(self.last_price_e4))
    }

    /// Units.
    pub fn open_interest(&self) -> Option<i64> {
        (self.open_interest != ABSENT).then_some(self.open_interest)
    }

    /// Traded since the session's start, in units.
    pub fn volume(&self) -> Option<i64> {
        (self.volume != ABSENT).then_some(self.volume)
    }
}

/// An event before its contract has a slot: what recordings and generators hand to [`SimMarket::build`].
#[derive(Clone, Copy, Debug)]
pub(super) struct RawEvent {
    /// Milliseconds since 1970.
    pub time_ms: i64,
    /// Position in the list of contracts handed over together with the events.
    pub contract: u32,
    pub last_price_e4: i64,
    pub open_interest: i64,
    pub volume: i64,
}

/// Events further apart than this do not fit the compact form.
#[derive(Debug, thiserror::Error)]
#[error("the events span {days} days; a market may span at most 49")]
pub struct SpanTooLong {
    pub days: i64,
}

/// What a contract's events begin and end with; a slot's reference values for the whole play.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reference {
    pub first_price_e4: i64,
    pub first_open_interest: i64,
    /// Added to the volume for every pass after the first, so that cumulative volume never falls.
    pub volume_per_pass: i64,
}

/// Contracts and their events. Immutable; shared by everything that plays or serves it.
#[derive(Debug)]
pub struct SimMarket {
    contracts: Vec<SimContract>,
    events: Vec<SimEvent>,
    origin: Timestamp,
    references: Vec<Reference>,
    by_token: FxHashMap<ProviderToken, u32>,
    /// Positions of each slot's events: those of slot `s` are `slot_events[slot_starts[s]..slot_starts[s + 1]]`.
    slot_starts: Vec<u32>,
    slot_events: Vec<u32>,
    underlyings: BTreeMap<Arc<str>, Vec<u32>>,
}

impl SimMarket {
    /// `lots` replaces the dated table; other underlyings get the greatest common divisor of all their open interest
    /// and volume values, which is the lot wherever a day holds enough of them.
    pub(super) fn build(
        contracts: Vec<Contract>,
        mut raw: Vec<RawEvent>,
        lots: &LotOverrides,
    ) -> Result<SimMarket, SpanTooLong> {
        let mut order: Vec<u32> = (0..contracts.len() as u32).collect();
        order.sort_by(|one, other| contracts[*one as usize].cmp(&contracts[*other as usize]));
        let mut slot_of = vec![0_u32; contracts.len()];
        for (slot, contract) in order.iter().enumerate() {
            slot_of[*contract as usize] = slot as u32;
        }
        if !raw.is_sorted_by_key(|event| event.time_ms) {
            raw.sort_by_key(|event| event.time_ms);
        }
        let origin_ms = raw.first().map_or(0, |event| event.time_ms);
        let span_ms = raw.last().map_or(0, |event| event.time_ms - origin_ms);
        if u32::try_from(span_ms).is_err() {
            return Err(SpanTooLong { days: span_ms / 86_400_000 });
        }
        let events: Vec<SimEvent> = raw
            .iter()
            .map(|event| SimEvent {
                offset_ms: (event.time_ms - origin_ms) as u32,
                slot: slot_of[event.contract as usize],
                last_price_e4: event.last_price_e4,
                open_interest: event.open_interest,
                volume: event.volume,
            })
            .collect();
        drop(raw);
        let origin = Timestamp::from_us(origin_ms.saturating_mul(1_000));
        let sorted = order.iter().map(|contract| contracts[*contract as usize].clone()).collect();
        let contracts = list_contracts(sorted, &events, origin.date_ist(), lots);
        Ok(Self::index(contracts, events, origin))
    }

    fn index(contracts: Vec<SimContract>, events: Vec<SimEvent>, origin: Timestamp) -> SimMarket {
        let mut slot_starts = vec![0_u32; contracts.len() + 1];
        for event in &events {
            slot_starts[event.slot() + 1] += 1;
        }
        for slot in 0..contracts.len() {
            slot_starts[slot + 1] += slot_starts[slot];
        }
        let mut next = slot_starts.clone();
        let mut slot_events = vec![0_u32; events.len()];
        let absent = Reference { first_price_e4: 0, first_open_interest: 0, volume_per_pass: 0 };
        let mut references = vec![absent; contracts.len()];
        let mut first_volume = vec![ABSENT; contracts.len()];
        let mut seen = vec![(false, false); contracts.len()];
        for (position, event) in events.iter().enumerate() {
            let slot = event.slot();
            slot_events[next[slot] as usize] = position as u32;
            next[slot] += 1;
            let reference = &mut references[slot];
            if !seen[slot].0 && event.last_price_e4 > 0 {
                reference.first_price_e4 = event.last_price_e4;
                seen[slot].0 = true;
            }
            if !seen[slot].1 && event.open_interest != ABSENT {
                reference.first_open_interest = event.open_interest;
                seen[slot].1 = true;
            }
            if event.volume != ABSENT {
                if first_volume[slot] == ABSENT {
                    first_volume[slot] = event.volume;
                }
                reference.volume_per_pass = event.volume - first_volume[slot];
            }
        }
        let by_token =
            contracts.iter().enumerate().map(|(slot, listed)| (listed.token, slot as u32)).collect();
        let mut underlyings: BTreeMap<Arc<str>, Vec<u32>> = BTreeMap::new();
        for (slot, listed) in contracts.iter().enumerate() {
            underlyings.entry(listed.contract.underlying.clone()).or_default().push(slot as u32);
        }
        SimMarket { contracts, events, origin, references, by_token, slot_starts, slot_events, underlyings }
    }

    /// A market without contracts, for a simulator that only serves recorded bodies.
    pub(super) fn empty(origin: Timestamp) -> SimMarket {
        Self::index(Vec::new(), Vec::new(), origin)
    }

    /// Sorted; the position is the slot.
    pub fn contracts(&self) -> &[SimContract] {
        &self.contracts
    }

    pub fn events(&self) -> &[SimEvent] {
        &self.events
    }

    /// Time of the first event.
    pub fn first_time(&self) -> Timestamp {
        self.origin
    }

    pub fn last_time(&self) -> Timestamp {
        self.events.last().map_or(self.origin, |event| self.time(event))
    }

    pub fn time(&self, event: &SimEvent) -> Timestamp {
        self.origin.plus_us(i64::from(event.offset_ms) * 1_000)
    }

    pub fn date(&self) -> TradingDate {
        self.origin.date_ist()
    }

    pub fn slot_of_token(&self, token: ProviderToken) -> Option<usize> {
        self.by_token.get(&token).map(|slot| *slot as usize)
    }

    pub fn slot_of(&self, contract: &Contract) -> Option<usize> {
        self.contracts.binary_search_by(|listed| listed.contract.cmp(contract)).ok()
    }

    /// Positions in [`SimMarket::events`] of one contract's events, in order.
    pub fn events_of(&self, slot: usize) -> &[u32] {
        &self.slot_events[self.slot_starts[slot] as usize..self.slot_starts[slot + 1] as usize]
    }

    /// Underlyings with the slots of everything on them, the underlying itself included.
    pub fn underlyings(&self) -> &BTreeMap<Arc<str>, Vec<u32>> {
        &self.underlyings
    }

    pub(super) fn reference(&self, slot: usize) -> &Reference {
        &self.references[slot]
    }
}

/// Angel One's tokens of NSE's indices (its instrument master), with the symbol it lists them under.
const INDEX_TOKENS: &[(&str, u32, &str)] = &[
    ("NIFTY", 99_926_000, "Nifty 50"),
    ("BANKNIFTY", 99_926_009, "Nifty Bank"),
    ("NIFTYNXT50", 99_926_013, "Nifty Next 50"),
    ("FINNIFTY", 99_926_037, "Nifty Fin Service"),
    ("MIDCPNIFTY", 99_926_074, "NIFTY MID SELECT"),
];
const OTHER_INDICES_FROM: u32 = 99_926_500;
const SHARES_FROM: u32 = 1_001;
const DERIVATIVES_FROM: u32 = 40_001;

fn list_contracts(
    contracts: Vec<Contract>,
    events: &[SimEvent],
    date: TradingDate,
    lots: &LotOverrides,
) -> Vec<SimContract> {
    let mut common: BTreeMap<Arc<str>, i64> = BTreeMap::new();
    let mut by_slot: Vec<i64> = vec![0; contracts.len()];
    for event in events {
        for units in [event.open_interest, event.volume] {
            if units != ABSENT {
                by_slot[event.slot()] = gcd(by_slot[event.slot()], units);
            }
        }
    }
    let mut indices: Vec<Arc<str>> = Vec::new();
    for (contract, units) in contracts.iter().zip(&by_slot) {
        if contract.is_option() {
            let divisor = common.entry(contract.underlying.clone()).or_insert(0);
            *divisor = gcd(*divisor, *units);
        }
        if contract.kind == InstrumentKind::Index {
            indices.push(contract.underlying.clone());
        }
    }
    let lot_of = |underlying: &Arc<str>, expiry: TradingDate| {
        let named = lots.get(underlying, expiry).or_else(|| lots::lot_size(underlying, date));
        named.unwrap_or_else(|| {
            let divisor = common.get(underlying).copied().unwrap_or(1);
            u32::try_from(divisor).unwrap_or(1).max(1)
        })
    };
    let (mut next_index, mut next_share, mut next_derivative) =
        (OTHER_INDICES_FROM, SHARES_FROM, DERIVATIVES_FROM);
    let take = |counter: &mut u32| {
        *counter += 1;
        *counter - 1
    };
    let listed = contracts.into_iter().map(|contract| {
        let underlying = contract.underlying.clone();
        let known = INDEX_TOKENS.iter().find(|(name, _, _)| *name == &*underlying);
        let cash = |exchange| match exchange {
            Exchange::Nse => Segment::NseCash,
            Exchange::Bse => Segment::BseCash,
        };
        let derivatives = match contract.exchange {
            Exchange::Nse => Segment::NseFo,
            Exchange::Bse => Segment::BseFo,
        };
        let (segment, token, symbol, lot_size) = match contract.kind {
            InstrumentKind::Index => match known {
                Some((_, token, symbol)) => (cash(contract.exchange), *token, (*symbol).to_owned(), 1),
                None => (cash(contract.exchange), take(&mut next_index), underlying.to_string(), 1),
            },
            InstrumentKind::Equity => {
                (cash(contract.exchange), take(&mut next_share), format!("{underlying}-EQ"), 1)
            }
            InstrumentKind::Future { expiry } => {
                let symbol = format!("{underlying}{}FUT", symbol_date(expiry));
                (derivatives, take(&mut next_derivative), symbol, lot_of(&underlying, expiry))
            }
            InstrumentKind::Option { expiry, strike, option_type } => {
                let symbol = option_symbol(&underlying, expiry, strike, option_type);
                (derivatives, take(&mut next_derivative), symbol, lot_of(&underlying, expiry))
            }
        };
        SimContract {
            on_index: known.is_some() || indices.contains(&underlying),
            contract,
            token: ProviderToken { segment, token },
            symbol: symbol.into(),
            lot_size,
            tick_size: Price::from_e4(500),
        }
    });
    listed.collect()
}

fn symbol_date(expiry: TradingDate) -> String {
    expiry.format("%d%b%y").to_string().to_uppercase()
}

/// Angel One's symbol of an option, `NIFTY03FEB2625300CE`; a strike's decimals stay without trailing zeros.
fn option_symbol(underlying: &str, expiry: TradingDate, strike: Price, option_type: OptionType) -> String {
    let strike = strike.to_string();
    let strike = strike.trim_end_matches('0').trim_end_matches('.');
    format!("{underlying}{}{strike}{option_type}", symbol_date(expiry))
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::NaiveDate;

    const START_MS: i64 = 1_769_744_700_000;

    fn expiry() -> TradingDate {
        NaiveDate::from_ymd_opt(2026, 2, 3).expect("a date")
    }

    fn option(underlying: &str, strike: &str, option_type: OptionType) -> Contract {
        Contract::option(Exchange::Nse, underlying, expiry(), strike.parse().expect("a strike"), option_type)
    }

    fn event(contract: u32, second: i64, open_interest: i64, volume: i64) -> RawEvent {
        let time_ms = START_MS + second * 1_000;
        RawEvent { time_ms, contract, last_price_e4: 1_000_000, open_interest, volume }
    }

    fn market() -> SimMarket {
        let contracts = vec![
            option("SBIN", "162.5", OptionType::Put),
            option("NIFTY", "25300", OptionType::Call),
            Contract::index(Exchange::Nse, "NIFTY"),
            Contract::equity(Exchange::Nse, "SBIN"),
        ];
        let events = vec![
            event(0, 2, 1_500, 750),
            event(1, 0, 65, 0),
            event(2, 0, ABSENT, ABSENT),
            event(0, 4, 2_250, 3_000),
        ];
        SimMarket::build(contracts, events, &LotOverrides::new()).expect("a market")
    }

    #[test]
    fn contracts_are_listed_as_the_broker_does() {
        let market = market();
        let rows: Vec<(String, u32, String, u32)> = market
            .contracts()
            .iter()
            .map(|c| (c.contract.to_string(), c.token.token, c.symbol.to_string(), c.lot_size))
            .collect();
        let expected = [
            ("NIFTY", 99_926_000, "Nifty 50", 1),
            ("NIFTY 2026-02-03 25300 CE", 40_001, "NIFTY03FEB2625300CE", 65),
            ("SBIN EQ", 1_001, "SBIN-EQ", 1),
            ("SBIN 2026-02-03 162.50 PE", 40_002, "SBIN03FEB26162.5PE", 750),
        ];
        let expected: Vec<_> =
            expected.iter().map(|(c, t, s, l)| ((*c).to_owned(), *t, (*s).to_owned(), *l)).collect();
        assert_eq!(rows, expected);
        for (slot, listed) in market.contracts().iter().enumerate() {
            assert_eq!(market.slot_of_token(listed.token), Some(slot));
            assert_eq!(market.slot_of(&listed.contract), Some(slot));
        }
    }

    #[test]
    fn events_are_in_order_of_time_and_indexed_by_slot() {
        let market = market();
        let order: Vec<(u32, usize)> = market.events().iter().map(|e| (e.offset_ms, e.slot())).collect();
        assert_eq!(order, [(0, 1), (0, 0), (2_000, 3), (4_000, 3)]);
        assert_eq!(market.events_of(3), [2, 3]);
        assert_eq!(market.reference(3).first_open_interest, 1_500);
        assert_eq!(market.reference(3).volume_per_pass, 2_250);
        assert_eq!(market.first_time(), Timestamp::from_us(START_MS * 1_000));
        assert_eq!(market.last_time(), Timestamp::from_us((START_MS + 4_000) * 1_000));
    }

    #[test]
    fn an_operator_may_name_a_lot() {
        let mut lots = LotOverrides::new();
        lots.set("NIFTY", None, 75);
        let contracts = vec![option("NIFTY", "25300", OptionType::Call)];
        let market = SimMarket::build(contracts, vec![event(0, 0, 150, 75)], &lots).expect("a market");
        assert_eq!(market.contracts()[0].lot_size, 75);
    }

    #[test]
    fn a_market_of_months_is_refused() {
        let contracts = vec![option("NIFTY", "25300", OptionType::Call)];
        let events = vec![event(0, 0, 65, 0), event(0, 60 * 86_400, 65, 0)];
        let error = SimMarket::build(contracts, events, &LotOverrides::new()).expect_err("too long");
        assert_eq!(error.days, 60);
    }
}
