//! Numbers drawn from a seed and what they are for: the same on every machine, in any order, without a state.

/// A number for `seed` and the parts that name its purpose. All bits vary.
#[inline]
pub(super) fn draw(seed: u64, parts: &[u64]) -> u64 {
    parts.iter().fold(mix(seed), |hash, part| mix(hash ^ *part))
}

/// The part that stands for a text.
pub(super) fn text_part(text: &str) -> u64 {
    // FNV-1a.
    text.bytes()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// Whether a drawn number falls among `percent` of all.
#[inline]
pub(super) fn is_among(percent: u32, drawn: u64) -> bool {
    // The high half, so that the low bits stay free for a second choice.
    (drawn >> 32) % 100 < u64::from(percent)
}

/// One step of splitmix64.
#[inline]
fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_about_what_was_asked_for_and_depend_on_every_part() {
        for percent in [0, 7, 50, 100] {
            let among = (0..10_000).filter(|number| is_among(percent, draw(1, &[*number]))).count();
            assert!(among.abs_diff(percent as usize * 100) < 200, "{among} of 10,000 at {percent} %");
        }
        let all = [draw(1, &[2, 3]), draw(2, &[2, 3]), draw(1, &[3, 2]), draw(1, &[2]), draw(1, &[2, 0])];
        let distinct: std::collections::BTreeSet<u64> = all.into_iter().collect();
        assert_eq!(distinct.len(), all.len());
        assert_eq!(draw(7, &[text_part("NIFTY")]), 0xa7e4_2c19_df8c_bfe5, "the numbers of a seed changed");
    }
}
