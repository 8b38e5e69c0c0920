//! The control socket as a child: answers from atomics and from a reader's connection to the store, never from
//! another child, so that it answers whatever hangs.

use super::{
    feed_orders::FeedOrders,
    health,
    intake::{Intake, IntakeSink},
    live_state::LiveState,
    reload::Reloader,
    running_config::RunningConfig,
    status::DaemonStatus,
    verify,
};
use crate::{
    actor::{ChildError, Lease, Tree},
    clock::Clock,
    config::Config,
    control::{
        ActorRow, ActorsResponse, CandleRow, CandlesResponse, ChainRequest, ChainResponse, ChainRow,
        ChainSide, ControlError, ControlListener, ControlServer, CoverageGap, CoverageResponse, CoverageRow,
        DeltaRow, DeltasRequest, DeltasResponse, FeedRow, FeedsResponse, KeptSocket, Limits,
        OpenInterestResponse, OpenInterestRow, Peer, Request, Response, Service, SpoolStatus, StatusResponse,
        StoreStatus, Update, WallTime, WatchRequest,
    },
    feed::FeedStatus,
    market::{Bucket, BucketState, CandleInterval, Contract, Price, Timestamp, TradingDate},
    pipeline::PipelineSettings,
    store::{self, BucketStates, DeltaFilter, Reader, StoreError},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    os::unix::net::UnixListener,
    sync::{Arc, Mutex, PoisonError, atomic::Ordering::Relaxed},
    time::Duration,
};
use tokio::sync::mpsc;

/// What every incarnation begins from.
#[derive(Clone)]
pub struct ControlChild {
    /// What the daemon was started with.
    pub config: Arc<Config>,
    pub running: RunningConfig,
    pub reloader: Reloader,
    pub orders: FeedOrders,
    /// Where orders enter the log.
    pub intake: Intake,
    /// A socket that the service manager listens on for us.
    pub socket: Option<Arc<UnixListener>>,
    pub clock: Clock,
    pub tree: Tree,
    pub status: Arc<DaemonStatus>,
    pub settings: PipelineSettings,
    pub live: LiveState,
    pub started: Timestamp,
    /// Held over an order of which provider counts: the socket and the bus give such orders.
    pub failover_turn: Arc<tokio::sync::Mutex<()>>,
    /// Bound by the first incarnation, where none was handed over.
    pub kept: Arc<Mutex<Option<KeptSocket>>>,
}

impl ControlChild {
    /// One incarnation.
    ///
    /// # Errors
    /// When the socket cannot be bound or taken over.
    pub async fn run(self, lease: Lease) -> Result<(), ChildError> {
        let listener = self.listen()?;
        self.status.readiness.control_listens.store(true, Relaxed);
        let authority = self.reloader.authority();
        let answers = Answers::new(self, &lease);
        let server = ControlServer::new(answers, authority, Limits::default());
        server
            .serve(&listener, async {
                let _ = lease.stopping().await;
            })
            .await;
        Ok(())
    }
}

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
            Request::Chain(request) => child.show_chain(request).await.map(Response::Chain),
            Request::OpenInterest(request) => {
                let date = request.date.unwrap_or_else(|| child.today());
                child.show_open_interest(&request.contract, date).await.map(Response::OpenInterest)
            }
            Request::Deltas(request) => child.show_deltas(request).await.map(Response::Deltas),
            Request::Candles(request) => {
                let date = request.date.unwrap_or_else(|| child.today());
                child
                    .show_candles(&request.symbol, request.interval_minutes(), date)
                    .await
                    .map(Response::Candles)
            }
            Request::Coverage(request) => child.show_coverage(request.date).await.map(Response::Coverage),
            Request::ReplayVerify(request) => verify::verify_day(
                &child.config.store.url,
                &child.config.spool.dir,
                &child.settings,
                request.date,
            )
            .await
            .map(Response::ReplayVerify),
            Request::Feed(request) => child.show_feed(&request).map(Response::Feed),
            Request::EnableFeed(request) => child.enable_feed(&request).map(Response::EnableFeed),
            Request::DisableFeed(request) => child.disable_feed(&request).map(Response::DisableFeed),
            Request::ReconnectFeed(request) => child.reconnect_feed(&request).map(Response::ReconnectFeed),
            Request::Failover(request) => self.failover(request).await.map(Response::Failover),
            Request::Configuration => Ok(Response::Configuration(child.show_configuration())),
            Request::CompareConfiguration => Ok(Response::CompareConfiguration(child.reloader.compare())),
            Request::Reload => Ok(Response::Reload(child.reloader.reload().await)),
            Request::LogFilter => Ok(Response::LogFilter(child.show_log_filter())),
            Request::SetLogFilter(request) => child.set_log_filter(&request).map(Response::SetLogFilter),
            Request::Drain => Ok(Response::Drain(child.drain())),
            Request::Watch(_) => Err(ControlError::ExpectedMore { method: "Watch".to_owned() }),
        }
    }

    fn watch(&self, request: WatchRequest, _: Peer) -> Result<mpsc::Receiver<Update>, ControlError> {
        self.child.live.watch(request)
    }
}

