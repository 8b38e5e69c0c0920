//! The Angel One feed against a scripted broker.

mod broker;

use crate::kept_records::KeptRecords;
use bhavd::{
    calendar::Calendar,
    clock::{Clock, Simulation, real_now},
    engine::watch::{WatchList, WatchedUnderlying},
    feed::{
        FeedContext, FeedState, FeedStatus, Secret,
        angel_one::{AngelOneFeed, AngelOneSettings, Credentials},
    },
    market::*,
    spool::{Mark, Source},
    wire::angel_one::*,
};
use broker::{Broker, Connection, Script};
use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};
use tokio::sync::watch;
use tokio_tungstenite::tungstenite::Message;

/// `up` and `down` in their order, with the reason.
fn marks(kept: &KeptRecords) -> Vec<String> {
    let words = kept.marks().into_iter().filter_map(|mark| match mark {
        Mark::FeedUp { .. } => Some("up".to_owned()),
        Mark::FeedDown { reason, .. } => Some(format!("down: {reason}")),
        Mark::StreamUp { .. } | Mark::StreamDown { .. } => None,
        other => panic!("{other:?}"),
    });
    words.collect()
}

/// `up` and `down` of one stream in their order, with the reason.
fn stream_marks(kept: &KeptRecords, number: u8) -> Vec<String> {
    let words = kept.marks().into_iter().filter_map(|mark| match mark {
        Mark::StreamUp { stream, .. } if stream == number => Some("up".to_owned()),
        Mark::StreamDown { stream, reason, .. } if stream == number => Some(format!("down: {reason}")),
        _ => None,
    });
    words.collect()
}

fn stream_frames(kept: &KeptRecords) -> Vec<Vec<u8>> {
    let records = kept.of(Source::ANGEL_ONE_STREAM);
    records.iter().flat_map(|record| record.frames.iter().map(<[u8]>::to_vec)).collect()
}

const INDEX: ProviderToken = ProviderToken { segment: Segment::NseCash, token: 99_926_000 };

fn option_token(number: u32) -> ProviderToken {
    ProviderToken { segment: Segment::NseFo, token: number }
}

/// NIFTY and three of its options.
fn master() -> Vec<u8> {
    master_of(&[1, 2, 3])
}

fn master_of(options: &[u32]) -> Vec<u8> {
    let expiry = chrono::NaiveDate::from_ymd_opt(2026, 2, 3).expect("a date");
    let listing = |contract, token, symbol: &str, lot_size| Listing {
        provider: Provider::AngelOne,
        token: Some(token),
        symbol: symbol.into(),
        contract,
        lot_size,
        tick_size: Price::from_e4(500),
    };
    let mut listings = vec![listing(Contract::index(Exchange::Nse, "NIFTY"), INDEX, "Nifty 50", 1)];
    for &number in options {
        let strike = Price::from_e4(i64::from(number) * 10_000_000);
        let contract = Contract::option(Exchange::Nse, "NIFTY", expiry, strike, OptionType::Call);
        listings.push(listing(contract, option_token(number), &format!("NIFTY{number}CE"), 65));
    }
    encode_master(&listings)
}

fn packet(number: u32, clock: &Clock) -> Vec<u8> {
    let mut bytes = Vec::new();
    let packet = Packet {
        token: option_token(number),
        sequence: 1,
        exchange_time_ms: clock.now().as_ms(),
        last_price_paise: 10_000,
        detail: Detail::SnapQuote(DayStatistics::default(), Snapshot::default()),
    };
    packet.encode_into(&mut bytes);
    bytes
}

fn message(bytes: &[u8]) -> Message {
    Message::Binary(bytes.to_vec().into())
}

struct Trial {
    broker: Broker,
    kept: KeptRecords,
    status: Arc<FeedStatus>,
    stop: watch::Sender<bool>,
    feed: AngelOneFeed<KeptRecords>,
}

