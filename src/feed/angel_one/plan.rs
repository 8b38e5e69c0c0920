//! Which watched instrument is asked for in which way. A function of the listings, the watch list and the date.

use super::AngelOneSettings;
use crate::{
    engine::watch::{ListedExpiries, WatchList},
    market::{Contract, InstrumentKind, ProviderToken, TradingDate, is_index_underlying},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// So many options of the nearest expiries of indices, or so many contracts of any kind, are never silent together for longer
/// in an open market than [`LIVELY_SILENCE`] and [`BROAD_SILENCE`]. Later expiries are quiet for minutes.
const LIVELY_INDEX_OPTIONS: usize = 100;
const BROAD_TOKENS: usize = 1_000;
const LIVELY_SILENCE: Duration = Duration::from_secs(60);
const BROAD_SILENCE: Duration = Duration::from_secs(120);
/// A few contracts may well have nothing to say for minutes.
const NARROW_SILENCE: Duration = Duration::from_secs(600);

/// The desired state that sockets and pollers follow.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Plan {
    /// Tokens by socket; a socket without tokens is not opened.
    pub sockets: Vec<BTreeSet<ProviderToken>>,
    /// For how long each socket may bring nothing while the market is open.
    pub silences_max: Vec<Duration>,
    /// What no socket has room for.
    pub polled: Vec<ProviderToken>,
    /// Whose candles are fetched.
    pub indices: Vec<ProviderToken>,
}

impl Plan {
    /// Underlyings come first, then options by expiry: what is traded most gets a socket. Near and far ones are mixed over as
    /// many sockets as are needed, since a socket of far expiries alone is silent for as long as a dead one.
    pub fn new(
        settings: &AngelOneSettings,
        watch: &WatchList,
        listed: &[(ProviderToken, Contract)],
        date: TradingDate,
    ) -> Plan {
        let mut expiries = ListedExpiries::default();
        listed.iter().for_each(|(_, contract)| expiries.note(contract));
        let watched = watch.select(&expiries, date);
        let mut selected: Vec<_> = listed.iter().filter(|(_, contract)| watched.contains(contract)).collect();
        selected.sort_by_key(|(token, contract)| (contract.expiry(), *token));
        let is_index = |(_, contract): &&&(ProviderToken, Contract)| contract.kind == InstrumentKind::Index;
        let indices = selected.iter().filter(is_index).map(|(token, _)| *token).collect();
        let mut seen = BTreeSet::new();
        let tokens: Vec<ProviderToken> =
            selected.iter().map(|(token, _)| *token).filter(|token| seen.insert(*token)).collect();
        let room = settings.sockets_max * settings.tokens_per_socket;
        let (streamed, polled) = tokens.split_at(tokens.len().min(room));
        let mut sockets = spread(streamed, settings.tokens_per_socket.max(1));
        sockets.resize_with(settings.sockets_max, BTreeSet::new);
        let lively = nearest_index_options(&selected);
        let silences_max = sockets.iter().map(|tokens| silence_max(tokens, &lively)).collect();
        Plan { sockets, silences_max, polled: polled.to_vec(), indices }
    }

    pub fn socket(&self, slot: usize) -> BTreeSet<ProviderToken> {
        self.sockets.get(slot).cloned().unwrap_or_default()
    }

    pub fn silence_max(&self, slot: usize) -> Duration {
        self.silences_max.get(slot).copied().unwrap_or(NARROW_SILENCE)
    }
}

/// Over as few sockets as hold them: each by its own number, so that it stays where it is when others are listed, or else in
/// the next socket with room.
fn spread(tokens: &[ProviderToken], tokens_per_socket: usize) -> Vec<BTreeSet<ProviderToken>> {
    let count = tokens.len().div_ceil(tokens_per_socket);
    let mut sockets = vec![BTreeSet::new(); count];
    for token in tokens {
        let own = token.token as usize % count;
        let with_room = (own..own + count).find(|slot| sockets[slot % count].len() < tokens_per_socket);
        let slot = with_room.expect("there are as many sockets as hold all tokens");
        sockets[slot % count].insert(*token);
    }
    sockets
}

/// Options of the nearest selected expiry of each index.
fn nearest_index_options(selected: &[&(ProviderToken, Contract)]) -> BTreeSet<ProviderToken> {
    let is_index_option = |(_, contract): &&&(ProviderToken, Contract)| {
        matches!(contract.kind, InstrumentKind::Option { .. }) && is_index_underlying(&contract.underlying)
    };
    let of_indices = || selected.iter().filter(is_index_option);
    let mut nearest: BTreeMap<&str, Option<TradingDate>> = BTreeMap::new();
    for (_, contract) in of_indices() {
        let expiry = nearest.entry(&contract.underlying).or_insert(contract.expiry());
        *expiry = (*expiry).min(contract.expiry());
    }
    let is_nearest = |contract: &Contract| nearest[&*contract.underlying] == contract.expiry();
    of_indices().filter(|(_, contract)| is_nearest(contract)).map(|(token, _)| *token).collect()
}

