//! A day of a natural market as the daemon's pipeline gets it: packets of streams, bodies of a website that is late, and the
//! answers that the pipeline asks for.

use super::super::evidence_watch::EvidenceWatch;
use crate::{
    calendar::Session,
    engine::watch::{WatchList, WatchedUnderlying},
    feed::angel_one::{AngelOneSettings, Plan},
    market::{
        BucketState, Contract, InstrumentKind, Listing, Price, Provider, ProviderToken, Timestamp, Told,
        is_index_underlying,
    },
    pipeline::{Catalog, NoLive, Pipeline, PipelineSettings},
    sim::{NaturalMarket, SimEvent, SimMarket},
    spool::{Frames, Mark, NewRecord, Source},
    store::Batch,
    wire::{angel_one, nse},
};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::{collections::VecDeque, sync::Arc};

/// How old the website's bodies are when they come.
const SITE_AGE_S: std::ops::RangeInclusive<i64> = 49..=159;
/// The website builds each chain at these seconds of a minute.
const REBUILDS_S: [i64; 2] = [14, 44];
/// Requests of the website a second.
const POLLS_A_SECOND: usize = 3;
/// A chain is polled no more often.
const POLL_EVERY_S: i64 = 60;
/// How old the values of an answer are.
const ANSWER_AGE_S: i64 = 3;
/// The daemon looks six times as often for what to ask; that would be most of a small day's work.
const ASK_EVERY_S: i64 = 60;
const ASKED_MAX: usize = 500;
/// One request a second asks for so many contracts of so many that there are; of fewer it asks for fewer.
const REQUESTED_MAX: usize = 50;
const CONTRACTS: usize = 16_000;
/// The play begins before the open, and goes on after the close until nothing is waited for.
const BEFORE_OPEN_S: i64 = 600;
const AFTER_CLOSE_S: i64 = 1_800;

/// What became of a day.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub contracts: usize,
    pub packets: usize,
    pub bodies: usize,
    pub answers: usize,
    pub live: usize,
    pub carried: usize,
    /// Contracts that were carried through the whole day.
    pub quiet: usize,
    /// What should not have happened, the first of each kind.
    pub faults: Vec<String>,
}

/// One chain as the website has it.
struct SiteChain {
    context: nse::ChainContext,
    slots: Vec<usize>,
    next_poll: i64,
    last_stamp: Timestamp,
}

/// What goes wrong with a chain from an instant on, for the proof that a fault is seen.
#[derive(Clone, Debug)]
pub(super) struct Fault {
    pub chain: nse::ChainContext,
    pub from: Timestamp,
    pub kind: FaultKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FaultKind {
    /// The stream brings nothing of it.
    Mute,
    /// Both providers go on to show the open interest of that instant.
    OpenInterestStands,
    VolumeStands,
    /// The level of its underlying.
    LevelStands,
}

/// A pipeline, and the feeds before it.
pub(super) struct Play {
    rng: ChaCha8Rng,
    settings: PipelineSettings,
    pipeline: Pipeline,
    evidence: EvidenceWatch,
    seq: u64,
}

/// The running day.
struct Day {
    market: SimMarket,
    session: Session,
    /// By slot.
    stream_of: Vec<u8>,
    /// By slot: the newest event.
    latest: Vec<Option<SimEvent>>,
    chains: Vec<SiteChain>,
    plan: Plan,
    /// By stream.
    last_data: Vec<Timestamp>,
    asked: VecDeque<ProviderToken>,
    broken: Option<Fault>,
    /// By instrument number, buckets that were not carried.
    spoke: std::collections::BTreeMap<u32, usize>,
    rows: usize,
    seen: Seen,
}

impl Day {
    fn fault(&mut self, kind: &str, what: impl FnOnce() -> String) {
        if !self.seen.faults.iter().any(|fault| fault.starts_with(kind)) {
            self.seen.faults.push(format!("{kind}: {}", what()));
        }
    }

    fn is_mute(&self, slot: usize, at: Timestamp) -> bool {
        self.is_broken(FaultKind::Mute, slot, at)
    }

    fn is_broken(&self, kind: FaultKind, slot: usize, at: Timestamp) -> bool {
        let contract = &self.market.contracts()[slot].contract;
        self.broken.as_ref().filter(|broken| broken.kind == kind && broken.from <= at).is_some_and(|broken| {
            match contract.expiry() {
                Some(expiry) => {
                    kind != FaultKind::LevelStands && broken.chain.contains(&contract.underlying, expiry)
                }
                None => kind == FaultKind::LevelStands && broken.chain.symbol == *contract.underlying,
            }
        })
    }

