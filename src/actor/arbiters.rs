//! The threads children are placed on.

use super::Placement;
use actix_rt::{Arbiter, ArbiterHandle};
use std::{
    collections::HashMap,
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::time::Instant;

/// Cheap to clone; clones share the threads. Used from the control thread only.
#[derive(Clone, Debug)]
pub(super) struct Arbiters {
    /// `None`: everything runs on the calling thread.
    threads: Option<Arc<Mutex<Threads>>>,
}

#[derive(Debug, Default)]
struct Threads {
    /// One of each for `Io` and `Compute`, one a child for `Own`.
    placed: HashMap<Arc<str>, Arbiter>,
    /// Threads that did not come back from their child.
    abandoned: Vec<Arbiter>,
}

impl Arbiters {
    pub fn threads() -> Arbiters {
        Arbiters { threads: Some(Arc::default()) }
    }

    /// Everything on the thread that calls, whatever the placement: one thread's time can be paused in tests.
    #[cfg(test)]
    pub fn calling_thread() -> Arbiters {
        Arbiters { threads: None }
    }

    /// Runs `start` on the thread of the placement.
    pub fn run(
        &self,
        placement: Placement,
        child: &Arc<str>,
        start: impl FnOnce() + Send + 'static,
    ) -> io::Result<()> {
        match (&self.threads, placement) {
            (None, _) | (_, Placement::Control) => {
                start();
                Ok(())
            }
            (Some(threads), _) => {
                let handle = lock(threads).handle(thread_key(placement, child))?;
                if handle.spawn_fn(start) { Ok(()) } else { Err(io::Error::other("its thread has ended")) }
            }
        }
    }

    /// Gives up the thread of a child that does not end; its next incarnation gets another. Other children of a shared
    /// thread are stuck with it and are not moved.
    pub fn abandon(&self, placement: Placement, child: &Arc<str>) {
        let Some(threads) = &self.threads else { return };
        if placement == Placement::Own {
            let mut threads = lock(threads);
            if let Some(arbiter) = threads.placed.remove(child) {
                arbiter.stop();
                threads.abandoned.push(arbiter);
            }
        }
    }

    /// Ends and joins all threads; returns how many did not end in time and are left to the process's end.
    pub async fn join(&self, within: Duration) -> usize {
        let Some(threads) = &self.threads else { return 0 };
        let mut left: Vec<Arbiter> = {
            let mut threads = lock(threads);
            let placed: Vec<Arbiter> = threads.placed.drain().map(|(_, arbiter)| arbiter).collect();
            placed.into_iter().chain(threads.abandoned.drain(..)).collect()
        };
        for arbiter in &left {
            arbiter.stop();
        }
        let deadline = Instant::now() + within;
        loop {
            let (alive, ended): (Vec<Arbiter>, Vec<Arbiter>) = left.into_iter().partition(Arbiter::alive);
            for arbiter in ended {
                if arbiter.join().is_err() {
                    log::error!("a thread of the tree panicked outside its children");
                }
            }
            if alive.is_empty() || Instant::now() >= deadline {
                return alive.len();
            }
            left = alive;
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

impl Threads {
    fn handle(&mut self, key: Arc<str>) -> io::Result<ArbiterHandle> {
        if let Some(arbiter) = self.placed.get(&key).filter(|arbiter| arbiter.alive()) {
            return Ok(arbiter.handle());
        }
        let arbiter = Arbiter::try_new()?;
        let handle = arbiter.handle();
        self.placed.insert(key, arbiter);
        Ok(handle)
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
