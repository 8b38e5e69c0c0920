//! What an incarnation holds of its supervisor: its name, when to stop, and whether it still counts.

use super::{
    Pulse, Verdict,
    suspects::{Source, Suspects},
};
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
    /// The child's incarnation that counts. Another number than ours means that we were given up.
    current: Arc<AtomicU64>,
    stop: watch::Receiver<StopSignal>,
    /// Keeps the signal of a detached lease at `Run`.
    _never_stops: Option<watch::Sender<StopSignal>>,
    pulse: Pulse,
    suspects: Arc<Suspects>,
}

impl Lease {
    pub(super) fn new(
        child: Arc<str>,
        incarnation: u64,
        current: Arc<AtomicU64>,
        stop: watch::Receiver<StopSignal>,
        pulse: Pulse,
        suspects: Arc<Suspects>,
    ) -> Lease {
        let inner = Inner { child, incarnation, current, stop, _never_stops: None, pulse, suspects };
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
            suspects: Arc::default(),
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

    /// Returns when the incarnation should stop, and how. May be awaited anew at any time, and in several places. While
    /// it is awaited the child shows signs of life: what it waits for beside this must have bounds of its own.
    pub async fn stopping(&self) -> StopSignal {
        let mut stop = self.inner.stop.clone();
        let asked = async {
            match stop.wait_for(|signal| *signal != StopSignal::Run).await {
                Ok(signal) => *signal,
                Err(_) => StopSignal::Restart,
            }
        };
        tokio::select! {
            biased;
            signal = asked => signal,
            () = self.inner.pulse.keep_signing() => unreachable!("it never returns"),
        }
    }

    /// Notes that the item of this number, in a numbering of the child's own, is handled from now on: if it kills two
    /// incarnations it is condemned.
    pub fn take_in_hand(&self, number: u64) {
        self.inner.pulse.take_in_hand(Source::OWN, number, 1);
    }

    /// Nothing is in hand any more.
    pub fn lay_down(&self) {
        self.inner.pulse.lay_down();
    }

    /// Whether the item of this number, in the child's own numbering, killed two incarnations. It must not be handled
    /// again: put it where it can be looked at, say so with [`Lease::note_set_aside`], and go on with the next.
    pub fn verdict(&self, number: u64) -> Option<Verdict> {
        self.inner.suspects.verdict(Source::OWN, number)
    }

    /// Counts an item that was set aside.
    pub fn note_set_aside(&self) {
        self.inner.suspects.note_set_aside();
    }

    pub(super) fn verdict_from(&self, source: Source, number: u64) -> Option<Verdict> {
        self.inner.suspects.verdict(source, number)
    }

    pub(super) fn watch_stop(&self) -> watch::Receiver<StopSignal> {
        self.inner.stop.clone()
    }
}