    /// The event whose value of a field is shown in place of this one's.
    fn shown<'a>(&'a self, kind: FaultKind, slot: usize, event: &'a SimEvent) -> &'a SimEvent {
        let from = self.broken.as_ref().map(|broken| broken.from);
        let from = from.filter(|_| self.is_broken(kind, slot, self.market.time(event)));
        from.and_then(|from| self.as_of(slot, from)).unwrap_or(event)
    }

    fn open_interest(&self, slot: usize, event: &SimEvent) -> Option<i64> {
        self.shown(FaultKind::OpenInterestStands, slot, event).open_interest()
    }

    fn volume(&self, slot: usize, event: &SimEvent) -> Option<i64> {
        self.shown(FaultKind::VolumeStands, slot, event).volume()
    }

    fn last_price(&self, slot: usize, event: &SimEvent) -> Option<Price> {
        self.shown(FaultKind::LevelStands, slot, event).last_price()
    }

    /// A contract's newest event that is not after an instant.
    fn as_of(&self, slot: usize, at: Timestamp) -> Option<&SimEvent> {
        let events = self.market.events_of(slot);
        let after =
            events.partition_point(|event| self.market.time(&self.market.events()[*event as usize]) <= at);
        let last = after.checked_sub(1)?;
        Some(&self.market.events()[events[last] as usize])
    }

    fn packet(&self, slot: usize, event: &SimEvent, stamp: Timestamp) -> angel_one::Packet {
        let day =
            angel_one::DayStatistics { volume: self.volume(slot, event).unwrap_or(0), ..Default::default() };
        let open_interest = self.open_interest(slot, event).unwrap_or(0);
        angel_one::Packet {
            token: self.market.contracts()[slot].token,
            sequence: 1,
            exchange_time_ms: stamp.as_ms(),
            last_price_paise: self.last_price(slot, event).unwrap_or_default().as_paise(),
            detail: angel_one::Detail::SnapQuote(
                day,
                angel_one::Snapshot { open_interest, ..Default::default() },
            ),
        }
    }

    fn quote(&self, token: ProviderToken, at: Timestamp) -> Option<angel_one::FullQuote> {
        let slot = self.market.slot_of_token(token)?;
        let event = self.as_of(slot, at)?;
        let time = self.market.time(event);
        Some(angel_one::FullQuote {
            exchange: token.segment,
            trading_symbol: String::new(),
            symbol_token: token.token,
            ltp: self.last_price(slot, event).unwrap_or_default(),
            open: Price::ZERO,
            high: Price::ZERO,
            low: Price::ZERO,
            close: Price::ZERO,
            last_trade_qty: 0,
            exch_feed_time: time,
            exch_trade_time: time,
            net_change: 0.0,
            percent_change: 0.0,
            avg_price: Price::ZERO,
            trade_volume: self.volume(slot, event).unwrap_or(0),
            opn_interest: self.open_interest(slot, event).unwrap_or(0),
            lower_circuit: Price::ZERO,
            upper_circuit: Price::ZERO,
            tot_buy_quan: 0,
            tot_sell_quan: 0,
            low_52_weeks: Price::ZERO,
            high_52_weeks: Price::ZERO,
            depth: angel_one::Depth::default(),
        })
    }

    fn body(&self, chain: &SiteChain, stamp: Timestamp) -> Vec<u8> {
        let mut legs = Vec::with_capacity(chain.slots.len());
        for slot in &chain.slots {
            let listed = &self.market.contracts()[*slot];
            let (InstrumentKind::Option { expiry, strike, option_type }, Some(event)) =
                (listed.contract.kind, self.as_of(*slot, stamp))
            else {
                continue;
            };
            let lots = |units: Option<i64>| units.map(|units| units as f64 / f64::from(listed.lot_size));
            legs.push(nse::Leg {
                underlying: Arc::clone(&listed.contract.underlying),
                expiry,
                strike,
                option_type,
                open_interest_lots: lots(self.open_interest(*slot, event)),
                open_interest_change_lots: None,
                volume_lots: lots(self.volume(*slot, event)),
                last_price: Told::zero_is_nothing(self.last_price(*slot, event).unwrap_or_default()),
                bid: Told::Nothing,
                ask: Told::Nothing,
                implied_volatility_e4: Told::Nothing,
            });
        }
        let expiries = chain.context.expiry.into_iter().collect();
        let chain = nse::Chain {
            timestamp: stamp,
            underlying_value: None,
            expiries,
            legs,
            rowless_strikes: Vec::new(),
            malformed: Vec::new(),
        };
        nse::encode_chain(&chain, nse::ChainShape::V3)
    }
}

impl Play {
    pub fn new(seed: u64) -> Play {
        let settings = PipelineSettings::of_tests();
        Play {
            rng: ChaCha8Rng::seed_from_u64(seed),
            pipeline: Pipeline::new(settings.clone(), Catalog::default()),
            settings,
            evidence: EvidenceWatch::new(),
            seq: 0,
        }
    }

