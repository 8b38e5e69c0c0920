//! Where the pipeline leaves the latest state for readers, and who is told of what happens.
//!
//! Readers and watchers never hold the recorder up: a watcher whose queue is full is told how much it missed.

use crate::{
    actor::{ChildError, Lease},
    clock::Clock,
    control::{ChainResponse, ChainRow, ChainSide, ControlError, RowState, Update, WallTime, WatchRequest},
    engine::Observation,
    live::{Directory, Listings, LiveQuote, LiveTable, LiveWriter, RedisPublisher, RedisStatus},
    market::{
        Bucket, BucketRow, BucketState, Contract, InstrumentId, InstrumentKind, OptionType, Price, Timestamp,
        TradingDate,
    },
    pipeline::{LiveSink, Pipeline},
    store::Batch,
};
use rustc_hash::FxHashSet;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::sync::mpsc::{self, error::TrySendError};

/// Updates a watcher may be behind.
const UPDATES_MAX: usize = 4_096;
/// Watchers at once; every one costs the recorder a little.
const WATCHERS_MAX: usize = 16;

/// Contracts a process can show over its life; memory is taken as they come.
const SLOTS_MAX: u32 = 1 << 20;

/// A recorder that has worked nothing off for so long in a session stands still: the clock alone gives it a record a minute.
const STANDS_STILL_US: i64 = 120_000_000;

/// Shared by the recorder, the publisher and the control side. Cheap to clone.
#[derive(Clone)]
pub struct LiveState {
    table: Arc<LiveTable>,
    directory: Directory,
    redis: Option<Arc<RedisStatus>>,
    watchers: Arc<Mutex<Vec<Watcher>>>,
    unwitnessed: Arc<Mutex<Arc<Unwitnessed>>>,
}

/// Whose latest values are nothing but that: no provider proves that they still hold.
#[derive(Debug, Default)]
pub struct Unwitnessed {
    /// Of the session whose values were due already: those of days before are no longer any.
    session: Option<TradingDate>,
    instruments: FxHashSet<InstrumentId>,
    /// After this nothing is known of any: in a session, the pipeline has not gone on since long before.
    holds_until: Option<Timestamp>,
}

impl Unwitnessed {
    /// As of the pipeline's time.
    pub fn of(pipeline: &Pipeline) -> Unwitnessed {
        let now = pipeline.last_received();
        let hours = pipeline.day().map(|day| day.hours());
        let begun = hours.filter(|hours| hours.open <= now);
        let stands_still_us = STANDS_STILL_US.max(2 * pipeline.silence_min_us());
        let holds_until = begun.filter(|hours| now < hours.close).map(|_| now.plus_us(stands_still_us));
        Unwitnessed {
            holds_until,
            session: begun.map(|hours| hours.open.date_ist()),
            instruments: pipeline.unwitnessed_contracts(now).into_iter().collect(),
        }
    }

    fn has(&self, instrument: InstrumentId, quote: &LiveQuote, now: Timestamp) -> bool {
        let is_of_before = self.session.is_some_and(|session| quote.event_time.date_ist() < session);
        let is_unknown = self.holds_until.is_some_and(|until| until < now);
        is_of_before || is_unknown || self.instruments.contains(&instrument)
    }
}

struct Watcher {
    underlying: Option<String>,
    updates: mpsc::Sender<Update>,
    lost: u64,
}

impl Watcher {
    fn wants(&self, contract: &Contract) -> bool {
        self.underlying.as_deref().is_none_or(|underlying| underlying == &*contract.underlying)
    }

    /// False once nobody listens any more.
    fn tell(&mut self, update: Update) -> bool {
        if self.lost > 0 {
            match self.updates.try_send(Update::Lost { count: self.lost }) {
                Ok(()) => self.lost = 0,
                Err(TrySendError::Full(_)) => {
                    self.lost += 1;
                    return true;
                }
                Err(TrySendError::Closed(_)) => return false,
            }
        }
        match self.updates.try_send(update) {
            Ok(()) => true,
            Err(TrySendError::Full(_)) => {
                self.lost = 1;
                true
            }
            Err(TrySendError::Closed(_)) => false,
        }
    }
}

impl LiveState {
    /// `has_redis` says whether a publisher is going to run.
    pub fn new(has_redis: bool) -> LiveState {
        LiveState {
            table: LiveTable::new(SLOTS_MAX),
            directory: Directory::new(),
            redis: has_redis.then(Arc::default),
            watchers: Arc::default(),
            unwitnessed: Arc::default(),
        }
    }

