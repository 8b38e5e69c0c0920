//! The watched indices' 3-minute candles, fetched after each bucket has ended.

use super::feed::Shared;
use crate::{
    feed::{NotAccepted, RecordSink, backoff::Backoff},
    market::{Bucket, CandleInterval, ProviderToken, Timestamp},
    spool::Source,
    wire::angel_one::{CANDLES_PATH, CandleRequest, RefusalClass, decode_candles},
};
use std::{convert::Infallible, time::Duration};

/// How long after a bucket's end its bar is asked for: the broker needs a moment to close it.
const AFTER_END_US: i64 = 5 * 1_000_000;
/// Buckets before the last that are asked for again, in case the broker corrected them.
const ASKED_AGAIN: i64 = 2;
const ATTEMPTS_MAX: u32 = 3;

/// Never returns but with the sink's error.
pub(super) async fn fetch<S: RecordSink>(shared: &Shared<S>) -> Result<Infallible, NotAccepted> {
    let mut plans = shared.plan.subscribe();
    let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(30), shared.seed_of(6));
    let mut asked_until = Bucket::containing(shared.clock.now()).start();
    loop {
        let due = next_due(asked_until, shared.clock.now(), shared.settings.candle_interval_s);
        shared.clock.sleep_until(due.plus_us(AFTER_END_US)).await;
        let indices = plans.borrow_and_update().as_ref().map(|plan| plan.indices.clone()).unwrap_or_default();
        for token in indices {
            let request = CandleRequest {
                token,
                interval: CandleInterval::ThreeMinutes,
                from: asked_until
                    .min(due.plus_us(-Bucket::LENGTH_US))
                    .plus_us(-ASKED_AGAIN * Bucket::LENGTH_US),
                // Bars are named by their start, and the one that starts at `due` is not over.
                to: due.plus_us(-Bucket::LENGTH_US),
            };
            ask(shared, &request, &mut backoff).await?;
        }
        asked_until = due;
    }
}

/// The end of a bucket at which to ask next: a whole number of intervals after midnight, later than both.
fn next_due(asked_until: Timestamp, now: Timestamp, interval_s: u32) -> Timestamp {
    let buckets = (i64::from(interval_s) * 1_000_000 / Bucket::LENGTH_US).max(1);
    let mut bucket = Bucket::containing(asked_until.max(now.plus_us(-AFTER_END_US))).next();
    while bucket.index_in_day() as i64 % buckets != 0 {
        bucket = bucket.next();
    }
    bucket.start()
}

async fn ask<S: RecordSink>(
    shared: &Shared<S>,
    request: &CandleRequest,
    backoff: &mut Backoff,
) -> Result<(), NotAccepted> {
    let ProviderToken { segment, token } = request.token;
    let interval = CandleRequest::interval_name(request.interval);
    for _ in 0..ATTEMPTS_MAX {
        let (generation, tokens) = shared.session().await;
        shared.candle_limiter.wait().await;
        let error = match shared.rest.post(CANDLES_PATH, Some(&tokens), request.encode()).await {
            Ok(body) => {
                backoff.reset();
                // No bars, as outside the session, are not worth a record.
                if decode_candles(&body).is_ok_and(|bars| bars.is_empty()) {
                    return Ok(());
                }
                let context = format!("segment={}&token={token}&interval={interval}", segment.code());
                return shared.accept_body(Source::ANGEL_ONE_CANDLES, context, body).await;
            }
            Err(error) => error,
        };
        if error.class() == RefusalClass::NoData {
            return Ok(());
        }
        shared.note_error("candle request", &error);
        match error.class() {
            RefusalClass::Session => shared.lose_session(generation),
            RefusalClass::Instrument => return Ok(()),
            _ => shared.clock.sleep(backoff.next_wait()).await,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::{NaiveDate, NaiveTime};

    #[test]
    fn candles_are_asked_for_at_the_ends_of_buckets() {
        let date = NaiveDate::from_ymd_opt(2026, 1, 30).expect("a date");
        let at =
            |minute, second| Timestamp::on(date, NaiveTime::from_hms_opt(9, minute, second).expect("a time"));
        assert_eq!(next_due(at(15, 0), at(15, 0), 180), at(18, 0));
        assert_eq!(next_due(at(15, 0), at(18, 4), 180), at(18, 0));
        assert_eq!(next_due(at(18, 0), at(18, 9), 180), at(21, 0));
        // Late by several buckets: the next end, not the missed ones.
        assert_eq!(next_due(at(18, 0), at(28, 0), 180), at(30, 0));
        assert_eq!(next_due(at(15, 0), at(16, 0), 900), at(30, 0));
    }
}
