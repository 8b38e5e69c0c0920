//! The assertions of the control socket's fuzz target over random bytes and over damaged valid input.

#[path = "../../fuzz/src/control.rs"]
mod assertions;

use crate::control_samples as samples;
use bhavd::control::{
    Call, ChainRequest, ControlError, DeltasRequest, Reply, Request, Versioned, WatchRequest, encode_frame,
};
use proptest::{prelude::*, sample::Index};

fn seeds() -> Vec<Vec<u8>> {
    let chain = ChainRequest {
        underlying: "NIFTY".to_owned(),
        expiry: None,
        at: Some("11:42".parse().expect("a time")),
    };
    let requests = [
        Request::Status,
        Request::Chain(chain),
        Request::Deltas(DeltasRequest::default()),
        Request::Watch(WatchRequest::default()),
    ];
    let calls = requests.iter().map(|request| encode_frame(&Call::of(request)));
    let responses = samples::responses().into_iter().map(|response| {
        let parameters = serde_json::to_value(Versioned::new(response)).expect("JSON");
        encode_frame(&Reply { parameters: Some(parameters), ..Reply::default() })
    });
    let updates = samples::updates().into_iter().map(|update| serde_json::to_vec(&update).expect("JSON"));
    let error =
        ControlError::UnknownUnderlying { underlying: "X".to_owned(), known: vec!["NIFTY".to_owned()] };
    let mut seeds: Vec<Vec<u8>> =
        calls.chain(responses).chain(updates).chain([encode_frame(&error)]).collect();
    seeds.push(seeds.concat());
    seeds
}

#[test]
fn codec() {
    for seed in seeds() {
        assertions::codec(&[&[7], seed.as_slice()].concat());
    }
    let piece = 0_u8..20;
    let byte = prop_oneof![any::<u8>(), proptest::sample::select(b"\0\"\\{}[],:-.09ntf ".to_vec())];
    let damages = proptest::collection::vec((any::<Index>(), byte), 0..6);
    let seed = proptest::sample::select(seeds());
    let damaged = (seed, damages).prop_map(|(mut bytes, damages)| {
        for (at, byte) in damages {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        bytes
    });
    let bytes = prop_oneof![1 => proptest::collection::vec(any::<u8>(), 0..300), 4 => damaged];
    proptest!(ProptestConfig::with_cases(1_000), |(piece in piece, bytes in bytes)| {
        assertions::codec(&[&[piece], bytes.as_slice()].concat());
    });
}