    fn apply(&mut self, day: &mut Day, record: NewRecord) {
        self.seq += 1;
        let mut batch = Batch::new(day.session.date, 0);
        self.pipeline.apply(&record.numbered(self.seq), &mut NoLive, &mut batch);
        for row in &batch.buckets {
            let is_first = row.revision == 0;
            match row.state {
                BucketState::Live => day.seen.live += usize::from(is_first),
                BucketState::Carried => day.seen.carried += usize::from(is_first),
                state => day.fault("a row is not proved", || format!("{state}: {row:?}")),
            }
            day.rows += usize::from(is_first);
            if row.state != BucketState::Carried {
                *day.spoke.entry(row.instrument.0).or_default() += 1;
            }
        }
        for row in batch.underlyings.iter().filter(|row| row.state > BucketState::Carried) {
            day.fault("an underlying's row is not proved", || format!("{row:?}"));
        }
        let open = day.session.open;
        for gap in batch.gaps.iter().filter(|gap| gap.to > open) {
            day.fault("a gap", || format!("{gap:?}"));
        }
        for coverage in &batch.coverage {
            if let Some(run) = coverage.runs.iter().find(|run| run.state > BucketState::Carried) {
                day.fault("coverage below 100 %", || format!("{run:?}"));
            }
        }
        if let Some(lacks) = self.evidence.look(&self.pipeline)
            && lacks != Default::default()
        {
            // Each as soon as it is told, by its first words: their figures change.
            for told in lacks.problems.iter().chain(&lacks.notices).chain(&lacks.problems_of_day) {
                let words: String = told.chars().filter(|letter| !letter.is_ascii_digit()).take(24).collect();
                let at = self.pipeline.last_received();
                day.fault(&format!("an alarm ({words})"), || format!("{at}: {told}"));
            }
        }
    }

    fn tell(
        &mut self,
        day: &mut Day,
        received_time: Timestamp,
        source: Source,
        context: String,
        frames: Frames,
    ) {
        self.apply(day, NewRecord { source, received_time, context, frames });
    }

    /// Plays a whole day, or up to an hour after something went wrong.
    pub fn day(&mut self, parameters: &NaturalMarket, broken: Option<Fault>) -> Seen {
        let mut day = self.begin(parameters);
        day.broken = broken;
        let mut events = 0;
        let from = -BEFORE_OPEN_S;
        let end = match &day.broken {
            Some(broken) => broken.from.plus_seconds(3_600),
            None => day.session.close.plus_seconds(AFTER_CLOSE_S),
        };
        let until = end.us_since(day.session.open) / 1_000_000;
        for second in from..until {
            let now = day.session.open.plus_seconds(second);
            self.stream(&mut day, &mut events, now);
            self.poll(&mut day, second, now.plus_us(500_000));
            self.answer(&mut day, second, now.plus_us(700_000));
            if now.as_us() / 1_000_000 % 60 == 6 {
                self.apply(&mut day, NewRecord::mark(now.plus_us(900_000), &Mark::clock([])));
            }
        }
        self.end(day)
    }

