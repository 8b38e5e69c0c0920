//! How many SnapQuote frames a second the simulator pushes to one client that only counts them.
//!
//! `cargo bench --bench sim_push`; `-- TOKENS SECONDS` changes how many tokens are subscribed and for how long it counts.

mod login;

use bhavd::{
    sim::{
        AngelOneOptions, MarketSource, Pace, RunningSimulator, Simulator, SimulatorOptions, SyntheticMarket,
        angel_one::STREAM_PATH,
    },
    wire::angel_one::{ClientText, SNAP_QUOTE_BYTES, SessionTokens, StreamMode, StreamRequest},
};
use login::login;
use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    time::{Duration, Instant},
};

const HEADER_BYTES: usize = 4;

fn start() -> RunningSimulator {
    let names: Vec<String> = (0..200).map(|number| format!("SHARE{number:03}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let defaults = SyntheticMarket::default();
    let synthetic = SyntheticMarket {
        underlyings: SyntheticMarket::name_underlyings(&names, defaults.date),
        ticks_per_second: 50_000,
        duration_s: 20,
        strikes: 40,
        ..defaults
    };
    let angel_one = AngelOneOptions { tokens_per_socket: 100_000, ..AngelOneOptions::default() };
    let options = SimulatorOptions {
        angel_one: Some(angel_one),
        nse: None,
        pace: Pace::AsFastAsPossible { after_subscriptions: 1 },
        passes: 0,
        ..SimulatorOptions::new(MarketSource::Synthetic(synthetic))
    };
    Simulator::start(options).expect("a simulator")
}

fn connect(simulator: &RunningSimulator, tokens: &SessionTokens) -> BufReader<TcpStream> {
    let address = simulator.addresses().angel_one.expect("Angel One");
    let mut stream = TcpStream::connect(address).expect("a connection");
    let head = format!(
        "GET {STREAM_PATH}?clientCode=SIM001&feedToken={} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n\
         Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        tokens.feed_token
    );
    stream.write_all(head.as_bytes()).expect("written");
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    while line != "\r\n" {
        line.clear();
        reader.read_line(&mut line).expect("a header line");
    }
    reader
}

fn subscribe(simulator: &RunningSimulator, stream: &mut TcpStream, count: usize) {
    let listed = simulator.market().contracts().iter().filter(|listed| listed.contract.is_option());
    let request = StreamRequest {
        correlation_id: None,
        subscribe: true,
        mode: StreamMode::SnapQuote,
        tokens: listed.map(|listed| listed.token).take(count).collect(),
    };
    let text = ClientText::Request(request).encode();
    // Masked with zeros, which changes nothing.
    let mut frame = vec![0x81, 0xff];
    frame.extend_from_slice(&(text.len() as u64).to_be_bytes());
    frame.extend_from_slice(&[0; 4]);
    frame.extend_from_slice(text.as_bytes());
    stream.write_all(&frame).expect("written");
}

fn main() {
    let numbers: Vec<usize> = std::env::args().filter_map(|argument| argument.parse().ok()).collect();
    let tokens_max = numbers.first().copied().unwrap_or(16_000);
    let span = Duration::from_secs(numbers.get(1).copied().unwrap_or(5) as u64);
    let simulator = start();
    let tokens = login(&simulator);
    let reader = connect(&simulator, &tokens);
    assert!(reader.buffer().is_empty(), "nothing comes before the subscription");
    let mut stream = reader.into_inner();
    subscribe(&simulator, &mut stream, tokens_max);
    let mut buffer = vec![0_u8; 1 << 20];
    let (mut filled, mut frames) = (0, 0_u64);
    let mut started = Instant::now();
    let mut is_warm = false;
    loop {
        let read = stream.read(&mut buffer[filled..]).expect("frames");
        assert!(read > 0, "the simulator closed the connection");
        filled += read;
        let mut start = 0;
        while filled - start >= HEADER_BYTES + SNAP_QUOTE_BYTES {
            assert_eq!(buffer[start..start + HEADER_BYTES], [0x82, 126, 1, 123], "a frame of 379 bytes");
            start += HEADER_BYTES + SNAP_QUOTE_BYTES;
            frames += 1;
        }
        buffer.copy_within(start..filled, 0);
        filled -= start;
        if !is_warm && started.elapsed() > Duration::from_secs(1) {
            (is_warm, frames, started) = (true, 0, Instant::now());
        }
        if is_warm && started.elapsed() > span {
            break;
        }
    }
    let per_second = frames as f64 / started.elapsed().as_secs_f64();
    println!("{frames} frames, {per_second:.0} a second, {:.0} MB/s", per_second * 383.0 / 1e6);
    drop(stream);
    simulator.stop();
}
