//! Random markets seen through random visibility, against a model that knows the truth.
//!
//! Each schedule plays a small market over two providers: a stream with subscriptions, and a website whose bodies come
//! late. What either shows is drawn: contracts and streams that fall mute, lost connections, refused requests, omitted and
//! unreadable legs, bodies about something else, stamps that stand still, overrides, restarts. The model keeps what was true
//! and what was shown, and holds the rows to it:
//! - a row that claims a value has the value that was true at its stamp, and no witness had shown a newer one before the
//!   bucket's end;
//! - a row that a working witness proved is not missing;
//! - coverage counts what the rows say.
//!
//! Some schedules run with the other tests; `BHAVD_SCHEDULES=100000 cargo test --release --lib evidence_tests` runs more, with
//! `BHAVD_SEED` from that one on, `BHAVD_SCHEDULE=SEED` one with what was shown and stated.

use super::*;
use crate::{
    market::{
        Bucket, BucketRow, BucketState, Contract, Exchange, Listing, OptionType, Price, Provider,
        ProviderToken, Segment, Timestamp, Told, TradingDate,
    },
    spool::{Frames, Mark, NewRecord, Source},
    store::Batch,
    wire::{angel_one, nse},
};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

const LOT: i64 = 65;
/// The play begins ten minutes before the open.
const OPEN_S: i64 = 600;
const BUCKET_S: i64 = 180;
/// How long the play goes on, in buckets.
const BUCKETS: i64 = 12;
const END_S: i64 = OPEN_S + BUCKETS * BUCKET_S;
/// What a stream's row may lag behind the truth.
const STREAM_SLACK_S: i64 = 2;
/// How long after its end a row may wait for what proves it.
const LATENESS_S: i64 = 330;
/// What a row of the website may: bodies further apart prove nothing.
const SITE_SLACK_S: i64 = 180;

fn date() -> TradingDate {
    TradingDate::from_ymd_opt(2026, 1, 30).expect("a date")
}

/// Of the play's second.
fn at(second: i64) -> Timestamp {
    Timestamp::on(date(), chrono::NaiveTime::MIN).plus_seconds(9 * 3_600 + 5 * 60 + second)
}

/// What is true of a contract from a second on.
#[derive(Clone, Copy, Debug)]
struct Value {
    second: i64,
    volume: i64,
    open_interest: i64,
}

/// What a provider showed of a contract.
#[derive(Clone, Copy, Debug)]
struct Shown {
    provider: Provider,
    stamp: i64,
    volume: i64,
}

/// A time in which something is not as it should be.
#[derive(Clone, Debug)]
struct Fault {
    from: i64,
    until: i64,
    kind: Kind,
}

#[derive(Clone, Debug, PartialEq)]
enum Kind {
    /// The stream sends nothing of these contracts.
    MuteContracts(BTreeSet<usize>),
    /// The stream sends nothing at all, and stays open.
    MuteStream(u8),
    /// The stream is lost, which is noticed so many seconds later, and subscribed again at the end.
    LostStream(u8, i64),
    /// The subscription is refused: it was never there.
    Refused(u8),
    SiteDown,
    /// The stamp and the values stand still.
    SiteStale,
    /// One chain is not answered.
    ChainDown(usize),
    Omitted(usize),
    BadLeg(usize),
    /// Another chain's body is served.
    Echo(usize),
    /// A body without rows.
    Empty(usize),
    QuotesDown,
    /// The daemon is away.
    Restart,
    Override(Provider),
}

struct Market {
    contracts: Vec<Contract>,
    history: Vec<Vec<Value>>,
}

impl Market {
    fn at(&self, contract: usize, second: i64) -> Value {
        let history = &self.history[contract];
        history[history.partition_point(|value| value.second <= second).max(1) - 1]
    }
}

fn expiry(chain: usize) -> TradingDate {
    TradingDate::from_ymd_opt(2026, 2, if chain == 0 { 3 } else { 10 }).expect("a date")
}

