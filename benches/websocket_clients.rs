//! Which WebSocket library reads SmartStream packets fastest: tokio-tungstenite against fastwebsockets.
//!
//! A thread writes batches of 512 encoded 379-byte frames over loopback; each client reads them on a current-thread
//! runtime, once only counting and once copying them into batches as the feed does. Handshakes are left out.
//! Prints medians of interleaved rounds. Run with `cargo bench --bench websocket_clients`.
#![expect(clippy::disallowed_methods, reason = "the other end of the connection is no part of any tree")]

use fastwebsockets::{Role as FastRole, WebSocket};
use futures_util::StreamExt;
use std::{
    io::Write,
    net::{TcpListener, TcpStream},
    thread,
    time::Instant,
};
use tokio::io::BufStream;
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        Message,
        protocol::{Role, WebSocketConfig},
    },
};

const PACKET_BYTES: usize = 379;
const BATCH_FRAMES: usize = 512;
const BATCHES: usize = 4_000;
const FRAMES: usize = BATCH_FRAMES * BATCHES;
const ROUNDS: usize = 7;

/// A stream on which a thread writes `FRAMES` frames.
fn frames_on_loopback() -> tokio::net::TcpStream {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a loopback port");
    let address = listener.local_addr().expect("its address");
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("the client");
        stream.set_nodelay(true).expect("TCP_NODELAY");
        let mut frame = vec![0x82, 126];
        frame.extend_from_slice(&(PACKET_BYTES as u16).to_be_bytes());
        frame.resize(4 + PACKET_BYTES, 7);
        let batch = frame.repeat(BATCH_FRAMES);
        for _ in 0..BATCHES {
            stream.write_all(&batch).expect("the client reads");
        }
    });
    let stream = TcpStream::connect(address).expect("the listener");
    stream.set_nonblocking(true).expect("a non-blocking socket");
    tokio::net::TcpStream::from_std(stream).expect("a socket in a runtime")
}

/// Copies frames into one buffer as the feed's batches do.
#[derive(Default)]
struct Batch {
    bytes: Vec<u8>,
    ends: Vec<u32>,
    whole: usize,
}

impl Batch {
    fn push(&mut self, frame: &[u8]) {
        self.bytes.extend_from_slice(frame);
        self.ends.push(self.bytes.len() as u32);
        if self.ends.len() == BATCH_FRAMES {
            self.whole += 1;
            self.bytes.clear();
            self.ends.clear();
        }
    }
}

async fn tungstenite(read_buffer_bytes: usize, copies: bool) {
    let config = WebSocketConfig::default().read_buffer_size(read_buffer_bytes);
    let mut socket = WebSocketStream::from_raw_socket(frames_on_loopback(), Role::Client, Some(config)).await;
    let mut batch = Batch::default();
    for _ in 0..FRAMES {
        let Some(Ok(Message::Binary(frame))) = socket.next().await else { panic!("a binary frame") };
        assert_eq!(frame.len(), PACKET_BYTES);
        if copies {
            batch.push(&frame);
        }
    }
    assert_eq!(batch.whole, if copies { BATCHES } else { 0 });
}

async fn fastwebsockets(read_buffer_bytes: usize, copies: bool) {
    // The library reads into 8 KiB of its own; a larger buffer before it saves system calls.
    let stream = BufStream::with_capacity(read_buffer_bytes, 1 << 10, frames_on_loopback());
    let mut socket = WebSocket::after_handshake(stream, FastRole::Client);
    let mut batch = Batch::default();
    for _ in 0..FRAMES {
        let frame = socket.read_frame().await.expect("a frame");
        assert_eq!(frame.payload.len(), PACKET_BYTES);
        if copies {
            batch.push(&frame.payload);
        }
    }
    assert_eq!(batch.whole, if copies { BATCHES } else { 0 });
}

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let names = [
        "tungstenite 128 KiB, counting",
        "tungstenite 128 KiB, copying",
        "tungstenite 1 MiB, counting",
        "tungstenite 1 MiB, copying",
        "fastwebsockets 8 KiB, counting",
        "fastwebsockets 8 KiB, copying",
        "fastwebsockets 64 KiB, counting",
        "fastwebsockets 64 KiB, copying",
        "fastwebsockets 256 KiB, counting",
        "fastwebsockets 256 KiB, copying",
    ];
    let mut seconds = vec![Vec::new(); names.len()];
    for _ in 0..ROUNDS {
        for (which, seconds) in seconds.iter_mut().enumerate() {
            let started = Instant::now();
            runtime.block_on(async {
                match which {
                    0 | 1 => tungstenite(128 << 10, which == 1).await,
                    2 | 3 => tungstenite(1 << 20, which == 3).await,
                    4 | 5 => fastwebsockets(8 << 10, which == 5).await,
                    6 | 7 => fastwebsockets(64 << 10, which == 7).await,
                    _ => fastwebsockets(256 << 10, which == 9).await,
                }
            });
            seconds.push(started.elapsed().as_secs_f64());
        }
    }
    for (name, seconds) in names.iter().zip(&mut seconds) {
        seconds.sort_by(f64::total_cmp);
        println!("{name}: {:.2} M frames/s", FRAMES as f64 / seconds[ROUNDS / 2] / 1e6);
    }
}
