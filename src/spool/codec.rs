//! The bytes of a segment. All numbers little endian.
//!
//! ```text
//! segment  "BHSPOOL1"  then records
//! record   u32 length of body | u32 crc32c of body | body
//! body     u64 seq | i64 receive time, µs UTC | u8 source | u8 0 | u16 context length | u16 padding length | u16 0
//!          | u32 frame count | context, UTF-8 | frame count × u32 end of the frame within the frames
//!          | padding, zeros | frames
//! ```

use super::record::{Frames, NewRecord, Record};
use crate::{market::Timestamp, wire::Source};

pub const SEGMENT_HEADER: &[u8; 8] = b"BHSPOOL1";
/// Length and checksum.
pub const PREFIX_LEN: usize = 8;
const FIXED_LEN: usize = 28;
/// Larger bodies are refused on both sides, so that a damaged length cannot ask for all memory.
pub const BODY_LEN_MAX: usize = 256 << 20;

/// What the padding's field can say.
const PADDING_LEN_MAX: usize = u16::MAX as usize;

/// Why bytes are not a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DecodeError {
    /// The bytes end before the record does: a torn tail, if nothing follows.
    Incomplete,
    Damaged(&'static str),
}

/// Whether a record can be read back once it is written, whatever its padding: its body is not too long, and its context
/// fits its field.
pub fn is_writable(record: &NewRecord) -> bool {
    let body_len = head_len(record) - PREFIX_LEN + record.frames.byte_len();
    body_len.saturating_add(PADDING_LEN_MAX) <= BODY_LEN_MAX && u16::try_from(record.context.len()).is_ok()
}

/// Length of a head without padding.
pub fn head_len(record: &NewRecord) -> usize {
    PREFIX_LEN + FIXED_LEN + record.context.len() + 4 * record.frames.len()
}

/// Writes everything but the frames' own bytes into `head`, with `padding` zeros at its end, less than 64 KB. The record
/// on disk is `head` followed by those bytes. It must be [`is_writable`].
pub fn encode_head(seq: u64, record: &NewRecord, padding: usize, head: &mut Vec<u8>) {
    head.clear();
    head.extend_from_slice(&[0; PREFIX_LEN]);
    head.extend_from_slice(&seq.to_le_bytes());
    head.extend_from_slice(&record.received_time.as_us().to_le_bytes());
    head.push(record.source.code());
    head.push(0);
    head.extend_from_slice(&(record.context.len() as u16).to_le_bytes());
    head.extend_from_slice(&(padding as u16).to_le_bytes());
    head.extend_from_slice(&[0; 2]);
    head.extend_from_slice(&(record.frames.len() as u32).to_le_bytes());
    head.extend_from_slice(record.context.as_bytes());
    for end in record.frames.ends() {
        head.extend_from_slice(&end.to_le_bytes());
    }
    head.resize(head.len() + padding, 0);
    let body_len = head.len() - PREFIX_LEN + record.frames.byte_len();
    let crc = crc32c::crc32c_append(crc32c::crc32c(&head[PREFIX_LEN..]), record.frames.bytes());
    head[..4].copy_from_slice(&(body_len as u32).to_le_bytes());
    head[4..8].copy_from_slice(&crc.to_le_bytes());
}

/// Shortest record.
pub const RECORD_LEN_MIN: usize = PREFIX_LEN + FIXED_LEN;

/// Whether a record later than `after_seq` may begin here, by the numbers at its head: few other bytes look like that, so
/// that few checksums are worked out where records are searched. `head` has at least [`RECORD_LEN_MIN`] bytes.
pub fn may_begin(head: &[u8], after_seq: u64) -> bool {
    let u16_at = |at: usize| usize::from(u16::from_le_bytes([head[at], head[at + 1]]));
    let u32_at = |at: usize| u16_at(at) | u16_at(at + 2) << 16;
    let body_len = u32_at(0);
    if !(FIXED_LEN..=BODY_LEN_MAX).contains(&body_len) {
        return false;
    }
    let seq = u64::from_le_bytes(head[8..16].try_into().expect("eight bytes"));
    let parts = FIXED_LEN + u16_at(26) + u16_at(28) + u32_at(32).saturating_mul(4);
    seq > after_seq && (head[25], u16_at(30)) == (0, 0) && parts <= body_len
}