/// Contracts of a chain, by number.
fn of_chain(chain: usize, per_chain: usize) -> std::ops::Range<usize> {
    chain * per_chain..(chain + 1) * per_chain
}

/// Two chains, of an even number of contracts each.
fn market(rng: &mut ChaCha8Rng, per_chain: usize) -> Market {
    let mut contracts = Vec::new();
    let mut history = Vec::new();
    for chain in 0..2 {
        for number in 0..per_chain {
            let strike = Price::from_e4(250_000_000 + (number as i64 / 2) * 500_000);
            contracts.push(Contract::option(
                Exchange::Nse,
                "NIFTY",
                expiry(chain),
                strike,
                OptionType::BOTH[number % 2],
            ));
            // From dead to a trade a second.
            let activity: f64 =
                *[0.0, 0.002, 0.01, 0.05, 0.3, 0.8].get(rng.random_range(0..6_usize)).expect("one of them");
            let mut value =
                Value { second: 0, volume: 0, open_interest: LOT * rng.random_range(0..2_000_i64) };
            let mut values = vec![value];
            for second in OPEN_S..END_S + 60 {
                if rng.random_bool(activity) {
                    value.second = second;
                    value.volume += LOT * rng.random_range(1..50_i64);
                    if rng.random_bool(0.6) {
                        value.open_interest =
                            (value.open_interest + LOT * rng.random_range(-20..40_i64)).max(0);
                    }
                    values.push(value);
                }
            }
            history.push(values);
        }
    }
    Market { contracts, history }
}

fn faults(rng: &mut ChaCha8Rng, contracts: usize) -> Vec<Fault> {
    let count = rng.random_range(0..5_usize);
    let mut faults: Vec<Fault> = (0..count)
        .map(|_| {
            let from = rng.random_range(OPEN_S - 120..END_S - 60);
            let until = from + rng.random_range(5..1_200_i64);
            let some = |rng: &mut ChaCha8Rng| -> BTreeSet<usize> {
                (0..contracts).filter(|_| rng.random_bool(0.4)).collect()
            };
            let kind = match rng.random_range(0..14_u32) {
                0 | 1 => Kind::MuteContracts(some(rng)),
                2 => Kind::MuteStream(rng.random_range(0..2_u8)),
                3 => Kind::LostStream(rng.random_range(0..2_u8), rng.random_range(0..40_i64)),
                4 => Kind::Refused(rng.random_range(0..2_u8)),
                5 => Kind::SiteDown,
                6 => Kind::SiteStale,
                7 => Kind::ChainDown(rng.random_range(0..2_usize)),
                8 => Kind::Omitted(rng.random_range(0..contracts)),
                9 => Kind::BadLeg(rng.random_range(0..contracts)),
                10 => Kind::Echo(rng.random_range(0..2_usize)),
                11 => Kind::Empty(rng.random_range(0..2_usize)),
                12 => Kind::Restart,
                _ => match rng.random_range(0..3_u32) {
                    0 => Kind::QuotesDown,
                    1 => Kind::Override(Provider::Nse),
                    _ => Kind::Override(Provider::AngelOne),
                },
            };
            Fault { from, until, kind }
        })
        .collect();
    faults.sort_by_key(|fault| fault.from);
    faults
}

/// A schedule being played into a pipeline.
struct Play {
    market: Market,
    faults: Vec<Fault>,
    per_chain: usize,
    /// How late the website's bodies are.
    delay_s: i64,
    poll_s: i64,
    /// How often the stream repeats a contract whose book moves.
    book_s: i64,
    has_stream: bool,
    has_site: bool,
    pipeline: Pipeline,
    batch: Batch,
    seq: u64,
    shown: Vec<Vec<Shown>>,
    /// By stream: subscribed since.
    subscribed: [Option<i64>; 2],
    /// By contract: first packet in the running subscription.
    spoke: Vec<Option<i64>>,
    /// By contract: the spans in which its stream proved it: from its first packet to the stream's last data.
    streamed: Vec<Vec<(i64, i64)>>,
    /// By contract: stamps of the bodies that had it.
    bodies: Vec<Vec<i64>>,
    last_stamp: [i64; 2],
    is_away: bool,
    forced: Option<Provider>,
}

