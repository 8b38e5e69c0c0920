//! The NSE feed against a scripted website on loopback, in simulated time.

use crate::kept_records::KeptRecords;
use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    http::{Response, StatusCode, header},
};
use bhavd::{
    calendar::Calendar,
    clock::{Clock, Simulation, real_now},
    engine::watch::{WatchList, WatchedUnderlying},
    feed::{
        FeedContext, FeedError, FeedState, FeedStatus,
        nse::{ChainGeneration, NseFeed, NseSettings},
    },
    market::{OptionType, Price, Provider, Timestamp, Told, TradingDate},
    sim::{MarketSource, Simulator, SimulatorOptions, SyntheticMarket},
    spool::Source,
    wire::nse::*,
};
use chrono::{NaiveDate, NaiveTime};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex,
        atomic::Ordering::{Relaxed, SeqCst},
    },
    time::Duration,
};
use tokio::{net::TcpListener, sync::watch};

/// Real time within which the feed must come to what a test waits for.
const PATIENCE: Duration = Duration::from_secs(20);

fn date() -> TradingDate {
    NaiveDate::from_ymd_opt(2026, 1, 30).expect("a date")
}

fn at(hour: u32, minute: u32) -> Timestamp {
    Timestamp::on(date(), NaiveTime::from_hms_opt(hour, minute, 0).expect("a time"))
}

