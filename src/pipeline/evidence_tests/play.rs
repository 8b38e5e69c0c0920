//! A schedule as the pipeline gets it: streams, bodies and answers of a market, with its faults.

use super::{
    END_S, OPEN_S, at,
    candles::StoredCandles,
    date,
    market::{Fault, Kind, LOT, Market, Value, draw_faults, draw_market, expiry, level, of_chain},
};
use crate::{
    market::{Bucket, BucketRow, Listing, Price, Provider, ProviderToken, Segment, Told},
    pipeline::{Catalog, NoLive, Pipeline, PipelineSettings},
    spool::{Frames, Mark, NewRecord, Source},
    store::Batch,
    wire::{angel_one, nse},
};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::{collections::BTreeMap, sync::Arc};

const BAD: f64 = 1_234_567.125;

/// What a provider showed of a contract.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shown {
    pub provider: Provider,
    pub stamp: i64,
    pub received: i64,
    pub volume: i64,
}

/// A schedule being played into a pipeline.
pub(super) struct Play {
    pub market: Market,
    pub faults: Vec<Fault>,
    pub per_chain: usize,
    /// How late the website's bodies are.
    pub delay_s: i64,
    pub poll_s: i64,
    /// How often the stream repeats a contract whose book moves.
    pub book_s: i64,
    pub has_stream: bool,
    pub has_site: bool,
    pub pipeline: Pipeline,
    pub batch: Batch,
    pub candles: StoredCandles,
    pub seq: u64,
    pub shown: Vec<Vec<Shown>>,
    /// By stream: subscribed since.
    pub subscribed: [Option<i64>; 2],
    /// By contract: first packet in the running subscription.
    pub spoke: Vec<Option<i64>>,
    /// By contract: the spans in which its stream proved it: from its first packet to the stream's last data.
    pub streamed: Vec<Vec<(i64, i64)>>,
    /// The same up to the stream's last packet: those that stand still show nothing of what is true, but that it goes on.
    pub brought: Vec<Vec<(i64, i64)>>,
    /// By contract: stamps of the bodies that had it.
    pub bodies: Vec<Vec<i64>>,
    /// By contract: instants at which a volume was shown to be the latest one.
    pub volumes: Vec<Vec<(i64, i64)>>,
    /// Stamps of the bodies with the index and any row.
    pub levels: Vec<i64>,
    pub last_stamp: [i64; 2],
    pub is_away: bool,
    pub forced: Option<Provider>,
}

impl Play {
    pub fn new(seed: u64) -> Play {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let per_chain = 2 * rng.random_range(1..4_usize);
        let market = draw_market(&mut rng, per_chain);
        let contracts = market.contracts.len();
        let faults = draw_faults(&mut rng, contracts);
        let which = rng.random_range(0..4_u32);
        Play {
            delay_s: *[0, 20, 49, 90, 120].get(rng.random_range(0..5_usize)).expect("one"),
            poll_s: *[20, 30, 45].get(rng.random_range(0..3_usize)).expect("one"),
            book_s: *[15, 30, 45].get(rng.random_range(0..3_usize)).expect("one"),
            has_stream: which != 0,
            has_site: which != 1,
            pipeline: Pipeline::new(PipelineSettings::of_tests(), Catalog::default()),
            batch: Batch::new(date(), 0),
            candles: StoredCandles::default(),
            seq: 0,
            shown: vec![Vec::new(); contracts],
            subscribed: [None; 2],
            spoke: vec![None; contracts],
            streamed: vec![Vec::new(); contracts],
            brought: vec![Vec::new(); contracts],
            bodies: vec![Vec::new(); contracts],
            volumes: vec![Vec::new(); contracts],
            levels: Vec::new(),
            last_stamp: [0; 2],
            is_away: false,
            forced: None,
            market,
            faults,
            per_chain,
        }
    }

    pub fn is(&self, second: i64, is_kind: impl Fn(&Kind) -> bool) -> bool {
        self.faults.iter().any(|fault| fault.from <= second && second < fault.until && is_kind(&fault.kind))
    }

    /// The same of any second of a time.
    pub fn is_in(&self, from: i64, until: i64, is_kind: impl Fn(&Kind) -> bool) -> bool {
        self.faults.iter().any(|fault| fault.from <= until && from < fault.until && is_kind(&fault.kind))
    }