/// A feed a hundred times as fast as real time, on the morning of 30 January 2026.
async fn trial(settings: AngelOneSettings, script: impl FnOnce(&Clock) -> Script) -> Trial {
    let date = chrono::NaiveDate::from_ymd_opt(2026, 1, 30).expect("a date");
    let start = Timestamp::on(date, chrono::NaiveTime::from_hms_opt(9, 20, 0).expect("a time"));
    let clock = Clock::simulated(Simulation { start, real_start: real_now(), speed: 100.0 });
    let script = script(&clock);
    let master = if script.master.is_empty() { master() } else { script.master.clone() };
    let broker = Broker::start(clock.clone(), Script { master, ..script }).await;
    let (stop, stopped) = watch::channel(false);
    let status = Arc::new(FeedStatus::new(Provider::AngelOne));
    let kept = KeptRecords::default();
    let totp_secret = Secret::new("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ");
    let (api_key, mpin) = (Secret::new("key"), Secret::new("4321"));
    let watched = WatchedUnderlying { underlying: "NIFTY".to_owned(), expiries: 1 };
    let feed = AngelOneFeed {
        settings: AngelOneSettings {
            rest_url: broker.root.clone(),
            stream_url: broker.stream.clone(),
            master_url: format!("{}/master.json", broker.root),
            ..settings
        },
        credentials: Credentials::new("A123", api_key, mpin, &totp_secret).expect("credentials"),
        context: FeedContext {
            watch: WatchList { underlyings: vec![watched] },
            calendar: Arc::new(Calendar::embedded()),
            clock,
            status: status.clone(),
            sink: kept.clone(),
            beside_log: None,
            stop: stopped,
            seed: 7,
        },
    };
    Trial { broker, kept, status, stop, feed }
}

/// Returns once `condition` holds; panics with `what` if it does not for a long time.
async fn until(what: &str, condition: impl Fn() -> bool) {
    let waited = tokio::time::timeout(Duration::from_secs(30), async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    });
    waited.await.unwrap_or_else(|_| panic!("still not: {what}"));
}

/// Runs the feed until `checks` are through.
async fn while_running(feed: AngelOneFeed<KeptRecords>, checks: impl Future<Output = ()>) {
    tokio::select! {
        ended = feed.run() => panic!("the feed ended: {ended:?}"),
        () = checks => {}
    }
}

#[tokio::test]
async fn subscribes_hands_frames_over_and_subscribes_again_after_a_loss() {
    let trial = trial(AngelOneSettings::default(), |clock| Script {
        connections: [
            Connection::Lost(vec![message(&packet(1, clock)), message(&packet(2, clock))]),
            Connection::Held(vec![message(&packet(3, clock))]),
        ]
        .into(),
        ..Script::default()
    })
    .await;
    let Trial { broker, kept, status, feed, .. } = trial;
    while_running(feed, async {
        until("three frames are kept", || stream_frames(&kept).len() == 3).await;
        until("a ping came", || broker.script().texts.contains(&(1, ClientText::Ping))).await;
    })
    .await;

    let wanted = [INDEX, option_token(1), option_token(2), option_token(3)];
    for connection in 0..2 {
        let requests = broker.subscriptions(connection);
        let [request] = &requests[..] else { panic!("one subscription: {requests:?}") };
        assert_eq!((request.subscribe, request.mode), (true, StreamMode::SnapQuote));
        assert_eq!(request.tokens, wanted);
    }
    let tokens: Vec<u32> =
        stream_frames(&kept).iter().map(|frame| decode_quote(frame).expect("a packet").0.token).collect();
    assert_eq!(tokens, [1, 2, 3]);
    let master = kept.of(Source::ANGEL_ONE_MASTER);
    assert_eq!(master.len(), 1);
    let first_frame = kept.sources().iter().position(|source| *source == Source::ANGEL_ONE_STREAM);
    let first_master = kept.sources().iter().position(|source| *source == Source::ANGEL_ONE_MASTER);
    assert!(first_master < first_frame, "the master comes before any packet");
    let marks = marks(&kept);
    assert_eq!(marks.len(), 3, "{marks:?}");
    assert_eq!((&*marks[0], &*marks[2]), ("up", "up"));
    assert!(marks[1].starts_with("down: stream 0"), "{marks:?}");
    assert_eq!(status.state(), FeedState::Up);
    assert_eq!((status.subscribed.load(Relaxed), status.reconnects.load(Relaxed)), (4, 1));

    let (_, login, _) = broker.calls(LOGIN_PATH).remove(0);
    let login = LoginRequest::decode(&login).expect("a login");
    assert_eq!((&*login.client_code, &*login.password, login.totp.len()), ("A123", "4321", 6));
    let (bearer, feed_token) = broker.script().handshakes[0].clone();
    assert!(bearer.starts_with("Bearer eyJ"), "{bearer}");
    assert_eq!(feed_token, "feed1");
}

