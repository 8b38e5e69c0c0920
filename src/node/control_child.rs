//! The control socket as a child.

use super::{
    answers::Answers, feed_orders::FeedOrders, intake::Intake, live_state::LiveState,
    reading_room::ReadingRoom, reload::Reloader, running_config::RunningConfig, status::DaemonStatus,
};
use crate::{
    actor::{ChildError, Lease, Tree},
    clock::Clock,
    config::Config,
    control::{ControlServer, ControlSocket, Limits},
    market::Timestamp,
    pipeline::PipelineSettings,
};
use std::sync::{Arc, atomic::Ordering::Relaxed};

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
    /// Outlives the incarnations: one that was given up may still have it open, and callers wait in it.
    pub socket: Arc<ControlSocket>,
    pub clock: Clock,
    pub tree: Tree,
    pub status: Arc<DaemonStatus>,
    pub settings: PipelineSettings,
    pub live: LiveState,
    pub started: Timestamp,
    pub reading_room: ReadingRoom,
    /// Held over an order of which provider counts: the socket and the bus give such orders.
    pub failover_turn: Arc<tokio::sync::Mutex<()>>,
}

impl ControlChild {
    /// One incarnation.
    ///
    /// # Errors
    /// When the operating system does not let it listen.
    pub async fn run(self, lease: Lease) -> Result<(), ChildError> {
        let listener = self.socket.listen()?;
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
}
