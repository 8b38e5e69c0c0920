//! polkit's word on a caller, where there is a polkit.

use super::MANAGE_ACTION;
use std::{collections::HashMap, time::Duration};
use zbus::{Connection, Variant, names::UniqueName};

/// How long polkit may take.
#[derive(Clone, Copy, Debug)]
pub struct PolkitPatience {
    /// By itself. Less than callers wait by default (25 s), so that they are told.
    pub judging: Duration,
    /// Where it may ask a person for a password.
    pub asking: Duration,
}

impl Default for PolkitPatience {
    fn default() -> PolkitPatience {
        PolkitPatience { judging: Duration::from_secs(10), asking: Duration::from_secs(120) }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Allowed,
    Denied,
    /// It would be allowed if a person were asked, which the call does not permit.
    WouldAsk,
    /// There is no polkit, or it does not answer.
    Absent,
}

/// Whether the caller is authorised for [`MANAGE_ACTION`], by `CheckAuthorization` of polkit's D-Bus interface. The caller
/// is named by its unique name, so that polkit looks at the process itself and nothing can be raced.
pub(super) async fn check(
    connection: &Connection,
    caller: &UniqueName<'_>,
    may_ask: bool,
    patience: PolkitPatience,
) -> Verdict {
    const ALLOW_USER_INTERACTION: u32 = 1;
    let subject = ("system-bus-name", HashMap::from([("name", Variant::from(caller.as_str()))]));
    let details: HashMap<&str, &str> = HashMap::new();
    let flags = if may_ask { ALLOW_USER_INTERACTION } else { 0 };
    let arguments = (subject, MANAGE_ACTION, details, flags, "");
    let call = connection.call_method(
        Some("org.freedesktop.PolicyKit1"),
        "/org/freedesktop/PolicyKit1/Authority",
        Some("org.freedesktop.PolicyKit1.Authority"),
        "CheckAuthorization",
        &arguments,
    );
    let answer_within = if may_ask { patience.asking } else { patience.judging };
    let reply = match tokio::time::timeout(answer_within, call).await {
        Ok(Ok(reply)) => reply,
        Ok(Err(error)) => {
            log::debug!("polkit does not judge {caller}: {error}");
            return Verdict::Absent;
        }
        Err(_) => {
            log::warn!("polkit says nothing about {caller} within {answer_within:?}");
            return Verdict::Absent;
        }
    };
    match reply.body().deserialize::<(bool, bool, HashMap<String, String>)>() {
        Ok((true, _, _)) => Verdict::Allowed,
        Ok((false, true, _)) if !may_ask => Verdict::WouldAsk,
        Ok((false, _, _)) => Verdict::Denied,
        Err(error) => {
            log::warn!("polkit's answer about {caller} is not understood: {error}");
            Verdict::Denied
        }
    }
}
