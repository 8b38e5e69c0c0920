//! A small day for tests of what replays a log: two contracts, a stream that breaks off, and a website.

use super::day_log::DayLog;
use crate::{
    actor::Pulse,
    market::{
        Contract, Exchange, Listing, OptionType, Price, Provider, ProviderToken, Segment, Timestamp, Told,
        TradingDate,
    },
    pipeline::{Catalog, NoLive, Pipeline, PipelineSettings},
    spool::{Frames, Mark, NewRecord, Source, Spool},
    store::{self, Batch, Birth, Store},
    wire::{angel_one, nse},
};
use std::{path::PathBuf, time::Duration};

const LOT: i64 = 65;

pub fn date() -> TradingDate {
    TradingDate::from_ymd_opt(2026, 1, 30).expect("a date")
}

/// 2026-01-30 IST.
pub fn at(hour: i64, minute: i64, second: i64) -> Timestamp {
    Timestamp::on(date(), chrono::NaiveTime::MIN).plus_seconds(hour * 3_600 + minute * 60 + second)
}

fn expiry() -> TradingDate {
    TradingDate::from_ymd_opt(2026, 2, 3).expect("a date")
}

pub fn call() -> Contract {
    Contract::option(Exchange::Nse, "NIFTY", expiry(), Price::from_e4(250_000_000), OptionType::Call)
}

pub fn put() -> Contract {
    Contract::option(Exchange::Nse, "NIFTY", expiry(), Price::from_e4(250_000_000), OptionType::Put)
}

/// A log and a store in a directory of their own.
pub struct Place {
    pub home: tempfile::TempDir,
    /// Rows that are left out of the store, or made otherwise.
    pub spoil: fn(&mut Batch),
}

impl Place {
    pub fn new() -> Place {
        Place { home: tempfile::tempdir().expect("a directory"), spoil: |_| {} }
    }

    pub fn spool(&self) -> PathBuf {
        self.home.path().join("spool")
    }

    pub fn url(&self) -> String {
        format!("sqlite:{}", self.home.path().join("store.sqlite").display())
    }

    /// Writes the log, and the store as the daemon would.
    pub async fn play(&self, records: Vec<NewRecord>) {
        self.play_after(0, records).await;
    }

    /// With numbers behind this one.
    pub async fn play_after(&self, seq: u64, records: Vec<NewRecord>) {
        let mut spool = Spool::open(&self.spool()).expect("a log").spool;
        spool.skip_numbers_to(seq);
        let mut store = store::open(&self.url(), Birth::Simulated).await.expect("a store");
        let mut pipeline = Pipeline::new(PipelineSettings::of_tests(), Catalog::default());
        let mut batch = Batch::new(date(), 0);
        for mut record in records {
            let seq = spool.append(&mut record).expect("appended");
            pipeline.apply(&record.numbered(seq), &mut NoLive, &mut batch);
        }
        (self.spoil)(&mut batch);
        store.append(&batch).await.expect("written");
    }

