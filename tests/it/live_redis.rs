//! The live state in a real Redis: frames for subscribers, hashes for those who look, everything again after a loss.

use crate::servers::Redis;
use bhavd::{
    clock::Clock,
    live::{
        Directory, FrameRecord, LiveFrame, LiveQuote, LiveTable, LiveWriter, RedisPublisher, RedisStatus,
    },
    market::{Contract, InstrumentId, Price, Provider, Timestamp},
};
use futures_util::StreamExt;
use redis::aio::MultiplexedConnection;
use std::{
    collections::{BTreeMap, HashMap},
    future::Future,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};
use tokio::{sync::oneshot, task::JoinHandle};

const NEAR: &str = "NIFTY 2026-02-03 25000 CE";
const FAR: &str = "NIFTY 2026-02-10 25000 CE";

fn contract(text: &str) -> Contract {
    text.parse().expect("a contract")
}

fn quote(open_interest: i64) -> LiveQuote {
    LiveQuote {
        event_time: Timestamp::from_us(1_769_744_700_000_000),
        received_time: Timestamp::from_us(1_769_744_700_123_456),
        last_price: Some(Price::from_e4(1_234_500)),
        open_interest: Some(open_interest),
        previous_open_interest: Some(1_000),
        volume: Some(0),
        bid: None,
        ask: Some(Price::from_e4(1_235_000)),
        implied_volatility_e4: Some(123_400),
        provider: Provider::AngelOne,
    }
}

/// A table of an index and two expiries of one strike, in slots 0 to 2, with its publisher at work.
struct Live {
    writer: LiveWriter,
    table: Arc<LiveTable>,
    directory: Directory,
    status: Arc<RedisStatus>,
    stop: oneshot::Sender<()>,
    publisher: JoinHandle<()>,
}

impl Live {
    #[expect(clippy::disallowed_methods, reason = "a publisher without a tree; the test waits for its end")]
    fn start(url: &str) -> Live {
        let table = LiveTable::new(100);
        let directory = Directory::new();
        directory.append([
            (InstrumentId(71), contract("NIFTY")),
            (InstrumentId(72), contract(NEAR)),
            (InstrumentId(73), contract(FAR)),
        ]);
        directory.set_date("2026-02-03".parse().expect("a date"));
        let status = Arc::new(RedisStatus::default());
        let cursor = table.dirty_cursor().expect("the first");
        let clock = Clock::system();
        let publisher = RedisPublisher::new(url, cursor, directory.clone(), clock, Arc::clone(&status));
        let (stop, stopped) = oneshot::channel();
        let running = publisher.expect("a valid address").run(async {
            // An error means that the test is over.
            let _ = stopped.await;
        });
        let publisher = tokio::spawn(running);
        Live { writer: table.writer().expect("the first"), table, directory, status, stop, publisher }
    }

    fn write(&mut self, slot: u32, open_interest: i64) {
        self.writer.write(slot, &quote(open_interest)).expect("in the table");
    }

    async fn stop(self) {
        self.stop.send(()).expect("it runs");
        self.publisher.await.expect("no panic");
    }
}

