//! Which watched instrument is asked for in which way. A function of the listings, the watch list and the date.

use super::AngelOneSettings;
use crate::{
    engine::watch::{ListedExpiries, WatchList},
    market::{Contract, InstrumentKind, ProviderToken, TradingDate, is_index_underlying},
};
use std::{collections::BTreeSet, time::Duration};

/// So many index options, or so many contracts of any kind, are never silent together for longer in an open market than
/// [`LIVELY_SILENCE`] and [`BROAD_SILENCE`].
const LIVELY_INDEX_OPTIONS: usize = 100;
const BROAD_TOKENS: usize = 1_000;
const LIVELY_SILENCE: Duration = Duration::from_secs(60);
const BROAD_SILENCE: Duration = Duration::from_secs(120);
/// A few contracts may well have nothing to say for minutes.
const NARROW_SILENCE: Duration = Duration::from_secs(600);

/// The desired state that sockets and pollers follow.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Plan {
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
    /// Underlyings come first, then options by expiry: what is traded most gets a socket.
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
        let mut sockets: Vec<BTreeSet<ProviderToken>> = streamed
            .chunks(settings.tokens_per_socket.max(1))
            .map(|chunk| chunk.iter().copied().collect())
            .collect();
        sockets.resize_with(settings.sockets_max, BTreeSet::new);
        let is_index_option = |contract: &Contract| {
            matches!(contract.kind, InstrumentKind::Option { .. })
                && is_index_underlying(&contract.underlying)
        };
        let of_indices = selected.iter().filter(|(_, contract)| is_index_option(contract));
        let index_options: BTreeSet<ProviderToken> = of_indices.map(|(token, _)| *token).collect();
        let silences_max = sockets.iter().map(|tokens| silence_max(tokens, &index_options)).collect();
        Plan { sockets, silences_max, polled: polled.to_vec(), indices }
    }

    pub fn socket(&self, slot: usize) -> BTreeSet<ProviderToken> {
        self.sockets.get(slot).cloned().unwrap_or_default()
    }

    pub fn silence_max(&self, slot: usize) -> Duration {
        self.silences_max.get(slot).copied().unwrap_or(NARROW_SILENCE)
    }
}

fn silence_max(tokens: &BTreeSet<ProviderToken>, index_options: &BTreeSet<ProviderToken>) -> Duration {
    if tokens.intersection(index_options).count() >= LIVELY_INDEX_OPTIONS {
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
        assert_eq!(tokens(0), [99, 5, 6]);
        assert_eq!(tokens(1), [1, 7, 8]);
        assert_eq!(plan.polled.iter().map(|token| token.token).collect::<Vec<_>>(), [2, 3, 4]);
        assert_eq!(plan.indices, [ProviderToken { segment: Segment::NseCash, token: 99 }]);
        assert!(plan.socket(2).is_empty());
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
