//! The ways by which requests come in, and the one line that the log has for each change that somebody asked for.

use super::{Peer, Verb};
use crate::logging::{self, Event};
use serde_json::Value;

/// A way in. Each judges its callers by the same [`super::Authority`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Door {
    /// The control socket.
    Socket,
    /// D-Bus.
    Bus,
}

impl Door {
    /// As the log's field DOOR shows it.
    pub const fn name(self) -> &'static str {
        match self {
            Door::Socket => "socket",
            Door::Bus => "bus",
        }
    }

    /// Who asked for which change, and what came of it: `done`, or why not. Whatever the log's level is.
    pub fn note_write(self, verb: Verb, parameters: &Value, peer: &Peer, outcome: &str) {
        let (door, verb, Peer { uid, pid, .. }) = (self.name(), verb.name(), *peer);
        let process = pid.map_or_else(String::new, |pid| format!(", process {pid}"));
        let message =
            format!("control write by user {uid}{process}, by the {door}: {verb} {parameters}: {outcome}");
        let mut facts =
            vec![("door", door.to_owned()), ("verb", verb.to_owned()), ("peer_uid", uid.to_string())];
        facts.extend(pid.map(|pid| ("peer_pid", pid.to_string())));
        logging::tell_always(Event::ControlWrite, message, facts);
    }
}