    /// Replaces what was said of unwitnessed contracts before.
    pub fn set_unwitnessed(&self, unwitnessed: Unwitnessed) {
        *self.unwitnessed.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(unwitnessed);
    }

    fn unwitnessed(&self) -> Arc<Unwitnessed> {
        Arc::clone(&self.unwitnessed.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn watchers(&self) -> MutexGuard<'_, Vec<Watcher>> {
        self.watchers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The recorder's end, taken from the incarnation before: what that one may still write is refused.
    pub fn sink(&self, lease: &Lease) -> RecorderEnd {
        RecorderEnd {
            live: self.clone(),
            lease: lease.clone(),
            writer: self.table.take_over_writer(),
            listed: self.directory.snapshot().entries().len(),
            enrolled: Vec::new(),
        }
    }

    /// Publishes to Redis until told to stop.
    ///
    /// # Errors
    /// The address is not usable.
    pub async fn publish(self, url: String, clock: Clock, lease: Lease) -> Result<(), ChildError> {
        // An incarnation that was given up finds nothing to publish any more.
        let cursor = self.table.take_over_dirty_cursor();
        let status = self.redis.clone().unwrap_or_default();
        let publisher = RedisPublisher::new(&url, cursor, self.directory.clone(), clock, status)?;
        publisher
            .run(async {
                let _ = lease.stopping().await;
            })
            .await;
        Ok(())
    }

    /// Where the latest state is kept, in a word.
    pub fn describe(&self) -> String {
        match &self.redis {
            None => "memory".to_owned(),
            Some(status) if status.is_connected() => "redis".to_owned(),
            Some(_) => "redis away".to_owned(),
        }
    }

    /// How many underlyings have options that are watched and expire on `date` or later.
    pub fn count_underlyings(&self, date: TradingDate) -> u64 {
        self.directory.snapshot().count_underlyings(date) as u64
    }

    /// The expiries on `date` or later of an underlying's options, nearest first.
    pub fn expiries(&self, underlying: &str, date: TradingDate) -> Vec<TradingDate> {
        self.directory.snapshot().expiries(underlying).filter(|expiry| *expiry >= date).collect()
    }

    /// The chain as it stands at `now`, values that nothing proves any more as missing; `None` where nothing live is known of it.
    pub fn chain(
        &self,
        underlying: &str,
        expiry: TradingDate,
        expiries: &[TradingDate],
        now: Timestamp,
    ) -> Option<ChainResponse> {
        let (listings, unwitnessed) = (self.directory.snapshot(), self.unwitnessed());
        let mut rows: BTreeMap<Price, ChainRow> = BTreeMap::new();
        let mut time: Option<Timestamp> = None;
        let mut providers = BTreeSet::new();
        for slot in listings.chain(underlying, expiry) {
            let entry = listings.entry(*slot)?;
            let InstrumentKind::Option { strike, option_type, .. } = entry.contract.kind else {
                continue;
            };
            let row =
                rows.entry(strike).or_insert(ChainRow { strike_e4: strike.as_e4(), call: None, put: None });
            let side = match option_type {
                OptionType::Call => &mut row.call,
                OptionType::Put => &mut row.put,
            };
            let Some(quote) = self.table.read(*slot) else {
                *side = Some(ChainSide::UNSEEN);
                continue;
            };
            time = time.max(Some(quote.event_time));
            providers.insert(quote.provider.to_string());
            *side = Some(live_side(&quote, unwitnessed.has(entry.instrument, &quote, now)));
        }
        let level_e4 = listings.underlying(underlying).and_then(|slot| {
            let quote = self.table.read(slot)?;
            let is_known = !unwitnessed.has(listings.entry(slot)?.instrument, &quote, now);
            quote.last_price.filter(|_| is_known).map(Price::as_e4)
        });
        Some(ChainResponse {
            underlying: underlying.to_owned(),
            expiry,
            expiries: expiries.to_vec(),
            time: WallTime(time?),
            live: true,
            level_e4,
            providers: providers.into_iter().collect(),
            rows: rows.into_values().collect(),
        })
    }

    /// # Errors
    /// [`ControlError::UnknownUnderlying`], or [`ControlError::Unavailable`] with too many watchers.
    pub fn watch(&self, request: WatchRequest) -> Result<mpsc::Receiver<Update>, ControlError> {
        if let Some(underlying) = &request.underlying {
            let listings = self.directory.snapshot();
            let known: BTreeSet<&str> = listings.underlyings().collect();
            if !known.contains(underlying.as_str()) {
                let known = known.into_iter().map(str::to_owned).collect();
                return Err(ControlError::UnknownUnderlying { underlying: underlying.clone(), known });
            }
        }
        let mut watchers = self.watchers();
        watchers.retain(|watcher| !watcher.updates.is_closed());
        if watchers.len() >= WATCHERS_MAX {
            return Err(ControlError::Unavailable {
                reason: format!("{WATCHERS_MAX} others are watching already"),
            });
        }
        let (updates, receiver) = mpsc::channel(UPDATES_MAX);
        watchers.push(Watcher { underlying: request.underlying, updates, lost: 0 });
        Ok(receiver)
    }

    /// Tells whoever watches what a turn of the pipeline brought.
    pub fn tell_watchers(&self, batch: &Batch) {
        if self.watchers().is_empty() {
            return;
        }
        let listings = self.directory.snapshot();
        // One update at a time: whoever begins to watch waits on the control side's thread.
        let tell = |contract: &Contract, update: Update| {
            self.watchers().retain_mut(|watcher| !watcher.wants(contract) || watcher.tell(update.clone()));
        };
        for delta in &batch.deltas {
            let Some(contract) = listings.contract_of(delta.instrument) else { continue };
            let update = Update::Delta {
                contract: contract.to_string(),
                event_time: WallTime(delta.event_time),
                old_open_interest: delta.old_open_interest,
                new_open_interest: delta.new_open_interest,
                delta: delta.delta(),
                last_price_e4: None,
                provider: delta.provider.to_string(),
            };
            tell(contract, update);
        }
        for (contract, update) in closed_buckets(&batch.buckets, &listings) {
            tell(contract, update);
        }
    }
}

/// One update for each bucket of an underlying's contracts that closed; corrections of closed ones are left out.
fn closed_buckets<'a>(rows: &[BucketRow], listings: &'a Listings) -> Vec<(&'a Contract, Update)> {
    /// Open interest of calls and puts; rows live, carried and missing.
    #[derive(Default)]
    struct Sums {
        open_interest: [i64; 2],
        states: [u64; 3],
    }
    let mut sums: BTreeMap<(Bucket, &str), (&Contract, Sums)> = BTreeMap::new();
    for row in rows.iter().filter(|row| row.revision == 0) {
        let Some(contract) = listings.contract_of(row.instrument) else { continue };
        let Some(side) = option_side(contract) else { continue };
        let key = (row.bucket, &*contract.underlying);
        let (_, Sums { open_interest, states }) = sums.entry(key).or_insert((contract, Sums::default()));
        open_interest[side] += row.open_interest.unwrap_or(0);
        match row.state {
            BucketState::Live | BucketState::Backfilled => states[0] += 1,
            BucketState::Carried => states[1] += 1,
            BucketState::Missing => states[2] += 1,
            BucketState::Unlisted => {}
        }
    }
    let updates =
        sums.into_iter().map(|((bucket, underlying), (contract, Sums { open_interest, states }))| {
            let update = Update::Bucket {
                underlying: underlying.to_owned(),
                bucket: WallTime(bucket.start()),
                level_e4: None,
                call_open_interest: open_interest[0],
                put_open_interest: open_interest[1],
                live: states[0],
                carried: states[1],
                missing: states[2],
            };
            (contract, update)
        });
    updates.collect()
}

/// 0 for calls, 1 for puts.
fn option_side(contract: &Contract) -> Option<usize> {
    match contract.kind {
        InstrumentKind::Option { option_type, .. } => Some(option_type as usize),
        _ => None,
    }
}

fn live_side(quote: &LiveQuote, is_unwitnessed: bool) -> ChainSide {
    ChainSide {
        open_interest: quote.open_interest,
        open_interest_change: quote.open_interest_change(),
        volume: quote.volume,
        last_price_e4: quote.last_price.map(Price::as_e4),
        bid_e4: quote.bid.map(Price::as_e4),
        ask_e4: quote.ask.map(Price::as_e4),
        implied_volatility_e4: quote.implied_volatility_e4,
        state: if is_unwitnessed { RowState::Missing } else { RowState::Live },
        provider: Some(quote.provider.to_string()),
        event_time: Some(WallTime(quote.event_time)),
    }
}

/// Takes the latest state from the pipeline.
///
/// It alone appends to the directory, so it knows the slots of what it has not appended yet: one change of the
/// directory serves a whole master.
pub struct RecorderEnd {
    live: LiveState,
    lease: Lease,
    writer: LiveWriter,
    listed: usize,
    enrolled: Vec<(InstrumentId, Contract)>,
}

impl LiveSink for RecorderEnd {
    fn enroll(&mut self, contract: &Contract, instrument: InstrumentId) -> u32 {
        if let Some(slot) = self.live.directory.snapshot().slot_of(instrument) {
            return slot;
        }
        let slot = self.listed + self.enrolled.len();
        self.enrolled.push((instrument, contract.clone()));
        slot as u32
    }