fn unavailable(error: StoreError) -> ControlError {
    ControlError::Unavailable { reason: error.to_string() }
}

impl ControlChild {
    /// The socket outlives the incarnations: one that was given up may still have it open, and callers wait in it.
    fn listen(&self) -> Result<ControlListener, ChildError> {
        if let Some(socket) = &self.socket {
            return Ok(ControlListener::adopt(socket)?);
        }
        let mut socket = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(kept) = &*socket {
            return Ok(kept.listen()?);
        }
        let listener = ControlListener::bind(&self.config.control.socket)?;
        *socket = Some(listener.keep()?);
        Ok(listener)
    }

    fn today(&self) -> TradingDate {
        self.clock.now().date_ist()
    }

    async fn reader(&self) -> Result<Reader, ControlError> {
        Reader::open(&self.config.store.url).await.map_err(unavailable)
    }

    /// From memory alone: it is asked for most of all when the store is away.
    fn show_status(&self) -> StatusResponse {
        let (status, now) = (&self.status, self.clock.now());
        let pipeline = &status.pipeline;
        let session = pipeline.session();
        let (feeds_up, feeds) = status.count_feeds();
        let watermark = status.feeds.iter().filter_map(|feed| feed.last_event()).max();
        let closed = pipeline.buckets_closed.load(Relaxed) as i64;
        let last_bucket = session
            .filter(|_| closed > 0)
            .map(|(open, _)| Bucket::containing(open).start().plus_us((closed - 1) * Bucket::LENGTH_US));
        let problems = health::problems(status, &self.tree.snapshot(), now);
        let (files, bytes) = directory_size(&self.config.spool.dir);
        StatusResponse {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            simulated: self.clock.simulation().is_some(),
            time: WallTime(now),
            started: WallTime(self.started),
            session: health::describe_session(&self.settings.calendar, now),
            ready: status.readiness.awaited().is_empty(),
            healthy: problems.is_empty(),
            problems,
            underlyings: self.live.count_underlyings(self.today()),
            contracts: pipeline.watched.load(Relaxed),
            feeds_up: feeds_up as u64,
            feeds: feeds as u64,
            choice: self.choice(),
            ticks: pipeline.observations.load(Relaxed),
            stale_bodies: pipeline.stale_bodies.load(Relaxed),
            watermark: watermark.map(WallTime),
            last_bucket: last_bucket.map(WallTime),
            store: StoreStatus {
                url: store::Address::parse(&self.config.store.url)
                    .map_or_else(|_| String::new(), |address| address.to_string()),
                up: status.store.trouble().is_none(),
                committed_seq: status.store.seq(),
                last_commit: status.store.last_commit().map(WallTime),
                pending_rows: status.store.pending_rows(),
            },
            spool: SpoolStatus {
                dir: self.config.spool.dir.display().to_string(),
                last_seq: status.spool.seq(),
                files,
                bytes,
                unsynced_bytes: status.spool.sync.unsynced_bytes(),
            },
            live: self.live.describe(),
            memory_bytes: resident_bytes(),
        }
    }

