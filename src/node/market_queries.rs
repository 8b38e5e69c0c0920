//! What is asked about the market: chain, open interest, deltas, candles and coverage, from the store; the chain of this
//! moment from memory.
//!
//! Whatever reads the store is work for a thread of the [`super::reading_room`].

use super::{
    control_child::ControlChild,
    day_rules,
    unstated::{Unstated, unstated},
};
use crate::{
    calendar::Session,
    clock::Clock,
    config::Config,
    control::{
        CandleRow, CandlesRequest, CandlesResponse, ChainRequest, ChainResponse, ChainRow, ChainSide,
        ControlError, CoverageGap, CoverageRequest, CoverageResponse, CoverageRow, DeltaRow, DeltasRequest,
        DeltasResponse, LocalTime, OpenInterestRequest, OpenInterestResponse, OpenInterestRow, Request,
        Response, WallTime,
    },
    market::{
        Bucket, BucketState, CandleInterval, Contract, ContractError, InstrumentKind, Price, Provider,
        Timestamp, TradingDate,
    },
    pipeline::PipelineSettings,
    spool::{self, SessionData, SpoolError},
    store::{BucketStates, DeltaFilter, InstrumentRow, Reader, Side, StoreError},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

fn unavailable(error: StoreError) -> ControlError {
    ControlError::Unavailable { reason: error.to_string() }
}

impl ControlChild {
    pub(super) fn record(&self) -> RecordQueries {
        let (config, settings) = (Arc::clone(&self.config), self.settings.clone());
        RecordQueries { config, settings, clock: self.clock.clone() }
    }

    /// The chain of this moment, where it is asked for and something live is known of it.
    pub(super) fn live_chain(&self, request: &ChainRequest) -> Option<ChainResponse> {
        if request.at.is_some() {
            return None;
        }
        let expiries = self.live.expiries(&request.underlying, self.clock.now().date_ist());
        let expiry = match request.expiry {
            Some(expiry) => expiries.contains(&expiry).then_some(expiry)?,
            None => *expiries.first()?,
        };
        self.live.chain(&request.underlying, expiry, &expiries, self.clock.now())
    }
}

/// Questions to the record. Cheap to clone, and tied to no child.
#[derive(Clone)]
pub(super) struct RecordQueries {
    /// What the daemon was started with.
    config: Arc<Config>,
    settings: PipelineSettings,
    clock: Clock,
}

impl RecordQueries {
    /// Answers what only the record can answer.
    pub(super) async fn answer(self, request: Request) -> Result<Response, ControlError> {
        let verb = request.verb();
        match request {
            Request::Chain(request) => self.show_chain(request).await.map(Response::Chain),
            Request::OpenInterest(request) => {
                self.show_open_interest(request).await.map(Response::OpenInterest)
            }
            Request::Deltas(request) => self.show_deltas(request).await.map(Response::Deltas),
            Request::Candles(request) => self.show_candles(request).await.map(Response::Candles),
            Request::Coverage(request) => self.show_coverage(request).await.map(Response::Coverage),
            Request::JobHistory(request) => self.show_job_history(&request).await.map(Response::JobHistory),
            _ => Err(ControlError::NoData { reason: format!("the record does not tell {}", verb.name()) }),
        }
    }

    fn today(&self) -> TradingDate {
        self.clock.now().date_ist()
    }

    pub(super) async fn reader(&self) -> Result<Reader, ControlError> {
        Reader::open(&self.config.store.url).await.map_err(unavailable)
    }

    /// The instant that is asked about, now if none is named.
    fn instant(&self, at: Option<LocalTime>) -> Result<Timestamp, ControlError> {
        let now = self.clock.now();
        let at = at.map_or(now, |at| at.resolve(self.today()));
        match at > now {
            true => Err(ControlError::NoData { reason: format!("{at} lies ahead: it is {now}") }),
            false => Ok(at),
        }
    }

    async fn show_chain(&self, request: ChainRequest) -> Result<ChainResponse, ControlError> {
        let reader = self.reader().await?;
        let date = request.at.and_then(|at| at.date).unwrap_or_else(|| self.today());
        let listed = reader.listed_expiries(date).await.map_err(unavailable)?;
        let Some(expiries) = listed.get(&request.underlying) else {
            return Err(self.unlisted(&request.underlying, listed.into_keys().collect(), date));
        };
        let expiries: Vec<TradingDate> = expiries.range(date..).copied().collect();
        let expiry = match request.expiry {
            Some(expiry) if expiries.contains(&expiry) => expiry,
            Some(expiry) => {
                return Err(ControlError::UnknownExpiry {
                    underlying: request.underlying,
                    expiry,
                    known: expiries,
                });
            }
            None => *expiries.first().ok_or_else(|| ControlError::NoData {
                reason: format!("{} has no expiry on or after {date}", request.underlying),
            })?,
        };
        let at = self.instant(request.at)?;
        // The chain as it stood: the last bucket that had ended by then.
        let until = at.plus_us(-Bucket::LENGTH_US);
        let rows = reader.chain_at(&request.underlying, Some(expiry), until).await.map_err(unavailable)?;
        let Some(first) = rows.first() else {
            return Err(ControlError::NoData {
                reason: format!("no bucket of {} {expiry} had ended by {at}", request.underlying),
            });
        };
        let providers: BTreeSet<String> =
            rows.iter().filter_map(|row| row.provider).map(|provider| provider.to_string()).collect();
        Ok(ChainResponse {
            underlying: request.underlying,
            expiry,
            expiries,
            time: WallTime(first.bucket.end()),
            live: false,
            level_e4: first.index.map(|index| index.close.as_e4()),
            providers: providers.into_iter().collect(),
            rows: rows
                .iter()
                .map(|row| ChainRow {
                    strike_e4: row.strike.as_e4(),
                    call: row.call.map(|side| stored_side(side, row.provider)),
                    put: row.put.map(|side| stored_side(side, row.provider)),
                })
                .collect(),
        })
    }

    async fn show_open_interest(
        &self,
        request: OpenInterestRequest,
    ) -> Result<OpenInterestResponse, ControlError> {
        let (text, date) = (&request.contract, request.date.unwrap_or_else(|| self.today()));
        let contract: Contract = text.parse().map_err(|error: ContractError| {
            ControlError::UnknownContract { contract: text.clone(), hint: format!("write {}", error.allowed) }
        })?;
        let rows = self.reader().await?.oi_history(&contract, date).await.map_err(unavailable)?;
        if rows.is_empty() {
            self.check_watched(&contract.underlying, date).await?;
            return Err(ControlError::NoData { reason: format!("{contract} has no bucket on {date}") });
        }
        let rows = rows.into_iter().map(|row| OpenInterestRow {
            bucket: WallTime(row.bucket.start()),
            open_interest: row.open_interest,
            open_interest_change: row.open_interest_change,
            oi_base: row.oi_base.map(|base| base.to_string()),
            last_price_e4: row.last_price.map(Price::as_e4),
            volume: row.volume,
            state: row.state.into(),
            provider: row.provider.map(|provider| provider.to_string()),
            revision: u32::from(row.revision),
        });
        Ok(OpenInterestResponse { contract: contract.to_string(), date, rows: rows.collect() })
    }

    /// As the chain refuses an underlying; on a day without any nothing is said of this one.
    async fn check_watched(&self, underlying: &str, date: TradingDate) -> Result<(), ControlError> {
        let listed = self.reader().await?.listed_expiries(date).await.map_err(unavailable)?;
        if listed.contains_key(underlying) {
            return Ok(());
        }
        match self.unlisted(underlying, listed.into_keys().collect(), date) {
            ControlError::UnknownUnderlying { known, .. } if known.is_empty() => Ok(()),
            refusal => Err(refusal),
        }
    }

    /// Why an underlying has no contracts on a date.
    fn unlisted(&self, underlying: &str, known: Vec<String>, date: TradingDate) -> ControlError {
        match self.watched(date) {
            Err(error) => error,
            Ok(watched) if watched.iter().any(|name| name == underlying) => ControlError::NoData {
                reason: format!(
                    "{underlying} is watched, but no provider has listed an option of it on {date}"
                ),
            },
            Ok(_) => ControlError::UnknownUnderlying { underlying: underlying.to_owned(), known },
        }
    }

    /// What was to be recorded on a date, as its log says; of a day to come, as this daemon was started with.
    fn watched(&self, date: TradingDate) -> Result<Vec<String>, ControlError> {
        let rules = day_rules::read(&self.config.spool.dir, date)
            .map_err(|error| ControlError::Unavailable { reason: error.to_string() })?;
        let universe = match rules {
            Some(rules) => rules.universe,
            None if date >= self.today() => self.settings.watch.underlyings.clone(),
            None => Vec::new(),
        };
        Ok(universe.into_iter().map(|entry| entry.underlying).collect())
    }

    /// That no row of a change was found means no change only where something is known.
    async fn check_known(&self, filter: &DeltaFilter, date: TradingDate) -> Result<(), ControlError> {
        let no_data = |reason: String| Err(ControlError::NoData { reason });
        let is_known = |state| !matches!(state, BucketState::Missing | BucketState::Unlisted);
        let reader = self.reader().await?;
        let mut states = reader.bucket_states(date).await.map_err(unavailable)?;
        if states.is_empty() {
            let reason = self.unwritten(date).await?;
            return no_data(reason.unwrap_or_else(|| format!("no bucket was recorded on {date}")));
        }
        let (what, found): (String, Vec<BucketState>) = match (&filter.contract, &filter.underlying) {
            (Some(contract), _) => {
                let rows = reader.oi_history(contract, date).await.map_err(unavailable)?;
                if rows.is_empty() {
                    self.check_watched(&contract.underlying, date).await?;
                }
                (contract.to_string(), rows.iter().map(|row| row.state).collect())
            }
            (None, Some(underlying)) => {
                states.retain(|row| row.underlying == *underlying);
                if states.is_empty() {
                    self.check_watched(underlying, date).await?;
                }
                (underlying.clone(), states.iter().map(|row| row.state).collect())
            }
            (None, None) => ("any contract".to_owned(), states.iter().map(|row| row.state).collect()),
        };
        match found.iter().any(|state| is_known(*state)) {
            true => Ok(()),
            false if found.is_empty() => no_data(format!("{what} has no bucket on {date}")),
            false => no_data(format!(
                "no bucket of {what} on {date} is known, nor whether the open interest changed"
            )),
        }
    }

    async fn show_deltas(&self, request: DeltasRequest) -> Result<DeltasResponse, ControlError> {
        let date = request.date.unwrap_or_else(|| self.today());
        let limit = request.limit();
        let contract = match &request.contract {
            Some(text) => {
                Some(text.parse().map_err(|error: ContractError| ControlError::UnknownContract {
                    contract: text.clone(),
                    hint: format!("write {}", error.allowed),
                })?)
            }
            None => None,
        };
        let midnight = Timestamp::on(date, chrono::NaiveTime::MIN);
        let filter = DeltaFilter {
            underlying: request.underlying,
            contract,
            from: Some(midnight),
            until: Some(midnight.plus_seconds(86_400)),
        };
        // One more than asked for tells whether there are more.
        let mut rows = self.reader().await?.deltas(&filter, limit as u32 + 1).await.map_err(unavailable)?;
        if rows.is_empty() {
            self.check_known(&filter, date).await?;
        }
        let truncated = rows.len() > limit;
        rows.truncate(limit);
        let rows = rows.into_iter().map(|row| DeltaRow {
            contract: row.symbol,
            event_time: WallTime(row.delta.event_time),
            old_open_interest: row.delta.old_open_interest,
            new_open_interest: row.delta.new_open_interest,
            delta: row.delta.delta(),
            provider: row.delta.provider.to_string(),
            received_time: WallTime(row.delta.received_time),
        });
        Ok(DeltasResponse { date, rows: rows.collect(), truncated })
    }

    async fn show_candles(&self, request: CandlesRequest) -> Result<CandlesResponse, ControlError> {
        let interval_minutes = request.interval_minutes();
        let (symbol, date) = (request.symbol, request.date.unwrap_or_else(|| self.today()));
        let interval = CandleInterval::from_minutes(i64::from(interval_minutes))
            .ok_or_else(|| ControlError::invalid("interval_minutes", "allowed are 3, 5 and 1440"))?;
        let rows = self.reader().await?.candles(&symbol, interval, date).await.map_err(unavailable)?;
        let contract = symbol.parse::<Contract>().ok();
        if rows.is_empty() {
            let underlying = contract.as_ref().map_or(symbol.as_str(), |contract| &contract.underlying);
            self.check_watched(underlying, date).await?;
            return Err(ControlError::NoData {
                reason: format!("{symbol} has no {interval_minutes}-minute candle on {date}"),
            });
        }
        let rows = rows.into_iter().map(|row| CandleRow {
            start: WallTime(row.start),
            open_e4: row.open.as_e4(),
            high_e4: row.high.as_e4(),
            low_e4: row.low.as_e4(),
            close_e4: row.close.as_e4(),
            volume: known_volume(contract.as_ref(), row.volume),
            provider: row.provider.to_string(),
            revision: u32::from(row.revision),
            resolve_required: row.resolve_required,
        });
        Ok(CandlesResponse { symbol, interval_minutes, date, rows: rows.collect() })
    }

    /// Of a day before today that the store has no row of: whether its log has data of its session.
    async fn unwritten(&self, date: TradingDate) -> Result<Option<String>, ControlError> {
        if date >= self.today() {
            return Ok(None);
        }
        let by_calendar = self.settings.session_times(date);
        let unreadable = |error: SpoolError| ControlError::Unavailable { reason: error.to_string() };
        match spool::session_data(&self.config.spool.dir, date, by_calendar).map_err(unreadable)? {
            SessionData::OfRules => {}
            SessionData::Nothing => return Ok(None),
            SessionData::OfCalendar => {
                return Ok(Some(format!(
                    "the log has data of the session that the calendar has on {date}, but the day was recorded without one, so \
                     the store has no row of it"
                )));
            }
        }
        let reached = self.reader().await?.checkpoint_days().await.map_err(unavailable)?;
        let why = match reached.last().is_some_and(|last| date < *last) {
            false => "as it is still being read".to_owned(),
            true if reached.contains(&date) => format!(
                "although it was read: its rows were deleted since, or it gives none; `bhavctl replay verify {date}` shows which"
            ),
            true => format!(
                "because it was filled while that log was away: a start of bhavd writes such a day from its log, or `bhavctl status` \
                 says why it cannot; `bhavctl replay verify {date}` shows what the store lacks"
            ),
        };
        let has = format!("the log has data of the session of {date}, but the store has no row of it, {why}");
        Ok(Some(has))
    }

    /// Of the last session that has begun, where no date is given. A session without any row is missing as a whole.
    async fn show_coverage(&self, request: CoverageRequest) -> Result<CoverageResponse, ControlError> {
        let now = self.clock.now();
        let calendar = &self.settings.calendar;
        let last = || calendar.last_session(now).map(|session| session.date);
        let date = request.date.or_else(last).ok_or_else(|| ControlError::NoData {
            reason: "the calendar has no session before today; give a date".to_owned(),
        })?;
        let reader = self.reader().await?;
        let mut states = reader.bucket_states(date).await.map_err(unavailable)?;
        if !states.is_empty() {
            let mut pending = Vec::new();
            if let Some(session) = calendar.session(date) {
                let contracts = reader.contracts_of(date).await.map_err(unavailable)?;
                let due;
                (due, pending) = self.unstated(&session, now, &contracts, &states);
                states = merged(states, due);
            }
            return self.with_unlisted(summarise_coverage(date, &states, &pending));
        }
        let no_data = |reason: String| ControlError::NoData { reason };
        if let Some(reason) = self.unwritten(date).await? {
            return Err(no_data(reason));
        }
        let session = calendar.session(date).ok_or_else(|| {
            let name = calendar.name(date).map(|name| format!(" ({name})")).unwrap_or_default();
            no_data(format!("{date} has no session by the calendar{name}, and no bucket was recorded on it"))
        })?;
        if session.buckets().next().is_none_or(|first| first.end() > now) {
            return Err(no_data(format!("no bucket of the session of {date} has ended yet")));
        }
        let seen_since = reader.last_recorded(date).await.map_err(unavailable)?.unwrap_or(date);
        let expected = reader.contracts_expected(date, seen_since).await.map_err(unavailable)?;
        if expected.is_empty() {
            return Err(no_data(format!(
                "no bucket was recorded on {date}, and the store has no contract that was listed then"
            )));
        }
        let (due, pending) = self.unstated(&session, now, &expected, &[]);
        self.with_unlisted(summarise_coverage(date, &merged(Vec::new(), due), &pending))
    }

    /// What of these contracts is over and has no row: what should have one, as missing, and what may still get it.
    fn unstated(
        &self,
        session: &Session,
        now: Timestamp,
        contracts: &[InstrumentRow],
        stated: &[BucketStates],
    ) -> (Vec<BucketStates>, Vec<Unstated>) {
        let silence_min_us = self.settings.silence_min_us;
        let all = unstated(session, now, contracts, stated).into_iter();
        let (due, pending): (Vec<_>, Vec<_>) = all.partition(|found| found.is_due(silence_min_us, now));
        // What was to be recorded and has no row is not known, whatever keeps the rows away.
        (due.into_iter().map(Unstated::missing).collect(), pending)
    }

    /// Names what was watched and has no contract to count.
    fn with_unlisted(&self, mut coverage: CoverageResponse) -> Result<CoverageResponse, ControlError> {
        let mut watched = self.watched(coverage.date)?;
        watched.retain(|name| name != "*" && !coverage.rows.iter().any(|row| row.underlying == *name));
        coverage.never_listed = watched;
        Ok(coverage)
    }
}

/// Of an index no source has a volume, and of a share not every one: 0 says that it is not known.
fn known_volume(contract: Option<&Contract>, volume: i64) -> Option<i64> {
    let is_underlying = contract
        .is_some_and(|contract| matches!(contract.kind, InstrumentKind::Index | InstrumentKind::Equity));
    (volume != 0 || !is_underlying).then_some(volume)
}

fn stored_side(side: Side, provider: Option<Provider>) -> ChainSide {
    ChainSide {
        open_interest: side.open_interest,
        open_interest_change: side.open_interest_change,
        volume: side.volume,
        last_price_e4: side.last_price.map(Price::as_e4),
        bid_e4: side.bid.map(Price::as_e4),
        ask_e4: side.ask.map(Price::as_e4),
        implied_volatility_e4: side.implied_volatility_e4,
        state: side.state.into(),
        provider: provider.map(|provider| provider.to_string()),
        event_time: None,
    }
}

/// All of them, in the order of underlyings and time, the counts of one state of a bucket together.
fn merged(mut states: Vec<BucketStates>, more: Vec<BucketStates>) -> Vec<BucketStates> {
    states.extend(more);
    states.sort_by(|one, other| {
        (&one.underlying, one.bucket, one.state.code()).cmp(&(
            &other.underlying,
            other.bucket,
            other.state.code(),
        ))
    });
    states.dedup_by(|next, kept| {
        let is_same =
            next.underlying == kept.underlying && (next.bucket, next.state) == (kept.bucket, kept.state);
        kept.contracts += if is_same { next.contracts } else { 0 };
        is_same
    });
    states
}

/// `pending`: what is over and may still get its rows.
fn summarise_coverage(date: TradingDate, states: &[BucketStates], pending: &[Unstated]) -> CoverageResponse {
    const GAPS_MAX: usize = 20;
    let waiting = pending.iter().map(|found| found.bucket);
    let buckets: BTreeSet<Bucket> = states.iter().map(|row| row.bucket).chain(waiting).collect();
    let mut rows: BTreeMap<&str, CoverageRow> = BTreeMap::new();
    let mut per_bucket: BTreeMap<(&str, Bucket), u64> = BTreeMap::new();
    let mut gaps: Vec<CoverageGap> = Vec::new();
    for state in states {
        let contracts = state.contracts.unsigned_abs();
        let row = rows.entry(&state.underlying).or_default();
        row.underlying.clone_from(&state.underlying);
        if state.state != BucketState::Unlisted {
            *per_bucket.entry((&state.underlying, state.bucket)).or_default() += contracts;
        }
        match state.state {
            BucketState::Live => row.live += contracts,
            BucketState::Carried => row.carried += contracts,
            BucketState::Backfilled => row.backfilled += contracts,
            BucketState::Unlisted => row.unlisted += contracts,
            BucketState::Missing => {
                row.missing += contracts;
                let (from, to) = (WallTime(state.bucket.start()), WallTime(state.bucket.end()));
                match gaps.last_mut() {
                    Some(gap)
                        if gap.underlying == state.underlying
                            && gap.contracts == contracts
                            && gap.to == from =>
                    {
                        gap.to = to;
                    }
                    _ => gaps.push(CoverageGap { underlying: state.underlying.clone(), contracts, from, to }),
                }
            }
        }
    }
    for Unstated { underlying, bucket, contracts } in pending {
        let contracts = contracts.unsigned_abs();
        let row = rows.entry(underlying).or_default();
        row.underlying.clone_from(underlying);
        row.pending += contracts;
        *per_bucket.entry((underlying, *bucket)).or_default() += contracts;
    }
    for ((underlying, _), contracts) in per_bucket {
        let row = rows.get_mut(underlying).expect("every counted underlying has a row");
        row.contracts = row.contracts.max(contracts);
    }
    gaps.sort_by_key(|gap| std::cmp::Reverse((gap.to.0.us_since(gap.from.0), gap.contracts)));
    gaps.truncate(GAPS_MAX);
    let (buckets, rows) = (buckets.len() as u64, rows.into_values().collect());
    CoverageResponse { date, buckets, rows, never_listed: Vec::new(), gaps }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        calendar::Calendar,
        clock::Simulation,
        config::StoreSettings,
        market::{BucketRow, Exchange, InstrumentId, OptionType},
        store::{self, Batch, Birth, Store},
    };
    use chrono::NaiveTime;

    /// Hours of 2026 with an earlier end for index contracts that expire.
    const CALENDAR: &str = "years = [2026]\n[[hours]]\nfrom = \"2026-01-01\"\nhours = \"09:15-15:30\"\n\
        expiring_index_close = \"15:00\"\n[holidays]\n2026-01-26 = \"Republic Day\"\n";

    fn day(day: u32) -> TradingDate {
        TradingDate::from_ymd_opt(2026, 1, day).expect("a date")
    }

    fn at(date: TradingDate, hour: u32, minute: u32) -> Timestamp {
        Timestamp::on(date, NaiveTime::from_hms_opt(hour, minute, 0).expect("a time"))
    }

    fn states(bucket: Bucket, states: &[(BucketState, i64)]) -> Vec<BucketStates> {
        let row =
            |(state, contracts)| BucketStates { underlying: "NIFTY".to_owned(), bucket, state, contracts };
        states.iter().copied().map(row).collect()
    }

    #[test]
    fn what_is_not_listed_is_no_part_of_the_whole() {
        let first = Bucket::containing(at(day(30), 9, 15));
        let (live, missing, unlisted) = (BucketState::Live, BucketState::Missing, BucketState::Unlisted);
        let mut rows = states(first, &[(live, 2), (missing, 1), (unlisted, 5)]);
        rows.extend(states(first.next(), &[(live, 3), (missing, 1), (unlisted, 4)]));
        rows.extend(states(first.next().next(), &[(unlisted, 1)]));
        let answer = summarise_coverage(day(30), &rows, &[]);
        let row = &answer.rows[0];
        assert_eq!((row.contracts, row.live, row.missing, row.unlisted), (4, 5, 2, 10));
        assert_eq!((answer.gaps.len(), answer.gaps[0].contracts), (1, 1));
    }

    struct Place {
        queries: RecordQueries,
        _directory: tempfile::TempDir,
    }

    /// Of the 27th, of the bucket that contains a minute after nine.
    fn bucket_row(minute: u32, instrument: u32, open_interest: Option<i64>, state: BucketState) -> BucketRow {
        let bucket = Bucket::containing(at(day(27), 9, minute));
        BucketRow {
            open_interest,
            state,
            provider: open_interest.map(|_| Provider::Nse),
            ..BucketRow::missing(bucket, InstrumentId(instrument))
        }
    }

    /// The moment is 2026-01-30, 09:22. The store has three contracts, recorded on the 27th; one expires on the 28th.
    async fn place() -> Place {
        let directory = tempfile::tempdir().expect("a directory");
        let url = format!("sqlite:{}", directory.path().join("bhavd.sqlite").display());
        let mut store = store::open(&url, Birth::Real).await.expect("opens");
        let mut batch = Batch::new(day(27), 1);
        let option = |underlying: &str, expiry| {
            let strike = Price::from_e4(250_000_000);
            Contract::option(Exchange::Nse, underlying, expiry, strike, OptionType::Call)
        };
        batch.instruments = (1..)
            .zip([option("NIFTY", day(28)), option("NIFTY", day(31)), option("RELIANCE", day(31))])
            .map(|(id, contract)| InstrumentRow {
                id: InstrumentId(id),
                contract,
                lot_size: 65,
                tick_size: Price::from_e4(500),
                first_seen: day(27),
                last_seen: day(27),
            })
            .collect();
        batch.buckets = vec![bucket_row(15, 1, Some(65), BucketState::Live)];
        store.append(&batch).await.expect("is written");
        let mut config = Config { store: StoreSettings { url }, ..Config::default() };
        config.spool.dir = directory.path().join("spool");
        let settings = PipelineSettings {
            calendar: Arc::new(Calendar::load(CALENDAR).expect("a calendar")),
            ..PipelineSettings::of_tests()
        };
        let clock = Clock::simulated(Simulation {
            start: at(day(30), 9, 22),
            real_start: crate::clock::real_now(),
            speed: 0.001,
        });
        let queries = RecordQueries { config: Arc::new(config), settings, clock };
        Place { queries, _directory: directory }
    }

    async fn coverage(place: &Place, date: Option<TradingDate>) -> Result<CoverageResponse, ControlError> {
        place.queries.show_coverage(CoverageRequest { date }).await
    }

    #[tokio::test]
    async fn a_time_to_come_is_not_now() {
        let queries = place().await.queries;
        let instant = |text: &str| queries.instant(Some(text.parse().expect("a time")));
        assert_eq!(instant("09:21").expect("it is past"), at(day(30), 9, 21));
        assert_eq!(queries.instant(None).expect("now").date_ist(), day(30));
        let refused = instant("15:00").expect_err("it lies ahead").to_string();
        assert!(refused.contains("2026-01-30 15:00:00") && refused.contains("lies ahead"), "{refused}");
    }

    #[tokio::test]
    async fn a_session_without_a_row_is_missing_as_a_whole() {
        let place = place().await;
        let recorded = coverage(&place, Some(day(27))).await.expect("rows");
        // One contract has a row of one bucket.
        let nifty = &recorded.rows[0];
        assert_eq!((recorded.buckets, nifty.live, nifty.missing), (125, 1, 2 * 125 - 1));
        let first = &recorded.gaps[1];
        assert_eq!((first.contracts, first.from.0, first.to.0), (2, at(day(27), 9, 18), at(day(27), 15, 30)));
        let answer = coverage(&place, Some(day(28))).await.expect("nothing is missing as well");
        assert_eq!((answer.date, answer.buckets), (day(28), 125));
        let row = |underlying: &str, contracts, missing| CoverageRow {
            underlying: underlying.to_owned(),
            contracts,
            missing,
            ..CoverageRow::default()
        };
        // One of NIFTY's ends at 15:00.
        assert_eq!(answer.rows, [row("NIFTY", 2, 115 + 125), row("RELIANCE", 1, 125)]);
        let spans: Vec<_> = answer.gaps.iter().map(|gap| (gap.contracts, gap.from.0, gap.to.0)).collect();
        let (open, early, close) = (at(day(28), 9, 15), at(day(28), 15, 0), at(day(28), 15, 30));
        assert_eq!(spans, [(1, open, close), (2, open, early), (1, early, close)]);

        // Today, of which two buckets have ended, and may still get their rows; one contract has expired.
        for date in [None, Some(day(30))] {
            let answer = coverage(&place, date).await.expect("today");
            assert_eq!((answer.date, answer.buckets), (day(30), 2));
            let row = |underlying: &str| CoverageRow { pending: 2, ..row(underlying, 1, 0) };
            assert_eq!((answer.rows, answer.gaps), (vec![row("NIFTY"), row("RELIANCE")], vec![]));
        }
    }

    #[tokio::test]
    async fn what_is_over_and_has_no_row_yet_is_pending() {
        let place = place().await;
        let url = &place.queries.config.store.url;
        let mut store = store::open(url, Birth::Real).await.expect("opens");
        let mut batch = Batch::new(day(30), 2);
        let seen_today = |mut row: InstrumentRow| {
            row.last_seen = day(30);
            row
        };
        let reader = place.queries.reader().await.expect("opens");
        let known = reader.contracts_expected(day(29), day(27)).await.expect("contracts");
        batch.instruments = known.into_iter().map(seen_today).collect();
        batch.buckets = vec![BucketRow {
            open_interest: Some(65),
            state: BucketState::Live,
            provider: Some(Provider::Nse),
            ..BucketRow::missing(Bucket::containing(at(day(30), 9, 15)), InstrumentId(2))
        }];
        store.append(&batch).await.expect("is written");
        // It is 09:22: of NIFTY a row of 09:18 is to come, of RELIANCE both.
        let answer = coverage(&place, Some(day(30))).await.expect("rows");
        let counts: Vec<_> = answer.rows.iter().map(|row| (row.live, row.missing, row.pending)).collect();
        assert_eq!((answer.buckets, counts), (2, vec![(1, 0, 1), (0, 0, 2)]));
    }

    #[tokio::test]
    async fn a_day_without_rows_is_no_day_without_changes() {
        let place = place().await;
        let deltas = async |date| {
            let request = serde_json::from_value(serde_json::json!({ "date": date })).expect("a request");
            place.queries.show_deltas(request).await
        };
        assert_eq!(deltas("2026-01-27").await.expect("it was recorded").rows, []);
        let error = deltas("2026-01-20").await.expect_err("no data");
        assert!(
            matches!(&error, ControlError::NoData { reason } if reason.contains("2026-01-20")),
            "{error}"
        );
    }

    #[tokio::test]
    async fn no_change_is_said_only_of_what_is_known() {
        let place = place().await;
        let deltas = async |filter: serde_json::Value| {
            let mut request = filter;
            request["date"] = "2026-01-27".into();
            place.queries.show_deltas(serde_json::from_value(request).expect("a request")).await
        };
        use serde_json::json;
        for known in [json!({"underlying": "NIFTY"}), json!({"contract": "NIFTY 2026-01-28 25000 CE"})] {
            assert_eq!(deltas(known).await.expect("a row is live").rows, []);
        }
        for (unknown, refusal) in [
            (json!({"underlying": "FOO"}), "FOO is not watched"),
            (json!({"contract": "FOO 2026-01-28 25000 CE"}), "FOO is not watched"),
            (json!({"contract": "X"}), "X is not watched"),
            (
                json!({"contract": "NIFTY 2026-01-28 99999 CE"}),
                "there is no data: NIFTY 2026-01-28 99999 CE has no bucket",
            ),
            (json!({"underlying": "RELIANCE"}), "there is no data: RELIANCE has no bucket on 2026-01-27"),
        ] {
            let error = deltas(unknown).await.expect_err("not known").to_string();
            assert!(error.starts_with(refusal), "{error}");
        }
        let mut missing = Batch::new(day(27), 2);
        missing.buckets = vec![bucket_row(18, 2, None, BucketState::Missing)];
        let url = &place.queries.config.store.url;
        let mut store = store::open(url, Birth::Real).await.expect("opens");
        store.append(&missing).await.expect("is written");
        let error = deltas(json!({"contract": "NIFTY 2026-01-31 25000 CE"})).await.expect_err("all missing");
        assert!(error.to_string().contains("is known, nor whether"), "{error}");
    }

    #[tokio::test]
    async fn what_is_watched_and_never_listed_is_named() {
        let mut place = place().await;
        let watched = ["NIFTY", "MIDCPNIFTY", "*"].map(|underlying| {
            crate::engine::watch::WatchedUnderlying { underlying: underlying.to_owned(), expiries: 1 }
        });
        let mut rules = place.queries.settings.rules(day(27));
        rules.universe = watched.to_vec();
        std::fs::create_dir_all(&place.queries.config.spool.dir).expect("made");
        day_rules::keep(&place.queries.config.spool.dir, day(27), &rules).expect("kept");
        place.queries.settings.watch.underlyings = watched[..1].to_vec();
        let answer = coverage(&place, Some(day(27))).await.expect("rows");
        assert_eq!(answer.never_listed, ["MIDCPNIFTY"], "by the day's rules");
        assert_eq!(coverage(&place, Some(day(30))).await.expect("today").never_listed, [""; 0]);
        place.queries.settings.watch.underlyings = watched.to_vec();
        let answer = coverage(&place, Some(day(30))).await.expect("today");
        assert_eq!(answer.never_listed, ["MIDCPNIFTY"]);
        let chain = async |underlying: &str| {
            let request = serde_json::json!({ "underlying": underlying });
            let request = serde_json::from_value(request).expect("a request");
            place.queries.show_chain(request).await.expect_err("not listed").to_string()
        };
        let expected = "there is no data: MIDCPNIFTY is watched, but no provider has listed an option of it on 2026-01-30";
        assert_eq!(chain("MIDCPNIFTY").await, expected);
        assert!(chain("FOO").await.starts_with("FOO is not watched"));
    }

    #[test]
    fn a_volume_of_an_underlying_is_never_0() {
        let volume = |symbol: &str, volume| known_volume(Some(&symbol.parse().expect("a contract")), volume);
        assert_eq!([volume("NIFTY", 0), volume("RELIANCE EQ", 0)], [None, None]);
        assert_eq!(volume("RELIANCE EQ", 7), Some(7));
        assert_eq!(volume("NIFTY 2026-02-03 25000 CE", 0), Some(0));
    }

    #[tokio::test]
    async fn what_is_not_watched_is_refused_as_the_chain_does() {
        let place = place().await;
        let said = async |contract: &str| {
            let request = serde_json::json!({ "contract": contract, "date": "2026-01-27" });
            let request = serde_json::from_value(request).expect("a request");
            let open_interest = place.queries.show_open_interest(request).await.expect_err("no row");
            let request = serde_json::json!({ "symbol": contract, "date": "2026-01-27" });
            let request = serde_json::from_value(request).expect("a request");
            [open_interest, place.queries.show_candles(request).await.expect_err("no row")]
        };
        for error in said("TCS 2026-01-31 3000 CE").await {
            assert!(error.to_string().starts_with("TCS is not watched"), "{error}");
        }
        for error in said("NIFTY 2026-01-31 25000 CE").await {
            assert!(matches!(error, ControlError::NoData { .. }), "{error}");
        }
    }

    #[tokio::test]
    async fn a_date_without_a_session_and_one_without_contracts_say_so() {
        let place = place().await;
        for (date, expected) in [
            (day(26), "2026-01-26 has no session by the calendar (Republic Day)"),
            (day(25), "2026-01-25 has no session by the calendar, and no bucket"),
            (TradingDate::from_ymd_opt(2026, 2, 2).expect("a date"), "2026-02-02 has ended yet"),
            (day(20), "the store has no contract that was listed then"),
        ] {
            let error = coverage(&place, Some(date)).await.expect_err("no data");
            let ControlError::NoData { reason } = error else { panic!("{error:?}") };
            assert!(reason.contains(expected), "{reason}");
        }
    }
}
