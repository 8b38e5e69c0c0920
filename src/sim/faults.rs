//! Failures that a test or an operator can switch on.

use super::names::{ChainName, ContractName, TokenName};
use crate::market::{ProviderToken, TradingDate};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
};
use tokio::sync::watch;

/// What goes wrong. Set through `POST /sim/faults`; fields left out of the request stay as they are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Faults {
    /// Logins are refused as if the password were wrong.
    pub refuse_logins: bool,
    /// Sockets stay open and send nothing: no packets, no pongs. The website does not answer.
    pub mute: bool,
    /// Sockets answer pings and send no packets.
    pub mute_stream: bool,
    /// Tokens for which no socket sends a packet, although they are subscribed.
    pub mute_tokens: BTreeSet<TokenName>,
    /// Every subscription is refused with E1002, and nothing of it is taken.
    pub refuse_subscriptions: bool,
    /// A subscription that names one of these tokens is refused as a whole: one stream of several.
    pub refused_tokens: BTreeSet<TokenName>,
    /// Tokens whose packets have an exchange time that no clock can show.
    pub unreadable_tokens: BTreeSet<TokenName>,
    /// Tokens for which a quote request is answered with the row of another one.
    pub wrong_quotes: BTreeMap<TokenName, TokenName>,
    /// Tokens that quote answers list among what was not fetched.
    pub unfetched_quotes: BTreeSet<TokenName>,
    /// Every request and every handshake is answered 429.
    pub too_many_requests: bool,
    /// NSE's chains that are not answered, and what is answered instead.
    pub broken_chains: BTreeMap<ChainName, ChainFault>,
    /// NSE's chains that are answered with the body of another one.
    pub wrong_chain: BTreeMap<ChainName, ChainName>,
    /// NSE's chains without a row, freshly stamped.
    pub empty_chain: BTreeSet<ChainName>,
    /// NSE's chains of the played market that keep the body that was served last.
    pub stale_stamp: BTreeSet<ChainName>,
    /// Contracts that NSE's chains leave out.
    pub omit: BTreeSet<ContractName>,
    /// Contracts whose open interest in NSE's chains is the text `-`.
    pub bad_leg: BTreeSet<ContractName>,
    /// Closes all sockets and forgets all cookies and sessions once; never reads back as true.
    pub drop_all: bool,
}

impl Faults {
    /// Whether no packet of a token may be sent.
    pub(super) fn mutes(&self, token: ProviderToken) -> bool {
        self.mute || self.mute_stream || names_token(&self.mute_tokens, token)
    }

    /// Whether a subscription to these tokens is refused.
    pub(super) fn refuses<'a>(&self, mut tokens: impl Iterator<Item = &'a ProviderToken>) -> bool {
        self.refuse_subscriptions || tokens.any(|token| names_token(&self.refused_tokens, *token))
    }

    /// Whether a token's packets cannot be read.
    pub(super) fn garbles(&self, token: ProviderToken) -> bool {
        names_token(&self.unreadable_tokens, token)
    }

    /// The token whose row answers a quote request for a token. A segment in the place of the other token names none.
    pub(super) fn quoted(&self, token: ProviderToken) -> ProviderToken {
        match self.wrong_quotes.get(&TokenName::Token(token)) {
            Some(TokenName::Token(other)) => *other,
            _ => token,
        }
    }

    pub(super) fn withholds_quote(&self, token: ProviderToken) -> bool {
        names_token(&self.unfetched_quotes, token)
    }

    pub(super) fn broken_chain(&self, symbol: &str, expiry: Option<TradingDate>) -> Option<ChainFault> {
        // From the back: a chain of one expiry goes before its symbol, and a symbol before `*`.
        let mut names = self.broken_chains.iter().rev();
        names.find(|(name, _)| name.matches(symbol, expiry)).map(|(_, fault)| *fault)
    }

    /// The chain that is served for a requested one.
    pub(super) fn served_chain(
        &self,
        symbol: &str,
        expiry: Option<TradingDate>,
    ) -> (String, Option<TradingDate>) {
        let wrong = self.wrong_chain.iter().rev().find(|(name, _)| name.matches(symbol, expiry));
        match wrong {
            // The older generation's chains have all expiries.
            Some((_, other)) => {
                (other.symbol(symbol).to_owned(), expiry.map(|requested| other.expiry().unwrap_or(requested)))
            }
            None => (symbol.to_owned(), expiry),
        }
    }
}

fn names_token(names: &BTreeSet<TokenName>, token: ProviderToken) -> bool {
    !names.is_empty()
        && (names.contains(&TokenName::Segment(token.segment)) || names.contains(&TokenName::Token(token)))
}

/// What the website answers for a chain instead of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChainFault {
    NotFound,
    Html,
}

/// The faults in force, shared by both servers.
#[derive(Debug)]
pub(super) struct FaultSwitch {
    current: Mutex<Arc<Faults>>,
    /// How many times everything was dropped.
    drops: watch::Sender<u64>,
}

