//! How the log begins a new life of the daemon: what it says first, and what it does where it is ahead of the clock.
//!
//! A machine without a battery may boot with a clock that is days ahead and have it set right a moment later. What was
//! received meanwhile has receive times ahead of all that follows. The exchange's stamps in it decide: if one of them is
//! later than the clock shows, the log is right, and receive times wait for the clock. Else the clock was ahead. Then those
//! records are put aside in a log of their own, the store takes back what came of them, and both go on under the right day.

use super::{
    clock_watch::{ClockStatus, describe_span},
    daemon::DaemonError,
    day_rules::{self, RunningRules},
    intake::Beginning,
};
use crate::{
    clock::{WAITED_US_MAX, refutes},
    logging::Event,
    market::{Provider, Timestamp, TradingDate},
    spool::{self, Mark, NewRecord, Skip, Spool, SpoolError, SpoolReader},
    store::Checkpoint,
};
use std::ops::ControlFlow;

/// From where on the store takes back what came of records that are ahead: the first day that has any, with the number of
/// the last record before it. `None` if the log is not ahead, or is right.
pub fn find_ahead(spool: &Spool, now: Timestamp) -> Result<Option<Checkpoint>, SpoolError> {
    let last = spool.last_received();
    if last.us_since(now) <= WAITED_US_MAX {
        return Ok(None);
    }
    let mut proof = None;
    spool.look_ahead(now, |record| {
        proof = record
            .frames
            .iter()
            .last()
            .and_then(|frame| record.source.exchange_stamp(frame))
            .filter(|stamp| refutes(*stamp, now));
        if proof.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    if let Some(stamp) = proof {
        log::error!(
            event = Event::ClockWrong;
            "the machine's clock shows {now}, but the exchange has stamped {stamp}: the clock is behind, and receive times \
             stay at {last} until it is there"
        );
        return Ok(None);
    }
    let today = now.date_ist();
    for date in spool::days(spool.directory())?.into_iter().filter(|date| *date >= today) {
        let mut records = SpoolReader::open_own(spool.directory(), date)?;
        if let Some(first) = records.find_map(Result::ok) {
            return Ok(Some(Checkpoint { session_date: today, spool_seq: first.seq - 1 }));
        }
    }
    Ok(None)
}

/// Puts aside what is ahead of the clock, and says so.
pub fn set_ahead_aside(
    spool: &mut Spool,
    now: Timestamp,
    status: &ClockStatus,
) -> Result<Option<Skip>, SpoolError> {
    let Some(set_aside) = spool.set_aside_after(now)? else { return Ok(None) };
    let text = format!(
        "{} records, received from {} to {} by a clock that was up to {} ahead, count for no day: they are kept in {}",
        set_aside.records,
        set_aside.first_received,
        set_aside.last_received,
        describe_span(set_aside.last_received.us_since(now)),
        set_aside.directory.display()
    );
    log::warn!(
        event = Event::ClockAhead, records = set_aside.records, path:% = set_aside.directory.display();
        "{text}"
    );
    status.note_set_aside(text);
    Ok(Some(Skip::SetAside { first_seq: set_aside.first_seq, records: set_aside.records }))
}

/// Has the log's numbers go on behind those that the store contains.
pub fn catch_up(spool: &mut Spool, checkpoint: Option<Checkpoint>) -> Option<Skip> {
    let Checkpoint { session_date: session, spool_seq: store_seq } =
        checkpoint.filter(|checkpoint| spool.next_seq() <= checkpoint.spool_seq)?;
    log::warn!(
        event = Event::SpoolBehind, seq = store_seq, session:%;
        "the store contains the log up to record {store_seq}, but the log ends before: was the spool directory moved?"
    );
    spool.skip_numbers_to(store_seq);
    Some(Skip::BehindStore { store_seq, session })
}

/// The day of the next record: receive times never go back.
pub fn first_day(spool: &Spool, now: Timestamp) -> TradingDate {
    now.max(spool.last_received()).date_ist()
}

/// Says in the log by which rules the day is judged from here on, and that a new life begins, with the reason where its numbers do not
/// follow those before: what was up before is not any more; an operator's order holds on.
pub fn begin_log(
    mut spool: Spool,
    skip: Option<Skip>,
    now: Timestamp,
    rules: &RunningRules,
    forced: Option<Provider>,
) -> Result<(Spool, Beginning), DaemonError> {
    // First of all, since they may begin a day.
    let date = first_day(&spool, now);
    let rules = rules.of(date);
    spool.append(&mut NewRecord::mark(now, &Mark::Rules { rules: rules.clone() }))?;
    if let Err(error) = day_rules::keep(spool.directory(), date, &rules) {
        log::warn!("what a further start today is to go on with cannot be kept beside the log: {error}");
    }
    let version = env!("CARGO_PKG_VERSION").to_owned();
    let mut started = NewRecord::mark(now, &Mark::Started { version, skip });
    spool.append(&mut started)?;
    if let Some(provider) = forced {
        spool.append(&mut NewRecord::mark(now, &Mark::failover(forced)))?;
        log::info!(event = Event::FailoverOrdered, forced:% = provider; "{provider} is still forced, as an operator ordered before the start");
    }
    Ok((spool, Beginning { date: started.received_time.date_ist(), forced }))
}
