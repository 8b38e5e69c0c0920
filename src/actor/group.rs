//! A supervisor at work: starts children in order, restarts those that fail or hang, stops them in reverse order.
//!
//! Invariants: children are launched in the order of the spec, also after a rest-for-one stop, and none waits for an
//! elder to be up; each is asked to stop only after its younger siblings have ended; a child's restart waits
//! for its backoff and for the end of what is stopped for it; a supervisor ends only after its children; what was
//! given up is fenced before anything takes its place.
//!
//! A hung child whose thread turns is aborted. A child whose thread does not turn cannot be: its thread is given up as a
//! zombie, and everybody who lived there is started again on a new one. Those who only lost their thread to a neighbour
//! are not counted against their supervisor's budget, nor are deaths that condemned an item (`intensity.rs`).

use super::{
    Backoff, ChildError, ExitReason, Intensity, Lease, Restart, StopSignal, Strategy, SupervisorError,
    arbiters::Arbiters,
    backoff::FailureRun,
    incarnation::{Incarnation, Seat},
    intensity::{Death, RestartWindow},
    judgement::{Judgement, judge},
    report,
    status::{Board, ChildState},
    suspects::{InHand, Verdict},
    thread_pulse::Offender,
};
use futures_util::FutureExt;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use std::{future::poll_fn, sync::Arc, task::Poll, time::Duration};
use tokio::time::{Instant, sleep_until, timeout_at};

#[cfg(test)]
mod tests;

/// How long an aborted child may take to be gone when it was asked to stop. Longer means that its thread is blocked.
pub(super) const ABORT_WAIT: Duration = Duration::from_secs(1);
/// The same for a child that hung, which somebody waits for.
const HUNG_ABORT_WAIT: Duration = Duration::from_millis(50);
/// A supervisor that wakes up this much too late knows nothing of its children: the whole process may have stood still.
/// Nobody is judged then, whether it runs or is being ended: each has its time once more.
const LATE: Duration = Duration::from_millis(250);

/// What one supervisor works from, the same for all its incarnations.
pub(super) struct Plan {
    pub path: Arc<str>,
    pub strategy: Strategy,
    pub intensity: Intensity,
    pub backoff: Backoff,
    pub seats: Vec<Seat>,
    pub seed: u64,
    pub board: Board,
    pub arbiters: Arbiters,
    pub on_escalation: StopSignal,
}

pub(super) async fn supervise(plan: Arc<Plan>, lease: Lease) -> Result<(), ChildError> {
    let mut group = Group::new(&plan, lease.incarnation());
    group.start_all();
    loop {
        if group.is_finished() {
            return Ok(());
        }
        lease.pulse().progress();
        let wake = group.next_wake();
        tokio::select! {
            biased;
            signal = lease.stopping() => {
                group.stop_from(0, signal).await;
                return Ok(());
            }
            (index, exited) = group.next_exit() => group.note_exit(index, exited).await?,
            () = sleep_until(wake) => {
                group.look(wake).await?;
                group.start_due();
            }
        }
    }
}

/// Where one child stands.
enum Post {
    Running {
        incarnation: Incarnation,
        look_at: Instant,
    },
    /// Aborted for a reason of its own; until the instant its thread may take to end it.
    Ending {
        incarnation: Incarnation,
        reason: ExitReason,
        until: Instant,
    },
    /// To be started at the instant.
    Due(Instant),
    /// Ended, and not to be started again.
    Finished,
}

/// How an incarnation ended.
struct Exited {
    reason: ExitReason,
    number: u64,
    /// How long it had lived.
    lived: Duration,
    in_hand: Option<InHand>,
}