    /// Writes the store anew, as a start over an empty one does from what is left of the log.
    pub async fn refill(&self) {
        // A connection that is closed removes the log of the store as its last act, which may be some time after it was dropped.
        let wal = self.home.path().join("store.sqlite-wal");
        for _ in 0..10_000 {
            if !wal.exists() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        for end in ["", "-wal", "-shm"] {
            // Not all of them are there.
            let _ = std::fs::remove_file(self.home.path().join(format!("store.sqlite{end}")));
        }
        let mut store = store::open(&self.url(), Birth::Simulated).await.expect("a store");
        self.store_log(&mut store, 0).await;
    }

    /// Writes what the log gives from the record behind a number on.
    pub async fn store_log(&self, store: &mut impl Store, after_seq: u64) {
        let pulse = Pulse::default();
        let mut pipeline = Pipeline::new(PipelineSettings::of_tests(), Catalog::default());
        let mut log = DayLog::open(&self.spool(), date(), &pulse).expect("a log");
        while let Some((record, _)) = log.next(&mut pipeline).await.expect("readable") {
            let mut batch = Batch::new(date(), 0);
            pipeline.apply(&record, &mut NoLive, &mut batch);
            if record.seq > after_seq {
                store.append(&batch).await.expect("written");
            }
        }
    }

    /// Puts the same day's log of the date before in place of the day's, as two directories that are mixed up.
    pub async fn mix_up(&self) {
        let other = Place::new();
        let earlier = |record: NewRecord| NewRecord {
            received_time: record.received_time.plus_seconds(-86_400),
            ..record
        };
        other.play(day(true).into_iter().map(earlier).collect()).await;
        let directory = self.spool().join(date().to_string());
        std::fs::remove_dir_all(&directory).expect("removed");
        let before = date().pred_opt().expect("a date");
        std::fs::rename(other.spool().join(before.to_string()), directory).expect("put in its place");
    }
}

/// Up to the open: rules, both feeds, what is listed.
pub fn head(has_rules: bool) -> Vec<NewRecord> {
    let mark = |mark: Mark| NewRecord::mark(at(9, 5, 0), &mark);
    let mut records = Vec::new();
    if has_rules {
        records.push(mark(Mark::Rules { rules: PipelineSettings::of_tests().rules(date()) }));
    }
    records.push(mark(Mark::started("")));
    records.extend(Provider::ALL.map(|provider| mark(Mark::feed_up(provider))));
    let listing = |(number, contract): (u32, Contract)| Listing {
        provider: Provider::AngelOne,
        token: Some(token(number)),
        symbol: ["N0CE", "N1PE"][number as usize].into(),
        contract,
        lot_size: LOT as u32,
        tick_size: Price::from_e4(500),
    };
    let listings: Vec<Listing> = [(0, call()), (1, put())].map(listing).into();
    let master = angel_one::encode_master(&listings);
    records.push(record(Source::ANGEL_ONE_MASTER, at(9, 5, 1), "", &master));
    let row = nse::LotRow {
        section: nse::LotSection::Indices,
        name: "NIFTY 50".to_owned(),
        symbol: "NIFTY".to_owned(),
        lots: vec![Some(LOT as u32)],
    };
    let months = vec![nse::LotMonth { year: 2026, month: 2 }];
    let lots = nse::encode_lots(&nse::LotTable { months, rows: vec![row] });
    records.push(record(Source::NSE_LOTS, at(9, 5, 1), "", &lots));
    records.push(NewRecord::mark(at(9, 5, 2), &Mark::stream_up(Provider::AngelOne, 0)));
    records
}

fn token(number: u32) -> ProviderToken {
    ProviderToken { segment: Segment::NseFo, token: 35_000 + number }
}

fn record(source: Source, received_time: Timestamp, context: &str, body: &[u8]) -> NewRecord {
    NewRecord { source, received_time, context: context.to_owned(), frames: Frames::one(body) }
}

/// One packet of the stream: the call is number 0, the put 1. Open interest and volume in lots.
pub fn packet(now: Timestamp, number: u32, open_interest: i64, volume: i64) -> NewRecord {
    let day = angel_one::DayStatistics { volume: volume * LOT, ..Default::default() };
    let snapshot = angel_one::Snapshot { open_interest: open_interest * LOT, ..Default::default() };
    let mut bytes = Vec::new();
    angel_one::Packet {
        token: token(number),
        sequence: 1,
        exchange_time_ms: now.as_ms(),
        last_price_paise: 10_000,
        detail: angel_one::Detail::SnapQuote(day, snapshot),
    }
    .encode_into(&mut bytes);
    record(Source::ANGEL_ONE_STREAM, now, "stream=0", &bytes)
}

/// A body of the website with the call alone.
pub fn body(stamp: Timestamp, received: Timestamp, open_interest: i64, volume: i64) -> NewRecord {
    let leg = nse::Leg {
        underlying: "NIFTY".into(),
        expiry: expiry(),
        strike: Price::from_e4(250_000_000),
        option_type: OptionType::Call,
        open_interest_lots: Some(open_interest as f64),
        open_interest_change_lots: None,
        volume_lots: Some(volume as f64),
        last_price: Told::Value(Price::from_e4(1_000_000)),
        bid: Told::Nothing,
        ask: Told::Nothing,
        implied_volatility_e4: Told::Nothing,
    };
    let chain = nse::Chain {
        timestamp: stamp,
        underlying_value: None,
        expiries: vec![expiry()],
        legs: vec![leg],
        rowless_strikes: Vec::new(),
        malformed: Vec::new(),
    };
    let body = nse::encode_chain(&chain, nse::ChainShape::V3);
    record(Source::NSE_CHAIN, received, "symbol=NIFTY&expiry=2026-02-03", &body)
}

/// The answer to a request, with the call alone.
pub fn answer(stamp: Timestamp, received: Timestamp, open_interest: i64, volume: i64) -> NewRecord {
    let body = format!(
        r#"{{"status":true,"data":{{"fetched":[{{"exchange":"NFO","tradingSymbol":"","symbolToken":"35000","ltp":100.0,
            "exchFeedTime":"{}","tradeVolume":{},"opnInterest":{}}}],"unfetched":[]}}}}"#,
        stamp.to_ist().format("%d-%b-%Y %H:%M:%S"),
        volume * LOT,
        open_interest * LOT,
    );
    let tokens = [token(0)].into_iter().collect();
    let context = angel_one::QuoteContext { sent: Some(received.plus_seconds(-1)), tokens }.to_string();
    record(Source::ANGEL_ONE_QUOTE, received, &context, body.as_bytes())
}

pub fn clock(now: Timestamp) -> NewRecord {
    NewRecord::mark(now, &Mark::clock([]))
}

/// A stream that shows the put every 15 seconds and the call twice, proves two buckets and breaks off in the third, a website that is a step behind, and the time until no
/// row waits any more.
pub fn day(has_rules: bool) -> Vec<NewRecord> {
    let mut records = head(has_rules);
    records.extend([
        packet(at(9, 16, 0), 0, 100, 10),
        packet(at(9, 16, 0), 1, 200, 20),
        body(at(9, 16, 0), at(9, 16, 20), 90, 5),
        packet(at(9, 21, 2), 0, 101, 11),
    ]);
    for number in 0..=22 {
        let now = at(9, 16, 5).plus_seconds(15 * number);
        records.extend([packet(now, 1, 201 + number, 21 + number), clock(now)]);
    }
    // The head is of one moment, in its order.
    records.sort_by_key(|record| record.received_time);
    let down = Mark::stream_down(Provider::AngelOne, 0, "the connection broke").since(at(9, 21, 40));
    records.push(NewRecord::mark(at(9, 22, 0), &down));
    let down = Mark::feed_down(Provider::AngelOne, "the connection broke").since(at(9, 21, 40));
    records.push(NewRecord::mark(at(9, 22, 0), &down));
    records.extend((23..50).map(|minute| clock(at(9, minute, 0))));
    records
}