impl Play {
    fn new(seed: u64) -> Play {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let per_chain = 2 * rng.random_range(1..4_usize);
        let market = market(&mut rng, per_chain);
        let contracts = market.contracts.len();
        let faults = faults(&mut rng, contracts);
        let which = rng.random_range(0..4_u32);
        Play {
            delay_s: *[0, 20, 49, 90, 120].get(rng.random_range(0..5_usize)).expect("one"),
            poll_s: *[20, 30, 45].get(rng.random_range(0..3_usize)).expect("one"),
            book_s: *[15, 30, 45].get(rng.random_range(0..3_usize)).expect("one"),
            has_stream: which != 0,
            has_site: which != 1,
            pipeline: Pipeline::new(PipelineSettings::of_tests(), Catalog::default()),
            batch: Batch::new(date(), 0),
            seq: 0,
            shown: vec![Vec::new(); contracts],
            subscribed: [None; 2],
            spoke: vec![None; contracts],
            streamed: vec![Vec::new(); contracts],
            bodies: vec![Vec::new(); contracts],
            last_stamp: [0; 2],
            is_away: false,
            forced: None,
            market,
            faults,
            per_chain,
        }
    }

    fn is(&self, second: i64, is_kind: impl Fn(&Kind) -> bool) -> bool {
        self.faults.iter().any(|fault| fault.from <= second && second < fault.until && is_kind(&fault.kind))
    }

    /// The same of any second of a time.
    fn is_in(&self, from: i64, until: i64, is_kind: impl Fn(&Kind) -> bool) -> bool {
        self.faults.iter().any(|fault| fault.from <= until && from < fault.until && is_kind(&fault.kind))
    }

    fn apply(&mut self, second: i64, source: Source, context: String, frames: Frames) {
        let received_time = at(second).plus_us(400_000);
        let record = NewRecord { source, received_time, context, frames };
        self.seq += 1;
        self.pipeline.apply(&record.numbered(self.seq), &mut NoLive, &mut self.batch);
    }

    fn mark(&mut self, second: i64, mark: &Mark) {
        let NewRecord { source, context, frames, .. } = NewRecord::mark(at(second), mark);
        self.apply(second, source, context, frames);
    }

    fn token(contract: usize) -> ProviderToken {
        ProviderToken { segment: Segment::NseFo, token: 35_000 + contract as u32 }
    }

    /// Half of each chain on either stream.
    fn stream_of(contract: usize) -> u8 {
        (contract / 2 % 2) as u8
    }

    fn begin(&mut self) {
        let rules = PipelineSettings::of_tests().rules(date());
        self.mark(0, &Mark::Rules { rules });
        self.mark(0, &Mark::Started { version: String::new() });
        self.begin_providers(1);
    }

    /// The master and the lot sizes.
    fn begin_providers(&mut self, second: i64) {
        if self.has_stream {
            let listings: Vec<Listing> = self
                .market
                .contracts
                .iter()
                .enumerate()
                .map(|(number, contract)| Listing {
                    provider: Provider::AngelOne,
                    token: Some(Self::token(number)),
                    symbol: format!("N{number}{}", if number % 2 == 0 { "CE" } else { "PE" }).into(),
                    contract: contract.clone(),
                    lot_size: LOT as u32,
                    tick_size: Price::from_e4(500),
                })
                .collect();
            let body = angel_one::encode_master(&listings);
            self.apply(second, Source::ANGEL_ONE_MASTER, String::new(), Frames::one(&body));
        }
        if self.has_site {
            let row = nse::LotRow {
                section: nse::LotSection::Indices,
                name: "NIFTY 50".to_owned(),
                symbol: "NIFTY".to_owned(),
                lots: vec![Some(LOT as u32)],
            };
            let months = vec![nse::LotMonth { year: 2026, month: 2 }];
            let body = nse::encode_lots(&nse::LotTable { months, rows: vec![row] });
            self.apply(second, Source::NSE_LOTS, String::new(), Frames::one(&body));
        }
    }

