//! placeholder
use super::{faults::FaultSwitch, lots::LotOverrides, playback::Playback};
use crate::market::Timestamp;
use std::{path::PathBuf, sync::Arc};
#[derive(Debug, thiserror::Error)]
#[error("x")]
pub struct BodiesError;
pub(super) struct RecordedBodies;
impl RecordedBodies {
    pub fn load(_: &[PathBuf]) -> Result<Self, BodiesError> {
        Err(BodiesError)
    }
    pub fn first_capture(&self) -> Timestamp {
        Timestamp::default()
    }
}
pub(super) struct NseServer;
impl NseServer {
    pub fn new(
        _: Arc<Playback>,
        _: Arc<FaultSwitch>,
        _: Option<RecordedBodies>,
        _: LotOverrides,
    ) -> Arc<Self> {
        Arc::new(NseServer)
    }
    pub fn routes(&self) -> axum::Router {
        axum::Router::new()
    }
}
