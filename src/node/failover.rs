//! Which provider counts: who it is, and an operator's order that it be another.
//!
//! An order is a record of the log, appended by the intake; the pipeline obeys it when it comes to it, live and in every
//! replay. Nothing else makes the engines change their mind.

use super::{answers::Answers, control_child::ControlChild, held_order};
use crate::{
    control::{ControlError, FailoverRequest, FailoverResponse, ProviderChoice},
    feed::RecordSink,
    logging::Event,
    market::Provider,
    spool::Mark,
};
use std::{sync::atomic::Ordering::Acquire, time::Duration};

/// How long an answer waits for the pipeline, and how often it looks.
const APPLIED_WITHIN: Duration = Duration::from_secs(5);
const LOOK_EVERY: Duration = Duration::from_millis(5);

impl Answers {
    /// Forces a provider that is to run, up or not, or nobody. What the log says already is not said again.
    pub(super) async fn failover(&self, request: FailoverRequest) -> Result<FailoverResponse, ControlError> {
        {
            // What is kept is what the log says, whichever doors are asked at once.
            let _turn = self.child.failover_turn.lock().await;
            if let Some(provider) = request.to {
                self.check_is_to_run(provider)?;
            }
            if self.sink.forced() != request.to {
                self.order(request.to).await?;
            }
            self.keep(self.sink.forced())?;
        }
        let is_applied = self.wait_until_applied(self.child.status.spool.seq()).await;
        Ok(FailoverResponse { choice: self.child.choice(), is_applied })
    }

    fn check_is_to_run(&self, provider: Provider) -> Result<(), ControlError> {
        let desk = self.child.orders.desks().iter().find(|desk| desk.provider == provider);
        let Some(state) = desk.and_then(|desk| desk.order().rest(provider)) else { return Ok(()) };
        let reason = format!(
            "feed {provider} is {}, its values cannot be made to count; `bhavctl feed enable {provider}` lets it run",
            state.name()
        );
        Err(ControlError::Unavailable { reason })
    }

    async fn order(&self, to: Option<Provider>) -> Result<(), ControlError> {
        let accepted = self.sink.mark(Mark::failover(to)).await;
        accepted.map_err(|error| ControlError::Unavailable { reason: error.to_string() })?;
        let forced = name(to);
        log::info!(event = Event::FailoverOrdered, forced; "an operator ordered which provider counts: {forced}");
        Ok(())
    }

    /// For the daemon's next life.
    fn keep(&self, to: Option<Provider>) -> Result<(), ControlError> {
        held_order::keep(&self.child.config.spool.dir, to).map_err(|error| {
            let reason = format!(
                "{} holds, but only until the daemon's next start, since it cannot be kept: {error}; mend that and ask again",
                name(to)
            );
            ControlError::Unavailable { reason }
        })
    }

    async fn wait_until_applied(&self, seq: u64) -> bool {
        let is_applied = || self.child.status.pipeline.seq.load(Acquire) >= seq;
        let applied = async {
            while !is_applied() {
                tokio::time::sleep(LOOK_EVERY).await;
            }
        };
        tokio::time::timeout(APPLIED_WITHIN, applied).await.is_ok()
    }
}

fn name(to: Option<Provider>) -> &'static str {
    to.map_or(FailoverRequest::AUTO, Provider::name)
}

impl ControlChild {
    pub(super) fn choice(&self) -> ProviderChoice {
        let name = |provider: Option<Provider>| provider.map(|provider| provider.to_string());
        let pipeline = &self.status.pipeline;
        ProviderChoice { active: name(pipeline.active_provider()), forced: name(pipeline.forced_provider()) }
    }
}
