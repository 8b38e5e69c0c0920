//! A group of children as data, and its place in the tree.
//!
//! A supervisor is itself a child of the supervisor above, an actix actor on the control thread, whose work is
//! [`super::group::supervise`]. Giving up is therefore an error exit like any other: the supervisor above restarts the
//! whole group, or gives up too.

use super::{
    Backoff, ChildSpec, ExitReason, Intensity, Placement, Restart, StopSignal,
    arbiters::Arbiters,
    group::{ABORT_WAIT, Plan, supervise},
    incarnation::Seat,
    status::Board,
};
use futures_util::FutureExt;
use std::{sync::Arc, time::Duration};

/// Four times as far apart as a supervisor's thread says that it turns. Nobody judges supervisors by it.
const SUPERVISOR_HEARTBEAT: Duration = Duration::from_secs(8);

/// Whom a failing child takes along.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Strategy {
    /// Nobody.
    #[default]
    OneForOne,
    /// The siblings after it in the spec: they depend on it.
    RestForOne,
}

/// The group cannot be kept running.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SupervisorError {
    /// The supervisor above restarts the group; at the root the tree ends.
    #[error("gave up after {restarts} restarts within {window:?}; last, {child} {reason}")]
    TooManyRestarts { restarts: usize, window: Duration, child: Arc<str>, reason: ExitReason },
    /// The tree ends: restarting anything would not free the threads.
    #[error("more than {max} threads do not come back from their children; last, {child} {reason}")]
    TooManyZombies { max: usize, child: Arc<str>, reason: ExitReason },
}

/// A group of children as data. [`SupervisorSpec::new`] gives the defaults, the fields may be changed.
#[derive(Clone, Debug)]
pub struct SupervisorSpec {
    /// Unique among its siblings.
    pub name: Arc<str>,
    pub strategy: Strategy,
    pub intensity: Intensity,
    pub backoff: Backoff,
    members: Vec<Member>,
}

#[derive(Clone, Debug)]
enum Member {
    Child(ChildSpec),
    Supervisor(SupervisorSpec),
}

impl SupervisorSpec {
    pub fn new(name: &str, strategy: Strategy) -> SupervisorSpec {
        SupervisorSpec {
            name: name.into(),
            strategy,
            intensity: Intensity::default(),
            backoff: Backoff::default(),
            members: Vec::new(),
        }
    }

    pub fn intensity(mut self, max: usize, window: Duration) -> SupervisorSpec {
        self.intensity = Intensity { max, window };
        self
    }

    pub fn backoff(mut self, backoff: Backoff) -> SupervisorSpec {
        self.backoff = backoff;
        self
    }

    /// Adds a child after those already there.
    pub fn child(mut self, child: ChildSpec) -> SupervisorSpec {
        self.members.push(Member::Child(child));
        self
    }

    /// Adds a group after what is already there. It is restarted always.
    pub fn supervisor(mut self, supervisor: SupervisorSpec) -> SupervisorSpec {
        self.members.push(Member::Supervisor(supervisor));
        self
    }

    /// Gives the group and everything below their places on the board; `seed` makes the jitter.
    pub(super) fn plant(self, above: Option<&Above>, seed: u64, board: &Board, arbiters: &Arbiters) -> Seat {
        let path = above.map_or_else(|| Arc::clone(&self.name), |above| above.path_of(&self.name));
        let parent = above.map(|above| Arc::clone(&above.parent));
        let status = board.add(Arc::clone(&path), parent, false, Vec::new());
        let is_root = above.is_none();
        // The root's own name is no part of its children's paths.
        let prefix = if is_root { String::new() } else { format!("{path}/") };
        let here = Above { parent: path, prefix };
        let seats: Vec<Seat> = self
            .members
            .into_iter()
            .zip(1..)
            .map(|(member, number)| match member {
                Member::Child(child) => plant_child(child, &here, board),
                Member::Supervisor(group) => {
                    group.plant(Some(&here), seed.rotate_left(8) ^ number, board, arbiters)
                }
            })
            .collect();
        let grace = seats.iter().map(|seat| seat.grace + ABORT_WAIT).sum::<Duration>() + ABORT_WAIT;
        let plan = Arc::new(Plan {
            strategy: self.strategy,
            intensity: self.intensity,
            backoff: self.backoff,
            seats,
            seed,
            path: Arc::clone(&status.path),
            board: board.clone(),
            arbiters: arbiters.clone(),
            // Nothing follows the end of the root.
            on_escalation: if is_root { StopSignal::Drain } else { StopSignal::Restart },
        });
        Seat {
            status,
            restart: Restart::Permanent,
            grace,
            heartbeat: SUPERVISOR_HEARTBEAT,
            is_judged: false,
            placement: Placement::Control,
            start: Arc::new(move |lease| supervise(Arc::clone(&plan), lease).boxed_local()),
        }
    }
}

/// Where a member hangs.
pub(super) struct Above {
    parent: Arc<str>,
    prefix: String,
}

impl Above {
    fn path_of(&self, name: &str) -> Arc<str> {
        format!("{}{name}", self.prefix).into()
    }
}

fn plant_child(child: ChildSpec, above: &Above, board: &Board) -> Seat {
    let path = above.path_of(&child.name);
    let status = board.add(path, Some(Arc::clone(&above.parent)), child.critical, child.ports);
    Seat {
        status,
        restart: child.restart,
        grace: child.grace,
        heartbeat: child.heartbeat,
        is_judged: !child.heartbeat.is_zero(),
        placement: child.placement,
        start: child.start,
    }
}
