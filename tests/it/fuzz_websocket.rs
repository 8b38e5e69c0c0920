//! The assertions of the WebSocket's fuzz target over random bytes and over damaged valid frames.

#[path = "../../fuzz/src/websocket.rs"]
mod assertions;

use crate::damage::check;
use bhavd::wire::websocket::{FrameHead, Opcode};

#[test]
fn messages() {
    let mut bytes = Vec::new();
    let frames: [(bool, Opcode, &[u8]); 7] = [
        (true, Opcode::Binary, &[7; 379]),
        (true, Opcode::Text, b"pong"),
        (false, Opcode::Binary, &[1; 200]),
        (true, Opcode::Ping, b"between"),
        (true, Opcode::Continuation, &[2; 130]),
        (true, Opcode::Binary, b""),
        (true, Opcode::Close, &[3, 232]),
    ];
    for (is_final, opcode, payload) in frames {
        FrameHead::encode(is_final, opcode, payload.len() as u64, &mut bytes);
        bytes.extend_from_slice(payload);
    }
    let seeds = [1, 100, 255].map(|piece| [&[piece][..], &bytes].concat());
    check(assertions::messages, &seeds);
}