    fn show(&mut self, provider: Provider, contract: usize, stamp: i64, value: Value) {
        self.shown[contract].push(Shown { provider, stamp, volume: value.volume });
    }

    fn step(&mut self, second: i64) {
        let is_away = self.is(second, |kind| *kind == Kind::Restart);
        if is_away {
            if !self.is_away {
                self.end_subscriptions(second);
            }
            self.is_away = true;
            return;
        }
        if std::mem::take(&mut self.is_away) {
            self.mark(second, &Mark::Started { version: String::new() });
            self.forced = None;
            let rules = PipelineSettings::of_tests().rules(date());
            self.mark(second, &Mark::Rules { rules });
            self.begin_providers(second);
        }
        self.step_override(second);
        if self.has_stream {
            self.step_streams(second);
            if second % 10 == 3 && !self.is(second, |kind| *kind == Kind::QuotesDown) {
                self.step_quotes(second);
            }
        }
        if self.has_site {
            for chain in 0..2 {
                if second % self.poll_s == 7 + 5 * chain as i64 {
                    self.poll(second, chain);
                }
            }
        }
        if second % 60 == 5 {
            self.mark(second, &Mark::clock([]));
        }
    }

    fn end_subscriptions(&mut self, second: i64) {
        for stream in 0..2 {
            self.end_subscription(second, stream);
        }
    }

    /// What its contracts spoke of is over.
    fn end_subscription(&mut self, _second: i64, stream: u8) {
        self.subscribed[usize::from(stream)] = None;
        for contract in 0..self.spoke.len() {
            if Self::stream_of(contract) == stream {
                self.spoke[contract] = None;
            }
        }
    }

    fn step_override(&mut self, second: i64) {
        let fault = self.faults.iter().find(|fault| {
            fault.from <= second && second < fault.until && matches!(fault.kind, Kind::Override(_))
        });
        let wanted = match fault.map(|fault| &fault.kind) {
            Some(Kind::Override(provider)) => Some(*provider),
            _ => None,
        };
        if wanted != self.forced {
            self.forced = wanted;
            self.mark(second, &Mark::failover(wanted));
        }
    }

    fn step_streams(&mut self, second: i64) {
        for stream in 0..2_u8 {
            let at_stream = usize::from(stream);
            let is_lost = self.is(second, |kind| matches!(kind, Kind::LostStream(of, _) if *of == stream));
            let is_refused = self.is(second, |kind| *kind == Kind::Refused(stream));
            if is_lost {
                let noticed = self.faults.iter().find_map(|fault| match fault.kind {
                    Kind::LostStream(of, after)
                        if of == stream && fault.from <= second && second < fault.until =>
                    {
                        Some((fault.from + after, fault.from))
                    }
                    _ => None,
                });
                if let (Some((noticed, since)), true) = (noticed, self.subscribed[at_stream].is_some())
                    && second >= noticed
                {
                    self.end_subscription(second, stream);
                    let mark = Mark::stream_down(Provider::AngelOne, stream, "broken").since(at(since));
                    self.mark(second, &mark);
                }
                continue;
            }
            if is_refused && self.subscribed[at_stream].is_some() {
                self.end_subscription(second, stream);
                self.mark(second, &Mark::stream_down(Provider::AngelOne, stream, "E1002"));
            }
            if is_refused {
                continue;
            }
            let is_new = self.subscribed[at_stream].is_none();
            if is_new {
                self.subscribed[at_stream] = Some(second);
                self.mark(second, &Mark::stream_up(Provider::AngelOne, stream));
            }
            if self.is(second, |kind| *kind == Kind::MuteStream(stream)) {
                continue;
            }
            self.send(second, stream, is_new);
        }
    }

