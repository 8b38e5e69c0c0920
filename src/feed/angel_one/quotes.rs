//! Quote requests: for what no socket carries, and for what the streams have been silent about.
//!
//! An answer proves its contracts up to the sending of its request, whose time and contracts stand beside it in the log: one that is left out of the answer is not
//! traded on this broker's copy, or not known to it.

use super::feed::Shared;
use crate::{
    feed::{NotAccepted, RecordSink, backoff::Backoff},
    market::ProviderToken,
    spool::Source,
    wire::angel_one::{QUOTE_PATH, QuoteContext, QuoteRequest, RefusalClass},
};
use std::{collections::BTreeSet, convert::Infallible, time::Duration};

/// Sweeps over the plan's polled tokens and the silent ones again and again. Never returns but with the sink's error.
pub(super) async fn sweep<S: RecordSink>(shared: &Shared<S>) -> Result<Infallible, NotAccepted> {
    let mut plans = shared.plan.subscribe();
    let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(60), shared.seed_of(5));
    let interval_s = i64::from(shared.settings.quote_interval_s.max(1));
    loop {
        let plan = plans.borrow_and_update().clone();
        let Some(plan) = plan else {
            plans.changed().await.expect("the sender lives in Shared");
            continue;
        };
        let next_sweep = shared.clock.now().plus_seconds(interval_s);
        let mut wanted = plan.polled.clone();
        let polled: BTreeSet<ProviderToken> = plan.polled.iter().copied().collect();
        wanted.extend(shared.status.silent().into_iter().filter(|token| !polled.contains(token)));
        for request in QuoteRequest::split(&wanted) {
            let (generation, tokens) = shared.session().await;
            shared.quote_limiter.wait().await;
            let sent = shared.clock.now();
            match shared.rest.post(QUOTE_PATH, Some(&tokens), request.encode()).await {
                Ok(body) => {
                    backoff.reset();
                    let tokens = request.tokens.iter().copied().collect();
                    let context = QuoteContext { sent: Some(sent), tokens }.to_string();
                    shared.accept_body(Source::ANGEL_ONE_QUOTE, context, body).await?;
                }
                Err(error) => {
                    shared.note_error("quote request", &error);
                    match error.class() {
                        RefusalClass::Session => shared.lose_session(generation),
                        RefusalClass::NoData | RefusalClass::Instrument => {}
                        // The batch is asked for again in the next sweep.
                        _ => shared.clock.sleep(backoff.next_wait()).await,
                    }
                }
            }
        }
        tokio::select! {
            () = shared.clock.sleep_until(next_sweep) => {}
            changed = plans.changed() => changed.expect("the sender lives in Shared"),
        }
    }
}