/// What the website does, changed by tests while it runs.
struct Script {
    clock: Clock,
    /// The cookie that the API wants; pages hand it out.
    cookie: u32,
    /// Where set, the API answers this instead.
    api: Option<(StatusCode, &'static str)>,
    /// Where set, chains of this symbol are never answered.
    silent_symbol: Option<&'static str>,
    /// What the archive answers for the lot-size file.
    lots: (StatusCode, Vec<u8>),
    /// Where set, chains of the first symbol are answered with those of the second; without one, with no row.
    swapped: Option<(&'static str, Option<&'static str>)>,
    /// How many of the nearest expiries the list of expiries lacks, unlike the chains.
    unlisted_expiries: usize,
    /// Whether chains carry the time of the request or one that stands still.
    moves: bool,
    /// Paths with their queries, in the order of arrival.
    requests: Vec<String>,
}

type Website = Arc<Mutex<Script>>;

fn expiries() -> Vec<TradingDate> {
    [3, 10, 17].map(|day| NaiveDate::from_ymd_opt(2026, 2, day).expect("a date")).to_vec()
}

fn lots_file() -> Vec<u8> {
    let row = |section, symbol: &str| LotRow {
        section,
        name: symbol.to_owned(),
        symbol: symbol.to_owned(),
        lots: vec![Some(65)],
    };
    let rows = vec![
        row(LotSection::Indices, "BANKNIFTY"),
        row(LotSection::Indices, "NIFTY"),
        row(LotSection::Shares, "M&M"),
    ];
    encode_lots(&LotTable { months: vec![LotMonth { year: 2026, month: 2 }], rows })
}

fn chain_body(
    (symbol, expiry): (Option<&str>, TradingDate),
    timestamp: Timestamp,
    shape: ChainShape,
) -> Vec<u8> {
    let leg = Leg {
        underlying: symbol.unwrap_or_default().into(),
        expiry,
        strike: Price::from_e4(250_000_000),
        option_type: OptionType::Call,
        open_interest_lots: Some(10.0),
        open_interest_change_lots: Some(1.0),
        volume_lots: Some(2.0),
        last_price: Told::Value(Price::from_e4(1_000_000)),
        bid: Told::Nothing,
        ask: Told::Nothing,
        implied_volatility_e4: Told::Nothing,
    };
    let legs = symbol.map(|_| leg).into_iter().collect();
    let expiries = expiries();
    let chain = Chain {
        timestamp,
        underlying_value: None,
        expiries,
        legs,
        rowless_strikes: Vec::new(),
        malformed: Vec::new(),
    };
    encode_chain(&chain, shape)
}

async fn answer(State(website): State<Website>, request: Request) -> Response<Body> {
    let uri = request.uri().clone();
    let query = uri.query().unwrap_or_default().to_owned();
    let cookie =
        request.headers().get(header::COOKIE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let is_browser = [header::USER_AGENT, header::REFERER, header::ACCEPT_LANGUAGE]
        .iter()
        .all(|name| request.headers().contains_key(name));
    let reply = |status: StatusCode, body: Vec<u8>| {
        Response::builder().status(status).body(Body::from(body)).expect("a response")
    };
    let is_silent = {
        let mut script = website.lock().expect("the script");
        script.requests.push(uri.to_string());
        let silent = script.silent_symbol.map(|symbol| format!("symbol={symbol}"));
        silent.is_some_and(|symbol| query.contains(&symbol) && !uri.path().ends_with("contract-info"))
    };
    if is_silent {
        return std::future::pending().await;
    }
    let script = website.lock().expect("the script");
    let wanted = format!("nsit={}", script.cookie);
    let timestamp = if script.moves { script.clock.now() } else { at(9, 20) };
    let parameter = |name: &str| {
        let value = query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
        value.map(|value| value.replace("%26", "&"))
    };
    let symbol = parameter("symbol").unwrap_or_default();
    let expiry = parameter("expiry").and_then(|text| parse_expiry(&text)).unwrap_or(expiries()[0]);
    let served = match script.swapped {
        Some((swapped, other)) if swapped == symbol => other,
        _ => Some(&*symbol),
    };
    let subject = (served, expiry);
    match uri.path() {
        "/option-chain" => {
            let builder = Response::builder().header(header::SET_COOKIE, format!("{wanted}; Path=/"));
            builder.body(Body::from("<html>")).expect("a response")
        }
        "/content/fo/fo_mktlots.csv" => reply(script.lots.0, script.lots.1.clone()),
        _ if !cookie.contains(&wanted) || !is_browser => reply(StatusCode::FORBIDDEN, b"denied".to_vec()),
        _ if script.api.is_some() => {
            let (status, body) = script.api.expect("checked above");
            reply(status, body.as_bytes().to_vec())
        }
        "/api/option-chain-contract-info" => {
            let expiries = expiries().split_off(script.unlisted_expiries);
            let info = ContractInfo { expiries, strikes: Vec::new() };
            reply(StatusCode::OK, encode_contracts(&info))
        }
        "/api/option-chain-v3" => reply(StatusCode::OK, chain_body(subject, timestamp, ChainShape::V3)),
        "/api/option-chain-indices" | "/api/option-chain-equities" => {
            reply(StatusCode::OK, chain_body(subject, timestamp, ChainShape::Older))
        }
        _ => reply(StatusCode::NOT_FOUND, Vec::new()),
    }
}

/// What the chains were asked for, in the order of their coming.
fn chain_contexts(records: &KeptRecords) -> Vec<String> {
    records.of(Source::NSE_CHAIN).into_iter().map(|record| record.context).collect()
}

struct Trial {
    website: Website,
    records: KeptRecords,
    status: Arc<FeedStatus>,
    clock: Clock,
    home: tempfile::TempDir,
}

impl Trial {
    fn script<T>(&self, change: impl FnOnce(&mut Script) -> T) -> T {
        change(&mut self.website.lock().expect("the script"))
    }

    fn requests(&self, start: &str) -> usize {
        self.script(|script| script.requests.iter().filter(|request| request.starts_with(start)).count())
    }

    async fn until(&self, what: &str, condition: impl Fn() -> bool) {
        let poll = async {
            while !condition() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let waited = tokio::time::timeout(PATIENCE, poll).await;
        let (error, marks) = (self.status.last_error(), self.records.marks());
        waited.unwrap_or_else(|_| {
            panic!("never: {what}; at {}, last error {error:?}, marks {marks:?}", self.clock.now())
        });
    }
}

/// Runs `check` beside a feed that starts at `start`; time runs 100 times as fast as it is.
fn with_feed(
    start: Timestamp,
    chain: ChainGeneration,
    watched: &[(&str, usize)],
    check: impl AsyncFnOnce(&Trial),
) {
    let home = tempfile::tempdir().expect("a directory");
    with_feed_and_lots(home, (StatusCode::OK, lots_file()), start, chain, watched, check);
}

/// The same with files of an earlier life, and with this answer for lot sizes.
#[expect(clippy::disallowed_methods, reason = "the website is no part of any tree; the test ends it")]
fn with_feed_and_lots(
    home: tempfile::TempDir,
    lots: (StatusCode, Vec<u8>),
    start: Timestamp,
    chain: ChainGeneration,
    watched: &[(&str, usize)],
    check: impl AsyncFnOnce(&Trial),
) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let clock = Clock::simulated(Simulation { start, real_start: real_now(), speed: 100.0 });
        let website = Arc::new(Mutex::new(Script {
            clock: clock.clone(),
            cookie: 1,
            api: None,
            silent_symbol: None,
            swapped: None,
            unlisted_expiries: 0,
            lots,
            moves: true,
            requests: Vec::new(),
        }));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let router = Router::new().fallback(answer).with_state(website.clone());
        let server = tokio::spawn(async move { axum::serve(listener, router).await });
        let status = Arc::new(FeedStatus::new(Provider::Nse));
        let records = KeptRecords::default();
        let (stop, stopped) = watch::channel(false);
        let entry = |(name, expiries): &(&str, usize)| WatchedUnderlying {
            underlying: (*name).to_owned(),
            expiries: *expiries,
        };
        let feed = NseFeed {
            settings: NseSettings {
                enabled: true,
                site_url: url.clone(),
                archive_url: url,
                chain,
                poll_interval_s: 10,
                requests_per_second: 3,
                failures_max: 3,
            },
            context: FeedContext {
                watch: WatchList { underlyings: watched.iter().map(entry).collect() },
                calendar: Arc::new(Calendar::embedded()),
                clock: clock.clone(),
                status: status.clone(),
                sink: records.clone(),
                beside_log: Some(home.path().to_owned()),
                stop: stopped,
                seed: 7,
            },
        };
        let trial = Trial { website, records, status, clock, home };
        let checked = async {
            check(&trial).await;
            stop.send(true).expect("the feed listens");
        };
        let (ended, ()) = tokio::join!(feed.run(), checked);
        ended.expect("a stopped feed ends well");
        assert_eq!(trial.status.state(), FeedState::Stopped);
        assert!(!trial.records.is_up(), "a stopped feed does not count as watching");
        server.abort();
    });
}