#[tokio::test]
async fn frames_readable_together_become_one_record() {
    let trial = trial(AngelOneSettings::default(), |clock| Script {
        connections: [Connection::Held((0..2_000).map(|_| message(&packet(1, clock))).collect())].into(),
        ..Script::default()
    })
    .await;
    let Trial { kept, status, feed, .. } = trial;
    while_running(feed, until("all frames are kept", || stream_frames(&kept).len() == 2_000)).await;
    let records = kept.of(Source::ANGEL_ONE_STREAM);
    assert!(records.len() < 1_000, "{} records", records.len());
    assert!(records.iter().all(|record| record.frames.len() <= 512));
    assert!(status.frames.load(Relaxed) >= 2_000);
}

#[tokio::test]
async fn a_refused_handshake_logs_in_again() {
    let trial = trial(AngelOneSettings::default(), |_| Script {
        connections: [Connection::Refused("Invalid Feed Token")].into(),
        ..Script::default()
    })
    .await;
    let Trial { broker, kept, status, feed, .. } = trial;
    while_running(feed, until("the feed is up", || marks(&kept) == ["up"])).await;
    assert_eq!(broker.calls(LOGIN_PATH).len(), 2);
    let script = broker.script();
    assert_ne!(script.handshakes[0], script.handshakes[1], "the second comes with fresh tokens");
    assert!(status.last_error().contains("Invalid Feed Token"), "{}", status.last_error());
}

/// Every token polled, none streamed.
fn polling() -> AngelOneSettings {
    AngelOneSettings { sockets_max: 0, quote_requests_per_second: 10, ..AngelOneSettings::default() }
}

fn quote_answer() -> Vec<u8> {
    encode_full_quotes(&[], &[])
}

#[tokio::test]
async fn an_expired_session_is_refreshed_or_else_logged_in_again() {
    let expired = Refusal::gateway("AG8002", "Token Expired").encode();
    let spent = Refusal::service("AB8050", "Invalid Refresh Token").encode();
    let trial = trial(AngelOneSettings { quote_interval_s: 90, ..polling() }, |_| Script {
        quote_answer: quote_answer(),
        ..Script::default()
    })
    .await;
    let Trial { broker, kept, feed, .. } = trial;
    while_running(feed, async {
        until("the first sweep is kept", || kept.of(Source::ANGEL_ONE_QUOTE).len() == 1).await;
        // The session is a sweep old by then, so that a refresh is tried first.
        broker.script().answers.push((QUOTE_PATH, 401, expired.clone()));
        until("a refresh", || broker.calls(REFRESH_PATH).len() == 1).await;
        until("the second sweep is kept", || kept.of(Source::ANGEL_ONE_QUOTE).len() == 2).await;
        assert_eq!(broker.calls(LOGIN_PATH).len(), 1);
        broker.script().answers.extend([(QUOTE_PATH, 401, expired), (REFRESH_PATH, 200, spent)]);
        until("a second login", || broker.calls(LOGIN_PATH).len() == 2).await;
        until("the third sweep is kept", || kept.of(Source::ANGEL_ONE_QUOTE).len() == 3).await;
    })
    .await;
    let (_, body, bearer) = broker.calls(REFRESH_PATH).remove(0);
    assert_eq!(RefreshRequest::decode(&body).expect("a refresh").refresh_token, "refresh1");
    assert!(bearer.starts_with("Bearer eyJ"), "{bearer}");
    let quotes = broker.calls(QUOTE_PATH);
    assert_ne!(quotes.first().map(|call| &call.2), quotes.last().map(|call| &call.2), "fresh tokens");
    assert_eq!(marks(&kept), ["up"], "a session that can be renewed is no loss");
}

