//! The instrument master of the day: fetched, cut down, put into the log, turned into a plan.

use super::{feed::Shared, plan::Plan, rest::RestError};
use crate::{
    feed::{NotAccepted, RecordSink, backoff::Backoff},
    market::{Contract, ProviderToken, Timestamp},
    spool::Source,
    wire::angel_one::{WireError, cut_master, for_each_listing},
};
use chrono::{Days, NaiveTime};
use std::{convert::Infallible, sync::Arc, time::Duration};

/// After Angel One has published the day's file, before the pre-open.
const FETCHED_AT: NaiveTime = NaiveTime::from_hms_opt(8, 30, 0).expect("a time of day");

/// Never returns but with the sink's error. A failed fetch is tried again; until it succeeds the plan before holds.
pub(super) async fn keep_current<S: RecordSink>(shared: &Shared<S>) -> Result<Infallible, NotAccepted> {
    let mut backoff = Backoff::new(Duration::from_secs(2), Duration::from_secs(120), shared.seed_of(4));
    loop {
        let body = loop {
            match fetch(shared).await {
                Ok(fetched) => break fetched,
                Err(error) => {
                    shared.note_error("instrument master", &error);
                    shared.health.backing_off();
                    shared.clock.sleep(backoff.next_wait()).await;
                }
            }
        };
        backoff.reset();
        let (cut, listed) = body;
        shared.accept_body(Source::ANGEL_ONE_MASTER, String::new(), cut).await?;
        let now = shared.clock.now();
        let plan = Plan::new(&shared.settings, &shared.watch, &listed, now.date_ist());
        // Megabytes that would otherwise wait for the next morning.
        drop(listed);
        if plan.sockets.iter().all(|tokens| tokens.is_empty()) && plan.polled.is_empty() {
            shared.note_error("instrument master", &"nothing that is watched is listed in it");
        }
        shared.health.planned(plan.sockets.iter().map(|tokens| tokens.len()).enumerate()).await?;
        shared.plan.send_replace(Some(Arc::new(plan)));
        shared.clock.sleep_until(next_fetch(now)).await;
    }
}

/// The next half past eight in India.
fn next_fetch(now: Timestamp) -> Timestamp {
    let today = Timestamp::on(now.date_ist(), FETCHED_AT);
    match today > now {
        true => today,
        false => Timestamp::on(now.date_ist() + Days::new(1), FETCHED_AT),
    }
}

/// The cut master, and what is listed in it.
#[expect(clippy::disallowed_methods, reason = "the feed waits for it, and pure computing ends")]
async fn fetch<S: RecordSink>(
    shared: &Shared<S>,
) -> Result<(Vec<u8>, Vec<(ProviderToken, Contract)>), RestError> {
    let body = shared.rest.master(&shared.settings.master_url).await?;
    let watch = shared.watch.clone();
    // Over 30 MB of JSON take a good part of a second, in which nothing else should wait.
    let cut = tokio::task::spawn_blocking(move || {
        let cut = cut_master(body, |underlying| watch.entry(underlying).is_some())?;
        let mut listed = Vec::new();
        let skipped = for_each_listing(&cut, |listing| {
            listed.extend(listing.token.map(|token| (token, listing.contract)));
        })?;
        Ok::<_, WireError>((cut, listed, skipped))
    });
    let (cut, listed, skipped) = cut.await.map_err(|error| RestError::Unreachable {
        what: "reading the instrument master",
        reason: error.to_string(),
    })??;
    if let Some(error) = &skipped.first_malformed {
        let count = skipped.malformed;
        shared.note_error("instrument master", &format_args!("{count} rows skipped, the first: {error}"));
    }
    Ok((cut, listed))
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::NaiveDate;

    #[test]
    fn the_master_is_fetched_each_morning() {
        let date = NaiveDate::from_ymd_opt(2026, 1, 30).expect("a date");
        let at =
            |hour, minute| Timestamp::on(date, NaiveTime::from_hms_opt(hour, minute, 0).expect("a time"));
        assert_eq!(next_fetch(at(7, 0)), at(8, 30));
        assert_eq!(next_fetch(at(8, 30)).to_string(), "2026-01-31 08:30:00 IST");
        assert_eq!(next_fetch(at(23, 59)).to_string(), "2026-01-31 08:30:00 IST");
    }
}
