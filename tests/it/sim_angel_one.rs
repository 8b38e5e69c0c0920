//! The simulated Angel One, over its real protocols.

use crate::test_data::index_options;
use bhavd::{
    market::{Price, ProviderToken, Segment, Timestamp, Told},
    sim::*,
    wire::angel_one::*,
};
use futures_util::{SinkExt, StreamExt};
use std::{
    collections::{BTreeSet, HashMap},
    time::Duration,
};
use tokio::net::TcpStream;
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream,
    tungstenite::{Error, Message, client::IntoClientRequest},
};
use totp_rs::{Builder, Secret};

pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// The recorded day of index options as a simulator's market, or `None` with the reason printed.
pub(crate) fn recorded_day() -> Option<MarketSource> {
    index_options().map(|path| MarketSource::Recording { path, strict: true })
}

pub(crate) fn synthetic(seconds: u32) -> SyntheticMarket {
    SyntheticMarket { duration_s: seconds, strikes: 20, ..SyntheticMarket::default() }
}

/// A simulator whose whole market is due within a second or two.
pub(crate) fn fast(market: MarketSource) -> SimulatorOptions {
    SimulatorOptions { speed: 100_000.0, ..SimulatorOptions::new(market) }
}

pub(crate) fn http() -> reqwest::Client {
    // Another test of this process may have been first.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().timeout(PATIENCE).no_proxy().build().expect("a client")
}