#[tokio::test]
async fn throttled_requests_wait_longer_each_time() {
    let throttled = b"Access denied because of exceeding access rate".to_vec();
    let too_many = Refusal::service("AB1021", "Too many requests").encode();
    let trial = trial(AngelOneSettings { quote_interval_s: 1, ..polling() }, |_| Script {
        quote_answer: quote_answer(),
        answers: vec![
            (QUOTE_PATH, 429, Vec::new()),
            (QUOTE_PATH, 403, throttled),
            (QUOTE_PATH, 200, too_many),
        ],
        ..Script::default()
    })
    .await;
    let Trial { broker, kept, status, feed, .. } = trial;
    while_running(feed, until("an answer is kept", || !kept.of(Source::ANGEL_ONE_QUOTE).is_empty())).await;
    let times: Vec<Timestamp> = broker.calls(QUOTE_PATH).iter().map(|call| call.0).collect();
    for (nth, pair) in times[..4].windows(2).enumerate() {
        let least_us = 500_000 << nth;
        assert!(pair[1].us_since(pair[0]) >= least_us, "request {} came too soon: {times:?}", nth + 2);
    }
    assert_eq!(status.errors.load(Relaxed), 3);
    assert_eq!(broker.calls(LOGIN_PATH).len(), 1, "throttling is no loss of the session");
}

#[tokio::test]
async fn a_body_that_is_no_answer_is_an_error_and_not_kept() {
    let html = b"<html><title>Request Rejected</title></html>".to_vec();
    let cut = quote_answer()[..20].to_vec();
    let trial = trial(polling(), |_| Script {
        quote_answer: quote_answer(),
        answers: vec![
            ("/master.json", 200, html.clone()),
            (LOGIN_PATH, 200, html.clone()),
            (QUOTE_PATH, 200, html),
            (QUOTE_PATH, 200, cut),
        ],
        ..Script::default()
    })
    .await;
    let Trial { kept, status, feed, .. } = trial;
    while_running(feed, until("an answer is kept", || !kept.of(Source::ANGEL_ONE_QUOTE).is_empty())).await;
    assert_eq!(kept.of(Source::ANGEL_ONE_MASTER).len(), 1);
    assert_eq!(status.errors.load(Relaxed), 4);
    assert!(status.last_error().contains("quote request"), "{}", status.last_error());
    let bodies: Vec<Vec<u8>> = kept
        .of(Source::ANGEL_ONE_QUOTE)
        .iter()
        .flat_map(|record| record.frames.iter().map(<[u8]>::to_vec))
        .collect();
    assert!(bodies.iter().all(|body| *body == quote_answer()));
}

#[tokio::test]
async fn a_wrong_one_time_password_waits_for_the_next() {
    let wrong = Refusal::service("AB1050", "Invalid totp").encode();
    let trial = trial(AngelOneSettings::default(), |_| Script {
        answers: vec![(LOGIN_PATH, 200, wrong)],
        ..Script::default()
    })
    .await;
    let Trial { broker, kept, feed, .. } = trial;
    while_running(feed, until("the feed is up", || marks(&kept) == ["up"])).await;
    let steps: Vec<i64> = broker.calls(LOGIN_PATH).iter().map(|call| call.0.as_us() / 30_000_000).collect();
    assert_eq!(steps.len(), 2);
    assert!(steps[0] < steps[1], "{steps:?}");
}

