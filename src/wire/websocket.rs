//! Heads of WebSocket frames that a server sends (RFC 6455, section 5.2), sans-IO.
//!
//! Invariant: no bytes make the decoder panic, and what it accepts follows the protocol: known opcodes, no reserved
//! bits, no mask, control frames whole and of at most 125 bytes. Left out: extensions, which nobody negotiates, and
//! frames of clients.

/// What a frame carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Opcode {
    Continuation = 0,
    Text = 1,
    Binary = 2,
    Close = 8,
    Ping = 9,
    Pong = 10,
}

impl Opcode {
    pub const ALL: [Opcode; 6] =
        [Opcode::Continuation, Opcode::Text, Opcode::Binary, Opcode::Close, Opcode::Ping, Opcode::Pong];

    pub const fn is_control(self) -> bool {
        self as u8 >= Opcode::Close as u8
    }

    const fn from_bits(bits: u8) -> Option<Opcode> {
        Some(match bits {
            0 => Opcode::Continuation,
            1 => Opcode::Text,
            2 => Opcode::Binary,
            8 => Opcode::Close,
            9 => Opcode::Ping,
            10 => Opcode::Pong,
            _ => return None,
        })
    }
}

/// The bytes are not a server's frame. The connection is of no further use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    #[error("a frame's opcode {0} is not defined")]
    Opcode(u8),
    #[error("a frame uses reserved bits, though no extension was agreed on")]
    ReservedBits,
    #[error("a frame is masked, which only a client's may be")]
    Masked,
    #[error("a control frame is in fragments or longer than 125 bytes")]
    Control,
}

/// The head of an unmasked frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameHead {
    pub is_final: bool,
    pub opcode: Opcode,
    /// Bytes before the payload: 2, 4 or 10.
    pub head_len: usize,
    pub payload_len: u64,
}

impl FrameHead {
    /// Reads the head at the beginning of `bytes`; `None` until all of it is there.
    ///
    /// # Errors
    /// When no server may send such a frame.
    #[inline]
    pub fn decode(bytes: &[u8]) -> Result<Option<FrameHead>, FrameError> {
        let [first, second, rest @ ..] = bytes else { return Ok(None) };
        let opcode = Opcode::from_bits(first & 0x0f).ok_or(FrameError::Opcode(first & 0x0f))?;
        if first & 0x70 != 0 {
            return Err(FrameError::ReservedBits);
        }
        if second & 0x80 != 0 {
            return Err(FrameError::Masked);
        }
        let is_final = first & 0x80 != 0;
        if opcode.is_control() && (!is_final || *second > 125) {
            return Err(FrameError::Control);
        }
        let (head_len, payload_len) = match (*second, rest) {
            (126, [high, low, ..]) => (4, u64::from(u16::from_be_bytes([*high, *low]))),
            (127, _) => match rest.first_chunk() {
                Some(length) => (10, u64::from_be_bytes(*length)),
                None => return Ok(None),
            },
            (126, _) => return Ok(None),
            (short, _) => (2, u64::from(short)),
        };
        Ok(Some(FrameHead { is_final, opcode, head_len, payload_len }))
    }

    /// Appends the shortest head for a payload of this length.
    pub fn encode(is_final: bool, opcode: Opcode, payload_len: u64, out: &mut Vec<u8>) {
        out.push(if is_final { 0x80 } else { 0 } | opcode as u8);
        match payload_len {
            0..=125 => out.push(payload_len as u8),
            126..=0xffff => {
                out.push(126);
                out.extend_from_slice(&(payload_len as u16).to_be_bytes());
            }
            _ => {
                out.push(127);
                out.extend_from_slice(&payload_len.to_be_bytes());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn says_why_a_frame_is_refused() {
        for (bytes, error) in [
            ([0x83, 0], FrameError::Opcode(3)),
            ([0xc2, 0], FrameError::ReservedBits),
            ([0x82, 0x80], FrameError::Masked),
            ([0x09, 0], FrameError::Control),
            ([0x89, 126], FrameError::Control),
        ] {
            assert_eq!(FrameHead::decode(&bytes), Err(error), "{bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn encode_then_decode_is_the_identity(
            opcode in prop::sample::select(Opcode::ALL.to_vec()),
            is_final in any::<bool>(),
            payload_len in prop_oneof![0..=125_u64, 126..70_000_u64, any::<u64>()],
        ) {
            let (is_final, payload_len) =
                if opcode.is_control() { (true, payload_len % 126) } else { (is_final, payload_len) };
            let mut bytes = Vec::new();
            FrameHead::encode(is_final, opcode, payload_len, &mut bytes);
            let head = FrameHead { is_final, opcode, head_len: bytes.len(), payload_len };
            prop_assert_eq!(FrameHead::decode(&bytes), Ok(Some(head)));
            for end in 0..bytes.len() {
                prop_assert_eq!(FrameHead::decode(&bytes[..end]), Ok(None));
            }
        }

        #[test]
        fn no_bytes_make_the_decoder_panic(bytes in prop::collection::vec(any::<u8>(), 0..12)) {
            if let Ok(Some(head)) = FrameHead::decode(&bytes) {
                prop_assert!(head.head_len <= bytes.len());
            }
        }
    }
}
