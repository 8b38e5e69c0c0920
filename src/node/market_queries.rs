//! What is asked about the market: chain, open interest, deltas, candles and coverage, from the store; the chain of this
//! moment from memory.
//!
//! Whatever reads the store is work for a thread of the [`super::reading_room`].

use super::control_child::ControlChild;
use crate::{
    clock::Clock,
    config::Config,
    control::{
        CandleRow, CandlesRequest, CandlesResponse, ChainRequest, ChainResponse, ChainRow, ChainSide,
        ControlError, CoverageGap, CoverageRequest, CoverageResponse, CoverageRow, DeltaRow, DeltasRequest,
        DeltasResponse, OpenInterestRequest, OpenInterestResponse, OpenInterestRow, Request, Response,
        WallTime,
    },
    market::{
        Bucket, BucketState, CandleInterval, Contract, ContractError, Price, Provider, Timestamp, TradingDate,
    },
    pipeline::PipelineSettings,
    store::{BucketStates, DeltaFilter, Reader, Side, StoreError},
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
        self.live.chain(&request.underlying, expiry, &expiries)
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

    async fn show_chain(&self, request: ChainRequest) -> Result<ChainResponse, ControlError> {
        let reader = self.reader().await?;
        let date = request.at.and_then(|at| at.date).unwrap_or_else(|| self.today());
        let listed = reader.listed_expiries(date).await.map_err(unavailable)?;
        let Some(expiries) = listed.get(&request.underlying) else {
            let known = listed.into_keys().collect();
            return Err(ControlError::UnknownUnderlying { underlying: request.underlying, known });
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
        let at = request.at.map_or_else(|| self.clock.now(), |at| at.resolve(self.today()));
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
            return Err(ControlError::NoData { reason: format!("{contract} has no bucket on {date}") });
        }
        let rows = rows.into_iter().map(|row| OpenInterestRow {
            bucket: WallTime(row.bucket.start()),
            open_interest: row.open_interest,
            open_interest_change: row.open_interest_change,
            last_price_e4: row.last_price.map(Price::as_e4),
            volume: row.volume,
            state: row.state.into(),
            provider: row.provider.map(|provider| provider.to_string()),
            revision: u32::from(row.revision),
        });
        Ok(OpenInterestResponse { contract: contract.to_string(), date, rows: rows.collect() })
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
        if rows.is_empty() {
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
            volume: row.volume,
            provider: row.provider.to_string(),
            revision: u32::from(row.revision),
        });
        Ok(CandlesResponse { symbol, interval_minutes, date, rows: rows.collect() })
    }

    /// Of the last session that has begun, where no date is given.
    async fn show_coverage(&self, request: CoverageRequest) -> Result<CoverageResponse, ControlError> {
        let now = self.clock.now();
        let last = || self.settings.calendar.last_session(now).map(|session| session.date);
        let date = request.date.or_else(last).ok_or_else(|| ControlError::NoData {
            reason: "the calendar has no session before today; give a date".to_owned(),
        })?;
        let states = self.reader().await?.bucket_states(date).await.map_err(unavailable)?;
        if states.is_empty() {
            return Err(ControlError::NoData { reason: format!("no bucket was recorded on {date}") });
        }
        Ok(summarise_coverage(date, &states))
    }
}

fn stored_side(side: Side, provider: Option<Provider>) -> ChainSide {
    ChainSide {
        open_interest: side.open_interest,
        open_interest_change: side.open_interest_change,
        volume: side.volume,
        last_price_e4: side.last_price.map(Price::as_e4),
        bid_e4: None,
        ask_e4: None,
        implied_volatility_e4: None,
        state: side.state.into(),
        provider: provider.map(|provider| provider.to_string()),
        event_time: None,
    }
}

fn summarise_coverage(date: TradingDate, states: &[BucketStates]) -> CoverageResponse {
    const GAPS_MAX: usize = 20;
    let buckets: BTreeSet<Bucket> = states.iter().map(|row| row.bucket).collect();
    let mut rows: BTreeMap<&str, CoverageRow> = BTreeMap::new();
    let mut per_bucket: BTreeMap<(&str, Bucket), u64> = BTreeMap::new();
    let mut gaps: Vec<CoverageGap> = Vec::new();
    for state in states {
        let contracts = state.contracts.unsigned_abs();
        let row = rows.entry(&state.underlying).or_default();
        row.underlying.clone_from(&state.underlying);
        *per_bucket.entry((&state.underlying, state.bucket)).or_default() += contracts;
        match state.state {
            BucketState::Live => row.live += contracts,
            BucketState::Carried => row.carried += contracts,
            BucketState::Backfilled => row.backfilled += contracts,
            BucketState::Unlisted => {}
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
    for ((underlying, _), contracts) in per_bucket {
        let row = rows.get_mut(underlying).expect("every counted underlying has a row");
        row.contracts = row.contracts.max(contracts);
    }
    gaps.sort_by_key(|gap| std::cmp::Reverse((gap.to.0.us_since(gap.from.0), gap.contracts)));
    gaps.truncate(GAPS_MAX);
    CoverageResponse { date, buckets: buckets.len() as u64, rows: rows.into_values().collect(), gaps }
}