    /// One record of a stream.
    fn send(&mut self, second: i64, stream: u8, is_new: bool) {
        let mut frames = Frames::default();
        let mut sent = Vec::new();
        for contract in 0..self.market.contracts.len() {
            let is_mute =
                self.is(second, |kind| matches!(kind, Kind::MuteContracts(mute) if mute.contains(&contract)));
            if Self::stream_of(contract) != stream || is_mute {
                continue;
            }
            let value = self.market.at(contract, second);
            let is_changed = value.second == second && second >= OPEN_S;
            let is_moved = second >= OPEN_S && (second + contract as i64 * 7) % self.book_s == 0;
            // The copy that a subscription brings comes for every contract that the server knows.
            if !(is_changed || is_moved || is_new) {
                continue;
            }
            let mut bytes = Vec::new();
            let day = angel_one::DayStatistics { volume: value.volume, ..Default::default() };
            let snapshot = angel_one::Snapshot { open_interest: value.open_interest, ..Default::default() };
            angel_one::Packet {
                token: Self::token(contract),
                sequence: 1,
                exchange_time_ms: at(second).as_ms(),
                last_price_paise: 10_000 + value.volume / LOT % 500,
                detail: angel_one::Detail::SnapQuote(day, snapshot),
            }
            .encode_into(&mut bytes);
            frames.push(&bytes);
            sent.push((contract, value));
        }
        if frames.is_empty() {
            return;
        }
        self.apply(second, Source::ANGEL_ONE_STREAM, format!("stream={stream}"), frames);
        let mut is_live = false;
        for (contract, value) in sent {
            self.show(Provider::AngelOne, contract, second, value);
            match self.spoke[contract] {
                None => {
                    self.spoke[contract] = Some(second);
                    self.streamed[contract].push((second, second));
                }
                Some(_) => is_live = true,
            }
        }
        if is_live {
            for contract in 0..self.spoke.len() {
                let is_mute = self
                    .is(second, |kind| matches!(kind, Kind::MuteContracts(mute) if mute.contains(&contract)));
                if Self::stream_of(contract) == stream && self.spoke[contract].is_some() && !is_mute {
                    self.streamed[contract].last_mut().expect("it spoke").1 = second;
                }
            }
        }
    }

    /// Answers what the pipeline would have requested, ten seconds of requests at once.
    fn step_quotes(&mut self, second: i64) {
        let tokens = self.pipeline.silent_tokens(Provider::AngelOne, at(second), 50);
        if tokens.is_empty() {
            return;
        }
        let context =
            angel_one::QuoteContext { sent: Some(at(second)), tokens: tokens.iter().copied().collect() };
        let mut fetched = Vec::new();
        for token in &tokens {
            let contract = (token.token - 35_000) as usize;
            let value = self.market.at(contract, second);
            fetched.push(angel_one::FullQuote {
                exchange: token.segment,
                trading_symbol: String::new(),
                symbol_token: token.token,
                ltp: Price::from_e4(1_000_000),
                open: Price::ZERO,
                high: Price::ZERO,
                low: Price::ZERO,
                close: Price::ZERO,
                last_trade_qty: 0,
                exch_feed_time: at(value.second.max(0)),
                exch_trade_time: at(value.second.max(0)),
                net_change: 0.0,
                percent_change: 0.0,
                avg_price: Price::ZERO,
                trade_volume: value.volume,
                opn_interest: value.open_interest,
                lower_circuit: Price::ZERO,
                upper_circuit: Price::ZERO,
                tot_buy_quan: 0,
                tot_sell_quan: 0,
                low_52_weeks: Price::ZERO,
                high_52_weeks: Price::ZERO,
                depth: angel_one::Depth::default(),
            });
            self.show(Provider::AngelOne, contract, value.second.max(0), value);
        }
        let body = angel_one::encode_full_quotes(&fetched, &[]);
        self.apply(second, Source::ANGEL_ONE_QUOTE, context.to_string(), Frames::one(&body));
    }

