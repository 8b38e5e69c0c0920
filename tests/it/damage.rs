//! Random and damaged input for decoders.

use proptest::{prelude::*, sample::Index};

/// One damage to an input.
#[derive(Clone, Debug)]
enum Damage {
    Replace(Index, u8),
    Insert(Index, Vec<u8>),
    Cut(Index, usize),
    Truncate(Index),
}

fn damage() -> impl Strategy<Value = Damage> {
    // Bytes that mean something in JSON or at the edges of numbers come up more often than by chance.
    let byte = prop_oneof![any::<u8>(), proptest::sample::select(b"\0\x01\xff\"\\{}[],:-.0919eE ".to_vec())];
    let bytes = proptest::collection::vec(byte.clone(), 1..12);
    prop_oneof![
        4 => (any::<Index>(), byte).prop_map(|(at, byte)| Damage::Replace(at, byte)),
        1 => (any::<Index>(), bytes).prop_map(|(at, bytes)| Damage::Insert(at, bytes)),
        1 => (any::<Index>(), 1..12_usize).prop_map(|(at, length)| Damage::Cut(at, length)),
        1 => any::<Index>().prop_map(Damage::Truncate),
    ]
}

fn damaged(input: &[u8], damages: &[Damage]) -> Vec<u8> {
    let mut bytes = input.to_vec();
    for damage in damages {
        match damage {
            Damage::Replace(at, byte) if !bytes.is_empty() => {
                let at = at.index(bytes.len());
                bytes[at] = *byte;
            }
            Damage::Replace(..) => {}
            Damage::Insert(at, inserted) => {
                let at = at.index(bytes.len() + 1);
                bytes.splice(at..at, inserted.iter().copied());
            }
            Damage::Cut(at, length) => {
                let at = at.index(bytes.len() + 1);
                bytes.drain(at..(at + length).min(bytes.len()));
            }
            Damage::Truncate(at) => bytes.truncate(at.index(bytes.len() + 1)),
        }
    }
    bytes
}

/// Runs `target` over each of `seeds` as it is, then over random bytes and damaged seeds.
pub fn check(target: fn(&[u8]), seeds: &[Vec<u8>]) {
    for seed in seeds {
        target(seed);
    }
    let seed = proptest::sample::select(seeds.to_vec());
    let valid = (seed, proptest::collection::vec(damage(), 1..6));
    let input = prop_oneof![
        1 => proptest::collection::vec(any::<u8>(), 0..600),
        5 => valid.prop_map(|(seed, damages)| damaged(&seed, &damages)),
    ];
    proptest!(ProptestConfig::with_cases(4_000), |(bytes in input)| target(&bytes));
}
