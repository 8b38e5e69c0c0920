//! The server's side of the WebSocket protocol (RFC 6455): accept key, frames out, frames in.
//!
//! Frames out are written by hand so that thousands of packets go out in one write. Frames in must be masked; a
//! message in fragments is put together. Left out: extensions and subprotocols.

use base64::{Engine, engine::general_purpose::STANDARD};
use sha1::{Digest, Sha1};

/// A client's message may not be longer; subscriptions of 3,000 tokens stay below 40 kB.
const MESSAGE_BYTES_MAX: usize = 1 << 20;

/// Answer to a client's `Sec-WebSocket-Key` (RFC 6455, 4.2.2).
pub(super) fn accept_key(key: &str) -> String {
    const GUID: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    STANDARD.encode(Sha1::new().chain_update(key).chain_update(GUID).finalize())
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Opcode {
    Continuation = 0,
    Text = 1,
    Binary = 2,
    Close = 8,
    Ping = 9,
    Pong = 10,
}

impl Opcode {
    fn from_bits(bits: u8) -> Option<Opcode> {
        let all = [Self::Continuation, Self::Text, Self::Binary, Self::Close, Self::Ping, Self::Pong];
        all.into_iter().find(|opcode| *opcode as u8 == bits)
    }
}

/// Appends the header of an unmasked, final frame.
#[inline]
pub(super) fn write_header(out: &mut Vec<u8>, opcode: Opcode, length: usize) {
    let first = 0x80 | opcode as u8;
    match length {
        0..=125 => out.extend_from_slice(&[first, length as u8]),
        126..=0xffff => {
            let [high, low] = (length as u16).to_be_bytes();
            out.extend_from_slice(&[first, 126, high, low]);
        }
        _ => {
            out.extend_from_slice(&[first, 127]);
            out.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
}

pub(super) fn write_frame(out: &mut Vec<u8>, opcode: Opcode, payload: &[u8]) {
    write_header(out, opcode, payload.len());
    out.extend_from_slice(payload);
}

/// What a client sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ClientMessage {
    /// Text or binary: subscriptions come as either from careless clients.
    Data(Vec<u8>),
    Ping(Vec<u8>),
    Pong,
    Close,
}

/// The client does not follow the protocol; its connection is closed with this code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the client broke the WebSocket protocol: close code {close_code}")]
pub(super) struct ProtocolError {
    pub close_code: u16,
}

const BAD_FRAME: ProtocolError = ProtocolError { close_code: 1002 };
const TOO_BIG: ProtocolError = ProtocolError { close_code: 1009 };

/// Puts messages together from bytes as they come.
#[derive(Debug, Default)]
pub(super) struct FrameReader {
    bytes: Vec<u8>,
    /// A message of which the last fragment is still missing.
    partial: Option<Vec<u8>>,
}

impl FrameReader {
    /// Where received bytes are appended.
    pub fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// The next complete message. `None` until more bytes are there.
    pub fn next_message(&mut self) -> Result<Option<ClientMessage>, ProtocolError> {
        loop {
            let Some((opcode, is_final, payload)) = self.next_frame()? else {
                return Ok(None);
            };
            let message = match opcode {
                Opcode::Close => ClientMessage::Close,
                Opcode::Ping => ClientMessage::Ping(payload),
                Opcode::Pong => ClientMessage::Pong,
                Opcode::Text | Opcode::Binary if self.partial.is_some() => return Err(BAD_FRAME),
                Opcode::Text | Opcode::Binary if is_final => ClientMessage::Data(payload),
                Opcode::Text | Opcode::Binary => {
                    self.partial = Some(payload);
                    continue;
                }
                Opcode::Continuation => {
                    let mut whole = self.partial.take().ok_or(BAD_FRAME)?;
                    if whole.len() + payload.len() > MESSAGE_BYTES_MAX {
                        return Err(TOO_BIG);
                    }
                    whole.extend_from_slice(&payload);
                    if !is_final {
                        self.partial = Some(whole);
                        continue;
                    }
                    ClientMessage::Data(whole)
                }
            };
            return Ok(Some(message));
        }
    }

    fn next_frame(&mut self) -> Result<Option<(Opcode, bool, Vec<u8>)>, ProtocolError> {
        let [first, second, rest @ ..] = self.bytes.as_slice() else {
            return Ok(None);
        };
        let is_final = first & 0x80 != 0;
        let opcode = Opcode::from_bits(first & 0x0f).ok_or(BAD_FRAME)?;
        let is_masked = second & 0x80 != 0;
        let has_reserved_bits = first & 0x70 != 0;
        let short_length = usize::from(second & 0x7f);
        let is_bad_control = opcode as u8 >= 8 && (!is_final || short_length > 125);
        if !is_masked || has_reserved_bits || is_bad_control {
            return Err(BAD_FRAME);
        }
        let (length, length_bytes) = match (short_length, rest) {
            (126, [high, low, ..]) => (usize::from(u16::from_be_bytes([*high, *low])), 2),
            (127, [b0, b1, b2, b3, b4, b5, b6, b7, ..]) => {
                let length = u64::from_be_bytes([*b0, *b1, *b2, *b3, *b4, *b5, *b6, *b7]);
                (usize::try_from(length).map_err(|_| TOO_BIG)?, 8)
            }
            (126 | 127, _) => return Ok(None),
            (short, _) => (short, 0),
        };
        if length > MESSAGE_BYTES_MAX {
            return Err(TOO_BIG);
        }
        let mask_start = 2 + length_bytes;
        let (payload_start, end) = (mask_start + 4, mask_start + 4 + length);
        if self.bytes.len() < end {
            return Ok(None);
        }
        let mask: [u8; 4] = self.bytes[mask_start..payload_start].try_into().expect("the mask is four bytes");
        let payload = self.bytes[payload_start..end].iter().enumerate();
        let payload = payload.map(|(index, byte)| byte ^ mask[index % 4]).collect();
        self.bytes.drain(..end);
        Ok(Some((opcode, is_final, payload)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn client_frame(opcode: u8, is_final: bool, payload: &[u8]) -> Vec<u8> {
        let mask = [7, 1, 9, 200];
        let mut frame = Vec::new();
        write_header(&mut frame, Opcode::Text, payload.len());
        frame[0] = opcode | if is_final { 0x80 } else { 0 };
        frame[1] |= 0x80;
        frame.extend_from_slice(&mask);
        frame.extend(payload.iter().enumerate().map(|(index, byte)| byte ^ mask[index % 4]));
        frame
    }

    #[test]
    fn answers_the_example_of_the_rfc() {
        assert_eq!(accept_key("dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[test]
    fn refuses_what_breaks_the_protocol() {
        let unmasked = [0x81, 1, b'a'];
        let fragmented_ping = client_frame(9, false, b"");
        let reserved = client_frame(0x41, true, b"a");
        let lone_continuation = client_frame(0, true, b"a");
        for frame in [&unmasked[..], &fragmented_ping, &reserved, &lone_continuation] {
            let mut reader = FrameReader::default();
            reader.buffer().extend_from_slice(frame);
            assert_eq!(reader.next_message(), Err(BAD_FRAME), "{frame:?}");
        }
        let mut reader = FrameReader::default();
        reader.buffer().extend_from_slice(&[0x81, 0xff, 0, 0, 0, 1, 0, 0, 0, 0]);
        assert_eq!(reader.next_message(), Err(TOO_BIG));
    }

    proptest! {
        #[test]
        fn messages_survive_any_split(
            messages in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 1..5),
            fragment in 1_usize..200,
            step in 1_usize..50,
        ) {
            let mut bytes = Vec::new();
            for message in &messages {
                let mut parts: Vec<&[u8]> = message.chunks(fragment).collect();
                if parts.is_empty() {
                    parts.push(&[]);
                }
                let last = parts.len() - 1;
                for (index, part) in parts.iter().enumerate() {
                    bytes.extend(client_frame(if index == 0 { 1 } else { 0 }, index == last, part));
                    bytes.extend(client_frame(9, true, b"between"));
                }
            }
            let mut reader = FrameReader::default();
            let mut seen = Vec::new();
            for piece in bytes.chunks(step) {
                reader.buffer().extend_from_slice(piece);
                while let Some(message) = reader.next_message().expect("well formed") {
                    match message {
                        ClientMessage::Data(data) => seen.push(data),
                        other => prop_assert_eq!(other, ClientMessage::Ping(b"between".to_vec())),
                    }
                }
            }
            prop_assert_eq!(seen, messages);
        }

        #[test]
        fn any_bytes_are_read_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            let mut reader = FrameReader::default();
            reader.buffer().extend_from_slice(&bytes);
            while let Ok(Some(_)) = reader.next_message() {}
        }
    }
}
