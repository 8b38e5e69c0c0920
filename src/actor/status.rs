//! What the tree shows of itself: atomics that can be read while a child hangs.

use super::{
    ExitReason, Pulse,
    arbiters::ZombieGauge,
    histogram::{Histogram, Quantiles},
    port::{PortGauge, PortSnapshot},
    suspects::Suspects,
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
    /// Hung; it is being ended.
    Hung = 6,
}

impl ChildState {
    const ALL: [ChildState; 7] = [
        ChildState::Stopped,
        ChildState::Running,
        ChildState::Stopping,
        ChildState::Restarting,
        ChildState::BackingOff,
        ChildState::Failed,
        ChildState::Hung,
    ];

    pub const fn name(self) -> &'static str {
        match self {
            ChildState::Stopped => "stopped",
            ChildState::Running => "running",
            ChildState::Stopping => "stopping",
            ChildState::Restarting => "restarting",
            ChildState::BackingOff => "backing off",
            ChildState::Failed => "failed",
            ChildState::Hung => "hung",
        }
    }
}

/// How often the incarnations of a child ended in which way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Exits {
    pub normal: u64,
    pub errors: u64,
    pub panics: u64,
    pub hangs: u64,
    /// It blocked its thread.
    pub blocked: u64,
    /// Another child blocked its thread.
    pub displaced: u64,
    pub aborted: u64,
}

impl Exits {
    fn count(&mut self, reason: &ExitReason) {
        let counter = match reason {
            ExitReason::Normal => &mut self.normal,
            ExitReason::Error(_) | ExitReason::Escalated(_) => &mut self.errors,
            ExitReason::Panic(_) => &mut self.panics,
            ExitReason::Hung(_) => &mut self.hangs,
            ExitReason::Blocked(_) => &mut self.blocked,
            ExitReason::Displaced(_) => &mut self.displaced,
            ExitReason::Aborted => &mut self.aborted,
        };
        *counter += 1;
    }
}

/// One child's state over all its incarnations.
#[derive(Debug)]
pub(super) struct ChildStatus {
    /// Names from the root's child down: `feeds/nse`.
    pub path: Arc<str>,
    pub parent: Option<Arc<str>>,
    /// Its number in the tree, from 1.
    pub number: u64,
    pub critical: bool,
    /// The fence: a lease of another incarnation does not count. 0 while none does.
    pub current: Arc<AtomicU64>,
    pub handling: Arc<Histogram>,
    pub suspects: Arc<Suspects>,
    ports: Vec<PortGauge>,
    state: AtomicU8,
    incarnation: AtomicU64,
    noted: Mutex<Noted>,
}

#[derive(Debug, Default)]
struct Noted {
    last_exit: Option<ExitReason>,
    exits: Exits,
    pulse: Option<Pulse>,
}

impl ChildStatus {
    /// Begins an incarnation and fences every earlier one.
    pub fn begin(&self, pulse: Pulse) -> u64 {
        let incarnation = self.incarnation.load(Ordering::Relaxed) + 1;
        self.incarnation.store(incarnation, Ordering::Relaxed);
        self.current.store(incarnation, Ordering::Release);
        self.noted().pulse = Some(pulse);
        self.set_state(ChildState::Running);
        incarnation
    }

    /// From now on nothing that was started for this child counts.
    pub fn fence(&self) {
        self.current.store(0, Ordering::Release);
    }

    pub fn set_state(&self, state: ChildState) {
        self.state.store(state as u8, Ordering::Relaxed);
    }

    pub fn note_exit(&self, reason: &ExitReason) {
        let mut noted = self.noted();
        noted.exits.count(reason);
        noted.last_exit = Some(reason.clone());
    }

    pub fn has_ports(&self) -> bool {
        !self.ports.is_empty()
    }

    fn noted(&self) -> MutexGuard<'_, Noted> {
        self.noted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn row(&self) -> ChildRow {
        let (last_exit, exits, pulse) = {
            let noted = self.noted();
            (noted.last_exit.clone(), noted.exits, noted.pulse.clone())
        };
        let state = usize::from(self.state.load(Ordering::Relaxed)).min(ChildState::ALL.len() - 1);
        let incarnation = self.incarnation.load(Ordering::Relaxed);
        ChildRow {
            path: Arc::clone(&self.path),
            parent: self.parent.clone(),
            critical: self.critical,
            state: ChildState::ALL[state],
            incarnation,
            restarts: incarnation.saturating_sub(1),
            last_exit,
            exits,
            ports: self.ports.iter().map(|gauge| gauge.snapshot()).collect(),
            progress_age: pulse.as_ref().map(Pulse::progress_age),
            sign_age: pulse.as_ref().map(Pulse::sign_age),
            turn_age: pulse.as_ref().map(Pulse::turn_age),
            is_waiting: pulse.is_some_and(|pulse| pulse.is_waiting()),
            handling: self.handling.quantiles(),
            set_aside: self.suspects.set_aside(),
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
    pub exits: Exits,
    pub ports: Vec<PortSnapshot>,
    /// Since the child last did a piece of work.
    pub progress_age: Option<Duration>,
    /// Since the child last showed that it lives, working or waiting.
    pub sign_age: Option<Duration>,
    /// Since the child's thread last turned.
    pub turn_age: Option<Duration>,
    /// It waits for somebody else, such as a full port.
    pub is_waiting: bool,
    /// Time in the handler, over all incarnations: from a batch's taking to its end for a child with ports, else one
    /// turn of its task. `None` before the first.
    pub handling: Option<Quantiles>,
    /// Items set aside because they killed two incarnations.
    pub set_aside: u64,
}

/// The whole tree at one moment: parents before children, siblings in start order.
#[derive(Clone, Debug, Default)]
pub struct TreeSnapshot {
    pub rows: Vec<ChildRow>,
    /// Threads that were given up and have not come back.
    pub zombies: u64,
    /// Threads that were ever given up.
    pub zombies_total: u64,
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
    pub zombies: Arc<ZombieGauge>,
}

impl Board {
    /// Gives a child its place.
    pub fn add(
        &self,
        path: Arc<str>,
        parent: Option<Arc<str>>,
        critical: bool,
        ports: Vec<PortGauge>,
    ) -> Arc<ChildStatus> {
        let mut children = self.children();
        let status = Arc::new(ChildStatus {
            path,
            parent,
            number: children.len() as u64 + 1,
            critical,
            current: Arc::default(),
            handling: Arc::default(),
            suspects: Arc::default(),
            ports,
            state: AtomicU8::new(ChildState::Stopped as u8),
            incarnation: AtomicU64::new(0),
            noted: Mutex::default(),
        });
        children.push(Arc::clone(&status));
        status
    }

    /// The path of the child with this number.
    pub fn path_of(&self, number: u64) -> Option<Arc<str>> {
        let index = usize::try_from(number.checked_sub(1)?).ok()?;
        self.children().get(index).map(|child| Arc::clone(&child.path))
    }

    pub fn snapshot(&self) -> TreeSnapshot {
        let children = self.children().clone();
        TreeSnapshot {
            rows: children.iter().map(|child| child.row()).collect(),
            zombies: self.zombies.alive(),
            zombies_total: self.zombies.total(),
        }
    }

    fn children(&self) -> MutexGuard<'_, Vec<Arc<ChildStatus>>> {
        self.children.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
