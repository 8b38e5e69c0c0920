//! Who calls, and whether they may.
//!
//! Everyone may read. Root, the daemon's own user, configured admins and members of the daemon's own group may write, by
//! the credentials that the bus tells of the caller; anyone else where polkit says so.

use super::{
    MANAGE_ACTION, NAME,
    polkit::{self, PolkitPatience, Verdict},
    refusal::Refusal,
};
use crate::control::{Access, Authority, Peer, Verb};
use std::sync::Arc;
use tokio::sync::Semaphore;
use zbus::{
    Connection, fdo,
    message::{Flags, Header},
    names::{BusName, UniqueName},
};

/// Callers about whom polkit is being asked, which takes as long as a person does. A further one is refused.
const CHECKS_MAX: usize = 8;

/// The rule. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Gate {
    authority: Authority,
    own_gid: u32,
    checks: Arc<Semaphore>,
    polkit: PolkitPatience,
}

/// A process on the bus.
#[derive(Clone, Debug)]
pub(super) struct Caller {
    name: UniqueName<'static>,
    pub peer: Peer,
    groups: Vec<u32>,
    /// Whether a person may be asked for a password on the way.
    may_ask: bool,
}

impl Gate {
    pub fn new(authority: Authority, polkit: PolkitPatience) -> Gate {
        let checks = Arc::new(Semaphore::new(CHECKS_MAX));
        Gate { authority, own_gid: rustix::process::getegid().as_raw(), checks, polkit }
    }

    /// Lets the caller of a method that changes something through, or says why not.
    pub async fn admit_writer(
        &self,
        connection: &Connection,
        caller: &Caller,
        verb: Verb,
    ) -> Result<(), Refusal> {
        if self.knows(&caller.peer, &caller.groups) {
            return Ok(());
        }
        let Ok(_place) = self.checks.try_acquire() else {
            let text = format!("polkit is being asked about {CHECKS_MAX} others; try again");
            return Err(fdo::Error::LimitsExceeded(text).into());
        };
        let (uid, deed) = (caller.peer.uid, verb.deed());
        match polkit::check(connection, &caller.name, caller.may_ask, self.polkit).await {
            Verdict::Allowed => Ok(()),
            Verdict::WouldAsk => Err(fdo::Error::InteractiveAuthorizationRequired(format!(
                "user {uid} may {deed} with a password: allow interactive authorization, as busctl and gdbus do by an \
                 option, or call as root"
            ))
            .into()),
            Verdict::Denied | Verdict::Absent => Err(Refusal::permission_denied(format!(
                "user {uid} may not {deed}: call as root, join the daemon's group (usermod -aG bhavd USER, then log in \
                 again), or let polkit allow {MANAGE_ACTION}"
            ))),
        }
    }

    /// Whether the caller may write without polkit.
    fn knows(&self, peer: &Peer, groups: &[u32]) -> bool {
        self.authority.may(Access::Write, peer) || peer.gid == self.own_gid || groups.contains(&self.own_gid)
    }
}

/// Who calls a method. Everyone who is known may read.
pub(super) async fn identify(connection: &Connection, header: &Header<'_>) -> Result<Caller, Refusal> {
    let nameless =
        || fdo::Error::AuthFailed(format!("{NAME} answers on a bus only: the call names no sender"));
    let name = header.sender().ok_or_else(nameless)?.to_owned();
    let bus = fdo::DBusProxy::new(connection).await?;
    let credentials = bus.get_connection_credentials(BusName::Unique(name.clone())).await?;
    let unknown = || fdo::Error::AuthFailed("the bus does not tell which user calls".to_owned());
    let uid = credentials.unix_user_id().ok_or_else(unknown)?;
    // The bus lists the primary group among the others. Where it tells none, nobody's is assumed.
    let groups = credentials.unix_group_ids().cloned().unwrap_or_default();
    let peer = Peer {
        uid,
        gid: groups.first().copied().unwrap_or(u32::MAX),
        pid: credentials.process_id().and_then(|pid| i32::try_from(pid).ok()),
    };
    let may_ask = header.primary().flags().contains(Flags::ALLOW_INTERACTIVE_AUTH);
    Ok(Caller { name, peer, groups, may_ask })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_and_the_daemons_group_write_without_polkit() {
        let gate = Gate { own_gid: 990, ..Gate::new(Authority::new(vec![1_000]), PolkitPatience::default()) };
        let knows = |uid, groups: &[u32]| {
            gate.knows(&Peer { uid, gid: groups.first().copied().unwrap_or(u32::MAX), pid: None }, groups)
        };
        assert!(knows(0, &[]) && knows(1_000, &[100]), "root and admins");
        assert!(knows(65_534, &[990]) && knows(65_534, &[100, 990]), "first or further group");
        assert!(!knows(65_534, &[]) && !knows(65_534, &[100]));
    }
}
