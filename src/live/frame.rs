//! The binary frame on the Redis channel `market_data`; docs/live-frame.md is its public description.
//!
//! ```text
//! header, 16 bytes:  magic "BHLV" | version u8 = 1 | reserved u8 = 0 | count u16 | sent time i64
//! record, 80 bytes:  instrument u32 | present u16 | provider u8 | reserved u8 = 0 | event time i64 | received time i64
//!                    | last price i64 | open interest i64 | previous open interest i64 | volume i64 | bid i64 | ask i64
//!                    | implied volatility i64
//! ```
//! Little-endian. Times are microseconds of UTC since 1970, prices 1/10,000 rupee, quantities units, volatility annual
//! percent times 10,000. Bit 0 of `present` says that the last price is known, bit 1 the open interest, and so on in
//! record order; an absent value is written as 0.

use super::LiveQuote;
use crate::market::{InstrumentId, Provider, Timestamp};

const MAGIC: &[u8; 4] = b"BHLV";
const VERSION: u8 = 1;
const HEADER_BYTES: usize = 16;
const RECORD_BYTES: usize = 80;

/// The most records in one frame.
pub const FRAME_RECORDS_MAX: usize = u16::MAX as usize;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameRecord {
    pub instrument: InstrumentId,
    pub quote: LiveQuote,
}

/// What one message carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveFrame {
    pub sent_time: Timestamp,
    /// At most [`FRAME_RECORDS_MAX`].
    pub records: Vec<FrameRecord>,
}

/// A message that is no frame. The subscriber skips it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    #[error("the message does not begin with BHLV, it is no live frame")]
    NoFrame,
    #[error("the frame has version {version}, this reader knows version 1")]
    Version { version: u8 },
    #[error("the frame should have {wanted} bytes and has {found}")]
    Length { wanted: usize, found: usize },
    #[error("record {index} names an unknown provider {code}")]
    Provider { index: usize, code: u8 },
}

impl LiveFrame {
    /// Writes at most [`FRAME_RECORDS_MAX`] records; those beyond are left out.
    pub fn encode(&self) -> Vec<u8> {
        let records = &self.records[..self.records.len().min(FRAME_RECORDS_MAX)];
        let mut bytes = Vec::with_capacity(HEADER_BYTES + records.len() * RECORD_BYTES);
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&[VERSION, 0]);
        bytes.extend_from_slice(&(records.len() as u16).to_le_bytes());
        bytes.extend_from_slice(&self.sent_time.as_us().to_le_bytes());
        for FrameRecord { instrument, quote } in records {
            let values = quote.values();
            let present =
                values.iter().rev().fold(0_u16, |bits, value| bits << 1 | u16::from(value.is_some()));
            bytes.extend_from_slice(&instrument.0.to_le_bytes());
            bytes.extend_from_slice(&present.to_le_bytes());
            bytes.extend_from_slice(&[quote.provider.code(), 0]);
            bytes.extend_from_slice(&quote.event_time.as_us().to_le_bytes());
            bytes.extend_from_slice(&quote.received_time.as_us().to_le_bytes());
            for value in values {
                bytes.extend_from_slice(&value.unwrap_or(0).to_le_bytes());
            }
        }
        bytes
    }

    pub fn decode(bytes: &[u8]) -> Result<LiveFrame, FrameError> {
        if bytes.len() < HEADER_BYTES || !bytes.starts_with(MAGIC) {
            return Err(FrameError::NoFrame);
        }
        if bytes[4] != VERSION {
            return Err(FrameError::Version { version: bytes[4] });
        }
        let count = usize::from(u16::from_le_bytes(array(bytes, 6)));
        let wanted = HEADER_BYTES + count * RECORD_BYTES;
        if bytes.len() != wanted {
            return Err(FrameError::Length { wanted, found: bytes.len() });
        }
        let sent_time = Timestamp::from_us(i64::from_le_bytes(array(bytes, 8)));
        let records = bytes[HEADER_BYTES..].chunks_exact(RECORD_BYTES).enumerate();
        let records: Result<Vec<FrameRecord>, FrameError> =
            records.map(|(index, record)| decode_record(index, record)).collect();
        Ok(LiveFrame { sent_time, records: records? })
    }
}

fn decode_record(index: usize, record: &[u8]) -> Result<FrameRecord, FrameError> {
    let number = |offset| i64::from_le_bytes(array(record, offset));
    let present = u16::from_le_bytes(array(record, 4));
    let code = record[6];
    let provider = Provider::from_code(code).ok_or(FrameError::Provider { index, code })?;
    let values = std::array::from_fn(|value| (present >> value & 1 == 1).then(|| number(24 + value * 8)));
    let (event_time, received_time) = (Timestamp::from_us(number(8)), Timestamp::from_us(number(16)));
    Ok(FrameRecord {
        instrument: InstrumentId(u32::from_le_bytes(array(record, 0))),
        quote: LiveQuote::from_values(event_time, received_time, provider, values),
    })
}

/// The caller has checked the length.
fn array<const N: usize>(bytes: &[u8], offset: usize) -> [u8; N] {
    std::array::from_fn(|index| bytes[offset + index])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn record() -> impl Strategy<Value = FrameRecord> {
        let times = (any::<i64>(), any::<i64>());
        (any::<u32>(), times, any::<[Option<i64>; 7]>(), prop::sample::select(&Provider::ALL[..])).prop_map(
            |(id, (event, received), values, provider)| FrameRecord {
                instrument: InstrumentId(id),
                quote: LiveQuote::from_values(
                    Timestamp::from_us(event),
                    Timestamp::from_us(received),
                    provider,
                    values,
                ),
            },
        )
    }

    proptest! {
        #[test]
        fn decodes_what_it_encodes(sent in any::<i64>(), records in prop::collection::vec(record(), 0..20)) {
            let frame = LiveFrame { sent_time: Timestamp::from_us(sent), records };
            prop_assert_eq!(LiveFrame::decode(&frame.encode()), Ok(frame));
        }

        #[test]
        fn no_bytes_make_it_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..200), as_frame: bool) {
            if as_frame && bytes.len() >= 8 {
                bytes[..8].copy_from_slice(b"BHLV\x01\0\x01\0");
            }
            if let Ok(frame) = LiveFrame::decode(&bytes) {
                prop_assert_eq!(bytes.len(), HEADER_BYTES + frame.records.len() * RECORD_BYTES);
            }
        }
    }

    #[test]
    fn the_layout_is_the_documented_one() {
        let quote = LiveQuote {
            event_time: Timestamp::from_us(2),
            received_time: Timestamp::from_us(3),
            last_price: None,
            open_interest: Some(0x0102),
            previous_open_interest: None,
            volume: None,
            bid: None,
            ask: None,
            implied_volatility_e4: Some(-1),
            provider: Provider::Nse,
        };
        let records = vec![FrameRecord { instrument: InstrumentId(0x0a0b), quote }];
        let bytes = LiveFrame { sent_time: Timestamp::from_us(1), records }.encode();
        assert_eq!(bytes.len(), 96);
        assert_eq!(bytes[..16], *b"BHLV\x01\0\x01\0\x01\0\0\0\0\0\0\0");
        assert_eq!(bytes[16..24], [0x0b, 0x0a, 0, 0, 0b100_0010, 0, 2, 0]);
        assert_eq!(bytes[48..50], [2, 1]);
        assert_eq!(bytes[88..96], [0xff; 8]);
        let error = LiveFrame::decode(&bytes[..95]).expect_err("cut");
        assert_eq!(error, FrameError::Length { wanted: 96, found: 95 });
    }
}