    fn begin(&mut self, parameters: &NaturalMarket) -> Day {
        let (market, session) = (parameters.generate(), parameters.session());
        let watch = WatchList { underlyings: vec![WatchedUnderlying::every_underlying(0)] };
        let listings: Vec<(ProviderToken, Contract)> =
            market.contracts().iter().map(|listed| (listed.token, listed.contract.clone())).collect();
        let sockets = listings.len() / 1_000 + 1;
        let settings = AngelOneSettings { sockets_max: sockets, ..AngelOneSettings::default() };
        let plan = Plan::new(&settings, &watch, &listings, session.date);
        let mut stream_of = vec![0; listings.len()];
        for (stream, tokens) in plan.sockets.iter().enumerate() {
            for token in tokens {
                stream_of[market.slot_of_token(*token).expect("listed")] = stream as u8;
            }
        }
        let mut chains: Vec<SiteChain> = Vec::new();
        for (slot, listed) in market.contracts().iter().enumerate() {
            let Some(expiry) = listed.contract.expiry() else { continue };
            let context =
                nse::ChainContext { symbol: listed.contract.underlying.to_string(), expiry: Some(expiry) };
            match chains.last_mut().filter(|chain| chain.context == context) {
                Some(chain) => chain.slots.push(slot),
                None => chains.push(SiteChain {
                    context,
                    slots: vec![slot],
                    next_poll: 0,
                    last_stamp: Timestamp::NEVER,
                }),
            }
        }
        let mut day = Day {
            session,
            stream_of,
            latest: vec![None; listings.len()],
            chains,
            last_data: vec![Timestamp::NEVER; plan.sockets.len()],
            plan,
            asked: VecDeque::new(),
            broken: None,
            spoke: Default::default(),
            rows: 0,
            seen: Seen::default(),
            market,
        };
        day.seen.contracts = listings.len();
        let head = session.open.plus_seconds(-BEFORE_OPEN_S - 60);
        let rules = self.settings.rules(session.date);
        let mut marks = vec![Mark::Rules { rules }, Mark::started("")];
        marks.extend(Provider::ALL.map(Mark::feed_up));
        for mark in marks {
            self.apply(&mut day, NewRecord::mark(head, &mark));
        }
        let master: Vec<Listing> = day
            .market
            .contracts()
            .iter()
            .map(|listed| Listing {
                provider: Provider::AngelOne,
                token: Some(listed.token),
                symbol: Arc::clone(&listed.symbol),
                contract: listed.contract.clone(),
                lot_size: listed.lot_size,
                tick_size: listed.tick_size,
            })
            .collect();
        let master = Frames::one(&angel_one::encode_master(&master));
        self.tell(&mut day, head, Source::ANGEL_ONE_MASTER, String::new(), master);
        let lots = Frames::one(&nse::encode_lots(&lots_of(&day.market)));
        self.tell(&mut day, head, Source::NSE_LOTS, String::new(), lots);
        for stream in 0..day.last_data.len() {
            self.apply(&mut day, NewRecord::mark(head, &Mark::stream_up(Provider::AngelOne, stream as u8)));
        }
        day
    }

    /// What happened up to an instant, and the copies that subscriptions and the close bring.
    fn stream(&mut self, day: &mut Day, events: &mut usize, now: Timestamp) {
        let mut packets: Vec<Vec<angel_one::Packet>> = vec![Vec::new(); day.last_data.len()];
        let stamped = |second: i64| now == day.session.open.plus_seconds(second);
        while let Some(event) = day.market.events().get(*events)
            && day.market.time(event) < now
        {
            *events += 1;
            let (slot, time) = (event.slot(), day.market.time(event));
            day.latest[slot] = Some(*event);
            if time >= day.session.open && !day.is_mute(slot, time) {
                packets[usize::from(day.stream_of[slot])].push(day.packet(slot, event, time));
            }
        }
        let is_copied = stamped(-BEFORE_OPEN_S) || now == day.session.close.plus_seconds(1);
        if is_copied {
            let stamp = now.plus_seconds(-1);
            for slot in 0..day.latest.len() {
                if let Some(event) = &day.latest[slot] {
                    packets[usize::from(day.stream_of[slot])].push(day.packet(slot, event, stamp));
                }
            }
        }
        for (stream, packets) in packets.iter().enumerate().filter(|(_, packets)| !packets.is_empty()) {
            let received = now.plus_us(200_000);
            let last = std::mem::replace(&mut day.last_data[stream], received).max(day.session.open);
            let (silence_us, silence_max) = (received.us_since(last), day.plan.silence_max(stream));
            if silence_us > silence_max.as_micros() as i64 {
                day.fault("a stream is called mute", || {
                    format!("stream {stream} at {received}, {} s", silence_us / 1_000_000)
                });
            }
            let mut frames = Frames::default();
            let mut bytes = Vec::new();
            for packet in packets {
                bytes.clear();
                packet.encode_into(&mut bytes);
                frames.push(&bytes);
            }
            day.seen.packets += packets.len();
            self.tell(day, received, Source::ANGEL_ONE_STREAM, format!("stream={stream}"), frames);
        }
    }