    fn apply(&mut self, second: i64, source: Source, context: String, frames: Frames) {
        let received_time = at(second).plus_us(400_000);
        let record = NewRecord { source, received_time, context, frames };
        self.seq += 1;
        self.pipeline.apply(&record.numbered(self.seq), &mut NoLive, &mut self.batch);
        self.candles.take(&self.batch);
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

    pub fn begin(&mut self) {
        let rules = PipelineSettings::of_tests().rules(date());
        self.mark(0, &Mark::Rules { rules });
        self.mark(0, &Mark::started(""));
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

    fn show(&mut self, provider: Provider, contract: usize, (stamp, received): (i64, i64), value: Value) {
        self.shown[contract].push(Shown { provider, stamp, received, volume: value.volume });
        self.volumes[contract].push((stamp, value.volume));
    }

    pub fn step(&mut self, second: i64) {
        let is_away = self.is(second, |kind| *kind == Kind::Restart);
        if is_away {
            if !self.is_away {
                self.end_subscriptions(second);
            }
            self.is_away = true;
            return;
        }
        if std::mem::take(&mut self.is_away) {
            self.mark(second, &Mark::started(""));
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

    /// What the stream's provider says of a contract, whose true value this is.
    fn said(&self, second: i64, contract: usize, value: Value) -> Value {
        let is_in_lots = |kind: &Kind| matches!(kind, Kind::Lots(of) if of.contains(&contract));
        let unit = if self.is(second, is_in_lots) { LOT } else { 1 };
        Value { open_interest: value.open_interest / unit, ..value }
    }

    /// When the values that the stream's provider shows of a contract began to stand still.
    pub fn frozen_since(&self, second: i64, contract: usize) -> Option<i64> {
        let is_frozen = |fault: &&Fault| {
            fault.from <= second
                && second < fault.until
                && matches!(&fault.kind, Kind::Frozen(of) if of.contains(&contract))
        };
        self.faults.iter().filter(is_frozen).map(|fault| fault.from).min()
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
            let frozen = self.frozen_since(second, contract);
            let is_changed = self.market.at(contract, second).second == second && second >= OPEN_S;
            let value = self.said(second, contract, self.market.at(contract, frozen.unwrap_or(second)));
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
                last_price_paise: value.price().as_e4() / 100,
                detail: angel_one::Detail::SnapQuote(day, snapshot),
            }
            .encode_into(&mut bytes);
            frames.push(&bytes);
            sent.push((contract, value, frozen));
        }
        if frames.is_empty() {
            return;
        }
        self.apply(second, Source::ANGEL_ONE_STREAM, format!("stream={stream}"), frames);
        let (mut is_live, mut is_brought) = (false, false);
        for (contract, value, frozen) in sent {
            if let Some(since) = frozen {
                // It shows nothing of what is true now.
                self.volumes[contract].push((since, value.volume));
                is_brought |= self.spoke[contract].is_some();
                continue;
            }
            self.show(Provider::AngelOne, contract, (second, second), value);
            match self.spoke[contract] {
                None => {
                    self.spoke[contract] = Some(second);
                    self.streamed[contract].push((second, second));
                    self.brought[contract].push((second, second));
                }
                Some(_) => is_live = true,
            }
        }
        if is_live || is_brought {
            for contract in 0..self.spoke.len() {
                let is_mute = self
                    .is(second, |kind| matches!(kind, Kind::MuteContracts(mute) if mute.contains(&contract)));
                if Self::stream_of(contract) == stream && self.spoke[contract].is_some() && !is_mute {
                    self.brought[contract].last_mut().expect("it spoke").1 = second;
                    if is_live {
                        self.streamed[contract].last_mut().expect("it spoke").1 = second;
                    }
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
            let frozen = self.frozen_since(second, contract);
            let value = self.said(second, contract, self.market.at(contract, frozen.unwrap_or(second)));
            fetched.push(angel_one::FullQuote {
                exchange: token.segment,
                trading_symbol: String::new(),
                symbol_token: token.token,
                ltp: value.price(),
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
            if let Some(since) = frozen {
                self.volumes[contract].push((since, value.volume));
                continue;
            }
            self.show(Provider::AngelOne, contract, (value.second.max(0), second), value);
            // An answer holds as of its request, less the age of copies.
            self.volumes[contract].push((value.second.max(second - 10), value.volume));
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
                last_price: Told::zero_is_nothing(value.price()),
                bid: Told::Nothing,
                ask: Told::Nothing,
                implied_volatility_e4: Told::Nothing,
            });
            if !is_bad {
                shown.push((contract, value));
            }
        }
        // One without a leg is no answer.
        let is_answer = !is_echo && !legs.is_empty();
        let body = nse::encode_chain(
            &nse::Chain {
                timestamp: at(stamp),
                underlying_value: Some(level(stamp)),
                expiries: vec![expiry(0), expiry(1)],
                legs,
                rowless_strikes: Vec::new(),
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
        if is_answer {
            self.levels.push(stamp);
        }
        if !is_echo {
            for (contract, value) in shown {
                self.show(Provider::Nse, contract, (stamp, second), value);
                self.bodies[contract].push(stamp);
            }
        }
    }

    pub fn finish(&mut self) {
        for minute in 0..440 {
            self.mark(END_S + 65 + minute * 60, &Mark::clock([]));
        }
    }

    /// The last statement of every bucket of the play, by contract and bucket.
    pub fn rows(&self) -> BTreeMap<(usize, i64), BucketRow> {
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