#[tokio::test]
async fn a_refused_subscription_takes_its_stream_down_until_it_brings_data() {
    let refusal = StreamRefusal {
        correlation_id: None,
        error_code: StreamRefusal::LIMIT_EXCEEDED.to_owned(),
        error_message: "Subscription limit exceeded".to_owned(),
    };
    let refused = || Connection::Held(vec![ServerText::Refusal(refusal.clone()).encode().into()]);
    let trial = trial(AngelOneSettings::default(), |clock| Script {
        connections: [refused(), refused(), Connection::Held(vec![message(&packet(1, clock))])].into(),
        ..Script::default()
    })
    .await;
    let Trial { broker, kept, status, feed, .. } = trial;
    while_running(feed, async {
        until("the refusal is shown", || status.last_error().contains("E1002")).await;
        until("the second try was refused too", || status.errors.load(Relaxed) == 2).await;
        assert!(status.streams_down()[&0].contains("E1002"), "{:?}", status.streams_down());
        assert_ne!(status.state(), FeedState::Up, "an open socket carries nothing by itself");
        until("the third brings data", || stream_frames(&kept).len() == 1).await;
    })
    .await;
    let of_stream = stream_marks(&kept, 0);
    let [first, refused, last] = &of_stream[..] else { panic!("{of_stream:?}") };
    assert!(first == "up" && refused.contains("E1002") && last == "up", "{of_stream:?}");
    assert_eq!(marks(&kept).len(), 3, "{:?}", marks(&kept));
    assert!(status.streams_down().is_empty() && status.state() == FeedState::Up);
    assert_eq!(broker.script().handshakes.len(), 3);
    let up_again = kept.sources().iter().rposition(|source| *source == Source::MARK);
    let data = kept.sources().iter().position(|source| *source == Source::ANGEL_ONE_STREAM);
    assert!(up_again < data, "the log says that the stream is up before it says what it brings");
}

#[tokio::test]
async fn a_master_that_is_gone_or_short_leaves_the_last_good_one_in_force() {
    let home = tempfile::tempdir().expect("a directory");
    let first = trial(AngelOneSettings::default(), |_| Script::default()).await;
    let mut feed = first.feed;
    feed.context.beside_log = Some(home.path().to_owned());
    while_running(feed, until("the feed is up", || first.kept.is_up())).await;
    let good = first.kept.of(Source::ANGEL_ONE_MASTER).remove(0).frames;

    let gone = || vec![("/master.json", 404, Vec::new()); 2];
    for (answers, short, says) in [
        (gone(), master(), "404"),
        (Vec::new(), b"[]".to_vec(), "nothing that is watched"),
        (Vec::new(), master_of(&[2]), "of 3 contracts on NIFTY that expire on 2026-02-03 it lists 1"),
    ] {
        let short =
            trial(AngelOneSettings::default(), |_| Script { answers, master: short, ..Script::default() })
                .await;
        let Trial { broker, kept, status, mut feed, .. } = short;
        feed.context.beside_log = Some(home.path().to_owned());
        while_running(feed, async {
            until("the feed is up", || kept.is_up()).await;
            let trouble = status.troubles()["instrument master"].clone();
            assert!(trouble.contains("2026-01-30 stays in force") && trouble.contains(says), "{trouble}");
            broker.script().master = master();
            until("the trouble is over", || status.troubles().is_empty()).await;
        })
        .await;
        let masters = kept.of(Source::ANGEL_ONE_MASTER);
        assert!(masters.len() >= 2 && masters.iter().all(|record| record.frames == good), "{says}");
        let wanted = [INDEX, option_token(1), option_token(2), option_token(3)];
        assert_eq!(broker.subscriptions(0)[0].tokens, wanted, "{says}");
    }
}

