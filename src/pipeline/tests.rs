//! What a day's log gives alone, and what it gives after the days before it.

use super::*;
use crate::{
    engine::watch::{WatchList, WatchedUnderlying},
    market::{
        BucketState, Candle, CandleInterval, Contract, Exchange, InstrumentKind, Listing, OptionType, Price,
        Provider, ProviderToken, Segment, Timestamp, Told, TradingDate,
    },
    spool::{Frames, Mark, NewRecord, Record, Source},
    store::{Batch, GapRow},
    wire::{angel_one, nse},
};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

fn pipeline() -> Pipeline {
    Pipeline::new(PipelineSettings::of_tests(), Catalog::default())
}

/// In January 2026; the 28th to the 30th have sessions, the 31st has none.
fn at(day: u32, second: i64) -> Timestamp {
    let date = TradingDate::from_ymd_opt(2026, 1, day).expect("a date");
    Timestamp::on(date, chrono::NaiveTime::MIN).plus_seconds(second)
}

/// NIFTY's lot size of February 2026.
fn nifty_lots(lot_size: u32) -> nse::LotTable {
    let row = nse::LotRow {
        section: nse::LotSection::Indices,
        name: "NIFTY 50".to_owned(),
        symbol: "NIFTY".to_owned(),
        lots: vec![Some(lot_size)],
    };
    nse::LotTable { months: vec![nse::LotMonth { year: 2026, month: 2 }], rows: vec![row] }
}

/// NIFTY 2026-02-03 with the same open interest and volume.
fn nifty_leg(strike: Price, option_type: OptionType, lots: f64) -> nse::Leg {
    nse::Leg {
        underlying: "NIFTY".into(),
        expiry: TradingDate::from_ymd_opt(2026, 2, 3).expect("a date"),
        strike,
        option_type,
        open_interest_lots: Some(lots),
        open_interest_change_lots: None,
        volume_lots: Some(lots),
        last_price: Told::Value(Price::from_e4(1_000_000)),
        bid: Told::Nothing,
        ask: Told::Nothing,
        implied_volatility_e4: Told::Nothing,
    }
}

/// Their chain as NSE sends it.
fn nifty_body(timestamp: Timestamp, legs: Vec<nse::Leg>) -> Vec<u8> {
    let chain = nse::Chain {
        timestamp,
        underlying_value: Some(Price::from_e4(250_000_000)),
        expiries: vec![TradingDate::from_ymd_opt(2026, 2, 3).expect("a date")],
        legs,
        rowless_strikes: Vec::new(),
        malformed: Vec::new(),
    };
    nse::encode_chain(&chain, nse::ChainShape::V3)
}

const STRIKE: Price = Price::from_e4(250_000_000);

fn record(source: Source, received_time: Timestamp, body: &[u8]) -> NewRecord {
    NewRecord { source, received_time, context: String::new(), frames: Frames::one(body) }
}

/// Packets of the broker's first stream.
fn packets(received_time: Timestamp, frames: Frames) -> NewRecord {
    let (source, context) = (Source::ANGEL_ONE_STREAM, "stream=0".to_owned());
    NewRecord { source, received_time, context, frames }
}

/// What becomes of these records of the 29th.
fn applied(records: impl IntoIterator<Item = NewRecord>) -> (Pipeline, Batch) {
    let (mut pipeline, mut batch) = (pipeline(), Batch::new(at(29, 0).date_ist(), 0));
    for (seq, record) in (1..).zip(records) {
        pipeline.apply(&record.numbered(seq), &mut NoLive, &mut batch);
    }
    (pipeline, batch)
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Up(Provider),
    /// Told so many seconds after the watching ended.
    Down(Provider, i64),
    /// Told so many seconds after the chain was last answered.
    PartDown(Provider, usize, i64),
    PartUp(Provider, usize),
    Force(Option<Provider>),
    Clock,
    Start,
}

const PARTS: [&str; 2] = ["symbol=NIFTY&expiry=2026-02-03", "symbol=M%26M"];

fn steps() -> impl Strategy<Value = Vec<(u32, i64, Step)>> {
    let provider = || prop::sample::select(Provider::ALL.to_vec());
    let step = prop_oneof![
        4 => provider().prop_map(Step::Up),
        3 => (provider(), 0_i64..20_000).prop_map(|(provider, late)| Step::Down(provider, late)),
        3 => (provider(), 0..PARTS.len(), 0_i64..20_000)
            .prop_map(|(provider, part, late)| Step::PartDown(provider, part, late)),
        2 => (provider(), 0..PARTS.len()).prop_map(|(provider, part)| Step::PartUp(provider, part)),
        1 => prop::option::of(provider()).prop_map(Step::Force),
        3 => Just(Step::Clock),
        1 => Just(Step::Start),
    ];
    // Around the session most of the time.
    let second = prop_oneof![1 => 0_i64..86_400, 4 => 32_000_i64..60_000];
    prop::collection::vec((28_u32..=31, second, step), 0..40).prop_map(|mut steps| {
        steps.sort_by_key(|(day, second, _)| (*day, *second));
        steps
    })
}

/// The log of these steps, as the intake writes it.
fn log_of(steps: Vec<(u32, i64, Step)>) -> Vec<Record> {
    let (mut up, mut forced, mut begun) = (BTreeSet::new(), None, 28);
    let mut parts_down: BTreeSet<(Provider, usize)> = BTreeSet::new();
    let mut log: Vec<Record> = Vec::new();
    for (day, second, step) in steps {
        let now = at(day, second);
        let mut marks = Vec::new();
        if day > begun && !matches!(step, Step::Start) {
            marks.extend(forced.map(|provider| Mark::failover(Some(provider))));
            for provider in &up {
                let of_provider = parts_down.iter().filter(|(of, _)| of == provider);
                marks.extend(of_provider.map(|(_, part)| Mark::part_down(*provider, PARTS[*part], "x")));
                marks.push(Mark::feed_up(*provider));
            }
        }
        begun = day;
        match step {
            Step::Up(provider) if up.insert(provider) => marks.push(Mark::feed_up(provider)),
            Step::Down(provider, late) if up.remove(&provider) => {
                parts_down.retain(|(of, _)| *of != provider);
                marks.push(Mark::feed_down(provider, "x").since(now.plus_seconds(-late)));
            }
            Step::PartDown(provider, part, late)
                if up.contains(&provider) && parts_down.insert((provider, part)) =>
            {
                let since = now.plus_seconds(-late);
                marks.push(Mark::part_down(provider, PARTS[part], "x").since(since));
            }
            Step::PartUp(provider, part) if parts_down.remove(&(provider, part)) => {
                marks.push(Mark::part_up(provider, PARTS[part]));
            }
            Step::Force(to) => {
                forced = to;
                marks.push(Mark::failover(to));
            }
            Step::Start => {
                (up, forced) = (BTreeSet::new(), None);
                parts_down.clear();
                marks.push(Mark::started(""));
            }
            Step::Up(_) | Step::Down(..) | Step::PartDown(..) | Step::PartUp(..) | Step::Clock => {
                marks.push(Mark::clock(up.iter().map(|provider| (*provider, now))));
            }
        }
        for mark in marks {
            let seq = log.len() as u64 + 1;
            log.push(NewRecord::mark(now, &mark).numbered(seq));
        }
    }
    log
}

