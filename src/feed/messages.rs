//! A server's WebSocket messages, put together in the buffer they were received into.
//!
//! One read of a socket brings hundreds of binary messages. Their payloads are moved together at the buffer's beginning,
//! over the heads between them, and the buffer itself is handed over as [`Frames`]: a payload is moved once, within
//! the processor's cache. Everything else (text, pings, fragments) is rare and copied.
//!
//! Invariants: no bytes make it panic; the outcome does not depend on how the bytes were cut; it holds at most its
//! capacity and one message in fragments. Left out: I/O, and answering.

use crate::{
    spool::Frames,
    wire::websocket::{FrameError, FrameHead, Opcode},
};

/// What is not data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    Text(String),
    /// To be answered by a pong with the same payload.
    Ping(Vec<u8>),
    Pong,
    /// To be answered by the same; nothing of use follows.
    Close(Vec<u8>),
}

/// The server does not follow the protocol; handled by connecting anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    #[error(transparent)]
    Frame(#[from] FrameError),
    #[error("a message is longer than {max} bytes")]
    TooLong { max: usize },
    #[error("a continuation without a beginning")]
    LoneContinuation,
    #[error("a message begins within another")]
    Interleaved,
    #[error("a text is not UTF-8")]
    NotUtf8,
}

/// See the module's head.
#[derive(Debug)]
pub struct Messages {
    /// From `start` on payloads of binary messages up to the last of `ends`; then bytes of no use up to `next`; then
    /// frames not read yet.
    bytes: Vec<u8>,
    start: usize,
    /// Counted from `start`.
    ends: Vec<u32>,
    next: usize,
    partial: Option<Partial>,
    capacity: usize,
    message_max: usize,
}

/// A message of which the last fragment is still missing.
#[derive(Debug)]
struct Partial {
    is_text: bool,
    payload: Vec<u8>,
}

impl Messages {
    /// `capacity` bytes are received at once at most; messages longer than `message_max`, which is below half of it, are
    /// refused.
    pub fn new(capacity: usize, message_max: usize) -> Messages {
        assert!(message_max < capacity / 2 && u32::try_from(capacity).is_ok(), "{message_max} of {capacity}");
        let bytes = Frames::aligned_buffer(capacity);
        Messages {
            start: bytes.len(),
            ends: Vec::new(),
            next: bytes.len(),
            bytes,
            partial: None,
            capacity,
            message_max,
        }
    }

    /// Where received bytes are appended, as many as there is room for. There is room whenever nothing is gathered and
    /// [`Self::next_event`] has said that more bytes are needed.
    pub fn room(&mut self) -> &mut Vec<u8> {
        if self.ends.is_empty() && self.next > self.start {
            self.bytes.drain(self.start..self.next);
            self.next = self.start;
        }
        &mut self.bytes
    }

    /// Whether little room is left: time to take what is gathered.
    pub fn is_full(&self) -> bool {
        self.bytes.len() - self.start > self.capacity / 4 * 3
    }

    /// Binary messages gathered.
    pub fn gathered(&self) -> usize {
        self.ends.len()
    }

    /// Gathers binary messages up to the next event; `None` when more bytes are needed.
    ///
    /// # Errors
    /// When the server breaks the protocol. What was gathered before is sound.
    pub fn next_event(&mut self) -> Result<Option<Event>, MessageError> {
        loop {
            let rest = &self.bytes[self.next..];
            let Some(head) = FrameHead::decode(rest)? else { return Ok(None) };
            let too_long = MessageError::TooLong { max: self.message_max };
            let payload_len = usize::try_from(head.payload_len).map_err(|_| too_long)?;
            if payload_len > self.message_max {
                return Err(too_long);
            }
            if rest.len() - head.head_len < payload_len {
                return Ok(None);
            }
            let start = self.next + head.head_len;
            let end = start + payload_len;
            self.next = end;
            let payload = start..end;
            match head.opcode {
                Opcode::Binary if head.is_final && self.partial.is_none() => {
                    let kept = self.kept();
                    self.bytes.copy_within(payload, kept);
                    self.ends.push((kept + payload_len - self.start) as u32);
                }
                Opcode::Text if head.is_final && self.partial.is_none() => {
                    return text(self.bytes[payload].to_vec()).map(Some);
                }
                Opcode::Ping => return Ok(Some(Event::Ping(self.bytes[payload].to_vec()))),
                Opcode::Pong => return Ok(Some(Event::Pong)),
                Opcode::Close => return Ok(Some(Event::Close(self.bytes[payload].to_vec()))),
                Opcode::Binary | Opcode::Text => {
                    if self.partial.is_some() {
                        return Err(MessageError::Interleaved);
                    }
                    let payload = self.bytes[payload].to_vec();
                    self.partial = Some(Partial { is_text: head.opcode == Opcode::Text, payload });
                }
                Opcode::Continuation => {
                    let partial = self.partial.as_mut().ok_or(MessageError::LoneContinuation)?;
                    if partial.payload.len() + payload_len > self.message_max {
                        return Err(too_long);
                    }
                    partial.payload.extend_from_slice(&self.bytes[payload]);
                    if head.is_final
                        && let Some(Partial { is_text, payload }) = self.partial.take()
                    {
                        if is_text {
                            return text(payload).map(Some);
                        }
                        self.insert(payload);
                    }
                }
            }
        }
    }