/// Length of the body that follows a prefix, and its checksum.
pub fn decode_prefix(prefix: [u8; PREFIX_LEN]) -> Result<(usize, u32), DecodeError> {
    let [a, b, c, d, e, f, g, h] = prefix;
    let body_len = u32::from_le_bytes([a, b, c, d]) as usize;
    if !(FIXED_LEN..=BODY_LEN_MAX).contains(&body_len) {
        return Err(DecodeError::Damaged("a record's length is out of range"));
    }
    Ok((body_len, u32::from_le_bytes([e, f, g, h])))
}

/// Decodes a body whose prefix said `crc`.
pub fn decode_body(body: &[u8], crc: u32) -> Result<Record, DecodeError> {
    if crc32c::crc32c(body) != crc {
        return Err(DecodeError::Damaged("a record's checksum does not fit its content"));
    }
    let damaged = DecodeError::Damaged("a record's parts do not fill it");
    let (fixed, rest) = body.split_at_checked(FIXED_LEN).ok_or(damaged)?;
    let u32_at = |at: usize| u32::from_le_bytes(fixed[at..at + 4].try_into().expect("four bytes"));
    let u64_at = |at: usize| u64::from_le_bytes(fixed[at..at + 8].try_into().expect("eight bytes"));
    let source = Source::from_code(fixed[16]);
    let u16_at = |at: usize| usize::from(u16::from_le_bytes([fixed[at], fixed[at + 1]]));
    let (context_len, padding, frame_count) = (u16_at(18), u16_at(20), u32_at(24) as usize);
    let (context, rest) = rest.split_at_checked(context_len).ok_or(damaged)?;
    let (ends, bytes) = rest.split_at_checked(frame_count.saturating_mul(4)).ok_or(damaged)?;
    let (_, bytes) = bytes.split_at_checked(padding).ok_or(damaged)?;
    let context = std::str::from_utf8(context).map_err(|_| damaged)?.to_owned();
    let ends =
        ends.chunks_exact(4).map(|end| u32::from_le_bytes(end.try_into().expect("four bytes"))).collect();
    let frames = Frames::from_parts(bytes.to_vec(), 0, ends).ok_or(damaged)?;
    Ok(Record {
        seq: u64_at(0),
        source,
        received_time: Timestamp::from_us(u64_at(8) as i64),
        context,
        frames,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    prop_compose! {
        fn records()(
            // Those of other versions too.
            source in any::<u8>().prop_map(Source::from_code),
            received_us in any::<i64>(),
            context in "[a-z=&0-9-]{0,40}",
            frames in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..60), 0..20),
        ) -> NewRecord {
            let mut all = Frames::default();
            frames.iter().for_each(|frame| all.push(frame));
            NewRecord { source, received_time: Timestamp::from_us(received_us), context, frames: all }
        }
    }

    fn encode(seq: u64, record: &NewRecord, padding: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        encode_head(seq, record, padding, &mut bytes);
        assert_eq!(bytes.len(), head_len(record) + padding);
        bytes.extend_from_slice(record.frames.bytes());
        bytes
    }

    fn decode(bytes: &[u8]) -> Result<Record, DecodeError> {
        let prefix = bytes.first_chunk::<PREFIX_LEN>().ok_or(DecodeError::Incomplete)?;
        let (body_len, crc) = decode_prefix(*prefix)?;
        let body = bytes[PREFIX_LEN..].get(..body_len).ok_or(DecodeError::Incomplete)?;
        decode_body(body, crc)
    }

    proptest! {
        #[test]
        fn encode_then_decode_is_the_identity(seq in any::<u64>(), record in records(), padding in 0_usize..5_000) {
            let decoded = decode(&encode(seq, &record, padding)).expect("what was encoded decodes");
            prop_assert_eq!(decoded.seq, seq);
            let again = NewRecord {
                source: decoded.source,
                received_time: decoded.received_time,
                context: decoded.context,
                frames: decoded.frames,
            };
            prop_assert_eq!(again, record);
        }

        #[test]
        fn a_flipped_bit_is_noticed(record in records(), at in any::<prop::sample::Index>(), bit in 0..8_u32) {
            let mut bytes = encode(7, &record, 9);
            let at = at.index(bytes.len());
            bytes[at] ^= 1_u8 << bit;
            prop_assert!(decode(&bytes).is_err());
        }

        #[test]
        fn no_bytes_make_the_decoder_panic(body in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = decode_body(&body, crc32c::crc32c(&body));
        }
    }
}