impl Exited {
    fn new(incarnation: &Incarnation, reason: ExitReason) -> Exited {
        Exited {
            reason,
            number: incarnation.number,
            lived: incarnation.started.elapsed(),
            in_hand: incarnation.pulse.in_hand(),
        }
    }
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
        let seat = &self.plan.seats[index];
        let incarnation = Incarnation::launch(seat, &self.plan.arbiters);
        report::started(&self.plan.path, &seat.status.path, incarnation.number);
        let look_at = Instant::now() + seat.heartbeat;
        self.posts[index] = Post::Running { incarnation, look_at };
    }

    fn start_due(&mut self) {
        let now = Instant::now();
        for index in 0..self.posts.len() {
            if matches!(self.posts[index], Post::Due(instant) if instant <= now) {
                self.start(index);
            }
        }
    }

    /// When something is to be done if nobody ends before.
    fn next_wake(&self) -> Instant {
        const LONGEST: Duration = Duration::from_secs(60);
        let wakes = self.posts.iter().filter_map(|post| match post {
            Post::Running { look_at, .. } => Some(*look_at),
            Post::Ending { until, .. } => Some(*until),
            Post::Due(instant) => Some(*instant),
            Post::Finished => None,
        });
        wakes.min().unwrap_or_else(|| Instant::now() + LONGEST)
    }

    fn is_finished(&self) -> bool {
        self.posts.iter().all(|post| matches!(post, Post::Finished))
    }

    /// The next child that ends.
    async fn next_exit(&mut self) -> (usize, Exited) {
        poll_fn(|context| {
            for (index, post) in self.posts.iter_mut().enumerate() {
                let (incarnation, planned) = match post {
                    Post::Running { incarnation, .. } => (incarnation, None),
                    Post::Ending { incarnation, reason, .. } => (incarnation, Some(reason.clone())),
                    Post::Due(_) | Post::Finished => continue,
                };
                if let Poll::Ready(reason) = incarnation.poll_unpin(context) {
                    let mut exited = Exited::new(incarnation, planned.unwrap_or(reason));
                    if exited.reason == ExitReason::Aborted
                        && let Some(reason) = displacement(&self.plan.seats[index], incarnation)
                    {
                        exited.reason = reason;
                    }
                    *post = Post::Finished;
                    return Poll::Ready((index, exited));
                }
            }
            Poll::Pending
        })
        .await
    }

    /// Looks at every child whose time it is. `planned` is when this was meant to be.
    async fn look(&mut self, planned: Instant) -> Result<(), SupervisorError> {
        let now = Instant::now();
        let is_late = now.duration_since(planned) > LATE;
        self.plan.arbiters.count_zombies();
        for index in 0..self.posts.len() {
            let seat = &self.plan.seats[index];
            let is_overdue = match &mut self.posts[index] {
                Post::Running { look_at, .. } if is_late => {
                    *look_at = now + seat.heartbeat;
                    continue;
                }
                Post::Ending { until, .. } if is_late => {
                    *until = now + HUNG_ABORT_WAIT;
                    continue;
                }
                Post::Running { look_at, .. } => *look_at <= now,
                Post::Ending { until, .. } => *until <= now,
                Post::Due(_) | Post::Finished => false,
            };
            let Some((exited, is_bearable)) = (if is_overdue { self.look_at(index) } else { None }) else {
                continue;
            };
            if is_bearable {
                self.note_exit(index, exited).await?;
            } else {
                let (reason, _) = self.note_end(index, &exited);
                let (max, child) = (self.plan.arbiters.zombies_max(), Arc::clone(&seat.status.path));
                seat.status.set_state(ChildState::Failed);
                let error = SupervisorError::TooManyZombies { max, child, reason };
                return Err(self.give_up_group(error).await);
            }
        }
        Ok(())
    }

    /// Judges one child and does what follows for the child itself; gives its end if it is given up, and whether the tree
    /// can bear one more zombie.
    fn look_at(&mut self, index: usize) -> Option<(Exited, bool)> {
        let seat = &self.plan.seats[index];
        let reason = match &mut self.posts[index] {
            Post::Due(_) | Post::Finished => return None,
            // Its thread did not end it. What it ends for stays the reason where a neighbour keeps the thread.
            Post::Ending { incarnation, reason, .. } => match neighbour_at_work(seat, incarnation) {
                Some(_) => reason.clone(),
                None => ExitReason::Blocked(incarnation.pulse.sign_age()),
            },
            Post::Running { incarnation, look_at } => {
                let is_replaceable = incarnation.place.as_ref().is_some_and(|place| place.is_replaceable());
                match judge(&incarnation.pulse, seat.is_judged, is_replaceable) {
                    Judgement::Fine { look_after } => {
                        *look_at = Instant::now() + look_after.max(Duration::from_millis(1));
                        return None;
                    }
                    Judgement::Hung { silent } => {
                        seat.status.fence();
                        seat.status.set_state(ChildState::Hung);
                        incarnation.abort();
                        let Post::Running { incarnation, .. } =
                            std::mem::replace(&mut self.posts[index], Post::Finished)
                        else {
                            return None;
                        };
                        let (reason, until) = (ExitReason::Hung(silent), Instant::now() + HUNG_ABORT_WAIT);
                        self.posts[index] = Post::Ending { incarnation, reason, until };
                        return None;
                    }
                    Judgement::Stuck { silent, polled } if polled == 0 || polled == seat.status.number => {
                        ExitReason::Blocked(silent)
                    }
                    Judgement::Stuck { silent, polled } => match self.plan.board.path_of(polled) {
                        Some(path) => ExitReason::Displaced(path),
                        None => ExitReason::Blocked(silent),
                    },
                    Judgement::Abandoned { .. } => {
                        displacement(seat, incarnation).unwrap_or(ExitReason::Aborted)
                    }
                }
            }
        };
        let post = std::mem::replace(&mut self.posts[index], Post::Finished);
        let (Post::Running { incarnation, .. } | Post::Ending { incarnation, .. }) = post else {
            return None;
        };
        let exited = Exited::new(&incarnation, reason);
        let is_bearable = self.give_up(index, &incarnation, &exited.reason);
        Some((exited, is_bearable))
    }

    /// Fences an incarnation that does not end and gives up its thread. False if there are too many zombies.
    fn give_up(&self, index: usize, incarnation: &Incarnation, reason: &ExitReason) -> bool {
        let seat = &self.plan.seats[index];
        seat.status.fence();
        incarnation.abort();
        let Some(place) = &incarnation.place else { return true };
        let neighbour = neighbour_at_work(seat, incarnation).and_then(|number| {
            let path = self.plan.board.path_of(number)?;
            Some(Offender { number, path })
        });
        let offender = match reason {
            ExitReason::Displaced(path) => {
                Some(Offender { number: place.pulse.polled(), path: Arc::clone(path) })
            }
            ExitReason::Hung(_) if neighbour.is_some() => neighbour,
            _ => Some(Offender { number: seat.status.number, path: Arc::clone(&seat.status.path) }),
        };
        let (is_new, is_bearable) =
            (!place.pulse.is_abandoned(), self.plan.arbiters.abandon(place, offender));
        if is_new {
            let zombies = self.plan.board.zombies.alive();
            report::thread_abandoned(&self.plan.path, &seat.status.path, incarnation.number, reason, zombies);
        }
        is_bearable
    }

    /// Decides what follows the end of a child. An error means that this supervisor gives up; its children are stopped.
    async fn note_exit(&mut self, index: usize, exited: Exited) -> Result<(), SupervisorError> {
        let seat = &self.plan.seats[index];
        let (reason, verdict) = self.note_end(index, &exited);
        if let ExitReason::Escalated(_) = reason {
            let (max, child) = (self.plan.arbiters.zombies_max(), Arc::clone(&seat.status.path));
            seat.status.set_state(ChildState::Failed);
            return Err(self.give_up_group(SupervisorError::TooManyZombies { max, child, reason }).await);
        }
        if !is_restarted(seat, &reason) {
            let state = if reason.has_failed() { ChildState::Failed } else { ChildState::Stopped };
            seat.status.set_state(state);
            return Ok(());
        }
        let mut delay = Duration::ZERO;
        if !matches!(reason, ExitReason::Displaced(_)) {
            let Some(afterwards) = self.count(index, &exited, verdict.as_ref()) else {
                seat.status.set_state(ChildState::Failed);
                let Intensity { max: restarts, window } = self.plan.intensity;
                let child = Arc::clone(&seat.status.path);
                let error = SupervisorError::TooManyRestarts { restarts, window, child, reason };
                return Err(self.give_up_group(error).await);
            };
            delay = afterwards;
        }
        seat.status.set_state(ChildState::BackingOff);
        let mut taken_along = Vec::new();
        if self.plan.strategy == Strategy::RestForOne {
            let is_there = |other: &usize| !matches!(self.posts[*other], Post::Finished);
            taken_along = (index + 1..self.posts.len()).filter(is_there).collect();
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

    /// Counts an end against the budget, or forgives it where it condemned an item; gives the delay before the next start,
    /// `None` if the budget is spent.
    fn count(&mut self, index: usize, exited: &Exited, verdict: Option<&Verdict>) -> Option<Duration> {
        let Plan { intensity, backoff, .. } = self.plan;
        let (now, death) = (Instant::now(), Death { child: index, incarnation: exited.number });
        let (run, lived) = (&mut self.failures[index], exited.lived);
        if let Some(Verdict { incarnations: [earlier, _], .. }) = verdict
            && self.restarts.forgive(*intensity, now, Death { incarnation: *earlier, ..death })
        {
            return Some(run.forgive(backoff, *earlier, lived, &mut self.rng));
        }
        let is_admitted = self.restarts.admit(*intensity, now, death);
        is_admitted.then(|| run.note(backoff, exited.number, lived, &mut self.rng))
    }

    /// Notes and reports an end; what was in hand is blamed where that is due.
    fn note_end(&self, index: usize, exited: &Exited) -> (ExitReason, Option<Verdict>) {
        let status = &self.plan.seats[index].status;
        let reason = exited.reason.clone();
        status.fence();
        status.note_exit(&reason);
        report::ended(&self.plan.path, &status.path, exited.number, &reason);
        let in_hand = exited.in_hand.filter(|_| reason.is_death());
        let verdict = in_hand
            .and_then(|in_hand| status.suspects.note_death(&status.path, exited.number, in_hand, &reason));
        if let Some(verdict) = &verdict {
            report::condemned(&self.plan.path, verdict);
        }
        (reason, verdict)
    }

    async fn give_up_group(&mut self, error: SupervisorError) -> SupervisorError {
        report::gave_up(&self.plan.path, &error);
        self.stop_from(0, self.plan.on_escalation).await;
        error
    }

    /// Stops the children from `first` on, the last one first.
    async fn stop_from(&mut self, first: usize, signal: StopSignal) {
        for index in (first..self.posts.len()).rev() {
            self.stop(index, signal).await;
        }
    }

    /// A child that is to drain and fails over it, or was waiting for its restart, is started for the rest of its grace:
    /// what its port holds was accepted.
    async fn stop(&mut self, index: usize, signal: StopSignal) {
        let seat = &self.plan.seats[index];
        let by = Instant::now() + seat.grace;
        if signal == StopSignal::Drain && matches!(self.posts[index], Post::Due(_)) && seat.status.has_ports()
        {
            self.start(index);
        }
        loop {
            let (Post::Running { incarnation, .. } | Post::Ending { incarnation, .. }) =
                &mut self.posts[index]
            else {
                // A child that already failed for good keeps that state.
                if matches!(self.posts[index], Post::Due(_)) {
                    seat.status.set_state(ChildState::Stopped);
                }
                self.posts[index] = Post::Finished;
                return;
            };
            seat.status.set_state(ChildState::Stopping);
            incarnation.ask_to_stop(signal);
            let reason = match end_of(incarnation, by).await {
                Some(reason) => reason,
                None => {
                    report::aborted(&self.plan.path, &seat.status.path, incarnation.number, seat.grace);
                    incarnation.abort();
                    let ended = end_of(incarnation, Instant::now() + ABORT_WAIT).await;
                    ended.unwrap_or_else(|| ExitReason::Blocked(incarnation.pulse.turn_age()))
                }
            };
            let post = std::mem::replace(&mut self.posts[index], Post::Finished);
            let (Post::Running { incarnation, .. } | Post::Ending { incarnation, .. }) = post else { return };
            let exited = Exited::new(&incarnation, reason);
            if let ExitReason::Blocked(_) = exited.reason {
                // Too many zombies change nothing any more for who is stopped.
                self.give_up(index, &incarnation, &exited.reason);
            }
            let (reason, verdict) = self.note_end(index, &exited);
            seat.status.set_state(ChildState::Stopped);
            let is_repeated = signal == StopSignal::Drain
                && seat.status.has_ports()
                && reason.has_failed()
                && is_restarted(seat, &reason)
                && Instant::now() < by
                && self.count(index, &exited, verdict.as_ref()).is_some();
            if !is_repeated {
                return;
            }
            self.start(index);
        }
    }
}

/// The end of an incarnation, waited for until the instant; who wakes up late waits a moment more.
async fn end_of(incarnation: &mut Incarnation, until: Instant) -> Option<ExitReason> {
    let mut until = until.max(Instant::now());
    loop {
        if let Ok(reason) = timeout_at(until, &mut *incarnation).await {
            return Some(reason);
        }
        let now = Instant::now();
        if now.duration_since(until) <= LATE {
            return None;
        }
        until = now + ABORT_WAIT;
    }
}

fn is_restarted(seat: &Seat, reason: &ExitReason) -> bool {
    match seat.restart {
        Restart::Permanent => true,
        Restart::Transient => reason.has_failed(),
        Restart::Temporary => false,
    }
}

/// The number of another child that keeps the incarnation's thread.
fn neighbour_at_work(seat: &Seat, incarnation: &Incarnation) -> Option<u64> {
    let polled = incarnation.place.as_ref()?.pulse.polled();
    (polled != 0 && polled != seat.status.number).then_some(polled)
}

/// Why a child went whose thread was given up; `None` if it was not.
fn displacement(seat: &Seat, incarnation: &Incarnation) -> Option<ExitReason> {
    let Judgement::Abandoned { silent, offender } = judge(&incarnation.pulse, false, false) else {
        return None;
    };
    Some(match offender {
        Some(offender) if offender.number != seat.status.number => ExitReason::Displaced(offender.path),
        _ => ExitReason::Blocked(silent),
    })
}
