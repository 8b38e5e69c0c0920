//! A server's WebSocket messages: no input makes the reader panic, and the cuts do not matter.

use bhavd::feed::messages::{Event, MessageError, Messages};

const CAPACITY: usize = 4_096;
const MESSAGE_MAX: usize = 1_024;

/// The first byte is the length of the pieces in which the rest arrives.
pub fn messages(data: &[u8]) {
    let Some((piece, bytes)) = data.split_first() else { return };
    let whole = receive(bytes, CAPACITY);
    assert_eq!(receive(bytes, usize::from(*piece).max(1)), whole);
    assert!(whole.0.iter().map(Vec::len).sum::<usize>() <= bytes.len());
}

/// All binary messages and all events up to the first break of the protocol.
fn receive(mut rest: &[u8], piece: usize) -> (Vec<Vec<u8>>, Vec<Event>, Option<MessageError>) {
    let mut messages = Messages::new(CAPACITY, MESSAGE_MAX);
    let (mut data, mut events) = (Vec::new(), Vec::new());
    loop {
        let error = loop {
            match messages.next_event() {
                Ok(Some(event)) => events.push(event),
                Ok(None) => break None,
                Err(error) => break Some(error),
            }
        };
        let is_last = error.is_some() || rest.is_empty();
        if is_last || messages.is_full() {
            data.extend(messages.take().iter().map(<[u8]>::to_vec));
        }
        if is_last {
            return (data, events, error);
        }
        let room = messages.room();
        let free = room.capacity() - room.len();
        assert!(free > 0, "no room though more bytes are needed");
        let (received, later) = rest.split_at(piece.min(rest.len()).min(free));
        room.extend_from_slice(received);
        rest = later;
    }
}
