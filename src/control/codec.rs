//! Frames: JSON texts ended by a NUL byte, the varlink transport. Sans-IO.
//!
//! Invariant: however the bytes are cut, the same frames come out; and the decoder never holds more than its limit and
//! what was last pushed.

use serde::Serialize;

/// A peer sends more than the limit without ending its frame. The connection cannot go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a frame is longer than {limit_bytes} bytes")]
pub struct FrameTooLarge {
    pub limit_bytes: usize,
}

/// Cuts a stream of bytes into frames.
#[derive(Debug)]
pub struct FrameDecoder {
    buffer: Vec<u8>,
    /// Bytes before this one hold no end of a frame.
    searched: usize,
    limit_bytes: usize,
}

impl FrameDecoder {
    /// `limit_bytes` is the longest frame accepted, without its NUL.
    pub fn new(limit_bytes: usize) -> FrameDecoder {
        FrameDecoder { buffer: Vec::new(), searched: 0, limit_bytes }
    }

    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// Bytes held that belong to no frame given out.
    pub fn buffered(&self) -> usize {
        self.buffer.len()
    }

    /// The next whole frame, without its NUL; `None` if it has not ended yet.
    ///
    /// # Errors
    /// [`FrameTooLarge`] as soon as the limit is passed, ended or not; and each time after that.
    pub fn next_frame(&mut self) -> Result<Option<Vec<u8>>, FrameTooLarge> {
        let too_large = FrameTooLarge { limit_bytes: self.limit_bytes };
        let Some(end) = self.buffer[self.searched..].iter().position(|byte| *byte == 0) else {
            self.searched = self.buffer.len();
            return if self.buffer.len() > self.limit_bytes { Err(too_large) } else { Ok(None) };
        };
        let end = self.searched + end;
        if end > self.limit_bytes {
            return Err(too_large);
        }
        let rest = self.buffer.split_off(end + 1);
        let mut frame = std::mem::replace(&mut self.buffer, rest);
        frame.truncate(end);
        self.searched = 0;
        Ok(Some(frame))
    }
}

/// `message` as JSON with its NUL. JSON escapes the NUL character, so that none stands inside.
pub fn encode_frame(message: &impl Serialize) -> Vec<u8> {
    let mut frame = serde_json::to_vec(message).expect("messages have string keys and no failing fields");
    frame.push(0);
    frame
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn drain(decoder: &mut FrameDecoder) -> Result<Vec<Vec<u8>>, FrameTooLarge> {
        std::iter::from_fn(|| decoder.next_frame().transpose()).collect()
    }

    #[test]
    fn a_frame_of_the_limit_passes_and_one_byte_more_does_not() {
        let mut decoder = FrameDecoder::new(4);
        decoder.push(b"1234\0\0");
        assert_eq!(drain(&mut decoder), Ok(vec![b"1234".to_vec(), Vec::new()]));
        decoder.push(b"1234");
        assert_eq!(decoder.next_frame(), Ok(None));
        decoder.push(b"5");
        assert_eq!(decoder.next_frame(), Err(FrameTooLarge { limit_bytes: 4 }));
        decoder.push(b"\0");
        assert_eq!(decoder.next_frame(), Err(FrameTooLarge { limit_bytes: 4 }));
    }

    proptest! {
        #[test]
        fn the_cuts_do_not_matter(
            frames in prop::collection::vec(prop::collection::vec(1_u8..=255, 0..40), 0..12),
            cuts in prop::collection::vec(1_usize..17, 1..60),
        ) {
            let mut bytes: Vec<u8> = frames.iter().flat_map(|frame| [frame.as_slice(), &[0]].concat()).collect();
            bytes.extend_from_slice(b"torn");
            let mut decoder = FrameDecoder::new(40);
            let (mut rest, mut cuts, mut found) = (bytes.as_slice(), cuts.iter().cycle(), Vec::new());
            while !rest.is_empty() {
                let (chunk, after) = rest.split_at(rest.len().min(*cuts.next().expect("a cycle")));
                decoder.push(chunk);
                found.extend(drain(&mut decoder).expect("frames within the limit"));
                rest = after;
            }
            prop_assert_eq!(found, frames);
            prop_assert_eq!(decoder.buffered(), 4);
        }

        #[test]
        fn any_bytes_give_frames_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            let mut decoder = FrameDecoder::new(64);
            decoder.push(&bytes);
            if let Ok(frames) = drain(&mut decoder) {
                let taken: usize = frames.iter().map(|frame| frame.len() + 1).sum();
                prop_assert_eq!(taken + decoder.buffered(), bytes.len());
                prop_assert!(decoder.buffered() <= 64);
            }
        }

        #[test]
        fn no_text_breaks_the_framing(text in any::<String>()) {
            let mut decoder = FrameDecoder::new(1 << 20);
            decoder.push(&encode_frame(&text));
            let frame = decoder.next_frame().expect("within the limit").expect("a whole frame");
            prop_assert_eq!(serde_json::from_slice::<String>(&frame).expect("JSON"), text);
            prop_assert_eq!(decoder.buffered(), 0);
        }
    }
}