#[test]
fn lots_come_first_then_every_watched_chain() {
    with_feed(at(10, 0), ChainGeneration::V3, &[("NIFTY", 2), ("M&M", 1), ("SENSEX", 1)], async |trial| {
        let records = &trial.records;
        trial.until("the feed is up", || records.is_up()).await;
        assert_eq!(records.sources()[0], Source::NSE_LOTS);
        let mut contexts: BTreeMap<String, usize> = BTreeMap::new();
        for context in chain_contexts(records) {
            *contexts.entry(context).or_default() += 1;
        }
        let expected = [
            "symbol=M%26M&expiry=2026-02-03",
            "symbol=NIFTY&expiry=2026-02-03",
            "symbol=NIFTY&expiry=2026-02-10",
        ];
        assert_eq!(contexts.keys().collect::<Vec<_>>(), expected);
        assert_eq!(trial.requests("/api/option-chain-contract-info"), 2);
        assert_eq!(trial.requests("/option-chain"), 1, "one page for the cookies");
        assert!(trial.requests("/api/option-chain-v3?type=Equity&symbol=M%26M&expiry=03-Feb-2026") > 0);
        assert_eq!(trial.status.subscribed.load(Relaxed), 3);
        assert!(trial.status.last_event().is_some_and(|event| event.date_ist() == date()));
        assert_eq!(trial.status.errors.load(Relaxed), 0, "{}", trial.status.last_error());
        // The rate holds in simulated time: three a second, and one for the start.
        let seconds = trial.clock.now().us_since(at(10, 0)) / 1_000_000;
        assert!(trial.status.requests.load(Relaxed) as i64 <= 3 * (seconds + 1) + 1);
    });
}

