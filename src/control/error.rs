//! Why the daemon did not do what was asked.

use super::Verb;
use crate::market::TradingDate;
use serde::{Deserialize, Serialize};

/// A refusal, as the peer gets it. The serialised form is a varlink error reply: `error` and `parameters`.
///
/// The peer shows it to a person; none of them ends the connection by itself except where the variant says so.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(tag = "error", content = "parameters")]
pub enum ControlError {
    #[error("{underlying} is not watched{}", but_watched(known))]
    #[serde(rename = "org.bhavd.Control1.UnknownUnderlying")]
    UnknownUnderlying { underlying: String, known: Vec<String> },

    #[error("{underlying} has no watched expiry {expiry}{}", but_watched(known))]
    #[serde(rename = "org.bhavd.Control1.UnknownExpiry")]
    UnknownExpiry { underlying: String, expiry: TradingDate, known: Vec<TradingDate> },

    /// `hint` says what would be a contract, or is empty.
    #[error("no contract {contract:?} is known{}", after_colon(hint))]
    #[serde(rename = "org.bhavd.Control1.UnknownContract")]
    UnknownContract { contract: String, hint: String },

    #[error("there is no feed {feed}; there are {}", list(known))]
    #[serde(rename = "org.bhavd.Control1.UnknownFeed")]
    UnknownFeed { feed: String, known: Vec<String> },

    #[error("there is no job {job}; there are {}", list(known))]
    #[serde(rename = "org.bhavd.Control1.UnknownJob")]
    UnknownJob { job: String, known: Vec<String> },

    /// The question is valid, and the store holds nothing for it.
    #[error("there is no data: {reason}")]
    #[serde(rename = "org.bhavd.Control1.NoData")]
    NoData { reason: String },

    /// The part of the daemon that would answer does not; asking again later may help.
    #[error("not available at this moment: {reason}")]
    #[serde(rename = "org.bhavd.Control1.Unavailable")]
    Unavailable { reason: String },

    /// `parameter` is empty where the whole call is wrong. After a call that is no JSON the connection is closed.
    #[error("{}{reason}", before_colon(parameter))]
    #[serde(rename = "org.bhavd.Control1.Invalid")]
    Invalid { parameter: String, reason: String },

    #[error("the daemon gave up after {after_s} s")]
    #[serde(rename = "org.bhavd.Control1.TimedOut")]
    TimedOut { after_s: u64 },

    /// The connection is closed.
    #[error("the daemon already serves {limit} connections; close one and try again")]
    #[serde(rename = "org.bhavd.Control1.TooManyConnections")]
    TooManyConnections { limit: u64 },

    /// The connection is closed.
    #[error("the call is longer than {limit_bytes} bytes")]
    #[serde(rename = "org.bhavd.Control1.CallTooLarge")]
    CallTooLarge { limit_bytes: u64 },

    /// `verb` is a [`Verb`]'s name.
    #[error(
        "user {uid} may not {}: only root, the daemon's own user and the users in [control] admins may; ask with sudo, or have \
         root add this user there and reload the configuration",
        deed(verb)
    )]
    #[serde(rename = "org.varlink.service.PermissionDenied")]
    PermissionDenied { verb: String, uid: u32 },

    #[error("{method} answers with a stream; call it with more")]
    #[serde(rename = "org.varlink.service.ExpectedMore")]
    ExpectedMore { method: String },

    #[error("there is no interface {interface}; there are org.bhavd.Control1 and org.varlink.service")]
    #[serde(rename = "org.varlink.service.InterfaceNotFound")]
    InterfaceNotFound { interface: String },

    #[error("the daemon has no method {method}; it may be older than the client")]
    #[serde(rename = "org.varlink.service.MethodNotFound")]
    MethodNotFound { method: String },
}

impl ControlError {
    pub fn invalid(parameter: impl Into<String>, reason: impl Into<String>) -> ControlError {
        ControlError::Invalid { parameter: parameter.into(), reason: reason.into() }
    }
}

/// What is watched instead.
fn but_watched<T: ToString>(known: &[T]) -> String {
    match known {
        [] => ": nothing that is watched is known yet, since no provider has listed it".to_owned(),
        [only] => format!("; only {} is", only.to_string()),
        _ => format!("; watched are {}", list(known)),
    }
}

fn list<T: ToString>(known: &[T]) -> String {
    match known {
        [] => "none".to_owned(),
        _ => known.iter().map(T::to_string).collect::<Vec<_>>().join(", "),
    }
}

/// A daemon of another version may refuse what is not known here.
fn deed(verb: &str) -> &str {
    match Verb::from_name(verb) {
        Some(verb) => verb.deed(),
        None => verb,
    }
}

fn before_colon(text: &str) -> String {
    if text.is_empty() || text == "." { String::new() } else { format!("{text}: ") }
}

fn after_colon(text: &str) -> String {
    if text.is_empty() { String::new() } else { format!(": {text}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn serialises_to_a_varlink_error_reply() {
        let error = ControlError::UnknownUnderlying {
            underlying: "NIFTI".to_owned(),
            known: vec!["NIFTY".to_owned(), "BANKNIFTY".to_owned()],
        };
        let reply = json!({
            "error": "org.bhavd.Control1.UnknownUnderlying",
            "parameters": {"underlying": "NIFTI", "known": ["NIFTY", "BANKNIFTY"]},
        });
        assert_eq!(serde_json::to_value(&error).expect("JSON"), reply);
        assert_eq!(serde_json::from_value::<ControlError>(reply).expect("an error"), error);
        assert_eq!(error.to_string(), "NIFTI is not watched; watched are NIFTY, BANKNIFTY");
        let of = |known: &[&str]| ControlError::UnknownUnderlying {
            underlying: "NIFTI".to_owned(),
            known: known.iter().map(|name| (*name).to_owned()).collect(),
        };
        assert_eq!(of(&["NIFTY"]).to_string(), "NIFTI is not watched; only NIFTY is");
        let nothing =
            "NIFTI is not watched: nothing that is watched is known yet, since no provider has listed it";
        assert_eq!(of(&[]).to_string(), nothing);
    }

    #[test]
    fn texts_read_well_with_and_without_their_fields() {
        let shown = |error: ControlError| error.to_string();
        assert_eq!(shown(ControlError::invalid("limit", "found 0")), "limit: found 0");
        assert_eq!(shown(ControlError::invalid(".", "missing field")), "missing field");
        let denied = |verb: &str| shown(ControlError::PermissionDenied { verb: verb.to_owned(), uid: 7 });
        assert!(
            denied("Drain").starts_with("user 7 may not end the daemon: only root"),
            "{}",
            denied("Drain")
        );
        assert!(denied("Dance").starts_with("user 7 may not Dance: only root"), "{}", denied("Dance"));
        let contract =
            |hint: &str| ControlError::UnknownContract { contract: "X".to_owned(), hint: hint.to_owned() };
        assert_eq!(shown(contract("")), "no contract \"X\" is known");
        assert_eq!(
            shown(contract("strikes are 50 apart")),
            "no contract \"X\" is known: strikes are 50 apart"
        );
    }
}