    /// The website's bodies, as many as may be requested in a second.
    fn poll(&mut self, day: &mut Day, second: i64, now: Timestamp) {
        for _ in 0..POLLS_A_SECOND {
            let Some(at) = (0..day.chains.len()).min_by_key(|chain| day.chains[*chain].next_poll) else {
                return;
            };
            if day.chains[at].next_poll > second || second < 0 {
                return;
            }
            day.chains[at].next_poll = second + POLL_EVERY_S;
            let age_s = self.rng.random_range(SITE_AGE_S);
            let chain = &day.chains[at];
            let stamp = rebuilt_before(now.plus_seconds(-age_s), now).min(day.session.close);
            if stamp <= chain.last_stamp || stamp < day.session.open {
                continue;
            }
            let body = Frames::one(&day.body(chain, stamp));
            let context = chain.context.to_string();
            day.chains[at].last_stamp = stamp;
            day.seen.bodies += 1;
            self.tell(day, now, Source::NSE_CHAIN, context, body);
        }
    }

    /// One answer a second to what the pipeline asks for.
    fn answer(&mut self, day: &mut Day, second: i64, now: Timestamp) {
        if second % ASK_EVERY_S == 0 {
            day.asked = self.pipeline.silent_tokens(Provider::AngelOne, now, ASKED_MAX).into();
        }
        let requested_max = (day.seen.contracts * REQUESTED_MAX / CONTRACTS).clamp(1, REQUESTED_MAX);
        let count = day.asked.len().min(requested_max);
        let tokens: Vec<ProviderToken> = day.asked.drain(..count).collect();
        if tokens.is_empty() {
            return;
        }
        let sent = now.plus_us(-300_000);
        let fetched: Vec<angel_one::FullQuote> =
            tokens.iter().filter_map(|token| day.quote(*token, sent.plus_seconds(-ANSWER_AGE_S))).collect();
        day.seen.answers += fetched.len();
        let context = angel_one::QuoteContext { sent: Some(sent), tokens: tokens.into_iter().collect() };
        let body = Frames::one(&angel_one::encode_full_quotes(&fetched, &[]));
        self.tell(day, now, Source::ANGEL_ONE_QUOTE, context.to_string(), body);
    }

    fn end(&mut self, mut day: Day) -> Seen {
        // The next day's first record ends the day.
        let next = NewRecord::mark(day.session.open.plus_seconds(17 * 3_600), &Mark::clock([]));
        let counters = self.pipeline.day_counters();
        if (counters.switches, counters.contradicted, counters.disputed) != (0, 0, 0) {
            day.fault("a switch", || format!("{counters:?}"));
        }
        let worst = self.pipeline.counters().clone();
        if worst.malformed + worst.unwatched + worst.stale_bodies + worst.unknown_lots > 0 {
            day.fault("data that was not used", || format!("{worst:?}"));
        }
        self.apply(&mut day, next);
        let options = day.market.contracts().iter().filter(|listed| listed.contract.is_option()).count();
        let buckets = day.session.buckets().count();
        let rows = day.rows;
        if rows != options * buckets {
            day.fault("rows lack", || format!("{rows} of {options} contracts in {buckets} buckets"));
        }
        day.seen.quiet = options - day.spoke.len();
        day.seen
    }
}

/// The newest rebuild that is not after an instant, nor older at `now` than bodies are.
fn rebuilt_before(at: Timestamp, now: Timestamp) -> Timestamp {
    let oldest = now.plus_seconds(-SITE_AGE_S.end());
    let minute = at.floor_to_minutes(1);
    let rebuilds = [-60, 0]
        .into_iter()
        .flat_map(|minutes| REBUILDS_S.map(|second| minute.plus_seconds(minutes + second)));
    let newest = rebuilds.filter(|rebuilt| *rebuilt <= at).max().expect("a minute has rebuilds");
    // What is older was built anew by then.
    if newest < oldest { newest.plus_seconds(30) } else { newest }
}

fn lots_of(market: &SimMarket) -> nse::LotTable {
    let expiries = market.contracts().iter().filter_map(|listed| listed.contract.expiry());
    let mut months: Vec<nse::LotMonth> = expiries.map(nse::LotMonth::of).collect();
    months.sort_unstable();
    months.dedup();
    let mut rows: Vec<nse::LotRow> = Vec::new();
    for listed in market.contracts().iter().filter(|listed| listed.contract.is_option()) {
        let symbol = listed.contract.underlying.to_string();
        if rows.last().is_none_or(|row| row.symbol != symbol) {
            let is_index = is_index_underlying(&symbol);
            let section = if is_index { nse::LotSection::Indices } else { nse::LotSection::Shares };
            let lots = vec![Some(listed.lot_size); months.len()];
            rows.push(nse::LotRow { section, name: symbol.clone(), symbol, lots });
        }
    }
    rows.sort_by_key(|row| row.section == nse::LotSection::Shares);
    nse::LotTable { months, rows }
}