impl FaultSwitch {
    pub fn new() -> FaultSwitch {
        FaultSwitch { current: Mutex::default(), drops: watch::Sender::new(0) }
    }

    pub fn current(&self) -> Arc<Faults> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub fn set(&self, faults: Faults) {
        let drop_all = faults.drop_all;
        let faults = Arc::new(Faults { drop_all: false, ..faults });
        *self.current.lock().unwrap_or_else(PoisonError::into_inner) = faults;
        if drop_all {
            self.drops.send_modify(|drops| *drops += 1);
        }
    }

    /// Sets the named fields and keeps the others.
    ///
    /// # Errors
    /// A field that there is none of, or a value that it cannot have; nothing is changed then.
    pub fn change(&self, change: Map<String, Value>) -> Result<Arc<Faults>, serde_json::Error> {
        let mut fields = serde_json::to_value(&*self.current())?;
        for (name, value) in change {
            fields[name] = value;
        }
        self.set(serde_json::from_value(fields)?);
        Ok(self.current())
    }

    pub fn drops(&self) -> watch::Receiver<u64> {
        self.drops.subscribe()
    }

    pub fn drop_count(&self) -> u64 {
        *self.drops.borrow()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::market::Segment;

    fn change(switch: &FaultSwitch, json: &str) -> Result<Arc<Faults>, serde_json::Error> {
        switch.change(serde_json::from_str(json).expect("an object"))
    }

    #[test]
    fn a_change_keeps_what_it_does_not_name() {
        let switch = FaultSwitch::new();
        switch.set(Faults { mute: true, ..Faults::default() });
        let faults = change(&switch, r#"{"refuse_logins":true,"drop_all":true}"#).expect("a change");
        assert_eq!(*faults, Faults { mute: true, refuse_logins: true, ..Faults::default() });
        assert_eq!(switch.drop_count(), 1);
        for wrong in [
            r#"{"explode":true}"#,
            r#"{"mute":1}"#,
            r#"{"omit":["NIFTY"]}"#,
            r#"{"bad_leg":["NIFTY 2026-02-03 25300"]}"#,
            r#"{"mute_tokens":["NFO:NIFTY"]}"#,
            r#"{"empty_chain":["NIFTY tomorrow"]}"#,
        ] {
            change(&switch, wrong).expect_err(wrong);
            assert_eq!(switch.current(), faults, "{wrong} changes nothing");
        }
    }

    #[test]
    fn faults_read_back_as_they_were_written() {
        let switch = FaultSwitch::new();
        let text = r#"{"mute_tokens":["NFO","NSE:99926000"],"unfetched_quotes":["BFO"],"empty_chain":["*"],
            "broken_chains":{"NIFTY":"html"},"wrong_chain":{"NIFTY 2026-02-03":"NIFTY 2026-02-10"},
            "refused_tokens":["NFO:40002"],"unreadable_tokens":["NFO:40003"],
            "wrong_quotes":{"NFO:40001":"NFO:40003"},
            "stale_stamp":["BANKNIFTY 2026-02-24"],"omit":["NIFTY 2026-02-03 25300 CE"],
            "bad_leg":["NIFTY 2026-02-03 25350.50 PE"]}"#;
        let faults = change(&switch, text).expect("a change");
        let (written, wanted): (Value, Value) =
            (serde_json::to_value(&*faults).expect("JSON"), serde_json::from_str(text).expect("JSON"));
        for (name, value) in wanted.as_object().expect("an object") {
            assert_eq!(&written[name], value, "{name}");
        }
        let token = |segment, token| ProviderToken { segment, token };
        assert!(faults.mutes(token(Segment::NseFo, 1)) && faults.mutes(token(Segment::NseCash, 99_926_000)));
        assert!(!faults.mutes(token(Segment::NseCash, 99_926_009)));
        assert!(faults.withholds_quote(token(Segment::BseFo, 1)));
        let (one, two, three) =
            (token(Segment::NseFo, 40_001), token(Segment::NseFo, 40_002), token(Segment::NseFo, 40_003));
        assert!(faults.refuses([one, two].iter()) && !faults.refuses([one, three].iter()));
        assert!(faults.garbles(three) && !faults.garbles(one));
        assert_eq!((faults.quoted(one), faults.quoted(two)), (three, two));
        let (near, next) = ("2026-02-03".parse().expect("a date"), "2026-02-10".parse().expect("a date"));
        assert_eq!(faults.served_chain("NIFTY", Some(near)), ("NIFTY".to_owned(), Some(next)));
        assert_eq!(faults.served_chain("NIFTY", Some(next)), ("NIFTY".to_owned(), Some(next)));
        assert_eq!(faults.served_chain("NIFTY", None), ("NIFTY".to_owned(), None));
        assert_eq!(faults.broken_chain("NIFTY", Some(next)), Some(ChainFault::Html));
        assert_eq!(faults.broken_chain("BANKNIFTY", None), None);
    }
}
