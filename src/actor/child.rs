//! What a supervisor is told of a child, and how an incarnation can end.

use super::{Lease, SupervisorError, port::PortGauge};
use futures_util::future::{FutureExt, LocalBoxFuture};
use std::{fmt, future::Future, sync::Arc, time::Duration};

/// Why a child gave up. Any error, or a text; the supervisor only logs it and restarts.
pub type ChildError = Box<dyn std::error::Error + Send + Sync>;

/// Whether an ended child is started again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Restart {
    /// Always.
    #[default]
    Permanent,
    /// After an error or a panic.
    Transient,
    /// Never.
    Temporary,
}

/// The thread a child lives on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Placement {
    /// The tree's own thread, with the supervisors: short work only. It cannot be replaced when it blocks.
    Control,
    /// The one thread of connections.
    #[default]
    Io,
    /// The one thread of engines.
    Compute,
    /// A thread of its own, for whatever may block.
    Own,
}

pub(super) type StartFunction =
    Arc<dyn Fn(Lease) -> LocalBoxFuture<'static, Result<(), ChildError>> + Send + Sync>;

/// A child as data. [`ChildSpec::new`] gives the defaults, the fields may be changed.
#[derive(Clone)]
pub struct ChildSpec {
    /// Unique among its siblings; shown and logged.
    pub name: Arc<str>,
    pub restart: Restart,
    /// How long it may take to stop; it is aborted afterwards.
    pub grace: Duration,
    /// Without a sign of life for this long it counts as hung. Zero: nobody looks.
    pub heartbeat: Duration,
    /// The daemon is not well without it.
    pub critical: bool,
    pub placement: Placement,
    /// The ports it consumes, shown with it.
    pub ports: Vec<PortGauge>,
    pub(super) start: StartFunction,
}

impl ChildSpec {
    /// `start` makes one incarnation's work: it is called on the child's thread, again for every restart. The work
    /// ends when `lease.stopping()` says so, or by itself.
    pub fn new<F, Work>(name: &str, start: F) -> ChildSpec
    where
        F: Fn(Lease) -> Work + Send + Sync + 'static,
        Work: Future<Output = Result<(), ChildError>> + 'static,
    {
        ChildSpec {
            name: name.into(),
            restart: Restart::default(),
            grace: Duration::from_secs(5),
            heartbeat: Duration::from_secs(10),
            critical: false,
            placement: Placement::default(),
            ports: Vec::new(),
            start: Arc::new(move |lease| start(lease).boxed_local()),
        }
    }

    pub fn restart(mut self, restart: Restart) -> ChildSpec {
        self.restart = restart;
        self
    }

    pub fn grace(mut self, grace: Duration) -> ChildSpec {
        self.grace = grace;
        self
    }

    pub fn heartbeat(mut self, heartbeat: Duration) -> ChildSpec {
        self.heartbeat = heartbeat;
        self
    }

    pub fn placement(mut self, placement: Placement) -> ChildSpec {
        self.placement = placement;
        self
    }

    pub fn critical(mut self) -> ChildSpec {
        self.critical = true;
        self
    }

    /// Shows a port that the child consumes.
    pub fn port(mut self, gauge: PortGauge) -> ChildSpec {
        self.ports.push(gauge);
        self
    }
}

impl fmt::Debug for ChildSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChildSpec")
            .field("name", &self.name)
            .field("restart", &self.restart)
            .field("grace", &self.grace)
            .field("heartbeat", &self.heartbeat)
            .field("critical", &self.critical)
            .field("placement", &self.placement)
            .finish_non_exhaustive()
    }
}

/// How an incarnation ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExitReason {
    Normal,
    /// Its work returned an error; the text has the error's sources.
    Error(String),
    /// The text has the place where a panic hook is installed, see [`super::install_panic_hook`].
    Panic(String),
    /// It showed no sign of life for its heartbeat while its thread went on.
    Hung(Duration),
    /// It kept its thread for longer than its heartbeat; the thread was given up.
    Blocked(Duration),
    /// Its thread was given up because of the child named here.
    Displaced(Arc<str>),
    /// It was ended from outside, or its thread is gone.
    Aborted,
    /// A supervisor that must not be restarted: its whole tree ends.
    Escalated(String),
}

impl ExitReason {
    /// For counters and structured logs.
    pub const fn kind(&self) -> &'static str {
        match self {
            ExitReason::Normal => "normal",
            ExitReason::Error(_) => "error",
            ExitReason::Panic(_) => "panic",
            ExitReason::Hung(_) => "hung",
            ExitReason::Blocked(_) => "blocked",
            ExitReason::Displaced(_) => "displaced",
            ExitReason::Aborted => "aborted",
            ExitReason::Escalated(_) => "escalated",
        }
    }

    pub(super) fn has_failed(&self) -> bool {
        *self != ExitReason::Normal
    }

    /// Whether what was in hand may be to blame.
    pub(super) fn is_death(&self) -> bool {
        matches!(self, ExitReason::Panic(_) | ExitReason::Hung(_) | ExitReason::Blocked(_))
    }

    pub(super) fn of(result: Result<(), ChildError>) -> ExitReason {
        let Err(error) = result else { return ExitReason::Normal };
        if let Some(SupervisorError::TooManyZombies { .. }) = error.downcast_ref() {
            return ExitReason::Escalated(error.to_string());
        }
        let mut text = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            let cause_text = cause.to_string();
            if !text.contains(&cause_text) {
                text.push_str(": ");
                text.push_str(&cause_text);
            }
            source = cause.source();
        }
        ExitReason::Error(text)
    }
}

impl fmt::Display for ExitReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ExitReason::Normal => f.write_str("ended"),
            ExitReason::Error(text) => write!(f, "failed: {text}"),
            ExitReason::Panic(text) => write!(f, "panicked: {text}"),
            ExitReason::Hung(span) => write!(f, "hung: no sign of life for {span:.1?}"),
            ExitReason::Blocked(span) => write!(f, "blocked its thread for {span:.1?}"),
            ExitReason::Displaced(by) => write!(f, "lost its thread, which {by} blocked"),
            ExitReason::Aborted => f.write_str("aborted"),
            ExitReason::Escalated(text) => f.write_str(text),
        }
    }
}