/// Gaps as the store keeps them, of this day.
fn gaps<'a>(records: impl IntoIterator<Item = &'a Record>, date: TradingDate) -> Vec<GapRow> {
    let (mut pipeline, mut batch) = (pipeline(), Batch::new(date, 0));
    records.into_iter().for_each(|record| pipeline.apply(record, &mut NoLive, &mut batch));
    let of_day = batch.gaps.into_iter().filter(|gap| gap.from.date_ist() == date);
    let by_key: BTreeMap<_, _> =
        of_day.map(|gap| ((gap.from, gap.provider, gap.part.clone()), gap)).collect();
    by_key.into_values().collect()
}

proptest! {
    /// As `replay verify` reads a day: its log, and the record by which it is over.
    #[test]
    fn a_days_gaps_follow_from_its_own_log(steps in steps()) {
        let log = log_of(steps);
        for day in 28..=31 {
            let date = at(day, 0).date_ist();
            let is_of_day = |record: &&Record| record.received_time.date_ist() == date;
            let next = log.iter().find(|record| record.received_time.date_ist() > date);
            let alone = log.iter().filter(is_of_day).chain(next);
            prop_assert_eq!(gaps(&log, date), gaps(alone, date), "{}", date);
        }
    }
}

#[test]
fn an_outage_up_to_the_close_is_told_on_its_day() {
    let mark = |seq, second, mark: Mark| NewRecord::mark(at(29, second), &mark).numbered(seq);
    let log = [
        mark(1, 32_000, Mark::feed_up(Provider::AngelOne)),
        mark(2, 32_400, Mark::clock([])),
        mark(3, 50_400, Mark::feed_down(Provider::AngelOne, "x")),
        mark(4, 55_860, Mark::clock([])),
    ];
    let gaps = gaps(&log, at(29, 0).date_ist());
    let spans: Vec<_> = gaps.iter().map(|gap| (gap.from, gap.to)).collect();
    assert_eq!(spans, [(at(29, 50_400), at(29, 55_800))]);
}

#[test]
fn lot_sizes_are_those_of_the_days_own_log() {
    let mut pipeline = pipeline();
    let mut batch = Batch::new(at(29, 0).date_ist(), 0);
    let chain = |day: u32| {
        let timestamp = at(day, 34_000);
        let leg = nifty_leg(STRIKE, OptionType::Call, 10.0);
        record(Source::NSE_CHAIN, timestamp, &nifty_body(timestamp, vec![leg]))
    };
    let mut unknown = Vec::new();
    let lots = record(Source::NSE_LOTS, at(29, 33_000), &nse::encode_lots(&nifty_lots(65)));
    for (seq, record) in (1..).zip([lots, chain(29), chain(30)]) {
        pipeline.apply(&record.numbered(seq), &mut NoLive, &mut batch);
        unknown.push(pipeline.counters().unknown_lots);
    }
    assert_eq!(unknown, [0, 0, 1], "a replay of the second day has no lot sizes");
}

#[test]
fn records_of_another_versions_source_are_counted_and_named() {
    let mut pipeline = pipeline();
    let mut batch = Batch::new(at(29, 0).date_ist(), 0);
    let strange = NewRecord {
        source: Source::from_code(0x27),
        received_time: at(29, 33_000),
        context: String::new(),
        frames: Frames::one(b"of a later version"),
    };
    pipeline.apply(&strange.numbered(1), &mut NoLive, &mut batch);
    assert_eq!((pipeline.counters().unknown_sources, batch.row_count(), batch.spool_seq), (1, 0, 1));
    let said = pipeline.counters().last_error.clone().expect("a word on it");
    assert!(said.contains("source 0x27"), "{said}");
}

