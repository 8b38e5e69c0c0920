//! Faults on a schedule, in every child, for tests of the whole daemon: compiled in only with the feature `chaos`.
//!
//! A fault happens in the child's own task, before its work is polled: it panics, errs, is never polled again, or keeps
//! its thread until that is found out, and for a while longer. A fault whose time comes while its child is down happens as
//! soon as the child is started again, so that some children die at their start. What the child had in hand is not to blame
//! and is laid down first.
//!
//! Each child has each kind of fault at least once where there are enough. A hang or a block waits until the child claims no
//! patience: one within a declared wait is found out only when that wait's own bound is over, which is no business of the
//! supervisors.

use super::{ChildError, Lease};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::{
    collections::{BTreeMap, VecDeque},
    fmt,
    future::{Future, poll_fn},
    pin::pin,
    sync::{Mutex, OnceLock, PoisonError},
    task::Poll,
    time::Duration,
};
use tokio::time::{Instant, sleep_until};

/// What happens to a child.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    Panic,
    Error,
    /// Its task is not polled any more.
    Hang,
    /// Its thread does not come back until the incarnation is given up, and for so long after that.
    Block(Duration),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Fault::Panic => "panic",
            Fault::Error => "error",
            Fault::Hang => "hang",
            Fault::Block(_) => "block",
        })
    }
}

/// Which faults come when.
#[derive(Clone, Debug)]
pub struct Chaos {
    pub seed: u64,
    pub faults: usize,
    /// Real time from now on in which they are spread evenly by chance.
    pub from: Duration,
    pub until: Duration,
    /// Paths in the tree.
    pub children: Vec<String>,
    /// How long a blocked thread stays so after it was given up.
    pub block: Duration,
}

/// A block that nobody finds out ends after so long.
const UNNOTICED_MAX: Duration = Duration::from_secs(120);
/// Until the next look whether a child that claims patience does so still.
const PATIENCE_LOOK: Duration = Duration::from_millis(1);

type Schedule = BTreeMap<String, VecDeque<(Instant, Fault)>>;

static SCHEDULE: OnceLock<Mutex<Schedule>> = OnceLock::new();

impl Chaos {
    /// Makes the schedule that every child started from now on follows. Once a process.
    pub fn install(&self) {
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        let begin = Instant::now();
        let span_us = self.until.saturating_sub(self.from).as_micros() as u64;
        let mut schedule = Schedule::new();
        let kinds = [Fault::Panic, Fault::Error, Fault::Hang, Fault::Block(self.block)];
        let mut each = self.children.iter().flat_map(|child| kinds.map(|fault| (child, fault)));
        for _ in 0..self.faults {
            let (child, fault) = each.next().unwrap_or_else(|| {
                let child = &self.children[rng.random_range(0..self.children.len() as u64) as usize];
                let fault = match rng.random_range(0..10_u32) {
                    0..4 => Fault::Panic,
                    4..7 => Fault::Error,
                    7..9 => Fault::Hang,
                    _ => Fault::Block(self.block),
                };
                (child, fault)
            });
            let at = begin + self.from + Duration::from_micros(rng.random_range(0..span_us.max(1)));
            schedule.entry(child.clone()).or_default().push_back((at, fault));
        }
        for faults in schedule.values_mut() {
            faults.make_contiguous().sort_by_key(|(at, _)| *at);
        }
        install(schedule);
    }
}

/// Makes a schedule of chosen faults of one child, each so long from now on, earliest first. Once a process, as
/// [`Chaos::install`].
pub fn install_faults(child: &str, faults: impl IntoIterator<Item = (Duration, Fault)>) {
    let begin = Instant::now();
    let faults = faults.into_iter().map(|(after, fault)| (begin + after, fault)).collect();
    install([(child.to_owned(), faults)].into());
}

fn install(schedule: Schedule) {
    if SCHEDULE.set(Mutex::new(schedule)).is_err() {
        log::error!("chaos was installed twice; the first schedule counts");
    }
}

fn next_of(child: &str) -> Option<Instant> {
    let schedule = SCHEDULE.get()?.lock().unwrap_or_else(PoisonError::into_inner);
    schedule.get(child)?.front().map(|(at, _)| *at)
}

/// The fault that is due. None befalls an incarnation that was given up: it is for those that count.
fn take_due(lease: &Lease) -> Option<Fault> {
    let mut schedule = SCHEDULE.get()?.lock().unwrap_or_else(PoisonError::into_inner);
    let faults = schedule.get_mut(lease.child())?;
    let (at, fault) = faults.front().copied()?;
    let claims_patience = lease.pulse().is_waiting() || !lease.pulse().excused_for().is_zero();
    let must_wait = matches!(fault, Fault::Hang | Fault::Block(_)) && claims_patience;
    if at > Instant::now() || must_wait || !lease.is_current() {
        return None;
    }
    faults.pop_front();
    Some(fault)
}

/// The work with the faults of its child.
pub(super) async fn trouble<Work>(work: Work, lease: Lease) -> Result<(), ChildError>
where
    Work: Future<Output = Result<(), ChildError>>,
{
    let mut work = pin!(work);
    let mut look_at = Instant::now();
    loop {
        let next = next_of(lease.child()).map(|at| at.max(look_at));
        let due = async {
            match next {
                Some(at) => sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = due => {}
            ended = &mut work => return ended,
        }
        let Some(fault) = take_due(&lease) else {
            look_at = Instant::now() + PATIENCE_LOOK;
            continue;
        };
        lease.lay_down();
        // Written before it happens: a test counts these lines.
        log::warn!("chaos: {fault} in {} incarnation {}", lease.child(), lease.incarnation());
        match fault {
            Fault::Panic => panic!("chaos"),
            Fault::Error => return Err("chaos".into()),
            Fault::Hang => poll_fn(|_| Poll::<()>::Pending).await,
            Fault::Block(span) => {
                let began = std::time::Instant::now();
                while lease.is_current() && began.elapsed() < UNNOTICED_MAX {
                    std::thread::park_timeout(Duration::from_millis(10));
                }
                let until = std::time::Instant::now() + span;
                while let Some(left) = until.checked_duration_since(std::time::Instant::now()) {
                    std::thread::park_timeout(left);
                }
                poll_fn(|_| Poll::<()>::Pending).await;
            }
        }
    }
}