    fn poll(&mut self, second: i64, chain: usize) {
        let is_down = self.is(second, |kind| *kind == Kind::SiteDown || *kind == Kind::ChainDown(chain));
        if is_down {
            return;
        }
        let stale = self
            .faults
            .iter()
            .find(|fault| fault.from <= second && second < fault.until && fault.kind == Kind::SiteStale);
        let served = stale.map_or(second, |fault| fault.from) - self.delay_s;
        let stamp = served.div_euclid(30) * 30;
        if stamp < 0 || stamp == self.last_stamp[chain] {
            // The feed hands over nothing that repeats the body before.
            return;
        }
        self.last_stamp[chain] = stamp;
        let is_echo = self.is(second, |kind| *kind == Kind::Echo(chain));
        let is_empty = self.is(second, |kind| *kind == Kind::Empty(chain));
        let served_chain = if is_echo { 1 - chain } else { chain };
        let mut legs = Vec::new();
        let mut shown = Vec::new();
        let mut bad = 0;
        for contract in of_chain(served_chain, self.per_chain) {
            if is_empty || self.is(second, |kind| *kind == Kind::Omitted(contract)) {
                continue;
            }
            let is_bad = self.is(second, |kind| *kind == Kind::BadLeg(contract));
            bad += usize::from(is_bad);
            let value = self.market.at(contract, stamp);
            let terms = &self.market.contracts[contract];
            let crate::market::InstrumentKind::Option { expiry, strike, option_type } = terms.kind else {
                panic!("{terms} is an option")
            };
            let lots = |units: i64| units as f64 / LOT as f64;
            legs.push(nse::Leg {
                underlying: Arc::clone(&terms.underlying),
                expiry,
                strike,
                option_type,
                open_interest_lots: Some(if is_bad { BAD } else { lots(value.open_interest) }),
                open_interest_change_lots: None,
                volume_lots: Some(lots(value.volume)),
                last_price: Told::zero_is_nothing(Price::from_e4(value.volume)),
                bid: Told::Nothing,
                ask: Told::Nothing,
                implied_volatility_e4: Told::Nothing,
            });
            if !is_bad {
                shown.push((contract, value));
            }
        }
        let body = nse::encode_chain(
            &nse::Chain {
                timestamp: at(stamp),
                underlying_value: Some(Price::from_e4(252_000_000 + stamp)),
                expiries: vec![expiry(0), expiry(1)],
                legs,
                malformed: Vec::new(),
            },
            nse::ChainShape::V3,
        );
        let body = if bad > 0 {
            String::from_utf8(body).expect("JSON").replace("1234567.125", "\"-\"").into_bytes()
        } else {
            body
        };
        let context = nse::ChainContext { symbol: "NIFTY".to_owned(), expiry: Some(expiry(chain)) };
        self.apply(second, Source::NSE_CHAIN, context.to_string(), Frames::one(&body));
        if !is_echo {
            for (contract, value) in shown {
                self.show(Provider::Nse, contract, stamp, value);
                self.bodies[contract].push(stamp);
            }
        }
    }

    fn finish(&mut self) {
        for minute in 0..440 {
            self.mark(END_S + 65 + minute * 60, &Mark::clock([]));
        }
    }

    /// The last statement of every bucket of the play, by contract and bucket.
    fn rows(&self) -> BTreeMap<(usize, i64), BucketRow> {
        let number_of: BTreeMap<_, _> = self
            .batch
            .instruments
            .iter()
            .filter_map(|row| {
                let number = self.market.contracts.iter().position(|contract| *contract == row.contract)?;
                Some((row.id, number))
            })
            .collect();
        let mut rows: BTreeMap<(usize, i64), BucketRow> = BTreeMap::new();
        for row in &self.batch.buckets {
            let bucket = row.bucket.start().us_since(at(OPEN_S)) / Bucket::LENGTH_US;
            let before = rows.insert((number_of[&row.instrument], bucket), *row);
            if let Some(before) = before {
                assert!(
                    row.revision > before.revision || *row == before,
                    "a row is stated twice with one revision: {before:?}, {row:?}"
                );
            }
        }
        rows
    }
}