#[test]
fn an_expiry_that_the_list_of_expiries_lacks_is_asked_for_once_a_chain_lists_it() {
    with_feed(at(9, 0), ChainGeneration::V3, &[("NIFTY", 1)], async |trial| {
        trial.script(|script| script.unlisted_expiries = 1);
        let farther = "/api/option-chain-v3?type=Indices&symbol=NIFTY&expiry=10-Feb-2026";
        trial
            .until("the nearest chain is asked for", || {
                trial.requests("/api/option-chain-v3?type=Indices&symbol=NIFTY&expiry=03-Feb-2026") > 2
            })
            .await;
        assert_eq!(trial.requests(farther), 1, "its list was enough");
        let nearest = "symbol=NIFTY&expiry=2026-02-03";
        trial
            .until("it is handed over", || chain_contexts(&trial.records).iter().any(|of| of == nearest))
            .await;
        trial.until("the feed is up", || trial.records.is_up()).await;
        assert_eq!(trial.status.subscribed.load(Relaxed), 1);
    });
}

#[test]
fn the_older_generation_has_all_expiries_in_one_body() {
    with_feed(at(10, 0), ChainGeneration::Older, &[("*", 1)], async |trial| {
        trial.until("the feed is up", || trial.records.is_up()).await;
        let mut contexts = chain_contexts(&trial.records);
        contexts.sort();
        contexts.dedup();
        assert_eq!(contexts, ["symbol=BANKNIFTY", "symbol=M%26M", "symbol=NIFTY"]);
        assert!(trial.requests("/api/option-chain-equities?symbol=M%26M") > 0);
        assert!(trial.requests("/api/option-chain-indices?symbol=NIFTY") > 0);
        assert_eq!(trial.requests("/api/option-chain-contract-info"), 0);
    });
}

#[test]
fn a_refusal_renews_the_cookies_once() {
    with_feed(at(10, 0), ChainGeneration::V3, &[("NIFTY", 1)], async |trial| {
        trial.until("the feed is up", || trial.records.is_up()).await;
        trial.script(|script| script.cookie = 2);
        let before = chain_contexts(&trial.records).len();
        trial.until("chains go on", || chain_contexts(&trial.records).len() > before + 1).await;
        assert_eq!(trial.requests("/option-chain"), 2);
        assert_eq!(trial.status.errors.load(Relaxed), 0, "a renewed session is no error");
        assert!(trial.records.is_up());
    });
}

#[test]
fn a_lasting_refusal_backs_off_and_takes_the_feed_down() {
    with_feed(at(10, 0), ChainGeneration::V3, &[("NIFTY", 1)], async |trial| {
        trial.until("the feed is up", || trial.records.is_up()).await;
        trial.script(|script| script.api = Some((StatusCode::FORBIDDEN, "denied")));
        trial.until("it backs off", || trial.status.state() == FeedState::BackingOff).await;
        let (refused, at_refusal) = (trial.requests("/api"), trial.clock.now());
        trial.until("it asks again", || trial.requests("/api") > refused).await;
        // The first wait is drawn between 15 s and 30 s; the request itself takes no time of note.
        let waited_us = trial.clock.now().us_since(at_refusal);
        assert!(waited_us >= 10_000_000, "asked again after {waited_us} us");
        trial.until("the feed is down", || trial.records.is_down()).await;
        trial.script(|script| script.api = None);
        trial.until("the feed is up again", || trial.records.is_up()).await;
    });
}

