//! What a supervisor is told of a child, and how an incarnation can end.

use super::{Lease, port::PortGauge};
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
    /// The tree's own thread, with the supervisors: short work only.
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
    /// How often its thread stamps the pulse.
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
            heartbeat: Duration::from_secs(1),
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
    /// It was ended from outside, or its thread is gone.
    Aborted,
}

impl ExitReason {
    pub(super) fn of(result: Result<(), ChildError>) -> ExitReason {
        let Err(error) = result else { return ExitReason::Normal };
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
            ExitReason::Aborted => f.write_str("aborted"),
        }
    }
}
