//! Failures that a test or an operator can switch on.

use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};
use tokio::sync::watch;

/// What goes wrong. Set through `POST /sim/faults`; fields left out of the request stay as they are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Faults {
    /// Logins are refused as if the password were wrong.
    pub refuse_logins: bool,
    /// Sockets stay open and say nothing: no packets, no pongs.
    pub mute: bool,
    /// Every request and every handshake is answered 429.
    pub too_many_requests: bool,
    /// NSE's chains by symbol, or by symbol and expiry (`NIFTY 2026-02-03`), and what is wrong with them.
    pub broken_chains: BTreeMap<String, ChainFault>,
    /// Closes all sockets and forgets all cookies and sessions once; never reads back as true.
    pub drop_all: bool,
}

/// What the website answers for a chain instead of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChainFault {
    NotFound,
    Html,
}

/// A change of [`Faults`]; absent fields keep their value.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct FaultsChange {
    refuse_logins: Option<bool>,
    mute: Option<bool>,
    too_many_requests: Option<bool>,
    broken_chains: Option<BTreeMap<String, ChainFault>>,
    drop_all: Option<bool>,
}

/// The faults in force, shared by both servers.
#[derive(Debug)]
pub(super) struct FaultSwitch {
    current: Mutex<Faults>,
    /// How many times everything was dropped.
    drops: watch::Sender<u64>,
}

impl FaultSwitch {
    pub fn new() -> FaultSwitch {
        FaultSwitch { current: Mutex::default(), drops: watch::Sender::new(0) }
    }

    pub fn current(&self) -> Faults {
        self.current.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub fn set(&self, faults: Faults) {
        let drop_all = faults.drop_all;
        *self.current.lock().unwrap_or_else(PoisonError::into_inner) = Faults { drop_all: false, ..faults };
        if drop_all {
            self.drops.send_modify(|drops| *drops += 1);
        }
    }

    pub fn change(&self, change: FaultsChange) -> Faults {
        let current = self.current();
        self.set(Faults {
            refuse_logins: change.refuse_logins.unwrap_or(current.refuse_logins),
            mute: change.mute.unwrap_or(current.mute),
            too_many_requests: change.too_many_requests.unwrap_or(current.too_many_requests),
            broken_chains: change.broken_chains.unwrap_or(current.broken_chains),
            drop_all: change.drop_all.unwrap_or(false),
        });
        self.current()
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

    #[test]
    fn a_change_keeps_what_it_does_not_name() {
        let switch = FaultSwitch::new();
        switch.set(Faults { mute: true, ..Faults::default() });
        let change = serde_json::from_str(r#"{"refuse_logins":true,"drop_all":true}"#).expect("a change");
        let faults = switch.change(change);
        assert_eq!(faults, Faults { mute: true, refuse_logins: true, ..Faults::default() });
        assert_eq!(switch.drop_count(), 1);
        assert!(serde_json::from_str::<FaultsChange>(r#"{"explode":true}"#).is_err());
    }
}
