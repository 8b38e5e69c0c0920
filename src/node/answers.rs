//! Who answers the requests that come by the socket and by D-Bus.
//!
//! From atomics and from a reader's connection to the store, never from another child, so that there is an answer
//! whatever hangs. What takes a reader is worked out beside this thread, so that it delays no other answer.

use super::{control_child::ControlChild, intake::IntakeSink};
use crate::{
    actor::Lease,
    control::{ControlError, Peer, Request, Response, Service, Update, WatchRequest},
};
use tokio::sync::mpsc;

/// What one incarnation answers, whichever door is asked.
pub struct Answers {
    pub(super) child: ControlChild,
    pub(super) sink: IntakeSink,
}

impl Answers {
    /// An incarnation that was given up gives no orders any more.
    pub fn new(child: ControlChild, lease: &Lease) -> Answers {
        let sink = child.intake.sink(lease);
        Answers { child, sink }
    }
}

impl Service for Answers {
    async fn handle(&self, request: Request, _: Peer) -> Result<Response, ControlError> {
        let child = &self.child;
        match request {
            Request::Status => Ok(Response::Status(child.show_status())),
            Request::Actors => Ok(Response::Actors(child.show_actors())),
            Request::Feeds => Ok(Response::Feeds(child.show_feeds())),
            Request::Chain(_)
            | Request::OpenInterest(_)
            | Request::Deltas(_)
            | Request::Candles(_)
            | Request::Coverage(_)
            | Request::JobHistory(_) => {
                if let Request::Chain(request) = &request
                    && let Some(chain) = child.live_chain(request)
                {
                    return Ok(Response::Chain(chain));
                }
                let record = child.record();
                child.reading_room.read(move || record.answer(request)).await
            }
            Request::ReplayVerify(request) => child.verify(request.date).await.map(Response::ReplayVerify),
            Request::Explain(request) => child.explain(request).await.map(Response::Explain),
            Request::ReplayRejudge(request) => child.rejudge(request.date).await.map(Response::ReplayRejudge),
            Request::Feed(request) => child.show_feed(&request).map(Response::Feed),
            Request::EnableFeed(request) => child.enable_feed(&request).await.map(Response::EnableFeed),
            Request::DisableFeed(request) => child.disable_feed(&request).await.map(Response::DisableFeed),
            Request::ReconnectFeed(request) => child.reconnect_feed(&request).map(Response::ReconnectFeed),
            Request::Failover(request) => self.failover(request).await.map(Response::Failover),
            Request::Configuration => Ok(Response::Configuration(child.show_configuration())),
            Request::CompareConfiguration => {
                Ok(Response::CompareConfiguration(child.reloader.compare().await))
            }
            Request::Reload => Ok(Response::Reload(child.reloader.reload().await)),
            Request::LogFilter => Ok(Response::LogFilter(child.show_log_filter())),
            Request::SetLogFilter(request) => child.set_log_filter(&request).map(Response::SetLogFilter),
            Request::Drain => Ok(Response::Drain(child.drain())),
            Request::Jobs => Ok(Response::Jobs(child.show_jobs())),
            Request::RunJob(request) => child.run_job(&request).await.map(Response::RunJob),
            Request::Watch(_) => Err(ControlError::ExpectedMore { method: "Watch".to_owned() }),
        }
    }

    fn watch(&self, request: WatchRequest, _: Peer) -> Result<mpsc::Receiver<Update>, ControlError> {
        self.child.live.watch(request)
    }
}