    /// Where the next payload goes.
    #[inline]
    fn kept(&self) -> usize {
        self.start + self.ends.last().map_or(0, |end| *end as usize)
    }

    /// Gathers a message that came in fragments, for which there may be no room before `next`.
    fn insert(&mut self, message: Vec<u8>) {
        let kept = self.kept();
        let end = kept + message.len();
        self.bytes.splice(kept..self.next, message);
        self.next = end;
        self.ends.push((end - self.start) as u32);
    }

    /// Takes the gathered messages. A buffer that is filled to a quarter goes along, otherwise they are copied: a record may
    /// wait for long, and its buffer with it.
    pub fn take(&mut self) -> Frames {
        let kept = self.kept();
        let room = Vec::with_capacity(self.ends.len());
        let ends = std::mem::replace(&mut self.ends, room);
        let (bytes, start) = if kept - self.start >= self.capacity / 4 {
            let mut fresh = Frames::aligned_buffer(self.capacity);
            let start = std::mem::replace(&mut self.start, fresh.len());
            fresh.extend_from_slice(&self.bytes[self.next..]);
            let mut whole = std::mem::replace(&mut self.bytes, fresh);
            whole.truncate(kept);
            (whole, start)
        } else {
            let copy = self.bytes[self.start..kept].to_vec();
            self.bytes.drain(self.start..self.next);
            (copy, 0)
        };
        self.next = self.start;
        Frames::from_parts(bytes, start, ends).expect("ends ascend, the last one is the bytes' end")
    }
}

