//! The threads children are placed on, and those that were given up.
//!
//! A thread that was given up is a zombie until it comes back, and then ends. Zombies are counted while they last,
//! whatever blocked them, and one more than `zombies_max` ends the tree. Those that an item blocked which was condemned and
//! set aside (`suspects.rs`) count like any other, although their cause is gone: a budget of failures can be given back,
//! but not a thread with its stack, what it holds, and perhaps a processor that it keeps busy. So two records that block
//! the recorder for ever spend the usual four, and the first block of a third ends the daemon. What was condemned by then
//! is set aside for good, so that each life of the daemon comes further. A thread that blocks for a while counts for that
//! while only.

use super::{
    Placement,
    thread_pulse::{Offender, ThreadPulse},
};
use actix_rt::{Arbiter, ArbiterHandle};
use std::{
    collections::HashMap,
    io,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    thread,
    time::Duration,
};
use tokio::{sync::mpsc, time::timeout};

/// Cheap to clone; clones share the threads. Used from the control thread only.
#[derive(Clone, Debug)]
pub(super) struct Arbiters {
    /// `None`: everything runs on the calling thread.
    threads: Option<Arc<Mutex<Threads>>>,
    calling: Arc<ThreadPulse>,
    zombies: Arc<ZombieGauge>,
    zombies_max: usize,
}

#[derive(Debug, Default)]
struct Threads {
    /// One of each for `Io` and `Compute`, one a child for `Own`.
    placed: HashMap<Arc<str>, Thread>,
    /// Threads that did not come back from their child.
    zombies: Vec<Arbiter>,
}

#[derive(Debug)]
struct Thread {
    arbiter: Arbiter,
    pulse: Arc<ThreadPulse>,
}

/// How many threads were given up, readable by anyone.
#[derive(Debug, Default)]
pub(super) struct ZombieGauge {
    alive: AtomicU64,
    total: AtomicU64,
}

impl ZombieGauge {
    /// Those that still do not come back.
    pub fn alive(&self) -> u64 {
        self.alive.load(Relaxed)
    }

    /// Those that ever were.
    pub fn total(&self) -> u64 {
        self.total.load(Relaxed)
    }
}

/// A thread to start a child on.
pub(super) struct Place {
    key: Option<Arc<str>>,
    handle: Option<ArbiterHandle>,
    pub pulse: Arc<ThreadPulse>,
}

impl Place {
    /// Whether the thread can be given up.
    pub fn is_replaceable(&self) -> bool {
        self.handle.is_some()
    }

    pub fn run(&self, start: impl FnOnce() + Send + 'static) -> io::Result<()> {
        match &self.handle {
            None => start(),
            Some(handle) if handle.spawn_fn(start) => {}
            Some(_) => return Err(io::Error::other("its thread has ended")),
        }
        Ok(())
    }
}

impl Arbiters {
    pub fn threads(zombies: Arc<ZombieGauge>, zombies_max: usize) -> Arbiters {
        Arbiters { threads: Some(Arc::default()), calling: Arc::default(), zombies, zombies_max }
    }

    /// Everything on the thread that calls, whatever the placement: one thread's time can be paused in tests.
    #[cfg(test)]
    pub fn calling_thread() -> Arbiters {
        Arbiters { threads: None, calling: Arc::default(), zombies: Arc::default(), zombies_max: 0 }
    }

    /// The thread of the placement, made if it is not there.
    pub fn place(&self, placement: Placement, child: &Arc<str>) -> io::Result<Place> {
        match (&self.threads, placement) {
            (None, _) | (_, Placement::Control) => {
                Ok(Place { key: None, handle: None, pulse: Arc::clone(&self.calling) })
            }
            (Some(threads), _) => lock(threads).place(thread_key(placement, child)),
        }
    }

    /// Gives up the thread of a place; whoever is started there from now on gets another. Calling again for the same
    /// thread changes nothing. False if that makes more zombies than are allowed.
    pub fn abandon(&self, place: &Place, offender: Option<Offender>) -> bool {
        let (Some(threads), Some(key)) = (&self.threads, &place.key) else { return true };
        place.pulse.abandon(offender);
        let mut threads = lock(threads);
        if threads.placed.get(key).is_some_and(|thread| Arc::ptr_eq(&thread.pulse, &place.pulse))
            && let Some(thread) = threads.placed.remove(key)
        {
            // It ends once it comes back.
            thread.arbiter.stop();
            threads.zombies.push(thread.arbiter);
            self.zombies.total.fetch_add(1, Relaxed);
        }
        self.reap(&mut threads);
        threads.zombies.len() <= self.zombies_max
    }