    #[inline]
    fn fetch(&self, place: u32) {
        self.writer.fetch(place);
    }

    fn write(&mut self, place: u32, latest: &Observation, previous_open_interest: Option<i64>) {
        let Some(provider) = latest.provider() else { return };
        let quote = LiveQuote {
            event_time: latest.event_time(),
            received_time: latest.received_time(),
            last_price: latest.last_price(),
            open_interest: latest.open_interest(),
            previous_open_interest,
            volume: latest.volume(),
            bid: latest.bid(),
            ask: latest.ask(),
            implied_volatility_e4: latest.implied_volatility_e4(),
            provider,
        };
        // A table that is full shows the first million contracts; the record holds all of them. One that was taken over is
        // another incarnation's.
        let _ = self.writer.stage(place, &quote);
    }

    fn begin_day(&mut self, date: TradingDate) {
        if !self.lease.is_current() {
            return;
        }
        self.live.directory.set_date(date);
    }

    fn settle(&mut self) {
        self.writer.settle();
        if self.enrolled.is_empty() || !self.lease.is_current() {
            return;
        }
        // A master's worth of room is not needed again before the next day.
        self.live.directory.append(std::mem::take(&mut self.enrolled));
        self.listed = self.live.directory.snapshot().entries().len();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::market::{Exchange, Provider};

    #[test]
    fn a_chain_marks_what_no_provider_proves_any_more() {
        let date = TradingDate::from_ymd_opt(2026, 1, 30).expect("a date");
        let expiry = TradingDate::from_ymd_opt(2026, 2, 3).expect("a date");
        let noon = Timestamp::on(date, chrono::NaiveTime::from_hms_opt(12, 0, 0).expect("a time"));
        let strike = Price::from_e4(250_000_000);
        let option =
            |option_type, strike| Contract::option(Exchange::Nse, "NIFTY", expiry, strike, option_type);
        let (index, call) = (Contract::index(Exchange::Nse, "NIFTY"), option(OptionType::Call, strike));
        let put = option(OptionType::Put, strike);
        let other = option(OptionType::Call, Price::from_e4(250_500_000));
        let unseen = option(OptionType::Put, Price::from_e4(250_500_000));
        let live = LiveState::new(false);
        let mut sink = live.sink(&Lease::detached("recorder"));
        for (number, contract) in [&index, &call, &put, &other, &unseen].into_iter().enumerate() {
            sink.enroll(contract, InstrumentId(number as u32));
        }
        sink.settle();
        for (place, event_time) in [(0, noon), (1, noon), (2, noon), (3, noon.plus_seconds(-86_400))] {
            let quote = LiveQuote {
                event_time,
                received_time: event_time,
                last_price: Some(strike),
                open_interest: Some(650),
                previous_open_interest: None,
                volume: Some(65),
                bid: None,
                ask: None,
                implied_volatility_e4: None,
                provider: Provider::AngelOne,
            };
            let _ = sink.writer.stage(place, &quote);
        }
        sink.settle();
        let now = std::cell::Cell::new(Timestamp::from_us(1_769_745_000_000_000));
        let states = || {
            let chain = live.chain("NIFTY", expiry, &[expiry], now.get()).expect("it is known");
            let sides = chain.rows.iter().flat_map(|row| [&row.call, &row.put]);
            let states: Vec<RowState> =
                sides.map(|side| side.as_ref().expect("it is watched").state).collect();
            (states, chain.level_e4)
        };
        let unwitnessed = |session, numbers: &[u32]| {
            let instruments = numbers.iter().map(|number| InstrumentId(*number)).collect();
            live.set_unwitnessed(Unwitnessed { session, instruments, holds_until: Some(now.get()) });
        };
        use RowState::{Live, Missing};
        assert_eq!(states(), (vec![Live, Live, Live, Missing], Some(250_000_000)));
        unwitnessed(Some(date), &[2]);
        assert_eq!(states(), (vec![Live, Missing, Missing, Missing], Some(250_000_000)));
        unwitnessed(Some(date), &[0, 1, 2]);
        assert_eq!(states(), (vec![Missing, Missing, Missing, Missing], None));
        unwitnessed(Some(date), &[]);
        assert_eq!(states().0, [Live, Live, Missing, Missing]);
        now.set(now.get().plus_us(1));
        assert_eq!(states(), (vec![Missing; 4], None), "the recorder stands still");
    }
}
