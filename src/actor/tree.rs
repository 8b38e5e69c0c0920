//! The whole tree: its threads, its way down, its end.

use super::{
    ExitReason, StopSignal, SupervisorSpec, TreeSnapshot,
    arbiters::Arbiters,
    incarnation::Incarnation,
    status::{Board, ChildState},
};
use std::{future::pending, io, sync::Arc, time::Duration};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::watch,
    time::{Instant, sleep_until, timeout},
};

/// How long aborted children and their threads may take to be gone.
const ABORT_WAIT: Duration = Duration::from_secs(2);

#[derive(Clone, Copy, Debug)]
pub struct TreeOptions {
    /// Makes the jitter of restarts.
    pub seed: u64,
    /// From SIGTERM or Ctrl-C to the abort of whatever is left.
    pub drain_within: Duration,
    /// Whether SIGTERM and SIGINT start the drain; a second one aborts.
    pub follow_signals: bool,
    /// Threads that may be given up and not come back; one more ends the tree.
    pub zombies_max: usize,
}

impl Default for TreeOptions {
    fn default() -> TreeOptions {
        TreeOptions { seed: 0, drain_within: Duration::from_secs(30), follow_signals: true, zombies_max: 4 }
    }
}

/// The tree could not begin. The program ends.
#[derive(Debug, thiserror::Error)]
pub enum TreeError {
    #[error("cannot listen for {name}: {error}; is the number of open files at its limit?")]
    Signal { name: &'static str, error: io::Error },
}

/// Why a tree ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TreeEnd {
    /// Asked to, and everything stopped in order.
    Drained,
    /// Asked to, but something did not stop in time and was aborted.
    DrainTimedOut,
    /// Asked to end at once.
    Aborted,
    /// Every child had ended for good.
    Finished,
    /// The root gave up. Everything was stopped in order.
    Escalated(String),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TreeExit {
    pub end: TreeEnd,
    /// Threads that did not come back from their child and end with the process.
    pub threads_left: usize,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Order {
    #[default]
    Run,
    Drain {
        by: Instant,
    },
    Abort,
}

/// The handle of a tree: made first, given to whoever shows or stops the tree, run once. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Tree {
    board: Board,
    orders: Arc<watch::Sender<Order>>,
}

impl Tree {
    pub fn new() -> Tree {
        Tree::default()
    }

    /// Every child at this moment; empty before [`Tree::run`]. Never waits for a child.
    pub fn snapshot(&self) -> TreeSnapshot {
        self.board.snapshot()
    }

    /// Asks the tree to stop: children in reverse order, each draining what its ports hold; whatever is left after
    /// `within` is aborted. Returns at once; [`Tree::run`] returns at the end. A later call cannot extend the time.
    pub fn drain(&self, within: Duration) {
        let by = Instant::now() + within;
        self.orders.send_if_modified(|order| match *order {
            Order::Abort => false,
            Order::Drain { by: earlier } if earlier <= by => false,
            Order::Run | Order::Drain { .. } => {
                *order = Order::Drain { by };
                true
            }
        });
    }

    /// Asks the tree to end without draining.
    pub fn abort(&self) {
        self.orders.send_replace(Order::Abort);
    }

    /// Runs `root` on this thread and on those its children are placed on, and returns when all of it has ended.
    pub fn run(&self, root: SupervisorSpec, options: TreeOptions) -> Result<TreeExit, TreeError> {
        let system = actix::System::new();
        let arbiters = Arbiters::threads(Arc::clone(&self.board.zombies), options.zombies_max);
        let exit = system.block_on(self.drive(root, options, arbiters));
        actix::System::current().stop();
        exit
    }

    /// As [`Tree::run`], inside an actix system.
    pub(super) async fn drive(
        &self,
        root: SupervisorSpec,
        options: TreeOptions,
        arbiters: Arbiters,
    ) -> Result<TreeExit, TreeError> {
        let mut signals = if options.follow_signals { Some(Signals::listen()?) } else { None };
        let mut orders = self.orders.subscribe();
        let seat = root.plant(None, options.seed, &self.board, &arbiters);
        let mut incarnation = Incarnation::launch(&seat, &arbiters);
        let mut order = *orders.borrow_and_update();
        let mut is_draining = false;
        let end = loop {
            let by = match order {
                Order::Run => None,
                Order::Drain { by } => {
                    if !is_draining {
                        is_draining = true;
                        seat.status.set_state(ChildState::Stopping);
                        incarnation.ask_to_stop(StopSignal::Drain);
                    }
                    Some(by)
                }
                Order::Abort => break None,
            };
            tokio::select! {
                biased;
                reason = &mut incarnation => break Some(reason),
                () = deadline(by) => break None,
                changed = orders.changed() => {
                    changed.expect("the tree holds the sender");
                    order = *orders.borrow_and_update();
                }
                name = next_signal(&mut signals) => {
                    if is_draining {
                        log::warn!(signal = name; "second signal: aborting");
                        self.abort();
                    } else {
                        log::info!(signal = name; "draining");
                        self.drain(options.drain_within);
                    }
                }
            }
        };
        if end.is_none() {
            incarnation.abort();
            // Its children are aborted as it is dropped; they end on their own threads.
            let _ = timeout(ABORT_WAIT, &mut incarnation).await;
        }
        let is_aborted = *self.orders.borrow() == Order::Abort;
        let end = match end {
            Some(ExitReason::Normal) if is_draining => TreeEnd::Drained,
            Some(ExitReason::Normal) => TreeEnd::Finished,
            Some(ExitReason::Aborted) => TreeEnd::Aborted,
            Some(ExitReason::Error(text) | ExitReason::Panic(text) | ExitReason::Escalated(text)) => {
                TreeEnd::Escalated(text)
            }
            // Supervisors are not judged, so these do not come.
            Some(reason) => TreeEnd::Escalated(reason.to_string()),
            None if is_aborted => TreeEnd::Aborted,
            None => TreeEnd::DrainTimedOut,
        };
        let is_failed = matches!(end, TreeEnd::Escalated(_));
        seat.status.set_state(if is_failed { ChildState::Failed } else { ChildState::Stopped });
        let threads_left = arbiters.join(ABORT_WAIT).await;
        Ok(TreeExit { end, threads_left })
    }
}

async fn deadline(by: Option<Instant>) {
    match by {
        Some(by) => sleep_until(by).await,
        None => pending().await,
    }
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn listen() -> Result<Signals, TreeError> {
        let listen = |kind, name| signal(kind).map_err(|error| TreeError::Signal { name, error });
        Ok(Signals {
            terminate: listen(SignalKind::terminate(), "SIGTERM")?,
            interrupt: listen(SignalKind::interrupt(), "SIGINT")?,
        })
    }
}

async fn next_signal(signals: &mut Option<Signals>) -> &'static str {
    let Some(signals) = signals else { return pending().await };
    tokio::select! {
        _ = signals.terminate.recv() => "SIGTERM",
        _ = signals.interrupt.recv() => "SIGINT",
    }
}
