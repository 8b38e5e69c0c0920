//! The control socket as a child.

use super::{
    answers::Answers, feed_orders::FeedOrders, intake::Intake, live_state::LiveState, reload::Reloader,
    running_config::RunningConfig, status::DaemonStatus,
};
use crate::{
    actor::{ChildError, Lease, Tree},
    clock::Clock,
    config::Config,
    control::{ControlListener, ControlServer, KeptSocket, Limits},
    market::Timestamp,
    pipeline::PipelineSettings,
};
use std::{
    os::unix::net::UnixListener,
    sync::{Arc, Mutex, PoisonError, atomic::Ordering::Relaxed},
};

/// What every incarnation begins from.
#[derive(Clone)]
pub struct ControlChild {
    /// What the daemon was started with.
    pub config: Arc<Config>,
    pub running: RunningConfig,
    pub reloader: Reloader,
    pub orders: FeedOrders,
    /// Where orders enter the log.
    pub intake: Intake,
    /// A socket that the service manager listens on for us.
    pub socket: Option<Arc<UnixListener>>,
    pub clock: Clock,
    pub tree: Tree,
    pub status: Arc<DaemonStatus>,
    pub settings: PipelineSettings,
    pub live: LiveState,
    pub started: Timestamp,
    /// Held over an order of which provider counts: the socket and the bus give such orders.
    pub failover_turn: Arc<tokio::sync::Mutex<()>>,
    /// Held over a verification by hand: one at a time, whoever asks.
    pub verify_turn: Arc<tokio::sync::Mutex<()>>,
    /// Bound by the first incarnation, where none was handed over.
    pub kept: Arc<Mutex<Option<KeptSocket>>>,
}

impl ControlChild {
    /// One incarnation.
    ///
    /// # Errors
    /// When the socket cannot be bound or taken over.
    pub async fn run(self, lease: Lease) -> Result<(), ChildError> {
        let listener = self.listen()?;
        self.status.readiness.control_listens.store(true, Relaxed);
        let authority = self.reloader.authority();
        let answers = Answers::new(self, &lease);
        let server = ControlServer::new(answers, authority, Limits::default());
        server
            .serve(&listener, async {
                let _ = lease.stopping().await;
            })
            .await;
        Ok(())
    }

    /// The socket outlives the incarnations: one that was given up may still have it open, and callers wait in it.
    fn listen(&self) -> Result<ControlListener, ChildError> {
        if let Some(socket) = &self.socket {
            return Ok(ControlListener::adopt(socket)?);
        }
        let mut socket = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(kept) = &*socket {
            return Ok(kept.listen()?);
        }
        let listener = ControlListener::bind(&self.config.control.socket)?;
        *socket = Some(listener.keep()?);
        Ok(listener)
    }
}
