//! What the tree shows of itself: atomics that can be read while a child hangs.

use super::{
    ExitReason, Pulse,
    port::{PortGauge, PortSnapshot},
};
use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU8, AtomicU64, Ordering},
    },
    time::Duration,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum ChildState {
    /// Not started, or ended and not to be started again.
    Stopped = 0,
    Running = 1,
    /// Asked to stop.
    Stopping = 2,
    /// Stopped with an elder sibling, to be started after it.
    Restarting = 3,
    /// Failed; waits for its next start.
    BackingOff = 4,
    /// Failed for good.
    Failed = 5,
}

impl ChildState {
    const ALL: [ChildState; 6] = [
        ChildState::Stopped,
        ChildState::Running,
        ChildState::Stopping,
        ChildState::Restarting,
        ChildState::BackingOff,
        ChildState::Failed,
    ];

    pub const fn name(self) -> &'static str {
        match self {
            ChildState::Stopped => "stopped",
            ChildState::Running => "running",
            ChildState::Stopping => "stopping",
            ChildState::Restarting => "restarting",
            ChildState::BackingOff => "backing off",
            ChildState::Failed => "failed",
        }
    }
}

/// One child's state over all its incarnations.
#[derive(Debug)]
pub(super) struct ChildStatus {
    /// Names from the root's child down: `feeds/nse`.
    pub path: Arc<str>,
    pub parent: Option<Arc<str>>,
    pub critical: bool,
    /// Also the fence: a lease of another incarnation does not count.
    pub incarnation: Arc<AtomicU64>,
    ports: Vec<PortGauge>,
    state: AtomicU8,
    restarts: AtomicU64,
    noted: Mutex<Noted>,
}

#[derive(Debug, Default)]
struct Noted {
    last_exit: Option<ExitReason>,
    pulse: Option<Pulse>,
}

impl ChildStatus {
    pub fn new(
        path: Arc<str>,
        parent: Option<Arc<str>>,
        critical: bool,
        ports: Vec<PortGauge>,
    ) -> ChildStatus {
        ChildStatus {
            path,
            parent,
            critical,
            incarnation: Arc::default(),
            ports,
            state: AtomicU8::new(ChildState::Stopped as u8),
            restarts: AtomicU64::new(0),
            noted: Mutex::default(),
        }
    }

    /// Begins an incarnation and fences every earlier one.
    pub fn begin(&self, pulse: Pulse) -> u64 {
        let incarnation = self.incarnation.fetch_add(1, Ordering::AcqRel) + 1;
        self.restarts.store(incarnation - 1, Ordering::Relaxed);
        self.noted().pulse = Some(pulse);
        self.set_state(ChildState::Running);
        incarnation
    }

    /// Fences the running incarnation, which does not end.
    pub fn fence(&self) {
        self.incarnation.fetch_add(1, Ordering::AcqRel);
    }

    pub fn set_state(&self, state: ChildState) {
        self.state.store(state as u8, Ordering::Relaxed);
    }

    pub fn note_exit(&self, reason: &ExitReason) {
        self.noted().last_exit = Some(reason.clone());
    }

    fn noted(&self) -> MutexGuard<'_, Noted> {
        self.noted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn row(&self) -> ChildRow {
        let (last_exit, pulse) = {
            let noted = self.noted();
            (noted.last_exit.clone(), noted.pulse.clone())
        };
        let state = usize::from(self.state.load(Ordering::Relaxed)).min(ChildState::ALL.len() - 1);
        ChildRow {
            path: Arc::clone(&self.path),
            parent: self.parent.clone(),
            critical: self.critical,
            state: ChildState::ALL[state],
            incarnation: self.incarnation.load(Ordering::Relaxed),
            restarts: self.restarts.load(Ordering::Relaxed),
            last_exit,
            ports: self.ports.iter().map(|gauge| gauge.snapshot()).collect(),
            progress_age: pulse.as_ref().map(Pulse::progress_age),
            turn_age: pulse.as_ref().map(Pulse::turn_age),
            is_waiting: pulse.is_some_and(|pulse| pulse.is_waiting()),
        }
    }
}

/// One child (or supervisor) at one moment.
#[derive(Clone, Debug)]
pub struct ChildRow {
    /// Names from the root's child down: `feeds/nse`; the root itself has its own name.
    pub path: Arc<str>,
    pub parent: Option<Arc<str>>,
    pub critical: bool,
    pub state: ChildState,
    /// 0 before the first start.
    pub incarnation: u64,
    pub restarts: u64,
    pub last_exit: Option<ExitReason>,
    pub ports: Vec<PortSnapshot>,
    /// Since the child last did a piece of work.
    pub progress_age: Option<Duration>,
    /// Since the child's thread last turned.
    pub turn_age: Option<Duration>,
    /// It waits for somebody else, such as a full port.
    pub is_waiting: bool,
}

/// The whole tree at one moment: parents before children, siblings in start order.
#[derive(Clone, Debug, Default)]
pub struct TreeSnapshot {
    pub rows: Vec<ChildRow>,
}

impl TreeSnapshot {
    pub fn row(&self, path: &str) -> Option<&ChildRow> {
        self.rows.iter().find(|row| &*row.path == path)
    }
}

/// Every child of a tree, filled when the tree is planted.
#[derive(Clone, Debug, Default)]
pub(super) struct Board {
    children: Arc<Mutex<Vec<Arc<ChildStatus>>>>,
}

impl Board {
    pub fn add(&self, status: Arc<ChildStatus>) {
        self.children.lock().unwrap_or_else(PoisonError::into_inner).push(status);
    }

    pub fn snapshot(&self) -> TreeSnapshot {
        let children = self.children.lock().unwrap_or_else(PoisonError::into_inner).clone();
        TreeSnapshot { rows: children.iter().map(|child| child.row()).collect() }
    }
}
