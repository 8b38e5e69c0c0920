//! Who is at the other end, and what they may do.

use super::{ControlError, Verb};
use std::{
    io,
    sync::{Arc, PoisonError, RwLock},
};
use tokio::net::UnixStream;

/// Whether a verb only looks or also changes something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    Read,
    Write,
}

/// The process at the other end when it connected, as the kernel tells it (SO_PEERCRED).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    pub uid: u32,
    /// The primary group.
    pub gid: u32,
    /// `None` where the kernel does not say.
    pub pid: Option<i32>,
}

impl Peer {
    /// # Errors
    /// As getsockopt(2).
    pub fn of(stream: &UnixStream) -> io::Result<Peer> {
        let credentials = stream.peer_cred()?;
        Ok(Peer { uid: credentials.uid(), gid: credentials.gid(), pid: credentials.pid() })
    }
}

/// The rule: the socket's file mode admits readers; root, the daemon's own user and configured admins may write.
///
/// In a user namespace of its own (`PrivateUsers=yes`) the kernel tells every other user as 65534, so that only readers
/// are left: the unit must not set it.
///
/// Clones are the same authority.
#[derive(Clone, Debug)]
pub struct Authority {
    own_uid: u32,
    admins: Arc<RwLock<Vec<u32>>>,
}

impl Authority {
    /// For this process's user and the user ids of `[control] admins`.
    pub fn new(admins: Vec<u32>) -> Authority {
        Authority { own_uid: rustix::process::geteuid().as_raw(), admins: Arc::new(RwLock::new(admins)) }
    }

    /// Holds from the next call on, of connections that are open as well.
    pub fn set_admins(&self, admins: Vec<u32>) {
        *self.admins.write().unwrap_or_else(PoisonError::into_inner) = admins;
    }

    fn is_admin(&self, uid: u32) -> bool {
        self.admins.read().unwrap_or_else(PoisonError::into_inner).contains(&uid)
    }

    pub fn may(&self, access: Access, peer: &Peer) -> bool {
        match access {
            Access::Read => true,
            Access::Write => peer.uid == 0 || peer.uid == self.own_uid || self.is_admin(peer.uid),
        }
    }

    /// # Errors
    /// [`ControlError::PermissionDenied`].
    pub fn check(&self, verb: Verb, peer: &Peer) -> Result<(), ControlError> {
        if self.may(verb.access(), peer) {
            return Ok(());
        }
        Err(ControlError::PermissionDenied { verb: verb.name().to_owned(), uid: peer.uid })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everyone_admitted_reads_and_few_write() {
        let authority = Authority { own_uid: 990, ..Authority::new(vec![1_000]) };
        let may = |access, uid| authority.may(access, &Peer { uid, gid: 100, pid: Some(7) });
        for uid in [0, 990, 1_000, 1_001, 65_534] {
            assert!(may(Access::Read, uid));
        }
        assert_eq!(
            [0, 990, 1_000, 1_001, 65_534].map(|uid| may(Access::Write, uid)),
            [true, true, true, false, false]
        );
        authority.clone().set_admins(vec![1_001]);
        assert_eq!([1_000, 1_001].map(|uid| may(Access::Write, uid)), [false, true]);
    }
}