#[test]
fn what_is_no_answer_is_counted_and_never_handed_on() {
    for body in ["<!DOCTYPE html><html></html>", "{}", "{\"records\":{\"data\":[]", "{\"filtered\":{}}"] {
        with_feed(at(10, 0), ChainGeneration::Older, &[("NIFTY", 1)], async |trial| {
            trial.until("the feed is up", || trial.records.is_up()).await;
            trial.script(|script| script.api = Some((StatusCode::OK, body)));
            trial.until("the feed is down", || trial.records.is_down()).await;
            assert!(trial.status.errors.load(Relaxed) >= 3);
            assert!(trial.status.last_error().contains("chain symbol=NIFTY: no answer"));
            assert_eq!(refused_bodies(trial), [body.as_bytes()], "the first of its kind");
            for record in trial.records.of(Source::NSE_CHAIN) {
                for frame in record.frames.iter() {
                    decode_chain(frame).expect("only chains are handed over");
                }
            }
        });
    }
}

#[test]
fn lot_sizes_that_are_gone_or_short_leave_the_last_good_ones_in_force() {
    let short = {
        let mut table = decode_lots(&lots_file()).expect("lot sizes");
        table.rows.retain(|row| row.symbol != "NIFTY");
        encode_lots(&table)
    };
    for (lots, says) in [
        ((StatusCode::NOT_FOUND, Vec::new()), "404"),
        ((StatusCode::OK, b"<html>".to_vec()), "HTML"),
        ((StatusCode::OK, short), "of 1 months to come of NIFTY it lists 0"),
    ] {
        let home = tempfile::tempdir().expect("a directory");
        std::fs::create_dir(home.path().join("last-good")).expect("a directory");
        let copy = home.path().join("last-good/nse_lots.2026-01-29");
        std::fs::write(&copy, lots_file()).expect("a file");
        with_feed_and_lots(home, lots, at(10, 0), ChainGeneration::V3, &[("NIFTY", 1)], async |trial| {
            trial.until("the feed is up", || trial.records.is_up()).await;
            assert!(trial.clock.now() < at(10, 5), "chains are asked for at once");
            let trouble = trial.status.troubles()["lot sizes"].clone();
            assert!(trouble.contains("2026-01-29 stay in force") && trouble.contains(says), "{trouble}");
            let repeated = trial.records.of(Source::NSE_LOTS);
            assert_eq!(repeated.len(), 1, "they are in today's log");
            assert_eq!(repeated[0].frames.bytes(), lots_file());
            trial.script(|script| script.lots = (StatusCode::OK, lots_file()));
            trial.until("the trouble is over", || trial.status.troubles().is_empty()).await;
            trial.until("the new ones are kept", || !copy.exists()).await;
        });
    }
}

/// The bodies that the feed has put aside.
fn refused_bodies(trial: &Trial) -> Vec<Vec<u8>> {
    let Ok(entries) = std::fs::read_dir(trial.home.path().join("refused-bodies")) else { return Vec::new() };
    entries.map(|entry| std::fs::read(entry.expect("an entry").path()).expect("a body")).collect()
}

