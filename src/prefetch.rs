//! Asks the processor for memory that will be needed soon, without waiting for it.
//!
//! Owns the library's only `unsafe`. Needed because the tick path is bound by memory: a load of a state that is not in the cache
//! holds up everything behind it until it arrives, and reading states ahead waits for the reads. `docs/performance.md` has what
//! it wins.

#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::{_MM_HINT_NTA as READ_ONCE, _MM_HINT_T0 as KEPT};
#[cfg(not(target_arch = "x86_64"))]
const KEPT: i32 = 0;
#[cfg(not(target_arch = "x86_64"))]
const READ_ONCE: i32 = 1;

/// Has a value's first cache line fetched. A hint: it changes nothing, and does nothing on processors other than x86-64.
#[inline(always)]
pub fn prefetch<T>(value: &T) {
    hint::<KEPT, T>(value);
}

/// The same of what is read once and not needed again: it takes no place in the caches that a state is kept in.
#[inline(always)]
pub fn prefetch_once<T>(value: &T) {
    hint::<READ_ONCE, T>(value);
}

#[inline(always)]
#[cfg_attr(target_arch = "x86_64", expect(unsafe_code, reason = "the standard library has no safe prefetch"))]
fn hint<const HINT: i32, T>(value: &T) {
    // SAFETY: PREFETCHT0 and PREFETCHNTA read and write nothing that the program can see and raise no exception, whatever the address
    // is (Intel SDM volume 2, PREFETCHh; AMD APM volume 3, PREFETCHlevel); the address here is that of a live reference. They need
    // SSE, which every x86-64 processor has.
    #[cfg(target_arch = "x86_64")]
    unsafe {
        std::arch::x86_64::_mm_prefetch::<HINT>(std::ptr::from_ref(value).cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = value;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefetch_changes_nothing() {
        let values: Vec<u64> = (0..4_096).collect();
        values.iter().for_each(prefetch);
        values.iter().for_each(prefetch_once);
        prefetch(&());
        assert!(values.iter().copied().eq(0..4_096));
    }
}
