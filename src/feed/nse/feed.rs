//! The feed as a whole: waits for polling hours, runs a day's requests, hands bodies over.

use super::{
    NseSettings,
    health::{Change, Health},
    schedule::Schedule,
    site::{Site, SiteError},
    targets::{ChainKey, Job, Targets},
    window::Window,
};
use crate::{
    calendar::Calendar,
    clock::Clock,
    engine::watch::WatchList,
    feed::{
        FeedContext, FeedError, FeedState, FeedStatus, NotAccepted, RecordSink, backoff::Backoff,
        last_good::LastGood, refused_bodies,
    },
    logging::Event,
    market::{Provider, Timestamp, TradingDate},
    spool::{Frames, Mark, NewRecord, Source},
    wire::nse::{LotMonth, LotTable, PeekedChain, decode_contracts, decode_lots, excerpt, peek_chain},
};
use futures_util::stream::{FuturesUnordered, StreamExt};
use std::{
    collections::{BTreeMap, BTreeSet},
    convert::Infallible,
    hash::{DefaultHasher, Hasher},
    path::PathBuf,
    rc::Rc,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

/// Requests under way at once: a slow chain holds up none of the others.
const IN_FLIGHT_MAX: usize = 4;
const CONTRACTS_INTERVAL_SECONDS: i64 = 60 * 60;
/// After which a failed request for expiries or lot sizes is repeated.
const RETRY_SECONDS: i64 = 30;
const LOTS_TROUBLE: &str = "lot sizes";
/// Waits after refusals.
const BACKOFF_FIRST: Duration = Duration::from_secs(30);
const BACKOFF_LONGEST: Duration = Duration::from_secs(600);
/// How long a stopping feed waits for its last mark; real time.
const LAST_MARK_TIMEOUT: Duration = Duration::from_secs(1);
/// How long the feed sleeps when the calendar has no session at all.
const NO_SESSION_SLEEP: Duration = Duration::from_secs(24 * 60 * 60);

/// The NSE feed, ready to run.
pub struct NseFeed<S> {
    pub settings: NseSettings,
    pub context: FeedContext<S>,
}

impl<S: RecordSink> NseFeed<S> {
    /// Runs until told to stop.
    pub async fn run(self) -> Result<(), FeedError> {
        let NseFeed { settings, context } = self;
        let FeedContext { watch, calendar, clock, status, sink, beside_log, mut stop, seed } = context;
        // Of an incarnation that broke off.
        status.clear_parts();
        status.end_trouble(LOTS_TROUBLE);
        let last_lots = LastGood::new(beside_log.as_deref(), "nse_lots");
        let mut feed = Running {
            site: Rc::new(Site::new(&settings, &clock, &status)?),
            health: Health::new(settings.failures_max),
            backoff: Backoff::new(BACKOFF_FIRST, BACKOFF_LONGEST, seed),
            paused_until: Timestamp::default(),
            lots: None,
            last_bodies: BTreeMap::new(),
            last_failure: BTreeMap::new(),
            last_lots,
            settings,
            watch,
            calendar,
            clock,
            status,
            sink,
            beside_log,
            seed,
        };
        let ended = tokio::select! {
            biased;
            // An error means that nobody can say stop any more, which says it.
            _ = stop.wait_for(|stop| *stop) => Ok(()),
            ended = feed.run_days() => ended.map(|never| match never {}),
        };
        let changes = feed.health.down("the feed was stopped");
        // A log that is closed or stuck does not hold the stop up.
        let _ = tokio::time::timeout(LAST_MARK_TIMEOUT, feed.tell(changes)).await;
        feed.status.set_state(FeedState::Stopped);
        ended.map_err(FeedError::from)
    }
}

struct Running<S> {
    settings: NseSettings,
    watch: WatchList,
    calendar: Arc<Calendar>,
    clock: Clock,
    status: Arc<FeedStatus>,
    sink: S,
    seed: u64,
    site: Rc<Site>,
    health: Health,
    backoff: Backoff,
    /// No request is sent before.
    paused_until: Timestamp,
    /// The last lot sizes handed over.
    lots: Option<Lots>,
    /// Length and hash of each chain's last body, as handed over.
    last_bodies: BTreeMap<ChainKey, (usize, u64)>,
    /// Why each job's last body was no answer, while it fails: the first of a kind is kept.
    last_failure: BTreeMap<Job, String>,
    beside_log: Option<PathBuf>,
    last_lots: LastGood,
}

/// A lot-size file.
struct Lots {
    /// The session before which it was fetched.
    date: TradingDate,
    body: Vec<u8>,
    table: LotTable,
}

/// What a job's request brought.
struct Finished {
    job: Job,
    received_time: Timestamp,
    /// With the body as it came.
    answer: Result<(Answer, Vec<u8>), Unusable>,
}

/// A request without a usable answer, and the body that came instead, if one came.
struct Unusable {
    error: SiteError,
    body: Option<Vec<u8>>,
}

impl From<SiteError> for Unusable {
    fn from(error: SiteError) -> Unusable {
        Unusable { error, body: None }
    }
}

enum Answer {
    Lots(LotTable),
    Contracts(BTreeSet<TradingDate>),
    Chain(PeekedChain),
}

impl<S: RecordSink> Running<S> {
    async fn run_days(&mut self) -> Result<Infallible, NotAccepted> {
        loop {
            self.status.set_state(FeedState::Idle);
            let Some(window) = Window::at(&self.calendar, self.clock.now()) else {
                log::warn!(event = Event::CalendarUnsure, provider:% = Provider::Nse;
                    "nse: the calendar has no session for more than a year; nothing is polled");
                self.clock.sleep(NO_SESSION_SLEEP).await;
                continue;
            };
            for warning in self.calendar.warnings(window.session.date) {
                log::warn!(event = Event::CalendarUnsure, provider:% = Provider::Nse, session:% = window.session.date;
                    "nse: {warning}");
            }
            self.clock.sleep_until(window.from).await;
            self.last_bodies.clear();
            self.health.begin_day();
            self.poll(window).await?;
            let changes = self.health.down("polling hours are over");
            self.tell(changes).await?;
        }
    }

    /// Polls until the window is over.
    async fn poll(&mut self, window: Window) -> Result<(), NotAccepted> {
        self.status.set_state(FeedState::Connecting);
        let mut targets = Targets::default();
        let mut schedule = Schedule::new(window.from, self.settings.poll_interval_s, self.seed);
        schedule.add(Job::Lots, self.clock.now());
        let mut in_flight = FuturesUnordered::new();
        let (mut lots_failures, mut are_lots_repeated) = (0, false);
        self.read_last_lots().await;
        loop {
            let now = self.clock.now();
            if now >= window.until {
                return Ok(());
            }
            while now >= self.paused_until && in_flight.len() < IN_FLIGHT_MAX {
                let Some(job) = schedule.take_due(now) else { break };
                let (path, parameters) = targets.request(&job);
                in_flight.push(request(self.site.clone(), self.clock.clone(), job, path, parameters));
            }
            let wake = match schedule.next_due() {
                Some(due) if in_flight.len() < IN_FLIGHT_MAX => due.max(self.paused_until).min(window.until),
                _ => window.until,
            };
            let finished = tokio::select! {
                biased;
                Some(finished) = in_flight.next(), if !in_flight.is_empty() => finished,
                () = self.clock.sleep_until(wake) => continue,
            };
            let Finished { job, received_time, answer } = finished;
            let answer = self.believe(answer, window.session.date);
            schedule.finish(&job, self.clock.now());
            if answer.is_ok() {
                self.status.note_answer(received_time);
            }
            match (&job, answer) {
                (_, Ok((Answer::Lots(table), body))) => {
                    self.hand_over(Source::NSE_LOTS, received_time, String::new(), &body).await?;
                    self.status.end_trouble(LOTS_TROUBLE);
                    self.lots = Some(Lots { date: window.session.date, body, table });
                    self.keep_lots().await;
                    self.set_targets(&mut targets, &mut schedule).await?;
                }
                (Job::Contracts(symbol), Ok((Answer::Contracts(listed), _))) => {
                    targets.set_expiries(&self.watch, symbol, listed, window.session.date);
                    schedule.set_chains(targets.chains(), self.clock.now());
                    schedule.add(job.clone(), received_time.plus_seconds(CONTRACTS_INTERVAL_SECONDS));
                    self.set_round(&targets).await?;
                    self.succeeded(&job, received_time).await?;
                }
                (Job::Chain(_), Ok((Answer::Chain(peeked), body)))
                    if peeked.is_empty() && window.session.contains(received_time) =>
                {
                    let unusable = Unusable { error: SiteError::NoRows, body: Some(body) };
                    self.failed(&job, unusable, received_time).await?;
                }
                (Job::Chain(chain), Ok((Answer::Chain(peeked), body))) => {
                    let PeekedChain { timestamp, expiries, .. } = peeked;
                    self.take_chain(chain, &body, timestamp, received_time).await?;
                    if window.is_stale(timestamp, received_time) {
                        self.failed(&job, SiteError::Stale { timestamp }.into(), received_time).await?;
                    } else {
                        let shown_until = window.shown_until(timestamp, received_time);
                        self.succeeded(&job, shown_until).await?;
                        let date = window.session.date;
                        let asked_for = targets.note_listed(&self.watch, chain, &expiries, date);
                        if !asked_for.is_empty() {
                            self.note_unlisted(&chain.symbol, &asked_for);
                            schedule.set_chains(targets.chains(), self.clock.now());
                            self.set_round(&targets).await?;
                        }
                    }
                }
                (_, Ok(_)) => unreachable!("a request's answer is of its job's kind"),
                (_, Err(unusable)) => {
                    let why = unusable.error.to_string();
                    self.failed(&job, unusable, received_time).await?;
                    match &job {
                        Job::Chain(_) => {}
                        Job::Contracts(_) => schedule.add(job, received_time.plus_seconds(RETRY_SECONDS)),
                        Job::Lots => {
                            schedule.add(job, received_time.plus_seconds(RETRY_SECONDS));
                            lots_failures += 1;
                            // Lot sizes change a few times a year: yesterday's are better than no chains. In the session
                            // there is no time to lose.
                            let is_time = window.session.contains(received_time)
                                || lots_failures >= self.settings.failures_max;
                            if is_time && !are_lots_repeated {
                                are_lots_repeated = true;
                                self.repeat_lots(&why, received_time).await?;
                                self.set_targets(&mut targets, &mut schedule).await?;
                            }
                        }
                    }
                }
            }
        }
    }

    /// Hands the lot sizes of an earlier day over again, where there are any: what is made of today's chains depends on
    /// today's log alone.
    async fn repeat_lots(&mut self, why: &str, received_time: Timestamp) -> Result<(), NotAccepted> {
        let Some(Lots { date, body, .. }) = &self.lots else { return Ok(()) };
        log::warn!(event = Event::LotsOutdated, provider:% = Provider::Nse, lots:% = date, error = why;
            "nse: polling with the lot sizes of {date}: {why}");
        self.status.set_trouble(LOTS_TROUBLE, format!("those of {date} stay in force: {why}"));
        self.hand_over(Source::NSE_LOTS, received_time, String::new(), body).await
    }

    /// A lot-size file that lacks what the last good one had is none.
    fn believe(
        &self,
        answer: Result<(Answer, Vec<u8>), Unusable>,
        date: TradingDate,
    ) -> Result<(Answer, Vec<u8>), Unusable> {
        let (answer, body) = answer?;
        let last = self.lots.as_ref().map(|lots| &lots.table);
        if let Answer::Lots(table) = &answer
            && let Some(doubt) = doubt_lots(&self.watch, last, table, date)
        {
            return Err(Unusable { error: SiteError::NotBelieved { doubt }, body: Some(body) });
        }
        Ok((answer, body))
    }

    /// Takes the last good file of an earlier life over, where this one has none.
    #[expect(clippy::disallowed_methods, reason = "the feed waits for it, and reading ends")]
    async fn read_last_lots(&mut self) {
        if self.lots.is_some() {
            return;
        }
        let last_lots = self.last_lots.clone();
        let read = tokio::task::spawn_blocking(move || {
            let copy = last_lots.read()?;
            let table = decode_lots(&copy.body);
            let table =
                table.inspect_err(|error| log::warn!("nse: the lot sizes kept of {}: {error}", copy.date));
            Some(Lots { date: copy.date, table: table.ok()?, body: copy.body })
        });
        self.lots = read.await.ok().flatten();
    }

    #[expect(clippy::disallowed_methods, reason = "the feed waits for it, and it ends with the write")]
    async fn keep_lots(&self) {
        let Some(Lots { date, body, .. }) = &self.lots else { return };
        let (last_lots, date, body) = (self.last_lots.clone(), *date, body.clone());
        let kept = tokio::task::spawn_blocking(move || last_lots.keep(date, &body)).await;
        if let Ok(Err(error)) = kept {
            log::warn!("nse: the lot sizes could not be kept for another morning: {error}");
        }
    }

    /// Chooses what to poll by the lot-size file at hand.
    async fn set_targets(
        &mut self,
        targets: &mut Targets,
        schedule: &mut Schedule,
    ) -> Result<(), NotAccepted> {
        let Some(Lots { table, .. }) = &self.lots else { return Ok(()) };
        *targets = Targets::new(&self.watch, table, self.settings.chain);
        for name in &targets.unlisted {
            log::warn!(event = Event::SymbolUnlisted, provider:% = Provider::Nse, symbol:% = name;
                "nse: {name} is watched, but not among NSE's option underlyings; it is not polled");
        }
        let now = self.clock.now();
        schedule.set_chains(targets.chains(), now);
        if targets.chains().is_empty() {
            for symbol in targets.underlyings() {
                schedule.add(Job::Contracts(symbol.clone()), now);
            }
        }
        self.set_round(targets).await
    }

    /// The website's list of expiries lacks some that its chains list.
    fn note_unlisted(&self, symbol: &str, expiries: &[TradingDate]) {
        let expiries: Vec<String> = expiries.iter().map(TradingDate::to_string).collect();
        let expiries = expiries.join(", ");
        log::warn!(event = Event::SymbolUnlisted, provider:% = Provider::Nse, symbol:% = symbol;
            "nse: the website's list of expiries of {symbol} lacks {expiries}, which its chains list; asked for from now on");
    }

    /// A full round is every chain and, where chains need them, every underlying's expiries.
    async fn set_round(&mut self, targets: &Targets) -> Result<(), NotAccepted> {
        let needs_expiries = self.settings.chain == super::ChainGeneration::V3;
        let contracts = targets.underlyings().filter(|_| needs_expiries).cloned().map(Job::Contracts);
        let chains = targets.chains().iter().cloned().map(Job::Chain);
        let changes = self.health.set_round(contracts.chain(chains));
        self.status.subscribed.store(targets.chains().len() as u64, Relaxed);
        self.tell(changes).await
    }

    async fn take_chain(
        &mut self,
        chain: &ChainKey,
        body: &[u8],
        timestamp: Timestamp,
        received_time: Timestamp,
    ) -> Result<(), NotAccepted> {
        let mut hasher = DefaultHasher::new();
        hasher.write(body);
        let print = (body.len(), hasher.finish());
        if self.last_bodies.get(chain) == Some(&print) {
            self.status.unchanged.fetch_add(1, Relaxed);
            return Ok(());
        }
        self.hand_over(Source::NSE_CHAIN, received_time, chain.context(), body).await?;
        self.last_bodies.insert(chain.clone(), print);
        self.status.note_event(timestamp);
        Ok(())
    }

    async fn hand_over(
        &self,
        source: Source,
        received_time: Timestamp,
        context: String,
        body: &[u8],
    ) -> Result<(), NotAccepted> {
        self.sink.accept(NewRecord { source, received_time, context, frames: Frames::one(body) }).await?;
        self.status.count_frames(1, received_time);
        Ok(())
    }

    async fn succeeded(&mut self, job: &Job, received_time: Timestamp) -> Result<(), NotAccepted> {
        self.backoff.reset();
        self.last_failure.remove(job);
        let changes = self.health.succeeded(job, received_time);
        let state = if self.health.is_up() { FeedState::Up } else { FeedState::Connecting };
        self.status.set_state(state);
        self.tell(changes).await
    }

    async fn failed(
        &mut self,
        job: &Job,
        Unusable { error, body }: Unusable,
        received_time: Timestamp,
    ) -> Result<(), NotAccepted> {
        let mut reason = format!("{}: {error}", job.name());
        // What a body begins with may be another each time, and is no news.
        let is_news = self.last_failure.get(job) != Some(&reason);
        if is_news {
            self.last_failure.insert(job.clone(), reason.clone());
        }
        if let Some(body) = body {
            reason = format!("{reason}; it begins with \"{}\"", excerpt(&body));
            if is_news {
                self.keep_refused(job, received_time, body).await;
            }
        }
        self.status.note_error(&reason);
        if is_news {
            log::warn!(event = Event::FeedFailing, provider:% = Provider::Nse, error = reason; "nse: {reason}");
        }
        if error.is_refusal() && self.clock.now() >= self.paused_until {
            // Requests refused together are one refusal.
            let wait_us = i64::try_from(self.backoff.next_wait().as_micros()).unwrap_or(i64::MAX);
            self.paused_until = self.clock.now().plus_us(wait_us);
            self.status.set_state(FeedState::BackingOff);
        }
        if error.is_no_answer() && *job != Job::Lots {
            self.site.doubt_cookies();
        }
        let changes = match error {
            SiteError::Stale { .. } => self.health.fell_behind(job, &reason),
            _ => self.health.failed(job, &reason),
        };
        let is_down = changes.iter().any(|change| matches!(change, Change::Down { .. }));
        if is_down && self.status.state() == FeedState::Up {
            self.status.set_state(FeedState::Connecting);
        }
        self.status.reconnects.fetch_add(u64::from(is_down), Relaxed);
        self.tell(changes).await
    }

    #[expect(clippy::disallowed_methods, reason = "the feed waits for it, and it ends with the write")]
    async fn keep_refused(&self, job: &Job, received_time: Timestamp, body: Vec<u8>) {
        let (Some(beside_log), name) = (self.beside_log.clone(), job.name()) else { return };
        let kept = move || refused_bodies::keep(&beside_log, received_time, &name, &body);
        match tokio::task::spawn_blocking(kept).await {
            Ok(Ok(path)) => log::info!("nse: the body that was no answer is {}", path.display()),
            Ok(Err(error)) => log::warn!("nse: a body that was no answer could not be kept: {error}"),
            Err(error) => log::warn!("nse: a body that was no answer could not be kept: {error}"),
        }
    }

    /// Writes changes of the feed's health into the log.
    async fn tell(&self, changes: Vec<Change>) -> Result<(), NotAccepted> {
        for change in changes {
            self.tell_one(change).await?;
        }
        Ok(())
    }

    async fn tell_one(&self, change: Change) -> Result<(), NotAccepted> {
        match change {
            Change::Up => {
                log::info!(event = Event::FeedUp, provider:% = Provider::Nse; "nse: watching");
                self.sink.mark(Mark::feed_up(Provider::Nse)).await
            }
            Change::Down { reason, since } => {
                self.status.clear_parts();
                self.status.note_lost("the website", &reason, self.clock.now());
                log::warn!(event = Event::FeedDown, provider:% = Provider::Nse, reason; "nse: not watching: {reason}");
                let mark = Mark::feed_down(Provider::Nse, reason);
                self.sink.mark(since.into_iter().fold(mark, Mark::since)).await
            }
            Change::PartDown { part, reason, since } => {
                let chain = part.name();
                log::warn!(event = Event::ChainDown, provider:% = Provider::Nse, chain, reason;
                    "nse: not watching chain {chain}: {reason}");
                self.status.set_part_down(chain, reason.clone());
                let mark = Mark::part_down(Provider::Nse, part.context(), reason);
                self.sink.mark(since.into_iter().fold(mark, Mark::since)).await
            }
            Change::PartUp { part } => {
                let chain = part.name();
                log::info!(event = Event::ChainUp, provider:% = Provider::Nse, chain; "nse: watching chain {chain}");
                self.status.set_part_up(&chain);
                self.sink.mark(Mark::part_up(Provider::Nse, part.context())).await
            }
        }
    }
}

/// Why a lot-size file is not believed: it lists nothing that is watched, or lacks most of a watched underlying's months to
/// come.
fn doubt_lots(
    watch: &WatchList,
    last: Option<&LotTable>,
    fresh: &LotTable,
    date: TradingDate,
) -> Option<String> {
    if fresh.rows.is_empty() {
        return Some("it lists nothing".to_owned());
    }
    // Contracts of the month under way may be over.
    let this_month = LotMonth::of(date);
    let months = |table: &LotTable, symbol: &str| -> BTreeSet<LotMonth> {
        let listed = table.row(symbol).into_iter().flat_map(|row| table.months.iter().zip(&row.lots));
        listed.filter(|(month, lot)| **month > this_month && lot.is_some()).map(|(month, _)| *month).collect()
    };
    let watched = last.into_iter().flat_map(|last| last.rows.iter().map(move |row| (last, &*row.symbol)));
    watched.filter(|(_, symbol)| watch.entry(symbol).is_some()).find_map(|(last, symbol)| {
        let before = months(last, symbol);
        let left = before.intersection(&months(fresh, symbol)).count();
        let doubt = || format!("of {} months to come of {symbol} it lists {left}", before.len());
        (left * 2 < before.len()).then(doubt)
    })
}

/// Sends a job's request and looks whether the body is an answer.
async fn request(
    site: Rc<Site>,
    clock: Clock,
    job: Job,
    path: &'static str,
    parameters: Vec<(&'static str, String)>,
) -> Finished {
    let body = match &job {
        Job::Lots => site.get_file(path).await,
        Job::Contracts(_) | Job::Chain(_) => site.get(path, &parameters).await,
    };
    let received_time = clock.now();
    let answer = body.map_err(Unusable::from).and_then(|body| match read_answer(&job, &body) {
        Ok(answer) => Ok((answer, body)),
        Err(error) => Err(Unusable { error, body: Some(body) }),
    });
    Finished { job, received_time, answer }
}

/// The body as an answer to what was asked.
fn read_answer(job: &Job, body: &[u8]) -> Result<Answer, SiteError> {
    Ok(match job {
        Job::Lots => Answer::Lots(decode_lots(body)?),
        Job::Contracts(_) => Answer::Contracts(decode_contracts(body)?.expiries.into_iter().collect()),
        Job::Chain(chain) => {
            let peeked = peek_chain(body)?;
            if let Some(found) = peeked.mismatch(&chain.of_log()) {
                return Err(SiteError::OtherChain { found });
            }
            Answer::Chain(peeked)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        engine::watch::WatchedUnderlying,
        wire::nse::{LotRow, LotSection, encode_lots},
    };
    use std::cell::RefCell;

    #[derive(Clone, Default)]
    struct Kept(Rc<RefCell<Vec<NewRecord>>>);

    impl RecordSink for Kept {
        async fn accept(&self, record: NewRecord) -> Result<(), NotAccepted> {
            self.0.borrow_mut().push(record);
            Ok(())
        }

        async fn mark(&self, _: Mark) -> Result<(), NotAccepted> {
            Ok(())
        }
    }

    #[test]
    fn a_lot_size_file_that_lacks_what_is_to_come_is_not_believed() {
        let date = TradingDate::from_ymd_opt(2026, 1, 30).expect("a date");
        let months =
            |numbers: &[u32]| numbers.iter().map(|month| LotMonth { year: 2026, month: *month }).collect();
        let table = |numbers: &[u32], symbols: &[&str]| {
            let row = |symbol: &&str| LotRow {
                section: LotSection::Indices,
                name: (*symbol).to_owned(),
                symbol: (*symbol).to_owned(),
                lots: vec![Some(65); numbers.len()],
            };
            LotTable { months: months(numbers), rows: symbols.iter().map(row).collect() }
        };
        let watched = WatchedUnderlying { underlying: "NIFTY".to_owned(), expiries: 1 };
        let watch = WatchList { underlyings: vec![watched] };
        let last = table(&[1, 2, 3], &["NIFTY", "BANKNIFTY"]);
        let says = |fresh: LotTable| doubt_lots(&watch, Some(&last), &fresh, date);
        assert_eq!(
            says(table(&[2, 3, 4], &["NIFTY"])),
            None,
            "the month under way may go, and who is not watched"
        );
        assert_eq!(says(table(&[3], &["NIFTY"])), None, "a half may go");
        assert_eq!(
            says(table(&[1], &["NIFTY"])).expect("both are gone"),
            "of 2 months to come of NIFTY it lists 0"
        );
        assert!(says(table(&[1, 2, 3], &["BANKNIFTY"])).is_some());
        assert!(
            doubt_lots(&watch, None, &table(&[], &[]), date).is_some(),
            "also where there was none before"
        );
        assert_eq!(doubt_lots(&watch, None, &table(&[1], &["BANKNIFTY"]), date), None);
    }

    #[tokio::test]
    async fn lot_sizes_of_an_earlier_day_are_in_todays_log_as_well() {
        let row = LotRow {
            section: LotSection::Indices,
            name: "NIFTY 50".to_owned(),
            symbol: "NIFTY".to_owned(),
            lots: vec![Some(65)],
        };
        let table = LotTable { months: vec![LotMonth { year: 2026, month: 2 }], rows: vec![row] };
        let body = encode_lots(&table);
        let (settings, clock, sink) = (NseSettings::default(), Clock::system(), Kept::default());
        let status = Arc::new(FeedStatus::new(Provider::Nse));
        let mut feed = Running {
            site: Rc::new(Site::new(&settings, &clock, &status).expect("a client")),
            health: Health::new(3),
            backoff: Backoff::new(BACKOFF_FIRST, BACKOFF_LONGEST, 7),
            paused_until: Timestamp::default(),
            lots: Some(Lots { date: TradingDate::default(), body: body.clone(), table }),
            last_bodies: BTreeMap::new(),
            last_failure: BTreeMap::new(),
            last_lots: LastGood::new(None, "nse_lots"),
            beside_log: None,
            settings,
            watch: WatchList { underlyings: Vec::new() },
            calendar: Arc::new(Calendar::embedded()),
            clock,
            status,
            sink: sink.clone(),
            seed: 7,
        };
        let now = Timestamp::from_us(1_000_000);
        feed.repeat_lots("404", now).await.expect("accepted");
        assert!(feed.status.troubles()[LOTS_TROUBLE].contains("404"));
        let frames = Frames::one(&body);
        let again =
            NewRecord { source: Source::NSE_LOTS, received_time: now, context: String::new(), frames };
        assert_eq!(sink.0.take(), [again]);
        feed.lots = None;
        feed.repeat_lots("404", now).await.expect("accepted");
        assert!(sink.0.take().is_empty(), "there are none");
    }
}