    /// Counts the zombies anew.
    pub fn count_zombies(&self) {
        if self.zombies.alive() > 0
            && let Some(threads) = &self.threads
        {
            self.reap(&mut lock(threads));
        }
    }

    pub fn zombies_max(&self) -> usize {
        self.zombies_max
    }

    fn reap(&self, threads: &mut Threads) {
        // Not joined: what a zombie still drops may block again.
        threads.zombies.retain(Arbiter::alive);
        self.zombies.alive.store(threads.zombies.len() as u64, Relaxed);
    }

    /// Ends and joins all threads; returns how many did not end in time and are left to the process's end.
    ///
    /// A thread that takes no more work may still drop its runtime, which waits for whatever blocks there: each is joined
    /// on a thread of its own, never on the calling one.
    pub async fn join(&self, within: Duration) -> usize {
        let Some(threads) = &self.threads else { return 0 };
        let ending: Vec<Arbiter> = {
            let mut threads = lock(threads);
            let placed: Vec<Arbiter> = threads.placed.drain().map(|(_, thread)| thread.arbiter).collect();
            placed.into_iter().chain(threads.zombies.drain(..)).collect()
        };
        let count = ending.len();
        let (sender, mut ended) = mpsc::channel(count.max(1));
        for arbiter in ending {
            arbiter.stop();
            let sender = sender.clone();
            let joiner = thread::Builder::new().name("joiner".to_owned()).spawn(move || {
                join(arbiter);
                // There is room for all; whoever waited may be gone.
                let _ = sender.try_send(());
            });
            if let Err(error) = joiner {
                log::warn!("a thread of the tree is not waited for: {error}");
            }
        }
        drop(sender);
        let mut left = count;
        let all = async {
            while ended.recv().await.is_some() {
                left -= 1;
            }
        };
        let _ = timeout(within, all).await;
        left
    }
}

fn join(ending: Arbiter) {
    if ending.join().is_err() {
        log::error!("a thread of the tree panicked outside its children");
    }
}

impl Threads {
    fn place(&mut self, key: Arc<str>) -> io::Result<Place> {
        if let Some(thread) = self.placed.get(&key).filter(|thread| thread.arbiter.alive()) {
            let (handle, pulse) = (Some(thread.arbiter.handle()), Arc::clone(&thread.pulse));
            return Ok(Place { key: Some(key), handle, pulse });
        }
        let thread = Thread { arbiter: Arbiter::try_new()?, pulse: Arc::default() };
        let (handle, pulse) = (Some(thread.arbiter.handle()), Arc::clone(&thread.pulse));
        self.placed.insert(Arc::clone(&key), thread);
        Ok(Place { key: Some(key), handle, pulse })
    }
}

/// Shared threads have keys that no child's path can have.
fn thread_key(placement: Placement, child: &Arc<str>) -> Arc<str> {
    match placement {
        Placement::Control | Placement::Io => "/io".into(),
        Placement::Compute => "/compute".into(),
        Placement::Own => Arc::clone(child),
    }
}

fn lock(threads: &Mutex<Threads>) -> MutexGuard<'_, Threads> {
    threads.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::channel;

    #[test]
    fn a_thread_whose_runtime_waits_for_what_blocks_is_left() {
        actix::System::new().block_on(leave_a_blocked_thread());
    }

    async fn leave_a_blocked_thread() {
        let arbiters = Arbiters::threads(Arc::default(), 0);
        let (release, blocks) = channel::<()>();
        let (sender, mut is_blocking) = mpsc::channel(1);
        let blocked = arbiters.place(Placement::Own, &"blocked".into()).expect("a thread");
        let start = move || {
            tokio::task::spawn_blocking(move || {
                sender.try_send(()).expect("room for it");
                // Until the test lets go, whatever the outcome.
                let _ = blocks.recv();
            });
        };
        blocked.run(start).expect("a thread that runs");
        is_blocking.recv().await.expect("it began");
        assert_eq!(arbiters.join(Duration::from_millis(200)).await, 1);
        drop(release);
        assert_eq!(arbiters.join(Duration::from_secs(60)).await, 0, "joined once");
    }
}
