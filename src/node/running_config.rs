//! The configuration that runs: what the daemon was started with, and what reloads have made of it.

use crate::config::Config;
use std::sync::Arc;
use tokio::sync::watch;

/// Written by the reloader alone. Clones are the same.
#[derive(Clone, Debug)]
pub struct RunningConfig {
    config: watch::Sender<Arc<Config>>,
}

impl RunningConfig {
    pub fn new(config: Arc<Config>) -> RunningConfig {
        RunningConfig { config: watch::Sender::new(config) }
    }

    pub fn get(&self) -> Arc<Config> {
        Arc::clone(&self.config.borrow())
    }

    pub fn set(&self, config: Arc<Config>) {
        self.config.send_replace(config);
    }

    /// For a child that changes with it.
    pub fn follow(&self) -> watch::Receiver<Arc<Config>> {
        self.config.subscribe()
    }
}