    pub(super) fn show_actors(&self) -> ActorsResponse {
        let snapshot = self.tree.snapshot();
        let actors = snapshot.rows.into_iter().map(|row| {
            let queue = row.ports.first();
            ActorRow {
                path: row.path.to_string(),
                parent: row.parent.as_deref().unwrap_or_default().to_owned(),
                state: row.state.name().to_owned(),
                critical: row.critical,
                incarnation: row.incarnation,
                restarts: row.restarts,
                errors: row.exits.errors,
                panics: row.exits.panics,
                hangs: row.exits.hangs,
                blocked: row.exits.blocked,
                displaced: row.exits.displaced,
                progress_age_ms: row.progress_age.map(millis),
                pulse_age_ms: row.sign_age.map(millis),
                waiting: row.is_waiting,
                handler_p50_us: row.handling.map(|handling| micros(handling.p50)),
                handler_p99_us: row.handling.map(|handling| micros(handling.p99)),
                queue: queue.map(|port| port.depth),
                queue_max: queue.map(|port| port.capacity as u64),
                queue_high_water: queue.map(|port| port.high_water),
                queue_oldest_ms: queue.and_then(|port| port.oldest_age).map(millis),
                dropped: queue.map_or(0, |port| port.dropped + port.rejected),
                set_aside: row.set_aside,
                last_exit: row.last_exit.map_or_else(String::new, |reason| reason.to_string()),
            }
        });
        ActorsResponse {
            actors: actors.collect(),
            zombies: snapshot.zombies,
            zombies_total: snapshot.zombies_total,
        }
    }

    fn show_feeds(&self) -> FeedsResponse {
        let feeds = self.status.feeds.iter().map(|feed| feed_row(feed)).collect();
        FeedsResponse { feeds, choice: self.choice() }
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
        if request.at.is_none()
            && let Some(chain) = self.live.chain(&request.underlying, expiry, &expiries)
        {
            return Ok(chain);
        }
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
        text: &str,
        date: TradingDate,
    ) -> Result<OpenInterestResponse, ControlError> {
        let contract: Contract =
            text.parse().map_err(|error: crate::market::ContractError| ControlError::UnknownContract {
                contract: text.to_owned(),
                hint: format!("write {}", error.allowed),
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
            Some(text) => Some(text.parse().map_err(|error: crate::market::ContractError| {
                ControlError::UnknownContract {
                    contract: text.clone(),
                    hint: format!("write {}", error.allowed),
                }
            })?),
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

    async fn show_candles(
        &self,
        symbol: &str,
        interval_minutes: u32,
        date: TradingDate,
    ) -> Result<CandlesResponse, ControlError> {
        let interval = CandleInterval::from_minutes(i64::from(interval_minutes))
            .ok_or_else(|| ControlError::invalid("interval_minutes", "allowed are 3, 5 and 1440"))?;
        let rows = self.reader().await?.candles(symbol, interval, date).await.map_err(unavailable)?;
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
        Ok(CandlesResponse { symbol: symbol.to_owned(), interval_minutes, date, rows: rows.collect() })
    }

    async fn show_coverage(&self, date: TradingDate) -> Result<CoverageResponse, ControlError> {
        let states = self.reader().await?.bucket_states(date).await.map_err(unavailable)?;
        if states.is_empty() {
            return Err(ControlError::NoData { reason: format!("no bucket was recorded on {date}") });
        }
        Ok(summarise_coverage(date, &states))
    }
}

/// What a feed shows of itself.
pub(super) fn feed_row(feed: &FeedStatus) -> FeedRow {
    FeedRow {
        provider: feed.provider.to_string(),
        state: feed.state().name().to_owned(),
        subscribed: feed.subscribed.load(Relaxed),
        frames: feed.frames.load(Relaxed),
        requests: feed.requests.load(Relaxed),
        errors: feed.errors.load(Relaxed),
        reconnects: feed.reconnects.load(Relaxed),
        last_frame: feed.last_frame().map(WallTime),
        last_event: feed.last_event().map(WallTime),
        last_error: feed.last_error(),
    }
}

fn stored_side(side: store::Side, provider: Option<crate::market::Provider>) -> ChainSide {
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

fn micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

/// Files and bytes of a directory of directories; what cannot be read counts nothing.
fn directory_size(directory: &std::path::Path) -> (u64, u64) {
    let entries = |path: &std::path::Path| std::fs::read_dir(path).into_iter().flatten().flatten();
    entries(directory)
        .flat_map(|day| entries(&day.path()).collect::<Vec<_>>())
        .filter_map(|file| file.metadata().ok())
        .fold((0, 0), |(files, bytes), file| (files + 1, bytes + file.len()))
}

/// From /proc/self/statm; 0 where there is none.
fn resident_bytes() -> u64 {
    let pages = std::fs::read_to_string("/proc/self/statm")
        .ok()
        .and_then(|text| text.split_whitespace().nth(1)?.parse::<u64>().ok())
        .unwrap_or(0);
    pages * rustix::param::page_size() as u64
}
