//! The supervision kit: children that are restarted, queues that outlive them, one ordered way down.
//!
//! actix alone does not restart an actor that panicked, its mailboxes have no bound, and `System::run` leaves threads
//! behind. This module uses actix for what it does well (an actor is a context on a thread of its own choice) and adds
//! the rest. It is the only module that names actix, so that the framework can be replaced here.
//!
//! - A child is a [`ChildSpec`]: plain data and a start function. Each start is one incarnation with its own
//!   [`Lease`], which says when to stop, whether the incarnation still counts, and takes its [`Pulse`].
//! - A [`SupervisorSpec`] holds children and further supervisors. It starts them in order, restarts what fails after a
//!   backoff, stops them in reverse order, and gives up upward when failures come too fast. A start waits for nobody, an
//!   end does: see below.
//! - A [`Port`] is the bounded queue between children. It lies outside both, so a restart loses nothing: a batch in
//!   hand is handed again unless it was declared done.
//! - A [`Tree`] runs the root supervisor on its threads, drains it on SIGTERM, and shows its state from atomics.
//!
//! - Every child shows signs of life within its heartbeat ([`Pulse`]). One that does not is aborted and restarted; one
//!   that keeps its thread loses it, and whoever lived there moves to a new thread.
//! - An item that kills two incarnations is condemned ([`Verdict`]): the child sets it aside and goes on. Those two deaths
//!   do not count against the supervisor's [`Intensity`], within bounds.
//!
//! Order: children are launched in the order of the spec, one right after the other. None waits until an elder one is up,
//! which only the elder knows; a group's children follow when the group runs, which may be after its younger siblings.
//! Whoever needs another finds its port there from the beginning, which takes items before anybody consumes them, and
//! waits for anything else itself. Stopping is strict: the last one is asked first, and the next one is asked when it has
//! ended, or was aborted after its grace. A single restart waits for its backoff alone; with [`Strategy::RestForOne`] the
//! younger siblings are stopped first, the last one first, and launched again after it, in order.
//!
//! Invariants: every queue has a bound and a policy; nothing a fenced incarnation pushes is accepted; nothing waits
//! without an end except for a stop signal or for items; a panic ends one incarnation and nothing else.
//!
//! Left out: a control thread that blocks. Only supervisors live there; systemd's watchdog sees it from outside.
#![expect(clippy::disallowed_methods, reason = "the kit itself spawns on actix's threads")]

mod arbiters;
mod backoff;
#[cfg(feature = "chaos")]
pub mod chaos;
mod child;
mod group;
mod histogram;
mod incarnation;
mod intensity;
mod judgement;
mod keep;
mod lease;
mod panic;
mod port;
mod pulse;
mod report;
mod status;
mod supervisor;
mod suspects;
#[cfg(test)]
mod tests;
mod thread_pulse;
mod tree;
mod work;

pub use backoff::Backoff;
pub use child::{ChildError, ChildSpec, ExitReason, Placement, Restart};
pub use histogram::Quantiles;
pub use intensity::{Intensity, VERDICTS_FORGIVEN_MAX};
pub use keep::Keep;
pub use lease::{Lease, StopSignal};
pub use panic::install_panic_hook;
pub use port::{
    Batch, Claim, Consumer, Permit, Policy, Port, PortGauge, PortSnapshot, Producer, Refusal, Refused,
};
pub use pulse::{Excused, Pulse, Waiting};
pub use status::{ChildRow, ChildState, Exits, TreeSnapshot};
pub use supervisor::{Strategy, SupervisorError, SupervisorSpec};
pub use suspects::Verdict;
pub use tree::{Tree, TreeEnd, TreeError, TreeExit, TreeOptions};