const BAD: f64 = 1_234_567.125;

/// What a schedule came to, so that the test is known to test something.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    live: u64,
    carried: u64,
    backfilled: u64,
    missing: u64,
    contradicted: u64,
    switches: u64,
}

fn check(play: &Play, tally: &mut Tally) -> Result<(), String> {
    let rows = play.rows();
    let mut states: BTreeMap<(usize, BucketState), usize> = BTreeMap::new();
    for ((contract, bucket), row) in &rows {
        *states.entry((*contract, row.state)).or_default() += 1;
        if *bucket >= BUCKETS {
            continue;
        }
        match row.state {
            BucketState::Live => tally.live += 1,
            BucketState::Carried => tally.carried += 1,
            BucketState::Backfilled => tally.backfilled += 1,
            BucketState::Missing | BucketState::Unlisted => tally.missing += 1,
        }
        let (start, end) = (OPEN_S + bucket * BUCKET_S, OPEN_S + (bucket + 1) * BUCKET_S);
        let name = || format!("contract {contract} bucket {bucket} ({start}..{end}): {row:?}");
        if row.state == BucketState::Missing {
            check_missing(play, *contract, start, end).map_err(|why| {
                trace(play, *contract, start, end);
                format!("{why}: {}", name())
            })?;
            continue;
        }
        if row.state == BucketState::Unlisted {
            return Err(format!("every contract is listed from the beginning: {}", name()));
        }
        let (Some(volume), Some(event_time)) = (row.volume, row.event_time) else {
            // Values from before the open have no volume.
            continue;
        };
        let stamp = event_time.us_since(at(0)) / 1_000_000;
        let truth = play.market.at(*contract, stamp);
        if (truth.volume, Some(truth.open_interest)) != (volume, row.open_interest) {
            return Err(format!("it was never so: {truth:?} at {stamp}: {}", name()));
        }
        let slack = match row.provider {
            Some(Provider::Nse) => SITE_SLACK_S,
            _ => STREAM_SLACK_S,
        };
        let is_ordered = |provider: Provider| {
            play.is_in(start, end + LATENESS_S, |kind| *kind == Kind::Override(provider))
        };
        // An operator's order binds: what the others know better is not taken.
        let ordered = row.provider.filter(|provider| is_ordered(*provider));
        let newer = play.shown[*contract].iter().find(|shown| {
            shown.stamp < end - slack
                && shown.volume > volume
                && ordered.is_none_or(|ordered| shown.provider == ordered)
        });
        if let Some(newer) = newer {
            trace(play, *contract, start, end);
            return Err(format!("a witness contradicts it: {newer:?}: {}", name()));
        }
    }
    for (contract, terms) in play.market.contracts.iter().enumerate() {
        let Some(instrument) = play.batch.instruments.iter().find(|row| row.contract == *terms) else {
            continue;
        };
        let of_contract = rows.keys().filter(|(of, _)| *of == contract).count();
        if of_contract != 125 {
            return Err(format!("contract {contract} has {of_contract} rows"));
        }
        let last = play.batch.coverage.iter().rfind(|day| day.instrument == instrument.id);
        let mut counted: BTreeMap<BucketState, usize> = BTreeMap::new();
        for run in last.map(|day| &day.runs[..]).unwrap_or_default() {
            let buckets = run.to_bucket.index_in_day() - run.from_bucket.index_in_day() + 1;
            *counted.entry(run.state).or_default() += buckets;
        }
        for state in BucketState::ALL {
            let of_rows = states.get(&(contract, state)).copied().unwrap_or(0);
            let of_coverage = counted.get(&state).copied().unwrap_or(0);
            if of_rows != of_coverage {
                return Err(format!(
                    "contract {contract}: {of_rows} rows {state}, coverage says {of_coverage}"
                ));
            }
        }
    }
    let counters = play.pipeline.day_counters();
    tally.contradicted += counters.contradicted;
    tally.switches += counters.switches;
    Ok(())
}

