//! A supervisor: starts children in order, restarts those that fail, stops them in reverse order.
//!
//! It is itself a child of the supervisor above, an actix actor on the control thread, whose work is [`supervise`].
//! Giving up is therefore an error exit like any other: the supervisor above restarts the whole group, or gives up too.
//!
//! Invariants: children are started in the order of the spec, also after a rest-for-one stop; a child's restart waits
//! for its backoff and for the end of what is stopped for it; a supervisor ends only after its children.

use super::{
    Backoff, ChildError, ChildSpec, ExitReason, Intensity, Lease, Placement, Restart, StopSignal,
    arbiters::Arbiters,
    backoff::FailureRun,
    incarnation::{Incarnation, Seat},
    intensity::RestartWindow,
    status::{Board, ChildState, ChildStatus},
};
use futures_util::FutureExt;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use std::{future::poll_fn, sync::Arc, task::Poll, time::Duration};
use tokio::time::{Instant, sleep_until, timeout};

/// How long an aborted child may take to be gone. Longer means that its thread is blocked.
const ABORT_WAIT: Duration = Duration::from_secs(1);

/// Whom a failing child takes along.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Strategy {
    /// Nobody.
    #[default]
    OneForOne,
    /// The siblings after it in the spec: they depend on it.
    RestForOne,
}

/// The group cannot be kept running. The supervisor above restarts it; at the root the tree ends.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("gave up after {restarts} restarts within {window:?}; last, {child} {reason}")]
pub struct SupervisorError {
    pub restarts: usize,
    pub window: Duration,
    pub child: Arc<str>,
    pub reason: ExitReason,
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
        let status = Arc::new(ChildStatus::new(Arc::clone(&path), parent, false, Vec::new()));
        board.add(Arc::clone(&status));
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
            arbiters: arbiters.clone(),
            // Nothing follows the end of the root.
            on_escalation: if is_root { StopSignal::Drain } else { StopSignal::Restart },
        });
        Seat {
            status,
            restart: Restart::Permanent,
            grace,
            heartbeat: Duration::from_secs(1),
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
    let status = ChildStatus::new(path, Some(Arc::clone(&above.parent)), child.critical, child.ports);
    let status = Arc::new(status);
    board.add(Arc::clone(&status));
    Seat {
        status,
        restart: child.restart,
        grace: child.grace,
        heartbeat: child.heartbeat,
        placement: child.placement,
        start: child.start,
    }
}

/// What one supervisor works from, the same for all its incarnations.
struct Plan {
    strategy: Strategy,
    intensity: Intensity,
    backoff: Backoff,
    seats: Vec<Seat>,
    seed: u64,
    arbiters: Arbiters,
    on_escalation: StopSignal,
}

async fn supervise(plan: Arc<Plan>, lease: Lease) -> Result<(), ChildError> {
    let mut group = Group::new(&plan, lease.incarnation());
    group.start_all();
    loop {
        if group.is_finished() {
            return Ok(());
        }
        lease.pulse().progress();
        let next_start = group.next_start();
        tokio::select! {
            biased;
            signal = lease.stopping() => {
                group.stop_from(0, signal).await;
                return Ok(());
            }
            (index, reason) = group.next_exit() => group.note_exit(index, reason).await?,
            () = sleep_until_some(next_start) => group.start_due(),
        }
    }
}

async fn sleep_until_some(instant: Option<Instant>) {
    match instant {
        Some(instant) => sleep_until(instant).await,
        None => std::future::pending().await,
    }
}

/// Where one child stands.
enum Post {
    Running(Incarnation),
    /// To be started at the instant.
    Due(Instant),
    /// Ended, and not to be started again.
    Finished,
}

/// A supervisor's children at work.
struct Group<'a> {
    plan: &'a Plan,
    posts: Vec<Post>,
    failures: Vec<FailureRun>,
    restarts: RestartWindow,
    rng: ChaCha8Rng,
}

