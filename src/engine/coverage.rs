//! How each bucket of the day came to its values, two bytes a bucket.

use crate::market::{Bucket, BucketRow, BucketState, CoverageRun, InstrumentId, Provider};

/// State, revision and provider of one closed bucket of one instrument, and whether its end lies in a time of which its
/// provider proves nothing. Zero: not closed yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BucketMark(u16);

impl BucketMark {
    const HOLE: u16 = (BucketRow::REVISION_MAX + 1) << 3;
    const PROVIDER_SHIFT: u32 = 9;

    pub fn new(state: BucketState, provider: Option<Provider>, revision: u16) -> BucketMark {
        let provider = u16::from(provider.map_or(0, Provider::code));
        let revision = revision.min(BucketRow::REVISION_MAX);
        BucketMark(provider << Self::PROVIDER_SHIFT | revision << 3 | u16::from(state.code()))
    }

    /// `None` while the bucket is open.
    pub fn state(self) -> Option<BucketState> {
        BucketState::from_code((self.0 & 0b111) as u8)
    }

    /// Counts up to 31 and stays there.
    pub fn revision(self) -> u16 {
        self.0 >> 3 & BucketRow::REVISION_MAX
    }

    pub fn provider(self) -> Option<Provider> {
        Provider::from_code((self.0 >> Self::PROVIDER_SHIFT) as u8)
    }

    /// The values changed while nothing was seen, and the bucket ended in between.
    pub fn has_hole(self) -> bool {
        self.0 & Self::HOLE != 0
    }

    /// Its recorded provider did not see all of it, or not in time.
    pub fn is_unseen(self) -> bool {
        self.has_hole() || matches!(self.state(), Some(BucketState::Missing | BucketState::Backfilled))
    }

    pub fn set_hole(&mut self) {
        self.0 |= Self::HOLE;
    }

    /// The same with another state, provider and revision.
    #[must_use]
    pub fn restated(self, state: BucketState, provider: Option<Provider>, revision: u16) -> BucketMark {
        BucketMark(BucketMark::new(state, provider, revision).0 | self.0 & Self::HOLE)
    }
}

const _: () = assert!(Provider::ALL.len() < 1 << 7, "a provider's code fits its seven bits");

/// Run-length codes one instrument's marks; `first` is the bucket of the first mark.
pub fn runs(instrument: InstrumentId, first: Bucket, marks: &[BucketMark]) -> Vec<CoverageRun> {
    let mut runs: Vec<CoverageRun> = Vec::new();
    let mut bucket = first;
    let mut unbroken = false;
    for mark in marks {
        if let Some(state) = mark.state() {
            let provider = mark.provider();
            match runs.last_mut() {
                Some(run) if unbroken && run.state == state && run.provider == provider => {
                    run.to_bucket = bucket
                }
                _ => runs.push(CoverageRun {
                    instrument,
                    from_bucket: bucket,
                    to_bucket: bucket,
                    state,
                    provider,
                }),
            }
        }
        unbroken = mark.state().is_some();
        bucket = bucket.next();
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::market::Timestamp;
    use proptest::prelude::*;

    fn marks() -> impl Strategy<Value = BucketMark> {
        let providers = prop::option::of(prop::sample::select(Provider::ALL.to_vec()));
        let closed = (prop::sample::select(BucketState::ALL.to_vec()), providers, 0_u16..32)
            .prop_map(|(state, provider, revision)| BucketMark::new(state, provider, revision));
        prop_oneof![1 => Just(BucketMark::default()), 5 => closed]
    }

    proptest! {
        #[test]
        fn a_mark_gives_back_what_it_was_made_of(revision in 0_u16..100) {
            for state in BucketState::ALL {
                let mark = BucketMark::new(state, Some(Provider::Nse), revision);
                prop_assert_eq!(mark.state(), Some(state));
                prop_assert_eq!(mark.provider(), Some(Provider::Nse));
                prop_assert_eq!(mark.revision(), revision.min(31));
                prop_assert!(!mark.has_hole());
                let mut holed = mark;
                holed.set_hole();
                prop_assert!(holed.has_hole() && holed.restated(state, None, 3).has_hole());
                prop_assert_eq!((holed.state(), holed.provider(), holed.revision()), (mark.state(), mark.provider(), mark.revision()));
            }
        }

        #[test]
        fn runs_say_the_same_as_the_marks(marks in prop::collection::vec(marks(), 0..60)) {
            let first = Bucket::containing(Timestamp::from_us(1_769_744_700_000_000));
            let runs = runs(InstrumentId(1), first, &marks);
            let mut bucket = first;
            for mark in &marks {
                let covering: Vec<_> =
                    runs.iter().filter(|run| run.from_bucket <= bucket && bucket <= run.to_bucket).collect();
                match mark.state() {
                    None => prop_assert!(covering.is_empty()),
                    Some(state) => {
                        prop_assert_eq!(covering.len(), 1);
                        prop_assert_eq!(covering[0].state, state);
                        prop_assert_eq!(covering[0].provider, mark.provider());
                    }
                }
                bucket = bucket.next();
            }
            for pair in runs.windows(2) {
                let joined = pair[0].to_bucket.next() == pair[1].from_bucket;
                let alike = pair[0].state == pair[1].state && pair[0].provider == pair[1].provider;
                prop_assert!(!(joined && alike), "two runs could be one");
            }
        }
    }
}