/// Prints what was shown of a contract around a bucket and what was stated, of a single schedule.
fn trace(play: &Play, contract: usize, start: i64, end: i64) {
    if std::env::var_os("BHAVD_SCHEDULE").is_none() {
        return;
    }
    for shown in
        play.shown[contract].iter().filter(|shown| start - 60 < shown.stamp && shown.stamp < end + 300)
    {
        println!("{shown:?}");
    }
    let second = |time: Timestamp| time.us_since(at(0)) / 1_000_000;
    for row in play.batch.buckets.iter() {
        let BucketRow { state, revision, volume, provider, .. } = row;
        let (bucket, event) = (second(row.bucket.start()), row.event_time.map(second));
        if (start - 400..end + 400).contains(&bucket) && row.instrument.0 as usize == contract + 1 {
            println!("{bucket} {state} revision {revision} {provider:?} {event:?} {volume:?}");
        }
    }
}

/// Whether a witness that worked proved a contract at a bucket's end.
fn check_missing(play: &Play, contract: usize, start: i64, end: i64) -> Result<(), String> {
    // A contract that is muted may be proved by nothing else; its neighbours' scope may be down with it.
    let is_muted = play.faults.iter().any(|fault| {
        matches!(&fault.kind, Kind::MuteContracts(_) | Kind::MuteStream(_))
            && fault.from < end + 240
            && end - 600 < fault.until
    });
    let streamed = play.streamed[contract].iter().find(|(from, until)| *from < end && end <= *until);
    if let (Some((from, until)), false) = (streamed, is_muted) {
        return Err(format!("its stream proved it from {from} to {until}"));
    }
    let bodies = &play.bodies[contract];
    let before = bodies.iter().rfind(|stamp| **stamp < end);
    let after = bodies.iter().find(|stamp| **stamp >= end);
    if let (Some(before), Some(after)) = (before, after)
        && *before >= start
        && after - before <= SITE_SLACK_S
    {
        return Err(format!("bodies of {before} and {after} proved it"));
    }
    Ok(())
}

fn play(seed: u64, tally: &mut Tally) -> Result<(), String> {
    let mut play = Play::new(seed);
    play.begin();
    for second in 2..END_S + 60 {
        play.step(second);
    }
    play.finish();
    check(&play, tally).map_err(|why| {
        let Play { faults, delay_s, poll_s, book_s, has_stream, has_site, per_chain, .. } = &play;
        format!(
            "schedule {seed}: {why}\nstream {has_stream}, site {has_site} {delay_s} s late each {poll_s} s, book each \
             {book_s} s, {per_chain} contracts a chain\n{faults:#?}"
        )
    })
}

#[test]
fn no_row_claims_more_than_was_seen_and_none_less() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let mut tally = Tally::default();
    if let Some(seed) = number("BHAVD_SCHEDULE") {
        play(seed, &mut tally).unwrap_or_else(|why| panic!("{why}"));
        return println!("{tally:?}");
    }
    let first = number("BHAVD_SEED").unwrap_or_else(|| rand::rng().random_range(0..1_u64 << 40));
    let schedules = number("BHAVD_SCHEDULES").unwrap_or(150);
    println!("{schedules} schedules from BHAVD_SEED={first} on");
    // A long run names every schedule that fails, each in a line; one alone shows all of it.
    let failed: Vec<(u64, String)> = (first..first + schedules)
        .filter_map(|seed| Some((seed, play(seed, &mut tally).err()?)))
        .inspect(|(_, why)| println!("{}", why.lines().next().unwrap_or_default()))
        .collect();
    println!("{tally:?}");
    let seeds: Vec<u64> = failed.iter().map(|(seed, _)| *seed).collect();
    let why = failed.first().map_or("", |(_, why)| why);
    assert!(seeds.is_empty(), "{} of {schedules} schedules fail: {seeds:?}\n{why}", seeds.len());
    assert!(tally.live > 0 && tally.carried > 0 && tally.missing > 0 && tally.backfilled > 0);
    assert!(tally.switches > 0 && tally.contradicted > 0);
}
