//! Chains whose latest rows were stated as missing.

use super::*;

#[test]
fn a_chain_whose_latest_rows_are_missing_is_named_however_young_its_proofs_are() {
    let mut played = Played::new(4);
    // A stream that brings one packet of each contract a minute, and is lost and open anew after each.
    for minute in 0..25 {
        let now = at(9, 15, 10).plus_seconds(minute * 60);
        played.stream(now, &[0, 1, 2, 3].map(|slot| (slot, 10 + minute)));
        played.advance(now.plus_seconds(20));
        played.day.set_down(Provider::AngelOne, now, now.plus_seconds(20), &mut played.rows);
    }
    let now = at(9, 39, 40);
    assert_eq!(played.day.unwitnessed_chains(now), [], "each proof is young");
    let [found] = played.day.missing_chains()[..] else { panic!("one chain") };
    let buckets = [at(9, 30, 0), at(9, 33, 0)].map(Bucket::containing);
    assert_eq!((found.chain, found.buckets, found.rows, found.missing), (0, buckets, 8, 8));
    // It flows again: the bucket of 09:39 is proved at its end.
    for second in 0..300 {
        let now = at(9, 40, 0).plus_seconds(second);
        played.stream(now, &[0, 1, 2, 3].map(|slot| (slot, 40 + second)));
    }
    assert_eq!(played.day.missing_chains(), [], "a stated bucket is proved");
}