/// Repeats `look` until it finds something; the limit is only for a test that fails.
async fn until<Found, Look: Future<Output = Option<Found>>>(
    what: &str,
    mut look: impl FnMut() -> Look,
) -> Found {
    let looking = async {
        loop {
            if let Some(found) = look().await {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let limit = Duration::from_secs(60);
    tokio::time::timeout(limit, looking)
        .await
        .unwrap_or_else(|_| panic!("{what} did not come within {limit:?}"))
}

async fn connect(url: &str) -> MultiplexedConnection {
    let client = redis::Client::open(url).expect("an address");
    client.get_multiplexed_async_connection().await.expect("connects")
}

async fn hash(connection: &MultiplexedConnection, key: &str) -> BTreeMap<String, String> {
    let mut connection = connection.clone();
    redis::cmd("HGETALL").arg(key).query_async(&mut connection).await.expect("answers")
}

async fn hash_with(
    connection: &MultiplexedConnection,
    key: &str,
    open_interest: &str,
) -> BTreeMap<String, String> {
    until(key, || async {
        Some(hash(connection, key).await).filter(|hash| hash.get("oi").is_some_and(|oi| oi == open_interest))
    })
    .await
}

fn pairs(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(field, value)| ((*field).to_owned(), (*value).to_owned())).collect()
}

#[tokio::test]
async fn subscribers_see_frames_and_readers_see_hashes() {
    let server = Redis::start();
    let client = redis::Client::open(server.url()).expect("an address");
    let mut subscriber = client.get_async_pubsub().await.expect("connects");
    subscriber.subscribe("market_data").await.expect("subscribes");
    let mut live = Live::start(&server.url());
    live.write(0, 5);
    live.write(1, 1_500);
    live.write(2, 900);
    let mut seen = HashMap::new();
    let mut messages = subscriber.on_message();
    while seen.len() < 3 {
        let next = tokio::time::timeout(Duration::from_secs(60), messages.next()).await;
        let message = next.expect("a frame comes").expect("the connection lives");
        let frame = LiveFrame::decode(message.get_payload_bytes()).expect("a frame");
        assert!(frame.sent_time > Timestamp::from_us(0));
        seen.extend(frame.records.into_iter().map(|FrameRecord { instrument, quote }| (instrument.0, quote)));
    }
    assert_eq!(seen, HashMap::from([(71, quote(5)), (72, quote(1_500)), (73, quote(900))]));

    let connection = connect(&server.url()).await;
    let near = hash_with(&connection, "OI:NIFTY:2026-02-03:25000:CE", "1500").await;
    let values = [
        ("oi", "1500"),
        ("oi_change", "500"),
        ("volume", "0"),
        ("ltp", "123.45"),
        ("ask", "123.50"),
        ("iv", "12.34"),
        ("event_time", "1769744700000000"),
        ("received_time", "1769744700123456"),
        ("provider", "angel_one"),
    ];
    assert_eq!(near, pairs(&values));
    let alias = hash_with(&connection, "OI:NIFTY:25000:CE", "1500").await;
    let mut with_expiry = pairs(&values);
    with_expiry.insert("expiry".to_owned(), "2026-02-03".to_owned());
    assert_eq!(alias, with_expiry);
    hash_with(&connection, "OI:NIFTY:2026-02-10:25000:CE", "900").await;
    assert_eq!(hash(&connection, "instruments").await, pairs(&[("71", "NIFTY"), ("72", NEAR), ("73", FAR)]));

    // The alias follows the nearest expiry to the next one.
    live.directory.set_date("2026-02-04".parse().expect("a date"));
    let alias = hash_with(&connection, "OI:NIFTY:25000:CE", "900").await;
    assert_eq!(alias["expiry"], "2026-02-10");

    // What is written just before the stop is sent.
    live.write(1, 1_501);
    live.stop().await;
    assert_eq!(hash(&connection, "OI:NIFTY:2026-02-03:25000:CE").await["oi"], "1501");
}

#[tokio::test]
async fn everything_is_written_again_after_redis_was_away() {
    let mut server = Redis::start();
    let mut live = Live::start(&server.url());
    live.write(1, 1_500);
    hash_with(&connect(&server.url()).await, "OI:NIFTY:2026-02-03:25000:CE", "1500").await;
    assert!(live.status.is_connected());

    server.stop();
    // Written into the void, and never slowed by it.
    for open_interest in 0..10_000 {
        live.write(2, open_interest);
    }
    until("the loss", || async { (!live.status.is_connected()).then_some(()) }).await;
    until("an error", || async { (live.status.errors.load(Relaxed) > 0).then_some(()) }).await;
    assert_eq!(live.table.read(2), Some(quote(9_999)));

    server.start_again();
    let connection = connect(&server.url()).await;
    hash_with(&connection, "OI:NIFTY:2026-02-10:25000:CE", "9999").await;
    hash_with(&connection, "OI:NIFTY:2026-02-03:25000:CE", "1500").await;
    hash_with(&connection, "OI:NIFTY:25000:CE", "1500").await;
    assert_eq!(hash(&connection, "instruments").await.len(), 3);
    assert!(live.status.is_connected());
    assert!(live.status.conflated(live.table.writes()) > 5_000);
    live.stop().await;
}

#[tokio::test]
async fn a_wrong_address_is_refused_with_a_way_out() {
    let table = LiveTable::new(1);
    let cursor = table.dirty_cursor().expect("the first");
    let refused = RedisPublisher::new("localhost", cursor, Directory::new(), Clock::system(), Arc::default());
    let Err(error) = refused else { panic!("a word is no address") };
    assert!(error.to_string().contains("redis://HOST:PORT or unix:///PATH"), "{error}");
}
