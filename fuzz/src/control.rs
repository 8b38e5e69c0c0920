//! The control socket's decoders: no input makes one panic, the cuts do not matter, and what is accepted survives
//! encoding.

use bhavd::control::*;

const LIMIT_BYTES: usize = 4_096;

/// Frames, calls, replies and what they carry. The first byte is the length of the pieces in which the rest arrives.
pub fn codec(data: &[u8]) {
    let Some((piece, bytes)) = data.split_first() else { return };
    let whole = frames(bytes, bytes.len().max(1));
    assert_eq!(frames(bytes, usize::from(*piece).max(1)), whole);
    whole.iter().for_each(|frame| message(frame));
    message(bytes);
}

/// The frames up to the first that is too long.
fn frames(bytes: &[u8], piece: usize) -> Vec<Vec<u8>> {
    let mut decoder = FrameDecoder::new(LIMIT_BYTES);
    let mut frames = Vec::new();
    for piece in bytes.chunks(piece) {
        decoder.push(piece);
        loop {
            match decoder.next_frame() {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => break,
                Err(FrameTooLarge { .. }) => return frames,
            }
        }
    }
    frames
}

fn message(frame: &[u8]) {
    if let Ok(call) = parse_call(frame) {
        let encoded = encode_frame(&call);
        assert_eq!(parse_call(&encoded[..encoded.len() - 1]), Ok(call.clone()));
        if let Ok(Command::Control(request)) = Command::decode(&call) {
            assert_eq!(Command::decode(&Call::of(&request)), Ok(Command::Control(request)));
        }
    }
    if let Ok(error) = serde_json::from_slice::<ControlError>(frame) {
        let again = serde_json::to_value(&error).expect("JSON");
        assert_eq!(serde_json::from_value::<ControlError>(again).expect("an error"), error);
        assert!(!error.to_string().is_empty());
    }
    if let Ok(update) = serde_json::from_slice::<Update>(frame) {
        let again = serde_json::to_value(Versioned::new(&update)).expect("JSON");
        assert_eq!(serde_json::from_value::<Update>(again).expect("an update"), update);
    }
    let Ok(reply) = serde_json::from_slice::<Reply>(frame) else { return };
    let Some(parameters) = reply.parameters else { return };
    for verb in Verb::ALL {
        if let Ok(response) = Response::decode(verb, parameters.clone()) {
            let again = serde_json::to_value(&response).expect("JSON");
            assert_eq!(Response::decode(verb, again).expect("a response"), response);
        }
    }
}
