//! The configuration that runs: what the daemon was started with, and what reloads have made of it.

use crate::config::Config;
use std::sync::{Arc, Mutex, PoisonError};

/// Written by the reloader alone. Clones are the same.
#[derive(Clone, Debug)]
pub struct RunningConfig {
    config: Arc<Mutex<Arc<Config>>>,
}

impl RunningConfig {
    pub fn new(config: Arc<Config>) -> RunningConfig {
        RunningConfig { config: Arc::new(Mutex::new(config)) }
    }

    pub fn get(&self) -> Arc<Config> {
        Arc::clone(&self.config.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub fn set(&self, config: Arc<Config>) {
        *self.config.lock().unwrap_or_else(PoisonError::into_inner) = config;
    }
}