#[test]
fn a_strike_that_was_listed_without_a_row_was_missing_and_not_unlisted() {
    let mut pipeline = pipeline();
    let mut batch = Batch::new(at(29, 0).date_ist(), 0);
    let lots = "UNDERLYING,SYMBOL,JAN-26,FEB-26\nNIFTY 50,NIFTY,65,65\n";
    // 25200 was listed anew; what was traded or held before was not.
    let row = |strike: &u32| {
        let (lots, change, volume) = match strike {
            25_200 => (0, 0, 0),
            25_300 => (5, 5, 9),
            25_400 => (5, 3, 0),
            _ => (1, 1, 9),
        };
        format!(
            r#"{{"expiryDates":"03-Feb-2026","strikePrice":{strike},"CE":{{"strikePrice":{strike},"expiryDate":"03-02-2026","underlying":"NIFTY","openInterest":{lots},"changeinOpenInterest":{change},"totalTradedVolume":{volume},"lastPrice":7}}}}"#
        )
    };
    let body = |time: &str, strikes: &[u32], listed: &str| {
        let rows: Vec<String> = strikes.iter().map(row).collect();
        format!(
            r#"{{"records":{{"data":[{}],"timestamp":"29-Jan-2026 {time}","expiryDates":["03-Feb-2026"],"strikePrices":[{listed}]}}}}"#,
            rows.join(",")
        )
    };
    let record = |source, second, context: &str, body: &str| NewRecord {
        source,
        received_time: at(29, second),
        context: context.to_owned(),
        frames: Frames::one(body.as_bytes()),
    };
    let early = body("09:23:50", &[25_000], r#""25000","25100""#);
    let first = body("09:26:40", &[25_000], r#""25000","25100""#);
    let second = body(
        "09:27:40",
        &[25_000, 25_100, 25_200, 25_300, 25_400],
        r#""25000","25100","25200","25300","25400""#,
    );
    let context = "symbol=NIFTY&expiry=2026-02-03";
    let records = [
        record(Source::NSE_LOTS, 33_000, "", lots),
        record(Source::NSE_CHAIN, 33_840, context, &early),
        record(Source::NSE_CHAIN, 34_010, context, &first),
        record(Source::NSE_CHAIN, 34_070, context, &second),
        NewRecord::mark(at(29, 34_600), &Mark::clock([])),
    ];
    for (seq, record) in (1..).zip(records) {
        pipeline.apply(&record.numbered(seq), &mut NoLive, &mut batch);
    }
    let first_states = |strike: u32| {
        let contract = format!("NIFTY 2026-02-03 {strike} CE");
        let id = batch
            .instruments
            .iter()
            .find(|row| row.contract.to_string() == contract)
            .expect("it is known")
            .id;
        let state_at = |second: i64| {
            let mut rows = batch.buckets.iter().filter(|row| row.instrument == id);
            rows.find(|row| row.bucket.start() == at(29, second)).expect("a row").state
        };
        [33_300, 33_660].map(state_at)
    };
    use BucketState::{Missing, Unlisted};
    assert_eq!(first_states(25_100), [Missing, Missing], "its strike was listed without a row");
    assert_eq!(first_states(25_200), [Missing, Unlisted], "the bodies from 09:23:50 on lack it");
    assert_eq!(first_states(25_300), [Missing, Missing], "it was traded before");
    assert_eq!(first_states(25_400), [Missing, Missing], "it was held the day before");
}

#[test]
fn a_contract_whose_leg_was_never_readable_is_recorded_and_missing() {
    let mut pipeline = pipeline();
    let mut batch = Batch::new(at(29, 0).date_ist(), 0);
    let lots = "UNDERLYING,SYMBOL,JAN-26,FEB-26\nNIFTY 50,NIFTY,65,65\n";
    let leg = |strike: &str, lots: &str| {
        format!(
            r#"{{"strikePrice":{strike},"expiryDate":"03-02-2026","underlying":"NIFTY","openInterest":{lots},"totalTradedVolume":9,"lastPrice":7}}"#
        )
    };
    let row = |strike: &str, lots: &str| {
        format!(r#"{{"expiryDates":"03-Feb-2026","strikePrice":{strike},"CE":{}}}"#, leg(strike, lots))
    };
    let rows = [row("25000", "10"), row("25100", "\"1,204\""), row("25200", "0.37"), row("\"-\"", "10")];
    let body = format!(
        r#"{{"records":{{"data":[{}],"timestamp":"29-Jan-2026 09:26:40","expiryDates":["03-Feb-2026"]}}}}"#,
        rows.join(",")
    );
    let record = |source, second, context: &str, body: &str| NewRecord {
        source,
        received_time: at(29, second),
        context: context.to_owned(),
        frames: Frames::one(body.as_bytes()),
    };
    let records = [
        record(Source::NSE_LOTS, 33_000, "", lots),
        record(Source::NSE_CHAIN, 34_010, "symbol=NIFTY&expiry=2026-02-03", &body),
        NewRecord::mark(at(29, 34_600), &Mark::clock([])),
    ];
    for (seq, record) in (1..).zip(records) {
        pipeline.apply(&record.numbered(seq), &mut NoLive, &mut batch);
    }
    let symbols: Vec<_> = batch.instruments.iter().map(|row| row.contract.to_string()).collect();
    for strike in [25_000, 25_100, 25_200] {
        let contract = format!("NIFTY 2026-02-03 {strike} CE");
        let id = batch.instruments.iter().find(|row| row.contract.to_string() == contract);
        let id = id.unwrap_or_else(|| panic!("no {contract} in {symbols:?}")).id;
        let states: Vec<_> =
            batch.buckets.iter().filter(|row| row.instrument == id).map(|row| row.open_interest).collect();
        let is_known = strike == 25_000;
        assert!(
            !states.is_empty() && states.iter().any(Option::is_some) == is_known,
            "{contract}: {states:?}"
        );
    }
    let counters = pipeline.counters();
    assert_eq!(counters.of(Provider::Nse).malformed, 3, "{counters:?}");
    let nse::Chain { malformed, .. } = nse::decode_chain(body.as_bytes()).expect("a chain");
    assert_eq!(
        malformed[0].contract.as_ref().map(ToString::to_string).as_deref(),
        Some("NIFTY 2026-02-03 25100 CE")
    );
    let last = counters.last_malformed[Provider::Nse.index()].to_string();
    assert!(
        last.contains("NIFTY 2026-02-03 25100 CE") && last.contains("NIFTY 2026-02-03 25200 CE"),
        "{last}"
    );
    assert_eq!(Undecoded::of(["a", "b", "c", "d", "e"]).to_string(), "a; b; c; and 2 more");
}

#[test]
fn what_is_down_when_the_daemon_ends_is_a_gap_until_then_and_goes_on() {
    let mut pipeline = pipeline();
    let mut batch = Batch::new(at(29, 0).date_ist(), 0);
    let provider = Provider::Nse;
    let marks = [
        (40_000, Mark::feed_up(provider)),
        (40_100, Mark::feed_down(provider, "503")),
        (40_200, Mark::Stopped),
        (40_900, Mark::started("x")),
        (41_000, Mark::feed_up(provider)),
    ];
    for (seq, (second, mark)) in (1..).zip(marks) {
        pipeline.apply(&NewRecord::mark(at(29, second), &mark).numbered(seq), &mut NoLive, &mut batch);
    }
    let spans: Vec<_> = batch.gaps.iter().map(|gap| (gap.from, gap.to, &*gap.reason)).collect();
    let (from, until) = (at(29, 40_100), at(29, 41_000));
    assert_eq!(spans, [(from, at(29, 40_200), "503"), (from, until, "503")]);
}

#[test]
fn sessions_without_rows_before_today_are_named() {
    let mut pipeline = pipeline();
    let mut batch = Batch::new(at(30, 0).date_ist(), 0);
    let plan = |from: &str| NewRecord {
        source: Source::DAY_PLAN,
        received_time: at(30, 30_000),
        context: format!("from={from}"),
        frames: Frames::one(b""),
    };
    assert_eq!(pipeline.unrecorded_sessions(), []);
    pipeline.apply(&plan("2026-01-28").numbered(1), &mut NoLive, &mut batch);
    assert_eq!(pipeline.unrecorded_sessions(), [at(29, 0).date_ist()]);
    pipeline.apply(&NewRecord::mark(at(31, 0), &Mark::clock([])).numbered(2), &mut NoLive, &mut batch);
    assert_eq!(pipeline.unrecorded_sessions(), []);
}

#[test]
fn a_session_of_which_nothing_was_received_is_named_once_it_is_over() {
    // By the seconds of the day: the open is 09:15, the close 15:30.
    let missed = |received: Option<i64>, now: i64| {
        let chain = |second: i64| {
            let body =
                nifty_body(at(29, second.min(55_800)), vec![nifty_leg(STRIKE, OptionType::Call, 10.0)]);
            record(Source::NSE_CHAIN, at(29, second), &body)
        };
        let head = [
            NewRecord::mark(at(29, 32_000), &Mark::clock([])),
            record(Source::NSE_LOTS, at(29, 32_000), &nse::encode_lots(&nifty_lots(65))),
        ];
        let mark = NewRecord::mark(at(29, now), &Mark::clock([]));
        let (pipeline, _) = applied(head.into_iter().chain(received.map(chain)).chain([mark]));
        pipeline.missed_session().map(|session| session.date())
    };
    let of_day = Some(at(29, 0).date_ist());
    assert_eq!(missed(None, 55_799), None, "it is not over");
    assert_eq!(missed(None, 55_800), of_day);
    assert_eq!(missed(Some(40_000), 60_000), None);
    assert_eq!(missed(Some(59_000), 60_000), of_day, "what was received after it is none of it");
}

#[test]
fn an_index_whose_level_no_body_shows_is_missing_and_named() {
    let mut pipeline = pipeline();
    let mut batch = Batch::new(at(29, 0).date_ist(), 0);
    let lots = "UNDERLYING,SYMBOL,JAN-26,FEB-26\nNIFTY MID SELECT,MIDCPNIFTY,120,120\n";
    let record = |source, second, context: &str, body: &str| NewRecord {
        source,
        received_time: at(29, second),
        context: context.to_owned(),
        frames: Frames::one(body.as_bytes()),
    };
    let body = |minute: i64, level: &str| {
        let row = r#"{"expiryDates":"24-Feb-2026","strikePrice":13000,"CE":{"strikePrice":13000,"expiryDate":"24-02-2026","underlying":"MIDCPNIFTY","openInterest":1,"totalTradedVolume":9,"lastPrice":7}}"#;
        let stamp = format!("{:02}:{:02}:00", 9 + minute / 60, minute % 60);
        format!(
            r#"{{"records":{{"data":[{row}],"timestamp":"29-Jan-2026 {stamp}","expiryDates":["24-Feb-2026"],"underlyingValue":{level}}}}}"#
        )
    };
    let mut records = vec![record(Source::NSE_LOTS, 33_000, "", lots)];
    for minute in 16..30 {
        let level = if minute % 2 == 0 { "0" } else { "null" };
        let second = 32_400 + minute * 60 + 50;
        let context = "symbol=MIDCPNIFTY&expiry=2026-02-24";
        records.push(record(Source::NSE_CHAIN, second, context, &body(minute, level)));
    }
    for (seq, record) in (1..).zip(records) {
        pipeline.apply(&record.numbered(seq), &mut NoLive, &mut batch);
    }
    let states: Vec<_> = batch.underlyings.iter().map(|row| (row.state, row.event_time)).collect();
    assert!(states.len() >= 2 && states.iter().all(|row| *row == (BucketState::Missing, None)), "{states:?}");
    let index = batch.instruments.iter().find(|row| row.contract.is_underlying()).expect("it is known");
    assert_eq!(index.contract.to_string(), "MIDCPNIFTY");
    let named = pipeline.unwitnessed_chains(pipeline.last_received());
    let [(title, found)] = &named[..] else { panic!("the index alone: {named:?}") };
    assert_eq!((title.as_str(), found.is_underlying, found.since), ("the index MIDCPNIFTY", true, None));
    assert!(!pipeline.is_listed(found.chain), "no list has a token of it");
    assert_eq!(pipeline.missing_chains(), [], "it is named already");
}

/// A call as the broker lists it, under a token of the same number.
fn listed_call(number: u32) -> Listing {
    let expiry = TradingDate::from_ymd_opt(2026, 2, 3).expect("a date");
    let strike = Price::from_e4(250_000_000 + 1_000_000 * i64::from(number));
    Listing {
        provider: Provider::AngelOne,
        token: Some(call_token(number)),
        symbol: format!("N{number}CE").into(),
        contract: Contract::option(Exchange::Nse, "NIFTY", expiry, strike, OptionType::Call),
        lot_size: 65,
        tick_size: Price::from_e4(500),
    }
}

fn call_token(number: u32) -> ProviderToken {
    ProviderToken { segment: Segment::NseFo, token: 35_000 + number }
}

fn call_packet(number: u32, stamp: Timestamp, volume: i64) -> Vec<u8> {
    let mut bytes = Vec::new();
    let day = angel_one::DayStatistics { volume, ..Default::default() };
    let snapshot = angel_one::Snapshot { open_interest: 1_000 + volume, ..Default::default() };
    angel_one::Packet {
        token: call_token(number),
        sequence: 1,
        exchange_time_ms: stamp.as_ms(),
        last_price_paise: 10_000 + volume,
        detail: angel_one::Detail::SnapQuote(day, snapshot),
    }
    .encode_into(&mut bytes);
    bytes
}

/// The master, then packets every ten seconds of so many from the open on.
fn listed_then_streamed(
    listings: &[Listing],
    seconds: i64,
    shown: impl Fn(Timestamp, i64) -> Frames,
) -> (Pipeline, Batch) {
    let mut records = vec![
        record(Source::ANGEL_ONE_MASTER, at(29, 33_000), &angel_one::encode_master(listings)),
        NewRecord::mark(at(29, 33_001), &Mark::stream_up(Provider::AngelOne, 0)),
    ];
    for second in (0..seconds).step_by(10) {
        let now = at(29, 33_300 + second);
        records.push(packets(now.plus_us(200_000), shown(now, second)));
    }
    applied(records)
}

/// State, volume and revision of the last rows of a call's buckets.
fn rows_of_call(batch: &Batch, number: u32) -> Vec<(BucketState, Option<i64>, u16)> {
    let contract = listed_call(number).contract;
    let of = batch.instruments.iter().find(|row| row.contract == contract).expect("known");
    let mut last = BTreeMap::new();
    for row in batch.buckets.iter().filter(|row| row.instrument == of.id) {
        last.insert(row.bucket, (row.state, row.volume, row.revision));
    }
    last.into_values().collect()
}

#[test]
fn packets_that_change_under_an_old_stamp_make_no_row_and_are_counted() {
    let stuck = at(29, 33_300 + 420);
    let (pipeline, batch) = listed_then_streamed(&[listed_call(0), listed_call(1)], 2_400, |now, volume| {
        let mut frames = Frames::default();
        frames.push(&call_packet(0, now.min(stuck), volume));
        frames.push(&call_packet(1, now, volume));
        frames
    });
    let refused = pipeline.wrong_stamps(Provider::AngelOne);
    assert_eq!((refused.standing, refused.delayed), ((2_400 - 420 - 120) / 10, 0));
    let (stuck, sound) = (rows_of_call(&batch, 0), rows_of_call(&batch, 1));
    assert!(stuck.len() > 8 && sound.len() > 8, "{stuck:?}");
    assert!(sound.iter().all(|(state, ..)| *state == BucketState::Live), "{sound:?}");
    assert!(stuck[2..].iter().all(|(state, ..)| *state == BucketState::Missing), "{stuck:?}");
    let is_of_its_time = |(_, volume, revision): &(_, Option<i64>, u16)| {
        volume.is_none_or(|volume| volume <= 420 + 120) && *revision <= 1
    };
    assert!(stuck.iter().all(is_of_its_time), "{stuck:?}");
}

#[test]
fn packets_under_a_token_that_the_master_gives_to_two_contracts_or_beside_another_are_of_none() {
    let under = |number: u32, of: u32| Listing { token: Some(call_token(number)), ..listed_call(of) };
    let master = [
        listed_call(0),
        listed_call(1),
        under(5, 1),
        listed_call(2),
        under(2, 3),
        listed_call(4),
        listed_call(4),
    ];
    let (pipeline, batch) = listed_then_streamed(&master, 1_200, |now, volume| {
        let mut frames = Frames::default();
        for number in [0, 1, 2, 4, 5] {
            frames.push(&call_packet(number, now, volume));
        }
        frames
    });
    for sound in [0, 4] {
        let rows = rows_of_call(&batch, sound);
        assert!(rows.len() > 4 && rows.iter().all(|(state, ..)| *state == BucketState::Live), "{rows:?}");
    }
    for twin in [1, 2, 3] {
        let rows = rows_of_call(&batch, twin);
        let is_missing =
            |row: &(BucketState, Option<i64>, u16)| (row.0, row.1) == (BucketState::Missing, None);
        assert!(rows.len() > 4 && rows.iter().all(is_missing), "{twin}: {rows:?}");
    }
    let counters = pipeline.counters();
    assert_eq!(
        counters.of(Provider::AngelOne).unread_listings,
        3,
        "of three tokens it is not known whose they are"
    );
    let told = counters.last_malformed[Provider::AngelOne.index()].to_string();
    assert!(told.contains("token 35001 of NIFTY 2026-02-03 25100 CE"), "{told}");
}

#[test]
fn a_body_with_other_values_under_the_stamp_of_the_one_before_is_not_taken() {
    let body = |(stamp, lots): (i64, f64)| {
        let (call, put) = (OptionType::Call, OptionType::Put);
        let legs = vec![nifty_leg(STRIKE, call, lots), nifty_leg(STRIKE, put, 7.0)];
        nifty_body(at(29, stamp), legs)
    };
    let record = |source, received, body: &[u8]| record(source, at(29, received), body);
    let open = 33_300;
    // Until 09:21:10 each body has its stamp; that of 09:21:10 stays until 09:22:40; the last ones are of after the close.
    let frozen = open + 370;
    let mut records = vec![record(Source::NSE_LOTS, 33_000, &nse::encode_lots(&nifty_lots(65)))];
    let mut play = |second: i64, stamp: i64, lots: i64| {
        records.push(record(Source::NSE_CHAIN, second, &body((stamp, lots as f64))));
    };
    for second in (open + 10..=open + 910).step_by(30) {
        let stamp = if (frozen..frozen + 120).contains(&second) { frozen } else { second };
        play(second, stamp, second - open);
        // A copy of the same.
        play(second + 10, stamp, second - open);
    }
    for second in (0..10).map(|step| 55_800 + 30 * step) {
        play(second, 55_800, second);
    }
    let (pipeline, batch) = applied(records);
    // Three bodies and the copy of each.
    assert_eq!(pipeline.wrong_stamps(Provider::Nse).standing, 6);
    let call = batch.instruments.iter().find(|row| {
        matches!(row.contract.kind, InstrumentKind::Option { option_type: OptionType::Call, .. })
    });
    let call = call.expect("it is known").id;
    let mut rows = BTreeMap::new();
    for row in batch.buckets.iter().filter(|row| row.instrument == call) {
        rows.insert(row.bucket, (row.state, row.open_interest.map(|units| units / 65), row.revision));
    }
    let rows: Vec<_> = rows.into_values().take(5).collect();
    // The third of them is over at 09:24:00; its stamp moves on at 09:23:10.
    let live = |lots| (BucketState::Live, Some(lots), 0);
    assert_eq!(rows, [live(160), live(340), live(520), live(700), live(880)]);
    let closing = batch.closes.iter().map(|close| close.open_interest).max();
    assert_eq!(closing.flatten(), Some(65 * (55_800 + 270)), "after the close values go on to change");
}

#[test]
fn a_body_with_the_values_of_a_newer_one_under_an_older_stamp_is_not_taken() {
    let leg = |lots| nifty_leg(STRIKE, OptionType::Call, lots);
    let open = 33_300;
    let mut records = vec![record(Source::NSE_LOTS, at(29, 33_000), &nse::encode_lots(&nifty_lots(65)))];
    let mut play = |second: i64, stamp: i64, lots: i64| {
        let body = nifty_body(at(29, stamp), vec![leg(lots as f64)]);
        records.push(record(Source::NSE_CHAIN, at(29, second), &body));
    };
    for second in (open + 14..=open + 404).step_by(30) {
        play(second, second, second - open);
        if second == open + 374 {
            // Of half a minute before, and a copy that is late.
            play(second + 5, second - 30, second - open);
            play(second + 10, second - 60, second - open - 60);
        }
    }
    let (pipeline, batch) = applied(records);
    assert_eq!(pipeline.wrong_stamps(Provider::Nse).standing, 1);
    let second = batch.buckets.iter().filter(|row| row.bucket.start() == at(29, open + 180));
    let stated: Vec<_> = second.map(|row| (row.state, row.open_interest, row.revision)).collect();
    assert_eq!(stated, [(BucketState::Live, Some(344 * 65), 0)]);
}

#[test]
fn a_chain_of_which_one_side_alone_is_listed_is_found() {
    let strike_of = |number: i64| Price::from_e4(STRIKE.as_e4() + 1_000_000 * number);
    let call = |number| nifty_leg(strike_of(number), OptionType::Call, 2.0);
    for (calls, puts, found) in [(9, 0, 0), (10, 0, 1), (10, 1, 0)] {
        let put = (0..puts).map(|number| nifty_leg(strike_of(number), OptionType::Put, 2.0));
        let body = nifty_body(at(29, 33_400), (0..calls).map(call).chain(put).collect());
        let (pipeline, _) = applied([
            record(Source::NSE_LOTS, at(29, 33_000), &nse::encode_lots(&nifty_lots(65))),
            record(Source::NSE_CHAIN, at(29, 33_450), &body),
        ]);
        let told = pipeline.one_sided_chains();
        assert_eq!(told.len(), found, "{calls}, {puts}: {told:?}");
        assert!(told.iter().all(|chain| (chain.option_type, chain.contracts) == (OptionType::Call, 10)));
    }
}

#[test]
fn open_interest_in_no_whole_lots_is_found_of_nearly_a_whole_chain() {
    let listings: Vec<Listing> = (0..12).map(listed_call).collect();
    for (uneven, found) in [(0, None), (8, None), (10, Some((10, 12))), (12, Some((12, 12)))] {
        let (pipeline, _) = listed_then_streamed(&listings, 60, |now, second| {
            let mut frames = Frames::default();
            // Open interest is 1,000 more: 16 lots of 65 and some.
            let volume = |number: u32| 40 + 65 * second + i64::from(number < uneven);
            (0..12).for_each(|number| frames.push(&call_packet(number, now, volume(number))));
            frames
        });
        let told: Vec<_> =
            pipeline.uneven_lots().into_iter().map(|(_, of)| (of.contracts, of.judged)).collect();
        assert_eq!(told, Vec::from_iter(found), "{uneven}");
    }
}

#[test]
fn what_is_told_in_lots_is_not_taken_where_two_providers_state_different_lot_sizes() {
    let strike_of = |number| listed_call(number).contract.strike().expect("an option");
    let listings = [listed_call(0), Listing { lot_size: 75, ..listed_call(1) }, listed_call(2)];
    for (stated, contested) in [(65, 1), (75, 2)] {
        let mut records = vec![
            record(Source::NSE_LOTS, at(29, 33_000), &nse::encode_lots(&nifty_lots(stated))),
            record(Source::ANGEL_ONE_MASTER, at(29, 33_000), &angel_one::encode_master(&listings)),
            NewRecord::mark(at(29, 33_001), &Mark::stream_up(Provider::AngelOne, 0)),
            NewRecord::mark(at(29, 33_001), &Mark::feed_up(Provider::Nse)),
        ];
        for second in (0..1_200).step_by(10) {
            let now = at(29, 33_300 + second);
            let mut frames = Frames::default();
            (0..3).for_each(|number| frames.push(&call_packet(number, now, 65 * 75 * second)));
            records.push(packets(now.plus_us(200_000), frames));
            let lots_of = |number| (65 * 75 * second / i64::from(listings[number as usize].lot_size)) as f64;
            let leg = |number| nifty_leg(strike_of(number), OptionType::Call, lots_of(number));
            let body = nifty_body(now, (0..3).map(leg).collect());
            records.push(record(Source::NSE_CHAIN, now.plus_us(300_000), &body));
        }
        let (pipeline, batch) = applied(records);
        let found = pipeline.contested_lots().expect("the file has one size for two");
        assert_eq!(found.contracts, contested, "{stated}");
        assert_eq!(found.sizes[0], (Provider::AngelOne, if stated == 65 { 75 } else { 65 }));
        assert_eq!(found.sizes[1], (Provider::Nse, stated));
        for number in 0..3 {
            let rows = rows_of_call(&batch, number);
            let is_whole = |(index, row): (usize, &(BucketState, Option<i64>, u16))| {
                *row == (BucketState::Live, Some(65 * 75 * (180 * (index as i64 + 1) - 10)), 0)
            };
            assert!(rows.len() > 4 && rows.iter().enumerate().all(is_whole), "{stated}, {number}: {rows:?}");
        }
    }
}

/// A pipeline that watches so many expiries of NIFTY, after these records of the 29th.
fn watching(expiries: usize, records: impl IntoIterator<Item = NewRecord>) -> Pipeline {
    let watch =
        WatchList { underlyings: vec![WatchedUnderlying { underlying: "NIFTY".to_owned(), expiries }] };
    let settings = PipelineSettings { watch, ..PipelineSettings::of_tests() };
    let mut pipeline = Pipeline::new(settings, Catalog::default());
    let mut batch = Batch::new(at(29, 0).date_ist(), 0);
    for (seq, record) in (1..).zip(records) {
        pipeline.apply(&record.numbered(seq), &mut NoLive, &mut batch);
    }
    pipeline
}

fn february(day: u32) -> TradingDate {
    TradingDate::from_ymd_opt(2026, 2, day).expect("a date")
}

/// The broker's master with a call of each of these expiries.
fn master_of(second: i64, days: &[u32]) -> NewRecord {
    let strike = Price::from_e4(250_000_000);
    let listing = |day: &u32| Listing {
        contract: Contract::option(Exchange::Nse, "NIFTY", february(*day), strike, OptionType::Call),
        ..listed_call(*day)
    };
    let listings: Vec<Listing> = days.iter().map(listing).collect();
    record(Source::ANGEL_ONE_MASTER, at(29, second), &angel_one::encode_master(&listings))
}

/// A body of one expiry that lists these, before it the lot sizes.
fn body_of(second: i64, brought: u32, listed: &[u32]) -> [NewRecord; 2] {
    let timestamp = at(29, second);
    let chain = nse::Chain {
        timestamp,
        underlying_value: Some(STRIKE),
        expiries: listed.iter().map(|day| february(*day)).collect(),
        legs: vec![nse::Leg { expiry: february(brought), ..nifty_leg(STRIKE, OptionType::Call, 10.0) }],
        rowless_strikes: Vec::new(),
        malformed: Vec::new(),
    };
    let body = nse::encode_chain(&chain, nse::ChainShape::V3);
    let lots = record(Source::NSE_LOTS, timestamp, &nse::encode_lots(&nifty_lots(65)));
    [lots, record(Source::NSE_CHAIN, timestamp, &body)]
}

#[test]
fn an_expiry_that_is_listed_and_that_nothing_brings_is_unrecorded() {
    let unrecorded = |expiries, records: Vec<NewRecord>| -> Vec<(TradingDate, Vec<Provider>)> {
        let found = watching(expiries, records).unrecorded_expiries();
        found.into_iter().map(|found| (found.expiry, found.listed_by)).collect()
    };
    let wrong = || body_of(34_000, 10, &[3, 10, 24]).to_vec();
    let by_nse = |day| (february(day), vec![Provider::Nse]);
    assert_eq!(unrecorded(1, wrong()), [by_nse(3)], "the farther one alone was asked for");
    assert_eq!(unrecorded(2, wrong()), [by_nse(3)]);
    assert_eq!(unrecorded(0, wrong()), [by_nse(3), by_nse(24)]);
    assert!(unrecorded(2, body_of(34_000, 10, &[]).to_vec()).is_empty(), "no list can be read");
    let and_right = [wrong(), body_of(34_030, 3, &[3, 10, 24]).to_vec()].concat();
    assert!(unrecorded(2, and_right).is_empty());
    let and_master = [wrong(), vec![master_of(34_030, &[3, 10])]].concat();
    assert!(unrecorded(2, and_master).is_empty(), "another provider has it");
    let next_day = NewRecord::mark(at(30, 33_000), &Mark::clock([]));
    assert!(unrecorded(2, [wrong(), vec![next_day]].concat()).is_empty(), "a day begins without lists");
}

#[test]
fn an_expiry_that_one_provider_alone_has_moved_is_found_once_both_have_listed() {
    let differing = |expiries, records: Vec<NewRecord>| -> Vec<[(Provider, Vec<TradingDate>); 2]> {
        watching(expiries, records).differing_expiries().into_iter().map(|found| found.only).collect()
    };
    let both = |master: &[u32], body: &[u32]| {
        [vec![master_of(33_000, master)], body_of(34_000, 3, body).to_vec()].concat()
    };
    let of = |first: &[u32], second: &[u32]| {
        let dates = |days: &[u32]| days.iter().map(|day| february(*day)).collect();
        [(Provider::AngelOne, dates(first)), (Provider::Nse, dates(second))]
    };
    assert!(differing(2, vec![master_of(33_000, &[2, 10])]).is_empty(), "the other one has listed nothing");
    assert_eq!(differing(2, both(&[2, 10], &[3, 10])), [of(&[2], &[3])]);
    assert!(differing(0, both(&[3, 10], &[3, 10, 17])).is_empty(), "fewer far ones");
    assert!(differing(1, both(&[3, 9], &[3, 10])).is_empty(), "that one is not watched");
    let own_alone = [both(&[3, 10], &[3, 10]), body_of(34_030, 10, &[10]).to_vec()].concat();
    assert!(differing(2, own_alone).is_empty(), "a body that lists but what it brings lists not all");
    let mended = [both(&[2, 10], &[3, 10]), vec![master_of(34_100, &[3, 10])]].concat();
    assert!(differing(2, mended).is_empty(), "the last list counts");
}

#[test]
fn a_lot_size_that_is_not_that_of_the_session_before_is_named() {
    let planned = |number, lot_size| PlannedContract {
        contract: listed_call(number).contract,
        lot_size,
        tick_size: Price::from_e4(500),
        base: None,
    };
    let record = |source, second, body: &[u8]| record(source, at(29, second), body);
    for (before, changed) in [(65, None), (75, Some([75, 65]))] {
        let plan = PlannedContract::encode(&[planned(0, before), planned(9, before)]);
        let master = angel_one::encode_master(&[listed_call(0), listed_call(1)]);
        let records =
            [record(Source::DAY_PLAN, 33_000, &plan), record(Source::ANGEL_ONE_MASTER, 33_001, &master)];
        let (pipeline, _) = applied(records);
        assert_eq!(pipeline.changed_lots().map(|found| found.sizes), changed);
    }
}

#[test]
fn a_packet_that_cannot_be_read_ends_what_its_stream_proves_of_the_contract() {
    // Of the first call, the last packet before each end has an open interest that cannot be.
    let unread = |second: i64| (second + 10) % 180 == 0;
    let (pipeline, batch) = listed_then_streamed(&[listed_call(0), listed_call(1)], 1_200, |now, second| {
        let mut frames = Frames::default();
        let broken = || {
            let mut bytes = Vec::new();
            let snapshot = angel_one::Snapshot { open_interest: -65, ..Default::default() };
            let detail = angel_one::Detail::SnapQuote(angel_one::DayStatistics::default(), snapshot);
            let (token, exchange_time_ms) = (call_token(0), now.as_ms());
            angel_one::Packet { token, sequence: 1, exchange_time_ms, last_price_paise: 1, detail }
                .encode_into(&mut bytes);
            bytes
        };
        frames.push(&if unread(second) { broken() } else { call_packet(0, now, second) });
        frames.push(&call_packet(1, now, second));
        frames
    });
    let (broken, sound) = (rows_of_call(&batch, 0), rows_of_call(&batch, 1));
    assert!(broken.len() > 4 && broken.iter().all(|row| row.0 == BucketState::Missing), "{broken:?}");
    assert!(sound.iter().all(|row| row.0 == BucketState::Live), "{sound:?}");
    assert_eq!(pipeline.counters().malformed_today[Provider::AngelOne.index()], 6);
    let candles = batch.candles.iter().filter(|candle| candle.interval == CandleInterval::FiveMinutes);
    let is_first = |candle: &&Candle| candle.instrument == batch.instruments[0].id;
    assert!(candles.clone().any(|candle| is_first(&candle)));
    assert!(candles.filter(is_first).all(|candle| candle.resolve_required), "each lacks a packet");
}

#[test]
fn a_leg_about_another_underlying_costs_that_leg() {
    let chain = |second: i64| {
        let strikes = (0..5).map(|step| Price::from_e4(STRIKE.as_e4() + 500_000 * step));
        let mut legs: Vec<_> = strikes.map(|strike| nifty_leg(strike, OptionType::Call, 10.0)).collect();
        legs[1].underlying = "FINNIFTY".into();
        let context = "symbol=NIFTY&expiry=2026-02-03".to_owned();
        let body = nifty_body(at(29, second - 30), legs);
        NewRecord { context, ..record(Source::NSE_CHAIN, at(29, second), &body) }
    };
    let lots = record(Source::NSE_LOTS, at(29, 33_000), &nse::encode_lots(&nifty_lots(65)));
    let bodies = (34_000..35_000).step_by(30).map(chain);
    let (pipeline, batch) = applied([lots].into_iter().chain(bodies));
    let options = batch.instruments.iter().filter(|row| row.contract.is_option());
    assert_eq!(options.count(), 4);
    let live = batch.buckets.iter().filter(|row| row.state == BucketState::Live && row.revision == 0);
    assert_eq!(live.map(|row| row.instrument).collect::<BTreeSet<_>>().len(), 4);
    assert_eq!(pipeline.counters().of(Provider::Nse).refused, 34, "one a body");
}

/// Every second answer is a copy of ten minutes ago under a stamp of now.
#[test]
fn the_level_of_an_older_copy_is_not_taken_either() {
    let chain = |number: i64| {
        let (second, is_copy) = (34_000 + 30 * number, number % 2 == 1 && number > 20);
        let shown = if is_copy { number - 20 } else { number };
        let strikes = (0..5).map(|step| Price::from_e4(STRIKE.as_e4() + 500_000 * step));
        let legs = strikes.map(|strike| nifty_leg(strike, OptionType::Call, 10.0 + shown as f64)).collect();
        let mut body = nse::decode_chain(&nifty_body(at(29, second - 20), legs)).expect("a chain");
        body.underlying_value = Some(Price::from_e4(250_000_000 + 10_000 * shown));
        let body = nse::encode_chain(&body, nse::ChainShape::V3);
        let context = "symbol=NIFTY&expiry=2026-02-03".to_owned();
        NewRecord { context, ..record(Source::NSE_CHAIN, at(29, second), &body) }
    };
    let lots = record(Source::NSE_LOTS, at(29, 33_000), &nse::encode_lots(&nifty_lots(65)));
    let (pipeline, batch) = applied([lots].into_iter().chain((0..60).map(chain)));
    assert!(pipeline.counters().of(Provider::Nse).older_copies > 10);
    let index = batch.instruments.iter().find(|row| !row.contract.is_option()).expect("it has a level").id;
    let candles: Vec<&Candle> = batch.candles.iter().filter(|candle| candle.instrument == index).collect();
    assert!(candles.len() > 5);
    for pair in candles.windows(2).filter(|pair| pair[0].interval == pair[1].interval) {
        let is_later = pair[0].start < pair[1].start;
        assert!(!is_later || pair[0].low < pair[1].low && pair[0].high < pair[1].high, "{pair:?}");
    }
}

#[test]
fn an_answer_that_names_another_contract_than_its_token_is_refused() {
    let answer = |second: i64, symbol: &str| {
        let body = format!(
            r#"{{"status":true,"data":{{"fetched":[{{"exchange":"NFO","tradingSymbol":"{symbol}","symbolToken":"35000","ltp":1.05,
                "exchFeedTime":"29-Jan-2026 09:20:00","tradeVolume":650,"opnInterest":6500}}],"unfetched":[]}}}}"#
        );
        let (sent, tokens) = (Some(at(29, second)), BTreeSet::from([call_token(0)]));
        let context = angel_one::QuoteContext { sent, tokens }.to_string();
        NewRecord { context, ..record(Source::ANGEL_ONE_QUOTE, at(29, second), body.as_bytes()) }
    };
    let master = angel_one::encode_master(&[listed_call(0), listed_call(1)]);
    let master = record(Source::ANGEL_ONE_MASTER, at(29, 33_000), &master);
    for (symbol, refused) in [("NIFTY03FEB2625100CE", 20), ("NIFTY03FEB2625000CE", 0), ("", 0)] {
        let answers = (0..20).map(|number| answer(33_610 + 60 * number, symbol));
        let (pipeline, batch) = applied([master.clone()].into_iter().chain(answers));
        assert_eq!(pipeline.counters().of(Provider::AngelOne).refused, refused, "{symbol}");
        let is_claimed = |(state, ..): &(BucketState, Option<i64>, u16)| *state != BucketState::Missing;
        let claimed = rows_of_call(&batch, 0).iter().filter(|row| is_claimed(row)).count();
        assert_eq!(claimed == 0, refused > 0, "{symbol}: {:?}", rows_of_call(&batch, 0));
    }
}