#[tokio::test]
async fn one_lost_stream_leaves_the_feed_up() {
    let settings = AngelOneSettings { sockets_max: 2, tokens_per_socket: 2, ..AngelOneSettings::default() };
    let refusal = StreamRefusal {
        correlation_id: None,
        error_code: StreamRefusal::LIMIT_EXCEEDED.to_owned(),
        error_message: String::new(),
    };
    let refused = || Connection::Held(vec![ServerText::Refusal(refusal.clone()).encode().into()]);
    let trial = trial(settings, |clock| {
        let held = Connection::Held(vec![message(&packet(1, clock))]);
        Script { connections: [held, refused(), refused(), refused()].into(), ..Script::default() }
    })
    .await;
    let Trial { kept, status, feed, .. } = trial;
    while_running(feed, async {
        until("a stream is refused twice", || status.errors.load(Relaxed) >= 2).await;
        assert_eq!(status.state(), FeedState::Up);
        let lost = status.streams_down();
        assert!(lost.len() == 1 && lost.values().all(|why| why.contains("E1002")), "{lost:?}");
        assert_eq!(status.subscribed.load(Relaxed), 2, "half of the tokens");
    })
    .await;
    assert_eq!(marks(&kept), ["up"]);
    let lost = u8::from(stream_marks(&kept, 1).len() > 1);
    assert_eq!(stream_marks(&kept, 1 - lost), ["up"]);
    let of_lost = stream_marks(&kept, lost);
    assert!(of_lost.len() == 2 && of_lost[1].contains("E1002"), "{of_lost:?}");
}

#[tokio::test]
async fn a_stream_that_is_silent_in_session_is_opened_anew() {
    let trial = trial(AngelOneSettings::default(), |clock| Script {
        connections: [
            Connection::Held(vec![message(&packet(1, clock))]),
            Connection::Held(vec![message(&packet(2, clock))]),
        ]
        .into(),
        ..Script::default()
    })
    .await;
    let Trial { broker, kept, status, feed, .. } = trial;
    while_running(feed, until("both connections brought data", || stream_frames(&kept).len() == 2)).await;
    let of_stream = stream_marks(&kept, 0);
    assert!(of_stream.len() == 3 && of_stream[1].contains("no data for"), "{of_stream:?}");
    assert_eq!(status.silences.load(Relaxed), 1);
    let pings = broker
        .script()
        .texts
        .iter()
        .filter(|(number, text)| (*number, text) == (0, &ClientText::Ping))
        .count();
    assert!(pings > 30, "pings were answered all the while: {pings}");
    let records = kept.of(Source::ANGEL_ONE_STREAM);
    let since = kept.marks().into_iter().find_map(|mark| match mark {
        Mark::StreamDown { since_us, .. } => since_us,
        _ => None,
    });
    let since = Timestamp::from_us(since.expect("said since when"));
    assert!(since.us_since(records[0].received_time) < 10_000_000, "{since}");
    assert!(records[1].received_time.us_since(since) >= 600_000_000, "it had ten minutes");
}

#[tokio::test]
async fn index_candles_are_fetched_after_each_bucket() {
    let price = Price::from_e4(252_789_000);
    let trial = trial(AngelOneSettings::default(), |clock| {
        let start = clock.now();
        let bar = Bar { start, open: price, high: price, low: price, close: price, volume: 0 };
        Script { candle_answer: encode_candles(&[bar]), ..Script::default() }
    })
    .await;
    let Trial { broker, kept, feed, .. } = trial;
    while_running(feed, until("two answers", || kept.of(Source::ANGEL_ONE_CANDLES).len() == 2)).await;
    let records = kept.of(Source::ANGEL_ONE_CANDLES);
    assert_eq!(records[0].context, "segment=1&token=99926000&interval=THREE_MINUTE");
    let calls = broker.calls(CANDLES_PATH);
    let request = CandleRequest::decode(&calls[0].1).expect("a request");
    assert_eq!(request.token, INDEX);
    assert_eq!(request.to.to_string(), "2026-01-30 09:18:00 IST");
    assert!(calls[0].0 >= Bucket::containing(request.to).end(), "only bars that are over");
}

#[tokio::test]
async fn a_stopped_feed_closes_its_sockets_and_says_so() {
    let trial = trial(AngelOneSettings::default(), |_| Script::default()).await;
    let Trial { broker, kept, status, stop, feed } = trial;
    let stops = async {
        until("the feed is up", || marks(&kept) == ["up"]).await;
        stop.send(true).expect("the feed listens");
    };
    let (ended, ()) = tokio::join!(feed.run(), stops);
    ended.expect("a stop is no error");
    assert_eq!(marks(&kept), ["up", "down: stopped"]);
    assert_eq!(status.state(), FeedState::Stopped);
    until("the broker sees the end", || broker.script().ended == [0]).await;
}