#[test]
fn a_body_of_another_chain_or_without_a_row_is_no_answer() {
    for (other, says) in
        [(Some("BANKNIFTY"), "\"BANKNIFTY 2026-02-03\" instead of M&M"), (None, "without a contract")]
    {
        with_feed(at(10, 0), ChainGeneration::V3, &[("NIFTY", 1), ("M&M", 1)], async |trial| {
            trial.until("the feed is up", || trial.records.is_up()).await;
            trial.script(|script| script.swapped = Some(("M&M", other)));
            trial.until("the chain is down", || !trial.status.parts_down().is_empty()).await;
            let (part, reason) = trial.status.parts_down().remove(0);
            assert_eq!(part, "M&M 2026-02-03");
            assert!(reason.contains(says) && reason.contains("it begins with \"{\"records\":"), "{reason}");
            assert!(trial.records.is_up(), "the others are watched");
            for record in trial.records.of(Source::NSE_CHAIN) {
                let requested: ChainContext = record.context.parse().expect("a context");
                let chain = decode_chain(record.frames.bytes()).expect("a chain");
                assert_eq!(chain.mismatch(&requested), None);
                assert!(!chain.legs.is_empty());
            }
            let refused = refused_bodies(trial);
            let [body] = &refused[..] else { panic!("one body is kept: {}", refused.len()) };
            let legs = decode_chain(body).expect("a chain").legs;
            assert_eq!(legs.first().map(|leg| leg.underlying.to_string()).as_deref(), other);
            trial.script(|script| script.swapped = None);
            trial.until("the chain is up again", || trial.status.parts_down().is_empty()).await;
        });
    }
}

#[test]
fn a_body_that_repeats_the_last_is_only_counted() {
    with_feed(at(9, 21), ChainGeneration::Older, &[("NIFTY", 1)], async |trial| {
        trial.script(|script| script.moves = false);
        trial.until("it repeats", || trial.status.unchanged.load(SeqCst) >= 3).await;
        assert_eq!(chain_contexts(&trial.records).len(), 1);
        assert!(trial.records.is_up());
    });
}

#[test]
fn a_chain_that_stands_still_in_the_session_is_a_failure() {
    with_feed(at(9, 25), ChainGeneration::Older, &[("NIFTY", 1)], async |trial| {
        trial.script(|script| script.moves = false);
        trial.until("the feed is down", || trial.records.is_down()).await;
        assert!(trial.status.last_error().contains("the chain is of 2026-01-30 09:20:00 IST"));
        assert!(trial.clock.now() >= at(9, 30), "ten minutes are allowed");
    });
}

#[test]
fn a_chain_that_never_answers_does_not_hold_the_others_up() {
    with_feed(at(10, 0), ChainGeneration::Older, &[("*", 1)], async |trial| {
        trial.script(|script| script.silent_symbol = Some("BANKNIFTY"));
        let polled =
            |context: &str| chain_contexts(&trial.records).iter().filter(|other| *other == context).count();
        trial.until("the others go on", || polled("symbol=NIFTY") >= 5 && polled("symbol=M%26M") >= 5).await;
        assert_eq!(polled("symbol=BANKNIFTY"), 0);
    });
}

#[test]
fn nothing_is_asked_outside_polling_hours() {
    with_feed(at(9, 0), ChainGeneration::Older, &[("NIFTY", 1)], async |trial| {
        trial.until("the first request", || trial.status.requests.load(Relaxed) > 0).await;
        assert!(trial.clock.now() >= at(9, 5));
    });
    with_feed(at(16, 28), ChainGeneration::Older, &[("NIFTY", 1)], async |trial| {
        trial.until("the feed is down", || trial.records.is_down()).await;
        let requests = trial.status.requests.load(Relaxed);
        trial.until("a while passes", || trial.clock.now() >= at(16, 40)).await;
        assert_eq!(trial.status.requests.load(Relaxed), requests);
        assert_eq!(trial.status.state(), FeedState::Idle);
    });
}