impl<'a> Group<'a> {
    fn new(plan: &'a Plan, incarnation: u64) -> Group<'a> {
        Group {
            plan,
            posts: plan.seats.iter().map(|_| Post::Finished).collect(),
            failures: vec![FailureRun::default(); plan.seats.len()],
            restarts: RestartWindow::default(),
            rng: ChaCha8Rng::seed_from_u64(plan.seed ^ incarnation.rotate_left(32)),
        }
    }

    fn start_all(&mut self) {
        for index in 0..self.posts.len() {
            self.start(index);
        }
    }

    fn start(&mut self, index: usize) {
        self.posts[index] = Post::Running(Incarnation::launch(&self.plan.seats[index], &self.plan.arbiters));
    }

    fn start_due(&mut self) {
        let now = Instant::now();
        for index in 0..self.posts.len() {
            if matches!(self.posts[index], Post::Due(instant) if instant <= now) {
                self.start(index);
            }
        }
    }

    fn next_start(&self) -> Option<Instant> {
        let due = self.posts.iter().filter_map(|post| match post {
            Post::Due(instant) => Some(*instant),
            Post::Running(_) | Post::Finished => None,
        });
        due.min()
    }

    fn is_finished(&self) -> bool {
        self.posts.iter().all(|post| matches!(post, Post::Finished))
    }

    /// The next child that ends by itself.
    async fn next_exit(&mut self) -> (usize, Exited) {
        poll_fn(|context| {
            for (index, post) in self.posts.iter_mut().enumerate() {
                if let Post::Running(incarnation) = post
                    && let Poll::Ready(reason) = incarnation.poll_unpin(context)
                {
                    let lived = incarnation.started.elapsed();
                    *post = Post::Finished;
                    return Poll::Ready((index, Exited { reason, lived }));
                }
            }
            Poll::Pending
        })
        .await
    }

    /// Decides what follows the end of a child. An error means that this supervisor gives up; its children are stopped.
    async fn note_exit(&mut self, index: usize, exited: Exited) -> Result<(), SupervisorError> {
        let seat = &self.plan.seats[index];
        let Exited { reason, lived } = exited;
        seat.status.note_exit(&reason);
        let has_failed = reason != ExitReason::Normal;
        if has_failed {
            log::warn!(child = seat.status.path, reason:% = reason; "child failed");
        }
        let is_restarted = match seat.restart {
            Restart::Permanent => true,
            Restart::Transient => has_failed,
            Restart::Temporary => false,
        };
        if !is_restarted {
            seat.status.set_state(if has_failed { ChildState::Failed } else { ChildState::Stopped });
            return Ok(());
        }
        if !self.restarts.admit(self.plan.intensity, Instant::now()) {
            seat.status.set_state(ChildState::Failed);
            let Intensity { max: restarts, window } = self.plan.intensity;
            let error = SupervisorError { restarts, window, child: Arc::clone(&seat.status.path), reason };
            self.stop_from(0, self.plan.on_escalation).await;
            return Err(error);
        }
        seat.status.set_state(ChildState::BackingOff);
        let delay = self.failures[index].note(&self.plan.backoff, lived, &mut self.rng);
        let mut taken_along = Vec::new();
        if self.plan.strategy == Strategy::RestForOne {
            taken_along =
                (index + 1..self.posts.len()).filter(|other| !self.is_finished_post(*other)).collect();
            self.stop_from(index + 1, StopSignal::Restart).await;
        }
        let due = Instant::now() + delay;
        self.posts[index] = Post::Due(due);
        for other in taken_along {
            self.posts[other] = Post::Due(due);
            self.plan.seats[other].status.set_state(ChildState::Restarting);
        }
        Ok(())
    }

    fn is_finished_post(&self, index: usize) -> bool {
        matches!(self.posts[index], Post::Finished)
    }

    /// Stops the children from `first` on, the last one first.
    async fn stop_from(&mut self, first: usize, signal: StopSignal) {
        for index in (first..self.posts.len()).rev() {
            self.stop(index, signal).await;
        }
    }

    /// A child that waits for its restart is not started for it: what its port holds stays there.
    async fn stop(&mut self, index: usize, signal: StopSignal) {
        let seat = &self.plan.seats[index];
        // A child that already failed for good keeps that state.
        let Post::Running(incarnation) = &mut self.posts[index] else {
            if matches!(self.posts[index], Post::Due(_)) {
                seat.status.set_state(ChildState::Stopped);
            }
            self.posts[index] = Post::Finished;
            return;
        };
        seat.status.set_state(ChildState::Stopping);
        incarnation.ask_to_stop(signal);
        let reason = match timeout(seat.grace, &mut *incarnation).await {
            Ok(reason) => reason,
            Err(_) => {
                log::warn!(child = seat.status.path, grace:? = seat.grace; "child did not stop, aborting it");
                incarnation.abort();
                timeout(ABORT_WAIT, &mut *incarnation).await.unwrap_or_else(|_| {
                    log::error!(child = seat.status.path; "child does not end, giving up its thread");
                    seat.status.fence();
                    self.plan.arbiters.abandon(seat.placement, &seat.status.path);
                    ExitReason::Aborted
                })
            }
        };
        seat.status.note_exit(&reason);
        seat.status.set_state(ChildState::Stopped);
        self.posts[index] = Post::Finished;
    }
}

/// How a child ended, and after how long.
struct Exited {
    reason: ExitReason,
    lived: Duration,
}