fn silence_max(tokens: &BTreeSet<ProviderToken>, lively: &BTreeSet<ProviderToken>) -> Duration {
    if tokens.intersection(lively).count() >= LIVELY_INDEX_OPTIONS {
        LIVELY_SILENCE
    } else if tokens.len() >= BROAD_TOKENS {
        BROAD_SILENCE
    } else {
        NARROW_SILENCE
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        engine::watch::WatchedUnderlying,
        market::{Exchange, OptionType, Price, Segment},
    };
    use chrono::NaiveDate;

    #[test]
    fn near_expiries_are_streamed_and_the_rest_polled() {
        let date = NaiveDate::from_ymd_opt(2026, 2, 2).expect("a date");
        let listing = |contract, segment, token| (ProviderToken { segment, token }, contract);
        let option = |day, token| {
            let expiry = NaiveDate::from_ymd_opt(2026, 2, day).expect("a date");
            let strike = Price::from_e4(i64::from(token) * 10_000);
            let contract = Contract::option(Exchange::Nse, "NIFTY", expiry, strike, OptionType::Call);
            listing(contract, Segment::NseFo, token)
        };
        let mut listings: Vec<(ProviderToken, Contract)> = (1..=4).map(|token| option(24, token)).collect();
        listings.extend((5..=8).map(|token| option(3, token)));
        listings.push(listing(Contract::index(Exchange::Nse, "NIFTY"), Segment::NseCash, 99));
        let watch = WatchList {
            underlyings: vec![WatchedUnderlying { underlying: "NIFTY".to_owned(), expiries: 2 }],
        };
        let settings =
            AngelOneSettings { sockets_max: 2, tokens_per_socket: 3, ..AngelOneSettings::default() };

        let plan = Plan::new(&settings, &watch, &listings, date);
        let tokens = |slot: usize| plan.socket(slot).iter().map(|token| token.token).collect::<Vec<_>>();
        assert_eq!(tokens(0), [1, 6, 8]);
        assert_eq!(tokens(1), [99, 5, 7]);
        assert_eq!(plan.polled.iter().map(|token| token.token).collect::<Vec<_>>(), [2, 3, 4]);
        assert_eq!(plan.indices, [ProviderToken { segment: Segment::NseCash, token: 99 }]);
        assert!(plan.socket(2).is_empty());
    }

    #[test]
    fn near_and_far_contracts_are_mixed_and_stay_where_they_are() {
        let tokens = |numbers: std::ops::Range<u32>| -> Vec<ProviderToken> {
            numbers.map(|token| ProviderToken { segment: Segment::NseFo, token }).collect()
        };
        let before = spread(&tokens(0..25), 10);
        assert_eq!(before.iter().map(BTreeSet::len).collect::<Vec<_>>(), [9, 8, 8]);
        assert!(before.iter().all(|socket| socket.iter().any(|token| token.token < 3)));
        let after = spread(&tokens(0..28), 10);
        assert!(before.iter().zip(&after).all(|(before, after)| before.is_subset(after)));
        let even: Vec<ProviderToken> =
            (0..20).map(|token| ProviderToken { segment: Segment::NseFo, token: 2 * token }).collect();
        assert!(
            spread(&even, 10).iter().all(|socket| socket.len() == 10),
            "what has no room goes on to the next"
        );
        assert!(spread(&[], 10).is_empty());
    }

    #[test]
    fn later_expiries_make_no_stream_lively() {
        let option = |day, token| {
            let expiry = NaiveDate::from_ymd_opt(2026, 2, day).expect("a date");
            let strike = Price::from_e4(i64::from(token) * 10_000);
            let contract = Contract::option(Exchange::Nse, "NIFTY", expiry, strike, OptionType::Call);
            (ProviderToken { segment: Segment::NseFo, token }, contract)
        };
        let listed = [option(3, 1), option(3, 2), option(10, 3)];
        let lively = nearest_index_options(&listed.iter().collect::<Vec<_>>());
        assert_eq!(lively.iter().map(|token| token.token).collect::<Vec<_>>(), [1, 2]);
    }

    #[test]
    fn a_stream_of_many_index_options_is_silent_for_a_minute_at_most() {
        let token = |token| ProviderToken { segment: Segment::NseFo, token };
        let tokens = |count: u32| (0..count).map(token).collect::<BTreeSet<_>>();
        assert_eq!(silence_max(&tokens(100), &tokens(100)), LIVELY_SILENCE);
        assert_eq!(silence_max(&tokens(1_000), &tokens(99)), BROAD_SILENCE);
        assert_eq!(silence_max(&tokens(999), &tokens(99)), NARROW_SILENCE);
    }
}