pub(crate) async fn played(simulator: &RunningSimulator) {
    let wait = async {
        while !simulator.progress().is_finished() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.expect("the market is played within the time allowed");
}

pub(crate) struct Client {
    http: reqwest::Client,
    root: String,
    stream_url: String,
    credentials: Credentials,
}

pub(crate) type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

impl Client {
    pub(crate) fn of(simulator: &RunningSimulator) -> Client {
        Client {
            http: http(),
            root: simulator.angel_one_url().expect("Angel One"),
            stream_url: simulator.angel_one_stream_url().expect("Angel One"),
            credentials: Credentials::default(),
        }
    }

    pub(crate) async fn post(&self, path: &str, jwt: Option<&str>, body: Vec<u8>) -> (u16, Vec<u8>) {
        let mut request = self.http.post(format!("{}{path}", self.root)).body(body);
        request = request.header("X-PrivateKey", &self.credentials.api_key);
        if let Some(jwt) = jwt {
            request = request.header("Authorization", format!("Bearer {jwt}"));
        }
        let reply = request.send().await.expect("a reply");
        (reply.status().as_u16(), reply.bytes().await.expect("a body").to_vec())
    }

    fn totp(&self, now: Timestamp) -> String {
        let secret = Secret::try_from_base32(&self.credentials.totp_secret).expect("base32");
        let totp = Builder::new().with_secret(secret).build().expect("a secret");
        totp.generate(now.as_us() as u64 / 1_000_000).to_string()
    }

    async fn login(&self, now: Timestamp) -> SessionTokens {
        let body = self.login_with(&self.credentials.mpin, &self.totp(now)).await;
        SessionTokens::decode(&body).expect("tokens")
    }

    /// Logs in on a fast clock: a password may be too old by the time it arrives, then the next one is tried.
    pub(crate) async fn login_now(&self, simulator: &RunningSimulator) -> SessionTokens {
        const ATTEMPTS_MAX: usize = 10_000;
        for _ in 0..ATTEMPTS_MAX {
            let totp = self.totp(simulator.clock().now());
            let body = self.login_with(&self.credentials.mpin, &totp).await;
            match SessionTokens::decode(&body) {
                Ok(tokens) => return tokens,
                Err(WireError::Refused(refusal)) if refusal.code == "AB1050" => {}
                // Two attempts within a simulated second.
                Err(_) if body.starts_with(b"Access denied because of exceeding access rate") => {}
                Err(error) => panic!("{error}: {}", String::from_utf8_lossy(&body)),
            }
        }
        panic!("{ATTEMPTS_MAX} one-time passwords were refused");
    }

    async fn login_with(&self, password: &str, totp: &str) -> Vec<u8> {
        let request = LoginRequest {
            client_code: self.credentials.client_code.clone(),
            password: password.to_owned(),
            totp: totp.to_owned(),
        };
        self.post(LOGIN_PATH, None, request.encode()).await.1
    }

    pub(crate) async fn connect(&self, tokens: &SessionTokens) -> Socket {
        self.connect_with(&[
            ("authorization", &format!("Bearer {}", tokens.jwt_token)),
            ("x-api-key", &self.credentials.api_key),
            ("x-client-code", &self.credentials.client_code),
            ("x-feed-token", &tokens.feed_token),
        ])
        .await
        .expect("a socket")
    }

    async fn connect_with(&self, headers: &[(&'static str, &str)]) -> Result<Socket, Error> {
        let mut request = self.stream_url.as_str().into_client_request().expect("a request");
        for (name, value) in headers {
            request.headers_mut().insert(*name, value.parse().expect("a header"));
        }
        tokio_tungstenite::connect_async(request).await.map(|(socket, _)| socket)
    }
}

fn code_of(error: WireError) -> String {
    match error {
        WireError::Refused(refusal) => refusal.code,
        other => panic!("not a refusal: {other}"),
    }
}

/// A recorded price as it is read from the wire, where 0 is none.
fn told(price: Option<Price>) -> Told<Price> {
    Told::zero_is_nothing(price.unwrap_or_default())
}

pub(crate) fn request(subscribe: bool, mode: StreamMode, tokens: &[ProviderToken]) -> Message {
    let correlation_id = Some("abcde12345".to_owned());
    let request = StreamRequest { correlation_id, subscribe, mode, tokens: tokens.to_vec() };
    Message::text(ClientText::Request(request).encode())
}

async fn next(socket: &mut Socket) -> Message {
    let message =
        tokio::time::timeout(PATIENCE, socket.next()).await.expect("a message within the time allowed");
    message.expect("the socket is open").expect("a message")
}

pub(crate) async fn next_text(socket: &mut Socket) -> ServerText {
    match next(socket).await {
        Message::Text(text) => ServerText::decode(text.as_bytes()).expect("a text of the server"),
        other => panic!("not a text: {other:?}"),
    }
}

pub(crate) async fn next_packet(socket: &mut Socket) -> Packet {
    match next(socket).await {
        Message::Binary(bytes) => Packet::decode(&bytes).expect("a packet"),
        other => panic!("not a packet: {other:?}"),
    }
}

#[tokio::test]
async fn logs_in_with_a_one_time_password_and_refuses_the_rest() {
    let mut options = SimulatorOptions::new(MarketSource::Synthetic(synthetic(10)));
    options.angel_one.as_mut().expect("Angel One").limit_requests = false;
    let simulator = Simulator::start(options).expect("a simulator");
    let client = Client::of(&simulator);
    let now = || simulator.clock().now();
    let refused = async |password: &str, totp: &str| {
        let body = client.login_with(password, totp).await;
        code_of(SessionTokens::decode(&body).expect_err("refused"))
    };
    assert_eq!(refused("0000", &client.totp(now())).await, "AB1000");
    assert_eq!(refused("1234", &client.totp(now().plus_seconds(-120))).await, "AB1050");
    let tokens = client.login(now().plus_seconds(-30)).await;
    let midnight = now().floor_to_minutes(1_440).plus_seconds(86_400);
    assert_eq!(tokens.expires(), Ok(midnight));

    let quote = QuoteRequest { tokens: vec![] }.encode();
    let secured = async |jwt: Option<&str>| {
        let (_, body) = client.post(QUOTE_PATH, jwt, quote.clone()).await;
        decode_quotes(&body).map(|_| ()).map_err(code_of)
    };
    assert_eq!(secured(Some(&tokens.jwt_token)).await, Ok(()));
    assert_eq!(secured(Some("wrong")).await, Err("AG8001".to_owned()));
    assert_eq!(secured(Some(&format!("Bearer {}", tokens.jwt_token))).await, Err("AG8001".to_owned()));
    assert_eq!(secured(None).await, Err("AG8003".to_owned()));

    let refresh = RefreshRequest { refresh_token: tokens.refresh_token.clone() };
    let (_, body) = client.post(REFRESH_PATH, Some(&tokens.jwt_token), refresh.encode()).await;
    let renewed = SessionTokens::decode(&body).expect("tokens");
    assert_eq!(secured(Some(&renewed.jwt_token)).await, Ok(()));
    let wrong = RefreshRequest { refresh_token: tokens.jwt_token.clone() };
    let (_, body) = client.post(REFRESH_PATH, None, wrong.encode()).await;
    assert_eq!(code_of(SessionTokens::decode(&body).expect_err("refused")), "AB8050");

    simulator.set_faults(Faults { refuse_logins: true, ..Faults::default() });
    assert_eq!(refused("1234", &client.totp(now())).await, "AB1000");
    simulator.set_faults(Faults { drop_all: true, ..Faults::default() });
    assert_eq!(secured(Some(&renewed.jwt_token)).await, Err("AG8001".to_owned()));
    simulator.set_faults(Faults { too_many_requests: true, ..Faults::default() });
    assert_eq!(client.post(QUOTE_PATH, None, quote.clone()).await.0, 429);
    simulator.stop();
}

#[tokio::test]
async fn throttles_by_the_second_in_plain_text() {
    let options = SimulatorOptions::new(MarketSource::Synthetic(synthetic(10)));
    let simulator = Simulator::start(SimulatorOptions { speed: 0.001, ..options }).expect("a simulator");
    let client = Client::of(&simulator);
    let tokens = client.login_now(&simulator).await;
    let ask = || client.post(QUOTE_PATH, Some(&tokens.jwt_token), QuoteRequest { tokens: vec![] }.encode());
    assert_eq!(ask().await.0, 200);
    let (status, body) = ask().await;
    assert_eq!(status, 403);
    let refusal = Refusal::of_status(status, &body);
    assert_eq!(refusal.class(), RefusalClass::RateLimit, "{refusal}");
    simulator.stop();
}

#[tokio::test]
async fn master_quotes_candles_and_greeks_tell_the_recorded_day() {
    let Some(source) = recorded_day() else { return };
    let mut options = fast(source);
    options.angel_one.as_mut().expect("Angel One").limit_requests = false;
    let simulator = Simulator::start(options).expect("a simulator");
    let client = Client::of(&simulator);
    let tokens = client.login_now(&simulator).await;
    let jwt = Some(tokens.jwt_token.as_str());
    played(&simulator).await;
    let market = simulator.market();

    let master_url = simulator.angel_one_master_url().expect("a master");
    let body = client.http.get(master_url).send().await.expect("a reply").bytes().await.expect("a body");
    let master = decode_master(&body).expect("a master");
    assert_eq!(master.listings.len(), market.contracts().len());
    let skipped = &master.skipped;
    assert_eq!((skipped.other_segment, skipped.test, skipped.malformed), (2, 2, 0));
    for listing in &master.listings {
        let slot = market.slot_of(&listing.contract).expect("listed");
        assert_eq!(Some(market.contracts()[slot].token), listing.token);
    }
    let lot = |contract: &str| {
        let contract = contract.parse().expect("a contract");
        market.contracts()[market.slot_of(&contract).expect("listed")].lot_size
    };
    assert_eq!(lot("NIFTY 2026-02-03 25300 CE"), 65);
    assert_eq!(lot("BANKNIFTY 2026-02-24 59500 PE"), 30);

    let options: Vec<_> = market.contracts().iter().filter(|listed| listed.contract.is_option()).collect();
    let asked: Vec<ProviderToken> = options.iter().map(|listed| listed.token).step_by(13).collect();
    for request in QuoteRequest::split(&asked) {
        let (_, body) = client.post(QUOTE_PATH, jwt, request.encode()).await;
        let quotes = decode_quotes(&body).expect("quotes");
        assert_eq!((quotes.quotes.len(), quotes.malformed.len()), (request.tokens.len(), 0));
        for QuotedRow { token, quote, .. } in quotes.quotes {
            let slot = market.slot_of_token(token).expect("listed");
            let last = market.events_of(slot).last().map(|position| &market.events()[*position as usize]);
            let last = last.expect("an event");
            assert_eq!(quote.event_time, market.time(last));
            assert_eq!(
                (quote.last_price, quote.open_interest),
                (told(last.last_price()), last.open_interest())
            );
            assert_eq!(quote.volume, last.volume());
        }
    }
    let too_many = [asked.as_slice(), asked.as_slice()].concat();
    let (_, body) = client.post(QUOTE_PATH, jwt, QuoteRequest { tokens: too_many }.encode()).await;
    assert_eq!(code_of(decode_quotes(&body).expect_err("more than fifty")), "AB1004");
    let unknown = ProviderToken { segment: Segment::NseFo, token: 7 };
    let (_, body) = client.post(QUOTE_PATH, jwt, QuoteRequest { tokens: vec![unknown] }.encode()).await;
    assert_eq!(decode_quotes(&body).expect("an answer").unfetched[0].error_code, "AB4006");

    let day_start = market.first_time().floor_to_minutes(1_440);
    let candles = CandleRequest {
        token: ProviderToken { segment: Segment::NseCash, token: 99_926_000 },
        interval: bhavd::market::CandleInterval::ThreeMinutes,
        from: day_start,
        to: day_start.plus_seconds(86_340),
    };
    let (_, body) = client.post(CANDLES_PATH, jwt, candles.encode()).await;
    let bars = decode_candles(&body).expect("candles");
    let slot = market.slot_of(&"NIFTY".parse().expect("a contract")).expect("listed");
    let levels: Vec<_> = market.events_of(slot).iter().map(|p| &market.events()[*p as usize]).collect();
    assert_eq!(levels.len(), 77);
    for event in &levels {
        let start = market.time(event).floor_to_minutes(3);
        let bar = bars.iter().find(|bar| bar.start == start).expect("a bar for every capture");
        let price = event.last_price().expect("a level");
        assert!(bar.low <= price && price <= bar.high);
    }
    assert_eq!(bars[0].open, levels[0].last_price().expect("a level"));

    let expiry = options
        .iter()
        .filter(|listed| &*listed.contract.underlying == "NIFTY")
        .find_map(|l| l.contract.expiry());
    let expiry = expiry.expect("an expiry");
    let greeks = GreekRequest { name: "NIFTY".to_owned(), expiry };
    let (_, body) = client.post(GREEKS_PATH, jwt, greeks.encode()).await;
    let rows = decode_greeks(&body).expect("greeks");
    assert!(rows.len() > 100, "{}", rows.len());
    simulator.stop();
}

#[tokio::test]
async fn the_handshake_checks_who_is_there() {
    let simulator =
        Simulator::start(SimulatorOptions::new(MarketSource::Synthetic(synthetic(10)))).expect("a simulator");
    let client = Client::of(&simulator);
    let tokens = client.login_now(&simulator).await;
    let refused = async |headers: &[(&'static str, &str)]| match client.connect_with(headers).await {
        Err(Error::Http(reply)) => {
            assert_eq!(reply.status(), 401);
            reply.headers()["x-error-message"].to_str().expect("text").to_owned()
        }
        other => panic!("not refused: {other:?}"),
    };
    let (code, feed) = (("x-client-code", "SIM001"), ("x-feed-token", tokens.feed_token.as_str()));
    assert_eq!(refused(&[code]).await, "Invalid Feed Token");
    assert_eq!(refused(&[feed]).await, "Invalid Client Code");
    assert_eq!(refused(&[code, feed, ("x-api-key", "wrong")]).await, "Invalid API Key");
    assert_eq!(refused(&[code, feed, ("authorization", "Bearer wrong")]).await, "Invalid Auth Token");
    client.connect(&tokens).await;
    client
        .connect_with(&[code, feed, ("authorization", &tokens.jwt_token)])
        .await
        .expect("bare, as JavaScript");
    let query = format!(
        "{}?clientCode=SIM001&feedToken={}&apiKey=simulated-key",
        client.stream_url, tokens.feed_token
    );
    tokio_tungstenite::connect_async(query).await.expect("the query form");
    simulator.stop();
}

#[tokio::test]
async fn a_fourth_socket_is_closed() {
    let simulator =
        Simulator::start(SimulatorOptions::new(MarketSource::Synthetic(synthetic(10)))).expect("a simulator");
    let client = Client::of(&simulator);
    let tokens = client.login_now(&simulator).await;
    let mut open = Vec::new();
    for _ in 0..3 {
        let mut socket = client.connect(&tokens).await;
        socket.send(Message::text("ping")).await.expect("sent");
        assert_eq!(next_text(&mut socket).await, ServerText::Pong);
        open.push(socket);
    }
    let mut fourth = client.connect(&tokens).await;
    assert!(matches!(next(&mut fourth).await, Message::Close(_)));
    simulator.set_faults(Faults { drop_all: true, ..Faults::default() });
    for mut socket in open {
        let ended =
            tokio::time::timeout(PATIENCE, socket.next()).await.expect("ended within the time allowed");
        assert!(matches!(ended, None | Some(Err(_))), "{ended:?}");
    }
    simulator.stop();
}

#[tokio::test]
async fn texts_are_answered_and_limits_kept() {
    let mut options = SimulatorOptions::new(MarketSource::Synthetic(synthetic(10)));
    let angel_one = options.angel_one.as_mut().expect("Angel One");
    // Everything is due at once, then nothing more.
    (angel_one.tokens_per_socket, angel_one.book_interval_s) = (5, 0);
    let parameters = synthetic(10);
    options.start = Some(parameters.generate().last_time().plus_seconds(1));
    let simulator = Simulator::start(options).expect("a simulator");
    let client = Client::of(&simulator);
    let tokens = client.login_now(&simulator).await;
    played(&simulator).await;
    let mut socket = client.connect(&tokens).await;
    socket.send(Message::text("nonsense")).await.expect("sent");
    let refusal = |code: &str, text: ServerText| match text {
        ServerText::Refusal(refusal) => {
            assert_eq!(refusal.error_code, code);
            refusal.correlation_id
        }
        ServerText::Pong => panic!("a pong"),
    };
    assert_eq!(refusal("E1001", next_text(&mut socket).await), None);
    let listed: Vec<ProviderToken> =
        simulator.market().contracts().iter().map(|listed| listed.token).collect();
    socket.send(request(true, StreamMode::SnapQuote, &listed[..6])).await.expect("sent");
    assert_eq!(refusal("E1002", next_text(&mut socket).await).as_deref(), Some("abcde12345"));

    // The index is always known, so a snapshot comes at once, in each mode's length.
    let index = simulator.market().slot_of(&"NIFTY".parse().expect("a contract")).expect("listed");
    let index = &simulator.market().contracts()[index];
    for mode in StreamMode::ALL {
        socket.send(request(true, mode, &[index.token])).await.expect("sent");
        let packet = next_packet(&mut socket).await;
        assert_eq!((packet.mode(), packet.token, packet.sequence), (mode, index.token, 0));
    }
    simulator.set_faults(Faults { mute: true, ..Faults::default() });
    socket.send(Message::text("ping")).await.expect("sent");
    socket.send(Message::Ping(vec![1].into())).await.expect("sent");
    let other = simulator.market().slot_of(&"BANKNIFTY".parse().expect("a contract")).expect("listed");
    let other = simulator.market().contracts()[other].token;
    socket.send(request(true, StreamMode::Ltp, &[other])).await.expect("sent");
    // Once the subscription is taken, both pings before it have been passed over.
    let taken = async {
        while simulator.playback().subscriptions() < 4 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(PATIENCE, taken).await.expect("the subscription is taken");
    simulator.set_faults(Faults::default());
    socket.send(Message::Ping(vec![2].into())).await.expect("sent");
    assert_eq!(next(&mut socket).await, Message::Pong(vec![2].into()));
    simulator.stop();
}

#[tokio::test]
async fn every_event_of_a_day_reaches_a_subscriber_in_order() {
    let Some(source) = recorded_day() else { return };
    // The subscription stands before the first capture: these four hours last two seconds.
    let early = Timestamp::on(
        "2026-01-30".parse().expect("a date"),
        chrono::NaiveTime::from_hms_opt(5, 15, 0).expect("a time"),
    );
    let simulator = Simulator::start(SimulatorOptions {
        speed: 1_800.0 * 4.0,
        start: Some(early),
        ..SimulatorOptions::new(source)
    });
    let simulator = simulator.expect("a simulator");
    let client = Client::of(&simulator);
    let tokens = client.login_now(&simulator).await;
    let mut socket = client.connect(&tokens).await;
    let market = simulator.market();
    let subscribed: Vec<ProviderToken> = market.contracts().iter().map(|listed| listed.token).collect();
    assert!(subscribed.len() < 1_000);
    socket.send(request(true, StreamMode::SnapQuote, &subscribed)).await.expect("sent");
    let mut packets: HashMap<ProviderToken, Vec<Packet>> = HashMap::new();
    let total = market.events().len();
    let mut last_sequence = 0;
    while last_sequence < total as i64 {
        let packet = next_packet(&mut socket).await;
        last_sequence = last_sequence.max(packet.sequence);
        packets.entry(packet.token).or_default().push(packet);
    }
    let mut moved = 0;
    for (slot, listed) in market.contracts().iter().enumerate() {
        let mut events = market.events_of(slot).iter().map(|position| &market.events()[*position as usize]);
        let mut shown = None;
        for packet in packets.remove(&listed.token).unwrap_or_default() {
            let mut bytes = Vec::new();
            packet.encode_into(&mut bytes);
            let (_, quote) = decode_quote(&bytes).expect("a quote");
            let Detail::SnapQuote(_, snapshot) = packet.detail else { panic!("another mode") };
            let changed_s = shown.map(|event| market.time(event).as_us() / 1_000_000);
            if Some(snapshot.last_trade_time_s) != changed_s {
                let event = events.next().expect("no packet but of an event");
                assert_eq!(
                    quote.event_time,
                    market.time(event),
                    "the subscription stood before the first capture"
                );
                shown = Some(event);
            } else {
                // The book moved: nothing else did.
                assert!(quote.event_time > market.time(shown.expect("an event")), "{}", listed.contract);
                moved += 1;
            }
            let event = shown.expect("an event");
            assert_eq!(quote.last_price, told(event.last_price()));
            if listed.contract.is_option() {
                assert_eq!((quote.open_interest, quote.volume), (event.open_interest(), event.volume()));
            }
        }
        assert!(events.next().is_none(), "{} lacks an event", listed.contract);
    }
    assert!(moved > 50 * market.contracts().len(), "{moved} movements");
    simulator.stop();
}

/// A simulator with a market of one minute in the morning, whose clock begins at another time of day.
pub(crate) fn quiet(start: &str, speed: f64, change: impl FnOnce(&mut SimulatorOptions)) -> RunningSimulator {
    let parameters = SyntheticMarket { ticks_per_second: 20, ..synthetic(60) };
    let time = chrono::NaiveTime::parse_from_str(start, "%H:%M:%S").expect("a time");
    let mut options = SimulatorOptions {
        speed,
        start: Some(Timestamp::on(parameters.date, time)),
        ..SimulatorOptions::new(MarketSource::Synthetic(parameters))
    };
    options.angel_one.as_mut().expect("Angel One").limit_requests = false;
    change(&mut options);
    Simulator::start(options).expect("a simulator")
}

pub(crate) fn tokens_of(simulator: &RunningSimulator) -> Vec<ProviderToken> {
    simulator.market().contracts().iter().map(|listed| listed.token).collect()
}

/// What comes until nothing has for as long as `quiet`.
async fn packets_until_quiet(socket: &mut Socket, quiet: Duration) -> Vec<Packet> {
    let mut packets = Vec::new();
    while let Ok(message) = tokio::time::timeout(quiet, socket.next()).await {
        match message.expect("the socket is open").expect("a message") {
            Message::Binary(bytes) => packets.push(Packet::decode(&bytes).expect("a packet")),
            other => panic!("not a packet: {other:?}"),
        }
    }
    packets
}

#[tokio::test]
async fn books_move_until_the_close_though_nothing_trades() {
    const SPEED: f64 = 40.0;
    let simulator = quiet("15:26:00", SPEED, |_| ());
    let client = Client::of(&simulator);
    let tokens = client.login_now(&simulator).await;
    let mut socket = client.connect(&tokens).await;
    let market = simulator.market();
    let state = |slot: usize| *simulator.playback().state().slot(slot);
    let before = simulator.clock().now();
    socket.send(request(true, StreamMode::SnapQuote, &tokens_of(&simulator))).await.expect("sent");
    let packets = packets_until_quiet(&mut socket, Duration::from_secs(3)).await;
    let close = Timestamp::on(market.date(), chrono::NaiveTime::from_hms_opt(15, 30, 0).expect("a time"));
    let mut by_token: HashMap<ProviderToken, Vec<Packet>> = HashMap::new();
    for packet in packets {
        by_token.entry(packet.token).or_default().push(packet);
    }
    let mut books = 0;
    for (slot, listed) in market.contracts().iter().enumerate().filter(|(slot, _)| state(*slot).is_known()) {
        let (packets, state) = (&by_token[&listed.token], state(slot));
        let stamps: Vec<i64> = packets.iter().map(|packet| packet.exchange_time_ms).collect();
        // The first one is the state when it was subscribed, stamped with that moment.
        assert!(stamps.is_sorted() && stamps[0] >= before.as_ms(), "{stamps:?}");
        let last = stamps[stamps.len() - 1];
        assert!((close.as_ms()..=close.as_ms() + 2_000).contains(&last), "{last}");
        // A slow machine may stand still for a second, which is 40 seconds of the market.
        let longest = if listed.contract.is_underlying() { 1_000 } else { 45_000 };
        let gaps: Vec<i64> = stamps.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert!(gaps.iter().all(|gap| *gap <= longest + 1_000 * SPEED as i64), "{gaps:?}");
        let late = gaps.iter().filter(|gap| **gap > longest + 2_000).count();
        assert!(late <= gaps.len() / 4, "{gaps:?}");
        let mut depths = Vec::new();
        for packet in packets {
            let Detail::SnapQuote(day, snapshot) = packet.detail else { panic!("another mode") };
            assert_eq!(packet.last_price_paise, state.last_price().expect("a price").as_paise());
            assert_eq!(day.volume, state.volume().unwrap_or(0));
            assert_eq!(snapshot.open_interest, state.open_interest().unwrap_or(0));
            assert_eq!(snapshot.last_trade_time_s, state.event_time().as_us() / 1_000_000);
            depths.push(snapshot.depth);
        }
        depths.dedup();
        if listed.contract.is_option() {
            books += 1;
            assert!(depths.len() >= 3, "{}: {} books", listed.contract, depths.len());
        }
    }
    assert!(books > 80, "{books}");
    simulator.stop();
}

#[tokio::test]
async fn a_quote_is_as_new_as_the_book() {
    for (interval_s, start) in [(45, "11:00:00"), (45, "20:00:00"), (0, "11:00:00")] {
        let simulator = quiet(start, 0.001, |options| {
            options.angel_one.as_mut().expect("Angel One").book_interval_s = interval_s;
        });
        let client = Client::of(&simulator);
        let tokens = client.login_now(&simulator).await;
        let now = simulator.clock().now();
        let asked = &tokens_of(&simulator)[..50];
        let body = QuoteRequest { tokens: asked.to_vec() }.encode();
        let (_, body) = client.post(QUOTE_PATH, Some(&tokens.jwt_token), body).await;
        let (rows, _) = decode_full_quotes(&body).expect("quotes");
        assert!(rows.len() > 40);
        let market = simulator.market();
        let close = Timestamp::on(market.date(), chrono::NaiveTime::from_hms_opt(15, 30, 0).expect("a time"));
        for row in rows {
            let token = ProviderToken { segment: row.exchange, token: row.symbol_token };
            let slot = market.slot_of_token(token).expect("listed");
            let changed = simulator.playback().state().slot(slot).event_time();
            let whole_s = |instant: Timestamp| Timestamp::from_us(instant.as_us() / 1_000_000 * 1_000_000);
            assert_eq!(row.exch_trade_time, whole_s(changed));
            let age_s = now.us_since(row.exch_feed_time) / 1_000_000;
            match (interval_s, start) {
                (0, _) => assert_eq!(row.exch_feed_time, whole_s(changed)),
                (_, "11:00:00") => assert!((0..45).contains(&age_s), "{age_s} s"),
                _ => {
                    let behind_s = row.exch_feed_time.us_since(close) / 1_000_000;
                    assert!((0..=2).contains(&behind_s), "{behind_s} s behind the close");
                }
            }
        }
        simulator.stop();
    }
}

#[tokio::test]
async fn tokens_and_streams_fall_mute_and_subscriptions_are_refused() {
    let simulator = quiet("11:00:00", 60.0, |_| ());
    let client = Client::of(&simulator);
    let tokens = client.login_now(&simulator).await;
    let mut socket = client.connect(&tokens).await;
    let all = tokens_of(&simulator);
    let (index, options): (Vec<ProviderToken>, Vec<ProviderToken>) =
        all.iter().partition(|token| token.segment == Segment::NseCash);
    let mut faults = Faults { refuse_subscriptions: true, ..Faults::default() };
    simulator.set_faults(faults);
    socket.send(request(true, StreamMode::SnapQuote, &all)).await.expect("sent");
    match next_text(&mut socket).await {
        ServerText::Refusal(refusal) => {
            assert_eq!(
                (refusal.error_code.as_str(), refusal.correlation_id.as_deref()),
                ("E1002", Some("abcde12345"))
            );
        }
        ServerText::Pong => panic!("a pong"),
    }
    assert_eq!(simulator.playback().subscriptions(), 0, "nothing of it is taken");

    // All options but one, and one index, from the subscription on.
    let mute = |names: &[String]| names.iter().map(|name| name.parse().expect("a name")).collect();
    let muted: Vec<String> = options[1..].iter().map(|token| format!("NFO:{}", token.token)).collect();
    faults = Faults { mute_tokens: mute(&muted), ..Faults::default() };
    faults.mute_tokens.insert(TokenName::Token(index[0]));
    simulator.set_faults(faults);
    socket.send(request(true, StreamMode::SnapQuote, &all)).await.expect("sent");
    let mut heard = std::collections::HashSet::new();
    let until = simulator.clock().now().plus_seconds(200);
    let listen = async {
        while simulator.clock().now() < until {
            heard.insert(next_packet(&mut socket).await.token);
        }
    };
    tokio::time::timeout(PATIENCE, listen).await.expect("the indices speak each second");
    let mut expected: std::collections::HashSet<ProviderToken> = index[1..].iter().copied().collect();
    if simulator
        .playback()
        .state()
        .slot(simulator.market().slot_of_token(options[0]).expect("listed"))
        .is_known()
    {
        expected.insert(options[0]);
    }
    assert_eq!(heard, expected);

    simulator.set_faults(Faults { mute_stream: true, ..Faults::default() });
    // What was on its way.
    packets_until_quiet(&mut socket, Duration::from_millis(500)).await;
    socket.send(Message::text("ping")).await.expect("sent");
    assert_eq!(next_text(&mut socket).await, ServerText::Pong);
    let segment = BTreeSet::from([TokenName::Segment(Segment::NseFo)]);
    simulator.set_faults(Faults { mute_tokens: segment, ..Faults::default() });
    for _ in 0..20 {
        assert_eq!(next_packet(&mut socket).await.token.segment, Segment::NseCash);
    }

    let unfetched = mute(&[format!("NFO:{}", options[0].token), "NSE".to_owned()]);
    simulator.set_faults(Faults { unfetched_quotes: unfetched, ..Faults::default() });
    let asked = QuoteRequest { tokens: vec![index[0], options[0], options[1], options[2]] };
    let (_, body) = client.post(QUOTE_PATH, Some(&tokens.jwt_token), asked.encode()).await;
    let (rows, missing) = decode_full_quotes(&body).expect("quotes");
    let rows: Vec<u32> = rows.iter().map(|row| row.symbol_token).collect();
    assert!(
        !rows.is_empty() && rows.iter().all(|token| options[1..].iter().any(|o| o.token == *token)),
        "{rows:?}"
    );
    let missing: Vec<&str> = missing.iter().map(|row| row.symbol_token.as_str()).collect();
    for token in [index[0], options[0]] {
        assert!(missing.contains(&token.token.to_string().as_str()), "{missing:?}");
    }
    simulator.stop();
}

#[tokio::test]
async fn withdrawn_quotes_leave_their_side_of_the_depth_empty() {
    let simulator = quiet("11:00:00", 120.0, |options| {
        options.irregularities =
            Irregularities { seed: 1, withdrawn_percent: 30, ..Irregularities::default() };
    });
    let client = Client::of(&simulator);
    let tokens = client.login_now(&simulator).await;
    let mut socket = client.connect(&tokens).await;
    let options: Vec<ProviderToken> =
        tokens_of(&simulator).into_iter().filter(|token| token.segment == Segment::NseFo).collect();
    socket.send(request(true, StreamMode::SnapQuote, &options)).await.expect("sent");
    let mut seen: HashMap<ProviderToken, Vec<[bool; 2]>> = HashMap::new();
    let until = simulator.clock().now().plus_seconds(600);
    while simulator.clock().now() < until {
        let packet = next_packet(&mut socket).await;
        let Detail::SnapQuote(_, snapshot) = packet.detail else { panic!("another mode") };
        if packet.last_price_paise > 100 {
            let quoted = |side: &[DepthEntry]| side.iter().any(|entry| entry.quantity > 0);
            let sides = [quoted(&snapshot.depth[..5]), quoted(&snapshot.depth[5..])];
            seen.entry(packet.token).or_default().push(sides);
        }
    }
    let count = |sides: [bool; 2]| seen.values().flatten().filter(|seen| **seen == sides).count();
    let counts = [[true, true], [false, true], [true, false], [false, false]].map(count);
    assert!(counts.iter().all(|count| *count > 0) && counts[0] > counts[1] + counts[2], "{counts:?}");
    let came_back = |sides: &Vec<[bool; 2]>| sides.windows(2).any(|p| p[0] != [true; 2] && p[1] == [true; 2]);
    assert!(seen.values().any(came_back));
    simulator.stop();
}

#[tokio::test]
async fn without_clock_nothing_is_lost_however_slow_the_client() {
    let options = SimulatorOptions {
        pace: Pace::AsFastAsPossible { after_subscriptions: 1 },
        passes: 40,
        ..SimulatorOptions::new(MarketSource::Synthetic(synthetic(60)))
    };
    let simulator = Simulator::start(options).expect("a simulator");
    let client = Client::of(&simulator);
    let tokens = client.login_now(&simulator).await;
    let mut socket = client.connect(&tokens).await;
    let market = simulator.market();
    let options = market.contracts().iter().filter(|listed| listed.contract.is_option());
    let subscribed: Vec<ProviderToken> = options.map(|listed| listed.token).collect();
    socket.send(request(true, StreamMode::SnapQuote, &subscribed)).await.expect("sent");
    let of_options = market.events().iter().filter(|event| event.open_interest().is_some()).count();
    let mut before: HashMap<ProviderToken, Packet> = HashMap::new();
    for _ in 0..of_options * 40 {
        let packet = next_packet(&mut socket).await;
        if let Some(earlier) = before.insert(packet.token, packet) {
            assert!(
                packet.sequence > earlier.sequence && packet.exchange_time_ms >= earlier.exchange_time_ms
            );
            let (Detail::SnapQuote(old, _), Detail::SnapQuote(new, _)) = (&earlier.detail, &packet.detail)
            else {
                panic!("another mode");
            };
            assert!(new.volume >= old.volume, "volume never falls");
        }
    }
    assert!(simulator.progress().is_finished());
    simulator.stop();
}
