//! What an incarnation holds of its supervisor: its name, when to stop, and whether it still counts.

use super::Pulse;
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};
use tokio::sync::watch;

/// What the supervisor wants of an incarnation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StopSignal {
    #[default]
    Run,
    /// End soon; another incarnation follows and finds the ports as they are.
    Restart,
    /// Nothing follows: handle what the ports hold, then end.
    Drain,
}

/// Given to each incarnation at its start. Cheap to clone; clones are the same lease.
#[derive(Clone, Debug)]
pub struct Lease {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    child: Arc<str>,
    incarnation: u64,
    /// The child's incarnation that counts. A higher number than ours means that we were given up.
    current: Arc<AtomicU64>,
    stop: watch::Receiver<StopSignal>,
    /// Keeps the signal of a detached lease at `Run`.
    _never_stops: Option<watch::Sender<StopSignal>>,
    pulse: Pulse,
}

impl Lease {
    pub(super) fn new(
        child: Arc<str>,
        incarnation: u64,
        current: Arc<AtomicU64>,
        stop: watch::Receiver<StopSignal>,
        pulse: Pulse,
    ) -> Lease {
        let inner = Inner { child, incarnation, current, stop, _never_stops: None, pulse };
        Lease { inner: Arc::new(inner) }
    }

    /// A lease outside any tree, never stopped and never fenced: for programs without a tree and for tests.
    pub fn detached(name: &str) -> Lease {
        let (never_stops, stop) = watch::channel(StopSignal::Run);
        let inner = Inner {
            child: name.into(),
            incarnation: 1,
            current: Arc::new(AtomicU64::new(1)),
            stop,
            _never_stops: Some(never_stops),
            pulse: Pulse::default(),
        };
        Lease { inner: Arc::new(inner) }
    }

    /// The child's path in the tree: `feeds/nse`.
    pub fn child(&self) -> &str {
        &self.inner.child
    }

    /// 1 for the first start, one more for each later.
    pub fn incarnation(&self) -> u64 {
        self.inner.incarnation
    }

    /// False once the supervisor gave this incarnation up. What it says afterwards must not count.
    pub fn is_current(&self) -> bool {
        self.inner.current.load(Ordering::Acquire) == self.inner.incarnation
    }

    pub fn pulse(&self) -> &Pulse {
        &self.inner.pulse
    }

    pub fn stop_signal(&self) -> StopSignal {
        let signal = *self.inner.stop.borrow();
        // A supervisor that is gone cannot ask any more.
        if signal == StopSignal::Run && self.inner.stop.has_changed().is_err() {
            return StopSignal::Restart;
        }
        signal
    }

    pub fn is_stopping(&self) -> bool {
        self.stop_signal() != StopSignal::Run
    }

    /// Returns when the incarnation should stop, and how. May be awaited anew at any time, and in several places.
    pub async fn stopping(&self) -> StopSignal {
        let mut stop = self.inner.stop.clone();
        match stop.wait_for(|signal| *signal != StopSignal::Run).await {
            Ok(signal) => *signal,
            Err(_) => StopSignal::Restart,
        }
    }

    pub(super) fn watch_stop(&self) -> watch::Receiver<StopSignal> {
        self.inner.stop.clone()
    }
}