/// Runs the feed against a simulated website until it is up, and gives back what it handed over.
fn record_simulated(
    market: SyntheticMarket,
    start: Timestamp,
    speed: f64,
    chain: ChainGeneration,
    poll_interval_s: u32,
) -> (KeptRecords, Arc<FeedStatus>) {
    let simulator = Simulator::start(SimulatorOptions {
        speed,
        start: Some(start),
        angel_one: None,
        ..SimulatorOptions::new(MarketSource::Synthetic(market))
    })
    .expect("a simulator");
    let url = simulator.nse_url().expect("NSE");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let (stop, stopped) = watch::channel(false);
    let (records, status) = (KeptRecords::default(), Arc::new(FeedStatus::new(Provider::Nse)));
    let feed = NseFeed {
        settings: NseSettings {
            enabled: true,
            site_url: url.clone(),
            archive_url: url,
            chain,
            poll_interval_s,
            ..NseSettings::default()
        },
        context: FeedContext {
            watch: WatchList { underlyings: vec![WatchedUnderlying::every_underlying(1)] },
            calendar: Arc::new(Calendar::embedded()),
            clock: simulator.clock(),
            status: status.clone(),
            sink: records.clone(),
            beside_log: None,
            stop: stopped,
            seed: 7,
        },
    };
    let checked = async {
        let up = async {
            while !records.is_up() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let waited = tokio::time::timeout(PATIENCE, up).await;
        waited.unwrap_or_else(|_| panic!("never up: {}", status.last_error()));
        stop.send(true).expect("the feed listens");
    };
    runtime.block_on(async { tokio::join!(feed.run(), checked) }).0.expect("a stopped feed ends well");
    simulator.stop();
    (records, status)
}

/// The simulator's website keeps the real one's habits; both generations come out in units.
#[test]
fn the_simulated_website_is_recorded() {
    for chain in [ChainGeneration::V3, ChainGeneration::Older] {
        let market = SyntheticMarket { strikes: 4, duration_s: 1_200, ..SyntheticMarket::default() };
        let (records, _) = record_simulated(market, at(9, 16), 60.0, chain, 10);
        assert_eq!(records.sources()[0], Source::NSE_LOTS, "lots come first");
        let lots = &records.of(Source::NSE_LOTS)[0];
        let lots = decode_lots(lots.frames.iter().next().expect("a frame")).expect("a table of lots");
        let chains = records.of(Source::NSE_CHAIN);
        let mut underlyings = BTreeSet::new();
        for body in chains.iter().flat_map(|record| record.frames.iter()) {
            let chain = decode_chain(body).expect("a chain");
            for leg in &chain.legs {
                let lot_size = lots.lot_size(&leg.underlying, leg.expiry).expect("a lot size");
                leg.quote(lot_size, chain.timestamp).expect("whole units");
                underlyings.insert(leg.underlying.to_string());
            }
        }
        assert_eq!(underlyings.len(), lots.rows.len(), "{underlyings:?}");
    }
}

/// Before the first capture every chain is an empty answer, several at once: the feed must come through that.
#[test]
fn empty_answers_to_many_requests_at_once_do_not_stop_the_feed() {
    let names: Vec<String> = (1..=60).map(|number| format!("SHARE{number:03}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let market = SyntheticMarket {
        strikes: 2,
        expiries: 1,
        duration_s: 7_200,
        underlyings: SyntheticMarket::name_underlyings(&names, SyntheticMarket::default().date),
        ..SyntheticMarket::default()
    };
    let settings = NseSettings::default();
    let (_, status) = record_simulated(market, at(9, 4), 300.0, settings.chain, settings.poll_interval_s);
    assert!(status.errors.load(Relaxed) > 0, "there were empty answers");
}

#[test]
fn a_url_that_is_none_is_said_at_the_start() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let (_stop, stopped) = watch::channel(false);
    let feed = NseFeed {
        settings: NseSettings { site_url: "nseindia".to_owned(), ..NseSettings::default() },
        context: FeedContext {
            watch: WatchList::default(),
            calendar: Arc::new(Calendar::embedded()),
            clock: Clock::system(),
            status: Arc::new(FeedStatus::new(Provider::Nse)),
            sink: KeptRecords::default(),
            beside_log: None,
            stop: stopped,
            seed: 7,
        },
    };
    let error = runtime.block_on(feed.run()).expect_err("no URL");
    assert!(matches!(error, FeedError::Setup { what: "feeds.nse.site_url", .. }), "{error}");
}