fn text(payload: Vec<u8>) -> Result<Event, MessageError> {
    String::from_utf8(payload).map(Event::Text).map_err(|_| MessageError::NotUtf8)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const CAPACITY: usize = 1_000;
    const MESSAGE_MAX: usize = 400;

    fn frame(is_final: bool, opcode: Opcode, payload: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        FrameHead::encode(is_final, opcode, payload.len() as u64, &mut bytes);
        bytes.extend_from_slice(payload);
        bytes
    }

    /// All binary messages and all events, received in pieces of `step` bytes, taken when full or after every piece.
    fn receive(
        bytes: &[u8],
        step: usize,
        is_eager: bool,
    ) -> (Vec<Vec<u8>>, Vec<Event>, Option<MessageError>) {
        let mut messages = Messages::new(CAPACITY, MESSAGE_MAX);
        let (mut data, mut events) = (Vec::new(), Vec::new());
        let mut rest = bytes;
        let error = loop {
            let error = loop {
                match messages.next_event() {
                    Ok(Some(event)) => events.push(event),
                    Ok(None) => break None,
                    Err(error) => break Some(error),
                }
            };
            if is_eager || messages.is_full() || error.is_some() || rest.is_empty() {
                data.extend(messages.take().iter().map(<[u8]>::to_vec));
            }
            if error.is_some() || rest.is_empty() {
                break error;
            }
            let room = messages.room();
            let free = room.capacity() - room.len();
            assert!(free > 0, "no room with {} gathered", messages.gathered());
            let (piece, later) = rest.split_at(step.min(rest.len()).min(free));
            messages.room().extend_from_slice(piece);
            rest = later;
        };
        (data, events, error)
    }

    #[derive(Clone, Debug)]
    enum Sent {
        Binary { payload: Vec<u8>, fragment: usize, ping_between: bool },
        Event(Event),
    }

    fn sent() -> impl Strategy<Value = Sent> {
        let bytes = |max: usize| prop::collection::vec(any::<u8>(), 0..=max);
        prop_oneof![
            6 => (bytes(MESSAGE_MAX), 1_usize..500, any::<bool>())
                .prop_map(|(payload, fragment, ping_between)| Sent::Binary { payload, fragment, ping_between }),
            1 => "[a-z]{0,60}".prop_map(|text| Sent::Event(Event::Text(text))),
            1 => bytes(125).prop_map(|payload| Sent::Event(Event::Ping(payload))),
            1 => Just(Sent::Event(Event::Pong)),
            1 => bytes(125).prop_map(|payload| Sent::Event(Event::Close(payload))),
        ]
    }

    #[test]
    fn a_break_of_the_protocol_keeps_what_came_before() {
        let before = frame(true, Opcode::Binary, b"sound");
        let long = vec![0; MESSAGE_MAX + 1];
        for (bad, error) in [
            (frame(true, Opcode::Continuation, b"x"), MessageError::LoneContinuation),
            (frame(true, Opcode::Binary, &long), MessageError::TooLong { max: MESSAGE_MAX }),
            (frame(true, Opcode::Text, &[0xff]), MessageError::NotUtf8),
            (vec![0x82, 0x81], MessageError::Frame(FrameError::Masked)),
            (
                [frame(false, Opcode::Text, b"x"), frame(true, Opcode::Binary, b"y")].concat(),
                MessageError::Interleaved,
            ),
            (
                [frame(false, Opcode::Binary, &long[1..]), frame(true, Opcode::Continuation, b"y")].concat(),
                MessageError::TooLong { max: MESSAGE_MAX },
            ),
        ] {
            let bytes = [&before[..], &bad].concat();
            assert_eq!(receive(&bytes, bytes.len(), false), (vec![b"sound".to_vec()], vec![], Some(error)));
        }
    }

    #[test]
    fn a_filled_buffer_is_handed_over_without_a_copy() {
        let mut messages = Messages::new(CAPACITY, MESSAGE_MAX);
        let sent = [frame(true, Opcode::Binary, &[7; 300]), frame(true, Opcode::Binary, &[8; 300])].concat();
        messages.room().extend_from_slice(&sent);
        messages.room().extend_from_slice(&frame(true, Opcode::Binary, b"cut")[..3]);
        let place = messages.room().as_ptr_range();
        assert_eq!(messages.next_event(), Ok(None));
        let frames = messages.take();
        assert!(place.contains(&frames.bytes().as_ptr()));
        assert_eq!(frames.iter().collect::<Vec<_>>(), [&[7; 300][..], &[8; 300]]);
        messages.room().extend_from_slice(b"ut");
        assert_eq!(messages.next_event(), Ok(None));
        assert_eq!(messages.take().bytes(), b"cut");
    }

    proptest! {
        #[test]
        fn messages_survive_any_cut(
            sent in prop::collection::vec(sent(), 0..12),
            step in 1_usize..1_200,
            is_eager in any::<bool>(),
        ) {
            let (mut bytes, mut data, mut events) = (Vec::new(), Vec::new(), Vec::new());
            for sent in sent {
                match sent {
                    Sent::Binary { payload, fragment, ping_between } => {
                        let mut parts: Vec<&[u8]> = payload.chunks(fragment).collect();
                        if parts.is_empty() {
                            parts.push(&[]);
                        }
                        for (index, part) in parts.iter().enumerate() {
                            let opcode = if index == 0 { Opcode::Binary } else { Opcode::Continuation };
                            bytes.extend(frame(index + 1 == parts.len(), opcode, part));
                            if ping_between {
                                bytes.extend(frame(true, Opcode::Ping, b"between"));
                                events.push(Event::Ping(b"between".to_vec()));
                            }
                        }
                        data.push(payload);
                    }
                    Sent::Event(event) => {
                        let (opcode, payload) = match &event {
                            Event::Text(text) => (Opcode::Text, text.as_bytes()),
                            Event::Ping(payload) => (Opcode::Ping, &payload[..]),
                            Event::Pong => (Opcode::Pong, &b"pong"[..]),
                            Event::Close(payload) => (Opcode::Close, &payload[..]),
                        };
                        bytes.extend(frame(true, opcode, payload));
                        events.push(event);
                    }
                }
            }
            prop_assert_eq!(receive(&bytes, step, is_eager), (data, events, None));
        }

        #[test]
        fn any_bytes_are_read_alike_however_cut(
            bytes in prop::collection::vec(prop_oneof![3 => 0_u8..4, 2 => 0x80_u8..0x8b, 1 => any::<u8>()], 0..300),
            step in 1_usize..300,
            is_eager in any::<bool>(),
        ) {
            prop_assert_eq!(receive(&bytes, step, is_eager), receive(&bytes, bytes.len().max(1), false));
        }
    }
}
