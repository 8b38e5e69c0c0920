//! Which provider counts: who it is, and an operator's order that it be another.
//!
//! An order is a record of the log, appended by the intake; the pipeline obeys it when it comes to it, live and in every
//! replay. Nothing else makes the engines change their mind.
//!
//! Whoever asks may go before the answer, by a time limit for instance: an order that has not reached the log is dropped
//! then, and one that has is kept for the next life all the same. A kill in the moment between the two leaves the file of
//! before, and nobody was answered. Asking again is right in each case: it says again only what the log does not say, and
//! keeps it.

use super::{
    answers::Answers, control_child::ControlChild, feed_orders::FeedDesk, feeds, held_order,
    intake::IntakeSink,
};
use crate::{
    control::{ControlError, FailoverRequest, FailoverResponse, ProviderChoice},
    feed::RecordSink,
    logging::Event,
    market::Provider,
    spool::Mark,
};
use std::{path::Path, sync::atomic::Ordering::Acquire, time::Duration};

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
            order(&self.sink, &self.child.config.spool.dir, request.to).await?;
        }
        let is_applied = self.wait_until_applied(self.child.status.spool.seq()).await;
        Ok(FailoverResponse { choice: self.child.choice(), is_applied })
    }

    fn check_is_to_run(&self, provider: Provider) -> Result<(), ControlError> {
        let desk = self.child.orders.desks().iter().find(|desk| desk.provider == provider);
        let order = desk.map(FeedDesk::order);
        let Some((order, state)) = order.and_then(|order| order.rest(provider).map(|state| (order, state)))
        else {
            return Ok(());
        };
        // Enabling it is no way out where it would be refused.
        let way_out = match feeds::check(provider, &order.config) {
            Ok(()) => format!("`bhavctl feed enable {provider}` lets it run"),
            Err(refusal) => format!("nor can it be enabled: {refusal}"),
        };
        let reason =
            format!("feed {provider} is {}, its values cannot be made to count; {way_out}", state.name());
        Err(ControlError::Unavailable { reason })
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

/// Has the log say who is forced, and keeps that for the daemon's next life. Needs the turn.
pub(super) async fn order(
    sink: &IntakeSink,
    directory: &Path,
    to: Option<Provider>,
) -> Result<(), ControlError> {
    let mut unkept = Unkept { sink, directory, before: sink.forced(), is_over: false };
    if sink.forced() != to {
        let accepted = sink.mark(Mark::failover(to)).await;
        accepted.map_err(|error| ControlError::Unavailable { reason: error.to_string() })?;
        let forced = name(to);
        log::info!(event = Event::FailoverOrdered, forced; "an operator ordered which provider counts: {forced}");
    }
    unkept.is_over = true;
    keep(directory, sink.forced())
}

fn keep(directory: &Path, to: Option<Provider>) -> Result<(), ControlError> {
    held_order::keep(directory, to).map_err(|error| {
        let reason = format!(
            "{} holds, but only until the daemon's next start, since it cannot be kept: {error}; mend that and ask again",
            name(to)
        );
        ControlError::Unavailable { reason }
    })
}

/// Keeps what the log says by now where nobody waits for it any more: the order may wait for space or room behind its
/// own record.
struct Unkept<'a> {
    sink: &'a IntakeSink,
    directory: &'a Path,
    before: Option<Provider>,
    is_over: bool,
}

impl Drop for Unkept<'_> {
    fn drop(&mut self) {
        let to = self.sink.forced();
        if self.is_over || to == self.before {
            return;
        }
        let forced = name(to);
        log::info!(
            event = Event::FailoverOrdered, forced;
            "an operator ordered which provider counts: {forced}; who asked had gone before the answer"
        );
        if let Err(error) = keep(self.directory, to) {
            log::error!("{error}");
        }
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
